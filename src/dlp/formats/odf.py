"""OpenDocument (ODT, ODS, ODP and their flat form): paragraphs, cells, notes, and every other part of the package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from dlp.formats import Full, Source
from dlp.formats.loose import decode_base64
from dlp.formats.ooxml import Members, Taker, Walk, parse
from dlp.formats.ooxml_text import SHOWN, Block, Collector, Piece
from dlp.formats.room import Reading, Room
from dlp.formats.zipsafe import Package
from dlp.model import Cut, Document, GapKind, Removed, Zone

_KINDS = ("text", "spreadsheet", "presentation", "graphics", "chart", "formula", "image")
_PREFIX = "application/vnd.oasis.opendocument."
MEDIA = tuple(_PREFIX + kind + form for kind in _KINDS for form in ("", "-template", "-master"))
FLAT = "application/vnd.oasis.opendocument.text-flat-xml"

_MOST_BLANKS = 1_000
_ALIKE = {"h": "p", "table": "tbl", "table-row": "tr", "table-cell": "tc", "covered-table-cell": "tc"}
_INLINE = frozenset(
    (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
        "span a ruby-base meta meta-field date time page-number page-count author-name author-initials chapter title "
        "subject description file-name sender-firstname sender-lastname sender-company user-defined variable-set "
        "variable-get user-field-get expression sequence bookmark-ref reference-ref note-ref hidden-text "
        "conditional-text placeholder text-input database-display initial-creator creator keywords sheet-name "
        "measure number"
    ).split()
)
_DULL = ("}name", "}value", "-name", "}label", "}href")
_TELLING = re.compile(r"(?:\d[ .-]?){11}|[@%]|://")
_HEADERS = frozenset({"header", "header-left", "header-first"})
_FOOTERS = frozenset({"footer", "footer-left", "footer-first"})


def extract(source: Source, room: Room) -> Document:
    """Return all text of an OpenDocument package. `anchor` of a segment is the number of its block in its part."""
    walk = Walker(Package(source, room), room)
    try:
        walk.run()
    except Full as full:
        walk.reading.miss(full.kind, full.detail)
    head = walk.package.read("mimetype") if "mimetype" in walk.package.members else b""
    media = head.decode("ascii", "replace").strip()
    return walk.reading.document(media if media in MEDIA else MEDIA[0])


def warm() -> None:
    """Load what writes documents: called once, before any child is forked."""
    from dlp.formats import odf_cut  # noqa: F401, PLC0415  it imports this module


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the document without the cuts, and without what is no part of what it shows."""
    from dlp.formats import odf_cut  # noqa: PLC0415  it imports this module

    return odf_cut.redact(source, cuts, out, room)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return what readers of Python's own find in a redacted copy."""
    from dlp.formats import odf_cut  # noqa: PLC0415  it imports this module

    del before, cuts
    return odf_cut.verify(source, room)


def read_flat(data: bytes, room: Room) -> Document:
    """Return all text of an OpenDocument file that is one XML file (`office:document`)."""
    reading = Reading(room)
    parse(data, OpenCollector(_Flat(reading, room.part)), room)
    return reading.document(FLAT)


class Walker(Walk):
    """A walk that takes the text of OpenDocument parts, and sees when they are encrypted."""

    def __init__(self, package: Members, room: Room) -> None:
        super().__init__(package, room)
        self.thumbnails.add("Thumbnails/thumbnail.png")

    def collector(self, name: str) -> Collector:
        """Return what takes the text of an XML part."""
        return OpenCollector(Taker(self.reading, self.path(name)))

    def read_part(self, name: str, data: bytes) -> None:
        """Read one member; an encrypted one is a gap and not guessed at."""
        if name == "META-INF/manifest.xml" and b"encryption-data" in data:
            self.reading.miss(GapKind.ENCRYPTED, "the document needs a password")
        if name != "mimetype":
            super().read_part(name, data)


class _Flat(Taker):
    """Takes the blocks of a flat file; pictures and objects in it are Base64."""

    def block(self, block: Block) -> int | None:
        if block.tag == "binary-data":
            self.reading.take(self.reading.room.descend(f"object {block.anchor}", decode_base64(block.text)))
            return None
        return super().block(block)


class OpenCollector(Collector):
    """A collector that knows the elements of OpenDocument (OASIS ODF 1.3 part 3)."""

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        """Learn that an element begins."""
        super().start(tag, attrib)
        name = self._stack[-1]
        if not self._blocks:
            return
        if name == "s":
            count = _count(attrib, "c", _MOST_BLANKS)
            self._sign(" " * count)
        elif name == "line-break" or (name == "tab" and self._stack[-2] != "p"):  # directly in a paragraph it is known
            self._sign("\t" if name == "tab" else "\n")

    def data(self, text: str) -> None:
        """Learn text."""
        if self._blocks and self._within():
            self._sign(text)
        else:
            super().data(text)

    def _within(self) -> bool:
        """Tell whether only what stands in a line lies between the open paragraph and the text."""
        inner = self._stack[self._blocks[-1].depth + 1 :]
        return bool(inner) and all(name in _INLINE for name in inner)

    def _sign(self, text: str) -> None:
        self._blocks[-1].pieces.append(Piece(text, SHOWN, self.place))

    def _learn(self, tag: str) -> str:
        name = super()._learn(tag)
        self._names[tag] = _ALIKE.get(name, name)
        return self._names[tag]

    def _zone_here(self, name: str) -> Zone:
        for above in reversed(self._stack):
            if above in _HEADERS:
                return Zone.HEADER
            if above in _FOOTERS:
                return Zone.FOOTER
            if above in ("annotation", "notes"):
                return Zone.COMMENT
            if above in ("tracked-changes", "deletion"):
                return Zone.HIDDEN
            if above == "text-box":
                return Zone.TEXT_BOX
            if above in ("body", "meta", "tc"):
                break
        return super()._zone_here(name)

    def _read_attributes(self, tag: str, attrib: Mapping[str, str]) -> None:
        # Names of styles are the format's; the value of a cell is shown in it, only long numbers may be rounded there.
        dull = {k for k, v in attrib.items() if k.endswith(_DULL) and v.isascii() and not _TELLING.search(v)}
        super()._read_attributes(tag, {k: v for k, v in attrib.items() if k not in dull} if dull else attrib)

    def _begin_grid(self, name: str, attrib: Mapping[str, str]) -> None:
        super()._begin_grid(name, attrib)
        if name == "tc" and self._cells:
            self._cells[-1][1] = max(_count(attrib, "number-columns-repeated", 256), 1)


def _count(attrib: Mapping[str, str], name: str, most: int) -> int:
    value: Any = next((v for k, v in attrib.items() if k.endswith("}" + name)), "1")
    return min(int(value), most) if value.isascii() and value.isdecimal() and len(value) < 9 else 1
