"""Pictures written anew: the same pixels, boxes where they belong, nothing besides; the proof sees what is wrong."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter, ImageOps, PngImagePlugin

from dlp.formats import NotRedactable, Source, image, pixels
from dlp.formats.room import Room
from dlp.limits import Limits
from dlp.model import Box, Cut

SECRET = "110101199003071233"
BOX = Box(1, 60.0, 30.0, 110.0, 70.0)
MODES = {
    "PNG": ("1", "L", "P", "RGB", "RGBA", "LA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "LA", "I", "F", "YCbCr"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
}
EVERY = [(kind, mode) for kind, modes in MODES.items() for mode in modes]


def noise(mode: str = "L", width: int = 400, height: int = 200) -> Image.Image:
    """Return a picture that is not blank."""
    made = Image.effect_noise((width, height), 250).filter(ImageFilter.GaussianBlur(2))
    if mode == "I;16":
        return made.convert("I").point(lambda value: value * 200).convert("I;16")
    return made.convert(mode)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    picture.save(out, kind, **({"lossless": True} if kind == "WEBP" else {}) | options)
    return out.getvalue()


def cut(box: Box = BOX) -> Cut:
    """Return a cut of something that was read by OCR."""
    return Cut(part=(), anchor="ocr", start=0, end=1, label="〔已脱敏〕", type="t", boxes=(box,))


def boxed(raw: bytes, *cuts: Cut) -> bytes:
    """Return a picture with boxes."""
    out = io.BytesIO()
    image.redact(Source(raw), cuts, out, Room())
    return out.getvalue()


def shown(raw: bytes, frame: int = 0) -> Any:
    """Return the pixels of a frame as colours with opacity, those that are fully clear all alike."""
    with Image.open(io.BytesIO(raw)) as picture:
        picture.seek(frame)
        found = np.array(picture.convert("RGBA")).astype(int)
    found[found[..., 3] == 0] = 0
    return found


def states(new: bytes, old: bytes, *cuts: Cut) -> dict[str, str]:
    """Return what the proof says of a copy."""
    return {check.name: check.state for check in image.verify(Source(new), Source(old), cuts, Room()).checks}


@pytest.mark.parametrize(("kind", "mode"), EVERY)
def test_a_picture_keeps_its_pixels(kind: str, mode: str) -> None:
    """Written anew without boxes, every kind in every mode is the same to the last pixel; JPEG nearly so."""
    raw = saved(noise(mode), kind)
    differs = np.abs(shown(pixels.clean_picture(raw, Room())) - shown(raw))
    assert differs.max() <= (60 if kind == "JPEG" else 0)
    assert differs.mean() < 3


@pytest.mark.parametrize(("kind", "mode"), EVERY)
def test_a_box_covers_its_pixels_and_no_others(kind: str, mode: str) -> None:
    """Black and opaque under the box, the same elsewhere; the proof agrees."""
    raw = saved(noise(mode), kind)
    new = boxed(raw, cut())
    left, top, right, bottom = pixels.pixels_of(BOX, 400, 200)
    found, before = shown(new), shown(raw)
    edge = 16 if kind == "JPEG" else 0
    inside = found[top + edge : bottom - edge, left + edge : right - edge]
    # What has no black of its own (levels of any range) has the darkest there is.
    assert inside[..., :3].max() <= (before[..., :3].min() if mode in ("I", "F") else 10)
    assert inside[..., 3].min() == 255
    around = (slice(top - edge, bottom + edge), slice(left - edge, right + edge))
    found[around] = before[around]
    assert np.abs(found - before).mean() < (3 if kind == "JPEG" else 0.001)
    assert set(states(new, raw, cut()).values()) == {"ok"}


def test_nothing_but_pixels_is_carried_over() -> None:
    """EXIF, XMP, comments, profiles, text chunks, what lies behind: gone; the resolution stays."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = SECRET
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("Title", SECRET)
    more = {"exif": exif, "icc_profile": SECRET.encode(), "dpi": (300, 300)}
    for kind, options in (
        ("PNG", {**more, "pnginfo": chunks}),
        ("JPEG", {**more, "comment": SECRET.encode(), "xmp": SECRET.encode()}),
        ("TIFF", {**more, "description": SECRET}),
        ("WEBP", {**more, "xmp": SECRET.encode()}),
        ("GIF", {"comment": SECRET.encode()}),
    ):
        raw = saved(noise("RGB"), kind, **options) + SECRET.encode()
        assert SECRET.encode() in raw
        new = pixels.clean_picture(raw, Room())
        assert SECRET.encode() not in new, kind
        with Image.open(io.BytesIO(new)) as picture:
            assert "icc_profile" not in picture.info
            if kind in ("PNG", "JPEG", "TIFF"):
                assert tuple(round(float(side)) for side in picture.info["dpi"]) == (300, 300)
        assert states(new, raw)["metadata"] == "ok"


