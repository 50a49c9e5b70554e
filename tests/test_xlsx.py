# ruff: noqa: E501  XML is clearer unbroken
"""Workbooks: rows are read as rows, and text is found wherever else it can hide."""

from __future__ import annotations

import io
import zipfile
from collections import Counter

import pytest

from dlp.formats import XLSX, Source, plain_sheets
from dlp.formats.room import Room
from dlp.formats.room import read as read_as
from dlp.model import Document, GapKind, Zone
from makers import changed, package, xlsx_of

NUMBER = "110101199003071233"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
X = "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"


def sheet(inner: str, after: str = "") -> str:
    """Return a sheet whose rows are `inner`."""
    return f'<worksheet xmlns="{S}" xmlns:r="{R}"><sheetData>{inner}</sheetData>{after}</worksheet>'


def row(*cells: str) -> str:
    """Return one row."""
    return f"<row>{''.join(cells)}</row>"


def text(value: str) -> str:
    """Return one cell with its text inside."""
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


def book(sheet_xml: str, **parts: str) -> bytes:
    """Return a workbook of one sheet; `parts` are more members, `__` stands for a slash and `_` for a dot."""
    more = {name.replace("__", "/").replace("_", "."): value for name, value in parts.items()}
    return changed(xlsx_of([["x"]]), {"xl/worksheets/sheet1.xml": sheet_xml, **more})


def shared(*items: str) -> str:
    """Return the part of the shared strings."""
    return f'<sst xmlns="{S}">{"".join(f"<si>{item}</si>" for item in items)}</sst>'


