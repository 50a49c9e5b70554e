"""What can be seen in bytes that nobody parses: runs of text, and how large a picture is.

Only a second look: bytes that are no text of a known format are a gap all the same, unless they are known to be idle.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterator

import numpy as np

from dlp.sniff import charset

_SHORTEST = 4  # characters of a run; three everyday characters in a row are frequent in random bytes
_MOST = 20_000  # runs
_NARROW = re.compile(
    rb"(?:[\t\x20-\x7e]|[\xe3-\xe9\xef][\x80-\xbf]{2}){6,}|(?:[\t\x20-\x7e]|[\xb0-\xf7][\xa1-\xfe]){6,}"
)


def text_runs(data: bytes) -> str:
    """Return the runs of text in `data`, one a line: UTF-16LE at either alignment, then ASCII, UTF-8 and GB 2312."""
    lines = [*_wide(data, 0), *_wide(data, 1), *_narrow(data)]
    return "\n".join(dict.fromkeys(lines[:_MOST]))


def _wide(data: bytes, first: int) -> Iterator[str]:
    units = np.frombuffer(data, dtype="<u2", offset=first, count=(len(data) - first) // 2) if len(data) > 1 else None
    if units is None or not len(units):
        return
    good = np.concatenate(([False], charset.table("gb18030")[units], [False]))
    borders = np.flatnonzero(good[1:] != good[:-1])
    for start, end in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True):
        if end - start >= _SHORTEST:
            yield units[start:end].tobytes().decode("utf-16-le").strip()


def _narrow(data: bytes) -> Iterator[str]:
    for found in _NARROW.finditer(data):
        for encoding in ("utf-8", "gb18030"):
            text = charset.decode(found[0], encoding)
            if text is not None:
                yield text.strip()
                break


_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{24,}={0,2}")


def decode_base64(text: str) -> bytes:
    """Return what a text in Base64 stands for, or nothing when it is none."""
    text = text.strip()
    if not _BASE64.fullmatch(text):
        return b""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        return b""


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels from the header of a PNG, GIF, BMP or JPEG, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return struct.unpack_from(">II", data, 16)
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return struct.unpack_from("<HH", data, 6)
    if data[:2] == b"BM" and len(data) >= 26:
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(width), abs(height)
    return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):  # a frame header, whatever its coding
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if mark == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None
