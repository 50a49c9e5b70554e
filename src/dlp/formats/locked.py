"""OLE documents that may be encrypted: the passwords that the administrator lists are tried, and no others.

Excel's own password for workbooks that are only write-protected ([MS-OFFCRYPTO] 2.4.2.3) is always tried.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import msoffcrypto

from dlp.formats import Full, Source, ole
from dlp.formats.room import Room
from dlp.model import Document, Gap, GapKind

_EXCEL = "VelvetSweatshop"


def read(source: Source, room: Room, media: str, reader: Callable[[ole.Storage, Room], Document]) -> Document:
    """Return what `reader` reads of an OLE file, unlocked when it must be and can be."""
    document = _read(source, room, media, reader)
    if not any(gap.kind is GapKind.ENCRYPTED and gap.part == room.part for gap in document.gaps):
        return document
    plain = unlock(source, room)
    return document if plain is None else _read(Source(plain, name=source.name), room, media, reader)


def _read(source: Source, room: Room, media: str, reader: Callable[[ole.Storage, Room], Document]) -> Document:
    try:
        return reader(ole.opened(source, room), room)
    except Full as full:
        return Document(media=media, gaps=(Gap(kind=full.kind, part=room.part, detail=full.detail),))


def unlock(source: Source, room: Room) -> bytes | None:
    """Return the content of an encrypted Office file under one of the listed passwords, or None."""
    for password in (*room.passwords, _EXCEL):
        room.check_time()
        out = io.BytesIO()
        try:
            file = msoffcrypto.OfficeFile(io.BytesIO(source.content()))
            file.load_key(password=password, verify_password=True)
            file.decrypt(out)
        except Exception:  # noqa: BLE001, S112  a wrong password and a broken file look alike; both leave the gap
            continue
        plain = out.getvalue()
        room.spend_bytes(len(plain))
        return plain
    return None
