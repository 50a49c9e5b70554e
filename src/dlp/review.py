"""What people made of one job: who works at it, what they said of its hits, whether it must be kept.

One record for each job, and one label for each hit that somebody confirmed or called false. A label tells the rule and
the packs that it ran with, never the text: it is what the tuning of a pack is counted from.

Sources: 保守国家秘密法实施条例 (2024-09-01) articles 14, 26, 27 (5) and 59; 文印中心保密规章制度 five.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from dlp.model import Finding, Frozen, Level, Mark, Regime, Say
from dlp.rights import RULES_2024, Denial, Why
from dlp.store import Job
from dlp.store.record import Columns, Kind


class Ruling(Enum):
    """What a reviewer said of a hit."""

    CONFIRMED = "confirmed"
    FALSE_ALARM = "false-alarm"
    MISSED = "missed"
    """Of a rule that should have found something and did not."""


RULINGS: dict[Ruling, Say] = {
    Ruling.CONFIRMED: Say("确认", "confirmed"),
    Ruling.FALSE_ALARM: Say("误报", "false alarm"),
    Ruling.MISSED: Say("漏报", "missed"),
}


class Remark(Frozen, frozen=True, kw_only=True):
    """What somebody wrote about a job; any hit in it masked."""

    by: str
    at: float
    text: str


class Decided(Frozen, frozen=True, kw_only=True):
    """What a classification officer decided on the level of a file. It sets no mark on it."""

    level: Level | None
    regime: Regime | None
    basis: str
    """Article or list item, or the organ that was asked."""
    reason: str
    by: str
    at: float


class Review(Frozen, frozen=True, kw_only=True):
    """The review of one job; `id` is the job. Moments are seconds since the epoch, 0 for never."""

    id: str
    version: int = 1
    at: float
    claimed_by: str = ""
    claimed_until: float = 0.0
    remarks: tuple[Remark, ...] = ()
    legal_hold: Remark | None = None
    """Why it is kept by law; None: it is not."""
    keep_until: float = 0.0
    """The sealed copy stays until then, whatever becomes of the job."""
    decided: Decided | None = None

    def claimant(self, now: float) -> str:
        """Return who works at it now; empty: nobody, or a claim that has lapsed."""
        return self.claimed_by if now < self.claimed_until else ""

    def stays(self, now: float) -> bool:
        """Tell whether its sealed copy must not be destroyed yet."""
        return self.legal_hold is not None or now < self.keep_until


class Label(Frozen, frozen=True, kw_only=True):
    """What a reviewer said of one hit of one job, or of a rule that should have found something."""

    id: str
    version: int = 1
    job: str
    rule: str
    packs: str
    """Digest of the packs that the rule ran with."""
    finding: int
    """From 1, as the job lists them; 0 for what was missed."""
    count: int = 1
    """How many things the finding stands for."""
    ruling: Ruling
    reason: str = ""
    by: str
    at: float


CLAIMED, OPEN = "claimed", "open"
REVIEWS = Kind(
    "review",
    Review,
    lambda one: Columns(
        state=CLAIMED if one.claimed_by else OPEN,
        job=one.id,
        who=one.claimed_by,
        due=one.claimed_until,
        at=one.at,
    ),
)
LABELS = Kind("label", Label, lambda one: Columns(state=one.ruling.value, job=one.job, who=one.by, at=one.at))


def label_id(job: str, finding: int, rule: str) -> str:
    """Return what a label is called: by its finding, or by the rule that missed."""
    return f"{job}:{finding}" if finding else f"{job}:{rule}"


class Marks(NamedTuple):
    """The marks of a file that nobody called a false alarm: their levels and regimes, highest first."""

    levels: tuple[Level, ...]
    regimes: frozenset[Regime]


def marks_of(job: Job, labels: Iterable[Label]) -> Marks:
    """Return the marks of a job, less those whose finding a reviewer called a false alarm."""
    false = {label.finding for label in labels if label.ruling is Ruling.FALSE_ALARM}
    marks = [mark for number, mark in _numbered(job.findings) if number not in false]
    levels = {mark.level for mark in marks if mark.level is not None}
    return Marks(tuple(sorted(levels, reverse=True)), frozenset(m.regime for m in marks if m.regime is not None))


def _numbered(findings: tuple[Finding, ...]) -> Iterable[tuple[int, Mark]]:
    return ((number, found.mark) for number, found in enumerate(findings, 1) if found.mark is not None)


def check_level(job: Job, marks: Marks, level: Level | None, regime: Regime | None) -> Denial | None:
    """Return why a level cannot be decided on; None when it can.

    Whoever copies a file does not change what its organ wrote on it: a mark that stands alone is the least, and marks
    that differ are settled between them. More is always possible.
    """
    least = min(marks.levels, default=None)
    if least is not None and (level is None or level < least):
        return _denial(
            job,
            Say(f"标志所载为{least.value}，不得改低", f"its mark says {least.value}, and nothing lower can be decided"),
        )
    if marks.regimes and regime not in marks.regimes and regime is not Regime.STATE:
        return _denial(
            job,
            Say("标志所载的密种不得改变", "whose secret it is stands in its mark and cannot be decided otherwise"),
        )
    return None


def _denial(job: Job, what: Say) -> Denial:
    return Denial(
        why=Why.TERM,
        say=Say(f"任务 {job.id} 不能这样定：{what.zh}", f"job {job.id} cannot be decided so: {what.en}"),
        hint=Say(
            "请原定密机关变更；标志是误报的，先由保密员注明误报",
            "ask the organ that set it; where the mark is a false alarm, a security officer says so first",
        ),
        article=f"{RULES_2024}第二十七条第五项",
    )


class Tally(NamedTuple):
    """What became of the hits of one rule."""

    rule: str
    hits: int
    confirmed: int
    false_alarms: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Return the share of labelled hits that were confirmed; None where nothing was labelled."""
        labelled = self.confirmed + self.false_alarms
        return self.confirmed / labelled if labelled else None

    @property
    def interval(self) -> tuple[float, float]:
        """Return between what the precision lies with 95 % certainty."""
        return wilson(self.confirmed, self.confirmed + self.false_alarms)


def tally(labels: Iterable[Label], hits: Mapping[str, int]) -> tuple[Tally, ...]:
    """Count labels and hits rule by rule: the rule with the most false alarms first."""
    counts: dict[str, dict[Ruling, int]] = {rule: {} for rule in hits}
    for label in labels:
        of_rule = counts.setdefault(label.rule, {})
        of_rule[label.ruling] = of_rule.get(label.ruling, 0) + 1
    made = (
        Tally(
            rule,
            hits.get(rule, 0),
            of_rule.get(Ruling.CONFIRMED, 0),
            of_rule.get(Ruling.FALSE_ALARM, 0),
            of_rule.get(Ruling.MISSED, 0),
        )
        for rule, of_rule in counts.items()
    )
    return tuple(sorted(made, key=lambda one: (-one.false_alarms, -one.missed, -one.hits, one.rule)))


Z = 1.959964
"""Of a normal distribution, 95 % lie within so many deviations."""


def wilson(good: int, all_: int) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927), which holds for few cases too; all of 0..1 for none."""
    if all_ == 0:
        return 0.0, 1.0
    share, square = good / all_, Z * Z / all_
    middle = (share + square / 2) / (1 + square)
    half = Z / (1 + square) * (share * (1 - share) / all_ + square / (4 * all_)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
