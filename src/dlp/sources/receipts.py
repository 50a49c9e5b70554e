"""Receipts lie in the watched folder, so the gate must know its own: the last line is an HMAC over the rest.

A file that only imitates the name or the text is an ordinary file, and is taken and screened.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress

from dlp import durable
from dlp.sources.names import NAME_MAX, numbered, shortened

SUFFIX = ".拦截说明.txt"
LARGEST = 65_536  # bytes; a receipt has about 2,000
_SEAL = "核验码："
_ROOM = len(" (99999)")  # kept free, so that numbering never cuts into the suffix by which a receipt is known


def sealed(text: str, key: bytes) -> bytes:
    """Return the text with its seal line, as it is written."""
    return f"{text}{_SEAL}{_code(text.encode(), key)}\n".encode()


def is_ours(name: bytes, content: bytes, key: bytes) -> bool:
    """Tell whether a file is a receipt that this gate wrote."""
    if not _named_so(name):
        return False
    head, mark, code = content.rpartition(_SEAL.encode())
    return bool(mark) and hmac.compare_digest(code, f"{_code(head, key)}\n".encode())


def may_be(name: bytes, size: int) -> bool:
    """Tell whether it is worth reading a file to see if it is a receipt."""
    return size <= LARGEST and _named_so(name)


def write(folder: int, shown: str, text: str, job: str, key: bytes) -> str | None:
    """Write a receipt into an open folder, synced, under a free name; None when this job's is there already."""
    content = sealed(text, key)
    stem = shown.rsplit("/", 1)[-1].replace("*", "＊").encode()
    suffix = SUFFIX.encode()
    first = shortened(stem, NAME_MAX - len(suffix) - _ROOM) + suffix
    part = f".dlp-{job}.tell".encode()
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder)
    try:
        durable.write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    for name in numbered(first):
        try:
            durable.rename_new(folder, part, name)
        except FileExistsError:
            if _read(folder, name) == content:
                os.unlink(part, dir_fd=folder)
                return None
            continue
        os.fsync(folder)
        return name.decode("utf-8", "replace")
    return None


def _named_so(name: bytes) -> bool:
    return name.endswith(b".txt") and SUFFIX.removesuffix(".txt").encode() in name


def _read(folder: int, name: bytes) -> bytes:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return b""
    try:
        return os.read(fd, LARGEST + 1)
    finally:
        os.close(fd)


def _code(text: bytes, key: bytes) -> str:
    return hmac.new(key, b"receipt\0" + text, hashlib.sha256).hexdigest()[:32]
