"""What a redacted page shows: nothing under its boxes, the boxes themselves, and all else as it was before."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dlp.formats.pdf_frame import Sides
from dlp.formats.room import Room
from dlp.model import Picture

Grey = npt.NDArray[np.uint8]
Places = Sequence[Sides]
"""Boxes in points as shown: left, top, right, bottom."""

DPI = 120
READ_DPI = 200  # of what goes to the OCR engine
MOST_PIXELS = 4_000  # a side
_FLAT = 40  # grey levels within one colour
_FAINT, _BLURRED = 48, 64  # grey levels: less is no change, sharp and blurred
_SPECK = 3  # pixels that may differ under a box: what two antialiased edges leave
CHANGED = 0.001  # of the page
_LUMP, _LUMPED = 16, 0.12  # pixels a side, and the share of such a block that may change: less than a character does
_DARK = 110
_AROUND = 1.2  # heights of a box above and below it that are looked at
_ASIDE = 4.0  # heights of a box beside it
_NEAR = 14.0  # points between two boxes that are looked at together
_HEIGHT_LEAST = 8.0  # points
_SHEET = 736  # pixels a side: the OCR engine blows up what is smaller
_APART = 24  # pixels between two pieces on a sheet
_WIDEN, _HEIGHTEN = 60.0, 20.0  # points that a piece may grow so that no character is cut in two
_GAP = 8  # pixels: the halves of a Chinese character are nearer to each other
_RULE = 36.0  # points: a stroke of a character of a text is never as long


def drawn(page: Any, dpi: float) -> tuple[Grey, float]:
    """Return a page of pdfium as grey pixels, and pixels a point."""
    wide, high = page.get_size()
    scale = min(dpi / 72, MOST_PIXELS / max(wide, high, 1.0))
    bitmap = page.render(scale=scale, grayscale=True, draw_annots=True)
    try:
        return np.array(bitmap.to_numpy().reshape(bitmap.height, bitmap.width), dtype=np.uint8), scale
    finally:
        bitmap.close()


def flat(grey: Grey, scale: float, box: Sides, least: int) -> bool:
    """Tell whether nothing is drawn in a box: one colour, but for lines that run right through it.

    `least` grey levels tell ink from what lies under it, such as the marker with which somebody stressed a word.
    """
    piece = _piece(grey, scale, box, -1)
    if piece.size == 0:
        return True
    rows = piece.max(axis=1).astype(int) - piece.min(axis=1) > least
    columns = piece.max(axis=0).astype(int) - piece.min(axis=0) > least
    left = piece[np.ix_(rows, columns)]
    if left.size == 0:
        return True
    usual = int(np.median(left))
    return int((np.abs(left.astype(int) - usual) > least).sum()) <= _SPECK


def least(before: Grey, scale: float, box: Sides, cuts: Places) -> int:
    """Return by how many grey levels ink differs from its paper: by a third of what was removed from that row."""
    pieces = (_piece(before, scale, cut, 0) for cut in cuts if cut[1] < box[3] and box[1] < cut[3])
    contrasts = [int(piece.max()) - int(piece.min()) for piece in pieces if piece.size]
    return max(_FLAT, min(contrasts, default=0) // 3)


def _piece(grey: Grey, scale: float, box: Sides, margin: int) -> Grey:
    """Return the pixels of a box and `margin` pixels around it."""
    x0, y0, x1, y1 = box
    left, top = max(0, int(np.floor(x0 * scale)) - margin), max(0, int(np.floor(y0 * scale)) - margin)
    right, bottom = int(np.ceil(x1 * scale)) + margin, int(np.ceil(y1 * scale)) + margin
    return grey[top : max(top, bottom), left : max(left, right)]


def dark(grey: Grey, scale: float, boxes: Places) -> bool:
    """Tell whether each box is there: dark, but for a label on it."""
    pieces = (_piece(grey, scale, box, -1) for box in boxes)
    return all(piece.size == 0 or float((piece < _DARK).mean()) >= 0.5 for piece in pieces)


def blocked(grey: Grey, scale: float, box: Sides) -> bool:
    """Tell whether a dark block, wider than any stroke, stands anywhere in the row of a box."""
    high = (box[3] - box[1]) * scale
    band = grey[int(box[1] * scale + high / 4) : int(box[3] * scale - high / 4)]
    solid = np.concatenate([[False], (band < _DARK).all(axis=0), [False]])
    ends = np.flatnonzero(solid[1:] != solid[:-1])
    return bool(band.size and ((ends[1::2] - ends[::2]) >= high / 2).any())


def covers(boxes: Places, cut: Sides) -> bool:
    """Tell whether the middle of a cut lies under boxes: their heights may differ, their widths may not."""
    x0, y0, x1, y1 = cut
    middle = (y0 + y1) / 2
    at = x0 + 0.1 * (y1 - y0)
    end = max(at, x1 - 0.1 * (y1 - y0))
    for left, _, right, _ in sorted(box for box in boxes if box[1] <= middle <= box[3]):
        if left <= at:
            at = max(at, right)
    return at >= end


def changed(before: Grey, after: Grey, spared: Grey, *, noisy: bool) -> float:
    """Return how much of a page changed outside of what is `spared`: a share of it, 1.0 where a character did.

    A pixel changed when it is none of the greys that lie around its place in the other picture.
    """
    faint = _FAINT
    if noisy:  # a hairline is black wherever it is drawn, and grey in a picture that was scaled
        before, after, faint = _blurred(before), _blurred(after), _BLURRED
    one, two = _spread(before, low=True), _spread(before, low=False)
    three, four = _spread(after, low=True), _spread(after, low=False)
    bad = (after.astype(np.int16) < one.astype(np.int16) - faint) | (after > two.astype(np.int16) + faint)
    bad |= (before.astype(np.int16) < three.astype(np.int16) - faint) | (before > four.astype(np.int16) + faint)
    bad &= spared == 0
    if not noisy and _lump(bad) > _LUMPED:
        return 1.0
    return float(bad.mean())


def _spread(grey: Grey, *, low: bool) -> Grey:
    """Return the lowest or highest grey among each pixel and its eight neighbours."""
    pick = np.minimum if low else np.maximum
    out = grey.copy()
    pick(out[1:], grey[:-1], out=out[1:])
    pick(out[:-1], grey[1:], out=out[:-1])
    side = out.copy()
    pick(out[:, 1:], side[:, :-1], out=out[:, 1:])
    pick(out[:, :-1], side[:, 1:], out=out[:, :-1])
    return out


def _blurred(grey: Grey) -> Grey:
    """Return the mean of each pixel and its eight neighbours."""
    wide = np.pad(grey, 1, mode="edge").astype(np.uint16)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    means: Grey = ((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) // 9).astype(np.uint8)
    return means


def _lump(bad: npt.NDArray[np.bool_]) -> float:
    high, wide = (side // _LUMP for side in bad.shape)
    if not high or not wide or not bad.any():
        return 0.0
    blocks = bad[: high * _LUMP, : wide * _LUMP].reshape(high, _LUMP, wide, _LUMP)
    return float(blocks.mean(axis=(1, 3)).max())


def spared(shape: tuple[int, ...], scale: float, boxes: Places, bands: Places) -> Grey:
    """Return a mask of what a redaction may change: its boxes, and the whole rows in which text moved up."""
    mask = np.zeros(shape, dtype=np.uint8)
    for box in boxes:
        _piece(mask, scale, box, 2)[...] = 1
    for _, y0, _, y1 in bands:
        mask[max(0, int(y0 * scale) - 2) : int(y1 * scale) + 3] = 1
    return mask


def around(boxes: Places, size: tuple[float, float]) -> list[Sides]:
    """Return what is to be read around the boxes, near ones together."""
    wide, high = size
    places: list[Sides] = []
    for x0, y0, x1, y1 in sorted(boxes, key=lambda box: (box[1], box[0])):
        tall = max(y1 - y0, _HEIGHT_LEAST)
        near = (x0 - _ASIDE * tall, y0 - _AROUND * tall, x1 + _ASIDE * tall, y1 + _AROUND * tall)
        if places and near[1] < places[-1][3] + _NEAR:
            places[-1] = _both(places[-1], near)
        else:
            places.append(near)
    return [(max(0.0, x0), max(0.0, y0), min(wide, x1), min(high, y1)) for x0, y0, x1, y1 in places]


def _both(one: Sides, two: Sides) -> Sides:
    return min(one[0], two[0]), min(one[1], two[1]), max(one[2], two[2]), max(one[3], two[3])


def sheet(page: Any, places: Places, number: int, room: Room) -> Picture | None:
    """Return the places of a page one below the other as a picture for the OCR engine; None where they are empty."""
    grey, scale = drawn(page, READ_DPI)
    pieces = [piece for place in places for piece in [_cut_out(grey, scale, place)] if piece is not None]
    if not pieces:
        return None
    wide = max(_SHEET, *(piece.shape[1] + 2 * _APART for piece in pieces))
    high = _APART + sum(piece.shape[0] + _APART for piece in pieces)
    whole = np.full((max(_SHEET, high), wide), 255, dtype=np.uint8)
    at = _APART
    for piece in pieces:
        whole[at : at + piece.shape[0], _APART : _APART + piece.shape[1]] = piece
        at += piece.shape[0] + _APART
    room.spend_pixels(whole.size)
    packed = zlib.compress(whole.tobytes(), 1)
    room.spend_packed(len(packed))
    return Picture(part=room.part, page=number, width=wide, height=whole.shape[0], raw=packed)


def _cut_out(grey: Grey, scale: float, place: Sides) -> Grey | None:
    """Return the pixels of a place, each line of them widened to the next blank and white beyond it."""
    x0, y0, x1, y1 = (round(side * scale) for side in place)
    aside, above = round(_WIDEN * scale), round(_HEIGHTEN * scale)
    left, top = max(0, x0 - aside), max(0, y0 - above)
    band = grey[top : y1 + above, left : x1 + aside]
    if min(band.shape) < READ_DPI // 10:
        return None
    ink = _letters(np.abs(band.astype(np.int16) - int(np.median(band))) > _FLAT, round(_RULE * scale))
    first, last = _widened(_none(ink, 1), y0 - top, y1 - top, above)
    out = np.full((last - first, band.shape[1]), 255, dtype=np.uint8)
    ends = []
    for begin, end in _lines(_none(ink[first:last], 1)):
        line = slice(first + begin, first + end)
        blank = _none(ink[line], 0)
        wide = _runs(blank[:, None], _GAP)[:, 0]
        start, stop = _widened(wide if wide.any() else blank, x0 - left, x1 - left, aside)
        ends.append((start, stop))
        out[begin:end, start:stop] = band[line, start:stop]
    if not ends or int(out.max()) - int(out.min()) <= _FLAT:
        return None
    return np.ascontiguousarray(out[:, min(end[0] for end in ends) : max(end[1] for end in ends)])


def _letters(ink: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """Return ink without rules, boxes and shades: without what runs on for so many pixels in one direction."""
    return ink & ~_runs(ink, length) & ~_runs(ink.T, length).T


def _runs(ink: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """Return the ink that stands in a column of at least `length` pixels."""
    long = np.zeros_like(ink)
    if length >= len(ink):
        return long
    count = np.cumsum(np.concatenate([np.zeros_like(ink[:1]), ink]), axis=0, dtype=np.int32)
    full = count[length:] - count[:-length] == length  # row r: all from r to r + length
    ends = np.zeros((len(ink) + 1, ink.shape[1]), dtype=np.int32)
    ends[: len(full)] += full
    ends[length : length + len(full)] -= full
    return np.cumsum(ends, axis=0)[:-1] > 0


def _none(ink: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
    """Tell which rows (axis 1) or columns (axis 0) hold no ink."""
    none: npt.NDArray[np.bool_] = ~np.any(ink, axis=axis)
    return none


def _lines(blank: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return begin and end of each run of rows that are not blank, with the blank ones above it."""
    last = np.flatnonzero(~blank[:-1] & blank[1:]) + 1
    ends = [*last.tolist(), len(blank)]
    return [(first, end) for first, end in zip([0, *ends[:-1]], ends, strict=True) if first < end]


def _widened(blank: npt.NDArray[np.bool_], low: int, high: int, most: int) -> tuple[int, int]:
    """Move both ends to the next blank: outwards by at most `most` pixels, else inwards by half of that."""
    size = len(blank)
    low, high = max(0, min(low, size - 1)), max(1, min(high, size))
    outside = next((at for at in range(low, max(-1, low - most), -1) if blank[at]), None)
    start = (
        next((at for at in range(low, min(high, low + most // 2)) if blank[at]), low) if outside is None else outside
    )
    beyond = next((at for at in range(high, min(size, high + most)) if blank[at]), None)
    end = next((at for at in range(high - 1, max(start, high - most // 2), -1) if blank[at]), high)
    return start, end if beyond is None else beyond
