"""Mutants of a pack's own examples: disguises that a rule must see through, and near misses that it must let pass.

A rule that only fires on the sentence it was written with is worth little. The kill rate of a rule is the share of its
mutants that come out right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dlp.digits import SHORTEST
from dlp.match import Matcher
from dlp.model import Document, Segment
from dlp.packs import Pack, Rule
from dlp.text import traditional
from dlp.trial import as_document

STRONG = frozenset(
    {
        "resident_id",
        "hmt_residence",
        "foreign_pr",
        "bank_card",
        "uscc",
        "orgcode",
        "imei",
        "luhn",
        "school_id",
        "mrz_td3",
    }
)
"""Checks that catch every single wrong digit."""
DIGITS_ONLY = frozenset({"resident_id", "hmt_residence", "bank_card", "mobile", "imei", "school_id"})
"""Checks of numbers that a person may spell out or a machine may misread: O for 0, l for 1."""
_CONFUSED = str.maketrans("01", "Ol")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


class Mutant(NamedTuple):
    """One changed example: what was done, the document, and whether the rule must still fire."""

    how: str
    document: Document
    wanted: bool


class Score(NamedTuple):
    """How one rule did: mutants that came out right, all of them, and how often each kind did not."""

    rule: str
    right: int
    total: int
    missed: tuple[tuple[str, int], ...]

    @property
    def rate(self) -> float:
        """Return the share of mutants that came out right; 1 when there are none."""
        return self.right / self.total if self.total else 1.0


def run(loaded: Sequence[Pack]) -> tuple[Score, ...]:
    """Run the mutants of every example of every pattern and term rule through the real engine."""
    matcher = Matcher(loaded, key=bytes(32))
    return tuple(
        _score(matcher, pack.full_id(rule), rule)
        for pack in loaded
        for rule in pack.rules
        if rule.kind in {"pattern", "terms"}
    )


def _score(matcher: Matcher, full_id: str, rule: Rule) -> Score:
    missed: Counter[str] = Counter()
    total = 0
    for text in rule.examples:
        for mutant in mutants(matcher, full_id, rule, text):
            total += 1
            fired = any(f.rule == full_id for f in matcher.find(mutant.document)[0])
            missed[mutant.how] += fired != mutant.wanted
    wrong = tuple((how, count) for how, count in missed.items() if count)
    return Score(full_id, total - missed.total(), total, wrong)


def mutants(matcher: Matcher, full_id: str, rule: Rule, text: str) -> Iterator[Mutant]:
    """Yield the mutants of one example."""
    for how, changed in _disguises(text):
        if changed != text:
            yield Mutant(how, as_document(changed), wanted=True)
    hits = [f.slices[0] for f in matcher.find(as_document(text))[0] if f.rule == full_id and f.slices]
    for hit in hits[:1]:
        if rule.kind == "terms" and hit.end - hit.start >= 2:
            middle = (hit.start + hit.end) // 2
            halves = (Segment(text=text[:middle]), Segment(text=text[middle:], soft=True))
            yield Mutant("line wrap", Document(media="text/plain", segments=halves), wanted=True)
        if rule.check in DIGITS_ONLY:
            number = text[hit.start : hit.end]
            spaced = " ".join(number.replace(" ", "").replace("-", ""))
            for how, other in (("digit by digit", spaced), ("OCR confusions", number.translate(_CONFUSED))):
                if sum(c.isdigit() for c in number) >= SHORTEST:
                    yield Mutant(how, as_document(text[: hit.start] + other + text[hit.end :]), wanted=True)
        if rule.check in STRONG:
            for place in range(hit.start, hit.end):
                if text[place].isascii() and text[place].isdigit():
                    other = str((int(text[place]) + 1) % 10)
                    yield Mutant("one digit off", as_document(text[:place] + other + text[place + 1 :]), wanted=False)


def _disguises(text: str) -> Iterator[tuple[str, str]]:
    yield "full width", text.translate(_WIDE)
    yield "zero width", "\u200b".join(text)
    yield "soft hyphens", "\u00ad".join(text)
    yield "blanks", "".join(a + " " * (_is_han(a) and _is_han(b)) for a, b in zip(text, text[1:] + "\n", strict=True))
    yield "traditional", traditional(text)


def _is_han(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"
