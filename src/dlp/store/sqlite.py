"""The books in SQLite: WAL, synchronous=FULL; a change of state and its audit event are one transaction."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from dlp import audit
from dlp.audit import AuditEvent
from dlp.errors import NotFound, StoreError
from dlp.model import Say, State, evolve
from dlp.store import NEXT, Job

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  updated REAL NOT NULL,
  value BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_by_state ON job (state, id);
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,
  job TEXT NOT NULL,
  body TEXT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL
);
-- A guard against accidents, not against an attacker: whoever may write the file can drop a trigger. The chain tells.
CREATE TRIGGER IF NOT EXISTS event_is_never_updated BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER IF NOT EXISTS event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
"""
ADD_JOB = "INSERT INTO job (id, state, version, updated, value) VALUES (?, ?, ?, ?, ?)"
MOVE_JOB = "UPDATE job SET state = ?, version = ?, updated = ?, value = ? WHERE id = ? AND version = ?"
GET_JOB = "SELECT value FROM job WHERE id = ?"
FIND_JOB = "SELECT value FROM job WHERE id >= ? AND id < ? LIMIT 2"
LIST_JOBS = "SELECT value FROM job WHERE state IN ({marks}) AND id < ? ORDER BY id DESC LIMIT ?"
LAST_EVENT = "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1"
ADD_EVENT = "INSERT INTO event (seq, at, actor, kind, job, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
EVENTS = "SELECT seq, at, actor, kind, job, body, prev, hash FROM event WHERE seq > ? ORDER BY seq LIMIT 1000"
UNFINISHED = (State.TAKING, State.STORED, State.DECIDED, State.RELEASING)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Job)


