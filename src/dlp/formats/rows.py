"""Sheets of cells, whatever file they lie in: a row is one segment, its cells joined by tabs, and a row of a grid."""

from __future__ import annotations

import numpy as np

from dlp.formats.plain_xml import Ints
from dlp.formats.room import BOXED, Reading
from dlp.model import Segment, Slice, Zone

WIDEST = 1_024  # columns: a wider row keeps its cells in order, without the empty ones between


class Rows:
    """Takes the cells of one sheet, row by row. Cells without text are left out by the caller."""

    def __init__(self, reading: Reading, part: tuple[str, ...], zone: Zone = Zone.BODY) -> None:
        self._reading = reading
        self._part = part
        self._zone = zone
        self._cells: list[tuple[int, str]] = []
        self._rows: list[tuple[Slice, ...]] = []
        self._boxed: list[int] = []
        """Rows with so many cells of one letter that they may be one text."""

    @property
    def next(self) -> int:
        """The column (from 0) behind the last cell of this row."""
        return self._cells[-1][0] + 1 if self._cells else 0

    def cell(self, column: int, text: str) -> None:
        """Add a cell at a column (from 0)."""
        self._cells.append((column, text))

    def extend(self, rows: Ints, columns: Ints, texts: list[str]) -> None:
        """Add cells of whole rows: in which row (numbers that grow) and column (from 0) each is, and its text."""
        sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        full = np.flatnonzero(sizes)
        if full.size < len(texts):
            rows, columns, sizes, texts = rows[full], columns[full], sizes[full], [texts[i] for i in full.tolist()]
        if not texts:
            return
        begins = np.concatenate(([0], np.flatnonzero(np.diff(rows)) + 1))
        counts = np.diff(np.append(begins, len(texts)))
        steps = np.cumsum(sizes + 1) - sizes - 1
        at = steps - np.repeat(steps[begins], counts)
        sides = list(zip(begins.tolist(), (begins + counts).tolist(), strict=True))
        first = self._add(["\t".join(texts[begin:end]) for begin, end in sides])
        numbers = np.repeat(np.arange(first, first + len(begins)), counts)
        letters = np.fromiter(map(len, map(str.strip, texts)), dtype=np.int64, count=len(texts)) == 1
        boxed = np.flatnonzero(np.add.reduceat(letters, begins, dtype=np.int64) >= BOXED)
        self._boxed += (len(self._rows) + boxed).tolist()
        slices = list(map(Slice, numbers.tolist(), at.tolist(), (at + sizes).tolist()))
        dense = np.logical_and.reduceat(columns == np.arange(len(texts)) - np.repeat(begins, counts), begins)
        places = columns.tolist()
        for (begin, end), is_dense in zip(sides, dense.tolist(), strict=True):
            row = slices[begin:end]
            self._rows.append(tuple(row if is_dense else _padded(row, places[begin:end])))

    def end_row(self) -> None:
        """End a row: it becomes one segment and one row of the grid."""
        row, self._cells = self._cells, []
        if not row:
            return
        number = self._add(["\t".join([text for _, text in row])])
        if sum(len(text.strip()) == 1 for _, text in row) >= BOXED:
            self._boxed.append(len(self._rows))
        slices: list[Slice] = []
        at = 0
        for _, text in row:
            slices.append(Slice(number, at, at + len(text)))
            at += len(text) + 1
        self._rows.append(tuple(_padded(slices, [column for column, _ in row])))

    def end(self) -> None:
        """End the sheet."""
        self.end_row()
        rows, self._rows = self._rows, []
        boxed, self._boxed = self._boxed, []
        self._reading.tabulate(iter(rows), part=self._part, boxed=boxed)

    def _add(self, texts: list[str]) -> int:
        """Add rows as segments and return the number of the first."""
        segments, room = self._reading.segments, self._reading.room
        room.spend_segments(len(texts))
        room.spend_chars(sum(map(len, texts)))
        first, part, zone = len(segments), self._part, self._zone
        for number, text in enumerate(texts, len(self._rows)):
            segments.append(Segment(text=text, part=part, anchor=f"r{number}", zone=zone))
        return first


def _padded(cells: list[Slice], columns: list[int]) -> list[Slice]:
    """Put in an empty cell for each column without one."""
    row: list[Slice] = []
    for cell, column in zip(cells, columns, strict=True):
        if len(row) < column:
            row += [Slice(cell.segment, cell.start, cell.start)] * (min(column, WIDEST) - len(row))
        row.append(cell)
    return row
