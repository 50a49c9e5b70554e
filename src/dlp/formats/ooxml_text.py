"""All text of one XML part of an Office document, by block, in document order.

A `Collector` is fed with the events of a parser: elements, text, comments. It joins the runs of a paragraph, keeps
apart what is not read together (deleted text, field codes, ruby), and gives every other text and every attribute that
can carry words as a block of its own. The same collector serves the reader, which streams, and the redactor, which
walks a tree: so a block that the reader numbered is found again, and each of its characters with the node it lies in.

Elements are told by their local name: the strict and the transitional namespaces mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from dlp.formats.loose import decode_base64, text_runs
from dlp.model import Zone

SHOWN, INSERTED, DELETED, VANISHED, CODE, RUBY = 0, 1, 2, 4, 8, 16
"""What a piece of a paragraph is; the marks of its surroundings are added."""

_BLOCKS = frozenset({"p", "si", "is", "text"})
_MARKS = {
    "del": DELETED,
    "moveFrom": DELETED,
    "ins": INSERTED,
    "moveTo": INSERTED,
    "rt": RUBY,
    "rPh": RUBY,
    "instrText": CODE,
    "delInstrText": CODE | DELETED,
    "delText": DELETED,
}
_RUN_TEXT = frozenset({"t", "delText", "instrText", "delInstrText"})
_SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_BOXES = frozenset({"txbxContent", "textbox", "txBody", "rich"})
_INSIDE = _BOXES | {"Fallback", "comment"}
_GRID = frozenset({"tbl", "tr", "tc", "gridSpan"})
_INLINE = frozenset({*_SIGNS, "sym", "vanish"})
_SPECIAL = _INLINE | _GRID | _INSIDE | frozenset(_MARKS)
"""Elements that say something besides their text."""
_SILENT = frozenset({"posOffset", "align", "pctWidth", "pctHeight", "pctPosHOffset", "pctPosVOffset"})
_ZONES = {
    "hdr": Zone.HEADER,
    "ftr": Zone.FOOTER,
    "comments": Zone.COMMENT,
    "commentsEx": Zone.COMMENT,
    "ThreadedComments": Zone.COMMENT,
    "personList": Zone.COMMENT,
    "people": Zone.COMMENT,
    "coreProperties": Zone.METADATA,
    "Properties": Zone.METADATA,
    "document": Zone.BODY,
    "footnotes": Zone.BODY,
    "endnotes": Zone.BODY,
    "worksheet": Zone.BODY,
    "chartSpace": Zone.BODY,
    "dataModel": Zone.BODY,
    "drawing": Zone.BODY,
    "wsDr": Zone.BODY,
    "userShapes": Zone.BODY,
    "sst": Zone.BODY,
    "sld": Zone.BODY,
    "notes": Zone.BODY,
    "handoutMaster": Zone.BODY,
    "notesMaster": Zone.METADATA,
    "sldLayout": Zone.METADATA,
    "sldMaster": Zone.BODY,
    "cmLst": Zone.COMMENT,
    "cmAuthorLst": Zone.COMMENT,
    "document-content": Zone.BODY,
    "document-styles": Zone.METADATA,
    "document-meta": Zone.METADATA,
    "wordDocument": Zone.BODY,
    "Workbook": Zone.BODY,
    "FixedPage": Zone.HIDDEN,
    "styles": Zone.METADATA,
    "styleSheet": Zone.METADATA,
    "settings": Zone.METADATA,
    "numbering": Zone.METADATA,
    "fonts": Zone.METADATA,
    "theme": Zone.METADATA,
    "workbook": Zone.METADATA,
    "Relationships": Zone.METADATA,
    "Types": Zone.METADATA,
}
_LEAF_ZONES = {
    "oddHeader": Zone.HEADER,
    "evenHeader": Zone.HEADER,
    "firstHeader": Zone.HEADER,
    "oddFooter": Zone.FOOTER,
    "evenFooter": Zone.FOOTER,
    "firstFooter": Zone.FOOTER,
}
_WINGDINGS = {0xAB: "★", 0xAC: "✫", 0xB6: "☆"}  # the signs of a classification mark, as Word inserts symbols

TEXT_ATTRIBUTES = frozenset(
    {
        "alt",
        "author",
        "caption",
        "cmd",
        "command",
        "connection",
        "connectionString",
        "dateOfficial",
        "descr",
        "description",
        "display",
        "displayName",
        "displayText",
        "error",
        "errorTitle",
        "formatCode",
        "formula",
        "fullDate",
        "href",
        "initials",
        "instr",
        "label",
        "location",
        "name",
        "onAction",
        "organization",
        "prompt",
        "promptTitle",
        "publishItems",
        "refersTo",
        "sourceFile",
        "statusText",
        "string",
        "tag",
        "Target",
        "text",
        "title",
        "tooltip",
        "url",
        "userId",
        "userName",
        "value",
    }
)
_SPOKEN_VALUES = frozenset(  # elements whose w:val is what somebody wrote
    {
        "alias",
        "caption",
        "category",
        "connectString",
        "default",
        "description",
        "docVar",
        "helpText",
        "lvlText",
        "name",
        "query",
        "result",
        "statusText",
        "style",
        "tag",
        "title",
    }
)
NUMBERED = re.compile(r"(?:\d[ -]?){11}")  # from a mobile number on; coordinates and ids of Office are shorter
_INNER_TARGET = re.compile(r"[/A-Za-z0-9_. -]{1,100}\.(?:xml|bin|png|jpe?g|gif|emf|wmf|rels|vml|tiff?|bmp)")
_MOST_DISTINCT = 200_000


class Piece(NamedTuple):
    """Text of a block, what it is, and the node it lies in (None while streaming)."""

    text: str
    marks: int
    place: Any


class Block(NamedTuple):
    """One reading of one block. `anchor` is its number and, after it, which reading this is."""

    anchor: str
    tag: str
    zone: Zone
    pieces: list[Piece]

    @property
    def text(self) -> str:
        """Return the text of all pieces."""
        return "".join(piece.text for piece in self.pieces)


class Sink(Protocol):
    """Who takes what a collector collects."""

    def block(self, block: Block) -> int | None:
        """Take a block (it may be empty); return the number of the segment it became, if any."""

    def table(self, rows: list[list[tuple[int | None, int]]]) -> None:
        """Take a table: for each cell the number of the segment of its first text, and the columns it spans."""

    def doctype(self) -> None:
        """Learn that the part has a document type, which no Office part may have."""


class _Open:
    """A block that is being collected, and how deep it stands."""

    __slots__ = ("depth", "number", "pieces", "tag", "zone")

    def __init__(self, number: int, tag: str, zone: Zone, depth: int) -> None:
        self.number = number
        self.tag = tag
        self.zone = zone
        self.depth = depth
        self.pieces: list[Piece] = []


class Collector:
    """Turns the events of one part into blocks. It is also the target of an lxml parser."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.place: Any = None
        """The node the next text lies in; set by whoever walks a tree."""
        self._stack: list[str] = []
        self._names: dict[str, str] = {}
        self._blocks: list[_Open] = []
        self._leaf: _Open | None = None
        self._blanks: list[Piece] = []
        self._marks: list[tuple[int, int]] = []
        self._vanished = False
        self._in: dict[str, int] = {}
        self._zone = Zone.HIDDEN
        self._count = 0
        self._seen: set[str] = set()
        self._dull: set[tuple[str, str, str]] = set()
        self._spoken = 0
        self._tables: list[list[list[tuple[int | None, int]]]] = []
        self._cells: list[list[Any]] = []

    # --- events

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        """Learn that an element begins."""
        name = self._names.get(tag) or self._learn(tag)
        if not self._stack:
            self._zone = _ZONES.get(name, Zone.HIDDEN)
        if self._leaf is not None:
            self._flush()
        elif self._blanks:
            self._blanks.clear()
        if attrib:
            self._read_attributes(name, attrib)
        if name in _BLOCKS:
            self._blocks.append(self._open(name))
        elif name in _SPECIAL:
            self._begin_special(name, attrib)
        self._stack.append(name)

    def _begin_special(self, name: str, attrib: Mapping[str, str]) -> None:
        if name in _MARKS:
            self._marks.append((len(self._stack), _MARKS[name]))
        if name in _INLINE:
            if self._blocks:
                self._inline(name, attrib)
        elif name in _GRID:
            self._begin_grid(name, attrib)
        elif name in _INSIDE:
            self._in[name] = self._in.get(name, 0) + 1

    def end(self, _tag: str) -> None:
        """Learn that an element ends."""
        name = self._stack.pop()
        if self._leaf is not None:
            self._flush()
        elif self._blanks:
            self._blanks.clear()
        depth = len(self._stack)
        if self._marks and self._marks[-1][0] == depth:
            self._marks.pop()
        if name == "r":
            self._vanished = False
        if self._blocks and self._blocks[-1].depth == depth:
            self._close(self._blocks.pop())
        if name in _SPECIAL:
            if name in _GRID:
                self._end_grid(name)
            elif name in _INSIDE:
                self._in[name] -= 1

    def data(self, text: str) -> None:
        """Learn text."""
        name = self._stack[-1]
        if self._blocks and (name in _RUN_TEXT or self._blocks[-1].depth == len(self._stack) - 1):
            self._blocks[-1].pieces.append(Piece(text, self._surroundings(), self.place))
        elif self._leaf is not None:
            self._leaf.pieces.append(Piece(text, SHOWN, self.place))
        elif text.isspace():
            # Most text between elements is indentation. A parser may split text: blanks wait for what follows them.
            self._blanks.append(Piece(text, SHOWN, self.place))
        elif name not in _SILENT:
            self._leaf = self._open(name)
            self._leaf.pieces += [*self._blanks, Piece(text, SHOWN, self.place)]
            self._blanks.clear()

    def comment(self, text: str) -> None:
        """Learn an XML comment; nobody sees it, and it leaves with the file."""
        self._say("#", "comment", text, Zone.HIDDEN)

    def pi(self, target: str, data: str | None = None) -> None:
        """Learn a processing instruction."""
        self._say("#", "pi", f"{target} {data or ''}", Zone.HIDDEN)

    def doctype(self, *_: object) -> None:
        """Learn a document type."""
        self.sink.doctype()

    def close(self) -> None:
        """Learn that the part has ended."""

    # --- blocks

    def _learn(self, tag: str) -> str:
        namespace, _, name = tag.rpartition("}")
        self._names[tag] = name
        if not tag.isascii():
            self._say("<", name, f"{namespace.lstrip('{')} {name}".strip(), Zone.HIDDEN)
        return name

    def _open(self, name: str) -> _Open:
        self._count += 1
        return _Open(self._count, name, self._zone_here(name), len(self._stack))

    def _zone_here(self, name: str) -> Zone:
        if name in _LEAF_ZONES:
            return _LEAF_ZONES[name]
        if not self._in:
            return self._zone
        if self._in.get("Fallback"):
            return Zone.HIDDEN
        if self._zone in (Zone.BODY, Zone.HEADER, Zone.FOOTER) and any(self._in.get(box) for box in _BOXES):
            return Zone.TEXT_BOX
        return self._zone

    def _surroundings(self) -> int:
        marks = VANISHED if self._vanished else SHOWN
        for _, mark in self._marks:
            marks |= mark
        return marks

    def _inline(self, name: str, attrib: Mapping[str, str]) -> None:
        """Read what is no text but stands for some, and what makes text vanish."""
        above = self._stack[-1]
        sign = ""
        if above in ("r", "p"):
            sign = _SIGNS.get(name, "")
            if name == "sym":
                sign = _symbol(attrib)
        if sign:
            self._blocks[-1].pieces.append(Piece(sign, self._surroundings(), self.place))
        elif name == "vanish" and self._stack[-2:] == ["r", "rPr"]:
            self._vanished = _value(attrib) not in ("0", "false", "off")

    def _close(self, block: _Open) -> None:
        """Hand out every reading of a paragraph: as shown, with what is hidden, as it was, field codes, ruby."""
        all_marks = 0
        for piece in block.pieces:
            all_marks |= piece.marks
        apart = CODE | RUBY
        if not all_marks:
            number = self.sink.block(Block(f"{block.number}v", block.tag, block.zone, block.pieces))
        else:
            number = self._hand_out(block, "v", lambda m: not m & (apart | DELETED | VANISHED), block.zone)
        if all_marks & VANISHED:
            self._hand_out(block, "h", lambda m: not m & (apart | DELETED), Zone.HIDDEN)
        if all_marks & DELETED:
            self._hand_out(block, "o", lambda m: not m & (apart | INSERTED), Zone.HIDDEN)
        if all_marks & CODE:
            self._hand_out(block, "f", lambda m: bool(m & CODE), Zone.HIDDEN)
        if all_marks & RUBY:
            self._hand_out(block, "r", lambda m: bool(m & RUBY), Zone.HIDDEN)
        if number is not None and self._cells and self._cells[-1][0] is None:
            self._cells[-1][0] = number

    def _hand_out(self, block: _Open, reading: str, wanted: Any, zone: Zone) -> int | None:
        pieces = [piece for piece in block.pieces if wanted(piece.marks)]
        return self.sink.block(Block(f"{block.number}{reading}", block.tag, zone, pieces))

    def _flush(self) -> None:
        leaf, self._leaf = self._leaf, None
        if leaf is not None:
            self.sink.block(Block(f"{leaf.number}l", leaf.tag, leaf.zone, leaf.pieces))
            if leaf.tag in ("fldData", "binData"):
                hidden = text_runs(decode_base64("".join(piece.text for piece in leaf.pieces)))
                self._say("=", leaf.tag, hidden, Zone.HIDDEN)

    def _say(self, mark: str, tag: str, text: str, zone: Zone) -> None:
        self._count += 1
        self.sink.block(Block(f"{self._count}{mark}", tag, zone, [Piece(text, SHOWN, None)]))

    # --- attributes

    def _read_attributes(self, tag: str, attrib: Mapping[str, str]) -> None:
        for key, value in attrib.items():
            if value in self._seen or (tag, key, value) in self._dull:
                continue
            if not carries_text(tag, key, value, attrib):
                if key != "Target" and len(self._dull) < _MOST_DISTINCT:
                    self._dull.add((tag, key, value))
                continue
            if len(self._seen) >= _MOST_DISTINCT:
                self._seen.clear()
            self._seen.add(value)
            self._spoken += 1
            zone = Zone.TEXT_BOX if tag == "textpath" else Zone.METADATA if self._zone is Zone.METADATA else Zone.HIDDEN
            piece = Piece(value, SHOWN, value)
            self.sink.block(Block(f"{self._spoken}@", tag, zone, [piece]))
            if "%" in value and (plain := unquote(value)) != value:
                self.sink.block(Block(f"{self._spoken}%", tag, Zone.HIDDEN, [Piece(plain, SHOWN, value)]))

    # --- tables

    def _begin_grid(self, name: str, attrib: Mapping[str, str]) -> None:
        if name == "tbl":
            self._tables.append([])
        elif name == "tr" and self._tables:
            self._tables[-1].append([])
        elif name == "tc" and self._tables:
            self._cells.append([None, _number(attrib.get("gridSpan", "1"))])
        elif name == "gridSpan" and self._cells:
            self._cells[-1][1] = _number(_value(attrib))

    def _end_grid(self, name: str) -> None:
        if name == "tc" and self._cells:
            cell = self._cells.pop()
            if self._tables and self._tables[-1]:
                self._tables[-1][-1].append((cell[0], cell[1]))
        elif name == "tbl" and self._tables:
            self.sink.table(self._tables.pop())


