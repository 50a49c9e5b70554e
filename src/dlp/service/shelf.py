"""The published packs of a site, laid out beside its store for the scanners that read them.

What lies there is a copy: the books say what holds. Whoever lays it out reads them under a lock, so that the last one
to write has read the newest. Whatever is there and not in the books is taken away.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlp import drafts, durable
from dlp.config import Config
from dlp.drafts import EDITIONS, IN_FORCES
from dlp.errors import PackError
from dlp.model import Say
from dlp.store.sqlite import SqliteStore

LOG = logging.getLogger("dlp")


def folder(config: Config) -> Path:
    """Return where the published packs of a site lie."""
    return Path(config.store.path).parent / "packs"


def texts(config: Config) -> dict[str, str]:
    """Return file name -> text of every published pack; PackError where one cannot be read.

    Whoever may not look into the folder of the store scans with the packs that the configuration names.
    """
    place = folder(config)
    try:
        paths = sorted(path for path in place.iterdir() if path.suffix == ".toml")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        LOG.warning("the published packs cannot be read by this user, and are not used")
        return {}
    found = {}
    for path in paths:
        try:
            found[str(path)] = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue  # rolled back a moment ago
        except (OSError, UnicodeDecodeError) as err:
            raise PackError(
                Say(f"已发布的规则包读不了：{path}", f"a published pack cannot be read: {path}"),
                hint=Say("重启 dlp run：它按任务库重新放置", "start `dlp run` again: it lays it out from the books"),
            ) from err
    return found


def lay(config: Config, store: SqliteStore) -> str:
    """Lay out what the books say, and return its stamp. Each file is there whole or not at all."""
    place = folder(config)
    if not place.is_dir() and not store.records(IN_FORCES):
        return drafts.stamp(())
    with _locked(place):
        held = store.records(IN_FORCES)
        wanted = {f"{one.id}.toml": store.record(EDITIONS, one.edition).text for one in held if one.edition}
        for name, text in wanted.items():
            path = place / name
            if not path.is_file() or path.read_bytes() != text.encode():
                durable.replace(path, text.encode())
        for path in place.glob("*.toml"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)
        durable.fsync_dir(place)
    return drafts.stamp(held)


def stamp(store: SqliteStore) -> str:
    """Return a word that changes whenever anything is published or rolled back."""
    return drafts.stamp(store.records(IN_FORCES))


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(place / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
