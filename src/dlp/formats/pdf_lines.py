"""Characters with places in, lines in reading order out. Pure: knows neither pdfium nor files.

The order in which a PDF draws its characters is not the order in which people read them: a ★ that is taken from
another font is often drawn last. Therefore characters are put into rows by position, each row is sorted along its
axis, and only wide gaps divide it again. Text that is painted over other text keeps a line of its own, so that
neither of the two readings is destroyed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RUN_GAP = 1.2  # em: what follows within this distance is the same run
CELL_GAP = 1.3  # em: from here on a gap may be a gutter between columns
WIDE_GAP = 3.5  # em: from here on it always is
OVERPRINT = 0.3  # of the narrower character: what is covered more than this is painted over
BLANK_GAP = 0.3  # em: from here on a reader sees a blank
ODD_SHARE = 0.02  # of the letters of a page: above it the font maps are not believed
MANY = 3_000  # beyond this, quadratic comparisons are replaced by the safe simple answer


class Style(NamedTuple):
    """What all characters of one text object share. `angle` is degrees clockwise on the page as it is shown."""

    angle: int = 0
    size: float = 0.0
    face: str = ""
    colour: str = ""
    hidden: bool = False


class Glyphs:
    """The characters of one page in drawing order; boxes in points, origin top left, x0 y0 x1 y1."""

    __slots__ = ("boxes", "kinds", "objects", "styles", "text")

    def __init__(self, text: list[str], boxes: Floats, styles: Ints, kinds: list[Style]) -> None:
        self.text = text
        self.objects: list[int | None] = []
        """The object of the page that each character belongs to; good only while that page is open."""
        self.boxes = boxes
        self.styles = styles
        self.kinds = kinds


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


class _Group:
    """Characters that run in one direction: `a` is the way of reading, `c` the way from line to line."""

    __slots__ = ("a0", "a1", "angle", "at", "blank", "c0", "c1", "em", "glyphs", "hidden")

    def __init__(self, glyphs: Glyphs, at: Ints, angle: int, *, hidden: bool) -> None:
        self.glyphs = glyphs
        self.at = at
        self.angle = angle
        self.hidden = hidden
        sizes = np.array([style.size for style in glyphs.kinds], dtype=np.float64)[glyphs.styles[at]]
        self.a0, self.a1, self.c0, self.c1 = _axes(glyphs.boxes[at], angle, sizes)
        height = np.maximum(self.c1 - self.c0, 0.1)
        self.blank = np.array([glyphs.text[i].isspace() for i in at.tolist()], dtype=np.bool_)
        # A nominal size that does not fit the box (odd fonts, scaled text) is not believed.
        fits = (sizes > 0.2 * height) & (sizes < 3.0 * height)
        self.em = np.where(fits, sizes, height)


class _Piece:
    """One line on its way: indices into a group, sorted along the axis."""

    __slots__ = ("a0", "a1", "at", "c0", "c1", "em", "group", "order", "row", "soft", "split")

    def __init__(self, group: _Group, at: Ints, row: int, *, split: bool) -> None:
        self.group = group
        self.at = at
        self.row = row
        self.split = split
        self.a0 = float(group.a0[at].min())
        self.a1 = float(group.a1[at].max())
        self.c0 = _middle(group.c0[at])
        self.c1 = _middle(group.c1[at])
        self.em = _middle(group.em[at])
        self.order = int(group.at[at].min())
        self.soft = False


def build(glyphs: Glyphs) -> list[Line]:
    """Return the lines of a page in reading order; `soft` is set where a line continues the one before it."""
    if not glyphs.text:
        return []
    blocks: list[list[_Piece]] = []
    for group in _groups(glyphs):
        pieces = _pieces(group)
        blocks.extend(_blocks(pieces))
    blocks.sort(key=lambda block: min(piece.order for piece in block))
    lines: list[Line] = []
    for block in blocks:
        for place, piece in enumerate(block):
            line = _line(piece)
            if line is not None:
                line.soft = piece.soft and place > 0 and bool(lines)
                lines.append(line)
    return lines


def _axes(boxes: Floats, angle: int, sizes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Turn boxes into intervals along (`a`) and across (`c`) the direction of reading."""
    x0, y0, x1, y1 = boxes.T
    if angle == 0:
        return x0, x1, y0, y1
    if angle == 90:
        return y0, y1, -x1, -x0
    if angle == 180:
        return -x1, -x0, -y1, -y0
    if angle == 270:
        return -y1, -y0, x0, x1
    turn = math.radians(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    mid_x, mid_y = (x0 + x1) / 2, (y0 + y1) / 2
    # The box of a slanted character tells only the sum of its width and height; the font size tells the height.
    both = (x1 - x0 + y1 - y0) / (abs(cos) + abs(sin))
    high = np.where((sizes > 0.2 * both) & (sizes < both), sizes * 1.15, both / 2)
    wide = np.clip(both - high, 0.1 * high, 1.2 * high)
    along, across = mid_x * cos + mid_y * sin, mid_y * cos - mid_x * sin
    return along - wide / 2, along + wide / 2, across - high / 2, across + high / 2


def _groups(glyphs: Glyphs) -> list[_Group]:
    """Divide a page by direction and by whether the text can be seen; find vertical writing among upright text."""
    angles = np.array([style.angle for style in glyphs.kinds], dtype=np.int64)[glyphs.styles]
    hidden = np.array([style.hidden for style in glyphs.kinds], dtype=np.bool_)[glyphs.styles]
    found = []
    for angle in sorted(set(angles.tolist())):
        for unseen in (False, True):
            at = np.flatnonzero((angles == angle) & (hidden == unseen))
            if not at.size:
                continue
            group = _Group(glyphs, at, angle, hidden=unseen)
            if angle in (0, 180):
                down = _downward(group)
                if down.any():
                    found.append(_Group(glyphs, at[down], 90 if angle == 0 else 270, hidden=unseen))
                    at = at[~down]
                    if not at.size:
                        continue
                    group = _Group(glyphs, at, angle, hidden=unseen)
            found.append(group)
    return found


def _downward(group: _Group) -> npt.NDArray[np.bool_]:
    """Return which characters of an upright group are written from top to bottom.

    Evidence is at least three characters, mostly Han, each close under the one before it, in one column. What lies
    in such a column without neighbours of its own (a ★ or 10 from another font) belongs to it.
    """
    count = len(group.at)
    down = np.zeros(count, dtype=np.bool_)
    if count < 3:
        return down
    width = np.maximum(group.a1 - group.a0, 0.1)
    mid = (group.c0 + group.c1) / 2
    overlap = np.minimum(group.a1[1:], group.a1[:-1]) - np.maximum(group.a0[1:], group.a0[:-1])
    step = (mid[1:] - mid[:-1]) / np.maximum(group.em[1:], group.em[:-1])
    under = (overlap > 0.5 * np.minimum(width[1:], width[:-1])) & (step > 0.6) & (step < 1.5)
    for begin, end in _stretches(under):
        if end - begin < 2:  # steps; three characters have two
            continue
        letters = [group.glyphs.text[i] for i in group.at[begin : end + 1].tolist()]
        pitch = step[begin:end]
        even = float(pitch.max() - pitch.min()) < 0.12 and float(pitch.max()) < 1.3 and end - begin >= 3
        if even or sum(map(is_wide, letters)) * 2 > len(letters):
            down[begin : end + 1] = True
    if down.any() and not down.all():
        _gather(group, down)
    return down


def _stretches(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(edges[i]), int(edges[i + 1])) for i in range(0, len(edges), 2)]


