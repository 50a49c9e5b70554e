"""The paper that a print job asks for, as the registers name it: `A4`, `B5`, or its size. Numbers only.

A name that a client made up for its paper may say anything; only the size that it carries is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dlp.ipp import Attribute, Group, Tag

_IN_MM = 25.4
_NAMED: dict[tuple[int, int], str] = {
    (420, 594): "A2",
    (297, 420): "A3",
    (210, 297): "A4",
    (148, 210): "A5",
    (105, 148): "A6",
    (257, 364): "B4",
    (182, 257): "B5",
    (250, 353): "ISO B4",
    (176, 250): "ISO B5",
    (216, 279): "Letter",
    (216, 356): "Legal",
    (270, 390): "8开",
    (195, 270): "16开",
    (184, 260): "16开",
}
"""Millimetres, the short side first."""
_SHORT = {name.lower(): name for name in ("A2", "A3", "A4", "A5", "A6", "B4", "B5", "Letter", "Legal")}
_SELF_DESCRIBING = re.compile(r"_(\d{1,4}(?:\.\d{1,3})?)x(\d{1,4}(?:\.\d{1,3})?)(mm|in)\Z", re.ASCII)
_OLD = re.compile(r"(?:iso-|jis-|na-)?([a-z0-9]{2,6})(?:\.[a-z]+)?\Z", re.ASCII)
_OFF = 1.0
"""Millimetres by which two sizes of one paper differ."""


def asked(attributes: Iterable[Attribute]) -> str:
    """Return the paper that a job asks for; empty where it asks for none that is known by its size."""
    about = Group(Tag.JOB, tuple(attributes))
    words = (about.text(name) for name in ("media", "PageSize"))
    return _of_collection(about) or next((found for word in words if (found := _of_word(word))), "")


def _of_collection(about: Group) -> str:
    column = about.get("media-col")
    if column is None:
        return ""
    members = Group(Tag.JOB, column.values[0].members)
    size = members.get("media-size")
    if size is None:
        return _of_word(members.text("media-size-name"))
    sides = Group(Tag.JOB, size.values[0].members)
    # Hundredths of a millimetre. A range instead of a number is no size.
    across, along = (sides.get(name) for name in ("x-dimension", "y-dimension"))
    if across is None or along is None or {across.values[0].tag, along.values[0].tag} != {Tag.INTEGER}:
        return ""
    return _of_size(across.values[0].number / 100, along.values[0].number / 100)


def _of_word(word: str) -> str:
    """Return the paper of a keyword of PWG 5101.1, or of an older name."""
    found = _SELF_DESCRIBING.search(word)
    if found is not None:
        scale = _IN_MM if found[3] == "in" else 1.0
        return _of_size(float(found[1]) * scale, float(found[2]) * scale)
    old = _OLD.match(word.strip().lower())
    return _SHORT.get(old[1], "") if old else ""


def _of_size(across: float, along: float) -> str:
    short, long = sorted((across, along))
    if not (short >= 1 and long <= 10_000):
        return ""
    for (one, other), name in _NAMED.items():
        if abs(short - one) <= _OFF and abs(long - other) <= _OFF:
            return name
    return f"{short:.0f}×{long:.0f} mm"
