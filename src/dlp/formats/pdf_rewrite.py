"""Content of a PDF page written anew by a plan: glyphs out, others moved, everything else as it was.

Where nothing moves, a text instruction keeps its displacement: what was a glyph becomes a number of the same width.
Where a line is laid anew, each text of its text object is placed by an absolute matrix, so that nothing depends on
what stood before it.
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
_MOVES = frozenset(("Td", "TD", "Tm", "T*"))


def rewrite(content: Content, places: Places, names: Mapping[int, str]) -> list[Op]:
    """Return the instructions of one content without what has to go. `names` are new names at `Do` instructions."""
    shows = {show.at: show for show in content.shows}
    dropped = {path.at for part, path in places.dropped if part is content}
    ops: list[Op] = []
    for begin, end in _blocks(content.ops):
        here = [shows[at] for at in range(begin, end) if at in shows]
        loose = any(show in places.moved for show in here)
        for at in range(begin, end):
            op = content.ops[at]
            if is_marking(op) or at in content.void:
                continue
            hidden = at in content.hidden
            if at in shows:
                ops += _show(op, shows[at], places, hidden=hidden, loose=loose)
            elif at in dropped or (hidden and op.name in _PAINTS):
                ops.append(Op("n", ()))
            elif hidden and op.name in ("Do", "sh", "BI"):
                continue
            elif loose and op.name in _MOVES:
                if op.name == "TD":
                    ops.append(Op("TL", [-_number(op.operands[1])]))
            elif at in names:
                ops.append(Op("Do", [pikepdf.Name(names[at])]))
            else:
                ops.append(op)
    return ops


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


def _show(op: Op, show: Show, places: Places, *, hidden: bool, loose: bool) -> list[Op]:
    """Return what one text instruction becomes."""
    gone = set(range(len(show.codes))) if hidden else places.gone.get(show, set())
    moved = places.moved.get(show)
    ops: list[Op] = []
    if op.name == '"':
        ops += [Op("Tw", [op.operands[0]]), Op("Tc", [op.operands[1]])]
    if moved and not hidden:
        return ops + _runs(show, gone, moved)
    if loose:
        ops.append(Op("Tm", [_decimal(value, 6) for value in show.start]))
    elif op.name in ("'", '"'):
        if not gone:
            return [op]
        ops.append(Op("T*", ()))
    if gone:
        return [*ops, Op("TJ", [pikepdf.Array(_spaced(show, gone))])]
    if op.name in ("'", '"'):
        return [*ops, Op("Tj", [op.operands[-1]])]
    return [*ops, op]


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


def _runs(show: Show, gone: set[int], moved: Mapping[int, Moved]) -> list[Op]:
    """Return a text instruction as strings at places of their own, without any spacing."""
    manner = show.manner
    back = inverse((*show.ctm[:4], 0.0, 0.0))
    scale = show.turn[0]
    ops = [Op("Tc", [0]), Op("Tw", [0])]
    stretch = 1.0
    text = b""
    start: Turn = show.start
    pen = 0.0
    for number, code in enumerate(show.codes):
        if number in gone:
            continue
        old = put(show.turn, show.starts[number], 0.0)[0]
        now = moved.get(number, Moved(0, old, 1.0))
        if text and (abs(now.x - pen) > _JOINED or now.stretch != stretch):
            ops += _string(text, start)
            text = b""
        if not text:
            a, b, c, d, e, f = show.matrix_at(number)
            across, up = put(back, now.x - old, 0.0)
            start = (a, b, c, d, e + across, f + up)
            if now.stretch != stretch:
                stretch = now.stretch
                ops.append(Op("Tz", [_decimal(100 * manner.stretch * stretch, 4)]))
        text += code
        pen = now.x + (show.ends[number] - show.starts[number]) * scale * now.stretch
    if text:
        ops += _string(text, start)
    if stretch != 1.0:
        ops.append(Op("Tz", [_decimal(100 * manner.stretch, 4)]))
    return [*ops, Op("Tc", [_decimal(manner.spacing, 6)]), Op("Tw", [_decimal(manner.word, 6)])]


def _string(text: bytes, start: Turn) -> list[Op]:
    return [Op("Tm", [_decimal(value, 6) for value in start]), Op("Tj", [pikepdf.String(text)])]


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
