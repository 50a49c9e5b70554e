"""One change of the books: its rows and its events, chained and sealed, in one transaction.

The order is the guarantee: the key file is locked, the transaction begins, rows and events are written, the transaction
is committed, and only then the key moves on. A crash leaves the key one step behind, never ahead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

from dlp import audit, ratchet
from dlp.ratchet import Held, Key, Ratchet

LAST_EVENT = "SELECT seq, hash, mac FROM event ORDER BY seq DESC LIMIT 1"
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
        self.key: Key | None = None

    @classmethod
    @contextmanager
    def open(cls, db: sqlite3.Connection, file: Ratchet) -> Iterator[Self]:
        """Give one immediate transaction: all of it is durable afterwards, or nothing is."""
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

    def append(self, actor: str, kind: str, job: str, body: dict[str, Any]) -> None:
        """Chain and seal one event; the head was read inside the transaction, so two processes never fork the chain."""
        seq = self._seq + 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
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
        self.db.execute("COMMIT")
        if self.key:
            self._held.write(self.key)


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
