"""What is read in sweeps is what the libraries read one by one: characters of pages, sheets, references, rows."""

from __future__ import annotations

import ctypes
import io
from itertools import pairwise
from typing import Any

import numpy as np
import openpyxl
import pypdfium2.raw as pdfium
import pytest
import python_calamine
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from dlp.formats import XLSX, Source, pdf_faces, plain_sheets, plain_xml
from dlp.formats.pdf_lines import Glyphs, Style, build
from dlp.formats.pdf_pages import Reader, Seen
from dlp.formats.room import Reading, Room
from dlp.formats.room import read as read_as
from dlp.formats.rows import Rows
from dlp.model import Zone
from pdf_makers import HAN, by_hand, drawn, embedded, simple, stream, written

# Characters of a page -------------------------------------------------------------------------------------------


def one_by_one(raw: bytes) -> list[tuple[str, tuple[float, float, float, float], int]]:
    """Return text, box from the top left, and object of each drawn character of the first page, as pdfium says them."""
    document = pdfium.FPDF_LoadMemDocument64(raw, len(raw), None)
    page = pdfium.FPDF_LoadPage(document, 0)
    high = pdfium.FPDF_GetPageHeightF(page)
    text = pdfium.FPDFText_LoadPage(page)
    box = pdfium.FS_RECTF()
    found = []
    for number in range(pdfium.FPDFText_CountChars(text)):
        owner = pdfium.FPDFText_GetTextObject(text, number)
        if owner:
            pdfium.FPDFText_GetLooseCharBox(text, number, ctypes.byref(box))
            place = ctypes.cast(owner, ctypes.c_void_p).value or 0
            sides = (box.left, high - box.top, box.right, high - box.bottom)
            found.append((chr(pdfium.FPDFText_GetUnicode(text, number)), sides, place))
    pdfium.FPDFText_ClosePage(text)
    pdfium.FPDF_ClosePage(page)
    pdfium.FPDF_CloseDocument(document)
    return found


def seen_of(raw: bytes) -> Seen:
    """Return the first page as the reader sees it."""
    with Reader(raw) as reader:
        seen = reader.read(0)
    assert seen is not None
    return seen


def mixed(sheet: Any) -> None:
    """Write long and short objects, blanks that the file has and blanks that it leaves out, one line over another."""
    sheet.setFont("Helvetica", 12)
    sheet.drawString(72, 700, "a line of several words, and 4200000")
    sheet.drawString(72, 700 - 20, "left")
    sheet.drawString(160, 700 - 20, "right")
    text = sheet.beginText(72, 640)
    text.setCharSpace(9)
    text.textOut("wide apart")
    sheet.drawText(text)


TO_HEBREW = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >>"
CMAP = (
    b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange "
    b"1 beginbfrange <61> <7A> <05D0> endbfrange endcmap end end"
)


def hebrew() -> bytes:
    """Return a page whose lines run from right to left and mix with digits, in several objects a line."""
    first = b"BT /F1 12 Tf 72 700 Td (abc) Tj (12) Tj (xyz) Tj ( 7 ) Tj (fgh) Tj ET"
    second = b"BT /F1 12 Tf 72 650 Td (ABCDabc) Tj (def) Tj ET"
    objects = simple(first + b" " + second)
    at = next(i for i, one in enumerate(objects) if b"/Type /Font" in one)
    objects[at] = TO_HEBREW
    return by_hand([*objects, stream(CMAP)])


@pytest.mark.parametrize(
    "raw",
    [
        drawn(mixed),
        embedded("plain words, 12"),
        hebrew(),
        drawn(written("plain text\nof two lines", font="Courier")),
    ],
    ids=["mixed", "embedded", "right to left", "latin"],
)
def test_characters_are_those_that_pdfium_tells_one_by_one(raw: bytes) -> None:
    """Text, boxes and objects of a page are the same whether they are asked for in sweeps or each by itself."""
    glyphs = seen_of(raw).glyphs
    told = one_by_one(raw)
    assert glyphs.text == [text if text not in "\r\n\t" else " " for text, _, _ in told]
    assert np.allclose(glyphs.boxes, np.array([box for _, box, _ in told]), atol=0.02)
    # Objects have other addresses in another document; which characters share one is the same.
    assert [a == b for a, b in pairwise(glyphs.objects)] == [a == b for (_, _, a), (_, _, b) in pairwise(told)]


