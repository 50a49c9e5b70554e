"""Hostile readers: what a document could make of a child that it has taken over.

Each function has the signature of a format's `extract` and runs inside a real child (see `Sandbox(extra=...)`). It
does its worst; what it may raise is what the product makes of any exception: a gap with the name of its class.
A saboteur that gets through returns `GOT_THROUGH`, which no test accepts.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import mmap
import os
import platform
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from dlp import child, wire
from dlp.model import Document, Gap, GapKind, Segment, Slice, Strip, Table

RESULT, SOURCE = 3, 4
GOT_THROUGH = Document(media="test/got-through", segments=(Segment(text="got through"),))
HONEST = Document(media="test/honest", segments=(Segment(text="诚实的结果"),))

_libc = ctypes.CDLL(None, use_errno=True)
_X86 = platform.machine() == "x86_64"


def _call(number: int, *arguments: Any) -> None:
    """Make a raw system call and raise what it answers."""
    if _libc.syscall(number, *arguments) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _send(document: Document) -> None:
    wire.Outlet(lambda data: os.write(RESULT, data)).send(document)


# --- dying ---------------------------------------------------------------------------------------------------------


def honest(source: Any, room: Any) -> Document:
    """Do nothing wrong."""
    return HONEST


def segfault(source: Any, room: Any) -> Document:
    """Read address zero."""
    ctypes.string_at(0)
    return GOT_THROUGH


def abort(source: Any, room: Any) -> Document:
    """Give up as pdfium does on a bomb."""
    os.abort()


def vanish(source: Any, room: Any) -> Document:
    """Leave in peace without a word."""
    os._exit(0)


def leave_with_code(source: Any, room: Any) -> Document:
    """Leave with an exit code of its own."""
    os._exit(7)


def system_exit(source: Any, room: Any) -> Document:
    """Try to end the interpreter from within a reader."""
    sys.exit("110101199003070011")


def blurt(source: Any, room: Any) -> Document:
    """Raise an exception whose text holds a secret of the document."""
    raise ValueError("身份证号 110101199003070011")


def recurse(source: Any, room: Any) -> Document:
    """Recurse in Python without end."""
    return recurse(source, room)


def recurse_in_c(source: Any, room: Any) -> Document:
    """Overflow the C stack."""
    sys.setrecursionlimit(1 << 30)
    nested: list[Any] = []
    for _ in range(400_000):
        nested = [nested]
    json.dumps(nested)
    return GOT_THROUGH


# --- reaching out --------------------------------------------------------------------------------------------------


def execute(source: Any, room: Any) -> Document:
    """Become another program."""
    os.execv("/bin/sh", ["sh", "-c", "true"])  # noqa: S606  that is the deed


def run_program(source: Any, room: Any) -> Document:
    """Start another program."""
    subprocess.run(["/bin/true"], check=True)
    return GOT_THROUGH


def fork(source: Any, room: Any) -> Document:
    """Make a process that outlives the limits."""
    os.fork()
    return GOT_THROUGH


def raw_clone(source: Any, room: Any) -> Document:
    """Make a process past the C library: SIGCHLD without CLONE_THREAD."""
    _call(56 if _X86 else 220, ctypes.c_ulong(signal.SIGCHLD), None, None, None, None)
    return GOT_THROUGH


def raw_clone3(source: Any, room: Any) -> Document:
    """Make a process with the call that hides its flags from filters."""
    arguments = array.array("Q", [0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0])
    address, size = arguments.buffer_info()
    _call(435, ctypes.c_void_p(address), ctypes.c_size_t(8 * size))
    return GOT_THROUGH


def connect(source: Any, room: Any) -> Document:
    """Open a network connection."""
    with socket.socket() as line:
        line.connect(("127.0.0.1", 9))
    return GOT_THROUGH


def local_socket(source: Any, room: Any) -> Document:
    """Open a pair of local sockets."""
    one, two = socket.socketpair()
    one.close()
    two.close()
    return GOT_THROUGH


def read_passwd(source: Any, room: Any) -> Document:
    """Read a world-readable file of the system."""
    Path("/etc/passwd").read_text(encoding="utf-8")
    return GOT_THROUGH


def read_named(source: Any, room: Any) -> Document:
    """Read the file whose path stands in the document: the vault, say."""
    Path(source.read().decode()).read_bytes()
    return GOT_THROUGH


def list_named(source: Any, room: Any) -> Document:
    """List the folder whose path stands in the document."""
    list(Path(source.read().decode()).iterdir())
    return GOT_THROUGH


def read_environment(source: Any, room: Any) -> Document:
    """Read the environment of the zygote."""
    Path(f"/proc/{os.getppid()}/environ").read_bytes()
    return GOT_THROUGH


def write_named(source: Any, room: Any) -> Document:
    """Write into a world-writable folder."""
    Path(source.read().decode()).write_text("here", encoding="utf-8")
    return GOT_THROUGH


def delete_named(source: Any, room: Any) -> Document:
    """Delete a file from a world-writable folder."""
    Path(source.read().decode()).unlink()
    return GOT_THROUGH


def write_here(source: Any, room: Any) -> Document:
    """Write into the working folder."""
    Path("here.txt").write_text("here", encoding="utf-8")
    return GOT_THROUGH


def write_source(source: Any, room: Any) -> Document:
    """Change the document under the reader's feet."""
    os.pwrite(SOURCE, b"changed", 0)
    return GOT_THROUGH


