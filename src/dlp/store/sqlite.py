"""The books in SQLite: WAL, synchronous=FULL; a change of state and its audit event are one transaction."""

from __future__ import annotations

import fcntl
import heapq
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import msgspec

from dlp import audit
from dlp.audit import AuditEvent
from dlp.errors import NotFound, StoreError
from dlp.model import Say, State
from dlp.ratchet import Key, Ratchet
from dlp.store import EventFilter, Job, JobFilter, record, schema
from dlp.store.entry import Entry, last, moment, no_record, one_record, records
from dlp.store.record import Kind, RecordFilter, V
from dlp.store.schema import VERSION, job_of

FIND_JOB = "SELECT value FROM job WHERE id >= :low AND id < :high LIMIT 2"
STATE_OF_JOB = "SELECT state, updated FROM job WHERE id = :id"
JOBS_OF_STATE = "SELECT id FROM job WHERE state = :state AND id < :before {only} ORDER BY id DESC LIMIT :limit"
JOBS_FROM_OLDEST = "SELECT id FROM job WHERE state = :state AND id > :after {only} ORDER BY id LIMIT :limit"
COUNT_JOBS = "SELECT count(*) FROM job WHERE state = :state {only}"
ONLY_JOBS = {
    "level": "AND level = :level",
    "source": "AND source = :source",
    "owner": "AND owner = :owner",
    "since": "AND created >= :since",
    "until": "AND created < :until",
    "needle": "AND instr(needle, :needle) > 0",
    "ids": "AND id IN (SELECT value FROM json_each(:ids))",
    "without": "AND id NOT IN (SELECT value FROM json_each(:without))",
    "unlevelled": "AND level = '' AND :unlevelled",
    "rule": "AND instr(value, :rule) > 0",
    "regime": "AND instr(value, :regime) > 0",
}
"""What a filter of jobs adds to `JOBS_OF_STATE` and `COUNT_JOBS`: only what is asked for."""
EVENTS = """
SELECT seq, at, actor, kind, job, body, prev, hash, mac FROM event
WHERE seq >= :first ORDER BY seq LIMIT 1000
"""
LIST_EVENTS = """
SELECT seq, at, actor, kind, job, body, prev, hash, mac FROM event
WHERE seq < :before {only} ORDER BY seq DESC LIMIT :limit
"""
ONLY_EVENTS = {
    "actor": "AND actor = :actor",
    "kind": "AND kind = :kind",
    "job": "AND job = :job",
    "since": "AND at >= :since",
    "until": "AND at < :until",
}
"""The same for `LIST_EVENTS`: so each question has its index."""
UNFINISHED = (State.TAKING, State.STORED, State.DECIDED, State.RELEASING)
KEY_FILE = "audit.key"
LAST_ID = "\uffff"  # greater than every id
FIRST_SEQ, LAST_SEQ = -(1 << 63), (1 << 63) - 1  # what a number in SQLite can be
Beside = Callable[[Entry], Mapping[str, Any]]
PAGE = 500  # jobs or ids read under one lock


