"""`dlp config`: make, check and show the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from dlp import config as configuration
from dlp import durable
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say


@click.group("config")
def command() -> None:
    """配置：生成、检查、显示。 The configuration: init, check, show."""


@command.command("init")
@faces.options
@click.argument("path", default="config.toml", type=click.Path(path_type=Path))
def init(config_path: Path | None, path: Path) -> None:
    """写出一份带注释的配置（不覆盖）。 Write a commented configuration; nothing is overwritten."""
    del config_path
    try:
        durable.write_new(path, configuration.example().encode("utf-8"))
    except FileExistsError as err:
        raise UsageError(
            Say(f"配置文件已存在，不覆盖：{path}", f"the configuration exists and is not overwritten: {path}"),
            Say("换一个文件名，或直接编辑它", "give another name, or edit it"),
        ) from err
    faces.say(tr(f"已写出 {path}；改好后用 dlp config check 检查", f"{path} written; check it with dlp config check"))


@command.command("check")
@faces.options
@faces.json_option
def check(config_path: Path | None, *, as_json: bool) -> None:
    """检查配置，一次报告全部问题（文件、行、键）。 Check it; every fault is told at once with file, line and key."""
    named = config_path or configuration.find()
    config = configuration.read(named)
    name = str(named) if named else tr("内置默认", "embedded defaults")
    if as_json:
        faces.line({"ok": True, "file": name, "folders": len(config.folders)})
    else:
        faces.say(tr(f"配置可用：{name}", f"the configuration is usable: {name}"))


@command.command("show")
@faces.options
@faces.json_option
def show(config_path: Path | None, *, as_json: bool) -> None:
    """显示实际生效的配置，路径为绝对路径。 Show what holds, with absolute paths."""
    config = faces.settings(config_path)
    if as_json:
        faces.line(configuration.plain(config))
    else:
        click.echo(configuration.toml(config), nl=False)
