"""Who calls: the token of whoever has logged in at this terminal, and how commands get at the desk in his name.

The token lies in a file of the caller's own, on a file system that forgets with the next boot where there is one;
`DLP_SESSION` names another file. The books know its digest only.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from dlp import durable
from dlp.cli import faces
from dlp.errors import UsageError
from dlp.model import Say
from dlp.service.desk import Desk


@contextmanager
def desk(config_path: Path | None) -> Iterator[Desk]:
    """Give the desk of a site to whoever has logged in."""
    with Desk.open(faces.settings(config_path), token=token()) as opened:
        yield opened


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that every command of the desk has."""
    return faces.options(faces.json_option(command))


def token() -> str:
    """Return the token of whoever has logged in here; empty where nobody has."""
    try:
        return place().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def keep(token: str) -> None:
    """Keep the token of whoever has logged in here, or forget it (empty)."""
    path = place()
    if token:
        durable.replace(path, f"{token}\n".encode())
    else:
        with suppress(FileNotFoundError):
            path.unlink()


def place() -> Path:
    """Return where the token lies: in a folder of this user alone. UsageError where somebody else owns that folder."""
    if named := os.environ.get("DLP_SESSION"):
        return Path(named)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(runtime) if runtime else Path(tempfile.gettempdir(), f"wenyin-gate-{os.geteuid()}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if about.st_uid != os.geteuid() or about.st_mode & 0o077:
        raise UsageError(
            Say(f"文件夹 {folder} 不是本人专用", f"the folder {folder} is not this user's alone"),
            Say("设置 XDG_RUNTIME_DIR 或 DLP_SESSION", "set XDG_RUNTIME_DIR or DLP_SESSION"),
        )
    return folder / "wenyin-gate.session"


def password(prompt: str, file: str | None, *, twice: bool = False) -> str:
    """Ask for a password at the terminal, or read the first line of a file (`-`: of standard input)."""
    if file is None:
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))
    if file == "-":
        return sys.stdin.readline().rstrip("\n")
    try:
        return Path(file).read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(Say(f"读不了口令文件 {file}", f"the password file cannot be read: {file}")) from err


password_option = click.option(
    "--password-file",
    "password_file",
    metavar="FILE",
    help="从文件（- 为标准输入）的第一行读口令。 Read it from a file.",
)
