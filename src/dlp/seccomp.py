"""The system calls that a reader may make: an allow-list, in three answers.

Allowed: memory, threads of its own, reading and writing descriptors it has, opening files (Landlock says which),
clocks, leaving. Killed at once: what no reader ever needs and exploits begin with. Everything else, sockets and new
processes among it, is answered with EPERM, so that a library that merely tries ends as an exception with a name.
"""

from __future__ import annotations

import errno
import fcntl
import termios
from pathlib import Path

import pyseccomp

_CLONE_THREAD = 0x00010000

ALLOWED = (  # noqa: SIM905  lines grouped by reason read better than seventy quoted names
    # descriptors that it has
    "read pread64 readv preadv write pwrite64 writev pwritev lseek close close_range fstat ftruncate fadvise64 "
    "dup dup2 dup3 poll ppoll select pselect6 "
    # files: Landlock grants reading of Python's own folders and nothing else
    "open openat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents64 getcwd "
    # memory
    "mmap mprotect munmap mremap madvise brk "
    # threads and signals of its own
    "futex futex_waitv set_robust_list get_robust_list rseq sched_yield sched_getaffinity membarrier "
    "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall set_tid_address "
    # clocks, and what it is
    "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage getrandom "
    "getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getgroups getrlimit uname sysinfo "
    "exit exit_group"
).split()

KILLED = (  # noqa: SIM905  as above
    "execve execveat ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd pidfd_open kcmp bpf "
    "userfaultfd io_uring_setup io_uring_enter io_uring_register perf_event_open keyctl add_key request_key "
    "init_module finit_module delete_module kexec_load kexec_file_load reboot mount umount2 pivot_root chroot setns "
    "unshare open_by_handle_at fsopen fsmount move_mount mount_setattr fanotify_init iopl ioperm swapon swapoff "
    "setuid setgid setreuid setregid setresuid setresgid setgroups capset personality acct quotactl syslog"
).split()

_OUTSIDE = (  # noqa: SIM905  as above
    "socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvfrom recvmsg kill tkill fork "
    "vfork pidfd_send_signal shmget msgget semget mq_open inotify_init inotify_init1 link linkat symlink symlinkat "
    "mkdir mkdirat rename renameat renameat2 unlink unlinkat chmod fchmod fchmodat chown fchown lchown setsid setpgid"
).split()

_FCNTL = (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC)
"""F_SETOWN and F_SETSIG are missing on purpose: with them a descriptor sends any signal to any process of the user."""
_IOCTL = (termios.TCGETS, termios.TIOCGWINSZ, termios.FIONREAD, termios.FIOCLEX)


def load(pid: int) -> None:
    """Enter the filter, for this process `pid` and for good. OSError or RuntimeError where the kernel has none."""
    wall = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    wall.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for name in ALLOWED:
        _add(wall, pyseccomp.ALLOW, name)
    for name in KILLED:
        _add(wall, pyseccomp.KILL_PROCESS, name)
    for command in _FCNTL:
        _add(wall, pyseccomp.ALLOW, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    for command in _IOCTL:
        _add(wall, pyseccomp.ALLOW, "ioctl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    # abort() signals its own thread; its own limits may be asked and lowered; nobody else's may.
    _add(wall, pyseccomp.ALLOW, "tgkill", pyseccomp.Arg(0, pyseccomp.EQ, pid))
    _add(wall, pyseccomp.ALLOW, "prlimit64", pyseccomp.Arg(0, pyseccomp.EQ, 0))
    _add(wall, pyseccomp.ALLOW, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
    # clone3 hides its flags in memory, where no filter looks: ENOSYS sends glibc back to clone.
    _add(wall, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    wall.load()


def load_for_program(answer: int) -> None:
    """Enter a filter for a program that is about to be run: no network, no process but threads, nothing privileged.

    `answer` is the errno that a refused call gives. Running the program itself is allowed; Landlock says which.
    """
    wall = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    wall.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for name in (*KILLED, *_OUTSIDE):
        if name != "execve":
            _add(wall, pyseccomp.ERRNO(answer), name)
    _add(wall, pyseccomp.ERRNO(answer), "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0))
    _add(wall, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    wall.load()


def _add(wall: pyseccomp.SyscallFilter, action: int, name: str, *args: pyseccomp.Arg) -> None:
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    if number < 0:
        # Not a call of this architecture (open on arm64), or newer than libseccomp: then the default, EPERM, stands.
        return
    wall.add_rule(action, number, *args)


def works() -> bool:
    """Return whether this kernel filters system calls by program (CONFIG_SECCOMP_FILTER)."""
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()