def _gather(group: _Group, down: npt.NDArray[np.bool_]) -> None:
    """Add to the vertical characters those single ones that stand in their columns."""
    for _ in range(8):  # what is added can reach further along its column
        rest = np.flatnonzero(~down)
        columns = np.flatnonzero(down)
        if not rest.size or rest.size > MANY or columns.size > MANY:
            return
        more = [i for i in rest.tolist() if _belongs(group, i, rest, columns)]
        if not more:
            return
        down[more] = True


def _belongs(group: _Group, i: int, rest: Ints, columns: Ints) -> bool:
    em = max(float(group.em[i]), 1.0)
    mid = (group.a0[i] + group.a1[i]) / 2
    inside = (group.a0[columns] - 0.2 * em < mid) & (mid < group.a1[columns] + 0.2 * em)
    near = (group.c0[columns] < group.c1[i] + 1.2 * em) & (group.c1[columns] > group.c0[i] - 1.2 * em)
    if not bool((inside & near).any()):
        return False
    beside = rest[rest != i]
    level = np.minimum(group.c1[beside], group.c1[i]) - np.maximum(group.c0[beside], group.c0[i]) > 0.5 * em
    gap = np.maximum(group.a0[beside] - group.a1[i], group.a0[i] - group.a1[beside])
    return int((level & (gap < 0.8 * em)).sum()) <= 1


