"""Office packages: every part is read, whether anything refers to it or not.

XML parts are streamed through a `Collector`; embedded packages, HTML and other files are read as what they are;
pictures and programs, which are not read, are gaps. There is one member list and nothing in it is skipped.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from lxml import etree

from dlp.formats import Full, Source, locked, loose
from dlp.formats.ooxml_text import Block, Collector
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Slice, Zone
from dlp.sniff import containers, magic

MEDIA = ("application/x-ole-encrypted",)

_CHUNK = 1 << 18  # bytes handed to the parser between two looks at the clock
_ICON = 32  # pixels: a picture no larger than this in both directions holds no words
_ICON_BYTES = 8_192  # an icon that is larger holds more than its pixels
_THUMBNAIL_BYTES = 65_536
_THUMBNAIL = 256  # pixels: Word's preview of the first page, far below the size at which print can be read
_KNOWN_THUMBNAILS = frozenset({"96367138dc44ce09bf2c8f0f8e49348a1478d2c5c0af69bbc2bbc38b63cdcead"})
"""SHA-256 of previews that are part of a template and show an empty page: that of python-docx."""
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']+)["']""")
_ENCODINGS = frozenset({b"utf-8", b"utf8", b"utf-16", b"utf-16le", b"utf-16be", b"us-ascii", b"ascii"})
_XML_NAMES = (".xml", ".rels", ".vml")
_EQUATION = frozenset({"equation native"})
_EMPTY_STREAMS = frozenset(
    {"root entry", "\1ole", "\1compobj", "\3objinfo", "\1olepres000", "\2olepres000", "\3eqneditor"}
)
_IDLE = (  # binary parts that hold no words beyond what the look for runs of text finds
    re.compile(r"printersettings\d*\.bin$"),
    re.compile(r"\.odttf$"),
)


def extract(source: Source, room: Room) -> Document:
    """Return what an encrypted Office file ([MS-OFFCRYPTO]) holds under one of the listed passwords, or a gap.

    It is an OLE file with the package inside, sealed.
    """
    reading = Reading(room)
    plain = locked.unlock(source, room)
    if plain is None:
        reading.miss(GapKind.ENCRYPTED, "the Office file needs a password")
    else:
        reading.take(room.descend("(decrypted)", plain))
    return reading.document(MEDIA[0])


class Taker:
    """Puts the blocks of one part into a reading. A `Sink`."""

    def __init__(self, reading: Reading, part: tuple[str, ...]) -> None:
        self.reading = reading
        self.part = part

    def block(self, block: Block) -> int | None:
        """Add a block as a segment; blanks are none."""
        text = block.text
        if not text or text.isspace():
            return None
        return self.reading.add(text, part=self.part, anchor=block.anchor, zone=block.zone)

    def table(self, rows: list[list[tuple[int | None, int]]]) -> None:
        """Add a table; a cell is the first paragraph in it that has text, a cell without is an empty slice."""
        self.reading.tabulate((self._row(row) for row in rows), part=self.part)

    def _row(self, row: list[tuple[int | None, int]]) -> tuple[Slice, ...]:
        known = next((number for number, _ in row if number is not None), None)
        if known is None:
            return ()
        cells: list[Slice] = []
        for number, span in row:
            size = 0 if number is None else len(self.reading.segments[number].text)
            at = known if number is None else number
            cells.append(Slice(at, 0, size))
            cells += [Slice(at, size, size)] * (span - 1)
        return tuple(cells)

    def doctype(self) -> None:
        """Refuse: no Office part has a document type, and a document type can hold anything."""
        raise Full(GapKind.CORRUPT, "an XML part declares a document type")


