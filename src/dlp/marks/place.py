"""Where a candidate stands: on its line, on its page, in its document.

Every look reaches a bounded number of characters, so that the whole survey is linear on any input. Removed
characters (the view drops spaces between Han characters) still count as a gap: a mark and the line beside it are
often parted by blanks only.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from enum import IntEnum
from typing import NamedTuple

from dlp.marks import signs
from dlp.model import Document, Segment, Zone
from dlp.text import View

FIRST_LINES = 5
REACH = 24
"""Characters looked at on either side for prose."""
TOP_QUARTER = 210.5
"""Points from the top of an A4 page, 842 / 4: where GB/T 9704-2012 puts copy number, level and urgency."""

_CLAUSE_END = re.compile(r"[|\t:。;!?\n]|  ")
_HAN = re.compile("[一-龥]")
_BLANKS = " \t"


class Side(IntEnum):
    """What parts a candidate from its neighbour: nothing, one blank, a wide gap or a cell border, the line's edge."""

    TIGHT = 0
    NARROW = 1
    WIDE = 2
    EDGE = 3


class Stand(NamedTuple):
    """How a candidate stands on its line."""

    left: Side
    right: Side
    bracketed: bool
    quoted: bool
    start: int
    """View offsets of the candidate with its brackets."""
    end: int

    @property
    def alone(self) -> bool:
        """Whether it has its line or its cell to itself."""
        return self.left >= Side.WIDE and self.right >= Side.WIDE

    @property
    def free(self) -> bool:
        """Whether it is not glued to other words: alone, in brackets, or at the line's edge with a gap behind."""
        if self.quoted:
            return False
        return self.alone or self.bracketed or (self.left == Side.EDGE and self.right >= Side.NARROW)


