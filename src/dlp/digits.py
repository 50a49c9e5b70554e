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
_ZERO, _NINE, _X, _SMALL_X = 0x30, 0x39, 0x58, 0x78


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
    han = np.flatnonzero(kinds == _HAN_DIGIT)
    for begin, end in _runs(han):
        units[begin:end] = _values()[units[begin:end]]
    digits = kinds == _DIGIT
    looks = kinds == _LOOKS
    if (looks[1:] & digits[:-1]).any():
        _spell(units, digits, looks)
    # The check digit of an identity number may be an X, spaced out like the digits before it.
    separators = kinds == _SEPARATOR
    cross = (units == _X) | (units == _SMALL_X)
    cross[:2] = False
    cross[2:] &= separators[1:-1] & digits[:-2]
    return _spaces(digits | cross, separators)


def _runs(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return where runs of neighbouring places begin and end that are long enough for a number."""
    if len(places) < SHORTEST:
        return []
    fresh = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    lengths = np.diff(fresh, append=len(places))
    begins = places[fresh[lengths >= SHORTEST]]
    ends = begins + lengths[lengths >= SHORTEST]
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def _spell(units: Units, digits: Flags, looks: Flags) -> None:
    """Write look-alike letters as digits where they lie in a long run of both, of which one in four is a digit."""
    total = np.concatenate(([0], np.cumsum(digits)))
    for begin, end in _runs(np.flatnonzero(digits | looks)):
        count = int(total[end] - total[begin])
        # The alphabet of credit codes, which begin with 9, leaves these letters out: there one is a fault.
        is_code = end - begin == 18 and units[begin] == _NINE
        if count < end - begin <= 4 * count and not is_code:
            units[begin:end] = _values()[units[begin:end]]


def _spaces(digits: Flags, separators: Flags) -> NDArray[np.int64]:
    """Return the separators of numbers written digit by digit: `1 3 8 0 0 …`, `1.1.0.1.…`."""
    places = np.flatnonzero(separators[1:-1] & digits[:-2] & digits[2:]) + 1  # between two digits
    if len(places) < SHORTEST - 1:
        return places[:0]
    padded = np.concatenate(([False, False], digits, [False, False]))
    single = ~padded[places] & ~padded[places + 4]  # no digit two before, none two behind
    places = places[single]
    fresh = np.flatnonzero(np.diff(places, prepend=-3) != 2)  # where each run of every second place begins
    lengths = np.diff(fresh, append=len(places))
    return places[np.repeat(lengths >= SHORTEST - 1, lengths)]