def map_source(source: Any, room: Any) -> Document:
    """Change the document through shared memory."""
    mmap.mmap(SOURCE, 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    return GOT_THROUGH


def kill_parent(source: Any, room: Any) -> Document:
    """Kill the zygote."""
    os.kill(os.getppid(), signal.SIGKILL)
    return GOT_THROUGH


def signal_by_descriptor(source: Any, room: Any) -> Document:
    """Have a descriptor send signals to the zygote."""
    fcntl.fcntl(RESULT, fcntl.F_SETOWN, os.getppid())
    return GOT_THROUGH


def starve_parent(source: Any, room: Any) -> Document:
    """Take the zygote's descriptors away through its limits."""
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))
    return GOT_THROUGH


def lift_limits(source: Any, room: Any) -> Document:
    """Raise its own limits."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return GOT_THROUGH


def trace_parent(source: Any, room: Any) -> Document:
    """Attach to the zygote as a debugger."""
    _libc.ptrace(16, os.getppid(), None, None)
    return GOT_THROUGH


def read_parent_memory(source: Any, room: Any) -> Document:
    """Read the zygote's memory."""
    _call(310 if _X86 else 270, os.getppid(), None, 0, None, 0, 0)
    return GOT_THROUGH


def kernel_ring(source: Any, room: Any) -> Document:
    """Reach the kernel through io_uring."""
    _call(425, 8, None)
    return GOT_THROUGH


def kernel_program(source: Any, room: Any) -> Document:
    """Load a program into the kernel."""
    _call(321 if _X86 else 280, 0, None, 0)
    return GOT_THROUGH


def page_faults(source: Any, room: Any) -> Document:
    """Handle page faults itself, as kernel exploits do."""
    _call(323 if _X86 else 282, 0)
    return GOT_THROUGH


def new_namespace(source: Any, room: Any) -> Document:
    """Become root of a namespace of its own."""
    _libc.unshare(0x10000000)
    return GOT_THROUGH


def become_root(source: Any, room: Any) -> Document:
    """Take the user back."""
    _libc.setresuid(0, 0, 0)
    return GOT_THROUGH


def describe(source: Any, room: Any) -> Document:
    """Tell what a child has: descriptors, environment, user, groups, core limit."""
    held = []
    for fd in range(1024):
        try:
            os.fstat(fd)
        except OSError:
            continue
        held.append(fd)
    words = {
        "descriptors": held,
        "environment": sorted(os.environ),
        "users": os.getresuid(),
        "groups": [*os.getresgid(), *os.getgroups()],
        "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
    }
    return Document(media="test/words", segments=(Segment(text=json.dumps(words)),))


def late(source: Any, room: Any) -> Document:
    """Read honestly and tell what was imported and which files were opened only now."""
    opened: list[str] = []
    sys.addaudithook(lambda event, words: opened.append(str(words[0])) if event == "open" else None)
    before = set(sys.modules)
    read = child._read_kinds(source, room)
    words = {"modules": sorted(set(sys.modules) - before), "opened": opened, "media": read.media}
    return Document(media="test/words", segments=(Segment(text=json.dumps(words)),), gaps=read.gaps)


# --- taking too much -----------------------------------------------------------------------------------------------


def loop(source: Any, room: Any) -> Document:
    """Compute without end."""
    while True:
        pass


