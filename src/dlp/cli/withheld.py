"""`dlp withheld`: state secrets that may not be here, and who took them."""

from __future__ import annotations

from pathlib import Path

import click

from dlp.cli import faces, persons, sheet
from dlp.cli.faces import tr
from dlp.service import records
from dlp.service.receipt import STATES
from dlp.store import Job


@click.group("withheld")
def command() -> None:
    """暂扣件：查看、移交。 What is withheld: look, hand over."""


@command.command("list")
@persons.asking
@click.option("--all", "every", is_flag=True, help="包括已退回和已移交的。 With what was given away.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="最多列几个。 At most so many.")
def list_(config_path: Path | None, *, every: bool, limit: int, as_json: bool) -> None:
    """列出暂扣件，新的在前。 List what is withheld, newest first."""
    with persons.desk(config_path) as desk:
        found = desk.withheld.all(every=every, limit=limit)
    if as_json:
        faces.lines(records.job(job, whole=False) for job in found)
        return
    titles = (tr("编号", "job"), tr("文件", "file"), tr("状态", "state"), tr("级别", "level"), tr("说明", "note"))
    faces.table(titles, (_row(job) for job in found))


def _row(job: Job) -> tuple[str, ...]:
    lang = faces.language()
    level = job.verdict.level.value if job.verdict and job.verdict.level else "-"
    return job.id, job.item.path, STATES[job.state].to(lang), level, job.note.to(lang) if job.note else "-"


@command.command("show")
@persons.asking
@click.argument("job_id", metavar="ID")
def show(config_path: Path | None, job_id: str, *, as_json: bool) -> None:
    """显示一个暂扣件所留的全部：标志、位置、摘要、来源。 Show all that is kept of one."""
    with persons.desk(config_path) as desk:
        job = desk.withheld.get(job_id)
    if as_json:
        faces.line(records.job(job, whole=True))
        return
    sheet.show(job)
    titles = (tr("标志", "mark"), tr("页", "page"), tr("部件", "part"))
    faces.table(titles, ((f.masked, str(f.page or "-"), "/".join(f.part) or "-") for f in job.findings))


@command.command("hand-over")
@persons.asking
@click.argument("job_id", metavar="ID")
@click.option("--to", required=True, help="接收人或单位。 Who takes it.")
@click.option("--receipt", required=True, help="回执号。 Number of the receipt.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="密封件写到此文件。 Where the sealed file goes."
)
def hand_over(config_path: Path | None, job_id: str, *, to: str, receipt: str, out: Path | None, as_json: bool) -> None:
    """凭回执移交一个暂扣件；密封件写出后，本机不再有副本。

    Hand a withheld file over against a receipt; what is sealed is written out, and no copy stays here.
    """
    with persons.desk(config_path) as desk:
        job = desk.withheld.hand_over(job_id, to=to, receipt=receipt, out=out)
    if as_json:
        faces.line(records.job(job, whole=False))
    else:
        faces.say(f"{job.id}  {job.item.path}  → {STATES[job.state].to(faces.language())}")
