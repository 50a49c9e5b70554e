"""The room that one item has: a single budget over all its layers, and what is collected while reading it."""

from __future__ import annotations

import importlib
import io
import time
from collections.abc import Iterable, Sequence
from typing import BinaryIO, NamedTuple

from dlp.formats import FORMATS, Full, NotRedactable, NotShowable, NotStampable, Source
from dlp.limits import Limits
from dlp.model import (
    Box,
    Check,
    Coverage,
    Cut,
    Document,
    Gap,
    GapKind,
    Mode,
    Picture,
    Plate,
    Removed,
    Segment,
    Slice,
    Table,
    Zone,
    evolve,
)
from dlp.sniff import EDGE_BYTES, sniff
from dlp.values import MOST, Values

__all__ = ["Full", "Reading", "Room"]

SPARE = 0.8  # of the wall clock: what is read by then still gets out before the child is killed
BOXED = 4  # cells of one character in a row: from here on they are read as one text too
BOXES = "boxes "  # and a number, counted in each part: the anchor of such a text
RATIO_FROM = 1 << 20  # bytes; small things may pack well (a row of blanks) and do no harm


class Stamped(NamedTuple):
    """Where stamps were put: a box for each page in order, and the pages on which one covers something."""

    boxes: tuple[Box, ...]
    covered: tuple[int, ...] = ()


class Sought(NamedTuple):
    """What a second look has to find on the pages of a copy, and leave out of what it reads.

    Without a plate it is the look at the document before it was stamped, by which the other one is judged.
    """

    plate: Plate | None = None
    boxes: tuple[Box, ...] = ()


class _Purse:
    """What is spent so far. One for the whole item, shared by all its layers."""

    __slots__ = ("cells", "chars", "entries", "expanded", "packed", "pages", "pixels", "segments")

    def __init__(self) -> None:
        self.expanded = self.entries = self.pages = self.chars = self.segments = self.cells = 0
        self.pixels = self.packed = 0


