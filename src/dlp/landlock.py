"""What the Linux kernel offers to confine a process that is called through ctypes: Landlock, prctl, capabilities.

Landlock (kernel >= 5.13): a process gives up every path that is not named, for good. The bits that exist depend on
the ABI of the running kernel (https://docs.kernel.org/userspace-api/landlock.html); what a kernel does not know is
not asked of it, and what it knows is always asked.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

# System-call numbers above 423 are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_EXECUTE, _READ_FILE, _READ_DIR = 1, 4, 8
_FILES_OF_ABI = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}  # 2: refer, 3: truncate, 5: device ioctl
_NET_ALL = 0b11  # ABI 4: bind and connect TCP
_SCOPE_ALL = 0b11  # ABI 6: abstract UNIX sockets, signals

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_PR_SET_CHILD_SUBREAPER, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 36, 47, 4
_CLONE_NEWNET, _CLONE_NEWIPC = 0x40000000, 0x08000000
_CAPABILITY_VERSION_3 = 0x20080522


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapSets(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("e0", "p0", "i0", "e1", "p1", "i1"))


def abi() -> int:
    """Return the Landlock ABI of this kernel; 0 where there is none or it is switched off."""
    version: int = _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(0, version)


def readable() -> list[str]:
    """Return the folders that Python and its libraries read from; never a home, a prefix or a working folder."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    python = {path for name in names if (path := sysconfig.get_path(name))}
    here = str(Path(__file__).resolve().parent)
    system = (
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/etc/ld.so.cache",
        "/usr/share/fonts",
        "/usr/share/zoneinfo",
        "/dev/urandom",
    )
    return [*sorted(python), str(Path(sys.base_prefix, "lib")), here, *system]


def make_ruleset(readable: Iterable[str], runnable: Iterable[str] = ()) -> int:
    """Return the fd of a ruleset under which nothing but reading beneath `readable` and running `runnable` is left.

    Paths that do not exist are left out. Costs a millisecond, so it is made once and entered by every child.
    """
    version = abi()
    files = sum(bits for since, bits in _FILES_OF_ABI.items() if version >= since)
    attr = _RulesetAttr(files, _NET_ALL if version >= 4 else 0, _SCOPE_ALL if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _must(_syscall(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    rights = [(path, 0) for path in readable] + [(path, _EXECUTE) for path in runnable]
    for path, more in rights:
        try:
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            allowed = (_READ_FILE | _READ_DIR if Path(path).is_dir() else _READ_FILE) | more
            rule = _PathBeneathAttr(allowed, parent)
            _must(_syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)))
        finally:
            os.close(parent)
    return ruleset


def enter_ruleset(ruleset: int) -> None:
    """Give up, for this process and for good, what the ruleset does not grant. Needs no_new_privs."""
    _must(_syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that made this process ends; at once when `parent` is gone already.

    Call after every change of user: the kernel forgets the wish then.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def give_up_privileges() -> None:
    """No new privileges through exec, no capability of any kind, no core, no tracing by the same user."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with suppress(OSError):  # no ambient set before kernel 4.3: nothing to clear
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header, none = _CapHeader(_CAPABILITY_VERSION_3, 0), _CapSets()
    _must(_libc.capset(ctypes.byref(header), ctypes.byref(none)))
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent died, so that they can be found and killed."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def leave_network() -> bool:
    """Move into an empty network of our own where we may (root); tells whether we could. A bonus beside seccomp."""
    return bool(_libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC) == 0)


def _prctl(option: int, value: int) -> None:
    _must(_libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _must(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
