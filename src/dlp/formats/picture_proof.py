"""What a redacted picture must show: boxes of one colour, everything else as it was, and nothing between its pixels.

Another decoder (OpenCV) reads the copy and the file before; its pixels go to the OCR engine once more. What lies
between the pixels is walked piece by piece here, by code that had no part in writing it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import cv2
import numpy as np
from PIL import Image

from dlp.formats import Source, image, pixels
from dlp.formats.room import Full, Reading, Room
from dlp.model import Check, Cut, Document, GapKind
from dlp.sniff import magic

Area = tuple[int, int, int, int]
_LOSSLESS = ("image/png", "image/bmp")
_STRAY = 24  # grey levels: how far any block outside of the boxes may differ where packing loses something
_UNEVEN = 40  # grey levels in a box: what packing leaves of the edges around it
_SOFT_EDGE = 16  # pixels: a block of JPEG
_WHITE = 255
_JPEG_KEPT = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD})
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"pHYs", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT")
_WEBP_KEPT = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")
_TIFF_KEPT = {254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 282, 283, 284, 292, 293, 296, 317, 320, 338, 339}
_TIFF_KEPT |= {347, 530, 532}
_TIFF_PADDING = re.compile(rb"\0*(?:(?:II\*\0|MM\0\*).{4})?\0*", re.DOTALL)  # each page was a file of its own
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_MOST_FOLDERS = 5_000
_COMMENTED = ValueError("something lies between the pixels")


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return the pixels of a copy for the OCR engine, and what was looked at in them."""
    raw = source.content()
    media = magic.by_start(raw) or ""
    reading = Reading(room)
    reading.checks.append(metadata(raw))
    cv2.setNumThreads(1)
    frames, old = _frames(raw, media, room), _frames(before.content(), media, room)
    if not frames or not old:
        reading.checks.append(Check(name="reopened:opencv", state="unavailable"))
        return reading.document(media)
    reading.checks.append(Check(name="reopened:opencv", state="ok"))
    areas = _areas(frames, old, cuts, moving=len(frames) > 1 and media != "image/tiff")
    reading.checks += (_boxes(frames, areas, media), _fidelity(frames, old, areas, media))
    for page, frame in enumerate(frames, 1):
        image.show(reading, Image.fromarray(frame), page)
    return reading.document(media)


# --- pixels


def _frames(raw: bytes, media: str, room: Room) -> list[Any]:
    """Return the frames of a picture as grey pixels on white; none where the decoder does not know it."""
    packed = np.frombuffer(raw, dtype=np.uint8)
    flags = cv2.IMREAD_GRAYSCALE if media in ("image/jpeg", "image/bmp") else cv2.IMREAD_UNCHANGED
    try:
        if media in ("image/jpeg", "image/bmp"):
            frame = cv2.imdecode(packed, flags)
            found = [] if frame is None else [frame]
        else:
            found = list(cv2.imdecodemulti(packed, flags)[1])
    except cv2.error:
        return []
    room.check_time()
    return [_grey(frame) for frame in found]


def _grey(frame: Any) -> Any:
    if frame.dtype == np.uint16:
        frame = (frame >> 8).astype(np.uint8)
    elif frame.dtype != np.uint8:
        low, high = float(np.nanmin(frame)), float(np.nanmax(frame))
        frame = ((frame - low) * (_WHITE / max(high - low, 1e-9))).astype(np.uint8)
    if frame.ndim == 2:
        return frame
    if frame.shape[2] == 4:
        below = cv2.multiply(_WHITE - cv2.cvtColor(frame, cv2.COLOR_BGRA2GRAY), frame[:, :, 3], scale=1 / _WHITE)
        return np.asarray(_WHITE - below)
    return cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.shape[2] == 3 else np.ascontiguousarray(frame[:, :, 0])


