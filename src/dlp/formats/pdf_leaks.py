"""Text and pictures on a page that somebody covered or hid, and that are still there.

A cheap look at every page finds suspects: characters over whose middle something was painted later, characters in the
colour of what lies below them, characters that are not painted, dark boxes. Only then is the page drawn, once as it is
and once without the suspects. What makes no difference to the eye was hidden: transparency, clipping and draw order
are judged by pdfium itself and not guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dlp import leaks
from dlp.formats.pdf_gaps import HOLE
from dlp.formats.pdf_lines import Floats, Glyphs, Ints, is_wide
from dlp.formats.pdf_pages import IMAGE, TINY, Frame, Seen
from dlp.formats.pdf_scene import Cover, Drawing, Flags, Scene, lifted, luminance, sides_of, silenced

WHITE = "#ffffff"
LIGHT = 0xF0  # of 255, every channel: such text is looked at on paper
SAME = 12  # of 255: two channels that differ less are one colour
SCAN = 0.5  # of the page under pictures: then it is a scan, and its text layer is that of an OCR engine
ALIGNED = 0.8  # of the characters of a text layer that lie on ink: then it fits its scan
LEAST_LETTERS = 2
ERASED_LETTERS = 4  # in a row, of a scan: OCR engines read single signs into blank paper
DARK = 90  # of 255
BURNT = 0.7  # of the pixels below a box: if so many are dark, the picture itself was blackened
PAPER = 150  # of 255: the mean of a line of a scan is lighter
SMALLEST = 2.0  # points: what is lower cannot be judged by a drawing
TINY_LETTERS = 8  # in a row, smaller than anybody reads
FEW = 100  # places of one page and kind that are told
PICTURES = 12  # of a page, that boxes are compared with
_MARGIN = np.array([0.12, 0.28, -0.12, -0.22])  # of the box of a character, to keep its neighbours out


class Leak(NamedTuple):
    """One leak on a page; `text` stays in the process that read it."""

    kind: str
    box: tuple[float, float, float, float] | None = None
    text: str = ""


class _Text:
    """The characters of a page, their middles, and the number of the cover on top at each; -1 where there is none."""

    __slots__ = ("glyphs", "inked", "points", "top")

    def __init__(self, glyphs: Glyphs, scene: Scene) -> None:
        self.glyphs = glyphs
        self.inked = _inked(glyphs)
        self.points = (glyphs.boxes[:, :2] + glyphs.boxes[:, 2:]) / 2
        self.top = scene.over(self.points)


def _inked(glyphs: Glyphs) -> Flags:
    return ~np.fromiter(map(str.isspace, glyphs.text), dtype=np.bool_, count=len(glyphs.text))


def look(page: int, seen: Seen) -> list[Leak]:
    """Return what leaks on a page that is open at address `page`."""
    scene = Scene(page, seen.frame)
    odd = any(kind.hidden or _is_light(kind.colour) for kind in seen.glyphs.kinds)
    if not (scene.covers or odd):
        return []
    text, scan = _Text(seen.glyphs, scene), seen.covered >= SCAN
    found = [*_outside(text, seen.frame), *_tiny(text, seen.frame)] if odd else []
    suspects = _suspects(text, scene)
    if suspects is not None:
        found += _judge(seen.glyphs, scene, suspects, scan=scan)
    boxes = _redactions(text, scene)
    if boxes:
        found += _pictures(scene, boxes, scan=scan)
        found += _measured(seen.glyphs, [scene.boxes[i] for i in boxes])
    return found


class _Suspects(NamedTuple):
    """What is suspected of each character; `above` is the number of the cover that was painted over it, or -1."""

    above: Ints
    same: Flags
    unpainted: Flags

    @property
    def any(self) -> Flags:
        flags: Flags = (self.above >= 0) | self.same | self.unpainted
        return flags


def _suspects(text: _Text, scene: Scene) -> _Suspects | None:
    glyphs, top = text.glyphs, text.top
    if not glyphs.text:
        return None
    white = np.array([_is_light(kind.colour) for kind in glyphs.kinds], dtype=np.bool_)[glyphs.styles]
    unpainted = np.array([k.hidden and k.colour != WHITE and k.size >= TINY for k in glyphs.kinds], dtype=np.bool_)
    inside = ((text.points >= 0) & (text.points <= [scene.frame.width, scene.frame.height])).all(axis=1) & text.inked
    same = white & (top < 0)
    above = np.full(len(top), -1, dtype=np.int64)
    on = np.flatnonzero(top >= 0)
    if on.size:
        owners = (glyphs.objects[i] for i in on.tolist())
        orders = np.fromiter((scene.texts.get(thing or 0, 0) for thing in owners), dtype=np.int64, count=on.size)
        later = np.array([cover.order for cover in scene.covers])[top[on]] > orders
        above[on[later]] = top[on[later]]
        same[on[~later]] = _alike(glyphs, scene, top, on[~later])
    inside &= glyphs.boxes[:, 3] - glyphs.boxes[:, 1] >= SMALLEST
    above[~inside] = -1
    found = _Suspects(above, same & inside, unpainted[glyphs.styles] & inside)
    return found if found.any.any() else None


def _is_light(colour: str) -> bool:
    return len(colour) == len(WHITE) and min(bytes.fromhex(colour[1:])) >= LIGHT


def _alike(glyphs: Glyphs, scene: Scene, top: Ints, at: Ints) -> Flags:
    """Tell which of some characters have the colour of the cover that they stand on."""
    own = np.array([int(kind.colour[1:] or "-1", 16) for kind in glyphs.kinds], dtype=np.int64)[glyphs.styles[at]]
    ground = np.array([cover.colour for cover in scene.covers], dtype=np.int64)[top[at]]
    alike = (own >= 0) & (ground >= 0)
    for shift in (0, 8, 16):
        alike &= np.abs((own >> shift & 255) - (ground >> shift & 255)) < SAME
    return alike


def noted(page: int, seen: Seen, notes: Floats) -> Iterator[Leak]:
    """Give the text below notes that a viewer draws over the page at address `page`; `notes` are boxes as shown."""
    glyphs, scene = seen.glyphs, Scene(page, seen.frame)
    if not glyphs.text:
        return
    points = (glyphs.boxes[:, :2] + glyphs.boxes[:, 2:]) / 2
    under = np.zeros(len(points), dtype=np.bool_)
    for box in notes:
        under |= ((points >= box[:2]) & (points <= box[2:])).all(axis=1)
    at = np.flatnonzero(under & _inked(glyphs))
    if at.size:
        drawing = Drawing(page, scene.frame, _kernels(glyphs, at))
        yield from _told("covered", glyphs, at[_hidden(glyphs, drawing, drawing.draw(), at)])


def _kernels(glyphs: Glyphs, at: Ints) -> Floats:
    """Return the middle parts of the boxes of characters, where their neighbours do not reach."""
    boxes = glyphs.boxes[at]
    kernels: Floats = boxes + (boxes[:, [2, 3, 2, 3]] - boxes[:, [0, 1, 0, 1]]) * _MARGIN
    return kernels


def _hidden(glyphs: Glyphs, drawing: Drawing, shown: Floats, at: Ints) -> Flags:
    """Tell which characters make no difference to the eye."""
    with silenced({thing for thing in (glyphs.objects[i] for i in at.tolist()) if thing}):
        flags: Flags = ~drawing.changed(shown, drawing.draw(), _kernels(glyphs, at))
    return flags


def _judge(glyphs: Glyphs, scene: Scene, suspects: _Suspects, *, scan: bool) -> Iterator[Leak]:
    """Draw the page with the suspects and without them, and tell of those that make no difference."""
    runs = _runs(glyphs, np.flatnonzero(suspects.any))
    at = np.array([i for run in runs if _letters(glyphs, run) >= LEAST_LETTERS for i in run], dtype=np.int64)
    if not at.size:
        return
    drawing = Drawing(scene.page, scene.frame, _kernels(glyphs, at))
    shown = drawing.draw()
    hidden = _hidden(glyphs, drawing, shown, at)
    flat = drawing.flat(shown, _kernels(glyphs, at))
    above = suspects.above[at]
    pictured = np.array([i >= 0 and scene.covers[i].kind == IMAGE for i in above.tolist()], dtype=np.bool_)
    painted = ~suspects.unpainted[at]
    boxed = hidden & (above >= 0) & ~pictured & (painted | flat)
    layer = hidden & ~boxed & (pictured | ~painted)  # the text layer of a scan, or something that pretends to be one
    if boxed.any():
        lost = flat | ~(_twins(glyphs, at, hidden) | _rewritten(glyphs, at, scene))
        yield from _told("covered", glyphs, at[boxed & lost])
    if scan:
        yield from _told("covered", glyphs, at[layer & _erased(layer, flat)], ERASED_LETTERS)
    else:
        yield from _told("covered", glyphs, at[layer & pictured & painted])
        yield from _told("unseen", glyphs, at[layer & ~painted & flat])
    yield from _told("unseen", glyphs, at[hidden & suspects.same[at] & flat & painted & ~boxed & ~layer])


def _erased(layer: Flags, flat: Flags) -> Flags:
    """Tell which characters of the text layer of a scan were painted out in the scan: only where the rest fits it."""
    fits = int((layer & ~flat).sum()) >= ALIGNED * int(layer.sum())
    return flat if fits else np.zeros(len(layer), dtype=np.bool_)


def _twins(glyphs: Glyphs, at: Ints, hidden: Flags) -> Flags:
    """Tell which characters are written a second time in the same place, where they are seen: nothing is lost then."""
    gone = set(at[hidden].tolist())
    half = np.maximum((glyphs.boxes[:, 2:] - glyphs.boxes[:, :2]).max(axis=1), 1.0) / 2
    cells = np.round((glyphs.boxes[:, :2] + glyphs.boxes[:, 2:]) / 2 / half[:, None] / 2).astype(np.int64).tolist()
    seen = {(glyphs.text[i], *cells[i]) for i in range(len(glyphs.text)) if i not in gone}
    return np.array([(glyphs.text[i], *cells[i]) in seen for i in at.tolist()], dtype=np.bool_)


def _rewritten(glyphs: Glyphs, at: Ints, scene: Scene) -> Flags:
    """Tell which characters belong to a text that is painted once more over its cover; pdfium reads only the first."""
    read = set(glyphs.objects)
    again = {sides_of(thing): order for thing, order in scene.texts.items() if thing not in read}
    owners = [glyphs.objects[i] or 0 for i in at.tolist()]
    twice = {thing for thing in set(owners) if again and again.get(sides_of(thing), 0) > scene.texts.get(thing, 0)}
    return np.array([thing in twice for thing in owners], dtype=np.bool_)


def _told(kind: str, glyphs: Glyphs, at: Ints, least: int = LEAST_LETTERS) -> Iterator[Leak]:
    """Give a leak for each run of characters that is long enough to say something."""
    for run in _runs(glyphs, at):
        text = "".join(" " * (i - before > 1) + glyphs.text[i] for before, i in zip([run[0], *run], run, strict=False))
        if _letters(glyphs, run) < least or leaks.says_nothing(text):
            continue
        low, high = glyphs.boxes[run].min(axis=0).tolist(), glyphs.boxes[run].max(axis=0).tolist()
        yield Leak(kind, (low[0], low[1], high[2], high[3]), text)


def _letters(glyphs: Glyphs, run: list[int]) -> int:
    return sum(glyphs.text[i].isalnum() for i in run)


def _runs(glyphs: Glyphs, at: Ints) -> Iterator[list[int]]:
    """Divide characters into those that follow one another, with nothing but blanks between."""
    run: list[int] = []
    for i in at.tolist():
        if run and any(not glyphs.text[k].isspace() for k in range(run[-1] + 1, min(i, run[-1] + 4))):
            yield run
            run = []
        run.append(i)
    if run:
        yield run


def _outside(text: _Text, frame: Frame) -> Iterator[Leak]:
    """Tell of text that lies outside the visible part of the page."""
    outside = ((text.points < 0) | (text.points > [frame.width, frame.height])).any(axis=1)
    yield from _told("outside", text.glyphs, np.flatnonzero(outside))


def _tiny(text: _Text, frame: Frame) -> Iterator[Leak]:
    """Tell of text that is too small to be read."""
    small = np.array([0 < kind.size < TINY for kind in text.glyphs.kinds], dtype=np.bool_)[text.glyphs.styles]
    small &= text.glyphs.boxes[:, 3] - text.glyphs.boxes[:, 1] < 2 * TINY  # a size alone may be wrong
    inside = ((text.points >= 0) & (text.points <= [frame.width, frame.height])).all(axis=1)
    yield from _told("unseen", text.glyphs, np.flatnonzero(small & inside), TINY_LETTERS)


# --- boxes with nothing under them


def _redactions(text: _Text, scene: Scene) -> list[int]:
    """Return the numbers of the covers that look like a redaction: one rectangle, dark or white, no text in it."""
    simple = [i for i, cover in enumerate(scene.covers) if _is_plain(cover)]
    if not simple:
        return []
    sides = scene.boxes[simple]
    wide, high = sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1]
    most = scene.frame.width * scene.frame.height
    fits = (wide >= 8) & (high >= 5) & (high <= 0.4 * scene.frame.height) & (wide * high < 0.25 * most)
    chosen = [i for i, fit in zip(simple, fits.tolist(), strict=True) if fit]
    filled = set(text.top[text.inked].tolist())
    return [i for i in chosen if i not in filled]


def _is_plain(cover: Cover) -> bool:
    return cover.simple and (luminance(cover.colour) < DARK or cover.colour == 0xFFFFFF)


def _pictures(scene: Scene, boxes: list[int], *, scan: bool) -> Iterator[Leak]:
    """Tell of boxes over a part of a picture that shows something there when they are lifted."""
    images = [i for i, cover in enumerate(scene.covers) if cover.kind == IMAGE][:PICTURES]
    dark = (i for i in boxes if scene.covers[i].colour != 0xFFFFFF)
    over = boxes if scan else [i for i in dark if any(_holds(scene, image, i) for image in images)]
    if not over:
        return
    sides = scene.boxes[over]
    inner = sides + np.minimum(2.0, (sides[:, [2, 3, 2, 3]] - sides[:, [0, 1, 0, 1]]) / 4) * [1, 1, -1, -1]
    drawing = Drawing(scene.page, scene.frame, sides)
    shown = drawing.flat(drawing.draw(), inner)
    with lifted(scene.covers[i] for i in over):
        beneath = drawing.draw()
    gone = drawing.flat(beneath, inner) | (drawing.sums((beneath < DARK).astype(np.float64), inner) > BURNT)
    if scan:  # or the background of a slide, which is no paper and hides nothing
        gone |= drawing.sums(beneath, inner) < PAPER
    for box in sides[shown & ~gone].tolist():
        yield Leak("picture", tuple(box))


def _holds(scene: Scene, image: int, box: int) -> bool:
    """Tell whether a box lies on a picture, and the picture is larger than it."""
    if scene.covers[image].order > scene.covers[box].order:
        return False
    a, b = scene.boxes[image], scene.boxes[box]
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    own = (b[2] - b[0]) * (b[3] - b[1])
    return bool(wide > 0 and high > 0 and wide * high > 0.9 * own and (a[2] - a[0]) * (a[3] - a[1]) > 1.5 * own)


def _measured(glyphs: Glyphs, boxes: list[Floats]) -> Iterator[Leak]:
    """Tell of dark boxes that fill the gap between two words of a line, in a font whose letters differ in width."""
    if not glyphs.text:
        return
    rows = glyphs.boxes
    sizes = np.array([kind.size for kind in glyphs.kinds])[glyphs.styles]
    told = np.array([char.isalnum() and not is_wide(char) for char in glyphs.text], dtype=np.bool_)
    for x0, y0, x1, y1 in boxes[:FEW]:
        level = told & (rows[:, 1] < (y0 + y1) / 2) & (rows[:, 3] > (y0 + y1) / 2)
        level &= (sizes > 0.5 * (y1 - y0)) & (sizes < 2.0 * (y1 - y0))
        line = np.flatnonzero(level)
        left, right = x0 - rows[line, 2], rows[line, 0] - x1
        near = 0.6 * sizes[line]
        if not ((left > -1) & (left < near)).any() or not ((right > -1) & (right < near)).any():
            continue
        wide = rows[line, 2] - rows[line, 0]
        em = float(sizes[line].max())
        chosen = HOLE - 0.05 < (x1 - x0) / em < HOLE + 0.1  # our own gap, which is as wide for every word
        if x1 - x0 > 1.2 * em and float(wide.max()) > 1.4 * float(wide.min()) and not chosen:
            yield Leak("measurable", (float(x0), float(y0), float(x1), float(y1)))