NAMED = f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets><sheet name="%s" sheetId="1" r:id="rId1"/></sheets>%s</workbook>'
MADE = {
    "sheet name": book(sheet(""), xl__workbook_xml=NAMED % (NUMBER, "")),
    "plain cell": xlsx_of([[NUMBER]]),
    "shared string": book(sheet(row('<c t="s"><v>0</v></c>')), xl__sharedStrings_xml=shared(f"<t>{NUMBER}</t>")),
    "shared string in runs": book(
        sheet(row('<c t="s"><v>0</v></c>')),
        xl__sharedStrings_xml=shared(f"<r><t>{NUMBER[:7]}</t></r><r><t>{NUMBER[7:]}</t></r>"),
    ),
    "shared string nobody uses": book(sheet(""), xl__sharedStrings_xml=shared(f"<t>{NUMBER}</t>")),
    "ruby": book(
        sheet(row('<c t="s"><v>0</v></c>')),
        xl__sharedStrings_xml=shared(f'<t>x</t><rPh sb="0" eb="1"><t>{NUMBER}</t></rPh>'),
    ),
    "inline string": book(sheet(row(text(NUMBER)))),
    "formula result": book(sheet(row(f'<c t="str"><f>A1</f><v>{NUMBER}</v></c>'))),
    "formula text": book(sheet(row(f'<c><f>IF(A1,"{NUMBER}","")</f><v>0</v></c>'))),
    "hidden row": book(sheet(f'<row hidden="1">{text(NUMBER)}</row>')),
    "hidden column": book(f'<worksheet xmlns="{S}"><cols><col min="1" max="1" hidden="1"/></cols><sheetData>{row(text(NUMBER))}</sheetData></worksheet>'),
    "comment": book(sheet(""), xl__comments1_xml=f'<comments xmlns="{S}"><commentList><comment ref="A1" authorId="0"><text><r><t>{NUMBER}</t></r></text></comment></commentList></comments>'),
    "comment author": book(sheet(""), xl__comments1_xml=f'<comments xmlns="{S}"><authors><author>{NUMBER}</author></authors></comments>'),
    "threaded comment": book(sheet(""), xl__threadedComments__t1_xml=f'<ThreadedComments xmlns="t"><threadedComment ref="A1"><text>{NUMBER}</text></threadedComment></ThreadedComments>'),
    "number format": book(sheet(""), xl__styles_xml=f'<styleSheet xmlns="{S}"><numFmts count="1"><numFmt numFmtId="200" formatCode="&quot;{NUMBER}&quot;0"/></numFmts></styleSheet>'),
    "print header": book(sheet("", f"<headerFooter><oddHeader>&amp;C{NUMBER}</oddHeader></headerFooter>")),
    "print footer": book(sheet("", f"<headerFooter><oddFooter>&amp;C{NUMBER}</oddFooter></headerFooter>")),
    "validation list": book(sheet("", f'<dataValidations><dataValidation type="list" sqref="A1"><formula1>"{NUMBER},b"</formula1></dataValidation></dataValidations>')),
    "validation prompt": book(sheet("", f'<dataValidations><dataValidation sqref="A1" prompt="{NUMBER}"/></dataValidations>')),
    "defined name": book(sheet(""), xl__workbook_xml=NAMED % ("a", f'<definedNames><definedName name="n">"{NUMBER}"</definedName></definedNames>')),
    "link": book(sheet("", '<hyperlinks><hyperlink ref="A1" r:id="rId1"/></hyperlinks>'), xl__worksheets___rels__sheet1_xml_rels=f'<Relationships xmlns="r"><Relationship Id="rId1" Type="t" Target="mailto:{NUMBER}" TargetMode="External"/></Relationships>'),
    "link tip": book(sheet("", f'<hyperlinks><hyperlink ref="A1" tooltip="{NUMBER}"/></hyperlinks>')),
    "title": book(sheet(""), docProps__core_xml=f'<c:coreProperties xmlns:c="c" xmlns:d="d"><d:title>{NUMBER}</d:title></c:coreProperties>'),
    "chart": book(sheet(""), xl__charts__chart1_xml=f'<c:chartSpace xmlns:c="c" xmlns:a="{A}"><a:t>{NUMBER}</a:t></c:chartSpace>'),
    "chart cache": book(sheet(""), xl__charts__chart1_xml=f'<c:chartSpace xmlns:c="c"><c:pt><c:v>{NUMBER}</c:v></c:pt></c:chartSpace>'),
    "shape text": book(sheet(""), xl__drawings__drawing1_xml=f'<x:wsDr xmlns:x="{X}" xmlns:a="{A}"><x:sp><x:txBody><a:p><a:r><a:t>{NUMBER}</a:t></a:r></a:p></x:txBody></x:sp></x:wsDr>'),
    "shape alt text": book(sheet(""), xl__drawings__drawing1_xml=f'<x:wsDr xmlns:x="{X}"><x:cNvPr id="1" name="p" descr="{NUMBER}"/></x:wsDr>'),
    "external link": book(sheet(""), xl__externalLinks__externalLink1_xml=f'<externalLink xmlns="{S}"><cell r="A1" t="str"><v>{NUMBER}</v></cell></externalLink>'),
    "pivot cache": book(sheet(""), xl__pivotCache__pivotCacheDefinition1_xml=f'<pivotCacheDefinition xmlns="{S}"><s v="{NUMBER}"/></pivotCacheDefinition>'),
}  # fmt: skip


def read(raw: bytes) -> Document:
    """Read a workbook as the child does."""
    return read_as(XLSX, Source(raw), Room())


@pytest.mark.parametrize("name", MADE)
def test_text_is_found_in_every_place(name: str) -> None:
    """A number is read as one run of text wherever in the package it lies, once."""
    document = read(MADE[name])
    assert sum(segment.text.count(NUMBER) for segment in document.segments) == 1
    assert not document.gaps


def test_rows_are_rows() -> None:
    """A row is one segment; its cells are a row of the grid, empty ones where columns are skipped."""
    document = read(xlsx_of([["姓名", "", "电话"], ["张三", "x", "13800138000"]], "名册"))
    (grid,) = document.tables
    cells = [[document.segments[c.segment].text[c.start : c.end] for c in line] for line in grid.rows]
    assert cells == [["姓名", "", "电话"], ["张三", "x", "13800138000"]]
    assert "张三\tx\t13800138000" in {s.text for s in document.segments}


