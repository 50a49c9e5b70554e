"""Pictures of an Office package, written anew: their pixels alone, and of those only what the page shows."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from dlp.formats import NotRedactable, pixels
from dlp.formats.room import Room, redact_member
from dlp.model import Cut, Removed
from dlp.sniff import magic

_ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/webp": "webp",
}
TYPES = {ending: media for media, ending in _ENDINGS.items()}
"""Ending of a picture's name -> its content type."""
_DRAWN = frozenset({"image/emf", "image/wmf", "image/svg+xml"})
_WHOLE = 100_000  # thousandths of a percent


class Crop(NamedTuple):
    """What is cut off at each side, in thousandths of a percent."""

    left: int
    top: int
    right: int
    bottom: int


class Made(NamedTuple):
    """A picture that was written anew, the ending of its name, and what was removed from it."""

    data: bytes
    ending: str
    removed: tuple[Removed, ...]


def empty() -> bytes:
    """Return a picture of one clear pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(5))) + chunk(b"IEND", b"")


def made(name: str, data: bytes, cuts: Sequence[Cut], crop: Crop | None, room: Room) -> Made:
    """Return the picture in part `name` without its cuts and without what a crop hides.

    Drawings (EMF, WMF, SVG) are programs: they become an empty picture.
    """
    media = magic.by_start(data) or ""
    if media in _DRAWN or (not media and data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<")):
        return Made(empty(), "png", ())
    removed: tuple[Removed, ...] = ()
    if any(cut.part[:1] == (name,) for cut in cuts):
        data, removed = redact_member(name, data, cuts, room)
    else:
        data = pixels.clean_picture(data, room)
    media = magic.by_start(data) or ""
    if media not in _ENDINGS:
        raise NotRedactable("a picture is of a kind that is not written here")
    if crop is not None:
        return Made(_cropped(data, media, crop, room), "png", removed)
    return Made(data, _ENDINGS[media], removed)


def _cropped(data: bytes, media: str, crop: Crop, room: Room) -> bytes:
    """Return what a crop leaves of a picture, as PNG; a crop that leaves nothing leaves one pixel."""
    try:
        with pixels.open_picture(data, media, room) as image:
            width, height = image.size
            left, top = (min(width - 1, width * crop.left // _WHOLE), min(height - 1, height * crop.top // _WHOLE))
            right = max(left + 1, width - width * crop.right // _WHOLE)
            bottom = max(top + 1, height - height * crop.bottom // _WHOLE)
            frame = image.crop((left, top, right, bottom))
            if frame.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
                frame = frame.convert("RGB")
            out = io.BytesIO()
            frame.save(out, "PNG")
    except pixels.BROKEN:
        raise NotRedactable("a cropped picture cannot be written anew") from None
    return pixels.clean_picture(out.getvalue(), room)