class Room:
    """The budget of one item. Every `spend_` raises `Full` when the limit is passed, and goes on raising after."""

    __slots__ = ("_depth", "_purse", "_until", "drawn", "limits", "mode", "part", "passwords", "sought")

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        part: tuple[str, ...] = (),
        passwords: tuple[str, ...] = (),
        drawn: bool = False,
        mode: Mode = Mode.AUTO,
        sought: Sought | None = None,
    ) -> None:
        self.sought = sought
        self.limits = limits or Limits()
        self.passwords = passwords
        self.drawn = drawn
        self.mode = mode
        self.part = part
        self._depth = 0
        self._purse = _Purse()
        self._until = time.monotonic() + SPARE * self.limits.wall_seconds

    def gap(self, kind: GapKind, detail: str, page: int | None = None) -> Gap:
        """Return a gap of this layer; `detail` is a plain English clause that quotes nothing of the document."""
        return Gap(kind=kind, part=self.part, detail=detail, page=page)

    def spend_bytes(self, count: int) -> None:
        """Account for `count` bytes that were unpacked."""
        self._purse.expanded += count
        if self._purse.expanded > self.limits.expanded_bytes:
            raise Full(GapKind.TOO_BIG, f"it unpacks to more than {self.limits.expanded_bytes} bytes")

    def spend_entries(self, count: int = 1) -> None:
        """Account for `count` members of a container."""
        self._purse.entries += count
        if self._purse.entries > self.limits.entries:
            raise Full(GapKind.TOO_MANY, f"it has more than {self.limits.entries} members")

    def spend_pages(self, count: int = 1) -> None:
        """Account for `count` pages."""
        self._purse.pages += count
        if self._purse.pages > self.limits.pages:
            raise Full(GapKind.TOO_MANY, f"it has more than {self.limits.pages} pages")

    def spend_chars(self, count: int) -> None:
        """Account for `count` characters of text, and look at the clock."""
        self._purse.chars += count
        if self._purse.chars > self.limits.text_chars:
            raise Full(GapKind.TOO_BIG, f"it has more than {self.limits.text_chars} characters")
        self.check_time()

    def spend_segments(self, count: int = 1) -> None:
        """Account for `count` segments."""
        self._purse.segments += count
        if self._purse.segments > self.limits.segments:
            raise Full(GapKind.TOO_MANY, f"it has more than {self.limits.segments} paragraphs or lines")

    def spend_cells(self, count: int) -> None:
        """Account for `count` cells of tables."""
        self._purse.cells += count
        if self._purse.cells > self.limits.cells:
            raise Full(GapKind.TOO_MANY, f"it has more than {self.limits.cells} table cells")

    def spend_pixels(self, count: int) -> None:
        """Account for `count` pixels of one picture, before it is decoded."""
        self._purse.pixels += count
        if count > self.limits.picture_pixels or self._purse.pixels > self.limits.pixels:
            raise Full(GapKind.TOO_BIG, "its pictures have more pixels than the limit")
        self.check_time()

    def spend_packed(self, count: int) -> None:
        """Account for `count` bytes of packed pixels that go to the OCR engine."""
        self._purse.packed += count
        if self._purse.packed > self.limits.picture_bytes:
            raise Full(GapKind.TOO_BIG, f"its pictures are more than {self.limits.picture_bytes} bytes")

    def check_ratio(self, packed: int, expanded: int) -> None:
        """Refuse what unpacks to far more than it takes (bytes); small things are let through."""
        if expanded > RATIO_FROM and expanded > packed * self.limits.ratio:
            raise Full(GapKind.TOO_BIG, f"it unpacks to more than {self.limits.ratio} times its size")

    def check_time(self) -> None:
        """Stop before the wall clock does, so that what was read still gets out."""
        if time.monotonic() > self._until:
            raise Full(GapKind.TIMEOUT, "reading it takes longer than the limit")

    def inside(self, name: str) -> Room:
        """Return the room of a container in this one: same purse, one level deeper."""
        if self._depth + 1 > self.limits.depth:
            raise Full(GapKind.TOO_DEEP, f"containers are nested more than {self.limits.depth} deep")
        room = object.__new__(Room)
        room.limits, room.passwords, room.drawn = self.limits, self.passwords, self.drawn
        room.mode, room.sought = self.mode, None  # what lies in a document is not what was stamped
        room._purse, room._until = self._purse, self._until
        room.part, room._depth = (*self.part, name), self._depth + 1
        return room

    def descend(self, name: str, data: bytes) -> Document:
        """Return everything that can be read in `data`, which lay under `name` in this container; never raises."""
        document = Reading(self)
        kinds: tuple[str, ...] = ()
        try:
            room = self.inside(name)
            source = Source(data, name=name)
            kinds = sniff(data[:EDGE_BYTES], data[-EDGE_BYTES:], source) if data else ()
            for media in kinds:
                source.seek(0)
                document.take(read(media, source, room))
            if data and not kinds:
                document.note(room.gap(GapKind.UNSUPPORTED, "the content is of no known type"))
        except Full as full:
            document.note(Gap(kind=full.kind, part=(*self.part, name), detail=full.detail))
        return document.document(kinds[0] if kinds else "")


def read(media: str, source: Source, room: Room) -> Document:
    """Return what the format of `media` reads in `source`; whatever it raises becomes a gap that quotes nothing."""
    module = FORMATS.get(media)
    if module is None:
        return Document(media=media, gaps=(room.gap(GapKind.UNSUPPORTED, f"there is no reader for {media}"),))
    try:
        document: Document = importlib.import_module(module).extract(source, room)
    except Full as full:
        gap = room.gap(full.kind, full.detail)
    except MemoryError:
        gap = room.gap(GapKind.TOO_BIG, "reading it needs more memory than the limit")
    except (Exception, SystemExit) as err:  # noqa: BLE001  a reader's bug is one document's gap, not everybody's end
        gap = room.gap(GapKind.CORRUPT, type(err).__name__)
    else:
        return document
    return Document(media=media, gaps=(gap,))


