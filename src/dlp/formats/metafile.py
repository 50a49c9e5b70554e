"""Windows metafiles: EMF ([MS-EMF]) with EMF+ ([MS-EMFPLUS]), and WMF ([MS-WMF]): text records and bitmaps.

A drawing without text or bitmaps may still show letters as curves; as nobody here draws it, that is a gap.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dlp.formats import Full, Source
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Zone
from dlp.sniff import charset

MEDIA = ("image/emf", "image/wmf")

_TEXT_A, _TEXT_W, _SMALL, _COMMENT, _HEADER = 83, 84, 108, 70, 1
_BITMAPS = {76: 84, 77: 84, 78: 100, 79: 100, 80: 48, 81: 48, 114: 84, 116: 84}
"""Records with a bitmap -> where the place and size of its header and bits stand in them."""
_SHAPES = frozenset({2, 3, 4, 5, 6, 7, 8, 85, 86, 87, 88, 89, 90, 91, 62, 63, 64, 42, 43, 44})
_PLUS_STRING, _PLUS_DRIVER, _PLUS_OBJECT = 0x401C, 0x4036, 0x4008
_MOST_RECORDS = 500_000
_FEW_SHAPES = 40  # rules and boxes; letters drawn as curves are more


def extract(source: Source, room: Room) -> Document:
    """Return the text records in their order; those on one line are one segment."""
    raw = source.content()
    reading = Reading(room)
    media = MEDIA[0] if raw[40:44] == b" EMF" else MEDIA[1]
    try:
        walk = _Walk(raw, reading)
        (walk.emf if media == MEDIA[0] else walk.wmf)()
    except Full as full:
        reading.miss(full.kind, full.detail)
    except (struct.error, IndexError):
        reading.miss(GapKind.CORRUPT, "the metafile is broken or cut off")
    return reading.document(media)


class _Walk:
    """Goes through the records of one metafile."""

    def __init__(self, raw: bytes, reading: Reading) -> None:
        self._raw = raw
        self._reading = reading
        self._room = reading.room
        self._lines: list[tuple[int, str]] = []
        self._shapes = 0
        self._bitmaps = 0

    def emf(self) -> None:
        """Read an EMF."""
        at = 0
        for number in range(_MOST_RECORDS):
            if number % 1024 == 0:
                self._room.check_time()
            kind, size = struct.unpack_from("<II", self._raw, at)
            if size < 8 or at + size > len(self._raw):
                raise IndexError
            self._record(kind, self._raw[at : at + size])
            at += size
            if kind == 14:
                break
        else:
            raise Full(GapKind.TOO_MANY, f"it has more than {_MOST_RECORDS} records")
        self._finish(self._raw[at:])

    def _record(self, kind: int, record: bytes) -> None:
        if kind in (_TEXT_A, _TEXT_W):
            _, y, count, start = struct.unpack_from("<iiII", record, 36)
            wide = kind == _TEXT_W
            self._say(y, record[start : start + count * (2 if wide else 1)], wide=wide)
        elif kind == _SMALL:
            _, y, count, options = struct.unpack_from("<iiII", record, 8)
            start = 36 if options & 0x100 else 52
            narrow = bool(options & 0x200)
            self._say(y, record[start : start + count * (1 if narrow else 2)], wide=not narrow)
        elif kind in _BITMAPS:
            self._bitmap(record, *struct.unpack_from("<4I", record, _BITMAPS[kind]))
        elif kind == _COMMENT:
            self._comment(record)
        elif kind == _HEADER:
            count, start = struct.unpack_from("<II", record, 60)
            if count:
                self._reading.add(
                    record[start : start + 2 * count].decode("utf-16-le", "replace").replace("\0", " ").strip() or "-",
                    part=self._room.part,
                    zone=Zone.METADATA,
                )
        elif kind in _SHAPES:
            self._shapes += 1

    def _comment(self, record: bytes) -> None:
        if record[12:16] != b"EMF+":
            return
        (size,) = struct.unpack_from("<I", record, 8)
        for kind, data in _plus(record[16 : 12 + size]):
            if kind == _PLUS_STRING and len(data) >= 28:
                (count,) = struct.unpack_from("<I", data, 8)
                self._say(0, data[28 : 28 + 2 * count], wide=True)
            elif kind == _PLUS_DRIVER and len(data) >= 16:
                options, _, count = struct.unpack_from("<III", data, 4)
                if options & 1:
                    self._say(0, data[16 : 16 + 2 * count], wide=True)
                else:
                    self._reading.miss(GapKind.UNTRUSTED_TEXT, "letters are drawn whose text the file keeps back")
            elif kind & 0x7FFF == _PLUS_OBJECT & 0x7FFF:
                for start in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"):
                    place = data.find(start, 0, 64)
                    if place >= 0:
                        self._picture(data[place:])
                        break
            else:
                self._shapes += 1

    def _bitmap(self, record: bytes, head: int, head_size: int, bits: int, bits_size: int) -> None:
        if not head_size or not bits_size:
            return
        header, pixels = record[head : head + head_size], record[bits : bits + bits_size]
        sizes = struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header))
        self._picture(b"BM" + sizes + header + pixels)

    def _picture(self, data: bytes) -> None:
        self._bitmaps += 1
        self._room.spend_entries()
        self._room.spend_bytes(len(data))
        self._reading.take(self._room.descend(f"bitmap {self._bitmaps}", data))

    def wmf(self) -> None:
        """Read a WMF."""
        at = 22 if self._raw.startswith(b"\xd7\xcd\xc6\x9a") else 0
        at += 18
        for number in range(_MOST_RECORDS):
            if number % 1024 == 0:
                self._room.check_time()
            size, kind = struct.unpack_from("<IH", self._raw, at)
            size *= 2
            if size < 6 or at + size > len(self._raw):
                raise IndexError
            body = self._raw[at + 6 : at + size]
            at += size
            if kind == 0:
                break
            self._record_wmf(kind, body)
        else:
            raise Full(GapKind.TOO_MANY, f"it has more than {_MOST_RECORDS} records")
        self._finish(self._raw[at:])

    def _record_wmf(self, kind: int, body: bytes) -> None:
        if kind == 0x0A32:
            y, _, count, options = struct.unpack_from("<hhHH", body)
            start = 16 if options & 0x6 else 8
            self._say(y, body[start : start + count], wide=False)
        elif kind == 0x0521:
            (count,) = struct.unpack_from("<H", body)
            text = body[2 : 2 + count]
            (y,) = struct.unpack_from("<h", body, 2 + count + count % 2)
            self._say(y, text, wide=False)
        elif kind in (0x0F43, 0x0B41, 0x0940):
            for start in range(0, min(len(body), 32), 2):
                if body[start : start + 4] == b"\x28\0\0\0":
                    colours = struct.unpack_from("<H", body, start + 14)[0]
                    table = 4 * (1 << colours) if colours <= 8 else 0
                    dib = body[start:]
                    self._picture(b"BM" + struct.pack("<IHHI", 14 + len(dib), 0, 0, 14 + 40 + table) + dib)
                    break
        elif kind in (0x0324, 0x0325, 0x0538, 0x0213, 0x0418, 0x041B):
            self._shapes += 1

    def _say(self, y: int, raw: bytes, *, wide: bool) -> None:
        narrow = "" if wide else charset.decode(raw, "gb18030") or raw.decode("latin-1")
        text = raw.decode("utf-16-le", "replace") if wide else narrow
        text = text.replace("\0", "")
        self._room.spend_chars(len(text))
        if self._lines and self._lines[-1][0] == y:
            self._lines[-1] = (y, self._lines[-1][1] + text)
        else:
            self._lines.append((y, text))

    def _finish(self, rest: bytes) -> None:
        for number, (_, text) in enumerate(self._lines):
            if text.strip():
                self._reading.add(text, part=self._room.part, anchor=str(number))
        if not self._lines and not self._bitmaps and self._shapes > _FEW_SHAPES:
            self._reading.miss(GapKind.NO_OCR, "the drawing shows something that is not text")
        if len(rest.strip(b"\0")) > 16:
            self._reading.take(self._room.descend("after the end", rest))


def _plus(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the EMF+ records in a comment: kind and data."""
    at = 0
    while at + 12 <= len(data):
        kind, _, size, length = struct.unpack_from("<HHII", data, at)
        yield kind, data[at + 12 : at + 12 + length]
        if size < 12:
            return
        at += size
