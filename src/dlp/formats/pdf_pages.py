"""Pages of a PDF as characters with places, read by pdfium; pdfplumber reads what pdfium cannot.

Bindings are taken from pypdfium2's raw layer and typed anew with plain addresses, which is about four times as fast as
its pointer classes.
"""

from __future__ import annotations

import ctypes
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np
import pdfplumber
import pypdfium2.raw as pdfium

from dlp.formats.pdf_chars import INVISIBLE, STROKE, TINY, characters
from dlp.formats.pdf_faces import withheld
from dlp.formats.pdf_frame import LETTER, MAX_COORDINATE, Frame
from dlp.formats.pdf_lines import Glyphs, Style, trust

__all__ = ["INVISIBLE", "LETTER", "MAX_COORDINATE", "TINY", "Frame", "Reader", "Second", "Seen", "Unreadable"]

PASSWORD, SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
THIN = 0.05  # points: pdfium skips text that is narrower than a fifth of this
TEXT, PATH, IMAGE, FORM = 1, 2, 3, 5  # FPDF_PAGEOBJ_*
MAX_OBJECTS = 200_000  # page objects looked at for images
NESTING = 6  # forms in forms
OUTLINES = 60  # segments of paths that are more than a box: text turned into curves has more
LIGHTEST = 0xE0  # of 255, in one channel at least: text that is lighter may be hidden on white paper
BOXES = 300  # paths of any kind: a form of boxes and rules has fewer


def _bind(name: str, result: Any, *arguments: Any) -> Any:
    """Return a C function of pdfium that takes addresses as plain integers."""
    address = ctypes.cast(getattr(pdfium, name), ctypes.c_void_p).value
    return ctypes.PYFUNCTYPE(result, *arguments)(address or 0)


_P, _I, _F = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
_mode = _bind("FPDFTextObj_GetTextRenderMode", _I, _P)
_type = _bind("FPDFPageObj_GetType", _I, _P)
_count = _bind("FPDFPage_CountObjects", _I, _P)
_at = _bind("FPDFPage_GetObject", _P, _P, _I)
_inner_count = _bind("FPDFFormObj_CountObjects", _I, _P)
_inner_at = _bind("FPDFFormObj_GetObject", _P, _P, ctypes.c_ulong)
_bounds = _bind("FPDFPageObj_GetBounds", _I, _P, _P, _P, _P, _P)
_object_matrix = _bind("FPDFPageObj_GetMatrix", _I, _P, _P)
_pixels = _bind("FPDFImageObj_GetImagePixelSize", _I, _P, _P, _P)
_segments = _bind("FPDFPath_CountSegments", _I, _P)
_marks = _bind("FPDFPageObj_CountMarks", _I, _P)
_mark = _bind("FPDFPageObj_GetMark", _P, _P, ctypes.c_ulong)
_mark_value = _bind(
    "FPDFPageObjMark_GetParamStringValue", _I, _P, ctypes.c_char_p, _P, ctypes.c_ulong, ctypes.POINTER(ctypes.c_ulong)
)
_mark_type = _bind("FPDFPageObjMark_GetParamValueType", _I, _P, ctypes.c_char_p)
_set_mode = _bind("FPDFTextObj_SetTextRenderMode", _I, _P, _I)
_set_stroke = _bind("FPDFPageObj_SetStrokeWidth", _I, _P, _F)
_transform = _bind("FPDFPageObj_TransformF", _I, _P, _P)
_unmark = _bind("FPDFPageObj_RemoveMark", _I, _P, _P)
_page_box = _bind("FPDF_GetPageBoundingBox", _I, _P, _P)


class Seen(NamedTuple):
    """One page as it was read; `odd` and `letters` count characters."""

    glyphs: Glyphs
    frame: Frame
    letters: int = 0
    odd: int = 0
    objects: int = 0
    images: int = 0
    pixels: int = 0
    covered: float = 0.0
    """Share of the page under images, 0..1; overlaps count twice."""
    painted: bool = False
    """The page has no text, and what it paints is more than empty boxes and rules."""
    embedded: frozenset[str] = frozenset()
    """Faces whose letters come with the file: their maps may say anything."""
    bare: bool = False
    """It was read without the fonts that it borrows, and how it looks may matter."""
    spoken: tuple[str, ...] = ()
    """ActualText: what the file says in place of the characters it shows."""


