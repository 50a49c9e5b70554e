"""One compiled scanner for all packs: candidates by hyperscan, each confirmed exactly, then judged and resolved.

hyperscan reads the view once and reports ends; RE2 finds the exact hit around an end; edges, check digits, context and
word borders decide. Both engines are automata, so no pattern of an administrator can hang the gate.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import hyperscan
import numpy as np
import re2
from numpy.typing import NDArray

from dlp import marks, packs, words
from dlp.checks import CHECKS, mask
from dlp.classes import class_in
from dlp.errors import PackError, Problem
from dlp.forms import Grid, grids, tables_in
from dlp.marks import signs
from dlp.marks.place import Ground
from dlp.model import (
    Document,
    Finding,
    Frozen,
    Gap,
    GapKind,
    Regime,
    Say,
    Segment,
    Severity,
    Slice,
    Table,
)
from dlp.packs import Edges, Pack, Rule, Term
from dlp.text import View, fold, normalize, slices

CANDIDATES_PER_HIT = 100
"""Raw candidates that are collected for each finding that is allowed; beyond it the text is a flood."""
SAME_TERM = 50
"""Places of one term that are reported; its weight counts once, however often it stands there."""
NEAR_BONUS = 0.08
ACROSS_BREAK = 0.6
"""Confidence left to a term that only exists because a line was wrapped in its middle."""

_EDGE: dict[Edges, tuple[str, frozenset[int]]] = {
    "alnum": ("[^0-9A-Za-z]", frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    "digits": ("[^0-9]", frozenset(b"0123456789")),
    "letters": ("[^A-Za-z]", frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    "none": ("", frozenset()),
}
_UTF8, _PREFILTER = hyperscan.HS_FLAG_UTF8, hyperscan.HS_FLAG_PREFILTER
_WORDS = tuple(sorted(signs.SEEDS))
_SEPARATORS = re.compile(r"[\s\-]")
_JOINT = re.compile(rb"[ -]")


class Candidate(Frozen, frozen=True, kw_only=True):
    """One place that was looked at: kept or dropped, why, and the words around it. For `packs explain`."""

    rule: str
    name: str
    masked: str
    slices: tuple[Slice, ...]
    kept: bool
    confidence: float
    why: tuple[str, ...]
    words: tuple[str, ...] = ()


class _Known(NamedTuple):
    """A rule made ready: compiled, with folded context words."""

    pack: Pack
    rule: Rule
    full_id: str
    pattern: re2._Regexp | None
    tail: re2._Regexp | None
    value: int
    """Number of the group `value`; 0 is the whole hit."""
    width: int
    near: tuple[str, ...]
    not_near: tuple[str, ...]


class _Place(NamedTuple):
    """A candidate in view offsets, judged."""

    start: int
    end: int
    known: _Known
    confidence: float
    why: tuple[str, ...]
    kept: bool
    weight: float = 0.0
    words: tuple[str, ...] = ()


class Matcher:
    """The scanner of one set of packs. Thread-safe: each thread has its own scratch."""

    def __init__(self, loaded: Sequence[Pack], *, key: bytes, max_hits: int = 10_000) -> None:
        self.digest = packs.digest(loaded)
        self._key = key
        self._max_hits = max_hits
        self._known = [_ready(pack, rule) for pack in loaded for rule in pack.rules]
        self._terms: list[tuple[_Known, Term, str]] = []
        self._patterns: list[_Known] = []
        for known in self._known:
            if known.rule.kind == "terms":
                self._terms += [(known, term, fold(term.term)) for term in known.rule.all_terms()]
            elif known.rule.kind == "pattern":
                self._patterns.append(known)
        self._database = _compile(self._terms, self._patterns)
        self._local = threading.local()

    def find(self, document: Document) -> tuple[tuple[Finding, ...], tuple[Gap, ...]]:
        """Return the findings of a document, in its order, and a gap when there were more than may be counted."""
        view = normalize(document.segments)
        ends, present, flood = self._scan(view)
        places = self._places(view, document, ends)
        kept = [p for p in places if p.kept]
        findings = [self._finding(view, p) for p in _resolve(kept)]
        findings += [f for known in self._known if known.rule.kind == "table" for f in self._forms(document, known)]
        findings += self._marks(view, document, present)
        findings += [f for known in self._known if known.rule.kind == "class" for f in self._classes(view, known)]
        findings.sort(key=_order)
        flood = flood or len(findings) > self._max_hits
        gaps = (Gap(kind=GapKind.HIT_CAP, detail=f"more than {self._max_hits} hits"),) if flood else ()
        return tuple(findings[: self._max_hits]), gaps

    def explain(self, document: Document) -> tuple[Candidate, ...]:
        """Return every candidate of a document: what was kept, what was dropped, and why."""
        view = normalize(document.segments)
        ends, present, _ = self._scan(view)
        places = self._places(view, document, ends)
        winners = {(p.start, p.end, p.known.full_id) for p in _resolve([p for p in places if p.kept])}
        told = []
        for place in places:
            won = (place.start, place.end, place.known.full_id) in winners
            why = place.why if won or not place.kept else (*place.why, "overlaps a more specific hit")
            told.append(
                Candidate(
                    rule=place.known.full_id,
                    name=place.known.rule.name,
                    masked=self._masked(view, place),
                    slices=slices(view, place.start, place.end),
                    kept=won,
                    confidence=round(place.confidence, 3),
                    why=why,
                    words=place.words,
                )
            )
        for known, hit in self._mark_hits(view, document, present):
            told.append(
                Candidate(
                    rule=known.full_id,
                    name=known.rule.name,
                    masked=view.text[hit.start : hit.end][:40],
                    slices=slices(view, hit.start, hit.end),
                    kept=hit.status != "mention",
                    confidence=round(hit.confidence, 3),
                    why=(hit.status, *hit.why),
                )
            )
        for known in self._known:
            if known.rule.kind == "table":
                told += [_as_candidate(f) for f in self._forms(document, known)]
            elif known.rule.kind == "class":
                told += [_as_candidate(f) for f in self._classes(view, known)]
        return tuple(sorted(told, key=_place_of))

    def mask(self, text: str) -> str:
        """Return `text` with every identifier in it masked: for file names and paths that are shown."""
        document = Document(media="text/plain", segments=(Segment(text=text),))
        view = normalize(document.segments)
        places = self._places(view, document, self._scan(view)[0], names=True)
        for place in sorted(_resolve([p for p in places if p.kept]), key=lambda p: -p.start):
            for piece in slices(view, place.start, place.end):
                text = text[: piece.start] + self._masked(view, place) + text[piece.end :]
        return text

    def _places(
        self, view: View, document: Document, ends: dict[int, list[int]], *, names: bool = False
    ) -> list[_Place]:
        """Return every judged candidate of terms and patterns.

        With `names`, context is not asked for: a number in a file name stands alone.
        """
        if not ends:
            return []
        firsts = np.flatnonzero((np.frombuffer(view.utf8, np.uint8) & 0xC0) != 0x80)
        headers = _Headers(document, view)
        places: list[_Place] = []
        for number in sorted(ends):
            if number < len(self._terms):
                if not names:
                    places += self._term_places(view, number, np.searchsorted(firsts, ends[number]), headers)
            else:
                known = self._patterns[number - len(self._terms)]
                places += self._pattern_places(view, known, ends[number], firsts, headers, names=names)
        return places

    def _scan(self, view: View) -> tuple[dict[int, list[int]], frozenset[str], bool]:
        """Return the byte ends of candidates by expression, the words of marks that occur, and if it is a flood."""
        ends: dict[int, list[int]] = {}
        count, most = 0, self._max_hits * CANDIDATES_PER_HIT

        def note(number: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            nonlocal count
            count += 1
            ends.setdefault(number, []).append(end)
            return count >= most

        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = hyperscan.Scratch(self._database)
        try:
            self._database.scan(view.utf8, match_event_handler=note, scratch=scratch)
        except hyperscan.ScanTerminated:
            return self._without_words(ends)[0], signs.SEEDS, True
        return *self._without_words(ends), False

    def _without_words(self, ends: dict[int, list[int]]) -> tuple[dict[int, list[int]], frozenset[str]]:
        """Take the expressions out that only ask whether a word of a mark occurs."""
        first = len(self._terms) + len(self._patterns)
        present = frozenset(_WORDS[number - first] for number in ends if number >= first)
        return {number: found for number, found in ends.items() if number < first}, present

    def _term_places(self, view: View, number: int, ends: NDArray[np.int64], headers: _Headers) -> Iterator[_Place]:
        known, term, folded = self._terms[number]
        judged = term.boundary == "straddle" or (not term.boundary and len(folded) < 4)
        kept = 0
        for end in ends.tolist():
            start = end - len(folded)
            border = words.judge(view.text, start, end) if judged else None
            why: list[str] = ["term"]
            confidence, keep = known.rule.confidence, True
            if border is not None:
                keep, confidence = border.kept, confidence * border.weight
                why.append("border" if keep else f"border:{border.rival}")
            if keep and int(view.index[end - 1]) - int(view.index[start]) >= end - start and _wrapped(view, start, end):
                confidence *= ACROSS_BREAK
                why.append("across-break")
            keep, confidence = _weigh_context(
                view, start, end, known, headers, confidence=confidence, why=why, keep=keep
            )
            around = border.words if border is not None else ()
            yield _Place(start, end, known, confidence, tuple(why), keep, term.weight, around)
            kept += keep
            if kept >= SAME_TERM:
                return

    def _pattern_places(
        self,
        view: View,
        known: _Known,
        ends: list[int],
        firsts: NDArray[np.int64],
        headers: _Headers,
        *,
        names: bool,
    ) -> Iterator[_Place]:
        for low, high, passes in _confirm(view.utf8, known, ends):
            start, end = bisect_left(firsts, low), bisect_left(firsts, high)
            why: list[str] = ["pattern"]
            check = known.rule.check
            confidence = known.rule.confidence
            if check:
                why.append(f"check:{check}" if passes else f"fails check:{check}")
            keep, confidence = _weigh_context(
                view, start, end, known, headers, confidence=confidence, why=why, keep=passes, names=names
            )
            yield _Place(start, end, known, confidence, tuple(why), keep)

    def _finding(self, view: View, place: _Place) -> Finding:
        rule = place.known.rule
        return self._made(
            view,
            place.start,
            place.end,
            place.known,
            masked=self._masked(view, place),
            confidence=round(place.confidence, 3),
            weight=place.weight,
            why=place.why,
            level=rule.level,
            regime=rule.regime,
            severity=rule.severity,
        )

    def _masked(self, view: View, place: _Place) -> str:
        raw = view.text[place.start : place.end]
        return raw[:40] if place.known.rule.kind == "terms" else mask(place.known.rule.mask, raw)

    def _made(self, view: View, start: int, end: int, known: _Known, **fields: object) -> Finding:
        pieces = slices(view, start, end)
        lines = [(p, view.segments[p.segment]) for p in pieces]
        boxes = tuple(s.strip.box(p.start, p.end) for p, s in lines if s.strip is not None)
        first = lines[0][1]
        raw = _SEPARATORS.sub("", view.text[start:end]).upper()
        return Finding(
            rule=known.full_id,
            pack=known.pack.id,
            type=known.rule.type,
            category=known.pack.category,
            name=known.rule.name,
            slices=pieces,
            boxes=boxes,
            part=first.part,
            page=first.strip.page if first.strip is not None else None,
            offset=start,
            zone=first.zone,
            digest=self._digest(known.rule.type, raw),
            references=known.rule.references,
            **fields,  # type: ignore[arg-type]
        )

    def digest_of(self, kind: str, value: str) -> str:
        """Return the digest that a finding of type `kind` has whose hit is `value`, however either is written."""
        return self._digest(kind, _SEPARATORS.sub("", fold(value)).upper())

    def _digest(self, kind: str, raw: str) -> str:
        return hmac.new(self._key, f"{kind}\0{raw}".encode(), hashlib.sha256).hexdigest()

    def _mark_hits(self, view: View, document: Document, present: frozenset[str]) -> Iterator[tuple[_Known, marks.Hit]]:
        rules = [known for known in self._known if known.rule.kind == "mark"]
        if rules:
            ground = Ground(view, document, present)
            for known in rules:
                for hit in marks.find(view, known.rule, document, ground):
                    yield known, hit

    def _marks(self, view: View, document: Document, present: frozenset[str]) -> list[Finding]:
        found = [(known, hit) for known, hit in self._mark_hits(view, document, present) if hit.status != "mention"]
        return [
            self._made(
                view,
                hit.start,
                hit.end,
                known,
                masked=view.text[hit.start : hit.end].strip()[:40],
                confidence=round(hit.confidence, 3),
                why=(*(("suspect",) if hit.status == "SUSPECT" else ()), *hit.why),
                level=hit.mark.level,
                regime=hit.mark.regime,
                severity=_gravity(hit.mark.regime),
                mark=hit.mark,
            )
            for known, hit in _no_marks_in_marks(found)
        ]

    def _classes(self, view: View, known: _Known) -> Iterator[Finding]:
        place = class_in(view, known.rule)
        if place is not None:
            rule = known.rule
            yield self._made(
                view,
                *place,
                known,
                masked=view.text[slice(*place)],
                confidence=rule.confidence,
                why=("title", f"articles:{rule.articles}"),
                level=rule.level,
                regime=rule.regime,
                severity=rule.severity,
            )

    def _forms(self, document: Document, known: _Known) -> Iterator[Finding]:
        for grid in grids(document):
            found = tables_in(grid, known.rule)
            if found is None:
                continue
            heads = tuple(found.cells)
            first = document.segments[heads[0].segment]
            shown = "、".join(found.words)[:60]
            yield Finding(
                rule=known.full_id,
                pack=known.pack.id,
                type=known.rule.type,
                category=known.pack.category,
                name=known.rule.name,
                severity=known.rule.severity,
                level=known.rule.level,
                regime=known.rule.regime,
                confidence=known.rule.confidence,
                count=found.rows,
                slices=heads,
                part=first.part,
                page=first.strip.page if first.strip is not None else None,
                zone=first.zone,
                masked=shown,
                digest=self._digest(known.rule.type, f"{known.full_id}|{'|'.join(first.part)}|{heads[0]}"),
                why=("table", f"columns:{len(heads)}", f"rows:{found.rows}"),
                references=known.rule.references,
            )


class _Headers:
    """Knows the header of the column in which a place stands; built only when somebody asks."""

    def __init__(self, document: Document, view: View) -> None:
        self._document = document
        self._view = view
        self._cells: dict[int, tuple[list[int], list[tuple[int, Grid, int]]]] | None = None

    def above(self, start: int, end: int) -> str:
        """Return the header text of the column that holds the view span; empty outside of tables."""
        if not self._document.tables:
            return ""
        if self._cells is None:
            self._cells = self._map()
        for piece in slices(self._view, start, end)[:1]:
            starts, cells = self._cells.get(piece.segment, ([], []))
            number = bisect_right(starts, piece.start) - 1
            if number >= 0 and piece.end <= cells[number][0]:
                _, grid, column = cells[number]
                return grid.header(column)
        return ""

    def _map(self) -> dict[int, tuple[list[int], list[tuple[int, Grid, int]]]]:
        """Return for each segment where its cells start, in order, and where each ends, its table and its column."""
        found: dict[int, list[tuple[int, int, int, Grid, int]]] = {}
        for order, grid in enumerate(grids(self._document)):
            for row in grid.table.rows:
                for column, cell in enumerate(row):
                    if cell.start < cell.end:
                        found.setdefault(cell.segment, []).append((cell.start, cell.end, order, grid, column))
        ready = {}
        for segment, cells in found.items():
            cells.sort(key=lambda cell: cell[:3])
            ready[segment] = ([cell[0] for cell in cells], [(cell[1], cell[3], cell[4]) for cell in cells])
        return ready


def test(loaded: Sequence[Pack]) -> tuple[Problem, ...]:
    """Run every example and counterexample of `loaded` through the real engine; return what did not come out."""
    matcher = Matcher(loaded, key=bytes(32))
    problems = []
    for pack in loaded:
        for rule in pack.rules:
            for wanted, texts in ((True, rule.examples), (False, rule.counterexamples)):
                for text in texts:
                    fired = pack.full_id(rule) in {f.rule for f in matcher.find(as_document(text))[0]}
                    if fired != wanted:
                        say = Say("样例没有命中", "the example does not fire")
                        if not wanted:
                            say = Say("反例被命中", "the counterexample fires")
                        key = f"{pack.full_id(rule)} {text[:40]!r}"
                        problems.append(Problem(file=pack.file, line=None, key=key, say=say))
    return tuple(problems)


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


def _ready(pack: Pack, rule: Rule) -> _Known:
    pattern = packs.compile_pattern(rule.pattern) if rule.kind == "pattern" else None
    groups = (
        {str(name, "ascii") if isinstance(name, bytes) else name: n for name, n in pattern.groupindex.items()}
        if pattern
        else {}
    )
    return _Known(
        pack=pack,
        rule=rule,
        full_id=pack.full_id(rule),
        pattern=pattern,
        value=groups.get("value", 0),
        tail=packs.compile_pattern(rule.tail) if rule.tail else None,
        width=4 * packs.width(rule.pattern) + 8 if rule.kind == "pattern" else 0,
        near=tuple(fold(w) for w in rule.near.words) if rule.near else (),
        not_near=tuple(fold(w) for w in rule.not_near.words) if rule.not_near else (),
    )


def _compile(terms: Sequence[tuple[_Known, Term, str]], patterns: Sequence[_Known]) -> hyperscan.Database:
    """Return one database: terms as bytes, patterns with their edges; only ends are asked for."""
    expressions = ["".join(f"\\x{b:02x}" for b in folded.encode()).encode() for _, _, folded in terms]
    flags = [0] * len(terms)
    for known in patterns:
        outside = _EDGE[known.rule.edges][0]
        core = _loosened(known.rule.pattern)
        framed = f"(?:^|{outside})(?:{core})(?:{outside}|$)" if outside else f"(?:{core})"
        expressions.append(framed.encode())
        flags.append(_UTF8)
    expressions += ["".join(f"\\x{b:02x}" for b in word.encode()).encode() for word in _WORDS]
    flags += [hyperscan.HS_FLAG_SINGLEMATCH] * len(_WORDS)
    try:
        return _database(expressions, flags)
    except hyperscan.HyperscanError:
        # One of them is too much; which one is found by trying each, and a large one is taken as a prefilter.
        first = len(terms)
        flags[first : first + len(patterns)] = [
            _flags(expressions[first + n], known) for n, known in enumerate(patterns)
        ]
        return _database(expressions, flags)


def _database(expressions: list[bytes], flags: list[int]) -> hyperscan.Database:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=expressions, ids=list(range(len(expressions))), elements=len(flags), flags=flags)
    return database


_LONG_REPEAT = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|\{([0-9]+),([0-9]+)\}", re.DOTALL)
_LONG = 16


def _loosened(pattern: str) -> str:
    """Return a pattern that matches at least as much and compiles much faster: long repeats without their upper end.

    The scanner only says where a hit may end; `_confirm` looks at the place with the pattern as it was written.
    """

    def loosen(found: re.Match[str]) -> str:
        return f"{{{found[1]},}}" if found[2] and int(found[2]) > _LONG else found[0]

    return _LONG_REPEAT.sub(loosen, pattern)


def _flags(expression: bytes, known: _Known) -> int:
    """Return the flags under which hyperscan takes a pattern; a large one is taken as a prefilter."""
    for flags in (_UTF8, _UTF8 | _PREFILTER):
        try:
            _database([expression], [flags])
        except hyperscan.HyperscanError as err:
            refused = err
        else:
            return flags
    raise PackError(
        Say(
            f"规则 {known.full_id} 的正则过大或不支持", f"the pattern of {known.full_id} is too large or not supported"
        ),
        (
            Problem(
                file=known.pack.file,
                line=None,
                key=f"{known.full_id}.pattern",
                say=Say(f"hyperscan 不接受：{refused}", f"hyperscan refuses it: {refused}"),
                advice=Say("减小重复次数或拆成几条", "use smaller repeats or several rules"),
            ),
        ),
    )


def _confirm(utf8: bytes, known: _Known, ends: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """Give the exact byte spans of a pattern around candidate ends and whether each passes its check.

    Edges are checked, spans that pass do not overlap. In `6222… 12 月` the longest hit takes the 12 with it: where that
    one fails, shorter ones are tried, and later ones inside it, from blank to blank and from hyphen to hyphen.
    """
    pattern = known.pattern
    if pattern is None:
        return
    check = CHECKS.get(known.rule.check)
    done = 0
    for low, high in _windows(utf8, known.width, ends):
        place = told = max(low, done)
        while place < high and (found := pattern.search(utf8, place, high)):
            start, longest = found.span()
            free = list(_free_ends(utf8, known, start, longest))
            spans = ((end, *_value(utf8, known, start, end)) for end in free)
            passing = (span for span in spans if check is None or check(utf8[span[1] : span[2]].decode()))
            end, first, last = next(passing, (0, 0, 0))
            if end:
                place = told = done = _tail(utf8, known, end)
                yield first, last if last < end else done, True
                continue
            if free and start >= told:
                yield *_value(utf8, known, start, free[0]), False
                told = free[0]
            joint = _JOINT.search(utf8, start, free[0]) if free else None
            place = _next_char(utf8, start) if not free else joint.end() if joint else free[0]


def _tail(utf8: bytes, known: _Known, end: int) -> int:
    """Return where a hit ends with all that belongs to it; what it takes is not looked at again."""
    found = known.tail.match(utf8, end) if known.tail is not None else None
    return found.end() if found else end


def _value(utf8: bytes, known: _Known, start: int, end: int) -> tuple[int, int]:
    """Return the span that counts: that of the group `value`, where the pattern has one."""
    if known.pattern is None or not known.value:
        return start, end
    found = known.pattern.match(utf8, start, end)
    low, high = found.span(known.value) if found else (-1, -1)
    return (low, high) if low >= 0 else (start, end)


def _free_ends(utf8: bytes, known: _Known, start: int, end: int) -> Iterator[int]:
    """Give the ends of hits that begin at `start` with free edges, longest first; a shorter one ends at a joint."""
    outside = _EDGE[known.rule.edges][1]
    if known.pattern is None or (start and utf8[start - 1] in outside):
        return
    longest = end
    while end > start:
        free = end == len(utf8) or utf8[end] not in outside
        if free and (end == longest or _JOINT.match(utf8, end)):
            yield end
        joint = max(utf8.rfind(b" ", start, end), utf8.rfind(b"-", start, end))
        found = known.pattern.match(utf8, start, joint) if joint > start else None
        end = found.end() if found else start


def _windows(utf8: bytes, width: int, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Merge the neighbourhoods of candidate ends; bounds are moved to whole characters."""
    low = high = -1
    for end in sorted(set(ends)):
        begin, after = max(0, end - width), min(len(utf8), end + width)
        if begin > high:
            if high >= 0:
                yield _whole(utf8, low), _whole(utf8, high)
            low = begin
        high = after
    if high >= 0:
        yield _whole(utf8, low), _whole(utf8, high)


