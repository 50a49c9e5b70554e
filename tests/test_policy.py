"""Clauses, gaps and shadow mode become one verdict."""

from __future__ import annotations

import pytest

from dlp import persons
from dlp.model import Action, Finding, Gap, GapKind, Item, Level, Regime, Severity, evolve
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


def people(kind: str, number: int, start: int = 0) -> list[Finding]:
    """Identifiers of one type, each of another value."""
    return [
        finding(type=kind, category="identity", name=kind, severity=Severity.MEDIUM, digest=f"{kind}{n}")
        for n in range(start, start + number)
    ]


def test_persons_are_counted_not_hits() -> None:
    """Three numbers of each person are one person; two kinds of certificates are two people."""
    assert persons.count([*people("cn_resident_id", 30), *people("cn_mobile", 30), *people("bank_card", 20)]) == 30
    assert persons.count([*people("cn_resident_id", 30), *people("cn_passport", 5)]) == 35
    assert persons.count(people("cn_mobile", 7) * 9) == 7
    assert persons.count([evolve(one, exempt="本单位") for one in people("cn_mobile", 7)]) == 0


@pytest.mark.parametrize(
    ("kind", "number", "clause"),
    [
        ("cn_mobile", 49, "contacts"),
        ("cn_mobile", 50, "personal-bulk"),
        ("cn_mobile", 4_999, "personal-bulk"),
        ("cn_mobile", 5_000, "personal-5000"),
        ("medical_no", 499, "personal-bulk"),
        ("medical_no", 500, "health-500"),
        ("bank_card", 50, "property-50"),
    ],
)
def test_the_bands_of_the_interpretation(kind: str, number: int, clause: str) -> None:
    """50 for property, 500 for health, 5,000 for the rest; the reason says how many people (法释〔2017〕10号)."""
    verdict = decide(ITEM, people(kind, number), (), DEFAULT, "sha256:0")
    assert verdict.reasons[0].clause == clause
    assert (f"约 {number} 人" in verdict.reasons[0].say.zh) == (number >= 50)


def test_an_unmarked_secret_is_said_to_lack_its_mark() -> None:
    """A payroll sheet without a mark is held, and a level is suggested; with a mark nothing is."""
    sheet = finding(type="structure", category="personnel", name="工资表", level=Level.SECRET, count=9)
    (reason,) = decide(ITEM, [sheet], (), DEFAULT, "sha256:0").reasons
    assert "疑似应标未标" in reason.say.zh
    assert "“秘密”（本单位密级，不是国家秘密）" in reason.say.zh
    told = " ".join(r.say.zh for r in decide(ITEM, [sheet, mark()], (), DEFAULT, "sha256:0").reasons)
    assert "疑似应标未标" not in told
    plain = finding(type="structure", category="citizen", name="报名表", level=Level.SENSITIVE, count=9)
    assert "应标未标" not in decide(ITEM, [plain], (), DEFAULT, "sha256:0").reasons[0].say.zh


def test_a_form_counts_its_fields_and_a_table_its_rows() -> None:
    """The operator reads 9 行 of a sheet and 4 栏 of a form."""
    sheet = finding(type="structure", category="personnel", name="工资表", count=9, why=("table",))
    form = finding(
        type="structure", category="meeting", name="会议记录（纪要）首部", count=4, why=("form",), digest="e"
    )
    (reason,) = decide(ITEM, [sheet, form], (), DEFAULT, "sha256:0").reasons
    assert "工资表 9 行" in reason.say.zh
    assert "首部 4 栏" in reason.say.zh
    assert "4 fields" in reason.say.en