def test_the_hebrew_page_is_one() -> None:
    """The page from right to left is really read from right to left, so that it tests what it says."""
    assert any("\u0590" <= char < "\u0600" for char in seen_of(hebrew()).glyphs.text)


# Fonts of this machine --------------------------------------------------------------------------------------------


def test_a_plain_page_is_read_alike_without_the_fonts_of_this_machine() -> None:
    """Text and places along a line come from the file; a Chinese character keeps the height of one."""
    raw = drawn(written("国家秘密 no. 42", size=20))
    glyphs, told = seen_of(raw).glyphs, one_by_one(raw)
    assert glyphs.text == [text for text, _, _ in told]
    # A glyph that reaches over its width reaches into the next one's place, not further.
    assert np.allclose(glyphs.boxes[:, [0, 2]], np.array([box for _, box, _ in told])[:, [0, 2]], atol=0.1 * 20)
    assert float((glyphs.boxes[:4, 3] - glyphs.boxes[:4, 1]).min()) >= 20


@pytest.mark.parametrize("hide", ["white", "below a box", "invisible"])
def test_a_page_whose_looks_matter_is_read_with_all_fonts(hide: str) -> None:
    """Where text may be hidden the page can be drawn while it is watched, with the letters that viewers show."""

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 30)
        if hide == "white":
            sheet.setFillColorRGB(1, 1, 1)
        text = sheet.beginText(72, 700)
        text.setTextRenderMode(3 if hide == "invisible" else 0)
        text.textOut("绝密")
        sheet.drawText(text)
        if hide == "below a box":
            sheet.rect(60, 690, 100, 50, fill=1)

    bare: list[bool] = []
    raw = drawn(page)
    with Reader(raw, lambda _number, _page, _raw, seen: bare.append(seen.bare)) as reader:
        reader.read(0)
    assert bare == [False]
    with Reader(drawn(written("绝密"))) as reader:
        seen = reader.read(0)
        assert seen is not None
        assert reader._drawn is None


def test_fonts_are_withheld_only_while_asked() -> None:
    """Whoever opens a document after a page was read gets the fonts of this machine again."""
    raw = drawn(written("国家", size=20))
    before = [box for _, box, _ in one_by_one(raw)]
    seen_of(raw)
    assert [box for _, box, _ in one_by_one(raw)] == before
    with pdf_faces.withheld():
        assert [box for _, box, _ in one_by_one(raw)] != before, "no font of this machine has Chinese characters"


def test_a_single_character_of_a_font_that_is_withheld_is_read() -> None:
    """A font that is not there measures nothing, and what measures nothing is still read."""
    assert seen_of(drawn(written("密"))).glyphs.text == ["密"]


def test_a_band_of_a_page_is_what_the_whole_page_shows_there() -> None:
    """A line that is drawn by itself has the pixels that it has on its page, but for rounding."""
    raw = embedded("plain words")
    with Reader(raw) as reader:
        whole, band = reader.render(0, 150, 4000), reader.render(0, 150, 4000, (60.0, 200.0))
    assert whole is not None
    assert band is not None
    rows = np.frombuffer(whole.pixels, dtype=np.uint8).reshape(whole.height, whole.width).astype(int)
    part = np.frombuffer(band.pixels, dtype=np.uint8).reshape(band.height, band.width).astype(int)
    assert part.min() < 100
    assert np.abs(rows[band.top : band.top + band.height] - part).max() <= 8


# References and tags ----------------------------------------------------------------------------------------------

NAMED = ("&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&nbsp;", "&#38;", "&#20013;", "&#128512;", "&#10;", "&#xD;")
BROKEN = ("&#1;", "&#x4e2d;", "&#55296;", "&#65534;", "&#1114112;", "&#;", "&;", "&", ";", "amp;", "#38;")
PIECES = st.sampled_from((*NAMED, *BROKEN, "中", "😀", "a", " ", "\r\n", "\r"))


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_references_are_resolved_as_a_parser_does(pieces: list[str]) -> None:
    """A text comes out as libxml2 reads it, or not at all; what libxml2 refuses never comes out."""
    inner = "".join(pieces)
    raw = f"<row><t>{inner}</t></row>".encode()
    tags = plain_xml.tags(raw)
    assert tags is not None
    texts = tags.texts(np.array([1]))
    try:
        parsed = etree.fromstring(raw)[0].text or ""
    except etree.XMLSyntaxError:
        assert texts is None
    else:
        assert texts in ([parsed], None)
        assert texts is not None or "&#x" in inner


