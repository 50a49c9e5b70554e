"""OLE files ([MS-CFB]): what every one of them can hold besides its main text, and those that are nothing else.

A storage in a storage is a document of its own. Streams that nobody parses are searched for runs of text and for
pictures; macros, and streams of unknown programs, are gaps.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

import olefile

from dlp.formats import Full, Source, loose
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Zone
from dlp.sniff import containers

MEDIA = ("application/x-ole-storage",)

Path = tuple[str, ...]

_IDLE = frozenset(
    (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
        "\1compobj \1ole \3objinfo \2olepres000 \2olepres001 \3eqneditor \1oleoleverb \6dataspaces odttf \3linkinfo "
        "\3print \3meta \3epRINT mscodepage ocxdata \3ocxname propertyset printsettings"
    ).split()
)
_SUMMARIES = ("\5summaryinformation", "\5documentsummaryinformation")
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xdb\xe0-\xef\xee]|GIF8[79]a|\x01\0\0\0.{36} EMF", re.DOTALL)
_MOST_PICTURES = 500  # in one stream
_MAIN = {
    "worddocument": "application/msword",
    "workbook": "application/vnd.ms-excel",
    "book": "application/vnd.ms-excel",
    "powerpoint document": "application/vnd.ms-powerpoint",
}


class Storage:
    """One storage of an OLE file with everything below it. `names` are the paths of its streams, relative to it."""

    def __init__(self, file: Any, top: Path = ()) -> None:
        self._file = file
        self.top = top
        self.names: list[Path] = []
        for found in file.listdir(streams=True, storages=False):
            path = tuple(found)
            if path[: len(top)] == top:
                self.names.append(path[len(top) :])
        self._folded = {tuple(part.lower() for part in path): path for path in self.names}

    def has(self, *path: str) -> bool:
        """Tell whether there is a stream of this path; case does not matter."""
        return tuple(part.lower() for part in path) in self._folded

    def read(self, path: Path, room: Room) -> bytes:
        """Return the content of a stream. Raises `Full` when it cannot be had in full."""
        real = self._folded.get(tuple(part.lower() for part in path), path)
        full = [*self.top, *real]
        try:
            size = self._file.get_size(full)
            room.spend_bytes(size)
            data: bytes = self._file.openstream(full).read()
        except (OSError, ValueError, IndexError, struct.error):
            raise Full(GapKind.CORRUPT, "a stream of the file is broken") from None
        if len(data) < size:
            raise Full(GapKind.CORRUPT, "a stream of the file is cut off")
        return data

    def inside(self, path: Path) -> Storage:
        """Return a storage below this one."""
        return Storage(self._file, (*self.top, *path))


def opened(source: Source, room: Room) -> Storage:
    """Return the root storage. Raises `Full` when the file is no sound OLE file."""
    source.seek(0)
    try:
        # Sectors outside of the file, loops and doubled streams end the reading: programs disagree about them.
        file = olefile.OleFileIO(source, raise_defects=olefile.DEFECT_INCORRECT)
    except Exception:  # noqa: BLE001  olefile raises whatever a broken header leads to
        raise Full(GapKind.CORRUPT, "the file is broken") from None
    storage = Storage(file)
    room.spend_entries(len(storage.names))
    return storage


def extract(source: Source, room: Room) -> Document:
    """Return what can be read of an OLE file that is no document of a known program."""
    reading = Reading(room)
    try:
        storage = opened(source, room)
        read_rest(storage, frozenset(), reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(MEDIA[0])


def read_rest(storage: Storage, done: frozenset[str], reading: Reading) -> None:
    """Read every stream of a storage but those in `done` (lower case, of the storage itself)."""
    room = reading.room
    inner = _inner(storage)
    for path in storage.names:
        if path[:1] in inner or any(path[: len(top)] == top for top in inner):
            continue
        if len(path) == 1 and path[0].lower() in done:
            continue
        try:
            _read_stream(path, storage.read(path, room), reading)
        except Full as full:
            reading.miss(full.kind, full.detail, part=(*room.part, *path))
            room.spend_bytes(0)
    for top in inner:
        try:
            reading.take(read_storage(storage.inside(top), room.inside("/".join(top))))
        except Full as full:
            reading.miss(full.kind, full.detail, part=(*room.part, *top))


def _inner(storage: Storage) -> list[Path]:
    """Return the storages below this one that are documents of their own, topmost first."""
    found: list[Path] = []
    for path in sorted(storage.names, key=len):
        own = path[-1].lower() in (*_MAIN, "package", "\1ole10native", "contents")
        if len(path) > 1 and own and not any(path[: len(top)] == top for top in found):
            found.append(path[:-1])
    return found


def read_storage(storage: Storage, room: Room) -> Document:
    """Return everything in one storage: as a document of the program whose stream it has, or stream by stream."""
    from dlp.formats import doc, ppt, xls  # noqa: PLC0415  they read storages too: the ring is closed here

    readers = {"worddocument": doc, "workbook": xls, "book": xls, "powerpoint document": ppt}
    for name, reader in readers.items():
        if storage.has(name):
            document: Document = reader.read_storage(storage, room)
            return document
    reading = Reading(room)
    read_rest(storage, frozenset(), reading)
    return reading.document(MEDIA[0])


def _read_stream(path: Path, data: bytes, reading: Reading) -> None:
    room = reading.room
    name = path[-1].lower()
    part = (*room.part, *path)
    if not data.strip(b"\0"):
        return
    if name in _SUMMARIES:
        for text in properties(data):
            reading.add(text, part=part, zone=Zone.METADATA)
    elif name == "package" or data.startswith((containers.OLE, b"PK\x03\x04", b"%PDF")):
        reading.take(room.descend("/".join(path), data))
    elif name == "\1ole10native":
        label, inner = native(data)
        if label:
            reading.add(label, part=part, zone=Zone.METADATA)
        reading.take(room.descend(label or "/".join(path), inner))
    elif any(above.lower() in ("macros", "_vba_project_cur", "vba") for above in path):
        add_runs(data, part, reading)
        reading.miss(GapKind.UNSUPPORTED, "macros are not read", part=part[: len(room.part) + 1])
    else:
        add_runs(data, part, reading)
        found = pictures(data)
        for number, picture in enumerate(found, 1):
            reading.take(room.descend(f"{'/'.join(path)} #{number}", picture))
        if name not in _IDLE and not found and name == "contents":
            reading.miss(GapKind.UNSUPPORTED, "an embedded object is read only in part", part=part)


def add_runs(data: bytes, part: tuple[str, ...], reading: Reading) -> None:
    """Add the runs of text in bytes that nobody parses."""
    text = loose.text_runs(data)
    if text:
        reading.add(text, part=part, anchor="runs", zone=Zone.HIDDEN)


def pictures(data: bytes) -> list[bytes]:
    """Return the pictures that lie in a stream one after the other, each up to its own end."""
    starts = [found.start() for found in _PICTURE.finditer(data)]
    if len(starts) > _MOST_PICTURES:
        raise Full(GapKind.TOO_MANY, f"a stream holds more than {_MOST_PICTURES} pictures")
    found = []
    reached = 0
    for start in starts:
        if start < reached:
            continue  # a preview inside of the picture before it
        reached = _end(data, start)
        found.append(data[start:reached])
    return found


def _end(data: bytes, start: int) -> int:
    head = data[start : start + 4]
    if head == b"\x89PNG":
        at = start + 8
        while at + 12 <= len(data):
            length: int = struct.unpack_from(">I", data, at)[0]
            at += 12 + length
            if data[at - length - 8 : at - length - 4] == b"IEND":
                return min(at, len(data))
        return len(data)
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg_end(data, start)
    if head == b"GIF8":
        end = data.find(b"\0;", start)
        return len(data) if end < 0 else end + 2
    size: int = struct.unpack_from("<I", data, start + 48)[0]
    return min(start + size, len(data))


def _jpeg_end(data: bytes, start: int) -> int:
    at = start + 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if mark == 0xDA:
            end = data.find(b"\xff\xd9", at)
            return len(data) if end < 0 else end + 2
        at += 2 if mark in (0xFF, 0x01, *range(0xD0, 0xD9)) else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return len(data)


def native(data: bytes) -> tuple[str, bytes]:
    """Return the name and the bytes of a packaged file ([MS-OLEDS] 2.3.6 and the form of the Object Packager)."""
    inner = data[4:]
    if inner[:2] == b"\2\0":
        names = inner[2:].split(b"\0", 2)
        at = 2 + sum(len(name) + 1 for name in names[:2]) + 4
        if len(names) == 3 and at + 4 <= len(inner):
            (length,) = struct.unpack_from("<I", inner, at)
            at += 4 + length
            if at + 4 <= len(inner):
                (size,) = struct.unpack_from("<I", inner, at)
                label = names[0].decode("gb18030", "replace")
                return label, inner[at + 4 : at + 4 + size]
    return "", inner


def properties(data: bytes) -> Iterator[str]:
    """Yield the texts of a property set ([MS-OLEPS]): strings of the document's properties, in their code page."""
    if len(data) < 48:
        return
    (count,) = struct.unpack_from("<I", data, 24)
    for number in range(min(count, 2)):
        at = 28 + 20 * number + 16
        if at + 4 > len(data):
            return
        (start,) = struct.unpack_from("<I", data, at)
        yield from _section(data[start:])


