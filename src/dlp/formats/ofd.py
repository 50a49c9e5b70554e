"""OFD (GB/T 33190-2016): the text of pages by place, templates and annotations with them, and every other part.

A page is put together as a viewer shows it: its templates, its content, its annotations. What no page shows (spare
templates, earlier versions, attachments, custom data, signatures and seals) is read part by part. The text of a seal
is a picture inside of it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from dlp.formats import Full, Source
from dlp.formats.ooxml import Members, Taker, Walk, tree
from dlp.formats.ooxml_text import Block, Collector
from dlp.formats.placed import STILL, Page, Turn, times
from dlp.formats.room import Room
from dlp.formats.zipsafe import Package
from dlp.model import Cut, Document, GapKind, Removed, evolve

MEDIA = ("application/ofd",)

POINTS = 72 / 25.4  # OFD measures in millimetres
_SIZE = (210.0, 297.0)
_DEEPEST = 16  # blocks in blocks
_MOST_REPEATS = 10_000  # of one "g" in a list of distances
_FONT = re.compile(r"\.(?:ttf|otf|ttc|cff|pfb)$")
_SEALED = re.compile(r"\.(?:esl|dat|asn1|der|p7[bs]|cer)$")
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|PK\x03\x04")
_MOST_PICTURES = 16  # in one seal


def extract(source: Source, room: Room) -> Document:
    """Return all text of an OFD document. Lines of pages have places; other segments name their block."""
    book = Book(Package(source, room), room)
    try:
        book.run_all()
    except Full as full:
        book.reading.miss(full.kind, full.detail)
    return evolve(book.reading.document(MEDIA[0]), pages=book.pages or None)  # type: ignore[no-any-return]


def warm() -> None:
    """Load what writes and proves documents: called once, before any child is forked."""
    from dlp.formats import ofd_proof, ofd_rebuild  # noqa: F401, PLC0415  they import this module


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the document without the cuts, and with nothing but what its pages show."""
    from dlp.formats import ofd_rebuild  # noqa: PLC0415  it imports this module

    return ofd_rebuild.redact(Package(source, room), cuts, out, room)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return what readers of Python's own find in a redacted copy."""
    from dlp.formats import ofd_proof  # noqa: PLC0415  it imports this module

    return ofd_proof.verify(source, before, cuts, room)


class Book(Walk):
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
        for root in self.roots():
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

    def part(self, name: str) -> Any:
        """Return the root of a member, or None when there is none of this name."""
        known = self.folded.get(name.lower())
        return None if known is None else tree(self.package.read(known), self.room)

    def roots(self) -> list[str]:
        """Return the names of the main parts of the documents in this package."""
        try:
            root = self.part("OFD.xml")
        except Full:
            return []  # the generic reader says why
        found = [] if root is None else [place_in("", text_in(e)) for e in named(root, "DocRoot")]
        return list(dict.fromkeys(found))

    def _read_document(self, name: str) -> None:
        root = self.part(name)
        if root is None:
            self.reading.miss(GapKind.CORRUPT, "the document is named and not there", part=self.path(name))
            return
        folder = posixpath.dirname(name)
        templates = {e.get("ID", ""): place_in(folder, e.get("BaseLoc", "")) for e in named(root, "TemplatePage")}
        box = next((numbers(text_in(e)) for e in named(root, "PhysicalBox")), [])
        notes = self.annotations(root, folder)
        for page in named(root, "Page"):
            self.room.spend_pages()
            self.pages += 1
            path = place_in(folder, page.get("BaseLoc", ""))
            self._read_page(path, templates, notes.get(page.get("ID", ""), []), box)

    def annotations(self, root: Any, folder: str) -> dict[str, list[str]]:
        """Return the parts that hold the annotations of each page, by its ID."""
        found: dict[str, list[str]] = {}
        for entry in named(root, "Annotations"):
            path = place_in(folder, text_in(entry))
            index = self.part(path)
            if index is None:
                continue
            for page in named(index, "Page"):
                for place in named(page, "FileLoc"):
                    found.setdefault(page.get("PageID", ""), []).append(
                        place_in(posixpath.dirname(path), text_in(place))
                    )
        return found

    def _read_page(self, path: str, templates: dict[str, str], notes: list[str], box: list[float]) -> None:
        root = self.part(path)
        if root is None:
            self.reading.miss(GapKind.CORRUPT, "a page is named and not there", part=self.path(path))
            return
        turn, width, height = page_turn(root, box)
        page = Page(self.pages, width, height)
        painted = False
        below = [templates.get(e.get("TemplateID", ""), "") for e in named(root, "Template")]
        for part in (*below, path, *notes):
            inner = root if part == path else self.part(part)
            if inner is not None:
                painted |= self._draw(inner, page, turn)
                self._placed.add(self.folded[part.lower()])
        before = len(self.reading.segments)
        page.read(self.reading, self.path(self.folded[path.lower()]), painted=painted)
        if painted and len(self.reading.segments) == before:
            self.reading.note(self.room.gap(GapKind.NO_OCR, "the page shows something that is not text", self.pages))

    def _draw(self, node: Any, page: Page, turn: Turn) -> bool:
        """Put the text below `node` on the page; return whether there are filled paths, which can be letters."""
        painted = False
        for thing, place in things(node, turn):
            if local(thing) == "TextObject":
                self._write(thing, page, place)
            else:
                painted |= thing.get("Fill", "false").lower() in ("true", "1")
        return painted

    def _write(self, thing: Any, page: Page, turn: Turn) -> None:
        size = size_of(thing)
        turn = times(own_turn(thing), turn)
        colour = next((_colour(e.get("Value", "")) for e in thing if local(e) == "FillColor"), "")
        unseen = thing.get("Visible", "true").lower() in ("false", "0") or thing.get("Alpha") == "0"
        hidden = unseen or colour == "#ffffff"
        for code in codes_of(thing):
            page.add(code.text, code.points, turn, size, face=thing.get("Font", ""), colour=colour, hidden=hidden)


