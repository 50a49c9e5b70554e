"""What the books hold beside jobs: people, cases, copies, lists, incidents; each a value with an id and a version.

A record is written whole, never changed in place: whoever writes version n+1 has read version n, so of two people at
the same record one wins and the other is told. The event that belongs to a change carries a digest of each record that
it wrote; what lies in the table can be held against the trail (`digest`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from dlp.model import Frozen


class Value(Protocol):
    """What a record holds: an immutable struct of msgspec."""

    @property
    def id(self) -> str:
        """Return what it is called by; unique within its kind."""

    @property
    def version(self) -> int:
        """Return how often it was written, from 1."""


V = TypeVar("V", bound=Value)


class Columns(NamedTuple):
    """What a list of records is asked for. Copies of what the value holds; never read back as truth."""

    state: str = ""
    job: str = ""
    who: str = ""
    """The account, unit or holder that it belongs to."""
    due: float = 0.0
    """By when something has to be done about it; 0: never."""
    at: float = 0.0
    """When it was made: lists are in this order."""


class Kind(Generic[V]):
    """One kind of record: its name in the table, its type, and how its columns are read off."""

    def __init__(self, name: str, type_: type[V], columns: Callable[[V], Columns]) -> None:
        self.name = name
        self.type = type_
        self.columns = columns
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(type_)

    def row(self, value: V) -> dict[str, Any]:
        """Return a value as the columns of its row."""
        raw = self._encoder.encode(value)
        return {
            "kind": self.name,
            "id": value.id,
            "version": value.version,
            **self.columns(value)._asdict(),
            "value": raw,
        }

    def value(self, raw: bytes) -> V:
        """Return the value that a row holds; msgspec.DecodeError when it is damaged."""
        return self._decoder.decode(raw)


class RecordFilter(Frozen, frozen=True, kw_only=True):
    """Which records are wanted; what is left at its default is not asked for."""

    states: tuple[str, ...] = ()
    job: str = ""
    who: str = ""
    due_before: float = 0.0
    """Something had to be done before this moment."""
    since: float = 0.0
    until: float = float("inf")


def wanted(only: RecordFilter | None) -> dict[str, Any]:
    """Return what a filter asks for, by the word for it; what is empty is not asked for."""
    only = only or RecordFilter()
    return {
        "states": msgspec.json.encode(only.states).decode() if only.states else "",
        "job": only.job,
        "who": only.who,
        "due_before": only.due_before or "",
        "since": only.since or "",
        "until": only.until if only.until < float("inf") else "",
    }


JOB = "job"
"""How an event calls a row of the table of jobs; no kind of record has this name."""


def name(kind: str, id: str) -> str:  # noqa: A002  the column's name
    """Return how an event calls a record."""
    return f"{kind}:{id}"


def digest(raw: bytes) -> str:
    """Return what an event says of a record: `sha256:` and 64 hexadecimal digits over the row's value."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