def _areas(frames: list[Any], old: list[Any], cuts: Sequence[Cut], *, moving: bool) -> list[list[Area]]:
    """Return the pixels under the boxes of each frame; a frame that was like an earlier one has the boxes of that."""
    first: dict[bytes, int] = {}
    like = [first.setdefault(blake2b(frame.tobytes()).digest(), number) for number, frame in enumerate(old)]
    areas: list[list[Area]] = [[] for _ in frames]
    for box in (box for cut in cuts if not cut.part for box in cut.boxes):
        for number, frame in enumerate(frames):
            if moving or (number < len(like) and like[number] == box.page - 1):
                areas[number].append(pixels.pixels_of(box, frame.shape[1], frame.shape[0]))
    return areas


def _boxes(frames: list[Any], areas: list[list[Area]], media: str) -> Check:
    """Hold that what lies under each box is of one colour."""
    for frame, boxes in zip(frames, areas, strict=True):
        for left, top, right, bottom in boxes:
            inside = frame[top:bottom, left:right]
            most = 0
            if media not in _LOSSLESS:
                most = _UNEVEN
                soft = inside[_SOFT_EDGE:-_SOFT_EDGE, _SOFT_EDGE:-_SOFT_EDGE]
                inside = soft if soft.size else inside
            if int(inside.max()) - int(inside.min()) > most:
                return Check(name="boxes", state="fail", detail="a box is not of one colour")
    return Check(name="boxes", state="ok")


def _fidelity(frames: list[Any], old: list[Any], areas: list[list[Area]], media: str) -> Check:
    """Hold that outside of the boxes every frame is as it was."""
    if [frame.shape for frame in frames] != [frame.shape for frame in old]:
        # Alike frames of an animation become one, and a turned picture lies upright now.
        return Check(name="fidelity", state="unavailable", detail="the frames have other sizes than before")
    for frame, before, boxes in zip(frames, old, areas, strict=True):
        differs = cv2.absdiff(frame, before)
        for left, top, right, bottom in boxes:
            edge = 0 if media in _LOSSLESS else _SOFT_EDGE
            differs[max(0, top - edge) : bottom + edge, max(0, left - edge) : right + edge] = 0
        if media not in _LOSSLESS:
            differs = cv2.blur(differs, (_SOFT_EDGE, _SOFT_EDGE))
        if int(differs.max()) > (0 if media in _LOSSLESS else _STRAY):
            return Check(name="fidelity", state="fail", detail="the picture differs outside of its boxes")
    return Check(name="fidelity", state="ok")


# --- what lies between the pixels


def metadata(raw: bytes) -> Check:
    """Hold that the file has no piece that is not needed to show it, and nothing behind its end."""
    walk = _WALKS.get(magic.by_start(raw) or "")
    if walk is None:
        return Check(name="metadata", state="unavailable")
    try:
        walk(raw)
    except (struct.error, IndexError, ValueError, Full):
        return Check(name="metadata", state="fail", detail="the copy holds something besides its pixels")
    return Check(name="metadata", state="ok")


def _walk_png(raw: bytes) -> None:
    at = 8
    while True:
        length, kind = struct.unpack_from(">I4s", raw, at)
        at += 12 + length
        if kind not in _PNG_KEPT:
            raise _COMMENTED
        if kind == b"IEND":
            break
    _end(raw, at)


def _walk_jpeg(raw: bytes) -> None:
    at = 2
    while raw[at] == 0xFF and raw[at + 1] != 0xD9:
        mark = raw[at + 1]
        (length,) = struct.unpack_from(">H", raw, at + 2)
        body = raw[at + 4 : at + 2 + length]
        plain = (mark == 0xE0 and body[:5] == b"JFIF\0" and length == 16) or (mark == 0xEE and length == 14)
        if not plain and mark not in _JPEG_KEPT and mark != 0xDA:
            raise _COMMENTED
        at += 2 + length
        if mark == 0xDA:
            at = _behind_scan(raw, at)
    if raw[at : at + 2] != b"\xff\xd9":
        raise _COMMENTED
    _end(raw, at + 2)


def _behind_scan(raw: bytes, at: int) -> int:
    """Return where the next mark stands that is neither a stuffed byte nor a restart."""
    while (at := raw.index(b"\xff", at)) >= 0:
        if raw[at + 1] != 0 and not 0xD0 <= raw[at + 1] <= 0xD7:
            return at
        at += 2
    return at


