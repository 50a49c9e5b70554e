"""Redaction of a PDF: glyphs and pixels out, the rest of each page as it was, in a file made anew.

Page by page: its content is followed to the last glyph, what lies in the rectangles of the cuts goes, and the page is
written again. A page that cannot be followed that closely becomes a picture of itself. Nothing but pages is taken
along: what else was to be removed (a note, a field, a title, an attachment, an older revision) is left behind whole.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pikepdf
import pypdfium2

from dlp.formats import NotRedactable, Source
from dlp.formats.pdf_frame import Sides
from dlp.formats.pdf_layers import Layers
from dlp.formats.pdf_ops import NeedsRaster, Op, inverse, is_marking, parse, write
from dlp.formats.pdf_pages import flatten
from dlp.formats.pdf_pictures import wipe
from dlp.formats.pdf_places import decrypted, save, unlock
from dlp.formats.pdf_prune import Fonts
from dlp.formats.pdf_raster import Renderer, page_of, paint
from dlp.formats.pdf_rebuild import Cleaner, Page, mentioned, only
from dlp.formats.pdf_rewrite import rewrite, used
from dlp.formats.pdf_shows import Content, Shared, around, look
from dlp.formats.pdf_spots import Places, Wish, plan
from dlp.formats.pdf_view import View, grounded, resources_of, view_of
from dlp.formats.room import Room
from dlp.model import Cut, Mode, Removed

OCR = "ocr"
"""Anchor of what was read off pixels."""
_PAD = 0.3  # points: around each box
_TELLING = (b"ActualText", b"/Alt", b"/E ", b"/E(", b"/E<", b"/OC")


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the document without the cuts. Raises `NotRedactable` where nobody can be sure of it.

    A document with a digital signature is refused: the copy would still look signed.
    """
    pdf, views = _open(source.content(), room)
    with pdf:
        work = _Work(pdf, cuts, room)
        work.run(views, out)
        return work.removed()


def _open(raw: bytes, room: Room) -> tuple[Any, list[View]]:
    """Return the document with nothing on its pages but their contents, and how its pages are shown."""
    try:
        pdf = unlock(raw)
    except pikepdf.PasswordError:
        plain = next(filter(None, (decrypted(raw, password) for password in room.passwords)), None)
        if plain is None:
            raise NotRedactable("it needs a password") from None
        raw, pdf = plain, unlock(plain)
    except pikepdf.PdfError:
        raise NotRedactable("its structure is damaged") from None
    _refuse_signed(pdf)
    room.spend_pages(len(pdf.pages))
    return _flattened(raw, pdf), [view_of(page) for page in pdf.pages]


