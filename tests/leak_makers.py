"""PDF files with redactions that leak, and honest ones that look alike; made in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pikepdf
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader

from pdf_makers import HAN, by_hand, changed, drawn, revised, simple

SECRET = "110101199003071233"
LINE = f"申请人张三，身份证号{SECRET}，住址略"
X, Y, SIZE = 72, 700, 14
WHOLE = (X - 4, Y - 5, 460, SIZE + 10)  # x, y, width, height of a box over the whole line
Paint = Callable[[Any], None]


def text(sheet: Any, line: str = LINE, *, y: float = Y, font: str = HAN, size: float = SIZE) -> None:
    """Write one line in black."""
    sheet.setFillColorRGB(0, 0, 0)
    sheet.setFont(font, size)
    sheet.drawString(X, y, line)


def box(sheet: Any, colour: tuple[float, float, float] = (0, 0, 0), at: tuple[float, ...] = WHOLE) -> None:
    """Fill a rectangle."""
    sheet.setFillColorRGB(*colour)
    sheet.rect(*at, stroke=0, fill=1)


def page(*steps: Paint) -> bytes:
    """Return one page with another line above, painted in steps."""

    def paint(sheet: Any) -> None:
        text(sheet, "关于某事项的答复", y=760)
        for step in steps:
            step(sheet)

    return drawn(paint)


def boxed(colour: tuple[float, float, float] = (0, 0, 0)) -> bytes:
    """Return a page whose line lies under a box."""
    return page(text, lambda sheet: box(sheet, colour))


def noted(kind: str, entries: bytes, *, look: bytes = b"") -> bytes:
    """Return a page with an annotation over its line; `look` is the content of its own drawing."""
    content = b"BT /F1 14 Tf 72 700 Td (Patient SSN 123-45-6789) Tj ET"
    objects = simple(content, page=b"/Annots [6 0 R]")
    ap = b"/AP << /N 7 0 R >>" if look else b""
    rect = b"/Rect [70 690 300 720]"
    objects.append(b"<< /Type /Annot /Subtype /%s %s %s /F 4 %s >>" % (kind.encode(), rect, ap, entries))
    if look:
        form = b"/Type /XObject /Subtype /Form /BBox [70 690 300 720]"
        objects.append(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(look), form, look))
    return by_hand(objects)


def later(before: bytes, after: bytes) -> bytes:
    """Return a file whose second revision replaces the content of its only page."""
    return revised(by_hand(simple(before)), after)


def lettered(sheet: Any, line: str, *, widths: bool = True) -> None:
    """Write a line of Helvetica in which [] stands for a gap that a black box fills exactly."""
    before, after = line.split("[]")
    font = "Helvetica" if widths else "Courier"
    text(sheet, before, font=font)
    start = X + sheet.stringWidth(before, font, SIZE)
    wide = sheet.stringWidth("Wentworth", font, SIZE)
    box(sheet, at=(start, Y - 3, wide, SIZE + 1))
    sheet.setFillColorRGB(0, 0, 0)
    sheet.drawString(start + wide, Y, after)


def scan(*, words: bool = True, black: bool = False, white: bool = False) -> ImageReader:
    """Return a page as a scanner gives it; one of its lines may be painted out in the picture."""
    image = Image.new("L", (1190, 1684), 250)
    pen = ImageDraw.Draw(image)
    for number in range(12):
        line = f"Line {number}: the quick brown fox jumps over the lazy dog 4711 {number}"
        if words:
            pen.text((120, 120 + 100 * number), line, fill=10, font_size=36)
    if black or white:
        pen.rectangle((110, 110 + 500, 1180, 110 + 560), fill=0 if black else 250)
    return ImageReader(image)


def scanned(*, under: bool = False, **options: bool) -> bytes:
    """Return a scan with the text layer of an OCR engine, unpainted over the picture or painted under it."""

    def paint(sheet: Any) -> None:
        def layer() -> None:
            for number in range(12):
                line = sheet.beginText(60, 842 - (120 + 100 * number + 34) / 2)
                line.setFont("Helvetica", 17.4)
                line.setTextRenderMode(0 if under else 3)
                line.textOut(f"Line {number}: the quick brown fox jumps over the lazy dog 4711 {number}")
                sheet.drawText(line)

        if under:
            layer()
        sheet.drawImage(scan(**options), 0, 0, 595, 842)
        if not under:
            layer()

    return drawn(paint)


def multiplied(raw: bytes, mode: str) -> bytes:
    """Return the file with every graphics state of its first page set to a blend mode."""

    def change(pdf: pikepdf.Pdf) -> None:
        for state in pdf.pages[0].Resources.ExtGState.values():
            state.BM = pikepdf.Name("/" + mode)

    return changed(raw, change)


def attached(raw: bytes) -> bytes:
    """Return the file with another one inside."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.attachments["table.csv"] = b"a,b\n1,2\n"

    return changed(raw, change)


def titled(raw: bytes, **entries: str) -> bytes:
    """Return the file with these entries of its document information and no others."""

    def change(pdf: pikepdf.Pdf) -> None:
        for key in list(pdf.docinfo.keys()):
            del pdf.docinfo[key]
        for key, value in entries.items():
            pdf.docinfo["/" + key] = value

    return changed(raw, change)


def picture_of(colour: int, size: tuple[int, int] = (60, 20)) -> ImageReader:
    """Return a picture of one grey."""
    return ImageReader(Image.new("L", size, colour))


def photograph() -> ImageReader:
    """Return a picture without paper: grey waves of all tones, dark on the whole."""
    image = Image.new("L", (300, 420))
    image.putdata([(x * x // 7 + y * 3) % 200 for y in range(420) for x in range(300)])
    return ImageReader(image)
