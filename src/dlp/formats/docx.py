"""Word documents: one segment a paragraph, tables as grids, and every other place where text can lie.

Redaction walks the parts that hold a cut as trees, with the same collector that read them: so each character of a
block is found again in the node it came from. Runs keep their formatting; what is cut is gone from the node, and the
package is written anew, without anything that lay between its members.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from lxml import etree

from dlp.formats import DOCX, Full, NotRedactable, Source, zipsafe
from dlp.formats.ooxml import Members, Walk, check_encoding, parse
from dlp.formats.ooxml_text import Block, Collector
from dlp.formats.room import Room
from dlp.model import Cut, Document, Removed

MEDIA = (DOCX,)

_ANCHOR = re.compile(r"[0-9]+[vhofrl@%]")  # blocks whose text lies in elements or attributes
_DIGITAL_SIGNATURE = "_xmlsignatures/"


def extract(source: Source, room: Room) -> Document:
    """Return all text of a Word document. `anchor` of a segment is the number of its block in its part."""
    return read_package(zipsafe.Package(source, room), room)


def read_package(package: Members, room: Room) -> Document:
    """Return all text of the package of a Word document."""
    walk = Walk(package, room)
    try:
        walk.run()
    except Full as full:
        walk.reading.miss(full.kind, full.detail)
    return walk.reading.document(DOCX)


def warm() -> None:
    """Load what the first document would load: called once, before any child is forked."""
    parse(b"<a><b>x</b></a>", Collector(_Blocks(frozenset())), Room())


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the document without the cuts. Raises `NotRedactable` for a cut that lies in no XML part of its own.

    A file that carries a digital signature is refused: a changed copy would still look signed.
    """
    package = zipsafe.Package(source, room)
    if any(name.startswith(_DIGITAL_SIGNATURE) for name in package.members):
        raise NotRedactable("it carries a digital signature")
    by_part: dict[str, list[Cut]] = {}
    counts: dict[str, int] = {}
    for cut in cuts:
        if len(cut.part) != 1 or cut.part[0] not in package.members:
            raise NotRedactable("what is to be removed lies in an embedded file")
        by_part.setdefault(cut.part[0], []).append(cut)
        if cut.label:
            counts[cut.type] = counts.get(cut.type, 0) + 1

    def members() -> Iterator[tuple[str, bytes]]:
        for name in package.members:
            if not name.endswith("/"):
                data = package.read(name)
                yield name, _cut_part(data, by_part[name]) if name in by_part else data

    zipsafe.write(out, members())
    return tuple(Removed(type=kind, count=count) for kind, count in sorted(counts.items()))


class _Text(NamedTuple):
    """Where a piece of text is kept: the `text` or the `tail` of an element, or the element itself for a sign."""

    node: Any
    slot: str