def _walk_gif(raw: bytes) -> None:
    at = 13 + (3 << (raw[10] & 7) + 1 if raw[10] & 0x80 else 0)
    while raw[at] != 0x3B:
        if raw[at] == 0x2C:
            flags = raw[at + 9]
            at = _behind_blocks(raw, at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
        elif raw[at : at + 2] == b"!\xf9" or (raw[at : at + 14] == b"!\xff\x0bNETSCAPE2.0" and raw[at + 14] == 3):
            at = _behind_blocks(raw, at + 2)
        else:
            raise _COMMENTED
    _end(raw, at + 1)


def _behind_blocks(raw: bytes, at: int) -> int:
    while raw[at]:
        at += 1 + raw[at]
    return at + 1


def _walk_bmp(raw: bytes) -> None:
    size, spare, offset, header, width, height, _, depth = struct.unpack_from("<IIIIiiHH", raw, 2)
    (colours,) = struct.unpack_from("<I", raw, 46)
    masks = 12 if header == 40 and struct.unpack_from("<I", raw, 30)[0] == 3 else 0
    if spare or size != len(raw) or header > 64 or offset != 14 + header + masks + 4 * colours:
        raise _COMMENTED
    _end(raw, offset + (width * depth + 31) // 32 * 4 * abs(height))


def _walk_webp(raw: bytes) -> None:
    if struct.unpack_from("<I", raw, 4)[0] + 8 != len(raw):
        raise _COMMENTED
    _walk_riff(raw, 12, len(raw))


def _walk_riff(raw: bytes, at: int, end: int) -> None:
    while at < end:
        kind, length = struct.unpack_from("<4sI", raw, at)
        if kind not in _WEBP_KEPT or at + 8 + length > end:
            raise _COMMENTED
        if kind == b"ANMF":
            _walk_riff(raw, at + 24, at + 8 + length)
        at += 8 + length + length % 2


def _walk_tiff(raw: bytes) -> None:
    order = "<" if raw[:2] == b"II" else ">"
    used = sorted([(0, 8), *_tiff_spans(raw, order)])
    at = 0
    for start, end in [*used, (len(raw), len(raw))]:
        if at < start and not _TIFF_PADDING.fullmatch(raw, at, start):
            raise _COMMENTED
        at = max(at, end)
    _end(raw, max(at, len(raw)))


def _tiff_spans(raw: bytes, order: str) -> Iterator[tuple[int, int]]:
    """Yield what the folders of a TIFF file take, and what they point to."""
    (place,) = struct.unpack_from(order + "I", raw, 4)
    folders = 0
    while place:
        folders += 1
        if folders > _MOST_FOLDERS:
            raise Full(GapKind.TOO_MANY, "the file has too many frames")
        (count,) = struct.unpack_from(order + "H", raw, place)
        yield place, place + 6 + 12 * count
        values: dict[int, tuple[int, ...]] = {}
        for at in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", raw, at)
            if tag not in _TIFF_KEPT:
                raise _COMMENTED
            size = _TIFF_SIZES[kind] * number
            (where,) = struct.unpack_from(order + "I", raw, at + 8) if size > 4 else (at + 8,)
            if size > 4:
                yield where, where + size
            if tag in (273, 279):
                values[tag] = struct.unpack_from(f"{order}{number}{'H' if kind == 3 else 'I'}", raw, where)
        yield from ((start, start + size) for start, size in zip(values[273], values[279], strict=True))
        (place,) = struct.unpack_from(order + "I", raw, place + 2 + 12 * count)


def _end(raw: bytes, at: int) -> None:
    if at != len(raw):
        raise _COMMENTED


_WALKS = {
    "image/png": _walk_png,
    "image/jpeg": _walk_jpeg,
    "image/gif": _walk_gif,
    "image/bmp": _walk_bmp,
    "image/webp": _walk_webp,
    "image/tiff": _walk_tiff,
}
