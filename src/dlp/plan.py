"""Findings become cuts: which characters of which segment are removed, and what is written in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dlp import hand
from dlp.model import Cut, Document, Finding, Reach, Redacting, Slice, Style, Zone
from dlp.values import Values, squeezed, tells

_EVEN = re.compile(r"[0-9A-Z ()（）.:/\\-]*")
"""Characters of one width in most fonts, in values whose length everybody knows."""
_STEMS = "甲乙丙丁戊己庚辛壬癸"


class _Stretch(NamedTuple):
    """Characters `start` to `end` of a segment that go, and what is written there."""

    start: int
    end: int
    label: str
    type: str
    gap: bool


def plan(
    document: Document, findings: Sequence[Finding], chosen: Iterable[int], how: Redacting | None = None
) -> tuple[Cut, ...]:
    """Return one cut for each stretch of each segment that a chosen finding covers; overlaps are merged.

    `chosen` are indices into `findings`. A hit that runs over several segments gives several cuts; only the first
    carries the label, so that the reader sees it once. What is removed in one place is removed wherever it stands:
    a number that is known by its label on page 1 is the same number without one on page 2.
    """
    how = how or Redacting()
    stretches: dict[int, list[_Stretch]] = {}
    names = _Names()
    chosen = tuple(chosen)
    known: dict[str, tuple[str, str]] = {}
    for number in chosen:
        found = findings[number]
        words = names.label(found, how.style)
        raw = _raw(document, found)
        if len(found.slices) == 1 and tells(squeezed(raw)):
            known.setdefault(raw, (words, found.type))
        for order, piece in enumerate(found.slices):
            gap = not _EVEN.fullmatch(raw)
            label = words if order == 0 else ""
            stretches.setdefault(piece.segment, []).append(_Stretch(piece.start, piece.end, label, found.type, gap))
    _add_twins(document, known, stretches)
    if how.reach is not Reach.HIT:
        _widen(document, stretches, how.reach)
    cuts: list[Cut] = []
    for number in sorted(stretches):
        segment = document.segments[number]
        for start, end, label, kind, gap in _merge(stretches[number]):
            boxes = (segment.strip.box(start, end),) if segment.strip else ()
            cuts.append(
                Cut(
                    part=segment.part,
                    anchor=segment.anchor,
                    start=start,
                    end=end,
                    label=label,
                    type=kind,
                    gap=gap,
                    boxes=boxes,
                )
            )
    cuts += [_drawn(one) for one in map(findings.__getitem__, chosen) if one.type == hand.TYPE and not one.slices]
    return tuple(cuts)


def _drawn(found: Finding) -> Cut:
    """Return the cut of a rectangle that a person drew: whatever shows in it goes, text or not."""
    label = f"〔已脱敏：{found.name}〕"
    return Cut(part=(), anchor="ocr", start=0, end=1, label=label, type=found.type, boxes=found.boxes)


def needles(document: Document, findings: Sequence[Finding], chosen: Iterable[int]) -> tuple[str, ...]:
    """Return the texts that must be nowhere in a redacted copy: every chosen hit that is long enough to tell."""
    raws = (_raw(document, findings[number]) for number in chosen)
    return tuple(dict.fromkeys(raw for raw in raws if tells(squeezed(raw))))


def touches_name(document: Document, findings: Sequence[Finding], chosen: Iterable[int]) -> bool:
    """Tell whether a chosen finding lies in the file name, which no redaction of the content removes."""
    return any(document.segments[s.segment].zone is Zone.FILE_NAME for n in chosen for s in findings[n].slices)


def within(document: Document, pieces: Sequence[Slice]) -> bool:
    """Tell whether untrusted slices lie inside the segments they name."""
    size = len(document.segments)
    return all(
        0 <= p.segment < size and 0 <= p.start <= p.end <= len(document.segments[p.segment].text) for p in pieces
    )


def _raw(document: Document, found: Finding) -> str:
    return "".join(document.segments[piece.segment].text[piece.start : piece.end] for piece in found.slices)


class _Names:
    """Gives what stands in place of each hit; the same value of one kind has the same name."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def label(self, found: Finding, style: Style) -> str:
        """Return the text for one hit."""
        name = found.name or found.type
        if style is Style.BOX:
            return "█████"
        if style is Style.MASK and found.masked:
            return found.masked
        if style is Style.PSEUDONYM and found.digest:
            key = (name, found.digest)
            if key not in self._numbers:
                self._counts[name] = self._counts.get(name, 0) + 1
                self._numbers[key] = _stem(self._counts[name])
            return f"〔{name}{self._numbers[key]}〕"
        return f"〔已脱敏：{name}〕"


def _stem(number: int) -> str:
    """Return 甲 to 癸 for the first ten, then numbers."""
    return _STEMS[number - 1] if number <= len(_STEMS) else str(number)


def _add_twins(document: Document, known: dict[str, tuple[str, str]], stretches: dict[int, list[_Stretch]]) -> None:
    """Add every other place of the values that are removed."""
    raws = tuple(known)
    values = Values(raws)
    for number, segment in enumerate(document.segments):
        if segment.zone is Zone.FILE_NAME:
            continue
        spent = stretches.get(number, [])
        for place in values.find(segment.text):
            if any(one.start <= place.start and place.end <= one.end for one in spent):
                continue
            raw = raws[place.value]
            label, kind = known[raw]
            gap = not _EVEN.fullmatch(raw)
            stretches.setdefault(number, []).append(_Stretch(place.start, place.end, label, kind, gap))


def _widen(document: Document, stretches: dict[int, list[_Stretch]], reach: Reach) -> None:
    """Let whole cells, or whole rows, of tables go with a hit in them."""
    for table in document.tables:
        for row in table.rows:
            hit = [(cell, one) for cell in row for one in stretches.get(cell.segment, ()) if _touch(cell, one)]
            if not hit:
                continue
            cells = row if reach is Reach.ROW else tuple(cell for cell, _ in hit)
            first = hit[0][1]
            for cell in dict.fromkeys(cells):
                if cell.start < cell.end:
                    label = first.label or f"〔已脱敏：{first.type}〕"
                    whole = _Stretch(cell.start, cell.end, label, first.type, first.gap)
                    stretches.setdefault(cell.segment, []).append(whole)


def _touch(cell: Slice, one: _Stretch) -> bool:
    return cell.start < one.end and one.start < cell.end


def _merge(stretches: list[_Stretch]) -> list[_Stretch]:
    merged: list[_Stretch] = []
    for one in sorted(stretches):
        if merged and one.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = last._replace(
                end=max(last.end, one.end), label=last.label or one.label, gap=last.gap or one.gap
            )
        else:
            merged.append(one)
    return merged
