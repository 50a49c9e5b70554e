"""A term that is over is over when a person says so, never when the clock does."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from dlp.marks import lint
from dlp.model import Finding, Level, Mark, Regime
from dlp.rights import Denial, Person, Role, Why
from dlp.standing import Standing, Term
from dlp.terms import Confirmation, Ruling, confirm
from offices import CHIEF, CLASSIFIER, CLERK, OFFICER, SHA, START, person

TODAY = date(2026, 11, 28)
OLD = Mark(level=Level.CONFIDENTIAL, regime=Regime.STATE, term="20年", until="2023-05-01")


def finding(mark: Mark) -> Finding:
    """Return the finding of a mark as it is kept in the books."""
    return Finding(rule="cn.marks.state-star", pack="cn.marks", type="classification_mark", category="mark", mark=mark)


def asked(term: Term, ruling: Ruling = Ruling.ENDED, signer: Person = CLASSIFIER, **changes: Any) -> Any:
    """Ask for a confirmation that lacks nothing but what `changes` say."""
    fields: dict[str, Any] = {
        "job": "01JOB",
        "sha256": SHA,
        "basis": "某厅复函〔2026〕8号",
        "today": TODAY,
        "now": START,
    }
    return confirm(term, ruling, signer=signer, **{**fields, **changes})


@pytest.mark.parametrize(
    ("mark", "since", "standing", "until"),
    [
        (OLD, None, Standing.OVER, date(2023, 5, 1)),
        (Mark(level=Level.CONFIDENTIAL, regime=Regime.STATE, term="20年"), date(2003, 5, 1), Standing.OVER, None),
        (Mark(level=Level.CONFIDENTIAL, regime=Regime.STATE), date(2010, 1, 1), Standing.RUNNING, date(2030, 1, 1)),
        (Mark(level=Level.SECRET, regime=Regime.STATE, term="5年"), None, Standing.UNKNOWN, None),
        (Mark(level=Level.SECRET, regime=Regime.STATE, term="长期"), date(1990, 1, 1), Standing.LONG, None),
        (Mark(level=Level.TOP_SECRET, regime=Regime.EXAM, term="启用前"), None, Standing.EVENT, None),
        (Mark(level=Level.SENSITIVE, regime=Regime.WORK, term="3年"), date(2000, 1, 1), Standing.NONE, None),
    ],
)
def test_how_a_term_stands(mark: Mark, since: date | None, standing: Standing, until: date | None) -> None:
    """保密法 第二十条、第二十四条: from the day of issue, or from the end that was computed when it was read."""
    found = lint.status(mark, since, TODAY)
    assert found.standing is standing
    if until is not None:
        assert found.until == until
    assert found.say.zh
    assert found.say.en


def test_kept_findings_are_asked_again_on_a_later_day() -> None:
    """A mark that ran when it was read is 期满待确认 on a later day, told once however often it is asked."""
    running = finding(Mark(level=Level.SECRET, regime=Regime.STATE, term="5年", until="2026-11-28"))
    assert lint.dated([running], date(2026, 11, 27)) == (running,)
    (over,) = lint.dated([running], TODAY)
    assert over.mark is not None
    assert over.mark.issues == (lint.EXPIRED,)
    assert lint.dated([over], date(2027, 1, 1)) == (over,)
    assert (over.mark.level, over.mark.regime) == (Level.SECRET, Regime.STATE)


def test_the_classification_officer_confirms_with_a_basis() -> None:
    """定密审核员 says that it ended, or until when it was extended; his word names file, basis and moment."""
    over = lint.status(OLD, None, TODAY)
    word = asked(over)
    assert isinstance(word, Confirmation)
    assert (word.job, word.sha256, word.ruling, word.person, word.at) == (
        "01JOB",
        SHA,
        Ruling.ENDED,
        "classifier",
        START,
    )
    longer = asked(over, Ruling.EXTENDED, until="2033-05-01")
    assert isinstance(longer, Confirmation)
    assert longer.until == "2033-05-01"
    event = lint.status(Mark(level=Level.TOP_SECRET, regime=Regime.EXAM, term="启用前"), None, TODAY)
    assert isinstance(asked(event), Confirmation)


@pytest.mark.parametrize("signer", [CLERK, OFFICER, CHIEF, person("gone", Role.CLASSIFIER, active=False)])
def test_nobody_else_confirms(signer: Person) -> None:
    """Neither those who want it out nor those who approve it."""
    assert isinstance(asked(lint.status(OLD, None, TODAY), signer=signer), Denial)


@pytest.mark.parametrize(
    "mark",
    [
        Mark(level=Level.CONFIDENTIAL, regime=Regime.STATE, term="20年", until="2026-11-29"),
        Mark(level=Level.CONFIDENTIAL, regime=Regime.STATE, term="长期"),
        Mark(level=Level.CONFIDENTIAL, regime=Regime.STATE, term="20年"),
        Mark(level=Level.SENSITIVE, regime=Regime.WORK),
    ],
)
def test_what_is_not_over_is_not_confirmed(mark: Mark) -> None:
    """Only the organ that set a term ends it early (保密法 第二十四条)."""
    refused = asked(lint.status(mark, None, TODAY))
    assert isinstance(refused, Denial)
    assert refused.why is Why.TERM
    assert "01JOB" in refused.say.zh
    assert "01JOB" in refused.say.en
    assert "第二十四条" in refused.article


@pytest.mark.parametrize(
    ("ruling", "changes"),
    [
        (Ruling.ENDED, {"basis": "  "}),
        (Ruling.EXTENDED, {"until": ""}),
        (Ruling.EXTENDED, {"until": "明年"}),
        (Ruling.EXTENDED, {"until": "2026-11-28"}),
    ],
)
def test_a_confirmation_says_what_it_rests_on(ruling: Ruling, changes: dict[str, Any]) -> None:
    """No basis, or an extension into the past, is none."""
    refused = asked(lint.status(OLD, None, TODAY), ruling, **changes)
    assert isinstance(refused, Denial)
    assert refused.why is Why.TERM
