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
import itertools
import os
import pwd
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dlp import landlock, wire
from dlp.errors import SandboxUnavailable
from dlp.limits import FRAME_BYTES, GRACE_SECONDS, LINGER_SECONDS, NAME_BYTES, START_SECONDS, Limits
from dlp.model import Cut, Document, Frozen, Gap, GapKind, Say
from dlp.wire import Fault, Intake, WireError

_BOOT = "import sys; a = sys.argv[1]; a in sys.path or sys.path.insert(0, a); from dlp.worker import main; main()"
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""All that the zygote and its children see: no home, no path, no secret. Number libraries start threads unasked."""
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

_DEATHS = {
    71: Gap(kind=GapKind.CRASHED, detail="exit code 71: the sandbox could not be closed around the reader"),
    72: Gap(kind=GapKind.TOO_BIG, detail="reading it needs more memory than the limit"),
    73: Gap(kind=GapKind.CRASHED, detail="exit code 73: a bug in the reader"),
    74: Gap(kind=GapKind.CRASHED, detail="exit code 74: the result does not fit its frames"),
    75: Gap(kind=GapKind.CRASHED, detail="exit code 75: no process could be made for the reader"),
}
"""Exit codes of a child (see `worker`)."""
_ZYGOTE_DIED = Gap(kind=GapKind.CRASHED, detail="the parent process of the readers died")
_STAYED = Gap(kind=GapKind.CRASHED, detail="the reader did not leave after it closed its result")
_SIGNALS: dict[int, str] = {
    signal.SIGABRT: " (SIGABRT): a library gave up",
    signal.SIGSEGV: " (SIGSEGV)",
    signal.SIGBUS: " (SIGBUS)",
    signal.SIGFPE: " (SIGFPE)",
    signal.SIGILL: " (SIGILL)",
    signal.SIGSYS: " (SIGSYS): a forbidden system call",
    signal.SIGKILL: " (SIGKILL): ended from outside, most likely for want of memory",
}
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


class Sandbox:
    """Reads and redacts files in disposable children. Thread-safe; several threads may call it at once.

    `level` is `full` (Landlock, seccomp, resource limits and, where started by root, the unprivileged `user`) or
    `rlimits` (resource limits and the user only), which a person must have written by hand. `extra` names Python
    files whose functions children can be asked for; it exists so that tests can run hostile code inside a real
    child, is empty in the product, and cannot be set from a configuration.
    """

    def __init__(
        self, *, level: str = "full", user: str = "nobody", limits: Limits, extra: tuple[str, ...] = ()
    ) -> None:
        self._level = level
        self._user = user
        self._limits = limits
        self._extra = extra
        self._zygote: _Zygote | None = None
        self._lock = threading.Lock()

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

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def extract(self, fd: int, *, name: str, size: int) -> Document:
        """Return what the regular file `fd` of `size` bytes says; it may be at any position and stays open.

        Never raises for a bad document: whatever kept it from being read whole is a gap in the Document returned.
        """
        return self._read(fd, wire.Task(what="extract", name=name[:NAME_BYTES], size=size))

    def redact(self, fd: int, *, name: str, media: str, cuts: tuple[Cut, ...]) -> int | Gap:
        """Return the fd of a memfd, sealed against every change, with the file less its cuts; the caller closes it.

        A Gap says why there is none. Nothing here proves that the copy is clean: it must be inspected like any file.
        """
        output = os.memfd_create("redacted", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        task = wire.Task(what="redact", name=name[:NAME_BYTES], size=os.fstat(fd).st_size, media=media, cuts=cuts)
        outcome = self._ask(fd, task, output)
        if isinstance(outcome, Gap):
            os.close(output)
            return outcome
        try:
            untrusted = outcome.outcome()
            if isinstance(untrusted, wire.Done):
                # The child is dead and waited for: nobody is left who could write to it, mapped or not.
                fcntl.fcntl(output, fcntl.F_ADD_SEALS, _SEALS)
                if os.fstat(output).st_size == untrusted.size <= self._limits.output_bytes:
                    os.lseek(output, 0, os.SEEK_SET)
                    return output
                untrusted = wire.WORDS[Fault.MALFORMED]
        except WireError as err:
            untrusted = wire.WORDS[err.fault]
        os.close(output)
        return untrusted

    def _read(self, fd: int, task: wire.Task) -> Document:
        outcome = self._ask(fd, task)
        if isinstance(outcome, Gap):
            return Document(media="", gaps=(outcome,))
        try:
            return outcome.document()
        except WireError as err:
            return Document(media="", gaps=(wire.WORDS[err.fault],))

    def _ask(self, fd: int, task: wire.Task, output: int | None = None) -> Intake | Gap:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_size != task.size:
            return Gap(kind=GapKind.CORRUPT, detail="the file is not what it was when it was taken")
        if task.size > self._limits.file_bytes:
            return Gap(kind=GapKind.TOO_BIG, detail="larger than limits.file_bytes")
        zygote = self._running()
        return _NO_ZYGOTE if zygote is None else zygote.run(fd, task, output)

    def _running(self) -> _Zygote | None:
        """Return the zygote, started again (one try for each item) when it died; None when that failed."""
        with self._lock:
            if self._zygote is None:
                self._zygote = self._spawn()  # never started: an operator's error comes out as SandboxUnavailable
            elif self._zygote.dead.is_set():
                self._zygote.close()
                with suppress(SandboxUnavailable):
                    self._zygote = self._spawn()
            return None if self._zygote.dead.is_set() else self._zygote

    def _spawn(self) -> _Zygote:
        if self._level not in ("full", "rlimits"):
            raise _unavailable(Say(f"未知的级别 {self._level}", f"there is no level {self._level}"))
        missing = probe(self._user)
        if self._level == "rlimits":
            missing = tuple(lack for lack in missing if lack.name in ("python", "user"))
        if missing:
            zh, en = "；".join(lack.say.zh for lack in missing), "; ".join(lack.say.en for lack in missing)
            raise _unavailable(Say(zh, en))
        uid, gid = (_unprivileged(self._user) or (None, None)) if os.geteuid() == 0 else (None, None)
        zygote = _Zygote(wire.Setup(level=self._level, limits=self._limits, uid=uid, gid=gid, extra=self._extra))
        try:
            self._prove(zygote)
        except SandboxUnavailable:
            zygote.close()
            raise
        return zygote

    def _prove(self, zygote: _Zygote) -> None:
        """Have a child try its own walls; SandboxUnavailable when one of them does not hold."""
        fd = os.memfd_create("proof", os.MFD_CLOEXEC)
        try:
            outcome = zygote.run(fd, wire.Task(what="prove", name="", size=0), None)
        finally:
            os.close(fd)
        try:
            if isinstance(outcome, Gap):
                raise _unavailable(Say(f"试运行失败：{outcome.detail}", f"the trial run failed: {outcome.detail}"))
            open_walls = {segment.text for segment in outcome.document().segments}
        except WireError as err:
            raise _unavailable(
                Say(f"试运行失败：{err.fault.value}", f"the trial run failed: {err.fault.value}")
            ) from err
        if self._level == "rlimits":
            open_walls &= {"user"} if os.geteuid() == 0 else set()
        if open_walls:
            names = ", ".join(sorted(open_walls))
            raise _unavailable(Say(f"隔离未生效：{names}", f"these walls do not hold: {names}"))


def _unavailable(say: Say) -> SandboxUnavailable:
    return SandboxUnavailable(
        Say(f"文件解析沙箱不可用：{say.zh}", f"the sandbox for reading files is not available: {say.en}"),
        Say(
            '请补齐上述条件；确需在缺少隔离的机器上运行，须由管理员在配置中亲手写明 sandbox.level = "rlimits"',
            "provide what is missing; to run without that protection all the same, an administrator must write "
            'sandbox.level = "rlimits" into the configuration by hand',
        ),
    )


class _Run:
    """One order under way: its number, and how its child ended once it has."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.gone = threading.Event()
        self.exit: wire.Exit | None = None


