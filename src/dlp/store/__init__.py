"""The books: jobs and the audit events that belong to each change of them."""

from __future__ import annotations

from dlp.audit import AuditEvent
from dlp.model import Finding, Frozen, Gap, Item, Say, State, Verdict

__all__ = ["NEXT", "AuditEvent", "Job", "Sealed"]


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
    sealed: Sealed | None = None
    outgoing: str = ""
    """SHA-256 of the bytes that leave; the item's own unless a redacted copy does."""
    place: str = ""
    """Where the outgoing copy was staged: tells that place from an empty one that has come in its stead."""
    certificate: bytes = b""
    """Of a redacted copy: its signed certificate as written, committed with the word that lets the copy leave."""
    note: Say | None = None
    cancelled: str = ""
    """Who took it back before it left; empty: nobody. It is still inspected, and what it holds is still told."""
    created: float = 0.0
    updated: float = 0.0


NEXT: dict[State, frozenset[State]] = {
    State.TAKING: frozenset({State.STORED, State.REFUSED}),
    State.STORED: frozenset({State.STORED, State.DECIDED, State.FAILED, State.REFUSED}),
    State.DECIDED: frozenset(
        {State.DECIDED, State.RELEASING, State.HELD, State.BLOCKED, State.FAILED, State.CANCELLED}
    ),
    State.RELEASING: frozenset({State.RELEASING, State.RELEASED, State.REDACTED, State.HELD, State.CANCELLED}),
    State.HELD: frozenset({State.RELEASING, State.REJECTED}),
    State.RELEASED: frozenset(),
    State.REDACTED: frozenset(),
    State.BLOCKED: frozenset(),
    State.REFUSED: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Which state may follow which; everything else is refused."""
