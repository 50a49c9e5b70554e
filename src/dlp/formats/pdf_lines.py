"""Characters with places in, lines in reading order out. Pure: knows neither pdfium nor files.

The order in which a PDF draws its characters is not the order in which people read them: a ★ that is taken from
another font is often drawn last. Therefore characters are put into rows by position, each row is sorted along its
axis, and only wide gaps divide it again. Text that is painted over other text keeps a line of its own, so that
neither of the two readings is destroyed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from dlp.formats.pdf_glyphs import ODD_SHARE, Flags, Floats, Glyphs, Ints, Style, is_wide, trust
from dlp.formats.pdf_groups import MANY, Group, groups

__all__ = ["ODD_SHARE", "Floats", "Glyphs", "Ints", "Line", "Style", "build", "is_wide", "trust"]

RUN_GAP = 1.2  # em: what follows within this distance is the same run
CELL_GAP = 1.3  # em: from here on a gap may be a gutter between columns
WIDE_GAP = 3.5  # em: from here on it always is
OVERPRINT = 0.3  # of the narrower character: what is covered more than this is painted over
BLANK_GAP = 0.3  # em: from here on a reader sees a blank
LONG = 6  # digits: what has as many is a number of something, not a count
NEAR = 0.6  # em: between the lines of one cell, and between their beginnings
_NUMBER = re.compile(r"[0-9][0-9 -]*[0-9Xx]|[0-9Xx]")


class Line:
    """One line of a page: its text, its box, and where each character begins and ends along the axis."""

    __slots__ = ("box", "colour", "edges", "face", "hidden", "order", "size", "soft", "text", "vertical")

    def __init__(self, text: str, box: tuple[float, float, float, float], edges: Floats, style: Style) -> None:
        self.text = text
        self.box = box
        self.edges = edges
        self.vertical = style.angle in (90, 270)
        self.size = style.size
        self.face = style.face
        self.colour = style.colour
        self.hidden = style.hidden
        self.soft = False
        self.order = 0


def _middle(values: Floats) -> float:
    """Return the upper median; numpy's own costs ten times as much on a line of forty characters."""
    return float(sorted(values.tolist())[len(values) // 2])


class _Piece:
    """A line as it lies on its page, on its way into a block; `line` is None where it has no ink."""

    __slots__ = ("a0", "a1", "c0", "c1", "em", "line", "order", "row", "soft", "split")

    def __init__(self, sides: tuple[float, float, float, float, float], order: int, row: int, *, split: bool) -> None:
        self.a0, self.a1, self.c0, self.c1, self.em = sides
        self.order = order
        self.row = row
        self.split = split
        self.line: Line | None = None
        self.soft = False


def build(glyphs: Glyphs) -> list[Line]:
    """Return the lines of a page in reading order; `soft` is set where a line continues the one before it."""
    if not glyphs.text:
        return []
    blocks: list[list[_Piece]] = []
    for group in groups(glyphs):
        pieces = _pieces(group)
        blocks.extend(_blocks(pieces))
    blocks.sort(key=lambda block: min(piece.order for piece in block))
    lines: list[Line] = []
    for block in blocks:
        for place, piece in enumerate(block):
            line = piece.line
            if line is not None:
                line.soft = piece.soft and place > 0 and bool(lines)
                lines.append(line)
    return lines


def _pieces(group: Group) -> list[_Piece]:
    """Cluster a group into rows, order each row, and divide it where columns or cells part."""
    layers = _layers(group)
    at = np.concatenate([layer for _, layer in layers])
    firsts = _offsets(np.array([len(layer) for _, layer in layers]))
    starts = np.union1d(firsts, _cuts(group, layers, at, firsts))
    numbers = np.searchsorted(firsts, starts, side="right") - 1
    split = (np.bincount(numbers, minlength=len(layers)) > 1)[numbers].tolist()
    rows = [layers[number][0] for number in numbers.tolist()]
    low = np.minimum.reduceat(group.a0[at], starts).tolist()
    high = np.maximum.reduceat(group.a1[at], starts).tolist()
    c0, c1, em = (_middles(values[at], starts) for values in (group.c0, group.c1, group.em))
    orders = np.minimum.reduceat(group.at[at], starts).tolist()
    sides = zip(low, high, c0, c1, em, strict=True)
    pieces = [_Piece(*one, split=parted) for *one, parted in zip(sides, orders, rows, split, strict=True)]
    _write(group, at, starts, pieces)
    return pieces


def _offsets(sizes: Ints) -> Ints:
    """Return where each of some stretches begins that lie one behind the other."""
    return np.cumsum(sizes) - sizes


def _middles(values: Floats, starts: Ints) -> list[float]:
    """Return the upper median of each stretch; mostly all its values are the same."""
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    found: list[float] = low.tolist()
    for i in np.flatnonzero(low < high).tolist():
        found[i] = _middle(values[starts[i] : starts[i + 1] if i + 1 < len(starts) else len(values)])
    return found


def _reach(a1: Floats, starts: Ints) -> Floats:
    """Return how far each stretch reaches up to each of its characters."""
    reach = a1.copy()
    back = a1[1:] < a1[:-1]
    back[starts[1:] - 1] = False
    if back.any():
        numbers = np.searchsorted(starts, np.flatnonzero(back), side="right") - 1
        ends = np.append(starts[1:], len(a1))
        for i in np.unique(numbers).tolist():
            reach[starts[i] : ends[i]] = np.maximum.accumulate(a1[starts[i] : ends[i]])
    return reach


def _runs(group: Group) -> Ints:
    """Return where the runs begin, whose characters follow one another closely on one row in drawing order."""
    height = np.maximum(group.c1 - group.c0, 0.1)
    width = np.maximum(group.a1 - group.a0, 0.1)
    common = np.minimum(group.c1[1:], group.c1[:-1]) - np.maximum(group.c0[1:], group.c0[:-1])
    level = common >= 0.5 * np.minimum(height[1:], height[:-1])
    gap = group.a0[1:] - group.a1[:-1]
    em = np.maximum(group.em[1:], group.em[:-1])
    advance = (group.a0[1:] + group.a1[1:] - group.a0[:-1] - group.a1[:-1]) / 2
    kinds = group.glyphs.styles[group.at]
    alike = kinds[1:] == kinds[:-1]
    narrow = np.minimum(width[1:], width[:-1])
    # Boxes of one font may overlap much where the file lies about widths; those of two fonts may not.
    apart = np.where(alike, (gap >= -0.5 * narrow) | (advance >= 0.15 * em), gap >= -OVERPRINT * narrow)
    forward = (gap <= RUN_GAP * em) & apart & (advance >= 0)
    return np.concatenate(([0], np.flatnonzero(~(level & forward)) + 1))


def _rows(group: Group, begins: Ints, sizes: Ints) -> list[list[int]]:
    """Join runs of equal height on the page into rows; return the numbers of the runs of each."""
    lows = np.add.reduceat(group.c0, begins) / sizes
    highs = np.maximum(np.add.reduceat(group.c1, begins) / sizes, lows + 0.1)
    order = np.argsort((lows + highs) / 2, kind="stable").tolist()
    tops, bottoms = lows.tolist(), highs.tolist()
    rows: list[list[int]] = []
    low = high = tallest = 0.0
    for i in order:
        top, bottom = tops[i], bottoms[i]
        if rows and min(high, bottom) - max(low, top) >= 0.5 * min(high - low, bottom - top):
            rows[-1].append(i)
            if tallest < bottom - top < 1.5 * tallest:
                low, high, tallest = top, bottom, bottom - top
        else:
            rows.append([i])
            low, high, tallest = top, bottom, bottom - top
    return [sorted(row) for row in rows]


def _layers(group: Group) -> list[tuple[int, Ints]]:
    """Return the rows from the top, each with its number and sorted; one that is painted over as several layers."""
    begins = _runs(group)
    sizes = np.diff(np.append(begins, len(group.at)))
    rows = _rows(group, begins, sizes)
    row_of_run = np.empty(len(begins), dtype=np.int64)
    for number, row in enumerate(rows):
        row_of_run[row] = number
    row_of = np.repeat(row_of_run, sizes)
    order = np.lexsort((group.a0 + group.a1, row_of))
    ink = order[~group.blank[order]]
    clash = _clashes(group, ink)
    clashing = set(row_of[ink[clash[row_of[ink[clash]] == row_of[ink[clash - 1]]]]].tolist())
    layers: list[tuple[int, Ints]] = []
    end = 0
    for number, length in enumerate(np.bincount(row_of, minlength=len(rows)).tolist()):
        at, end = order[end : end + length], end + length
        if number in clashing:
            runs = [np.arange(begins[i], begins[i] + sizes[i]) for i in rows[number]]
            layers.extend((number, layer) for layer in _peeled(group, at, runs))
        else:
            layers.append((number, at))
    return layers


def _sorted(group: Group, at: Ints) -> Ints:
    return at[np.argsort(group.a0[at] + group.a1[at], kind="stable")]


def _clashes(group: Group, at: Ints) -> Ints:
    """Return, for a sorted row without blanks, the places whose character is painted over the one before.

    Neighbours that were drawn one after the other in one style are not: that is kerning or a wrong width.
    """
    a0, a1 = group.a0[at], group.a1[at]
    common = np.minimum(a1[1:], a1[:-1]) - a0[1:]
    width = np.maximum(np.minimum((a1 - a0)[1:], (a1 - a0)[:-1]), 0.1)
    kinds = group.glyphs.styles[group.at[at]]
    drawn = (np.diff(at) == 1) & (kinds[1:] == kinds[:-1]) & (np.diff(a0 + a1) >= 0.3 * group.em[at][1:])
    return np.flatnonzero((common > OVERPRINT * width) & ~drawn) + 1


def _peeled(group: Group, order: Ints, runs: list[Ints]) -> list[Ints]:
    """Divide a sorted row, some of whose characters are painted over one another, into readable layers."""
    ink = order[~group.blank[order]]
    clash = _clashes(group, ink)
    text, at = group.glyphs.text, group.at
    # The same character twice in one place is a shadow or a bold print, not a second text.
    near = 0.3 * (group.a1 - group.a0)  # of centres, doubled
    mid = group.a0 + group.a1
    twins = [
        int(ink[i])
        for i in clash.tolist()
        if text[at[ink[i]]] == text[at[ink[i - 1]]] and mid[ink[i]] - mid[ink[i - 1]] < near[ink[i]]
    ]
    order = np.setdiff1d(order, np.array(twins, dtype=np.int64), assume_unique=True)
    order = _sorted(group, order)
    if not _clashes(group, order[~group.blank[order]]).size:
        return [order]
    runs = [np.setdiff1d(run, np.array(twins, dtype=np.int64), assume_unique=True) for run in runs]
    runs = [run for run in runs if run.size]
    if len(order) > MANY or len(runs) > 400:
        return [_sorted(group, run) for run in runs]
    layers: list[Ints] = []
    for run in sorted(runs, key=len, reverse=True):
        for number, layer in enumerate(layers):
            joined = _sorted(group, np.concatenate([layer, run]))
            # A kerned seam between two long runs is no overprint: one character in three may touch.
            if _clashes(group, joined[~group.blank[joined]]).size <= len(run) // 3:
                layers[number] = joined
                break
        else:
            layers.append(_sorted(group, run))
    return layers


def _cuts(group: Group, layers: Sequence[tuple[int, Ints]], at: Ints, firsts: Ints) -> Ints:
    """Return where layers are divided: at wide gaps, and at lesser gaps that several rows share."""
    reach = _reach(group.a1[at], firsts)
    gaps = group.a0[at][1:] - reach[:-1]
    em = (group.em[at][1:] + group.em[at][:-1]) / 2
    wide = gaps > CELL_GAP * em
    wide[firsts[1:] - 1] = False
    spots = np.flatnonzero(wide) + 1
    sure = gaps[spots - 1] > WIDE_GAP * em[spots - 1]
    if sure.all() or len(spots) > MANY:
        return spots
    begins, ends, least = reach[spots - 1], group.a0[at[spots]], 0.8 * em[spots - 1]
    numbers = np.searchsorted(firsts, spots, side="right") - 1
    rows = np.array([row for row, _ in layers])[numbers]
    for i in np.flatnonzero(~sure).tolist():
        common = np.minimum(ends, ends[i]) - np.maximum(begins, begins[i])
        shared = set(rows[(common > least[i]) & (rows != rows[i])].tolist())
        layer = int(numbers[i])
        place = int(spots[i] - firsts[layer])
        sure[i] = len(shared) >= 2 and not _is_spread_word(group, layers[layer][1], place)
    return spots[sure]


def _is_spread_word(group: Group, at: Ints, place: int) -> bool:
    """Return True where one Han character stands alone beside the gap: 姓　　名 is one word, not two columns.

    Beside a long number it is the text of the next cell: 无, 男.
    """
    letters = [group.glyphs.text[group.at[i]] for i in at[max(0, place - LONG) : place + LONG].tolist()]
    before, behind = letters[: min(place, LONG)], letters[min(place, LONG) :]
    if any(len(side) == LONG and all(map(_is_digit, side)) for side in (before, behind)):
        return False
    for inner, outer in ((place - 1, place - 2), (place, place + 1)):
        if not is_wide(group.glyphs.text[group.at[at[inner]]]):
            continue
        if outer < 0 or outer >= len(at):
            return True
        gap = max(group.a0[at[inner]] - group.a1[at[outer]], group.a0[at[outer]] - group.a1[at[inner]])
        if gap > BLANK_GAP * group.em[at[inner]]:
            return True
    return False


def _is_digit(letter: str) -> bool:
    return letter.isascii() and letter.isdigit()


def _blocks(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    """Chain lines that stand under one another into blocks and mark those that only continue the line above."""
    blocks: list[list[_Piece]] = []
    live: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda p: (p.c0, p.a0)):
        live = [block for block in live if piece.c0 - block[-1].c1 < 3 * block[-1].em]
        # A narrow piece of a divided row is a table cell: it is read beside its neighbours, not below the last one.
        cell = piece.split and piece.a1 - piece.a0 < 8 * piece.em
        few = len(live) <= 500
        above = _above(live, piece) if few and not cell else None
        number = _number_above(live, piece) if few and above is None and _NUMBER.fullmatch(_text(piece)) else None
        if number is not None:
            piece.soft = True
            number.append(piece)
        elif above is None:
            live.append([piece])
            blocks.append(live[-1])
        else:
            piece.soft = _continues(above, piece)
            above.append(piece)
    return blocks


def _text(piece: _Piece) -> str:
    return piece.line.text if piece.line is not None else ""


def _number_above(live: list[list[_Piece]], piece: _Piece) -> list[_Piece] | None:
    """Return the block whose last line is the first part of a number that goes on in this narrow cell."""
    for block in live:
        last = block[-1]
        near = abs(piece.a0 - last.a0) < NEAR * piece.em and last.c1 - piece.em < piece.c0 < last.c1 + NEAR * piece.em
        if near and last.row != piece.row and len(_text(last)) >= LONG and _NUMBER.fullmatch(_text(last)):
            return block
    return None


def _above(live: list[list[_Piece]], piece: _Piece) -> list[_Piece] | None:
    best = None
    for block in live:
        last = block[-1]
        common = min(last.a1, piece.a1) - max(last.a0, piece.a0)
        if last.row == piece.row or common < 0.3 * min(last.a1 - last.a0, piece.a1 - piece.a0):
            continue
        if piece.c1 - last.c1 > 2.4 * max(last.em, piece.em) or piece.c1 <= last.c1:
            continue
        if best is None or last.c1 > best[-1].c1:
            best = block
    return best


def _continues(block: list[_Piece], piece: _Piece) -> bool:
    """Return True when `piece` reads on from the last line of `block`: same size, and that line was full."""
    last = block[-1]
    em = max(last.em, piece.em)
    if min(last.em, piece.em) < 0.8 * em:
        return False
    centred = abs((last.a0 + last.a1) - (piece.a0 + piece.a1)) < 2 * em
    indented = piece.a0 > last.a0 + em
    full = last.a1 >= max(piece.a1, *(p.a1 for p in block[-3:])) - 2.2 * em
    return full and (centred or not indented)


def _write(group: Group, at: Ints, starts: Ints, pieces: list[_Piece]) -> None:
    """Give each piece its line: the text with the blanks that a reader sees, and the edges of every character."""
    at, kept, begins = _trimmed(group, at, starts)
    if not at.size:
        return
    boxes = group.glyphs.boxes[group.at[at]]
    sides = boxes[:, [1, 3] if group.angle in (90, 270) else [0, 2]]
    parted = _parted(group, at, begins)
    text, edges, bounds = _spaced(group.glyphs, group.at[at], sides, parted, begins)
    low, high = np.minimum.reduceat(boxes, begins).tolist(), np.maximum.reduceat(boxes, begins).tolist()
    firsts = group.glyphs.styles[group.at[at[begins]]].tolist()
    for i, number in enumerate(kept.tolist()):
        begin, end = bounds[i], bounds[i + 1]
        first = group.glyphs.kinds[firsts[i]]
        style = Style(group.angle, round(pieces[number].em, 2), first.face, first.colour, group.hidden)
        box = low[i][0], low[i][1], high[i][2], high[i][3]
        pieces[number].line = Line(text[begin:end], box, edges[2 * begin : 2 * end], style)


def _trimmed(group: Group, at: Ints, starts: Ints) -> tuple[Ints, Ints, Ints]:
    """Take away blanks at the ends of stretches; return what is left, which stretches are, and where they begin."""
    ink = np.flatnonzero(~group.blank[at])
    first, end = np.searchsorted(ink, starts), np.searchsorted(ink, np.append(starts[1:], len(at)))
    kept = np.flatnonzero(first < end)
    first, last = ink[first[kept]], ink[end[kept] - 1]
    steps = np.zeros(len(at) + 1, dtype=np.int64)
    steps[first] += 1
    steps[last + 1] -= 1
    return at[np.cumsum(steps[:-1]) > 0], kept, _offsets(last - first + 1)


def _parted(group: Group, at: Ints, begins: Ints) -> Flags:
    """Tell before which characters a reader sees a blank."""
    gaps = np.full(len(at), -np.inf)
    gaps[1:] = (group.a0[at][1:] - _reach(group.a1[at], begins)[:-1]) / group.em[at][1:]
    gaps[begins] = -np.inf
    least = np.full(len(begins), BLANK_GAP)
    ends = np.append(begins[1:], len(at))
    for i in np.flatnonzero(np.maximum.reduceat(gaps, begins) > BLANK_GAP).tolist():
        least[i] = max(BLANK_GAP, 1.7 * _middle(gaps[begins[i] + 1 : ends[i]]))
    return gaps > np.repeat(least, ends - begins)


def _spaced(glyphs: Glyphs, at: Ints, sides: Floats, parted: Flags, begins: Ints) -> tuple[str, Floats, list[int]]:
    """Put in the blanks that a reader sees; blanks, put in or drawn, have no ink. Return also where lines begin."""
    blank = glyphs.blank[at]
    put = parted & ~blank
    put[1:] &= ~blank[:-1]
    sides[blank, 1] = sides[blank, 0]
    if glyphs.single and not put.any():
        text = glyphs.codes[at].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        return text, sides.ravel(), [*begins.tolist(), len(text)]
    letters = [glyphs.text[i] for i in at.tolist()]
    for i in np.flatnonzero(put).tolist():
        letters[i] = " " + letters[i]
    text = "".join(letters)
    counts = np.fromiter(map(len, letters), dtype=np.int64, count=len(letters))
    sides, offsets = np.repeat(sides, counts, axis=0), _offsets(counts)
    sides[offsets[put], 1] = sides[offsets[put], 0]
    return text, sides.ravel(), [*offsets[begins].tolist(), len(text)]