Watch = Callable[[int, int, bytes, Seen], None]
Peel = Callable[[int, int, bool], None]


class Unreadable(Exception):  # noqa: N818  a state of the file, turned into a Gap by its caller
    """pdfium does not open the document; `locked` tells that a password is the reason."""

    def __init__(self, *, locked: bool) -> None:
        super().__init__("pdfium does not open this document")
        self.locked = locked


class Reader:
    """An open document. The bytes must stay alive as long as this does; use as a context manager.

    It is opened a second time, with the fonts of this machine, for pages that have to be looked at as well as read.
    `watch` is shown every page while it is open: its number, its address, the bytes of the document, what was read.
    `peel` is shown every page each time before anything is read off it: its number, its address, whether to look at it.
    """

    def __init__(self, raw: bytes, watch: Watch | None = None, peel: Peel | None = None) -> None:
        self._raw = raw
        self._watch = watch
        self._peel = peel
        self._drawn: Any = None
        self._document = pdfium.FPDF_LoadMemDocument64(raw, len(raw), None)
        if not self._document:
            raise Unreadable(locked=pdfium.FPDF_GetLastError() in (PASSWORD, SECURITY))
        self.pages = max(0, int(pdfium.FPDF_GetPageCount(self._document)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for document in filter(None, (self._document, self._drawn)):
            pdfium.FPDF_CloseDocument(document)
        self._raw = b""

    def read(self, number: int) -> Seen | None:
        """Read page `number` (from 0); None where pdfium cannot load it."""
        with withheld(), self._open(self._document, number, fresh=True) as page:
            seen = _read(page, dressed=False) if page else None
            if seen is None or not seen.bare:
                return self._told(number, page, seen)
        with self._open(self._dressed(), number) as page:
            return self._told(number, page, _read(page) if page else None)

    @contextmanager
    def _open(self, document: Any, number: int, *, fresh: bool = False) -> Iterator[int]:
        with open_page(document, number) as page:
            if self._peel is not None:
                self._peel(number, page, fresh)
            yield page

    def _told(self, number: int, page: int, seen: Seen | None) -> Seen | None:
        if seen is not None and self._watch is not None:
            self._watch(number, page, self._raw, seen)
        return seen

    def _dressed(self) -> Any:
        """Return the document with all its fonts."""
        self._drawn = self._drawn or pdfium.FPDF_LoadMemDocument64(self._raw, len(self._raw), None)
        return self._drawn

    def render(self, number: int, dpi: float, most: int, band: tuple[float, float] | None = None) -> Raster | None:
        """Return page `number` (from 0) as grey pixels at `dpi`, at most `most` pixels a side; None where it fails.

        `band` is top and bottom of the part that is wanted, in points.
        """
        with self._open(self._dressed(), number) as page:
            if not page:
                return None
            frame = frame_of(page)
            scale = min(dpi / 72, most / max(frame.width, frame.height))
            return _render(ctypes.cast(page, pdfium.FPDF_PAGE), frame, scale, band)


@contextmanager
def open_page(document: Any, number: int) -> Iterator[int]:
    """Open page `number` (from 0) and give its address; 0 where pdfium cannot load it."""
    page = pdfium.FPDF_LoadPage(document, number)
    try:
        if page and pdfium.FPDFPage_GetAnnotCount(page) > 0:
            # What stamps, notes and form fields show is drawn by the annotation: make it part of the page.
            flatten(page)
            pdfium.FPDF_ClosePage(page)
            page = pdfium.FPDF_LoadPage(document, number)
        yield ctypes.cast(page, ctypes.c_void_p).value or 0
    finally:
        if page:
            pdfium.FPDF_ClosePage(page)


def flatten(page: Any) -> None:
    """Make what the annotations of a page show a part of it, once it is loaded again.

    pdfium takes US Letter for the size of a page that inherits its own, so the boxes are set as they were.
    """
    sides = frame_of(ctypes.cast(page, ctypes.c_void_p).value or 0).sides
    pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
    pdfium.FPDFPage_SetMediaBox(page, *sides)
    pdfium.FPDFPage_SetCropBox(page, *sides)


class Raster(NamedTuple):
    """Grey pixels, one byte each, rows from the top. `scale` is pixels a point."""

    width: int
    height: int
    pixels: bytes
    scale: float
    top: int = 0
    """The row of the page that comes first."""


def _render(page: Any, frame: Frame, scale: float, band: tuple[float, float] | None = None) -> Raster | None:
    wide, whole = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    first, last = (0, whole) if band is None else (round(min(max(y, 0.0), frame.height) * scale) for y in band)
    top, high = min(first, whole - 1), max(1, min(last, whole) - first)
    bitmap = pdfium.FPDFBitmap_CreateEx(wide, high, pdfium.FPDFBitmap_Gray, None, 0)
    if not bitmap:
        return None
    try:
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, wide, high, 0xFFFFFFFF)
        pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, -top, wide, whole, 0, pdfium.FPDF_ANNOT)
        stride = pdfium.FPDFBitmap_GetStride(bitmap)
        raw = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), stride * high)
    finally:
        pdfium.FPDFBitmap_Destroy(bitmap)
    if stride != wide:
        raw = np.frombuffer(raw, dtype=np.uint8).reshape(high, stride)[:, :wide].tobytes()
    return Raster(wide, high, raw, scale, top)


