# ruff: noqa: E501  XML is clearer unbroken
"""Word files: text is found wherever it can hide, and a cut is gone from every place of the package."""

from __future__ import annotations

import io
import zipfile

import docx
import pytest
from PIL import Image

from dlp.formats import DOCX, Full, NotRedactable, Source
from dlp.formats import docx as word
from dlp.formats.ooxml import Taker, condense, parse
from dlp.formats.ooxml_text import Collector
from dlp.formats.room import Reading, Room
from dlp.formats.room import read as read_as
from dlp.model import Cut, Document, GapKind, Zone
from makers import W, body, changed, docx_of, entity_bomb, xlsx_of

NUMBER = "110101199003071233"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
V = "urn:schemas-microsoft-com:vml"
WP = "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
WPS = "http://schemas.microsoft.com/office/word/2010/wordprocessingShape"
M = "http://schemas.openxmlformats.org/officeDocument/2006/math"
XMLNS = f'xmlns:w="{W}" xmlns:r="{R}" xmlns:v="{V}" xmlns:wp="{WP}" xmlns:a="{A}" xmlns:wps="{WPS}" xmlns:m="{M}"'


def run(text: str) -> str:
    """Return one run of a paragraph."""
    return f"<w:r><w:t>{text}</w:t></w:r>"


def p(inner: str) -> str:
    """Return a paragraph."""
    return f"<w:p>{inner}</w:p>"


def part(root: str, inner: str) -> str:
    """Return a part with this root."""
    return f"<w:{root} {XMLNS}>{inner}</w:{root}>"


