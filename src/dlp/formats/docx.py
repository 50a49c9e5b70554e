"""Word documents: one segment a paragraph, tables as grids, and every other place where text can lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from dlp import leaks
from dlp.formats import DOCX, Full, Source, docx_cut, docx_leaks, ooxml_proof, zipsafe
from dlp.formats.ooxml import Members, Taker, Walk, parse
from dlp.formats.ooxml_text import Collector
from dlp.formats.room import Reading, Room
from dlp.model import Cut, Document, Removed

MEDIA = (DOCX,)


def extract(source: Source, room: Room) -> Document:
    """Return all text of a Word document. `anchor` of a segment is the number of its block in its part."""
    return read_package(zipsafe.Package(source, room), room)


def read_package(package: Members, room: Room) -> Document:
    """Return all text of the package of a Word document."""
    walk = _Walk(package, room)
    try:
        walk.run()
    except Full as full:
        walk.reading.miss(full.kind, full.detail)
    return walk.reading.document(DOCX)


class _Walk(Walk):
    """A walk that also looks for words which were only painted over."""

    def read_part(self, name: str, data: bytes) -> None:
        """Read one member."""
        super().read_part(name, data)
        for kind in docx_leaks.find(name, data, self.room):
            self.room.spend_segments()
            self.reading.segments.append(leaks.mark(kind, self.path(name)))


def warm() -> None:
    """Load what the first document would load: called once, before any child is forked."""
    parse(b"<a><b>x</b></a>", Collector(Taker(Reading(Room()), ())), Room())


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the document without the cuts, without its history, and without what is no part of what it shows."""
    return docx_cut.redact(source, cuts, out, room, read_package)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return what readers of Python's own and python-docx find in a redacted copy."""
    del before, cuts
    return ooxml_proof.verify_word(source, room)
