"""Sheets of cells, whatever file they lie in: a row is one segment, its cells joined by tabs, and a row of a grid."""

from __future__ import annotations

from dlp.formats.room import Reading
from dlp.model import Slice, Zone

WIDEST = 1_024  # columns: a wider row keeps its cells in order, without the empty ones between


class Rows:
    """Takes the cells of one sheet, row by row. Cells without text are left out by the caller."""

    def __init__(self, reading: Reading, part: tuple[str, ...], zone: Zone = Zone.BODY) -> None:
        self._reading = reading
        self._part = part
        self._zone = zone
        self._cells: list[tuple[int, str]] = []
        self._rows: list[tuple[Slice, ...]] = []

    @property
    def next(self) -> int:
        """The column (from 0) behind the last cell of this row."""
        return self._cells[-1][0] + 1 if self._cells else 0

    def cell(self, column: int, text: str) -> None:
        """Add a cell at a column (from 0)."""
        self._cells.append((column, text))

    def end_row(self) -> None:
        """End a row: it becomes one segment and one row of the grid."""
        row, self._cells = self._cells, []
        if not row:
            return
        anchor = f"r{len(self._rows)}"
        whole = "\t".join([text for _, text in row])
        number = self._reading.add(whole, part=self._part, anchor=anchor, zone=self._zone)
        slices: list[Slice] = []
        at = 0
        for column, text in row:
            if len(slices) < column:
                slices += [Slice(number, at, at)] * (min(column, WIDEST) - len(slices))
            end = at + len(text)
            slices.append(Slice(number, at, end))
            at = end + 1
        self._rows.append(tuple(slices))

    def end(self) -> None:
        """End the sheet."""
        self.end_row()
        rows, self._rows = self._rows, []
        self._reading.tabulate(iter(rows), part=self._part)
