"""The text of OFD pages without its cuts: which characters go, where the others stand, and the boxes over the holes.

What stays on a line where only numbers were removed keeps its place to the last digit. Where the width of what was
removed would tell something, the line is laid anew around a hole of one width (see `pdf_gaps`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from lxml import etree

from dlp.formats import NotRedactable, ofd, pdf_gaps
from dlp.formats.ofd import Code, local, numbers
from dlp.formats.ofd_clean import tag
from dlp.formats.pdf_gaps import Around, Letter
from dlp.formats.placed import Turn, letter_box, times
from dlp.model import Box, Cut, Mode

_SHARE = 0.3  # of a character, along and across: from here on it belongs to a box
_NEAR = 0.35  # em: base lines nearer than this are one line
_LEVEL = 1e-3  # of the size: what leans more is not laid anew
_LABEL_LEAST = 1.1  # millimetres: smaller letters nobody reads
_REPLACED = frozenset({"TextCode", "CGTransform", "Actions"})

Sides = tuple[float, float, float, float]


class Hole(NamedTuple):
    """A box to be drawn in front of a text object, in the measure of what the object stands in."""

    sides: Sides
    label: str


class Thing:
    """One text object of a page: its characters one after the other, over all its pieces of text."""

    def __init__(self, node: Any, base: Turn) -> None:
        self.node = node
        self.base = base
        """From the measure of what it stands in to points of the page."""
        self.own = ofd.own_turn(node)
        self.size = ofd.size_of(node)
        self.codes = ofd.codes_of(node)
        self.letters = [(code, at) for code in self.codes for at in range(len(code.text))]
        ends = np.cumsum([len(code.text) for code in self.codes]).tolist()
        self.starts = {id(code.node): end - len(code.text) for code, end in zip(self.codes, ends, strict=True)}
        self.gone: set[int] = set()
        self.labels: dict[int, str] = {}
        self.moved: dict[int, float] = {}
        """Where characters begin now, in points of the page."""
        self.stretch = 1.0
        self.laid = False
        """Whether its line was laid anew; then `holes` are the boxes, else they follow from what is gone."""
        self.holes: list[Hole] = []

    @property
    def turn(self) -> Turn:
        """From its own measure to points of the page."""
        return times(self.own, self.base)

    def boxes(self, turn: Turn) -> list[Sides]:
        """Return the boxes of all characters under a turn."""
        return [letter_box(code.text[at], code.points[at], turn, self.size) for code, at in self.letters]

    def is_level(self) -> bool:
        """Tell whether its characters stand upright on one straight line, from left to right."""
        a, b, c, d, *_ = self.turn
        heights = {point[1] for code in self.codes for point in code.points}
        upright = a > 0 and d > 0 and abs(b) + abs(c) <= _LEVEL * (a + d)
        return upright and bool(heights) and max(heights) - min(heights) <= _LEVEL * max(self.size, _LEVEL)


class Page:
    """The text objects of one page and what has to be done to them."""

    def __init__(self, things: Sequence[Thing], width: float, mode: Mode) -> None:
        self._things = [thing for thing in things if thing.letters]
        self._width = width
        self._mode = mode
        self._sides = [np.array(thing.boxes(thing.turn), dtype=np.float64) for thing in self._things]
        around = [(s[:, 0].min(), s[:, 1].min(), s[:, 2].max(), s[:, 3].max()) for s in self._sides]
        self._around = np.array(around, dtype=np.float64).reshape(-1, 4)
        self._rows: list[tuple[float, float]] = []

    def empty(self, cut: Cut) -> None:
        """Take out all characters under the boxes of a cut."""
        gap = self._mode is Mode.FIXED_GAP or (cut.gap and self._mode is not Mode.KEEP)
        for box in cut.boxes:
            found = list(self._under(box))
            if not found:
                raise NotRedactable("what is to be removed is not where it was read")
            label = cut.label
            for thing, places in found:
                thing.gone.update(places)
                thing.labels.setdefault(places[0], label)
                label = ""
                if gap and thing.is_level():
                    self._note_row(thing)

    def _under(self, box: Box) -> Iterator[tuple[Thing, list[int]]]:
        s = self._around
        near = (s[:, 0] < box.x1) & (s[:, 2] > box.x0) & (s[:, 1] < box.y1) & (s[:, 3] > box.y0)
        for number in np.flatnonzero(near).tolist():
            x0, y0, x1, y1 = self._sides[number].T
            wide, high = np.maximum(x1 - x0, 1e-6), np.maximum(y1 - y0, 1e-6)
            along = (np.minimum(x1, box.x1) - np.maximum(x0, box.x0)) / wide
            across = (np.minimum(y1, box.y1) - np.maximum(y0, box.y0)) / high
            places = np.flatnonzero((along >= _SHARE) & (across >= _SHARE)).tolist()
            if places:
                yield self._things[number], places

    def _note_row(self, thing: Thing) -> None:
        base, em = _base_line(thing), _em(thing)
        if not any(abs(base - known) < _NEAR * max(em, size) for known, size in self._rows):
            self._rows.append((base, em))

    def close_gaps(self) -> None:
        """Lay every line anew in which the width of a hole would tell something."""
        if not self._rows:
            return
        level = [number for number, thing in enumerate(self._things) if thing.is_level()]
        bases = np.array([_base_line(self._things[number]) for number in level])
        ems = np.array([_em(self._things[number]) for number in level])
        for base, em in self._rows:
            near = np.abs(bases - base) < _NEAR * np.maximum(ems, em)
            here = [number for number, is_near in zip(level, near.tolist(), strict=True) if is_near]
            others = np.delete(self._around, here, axis=0)
            around = Around(begins=tuple(others[:, 0]), ends=tuple(others[:, 2]), width=self._width)
            self._lay([self._things[number] for number in here], around)

    def _lay(self, row: Sequence[Thing], around: Around) -> None:
        owners: list[tuple[Thing, int]] = []
        letters: list[Letter] = []
        for thing in row:
            thing.laid = True
            for at, (x0, x1) in enumerate(_advances(thing)):
                code, place = thing.letters[at]
                blank = code.text[place].isspace()
                letters.append(Letter(x0, x1, _em(thing), at in thing.gone, blank, len(owners)))
                owners.append((thing, at))
        laid = pdf_gaps.lay(letters, around)
        if laid is None:
            raise NotRedactable("there is no room to lay a line anew, and its width would tell what was removed")
        for letter in laid.letters:
            thing, at = owners[letter.owner]
            thing.moved[at] = letter.x
            thing.stretch = min(thing.stretch, letter.stretch)
        self._cover(row, laid.holes)

    def _cover(self, row: Sequence[Thing], holes: Sequence[tuple[float, float]]) -> None:
        """Note the boxes of a line that was laid anew at the first of its objects that lost something."""
        struck = [thing for thing in row if thing.gone]
        home = struck[0]
        tops = [box for thing in struck for at, box in enumerate(thing.boxes(thing.turn)) if at in thing.gone]
        labels = [label for thing in struck for _, label in sorted(thing.labels.items()) if label]
        k, _, _, _, e, f = home.base
        for number, (x0, x1) in enumerate(holes):
            y0, y1 = min(box[1] for box in tops), max(box[3] for box in tops)
            sides = ((x0 - e) / k, (y0 - f) / k, (x1 - e) / k, (y1 - f) / k)
            home.holes.append(Hole(sides, labels[number] if number < len(labels) else ""))


def _em(thing: Thing) -> float:
    return thing.size * abs(thing.turn[3])


def _base_line(thing: Thing) -> float:
    return thing.codes[0].points[0][1] * thing.turn[3] + thing.turn[5] if thing.codes[0].points else 0.0


def _advances(thing: Thing) -> Iterator[tuple[float, float]]:
    """Yield where each character begins and where the next one may, in points of the page."""
    a, _, _, _, e, _ = thing.turn
    for code, at in thing.letters:
        box = letter_box(code.text[at], code.points[at], thing.turn, thing.size)
        begin = a * code.points[at][0] + e
        end = box[2]
        if at + 1 < len(code.text) and begin < a * code.points[at + 1][0] + e < end + 0.3 * (end - begin):
            end = a * code.points[at + 1][0] + e
        yield begin, end


# --- writing


class Names:
    """Gives new objects their numbers, and the font of labels its own."""

    def __init__(self, first: int) -> None:
        self.last = first
        self.font = self.new()

    def new(self) -> str:
        """Return a number that nothing in the document has."""
        self.last += 1
        return str(self.last)


def rewrite(thing: Thing, names: Names) -> None:
    """Replace a text object by what is left of it and the boxes over what is not."""
    parent = thing.node.getparent()
    at = parent.index(thing.node)
    made = [*_left(thing, names), *_boxed(thing, names)]
    parent.remove(thing.node)
    for number, node in enumerate(made):
        parent.insert(at + number, node)


def _left(thing: Thing, names: Names) -> Iterator[Any]:
    """Yield one object for each stretch of characters that stays, with its part of the glyphs that it names."""
    glyphs = _glyphs(thing)
    for code, places in _runs(thing):
        node = copy.deepcopy(thing.node)
        node.tail = None
        for child in [child for child in node if local(child) in _REPLACED]:
            node.remove(child)
        node.set("ID", names.new())
        points = [_point(thing, number) for number in places]
        if thing.laid:
            points = _bounded(node, thing, points)
        own = glyphs.get(id(code.node), {})
        first = places[0] - thing.starts[id(code.node)]
        for run in _stretches([number - first for number in own if first <= number < first + len(places)]):
            _say_glyphs(node, run[0], [own[first + number] for number in run])
        piece = etree.SubElement(node, code.node.tag)
        piece.set("X", _say(points[0][0]))
        piece.set("Y", _say(points[0][1]))
        for name, axis in (("DeltaX", 0), ("DeltaY", 1)):
            steps = [after[axis] - before[axis] for before, after in pairwise(points)]
            if any(abs(step) >= 0.00005 for step in steps) or (name == "DeltaX" and steps):
                piece.set(name, " ".join(map(_say, steps)))
        piece.text = "".join(thing.letters[number][0].text[thing.letters[number][1]] for number in places)
        yield node


def _runs(thing: Thing) -> Iterator[tuple[Code, list[int]]]:
    run: list[int] = []
    for number, (code, _) in enumerate(thing.letters):
        if run and (number in thing.gone or thing.letters[run[0]][0] is not code):
            yield thing.letters[run[0]][0], run
            run = []
        if number not in thing.gone:
            run.append(number)
    if run:
        yield thing.letters[run[0]][0], run


def _point(thing: Thing, number: int) -> tuple[float, float]:
    code, at = thing.letters[number]
    x, y = code.points[at]
    if number in thing.moved:
        a, _, _, _, e, _ = thing.turn
        x = (thing.moved[number] - e) / a
    return x, y


def _bounded(node: Any, thing: Thing, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Give an object that was laid anew the bounds of what is in it: the old ones tell how long the line was."""
    bounds = numbers(node.get("Boundary", ""))
    matrix = numbers(node.get("CTM", ""))
    scale, shift = (matrix[0], matrix[4]) if len(matrix) == 6 else (1.0, 0.0)
    if thing.stretch < 1:
        narrow = next(iter(numbers(node.get("HScale", ""))), 1.0)
        node.set("HScale", _say(narrow * thing.stretch))
    if len(bounds) != 4:
        return list(points)
    first = points[0][0]
    wide = (points[-1][0] - first + thing.size) * scale + shift
    node.set("Boundary", " ".join(map(_say, (bounds[0] + first * scale, bounds[1], wide, bounds[3]))))
    return [(x - first, y) for x, y in points]


