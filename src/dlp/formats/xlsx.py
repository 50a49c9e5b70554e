"""Excel workbooks: one segment a row, its cells as a grid, and every other place where text can lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from dlp.formats import XLSX, Full, Source, ooxml_proof, xlsx_cut, zipsafe
from dlp.formats.ooxml import Members, Taker, Walk, check_encoding, parse, relations
from dlp.formats.ooxml_text import NUMBERED, Block, Collector
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
            plain = _plain_strings(data)
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
        for number, text in enumerate(self.shared):
            if number not in self.used and text and not text.isspace():
                self.reading.add(text, part=self.path(self._shared_part), anchor=str(number), zone=Zone.HIDDEN)

    def _read_xml(self, name: str, data: bytes) -> None:
        """Read a part; the rows of a sheet that is written as Excel writes them are not worth a parser's events."""
        plain = _plainly_written(data)
        if plain is None:
            super()._read_xml(name, data)
            return
        before, rows, after = plain
        # What stands around the rows is small and read as ever; the rows are read only if that is well-formed.
        skeleton = f"{before}<sheetData/>{after}".encode()
        cells = _Cells(self, self.path(name))
        for number, row in enumerate(rows):
            if number % 1024 == 0:
                self.room.check_time()
            for letters, kind, formula, value, inline in _CELLS.findall(row):
                if formula and _WORDS.search(formula):
                    self.reading.add(_unescape(formula), part=cells.part, anchor=f"f{number}{letters}", zone=Zone.HIDDEN)
                if text := value or inline:
                    cells.plain(_column(letters), kind or "n", _unescape(text), shared=bool(value))
            cells.rows.end_row()
        cells.rows.end()
        super()._read_xml(name, skeleton)

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

    def plain(self, column: int, kind: str, text: str, *, shared: bool) -> None:
        """Take a cell of one value; `shared` tells that a value of kind `s` is the number of a shared text."""
        self._kind = kind
        if text := self._resolve(text, shared=shared):
            self.rows.cell(column, text)

    def cell(self, attrib: Mapping[str, str]) -> None:
        """Begin a cell; without a reference it stands behind the one before."""
        found = _REFERENCE.fullmatch(attrib.get("r", ""))
        self._column = _column(found[1]) if found else self.rows.next
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


# --- sheets as Excel writes them: rows of cells of one value each, told by their text

_CELL = (
    r'<c r="([A-Z]{1,3})[0-9]{1,7}"(?: s="[0-9]{1,6}")?(?: t="([a-zA-Z]{1,9})")?(?:/>|>'
    r'(?:<f(?: [a-z0-9]{1,4}="[A-Za-z0-9:$]{0,30}")*(?:/>|>([^<>]*)</f>))?'
    r'(?:<v>([^<>]*)</v>|<v ?/>|<is><t(?: xml:space="preserve")?>([^<>]*)</t></is>)?</c>)'
)
_BARE = re.sub(r"(?<!\\)\((?!\?)", "(?:", _CELL)
"""The same without groups."""
_ATTRIBUTES = r'(?: [A-Za-z0-9]+(?::[A-Za-z0-9]+)?="[A-Za-z0-9:.]{0,20}")*'
_CELLS = re.compile(_CELL)
_ROWS = re.compile(rf"\s*<row({_ATTRIBUTES}) ?(?:/>|>((?:\s*{_BARE})*+)\s*</row>)\s*")
_OTHER = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|<!|]]>|&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7});)")
_NUMERIC = re.compile(r"&#([0-9]{1,7});")
_SHEET_START = re.compile(r"<(?:worksheet)[ >]")


def _plainly_written(data: bytes) -> tuple[str, list[str], str] | None:
    """Return what stands before the rows of a sheet, the rows, and what follows; None when it is written otherwise."""
    start = data.removeprefix(b"\xef\xbb\xbf")
    first, last = start.find(b"<sheetData>"), start.rfind(b"</sheetData>")
    if not 0 < first < last or start.count(b"<sheetData") != 1 or not start.startswith((b"<?xml", b"<worksheet")):
        return None
    try:
        check_encoding(data)
        text = start.decode("utf-8")
    except (Full, UnicodeDecodeError):
        return None
    if _OTHER.search(text) or not _SHEET_START.search(text[:2048]):
        return None
    if not all(map(_is_character, {int(number) for number in _NUMERIC.findall(text)})):
        return None
    first, last = text.find("<sheetData>"), text.rfind("</sheetData>")
    inner = text[first + len("<sheetData>") : last]
    rows: list[str] = []
    at = 0
    for found in _ROWS.finditer(inner):
        if found.start() != at or NUMBERED.search(found[1]):
            return None
        at = found.end()
        rows.append(found[2] or "")
    if at != len(inner):
        return None
    return text[:first], rows, text[last + len("</sheetData>") :]


_STRINGS = re.compile(r'\s*(?:<si><t(?: xml:space="preserve")?>([^<>]*)</t></si>|<si ?/>)\s*')
_SST = re.compile(r"((?:<\?xml[^<>]*\?>)?\s*<sst [^<>]*[^<>/]>)(.*)(</sst>\s*)", re.DOTALL)


def _plain_strings(data: bytes) -> tuple[bytes, list[str]] | None:
    """Return the part of the shared strings without them, and them; None when they are not written in the plain way."""
    try:
        check_encoding(data)
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except (Full, UnicodeDecodeError):
        return None
    whole = _SST.fullmatch(text)
    if whole is None or _OTHER.search(text):
        return None
    if not all(map(_is_character, {int(number) for number in _NUMERIC.findall(text)})):
        return None
    found: list[str] = []
    at = 0
    for one in _STRINGS.finditer(whole[2]):
        if one.start() != at:
            return None
        at = one.end()
        found.append(_unescape(one[1] or ""))
    return ((whole[1] + whole[3]).encode(), found) if at == len(whole[2]) else None


def _is_character(code: int) -> bool:
    """Tell whether XML 1.0 allows a character."""
    return code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code <= 0x10FFFF


def _unescape(text: str) -> str:
    if "&" not in text:
        return text
    text = _NUMERIC.sub(lambda found: chr(int(found[1])) if found[1] != "38" else "&amp;", text)
    for name, sign in (("lt", "<"), ("gt", ">"), ("quot", '"'), ("apos", "'"), ("amp", "&")):
        text = text.replace(f"&{name};", sign)
    return text


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1


def _plain(text: str) -> str:
    """Return a stored number as it is typed: 1.38001380E10 is 13800138000."""
    if not _SCIENTIFIC.fullmatch(text):
        return text
    value: Any = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else text