def test_numbers_read_as_they_are_typed() -> None:
    """A mobile number that Excel stores as 1.3800138E10 is still one."""
    document = read(book(sheet(row("<c><v>1.3800138E10</v></c>", "<c><v>13800138001</v></c>", "<c><v>0.5</v></c>"))))
    assert "13800138000\t13800138001\t0.5" in {s.text for s in document.segments}


def test_cells_stand_where_their_reference_says() -> None:
    """A cell in column C of a row with nothing before it is the third cell of the grid."""
    document = read(book(sheet('<row><c r="C1" t="inlineStr"><is><t>右</t></is></c></row>')))
    ((one, two, three),) = document.tables[0].rows
    assert (one.start, one.end, two.start, two.end) == (0, 0, 0, 0)
    assert (three.start, three.end) == (0, 1)


def test_a_far_column_makes_no_endless_row() -> None:
    """The last column of a sheet costs no sixteen thousand empty cells a row."""
    wide = "".join('<row><c r="XFD1" t="inlineStr"><is><t>x</t></is></c></row>' for _ in range(50))
    assert all(len(cells) <= 1_025 for cells in read(book(sheet(wide))).tables[0].rows)


def test_a_reference_to_nothing_is_a_gap() -> None:
    """A cell that refers to a text that is not there is said, not skipped."""
    assert {g.kind for g in read(book(sheet(row('<c t="s"><v>7</v></c>')))).gaps} == {GapKind.CORRUPT}


def test_zones() -> None:
    """Headers of a page, formulas and unused strings say what they are."""
    assert _zone("print header") is Zone.HEADER
    assert _zone("print footer") is Zone.FOOTER
    assert _zone("formula text") is Zone.HIDDEN
    assert _zone("shared string nobody uses") is Zone.HIDDEN
    assert _zone("shared string") is Zone.BODY


def _zone(name: str) -> Zone:
    return next(s.zone for s in read(MADE[name]).segments if NUMBER in s.text)


def test_shared_strings_under_another_name() -> None:
    """The relationships say where the shared strings are; the usual name is only the usual one."""
    parts = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.xml": NAMED % ("a", ""),
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="r"><Relationship Id="1" Type="{R}/sharedStrings" Target="texts.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": sheet(row('<c t="s"><v>0</v></c>', text("b"))),
        "xl/texts.xml": shared("<t>a</t>"),
    }
    assert "a\tb" in {s.text for s in read(package(parts)).segments}


def test_a_binary_sheet_is_a_gap() -> None:
    """A sheet in Excel's binary form is not read, and that is said."""
    raw = changed(xlsx_of([["x"]]), {"xl/worksheets/sheet2.bin": bytes(300)})
    assert GapKind.UNSUPPORTED in {g.kind for g in read(raw).gaps}


SHEET_TRICKS = [
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" s="3"><v>12.5</v></c><c r="D1" t="str"><f>A1&amp;"机密"</f><v>甲&lt;乙</v></c></row>',
    '<row r="1" spans="1:3" ht="15.75"><c r="B1"/><c r="C1" t="b"><v>1</v></c></row><row r="2"/><row r="9"><c r="A9"><v>1.38001380E10</v></c></row>',
    '<row r="1"><c r="A1" t="inlineStr"><is><t xml:space="preserve"> 前 后 </t></is></c><c r="B1" t="e"><v>#N/A</v></c></row>',
    '<row r="1"><c r="A1" t="inlineStr"><is><r><t>机</t></r><r><t>密</t></r></is></c></row>',
    '<row r="1"><c r="A1" t="inlineStr"><is><t>&#26426;&#23494;&#38;amp;</t></is></c></row>',
    '<row r="1"><c><v>1</v></c><c><v>2</v></c></row>',
    '<row r="1"><!-- 注 --><c r="A1"><v>1</v></c></row>',
    '<row r="1"><c r="A1" t="s"><v>7</v></c></row>',
    '<row r="1" name="11010119900307301X"><c r="A1"><v>1</v></c></row>',
    '<row r="1"><c r="A1"><f t="shared" ref="A1:A9" si="0">SUM(1)</f><v>3</v></c><c r="B1"><f t="shared" si="0"/><v>4</v></c></row>',
]


