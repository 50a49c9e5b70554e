"""Registers (登记簿): views of jobs, cases, copies, lists and orders. Nothing in them is typed a second time.

The columns are those of the printed forms, in the forms' own words; columns that this house adds stand behind them.
What the books do not hold is left empty, for a pen. Rows come oldest first and one at a time: a register may be long.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from dlp.account import ACCOUNTS
from dlp.approval import Case, CaseState, Decision
from dlp.commissions import ORDERS, Order, What
from dlp.copies import COPIES, STATES, Copy, CopyState
from dlp.description import DESCRIPTIONS, Description
from dlp.destruction import DESTRUCTIONS, STAGES, Destruction, Piece, Stage
from dlp.errors import NotFound, UsageError
from dlp.model import Say, State
from dlp.request import weigh
from dlp.rights import Operation, Role
from dlp.service import receipt
from dlp.service.acting import Acting
from dlp.service.cases import CASES
from dlp.service.lending import LEFT
from dlp.stocktake import FOUND, STOCKTAKES
from dlp.store import Job, JobFilter
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore

Row = tuple[str, ...]
BY_ITSELF = "闸门自动收件"
"""Who signs for what comes in: nobody does."""


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
        self._about: tuple[str, _About] = "", _About(None, None)

    def name(self, account: str) -> str:
        """Return the name of whoever has an account; the account itself where nobody has it any more."""
        return self._names.get(account, account)

    def about(self, job: str) -> _About:
        """Return a job and what is written down of its file, read once while rows of one job follow one another."""
        if self._about[0] != job:
            self._about = job, _About(_found(self.store, job), _described(self.store, job))
        return self._about[1]


class _About(NamedTuple):
    """A job, and what somebody wrote down of its file; None for what is not there."""

    job: Job | None
    said: Description | None

    @property
    def doc_no(self) -> str:
        return self.said.doc_no if self.said else ""

    @property
    def organ(self) -> str:
        return self.said.organ if self.said else ""

    @property
    def originals(self) -> str:
        """Return 原件份数: what came in as a file is one."""
        return str(self.said.originals) if self.said and self.said.originals else "1" if self.job else ""

    def pages(self, counted: int | None) -> str:
        """Return how many pages were counted, by the gate or by somebody."""
        return _count(
            counted or (self.job.pages if self.job else None) or (self.said.pages if self.said else 0) or None
        )

    def paper(self, asked: str) -> str:
        return asked or (self.said.paper if self.said else "")

    @property
    def stamp(self) -> str:
        """Return on how many pages a stamp was put. Of what the house stamps by hand, nothing is known."""
        return f"已盖 {self.job.stamped} 页" if self.job and self.job.stamped else ""


def _found(store: SqliteStore, job: str) -> Job | None:
    try:
        return store.get(job)
    except NotFound:
        return None


def _described(store: SqliteStore, job: str) -> Description | None:
    try:
        return store.record(DESCRIPTIONS, job)
    except NotFound:
        return None


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
    for number, copy in enumerate(found, 1):
        about = books.about(copy.job)
        spoilt = f"{copy.spoilt} 页，{copy.spoilt_how}" if copy.spoilt else ""
        yield (
            *(str(number), day(copy.at), copy.title, about.doc_no, f"{copy.number}/{copy.total}", _level(copy)),
            *(copy.term, copy.organ or about.organ, about.originals, about.pages(copy.pages), "1"),
            *(about.paper(copy.paper), copy.purpose, "、".join(copy.recipients)),
            *(books.name(copy.requester), "、".join(copy.approved_by), copy.consent_no, books.name(copy.operator)),
            *(copy.supervisor, _holders(copy), spoilt, about.stamp),
            _remark(copy, about.job.state if about.job else None),
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
            yield _passed(books, job)


def _passed(books: Books, job: Job) -> Row:
    item, level, about = job.item, job.verdict.level if job.verdict else None, books.about(job.id)
    mark = next((f.mark for f in job.findings if f.mark is not None and f.mark.level is level), None)
    found = books.store.records(COPIES, RecordFilter(job=job.id))
    copies = sorted((one for one in found if one.state is not CopyState.VOID), key=lambda one: one.number)
    left = job.state in LEFT
    return (
        *(about.doc_no, item.name, level.value if level else "", (mark.term or "") if mark else ""),
        *(str(item.copies), job.id, about.organ or item.owner, day(job.created), BY_ITSELF),
        *(_read_by(copies), *_back(books, copies)),
        *(day(job.updated) if left else "", item.target if left else "", receipt.STATES[job.state].zh),
    )


def _read_by(copies: list[Copy]) -> str:
    """Return 传阅: everybody who had a copy in his hands, in that order."""
    taken = sorted((copy for copy in copies if copy.handed_at), key=lambda copy: (copy.handed_at, copy.number))
    return "、".join(dict.fromkeys(copy.holder for copy in taken))


def _back(books: Books, copies: list[Copy]) -> tuple[str, str, str]:
    """Return 清退日期, 清退人 and 接收人, once every copy came back."""
    if not copies or not all(copy.returned_at for copy in copies):
        return "", "", ""
    who = dict.fromkeys(copy.returned_by for copy in copies)
    by = dict.fromkeys(books.name(copy.received_by) for copy in copies)
    return day(max(copy.returned_at for copy in copies)), "、".join(who), "、".join(by)


def _returns(books: Books, span: Span) -> Iterator[Row]:
    for copy in books.store.records_from_oldest(COPIES, span.records()):
        if (copy.due or copy.returned_at) and copy.state is not CopyState.VOID and span.fits(copy.unit):
            about = books.about(copy.job)
            yield (
                *(about.doc_no, copy.title, _level(copy), copy.term, "1", copy.id, copy.organ or about.organ),
                *(day(copy.handed_at), _holders(copy), "、".join(copy.recipients), day(copy.returned_at)),
                *(copy.returned_by, books.name(copy.received_by), day(copy.due), STATES[copy.state].zh),
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
            *(one.doc_no, one.title, one.level.value if one.level else "", one.term, str(one.quantity), one.id),
            one.client,
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
            *(asked.unit, books.name(asked.requester), books.store.get(asked.job).item.name),
            *(
                books.about(asked.job).doc_no,
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


def _counted(books: Books, span: Span) -> Iterator[Row]:
    for one in books.store.records_from_oldest(STOCKTAKES, span.records()):
        if not span.fits(one.unit):
            continue
        head = one.id, day(one.at), books.name(one.by), one.unit or "全部", one.place
        for line in one.lines:
            copy = _copy(books.store, line.copy)
            yield (
                *head,
                *(copy.title if copy else "", line.copy, f"{copy.number}/{copy.total}" if copy else ""),
                _level(copy) if copy else "",
                *(STATES[line.state].zh if line.state else "账上没有", line.holder, day(line.due)),
                *(FOUND[line.found].zh, "", one.note),
            )
        if not one.lines:
            yield *head, "", "", "", "", "", "", "", "账上、实物均无", "", one.note


def _copy(store: SqliteStore, name: str) -> Copy | None:
    try:
        return store.record(COPIES, name)
    except NotFound:
        return None


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

_COUNTED = "清点编号 清点日期 清点人 部门 地点 文件名称 编号 份号 密级 账面状态 持有人 应清退日期 清点结果 处理 备注"


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
        Register(
            "stocktakes",
            Say("清点登记簿", "stock-takes"),
            tuple(_COUNTED.split()),
            _counted,
            ("清点人", "监督人", "秘书处负责人"),
        ),
    )
}
"""Every register, by its word. Another one is one more line here: its columns, and what gives its rows."""
