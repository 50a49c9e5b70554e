"""What stands near a hit: words that make it surer, words that make it something else, the header of its column."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from dlp.forms import Grid, grids
from dlp.model import Document
from dlp.packs import Near, Rule
from dlp.text import View, fold, slices

NEAR_BONUS = 0.08
SHORT_LINE, LONGEST_LABEL = 24, 8
"""Characters of a line that may be one label with its value, and of a label."""
MOST_SHORT_LINES = 50_000


def words_of(rule: Rule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words wanted and unwanted near a hit of `rule`, folded and in lower case."""
    return _folded(rule.near), _folded(rule.not_near)


def labels_of(rule: Rule) -> tuple[str, ...]:
    """Return the labels of a form, folded and in lower case."""
    return tuple(_lower(fold(word)) for group in rule.labels for word in group)


def _folded(near: Near | None) -> tuple[str, ...]:
    return tuple(_lower(fold(word)) for word in near.words) if near else ()


class Context:
    """The surroundings of one document. Words that occur nowhere in it are not looked for."""

    def __init__(self, view: View, document: Document, present: frozenset[str], *, names: bool = False) -> None:
        """`present` holds every context word that occurs. With `names`, no word is required to stand near."""
        self._view = view
        self.document = document
        self._present = present
        self._names = names
        self._text: str | None = None
        self._labels: frozenset[str] | None = None
        self._grids: tuple[Grid, ...] | None = None
        self._here: dict[int, tuple[str, ...]] = {}
        self._cells: dict[int, tuple[list[int], list[tuple[int, Grid, int]]]] | None = None

    def weigh(  # noqa: PLR0917  a place, a rule with its words, and what is known of it so far
        self,
        start: int,
        end: int,
        rule: Rule,
        words: tuple[tuple[str, ...], tuple[str, ...]],
        confidence: float,
        why: list[str],
    ) -> tuple[bool, float]:
        """Return whether a hit is kept, and its confidence; `why` grows by what was seen."""
        if rule.not_near is not None:
            bad = self._near(start, end, rule.not_near.distance, words[1])
            if bad:
                why.append(f"not_near:{bad}")
                return False, confidence
        if rule.near is not None:
            word = self._near(start, end, rule.near.distance, words[0]) or self._above(start, end, words[0])
            if word:
                why.append(f"near:{word}")
                return True, min(0.99, confidence + NEAR_BONUS)
            if rule.near.required and not self._names:
                why.append("no context word")
                return False, confidence
        return True, confidence

    def has_labels(self, rule: Rule) -> bool:
        """Tell whether enough labels of a form stand before a colon, or begin a short line or a cell."""
        if rule.kind != "form":
            return True
        if self._labels is None:
            said = (word[:-1] for word in self._present if word.endswith(":"))
            self._labels = self._names_of_lines().union(said)
        return sum(not group.isdisjoint(self._labels) for group in _groups(rule.labels)) >= rule.at_least

    def _names_of_lines(self) -> frozenset[str]:
        """Return what short lines and cells begin with, in lower case; the lines of prose are long."""
        breaks = np.append(self._view.breaks, len(self._view.text))
        short = np.flatnonzero(np.diff(breaks) <= SHORT_LINE)[:MOST_SHORT_LINES]
        begins = [_lower(self._view.text[begin : begin + LONGEST_LABEL]) for begin in breaks[short].tolist()]
        return frozenset(line[:size] for line in begins for size in range(2, len(line) + 1))

    def grids(self) -> tuple[Grid, ...]:
        """Return the tables of the document, read once for all rules."""
        if self._grids is None:
            self._grids = tuple(grids(self.document))
        return self._grids

    def rules_out(self, rule: Rule, words: tuple[tuple[str, ...], tuple[str, ...]]) -> bool:
        """Tell whether no hit of `rule` can be kept: a word it requires occurs nowhere, and no table has a header."""
        required = rule.near is not None and rule.near.required and not self._names and not self.document.tables
        return required and self._present.isdisjoint(words[0])

    def _near(self, start: int, end: int, distance: int, wanted: tuple[str, ...]) -> str:
        """Return the first of the wanted words that stands within `distance` before or after."""
        here = self._here.get(id(wanted))  # the words of a rule live as long as the packs
        if here is None:
            here = self._here[id(wanted)] = tuple(word for word in wanted if word in self._present)
        if not here:
            return ""
        if self._text is None:
            self._text = _lower(self._view.text)
        before, after = self._text[max(0, start - distance) : start], self._text[end : end + distance]
        return next((word for word in here if word in before or word in after), "")

    def _above(self, start: int, end: int, wanted: tuple[str, ...]) -> str:
        head = self.header(start, end) if self.document.tables else ""
        return next((word for word in wanted if word in head), "") if head else ""

    def header(self, start: int, end: int) -> str:
        """Return the header text of the column that holds the view span; empty outside of tables."""
        if self._cells is None:
            self._cells = self._map()
        for piece in slices(self._view, start, end)[:1]:
            starts, cells = self._cells.get(piece.segment, ([], []))
            number = bisect_right(starts, piece.start) - 1
            if number >= 0 and piece.end <= cells[number][0]:
                _, grid, column = cells[number]
                return grid.header(column)
        return ""

    def _map(self) -> dict[int, tuple[list[int], list[tuple[int, Grid, int]]]]:
        """Return for each segment where its cells start, in order, and where each ends, its table and its column."""
        found: dict[int, list[tuple[int, int, int, Grid, int]]] = {}
        for order, grid in enumerate(self.grids()):
            for row in grid.table.rows:
                for column, cell in enumerate(row):
                    if cell.start < cell.end:
                        found.setdefault(cell.segment, []).append((cell.start, cell.end, order, grid, column))
        ready = {}
        for segment, cells in found.items():
            cells.sort(key=lambda cell: cell[:3])
            ready[segment] = ([cell[0] for cell in cells], [(cell[1], cell[3], cell[4]) for cell in cells])
        return ready


@lru_cache(maxsize=256)
def _groups(labels: tuple[tuple[str, ...], ...]) -> tuple[frozenset[str], ...]:
    """Return the labels of a form as they are compared; every document asks for every form."""
    return tuple(frozenset(_lower(fold(word)) for word in group) for group in labels)


def scannable(words: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """Return the words that a scanner can look for in any case, and those it cannot: they count as present."""
    foreign = frozenset(w for w in words if any(not c.isascii() and c.lower() != c.upper() for c in w))
    return [w for w in words if w not in foreign], foreign


def _lower(text: str) -> str:
    """Return `text` in lower case, character for character; only the Turkish I with a dot would become two."""
    return text.replace("\u0130", "i").lower()
