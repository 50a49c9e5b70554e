"""`dlp registers`: copies picked up and given back, orders, and the registers as views and files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.commissions import WHATS, Order, What
from dlp.copies import STATES, Copy, CopyState, Printed
from dlp.description import NAMES, Given
from dlp.errors import StoreError
from dlp.model import Level, Say
from dlp.service import records, register_files
from dlp.service.describing import Describing
from dlp.service.lending import Lending, Ordered, Reckoning, Wanted
from dlp.service.register_files import FORMATS
from dlp.service.registers import REGISTERS, Registers, Span
from dlp.service.stocktaking import Stocktaking, numbers
from dlp.stocktake import FOUND, WRONG, Found, Stocktake

PAGE = 200  # rows that a list for people shows
FEW = 150  # letters of numbers in a message


@click.group("registers")
def command() -> None:
    """登记簿：领取、清退、逾期、核对、导出。 Registers: pick-up, return, overdue, reconcile, export."""


@command.command("copies")
@persons.asking
@click.option("--job", default="", help="只列此任务的。 Only of this job.")
@click.option("--state", type=click.Choice([one.value for one in CopyState]), help="只列此状态。 Only this state.")
@click.option("--holder", default="", help="只列此人持有的（离职清退）。 Only what this person has, or had last.")
@click.option("--unit", default="", help="只列此部门的。 Only of this unit.")
@click.option("--overdue", is_flag=True, help="只列逾期未清退的。 Only what should be back.")
def copies(config_path: Path | None, *, state: str | None, as_json: bool, **words: Any) -> None:
    """列出每一份复制件，旧的在前。 List paper copies, oldest first."""
    wanted = Wanted(state=CopyState(state) if state else None, **words)
    with persons.desk(config_path) as desk:
        found = Lending(desk.acting).copies(wanted)
        if as_json:
            faces.lines(records.copy(one) for one in found)
            return
        shown = tuple(islice(found, PAGE + 1))
    _copies(shown[:PAGE])
    if len(shown) > PAGE:
        faces.say(tr(f"只显示前 {PAGE} 份；--json 全部", f"only the first {PAGE}; all with --json"))


def _copies(found: tuple[Copy, ...]) -> None:
    titles = (
        *(tr("编号", "copy"), tr("文件", "file"), tr("份号", "number"), tr("密级", "level"), tr("状态", "state")),
        *(tr("持有人", "holder"), tr("部门", "unit"), tr("应清退", "due")),
    )
    faces.table(titles, (_copy(one) for one in found))


def _copy(one: Copy) -> tuple[str, ...]:
    return (
        *(one.id, one.title, f"{one.number}/{one.total}", one.level.value if one.level else "-"),
        *(STATES[one.state].to(faces.language()), one.holder or "-", one.unit or "-"),
        records.moment(one.due) if one.due else "-",
    )


@command.command("pick-up")
@persons.asking
@click.argument("copy_id", metavar="COPY")
@click.option("--to", "holder", required=True, metavar="NAME", help="领取人，须在批准的去向之内。 Who it is for.")
@click.option(
    "--with", "carriers", multiple=True, metavar="NAME", help="代领人或同行的第二人。 A proxy, or the second."
)
@click.option("--authority", default="", help="代领凭据。 On what authority a proxy comes.")
@click.option("--supervised-by", "supervisor", default="", metavar="NAME", help="监印人。 Who watched the printing.")
@click.option("--spoilt", type=click.IntRange(min=0), default=0, help="废页数。 How many pages came out spoilt.")
@click.option("--spoilt-how", default="", help="废页处理，如 碎纸。 What became of them.")
def pick_up(
    config_path: Path | None,
    copy_id: str,
    holder: str,
    carriers: tuple[str, ...],
    authority: str,
    *,
    as_json: bool,
    **words: Any,
) -> None:
    """登记领取一份。 Write down who picked a copy up."""
    printed = Printed(**words)
    with persons.desk(config_path) as desk:
        lending = Lending(desk.acting)
        one = lending.pick_up(copy_id, holder, carriers=carriers, authority=authority, printed=printed)
    _told(one, as_json=as_json)


@command.command("return")
@persons.asking
@click.argument("copy_id", metavar="COPY")
@click.option("--by", required=True, metavar="NAME", help="清退人。 Who brought it back.")
def return_(config_path: Path | None, copy_id: str, by: str, *, as_json: bool) -> None:
    """登记清退一份。 Write down that a copy came back."""
    with persons.desk(config_path) as desk:
        _told(Lending(desk.acting).give_back(copy_id, by=by), as_json=as_json)


@command.command("void")
@persons.asking
@click.argument("copy_id", metavar="COPY")
@click.option("--reason", required=True, help="如：卡纸未印出。 Why, e.g. a paper jam.")
def void(config_path: Path | None, copy_id: str, reason: str, *, as_json: bool) -> None:
    """登记批准了而没有印出的一份。 Write down that a copy never came out of the printer."""
    with persons.desk(config_path) as desk:
        _told(Lending(desk.acting).strike(copy_id, reason=reason), as_json=as_json)


def _told(one: Copy, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.copy(one))
    else:
        faces.say(f"{one.id}  {one.title}  {STATES[one.state].to(faces.language())}  {one.holder}".rstrip())


@command.command("overdue")
@persons.asking
def overdue(config_path: Path | None, *, as_json: bool) -> None:
    """列出逾期未清退的复制件、未交付的承印件和未送交的会议文件。 List what should be back, or done, by now."""
    with persons.desk(config_path) as desk:
        found = tuple(Lending(desk.acting).overdue())
    if as_json:
        faces.lines(records.copy(one) if isinstance(one, Copy) else records.order(one) for one in found)
        return
    if not found:
        faces.say(tr("没有逾期", "nothing is overdue"))
        return
    titles = (tr("编号", "number"), tr("文件", "file"), tr("类别", "kind"), tr("何人", "who"), tr("期限", "due"))
    faces.table(titles, (_late(one) for one in found))


def _late(one: Copy | Order) -> tuple[str, ...]:
    lang = faces.language()
    if isinstance(one, Copy):
        what, who = STATES[one.state].to(lang), one.holder or "、".join(one.recipients)
    else:
        what, who = WHATS[one.what].to(lang), one.person or one.client
    return one.id, one.title, what, f"{who} {one.unit}".strip(), records.moment(one.due) if one.due else "-"


@command.command("reconcile")
@persons.asking
def reconcile(config_path: Path | None, *, as_json: bool) -> None:
    """核对每个任务的份数：批准、印出、清退、销毁、在外；不符时退出码 5。

    Count the copies of each job: approved, printed, back, destroyed, open. Exit code 5 where the numbers disagree.
    """
    wrong: list[str] = []
    with persons.desk(config_path) as desk:
        found = _noting(Lending(desk.acting).reconcile(), wrong)
        if as_json:
            faces.lines(_reckoned(one) for one in found)
        else:
            titles = (
                *(tr("任务", "job"), tr("批准", "approved"), tr("印出", "printed"), tr("已清退", "back")),
                *(tr("已销毁", "destroyed"), tr("在外", "open"), tr("在外份号", "open numbers"), tr("核对", "agrees")),
            )
            faces.table(titles, (_counts(one) for one in found))
    if wrong:
        few = "、".join(wrong[:5])
        raise StoreError(
            Say(f"{len(wrong)} 个任务的份数不符：{few}", f"the copies of {len(wrong)} jobs do not add up: {few}"),
            Say(
                "逐份清点；未印出的用 dlp registers void 登记，去向不明的立即报告保密员",
                "count them; `dlp registers void` for what was never printed; report what is missing at once",
            ),
        )


def _noting(found: Any, wrong: list[str]) -> Any:
    for one in found:
        if one.account.differs:
            wrong.append(one.job)
        yield one


def _reckoned(one: Reckoning) -> dict[str, Any]:
    counted = one.account
    return {"job": one.job, **counted._asdict(), "open": list(one.open), "differs": counted.differs}


def _counts(one: Reckoning) -> tuple[str, ...]:
    counted = one.account
    numbers = (counted.approved, counted.printed, counted.returned, counted.destroyed, len(one.open))
    agrees = tr("不符", "NO") if counted.differs else tr("相符", "yes")
    return one.job, *map(str, numbers), "、".join(map(str, one.open)) or "-", agrees


@command.command("note")
@persons.asking
@click.argument("job", metavar="JOB")
@click.option("--docno", "doc_no", default="", help="文号。 Its number.")
@click.option("--organ", default="", help="来文单位。 Who issued it.")
@click.option("--serial", default="", help="原件份号。 Number of the original.")
@click.option("--originals", type=click.IntRange(min=0), default=0, help="原件份数。 How many originals.")
@click.option("--pages", type=click.IntRange(min=0), default=0, help="页数（闸门数不出时）。 Pages, if not counted.")
@click.option("--paper", default="", help="纸张（任务未写明时）。 Paper, if the job names none.")
@click.option("--reason", default="", help="更正已登记内容的理由。 Why something is corrected.")
def note(config_path: Path | None, job: str, reason: str, *, as_json: bool, **words: Any) -> None:
    """登记一件的文号、来文单位等，各处不必再填。 Write down, once, what the gate cannot know of a file."""
    with persons.desk(config_path) as desk:
        made = Describing(desk.acting).note(job, Given(**words), reason=reason)
    if as_json:
        faces.line(records.description(made))
        return
    lang = faces.language()
    said = "  ".join(f"{NAMES[name].to(lang)} {getattr(made, name)}" for name in NAMES if getattr(made, name))
    faces.say(f"{made.id}  {said}")


@command.command("count")
@persons.asking
@click.argument("copies", nargs=-1, metavar="[COPY]...")
@click.option(
    "--from",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="从 CSV 或文本读入，每行一份，取“编号”栏或第一栏。 A file with one copy a line.",
)
@click.option("--unit", default="", help="只清点此部门的。 Only copies of this unit.")
@click.option("--place", default="", help="地点。 Where.")
@click.option("--note", default="", help="备注。 A remark.")
def count(config_path: Path | None, copies: tuple[str, ...], path: Path | None, *, as_json: bool, **words: str) -> None:
    """清点：逐份读入实有的编号，与账面核对并留存；不符时退出码 5。

    Take stock: read in what lies here, hold it against the books, and keep the count. Exit code 5 where they differ.
    """
    read = (*copies, *(numbers(path) if path is not None else ()))
    with persons.desk(config_path) as desk:
        made = Stocktaking(desk.acting).count(read, **words)
    if as_json:
        faces.line(records.stocktake(made))
    else:
        _counted(made)
    if made.differs:
        few = "、".join(line.copy for line in made.lines if line.found in WRONG)
        raise StoreError(
            Say(f"清点 {made.id} 账实不符：{_few(few)}", f"count {made.id} does not agree with the books: {_few(few)}"),
            Say(
                "再点一次；仍缺少的立即报告保密员：dlp incident open；清退时漏登记的用 dlp registers return 补登",
                "count again; what is still missing is an incident (`dlp incident open`), what came back unregistered "
                "is entered with `dlp registers return`",
            ),
        )


def _few(text: str) -> str:
    return text if len(text) <= FEW else text[:FEW] + "…"


def _counted(made: Stocktake) -> None:
    lang = faces.language()
    sums = "  ".join(f"{FOUND[one].to(lang)} {made.number(one)}" for one in Found)
    faces.say(f"{made.id}  {tr('读入', 'read')} {made.read}  {sums}")
    told = [line for line in made.lines if line.found is not Found.THERE]
    if not told:
        return
    titles = (
        *(tr("编号", "copy"), tr("结果", "result"), tr("账面", "in the books"), tr("持有人", "holder")),
        tr("应清退", "due"),
    )
    faces.table(
        titles,
        (
            (
                line.copy,
                FOUND[line.found].to(lang),
                STATES[line.state].to(lang) if line.state else tr("没有", "not there"),
                line.holder or "-",
                records.moment(line.due) if line.due else "-",
            )
            for line in told[:PAGE]
        ),
    )


@command.command("order")
@persons.asking
@click.argument("job", default="", metavar="[JOB]")
@click.option("--client", required=True, help="委印单位。 The unit that has it printed.")
@click.option("--person", default="", help="委印人。 Who came.")
@click.option("--papers", default="", help="证件名称和后四位，勿写全号。 Papers shown; never a whole number.")
@click.option("--title", default="", help="印刷品名称（默认为任务的文件名）。 Title.")
@click.option("--quantity", type=click.IntRange(min=1), default=1, show_default=True, help="数量。 How many.")
@click.option("--original", default="", help="原稿。 The original.")
@click.option("--contract", default="", help="合同、委托书或准印证编号。 Contract or permit.")
@click.option("--unit", default="", help="窗口或部门。 Counter or department.")
@click.option("--due", callback=faces.day, help="交付日期。 When it is to be delivered.")
def order(config_path: Path | None, *, as_json: bool, **words: Any) -> None:
    """登记一件承印。 Write down a commission to print."""
    _order(config_path, Ordered(what=What.COMMISSION, **words), as_json=as_json)


@command.command("intake")
@persons.asking
@click.option("--title", required=True, help="文件标题。 Title.")
@click.option("--meeting", "client", required=True, help="会议或来文单位。 The meeting, or who issued it.")
@click.option("--by", "person", required=True, metavar="NAME", help="带回人。 Who brought it back.")
@click.option("--copies", "quantity", type=click.IntRange(min=1), default=1, show_default=True, help="份数。 How many.")
@click.option("--level", type=click.Choice([level.value for level in Level]), help="密级。 Level.")
@click.option("--unit", default="", help="部门。 Department.")
@click.option("--docno", "doc_no", default="", help="文号。 Its number.")
@click.option("--term", default="", help="保密期限。 How long it is secret.")
@click.option("--due", callback=faces.day, required=True, help="应送交秘书处的日期。 When it is to be handed in.")
def intake(config_path: Path | None, *, level: str | None, as_json: bool, **words: Any) -> None:
    """登记带回的会议文件。 Write down a file that was brought back from a meeting."""
    ordered = Ordered(what=What.MEETING, level=Level(level) if level else None, **words)
    _order(config_path, ordered, as_json=as_json)


@command.command("orders")
@persons.asking
@click.option("--all", "every", is_flag=True, help="包括已办结的。 With what is done.")
def orders(config_path: Path | None, *, every: bool, as_json: bool) -> None:
    """列出在办的承印件和会议文件，旧的在前。 List commissions and meeting files, oldest first."""
    with persons.desk(config_path) as desk:
        found = Lending(desk.acting).orders(every=every)
        if as_json:
            faces.lines(records.order(one) for one in found)
            return
        shown = tuple(islice(found, PAGE + 1))
    titles = (tr("编号", "number"), tr("文件", "file"), tr("类别", "kind"), tr("何人", "who"), tr("期限", "due"))
    faces.table(titles, (_late(one) for one in shown[:PAGE]))
    if len(shown) > PAGE:
        faces.say(tr(f"只显示前 {PAGE} 件；--json 全部", f"only the first {PAGE}; all with --json"))


@command.command("settle")
@persons.asking
@click.argument("order_id", metavar="ORDER")
@click.option("--finished", type=click.IntRange(min=0), default=0, help="成品数。 How many were made.")
@click.option("--waste", default="", help="废次品处理。 What became of spoiled copies.")
@click.option("--returned", default="", help="原稿、底片交还。 How the original was given back.")
def settle(config_path: Path | None, order_id: str, *, as_json: bool, **words: Any) -> None:
    """登记承印件已交付，或会议文件已送交。 Write down that it was delivered, or handed in."""
    with persons.desk(config_path) as desk:
        _ordered(Lending(desk.acting).settle(order_id, **words), as_json=as_json)


def _order(config_path: Path | None, ordered: Ordered, *, as_json: bool) -> None:
    with persons.desk(config_path) as desk:
        _ordered(Lending(desk.acting).order(ordered), as_json=as_json)


def _ordered(one: Order, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.order(one))
    else:
        state = tr("已办结", "done") if one.done_at else tr("在办", "open")
        faces.say(f"{one.id}  {WHATS[one.what].to(faces.language())}  {one.title}  {state}")


@command.command("list")
@persons.asking
def list_(config_path: Path | None, *, as_json: bool) -> None:
    """列出登记簿及其栏目。 List the registers and their columns."""
    with persons.desk(config_path) as desk:
        found = Registers(desk.acting).all()
    if as_json:
        faces.lines({"register": one.name, "title": one.title.zh, "columns": list(one.columns)} for one in found)
        return
    lang = faces.language()
    titles = (tr("名称", "name"), tr("登记簿", "register"), tr("栏目", "columns"))
    faces.table(titles, ((one.name, one.title.to(lang), " ".join(one.columns)) for one in found))


def _spanning(function: Callable[..., Any]) -> Callable[..., Any]:
    unit = click.option("--unit", default="", help="只要此部门或窗口的。 Only of this unit.")
    return faces.time_options(unit(persons.asking(function)))


@command.command("show")
@_spanning
@click.argument("register")
def show(config_path: Path | None, register: str, *, as_json: bool, **words: Any) -> None:
    """显示一个登记簿，旧的在前。 Show one register, oldest first."""
    with persons.desk(config_path) as desk:
        found, rows = Registers(desk.acting).rows(register, _span(**words))
        if as_json:
            faces.lines(dict(zip(found.columns, row, strict=True)) for row in rows)
            return
        shown = tuple(islice(rows, PAGE + 1))
    faces.table(found.columns, shown[:PAGE])
    if len(shown) > PAGE:
        faces.say(
            tr(f"只显示前 {PAGE} 行；--json 或导出看全部", f"only the first {PAGE}; all with --json or as a file")
        )


@command.command("export")
@_spanning
@click.option("--register", required=True, metavar="NAME", help=f"{' | '.join(REGISTERS)}")
@click.option("--format", type=click.Choice(FORMATS), required=True, help="格式。 Format.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="新文件。 A new file.")
def export(config_path: Path | None, register: str, out: Path, *, as_json: bool, **words: Any) -> None:
    """导出一个登记簿：xlsx、可打印签字的 docx、csv。 Export a register as a workbook, a printable form, or CSV."""
    format_ = words.pop("format")
    with persons.desk(config_path) as desk:
        done = register_files.export(desk.acting, register, _span(**words), format=format_, out=out)
    if as_json:
        faces.line({**done._asdict(), "out": str(out)})
    else:
        faces.say(tr(f"已导出 {done.rows} 行：{out}", f"exported {done.rows} rows: {out}"))


def _span(*, since: datetime | None, until: datetime | None, unit: str) -> Span:
    return Span(since.timestamp() if since else 0.0, until.timestamp() if until else float("inf"), unit)
