"""Which glyphs of a page go, and where the others come to stand: the plan by which its content is written anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dlp.formats import pdf_gaps
from dlp.formats.pdf_frame import Sides
from dlp.formats.pdf_gaps import Around, Letter
from dlp.formats.pdf_ops import NeedsRaster, put
from dlp.formats.pdf_shows import Content, Drawn, Show, around

Floats = npt.NDArray[np.float64]

SHARE = 0.4  # of a glyph, along and across: from here on it belongs to a box
LEAST = 0.02  # em: width of glyphs that have none
NEAR = 0.35  # em: base lines nearer than this are one line
_UPRIGHT = 0.05  # of the size: what leans or climbs more is not laid anew
_UNDER, _OVER = 0.35, 0.2  # em below and above the base line, where rules under and over a word stand
_STROKE = 2.5  # points: what is higher is no rule under a word
_LITTLE = 0.85  # of the width of letters: what is stretched less than this is not meant to be seen
_LONG = 0.2  # of a word: what is shorter is a part of a drawing


class Wish(NamedTuple):
    """One rectangle of the page as shown that has to be emptied; `gap` where its width tells something."""

    sides: Sides
    gap: bool
    read: bool
    """True where the text of the page was read there, so that glyphs must be found; False for OCR."""


class Places:
    """The plan for one page."""

    def __init__(self) -> None:
        self.gone: dict[Show, set[int]] = {}
        self.moved: dict[Show, dict[int, pdf_gaps.Moved]] = {}
        self.boxes: list[Sides] = []
        self.dropped: list[tuple[Content, Drawn]] = []
        """Rules under a word that is gone: as long as the word."""
        self.touched: list[Wish] = []
        """What of the page as it was must hold nothing any more: for its pictures."""


def shows_of(content: Content) -> Iterable[tuple[Content, Show]]:
    """Yield all shows of a page and of its forms, in the order in which they are drawn."""
    for show in content.shows:
        yield content, show
    for form in content.forms:
        if form.inner is not None:
            yield from shows_of(form.inner)


def contents_of(content: Content) -> Iterable[Content]:
    """Yield a content and those of its forms."""
    yield content
    for form in content.forms:
        if form.inner is not None:
            yield from contents_of(form.inner)


def plan(content: Content, wishes: Sequence[Wish], width: float) -> Places:
    """Return what has to be done to one page. Raises `NeedsRaster` where it cannot be done to its text."""
    page = _Page(content, width)
    for wish in wishes:
        page.empty(wish)
    page.close_gaps()
    return page.places


class _Row(NamedTuple):
    """A line of the page that is to be laid anew."""

    base: float
    em: float
    holes: list[Sides]


class _Page:
    def __init__(self, content: Content, width: float) -> None:
        self.places = Places()
        self._content = content
        self._width = width
        self._shows = [show for _, show in shows_of(content)]
        self._sides = np.array([_sides(show) for show in self._shows], dtype=np.float64).reshape(-1, 4)
        self._cores: dict[Show, Floats] = {}
        self._pictures = [one for part in contents_of(content) for one in part.pictures]
        self._paths = [(part, path) for part in contents_of(content) for path in part.paths]
        self._path_sides = np.array([path.sides for _, path in self._paths], dtype=np.float64).reshape(-1, 4)
        self._rows: list[_Row] = []

    def empty(self, wish: Wish) -> None:
        """Take out every glyph inside a rectangle."""
        x0, y0, x1, y1 = wish.sides
        s = self._sides
        near = np.flatnonzero((s[:, 0] < x1) & (s[:, 2] > x0) & (s[:, 1] < y1) & (s[:, 3] > y0))
        found: list[tuple[Show, list[int]]] = []
        for number in near.tolist():
            show = self._shows[number]
            inside = _inside(self._core(show), wish.sides)
            if inside:
                found.append((show, inside))
                self.places.gone.setdefault(show, set()).update(inside)
        pictured = any(_meet(one.sides, wish.sides) for one in self._pictures)
        if not found and (wish.read or not pictured):
            raise NeedsRaster("what is to be removed is not where it was read")
        self.places.touched.append(wish)
        if wish.gap and pictured and not (wish.read and found):
            raise NeedsRaster("the width of a word in a picture would tell it")
        if wish.gap and found and all(_is_level(show) for show, _ in found):
            self._note_row(found)
            return
        self._cover(wish.sides, found)

    def _cover(self, sides: Sides, found: list[tuple[Show, list[int]]]) -> None:
        """Draw the box: as wide as what was read, as high as the glyphs that stood there."""
        box = sides
        wholes = [around(show.turn, show.whole(number)) for show, numbers in found for number in numbers]
        if wholes:
            box = wholes[0]
            for one in wholes[1:]:
                box = _join(box, one)
            box = _widened(box, sides)
        self.places.boxes.append(box)
        self._drop_rules(sides, 0.0)

    def _core(self, show: Show) -> Floats:
        known = self._cores.get(show)
        if known is None:
            known = self._cores[show] = _cores(show)
        return known

    def _note_row(self, found: list[tuple[Show, list[int]]]) -> None:
        for show, numbers in found:
            base = put(show.turn, 0.0, 0.0)[1]
            em = _em(show)
            row = next((one for one in self._rows if abs(one.base - base) < NEAR * max(one.em, em)), None)
            if row is None:
                row = _Row(base, em, [])
                self._rows.append(row)
            core = self._core(show)[numbers]
            row.holes.append((float(core[:, 0].min()), base - em, float(core[:, 2].max()), base))

    def close_gaps(self) -> None:
        """Lay every line anew that has a hole whose width would tell something."""
        if not self._rows:
            return
        lines = [(show, put(show.turn, 0.0, 0.0)[1]) for show in self._shows if show.codes and _is_level(show)]
        begins, ends = self._edges(lines)
        for row in self._rows:
            members = [show for show, base in lines if abs(base - row.base) < NEAR * max(row.em, _em(show))]
            self._lay(row, members, begins, ends)

    def _lay(self, row: _Row, members: list[Show], begins: tuple[float, ...], ends: tuple[float, ...]) -> None:
        letters: list[Letter] = []
        owners: list[tuple[Show, int]] = []
        for show in members:
            em, gone = _em(show), self.places.gone.get(show, set())
            for number, code in enumerate(show.codes):
                x0 = put(show.turn, show.starts[number], 0.0)[0]
                x1 = x0 + (show.ends[number] - show.starts[number]) * show.turn[0] * _even(show)
                letters.append(Letter(x0, x1, em, number in gone, code == b" ", len(owners)))
                owners.append((show, number))
        top, bottom = row.base - 0.8 * row.em, row.base
        rules = {
            round(x, 1) for part in contents_of(self._content) for x, y0, y1 in part.rules if y0 < bottom and y1 > top
        }
        laid = pdf_gaps.lay(letters, Around(tuple(sorted(rules)), begins, ends, self._width))
        if laid is None:
            raise NeedsRaster("there is no room for a gap that tells nothing")
        for one in laid.letters:
            show, number = owners[one.owner]
            self.places.moved.setdefault(show, {})[number] = one._replace(stretch=one.stretch * _even(show))
        fonts = [show.manner.font for show in members if show in self.places.gone]
        high = max((font.ascent / font.em for font in fonts if font), default=0.88)
        low = min((font.descent / font.em for font in fonts if font), default=-0.12)
        for x0, x1 in laid.holes:
            self.places.boxes.append((x0, row.base - high * row.em, x1, row.base - low * row.em))
        for hole in row.holes:
            self._drop_rules(hole, row.em)

    def _edges(self, lines: list[tuple[Show, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return where the lines begin and end that no hole is in."""
        rows: dict[int, list[Show]] = {}
        for show, base in lines:
            rows.setdefault(round(base), []).append(show)
        begins: set[float] = set()
        ends: set[float] = set()
        for base, shows in rows.items():
            if any(abs(base - row.base) < row.em for row in self._rows):
                continue
            spans = sorted((_span(show), _em(show)) for show in shows)
            end: float | None = None
            for (x0, x1), em in spans:
                if end is None or x0 - end > pdf_gaps.COLUMN * em:
                    begins.add(round(x0, 1))
                    if end is not None:
                        ends.add(round(end, 1))
                end = x1 if end is None else max(end, x1)
            if end is not None:
                ends.add(round(end, 1))
        return tuple(sorted(begins)), tuple(sorted(ends))

    def _drop_rules(self, hole: Sides, em: float) -> None:
        """Drop rules and backgrounds that are as long as what stood there."""
        x0, y0, x1, y1 = hole
        high, spare = y1 - y0, em or 1.0
        left, top, right, bottom = self._path_sides.T
        inside = (left > x0 - spare) & (right < x1 + spare) & (right - left > _LONG * (x1 - x0))
        inside &= (top > y0 - _OVER * high) & (bottom < y1 + _UNDER * high)
        if not em:
            inside &= bottom - top <= _STROKE
        self.places.dropped += [self._paths[number] for number in np.flatnonzero(inside).tolist()]


