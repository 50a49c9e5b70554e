"""Removed texts in every form in which bytes can still hold them, looked for in one pass.

A needle is a text that must be nowhere. It becomes patterns of bytes: itself in each encoding, backwards, in full-width
forms, and, of long numbers, pieces that only this number has. What packing or escaping does to it is undone on the
other side (`proof`), so that patterns stay few; hyperscan looks for all of them at once, in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Flag, auto
from typing import NamedTuple

import hyperscan

from dlp.values import squeezed

MOST = 60_000
"""Patterns of one search: they compile in two seconds. `full` tells where there were more."""
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5")
_LONG = 15  # characters of a number from which pieces of it are looked for
_DIFFERENT = 4  # digits of a piece that tells
_DIGITS = 10  # of them digits
_PIECE, _PIECES = 10, 5  # characters of a piece, and how many of them: what numbers have in common is their begin
_END = 8  # characters of the end of a long number, and up to a piece
_LOOSE, _LOOSE_HAN = 11, 3  # characters of what is looked for where blanks and signs are gone
_BACK, _BACK_HAN = 8, 3  # of what is looked for backwards
_ALONE = 10  # digits: fewer are only told where no digit stands beside them
_CHANCE = 6  # bytes: fewer stand in packed data by chance, and are told only among other text
_AROUND = 16  # bytes on each side that are looked at then
_FULL = str.maketrans({code: chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
_HAN = re.compile("[\u3400-\u9fff]")
_WRITTEN = re.compile("[\\s\u0020-\u007e\u3000-\u303f\u4e00-\u9fff\uff00-\uffee\u2010-\u2027]")
_NO_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())


class View(Flag):
    """What was done to the bytes that are looked at."""

    AS_IS = auto()
    LOOSE = auto()
    """Blanks, zero bytes and signs are gone: letters and digits that were apart stand together."""


class _Pattern(NamedTuple):
    raw: bytes
    view: View
    what: str
    """`whole`, `piece` or `backwards`."""
    encoding: str = "utf-8"
    bordered: bool = False
    caseless: bool = False


def without_signs(raw: bytes) -> bytes:
    """Return bytes without any of ASCII that is no letter or digit."""
    return raw.translate(None, _NO_SIGNS)


class Net:
    """A set of needles, compiled once."""

    def __init__(self, needles: Sequence[str]) -> None:
        patterns: dict[_Pattern, None] = {}
        for needle in needles:
            patterns.update(dict.fromkeys(_forms(needle)))
        self.full = len(patterns) > MOST
        """True where some forms are not looked for."""
        # Whole texts come before pieces of them, and what is most usual before what is not.
        order = sorted(patterns, key=lambda one: (one.what != "whole", one.encoding != "utf-8", one.view.value))
        self._patterns = order[:MOST]
        self._database: hyperscan.Database | None = None
        if self._patterns:
            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            self._database.compile(
                # Written as escapes: what is handed over as it is ends at its first zero byte.
                expressions=["".join(f"\\x{code:02x}" for code in one.raw).encode() for one in self._patterns],
                ids=list(range(len(self._patterns))),
                flags=[hyperscan.HS_FLAG_CASELESS if one.caseless else 0 for one in self._patterns],
            )
            self._scratch = hyperscan.Scratch(self._database)

    def find(self, raw: bytes, view: View) -> str:
        """Return how one of the needles stands in these bytes, for people: `whole in utf-8`. Empty where none does."""
        if self._database is None or not raw:
            return ""
        found: list[str] = []

        def keep(number: int, _begin: int, end: int, _flags: int, _context: object) -> bool:
            one = self._patterns[number]
            if one.view is view and _holds(one, raw, end):
                found.append(f"{one.what} in {one.encoding}")
            return bool(found)

        with suppress(hyperscan.ScanTerminated):
            self._database.scan(raw, match_event_handler=keep, scratch=self._scratch)
        return found[0] if found else ""


def _holds(one: _Pattern, raw: bytes, end: int) -> bool:
    """Tell whether a pattern that ends at `end` is more than chance."""
    start = end - len(one.raw)
    if one.bordered:
        around = raw[max(0, start - 1) : start] + raw[end : end + 1]
        return not any(48 <= code <= 57 or code == 46 for code in around)
    if len(one.raw) >= _CHANCE:
        return True
    width = 2 if one.encoding.startswith("utf-16") else 1
    near = raw[max(0, start - _AROUND) : start], raw[end : end + _AROUND - len(one.raw) % width]
    if width > 1:
        near = near[0][len(near[0]) % width :], near[1][: len(near[1]) // width * width]
    texts = [side.decode(one.encoding, "replace").replace("\0", " ") for side in near]
    letters = texts[0][1:] + texts[1][:-1]  # a character may be cut in two at both ends
    return not letters or sum(map(bool, map(_WRITTEN.match, letters))) >= 0.75 * len(letters)


def _forms(needle: str) -> Iterator[_Pattern]:
    flat = squeezed(needle)
    if not flat:
        return
    han = bool(_HAN.search(flat))
    bordered = flat.isdigit() and len(flat) < _ALONE
    # Words are left as they are written: in small letters some of them are words of the format itself.
    caseless = flat.isascii() and not flat.isdigit() and not flat.isalpha()
    for text in dict.fromkeys((flat, needle)):
        yield from _encoded(text, "whole", bordered=bordered and text == flat, caseless=caseless)
    if flat.isascii():
        yield _Pattern(flat.translate(_FULL).encode(), View.AS_IS, "whole")
    back = flat[::-1]
    if back != flat and len(flat) >= (_BACK_HAN if han else _BACK):
        yield from _encoded(back, "backwards", bordered=bordered, caseless=caseless)
    for piece in _pieces(flat):
        # The end of a number by itself: inside of another number its eight digits are a date and a count.
        yield _Pattern(piece.encode(), View.AS_IS, "piece", bordered=len(piece) < _PIECE, caseless=caseless)
    if len(flat) >= (_LOOSE_HAN if han else _LOOSE):
        # Where the cells of a sheet run together, any eleven digits may come about.
        apart = flat.isdigit() and len(flat) < _LONG
        yield _Pattern(without_signs(flat.encode()), View.LOOSE, "whole", bordered=apart, caseless=caseless)
        if back != flat:
            yield _Pattern(without_signs(back.encode()), View.LOOSE, "backwards", bordered=apart, caseless=caseless)
    if han and len(flat) > 1:
        for escape in (_python, _rtf, _rtf_above):
            yield _Pattern("".join(map(escape, flat)).encode(), View.LOOSE, "whole", "escapes", caseless=True)


def _python(letter: str) -> str:
    """Return how Python, JSON and Java escape a character, without the stroke."""
    return f"u{ord(letter):04x}"


def _rtf(letter: str) -> str:
    """Return how RTF escapes a character, less its signs: a number of 16 bits, above the half a negative one."""
    code = ord(letter) & 0xFFFF
    return f"u{min(code, (1 << 16) - code)}"


def _rtf_above(letter: str) -> str:
    """Return how many programs write the same: without a negative number."""
    return f"u{ord(letter) & 0xFFFF}"


def _encoded(text: str, what: str, *, bordered: bool, caseless: bool) -> Iterator[_Pattern]:
    """Yield a text in every encoding; ASCII is the same in most, and UTF-16 of it is seen without its zero bytes."""
    for encoding in ENCODINGS[:1] if text.isascii() else ENCODINGS:
        try:
            raw = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        yield _Pattern(raw, View.AS_IS, what, encoding, bordered, caseless)


def _pieces(flat: str) -> Iterator[str]:
    """Yield pieces of a long number that tell: those that reach its end, where no two numbers of one place are alike.

    The begin of a number is the code of a region or a bank, and a date of birth stands in many places. A piece of few
    different digits (00000000) stands in every file.
    """
    for piece in _ends(flat):
        if len(set(piece)) >= _DIFFERENT:
            yield piece


def _ends(flat: str) -> Iterator[str]:
    size = len(flat)
    if size < _LONG or not flat.isascii() or sum(map(str.isdigit, flat)) < _DIGITS:
        return
    for start in range(size - _PIECE - _PIECES + 1, size - _PIECE + 1):
        yield flat[start : start + _PIECE]
    for length in range(_END, _PIECE):
        yield flat[-length:]