@pytest.mark.parametrize("rows", SHEET_TRICKS, ids=range(len(SHEET_TRICKS)))
def test_the_quick_way_reads_what_the_parser_reads(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows read by their text are the rows that the XML parser gives: cells, columns, formulas, gaps."""
    ns = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'<worksheet xmlns="{ns}"><sheetData>{rows}</sheetData><headerFooter><oddHeader>&amp;C页眉</oddHeader></headerFooter></worksheet>'
    raw = changed(
        xlsx_of([["甲"]]),
        {
            "xl/worksheets/sheet1.xml": sheet,
            "xl/sharedStrings.xml": f'<sst xmlns="{ns}"><si><t>共享的字</t></si><si><t>没人用的字</t></si></sst>',
        },
    )

    def seen() -> tuple[Counter[tuple[str, Zone]], list[list[list[str]]], set[GapKind]]:
        document = read(raw)
        tables = [
            [[document.segments[c.segment].text[c.start : c.end] for c in row] for row in table.rows]
            for table in document.tables
        ]
        return Counter((s.text, s.zone) for s in document.segments), tables, {g.kind for g in document.gaps}

    quick = seen()
    monkeypatch.setattr(plain_sheets, "read_sheet", lambda *_: None)
    monkeypatch.setattr(plain_sheets, "read_strings", lambda *_: None)
    assert seen() == quick


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<sheetData>", b"<sheetData><!-- x -->"),
        (b"<t>", b"<t><![CDATA["),
        (b"<row ", b"<row y='a' "),
        (b"<t>", b"<t>&unknown;"),
        (b"<t>", b"<t>&#1;"),
        (b"</row>", b"</row></row>"),
        (b"<c ", b'<c z="1" '),
    ],
)
def test_odd_sheets_are_for_the_parser(old: bytes, new: bytes) -> None:
    """What Excel and its like write is read by its text; comments, sections and odd attributes are not."""
    with zipfile.ZipFile(io.BytesIO(xlsx_of([["姓名", "号码"], ["张三", "1"]]))) as made:
        plain = made.read("xl/worksheets/sheet1.xml")
    assert old in plain
    assert plain_sheets.read_sheet(plain, Room().check_time) is not None
    assert plain_sheets.read_sheet(plain.replace(old, new, 1), Room().check_time) is None


@pytest.mark.parametrize(
    "strings",
    [
        "<si><t>甲</t></si><si><t xml:space='preserve'> 乙 </t></si>",
        '<si><t>甲</t></si><si><t xml:space="preserve"> 乙 </t></si><si/>',
        "<si><r><t>机</t></r><r><t>密</t></r></si><si><t>乙</t><rPh><t>拼音</t></rPh></si>",
        "<si><t>甲&amp;&#38;lt;</t></si><!-- 注释里的字 -->",
        "<si><t>甲</t></si>散落的字",
    ],
    ids=range(5),
)
def test_shared_strings_are_read_alike(strings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared strings read by their text are those that the parser gives."""
    made = f'<?xml version="1.0" encoding="UTF-8"?>\n<sst xmlns="{S}" count="9" uniqueCount="2">{strings}</sst>'
    cells = row('<c r="A1" t="s"><v>0</v></c>', '<c r="B1" t="s"><v>1</v></c>')
    raw = changed(xlsx_of([["x"]]), {"xl/sharedStrings.xml": made, "xl/worksheets/sheet1.xml": sheet(cells)})
    quick = Counter((s.text, s.zone) for s in read(raw).segments)
    monkeypatch.setattr(plain_sheets, "read_strings", lambda *_: None)
    assert Counter((s.text, s.zone) for s in read(raw).segments) == quick
