"""A second look at a redacted Office file, by readers that had no part in it: Python's own ZIP and XML parsers.

Every string of every part is handed to the scanner: the text of a block in one, each attribute by itself. What may not
be there at all is a check that fails: bytes between the members, parts of other kinds, history, comments.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat

from dlp.formats import Source
from dlp.formats.room import Reading, Room
from dlp.model import Check, Document, Zone

_TYPES = "[Content_Types].xml"
_OFFICE = r"application/vnd\.openxmlformats-officedocument\."
_ALLOWED = re.compile(
    rf"{_OFFICE}wordprocessingml\.(?:document\.main|template\.main|header|footer|footnotes|endnotes|styles|numbering"
    r"|settings|fontTable)\+xml"
    rf"|{_OFFICE}spreadsheetml\.(?:sheet\.main|template\.main|worksheet|chartsheet|sharedStrings|styles|table)\+xml"
    rf"|{_OFFICE}presentationml\.(?:(?:presentation|slideshow|template)\.main|slide|slideLayout|slideMaster|notesSlide"
    r"|notesMaster|handoutMaster|tableStyles)\+xml"
    rf"|{_OFFICE}(?:theme|themeOverride|drawing|extended-properties)\+xml"
    rf"|{_OFFICE}drawingml\.(?:chart|chartshapes|diagramData|diagramLayout|diagramStyle|diagramColors)\+xml"
    r"|application/vnd\.ms-office\.(?:chartex|drawingml\.diagramDrawing)\+xml"
    rf"|{_OFFICE}(?:wordprocessingml\.document|spreadsheetml\.sheet|presentationml\.presentation)"
    r"|application/vnd\.openxmlformats-package\.(?:relationships|core-properties)\+xml"
    r"|image/(?:png|jpeg|gif|bmp|tiff|webp)"
)
"""Content types of parts that a copy may have. The list of the redactor says the same in its own words."""
_FIXED = (1980, 1, 1, 0, 0, 0)
_LOCAL, _CENTRAL, _END = 30, 46, 22  # bytes of the records of a ZIP file without their names
_BLOCKS = frozenset({"p", "si", "is", "c", "row", "pt", "text"})
_SHORT = re.compile(r"[-+0-9.]{0,10}|[0-9A-Fa-f]{6}")  # a length, a place, a colour
_LISTED = frozenset({"Default", "Override", "Relationship"})
_GRID = frozenset({("c", "r"), ("row", "r"), ("row", "spans")})
"""Attributes of cells and rows that say where they stand, and nothing else where they look like it."""
_PLACE = re.compile(r"[A-Z]{0,3}[0-9]{1,7}|[0-9]{1,5}:[0-9]{1,5}")
_IN_ROWS = frozenset({"c", "is"})
_HISTORY = re.compile(
    r"del|ins|moveFrom|moveTo|del[A-Z]\w*|(?!num)\w*Change|comment|comments|comment(?:RangeStart|RangeEnd|Reference)|cmLst"
    r"|ThreadedComments|annotationRef|rsids?"
)
_STORY = frozenset({"document", "hdr", "ftr", "footnotes", "endnotes", "settings", "styles", "numbering"})
_NESTED = {".docx", ".xlsx", ".pptx"}


class Wrong(Exception):  # noqa: N818  it is no error of the program
    """Something in the copy is not as it must be; the text is a plain clause that quotes nothing."""


class _Part:
    """What expat tells of one part: its texts by block, its attributes, and what should not be there."""

    def __init__(self, data: bytes) -> None:
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.history = ""
        self._stack: list[tuple[str, list[str]]] = []
        self._blocks = 0
        self._seen: set[str] = set()
        self._root = ""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        for odd in ("CommentHandler", "ProcessingInstructionHandler", "StartDoctypeDeclHandler", "EntityDeclHandler"):
            setattr(parser, odd, self._odd)
        try:
            parser.Parse(data, True)
        except expat.ExpatError:
            raise Wrong("a part is not well-formed") from None

    def _odd(self, *_: object) -> None:
        raise Wrong("a part holds an XML comment, an instruction or a document type")

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._root = self._root or name
        plain = {key.rpartition("}")[2]: value for key, value in attributes.items()}
        if name in _LISTED:
            self.elements.append((name, plain))
        for key, value in attributes.items():
            placed = (name, key) in _GRID and _PLACE.fullmatch(value)
            if value not in self._seen and not placed and not _SHORT.fullmatch(value):
                self._seen.add(value)
                self.texts.append(value)
        if not name.isascii():
            self.texts.append(name)
        if self._root in _STORY and _HISTORY.fullmatch(name):
            self.history = "a change or a comment is still there"
        if self._root in _STORY and any(key.startswith("rsid") for key in plain):
            self.history = "a mark of an editing session is still there"
        texts = self._stack[-1][1] if self._blocks and name not in _BLOCKS else []
        self._blocks += name in _BLOCKS
        self._stack.append((name, texts))

    def _end(self, _tag: str) -> None:
        name, texts = self._stack.pop()
        self._blocks -= name in _BLOCKS
        if not texts or (self._stack and self._stack[-1][1] is texts):
            return
        if name in _IN_ROWS and self._blocks:
            self._stack[-1][1].append("".join((*texts, "\t")))
        else:
            self.texts.append("".join(texts))

    def _text(self, text: str) -> None:
        if self._stack:
            self._stack[-1][1].append(text)


def verify(source: Source, room: Room) -> Document:
    """Return every string of a copy, and the checks of its outside."""
    return _look(source, room).document("")


def verify_word(source: Source, room: Room) -> Document:
    """Return the same of a Word document, and what python-docx reads in it."""
    reading = _look(source, room)
    check = Check(name="reopened:python-docx", state="ok")
    try:
        for text in _word_texts(source.content()):
            if text and not text.isspace():
                reading.add(text, part=room.part, zone=Zone.HIDDEN)
    except (KeyError, ValueError, AttributeError, IndexError, TypeError, OSError, zipfile.BadZipFile) as err:
        check = Check(name=check.name, state="fail", detail=f"it cannot be opened: {type(err).__name__}")
    reading.checks.append(check)
    return reading.document("")


def _word_texts(raw: bytes) -> Iterator[str]:
    import docx  # noqa: PLC0415  only a proof needs it, and it takes a while to load

    document = docx.Document(io.BytesIO(raw))
    stories = [document, *(story for section in document.sections for story in _stories(section))]
    for story in stories:
        yield from (paragraph.text for paragraph in story.paragraphs)
        for table in story.tables:
            for row in table.rows:
                yield "\t".join([cell.text for cell in row.cells])


def _stories(section: object) -> Iterator[Any]:
    """Yield the headers and footers that a section has of its own."""
    for when in ("", "first_page_", "even_page_"):
        for what in ("header", "footer"):
            story = getattr(section, when + what)
            if not story.is_linked_to_previous:
                yield story


def _look(source: Source, room: Room) -> Reading:
    reading = Reading(room)
    done = {"reopened:expat": "", "parts": "", "history": ""}
    try:
        _package(source.content(), room, reading, done)
    except Wrong as wrong:
        done["parts"] = str(wrong)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        done["reopened:expat"] = "the package does not open"
    reading.checks += [Check(name=name, state="fail" if why else "ok", detail=why) for name, why in done.items()]
    return reading


def _package(raw: bytes, room: Room, reading: Reading, done: dict[str, str]) -> None:
    with zipfile.ZipFile(io.BytesIO(raw)) as package:
        _outside(package, len(raw))
        parts: dict[str, _Part] = {}
        for entry in package.infolist():
            room.spend_bytes(entry.file_size)
            data = package.read(entry)
            ending = "." + entry.filename.rpartition(".")[2]
            if ending in (".xml", ".rels"):
                part = parts[entry.filename] = _Part(data)
                done["history"] = done["history"] or part.history
                for text in part.texts:
                    if not text.isspace():
                        reading.add(text, part=(*room.part, entry.filename), zone=Zone.HIDDEN)
            elif ending in _NESTED:
                _package(data, room.inside(entry.filename), reading, done)
        _inside(parts, frozenset(package.namelist()))


def _outside(package: zipfile.ZipFile, size: int) -> None:
    """Look at what lies around the members: nothing may."""
    entries = package.infolist()
    names = [entry.filename.casefold() for entry in entries]
    if len(set(names)) != len(names):
        raise Wrong("two members have the same name")
    if package.comment or any(entry.comment or entry.extra or entry.date_time != _FIXED for entry in entries):
        raise Wrong("the package has comments, extra fields or times")
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset != at or entry.flag_bits & ~0x0800:
            raise Wrong("there are bytes between the members")
        at += _LOCAL + len(entry.filename.encode()) + entry.compress_size
    if at + sum(_CENTRAL + len(entry.filename.encode()) for entry in entries) + _END != size:
        raise Wrong("there are bytes before or behind the package")


def _inside(parts: Mapping[str, _Part], names: frozenset[str]) -> None:
    """Look at what the members are: parts on the list, each of which a relationship leads to."""
    if _TYPES not in parts:
        raise Wrong("the package has no content types")
    types = _content_types(parts[_TYPES], names)
    if not all(map(_ALLOWED.fullmatch, types.values())):
        raise Wrong("the package has a part that is not on the list")
    found = set(_targets(parts))
    if not found <= names:
        raise Wrong("a relationship leads nowhere")
    if names - found - {_TYPES} - {name for name in names if name.endswith(".rels")}:
        raise Wrong("nothing leads to a part of the package")


def _content_types(part: _Part, names: frozenset[str]) -> dict[str, str]:
    defaults = {a.get("Extension", ""): a.get("ContentType", "") for name, a in part.elements if name == "Default"}
    given = {a.get("PartName", "")[1:]: a.get("ContentType", "") for name, a in part.elements if name == "Override"}
    endings = {name: defaults.get(name.rpartition(".")[2], "") for name in names}
    return {name: given.get(name, endings[name]) for name in names if name != _TYPES}


def _targets(parts: Mapping[str, _Part]) -> Iterator[str]:
    for name, part in parts.items():
        if not name.endswith(".rels"):
            continue
        folder = posixpath.dirname(posixpath.dirname(name))
        for element, given in part.elements:
            if element == "Relationship" and given.get("TargetMode") != "External":
                target = unquote(given.get("Target", ""))
                yield posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
