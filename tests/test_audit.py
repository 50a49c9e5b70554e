"""The audit chain: every way of changing it is found, at the right place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp import audit
from dlp.audit import GENESIS, AuditEvent
from dlp.model import evolve

COUNT = 9


def event(seq: int, prev: str, body: dict[str, Any], *, actor: str = "gate") -> AuditEvent:
    """Make one event that follows `prev`."""
    at, kind, job = f"2026-01-01T00:00:00.{seq:03d}+00:00", "job.moved", f"JOB{seq}"
    own = audit.link(seq=seq, at=at, actor=actor, kind=kind, job=job, body=audit.canonical(body), prev=prev)
    return AuditEvent(seq=seq, at=at, actor=actor, kind=kind, job=job, body=body, prev=prev, hash=own)


def chain(count: int = COUNT, *, actor: str = "gate") -> list[AuditEvent]:
    """Make a whole chain."""
    events: list[AuditEvent] = []
    for seq in range(1, count + 1):
        body = {"state": "held", "规则": ["a", "b"], "count": seq, "nested": {"z": None, "a": 1.5}}
        events.append(event(seq, events[-1].hash if events else GENESIS, body, actor=actor))
    return events


def relink(events: Sequence[AuditEvent]) -> list[AuditEvent]:
    """Number and hash all events anew, as somebody who wants to cover a change would."""
    whole: list[AuditEvent] = []
    for seq, old in enumerate(events, 1):
        whole.append(event(seq, whole[-1].hash if whole else GENESIS, old.body, actor=old.actor))
    return whole


def test_a_whole_chain_verifies() -> None:
    """Count and head are those of the last event, with and without a kept head."""
    events = chain()
    for heads in (None, {0: GENESIS}, {1: events[0].hash}, {COUNT: events[-1].hash}):
        report = audit.verify(iter(events), heads=heads)
        assert report == audit.Report(count=COUNT, head=events[-1].hash)


def test_an_empty_chain_verifies() -> None:
    """Before the first event the head is the genesis."""
    assert audit.verify([]) == audit.Report(count=0, head=GENESIS)


def test_the_hash_is_what_an_outsider_computes() -> None:
    """Anybody can check a link with SHA-256 and JSON alone: [seq, at, actor, kind, job, body text, prev]."""
    one = chain(1)[0]
    body = json.dumps(one.body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    row = [one.seq, one.at, one.actor, one.kind, one.job, body, GENESIS]
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    assert one.hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("field", ["at", "actor", "kind", "job", "body", "prev", "hash", "seq"])
@pytest.mark.parametrize("place", range(COUNT))
def test_a_changed_event_is_found_where_it_is(place: int, field: str) -> None:
    """A change of any one field breaks the chain at that event, and the head is the last good one."""
    events = chain()
    changed: Any = {"body": {**events[place].body, "count": 99}, "seq": 77}.get(field, "0" * 64)
    events[place] = evolve(events[place], **{field: changed})
    report = audit.verify(events)
    assert report.broken_at == place + 1
    assert [fault.at for fault in report.faults] == [place + 1]
    assert report.count == place
    assert report.head == (events[place - 1].hash if place else GENESIS)


@pytest.mark.parametrize("place", range(COUNT))
def test_a_change_with_its_own_hash_made_new_is_found(place: int) -> None:
    """Who hashes the changed event anew breaks the next one; for the last one a kept head tells."""
    events = chain()
    heads = {COUNT: events[-1].hash}
    events[place] = event(place + 1, events[place].prev, {"state": "released"})
    report = audit.verify(events, heads=heads)
    assert report.broken_at == (place + 2 if place + 1 < COUNT else 1)


@pytest.mark.parametrize("place", range(COUNT - 1))
def test_a_removed_event_is_found(place: int) -> None:
    """The gap is told at the number that is missing."""
    events = chain()
    del events[place]
    assert audit.verify(events).broken_at == place + 1


@pytest.mark.parametrize("place", range(COUNT - 1))
def test_two_events_in_each_others_place_are_found(place: int) -> None:
    """Swapped rows break at the first of them, also when their numbers were swapped back."""
    events = chain()
    events[place], events[place + 1] = events[place + 1], events[place]
    assert audit.verify(events).broken_at == place + 1
    events[place], events[place + 1] = evolve(events[place], seq=place + 1), evolve(events[place + 1], seq=place + 2)
    assert audit.verify(events).broken_at == place + 1


@pytest.mark.parametrize("place", range(COUNT))
def test_an_inserted_event_is_found(place: int) -> None:
    """An event put in between breaks the chain right there or at the one it pushed aside."""
    events = chain()
    events.insert(place, event(place + 1, events[place].prev, {"state": "released"}))
    assert audit.verify(events).broken_at == place + 2
    events = chain()
    events.insert(place, events[place])
    assert audit.verify(events).broken_at == place + 2


@pytest.mark.parametrize("kept", range(COUNT))
def test_a_cut_tail_is_found_against_a_kept_head(kept: int) -> None:
    """A cut end verifies by itself, which is why heads are kept; against the head it breaks after the last event."""
    events = chain()
    assert audit.verify(events[:kept]).broken_at is None
    report = audit.verify(events[:kept], heads={COUNT: events[-1].hash})
    assert (report.broken_at, report.count) == (kept + 1, kept)


@pytest.mark.parametrize(
    "forge",
    [
        lambda events: chain(COUNT, actor="thief"),
        lambda events: relink(events[:4] + events[5:]),
        lambda events: relink([*events[:4], event(1, GENESIS, {"state": "released"}), *events[4:]]),
    ],
    ids=["all new", "one removed", "one inserted"],
)
def test_a_chain_hashed_anew_is_found_against_a_kept_head(
    forge: Callable[[list[AuditEvent]], list[AuditEvent]],
) -> None:
    """A forged chain is whole in itself but does not hold the head that somebody kept."""
    events = chain()
    forged = forge(events)
    assert audit.verify(forged).broken_at is None
    assert audit.verify(forged, heads={COUNT: events[-1].hash}).broken_at is not None


@pytest.mark.parametrize("number", [0, 1, 3, -1])
def test_numbers_go_up_by_one(number: int) -> None:
    """A well-linked event with any number but the next one is refused: no event can hide in a leap."""
    first = event(1, GENESIS, {})
    assert audit.verify([first, event(number, first.hash, {})]).broken_at == 2


def test_a_chain_of_another_genesis_is_refused() -> None:
    """A trail that begins elsewhere breaks at its first event."""
    assert audit.verify([event(1, "0" * 64, {})]).broken_at == 1


BODIES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(1 << 63), (1 << 63) - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=5,
)


@given(BODIES)
def test_a_body_read_back_has_the_same_text(body: dict[str, Any]) -> None:
    """Canonical JSON does not depend on the order of keys and survives being stored and read."""
    text = audit.canonical(body)
    assert audit.canonical(dict(reversed(body.items()))) == text
    assert audit.canonical(json.loads(text)) == text
