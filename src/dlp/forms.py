"""Tables and forms: which row is a header, how many rows hold data; which labels stand together and are filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from dlp.model import Document, Slice, Table
from dlp.packs import Rule
from dlp.text import fold

HEADER_ROWS = 6
"""Rows at the top of a table that may be its header; above it stand titles, units and dates."""
MOST_LABELS = 2_000
"""Labels that are looked at in one document; a real form has dozens."""
_VALUE = 40  # characters behind a label in which its value begins
_CONTENT = re.compile(r"[^\W_]")  # blanks, lines and boxes to be filled in are none
LONGEST_NAME = 16
"""Characters that a column name can have; longer cells are prose."""


class Form(NamedTuple):
    """A table that answers to a rule: its matched header cells, their words, and how many data rows follow."""

    cells: tuple[Slice, ...]
    words: tuple[str, ...]
    rows: int


class Grid:
    """One table with the text of its cells, read when it is asked for."""

    def __init__(self, document: Document, table: Table) -> None:
        self._document = document
        self.table = table
        self._names: dict[int, list[str]] = {}
        self._headers: dict[int, str] = {}

    def text(self, cell: Slice) -> str:
        """Return the original text of one cell."""
        return self._document.segments[cell.segment].text[cell.start : cell.end]

    def names(self, row: int) -> list[str]:
        """Return the cells of one row as folded column names; prose is empty."""
        if row not in self._names:
            self._names[row] = [_name(self.text(cell)) for cell in self.table.rows[row]]
        return self._names[row]

    def header(self, column: int) -> str:
        """Return what stands above a column in the top rows, folded and in lower case."""
        if column not in self._headers:
            tops = range(min(HEADER_ROWS, len(self.table.rows)))
            stacked = (self.names(r)[column] for r in tops if column < len(self.table.rows[r]))
            self._headers[column] = "\n".join(stacked).lower()
        return self._headers[column]


def grids(document: Document) -> Iterator[Grid]:
    """Give the tables of a document."""
    for table in document.tables:
        yield Grid(document, table)


def tables_in(grid: Grid, rule: Rule) -> Form | None:
    """Return the table as a form of `rule`, or None when its header or its rows do not answer to it."""
    rows = grid.table.rows
    for number in range(min(HEADER_ROWS, len(rows))):
        matched = _match(grid.names(number), rule)
        if len(matched) < rule.at_least or any(group not in matched for group in rule.require):
            continue
        columns = sorted(matched.values())
        data = sum(1 for row in rows[number + 1 :] if _filled(grid, row, columns))
        if data >= rule.rows:
            cells = tuple(rows[number][c] for c in columns)
            return Form(cells, tuple(grid.names(number)[c] for c in columns), data)
    return None


def _match(names: list[str], rule: Rule) -> dict[int, int]:
    """Return group -> column; each column serves one group, exact names first."""
    matched: dict[int, int] = {}
    used: set[int] = set()
    groups = _folded(rule.columns)
    for exact in (True, False):
        for group, wanted in enumerate(groups):
            if group in matched:
                continue
            for column, name in enumerate(names):
                low = name.lower()
                if column in used or not low:
                    continue
                if (low in wanted) if exact else any(word in low for word in wanted if len(word) >= 2):
                    matched[group] = column
                    used.add(column)
                    break
    return matched


@lru_cache(maxsize=256)
def _folded(columns: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Return the column names of a rule as they are compared; a handful of rules is asked for every table."""
    return tuple(tuple(fold(word).lower() for word in group) for group in columns)


def _filled(grid: Grid, row: tuple[Slice, ...], columns: list[int]) -> bool:
    """Tell whether at least half of the matched columns hold something in this row."""
    full = sum(1 for c in columns if c < len(row) and grid.text(row[c]).strip())
    return 2 * full >= len(columns)


def _name(text: str) -> str:
    short = text.strip()
    return fold(short).replace(" ", "").replace("\n", "") if len(short) <= LONGEST_NAME else ""


class _Label(NamedTuple):
    """One label of a form: characters before it in the document, its group, whether a value follows, its place."""

    offset: int
    group: int
    filled: bool
    cell: Slice


def form_in(document: Document, rule: Rule) -> Form | None:
    """Return the labels that make a form of `rule`: enough groups close together, enough of them filled in."""
    labels = _labels(document, rule)
    first = 0
    for last in range(len(labels)):
        while labels[last].offset - labels[first].offset > rule.within:
            first += 1
        together = labels[first : last + 1]
        groups = {label.group: label for label in reversed(together)}
        filled = {label.group for label in together if label.filled}
        if len(groups) >= rule.at_least and groups.keys() >= set(rule.require) and len(filled) >= rule.filled:
            cells = tuple(label.cell for label in sorted(groups.values()))
            words = tuple(_name(document.segments[c.segment].text[c.start : c.end]) for c in cells)
            return Form(cells, words, len(filled))
    return None


def _labels(document: Document, rule: Rule) -> list[_Label]:
    """Return the labels of a rule in the order of the document; a form in a book would be found at its first place."""
    pattern = _label_pattern(rule.labels)
    found: list[_Label] = []
    offset = 0
    for number, segment in enumerate(document.segments):
        for hit in pattern.finditer(segment.text):
            group = int((hit.lastgroup or "g0")[1:])
            cell = Slice(number, *hit.span(hit.lastgroup or 0))
            found.append(_Label(offset + hit.start(), group, _has_value(document, number, hit.end(), pattern), cell))
            if len(found) >= MOST_LABELS:
                return found
        offset += len(segment.text) + 1
    return found


def _has_value(document: Document, number: int, end: int, pattern: re.Pattern[str]) -> bool:
    """Tell whether something stands behind a label: on its line, or in the line or cell that follows it."""
    text = document.segments[number].text
    rest, _, below = text[end : end + 2 * _VALUE].partition("\n")
    if not rest.strip():
        more = document.segments[number + 1].text if number + 1 < len(document.segments) else ""
        rest = below if below.strip() or end + 2 * _VALUE < len(text) else more[:_VALUE]
    following = pattern.search(rest)
    return _CONTENT.search(rest[: following.start()] if following else rest) is not None


@lru_cache(maxsize=64)
def _label_pattern(labels: tuple[tuple[str, ...], ...]) -> re.Pattern[str]:
    """Return what finds the labels of a form: at the beginning of a line or a cell, before a colon, a gap or an end."""
    groups = (
        f"(?P<g{n}>{'|'.join(_spaced(word) for word in sorted(names, key=len, reverse=True))})"
        for n, names in enumerate(labels)
    )
    ahead = r"(?:^|(?<=[\s|:：;；,，、(（]))"
    behind = r"(?:[(（][^()（）\n]{0,12}[)）])?[ \u3000]{0,4}(?:[:：|\t]|(?=\s)|$)"
    return re.compile(f"{ahead}(?:{'|'.join(groups)}){behind}", re.MULTILINE)


def _spaced(word: str) -> str:
    """Return a label as it is set: `主 持 人` is 主持人."""
    return r"[ \u3000]{0,4}".join(re.escape(char) for char in word)
