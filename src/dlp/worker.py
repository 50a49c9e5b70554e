"""The reader's side of the sandbox: a warm zygote, and one child of it for each file.

The zygote has one thread, imports every format once, and never looks at a document. For each order it forks a child,
which shuts itself in before it reads the first byte of its source: own session and process group, no descriptor but
its four, hard resource limits, an unprivileged user where we are root, no privileges to gain, Landlock, seccomp.
The child serves one task and leaves. Whatever it says comes out of one pipe as frames (`wire`).

Started by `sandbox` as `python -I -c ... <folder of the package> <control fd> <pid of the daemon>`.
"""

from __future__ import annotations

import codecs
import errno
import fcntl
import gc
import importlib
import importlib.util
import os
import resource
import select
import signal
import socket
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

from dlp import formats, landlock, wire
from dlp.formats.room import Full, Reading, Room, read
from dlp.limits import GRACE_SECONDS, Limits
from dlp.model import Document, Gap, GapKind, Removed, Segment, Zone, evolve
from dlp.sniff import EDGE_BYTES, sniff

RESULT, SOURCE, TASK, OUTPUT = 3, 4, 5, 6  # descriptors of a child; 0, 1 and 2 are /dev/null
EXIT_CAGE, EXIT_MEMORY, EXIT_BUG, EXIT_RESULT, EXIT_FORK = 71, 72, 73, 74, 75

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
)


class _Child(NamedTuple):
    order: int
    pid: int
    pidfd: int
    until: float


class Zygote:
    """Answers orders from one socket by forking; ends when the socket closes, and takes its children along."""

    def __init__(self, control: socket.socket, setup: wire.Setup) -> None:
        self._control = control
        self._setup = setup
        self._children: dict[int, _Child] = {}
        self._extra = dict(map(_load_extra, setup.extra))
        _warm(setup.level)
        self._ruleset = landlock.make_ruleset(_readable()) if setup.level == "full" else -1
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Fork, kill and bury on request until the daemon is gone."""
        self._report(wire.Ready(pid=os.getpid(), seconds=time.process_time()))
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
            command = wire.read_command(data)
            if isinstance(command, wire.Order):
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
            self._report(wire.Exit(id=order, code=EXIT_FORK))
            return
        if pid == 0:
            _live(fds, self._setup, self._ruleset, parent, self._extra)
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
        self._report(wire.Exit(id=child.order, code=status if exited else 0, signal=0 if exited else status))

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

    def _report(self, report: wire.Report) -> None:
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
            setup = wire.read_setup(control.recv(65_536))
            what = "limits"
            _settle(setup)
            what = "readers"
            zygote = Zygote(control, setup)
            what = "threads"
            _check_alone()
            gc.collect()
            gc.freeze()
        except Exception as err:  # noqa: BLE001  a bug and a missing library alike must reach the daemon as a word
            control.send(wire.pack(wire.Refusal(what=what, why=_why(err))))
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


def _settle(setup: wire.Setup) -> None:
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


def _readable() -> list[str]:
    """Return the folders that Python and its libraries read from; never a home, a prefix or a working folder."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    python = {path for name in names if (path := sysconfig.get_path(name))}
    here = str(Path(__file__).resolve().parent)
    system = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/fonts", "/usr/share/zoneinfo")
    return [*sorted(python), str(Path(sys.base_prefix, "lib")), here, *system]


