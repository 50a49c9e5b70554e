"""Word documents: one segment a paragraph, tables as grids, and every other place where text can lie."""

from __future__ import annotations

from dlp.formats import DOCX, Full, Source
from dlp.formats.ooxml import Walk
from dlp.formats.room import Room
from dlp.model import Document

MEDIA = (DOCX,)


def extract(source: Source, room: Room) -> Document:
    """Return all text of a Word document. `anchor` of a segment is the number of its block in its part."""
    walk = Walk(source, room)
    try:
        walk.run()
    except Full as full:
        walk.reading.miss(full.kind, full.detail)
    return walk.reading.document(DOCX)
