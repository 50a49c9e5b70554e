"""Which characters a font program still draws: TrueType, CFF and Type 1, read just far enough to tell."""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from typing import NamedTuple

import numpy as np

_MORE, _WORDS, _SCALE, _SCALES, _MATRIX = 0x20, 0x01, 0x08, 0x40, 0x80  # flags of a part of a TrueType glyph
_EMPTY = 6  # bytes: a CFF glyph up to here is a width and an end
_EMPTY_TYPE1 = 16  # the same of Type 1, with the four bytes that begin each
_JOINED = 24  # bytes: a glyph up to here may be two others joined
_STRINGS = 17  # the operator of CFF that tells where the outlines are
_CLEAR = re.compile(rb"currentfile\s+eexec\s")
_OUTLINE = re.compile(rb"/(\S+)\s+(\d{1,6})\s+(?:RD|-\|)\s")
_KEY, _MULTIPLY, _ADD = 55_665, 52_845, 22_719  # of Type 1 encryption


class Outlines(NamedTuple):
    """The glyphs of a program that have an outline, and which of them are parts of others.

    `numbered` tells that the numbers are those that a PDF uses; `spare` is how many may be parts without being told.
    """

    solid: set[int]
    parts: set[int]
    numbered: bool = False
    spare: int = 0


def outlines(raw: bytes) -> Outlines | None:
    """Return the outlines of a font program; None when it is of no kind that is read here, or broken."""
    try:
        if raw.startswith(b"%!"):
            return _type1(raw)
        if raw.startswith(b"OTTO"):
            at, size = _tables(raw)[b"CFF "]
            return _cff(raw[at : at + size])
        if raw.startswith(b"\x01\x00"):
            return _cff(raw)
        return _truetype(raw)
    except (KeyError, IndexError, ValueError, struct.error):
        return None


def _tables(raw: bytes) -> dict[bytes, tuple[int, int]]:
    ends = 12 + 16 * struct.unpack_from(">H", raw, 4)[0]
    return {raw[at : at + 4]: struct.unpack_from(">II", raw, at + 8) for at in range(12, ends, 16)}


def _truetype(raw: bytes) -> Outlines:
    tables = _tables(raw)
    (head, _), (start, size), (glyphs, _) = tables[b"head"], tables[b"loca"], tables[b"glyf"]
    kind, unit = (">u4", 1) if struct.unpack_from(">h", raw, head + 50)[0] else (">u2", 2)
    whole = raw[start : start + size]
    width = int(kind[-1])
    places = np.frombuffer(whole[: len(whole) // width * width], dtype=kind).astype(np.int64) * unit
    solid = np.flatnonzero(places[1:] > places[:-1]).tolist()
    parts: set[int] = set()
    for number in solid:
        parts |= _parts(raw[glyphs + int(places[number]) : glyphs + int(places[number + 1])])
    return Outlines(set(solid), parts, numbered=True)


def _parts(raw: bytes) -> set[int]:
    """Return the glyphs that a TrueType glyph is made of."""
    if len(raw) < 12 or struct.unpack_from(">h", raw)[0] >= 0:
        return set()
    parts, at = set[int](), 10
    while at + 4 <= len(raw):
        flags, number = struct.unpack_from(">HH", raw, at)
        parts.add(number)
        at += 8 if flags & _WORDS else 6
        at += 2 if flags & _SCALE else 4 if flags & _SCALES else 8 if flags & _MATRIX else 0
        if not flags & _MORE:
            break
    return parts


def _cff(raw: bytes) -> Outlines:
    """Read a CFF program (Adobe technical note 5176) as far as its index of outlines."""
    _, at = _index(raw, raw[2])
    tops, _ = _index(raw, at)
    start = _operand(raw[tops[0][0] : tops[0][1]], _STRINGS)
    spans, _ = _index(raw, start)
    solid = {number for number, (begin, end) in enumerate(spans) if end - begin > _EMPTY}
    joined = sum(spans[number][1] - spans[number][0] <= _JOINED for number in solid)
    return Outlines(solid, set(), spare=2 * joined)


def _index(raw: bytes, at: int) -> tuple[list[tuple[int, int]], int]:
    """Return begin and end of every item of an index, and where the index ends."""
    count = struct.unpack_from(">H", raw, at)[0]
    if not count:
        return [], at + 2
    width = raw[at + 2]
    places = [int.from_bytes(raw[at + 3 + width * n : at + 3 + width * (n + 1)], "big") for n in range(count + 1)]
    base = at + 2 + width * (count + 1)
    return [(base + one, base + two) for one, two in pairwise(places)], base + places[-1]


def _operand(top: bytes, wanted: int) -> int:
    """Return the last number before an operator of a CFF dictionary."""
    at, number = 0, 0
    while at < len(top):
        first = top[at]
        if first <= 21:
            if first == wanted:
                return number
            at += 2 if first == 12 else 1
        elif first == 30:
            at += 1
            while top[at] & 0xF != 0xF and top[at] >> 4 != 0xF:
                at += 1
            at += 1
        elif first in (28, 29):
            size = 2 if first == 28 else 4
            number = int.from_bytes(top[at + 1 : at + 1 + size], "big", signed=True)
            at += 1 + size
        elif first < 247:
            number, at = first - 139, at + 1
        else:
            more = (first - 247 if first < 251 else first - 251) * 256 + top[at + 1] + 108
            number, at = (more if first < 251 else -more), at + 2
    raise KeyError(wanted)


def _type1(raw: bytes) -> Outlines:
    """Read a Type 1 program: its outlines lie encrypted behind the word eexec."""
    clear = _CLEAR.search(raw)
    if clear is None:
        raise ValueError("no eexec")
    plain = _decrypted(raw[clear.end() :])
    solid: set[int] = set()
    joined, at = 0, max(0, plain.find(b"/CharStrings"))
    while (found := _OUTLINE.search(plain, at)) is not None:
        size = int(found.group(2))
        at = found.end() + size
        if size > _EMPTY_TYPE1 and found.group(1) != b".notdef":
            solid.add(len(solid) + 1)
            joined += size <= _JOINED + 4
    return Outlines(solid, set(), spare=2 * joined)


def _decrypted(raw: bytes) -> bytes:
    key, out = _KEY, bytearray()
    for code in raw:
        out.append(code ^ key >> 8)
        key = (code + key) * _MULTIPLY + _ADD & 0xFFFF
    return bytes(out)