def _whole(utf8: bytes, place: int) -> int:
    while 0 < place < len(utf8) and utf8[place] & 0xC0 == 0x80:
        place -= 1
    return place


def _next_char(utf8: bytes, place: int) -> int:
    place += 1
    while place < len(utf8) and utf8[place] & 0xC0 == 0x80:
        place += 1
    return place


def _wrapped(view: View, start: int, end: int) -> bool:
    """Tell whether an original line break lies inside a hit."""
    place = int(np.searchsorted(view.breaks, start, side="right"))
    return place < len(view.breaks) and int(view.breaks[place]) < end


def _weigh_context(
    view: View,
    start: int,
    end: int,
    known: _Known,
    headers: _Headers,
    *,
    confidence: float,
    why: list[str],
    keep: bool,
    names: bool = False,
) -> tuple[bool, float]:
    """Return keep and confidence after the words near a hit were looked at; `why` grows by what was seen."""
    rule = known.rule
    if not keep:
        return False, confidence
    if rule.not_near is not None and (bad := _word_near(view, start, end, rule.not_near.distance, known.not_near)):
        why.append(f"not_near:{bad}")
        return False, confidence
    if rule.near is not None:
        word = _word_near(view, start, end, rule.near.distance, known.near)
        if word is None and (head := headers.above(start, end)):
            word = next((w for w in known.near if w.lower() in head), None)
        if word is not None:
            why.append(f"near:{word}")
            return True, min(0.99, confidence + NEAR_BONUS)
        if rule.near.required and not names:
            why.append("no context word")
            return False, confidence
    return True, confidence


