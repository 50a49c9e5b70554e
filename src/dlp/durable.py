"""The few file-system steps on which `nothing lost, nothing doubled` rests.

A file is durable when its bytes were synced and then the folder that holds its name was. Folders are walked component
by component without following links. Plaintext lives in memory files that the kernel seals against writing.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

CHUNK = 1 << 20
_RENAME_NOREPLACE = 1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIBC = ctypes.CDLL(None, use_errno=True)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data` to `fd`; OSError (ENOSPC, EFBIG, EIO ...) when it cannot."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def copy_all(source: int, target: int) -> str:
    """Copy all of fd `source` from its start to fd `target`; return the SHA-256 of what was copied, in hex."""
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(source, CHUNK, offset):
        write_all(target, chunk)
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def sha256_of(fd: int) -> str:
    """Return the SHA-256 of all bytes of `fd`, in hex; its position does not move."""
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(fd, CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def fsync_dir(folder: Path | int) -> None:
    """Make the names in a folder durable; `folder` is a path or an open folder's fd."""
    if isinstance(folder, int):
        os.fsync(folder)
        return
    fd = os.open(folder, _FOLDER)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_folder(root: Path, parts: Sequence[bytes] = (), *, make: bool = False) -> int:
    """Return an fd of the folder `root/parts...`, no component of `parts` followed through a link.

    With `make`, missing folders are made (0755 less the umask) and synced. OSError ELOOP or ENOTDIR for a link.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=fd)
                    os.fsync(fd)
            inner = os.open(part, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def rename_new(folder: int, old: bytes, new: bytes) -> None:
    """Rename `old` to `new` inside one open folder; FileExistsError when `new` is taken, never overwriting.

    Where the file system knows no RENAME_NOREPLACE (some network shares), a hard link does the same; where it knows no
    links either, the free name is first taken by an empty file that only this call can have made.
    """
    done = _LIBC.renameat2(folder, old, folder, new, _RENAME_NOREPLACE)
    if done == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        raise OSError(code, os.strerror(code))
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as err:
        if err.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
        return
    os.unlink(old, dir_fd=folder)


def memory_file(name: str) -> int:
    """Return the fd of an empty memory file that can be sealed; it lives as long as its descriptors."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def freeze(fd: int) -> int:
    """Seal a memory file: from now on nobody can change a byte of it. Return the same fd, at its start."""
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def reader(fd: int) -> BinaryIO:
    """Return a file object over `fd` from its start; closing it leaves `fd` open.

    The object has an open file description of its own, so two readers of one memory file do not move each other.
    """
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    return cast("BinaryIO", os.fdopen(own, "rb"))


def replace(path: Path, data: bytes) -> None:
    """Write a small private file (0600) in the place of what had its name; a crash leaves the old or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    part.rename(path)
    fsync_dir(path.parent)


def write_new(path: Path, body: int | bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
    """Write `body` (bytes, pieces, or all of an fd) to `path`, which must not exist; then it is whole or not there.

    FileExistsError when the name is taken, FileNotFoundError when its folder is missing.
    """

    def write(fd: int) -> None:
        if isinstance(body, int):
            copy_all(body, fd)
        else:
            for piece in (body,) if isinstance(body, bytes) else body:
                write_all(fd, piece)

    make_new(path, write, part=f".{path.name[:40]}.{os.getpid()}.part", mode=mode)


def make_new(path: Path, write: Callable[[int], object], *, part: str, mode: int) -> int:
    """Have `write` fill the new file `path`, under the name `part` until it is whole and synced; return its size.

    What a crash leaves under that name is locked while somebody writes it, so that whoever clears up can tell.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            with suppress(OSError):  # a share that knows no locks: what is left there stays until somebody removes it
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write(fd)
            os.fsync(fd)
            size = os.fstat(fd).st_size
            rename_new(folder, os.fsencode(part), os.fsencode(path.name))
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(part, dir_fd=folder)
            raise
        finally:
            os.close(fd)
        os.fsync(folder)
    finally:
        os.close(folder)
    return size
