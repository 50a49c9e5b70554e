"""Pages of a PDF as pictures of themselves, with what has to go painted over in the pixels.

The last resort for pages whose content cannot be followed: no text is left, only what is seen. A word whose width
would tell it gets a box of one width, and the pixels behind it are moved up to it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pikepdf
import pypdfium2
from PIL import Image

from dlp.formats.pdf_gaps import COLUMN, HOLE
from dlp.formats.pdf_ops import NeedsRaster
from dlp.formats.pdf_spots import Wish
from dlp.formats.room import Room

DPI = 200
MOST_PIXELS = 6_000  # a side
_QUALITY = 85
_MARGIN = 1  # pixels around each box
_DARK = 128  # of 255: below it is ink
_RULE = 0.95  # of the height of a line: what is dark so far down is a rule of a table

Pixels = npt.NDArray[np.uint8]


class Renderer:
    """An open document that is drawn page by page."""

    def __init__(self, raw: bytes, room: Room) -> None:
        self._document = pypdfium2.PdfDocument(raw)
        self._room = room

    def draw(self, index: int) -> tuple[Pixels, float]:
        """Return page `index` (from 0) as rows of red, green and blue, and its pixels a point."""
        try:
            page = self._document[index]
            wide, high = page.get_size()
            scale = min(DPI / 72, MOST_PIXELS / max(wide, high, 1.0))
            self._room.spend_pixels(int(wide * scale) * int(high * scale))
            image = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False).to_numpy()
        except pypdfium2.PdfiumError as err:
            raise NeedsRaster("the page cannot be drawn") from err
        return np.array(image[:, :, :3] if image.ndim == 3 else np.repeat(image[:, :, None], 3, 2)), scale


def paint(pixels: Pixels, scale: float, wishes: Sequence[Wish]) -> None:
    """Paint every wish over, first those whose width tells something: from the right, so that each moves only once."""
    for wish in sorted(wishes, key=lambda one: -one.sides[0]):
        if wish.gap:
            _close(pixels, wish, scale)
    for wish in wishes:
        if not wish.gap:
            x0, y0, x1, y1 = _box(pixels, wish, scale)
            pixels[y0:y1, x0:x1] = 0


def _box(pixels: Pixels, wish: Wish, scale: float) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(side * scale) for side in wish.sides)
    high, wide = pixels.shape[:2]
    return max(0, x0 - _MARGIN), max(0, y0 - _MARGIN), min(wide, x1 + _MARGIN), min(high, y1 + _MARGIN)


def _close(pixels: Pixels, wish: Wish, scale: float) -> None:
    """Put a box of one width where a word stood, and move what follows it on its line up to the box.

    What follows ends at a gap as wide as one before a column, or at a rule of a table.
    """
    x0, y0, x1, y1 = _box(pixels, wish, scale)
    if x1 <= x0 or y1 <= y0:
        return
    high = y1 - y0
    band = pixels[y0:y1]
    paper = np.median(band.reshape(-1, 3), axis=0).astype(np.uint8)
    ink = (band.min(axis=2) < _DARK).sum(axis=0)
    end = _end(ink, x1, high)
    words = band[:, x1:end].copy()
    first = int(np.argmax(ink[x1:end] > 0)) if (ink[x1:end] > 0).any() else words.shape[1]
    words = words[:, first:]
    stop = _wall(ink, end, high)
    hole = max(1, min(round(HOLE * high), stop - x0 - words.shape[1]))
    room = max(0, stop - x0 - hole)
    if words.shape[1] > room > 0:
        words = np.asarray(Image.fromarray(words).resize((room, high)))
    words = words[:, :room]
    band[:, x0 : max(end, x0 + hole + words.shape[1])] = paper
    band[:, x0 : x0 + hole] = 0
    gap = round(0.15 * high)
    begin = min(x0 + hole + gap, stop)
    fit = words[:, : max(0, stop - begin)]
    band[:, begin : begin + fit.shape[1]] = fit


def _end(ink: Any, start: int, high: int) -> int:
    """Return where the words behind `start` end."""
    blank = 0
    last = start
    for x in range(start, len(ink)):
        if ink[x] >= _RULE * high:
            return last
        blank = 0 if ink[x] else blank + 1
        if ink[x]:
            last = x + 1
        if blank > COLUMN * high:
            return last
    return last


def _wall(ink: Any, end: int, high: int) -> int:
    """Return how far the words may reach now: to the next ink, or to the margin of the page."""
    for x in range(end, len(ink)):
        if ink[x]:
            return max(end, x - high // 4)
    return len(ink) - high


def page_of(pdf: Any, pixels: Pixels, size: tuple[float, float]) -> Any:
    """Return a page of `pdf` of this size, in points, that shows nothing but these pixels."""
    image = Image.fromarray(pixels)
    flat = pixels.reshape(-1, 3)
    if not (flat[:, 0] != flat[:, 1]).any() and not (flat[:, 1] != flat[:, 2]).any():
        image = image.convert("L")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    picture = pdf.make_stream(out.getvalue())
    picture["/Type"], picture["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Image
    picture["/Width"], picture["/Height"] = image.width, image.height
    picture["/ColorSpace"] = pikepdf.Name.DeviceGray if image.mode == "L" else pikepdf.Name.DeviceRGB
    picture["/BitsPerComponent"], picture["/Filter"] = 8, pikepdf.Name.DCTDecode
    wide, high = (round(side, 4) for side in size)
    return pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Page,
            MediaBox=[0, 0, wide, high],
            Resources=pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im0=picture)),
            Contents=pdf.make_stream(f"q {wide} 0 0 {high} 0 0 cm /Im0 Do Q".encode("ascii")),
        )
    )
