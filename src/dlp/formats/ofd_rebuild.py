"""An OFD package written anew: what its pages show, under names of our own, and nothing else.

From OFD.xml on, only what is referred to and known is taken along: pages, the templates they use, looks of annotations,
fonts, pictures, attachments that can be redacted themselves. Properties, outlines that were cut into, remarks of
annotations, custom data, extensions, earlier versions, signatures and seals (a change breaks them) stay behind.
"""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from lxml import etree

from dlp.formats import NotRedactable, ofd, pixels, zipsafe
from dlp.formats.cutting import counted, summed
from dlp.formats.ofd import local, named, place_in, text_in
from dlp.formats.ofd_clean import below, cleaned, ending, keep_attributes, looks, serialized, tag
from dlp.formats.ofd_cut import Names, Page, Thing, rewrite
from dlp.formats.ofd_fonts import Used
from dlp.formats.ooxml import tree
from dlp.formats.placed import Turn
from dlp.formats.room import Full, Room, redact_member
from dlp.model import Cut, GapKind, Removed, evolve
from dlp.sniff import magic

_SEALED = frozenset({"encryptions.xml", "ofdentries.xml"})
_RESOURCES = frozenset({"ColorSpaces", "DrawParams", "Fonts", "MultiMedias", "CompositeGraphicUnits"})
_FONT_KEPT = frozenset({"ID", "FontName", "FamilyName", "Charset", "Italic", "Bold", "Serif", "FixedWidth"})
_LABEL_FONT = "宋体"
_PICTURE_IN_SEAL = re.compile(r" #\d{1,2}$")
_NO_ID = "0" * 32


