"""Pictures written anew: their pixels and nothing else that was in their file, with boxes over what is removed.

A picture stays of its kind. What it said besides its pixels (EXIF, XMP, comments, profiles, what lies behind its end,
colours of a palette that no pixel has, colours under what is fully clear) is not carried over; only its resolution is.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError

from dlp.formats import NotRedactable, Source, palettes
from dlp.formats.room import Full, Room
from dlp.model import Box, Cut, Removed
from dlp.sniff import magic

KINDS = {
    "image/png": ("PNG",),
    "image/jpeg": ("JPEG", "MPO"),
    "image/gif": ("GIF",),
    "image/bmp": ("BMP",),
    "image/tiff": ("TIFF",),
    "image/webp": ("WEBP",),
    "image/jp2": ("JPEG2000",),
    "image/vnd.microsoft.icon": ("ICO",),
}
"""Media type -> the decoders that may read it."""
BEHIND, PREVIEW = "after the end", "preview"
BESIDE = (BEHIND, PREVIEW)
"""What the reader calls the things that lie beside the pixels of a picture."""
BROKEN = (
    *(UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error, EOFError, LookupError, TypeError),
    *(AttributeError, ArithmeticError, zlib.error),
)
"""What a decoder raises for a picture that is broken or cut off."""

_WHITE = 255
FLAT = 6  # grey levels between the darkest and the lightest: nothing is written there
_A4_SIDE = 595.0  # points
_PAGE_SHAPE = (0.6, 0.85)
_UNKNOWN_SCALE = 72 / 150  # points a pixel, where neither the shape nor the container tells
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation of EXIF -> how a viewer turns the picture."""
_MARGIN = 2  # pixels around a box
_MARGIN_SHARE = 0.15  # of its shorter side: where a character ends, the engine knows to about that
_LONG = 1.5  # times as long as high: then it is known which way the line runs
_KEPT = {
    "image/png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "image/jpeg": ("L", "RGB", "CMYK"),
    "image/bmp": ("1", "L", "P", "RGB", "RGBA"),
    "image/gif": ("1", "L", "P"),
    "image/tiff": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "I", "F"),
    "image/webp": ("RGB", "RGBA"),
}
"""Media type that is written -> modes that its files keep; others become colours."""
WRITTEN = frozenset(_KEPT)
_PACKING = {"raw": "raw", "packbits": "packbits", "tiff_lzw": "tiff_lzw"}
_BILEVEL = frozenset({"group3", "group4", "tiff_ccitt"})
_DPI = (20, 4_800)  # what can be a resolution


def open_picture(raw: bytes, media: str, room: Room) -> Any:
    """Return the opened picture; its pixels are still packed, and their number is within the limits."""
    Image.MAX_IMAGE_PIXELS = room.limits.picture_pixels
    image = Image.open(io.BytesIO(raw), formats=KINDS[media])
    room.spend_pixels(image.width * image.height)
    return image


def walk(image: Any, room: Room) -> Iterator[int]:
    """Yield the number of each frame (from 1) while the picture stands at it."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        room.spend_pages(frames)
    for number in range(frames):
        if number:
            image.seek(number)
            room.spend_pixels(image.width * image.height)
        room.check_time()
        yield number + 1


def upright(frame: Any, image: Any) -> Any:
    """Return a frame of `image` as a viewer turns it."""
    try:
        turn = _TURNS.get(image.getexif().get(0x0112, 1))
    except BROKEN:
        turn = None
    return frame if turn is None else frame.transpose(turn)


def grey(image: Any) -> Any:
    """Return a frame as grey pixels on white, upright as a viewer turns it."""
    frame = image.copy()
    if frame.mode in ("P", "PA", "LA", "RGBA", "RGBa", "La") or "transparency" in frame.info:
        frame = frame.convert("RGBA")
        below = Image.new("RGBA", frame.size, (_WHITE,) * 4)
        flat = Image.alpha_composite(below, frame).convert("L")
        hidden = np.asarray(frame.convert("RGB").convert("L"))
        # Text that is only told by its transparency, or hidden under it, is looked at as well.
        frame = flat if np.ptp(np.asarray(flat)) > FLAT else Image.fromarray(hidden)
    elif frame.mode.startswith("I") or frame.mode == "F":
        values = np.asarray(frame, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        frame = Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
    else:
        frame = frame.convert("L")
    return upright(frame, image)


def fingerprint(pixels: Any) -> bytes:
    """Return what tells two grey frames apart, even where somebody wants them to be taken for one."""
    return blake2b(repr(pixels.size).encode() + pixels.tobytes(), digest_size=16).digest()


def points_a_pixel(width: int, height: int) -> float:
    """Return how many points a pixel is where nothing tells it: a picture of the shape of a page is taken for one."""
    across = width / height if width < height else height / width
    return _A4_SIDE / min(width, height) if _PAGE_SHAPE[0] < across < _PAGE_SHAPE[1] else _UNKNOWN_SCALE


def pixels_of(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the pixels (left, top, behind right, below bottom) under a box and a margin around it."""
    scale = points_a_pixel(width, height)
    x0, y0, x1, y1 = (side / scale for side in (box.x0, box.y0, box.x1, box.y1))
    wide, high = abs(x1 - x0), abs(y1 - y0)
    more = _MARGIN_SHARE * min(wide, high)
    # Across the line the engine's boxes stand off from the letters; along it they may be too short.
    aside = _MARGIN + (more if wide > high / _LONG else 0.0)
    above = _MARGIN + (more if high > wide / _LONG else 0.0)
    left, top = max(0, math.floor(x0 - aside)), max(0, math.floor(y0 - above))
    right, bottom = min(width, math.ceil(x1 + aside)), min(height, math.ceil(y1 + above))
    if left >= right or top >= bottom:
        raise NotRedactable("what is to be removed lies beside its picture")
    return left, top, right, bottom


