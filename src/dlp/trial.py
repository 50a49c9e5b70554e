"""The examples of packs run through the real engine: what must fire fires, what must not does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dlp import packs
from dlp.errors import Problem
from dlp.match import Matcher
from dlp.model import Document, Say, Segment, Slice, Table
from dlp.packs import Pack, Rule


class Tried(NamedTuple):
    """One example or counterexample, and whether its rule fired."""

    text: str
    wanted: bool
    fired: bool

    @property
    def holds(self) -> bool:
        """Tell whether it came out as its author says."""
        return self.wanted == self.fired


def run(loaded: Sequence[Pack]) -> tuple[Problem, ...]:
    """Run every example and counterexample of `loaded` through the real engine; return what did not come out."""
    return failures(Matcher(loaded, key=bytes(32)), loaded)


def failures(matcher: Matcher, chosen: Sequence[Pack]) -> tuple[Problem, ...]:
    """Return which examples of the chosen packs do not come out among all the packs that a scanner has."""
    problems = []
    for pack in chosen:
        for rule in pack.rules:
            for one in tried(matcher, pack.full_id(rule), rule):
                if not one.holds:
                    say = Say("样例没有命中", "the example does not fire")
                    if not one.wanted:
                        say = Say("反例被命中", "the counterexample fires")
                    key = f"{pack.full_id(rule)} {one.text[:40]!r}"
                    advice = Say("用 dlp packs explain --text 查看原因", "see why with `dlp packs explain --text`")
                    line = packs.line_of(pack, rule)
                    problems.append(Problem(file=pack.file, line=line, key=key, say=say, advice=advice))
    return tuple(problems)


def tried(matcher: Matcher, full_id: str, rule: Rule) -> Iterator[Tried]:
    """Give each example and counterexample of one rule, and whether it fires."""
    for wanted, texts in ((True, rule.examples), (False, rule.counterexamples)):
        for text in texts:
            fired = full_id in {found.rule for found in matcher.find(as_document(text))[0]}
            yield Tried(text, wanted, fired)


def as_document(text: str) -> Document:
    """Return a text as a document; rows with tab stops make a table, as they would in a CSV file."""
    rows, offset = [], 0
    for row in text.split("\n"):
        place, cells = offset, []
        for cell in row.split("\t"):
            cells.append(Slice(0, place, place + len(cell)))
            place += len(cell) + 1
        if len(cells) > 1:
            rows.append(tuple(cells))
        offset += len(row) + 1
    tables = (Table(rows=tuple(rows)),) if rows else ()
    return Document(media="text/plain", segments=(Segment(text=text),), tables=tables)
