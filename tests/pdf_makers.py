"""PDF files for tests, made in memory: honest ones with reportlab, odd ones with pikepdf or by hand."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen import canvas

A4 = (595.0, 842.0)
HAN = "STSong-Light"
DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
pdfmetrics.registerFont(UnicodeCIDFont(HAN))


def drawn(*pages: Callable[[Any], None], size: tuple[float, float] = A4) -> bytes:
    """Make a PDF whose pages are drawn by the given functions on a reportlab canvas."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=size, pageCompression=1)
    for page in pages:
        page(sheet)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def written(text: str, *, font: str = HAN, size: float = 14, x: float = 72, y: float = 700) -> Callable[[Any], None]:
    """Return a page function that writes one line per line of `text`."""

    def page(sheet: Any) -> None:
        sheet.setFont(font, size)
        for number, line in enumerate(text.split("\n")):
            sheet.drawString(x, y - number * size * 1.5, line)

    return page


def changed(raw: bytes, change: Callable[[pikepdf.Pdf], None], **save: Any) -> bytes:
    """Open a PDF with pikepdf, change it, and return it written anew."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(raw)) as pdf:
        change(pdf)
        pdf.save(out, **save)
    return out.getvalue()


def by_hand(objects: list[bytes], *, trailer: bytes = b"", header: bytes = b"%PDF-1.7\n") -> bytes:
    """Write numbered objects, a classic cross-reference table and a trailer; object 1 is the catalog."""
    out = bytearray(header)
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(out)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """Return a stream object's body."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def simple(content: bytes, *, page: bytes = b"", pages: bytes = b"/Count 1", entries: bytes = b"") -> list[bytes]:
    """Return the objects of a one-page document in Helvetica: catalog, page tree, page, font, content."""
    return [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] %s >>" % pages,
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R "
        b"/Resources << /Font << /F1 4 0 R >> >> %s >>" % page,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        stream(content, entries),
    ]


def revised(raw: bytes, content: bytes, number: int = 5) -> bytes:
    """Append an incremental update that replaces object `number` by a stream of `content`."""
    previous = int(raw.rsplit(b"startxref\n", 1)[1].split()[0])
    place = len(raw)
    body = b"%d 0 obj\n%s\nendobj\n" % (number, stream(content))
    start = place + len(body)
    table = b"xref\n%d 1\n%010d 00000 n \n" % (number, place)
    tail = b"trailer\n<< /Size 6 /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (previous, start)
    return raw + body + table + tail


def picture(width: int = 120, height: int = 120) -> ImageReader:
    """Return a picture with something on it."""
    from PIL import Image

    image = Image.new("L", (width, height), 255)
    for x in range(0, width, 3):
        image.putpixel((x, x % height), 0)
    return ImageReader(image)


def squeezed_zeros(count: int) -> bytes:
    """Return `count` zero bytes under two layers of Deflate: a few hundred bytes."""
    engine = zlib.compressobj(9)
    inner = b"".join(engine.compress(bytes(1 << 20)) for _ in range(count >> 20)) + engine.flush()
    return zlib.compress(inner, 9)


def text_pdf(*pages: str) -> bytes:
    """Return a PDF with these pages of Chinese text."""
    return drawn(*(written(text) for text in pages))


def encrypted_pdf() -> bytes:
    """Return a PDF that needs a password to open."""
    return changed(text_pdf("机密"), lambda _: None, encryption=pikepdf.Encryption(user="u", owner="o"))


def flate_bomb(size: int = 2 << 30) -> bytes:
    """Return a small PDF whose content stream inflates to `size` bytes of blanks."""
    engine = zlib.compressobj(9)
    block = b" " * (1 << 20)
    packed = b"".join(engine.compress(block) for _ in range(size >> 20)) + engine.flush()
    return by_hand(simple(packed, entries=b"/Filter /FlateDecode"))


def embedded(text: str, *, lie: bool = False) -> bytes:
    """Return two pages in a font that comes with the file; with `lie` its map says that its letters are Chinese."""
    if not DEJAVU.exists():
        pytest.skip("DejaVu Sans is not installed (fonts-dejavu-core)")
    pdfmetrics.registerFont(TTFont("DejaVu", str(DEJAVU)))
    raw = drawn(written(text, font="DejaVu", size=20), written(text, font="DejaVu", size=20))
    if not lie:
        return raw
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
        b"1 begincodespacerange <00> <FF> endcodespacerange\n1 beginbfrange <00> <FF> <4E00> endbfrange\n"
        b"endcmap end end"
    )

    def swap(pdf: pikepdf.Pdf) -> None:
        for thing in pdf.objects:
            if isinstance(thing, pikepdf.Dictionary) and "/ToUnicode" in thing:
                thing.ToUnicode.write(cmap)

    return changed(raw, swap)
