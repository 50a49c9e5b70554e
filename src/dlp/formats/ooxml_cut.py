"""Office packages written anew without what cuts name: only parts of known kinds that something shown refers to.

The copy grows from the main part: a part is parsed, cut, cleaned (no comments, no history, no extensions), and only
what it still refers to, and of that only the kinds on the list, comes next. Relationships, content types and properties
are written from nothing. What a format does of its own is in the classes below `Copy`.
"""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, BinaryIO, ClassVar, NamedTuple
from urllib.parse import unquote

from dlp.formats import DOCX, PPTX, XLSX, NotRedactable, Source, ooxml_pictures, ooxml_write, zipsafe
from dlp.formats.cutting import Hole, counted, filled, summed
from dlp.formats.ooxml import Relation, relations, rels_name
from dlp.formats.ooxml_clean import REFERENCES, anywhere, choose, crop_of, leave_out, references, whole
from dlp.formats.ooxml_holes import Holes, Wanted, blocks_of, local, remove, tree
from dlp.formats.ooxml_pictures import Crop
from dlp.formats.ooxml_text import Block
from dlp.formats.ooxml_wishes import Read, wanted
from dlp.formats.ooxml_write import Link
from dlp.formats.room import Room, redact
from dlp.model import Cut, Removed, evolve
from dlp.sniff import EDGE_BYTES, sniff

_FAMILIES = (
    *REFERENCES,
    "http://schemas.microsoft.com/office/2007/relationships",
    "http://schemas.microsoft.com/office/2014/relationships",
)
DRAWING_PARTS = {
    "chart": "application/vnd.openxmlformats-officedocument.drawingml.chart+xml",
    "chartEx": "application/vnd.ms-office.chartex+xml",
    "chartUserShapes": "application/vnd.openxmlformats-officedocument.drawingml.chartshapes+xml",
    "diagramData": "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml",
    "diagramLayout": "application/vnd.openxmlformats-officedocument.drawingml.diagramLayout+xml",
    "diagramQuickStyle": "application/vnd.openxmlformats-officedocument.drawingml.diagramStyle+xml",
    "diagramColors": "application/vnd.openxmlformats-officedocument.drawingml.diagramColors+xml",
    "diagramDrawing": "application/vnd.ms-office.drawingml.diagramDrawing+xml",
    "theme": "application/vnd.openxmlformats-officedocument.theme+xml",
    "themeOverride": "application/vnd.openxmlformats-officedocument.themeOverride+xml",
    "image": "",
    "package": "",
}
NESTED = {DOCX: "docx", XLSX: "xlsx", PPTX: "pptx"}
"""Types of embedded files that can be redacted themselves -> ending of their names."""
_ADDRESS = re.compile(r"(?i)(?:https?://|mailto:|#)")
_FREE = frozenset(
    {
        "alt",
        "caption",
        "descr",
        "description",
        "display",
        "displayText",
        "error",
        "errorTitle",
        "instr",
        "label",
        "name",
        "prompt",
        "promptTitle",
        "statusText",
        "string",
        "text",
        "title",
        "tooltip",
        "value",
    }
)
"""Attributes that may hold any text: what is cut from them is labelled. Others are taken off."""
_FREE_VALUES = frozenset(
    {"alias", "caption", "default", "helpText", "listEntry", "lvlText", "name", "result", "statusText", "tag", "title"}
)
_SHORT = re.compile(r"[-+0-9.]{1,10}")  # a length, a place or a number of an element, not of a person
_CHOSEN = frozenset({"filter", "customFilter", "listItem", "listEntry"})
_MOST_DISTINCT = 100_000  # values of attributes that are remembered
_TITLE = 32  # characters of a title in a validation of cells
_CHOICES = frozenset({"Choice", "Fallback", "AlternateContent"})


class Part:
    """One part of the copy: a tree, or bytes that were written anew."""

    __slots__ = ("crop", "data", "ending", "kind", "links", "media", "name", "root")

    def __init__(self, name: str, kind: str, media: str) -> None:
        self.name = name
        self.kind = kind
        self.media = media
        self.root: Any = None
        self.data = b""
        self.ending = ""
        self.crop: Crop | None = None
        self.links: dict[str, Link] = {}


