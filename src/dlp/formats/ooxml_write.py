"""The parts of an Office package that are written from nothing: content types, relationships, properties, names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from lxml import etree

from dlp.formats import DOCX, PPTX, XLSX
from dlp.formats.ooxml import Members, rels_name, tree
from dlp.formats.room import Room

_TYPES = "[Content_Types].xml"
_TYPES_NS = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELS_NS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CORE = "application/vnd.openxmlformats-package.core-properties+xml"
_APP = "application/vnd.openxmlformats-officedocument.extended-properties+xml"
_HEAD = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PLAIN = re.compile(r"[A-Za-z0-9/_-]{1,100}\.[A-Za-z]{1,5}")
_NUMBER = re.compile(r"\d{6}")
_ENDINGS = {
    "rels": "application/vnd.openxmlformats-package.relationships+xml",
    "xml": "application/xml",
    "docx": DOCX,
    "xlsx": XLSX,
    "pptx": PPTX,
}
_PROPERTIES = {
    "docProps/core.xml": _HEAD
    + b'<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"/>',
    "docProps/app.xml": _HEAD
    + b'<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/extended-properties"/>',
}


class Written(Protocol):
    """What is asked of a part that is written."""

    name: str
    media: str
    root: Any
    data: bytes
    ending: str
    links: dict[str, Link]


class Link(NamedTuple):
    """One relationship of a part of the copy: its type, and a part or an address outside."""

    kind: str
    target: Any
    external: bool = False


def content_type(package: Members, name: str, room: Room) -> str:
    """Return the content type that a package gives one of its parts, "" when it gives none."""
    if _TYPES not in package.members:
        return ""
    given = ""
    for node in tree(package.read(_TYPES), room).iter("{*}Override", "{*}Default"):
        if node.get("PartName", "").lower() == "/" + name.lower():
            return str(node.get("ContentType", ""))
        if node.get("Extension", "").lower() == name.rpartition(".")[2].lower():
            given = str(node.get("ContentType", ""))
    return given


def members(parts: Sequence[Written], kind: str) -> Iterator[tuple[str, bytes]]:
    """Yield the members of the copy; the first part is the main one, and `kind` the relationship that leads to it."""
    names = _names(parts)
    yield _TYPES, _content_types(parts, names)
    yield "_rels/.rels", _package_links(names[id(parts[0])], kind)
    yield from _PROPERTIES.items()
    for part in parts:
        name = names[id(part)]
        yield name, part.data if part.root is None else _serialized(part.root)
        if part.links:
            yield rels_name(name), _links(part, name, names)


def _names(parts: Sequence[Written]) -> dict[int, str]:
    """Return the names of parts: their own where those are plain, numbers where they may tell something."""
    taken = {"docprops/core.xml", "docprops/app.xml"}
    names: dict[int, str] = {}
    home = parts[0].name.partition("/")[0]
    for number, part in enumerate(parts):
        stem, _, ending = part.name.rpartition(".")
        ending = part.ending or ending
        name = f"{stem}.{ending}"
        if not _PLAIN.fullmatch(name) or _NUMBER.search(name) or name.lower() in taken:
            name = f"{home}/part{number}.{part.ending or 'xml'}"
        names[id(part)] = name
        taken.add(name.lower())
    return names


def _content_types(parts: Sequence[Written], names: dict[int, str]) -> bytes:
    root = etree.Element(f"{{{_TYPES_NS}}}Types", nsmap={None: _TYPES_NS})
    endings = dict(_ENDINGS)
    endings |= {part.ending: part.media for part in parts if part.ending}
    used = {"rels", "xml", *(part.ending for part in parts)}
    for ending, media in endings.items():
        if ending in used:
            etree.SubElement(root, f"{{{_TYPES_NS}}}Default", Extension=ending, ContentType=media)
    overrides = {"docProps/core.xml": _CORE, "docProps/app.xml": _APP}
    overrides |= {names[id(part)]: part.media for part in parts if not part.ending}
    for name, media in overrides.items():
        etree.SubElement(root, f"{{{_TYPES_NS}}}Override", PartName=f"/{name}", ContentType=media)
    return _serialized(root)


def _package_links(main: str, kind: str) -> bytes:
    core = "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"
    return _relationships(
        (
            ("rId1", kind, main, False),
            ("rId2", core, "docProps/core.xml", False),
            ("rId3", f"{_OFFICE}/extended-properties", "docProps/app.xml", False),
        )
    )


def _links(part: Written, name: str, names: dict[int, str]) -> bytes:
    folder = posixpath.dirname(name)
    return _relationships(
        (ident, link.kind, link.target, True)
        if link.external
        else (ident, link.kind, posixpath.relpath("/" + names[id(link.target)], "/" + folder), False)
        for ident, link in part.links.items()
    )


def _relationships(links: Any) -> bytes:
    root = etree.Element(f"{{{_RELS_NS}}}Relationships", nsmap={None: _RELS_NS})
    for ident, kind, target, external in links:
        node = etree.SubElement(root, f"{{{_RELS_NS}}}Relationship", Id=ident, Type=kind, Target=target)
        if external:
            node.set("TargetMode", "External")
    return _serialized(root)


def _serialized(root: Any) -> bytes:
    return _HEAD + etree.tostring(root, encoding="UTF-8")  # type: ignore[no-any-return]