def test_colours_that_no_pixel_shows_are_not_carried_over() -> None:
    """Text in unused entries of a palette, under clear pixels, and told apart by two clear colours."""
    flat = Image.new("P", (60, 60))
    flat.putpalette([10, 20, 30] + list(SECRET.encode()) * 2)
    assert SECRET.encode() in saved(flat, "PNG")
    assert SECRET.encode() not in pixels.clean_picture(saved(flat, "PNG"), Room())
    veiled = noise("RGBA")
    veiled.putalpha(0)
    veiled.paste((0, 0, 0, 255), (0, 0, 20, 20))
    for kind in ("PNG", "WEBP", "TIFF"):
        options = {"exact": True} if kind == "WEBP" else {}
        with Image.open(io.BytesIO(pixels.clean_picture(saved(veiled, kind, **options), Room()))) as picture:
            assert np.array(picture.convert("RGBA"))[30:, 30:, :3].max() == 0, kind
    two = Image.new("P", (60, 60), 1)
    two.putpalette([0, 0, 0, 9, 9, 9, 8, 8, 8])
    two.paste(2, (10, 10, 30, 30))
    raw = saved(two, "PNG", transparency=b"\xff\0\0")
    with Image.open(io.BytesIO(pixels.clean_picture(raw, Room()))) as picture:
        assert len(set(picture.tobytes())) == 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_becomes_upright(kind: str, orientation: int) -> None:
    """The orientation that a camera notes is done to the pixels, so boxes lie where the reader saw the text."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    raw = saved(noise("RGB", 150, 90), kind, exif=exif)
    new = pixels.clean_picture(raw, Room())
    with Image.open(io.BytesIO(raw)) as picture:
        upright = np.array(ImageOps.exif_transpose(picture).convert("L")).astype(int)
    with Image.open(io.BytesIO(new)) as picture:
        assert picture.getexif().get(ExifTags.Base.Orientation, 1) == 1
        found = np.array(picture.convert("L")).astype(int)
    read = image.extract(Source(raw), Room()).pictures[0]
    assert found.shape == upright.shape == (read.height, read.width)
    assert np.abs(found - upright).mean() < (4 if kind == "JPEG" else 0.001)


def test_a_box_lies_on_its_page_and_on_pages_that_look_alike() -> None:
    """Pages of a TIFF: the second keeps its pixels; the third, which is like the first, has the box of that too."""
    first, second = noise("L"), noise("L")
    raw = saved(first, "TIFF", save_all=True, append_images=[second, first], compression="tiff_lzw")
    new = boxed(raw, cut())
    left, top, right, bottom = pixels.pixels_of(BOX, 400, 200)
    assert [shown(new, n)[top:bottom, left:right, :3].max() == 0 for n in range(3)] == [True, False, True]
    assert (shown(new, 1) == shown(raw, 1)).all()
    assert set(states(new, raw, cut()).values()) == {"ok"}


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_every_frame_of_an_animation_has_every_box(kind: str) -> None:
    """What moves is boxed in all frames, and moves on as before."""
    frames = [noise("RGB").quantize(200).convert("RGB") for _ in range(3)]
    raw = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=[100, 200, 300], loop=0)
    new = boxed(raw, cut(Box(2, 60.0, 30.0, 110.0, 70.0)))
    left, top, right, bottom = pixels.pixels_of(BOX, 400, 200)
    assert all(shown(new, n)[top:bottom, left:right, :3].max() == 0 for n in range(3))
    assert (shown(new, 2)[:top] == shown(raw, 2)[:top]).all()
    with Image.open(io.BytesIO(new)) as picture:
        assert picture.n_frames == 3
    assert set(states(new, raw, cut()).values()) == {"ok"}


def test_further_pictures_of_a_camera_are_not_carried_over() -> None:
    """A JPEG with more pictures behind the first (MPO) becomes one picture."""
    first, hidden = noise("RGB"), noise("RGB")
    raw = saved(first, "MPO", save_all=True, append_images=[hidden])
    new = boxed(raw, cut(), cut(Box(2, 1.0, 1.0, 20.0, 20.0)))
    with Image.open(io.BytesIO(new)) as picture:
        assert getattr(picture, "n_frames", 1) == 1
        assert np.array(picture.convert("L"))[2:10, 2:10].max() > 10


def test_what_cannot_be_done_is_refused() -> None:
    """No place, a place beside the picture, a part that no picture has, a kind that is not written, a bomb, a stump."""
    raw = saved(noise("RGB"), "PNG")
    bad = [
        (raw, Cut(part=(), anchor="ocr", start=0, end=1, label="x", type="t")),
        (raw, cut(Box(1, 5_000.0, 5_000.0, 5_100.0, 5_100.0))),
        (raw, Cut(part=("a.txt",), anchor="", start=0, end=1, label="x", type="t")),
        (saved(noise("RGB", 128, 128), "JPEG2000"), cut()),
        (saved(noise("RGB", 128, 128), "ICO"), cut()),
        (raw[:2000], cut()),
    ]
    for data, one in bad:
        out = io.BytesIO()
        with pytest.raises(NotRedactable):
            image.redact(Source(data), [one], out, Room())
        assert out.getvalue() == b""
    with pytest.raises(NotRedactable):
        pixels.clean_picture(raw, Room(Limits(picture_pixels=100)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"])
def test_the_proof_sees_what_is_wrong(kind: str) -> None:
    """A copy without its box, one that differs elsewhere, one with something between or behind its pixels."""
    raw = saved(noise("RGB").quantize(64).convert("RGB"), kind)
    good = boxed(raw, cut())
    assert states(pixels.clean_picture(raw, Room()), raw, cut())["boxes"] == "fail"
    with Image.open(io.BytesIO(good)) as picture:
        other = picture.convert("RGB")
    other.paste((255, 0, 255), (0, 0, 60, 60))
    assert states(saved(other, kind), raw, cut())["fidelity"] == "fail"
    assert states(good + b"secret", raw, cut())["metadata"] == "fail"
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "secret"
    more: dict[str, Any] = {"comment": b"secret"} if kind == "GIF" else {"exif": exif}
    if kind == "PNG":
        more = {"pnginfo": PngImagePlugin.PngInfo()}
        more["pnginfo"].add_text("Title", "secret")
    if kind != "BMP":
        with Image.open(io.BytesIO(good)) as picture:
            assert states(saved(picture.copy(), kind, **more), raw, cut())["metadata"] == "fail"
