"""Pictures of a PDF page with parts of their pixels wiped out."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pikepdf
from PIL import Image, ImageDraw

from dlp.formats.pdf_ops import NeedsRaster, inverse, put
from dlp.formats.pdf_shows import Drawn
from dlp.formats.pdf_spots import Wish
from dlp.formats.room import Room

_EVEN = 12  # of 255: what differs less shows nothing
_QUALITY = 92  # of JPEG: the rest of a photo looks as before
_MARGIN = 1.0  # pixels around what is wiped

Pixels = npt.NDArray[np.uint8]


class _Samples(NamedTuple):
    """Decoded samples of a picture, and how they go back."""

    image: Image.Image
    space: Any
    bits: int
    lossy: bool


def wipe(pdf: Any, drawn: Drawn, wishes: Sequence[Wish], room: Room) -> Any:
    """Return a copy of a picture without the pixels under the wishes; None where they show nothing.

    Raises `NeedsRaster` for pictures that cannot be decoded, and where the width of what is wiped would tell it.
    """
    picture = drawn.thing
    near = [wish for wish in wishes if _meets(drawn, wish)]
    if not near:
        return None
    if isinstance(picture, pikepdf.PdfInlineImage):
        if all(_is_even(_inline(picture), _corners(drawn, wish, picture.width, picture.height)) for wish in near):
            return None
        raise NeedsRaster("a picture inside the content shows what is to be removed")
    wide, high = int(picture["/Width"]), int(picture["/Height"])
    room.spend_pixels(wide * high)
    samples = _decode(picture)
    shapes = [_corners(drawn, wish, wide, high) for wish in near]
    mask = picture.get("/SMask")
    if isinstance(mask, pikepdf.Stream):
        room.spend_pixels(int(mask["/Width"]) * int(mask["/Height"]))
    seen = [
        (wish, shape)
        for wish, shape in zip(near, shapes, strict=True)
        if not _is_even(samples.image, shape) or (mask is not None and not _is_even_mask(drawn, mask, wish))
    ]
    if not seen:
        return None
    if any(wish.gap for wish, _ in seen):
        raise NeedsRaster("the width of a word in a picture would tell it")
    if "/Mask" in picture:
        raise NeedsRaster("a picture is cut out by a mask")
    for _, shape in seen:
        _fill(samples.image, shape)
    made = _encode(pdf, picture, samples)
    if isinstance(mask, pikepdf.Stream):
        made["/SMask"] = _wipe_mask(pdf, drawn, mask, [wish for wish, _ in seen])
    return made


def _meets(drawn: Drawn, wish: Wish) -> bool:
    one, other = drawn.sides, wish.sides
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _corners(drawn: Drawn, wish: Wish, wide: int, high: int) -> list[tuple[float, float]]:
    """Return the corners of a rectangle of the page in pixels of the picture, whose first row is the top one."""
    back = inverse(drawn.turn)
    x0, y0, x1, y1 = wish.sides
    points = [put(back, x, y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    corners = [(u * wide, (1 - v) * high) for u, v in points]
    middle = (sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4)
    return [
        (x + (_MARGIN if x > middle[0] else -_MARGIN), y + (_MARGIN if y > middle[1] else -_MARGIN)) for x, y in corners
    ]


def _inline(picture: Any) -> Image.Image:
    try:
        image: Image.Image = picture.as_pil_image()
    except Exception as err:  # whatever a decoder raises: the pixels are not known
        raise NeedsRaster("a picture inside the content cannot be decoded") from err
    return image


def _decode(picture: Any) -> _Samples:
    """Return the samples of a picture as they are stored, without any turning of colours."""
    filters = picture.get("/Filter")
    names = [str(one) for one in (filters if isinstance(filters, pikepdf.Array) else [filters] if filters else [])]
    lossy = bool(names) and names[-1] in ("/DCTDecode", "/JPXDecode")
    try:
        # A copy knows no file: saving one that does asks for the working folder, which the sandbox does not have.
        image: Image.Image = pikepdf.PdfImage(picture).as_pil_image().copy()
    except Exception as err:  # whatever a decoder raises: the pixels are not known
        raise NeedsRaster("a picture cannot be decoded") from err
    if image.mode not in ("1", "L", "RGB", "P") or "/SMaskInData" in picture:
        raise NeedsRaster("a picture has colours that are not taken apart")
    usual = [0, 1] * (3 if image.mode == "RGB" else 1)
    decode = picture.get("/Decode")
    if decode is not None and [float(one) for one in decode] != usual:
        raise NeedsRaster("a picture turns its colours around")
    if picture.get("/ImageMask", False):
        raise NeedsRaster("a stencil shows what is to be removed")
    space = picture.get("/ColorSpace")
    if image.mode == "P" and not (isinstance(space, pikepdf.Array) and str(space[0]) in ("/Indexed", "/I")):
        image = image.convert("RGB")
    if space is None or (image.mode == "RGB" and isinstance(space, pikepdf.Array) and str(space[0]) == "/Indexed"):
        space = pikepdf.Name.DeviceRGB if image.mode == "RGB" else pikepdf.Name.DeviceGray
    return _Samples(image, space, 1 if image.mode == "1" else 8, lossy)


def _encode(pdf: Any, picture: Any, samples: _Samples) -> Any:
    image = samples.image
    if samples.lossy and image.mode in ("L", "RGB"):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
        made = pdf.make_stream(out.getvalue())
        made["/Filter"] = pikepdf.Name.DCTDecode
    else:
        made = pdf.make_stream(zlib.compress(image.tobytes(), 6))
        made["/Filter"] = pikepdf.Name.FlateDecode
    made["/Type"], made["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Image
    made["/Width"], made["/Height"] = image.width, image.height
    made["/ColorSpace"], made["/BitsPerComponent"] = samples.space, samples.bits
    for key in ("/Interpolate", "/Intent"):
        if key in picture:
            made[key] = picture[key]
    return made


def _region(image: Image.Image, shape: list[tuple[float, float]]) -> tuple[int, int, int, int]:
    across, along = [x for x, _ in shape], [y for _, y in shape]
    x0, y0 = max(0, int(min(across))), max(0, int(min(along)))
    return x0, y0, min(image.width, int(max(across)) + 1), min(image.height, int(max(along)) + 1)


def _is_even(image: Image.Image, shape: list[tuple[float, float]]) -> bool:
    """Tell whether the pixels around a shape show nothing."""
    x0, y0, x1, y1 = _region(image, shape)
    if x1 <= x0 or y1 <= y0:
        return True
    piece = np.asarray(image.crop((x0, y0, x1, y1)).convert("RGB"), dtype=np.int16)
    flat = piece.reshape(-1, 3)
    return bool((flat.max(axis=0) - flat.min(axis=0)).max() <= _EVEN)


def _fill(image: Image.Image, shape: list[tuple[float, float]]) -> None:
    """Paint a shape in the colour that most of its pixels have: that of the paper."""
    x0, y0, x1, y1 = _region(image, shape)
    piece = np.asarray(image.crop((x0, y0, x1, y1)))
    flat = piece.reshape(-1, piece.shape[2]) if piece.ndim == 3 else piece.reshape(-1, 1)
    step = max(1, len(flat) // 4_096)
    values, counts = np.unique(flat[::step].astype(np.int64), axis=0, return_counts=True)
    colour = tuple(int(one) for one in values[int(counts.argmax())])
    ImageDraw.Draw(image).polygon(shape, fill=colour if len(colour) > 1 else colour[0], outline=None)


def _mask_image(mask: Any) -> Image.Image:
    try:
        image: Image.Image = pikepdf.PdfImage(mask).as_pil_image().convert("L")
    except Exception as err:  # whatever a decoder raises: the shape is not known
        raise NeedsRaster("the mask of a picture cannot be decoded") from err
    return image


def _is_even_mask(drawn: Drawn, mask: Any, wish: Wish) -> bool:
    image = _mask_image(mask)
    return _is_even(image, _corners(drawn, wish, image.width, image.height))


def _wipe_mask(pdf: Any, drawn: Drawn, mask: Any, wishes: Sequence[Wish]) -> Any:
    """Return the mask of a picture with the wishes opaque: a mask has the shape of what it shows."""
    if "/Decode" in mask or "/Matte" in mask:
        raise NeedsRaster("the mask of a picture is not a plain one")
    image = _mask_image(mask)
    for wish in wishes:
        ImageDraw.Draw(image).polygon(_corners(drawn, wish, image.width, image.height), fill=255)
    return _encode(pdf, mask, _Samples(image, pikepdf.Name.DeviceGray, 8, lossy=False))
