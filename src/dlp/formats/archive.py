"""ZIP archives: every member is read as what it is, however deep; the names of members are text too."""

from __future__ import annotations

from dlp.formats import Full, Source
from dlp.formats.room import Reading, Room
from dlp.formats.zipsafe import Package
from dlp.model import Document, GapKind, Zone

MEDIA = ("application/zip",)


def extract(source: Source, room: Room) -> Document:
    """Return the text of all members. One that cannot be unpacked is a gap of that member."""
    reading = Reading(room)
    try:
        package = Package(source, room)
        _read_members(package, room, reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(MEDIA[0])


def _read_members(package: Package, room: Room, reading: Reading) -> None:
    reading.add("\n".join(package.members), part=room.part, anchor="names", zone=Zone.METADATA)
    if package.loose:
        # a comment on the archive leaves with it
        reading.take(room.descend("(comments)", b"\n".join(package.loose)))
    for name in package.members:
        if name.endswith("/"):
            continue
        try:
            data = package.read(name)
        except Full as full:
            reading.miss(full.kind, full.detail, part=(*room.part, name))
            if full.kind in (GapKind.TOO_BIG, GapKind.TOO_MANY, GapKind.TIMEOUT):
                raise
            continue
        reading.take(room.descend(name, data))