class _Zygote:
    """A running zygote, and the one thread that made it and listens to it.

    That thread must live as long as the zygote: the kernel's parent-death signal follows the thread, not the process.
    """

    def __init__(self, setup: wire.Setup) -> None:
        self.dead = threading.Event()
        self.pid = 0
        self._refusal = wire.Refusal(what="start")
        self._limits = setup.limits
        self._numbers = itertools.count(1)
        self._runs: dict[int, _Run] = {}
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._control, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A zygote that does not take an order within the grace is broken; nobody waits for it longer.
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(GRACE_SECONDS), 0))
        self._keeper = threading.Thread(target=self._keep, args=(setup,), name="sandbox-keeper", daemon=True)
        self._keeper.start()
        if not self._ready.wait(START_SECONDS) or self.dead.is_set():
            self.close()
            why = f"{self._refusal.what} {self._refusal.why}".strip()
            raise _unavailable(Say(f"读取进程未能启动（{why}）", f"the reading process did not start ({why})"))

    def run(self, fd: int, task: wire.Task, output: int | None) -> Intake | Gap:
        """Have one child do `task` on the file `fd`; returns its whole result, or why there is none."""
        deadline = time.monotonic() + self._limits.wall_seconds
        run = _Run(next(self._numbers))
        with self._lock:
            self._runs[run.number] = run
        try:
            if self.dead.is_set():  # after the entry: the keeper has either seen the entry or is seen here
                return _ZYGOTE_DIED
            return self._run(run, fd, task, output, deadline)
        finally:
            with self._lock:
                del self._runs[run.number]

    def close(self) -> None:
        """End the zygote and its children and wait for both."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._keeper.join(GRACE_SECONDS)
        self._control.close()

    def _run(self, run: _Run, fd: int, task: wire.Task, output: int | None, deadline: float) -> Intake | Gap:
        intake = Intake(self._limits)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            with suppress(OSError):  # where the user's budget for pipes is spent it stays at 64 KiB
                fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, FRAME_BYTES)
            try:
                self._order(run, fd, task, writing, output)
            except OSError:
                self._destroy()
                return _ZYGOTE_DIED
            finally:
                os.close(writing)
            why = _collect(reading, intake, deadline)
        finally:
            os.close(reading)
        if why is None and not run.gone.wait(LINGER_SECONDS):
            why = _STAYED
        if why is not None:
            self._end(run)
            return why
        return _death(run.exit, self._limits) or (intake if intake.ended else wire.WORDS[Fault.SHORT])

    def _order(self, run: _Run, fd: int, task: wire.Task, result: int, output: int | None) -> None:
        """Send the order with its descriptors; OSError when the zygote does not take it."""
        source = _reopen(fd)
        try:
            words = os.memfd_create("task", os.MFD_CLOEXEC)
            try:
                with open(words, "wb", closefd=False) as file:
                    file.write(wire.pack(task))
                fds = [source, words, result] if output is None else [source, words, result, output]
                socket.send_fds(self._control, [wire.pack(wire.Order(id=run.number))], fds)
            finally:
                os.close(words)
        finally:
            os.close(source)

    def _end(self, run: _Run) -> None:
        """Have the child and its group killed, and be sure of it: where the zygote does not answer, it goes too."""
        if run.gone.is_set():
            return
        with suppress(OSError):
            self._control.send(wire.pack(wire.Kill(id=run.number)))
        if not run.gone.wait(GRACE_SECONDS):
            self._destroy()

    def _destroy(self) -> None:
        """Kill the zygote; the kernel kills its children with it. Returns when it is gone."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self.dead.wait(GRACE_SECONDS)

    def _keep(self, setup: wire.Setup) -> None:
        """Spawn the zygote, listen until it is gone, and tell all who wait."""
        try:
            with self._theirs:
                process = _spawn(self._theirs.fileno())
            with process:
                try:
                    self.pid = process.pid
                    self._control.send(wire.pack(setup))
                    while data := self._control.recv(65_536):
                        self._hear(wire.read_report(data))
                finally:
                    process.kill()
        except (OSError, WireError):
            self._refusal = wire.Refusal(what="start", why="OSError")
        finally:
            self.dead.set()
            self._ready.set()
            with self._lock:
                for run in self._runs.values():
                    run.gone.set()

    def _hear(self, report: wire.Report) -> None:
        if isinstance(report, wire.Ready):
            self._ready.set()
        elif isinstance(report, wire.Refusal):
            self._refusal = report
        else:
            with self._lock:
                run = self._runs.get(report.id)
            if run is not None:
                run.exit = report
                run.gone.set()


