"""Presentations: every shape, table, note, comment and master; one segment a paragraph, tables as grids.

Nothing that is on no slide is left out: what lies beside the slide, hidden slides, layouts and masters are parts of the
package like any other.
"""

from __future__ import annotations

from dlp.formats import PPTX, Full, Source, zipsafe
from dlp.formats.ooxml import Members, Walk
from dlp.formats.room import Room
from dlp.model import Document

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
