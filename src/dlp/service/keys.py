"""Names and keys of one deployment: job ids, and the key that tells two hits apart without telling either.

Keys lie in the state folder, 0600. Of two starters that make one at once, the first wins and both use his.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from dlp import durable
from dlp.errors import StoreError
from dlp.model import Say

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no I L O U


def new_id(now: float) -> str:
    """Return 26 characters that sort by time (ULID): 48 bits of milliseconds, 80 random bits."""
    value = (int(now * 1000) << 80) | secrets.randbits(80)
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -5, -5))


def deployment_key(folder: Path) -> bytes:
    """Return the 32-byte key of this deployment, made 0600 in `folder` at first start.

    Findings carry HMAC-SHA256 digests under it: a plain hash of an ID number could be enumerated.
    """
    path = folder / "findings.key"
    key = kept(path, lambda: secrets.token_bytes(32))
    if len(key) != 32:
        raise damaged(path)
    return key


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what is kept at `path`; made there, whole or not at all, where nothing is."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = make()
    except OSError as err:
        raise damaged(path) from err
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = part_of(path, key)
    try:
        os.link(part, path)  # the first of two starters wins
    except FileExistsError:
        key = path.read_bytes()
    finally:
        part.unlink()
    durable.fsync_dir(path.parent)
    return key


def part_of(path: Path, content: bytes) -> Path:
    """Write a synced file beside `path` that nobody else may read; another one of this thread was cut off."""
    part = path.with_suffix(f"{path.suffix}.{os.getpid()}-{threading.get_native_id()}.tmp")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        durable.write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    return part


def damaged(path: Path) -> StoreError:
    """Return the error that names a key file which cannot be used."""
    return StoreError(
        Say(f"密钥文件损坏或不可读：{path}", f"the key file is damaged or cannot be read: {path}"),
        Say("请从备份恢复该文件，并检查所有者和权限", "restore this file from a backup; check its owner and mode"),
    )
