"""What is looked at in a redacted archive: by the readers of Python, which had no part in writing or reading it before.

What nothing was cut from must be there byte for byte; what something was cut from is proven as what it is.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from dlp.formats import Source, archive, archive_cut, zipsafe
from dlp.formats.cutting import by_member
from dlp.formats.room import Reading, Room, verify_member
from dlp.model import Check, Cut, Document

_UNPACKERS: dict[str, Any] = {
    "application/gzip": gzip.open,
    "application/x-bzip2": bz2.open,
    "application/x-xz": lzma.open,
}
_BLOCK = 1 << 20  # bytes
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)

Members = list[tuple[str, bytes]]


def verify(media: str, source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return the names of a copy, what its members were found to be, and whether the others are as they were."""
    reading = Reading(room)
    new: Members | None = None
    with suppress(*_BROKEN):
        new = list(_members(media, source.content(), room))
    old = _old(media, before, room)
    good = new is not None and len(new) == len(old)
    reading.checks.append(_check("members", "the copy has other members than the archive", good=good))
    if new is None or not good:
        return reading.document(media)
    reading.add("\n".join(name for name, _ in new), part=room.part)
    touched = by_member(cuts)
    alike = True
    for (_, data), (name, was) in zip(new, old, strict=True):
        if name in touched:
            found = verify_member(name, data, was, touched[name], room)
            if found is not None:
                reading.take(found)
        elif data != was:
            alike = False
    reading.checks.append(_check("untouched", "a member that nothing was cut from differs", good=alike))
    return reading.document(media)


def _check(name: str, detail: str, *, good: bool) -> Check:
    return Check(name=name, state="ok" if good else "fail", detail="" if good else detail)


def _members(media: str, raw: bytes, room: Room) -> Iterator[tuple[str, bytes]]:
    """Yield the members of a copy; folders and links are members without content."""
    if media == archive.MEDIA[0]:
        with zipfile.ZipFile(io.BytesIO(raw)) as made:
            for entry in made.infolist():
                room.spend_bytes(entry.file_size)
                yield entry.filename, made.read(entry)
    elif media in _UNPACKERS:
        with _UNPACKERS[media](io.BytesIO(raw)) as stream:
            yield archive.source_name(media), _drained(stream, room)
    else:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as packed:
            for head in packed:
                content = packed.extractfile(head) if head.isreg() else None
                yield head.name, b"" if content is None else _drained(content, room)


def _drained(stream: Any, room: Room) -> bytes:
    pieces = []
    while block := stream.read(_BLOCK):
        room.spend_bytes(len(block))
        pieces.append(block)
    return b"".join(pieces)


def _old(media: str, before: Source, room: Room) -> Members:
    """Return the members of the archive under the names that cuts have."""
    if media == archive.MEDIA[0]:
        package = zipsafe.Package(before, room)
        return [(name, package.read(name)) for name in package.members]
    if media in _UNPACKERS:
        return [(archive.source_name(media), archive.unpacked(before.content(), media, room)[0])]
    return [(entry.name, entry.data) for entry in archive_cut.entries(before.content(), room)]
