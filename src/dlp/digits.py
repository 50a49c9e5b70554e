"""Numbers in disguise: spaced out digit by digit, with letters that look like digits, or in Han digits.

All of it works on folded units (UTF-16, one a character) and is linear: a handful of passes over an array, and only
where a first look shows something of the kind.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.uint16]
Flags = NDArray[np.bool_]

SHORTEST = 11
"""Characters from which a run of digits is a number of a person: shorter ones are years, versions, columns of flags."""

_HAN = "〇零一二三四五六七八九"
_HAN_VALUES = "00123456789"
_LOOK_ALIKES = "OoIl"
_LOOK_ALIKE_VALUES = "0011"
_DIGIT, _LOOKS, _HAN_DIGIT, _SEPARATOR = 1, 2, 4, 8
_ZERO, _NINE = 0x30, 0x39


@cache
def _kinds() -> NDArray[np.uint8]:
    table = np.zeros(65_536, dtype=np.uint8)
    table[_ZERO : _NINE + 1] = _DIGIT
    table[[ord(c) for c in _LOOK_ALIKES]] = _LOOKS
    table[[ord(c) for c in _HAN]] = _HAN_DIGIT
    table[[ord(c) for c in " .-_·/"]] = _SEPARATOR
    return table


@cache
def _values() -> Units:
    table = np.arange(65_536, dtype=np.uint16)
    for chars, values in ((_LOOK_ALIKES, _LOOK_ALIKE_VALUES), (_HAN, _HAN_VALUES)):
        table[[ord(c) for c in chars]] = [ord(v) for v in values]
    return table


def unmask(units: Units) -> NDArray[np.int64]:
    """Turn disguised digits in `units` into digits, in place; return the places of separators to be left out."""
    kinds = np.take(_kinds(), units)
    _spell(units, kinds == _HAN_DIGIT, kinds == _HAN_DIGIT)
    digits = kinds == _DIGIT
    if not digits.any():
        return np.zeros(0, dtype=np.int64)
    looks = kinds == _LOOKS
    touching = looks[1:] & digits[:-1]
    if touching.any():
        _spell(units, looks | digits, looks, partly=digits)
    return _spaces(digits, kinds == _SEPARATOR)


def _spell(units: Units, run: Flags, what: Flags, partly: Flags | None = None) -> None:
    """Write the units of `what` as digits where they lie in a long `run`, of which one in four is `partly`."""
    edges = np.flatnonzero(np.diff(run.astype(np.int8), prepend=0, append=0))
    begins, ends = edges[0::2], edges[1::2]
    long = ends - begins >= SHORTEST
    begins, ends = begins[long], ends[long]
    if partly is not None and len(begins):
        total = np.concatenate(([0], np.cumsum(partly)))
        count = total[ends] - total[begins]
        wanted = (4 * count >= ends - begins) & (count < ends - begins)
        begins, ends = begins[wanted], ends[wanted]
    table = _values()
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        piece = units[begin:end]
        piece[what[begin:end]] = table[piece[what[begin:end]]]


def _spaces(digits: Flags, separators: Flags) -> NDArray[np.int64]:
    """Return the separators of numbers written digit by digit: `1 3 8 0 0 …`, `1.1.0.1.…`."""
    places = np.flatnonzero(separators[1:-1] & digits[:-2] & digits[2:]) + 1
    if len(places) < SHORTEST - 1:
        return places[:0]
    padded = np.concatenate(([False, False], digits, [False, False]))
    single = ~padded[places] & ~padded[places + 4]  # no digit two before, none two behind
    places = places[single]
    fresh = np.flatnonzero(np.diff(places, prepend=-3) != 2)  # where each run of every second place begins
    lengths = np.diff(fresh, append=len(places))
    return places[np.repeat(lengths >= SHORTEST - 1, lengths)]