@pytest.mark.parametrize("raw", [b"<a\1/>", b"<a>\xef\xbf\xbf</a>", b"<a>></a>", b"<a<b></a>", b"x<a/>", b"", b"text"])
def test_what_is_not_plain_is_for_a_parser(raw: bytes) -> None:
    """Forbidden characters, signs without a partner and text before the first tag are not taken."""
    assert plain_xml.tags(raw) is None


def test_numbers_that_tell_something_do_not_hide_in_tags() -> None:
    """A tag with a number as long as a telephone number is not taken for one of many alike."""
    short, long = plain_xml.tags(b'<row r="1380013800"/>'), plain_xml.tags(b'<row r="13800138000"/>')
    assert short is not None
    assert long is not None
    assert short.forms(np.array([0])) == [b'<row r="0"/']
    assert long.forms(np.array([0])) is None


# Sheets -----------------------------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.none(),
    st.text("中文 ab<>&\"'\t\n;#E10", max_size=8),
    st.integers(-(10**14), 10**14),
    st.sampled_from(["110101199003071233", "1E5", "=1+1", "甲\n乙"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(CELLS, max_size=6), min_size=1, max_size=8))
def test_sheets_are_read_as_calamine_reads_them(rows: list[list[Any]]) -> None:
    """Each row has the values that calamine finds in it, in their columns."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for number, row in enumerate(rows, 1):
        for column, value in enumerate(row, 1):
            cell = sheet.cell(number, column)
            if isinstance(value, str):
                cell.value, cell.data_type = value, "s"  # also what looks like a formula
            else:
                cell.value = value
    out = io.BytesIO()
    book.save(out)
    raw = out.getvalue()
    document = read_as(XLSX, Source(raw), Room())
    found = [
        [document.segments[cell.segment].text[cell.start : cell.end] for cell in row]
        for table in document.tables
        for row in table.rows
    ]
    calamine = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw)).get_sheet_by_index(0)
    told = [[_shown(value) for value in row] for row in calamine.to_python(skip_empty_area=False)]
    assert found == [kept for kept in map(_without_end, told) if kept]


def _shown(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _without_end(row: list[str]) -> list[str]:
    while row and not row[-1]:
        row = row[:-1]
    return row


def test_a_sheet_of_several_chunks_is_read_whole() -> None:
    """Rows are counted on from one stretch of bytes to the next."""
    made = "".join(f'<row r="{n}"><c r="A{n}" t="str"><v>第{n}行</v></c></row>' for n in range(1, 20_001))
    data = f"<worksheet><sheetData>{made}</sheetData></worksheet>".encode()
    sheet = plain_sheets.read_sheet(data, lambda: None)
    assert sheet is not None
    assert len(sheet.cells) > 2
    assert [text for cells in sheet.cells for text in cells.texts] == [f"第{n}行" for n in range(1, 20_001)]


LETTERS = st.sampled_from(["1", " 2 ", "X", "ab", "甲乙", "3"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 9), LETTERS, max_size=8), min_size=1, max_size=6))
def test_rows_that_come_at_once_are_rows_that_come_one_by_one(rows: list[dict[int, str]]) -> None:
    """Segments, grids and the texts of boxes are the same however the cells come."""
    single, whole = Reading(Room()), Reading(Room())
    one = Rows(single, ("a",))
    for row in rows:
        for column in sorted(row):
            one.cell(column, row[column])
        one.end_row()
    one.end()
    cells = [(number, column, row[column]) for number, row in enumerate(rows) for column in sorted(row)]
    many = Rows(whole, ("a",))
    numbers, columns = (np.array([cell[i] for cell in cells], dtype=np.int64) for i in (0, 1))
    many.extend(numbers, columns, [text for _, _, text in cells])
    many.end()
    assert whole.document("") == single.document("")
    runs = [s.text for s in whole.segments if s.zone is Zone.HIDDEN]
    assert all(len(text) >= 4 for text in runs)


def test_a_glyph_of_several_characters_is_no_blank_because_it_begins_with_one() -> None:
    """A font map can give a glyph any text; what begins with a blank at the end of a line is not cut off."""
    boxes = np.array([[72.0, 100, 84, 112], [84, 100, 96, 112], [96, 100, 108, 112]])
    lines = build(Glyphs(["甲", " 乙", " "], boxes, np.zeros(3, dtype=np.int64), [Style(size=12)]))
    assert [line.text for line in lines] == ["甲 乙"]
