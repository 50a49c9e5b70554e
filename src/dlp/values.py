"""Many fixed texts looked for in one pass: the values that a redaction removes, wherever they stand.

hyperscan again, because thousands of values in a long document must not take values times characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import hyperscan
import numpy as np

MOST = 10_000
"""Values looked for; a document with more hits is over `limits.hits` and was not redacted at all."""
_HAN_LEAST, _LEAST = 2, 6
"""Characters of a value that is looked for on its own: shorter ones stand everywhere by chance."""
_JOINED_LEAST = 10
"""Of one that is looked for across segments, where the end of one number meets the begin of the next."""


class Place(NamedTuple):
    """Characters `start` to `end` of a text hold value number `value`."""

    value: int
    start: int
    end: int


def squeezed(text: str) -> str:
    """Return letters and digits of a text alone, forms folded: how they are set apart does not matter."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text)))


def tells(value: str, *, joined: bool = False) -> bool:
    """Tell whether a squeezed value is long enough to be looked for on its own."""
    han = any("\u3400" <= letter <= "\u9fff" for letter in value)
    return len(value) >= (_HAN_LEAST if han and not joined else _JOINED_LEAST if joined else _LEAST)


class Values:
    """A set of values, compiled once."""

    def __init__(self, values: Sequence[str]) -> None:
        """Take the first `MOST` distinct values that are not empty; their numbers are places in `values`."""
        self._known = [value.encode() for value in dict.fromkeys(values) if value][:MOST]
        self._database: hyperscan.Database | None = None
        if self._known:
            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            flags = [hyperscan.HS_FLAG_SOM_LEFTMOST] * len(self._known)
            ids = list(range(len(self._known)))
            self._database.compile(expressions=self._known, ids=ids, flags=flags, literal=True)
            self._scratch = hyperscan.Scratch(self._database)

    def find(self, text: str) -> list[Place]:
        """Return where the values stand in `text`, by begin and end."""
        if self._database is None:
            return []
        raw = text.encode("utf-8", "surrogatepass")
        found: list[tuple[int, int, int]] = []

        def keep(number: int, begin: int, end: int, _flags: int, _context: object) -> None:
            found.append((number, begin, end))

        self._database.scan(raw, match_event_handler=keep, scratch=self._scratch)
        if not found:
            return []
        # How many characters begin before each byte: every byte but those that continue one.
        begins = (np.frombuffer(raw, dtype=np.uint8) & 0xC0) != 0x80
        before = np.concatenate(([0], np.cumsum(begins)))
        return sorted(Place(number, int(before[start]), int(before[end])) for number, start, end in found)

    def any_in(self, text: str) -> bool:
        """Tell whether one of them stands in `text`."""
        return bool(self.find(text))
