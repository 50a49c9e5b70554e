"""The warm zygote of the sandbox: one child of it for each file.

The zygote has one thread, imports every format once, and never looks at a document. For each order it forks a child
(`child`) and reports how it ended.

Started by `keeper` as `python -I -c ... <folder of the package> <control fd> <pid of the daemon>`.
"""

from __future__ import annotations

import codecs
import errno
import gc
import importlib
import importlib.util
import os
import select
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from dlp import formats, landlock, orders, wire
from dlp.child import live
from dlp.limits import GRACE_SECONDS

_CODECS = (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
    "ascii latin-1 cp1252 utf-8 utf-8-sig utf-7 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be gb2312 gbk "
    "gb18030 hz big5 big5hkscs cp950 euc-jp shift_jis cp932 iso-2022-jp euc-kr cp949 koi8-r cp1251 mac-roman cp437 "
    "idna punycode hex zlib base64 quopri unicode_escape raw_unicode_escape"
).split()
_LIBRARY = (
    "_strptime",
    "_datetime",
    "decimal",
    "unicodedata",
    "zipfile",
    "zlib",
    "bz2",
    "lzma",
    "csv",
    "email.parser",
    "html.entities",
    "numpy.ma",  # numpy.median imports it at its first call
)


class _Child(NamedTuple):
    order: int
    pid: int
    pidfd: int
    until: float


class Zygote:
    """Answers orders from one socket by forking; ends when the socket closes, and takes its children along."""

    def __init__(self, control: socket.socket, setup: orders.Setup) -> None:
        self._control = control
        self._setup = setup
        self._children: dict[int, _Child] = {}
        self._extra = dict(map(_load_extra, setup.extra))
        _warm(setup.level)
        self._ruleset = landlock.make_ruleset(landlock.readable()) if setup.level == "full" else -1
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Fork, kill and bury on request until the daemon is gone."""
        self._report(orders.Ready(pid=os.getpid(), seconds=time.process_time()))
        while True:
            # Idle, it sleeps; with children, it looks once a second whether one has outstayed even the daemon's clock.
            for fd, _ in self._poll.poll(1000 if self._children else None):
                if fd != self._control.fileno():
                    self._bury(self._children[fd])
                elif not self._obey():
                    return
            for child in tuple(self._children.values()):
                if time.monotonic() > child.until:
                    _end(child.pid)

    def _obey(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._control, 65_536, 8, socket.MSG_CMSG_CLOEXEC)
        if not data:
            for child in self._children.values():
                _end(child.pid)
            return False
        try:
            command = orders.read_command(data)
            if isinstance(command, orders.Order):
                self._start(command.id, fds)
            else:
                for child in self._children.values():
                    if child.order == command.id:
                        _end(child.pid)
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _start(self, order: int, fds: list[int]) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            self._report(orders.Exit(id=order, code=orders.EXIT_FORK))
            return
        if pid == 0:
            live(fds, self._setup, self._ruleset, parent, self._extra)
        until = time.monotonic() + self._setup.limits.wall_seconds + GRACE_SECONDS
        child = _Child(order, pid, os.pidfd_open(pid), until)
        self._children[child.pidfd] = child
        self._poll.register(child.pidfd, select.POLLIN)

    def _bury(self, child: _Child) -> None:
        """Kill what is left of the group while the dead leader still holds its number, then report the death."""
        _end(child.pid)
        gone = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
        self._poll.unregister(child.pidfd)
        del self._children[child.pidfd]
        os.close(child.pidfd)
        self._end_strays()
        exited = gone is not None and gone.si_code == os.CLD_EXITED
        status = gone.si_status if gone is not None else 0
        self._report(orders.Exit(id=child.order, code=status if exited else 0, signal=0 if exited else status))

    def _end_strays(self) -> None:
        """Kill adopted grandchildren: only without seccomp can a child fork and leave its group."""
        if self._setup.level == "full":
            return
        known = {child.pid for child in self._children.values()}
        with suppress(FileNotFoundError):  # a kernel without CONFIG_PROC_CHILDREN
            listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
            for pid in set(map(int, listed.split())) - known:
                _end(pid)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _report(self, report: orders.Report) -> None:
        self._control.send(wire.pack(report))


def main() -> None:
    """Run the zygote; what keeps it from working is reported in one word, then it leaves."""
    control = socket.socket(fileno=int(sys.argv[2]))
    with control:
        landlock.die_with_parent(int(sys.argv[3]))
        # The daemon ends its zygote by closing the socket, after its last job; a stop signal to the whole service
        # must not end readers under it.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        what = "setup"
        try:
            setup = orders.read_setup(control.recv(65_536))
            what = "limits"
            _settle(setup)
            what = "readers"
            zygote = Zygote(control, setup)
            what = "threads"
            _check_alone()
            gc.collect()
            gc.freeze()
        except Exception as err:  # noqa: BLE001  a bug and a missing library alike must reach the daemon as a word
            control.send(wire.pack(orders.Refusal(what=what, why=_why(err))))
            return
        with suppress(ConnectionError):
            zygote.serve()


def _check_alone() -> None:
    """Forking a process with threads copies locks that nobody will open: refuse to."""
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise RuntimeError


def _why(err: Exception) -> str:
    if isinstance(err, ImportError):
        return f"{type(err).__name__} {err.name or ''}".strip()
    return errno.errorcode.get(err.errno or 0, "OSError") if isinstance(err, OSError) else type(err).__name__


def _settle(setup: orders.Setup) -> None:
    """Stand in a folder that is gone (nothing can be made in it) and, as root, in a network that holds nothing."""
    with suppress(OSError):
        empty = tempfile.mkdtemp()
        os.chdir(empty)
        Path(empty).rmdir()
    landlock.adopt_orphans()
    if setup.uid is not None:
        landlock.leave_network()


def _warm(level: str) -> None:
    """Import all that a child may need: after the drop of user and rights it may not be able to."""
    for name in _CODECS:
        codecs.lookup(name)
    for name in _LIBRARY:
        importlib.import_module(name)
    if level == "full":
        importlib.import_module("dlp.seccomp")
    for name in sorted(set(formats.FORMATS.values())):
        warm = getattr(importlib.import_module(name), "warm", None)
        if warm is not None:
            warm()


def _load_extra(path: str) -> tuple[str, ModuleType]:
    """Load a module of further tasks from a file: only tests name any (see `Sandbox`)."""
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return name, module


def _end(pid: int) -> None:
    """Kill a child that was not waited for yet, and its group; both numbers are still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):  # not yet leader of a group, or a zombie already
            kill(pid, signal.SIGKILL)
