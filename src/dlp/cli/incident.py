"""`dlp incident`: leaks and what may be one; the clock of 24 hours; freezing; evidence."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from dlp import evidence
from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.incident import CAUSES, STEPS, Incident, Step
from dlp.model import Say
from dlp.rights import Operation
from dlp.service import records, signing
from dlp.service.certify import state_folder
from dlp.service.files import opened, write_all
from dlp.service.incidents import OPEN
from dlp.store.record import RecordFilter

BY_NAME = {say.zh: step for step, say in STEPS.items()} | {step.value: step for step in Step}
MOST = 256 << 20


@click.group("incident")
def command() -> None:
    """泄密事件：报告、核查、处置、整改、结案；冻结；存证。 Incidents: the clock, freezing, evidence."""


@command.command("open")
@persons.asking
@click.option("--what", required=True, help="经过（不得含涉密内容）。 What happened, without any content.")
@click.option("--about", default="", metavar="JOB|SHA256", help="有关的任务或文件。 The job or file it is about.")
@click.option("--found", metavar="TIME", help="发现时间（默认现在）。 When it was found.")
def open_(config_path: Path | None, *, what: str, about: str, found: str | None, as_json: bool) -> None:
    """报告一起泄密事件；24 小时从发现时起算。 Open an incident; its 24 hours run from when it was found."""
    moment = _moment(found)
    with persons.desk(config_path) as desk:
        _told(desk.incidents.open(what, found=moment, target=about), as_json=as_json)


def _moment(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError as err:
        raise UsageError(
            Say(f"不是时间：{text}", f"this is no time: {text}"), Say("如 2026-01-31T08:00", "such as 2026-01-31T08:00")
        ) from err


@command.command("list")
@persons.asking
@click.option("--all", "every", is_flag=True, help="包括已结案的。 With closed ones.")
@click.option("--job", default="", help="只列此任务的。 Only of this job.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="最多列几个。 At most so many.")
def list_(config_path: Path | None, *, every: bool, job: str, limit: int, as_json: bool) -> None:
    """列出未结案的事件和剩余的报告时间。 List open incidents and the hours that are left to report them."""
    only = RecordFilter(states=() if every else OPEN, job=job)
    with persons.desk(config_path) as desk:
        found = desk.incidents.all(only, limit=limit)
    now = time.time()
    if as_json:
        faces.lines(records.incident(one, now) for one in found)
        return
    titles = (
        *(tr("事件", "incident"), tr("步骤", "step"), tr("级别", "level"), tr("文件", "file"), tr("起因", "cause")),
        *(tr("发现", "found"), tr("上报时限", "report"), tr("整改", "tasks")),
    )
    faces.table(titles, (_row(one, now) for one in found))


def _row(one: Incident, now: float) -> tuple[str, ...]:
    lang = faces.language()
    done = sum(bool(task.done_at) for task in one.tasks)
    return (
        one.id,
        STEPS[one.step].to(lang),
        one.level.value if one.level else "-",
        one.title or one.sha256[:16] or "-",
        CAUSES[one.cause].to(lang),
        records.moment(one.found),
        _clock(one, now),
        f"{done}/{len(one.tasks)}" if one.tasks else "-",
    )


def _clock(one: Incident, now: float) -> str:
    left = one.hours_left(now)
    if left is None:
        return tr(f"已上报 {one.reported_to}", f"reported to {one.reported_to}")
    if left < 0:
        return tr(f"逾期 {-left:.1f} 小时", f"{-left:.1f} hours late")
    return tr(f"剩 {left:.1f} 小时", f"{left:.1f} hours left")


@command.command("show")
@persons.asking
@click.argument("incident_id", metavar="ID")
def show(config_path: Path | None, incident_id: str, *, as_json: bool) -> None:
    """显示一起事件：步骤、记录、整改、上报。 Show one incident."""
    with persons.desk(config_path) as desk:
        one = desk.incidents.get(incident_id)
    if as_json:
        faces.line(records.incident(one, time.time()))
    else:
        _show(one)


def _show(one: Incident) -> None:
    lang = faces.language()
    for name, value in (
        (tr("事件", "incident"), one.id),
        (tr("步骤", "step"), STEPS[one.step].to(lang)),
        (tr("起因", "cause"), CAUSES[one.cause].to(lang)),
        (tr("立案", "opened"), f"{one.by} {records.moment(one.at)}"),
        (tr("发现时间", "found"), records.moment(one.found)),
        (tr("上报时限", "report by"), f"{records.moment(one.due)}  {_clock(one, time.time())}"),
        (tr("级别", "level"), one.level.value if one.level else "-"),
        (tr("任务", "job"), one.job or "-"),
        (tr("文件", "file"), one.title or "-"),
        ("SHA-256", one.sha256 or "-"),
        (tr("经过", "what"), one.what or "-"),
    ):
        faces.say(f"{name}{tr('：', ': ')}{value}")
    for taken in sorted((*one.steps, *one.notes), key=lambda taken: taken.at):
        mark = "·" if taken in one.notes else "→"
        faces.say(f"  {mark} {STEPS[taken.step].to(lang)} {taken.by} {records.moment(taken.at)} {taken.note}".rstrip())
    for task in one.tasks:
        state = (
            tr("已完成", "done")
            if task.done_at
            else tr(f"限 {records.moment(task.due)}", f"by {records.moment(task.due)}")
        )
        faces.say(f"  {tr('整改', 'task')} {task.number}. {task.what}（{task.owner}）{state}")


@command.command("note")
@persons.asking
@click.argument("incident_id", metavar="ID")
@click.option("--text", required=True, help="内容（不得含涉密内容）。 Words, without any content.")
@click.option("--step", default="", help="转入下一步：核查 | 处置 | 整改。 Take the next step.")
def note(config_path: Path | None, incident_id: str, *, text: str, step: str, as_json: bool) -> None:
    """记录核查处置情况，或转入下一步。 Add a note, or take the next step."""
    if step and step not in BY_NAME:
        raise UsageError(
            Say(f"没有这个步骤：{step}", f"no such step: {step}"),
            Say("核查、处置或整改", "investigate, remedy, rectify"),
        )
    with persons.desk(config_path) as desk:
        made = desk.incidents.note(incident_id, text, step=BY_NAME[step] if step else None)
    _told(made, as_json=as_json)


@command.command("tasks")
@persons.asking
@click.argument("incident_id", metavar="ID")
@click.option("--add", metavar="WHAT", help="增加一项整改。 Add something to be mended.")
@click.option("--owner", default="", help="责任人。 By whom.")
@click.option("--due", callback=faces.day, help="期限。 By when.")
@click.option("--done", type=int, metavar="NUMBER", help="第几项已完成。 Which one was done.")
def tasks(
    config_path: Path | None,
    incident_id: str,
    *,
    add: str | None,
    owner: str,
    due: float | None,
    done: int | None,
    as_json: bool,
) -> None:
    """整改：列出、增加、完成。 What has to be mended: list, add, done."""
    with persons.desk(config_path) as desk:
        if add is not None:
            one = desk.incidents.add_task(incident_id, add, owner=owner, due=due or 0.0)
        elif done is not None:
            one = desk.incidents.finish_task(incident_id, done)
        else:
            one = desk.incidents.get(incident_id)
    row = records.incident(one, time.time())
    if as_json:
        faces.lines(row["tasks"])
        return
    titles = (tr("序号", "no."), tr("事项", "what"), tr("责任人", "owner"), tr("期限", "due"), tr("完成", "done"))
    faces.table(titles, ((str(t["number"]), t["what"], t["owner"], t["due"], t["done"] or "-") for t in row["tasks"]))


@command.command("report")
@persons.asking
@click.argument("incident_id", metavar="ID")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="写出泄密事件报告表。 Write the form (docx)."
)
@click.option("--to", default="", help="已上报的机关。 The authority it was reported to.")
@click.option("--receipt", default="", help="回执号。 Its number there.")
def report(
    config_path: Path | None, incident_id: str, *, out: Path | None, to: str, receipt: str, as_json: bool
) -> None:
    """起草泄密事件报告表（--out）；登记已上报（--to）。 Draft the report form; note that it was reported."""
    if out is None and not to:
        raise UsageError(Say("须写 --out 或 --to", "give --out or --to"))
    with persons.desk(config_path) as desk:
        if to:
            _told(desk.incidents.report(incident_id, to=to, receipt=receipt), as_json=as_json)
        if out is not None:
            write_all([(out, desk.incidents.form(incident_id))])
            if not as_json:
                faces.say(tr(f"已写出 {out}，请核对后签字", f"written to {out}: look it over and sign"))


@command.command("close")
@persons.asking
@click.argument("incident_id", metavar="ID")
@click.option("--reason", required=True, help="结论。 The conclusion.")
def close(config_path: Path | None, incident_id: str, *, reason: str, as_json: bool) -> None:
    """申请结案；由保密员确认后结案。 Ask for its closing; a second person confirms."""
    with persons.desk(config_path) as desk:
        desk.incidents.check_closing(incident_id)
        _asked(desk.seconds.ask(Operation.INCIDENT_CLOSE, incident_id, {}, reason=reason), as_json=as_json)


@command.command("freeze")
@persons.asking
@click.argument("target", metavar="JOB|SHA256")
@click.option("--reason", required=True, help="理由。 Why.")
@click.option("--incident", "about", default="", metavar="ID", help="有关的事件。 The incident it belongs to.")
def freeze(config_path: Path | None, target: str, *, reason: str, about: str, as_json: bool) -> None:
    """冻结一个文件：任何通道都不再放行。 Freeze a file: it leaves through no channel."""
    with persons.desk(config_path) as desk:
        made = desk.incidents.freeze(target, reason, about=about)
    if as_json:
        faces.line({"sha256": made.id, "by": made.by, "at": records.moment(made.at), "incident": made.incident or None})
    else:
        faces.say(tr(f"已冻结 {made.id}", f"frozen: {made.id}"))


@command.command("frozen")
@persons.asking
def frozen(config_path: Path | None, *, as_json: bool) -> None:
    """列出冻结的文件。 List the files that are frozen."""
    with persons.desk(config_path) as desk:
        found = desk.incidents.freezes()
    if as_json:
        faces.lines(
            {"sha256": one.id, "by": one.by, "at": records.moment(one.at), "incident": one.incident or None}
            for one in found
        )
        return
    titles = ("SHA-256", tr("冻结人", "by"), tr("时间", "when"), tr("理由", "why"))
    faces.table(titles, ((one.id, one.by, records.moment(one.at), one.reason) for one in found))


@command.command("unfreeze")
@persons.asking
@click.argument("target", metavar="JOB|SHA256")
@click.option("--reason", required=True, help="理由。 Why.")
def unfreeze(config_path: Path | None, target: str, *, reason: str, as_json: bool) -> None:
    """申请解除冻结；由保密员确认后生效。 Ask for a freeze to be lifted; a second person confirms."""
    with persons.desk(config_path) as desk:
        found = desk.incidents.frozen(target)
        _asked(desk.seconds.ask(Operation.INCIDENT_UNFREEZE, found.id, {}, reason=reason), as_json=as_json)


@command.command("timeline")
@persons.asking
@click.argument("target", metavar="ID|JOB|SHA256")
def timeline(config_path: Path | None, target: str, *, as_json: bool) -> None:
    """一个文件的全部经手：谁送检、谁看过、谁放行、谁持有。 Every touch of a file: who saw, released and holds it."""
    with persons.desk(config_path) as desk:
        found = desk.incidents.custody(target)
    holds = [{"copy": copy.id, "holder": copy.holder or None, "state": copy.state.value} for copy in found.out]
    if as_json:
        faces.lines(
            {"seq": e.seq, "at": e.at, "who": e.actor, "what": e.kind, "job": e.job, "more": e.body}
            for e in found.events
        )
        summary: dict[str, Any] = {
            "sha256": found.sha256,
            "jobs": [job.id for job in found.jobs],
            "seen_by": list(found.seen_by),
            "released_by": list(found.released_by),
            "holds": holds,
        }
        faces.line(summary)
        return
    titles = (tr("时间", "when"), tr("谁", "who"), tr("事项", "what"), tr("任务", "job"))
    faces.table(titles, ((e.at, e.actor, e.kind, e.job or "-") for e in found.events))
    faces.say(f"SHA-256{tr('：', ': ')}{found.sha256 or '-'}")
    faces.say(f"{tr('看过：', 'saw it: ')}{'、'.join(found.seen_by) or '-'}")
    faces.say(f"{tr('放行：', 'released it: ')}{'、'.join(found.released_by) or '-'}")
    for one in holds:
        faces.say(f"{tr('持有：', 'holds: ')}{one['copy']} {one['holder'] or tr('待领取', 'to be picked up')}")


@command.command("package")
@persons.asking
@click.argument("incident_id", metavar="ID")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="写到此文件。 Where to.")
def package(config_path: Path | None, incident_id: str, *, out: Path, as_json: bool) -> None:
    """写出一起事件的证据包（签名，可离线核验）。 Write its signed package of evidence."""
    with persons.desk(config_path) as desk:
        write_all([(out, desk.incidents.package(incident_id))])
    if as_json:
        faces.line({"incident": incident_id, "out": str(out)})
    else:
        faces.say(tr(f"已写出 {out}", f"written to {out}"))


@command.command("verify")
@faces.options
@faces.json_option
@click.argument("path", metavar="ZIP", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="认可的公钥（默认为本单位的）。 Keys that are believed.",
)
def verify(config_path: Path | None, path: Path, *, key: Path | None, as_json: bool) -> int:
    """离线核验一个证据包；有不符时退出码为 7。 Verify a package of evidence offline; 7 where something is wrong."""
    public = key or state_folder(faces.settings(config_path)) / signing.PUBLIC
    known = signing.public_keys(public) if key is not None or public.exists() else ()
    with opened(path) as (_, size):
        if size > MOST:
            raise UsageError(Say(f"文件过大：{path}", f"the file is too large: {path}"))
        answers = evidence.verify(path.read_bytes(), known)
    lang = faces.language()
    if as_json:
        faces.lines({"name": one.name, "ok": one.ok, "text": one.say.to(lang)} for one in answers)
    else:
        titles = ("", tr("项目", "what"), tr("情况", "state"))
        faces.table(titles, (("✓" if one.ok else "✗", one.name, one.say.to(lang)) for one in answers))
    return 0 if all(one.ok for one in answers) else 7


def _told(one: Incident, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.incident(one, time.time()))
    else:
        faces.say(f"{one.id}  {STEPS[one.step].to(faces.language())}  {_clock(one, time.time())}")


def _asked(change: Any, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.change(change))
    else:
        confirm = f"dlp people confirm {change.id}"
        faces.say(tr(f"已提出，待第二人确认：{confirm}", f"asked for; a second person confirms it: {confirm}"))
