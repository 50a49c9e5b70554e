"""What text can these bytes be? Every plausible reading, best first.

A file does not say in which encoding it was written. GB 2312, GB 18030 and Big5 overlap so far that almost any text in
one decodes without error in the other, into rare characters. So a reading is judged by what it gives: the share of its
characters outside ASCII that people use every day (the first levels of GB 2312 and Big5, kana, punctuation, and
full-width forms). Where more than one reading is plausible all are returned, and all are matched.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

BOMS = (
    ("utf-32-le", codecs.BOM_UTF32_LE),  # before UTF-16: it begins with the same two bytes
    ("utf-32-be", codecs.BOM_UTF32_BE),
    ("utf-8", codecs.BOM_UTF8),
    ("utf-16-le", codecs.BOM_UTF16_LE),
    ("utf-16-be", codecs.BOM_UTF16_BE),
    ("gb18030", b"\x84\x31\x95\x33"),
)
CERTAIN = 10.0  # what a byte order mark, or UTF-8 that means something, is worth
PLAUSIBLE = 0.8  # share of everyday characters; honest texts reach 0.97, the wrong reading of one 0.3-0.6
PLAUSIBLE_SHORT = 0.5  # below SHORT characters outside ASCII there is little to judge by
SHORT = 8
DOUBTFUL = 0.6  # the best reading below this is no text that anybody wrote
BINARY = re.compile("[\0-\x08\x0e-\x19\x1c-\x1f]")  # Ctrl-Z and ESC stand in honest texts (DOS, terminal logs)
_BINARY_BYTES = re.compile(rb"[\0-\x08\x0e-\x19\x1c-\x1f]")
_WIDE = re.compile("[\u0800-\uffff\U00010000-\U0010ffff]")
_EIGHT_BIT = ("gb18030", "cp950")


class Text(NamedTuple):
    """One reading of some bytes. `encoding` is Python's name without a byte order mark, which is in `bom`."""

    text: str
    encoding: str
    bom: bytes
    score: float


def readings(data: bytes, *, whole: bool = True) -> tuple[Text, ...]:
    """Return every plausible reading of `data`, best first; none when it is no text.

    With `whole` False the bytes are the begin of something longer, and a character cut in two at the end is allowed.
    """
    found = [text for text in _candidates(data, whole=whole) if not BINARY.search(text.text)]
    found.sort(key=lambda text: -text.score)
    return tuple(_unlike([text for text in found if text is found[0] or text.score >= PLAUSIBLE_SHORT]))


def is_text(head: bytes) -> bool:
    """Tell whether the begin of a file can be taken for text in any encoding that is read here."""
    return bool(readings(head, whole=False))


def _candidates(data: bytes, *, whole: bool) -> Iterator[Text]:
    body, marked = data, False
    for encoding, bom in BOMS:
        if data.startswith(bom):
            text = decode(data[len(bom) :], encoding, whole=whole)
            if text is not None:
                yield Text(text, encoding, bom, CERTAIN)
                body, marked = data[len(bom) :], True  # the mark may lie: go on without it
                break
    bom = data[: len(data) - len(body)]
    if not _BINARY_BYTES.search(body):
        yield from _by_bytes(body, bom, marked=marked, whole=whole)
    if not marked or not body.isascii():
        yield from _by_pairs(body, bom, marked=marked, whole=whole)


def _by_bytes(body: bytes, bom: bytes, *, marked: bool, whole: bool) -> Iterator[Text]:
    text = decode(body, "utf-8", whole=whole)
    if text is not None:
        score = 1.0 if text.isascii() else _sure(text)
        # A text in UTF-8 behind the mark of UTF-16 is read, but the mark decides which one is shown.
        if not marked or (score > 1 and not bom.startswith(codecs.BOM_UTF8)):
            yield Text(text, "utf-8", bom, score if not marked else 1.0)
        if text.isascii() or score > 1:
            return
    for encoding in _EIGHT_BIT:
        text = decode(body, encoding, whole=whole)
        if text is None and encoding == "cp950":
            text = decode(body, encoding := "big5hkscs", whole=whole)
        if text is None:
            continue
        score, count = _everyday(text, encoding)
        if score >= (PLAUSIBLE_SHORT if count < SHORT else PLAUSIBLE) or (encoding == "gb18030" and not marked):
            yield Text(text, encoding, bom, score)


def _sure(text: str) -> float:
    """Return how sure UTF-8 is. Three bytes that fit are no accident; a few pairs may well be GB 18030."""
    return CERTAIN / 2 if _WIDE.search(text) or len(text.encode("utf-8")) - len(text) > SHORT else 0.9


