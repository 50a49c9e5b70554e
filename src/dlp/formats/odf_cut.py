"""OpenDocument packages written anew: text, styles, pictures and objects that are shown, and nothing else.

Changes are accepted, comments dropped; properties, settings, scripts, previews, signatures and whatever nothing refers
to stay behind. Holes are found as in Office packages (see `ooxml_holes`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Any, BinaryIO
from urllib.parse import unquote

from lxml import etree

from dlp.formats import NotRedactable, Source, odf, package_proof, pixels, zipsafe
from dlp.formats.cutting import by_member, counted, filled, summed
from dlp.formats.ooxml import Members
from dlp.formats.ooxml_holes import Holes, Wanted, blocks_of, local, remove, tree
from dlp.formats.ooxml_wishes import wanted
from dlp.formats.room import Full, Room, redact_member
from dlp.model import Cut, Document, GapKind, Removed
from dlp.sniff import magic

_DROPPED = frozenset(
    (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
        "tracked-changes change change-start change-end annotation annotation-end scripts script event-listeners "
        "binary-data plugin applet floating-frame object-ole dde-connection-decls dde-links dde-source forms "
        "database-ranges connection-resource"
    ).split()
)
_VALUES = frozenset({"value", "date-value", "time-value", "boolean-value", "string-value", "formula", "href"})
"""Attributes that are not shown as they are: what was cut into goes as a whole."""
_PREFIX = "application/vnd.oasis.opendocument."
_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_META = (
    f'{_HEAD}<office:document-meta xmlns:office="{_NS}office:1.0" office:version="1.3"><office:meta/>'
    "</office:document-meta>"
)
_MEMBERS = re.compile(
    r"mimetype|META-INF/manifest\.xml|(?:Object_\d+/)?(?:content|styles)\.xml|meta\.xml|Pictures/file\d+\.[a-z]{3,4}"
)
_LEFT_BEHIND = _DROPPED - {"script"} | {"creator", "initial-creator", "title", "user-defined", "generator"}


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the document without the cuts."""
    return _Copy(zipsafe.Package(source, room), cuts, room).write(out)


def verify(source: Source, room: Room) -> Document:
    """Return the texts of a copy as readers of Python's own find them."""
    return package_proof.look(odf.MEDIA[0], source, _MEMBERS, _LEFT_BEHIND - {"title"}, room)


