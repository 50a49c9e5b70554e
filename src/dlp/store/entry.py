"""One change of the books: its jobs, records and events, chained and sealed, in one transaction.

The order is the guarantee: the key file is locked, the transaction begins, rows and events are written, the transaction
is committed, and only then the key moves on. A crash leaves the key one step behind, never ahead.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from dlp import audit, ratchet
from dlp.errors import Conflict, NotFound, StoreError
from dlp.model import Say, State, evolve
from dlp.ratchet import Held, Key, Ratchet
from dlp.store import NEXT, Job, record, schema
from dlp.store.record import Kind, RecordFilter, V

LAST_EVENT = "SELECT seq, hash, mac FROM event ORDER BY seq DESC LIMIT 1"
LAST_MOMENT = "SELECT max(at) FROM event"
ADD_EVENT = """
INSERT INTO event (seq, at, actor, kind, job, body, prev, hash, mac)
VALUES (:seq, :at, :actor, :kind, :job, :body, :prev, :hash, :mac)
"""


class Entry:
    """A change that is being written. `key` is None while the trail has no key yet."""

    def __init__(self, db: sqlite3.Connection, held: Held, seq: int, prev: str) -> None:
        self.db = db
        self._held = held
        self._seq = seq
        self._prev = prev
        self._written: dict[str, str] = {}
        self._moment = 0.0
        self.key: Key | None = None

    @classmethod
    @contextmanager
    def open(cls, db: sqlite3.Connection, file: Ratchet) -> Iterator[Self]:
        """Give one immediate transaction: all of it is durable afterwards, or nothing is."""
        if db.in_transaction:
            raise RuntimeError("a change inside a change would wait for itself")
        with file.held() as held, cls._transaction(db):
            seq, prev, key = mark(db, held, file)
            entry = cls(db, held, seq, prev)
            entry.key = key
            yield entry
            entry.finish()

    @classmethod
    @contextmanager
    def begin(cls, db: sqlite3.Connection, file: Ratchet) -> Iterator[Self]:
        """Give a transaction for a first key, whatever key there was before."""
        with file.held() as held, cls._transaction(db):
            seq, prev, _ = last(db)
            entry = cls(db, held, seq, prev)
            yield entry
            entry.finish()

    @staticmethod
    @contextmanager
    def _transaction(db: sqlite3.Connection) -> Iterator[None]:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @property
    def moment(self) -> float:
        """Return now, seconds since the epoch; never before any event: a clock that was set back revives nothing."""
        if not self._moment:
            self._moment = moment(self.db)
        return self._moment

    def job(self, id: str) -> Job:  # noqa: A002  the column's name
        """Return a job as it is inside this transaction; NotFound when there is none."""
        return one_job(self.db, id)

    def add(self, job: Job) -> None:
        """Write a new job. The next event that is appended carries its digest, as that of every job that moves."""
        self._write_job(schema.ADD_JOB, job)

    def move(self, id: str, expect: Sequence[State], to: State, fields: dict[str, Any]) -> Job:  # noqa: A002  as above
        """Move a job on; StoreError when it is not in an expected state any more."""
        job = self.job(id)
        if job.state not in expect or to not in NEXT[job.state]:
            raise StoreError(
                Say(
                    f"任务 {id} 现在的状态是 {job.state.value}，不能改为 {to.value}",
                    f"job {id} is {job.state.value} and cannot become {to.value}",
                ),
                Say("可能已由他人处理，请重新查看", "somebody else may have handled it; look again"),
            )
        moved: Job = evolve(job, state=to, version=job.version + 1, updated=time.time(), **fields)
        if self._write_job(schema.MOVE_JOB, moved) != 1:
            raise sqlite3.IntegrityError("the job row changed inside the transaction")
        return moved

    def _write_job(self, query: str, job: Job) -> int:
        row = schema.row(job)
        self._written[record.name(record.JOB, job.id)] = record.digest(schema.packed(schema.told_of(row)))
        return self.db.execute(query, row).rowcount

    def is_told(self, kind: str, id: str, job: str) -> bool:  # noqa: A002  the column's name
        """Tell whether a record, or a job, is as the events of its job last told of it: nobody changed it beneath them.

        What books of an earlier form hold of a job no event tells; a record always has its event.
        """
        return _standing(self.db, kind, id) == _told(self.db, kind, id, job)

    def find(self, kind: Kind[V], id: str) -> V | None:  # noqa: A002  the column's name
        """Return a record as it is inside this transaction; None when there is none."""
        return one_record(self.db, kind, id)

    def records(self, kind: Kind[V], only: RecordFilter | None = None) -> tuple[V, ...]:
        """Return the records of one kind as they are inside this transaction, newest first."""
        return records(self.db, kind, only)

    def put(self, kind: Kind[V], value: V) -> V:
        """Write a record: version 1 for a new one, one more than was read for a changed one. Conflict otherwise.

        The next event that is appended carries its digest.
        """
        row = kind.row(value)
        query = schema.ADD_RECORD if value.version == 1 else schema.REPLACE_RECORD
        try:
            written = self.db.execute(query, row).rowcount == 1
        except sqlite3.IntegrityError:
            written = False
        if not written:
            raise changed_meanwhile(kind.name, value.id)
        self._written[record.name(kind.name, value.id)] = record.digest(row["value"])
        return value

    def drop(self, kind: Kind[V], id: str) -> None:  # noqa: A002  the column's name
        """Take a record out of the books; the next event says so. NotFound when there is none."""
        if self.db.execute(schema.DROP_RECORD, {"kind": kind.name, "id": id}).rowcount != 1:
            raise no_record(kind.name, id)
        self._written[record.name(kind.name, id)] = ""

    def append(self, actor: str, kind: str, job: str, body: dict[str, Any]) -> None:
        """Chain and seal one event; the head was read inside the transaction, so two processes never fork the chain."""
        seq = self._seq + 1
        at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        if self._written:
            body = {**body, "records": dict(self._written)}
            self._written.clear()
        text = audit.canonical(body)
        own = audit.link(seq=seq, at=at, actor=actor, kind=kind, job=job, body=text, prev=self._prev)
        mac = ratchet.seal(self.key.secret, own) if self.key else ""
        row = {"at": at, "actor": actor, "kind": kind, "job": job, "body": text}
        self.db.execute(ADD_EVENT, {**row, "seq": seq, "prev": self._prev, "hash": own, "mac": mac})
        self._seq, self._prev = seq, own
        if self.key:
            self.key = Key(seq + 1, ratchet.following(self.key.secret))

    def lay(self, secret: bytes) -> None:
        """Lay a first key down, whatever key there was before, and mark it as not begun.

        A crash before the commit leaves that mark, and no event that is sealed with a key of which the trail does not
        tell.
        """
        self.key = Key(self._seq + 1, secret, begun=False)
        self._held.write(self.key)

    def finish(self) -> None:
        """Commit, and let the key file follow what was committed."""
        if self._written:
            raise RuntimeError(f"no event tells of {', '.join(self._written)}")
        self.db.execute("COMMIT")
        if self.key:
            self._held.write(self.key)


def moment(db: sqlite3.Connection) -> float:
    """Return now, seconds since the epoch; never before any event."""
    (at,) = db.execute(LAST_MOMENT).fetchone()
    try:
        return max(time.time(), datetime.fromisoformat(at).timestamp() if at else 0.0)
    except ValueError as err:
        raise sqlite3.DatabaseError("an event has no moment") from err


def one_job(db: sqlite3.Connection, id: str) -> Job:  # noqa: A002  the column's name
    """Return one job by its whole id."""
    row = db.execute(schema.GET_JOB, {"id": id}).fetchone()
    if row is None:
        raise NotFound(Say(f"没有这个任务：{id}", f"no such job: {id}"))
    return schema.job_of(row[0])


def one_record(db: sqlite3.Connection, kind: Kind[V], id: str) -> V | None:  # noqa: A002  the column's name
    """Return one record; None when there is none."""
    row = db.execute(schema.GET_RECORD, {"kind": kind.name, "id": id}).fetchone()
    return kind.value(row[0]) if row else None


def _standing(db: sqlite3.Connection, kind: str, id: str) -> str:  # noqa: A002  as above
    """Return the digest of a row as it is; empty where there is none."""
    if kind == record.JOB:
        columns = db.execute(schema.ONE_JOB, {"id": id}).fetchone()
        return record.digest(schema.packed(columns)) if columns else ""
    row = db.execute(schema.GET_RECORD, {"kind": kind, "id": id}).fetchone()
    return record.digest(row[0]) if row and isinstance(row[0], bytes) else ""


def _told(db: sqlite3.Connection, kind: str, id: str, job: str) -> str:  # noqa: A002  as above
    """Return the digest that the events of a job last told of a row; empty for a record of which none tells."""
    name = record.name(kind, id)
    for (body,) in db.execute(schema.BODIES_OF_JOB, {"job": job}):
        told = msgspec.json.decode(body, type=dict[str, Any]).get("records")
        if isinstance(told, dict) and name in told:
            return str(told[name])
    return _standing(db, kind, id) if kind == record.JOB else ""


def records(
    db: sqlite3.Connection, kind: Kind[V], only: RecordFilter | None = None, *, limit: int = 0, after: V | None = None
) -> tuple[V, ...]:
    """Return the records of one kind, newest first; `limit` 0 means all, `after` is the last one that was read."""
    query, wanted = schema.asking(schema.RECORDS_OF_KIND, record.wanted(only), schema.ONLY_RECORDS)
    at, id_ = (kind.columns(after).at, after.id) if after else (float("inf"), "")
    wanted |= {"kind": kind.name, "limit": limit or -1, "before": at, "id": id_}
    return tuple(kind.value(row[0]) for row in db.execute(query, wanted))


def no_record(kind: str, id: str) -> NotFound:  # noqa: A002  the column's name
    """Return the error that there is no such record."""
    return NotFound(Say(f"没有这条记录：{kind} {id}", f"there is no such record: {kind} {id}"))


def changed_meanwhile(kind: str, id: str) -> Conflict:  # noqa: A002  the column's name
    """Return the error of whoever comes second to a record."""
    return Conflict(
        Say(f"记录 {kind} {id} 已被他人更改", f"somebody else has changed the record {kind} {id}"),
        Say("请重新查看后再办理", "look at it again, then decide"),
    )


def last(db: sqlite3.Connection) -> tuple[int, str, str]:
    """Return sequence, hash and MAC of the last event."""
    row = db.execute(LAST_EVENT).fetchone()
    return tuple(row) if row else (0, audit.GENESIS, "")


def mark(db: sqlite3.Connection, held: Held, file: Ratchet) -> tuple[int, str, Key | None]:
    """Return sequence and hash of the last event, and the key of the next one: None while nothing is sealed.

    StoreError where the key is missing, or ahead of the books: then events are missing.
    """
    seq, prev, mac = last(db)
    key = held.read()
    begun = key is not None and (key.begun or key.seq <= seq)
    if key is not None and begun and key.seq > seq + 1:
        raise ratchet.ahead(file.path, seq, key)
    if not mac:
        if key is not None and key.begun:
            raise ratchet.stripped(file.path, seq)
        return seq, prev, None
    if key is None or not begun:
        raise ratchet.missing(file.path)
    return seq, prev, ratchet.moved(key, seq + 1)
