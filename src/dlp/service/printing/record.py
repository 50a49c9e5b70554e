"""What was there before: written down before anything is changed, so that it can be given back after any crash."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from dlp import durable
from dlp.errors import StoreError
from dlp.model import Frozen, Say, evolve
from dlp.service.keys import part_of
from dlp.service.printing import conf
from dlp.service.printing.scheduler import Queue


class Before(Frozen, frozen=True, kw_only=True):
    """A queue as it was before the first change of ours."""

    queue: str
    existed: bool = True
    is_class: bool = False
    device: str = ""
    driver: bytes | None = None
    policy: str = "default"
    error_policy: str = ""
    accepting: bool = True
    stopped: bool = False
    said: str = ""
    hold: str = "no-hold"


class Installed(Frozen, frozen=True, kw_only=True):
    """One queue that leads through the gate."""

    queue: str
    asked: str
    """What `--printer` said: an address, or a queue."""
    onward: str
    """What the configuration has to say: `ipp://...` or `cups:QUEUE`."""
    locked: tuple[str, ...] = ()
    """Queues that only the gate may use since: the onward queue, and others of the same printer."""
    base: str = "default"
    """The policy that the queue itself had."""
    held: bool = False


class Record(Frozen, frozen=True, kw_only=True):
    """Everything that was changed, and how it was."""

    user: str = ""
    """Who the gate is, to CUPS."""
    conf: bytes = b""
    """The text of cupsd.conf before the first change."""
    before: tuple[Before, ...] = ()
    installed: tuple[Installed, ...] = ()

    def find(self, queue: str) -> Installed | None:
        """Return what is known of a queue that leads through the gate."""
        return next((one for one in self.installed if one.queue == queue), None)

    def was(self, queue: str) -> Before | None:
        """Return a queue as it was."""
        return next((one for one in self.before if one.queue == queue), None)

    def remembering(self, before: Before) -> Record:
        """Return this with one more queue as it was; what is remembered already stays."""
        return self if self.was(before.queue) else evolve(self, before=(*self.before, before))

    def forgetting(self, queue: str) -> Record:
        """Return this without a queue that is as it was again."""
        return evolve(self, before=tuple(one for one in self.before if one.queue != queue))  # type: ignore[no-any-return]

    def installing(self, one: Installed) -> Record:
        """Return this with a queue that leads through the gate, in place of what was known of it."""
        return evolve(self, installed=(*(other for other in self.installed if other.queue != one.queue), one))  # type: ignore[no-any-return]

    def removing(self, queue: str) -> Record:
        """Return this without a queue that leads through the gate no more."""
        return evolve(self, installed=tuple(one for one in self.installed if one.queue != queue))  # type: ignore[no-any-return]


def path_in(state: Path) -> Path:
    """Return where the record of a deployment lies."""
    return state / "printing.json"


def read(path: Path) -> Record:
    """Return what was written down; an empty record where nothing was. StoreError where it cannot be read."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Record()
    except OSError as err:
        raise _unreadable(path, os.strerror(err.errno or 0)) from err
    try:
        return msgspec.json.decode(raw, type=Record)
    except msgspec.DecodeError as err:
        raise _unreadable(path, str(err)) from err


def write(path: Path, record: Record) -> None:
    """Replace what was written down, durably; the file goes with the last queue."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if record.installed or record.before:
            part_of(path, msgspec.json.encode(record)).replace(path)
        else:
            path.unlink(missing_ok=True)
        durable.fsync_dir(path.parent)
    except OSError as err:
        raise StoreError(
            Say(f"写不了 {path}：{os.strerror(err.errno or 0)}", f"cannot write {path}: {os.strerror(err.errno or 0)}"),
            Say("没有更改任何队列；检查状态文件夹的权限和空间", "no queue was changed; see to the mode and room there"),
        ) from err


def of(queue: Queue, driver: bytes | None) -> Before:
    """Return a queue as it is now, to be given back."""
    return Before(
        queue=queue.name,
        is_class=queue.is_class,
        device=queue.device,
        driver=driver,
        policy=conf.base_of(queue.policy),
        error_policy=queue.error_policy,
        accepting=queue.accepting,
        stopped=queue.stopped,
        said=queue.said,
        hold=queue.hold,
    )


def _unreadable(path: Path, why: str) -> StoreError:
    return StoreError(
        Say(f"读不了打印队列记录 {path}：{why}", f"cannot read what was noted of the queues, {path}: {why}"),
        Say("从备份恢复它；它记着队列原来的样子", "restore it from a backup: it knows how the queues were"),
    )
