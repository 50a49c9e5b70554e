"""When is a file complete? Tracks what stands in a watched folder, from hints and sweeps, without trusting names.

A file is complete when size, mtime and ctime have not changed for the settle time, no event says that somebody is
still writing, and the kernel knows no open writer. Time alone never makes an unfinished file complete.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "fuse",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "vboxsf",
    "vmhgfs",
    "virtiofs",
    "davfs",
)


class Print(NamedTuple):
    """What tells one state of a file from another."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


def print_of(about: os.stat_result) -> Print:
    """Return the print of a stat result."""
    return Print(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


class Pending(NamedTuple):
    """A file that is watched until it is complete: its print, and since when (monotonic seconds) it has it."""

    print: Print
    since: float


class Track:
    """What is known of one watched folder. Thread-safe: events come from one thread, sweeps from another."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._lock = threading.Lock()
        self._pending: dict[bytes, Pending] = {}
        self._opens: dict[bytes, int] = {}  # of files that were made and not closed by a writer yet
        self._writing: set[bytes] = set()
        self._offered: dict[bytes, Print] = {}
        self._not_before: dict[bytes, float] = {}

    def made(self, key: bytes) -> None:
        """Note a new name. By itself it tells of no writer: a file in a new folder may be closed before it is seen."""
        with self._lock:
            self._opens.setdefault(key, 0)

    def opened(self, key: bytes) -> None:
        """Note that somebody opened a new file; he may have made it in order to write."""
        with self._lock:
            if key in self._opens:
                self._opens[key] += 1

    def left(self, key: bytes) -> None:
        """Note that somebody closed the file who could not write to it: one of those who opened it only read."""
        with self._lock:
            if self._opens.get(key):
                self._opens[key] -= 1

    def written(self, key: bytes) -> None:
        """Note that somebody wrote to this file and has not closed it yet."""
        with self._lock:
            self._writing.add(key)

    def closed(self, key: bytes) -> None:
        """Note that the writer closed this file, or that it was moved in whole."""
        with self._lock:
            self._opens.pop(key, None)
            self._writing.discard(key)

    def forget_writers(self) -> None:
        """Drop what events told, because some of them were lost; open writers are then only known to the kernel."""
        with self._lock:
            self._opens.clear()
            self._writing.clear()

    def again(self, key: bytes, not_before: float) -> None:
        """Offer this file again, not before a moment: it could not be taken."""
        with self._lock:
            self._offered.pop(key, None)
            self._not_before[key] = not_before

    def see(self, key: bytes, now_print: Print, now: float) -> bool:
        """Take note of one look at a file; tell whether it has been still for the settle time and may be offered."""
        with self._lock:
            if self._offered.get(key) == now_print:
                return False
            known = self._pending.get(key)
            if known is None or known.print != now_print:
                self._pending[key] = Pending(now_print, now)
                return False
            return now - known.since >= self._settle and now >= self._not_before.get(key, 0.0)

    def writing(self, key: bytes) -> bool:
        """Tell whether events say that somebody made the file or wrote to it, and has not closed it yet."""
        with self._lock:
            return key in self._writing or self._opens.get(key, 0) > 0

    def offer(self, key: bytes, now_print: Print) -> None:
        """Note that this state of the file is offered; it is not offered again until it changes."""
        with self._lock:
            self._pending.pop(key, None)
            self._not_before.pop(key, None)
            self._opens.pop(key, None)
            self._offered[key] = now_print

    def keep_only(self, keys: set[bytes]) -> None:
        """Forget every file that is not among `keys`: it is gone."""
        with self._lock:
            for known in (self._pending, self._offered, self._not_before, self._opens):
                for key in known.keys() - keys:
                    del known[key]
            self._writing &= keys

    def waiting(self) -> tuple[bytes, ...]:
        """Return the files that are not complete yet."""
        with self._lock:
            return tuple(self._pending)


def walk(root: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    """Give every entry below `root` that is not a folder of the same disk: raw relative name and its own stat.

    Links are not followed. A folder of another file system is given as an entry, so that it can be refused.
    """
    base = os.fsencode(root)
    home = root.stat().st_dev
    folders = [b""]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(base + b"/" + folder))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # gone since it was listed, or not ours to read: the next sweep looks again
        for entry in entries:
            key = folder + b"/" + entry.name if folder else entry.name
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(about.st_mode) and about.st_dev == home:
                    folders.append(key)
                else:
                    yield key, about


def has_writer(fd: int) -> bool | None:
    """Tell whether the kernel knows that a file is open for writing; None where it does not tell us.

    A read lease is only given on a file that nobody writes to. If a writer comes while we hold it, the kernel sends
    SIGIO; whoever runs a watcher must ignore that signal.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None  # not our file, or a file system without leases
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def is_remote(folder: Path, mounts: str | None = None) -> bool:
    """Tell whether events of other machines would not be seen here, by the type of the file system."""
    text = mounts if mounts is not None else Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    best, kind = "", ""
    real = str(folder.resolve())
    for line in text.splitlines():
        fields = line.split()
        if "-" not in fields or len(fields) < 10:
            continue
        point = fields[4].replace("\\040", " ")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, fields[fields.index("-") + 1]
    return kind.startswith(REMOTE)
