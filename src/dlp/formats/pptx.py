"""Presentations: every shape, table, note, comment and master; one segment a paragraph, tables as grids.

Nothing that is on no slide is left out: what lies beside the slide, hidden slides, layouts and masters are parts of the
package like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from dlp.formats import PPTX, Full, Source, ooxml_proof, pptx_cut, zipsafe
from dlp.formats.ooxml import Members, Walk
from dlp.formats.room import Room
from dlp.model import Cut, Document, Removed

MEDIA = (PPTX,)


def extract(source: Source, room: Room) -> Document:
    """Return all text of a presentation. `anchor` of a segment is the number of its block in its part."""
    return read_package(zipsafe.Package(source, room), room)


def read_package(package: Members, room: Room) -> Document:
    """Return all text of the package of a presentation."""
    walk = Walk(package, room)
    try:
        walk.run()
    except Full as full:
        walk.reading.miss(full.kind, full.detail)
    return walk.reading.document(PPTX)


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the presentation without the cuts, and without what is no part of what it shows."""
    return pptx_cut.redact(source, cuts, out, room, read_package)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return what readers of Python's own find in a redacted copy."""
    del before, cuts
    return ooxml_proof.verify(source, room)
