"""XML files by themselves: Flat OPC, Word 2003, SpreadsheetML 2003, flat OpenDocument, SVG, and any other XML.

What is not known is read by the same walk over elements and attributes: text is text wherever it stands.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

from lxml import etree

from dlp.formats import DOCX, FORMATS, PPTX, XLSX, Full, Source, odf
from dlp.formats.loose import decode_base64
from dlp.formats.ooxml import Taker, parse, tree
from dlp.formats.ooxml_text import Block, Collector
from dlp.formats.room import Reading, Room
from dlp.formats.rows import Rows
from dlp.model import Document, Zone

MEDIA = ("application/xml", "image/svg+xml")

_PACKED = frozenset({"binData", "binaryData", "binary-data"})
_DATA = re.compile(r"data:[^,]{0,100};base64,", re.IGNORECASE)
_ROOT = re.compile(rb"<(?:([A-Za-z_][\w.-]*):)?([A-Za-z_][\w.-]*)[\s/>]")


def extract(source: Source, room: Room) -> Document:
    """Return all text of an XML file; one that is the whole of a package is read as that."""
    data = source.content()
    reading = Reading(room)
    media = MEDIA[0]
    try:
        root = _root_name(data)
        if root == "package" and (flat := _as_package(data, room)) is not None:
            return flat
        if root == "document" and b"urn:oasis:names:tc:opendocument" in data[:4096]:
            return odf.read_flat(data, room)
        if root == "svg":
            media = MEDIA[1]
        target = _Sheets(reading, room.part) if root == "Workbook" else _Any(_Unpacking(reading, room.part))
        parse(data, target, room)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(media)


def _root_name(data: bytes) -> str:
    head = data[:65_536]
    for found in _ROOT.finditer(head.replace(b"\0", b"")):
        return found[2].decode("ascii")
    return ""


# --- Flat OPC: a package written as one XML file (ECMA-376, as Word writes it)


class _FlatPackage:
    """The parts of a Flat OPC file under the names that they have in a package."""

    def __init__(self, root: Any, room: Room) -> None:
        self.loose: list[bytes] = []
        self.members: dict[str, Any] = {}
        parts = [e for e in root if isinstance(e.tag, str) and e.tag.endswith("}part")]
        room.spend_entries(len(parts))
        for part in parts:
            name = next((v for k, v in part.attrib.items() if k.endswith("}name")), "").lstrip("/")
            self.members[name] = part

    def read(self, name: str) -> bytes:
        """Return the content of a part."""
        for held in self.members[name]:
            kind = held.tag.rpartition("}")[2] if isinstance(held.tag, str) else ""
            if kind == "xmlData" and len(held):
                inner: bytes = etree.tostring(held[0], encoding="UTF-8", with_tail=False)
                return inner
            if kind == "binaryData":
                return decode_base64("".join(held.itertext()))
        return b""


def _as_package(data: bytes, room: Room) -> Document | None:
    root = tree(data, room)
    if not root.tag.startswith("{http://schemas.microsoft.com/office/2006/xmlPackage}"):
        return None
    package = _FlatPackage(root, room)
    kinds = (("word/", DOCX), ("xl/", XLSX), ("ppt/", PPTX))
    media = next((kind for prefix, kind in kinds if any(name.startswith(prefix) for name in package.members)), DOCX)
    document: Document = importlib.import_module(FORMATS[media]).read_package(package, room)
    return document


# --- everything else


class _Unpacking(Taker):
    """Takes blocks; what is packed as Base64 is unpacked and read as what it is."""

    def block(self, block: Block) -> int | None:
        if block.tag in _PACKED:
            self.reading.take(self.reading.room.descend(f"{block.tag} {block.anchor}", decode_base64(block.text)))
            return None
        return super().block(block)


class _Any(Collector):
    """A collector for any XML: pictures that stand in attributes as data are unpacked."""

    def __init__(self, sink: _Unpacking) -> None:
        super().__init__(sink)
        self._taker = sink
        self._zone = Zone.BODY

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        first = not self._stack
        super().start(tag, attrib)
        if first and self._zone is Zone.HIDDEN:
            self._zone = Zone.BODY

    def _read_attributes(self, tag: str, attrib: Mapping[str, str]) -> None:
        kept = {}
        for key, value in attrib.items():
            found = _DATA.match(value)
            if found is None:
                kept[key] = value
                continue
            reading = self._taker.reading
            self._spoken += 1
            reading.take(reading.room.descend(f"data {self._spoken}", decode_base64(value[found.end() :])))
        super()._read_attributes(tag, kept)


class _Cells(_Unpacking):
    """Takes blocks; those that are values of cells go into rows."""

    def __init__(self, reading: Reading, part: tuple[str, ...]) -> None:
        super().__init__(reading, part)
        self.rows = Rows(reading, part)
        self.value: list[str] | None = None

    def block(self, block: Block) -> int | None:
        if self.value is not None and block.zone is not Zone.COMMENT:
            self.value.append(block.text)
            return None
        return super().block(block)


class _Sheets(_Any):
    """A collector for SpreadsheetML 2003: rows and cells."""

    def __init__(self, reading: Reading, part: tuple[str, ...]) -> None:
        self._cells_of = _Cells(reading, part)
        super().__init__(self._cells_of)
        self._column = 0
        self._over = 0

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        super().start(tag, attrib)
        name = self._stack[-1]
        if name == "Cell":
            index = _attribute(attrib, "Index")
            self._column = index - 1 if index else self._cells_of.rows.next + self._over
            self._over = _attribute(attrib, "MergeAcross")
        elif name == "Data" and "Comment" not in self._stack:
            self._cells_of.value = []

    def end(self, tag: str) -> None:
        name = self._stack[-1]
        super().end(tag)
        if name == "Data" and self._cells_of.value is not None:
            text, self._cells_of.value = "".join(self._cells_of.value), None
            if text:
                self._cells_of.rows.cell(max(self._column, self._cells_of.rows.next), text)
        elif name == "Row":
            self._over = 0
            self._cells_of.rows.end_row()
        elif name == "Table":
            self._cells_of.rows.end()


def _attribute(attrib: Mapping[str, str], name: str) -> int:
    value = next((v for k, v in attrib.items() if k.endswith("}" + name)), "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 7 else 0
