"""Rows and cells of a text with separated values (RFC 4180 and its relatives), each with its place in the text.

The csv module of Python gives values; a redaction needs places. So this is an own scanner: one pass, no backtracking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dlp.formats.cutting import Hole

DELIMITERS = (",", "\t", ";", "|")
_SAMPLE = 65_536  # characters in which the delimiter is looked for
_ROWS = 50  # rows of the sample that vote
_AGREE = 0.8  # share of rows that must have the same number of cells


def find_delimiter(text: str) -> str | None:
    """Return the delimiter that gives most rows the same number of cells, two at least, or None."""
    best: tuple[float, int, str] | None = None
    sample = text[:_SAMPLE]
    for delimiter in DELIMITERS:
        widths = []
        for row in scan(sample, delimiter):
            if len(row) > 1 or row[0][0] < row[0][1]:
                widths.append(len(row))
            if len(widths) >= _ROWS:
                break
        if len(text) > _SAMPLE and len(widths) > 2:
            widths.pop()  # the last row of the sample may be cut off
        if len(widths) < 2:
            continue
        width = max(set(widths), key=lambda w: (widths.count(w), w))
        share = widths.count(width) / len(widths)
        if width >= 2 and share >= _AGREE and (best is None or (share, width) > best[:2]):
            best = (share, width, delimiter)
    return best[2] if best else None


def scan(text: str, delimiter: str) -> Iterator[list[tuple[int, int]]]:
    """Yield the rows; each cell as (start, end) of its content in `text`, without the quotes around it.

    Doubled quotes inside a quoted cell stay as they are written. A quote that is never closed is taken for a
    character of its cell: otherwise one stray quote would swallow all rows behind it.
    """
    step = re.compile(f"[{re.escape(delimiter)}\r\n]")
    row: list[tuple[int, int]] = []
    at, size = 0, len(text)
    unclosed = False
    while at <= size:
        start = at
        end = -1
        if text.startswith('"', at) and not unclosed:
            end = _closing(text, at + 1)
            unclosed = end < 0
        if end >= 0:
            row.append((start + 1, end))
            at = end + 1
            found = step.search(text, at)
        else:
            found = step.search(text, at)
            row.append((start, found.start() if found else size))
        if found is None:
            break
        at = found.end()
        if found[0] != delimiter:
            at += found[0] == "\r" and text.startswith("\n", at)
            yield row
            row = []
            if at >= size:
                return
    if row:
        yield row


def _closing(text: str, at: int) -> int:
    """Return where the quote that opened before `at` is closed, or -1."""
    while (at := text.find('"', at)) >= 0:
        if not text.startswith('""', at):
            return at
        at += 2
    return -1


def within_cells(text: str, delimiter: str, holes: Sequence[Hole]) -> Iterator[Hole]:
    """Yield what of these holes, which are in order, lies inside of cells: so rows stay rows and cells stay cells.

    A hole over several cells leaves its label in the first. Two quotes that stand for one go together.
    """
    left = list(holes)
    at = 0
    for start, end in (cell for row in scan(text, delimiter) for cell in row):
        while at < len(left) and left[at].start < end:
            hole = left[at]
            if hole.end > start:
                first, last = _whole(text, (start, end), max(hole.start, start), min(hole.end, end))
                yield Hole(first, last, _fitting(hole.label, delimiter))
                left[at] = hole._replace(label="")
            if hole.end > end:
                break
            at += 1
        if at == len(left):
            return


def _whole(text: str, cell: tuple[int, int], first: int, last: int) -> tuple[int, int]:
    """Return the characters `first` to `last` of a cell, grown where they would part a doubled quote."""
    if text.startswith('"', first) and _quotes_before(text, cell[0], first) % 2:
        first -= 1
    if last < cell[1] and text.startswith('"', last) and _quotes_before(text, cell[0], last) % 2:
        last += 1
    return first, last


def _quotes_before(text: str, start: int, at: int) -> int:
    first = at
    while first > start and text[first - 1] == '"':
        first -= 1
    return at - first


def _fitting(label: str, delimiter: str) -> str:
    """Return a label without what would end its cell: those signs in full width."""
    wide: dict[str, str | int | None] = {'"': "＂", "\r": " ", "\n": " "}
    wide[delimiter] = chr(ord(delimiter) + 0xFEE0) if delimiter > " " else " "
    return label.translate(str.maketrans(wide))