BODY = {
    "body": p(run("N")),
    "over three runs": p(run("N1") + run("N2") + run("N3")),
    "table cell": f"<w:tbl><w:tr><w:tc>{p(run('N'))}</w:tc></w:tr></w:tbl>",
    "nested table": f"<w:tbl><w:tr><w:tc><w:tbl><w:tr><w:tc>{p(run('N'))}</w:tc></w:tr></w:tbl>{p('')}</w:tc></w:tr></w:tbl>",
    "content control cell": f"<w:tbl><w:tr><w:sdt><w:sdtContent><w:tc>{p(run('N'))}</w:tc></w:sdtContent></w:sdt></w:tr></w:tbl>",
    "inserted": p(f'<w:ins w:id="1" w:author="a">{run("N")}</w:ins>'),
    "deleted": p('<w:del w:id="1" w:author="a"><w:r><w:delText>N</w:delText></w:r></w:del>'),
    "moved from": p(f'<w:moveFrom w:id="1" w:author="a">{run("N")}</w:moveFrom>'),
    "moved to": p(f'<w:moveTo w:id="1" w:author="a">{run("N")}</w:moveTo>'),
    "text box": p(
        f"<w:r><w:drawing><wps:txbx><w:txbxContent>{p(run('N'))}</w:txbxContent></wps:txbx></w:drawing></w:r>"
    ),
    "old text box": p(
        f"<w:r><w:pict><v:textbox><w:txbxContent>{p(run('N'))}</w:txbxContent></v:textbox></w:pict></w:r>"
    ),
    "vanished": p("<w:r><w:rPr><w:vanish/></w:rPr><w:t>N</w:t></w:r>"),
    "white": p('<w:r><w:rPr><w:color w:val="FFFFFF"/><w:sz w:val="2"/></w:rPr><w:t>N</w:t></w:r>'),
    "simple field": p(f'<w:fldSimple w:instr="PAGE">{run("N")}</w:fldSimple>'),
    "field code": p("<w:r><w:instrText>QUOTE N</w:instrText></w:r>"),
    "control alias": f'<w:sdt><w:sdtPr><w:alias w:val="N"/></w:sdtPr><w:sdtContent>{p(run("x"))}</w:sdtContent></w:sdt>',
    "block control": f"<w:sdt><w:sdtContent>{p(run('N'))}</w:sdtContent></w:sdt>",
    "inline control": p(f"<w:sdt><w:sdtContent>{run('N')}</w:sdtContent></w:sdt>"),
    "link text": p(f'<w:hyperlink w:anchor="x">{run("N")}</w:hyperlink>'),
    "smart tag": p(f'<w:smartTag w:uri="u" w:element="e">{run("N")}</w:smartTag>'),
    "equation": p("<m:oMath><m:r><m:t>N</m:t></m:r></m:oMath>"),
    "ruby": p(f"<w:r><w:ruby><w:rt>{run('x')}</w:rt><w:rubyBase>{run('N')}</w:rubyBase></w:ruby></w:r>"),
    "bookmark": p('<w:bookmarkStart w:id="1" w:name="N"/><w:bookmarkEnd w:id="1"/>'),
    "alt text": p('<w:r><w:drawing><wp:inline><wp:docPr id="1" name="p" descr="N"/></wp:inline></w:drawing></w:r>'),
    "watermark": p('<w:r><w:pict><v:shape><v:textpath string="N"/></v:shape></w:pict></w:r>'),
    "comment in the XML": p("<!-- N -->" + run("x")),
    "character references": p(run("".join(f"&#{ord(c)};" for c in NUMBER))),
}
PARTS = {
    "header": ("word/header1.xml", part("hdr", p(run("N")))),
    "footer": ("word/footer1.xml", part("ftr", p(run("N")))),
    "footnote": ("word/footnotes.xml", part("footnotes", f'<w:footnote w:id="1">{p(run("N"))}</w:footnote>')),
    "endnote": ("word/endnotes.xml", part("endnotes", f'<w:endnote w:id="1">{p(run("N"))}</w:endnote>')),
    "comment": ("word/comments.xml", part("comments", f'<w:comment w:id="1">{p(run("N"))}</w:comment>')),
    "comment author": ("word/comments.xml", part("comments", f'<w:comment w:id="1" w:author="N">{p("")}</w:comment>')),
    "list text": ("word/numbering.xml", part("numbering", '<w:lvl w:ilvl="0"><w:lvlText w:val="N"/></w:lvl>')),
    "variable": ("word/settings.xml", part("settings", '<w:docVars><w:docVar w:name="a" w:val="N"/></w:docVars>')),
    "glossary": ("word/glossary/document.xml", part("glossaryDocument", p(run("N")))),
    "chart title": ("word/charts/chart1.xml", f'<c:chartSpace xmlns:c="c" xmlns:a="{A}"><a:t>N</a:t></c:chartSpace>'),
    "chart value": ("word/charts/chart1.xml", '<c:chartSpace xmlns:c="c"><c:pt><c:v>N</c:v></c:pt></c:chartSpace>'),
    "diagram": ("word/diagrams/data1.xml", f'<d:dataModel xmlns:d="d" xmlns:a="{A}"><a:t>N</a:t></d:dataModel>'),
    "embedded sheet": ("word/embeddings/book.xlsx", xlsx_of([["a", NUMBER]])),
    "HTML chunk": ("word/afchunk.html", "<html><body>N</body></html>"),
    "custom XML": ("customXml/item1.xml", "<root><value>N</value></root>"),
    "title": ("docProps/core.xml", '<c:coreProperties xmlns:c="c" xmlns:d="d"><d:title>N</d:title></c:coreProperties>'),
    "company": ("docProps/app.xml", '<Properties xmlns="p"><Company>N</Company></Properties>'),
    "custom property": ("docProps/custom.xml", '<Properties xmlns="p"><p name="N"/></Properties>'),
    "OLE object": ("word/embeddings/oleObject1.bin", NUMBER.encode("utf-16-le") + bytes(64)),
    "link target": (
        "word/_rels/header1.xml.rels",
        '<Relationships xmlns="r"><Relationship Id="1" Type="t" Target="http://x/N" TargetMode="External"/></Relationships>',
    ),
    "UTF-16 part": ("customXml/item2.xml", f'<?xml version="1.0" encoding="UTF-16"?><r>{NUMBER}</r>'.encode("utf-16")),
}


def filled(xml: str) -> str:
    """Put the number in its place."""
    for mark, text in (("N1", NUMBER[:5]), ("N2", NUMBER[5:11]), ("N3", NUMBER[11:]), ("N", NUMBER)):
        xml = xml.replace(f">{mark}<", f">{text}<").replace(f'"{mark}"', f'"{text}"')
    return (
        xml.replace("QUOTE N", f"QUOTE {NUMBER}")
        .replace("http://x/N", f"http://x/{NUMBER}")
        .replace("<!-- N -->", f"<!-- {NUMBER} -->")
    )


def with_part(name: str, content: str | bytes) -> bytes:
    """Return a Word file with one more part."""
    return changed(docx_of("正文"), {name: filled(content) if isinstance(content, str) else content})


def with_body(inner: str) -> bytes:
    """Return a Word file with this body and every namespace a body can have."""
    xml = f"<w:document {XMLNS}><w:body>{filled(inner)}</w:body></w:document>"
    return changed(docx_of(), {"word/document.xml": xml})


