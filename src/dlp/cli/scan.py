"""`dlp scan`: look at files without moving them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.model import Action, Inspection
from dlp.service import receipt, records
from dlp.service.gate import Gate

UNREADABLE = 25
CODES = {Action.ALLOW: 0, Action.ALERT: 21, Action.REDACT: 22, Action.QUARANTINE: 23, Action.BLOCK: 24}
MOST_SHOWN = 5  # masked hits of one file; --json gives all


@click.command("scan")
@faces.options
@faces.json_option
@click.option("--exit-zero", is_flag=True, help="有发现也返回 0。 Exit 0 whatever was found.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(config_path: Path | None, paths: tuple[Path, ...], *, as_json: bool, exit_zero: bool) -> int:
    """检查文件和文件夹，不移动任何文件。

    Look at files and folders; nothing is moved. Exit code: 0, or the gravest of 21 alert, 22 redact,
    23 quarantine, 24 block, 25 something could not be read.
    """
    files = list(walk(paths))
    gravest = 0
    counts: dict[Action, int] = {}
    with Gate(faces.settings(config_path)) as gate:
        for seen in _watched(gate.scan_each(files), len(files)):
            gravest = max(gravest, UNREADABLE if seen.gaps else CODES[seen.verdict.action])
            counts[seen.verdict.action] = counts.get(seen.verdict.action, 0) + 1
            if as_json:
                faces.line(records.inspection(seen))
            else:
                _show(seen)
    if not as_json:
        _sum_up(counts, len(files))
    return 0 if exit_zero else gravest


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Give every file named, and every file below every folder named, folders in the order of names."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names))


def _watched(seen: Iterable[Inspection], total: int) -> Iterator[Inspection]:
    """Show a progress bar on standard error when somebody looks at it."""
    if total < 2 or not sys.stderr.isatty():
        yield from seen
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(tr("检查中", "scanning"), total=total)
        for one in seen:
            yield one
            progress.advance(task)


def _show(seen: Inspection) -> None:
    """Print the verdict on one file: what, where, why, which article."""
    verdict = seen.verdict
    head = faces.action(verdict.action)
    head.append(f"  {seen.item.path}", style="bold")
    if verdict.level is not None:
        head.append(f"  {verdict.level.value}", style="red")
    if verdict.shadowed is not None:
        head.append(tr("  （影子模式，应为：", "  (shadow mode, would be: "))
        head.append_text(faces.action(verdict.shadowed))
        head.append(tr("）", ")"))
    print_line = faces.console().print
    print_line(head, soft_wrap=True)
    read = receipt.coverage(seen.document)
    if read is not None and any(page.how in ("ocr", "unread") for page in seen.document.coverage):
        print_line(Text(f"    {read.to(faces.language())}", style="dim"), soft_wrap=True)
    for reason in verdict.reasons:
        print_line(Text(f"    {reason.say.to(faces.language())}"), soft_wrap=True)
        if reason.article:
            print_line(Text(f"    {tr('依据：', 'basis: ')}{reason.article}", style="dim"), soft_wrap=True)
        named = [seen.findings[i] for i in reason.findings]
        for found in named[:MOST_SHOWN]:
            page = tr(f"第{found.page}页 ", f"p.{found.page} ") if found.page else ""
            print_line(Text(f"      - {page}{found.name or found.rule}  {found.masked}"), soft_wrap=True)
        if len(named) > MOST_SHOWN:
            print_line(Text(tr(f"      … 共 {len(named)} 处", f"      ... {len(named)} in all")))


def _sum_up(counts: dict[Action, int], total: int) -> None:
    parts = [f"{faces.ACTIONS[a].to(faces.language())} {counts[a]}" for a in Action if a in counts]
    faces.say(
        tr(f"共 {total} 个文件：", f"{total} files: ") + tr("，", ", ").join(parts)
        if total
        else tr("没有文件", "no files")
    )