def parse(data: bytes, target: Any, room: Room) -> None:
    """Stream one XML part into `target`. Raises `Full` when it is no well-formed part of an Office file."""
    check_encoding(data)
    parser = etree.XMLParser(target=target, resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        for at in range(0, len(data), _CHUNK):
            parser.feed(data[at : at + _CHUNK])
            room.check_time()
        parser.close()
    except etree.LxmlError:
        raise Full(GapKind.CORRUPT, "an XML part is not well-formed, or is nested too deep") from None


def tree(data: bytes, room: Room) -> Any:
    """Return the root element of one XML part. Raises `Full` when it is not well-formed or declares a type."""
    check_encoding(data)
    room.check_time()
    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except (etree.LxmlError, ValueError):
        raise Full(GapKind.CORRUPT, "an XML part is not well-formed, or is nested too deep") from None
    if root.getroottree().docinfo.doctype:
        raise Full(GapKind.CORRUPT, "an XML part declares a document type")
    return root


_NAME = re.compile(rb"<([^\s/>]+)")
_LEAST = 2_048  # bytes; less is not worth the trouble


def condense(data: bytes) -> bytes:
    """Return a part that gives a `Collector` the same blocks and is much shorter, or the part itself.

    Style sheets and themes hold nothing but elements with attributes, thousands of them alike. Of a part without any
    text, comment or instruction only the distinct tags are kept, in the order in which they first come, below the same
    root. A `>` inside an attribute is followed by its closing quote, so it looks like text and nothing is left out.
    """
    start = data.removeprefix(b"\xef\xbb\xbf")
    prolog = start.find(b"?>") + 2 if start.startswith(b"<?xml") else 0
    inner = start[prolog:].strip()
    if len(inner) < _LEAST or b"\0" in inner:
        return data
    tags = _distinct_tags(inner)
    if tags is None or not _is_well_formed(data):
        return data  # whoever reads it says why it is broken
    root, *more = tags
    name = _NAME.match(root)
    if name is None or root.endswith(b"/>") or any(b"xmlns" in tag for tag in more):
        return data
    alone = (tag if tag.endswith(b"/>") else tag[:-1] + b"/>" for tag in more)
    head = b'<?xml version="1.0" encoding="UTF-8"?>'
    return b"".join((head, root, *alone, b"</", name[1], b">"))


def _distinct_tags(inner: bytes) -> list[bytes] | None:
    """Return the tags that open something, each once; `None` when there is anything but tags."""
    found: dict[bytes, None] = {}
    for piece in dict.fromkeys(inner.split(b"<")[1:]):
        tag, closed, text = piece.partition(b">")
        if not closed or text.strip() or tag[:1] in (b"", b"!", b"?"):
            return None
        if not tag.startswith(b"/"):
            found[b"<%b>" % tag] = None
    return list(found)


class _Nothing:
    """Target of a parser that keeps nothing."""

    def close(self) -> None:
        pass


def _is_well_formed(data: bytes) -> bool:
    parser = etree.XMLParser(target=_Nothing(), resolve_entities=False, no_network=True, load_dtd=False)
    try:
        etree.fromstring(data, parser)
    except etree.LxmlError:
        return False
    return True


def check_encoding(data: bytes) -> None:
    """Refuse encodings that the standard does not allow (ECMA-376 part 2, 8.1.3): programs disagree about them."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")):
        return
    found = _ENCODING.match(data.removeprefix(b"\xef\xbb\xbf"))
    if found and found[1].lower() not in _ENCODINGS:
        raise Full(GapKind.CORRUPT, "an XML part declares an encoding that Office files do not have")


class Relation(NamedTuple):
    """One relationship of a part. `target` is a member name, or as written when it is external."""

    id: str
    kind: str
    target: str
    external: bool


class Members(Protocol):
    """What is asked of a package: the names of its members, their content, and bytes that belong to none of them."""

    loose: list[bytes]
    members: dict[str, Any]

    def read(self, name: str) -> bytes:
        """Return the content of a member; `Full` when it cannot be had."""
        ...


def relations(package: Members, part: str, room: Room) -> tuple[Relation, ...]:
    """Return the relationships of a part ("" for the package); none when they are missing or broken."""
    name = rels_name(part)
    if name not in package.members:
        return ()
    found: list[Relation] = []
    target = _Relations(found, posixpath.dirname(part))
    try:
        parse(package.read(name), target, room)
    except Full:
        return ()  # the walk reads this part too, and its gap says why
    return tuple(found)


def rels_name(part: str) -> str:
    """Return the name of the part that holds the relationships of `part`."""
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", f"{name}.rels")


class _Relations:
    """Target of a parser: keeps the relationships."""

    def __init__(self, found: list[Relation], folder: str) -> None:
        self._found = found
        self._folder = folder

    def start(self, tag: str, attrib: Any) -> None:
        if tag.endswith("}Relationship"):
            external = attrib.get("TargetMode") == "External"
            target = attrib.get("Target", "")
            if not external:
                target = posixpath.normpath(posixpath.join("/", self._folder, unquote(target))).lstrip("/")
            self._found.append(Relation(attrib.get("Id", ""), attrib.get("Type", ""), target, external))

    def end(self, tag: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass

    def doctype(self, *_: object) -> None:
        raise Full(GapKind.CORRUPT, "an XML part declares a document type")

    def close(self) -> None:
        pass


class Walk:
    """Reads all members of one package into one reading. `special` members are left to the caller."""

    def __init__(self, package: Members, room: Room) -> None:
        self.room = room
        self.reading = Reading(room)
        self.package = package
        self.folded = {name.lower(): name for name in self.package.members}
        self.thumbnails = {r.target for r in relations(self.package, "", room) if r.kind.endswith("/thumbnail")}

    def path(self, name: str) -> tuple[str, ...]:
        """Return the path of a member as segments and gaps name it."""
        return (*self.room.part, name)

    def names(self) -> Iterator[str]:
        """Yield all members in an order that a reader understands: the main text first, then the rest."""
        members = [name for name in self.package.members if not name.endswith("/")]
        first = re.compile(r"(?:word|xl|ppt)/(?:document|workbook|presentation)\.xml$")
        yield from sorted(members, key=lambda name: (not first.match(name), *_natural(name)))

    def run(self, special: frozenset[str] = frozenset()) -> None:
        """Read every member that is not in `special`, the names of members, and what lies between them."""
        for name in self.names():
            if name not in special:
                self.guard(name, lambda name=name: self.read_part(name, self.package.read(name)))
        names = [name for name in self.package.members if not name.isascii() or re.search(r"\d{7}", name)]
        if names:
            self.reading.add("\n".join(names), part=self.room.part, anchor="names", zone=Zone.METADATA)
        if self.package.loose:
            text = loose.text_runs(b"\0\0".join(self.package.loose))
            if text:
                self.reading.add(text, part=self.room.part, anchor="loose", zone=Zone.HIDDEN)

    def guard(self, name: str, read: Any) -> None:
        """Call `read`; a part that cannot be read is a gap of that part, a spent budget ends the walk."""
        try:
            read()
        except Full as full:
            self.reading.miss(full.kind, full.detail, part=self.path(name))
            self.room.spend_bytes(0)
            self.room.spend_segments(0)
            self.room.spend_chars(0)
            self.room.spend_cells(0)

    def read_part(self, name: str, data: bytes) -> None:
        """Read one member as what its content says it is."""
        lower = name.lower()
        start = data[:64].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")
        if not data:
            return
        if lower.endswith(_XML_NAMES) or start.startswith((b"<?xml", b"<\0?")):
            self._read_xml(name, data)
        elif data.startswith(containers.OLE):
            self._read_ole(name, data)
        elif (media := magic.by_start(data) or "").startswith("image/"):
            self._read_picture(name, data, media)
        elif any(idle.search(lower) for idle in _IDLE):
            self._add_runs(name, data)
        elif lower.endswith(".bin"):
            self._add_runs(name, data)
            self.reading.miss(GapKind.UNSUPPORTED, "a binary part is read only in part", part=self.path(name))
        else:
            self.reading.take(self.room.descend(name, data))

    def collector(self, name: str) -> Collector:
        """Return what takes the text of an XML part."""
        return Collector(Taker(self.reading, self.path(name)))

    def _read_xml(self, name: str, data: bytes) -> None:
        try:
            check_encoding(data)
            parse(condense(data), self.collector(name), self.room)
        except Full:
            # Excel writes VML as it wrote HTML; what is no XML is read as that.
            if not name.lower().endswith(".vml") or b"<!DOCTYPE" in data:
                raise
            self.reading.take(_as_html(name, data, self.room))

    def _read_ole(self, name: str, data: bytes) -> None:
        source = Source(data)
        streams = containers.ole_names(source.peek)
        self._add_runs(name, data)
        if "encryptedpackage" in streams:
            self.reading.miss(GapKind.ENCRYPTED, "an embedded Office file needs a password", part=self.path(name))
        elif "macros" in streams or name.lower().endswith("vbaproject.bin"):
            self.reading.miss(GapKind.UNSUPPORTED, "macros are not read", part=self.path(name))
        elif not streams or streams - _EMPTY_STREAMS - _EQUATION:
            self.reading.miss(GapKind.UNSUPPORTED, "an embedded object is read only in part", part=self.path(name))

    def _add_runs(self, name: str, data: bytes) -> None:
        text = loose.text_runs(data)
        if text:
            self.reading.add(text, part=self.path(name), anchor="runs", zone=Zone.HIDDEN)

    def _read_picture(self, name: str, data: bytes, media: str) -> None:
        size = loose.picture_size(data)
        if size is not None and max(size) <= _ICON and len(data) <= _ICON_BYTES:
            return
        if size is not None and name in self.thumbnails:
            known = hashlib.sha256(data).hexdigest() in _KNOWN_THUMBNAILS
            if known or (max(size) <= _THUMBNAIL and len(data) <= _THUMBNAIL_BYTES):
                return
        if media == "image/wmf":
            self._add_runs(name, data)
        self.reading.take(self.room.descend(name, data))


def _as_html(name: str, data: bytes, room: Room) -> Document:
    from dlp.formats import html  # noqa: PLC0415  html reads no packages, but its module is later in the alphabet

    return html.extract(Source(data, name=name), room.inside(name))


def _natural(name: str) -> tuple[Any, ...]:
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d{1,9})", name) if p)
