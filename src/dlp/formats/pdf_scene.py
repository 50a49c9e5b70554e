"""What a page paints, in the order in which it is painted: texts, and everything that can lie over or under them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as pdfium

from dlp.formats.pdf_lines import Floats, Ints
from dlp.formats.pdf_pages import (
    FORM,
    INVISIBLE,
    MAX_OBJECTS,
    NESTING,
    PATH,
    TEXT,
    Frame,
    _at,
    _bind,
    _bounds,
    _count,
    _inner_at,
    _inner_count,
    _mode,
    _object_matrix,
    _point,
    _segments,
    _set_mode,
    _times,
    _type,
)

Flags = npt.NDArray[np.bool_]
LEAST = 2.0  # points: thinner things are rules and hide no letter
OPAQUE = 250  # of 255: below it what lies beneath shines through
CORNERS = (4, 5, 6)  # points of the path of one rectangle, closed or not
MAP_SCALE = 0.5  # cells a point, of the map of a page
MAP_SIDE = 1_000  # cells
MAP_CELLS = 100_000_000  # painted in all: where a page paints itself over and over, its map gets coarser
DRAWN_SIDE = 2_400  # pixels of a drawing
PIXELS = 1.5  # a point, where the page is not too large for that
_UNSEEN_STEP = 10  # of 255: two grey levels that eyes do not tell apart
_FLAT = 6.0  # of 255: deviation of pixels that show nothing

_P, _I = ctypes.c_void_p, ctypes.c_int
_fill_colour = _bind("FPDFPageObj_GetFillColor", _I, _P, _P, _P, _P, _P)
_stroke_colour = _bind("FPDFPageObj_GetStrokeColor", _I, _P, _P, _P, _P, _P)
_draw_mode = _bind("FPDFPath_GetDrawMode", _I, _P, _P, _P)
_set_active = _bind("FPDFPageObj_SetIsActive", _I, _P, _I)


class Cover(NamedTuple):
    """Something opaque; `order` counts everything painted before it."""

    order: int
    thing: int
    kind: int
    colour: int
    """0xRRGGBB, -1 where it has not one colour."""
    simple: bool
    """It is one rectangle."""


class Scene:
    """A page as it is painted. `boxes` are those of `covers`, as the page is shown."""

    def __init__(self, page: int, frame: Frame) -> None:
        self.page = page
        self.frame = frame
        self.covers: list[Cover] = []
        self.texts: dict[int, int] = {}
        """When each text object is painted."""
        self._sides: list[tuple[float, float, float, float]] = []
        self._order = 0
        self._four = (ctypes.c_float * 4)()
        self._colour = (ctypes.c_uint * 4)()
        self._modes = (ctypes.c_int * 2)()
        self._walk((_at(page, i) for i in range(max(0, _count(page)))), None, 0)
        self.boxes: Floats = frame.boxes(np.array(self._sides, dtype=np.float64).reshape(-1, 4))

    def _walk(self, things: Iterable[int | None], turn: tuple[float, ...] | None, depth: int) -> None:
        for thing in things:
            if not thing or self._order > MAX_OBJECTS:
                continue
            self._order += 1
            kind = _type(thing)
            if kind == TEXT:
                self.texts[thing] = self._order
            elif kind == FORM:
                if depth < NESTING:
                    six = (ctypes.c_float * 6)()
                    _object_matrix(thing, ctypes.addressof(six))
                    inner = tuple(six) if turn is None else _times(tuple(six), turn)
                    self._walk(_inside(thing), inner, depth + 1)
            else:
                self._weigh(thing, kind, turn)

    def _weigh(self, thing: int, kind: int, turn: tuple[float, ...] | None) -> None:
        """Keep what is large and opaque enough to hide a letter."""
        base = ctypes.addressof(self._four)
        if not _bounds(thing, base, base + 4, base + 8, base + 12):
            return
        left, bottom, right, top = self._four
        if turn is not None:
            corners = [_point(x, y, turn) for x in (left, right) for y in (bottom, top)]
            xs, ys = [x for x, _ in corners], [y for _, y in corners]
            left, bottom, right, top = min(xs), min(ys), max(xs), max(ys)
        if not (right - left >= LEAST and top - bottom >= LEAST):
            return
        colour, simple = -1, False
        if kind == PATH:
            colour = self._painted(thing)
            if colour < 0:
                return
            simple = _segments(thing) in CORNERS
        self.covers.append(Cover(self._order, thing, kind, colour, simple))
        self._sides.append((left, bottom, right, top))

    def _painted(self, thing: int) -> int:
        """Return the colour in which a path is painted; -1 for one that shows what lies beneath."""
        modes = ctypes.addressof(self._modes)
        if not _draw_mode(thing, modes, modes + 4):
            return -1
        filled, stroked = self._modes
        if not (filled or stroked):
            return -1
        ask = _fill_colour if filled else _stroke_colour
        base = ctypes.addressof(self._colour)
        if not ask(thing, base, base + 4, base + 8, base + 12):
            return -1
        red, green, blue, alpha = self._colour
        return (red & 255) << 16 | (green & 255) << 8 | blue & 255 if alpha >= OPAQUE else -1

    def over(self, points: Floats) -> Ints:
        """Return the number of the cover that lies on top at each point (x, y as shown); -1 where there is none."""
        if not self.covers:
            return np.full(len(points), -1, dtype=np.int64)
        wide, high = self.frame.width, self.frame.height
        sides = np.clip(self.boxes, 0, [wide, high] * 2)
        area = float(((sides[:, 2] - sides[:, 0]) * (sides[:, 3] - sides[:, 1])).sum())
        scale = min(MAP_SCALE, MAP_SIDE / max(wide, high), math.sqrt(MAP_CELLS / max(area, 1.0)))
        cells = np.full((math.ceil(high * scale) + 1, math.ceil(wide * scale) + 1), -1, dtype=np.int32)
        edges = np.rint(sides * scale).astype(np.int64)
        edges[:, 2:] = np.maximum(edges[:, 2:], edges[:, :2] + 1)
        for number, (x0, y0, x1, y1) in enumerate(edges.tolist()):
            cells[y0:y1, x0:x1] = number
        at = np.clip((points * scale).astype(np.int64), 0, [cells.shape[1] - 1, cells.shape[0] - 1])
        found = cells[at[:, 1], at[:, 0]].astype(np.int64)
        if len(self.boxes):  # the map is coarse: a cover need not reach the very point
            box = self.boxes[np.maximum(found, 0)]
            x, y = points.T
            found[(found >= 0) & ((x < box[:, 0]) | (x > box[:, 2]) | (y < box[:, 1]) | (y > box[:, 3]))] = -1
        return found


def _inside(form: int) -> Iterator[int | None]:
    return (_inner_at(form, i) for i in range(max(0, _inner_count(form))))


class Drawing:
    """A part of a page as grey pixels, and what rectangles of it show."""

    def __init__(self, page: int, frame: Frame, boxes: Floats) -> None:
        self._page = page
        self._frame = frame
        self._scale = min(PIXELS, DRAWN_SIDE / max(frame.width, frame.height))
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        corner = np.clip(np.concatenate([low - 1, high + 1]), 0, [frame.width, frame.height] * 2) * self._scale
        self._x, self._y = int(corner[0]), int(corner[1])
        self._wide = max(2, math.ceil(corner[2]) - self._x)
        self._high = max(2, math.ceil(corner[3]) - self._y)

    def draw(self) -> Floats:
        """Return the part as it is drawn now; all white where drawing fails."""
        bitmap = pdfium.FPDFBitmap_CreateEx(self._wide, self._high, pdfium.FPDFBitmap_Gray, None, 0)
        if not bitmap:
            return np.full((self._high, self._wide), 255.0)
        try:
            pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, self._wide, self._high, 0xFFFFFFFF)
            size = (round(self._frame.width * self._scale), round(self._frame.height * self._scale))
            page = ctypes.cast(self._page, pdfium.FPDF_PAGE)
            pdfium.FPDF_RenderPageBitmap(bitmap, page, -self._x, -self._y, *size, 0, pdfium.FPDF_ANNOT)
            stride = pdfium.FPDFBitmap_GetStride(bitmap)
            raw = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), stride * self._high)
        finally:
            pdfium.FPDFBitmap_Destroy(bitmap)
        return np.frombuffer(raw, dtype=np.uint8).reshape(self._high, stride)[:, : self._wide].astype(np.float64)

    def sums(self, values: Floats, boxes: Floats) -> Floats:
        """Return the mean of `values` over each box, all at once."""
        table = np.zeros((self._high + 1, self._wide + 1))
        table[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
        pixels = boxes * self._scale - [self._x, self._y] * 2
        first = np.clip(np.floor(pixels[:, :2]), 0, [self._wide - 1, self._high - 1]).astype(np.int64)
        last = np.clip(np.ceil(pixels[:, 2:]), first + 1, [self._wide, self._high]).astype(np.int64)
        (x0, y0), (x1, y1) = first.T, last.T
        total = table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
        means: Floats = total / ((x1 - x0) * (y1 - y0))
        return means

    def flat(self, drawn: Floats, boxes: Floats) -> Flags:
        """Tell which boxes show one grey and nothing else."""
        spread = self.sums(drawn * drawn, boxes) - self.sums(drawn, boxes) ** 2
        flags: Flags = spread < _FLAT * _FLAT
        return flags

    def changed(self, one: Floats, other: Floats, boxes: Floats) -> Flags:
        """Tell in which boxes two drawings differ to the eye."""
        flags: Flags = self.sums((np.abs(one - other) > _UNSEEN_STEP).astype(np.float64), boxes) > 0
        return flags


@contextmanager
def silenced(texts: Iterable[int]) -> Iterator[None]:
    """Have text objects painted in no way while the context lasts."""
    modes = {thing: _mode(thing) for thing in texts}
    try:
        for thing in modes:
            _set_mode(thing, INVISIBLE[0])
        yield
    finally:
        for thing, mode in modes.items():
            _set_mode(thing, mode)


@contextmanager
def lifted(covers: Iterable[Cover]) -> Iterator[None]:
    """Have covers left out while the context lasts."""
    things = [cover.thing for cover in covers]
    try:
        for thing in things:
            _set_active(thing, 0)
        yield
    finally:
        for thing in things:
            _set_active(thing, 1)


def sides_of(thing: int) -> tuple[int, ...]:
    """Return the bounds of an object, rounded to points; nothing where it has none."""
    four = (ctypes.c_float * 4)()
    base = ctypes.addressof(four)
    if not thing or not _bounds(thing, base, base + 4, base + 8, base + 12) or not all(map(math.isfinite, four)):
        return ()
    return tuple(map(round, four))


def luminance(colour: int) -> float:
    """Return how light a colour is, 0..255."""
    return 0.299 * (colour >> 16) + 0.587 * (colour >> 8 & 255) + 0.114 * (colour & 255)
