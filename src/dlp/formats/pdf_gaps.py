"""Lines of a page laid anew, so that the width of what was removed tells nothing. Pure: knows no PDF.

A proportional font gives every word a width of its own, and 2,000 names fall into some sixty classes by it: a black
box of the exact width, or the place of what follows it, is enough to find a name in a list. Therefore each hole gets
the same width, everything behind it follows at its natural distance, the spacing of justified lines is dropped (the
width of the whole line is known), and where a line begins is believed only if that does not depend on its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

HOLE = 5.0  # em: width of every hole
LEAST_HOLE = 1.0  # em: what it may shrink to where there is no room, whatever was in it
COLUMN = 3.0  # em: a wider gap is the one before another column
CLOSE = 0.15  # em: a smaller gap is none
BLANK = 0.3  # em: what any gap between words becomes
LEAST_STRETCH = 0.5  # of letters that have too little room
_EXACT = 6  # decimals of a point; what is left of a sum of floats beyond them would tell what was summed
SAME = 0.6  # points: edges nearer than this are one edge
GRID = 36.0  # points: where a line begins that no other line tells
_STACKED = 0.5  # of a letter: what covers more of the one before stands over it and moves with it


class Letter(NamedTuple):
    """One glyph of a line: where it begins and ends, its size in points, and whether it goes."""

    x0: float
    x1: float
    em: float
    gone: bool
    blank: bool
    owner: int
    """Opaque: tells the caller whose glyph it is."""


class Moved(NamedTuple):
    """Where a glyph begins now, and how much narrower it is."""

    owner: int
    x: float
    stretch: float


class Laid(NamedTuple):
    """A line laid anew: its glyphs, and its holes as pairs of edges."""

    letters: tuple[Moved, ...]
    holes: tuple[tuple[float, float], ...]


class Around(NamedTuple):
    """What stands around a line: upright rules that cross it, and edges of other lines of the page."""

    rules: tuple[float, ...] = ()
    begins: tuple[float, ...] = ()
    ends: tuple[float, ...] = ()
    width: float = 595.0
    """Of the page, in points."""


class _Chunk(NamedTuple):
    """Glyphs of a line between two gutters or rules, and the room that they have."""

    letters: list[Letter]
    left: float | None
    right: float | None
    """The rules beside it, where there are any."""


def lay(letters: Sequence[Letter], around: Around) -> Laid | None:
    """Lay one line anew; chunks without a hole stay where they are. None where there is no room for it."""
    chunks = _chunks(sorted(letters, key=lambda one: (one.x0, one.x1)), around.rules)
    items = [_items(chunk.letters) for chunk in chunks]
    begins: list[float] = []
    for number, chunk in enumerate(chunks):
        start = _begin(chunk, around, items[number]) if _has_hole(chunk) else chunk.letters[0].x0
        if begins and not _has_hole(chunks[number - 1]):
            start = max(start, _stop(chunks[number - 1]) + BLANK * chunk.letters[0].em)
        begins.append(max(start, begins[-1] + chunk.letters[0].em) if begins else start)
    moved: list[Moved] = []
    holes: list[tuple[float, float]] = []
    for number, chunk in enumerate(chunks):
        if not _has_hole(chunk):
            continue
        limit = chunk.right - SAME if chunk.right is not None else around.width - chunk.letters[0].em
        if number + 1 < len(chunks):
            limit = min(limit, begins[number + 1] - CLOSE * chunk.letters[0].em)
        laid = _fit(items[number], begins[number], limit)
        if laid is None:
            return None
        moved += laid.letters
        holes += laid.holes
    return Laid(tuple(moved), tuple(holes))


def _has_hole(chunk: _Chunk) -> bool:
    return any(letter.gone for letter in chunk.letters)


def _stop(chunk: _Chunk) -> float:
    return max(letter.x1 for letter in chunk.letters)


def _chunks(letters: list[Letter], rules: Sequence[float]) -> list[_Chunk]:
    groups: list[list[Letter]] = []
    end = 0.0
    for letter in letters:
        wide = letter.x0 - end > COLUMN * letter.em
        ruled = bool(groups) and any(end - SAME <= rule <= letter.x0 + SAME for rule in rules)
        if not groups or wide or ruled:
            groups.append([])
            end = letter.x1
        groups[-1].append(letter)
        end = max(end, letter.x1)
    chunks = []
    for group in groups:
        start, stop = group[0].x0, max(letter.x1 for letter in group)
        left = max((rule for rule in rules if rule <= start + SAME), default=None)
        right = min((rule for rule in rules if rule >= stop - SAME), default=None)
        chunks.append(_Chunk(group, left, right))
    return chunks


class _Item(NamedTuple):
    """A hole (no letters) or letters that stand over one another, with the gap before it, in points."""

    letters: tuple[Letter, ...]
    gap: float
    width: float
    em: float


def _wanted(items: list[_Item], hole: float) -> float:
    return sum(item.gap + item.width + (0 if item.letters else hole * item.em) for item in items)


def _fit(items: list[_Item], start: float, limit: float) -> Laid | None:
    """Place items from `start`; holes shrink first, then letters, by no more than what others leave them."""
    room = limit - start
    wanted, least = _wanted(items, HOLE), _wanted(items, LEAST_HOLE)
    if wanted <= room:
        return _place(items, start, HOLE, 1.0)
    if least <= room:
        return _place(items, start, LEAST_HOLE + (HOLE - LEAST_HOLE) * (room - least) / (wanted - least), 1.0)
    stretch = room / least
    if stretch <= 0 or (stretch < LEAST_STRETCH and any(item.letters for item in items)):
        return None
    return _place(items, start, LEAST_HOLE, stretch)


def _items(letters: list[Letter]) -> list[_Item]:
    items: list[_Item] = []
    end: float | None = None
    behind_blank = False
    spread = _spread(letters)
    for letter in letters:
        gap = 0.0 if end is None else letter.x0 - end
        if behind_blank and abs(gap - spread) < CLOSE * letter.em:
            gap = 0.0
        last = items[-1] if items else None
        if letter.gone:
            if last is None or last.letters:
                items.append(
                    _Item((), 0.0 if end is None else _snap(gap, letter.em, blank=behind_blank), 0.0, letter.em)
                )
            behind_blank = False
        elif last is not None and last.letters and -gap > _STACKED * (letter.x1 - letter.x0):
            items[-1] = last._replace(letters=(*last.letters, letter))
        else:
            snapped = 0.0 if end is None else _snap(gap, letter.em, blank=behind_blank or letter.blank)
            items.append(_Item((letter,), snapped, round(letter.x1 - letter.x0, _EXACT), letter.em))
            behind_blank = letter.blank
        end = letter.x1 if end is None else max(end, letter.x1)
    return items


def _spread(letters: list[Letter]) -> float:
    """Return what is added to each blank of a line that is set to both margins."""
    gaps = [two.x0 - one.x1 for one, two in pairwise(letters) if one.blank]
    em = letters[0].em
    return gaps[0] if len(gaps) > 1 and max(gaps) - min(gaps) < CLOSE * em else 0.0


def _snap(gap: float, em: float, *, blank: bool) -> float:
    """Return a gap that tells nothing but that there is one; beside a blank there is none."""
    if gap < CLOSE * em or (blank and gap < em):
        return 0.0
    return BLANK * em if gap < em else round(gap / em) * em


def _begin(chunk: _Chunk, around: Around, items: list[_Item]) -> float:
    """Return where a chunk begins: by the lines that begin, end or are centred like it, else by a coarse grid."""
    start, stop, wanted = chunk.letters[0].x0, _stop(chunk), _wanted(items, HOLE)
    if any(abs(start - edge) < SAME for edge in around.begins):
        return start
    left = chunk.left if chunk.left is not None else min(around.begins, default=None)
    right = chunk.right if chunk.right is not None else max(around.ends, default=None)
    for low, high in ((left, right), (0.0, around.width)):
        if low is not None and high is not None and abs((start + stop) / 2 - (low + high) / 2) < SAME:
            return max(low, (low + high) / 2 - wanted / 2)
    if any(abs(stop - edge) < SAME for edge in around.ends):
        return max(left or 0.0, stop - wanted)
    if chunk.left is not None:
        return min(start, chunk.left + 2 * SAME)
    return (start + SAME) // GRID * GRID if start >= GRID else start


def _place(items: list[_Item], start: float, hole: float, stretch: float) -> Laid:
    moved: list[Moved] = []
    holes: list[tuple[float, float]] = []
    pen = start
    for item in items:
        pen += item.gap * stretch
        if not item.letters:
            wide = hole * item.em * stretch
            holes.append((pen, pen + wide))
            pen += wide
            continue
        first = item.letters[0].x0
        moved += [Moved(one.owner, pen + round(one.x0 - first, _EXACT) * stretch, stretch) for one in item.letters]
        pen += item.width * stretch
    return Laid(tuple(moved), tuple(holes))
