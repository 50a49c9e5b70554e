"""What a report counts: one pass over jobs, events, labels and copies of a span of time, in memory of its groups only.

Nothing here holds content: rules, levels, units and numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from dlp.audit import AuditEvent
from dlp.commissions import Order
from dlp.copies import Copy, CopyState
from dlp.model import Action, Frozen, Level, State
from dlp.store import Job
from dlp.store.record import Columns, Kind

NOBODY = "（未填写）"
DECIDED = frozenset({State.RELEASED.value, State.REDACTED.value, State.REJECTED.value})
FALSE_ALARM, CONFIRMED, MISSED = "false-alarm", "confirmed", "missed"
OVERRIDES = frozenset({"released", "redacted"})
"""Kinds of events by which a person let out what the gate had held."""


class Label(Frozen, frozen=True, kw_only=True):
    """What a report reads of the label that a reviewer gave to a hit."""

    id: str
    version: int = 1
    rule: str
    ruling: str
    count: int = 1
    at: float = 0.0


LABELS = Kind("label", Label, lambda one: Columns(state=one.ruling, at=one.at))


class Group(Frozen, frozen=True, kw_only=True):
    """How many jobs of one unit, source, level or rule there were, and how they ended."""

    name: str
    jobs: int
    stopped: int
    """Held or blocked."""


class RuleRow(Frozen, frozen=True, kw_only=True):
    """One rule: in how many jobs it hit, and what reviewers said of its hits."""

    rule: str
    jobs: int
    confirmed: int = 0
    false_alarms: int = 0
    missed: int = 0

    @property
    def precision(self) -> float | None:
        """Return the share of labelled hits that were right; None where none was labelled."""
        labelled = self.confirmed + self.false_alarms
        return self.confirmed / labelled if labelled else None


class PersonRow(Frozen, frozen=True, kw_only=True):
    """One account: what it was refused, and how often it let out what had been held."""

    person: str
    denied: int
    released: int


class Tally(Frozen, frozen=True, kw_only=True):
    """What was counted of a span of time. Moments are seconds since the epoch."""

    since: float
    until: float
    jobs: int
    actions: dict[str, int]
    states: dict[str, int]
    units: tuple[Group, ...]
    sources: tuple[Group, ...]
    levels: tuple[Group, ...]
    rules: tuple[RuleRow, ...]
    people: tuple[PersonRow, ...]
    decided: int
    median_seconds: float | None
    """From being held to the word of a person."""
    p95_seconds: float | None
    overdue: tuple[str, ...]
    """Copies that should be back, by their number."""
    incidents: int = 0
    overdue_orders: tuple[str, ...] = ()
    """Commissions and meeting files that should be done, by their number."""

    @property
    def labelled(self) -> int:
        """Return how many hits were labelled as right or false."""
        return sum(row.confirmed + row.false_alarms for row in self.rules)

    @property
    def false_rate(self) -> float | None:
        """Return the share of labelled hits that were false; None where none was labelled."""
        return sum(row.false_alarms for row in self.rules) / self.labelled if self.labelled else None


class Counting:
    """Counts as things go by."""

    def __init__(self, since: float, until: float) -> None:
        self._since, self._until = since, until
        self._jobs = 0
        self._actions: Counter[str] = Counter()
        self._states: Counter[str] = Counter()
        self._groups: dict[str, dict[str, list[int]]] = {"unit": {}, "source": {}, "level": {}}
        self._rules: Counter[str] = Counter()
        self._labels: dict[str, Counter[str]] = {}
        self._denied: Counter[str] = Counter()
        self._released: Counter[str] = Counter()
        self._held: dict[str, float] = {}
        self._waited: list[float] = []
        self._overdue: list[str] = []
        self._overdue_orders: list[str] = []
        self._incidents = 0

    def job(self, job: Job) -> None:
        """Count a job that was taken in this time."""
        self._jobs += 1
        self._states[job.state.value] += 1
        verdict = job.verdict
        if verdict is not None:
            self._actions[verdict.action.value] += 1
        stopped = verdict is not None and verdict.action >= Action.QUARANTINE
        level = verdict.level.value if verdict is not None and verdict.level else Level.OPEN.value
        for group, name in (("unit", job.item.owner or NOBODY), ("source", job.item.source), ("level", level)):
            row = self._groups[group].setdefault(name, [0, 0])
            row[0] += 1
            row[1] += stopped
        self._rules.update({found.rule for found in job.findings if not found.exempt})

    def event(self, event: AuditEvent, *, taken: float | None = None) -> None:
        """Count an event of this time; `taken` is when its job came, for one that was held before."""
        at = datetime.fromisoformat(event.at).timestamp()
        state = event.body.get("state")
        if event.kind == "denied":
            self._denied[event.actor] += 1
        elif event.kind == "incident-opened":
            self._incidents += 1
        elif event.kind == "held":
            self._held[event.job] = at
        elif state in DECIDED and event.actor != "gate":
            begun = self._held.pop(event.job, taken)
            if begun is not None:
                self._waited.append(max(0.0, at - begun))
            if event.kind in OVERRIDES:
                self._released[event.actor] += 1

    def is_open(self, job: str) -> bool:
        """Tell whether a job was held in this time and nobody has decided on it."""
        return job in self._held

    def label(self, label: Label) -> None:
        """Count what a reviewer said of a hit."""
        self._labels.setdefault(label.rule, Counter())[label.ruling] += 1

    def copy(self, copy: Copy) -> None:
        """Count a copy that is out; it is overdue when it should have been back by the end."""
        if copy.state in (CopyState.MADE, CopyState.OUT) and 0 < copy.due < self._until:
            self._overdue.append(copy.id)

    def order(self, order: Order) -> None:
        """Count a commission or a meeting file that is open; it is overdue when it should have been done by the end."""
        if not order.done_at and 0 < order.due < self._until:
            self._overdue_orders.append(order.id)

    def tally(self) -> Tally:
        """Return what was counted."""
        waited = sorted(self._waited)
        return Tally(
            since=self._since,
            until=self._until,
            jobs=self._jobs,
            actions=dict(self._actions),
            states=dict(self._states),
            units=_groups(self._groups["unit"]),
            sources=_groups(self._groups["source"]),
            levels=_groups(self._groups["level"]),
            rules=self._rule_rows(),
            people=self._people(),
            decided=len(waited),
            median_seconds=_at(waited, 0.5),
            p95_seconds=_at(waited, 0.95),
            overdue=tuple(sorted(self._overdue)),
            incidents=self._incidents,
            overdue_orders=tuple(sorted(self._overdue_orders)),
        )

    def _rule_rows(self) -> tuple[RuleRow, ...]:
        rows = []
        for rule in self._rules.keys() | self._labels.keys():
            said = self._labels.get(rule, Counter())
            rows.append(
                RuleRow(
                    rule=rule,
                    jobs=self._rules[rule],
                    confirmed=said[CONFIRMED],
                    false_alarms=said[FALSE_ALARM],
                    missed=said[MISSED],
                )
            )
        return tuple(sorted(rows, key=lambda row: (-row.jobs, row.rule)))

    def _people(self) -> tuple[PersonRow, ...]:
        names = self._denied.keys() | self._released.keys()
        rows = (PersonRow(person=one, denied=self._denied[one], released=self._released[one]) for one in names)
        return tuple(sorted(rows, key=lambda row: (-row.denied, row.person)))


def _groups(found: dict[str, list[int]]) -> tuple[Group, ...]:
    rows = (Group(name=name, jobs=jobs, stopped=stopped) for name, (jobs, stopped) in found.items())
    return tuple(sorted(rows, key=lambda row: (-row.jobs, row.name)))


def _at(ordered: list[float], share: float) -> float | None:
    """Return the value at or below which a share of the others lies (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)] if ordered else None


def most(rows: Iterable[Group], limit: int) -> tuple[Group, ...]:
    """Return the largest groups, and one for all others."""
    rows = tuple(rows)
    if len(rows) <= limit:
        return rows
    rest = rows[limit - 1 :]
    others = Group(name="其他", jobs=sum(row.jobs for row in rest), stopped=sum(row.stopped for row in rest))
    return (*rows[: limit - 1], others)
