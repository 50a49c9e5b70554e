"""Office files and bombs for tests, made in memory."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import docx
import openpyxl

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx_of(*paragraphs: str) -> bytes:
    """Return a Word document of these paragraphs."""
    made = docx.Document()
    for text in paragraphs:
        made.add_paragraph(text)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def xlsx_of(rows: Sequence[Sequence[str]], title: str = "Sheet1") -> bytes:
    """Return a workbook of one sheet with these rows."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def package(parts: Mapping[str, bytes | str]) -> bytes:
    """Return a ZIP file of these members, written the way Office does."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def changed(raw: bytes, parts: Mapping[str, bytes | str]) -> bytes:
    """Return a package with some members replaced or added."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
    return package({**members, **parts})


def body(xml: str) -> bytes:
    """Return a Word document whose body is this XML (prefix `w`)."""
    return changed(docx_of(), {"word/document.xml": f'<w:document xmlns:w="{W}"><w:body>{xml}</w:body></w:document>'})


def entity_bomb() -> bytes:
    """Return a Word document whose XML would grow to gigabytes by nested entities."""
    nested = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    head = f'<!DOCTYPE w:document [<!ENTITY a0 "aaaaaaaaaa">{nested}]>'
    text = f'{head}<w:document xmlns:w="{W}"><w:body><w:p><w:r><w:t>&a11;</w:t></w:r></w:p></w:body></w:document>'
    return changed(docx_of(), {"word/document.xml": text})


def zip_bomb(size: int = 4 << 30) -> bytes:
    """Return an archive with one member that unpacks to `size` zero bytes (more than 4 GiB needs ZIP64: not made)."""
    size = min(size, 0xFFFF_FFF0)
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    # A megabyte of zeros packs to the same bytes again and again: pack once behind a full flush, repeat.
    engine.compress(block)
    engine.flush(zlib.Z_FULL_FLUSH)
    repeated = engine.compress(block) + engine.flush(zlib.Z_FULL_FLUSH)
    count = size // len(block)
    data = repeated * count + engine.flush()
    total = count * len(block)
    crc = 0
    for _ in range(count):
        crc = zlib.crc32(block, crc)
    name = b"zeros.bin"
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(data), total, len(name), 0)
    local = b"PK\x03\x04" + fields + name + data
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def encrypted_docx() -> bytes:
    """Return an OLE file with the streams of an encrypted Office file ([MS-OFFCRYPTO] 1.3.3)."""
    streams = (("EncryptionInfo", b"\4\0\4\0\x40\0\0\0<encryption/>"), ("EncryptedPackage", bytes(range(256)) * 20))
    return ole_of(dict(streams))


def ole_of(streams: Mapping[str, bytes]) -> bytes:
    """Return an OLE file ([MS-CFB] version 3) with these streams, each in its own chain of 512-byte sectors."""
    free, last, table_mark = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    sectors: list[bytes] = []
    chain: list[int] = []

    def place(data: bytes) -> int:
        first = len(sectors)
        # Streams below 4,096 bytes would have to lie in the small chain; padding them keeps to one kind.
        pieces = [data[at : at + 512].ljust(512, b"\0") for at in range(0, max(len(data), 1), 512)]
        for number, piece in enumerate(pieces):
            sectors.append(piece)
            chain.append(last if number == len(pieces) - 1 else first + number + 1)
        return first

    def entry(name: str, kind: int, start: int, size: int, *, child: int = free, right: int = free) -> bytes:
        raw = (name + "\0").encode("utf-16-le")
        links = struct.pack("<III", free, right, child)
        return (
            raw.ljust(64, b"\0")
            + struct.pack("<HBB", len(raw), kind, 1)
            + links
            + bytes(36)
            + struct.pack("<IQ", start, size)
        )

    padded = {name: data.ljust(4096, b"\0") for name, data in streams.items()}
    starts = {name: place(data) for name, data in padded.items()}
    entries = [entry("Root Entry", 5, last, 0, child=1 if streams else free)]
    for number, (name, data) in enumerate(padded.items(), 1):
        entries.append(entry(name, 2, starts[name], len(data), right=number + 1 if number < len(padded) else free))
    directory = place(b"".join(entries))
    table_at = len(sectors)
    table = [*chain, table_mark]
    assert len(table) <= 128, "one allocation sector holds 128 entries"
    sectors.append(struct.pack("<128I", *table, *[free] * (128 - len(table))))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIII", 0, 1, directory, 0, 4096, last, 0, last, 0)
    head += struct.pack("<109I", table_at, *[free] * 108)
    return head + b"".join(sectors)