def _read(page: int, *, dressed: bool = True) -> Seen | None:
    """Read an open page; `dressed` tells that its document has all its fonts."""
    frame = frame_of(page)
    survey = _Survey(frame)
    survey.walk(page)
    handle = pdfium.FPDFText_LoadPage(ctypes.cast(page, pdfium.FPDF_PAGE))
    if not handle:
        return None
    try:
        address = ctypes.cast(handle, ctypes.c_void_p).value or 0
        read = characters(address, frame, survey.thin, dressed=dressed)
    finally:
        pdfium.FPDFText_ClosePage(handle)
    plain = survey.texts == survey.objects and not any(_may_be_unseen(kind) for kind in read.glyphs.kinds)
    bare = not dressed and (survey.texts > 0 if not read.letters else read.borrowed and not plain)
    return Seen(
        glyphs=read.glyphs,
        frame=frame,
        letters=read.letters,
        odd=read.odd,
        objects=survey.objects,
        images=survey.images,
        pixels=survey.pixels,
        covered=survey.covered / max(frame.width * frame.height, 1.0),
        painted=not read.letters and survey.is_rich() and not bare and _shows(page, frame),
        bare=bare,
        embedded=read.embedded,
        spoken=tuple(survey.spoken),
    )


def frame_of(page: int) -> Frame:
    """Return how an open page is shown."""
    sides = (ctypes.c_float * 4)()  # FS_RECTF: left, top, right, bottom
    if not _page_box(page, ctypes.addressof(sides)):
        return Frame(LETTER)
    left, top, right, bottom = sides
    turn = pdfium.FPDFPage_GetRotation(ctypes.cast(page, pdfium.FPDF_PAGE)) % 4
    return Frame((left, bottom, right, top), turn * 90)


def objects_of(page: int) -> int:
    """Return how many objects an open page has, forms as one."""
    return max(0, int(_count(page)))


def object_at(page: int, number: int) -> int:
    """Return the address of object `number` (from 0) of an open page, 0 for none."""
    return int(_at(page, number) or 0)


def type_of(thing: int) -> int:
    """Return what an object is: TEXT, PATH, IMAGE, FORM or another number."""
    return int(_type(thing))