MADE = {
    **{f"body: {name}": with_body(inner) for name, inner in BODY.items()},
    **{f"part: {name}": with_part(*given) for name, given in PARTS.items()},
}


def read(raw: bytes) -> Document:
    """Read a Word file as the child does."""
    return read_as(DOCX, Source(raw), Room())


def cuts(document: Document) -> tuple[Cut, ...]:
    """Return a cut for every occurrence of the number."""
    return tuple(
        Cut(part=s.part, anchor=s.anchor, start=at, end=at + len(NUMBER), label="〔已脱敏〕", type="cn_resident_id")
        for s in document.segments
        if (at := s.text.find(NUMBER)) >= 0
    )


def redacted(raw: bytes) -> bytes:
    """Read, cut and return the new file."""
    out = io.BytesIO()
    word.redact(Source(raw), cuts(read(raw)), out, Room())
    return out.getvalue()


@pytest.mark.parametrize("name", MADE)
def test_text_is_found_in_every_place(name: str) -> None:
    """A number is read as one run of text wherever in the package it lies."""
    document = read(MADE[name])
    assert any(NUMBER in segment.text for segment in document.segments), document.segments


@pytest.mark.parametrize("name", MADE)
def test_a_cut_is_gone_from_every_place(name: str) -> None:
    """After redaction the number is in no reading of the new file and in none of its bytes; the rest still opens."""
    new = redacted(MADE[name])
    assert not any(NUMBER in segment.text for segment in read(new).segments)
    with zipfile.ZipFile(io.BytesIO(new)) as archive:
        for member in archive.namelist():
            raw = archive.read(member)
            for form in (NUMBER.encode(), NUMBER.encode("utf-16-le"), NUMBER[:5].encode() + NUMBER[5:11].encode()):
                assert form not in raw, member
    assert not [gap for gap in read(new).gaps if gap not in read(MADE[name]).gaps]


def test_only_the_cut_changes() -> None:
    """Formatting, neighbours and all other paragraphs stay; an independent reader sees the same."""
    raw = docx_of("甲方：张三", f"号码{NUMBER}，请核对", "结尾")
    texts = [paragraph.text for paragraph in docx.Document(io.BytesIO(redacted(raw))).paragraphs]
    assert texts == ["甲方：张三", "号码〔已脱敏〕，请核对", "结尾"]


def test_a_hit_over_runs_keeps_what_stands_around_it() -> None:
    """A number over three runs is cut in each of them and labelled once."""
    inner = p(run("前" + NUMBER[:6]) + run(NUMBER[6:12]) + run(NUMBER[12:] + "后"))
    (paragraph,) = docx.Document(io.BytesIO(redacted(body(inner)))).paragraphs
    assert paragraph.text == "前〔已脱敏〕后"


def test_two_cuts_of_one_paragraph() -> None:
    """Several cuts of one block all land, from the back to the front."""
    raw = docx_of("0123456789")
    (segment,) = (s for s in read(raw).segments if s.text == "0123456789")
    many = [
        Cut(part=segment.part, anchor=segment.anchor, start=a, end=b, label=label, type="t")
        for a, b, label in ((7, 9, "乙"), (1, 3, "甲"))
    ]
    out = io.BytesIO()
    word.redact(Source(raw), many, out, Room())
    assert [x.text for x in docx.Document(io.BytesIO(out.getvalue())).paragraphs] == ["0甲3456乙9"]


def test_a_redacted_copy_is_not_signed() -> None:
    """The signature of the original says nothing about the copy: it stays behind, so that none is shown."""
    raw = changed(docx_of(NUMBER), {"_xmlsignatures/sig1.xml": "<Signature/>"})
    with zipfile.ZipFile(io.BytesIO(redacted(raw))) as archive:
        assert not [name for name in archive.namelist() if "signature" in name]


def test_a_cut_that_lies_elsewhere_is_refused() -> None:
    """A cut that does not fit what is read now writes nothing."""
    raw = docx_of("短")
    bad = Cut(part=("word/document.xml",), anchor="1v", start=5, end=9, label="x", type="t")
    with pytest.raises(NotRedactable):
        word.redact(Source(raw), [bad], io.BytesIO(), Room())


