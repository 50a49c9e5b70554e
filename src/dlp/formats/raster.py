"""Print rasters: PWG Raster (PWG 5102.4), Apple Raster (URF) and CUPS raster. Pages of pixels, which OCR reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from dlp.formats import Full, Source
from dlp.formats.image import show
from dlp.formats.room import Reading, Room
from dlp.model import Coverage, Document, GapKind, evolve

MEDIA = ("image/pwg-raster", "image/urf", "application/vnd.cups-raster")

_SYNCS = {b"RaS2": (">", True), b"RaS3": (">", False), b"2SaR": ("<", True), b"3SaR": ("<", False)}
_HEADER, _HEADER_URF = 1796, 32
_WIDEST = 100_000  # pixels
_LOOK = 256  # lines between two looks at the clock
_BLACK, _CMY, _CMYK, _YMC = 3, 4, 6, 5
_DARK = frozenset({_BLACK, _CMY, _YMC, _CMYK, 7, 8, 11, 12, 13})
"""Colour spaces of CUPS in which a higher number is more ink."""

Pixels = npt.NDArray[np.uint8]


class _Page(NamedTuple):
    width: int
    height: int
    bits: int
    """Of one pixel."""
    depth: int
    """Of one colour."""
    line: int
    """Bytes."""
    dark: bool
    dpi: int
    packed: bool


def extract(source: Source, room: Room) -> Document:
    """Return the pixels of every page for the OCR engine."""
    raw = source.content()
    reading = Reading(room)
    media = MEDIA[1] if raw.startswith(b"UNIRAST") else MEDIA[0] if raw[4:13] == b"PwgRaster" else MEDIA[2]
    pages = 0
    try:
        for page, grey in _Stream(raw, room).pages():
            pages += 1
            how = show(reading, Image.fromarray(grey), pages, scale=72 / (page.dpi or 300))
            reading.coverage.append(Coverage(page=pages, how=how, part=room.part))
        if not pages:
            reading.miss(GapKind.CORRUPT, "the print stream holds no page")
    except Full as full:
        reading.miss(full.kind, full.detail)
    except (struct.error, IndexError, ValueError):
        reading.miss(GapKind.CORRUPT, "the print stream is broken or cut off")
    return evolve(reading.document(media), pages=pages)  # type: ignore[no-any-return]


class _Stream:
    """Goes through the pages of one stream."""

    def __init__(self, raw: bytes, room: Room) -> None:
        self._raw = raw
        self._room = room
        self._at = 0

    def pages(self) -> Iterator[tuple[_Page, Pixels]]:
        """Yield every page with its grey pixels."""
        raw = self._raw
        if raw.startswith(b"UNIRAST\0"):
            self._at = 12  # the number of pages before it may be 0: not known when the stream began
            while self._at < len(raw):
                if self._at + _HEADER_URF > len(raw):
                    raise IndexError
                page = _urf(raw[self._at : self._at + _HEADER_URF])
                self._at += _HEADER_URF
                yield page, self._grey(page)
            return
        order, packed = _SYNCS[raw[:4]]
        self._at = 4
        while self._at < len(raw):
            if self._at + _HEADER > len(raw):
                raise IndexError
            page = _cups(raw[self._at : self._at + _HEADER], order, packed=packed)
            self._at += _HEADER
            yield page, self._grey(page)

    def _grey(self, page: _Page) -> Pixels:
        self._room.spend_pages()
        known = page.bits in (1, 8, 16, 24, 32, 48, 64)
        if not (known and 0 < page.width <= _WIDEST and 0 < page.height <= _WIDEST):
            raise Full(GapKind.UNSUPPORTED, "the print stream has pixels of a kind that is not read")
        self._room.spend_pixels(page.width * page.height)
        if page.line != (page.width * page.bits + 7) // 8:
            raise Full(GapKind.CORRUPT, "the lines of a page are not as long as stated")
        out = np.empty((page.height, page.width), dtype=np.uint8)
        if not page.packed:
            data = np.frombuffer(self._raw, dtype=np.uint8, count=page.line * page.height, offset=self._at)
            self._at += page.line * page.height
            for row in range(page.height):
                out[row] = _line(data[row * page.line : (row + 1) * page.line], page)
            return out
        row = 0
        while row < page.height:
            if row % _LOOK == 0:
                self._room.check_time()
            again = self._raw[self._at] + 1
            self._at += 1
            values = _line(self._unpack(page), page)
            out[row : row + again] = values
            row += again
        return out

    def _unpack(self, page: _Page) -> Pixels:
        """Unpack one line: runs of equal pixels and runs of different ones, in units of whole pixels."""
        unit = max(1, page.bits // 8)
        raw, at = self._raw, self._at
        pieces: list[bytes] = []
        size = 0
        while size < page.line:
            code = raw[at]
            at += 1
            if code == 0x80:
                pieces.append((b"\0" if page.dark else b"\xff") * (page.line - size))
                size = page.line
            elif code < 0x80:
                pieces.append(raw[at : at + unit] * (code + 1))
                at += unit
                size += unit * (code + 1)
            else:
                count = unit * (257 - code)
                pieces.append(raw[at : at + count])
                at += count
                size += count
            if at > len(raw):
                raise IndexError
        self._at = at
        return np.frombuffer(b"".join(pieces), dtype=np.uint8)[: page.line]


def _line(data: Pixels, page: _Page) -> Pixels:
    """Return one line as grey, white being 255."""
    if page.bits == 1:
        values = np.unpackbits(data)[: page.width] * np.uint8(255)
    else:
        if page.depth == 16:
            data = data[::2]  # the high bytes: big endian on the wire
        colours = max(1, page.bits // page.depth)
        values = data[: page.width * colours].reshape(page.width, colours)
        mixed = values.max(axis=1) if page.dark and colours == 4 else values.mean(axis=1)
        values = mixed.astype(np.uint8)
    return 255 - values if page.dark else values


def _cups(header: bytes, order: str, *, packed: bool) -> _Page:
    (dpi,) = struct.unpack_from(order + "I", header, 276)
    width, height = struct.unpack_from(order + "II", header, 372)
    depth, bits, line, planes, space = struct.unpack_from(order + "5I", header, 384)
    if planes != 0 and bits not in (1, 8):
        raise Full(GapKind.UNSUPPORTED, "the colours of the print stream come apart")
    return _Page(width, height, bits, max(1, depth), line, space in _DARK, dpi, packed)


def _urf(header: bytes) -> _Page:
    bits, space = header[0], header[1]
    width, height, dpi = struct.unpack_from(">III", header, 12)
    return _Page(width, height, bits, 8 if bits >= 8 else 1, (width * bits + 7) // 8, space == 6, dpi, packed=True)
