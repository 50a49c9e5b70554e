"""The second look at a stamped PDF: every stamp is seen where it should be, taken off, and then the page is read.

What is read so must be what was read before, to the last character and pixel. A stamp that is not seen, because
something lies on it or a content swallowed it, is a gap.
"""

from __future__ import annotations

import ctypes
import hashlib
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as pdfium
from PIL import Image

from dlp.formats.pdf_frame import Frame, Sides
from dlp.formats.pdf_free import pixels
from dlp.formats.pdf_pages import FORM, frame_of, matrix_of, object_at, objects_of, type_of
from dlp.formats.pdf_stamp import matrix
from dlp.formats.room import Sought
from dlp.model import Check, GapKind, Plate

CHECK = "look"
_VIEW = 150 / 72  # pixels a point at which a stamp is looked for
_WHOLE = 36 / 72  # and the page without it
_LIKENESS = 0.8  # correlation with what was stamped
_CONTRAST = 100  # of 255, between ink and paper
_NEAR = 0.05  # points: a place that comes back as single floats
_MOST_PIXELS = 6_000  # a side

Grey = npt.NDArray[np.float32]


class Peeler:
    """Takes the stamps off one document, page by page, and keeps a digest of how its pages look without."""

    def __init__(self, sought: Sought, gap: Callable[[GapKind, str, int | None], None]) -> None:
        self._sought = sought
        self._gap = gap
        self._digest = hashlib.sha256()
        self._looked = 0
        self._boxes = {box.page: (box.x0, box.y0, box.x1, box.y1) for box in sought.boxes}

    def check(self, pages: int | None) -> Check:
        """Return a check whose detail is the same for two documents whose pages look the same.

        It fails where not every one of the document's pages was looked at.
        """
        whole = bool(pages) and self._looked == pages
        return Check(name=CHECK, state="ok" if whole else "fail", detail=self._digest.hexdigest())

    def peel(self, number: int, page: int, fresh: bool) -> None:
        """Take the stamp off page `number` (from 0) that is open at `page`; look at it where it is `fresh`."""
        if not page:
            self._gap(GapKind.CORRUPT, "a stamped page cannot be opened", number + 1)
            return
        frame = frame_of(page)
        if self._sought.plate is not None:
            self._take_off(number + 1, page, frame, self._sought.plate, look=fresh)
        if fresh:
            self._looked += 1
            scale = min(_WHOLE, _MOST_PIXELS / max(frame.width, frame.height))
            seen, _, _ = pixels(page, frame, (0.0, 0.0, frame.width, frame.height), scale, grey=True)
            self._digest.update(f"{number} {seen.shape} {frame.rotation} {frame.sides}\n".encode("ascii"))
            self._digest.update(np.ascontiguousarray(seen).tobytes())

    def _take_off(self, number: int, page: int, frame: Frame, plate: Plate, *, look: bool) -> None:
        box = self._boxes.get(number)
        found = _last(page, matrix(box, frame, plate)) if box is not None else 0
        if box is None or not found or (look and not _seen(page, frame, box, plate)):
            self._gap(GapKind.CORRUPT, "the stamp is not to be seen on a page", number)
            return
        thing = ctypes.cast(found, pdfium.FPDF_PAGEOBJECT)
        if pdfium.FPDFPage_RemoveObject(ctypes.cast(page, pdfium.FPDF_PAGE), thing):
            pdfium.FPDFPageObj_Destroy(thing)


def _last(page: int, turn: tuple[float, ...]) -> int:
    """Return the last object of a page that is a form with this matrix; 0 where there is none."""
    for number in reversed(range(objects_of(page))):
        thing = object_at(page, number)
        if thing and type_of(thing) == FORM:
            six = matrix_of(thing)
            if max(abs(one - other) for one, other in zip(six, turn, strict=True)) < _NEAR:
                return int(thing)
    return 0


def _seen(page: int, frame: Frame, box: Sides, plate: Plate) -> bool:
    """Tell whether what is shown at `box` is the stamp."""
    scale = min(_VIEW, _MOST_PIXELS / max(frame.width, frame.height))
    # pdfium draws a picture into the whole pixels that its sides touch, which is what `pixels` returns.
    shown = pixels(page, frame, box, scale, grey=True)[0].astype(np.float32)
    drawn = _drawn(plate, shown.shape[1], shown.shape[0])
    return float(shown.max() - shown.min()) > _CONTRAST and _alike(shown, drawn) > _LIKENESS


def _alike(shown: Any, drawn: Grey) -> float:
    """Return the correlation of what is shown, light on dark turned round, with ink."""
    one = shown.mean() - shown
    spread = float(np.sqrt((one * one).sum()))
    return float((one * drawn).sum()) / spread if spread else 0.0


@lru_cache(maxsize=8)
def _drawn(plate: Plate, wide: int, high: int) -> Grey:
    """Return the ink of a stamp at this size, less its mean and of length one."""
    row = (plate.width + 7) // 8
    bits = np.frombuffer(zlib.decompress(plate.raw), dtype=np.uint8).reshape(plate.height, row)
    ink = np.unpackbits(bits, axis=1)[:, : plate.width] * np.uint8(255)
    small = np.asarray(Image.fromarray(ink).resize((wide, high), Image.Resampling.BOX), dtype=np.float32)
    small = small - small.mean()
    return np.asarray(small / max(float(np.sqrt((small * small).sum())), 1e-6), dtype=np.float32)