def _spawn(control: int) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).resolve().parents[1])
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, package, str(control), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(control,),
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,  # Ctrl-C at the daemon's terminal is the daemon's business
    )


def _reopen(fd: int) -> int:
    """Return a read-only descriptor of the same file with a position of its own."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        # The mode of the file may forbid what was allowed when it was opened; then only a read-only fd may go in.
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
            raise
        return os.dup(fd)


def _collect(reading: int, intake: Intake, deadline: float) -> Gap | None:
    """Feed the intake until the pipe is closed; a Gap when that is not to be waited for."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    ended = False
    while (left := deadline - time.monotonic()) > 0:
        if not poll.poll(1000 * left):
            continue
        data = os.read(reading, FRAME_BYTES)
        if not data:
            return None
        try:
            intake.feed(data)
        except WireError as err:
            return wire.WORDS[err.fault]
        except MemoryError:
            return wire.WORDS[Fault.FLOOD]
        if intake.ended and not ended:
            ended = True
            deadline = min(deadline, time.monotonic() + LINGER_SECONDS)
    return _STAYED if ended else Gap(kind=GapKind.TIMEOUT, detail="longer than limits.wall_seconds")


def _death(untrusted: wire.Exit | None, limits: Limits) -> Gap | None:
    """Return the gap that stands for how a child ended; None when it left in peace."""
    if untrusted is None:
        return _ZYGOTE_DIED
    if untrusted.signal == signal.SIGXCPU:
        return Gap(kind=GapKind.TIMEOUT, detail=f"more than {limits.cpu_seconds} s of processor time")
    if untrusted.signal:
        hint = _SIGNALS.get(untrusted.signal, "")
        return Gap(kind=GapKind.CRASHED, detail=f"signal {untrusted.signal}{hint}")
    if untrusted.code:
        return _DEATHS.get(untrusted.code, Gap(kind=GapKind.CRASHED, detail=f"exit code {untrusted.code}"))
    return None
