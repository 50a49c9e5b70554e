"""Registers (登记簿): views of jobs, cases, copies, lists and orders. Nothing in them is typed a second time.

The columns are those of the printed forms, in the forms' own words; columns that this house adds stand behind them.
What the books do not hold is left empty, for a pen. Rows come oldest first and one at a time: a register may be long.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import tee
from typing import NamedTuple

from dlp.account import ACCOUNTS
from dlp.approval import Case, CaseState, Decision
from dlp.commissions import ORDERS, Order, What
from dlp.copies import COPIES, STATES, Copy, CopyState
from dlp.destruction import DESTRUCTIONS, STAGES, Destruction, Piece, Stage
from dlp.errors import NotFound, UsageError
from dlp.model import Say, State
from dlp.request import weigh
from dlp.rights import Operation, Role
from dlp.service import receipt
from dlp.service.acting import Acting
from dlp.service.cases import CASES
from dlp.service.lending import LEFT
from dlp.store import Job, JobFilter
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore

Row = tuple[str, ...]


class Span(NamedTuple):
    """Which rows are wanted; what is left at its default is not asked for."""

    since: float = 0.0
    until: float = float("inf")
    unit: str = ""

    def records(self) -> RecordFilter:
        """Return it as a filter of records."""
        return RecordFilter(since=self.since, until=self.until)

    def fits(self, *units: str) -> bool:
        """Tell whether a row of these units is wanted."""
        return not self.unit or self.unit in units


class Books:
    """What rows are made of: the books, and the names of people."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self._names = {one.id: one.name for one in store.records(ACCOUNTS)}

    def name(self, account: str) -> str:
        """Return the name of whoever has an account; the account itself where nobody has it any more."""
        return self._names.get(account, account)


Rows = Callable[[Books, Span], Iterator[Row]]


class Register(NamedTuple):
    """One register: its name as a word, its title, its columns, its rows, and who signs under the printed form."""

    name: str
    title: Say
    columns: tuple[str, ...]
    rows: Rows
    signs: tuple[str, ...]
    wide: tuple[str, ...] = ("文件名称", "标题", "载体名称", "印刷品名称", "编号", "编号/份号", "备注", "SHA-256")
    """Columns that hold long texts."""


class Registers:
    """The registers of one site, in the name of one person."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting

    def all(self) -> tuple[Register, ...]:
        """Return every register."""
        self._acting.may(Operation.REGISTER_READ)
        return tuple(REGISTERS.values())

    def rows(self, name: str, span: Span) -> tuple[Register, Iterator[Row]]:
        """Return one register and its rows; NotFound when there is none of this name."""
        self._acting.may(Operation.REGISTER_READ, subject=name)
        if not span.since < span.until:
            raise UsageError(Say("起止时间颠倒", "it ends before it begins"))
        found = register(name)
        return found, found.rows(Books(self._acting.store), span)


def register(name: str) -> Register:
    """Return one register by its word or its title; NotFound when there is none."""
    found = next((one for one in REGISTERS.values() if name in (one.name, one.title.zh)), None)
    if found is None:
        raise NotFound(
            Say(f"没有这个登记簿：{name}", f"there is no such register: {name}"),
            Say(f"登记簿：{'、'.join(REGISTERS)}", f"registers: {', '.join(REGISTERS)}"),
        )
    return found


def day(at: float | None) -> str:
    """Return a moment as it is written in a register; empty for what has not been."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def _printed(books: Books, span: Span) -> Iterator[Row]:
    found = (copy for copy in books.store.records_from_oldest(COPIES, span.records()) if span.fits(copy.unit))
    copies, asked = tee(found)
    states = books.store.standing(copy.job for copy in asked)
    for number, (copy, (_, state, _)) in enumerate(zip(copies, states, strict=True), 1):
        yield (
            *(str(number), day(copy.at), copy.title, "", f"{copy.number}/{copy.total}", _level(copy), copy.term),
            *(copy.organ, "", _count(copy.pages), "1", "", copy.purpose, "、".join(copy.recipients)),
            *(books.name(copy.requester), "、".join(copy.approved_by), copy.consent_no, books.name(copy.operator)),
            *("", _holders(copy), "", "", _remark(copy, state)),
        )


def _loans(books: Books, span: Span) -> Iterator[Row]:
    taken = (
        (copy.at, copy.id, _lent(copy))
        for copy in books.store.records_from_oldest(COPIES, span.records())
        if copy.handed_at and span.fits(copy.unit)
    )
    read = (
        (case.request.made_at, case.id, _read(books, case))
        for case in books.store.records_from_oldest(CASES, span.records())
        if _is_read(case) and span.fits(case.request.unit)
    )
    for _, _, row in heapq.merge(taken, read):
        yield row


