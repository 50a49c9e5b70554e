"""清点: what lies here, read in number by number, held against what the books say of every copy.

What must be here is what is printed and not picked up, and what came back and has not left for destruction. A copy that
is not found, one that is found and should not be here, and a number that is found twice make the count differ; a copy
that is out too long is told with them. Pure: copies and numbers in, lines out.

Sources: 中心保密工作制度 articles 10 and 11; 保守国家秘密法实施条例 (2024-09-01) articles 27 (5) and 28.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum

from dlp.copies import Copy, CopyState
from dlp.model import Frozen, Say
from dlp.store.record import Columns, Kind


class Found(Enum):
    """What became of one number in a count."""

    THERE = "there"
    MISSING = "missing"
    EXTRA = "extra"
    """It lies here, and by the books it should not, or there is none of this number."""
    REPEATED = "repeated"
    """The same number was read in more than once: read it again, or there is a copy of the copy."""
    OVERDUE = "overdue"
    """It is out, and should be back."""


FOUND: dict[Found, Say] = {
    Found.THERE: Say("相符", "there"),
    Found.MISSING: Say("缺少", "missing"),
    Found.EXTRA: Say("多出", "extra"),
    Found.REPEATED: Say("重复", "read in twice"),
    Found.OVERDUE: Say("逾期", "overdue"),
}
WRONG = (Found.MISSING, Found.EXTRA, Found.REPEATED)


class Line(Frozen, frozen=True, kw_only=True):
    """One number of a count, as the books had it at that moment."""

    copy: str
    found: Found
    state: CopyState | None = None
    """None: the books know no such copy."""
    holder: str = ""
    due: float = 0.0


class Stocktake(Frozen, frozen=True, kw_only=True):
    """One count, as it was made; it never changes."""

    id: str
    version: int = 1
    by: str
    unit: str = ""
    """Whose copies were counted; empty: everybody's."""
    place: str = ""
    note: str = ""
    at: float
    read: int
    """How many numbers were read in."""
    lines: tuple[Line, ...]

    @property
    def differs(self) -> bool:
        """Tell whether what lies here is not what the books say."""
        return any(line.found in WRONG for line in self.lines)

    def number(self, found: Found) -> int:
        """Return how many lines say this."""
        return sum(line.found is found for line in self.lines)


STOCKTAKES = Kind(
    "stocktake",
    Stocktake,
    lambda one: Columns(state="differs" if one.differs else "agrees", who=one.unit or one.by, at=one.at),
)


def compare(here: Iterable[Copy], others: Iterable[Copy], read: Sequence[str], *, now: float) -> tuple[Line, ...]:
    """Return the lines of a count, by number: `here` must be here, `others` are elsewhere or no more."""
    times = Counter(read)
    lines = [_line(copy, Found.THERE if copy.id in times else Found.MISSING) for copy in here]
    for copy in others:
        if copy.id in times:
            lines.append(_line(copy, Found.EXTRA))
        elif copy.state is CopyState.OUT and 0 < copy.due < now:
            lines.append(_line(copy, Found.OVERDUE))
    known = {line.copy for line in lines}
    lines += [Line(copy=word, found=Found.EXTRA) for word in times if word not in known]
    lines += [
        Line(copy=line.copy, found=Found.REPEATED, state=line.state, holder=line.holder, due=line.due)
        for line in lines
        if times[line.copy] > 1
    ]
    return tuple(sorted(lines, key=lambda line: (line.copy, line.found.value)))


def _line(copy: Copy, found: Found) -> Line:
    return Line(copy=copy.id, found=found, state=copy.state, holder=copy.holder, due=copy.due)
