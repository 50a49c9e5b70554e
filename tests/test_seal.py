"""The key that moves on: it seals each event, is not behind or ahead without a word, and outlives kill -9."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from dlp import audit, ratchet
from dlp.audit import KEYED, Wrong
from dlp.errors import StoreError
from dlp.ratchet import Key, Ratchet
from dlp.store.schema import VERSION
from dlp.store.sqlite import KEY_FILE, SqliteStore

FIRST = bytes(range(32))
CHAIN = ratchet.name(FIRST)
STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed (Debian package: strace)")
WRITES = "pwrite64,fdatasync,fsync,ftruncate"
NOTE = """
import sys
from pathlib import Path
from dlp.store.sqlite import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]), create=False)
for n in range(int(sys.argv[2])):
    store.note(actor="p", kind="test.noted", job="", body={"n": n})
    print(store.head()[0], flush=True)
"""
BEGIN = """
import sys
from pathlib import Path
from dlp.store.sqlite import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]), create=False)
body = {"chain": sys.argv[3]}
store.begin(bytes.fromhex(sys.argv[2]), actor="p", kind="audit-key", body=body, first=lambda _: None, anew=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the place of the books."""
    return tmp_path / "state" / "books.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Give books whose first event begins with the key FIRST."""
    store = SqliteStore.open(path, create=True)
    begin(store, FIRST)
    yield store
    store.close()


def begin(store: SqliteStore, secret: bytes) -> None:
    """Let a key begin."""
    body = {"chain": ratchet.name(secret)}
    assert store.begin(secret, actor="gate", kind=KEYED, body=body, first=lambda _: None, anew=True)


def note(store: SqliteStore, count: int = 1) -> None:
    """Append events."""
    for n in range(count):
        store.note(actor="gate", kind="test.noted", job="", body={"n": n})


def check(store: SqliteStore, *secrets: bytes) -> audit.Report:
    """Verify with first keys."""
    return audit.verify(store.events(), chains={ratchet.name(secret): secret for secret in secrets or (FIRST,)})


def holds(store: SqliteStore, count: int, *secrets: bytes) -> None:
    """Assert that the trail has `count` events, all sealed, and that the key file is where it has to be."""
    report = check(store, *secrets)
    assert (report.faults, report.count, report.sealed) == ((), count, count)
    assert store.key()[1] == ratchet.moved(Key(1, (secrets or (FIRST,))[0]), count + 1)


def test_every_event_is_sealed_and_the_key_moves_on(store: SqliteStore, path: Path) -> None:
    """From the first event on each has the seal of its own key, and the file holds the key of the next one."""
    note(store, 20)
    holds(store, 21)
    assert check(store).keyed == (1,)
    assert path.with_name(KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert path.with_name(KEY_FILE).stat().st_size == 64


def test_the_seal_is_what_an_outsider_computes(store: SqliteStore) -> None:
    """HMAC-SHA256 of "event" and the hash under a key that is HMAC-SHA256 of "next" under the one before."""
    note(store, 3)
    key = FIRST
    for event in store.events():
        assert event.mac == hmac.new(key, b"event" + event.hash.encode(), hashlib.sha256).hexdigest()
        key = hmac.new(key, b"next", hashlib.sha256).digest()


def test_no_earlier_key_is_left_anywhere(store: SqliteStore, path: Path) -> None:
    """Database, write-ahead log and key file hold no key of an event that is written, as bytes or as hex."""
    note(store, 200)
    store.close()
    heap = b"".join(p.read_bytes() for p in path.parent.iterdir())
    key = Key(1, FIRST)
    for seq in range(1, 202):
        secret = ratchet.moved(key, seq).secret
        assert secret not in heap
        assert secret.hex().encode() not in heap
    assert ratchet.moved(key, 202).secret in heap


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_a_key_that_is_behind_is_moved_on(store: SqliteStore, path: Path, steps: int) -> None:
    """After a crash before the key was written, or with an older copy of it, the next event has its right seal."""
    older = path.with_name(KEY_FILE).read_bytes()
    note(store, steps)
    path.with_name(KEY_FILE).write_bytes(older)
    note(store)
    holds(store, steps + 2)


def refused(path: Path, store: SqliteStore, match: str) -> None:
    """Assert that nothing can be appended, that nothing was, and that the key file is as it was."""
    file = path.with_name(KEY_FILE)
    before = file.read_bytes() if file.exists() else None, tuple(store.events())
    for _ in range(2):
        with pytest.raises(StoreError, match=match):
            note(store)
    assert (file.read_bytes() if file.exists() else None, tuple(store.events())) == before


def test_books_older_than_their_key_are_refused(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    """An older copy of the books under the key that has moved on takes no further event, and says what is missing."""
    note(store, 3)
    store.close()
    shutil.copy(path, tmp_path / "older")
    again = SqliteStore.open(path, create=True)
    note(again, 5)
    again.close()
    for extra in path.parent.glob("books.db-*"):
        extra.unlink()
    shutil.copy(tmp_path / "older", path)
    older = SqliteStore.open(path, create=True)
    refused(path, older, "end at event 4, the key is at 9")
    older.close()


def test_new_books_beside_a_used_key_are_refused(store: SqliteStore, path: Path) -> None:
    """Who removes the books and lets the gate make new ones is told: the key knows of events."""
    note(store, 3)
    store.close()
    for file in path.parent.glob("books.db*"):
        file.unlink()
    fresh = SqliteStore.open(path, create=True)
    refused(path, fresh, "end at event 0, the key is at 4")
    fresh.close()


def test_books_without_seals_beside_a_used_key_are_refused(store: SqliteStore, path: Path) -> None:
    """Who strips the seals does not lead the gate to go on without them."""
    note(store, 3)
    store._db.execute("DROP TRIGGER event_is_never_updated")
    store._db.execute("UPDATE event SET mac = '' WHERE seq > 2")
    refused(path, store, "has no seal")
    with pytest.raises(StoreError, match="has no seal"):
        store.begin(bytes(32), actor="a", kind=KEYED, body={}, first=lambda _: pytest.fail("called"))
    store._db.execute("UPDATE event SET mac = ''")
    report = check(store)
    assert [(fault.wrong, fault.at) for fault in report.faults] == [(Wrong.UNSEALED, 1)]


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (lambda f: f.unlink(), "gone"),
        (lambda f: f.write_bytes(b""), "gone"),
        (lambda f: f.write_bytes(f.read_bytes()[:63]), "damaged"),
        (lambda f: f.write_bytes(f.read_bytes() + b"x"), "damaged"),
        (lambda f: f.write_bytes(bytes(64)), "damaged"),
        (lambda f: f.chmod(0o640), "others may read"),
        (lambda f: (f.rename(f.with_name("elsewhere")), f.symlink_to("elsewhere")), "damaged"),
        (lambda f: (f.unlink(), f.mkdir()), "damaged"),
    ],
    ids=["removed", "emptied", "cut", "longer", "zeroed", "readable by others", "a link", "a folder"],
)
def test_without_its_key_the_trail_takes_no_event(
    store: SqliteStore, path: Path, harm: Callable[[Path], object], match: str
) -> None:
    """A key file that is gone, damaged or open to others stops every change: no event is written without a seal."""
    note(store, 3)
    file = path.with_name(KEY_FILE)
    harm(file)
    before = tuple(store.events())
    with pytest.raises(StoreError, match=match):
        note(store)
    assert tuple(store.events()) == before


@pytest.mark.parametrize("place", range(64))
def test_a_flipped_byte_of_the_key_file_is_seen(store: SqliteStore, path: Path, place: int) -> None:
    """No byte of the 64 can change without a word."""
    file = path.with_name(KEY_FILE)
    raw = bytearray(file.read_bytes())
    raw[place] ^= 1
    file.write_bytes(raw)
    refused(path, store, "damaged")


def test_before_the_first_key_events_have_no_seal(path: Path) -> None:
    """Books without a key go on as a plain chain; the first key seals what comes from then on, and what was stays."""
    store = SqliteStore.open(path, create=True)
    note(store, 3)
    assert not store.is_sealed()
    begin(store, FIRST)
    note(store, 2)
    assert store.is_sealed()
    report = check(store)
    assert (report.faults, report.count, report.sealed, report.keyed) == ((), 6, 3, (4,))
    store.close()


def test_a_key_that_fits_stays(store: SqliteStore, path: Path) -> None:
    """Who wants to begin where something is sealed already is told so, and nothing is written."""
    note(store)
    before = store.key()
    assert not store.begin(bytes(32), actor="a", kind=KEYED, body={"chain": ""}, first=lambda _: pytest.fail("called"))
    assert store.key() == before
    note(store)
    holds(store, 3)


def test_a_lost_key_can_be_replaced_and_the_trail_tells(store: SqliteStore, path: Path) -> None:
    """A second key seals from its own event on; the first one still tells of what it sealed."""
    note(store, 3)
    path.with_name(KEY_FILE).unlink()
    second = bytes(32)
    begin(store, second)
    note(store, 2)
    report = check(store, FIRST, second)
    assert (report.faults, report.sealed, report.keyed) == ((), 7, (1, 5))
    report = check(store, FIRST)
    assert [(fault.wrong, fault.at) for fault in report.faults] == [(Wrong.OTHER_CHAIN, 5)]


def test_threads_and_processes_share_one_key(store: SqliteStore, path: Path) -> None:
    """Three threads and two processes that append at once make one sealed chain with nothing lost."""
    children = [
        subprocess.Popen([sys.executable, "-c", NOTE, str(path), "40"], stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    threads = [threading.Thread(target=note, args=(store, 40)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait(60) for child in children] == [0, 0]
    holds(store, 201)


def traced(calls: str, *words: str, inject: str = "", only: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a child under strace; `inject` is what strace does to it, `only` the file whose calls are looked at."""
    return subprocess.run(
        [
            STRACE or "strace",
            "-f",
            "-y",
            *(("-P", str(only)) if only else ()),
            "-e",
            f"trace={calls}",
            *(("-e", f"inject={inject}") if inject else ()),
            sys.executable,
            "-c",
            *words,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def points(trace: str) -> list[tuple[str, int]]:
    """Give every system call of a trace as (name, its how-manieth)."""
    seen: Counter[str] = Counter()
    found = []
    for call in re.findall(r"^(?:\[pid +\d+\] )?(\w+)\(", trace, re.MULTILINE):
        seen[call] += 1
        found.append((call, seen[call]))
    return found


def copy_of(path: Path, root: Path) -> Path:
    """Copy closed books with their key."""
    shutil.copytree(path.parent, root)
    return root / path.name


@needs_strace
@pytest.mark.timeout(600)
@pytest.mark.parametrize("one_in", [pytest.param(1, marks=pytest.mark.long), 3])
def test_killed_at_every_write_of_an_append(store: SqliteStore, path: Path, tmp_path: Path, one_in: int) -> None:
    """Whatever write or sync of books or key it dies at: what was told as written is there, and all is sealed."""
    note(store, 2)
    store.close()
    plain = traced(WRITES, NOTE, str(copy_of(path, tmp_path / "plain")), "3")
    assert plain.returncode == 0, plain.stderr
    assert KEY_FILE in plain.stderr
    steps = points(plain.stderr)
    assert len(steps) >= 12
    for call, number in steps[one_in // 2 :: one_in]:
        books = copy_of(path, tmp_path / f"{call}-{number}")
        dead = traced(WRITES, NOTE, str(books), "3", inject=f"{call}:signal=SIGKILL:when={number}")
        assert dead.returncode in (-9, 137), (call, number, dead.stderr)
        told = int(dead.stdout.split()[-1]) if dead.stdout.split() else 3
        again = SqliteStore.open(books, create=True)
        count = again.head()[0]
        assert told <= count <= told + 1, (call, number)
        note(again)
        holds(again, count + 1)
        again.close()


@needs_strace
@pytest.mark.timeout(600)
@pytest.mark.parametrize("one_in", [pytest.param(1, marks=pytest.mark.long), 3])
def test_killed_at_every_write_of_a_new_key(tmp_path: Path, one_in: int) -> None:
    """Dying while a first or a second key is laid down leaves a trail that verifies and can be given a key again."""
    for name, old in (("first", None), ("second", FIRST)):
        path = tmp_path / name / "books.db"
        store = SqliteStore.open(path, create=True)
        note(store, 1)
        if old:
            begin(store, old)
            note(store, 1)
        count = store.head()[0]
        store.close()
        new = hashlib.sha256(name.encode()).digest()
        words = BEGIN, new.hex(), ratchet.name(new)
        plain = traced(WRITES, words[0], str(copy_of(path, tmp_path / f"{name}-plain")), *words[1:])
        assert plain.returncode == 0, plain.stderr
        for call, number in points(plain.stderr)[one_in // 2 :: one_in]:
            books = copy_of(path, tmp_path / f"{name}-{call}-{number}")
            inject = f"{call}:signal=SIGKILL:when={number}"
            dead = traced(WRITES, words[0], str(books), *words[1:], inject=inject)
            assert dead.returncode in (-9, 137), (call, number, dead.stderr)
            again = SqliteStore.open(books, create=True)
            begun = again.head()[0] == count + 1
            if old and not begun:
                laid = again.key()[1] != old_key(old, count)  # then the old key is no more
                with pytest.raises(StoreError, match="gone") if laid else nullcontext():
                    note(again)
            third = bytes(32)
            begin(again, third)
            note(again)
            report = check(again, *filter(None, (old, new, third)))
            assert report.faults == (), (call, number)
            again.close()


def old_key(secret: bytes, count: int) -> Key:
    """Give the key that the second case has before anything is laid down: it began with event 2."""
    return ratchet.moved(Key(2, secret), count + 1)


@needs_strace
def test_a_key_that_cannot_be_written_is_told(store: SqliteStore, path: Path) -> None:
    """A disk that refuses the key after the commit is a StoreError; the event stands, and the next one catches up."""
    note(store, 2)
    file = path.with_name(KEY_FILE)
    before = file.read_bytes()
    failed = traced("pwrite64", NOTE, str(path), "1", inject="pwrite64:error=EIO", only=file)
    assert failed.returncode == 1
    assert "damaged or cannot be used" in failed.stderr
    assert file.read_bytes() == before
    assert store.head()[0] == 4
    note(store)
    holds(store, 5)


@needs_strace
def test_the_books_are_synced_before_the_key_moves_on(store: SqliteStore, path: Path) -> None:
    """SIGKILL cannot show a missing sync: in the trace the log is synced, then the key written, durable by itself."""
    store.close()
    done = traced("openat,pwrite64,fdatasync,flock", NOTE, str(path), "1")
    assert done.returncode == 0, done.stderr
    calls = [line for line in done.stderr.splitlines() if path.parent.name in line]
    opened = next(n for n, line in enumerate(calls) if "openat" in line and KEY_FILE in line)
    assert "O_DSYNC" in calls[opened]
    locked = next(n for n, line in enumerate(calls) if n > opened and "flock" in line and "LOCK_EX" in line)
    synced = next(n for n, line in enumerate(calls) if n > locked and "fdatasync" in line and "-wal" in line)
    moved = next(n for n, line in enumerate(calls) if n > locked and "pwrite64" in line and KEY_FILE in line)
    assert opened < locked < synced < moved


def test_a_key_file_that_another_process_holds_is_waited_for(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stands still with the lock is told after the wait, and nothing is written meanwhile."""
    monkeypatch.setattr(ratchet, "_WAIT", 0.05)
    with Ratchet(path.with_name(KEY_FILE)).held():
        with pytest.raises(StoreError, match="too long"):
            note(store)
        assert store.head()[0] == 1
    note(store)
    holds(store, 2)


def test_a_rolled_back_change_leaves_the_key_where_it_was(store: SqliteStore) -> None:
    """An event that cannot be written moves nothing on."""
    note(store)
    before = store.key()
    with pytest.raises((TypeError, StoreError)):
        store.note(actor="a", kind="k", job="", body={"x": object()})
    assert store.key() == before
    note(store)
    holds(store, 3)


def test_the_key_file_is_made_private_whatever_the_umask(path: Path) -> None:
    """Nobody else can read the key file, not even for a moment."""
    old = os.umask(0)
    try:
        SqliteStore.open(path, create=True).close()
    finally:
        os.umask(old)
    assert path.with_name(KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (VERSION,)