def _section(data: bytes) -> Iterator[str]:
    if len(data) < 8:
        return
    (count,) = struct.unpack_from("<I", data, 4)
    entries = [struct.unpack_from("<II", data, 8 + 8 * n) for n in range(min(count, 500)) if 16 + 8 * n <= len(data)]
    page = "cp1252"
    for kind, at in entries:
        if kind == 1 and at + 6 <= len(data):
            page = {936: "gb18030", 65001: "utf-8", 950: "cp950", 1200: "utf-16-le"}.get(
                struct.unpack_from("<H", data, at + 4)[0], "gb18030"
            )
    for _, at in entries:
        if at + 8 > len(data):
            continue
        kind, size = struct.unpack_from("<II", data, at)
        if kind == 0x1E:
            raw = data[at + 8 : at + 8 + min(size, 65_536)]
            yield from _spoken(raw.decode(page, "replace"))
        elif kind == 0x1F:
            raw = data[at + 8 : at + 8 + 2 * min(size, 65_536)]
            yield from _spoken(raw.decode("utf-16-le", "replace"))


def _spoken(text: str) -> Iterator[str]:
    text = text.rstrip("\0").strip()
    if text:
        yield text


def wrap(name: str, stream: bytes) -> bytes:
    """Return an OLE file ([MS-CFB] version 3) with this one stream: for libraries that open nothing smaller."""
    size, free, last, table, map_of = 512, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
    padded = max(len(stream), 4096)  # a shorter stream would have to lie among the small sectors
    count = -(-padded // size)  # sectors of the stream: 0 .. count - 1, then the directory, then the tables
    per = size // 4
    tables = 1
    while tables * per < count + 1 + tables + max(0, -(-(tables - 109) // (per - 1))):
        tables += 1
    maps = max(0, -(-(tables - 109) // (per - 1)))
    chain = [*range(1, count), last, last, *[table] * tables, *[map_of] * maps]
    chain += [free] * (tables * per - len(chain))
    places = [count + 1 + number for number in range(tables)]

    def entry(label: str, kind: int, child: int, start: int, length: int) -> bytes:
        raw = (label + "\0").encode("utf-16-le") if label else b""
        links = struct.pack("<HBBIII", len(raw), kind, 1, free, free, child)
        return raw.ljust(64, b"\0") + links + bytes(36) + struct.pack("<IQ", start, length)

    directory = entry("Root Entry", 5, 1, last, 0) + entry(name, 2, free, 0, padded)
    directory += entry("", 0, free, 0, 0) * (size // 128 - 2)
    first_map = count + 1 + tables
    head = containers.OLE + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<9I", 0, tables, count, 0, 4096, last, 0, first_map if maps else last, maps)
    head += struct.pack("<109I", *places[:109], *[free] * (109 - len(places[:109])))
    out = [head.ljust(size, b"\0"), stream.ljust(count * size, b"\0"), directory]
    out.append(struct.pack(f"<{len(chain)}I", *chain))
    rest = places[109:]
    for number in range(maps):
        some = rest[number * (per - 1) : (number + 1) * (per - 1)]
        after = first_map + number + 1 if number + 1 < maps else last
        out.append(struct.pack(f"<{per}I", *some, *[free] * (per - 1 - len(some)), after))
    return b"".join(out)