class _Work:
    """One document on its way."""

    def __init__(self, pdf: Any, cuts: Sequence[Cut], room: Room) -> None:
        self._pdf = pdf
        self._cuts = cuts
        self._room = room
        self._shared = Shared(Layers(pdf), room.check_time)
        self._fonts = Fonts(pdf, self._shared)
        self._every = room.mode is Mode.RASTER
        """Every page becomes a picture."""
        self._how: dict[int, str] = {}
        self._wishes: dict[int, list[Wish]] = {}

    def run(self, views: list[View], out: BinaryIO) -> None:
        """Make the copy and write it."""
        pages = list(self._pdf.pages)
        if len(pages) != len(views):
            raise NotRedactable("its notes or fields are damaged")
        self._gather(len(pages))
        made = [self._page(page, number, views[number - 1]) for number, page in enumerate(pages, 1)]
        pixels = None
        if self._every or None in made:
            pixels = Renderer(_saved(self._pdf), self._room)
        copy = self._assemble(pages, made, views)
        if pixels is not None:
            copy = self._as_pictures(copy, made, views, pixels)
        with copy:
            copy.save(
                out, compress_streams=True, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True
            )

    def removed(self) -> tuple[Removed, ...]:
        """Return how many places of each type were removed from each page, and how."""
        counts: Counter[tuple[str, int | None, str]] = Counter()
        for cut in self._cuts:
            if cut.label:
                page = cut.boxes[0].page if cut.boxes else None
                counts[cut.type, page, self._how.get(page or 0, "text")] += 1
        return tuple(Removed(type=kind, count=count, page=page, how=how) for (kind, page, how), count in counts.items())

    def _gather(self, pages: int) -> None:
        """Sort the cuts by page. What lies outside of the pages is not taken along, and needs no more than that."""
        mode = self._room.mode
        for cut in self._cuts:
            if cut.part or cut.anchor not in ("", OCR):
                continue
            if not cut.boxes:
                raise NotRedactable("nothing tells where on its page a text stands")
            gap = mode is not Mode.KEEP and (cut.gap or mode is Mode.FIXED_GAP)
            for box in cut.boxes:
                if not 1 <= box.page <= pages:
                    raise NotRedactable("it has fewer pages than were read")
                sides = (box.x0, box.y0, box.x1, box.y1)
                self._wishes.setdefault(box.page, []).append(Wish(sides, gap, read=not cut.anchor))
                if not cut.anchor or box.page not in self._how:
                    self._how[box.page] = "pixels" if cut.anchor else "glyphs"

    def _page(self, page: Any, number: int, view: View) -> Page | None:
        """Return a page without what has to go; None where only its picture can be redacted."""
        self._room.check_time()
        wishes = self._wishes.get(number, [])
        if self._every and not any(wish.gap for wish in wishes):
            return None
        resources = resources_of(page)
        try:
            content = _stream(self._pdf, page)
            raw = bytes(content.read_bytes())
            self._room.spend_bytes(len(raw))
            if not wishes and not (self._shared.layers.some_off and b"/OC" in raw):
                made = self._as_it_is(raw, content, resources)
            else:
                seen = look(content, resources, view.turn, self._shared)
                places = plan(seen, wishes, view.frame.width)
                made = self._without(seen, places, view)
            self._fonts.use(made.content, made.resources)
        except (NeedsRaster, pikepdf.PdfError) as err:
            if not wishes and isinstance(err, pikepdf.PdfError):
                raise NotRedactable("its structure is damaged") from None
            self._how[number] = "raster"
            return None
        return made

    def _as_it_is(self, raw: bytes, content: Any, resources: Any) -> Page:
        """Return a page from which nothing is removed but what only marks its content."""
        if any(word in raw for word in (b"BDC", b"BMC", b"DP", b"MP")):
            try:
                raw = write([op for op in parse(content) if not is_marking(op)])
            except NeedsRaster:
                if any(word in raw for word in _TELLING):
                    raise
        return Page(raw, only(resources, mentioned(resources, raw, self._room.check_time)))

    def _without(self, content: Content, places: Places, view: View) -> Page:
        """Return a page by its plan."""
        ops, resources = self._write(content, places, len(self._how))
        return Page(b"q\n" + write(ops) + b"\nQ\n", resources, _boxes(places.boxes, view))

    def _write(self, content: Content, places: Places, depth: int) -> tuple[list[Op], Any]:
        """Return the instructions of a content and its resources; forms and pictures that change are new ones."""
        added: dict[str, Any] = {}
        names: dict[int, str] = {}
        for drawn in content.pictures:
            if drawn.at in content.hidden:
                continue
            picture = wipe(self._pdf, drawn, places.touched, self._room)
            if picture is not None:
                names[drawn.at] = f"/WYP{len(added)}"
                added[names[drawn.at]] = picture
        for drawn in content.forms:
            if drawn.inner is None or drawn.at in content.hidden:
                continue
            form = self._form(drawn.thing, drawn.inner, places, depth + 1)
            if form is not None:
                names[drawn.at] = f"/WYP{len(added)}"
                added[names[drawn.at]] = form
        ops = rewrite(content, places, names)
        resources = only(content.resources, used(ops))
        if added:
            table = resources.get("/XObject", pikepdf.Dictionary())
            for name, thing in added.items():
                table[name] = thing
            resources["/XObject"] = table
        return ops, resources

    def _form(self, form: Any, inner: Content, places: Places, depth: int) -> Any:
        """Return a form written anew, as every form on a redacted page is; on other pages it stays as it is."""
        ops, resources = self._write(inner, places, depth)
        made = self._pdf.make_stream(write(ops))
        made["/Type"], made["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Form
        for key in ("/BBox", "/Matrix", "/Group"):
            if key in form:
                made[key] = form[key]
        made["/Resources"] = resources
        return made

    def _assemble(self, pages: list[Any], made: list[Page | None], views: list[View]) -> Any:
        """Return a new document of the pages that stay text; the others are blank in it."""
        if not self._every:
            self._clean(made)
        copy = pikepdf.Pdf.new()
        for source, page, view in zip(pages, made, views, strict=True):
            copy.pages.append(pikepdf.Page(_new_page(self._pdf, copy, source, page, view)))
        return copy

    def _clean(self, made: list[Page | None]) -> None:
        cleaner = Cleaner(self._pdf, self._room.check_time)
        try:
            for page in made:
                if page is not None:
                    cleaner.resources(page.resources)
            self._fonts.prune()
        except NeedsRaster as err:
            raise NotRedactable(err.detail) from None

    def _as_pictures(self, copy: Any, made: list[Page | None], views: list[View], before: Renderer) -> Any:
        """Return the copy with pages as pictures: all of them, or those that have no other form.

        A line that was laid anew is drawn as it lies now; all else is drawn as it was and painted over.
        """
        after = Renderer(_saved(copy), self._room) if self._every and any(made) else None
        whole = pikepdf.Pdf.new() if self._every else copy
        for index, page in enumerate(made):
            if page is not None and not self._every:
                continue
            self._room.check_time()
            wishes = self._wishes.get(index + 1, [])
            try:
                if after is not None and page is not None:
                    pixels, scale = after.draw(index)
                    wishes = [wish for wish in wishes if not wish.gap]
                else:
                    pixels, scale = before.draw(index)
            except NeedsRaster as err:
                raise NotRedactable(err.detail) from None
            paint(pixels, scale, wishes)
            picture = pikepdf.Page(page_of(whole, pixels, (views[index].frame.width, views[index].frame.height)))
            if self._every:
                whole.pages.append(picture)
                self._how[index + 1] = "raster"
            else:
                whole.pages[index] = picture
        return whole


def _refuse_signed(pdf: Any) -> None:
    if "/Perms" in pdf.Root:
        raise NotRedactable("it carries a digital signature")
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, pikepdf.Dictionary):
        if int(form.get("/SigFlags", 0)) & 1 and any(map(_is_signed, form.get("/Fields", ()))):
            raise NotRedactable("it carries a digital signature")
        if "/XFA" in form and pdf.Root.get("/NeedsRendering", False):
            raise NotRedactable("its pages are made by a form program")


