"""Pictures: every frame goes to OCR, every text between the pixels is read, what is broken is a gap."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from dlp.formats import Source, image, raster
from dlp.formats.room import Room
from dlp.limits import Limits
from dlp.model import Document, GapKind, Zone
from format_makers import pwg_of, urf_of
from makers import package


def noise(width: int = 120, height: int = 80, mode: str = "L") -> Image.Image:
    """Return a picture that is not blank."""
    return Image.effect_noise((width, height), 90).convert(mode)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def read(raw: bytes, limits: Limits | None = None) -> Document:
    """Return what is read of a picture."""
    return image.extract(Source(raw), Room(limits))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "ICO"])
def test_every_kind_goes_to_ocr(kind: str) -> None:
    """One picture for the engine, its page counted, nothing left unread."""
    document = read(saved(noise(128, 128), kind))
    assert [(p.width, p.height) for p in document.pictures] == [(128, 128)]
    assert [c.how for c in document.coverage] == ["ocr"]
    assert document.gaps == ()
    pixels = zlib.decompress(document.pictures[0].raw)
    assert len(pixels) == 128 * 128


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "LA", "I;16", "I", "F"])
def test_every_mode_becomes_grey(mode: str) -> None:
    """Two colours, palettes, transparency, print colours, 16 bits."""
    kind = "TIFF" if mode in ("CMYK", "I;16", "I", "F", "LA") else "PNG"
    picture = Image.new("L", (64, 64), 255)
    picture.paste(0, (8, 8, 40, 40))
    if mode == "I;16":
        picture = picture.convert("I").point(lambda value: value * 200).convert("I;16")
    else:
        picture = picture.convert(mode)
    document = read(saved(picture, kind))
    pixels = zlib.decompress(document.pictures[0].raw)
    assert pixels[64 * 20 + 20] < 60
    assert pixels[64 * 60 + 60] > 190


def test_frames_are_pages() -> None:
    """Pages of a TIFF, frames of a GIF; the same frame again is not read twice."""
    pages = [noise(100, 100 + n) for n in range(3)]
    document = read(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert document.pages == 3
    assert [p.page for p in document.pictures] == [1, 2, 3]
    blinking = saved(pages[0], "GIF", save_all=True, append_images=[pages[0].point(lambda v: 255 - v)] * 2)
    assert len(read(blinking).pictures) == 2


def test_texts_between_the_pixels_are_metadata() -> None:
    """PNG chunks before and behind the pixels, EXIF with its UTF-16 fields, XMP, comments."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("Title", "题名里的字")
    chunks.add_text("Comment", "comment 11010119900307301X", zip=True)
    found = {s.text: s.zone for s in read(saved(noise(), "PNG", pnginfo=chunks)).segments}
    assert found["题名里的字"] is Zone.METADATA
    assert "comment 11010119900307301X" in found
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "plain description"
    exif[0x9C9B] = "视窗题名里的字".encode("utf-16-le")
    xmp = b"<x:xmpmeta><dc:title>" + "扩展里的字".encode() + b"</dc:title></x:xmpmeta>"
    raw = saved(noise(), "JPEG", exif=exif, comment="注释里的字".encode(), xmp=xmp)
    whole = "\n".join(s.text for s in read(raw).segments)
    for text in ("plain description", "视窗题名里的字", "注释里的字", "扩展里的字"):
        assert text in whole


def test_what_lies_behind_the_picture_is_read() -> None:
    """An archive or a text after the end of a picture leaves with it."""
    for kind in ("PNG", "JPEG", "GIF"):
        document = read(saved(noise(), kind) + package({"a.txt": "后面的字"}))
        assert "后面的字" in {s.text for s in document.segments}, kind


