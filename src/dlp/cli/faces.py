"""What all commands share: their options, the language, tables for people and lines for programs."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlp import config as configuration
from dlp.config import Config
from dlp.model import Action, Say
from dlp.service import speaking
from dlp.service.speaking import language as language  # noqa: PLC0414  commands ask for it here

COLOURS = {
    Action.ALLOW: "green",
    Action.ALERT: "yellow",
    Action.REDACT: "cyan",
    Action.QUARANTINE: "magenta",
    Action.BLOCK: "bold red",
}
ACTIONS = {
    Action.ALLOW: Say("放行", "allow"),
    Action.ALERT: Say("提示", "alert"),
    Action.REDACT: Say("脱敏", "redact"),
    Action.QUARANTINE: Say("隔离", "quarantine"),
    Action.BLOCK: Say("拦截", "block"),
}


def tr(zh: str, en: str) -> str:
    """Return the words in the chosen language."""
    return zh if language() == "zh" else en


def _choose(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value:
        speaking.choose(value)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config F` (handed on as `config_path`) and `--lang`."""
    lang = click.option(
        "--lang",
        type=click.Choice(["zh", "en"]),
        callback=_choose,
        expose_value=False,
        is_eager=True,
        help="输出语言。 Language of the output.",
    )
    path = click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="配置文件（默认 $DLP_CONFIG、./config.toml、内置默认）。 Configuration file.",
    )
    return lang(path(command))


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json` (handed on as `as_json`)."""
    text = "每行一个 JSON 对象。 One JSON object a line."
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def time_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--since` and `--until` (moments with a zone, or None)."""
    since = "起，如 2026-01-31 或 2026-01-31T08:00（本机时区）。 From this day or moment on."
    until = "止；只写日期时含当日。 Before this moment; a day is in it."
    first = click.option("--since", metavar="TIME", callback=_moment(days=0), help=since)
    return first(click.option("--until", metavar="TIME", callback=_moment(days=1), help=until)(command))


def _moment(*, days: int) -> Callable[[click.Context, click.Parameter, str | None], datetime | None]:
    """Return what reads a moment of the clock on the wall; a day without a time is moved by so many days."""

    def read(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as err:
            raise click.BadParameter(tr(f"不是日期或时间：{value}", f"no day or time: {value}")) from err
        return (moment + timedelta(days=days if len(value) == len("2026-01-31") else 0)).astimezone()

    return read


def day(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read a day or moment of the clock on the wall as seconds since the epoch; a day means its end."""
    moment = _moment(days=1)(_ctx, _param, value)
    return moment.timestamp() if moment else None


def moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read a day or moment of the clock on the wall as seconds since the epoch; a day means its beginning."""
    read = _moment(days=0)(_ctx, _param, value)
    return read.timestamp() if read else None


def settings(config_path: Path | None) -> Config:
    """Return the configuration that holds for this call."""
    return configuration.read(config_path or configuration.find())


def line(value: dict[str, Any]) -> None:
    """Write one JSON object as one line of UTF-8."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def lines(values: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    for value in values:
        line(value)


@functools.cache
def console() -> Console:
    """Return the console of standard output; as wide as needed where nobody looks."""
    width = None if sys.stdout.isatty() else 160
    return Console(highlight=False, markup=False, width=width, soft_wrap=False)


def table(titles: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> None:
    """Print a table for people; nothing in a cell is taken for markup."""
    made = Table(show_edge=False, pad_edge=False, header_style="bold")
    for title in titles:
        made.add_column(title, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console().print(made)


def action(value: Action) -> Text:
    """Return an action in its colour and the chosen language."""
    return Text(ACTIONS[value].to(language()), style=COLOURS[value])


def say(text: str) -> None:
    """Print one line for people, as it is."""
    console().print(Text(text), soft_wrap=True)
