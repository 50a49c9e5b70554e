"""How much a word counts where it stands: in a title more than in a table's header, there more than in running text."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from dlp.model import Document
from dlp.text import View

TITLE, HEADER, BODY = 2.0, 1.5, 1.0
"""Factors on the weight of a term (scale of the domain fact sheet)."""
TITLE_LINES, TITLE_LENGTH = 3, 40
"""The first lines of a document are its title as long as they are this short (characters)."""


class Zones:
    """Knows where the title of a document ends and which cells are headers."""

    def __init__(self, view: View, document: Document) -> None:
        self._view = view
        self._title = _title_end(view)
        heads = sorted(
            (int(view.starts[cell.segment]) + cell.start, int(view.starts[cell.segment]) + cell.end)
            for table in document.tables
            for row in table.rows[:1]
            for cell in row
            if cell.segment < len(view.starts)
        )
        self._begins = [begin for begin, _ in heads]
        self._ends = [end for _, end in heads]

    def factor(self, start: int, end: int) -> float:
        """Return the factor for the view span `start` to `end`."""
        if end <= self._title:
            return TITLE
        if self._begins:
            place = bisect_right(self._begins, int(self._view.index[start])) - 1
            if place >= 0 and int(self._view.index[end - 1]) < self._ends[place]:
                return HEADER
        return BODY


def _title_end(view: View) -> int:
    """Return the view offset at which the title ends: behind at most three short first lines."""
    end = 0
    bounds = [*view.breaks[: TITLE_LINES + 1].tolist(), len(view.text)]
    for begin, after in list(pairwise(bounds))[:TITLE_LINES]:
        if after - begin > TITLE_LENGTH:
            break
        end = after
    return end
