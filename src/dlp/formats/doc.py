"""Word 97-2003 documents ([MS-DOC]): the text through the piece table, with notes, headers, text boxes, field codes.

Hidden text counts as shown: the reader knows no character formats, and over-reading is the safe side. What lies in the
main stream outside the piece table (text that was deleted and stayed in the file) is read as hidden text.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from dlp.formats import Full, Source, locked, loose, ole
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Slice, Zone

MEDIA = ("application/msword",)

_ENCRYPTED, _TABLE_1, _COMPLEX = 0x0100, 0x0200, 0x0004
_WORD_97 = 0x00C1  # nFib; earlier versions have no Unicode
_ZONES = (
    (0x4C, Zone.BODY),  # ccpText
    (0x50, Zone.BODY),  # ccpFtn
    (0x54, Zone.HEADER),  # ccpHdd
    (0x58, Zone.HIDDEN),  # reserved; was macros
    (0x5C, Zone.COMMENT),  # ccpAtn
    (0x60, Zone.BODY),  # ccpEdn
    (0x64, Zone.TEXT_BOX),  # ccpTxbx
    (0x68, Zone.HEADER),  # ccpHdrTxbx
)
_CLX = 0x01A2
_MOST_PIECES = 500_000
_BREAK = re.compile("[\r\x07\x0c\x0e]")
_FIELD = re.compile("\x13([^\x13-\x15]*)\x14?([^\x13-\x15]*)\x15")
_SIGNS = {0x0B: "\n", 0x1E: "-", 0x1F: "", 0xA0: "\xa0", **dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 0x13, 0x14, 0x15), "")}
_WIDEST = 64  # columns that are tried


class _Piece(NamedTuple):
    """Characters `first` to `last` of the text lie at byte `at`, one byte each when `narrow`."""

    first: int
    last: int
    at: int
    narrow: bool


def extract(source: Source, room: Room) -> Document:
    """Return all text. `anchor` is the number of the paragraph."""
    return locked.read(source, room, MEDIA[0], read_storage)


def read_storage(storage: ole.Storage, room: Room) -> Document:
    """Return all text of the Word document in a storage."""
    reading = Reading(room)
    done = frozenset({"worddocument", "0table", "1table"})
    try:
        main = storage.read(("WordDocument",), room)
        _read(main, storage, reading)
        for name in ("0Table", "1Table"):
            if storage.has(name):
                ole.add_runs(storage.read((name,), room), (*room.part, name), reading)
        ole.read_rest(storage, done, reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(MEDIA[0])


def _read(main: bytes, storage: ole.Storage, reading: Reading) -> None:
    if len(main) < 0x20:
        raise Full(GapKind.CORRUPT, "the main stream is too short")
    ident, version = struct.unpack_from("<HH", main, 0)
    (flags,) = struct.unpack_from("<H", main, 0x0A)
    if ident not in (0xA5EC, 0xA5DC):
        raise Full(GapKind.CORRUPT, "the main stream is none of Word")
    if flags & _ENCRYPTED:
        raise Full(GapKind.ENCRYPTED, "it needs a password")
    if version < _WORD_97:
        _read_old(main, flags, reading)
        return
    if len(main) < _CLX + 8:
        raise Full(GapKind.CORRUPT, "the main stream is too short")
    at, length = struct.unpack_from("<II", main, _CLX)
    table = storage.read(("1Table" if flags & _TABLE_1 else "0Table",), reading.room)
    pieces = _pieces(table[at : at + length])
    # Places count UTF-16 units, so the text is cut as such.
    text = "".join(_decode(main, piece, reading) for piece in pieces).encode("utf-16-le")
    start = 0
    for place, zone in _ZONES:
        (count,) = struct.unpack_from("<i", main, place)
        if count < 0:
            raise Full(GapKind.CORRUPT, "a part of the text has a negative length")
        _add(text[start : start + 2 * count].decode("utf-16-le", "replace"), zone, reading)
        start += 2 * count
    _add(text[start:].decode("utf-16-le", "replace"), Zone.HIDDEN, reading)
    _add_leavings(main, pieces, reading)


def _pieces(clx: bytes) -> list[_Piece]:
    """Return the piece table ([MS-DOC] 2.9.38)."""
    at = 0
    while at + 3 <= len(clx) and clx[at] == 1:
        at += 3 + struct.unpack_from("<H", clx, at + 1)[0]
    if at + 5 > len(clx) or clx[at] != 2:
        raise Full(GapKind.CORRUPT, "the piece table is missing")
    (length,) = struct.unpack_from("<I", clx, at + 1)
    table = clx[at + 5 : at + 5 + length]
    count = (len(table) - 4) // 12
    if len(table) < length or count < 1 or count > _MOST_PIECES:
        raise Full(GapKind.CORRUPT, "the piece table is broken")
    places = struct.unpack_from(f"<{count + 1}I", table, 0)
    pieces = []
    for number in range(count):
        (where,) = struct.unpack_from("<I", table, 4 * (count + 1) + 8 * number + 2)
        narrow = bool(where & 0x40000000)
        where &= 0x3FFFFFFF
        first, last = places[number], places[number + 1]
        if last < first:
            raise Full(GapKind.CORRUPT, "the piece table is broken")
        pieces.append(_Piece(first, last, where // 2 if narrow else where, narrow))
    return pieces


def _decode(main: bytes, piece: _Piece, reading: Reading) -> str:
    count = piece.last - piece.first
    reading.room.spend_chars(0)
    raw = main[piece.at : piece.at + (count if piece.narrow else 2 * count)]
    if len(raw) < (count if piece.narrow else 2 * count):
        reading.miss(GapKind.CORRUPT, "a piece of the text lies outside of the file")
    return raw.decode("cp1252" if piece.narrow else "utf-16-le", "replace")


def _read_old(main: bytes, flags: int, reading: Reading) -> None:
    """Read the text of Word 6 and 95, which is one run of bytes unless it was saved in pieces."""
    first, last = struct.unpack_from("<II", main, 0x18)
    if flags & _COMPLEX or not first < last <= len(main):
        reading.miss(GapKind.UNSUPPORTED, "a document of Word 6 or 95 that was saved in pieces is read only in part")
        first, last = 0, len(main)
    _add(main[first:last].decode("gb18030", "replace"), Zone.BODY, reading)


def _add_leavings(main: bytes, pieces: list[_Piece], reading: Reading) -> None:
    """Add runs of text in the main stream that the piece table does not name."""
    rest = bytearray(main)
    for piece in pieces:
        size = (piece.last - piece.first) * (1 if piece.narrow else 2)
        rest[piece.at : piece.at + size] = bytes(min(size, max(0, len(rest) - piece.at)))
    text = loose.text_runs(bytes(rest))
    if text:
        reading.add(text, part=(*reading.room.part, "WordDocument"), anchor="runs", zone=Zone.HIDDEN)


def _add(text: str, zone: Zone, reading: Reading) -> None:
    """Add the paragraphs of one part of the text; cells between paragraphs become a grid."""
    part = reading.room.part
    cells: list[int | None] = []
    start = 0
    for found in _BREAK.finditer(text + "\r"):
        raw, start = text[start : found.start()], found.end()
        codes = [m[1] for m in _FIELD.finditer(raw)]
        plain = _FIELD.sub(r"\2", raw).translate(_SIGNS)
        number = None
        if plain.strip():
            number = reading.add(plain, part=part, anchor=str(len(reading.segments)), zone=zone)
        for code in codes:
            if code.strip():
                reading.add(code.translate(_SIGNS), part=part, anchor=str(len(reading.segments)), zone=Zone.HIDDEN)
        if found[0] == "\x07":
            cells.append(number)
        elif cells:
            _tabulate(cells, reading)
            cells = []
    if cells:
        _tabulate(cells, reading)


def _tabulate(cells: list[int | None], reading: Reading) -> None:
    """Make a grid of cells: the end of a row is an empty cell, so it comes again after the same number of cells."""
    for width in range(1, min(_WIDEST, len(cells) - 1) + 1):
        if len(cells) % (width + 1) == 0 and all(end is None for end in cells[width :: width + 1]):
            rows = [cells[at : at + width] for at in range(0, len(cells), width + 1)]
            reading.tabulate((_row(row, reading) for row in rows), part=reading.room.part)
            return


def _row(row: list[int | None], reading: Reading) -> tuple[Slice, ...]:
    known = next((number for number in row if number is not None), None)
    if known is None:
        return ()
    return tuple(
        Slice(known, 0, 0) if number is None else Slice(number, 0, len(reading.segments[number].text)) for number in row
    )