def test_blank_and_tiny_pictures_cost_nothing() -> None:
    """White paper, one colour, a line of pixels: nothing is written there."""
    for picture in (Image.new("L", (300, 300), 255), Image.new("RGB", (50, 50), (9, 9, 200)), noise(300, 4)):
        document = read(saved(picture, "PNG"))
        assert document.pictures == ()
        assert [c.how for c in document.coverage] == ["blank"]


def test_text_told_by_transparency_alone_is_seen() -> None:
    """White letters on a clear ground are made visible."""
    picture = Image.new("RGBA", (60, 60), (255, 255, 255, 0))
    picture.paste((255, 255, 255, 255), (10, 10, 40, 40))
    black = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    black.paste((255, 255, 255, 255), (10, 10, 40, 40))
    assert len(read(saved(black, "PNG")).pictures) == 1
    del picture


def test_a_picture_on_its_side_is_turned() -> None:
    """The orientation that a camera notes is followed."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    document = read(saved(noise(100, 40), "JPEG", exif=exif))
    assert [(p.width, p.height) for p in document.pictures] == [(40, 100)]


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that unpacks to a page of `width` x `height` pixels of one bit."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" * (1 + width // 8)
    engine = zlib.compressobj(9)
    data = b"".join(engine.compress(row) for _ in range(height)) + engine.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (bomb(60_000, 60_000), GapKind.TOO_BIG),
        (saved(noise(), "JPEG")[:-400], GapKind.CORRUPT),
        (saved(noise(), "PNG")[:-60], GapKind.CORRUPT),
        (saved(noise(), "TIFF")[:300], GapKind.CORRUPT),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), GapKind.CORRUPT),
        (b"RIFF" + struct.pack("<I", 20) + b"WEBPVP8 " + bytes(12), GapKind.CORRUPT),
    ],
)
def test_bombs_and_broken_pictures_are_gaps(raw: bytes, kind: GapKind) -> None:
    """Too many pixels, cut off, no picture at all: never silence."""
    document = read(raw)
    assert kind in {g.kind for g in document.gaps}


def test_frames_are_counted() -> None:
    """More frames than pages are allowed for, and a loop of directories, end."""
    many = saved(noise(20, 20), "GIF", save_all=True, append_images=[noise(20, 20) for _ in range(30)])
    assert GapKind.TOO_MANY in {g.kind for g in read(many, Limits(pages=10)).gaps}
    page = bytearray(saved(noise(20, 20), "TIFF"))
    (place,) = struct.unpack_from("<I", page, 4)
    (count,) = struct.unpack_from("<H", page, place)
    struct.pack_into("<I", page, place + 2 + 12 * count, place)
    document = read(bytes(page), Limits(pages=100))
    assert document.gaps or len(document.pictures) <= 1


@pytest.mark.parametrize("make", [pwg_of, urf_of])
def test_print_rasters_are_pages(make) -> None:
    """Every page of a print stream is decoded to the very pixels that were packed."""
    pages = [noise(160, 90), Image.new("L", (64, 64), 255)]
    pages[1].paste(0, (10, 10, 30, 30))
    document = raster.extract(Source(make(*pages)), Room())
    assert document.pages == 2
    assert [c.how for c in document.coverage] == ["ocr", "ocr"]
    for picture, page in zip(document.pictures, pages, strict=True):
        assert zlib.decompress(picture.raw) == page.tobytes()
    assert document.gaps == ()


@pytest.mark.parametrize("make", [pwg_of, urf_of])
def test_broken_print_rasters_are_gaps(make) -> None:
    """Cut off in the header, in the pixels; absurd sizes."""
    raw = make(noise(160, 90))
    for piece in (raw[:40], raw[: len(raw) // 2]):
        assert GapKind.CORRUPT in {g.kind for g in raster.extract(Source(piece), Room()).gaps}
    odd = bytearray(raw)
    struct.pack_into(">I", odd, 4 + 372 if make is pwg_of else 12 + 12, 0xFFFFFFF0)
    assert raster.extract(Source(bytes(odd)), Room()).gaps
