"""Candidates at their place, judged one by one, and which of those that overlap stay."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlp import exact, marks, words
from dlp.context import Context
from dlp.exact import Exact
from dlp.model import Finding
from dlp.packs import Pack, Rule
from dlp.text import View

STRETCH = 1_000
"""Characters: half of what the score of a stretch of text is taken over, so that thinning never lowers it."""
IN_CONTEXT = 1.3
"""How much more a term counts beside a word of its field (scale of the domain fact sheet)."""
ACROSS_BREAK = 0.6
"""Confidence left to a term that only exists because a line was wrapped in its middle."""
_ANYWHERE: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


class Known(NamedTuple):
    """A rule made ready: compiled, with folded context words, and a finding of it but for its place."""

    pack: Pack
    rule: Rule
    full_id: str
    exact: Exact | None
    context: tuple[tuple[str, ...], tuple[str, ...]]
    finding: Finding


class Word(NamedTuple):
    """A term made ready."""

    known: Known
    folded: str
    weight: float
    judged: bool
    """Whether its word borders are judged."""
    inside: tuple[str, ...]
    not_inside: tuple[str, ...]
    finding: Finding


class Place(NamedTuple):
    """A candidate in view offsets, judged."""

    start: int
    end: int
    known: Known
    confidence: float
    why: tuple[str, ...]
    kept: bool
    term: Word | None = None
    words: tuple[str, ...] = ()
    factor: float = 1.0
    """How much more than its weight a term counts here."""


def term_place(view: View, term: Word, start: int, end: int, context: Context, *, is_torn: bool) -> Place:
    """Judge one place of a term: its borders, a break in its middle, the words nearby."""
    known = term.known
    confidence = known.rule.confidence
    why = ["term"]
    around: tuple[str, ...] = ()
    if term.not_inside and (longer := words.covering(view.text, start, end, term.not_inside)):
        return Place(start, end, known, confidence, ("term", f"not_inside:{longer}"), False, term)
    if term.inside and (longer := words.covering(view.text, start, end, term.inside)):
        why.append(f"inside:{longer}")
    elif term.judged:
        border = words.judge(view.text, start, end)
        around = border.words
        confidence *= border.weight
        why.append("border" if border.rival is None else f"{'weak' if border.kept else 'border'}:{border.rival}")
        if not border.kept:
            return Place(start, end, known, confidence, tuple(why), False, term, around)
    if is_torn and _wrapped(view, start, end):
        confidence *= ACROSS_BREAK
        why.append("across-break")
    keep, factor = True, 1.0
    if known.context != _ANYWHERE:
        before = len(why)
        keep, confidence = context.weigh(start, end, known.rule, known.context, confidence, why)
        factor = IN_CONTEXT if keep and len(why) > before else 1.0
    return Place(start, end, known, confidence, tuple(why), keep, term, around, factor)


def pattern_place(known: Known, hit: exact.Hit, start: int, end: int, context: Context) -> Place:
    """Judge one exact hit of a pattern: its check digits, the words nearby."""
    why = ["pattern"]
    confidence, keep = known.rule.confidence, hit.passes
    if known.rule.check:
        why.append(f"check:{known.rule.check}" if keep else f"fails check:{known.rule.check}")
    if keep and known.context != _ANYWHERE:
        keep, confidence = context.weigh(start, end, known.rule, known.context, confidence, why)
    return Place(start, end, known, confidence, tuple(why), keep)


def _wrapped(view: View, start: int, end: int) -> bool:
    """Tell whether an original line break lies inside a hit."""
    place = int(np.searchsorted(view.breaks, start, side="right"))
    return place < len(view.breaks) and int(view.breaks[place]) < end


def thin(places: Sequence[Place], most: int) -> list[Place]:
    """Return at most `most` places of terms: those of the fullest stretches, so that no score is lowered by it.

    A book of six hundred pages about budgets is long, not suspect; what counts is the page that holds most.
    """
    if len(places) <= most:
        return list(places)
    pages: dict[int, list[Place]] = {}
    for place in places:
        pages.setdefault(place.start // STRETCH, []).append(place)
    points = {page: _points(pages[page], pages.get(page + 1, ())) for page in pages}
    ranked = sorted(pages, key=lambda page: (-max(points[page], points.get(page - 1, 0.0)), page))
    kept: list[Place] = []
    for page in ranked:
        kept += pages[page][: most - len(kept)]
    return sorted(kept, key=lambda place: place.start)


def _points(*stretches: Sequence[Place]) -> float:
    """Return the points of neighbouring stretches, each term once."""
    best = {p.term.folded: p.term.weight * p.factor * p.confidence for s in stretches for p in s if p.term is not None}
    return sum(best.values())


def resolve(places: Sequence[Place]) -> list[Place]:
    """Keep one identifier for each stretch of text: the surest, then the longest; terms do not compete."""
    chosen: list[Place] = [p for p in places if p.known.rule.kind == "terms"]
    taken: list[tuple[int, int]] = []
    rivals = [p for p in places if p.known.rule.kind != "terms"]
    for place in sorted(rivals, key=lambda p: (-p.confidence, p.start - p.end, p.start, p.known.full_id)):
        at = bisect_left(taken, (place.start, place.start))
        clear_after = at == len(taken) or taken[at][0] >= place.end
        clear_before = at == 0 or taken[at - 1][1] <= place.start
        if clear_after and clear_before:
            taken.insert(at, (place.start, place.end))
            chosen.append(place)
    return chosen


def no_marks_in_marks(found: Sequence[tuple[Known, marks.Hit]]) -> list[tuple[Known, marks.Hit]]:
    """Drop a mark that lies inside a surer one: 秘密★10年 is one mark, whatever families see in it."""
    kept: list[tuple[Known, marks.Hit]] = []
    last = -1
    ordered = sorted(found, key=lambda f: (f[1].start, -f[1].score, f[1].start - f[1].end))
    for known, hit in ordered:
        if hit.end <= last and kept and hit.score <= kept[-1][1].score:
            continue
        kept.append((known, hit))
        last = max(last, hit.end)
    return kept
