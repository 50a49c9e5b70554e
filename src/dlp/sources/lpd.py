"""What a client of the line printer daemon protocol says of its job (RFC 1179). Pure.

Everything in it is a claim of the client: names are shown as not verified, and only files that it names are printed.
"""

from __future__ import annotations

from typing import NamedTuple

from dlp.sniff import charset

MOST_CONTROL = 65_536
"""Bytes of a control file; real ones have some hundred."""
MOST_FILES = 50
"""Data files of one job; a letter and a letter number them."""


class Wrong(ValueError):  # noqa: N818  what the client did
    """This is not what the protocol allows. The text is a plain clause without any of the bytes."""


class Part(NamedTuple):
    """One data file of a job."""

    file: bytes
    title: str
    copies: int


class Order(NamedTuple):
    """A control file: who prints, and which data files, in order."""

    user: str
    parts: tuple[Part, ...]


def order(control: bytes) -> Order:
    """Return what a control file says; Wrong where it names no file to print, or too many."""
    user = job = name = b""
    counts: dict[bytes, int] = {}
    names: dict[bytes, bytes] = {}
    last = b""
    for line in control.split(b"\n"):
        kind, value = line[:1], line[1:].rstrip(b"\r")
        if kind == b"P":
            user = user or value
        elif kind == b"J":
            job = job or value
        elif kind == b"N":
            # It belongs to the file printed before it; some clients say it first.
            name = value
            if last:
                names.setdefault(last, value)
        elif kind.islower() and value:
            last = value
            counts[last] = counts.get(last, 0) + 1
            if len(counts) > MOST_FILES:
                raise Wrong("too many files in one job")
    if not counts:
        raise Wrong("no file to print is named")
    titled = ((file, _title(job, names.get(file, name if len(counts) == 1 else b""))) for file in counts)
    return Order(text(user), tuple(Part(file, title, counts[file]) for file, title in titled))


def size_and_name(line: bytes) -> tuple[int, bytes]:
    """Return the two operands of a line that announces a file; Wrong where they are none."""
    size, _, name = line.partition(b" ")
    if not (size.isdigit() and len(size) < 16 and name and name == name.strip()):
        raise Wrong("a file is announced without size or name")
    return int(size), name


def text(raw: bytes) -> str:
    """Return a name that was sent in UTF-8 or GBK, perhaps cut off; bytes that are no text stay visible as such."""
    found = charset.readings(raw, whole=False) if raw else ()
    sure = next((one for one in found[:1] if one.encoding == "utf-8"), None)
    best = sure or next((one for one in found if one.encoding == "gb18030"), found[0] if found else None)
    return best.text if best is not None else raw.decode("utf-8", "backslashreplace")


def _title(job: bytes, name: bytes) -> str:
    """Return both names that a file may have: each of them is screened."""
    said = dict.fromkeys(text(raw).strip() for raw in (job, name))
    first, *rest = [one for one in said if one] or [""]
    return f"{first}（{rest[0]}）" if rest else first
