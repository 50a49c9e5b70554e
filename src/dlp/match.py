"""The scanner of all packs: candidates by hyperscan, each confirmed exactly, then judged and resolved.

The view is read once. Check digits, words nearby and word borders decide about a candidate; where two identifiers
overlap the surer one stays. What comes out are findings, which never hold the hit itself.
"""

from __future__ import annotations

import hmac
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from dlp import exact, marks, packs, words, wrapped
from dlp.checks import mask
from dlp.classes import class_in
from dlp.context import Context, labels_of, scannable, words_of
from dlp.errors import PackError, Problem
from dlp.forms import form_in, tables_in
from dlp.marks import lint, signs
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
)
from dlp.packs import Pack, Rule
from dlp.places import STRETCH, Known, Place, Word, no_marks_in_marks, pattern_place, resolve, term_place, thin
from dlp.scan import Expression, Raw, Refused, Scanner
from dlp.text import View, fold, normalize, slices
from dlp.zones import Zones

CANDIDATES_PER_HIT = 100
"""Raw candidates that are collected for each finding that is allowed; beyond it the text is a flood."""
Stop = Callable[[Sequence[Finding]], bool]
"""Tells of marks whether nothing more may be read."""
SAME_TERM = 50
"""Places of one term that are all reported; after them one in each stretch of `STRETCH` characters."""

_PROVEN = ("resident_id", "hmt_residence", "foreign_pr")
"""Checks that a number formed by chance does not pass: region, birth date and check digit."""
_GRAVITY = {severity: rank for rank, severity in enumerate(Severity)}
_SEPARATORS = re.compile(r"[\s\-]")


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


