"""What lies packed in some bytes, found without trusting any directory: every begin of a known packing is tried."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import struct
import zlib
from binascii import a2b_base64
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import libarchive
import libarchive.exception
import olefile
import pikepdf

from dlp.formats import archive
from dlp.formats.room import Full, Room

_BEGINS = re.compile(rb"PK\x03\x04|\x1f\x8b\x08|BZh[1-9]1AY&SY|\xfd7zXZ\0|x[\x01\x5e\x9c\xda]")
_OTHERS = {
    b"7z\xbc\xaf\x27\x1c": ("7zip", "none"),
    b"Rar!\x1a\x07\x00": ("rar", "none"),
    b"Rar!\x1a\x07\x01": ("rar5", "none"),
    b"MSCF\0\0\0\0": ("cab", "none"),
    b"\x28\xb5\x2f\xfd": ("raw", "zstd"),
    b"\x04\x22\x4d\x18": ("raw", "lz4"),
    b"LZIP": ("raw", "lzip"),
}
"""Packings that libarchive undoes: their begin, and their format and filter there."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BASE64 = re.compile(
    rb"(?:UEsDB|H4sI|JVBERi0|0M8R4KGxGuE|N3q8rycc|UmFyIRo|TVNDRg|KLUv/)[A-Za-z0-9+/\t\r\n ]{40,}={0,2}"
)
"""The begin of a container in base64."""
_PIXELS = re.compile(rb"/Subtype\s*/Image\b")
_HEAD = 1024  # bytes before a stream in which its dictionary is looked for
_FIRST, _CHUNK = 1 << 8, 1 << 16  # bytes that go in at first, most often for nothing, and at a time
_PIECE = 1 << 20  # bytes that come out at a time
_LEAST = 6  # bytes: shorter results are what chance unpacks
_PIXEL_BYTES = 1 << 20  # of a picture in a PDF: its pixels are no text
_DEFLATED = 8

Inner = tuple[str, bytes, Room]
"""How something was packed, what it is, and the room that it has."""


class _Begin(NamedTuple):
    """A place where packed data may begin; `engine` unpacks it."""

    how: str
    engine: Any
    at: int