class Ground:
    """The view with its document, looked at from one place at a time."""

    def __init__(self, view: View, document: Document, present: frozenset[str] = signs.SEEDS) -> None:
        """`present` are the words of `SEEDS` that the text holds, where somebody has looked already."""
        self.view = view
        self.present = present
        self.levels: list[signs.Sign] | None = None
        """Every candidate with one of the three level words, once somebody has read them."""
        self.text = view.text
        self.document = document
        self._breaks: list[int] = view.breaks.tolist()
        self._starts: list[int] = view.starts.tolist()
        self._openings: dict[tuple[str, ...], int] | None = None
        self._is_rules: bool | None = None
        self._body_size: float | None = None
        self._cells: tuple[frozenset[int], frozenset[int]] | None = None

    def line(self, offset: int) -> tuple[int, int]:
        """Return the view bounds of the original line that holds `offset`, without its line break."""
        number = bisect_right(self._breaks, offset)
        start = self._breaks[number - 1] if number else 0
        end = self._breaks[number] if number < len(self._breaks) else len(self.text)
        while end > start and self.text[end - 1] == "\n":
            end -= 1
        return start, end

    def segment_at(self, offset: int) -> Segment | None:
        """Return the segment that holds `offset`; None for a view without segments."""
        number = bisect_right(self._starts, self._origin(offset)) - 1
        return self.view.segments[number] if 0 <= number < len(self.view.segments) else None

    def zone(self, offset: int) -> Zone:
        """Return the zone of the segment that holds `offset`."""
        segment = self.segment_at(offset)
        return segment.zone if segment else Zone.BODY

    def stand(self, start: int, end: int) -> Stand:
        """Tell how `start` to `end` stands on its line."""
        low, high = self.line(start)[0], self.line(end - 1)[1]
        inner = max((self._gap(i) for i in range(start + 1, min(end, start + 3))), default=0)
        first, last, bracketed = self._unwrap(start, end, low, high)
        quoted = self._is_quoted(start, end)
        left = self._side(first, low, inner, step=-1)
        right = self._side(last, high, inner, step=1)
        starts, ends = self._cell_bounds()
        if starts and self._origin(first) in starts:
            left = Side.EDGE
        if ends and self._origin(last - 1) + 1 in ends:
            right = Side.EDGE
        return Stand(left, right, bracketed, quoted, first, last)

    def is_prose(self, stand: Stand, *, before: bool = True, after: bool = True, strict: bool = False) -> bool:
        """Tell whether running text goes up to the candidate or on from it.

        Four Han characters of the same clause, or one of the usual words; a wide gap ends the clause, and with
        `strict` only what touches the candidate counts.
        """
        least = Side.TIGHT if strict else Side.NARROW
        if before and stand.left <= least:
            low = max(self.line(stand.start)[0], stand.start - REACH)
            clause = _CLAUSE_END.split(self.text[low : stand.start])[-1]
            if len(_HAN.findall(clause)) >= 4 or signs.PROSE_BEFORE.search(clause.rstrip()):
                return True
        if after and stand.right <= least:
            high = min(self.line(stand.end - 1)[1], stand.end + REACH)
            clause = _CLAUSE_END.split(self.text[stand.end : high].lstrip(), maxsplit=1)[0]
            if len(_HAN.findall(clause)) >= 4 or signs.PROSE_AFTER.match(clause):
                return True
        return False

    def is_among_first_lines(self, offset: int) -> bool:
        """Tell whether fewer than five lines with text stand above in the same part, or it is high on page 1."""
        segment = self.segment_at(offset)
        if segment is not None and segment.strip is not None:
            strip = segment.strip
            if strip.page == 1 and strip.y0 <= TOP_QUARTER:
                return True
            if strip.page != 1:
                return False
        opening = self._opening(segment)
        number = bisect_right(self._breaks, offset) - 1
        seen = 0
        for line in range(number - 1, max(-1, number - 4 * FIRST_LINES), -1):
            begin = self._breaks[line]
            if begin < opening:
                return True
            stop = self._breaks[line + 1]
            seen += bool(self.text[begin : min(stop, begin + 64)].strip())
            if seen >= FIRST_LINES:
                return False
        return True

    def neighbours(self, offset: int, end: int) -> tuple[str, str]:
        """Return the nearest line with text above and below, at most 40 characters of each."""
        return self._above(offset), self._below(end)

    def is_rules(self) -> bool:
        """Tell whether the document is a regulation or teaching text: its title says so, or ten articles follow."""
        if self._is_rules is None:
            self._is_rules = signs.RULES_TITLE.search(self.text[:80]) is not None or self._has_articles()
        return self._is_rules

    def body_size(self) -> float:
        """Return the size in which most of the text is set, in points; 0 where the reader knows no sizes."""
        if self._body_size is None:
            sizes: dict[float, int] = {}
            for segment in self.view.segments:
                if segment.strip is not None and segment.strip.size:
                    sizes[segment.strip.size] = sizes.get(segment.strip.size, 0) + len(segment.text)
            self._body_size = max(sizes, key=lambda size: sizes[size], default=0.0)
        return self._body_size

    def cells(self) -> bool:
        """Tell whether the reader found tables."""
        return bool(self.document.tables)

    def _has_articles(self) -> bool:
        return sum(1 for _, _ in zip(signs.ARTICLE.finditer(self.text), range(10), strict=False)) >= 10

    def _origin(self, offset: int) -> int:
        if not len(self.view.index):
            return 0
        return int(self.view.index[min(offset, len(self.view.index) - 1)])

    def _gap(self, offset: int) -> int:
        """Return how many characters the view removed just before `offset`."""
        if offset <= 0 or offset >= len(self.text):
            return 0
        return int(self.view.index[offset]) - int(self.view.index[offset - 1]) - 1

    def _is_wide_blank(self, offset: int) -> bool:
        """Tell whether the one character removed before `offset` is an ideographic space or a tab."""
        place = self._origin(offset) - 1
        number = bisect_right(self._starts, place) - 1
        inside = place - self._starts[number]
        text = self.view.segments[number].text
        return 0 <= inside < len(text) and text[inside] in "\u3000\t\u2003"

    def _unwrap(self, start: int, end: int, low: int, high: int) -> tuple[int, int, bool]:
        """Return the bounds with a pair of brackets around them, and whether there is one."""
        first, last = start, end
        while first > low and start - first < 4 and self.text[first - 1] in _BLANKS:
            first -= 1
        while last < high and last - end < 4 and self.text[last] in _BLANKS:
            last += 1
        if first > low and last < high and self.text[first - 1] in signs.OPENING:
            place = signs.OPENING.index(self.text[first - 1])
            if self.text[last] == signs.CLOSING[place]:
                return first - 1, last + 1, True
        return start, end, False

    def _is_quoted(self, start: int, end: int) -> bool:
        before, after = self.text[max(0, start - 1) : start], self.text[end : end + 1]
        return bool(before and after) and before in signs.QUOTES[0] and after in signs.QUOTES[1]

    def _side(self, offset: int, bound: int, inner: int, *, step: int) -> Side:
        """Tell what parts `offset` from its neighbour on the side of `step`; `bound` is the line's end there."""
        place, blanks = offset, 0
        while place != bound and blanks < 8:
            char = self.text[place - 1 if step < 0 else place]
            if char not in _BLANKS:
                break
            blanks += 2 if char == "\t" else 1
            place += step
        if place == bound:
            return Side.EDGE
        char = self.text[place - 1 if step < 0 else place]
        if char == "|":
            return Side.WIDE
        removed = self._gap(offset) if blanks == 0 else 0
        if removed == 1 and inner == 0 and self._is_wide_blank(offset):
            return Side.WIDE
        gap = blanks + removed
        if gap >= 2 and gap > inner:
            return Side.WIDE
        return Side.NARROW if gap > inner else Side.TIGHT

    def _opening(self, segment: Segment | None) -> int:
        """Return the view offset at which the part of `segment` begins."""
        if segment is None:
            return 0
        if self._openings is None:
            self._openings = {}
            for number, each in enumerate(self.view.segments):
                key = (each.zone.value, *each.part)
                if key not in self._openings:
                    origin = self._starts[number]
                    self._openings[key] = int(self.view.index.searchsorted(origin))
        return self._openings[(segment.zone.value, *segment.part)]

    def _cell_bounds(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return where cells begin and end, in characters of the joined original."""
        if self._cells is None:
            cells = [c for table in self.document.tables for row in table.rows for c in row]
            size = len(self._starts)
            known = [c for c in cells if 0 <= c.segment < size]
            self._cells = (
                frozenset(self._starts[c.segment] + c.start for c in known),
                frozenset(self._starts[c.segment] + c.end for c in known),
            )
        return self._cells

    def _above(self, offset: int) -> str:
        end = self.line(offset)[0]
        for _ in range(4):
            if end <= 0:
                return ""
            start, stop = self.line(end - 1)
            text: str = self.text[start : min(stop, start + 40)].strip()
            if text:
                return text
            end = start
        return ""

    def _below(self, offset: int) -> str:
        place = bisect_right(self._breaks, max(offset - 1, 0))
        for number in range(place, min(place + 4, len(self._breaks))):
            start, stop = self.line(self._breaks[number])
            text: str = self.text[start : min(stop, start + 40)].strip()
            if text:
                return text
        return ""
