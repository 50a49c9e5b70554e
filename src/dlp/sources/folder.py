"""A watched folder and its release folder: both edges of the simplest channel."""

from __future__ import annotations

import errno
import os
import queue
import stat
import threading
import time
import warnings
from contextlib import suppress
from itertools import islice
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileClosedNoWriteEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyObserver

from dlp import durable
from dlp.config import Folder
from dlp.model import Say
from dlp.sources import Found, Offer, Refuse, ReleaseError, TakeRefused, names, receipts
from dlp.sources.watching import Print, Track, has_writer, is_remote, print_of, walk

RETRY_SECONDS = 10.0
MOST_NAMES = 100  # looked at for a copy that was published before
HINTS = 100_000  # waiting hints; beyond it a sweep sees what they would have told


class FolderSource:
    """One `[[folders]]` entry as a source."""

    def __init__(self, spec: Folder, *, key: bytes) -> None:
        self.name = f"folder:{spec.name}"
        self.owner = spec.owner
        self.target = spec.target
        self._spec = spec
        self._key = key
        self._track = Track(spec.settle_seconds)
        self._hints: queue.Queue[bytes | None] = queue.Queue(HINTS)
        self._refused: dict[bytes, Print] = {}
        self._receipts: dict[bytes, Print] = {}

    def watch(self, offer: Offer, refuse: Refuse, stop: threading.Event) -> None:
        """Offer each complete file once, until `stop`."""
        observer = self._observer()
        try:
            next_sweep = 0.0
            every = self._spec.sweep_seconds if observer else self._spec.poll_seconds
            while not stop.is_set():
                now = time.monotonic()
                if now >= next_sweep:
                    self._look_at_all(offer, refuse, now)
                    next_sweep = time.monotonic() + every
                keys, all_of_them = self._wait(next_sweep)
                if all_of_them:
                    self._track.forget_writers()
                if all_of_them or b"" in keys:
                    next_sweep = 0.0
                for key in keys.union(self._track.waiting()):
                    self._look_at(key, offer, refuse)
        finally:
            if observer is not None:
                observer.stop()
                observer.join()

    def sweep(self, refuse: Refuse) -> list[Found]:
        """Return what is complete after two looks that are the settle time apart, oldest first."""
        found: list[Found] = []
        self._look_at_all(found.append, refuse, time.monotonic())
        if self._track.waiting():
            time.sleep(self._spec.settle_seconds)
            self._look_at_all(found.append, refuse, time.monotonic())
        return found

    def retry(self, found: Found) -> None:
        """Offer this file again after a while."""
        self._track.again(found.key, time.monotonic() + RETRY_SECONDS)
        self._hint(found.key)

    def open(self, found: Found) -> int:
        """Return an fd of exactly this file, opened through no link."""
        folders, name = names.parts(found.key)
        try:
            folder = durable.open_folder(self._spec.watch, folders)
        except NotADirectoryError as err:  # a link or a file has taken the place of a folder
            raise FileNotFoundError(found.shown) from err
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError as err:
            if isinstance(err, FileNotFoundError):
                raise
            raise TakeRefused(
                Say("是链接或不可读，不取件", "it is a link or cannot be read, so it is not taken")
            ) from err
        finally:
            os.close(folder)
        about = os.fstat(fd)
        why = self._why_not(about)
        if why is not None or print_of(about) != _print(found):
            os.close(fd)
            if why is not None:
                raise TakeRefused(why)
            raise FileNotFoundError(found.shown)
        return fd

    def remove(self, found: Found) -> bool:
        """Remove the file if it is still exactly this one; a changed one stays and is offered anew.

        ReleaseError when the whole watched folder is away: its file would come back with it and be taken twice.
        """
        folders, name = names.parts(found.key)
        try:
            home = self._spec.watch.stat().st_dev
        except OSError:
            home = -1
        if home != found.dev:
            raise ReleaseError(
                Say(
                    f"外发文件夹不在，或共享未挂载：{self._spec.watch}",
                    f"the watched folder {self._spec.watch} is away",
                ),
                Say(
                    "恢复后自动继续；文件已密封保存", "it goes on by itself once the folder is back; the file is sealed"
                ),
            )
        try:
            folder = durable.open_folder(self._spec.watch, folders)
        except (FileNotFoundError, NotADirectoryError):
            return True
        try:
            if print_of(os.stat(name, dir_fd=folder, follow_symlinks=False)) != _print(found):
                return False
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        except FileNotFoundError:
            return True
        finally:
            os.close(folder)
        return True

    def stage(self, key: bytes, job: str, body: int, sha256: str) -> str:
        """Put a complete, synced copy of fd `body` beside its final name; its hash must be `sha256`.

        Return device and inode of the release folder: a folder in its place, such as an empty mount point, is another.
        """
        folders, _ = names.parts(key)
        try:
            folder = durable.open_folder(self._spec.release, folders, make=True)
            try:
                self._write_part(folder, _part(job), body, sha256)
            finally:
                os.close(folder)
            return self._place()
        except OSError as err:
            raise self._cannot_release(err) from err

    def publish(self, key: bytes, job: str, place: str = "", sha256: str = "") -> str | None:
        """Give the staged copy a free name; None when there is no staged copy any more: it was published before.

        In another folder than the one it was staged in, only a file with its hash proves that.
        """
        published = self._publish(key, job)
        if published is None and place and place != self._place() and not self._holds(key, sha256):
            raise ReleaseError(
                Say(
                    f"放行文件夹已不是原来的那个，或共享未挂载：{self._spec.release}",
                    f"the release folder {self._spec.release} is not the one it was, or its share is not mounted",
                ),
                Say(
                    "恢复挂载后自动放行；文件仍密封保存", "mount it again; the file is sealed and leaves by itself then"
                ),
            )
        return published

    def _place(self) -> str:
        about = self._spec.release.stat()
        return f"{about.st_dev}:{about.st_ino}"

    def _holds(self, key: bytes, sha256: str) -> bool:
        """Tell whether the release folder holds a file with this hash under one of the names it could have got."""
        folders, name = names.parts(key)
        try:
            folder = durable.open_folder(self._spec.release, folders)
        except OSError:
            return False
        try:
            for free in islice(names.numbered(name), MOST_NAMES):
                fd = os.open(free, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                try:
                    if durable.sha256_of(fd) == sha256:
                        return True
                finally:
                    os.close(fd)
        except OSError:
            return False
        finally:
            os.close(folder)
        return False

    def _publish(self, key: bytes, job: str) -> str | None:
        folders, name = names.parts(key)
        try:
            folder = durable.open_folder(self._spec.release, folders)
        except FileNotFoundError as err:
            if self._spec.release.is_dir():
                return None
            raise self._cannot_release(err) from err  # the whole folder is away: nobody knows what was published
        except OSError as err:
            raise self._cannot_release(err) from err
        try:
            for free in names.numbered(name):
                try:
                    durable.rename_new(folder, _part(job), free)
                except FileExistsError:
                    continue
                except FileNotFoundError:
                    return None
                os.fsync(folder)
                return names.shown(b"/".join((*folders, free)))
        except OSError as err:
            raise self._cannot_release(err) from err
        finally:
            os.close(folder)
        return None

    def is_staged(self, key: bytes, job: str) -> bool:
        """Tell whether there is a staged copy that has not got its name yet; False where its folder is away."""
        folders, _ = names.parts(key)
        try:
            folder = durable.open_folder(self._spec.release, folders)
        except OSError:
            return False
        try:
            os.stat(_part(job), dir_fd=folder, follow_symlinks=False)
        except OSError:
            return False
        finally:
            os.close(folder)
        return True

    def discard(self, key: bytes, job: str) -> None:
        """Remove a staged copy, if there is one."""
        folders, _ = names.parts(key)
        with suppress(FileNotFoundError, NotADirectoryError):
            folder = durable.open_folder(self._spec.release, folders)
            try:
                os.unlink(_part(job), dir_fd=folder)
            finally:
                os.close(folder)

    def lay_back(self, key: bytes, job: str, body: int, sha256: str) -> str:  # noqa: ARG002  its name comes later
        """Put a complete, synced copy of fd `body` into the private folder, under a name that nobody looks at."""
        try:
            folder = self._private()
            try:
                with suppress(FileNotFoundError):
                    os.unlink(_part(job), dir_fd=folder)
                self._write_part(folder, _part(job), body, sha256, mode=0o600)
                about = os.fstat(folder)
            finally:
                os.close(folder)
        except OSError as err:
            raise self._cannot_return(err) from err
        return f"{about.st_dev}:{about.st_ino}"

    def hand_back(self, job: str, key: bytes, place: str) -> str | None:
        """Give what was laid back its name; None when it has it, or was fetched since."""
        try:
            folder = self._private()
            try:
                about = os.fstat(folder)
                if f"{about.st_dev}:{about.st_ino}" != place:
                    raise ReleaseError(
                        Say(
                            f"退还文件夹已不是原来的那个，或共享未挂载：{self._spec.back}",
                            f"the folder {self._spec.back} is not the one where the file was laid, or is not mounted",
                        ),
                        Say(
                            "恢复后自动退还；文件仍密封保存", "it is handed back once that is back; the file is sealed"
                        ),
                    )
                name = names.shortened(f"{job} ".encode() + names.parts(key)[1], names.NAME_MAX)
                with suppress(FileNotFoundError):
                    durable.rename_new(folder, _part(job), name)
                    os.fsync(folder)
                    return names.shown(name)
            finally:
                os.close(folder)
        except OSError as err:
            raise self._cannot_return(err) from err
        return None

    def _private(self) -> int:
        """Return an fd of the folder where files are handed back: this user's alone, and no link."""
        back = self._spec.back
        with suppress(FileExistsError):
            back.mkdir(mode=0o700, parents=True)
        fd = os.open(back, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        about = os.fstat(fd)
        if about.st_uid != os.geteuid():
            os.close(fd)
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        if about.st_mode & 0o077:
            os.fchmod(fd, 0o700)
        return fd

    def tell(self, key: bytes, name: str, text: str, job: str, brief: str = "") -> str | None:  # noqa: ARG002  the same for all
        """Leave a receipt beside the place where the file was; the folder is made again if it is gone."""
        folders, _ = names.parts(key)
        folder = durable.open_folder(self._spec.watch, folders, make=True)
        try:
            return receipts.write(folder, name, text, job, self._key)
        finally:
            os.close(folder)

    def _observer(self) -> BaseObserver | None:
        """Start an inotify observer where events can be trusted; None means that this folder is polled."""
        kind = self._spec.watcher
        if kind == "poll" or (kind == "auto" and is_remote(self._spec.watch)):
            return None
        # It warns, harmlessly, when folders are made in quick succession; that text holds raw folder names and goes to
        # the log, and where warnings are errors it ends the thread that reads events.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        # Full events: a file that is moved in comes as moved, not as made, for no close would follow.
        observer = InotifyObserver(generate_full_events=True)
        observer.schedule(_Events(self._spec.watch, self._track, self._hint), str(self._spec.watch), recursive=True)
        observer.start()
        return observer

    def _hint(self, key: bytes | None) -> None:
        try:
            self._hints.put_nowait(key)
        except queue.Full:
            with suppress(queue.Empty):
                while True:
                    self._hints.get_nowait()
            self._hints.put(None)

    def _wait(self, next_sweep: float) -> tuple[set[bytes], bool]:
        """Wait for hints, for the next look at an unfinished file, or for the next sweep."""
        pause = max(0.0, next_sweep - time.monotonic())
        if self._track.waiting():
            pause = min(pause, max(0.02, self._spec.settle_seconds / 4))
        keys: set[bytes] = set()
        everything = False
        try:
            hint = self._hints.get(timeout=min(pause, 0.5) if pause else 0.01)
            while True:
                if hint is None:
                    everything = True
                else:
                    keys.add(hint)
                hint = self._hints.get_nowait()
        except queue.Empty:
            return keys, everything

    def _look_at_all(self, offer: Offer, refuse: Refuse, now: float) -> None:
        entries = sorted(walk(self._spec.watch), key=lambda e: (e[1].st_mtime_ns, e[0]))
        keys = {key for key, _ in entries}
        self._track.keep_only(keys)
        for known in (self._refused, self._receipts):
            for key in known.keys() - keys:
                del known[key]
        for key, about in entries:
            self._weigh(key, about, now, offer, refuse)

    def _look_at(self, key: bytes, offer: Offer, refuse: Refuse) -> None:
        try:
            about = os.lstat(os.fsencode(self._spec.watch) + b"/" + key)
        except OSError:
            return  # gone; the next sweep forgets it
        if not stat.S_ISDIR(about.st_mode):
            self._weigh(key, about, time.monotonic(), offer, refuse)

    def _weigh(self, key: bytes, about: os.stat_result, now: float, offer: Offer, refuse: Refuse) -> None:
        """Decide on one entry: refused, waited for, a receipt of ours, or complete and offered."""
        name = key.rsplit(b"/", 1)[-1]
        mark = print_of(about)
        why = self._why_not(about)
        if why is not None:
            if self._refused.get(key) != mark:
                self._refused[key] = mark
                refuse(self._found(key, mark), why)
            return
        if names.unfinished(name) or self._receipts.get(key) == mark or not self._track.see(key, mark, now):
            return
        if not self._is_free(key, name, mark):
            return
        self._track.offer(key, mark)
        offer(self._found(key, mark))

    def _is_free(self, key: bytes, name: bytes, mark: Print) -> bool:
        """Tell whether nobody writes to the file and it is no receipt of ours."""
        try:
            fd = self.open(self._found(key, mark))
        except (OSError, TakeRefused):
            return False
        try:
            if receipts.may_be(name, mark.size) and receipts.is_ours(name, os.pread(fd, mark.size, 0), self._key):
                self._receipts[key] = mark
                return False
            written = has_writer(fd)
            return not (self._track.writing(key) if written is None else written)
        finally:
            os.close(fd)

    def _why_not(self, about: os.stat_result) -> Say | None:
        """Return why this is never taken, or None for a plain file of its own on the folder's disk."""
        if stat.S_ISLNK(about.st_mode):
            return Say("是符号链接，不取件；请放入文件本身", "it is a symbolic link; put the file itself here")
        if not stat.S_ISREG(about.st_mode):
            return Say(
                "不是普通文件（管道、设备、套接字或其他磁盘），不取件",
                "it is no plain file: a pipe, a device, a socket",
            )
        if about.st_nlink != 1:
            return Say("是硬链接，不取件；请放入独立的文件", "it is a hard link; put a file of its own here")
        return None

    def _found(self, key: bytes, mark: Print) -> Found:
        return Found(
            source=self.name,
            key=key,
            shown=names.shown(key),
            dev=mark.dev,
            ino=mark.ino,
            size=mark.size,
            mtime_ns=mark.mtime_ns,
            ctime_ns=mark.ctime_ns,
        )

    def _write_part(self, folder: int, part: bytes, body: int, sha256: str, *, mode: int = 0o644) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(part, flags, mode, dir_fd=folder)
        try:
            copied = durable.copy_all(body, fd)
            os.fsync(fd)
        except OSError:
            os.unlink(part, dir_fd=folder)
            raise
        finally:
            os.close(fd)
        if copied != sha256:
            os.unlink(part, dir_fd=folder)
            raise ReleaseError(Say("放行内容与密封内容不一致，已停止放行", "what would leave is not what was sealed"))

    def _cannot_return(self, err: OSError) -> ReleaseError:
        where, why = self._spec.back, os.strerror(err.errno or 0)
        return ReleaseError(
            Say(
                f"退还文件夹不可用：{where}（{why}）",
                f"the folder for what is handed back is of no use: {where} ({why})",
            ),
            Say(
                "须为本用户专用的文件夹（[[folders]] returns）；恢复后自动退还，文件仍密封保存",
                "it must be this user's alone ([[folders]] returns); the file is sealed and handed back once it is",
            ),
        )

    def _cannot_release(self, err: OSError) -> ReleaseError:
        where, why = self._spec.release, os.strerror(err.errno or 0)
        return ReleaseError(
            Say(f"放行文件夹不可写：{where}（{why}）", f"the release folder {where} cannot be written ({why})"),
            Say(
                "文件已密封保存；恢复该文件夹后自动放行",
                "the file is sealed; it leaves by itself once the folder is back",
            ),
        )


class _Events(FileSystemEventHandler):
    """Turns events into hints; what they say is checked by looking."""

    def __init__(self, root: Path, track: Track, hint: object) -> None:
        self._base = os.fsencode(root) + b"/"
        self._track = track
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note who writes, and have a look at what changed; a new folder may hold files already."""
        if not callable(self._hint):
            return
        if isinstance(event, DirCreatedEvent | DirMovedEvent):
            self._hint(b"")
            return
        moved = isinstance(event, FileMovedEvent)
        key = self._key(event.dest_path if moved else event.src_path)
        if key is None:
            return
        if isinstance(event, FileCreatedEvent):
            self._track.made(key)
        elif isinstance(event, FileOpenedEvent):
            self._track.opened(key)
            return
        elif isinstance(event, FileClosedNoWriteEvent):
            self._track.left(key)
            return
        elif isinstance(event, FileModifiedEvent):
            self._track.written(key)
        elif moved or isinstance(event, FileClosedEvent):
            self._track.closed(key)
        else:
            return
        self._hint(key)

    def _key(self, path: bytes | str) -> bytes | None:
        raw = os.fsencode(path)
        return raw[len(self._base) :] if raw.startswith(self._base) else None


def _part(job: str) -> bytes:
    return f".dlp-{job}.part".encode()


def _print(found: Found) -> Print:
    return Print(found.dev, found.ino, found.size, found.mtime_ns, found.ctime_ns)
