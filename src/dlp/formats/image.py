"""Pictures: their pixels go to the OCR engine, and what is written between the pixels (EXIF, XMP, comments) is text.

Frames of a TIFF, GIF or WebP are pages. A picture whose decoder wants to guess (cut off, broken) is a gap.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import ExifTags, Image

from dlp.formats import Full, Source, pixels
from dlp.formats.loose import text_runs
from dlp.formats.pixels import KINDS
from dlp.formats.room import Reading, Room
from dlp.model import Coverage, Cut, Document, GapKind, Picture, Zone, evolve
from dlp.sniff import charset, magic

MEDIA = tuple(KINDS)

SIDE = 2_300  # pixels: an A4 page at 200 dpi; larger ones are made smaller, but never to less than half
_LEAST = 10  # pixels: smaller in one direction than a letter
_TEXT_KEYS = re.compile(r"(?i)xmp|comment|text|title|author|description|copyright|software|keywords|source|raw profile")
_TRAILER = {"image/png": b"IEND\xaeB`\x82", "image/gif": b"\0;"}


def extract(source: Source, room: Room) -> Document:
    """Return the pixels of every frame for the OCR engine, and all text of the metadata."""
    raw = source.content()
    media = magic.by_start(raw) or MEDIA[0]
    reading = Reading(room)
    pages = 0
    try:
        pages = _read(raw, media, reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    except Image.DecompressionBombError:
        reading.miss(GapKind.TOO_BIG, "the picture has more pixels than the limit")
    except pixels.BROKEN:
        reading.miss(GapKind.CORRUPT, "the picture is broken or cut off")
    return evolve(reading.document(media), pages=pages or None)  # type: ignore[no-any-return]


redact = pixels.redact


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return the pixels of a copy for the OCR engine, and what was looked at in them."""
    from dlp.formats import picture_proof  # noqa: PLC0415  it imports this module

    return picture_proof.verify(source, before, cuts, room)


def warm() -> None:
    """Load the decoders: called once, before any child is forked."""
    given = dict(os.environ)
    from dlp.formats import picture_proof  # noqa: F401, PLC0415  it imports this module

    for name in os.environ.keys() - given.keys():  # the loader of OpenCV leaves a path there
        del os.environ[name]
    Image.init()


def _read(raw: bytes, media: str, reading: Reading) -> int:
    room = reading.room
    if media not in KINDS:
        raise Full(GapKind.UNSUPPORTED, f"there is no reader for {media}")
    with pixels.open_picture(raw, media, room) as image:
        reading_whole(reading, media, raw)
        _metadata(image, reading)
        seen: set[bytes] = set()
        page = 0
        for page in pixels.walk(image, room):
            grey = pixels.grey(image)
            key = pixels.fingerprint(grey)
            how = show(reading, grey, page, skip=key in seen)
            reading.coverage.append(Coverage(page=page, how=how, part=room.part))
            seen.add(key)
    return page


def reading_whole(reading: Reading, media: str, raw: bytes) -> None:
    """Read what stands behind the end of the picture: no viewer shows it, and it leaves with the file."""
    mark = _TRAILER.get(media)
    at = raw.rfind(mark) if mark else -1
    if media == "image/jpeg":
        at, mark = raw.rfind(b"\xff\xd9"), b"\xff\xd9"
    if at >= 0 and mark is not None:
        rest = raw[at + len(mark) :].lstrip(b"\0\r\n ")
        if len(rest) > 16:
            reading.take(reading.room.descend(pixels.BEHIND, rest))


def show(reading: Reading, grey: Any, page: int | None, *, scale: float = 0.0, skip: bool = False) -> str:
    """Hand a grey picture to the OCR engine and return how its page is read: `ocr`, or `blank` when nothing is on it.

    `scale` is points a pixel, 0 when nothing tells it: then a picture of the shape of a page is taken for one.
    """
    room = reading.room
    if min(grey.size) < _LEAST or skip:
        return "blank"
    low, high = grey.getextrema()
    if high - low <= pixels.FLAT:
        return "blank"
    width, height = grey.size
    if not scale:
        scale = pixels.points_a_pixel(width, height)
    part = min(1.0, max(0.5, SIDE / max(width, height)))
    if part < 1:
        grey = grey.resize((max(1, round(width * part)), max(1, round(height * part))), Image.Resampling.BOX)
    packed = zlib.compress(grey.tobytes(), 1)
    room.spend_packed(len(packed))
    reading.pictures.append(
        Picture(
            part=room.part,
            page=page,
            width=grey.size[0],
            height=grey.size[1],
            raw=packed,
            scale=scale / part,
        )
    )
    return "ocr"


def _metadata(image: Any, reading: Reading) -> None:
    """Read every text that the file carries besides its pixels, and the preview that a camera puts in."""
    part = reading.room.part
    said: set[str] = set()

    def say(anchor: str, text: str) -> None:
        text = text.strip("\0 \r\n\t")
        if len(text) > 1 and text not in said and any(map(str.isalnum, text)):
            said.add(text)
            reading.add(text, part=part, anchor=anchor[:60], zone=Zone.METADATA)

    for key, value in image.info.items():
        if isinstance(value, str):
            say(str(key), value)
        elif isinstance(value, bytes) and key not in ("icc_profile", "exif"):
            for line in _lines(value):
                say(str(key), line)
    exif = image.getexif()
    tables = [exif, *(exif.get_ifd(number) for number in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.IFD1))]
    for table in tables:
        for tag, value in table.items():
            for text in _texts(tag, value):
                say(f"exif {tag:x}", text)
    if hasattr(image, "tag_v2"):
        for tag, value in image.tag_v2.items():
            if tag not in (273, 279, 324, 325, 320, 34675):
                for text in _texts(tag, value):
                    say(f"tiff {tag}", text)
    if hasattr(image, "text"):  # chunks of PNG that stand behind the pixels
        for key, value in image.text.items():
            say(str(key), str(value))
    preview = exif.get_ifd(ExifTags.IFD.IFD1)
    start, size = preview.get(0x0201), preview.get(0x0202)
    block = image.info.get("exif", b"")
    if isinstance(start, int) and isinstance(size, int) and 0 < size < len(block):
        # Places count from the head of the TIFF structure, which stands behind six bytes.
        thumbnail = block[6 + start : 6 + start + size]
        if thumbnail.startswith(b"\xff\xd8"):
            reading.take(reading.room.descend(pixels.PREVIEW, thumbnail))


def _lines(value: bytes) -> list[str]:
    """Return the lines of a field: as the text that it is, or the runs of text in it."""
    texts = charset.readings(value.strip(b"\0"))
    return (texts[0].text if texts else text_runs(value)).split("\n")


def _texts(tag: int, value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, bytes):
        if 0x9C9B <= tag <= 0x9C9F:  # fields of Windows: UTF-16
            return [value.decode("utf-16-le", "replace")]
        return _lines(value)
    if isinstance(value, tuple) and value and all(isinstance(v, int) and 0 <= v < 256 for v in value):
        return _lines(bytes(value)) if len(value) > 8 else []
    if isinstance(value, tuple):
        return [text for part in value for text in _texts(tag, part)]
    return []
