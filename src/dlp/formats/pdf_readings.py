"""Two readers that had no part in a redaction read its copy: pdfminer character by character, pdfium page by page.

The same characters are put into words in several orders, because what is split in one is whole in another: as the
file draws them, row by row, column by column.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pypdfium2
from pdfminer.pdfdevice import PDFTextDevice
from pdfminer.pdfdocument import PDFDocument
from pdfminer.pdffont import PDFUnicodeNotDefined
from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager
from pdfminer.pdfpage import PDFPage
from pdfminer.pdfparser import PDFParser

from dlp.formats.pdf_frame import Sides
from dlp.formats.room import Room

_TICK = 4096  # characters between two looks at the clock
_SPACE, _APART = 0.25, 1.0  # of the height of a character: a blank, and the end of a run
_STACK = 1.7  # of it: characters that stand below each other
_SLIVER = 0.25  # of a character's side that may reach into a box


class Letters(NamedTuple):
    """Characters of one page in the order in which it draws them; boxes are left, bottom, right, top."""

    text: list[str]
    boxes: Any

    turned: int = 0
    """By how many degrees clockwise the page is shown."""

    def orders(self) -> Iterator[str]:
        """Yield the text as it is drawn, row by row, and column by column."""
        if not self.text:
            return
        yield _drawn(self)
        runs = _runs(self._replace(boxes=_shown(self.boxes, self.turned)))
        yield _rows(runs)
        yield _columns(runs)


class Miner:
    """A copy opened by pdfminer."""

    def __init__(self, raw: bytes, room: Room) -> None:
        self._document = PDFDocument(PDFParser(io.BytesIO(raw)))
        self._pages = PDFPage.create_pages(self._document)
        self._device = _Listener(room)
        self._interpreter = PDFPageInterpreter(self._device.rsrcmgr, self._device)

    def pages(self) -> Iterator[tuple[Letters, int]]:
        """Yield the characters of each page, and how many of them its first stream of contents draws."""
        for page in self._pages:
            self._device.clear()
            first = self._read(page, page.contents[:1])
            self._read(page, page.contents[1:])
            yield self._device.letters(page.rotate), first

    def _read(self, page: Any, streams: Sequence[object]) -> int:
        if streams:
            self._interpreter.render_contents(page.resources, streams)
        return len(self._device.text)


class _Listener(PDFTextDevice):
    """Keeps what pdfminer says is drawn, without its layout."""

    def __init__(self, room: Room) -> None:
        super().__init__(PDFResourceManager())
        self._room = room
        self.clear()

    def clear(self) -> None:
        """Forget the last page."""
        self.text: list[str] = []
        self._boxes: list[float] = []

    def letters(self, turned: int) -> Letters:
        """Return what was drawn since the last page."""
        boxes = np.clip(np.nan_to_num(np.array(self._boxes, dtype=np.float64).reshape(-1, 4)), -1e6, 1e6)
        low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
        return Letters(self.text, np.concatenate([low, high], axis=1), turned)

    def render_char(  # noqa: PLR0917  the form that pdfminer calls
        self,
        matrix: tuple[float, float, float, float, float, float],
        font: Any,
        fontsize: float,
        scaling: float,
        rise: float,
        cid: int,
        ncs: object,  # noqa: ARG002
        graphicstate: object,  # noqa: ARG002
    ) -> float:
        """Keep one character and return how far it moves on."""
        if len(self.text) % _TICK == 0:
            self._room.spend_chars(_TICK)
        try:
            said = font.to_unichr(cid)
        except PDFUnicodeNotDefined:
            said = "\ufffd"
        on = float(font.char_width(cid)) * fontsize * scaling
        if font.is_vertical():
            across, down = font.char_disp(cid)
            left = -(0.5 * fontsize if across is None else across * fontsize * 0.001)
            top = (1000 - down) * fontsize * 0.001 + rise
            sides = left, top + on, left + fontsize, top
        else:
            low = font.get_descent() * fontsize + rise
            sides = 0.0, low, on, low + fontsize
        a, b, c, d, e, f = matrix
        x0, y0, x1, y1 = sides
        xs = a * x0 + c * y0, a * x1 + c * y0, a * x0 + c * y1, a * x1 + c * y1
        ys = b * x0 + d * y0, b * x1 + d * y0, b * x0 + d * y1, b * x1 + d * y1
        self.text.append(said or "\ufffd")
        self._boxes += (min(xs) + e, min(ys) + f, max(xs) + e, max(ys) + f)
        return on


def covered(letters: Letters, boxes: Sequence[Sides]) -> bool:
    """Tell whether the middle of a character lies in one of the boxes."""
    if not letters.text or not boxes:
        return False
    inked = np.array([not letter.isspace() for letter in letters.text])
    middles = ((letters.boxes[:, :2] + letters.boxes[:, 2:]) / 2)[inked]
    return any(
        bool(((middles[:, 0] > x0) & (middles[:, 0] < x1) & (middles[:, 1] > y0) & (middles[:, 1] < y1)).any())
        for x0, y0, x1, y1 in boxes
    )


def reaches(text: Any, boxes: Sequence[Sides]) -> bool:
    """Tell whether a character of a text page of pdfium, drawn or invisible, reaches into one of the boxes."""
    if not boxes:
        return False
    count = text.count_chars()
    places = np.array([text.get_charbox(i) for i in range(count)], dtype=np.float64).reshape(-1, 4)
    wide, high = places[:, 2] - places[:, 0], places[:, 3] - places[:, 1]
    near = np.zeros(count, dtype=bool)
    for x0, y0, x1, y1 in boxes:
        across = np.minimum(places[:, 2], x1) - np.maximum(places[:, 0], x0)
        along = np.minimum(places[:, 3], y1) - np.maximum(places[:, 1], y0)
        near |= (across > _SLIVER * wide) & (along > _SLIVER * high) & (wide > 0) & (high > 0)
    codes = (pypdfium2.raw.FPDFText_GetUnicode(text, i) for i in np.flatnonzero(near).tolist())
    return any(not chr(code).isspace() for code in codes)


def _shown(boxes: Any, turned: int) -> Any:
    """Turn boxes the way their page is shown; where its corner lies does not matter."""
    x0, y0, x1, y1 = boxes.T
    if turned % 360 == 90:
        return np.stack([y0, -x1, y1, -x0], axis=1)
    if turned % 360 == 180:
        return -boxes[:, [2, 3, 0, 1]]
    if turned % 360 == 270:
        return np.stack([-y1, x0, -y0, x1], axis=1)
    return boxes


def _drawn(letters: Letters) -> str:
    """Put characters together in the order of the file, whatever way they run: a blank where a gap is, else a line."""
    boxes = letters.boxes
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = np.maximum(np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]), 0.1)
    tall = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    steps = np.hypot(*np.diff(middles, axis=0).T)
    # Two characters side by side are as far apart as half of both are wide, and those of different heights more.
    near = (sizes[1:] + sizes[:-1]) / 2 + _SPACE * np.maximum(tall[1:], tall[:-1])
    far = near + 2 * np.maximum(tall[1:], tall[:-1])
    breaks = np.where(steps > far, "\n", np.where(steps > near, " ", ""))
    return letters.text[0] + "".join(map("".join, zip(breaks.tolist(), letters.text[1:], strict=True)))


class _Run(NamedTuple):
    """Characters side by side in a row."""

    text: str
    sides: Sides
    row: int


def _runs(letters: Letters) -> list[_Run]:
    """Return the runs of all rows, from top to bottom, left to right."""
    boxes = letters.boxes
    middles, heights = (boxes[:, 1] + boxes[:, 3]) / 2, boxes[:, 3] - boxes[:, 1]
    order = np.argsort(-middles, kind="stable")
    usual = max(float(np.median(heights)), 0.1)
    steps = np.diff(middles[order])
    # A row goes on as long as the next character is lower by less than a third of the usual height.
    rows = np.concatenate([[0], np.cumsum(-steps > usual / 3)])
    number = np.empty(len(order), dtype=np.int64)
    number[order] = rows
    places = np.lexsort((boxes[:, 0], number))
    found: list[_Run] = []
    part: list[int] = []
    for place in places.tolist():
        if part and (number[place] != number[part[-1]] or boxes[place, 0] - boxes[part[-1], 2] > _APART * usual):
            found.append(_run(letters, part, int(number[part[0]]), usual))
            part = []
        part.append(place)
    found.append(_run(letters, part, int(number[part[0]]), usual))
    return found


def _run(letters: Letters, part: list[int], row: int, usual: float) -> _Run:
    boxes = letters.boxes[part]
    gaps = boxes[1:, 0] - boxes[:-1, 2] > _SPACE * usual
    text = letters.text[part[0]] + "".join(
        (" " if gap else "") + letters.text[at] for gap, at in zip(gaps.tolist(), part[1:], strict=True)
    )
    x0, y0 = boxes[:, :2].min(axis=0).tolist()
    x1, y1 = boxes[:, 2:].max(axis=0).tolist()
    return _Run(text, (x0, y0, x1, y1), row)


def _rows(runs: list[_Run]) -> str:
    out: list[str] = []
    for before, run in zip([None, *runs], runs, strict=False):
        if before is not None:
            out.append("  " if before.row == run.row else "\n")
        out.append(run.text)
    return "".join(out)


def _columns(runs: list[_Run]) -> str:
    """Put runs together that stand below each other: each goes on with the nearest above whose left side is its own."""
    columns: dict[int, list[_Run]] = {}
    for run in runs:
        columns.setdefault(round(run.sides[0] / 6), []).append(run)
    out: list[str] = []
    for place in sorted(columns):
        column = columns[place]
        for above, run in zip([None, *column], column, strict=False):
            if above is not None:
                out.append("" if _stacked(above, run) else "\n")
            out.append(run.text)
        out.append("\n\n")
    return "".join(out)


def _stacked(above: _Run, below: _Run) -> bool:
    """Tell whether two single characters stand one below the other, as in a vertical line."""
    near = above.sides[3] - below.sides[3] < _STACK * (below.sides[3] - below.sides[1])
    return len(above.text) == 1 == len(below.text) and near
