"""The key that moves on: it seals one event of the audit trail, and is then replaced by what only it leads to.

    mac(n) = HMAC-SHA256(key(n), "event" + hash(n))        key(n + 1) = HMAC-SHA256(key(n), "next")

Whoever takes the machine finds the key of the next event. From it no earlier key can be computed, so no event that was
written before can be changed, removed or put in without the first key, which is not here (`service.trail` seals it).
Ideas: Bellare and Yee 1997, Schneier and Kelsey 1998, the sealing of systemd's journal.

The key lies in a file of its own beside the books, never in them: SQLite keeps old pages. It is 64 bytes, written over
in place, so that the old key is not left in a free block. The file is locked for the whole of a change, and written
after the commit: after a crash between the two it is one step behind, and is moved on. A key that is ahead of the
books says that events are missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dlp import durable
from dlp.errors import StoreError
from dlp.model import Say

SIZE = 32
_MAGIC = b"DLPKEY1\n"
_RECORD = struct.Struct(">8sBQ32s")  # magic, begun or not, sequence, key; then the first bytes of their SHA-256
_LENGTH = _RECORD.size + 15
_WAIT = 30.0  # seconds for the lock; the books wait as long for theirs
_PAUSE = 0.005


class Key(NamedTuple):
    """The key that seals event number `seq`."""

    seq: int
    secret: bytes
    begun: bool = True
    """False from the moment a new key is laid down until the event that begins with it is committed."""


def name(secret: bytes) -> str:
    """Return the public name of the chain whose first key is `secret`: it tells which key belongs, and not the key."""
    return hmac.digest(secret, b"name", "sha256").hex()


def seal(secret: bytes, own: str) -> str:
    """Return the MAC (hex) of an event whose hash is `own`."""
    return hmac.digest(secret, b"event" + own.encode(), "sha256").hex()


def following(secret: bytes) -> bytes:
    """Return the key of the next event."""
    return hmac.digest(secret, b"next", "sha256")


def moved(key: Key, seq: int) -> Key:
    """Return the key of event `seq`, which must not lie before that of `key`."""
    secret = key.secret
    for _ in range(seq - key.seq):
        secret = following(secret)
    return Key(seq, secret)


class Held:
    """The key file while this process alone may use it."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path

    def read(self) -> Key | None:
        """Return the key that lies there; None where none was ever laid down. StoreError when it is damaged."""
        record = os.pread(self._fd, _LENGTH + 1, 0)
        if not record:
            return None
        if len(record) != _LENGTH or _check(record[: _RECORD.size]) != record[_RECORD.size :]:
            raise damaged(self._path)
        magic, begun, seq, secret = _RECORD.unpack_from(record)
        if magic != _MAGIC:
            raise damaged(self._path)
        return Key(seq, secret, bool(begun))

    def write(self, key: Key) -> None:
        """Write a key over the one that lies there; it is durable when this returns."""
        record = _RECORD.pack(_MAGIC, key.begun, key.seq, key.secret)
        try:
            written = os.pwrite(self._fd, record + _check(record), 0)
        except OSError as err:
            raise damaged(self._path) from err
        if written != _LENGTH:
            raise damaged(self._path)


class Ratchet:
    """The key file at a path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lay(self) -> None:
        """Make the empty file where there is none."""
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return
        os.close(fd)
        durable.fsync_dir(self.path.parent)

    @contextmanager
    def held(self) -> Iterator[Held]:
        """Give the key file, locked against every other process; StoreError when it is not there or not private."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_DSYNC | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as err:
            raise missing(self.path) if isinstance(err, FileNotFoundError) else damaged(self.path) from err
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077:
                raise StoreError(
                    Say(f"审计密钥文件权限过宽：{self.path}", f"others may read the audit key {self.path}"),
                    Say(f"chmod 600 {self.path}", f"chmod 600 {self.path}"),
                )
            self._lock(fd)
            yield Held(fd, self.path)
        finally:
            os.close(fd)

    def _lock(self, fd: int) -> None:
        until = time.monotonic() + _WAIT
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                if time.monotonic() > until:
                    raise StoreError(
                        Say("任务库被另一进程占用过久", "another process holds the books for too long"),
                        Say("查看是否有 dlp 进程停住", "look for a dlp process that stands still"),
                    ) from err
                time.sleep(_PAUSE)
            else:
                return


def missing(path: Path) -> StoreError:
    """Return the error for a key that was there and is not any more."""
    return StoreError(
        Say(f"审计密钥不见了：{path}", f"the audit key is gone: {path}"),
        Say(
            "刚由备份恢复的，先运行 dlp run 或 dlp audit init；确已丢失的，运行 dlp audit init --renew --reason 原因，"
            "此举会记入审计",
            "after a restore, run `dlp run` or `dlp audit init`; if it is lost, `dlp audit init --renew --reason WHY`: "
            "the trail will tell",
        ),
    )


def ahead(path: Path, last: int, key: Key) -> StoreError:
    """Return the error for books that end before their key says."""
    return StoreError(
        Say(
            f"任务库比审计密钥旧：止于第 {last} 条，密钥已到第 {key.seq - 1} 条（{path}）",
            f"the books are older than their key: they end at event {last}, the key is at {key.seq - 1} ({path})",
        ),
        Say(
            "恢复较新的备份；缺少的事件确已丢失的，运行 dlp audit init --renew --reason 原因，此举会记入审计",
            "restore a newer copy; if these events are lost, run `dlp audit init --renew --reason WHY`: "
            "the trail will tell",
        ),
    )


def stripped(path: Path, last: int) -> StoreError:
    """Return the error for books whose last event has no seal although there is a key."""
    return StoreError(
        Say(
            f"第 {last} 条没有封印，而审计密钥已启用（{path}）：任务库被换过或改过",
            f"event {last} has no seal, and there is a key ({path}): the books were exchanged or changed",
        ),
        Say("保留现场，报告保密员，从备份核对", "change nothing, report it, compare with a backup"),
    )


def damaged(path: Path) -> StoreError:
    """Return the error for a key file that cannot be read or written."""
    return StoreError(
        Say(f"审计密钥文件损坏或不可读写：{path}", f"the audit key is damaged or cannot be used: {path}"),
        Say(
            "检查磁盘和权限，从备份恢复；确已损坏的，运行 dlp audit init --renew --reason 原因，此举会记入审计",
            "check disk and mode, restore a backup; if it is lost, run `dlp audit init --renew --reason WHY`: "
            "the trail will tell",
        ),
    )


def _check(record: bytes) -> bytes:
    return hashlib.sha256(b"check" + record).digest()[:15]
