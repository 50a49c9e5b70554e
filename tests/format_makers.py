"""Files of further formats for tests, made in memory: OFD, OpenDocument, DOC, RTF, MSG, print rasters, archives."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence

import libarchive
import numpy as np
from PIL import Image

from makers import ole_of, package

OFD = "http://www.ofdspec.org/2016"


def text_object(text: str, *, x: float = 25, y: float = 30, size: float = 5.6, more: str = "", code: str = "") -> str:
    """Return an OFD text object; places in millimetres."""
    deltas = code or f'DeltaX="g {max(1, len(text) - 1)} {size}"'
    return (
        f'<ofd:TextObject ID="9" Boundary="{x} {y} 150 {size + 1}" Font="1" Size="{size}" {more}>'
        f'<ofd:TextCode X="0" Y="{size}" {deltas}>{text}</ofd:TextCode></ofd:TextObject>'
    )


def ofd_page(*objects: str, template: str = "") -> str:
    """Return the content of an OFD page."""
    below = f'<ofd:Template TemplateID="{template}" ZOrder="Background"/>' if template else ""
    layer = f'<ofd:Content><ofd:Layer ID="2" Type="Body">{"".join(objects)}</ofd:Layer></ofd:Content>'
    return f'<ofd:Page xmlns:ofd="{OFD}">{below}{layer}</ofd:Page>'


def ofd_of(*pages: str, parts: Mapping[str, str | bytes] | None = None, common: str = "", tail: str = "") -> bytes:
    """Return an OFD document of these pages; `common` and `tail` go into Document.xml."""
    entries = "".join(f'<ofd:Page ID="{n + 10}" BaseLoc="Pages/P{n}/Content.xml"/>' for n in range(len(pages)))
    document = (
        f'<ofd:Document xmlns:ofd="{OFD}"><ofd:CommonData><ofd:PageArea><ofd:PhysicalBox>0 0 210 297</ofd:PhysicalBox>'
        f"</ofd:PageArea>{common}</ofd:CommonData><ofd:Pages>{entries}</ofd:Pages>{tail}</ofd:Document>"
    )
    root = (
        f'<ofd:OFD xmlns:ofd="{OFD}" DocType="OFD" Version="1.0"><ofd:DocBody><ofd:DocInfo><ofd:DocID>1</ofd:DocID>'
        "<ofd:Title>题名里的字</ofd:Title></ofd:DocInfo><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>"
    )
    content = {f"Doc_0/Pages/P{n}/Content.xml": page for n, page in enumerate(pages)}
    return package({"OFD.xml": root, "Doc_0/Document.xml": document, **content, **(parts or {})})


ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"'
)


def odf_of(body: str, *, kind: str = "text", parts: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return an OpenDocument package with this body."""
    content = f"<office:document-content {ODF}><office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    out = io.BytesIO()
    import zipfile

    with zipfile.ZipFile(out, "w") as made:
        made.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        for name, data in {"content.xml": content, **(parts or {})}.items():
            made.writestr(name, data)
    return out.getvalue()


def doc_of(text: str, *, header: str = "", flags: int = 0, streams: Mapping[str, bytes] | None = None) -> bytes:
    """Return a Word 97 document: `text` and a header story, each character two bytes, in two pieces."""
    body = text.replace("\n", "\r") + "\r"
    head = header + "\r" if header else ""
    whole = (body + head).encode("utf-16-le")
    start = 1536
    cut = len(body) // 2
    count = (len(whole)) // 2
    fib = bytearray(start)
    struct.pack_into("<HH", fib, 0, 0xA5EC, 0x00C1)
    struct.pack_into("<H", fib, 0x0A, 0x0200 | flags)
    struct.pack_into("<II", fib, 0x18, start, start + len(whole))
    struct.pack_into("<i", fib, 0x4C, len(body))
    struct.pack_into("<i", fib, 0x54, len(head))
    places = struct.pack("<3I", 0, cut, count)
    pieces = struct.pack("<HIH", 0, start, 0) + struct.pack("<HIH", 0, start + 2 * cut, 0)
    clx = b"\x02" + struct.pack("<I", len(places) + len(pieces)) + places + pieces
    struct.pack_into("<II", fib, 0x01A2, 0, len(clx))
    return ole_of({"WordDocument": bytes(fib) + whole, "1Table": clx, **(streams or {})})


def rtf_of(*paragraphs: str) -> bytes:
    """Return an RTF file of these paragraphs, in Unicode escapes."""
    return b"{\\rtf1\\ansi\\ansicpg936\\uc1 " + b"\\par ".join(map(rtf_text, paragraphs)) + b"\\par}"


def rtf_text(text: str) -> bytes:
    """Return a text as RTF writes it."""
    units = np.frombuffer(text.encode("utf-16-le"), dtype="<i2").tolist()
    return b"".join(
        bytes((unit,)) if 32 <= unit < 127 and unit not in (92, 123, 125) else b"\\u%d?" % unit for unit in units
    )