class Key(NamedTuple):
    """What makes a part of the copy: a member, and what of it is shown where it is a picture."""

    member: str
    crop: Crop | None = None


class Copy:
    """A package on its way to a copy without its cuts."""

    MAINS: ClassVar[Mapping[str, str]] = {}
    """Content type of a main part that is read -> the one that is written."""
    PARTS: ClassVar[Mapping[str, str]] = {}
    """Last word of a relationship's type -> content type of its part. Whatever else there is stays behind."""
    HOME: ClassVar[str] = ""
    """Folder of the main part, which tells the type of the package."""
    IMPLIED: ClassVar[frozenset[str]] = frozenset()
    """Those of them that no element refers to."""
    DROPPED: ClassVar[frozenset[str]] = frozenset()
    """Elements that stay behind with all that is in them."""
    UNWRAPPED: ClassVar[frozenset[str]] = frozenset()
    """Elements that stay behind without what is in them."""
    LISTS: ClassVar[frozenset[str]] = frozenset()
    """Elements that must not stand there empty; their `count` is kept true."""

    def __init__(self, package: zipsafe.Package, cuts: Sequence[Cut], room: Room, read: Read) -> None:
        self.package = package
        self.cuts = cuts
        self.room = room
        self.wanted: Wanted = wanted(package, cuts, room, read, self.needed(package))
        self.parts: dict[Key, Part] = {}
        self.removed: list[Removed] = []
        self._inner: set[str] = set()
        self._kind = ""
        self._folded = {name.lower(): name for name in package.members if not name.endswith("/")}
        self._nested: dict[str, tuple[bytes, str] | None] = {}
        self._queue: deque[tuple[Key, Part]] = deque()

    # --- what a format says

    def needed(self, package: zipsafe.Package) -> frozenset[str]:
        """Return the members without which the others cannot be read."""
        del package
        return frozenset()

    def cut_block(self, part: Part, block: Block, holes: Sequence[Hole], cutting: Holes) -> None:
        """Take holes out of a block; a format may take more where a text with a label would be invalid."""
        del part
        cutting.add(block, holes)

    def cut_attribute(self, part: Part, node: Any, key: str, holes: Sequence[Hole]) -> None:
        """Take holes out of an attribute: a label where it may hold any text, nothing where it may not."""
        del part
        name = local(key)
        if name not in _FREE and not (name == "val" and local(node.tag) in _FREE_VALUES):
            del node.attrib[key]
            return
        text = filled(node.get(key), holes)
        node.set(key, text[:_TITLE] if name in ("promptTitle", "errorTitle") else text)

    def clean(self, part: Part) -> None:
        """Take out of a part what its format keeps from others, beyond the lists above."""

    def dangling(self, node: Any, key: str) -> None:
        """Repair an element that refers by attribute `key` to what stays behind."""
        name = local(node.tag)
        if name == "blip":
            del node.attrib[key]
        else:
            remove(node)

    def implied(self, part: Part, kind: str) -> bool:
        """Tell whether a part has a relationship of this kind without an element that refers to it."""
        del part
        return kind in self.IMPLIED

    def finish(self) -> None:
        """Do what can only be done when all parts are known."""

    # --- the copy

    def run(self) -> None:
        """Make the copy, part by part."""
        kinds = [f"{family}/officeDocument" for family in REFERENCES]
        main = next((r for r in relations(self.package, "", self.room) if r.kind in kinds), None)
        name = self._folded.get(main.target.lower(), "") if main is not None else ""
        media = self.MAINS.get(ooxml_write.content_type(self.package, name, self.room), "")
        if main is None or not name.startswith(self.HOME) or not media:
            raise NotRedactable("the package names no main part of its kind")
        self._kind = main.kind
        self.take(Key(name), "officeDocument", media)
        while self._queue:
            self.room.check_time()
            key, part = self._queue.popleft()
            self._make(key, part)
        self.finish()
        self._prove()

    def write(self, out: BinaryIO) -> tuple[Removed, ...]:
        """Write what was made and return what was removed."""
        zipsafe.write(out, ooxml_write.members(list(self.parts.values()), self._kind))
        own = counted(cut for cut in self.cuts if not cut.part or cut.part[0] not in self._inner)
        return summed((*own, *self.removed))

    def take(self, key: Key, kind: str, media: str) -> Part:
        """Let a member be a part of the copy, once."""
        part = self.parts.get(key)
        if part is None:
            part = Part(key.member, kind, media)
            part.crop = key.crop
            self.parts[key] = part
            self._queue.append((key, part))
        return part

    def _make(self, key: Key, part: Part) -> None:
        if part.kind == "image":
            data = self.package.read(key.member)
            made = ooxml_pictures.made(key.member, data, self.cuts, part.crop, self.room)
            part.data, part.ending = made.data, made.ending
            part.media = ooxml_pictures.TYPES[made.ending]
            if made.removed and key.member not in self._inner:
                self._inner.add(key.member)
                self.removed += made.removed
        elif part.kind in ("package", "aFChunk"):
            nested = self._nested[key.member]
            assert nested is not None, "only those that were redacted are taken"  # noqa: S101
            part.data, part.ending = nested
            part.media = next(media for media, ending in NESTED.items() if ending == part.ending)
        else:
            part.root = tree(self.package.read(key.member))
            self._cut(part)
            self._clean(part)
            self.link(part)

    # --- cutting

    def _cut(self, part: Part) -> None:
        attributes = list(self._told_attributes(part))
        found = self.cut_texts(part, lambda: blocks_of(part.root))
        for node, key, holes, readings in attributes:
            self.cut_attribute(part, node, key, holes)
            found |= readings
        if self.wanted.texts(part.name) - found:
            raise NotRedactable("what is to be removed is not where it was read")

    def cut_texts(self, part: Part, blocks: Callable[[], list[Block]]) -> set[str]:
        """Take out of blocks what goes, and return the texts of those that were cut."""
        cutting = Holes()
        found: set[str] = set()
        for block in blocks():
            text = block.text
            holes = self.wanted.holes(part.name, text) if text else []
            if holes:
                found.add(text)
                self.cut_block(part, block, holes, cutting)
        cutting.apply()
        return found

    def _told_attributes(self, part: Part) -> Iterator[tuple[Any, str, list[Hole], set[str]]]:
        """Yield the attributes of which something goes, what goes, and what they read as."""
        dull: set[str] = set()
        least = self.wanted.least(part.name)
        for node in part.root.iter():
            for key, value in node.attrib.items():
                if len(value) < least or value in dull:
                    continue
                plain = unquote(value) if "%" in value else value
                twins = not _SHORT.fullmatch(value) or local(key) in _FREE or local(node.tag) in _CHOSEN
                holes = self.wanted.holes(part.name, value, twins=twins)
                if not holes and plain != value and (told := self.wanted.holes(part.name, plain)):
                    holes = [Hole(0, len(value), told[0].label)]
                if holes:
                    yield node, key, holes, {value, plain}
                elif len(dull) < _MOST_DISTINCT:
                    dull.add(value)

    def _prove(self) -> None:
        """Refuse a copy in which a value that was removed still stands somewhere."""
        for part in self.parts.values():
            if part.root is None:
                continue
            self.room.check_time()
            values = {v for node in part.root.iter() for v in node.attrib.values() if not _SHORT.fullmatch(v)}
            values |= {unquote(link.target) for link in part.links.values() if link.external}
            if self.wanted.stay(part.root.itertext()) or self.wanted.stay(values):
                raise NotRedactable("a removed text stands where nothing can be taken out")

    # --- cleaning

    def _clean(self, part: Part) -> None:
        leave_out(part.root, self.DROPPED, self.UNWRAPPED)
        choose(part.root)
        self.clean(part)

    def link(self, part: Part) -> None:
        """Keep the relationships that lead to parts on the list, and repair what refers to others."""
        known = {r.id: r for r in relations(self.package, part.name, self.room) if self._kept(part, r)}
        for node, key in references(part.root):
            if node.get(key) and node.get(key) not in known:
                self.dangling(node, key)
        self._crop(part, known)
        self.tidy(part)
        used = {node.get(key) for node, key in references(part.root)}
        for ident, relation in known.items():
            kind = relation.kind.rpartition("/")[2]
            if ident not in used and not self.implied(part, kind):
                continue
            if relation.external:
                part.links[ident] = Link(relation.kind, relation.target, external=True)
            else:
                member = self._folded[relation.target.lower()]
                part.links[ident] = Link(relation.kind, self.take(Key(member), kind, self.PARTS[kind]))
        self._rename_ids(part)

    def tidy(self, part: Part) -> None:
        """Take out lists that became empty, and keep what others count."""
        for node in reversed(list(part.root.iter(*anywhere(self.LISTS | _CHOICES)))):
            if len(node) == 0 and node.getparent() is not None:
                remove(whole(node))
            elif node.get("count") is not None:
                node.set("count", str(len(node)))

    def _kept(self, part: Part, relation: Relation) -> bool:
        family, _, kind = relation.kind.rpartition("/")
        if family not in _FAMILIES:
            return False
        if relation.external:
            target, plain = relation.target, unquote(relation.target)
            told = any(self.wanted.holes(rels_name(part.name), text) for text in (target, plain))
            return kind == "hyperlink" and bool(_ADDRESS.match(target)) and not told
        member = self._folded.get(relation.target.lower())
        if kind not in self.PARTS or member is None:
            return False
        return kind not in ("package", "aFChunk") or self._nest(member) is not None

    def _nest(self, member: str) -> tuple[bytes, str] | None:
        """Return an embedded file without its cuts and the ending of its name; None when it stays behind."""
        if member not in self._nested:
            self._nested[member] = self._redact_nested(member)
        return self._nested[member]

    def _redact_nested(self, member: str) -> tuple[bytes, str] | None:
        data = self.package.read(member)
        source = Source(data, name=member)
        kinds = sniff(data[:EDGE_BYTES], data[-EDGE_BYTES:], source)
        if len(kinds) != 1 or kinds[0] not in NESTED:
            return None
        out = io.BytesIO()
        inner = [evolve(cut, part=cut.part[1:]) for cut in self.cuts if cut.part[:1] == (member,)]
        self.removed += redact(kinds[0], source, inner, out, self.room.inside(member))
        self._inner.add(member)
        return out.getvalue(), NESTED[kinds[0]]

    def _crop(self, part: Part, known: Mapping[str, Relation]) -> None:
        """Let a cropped picture be one of its own that has no more pixels than are shown."""
        for node in list(part.root.iter("{*}srcRect")):
            blip = node.getparent().find("{*}blip")
            crop = crop_of(node)
            keys = [] if blip is None else [key for key in blip.attrib if local(key) == "embed"]
            relation = known.get(blip.get(keys[0])) if keys else None
            if crop is None or relation is None or not relation.kind.endswith("/image"):
                continue
            ident = next(name for n in count(len(part.links)) if (name := f"rIdCrop{n}") not in known)
            member = self._folded[relation.target.lower()]
            part.links[ident] = Link(relation.kind, self.take(Key(member, crop), "image", ""))
            blip.set(keys[0], ident)
            remove(node)

    def _rename_ids(self, part: Part) -> None:
        """Give ids that are no plain ones, and so may tell something, plain ones."""
        odd = [ident for ident in part.links if not re.fullmatch(r"[A-Za-z]{1,8}\d{1,6}", ident)]
        new = {ident: f"rIdN{number}" for number, ident in enumerate(odd)}
        if not new:
            return
        part.links = {new.get(ident, ident): link for ident, link in part.links.items()}
        for node, key in references(part.root):
            node.set(key, new.get(node.get(key), node.get(key)))


def write_copy(copy: Copy, out: BinaryIO) -> tuple[Removed, ...]:
    """Make a copy and write it."""
    copy.run()
    return copy.write(out)