def _end(pid: int) -> None:
    """Kill a child that was not waited for yet, and its group; both numbers are still its own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):  # not yet leader of a group, or a zombie already
            kill(pid, signal.SIGKILL)


# --- the child -----------------------------------------------------------------------------------------------------


def _live(fds: list[int], setup: wire.Setup, ruleset: int, parent: int, extra: dict[str, ModuleType]) -> NoReturn:
    """Be a child: shut in, serve one task, leave. Never returns and never lets an exception out."""
    code = EXIT_CAGE
    try:
        task = _take_in(fds, ruleset)
        _shut_in(task, setup, parent)
        code = EXIT_BUG
        _serve(task, setup.limits, extra)
        code = 0
    except MemoryError:
        code = EXIT_MEMORY
    except wire.WireError:
        code = EXIT_RESULT
    finally:
        # Without this no exception, not even SystemExit, would keep the child from going on as a second zygote.
        os._exit(code)


_RULESET = 7


def _take_in(fds: list[int], ruleset: int) -> wire.Task:
    """Put the descriptors where they belong, close all others, and return the task."""
    os.setsid()
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # when memory runs out, the reader goes first
    source, task, result, *output = fds
    places = {RESULT: result, SOURCE: source, TASK: task}
    if output:
        places[OUTPUT] = output[0]
    if ruleset >= 0:
        places[_RULESET] = ruleset
    # First all up and out of the way, then down: putting them in place one by one would overwrite some.
    high = {place: _lift(fd) for place, fd in places.items()}
    os.closerange(RESULT, 100)
    for place, fd in high.items():
        os.dup2(fd, place, inheritable=False)
    os.closerange(100, 1 << 20)
    return wire.read_task(_read_all(TASK))


def _lift(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)


def _read_all(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    data = b""
    while len(data) < size and (more := os.pread(fd, size - len(data), len(data))):
        data += more
    return data


def _shut_in(task: wire.Task, setup: wire.Setup, parent: int) -> None:
    """Give up everything that reading one file does not need. Any failure ends the child before it reads."""
    _limit(setup.limits, writes=setup.limits.output_bytes if task.what == "redact" else 0)
    if setup.uid is not None and setup.gid is not None:
        os.setgroups([])
        os.setresgid(setup.gid, setup.gid, setup.gid)
        os.setresuid(setup.uid, setup.uid, setup.uid)
    landlock.die_with_parent(parent)
    landlock.give_up_privileges()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if setup.level == "full":
        landlock.enter_ruleset(_RULESET)
        os.close(_RULESET)
        from dlp import seccomp  # noqa: PLC0415  loaded when warm; level rlimits must work where libseccomp is missing

        seccomp.load(os.getpid())


def _limit(limits: Limits, *, writes: int) -> None:
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        # At the soft limit SIGXCPU ends the child; should it catch that, SIGKILL follows.
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),
        (resource.RLIMIT_FSIZE, writes, writes),
        (resource.RLIMIT_NOFILE, limits.open_files, limits.open_files),
        (resource.RLIMIT_NPROC, limits.tasks, limits.tasks),
        (resource.RLIMIT_STACK, limits.stack_bytes, limits.stack_bytes),
    ):
        ceiling = resource.getrlimit(what)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)  # noqa: PLW2901  the machine's own limit is lower
        resource.setrlimit(what, (soft, hard))


def _serve(task: wire.Task, limits: Limits, extra: dict[str, ModuleType]) -> None:
    outlet = wire.Outlet(_write)
    module, _, name = task.what.partition(".")
    if task.what == "prove":
        outlet.send(Document(media="", segments=tuple(Segment(text=hole) for hole in _holes())))
    elif task.what == "redact":
        _redact(task, outlet, limits)
    elif task.what == "extract":
        outlet.send(_extract(task, limits))
    else:
        outlet.send(_guard(getattr(extra[module], name), _source(task), Room(limits)))


def _extract(task: wire.Task, limits: Limits) -> Document:
    """Return everything that the bytes can be taken for, read and put together, and the file name as a segment."""
    content = Document(media="inode/x-empty")
    if task.size:
        content = _guard(_read_kinds, _source(task), Room(limits))
    name = Segment(text=task.name, zone=Zone.FILE_NAME)
    return evolve(content, segments=(*content.segments, name))


def _read_kinds(source: formats.Source, room: Room) -> Document:
    """Return all readings of the source in one, the first type that its bytes can be taken for first."""
    kinds = sniff(source.peek(0, EDGE_BYTES), source.peek(max(0, source.size - EDGE_BYTES), EDGE_BYTES), source)
    if not kinds:
        gap = room.gap(GapKind.UNSUPPORTED, "the content is of no known type")
        return Document(media="application/octet-stream", gaps=(gap,))
    whole = Reading(room)
    pages = None
    for media in kinds:
        source.seek(0)
        one = read(media, source, room)
        pages = one.pages if pages is None else pages
        whole.take(one)
    return evolve(whole.document(kinds[0]), pages=pages)


def _guard(extract: Callable[[formats.Source, Room], Document], source: formats.Source, room: Room) -> Document:
    """Return what `extract` reads; whatever it raises becomes a gap that names the class and quotes nothing."""
    try:
        return extract(source, room)
    except Full as full:
        gap = room.gap(full.kind, full.detail)
    except MemoryError:
        gap = room.gap(GapKind.TOO_BIG, "reading it needs more memory than the limit")
    except (Exception, SystemExit) as err:  # noqa: BLE001  a reader's bug is one document's gap, not everybody's end
        gap = room.gap(GapKind.CORRUPT, type(err).__name__)
    return Document(media="", gaps=(gap,))


def _redact(task: wire.Task, outlet: wire.Outlet, limits: Limits) -> None:
    """Write the source without the cuts to the output; what keeps it from being done becomes a gap."""
    module = formats.FORMATS.get(task.media)
    redact = getattr(importlib.import_module(module), "redact", None) if module else None
    if redact is None:
        detail = f"there is no redaction for {task.media}"
        outlet.send(Document(media="", gaps=(Gap(kind=GapKind.UNSUPPORTED, detail=detail),)))
        return

    def write(source: formats.Source, _: Room) -> Document:
        with open(OUTPUT, "w+b", closefd=False) as out:
            removed.extend(redact(source, task.cuts, out))
        return Document(media="")

    removed: list[Removed] = []
    document = _guard(write, _source(task), Room(limits))
    if document.gaps:
        outlet.send(document)
    else:
        outlet.done(os.fstat(OUTPUT).st_size, tuple(removed))


def _holes() -> list[str]:
    """Return the names of the walls that do not hold in this child: tried, not assumed."""
    holes = []
    with suppress(OSError):
        os.close(os.open("/", os.O_RDONLY))
        holes.append("landlock")
    with suppress(OSError):
        socket.socket().close()
        holes.append("seccomp")
    if 0 in (*os.getresuid(), *os.getresgid(), *os.getgroups()):
        holes.append("user")
    return holes


def _source(task: wire.Task) -> formats.Source:
    return formats.Source(SOURCE, name=task.name, size=task.size)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(RESULT, view) :]
