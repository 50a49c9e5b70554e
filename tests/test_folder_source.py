"""Sources: what every source must keep (SourceContract), and what a watched folder adds to it.

No test sleeps to let something happen: a watcher runs in its thread and a test waits for the fact, with a deadline.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import socket
import threading
import time
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from watchdog.observers.api import BaseObserver

from dlp import durable
from dlp.config import Folder, Watcher
from dlp.model import Say
from dlp.sources import Found, ReleaseError, Source, TakeRefused, names, receipts
from dlp.sources import folder as folder_module
from dlp.sources.folder import HINTS, FolderSource
from dlp.sources.watching import Print, Track, has_writer, is_remote

KEY = b"k" * 32
SETTLE = 0.05  # seconds
DEADLINE = 30.0
NEVER = 3600.0

LONG = ("长" * 83 + "ab.txt").encode()
ODD = {
    "newline": b"two\nlines.txt",
    "no UTF-8": b"\xff\xfe\x80.txt",
    "half UTF-8": "文".encode()[:2] + b".txt",
    "right to left": "合同\u202etxt.exe".encode(),
    "255 bytes": LONG,
    "255 bytes of no UTF-8": b"\xfe" * 255,
    "composed": unicodedata.normalize("NFC", "é.txt").encode(),
    "decomposed": unicodedata.normalize("NFD", "é.txt").encode(),
    "blanks": b" a ",
    "option": b"-rf *",
    "escape": b"\x1b[2J\x07.txt",
    "backslash": b"a\\b\\\\.txt",
    "hidden": b".hidden",
}


@pytest.fixture(autouse=True)
def _no_sigio() -> Iterator[None]:
    """Ignore SIGIO as the daemon does: a writer may come while a watcher holds a lease."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


class Channel(ABC):
    """What a contract test needs of the world around a source."""

    source: Source

    @abstractmethod
    def put(self, key: bytes, content: bytes) -> None:
        """Put a complete item into the channel, in one step."""

    @abstractmethod
    def waiting(self) -> dict[bytes, bytes]:
        """Return what lies on the incoming side: key -> content."""

    @abstractmethod
    def left(self) -> dict[bytes, bytes]:
        """Return what a receiver on the outgoing side can see: key -> content."""

    @abstractmethod
    def break_outgoing(self) -> Callable[[], None]:
        """Make the outgoing side unreachable; return what mends it."""


