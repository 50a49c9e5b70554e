"""PDF: text with the place of every character, and every other place where a PDF keeps text.

Four passes, each guarded on its own: the objects are weighed (bombs) and opened by pikepdf; pdfium reads the pages
(pdfplumber those that pdfium cannot); the places outside the pages are walked; older revisions in the same file are
read for what the last one no longer shows. Whatever was not read is a gap, never silence.
"""

from __future__ import annotations

import re
import zlib
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np

from dlp.formats import NotShowable, Source
from dlp.formats.pdf_cut import redact
from dlp.formats.pdf_lines import ODD_SHARE, Line, build
from dlp.formats.pdf_pages import Frame, Raster, Reader, Second, Seen, Unreadable
from dlp.formats.pdf_peel import Peeler
from dlp.formats.pdf_places import Found, Spot, Walk, decrypted, draws, headers_in_attachments, unlock, weigh
from dlp.formats.pdf_stamp import stamp
from dlp.formats.pdf_traces import Lookout
from dlp.formats.pdf_verify import verify
from dlp.formats.pdf_view import grounded
from dlp.formats.placed import strip as strip_of
from dlp.formats.room import Full, Reading, Room
from dlp.model import Coverage, Document, Gap, GapKind, Picture, Segment, Strip, Zone, evolve

__all__ = ["MEDIA", "extract", "redact", "stamp", "verify", "warm"]

MEDIA = ("application/pdf",)

IMAGE_SHARE = 0.15  # of the page: above it a picture can hold text that matters
READABLE_PIXELS = 1_024  # all pictures of a page together: below it they cannot show a word
MARGIN = 0.08  # of the page height: where headers and footers stand
DPI = 200  # of pages that are read by OCR
MOST_PIXELS = 4_000  # a side
PROBE_DPI = 150  # of lines that are looked at to see whether their font tells the truth
_MOST_PROBED, _LEAST_PROBED = 40, 4  # characters of such a line
_LEAST_SIDE = 8  # pixels
LOST_PAGES = 50  # in a row: then the page tree lies
REVISIONS = 24  # older revisions read of one file
REVISION_PAGES = 1_000
_ODD = "the fonts do not tell which characters they show"
_END = re.compile(rb"%%EOF[ \t]*(?:\r\n|\r|\n)?")
_HEADER = re.compile(rb"%PDF-\d")
_DIGITS = re.compile(r"\d+")


def extract(source: Source, room: Room) -> Document:
    """Read a PDF. Never raises for a bad document; a used-up budget ends the reading with a gap."""
    with ExitStack() as stack:
        reading = _Pdf(source.content(), room, stack)
        try:
            reading.run()
        except Full as full:
            reading.gap(full.kind, full.detail)
        return reading.document()


def render(source: Source, page: int, room: Room) -> Picture:
    """Return one page (from 1) as it is shown; `NotShowable` where there is no such page or it cannot be drawn."""
    with ExitStack() as stack:
        return _Pdf(source.content(), room, stack).show(page)


def warm() -> None:
    """Load what the first document would load: called once, before any child is forked."""
    with suppress(Full):
        extract(Source(_BLANK), Room())


_BLANK = (
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >>\nendobj\n"
    b"xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000058 00000 n \n0000000115 00000 n \n"
    b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n184\n%%EOF\n"
)
"""A page with nothing on it."""


