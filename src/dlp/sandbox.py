"""The daemon's side of the sandbox: hostile bytes are read, and redacted, in a child that can do nothing else.

The daemon has threads and so must not fork. `Sandbox.start` spawns a zygote (`worker`), a fresh Python with one
thread that holds every reader warm; the zygote forks one child for each file. A file goes in as a descriptor, the
result comes out as frames through a pipe, deaths come back as codes. There is no unsandboxed way: where the zygote
cannot be had, the item gets a gap and is held.

Whatever happens to a child, `extract` returns a Document: a death, a flood, a forged or short result and the end of
the wall clock are gaps. It never blocks longer than the wall clock and two short graces.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from dlp import landlock, orders, wire
from dlp.errors import SandboxUnavailable
from dlp.keeper import Keeper, unavailable
from dlp.limits import NAME_BYTES, Limits
from dlp.model import Box, Cut, Document, Frozen, Gap, GapKind, Mode, Picture, Plate, Removed, Say, Stamp, evolve
from dlp.ocr import LIE, Ocr, Stop
from dlp.wire import Fault, Intake, WireError

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_NO_ZYGOTE = Gap(kind=GapKind.CRASHED, detail="the sandbox could not be started again")


class Missing(Frozen, frozen=True, kw_only=True):
    """One thing that this machine lacks for the level `full`."""

    name: str
    say: Say


def probe(user: str = "nobody") -> tuple[Missing, ...]:
    """Return what this machine lacks: landlock, seccomp, user, python. Empty when level `full` is possible."""
    checks = (_lacks_python(), _lacks_landlock(), _lacks_seccomp(), _lacks_user(user))
    return tuple(lack for lack in checks if lack is not None)


def _lacks_python() -> Missing | None:
    if sys.executable and hasattr(os, "pidfd_open") and Path("/proc/self/fd").is_dir():
        return None
    say = Say("需要 Linux 5.4 以上、已挂载 /proc", "Linux 5.4 or later with /proc mounted is needed")
    return Missing(name="python", say=say)


def _lacks_landlock() -> Missing | None:
    if landlock.abi() > 0:
        return None
    say = Say(
        "内核没有启用 Landlock（需 Linux 5.13 以上，并在 lsm= 启动参数中启用）",
        "this kernel has no Landlock (Linux 5.13 or later, enabled by the boot parameter lsm=, is needed)",
    )
    return Missing(name="landlock", say=say)


def _lacks_seccomp() -> Missing | None:
    try:
        from dlp import seccomp  # noqa: PLC0415  the import itself is the question
    except (ImportError, RuntimeError, OSError):
        say = Say(
            "缺少 libseccomp 库（apt install libseccomp2）", "libseccomp is not installed (apt install libseccomp2)"
        )
        return Missing(name="seccomp", say=say)
    if seccomp.works():
        return None
    return Missing(name="seccomp", say=Say("内核不支持 seccomp 过滤", "this kernel has no seccomp filters"))


def _lacks_user(user: str) -> Missing | None:
    if os.geteuid() != 0 or _unprivileged(user) is not None:
        return None
    say = Say(
        f"以 root 运行时需要一个非特权用户，{user} 不存在或就是 root",
        f"run by root, the sandbox needs an unprivileged user; {user} does not exist or is root itself",
    )
    return Missing(name="user", say=say)


def _unprivileged(user: str) -> tuple[int, int] | None:
    """Return uid and gid of `user`, None when there is no such user or it has the rights of root."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None
    return (entry.pw_uid, entry.pw_gid) if entry.pw_uid and entry.pw_gid else None


class Made(NamedTuple):
    """A copy, not proven yet: the fd of its sealed bytes, and what its child says it removed, stamped and covered."""

    body: int
    untrusted_removed: tuple[Removed, ...] = ()
    untrusted_boxes: tuple[Box, ...] = ()
    untrusted_covered: tuple[int, ...] = ()