def carries_text(tag: str, key: str, value: str, attrib: Mapping[str, str]) -> bool:
    """Tell whether the value of an attribute can be words or numbers of somebody, and not only of the format."""
    if not value.isascii():
        return True
    name = key.rpartition("}")[2]
    if name == "Target":
        return attrib.get("TargetMode") == "External" or not _INNER_TARGET.fullmatch(value)
    if name in TEXT_ATTRIBUTES or (name == "val" and tag in _SPOKEN_VALUES):
        return any(map(str.isalnum, value)) and (tag != "lsdException" or len(value) > 40)
    if len(value) < 6:
        return False
    return bool(NUMBERED.search(value)) or "@" in value or "://" in value or (name == "val" and " " in value)


def _value(attrib: Mapping[str, str]) -> str:
    return next((value for key, value in attrib.items() if key.endswith("val")), "")


def _number(text: str) -> int:
    return max(1, min(int(text), 256)) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _symbol(attrib: Mapping[str, str]) -> str:
    values = {key.rpartition("}")[2]: value for key, value in attrib.items()}
    try:
        code = int(values.get("char", ""), 16)
    except ValueError:
        return ""
    if values.get("font", "").startswith("Wingdings") and code & 0xFF in _WINGDINGS:
        return _WINGDINGS[code & 0xFF]
    return chr(code) if 0x20 <= code < 0xD800 or 0xE000 <= code <= 0x10FFFF else ""
