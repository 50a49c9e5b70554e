"""Content of a PDF page written anew by a plan: glyphs out, others moved, everything else as it was.

Where nothing moves, a text instruction keeps its displacement: what was a glyph becomes a number of the same width.
Where a line is laid anew, each text of its text object is placed by an absolute matrix, so that nothing depends on
what stood before it; and the spacing of its content is written anew for each text, because that of a justified line
tells how wide the line was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pikepdf

from dlp.formats.pdf_gaps import Moved
from dlp.formats.pdf_ops import NeedsRaster, Op, inverse, is_marking, put
from dlp.formats.pdf_shows import Content, Show
from dlp.formats.pdf_spots import Places
from dlp.formats.placed import Turn

_FINE = 1e-3  # em: smaller steps of the pen are rounding
_JOINED = 0.02  # points: glyphs that follow one another this exactly are one string
_PAINTS = frozenset(("S", "s", "f", "F", "f*", "B", "B*", "b", "b*"))
_SPACES = ("Tc", "Tw", "Tz")
_MOVES = frozenset(("Td", "TD", "Tm", "T*"))


Spacing = tuple[float, float, float]
"""Between letters, between words, and how letters are stretched."""


class _Out:
    """Instructions that are written, with the spacing that a reader of them has at each moment."""

    def __init__(self, *, exact: bool) -> None:
        self.ops: list[Op] = []
        self._exact = exact
        self._now: Spacing = (0.0, 0.0, 1.0)
        self._kept: list[Spacing] = []

    def put(self, op: Op) -> None:
        """Write an instruction of the content; its spacing is left out where texts bring their own."""
        if self._exact:
            if op.name in _SPACES:
                return
            if op.name == "q":
                self._kept.append(self._now)
            elif op.name == "Q":
                self._now = self._kept.pop()
        self.ops.append(op)

    def space(self, wanted: Spacing) -> None:
        """Bring the spacing to what a text needs."""
        if not self._exact:
            return
        for name, old, new in zip(_SPACES, self._now, wanted, strict=True):
            if old != new:
                self.ops.append(Op(name, [_decimal(100 * new if name == "Tz" else new, 5)]))
        self._now = wanted


def rewrite(content: Content, places: Places, names: Mapping[int, str]) -> list[Op]:
    """Return the instructions of one content without what has to go. `names` are new names at `Do` instructions."""
    shows = {show.at: show for show in content.shows}
    dropped = {path.at for part, path in places.dropped if part is content}
    out = _Out(exact=any(show in places.moved for show in content.shows))
    for begin, end in _blocks(content.ops):
        here = [shows[at] for at in range(begin, end) if at in shows]
        loose = any(show in places.moved for show in here)
        for at in range(begin, end):
            op = content.ops[at]
            if is_marking(op) or at in content.void:
                continue
            hidden = at in content.hidden
            if at in shows:
                _show(out, op, shows[at], places, hidden=hidden, loose=loose)
            elif at in dropped or (hidden and op.name in _PAINTS):
                out.put(Op("n", ()))
            elif hidden and op.name in ("Do", "sh", "BI"):
                continue
            elif loose and op.name in _MOVES:
                if op.name == "TD":
                    out.put(Op("TL", [-_number(op.operands[1])]))
            elif at in names:
                out.put(Op("Do", [pikepdf.Name(names[at])]))
            else:
                out.put(op)
    return out.ops


def _blocks(ops: list[Op]) -> Iterator[tuple[int, int]]:
    """Yield the text objects and what lies between them, as ranges of instructions."""
    start = 0
    for at, op in enumerate(ops):
        if op.name == "BT":
            yield start, at
            start = at
        elif op.name == "ET":
            yield start, at + 1
            start = at + 1
    yield start, len(ops)


def _show(out: _Out, op: Op, show: Show, places: Places, *, hidden: bool, loose: bool) -> None:
    """Write what one text instruction becomes."""
    gone = set(range(len(show.codes))) if hidden else places.gone.get(show, set())
    moved = places.moved.get(show)
    manner = show.manner
    if moved and not hidden:
        _runs(out, show, gone, moved)
        return
    out.space((manner.spacing, manner.word, manner.stretch))
    if loose:
        out.put(Op("Tm", [_decimal(value, 6) for value in show.start]))
    elif op.name in ("'", '"'):
        if op.name == '"':
            out.put(Op("Tw", [op.operands[0]]))
            out.put(Op("Tc", [op.operands[1]]))
        out.put(Op("T*", ()))
    if gone:
        out.put(Op("TJ", [pikepdf.Array(_spaced(show, gone))]))
    elif op.name in ("'", '"'):
        out.put(Op("Tj", [op.operands[-1]]))
    else:
        out.put(op)


def _spaced(show: Show, gone: set[int]) -> list[Any]:
    """Return the operand of TJ that shows what stays where it was, and leaves the pen where it was."""
    manner = show.manner
    along = manner.size if show.vertical else manner.size * manner.stretch
    if not along:
        raise NeedsRaster("text without a size")
    items: list[Any] = []
    pen = 0.0
    text = b""
    for number, code in enumerate(show.codes):
        if number in gone:
            continue
        step = show.starts[number] - pen
        if abs(step) > _FINE * abs(along):
            if text:
                items.append(pikepdf.String(text))
            items.append(_decimal(-1_000 * step / along, 3))
            text = b""
        text += code
        pen = show.ends[number] + _behind(show, code)
    if text:
        items.append(pikepdf.String(text))
    if abs(show.moved - pen) > _FINE * abs(along):
        items.append(_decimal(-1_000 * (show.moved - pen) / along, 3))
    return items


def _behind(show: Show, code: bytes) -> float:
    manner = show.manner
    return (manner.spacing + (manner.word if code == b" " else 0.0)) * (1.0 if show.vertical else manner.stretch)


def _runs(out: _Out, show: Show, gone: set[int], moved: Mapping[int, Moved]) -> None:
    """Write a text instruction as strings at places of their own, without any spacing."""
    back = inverse((*show.ctm[:4], 0.0, 0.0))
    scale = show.turn[0]
    text = b""
    start: Turn = show.start
    stretch, pen = 1.0, 0.0
    for number, code in enumerate(show.codes):
        if number in gone:
            continue
        old = put(show.turn, show.starts[number], 0.0)[0]
        now = moved.get(number, Moved(0, old, 1.0))
        if text and (abs(now.x - pen) > _JOINED or now.stretch != stretch):
            _string(out, text, start)
            text = b""
        if not text:
            a, b, c, d, e, f = show.matrix_at(number)
            across, up = put(back, now.x - old, 0.0)
            start = (a, b, c, d, e + across, f + up)
            stretch = now.stretch
            out.space((0.0, 0.0, show.manner.stretch * stretch))
        text += code
        pen = now.x + (show.ends[number] - show.starts[number]) * scale * now.stretch
    if text:
        _string(out, text, start)


def _string(out: _Out, text: bytes, start: Turn) -> None:
    out.put(Op("Tm", [_decimal(value, 6) for value in start]))
    out.put(Op("Tj", [pikepdf.String(text)]))


def _decimal(value: float, places: int) -> Decimal:
    return Decimal(f"{value:.{places}f}")


def _number(value: Any) -> Decimal:
    return Decimal(str(value))


def used(ops: list[Op]) -> set[tuple[str, str]]:
    """Return kind and name of each resource that instructions use."""
    found: set[tuple[str, str]] = set()
    for op in ops:
        kind = _KINDS.get(op.name)
        if kind and op.operands and isinstance(op.operands[-1 if kind == "/Pattern" else 0], pikepdf.Name):
            found.add((kind, str(op.operands[-1 if kind == "/Pattern" else 0])))
        elif op.name == "BI":
            found |= {("/ColorSpace", str(name)) for name in _spaces(op.operands)}
    return found


def _spaces(picture: Any) -> list[Any]:
    space = picture.iimage.obj.get("/ColorSpace", picture.iimage.obj.get("/CS"))
    named = space[1] if isinstance(space, pikepdf.Array) and len(space) > 1 else space
    return [named] if isinstance(named, pikepdf.Name) else []


_KINDS = {
    "Tf": "/Font",
    "Do": "/XObject",
    "gs": "/ExtGState",
    "cs": "/ColorSpace",
    "CS": "/ColorSpace",
    "sh": "/Shading",
    "scn": "/Pattern",
    "SCN": "/Pattern",
}
