"""How the pages of a PDF are shown, as pikepdf has them: their boxes and turns, and what they inherit."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import pikepdf

from dlp.formats.pdf_frame import LETTER, MAX_COORDINATE, Frame, Sides
from dlp.formats.pdf_places import save, unlock
from dlp.formats.placed import Turn

_DEEP = 50  # page trees in page trees


class View(NamedTuple):
    """How one page is shown: its frame, and the way from its own coordinates to those of the frame."""

    frame: Frame
    turn: Turn


def view_of(page: Any) -> View:
    """Return how a page is shown: the part of it that the reader saw, in the same way."""
    media = sides_of(inherited(page, "/MediaBox")) or LETTER
    crop = sides_of(inherited(page, "/CropBox"))
    if crop is not None:
        left, bottom = max(crop[0], media[0]), max(crop[1], media[1])
        right, top = min(crop[2], media[2]), min(crop[3], media[3])
        if right > left and top > bottom:
            media = (left, bottom, right, top)
    rotation = inherited(page, "/Rotate")
    frame = Frame(media, int(rotation) // 90 * 90 % 360 if isinstance(rotation, int) else 0)
    return View(frame, turn_of(frame))


def turn_of(frame: Frame) -> Turn:
    """Return the way from the coordinates of a page to those of its frame."""
    left, bottom, right, top = frame.sides
    turns: dict[int, Turn] = {
        0: (1.0, 0.0, 0.0, -1.0, -left, top),
        90: (0.0, 1.0, 1.0, 0.0, -bottom, -left),
        180: (-1.0, 0.0, 0.0, 1.0, right, -bottom),
        270: (0.0, -1.0, -1.0, 0.0, top, right),
    }
    return turns[frame.rotation]


def resources_of(page: Any) -> Any:
    """Return the resources of a page, its own or inherited; empty ones where it has none."""
    found = inherited(page, "/Resources")
    return found if found is not None else pikepdf.Dictionary()


def inherited(page: Any, key: str) -> Any:
    """Return what a page says under `key`, or the tree above it; None where nobody does."""
    node = page.obj
    for _ in range(_DEEP):
        if not isinstance(node, pikepdf.Dictionary):
            return None
        if key in node:
            return node[key]
        node = node.get("/Parent")
    return None


def grounded(raw: bytes) -> bytes:
    """Return a document with resources of its own on each page that has annotations and inherits them.

    pdfium gives such a page empty ones when it makes what the annotations show a part of it: all fonts would be lost,
    and with them what its text says. What pikepdf does not open comes back as it is.
    """
    if b"/Annots" not in raw and b"/ObjStm" not in raw:
        return raw
    out = io.BytesIO()
    try:
        with pikepdf.open(io.BytesIO(raw), suppress_warnings=True, inherit_page_attributes=False) as pdf:
            if not any("/Annots" in page and "/Resources" not in page for page in _leaves(pdf)):
                return raw
        with unlock(raw) as pdf:  # writes down in each page what it inherits
            save(pdf, out)
    except (pikepdf.PasswordError, pikepdf.PdfError, ValueError, RuntimeError):
        return raw
    return out.getvalue()


def _leaves(pdf: Any) -> Iterator[Any]:
    """Yield the dictionaries of the pages as they stand in the file."""
    waiting, met = [pdf.Root.get("/Pages")], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, pikepdf.Dictionary) or (node.is_indirect and node.objgen in met):
            continue
        met.add(node.objgen)
        kids = node.get("/Kids")
        if isinstance(kids, pikepdf.Array):
            waiting += list(kids)
        else:
            yield node


def sides_of(box: Any) -> Sides | None:
    """Return left, bottom, right, top of a rectangle in a file; None where it is none."""
    try:
        x0, y0, x1, y1 = (float(one) for one in box)
    except (TypeError, ValueError):
        return None
    sides = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    fits = sides[2] > sides[0] and sides[3] > sides[1] and max(map(abs, sides)) < MAX_COORDINATE
    return sides if fits else None
