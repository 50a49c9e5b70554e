"""Where on a page of a PDF nothing stands: a place for a stamp in its upper or lower margin.

Looked at are the pixels, as they are shown, and the rectangles of all text, shown or not: letters of a font that this
machine lacks leave no pixel here and many on the printer. So it is done without the fonts of this machine.
"""

from __future__ import annotations

import ctypes
import math
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as pdfium

from dlp.formats import NotStampable
from dlp.formats.pdf_frame import Frame, Sides
from dlp.model import Corner, Plate

EDGE = 14.2  # points, 5 mm: printers do not reach the edge of their paper
CLEAR = 2.5  # points around a stamp that are free too
LARGE = 842.0  # points, the short side of A3: on larger sheets a stamp grows with them, for they are printed smaller
SHRINK = (1.0, 0.85, 0.72)  # sizes that are tried; below the last, letters of 7 points are no longer read
REACH = 0.1  # of the height of a page: how far a stamp may move in from its edge
LOOK = 100 / 72  # pixels a point
MOST_PIXELS = 4_000  # a side of the whole page
PAPER = 200  # of 255: what is as light as this everywhere needs no white below a stamp
GRAIN = 24  # of 255: paper that was scanned is as uneven as this
SMOOTH = 16  # of 255: the same where white is put over it
_CELL = 4  # pixels
_LEAST = 12  # pixels that a stamp must be high to be looked at
_BOTTOM, _TOP = (Corner.BOTTOM_LEFT, Corner.BOTTOM_RIGHT), (Corner.TOP_LEFT, Corner.TOP_RIGHT)

Pixels = npt.NDArray[np.uint8]


class Place(NamedTuple):
    """Where a stamp goes: its sides on the page as it is shown, in points, origin top left."""

    sides: Sides
    boxed: bool = False
    """It lies on a white box, because the page is not white there."""
    covers: bool = False
    """The box covers something."""


def find(page: int, frame: Frame, safe: Sides, plate: Plate) -> Place | None:
    """Return a free place of an open page for a stamp, inside `safe`; None where there is none."""
    full = max(1.0, min(frame.width, frame.height) / LARGE)
    if LOOK * min(1.0, MOST_PIXELS / (LOOK * max(frame.width, frame.height))) * plate.high * full < _LEAST:
        return None  # a page so long and thin that nothing on it can be seen
    bands: dict[bool, _Band] = {}
    for shrink in SHRINK:
        for low in (plate.corner in _BOTTOM, plate.corner in _TOP):
            if low not in bands:
                bands[low] = _Band(page, frame, safe, full * (plate.high + 2 * CLEAR), low=low)
            place = bands[low].free(plate, full * shrink)
            if place is not None:
                return place
    return _corner(safe, plate, full) if plate.cover else None


def pixels(page: int, frame: Frame, area: Sides, scale: float, *, grey: bool = False) -> tuple[Pixels, int, int]:
    """Return a part of an open page as rows of pixels, and the pixel of the page that is its first.

    A pixel is blue, green and red; with `grey` it is one value. The part is as many whole pixels as `area` touches.
    """
    wide, high = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    x, y = wide / frame.width, high / frame.height
    left, top = max(0, math.floor(area[0] * x)), max(0, math.floor(area[1] * y))
    across = max(1, min(wide, math.ceil(area[2] * x)) - left)
    down = max(1, min(high, math.ceil(area[3] * y)) - top)
    kind, depth = (pdfium.FPDFBitmap_Gray, 1) if grey else (pdfium.FPDFBitmap_BGR, 3)
    bitmap = pdfium.FPDFBitmap_CreateEx(across, down, kind, None, 0)
    if not bitmap:
        raise MemoryError
    try:
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, across, down, 0xFFFFFFFF)
        address = ctypes.cast(page, pdfium.FPDF_PAGE)
        pdfium.FPDF_RenderPageBitmap(bitmap, address, -left, -top, wide, high, 0, pdfium.FPDF_ANNOT)
        stride = pdfium.FPDFBitmap_GetStride(bitmap)
        raw = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), stride * down)
    finally:
        pdfium.FPDFBitmap_Destroy(bitmap)
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(down, stride)[:, : depth * across]
    return (rows if grey else rows.reshape(down, across, 3)), left, top


