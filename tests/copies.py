"""Redacted copies of a small PDF, made without the redactor: proper ones, and ones with a planted defect."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from dlp.model import Box, Cut
from pdf_makers import A4, DEJAVU, HAN, drawn

NUMBER = "11010519491231002X"
X, Y, SIZE = 72.0, 700.0, 12.0
HEAD, TAIL = "申请人身份证号：", "，请予办理。"
START = X + pdfmetrics.stringWidth(HEAD, HAN, SIZE)
END = START + pdfmetrics.stringWidth(NUMBER, "Helvetica", SIZE)
BOX = (START, Y - 3, END, Y + 10)
"""Left, bottom, right, top."""
BOXES = b"q 0 g %.2f %.2f %.2f %.2f re f Q" % (BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1])
LABELLED = BOXES[:-1] + b"1 g BT /WYG 8 Tf %.2f %.2f Td (REMOVED) Tj ET Q" % (START + 2, Y)
CUT = Cut(
    part=(),
    anchor="",
    start=len(HEAD),
    end=len(HEAD + NUMBER),
    label="〔已脱敏：居民身份证号〕",
    type="cn_resident_id",
    boxes=(Box(1, BOX[0], A4[1] - BOX[3], BOX[2], A4[1] - BOX[1]),),
)

Draw = Callable[[Any], None]


def letter(sheet: Any, *, number: str = "", shift: float = 0.0, more: Draw | None = None) -> None:
    """Draw the page: with its number before, without it afterwards."""
    sheet.setFont(HAN, SIZE)
    sheet.drawString(X, Y, HEAD)
    sheet.drawString(END + shift, Y, TAIL)
    for line in range(1, 20):
        sheet.drawString(X, Y - 20 * line, f"第{line}条　双方应当遵守本合同的约定，按时履行各自的义务。")
    sheet.setFont("Helvetica", SIZE)
    if number:
        sheet.drawString(START, Y, number)
    if more is not None:
        more(sheet)


def before(more: Draw | None = None) -> bytes:
    """Return the file as it was."""
    return drawn(lambda sheet: letter(sheet, number=NUMBER, more=more))


def copy(
    more: Draw | None = None,
    *,
    shift: float = 0.0,
    boxes: bytes = LABELLED,
    change: Callable[[pikepdf.Pdf], None] | None = None,
    pages: tuple[Draw, ...] | None = None,
) -> bytes:
    """Return a copy without the number; `change` plants a defect in its structure."""
    raw = drawn(*(pages or (lambda sheet: letter(sheet, shift=shift, more=more),)))
    return finished(raw, boxes=boxes, change=change)


def finished(raw: bytes, *, boxes: bytes = LABELLED, change: Callable[[pikepdf.Pdf], None] | None = None) -> bytes:
    """Put a page into a new file as the redactor does, its boxes in a stream of their own."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(raw)) as old, pikepdf.new() as new:
        new.pages.extend(old.pages)
        for number, page in enumerate(new.pages):
            page.contents_coalesce()
            content = new.make_stream(b"q\n" + page.obj.Contents.read_bytes() + b"\nQ")
            page.obj.Contents = content
            for key in ("/Trans", "/Annots"):
                if key in page.obj:
                    del page.obj[key]
            if boxes and number == 0:
                page.obj.Contents = new.make_indirect(pikepdf.Array([content, new.make_stream(boxes)]))
                label = pikepdf.Dictionary(
                    Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
                )
                page.obj.Resources.Font["/WYG"] = new.make_indirect(label)
        if change is not None:
            change(new)
        new.save(out, deterministic_id=True)
    return out.getvalue()


def embedded_font() -> str:
    """Return the name of a font that comes with a file, with the characters that are written alone."""
    if not DEJAVU.exists():
        pytest.skip("DejaVu Sans is not installed (fonts-dejavu-core)")
    font = TTFont("DejaVu few", str(DEJAVU), asciiReadable=False)
    font.face.name = b"DejaVuFew"  # ReportLab keeps one font a face, and other tests want this face with all of ASCII
    pdfmetrics.registerFont(font)
    return "DejaVu few"
