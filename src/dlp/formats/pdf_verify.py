"""A redacted PDF, looked at by code that had no part in making it.

pikepdf, pdfminer and pdfium open the copy; their texts go to the scanner of the parent, what is shown around the boxes
to the OCR engine. Bytes, keys, fonts, ink and places are looked at here; each layer is one check.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import pikepdf
import pypdfium2

from dlp.formats import Source, pdf_boxes, pdf_ink, pdf_keys, pdf_readings, pdf_remnants
from dlp.formats.pdf_boxes import Drawn
from dlp.formats.pdf_frame import Sides
from dlp.formats.pdf_pages import Frame, flatten
from dlp.formats.pdf_view import grounded
from dlp.formats.room import Full, Reading, Room
from dlp.model import Check, Cut, Document, Mode

MEDIA = "application/pdf"
LOOKS = 40  # pages of which something goes to the OCR engine; of those that are pictures, all do
IDLE_SHARE = 0.4  # of the wall clock: from here on pages without a cut are not compared any more


class _Page(NamedTuple):
    """One page of a copy as its structure has it; `number` from 1."""

    number: int
    boxes: Drawn
    is_picture: bool


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return what other readers read in a redacted copy, and what was looked at in it."""
    with ExitStack() as stack:
        proof = _Proof(source.content(), before.content(), cuts, room, stack)
        try:
            proof.run()
        except Full as full:
            proof.reading.miss(full.kind, full.detail)
        return proof.document()


