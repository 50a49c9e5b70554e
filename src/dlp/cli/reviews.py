"""Review at the command line: `dlp quarantine claim|comment|label|hold|keep|return|redact|level|terms|term|page`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.hand import Edits
from dlp.model import Level, Mode, Reach, Redacting, Regime, Say, Style, evolve
from dlp.review import RULINGS, Label, Review, Ruling
from dlp.service import records
from dlp.service.files import write_all
from dlp.service.receipt import STATES
from dlp.service.second import Change
from dlp.standing import Term
from dlp.store import Job
from dlp.terms import Ruling as End

NONE = "无"
MOST_EDITS = 1 << 20
"""Bytes of a file of changes by hand."""
job_argument = click.argument("job_id", metavar="ID")
reason_option = click.option("--reason", required=True, help="理由，写入审计。 Why; kept in the audit trail.")


@click.command("claim")
@persons.asking
@job_argument
def claim(config_path: Path | None, job_id: str, *, as_json: bool) -> None:
    """领取一个任务来研判；到期自动交还。 Take a job to review it; the claim lapses by itself."""
    with persons.desk(config_path) as desk:
        made = desk.reviews.claim(job_id)
    until = datetime.fromtimestamp(made.claimed_until).astimezone().strftime("%H:%M")
    _told(made, tr(f"已领取，至 {until}", f"claimed until {until}"), as_json=as_json)


@click.command("unclaim")
@persons.asking
@job_argument
def unclaim(config_path: Path | None, job_id: str, *, as_json: bool) -> None:
    """交还本人领取的任务。 Give back a job that one has claimed."""
    with persons.desk(config_path) as desk:
        _told(desk.reviews.unclaim(job_id), tr("已交还", "given back"), as_json=as_json)


@click.command("comment")
@persons.asking
@job_argument
@click.option("--text", required=True, help="批注；其中的敏感内容遮盖后留存。 A remark; hits in it are masked.")
def comment(config_path: Path | None, job_id: str, text: str, *, as_json: bool) -> None:
    """给任务加批注。 Add a remark to a job."""
    with persons.desk(config_path) as desk:
        _told(desk.reviews.comment(job_id, text), tr("已批注", "noted"), as_json=as_json)


@click.command("label")
@persons.asking
@job_argument
@click.option("--finding", type=click.IntRange(min=1), help="命中序号（见 show）。 Number of the finding.")
@click.option("--confirm", "ruling", flag_value=Ruling.CONFIRMED.value, help="确认。 It is right.")
@click.option("--false-alarm", "ruling", flag_value=Ruling.FALSE_ALARM.value, help="误报。 It is a false alarm.")
@click.option("--missed", "ruling", flag_value=Ruling.MISSED.value, help="漏报（写明 --rule）。 A rule missed it.")
@click.option("--rule", default="", help="漏报的规则。 The rule that missed it.")
@click.option("--reason", default="", help="理由；误报、漏报必填。 Why.")
def label(
    config_path: Path | None,
    job_id: str,
    *,
    finding: int | None,
    ruling: str | None,
    rule: str,
    reason: str,
    as_json: bool,
) -> None:
    """注明一条命中是确认、误报，或某条规则漏报，供统计。 Say of a hit whether it is right; rules are tuned by it."""
    if ruling is None:
        raise UsageError(
            Say("须写明确认、误报或漏报", "say what it is"), Say("--confirm | --false-alarm | --missed", "one of them")
        )
    with persons.desk(config_path) as desk:
        made = desk.reviews.label(job_id, Ruling(ruling), finding=finding or 0, rule=rule, reason=reason)
    if as_json:
        faces.line(records.label(made))
    else:
        number = f"#{made.finding} " if made.finding else ""
        faces.say(f"{made.job}  {number}{made.rule}  {RULINGS[made.ruling].to(faces.language())}")


@click.command("hold")
@persons.asking
@job_argument
@reason_option
def hold(config_path: Path | None, job_id: str, reason: str, *, as_json: bool) -> None:
    """依法留存：不得销毁、退回、列入销毁清单。 Put under legal hold: nothing of it is destroyed or given back."""
    with persons.desk(config_path) as desk:
        _told(desk.reviews.hold(job_id, reason), tr("已依法留存", "under legal hold"), as_json=as_json)


@click.command("lift")
@persons.asking
@job_argument
@reason_option
def lift(config_path: Path | None, job_id: str, reason: str, *, as_json: bool) -> None:
    """解除依法留存；须第二人确认。 Lift a legal hold; confirmed by a second person."""
    with persons.desk(config_path) as desk:
        _asked(desk.reviews.ask_to_lift(job_id, reason), as_json=as_json)


@click.command("keep")
@persons.asking
@job_argument
@click.option("--until", required=True, callback=faces.day, help="密封件留存至此日。 The sealed copy stays until then.")
def keep(config_path: Path | None, job_id: str, until: float, *, as_json: bool) -> None:
    """设定密封件的留存期；须第二人确认。 Set how long the sealed copy stays; confirmed by a second person."""
    with persons.desk(config_path) as desk:
        _asked(desk.reviews.ask_to_keep(job_id, until), as_json=as_json)


@click.command("return")
@persons.asking
@job_argument
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="送件人的文件夹。 Folder."
)
@reason_option
def return_(config_path: Path | None, job_id: str, folder: Path, reason: str, *, as_json: bool) -> None:
    """把原件退回送件人：写入一个仅本用户可读的新文件。 Give the original back to its sender, as a new private file."""
    with persons.desk(config_path) as desk:
        job, made = desk.give_back(job_id, folder, reason=reason)
    if as_json:
        faces.line({**records.job(job, whole=False), "file": str(made)})
    else:
        faces.say(f"{job.id}  → {STATES[job.state].to(faces.language())}  {made}")


@click.command("redact")
@persons.asking
@job_argument
@reason_option
@click.option("--mode", type=click.Choice([one.value for one in Mode]), help="脱敏方式（默认按配置）。 How.")
@click.option("--style", type=click.Choice([one.value for one in Style]), help="替换样式。 What stands in its place.")
@click.option("--reach", type=click.Choice([one.value for one in Reach]), help="表格中的范围。 How much of a table.")
@click.option(
    "--edits",
    type=click.File("rb"),
    help="人工增删（JSON：added、dropped，各写理由；- 为标准输入）。 What is added and left in by hand.",
)
def redact(
    config_path: Path | None,
    job_id: str,
    *,
    reason: str,
    mode: str | None,
    style: str | None,
    reach: str | None,
    edits: BinaryIO | None,
    as_json: bool,
) -> None:
    """脱敏并放行脱敏件；原件仍密封。 Redact a held job and release the copy; the original stays sealed."""
    with persons.desk(config_path) as desk:
        wanted: dict[str, Any] = {}
        if mode:
            wanted["mode"] = Mode(mode)
        if style:
            wanted["style"] = Style(style)
        if reach:
            wanted["reach"] = Reach(reach)
        redacting: Redacting = evolve(desk.config.redacting, **wanted)
        job = desk.redact(job_id, reason=reason, redacting=redacting, edits=_edits(edits))
    if as_json:
        faces.line(records.job(job, whole=False))
    else:
        note = f"  {job.note.to(faces.language())}" if job.note else ""
        faces.say(f"{job.id}  {job.item.path}  → {STATES[job.state].to(faces.language())}{note}")


def _edits(given: BinaryIO | None) -> Edits:
    """Return what a file says of changes by hand; the words in it are on no command line, and in no list of them."""
    if given is None:
        return Edits()
    try:
        return msgspec.json.decode(given.read(MOST_EDITS), type=Edits)
    except msgspec.MsgspecError as err:
        raise UsageError(
            Say("人工增删文件的格式不对", "the file of changes by hand is not of its form"),
            Say(
                '形如 {"added": [{"words": "…", "reason": "…"}], "dropped": [{"finding": 2, "reason": "…"}]}',
                'such as {"added": [{"words": "…", "reason": "…"}], "dropped": []}',
            ),
        ) from err


@click.command("level")
@persons.asking
@job_argument
@click.option(
    "--level",
    required=True,
    type=click.Choice([NONE, *(one.value for one in Level)]),
    help="级别；无 为不定级。 Level.",
)
@click.option("--regime", type=click.Choice([one.value for one in Regime]), help="密种。 Whose secret it is.")
@click.option("--basis", required=True, help="依据条款或请示对象。 Article, or who was asked.")
@reason_option
def level(
    config_path: Path | None, job_id: str, *, level: str, regime: str | None, basis: str, reason: str, as_json: bool
) -> None:
    """定密审核：认定一个任务的级别（不加标志；此前的审批须重办）。 Decide on a level; no mark is set by it."""
    wanted = None if level == NONE else Level(level)
    with persons.desk(config_path) as desk:
        made = desk.reviews.decide_level(job_id, wanted, Regime(regime) if regime else None, basis=basis, reason=reason)
    _told(made, tr(f"认定为{level}", f"decided: {level}"), as_json=as_json)


@click.command("terms")
@persons.asking
def terms(config_path: Path | None, *, as_json: bool) -> None:
    """列出期满待确认的任务。 List the jobs whose term is over and waits for a person's word."""
    with persons.desk(config_path) as desk:
        found = tuple(desk.reviews.terms_over())
    if as_json:
        faces.lines(_term(job, term) for job, term in found)
        return
    if not found:
        faces.say(tr("没有期满待确认的任务", "no term waits to be confirmed"))
        return
    titles = (tr("编号", "job"), tr("文件", "file"), tr("期满", "over since"), tr("说明", "what"))
    lang = faces.language()
    faces.table(titles, ((job.id, job.item.path, str(term.until or "-"), term.say.to(lang)) for job, term in found))


