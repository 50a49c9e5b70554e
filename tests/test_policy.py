"""Clauses, gaps and shadow mode become one verdict."""

from __future__ import annotations

import pytest

from dlp.model import Action, Finding, Gap, GapKind, Item, Level, Regime, Severity
from dlp.policy import DEFAULT, Clause, Policy, When, count, decide, score

ITEM = Item(id="01J", source="folder:外发", path="a.docx", name="a.docx", owner="一号窗口")


def finding(**fields: object) -> Finding:
    """A finding with the fields that a test is about."""
    known = {"rule": "r", "pack": "p", "type": "t", "category": "c", "digest": "d"}
    return Finding(**{**known, **fields})  # type: ignore[arg-type]


def mark(confidence: float = 0.95, regime: Regime = Regime.STATE) -> Finding:
    """A classification mark."""
    return finding(
        type="classification_mark",
        category="mark",
        name="国家秘密标志",
        confidence=confidence,
        regime=regime,
        level=Level.CONFIDENTIAL,
        severity=Severity.CRITICAL,
        masked="机密★10年",
        page=1,
    )


def identity(number: int = 1, severity: Severity = Severity.HIGH) -> Finding:
    """An identifier; `number` tells one person from another."""
    return finding(
        type="cn_resident_id",
        category="identity",
        name="居民身份证号",
        severity=severity,
        level=Level.SENSITIVE,
        digest=f"d{number}",
        masked="110***********002X",
    )


def test_nothing_found_is_allowed() -> None:
    """No finding and no gap is the only way to a plain allow."""
    assert decide(ITEM, (), (), DEFAULT, "sha256:0").action is Action.ALLOW


@pytest.mark.parametrize("kind", list(GapKind))
def test_a_gap_is_never_clean(kind: GapKind) -> None:
    """Whatever could not be read is held, and the reason says so."""
    verdict = decide(ITEM, (), (Gap(kind=kind),), DEFAULT, "sha256:0")
    assert verdict.action is Action.QUARANTINE
    assert "未能读取" in verdict.reasons[0].say.zh


@pytest.mark.parametrize("action", [Action.ALLOW, Action.ALERT, Action.REDACT])
def test_the_action_for_gaps_cannot_be_mild(action: Action) -> None:
    """An administrator cannot turn `could not read` into `clean`."""
    with pytest.raises(ValueError, match="never clean"):
        Policy(gaps=action)


def test_a_state_mark_blocks_with_level_regime_and_article() -> None:
    """The verdict on a mark names the level, whose secret it is, the page and the article."""
    verdict = decide(ITEM, (mark(),), (), DEFAULT, "sha256:0")
    assert (verdict.action, verdict.level, verdict.regime) == (Action.BLOCK, Level.CONFIDENTIAL, Regime.STATE)
    (reason,) = verdict.reasons
    assert "第1页" in reason.say.zh
    assert "机密★10年" in reason.say.zh
    assert "第三十一条" in reason.article


def test_a_suspect_mark_is_held_for_a_person() -> None:
    """What only looks like a mark is not blocked by the machine and not released either."""
    assert decide(ITEM, (mark(confidence=0.6),), (), DEFAULT, "").action is Action.QUARANTINE


def test_one_id_number_is_redacted_and_fifty_people_are_held() -> None:
    """The same type of hit grows graver with the number of distinct people, not of hits."""
    assert decide(ITEM, (identity(),), (), DEFAULT, "").action is Action.REDACT
    fifty = tuple(identity(n) for n in range(50))
    assert decide(ITEM, fifty, (), DEFAULT, "").action is Action.QUARANTINE
    same = tuple(identity(1) for _ in range(200))
    assert decide(ITEM, same, (), DEFAULT, "").action is Action.REDACT


def test_verdicts_combine_by_the_gravest() -> None:
    """A mark beside an ID number blocks; the milder reason stays in the explanation."""
    verdict = decide(ITEM, (identity(), mark()), (), DEFAULT, "")
    assert verdict.action is Action.BLOCK
    assert [r.action for r in verdict.reasons] == [Action.BLOCK, Action.REDACT]


def test_a_milder_reason_about_the_same_findings_is_not_repeated() -> None:
    """A blocked mark is not also reported as a held mark."""
    verdict = decide(ITEM, (mark(),), (), DEFAULT, "")
    assert [r.clause for r in verdict.reasons] == ["state-marks"]


def test_terms_count_once_each_and_by_category() -> None:
    """A word that stands a hundred times weighs as much as once; two categories do not add up."""

    def term(number: int, category: str) -> Finding:
        return finding(type="term", category=category, weight=9.0, digest=f"t{number}")

    many = tuple(term(1, "finance") for _ in range(100))
    assert score(many) == 9.0
    assert decide(ITEM, many, (), DEFAULT, "").action is Action.ALLOW
    four = tuple(term(n, "finance") for n in range(4))
    assert decide(ITEM, four, (), DEFAULT, "").action is Action.QUARANTINE
    split = (term(1, "finance"), term(2, "finance"), term(3, "contract"), term(4, "contract"))
    assert decide(ITEM, split, (), DEFAULT, "").action is Action.ALERT


def test_a_table_counts_its_rows() -> None:
    """A roster of sixty rows stands for sixty people."""
    assert count((finding(type="structure", count=60),)) == 60


def test_channel_and_owner_choose_the_clause() -> None:
    """A clause for one counter does not speak of another; names take `*`."""
    clause = Clause(name="x", action=Action.BLOCK, when=When(channel=("folder:外*",), owner=("一号*",), type=("t",)))
    policy = Policy(clauses=(clause,))
    assert decide(ITEM, (finding(),), (), policy, "").action is Action.BLOCK
    other = Item(id="2", source="folder:外发", path="a", name="a", owner="二号窗口")
    assert decide(other, (finding(),), (), policy, "").action is Action.ALLOW


def test_a_clause_may_speak_of_gaps() -> None:
    """A site may block encrypted files while other gaps are held."""
    clause = Clause(name="enc", action=Action.BLOCK, when=When(gap=(GapKind.ENCRYPTED,)))
    policy = Policy(clauses=(clause,))
    assert decide(ITEM, (), (Gap(kind=GapKind.ENCRYPTED),), policy, "").action is Action.BLOCK
    assert decide(ITEM, (), (Gap(kind=GapKind.CORRUPT),), policy, "").action is Action.QUARANTINE


def test_shadow_site_decides_records_and_allows() -> None:
    """In shadow mode nothing is stopped and the verdict says what would have been done."""
    verdict = decide(ITEM, (mark(),), (), Policy(shadow=True), "")
    assert (verdict.action, verdict.shadowed) == (Action.ALLOW, Action.BLOCK)
    assert verdict.reasons


def test_shadow_clause_alone_does_not_act() -> None:
    """One clause on trial is recorded while the others act."""
    trial = Clause(name="trial", action=Action.BLOCK, when=When(type=("t",)), shadow=True)
    verdict = decide(ITEM, (finding(),), (), Policy(clauses=(trial,)), "")
    assert (verdict.action, verdict.shadowed) == (Action.ALLOW, Action.BLOCK)


def test_the_policy_digest_tells_two_policies_apart() -> None:
    """Same policy, same digest; one changed clause, another digest."""
    assert Policy().digest == Policy().digest
    assert Policy().digest != Policy(shadow=True).digest
