"""Excel 97-2003 workbooks ([MS-XLS]): cells by calamine, and a walk over all records for what stands in no cell.

Earlier versions have the same records under other numbers; their texts come out of the runs in every record.
"""

from __future__ import annotations

import datetime as dt
import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import python_calamine

from dlp.formats import Full, Source, locked, ole
from dlp.formats.loose import text_runs
from dlp.formats.room import Reading, Room
from dlp.formats.rows import Rows
from dlp.model import Document, GapKind, Zone

MEDIA = ("application/vnd.ms-excel",)

_FILEPASS, _SST, _CONTINUE, _BOUNDSHEET, _HEADER, _FOOTER, _NOTE, _TXO = 0x2F, 0xFC, 0x3C, 0x85, 0x14, 0x15, 0x1C, 0x1B6
_BOF, _FORMAT, _NAME, _LABEL, _STRING = 0x809, 0x41E, 0x18, 0x204, 0x207
_QUIET = frozenset(  # values of cells, places, fonts: numbers of the format, which calamine reads or which say nothing
    (0xFD, 0x203, 0x27E, 0xBD, 0xBE, 0x201, 0x208, 0xD7, 0x20B, 0xE0, 0x7D, 0x55, 0x225, 0xFF, 0x31, 0x231, 0x0A, 0x5D)
)
_MOST_RECORDS = 5_000_000


def extract(source: Source, room: Room) -> Document:
    """Return all text: rows as segments, then sheet names, headers, notes, text boxes and strings of no cell."""
    return locked.read(source, room, MEDIA[0], read_storage)


def read_storage(storage: ole.Storage, room: Room) -> Document:
    """Return all text of the workbook in a storage."""
    reading = Reading(room)
    try:
        name = "Workbook" if storage.has("Workbook") else "Book"
        stream = storage.read((name,), room)
        book = _Walk(stream, reading)
        book.run()
        book.cells(ole.wrap(name, stream))
        ole.read_rest(storage, frozenset({"workbook", "book"}), reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(MEDIA[0])


class _Record(NamedTuple):
    kind: int
    body: bytes
    pieces: tuple[bytes, ...]
    """The body and those of the records that continue it."""


class _Walk:
    """Goes through the records of the workbook stream."""

    def __init__(self, stream: bytes, reading: Reading) -> None:
        self._stream = stream
        self._reading = reading
        self._room = reading.room
        self._strings: list[str] = []
        self._said: set[str] = set()
        self._sheets: list[str] = []

    def run(self) -> None:
        """Read all records. Raises `Full` for an encrypted workbook."""
        for record in self._records():
            if record.kind == _FILEPASS:
                raise Full(GapKind.ENCRYPTED, "it needs a password")
            if record.kind == _SST:
                self._strings = list(_strings(record.pieces, self._room))
            elif record.kind == _BOUNDSHEET and len(record.body) > 8:
                name = _short(record.body[6:])
                self._sheets.append(name)
                self._add(name, "sheet", Zone.METADATA)
            elif record.kind in (_HEADER, _FOOTER):
                zone = Zone.HEADER if record.kind == _HEADER else Zone.FOOTER
                self._add(_long(record.body), "page", zone)
            elif record.kind not in _QUIET:
                zone = Zone.TEXT_BOX if record.kind == _TXO else Zone.COMMENT if record.kind == _NOTE else Zone.HIDDEN
                for piece in record.pieces:
                    for line in text_runs(piece).split("\n"):
                        if len(set(line)) > 1:  # not the blanks that fill a field
                            self._add(line, f"{record.kind:x}", zone)

    def _records(self) -> Iterator[_Record]:
        at = 0
        open_kind = -1
        pieces: list[bytes] = []
        for number in range(_MOST_RECORDS):
            if number % 4096 == 0:
                self._room.check_time()
            if at + 4 > len(self._stream):
                break
            kind, length = struct.unpack_from("<HH", self._stream, at)
            body = self._stream[at + 4 : at + 4 + length]
            if len(body) < length:
                raise Full(GapKind.CORRUPT, "the workbook is cut off")
            at += 4 + length
            if kind == _CONTINUE:
                pieces.append(body)
                continue
            if pieces:
                yield _Record(open_kind, pieces[0], tuple(pieces))
            open_kind, pieces = kind, [body]
        else:
            raise Full(GapKind.TOO_MANY, f"it has more than {_MOST_RECORDS} records")
        if pieces:
            yield _Record(open_kind, pieces[0], tuple(pieces))

    def _add(self, text: str, anchor: str, zone: Zone) -> None:
        text = text.strip()
        if text and text not in self._said:
            self._said.add(text)
            self._reading.add(text, part=self._room.part, anchor=anchor, zone=zone)

    def cells(self, file: bytes) -> None:
        """Read the cells, then the strings that no cell shows."""
        shown: set[str] = set()
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(file))
            for name in book.sheet_names:
                self._sheet(book.get_sheet_by_name(name), name, shown)
        except Full:
            raise
        except BaseException as err:  # calamine panics as a BaseException
            if isinstance(err, MemoryError | KeyboardInterrupt | SystemExit):
                raise
            self._reading.miss(GapKind.CORRUPT, "the cells of the workbook cannot be read")
        part = (*self._room.part, "~strings")
        for text in self._strings:
            if text not in shown and text.strip():
                self._reading.add(text, part=part, anchor="sst", zone=Zone.HIDDEN)

    def _sheet(self, sheet: Any, name: str, shown: set[str]) -> None:
        rows = Rows(self._reading, (*self._room.part, name))
        for row in sheet.iter_rows():
            self._room.check_time()
            for column, value in enumerate(row):
                text = _plain(value)
                if text:
                    shown.add(text)
                    rows.cell(column, text)
            rows.end_row()
        rows.end()


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        return str(value)
    return "" if value is None else str(value)