class _Pdf:
    """One PDF on its way: what was read so far, so that nothing of it is lost when something fails."""

    def __init__(self, raw: bytes, room: Room, stack: ExitStack) -> None:
        self._raw = raw
        self._room = room
        self._stack = stack
        self._second: Second | None = None
        self._segments: list[Segment] = []
        self._nested: list[Document] = []
        self._gaps: list[Gap] = []
        self._coverage: list[Coverage] = []
        self._pages: int | None = None
        self._frames: dict[int, Frame] = {}
        self._sizes: dict[int, float] = {}
        self._shown: dict[int, str] = {}
        self._known: set[str] = set()
        self._pictures: list[Picture] = []
        self._believed: set[str] = set()
        self._structure: Any = None
        self._lookout = Lookout(room, self.gap)
        self._peeler = Peeler(room.sought, self.gap) if room.sought is not None else None

    def gap(self, kind: GapKind, detail: str, page: int | None = None) -> None:
        """Note something that was not read."""
        gap = self._room.gap(kind, detail, page)
        if gap not in self._gaps:
            self._gaps.append(gap)

    def document(self) -> Document:
        """Return what was read."""
        whole = Reading(self._room)
        whole.segments = _margins(self._segments, self._frames, self._sizes)
        whole.coverage = self._coverage
        whole.pictures = self._pictures
        for gap in self._gaps:
            whole.note(gap)
        for inner in self._nested:
            whole.take(inner)
        if self._peeler is not None:
            whole.checks.append(self._peeler.check(self._pages))
        return evolve(whole.document(MEDIA[0]), pages=self._pages)  # type: ignore[no-any-return]

    def run(self) -> None:
        """Read everything, pages first."""
        self._structure = self._unlock()
        if not self._weighed():
            return
        known = self._structure
        reader = self._open()
        if reader is None or (self._structure is not known and not self._weighed()):
            return
        structure = self._structure
        self._read_pages(reader, structure)
        if structure is not None:
            self._walk(structure)
        else:
            self.gap(GapKind.CORRUPT, "its structure is damaged, and what lies beside its pages was not read")
        self._revisions()
        self._envelope(structure)
        self._segments += self._lookout.tell(structure, self._segments)

    def show(self, page: int) -> Picture:
        """Return one page as a picture."""
        self._structure = self._unlock()
        reader = self._open() if self._weighed() else None
        if reader is None or not 1 <= page <= reader.pages:
            raise NotShowable("there is no such page")
        if not self._picture(reader, page - 1, believed=True):
            raise NotShowable("the page cannot be drawn")
        return self._pictures[-1]

    @property
    def _stamped(self) -> bool:
        return self._room.sought is not None and self._room.sought.plate is not None

    def _weighed(self) -> bool:
        trouble = weigh(self._structure) if self._structure is not None else None
        if trouble is not None:
            self.gap(*trouble)
        return trouble is None

    def _unlock(self) -> Any:
        try:
            return self._stack.enter_context(unlock(self._raw))
        except Exception:  # noqa: BLE001  any way in which pikepdf refuses a broken file means the same: no structure
            return None

    def _open(self) -> Reader | Second | None:
        try:
            return self._stack.enter_context(self._reader(self._raw))
        except Unreadable as why:
            if why.locked:
                return self._open_locked()
        try:
            return self._stack.enter_context(Second(self._raw))
        except Exception:  # noqa: BLE001  pdfminer raises anything at all on broken files
            self.gap(GapKind.CORRUPT, "no reader can open this PDF")
            return None

    def _reader(self, raw: bytes) -> Reader:
        return Reader(grounded(raw), self._lookout.watch, self._peeler.peel if self._peeler is not None else None)

    def _open_locked(self) -> Reader | None:
        """Open the document under one of the listed passwords; what is read then is a copy without any."""
        for password in self._room.passwords:
            self._room.check_time()
            plain = decrypted(self._raw, password)
            if plain is not None:
                self._room.spend_bytes(len(plain))
                self._raw = plain
                self._structure = self._unlock()
                return self._stack.enter_context(self._reader(plain))
        self.gap(GapKind.ENCRYPTED, "needs a password")
        return None

    def _read_pages(self, reader: Reader | Second, structure: Any) -> None:
        self._pages = reader.pages
        if reader.pages == 0:
            self.gap(GapKind.CORRUPT, "the document has no page that can be read")
        failed = 0
        for index in range(reader.pages):
            self._room.spend_pages()
            self._room.check_time()
            seen = self._read_page(reader, index)
            failed = 0 if seen is not None else failed + 1
            if failed > LOST_PAGES:
                self.gap(GapKind.CORRUPT, "the document promises more pages than can be read")
                return
            if seen is None:
                self.gap(GapKind.CORRUPT, "the page cannot be read", index + 1)
                self._cover(index + 1, "unread")
                continue
            self._frames[index + 1] = seen.frame
            self._sizes[index + 1] = _body_size(seen)
            lines = build(seen.glyphs)
            self._keep(lines, index + 1)
            self._judge(seen, index, structure, lines, reader)

    def _read_page(self, reader: Reader | Second, index: int) -> Seen | None:
        try:
            seen = reader.read(index)
        except Exception:  # noqa: BLE001  see _open
            seen = None
        if seen is not None or isinstance(reader, Second):
            return seen
        try:
            if self._second is None:
                self._second = self._stack.enter_context(Second(self._raw))
            return self._second.read(index) if index < self._second.pages else None
        except Exception:  # noqa: BLE001  see _open
            return None

    def _keep(self, lines: list[Line], page: int, anchor: str = "", zone: Zone | None = None) -> None:
        for line in lines:
            self._room.spend_segments()
            self._room.spend_chars(len(line.text))
            self._segments.append(
                Segment(
                    text=line.text,
                    part=self._room.part,
                    anchor=anchor,
                    strip=strip_of(line, page),
                    zone=zone or (Zone.HIDDEN if line.hidden else Zone.BODY),
                    soft=line.soft,
                )
            )
        squeezed = [_squeezed(line.text) for line in lines]
        self._known.update(squeezed)
        if not anchor:
            self._shown[page] = "".join(squeezed)

    def _probe(self, seen: Seen, lines: list[Line], index: int, reader: Reader | Second) -> None:
        """Have one line of each font that comes with the file looked at, whether it shows what it says.

        A font map can say anything: that of a print stream that glyphs are Latin letters, that of an attacker that a
        mark is a greeting. A line is enough to see a map that is wrong as a whole.
        """
        chosen: list[Line] = []
        for face in sorted(seen.embedded - self._believed):
            fit = [line for line in lines if line.face == face and not line.hidden and not line.vertical]
            line = max(fit, key=lambda one: len({*one.text[:_MOST_PROBED]}), default=None)
            if line is None or sum(map(str.isalnum, line.text)) < _LEAST_PROBED:
                continue
            self._believed.add(face)
            chosen.append(line)
        if not chosen or not isinstance(reader, Reader):
            return
        band = min(_band(line)[0] for line in chosen), max(_band(line)[1] for line in chosen)
        drawn = reader.render(index, PROBE_DPI, MOST_PIXELS, band)
        if drawn is not None:
            for line in chosen:
                self._cut(drawn, line, index)

    def _cut(self, drawn: Raster, line: Line, index: int) -> None:
        """Hand one line of a drawn page to the OCR engine."""
        high, low = _band(line)
        margin = line.box[1] - high
        end = float(line.edges[2 * min(len(line.text), _MOST_PROBED) - 1])
        sides = (line.box[0] - margin, high, min(line.box[2], end) + margin, low)
        left, top, right, bottom = (round(side * drawn.scale) for side in sides)
        grey = np.frombuffer(drawn.pixels, dtype=np.uint8).reshape(drawn.height, drawn.width)
        rows = grey[max(0, top - drawn.top) : max(0, bottom - drawn.top)]
        piece = np.ascontiguousarray(rows[:, max(0, left) : max(0, right)])
        if min(piece.shape) < _LEAST_SIDE:
            return
        packed = zlib.compress(piece.tobytes(), 1)
        self._room.spend_packed(len(packed))
        self._pictures.append(
            Picture(
                part=self._room.part,
                page=index + 1,
                width=piece.shape[1],
                height=piece.shape[0],
                raw=packed,
                form="line",
                says=line.text[:_MOST_PROBED],
            )
        )

    def _picture(self, reader: Reader | Second, index: int, *, believed: bool) -> bool:
        """Hand the page to the OCR engine as it is shown; False when it cannot be drawn."""
        drawn = reader.render(index, DPI, MOST_PIXELS) if isinstance(reader, Reader) else None
        if drawn is None:
            return False
        self._room.spend_pixels(drawn.width * drawn.height)
        packed = zlib.compress(drawn.pixels, 1)
        self._room.spend_packed(len(packed))
        self._pictures.append(
            Picture(
                part=self._room.part,
                page=index + 1,
                width=drawn.width,
                height=drawn.height,
                raw=packed,
                scale=1 / drawn.scale,
                believed=believed,
            )
        )
        return True

    def _judge(self, seen: Seen, index: int, structure: Any, lines: list[Line], reader: Reader | Second) -> None:
        """Decide whether a page was read, and say what on it was not."""
        page = index + 1
        for said in seen.spoken:
            self._add(Found(said, Zone.HIDDEN, "/ActualText", Spot(page)))
        has_lines = bool(lines)
        how = "text" if has_lines else "blank"
        why: tuple[GapKind, str] | None = None
        pictured = seen.images > 0 and seen.pixels > READABLE_PIXELS
        if seen.odd > ODD_SHARE * seen.letters or (self._room.drawn and has_lines):
            why = GapKind.UNTRUSTED_TEXT, _ODD
        elif pictured and not has_lines:
            why = GapKind.NO_OCR, "the page is a picture"
        elif pictured and seen.covered > IMAGE_SHARE:
            why = GapKind.NO_OCR, "pictures cover a part of the page"
        elif not has_lines and seen.painted:
            why = GapKind.NO_OCR, "the page shows something that is not text"
        else:
            self._probe(seen, lines, index, reader)
        if why is not None:
            odd = why[1] is _ODD
            how = "ocr" if self._picture(reader, index, believed=not odd) else "unread"
            if how == "unread":
                self.gap(*why, page)
        elif seen.objects == 0 and structure is not None and draws(structure, index, but=self._stamped):
            self.gap(GapKind.CORRUPT, "the page has content that the reader does not see", page)
            how = "unread"
        self._cover(page, how)

    def _cover(self, page: int, how: str) -> None:
        self._coverage.append(Coverage(page=page, how=how, part=self._room.part))

    def _add(self, found: Found) -> None:
        """Keep text from outside the pages, unless its page shows the very same."""
        page, box = found.spot
        if found.zone is Zone.HIDDEN and page and _squeezed(found.text) in self._shown.get(page, ""):
            return
        self._room.spend_segments()
        self._room.spend_chars(len(found.text))
        strip = None
        if page is not None and page in self._frames:
            edges = np.zeros(2 * len(found.text), dtype="<f4").tobytes()
            x0, y0, x1, y1 = self._frames[page].box(box)
            strip = Strip(page=page, x0=x0, y0=y0, x1=x1, y1=y1, edges=edges)
        self._segments.append(
            Segment(text=found.text, part=self._room.part, anchor=found.place, strip=strip, zone=found.zone)
        )

    def _walk(self, structure: Any) -> None:
        walk = Walk(structure, pages=self._pages or 0, tick=self._room.check_time)
        walk.run()
        for found in walk.found:
            self._add(found)
        for trouble in walk.troubles:
            self.gap(*trouble)
        for number, attached in enumerate(walk.attached, 1):
            self._room.spend_entries()
            self._room.spend_bytes(len(attached.raw))
            self._nested.append(self._room.descend(attached.name or f"attachment-{number}", attached.raw))

    def _revisions(self) -> None:
        """Read what earlier revisions in the same file showed and the last one does not."""
        ends = [m.end() for m in _END.finditer(self._raw)]
        body = len(self._raw.rstrip(b"\0 \r\n\t"))
        older = [end for end in ends[:-1] if end < body and b"startxref" in self._raw[max(0, end - 2048) : end]]
        if len(older) > REVISIONS:
            self.gap(GapKind.TOO_MANY, "the file holds more older revisions than are read")
        budget = REVISION_PAGES
        for number, end in enumerate(older[-REVISIONS:], 1):
            try:
                budget = self._revision(self._raw[:end], number, budget)
            except Unreadable:
                continue  # the end mark of a linearized file: nothing stands before it by itself
            if budget <= 0:
                self.gap(GapKind.TOO_MANY, "the older revisions have more pages than are read")
                return

    def _revision(self, raw: bytes, number: int, budget: int) -> int:
        with Reader(grounded(raw)) as reader:
            for index in range(reader.pages):
                if budget <= 0:
                    break
                budget -= 1
                self._room.check_time()
                seen = reader.read(index)
                lines = build(seen.glyphs) if seen else []
                gone = [line for line in lines if _squeezed(line.text) not in self._known]
                for line in gone:
                    line.soft = False
                self._keep(gone, index + 1, anchor=f"revision {number}", zone=Zone.HIDDEN)
        return budget

    def _envelope(self, structure: Any) -> None:
        """Account for the bytes around the document: a second document, a cut-off end, something after the end."""
        headers = len(_HEADER.findall(self._raw))
        if headers > 1 and headers - 1 > (headers_in_attachments(structure) if structure is not None else 0):
            self.gap(GapKind.CORRUPT, "several documents in one stream")
        ends = list(_END.finditer(self._raw))
        if not ends and b"startxref" not in self._raw[-4096:]:
            self.gap(GapKind.CORRUPT, "the end of the file is missing")
        elif ends:
            tail = self._raw[ends[-1].end() :].lstrip(b"\0 \r\n\t\x1a")
            if re.search(rb"\d+\s+\d+\s+obj\b", tail):
                self.gap(GapKind.CORRUPT, "the end of the file is missing")
            elif len(tail.rstrip(b"\0 \r\n\t\x1a")) > 16:
                self._nested.append(self._room.descend("after the end", tail))