def _term(job: Job, term: Term) -> dict[str, Any]:
    return {
        "id": job.id,
        "path": job.item.path,
        "standing": term.standing.value,
        "until": str(term.until) if term.until else None,
        "text": term.say.to(faces.language()),
    }


@click.command("term")
@persons.asking
@job_argument
@click.option("--ended", is_flag=True, help="期满，未延长。 It ended.")
@click.option("--extended", metavar="DAY", help="已延长至此日。 It was extended until this day.")
@click.option("--basis", required=True, help="通知文号和日期，或核实对象和时间。 Notice, or who was asked and when.")
def term(
    config_path: Path | None, job_id: str, extended: str | None, basis: str, *, ended: bool, as_json: bool
) -> None:
    """确认一个任务的保密期限已满，或已延长。 Confirm that a term ended or was extended."""
    if ended == bool(extended):
        raise UsageError(
            Say("须写明期满或延长", "say which"), Say("--ended 或 --extended 日期", "--ended | --extended")
        )
    with persons.desk(config_path) as desk:
        word = desk.reviews.confirm_term(
            job_id, End.ENDED if ended else End.EXTENDED, basis=basis, until=extended or ""
        )
    if as_json:
        faces.line({"id": word.job, "ruling": word.ruling.value, "until": word.until or None, "basis": word.basis})
    else:
        said = tr("确认期满", "its term is over") if ended else tr(f"延长至 {extended}", f"extended until {extended}")
        faces.say(f"{word.job}  {said}")


