"""Outlook messages ([MS-OXMSG]): properties, bodies, attachments, and messages attached to messages."""

from __future__ import annotations

import struct

from dlp.formats import Full, Source, ole
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Zone
from dlp.sniff import charset

MEDIA = ("application/vnd.ms-outlook",)

_PREFIX = "__substg1.0_"
_SUBJECT, _BODY, _HTML, _RTF, _CONTENT = 0x0037, 0x1000, 0x1013, 0x1009, 0x3701
_NAMES = ("3707001F", "3704001F", "3001001F", "3707001E", "3704001E", "3001001E")
_SPOKEN = frozenset((0x0037, 0x0070, 0x0E1D, 0x1000, 0x0C1A, 0x0042, 0x0E04, 0x0E03, 0x3001, 0x3003, 0x39FE))


def extract(source: Source, room: Room) -> Document:
    """Return all text. The part of a segment names the storages it lies in, its anchor the property."""
    reading = Reading(room)
    try:
        storage = ole.opened(source, room)
        for path in storage.names:
            try:
                _read(storage, path, reading)
            except Full as full:
                reading.miss(full.kind, full.detail, part=(*room.part, *path))
                room.spend_bytes(0)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(MEDIA[0])


def _read(storage: ole.Storage, path: ole.Path, reading: Reading) -> None:
    room = reading.room
    name = path[-1]
    part = (*room.part, *path[:-1])
    if not name.lower().startswith(_PREFIX) or any("nameid" in above.lower() for above in path[:-1]):
        if name.lower() != "__properties_version1.0":
            ole.add_runs(storage.read(path, room), part, reading)
        return
    data = storage.read(path, room)
    try:
        number, kind = int(name[12:16], 16), int(name[16:20], 16)
    except ValueError:
        ole.add_runs(data, part, reading)
        return
    zone = Zone.BODY if number == _BODY else Zone.METADATA if number in _SPOKEN else Zone.HIDDEN
    if kind == 0x1F:
        _add(data.decode("utf-16-le", "replace"), part, f"{number:04x}", zone, reading)
    elif kind == 0x1E:
        texts = charset.readings(data.rstrip(b"\0"))
        if texts:
            _add(texts[0].text, part, f"{number:04x}", zone, reading)
    elif number == _HTML:
        reading.take(room.descend("body.html", data.rstrip(b"\0")))
    elif number == _RTF:
        reading.take(room.descend("body.rtf", unpack_rtf(data)))
    elif number == _CONTENT:
        reading.take(room.descend(_name(storage, path[:-1], room), data))
    else:
        ole.add_runs(data, part, reading)


def _add(text: str, part: tuple[str, ...], anchor: str, zone: Zone, reading: Reading) -> None:
    text = text.strip("\0").strip()
    if text:
        reading.add(text, part=part, anchor=anchor, zone=zone)


def _name(storage: ole.Storage, folder: ole.Path, room: Room) -> str:
    for kind in _NAMES:
        if storage.has(*folder, _PREFIX + kind):
            raw = storage.read((*folder, _PREFIX + kind), room)
            text = raw.decode("utf-16-le" if kind.endswith("F") else "gb18030", "replace").strip("\0")
            if text:
                return text
    return folder[-1] if folder else "attachment"


_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans "
    b"SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u"
    b"\\tab\\tx"
)


def unpack_rtf(data: bytes) -> bytes:
    """Return a packed RTF body ([MS-OXRTFCP] 2.1.3). Raises `Full` when it is broken."""
    if len(data) < 16:
        raise Full(GapKind.CORRUPT, "the packed body of the message is broken")
    _, size, mark, _ = struct.unpack_from("<IIII", data)
    if mark == 0x414C454D:
        return data[16 : 16 + size]
    if mark != 0x75465A4C:
        raise Full(GapKind.CORRUPT, "the packed body of the message is broken")
    window = bytearray(4096)
    window[: len(_DICTIONARY)] = _DICTIONARY
    write = len(_DICTIONARY)
    out = bytearray()
    at = 16
    while at < len(data):
        flags = data[at]
        at += 1
        for bit in range(8):
            if not flags >> bit & 1:
                if at >= len(data):
                    return bytes(out[:size])
                out.append(data[at])
                window[write] = data[at]
                write = (write + 1) % 4096
                at += 1
                continue
            if at + 2 > len(data):
                return bytes(out[:size])
            (token,) = struct.unpack_from(">H", data, at)
            at += 2
            offset, length = token >> 4, (token & 0xF) + 2
            if offset == write:
                return bytes(out[:size])
            for step in range(length):
                byte = window[(offset + step) % 4096]
                out.append(byte)
                window[write] = byte
                write = (write + 1) % 4096
    return bytes(out[:size])