def redact(media: str, source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Have the format of `media` write its source without the cuts. `NotRedactable` where it cannot."""
    kinds = _kinds(source)
    if len({FORMATS.get(kind) for kind in kinds}) > 1:
        return _redact_readings(kinds, source, cuts, out, room)
    return _redact_as(media, source, cuts, out, room)


def _redact_as(media: str, source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    module = FORMATS.get(media)
    work = getattr(importlib.import_module(module), "redact", None) if module else None
    if work is None:
        raise NotRedactable(f"there is no redaction for {media}")
    removed: tuple[Removed, ...] = work(source, cuts, out, room)
    return removed


def stamp(media: str, source: Source, plate: Plate, out: BinaryIO, room: Room) -> Stamped:
    """Have the format of `media` write its source with a stamp on each page. `NotStampable` where it cannot."""
    module = FORMATS.get(media)
    work = getattr(importlib.import_module(module), "stamp", None) if module else None
    if work is None:
        raise NotStampable(f"there is no stamping for {media}")
    if _kinds(source) != (media,):
        raise NotStampable("it can be taken for several types")
    stamped: Stamped = work(source, plate, out, room)
    return stamped


def render(media: str, source: Source, page: int, room: Room) -> Document:
    """Return one page (from 1) as a picture, nothing else of the document. `NotShowable` where it has no pages.

    What a format hands to the OCR engine is what its pages show; one that shows text in another way draws them itself.
    """
    module = FORMATS.get(media)
    work = getattr(importlib.import_module(module), "render", None) if module else None
    if work is not None:
        picture: Picture = work(source, page, room)
        return Document(media=media, pictures=(picture,))
    if media not in PICTURED:
        raise NotShowable(f"pages of {media} cannot be drawn")
    seen = read(media, source, room)
    pictures = tuple(one for one in seen.pictures if one.part == room.part and one.page in (page, None))
    if not pictures and not seen.gaps:
        raise NotShowable("there is no such page, or nothing is on it")
    return Document(media=media, gaps=seen.gaps, pictures=pictures[:1])


PICTURED = frozenset(kind for kind in FORMATS if kind.startswith("image/") or kind.endswith(("postscript", "raster")))
"""Types that are pictures of pages, whatever they are packed in."""


def _kinds(source: Source) -> tuple[str, ...]:
    return sniff(source.peek(0, EDGE_BYTES), source.peek(max(0, source.size - EDGE_BYTES), EDGE_BYTES), source)


def _redact_readings(
    kinds: Sequence[str], source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room
) -> tuple[Removed, ...]:
    """Write a file that can be taken for several types through one of its readings.

    What another reading says is a second sight of the same bytes. So the copy is read again as all that it can be
    taken for, and one in which a removed text of another reading is left is thrown away.
    """
    seen = {kind: read(kind, source, Room(room.limits, passwords=room.passwords)) for kind in kinds}
    why = NotRedactable("it can be taken for several types, and not all of them can be redacted")
    for kind in kinds:
        own = _places(seen[kind])
        mine = [cut for cut in cuts if (cut.part, cut.anchor) in own]
        left = _raws([cut for cut in cuts if (cut.part, cut.anchor) not in own], seen.values())
        draft = io.BytesIO()
        try:
            removed = _redact_as(kind, source, mine, draft, room) if mine else ()
        except NotRedactable as no:
            why = no
            continue
        if mine and not _says(Source(draft.getvalue(), name=source.name), left, room):
            out.write(draft.getvalue())
            return removed
    raise why


def _places(document: Document) -> set[tuple[tuple[str, ...], str]]:
    """Return where a reading has text, and where it has pictures whose text comes from OCR."""
    texts = {(segment.part, segment.anchor) for segment in document.segments}
    return texts | {(picture.part, "ocr") for picture in document.pictures}


def _raws(cuts: Sequence[Cut], readings: Iterable[Document]) -> set[str]:
    """Return the texts of cuts of other readings."""
    texts: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for document in readings:
        for segment in document.segments:
            texts.setdefault((segment.part, segment.anchor), []).append(segment.text)
    raws: set[str] = set()
    for cut in cuts:
        found = texts.get((cut.part, cut.anchor))
        if not found:
            raise NotRedactable("what is to be removed is not where it was read")
        raws.update(text[cut.start : cut.end] for text in found)
    return raws - {""}


def _says(copy: Source, raws: set[str], room: Room) -> bool:
    """Tell whether any reading of a copy holds one of these texts."""
    if not raws:
        return False
    if len(raws) > MOST:
        raise NotRedactable("too many texts would have to be looked for in its other readings")
    known = Values(tuple(raws))
    readings = (read(kind, copy, Room(room.limits, passwords=room.passwords)) for kind in _kinds(copy))
    return any(known.any_in(segment.text) for document in readings for segment in document.segments)


def redact_member(name: str, data: bytes, cuts: Sequence[Cut], room: Room) -> tuple[bytes, tuple[Removed, ...]]:
    """Return member `name` of a container without the cuts, whose `part` begins with it, and what was removed.

    A member without cuts comes back as it is.
    """
    inner = [evolve(cut, part=cut.part[1:]) for cut in cuts if cut.part[:1] == (name,)]
    if not inner:
        return data, ()
    source = Source(data, name=name)
    kinds = _kinds(source)
    if not kinds:
        raise NotRedactable("a member is of no known type")
    out = io.BytesIO()
    removed = redact(kinds[0], source, inner, out, room.inside(name))
    return out.getvalue(), removed


def verify_member(name: str, new: bytes, old: bytes, cuts: Sequence[Cut], room: Room) -> Document | None:
    """Return what the verifier of its format finds in member `name` of a copy; None where nothing was cut from it."""
    inner = [evolve(cut, part=cut.part[1:]) for cut in cuts if cut.part[:1] == (name,)]
    kinds = _kinds(Source(old)) if inner else ()
    module = FORMATS.get(kinds[0]) if kinds else None
    look = getattr(importlib.import_module(module), "verify", None) if module else None
    if look is None:
        return None
    found: Document = look(Source(new), Source(old), inner, room.inside(name))
    return found


class Reading:
    """What a format has read so far; spends from the room with every line."""

    __slots__ = ("_boxed", "_gaps", "checks", "coverage", "pictures", "room", "segments", "tables")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.segments: list[Segment] = []
        self.tables: list[Table] = []
        self._gaps: dict[Gap, None] = {}
        self._boxed: dict[tuple[str, ...], int] = {}
        self.coverage: list[Coverage] = []
        self.pictures: list[Picture] = []
        self.checks: list[Check] = []

    def add(self, text: str, *, part: tuple[str, ...], anchor: str = "", zone: Zone = Zone.BODY) -> int:
        """Append one segment and return its number. `part` is the whole path, with that of the room."""
        self.room.spend_segments()
        self.room.spend_chars(len(text))
        self.segments.append(Segment(text=text, part=part, anchor=anchor, zone=zone))
        return len(self.segments) - 1

    def tabulate(
        self, rows: Iterable[tuple[Slice, ...]], *, part: tuple[str, ...], boxed: Sequence[int] | None = None
    ) -> None:
        """Append one table; a table without rows is none. `boxed` are the rows with `BOXED` letters, where known."""
        kept = tuple(row for row in rows if row)
        if kept:
            self.room.spend_cells(sum(map(len, kept)))
            self.tables.append(Table(part=part, rows=kept))
            for row in kept if boxed is None else [kept[number] for number in boxed]:
                if len(row) >= BOXED:
                    self._join_boxes(row, part)

    def _join_boxes(self, row: tuple[Slice, ...], part: tuple[str, ...]) -> None:
        """Add what is written one character a cell, as forms have it for numbers, as one more text."""
        letters: list[str] = []
        for cell in (*row, None):
            one = self.segments[cell.segment].text[cell.start : cell.end].strip() if cell is not None else ""
            if len(one) == 1:
                letters.append(one)
                continue
            if len(letters) >= BOXED:
                number = self._boxed[part] = self._boxed.get(part, -1) + 1
                self.add("".join(letters), part=part, anchor=f"{BOXES}{number}", zone=Zone.HIDDEN)
            letters = []

    def miss(self, kind: GapKind, detail: str, *, part: tuple[str, ...] | None = None) -> None:
        """Append a gap; `part` is that of the room when not given."""
        self.note(Gap(kind=kind, part=self.room.part if part is None else part, detail=detail))

    def note(self, gap: Gap) -> None:
        """Append a gap that was made elsewhere; the same gap counts once."""
        self._gaps[gap] = None

    def take(self, document: Document) -> None:
        """Append all of another document. It has spent already."""
        first = len(self.segments)
        self.segments += document.segments
        self._gaps.update(dict.fromkeys(document.gaps))
        self.coverage += document.coverage
        self.pictures += document.pictures
        self.checks += document.checks
        for table in document.tables:
            rows = tuple(tuple(Slice(c.segment + first, c.start, c.end) for c in row) for row in table.rows)
            self.tables.append(Table(part=table.part, rows=rows))

    def document(self, media: str) -> Document:
        """Return what was read as a value."""
        return Document(
            media=media,
            segments=tuple(self.segments),
            tables=tuple(self.tables),
            gaps=tuple(self._gaps),
            coverage=tuple(self.coverage),
            pictures=tuple(self.pictures),
            checks=tuple(self.checks),
        )
