"""One child: shuts itself in before it reads the first byte of its file, serves one task, and leaves.

Own session and process group, no descriptor but its own four, hard resource limits, an unprivileged user where we
come from root, no privileges to gain, Landlock, seccomp. Whatever it says goes out through one pipe as frames.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from dlp import formats, landlock, orders, wire
from dlp.formats import proof
from dlp.formats.room import Full, Reading, Room, Sought, Stamped, read, redact, render, stamp
from dlp.limits import Limits
from dlp.model import Document, GapKind, Removed, Segment, Zone, evolve
from dlp.sniff import EDGE_BYTES, sniff

RESULT, SOURCE, TASK, OUTPUT = 3, 4, 5, 6  # descriptors of a child; 0, 1 and 2 are /dev/null
_RULESET = 7  # closed before the task begins


def live(fds: list[int], setup: orders.Setup, ruleset: int, parent: int, extra: dict[str, ModuleType]) -> NoReturn:
    """Be a child: shut in, serve one task, leave. Never returns and never lets an exception out."""
    code = orders.EXIT_CAGE
    try:
        task = _take_in(fds, ruleset)
        _shut_in(task, setup, parent)
        code = orders.EXIT_BUG
        _serve(task, setup, extra)
        code = 0
    except MemoryError:
        code = orders.EXIT_MEMORY
    except wire.WireError:
        code = orders.EXIT_RESULT
    finally:
        # Without this no exception, not even SystemExit, would keep the child from going on as a second zygote.
        os._exit(code)


def _take_in(fds: list[int], ruleset: int) -> orders.Task:
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
    return orders.read_task(_read_all(TASK))


def _lift(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)


def _read_all(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    data = b""
    while len(data) < size and (more := os.pread(fd, size - len(data), len(data))):
        data += more
    return data


def _shut_in(task: orders.Task, setup: orders.Setup, parent: int) -> None:
    """Give up everything that reading one file does not need. Any failure ends the child before it reads."""
    _limit(setup.limits, writes=setup.limits.output_bytes if task.what in ("redact", "stamp") else 0)
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


def _serve(task: orders.Task, setup: orders.Setup, extra: dict[str, ModuleType]) -> None:
    limits = setup.limits
    outlet = wire.Outlet(_write)
    module, _, name = task.what.partition(".")
    if task.what == "prove":
        outlet.send(
            Document(media="", segments=tuple(Segment(text=hole) for hole in _holes(dropped=setup.uid is not None)))
        )
    elif task.what == "redact":
        _redact(task, outlet, setup)
    elif task.what == "stamp":
        _stamp(task, outlet, setup)
    elif task.what == "look":
        outlet.send(_look(task, setup))
    elif task.what == "show":
        outlet.send(_show(task, setup))
    elif task.what == "verify":
        outlet.send(_verify(task, setup))
    elif task.what == "extract":
        outlet.send(_extract(task, setup))
    else:
        outlet.send(_guard(getattr(extra[module], name), _source(task), Room(limits)))


def _extract(task: orders.Task, setup: orders.Setup) -> Document:
    """Return everything that the bytes can be taken for, read and put together, and the file name as a segment."""
    content = Document(media="inode/x-empty")
    if task.size:
        content = _guard(_read_kinds, _source(task), Room(setup.limits, passwords=setup.passwords, drawn=task.drawn))
    name = Segment(text=task.name, zone=Zone.FILE_NAME)
    named: Document = evolve(content, segments=(*content.segments, name))
    return named


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
    document: Document = evolve(whole.document(kinds[0]), pages=pages)
    return document


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


def _redact(task: orders.Task, outlet: wire.Outlet, setup: orders.Setup) -> None:
    """Write the source without the cuts to the output; what keeps it from being done becomes a gap."""

    def write(source: formats.Source, room: Room) -> Document:
        with open(OUTPUT, "w+b", closefd=False) as out:
            removed.extend(redact(task.media, source, task.cuts, out, room))
        return Document(media="")

    removed: list[Removed] = []
    document = _guard(write, _source(task), Room(setup.limits, passwords=setup.passwords, mode=task.mode))
    if document.gaps:
        outlet.send(document)
    else:
        outlet.done(wire.Done(size=os.fstat(OUTPUT).st_size, removed=tuple(removed)))


def _stamp(task: orders.Task, outlet: wire.Outlet, setup: orders.Setup) -> None:
    """Write the source with a stamp on each page to the output; what keeps it from being done becomes a gap."""

    def write(source: formats.Source, room: Room) -> Document:
        if task.plate is None:
            raise ValueError
        with open(OUTPUT, "w+b", closefd=False) as out:
            stamped.append(stamp(task.media, source, task.plate, out, room))
        return Document(media="")

    stamped: list[Stamped] = []
    document = _guard(write, _source(task), Room(setup.limits, passwords=setup.passwords))
    if document.gaps:
        outlet.send(document)
    else:
        ((boxes, covered),) = stamped
        outlet.done(wire.Done(size=os.fstat(OUTPUT).st_size, boxes=boxes, covered=covered))


def _look(task: orders.Task, setup: orders.Setup) -> Document:
    """Return what is read on stamped pages with the stamps taken off, each after it was seen; or before they were.

    Pictures are to be compared and not read, for which their digests do.
    """
    room = Room(setup.limits, passwords=setup.passwords, sought=Sought(task.plate, task.boxes))
    seen = _guard(lambda source, room: read(task.media, source, room), _source(task), room)
    pictures = tuple(evolve(one, raw=hashlib.sha256(one.raw).digest()) for one in seen.pictures)
    document: Document = evolve(seen, pictures=pictures)
    return document


def _show(task: orders.Task, setup: orders.Setup) -> Document:
    """Return one page of the source as pixels, and nothing that it says; a program that draws pages as it is."""
    room = Room(setup.limits, passwords=setup.passwords)
    drawn = _guard(lambda source, room: render(task.media, source, task.page, room), _source(task), room)
    return Document(media=task.media, gaps=() if drawn.pictures else drawn.gaps, pictures=drawn.pictures)


def _verify(task: orders.Task, setup: orders.Setup) -> Document:
    """Return what readers that had no part in it find in a redacted copy, and what they looked at."""

    def look(source: formats.Source, room: Room) -> Document:
        whole = Reading(room)
        whole.checks += proof.search(source, task.needles, room)
        module = formats.FORMATS.get(task.media)
        verify = getattr(importlib.import_module(module), "verify", None) if module else None
        if verify is not None:
            whole.take(verify(source, formats.Source(OUTPUT, name=task.name), task.cuts, room))
        return whole.document(task.media)

    return _guard(look, _source(task), Room(setup.limits, passwords=setup.passwords, mode=task.mode))


def _holes(*, dropped: bool) -> list[str]:
    """Return the names of the walls that do not hold in this child: tried, not assumed.

    Group 0 is a hole only where we came from root: an ordinary user may be in it by the habit of some containers.
    """
    holes = []
    with suppress(OSError):
        os.close(os.open("/", os.O_RDONLY))
        holes.append("landlock")
    with suppress(OSError):
        socket.socket().close()
        holes.append("seccomp")
    if 0 in os.getresuid() or (dropped and 0 in (*os.getresgid(), *os.getgroups())):
        holes.append("user")
    return holes


def _source(task: orders.Task) -> formats.Source:
    return formats.Source(SOURCE, name=task.name, size=task.size)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(RESULT, view) :]
