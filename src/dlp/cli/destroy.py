"""`dlp destroy`: destruction lists from the count to the receipt; only then are sealed files erased."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import click

from dlp import destruction
from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.destruction import METHODS, STAGES, Destruction, Stage
from dlp.rights import ROLES, Operation, right
from dlp.service import records
from dlp.service.destructions import Handed
from dlp.service.receipt import STATES
from dlp.store.record import RecordFilter


@click.group("destroy")
def command() -> None:
    """销毁：清单、批准、监销、送销、销案。 Destruction: lists, approval, witnesses, hand-over, erasing."""


@command.command("due")
@persons.asking
@click.option("--limit", type=click.IntRange(min=1), default=1_000, show_default=True, help="最多列几个。 At most.")
def due(config_path: Path | None, limit: int, *, as_json: bool) -> None:
    """列出可以列入销毁清单的密封件：已办结，留存期已满。 List sealed files that may go on a list."""
    with persons.desk(config_path) as desk:
        found = tuple(islice(desk.destructions.due(), limit))
    if as_json:
        faces.lines(records.job(job, whole=False) for job in found)
        return
    titles = (tr("任务", "job"), tr("文件", "file"), tr("状态", "state"), tr("办结", "ended"))
    lang = faces.language()
    rows = ((job.id, job.item.path, STATES[job.state].to(lang), records.moment(job.updated)) for job in found)
    faces.table(titles, rows)


@command.command("list")
@persons.asking
@click.option("--copy", "copies", multiple=True, metavar="COPY", help="已清退的一份，可重复。 A copy that came back.")
@click.option("--job", "jobs", multiple=True, metavar="JOB", help="密封件的任务，可重复。 The job of a sealed file.")
@click.option("--reason", required=True, help="销毁原因。 Why.")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True, help="销毁方式。 How.")
def list_(
    config_path: Path | None, copies: tuple[str, ...], jobs: tuple[str, ...], *, as_json: bool, **words: str
) -> None:
    """清点并编制一份销毁清单。 Count, and draw up a destruction list."""
    with persons.desk(config_path) as desk:
        made = desk.destructions.draw_up(copies, jobs, reason=words["reason"], method=words["method"])
    _told(made, as_json=as_json)


@command.command("lists")
@persons.asking
@click.option("--stage", type=click.Choice([stage.value for stage in Stage]), help="只列此阶段。 Only this stage.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="最多列几个。 At most.")
def lists(config_path: Path | None, stage: str | None, limit: int, *, as_json: bool) -> None:
    """列出销毁清单，新的在前。 List destruction lists, newest first."""
    with persons.desk(config_path) as desk:
        found = desk.destructions.all(RecordFilter(states=(stage,) if stage else ()), limit=limit)
    if as_json:
        faces.lines(records.destruction(one) for one in found)
        return
    titles = (
        *(tr("清单", "list"), tr("阶段", "stage"), tr("件数", "pieces"), tr("清点人", "drawn by")),
        *(tr("监销", "witnesses"), tr("回执", "receipt"), tr("原因", "why")),
    )
    faces.table(titles, (_row(one) for one in found))


def _row(one: Destruction) -> tuple[str, ...]:
    count = f"{len(one.witnesses)}/{destruction.WITNESSES}"
    stage = STAGES[one.stage].to(faces.language())
    return one.id, stage, str(len(one.pieces)), one.drawn_name, count, one.receipt or "-", one.reason


@command.command("show")
@persons.asking
@click.argument("list_id", metavar="LIST")
def show(config_path: Path | None, list_id: str, *, as_json: bool) -> None:
    """显示一份销毁清单：载体、签字、回执。 Show one list: what is on it, its signatures and receipt."""
    with persons.desk(config_path) as desk:
        one = desk.destructions.get(list_id)
    if as_json:
        faces.line(records.destruction(one))
        return
    lang = faces.language()
    rows = (
        (tr("清单", "list"), one.id),
        (tr("阶段", "stage"), STAGES[one.stage].to(lang)),
        (tr("销毁原因", "reason"), one.reason),
        (tr("销毁方式", "method"), one.method),
        (tr("清点人", "drawn up by"), f"{one.drawn_name} {records.moment(one.at)}"),
        (tr("审批人", "approved by"), _names(word.name for word in one.approved_by)),
        (tr("监销人", "witnesses"), _names(word.name for word in one.witnesses)),
        (tr("押运人", "carriers"), _names(one.carriers)),
        (tr("销毁单位", "destroyed by"), one.destroyer or "-"),
        (tr("回执号", "receipt"), one.receipt or "-"),
        (tr("送销时间", "handed over"), records.moment(one.handed_at) if one.handed_at else "-"),
        (tr("销案", "erased"), records.moment(one.erased_at) if one.erased_at else "-"),
    )
    for name, value in rows:
        faces.say(f"{name}{tr('：', ': ')}{value}")
    titles = (tr("载体", "piece"), tr("编号", "number"), tr("份号", "copy"), tr("密级", "level"), tr("类型", "kind"))
    faces.table(
        titles,
        (
            (p.title, p.copy or p.job, p.number or "-", p.level.value if p.level else "-", p.carrier.to(lang))
            for p in one.pieces
        ),
    )


def _names(names: Iterable[str]) -> str:
    return "、".join(names) or "-"


@command.command("approve")
@persons.asking
@click.argument("list_id", metavar="LIST")
def approve(config_path: Path | None, list_id: str, *, as_json: bool) -> None:
    """批准一份销毁清单；须第二人确认。 Approve a list; confirmed by a second person."""
    _ask(config_path, Operation.DESTROY_APPROVE, list_id, as_json=as_json)


@command.command("witness")
@persons.asking
@click.argument("list_id", metavar="LIST")
def witness(config_path: Path | None, list_id: str, *, as_json: bool) -> None:
    """监销签字：须两人，均非清点人和批准人。 Sign as a witness: it takes two who did not count or approve."""
    with persons.desk(config_path) as desk:
        _told(desk.destructions.witness(list_id), as_json=as_json)


@command.command("hand-over")
@persons.asking
@click.argument("list_id", metavar="LIST")
@click.option("--receipt", required=True, metavar="NO", help="回执号。 Number of the receipt.")
@click.option("--carriers", nargs=2, required=True, metavar="NAME NAME", help="两名押运人。 The two who carry it.")
@click.option("--unit", "destroyer", required=True, help="销毁单位。 Who destroys it.")
@click.option("--place", default="", help="地点。 Where.")
@click.option("--at", "moment", callback=faces.moment, help="送销时间（默认现在）。 When; now where none is given.")
def hand_over(
    config_path: Path | None,
    list_id: str,
    carriers: tuple[str, ...],
    moment: float | None,
    *,
    as_json: bool,
    **words: str,
) -> None:
    """登记送销和回执。 Write down the hand-over and its receipt."""
    handed = Handed(
        receipt=words["receipt"],
        carriers=carriers,
        destroyer=words["destroyer"],
        place=words["place"],
        at=moment if moment is not None else time.time(),
    )
    with persons.desk(config_path) as desk:
        _told(desk.destructions.hand_over(list_id, handed), as_json=as_json)


@command.command("erase")
@persons.asking
@click.argument("list_id", metavar="LIST")
def erase(config_path: Path | None, list_id: str, *, as_json: bool) -> None:
    """凭回执销案并删除密封件；须第二人确认，确认后立即删除。

    Erase the sealed files of a list on its receipt; done at once when a second person confirms it.
    """
    _ask(config_path, Operation.DESTROY_ERASE, list_id, as_json=as_json)


@command.command("withdraw")
@persons.asking
@click.argument("list_id", metavar="LIST")
@click.option("--reason", required=True, help="理由。 Why.")
def withdraw(config_path: Path | None, list_id: str, reason: str, *, as_json: bool) -> None:
    """送销之前撤回一份清单。 Take a list back before it is handed over."""
    with persons.desk(config_path) as desk:
        _told(desk.destructions.withdraw(list_id, reason), as_json=as_json)


def _ask(config_path: Path | None, operation: Operation, list_id: str, *, as_json: bool) -> None:
    with persons.desk(config_path) as desk:
        check = {
            Operation.DESTROY_APPROVE: desk.destructions.check_to_approve,
            Operation.DESTROY_ERASE: desk.destructions.check_to_erase,
        }
        check[operation](list_id)
        asked = desk.seconds.ask(operation, list_id, {})
    if as_json:
        faces.line(records.change(asked))
        return
    who = "、".join(ROLES[role].to(faces.language()) for role in right(operation).second)
    what = right(operation).say.to(faces.language())
    waits = tr(f"等待{who}确认：dlp people confirm {asked.id}", f"waits for {who}: dlp people confirm {asked.id}")
    faces.say(f"{what} {list_id}  {waits}")


def _told(one: Destruction, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.destruction(one))
    else:
        faces.say(f"{one.id}  {len(one.pieces)} {tr('件', 'pieces')}  {STAGES[one.stage].to(faces.language())}")
