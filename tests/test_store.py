"""The contract of the books, for every store: state and event together or not at all, and nothing forgotten."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dlp import audit
from dlp.errors import Conflict, NotFound, StoreError
from dlp.model import Action, Finding, Frozen, Gap, GapKind, Item, Level, Say, Slice, State, Verdict, evolve
from dlp.store import NEXT, AuditEvent, EventFilter, Job, JobFilter, Sealed, record, schema
from dlp.store.record import Columns, Kind, RecordFilter
from dlp.store.sqlite import SqliteStore

ROAD: dict[State, tuple[State, ...]] = {
    State.TAKING: (),
    State.STORED: (State.STORED,),
    State.REFUSED: (State.REFUSED,),
    State.DECIDED: (State.STORED, State.DECIDED),
    State.FAILED: (State.STORED, State.FAILED),
    State.RELEASING: (State.STORED, State.DECIDED, State.RELEASING),
    State.RELEASED: (State.STORED, State.DECIDED, State.RELEASING, State.RELEASED),
    State.REDACTED: (State.STORED, State.DECIDED, State.RELEASING, State.REDACTED),
    State.HELD: (State.STORED, State.DECIDED, State.HELD),
    State.BLOCKED: (State.STORED, State.DECIDED, State.BLOCKED),
    State.REJECTED: (State.STORED, State.DECIDED, State.HELD, State.REJECTED),
    State.RETURNED: (State.STORED, State.DECIDED, State.HELD, State.RETURNED),
    State.CANCELLED: (State.STORED, State.DECIDED, State.CANCELLED),
    State.WITHHELD: (State.STORED, State.DECIDED, State.WITHHELD),
    State.HANDED_OVER: (State.STORED, State.DECIDED, State.WITHHELD, State.HANDED_OVER),
}
APPEND = """
import sys
from pathlib import Path
from dlp.store.sqlite import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]), create=False)
print("ready", flush=True)
sys.stdin.read(1)
for n in range(int(sys.argv[3])):
    store.note(actor=sys.argv[2], kind="test.noted", job="", body={"n": n})
store.close()
"""
OPEN = """
import sys
from pathlib import Path
from dlp.store.sqlite import SqliteStore

with SqliteStore.hold_exclusive(Path(sys.argv[1])):
    store = SqliteStore.open(Path(sys.argv[1]), create=True)
    store.close()
    print("held", flush=True)
    sys.stdin.read()
"""
MOVE_AND_DIE = """
import os, sys
from pathlib import Path
from dlp.model import State
from dlp.store.sqlite import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]), create=False)
store.move(sys.argv[2], expect=State.TAKING, to=State.STORED, actor="a", kind="k", body={})
os.kill(os.getpid(), 9)
"""


BRING_UP = """
import sys
from pathlib import Path
from dlp.store.sqlite import SqliteStore

SqliteStore.open(Path(sys.argv[1]), create=True).close()
"""
OLD_BOOKS = Path(__file__).with_name("books_v1.db")
"""Books that version 0.1 wrote: four files through the whole gate, and one job in each state."""


def old_books(root: Path) -> Path:
    """Lay out a copy of the old books."""
    path = root / "books.db"
    shutil.copy(OLD_BOOKS, path)
    path.chmod(0o600)
    return path


def old_rows(path: Path) -> tuple[dict[str, Job], list[tuple[Any, ...]]]:
    """Read old books with SQLite and msgpack alone."""
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    jobs = {id_: msgspec.msgpack.decode(value, type=Job) for id_, value in db.execute("SELECT id, value FROM job")}
    events = db.execute("SELECT seq, at, actor, kind, job, prev, hash FROM event ORDER BY seq").fetchall()
    db.close()
    return jobs, events


class Note(Frozen, frozen=True, kw_only=True):
    """A record of these tests."""

    id: str
    version: int = 1
    text: str
    state: str = ""
    job: str = ""
    who: str = ""
    due: float = 0.0
    at: float = 0.0


def _columns(note: Note) -> Columns:
    return Columns(state=note.state, job=note.job, who=note.who, due=note.due, at=note.at)


NOTES = Kind("note", Note, _columns)
OTHERS = Kind("other", Note, _columns)


def put(store: SqliteStore, note: Note, kind: Kind[Note] = NOTES) -> Note:
    """Write a record and an event."""
    with store.change() as entry:
        entry.put(kind, note)
        entry.append("a", "noted", "", {})
    return note


def name(number: int) -> str:
    """Give the id of job `number`; they sort as they are numbered."""
    return f"01J{number:023d}"


def new(number: int = 1) -> Job:
    """Give a job that is just being taken."""
    item = Item(id=name(number), source="folder:outbox", path="甲/乙.docx", name="乙.docx", receipt=b"\x00\xffage")
    return Job(id=item.id, item=item, state=State.TAKING, created=1.5, updated=1.5)


def add(store: SqliteStore, number: int = 1) -> Job:
    """Add a job."""
    return store.add(new(number), actor="gate", kind="job.taken", body={"number": number})


def bring(store: SqliteStore, number: int, to: State) -> Job:
    """Add a job and move it along the allowed road to a state."""
    job = add(store, number)
    for state in ROAD[to]:
        job = store.move(job.id, expect=job.state, to=state, actor="gate", kind="job.moved", body={})
    return job


def bring_with(store: SqliteStore, number: int, to: State) -> Job:
    """Bring a job that differs from others in all that a list can be asked for."""
    names = ("工资表.xlsx", "Report７.docx", "report7 工资.pdf", "a.txt")
    item = Item(
        id=name(number),
        source=f"folder:{'一二三'[number % 3]}",
        path=f"甲/{names[number % 4]}",
        name=names[number % 4],
        owner=f"{number % 5} 号窗口",
    )
    job = Job(id=item.id, item=item, state=State.TAKING, created=float(number), updated=float(number))
    store.add(job, actor="gate", kind="job.taken", body={})
    verdict = Verdict(action=Action.QUARANTINE, level=list(Level)[number % 6] if number % 7 else None)
    for state in ROAD[to]:
        more = {"verdict": verdict} if state is State.DECIDED else {}
        job = store.move(job.id, expect=job.state, to=state, actor="gate", kind="job.moved", body={}, **more)
    return job


def add_withheld(store: SqliteStore, places: Sequence[str]) -> tuple[Job, ...]:
    """Add withheld jobs at once, one for each place where a copy is laid out for its owner (empty: it is back)."""
    jobs = tuple(evolve(new(n), state=State.WITHHELD, place=place) for n, place in enumerate(places, 1))
    with store.change() as entry:
        for job in jobs:
            entry.add(job)
        entry.append("gate", "job.taken", "", {})
    return jobs


def steps_of(store: SqliteStore) -> tuple[int, tuple[Job, ...]]:
    """Ask for what is under way, also back; return how many steps SQLite took for it, and what it is."""
    count = 0

    def one() -> int:
        nonlocal count
        count += 1
        return 0

    store._db.set_progress_handler(one, 1)
    found = (*store.unfinished(), *store.on_their_way_back())
    store._db.set_progress_handler(None, 1)
    return count, found


def back_to_3(db: sqlite3.Connection) -> None:
    """Take away what the fourth form of the books has more than the third."""
    db.execute("DROP INDEX job_on_its_way_back")
    db.execute("ALTER TABLE job DROP COLUMN place")


def shape(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Give every table with its columns, and every index with its condition."""
    names = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql <> ''"
    ).fetchall()
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    info = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
    columns = [(table, str(sorted(db.execute(info, (table,))))) for (table,) in tables]
    return names + columns


