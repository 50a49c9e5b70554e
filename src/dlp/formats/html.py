"""Web pages: all text in document order, shown or not, tables as grids.

The parser of lxml forgives what browsers forgive. Blocks (paragraphs, cells, list items, ...) become segments; what
stands between the lines, comments, scripts, attributes that hold words, and everything a style hides, is read too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from lxml import etree

from dlp.formats import Full, Source
from dlp.formats.loose import decode_base64
from dlp.formats.room import Reading, Room
from dlp.model import Cut, Document, GapKind, Removed, Slice, Zone
from dlp.sniff import charset

MEDIA = ("text/html",)

_CHUNK = 1 << 18  # characters
_DEEPEST = 200  # open elements; libxml2 itself stops at 256
_BLOCKS = frozenset(
    (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
        "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset "
        "figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html iframe legend li main menu nav noframes "
        "noscript object ol optgroup option p pre search section select summary table tbody td template textarea "
        "tfoot th thead title tr ul video audio canvas svg math script style xmp"
    ).split()
)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())  # noqa: SIM905
_UNSHOWN = frozenset("script style template noscript noframes noembed head datalist object iframe".split())  # noqa: SIM905
_SPOKEN = frozenset(
    (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
        "alt title value placeholder content label summary abbr cite data datetime download href src action srcdoc "
        "aria-label aria-description"
    ).split()
)
_NUMBERED = re.compile(r"\d{6}")
LINKS = frozenset({"href", "src", "action", "data", "cite"})
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0*)?\s*(?:;|$|!)"
    r"|font-size\s*:\s*0(?:\.0*)?(?:px|pt|em|rem|%)?\s*(?:;|$|!)|text-indent\s*:\s*-\d{3,}",
    re.IGNORECASE,
)
_META = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE
)
_ALIASES = {"gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030", "utf8": "utf-8"}
_KNOWN = frozenset(
    {"utf-8", "gb18030", "big5", "cp950", "utf-16-le", "utf-16-be", "utf-16", "windows-1252", "iso-8859-1"}
)
_CELLS = ("td", "th")
_ZONES = {"header": Zone.HEADER, "footer": Zone.FOOTER}


def warm() -> None:
    """Load what writes pages: called once, before any child is forked."""
    from dlp.formats import html_cut  # noqa: F401, PLC0415  it imports this module


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the page without the cuts, and without what is no part of what it shows."""
    from dlp.formats import html_cut  # noqa: PLC0415  it imports this module

    return html_cut.redact(source, cuts, out, room)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return a copy as the parser of Python reads it."""
    from dlp.formats import html_cut  # noqa: PLC0415  it imports this module

    return html_cut.verify(source, before, cuts, room)


def extract(source: Source, room: Room) -> Document:
    """Return all text of a page. A page that can be read in several encodings is read in each."""
    reading = Reading(room)
    try:
        data = source.content()
        texts = decoded(data)
        if not texts:
            reading.miss(GapKind.CORRUPT, "the page is in no encoding that fits it")
        for number, (text, encoding) in enumerate(texts):
            walk(text, reading, suffix=f"~{encoding}" if number else "")
        _read_data(texts[0][0] if texts else "", reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(MEDIA[0])


def _read_data(text: str, reading: Reading) -> None:
    """Read the files that stand in the page as data, each once."""
    for number, packed in enumerate(packed_files(text), 1):
        data = decode_base64(unquote(packed))
        reading.room.spend_entries()
        reading.room.spend_bytes(len(data))
        if data:
            reading.take(reading.room.descend(f"data {number}", data))
        else:
            reading.miss(GapKind.CORRUPT, "a file that stands in the page as data cannot be unpacked")


def packed_files(text: str) -> list[str]:
    """Return the files that stand in a page as data, as they are written there, each once."""
    seen: dict[str, None] = {}
    for found in DATA.finditer(text):
        seen[found[1]] = None
        if len(seen) > _MOST_DATA:
            raise Full(GapKind.TOO_MANY, f"it holds more than {_MOST_DATA} files as data")
    return list(seen)


def decoded(data: bytes) -> list[tuple[str, str]]:
    """Return the readings of a page: what it declares first, then whatever else is plausible."""
    found = [(reading.text, reading.encoding) for reading in charset.readings(data)]
    declared = _META.search(data[:4096])
    if declared and not data.startswith(tuple(bom for _, bom in charset.BOMS)):
        name = declared[1].decode("ascii").lower()
        name = _ALIASES.get(name, name)
        text = charset.decode(data, name) if name in _KNOWN else None
        if text is not None and not charset.BINARY.search(text):
            found = [(text, name), *(pair for pair in found if pair[0] != text)]
    return found


def walk(text: str, reading: Reading, *, suffix: str = "") -> None:
    """Read the text of a page; `suffix` names a reading of it that is not the first."""
    part = (*reading.room.part, suffix) if suffix else reading.room.part
    page = Page(reading, part, hidden=bool(suffix))
    try:
        parse(text, etree.HTMLParser(target=page, no_network=True, huge_tree=False), reading.room)
    except etree.LxmlError:
        reading.miss(GapKind.CORRUPT, "the page is nested too deep, or is none", part=part)
    page.close()


def parse(text: str, parser: Any, room: Room) -> Any:
    """Feed a page to a parser and return what that makes of it."""
    # Whatever a document type or a declaration says about the encoding, this is text already.
    text = text.replace("\0", "")
    for at in range(0, len(text), _CHUNK):
        parser.feed(text[at : at + _CHUNK])
        room.check_time()
    return parser.close()


Pieces = list[tuple[str, Any]]
"""Texts one behind the other, each with the place it comes from."""


class Page:
    """Target of the parser: joins inline text to blocks. `place` says where the text comes from that is learnt next."""

    def __init__(self, reading: Reading, part: tuple[str, ...], *, hidden: bool) -> None:
        self._reading = reading
        self._part = part
        self._hidden = hidden
        self._open: list[tuple[str, bool]] = []
        self._veiled = 0
        self._text: Pieces = []
        self._aside: Pieces = []
        self.place: Any = None
        self._tables: list[list[list[Slice]]] = []
        self._cells: list[int] = []
        self._seen: set[str] = set()
        self._count = 0

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        """Learn that an element begins."""
        if tag in _BLOCKS:
            self._flush()
        elif tag == "br":
            self._text.append(("\n", None))
        veiled = tag in _UNSHOWN or "hidden" in attrib or bool(_HIDING.search(attrib.get("style", "")))
        if veiled and not self._veiled:
            self._flush_aside()
        if attrib:
            self._read_attributes(tag, attrib)
        if tag == "table":
            self._tables.append([])
        elif tag == "tr" and self._tables:
            self._tables[-1].append([])
        elif tag in _CELLS:
            self._cells.append(len(self._reading.segments))
        if tag not in _VOID:
            if len(self._open) >= _DEEPEST:
                raise Full(GapKind.TOO_DEEP, f"elements are nested more than {_DEEPEST} deep")
            self._open.append((tag, veiled))
            self._veiled += veiled

    def end(self, tag: str) -> None:
        """Learn that an element ends; the parser has closed those inside it."""
        if tag in _VOID:
            return
        if tag in _BLOCKS:
            self._flush()
        if tag in _CELLS and self._cells:
            self._end_cell(self._cells.pop())
        elif tag == "table" and self._tables:
            rows = [tuple(row) for row in self._tables.pop()]
            if self._reading.segments:
                self._reading.tabulate(rows, part=self._part)
        while self._open:
            name, veiled = self._open.pop()
            if veiled:
                self._flush_aside()
            self._veiled -= veiled
            if name == tag:
                break

    def _end_cell(self, first: int) -> None:
        """Append the cell: the first text in it; an empty one is an empty slice of whatever stands before it."""
        segments = self._reading.segments
        if self._tables and self._tables[-1] and segments:
            at = min(first, len(segments) - 1)
            self._tables[-1][-1].append(Slice(at, 0, len(segments[at].text) if at == first else 0))

    def data(self, text: str) -> None:
        """Learn text."""
        (self._aside if self._veiled else self._text).append((text, self.place))

    def comment(self, text: str) -> None:
        """Learn a comment; markup in it (conditional comments of Office) is read as text too."""
        self._add([(text, None)], Zone.COMMENT)
        if "<" in text:
            self._add([(_TAG.sub("", text), None)], Zone.COMMENT)

    def pi(self, target: str, data: str | None = None) -> None:
        """Learn a processing instruction."""
        self._add([(f"{target} {data or ''}", None)], Zone.HIDDEN)

    def doctype(self, *names: str | None) -> None:
        """Learn the document type; nothing it names is fetched."""
        text = " ".join(name for name in names if name)
        if not text.isascii():
            self._add([(text, None)], Zone.HIDDEN)

    def close(self) -> None:
        """Learn that the page has ended."""
        self._flush()
        self._flush_aside()

    def _flush(self) -> None:
        pieces, self._text = self._text, []
        self._flush_aside()
        zone = next((_ZONES[name] for name, _ in reversed(self._open) if name in _ZONES), Zone.BODY)
        self._add(pieces, zone)

    def _flush_aside(self) -> None:
        pieces, self._aside = self._aside, []
        self._add(pieces, Zone.METADATA if self._open and self._open[-1][0] == "title" else Zone.HIDDEN)

    def _add(self, pieces: Pieces, zone: Zone) -> None:
        text = "".join([text for text, _ in pieces]).strip()
        if text:
            self._count += 1
            zone = Zone.HIDDEN if self._hidden else zone
            self.note(str(self._count), pieces)
            self._reading.add(text, part=self._part, anchor=str(self._count), zone=zone)

    def note(self, anchor: str, pieces: Pieces) -> None:
        """Learn of what a segment is made; its text is that of the pieces without the blanks around it."""

    def _read_attributes(self, tag: Any, attrib: Mapping[str, str]) -> None:
        for name, value in attrib.items():
            spoken = name in _SPOKEN or not value.isascii() or "@" in value or _NUMBERED.search(value)
            if value in self._seen or not spoken or len(value) < 2:
                continue
            self._seen.add(value)
            meta = tag == "meta" and name == "content"
            self._add([(value, Value(value, whole=True))], Zone.METADATA if meta else Zone.HIDDEN)
            if "%" in value and name in LINKS:
                self._add([(unquote(value), Value(value, whole=False))], Zone.HIDDEN)
            if name == "srcdoc":
                self._add([(_TAG.sub("", value), Value(value, whole=False))], Zone.HIDDEN)


class Value(NamedTuple):
    """The place of a text that is the value of attributes, or something that was read out of it."""

    value: str
    whole: bool


_TAG = re.compile(r"<[^<>]*>")
DATA = re.compile(r"data:[\w/+.;=-]{0,100};base64,([A-Za-z0-9+/=%\s]{24,})", re.IGNORECASE)
"""A picture or file that stands in the page itself, in an attribute or a style (RFC 2397)."""
_MOST_DATA = 500