class _Proof:
    """A verification on its way: which layers failed so far, and what was read."""

    def __init__(self, raw: bytes, before: bytes, cuts: Sequence[Cut], room: Room, stack: ExitStack) -> None:
        self._raw, self._before_raw = raw, before
        self._cuts = [cut for cut in cuts if cut.anchor in ("", "ocr") and cut.boxes]
        self._room = room
        self._stack = stack
        self._began = time.monotonic()
        self._bad: dict[str, str] = {}
        self._done: dict[str, str] = {}
        self._looks = 0
        self._skipped = 0
        self.reading = Reading(room)

    def document(self) -> Document:
        """Return everything that was read, with one check for each layer."""
        for name, state in self._done.items():
            why = self._bad.get(name, "")
            self.reading.checks.append(Check(name=name, state="fail" if why else state, detail=why))
        return self.reading.document(MEDIA)

    def run(self) -> None:
        """Look at everything, layer by layer."""
        structure = self._open("pikepdf", lambda: pikepdf.open(io.BytesIO(self._raw)))
        copy = self._open("pdfium", lambda: pypdfium2.PdfDocument(self._raw))
        before = self._open("before", self._open_before)
        if structure is None or copy is None or before is None:
            return
        self._done["reopened:pikepdf"] = "ok"
        if structure.check_pdf_syntax():
            self._fail("reopened:pikepdf", "it has errors of form")
        count = len(structure.pages)
        self._judge("pages", "" if count == len(copy) == len(before) else "the number of pages changed")
        self._judge("carve", pdf_keys.carve(self._raw, structure, self._room) or pdf_keys.behind(structure))
        self._judge("keys", pdf_keys.keys(structure))
        self._fonts(structure)
        pages = [_look(page, number) for number, page in enumerate(structure.pages, 1)]
        self._done["boxes"] = "ok"
        for page in pages:
            self._fail("boxes", page.boxes.trouble)
        if self._bad.get("pages") or self._bad.get("boxes"):
            return
        self._mine(pages)
        self._compare(pages, copy, before, self._unboxed(structure, pages))

    def _fail(self, name: str, why: str) -> None:
        if why:
            self._bad.setdefault(name, why)

    def _judge(self, name: str, why: str) -> None:
        self._done[name] = "ok"
        self._fail(name, why)

    def _open(self, name: str, way: Any) -> Any:
        self._room.check_time()
        name = f"reopened:{name}"
        try:
            opened = way()
        except Full:
            raise
        except Exception as err:  # noqa: BLE001  whatever a library raises means the same: it does not open
            self._judge(name, f"it does not open ({type(err).__name__})")
            return None
        self._done[name] = "ok"
        return self._stack.enter_context(opened) if hasattr(opened, "__enter__") else self._closed(opened)

    def _closed(self, opened: Any) -> Any:
        self._stack.callback(opened.close)
        return opened

    def _open_before(self) -> Any:
        for password in ("", *self._room.passwords):
            try:
                return pypdfium2.PdfDocument(grounded(self._before_raw), password=password or None)
            except pypdfium2.PdfiumError as err:
                failed = err
        raise failed

    def _fonts(self, structure: Any) -> None:
        uses = pdf_remnants.Uses(structure, self._room)
        self._judge("fonts", pdf_remnants.told(uses))
        if uses.spoken:
            self._fail("keys", "the contents say other text than they show")

    def _unboxed(self, structure: Any, pages: list[_Page]) -> Any:
        """Return the copy without its boxes, opened by pdfium; None when it has none."""
        if not any(page.boxes.boxes for page in pages):
            return None
        for page in pages:
            if page.boxes.boxes:
                holder = structure.pages[page.number - 1].obj
                holder.Contents = holder.Contents[0]
        out = io.BytesIO()
        # An id by chance would need a device that the sandbox does not have.
        structure.save(out, deterministic_id=True, compress_streams=False)
        self._room.spend_bytes(out.tell())
        return self._open("unboxed", lambda: pypdfium2.PdfDocument(out.getvalue()))

    def _mine(self, pages: list[_Page]) -> None:
        """Read all pages by pdfminer, and look whether it sees a character below a box."""
        self._done["places"] = "ok"
        miner = self._open_miner()
        if miner is None:
            return
        count = 0
        for page, (letters, first) in zip(pages, self._mined(miner), strict=False):
            count += 1
            for text in letters.orders():
                self._say(text, page.number)
            under = pdf_readings.Letters(letters.text[:first], letters.boxes[:first])
            if pdf_readings.covered(under, page.boxes.boxes):
                self._fail("places", f"a character lies under a box of page {page.number}")
            if page.is_picture and first:
                self._fail("places", f"page {page.number} is a picture and has text")
        if count != len(pages):
            self._fail("reopened:pdfminer", "it does not read every page")

    def _open_miner(self) -> pdf_readings.Miner | None:
        try:
            miner = pdf_readings.Miner(self._raw, self._room)
        except Exception as err:  # noqa: BLE001  see _open
            self._judge("reopened:pdfminer", f"it does not open ({type(err).__name__})")
            return None
        self._done["reopened:pdfminer"] = "ok"
        return miner

    def _mined(self, miner: pdf_readings.Miner) -> Any:
        try:
            yield from miner.pages()
        except Full:
            raise
        except Exception as err:  # noqa: BLE001  see _open
            self._fail("reopened:pdfminer", f"it does not read a page ({type(err).__name__})")

    def _say(self, text: str, page: int) -> None:
        if text.strip():
            self.reading.add(text, part=(*self._room.part, f"page {page}"))

    def _compare(self, pages: list[_Page], copy: Any, before: Any, unboxed: Any) -> None:
        """Look at what pdfium reads and shows on each page."""
        for name in ("covered", "ink", "fidelity"):
            self._done[name] = "ok"
        for page in pages:
            self._room.check_time()
            with ExitStack() as stack:
                shown = self._page(copy, page.number, stack)
                self._read(shown, page, stack)
                if self._is_late() and not page.boxes.boxes and not self._cut_on(page.number):
                    self._skipped += 1
                    continue
                bare = shown if not page.boxes.boxes else self._page(unboxed, page.number, stack)
                self._see(page, shown, bare, self._flattened(before, page.number, stack))
        if self._skipped:
            self._done["fidelity:rest"] = "unavailable"

    def _is_late(self) -> bool:
        return time.monotonic() - self._began > IDLE_SHARE * self._room.limits.wall_seconds

    def _page(self, document: Any, number: int, stack: ExitStack) -> Any:
        page = document[number - 1]
        stack.callback(page.close)
        return page

    def _flattened(self, document: Any, number: int, stack: ExitStack) -> Any:
        """Return a page of the file before with its notes and fields as a part of it: a copy has no others."""
        page = document[number - 1]
        if pypdfium2.raw.FPDFPage_GetAnnotCount(page) > 0:
            flatten(page.raw)
            page.close()
            page = document[number - 1]
        stack.callback(page.close)
        return page

    def _cut_on(self, number: int) -> list[tuple[Cut, Sides]]:
        return [(c, (b.x0, b.y0, b.x1, b.y1)) for c in self._cuts for b in c.boxes if b.page == number]

    def _read(self, shown: Any, page: _Page, stack: ExitStack) -> None:
        text = shown.get_textpage()
        stack.callback(text.close)
        self._say(text.get_text_range(), page.number)

    def _see(self, page: _Page, shown: Any, bare: Any, before: Any) -> None:
        """Look at one page with its boxes, without them, and as it was."""
        number = page.number
        frame = Frame(shown.get_bbox(), shown.get_rotation())
        boxes = [frame.box(box) for box in page.boxes.boxes]
        cut = self._cut_on(number)
        moved = [box for one, box in cut if self._moves(one)]
        with_boxes, scale = pdf_ink.drawn(shown, pdf_ink.DPI)
        under = pdf_ink.drawn(bare, pdf_ink.DPI)[0] if boxes else with_boxes
        if boxes:
            text = bare.get_textpage()
            if pdf_readings.reaches(text, page.boxes.boxes):
                self._fail("places", f"a character lies under a box of page {number}")
            text.close()
        self._covered(page, boxes, cut, with_boxes, scale)
        if not pdf_ink.dark(with_boxes, scale, boxes):
            self._fail("covered", f"a box of page {number} is not shown")
        was, _ = pdf_ink.drawn(before, pdf_ink.DPI)
        places = [box for _, box in cut]
        if not all(pdf_ink.flat(under, scale, box, pdf_ink.least(was, scale, box, places)) for box in boxes):
            self._fail("ink", f"something is drawn under a box of page {number}")
        self._fidelity(page, (was, with_boxes), scale, boxes, moved)
        self._crop(page, shown, boxes or [box for _, box in cut])

    def _moves(self, cut: Cut) -> bool:
        """Tell whether what follows a cut in its row may have moved."""
        return self._room.mode is Mode.FIXED_GAP or (self._room.mode is not Mode.KEEP and cut.gap)

    def _covered(self, page: _Page, boxes: list[Sides], cut: list[tuple[Cut, Sides]], grey: Any, scale: float) -> None:
        if self._room.mode is Mode.RASTER and cut and not page.is_picture:
            self._fail("covered", f"page {page.number} is no picture")
        bands = [box for one, box in cut if self._moves(one)]
        for _, box in cut:
            if page.is_picture and pdf_ink.dark(grey, scale, [_inner(box)]):
                continue
            if any(band[1] < box[3] and box[1] < band[3] for band in bands):
                kept = any(one[1] < box[3] and box[1] < one[3] for one in boxes)
                kept = kept or (page.is_picture and pdf_ink.blocked(grey, scale, box))
            else:
                kept = pdf_ink.covers(boxes, box)
            if not kept:
                self._fail("covered", f"what was removed from page {page.number} has no box over it")

    def _fidelity(
        self, page: _Page, shown: tuple[Any, Any], scale: float, boxes: list[Sides], moved: list[Sides]
    ) -> None:
        """Compare a page with what it was, outside of its boxes and of the rows in which text moved."""
        was, after = shown
        if was.shape != after.shape:
            self._fail("fidelity", f"page {page.number} has another size than before")
            return
        bands = moved + [box for box in boxes if any(m[1] < box[3] and box[1] < m[3] for m in moved)]
        cut = [box for _, box in self._cut_on(page.number)]
        mask = pdf_ink.spared(after.shape, scale, boxes + cut, bands)
        share = pdf_ink.changed(was, after, mask, noisy=page.is_picture)
        if share > pdf_ink.CHANGED:
            self._fail("fidelity", f"page {page.number} shows other things than before outside of its boxes")

    def _crop(self, page: _Page, shown: Any, boxes: list[Sides]) -> None:
        """Have what is shown around the boxes read by OCR."""
        if not boxes:
            return
        if self._looks >= LOOKS and not page.is_picture:
            self._done["read:rest"] = "unavailable"
            return
        self._looks += 1
        picture = pdf_ink.sheet(shown, pdf_ink.around(boxes, shown.get_size()), page.number, self._room)
        if picture is not None:
            self.reading.pictures.append(picture)


def _inner(box: Sides) -> Sides:
    """Return a box less a tenth of its height all around."""
    margin = 0.1 * (box[3] - box[1])
    return box[0] + margin, box[1] + margin, box[2] - margin, box[3] - margin


def _look(page: Any, number: int) -> _Page:
    boxes = pdf_boxes.drawn(page.obj)
    return _Page(number, boxes, pdf_boxes.is_picture(page.obj))