def _is_signed(field: Any, depth: int = 0) -> bool:
    if not isinstance(field, pikepdf.Dictionary) or depth > 20:
        return False
    if str(field.get("/FT", "")) == "/Sig" and "/V" in field:
        return True
    return any(_is_signed(kid, depth + 1) for kid in field.get("/Kids", ()))


def _flattened(raw: bytes, pdf: Any) -> Any:
    """Return the document with what its annotations and fields show as a part of their pages.

    The reader makes them a part in the same way, so what it read there stands where it was read.
    """
    if not any("/Annots" in page.obj for page in pdf.pages):
        return pdf
    out = io.BytesIO()
    try:
        with pypdfium2.PdfDocument(grounded(raw)) as document:
            for number in range(len(document)):
                page = document[number]
                flatten(page.raw)
                page.close()
            document.save(out)
        flat = unlock(out.getvalue())
    except (pypdfium2.PdfiumError, pikepdf.PdfError):
        raise NotRedactable("its notes or fields are damaged") from None
    for page in flat.pages:
        if "/Annots" in page.obj:
            del page.obj["/Annots"]
    if "/AcroForm" in flat.Root:
        del flat.Root["/AcroForm"]
    return flat


def _saved(pdf: Any) -> bytes:
    out = io.BytesIO()
    save(pdf, out)
    return out.getvalue()


def _stream(pdf: Any, page: Any) -> Any:
    """Return the whole content of a page as one stream."""
    if "/Contents" not in page.obj:
        return pdf.make_stream(b"")
    page.contents_coalesce()
    return page.obj["/Contents"]


def _boxes(boxes: Sequence[Sides], view: View) -> bytes:
    """Return the content stream that draws the boxes of a page, and nothing else."""
    if not boxes:
        return b""
    lines = ["q 0 g"]
    back = inverse(view.turn)
    for sides in _merged(boxes):
        x0, y0, x1, y1 = around(back, (sides[0] - _PAD, sides[1], sides[2] + _PAD, sides[3]))
        lines.append(f"{x0:.3f} {y0:.3f} {x1 - x0:.3f} {y1 - y0:.3f} re f")
    return "\n".join([*lines, "Q"]).encode("ascii")


def _merged(boxes: Sequence[Sides]) -> Iterator[Sides]:
    """Yield boxes; those that touch on one line are one box, so that nobody counts them."""
    last: Sides | None = None
    for box in sorted(boxes, key=lambda one: (round(one[1]), round(one[3]), one[0])):
        level = last is not None and abs(box[1] - last[1]) < 1 and abs(box[3] - last[3]) < 1
        if last is not None and level and box[0] <= last[2] + 1 and box[2] >= last[0] - 1:
            last = (min(last[0], box[0]), min(last[1], box[1]), max(last[2], box[2]), max(last[3], box[3]))
            continue
        if last is not None:
            yield last
        last = box
    if last is not None:
        yield last


def _new_page(pdf: Any, copy: Any, source: Any, page: Page | None, view: View) -> Any:
    """Return a page object of `copy`. A page without a content is blank."""
    made = pikepdf.Dictionary(Type=pikepdf.Name.Page, MediaBox=[round(side, 4) for side in view.frame.sides])
    if view.frame.rotation:
        made["/Rotate"] = view.frame.rotation
    unit = source.obj.get("/UserUnit")
    if unit is not None:
        made["/UserUnit"] = unit
    if page is not None:
        resources = pdf.make_indirect(page.resources)
        made["/Resources"] = copy.copy_foreign(resources)
        streams = [copy.make_stream(page.content)]
        if page.boxes:
            streams.append(copy.make_stream(page.boxes))
        made["/Contents"] = pikepdf.Array(streams) if page.boxes else streams[0]
    return copy.make_indirect(made)
