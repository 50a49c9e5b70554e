"""Excel workbooks: one segment a row, its cells as a grid, and every other place where text can lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from dlp.formats import XLSX, Full, Source, ooxml_proof, plain_sheets, xlsx_cut, zipsafe
from dlp.formats.ooxml import Members, Taker, Walk, parse, relations
from dlp.formats.ooxml_text import Block, Collector
from dlp.formats.plain_sheets import NUMBER, SHARED, Cells, column
from dlp.formats.room import Reading, Room
from dlp.formats.rows import Rows
from dlp.model import Cut, Document, GapKind, Removed, Zone

MEDIA = (XLSX,)

_SHEETS = frozenset({"worksheet", "macrosheet"})
_WORDS = re.compile(r'"|[^\x00-\x7f]|\d{7}')  # a formula without quotes, Chinese or long numbers says nothing
_REFERENCE = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
_SCIENTIFIC = re.compile(r"-?\d(?:\.\d+)?E\+?\d{1,2}")


def extract(source: Source, room: Room) -> Document:
    """Return all text of a workbook: rows as segments (cells joined by tabs), then what no cell refers to.

    Numbers come as they are stored: Excel keeps 15 digits, and a longer number that was typed as one is lost in the
    file already.
    """
    return read_package(zipsafe.Package(source, room), room)


def read_package(package: Members, room: Room) -> Document:
    """Return all text of the package of a workbook."""
    walk = _Workbook(package, room)
    try:
        walk.run(walk.strings())
        walk.rest()
    except Full as full:
        walk.reading.miss(full.kind, full.detail)
    return walk.reading.document(XLSX)


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the workbook without the cuts, and without what keeps copies of its values."""
    return xlsx_cut.redact(source, cuts, out, room, read=read_package, number=_plain)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return what readers of Python's own find in a redacted copy."""
    del before, cuts
    return ooxml_proof.verify(source, room)


class _Workbook(Walk):
    """A walk that reads the shared strings first and puts them where the cells refer to them."""

    def __init__(self, package: Members, room: Room) -> None:
        super().__init__(package, room)
        self.shared: list[str] = []
        self.used: set[int] = set()
        self._shared_part = ""

    def strings(self) -> frozenset[str]:
        """Read the shared strings and return the members that need no second reading."""
        main = next((name for name in self.package.members if name.lower() == "xl/workbook.xml"), "")
        named = [r.target for r in relations(self.package, main, self.room) if r.kind.endswith("/sharedStrings")]
        found = [self.folded[name.lower()] for name in (*named, "xl/sharedStrings.xml") if name.lower() in self.folded]
        if not found:
            return frozenset()
        self._shared_part = found[0]

        def read() -> None:
            sink = _Strings(self.reading, self.path(self._shared_part), self.shared)
            data = self.package.read(self._shared_part)
            plain = plain_sheets.read_strings(data, self.room.check_time)
            if plain is not None:
                data, found = plain
                self.room.spend_segments(len(found))
                self.room.spend_chars(sum(map(len, found)))
                self.shared += found
            parse(data, Collector(sink), self.room)

        self.guard(self._shared_part, read)
        return frozenset({self._shared_part})

    def rest(self) -> None:
        """Add the shared strings that no cell refers to: they leave with the file all the same."""
        for number in sorted(set(range(len(self.shared))) - self.used):
            if (text := self.shared[number]) and not text.isspace():
                self.reading.add(text, part=self.path(self._shared_part), anchor=str(number), zone=Zone.HIDDEN)

    def _read_xml(self, name: str, data: bytes) -> None:
        """Read a part; the rows of a sheet that is written as Excel writes them are not worth a parser's events."""
        plain = plain_sheets.read_sheet(data, self.room.check_time)
        if plain is None:
            super()._read_xml(name, data)
            return
        cells = _Cells(self, self.path(name))
        for some in plain.cells:
            cells.take(some)
        cells.rows.end()
        # What stands around the rows is small and read as ever.
        super()._read_xml(name, plain.around)

    def collector(self, name: str) -> Collector:
        """Return a collector that knows rows and cells when the part turns out to be a sheet."""
        return _Sheet(_Cells(self, self.path(name)))