def _lent(copy: Copy) -> Row:
    remark = f"代领：{'、'.join(copy.carriers)}（{copy.authority}）" if copy.carriers else ""
    return (
        *(day(copy.handed_at), copy.holder, copy.unit, "", copy.title, copy.id, _level(copy), copy.purpose),
        *(day(copy.due), "", "、".join(copy.approved_by), day(copy.returned_at), remark),
    )


def _is_read(case: Case) -> bool:
    return case.request.copies == 0 and CASES.columns(case).state in (CaseState.APPROVED.value, CaseState.SPENT.value)


def _read(books: Books, case: Case) -> Row:
    asked, level = case.request, weigh(case.request).level
    who = "、".join(one.name for one in asked.recipients)
    signed = "、".join(word.name for word in case.signatures)
    return (
        *(day(asked.made_at), who, asked.unit, "", books.store.get(asked.job).item.name, case.id),
        *(level.value if level else "", asked.purpose, day(asked.return_by), "", signed, "", "本处阅读，不外带"),
    )


def _traffic(books: Books, span: Span) -> Iterator[Row]:
    only = JobFilter(since=span.since, until=span.until)
    for job in books.store.from_oldest(only=only):
        if span.fits(job.item.owner):
            yield _passed(job)


def _passed(job: Job) -> Row:
    item, level = job.item, job.verdict.level if job.verdict else None
    mark = next((f.mark for f in job.findings if f.mark is not None and f.mark.level is level), None)
    left = job.state in LEFT
    return (
        *("", item.name, level.value if level else "", (mark.term or "") if mark else "", str(item.copies), job.id),
        *(item.owner, day(job.created), "", "", "", "", ""),
        *(day(job.updated) if left else "", item.target if left else "", receipt.STATES[job.state].zh),
    )


def _returns(books: Books, span: Span) -> Iterator[Row]:
    for copy in books.store.records_from_oldest(COPIES, span.records()):
        if (copy.due or copy.returned_at) and copy.state is not CopyState.VOID and span.fits(copy.unit):
            yield (
                *(
                    "",
                    copy.title,
                    _level(copy),
                    copy.term,
                    "1",
                    copy.id,
                    copy.organ,
                    day(copy.handed_at),
                    _holders(copy),
                ),
                *("、".join(copy.recipients), day(copy.returned_at), copy.returned_by, books.name(copy.received_by)),
                *(day(copy.due), STATES[copy.state].zh),
            )


def _destroyed(books: Books, span: Span) -> Iterator[Row]:
    number = 0
    for one in books.store.records_from_oldest(DESTRUCTIONS, span.records()):
        for piece in one.pieces:
            if one.stage is not Stage.WITHDRAWN and span.fits(piece.unit):
                number += 1
                yield destroyed_row(number, one, piece)


def destroyed_row(number: int, one: Destruction, piece: Piece) -> Row:
    """Return what stands on a destruction list of one thing on it."""
    return (
        *(str(number), piece.title, f"{piece.copy or piece.job} {piece.number}".strip()),
        *(piece.level.value if piece.level else "", "1", _count(piece.pages), piece.carrier.zh, one.reason, one.method),
        *(one.drawn_name, "、".join(word.name for word in one.approved_by), "、".join(one.carriers)),
        *("、".join(word.name for word in one.witnesses), one.destroyer, day(one.handed_at), one.place, one.receipt),
        *(piece.sha256, STAGES[one.stage].zh),
    )


def _commissions(books: Books, span: Span) -> Iterator[Row]:
    for one in _orders(books, span, What.COMMISSION):
        yield (
            *(one.client, one.person, one.papers, one.title, str(one.quantity), one.original, one.contract),
            *(day(one.done_at or one.due), _count(one.finished or None), one.waste, one.returned),
            *(day(one.at), one.job, books.name(one.by), "已交付" if one.done_at else "在办"),
        )


def _meetings(books: Books, span: Span) -> Iterator[Row]:
    for one in _orders(books, span, What.MEETING):
        yield (
            *("", one.title, one.level.value if one.level else "", "", str(one.quantity), one.id, one.client),
            *(day(one.at), books.name(one.by), "", day(one.done_at), one.person, books.name(one.done_by)),
            *(day(one.due), "已送交" if one.done_at else "未送交"),
        )


def _orders(books: Books, span: Span, what: What) -> Iterator[Order]:
    for one in books.store.records_from_oldest(ORDERS, span.records()):
        if one.what is what and span.fits(one.unit, one.client):
            yield one


