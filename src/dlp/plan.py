"""Findings become cuts: which characters of which segment are removed, and what is written in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlp.model import Cut, Document, Finding, Slice, Zone


def plan(document: Document, findings: Sequence[Finding], chosen: Iterable[int]) -> tuple[Cut, ...]:
    """Return one cut for each stretch of each segment that a chosen finding covers; overlaps are merged.

    `chosen` are indices into `findings`. A hit that runs over several segments gives several cuts; only the first
    carries the label, so that the reader sees it once.
    """
    stretches: dict[int, list[tuple[int, int, str, str]]] = {}
    for number in chosen:
        found = findings[number]
        for order, piece in enumerate(found.slices):
            label = f"〔已脱敏：{found.name}〕" if order == 0 else ""
            stretches.setdefault(piece.segment, []).append((piece.start, piece.end, label, found.type))
    cuts: list[Cut] = []
    for number in sorted(stretches):
        segment = document.segments[number]
        for start, end, label, kind in _merge(stretches[number]):
            boxes = (segment.strip.box(start, end),) if segment.strip else ()
            cuts.append(
                Cut(part=segment.part, anchor=segment.anchor, start=start, end=end, label=label, type=kind, boxes=boxes)
            )
    return tuple(cuts)


def touches_name(document: Document, findings: Sequence[Finding], chosen: Iterable[int]) -> bool:
    """Tell whether a chosen finding lies in the file name, which no redaction of the content removes."""
    return any(document.segments[s.segment].zone is Zone.FILE_NAME for n in chosen for s in findings[n].slices)


def within(document: Document, pieces: Sequence[Slice]) -> bool:
    """Tell whether untrusted slices lie inside the segments they name."""
    size = len(document.segments)
    return all(
        0 <= p.segment < size and 0 <= p.start <= p.end <= len(document.segments[p.segment].text) for p in pieces
    )


def _merge(stretches: list[tuple[int, int, str, str]]) -> list[tuple[int, int, str, str]]:
    merged: list[tuple[int, int, str, str]] = []
    for start, end, label, kind in sorted(stretches):
        if merged and start < merged[-1][1]:
            first, last, name, what = merged[-1]
            merged[-1] = (first, max(last, end), name or label, what)
        else:
            merged.append((start, end, label, kind))
    return merged
