"""What is wrong with the marks of a whole document: out of date, without a copy number, one against another.

A single mark is read by `dlp.marks.read`; this looks at all of them together with the document they stand in. The day
of judgement is handed in: the same bytes on the same day give the same answer.

Sources: 保守国家秘密法 (2024-05-01) articles 20 and 24; 实施条例 (2024-09-01) article 19; GB/T 9704-2012 7.2.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from dlp.marks.signs import COPY_NUMBER
from dlp.marks.term import LONGEST_YEARS
from dlp.model import Finding, Level, Mark, Regime, Say, evolve
from dlp.standing import Standing, Term
from dlp.text import View, end_lines, top_lines

EXPIRED = "期满待确认"
NO_COPY_NUMBER = "份号缺失"
CONFLICT = "密级不一致"

MOST_LINES = 60
"""Lines at the top in which an official paper has its number, and at the end in which it has its date."""
HEAD_LINES = 8
_MARK = 0.8  # confidence from which a candidate is a mark

_DAY = "([0-9]{4}) ?年 ?([0-9]{1,2}) ?月 ?([0-9]{1,2}) ?日"
_HAN_DAY = "([二一][〇零一二三四五六七八九]{3})年([一二三四五六七八九十]{1,3})月([一二三四五六七八九十]{1,3})日"
_LABELLED = re.compile(f"(?:制发|成文|印发|签发|发文)(?:日期|时间) {{0,2}}[:|\t] {{0,2}}{_DAY}")
_ALONE = re.compile(f"(?:{_DAY}|{_HAN_DAY})")
_PRINTED = re.compile(f"{_DAY} {{0,2}}(?:印发|制发)")
_NUMBER = re.compile("[一-龥]{1,20}[〔\\[(](?:19|20)[0-9]{2}[〕\\])] ?[0-9]{1,5} ?号(?: {0,20}签发人.{0,20})?")
_SPAN = re.compile("([0-9]+)(年|个月|日)")
_ISO = re.compile("([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")
_HAN_DIGITS = {c: i for i, c in enumerate("〇一二三四五六七八九")} | {"零": 0}


def issued(view: View) -> date | None:
    """Return the day on which the document was issued, as it says itself: by label, by its own line, by 印发."""
    # the last one counts: above it others are cited
    ending = [line for line in end_lines(view, MOST_LINES) if len(line) <= 60]
    for pattern, whole in ((_LABELLED, False), (_ALONE, True), (_PRINTED, False)):
        for line in ending:
            found = pattern.fullmatch(line) if whole else pattern.search(line)
            day = _day(found) if found else None
            if day is not None:
                return day
    return None


def ends(level: Level | None, term: str | None, since: date | None) -> date | None:
    """Return the day on which a state secret's term is over; None while that depends on an event or on no known day.

    A mark without a term is read as the longest one of its level (article 20).
    """
    day = _ISO.fullmatch(term) if term else None
    if day:
        return _checked(int(day[1]), int(day[2]), int(day[3]) if day[3] else 28)
    if since is None:
        return None
    if term is None:
        return _later(since, months=12 * LONGEST_YEARS[level]) if level in LONGEST_YEARS else None
    span = _SPAN.fullmatch(term)
    if span is None:
        return None
    count = int(span[1])
    if span[2] == "日":
        return date.fromordinal(since.toordinal() + count) if count < 100_000 else None
    return _later(since, months=count * (12 if span[2] == "年" else 1))


def status(mark: Mark, since: date | None, today: date) -> Term:
    """Return how a mark's term stands on a day; nothing ever says that it may go out.

    Without a day of issue, the end that was computed when the document was read (`Mark.until`) counts.
    """
    if mark.regime is not Regime.STATE and mark.regime is not Regime.EXAM:
        return Term(Standing.NONE, None, Say("不是国家秘密标志", "this is no state-secret mark"))
    if mark.term == "长期":
        return Term(Standing.LONG, None, Say("长期，不自动到期", "long-term, it does not expire by itself"))
    until = ends(mark.level, mark.term, since) or (date.fromisoformat(mark.until) if mark.until else None)
    if until is None and mark.term is not None and not _SPAN.fullmatch(mark.term):
        said = Say("条件式，不自动到期；须确认条件是否成就", "it ends with an event, which a person must confirm")
        return Term(Standing.EVENT, None, said)
    if until is None:
        said = Say("制发日期不明，期限无法计算", "no day of issue is known, so the end cannot be computed")
        return Term(Standing.UNKNOWN, None, said)
    basis = Say("", "") if mark.term else Say("未标期限，按最长期限计，", "no term is stated, the longest is assumed; ")
    if until <= today:
        said = Say(
            f"{basis.zh}期满（{until}）自行解密，须人工确认有无延期通知",
            f"{basis.en}the term ended on {until}; a person must confirm that it was not extended",
        )
        return Term(Standing.OVER, until, said)
    return Term(Standing.RUNNING, until, Say(f"{basis.zh}至{until}，有效", f"{basis.en}valid until {until}"))


def judge(view: View, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of marks with the end of each term and the faults that only the whole document shows."""
    if not any(_is_state(f) for f in findings):
        return list(findings)
    since = issued(view)
    rivals = {(f.mark.level, f.mark.term) for f in findings if f.mark is not None and _stands_for_all(f)}
    lacks = _lacks_copy_number(view)
    told = []
    for found in findings:
        mark = found.mark
        if mark is None or not _is_state(found):
            told.append(found)
            continue
        issues = mark.issues
        if lacks and mark.level is not None and mark.level >= Level.SECRET:
            issues += (NO_COPY_NUMBER,)
        if len(rivals) > 1 and _stands_for_all(found):
            issues += (CONFLICT,)
        until = ends(mark.level, mark.term, since)
        told.append(
            evolve(found, mark=evolve(mark, issues=issues, until=until.isoformat() if until is not None else ""))
        )
    return told