def matrix_of(thing: int) -> tuple[float, ...]:
    """Return the matrix of an object."""
    six = (ctypes.c_float * 6)()
    _object_matrix(thing, ctypes.addressof(six))
    return tuple(six)


def _may_be_unseen(kind: Style) -> bool:
    return kind.hidden or len(kind.colour) != len("#rrggbb") or min(bytes.fromhex(kind.colour[1:])) >= LIGHTEST


def _shows(page: int, frame: Frame) -> bool:
    """Render a page small and return whether anything can be seen on it."""
    seen = _render(ctypes.cast(page, pdfium.FPDF_PAGE), frame, min(1.0, 800 / max(frame.width, frame.height)))
    if seen is None:
        return True  # what cannot be looked at is not called blank
    grey = np.frombuffer(seen.pixels, dtype=np.uint8)
    return int(grey.max()) - int(grey.min()) > 8


class _Survey:
    """What lies on a page besides text: images, outlines, and marks that speak in place of the text."""

    def __init__(self, frame: Frame) -> None:
        self.objects = self.texts = self.images = self.pixels = self.shapes = self.paths = self.other = 0
        self.covered = 0.0
        self.spoken: list[str] = []
        self.thin: dict[int, int] = {}
        """Text objects that pdfium would have skipped, with the render mode they had."""
        self._frame = frame
        self._four = (ctypes.c_float * 4)()

    def walk(self, page: int) -> None:
        """Look at every object of the page and of the forms on it."""
        unit = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
        for i in range(max(0, _count(page))):
            if self.objects > MAX_OBJECTS:
                return
            self._look(_at(page, i), unit, 0)

    def is_rich(self) -> bool:
        """Return True when a page without text has more than frames and rules: outlines, text without codes."""
        return self.shapes > OUTLINES or self.paths > BOXES or self.other > 0

    def _look(self, thing: int | None, turn: tuple[float, ...], depth: int) -> None:
        if not thing:
            return
        self.objects += 1
        kind = _type(thing)
        if kind == TEXT:
            self.other += 1
            self.texts += 1
            if _marks(thing) > 0:
                self._listen(thing)
            self._widen(thing)
        elif kind == IMAGE:
            self._measure(thing, turn)
        elif kind == PATH:
            length = _segments(thing)
            self.paths += 1
            self.shapes += length if length > 8 else 0
        elif kind == FORM and depth < NESTING:
            if _marks(thing) > 0:
                self._listen(thing)
            inner = _times(matrix_of(thing), turn)
            for i in range(max(0, _inner_count(thing))):
                if self.objects > MAX_OBJECTS:
                    return
                self._look(_inner_at(thing, i), inner, depth + 1)
        else:
            self.other += 1

    def _listen(self, thing: int) -> None:
        """Take ActualText away from an object, so that pdfium reads what is shown, and keep what it said."""
        for i in reversed(range(_marks(thing))):
            mark = _mark(thing, i)
            if not mark or not _mark_type(mark, b"ActualText"):
                continue
            length = ctypes.c_ulong(0)
            if _mark_value(mark, b"ActualText", None, 0, ctypes.byref(length)) and 2 < length.value < 65_536:
                room = ctypes.create_string_buffer(length.value)
                _mark_value(mark, b"ActualText", ctypes.addressof(room), length.value, ctypes.byref(length))
                said = room.raw.decode("utf-16-le", "replace").rstrip("\0")
                if not self.spoken or self.spoken[-1] != said:
                    self.spoken.append(said)
            _unmark(thing, mark)

    def _widen(self, thing: int) -> None:
        """Give a text object without any width the width of a stroke.

        pdfium skips text objects that measure nothing across, and a single glyph of a font that is not on this
        machine measures nothing: 姓 drawn by itself would be lost. A stroked one is measured with its stroke.
        """
        base = ctypes.addressof(self._four)
        if _bounds(thing, base, base + 4, base + 8, base + 12) and abs(self._four[2] - self._four[0]) >= THIN:
            return
        self.thin[thing] = _mode(thing)
        unit = (ctypes.c_float * 6)(1, 0, 0, 1, 0, 0)
        _set_mode(thing, STROKE)
        _set_stroke(thing, 1.0)
        _transform(thing, ctypes.addressof(unit))

    def _measure(self, thing: int, turn: tuple[float, ...]) -> None:
        self.images += 1
        size = (ctypes.c_uint * 2)()
        if _pixels(thing, ctypes.addressof(size), ctypes.addressof(size) + 4):
            self.pixels += size[0] * size[1]
        else:
            self.pixels += 1_000_000  # unknown is not small
        base = ctypes.addressof(self._four)
        if not _bounds(thing, base, base + 4, base + 8, base + 12):
            return
        left, bottom, right, top = self._four
        corners = [_point(x, y, turn) for x in (left, right) for y in (bottom, top)]
        xs, ys = [p[0] for p in corners], [p[1] for p in corners]
        if not all(map(math.isfinite, xs + ys)):
            self.covered += self._frame.width * self._frame.height
            return
        x0, y0, x1, y1 = self._frame.sides
        wide = max(0.0, min(max(xs), x1) - max(min(xs), x0))
        self.covered += wide * max(0.0, min(max(ys), y1) - max(min(ys), y0))


