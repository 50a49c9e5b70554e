"""The names inside a container, as far as they are needed to tell its type. Nothing is unpacked.

These readers are lenient on purpose: whatever some program could open as a ZIP or OLE file must be seen as one.
`formats.zipsafe` is the strict one that reads the content.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Peek = Callable[[int, int], bytes]
"""offset, length -> bytes"""

EOCD = b"PK\x05\x06"
_NEAR_END = 22 + 65_535  # the end record and the longest comment behind it
_MOST = 20_000  # members whose names are looked at
_DIRECTORY = 8 << 20  # bytes of a central directory that are looked at


def zip_names(peek: Peek, size: int) -> tuple[str, ...] | None:
    """Return the lower-case member names of the ZIP file that ends here, or None when none does.

    Data before and behind the ZIP file is allowed for. Names that are not UTF-8 come out with replacement marks.
    """
    start = max(0, size - _NEAR_END)
    tail = peek(start, size - start)
    at = tail.rfind(EOCD)
    while at >= 0:
        names = _directory(peek, start + at, tail[at : at + 22])
        if names is not None:
            return names
        at = tail.rfind(EOCD, 0, at)
    return None


def _directory(peek: Peek, end: int, record: bytes) -> tuple[str, ...] | None:
    if len(record) < 22:
        return None
    entries, length, offset = struct.unpack("<HII", record[10:20])
    if entries == 0 and length == 0:
        return () if end == 0 else None
    # The directory stands before its end record, whatever was put before the whole; failing that, where it says.
    for first in (end - length, offset, end - length - 76):
        if 0 <= first < end and length != 0xFFFFFFFF:
            data = peek(first, min(length, _DIRECTORY, end - first))
            if data.startswith(b"PK\x01\x02"):
                return tuple(_names(data))
    return ("",) if 0xFFFFFFFF in (length, offset) else None  # ZIP64: a ZIP file, its names are not looked up here


def _names(data: bytes) -> Iterator[str]:
    at = 0
    for _ in range(_MOST):
        if data[at : at + 4] != b"PK\x01\x02" or at + 46 > len(data):
            return
        name, extra, comment = struct.unpack_from("<HHH", data, at + 28)
        yield data[at + 46 : at + 46 + name].decode("utf-8", "replace").replace("\\", "/").lower()
        at += 46 + name + extra + comment


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FREE = 0xFFFFFFFA  # from here on a sector number is a mark, not a number
_SECTORS = 4_096  # of the directory: 16,384 entries of small sectors


def ole_names(peek: Peek) -> frozenset[str]:
    """Return the names of the streams and storages of an OLE file ([MS-CFB] 2.6), lower case; empty when broken."""
    head = peek(0, 512)
    if len(head) < 512:
        return frozenset()
    shift = struct.unpack_from("<H", head, 30)[0]
    if shift not in (9, 12):
        return frozenset()
    size = 1 << shift
    (sector,) = struct.unpack_from("<I", head, 48)
    tables = [number for number in struct.unpack_from("<109I", head, 76) if number < _FREE]
    names: set[str] = set()
    for _ in range(_SECTORS):
        if sector >= _FREE:
            break
        data = peek((sector + 1) << shift, size)
        for at in range(0, len(data) - 127, 128):
            length = struct.unpack_from("<H", data, at + 64)[0]
            if 2 < length <= 64:
                names.add(data[at : at + length - 2].decode("utf-16-le", "replace").lower())
        table, place = divmod(sector, size // 4)
        entry = peek(((tables[table] + 1) << shift) + 4 * place, 4) if table < len(tables) else b""
        sector = struct.unpack("<I", entry)[0] if len(entry) == 4 else _FREE
    return frozenset(names)
