"""The packs that ship: they load, their own examples come out, and every rule says what it stands on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from dlp import match, packs, trial
from dlp.packs import Pack, Rule

FOLDER = Path(__file__).resolve().parents[1] / "patterns"
NAMES = ("contract", "finance", "identity", "marks", "personnel", "record", "restricted", "secret")


@cache
def shipped() -> tuple[Pack, ...]:
    """Return all packs of the folder."""
    return packs.load({p.name: p.read_text(encoding="utf-8") for p in sorted(FOLDER.glob("*.toml"))})


def rules() -> list[object]:
    """Return every shipped rule as a test case of its own."""
    return [pytest.param(pack, rule, id=pack.full_id(rule)) for pack in shipped() for rule in pack.rules]


def test_every_pack_is_there_and_loads() -> None:
    """A file that is lost would be a hole that nobody sees."""
    assert {f"{name}.toml" for name in NAMES} <= {pack.file for pack in shipped()}
    assert all(pack.rules for pack in shipped())


def test_the_packs_have_no_advice_open() -> None:
    """What the lint asks of others is done in our own packs."""
    assert [p.text("en") for p in packs.lint(shipped())] == []


def test_every_example_and_counterexample_comes_out() -> None:
    """The examples run through the real scanner."""
    assert [p.text("en") for p in trial.run(shipped())] == []


@pytest.mark.parametrize(("pack", "rule"), rules())
def test_a_rule_has_examples_and_a_reason(pack: Pack, rule: Rule) -> None:
    """Two examples and two counterexamples where words or digits decide; a law, a standard or a reason for each."""
    if rule.kind in {"pattern", "terms"}:
        assert len(rule.examples) >= 2
        assert len(rule.counterexamples) >= 2
    assert rule.references
    assert all(r.law.strip() for r in rule.references)


@pytest.mark.parametrize(("pack", "rule"), rules())
def test_no_example_is_written_twice(pack: Pack, rule: Rule) -> None:
    """An example is not its own counterexample, and none is repeated."""
    texts = rule.examples + rule.counterexamples
    assert len(texts) == len(set(texts))


def test_identifier_masks_hide_their_examples() -> None:
    """No finding of an example of a pattern shows the whole hit."""
    scanner = match.Matcher(shipped(), key=bytes(32))
    patterns = {pack.full_id(rule): rule for pack in shipped() for rule in pack.rules if rule.kind == "pattern"}
    open_hits = []
    for name, rule in patterns.items():
        for text in rule.examples:
            for one in scanner.find(trial.as_document(text))[0]:
                raw = "".join(text[s.start : s.end] for s in one.slices)
                if one.rule == name and one.masked == raw:
                    open_hits.append((name, text))
    assert open_hits == []