def _band(line: Line) -> tuple[float, float]:
    """Return top and bottom of a line with some room around it."""
    _, top, _, bottom = line.box
    return top - 0.15 * (bottom - top), bottom + 0.15 * (bottom - top)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _body_size(seen: Seen) -> float:
    """Return the font size of most characters of a page."""
    sizes = np.array([kind.size for kind in seen.glyphs.kinds])
    if not sizes.size or not len(seen.glyphs.styles):
        return 0.0
    ordered = np.sort(sizes[seen.glyphs.styles])
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _margins(segments: list[Segment], frames: dict[int, Frame], sizes: dict[int, float]) -> list[Segment]:
    """Give the zones HEADER and FOOTER to lines in the outer margins that are small or come again on other pages."""
    places: dict[int, Zone] = {}
    counts: dict[str, set[int]] = {}
    for number, segment in enumerate(segments):
        strip = segment.strip
        if strip is None or segment.zone is not Zone.BODY or strip.vertical or strip.page not in frames:
            continue
        height = frames[strip.page].height
        if strip.y1 < MARGIN * height or strip.y0 > (1 - MARGIN) * height:
            places[number] = Zone.HEADER if strip.y1 < MARGIN * height else Zone.FOOTER
            counts.setdefault(_DIGITS.sub("0", segment.text), set()).add(strip.page)
    for number, zone in places.items():
        segment = segments[number]
        small = segment.strip is not None and segment.strip.size < 0.9 * sizes[segment.strip.page]
        if small or len(counts[_DIGITS.sub("0", segment.text)]) > 1:
            segments[number] = evolve(segment, zone=zone)
    return segments