class _Band:
    """A strip along one edge of a page; its first row is the one at the edge."""

    def __init__(self, page: int, frame: Frame, safe: Sides, high: float, *, low: bool) -> None:
        room = EDGE - CLEAR
        x0, y0, x1, y1 = safe[0] + room, safe[1] + room, safe[2] - room, safe[3] - room
        depth = min(y1 - y0, high + REACH * frame.height)
        self._low = low
        self._empty = x1 - x0 <= 0 or depth <= 0
        if self._empty:
            return
        y0, y1 = (y1 - depth, y1) if low else (y0, y0 + depth)
        scale = min(LOOK, MOST_PIXELS / max(frame.width, frame.height))
        seen, left, top = pixels(page, frame, (x0, y0, x1, y1), scale)
        self._x = max(1, round(frame.width * scale)) / frame.width
        self._y = max(1, round(frame.height * scale)) / frame.height
        self._left, self._right = left, left + seen.shape[1]
        self._upper, self._lower = top, top + seen.shape[0]
        self._seen = self._with_text(seen.copy(), page, frame)
        self._cells: dict[bool, tuple[Any, Any]] = {}

    def free(self, plate: Plate, scale: float) -> Place | None:
        """Return the first free place for a stamp of `scale`, from the edge inward, from its own side across."""
        if self._empty:
            return None
        right = plate.corner in (Corner.BOTTOM_RIGHT, Corner.TOP_RIGHT)
        darkest, lightest = self._oriented(right=right)
        wide = math.ceil((plate.wide + 2 * CLEAR) * scale * self._x / _CELL)
        high = math.ceil((plate.high + 2 * CLEAR) * scale * self._y / _CELL)
        if high > darkest.shape[0] or wide > darkest.shape[1]:
            return None
        least = _windows(darkest, high, wide, np.minimum)
        spread = (_windows(lightest, high, wide, np.maximum) - least).max(axis=2)
        bare = (spread <= GRAIN) & (least.min(axis=2) >= PAPER)
        for grid, boxed in ((bare, False), (spread <= SMOOTH, True)):
            if grid.any():
                row = int(np.argmax(grid.any(axis=1)))
                column = int(np.argmax(grid[row]))
                return Place(self._sides(plate, scale, row, column, right=right), boxed)
        return None

    def _sides(self, plate: Plate, scale: float, row: int, column: int, *, right: bool) -> Sides:
        away, across = row * _CELL / self._y + CLEAR * scale, column * _CELL / self._x + CLEAR * scale
        wide, high = plate.wide * scale, plate.high * scale
        x0 = self._right / self._x - across - wide if right else self._left / self._x + across
        y0 = self._lower / self._y - away - high if self._low else self._upper / self._y + away
        return (x0, y0, x0 + wide, y0 + high)

    def _oriented(self, *, right: bool) -> tuple[Any, Any]:
        """Return the darkest and the lightest value of each cell and colour, the first cell in the stamp's corner."""
        if right not in self._cells:
            seen = self._seen[::-1] if self._low else self._seen
            seen = seen[:, ::-1] if right else seen
            down, across = -seen.shape[0] % _CELL, -seen.shape[1] % _CELL
            whole = np.pad(seen, ((0, down), (0, across), (0, 0)), mode="edge")
            self._cells[right] = _cells(whole, np.minimum), _cells(whole, np.maximum)
        return self._cells[right]

    def _with_text(self, seen: Pixels, page: int, frame: Frame) -> Pixels:
        """Make the rectangles of all text a pattern that nobody takes for paper."""
        boxes = frame.boxes(_text_sides(page))
        for x0, y0, x1, y1 in boxes.tolist():
            left, right = math.floor(x0 * self._x) - self._left, math.ceil(x1 * self._x) - self._left
            upper, lower = math.floor(y0 * self._y) - self._upper, math.ceil(y1 * self._y) - self._upper
            if right > 0 and lower > 0:
                part = seen[max(0, upper) : lower, max(0, left) : right]
                part[::2], part[1::2] = 0, 255
        return seen


def _text_sides(page: int) -> Any:
    """Return left, bottom, right, top of all text of an open page, in its own coordinates."""
    handle = pdfium.FPDFText_LoadPage(ctypes.cast(page, pdfium.FPDF_PAGE))
    if not handle:
        raise NotStampable("a page cannot be drawn")
    four = [ctypes.c_double() for _ in range(4)]
    left, top, right, bottom = map(ctypes.byref, four)
    rows = []
    try:
        for number in range(max(0, pdfium.FPDFText_CountRects(handle, 0, -1))):
            if pdfium.FPDFText_GetRect(handle, number, left, top, right, bottom):
                x0, y1, x1, y0 = (one.value for one in four)
                rows.append((x0, y0, x1, y1))
    finally:
        pdfium.FPDFText_ClosePage(handle)
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _cells(whole: Pixels, pick: Any) -> Any:
    """Return what `pick` chooses of the pixels of each cell."""
    rows = [whole[offset::_CELL] for offset in range(_CELL)]
    high = reduce(pick, rows)
    return reduce(pick, [high[:, offset::_CELL] for offset in range(_CELL)]).astype(np.int16)


def _windows(cells: Any, high: int, wide: int, pick: Any) -> Any:
    """Return what `pick` chooses of each window of cells, by the first cell of the window."""
    for axis, size in ((0, high), (1, wide)):
        have = 1
        while have < size:
            step = min(have, size - have)
            length = cells.shape[axis] - step
            first, second = (slice(0, length), slice(step, None))
            cells = pick(cells[first], cells[second]) if axis == 0 else pick(cells[:, first], cells[:, second])
            have += step
    return cells


def _corner(safe: Sides, plate: Plate, full: float) -> Place | None:
    """Return the corner where a stamp covers what is there; None where the page is smaller than the stamp."""
    for shrink in SHRINK:
        wide, high = plate.wide * full * shrink, plate.high * full * shrink
        x0, y0, x1, y1 = safe[0] + EDGE, safe[1] + EDGE, safe[2] - EDGE, safe[3] - EDGE
        if wide > x1 - x0 or high > y1 - y0:
            continue
        left = x1 - wide if plate.corner in (Corner.BOTTOM_RIGHT, Corner.TOP_RIGHT) else x0
        upper = y1 - high if plate.corner in _BOTTOM else y0
        return Place((left, upper, left + wide, upper + high), boxed=True, covers=True)
    return None
