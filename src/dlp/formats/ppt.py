"""PowerPoint 97-2003 presentations ([MS-PPT]): every text atom of every record, and pictures and objects in them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from dlp.formats import Full, Source, locked, ole
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Zone

MEDIA = ("application/vnd.ms-powerpoint",)

_CHARS, _BYTES, _STRING = 0x0FA0, 0x0FA8, 0x0FBA
_SLIDE, _NOTES, _MASTER, _OBJECT, _CRYPT, _COMMENT = 0x03EE, 0x03F0, 0x03F8, 0x1011, 0x2F14, 0x2EE0
_ENCRYPTED_TOKEN = 0xF3D1C4DF
_DEEPEST = 40  # containers
_MOST_RECORDS = 1_000_000


def extract(source: Source, room: Room) -> Document:
    """Return all text. `anchor` is the number of the record."""
    return locked.read(source, room, MEDIA[0], read_storage)


def read_storage(storage: ole.Storage, room: Room) -> Document:
    """Return all text of the presentation in a storage."""
    reading = Reading(room)
    try:
        _check_user(storage, room)
        _Walk(storage.read(("PowerPoint Document",), room), reading).run()
        ole.read_rest(storage, frozenset({"powerpoint document"}), reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(MEDIA[0])


def _check_user(storage: ole.Storage, room: Room) -> None:
    if not storage.has("Current User"):
        return
    user = storage.read(("Current User",), room)
    if len(user) >= 16 and struct.unpack_from("<I", user, 12)[0] == _ENCRYPTED_TOKEN:
        raise Full(GapKind.ENCRYPTED, "it needs a password")


class _Walk:
    """Goes through the records of the document stream; texts that are said twice count once a slide."""

    def __init__(self, stream: bytes, reading: Reading) -> None:
        self._stream = stream
        self._reading = reading
        self._room = reading.room
        self._count = 0
        self._slides = 0

    def run(self) -> None:
        """Read all records."""
        for kind, body, zone in self._records(0, len(self._stream), 0, Zone.BODY):
            if kind == _CRYPT:
                raise Full(GapKind.ENCRYPTED, "it needs a password")
            if kind in (_CHARS, _STRING):
                self._add(body[: len(body) // 2 * 2].decode("utf-16-le", "replace"), zone)
            elif kind == _BYTES:
                self._add(body.decode("latin-1"), zone)
            elif kind == _OBJECT:
                self._unpack(body)

    def _records(self, at: int, end: int, depth: int, zone: Zone) -> Iterator[tuple[int, bytes, Zone]]:
        if depth > _DEEPEST:
            raise Full(GapKind.TOO_DEEP, f"records are nested more than {_DEEPEST} deep")
        while at + 8 <= end:
            self._count += 1
            if self._count > _MOST_RECORDS:
                raise Full(GapKind.TOO_MANY, f"it has more than {_MOST_RECORDS} records")
            if self._count % 1024 == 0:
                self._room.check_time()
            head, kind, length = struct.unpack_from("<HHI", self._stream, at)
            at += 8
            if at + length > end:
                self._reading.miss(GapKind.CORRUPT, "a record reaches beyond its container")
                length = end - at
            if head & 0xF == 0xF:
                inner = {_MASTER: Zone.METADATA, _COMMENT: Zone.COMMENT}.get(kind, zone)
                yield from self._records(at, at + length, depth + 1, inner)
            else:
                packed = kind == _OBJECT and head >> 4 == 1
                yield kind, self._stream[at + 4 * packed : at + length], zone
            at += length

    def _unpack(self, body: bytes) -> None:
        data = body
        if body[:1] == b"\x78":
            unpacker = zlib.decompressobj()
            most = min(self._room.limits.expanded_bytes, max(1 << 20, self._room.limits.ratio * len(body)))
            try:
                data = unpacker.decompress(body, most)
            except zlib.error:
                data = b""
            if unpacker.unconsumed_tail:
                raise Full(GapKind.TOO_BIG, "an embedded object unpacks to more than the limit")
        self._room.spend_entries()
        self._room.spend_bytes(len(data))
        if data:
            self._reading.take(self._room.descend(f"object {self._count}", data))
        else:
            self._reading.miss(GapKind.CORRUPT, "an embedded object cannot be unpacked")

    def _add(self, text: str, zone: Zone) -> None:
        text = text.replace("\r", "\n").replace("\x0b", "\n").strip("\0\n ")
        if text:
            self._reading.add(text, part=self._room.part, anchor=str(self._count), zone=zone)
