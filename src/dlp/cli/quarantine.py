"""`dlp quarantine`: what was held and blocked, and what is decided about it."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from dlp.cli import approvals, faces, papers, persons, reviews, sheet
from dlp.cli.faces import tr
from dlp.errors import DlpError
from dlp.model import Level, State
from dlp.review import Label, Review, Ruling
from dlp.service import certify, records
from dlp.service.certify import Papers
from dlp.service.files import write_all
from dlp.service.receipt import STATES
from dlp.service.reviews import Picked
from dlp.store import Job, JobFilter

PAGE = 100  # jobs that a list for people shows


@click.group("quarantine")
def command() -> None:
    """隔离件：查看、放行、驳回。 Held files: look, release, reject."""


@command.command("list")
@faces.options
@faces.json_option
@click.option("--state", type=click.Choice([s.value for s in State]), help="只列此状态。 Only this state.")
@click.option("--level", type=click.Choice([level.value for level in Level]), help="只列此级别。 Only this level.")
@click.option("--source", default="", help="只列此来源，如 folder:外发。 Only from this source.")
@click.option("--owner", default="", help="只列此窗口或责任人。 Only of this owner.")
@click.option("--name", default="", help="文件名中的文字。 Text in the name of the file.")
@click.option("--claimed", is_flag=True, help="只列已被领取的。 Only what a reviewer has claimed.")
@click.option("--mine", is_flag=True, help="只列本人领取的。 Only what one has claimed oneself.")
@click.option("--label", type=click.Choice([r.value for r in Ruling]), help="只列有此标注的。 Only with such a label.")
@click.option("--older-than", type=click.IntRange(min=0), metavar="DAYS", help="只列早于几天前的。 Only older ones.")
@faces.time_options
@click.option("--limit", type=click.IntRange(min=0), help="最多列几个（默认 100，--json 全部）。 At most so many.")
@click.option("--before", default="", help="接着列：只列早于此编号的。 Go on below this job.")
def list_(
    config_path: Path | None,
    *,
    state: str | None,
    level: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    before: str,
    claimed: bool,
    mine: bool,
    label: str | None,
    older_than: int | None,
    as_json: bool,
    **words: str,
) -> None:
    """列出隔离和拦截的任务，新的在前。 List held and blocked jobs, newest first."""
    wanted = State(state) if state else None
    ends = until.timestamp() if until else float("inf")
    if older_than is not None:
        ends = min(ends, time.time() - older_than * 86_400)
    picked = Picked(claimed=claimed, mine=mine, label=Ruling(label) if label else None)
    with persons.desk(config_path) as desk:
        only = JobFilter(
            level=Level(level) if level else None,
            since=since.timestamp() if since else 0.0,
            until=ends,
            source=words["source"],
            owner=words["owner"],
            name=words["name"],
            ids=desk.reviews.ids(picked),
        )
        if as_json:
            jobs = islice(desk.each_held(wanted, only=only, before=before), limit or None)
            faces.lines(records.job(job, whole=False) for job in jobs)
            return
        shown = desk.held(wanted, only=only, limit=PAGE if limit is None else limit, before=before)
        count = desk.count_held(wanted, only=only)
    if not shown:
        faces.say(tr("没有隔离或拦截的任务", "nothing is held or blocked"))
        return
    titles = (tr("编号", "job"), tr("文件", "file"), tr("状态", "state"), tr("级别", "level"), tr("原因", "why"))
    faces.table(titles, (_row(job) for job in shown))
    if count > len(shown):
        more = f"--before {shown[-1].id}"
        faces.say(tr(f"共 {count} 个；接着列：{more}", f"{count} in all; go on with {more}"))


def _row(job: Job) -> tuple[str, ...]:
    verdict = job.verdict
    level = verdict.level.value if verdict and verdict.level else "-"
    why = verdict.reasons[0].say.to(faces.language()) if verdict and verdict.reasons else "-"
    return job.id, job.item.path, STATES[job.state].to(faces.language()), level, why


@command.command("show")
@faces.options
@faces.json_option
@papers.options
@click.argument("job_id", metavar="ID")
def show(config_path: Path | None, job_id: str, paper: Papers, *, as_json: bool) -> None:
    """显示一个任务的结论、证据（已遮盖）和依据；可取出脱敏处理证明。

    Show one job: verdict, masked evidence, articles; hand out its certificate of redaction.
    """
    with persons.desk(config_path) as desk:
        job = desk.show(job_id)
        review, labels = desk.reviews.get(job.id)
        papers.check(paper)
        if paper.certificate is not None:
            write_all(certify.lay_out(desk.certificate(job.id), paper))
    if as_json:
        made = {"review": records.review(review) if review else None, "labels": [records.label(one) for one in labels]}
        faces.line({**records.job(job, whole=True), **made})
    else:
        _show(job, review, labels)
        papers.tell(paper)


def _show(job: Job, review: Review | None, labels: tuple[Label, ...]) -> None:
    lang = faces.language()
    sheet.show(job)
    reviews.show(review, labels)
    verdict = job.verdict
    if verdict is None:
        return
    faces.say(f"{tr('结论：', 'verdict: ')}{faces.ACTIONS[verdict.action].to(lang)}")
    for reason in verdict.reasons:
        faces.say(f"  · {reason.say.to(lang)}")
        if reason.article:
            faces.say(f"    {tr('依据：', 'basis: ')}{reason.article}")
    if job.findings:
        titles = (
            *("#", tr("发现", "found"), tr("遮盖后", "masked"), tr("页", "page")),
            *(tr("部件", "part"), tr("把握", "sure")),
        )
        faces.table(
            titles,
            (
                (str(n), f.name or f.rule, f.masked, str(f.page or "-"), "/".join(f.part) or "-", f"{f.confidence:.2f}")
                for n, f in enumerate(job.findings, 1)
            ),
        )
    for gap in job.gaps:
        faces.say(f"{tr('未能读取：', 'not read: ')}{gap.kind.value} {'/'.join(gap.part)} {gap.detail}")


def _deciding(function: Callable[..., Any], *, many: bool = False) -> Callable[..., Any]:
    for option in (
        click.option(
            "--actor", default=getpass.getuser, help="研判人；有账号后为登录者。 Who decides, without accounts."
        ),
        click.option("--reason", required=True, help="理由，写入审计。 Why; it is kept in the audit trail."),
        faces.json_option,
        faces.options,
        click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
        if many
        else click.argument("job_id", metavar="ID"),
    ):
        function = option(function)
    return function


@command.command("release")
@_deciding
@click.option("--case", default="", help="凭哪一个批准（只有一个时可不写）。 On which approval.")
@click.option("--copies", type=click.IntRange(min=1), help="放行几份（默认批准的全部余数）。 How many of its copies.")
def release(config_path: Path | None, job_id: str, *, copies: int | None, as_json: bool, **words: str) -> None:
    """凭批准放行一个隔离件（需要本机有私钥；已拦截的不得放行）。

    Release a held job on its approval; the private key must be here, and a blocked job is never released.
    """
    with persons.desk(config_path) as desk:
        _told(desk.release(job_id, copies=copies, **words), as_json=as_json)


@command.command("reject")
@partial(_deciding, many=True)
def reject(config_path: Path | None, job_ids: tuple[str, ...], actor: str, reason: str, *, as_json: bool) -> None:
    """以同一理由驳回隔离件，逐件报告：不外发，密封件留存。

    Reject held jobs for one reason, each with a line of its own: they never leave, the sealed copies stay.
    """
    failed: list[DlpError] = []
    with persons.desk(config_path) as desk:
        for one in dict.fromkeys(job_ids):
            try:
                _told(desk.reject(one, reason=reason, actor=actor), as_json=as_json)
            except DlpError as err:
                if len(job_ids) == 1:
                    raise
                failed.append(err)
                said = err.say.to(faces.language())
                if as_json:
                    faces.line({"id": one, "state": None, "error": said})
                else:
                    faces.say(f"{one}  ✗ {said}")
    if failed:
        raise failed[0]


def _told(job: Job, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.job(job, whole=False))
    else:
        faces.say(f"{job.id}  {job.item.path}  → {STATES[job.state].to(faces.language())}")


for made in (*approvals.COMMANDS, *reviews.COMMANDS):
    command.add_command(made)