def level_of(job: Job) -> Level | None:
    """Give the level of a job's verdict."""
    return job.verdict.level if job.verdict else None


def pairs(asked: list[tuple[Any, Callable[[Any], bool]]]) -> Iterator[tuple[Any, Callable[[Any], bool]]]:
    """Give a filter for every two that ask for different things, with what fits both."""
    for (one, fits), (other, also) in permutations(asked, 2):
        plain = msgspec.structs.asdict(type(one)())
        first, second = ({k: v for k, v in msgspec.structs.asdict(f).items() if v != plain[k]} for f in (one, other))
        if not first.keys() & second.keys():
            yield type(one)(**first, **second), lambda value, f=fits, g=also: f(value) and g(value)  # type: ignore[misc]


def whole(store: SqliteStore) -> tuple[object, ...]:
    """Give all that a store knows, to compare before and after."""
    return store.jobs(), tuple(store.events()), store.head(), frozenset(store.ids())


class StoreContract(ABC):
    """What every store promises; a class for a new store gives `make` and inherits the tests."""

    @abstractmethod
    def make(self, root: Path) -> SqliteStore:
        """Open the store that lives under `root`, making it at first."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SqliteStore]:
        """Give a new, empty store."""
        store = self.make(tmp_path)
        yield store
        store.close()

    def test_a_new_store_is_empty(self, store: SqliteStore) -> None:
        """No job, no event, and the head is the genesis."""
        assert whole(store) == ((), (), (0, audit.GENESIS), frozenset())
        assert store.unfinished() == ()

    def test_a_job_comes_back_as_it_was_given(self, store: SqliteStore) -> None:
        """Every field survives, and one event tells of the job."""
        job = add(store)
        assert job == new()
        assert store.get(job.id) == job
        assert store.jobs() == (job,)
        assert list(store.ids()) == [job.id]
        (event,) = store.events()
        assert (event.seq, event.actor, event.kind, event.job) == (1, "gate", "job.taken", job.id)
        assert event.body == {"number": 1, "records": {f"job:{job.id}": store.digests()[1][f"job:{job.id}"]}}
        assert store.head() == (1, event.hash)

    def test_an_id_is_used_once(self, store: SqliteStore) -> None:
        """A second job of the same id is refused, and no event tells of it."""
        add(store)
        before = whole(store)
        with pytest.raises(StoreError):
            store.add(new(), actor="gate", kind="job.taken", body={})
        assert whole(store) == before

    def test_a_move_writes_state_fields_and_event(self, store: SqliteStore) -> None:
        """The version goes up by one, given fields are new, the others stay, the event names the state."""
        job = add(store)
        fields: dict[str, Any] = {
            "sealed": Sealed(id=job.id, sha256="ab" * 32, size=1 << 40, sealed_size=7),
            "verdict": Verdict(action=Action.QUARANTINE, shadowed=Action.BLOCK),
            "findings": (Finding(rule="r", pack="p", type="term", category="c", slices=(Slice(0, 1, 2),)),),
            "gaps": (Gap(kind=GapKind.ENCRYPTED, part=("附件.zip", "b.docx")),),
            "note": Say("一", "one"),
        }
        moved = store.move(
            job.id, expect=State.TAKING, to=State.STORED, actor="gate", kind="job.stored", body={"size": 1}, **fields
        )
        assert moved.state is State.STORED
        assert moved.version == 2
        assert moved.updated > job.updated
        assert (moved.item, moved.created) == (job.item, job.created)
        assert {k: getattr(moved, k) for k in fields} == fields
        assert store.get(job.id) == moved
        event = list(store.events())[-1]
        assert (event.seq, event.kind, event.job) == (2, "job.stored", job.id)
        told = {f"job:{job.id}": store.digests()[1][f"job:{job.id}"]}
        assert event.body == {"state": "stored", "size": 1, "records": told}

    def test_several_expected_states_are_allowed(self, store: SqliteStore) -> None:
        """A move fits when the job is in any one of them."""
        job = bring(store, 1, State.DECIDED)
        moved = store.move(job.id, expect=[State.STORED, State.DECIDED], to=State.HELD, actor="a", kind="k", body={})
        assert moved.state is State.HELD

    def test_a_wrong_expectation_changes_nothing(self, store: SqliteStore) -> None:
        """Who thinks that the job is elsewhere is refused, though the step itself is allowed."""
        job = bring(store, 1, State.HELD)
        before = whole(store)
        for expect in (State.DECIDED, (), (State.TAKING, State.RELEASING)):
            with pytest.raises(StoreError, match="held"):
                store.move(job.id, expect=expect, to=State.RELEASING, actor="a", kind="k", body={})
        assert whole(store) == before

    @pytest.mark.parametrize("state", list(State), ids=lambda s: s.value)
    def test_only_the_written_steps_are_allowed(self, store: SqliteStore, state: State) -> None:
        """From each state every step that NEXT does not name is refused and changes nothing; the named ones go."""
        for number, to in enumerate(State):
            job = bring(store, number, state)
            before = whole(store)
            if to in NEXT[state]:
                assert store.move(job.id, expect=state, to=to, actor="a", kind="k", body={}).state is to
                continue
            with pytest.raises(StoreError):
                store.move(job.id, expect=state, to=to, actor="a", kind="k", body={})
            assert whole(store) == before

    def test_of_two_reviewers_one_wins(self, store: SqliteStore) -> None:
        """Both want to end the same held job at once: one move goes through, with one event."""
        job = bring(store, 1, State.HELD)
        count, gate, results = store.head()[0], threading.Barrier(2), list[str]()

        def review(to: State) -> None:
            gate.wait(30)
            try:
                store.move(job.id, expect=State.HELD, to=to, actor="reviewer", kind="k", body={})
            except StoreError:
                results.append("refused")
            else:
                results.append(to.value)

        both = [threading.Thread(target=review, args=(to,)) for to in (State.RELEASING, State.REJECTED)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert sorted(results) == sorted(["refused", store.get(job.id).state.value])
        assert store.head()[0] == count + 1

    def test_a_move_of_no_job_is_told(self, store: SqliteStore) -> None:
        """An id that is not there is NotFound; a beginning of an id is not enough to move a job."""
        job = add(store)
        before = whole(store)
        for id_ in ("nothing", job.id[:10]):
            with pytest.raises(NotFound):
                store.move(id_, expect=State.TAKING, to=State.STORED, actor="a", kind="k", body={})
        assert whole(store) == before

    @pytest.mark.parametrize(
        "body", [{"x": object()}, {"x": "\ud800"}, {1j: "x"}], ids=["object", "surrogate", "complex key"]
    )
    def test_state_and_event_are_one(self, store: SqliteStore, body: dict[str, Any]) -> None:
        """When the event cannot be written the state is not either, and the store goes on working."""
        job = add(store)
        before = whole(store)
        for change in (
            lambda: store.move(job.id, expect=State.TAKING, to=State.STORED, actor="a", kind="k", body=body),
            lambda: store.add(new(2), actor="a", kind="k", body=body),
            lambda: store.note(actor="a", kind="k", job="", body=body),
        ):
            with pytest.raises((TypeError, UnicodeEncodeError, StoreError)):
                change()
            assert whole(store) == before
        store.move(job.id, expect=State.TAKING, to=State.STORED, actor="a", kind="k", body={})
        assert audit.verify(store.events(), heads=dict([before[2]])).broken_at is None  # type: ignore[arg-type]

    def test_an_unknown_field_changes_nothing(self, store: SqliteStore) -> None:
        """A move with a field that a job does not have is a bug and leaves no trace."""
        job = add(store)
        before = whole(store)
        with pytest.raises((TypeError, AttributeError)):
            store.move(job.id, expect=State.TAKING, to=State.STORED, actor="a", kind="k", body={}, colour="red")
        assert whole(store) == before

    def test_a_job_is_found_by_a_beginning_of_its_id(self, store: SqliteStore) -> None:
        """Six characters or more are enough when they are unique, in small letters too."""
        job = store.add(Job(id="01ABCDEFGH", item=new().item, state=State.TAKING), actor="a", kind="k", body={})
        for number in (1, 2):
            add(store, number)
        for prefix in ("01ABCDEFGH", "01ABCD", "01abcd", "01AbCdEf"):
            assert store.get(prefix) == job
        with pytest.raises(NotFound, match="several"):
            store.get("01J000")
        for prefix in ("", "01ABC", "01ABCE", "01ABCDEFGHI", "%", "______", "01ABC%", "*"):
            with pytest.raises(NotFound):
                store.get(prefix)

    def test_an_exact_id_wins_over_a_longer_one(self, store: SqliteStore) -> None:
        """An id that is the beginning of another one is not ambiguous."""
        for id_ in ("01ABCDE", "01ABCDEF"):
            store.add(Job(id=id_, item=new().item, state=State.TAKING), actor="a", kind="k", body={})
        assert store.get("01ABCDE").id == "01ABCDE"

    def test_jobs_come_newest_first_by_state_in_pages(self, store: SqliteStore) -> None:
        """The order is by id, whatever the order of adding; `limit` and `before` walk all of them once."""
        for number in (3, 1, 5):
            add(store, number)
        for number in (4, 2):
            bring(store, number, State.HELD)
        assert [j.id for j in store.jobs()] == [name(n) for n in (5, 4, 3, 2, 1)]
        assert [j.id for j in store.jobs([State.HELD])] == [name(4), name(2)]
        assert [j.id for j in store.jobs([State.HELD, State.TAKING], limit=2)] == [name(5), name(4)]
        assert store.jobs([State.RELEASED]) == ()
        assert list(store.ids()) == [name(n) for n in (5, 4, 3, 2, 1)]
        walked: list[str] = []
        while page := store.jobs(limit=2, before=walked[-1] if walked else ""):
            assert len(page) <= 2
            walked += [j.id for j in page]
        assert walked == [name(n) for n in (5, 4, 3, 2, 1)]

    def test_a_list_holds_exactly_what_is_asked_for(self, store: SqliteStore) -> None:
        """Each filter and each pair of them gives what a look at every job gives; pages and counts do too."""
        every = [
            job
            for number in range(48)
            for job in [bring_with(store, number, (State.HELD, State.BLOCKED, State.DECIDED, State.TAKING)[number % 4])]
        ][::-1]
        asked: list[tuple[JobFilter, Callable[[Job], bool]]] = [
            (JobFilter(), lambda _: True),
            (JobFilter(level=Level.CONFIDENTIAL), lambda j: level_of(j) is Level.CONFIDENTIAL),
            (JobFilter(source="folder:二"), lambda j: j.item.source == "folder:二"),
            (JobFilter(owner="3 号窗口"), lambda j: j.item.owner == "3 号窗口"),
            (JobFilter(since=20.0), lambda j: j.created >= 20),
            (JobFilter(until=20.0), lambda j: j.created < 20),
            (JobFilter(since=10.0, until=30.0), lambda j: 10 <= j.created < 30),
            (JobFilter(name="工资"), lambda j: "工资" in j.item.name),
            (JobFilter(name="REPORT７"), lambda j: j.item.name.lower().startswith("report")),
            (JobFilter(name="%_"), lambda _: False),
        ]
        for only, fits in (*asked, *pairs(asked)):
            for states in ((), (State.HELD,), (State.HELD, State.BLOCKED), (State.BLOCKED, State.HELD, State.HELD)):
                due = [j for j in every if fits(j) and (not states or j.state in states)]
                assert list(store.jobs(states, only=only)) == due, (only, states)
                assert list(store.each(states, only=only)) == due
                assert store.count(states, only=only) == len(due)
                walked: list[Job] = []
                while page := store.jobs(states, only=only, limit=5, before=walked[-1].id if walked else ""):
                    walked += page
                assert walked == due

    def test_a_move_moves_what_is_listed(self, store: SqliteStore) -> None:
        """A job is found by the level of its latest verdict, and by its latest name."""
        job = bring(store, 1, State.STORED)
        assert store.jobs(only=JobFilter(level=Level.SECRET)) == ()
        item = evolve(job.item, name="改名.docx")
        store.move(
            job.id,
            expect=State.STORED,
            to=State.DECIDED,
            actor="a",
            kind="k",
            body={},
            item=item,
            verdict=Verdict(action=Action.QUARANTINE, level=Level.SECRET),
        )
        assert [j.id for j in store.jobs(only=JobFilter(level=Level.SECRET, name="改名"))] == [job.id]
        assert store.jobs(only=JobFilter(name="乙")) == ()

    def test_it_is_told_how_jobs_stand(self, store: SqliteStore) -> None:
        """Each asked id comes back in its place, with its state, or as unknown; more than one page of them too."""
        job = bring(store, 1, State.HELD)
        asked = [f"no such job {n}" for n in range(1_200)]
        asked.insert(700, job.id)
        told = list(store.standing(iter(asked)))
        assert [row[0] for row in told] == asked
        assert told[700] == (job.id, State.HELD, job.updated)
        assert [store.has(one) for one in (job.id, job.id[:10], "")] == [True, False, False]
        assert {row[1:] for row in told if row[0] != job.id} == {(None, 0.0)}

    def test_ids_come_newest_first_by_state(self, store: SqliteStore) -> None:
        """More than one page comes without a gap or a double."""
        for number in range(1_203):
            add(store, number)
        bring(store, 5_000, State.HELD)
        assert list(store.ids((State.TAKING,))) == [name(n) for n in reversed(range(1_203))]
        assert list(store.ids((State.HELD,))) == [name(5_000)]
        assert list(store.ids()) == [name(5_000), *(name(n) for n in reversed(range(1_203)))]

    def test_events_are_found_by_person_kind_job_and_time(self, store: SqliteStore) -> None:
        """Each question, and each pair of them, gives what a look at every event gives, newest first, in pages too."""
        for n in range(60):
            store.note(actor=f"甲{n % 3}", kind=f"kind{n % 4}", job=name(n % 5), body={"n": n})
        every = list(store.events())[::-1]
        middle = every[30].at
        asked: list[tuple[EventFilter, Callable[[AuditEvent], bool]]] = [
            (EventFilter(), lambda _: True),
            (EventFilter(actor="甲1"), lambda e: e.actor == "甲1"),
            (EventFilter(kind="kind2"), lambda e: e.kind == "kind2"),
            (EventFilter(job=name(3)), lambda e: e.job == name(3)),
            (EventFilter(since=middle), lambda e: e.at >= middle),
            (EventFilter(until=middle), lambda e: e.at < middle),
            (EventFilter(actor="' OR 1=1 --"), lambda _: False),
        ]
        for only, fits in (*asked, *pairs(asked)):
            due = [e for e in every if fits(e)]
            assert list(store.find_events(only)) == due
            walked: list[AuditEvent] = []
            while page := store.find_events(only, limit=7, before=walked[-1].seq if walked else 0):
                walked += page
            assert walked == due

    def test_unfinished_jobs_come_oldest_first(self, store: SqliteStore) -> None:
        """Exactly the jobs that a restart has to carry on: those on their way, not those that wait or ended."""
        for number, state in enumerate(State):
            bring(store, number, state)
        on_their_way = [State.TAKING, State.STORED, State.DECIDED, State.RELEASING]
        assert [j.state for j in store.unfinished()] == on_their_way
        assert [j.id for j in store.unfinished()] == sorted(j.id for j in store.unfinished())
        ended = {s for s in State if not NEXT[s]} | {State.HELD, State.REJECTED, State.WITHHELD}
        assert set(on_their_way) | ended == set(State)

    def test_jobs_on_their_way_back_come_oldest_first(self, store: SqliteStore) -> None:
        """Withheld, with a place: not before, not once the file is back, and no job of another state."""
        first = bring(store, 1, State.WITHHELD)
        second = bring(store, 2, State.DECIDED)
        third = bring(store, 3, State.DECIDED)
        fourth = bring(store, 4, State.RELEASING)
        step = {"actor": "gate", "kind": "job.moved", "body": {}}
        store.move(fourth.id, expect=State.RELEASING, to=State.RELEASING, **step, place="外发/c")
        late, early = (
            store.move(job.id, expect=State.DECIDED, to=State.WITHHELD, **step, place="外发-退还/a")
            for job in (third, second)
        )
        assert store.on_their_way_back() == (early, late)
        store.move(early.id, expect=State.WITHHELD, to=State.WITHHELD, **step, place="")
        store.move(first.id, expect=State.WITHHELD, to=State.WITHHELD, **step, place="外发-退还/b")
        assert [job.id for job in store.on_their_way_back()] == [first.id, late.id]
        store.move(late.id, expect=State.WITHHELD, to=State.HANDED_OVER, **step)
        assert [job.id for job in store.on_their_way_back()] == [first.id]

    def test_events_come_in_order_and_from_a_point(self, store: SqliteStore) -> None:
        """More than one page of 1000 comes without a gap or a double, and the chain is whole."""
        for n in range(2005):
            store.note(actor="gate", kind="test.noted", job="", body={"n": n})
        events = list(store.events())
        assert [e.seq for e in events] == list(range(1, 2006))
        assert [e.body["n"] for e in events] == list(range(2005))
        assert [e.seq for e in store.events(2003)] == [2004, 2005]
        assert list(store.events(2005)) == []
        assert audit.verify(events) == audit.Report(count=2005, head=store.head()[1])
        assert all(a.hash == b.prev for a, b in pairwise(events))

    def test_events_may_be_written_while_they_are_read(self, store: SqliteStore) -> None:
        """A slow reader holds nobody up and sees a whole chain."""
        store.note(actor="a", kind="k", job="", body={})
        reading = store.events()
        next(reading)
        store.note(actor="a", kind="k", job="", body={})
        assert [e.seq for e in reading] in ([], [2])

    def test_threads_never_fork_the_chain(self, store: SqliteStore) -> None:
        """Four threads that append at once make one chain with nothing lost."""

        def append(actor: str) -> None:
            for n in range(50):
                store.note(actor=actor, kind="test.noted", job="", body={"n": n})

        threads = [threading.Thread(target=append, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert audit.verify(store.events()) == audit.Report(count=200, head=store.head()[1])

    def test_a_record_comes_back_as_it_was_written(self, store: SqliteStore) -> None:
        """A record and the event that tells of it are one; the event carries a digest of what lies in the table."""
        note = put(store, Note(id="a", text="甲"))
        assert store.record(NOTES, "a") == note
        (event,) = store.events()
        assert store.digests() == (1, event.body["records"])
        assert event.body["records"] == {"note:a": record.digest(NOTES.row(note)["value"])}
        with pytest.raises(NotFound):
            store.record(NOTES, "b")

    def test_of_two_people_at_one_record_one_wins(self, store: SqliteStore) -> None:
        """Who has read an older version is told, and nothing of his change is written; nor is a second new one."""
        first = put(store, Note(id="a", text="甲"))
        put(store, evolve(first, text="乙", version=2))
        for late in (evolve(first, text="丙", version=2), Note(id="a", text="丁"), evolve(first, version=4)):
            with pytest.raises(Conflict, match="somebody else"):
                put(store, late)
        assert store.record(NOTES, "a").text == "乙"
        assert len(tuple(store.events())) == 2

    def test_records_of_one_change_are_written_together(self, store: SqliteStore) -> None:
        """Two records, a job and the event: where one of them cannot be written, none is."""
        add(store)
        first = put(store, Note(id="a", text="甲"))

        def write_all() -> None:
            with store.change() as entry:
                entry.put(NOTES, Note(id="b", text="乙"))
                entry.move(name(1), (State.TAKING,), State.STORED, {})
                entry.put(NOTES, evolve(first, version=7))
                entry.append("a", "k", "", {})

        with pytest.raises(Conflict):
            write_all()
        assert [one.id for one in store.records(NOTES)] == ["a"]
        assert store.get(name(1)).state is State.TAKING

    def test_a_record_without_an_event_is_a_bug(self, store: SqliteStore) -> None:
        """Nothing changes that the trail does not tell."""
        with pytest.raises(RuntimeError, match="note:a"), store.change() as entry:
            entry.put(NOTES, Note(id="a", text="甲"))
        assert store.records(NOTES) == ()
        put(store, Note(id="a", text="乙"))

    def test_a_dropped_record_is_gone_and_told(self, store: SqliteStore) -> None:
        """The event says that there is none any more."""
        put(store, Note(id="a", text="甲"))
        with store.change() as entry:
            entry.drop(NOTES, "a")
            entry.append("a", "dropped", "", {})
        assert store.records(NOTES) == ()
        assert [event.body["records"]["note:a"] != "" for event in store.events()] == [True, False]
        with pytest.raises(NotFound), store.change() as entry:
            entry.drop(NOTES, "a")

    def test_a_list_of_records_holds_exactly_what_is_asked_for(self, store: SqliteStore) -> None:
        """By state, job, whose it is, day due and made, newest first, in pages; of this kind alone."""
        made = [
            put(
                store,
                Note(id=f"{n:02}", text="x", state="ab"[n % 2], job=name(n % 3), who="pq"[n % 2], due=n, at=n / 2),
            )
            for n in range(1, 25)
        ]
        put(store, Note(id="z", text="other"), kind=OTHERS)
        wanted: dict[Callable[[Note], bool], RecordFilter] = {
            lambda note: note.state == "a": RecordFilter(states=("a",)),
            lambda _: True: RecordFilter(states=("a", "b")),
            lambda note: note.job == name(2): RecordFilter(job=name(2)),
            lambda note: note.who == "p": RecordFilter(who="p"),
            lambda note: 0 < note.due < 7: RecordFilter(due_before=7),
            lambda note: 3 <= note.at < 9: RecordFilter(since=3, until=9),
            lambda note: note.state == "b" and note.due < 9: RecordFilter(states=("b",), due_before=9),
        }
        for holds, only in wanted.items():
            due = [note for note in reversed(made) if holds(note)]
            assert list(store.records(NOTES, only)) == due
            assert store.count_records(NOTES, only) == len(due)
            pages, last = [], None
            while page := store.records(NOTES, only, limit=3, after=last):
                pages += page
                last = page[-1]
            assert pages == due

    def test_all_is_there_after_reopening(self, store: SqliteStore, tmp_path: Path) -> None:
        """A store that was closed gives everything back and goes on with the same chain."""
        for number, state in enumerate(State):
            bring(store, number, state)
        before = whole(store)
        store.close()
        again = self.make(tmp_path)
        try:
            assert whole(again) == before
            again.note(actor="a", kind="k", job="", body={})
            report = audit.verify(again.events(), heads=dict([before[2]]))  # type: ignore[arg-type]
            assert (report.broken_at, report.count) == (None, again.head()[0])
        finally:
            again.close()


class TestSqlite(StoreContract):
    """The store in SQLite, and what only a file can suffer."""

    def make(self, root: Path) -> SqliteStore:
        """Open the books of this test."""
        return SqliteStore.open(root / "state" / "books.db", create=True)

    @pytest.fixture
    def path(self, store: SqliteStore, tmp_path: Path) -> Path:
        """Give the file of the open store."""
        return tmp_path / "state" / "books.db"

    def test_the_file_is_private(self, store: SqliteStore, path: Path) -> None:
        """The books and what SQLite lays beside them are readable by their owner only."""
        add(store)
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o600}

    def test_every_commit_is_synced(self, store: SqliteStore) -> None:
        """WAL with synchronous=FULL: what was told as written survives a power cut."""
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)

    def test_processes_never_fork_the_chain(self, store: SqliteStore, path: Path) -> None:
        """Three processes and this one append at once: one chain, nothing lost, nothing doubled."""
        children = [
            subprocess.Popen(
                [sys.executable, "-c", APPEND, str(path), f"p{n}", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for n in range(3)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            child.stdout.close()
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"x")
            child.stdin.close()
        for n in range(60):
            store.note(actor="here", kind="test.noted", job="", body={"n": n})
        assert [child.wait(60) for child in children] == [0, 0, 0]
        assert audit.verify(store.events()) == audit.Report(count=240, head=store.head()[1])
        for actor in ("here", "p0", "p1", "p2"):
            assert [e.body["n"] for e in store.events() if e.actor == actor] == list(range(60))

    def test_a_killed_process_leaves_whole_transactions(self, store: SqliteStore, path: Path) -> None:
        """What a move returned from is there after kill -9, with its event."""
        job = add(store)
        run = subprocess.run([sys.executable, "-c", MOVE_AND_DIE, str(path), job.id], check=False)
        assert run.returncode == -9
        assert store.get(job.id).state is State.STORED
        assert audit.verify(store.events()).count == 2

    @pytest.mark.parametrize("create", [True, False], ids=["gate", "desk"])
    def test_books_of_the_first_form_are_brought_up(self, tmp_path: Path, create: bool) -> None:
        """Books that version 0.1 wrote keep every job, event and hash, and have what a new list asks for."""
        path = old_books(tmp_path)
        jobs, events = old_rows(path)
        store = SqliteStore.open(path, create=create)
        assert {job.id: job for job in store.jobs()} == jobs
        assert [(e.seq, e.at, e.actor, e.kind, e.job, e.prev, e.hash) for e in store.events()] == events
        assert audit.verify(store.events()) == audit.Report(count=len(events), head=events[-1][-1])
        assert {e.mac for e in store.events()} == {""}
        for state in State:
            assert {job.id for job in store.jobs([state])} == {k for k, job in jobs.items() if job.state is state}
        for level in Level:
            due = {k for k, job in jobs.items() if level_of(job) is level}
            assert {job.id for job in store.jobs(only=JobFilter(level=level))} == due
        assert [job.item.name for job in store.jobs(only=JobFilter(name="合同"))] == ["合同.txt"]
        (held,) = store.jobs([State.HELD], only=JobFilter(name="held"))
        moved = store.move(held.id, expect=State.HELD, to=State.REJECTED, actor="a", kind="k", body={})
        assert store.get(held.id) == moved
        store.close()
        fresh = SqliteStore.open(tmp_path / "fresh.db", create=True)
        both = [sqlite3.connect(p).execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
                for p in (path, tmp_path / "fresh.db")]  # fmt: skip
        assert both[0] == both[1]
        fresh.close()

    def test_old_books_that_a_gate_holds_are_left_alone(self, tmp_path: Path) -> None:
        """An older gate at work would write rows that no list finds: the desk is refused, and nothing is changed."""
        path = old_books(tmp_path)
        before = old_rows(path)
        with SqliteStore.hold_exclusive(path), pytest.raises(StoreError, match="another gate"):
            SqliteStore.open(path, create=False)
        assert old_rows(path) == before

    def test_old_books_with_a_damaged_job_are_left_alone(self, tmp_path: Path) -> None:
        """A job that cannot be read is told, and nothing is half done."""
        path = old_books(tmp_path)
        db = sqlite3.connect(path)
        db.execute("UPDATE job SET value = x'00' WHERE id = (SELECT max(id) FROM job)")
        db.commit()
        with pytest.raises(StoreError):
            SqliteStore.open(path, create=True)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == {"job", "event"}
        db.close()

    def test_books_of_the_second_form_are_brought_up(self, store: SqliteStore, path: Path) -> None:
        """Books that knew no records get a table for them; jobs, events and seals stay as they were."""
        job = add(store)
        head = store.head()
        store._db.execute("DROP TABLE record")
        back_to_3(store._db)
        store._db.execute("PRAGMA user_version = 2")
        store.close()
        store = SqliteStore.open(path, create=False)
        assert (store.get(job.id), store.head(), store.records(NOTES)) == (job, head, ())
        put(store, Note(id="a", text="甲"))
        store.close()

    def test_what_stays_withheld_costs_nothing_to_whoever_carries_on(self, store: SqliteStore) -> None:
        """With 10,000 withheld jobs SQLite takes not one step more for what is under way than with none; no sort."""
        back = evolve(new(0), state=State.WITHHELD, place="外发-退还/a")
        with store.change() as entry:
            entry.add(back)
            entry.append("gate", "job.taken", "", {})
        alone = steps_of(store)
        assert alone[1] == (back,)
        add_withheld(store, [""] * 10_000)
        assert store.count((State.WITHHELD,)) == 10_001
        assert steps_of(store) == alone
        (plan,) = store._db.execute(f"EXPLAIN QUERY PLAN {schema.ON_THEIR_WAY_BACK}").fetchall()
        assert plan[3] == "SCAN job USING INDEX job_on_its_way_back"

    def test_books_of_the_third_form_are_brought_up(self, store: SqliteStore, path: Path) -> None:
        """Each job's place gets a column: what is on its way back is found, whatever came before is as it was."""
        jobs = add_withheld(store, ("外发-退还/a", "", "外发-退还/b", *[""] * 600, "外发-退还/c"))
        head, fresh = store.head(), shape(store._db)
        back_to_3(store._db)
        store._db.execute("PRAGMA user_version = 3")
        assert shape(store._db) != fresh
        store.close()
        store = SqliteStore.open(path, create=False)
        assert store.on_their_way_back() == tuple(job for job in jobs if job.place)
        assert (store.jobs(), store.head()) == (jobs[::-1], head)
        assert sorted(shape(store._db)) == sorted(fresh)
        store.close()

    @pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian package: strace)")
    @pytest.mark.timeout(600)
    def test_killed_at_some_writes_of_the_move(self, tmp_path: Path) -> None:
        """One in three of the points of the whole matrix, which `make test-long` goes through."""
        self.killed(tmp_path, one_in=3)

    @pytest.mark.long
    @pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian package: strace)")
    @pytest.mark.timeout(600)
    def test_killed_at_every_write_of_the_move(self, tmp_path: Path) -> None:
        """Whatever write or sync of the bringing up the process dies at, the next one finds old books or new ones."""
        self.killed(tmp_path)

    def killed(self, tmp_path: Path, *, one_in: int = 1) -> None:
        """Kill at each write or sync that bringing old books up makes, or at one in so many."""
        calls = "pwrite64,fdatasync,fsync"
        plain = tmp_path / "plain"
        plain.mkdir()
        jobs, events = old_rows(old_books(plain))
        trace = subprocess.run(
            ["strace", "-e", f"trace={calls}", sys.executable, "-c", BRING_UP, str(plain / "books.db")],
            capture_output=True,
            text=True,
            check=True,
        )
        seen = Counter(re.findall(r"^(\w+)\(", trace.stderr, re.MULTILINE))
        assert sum(seen.values()) >= 20
        for call, count in seen.items():
            for number in range(1, count + 1, one_in):
                root = tmp_path / f"{call}-{number}"
                root.mkdir()
                path = old_books(root)
                inject = f"inject={call}:signal=SIGKILL:when={number}"
                dead = subprocess.run(
                    ["strace", "-o", "/dev/null", "-e", inject, sys.executable, "-c", BRING_UP, str(path)], check=False
                )
                assert dead.returncode in (-9, 137), (call, number)
                store = SqliteStore.open(path, create=True)
                assert {job.id: job for job in store.jobs()} == jobs
                assert [e.hash for e in store.events()] == [row[-1] for row in events]
                store.close()

    def test_a_newer_schema_is_refused_and_left_alone(self, store: SqliteStore, path: Path) -> None:
        """Books of a later version are not opened, for reading or writing, and not changed."""
        add(store)
        store._db.execute("PRAGMA user_version = 99")
        store.close()
        raw = path.read_bytes()
        for create in (True, False):
            with pytest.raises(StoreError, match="newer"):
                SqliteStore.open(path, create=create)
        assert path.read_bytes() == raw

    def test_books_that_are_not_there_are_told(self, tmp_path: Path) -> None:
        """Without `create` no file is made."""
        with pytest.raises(StoreError, match="no job store"):
            SqliteStore.open(tmp_path / "books.db", create=False)
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_cannot_be_used_is_told(self, tmp_path: Path) -> None:
        """A file where the folder should be, or a folder where the file should be, is a StoreError."""
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
        for wrong in (tmp_path / "file" / "books.db", tmp_path / "folder"):
            with pytest.raises(StoreError):
                SqliteStore.open(wrong, create=True)

    def test_books_cut_to_nothing_are_not_begun_anew(self, store: SqliteStore, path: Path) -> None:
        """A reader of an emptied file gets a StoreError, not fresh books that verify."""
        add(store)
        store.close()
        path.write_bytes(b"")
        with pytest.raises(StoreError, match="empty"):
            SqliteStore.open(path, create=False)
        assert path.read_bytes() == b""

    def test_opening_at_once_for_the_first_time_makes_one_schema(self, store: SqliteStore, path: Path) -> None:
        """A second opener that came while the first one made the tables finds them, and does not fail."""
        add(store)
        late = sqlite3.connect(path, isolation_level=None)
        schema.bring_up(late, 0)  # 0 is what the second one read before the first one committed
        late.close()
        add(store, 2)
        assert [job.id for job in store.jobs()] == [name(2), name(1)]

    def test_two_gates_are_refused(self, tmp_path: Path) -> None:
        """The second gate on the same books is refused while the first lives, in this process or another."""
        path = tmp_path / "books.db"
        with SqliteStore.hold_exclusive(path):
            with pytest.raises(StoreError, match="another gate"), SqliteStore.hold_exclusive(path):
                pytest.fail("two gates hold the same books")
            run = subprocess.run(
                [sys.executable, "-c", OPEN, str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            assert run.returncode != 0
            assert b"held" not in run.stdout
        with SqliteStore.hold_exclusive(path):
            pass

    def test_a_killed_gate_frees_its_books(self, tmp_path: Path) -> None:
        """The hold ends with the process, however it ends; until then readers may open the books."""
        path = tmp_path / "books.db"
        child = subprocess.Popen([sys.executable, "-c", OPEN, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            with pytest.raises(StoreError), SqliteStore.hold_exclusive(path):
                pytest.fail("two gates hold the same books")
            SqliteStore.open(path, create=False).close()
            child.kill()
            child.wait(30)
            with SqliteStore.hold_exclusive(path):
                pass

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE event SET actor = 'thief'",
            "UPDATE event SET seq = seq + 10",
            "DELETE FROM event",
            "DELETE FROM event WHERE seq = 1",
        ],
    )
    def test_events_are_only_ever_added(self, store: SqliteStore, path: Path, statement: str) -> None:
        """The database refuses to change or remove an event, from whatever connection."""
        add(store)
        before = whole(store)
        other = sqlite3.connect(path, isolation_level=None)
        try:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(statement)
        finally:
            other.close()
        assert whole(store) == before

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE event SET body = '{}' WHERE seq = 3",
            "UPDATE event SET body = 'no json' WHERE seq = 3",
            "UPDATE event SET body = 5 WHERE seq = 3",
            "UPDATE event SET actor = x'00ff' WHERE seq = 3",
            "DELETE FROM event WHERE seq = 3",
        ],
    )
    def test_who_drops_the_triggers_breaks_the_chain(self, store: SqliteStore, path: Path, change: str) -> None:
        """A row changed or removed behind the triggers is found at its number."""
        for _ in range(5):
            store.note(actor="a", kind="k", job="", body={"n": 1})
        thief = sqlite3.connect(path, isolation_level=None)
        thief.execute("DROP TRIGGER event_is_never_updated")
        thief.execute("DROP TRIGGER event_is_never_deleted")
        thief.execute(change)
        thief.close()
        assert audit.verify(store.events()).broken_at == 3

    @pytest.mark.parametrize("left", [0.05, 0.3, 0.6, 0.95])
    def test_a_truncated_database_is_told(self, store: SqliteStore, path: Path, left: float) -> None:
        """A cut file is a StoreError at the opening or the reading, never fewer jobs without a word."""
        for number in range(300):
            add(store, number)
        store.close()
        raw = path.read_bytes()
        path.write_bytes(raw[: int(len(raw) * left)])
        with pytest.raises(StoreError):
            self.read_all(path)

    @pytest.mark.parametrize("damage", [lambda raw: b"x" * len(raw), lambda raw: raw[:4096] + bytes(len(raw) - 4096)])
    def test_a_garbled_database_is_told(self, store: SqliteStore, path: Path, damage: Callable[[bytes], bytes]) -> None:
        """What is no database, or has lost its pages, is a StoreError that names the file."""
        for number in range(300):
            add(store, number)
        store.close()
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(StoreError, match=r"books\.db"):
            self.read_all(path)

    def test_a_damaged_row_is_told(self, store: SqliteStore, path: Path) -> None:
        """A job that does not decode is a StoreError in every way of reading or moving it."""
        job = add(store)
        store._db.execute("UPDATE job SET value = x'c1'")
        for look in (
            lambda: store.get(job.id),
            lambda: store.get(job.id[:8]),
            store.jobs,
            store.unfinished,
            lambda: store.move(job.id, expect=State.TAKING, to=State.STORED, actor="a", kind="k", body={}),
        ):
            with pytest.raises(StoreError):
                look()
        assert store.head()[0] == 1

    def test_a_full_disk_changes_nothing(self, store: SqliteStore) -> None:
        """When the database cannot grow, a move leaves neither state nor event, and goes through once there is room."""
        job = add(store)
        before = whole(store)
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        big = {"x": "x" * 100_000}
        with pytest.raises(StoreError, match="SQLITE_FULL"):
            store.move(job.id, expect=State.TAKING, to=State.STORED, actor="a", kind="k", body=big)
        assert whole(store) == before
        store._db.execute("PRAGMA max_page_count = 100000")
        store.move(job.id, expect=State.TAKING, to=State.STORED, actor="a", kind="k", body=big)
        assert audit.verify(store.events()).count == 2

    @staticmethod
    def read_all(path: Path) -> None:
        """Open books and read everything in them."""
        store = SqliteStore.open(path, create=False)
        try:
            whole(store)
        finally:
            store.close()
