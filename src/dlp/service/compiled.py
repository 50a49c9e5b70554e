"""The compiled scanner is kept beside the deployment key, so that the next start takes milliseconds.

It is a cache: without it, or with one that does not fit, the packs are compiled again. The file is sealed with the
deployment key, because whoever could plant another scanner there would blind the gate.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dlp import durable
from dlp.config import Config
from dlp.match import Matcher
from dlp.packs import Pack

_SEAL = 32


def matcher(config: Config, loaded: Sequence[Pack], key: bytes) -> Matcher:
    """Return the scanner of `loaded`; taken from the cache of this deployment, or compiled and kept there."""
    path = Path(config.store.path).parent / "scanner.cache"

    def kept(digest: bytes) -> bytes:
        try:
            sealed = path.read_bytes()
        except OSError:
            return b""  # none was kept yet
        body = sealed[_SEAL:]
        return body if hmac.compare_digest(sealed[:_SEAL], _seal(key, digest, body)) else b""

    made = Matcher(loaded, key=key, max_hits=config.limits.hits, compiled=kept)
    if made.scanner.is_new and (path.parent / "findings.key").exists():
        body = made.scanner.dump()
        # a full or read-only disk costs the next start half a second, nothing else
        with suppress(OSError):
            _write(path, _seal(key, made.scanner.digest, body) + body)
    return made


def _seal(key: bytes, digest: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"scanner\0" + digest + body, "sha256")


def _write(path: Path, content: bytes) -> None:
    # Two starters may write at once, and a start may be killed: what is then half there fails its seal.
    part = path.with_suffix(".part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        durable.write_all(fd, content)
    finally:
        os.close(fd)
    part.replace(path)