def _strings(pieces: tuple[bytes, ...], room: Room) -> Iterator[str]:
    """Yield the shared strings ([MS-XLS] 2.4.265); one that runs on in the next record begins there with its flags."""
    if len(pieces[0]) < 8:
        return
    (count,) = struct.unpack_from("<I", pieces[0], 4)
    cursor = _Cursor(pieces)
    cursor.skip(8)
    for _ in range(count):
        text = cursor.string()
        if text is None:
            return
        room.spend_chars(len(text))
        yield text


class _Cursor:
    """Reads over the borders of continued records."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self._pieces = pieces
        self._number = 0
        self._at = 0

    def skip(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        found = b""
        while count > 0 and self._number < len(self._pieces):
            piece = self._pieces[self._number][self._at : self._at + count]
            if not piece:
                self._number, self._at = self._number + 1, 0
                continue
            found += piece
            self._at += len(piece)
            count -= len(piece)
        return found

    def string(self) -> str | None:
        """Return the next string, None behind the last."""
        head = self.skip(3)
        if len(head) < 3:
            return None
        count, flags = struct.unpack("<HB", head)
        runs = struct.unpack("<H", self.skip(2).ljust(2, b"\0"))[0] if flags & 8 else 0
        more = struct.unpack("<I", self.skip(4).ljust(4, b"\0"))[0] if flags & 4 else 0
        text = ""
        wide = flags & 1
        while count > 0 and self._number < len(self._pieces):
            piece = self._pieces[self._number][self._at :]
            if not piece:
                self._number, self._at = self._number + 1, 1
                if self._number >= len(self._pieces) or not self._pieces[self._number]:
                    break
                wide = self._pieces[self._number][0] & 1
                continue
            size = min(count, len(piece) // 2 if wide else len(piece))
            if size == 0:
                break
            raw = piece[: 2 * size if wide else size]
            text += raw.decode("utf-16-le" if wide else "latin-1", "replace")
            self._at += len(raw)
            count -= size
        self.skip(4 * runs + more)
        return text


def _short(body: bytes) -> str:
    count, flags = body[0], body[1]
    raw = body[2 : 2 + (2 * count if flags & 1 else count)]
    return raw.decode("utf-16-le" if flags & 1 else "gb18030", "replace")


def _long(body: bytes) -> str:
    if len(body) < 3:
        return ""
    count, flags = struct.unpack_from("<HB", body)
    raw = body[3 : 3 + (2 * count if flags & 1 else count)]
    return raw.decode("utf-16-le" if flags & 1 else "gb18030", "replace")
