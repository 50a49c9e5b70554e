"""From candidates of the scanner to exact hits: edges, check digits, the value behind a label, what belongs to it.

The scanner gives a leftmost beginning and every end. Where the longest passes its check, it is the hit. Where it does
not, or overlaps the hit before it, RE2 looks at the place again; both are automata, so no pattern can hang the gate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import re2

from dlp import packs
from dlp.checks import CHECKS
from dlp.packs import Rule
from dlp.scan import OUTSIDE

_JOINT = re.compile(rb"[ -]")


class Exact(NamedTuple):
    """A pattern ready to be looked at exactly."""

    pattern: re2._Regexp
    tail: re2._Regexp | None
    value: int
    """Number of the group `value`; 0 is the whole hit."""
    width: int
    """Bytes that a hit can have at most."""
    outside: frozenset[int]
    check: Callable[[str], bool] | None


class Hit(NamedTuple):
    """An exact span of bytes, whether it passes its check, and where to look on."""

    start: int
    end: int
    passes: bool
    after: int
    """Where the match ends with its tail; the hit itself may only be the value in it."""


def ready(rule: Rule) -> Exact:
    """Return the pattern of a rule, compiled."""
    pattern = packs.compile_pattern(rule.pattern)
    groups = {str(n, "ascii") if isinstance(n, bytes) else n: number for n, number in pattern.groupindex.items()}
    return Exact(
        pattern=pattern,
        tail=packs.compile_pattern(rule.tail) if rule.tail else None,
        value=groups.get("value", 0),
        width=4 * packs.width(rule.pattern) + 8,
        outside=OUTSIDE[rule.edges][1],
        check=CHECKS.get(rule.check),
    )


def confirm(utf8: bytes, exact: Exact, spans: Sequence[tuple[int, int]]) -> Iterator[Hit]:
    """Give the exact hits among candidates, failing ones too; those that pass do not overlap.

    In `6222… 12 月` the longest hit takes the 12 with it: where that one fails, shorter ones are tried, and later
    ones inside it, from blank to blank and from hyphen to hyphen.
    """
    done = told = 0
    blind = any(start < 0 for start, _ in spans)
    places = _windows(utf8, exact.width, [end for _, end in spans]) if blind else _places(spans)
    for start, ends in places:
        if ends[0] <= done:
            continue
        if blind or start < done:
            found: Iterable[Hit] = _search(utf8, exact, max(start, done), ends[0])
        else:
            hit = _first(utf8, exact, start, ends)
            sure = hit.passes or not _JOINT.search(utf8, start, ends[0])
            found = (hit,) if sure else _search(utf8, exact, start, ends[0])
        for hit in found:
            if hit.passes:
                done = max(done, hit.after)
                yield hit
            elif hit.start >= told:  # a number that fails is told once, not again for each part of it
                told = hit.end
                yield hit


def first(hits: Iterable[Hit], most: int) -> Iterator[Hit]:
    """Give hits until `most` of them passed."""
    for hit in hits:
        yield hit
        most -= hit.passes
        if not most:
            return


def _places(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """Give each beginning with its ends, longest first, in the order of the text."""
    last, ends = -1, list[int]()
    for start, end in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if start != last and ends:
            yield last, ends
            ends = []
        last = start
        ends.append(end)
    if ends:
        yield last, ends


def _first(utf8: bytes, exact: Exact, start: int, ends: Sequence[int]) -> Hit:
    """Return the longest hit that passes, or the longest one as failing; a shorter one ends at a joint."""
    for end in ends:
        if end == ends[0] or _JOINT.match(utf8, end):
            low, high = _value(utf8, exact, start, end)
            if exact.check is None or exact.check(utf8[low:high].decode()):
                tail = exact.tail.match(utf8, end) if exact.tail is not None else None
                after = tail.end() if tail else end
                return Hit(low, high if high < end else after, True, after)
    return Hit(*_value(utf8, exact, start, ends[0]), False, ends[0])


def _search(utf8: bytes, exact: Exact, place: int, high: int) -> Iterator[Hit]:
    """Look for hits between `place` and `high` with the pattern itself."""
    told = place
    while place < high and (found := exact.pattern.search(utf8, place, high)):
        start, longest = found.span()
        free = list(_free_ends(utf8, exact, start, longest))
        if not free:
            place = _next_char(utf8, start)
            continue
        hit = _first(utf8, exact, start, free)
        if hit.passes:
            place = told = hit.after
            yield hit
            continue
        if start >= told:
            yield hit
            told = free[0]
        joint = _JOINT.search(utf8, start, free[0])
        place = joint.end() if joint else free[0]


def _value(utf8: bytes, exact: Exact, start: int, end: int) -> tuple[int, int]:
    """Return the span that counts: that of the group `value`, where the pattern has one."""
    if not exact.value:
        return start, end
    found = exact.pattern.match(utf8, start, end)
    low, high = found.span(exact.value) if found else (-1, -1)
    return (low, high) if low >= 0 else (start, end)


def _free_ends(utf8: bytes, exact: Exact, start: int, end: int) -> Iterator[int]:
    """Give the ends of hits that begin at `start` with free edges, longest first; a shorter one ends at a joint."""
    if start and utf8[start - 1] in exact.outside:
        return
    longest = end
    while end > start:
        free = end == len(utf8) or utf8[end] not in exact.outside
        if free and (end == longest or _JOINT.match(utf8, end)):
            yield end
        joint = max(utf8.rfind(b" ", start, end), utf8.rfind(b"-", start, end))
        found = exact.pattern.match(utf8, start, joint) if joint > start else None
        end = found.end() if found else start


def _windows(utf8: bytes, width: int, ends: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Give the neighbourhoods of candidate ends, merged; bounds are moved to whole characters."""
    low = high = -1
    for end in sorted(set(ends)):
        begin, after = max(0, end - width), min(len(utf8), end + width)
        if begin > high:
            if high >= 0:
                yield _whole(utf8, low), [_whole(utf8, high)]
            low = begin
        high = after
    if high >= 0:
        yield _whole(utf8, low), [_whole(utf8, high)]


def _whole(utf8: bytes, place: int) -> int:
    while 0 < place < len(utf8) and utf8[place] & 0xC0 == 0x80:
        place -= 1
    return place


def _next_char(utf8: bytes, place: int) -> int:
    place += 1
    while place < len(utf8) and utf8[place] & 0xC0 == 0x80:
        place += 1
    return place
