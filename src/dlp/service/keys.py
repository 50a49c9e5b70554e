"""Names and keys of one deployment: job ids and the key that tells two hits apart without telling either."""

from __future__ import annotations

import os
import secrets
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
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.tmp")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            durable.write_all(fd, key)
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(part, path)  # the first of two starters wins
        except FileExistsError:
            key = path.read_bytes()
        finally:
            part.unlink()
        durable.fsync_dir(folder)
    if len(key) != 32:
        raise StoreError(
            Say(f"密钥文件损坏：{path}", f"the key file is damaged: {path}"),
            Say("请从备份恢复该文件", "restore this file from a backup"),
        )
    return key
