"""What all redactors do alike: take holes out of a text, and count what was taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dlp.formats import NotRedactable
from dlp.model import Cut, Removed


class Hole(NamedTuple):
    """Characters `start` to `end` of a text go, and `label` is written there."""

    start: int
    end: int
    label: str


def merged(holes: Iterable[Hole]) -> list[Hole]:
    """Return holes in order, without overlaps; a hole made of two has the label of the first that has one."""
    found: list[Hole] = []
    for hole in sorted(holes):
        if found and hole.start < found[-1].end:
            last = found[-1]
            found[-1] = Hole(last.start, max(last.end, hole.end), last.label or hole.label)
        else:
            found.append(hole)
    return found


def holes_in(text: str, cuts: Iterable[Cut]) -> list[Hole]:
    """Return the holes that cuts make in the text of their segment. `NotRedactable` where one lies outside of it."""
    cuts = tuple(cuts)
    if not all(0 <= cut.start <= cut.end <= len(text) for cut in cuts):
        raise NotRedactable("what is to be removed is not where it was read")
    return merged(Hole(cut.start, cut.end, cut.label) for cut in cuts)


def filled(text: str, holes: Iterable[Hole]) -> str:
    """Return a text with labels in place of its holes, which are in order."""
    pieces: list[str] = []
    at = 0
    for hole in holes:
        pieces += (text[at : hole.start], hole.label)
        at = hole.end
    return "".join((*pieces, text[at:]))


def by_member(cuts: Iterable[Cut]) -> dict[str, list[Cut]]:
    """Return the cuts that lie in each member of a container; those in none are left out."""
    found: dict[str, list[Cut]] = {}
    for cut in cuts:
        if cut.part:
            found.setdefault(cut.part[0], []).append(cut)
    return found


def counted(cuts: Iterable[Cut], *, how: str = "text") -> tuple[Removed, ...]:
    """Return how many things of each type these cuts remove: those that carry the label of their hit."""
    counts: dict[str, int] = {}
    for cut in cuts:
        if cut.label:
            counts[cut.type] = counts.get(cut.type, 0) + 1
    return tuple(Removed(type=kind, count=count, how=how) for kind, count in sorted(counts.items()))


def summed(removed: Iterable[Removed]) -> tuple[Removed, ...]:
    """Return what was removed from all members of a container; the pages of members are not its own."""
    counts: dict[tuple[str, str], int] = {}
    for one in removed:
        counts[one.type, one.how] = counts.get((one.type, one.how), 0) + one.count
    return tuple(Removed(type=kind, count=count, how=how) for (kind, how), count in sorted(counts.items()))