def _word_near(view: View, start: int, end: int, distance: int, wanted: Sequence[str]) -> str | None:
    around = (view.text[max(0, start - distance) : start] + "\0" + view.text[end : end + distance]).lower()
    return next((word for word in wanted if word.lower() in around), None)


def _resolve(places: Sequence[_Place]) -> list[_Place]:
    """Keep one identifier for each stretch of text: the surest, then the longest; terms do not compete."""
    chosen: list[_Place] = [p for p in places if p.known.rule.kind == "terms"]
    taken: list[tuple[int, int]] = []
    rivals = [p for p in places if p.known.rule.kind != "terms"]
    for place in sorted(rivals, key=lambda p: (-p.confidence, p.start - p.end, p.start, p.known.full_id)):
        at = bisect_left(taken, (place.start, place.start))
        clear_after = at == len(taken) or taken[at][0] >= place.end
        clear_before = at == 0 or taken[at - 1][1] <= place.start
        if clear_after and clear_before:
            taken.insert(at, (place.start, place.end))
            chosen.append(place)
    return chosen


def _no_marks_in_marks(found: Sequence[tuple[_Known, marks.Hit]]) -> list[tuple[_Known, marks.Hit]]:
    """Drop a mark that lies inside a surer one: 秘密★10年 is one mark, whatever families see in it."""
    kept: list[tuple[_Known, marks.Hit]] = []
    last = -1
    ordered = sorted(found, key=lambda f: (f[1].start, -f[1].score, f[1].start - f[1].end))
    for known, hit in ordered:
        if hit.end <= last and kept and hit.score <= kept[-1][1].score:
            continue
        kept.append((known, hit))
        last = max(last, hit.end)
    return kept


def _gravity(regime: Regime | None) -> Severity:
    return Severity.CRITICAL if regime in (Regime.STATE, Regime.EXAM) else Severity.HIGH


def _order(found: Finding) -> tuple[int, int, str]:
    first = found.slices[0] if found.slices else Slice(0, 0, 0)
    return first.segment, first.start, found.rule


def _as_candidate(found: Finding) -> Candidate:
    return Candidate(
        rule=found.rule,
        name=found.name,
        masked=found.masked,
        slices=found.slices,
        kept=True,
        confidence=found.confidence,
        why=found.why,
    )


def _place_of(candidate: Candidate) -> tuple[int, int, str]:
    first = candidate.slices[0] if candidate.slices else Slice(0, 0, 0)
    return first.segment, first.start, candidate.rule