class Matcher:
    """The scanner of one set of packs. Thread-safe."""

    def __init__(
        self,
        loaded: Sequence[Pack],
        *,
        key: bytes,
        max_hits: int = 10_000,
        compiled: Callable[[bytes], bytes] = lambda _digest: b"",
    ) -> None:
        """Make the packs ready; `compiled` gives what `Scanner.dump` returned for a digest, or nothing."""
        self.digest = packs.digest(loaded, words.site_words())
        self._key = key
        self._max_hits = max_hits
        self._known = [self._ready(pack, rule) for pack in loaded for rule in pack.rules]
        self._terms = [term for known in self._known for term in self._terms_of(known)]
        self._lengths = np.array([len(term.folded) for term in self._terms], dtype=np.int64)
        self._patterns = [known for known in self._known if known.exact is not None]
        self._sheets = [known for known in self._known if known.rule.kind in ("table", "form")]
        self._kinds = [known for known in self._known if known.rule.kind == "class"]
        self._context_words = frozenset(w for known in self._known for side in known.context for w in side)
        labels = sorted({label for known in self._known for label in labels_of(known.rule)})
        near, self._foreign = scannable(sorted(self._context_words))
        try:
            self.scanner = Scanner(
                [term.folded for term in self._terms],
                [Expression(known.rule.pattern, known.rule.edges) for known in self._patterns],
                sorted(signs.SEEDS.union(near)),
                labels,
                compiled,
            )
        except Refused as err:
            raise _refusal(self._patterns[err.args[0]], err.args[1]) from err

    def find(self, document: Document, stop: Stop | None = None) -> tuple[tuple[Finding, ...], tuple[Gap, ...]]:
        """Return the findings of a document, in its order, and a gap when there were more than may be counted.

        Marks are looked at first: where `stop` says so of them, they are all that is looked for.
        """
        view = normalize(document.segments)
        raw = self._scan(view)
        marks = lint.judge(view, list(self._marks(view, document, raw)))
        if stop is not None and stop(marks):
            return tuple(sorted(marks, key=_order)), ()
        context = self._context(view, document, raw)
        hits = self._hits(view, raw, context)
        flood = raw.flood or any(sum(hit.passes for hit in many) > self._max_hits for _, many in hits)
        terms = thin([p for p in self._term_places(view, raw, context) if p.kept], self._max_hits // 2)
        numbers = [p for p in self._pattern_places(view, hits, context) if p.kept]
        findings = self._findings(view, [*terms, *resolve(numbers)])
        if not flood:
            findings += self._cut_in_two(view, document)
        findings += [f for known in self._sheets for f in self._forms(document, known, context)]
        findings += marks
        findings += [f for known in self._kinds for f in self._classes(view, known)]
        flood = flood or len(findings) > self._max_hits
        if len(findings) > self._max_hits:
            # the gravest are told: a mark at the end of a flood is still a mark
            findings = sorted(findings, key=lambda f: _GRAVITY[f.severity], reverse=True)[: self._max_hits]
        findings.sort(key=_order)
        gaps = (Gap(kind=GapKind.HIT_CAP, detail=f"more than {self._max_hits} hits"),) if flood else ()
        return tuple(findings), gaps

    def find_marks(self, document: Document) -> list[Finding]:
        """Return the marks of a document, and look for nothing else."""
        view = normalize(document.segments)
        return lint.judge(view, list(self._marks(view, document, self._scan(view))))

    def explain(self, document: Document) -> tuple[Candidate, ...]:
        """Return every candidate of a document: what was kept, what was dropped, and why."""
        view = normalize(document.segments)
        raw = self._scan(view)
        context = self._context(view, document, raw)
        hits = self._hits(view, raw, context, every=True)
        places = [*self._term_places(view, raw, context), *self._pattern_places(view, hits, context)]
        winners = {(p.start, p.end, p.known.full_id) for p in resolve([p for p in places if p.kept])}
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
        told += [_as_candidate(f) for f in self._cut_in_two(view, document)]
        for known, hit in self._mark_hits(view, document, raw):
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
        told += [_as_candidate(f) for known in self._sheets for f in self._forms(document, known, context)]
        told += [_as_candidate(f) for known in self._kinds for f in self._classes(view, known)]
        return tuple(sorted(told, key=_place_of))

    def mask(self, text: str) -> str:
        """Return `text` with every identifier in it masked: for file names and paths that are shown."""
        document = Document(media="text/plain", segments=(Segment(text=text),))
        view = normalize(document.segments)
        raw = self._scan(view)
        # a number in a file name stands alone: no word is asked for beside it
        context = self._context(view, document, raw, names=True)
        places = [p for p in self._pattern_places(view, self._hits(view, raw, context), context) if p.kept]
        for place in sorted(resolve(places), key=lambda p: -p.start):
            for piece in slices(view, place.start, place.end):
                text = text[: piece.start] + self._masked(view, place) + text[piece.end :]
        return text

    def digest_of(self, kind: str, value: str) -> str:
        """Return the digest that a finding of type `kind` has whose hit is `value`, however either is written."""
        return digest_of(self._key, kind, value)

    def _digest(self, kind: str, raw: str) -> str:
        return _digest(self._key, kind, raw)

    def _ready(self, pack: Pack, rule: Rule) -> Known:
        full_id = pack.full_id(rule)
        return Known(
            pack=pack,
            rule=rule,
            full_id=full_id,
            exact=exact.ready(rule) if rule.kind == "pattern" else None,
            context=words_of(rule),
            finding=Finding(
                rule=full_id,
                pack=pack.id,
                type=rule.type,
                category=pack.category,
                name=rule.name,
                severity=rule.severity,
                level=rule.level,
                regime=rule.regime,
                confidence=rule.confidence,
                references=rule.references,
            ),
        )

    def _terms_of(self, known: Known) -> Iterator[Word]:
        for term in known.rule.all_terms() if known.rule.kind == "terms" else ():
            folded = fold(term.term)
            judged = term.boundary == "straddle" or (not term.boundary and len(folded) < 4)
            told: dict[str, Any] = {"masked": folded[:40], "digest": self._digest(known.rule.type, folded)}
            finding = replace(known.finding, weight=term.weight, **told)
            inside, not_inside = (tuple(map(fold, longer)) for longer in (term.inside, term.not_inside))
            yield Word(known, folded, term.weight, judged, inside, not_inside, finding)

    def _scan(self, view: View) -> Raw:
        return self.scanner.scan(view.utf8, self._max_hits * CANDIDATES_PER_HIT)

    def _context(self, view: View, document: Document, raw: Raw, *, names: bool = False) -> Context:
        # what a flood cut off may hold any word
        present = raw.present | (self._context_words if raw.flood else self._foreign)
        return Context(view, document, present, names=names)

    def _term_places(self, view: View, raw: Raw, context: Context) -> Iterator[Place]:
        if not len(raw.terms):
            return
        ends = view.characters(raw.ends)
        starts = ends - self._lengths[raw.terms]
        torn = view.index[ends - 1] - view.index[starts] >= ends - starts  # something was left out in its middle
        zones = Zones(view, context.document)
        last, kept, told = -1, 0, -1
        for number, start, end, is_torn in zip(
            raw.terms.tolist(), starts.tolist(), ends.tolist(), torn.tolist(), strict=True
        ):
            if number != last:
                last, kept, told = number, 0, -1
            if kept >= SAME_TERM and start // STRETCH == told:
                continue
            place = term_place(view, self._terms[number], start, end, context, is_torn=is_torn)
            factor = zones.factor(start, end) if place.kept else 1.0
            if factor != 1.0:
                place = place._replace(factor=factor * place.factor)
            yield place
            if place.kept:
                kept, told = kept + 1, start // STRETCH

    def _hits(
        self, view: View, raw: Raw, context: Context, *, every: bool = False
    ) -> list[tuple[Known, list[exact.Hit]]]:
        """Return the exact hits of each pattern; with `every`, also of rules that cannot hold here.

        One passing hit more than may be counted is looked for: it tells a flood.
        """
        found = []
        for number, spans in sorted(raw.spans.items()):
            known = self._patterns[number]
            if known.exact is not None and (every or not context.rules_out(known.rule, known.context)):
                hits = exact.confirm(view.utf8, known.exact, spans)
                found.append((known, list(exact.first(hits, self._max_hits + 1))))
        return found

    def _pattern_places(
        self, view: View, found: Sequence[tuple[Known, list[exact.Hit]]], context: Context
    ) -> Iterator[Place]:
        hits = [(known, hit) for known, many in found for hit in many]
        bounds = view.characters(np.array([bound for _, hit in hits for bound in hit[:2]], dtype=np.int64)).tolist()
        for (known, hit), start, end in zip(hits, bounds[0::2], bounds[1::2], strict=True):
            yield pattern_place(known, hit, start, end, context)

    def _findings(self, view: View, places: Sequence[Place]) -> list[Finding]:
        """Return places as findings; there may be thousands, so what they have in common is worked out at once."""
        if not places:
            return []
        firsts = view.index[np.array([p.start for p in places], dtype=np.int64)]
        lasts = view.index[np.array([p.end for p in places], dtype=np.int64) - 1]
        numbers = np.searchsorted(view.starts, firsts, side="right") - 1
        whole = np.searchsorted(view.starts, lasts, side="right") - 1 == numbers
        lows, highs = firsts - view.starts[numbers], lasts + 1 - view.starts[numbers]
        found = []
        for place, number, low, high, is_whole in zip(
            places, numbers.tolist(), lows.tolist(), highs.tolist(), whole.tolist(), strict=True
        ):
            segment = view.segments[number]
            base = place.term.finding if place.term is not None else self._named(view, place)
            if not is_whole or segment.strip is not None:
                base = _placed(view, base, slices(view, place.start, place.end))
            else:
                base = replace(base, slices=(Slice(number, low, high),), part=segment.part, zone=segment.zone)
            if place.factor != 1.0:
                base = replace(base, weight=round(base.weight * place.factor, 2))
            found.append(replace(base, offset=place.start, confidence=round(place.confidence, 3), why=place.why))
        return found

    def _cut_in_two(self, view: View, document: Document) -> Iterator[Finding]:
        """Return the identifiers that a line break or a cell border lies in; only those that nothing else could be."""
        again = wrapped.joined(view)
        if again is None:
            return
        near, cuts = again
        raw = self._scan(near)
        context = self._context(near, document, raw)
        places = self._pattern_places(near, self._hits(near, raw, context), context)
        sure = [p for p in places if p.kept and (p.known.rule.check in _PROVEN or p.why[-1].startswith("near:"))]
        inside = [
            p for p in sure if cuts[min(bisect_left(cuts, p.start + 1), len(cuts) - 1)] in range(p.start + 1, p.end)
        ]
        for found in self._findings(near, resolve(inside)):
            offset = int(np.searchsorted(view.index, near.index[found.offset]))
            yield replace(found, offset=offset, why=(*found.why, "cut-in-two"))

    def _named(self, view: View, place: Place) -> Finding:
        """Return the finding of a pattern, masked, without its place."""
        base, hit = place.known.finding, view.text[place.start : place.end]
        return replace(base, masked=mask(place.known.rule.mask, hit), digest=self._digest(base.type, hit))

    def _masked(self, view: View, place: Place) -> str:
        raw = view.text[place.start : place.end]
        return raw[:40] if place.term is not None else mask(place.known.rule.mask, raw)

    def _mark_hits(self, view: View, document: Document, raw: Raw) -> Iterator[tuple[Known, marks.Hit]]:
        rules = [known for known in self._known if known.rule.kind == "mark"]
        if rules:
            ground = Ground(view, document, signs.SEEDS if raw.flood else raw.present)
            for known in rules:
                for hit in marks.find(view, known.rule, document, ground):
                    yield known, hit

    def _marks(self, view: View, document: Document, raw: Raw) -> Iterator[Finding]:
        found = [(known, hit) for known, hit in self._mark_hits(view, document, raw) if hit.status != "mention"]
        for known, hit in no_marks_in_marks(found):
            yield _placed(
                view,
                known.finding,
                slices(view, hit.start, hit.end),
                offset=hit.start,
                masked=view.text[hit.start : hit.end].strip()[:40],
                digest=self._digest(known.rule.type, view.text[hit.start : hit.end]),
                confidence=round(hit.confidence, 3),
                why=(*(("suspect",) if hit.status == "SUSPECT" else ()), *hit.why),
                level=hit.mark.level,
                regime=hit.mark.regime,
                severity=_gravity(hit.mark.regime),
                mark=hit.mark,
            )

    def _classes(self, view: View, known: Known) -> Iterator[Finding]:
        place = class_in(view, known.rule)
        if place is not None:
            title = view.text[slice(*place)]
            yield _placed(
                view,
                known.finding,
                slices(view, *place),
                offset=place[0],
                masked=title,
                digest=self._digest(known.rule.type, title),
                why=("title", f"articles:{known.rule.articles}"),
            )

    def _forms(self, document: Document, known: Known, context: Context) -> Iterator[Finding]:
        if not context.has_labels(known.rule):
            return
        made = [form_in(document, known.rule)] if known.rule.kind == "form" else []
        made += [tables_in(grid, known.rule) for grid in context.grids()] if known.rule.kind == "table" else []
        for found in made:
            if found is None:
                continue
            heads = tuple(found.cells)
            first = document.segments[heads[0].segment]
            yield replace(
                known.finding,
                count=found.rows,
                slices=heads,
                part=first.part,
                page=first.strip.page if first.strip is not None else None,
                zone=first.zone,
                masked="、".join(found.words)[:60],
                digest=self._digest(known.rule.type, f"{known.full_id}|{'|'.join(first.part)}|{heads[0]}"),
                why=(known.rule.kind, f"columns:{len(heads)}", f"rows:{found.rows}"),
            )


def digest_of(key: bytes, kind: str, value: str) -> str:
    """Return the digest that a finding of type `kind` has at a deployment whose hit is `value`, however written."""
    return _digest(key, kind, fold(value))


def _digest(key: bytes, kind: str, raw: str) -> str:
    plain = _SEPARATORS.sub("", raw).upper()
    return hmac.digest(key, f"{kind}\0{plain}".encode(), "sha256").hex()


def _placed(view: View, base: Finding, pieces: tuple[Slice, ...], **told: Any) -> Finding:
    """Return a finding at its place in the document."""
    first = view.segments[pieces[0].segment]
    lines = [(p, view.segments[p.segment].strip) for p in pieces] if first.strip is not None or len(pieces) > 1 else ()
    return replace(
        base,
        slices=pieces,
        boxes=tuple(strip.box(p.start, p.end) for p, strip in lines if strip is not None),
        part=first.part,
        page=first.strip.page if first.strip is not None else None,
        zone=first.zone,
        **told,
    )


def _refusal(known: Known, reason: str) -> PackError:
    return PackError(
        Say(
            f"规则 {known.full_id} 的正则过大或不支持", f"the pattern of {known.full_id} is too large or not supported"
        ),
        (
            Problem(
                file=known.pack.file,
                line=packs.line_of(known.pack, known.rule),
                key=f"{known.full_id}.pattern",
                say=Say(f"hyperscan 不接受：{reason}", f"hyperscan refuses it: {reason}"),
                advice=Say("减小重复次数或拆成几条", "use smaller repeats or several rules"),
            ),
        ),
    )


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
