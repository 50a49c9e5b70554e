"""Marks of a whole document: when a term is over, a missing copy number, marks that contradict each other."""

from __future__ import annotations

import calendar
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.config import Config
from dlp.marks import lint
from dlp.match import Matcher
from dlp.model import Document, Finding, Level, Mark, Regime, Segment
from dlp.service.gate import load_packs

FACTS = Path(__file__).resolve().parents[1].parent / "shared" / "domain" / "marks.json"
TODAY = date(2026, 11, 23)
MATCHER = Matcher([p for p in load_packs(Config()) if p.id == "cn.marks"], key=bytes(32))
PAPER = (
    "{head}\n特急\n\n某某市人民政府办公室文件\n\n某政办发〔2020〕12号\n\n关于某项工作的通知\n\n"
    "各单位：\n正文。\n\n某某办公室\n{end}\n抄送：某单位"
)


def marks(*texts: str, parts: tuple[tuple[str, ...], ...] = (), today: date = TODAY) -> list[Finding]:
    """Return the marks of a document of these segments, dated."""
    segments = tuple(Segment(text=t, part=parts[n] if parts else ()) for n, t in enumerate(texts))
    found = MATCHER.find(Document(media="text/plain", segments=segments))[0]
    return [f for f in lint.dated(found, today) if f.mark is not None]


def issues(*texts: str, parts: tuple[tuple[str, ...], ...] = (), today: date = TODAY) -> list[tuple[str, ...]]:
    """Return the issues of each mark."""
    return [f.mark.issues for f in marks(*texts, parts=parts, today=today) if f.mark]


@pytest.mark.parametrize(
    "end", ["2003年5月1日", "二〇〇三年五月一日", "某某办公室  2003年5月1日印发", "制发日期：2003年5月1日"]
)
def test_a_term_that_is_over_wants_a_person(end: str) -> None:
    """机密★20年 of 2003 ended in 2023: the mark stays a mark, and somebody must confirm."""
    text = PAPER.format(head="000123\n机密★20年", end=end)
    assert issues(text) == [(lint.EXPIRED,)]
    assert issues(text, today=date(2023, 4, 30)) == [()]
    assert issues(text, today=date(2023, 5, 1)) == [(lint.EXPIRED,)]
    assert marks(text)[0].confidence >= 0.8


def test_without_a_day_of_issue_nothing_is_said() -> None:
    """A date in the middle of a sentence is no day of issue."""
    assert issues("000123\n机密★20年\n自2003年5月1日起施行的规定。") == [()]
    assert issues("机密★长期\n\n2003年5月1日") == [()]
    assert issues("000123\n秘密★2020年12月31日\n正文") == [(lint.EXPIRED,)]


def test_an_official_paper_with_a_mark_wants_a_copy_number() -> None:
    """涉密公文应当标注份号; a note with a mark, and a paper without one, want none."""
    assert issues(PAPER.format(head="机密★20年", end="")) == [(lint.NO_COPY_NUMBER,)]
    assert issues(PAPER.format(head="000123\n机密★20年", end="")) == [()]
    assert issues(PAPER.format(head="No.000123\n机密★20年", end="")) == [()]
    assert issues("机密★20年\n一份便笺") == [()]


def test_marks_that_contradict_each_other_are_told() -> None:
    """Two levels on two pages or attachments: both say so; the same mark repeated does not."""
    one, two = "机密★10年\n甲方案正文若干", "秘密★5年\n乙附件正文若干"
    assert issues(one, two, parts=(("a.docx",), ("b.docx",))) == [(lint.CONFLICT,), (lint.CONFLICT,)]
    assert issues(one, one, parts=(("a.docx",), ("b.docx",))) == [(), ()]


def test_the_paragraph_mark_of_a_secret_passage_is_no_conflict() -> None:
    """A level before a paragraph speaks of that paragraph only (标注密点)."""
    told = issues("机密★10年\n方案\n\n一、概况。（秘密★5年）本段为某项工作的安排，其余内容略去不表。")
    assert (lint.CONFLICT,) not in told[:1]


def test_the_cases_of_the_domain_sheet() -> None:
    """The nine expiry cases come out as the sheet gives them, on its day."""
    if not FACTS.exists():
        pytest.skip("the domain facts (../shared) are not beside this checkout")
    for case in json.loads(FACTS.read_text(encoding="utf-8"))["expiry_cases"]:
        (found,) = [f for f in marks(f"{case['mark']}\n") if f.mark]
        mark = found.mark
        assert mark is not None
        wanted = case["status_on_2026_11_23"]
        if "标志使用不当" in wanted:
            assert "标志使用不当" in mark.issues
            continue
        assert (mark.level.value if mark.level else None) == case["level"]
        assert mark.term == case["term"]
        since = date.fromisoformat(case["issued"]) if case["issued"] else None
        said = lint.status(mark, since, TODAY).say.zh
        if "异常" in wanted:
            assert "期限超限" in mark.issues
        elif "不自动到期" in wanted:
            assert "不自动到期" in said
        elif "期满" in wanted:
            assert "期满（2023-05-01）自行解密，须人工确认有无延期通知" in said
        else:
            assert "有效" in said
            assert ("最长" in said) == ("最长" in wanted)
            ending = lint.ends(mark.level, mark.term, since)
            assert ending is not None
            assert ending.isoformat() in wanted or case["term"] == "2027-12-31"


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(1, 30))
def test_years_end_on_the_same_day_or_the_last_of_the_month(since: date, years: int) -> None:
    """29 February ends on 28 in a common year; every other day stays."""
    until = lint.ends(Level.SECRET, f"{years}年", since)
    assert until is not None
    assert (until.year, until.month) == (since.year + years, since.month)
    assert until.day == min(since.day, calendar.monthrange(until.year, until.month)[1])


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(1, 36))
def test_months_end_on_the_same_day_or_the_last_of_the_month(since: date, months: int) -> None:
    """31 August and six months is the last of February."""
    until = lint.ends(Level.SECRET, f"{months}个月", since)
    assert until is not None
    assert 12 * until.year + until.month == 12 * since.year + since.month + months
    assert until.day == min(since.day, calendar.monthrange(until.year, until.month)[1])


@pytest.mark.parametrize(
    ("level", "term", "until"),
    [
        (Level.TOP_SECRET, None, "2030-03-01"),
        (Level.SECRET, None, "2010-03-01"),
        (Level.SECRET, "30日", "2000-03-31"),
        (Level.SECRET, "长期", None),
        (Level.SECRET, "会议召开前", None),
        (Level.SECRET, "2027-12", "2027-12-28"),
        (None, None, None),
    ],
)
def test_the_end_of_a_term(level: Level | None, term: str | None, until: str | None) -> None:
    """A missing term is the longest of its level; an event has no day."""
    found = lint.ends(level, term, date(2000, 3, 1))
    assert (found.isoformat() if found else None) == until


def test_no_status_ever_lets_go() -> None:
    """Foreign and work marks have no state term; a state one without a day says so."""
    assert "不是国家秘密" in lint.status(Mark(level=Level.SENSITIVE, regime=Regime.WORK), None, TODAY).say.zh
    assert "无法计算" in lint.status(Mark(level=Level.SECRET, regime=Regime.STATE, term="5年"), None, TODAY).say.zh
