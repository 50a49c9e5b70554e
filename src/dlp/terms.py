"""What a person makes of a term that is over: 期满待确认 ends with a signed word, never with the clock.

When a term ends is computed in `dlp.marks.lint`; this module takes the confirmation. A state secret whose term is over
is declassified by law (保守国家秘密法, 2024-05-01, article 24), unless it was extended before; only a person can know.
And what is declassified is not public yet: it still goes through review (article 35).
"""

from __future__ import annotations

from datetime import date
from enum import Enum

from dlp.model import Frozen, Say
from dlp.rights import LAW_2024, Denial, Operation, Person, Why, check
from dlp.standing import Standing, Term

ARTICLE = f"{LAW_2024}第二十四条"


class Ruling(Enum):
    """What was found out about a term that seemed to be over."""

    ENDED = "ended"
    EXTENDED = "extended"


class Confirmation(Frozen, frozen=True, kw_only=True):
    """The word of one classification officer about the term of one file."""

    job: str
    sha256: str
    ruling: Ruling
    until: str = ""
    """ISO date of the new end, when it was extended."""
    basis: str
    """What it rests on: number and date of a notice, or who was asked when."""
    person: str
    natural: str
    at: float
    """Seconds since the epoch, UTC."""


def confirm(
    term: Term,
    ruling: Ruling,
    *,
    signer: Person,
    job: str,
    sha256: str,
    basis: str,
    today: date,
    now: float,
    until: str = "",
) -> Confirmation | Denial:
    """Return the confirmation that a term ended or was extended, or why it cannot be given."""
    refused = check(signer, Operation.TERM_CONFIRM)
    if refused is not None:
        return refused
    if term.standing not in (Standing.OVER, Standing.EVENT):
        return _denial(
            job,
            Say(f"期限并未届满（{term.say.zh}），不得自行解密", f"its term is not over ({term.say.en})"),
            Say("提前解密须由原定密机关决定", "only the organ that set it may end it early"),
        )
    if not basis.strip():
        return _denial(
            job,
            Say("没有写明依据", "no basis was given"),
            Say("写明通知文号或核实对象和时间", "name the notice, or who was asked and when"),
        )
    if ruling is Ruling.EXTENDED and not _is_later(until, today):
        return _denial(
            job,
            Say("没有写明延长到哪一天", "the new end of the term is missing or past"),
            Say("按延期通知填写日期", "give the date of the notice of extension"),
        )
    return Confirmation(
        job=job,
        sha256=sha256,
        ruling=ruling,
        until=until if ruling is Ruling.EXTENDED else "",
        basis=basis.strip(),
        person=signer.id,
        natural=signer.natural,
        at=now,
    )


def _is_later(until: str, today: date) -> bool:
    try:
        return date.fromisoformat(until) > today
    except ValueError:
        return False


def _denial(job: str, what: Say, hint: Say) -> Denial:
    return Denial(
        why=Why.TERM,
        say=Say(
            f"任务 {job} 不能确认期满：{what.zh}", f"the end of the term of job {job} cannot be confirmed: {what.en}"
        ),
        hint=hint,
        article=ARTICLE,
    )
