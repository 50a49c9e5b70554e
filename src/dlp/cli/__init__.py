"""The command `dlp`: one file for each group of commands, loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from dlp.cli import faces
from dlp.errors import DlpError, _LocatedError
from dlp.model import Say

COMMANDS = (
    *("audit", "backup", "check-redaction", "config", "console", "destroy", "doctor", "incident", "login", "logout"),
    *("notices", "packs", "passwd", "people", "print", "quarantine", "redact", "registers", "report", "run", "scan"),
    *("tokens", "verify", "withheld"),
)
_FILES = {"check-redaction": "check_redaction", "print": "printing"}
INTERRUPTED = 130


class _Late(click.Group):
    """A group that imports a command's module only when it is needed: `dlp --help` loads no scanner."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"dlp.cli.{_FILES.get(cmd_name, cmd_name)}").command
        return command


@click.group(cls=_Late, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wenyin-gate", prog_name="dlp")
def dlp() -> None:
    """文印闸：文件外发、打印之前的检查。 A data-loss-prevention gate for files that are about to leave."""


def main() -> NoReturn:
    """Run the command and leave with its exit code (0, 1 bug, 2..11 operator errors, 21..25 scan, 130 Ctrl-C)."""
    try:
        code = dlp.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except click.ClickException as err:
        err.show()
        sys.exit(2)
    except BrokenPipeError:
        # Who read our output has gone (`dlp scan | head`). Python would complain once more while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(INTERRUPTED)
    except DlpError as err:
        sys.exit(_tell(err))
    sys.exit(code if isinstance(code, int) else 0)


def _tell(err: DlpError) -> int:
    """Say what happened and what to do on standard error; return the exit code."""
    lang = faces.language()
    rows: list[Say | Any] = [err.say]
    if isinstance(err, _LocatedError):
        rows += [Say(f"  {p.text('zh')}", f"  {p.text('en')}") for p in err.problems]
    if err.hint is not None:
        rows.append(err.hint)
    for row in rows:
        click.echo(row.to(lang), err=True)
    return err.exit
