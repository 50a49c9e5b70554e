"""The audit trail is a hash chain: each event's hash covers the event and the hash before it.

Whoever edits, removes, inserts or reorders a row breaks the chain from there on. Cutting off the end is seen only
against a head (sequence and hash) that somebody kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TextIO

import msgspec

from dlp.model import Frozen

GENESIS = hashlib.sha256("文印闸 wenyin-gate audit trail, version 1".encode()).hexdigest()


class AuditEvent(Frozen, frozen=True, kw_only=True):
    """One thing that happened. `body` holds counts, rules, hashes and states: never content."""

    seq: int
    at: str
    """ISO 8601, UTC, milliseconds; for people, order is by `seq`."""
    actor: str
    kind: str
    job: str
    body: dict[str, Any]
    prev: str
    hash: str


class Report(Frozen, frozen=True, kw_only=True):
    """What a verification saw: how many events, the last hash, and where the chain breaks, if it does."""

    count: int
    head: str
    broken_at: int | None = None
    why: str = ""


def link(*, seq: int, at: str, actor: str, kind: str, job: str, body: str, prev: str) -> str:
    """Return the SHA-256 (hex) of one event; `body` is its canonical JSON."""
    canonical = msgspec.json.encode([seq, at, actor, kind, job, body, prev])
    return hashlib.sha256(canonical).hexdigest()


def canonical(body: dict[str, Any]) -> str:
    """Return `body` as JSON with sorted keys: the same dictionary always gives the same text."""
    return msgspec.json.encode(body, order="sorted").decode()


def verify(events: Iterable[AuditEvent], expect: tuple[int, str] | None = None) -> Report:
    """Walk the chain from its genesis; `expect` is a head (seq, hash) that must still be in it."""
    prev, count = GENESIS, 0
    met = expect is None or expect[0] == 0
    for event in events:
        count += 1
        if event.seq != count:
            return Report(count=count - 1, head=prev, broken_at=count, why="an event is missing or out of order")
        if event.prev != prev:
            return Report(count=count - 1, head=prev, broken_at=count, why="the event does not follow the one before")
        own = link(
            seq=event.seq,
            at=event.at,
            actor=event.actor,
            kind=event.kind,
            job=event.job,
            body=canonical(event.body),
            prev=prev,
        )
        if own != event.hash:
            return Report(count=count - 1, head=prev, broken_at=count, why="the event was changed")
        prev = own
        if expect is not None and event.seq == expect[0]:
            met = event.hash == expect[1]
    if not met:
        return Report(count=count, head=prev, broken_at=count + 1, why="the kept head is not in the chain")
    return Report(count=count, head=prev)


def export(events: Iterable[AuditEvent], out: TextIO) -> int:
    """Write one JSON object a line, keys of `body` sorted; return how many."""
    count = 0
    for event in events:
        out.write(msgspec.json.encode(event, order="deterministic").decode() + "\n")
        count += 1
    return count
