"""Several documents of one print job as one sealed object: a stored zip that is the same bytes whenever it is made."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from dlp import durable

_ENDS = {
    "application/pdf": ".pdf",
    "application/postscript": ".ps",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "text/plain": ".txt",
}
_CHUNK = 262_144
_FRONT = "000.txt"
_BLANK = b"\n" * 65_536
"""What stands in front: a stored PDF near the begin of a file makes it a PDF as well, which is no honest bag."""


def pack(documents: Iterable[tuple[str, Iterator[bytes]]]) -> Iterator[bytes]:
    """Give the bytes of a bag, piece by piece, of documents that are given as media type and pieces."""
    out = _Drain()
    with zipfile.ZipFile(cast("IO[bytes]", out), "w", zipfile.ZIP_STORED) as bag:
        bag.writestr(_member(_FRONT), _BLANK)
        for number, (media, pieces) in enumerate(documents, 1):
            about = _member(f"{number:03}{_ENDS.get(media, '')}")
            with bag.open(about, "w", force_zip64=True) as file:
                for piece in pieces:
                    file.write(piece)
                    yield from out.drained()
    yield from out.drained()


@contextmanager
def unpack(fd: int, skip: int) -> Iterator[Iterator[tuple[int, bool]]]:
    """Give the documents of a bag but the first `skip`, each as a memory file and whether it is the last one."""
    with os.fdopen(fd, "rb", closefd=False) as raw, zipfile.ZipFile(raw) as bag:
        yield _members(bag, skip)


def _member(name: str) -> zipfile.ZipInfo:
    """Return a member of this name without anything that would be another the next time."""
    about = zipfile.ZipInfo(name)
    about.create_system = 3
    about.external_attr = 0o600 << 16
    return about


def _members(bag: zipfile.ZipFile, skip: int) -> Iterator[tuple[int, bool]]:
    members = [member for member in bag.infolist() if member.filename != _FRONT]
    for number, member in enumerate(members):
        if number < skip:
            continue
        copy = durable.memory_file("document")
        try:
            with bag.open(member) as file:
                while piece := file.read(_CHUNK):
                    durable.write_all(copy, piece)
            yield copy, number == len(members) - 1
        finally:
            os.close(copy)


class _Drain:
    """A file that only grows, and is emptied as it grows."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        """Keep a piece until it is drained."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is buffered here."""

    def drained(self) -> Iterator[bytes]:
        """Give what was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return iter(pieces)