def packed(kind: str, members: Mapping[str, bytes], *, filter_name: str | None = None, **options: str) -> bytes:
    """Return an archive of one of libarchive's formats."""
    pieces: list[bytes] = []
    with libarchive.custom_writer(
        lambda data: pieces.append(bytes(data)) or len(data), kind, filter_name, **options
    ) as made:
        for name, data in members.items():
            made.add_file_from_memory(name, len(data), data)
    return b"".join(pieces)


def pwg_of(*pages: Image.Image, dpi: int = 200) -> bytes:
    """Return a PWG raster of grey pages, packed line by line."""
    out = [b"RaS2"]
    for page in pages:
        grey = page.convert("L")
        header = bytearray(1796)
        header[:9] = b"PwgRaster"
        struct.pack_into(">II", header, 276, dpi, dpi)
        struct.pack_into(">II", header, 372, *grey.size)
        struct.pack_into(">5I", header, 384, 8, 8, grey.width, 0, 18)
        out += [bytes(header), _raster_lines(grey)]
    return b"".join(out)


def urf_of(*pages: Image.Image, dpi: int = 200) -> bytes:
    """Return an Apple raster of grey pages."""
    out = [b"UNIRAST\0" + struct.pack(">I", len(pages))]
    for page in pages:
        grey = page.convert("L")
        out += [
            struct.pack(">BBBBIIIIII", 8, 0, 1, 4, 0, 0, *grey.size, dpi, 0)[:32].ljust(32, b"\0"),
            _raster_lines(grey),
        ]
    return b"".join(out)


def _raster_lines(grey: Image.Image) -> bytes:
    out = bytearray()
    for line in np.asarray(grey):
        out.append(0)
        row = line.tobytes()
        at = 0
        while at < len(row):
            run = 1
            while at + run < len(row) and run < 128 and row[at + run] == row[at]:
                run += 1
            if run > 1 or at + 1 == len(row):
                out += bytes((run - 1, row[at]))
                at += run
                continue
            end = at + 1
            while end < len(row) and end - at < 128 and (end + 1 == len(row) or row[end] != row[end + 1]):
                end += 1
            if end - at == 1:
                out += bytes((0, row[at]))
            else:
                out.append(257 - (end - at))
                out += row[at:end]
            at = end
    return bytes(out)


def emf_of(*texts: str, bitmap: bytes = b"") -> bytes:
    """Return an EMF whose text records show these texts, one below the other."""
    records: list[bytes] = []
    for number, text in enumerate(texts):
        raw = text.encode("utf-16-le")
        body = struct.pack("<4iIff", 0, 0, 100, 100, 1, 1.0, 1.0)
        body += struct.pack("<iiIIIiiiiI", 10, 20 * number, len(text), 76, 0, 0, 0, 0, 0, 76 + len(raw))
        body += raw + b"\0" * (-len(raw) % 4) + bytes(4 * len(text))
        records.append(struct.pack("<II", 84, 8 + len(body)) + body)
    if bitmap:
        header, pixels = bitmap[14:54], bitmap[54:]
        body = (
            bytes(40) + struct.pack("<4I", 80, len(header), 80 + len(header), len(pixels)) + bytes(16) + header + pixels
        )
        records.append(struct.pack("<II", 81, 8 + len(body)) + body + b"\0" * (-len(body) % 4))
    records.append(struct.pack("<IIIII", 14, 20, 0, 16, 20))
    head = bytearray(100)
    struct.pack_into("<II", head, 0, 1, 100)
    head[40:44] = b" EMF"
    return bytes(head) + b"".join(records)


def spreadsheet_2003(rows: Sequence[Sequence[str]]) -> bytes:
    """Return a workbook in Excel's XML of 2003."""
    ns = "urn:schemas-microsoft-com:office:spreadsheet"
    made = "".join(
        "<Row>" + "".join(f'<Cell><Data ss:Type="String">{cell}</Data></Cell>' for cell in row) + "</Row>"
        for row in rows
    )
    return (
        f'<?xml version="1.0"?><Workbook xmlns="{ns}" xmlns:ss="{ns}"><Worksheet ss:Name="表一"><Table>{made}</Table>'
        "</Worksheet></Workbook>"
    ).encode()


def flat_opc(parts: Mapping[str, str]) -> bytes:
    """Return a package as one XML file."""
    ns = "http://schemas.microsoft.com/office/2006/xmlPackage"
    inner = "".join(
        f'<pkg:part pkg:name="/{name}" pkg:contentType="application/xml"><pkg:xmlData>{xml}</pkg:xmlData></pkg:part>'
        for name, xml in parts.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><pkg:package xmlns:pkg="{ns}">{inner}</pkg:package>'.encode()
