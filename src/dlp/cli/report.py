"""`dlp report`: what a month was like, and the inspection report."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say
from dlp.service import records, reports
from dlp.service.files import write_all
from dlp.service.reports import Inspection
from dlp.tally import Group, Tally

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("report")
def command() -> None:
    """报告：月报、保密检查报告。 Reports: a month, an inspection."""


@command.command("month")
@persons.asking
@click.option("--month", "named", metavar="2026-11", help="月份（默认本月）。 The month; this one without.")
@click.option("--out", type=FILE, help="写成此新文件（DOCX，含图表）。 Write it to this new Word file.")
def month(config_path: Path | None, named: str | None, out: Path | None, *, as_json: bool) -> None:
    """月报：任务、判定、窗口、级别、规则、误报、研判用时、被拒操作、逾期。 What a month was like."""
    since, until = reports.month(named)
    with persons.desk(config_path) as desk:
        seen = reports.count(desk.acting, since, until)
        paper = reports.month_paper(desk.acting, seen) if out else b""
    if out:
        write_all([(out, paper)])
    _tell(seen, out, as_json=as_json)


@command.command("inspection")
@persons.asking
@faces.time_options
@click.option("--out", required=True, type=FILE, help="写成此新文件（DOCX，含图表）。 The new Word file.")
@click.option("--scope", default="", help="检查范围。 What was inspected.")
@click.option("--inspector", "inspectors", multiple=True, required=True, help="检查人员，可写多个。 Who inspected.")
@click.option("--requirement", default="", help="整改要求。 What has to be mended.")
@click.option("--deadline", default="", help="整改期限。 Until when.")
@click.option("--again", default="", help="复查安排。 When it is looked at again.")
def inspection(
    config_path: Path | None,
    out: Path,
    since: datetime | None,
    until: datetime | None,
    *,
    as_json: bool,
    inspectors: tuple[str, ...],
    **words: str,
) -> None:
    """保密检查报告（默认本月）。 The inspection report; of this month without --since and --until."""
    first, end = reports.month(None)
    first = since.timestamp() if since else first
    end = until.timestamp() if until else end
    if first >= end:
        raise UsageError(Say("起止时间颠倒", "it ends before it begins"))
    with persons.desk(config_path) as desk:
        seen = reports.count(desk.acting, first, end)
        paper = reports.inspection_paper(desk.acting, seen, Inspection(inspectors=inspectors, **words))
    write_all([(out, paper)])
    _tell(seen, out, as_json=as_json)


def _tell(seen: Tally, out: Path | None, *, as_json: bool) -> None:
    if as_json:
        faces.line(_record(seen, out))
        return
    faces.say(tr(f"任务 {seen.jobs} 件", f"{seen.jobs} jobs"))
    for title, rows in (
        (tr("窗口", "unit"), seen.units),
        (tr("来件", "source"), seen.sources),
        (tr("级别", "level"), seen.levels),
    ):
        _groups(title, rows)
    titles = (tr("规则", "rule"), tr("命中任务", "jobs"), tr("误报", "false alarms"), tr("准确率", "precision"))
    faces.table(
        titles,
        ((one.rule, str(one.jobs), str(one.false_alarms), reports.share(one.precision)) for one in seen.rules[:20]),
    )
    if seen.people:
        columns = (tr("账号", "account"), tr("被拒操作", "denied"), tr("凭批准放行", "released"))
        faces.table(columns, ((one.person, str(one.denied), str(one.released)) for one in seen.people))
    median, slow = reports.length(seen.median_seconds), reports.length(seen.p95_seconds)
    faces.say(tr(f"研判用时：中位数 {median}，95% {slow}", f"time to decision: median {median}, 95 % {slow}"))
    faces.say(tr(f"逾期未清退 {len(seen.overdue)} 份", f"{len(seen.overdue)} copies overdue"))
    faces.say(tr(f"逾期未办结 {len(seen.overdue_orders)} 件", f"{len(seen.overdue_orders)} orders overdue"))
    if out:
        faces.say(tr(f"已写入 {out}", f"written to {out}"))


def _groups(title: str, rows: tuple[Group, ...]) -> None:
    titles = (title, tr("任务", "jobs"), tr("隔离、拦截", "held or blocked"))
    faces.table(titles, ((one.name, str(one.jobs), str(one.stopped)) for one in rows))


def _record(seen: Tally, out: Path | None) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(seen)
    return {
        **row,
        "since": records.moment(seen.since),
        "until": records.moment(seen.until),
        "false_rate": seen.false_rate,
        "labelled": seen.labelled,
        "out": str(out) if out else None,
    }
