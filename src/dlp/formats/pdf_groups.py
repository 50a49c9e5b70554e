"""Characters of a page that run in one direction: turned to it, and vertical writing told from upright lines."""

from __future__ import annotations

import math

import numpy as np

from dlp.formats.pdf_glyphs import Flags, Floats, Glyphs, Ints, is_wide

MANY = 3_000  # beyond this, quadratic comparisons are replaced by the safe simple answer


class Group:
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
        self.blank = glyphs.blank[at]
        # A nominal size that does not fit the box (odd fonts, scaled text) is not believed.
        fits = (sizes > 0.2 * height) & (sizes < 3.0 * height)
        self.em = np.where(fits, sizes, height)


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


def groups(glyphs: Glyphs) -> list[Group]:
    """Divide a page by direction and by whether the text can be seen; find vertical writing among upright text."""
    angles = np.array([style.angle for style in glyphs.kinds], dtype=np.int64)[glyphs.styles]
    hidden = np.array([style.hidden for style in glyphs.kinds], dtype=np.bool_)[glyphs.styles]
    found = []
    for angle in sorted(set(angles.tolist())):
        for unseen in (False, True):
            at = np.flatnonzero((angles == angle) & (hidden == unseen))
            if not at.size:
                continue
            group = Group(glyphs, at, angle, hidden=unseen)
            if angle in (0, 180):
                down = _downward(group)
                if down.any():
                    found.append(Group(glyphs, at[down], 90 if angle == 0 else 270, hidden=unseen))
                    at = at[~down]
                    if not at.size:
                        continue
                    group = Group(glyphs, at, angle, hidden=unseen)
            found.append(group)
    return found


def _downward(group: Group) -> Flags:
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


def _stretches(flags: Flags) -> list[tuple[int, int]]:
    """Return begin and end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(edges[i]), int(edges[i + 1])) for i in range(0, len(edges), 2)]


def _gather(group: Group, down: Flags) -> None:
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


def _belongs(group: Group, i: int, rest: Ints, columns: Ints) -> bool:
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
