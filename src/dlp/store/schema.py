"""The tables of the books in SQLite, and the way there from each earlier form of them.

What a list is asked for has columns of its own, and one index holds all of them: a list reads no row that it does not
show. `value` is the job itself; the columns are copies of it, written with it and never read back as truth.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dlp.store import Job

VERSION = 4
RECORDS = """
CREATE TABLE record (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  job TEXT NOT NULL,
  who TEXT NOT NULL,
  due REAL NOT NULL,
  at REAL NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX record_in_list ON record (kind, at DESC, id DESC);
CREATE INDEX record_by_state ON record (kind, state, due);
CREATE INDEX record_by_job ON record (job, kind) WHERE job <> '';
"""
SCHEMA = """
CREATE TABLE job (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  version INTEGER NOT NULL,
  created REAL NOT NULL,
  updated REAL NOT NULL,
  level TEXT NOT NULL,
  source TEXT NOT NULL,
  owner TEXT NOT NULL,
  needle TEXT NOT NULL,
  place TEXT NOT NULL DEFAULT '',
  value BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX job_in_list ON job (state, id, level, source, owner, created, needle);
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,
  job TEXT NOT NULL,
  body TEXT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL,
  mac TEXT NOT NULL DEFAULT ''
);
CREATE INDEX event_by_actor ON event (actor);
CREATE INDEX event_by_actor_and_kind ON event (actor, kind);
CREATE INDEX event_by_kind ON event (kind);
CREATE INDEX event_by_job ON event (job);
CREATE INDEX event_by_time ON event (at);
-- A guard against accidents, not against an attacker: whoever may write the file can drop a trigger. The chain tells.
CREATE TRIGGER event_is_never_updated BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
"""
WAY_BACK = """
CREATE INDEX job_on_its_way_back ON job (id) WHERE state = 'withheld' AND place <> '';
"""
FROM_1 = """
ALTER TABLE job RENAME TO job_1;
ALTER TABLE event RENAME TO event_1;
DROP TRIGGER event_is_never_updated;
DROP TRIGGER event_is_never_deleted;
"""
COPY_EVENTS = """
INSERT INTO event (seq, at, actor, kind, job, body, prev, hash)
SELECT seq, at, actor, kind, job, body, prev, hash FROM event_1 ORDER BY seq
"""
OLD_JOBS = "SELECT value FROM job_1 ORDER BY id"
END_OF_1 = """
DROP TABLE job_1;
DROP TABLE event_1;
"""
FROM_3 = """
ALTER TABLE job ADD COLUMN place TEXT NOT NULL DEFAULT '';
"""
JOBS_OF_3 = "SELECT value FROM job WHERE id > :after ORDER BY id LIMIT 500"
SET_PLACE = "UPDATE job SET place = :place WHERE id = :id"
ADD_JOB = """
INSERT INTO job (id, state, version, created, updated, level, source, owner, needle, place, value)
VALUES (:id, :state, :version, :created, :updated, :level, :source, :owner, :needle, :place, :value)
"""
MOVE_JOB = """
UPDATE job SET state = :state, version = :version, created = :created, updated = :updated, level = :level,
  source = :source, owner = :owner, needle = :needle, place = :place, value = :value
WHERE id = :id AND version = :version - 1
"""

GET_JOB = "SELECT value FROM job WHERE id = :id"
# The index is named: left to itself, SQLite goes through all that was ever withheld.
ON_THEIR_WAY_BACK = """
SELECT value FROM job INDEXED BY job_on_its_way_back WHERE state = 'withheld' AND place <> '' ORDER BY id
"""
GET_RECORD = "SELECT value FROM record WHERE kind = :kind AND id = :id"
ADD_RECORD = """
INSERT INTO record (kind, id, version, state, job, who, due, at, value)
VALUES (:kind, :id, :version, :state, :job, :who, :due, :at, :value)
"""
REPLACE_RECORD = """
UPDATE record SET version = :version, state = :state, job = :job, who = :who, due = :due, at = :at, value = :value
WHERE kind = :kind AND id = :id AND version = :version - 1
"""
RECORDS_OF_KIND = """
SELECT value FROM record WHERE kind = :kind AND (at, id) < (:before, :id) {only} ORDER BY at DESC, id DESC LIMIT :limit
"""
RECORDS_FROM_OLDEST = """
SELECT value FROM record WHERE kind = :kind AND (at, id) > (:after, :id) {only} ORDER BY at, id LIMIT :limit
"""
COUNT_RECORDS = "SELECT count(*) FROM record WHERE kind = :kind {only}"
ONLY_RECORDS = {
    "states": "AND state IN (SELECT value FROM json_each(:states))",
    "job": "AND job = :job",
    "who": "AND who = :who",
    "due_before": "AND due > 0 AND due < :due_before",
    "since": "AND at >= :since",
    "until": "AND at < :until",
}
"""What a filter of records adds to these: only what is asked for."""
ALL_RECORDS = "SELECT kind, id, CAST(value AS BLOB) FROM record"
_ROW = ("id", "state", "version", "created", "updated", "level", "source", "owner", "needle", "place", "value")
ALL_JOBS = f"SELECT {', '.join(_ROW)} FROM job"  # noqa: S608  fixed names
ONE_JOB = f"{ALL_JOBS} WHERE id = :id"
BODIES_OF_JOB = "SELECT body FROM event WHERE job = :job ORDER BY seq DESC"
DROP_RECORD = "DELETE FROM record WHERE kind = :kind AND id = :id"

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Job)


def asking(query: str, wanted: Mapping[str, Any], parts: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return a query that asks for what is wanted, and its values. Only fixed texts are put into it."""
    asked = {name: value for name, value in wanted.items() if value != ""}
    return query.format(only=" ".join(parts[name] for name in asked)), asked


def row(job: Job) -> dict[str, Any]:
    """Return a job as the columns of its row."""
    level = job.verdict.level if job.verdict else None
    return {
        "id": job.id,
        "state": job.state.value,
        "version": job.version,
        "created": job.created,
        "updated": job.updated,
        "level": level.value if level else "",
        "source": job.item.source,
        "owner": job.item.owner,
        "needle": needle(job.item.name),
        "place": job.place,
        "value": _ENCODER.encode(job),
    }


def told_of(row: Mapping[str, Any]) -> list[Any]:
    """Return the columns of a job's row in the order in which its digest is taken: what a list goes by is in it too."""
    return [row[name] for name in _ROW]


def packed(columns: Sequence[Any]) -> bytes:
    """Return the columns of a row as the bytes of which the digest is taken."""
    return _ENCODER.encode(list(columns))


def job_of(value: bytes) -> Job:
    """Return the job that a row holds; msgspec.DecodeError when it is damaged."""
    return _DECODER.decode(value)


def needle(name: str) -> str:
    """Return a name in the form in which names are searched: full and half width, small and capital letters alike."""
    return unicodedata.normalize("NFKC", name).casefold()


def bring_up(db: sqlite3.Connection, version: int) -> None:
    """Bring the books from the form `version` (0: nothing there) to the present one: all of it, or nothing is done."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == version:  # nobody else did it in the meantime
            _statements(db, FROM_1 if version == 1 else "")
            _statements(db, SCHEMA if version < 2 else FROM_3)
            _statements(db, RECORDS if version < 3 else "")
            _statements(db, WAY_BACK)
            if version >= 2:
                _fill_places(db)
            if version == 1:
                db.execute(COPY_EVENTS)
                db.executemany(ADD_JOB, (row(job_of(old[0])) for old in db.execute(OLD_JOBS)))
                _statements(db, END_OF_1)
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _fill_places(db: sqlite3.Connection) -> None:
    after = ""
    while page := [job_of(old[0]) for old in db.execute(JOBS_OF_3, {"after": after})]:
        db.executemany(SET_PLACE, [{"id": job.id, "place": job.place} for job in page if job.place])
        after = page[-1].id


def _statements(db: sqlite3.Connection, text: str) -> None:
    """Run several statements inside the open transaction; `executescript` would end it."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