def _approvals(books: Books, span: Span) -> Iterator[Row]:
    for case in books.store.records_from_oldest(CASES, span.records()):
        asked, level = case.request, weigh(case.request).level
        if not span.fits(asked.unit):
            continue
        yield (
            *(asked.unit, books.name(asked.requester), books.store.get(asked.job).item.name, ""),
            *(
                level.value if level else "",
                f"{asked.organ} {asked.consent_no}".strip(),
                str(asked.copies),
                asked.purpose,
            ),
            *("、".join(one.name for one in asked.recipients), day(asked.return_by)),
            *(_said(case, role) for role in (Role.DEPARTMENT_HEAD, Role.SECRETARIAT_HEAD, Role.LEADER)),
            *(
                "；".join(_said(case, role) for role in (Role.REVIEWER, Role.CLASSIFIER)).strip("；"),
                day(asked.made_at),
            ),
            *(case.id, str(sum(given.copies for given in case.cleared))),
        )


def _said(case: Case, role: Role) -> str:
    words = [word for word in case.signatures if word.role is role]
    said = {Decision.APPROVE: "同意", Decision.REJECT: "驳回"}
    return "；".join(
        f"{said[word.decision]} {word.reason} {word.name} {day(word.at)}".replace("  ", " ") for word in words
    )


def _level(copy: Copy) -> str:
    return copy.level.value if copy.level else ""


def _count(number: int | None) -> str:
    return "" if number is None else str(number)


def _holders(copy: Copy) -> str:
    if not copy.handed_at:
        return ""
    return "、".join(dict.fromkeys((copy.holder, *copy.carriers))) + f" {day(copy.handed_at)}"


def _remark(copy: Copy, state: State | None) -> str:
    if copy.state is CopyState.VOID:
        return f"未印出：{copy.note}"
    return "" if state in LEFT else "未确认印出"


_PRINT = (
    "序号 日期 文件名称 文号 份号 密级 保密期限 来文单位 原件份数 页数 复印份数 纸张 用途 去向(知悉范围) "
    "申请人 审批人 批准文号 经办人(文印员) 监印人 领取人签字 废页数/处理 戳记 备注"
)
_LOAN = "日期 借阅人 部门 电话 文件名称 编号 密级 目的 预计归还 签字 审批 实际归还 备注"
_RECEIVED = "文号 标题 密级 保密期限 份数 编号 来文单位 签收时间 签收人 传阅 清退日期 清退人 接收人"
_DESTROYED = (
    "序号 载体名称 编号/份号 密级 份数 页数 载体类型 销毁原因 销毁方式(送销/碎纸/消磁) 清点人 审批人 "
    "押运人(2) 监销人(2) 销毁单位 时间 地点 回执号"
)
_COMMISSION = "委印单位 委印人 证件 印刷品名称 数量 原稿 合同/委托书/准印证 交付日期 成品数 废次品处理 原稿底片交还"
_APPROVAL = (
    "申请单位 申请人 文件名称 文号 密级 原定密单位意见/批准文号 复制份数 用途 知悉范围 回收时间 "
    "部门负责人意见 秘书处意见 分管领导意见(绝密)"
)


REGISTERS: dict[str, Register] = {
    one.name: one
    for one in (
        Register(
            "prints",
            Say("涉密文件打印复印登记簿", "copies that were printed"),
            tuple(_PRINT.split()),
            _printed,
            ("经办人", "监印人", "保密员"),
        ),
        Register("loans", Say("文件借阅登记表", "loans"), tuple(_LOAN.split()), _loans, ("经办人", "秘书处负责人")),
        Register(
            "traffic",
            Say("收发登记簿", "what came and went"),
            (*_RECEIVED.split(), "发出时间", "去向", "结果"),
            _traffic,
            ("经办人", "保密员"),
        ),
        Register(
            "returns",
            Say("清退登记簿", "returns"),
            (*_RECEIVED.split(), "应清退日期", "状态"),
            _returns,
            ("清退人", "接收人", "保密员"),
        ),
        Register(
            "destruction",
            Say("销毁清单", "destruction"),
            (*_DESTROYED.split(), "SHA-256", "状态"),
            _destroyed,
            ("清点人", "审批人", "押运人(1)", "押运人(2)", "监销人(1)", "监销人(2)"),
        ),
        Register(
            "commissions",
            Say("承印登记簿", "commissions to print"),
            (*_COMMISSION.split(), "登记日期", "任务", "登记人", "状态"),
            _commissions,
            ("委印人", "经办人"),
        ),
        Register(
            "meetings",
            Say("会议文件登记簿", "meeting files"),
            (*_RECEIVED.split(), "应送交日期", "状态"),
            _meetings,
            ("送交人", "接收人"),
        ),
        Register(
            "approvals",
            Say("复制审批登记簿", "approvals"),
            (*_APPROVAL.split(), "其他签字", "申请时间", "审批编号", "已放行份数"),
            _approvals,
            ("保密员", "秘书处负责人"),
        ),
    )
}
"""Every register, by its word. Another one is one more line here: its columns, and what gives its rows."""
