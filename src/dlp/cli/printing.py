"""`dlp print`: queues of CUPS that lead through the gate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from rich.text import Text

from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.errors import ConfigError, PrintingError
from dlp.model import Say
from dlp.service.printing import install as installing
from dlp.service.printing import remove as removing
from dlp.service.printing import status as looking
from dlp.service.printing.install import Step
from dlp.service.printing.rows import Bypass, Check
from dlp.service.printing.ways import Wanted

STATES: dict[str, tuple[Say, str]] = {
    "closed": (Say("已堵住", "closed"), "green"),
    "open": (Say("可绕过", "open"), "bold red"),
    "network": (Say("须设网络规则", "needs a network rule"), "yellow"),
    "unknown": (Say("未能确认", "unknown"), "magenta"),
}
WHAT: dict[str, Say] = {
    "cups": Say("CUPS", "CUPS"),
    "policy": Say("策略", "policy"),
    "saving": Say("落盘", "saving"),
    "keeping": Say("留存", "keeping"),
    "queues": Say("队列", "queues"),
    "configuration": Say("配置", "configuration"),
    "gateway": Say("打印网关", "gateway"),
    "queue": Say("队列", "queue"),
    "onward": Say("放行队列", "onward queue"),
    "user-names": Say("用户身份", "user names"),
    "administrators": Say("管理员", "administrators"),
    "owner-release": Say("本人放开作业", "owner releases a job"),
    "hold-immediate": Say("lp -H immediate", "lp -H immediate"),
    "move": Say("把作业移到别的队列", "job moved to another queue"),
    "direct-queue": Say("直接用别的队列", "another queue"),
    "local-printer": Say("自建队列", "queue made by a user"),
    "multi-file": Say("一个作业多个文件", "several files in a job"),
    "raw": Say("-o raw", "-o raw"),
    "raster": Say("只收光栅的打印机", "raster-only printer"),
    "network": Say("直连打印机", "straight to the printer"),
    "other-printers": Say("其他打印机", "other printers"),
    "found-by-itself": Say("自动发现的队列", "queues found by themselves"),
}


@click.group("print")
def command() -> None:
    """打印队列：接入闸门、查看、撤除。 Print queues: put the gate before a printer, look, take it away."""


@command.command("install")
@faces.options
@faces.json_option
@click.option("--queue", required=True, metavar="NAME", help="用户打印到的队列。 The queue that people print to.")
@click.option("--printer", default="", metavar="URI|QUEUE", help="打印机地址或已有队列。 Its address, or a queue.")
@click.option("--user", default="", metavar="NAME", help="闸门的运行用户（默认隔离库所有者）。 Whom the gate runs as.")
@click.option("--model", default="", help="打印机驱动（lpinfo -m）。 The driver where the printer cannot say.")
@click.option("--held", is_flag=True, help="作业停在 CUPS，检查原件。 Jobs wait in CUPS; originals are screened.")
def install(
    config_path: Path | None, queue: str, printer: str, user: str, model: str, *, held: bool, as_json: bool
) -> None:
    """把闸门接到一台打印机之前；可重复运行。 Put the gate before a printer; may be run again.

    Exit code: 0 done; 3 the configuration has to be written first; 9 no right to change CUPS; 11 CUPS, gateway or
    printer do not answer.
    """
    wanted = Wanted(queue, printer, user, model, held=held)
    steps = _told(installing.install(faces.settings(config_path), wanted), as_json=as_json)
    if steps[-1].todo:
        raise ConfigError(Say("还没有完成：先写配置", "not finished: the configuration comes first"))
    if not as_json and not any(step.changed for step in steps):
        faces.say(tr("没有需要更改的", "nothing had to be changed"))


@command.command("remove")
@faces.options
@faces.json_option
@click.option("--queue", required=True, metavar="NAME", help="安装时的队列。 The queue that was installed.")
def remove(config_path: Path | None, queue: str, *, as_json: bool) -> None:
    """撤除闸门，队列和 cupsd.conf 恢复原状。 Take the gate away: queues and cupsd.conf as they were."""
    _told(removing.remove(faces.settings(config_path), queue), as_json=as_json)


@command.command("status")
@faces.options
@faces.json_option
def status(config_path: Path | None, *, as_json: bool) -> int:
    """逐项检查队列和每一种绕过办法。 Look at the queues and at every way around the gate.

    Exit code: 0 everything works and is closed, or needs only a network rule; 11 something does not or is open.
    """
    rows = looking.examine(faces.settings(config_path))
    lang = faces.language()
    if as_json:
        faces.lines(_plain(row, lang) for row in rows)
    else:
        titles = (tr("队列", "queue"), tr("项目", "what"), "", tr("情况", "state"), tr("怎么办", "what to do"))
        faces.table(titles, (_cells(row, lang) for row in rows))
    return 0 if looking.is_tight(rows) else PrintingError.exit


def _told(steps: Iterable[Step], *, as_json: bool) -> list[Step]:
    """Tell each step as soon as it is done."""
    told = []
    for step in steps:
        told.append(step)
        text = step.say.to(faces.language())
        if as_json:
            faces.line({"changed": step.changed, "todo": step.todo, "text": text})
        else:
            sign = "!" if step.todo else "✓" if step.changed else "="
            faces.say(f"{sign} {text}")
    return told


def _cells(row: Check | Bypass, lang: str) -> tuple[str | Text, ...]:
    if isinstance(row, Check):
        state = Text("✓", style="green") if row.ok else Text("✗", style="bold red")
    else:
        said, style = STATES[row.state]
        state = Text(said.to(lang), style=style)
    return row.queue or "-", WHAT[row.what].to(lang), state, row.say.to(lang), row.do.to(lang) if row.do else ""


def _plain(row: Check | Bypass, lang: str) -> dict[str, object]:
    kind = {"kind": "check", "ok": row.ok} if isinstance(row, Check) else {"kind": "bypass", "state": row.state}
    do = row.do.to(lang) if row.do else None
    return {"queue": row.queue or None, "what": row.what, **kind, "text": row.say.to(lang), "do": do}
