"""File names are bytes. This is how they are shown, numbered and shortened."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

NAME_MAX = 255  # bytes of one name on every Linux file system
UNFINISHED_ENDS = (b".part", b".tmp", b".crdownload", b".download", b".filepart", b".partial", b".swp", b".swx")
UNFINISHED_STARTS = (b"~$", b".~lock.", b".goutputstream-", b".dlp-", b".#", b"~wrd", b"~wrl")


def shown(raw: bytes) -> str:
    r"""Return a name as it may stand in a table, a log or a receipt: one line, unambiguous, left to right.

    Bytes that are no UTF-8 become \xNN; control, format and direction characters become \u{NNNN}.
    """
    out = []
    for char in raw.decode("utf-8", "surrogateescape"):
        code = ord(char)
        if 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"):
            out.append(f"\\u{{{code:04x}}}")
        else:
            out.append(char)
    return "".join(out)


def unfinished(name: bytes) -> bool:
    """Tell whether a program is still writing under this name: it is waited for until it has its real one."""
    low = name.lower()
    return low.endswith(UNFINISHED_ENDS) or low.startswith(UNFINISHED_STARTS)


def numbered(name: bytes) -> Iterator[bytes]:
    """Give `a.txt`, `a (2).txt`, `a (3).txt` ..., each at most 255 bytes."""
    stem, dot, end = name.rpartition(b".")
    if not stem or len(end) > 16:
        stem, dot, end = name, b"", b""
    yield name
    for number in range(2, 100_000):
        tail = f" ({number})".encode() + dot + end
        yield shortened(stem, NAME_MAX - len(tail)) + tail


def shortened(name: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes of `name`, no UTF-8 character cut in half."""
    if len(name) <= limit:
        return name
    return name[:limit].decode("utf-8", "ignore").encode() or name[:limit]


def parts(key: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Split a relative path into its folders and its last name."""
    *folders, name = key.split(b"/")
    return tuple(folders), name
