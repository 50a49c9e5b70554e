"""Reports: what a month, or any span of time, was like; and the 保密检查报告 as a Word file with charts.

Counted anew from the books in one pass each time; nothing is kept. Whoever may read reports sees rules, units and
numbers, never content: the evidence of a finding is named by its job.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dlp import tally
from dlp.commissions import ORDERS
from dlp.config import Config
from dlp.copies import COPIES
from dlp.errors import NotFound, UsageError
from dlp.model import Frozen, Level, Say, State
from dlp.rights import Operation
from dlp.service import charts, paper
from dlp.service.acting import Acting
from dlp.service.receipt import STATES
from dlp.store import EventFilter, Job, JobFilter
from dlp.store.record import Kind, RecordFilter, V
from dlp.store.sqlite import PAGE, SqliteStore
from dlp.tally import Counting, Group, Tally

MOST_PROBLEMS = 200
"""Rows of problems in an inspection report; how many there are is said."""
ACTIONS = {"allow": "放行", "alert": "提示", "redact": "脱敏", "quarantine": "隔离", "block": "拦截"}


class Inspection(Frozen, frozen=True, kw_only=True):
    """What a 保密检查报告 says beside its numbers."""

    scope: str
    inspectors: tuple[str, ...]
    requirement: str
    """整改要求."""
    deadline: str
    again: str
    """复查."""


class Problem(Frozen, frozen=True, kw_only=True):
    """One thing that an inspection found: 编号, 位置, 密级, 规则, 证据."""

    number: int
    place: str
    level: str
    rules: tuple[str, ...]
    evidence: str


def month(text: str | None) -> tuple[float, float]:
    """Return the first and the end of a month (`2026-11`, the present one without) by the clock on the wall."""
    now = datetime.now().astimezone()
    if text is not None and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise UsageError(Say(f"不是月份：{text}", f"no month: {text}"), Say("写作 2026-11", "write it as 2026-11"))
    year, number = (int(text[:4]), int(text[5:])) if text else (now.year, now.month)
    try:
        first = datetime(year, number, 1).astimezone()
        end = datetime(year + number // 12, number % 12 + 1, 1).astimezone()
    except (ValueError, OverflowError) as err:
        raise UsageError(Say(f"不是月份：{text}", f"no month: {text}")) from err
    return first.timestamp(), end.timestamp()


def count(acting: Acting, since: float, until: float) -> Tally:
    """Return what a span of time was like; Denied for who may not read reports."""
    acting.may(Operation.REPORT_READ)
    return _count(acting.store, since, until)


def _count(store: SqliteStore, since: float, until: float) -> Tally:
    counting = Counting(since, until)
    for job in store.each(only=JobFilter(since=since, until=until)):
        counting.job(job)
    end = _stamp(until)
    for event in store.events(_before(store, _stamp(since))):
        if event.at >= end:
            break
        before = event.body.get("state") in tally.DECIDED and not counting.is_open(event.job)
        counting.event(event, taken=_taken(store, event.job) if before else None)
    span = RecordFilter(since=since, until=until)
    for label in _each(store, tally.LABELS, span):
        counting.label(label)
    for copy in _each(store, COPIES, RecordFilter(due_before=min(until, time.time()))):
        counting.copy(copy)
    for order in _each(store, ORDERS, RecordFilter(due_before=min(until, time.time()))):
        counting.order(order)
    return counting.tally()


def _taken(store: SqliteStore, job: str) -> float | None:
    try:
        found = store.get(job)
    except NotFound:
        return None
    return found.created or None


def _before(store: SqliteStore, since: str) -> int:
    """Return the sequence of the last event before a moment."""
    found = store.find_events(EventFilter(until=since), limit=1)
    return found[0].seq if found else 0


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def _each(store: SqliteStore, kind: Kind[V], only: RecordFilter) -> Iterator[V]:
    after: V | None = None
    while page := store.records(kind, only, limit=PAGE, after=after):
        yield from page
        after = page[-1]


def problems(store: SqliteStore, since: float, until: float) -> Iterator[Problem]:
    """Give what was held or blocked in a span of time, newest first: where, which level, which rules, which job."""
    stopped = (State.HELD, State.BLOCKED, State.REJECTED, State.FAILED)
    for number, job in enumerate(store.each(stopped, only=JobFilter(since=since, until=until)), 1):
        yield _problem(number, job)


def _problem(number: int, job: Job) -> Problem:
    level = job.verdict.level if job.verdict else None
    return Problem(
        number=number,
        place=f"{job.item.owner or tally.NOBODY} {job.item.source}",
        level=level.value if level else Level.OPEN.value,
        rules=tuple(dict.fromkeys(found.rule for found in job.findings))[:4],
        evidence=f"任务 {job.id}（{STATES[job.state].zh}）",
    )


# papers


def month_paper(acting: Acting, seen: Tally) -> bytes:
    """Return a month as a Word file; Denied for who may not export reports."""
    _note(acting, "month", seen)
    config = acting.config
    page = paper.sheet("保密工作月报", unit=config.site.unit, moment=_now())
    _span(page, config, seen)
    _numbers(page, seen)
    _pictures(page, seen)
    _rules(page, seen)
    _people(page, seen)
    paper.line(page, "制表：　　　　　　　　审核：　　　　　　　　　　年　　月　　日")
    return paper.bytes_of(page)


def inspection_paper(acting: Acting, seen: Tally, said: Inspection) -> bytes:
    """Return a 保密检查报告 as a Word file; Denied for who may not export reports."""
    _note(acting, "inspection", seen)
    config = acting.config
    page = paper.sheet("保密检查报告", unit=config.site.unit, moment=_now())
    found = list(problems(acting.store, seen.since, seen.until))
    rows = [
        ("检查单位", config.site.unit),
        ("范围", said.scope or "全部送检任务"),
        ("时间", f"{_day(seen.since)} 至 {_day(seen.until - 1)}"),
        ("人员", "、".join(said.inspectors)),
        ("抽查数", f"{seen.jobs} 件（全数）"),
        ("发现问题", f"{len(found)} 件"),
        ("泄密事件", f"{seen.incidents} 起"),
        ("逾期未清退", f"{len(seen.overdue)} 份"),
        ("逾期未办结", f"{len(seen.overdue_orders)} 件"),
    ]
    paper.grid(page, rows, widths=(3.5, 12.5))
    paper.line(page, "一、发现问题", size=12, bold=True)
    head = ("编号", "位置", "密级", "规则", "证据")
    body = [(str(one.number), one.place, one.level, "、".join(one.rules), one.evidence) for one in found]
    paper.grid(page, [head, *body[:MOST_PROBLEMS]], widths=(1.2, 3.6, 1.8, 4.9, 4.5), head=True)
    if len(body) > MOST_PROBLEMS:
        paper.line(page, f"另有 {len(body) - MOST_PROBLEMS} 件，见 dlp quarantine list。", size=9)
    paper.line(page, "二、汇总图表", size=12, bold=True)
    _numbers(page, seen)
    _pictures(page, seen)
    _rules(page, seen)
    paper.line(page, "三、整改", size=12, bold=True)
    mend = [("整改要求", said.requirement), ("期限", said.deadline), ("复查", said.again)]
    paper.grid(page, mend, widths=(3.5, 12.5))
    paper.line(page, "检查人：　　　　　　　　被检查单位负责人：　　　　　　　　　　年　　月　　日")
    return paper.bytes_of(page)


def _note(acting: Acting, what: str, seen: Tally) -> None:
    with acting.demand(Operation.REPORT_EXPORT) as entry:
        body = {"report": what, "since": _stamp(seen.since), "until": _stamp(seen.until)}
        entry.append(acting.person.id, "report-exported", "", body)


def _span(page: Any, config: Config, seen: Tally) -> None:
    rows = [("单位", config.site.unit), ("时间", f"{_day(seen.since)} 至 {_day(seen.until - 1)}")]
    paper.grid(page, rows, widths=(3.5, 12.5))


def _numbers(page: Any, seen: Tally) -> None:
    said = [(ACTIONS.get(name, name), str(number)) for name, number in sorted(seen.actions.items())]
    rate = "—（未标注）" if seen.false_rate is None else f"{seen.false_rate:.1%}（标注 {seen.labelled} 处）"
    rows = [
        ("任务", str(seen.jobs)),
        *said,
        ("误报率", rate),
        ("研判用时（中位数）", length(seen.median_seconds)),
        ("研判用时（95%）", length(seen.p95_seconds)),
        ("逾期未清退", f"{len(seen.overdue)} 份"),
        ("逾期未办结（承印件、会议文件）", f"{len(seen.overdue_orders)} 件"),
    ]
    paper.grid(page, rows, widths=(5.0, 11.0))


def _pictures(page: Any, seen: Tally) -> None:
    for title, rows in (("按窗口", seen.units), ("按级别", seen.levels), ("按来件", seen.sources)):
        if rows:
            paper.line(page, title, bold=True)
            _chart(page, tally.most(rows, 12))
    rules = seen.rules[:12]
    if rules:
        paper.line(page, "按规则（命中任务数、误报数）", bold=True)
        series = {"命中任务": [row.jobs for row in rules], "误报": [row.false_alarms for row in rules]}
        charts.add(page, charts.BAR, [row.rule for row in rules], series)


def _chart(page: Any, rows: tuple[Group, ...]) -> None:
    series = {"放行": [row.jobs - row.stopped for row in rows], "隔离、拦截": [row.stopped for row in rows]}
    charts.add(page, charts.COLUMN, [row.name for row in rows], series)


def _rules(page: Any, seen: Tally) -> None:
    head = ("规则", "命中任务", "确认", "误报", "漏报", "准确率")
    body = [
        (row.rule, str(row.jobs), str(row.confirmed), str(row.false_alarms), str(row.missed), share(row.precision))
        for row in seen.rules[:50]
    ]
    if body:
        paper.grid(page, [head, *body], widths=(6.5, 2.0, 1.7, 1.7, 1.7, 2.4), head=True)


def _people(page: Any, seen: Tally) -> None:
    if seen.people:
        paper.line(page, "按人员", bold=True)
        head = ("账号", "被拒操作", "凭批准放行")
        body = [(row.person, str(row.denied), str(row.released)) for row in seen.people]
        paper.grid(page, [head, *body], widths=(8.0, 4.0, 4.0), head=True)


def length(seconds: float | None) -> str:
    """Return a length of time for people."""
    if seconds is None:
        return "—"
    if seconds < 3_600:
        return f"{seconds / 60:.1f} 分钟"
    return f"{seconds / 3_600:.1f} 小时" if seconds < 172_800 else f"{seconds / 86_400:.1f} 天"


def share(value: float | None) -> str:
    """Return a share for people."""
    return "—" if value is None else f"{value:.1%}"


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%Y-%m-%d}"


def _now() -> str:
    return datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
