"""Holds one running zygote: spawns it, gives it orders, collects results, and ends what must end.

The parent's half of the promise: whatever a child or the zygote itself does, `Keeper.run` returns within the wall
clock and two short graces, with a whole result or with the gap that says why there is none.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from dlp import orders, wire
from dlp.errors import SandboxUnavailable
from dlp.limits import FRAME_BYTES, GRACE_SECONDS, LINGER_SECONDS, Limits
from dlp.model import Gap, GapKind, Say
from dlp.wire import Fault, Intake, WireError

_BOOT = "import sys; a = sys.argv[1]; a in sys.path or sys.path.insert(0, a); from dlp.worker import main; main()"
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""All that the zygote and its children see: no home, no path, no secret. Number libraries start threads unasked."""

_DEATHS = {
    orders.EXIT_CAGE: Gap(
        kind=GapKind.CRASHED, detail="exit code 71: the sandbox could not be closed around the reader"
    ),
    orders.EXIT_MEMORY: Gap(kind=GapKind.TOO_BIG, detail="reading it needs more memory than the limit"),
    orders.EXIT_BUG: Gap(kind=GapKind.CRASHED, detail="exit code 73: a bug in the reader"),
    orders.EXIT_RESULT: Gap(kind=GapKind.CRASHED, detail="exit code 74: the result does not fit its frames"),
    orders.EXIT_FORK: Gap(kind=GapKind.CRASHED, detail="exit code 75: no process could be made for the reader"),
}
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


def unavailable(say: Say) -> SandboxUnavailable:
    """Return the error that says what is missing and what an administrator can do."""
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
        self.exit: orders.Exit | None = None


class Keeper:
    """A running zygote, and the one thread that made it and listens to it.

    That thread must live as long as the zygote: the kernel's parent-death signal follows the thread, not the process.
    """

    def __init__(self, setup: orders.Setup) -> None:
        self.dead = threading.Event()
        self.pid = 0
        self._refusal = orders.Refusal(what="start")
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
        if not self._ready.wait(self._limits.start_seconds):
            self.close()
            most = self._limits.start_seconds
            raise SandboxUnavailable(
                Say(
                    f"读取进程在 {most:g} 秒内未启动完毕，文件均未读取",
                    f"the reading process did not start within {most:g} s; no file was read",
                ),
                Say(
                    "机器繁忙或硬盘较慢时，稍后重试，或调大配置 limits.start_seconds",
                    "on a busy machine or a slow disk try again later, or raise limits.start_seconds",
                ),
            )
        if self.dead.is_set():
            self.close()
            why = f"{self._refusal.what} {self._refusal.why}".strip()
            raise unavailable(Say(f"读取进程未能启动（{why}）", f"the reading process did not start ({why})"))

    def run(self, fd: int, task: orders.Task, output: int | None) -> Intake | Gap:
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

    def _run(self, run: _Run, fd: int, task: orders.Task, output: int | None, deadline: float) -> Intake | Gap:
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

    def _order(self, run: _Run, fd: int, task: orders.Task, result: int, output: int | None) -> None:
        """Send the order with its descriptors; OSError when the zygote does not take it."""
        source = _reopen(fd)
        try:
            words = os.memfd_create("task", os.MFD_CLOEXEC)
            try:
                with open(words, "wb", closefd=False) as file:
                    file.write(wire.pack(task))
                fds = [source, words, result] if output is None else [source, words, result, output]
                socket.send_fds(self._control, [wire.pack(orders.Order(id=run.number))], fds)
            finally:
                os.close(words)
        finally:
            os.close(source)

    def _end(self, run: _Run) -> None:
        """Have the child and its group killed, and be sure of it: where the zygote does not answer, it goes too."""
        if run.gone.is_set():
            return
        with suppress(OSError):
            self._control.send(wire.pack(orders.Kill(id=run.number)))
        if not run.gone.wait(GRACE_SECONDS):
            self._destroy()

    def _destroy(self) -> None:
        """Kill the zygote; the kernel kills its children with it. Returns when it is gone."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self.dead.wait(GRACE_SECONDS)

    def _keep(self, setup: orders.Setup) -> None:
        """Spawn the zygote, listen until it is gone, and tell all who wait."""
        try:
            with self._theirs:
                process = _spawn(self._theirs.fileno())
            with process:
                try:
                    self.pid = process.pid
                    self._control.send(wire.pack(setup))
                    while data := self._control.recv(65_536):
                        self._hear(orders.read_report(data))
                finally:
                    process.kill()
        except (OSError, WireError):
            self._refusal = orders.Refusal(what="start", why="OSError")
        finally:
            self.dead.set()
            self._ready.set()
            with self._lock:
                for run in self._runs.values():
                    run.gone.set()

    def _hear(self, report: orders.Report) -> None:
        if isinstance(report, orders.Ready):
            self._ready.set()
        elif isinstance(report, orders.Refusal):
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
        env=ENVIRONMENT,
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


def _death(untrusted: orders.Exit | None, limits: Limits) -> Gap | None:
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
