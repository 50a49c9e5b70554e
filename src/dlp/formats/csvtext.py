"""Rows and cells of a text with separated values (RFC 4180 and its relatives), each with its place in the text.

The csv module of Python gives values; a redaction needs places. So this is an own scanner: one pass, no backtracking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
