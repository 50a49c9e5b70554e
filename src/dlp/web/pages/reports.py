"""What a month was like, in numbers and charts; and the reports that are printed and signed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Response

from dlp import tally
from dlp.errors import UsageError
from dlp.model import Action, Say
from dlp.rights import Operation
from dlp.service import reports
from dlp.service.reports import Inspection
from dlp.tally import Group, Tally
from dlp.web.answers import kept, moment
from dlp.web.leaf import leaf
from dlp.web.pages.jobs import ACTIONS
from dlp.web.visit import Does, Reads

router = APIRouter()
MOST = 12
"""Bars of one chart; the rest is one bar."""
LABEL, WIDTH, STEP = 190, 350, 26
"""Of a chart, in its own units: room for names, the longest bar, from bar to bar."""
MOST_NAME = 25
"""Letters of a name beside its bar."""


class Row(NamedTuple):
    """What one bar shows: its name, its parts with their class, and what is written behind it."""

    name: str
    parts: tuple[tuple[int, str], ...]
    number: str

    @property
    def whole(self) -> int:
        """Return how long it is."""
        return sum(count for count, _ in self.parts)


class Bar(NamedTuple):
    """One line of a chart: its name, its parts as places and widths with their class, and its number."""

    name: str
    y: int
    parts: tuple[tuple[float, float, str], ...]
    end: float
    number: str


class Chart(NamedTuple):
    """Bars, drawn by the server as a picture of lines: no script draws it, and it prints."""

    title: Say
    bars: tuple[Bar, ...]
    key: tuple[tuple[str, Say], ...]

    @property
    def height(self) -> int:
        """Return its height."""
        return STEP * len(self.bars) + 8


@router.get("/reports")
def month(about: Reads, month: Annotated[str, Query(max_length=7)] = "") -> Response:
    """Show what a month was like."""
    since, until = reports.month(month or None)
    seen = reports.count(about.desk.acting, since, until)
    named = f"{datetime.fromtimestamp(since).astimezone():%Y-%m}"
    today = f"{datetime.now().astimezone():%Y-%m-%d}"
    words: dict[str, Any] = {
        "seen": seen,
        "month": named,
        "actions": ACTIONS,
        "charts": charts(seen, about.language),
        "today": today,
    }
    return leaf(about, "reports.html", length=reports.length, share=reports.share, first=f"{named}-01", **words)


@router.post("/reports/month")
def month_paper(about: Does) -> Response:
    """Hand a month out as a Word file."""
    named = about.field("month")
    since, until = reports.month(named)
    paper = reports.month_paper(about.desk.acting, reports.count(about.desk.acting, since, until))
    return kept(paper, f"保密工作月报-{named}.docx", "docx")


@router.post("/reports/inspection")
def inspection(about: Does) -> Response:
    """Hand an inspection report out as a Word file."""
    about.desk.acting.may(Operation.REPORT_EXPORT)
    since, until = moment(about.field("since")), moment(about.field("until"), whole_day=True)
    if since is None or until is None or since >= until:
        raise UsageError(Say("起止时间颠倒", "it ends before it begins"))
    who = tuple(name for name in about.field("inspectors").replace("，", "、").replace(",", "、").split("、") if name)
    said = Inspection(
        inspectors=tuple(name.strip() for name in who),
        **{key: about.field(key, "") for key in ("scope", "requirement", "deadline", "again")},
    )
    seen = reports.count(about.desk.acting, since, until)
    return kept(
        reports.inspection_paper(about.desk.acting, seen, said), f"保密检查报告-{about.field('until')}.docx", "docx"
    )


def charts(seen: Tally, language: str) -> tuple[Chart, ...]:
    """Return the charts of a span of time; those without a bar are left out."""
    verdicts = [
        Row(say.to(language), ((count, "stopped" if action >= Action.QUARANTINE else ""),), str(count))
        for action, say in ACTIONS.items()
        if (count := seen.actions.get(action.value, 0))
    ]
    by_verdict = _chart(Say("按结论", "By verdict"), verdicts, ())
    stopped = (("", Say("其他", "others")), ("stopped", Say("隔离、拦截", "held or blocked")))
    grouped = (
        _chart(title, [_group(row) for row in tally.most(rows, MOST)], stopped)
        for title, rows in (
            (Say("按级别", "By level"), seen.levels),
            (Say("按部门或窗口", "By unit"), seen.units),
            (Say("按来件", "By source"), seen.sources),
        )
    )
    rules = [
        Row(row.rule, ((row.jobs, ""), (row.false_alarms, "false")), f"{row.jobs} · {row.false_alarms}")
        for row in seen.rules[:MOST]
    ]
    key = (("", Say("命中任务", "jobs hit")), ("false", Say("误报", "false alarms")))
    return tuple(one for one in (by_verdict, *grouped, _chart(Say("按规则", "By rule"), rules, key)) if one.bars)


def _group(row: Group) -> Row:
    number = f"{row.jobs}（{row.stopped}）" if row.stopped else str(row.jobs)
    return Row(row.name, ((row.jobs - row.stopped, ""), (row.stopped, "stopped")), number)


def _chart(title: Say, rows: Sequence[Row], key: tuple[tuple[str, Say], ...]) -> Chart:
    most = max((row.whole for row in rows), default=0) or 1
    bars = []
    for number, row in enumerate(rows):
        at, drawn = float(LABEL), []
        for count, css in row.parts:
            width = round(WIDTH * count / most, 1)
            drawn.append((round(at, 1), width, css))
            at += width
        bars.append(Bar(_short(row.name), 6 + STEP * number, tuple(drawn), round(at + 6, 1), row.number))
    return Chart(title, tuple(bars), key)


def _short(name: str) -> str:
    """Return a name that fits beside its bar: a letter of Han takes twice the room."""
    room = MOST_NAME
    for number, letter in enumerate(name):
        room -= 1 if letter.isascii() else 2
        if room < 0:
            return f"{name[:number]}…"
    return name