class _Copy:
    def __init__(self, package: zipsafe.Package, cuts: Sequence[Cut], room: Room) -> None:
        self._package = package
        self._cuts = cuts
        self._inside = by_member(cuts)
        self._room = room
        self._objects: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._pictures: dict[str, tuple[str, bytes]] = {}
        self._parts: list[tuple[str, bytes]] = []
        self._taken: list[Removed] = []
        self._shown: set[str] = set()
        self._media = package.read("mimetype") if "mimetype" in package.members else b""
        if self._media.decode("ascii", "replace") not in odf.MEDIA or "content.xml" not in package.members:
            raise NotRedactable("the package does not say what it is")
        if b"encryption-data" in self._read("META-INF/manifest.xml"):
            raise Full(GapKind.ENCRYPTED, "the document needs a password")
        self._wanted: Wanted = wanted(package, cuts, room, _read_parts, frozenset())

    def _read(self, name: str) -> bytes:
        return self._package.read(name) if name in self._package.members else b""

    def write(self, out: BinaryIO) -> tuple[Removed, ...]:
        """Write the new package."""
        self._take("", "")
        for folder, name in self._objects.items():  # grows while it is read: objects lie in objects
            self._take(f"{folder}/", f"{name}/")
        members = [("mimetype", self._media), *self._parts, ("meta.xml", _META.encode())]
        members += [(f"Pictures/{name}", data) for name, data in self._pictures.values()]
        manifest = ("META-INF/manifest.xml", self._manifest([name for name, _ in members[1:]]))
        zipsafe.write(out, [*members, manifest], stored=frozenset({"mimetype"}))
        rest = [cut for cut in self._cuts if not cut.part or cut.part[0] not in self._shown]
        return summed((*counted(rest), *self._taken))

    def _take(self, old: str, new: str) -> None:
        """Take along the content and the styles of a document or of an object in it."""
        for name in ("content.xml", "styles.xml"):
            if old + name in self._package.members:
                root = tree(self._read(old + name))
                self._cut(old + name, root)
                self._clean(root, old, new)
                body = next(iter(root.iterfind("{*}body/*")), None)
                if body is not None:
                    self._kinds[new] = _PREFIX + local(body.tag)
                data: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
                self._parts.append((new + name, data))

    def _cut(self, part: str, root: Any) -> None:
        """Take the holes out of a part, of its text and of its attributes."""
        holes = Holes()
        left = self._wanted.texts(part)
        for block in blocks_of(root, collector=odf.OpenCollector):
            found = self._wanted.holes(part, block.text)
            if found:
                holes.add(block, found)
            left.discard(block.text)
        holes.apply()
        for node in root.iter(etree.Element):
            for key, value in node.attrib.items():
                found = self._wanted.holes(part, value)
                left.discard(value)
                if not found:
                    continue
                if local(key) in _VALUES:
                    del node.attrib[key]
                    _become_text(node)
                else:
                    node.set(key, filled(value, found))
        if left:
            raise NotRedactable("what is to be removed is not where it was read")

    def _clean(self, root: Any, old: str, new: str) -> None:
        """Drop what is no part of what is shown, and follow what is."""
        for node in [node for node in root.iter(etree.Element) if local(node.tag) in _DROPPED]:
            remove(node)
        self._room.check_time()
        for node in list(root.iter(etree.Element)):
            key = next((key for key in node.attrib if local(key) == "href"), None)
            if key is None or local(node.tag) not in ("image", "object", "fill-image", "background-image"):
                continue
            path = self._followed(posixpath.normpath(posixpath.join(old, unquote(node.get(key)))), new)
            if path is None:
                remove(node)
            else:
                node.set(key, path)

    def _followed(self, path: str, new: str) -> str | None:
        """Return the new path of what a part refers to, None for what is not taken along."""
        up = "../" * new.count("/")
        if f"{path}/content.xml" in self._package.members:
            name = self._objects.setdefault(path, f"Object_{len(self._objects)}")
            return f"{up}{name}" if up else f"./{name}"
        data = self._read(path)
        media = magic.by_start(data) or ""
        if path.startswith("ObjectReplacements/") or media not in pixels.WRITTEN:
            return None
        if path not in self._pictures:
            self._shown.add(path)
            if path in self._inside:
                data, removed = redact_member(path, data, self._inside[path], self._room)
                self._taken += removed
            else:
                data = pixels.clean_picture(data, self._room)
            self._pictures[path] = (f"file{len(self._pictures)}.{media.rpartition('/')[2]}", data)
        return f"{up}Pictures/{self._pictures[path][0]}"

    def _manifest(self, names: Sequence[str]) -> bytes:
        kind = self._media.decode("ascii")
        objects = (f"{name}/" for name in self._objects.values())
        entries = [("/", kind), *((name, self._kinds.get(name, "")) for name in objects)]
        entries += [
            (name, "text/xml" if name.endswith(".xml") else f"image/{name.rpartition('.')[2]}") for name in names
        ]
        lines = "".join(
            f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="{media}"/>'
            for name, media in entries
        )
        head = f'{_HEAD}<manifest:manifest xmlns:manifest="{_NS}manifest:1.0" manifest:version="1.3">'
        return f"{head}{lines}</manifest:manifest>".encode()


def _read_parts(package: Members, room: Room) -> Document:
    walk = odf.Walker(package, room)
    walk.run()
    return walk.reading.document(odf.MEDIA[0])


def _become_text(cell: Any) -> None:
    """Let a cell whose value went be text."""
    for key in cell.attrib:
        if local(key) == "value-type":
            cell.set(key, "string")