def _glyphs(thing: Thing) -> dict[int, dict[int, str]]:
    """Return, for each piece of text, the glyphs that its characters are drawn with, where the file names them.

    The pieces of a page that draw several characters as one glyph, or one as several, are not taken apart.
    """
    found: dict[int, dict[int, str]] = {}
    waiting: list[Any] = []
    for child in thing.node:
        if local(child) == "CGTransform":
            waiting.append(child)
        elif local(child) == "TextCode":
            own: dict[int, str] = {}
            for change in waiting:
                start, count, glyphs = (int(change.get(name, one)) for name, one in _TRANSFORM)
                named = " ".join(ofd.text_in(one) for one in ofd.named(change, "Glyphs")).split()
                if start < 0 or not count == glyphs == len(named):
                    raise NotRedactable("several characters are drawn as one glyph where something is to be removed")
                own |= {start + number: glyph for number, glyph in enumerate(named)}
            found[id(child)] = own
            waiting = []
    if waiting or (len(found) > 1 and sum(map(bool, found.values())) == 1):
        raise NotRedactable("the glyphs of a text cannot be told apart")
    return found


_TRANSFORM = (("CodePosition", "0"), ("CodeCount", "1"), ("GlyphCount", "1"))


def _stretches(places: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for place in sorted(places):
        if run and place != run[-1] + 1:
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def _say_glyphs(node: Any, start: int, glyphs: Sequence[str]) -> None:
    change = etree.SubElement(node, tag(node, "CGTransform"))
    for (name, _), value in zip(_TRANSFORM, (start, len(glyphs), len(glyphs)), strict=True):
        change.set(name, str(value))
    etree.SubElement(change, tag(node, "Glyphs")).text = " ".join(glyphs)


def _boxed(thing: Thing, names: Names) -> Iterator[Any]:
    """Yield a black box over each hole, and its label on it where there is room."""
    boxes = thing.boxes(thing.own)
    holes = list(thing.holes)
    if not thing.laid:
        for run in _stretches(sorted(thing.gone)):
            sides = [boxes[number] for number in run]
            around = (min(s[0] for s in sides), min(s[1] for s in sides))
            label = next((thing.labels[number] for number in run if thing.labels.get(number)), "")
            holes.append(Hole((*around, max(s[2] for s in sides), max(s[3] for s in sides)), label))
    for hole in holes:
        x0, y0, x1, y1 = hole.sides
        wide, high = _say(x1 - x0), _say(y1 - y0)
        node = _object(thing.node, "PathObject", hole.sides, names.new(), {"Fill": "true", "Stroke": "false"})
        etree.SubElement(node, tag(node, "FillColor")).set("Value", "0 0 0")
        path = f"M 0 0 L {wide} 0 L {wide} {high} L 0 {high} C"
        etree.SubElement(node, tag(node, "AbbreviatedData")).text = path
        yield node
        size = min(0.7 * (y1 - y0), 0.96 * (x1 - x0) / max(1, len(hole.label)))
        if hole.label and size >= _LABEL_LEAST:
            yield _label(thing.node, hole, size, names)


def _label(beside: Any, hole: Hole, size: float, names: Names) -> Any:
    x0, y0, x1, y1 = hole.sides
    node = _object(beside, "TextObject", hole.sides, names.new(), {"Font": names.font, "Size": _say(size)})
    etree.SubElement(node, tag(node, "FillColor")).set("Value", "255 255 255")
    piece = etree.SubElement(node, tag(node, "TextCode"))
    piece.set("X", _say((x1 - x0 - size * len(hole.label)) / 2))
    piece.set("Y", _say((y1 - y0) / 2 + 0.38 * size))
    if len(hole.label) > 1:
        piece.set("DeltaX", f"g {len(hole.label) - 1} {_say(size)}")
    piece.text = hole.label
    return node


def _object(beside: Any, name: str, sides: Sides, number: str, more: dict[str, str]) -> Any:
    node = etree.Element(tag(beside, name), nsmap=beside.nsmap)
    x0, y0, x1, y1 = sides
    for key, value in {"ID": number, "Boundary": " ".join(map(_say, (x0, y0, x1 - x0, y1 - y0))), **more}.items():
        node.set(key, value)
    return node


def _say(value: float) -> str:
    """Return a number as OFD writes it, to a ten-thousandth of a millimetre."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) >= 0.00005 else "0"
