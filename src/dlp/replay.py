"""What would change: the findings that the books hold, weighed again under other packs or another policy.

Nothing of a text is kept, and nothing is needed: a finding has its rule, its confidence, its weight and a keyed digest
of its hit. So thresholds, levels, severities, weights, removed terms, disabled rules and clauses can be judged. What
would have to be looked for anew in the text (a new rule, a new term, another pattern) cannot, and is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dlp.model import Action, Finding, Frozen, Gap, Item, Say, Verdict, evolve
from dlp.packs import Near, Pack, Rule
from dlp.policy import Policy, decide
from dlp.review import Label, Ruling
from dlp.store import Job

Digest = Callable[[str, str], str]
"""The digest of a type and a value at this deployment."""
Exempts = Callable[[tuple[Finding, ...], Job], tuple[Finding, ...]]
_SAME = frozenset({"id", "name", "mask", "redact", "examples", "counterexamples", "references"})
"""Decides nothing."""
_TOLD = frozenset({"type", "severity", "level", "regime", "confidence"})
"""Stands in the finding."""
_MORE = ("rows", "at_least", "filled")
"""Numbers of a table or form that may grow: what had fewer is known."""
NEEDS_TEXT = Say("须有原文才能判断", "the text would be needed")
NEW_RULE = Say("新规则，须有原文才能判断", "a new rule: the text would be needed")


class Blind(Frozen, frozen=True, kw_only=True):
    """An edit that cannot be judged from what the books hold."""

    rule: str
    key: str
    say: Say


class Moved(Frozen, frozen=True, kw_only=True):
    """A job whose verdict would be another one."""

    job: str
    before: Action
    after: Action


class Share(NamedTuple):
    """So many of so many."""

    part: int
    of: int


class Replayed(Frozen, frozen=True, kw_only=True):
    """What would change in the jobs of a span."""

    jobs: int
    held: tuple[Moved, ...]
    """Would be held and are not."""
    freed: tuple[Moved, ...]
    """Are held and would not be."""
    others: tuple[Moved, ...]
    """Another verdict on the same side."""
    marks: Share
    """Confirmed marks that would be lost."""
    confirmed: Share
    """Confirmed hits of any kind that would be lost."""
    false_alarms: Share
    """Hits called false alarms that would go."""
    blind: tuple[Blind, ...]


class Rules:
    """What a finding under one set of packs would be under another one."""

    def __init__(self, old: Sequence[Pack], new: Sequence[Pack], digest: Digest) -> None:
        self._old, self._new = _by_id(old), _by_id(new)
        self._same = frozenset(name for name, rule in self._old.items() if self._new.get(name) == rule)
        self._digest = digest
        self._terms: dict[str, tuple[dict[str, float], dict[str, float]]] = {}

    def restate(self, found: Finding) -> Finding | None:
        """Return a finding as it would be; None where it would not be there."""
        old, new = self._old.get(found.rule), self._new.get(found.rule)
        if old is None or found.rule in self._same:
            return found
        if new is None or _would_not_hold(found, old.rule, new.rule):
            return None
        fields: dict[str, Any] = {"category": new.category, "type": new.rule.type}
        if found.mark is None:
            fields |= {"severity": new.rule.severity, "level": new.rule.level, "regime": new.rule.regime}
        if new.rule.confidence != old.rule.confidence and found.mark is None:
            share = new.rule.confidence / old.rule.confidence if old.rule.confidence else 1.0
            fields["confidence"] = round(min(1.0, found.confidence * share), 3)
        if old.rule.kind == "terms" and new.rule.kind == "terms":
            was, is_ = self._weights(found.rule, old.rule, new.rule)
            if found.digest in was:
                if found.digest not in is_:
                    return None
                fields["weight"] = round(found.weight * is_[found.digest] / was[found.digest], 2)
        return evolve(found, **fields)  # type: ignore[no-any-return]

    def blind(self) -> Iterator[Blind]:
        """Give every edit that cannot be judged."""
        for full_id, new in self._new.items():
            old = self._old.get(full_id)
            if old is None:
                yield Blind(rule=full_id, key="-", say=NEW_RULE)
            elif old.rule != new.rule:
                yield from _blind(full_id, old.rule, new.rule)

    def _weights(self, full_id: str, old: Rule, new: Rule) -> tuple[dict[str, float], dict[str, float]]:
        if full_id not in self._terms:
            was, is_ = ({self._digest(old.type, t.term): t.weight for t in rule.all_terms()} for rule in (old, new))
            self._terms[full_id] = was, is_
        return self._terms[full_id]


class _Placed(NamedTuple):
    rule: Rule
    category: str


def replay(
    jobs: Iterable[Job],
    labels: Iterable[Label],
    *,
    rules: Rules,
    policies: tuple[Policy, Policy],
    exempts: tuple[Exempts, Exempts],
) -> Replayed:
    """Weigh the findings of jobs under the packs and policy that hold, and under those of a draft."""
    said: dict[str, dict[int, Ruling]] = {}
    for label in labels:
        if label.finding:
            said.setdefault(label.job, {})[label.finding - 1] = label.ruling
    count, held, freed, others = 0, list[Moved](), list[Moved](), list[Moved]()
    marks, confirmed, false = ([0, 0] for _ in range(3))
    same = policies[0] == policies[1]
    for job in jobs:
        if job.verdict is None:
            continue
        count += 1
        again = [rules.restate(found) for found in job.findings]
        left = tuple(found for found in again if found is not None)
        if same and all(one is found for one, found in zip(again, job.findings, strict=True)):
            _count_same(said.get(job.id, {}), job.findings, marks, confirmed, false)
            continue
        before = _verdict(job.item, exempts[0](job.findings, job), job.gaps, policies[0], job.verdict)
        after = _verdict(job.item, exempts[1](left, job), job.gaps, policies[1], job.verdict)
        if before is not after:
            moved = Moved(job=job.id, before=before, after=after)
            was, is_ = before >= Action.QUARANTINE, after >= Action.QUARANTINE
            (others if was == is_ else held if is_ else freed).append(moved)
        for number, ruling in said.get(job.id, {}).items():
            if number >= len(again):
                continue
            found, gone = job.findings[number], again[number] is None
            if ruling is Ruling.FALSE_ALARM:
                _count(false, gone=gone or after < Action.QUARANTINE <= before)
            elif ruling is Ruling.CONFIRMED:
                lost = gone or after < Action.QUARANTINE <= before
                _count(confirmed, gone=lost)
                if found.mark is not None:
                    _count(marks, gone=lost)
    return Replayed(
        jobs=count,
        held=tuple(held),
        freed=tuple(freed),
        others=tuple(others),
        marks=Share(*marks),
        confirmed=Share(*confirmed),
        false_alarms=Share(*false),
        blind=tuple(rules.blind()),
    )


def _count_same(
    said: Mapping[int, Ruling], findings: Sequence[Finding], marks: list[int], confirmed: list[int], false: list[int]
) -> None:
    """Count what was said of the hits of a job that nothing happens to."""
    for number, ruling in said.items():
        if number < len(findings) and ruling is not Ruling.MISSED:
            _count(false if ruling is Ruling.FALSE_ALARM else confirmed, gone=False)
            if ruling is Ruling.CONFIRMED and findings[number].mark is not None:
                _count(marks, gone=False)


def _count(share: list[int], *, gone: bool) -> None:
    share[0] += gone
    share[1] += 1


def _verdict(item: Item, findings: Sequence[Finding], gaps: Sequence[Gap], policy: Policy, own: Verdict) -> Action:
    return decide(item, findings, gaps, policy, own.packs).action


def _would_not_hold(found: Finding, old: Rule, new: Rule) -> bool:
    """Tell whether a finding lacks what a rule asks for now and did not before."""
    asks = new.near is not None and new.near.required and not (old.near is not None and old.near.required)
    if asks and not any(why.startswith("near:") for why in found.why):
        return True
    if old.kind == new.kind == "table":
        return found.count < new.rows or _columns(found) < new.at_least
    if old.kind == new.kind == "form":
        return found.count < new.filled or _columns(found) < new.at_least
    return False


def _columns(found: Finding) -> int:
    said = next((why for why in found.why if why.startswith("columns:")), "columns:999")
    return int(said.partition(":")[2])


def _blind(full_id: str, old: Rule, new: Rule) -> Iterator[Blind]:
    for key in Rule.__struct_fields__:
        was, is_ = getattr(old, key), getattr(new, key)
        if key in _SAME or key in _TOLD or was == is_:
            continue
        if key == "terms":
            yield from _blind_terms(full_id, old, new)
        elif not ((key in _MORE and is_ > was) or (key == "near" and _only_requires(was, is_))):
            yield Blind(rule=full_id, key=key, say=NEEDS_TEXT)


def _only_requires(old: Near | None, new: Near | None) -> bool:
    """Tell whether nothing changed but that the words near are asked for now."""
    return old is not None and new is not None and new.required and evolve(old, required=True) == new


def _blind_terms(full_id: str, old: Rule, new: Rule) -> Iterator[Blind]:
    was, is_ = ({term.term: term for term in rule.all_terms()} for rule in (old, new))
    added = [term for term in is_ if term not in was]
    if added:
        say = Say(f"新增 {len(added)} 个词，须有原文才能判断", f"{len(added)} new terms: the text would be needed")
        yield Blind(rule=full_id, key="terms", say=say)
    changed = [term for term, one in is_.items() if term in was and evolve(one, weight=was[term].weight) != was[term]]
    if changed:
        zh = f"{len(changed)} 个词的边界条件改了，须有原文才能判断"
        yield Blind(rule=full_id, key="terms", say=Say(zh, f"the borders of {len(changed)} terms: the text is needed"))


def _by_id(loaded: Sequence[Pack]) -> Mapping[str, _Placed]:
    return {pack.full_id(rule): _Placed(rule, pack.category) for pack in loaded for rule in pack.rules}