class _Strings(Taker):
    """Keeps the shared strings in order; their ruby and everything else becomes segments."""

    def __init__(self, reading: Reading, part: tuple[str, ...], shared: list[str]) -> None:
        super().__init__(reading, part)
        self._shared = shared

    def block(self, block: Block) -> int | None:
        if block.tag == "si" and block.anchor.endswith("v"):
            self._shared.append(block.text)
            self.reading.room.spend_chars(len(block.text))
            self.reading.room.spend_segments()
            return None
        return super().block(block)


class _Cells(Taker):
    """Puts the values of a row together; formulas and all that is no value become segments of their own."""

    def __init__(self, book: _Workbook, part: tuple[str, ...]) -> None:
        super().__init__(book.reading, part)
        self._book = book
        self.rows = Rows(book.reading, part)
        self._column = -1
        self._kind = ""
        self._value: list[str] = []
        self._formulas = 0
        self.sheet = False

    def block(self, block: Block) -> int | None:
        if not self.sheet or self._column < 0:
            return super().block(block)
        if block.tag == "v" or (block.tag == "is" and block.anchor.endswith("v")):
            self._value.append(self._read(block))
            return None
        if block.tag == "f" and not _WORDS.search(block.text):
            return None
        return super().block(block._replace(zone=Zone.HIDDEN))

    def take(self, cells: Cells) -> None:
        """Take some whole rows."""
        for formula in filter(_WORDS.search, cells.formulas):
            self._formulas += 1
            self.reading.add(formula, part=self.part, anchor=f"f{self._formulas}", zone=Zone.HIDDEN)
        texts, kinds = cells.texts, cells.kinds
        for i in np.flatnonzero(kinds == NUMBER).tolist():
            if "E" in texts[i]:
                texts[i] = _plain(texts[i])
        shared = np.flatnonzero(kinds == SHARED)
        if shared.size:
            found = np.array(texts, dtype=object)
            found[shared] = self._look_up(found[shared].tolist())
            texts = found.tolist()
        self.rows.extend(cells.rows, cells.columns, texts)

    def _look_up(self, numbers: list[str]) -> list[str]:
        """Return the shared texts of these numbers."""
        strings = self._book.shared
        if all(map(str.isdecimal, numbers)):
            places = list(map(int, numbers))
            if max(places) < len(strings):
                self._book.used.update(places)
                found = list(map(strings.__getitem__, places))
                self.reading.room.spend_chars(sum(map(len, found)))
                return found
        self._kind = "s"
        return [self._resolve(number, shared=True) for number in numbers]

    def cell(self, attrib: Mapping[str, str]) -> None:
        """Begin a cell; without a reference it stands behind the one before."""
        found = _REFERENCE.fullmatch(attrib.get("r", ""))
        self._column = column(found[1]) if found else self.rows.next
        self._kind = attrib.get("t", "n")
        self._value = []

    def end_cell(self) -> None:
        """End a cell."""
        if text := "".join(self._value):
            self.rows.cell(self._column, text)
        self._column = -1

    def _read(self, block: Block) -> str:
        return self._resolve(block.text, shared=block.tag == "v")

    def _resolve(self, text: str, *, shared: bool) -> str:
        if self._kind == "s" and shared:
            strings = self._book.shared
            if not text.isdecimal() or int(text) >= len(strings):
                self.reading.miss(GapKind.CORRUPT, "a cell refers to a text that is not there", part=self.part)
                return ""
            self._book.used.add(int(text))
            self.reading.room.spend_chars(len(strings[int(text)]))
            return strings[int(text)]
        return _plain(text) if self._kind == "n" else text


class _Sheet(Collector):
    """A collector that also tells its sink where rows and cells begin and end."""

    def __init__(self, sink: _Cells) -> None:
        super().__init__(sink)
        self._taker = sink
        self._depth = 0

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if self._depth == 0:
            self._taker.sheet = name in _SHEETS
        self._depth += 1
        super().start(tag, attrib)
        if name == "c" and self._taker.sheet:
            self._taker.cell(attrib)

    def end(self, tag: str) -> None:
        super().end(tag)
        self._depth -= 1
        if not self._taker.sheet:
            return
        name = tag.rpartition("}")[2]
        if name == "c":
            self._taker.end_cell()
        elif name == "row":
            self._taker.rows.end_row()
        elif self._depth == 0:
            self._taker.rows.end()


def _plain(text: str) -> str:
    """Return a stored number as it is typed: 1.38001380E10 is 13800138000."""
    if not _SCIENTIFIC.fullmatch(text):
        return text
    value: Any = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else text