def test_tables_become_grids() -> None:
    """Cells are slices of the paragraphs they hold, in rows."""
    made = docx.Document()
    table = made.add_table(rows=2, cols=2)
    for number, text in enumerate(("姓名", "工资", "张三", "5200")):
        table.cell(number // 2, number % 2).text = text
    out = io.BytesIO()
    made.save(out)
    document = read(out.getvalue())
    (grid,) = document.tables
    cells = [[document.segments[c.segment].text[c.start : c.end] for c in row] for row in grid.rows]
    assert cells == [["姓名", "工资"], ["张三", "5200"]]


def test_zones() -> None:
    """Headers, comments, properties and hidden text say what they are."""
    header = read(MADE["part: header"])
    assert next(s for s in header.segments if NUMBER in s.text).zone is Zone.HEADER
    assert next(s for s in read(MADE["part: comment"]).segments if NUMBER in s.text).zone is Zone.COMMENT
    assert next(s for s in read(MADE["part: title"]).segments if NUMBER in s.text).zone is Zone.METADATA
    hidden = read(MADE["body: vanished"])
    assert next(s for s in hidden.segments if NUMBER in s.text).zone is Zone.HIDDEN


def test_an_entity_bomb_is_refused() -> None:
    """A document type is a gap, and nothing is expanded."""
    assert {gap.kind for gap in read(entity_bomb()).gaps} == {GapKind.CORRUPT}


def test_a_broken_picture_is_a_gap() -> None:
    """A picture in the text that cannot be decoded was not read, and that is said."""
    raw = changed(
        docx_of("正文"),
        {"word/media/image1.png": b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\4\0\0\0\4\0" + bytes(20_000)},
    )
    assert GapKind.CORRUPT in {gap.kind for gap in read(raw).gaps}


def test_a_picture_goes_to_ocr() -> None:
    """A picture in the text is handed to the OCR engine under the name of its part."""
    out = io.BytesIO()
    Image.effect_noise((200, 100), 90).save(out, "PNG")
    document = read(changed(docx_of("正文"), {"word/media/image1.png": out.getvalue()}))
    assert [p.part for p in document.pictures] == [("word/media/image1.png",)]
    assert document.gaps == ()


def test_macros_are_a_gap() -> None:
    """Macros are not read, and that is said."""
    raw = changed(docx_of("正文"), {"word/vbaProject.bin": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)})
    assert GapKind.UNSUPPORTED in {gap.kind for gap in read(raw).gaps}


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_a_gap(keep: float) -> None:
    """A file that is cut off is never clean."""
    raw = docx_of("第一段", "第二段")
    assert read(raw[: int(len(raw) * keep)]).gaps


def test_a_deep_tree_is_read_but_not_written() -> None:
    """Ten thousand levels are read as a stream; a tree of them is not built, so nothing is cut."""
    raw = body("<w:sdt><w:sdtContent>" * 5_000 + p(run(NUMBER)) + "</w:sdtContent></w:sdt>" * 5_000)
    assert any(NUMBER in segment.text for segment in read(raw).segments)
    with pytest.raises(NotRedactable):
        redacted(raw)


STYLES = "".join(f'<w:style w:styleId="s{n % 7}"><w:name w:val="样式{n % 7}"/><w:rPr/></w:style>' for n in range(90))
WORDLESS = {
    "plain": STYLES,
    "bracket and quote": STYLES + '<w:name w:val=">"/>' + '<w:name w:val="后"/>',
    "bracket and blank": STYLES + '<w:name w:val="1> " w:other="甲"/><w:name w:val="后"/>',
    "single quotes": STYLES + "<w:name w:val='单引号\"'/>",
    "inner namespace": STYLES + '<x:y xmlns:x="u" x:val="内"/>',
    "text at the end": STYLES + "<w:a>尾</w:a>",
    "comment": STYLES + "<!-- 注 -->",
    "references": STYLES + '<w:name w:val="&#26426;&#23494;&amp;"/>',
}


@pytest.mark.parametrize("name", WORDLESS)
def test_a_condensed_part_says_the_same(name: str) -> None:
    """A part of nothing but attributes is shortened before it is read; what is read stays the same, number for number."""
    raw = part("styles", WORDLESS[name]).encode()

    def blocks(data: bytes) -> list[tuple[str, str, str]]:
        reading = Reading(Room())
        parse(data, Collector(Taker(reading, ("p",))), Room())
        return [(s.anchor, s.text, s.zone.value) for s in reading.segments]

    short = condense(raw)
    assert blocks(short) == blocks(raw)
    assert len(short) < len(raw) or name not in ("plain", "single quotes", "references")


def test_media_type() -> None:
    """The format says which media type it read."""
    assert read(docx_of("x")).media == DOCX
    assert word.MEDIA == (DOCX,)
    assert issubclass(NotRedactable, Full)
