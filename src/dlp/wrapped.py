"""Numbers that a line break or a cell border cut in two: looked at once more, with the break left out.

The view itself keeps such breaks, because most of them part two numbers. So the surroundings of each break that could
lie inside a number are read a second time by themselves; this only ever adds hits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlp.checks import foreign_pr, hmt_residence, luhn, mobile, resident_id, resident_id_15
from dlp.text import View

REACH = 40
"""Characters on both sides: the number and the words that tell what it is."""
_LENGTHS = np.zeros(64, dtype=np.bool_)
_LENGTHS[[11, 15, 16, 17, 18, 19]] = True  # mobile, ID of 15, cards, ID of 18 with its digits or an X


def joined(view: View) -> tuple[View, NDArray[np.int64]] | None:
    """Return a view of the surroundings of every cut number, and where in it the cuts are; None when there is none.

    Offsets of that view lead back to the original like those of any other.
    """
    units = np.frombuffer(view.text.encode("utf-16-le"), dtype=np.uint16)
    places, befores, afters = _cuts(units)
    whole = [
        place
        for place, before, after in zip(places.tolist(), befores.tolist(), afters.tolist(), strict=True)
        if _may_be_one(view.text[before:place] + view.text[place + 1 : after + 1])
    ]
    if not whole:
        return None
    places = np.array(whole, dtype=np.int64)
    begins, ends = np.maximum(places - REACH, 0), np.minimum(places + 1 + REACH, len(units))
    # a stretch that holds two cuts is read twice, each time with one of them: what joins all joins nothing
    sizes = ends - begins + 1  # and a break of its own behind it
    starts = np.concatenate(([0], np.cumsum(sizes)))
    source = np.minimum(np.repeat(begins - starts[:-1], sizes) + np.arange(starts[-1]), len(units) - 1)
    keep = np.ones(len(source), dtype=np.bool_)
    keep[starts[:-1] + (places - begins)] = False
    source, new = source[keep], np.take(units, source[keep])
    new[np.cumsum(sizes - 1) - 1] = 0x0A
    cuts = np.concatenate(([0], np.cumsum(sizes - 1)[:-1])) + (places - begins)
    text = new.tobytes().decode("utf-16-le")
    found = View(text, text.encode(), view.index[source], view.starts, np.zeros(1, np.int32), view.segments)
    return found, cuts


def _may_be_one(text: str) -> bool:
    """Tell whether two runs of digits, with the character behind them, make a number that passes a check."""
    digits = text[:-1] if not text[-1:].isdigit() else text
    return (
        resident_id(text.upper())
        or resident_id(digits)
        or hmt_residence(digits)
        or foreign_pr(digits)
        or mobile(digits)
        or (len(digits) >= 15 and luhn(digits))
        or resident_id_15(digits)
    )


def _cuts(units: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the breaks and tab stops between two digits whose runs together are as long as a number of a person.

    With each comes where its left run begins and where its right run ends.
    """
    digit = (units >= 0x30) & (units <= 0x39)
    cut = (units == 0x0A) | (units == 0x09)
    places = np.flatnonzero(cut[1:-1] & digit[:-2] & digit[2:]) + 1
    if not len(places):
        return places, places, places
    other = np.flatnonzero(~digit)
    rank = np.searchsorted(other, places)
    before = np.where(rank > 0, other[rank - 1], -1)
    after = np.append(other, len(units))[rank + 1]
    left, right = places - before - 1, after - places - 1
    total = np.minimum(left + right, 63)
    fits = _LENGTHS[total] & ((total != 11) | (np.minimum(left, right) >= 3))
    return places[fits], before[fits] + 1, after[fits]