class Sandbox:
    """Reads and redacts files in disposable children. Thread-safe; several threads may call it at once.

    `level` is `full` (Landlock, seccomp, resource limits and, where started by root, the unprivileged `user`) or
    `rlimits` (resource limits and the user only), which a person must have written by hand. `passwords` are tried on
    encrypted documents. At most `children` files are read at once (0: one for each processor). `extra` names Python
    files whose functions children can be asked for; it exists so that tests can run hostile code inside a real
    child, is empty in the product, and cannot be set from a configuration.
    """

    def __init__(
        self,
        *,
        level: str = "full",
        user: str = "nobody",
        limits: Limits,
        passwords: tuple[str, ...] = (),
        children: int = 0,
        extra: tuple[str, ...] = (),
    ) -> None:
        self._level = level
        self._user = user
        self._limits = limits
        self._passwords = passwords
        self._extra = extra
        self._zygote: Keeper | None = None
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(children or len(os.sched_getaffinity(0)))
        drop = _unprivileged(user) if os.geteuid() == 0 else None
        self._ocr = Ocr(limits, level=level, user=drop)

    def start(self) -> None:
        """Spawn the zygote and prove that a child of it is shut in; SandboxUnavailable names what is missing."""
        with self._lock:
            if self._zygote is None or self._zygote.dead.is_set():
                self._zygote = self._spawn()

    def close(self) -> None:
        """End the zygote and every child; jobs that still run end as gaps. Harmless when nothing runs."""
        with self._lock:
            if self._zygote is not None:
                self._zygote.close()
                self._zygote = None
        self._ocr.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def extract(self, fd: int, *, name: str, size: int, stop: Stop | None = None) -> Document:
        """Return what the regular file `fd` of `size` bytes says; it may be at any position and stays open.

        Never raises for a bad document: whatever kept it from being read whole is a gap in the Document returned. Where
        `stop` says so of what was read so far, no more of its pictures are read; that is a gap too.
        """
        task = orders.Task(what="extract", name=name[:NAME_BYTES], size=size)
        document = self._ocr.read(self._read(fd, task), stop)
        if any(gap.detail == LIE for gap in document.gaps):
            # Its text is worth nothing: once more, every page as the scan that it might as well be.
            document = self._ocr.read(self._read(fd, evolve(task, drawn=True)), stop)
        return document

    def redact(self, fd: int, *, name: str, media: str, cuts: tuple[Cut, ...], mode: Mode = Mode.AUTO) -> Made | Gap:
        """Return the file less its cuts in a memfd that is sealed against every change; the caller closes it.

        A Gap says why there is none. Nothing here proves that the copy is clean: it must be verified and inspected.
        """
        size = os.fstat(fd).st_size
        task = orders.Task(what="redact", name=name[:NAME_BYTES], size=size, media=media, cuts=cuts, mode=mode)
        return self._make(fd, task)

    def stamp(self, fd: int, *, name: str, media: str, stamp: Stamp) -> Made | Gap:
        """Return the file with a stamp on each page in a sealed memfd, which the caller closes.

        A Gap says why there is none: only pages of PDF can be stamped. ConfigError where the stamp cannot be drawn.
        Nothing here proves that the copy says what the file said: see `look`.
        """
        from dlp.engrave import engrave  # noqa: PLC0415  only a stamp needs numbers, codes and OpenCV here

        size = os.fstat(fd).st_size
        return self._make(
            fd, orders.Task(what="stamp", name=name[:NAME_BYTES], size=size, media=media, plate=engrave(stamp))
        )

    def look(
        self, fd: int, *, name: str, media: str, plate: Plate | None = None, boxes: tuple[Box, ...] = ()
    ) -> Document:
        """Return what a stamped copy says without its stamps; with no plate, what the file before it says.

        Two documents that say and show the same come out the same, with a check that tells how their pages look. A
        stamp that is not seen at its box is a gap. Pictures are digests: what OCR would read in equal pixels is equal.
        """
        size = os.fstat(fd).st_size
        task = orders.Task(what="look", name=name[:NAME_BYTES], size=size, media=media, plate=plate, boxes=boxes)
        return self._read(fd, task)

    def show(self, fd: int, *, name: str, media: str, page: int) -> Picture | Gap:
        """Return one page (from 1) as grey pixels, packed by zlib; a Gap says why it cannot be drawn.

        Pixels are all that comes out of the child: whoever looks at them opens no file that a stranger's reader wrote.
        """
        size = os.fstat(fd).st_size
        task = orders.Task(what="show", name=name[:NAME_BYTES], size=size, media=media, page=page)
        untrusted = self._read(fd, task)
        if len(untrusted.pictures) != 1:
            return next(iter(untrusted.gaps), wire.WORDS[Fault.MALFORMED])
        picture = untrusted.pictures[0]
        return self._ocr.drawn(picture, page) if picture.form == "postscript" else picture

    def verify(
        self,
        fd: int,
        before: int,
        *,
        name: str,
        media: str,
        cuts: tuple[Cut, ...],
        needles: tuple[str, ...],
        mode: Mode,
    ) -> Document:
        """Return what readers that had no part in the redaction of `before` find in the copy `fd`.

        Its segments are their texts, for the scanner to look at; its checks are what they looked at themselves. Never
        raises for a bad copy: whatever kept it from being looked at is a gap.
        """
        size = os.fstat(fd).st_size
        task = orders.Task(
            what="verify", name=name[:NAME_BYTES], size=size, media=media, cuts=cuts, needles=needles, mode=mode
        )
        return self._ocr.read(self._read(fd, task, before))

    def _make(self, fd: int, task: orders.Task) -> Made | Gap:
        """Have a copy made in a new memfd, which is closed where there is none."""
        output = os.memfd_create("copy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        kept = False
        try:
            made = self._write(fd, task, output)
            kept = isinstance(made, Made)
        finally:
            if not kept:
                os.close(output)
        return made

    def _write(self, fd: int, task: orders.Task, output: int) -> Made | Gap:
        """Have the output written and seal it; the gap when it is not what its child says it is."""
        with self._slots:
            outcome = self._ask(fd, task, output)
        if isinstance(outcome, Gap):
            return outcome
        try:
            untrusted = outcome.outcome()
        except WireError as err:
            return wire.WORDS[err.fault]
        if isinstance(untrusted, Gap):
            return untrusted
        # The child is dead and waited for: nobody is left who could write to it, mapped or not.
        fcntl.fcntl(output, fcntl.F_ADD_SEALS, _SEALS)
        if not os.fstat(output).st_size == untrusted.size <= self._limits.output_bytes:
            return wire.WORDS[Fault.MALFORMED]
        os.lseek(output, 0, os.SEEK_SET)
        return Made(output, untrusted.removed, untrusted.boxes, untrusted.covered)

    def _read(self, fd: int, task: orders.Task, before: int | None = None) -> Document:
        # Whoever waits for OCR holds no slot: a text is read while a hundred scans wait.
        with self._slots:
            outcome = self._ask(fd, task, before)
        if isinstance(outcome, Gap):
            return Document(media="", gaps=(outcome,))
        try:
            return outcome.document()
        except WireError as err:
            return Document(media="", gaps=(wire.WORDS[err.fault],))

    def _ask(self, fd: int, task: orders.Task, other: int | None = None) -> Intake | Gap:
        """Have a child do a task; `other` is where a copy is written, or the file before it for a verification."""
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_size != task.size:
            return Gap(kind=GapKind.CORRUPT, detail="the file is not what it was when it was taken")
        if task.size > self._limits.file_bytes:
            return Gap(kind=GapKind.TOO_BIG, detail="larger than limits.file_bytes")
        zygote = self._running()
        return _NO_ZYGOTE if zygote is None else zygote.run(fd, task, other)

    def _running(self) -> Keeper | None:
        """Return the zygote, started again (one try for each item) when it died; None when that failed."""
        with self._lock:
            if self._zygote is None:
                self._zygote = self._spawn()  # never started: an operator's error comes out as SandboxUnavailable
            elif self._zygote.dead.is_set():
                self._zygote.close()
                with suppress(SandboxUnavailable):
                    self._zygote = self._spawn()
            return None if self._zygote.dead.is_set() else self._zygote

    def _spawn(self) -> Keeper:
        if self._level not in ("full", "rlimits"):
            raise unavailable(Say(f"未知的级别 {self._level}", f"there is no level {self._level}"))
        missing = probe(self._user)
        if self._level == "rlimits":
            missing = tuple(lack for lack in missing if lack.name in ("python", "user"))
        if missing:
            zh, en = "；".join(lack.say.zh for lack in missing), "; ".join(lack.say.en for lack in missing)
            raise unavailable(Say(zh, en))
        uid, gid = (_unprivileged(self._user) or (None, None)) if os.geteuid() == 0 else (None, None)
        zygote = Keeper(
            orders.Setup(
                level=self._level,
                limits=self._limits,
                uid=uid,
                gid=gid,
                extra=self._extra,
                passwords=self._passwords,
            )
        )
        try:
            self._prove(zygote)
        except SandboxUnavailable:
            zygote.close()
            raise
        return zygote

    def _prove(self, zygote: Keeper) -> None:
        """Have a child try its own walls; SandboxUnavailable when one of them does not hold."""
        fd = os.memfd_create("proof", os.MFD_CLOEXEC)
        try:
            outcome = zygote.run(fd, orders.Task(what="prove", name="", size=0), None)
        finally:
            os.close(fd)
        try:
            if isinstance(outcome, Gap):
                raise unavailable(Say(f"试运行失败：{outcome.detail}", f"the trial run failed: {outcome.detail}"))
            open_walls = {segment.text for segment in outcome.document().segments}
        except WireError as err:
            raise unavailable(
                Say(f"试运行失败：{err.fault.value}", f"the trial run failed: {err.fault.value}")
            ) from err
        if self._level == "rlimits":
            open_walls &= {"user"}
        if open_walls:
            names = ", ".join(sorted(open_walls))
            raise unavailable(Say(f"隔离未生效：{names}", f"these walls do not hold: {names}"))