@click.command("page")
@persons.asking
@job_argument
@click.option("--page", "number", required=True, type=click.IntRange(min=1), help="第几页。 Which page.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="写到此 PNG。 Into it.")
def page(config_path: Path | None, job_id: str, number: int, out: Path, *, as_json: bool) -> None:
    """画出一页原件，框出并编号每处命中（需本机有私钥；查看即留痕）。

    Draw a page with each hit boxed and numbered; the private key must be here, and each look is recorded.
    """
    from dlp.service import evidence  # noqa: PLC0415  the libraries that draw are loaded where a page is drawn

    with persons.desk(config_path) as desk:
        made = evidence.page(desk.acting, job_id, number)
        write_all([(out, made.png)], mode=0o600)
    if as_json:
        faces.line({"id": made.job.id, "page": number, "file": str(out), "boxed": list(made.boxed)})
    else:
        boxed = "、".join(f"#{one}" for one in made.boxed) or tr("无", "none")
        faces.say(
            tr(
                f"{made.job.id}  第 {number} 页 → {out}；框出：{boxed}",
                f"{made.job.id}  page {number} → {out}; boxed: {boxed}",
            )
        )


def show(review: Review | None, labels: tuple[Label, ...]) -> None:
    """Print what people made of a job."""
    lang = faces.language()
    if review is not None and review.claimed_by:
        until = records.moment(review.claimed_until)
        faces.say(tr(f"领取：{review.claimed_by}（至 {until}）", f"claimed: {review.claimed_by} (until {until})"))
    if review is not None and review.legal_hold is not None:
        one = review.legal_hold
        faces.say(tr(f"依法留存：{one.text}（{one.by}）", f"legal hold: {one.text} ({one.by})"))
    if review is not None and review.keep_until:
        until = records.moment(review.keep_until)
        faces.say(tr(f"留存至：{until}", f"kept until: {until}"))
    if review is not None and review.decided is not None:
        made = review.decided
        word = made.level.value if made.level else NONE
        faces.say(tr(f"定密审核：{word}（{made.by}，{made.basis}）", f"level: {word} ({made.by}, {made.basis})"))
    for label_ in labels:
        number = f"#{label_.finding} " if label_.finding else ""
        said = f"{label_.rule} {RULINGS[label_.ruling].to(lang)} {label_.by} {label_.reason}"
        faces.say(f"  {number}{said}".rstrip())
    for remark in review.remarks if review is not None else ():
        faces.say(f"  {records.moment(remark.at)} {remark.by}{tr('：', ': ')}{remark.text}")


def _told(made: Review, what: str, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.review(made))
    else:
        faces.say(f"{made.id}  {what}")


def _asked(one: Change, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.change(one))
    else:
        what = tr("等待第二人确认", "waits for a second person")
        faces.say(f"{one.subject}  {what}{tr('：', ': ')}dlp people confirm {one.id}")


COMMANDS: tuple[click.Command, ...] = (
    *(claim, unclaim, comment, label, hold, lift, keep),
    *(return_, redact, level, terms, term, page),
)