def loop_on(source: Any, room: Any) -> Document:
    """Compute on past the first warning."""
    for number in (signal.SIGXCPU, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def backtrack(source: Any, room: Any) -> Document:
    """Run an expression that takes exponential time."""
    re.match(r"(a+)+$", "a" * 64 + "b")
    return GOT_THROUGH


def sleep(source: Any, room: Any) -> Document:
    """Wait without using the processor."""
    time.sleep(3600)
    return GOT_THROUGH


def sleep_deaf(source: Any, room: Any) -> Document:
    """Wait, deaf to every signal that can be refused."""
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(3600)
    return GOT_THROUGH


def stop_itself(source: Any, room: Any) -> Document:
    """Stop, so that nothing but SIGKILL has an effect."""
    _libc.raise_(signal.SIGSTOP) if hasattr(_libc, "raise_") else signal.raise_signal(signal.SIGSTOP)
    return GOT_THROUGH


def eat_memory(source: Any, room: Any) -> Document:
    """Take memory without end."""
    taken = []
    while True:
        taken.append(bytes(64 << 20))


def bomb_of_threads(source: Any, room: Any) -> Document:
    """Start threads without end."""
    never = threading.Event()
    while True:
        threading.Thread(target=never.wait, daemon=True).start()


# --- lying ---------------------------------------------------------------------------------------------------------


def flood(source: Any, room: Any) -> Document:
    """Write honest-looking frames without end."""
    line = wire.pack((Segment(text="字" * 10_000),))
    _frame(wire.Tag.HEAD, wire.pack(wire.Head(media="text/plain")))
    while True:
        _frame(wire.Tag.SEGMENTS, line)


def flood_of_nothing(source: Any, room: Any) -> Document:
    """Write the smallest segments there are, to fill the parent's memory with objects."""
    lines = wire.pack(tuple(Segment(text="") for _ in range(5_000)))
    _frame(wire.Tag.HEAD, wire.pack(wire.Head(media="text/plain")))
    while True:
        _frame(wire.Tag.SEGMENTS, lines)


def noise(source: Any, room: Any) -> Document:
    """Write bytes that are no frames."""
    while True:
        os.write(RESULT, b"\0\0\0\4Q\xde\xad\xbe\xef")


def huge_frame(source: Any, room: Any) -> Document:
    """Announce a frame of four gigabytes."""
    os.write(RESULT, b"\xff\xff\xff\xffH")
    time.sleep(3600)
    return GOT_THROUGH


def cut_short(source: Any, room: Any) -> Document:
    """Give a clean-looking begin and leave in peace before the end mark."""
    _frame(wire.Tag.HEAD, wire.pack(wire.Head(media="text/plain")))
    _frame(wire.Tag.SEGMENTS, wire.pack((Segment(text="没有问题"),)))
    os._exit(0)


def miscount(source: Any, room: Any) -> Document:
    """Give an end mark that promises more than was sent."""
    _frame(wire.Tag.HEAD, wire.pack(wire.Head(media="text/plain")))
    _frame(wire.Tag.END, wire.pack(wire.End(frames=1, segments=1)))
    os._exit(0)


def go_on(source: Any, room: Any) -> Document:
    """Go on after the end mark with a second result."""
    _send(HONEST)
    return GOT_THROUGH


def die_after_end(source: Any, room: Any) -> Document:
    """Die after a whole result."""
    _send(HONEST)
    ctypes.string_at(0)
    return GOT_THROUGH


def linger_after_end(source: Any, room: Any) -> Document:
    """Stay after a whole result, with the pipe open."""
    _send(HONEST)
    time.sleep(3600)
    return GOT_THROUGH


def close_and_linger(source: Any, room: Any) -> Document:
    """Close the result and stay."""
    os.close(RESULT)
    time.sleep(3600)
    return GOT_THROUGH


def end_close_and_linger(source: Any, room: Any) -> Document:
    """Give a whole result, close it and stay."""
    _send(HONEST)
    os.close(RESULT)
    time.sleep(3600)
    return GOT_THROUGH


def lie_about_places(source: Any, room: Any) -> Document:
    """Name cells that lie outside every segment."""
    return Document(media="test/lie", segments=(Segment(text="a"),), tables=(Table(rows=((Slice(5, 0, 9),),)),))


def lie_about_edges(source: Any, room: Any) -> Document:
    """Give a strip whose edges do not fit its text."""
    strip = Strip(page=1, x0=0, y0=0, x1=1, y1=1, edges=bytes(8))
    return Document(media="test/lie", segments=(Segment(text="abc", strip=strip),))


def talk_in_gap(source: Any, room: Any) -> Document:
    """Carry content out in a clause that people and logs see."""
    return Document(media="test/talk", gaps=(Gap(kind=GapKind.CORRUPT, detail="密码\x1b[2J\n" + "x" * 5_000),))


def lie_about_media(source: Any, room: Any) -> Document:
    """Give a media type that is none."""
    return Document(media="text/<script>")


def pollute(source: Any, room: Any) -> Document:
    """Write to standard output and error, and then be honest."""
    print("pollution " * 1_000)
    print("pollution " * 1_000, file=sys.stderr, flush=True)
    os.write(1, b"\0\0\0\0Z" * 1_000)
    return HONEST


def surrogates(source: Any, room: Any) -> Document:
    """Give text that UTF-8 has no bytes for."""
    return Document(media="test/odd", segments=(Segment(text="a\ud800b"),))


def leave_a_grandchild(source: Any, room: Any) -> Document:
    """Where nothing forbids it: leave a process behind that left the session too, and keep its number."""
    first = os.fork()
    if first == 0:
        os.setsid()
        second = os.fork()
        if second == 0:
            time.sleep(3600)
        os._exit(0)
    os.waitpid(first, 0)
    return HONEST


def _frame(tag: bytes, payload: bytes) -> None:
    data = wire.HEADER.pack(len(payload), tag) + payload
    while data:
        data = data[os.write(RESULT, data) :]