def _times(first: tuple[float, ...], then: tuple[float, ...]) -> tuple[float, ...]:
    """Multiply two PDF matrices (a b c d e f): `first` is applied first."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)


def _point(x: float, y: float, turn: tuple[float, ...]) -> tuple[float, float]:
    a, b, c, d, e, f = turn
    return a * x + c * y + e, b * x + d * y + f


class Second:
    """The second reader: pdfplumber, for documents and pages that pdfium does not open. Slower by a factor of ten."""

    def __init__(self, raw: bytes) -> None:
        self._document: Any = pdfplumber.open(io.BytesIO(raw))
        try:
            self.pages = len(self._document.pages)
        except BaseException:
            self._document.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._document.close()

    def read(self, number: int) -> Seen:
        """Read page `number` (from 0). Raises whatever pdfminer raises: the caller turns it into a gap."""
        page = self._document.pages[number]
        try:
            return _second(page)
        finally:
            page.close()


def _second(page: Any) -> Seen:
    text: list[str] = []
    rows: list[tuple[float, float, float, float]] = []
    kinds: list[int] = []
    numbers: dict[Style, int] = {}
    for char in page.chars:
        shown = char["text"]
        if not shown:
            continue
        text.append("\ufffd" if shown.startswith("(cid:") else shown.translate(_CONTROLS))
        rows.append((char["x0"], char["top"], char["x1"], char["bottom"]))
        six = char.get("matrix") or (1, 0, 0, 1, 0, 0)
        degrees = math.degrees(math.atan2(-six[1], six[0])) % 360
        angle = round(degrees / 90) * 90 % 360 if abs(degrees - round(degrees / 90) * 90) <= 4 else round(degrees)
        style = Style(angle, round(float(char["size"]), 2), str(char["fontname"])[:128], "", float(char["size"]) < TINY)
        kinds.append(numbers.setdefault(style, len(numbers)))
    width, height = float(page.width), float(page.height)
    boxes = np.array(rows, dtype=np.float64).reshape(-1, 4)
    boxes = np.clip(np.nan_to_num(boxes), -MAX_COORDINATE, MAX_COORDINATE)
    glyphs = Glyphs(text, boxes, np.array(kinds, dtype=np.int64), list(numbers))
    letters, odd = trust(text, np.zeros(len(text), dtype=np.bool_))
    images = page.images
    area = sum(max(0.0, i["x1"] - i["x0"]) * max(0.0, i["bottom"] - i["top"]) for i in images)
    return Seen(
        glyphs=glyphs,
        frame=Frame((0.0, 0.0, width, height)),
        letters=letters,
        odd=odd,
        objects=len(text) + len(images),
        images=len(images),
        pixels=1_000_000 * len(images),
        covered=area / max(width * height, 1.0),
    )


_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32)), 65533)
