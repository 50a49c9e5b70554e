"""What every redacted copy must pass, whatever its type: the removed texts are nowhere in its bytes.

The bytes of the copy are looked at as they are, and then as everything that they may be: without blanks and signs, as
text without tags and character references, unpacked, decoded from hexadecimal digits and base64, object by object of
a PDF and stream by stream of an OLE file; and so on for whatever comes out of that. It is all accounted for in the
room; what does not fit into it is a gap, and then nothing is proven.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from dlp.formats import Source
from dlp.formats.layers import inner
from dlp.formats.needles import Net, View, without_signs
from dlp.formats.room import Room
from dlp.model import Check
from dlp.sniff import charset
from dlp.values import squeezed

_TAG = re.compile(r"<[^<>]*>")
_OCTAL = re.compile(rb"\\([0-3]?[0-7]{2})")
_HEX = re.compile(rb"[0-9A-Fa-f]{16,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
_WINDOW, _OVERLAP = 32 << 20, 1 << 16  # bytes; texts above the first are longer than any that is read here
_HEAD = 4096  # bytes by which it is told whether a text follows
_BLANKS = b"\0\t\n\x0b\x0c\r "
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class _Layer(NamedTuple):
    """Bytes to be looked at: how they were come by, for people."""

    raw: bytes
    how: str
    room: Room


def search(source: Source, needles: Sequence[str], room: Room) -> tuple[Check, ...]:
    """Return the check that none of `needles` is in the copy, in any encoding, packing or escape, whole or in part.

    Raises `Full` where the room does not allow for looking at everything.
    """
    net = Net(needles)
    checks = [Check(name="bytes", state="ok")]
    if net.full:
        checks.append(Check(name="bytes:rest", state="unavailable", detail="the removed texts are too many"))
    todo = [_Layer(source.content(), "", room)]
    while todo:
        layer = todo.pop()
        layer.room.check_time()
        for way, raw, view in chain.from_iterable(map(_views, _windows(layer.raw))):
            told = net.find(raw, view)
            if told:
                where = " ".join(filter(None, (layer.how, way)))
                checks[0] = Check(name="bytes", state="fail", detail=f"a removed text is there: {told} {where}".strip())
                return tuple(checks)
        todo += (_Layer(raw, how, below) for how, raw, below in inner(layer.raw, layer.room))
    return tuple(checks)


def _windows(raw: bytes) -> Iterator[bytes]:
    """Yield large bytes in pieces that overlap, so that a few forms of one fit into memory at a time."""
    for start in range(0, max(len(raw), 1), _WINDOW):
        yield raw if len(raw) <= _WINDOW else raw[start : start + _WINDOW + _OVERLAP]


def _views(raw: bytes) -> Iterator[tuple[str, bytes, View]]:
    """Yield the bytes in each form that needs no room: as they are, and with one habit of writing undone."""
    yield from _plain("", raw)
    loose = without_signs(raw.replace(b"\\x", b""))
    yield "with signs between", loose, View.LOOSE
    for text in charset.readings(raw) if charset.is_text(raw[:_HEAD]) else ():
        yield from _text(text.text)
    if b"\\" in raw:
        yield from _plain("in escapes", _OCTAL.sub(lambda found: bytes((int(found.group(1), 8),)), raw))
    yield from _plain("in hexadecimal", b"\n".join(_unhexed(loose)))
    for decoded in _unbased(raw.translate(None, _BLANKS)):
        yield from _plain("in base64", decoded)


def _plain(way: str, raw: bytes) -> Iterator[tuple[str, bytes, View]]:
    yield way, raw, View.AS_IS
    if b"\0" in raw:
        yield f"{way} in utf-16".strip(), raw.replace(b"\0", b""), View.AS_IS


def _text(text: str) -> Iterator[tuple[str, bytes, View]]:
    """Yield a text as people read it: without tags, references and blanks, forms folded."""
    if "&" in text:
        yield "in character references", html.unescape(text).encode("utf-8", "replace"), View.AS_IS
    if "<" in text:
        yield "between tags", _folded(html.unescape(_TAG.sub("", text))), View.LOOSE
    else:
        yield "with signs between", _folded(html.unescape(text)), View.LOOSE


def _folded(text: str) -> bytes:
    return squeezed(text).encode("utf-8", "replace")


def _unhexed(raw: bytes) -> Iterator[bytes]:
    """Yield what runs of hexadecimal digits stand for, whichever of two digits comes first."""
    for found in _HEX.finditer(raw):
        run = found.group()
        for start in (0, 1):
            yield bytes.fromhex(run[start : start + (len(run) - start) // 2 * 2].decode("ascii"))


def _unbased(raw: bytes) -> Iterator[bytes]:
    """Yield what runs of base64 stand for, wherever among four letters a group begins."""
    runs = [found.group() for found in _BASE64.finditer(raw)]
    for start in range(4):
        whole = b"\n".join(filter(None, (_unbased_run(run, start) for run in runs)))
        if whole:
            yield whole


def _unbased_run(run: bytes, start: int) -> bytes:
    whole = run[start : len(run) - ((len(run) - start) % 4 == 1)].translate(_URL_SAFE)
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