def is_wide(char: str) -> bool:
    """Return True for Han characters, kana, full-width forms and the like."""
    code = ord(char[0])
    return 0x2E80 <= code <= 0xA4CF or 0xAC00 <= code <= 0xD7A3 or 0xF900 <= code <= 0xFAFF or code >= 0xFF00


def _pieces(group: _Group) -> list[_Piece]:
    """Cluster a group into rows, order each row, and divide it where columns or cells part."""
    layers: list[tuple[int, Ints]] = []
    for row, runs in enumerate(_rows(group)):
        layers.extend((row, layer) for layer in _layers(group, runs))
    cuts = _cuts(group, layers)
    pieces: list[_Piece] = []
    for (row, at), where in zip(layers, cuts, strict=True):
        parts = np.split(at, where)
        pieces.extend(_Piece(group, part, row, split=len(parts) > 1) for part in parts if part.size)
    return pieces


def _runs(group: _Group) -> list[Ints]:
    """Divide drawing order into runs whose characters follow one another closely on one row."""
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
    return np.split(np.arange(len(group.at), dtype=np.int64), np.flatnonzero(~(level & forward)) + 1)


def _rows(group: _Group) -> list[list[Ints]]:
    """Join runs of equal height on the page into rows."""
    runs = _runs(group)
    begins = np.array([run[0] for run in runs], dtype=np.int64)
    sizes = np.array([len(run) for run in runs])
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
    return [[runs[i] for i in sorted(row)] for row in rows]


def _sorted(group: _Group, at: Ints) -> Ints:
    return at[np.argsort(group.a0[at] + group.a1[at], kind="stable")]


def _clashes(group: _Group, at: Ints) -> Ints:
    """Return, for a sorted row without blanks, the places whose character is painted over the one before.

    Neighbours that were drawn one after the other in one style are not: that is kerning or a wrong width.
    """
    a0, a1 = group.a0[at], group.a1[at]
    common = np.minimum(a1[1:], a1[:-1]) - a0[1:]
    width = np.maximum(np.minimum((a1 - a0)[1:], (a1 - a0)[:-1]), 0.1)
    kinds = group.glyphs.styles[group.at[at]]
    drawn = (np.diff(at) == 1) & (kinds[1:] == kinds[:-1]) & (np.diff(a0 + a1) >= 0.3 * group.em[at][1:])
    return np.flatnonzero((common > OVERPRINT * width) & ~drawn) + 1


def _layers(group: _Group, runs: list[Ints]) -> list[Ints]:
    """Divide a row whose characters are painted over one another into readable layers; mostly there is one."""
    order = _sorted(group, np.concatenate(runs))
    ink = order[~group.blank[order]]
    clash = _clashes(group, ink)
    if not clash.size:
        return [order]
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


def _cuts(group: _Group, layers: Sequence[tuple[int, Ints]]) -> list[list[int]]:
    """Return for each layer where it is divided: at wide gaps, and at lesser gaps that several rows share."""
    spots: list[tuple[int, int, float, float, float, bool]] = []  # layer, place, begin, end, em, sure
    for number, (_, at) in enumerate(layers):
        if len(at) < 2:
            continue
        reach = np.maximum.accumulate(group.a1[at])
        gaps = group.a0[at][1:] - reach[:-1]
        em = (group.em[at][1:] + group.em[at][:-1]) / 2
        for i in np.flatnonzero(gaps > CELL_GAP * em).tolist():
            sure = bool(gaps[i] > WIDE_GAP * em[i])
            spots.append((number, i + 1, float(reach[i]), float(group.a0[at[i + 1]]), float(em[i]), sure))
    cuts: list[list[int]] = [[] for _ in layers]
    if not spots:
        return cuts
    begins, ends = np.array([s[2] for s in spots]), np.array([s[3] for s in spots])
    rows = np.array([layers[s[0]][0] for s in spots])
    for number, place, begin, end, wide, sure in spots:
        if sure or len(spots) > MANY:
            cuts[number].append(place)
            continue
        shared = (np.minimum(ends, end) - np.maximum(begins, begin) > 0.8 * wide) & (rows != layers[number][0])
        if len(set(rows[shared].tolist())) >= 2 and not _is_spread_word(group, layers[number][1], place):
            cuts[number].append(place)
    return cuts