class SqliteStore:
    """The books of one site. Thread-safe: one connection behind one lock; other processes may have their own."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Self:
        """Open the books at `path`; with `create`, make them when there are none. StoreError when it cannot."""
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
        except (sqlite3.Error, OSError) as err:
            raise _failed(path, err) from err
        return cls(db, path)

    @staticmethod
    def _prepare(db: sqlite3.Connection, path: Path, *, create: bool) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                Say(f"任务库由更新的版本写成：{path}", f"the job store {path} was written by a newer version"),
                Say("请升级 wenyin-gate", "upgrade wenyin-gate"),
            )
        if version < VERSION and not create:  # cut to nothing: new books here would hide that the old ones are gone
            raise StoreError(
                Say(f"任务库是空的：{path}", f"the job store {path} is empty"),
                Say("若闸门尚未启动过，先运行 dlp run；否则请从备份恢复", "run `dlp run` first, or restore a backup"),
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA trusted_schema = OFF")
        if version < VERSION:
            db.executescript(f"BEGIN IMMEDIATE;\n{SCHEMA}\nPRAGMA user_version = {VERSION};\nCOMMIT;")

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

    def add(self, job: Job, *, actor: str, kind: str, body: dict[str, Any]) -> Job:
        """Write a new job and its event."""
        with self._change() as db:
            db.execute(ADD_JOB, (job.id, job.state.value, job.version, job.updated, _ENCODER.encode(job)))
            _append(db, actor, kind, job.id, body)
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
        **fields: Any,
    ) -> Job:
        """Move a job on and append its event; StoreError when it is not in an expected state any more."""
        expected = (expect,) if isinstance(expect, State) else tuple(expect)
        with self._change() as db:
            job = _one(db, id)
            if job.state not in expected or to not in NEXT[job.state]:
                raise StoreError(
                    Say(
                        f"任务 {id} 现在的状态是 {job.state.value}，不能改为 {to.value}",
                        f"job {id} is {job.state.value} and cannot become {to.value}",
                    ),
                    Say("可能已由他人处理，请重新查看", "somebody else may have handled it; look again"),
                )
            moved: Job = evolve(job, state=to, version=job.version + 1, updated=time.time(), **fields)
            changed = db.execute(
                MOVE_JOB, (to.value, moved.version, moved.updated, _ENCODER.encode(moved), id, job.version)
            ).rowcount
            if changed != 1:
                raise sqlite3.IntegrityError("the job row changed inside the transaction")
            _append(db, actor, kind, id, {**body, "state": to.value})
        return moved

    def note(self, *, actor: str, kind: str, job: str, body: dict[str, Any]) -> None:
        """Append an event that changes no state."""
        with self._change() as db:
            _append(db, actor, kind, job, body)

    def get(self, prefix: str) -> Job:
        """Return one job by its id, or by a unique beginning of it of at least 6 characters."""
        with self._look() as db:
            row = db.execute(GET_JOB, (prefix,)).fetchone()
            if row is None and len(prefix) >= 6:
                rows = db.execute(FIND_JOB, (prefix.upper(), prefix.upper() + "\uffff")).fetchall()
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
            return _DECODER.decode(row[0])

    def jobs(self, states: Sequence[State] = (), *, limit: int = 0, before: str = "") -> tuple[Job, ...]:
        """Return jobs newest first; `limit` 0 means all, `before` is the id below which to go on."""
        wanted = [s.value for s in states or State]
        marks = ", ".join("?" * len(wanted))
        query = LIST_JOBS.format(marks=marks)  # only question marks are put in
        values = (*wanted, before or "\uffff", limit or -1)
        with self._look() as db:
            return tuple(_DECODER.decode(row[0]) for row in db.execute(query, values))

    def unfinished(self) -> tuple[Job, ...]:
        """Return the jobs that are still on their way, oldest first."""
        return self.jobs(UNFINISHED)[::-1]

    def ids(self) -> frozenset[str]:
        """Return the ids of all jobs."""
        with self._look() as db:
            return frozenset(row[0] for row in db.execute("SELECT id FROM job"))

    def events(self, after: int = 0) -> Iterator[AuditEvent]:
        """Give the audit events after sequence `after`, oldest first."""
        while True:
            with self._look() as db:
                rows = db.execute(EVENTS, (after,)).fetchall()
            for seq, at, actor, kind, job, body, prev, own in rows:
                yield AuditEvent(seq=seq, at=at, actor=actor, kind=kind, job=job, body=_body(body), prev=prev, hash=own)
                after = seq
            if not rows:
                return

    def head(self) -> tuple[int, str]:
        """Return sequence and hash of the last event."""
        with self._look() as db:
            return _head(db)

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
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside one immediate transaction: all of it is durable afterwards, or nothing is."""
        with self._look() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def _append(db: sqlite3.Connection, actor: str, kind: str, job: str, body: dict[str, Any]) -> None:
    """Chain one event; the head is read inside the transaction, so two processes never fork the chain."""
    seq, prev = _head(db)
    seq += 1
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    text = audit.canonical(body)
    own = audit.link(seq=seq, at=at, actor=actor, kind=kind, job=job, body=text, prev=prev)
    db.execute(ADD_EVENT, (seq, at, actor, kind, job, text, prev, own))


def _head(db: sqlite3.Connection) -> tuple[int, str]:
    row = db.execute(LAST_EVENT).fetchone()
    return (row[0], row[1]) if row else (0, audit.GENESIS)


def _one(db: sqlite3.Connection, id: str) -> Job:  # noqa: A002  the column's name
    row = db.execute(GET_JOB, (id,)).fetchone()
    if row is None:
        raise NotFound(Say(f"没有这个任务：{id}", f"no such job: {id}"))
    return _DECODER.decode(row[0])


def _body(text: str) -> dict[str, Any]:
    """Return an event's body; an edited one that is no JSON object any more is told as unreadable."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {"unreadable": True}


def _failed(path: Path, err: Exception) -> StoreError:
    name = getattr(err, "sqlite_errorname", None) or err.__class__.__name__
    return StoreError(
        Say(f"任务库读写失败：{path}（{name}）", f"the job store {path} cannot be read or written ({name})"),
        Say(
            "检查磁盘空间和权限；若文件损坏，请从备份恢复。未放行任何文件",
            "check disk space and permissions; restore a backup if the file is damaged. Nothing was released",
        ),
    )
