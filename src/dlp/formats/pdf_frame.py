"""The visible part of a PDF page, and what turns page coordinates into those of the page as it is shown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LETTER = (0.0, 0.0, 612.0, 792.0)  # what pdfium takes where a page has no usable size
Sides = tuple[float, float, float, float]
MAX_COORDINATE = 1e6  # points; whatever lies beyond is set to the edge so that sums stay finite


class Frame:
    """Turns page coordinates (origin bottom left, before /Rotate) into those of the page as it is shown.

    `sides` are left, bottom, right, top of the visible part in points; width and height are as shown.
    """

    __slots__ = ("height", "rotation", "sides", "width")

    def __init__(self, sides: tuple[float, float, float, float], rotation: int = 0) -> None:
        left, bottom, right, top = (v if math.isfinite(v) else 0.0 for v in sides)
        if not (0 < right - left < MAX_COORDINATE and 0 < top - bottom < MAX_COORDINATE):
            left, bottom, right, top = LETTER
        self.sides = left, bottom, right, top
        self.rotation = rotation
        size = (right - left, top - bottom)
        self.width, self.height = size if rotation in (0, 180) else size[::-1]

    def boxes(self, raw: Any) -> Any:
        """Turn rows of left, bottom, right, top into x0, y0, x1, y1 with the origin top left."""
        if not np.isfinite(raw).all():
            raw = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
        raw = np.clip(raw, -MAX_COORDINATE, MAX_COORDINATE)
        left, bottom, right, top = self.sides
        x0, y0, x1, y1 = raw[:, 0] - left, raw[:, 1] - bottom, raw[:, 2] - left, raw[:, 3] - bottom
        wide, high = right - left, top - bottom
        if self.rotation == 0:
            shown = (x0, high - y1, x1, high - y0)
        elif self.rotation == 90:
            shown = (y0, x0, y1, x1)
        elif self.rotation == 180:
            shown = (wide - x1, y0, wide - x0, y1)
        else:
            shown = (high - y1, wide - x1, high - y0, wide - x0)
        out = np.stack(shown, axis=1)
        return np.stack(
            [
                np.minimum(out[:, 0], out[:, 2]),
                np.minimum(out[:, 1], out[:, 3]),
                np.maximum(out[:, 0], out[:, 2]),
                np.maximum(out[:, 1], out[:, 3]),
            ],
            axis=1,
        )

    def box(self, sides: tuple[float, float, float, float] | None) -> tuple[float, float, float, float]:
        """Turn left, bottom, right, top into x0, y0, x1, y1; None stands for the whole page."""
        x0, y0, x1, y1 = self.boxes(np.array([sides or self.sides], dtype=np.float64))[0].tolist()
        return x0, y0, x1, y1

    def angle(self, across: float, up: float) -> int:
        """Turn a direction in page coordinates into degrees clockwise as shown, right angles and 15 degree steps."""
        if not (math.isfinite(across) and math.isfinite(up)) or (across == 0 and up == 0):
            return 0
        degrees = (math.degrees(math.atan2(-up, across)) + self.rotation) % 360
        nearest = round(degrees / 90) * 90
        # A scan that hangs by three degrees is still read line by line.
        return int(nearest % 360 if abs(degrees - nearest) <= 4 else round(degrees / 15) * 15 % 360)