class Boxes:
    """The boxes of cuts by page, for the frames of one picture in order."""

    def __init__(self, cuts: Sequence[Cut], *, moving: bool) -> None:
        self._moving = moving
        self._pages: dict[int, list[Box]] = {}
        self._alike: dict[bytes, int] = {}
        for cut in cuts:
            for box in cut.boxes:
                self._pages.setdefault(box.page, []).append(box)

    def on(self, page: int, image: Any, *, single: bool) -> list[Box]:
        """Return the boxes of a frame: its own; those of all frames where they follow each other in one place.

        A frame that looks like an earlier one was not read a second time, so it has the boxes of the first.
        """
        if not self._pages:
            return []
        if self._moving:
            return [box for boxes in self._pages.values() for box in boxes]
        if not single:
            page = self._alike.setdefault(fingerprint(grey(image)), page)
        return self._pages.get(page, [])


def clean_picture(data: bytes, room: Room) -> bytes:
    """Return a picture of the same kind with the same pixels and nothing else.

    `NotRedactable` where it is of a kind that is not written here, or broken.
    """
    return _written(data, (), room)


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the picture with boxes over its cuts and without what it says besides its pixels."""
    counts: dict[tuple[str, int], int] = {}
    shown = [cut for cut in cuts if not cut.part and (cut.boxes or cut.anchor == "ocr")]
    told: dict[str, int] = {}
    for cut in cuts:
        if not cut.part and cut.anchor == "ocr" and not cut.boxes:
            raise NotRedactable("what is to be removed has no place in its picture")
        if cut.part and cut.part[0] not in BESIDE:
            raise NotRedactable("what is to be removed is not where it was read")
        if not cut.label:
            continue
        if cut.boxes:
            page = cut.boxes[0].page
            counts[cut.type, page] = counts.get((cut.type, page), 0) + 1
        else:
            told[cut.type] = told.get(cut.type, 0) + 1
    out.write(_written(source.content(), shown, room))
    painted = (Removed(type=kind, count=n, page=page, how="pixels") for (kind, page), n in sorted(counts.items()))
    return (*painted, *(Removed(type=kind, count=n) for kind, n in sorted(told.items())))


def _written(raw: bytes, cuts: Sequence[Cut], room: Room) -> bytes:
    media = magic.by_start(raw) or ""
    if media not in _KEPT:
        raise NotRedactable("pictures of its kind are not written here")
    try:
        with open_picture(raw, media, room) as image:
            return _anew(image, media, cuts, room, raw)
    except Image.DecompressionBombError:
        raise NotRedactable("the picture has more pixels than the limit") from None
    except Full:
        raise
    except BROKEN:
        raise NotRedactable("the picture is broken or cut off, or cannot be written anew") from None


def _anew(image: Any, media: str, cuts: Sequence[Cut], room: Room, raw: bytes) -> bytes:
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if image.format == "MPO":  # previews and depths of a camera: no viewer shows them, and they are not carried over
        cuts = [cut for cut in cuts if cut.boxes and cut.boxes[0].page == 1]
    boxes = Boxes(cuts, moving=frames > 1 and media != "image/tiff")
    out = io.BytesIO()
    if media == "image/tiff":
        with TiffImagePlugin.AppendingTiffWriter(out) as pages:
            for page in walk(image, room):
                packing = image.info.get("compression", "")
                frame = _painted(_bare(image, media), boxes.on(page, image, single=frames == 1))
                _save_tiff(frame, packing, _dpi(image), pages)
                if frames > 1:
                    pages.newFrame()
        return out.getvalue()
    if frames == 1:
        frame = _painted(_bare(image, media), boxes.on(1, image, single=True))
        frame.save(out, KINDS[media][0], **_options(image, frame, media, raw))
        return out.getvalue()
    made = []
    pauses = []
    for page in walk(image, room):
        made.append(_painted(_moving(image, media), boxes.on(page, image, single=False)))
        pauses.append(image.info.get("duration", 0))
    return _save_moving(made, pauses, image, media, raw)


def _bare(image: Any, media: str) -> Any:
    """Return the frame at which a picture stands, upright, in a mode that its kind keeps, without anything else."""
    frame = upright(image.copy(), image)
    if frame.mode == "P" and "P" in _KEPT[media]:
        return palettes.compact(frame)
    if frame.mode in ("P", "PA", "La", "RGBa") or "transparency" in frame.info:
        frame = frame.convert("RGBA")
    if frame.mode not in _KEPT[media]:
        frame = _as_colours(frame, media)
    frame.info = {}
    return palettes.cleared(frame)


def _as_colours(frame: Any, media: str) -> Any:
    """Return a frame in a mode that files of this kind have."""
    if media == "image/gif":
        return palettes.exact(frame.convert("RGBA"))
    clear = frame.mode in ("LA", "RGBA")
    if frame.mode.startswith("I") or frame.mode == "F":
        return grey(frame).convert("L" if media != "image/webp" else "RGB")
    return frame.convert("RGBA" if clear and "RGBA" in _KEPT[media] else "RGB")


def _moving(image: Any, media: str) -> Any:
    """Return one frame of an animation, whole, as it is seen."""
    frame = image.copy()
    frame = palettes.cleared(frame.convert("RGBA"))
    frame.info = {}
    return palettes.exact(frame) if media == "image/gif" else frame


def _painted(frame: Any, boxes: Sequence[Box]) -> Any:
    if not boxes:
        return frame
    frame, ink = palettes.inked(frame)
    for box in boxes:
        frame.paste(ink, pixels_of(box, *frame.size))
    return frame


def _dpi(image: Any) -> tuple[int, int] | None:
    """Return the resolution that a picture states, when it can be one: it tells how large it is printed."""
    stated = image.info.get("dpi")
    if not isinstance(stated, tuple) or len(stated) != 2:
        return None
    try:
        across, down = (round(float(value)) for value in stated)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return (across, down) if all(_DPI[0] <= value <= _DPI[1] for value in (across, down)) else None


def _options(image: Any, frame: Any, media: str, raw: bytes) -> dict[str, Any]:
    options: dict[str, Any] = {}
    dpi = _dpi(image)
    if dpi and media in ("image/png", "image/jpeg", "image/bmp"):
        options["dpi"] = dpi
    if media == "image/jpeg":
        options["qtables"] = list(image.quantization.values())
        options["subsampling"] = max(0, JpegImagePlugin.get_sampling(image))
    elif media == "image/webp":
        options |= _webp(raw)
    elif media == "image/gif":
        frame.info = _gif(frame)
    return options


def _gif(frame: Any) -> dict[str, Any]:
    """Return which colour of a frame is the clear one, as GIF names it."""
    opacity = frame.info.get("transparency", b"")
    return {"transparency": opacity.index(0)} if 0 in opacity else {}


def _webp(raw: bytes) -> dict[str, Any]:
    return {"quality": 92, "method": 4} if b"VP8 " in raw else {"lossless": True, "quality": 80, "method": 4}


def _save_tiff(frame: Any, packing: str, dpi: tuple[int, int] | None, pages: Any) -> None:
    options: dict[str, Any] = {"dpi": dpi} if dpi else {}
    if packing in _BILEVEL and frame.mode == "1":
        options["compression"] = "group4"
    elif packing == "jpeg" and frame.mode in ("L", "RGB"):
        options |= {"compression": "jpeg", "quality": 92}
    else:
        options["compression"] = _PACKING.get(packing, "tiff_adobe_deflate")
    frame.save(pages, "TIFF", **options)


def _save_moving(frames: list[Any], pauses: list[Any], image: Any, media: str, raw: bytes) -> bytes:
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": pauses}
    loop = image.info.get("loop")
    if isinstance(loop, int):
        options["loop"] = loop
    if media == "image/webp":
        options |= _webp(raw)
    elif media == "image/gif":
        options["disposal"] = 2
        for frame in frames:
            frame.info = _gif(frame)
    elif image.info.get("default_image"):
        options["default_image"] = True
    out = io.BytesIO()
    frames[0].save(out, KINDS[media][0], **options)
    return out.getvalue()