class Watching:
    """A source's watcher in its thread, and what it told so far."""

    def __init__(self, source: Source) -> None:
        self._told = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=source.watch, args=(self._offer, self._refuse, self._stop))
        self.offers: list[Found] = []
        self.refusals: list[tuple[Found, Say]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the watcher does not stop"

    def offered(self, *keys: bytes) -> list[Found]:
        """Wait until each key was offered; return the last offer of each."""
        self.until(lambda: set(keys) <= {f.key for f in self.offers})
        return [[f for f in self.offers if f.key == key][-1] for key in keys]

    def times(self, key: bytes) -> int:
        """Return how often a key was offered."""
        return sum(f.key == key for f in self.offers)

    def until(self, fact: Callable[[], bool]) -> None:
        """Wait for a fact about what was told."""
        with self._told:
            if not self._told.wait_for(fact, DEADLINE):
                pytest.fail(f"did not happen; offered {self.offers}, refused {self.refusals}")

    def _offer(self, found: Found) -> None:
        with self._told:
            self.offers.append(found)
            self._told.notify_all()

    def _refuse(self, found: Found, say: Say) -> None:
        with self._told:
            self.refusals.append((found, say))
            self._told.notify_all()


def no_refusal(found: Found, say: Say) -> None:
    """Fail: nothing was to be refused."""
    pytest.fail(f"{found.shown} was refused: {say.en}")


def sweep(source: Source) -> dict[bytes, Found]:
    """Return what is complete now, by key; nothing may be refused."""
    return {f.key: f for f in source.sweep(no_refusal)}


def content_of(fd: int) -> bytes:
    """Return all of a descriptor and close it."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


@contextmanager
def body_of(content: bytes) -> Iterator[tuple[int, str]]:
    """Give a sealed memory file and its hash, as the line hands them over; its position is not at the start."""
    fd = durable.memory_file("body")
    try:
        durable.write_all(fd, content)
        durable.freeze(fd)
        os.lseek(fd, 0, os.SEEK_END)
        yield fd, hashlib.sha256(content).hexdigest()
    finally:
        os.close(fd)


def stage(source: Source, key: bytes, job: str, content: bytes) -> None:
    """Stage `content` for `key`."""
    with body_of(content) as (fd, sha256):
        source.stage(key, job, fd, sha256)


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


class SourceContract:
    """What every source keeps. A subclass gives the `channel` fixture."""

    def test_a_sweep_finds_complete_items(self, channel: Channel) -> None:
        """Each complete item comes once, with its size and a name for people; the next sweep has nothing new."""
        channel.put(b"a.txt", b"one")
        channel.put("子/乙.txt".encode(), b"three")
        found = sweep(channel.source)
        assert {k: f.size for k, f in found.items()} == {b"a.txt": 3, "子/乙.txt".encode(): 5}
        assert {f.source for f in found.values()} == {channel.source.name}
        assert found["子/乙.txt".encode()].shown == "子/乙.txt"
        assert sweep(channel.source) == {}

    def test_a_watcher_offers_what_is_there_and_what_comes_once(self, channel: Channel) -> None:
        """Items from before the start and items put later are offered, each exactly once."""
        channel.put(b"before.txt", b"1")
        with Watching(channel.source) as seen:
            seen.offered(b"before.txt")
            channel.put(b"later.txt", b"2")
            channel.put(b"sub/deep/new.txt", b"3")
            seen.offered(b"later.txt", b"sub/deep/new.txt")
            channel.put(b"last.txt", b"4")
            seen.offered(b"last.txt")
        assert sorted(f.key for f in seen.offers) == [b"before.txt", b"last.txt", b"later.txt", b"sub/deep/new.txt"]
        assert seen.refusals == []

    def test_a_watcher_stops_when_it_is_told(self, channel: Channel) -> None:
        """With the stop set before, it returns; it leaves no thread and no descriptor behind."""
        threads, before = threading.active_count(), descriptors()
        with Watching(channel.source):
            pass
        assert threading.active_count() == threads
        assert descriptors() == before

    def test_open_gives_exactly_what_was_offered(self, channel: Channel) -> None:
        """The descriptor holds the bytes of the offered item."""
        channel.put(b"a.txt", b"content")
        assert content_of(channel.source.open(sweep(channel.source)[b"a.txt"])) == b"content"

    def test_open_tells_what_changed_from_what_is_there(self, channel: Channel) -> None:
        """An item that was replaced or is gone is not opened, and no descriptor is lost."""
        channel.put(b"a.txt", b"content")
        found = sweep(channel.source)[b"a.txt"]
        before = descriptors()
        channel.put(b"a.txt", b"CONTENT")
        with pytest.raises(FileNotFoundError):
            channel.source.open(found)
        assert channel.source.remove(sweep(channel.source)[b"a.txt"])
        with pytest.raises(FileNotFoundError):
            channel.source.open(found)
        assert descriptors() == before

    def test_remove_takes_only_what_was_offered(self, channel: Channel) -> None:
        """A replaced item stays, whole, and is offered anew; what is gone counts as removed."""
        channel.put(b"a.txt", b"old")
        old = sweep(channel.source)[b"a.txt"]
        channel.put(b"a.txt", b"new")
        assert channel.source.remove(old) is False
        assert channel.waiting() == {b"a.txt": b"new"}
        new = sweep(channel.source)[b"a.txt"]
        assert channel.source.remove(new) is True
        assert channel.waiting() == {}
        assert channel.source.remove(new) is True

    def test_the_same_name_put_again_is_offered_again(self, channel: Channel) -> None:
        """After one was removed, the next item of that name is a new one."""
        with Watching(channel.source) as seen:
            channel.put(b"a.txt", b"1")
            assert channel.source.remove(seen.offered(b"a.txt")[0])
            channel.put(b"a.txt", b"2")
            seen.until(lambda: seen.times(b"a.txt") == 2)
            assert content_of(channel.source.open(seen.offers[-1])) == b"2"

    def test_nothing_is_visible_before_it_is_published(self, channel: Channel) -> None:
        """A staged copy has left nobody; published, it is whole under its name."""
        content = os.urandom(3 << 20)
        stage(channel.source, b"a.bin", "J1", content)
        assert channel.left() == {}
        assert channel.source.publish(b"a.bin", "J1") == "a.bin"
        assert channel.left() == {b"a.bin": content}

    def test_publishing_twice_releases_once(self, channel: Channel) -> None:
        """After a crash the same step is done again: it says that it was done, and makes no second copy."""
        stage(channel.source, b"a.txt", "J1", b"x")
        assert channel.source.publish(b"a.txt", "J1") == "a.txt"
        assert channel.source.publish(b"a.txt", "J1") is None
        assert channel.left() == {b"a.txt": b"x"}

    def test_a_taken_name_gets_a_number_and_nothing_is_overwritten(self, channel: Channel) -> None:
        """Three items of one name leave as three."""
        got = []
        for number in range(1, 4):
            stage(channel.source, b"a.txt", f"J{number}", b"%d" % number)
            got.append(channel.source.publish(b"a.txt", f"J{number}"))
        assert got == ["a.txt", "a (2).txt", "a (3).txt"]
        assert channel.left() == {b"a.txt": b"1", b"a (2).txt": b"2", b"a (3).txt": b"3"}

    def test_items_of_one_name_published_at_once_all_leave(self, channel: Channel) -> None:
        """Eight threads, one name: eight names, no content lost."""
        jobs = [f"J{n}" for n in range(8)]
        for job in jobs:
            stage(channel.source, b"s/a.txt", job, job.encode())
        start = threading.Barrier(len(jobs))

        def publish(job: str) -> str | None:
            start.wait(DEADLINE)
            return channel.source.publish(b"s/a.txt", job)

        with ThreadPoolExecutor(len(jobs)) as pool:
            got = list(pool.map(publish, jobs))
        assert set(got) == {"s/a.txt", *(f"s/a ({n}).txt" for n in range(2, 9))}
        assert sorted(channel.left().values()) == [job.encode() for job in jobs]

    def test_what_is_not_what_was_sealed_is_not_staged(self, channel: Channel) -> None:
        """A body with another hash is an error, and nothing of it stays on the outgoing side."""
        with body_of(b"other") as (fd, _), pytest.raises(ReleaseError) as err:
            channel.source.stage(b"a.txt", "J1", fd, hashlib.sha256(b"sealed").hexdigest())
        assert "sealed" in err.value.say.en
        assert channel.source.publish(b"a.txt", "J1") is None
        assert channel.left() == {}

    def test_a_discarded_copy_never_leaves(self, channel: Channel) -> None:
        """Discard takes the staged copy away, does nothing where there is none, and the job can be staged anew."""
        channel.source.discard(b"s/a.txt", "J1")
        stage(channel.source, b"s/a.txt", "J1", b"x")
        channel.source.discard(b"s/a.txt", "J1")
        channel.source.discard(b"s/a.txt", "J1")
        assert channel.source.publish(b"s/a.txt", "J1") is None
        assert channel.left() == {}
        stage(channel.source, b"s/a.txt", "J1", b"y")
        assert channel.source.publish(b"s/a.txt", "J1") == "s/a.txt"
        assert channel.left() == {b"s/a.txt": b"y"}

    def test_one_job_does_not_touch_the_copy_of_another(self, channel: Channel) -> None:
        """Discarding one job leaves the other's staged copy of the same name."""
        stage(channel.source, b"a.txt", "J1", b"1")
        stage(channel.source, b"a.txt", "J2", b"2")
        channel.source.discard(b"a.txt", "J1")
        assert channel.source.publish(b"a.txt", "J2") == "a.txt"
        assert channel.left() == {b"a.txt": b"2"}

    def test_an_unreachable_outgoing_side_is_an_operator_error(self, channel: Channel) -> None:
        """Neither step pretends success while it is away; once it is back the staged copy leaves."""
        stage(channel.source, b"a.txt", "J1", b"x")
        mend = channel.break_outgoing()
        with pytest.raises(ReleaseError) as err:
            stage(channel.source, b"b.txt", "J2", b"y")
        assert err.value.hint is not None
        with pytest.raises(ReleaseError):
            channel.source.publish(b"a.txt", "J1")
        mend()
        assert channel.source.publish(b"a.txt", "J1") == "a.txt"
        assert channel.left() == {b"a.txt": b"x"}

    def test_a_receipt_lies_beside_the_item_and_is_not_taken(self, channel: Channel) -> None:
        """The gate knows its own receipt, in a sweep and in a watcher, also after a new start."""
        name = channel.source.tell(b"s/a.txt", "a.txt", "说明\n", "J1")
        assert name == "a.txt.拦截说明.txt"
        ((key, content),) = channel.waiting().items()
        assert key.decode() == f"s/{name}"
        assert content.decode().startswith("说明\n")
        assert sweep(channel.source) == {}
        with Watching(channel.source) as seen:
            channel.put(b"s/b.txt", b"x")
            seen.offered(b"s/b.txt")
        assert seen.times(key) == 0

    def test_a_receipt_is_written_once_for_a_job(self, channel: Channel) -> None:
        """Done again after a crash it makes no second one; another job's receipt gets a number."""
        assert channel.source.tell(b"a.txt", "a.txt", "一\n", "J1") == "a.txt.拦截说明.txt"
        assert channel.source.tell(b"a.txt", "a.txt", "二\n", "J2") == "a.txt.拦截说明 (2).txt"
        assert channel.source.tell(b"a.txt", "a.txt", "一\n", "J1") is None
        assert channel.source.tell(b"a.txt", "a.txt", "二\n", "J2") is None
        assert len(channel.waiting()) == 2
        assert sweep(channel.source) == {}

    @pytest.mark.parametrize("kind", ["name only", "changed", "added to", "renamed", "other key"])
    def test_an_imitation_of_a_receipt_is_taken(self, channel: Channel, kind: str) -> None:
        """Only the seal counts: a file that looks like a receipt is screened like any other."""
        real = receipts.sealed("说明\n", KEY)
        key, content = {
            "name only": ("a.拦截说明.txt", "机密".encode()),
            "changed": ("a.拦截说明.txt", real.replace("说明".encode(), "机密".encode(), 1)),
            "added to": ("a.拦截说明.txt", real + "机密".encode()),
            "renamed": ("a.txt", real),
            "other key": ("a.拦截说明.txt", receipts.sealed("说明\n", b"o" * 32)),
        }[kind]
        channel.put(key.encode(), content)
        assert list(sweep(channel.source)) == [key.encode()]

    @pytest.mark.parametrize("kind", ODD)
    def test_an_odd_name_survives_the_whole_way(self, channel: Channel, kind: str) -> None:
        """Offered, opened, removed, released byte for byte under the same name, and told of."""
        key = b"s/" + ODD[kind]
        channel.put(key, kind.encode())
        found = sweep(channel.source)[key]
        assert found.shown == names.shown(key)
        assert content_of(channel.source.open(found)) == kind.encode()
        assert channel.source.remove(found)
        times = 12 if len(ODD[kind]) == 255 else 2  # a number of two digits needs room in a name that has none
        for number in range(1, times + 1):
            stage(channel.source, key, f"J{number}", b"%d" % number)
            assert channel.source.publish(key, f"J{number}")
            assert channel.source.tell(key, found.shown.rpartition("/")[2], f"{number}\n", f"J{number}")
        assert channel.left()[key] == b"1"
        assert sorted(channel.left().values()) == sorted(b"%d" % n for n in range(1, times + 1))
        assert len(channel.waiting()) == times
        assert sweep(channel.source) == {}, "a receipt of ours was not recognised"

    def test_names_that_look_alike_stay_apart(self, channel: Channel) -> None:
        """All odd names at once, the composed and the decomposed twin among them, each with its own content."""
        for kind, name in ODD.items():
            channel.put(name, kind.encode())
        with Watching(channel.source) as seen:
            for found in seen.offered(*ODD.values()):
                assert ODD[content_of(channel.source.open(found)).decode()] == found.key
        assert len(seen.offers) == len(ODD)


class Outbox(Channel):
    """A watched folder and its release folder on this machine."""

    def __init__(
        self, root: Path, watcher: Watcher, kind: type[FolderSource] = FolderSource, sweep_seconds: float = NEVER
    ) -> None:
        self.watched, self.released, self.aside = root / "外发", root / "已放行", root / "aside"
        for made in (self.watched, self.released, self.aside):
            made.mkdir()
        spec = Folder(
            name="外发",
            watch=self.watched,
            release=self.released,
            watcher=watcher,
            settle_seconds=SETTLE,
            poll_seconds=SETTLE,
            sweep_seconds=sweep_seconds,  # no sweep comes to the rescue of events unless a test asks for it
        )
        self.folder = kind(spec, key=KEY)
        self.source = self.folder

    def path(self, key: bytes) -> Path:
        """Return where a key lies in the watched folder."""
        return self.watched / os.fsdecode(key)

    def put(self, key: bytes, content: bytes) -> None:
        """Write it elsewhere and move it in."""
        made = self.aside / "new"
        made.write_bytes(content)
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        made.replace(self.path(key))

    def waiting(self) -> dict[bytes, bytes]:
        """Return what lies in the watched folder."""
        return _files(self.watched)

    def left(self) -> dict[bytes, bytes]:
        """Return what lies in the release folder; staged copies are known by their name."""
        return {key: content for key, content in _files(self.released).items() if b".dlp-" not in key}

    def break_outgoing(self) -> Callable[[], None]:
        """Move the release folder away."""
        away = self.released.rename(self.released.with_name("away"))

        def mend() -> None:
            away.rename(self.released)

        return mend


def _files(root: Path) -> dict[bytes, bytes]:
    return {os.fsencode(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def make_special(box: Outbox, kind: str) -> bytes:
    """Make something that is no plain file of its own; return its key."""
    key = kind.encode()
    path, other = box.path(key), box.aside / "other.txt"
    other.write_bytes(b"secret of another folder")
    if kind == "symlink":
        path.symlink_to(other)
    elif kind == "dangling":
        path.symlink_to(box.aside / "gone")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "hardlink":
        path.hardlink_to(other)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.symlink_to(box.aside, target_is_directory=True)
    elif kind == "socket":
        where = os.open(box.watched, os.O_RDONLY)  # a socket's path may have 108 bytes only
        with closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(f"/proc/self/fd/{where}/{kind}")
        os.close(where)
    return key


SPECIAL = ("symlink", "dangling", "device", "hardlink", "fifo", "folder", "socket")
WATCHERS: tuple[Watcher, ...] = ("inotify", "poll")


class TestFolder(SourceContract):
    """A watched folder, by events and by polling."""

    @pytest.fixture(params=WATCHERS)
    def channel(self, tmp_path: Path, request: pytest.FixtureRequest) -> Outbox:
        """Give an empty watched folder."""
        return Outbox(tmp_path, request.param)

    @pytest.mark.parametrize(
        "name",
        ["a.docx.part", "a.tmp", "~$a.docx", "a.crdownload", ".~lock.a.odt#", ".goutputstream-Q", ".dlp-J1.part"],
    )
    def test_a_half_written_name_is_waited_for(self, channel: Outbox, name: str) -> None:
        """However long it lies there, it is not offered; renamed to its real name it is."""
        channel.put(name.encode(), b"x")
        assert sweep(channel.source) == {}
        with Watching(channel.source) as seen:
            channel.put(b"other.txt", b"x")
            seen.offered(b"other.txt")
            assert seen.times(name.encode()) == 0
            channel.path(name.encode()).rename(channel.path(b"real.docx"))
            seen.offered(b"real.docx")
        assert sorted(f.key for f in seen.offers) == [b"other.txt", b"real.docx"]

    def test_a_sweep_gives_the_oldest_first(self, channel: Outbox) -> None:
        """Files are taken in the order in which they were finished."""
        for name, age in ((b"b", 30), (b"c", 20), (b"a", 10)):
            channel.put(name, name)
            os.utime(channel.path(name), (1_000_000_000 - age, 1_000_000_000 - age))
        assert list(sweep(channel.source)) == [b"b", b"c", b"a"]

    def test_a_file_that_somebody_still_writes_is_not_offered(self, channel: Outbox) -> None:
        """Files that came later and settled are offered before it; closed, it is offered once and whole."""
        with Watching(channel.source) as seen, channel.path(b"slow.bin").open("wb", buffering=0) as file:
            probe = os.open(channel.path(b"slow.bin"), os.O_RDONLY)
            leases = has_writer(probe)
            os.close(probe)
            if leases is None and channel.folder._spec.watcher == "poll":
                pytest.skip("this file system knows no leases, so a polled writer that pauses cannot be seen")
            for number in range(3):
                file.write(b"x" * 1000)
                channel.put(b"later%d" % number, b"x")
                seen.offered(b"later%d" % number)
            assert seen.times(b"slow.bin") == 0
            file.close()
            (found,) = seen.offered(b"slow.bin")
            assert found.size == 3000
        assert seen.times(b"slow.bin") == 1

    def test_a_file_is_offered_only_after_the_settle_time(self, channel: Outbox) -> None:
        """Between the last change and the offer lies at least the settle time."""
        waited: list[float] = []
        stop = threading.Event()

        def offer(found: Found) -> None:
            waited.append(time.time() - found.ctime_ns / 1e9)
            stop.set()

        watcher = threading.Thread(target=channel.source.watch, args=(offer, no_refusal, stop))
        watcher.start()
        channel.put(b"a.txt", b"x")
        watcher.join(DEADLINE)
        assert not watcher.is_alive()
        assert waited[0] >= SETTLE

    def test_a_file_that_changes_after_its_offer_is_offered_again(self, channel: Outbox) -> None:
        """The second offer speaks of the new state; the first no longer opens."""
        with Watching(channel.source) as seen:
            channel.put(b"a.txt", b"1")
            (first,) = seen.offered(b"a.txt")
            with channel.path(b"a.txt").open("ab") as file:
                file.write(b"2")
            seen.until(lambda: seen.times(b"a.txt") == 2)
            with pytest.raises(FileNotFoundError):
                channel.source.open(first)
            assert content_of(channel.source.open(seen.offers[-1])) == b"12"

    def test_a_file_that_could_not_be_taken_is_offered_again(
        self, channel: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Retry brings the same state of the file once more."""
        monkeypatch.setattr(folder_module, "RETRY_SECONDS", SETTLE)
        with Watching(channel.source) as seen:
            channel.put(b"a.txt", b"1")
            (first,) = seen.offered(b"a.txt")
            channel.source.retry(first)
            seen.until(lambda: seen.times(b"a.txt") == 2)
        assert seen.offers == [first, first]

    def test_a_whole_tree_that_is_moved_in_is_found(self, channel: Outbox) -> None:
        """Files that were in a folder before it came make no event of their own."""
        for name in ("a.txt", "deep/er/b.txt"):
            made = channel.aside / "tree" / name
            made.parent.mkdir(parents=True)
            made.write_bytes(b"x")
        with Watching(channel.source) as seen:
            channel.put(b"first", b"x")
            seen.offered(b"first")
            (channel.aside / "tree").rename(channel.watched / "tree")
            seen.offered(b"tree/a.txt", b"tree/deep/er/b.txt")

    def test_folders_made_in_quick_succession_are_all_found(self, channel: Outbox) -> None:
        """The event library trips over its own feet here; no event thread dies and no folder name reaches the log."""
        keys = [f"s{n}/t{n}/u{n}/a.txt".encode() for n in range(40)]
        with Watching(channel.source) as seen:
            for key in keys:
                channel.put(key, b"x")
            seen.offered(*keys)
            channel.put(b"s0/t0/last.txt", b"x")
            seen.offered(b"s0/t0/last.txt")

    @pytest.mark.parametrize("kind", SPECIAL)
    def test_what_is_no_plain_file_is_refused_and_stays(self, channel: Outbox, kind: str) -> None:
        """It is told once with a reason, never offered, never removed; nothing behind a link is seen."""
        key = make_special(channel, kind)
        channel.put(b"good.txt", b"x")
        refused: list[tuple[Found, Say]] = []
        found = channel.source.sweep(lambda f, say: refused.append((f, say)))
        assert [f.key for f in found] == [b"good.txt"]
        assert [f.key for f, _ in refused] == [key]
        assert refused[0][0].shown == kind
        assert refused[0][1].zh
        assert channel.source.sweep(no_refusal) == []
        assert os.path.lexists(channel.path(key))

    @pytest.mark.parametrize("kind", SPECIAL)
    def test_a_watcher_refuses_what_is_no_plain_file(self, channel: Outbox, kind: str) -> None:
        """The same, when it comes while the watcher runs; files after it are offered."""
        with Watching(channel.source) as seen:
            key = make_special(channel, kind)
            seen.until(lambda: [f.key for f, _ in seen.refusals] == [key])
            channel.put(b"good.txt", b"x")
            seen.offered(b"good.txt")
        assert [f.key for f in seen.offers] == [b"good.txt"]
        assert len(seen.refusals) == 1

    def test_a_hard_link_whose_other_name_is_gone_is_taken(self, channel: Outbox) -> None:
        """It has become a file of its own."""
        key = make_special(channel, "hardlink")
        assert channel.source.sweep(lambda _f, _s: None) == []
        (channel.aside / "other.txt").unlink()
        assert list(sweep(channel.source)) == [key]

    @pytest.mark.parametrize("kind", SPECIAL)
    def test_open_refuses_what_was_swapped_in(self, channel: Outbox, kind: str) -> None:
        """Between offer and open the file became a link, a pipe, a socket: refused, without waiting, no fd lost."""
        channel.put(kind.encode(), b"x")
        found = sweep(channel.source)[kind.encode()]
        channel.path(kind.encode()).unlink()
        make_special(channel, kind)
        before = descriptors()
        with pytest.raises(TakeRefused) as err:
            channel.source.open(found)
        assert err.value.say.zh
        assert channel.source.remove(found) is False
        assert os.path.lexists(channel.path(kind.encode()))
        assert descriptors() == before

    def test_a_second_name_made_after_the_offer_is_refused(self, channel: Outbox) -> None:
        """A hard link to the very file that was offered would keep a way to change it."""
        channel.put(b"a.txt", b"x")
        found = sweep(channel.source)[b"a.txt"]
        (channel.aside / "second").hardlink_to(channel.path(b"a.txt"))
        with pytest.raises(TakeRefused):
            channel.source.open(found)

    @pytest.mark.parametrize("swap", ["link", "file", "gone"])
    def test_a_folder_swapped_on_the_way_is_not_followed(self, channel: Outbox, swap: str) -> None:
        """The file counts as gone: not opened through the link, and not removed behind it."""
        channel.put(b"s/a.txt", b"x")
        found = sweep(channel.source)[b"s/a.txt"]
        away = channel.path(b"s").rename(channel.aside / "s")
        if swap == "link":
            channel.path(b"s").symlink_to(away)
        elif swap == "file":
            channel.path(b"s").touch()
        before = descriptors()
        with pytest.raises(FileNotFoundError):
            channel.source.open(found)
        assert channel.source.remove(found) is True
        assert (away / "a.txt").read_bytes() == b"x"
        assert descriptors() == before

    def test_a_release_is_a_rename_of_the_synced_copy(self, channel: Outbox) -> None:
        """The file under the final name is the very file that was staged beside it; nothing else is left there."""
        stage(channel.source, b"s/a.txt", "J1", b"x")
        (part,) = (channel.released / "s").iterdir()
        assert names.unfinished(os.fsencode(part.name))
        before = part.stat()
        channel.source.publish(b"s/a.txt", "J1")
        (done,) = (channel.released / "s").iterdir()
        assert (done.name, done.stat().st_ino, done.stat().st_nlink) == ("a.txt", before.st_ino, 1)

    def test_nothing_is_released_through_a_link(self, channel: Outbox) -> None:
        """A link in the release folder does not lead a release elsewhere."""
        (channel.released / "s").symlink_to(channel.aside)
        with pytest.raises(ReleaseError):
            stage(channel.source, b"s/a.txt", "J1", b"x")
        channel.source.discard(b"s/a.txt", "J1")
        assert list(channel.aside.iterdir()) == []

    @pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "folder"])
    def test_a_name_taken_by_anything_is_taken(self, channel: Outbox, kind: str) -> None:
        """A link or a pipe under the final name is neither followed nor replaced."""
        make_special(channel, kind)
        channel.path(kind.encode()).rename(channel.released / kind)
        stage(channel.source, kind.encode(), "J1", b"x")
        assert channel.source.publish(kind.encode(), "J1") == f"{kind} (2)"
        assert (channel.aside / "other.txt").read_bytes() == b"secret of another folder"
        assert not (channel.aside / "gone").exists()

    def test_a_full_release_folder_is_an_operator_error(self, channel: Outbox) -> None:
        """A copy that cannot be written to its end leaves nothing behind and can be tried again."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        with body_of(b"\0" * ((1 << 20) + 1)) as (fd, sha256):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
            try:
                with pytest.raises(ReleaseError):
                    channel.source.stage(b"a.bin", "J1", fd, sha256)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(channel.released.iterdir()) == []
        stage(channel.source, b"a.bin", "J1", b"x")
        assert channel.source.publish(b"a.bin", "J1") == "a.bin"

    def test_a_receipt_makes_its_folder_again(self, channel: Outbox) -> None:
        """The operator emptied the place: the receipt lies where he put the file."""
        channel.put(b"s/a.txt", b"x")
        found = sweep(channel.source)[b"s/a.txt"]
        assert channel.source.remove(found)
        shutil.rmtree(channel.path(b"s"))
        channel.source.tell(b"s/a.txt", "a.txt", "说明\n", "J1")
        assert channel.path("s/a.txt.拦截说明.txt".encode()).is_file()

    def test_a_receipt_takes_no_name_that_is_there(self, channel: Outbox) -> None:
        """A link or a file under the receipt's name is neither followed nor overwritten; nothing half is left."""
        victim = channel.aside / "victim"
        victim.write_bytes(b"keep")
        channel.path("a.拦截说明.txt".encode()).symlink_to(victim)
        assert channel.source.tell(b"a", "a", "说明\n", "J1") == "a.拦截说明 (2).txt"
        assert victim.read_bytes() == b"keep"
        assert {p.name for p in channel.watched.iterdir()} == {"a.拦截说明.txt", "a.拦截说明 (2).txt"}

    def test_a_receipt_that_somebody_changes_is_taken(self, channel: Outbox) -> None:
        """A known receipt is looked at again when it changes: nothing is carried out under its name."""
        with Watching(channel.source) as seen:
            key = (channel.source.tell(b"a", "a", "说明\n", "J1") or "").encode()
            channel.put(b"b", b"x")
            seen.offered(b"b")
            assert seen.times(key) == 0
            with channel.path(key).open("ab") as file:
                file.write("夹带".encode())
            seen.offered(key)


class Deaf(FolderSource):
    """A source whose events are all lost, as they are when the kernel's queue overflows."""

    def _observer(self) -> BaseObserver | None:
        observer = super()._observer()
        assert observer is not None
        observer.unschedule_all()
        return observer


def test_the_periodic_sweep_finds_what_events_missed(tmp_path: Path) -> None:
    """With every event lost, new files, new folders and links are found all the same."""
    box = Outbox(tmp_path, "inotify", Deaf, sweep_seconds=SETTLE)
    with Watching(box.source) as seen:
        box.put(b"a.txt", b"1")
        box.put(b"sub/b.txt", b"2")
        key = make_special(box, "symlink")
        seen.offered(b"a.txt", b"sub/b.txt")
        seen.until(lambda: [f.key for f, _ in seen.refusals] == [key])
    assert len(seen.offers) == 2


def test_a_queue_that_overflows_brings_a_sweep(tmp_path: Path) -> None:
    """More hints than the queue holds become one: look at everything; and no writer is believed any more."""
    box = Outbox(tmp_path, "inotify")
    for _ in range(HINTS + 1):
        box.folder._hint(b"a")
    assert box.folder._wait(0.0) == (set(), True)
    box.folder._hint(b"b")
    assert box.folder._wait(0.0) == ({b"b"}, False)


@pytest.fixture
def no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel tell nothing of writers, as on a file system without leases or for another user's files."""
    monkeypatch.setattr(folder_module, "has_writer", lambda fd: None)


@pytest.mark.usefixtures("no_leases")
class TestWithoutLeases:
    """Writers are then known by events alone."""

    @pytest.fixture
    def box(self, tmp_path: Path) -> Outbox:
        """Give an empty watched folder."""
        return Outbox(tmp_path, "inotify")

    @pytest.mark.parametrize("size", [0, 1000])
    @pytest.mark.parametrize("how", ["made", "added to"])
    def test_a_file_waits_for_its_close_event(self, box: Outbox, how: str, size: int) -> None:
        """A writer that pauses for longer than the settle time is known, also while new folders are made."""
        if how == "added to":
            size = max(size, 1)  # who opened an old file and wrote nothing has changed nothing
            box.put(b"slow.bin", b"")
        with Watching(box.source) as seen:
            box.put(b"first.txt", b"x")
            seen.offered(b"first.txt", *box.waiting())
            before = seen.times(b"slow.bin")
            with box.path(b"slow.bin").open("ab", buffering=0) as file:
                for number in range(3):
                    file.write(b"x" * size)
                    box.put(b"f%d/later" % number, b"x")
                    seen.offered(b"f%d/later" % number)
                assert seen.times(b"slow.bin") == before
            seen.until(lambda: seen.times(b"slow.bin") == before + 1)
            assert seen.offers[-1].size == 3 * size

    def test_what_is_moved_in_is_closed(self, box: Outbox) -> None:
        """Files and whole trees that come by a rename, from outside or within, wait for no close event."""
        tree = box.aside / "tree"
        tree.mkdir()
        (tree / "b.txt").write_bytes(b"x")
        with Watching(box.source) as seen:
            box.put(b"a.txt", b"x")
            seen.offered(b"a.txt")
            tree.rename(box.watched / "tree")
            seen.offered(b"tree/b.txt")
            box.path(b"a.txt").rename(box.path(b"tree/c.txt"))
            seen.offered(b"tree/c.txt")

    def test_what_is_moved_over_a_file_in_writing_is_closed(self, box: Outbox) -> None:
        """The writer of the old file writes to what has no name any more; the new one is whole."""
        with Watching(box.source) as seen:
            box.put(b"first.txt", b"x")
            seen.offered(b"first.txt")
            with box.path(b"a.txt").open("wb", buffering=0) as file:
                file.write(b"old")
                box.put(b"f/later", b"x")
                seen.offered(b"f/later")
                assert seen.times(b"a.txt") == 0
                box.put(b"a.txt", b"new one")
                assert seen.offered(b"a.txt")[0].size == len(b"new one")

    def test_a_file_closed_before_its_new_folder_was_watched_is_found(self, box: Outbox) -> None:
        """A quick copy of many folders: some files are made and closed before anybody listens."""
        keys = [f"s{n}/t{n}/a.txt".encode() for n in range(40)]
        with Watching(box.source) as seen:
            for key in keys:
                box.path(key).parent.mkdir(parents=True)
                box.path(key).write_bytes(b"x")
            seen.offered(*keys)
            assert {f.size for f in seen.offers} == {1}

    def test_a_file_that_is_read_meanwhile_is_not_held_back(self, box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """Readers, the gate among them, are not taken for writers, also when the file is offered once more."""
        monkeypatch.setattr(folder_module, "RETRY_SECONDS", SETTLE)
        with Watching(box.source) as seen:
            box.put(b"a.txt", b"1")
            for number in range(1, 4):
                seen.until(partial(lambda times: seen.times(b"a.txt") == times, number))
                assert content_of(box.source.open(seen.offers[-1])) == b"1"
                box.source.retry(seen.offers[-1])

    def test_a_lost_close_event_does_not_hold_a_file_back(self, tmp_path: Path) -> None:
        """After an overflow has swallowed the close, the sweep that it brings finds the file."""
        deaf = Outbox(tmp_path, "inotify", Deaf)
        with Watching(deaf.source) as seen:
            deaf.put(b"first.txt", b"1")
            deaf.folder._hint(None)
            seen.offered(b"first.txt")
            deaf.folder._track.written(b"a.txt")
            deaf.put(b"a.txt", b"1")
            deaf.folder._hint(None)
            seen.offered(b"a.txt")


def _print(size: int = 1, mtime: int = 1, ctime: int = 1) -> Print:
    return Print(1, 1, size, mtime, ctime)


def test_a_file_settles_when_nothing_changes_for_the_settle_time() -> None:
    """A change of size, mtime or ctime alone begins the wait anew."""
    track = Track(2.0)
    clock = 0.0
    for state in (_print(), _print(size=2), _print(size=2, mtime=2), _print(size=2, mtime=2, ctime=2)):
        assert not track.see(b"a", state, clock)
        assert not track.see(b"a", state, clock + 1.9)
        clock += 1.95
    assert track.waiting() == (b"a",)
    assert track.see(b"a", state, clock + 0.1)
    track.offer(b"a", state)
    assert not track.see(b"a", state, clock + 99)
    assert track.waiting() == ()


def test_a_slow_copy_of_ten_minutes_is_not_cut_off() -> None:
    """A file that grows every half second is never complete before it stops, whatever the hour."""
    track = Track(1.0)
    assert not any(track.see(b"a", _print(size=n), n / 2) for n in range(1200))
    assert not track.see(b"a", _print(size=1199), 600.4)
    assert track.see(b"a", _print(size=1199), 600.5)


def test_a_writer_is_known_from_made_to_closed() -> None:
    """What events told is kept until the close, until the file is gone, or until events were lost."""
    track = Track(1.0)
    ends: tuple[Callable[[], None], ...] = (
        lambda: track.closed(b"a"),
        track.forget_writers,
        lambda: track.keep_only({b"b"}),
    )
    for end in ends:
        track.made(b"a")
        track.opened(b"a")  # a reader of a file that was closed before it was seen
        track.left(b"a")
        assert not track.writing(b"a")
        track.opened(b"a")  # he who made it
        track.opened(b"a")  # a reader
        track.left(b"a")
        assert track.writing(b"a")
        end()
        track.opened(b"a")  # of a file that is not new: perhaps a reader
        assert not track.writing(b"a")
        track.written(b"a")
        assert track.writing(b"a")
        end()
        assert not track.writing(b"a")


def test_a_file_to_be_retried_waits_for_its_moment() -> None:
    """It is offered again in the same state, not before the time that was set."""
    track = Track(1.0)
    track.see(b"a", _print(), 0.0)
    track.offer(b"a", _print())
    track.again(b"a", 10.0)
    assert not track.see(b"a", _print(), 1.0)
    assert not track.see(b"a", _print(), 9.0)
    assert track.see(b"a", _print(), 10.0)


def test_a_file_that_is_gone_is_forgotten() -> None:
    """The same print under the same name is a new file after a sweep did not see it."""
    track = Track(0.0)
    track.see(b"a", _print(), 0.0)
    track.offer(b"a", _print())
    track.keep_only(set())
    assert not track.see(b"a", _print(), 1.0)
    assert track.see(b"a", _print(), 1.0)


def test_the_kernel_tells_of_a_writer(tmp_path: Path) -> None:
    """A lease is refused while somebody writes and given afterwards, where the file system knows leases at all."""
    path = tmp_path / "a"
    with path.open("wb"):
        fd = os.open(path, os.O_RDONLY)
        during = has_writer(fd)
    after = has_writer(fd)
    os.close(fd)
    assert (during, after) in ((True, False), (None, None))


MOUNTS = """21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /mnt/share rw,relatime shared:2 - {kind} //server/share rw
31 30 8:2 / /mnt/share/local rw,relatime - xfs /dev/sdb1 rw
32 21 0:41 / /mnt/with\\040blank rw - {kind} host:/x rw
33 21 0:42 / /over rw - ext4 /dev/sdc1 rw
34 33 0:43 / /over rw - {kind} host:/y rw
"""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuseblk", "9p", "virtiofs", "ceph"])
def test_a_share_is_known_by_its_file_system(kind: str) -> None:
    """The nearest mount point decides; of two on one place the later; blanks in it are understood."""
    mounts = MOUNTS.format(kind=kind)
    for path in ("/mnt/share", "/mnt/share/外发", "/mnt/with blank/x", "/over/x"):
        assert is_remote(Path(path), mounts), path
    for path in ("/", "/home/x", "/mnt/share/local/x", "/mnt/shared", "/mnt"):
        assert not is_remote(Path(path), mounts), path


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "autofs"])
def test_a_local_disk_is_watched_by_events(kind: str) -> None:
    """File systems of this machine tell of every change."""
    assert not is_remote(Path("/mnt/share/x"), MOUNTS.format(kind=kind))


@pytest.mark.parametrize(
    ("watcher", "kind", "polled"),
    [("auto", "ext4", False), ("auto", "cifs", True), ("inotify", "cifs", False), ("poll", "ext4", True)],
)
def test_the_watcher_follows_the_file_system_unless_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watcher: Watcher, kind: str, polled: bool
) -> None:
    """`auto` polls a share; what the administrator wrote holds against it."""
    mounts = f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 0:40 / {tmp_path} rw - {kind} x rw\n"
    monkeypatch.setattr(folder_module, "is_remote", lambda folder: is_remote(folder, mounts))
    observer = Outbox(tmp_path, watcher).folder._observer()
    assert (observer is None) == polled
    if observer is not None:
        observer.stop()
        observer.join()
