"""Classification marks as objects, told from ordinary words by how and where they stand.

A candidate is found by its words, read into level, regime and term, and scored by the features of the domain fact
sheet (section 2.4): 5 points or more are a mark, 2 to 4 a suspect for a person to judge, less is a mention.
Everything is bounded, so that the whole is linear in the length of the text.

Sources: 保守国家秘密法 (2024-05-01) articles 20, 22, 24; its 实施条例 (2024-09-01) article 21; GB/T 9704-2012 7.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from dlp import words
from dlp.marks import read, term
from dlp.marks.place import Ground, Side, Stand
from dlp.marks.signs import (
    COPY_NUMBER,
    DECLASSIFIED,
    EMPTY_BOXES,
    JOINED_AFTER,
    JOINED_BEFORE,
    NEGATED,
    PUBLICATION,
    TEMPLATE,
    URGENCY,
    Sign,
)
from dlp.model import Document, Mark, Regime, Strip, Zone
from dlp.text import View

CERTAIN, LIKELY = 5.0, 2.0
"""Scores from which a candidate is a mark, and from which it is a suspect."""

MOST_CANDIDATES = 10_000
"""Candidates weighed in one text; a text that holds more is itself suspect and is reported as such."""

FAMILIES = frozenset(
    {
        "state_star",
        "label_value",
        "own_line",
        "title_prefix",
        "ticked",
        "business_secret",
        "work_secret",
        "internal",
        "telegram",
        "exam",
        "trad_tw_hk",
        "english",
    }
)
"""Families that can give a hit. The other six of the fact sheet (state_star_template, negation, form_options, declass,
urgency, copy_no) lower or raise the score of these."""


class Hit(NamedTuple):
    """A classification mark, a suspect, or a mere mention, in view offsets."""

    start: int
    end: int
    mark: Mark
    score: float
    status: str
    """`MARK`, `SUSPECT` or `mention`."""
    why: tuple[str, ...]

    @property
    def confidence(self) -> float:
        """Return the score as a confidence: marks from 0.80, suspects 0.40 to 0.60, mentions 0.10."""
        if self.status == "MARK":
            return min(0.99, 0.80 + 0.03 * (self.score - CERTAIN))
        return min(0.60, 0.40 + 0.10 * (self.score - LIKELY)) if self.status == "SUSPECT" else 0.10


class HasFamilies(Protocol):
    """A rule of kind `mark`: it names the families that it wants; none named means all."""

    @property
    def families(self) -> tuple[str, ...]:
        """Return names out of `FAMILIES`."""
        ...


class _Weight:
    """Points and the reasons for them."""

    __slots__ = ("points", "why")

    def __init__(self, sign: Sign) -> None:
        self.points = float(sign.points)
        self.why = [f"family:{sign.family}", *sign.why]

    def add(self, points: float, why: str) -> None:
        self.points += points
        self.why.append(f"{why}{points:+g}")


def find(view: View, rule: HasFamilies, document: Document, ground: Ground | None = None) -> Iterable[Hit]:
    """Yield every candidate of the rule's families, in the order of the text within each kind of word.

    Several rules that look at one view share one `Ground`.

    The mentions are yielded too, for `packs explain`; a caller that reports drops them. A text with more than
    `MOST_CANDIDATES` gives one suspect with the reason `flood` and stops there.
    """
    wanted = frozenset(rule.families) or FAMILIES
    ground = ground or Ground(view, document)
    signs = _take(read.candidates(ground, wanted))
    repeated = _repeated(ground, signs)
    for sign in signs[:MOST_CANDIDATES]:
        yield _judge(ground, sign, repeated)
    if len(signs) > MOST_CANDIDATES:
        last = signs[-1]
        mark = Mark(level=last.level, regime=last.regime)
        yield Hit(last.start, last.end, mark, LIKELY, "SUSPECT", ("flood",))


def _take(found: Iterator[Sign]) -> list[Sign]:
    taken: list[Sign] = []
    for sign in found:
        taken.append(sign)
        if len(taken) > MOST_CANDIDATES:
            break
    return taken


def _judge(ground: Ground, sign: Sign, repeated: frozenset[tuple[str, int]]) -> Hit:
    """Weigh one candidate and say what it is."""
    weight = _Weight(sign)
    stand = ground.stand(sign.start, sign.end)
    _weigh_line(ground, sign, stand, weight)
    if stand.free or sign.starred or sign.labelled:
        _weigh_place(ground, sign, weight, repeated)
    _weigh_against(ground, sign, stand, weight)
    status = "MARK" if weight.points >= CERTAIN else "SUSPECT" if weight.points >= LIKELY else "mention"
    issues: tuple[str, ...] = (term.MISUSED,) if sign.misused else ()
    if sign.regime is Regime.STATE:
        issues += term.faults(sign.level, sign.term)
    mark = Mark(level=sign.level, regime=sign.regime, term=sign.term, issues=issues)
    return Hit(sign.start, sign.end, mark, weight.points, status, tuple(weight.why))


def _weigh_line(ground: Ground, sign: Sign, stand: Stand, weight: _Weight) -> None:
    """Add what its own line says for it."""
    at_edge = stand.left == Side.EDGE
    if stand.alone:
        weight.add(3, "alone")
    elif stand.bracketed and sign.family == "internal":
        weight.add(3, "bracketed")
    zone = ground.zone(sign.start)
    if zone is Zone.FILE_NAME:
        if stand.bracketed and at_edge:
            weight.add(6, "file-name")
        elif _is_delimited(ground, sign):
            weight.add(4, "file-name")
    elif stand.bracketed and at_edge and not stand.alone and sign.family != "internal":
        weight.add(4, "title-prefix")
    elif not stand.alone and _is_delimited(ground, sign):
        weight.add(2, "delimited")


def _weigh_place(ground: Ground, sign: Sign, weight: _Weight, repeated: frozenset[tuple[str, int]]) -> None:
    """Add what its place in the document says for it."""
    zone = ground.zone(sign.start)
    segment = ground.segment_at(sign.start)
    if zone in {Zone.HEADER, Zone.FOOTER} or _line_key(ground, sign) in repeated:
        weight.add(3, "header")
    elif zone in {Zone.TEXT_BOX, Zone.OCR} and segment is not None and len(segment.text) <= 40:
        weight.add(3, "stamp")
    elif zone is Zone.METADATA:
        weight.add(4, "metadata")
    elif zone is Zone.BODY and ground.is_among_first_lines(sign.start):
        weight.add(2, "first-lines")
    above, below = ground.neighbours(sign.start, sign.end)
    if COPY_NUMBER.fullmatch(above) or URGENCY.fullmatch(below):
        weight.add(2, "copy-number")
    if segment is not None and segment.strip is not None:
        _weigh_ink(segment.strip, weight, ground.body_size())


def _weigh_ink(strip: Strip, weight: _Weight, body: float) -> None:
    """Add what the typeface and the colour say: size 3 (16 pt) black face, larger than the body, or red."""
    face = strip.face.lower()
    if 14.5 <= strip.size <= 17.5 and any(name in face for name in ("hei", "黑", "bold")):
        weight.add(1, "face")
    elif body and strip.size >= 1.25 * body:
        weight.add(1, "large")
    if len(strip.colour) == 7:
        red, green, blue = (int(strip.colour[i : i + 2], 16) for i in (1, 3, 5))
        if red >= 150 and green <= 90 and blue <= 90:
            weight.add(1, "red")


def _weigh_against(ground: Ground, sign: Sign, stand: Stand, weight: _Weight) -> None:
    """Take off what speaks against it: prose, quotes, lists of levels, empty boxes, negation, a crossed word."""
    text, start, end = ground.text, sign.start, sign.end
    left = text[max(ground.line(start)[0], start - 24) : start]
    at_edge = stand.left == Side.EDGE
    annotated = stand.bracketed and (at_edge or sign.family == "internal")
    if not annotated and ground.is_prose(stand, strict=sign.starred or at_edge, before=not sign.labelled):
        weight.add(-4, "prose")
    if stand.quoted:
        weight.add(-3, "quoted")
    if not sign.starred and (JOINED_AFTER.match(text, end, end + 12) or JOINED_BEFORE.search(left)):
        weight.add(-4, "levels-joined")
    if left.rstrip()[-1:] in tuple(EMPTY_BOXES):
        weight.add(-6, "empty-box")
    if not sign.starred and not sign.labelled and sign.family != "internal" and NEGATED.search(left[-5:]):
        weight.add(-6, "negated")
    if TEMPLATE.search(left) and not sign.labelled:
        weight.add(-8, "template")
    if sign.word and not (stand.alone or sign.starred or sign.labelled):
        border = words.judge(text, *sign.word)
        if border.rival is not None:  # a weak border is none for a mark
            weight.add(-8, f"straddles:{border.rival}")
    if sign.family == "internal" and PUBLICATION.search(text, max(0, start - 200), end + 200):
        weight.add(-6, "publication")
    if weight.points >= LIKELY and ground.is_rules():
        weight.add(-2, "regulation")
    if weight.points >= CERTAIN and DECLASSIFIED.search(text, max(0, start - 40), end + 60):
        weight.add(4 - weight.points, "declassified")


def _is_delimited(ground: Ground, sign: Sign) -> bool:
    """Tell whether it is one field of a name such as `2024_机密_方案.docx`."""
    start, end = sign.start, sign.end
    low, high = ground.line(start)
    before = ground.text[start - 1] if start > low else ""
    after = ground.text[end] if end < high else ""
    joint = {"_", "-"} & {before, after}
    return bool(joint) and before in {"", "_", "-", " "} and after in {"", "_", "-", " ", "."}


def _line_key(ground: Ground, sign: Sign) -> tuple[str, int]:
    """Return the text of the candidate's line and its height on the page, in steps of 8 points."""
    segment = ground.segment_at(sign.start)
    if segment is None or segment.strip is None:
        return "", -1
    return segment.text[:60].strip(), int(segment.strip.y0 / 8)


def _repeated(ground: Ground, signs: list[Sign]) -> frozenset[tuple[str, int]]:
    """Return the lines that stand at the same height on two pages or more: running headers and footers of a PDF."""
    pages: dict[tuple[str, int], set[int]] = {}
    for sign in signs:
        segment = ground.segment_at(sign.start)
        if segment is not None and segment.strip is not None and len(segment.text) <= 60:
            pages.setdefault(_line_key(ground, sign), set()).add(segment.strip.page)
    return frozenset(key for key, seen in pages.items() if len(seen) >= 2)
