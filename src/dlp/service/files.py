"""Opens and writes the files that people name, and says in their words why it cannot."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dlp import durable
from dlp.errors import NotFound, UsageError
from dlp.model import Say
from dlp.sources.names import shown


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[int, int]]:
    """Give (fd, size) of a plain file; NotFound when there is none, UsageError when it is none or cannot be read."""
    name = shown(os.fsencode(path))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as err:
        raise NotFound(Say(f"没有这个文件：{name}", f"no such file: {name}")) from err
    except OSError as err:
        raise UsageError(
            Say(f"打不开文件：{name}：{err.strerror}", f"cannot open {name}: {err.strerror}"),
            Say("检查文件是否存在、是否有读取权限", "check that the file exists and may be read"),
        ) from err
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise UsageError(Say(f"不是普通文件：{name}", f"not a regular file: {name}"))
        yield fd, about.st_size
    finally:
        os.close(fd)


def write_all(files: Sequence[tuple[Path, bytes | int]], *, mode: int = 0o644) -> None:
    """Write new files in this order; where one cannot be, those before it go again. UsageError says which and why."""
    done: list[Path] = []
    for path, body in files:
        try:
            durable.write_new(path, body, mode=mode)
        except OSError as err:
            for old in done:
                old.unlink(missing_ok=True)
            name = shown(os.fsencode(path))
            raise UsageError(
                Say(f"写不了文件：{name}：{err.strerror}", f"cannot write {name}: {err.strerror}"),
                Say("换一个文件名，或检查文件夹和空间", "give another name, or check the folder and the space"),
            ) from err
        done.append(path)