def _sides(show: Show) -> Sides:
    """Return a rectangle that holds all glyphs of a show."""
    if not show.codes:
        return (0.0, 0.0, 0.0, 0.0)
    ends = [show.whole(0), show.whole(len(show.codes) - 1)]
    if show.vertical:
        half = max(abs(one[0]) for one in ends)
        return around(show.turn, (-half, min(show.ends), half, max(show.starts)))
    low, high = min(*show.starts, *show.ends), max(*show.starts, *show.ends)
    return around(show.turn, (low, ends[0][1], high, ends[0][3]))


def _cores(show: Show) -> Floats:
    """Return the middle of each glyph as rows of x0, y0, x1, y1 on the page as shown."""
    starts, ends = np.array(show.starts), np.array(show.ends)
    least = LEAST * abs(show.manner.size) * show.em
    if show.vertical:
        half = np.array([abs(show.core(i)[0]) for i in range(len(show.codes))])
        x0, x1, y0, y1 = -half, half, ends, starts
    else:
        x0, x1 = starts, ends
        y0 = np.full(len(starts), show.manner.rise)
        y1 = y0 + 0.5 * show.manner.size * show.em
    narrow = np.abs(x1 - x0) < least
    x0, x1 = np.where(narrow, x0 - least / 2, x0), np.where(narrow, x0 + least / 2, x1)
    a, b, c, d, e, f = show.turn
    across = np.stack([a * x + c * y + e for x in (x0, x1) for y in (y0, y1)])
    along = np.stack([b * x + d * y + f for x in (x0, x1) for y in (y0, y1)])
    return np.stack([across.min(0), along.min(0), across.max(0), along.max(0)], axis=1)