class SqliteStore:
    """The books of one site. Thread-safe: one connection behind one lock; other processes may have their own."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path
        self._ratchet = Ratchet(path.with_name(KEY_FILE))
        self._lock = threading.RLock()  # who reads inside his own change reads it; a lock would wait for itself

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Self:
        """Open the books at `path`; with `create`, make them when there are none. StoreError when it cannot.

        Books of an earlier form are brought up: by the gate, which holds them, or where no gate holds them.
        """
        if not create and not path.exists():
            raise StoreError(
                Say(f"任务库不存在：{path}", f"there is no job store at {path}"),
                Say(
                    "先运行 dlp run；或用 --config 指明配置",
                    "run `dlp run` first, or name the configuration with --config",
                ),
            )
        try:
            if create:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not path.exists():
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            try:
                cls._prepare(db, path, create=create)
            except BaseException:
                db.close()
                raise
        except (sqlite3.Error, msgspec.DecodeError, OSError) as err:
            raise _failed(path, err) from err
        return cls(db, path)

    @classmethod
    def _prepare(cls, db: sqlite3.Connection, path: Path, *, create: bool) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                Say(f"任务库由更新的版本写成：{path}", f"the job store {path} was written by a newer version"),
                Say("请升级 wenyin-gate", "upgrade wenyin-gate"),
            )
        if version == 0 and not create:  # cut to nothing: new books here would hide that the old ones are gone
            raise StoreError(
                Say(f"任务库是空的：{path}", f"the job store {path} is empty"),
                Say("若闸门尚未启动过，先运行 dlp run；否则请从备份恢复", "run `dlp run` first, or restore a backup"),
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA trusted_schema = OFF")
        db.text_factory = partial(str, encoding="utf-8", errors="replace")  # damage in one row is told, and where
        if version < VERSION:
            key = Ratchet(path.with_name(KEY_FILE))
            if create:
                key.lay()
                schema.bring_up(db, version)
                return
            with cls.hold_exclusive(path):
                key.lay()
                schema.bring_up(db, version)

    @staticmethod
    def is_current(path: Path) -> bool:
        """Tell whether there are books at `path` in the present form; nothing is changed by looking."""
        try:
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error:
            return False
        try:
            return bool(db.execute("PRAGMA user_version").fetchone()[0] == VERSION)
        except sqlite3.Error:
            return False
        finally:
            db.close()

    @staticmethod
    @contextmanager
    def hold_exclusive(path: Path) -> Iterator[None]:
        """Hold the books for one gate; StoreError when another gate holds them."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                raise StoreError(
                    Say(f"已有一个闸门在使用 {path.parent}", f"another gate already runs on {path.parent}"),
                    Say("先停止它，或改用另一个状态文件夹", "stop it first, or use another state folder"),
                ) from err
            yield
        finally:
            os.close(fd)

    @contextmanager
    def change(self) -> Iterator[Entry]:
        """Give one transaction for jobs, records and the events that tell of them: all of it is durable, or nothing."""
        with self._look() as db, Entry.open(db, self._ratchet) as entry:
            yield entry

    def add(self, job: Job, *, actor: str, kind: str, body: dict[str, Any]) -> Job:
        """Write a new job and its event."""
        with self.change() as entry:
            entry.add(job)
            entry.append(actor, kind, job.id, body)
        return job

    def move(
        self,
        id: str,  # noqa: A002  the column's name
        *,
        expect: State | Sequence[State],
        to: State,
        actor: str,
        kind: str,
        body: dict[str, Any],
        beside: Beside | None = None,
        **fields: Any,
    ) -> Job:
        """Move a job on and append its event; StoreError when it is not in an expected state any more.

        `beside` writes what belongs to it into the same transaction, and returns what the event says of that.
        """
        with self.change() as entry:
            more = beside(entry) if beside is not None else {}
            moved = entry.move(id, (expect,) if isinstance(expect, State) else tuple(expect), to, fields)
            entry.append(actor, kind, id, {**body, **more, "state": to.value})
        return moved

    def note(self, *, actor: str, kind: str, job: str, body: dict[str, Any]) -> None:
        """Append an event that changes no state."""
        with self.change() as entry:
            entry.append(actor, kind, job, body)

    def begin(
        self,
        secret: bytes,
        *,
        actor: str,
        kind: str,
        body: dict[str, Any],
        first: Callable[[tuple[AuditEvent, ...]], None],
        anew: bool = False,
    ) -> bool:
        """Seal every event from the next one on, which this call appends; `secret` is its key. False: sealed already.

        With `anew`, a key that was there before is given up: whoever calls this knows that it is lost. `first` is
        called before anything is written, with the events of this kind that there are, while nobody else can begin.
        """
        self._ratchet.lay()
        road = Entry.begin if anew else Entry.open
        with self._look() as db, road(db, self._ratchet) as entry:
            if entry.key is not None:
                return False
            first(_events(db, EventFilter(kind=kind)))
            entry.lay(secret)
            entry.append(actor, kind, "", body)
        return True

    def is_sealed(self) -> bool:
        """Tell whether events are sealed: from the first key on, they are for ever."""
        with self._look() as db:
            return last(db)[2] != ""

    def key(self) -> tuple[tuple[int, str, str], Key | None]:
        """Return sequence, hash and MAC of the last event, and the key file as it lies there at the same moment.

        StoreError where the key file is not there, damaged, or not private.
        """
        with self._look() as db, self._ratchet.held() as held:
            return last(db), held.read()

    def get(self, prefix: str) -> Job:
        """Return one job by its id, or by a unique beginning of it of at least 6 characters."""
        with self._look() as db:
            row = db.execute(schema.GET_JOB, {"id": prefix}).fetchone()
            if row is None and len(prefix) >= 6:
                ends = {"low": prefix.upper(), "high": prefix.upper() + LAST_ID}
                rows = db.execute(FIND_JOB, ends).fetchall()
                if len(rows) > 1:
                    raise NotFound(
                        Say(f"编号 {prefix} 不唯一", f"{prefix} is the beginning of several ids"),
                        Say("请多写几位", "give more characters"),
                    )
                row = rows[0] if rows else None
            if row is None:
                raise NotFound(
                    Say(f"没有这个任务：{prefix}", f"no such job: {prefix}"),
                    Say("用 dlp quarantine list 查看编号", "see the ids with `dlp quarantine list`"),
                )
            return job_of(row[0])

    def jobs(
        self, states: Sequence[State] = (), *, limit: int = 0, before: str = "", only: JobFilter | None = None
    ) -> tuple[Job, ...]:
        """Return jobs newest first; `limit` 0 means all, `before` is the id below which to go on."""
        with self._snapshot() as db:
            found = _ids(db, states, limit, before, only)
            return tuple(job_of(db.execute(schema.GET_JOB, {"id": one}).fetchone()[0]) for one in found)

    def each(self, states: Sequence[State] = (), *, before: str = "", only: JobFilter | None = None) -> Iterator[Job]:
        """Give jobs newest first, read a page at a time: other work goes on meanwhile."""
        while page := self.jobs(states, limit=PAGE, before=before, only=only):
            yield from page
            before = page[-1].id

    def from_oldest(
        self, states: Sequence[State] = (), *, only: JobFilter | None = None, after: str = "", page: int = PAGE
    ) -> Iterator[Job]:
        """Give jobs oldest first, read `page` at a time: a register of any length. `after` is where to go on."""
        query, wanted = schema.asking(JOBS_FROM_OLDEST, _wanted(only), ONLY_JOBS)
        wanted |= {"after": after, "limit": page}
        while True:
            with self._snapshot() as db:
                found = (db.execute(query, {**wanted, "state": state.value}).fetchall() for state in _once(states))
                ids = tuple(islice(heapq.merge(*([row[0] for row in rows] for rows in found)), page))
                read = tuple(job_of(db.execute(schema.GET_JOB, {"id": one}).fetchone()[0]) for one in ids)
            yield from read
            if not read:
                return
            wanted["after"] = read[-1].id

    def count(self, states: Sequence[State] = (), *, only: JobFilter | None = None) -> int:
        """Return how many jobs there are."""
        with self._snapshot() as db:
            query, wanted = schema.asking(COUNT_JOBS, _wanted(only), ONLY_JOBS)
            rows = (db.execute(query, {**wanted, "state": state.value}).fetchone() for state in _once(states))
            return sum(row[0] for row in rows)

    def record(self, kind: Kind[V], id: str) -> V:  # noqa: A002  the column's name
        """Return one record; NotFound when there is none."""
        with self._look() as db:
            found = one_record(db, kind, id)
        if found is None:
            raise no_record(kind.name, id)
        return found

    def find(self, kind: Kind[V], id: str) -> V | None:  # noqa: A002  the column's name
        """Return one record; None when there is none."""
        with self._look() as db:
            return one_record(db, kind, id)

    def records(
        self, kind: Kind[V], only: RecordFilter | None = None, *, limit: int = 0, after: V | None = None
    ) -> tuple[V, ...]:
        """Return the records of one kind, newest first; `limit` 0 means all, `after` is the last one that was read."""
        with self._look() as db:
            return records(db, kind, only, limit=limit, after=after)

    def records_from_oldest(self, kind: Kind[V], only: RecordFilter | None = None) -> Iterator[V]:
        """Give the records of one kind, oldest first, read a page at a time."""
        query, wanted = schema.asking(schema.RECORDS_FROM_OLDEST, record.wanted(only), schema.ONLY_RECORDS)
        wanted |= {"kind": kind.name, "limit": PAGE, "after": float("-inf"), "id": ""}
        while True:
            with self._look() as db:
                page = tuple(kind.value(row[0]) for row in db.execute(query, wanted))
            yield from page
            if not page:
                return
            wanted |= {"after": kind.columns(page[-1]).at, "id": page[-1].id}

    def count_records(self, kind: Kind[V], only: RecordFilter | None = None) -> int:
        """Return how many records of one kind there are."""
        query, wanted = schema.asking(schema.COUNT_RECORDS, record.wanted(only), schema.ONLY_RECORDS)
        with self._look() as db:
            return int(db.execute(query, {**wanted, "kind": kind.name}).fetchone()[0])

    def digests(self) -> tuple[int, dict[str, str]]:
        """Return the sequence of the last event, and the digest of each record and job then, by how events call it."""
        with self._snapshot() as db:
            rows = db.execute(schema.ALL_RECORDS)
            found = {record.name(kind, id_): record.digest(value) for kind, id_, value in rows}
            for columns in db.execute(schema.ALL_JOBS):
                found[record.name(record.JOB, columns[0])] = record.digest(schema.packed(columns))
            return last(db)[0], found

    def unfinished(self) -> tuple[Job, ...]:
        """Return the jobs that are still on their way, oldest first."""
        return self.jobs(UNFINISHED)[::-1]

    def on_their_way_back(self) -> tuple[Job, ...]:
        """Return the withheld jobs whose file is not yet back where it came from, oldest first."""
        with self._look() as db:
            return tuple(job_of(row[0]) for row in db.execute(schema.ON_THEIR_WAY_BACK))

    def ids(self, states: Sequence[State] = ()) -> Iterator[str]:
        """Give the ids of jobs, newest first, a page at a time."""
        before = ""
        while True:
            with self._snapshot() as db:
                page = _ids(db, states, PAGE, before, None)
            yield from page
            if not page:
                return
            before = page[-1]

    def has(self, id: str) -> bool:  # noqa: A002  the column's name
        """Tell whether there is a job of this id."""
        with self._look() as db:
            return db.execute(STATE_OF_JOB, {"id": id}).fetchone() is not None

    def standing(self, ids: Iterable[str]) -> Iterator[tuple[str, State | None, float]]:
        """Give each id with the state of its job (None: no such job) and when that state was reached."""
        left = iter(ids)
        while page := tuple(islice(left, PAGE)):
            with self._look() as db:
                rows = [db.execute(STATE_OF_JOB, {"id": one}).fetchone() for one in page]
            for one, row in zip(page, rows, strict=True):
                yield (one, State(row[0]), row[1]) if row else (one, None, 0.0)

    def events(self, after: int | None = None) -> Iterator[AuditEvent]:
        """Give the audit events after sequence `after`, oldest first; without it all, whatever number they have."""
        first = FIRST_SEQ if after is None else after + 1
        while True:
            with self._look() as db:
                rows = db.execute(EVENTS, {"first": first}).fetchall()
            for row in rows:
                yield _event(row)
            if not rows or rows[-1][0] == LAST_SEQ:
                return
            first = rows[-1][0] + 1

    def find_events(self, only: EventFilter, *, limit: int = 0, before: int = 0) -> tuple[AuditEvent, ...]:
        """Return the audit events that are wanted, newest first; `before` is the sequence below which to go on."""
        with self._look() as db:
            return _events(db, only, limit=limit, before=before)

    def head(self) -> tuple[int, str]:
        """Return sequence and hash of the last event."""
        with self._look() as db:
            return last(db)[:2]

    def moment(self) -> float:
        """Return now, as a change that began now would have it: never before any event."""
        with self._look() as db:
            return moment(db)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _look(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except (sqlite3.Error, msgspec.DecodeError) as err:  # a row that does not decode is damage too
                raise _failed(self._path, err) from err

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for several reads that see one state of the books."""
        with self._look() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")


def _ids(
    db: sqlite3.Connection, states: Sequence[State], limit: int, before: str, only: JobFilter | None
) -> tuple[str, ...]:
    """Return ids newest first. Each state is one stretch of the index; the stretches are merged."""
    query, wanted = schema.asking(JOBS_OF_STATE, _wanted(only), ONLY_JOBS)
    wanted |= {"before": before or LAST_ID, "limit": limit or -1}
    stretches = [[row[0] for row in db.execute(query, {**wanted, "state": state.value})] for state in _once(states)]
    return tuple(islice(heapq.merge(*stretches, reverse=True), limit or None))


def _once(states: Sequence[State]) -> tuple[State, ...]:
    return tuple(dict.fromkeys(states or State))


def _wanted(only: JobFilter | None) -> dict[str, Any]:
    only = only or JobFilter()
    return {
        "level": only.level.value if only.level else "",
        "source": only.source,
        "owner": only.owner,
        "since": only.since or "",
        "until": only.until if only.until < float("inf") else "",
        "needle": schema.needle(only.name),
        "ids": "" if only.ids is None else msgspec.json.encode(only.ids).decode(),
        "without": msgspec.json.encode(only.without).decode() if only.without else "",
        "unlevelled": 1 if only.unlevelled else "",
        "rule": _field("rule", only.rule) if only.rule else "",
        "regime": _field("regime", only.regime.value) if only.regime else "",
    }


def _field(name: str, value: str) -> bytes:
    """Return a field as the value of a job holds it: found without reading the job."""
    return msgspec.msgpack.encode(name) + msgspec.msgpack.encode(value)


def _events(db: sqlite3.Connection, only: EventFilter, *, limit: int = 0, before: int = 0) -> tuple[AuditEvent, ...]:
    query, asked = schema.asking(LIST_EVENTS, msgspec.structs.asdict(only), ONLY_EVENTS)
    rows = db.execute(query, {**asked, "before": before or LAST_SEQ, "limit": limit or -1})
    return tuple(_event(row) for row in rows)


def _event(row: tuple[Any, ...]) -> AuditEvent:
    seq, at, actor, kind, job, body, prev, own, mac = row
    return AuditEvent(seq=seq, at=at, actor=actor, kind=kind, job=job, body=_body(body), prev=prev, hash=own, mac=mac)


def _body(text: str) -> dict[str, Any]:
    """Return an event's body; one that is not written as the gate writes it any more is told as unreadable."""
    try:
        body = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, TypeError, RecursionError):
        return {"unreadable": True}
    return body if audit.canonical(body) == text else {"unreadable": True}


def _failed(path: Path, err: Exception) -> StoreError:
    name = getattr(err, "sqlite_errorname", None) or err.__class__.__name__
    return StoreError(
        Say(f"任务库读写失败：{path}（{name}）", f"the job store {path} cannot be read or written ({name})"),
        Say(
            "检查磁盘空间和权限；若文件损坏，请从备份恢复。未放行任何文件",
            "check disk space and permissions; restore a backup if the file is damaged. Nothing was released",
        ),
    )
