"""One A4 sheet as a Word file: a title, lines, grids, a QR code. What certificates and slips are printed on."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal
from xml.sax.saxutils import escape

import docx
import segno
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Cm, Pt


def sheet(title: str, *, unit: str, moment: str, broad: Literal["", "A4", "A3"] = "") -> Any:
    """Return a new sheet with its title; `moment` (ISO 8601, UTC, seconds, Z) is when the file says it was made.

    A `broad` one lies across, of that size, with its pages numbered.
    """
    page = docx.Document()
    section = page.sections[0]
    section.page_width, section.page_height = Cm(21.0), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.5)
    section.top_margin = section.bottom_margin = Cm(2.2)
    if broad:
        section.orientation = WD_ORIENT.LANDSCAPE
        section.page_width, section.page_height = (Cm(42.0), Cm(29.7)) if broad == "A3" else (Cm(29.7), Cm(21.0))
        section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(1.5)
        _number(section)
    font = page.styles["Normal"].font
    font.name, font.size = "Times New Roman", Pt(10.5)
    # Word takes the face of Han characters from an attribute of its own.
    page.styles["Normal"].element.rPr.rFonts.set(qn("w:eastAsia"), "宋体")
    about = page.core_properties
    about.author, about.title, about.comments = _printable(unit)[:200], title, ""
    about.created = about.modified = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007  the library wants naive UTC
    line(page, title, size=22, bold=True, centred=True)
    return page


def line(page: Any, text: str, *, size: float = 10.5, bold: bool = False, centred: bool = False) -> None:
    """Add a line; a bold one that is not centred is the head of what follows."""
    paragraph = page.add_paragraph()
    run = paragraph.add_run(_printable(text))
    run.bold, run.font.size = bold, Pt(size)
    paragraph.paragraph_format.space_after = Pt(3)
    if bold and not centred:
        paragraph.paragraph_format.keep_with_next = True
    if centred:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER


def grid(page: Any, rows: Sequence[tuple[str, ...]], *, widths: tuple[float, ...], head: bool = False) -> None:
    """Add a table; `widths` are of its columns, in cm, and `head` says that the first row is one."""
    table = page.add_table(rows=0, cols=len(widths), style="Table Grid")
    table.autofit = False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Cm(width)
    for number, row in enumerate(rows):
        cells = table.add_row().cells
        for cell, text, width in zip(cells, row, widths, strict=True):
            cell.width = Cm(width)
            run = cell.paragraphs[0].add_run(_printable(text))
            run.font.size, run.bold = Pt(9), head and number == 0


def ledger(page: Any, columns: Sequence[str], rows: Iterable[Sequence[str]], *, shares: Sequence[float]) -> None:
    """Add a long table as wide as the page, its head on every page; `shares` of the width go to its columns."""
    section = page.sections[0]
    room = (section.page_width - section.left_margin - section.right_margin) / Cm(1)
    widths = [room * share / sum(shares) for share in shares]
    grid(page, [tuple(columns)], widths=tuple(widths), head=True)
    table = page.tables[-1]
    table.rows[0]._tr.get_or_add_trPr().append(parse_xml(f"<w:tblHeader {nsdecls('w')}/>"))  # noqa: SLF001  no public way
    twips = [round(width * 567) for width in widths]
    for row in rows:
        # One row as a piece of XML: the library's own way looks at the whole table for each cell.
        cells = "".join(
            f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/></w:tcPr><w:p><w:r><w:rPr><w:sz w:val="16"/></w:rPr>'
            f'<w:t xml:space="preserve">{escape(_printable(text))}</w:t></w:r></w:p></w:tc>'
            for text, width in zip(row, twips, strict=True)
        )
        table._tbl.append(parse_xml(f"<w:tr {nsdecls('w')}><w:trPr><w:cantSplit/></w:trPr>{cells}</w:tr>"))  # noqa: SLF001


def _number(section: Any) -> None:
    """Write the number of each page at its foot."""
    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for text, field in (("第 ", "PAGE"), (" 页 共 ", "NUMPAGES"), (" 页", "")):
        foot.add_run(text)
        if field:
            foot._p.append(  # noqa: SLF001  no public way
                parse_xml(f'<w:fldSimple {nsdecls("w")} w:instr="{field}"><w:r><w:t>1</w:t></w:r></w:fldSimple>')
            )


def square(page: Any, text: str, *, width: float = 4.2) -> None:
    """Add a QR code of `text`, `width` cm wide."""
    page.add_picture(io.BytesIO(qr(text)), width=Cm(width))


def qr(text: str) -> bytes:
    """Return a QR code as a PNG: level M, which a photocopy survives."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="png", scale=8, border=4)
    return out.getvalue()


def bytes_of(page: Any) -> bytes:
    """Return a sheet as the bytes of a Word file."""
    out = io.BytesIO()
    page.save(out)
    return out.getvalue()


def _printable(text: str) -> str:
    """Return a text without what XML cannot hold: the name of a unit may hold anything."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\u3000")
