"""Pages whose text lies where its file says: characters with places become lines, in points from the top left."""

from __future__ import annotations

import math

import numpy as np

from dlp.formats.pdf_lines import ODD_SHARE, Glyphs, Line, Style, build, is_wide, trust
from dlp.formats.room import Reading
from dlp.model import Coverage, GapKind, Segment, Strip, Zone

Turn = tuple[float, float, float, float, float, float]
"""a b c d e f: x' = a x + c y + e, y' = b x + d y + f."""
STILL: Turn = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
FAR = 100_000.0  # points: a page is never larger, and a place beyond is nobody's
TINY = 1.0  # points: nobody reads smaller letters
_ASCENT, _DESCENT = 0.88, 0.12  # of the size: the box of a Chinese character around its base line


def times(first: Turn, then: Turn) -> Turn:
    """Return the turn that does `first` and then `then`."""
    a, b, c, d, e, f = first
    k, m, n, p, q, r = then
    return (a * k + b * n, a * m + b * p, c * k + d * n, c * m + d * p, e * k + f * n + q, e * m + f * p + r)


def letter_box(letter: str, point: tuple[float, float], turn: Turn, size: float) -> tuple[float, float, float, float]:
    """Return the box of a character that stands at a base point before `turn`."""
    x, y = point
    a, b, c, d, e, f = turn
    wide = size if is_wide(letter) else size / 2
    corners = [
        (a * u + c * v + e, b * u + d * v + f) for u in (x, x + wide) for v in (y - _ASCENT * size, y + _DESCENT * size)
    ]
    sides = [min(max(v, -FAR), FAR) if math.isfinite(v) else 0.0 for pair in corners for v in pair]
    return min(sides[::2]), min(sides[1::2]), max(sides[::2]), max(sides[1::2])


class Page:
    """The characters of one page as they come; `lines` puts them in reading order."""

    def __init__(self, number: int, width: float, height: float) -> None:
        self.number = number
        self.width = width
        self.height = height
        self._text: list[str] = []
        self._boxes: list[tuple[float, float, float, float]] = []
        self._styles: list[int] = []
        self._kinds: dict[Style, int] = {}

    def add(
        self,
        text: str,
        points: list[tuple[float, float]],
        turn: Turn,
        size: float,
        *,
        face: str = "",
        colour: str = "",
        hidden: bool = False,
    ) -> None:
        """Add the characters of `text`, each with its own base point before `turn`; `size` is in the same units."""
        a, b, *_ = turn
        scale = math.hypot(a, b)
        em = size * scale if 0 < size * scale < FAR else 1.0
        degrees = math.degrees(math.atan2(b, a)) % 360
        nearest = round(degrees / 90) * 90
        angle = int(nearest % 360 if abs(degrees - nearest) <= 4 else round(degrees / 15) * 15 % 360)
        unseen = hidden or em < TINY
        for letter, point in zip(text, points, strict=False):
            box = letter_box(letter, point, turn, size)
            outside = box[2] < 0 or box[3] < 0 or box[0] > self.width or box[1] > self.height
            style = Style(angle, round(em, 2), face, colour, unseen or outside)
            self._text.append(letter)
            self._boxes.append(box)
            self._styles.append(self._kinds.setdefault(style, len(self._kinds)))

    def lines(self) -> list[Line]:
        """Return the lines in reading order."""
        boxes = np.array(self._boxes, dtype=np.float64).reshape(-1, 4)
        return build(Glyphs(self._text, boxes, np.array(self._styles, dtype=np.int64), list(self._kinds)))

    def read(self, reading: Reading, part: tuple[str, ...], *, painted: bool = False) -> None:
        """Add the lines to a reading, and how the page was read; `painted` tells of drawings that may show words."""
        lines = self.lines()
        for line in lines:
            reading.room.spend_segments()
            reading.room.spend_chars(len(line.text))
            reading.segments.append(
                Segment(
                    text=line.text,
                    part=part,
                    strip=strip(line, self.number),
                    zone=Zone.HIDDEN if line.hidden else Zone.BODY,
                    soft=line.soft,
                )
            )
        letters, odd = trust(self._text, np.zeros(len(self._text), dtype=np.bool_))
        if odd > ODD_SHARE * letters:
            why = "the fonts do not tell which characters they show"
            reading.note(reading.room.gap(GapKind.UNTRUSTED_TEXT, why, self.number))
        how = "text" if lines else "unread" if painted else "blank"
        reading.coverage.append(Coverage(page=self.number, how=how, part=reading.room.part))


def strip(line: Line, page: int) -> Strip:
    """Return how a line lies on its page."""
    x0, y0, x1, y1 = line.box
    return Strip(
        page=page,
        x0=x0,
        y0=y0,
        x1=x1,
        y1=y1,
        edges=line.edges.astype("<f4").tobytes(),
        vertical=line.vertical,
        size=line.size,
        face=line.face,
        colour=line.colour,
    )