def inner(raw: bytes, room: Room) -> Iterator[Inner]:
    """Yield everything that is packed in `raw`. Raises `Full` when it does not fit into the room."""
    yield from _packed(raw, room)
    if b"%PDF-" in raw[:_HEAD]:
        yield from _objects(raw, room)
    if raw.startswith(_OLE):
        yield from _streams(raw, room)
    for magic, kind in _OTHERS.items():
        if raw.startswith(magic):
            yield from _members(raw, kind, room)
    for found in _BASE64.finditer(raw):
        letters = found.group().translate(None, b"\t\r\n =")
        decoded = a2b_base64(letters[: len(letters) // 4 * 4])
        room.spend_bytes(len(decoded))
        yield "in base64", decoded, room.inside("base64")


def _packed(raw: bytes, room: Room) -> Iterator[Inner]:
    """Try every place where packed data may begin; what was unpacked whole is not tried again."""
    at = 0
    while (found := _BEGINS.search(raw, at)) is not None:
        room.check_time()
        start = found.start()
        at = start + 1
        begin = _begin(raw, start)
        if begin is None:
            continue
        limit = _PIXEL_BYTES if _is_pixels(raw, start) else None
        data, used = _unpack(begin, raw, room, limit)
        at = max(at, begin.at + used)
        if limit is not None:
            at = max(at, raw.find(b"endstream", at))
        if len(data) >= _LEAST:
            yield begin.how, data, room.inside(begin.how)


def _begin(raw: bytes, at: int) -> _Begin | None:
    if raw.startswith(b"PK", at):
        if len(raw) < at + 30:
            return None
        method, names, extra = (struct.unpack_from("<H", raw, at + place)[0] for place in (8, 26, 28))
        # What is stored lies open in these bytes already.
        packed = _Begin("in a ZIP", zlib.decompressobj(-15), at + 30 + names + extra)
        return packed if method == _DEFLATED else None
    if raw.startswith(b"\x1f", at):
        start = _after_gzip_header(raw, at)
        return None if start < 0 else _Begin("in gzip", zlib.decompressobj(-15), start)
    if raw.startswith(b"BZh", at):
        return _Begin("in bzip2", bz2.BZ2Decompressor(), at)
    if raw.startswith(b"\xfd", at):
        return _Begin("in xz", lzma.LZMADecompressor(memlimit=1 << 28), at)
    # The data of a PNG are pixels.
    return None if raw[max(0, at - 4) : at] == b"IDAT" else _Begin("in zlib", zlib.decompressobj(), at)


def _after_gzip_header(raw: bytes, at: int) -> int:
    """Return where the data of a gzip file begin (RFC 1952), -1 where no honest file has such a header."""
    if len(raw) < at + 18:
        return -1
    flags = raw[at + 3]
    start = at + 10
    if flags & 4:
        start += 2 + int.from_bytes(raw[start : start + 2], "little")
    for bit in (8, 16):
        if flags & bit:
            start = raw.find(b"\0", start, start + _HEAD) + 1
            if start == 0:
                return -1
    return -1 if flags & 0xE0 else start + (flags & 2)


def _is_pixels(raw: bytes, at: int) -> bool:
    """Tell whether a stream of a PDF begins there that says it is a picture."""
    if raw[max(0, at - 9) : at].rstrip(b"\r\n")[-6:] != b"stream":
        return False
    head = raw[max(0, at - _HEAD) : at]
    return _PIXELS.search(head, max(0, head.rfind(b" obj"))) is not None


def _unpack(begin: _Begin, raw: bytes, room: Room, limit: int | None) -> tuple[bytes, int]:
    """Return what can be unpacked, and how many bytes that took: 0 when it ended in an error."""
    engine, at = begin.engine, begin.at
    pieces: list[bytes] = []
    total = 0
    with suppress(zlib.error, lzma.LZMAError, OSError, EOFError):
        while not engine.eof and (limit is None or total < limit):
            waiting = getattr(engine, "unconsumed_tail", b"")
            feed = waiting
            if not waiting and getattr(engine, "needs_input", True):
                feed = raw[at : at + (_CHUNK if pieces else _FIRST)]
                at += len(feed)
                if not feed:
                    break
            piece = engine.decompress(feed, _PIECE)
            total += len(piece)
            room.spend_bytes(len(piece))
            room.check_time()
            pieces.append(piece)
        return b"".join(pieces), at - len(engine.unused_data) - begin.at if engine.eof else 0
    return b"".join(pieces), 0


def _objects(raw: bytes, room: Room) -> Iterator[Inner]:
    """Yield all dictionaries, strings and names of a PDF as plain text, and streams that other filters packed."""
    written: list[bytes] = []
    try:
        with pikepdf.open(io.BytesIO(raw), suppress_warnings=True) as pdf:
            written.append(pdf.trailer.unparse())
            for thing in pdf.objects:
                room.check_time()
                if isinstance(thing, pikepdf.Stream):
                    written.append(thing.stream_dict.unparse())
                    data = _decoded(thing)
                    room.spend_bytes(len(data))
                    if data:
                        yield "in a stream", data, room.inside("stream")
                elif isinstance(thing, pikepdf.Object):
                    written.append(thing.unparse())
    except Full:
        raise
    except Exception:  # noqa: BLE001  a PDF that does not open is told by its own verifier; its bytes were looked at
        return
    whole = b"\n".join(written)
    room.spend_bytes(len(whole))
    yield "in an object", whole, room.inside("objects")


def _decoded(stream: Any) -> bytes:
    """Return what a stream holds where more than one plain Deflate packs it."""
    filters = stream.get("/Filter")
    if filters is None or stream.get("/Subtype") == "/Image":
        return b""
    if filters == pikepdf.Name.FlateDecode and stream.get("/DecodeParms") is None:
        return b""
    try:
        return bytes(stream.read_bytes())
    except pikepdf.PdfError:
        return b""


def _streams(raw: bytes, room: Room) -> Iterator[Inner]:
    """Yield each stream of an OLE file put together from its sectors."""
    try:
        with olefile.OleFileIO(io.BytesIO(raw)) as ole:
            for path in ole.listdir():
                room.spend_entries()
                data = ole.openstream(path).read()
                room.spend_bytes(len(data))
                yield "in an OLE stream", data, room.inside("stream")
    except Full:
        raise
    except Exception:  # noqa: BLE001  whatever olefile raises on a broken file: its bytes were looked at
        return


def _members(raw: bytes, kind: tuple[str, str], room: Room) -> Iterator[Inner]:
    """Yield each member of an archive that libarchive opens, and their names."""
    names: list[str] = []
    for password in (None, *room.passwords) if kind[0] == "7zip" else (None,):
        with (
            suppress(libarchive.exception.ArchiveError),
            libarchive.memory_reader(raw, *kind, passphrase=password) as found,
        ):
            for entry in found:
                room.spend_entries()
                names.append(archive.text_of(entry.pathname))
                content = archive.content_of(entry, room)
                if content is None:
                    break  # libarchive must not be asked to go on behind an error
                if content:
                    yield "in an archive", content, room.inside("member")
        if names:
            break
    yield "in an archive", "\n".join(names).encode("utf-8", "surrogateescape"), room.inside("names")
