"""`dlp redact`: a proven redacted copy of one file."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from dlp import durable
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Certificate, Say
from dlp.service.gate import Gate

MODES = ("auto", "keep", "fixed-gap", "raster")


@click.command("redact")
@faces.options
@faces.json_option
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True, help="脱敏方式。 How to redact.")
@click.option("--certificate", type=click.Path(path_type=Path), help="脱敏证明写到此文件。 Where the certificate goes.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
def command(
    config_path: Path | None, source: Path, target: Path, mode: str, certificate: Path | None, *, as_json: bool
) -> None:
    """把 IN 的敏感内容去掉后写到 OUT；复检不通过就不写。

    Write a copy of IN without its identifiers to OUT, which must not exist. Exits 0 only when the copy passed a second
    inspection. Text, CSV and Word files.
    """
    if mode != "auto":
        raise UsageError(
            Say(f"本版本只支持 --mode auto（要求的是 {mode}）", f"this version knows only --mode auto, not {mode}"),
            Say("文本、CSV、DOCX 用 auto 即可", "auto is right for text, CSV and Word files"),
        )
    for path in (target, certificate):
        if path is not None and (path.exists() or path.is_symlink()):
            raise UsageError(
                Say(f"文件已存在，不覆盖：{path}", f"the file exists and is not overwritten: {path}"),
                Say("换一个文件名", "give another name"),
            )
    with Gate(faces.settings(config_path)) as gate:
        made = gate.redact(source, target)
    if certificate is not None:
        durable.write_new(certificate, msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    if as_json:
        faces.line(msgspec.to_builtins(made))
    else:
        _show(made, target)


def _show(made: Certificate, target: Path) -> None:
    faces.say(tr(f"已脱敏：{target}", f"redacted: {target}"))
    for removed in made.removed:
        faces.say(tr(f"  去除 {removed.type} {removed.count} 处", f"  removed {removed.type} {removed.count}x"))
    if not made.removed:
        faces.say(tr("  没有需要去除的内容", "  there was nothing to remove"))