def dated(findings: Sequence[Finding], today: date) -> tuple[Finding, ...]:
    """Return the findings, those whose term is over on `today` marked as to be confirmed. The mark stays a mark.

    Findings that were kept can be asked again on a later day; one that is marked already stays as it is.
    """

    def tell(found: Finding) -> Finding:
        mark = found.mark
        if mark is None or EXPIRED in mark.issues or not mark.until or date.fromisoformat(mark.until) > today:
            return found
        late: Finding = evolve(found, mark=evolve(mark, issues=(*mark.issues, EXPIRED)))
        return late

    return tuple(map(tell, findings))


def _is_state(found: Finding) -> bool:
    return found.mark is not None and found.mark.regime is Regime.STATE and found.confidence >= _MARK


def _stands_for_all(found: Finding) -> bool:
    """Tell whether a mark speaks of its page or part, not of the paragraph that it opens."""
    places = ("alone", "header", "first-lines", "file-name", "metadata", "stamp", "family:label_value")
    return _is_state(found) and any(why.startswith(places) for why in found.why)


def _lacks_copy_number(view: View) -> bool:
    """Tell whether this is an official paper (it has its number on a line) without a copy number in its head."""
    head = top_lines(view, MOST_LINES)
    if not any(_NUMBER.fullmatch(line) for line in head):
        return False
    return not any(COPY_NUMBER.match(line) for line in head[:HEAD_LINES])


def _day(found: re.Match[str]) -> date | None:
    groups = found.groups()
    if groups[0]:
        return _checked(*map(int, groups[:3]))
    year, month, day = groups[3:6]
    return _checked(int("".join(str(_HAN_DIGITS[c]) for c in year)), _small(month), _small(day))


def _small(number: str) -> int:
    """Return the value of Han digits up to 99."""
    tens, ten, ones = number.rpartition("十")
    if not ten:
        return _HAN_DIGITS[ones] if len(ones) == 1 else 0
    return 10 * (_HAN_DIGITS.get(tens, 1) if tens else 1) + (_HAN_DIGITS.get(ones, 0) if ones else 0)


def _checked(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _later(since: date, *, months: int) -> date | None:
    """Return the same day some months on; in a shorter month its last day."""
    year, month = divmod(since.month - 1 + months, 12)
    days = (_checked(since.year + year, month + 1, day) for day in range(since.day, max(0, since.day - 4), -1))
    return next((day for day in days if day is not None), None)
