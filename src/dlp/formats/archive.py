"""Archives: every member is read as what it is, however deep; the names of members are text too.

ZIP goes through the strict reader of this house, everything else through libarchive. A member that needs a password
is tried with those that the administrator lists. How an archive is written anew is said in `archive_cut`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import libarchive
import libarchive.exception

from dlp.formats import Full, Source
from dlp.formats.room import Reading, Room
from dlp.formats.zipsafe import Package
from dlp.model import Cut, Document, GapKind, Removed, Zone
from dlp.sniff import EDGE_BYTES, charset, sniff

_STREAMS = {
    "application/gzip": "gzip",
    "application/x-bzip2": "bzip2",
    "application/x-xz": "xz",
    "application/zstd": "zstd",
    "application/x-compress": "compress",
    "application/x-lz4": "lz4",
    "application/x-lzip": "lzip",
}
_ARCHIVES = {
    "application/x-7z-compressed": "7zip",
    "application/vnd.rar": "rar",
    "application/x-tar": "tar",
    "application/vnd.ms-cab-compressed": "cab",
    "application/x-iso9660-image": "iso9660",
    "application/x-cpio": "cpio",
    "application/x-lzh-compressed": "lha",
    "application/x-archive": "ar",
}
MEDIA = ("application/zip", *_STREAMS, *_ARCHIVES)
_LOCKED = ("encrypt", "passphrase", "password", "crypto")  # words of libarchive's messages
_UNABLE = ("unsupported", "not supported", "cannot be", "can't be")


def extract(source: Source, room: Room) -> Document:
    """Return the text of all members. One that cannot be unpacked is a gap of that member."""
    media = _media(source)
    reading = Reading(room)
    try:
        if media == MEDIA[0]:
            _read_zip(Package(source, room), source, reading)
        elif media in _STREAMS:
            _read_stream(source.content(), media, reading)
        else:
            _read_archive(source.content(), media, reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(media)


def warm() -> None:
    """Load what writes archives: called once, before any child is forked."""
    from dlp.formats import archive_cut, archive_proof  # noqa: F401, PLC0415  they import this module


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the archive without the cuts. `NotRedactable` where its kind or a member of it cannot be written."""
    from dlp.formats import archive_cut  # noqa: PLC0415  it imports this module

    return archive_cut.redact(_media(source), source, cuts, out, room)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return what the readers of Python find in a copy; members are proven as what they are."""
    from dlp.formats import archive_proof  # noqa: PLC0415  it imports this module

    return archive_proof.verify(_media(before), source, before, cuts, room)


def _media(source: Source) -> str:
    kinds = sniff(source.peek(0, EDGE_BYTES), source.peek(max(0, source.size - EDGE_BYTES), EDGE_BYTES), source)
    return next((kind for kind in kinds if kind in MEDIA), MEDIA[0])


def _read_zip(package: Package, source: Source, reading: Reading) -> None:
    room = reading.room
    _add_names(list(package.members), reading)
    if package.loose:
        # a comment on the archive leaves with it
        reading.take(room.descend("(comments)", b"\n".join(package.loose)))
    locked = []
    for name in package.members:
        if name.endswith("/"):
            continue
        try:
            data = package.read(name)
        except Full as full:
            if full.kind is GapKind.ENCRYPTED:
                locked.append(name)
                continue
            reading.miss(full.kind, full.detail, part=(*room.part, name))
            if full.kind in (GapKind.TOO_BIG, GapKind.TOO_MANY, GapKind.TIMEOUT):
                raise
            continue
        reading.take(room.descend(name, data))
    if locked:
        _read_locked(locked, source.content(), reading)


def _read_locked(names: list[str], data: bytes, reading: Reading) -> None:
    """Read the members of a ZIP archive that need a password, each under the first that opens it."""
    left = set(names)
    for password in reading.room.passwords:
        if not left:
            return
        for name, content in _unlocked(data, password, reading.room):
            if name in left:
                left.discard(name)
                reading.take(reading.room.descend(name, content))
    for name in names:
        if name in left:
            reading.miss(GapKind.ENCRYPTED, "it needs a password", part=(*reading.room.part, name))


def _unlocked(data: bytes, password: str, room: Room) -> Iterator[tuple[str, bytes]]:
    with (
        suppress(libarchive.exception.ArchiveError),
        libarchive.memory_reader(data, "zip", passphrase=password) as found,
    ):
        for entry in found:
            if entry.isfile:
                content = content_of(entry, room)
                if content is not None:
                    yield text_of(entry.pathname), content


def text_of(name: str | bytes | None) -> str:
    """Return a name that libarchive gives as text or, where it is in no encoding it knows, as bytes."""
    return decoded_name(name) if isinstance(name, bytes) else name or ""


def decoded_name(raw: bytes) -> str:
    """Return a name in whatever encoding fits it."""
    texts = charset.readings(raw)
    return texts[0].text if texts else raw.decode("utf-8", "replace")


def content_of(entry: Any, room: Room) -> bytes | None:
    """Return the content of a member, None when it cannot be unpacked; what is unpacked is spent as it comes."""
    pieces = []
    try:
        for block in entry.get_blocks():
            room.spend_bytes(len(block))
            room.check_time()
            pieces.append(bytes(block))
    except libarchive.exception.ArchiveError:
        return None
    return b"".join(pieces)


def _add_names(names: list[str], reading: Reading) -> None:
    if names:
        reading.add("\n".join(names), part=reading.room.part, anchor="names", zone=Zone.METADATA)


def _read_stream(data: bytes, media: str, reading: Reading) -> None:
    """Read one packed file; the archive that it may hold is told by its own content."""
    room = reading.room
    room.spend_entries()
    inner, whole = unpacked(data, media, room)
    if not whole:
        reading.miss(GapKind.CORRUPT, "the packed data is broken or cut off")
    if media == "application/gzip":
        _read_gzip_header(data, reading)
    if inner:
        reading.take(room.descend(source_name(media), inner))


def unpacked(data: bytes, media: str, room: Room) -> tuple[bytes, bool]:
    """Return what a packed file holds, as far as it can be unpacked, and whether that is all of it."""
    pieces: list[bytes] = []
    total = 0
    try:
        with libarchive.memory_reader(data, "raw", _STREAMS[media]) as found:
            for entry in found:
                for block in entry.get_blocks():
                    total += len(block)
                    room.spend_bytes(len(block))
                    room.check_ratio(len(data), total)
                    room.check_time()
                    pieces.append(bytes(block))
    except libarchive.exception.ArchiveError:
        return b"".join(pieces), False
    return b"".join(pieces), True


def _read_gzip_header(data: bytes, reading: Reading) -> None:
    """Read the name and the comment that a gzip file carries (RFC 1952); they are shown, and leave with it."""
    flags = data[3] if len(data) > 10 else 0
    at = 10 + (2 + int.from_bytes(data[10:12], "little") if flags & 4 else 0)
    says = [data[12:at]] if flags & 4 else []
    for bit in (8, 16):
        end = data.find(b"\0", at)
        if flags & bit and end >= 0:
            says.append(data[at:end])
            at = end + 1
    for raw in filter(None, says):
        text = decoded_name(raw)
        reading.add(text, part=reading.room.part, anchor="gzip", zone=Zone.METADATA)


def source_name(media: str) -> str:
    """Return what a packed file is called when nothing names it."""
    return f"({_STREAMS[media]})"


def _read_archive(data: bytes, media: str, reading: Reading) -> None:
    names: list[str] = []
    kind = "rar5" if data.startswith(b"Rar!\x1a\x07\x01") else _ARCHIVES[media]
    passwords: tuple[str | None, ...] = (None, *reading.room.passwords) if kind == "7zip" else (None,)
    try:
        for password in passwords:
            if _read_members(data, kind, password, names, reading):
                break
    finally:
        _add_names(names, reading)


def _read_members(data: bytes, kind: str, password: str | None, names: list[str], reading: Reading) -> bool:
    """Read all members; return whether nothing was locked."""
    room = reading.room
    total = 0
    try:
        with libarchive.memory_reader(data, kind, "none", passphrase=password) as found:
            for entry in found:
                room.spend_entries()
                name = text_of(entry.pathname) or f"member {len(names) + 1}"
                names.append(name)
                if entry.issym or entry.islnk:
                    reading.add(text_of(entry.linkpath) or "-", part=(*room.part, name), zone=Zone.METADATA)
                if not entry.isfile:
                    continue
                room.check_ratio(len(data), total + (entry.size or 0))
                pieces = []
                for block in entry.get_blocks():
                    total += len(block)
                    room.spend_bytes(len(block))
                    room.check_ratio(len(data), total)
                    room.check_time()
                    pieces.append(bytes(block))
                reading.take(room.descend(name, b"".join(pieces)))
    except libarchive.exception.ArchiveError as err:
        words = str(err.msg or "").lower()
        part = (*room.part, names[-1]) if names else room.part
        if any(word in words for word in _LOCKED):
            reading.miss(GapKind.ENCRYPTED, "it needs a password", part=part)
        elif any(word in words for word in _UNABLE):
            reading.miss(GapKind.UNSUPPORTED, "it is packed in a way that cannot be unpacked here", part=part)
        else:
            reading.miss(GapKind.CORRUPT, "the archive is broken, cut off, or one of several volumes", part=part)
        return False
    if not names and len(data) > 1024:
        reading.miss(GapKind.CORRUPT, "the archive holds no member that can be seen")
    return True
