"""What a reviewer adds to what is cut out of a file, and what he leaves in it: each for a reason that he gives.

Nothing of this is kept but pages, rules and reasons. The words that somebody adds are known to the memory of the
program alone, like any hit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from dlp.model import Box, Document, Finding, Frozen, Item, Regime, Say, Segment, Slice, Zone, evolve

RULE = "hand:added"
TYPE = "by_hand"
NAME = "人工补充"
KEPT = "人工剔除"
"""What a finding is exempt by that a reviewer left in; no other exemption is called so."""
MOST = 100
"""Of each kind, for one file."""
MOST_WORDS = 200
SMALLEST = 2.0
"""Points: the sides of a rectangle that somebody meant to draw."""


class Added(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to be cut that no rule found: words of a page, or a rectangle on it."""

    page: int = 0
    """From 1; 0 where a file has no pages."""
    words: str = ""
    box: Box | None = None
    reason: str


class Dropped(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding that is left in: it, and every other of its rule with the same value."""

    finding: int
    """From 1, as the job lists them."""
    reason: str
    rule: str = ""
    digest: str = ""


class Edits(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a reviewer changes in what is cut out of one file."""

    added: tuple[Added, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    @property
    def spared(self) -> frozenset[tuple[str, str]]:
        """Return rule and digest of what is left in."""
        return frozenset((one.rule, one.digest) for one in self.dropped)

    def told(self) -> dict[str, Any]:
        """Return it as the audit trail keeps it: pages, rules, reasons, and never a value."""
        if not self.added and not self.dropped:
            return {}
        added = [{"page": one.page, "as": "box" if one.box else "words", "reason": one.reason} for one in self.added]
        dropped = [{"finding": one.finding, "rule": one.rule, "reason": one.reason} for one in self.dropped]
        return {"by_hand": {"added": added, "dropped": dropped}}

    def say(self) -> Say | None:
        """Return how much was changed; None for nothing."""
        if not self.added and not self.dropped:
            return None
        more, less = len(self.added), len(self.dropped)
        return Say(f"人工补充 {more} 处、剔除 {less} 处", f"{more} added and {less} left in by hand")


def secret(found: Finding) -> bool:
    """Tell whether a finding is the mark of a state secret, or of one for all that is known; no hand drops it."""
    if found.type != "classification_mark" and found.mark is None:
        return False
    regime = found.mark.regime if found.mark is not None else found.regime
    return (regime or found.regime) in (Regime.STATE, Regime.EXAM, None)


def without(findings: Iterable[Finding], spared: frozenset[tuple[str, str]]) -> tuple[Finding, ...]:
    """Return findings with those marked that a reviewer left in."""
    return tuple(
        evolve(one, exempt=KEPT) if one.digest and (one.rule, one.digest) in spared and not secret(one) else one
        for one in findings
    )


def found(document: Document, item: Item, added: Iterable[Added]) -> tuple[Finding, ...] | Say:
    """Return the findings of what was added by hand, or why one of them is none in this file."""
    made: list[Finding] = []
    for one in added:
        where = Say(f"第 {one.page} 页", f"page {one.page}") if one.page else Say("文件", "the file")
        if one.box is None:
            new = list(_worded(document, one))
            if not new:
                return Say(
                    f"{where.zh}的文字中没有人工补充的内容；跨行的分行填写，图片上的请框选",
                    f"what was added by hand is not in the text of {where.en}: give lines one by one, draw on pictures",
                )
        else:
            if item.media != "application/pdf" and not item.media.startswith("image/"):
                return Say("这类文件没有页面可框选，请改填文字", "this type has no pages to draw on: give the words")
            new = [*_inside(document, one.box), _finding((), one.box.page, boxes=(one.box,))]
        made += new
    return tuple(made)


def _worded(document: Document, one: Added) -> Iterator[Finding]:
    pattern = re.compile(r"\s*".join(re.escape(letter) for letter in one.words if not letter.isspace()))
    for number, segment in enumerate(document.segments):
        if segment.zone is Zone.FILE_NAME:
            continue
        if one.page and segment.strip is not None and not segment.part and segment.strip.page != one.page:
            continue
        for hit in pattern.finditer(segment.text):
            if hit.start() < hit.end():
                yield _of(segment, number, hit.start(), hit.end())


def _inside(document: Document, box: Box) -> Iterator[Finding]:
    """Give each run of characters of the file itself whose middle lies in a rectangle."""
    for number, segment in enumerate(document.segments):
        strip = segment.strip
        if strip is None or segment.part or strip.page != box.page:
            continue
        if strip.x1 <= box.x0 or box.x1 <= strip.x0 or strip.y1 <= box.y0 or box.y1 <= strip.y0:
            continue
        start: int | None = None
        for place in range(len(segment.text) + 1):
            is_in = place < len(segment.text) and _holds(box, strip.box(place, place + 1))
            if is_in and start is None:
                start = place
            elif not is_in and start is not None:
                yield _of(segment, number, start, place)
                start = None


def _holds(box: Box, letter: Box) -> bool:
    x, y = (letter.x0 + letter.x1) / 2, (letter.y0 + letter.y1) / 2
    return box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1


def _of(segment: Segment, number: int, start: int, end: int) -> Finding:
    boxes = (segment.strip.box(start, end),) if segment.strip else ()
    page = segment.strip.page if segment.strip else None
    return _finding((Slice(number, start, end),), page, boxes=boxes, part=segment.part)


def _finding(
    slices: tuple[Slice, ...], page: int | None, *, boxes: tuple[Box, ...], part: tuple[str, ...] = ()
) -> Finding:
    return Finding(
        rule=RULE,
        pack="hand",
        type=TYPE,
        category=TYPE,
        name=NAME,
        slices=slices,
        boxes=boxes,
        part=part,
        page=page,
    )