def page_turn(root: Any, box: list[float]) -> tuple[Turn, float, float]:
    """Return how millimetres of a page become points, and its size; `box` is that of the document."""
    own = next((numbers(text_in(e)) for e in named(root, "PhysicalBox")), box)
    left, top, width, height = own if len(own) == 4 else (0.0, 0.0, *_SIZE)
    turn: Turn = (POINTS, 0.0, 0.0, POINTS, -left * POINTS, -top * POINTS)
    return turn, width * POINTS, height * POINTS


class Code(NamedTuple):
    """One piece of text of a text object, and where each of its characters stands in the object."""

    node: Any
    text: str
    points: list[tuple[float, float]]


def things(node: Any, turn: Turn, depth: int = 0) -> Iterator[tuple[Any, Turn]]:
    """Yield the text and path objects below a node, each with the turn of what it stands in."""
    if depth > _DEEPEST:
        raise Full(GapKind.TOO_DEEP, f"blocks are nested more than {_DEEPEST} deep")
    for child in node:
        name = local(child)
        if name in ("TextObject", "PathObject"):
            yield child, turn
        elif name:
            yield from things(child, times(_shift(child), turn) if name == "Appearance" else turn, depth + 1)


def own_turn(thing: Any) -> Turn:
    """Return how an object turns and shifts what is drawn in it."""
    matrix = numbers(thing.get("CTM", ""))
    own: Turn = tuple(matrix) if len(matrix) == 6 else STILL  # type: ignore[assignment]
    return times(own, _shift(thing))


def size_of(thing: Any) -> float:
    """Return the size of the letters of a text object, in its own measure."""
    return next(iter(numbers(thing.get("Size", ""))), 0.0)


def codes_of(thing: Any) -> list[Code]:
    """Return the pieces of text of a text object; a piece without a place begins where the one before it did."""
    size = size_of(thing)
    found = []
    x = y = 0.0
    for node in named(thing, "TextCode"):
        text = text_in(node, strip="\r\n\t")
        x = next(iter(numbers(node.get("X", ""))), x)
        y = next(iter(numbers(node.get("Y", ""))), y)
        across = _distances(node.get("DeltaX", ""), len(text))
        down = _distances(node.get("DeltaY", ""), len(text))
        points = []
        at = (x, y)
        for number in range(len(text)):
            points.append(at)
            step = across[number] if number < len(across) else 0.0 if down else size
            at = (at[0] + step, at[1] + (down[number] if number < len(down) else 0.0))
        found.append(Code(node, text, points))
    return found


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


def local(node: Any) -> str:
    """Return the name of an element without its namespace, "" for what is none."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def named(node: Any, name: str) -> list[Any]:
    """Return all elements of this name at and below a node."""
    return [child for child in node.iter() if local(child) == name]


def text_in(node: Any, strip: str | None = None) -> str:
    """Return the text of an element."""
    return "".join(node.itertext()).strip(strip)


def place_in(folder: str, path: str) -> str:
    """Return the name of the member that a path in a part of this folder means."""
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def numbers(text: str) -> list[float]:
    """Return the numbers of a list; none where one of them is none."""
    found = []
    for word in text.split()[:16]:
        try:
            found.append(float(word))
        except ValueError:
            return []
    return found


def _shift(thing: Any) -> Turn:
    box = numbers(thing.get("Boundary", ""))
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
    values = numbers(text)
    if len(values) != 3:
        return ""
    return "#" + "".join(f"{max(0, min(255, int(v))):02x}" for v in values)
