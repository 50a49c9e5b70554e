"""What would change: findings of the books weighed again under other packs and another policy, without a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlp import match, packs, policy, replay
from dlp.model import Action, Finding, Item, Level, Regime, Severity, State, evolve
from dlp.packs import Pack, Rule
from dlp.policy import Clause, Policy, When
from dlp.replay import Replayed, Rules, Share
from dlp.review import Label, Ruling
from dlp.store import Job

KEY = bytes(32)
TEXT = """[pack]
id = "p"
name = "p"
version = "1"
category = "identity"

[[rules]]
id = "number"
name = "number"
kind = "pattern"
type = "number"
severity = "high"
confidence = 0.9
pattern = "[0-9]{6}"

[[rules]]
id = "words"
name = "words"
kind = "terms"
type = "term"
severity = "low"
terms = [{ term = "预算方案", weight = 10 }, { term = "内部报价", weight = 10 }]

[[rules]]
id = "sheet"
name = "sheet"
kind = "table"
type = "structure"
columns = [["甲"], ["乙"], ["丙"]]
at_least = 2
rows = 5

[[rules]]
id = "mark"
name = "mark"
kind = "mark"
type = "classification_mark"
severity = "critical"
families = ["state_star"]
"""
PACKS = packs.load({"p.toml": TEXT})
POLICY = Policy(
    clauses=(
        Clause(name="numbers", action=Action.QUARANTINE, when=When(type=("number",), severity_at_least=Severity.HIGH)),
        Clause(name="sure", action=Action.QUARANTINE, when=When(type=("number",), confidence_at_least=0.95)),
        Clause(name="terms", action=Action.QUARANTINE, when=When(type=("term",), score_at_least=15)),
        Clause(name="sheets", action=Action.QUARANTINE, when=When(type=("structure",))),
        Clause(name="marks", action=Action.BLOCK, when=When(type=("classification_mark",))),
    )
)


def digest(kind: str, value: str) -> str:
    """Return the digest of a value at this deployment."""
    return match.digest_of(KEY, kind, value)


def found(rule: str, kind: str, **fields: Any) -> Finding:
    """Return a finding as the books hold it."""
    return Finding(rule=f"p.{rule}", pack="p", type=kind, category="identity", **fields)


def number(**fields: Any) -> Finding:
    """Return the finding of a number."""
    return found("number", "number", **{"severity": Severity.HIGH, "confidence": 0.9, "digest": "d1", **fields})


def term(value: str) -> Finding:
    """Return the finding of a term."""
    return found("words", "term", severity=Severity.LOW, weight=10.0, digest=digest("term", value))


def job(name: str, *findings: Finding) -> Job:
    """Return a job that was decided on under the policy that holds."""
    item = Item(id=name, source="folder:外发", path="a", name="a")
    verdict = policy.decide(item, findings, (), POLICY, "sha256:0")
    return Job(id=name, item=item, state=State.HELD, verdict=verdict, findings=findings)


def under(
    jobs: Sequence[Job],
    new: Sequence[Pack] = PACKS,
    *,
    labels: Sequence[Label] = (),
    asked: Policy = POLICY,
) -> Replayed:
    """Weigh jobs under other packs or another policy."""
    same = (lambda findings, _job: findings,) * 2
    return replay.replay(jobs, labels, rules=Rules(PACKS, new, digest), policies=(POLICY, asked), exempts=same)


def changed(rule: str, **fields: Any) -> tuple[Pack, ...]:
    """Return the packs with one rule changed."""
    rules = tuple(evolve(one, **fields) if one.id == rule else one for one in PACKS[0].rules)
    return (evolve(PACKS[0], rules=rules),)


def without(rule: str) -> tuple[Pack, ...]:
    """Return the packs without one rule."""
    return (evolve(PACKS[0], rules=tuple(one for one in PACKS[0].rules if one.id != rule)),)


def label(job: str, ruling: Ruling, rule: str = "p.number") -> Label:
    """Return what a reviewer said of the first finding of a job."""
    return Label(id=f"{job}:1", job=job, rule=rule, packs="", finding=1, ruling=ruling, by="rev", at=0.0)


def test_the_same_packs_change_nothing() -> None:
    """Nothing moves, and nothing is blind, where nothing was edited."""
    told = under([job("a", number()), job("b")])
    assert (told.jobs, told.held, told.freed, told.others, told.blind) == (2, (), (), (), ())


def test_a_severity_lets_go_and_holds() -> None:
    """A lower severity frees a job and a higher one holds it."""
    told = under([job("a", number())], changed("number", severity=Severity.LOW))
    assert [(one.job, one.before, one.after) for one in told.freed] == [("a", Action.QUARANTINE, Action.ALLOW)]
    low = job("b", number(severity=Severity.LOW))
    assert not low.verdict or low.verdict.action is Action.ALLOW
    assert [one.job for one in under([low], changed("number", severity=Severity.CRITICAL)).held] == ["b"]
    assert told.blind == ()


def test_a_confidence_moves_with_its_rule() -> None:
    """The confidence of a finding keeps its share of that of its rule."""
    quiet = job("a", number(severity=Severity.LOW, confidence=0.9))
    told = under([quiet], changed("number", severity=Severity.LOW, confidence=0.99))
    assert [one.job for one in told.held] == ["a"]


def test_a_removed_rule_and_what_was_said_of_its_hits() -> None:
    """Confirmed hits that would be lost and false alarms that would go are counted."""
    jobs = [job("a", number()), job("b", number()), job("c", number(), found("sheet", "structure", count=9))]
    said = [label("a", Ruling.CONFIRMED), label("b", Ruling.FALSE_ALARM), label("c", Ruling.FALSE_ALARM)]
    told = under(jobs, without("number"), labels=said)
    assert {one.job for one in told.freed} == {"a", "b"}
    assert (told.confirmed, told.false_alarms, told.marks) == (Share(1, 1), Share(2, 2), Share(0, 0))


def test_confirmed_marks_are_counted_by_themselves() -> None:
    """A confirmed mark whose rule goes is lost; one that stays is not."""
    from dlp.model import Mark

    mark = Mark(level=Level.SECRET, regime=Regime.STATE)
    marked = job("a", found("mark", "classification_mark", severity=Severity.CRITICAL, mark=mark))
    said = [label("a", Ruling.CONFIRMED, "p.mark")]
    assert under([marked], without("mark"), labels=said).marks == Share(1, 1)
    assert under([marked], without("number"), labels=said).marks == Share(0, 1)


def test_terms_are_known_by_their_digest() -> None:
    """A removed term takes its points away, a heavier one adds some; a new one cannot be judged."""
    both = job("a", term("预算方案"), term("内部报价"))
    one = job("b", term("预算方案"))
    rule: Rule = PACKS[0].rules[1]
    less = under([both, one], changed("words", terms=rule.terms[:1]))
    assert [moved.job for moved in less.freed] == ["a"]
    heavy = (evolve(rule.all_terms()[0], weight=10 * 1.0), rule.terms[1])
    assert under([both, one], changed("words", terms=heavy)).freed == ()
    light = (evolve(rule.all_terms()[0], weight=2), rule.terms[1])
    assert [moved.job for moved in under([both, one], changed("words", terms=light)).freed] == ["a"]
    more = under([both], changed("words", terms=(*rule.terms, "新词一个")))
    assert [(b.rule, b.key) for b in more.blind] == [("p.words", "terms")]


def test_a_table_may_ask_for_more() -> None:
    """More rows or columns can be judged; fewer cannot."""
    sheet = job("a", found("sheet", "structure", count=6, why=("table", "columns:3", "rows:6")))
    assert [one.job for one in under([sheet], changed("sheet", rows=7)).freed] == ["a"]
    assert under([sheet], changed("sheet", rows=6)).freed == ()
    assert [blind.key for blind in under([sheet], changed("sheet", rows=4)).blind] == ["rows"]


def test_what_needs_the_text_is_said() -> None:
    """Another pattern, a new rule: the text would be needed, and the numbers leave them out."""
    told = under([job("a", number())], changed("number", pattern="[0-9]{7}"))
    assert (told.freed, [(one.rule, one.key) for one in told.blind]) == ((), [("p.number", "pattern")])
    new = (evolve(PACKS[0], rules=(*PACKS[0].rules, evolve(PACKS[0].rules[0], id="other"))),)
    assert [(one.rule, one.key) for one in under([], new).blind] == [("p.other", "-")]


def test_what_was_said_of_a_job_that_nothing_happens_to_counts() -> None:
    """The whole of a share is every label of the span, whether its job moves or not."""
    jobs = [job("a", number()), job("b", number())]
    said = [label("a", Ruling.CONFIRMED), label("b", Ruling.FALSE_ALARM)]
    told = under(jobs, without("words"), labels=said)
    assert (told.confirmed, told.false_alarms) == (Share(0, 1), Share(0, 1))


def test_another_policy_is_judged() -> None:
    """A higher threshold frees what lies below it."""
    clauses = (evolve(c, when=evolve(c.when, score_at_least=25 if c.name == "terms" else 0)) for c in POLICY.clauses)
    asked = Policy(clauses=tuple(clauses))
    told = under([job("a", term("预算方案"), term("内部报价"))], asked=asked)
    assert [one.job for one in told.freed] == ["a"]
