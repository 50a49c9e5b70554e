"""The books: jobs and the audit events that belong to each change of them."""

from __future__ import annotations

from dlp.audit import AuditEvent
from dlp.model import Finding, Frozen, Gap, Item, Level, Regime, Say, State, Verdict

__all__ = ["NEXT", "AuditEvent", "EventFilter", "Job", "JobFilter", "Sealed"]


class Sealed(Frozen, frozen=True, kw_only=True):
    """A copy in the vault: its id there, hash and size of the plaintext, size of the sealed file."""

    id: str
    sha256: str
    size: int
    sealed_size: int


class Job(Frozen, frozen=True, kw_only=True):
    """One item on its way, as the books know it."""

    id: str
    item: Item
    state: State
    version: int = 1
    verdict: Verdict | None = None
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    coverage: Say | None = None
    """What of it was read and how, in words: what is told of a job is the same before and after a crash."""
    pages: int | None = None
    """None where it has no pages, or nobody could count them."""
    sealed: Sealed | None = None
    outgoing: str = ""
    """SHA-256 of the bytes that leave; the item's own unless a redacted copy does."""
    stamped: int = 0
    """On how many pages of the outgoing bytes the stamp of this site stands."""
    place: str = ""
    """Where the outgoing copy was staged: tells that place from an empty one that has come in its stead."""
    certificate: bytes = b""
    """Of a redacted copy: its signed certificate as written, committed with the word that lets the copy leave."""
    note: Say | None = None
    cancelled: str = ""
    """Who took it back before it left; empty: nobody. It is still inspected, and what it holds is still told."""
    created: float = 0.0
    updated: float = 0.0


class JobFilter(Frozen, frozen=True, kw_only=True):
    """Which jobs are wanted, beside their state; what is left at its default is not asked for."""

    level: Level | None = None
    source: str = ""
    """Whole name of the source, e.g. `folder:外发`."""
    owner: str = ""
    since: float = 0.0
    """Taken at or after this moment: seconds since the epoch."""
    until: float = float("inf")
    """Taken before this moment."""
    name: str = ""
    """Text that stands in the name of the file as it is shown; small and capital letters are the same."""
    ids: tuple[str, ...] | None = None
    """Only these; None: whichever."""
    without: tuple[str, ...] = ()
    """Not these."""
    rule: str = ""
    """Full id of a rule that has found something in it."""
    regime: Regime | None = None
    """Of the verdict, or of anything found in it."""
    unlevelled: bool = False
    """Only what has no level."""


class EventFilter(Frozen, frozen=True, kw_only=True):
    """Which audit events are wanted; what is left at its default is not asked for."""

    actor: str = ""
    kind: str = ""
    job: str = ""
    """Whole id of the job."""
    since: str = ""
    """At or after this moment: ISO 8601, UTC, as events carry it."""
    until: str = ""
    """Before this moment."""


NEXT: dict[State, frozenset[State]] = {
    State.TAKING: frozenset({State.STORED, State.REFUSED}),
    State.STORED: frozenset({State.STORED, State.DECIDED, State.FAILED, State.REFUSED}),
    State.DECIDED: frozenset(
        {
            *(State.DECIDED, State.RELEASING, State.HELD, State.BLOCKED, State.FAILED, State.CANCELLED),
            State.WITHHELD,
        }
    ),
    State.RELEASING: frozenset({State.RELEASING, State.RELEASED, State.REDACTED, State.HELD, State.CANCELLED}),
    State.HELD: frozenset({State.RELEASING, State.REJECTED, State.RETURNED}),
    State.RELEASED: frozenset(),
    State.REDACTED: frozenset(),
    State.BLOCKED: frozenset(),
    State.REFUSED: frozenset(),
    State.REJECTED: frozenset({State.RETURNED}),
    State.RETURNED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.WITHHELD: frozenset({State.WITHHELD, State.RETURNED, State.HANDED_OVER}),
    State.HANDED_OVER: frozenset(),
}
"""Which state may follow which; everything else is refused."""
