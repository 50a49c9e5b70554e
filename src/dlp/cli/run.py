"""`dlp run`: the gate itself."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click
from rich.text import Text

from dlp import config as configuration
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.config import Config, Printer
from dlp.model import Outcome
from dlp.service import daemon, records
from dlp.service.receipt import STATES


@click.command("run")
@faces.options
@faces.json_option
@click.option("--once", is_flag=True, help="处理现有文件后退出。 Handle what is there and exit.")
@click.option("--demo", "with_demo", is_flag=True, help="先放入示例文件。 Put demo files into the first folder.")
def command(config_path: Path | None, *, as_json: bool, once: bool, with_demo: bool) -> int:
    """运行闸门，直到收到 SIGTERM 或 Ctrl-C；SIGHUP 重新读取配置。

    Run the gate until SIGTERM or Ctrl-C. SIGHUP reads the configuration again.
    """
    named = config_path or configuration.find()
    config = configuration.read(named)
    _log(config)
    names: tuple[str, ...] = ()
    if with_demo:
        from dlp.service import demo  # noqa: PLC0415  the library that writes Word files: no gate at work needs it

        names = demo.put(config.folders[0].watch)

    def ready(first: str) -> None:
        if not as_json:
            _greet(config, names, first)

    report = _reporter(as_json=as_json)
    return daemon.run(config, once=once, report=report, ready=ready, reread=named, demo=with_demo)


def _log(config: Config) -> None:
    """Send our own log to standard error; libraries may only warn, because some name files at lower levels."""
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("dlp").setLevel(config.log.level.upper())


def _reporter(*, as_json: bool) -> Callable[[Outcome], None]:
    def report(done: Outcome) -> None:
        if as_json:
            faces.line(records.outcome(done))
            return
        row = Text(f"{datetime.now().astimezone():%H:%M:%S}  ")
        row.append_text(faces.action(done.verdict.action))
        row.append(f"  {done.item.path}  → {STATES[done.state].to(faces.language())}")
        faces.console().print(row, soft_wrap=True)
        for reason in done.verdict.reasons:
            faces.say(f"            {reason.say.to(faces.language())}")
        if done.note is not None:
            faces.say(f"            {done.note.to(faces.language())}")

    return report


def _ways(config: Config, printer: Printer) -> Iterator[str]:
    """Give every address at which jobs for a printer are taken."""
    printing = config.printing
    if printer.mode == "held":
        yield f"cups:{printer.cups_queue}"
    else:
        yield f"ipp://{printing.listen}:{printing.port}/ipp/print/{printer.name}"
    if printer.raw_port:
        yield f"socket://{printing.listen}:{printer.raw_port}"
    if printing.lpd_port:
        yield f"lpd://{printing.listen}:{printing.lpd_port}/{printer.name}"


def _greet(config: Config, names: tuple[str, ...], first: str) -> None:
    faces.say(tr("文印闸已就绪。Ctrl-C 停止。", "The gate is ready. Ctrl-C stops it."))
    for folder in config.folders:
        faces.say(tr(f"  放入：{folder.watch}", f"  put files into: {folder.watch}"))
        faces.say(tr(f"  放行到：{folder.release}", f"  released to:    {folder.release}"))
    for printer in config.printers:
        at = ", ".join(_ways(config, printer))
        faces.say(
            tr(
                f"  打印机 {printer.name}：{at} → {printer.onward}",
                f"  printer {printer.name}: {at} -> {printer.onward}",
            )
        )
    faces.say(
        tr(
            "  隔离件：dlp quarantine list    审计：dlp audit verify",
            "  held: dlp quarantine list    audit: dlp audit verify",
        )
    )
    if config.console.port:
        at = config.console.address
        faces.say(tr(f"  控制台：{at}", f"  console: {at}"))
        if first:
            to = f"{at}/begin?key={first}"
            faces.say(tr(f"  先建立账号（链接只用一次）：{to}", f"  make the first accounts (once): {to}"))
    if names:
        faces.say(
            tr(f"  已放入 {len(names)} 个示例文件，结论如下：", f"  {len(names)} demo files were put in; the verdicts:")
        )
