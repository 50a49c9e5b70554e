"""The term of a mark: how long, until which day, until which event; and what is wrong with it.

Form: level★term, level★day of declassification, level★condition of declassification. Longest terms: 30 years for
绝密, 20 for 机密, 10 for 秘密 (保守国家秘密法, 2024-05-01, article 20).
"""

from __future__ import annotations

import re

from dlp.model import Level

NO_TERM = "期限缺失"
TOO_LONG = "期限超限"
MISUSED = "标志使用不当"

LONGEST_YEARS = {Level.TOP_SECRET: 30, Level.CONFIDENTIAL: 20, Level.SECRET: 10}

_NUMBER = "(?:[0-9]{1,3}|[一二三四五六七八九十百]{1,4})"
TERM = (
    "(?:长期|永久|启用前|使用前|"
    "(?:会议|考试|活动)(?:召开|开始|结束|完毕)前|开考前|正式(?:公布|公开|发布)前|公[布开]前|使用完毕前|"
    "[0-9]{4} {0,2}年 {0,2}[0-9]{1,2} {0,2}月(?: {0,2}[0-9]{1,2} {0,2}日)?前?|"
    "[0-9]{4}[-./][0-9]{1,2}[-./][0-9]{1,2}前?|"
    "[0-9]{4}年(?:底?前)?|"
    f"{_NUMBER} {{0,4}}(?:年|个?月|日|天)|"
    "[一-龥]{2,10}(?:前|后解密))"
)
"""What can stand behind the star, in the normalized text: bounded, so that it is linear."""

_CLEAR_TERM = re.compile(
    "长期|永久|公布前|[启使]用前|开考前|考试(?:开始|结束)前|"
    f"{_NUMBER} {{0,4}}(?:年|个?月|日|天)|"
    "[0-9]{4} {0,2}年 {0,2}[0-9]{1,2} {0,2}月"
)
_DAY = re.compile(r"([0-9]{4}) {0,2}[年./-] {0,2}([0-9]{1,2})(?: {0,2}[月./-] {0,2}([0-9]{1,2})| {0,2}月)")
_SPAN = re.compile(f"({_NUMBER}) {{0,4}}(年|个?月|日|天)")
_UNITS = {"年": "年", "月": "个月", "个月": "个月", "日": "日", "天": "日"}
_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")}


def normalize(raw: str) -> str | None:
    """Return `10年`, `6个月`, `30日`, `长期`, `启用前` or another condition, an ISO date or month; None for nothing."""
    text = raw.strip()
    if not text:
        return None
    if text in {"长期", "永久"}:
        return "长期"
    day = _DAY.match(text)
    if day:
        parts = [day[1], day[2].zfill(2), *([day[3].zfill(2)] if day[3] else [])]
        return "-".join(parts)
    span = _SPAN.fullmatch(text)
    if span:
        return f"{_count(span[1])}{_UNITS[span[2]]}"
    return text


def is_plain(raw: str) -> bool:
    """Tell whether a term is one of the usual ones, so that even a smudged star before it is a star."""
    return _CLEAR_TERM.match(raw.strip()) is not None


def faults(level: Level | None, term: str | None) -> tuple[str, ...]:
    """Return what is wrong with the term of a state-secret mark: none at all, or longer than the law's longest.

    A term longer than the longest is an anomaly, not void: article 20 leaves room for exceptions.
    """
    if term is None:
        return (NO_TERM,)
    longest = LONGEST_YEARS.get(level) if level else None
    span = re.fullmatch(r"([0-9]+)(年|个月)", term)
    if longest and span:
        months = int(span[1]) * (12 if span[2] == "年" else 1)
        if months > longest * 12:
            return (TOO_LONG,)
    return ()


def _count(number: str) -> int:
    """Return the value of Arabic or Chinese digits up to 999: 十, 二十, 三十五, 一百."""
    if number.isascii():
        return int(number)
    total = digit = 0
    for char in number:
        if char in "十百":
            total += (digit or 1) * (10 if char == "十" else 100)
            digit = 0
        else:
            digit = _HAN_DIGITS[char]
    return total + digit
