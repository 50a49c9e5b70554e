"""Approvals at the command line: `dlp quarantine request|cases|case|approve|refuse`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dlp import approval
from dlp.approval import Case, CaseState, Decision, Signature
from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say
from dlp.request import Circle, Recipient, weigh
from dlp.rights import Role, names
from dlp.service import accounts, records
from dlp.service.cases import STATES, Asking, Outlook
from dlp.store.record import RecordFilter

CIRCLES = {"范围内": Circle.WITHIN, "扩大": Circle.WIDER, "外部": Circle.OUTSIDE} | {one.value: one for one in Circle}


@click.command("request")
@persons.asking
@click.argument("job_id", metavar="ID")
@click.option(
    "--copies", type=click.IntRange(min=0), required=True, help="份数；0 为只在本处阅读。 Copies; 0: to read."
)
@click.option("--purpose", required=True, help="用途。 What for.")
@click.option(
    "--to",
    "recipients",
    multiple=True,
    required=True,
    metavar="NAME[:UNIT[:CIRCLE[:AGREEMENT]]]",
    help="去向，可重复；CIRCLE 为 范围内 | 扩大 | 外部，外部须有保密协议编号。 Who gets it, as often as needed.",
)
@click.option("--return-by", callback=faces.day, help="清退时间。 When every copy must be back.")
@click.option("--consent", "consent_no", default="", help="原发文单位同意复制的文号。 Consent of the issuing organ.")
@click.option("--organ", default="", help="原发文单位。 The issuing organ.")
@click.option("--province", default="", help="原发文单位所在省份。 Its province.")
@click.option("--unit", default="", help="处、科或窗口（默认为账号所在部门）。 The unit that asks.")
@click.option("--docno", "doc_no", default="", help="文号（未登记时）。 Number of the document, if not registered.")
@click.option("--applicant", default="", help="代他人申请时，其工号。 Staff number of the person it is for.")
@click.option("--ahead", is_flag=True, help="只看须由谁签字，不送审。 Only tell who would sign; ask for nothing.")
def request(
    config_path: Path | None, job_id: str, recipients: tuple[str, ...], *, ahead: bool, as_json: bool, **words: Any
) -> None:
    """为一个隔离件送审。 Ask for the approval of a held job."""
    asking = Asking(recipients=tuple(_recipient(one) for one in recipients), **words)
    with persons.desk(config_path) as desk:
        if ahead:
            _tell_ahead(desk.cases.outlook(job_id, asking), as_json=as_json)
            return
        made = desk.cases.ask(job_id, asking)
        _told(made, desk.cases.state(made), as_json=as_json)


def _tell_ahead(outlook: Outlook, *, as_json: bool) -> None:
    pairs = tuple(zip(outlook.steps, outlook.signers, strict=True))
    if as_json:
        faces.lines({"step": one.name, "roles": [role.value for role in one.roles], "who": who} for one, who in pairs)
        return
    lang = faces.language()
    if outlook.refusal is not None:
        faces.say(outlook.refusal.say.to(lang))
        return
    for one, who in pairs:
        able = "、".join(who) or tr("现在没有人可签", "nobody can sign it now")
        faces.say(f"  · {one.say.to(lang)}（{names(one.roles).to(lang)}）{able}")


@click.command("cases")
@persons.asking
@click.option("--mine", is_flag=True, help="只列待本人签字的，旧的在前。 What waits for one's own word.")
@click.option("--state", type=click.Choice([one.value for one in CaseState]), help="只列此状态。 Only this state.")
@click.option("--job", default="", help="只列此任务的。 Only of this job.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="最多列几个。 At most so many."
)
def cases(config_path: Path | None, state: str | None, job: str, limit: int, *, mine: bool, as_json: bool) -> None:
    """列出审批单，新的在前。 List approvals, newest first."""
    with persons.desk(config_path) as desk:
        if mine:
            wanted = [case for case in desk.cases.mine() if job in ("", case.request.job)][:limit]
        else:
            wanted = list(desk.cases.all(RecordFilter(job=job), limit=limit))
        found = [(case, desk.cases.state(case)) for case in wanted]
    shown = [(case, now) for case, now in found if not state or now.value == state]
    if as_json:
        faces.lines(records.case(case, now) for case, now in shown)
        return
    titles = (
        *(tr("审批", "case"), tr("任务", "job"), tr("状态", "state"), tr("级别", "level"), tr("份数", "copies")),
        *(tr("申请人", "asked by"), tr("待签", "waits for"), tr("有效至", "until")),
    )
    faces.table(titles, (_row(case, now) for case, now in shown))


def _row(case: Case, now: CaseState) -> tuple[str, ...]:
    step, level, lang = approval.pending(case), weigh(case.request).level, faces.language()
    return (
        case.id,
        case.request.job,
        STATES[now].to(lang),
        level.value if level else "-",
        str(case.request.copies),
        case.request.requester,
        names(step.roles).to(lang) if step and now is CaseState.WAITING else "-",
        records.moment(approval.expires(case)),
    )


@click.command("case")
@persons.asking
@click.argument("case_id", metavar="CASE")
def case_(config_path: Path | None, case_id: str, *, as_json: bool) -> None:
    """显示一份审批单：内容、环节、签字、放行。 Show one approval: what is asked, its steps and signatures."""
    with persons.desk(config_path) as desk:
        found = desk.cases.get(case_id)
        now = desk.cases.state(found)
    if as_json:
        faces.line(records.case(found, now))
    else:
        _show(found, now)


def _show(case: Case, now: CaseState) -> None:
    lang, asked = faces.language(), case.request
    level = weigh(asked).level
    due = records.moment(asked.return_by) if asked.return_by else "-"
    rows = (
        (tr("审批", "case"), case.id),
        (tr("任务", "job"), asked.job),
        (tr("状态", "state"), STATES[now].to(lang)),
        (tr("级别", "level"), level.value if level else "-"),
        (tr("份数", "copies"), f"{asked.copies}（{tr('余', 'left')} {approval.remaining(case)}）"),
        (tr("用途", "purpose"), asked.purpose),
        (tr("去向", "recipients"), "、".join(f"{one.name} {one.unit}".strip() for one in asked.recipients)),
        (tr("清退时间", "back by"), due),
        (tr("申请人", "asked by"), f"{asked.requester} {asked.unit}"),
        (tr("有效至", "until"), records.moment(approval.expires(case))),
        ("SHA-256", asked.sha256),
    )
    for name, value in rows:
        faces.say(f"{name}{tr('：', ': ')}{value}")
    for step in case.steps:
        who = "、".join(_word(word) for word in case.signatures if word.binds.step == step.name)
        faces.say(f"  · {step.say.to(lang)}（{names(step.roles).to(lang)}）{who or tr('未签', 'not signed')}")
        if step.article:
            faces.say(f"    {tr('依据：', 'basis: ')}{step.article}")


def _word(word: Signature) -> str:
    sign = "✓" if word.decision is Decision.APPROVE else "✗"
    return f"{sign} {word.name} {records.moment(word.at)} {word.reason}".strip()


def _signing(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--role", default="", help="以何角色签字（兼任时）。 In which role, where one holds several."),
        click.option(
            "--seen", metavar="DIGEST", default="", help="所看内容（case --json 的 binding）。 What one was shown."
        ),
        persons.asking,
        click.argument("case_id", metavar="CASE"),
    ):
        function = option(function)
    return function


@click.command("approve")
@_signing
@click.option("--note", "reason", default="", help="意见。 A remark.")
def approve(**words: Any) -> None:
    """在审批单上签字批准。 Sign an approval."""
    _sign(Decision.APPROVE, **words)


@click.command("refuse")
@_signing
@click.option("--reason", required=True, help="驳回理由。 Why.")
def refuse(**words: Any) -> None:
    """驳回一份审批单；隔离件不动。 Turn an approval down; the job stays held."""
    _sign(Decision.REJECT, **words)


def _sign(
    decision: Decision, *, config_path: Path | None, case_id: str, role: str, reason: str, seen: str, as_json: bool
) -> None:
    wanted: Role | None = accounts.roles_of([role])[0] if role else None
    with persons.desk(config_path) as desk:
        binds = desk.cases.binding(desk.cases.get(case_id), seen=seen)
        made = desk.cases.sign(case_id, decision, binds, role=wanted, reason=reason)
        _told(made, desk.cases.state(made), as_json=as_json)


def _told(case: Case, now: CaseState, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.case(case, now))
        return
    step, lang = approval.pending(case), faces.language()
    waits = ""
    if step is not None and now is CaseState.WAITING:
        who, what = names(step.roles).to(lang), step.say.to(lang)
        waits = tr(f"，待{who}签“{what}”", f", waits for {who}: {what}")
    faces.say(f"{case.id}  {case.request.job}  {STATES[now].to(lang)}{waits}")


def _recipient(text: str) -> Recipient:
    name, unit, circle, agreement, *more = [part.strip() for part in (text + ":::").split(":")[:4]] + text.split(":")[
        4:
    ]
    if more or not name or (circle and circle not in CIRCLES):
        raise UsageError(
            Say(f"去向不可用：{text}", f"this is no recipient: {text}"),
            Say("写作 姓名:单位:范围内|扩大|外部:协议编号", "as NAME:UNIT:within|wider|outside:AGREEMENT"),
        )
    return Recipient(name=name, unit=unit, circle=CIRCLES.get(circle, Circle.WITHIN), agreement=agreement)


COMMANDS = (request, cases, case_, approve, refuse)