def _inside(cores: Floats, sides: Sides) -> list[int]:
    x0, y0, x1, y1 = sides
    wide = np.minimum(cores[:, 2], x1) - np.maximum(cores[:, 0], x0)
    high = np.minimum(cores[:, 3], y1) - np.maximum(cores[:, 1], y0)
    enough = (wide > SHARE * (cores[:, 2] - cores[:, 0])) & (high > SHARE * (cores[:, 3] - cores[:, 1]))
    return [int(number) for number in np.flatnonzero(enough)]


def _em(show: Show) -> float:
    return abs(show.turn[3] * show.manner.size) * show.em or 1.0


def _even(show: Show) -> float:
    """Return what undoes a small stretch: some programs set a line to both margins by it."""
    stretch = show.manner.stretch
    return 1 / stretch if _LITTLE < stretch < 1 / _LITTLE else 1.0


def _is_level(show: Show) -> bool:
    """Tell whether a show runs from left to right and stands upright on the page as shown."""
    a, b, _, d, _, _ = show.turn
    ahead = a * show.manner.size * show.manner.stretch > 0 and d * show.manner.size < 0
    return ahead and not show.vertical and abs(b) < _UPRIGHT * abs(a)


def _span(show: Show) -> tuple[float, float]:
    xs = [put(show.turn, x, 0.0)[0] for x in (min(show.starts), max(show.ends))]
    return min(xs), max(xs)


def _meet(one: Sides, other: Sides) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _widened(box: Sides, read: Sides) -> Sides:
    """Return a box as long as what was read, along the longer of its sides."""
    if read[2] - read[0] >= read[3] - read[1]:
        return (min(box[0], read[0]), box[1], max(box[2], read[2]), box[3])
    return (box[0], min(box[1], read[1]), box[2], max(box[3], read[3]))


def _join(one: Sides, other: Sides) -> Sides:
    return (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))
