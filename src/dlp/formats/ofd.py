"""OFD (GB/T 33190-2016): the text of pages by place, templates and annotations with them, and every other part.

A page is put together as a viewer shows it: its templates, its content, its annotations. What no page shows (spare
templates, earlier versions, attachments, custom data, signatures and seals) is read part by part. The text of a seal
is a picture inside of it.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from dlp.formats import Full, Source
from dlp.formats.ooxml import Members, Taker, Walk, tree
from dlp.formats.ooxml_text import Block, Collector
from dlp.formats.placed import STILL, Page, Turn, times
from dlp.formats.room import Room
from dlp.formats.zipsafe import Package
from dlp.model import Document, GapKind, evolve

MEDIA = ("application/ofd",)

_POINTS = 72 / 25.4  # OFD measures in millimetres
_SIZE = (210.0, 297.0)
_DEEPEST = 16  # blocks in blocks
_MOST_REPEATS = 10_000  # of one "g" in a list of distances
_FONT = re.compile(r"\.(?:ttf|otf|ttc|cff|pfb)$")
_SEALED = re.compile(r"\.(?:esl|dat|asn1|der|p7[bs]|cer)$")
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|PK\x03\x04")
_MOST_PICTURES = 16  # in one seal


def extract(source: Source, room: Room) -> Document:
    """Return all text of an OFD document. Lines of pages have places; other segments name their block."""
    book = _Book(Package(source, room), room)
    try:
        book.run_all()
    except Full as full:
        book.reading.miss(full.kind, full.detail)
    return evolve(book.reading.document(MEDIA[0]), pages=book.pages or None)  # type: ignore[no-any-return]


class _Book(Walk):
    """A walk that reads pages as pages first and leaves only the rest of their parts to the generic reader."""

    def __init__(self, package: Members, room: Room) -> None:
        super().__init__(package, room)
        self.pages = 0
        self._placed: set[str] = set()
        self._faces: dict[str, str] = {}

    def run_all(self) -> None:
        """Read pages, then all parts."""
        if any(name.rpartition("/")[2] in ("encryptions.xml", "ofdentries.xml") for name in self.folded):
            self.reading.miss(GapKind.ENCRYPTED, "parts of the document are encrypted")
        for root in self._roots():
            self.guard(root, lambda root=root: self._read_document(root))
        if not self.pages:
            self.reading.miss(GapKind.CORRUPT, "the document names no page that can be read")
        self.run()

    def collector(self, name: str) -> Collector:
        """Return a collector that leaves out what the pages have shown."""
        taker = _Rest if name in self._placed else _All
        return Collector(taker(self.reading, self.path(name)))

    def read_part(self, name: str, data: bytes) -> None:
        """Read one member; fonts hold no words, and a seal holds a picture."""
        lower = name.lower()
        if _FONT.search(lower):
            self._add_runs(name, data)
        elif _SEALED.search(lower) and not data.startswith((b"<", b"\xef\xbb\xbf<", b"PK")):
            self._add_runs(name, data)
            self._read_pictures(name, data)
        else:
            super().read_part(name, data)

    def _read_pictures(self, name: str, data: bytes) -> None:
        starts = [found.start() for found in _PICTURE.finditer(data)][:_MOST_PICTURES]
        for number, start in enumerate(starts, 1):
            inner = data[start:]
            if inner.startswith(b"PK"):
                end = inner.rfind(b"PK\x05\x06")
                inner = inner[: end + 22] if end >= 0 else inner
            elif inner.startswith(b"\x89PNG"):
                end = inner.find(b"IEND\xaeB`\x82")
                inner = inner[: end + 8] if end >= 0 else inner
            elif inner.startswith(b"\xff\xd8"):
                end = inner.find(b"\xff\xd9")
                inner = inner[: end + 2] if end >= 0 else inner
            self.reading.take(self.room.descend(f"{name} #{number}", inner))

    # --- pages

    def _part(self, name: str) -> Any:
        """Return the root of a member, or None when there is none of this name."""
        known = self.folded.get(name.lower())
        return None if known is None else tree(self.package.read(known), self.room)

    def _roots(self) -> list[str]:
        try:
            root = self._part("OFD.xml")
        except Full:
            return []  # the generic reader says why
        found = [] if root is None else [_place("", _text(e)) for e in _named(root, "DocRoot")]
        return list(dict.fromkeys(found))

    def _read_document(self, name: str) -> None:
        root = self._part(name)
        if root is None:
            self.reading.miss(GapKind.CORRUPT, "the document is named and not there", part=self.path(name))
            return
        folder = posixpath.dirname(name)
        templates = {e.get("ID", ""): _place(folder, e.get("BaseLoc", "")) for e in _named(root, "TemplatePage")}
        box = next((_numbers(_text(e)) for e in _named(root, "PhysicalBox")), [])
        notes = self._annotations(root, folder)
        for page in _named(root, "Page"):
            self.room.spend_pages()
            self.pages += 1
            path = _place(folder, page.get("BaseLoc", ""))
            self._read_page(path, templates, notes.get(page.get("ID", ""), []), box)

    def _annotations(self, root: Any, folder: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for entry in _named(root, "Annotations"):
            path = _place(folder, _text(entry))
            index = self._part(path)
            if index is None:
                continue
            for page in _named(index, "Page"):
                for place in _named(page, "FileLoc"):
                    found.setdefault(page.get("PageID", ""), []).append(_place(posixpath.dirname(path), _text(place)))
        return found

    def _read_page(self, path: str, templates: dict[str, str], notes: list[str], box: list[float]) -> None:
        root = self._part(path)
        if root is None:
            self.reading.miss(GapKind.CORRUPT, "a page is named and not there", part=self.path(path))
            return
        own = next((_numbers(_text(e)) for e in _named(root, "PhysicalBox")), box)
        left, top, width, height = own if len(own) == 4 else (0.0, 0.0, *_SIZE)
        page = Page(self.pages, width * _POINTS, height * _POINTS)
        turn: Turn = (_POINTS, 0.0, 0.0, _POINTS, -left * _POINTS, -top * _POINTS)
        painted = False
        below = [templates.get(e.get("TemplateID", ""), "") for e in _named(root, "Template")]
        for part in (*below, path, *notes):
            inner = root if part == path else self._part(part)
            if inner is not None:
                painted |= self._draw(inner, page, turn, 0)
                self._placed.add(self.folded[part.lower()])
        before = len(self.reading.segments)
        page.read(self.reading, self.path(self.folded[path.lower()]), painted=painted)
        if painted and len(self.reading.segments) == before:
            self.reading.note(self.room.gap(GapKind.NO_OCR, "the page shows something that is not text", self.pages))

    def _draw(self, node: Any, page: Page, turn: Turn, depth: int) -> bool:
        """Put the text below `node` on the page; return whether there are filled paths, which can be letters."""
        if depth > _DEEPEST:
            raise Full(GapKind.TOO_DEEP, f"blocks are nested more than {_DEEPEST} deep")
        painted = False
        for child in node:
            name = _local(child)
            if name == "TextObject":
                self._write(child, page, turn)
            elif name == "PathObject":
                painted |= child.get("Fill", "false").lower() in ("true", "1")
            elif name == "Appearance":
                painted |= self._draw(child, page, times(_shift(child), turn), depth + 1)
            elif name:
                painted |= self._draw(child, page, turn, depth + 1)
        return painted

    def _write(self, thing: Any, page: Page, turn: Turn) -> None:
        size = next(iter(_numbers(thing.get("Size", ""))), 0.0)
        matrix = _numbers(thing.get("CTM", ""))
        own: Turn = tuple(matrix) if len(matrix) == 6 else STILL  # type: ignore[assignment]
        turn = times(times(own, _shift(thing)), turn)
        colour = next((_colour(e.get("Value", "")) for e in thing if _local(e) == "FillColor"), "")
        unseen = thing.get("Visible", "true").lower() in ("false", "0") or thing.get("Alpha") == "0"
        x = y = 0.0
        for code in _named(thing, "TextCode"):
            text = _text(code, strip="\r\n\t")
            x = next(iter(_numbers(code.get("X", ""))), x)
            y = next(iter(_numbers(code.get("Y", ""))), y)
            across = _distances(code.get("DeltaX", ""), len(text))
            down = _distances(code.get("DeltaY", ""), len(text))
            points = []
            at = (x, y)
            for number in range(len(text)):
                points.append(at)
                step = across[number] if number < len(across) else 0.0 if down else size
                at = (at[0] + step, at[1] + (down[number] if number < len(down) else 0.0))
            hidden = unseen or colour == "#ffffff"
            page.add(text, points, turn, size, face=thing.get("Font", ""), colour=colour, hidden=hidden)


class _All(Taker):
    """Takes every block; codes of paths are no text."""

    def block(self, block: Block) -> int | None:
        if block.tag == "AbbreviatedData":
            return None
        return super().block(block)


class _Rest(_All):
    """Takes what the page has not shown."""

    def block(self, block: Block) -> int | None:
        return None if block.tag == "TextCode" else super().block(block)


def _local(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _named(node: Any, name: str) -> list[Any]:
    return [child for child in node.iter() if _local(child) == name]


def _text(node: Any, strip: str | None = None) -> str:
    return "".join(node.itertext()).strip(strip)


def _place(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _numbers(text: str) -> list[float]:
    found = []
    for word in text.split()[:16]:
        try:
            found.append(float(word))
        except ValueError:
            return []
    return found


def _shift(thing: Any) -> Turn:
    box = _numbers(thing.get("Boundary", ""))
    return (1.0, 0.0, 0.0, 1.0, box[0], box[1]) if len(box) == 4 else STILL


def _distances(text: str, most: int) -> list[float]:
    """Return the distances of a list like `g 3 1.5 2`: three times 1.5, then 2 (GB/T 33190 11.3)."""
    words = iter(text.split())
    found: list[float] = []
    try:
        for word in words:
            if word == "g":
                count = int(next(words))
                found += [float(next(words))] * min(count, _MOST_REPEATS, max(0, most - len(found)))
            else:
                found.append(float(word))
            if len(found) >= most:
                break
    except (ValueError, StopIteration):
        return found
    return found


def _colour(text: str) -> str:
    values = _numbers(text)
    if len(values) != 3:
        return ""
    return "#" + "".join(f"{max(0, min(255, int(v))):02x}" for v in values)