def redact(package: zipsafe.Package, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the package without the cuts."""
    book = ofd.Book(package, room)
    if any(name.rpartition("/")[2] in _SEALED for name in book.folded):
        raise Full(GapKind.ENCRYPTED, "parts of the document are encrypted")
    parts = _Parts(book, package, cuts, room)
    first = parts.tree("OFD.xml")
    if first is None:
        raise NotRedactable("the package has no root")
    documents = [_Document(parts, path, number) for number, path in enumerate(book.roots())]
    for document in documents:
        document.plan()
    parts.check()
    names = Names(parts.last_number())
    for document in documents:
        document.rewrite(names)
    members = [member for document in documents for member in document.members(names)]
    zipsafe.write(out, [("OFD.xml", _root(first, len(documents))), *members])
    return parts.removed()


def _root(old: Any, count: int) -> bytes:
    root = etree.Element(old.tag, nsmap=old.nsmap)
    for name in ("Version", "DocType"):
        root.set(name, old.get(name, "OFD" if name == "DocType" else "1.0"))
    for number in range(count):
        body = below(root, "DocBody")
        below(below(body, "DocInfo"), "DocID").text = _NO_ID
        below(body, "DocRoot").text = f"Doc_{number}/Document.xml"
    return serialized(root)


class _Parts:
    """The parts of the old package, and the cuts that lie in each."""

    def __init__(self, book: ofd.Book, package: zipsafe.Package, cuts: Sequence[Cut], room: Room) -> None:
        self.book = book
        self.room = room
        self.pages = 0
        self.shown: set[str] = set()
        """Parts with text that is shown: a cut there must lie in the text of a page."""
        self._package = package
        self._cuts = cuts
        self._trees: dict[str, Any] = {}
        self._taken: list[Removed] = []
        self._counted: set[str] = set()
        self.on_page: dict[int, list[Cut]] = {}
        self.inside: dict[str, list[Cut]] = {}
        for cut in cuts:
            if len(cut.part) == 1 and not cut.anchor and cut.boxes:
                self.on_page.setdefault(cut.boxes[0].page, []).append(cut)
            elif cut.part and _PICTURE_IN_SEAL.sub("", cut.part[0]) in package.members:
                self.inside.setdefault(cut.part[0], []).append(cut)
            elif cut.part or cut.anchor not in ("names", "loose"):
                raise NotRedactable("what is to be removed is not where it was read")

    def tree(self, name: str) -> Any:
        """Return the root of a part, the same at every call; None where there is none."""
        known = self.book.folded.get(name.lower())
        if known is None:
            return None
        if known not in self._trees:
            root = tree(self._package.read(known), self.room)
            etree.strip_elements(root, etree.Comment, etree.ProcessingInstruction, with_tail=False)
            self._trees[known] = root
        return self._trees[known]

    def show(self, name: str) -> Any:
        """Return the root of a part whose text is shown."""
        root = self.tree(name)
        if root is None:
            raise NotRedactable("a part is named and not there")
        self.shown.add(self.book.folded[name.lower()])
        return root

    def raw(self, name: str) -> bytes | None:
        """Return the bytes of a member, None where there is none."""
        known = self.book.folded.get(name.lower())
        return None if known is None else self._package.read(known)

    def picture(self, name: str, data: bytes) -> bytes:
        """Return a picture without its cuts, or with nothing but its pixels."""
        known = self.book.folded[name.lower()]
        if known not in self.inside:
            return pixels.clean_picture(data, self.room)
        self._counted.add(known)
        new, removed = redact_member(known, data, self.inside[known], self.room)
        self._taken += removed
        return new

    def attachment(self, name: str, data: bytes) -> bytes | None:
        """Return an attachment without its cuts, None where it cannot be had without them."""
        known = self.book.folded[name.lower()]
        if known not in self.inside:
            return data
        try:
            new, removed = redact_member(known, data, self.inside[known], self.room)
        except NotRedactable:
            return None
        self._counted.add(known)
        self._taken += removed
        return new

    def check(self) -> None:
        """Refuse cuts in parts that are taken along and are not text of a page, and on pages that are not there."""
        if any(page > self.pages for page in self.on_page) or self.shown & self.inside.keys():
            raise NotRedactable("what is to be removed is not in the text of a page")

    def last_number(self) -> int:
        """Return the highest number that an object has."""
        numbers = [int(node.get("ID")) for root in self._trees.values() for node in root.iter() if _numbered(node)]
        return max(numbers, default=0)

    def removed(self) -> tuple[Removed, ...]:
        """Return what was removed, by page where it was text of one."""
        found = list(self._taken)
        rest = [cut for name, cuts in self.inside.items() if name not in self._counted for cut in cuts]
        found += counted((*rest, *(cut for cut in self._cuts if not cut.part)))
        paged = [
            evolve(one, page=page) for page, cuts in sorted(self.on_page.items()) for one in counted(cuts, how="glyphs")
        ]
        return (*paged, *summed(found))


def _numbered(node: Any) -> bool:
    number = node.get("ID", "") if isinstance(node.tag, str) else ""
    return bool(number.isdecimal() and len(number) <= 9)


class _Document:
    """One document of the package."""

    def __init__(self, parts: _Parts, path: str, number: int) -> None:
        self._parts = parts
        self._path = path
        self._folder = posixpath.dirname(path)
        self._home = f"Doc_{number}"
        self._root = parts.tree(path)
        if self._root is None:
            raise NotRedactable("a document is named and not there")
        self._pages = [(e.get("ID", ""), self._at(e.get("BaseLoc", ""))) for e in named(self._root, "Page")]
        self._notes = parts.book.annotations(self._root, self._folder)
        self._templates = {e.get("ID", ""): e for e in named(self._root, "TemplatePage")}
        self._things: dict[int, Thing] = {}
        self._resources: dict[str, Any] = {}
        self._used = Used()
        self._files: dict[str, tuple[str, bytes]] = {}
        self._faces: dict[str, list[str]] = {}
        self._attached: list[tuple[str, bytes]] = []

    def _at(self, path: str) -> str:
        return place_in(self._folder, path)

    def _under(self, root: Any) -> list[str]:
        """Return the templates that a page shows, below it or above it."""
        known = [self._templates.get(e.get("TemplateID", "")) for e in named(root, "Template")]
        return [self._at(e.get("BaseLoc", "")) for e in known if e is not None]

    # --- what has to be done

    def plan(self) -> None:
        """Find what each cut removes."""
        box = next((ofd.numbers(text_in(e)) for e in named(self._root, "PhysicalBox")), [])
        for kind in ("PublicRes", "DocumentRes"):
            for node in named(self._root, kind):
                self._resources[self._at(text_in(node))] = self._parts.show(self._at(text_in(node)))
        for number, path in self._pages:
            self._parts.pages += 1
            self._parts.room.check_time()
            root = self._parts.show(path)
            for node in named(root, "PageRes"):
                place = place_in(posixpath.dirname(path), text_in(node))
                self._resources[place] = self._parts.show(place)
            turn, width, _ = ofd.page_turn(root, box)
            things: list[Thing] = []
            for part in (*self._under(root), path, *self._notes.get(number, [])):
                inner = self._parts.tree(part) if part in self._notes.get(number, []) else self._parts.show(part)
                if inner is not None:
                    things += self._things_in(inner, turn)
            page = Page(things, width, self._parts.room.mode)
            for cut in self._parts.on_page.get(self._parts.pages, ()):
                page.empty(cut)
            page.close_gaps()

    def _things_in(self, root: Any, turn: Turn) -> Iterator[Thing]:
        for node, base in ofd.things(root, turn):
            if local(node) != "TextObject":
                continue
            thing = self._things.setdefault(id(node), Thing(node, base))
            if thing.base != base:
                raise NotRedactable("a template is used by pages of several sizes")
            yield thing

    def rewrite(self, names: Names) -> None:
        """Do it."""
        for thing in self._things.values():
            if thing.gone or thing.moved:
                rewrite(thing, names)

    # --- the new parts

    def members(self, names: Names) -> Iterator[tuple[str, bytes]]:
        """Yield the parts of the new document, its fonts and pictures last."""
        root = etree.Element(self._root.tag, nsmap=self._root.nsmap)
        common = below(root, "CommonData")
        last = below(common, "MaxUnitID")
        self._copy(common, self._root, "PageArea")
        parts = [*self._resource_parts(common, names), *self._page_parts(root, common)]
        self._copy(common, self._root, "DefaultCS")
        if self._parts.book.folded[self._path.lower()] not in self._parts.inside:
            for name in ("Outlines", "Bookmarks"):
                self._copy(root, self._root, name)
        parts += self._note_parts(root)
        parts += self._attachment_parts(root)
        last.text = str(names.last)
        yield f"{self._home}/Document.xml", serialized(root)
        for name, part in parts:
            yield f"{self._home}/{name}", serialized(part)
        for path, (name, data) in self._files.items():
            faces = self._faces.get(path)
            yield f"{self._home}/Res/{name}", self._used.pruned(data, faces) if faces else data
        for name, data in self._attached:
            yield f"{self._home}/Attachs/{name}", data

    def _copy(self, into: Any, root: Any, name: str) -> None:
        node = next((e for e in root.iter() if local(e) == name), None)
        if node is not None:
            made = copy.deepcopy(node)
            made.tail = None
            into.append(cleaned(made))

    def _resource_parts(self, common: Any, names: Names) -> Iterator[tuple[str, Any]]:
        for number, (path, old) in enumerate(self._resources.items()):
            name = f"Res_{number}.xml"
            # Resources of one page are known to all of them: numbers are never given twice.
            below(common, "DocumentRes").text = name
            yield name, self._resource(path, old)
        below(common, "DocumentRes").text = "Res_labels.xml"
        root = etree.Element(tag(common, "Res"), nsmap=common.nsmap, BaseLoc="Res")
        font = below(below(root, "Fonts"), "Font")
        for key, value in (("ID", names.font), ("FontName", _LABEL_FONT), ("FamilyName", _LABEL_FONT)):
            font.set(key, value)
        yield "Res_labels.xml", root

    def _resource(self, path: str, old: Any) -> Any:
        root = etree.Element(old.tag, nsmap=old.nsmap, BaseLoc="Res")
        base = place_in(posixpath.dirname(path), old.get("BaseLoc", ""))
        for group in old:
            if local(group) in _RESOURCES:
                made = copy.deepcopy(group)
                made.tail = None
                root.append(cleaned(made))
        for font in named(root, "Font"):
            keep_attributes(font, _FONT_KEPT)
            for node in named(font, "FontFile"):
                if not self._take(node, base, font.get("ID", "")):
                    font.remove(node)
        for media in named(root, "MultiMedia"):
            if not all(self._take(node, base, "") for node in named(media, "MediaFile")):
                media.getparent().remove(media)
        for space in named(root, "ColorSpace"):
            space.attrib.pop("Profile", None)
        self._used.see(root)
        return root

    def _take(self, node: Any, base: str, face: str) -> bool:
        """Take along the file that a resource names; tell whether there is one that may come along."""
        path = place_in(base, text_in(node))
        data = self._parts.raw(path)
        if data is None:
            return False
        if path not in self._files:
            media = magic.by_start(data) or ""
            if face:
                self._files[path] = (f"file{len(self._files)}.ttf", data)
            elif media.startswith("image/"):
                name = f"file{len(self._files)}.{media.rpartition('/')[2]}"
                self._files[path] = (name, self._parts.picture(path, data))
            else:
                return False
        if face:
            self._faces.setdefault(path, []).append(face)
        node.text = self._files[path][0]
        return True

    def _page_parts(self, root: Any, common: Any) -> Iterator[tuple[str, Any]]:
        used: dict[str, str] = {}
        pages = below(root, "Pages")
        for number, (ident, path) in enumerate(self._pages):
            old = self._parts.tree(path)
            for node in named(old, "Template"):
                used.setdefault(node.get("TemplateID", ""), f"Tpls/Tpl_{len(used)}/Content.xml")
            page = below(pages, "Page")
            page.set("ID", ident)
            page.set("BaseLoc", f"Pages/Page_{number}/Content.xml")
            yield f"Pages/Page_{number}/Content.xml", self._shown(old)
        for ident, name in used.items():
            given = self._templates.get(ident)
            if given is not None:
                node = below(common, "TemplatePage")
                for key, value in (("ID", ident), ("ZOrder", given.get("ZOrder", "Background")), ("BaseLoc", name)):
                    node.set(key, value)
                yield name, self._shown(self._parts.tree(self._at(given.get("BaseLoc", ""))))

    def _shown(self, old: Any) -> Any:
        made = cleaned(copy.deepcopy(old))
        for node in named(made, "PageRes"):
            node.getparent().remove(node)
        self._used.see(made)
        return made

    def _note_parts(self, root: Any) -> Iterator[tuple[str, Any]]:
        """Yield the annotations: what they look like, and not what they say besides."""
        index = etree.Element(tag(root, "Annotations"), nsmap=root.nsmap)
        number = 0
        for ident, paths in self._notes.items():
            page = below(index, "Page")
            page.set("PageID", ident)
            for path in paths:
                old = self._parts.tree(path)
                if old is not None:
                    made = looks(copy.deepcopy(old))
                    self._used.see(made)
                    below(page, "FileLoc").text = f"Annot_{number}.xml"
                    yield f"Annots/Annot_{number}.xml", made
                    number += 1
        if number:
            below(root, "Annotations").text = "Annots/Annotations.xml"
            yield "Annots/Annotations.xml", index

    def _attachment_parts(self, root: Any) -> Iterator[tuple[str, Any]]:
        """Yield the list of attachments, if no cut lies in it; one that cannot be redacted stays behind."""
        index = etree.Element(tag(root, "Attachments"), nsmap=root.nsmap)
        for node in named(self._root, "Attachments"):
            place = self._at(text_in(node))
            known = self._parts.book.folded.get(place.lower())
            old = None if known is None or known in self._parts.inside else self._parts.tree(place)
            for entry in [] if old is None else named(old, "Attachment"):
                path = place_in(posixpath.dirname(place), text_in(entry))
                data = self._parts.raw(path)
                new = None if data is None else self._parts.attachment(path, data)
                if new is not None:
                    name = f"file{len(self._attached)}{ending(path)}"
                    self._attached.append((name, new))
                    made = below(index, "Attachment")
                    for key in ("ID", "Name", "Format", "Visible"):
                        if entry.get(key):
                            made.set(key, entry.get(key))
                    below(made, "FileLoc").text = name
        if self._attached:
            below(root, "Attachments").text = "Attachs/Attachments.xml"
            yield "Attachs/Attachments.xml", index