def _by_pairs(body: bytes, bom: bytes, *, marked: bool, whole: bool) -> Iterator[Text]:
    """UTF-16 without a mark: plausible when nearly all of it are everyday characters."""
    if marked or (whole and len(body) % 2) or len(body) < 2:
        return
    pairs = np.frombuffer(body, dtype=np.uint8, count=len(body) // 2 * 2).reshape(-1, 2)
    for encoding, high in (("utf-16-le", 1), ("utf-16-be", 0)):
        units = pairs[:, high].astype(np.uint16) << 8 | pairs[:, 1 - high]
        share = float(_usual()[units].mean())
        if share < PLAUSIBLE or (body.isascii() and b"\0" not in body and share < 0.98):
            continue
        text = decode(body, encoding, whole=whole)
        if text is not None:
            # Zero bytes are never part of another encoding; without them this is the less likely reading.
            yield Text(text, encoding, bom, CERTAIN / 2 if b"\0" in body else share - 0.02)


def decode(data: bytes, encoding: str, *, whole: bool = True) -> str | None:
    """Return `data` decoded strictly, or None."""
    if whole and encoding.startswith("utf-16") and len(data) % 2:
        return None
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(data, final=whole)
    except UnicodeDecodeError:
        return None


def _everyday(text: str, encoding: str) -> tuple[float, int]:
    """Return the share of everyday characters among those outside ASCII, and how many those are."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2")
    units = units[units >= 0x80]
    if not len(units):
        return 1.0, 0
    return float(table(encoding)[units].mean()), len(units)


@cache
def table(encoding: str) -> npt.NDArray[np.bool_]:
    """Return which UTF-16 units are everyday characters for a text in `encoding`; ASCII counts as such."""
    usual = np.zeros(65_536, dtype=np.bool_)
    usual[9:14] = usual[32:127] = True
    for first, last in ((0x2010, 0x2027), (0x2030, 0x203B), (0x2160, 0x216B), (0x2460, 0x249B), (0x3001, 0x3017)):
        usual[first : last + 1] = True
    for first, last in ((0x3041, 0x3093), (0x30A1, 0x30F6), (0xFF01, 0xFF5E), (0x2500, 0x254B)):
        usual[first : last + 1] = True
    for single in "·×÷±§°¥￥　★☆●○◎■□▲△→←↑↓√≤≥≠∶…——‖㎡℃‰№€":
        usual[ord(single)] = True
    leads = [(range(0xA4, 0xC7), "big5")]
    if encoding == "gb18030":
        leads.append((range(0xB0, 0xD8), "gb2312"))
    for rows, name in leads:
        for lead in rows:
            for trail in (*range(0x40, 0x7F), *range(0xA1, 0xFF)):
                character = bytes((lead, trail)).decode(name, "ignore")
                if len(character) == 1 and "\u4e00" <= character <= "\u9fff":
                    usual[ord(character)] = True
    return usual


@cache
def usual(encoding: str) -> frozenset[str]:
    """Return the everyday characters for a text in `encoding` as a set."""
    return frozenset(map(chr, np.flatnonzero(table(encoding)).tolist()))


@cache
def _usual() -> npt.NDArray[np.bool_]:
    return table("gb18030")


def _unlike(found: list[Text]) -> Iterator[Text]:
    """Drop readings that say the same as a better one."""
    seen: set[str] = set()
    for text in found:
        if text.text not in seen:
            seen.add(text.text)
            yield text


def lengths(data: bytes, text: Text) -> Any:
    """Return a uint8 array: how many bytes of `data` (without the mark) each character of the reading takes.

    Counted on the bytes themselves, because writing a character back need not give the bytes it came from.
    """
    if text.encoding.startswith("utf-32"):
        return np.full(len(text.text), 4, dtype=np.uint8)
    if text.encoding.startswith("utf-16") or text.encoding == "utf-8":
        points = np.frombuffer(text.text.encode("utf-32-le"), dtype="<u4")
        if text.encoding != "utf-8":
            return np.where(points > 0xFFFF, 4, 2).astype(np.uint8)
        return (1 + (points > 0x7F) + (points > 0x7FF) + (points > 0xFFFF)).astype(np.uint8)
    pattern = _GB18030 if text.encoding == "gb18030" else _BIG5
    return np.fromiter((len(m) for m in pattern.findall(data)), dtype=np.uint8)


_GB18030 = re.compile(rb"[\x81-\xfe][\x30-\x39]..|[\x81-\xfe].|.", re.DOTALL)
_BIG5 = re.compile(rb"[\x81-\xfe].|.", re.DOTALL)