def _is_spread_word(group: _Group, at: Ints, place: int) -> bool:
    """Return True where one Han character stands alone beside the gap: 姓　　名 is one word, not two columns."""
    for inner, outer in ((place - 1, place - 2), (place, place + 1)):
        if not is_wide(group.glyphs.text[group.at[at[inner]]]):
            continue
        if outer < 0 or outer >= len(at):
            return True
        gap = max(group.a0[at[inner]] - group.a1[at[outer]], group.a0[at[outer]] - group.a1[at[inner]])
        if gap > BLANK_GAP * group.em[at[inner]]:
            return True
    return False


def _blocks(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    """Chain lines that stand under one another into blocks and mark those that only continue the line above."""
    blocks: list[list[_Piece]] = []
    live: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda p: (p.c0, p.a0)):
        live = [block for block in live if piece.c0 - block[-1].c1 < 3 * block[-1].em]
        # A narrow piece of a divided row is a table cell: it is read beside its neighbours, not below the last one.
        cell = piece.split and piece.a1 - piece.a0 < 8 * piece.em
        above = None if cell or len(live) > 500 else _above(live, piece)
        if above is None:
            live.append([piece])
            blocks.append(live[-1])
        else:
            piece.soft = _continues(above, piece)
            above.append(piece)
    return blocks


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


def _line(piece: _Piece) -> Line | None:
    """Write out the text of a piece with the blanks that a reader sees, and the edges of every character."""
    group, at = piece.group, piece.at
    letters = [group.glyphs.text[i] for i in group.at[at].tolist()]
    while letters and letters[0].isspace():
        letters, at = letters[1:], at[1:]
    while letters and letters[-1].isspace():
        letters, at = letters[:-1], at[:-1]
    if not letters:
        return None
    boxes = group.glyphs.boxes[group.at[at]]
    reach = np.maximum.accumulate(group.a1[at])
    gaps = (group.a0[at][1:] - reach[:-1]) / group.em[at][1:]
    usual = max(0.0, _middle(gaps)) if len(gaps) else 0.0
    blank = (gaps > max(BLANK_GAP, 1.7 * usual)).tolist()
    sides = boxes[:, [1, 3] if group.angle in (90, 270) else [0, 2]]
    whole = "".join(letters)
    if any(blank) or len(whole) != len(letters) or not whole.isprintable() or " " in whole or "\u3000" in whole:
        whole, edges = _spaced(letters, sides.tolist(), blank)
    else:
        edges = sides.ravel()
    first = group.glyphs.kinds[int(group.glyphs.styles[group.at[at[0]]])]
    style = Style(group.angle, round(piece.em, 2), first.face, first.colour, group.hidden)
    low, high = boxes.min(axis=0).tolist(), boxes.max(axis=0).tolist()
    return Line(whole, (low[0], low[1], high[2], high[3]), edges, style)


def _spaced(letters: list[str], sides: list[list[float]], blank: list[bool]) -> tuple[str, Floats]:
    """Put in the blanks that a reader sees; blanks, put in or drawn, have no ink."""
    text: list[str] = []
    edges: list[float] = []
    for i, letter in enumerate(letters):
        begin, end = sides[i]
        if i and blank[i - 1] and not letter.isspace() and not letters[i - 1].isspace():
            text.append(" ")
            edges += [begin, begin]
        text.append(letter)
        edges += [begin, begin if letter.isspace() else end] * len(letter)
    return "".join(text), np.array(edges, dtype=np.float64)


def trust(text: list[str], unmapped: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Count letters, and those among them that no honest font map gives.

    These are U+FFFD, private use, controls, and what the reader itself calls unmapped (pdfium then shows glyph
    numbers as if they were characters). A single one between others is a bullet of a symbol font; two in a row are
    text.
    """
    inked = [not char.isspace() for char in text]
    codes = np.array([ord(char[0]) for char, ink in zip(text, inked, strict=True) if ink], dtype=np.int64)
    if not codes.size:
        return 0, 0
    unmapped = unmapped[np.array(inked, dtype=np.bool_)]
    odd = (codes == 0xFFFD) | ((codes >= 0xE000) & (codes <= 0xF8FF)) | (codes >= 0xF0000)
    odd |= (codes < 32) | ((codes >= 0x7F) & (codes <= 0x9F)) | ((codes >= 0xD800) & (codes <= 0xDFFF))
    odd |= unmapped
    beside = np.zeros(codes.size, dtype=np.bool_)
    beside[1:] |= odd[:-1]
    beside[:-1] |= odd[1:]
    paired = int((odd & beside).sum())
    total = int(odd.sum())
    return int(codes.size), total if total > 0.2 * codes.size else paired