class _Blocks:
    """Keeps every block that a cut names. A `Sink`."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self.found: dict[str, Block] = {}

    def block(self, block: Block) -> int | None:
        if block.anchor in self._wanted:
            self.found[block.anchor] = block
        # Empty blocks became no segment; a cell asks only whether there was one.
        return 0 if block.text and not block.text.isspace() else None

    def table(self, rows: list[list[tuple[int | None, int]]]) -> None:
        del rows

    def doctype(self) -> None:
        raise NotRedactable("an XML part declares a document type")


def _cut_part(data: bytes, cuts: list[Cut]) -> bytes:
    if not all(_ANCHOR.fullmatch(cut.anchor) for cut in cuts):
        raise NotRedactable("what is to be removed lies in an XML comment or in packed data")
    check_encoding(data)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.LxmlError:
        raise NotRedactable("an XML part is nested too deep to be written anew") from None
    if root.getroottree().docinfo.doctype:
        raise NotRedactable("an XML part declares a document type")
    sink = _Blocks(frozenset(cut.anchor for cut in cuts))
    collector = Collector(sink)
    for before in reversed(list(root.itersiblings(preceding=True))):
        _walk(before, collector)
    _walk(root, collector)
    for after in root.itersiblings():
        _walk(after, collector)
    holes = _Holes()
    values: dict[str, str] = {}
    for cut in cuts:
        block = sink.found.get(cut.anchor)
        if block is None or not 0 <= cut.start <= cut.end <= len(block.text):
            raise NotRedactable("what is to be removed is not where it was read")
        if cut.anchor[-1] in "@%":
            # The whole value goes: it is a name or an address, and half of one would be a broken one.
            values[str(block.pieces[0].place)] = cut.label or "〔已脱敏〕"
        else:
            holes.add(block, cut)
    holes.apply()
    _replace_values(root, values)
    written: bytes = etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True, standalone=True)
    return written


def _walk(node: Any, collector: Collector) -> None:
    """Feed a tree to a collector as a parser would; without recursion, because a tree can be deep."""
    steps: list[tuple[str, Any]] = [("start", node)]
    while steps:
        step, node = steps.pop()
        if step == "end":
            collector.end(node.tag)
        elif step == "tail":
            collector.place = _Text(node, "tail")
            collector.data(node.tail)
        elif node.tag is etree.Comment:
            collector.comment(node.text or "")
        elif node.tag is etree.PI:
            collector.pi(node.target, node.text)
        elif node.tag is etree.Entity:
            raise NotRedactable("an XML part uses an entity of its own")
        else:
            collector.place = _Text(node, "self")
            collector.start(node.tag, _attributes(node))
            if node.text:
                collector.place = _Text(node, "text")
                collector.data(node.text)
            steps.append(("end", node))
            for child in reversed(node):
                if child.tail:
                    steps.append(("tail", child))
                steps.append(("start", child))
            continue


def _attributes(node: Any) -> Mapping[str, str]:
    return dict(node.attrib)


class _Holes:
    """Collects what is to be cut out of each node and does it at the end, from the back, so that places stay true."""

    def __init__(self) -> None:
        self._holes: dict[tuple[int, str], list[tuple[int, int, str]]] = {}
        self._nodes: dict[int, Any] = {}

    def add(self, block: Block, cut: Cut) -> None:
        """Note the part of a cut that lies in each piece of a block; the label stands in the first one."""
        label = cut.label
        at = 0
        for piece in block.pieces:
            start, end = max(cut.start - at, 0), min(cut.end - at, len(piece.text))
            if start < end:
                place: _Text = piece.place
                self._nodes[id(place.node)] = place.node
                self._holes.setdefault((id(place.node), place.slot), []).append((start, end, label))
                label = ""
            at += len(piece.text)

    def apply(self) -> None:
        """Cut."""
        for (number, slot), holes in self._holes.items():
            node = self._nodes[number]
            if slot == "self":
                _empty_sign(node)
                continue
            text = getattr(node, slot)
            for start, end, label in _merged(holes):
                text = text[:start] + label + text[end:]
            setattr(node, slot, text)


def _merged(holes: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return the holes of one text without overlaps, the last one first. Two readings can name the same place."""
    merged: list[tuple[int, int, str]] = []
    for start, end, label in sorted(holes):
        if merged and start < merged[-1][1]:
            first, last, name = merged[-1]
            merged[-1] = (first, max(last, end), name or label)
        else:
            merged.append((start, end, label))
    return merged[::-1]


def _empty_sign(node: Any) -> None:
    """Take a symbol out of its run; its tail, if any, stays."""
    parent = node.getparent()
    if parent is None:
        raise NotRedactable("a sign to be removed stands alone")
    if node.tail:
        before = node.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + node.tail
        else:
            parent.text = (parent.text or "") + node.tail
    parent.remove(node)


def _replace_values(root: Any, values: Mapping[str, str]) -> None:
    if not values:
        return
    for node in root.iter(etree.Element):
        for key, value in node.attrib.items():
            if value in values:
                node.set(key, values[value])
