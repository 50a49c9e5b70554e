"""Old formats: DOC, RTF, MSG, OLE storages, metafiles, XML of 2003, Flat OPC, XPS."""

from __future__ import annotations

import struct

import pytest

from dlp.formats import Source, doc, flatxml, metafile, msg, ole, rtf, xps
from dlp.formats.room import Room
from dlp.model import Document, GapKind, Zone
from format_makers import doc_of, emf_of, flat_opc, rtf_of, rtf_text, spreadsheet_2003
from makers import W, docx_of, ole_of, package


def texts(document: Document, zone: Zone = Zone.BODY) -> list[str]:
    """Return the texts of one zone."""
    return [s.text for s in document.segments if s.zone is zone]


def grid(document: Document) -> list[list[str]]:
    """Return the cells of the only table."""
    (table,) = document.tables
    return [[document.segments[c.segment].text[c.start : c.end] for c in row] for row in table.rows]


# --- DOC


def test_doc_is_read_through_its_piece_table() -> None:
    """Paragraphs, header, a character outside the first plane, text that two pieces share."""
    document = doc.extract(Source(doc_of("机密★10年\n正文里的字𠮷\n尾", header="页眉里的字")), Room())
    assert texts(document) == ["机密★10年", "正文里的字𠮷", "尾"]
    assert texts(document, Zone.HEADER) == ["页眉里的字"]
    assert document.gaps == ()


def test_doc_tables_and_fields() -> None:
    """Cells between paragraphs are a grid; a field shows its result, its code is hidden."""
    raw = doc_of("前\n甲\x07乙\x07\x07丙\x07丁\x07\x07后\n\x13 HYPERLINK 网址里的字\x14链接\x15\n")
    document = doc.extract(Source(raw), Room())
    assert grid(document) == [["甲", "乙"], ["丙", "丁"]]
    assert "链接" in texts(document)
    assert any("网址里的字" in t for t in texts(document, Zone.HIDDEN))


def test_what_doc_holds_besides_its_text() -> None:
    """Text outside of the piece table, macros, packaged files, embedded documents."""
    raw = doc_of("字", streams={"Leavings": "删去后留下的字".encode("utf-16-le")})
    assert any("删去后留下的字" in t for t in texts(doc.extract(Source(raw), Room()), Zone.HIDDEN))
    inner = docx_of("嵌入文件里的字")
    document = doc.extract(Source(doc_of("字", streams={"Package": inner})), Room())
    assert any("嵌入文件里的字" in s.text for s in document.segments)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (doc_of("字", flags=0x0100), GapKind.ENCRYPTED),
        (doc_of("字")[:2000], GapKind.CORRUPT),
        (ole_of({"WordDocument": b"\xec\xa5" + bytes(4094)}), GapKind.UNSUPPORTED),
        (ole_of({"WordDocument": bytes(4096)}), GapKind.CORRUPT),
    ],
)
def test_doc_that_cannot_be_read_is_a_gap(raw: bytes, kind: GapKind) -> None:
    """Encrypted, cut off, too old, or nothing of Word at all."""
    assert kind in {g.kind for g in doc.extract(Source(raw), Room()).gaps}


# --- OLE


def test_summary_information_is_read() -> None:
    """Title and author of the property set, in its code page."""
    title = "属性里的字".encode("gb18030") + b"\0"
    section = struct.pack("<II", 0, 2) + struct.pack("<4I", 1, 24, 2, 32)
    section += struct.pack("<IHH", 2, 936, 0) + struct.pack("<II", 0x1E, len(title)) + title
    raw = (
        struct.pack("<HHI", 0xFFFE, 0, 0)
        + bytes(16)
        + struct.pack("<I", 1)
        + bytes(16)
        + struct.pack("<I", 48)
        + section
    )
    document = ole.extract(Source(ole_of({"\5SummaryInformation": raw})), Room())
    assert texts(document, Zone.METADATA) == ["属性里的字"]


def test_a_packaged_file_is_unpacked() -> None:
    """The Object Packager's stream gives name and content."""
    inner = "包装里的字".encode()
    body = b"\2\0" + "甲.txt".encode("gb18030") + b"\0C:\\a\0" + bytes(4) + struct.pack("<I", 4) + b"a.t\0"
    body += struct.pack("<I", len(inner)) + inner
    name, data = ole.native(struct.pack("<I", len(body)) + body)
    assert (name, data) == ("甲.txt", inner)


@pytest.mark.parametrize("size", [1, 5_000, 8_000_000])
def test_a_stream_is_wrapped_for_its_library(size: int) -> None:
    """The small OLE file that is made around one stream is one that olefile opens again."""
    import io

    import olefile

    data = bytes(range(256)) * (size // 256 + 1)
    with olefile.OleFileIO(io.BytesIO(ole.wrap("Workbook", data))) as file:
        assert file.openstream("Workbook").read()[: len(data)] == data


# --- RTF


def test_rtf_is_read_with_its_zones() -> None:
    """Body, header, note, hidden and deleted text, field code, properties."""
    raw = (
        b"{\\rtf1\\ansi\\ansicpg936{\\info{\\title " + rtf_text("属性里的字") + b"}}{\\header " + rtf_text("页眉里的字")
        + b"\\par}" + rtf_text("机密") + b"{\\b " + rtf_text("★10年") + b"}\\par " + rtf_text("露") + b"{\\v "
        + rtf_text("隐藏的字") + b"}\\par {\\field{\\*\\fldinst HYPERLINK " + rtf_text("网址里的字") + b"}{\\fldrslt "
        + rtf_text("链接") + b"}}\\par {\\*\\annotation " + rtf_text("批注里的字") + b"}{\\*\\unknown "
        + rtf_text("未知里的字") + b"}}"
    )  # fmt: skip
    document = rtf.extract(Source(raw), Room())
    assert texts(document)[:3] == ["机密★10年", "露", "链接"]
    assert texts(document, Zone.HEADER) == ["页眉里的字"]
    assert texts(document, Zone.METADATA) == ["属性里的字"]
    assert texts(document, Zone.COMMENT) == ["批注里的字"]
    hidden = " ".join(texts(document, Zone.HIDDEN))
    assert all(place in hidden for place in ("露隐藏的字", "网址里的字", "未知里的字"))
    assert document.gaps == ()


@pytest.mark.parametrize("raw", ["机密".encode("gb18030"), b"\\'bb\\'fa\\'c3\\'dc", b"\\'bb\xfa\\'c3\xdc"])
def test_rtf_bytes_are_in_the_code_page(raw: bytes) -> None:
    """Bytes as themselves, as escapes, and half and half."""
    document = rtf.extract(Source(b"{\\rtf1\\ansicpg936 " + raw + b"\\par}"), Room())
    assert texts(document) == ["机密"]


def test_rtf_tables_objects_and_pictures() -> None:
    """Rows are a grid; objects are unpacked and read, binary or in digits."""
    rows = b"\\trowd\\intbl " + rtf_text("甲") + b"\\cell " + rtf_text("乙") + b"\\cell\\row "
    inner = docx_of("对象里的字")
    raw = (
        b"{\\rtf1 " + rows + rows + b"\\pard " + rtf_text("后") + b"\\par{\\object{\\*\\objdata " + inner.hex().encode()
    )
    raw += b"}}{\\pict\\bin%d " % len(inner) + inner.replace("对象".encode(), "图片".encode()) + b"}}"
    document = rtf.extract(Source(raw), Room())
    assert grid(document) == [["甲", "乙"], ["甲", "乙"]]
    assert sum("对象里的字" in s.text for s in document.segments) == 2


def test_rtf_that_goes_wrong_is_a_gap() -> None:
    """Too deep, cut off; what stands behind the end is read."""
    assert GapKind.TOO_DEEP in {g.kind for g in rtf.extract(Source(b"{\\rtf1 " + b"{" * 3000), Room()).gaps}
    assert GapKind.CORRUPT in {g.kind for g in rtf.extract(Source(rtf_of("字")[:-1]), Room()).gaps}
    behind = rtf.extract(Source(rtf_of("字") + "后面还有一些字可以读到".encode()), Room())
    assert any("后面还有" in s.text for s in behind.segments)


# --- MSG


def test_msg_is_read() -> None:
    """Subject, body, HTML and packed RTF body, attachment with its name."""
    packed = b"{\\rtf1 " + rtf_text("压缩正文里的字") + b"\\par}"
    raw = ole_of(
        {
            "__substg1.0_0037001F": "主题里的字".encode("utf-16-le"),
            "__substg1.0_1000001F": "正文里的字".encode("utf-16-le"),
            "__substg1.0_0C1A001E": "发件人里的字".encode("gb18030"),
            "__substg1.0_10130102": "<html><body><p>网页正文里的字</p></body></html>".encode(),
            "__substg1.0_10090102": struct.pack("<IIII", len(packed) + 12, len(packed), 0x414C454D, 0) + packed,
            "__substg1.0_37010102": docx_of("附件里的字"),
            "__substg1.0_3707001F": "附件名.docx".encode("utf-16-le"),
        }
    )
    whole = "\n".join(s.text for s in msg.extract(Source(raw), Room()).segments)
    for place in ("主题", "正文", "发件人", "网页正文", "压缩正文", "附件"):
        assert f"{place}里的字" in whole


def test_packed_rtf_of_the_standard() -> None:
    """The example of [MS-OXRTFCP] 4.1.1 unpacks to what it says."""
    raw = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0".replace(
            " ", ""
        )
    )
    assert msg.unpack_rtf(raw) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


# --- XML by itself


def test_spreadsheets_of_2003_are_grids() -> None:
    """Rows and cells of SpreadsheetML."""
    document = flatxml.extract(Source(spreadsheet_2003([["姓名", "身份证号"], ["张三", "11010119900307301X"]])), Room())
    assert grid(document) == [["姓名", "身份证号"], ["张三", "11010119900307301X"]]


def test_a_flat_package_is_a_package() -> None:
    """A Word document written as one XML file is read part by part."""
    body = f'<w:document xmlns:w="{W}"><w:body><w:p><w:r><w:t>机密</w:t></w:r><w:r><w:t>★10年</w:t></w:r></w:p></w:body></w:document>'
    head = f'<w:hdr xmlns:w="{W}"><w:p><w:r><w:t>页眉里的字</w:t></w:r></w:p></w:hdr>'
    document = flatxml.extract(Source(flat_opc({"word/document.xml": body, "word/header1.xml": head})), Room())
    assert [(s.text, s.zone, s.part) for s in document.segments] == [
        ("机密★10年", Zone.BODY, ("word/document.xml",)),
        ("页眉里的字", Zone.HEADER, ("word/header1.xml",)),
    ]


def test_word_2003_and_svg() -> None:
    """Paragraphs of WordML; text, title and pictures of SVG."""
    ns = "http://schemas.microsoft.com/office/word/2003/wordml"
    wordml = f'<?xml version="1.0"?><w:wordDocument xmlns:w="{ns}"><w:body><w:p><w:r><w:t>机密</w:t></w:r><w:r><w:t>★10年</w:t></w:r></w:p></w:body></w:wordDocument>'
    assert texts(flatxml.extract(Source(wordml.encode()), Room())) == ["机密★10年"]
    import base64

    inner = base64.b64encode(docx_of("图里的字")).decode()
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><title>题名</title><text>图上的字</text><image href="data:image/png;base64,{inner}"/></svg>'
    found = [s.text for s in flatxml.extract(Source(svg.encode()), Room()).segments]
    assert {"题名", "图上的字", "图里的字"} <= set(found)


def test_an_entity_in_xml_is_refused() -> None:
    """A document type declares nothing that is believed."""
    raw = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
    document = flatxml.extract(Source(raw), Room())
    assert {g.kind for g in document.gaps} == {GapKind.CORRUPT}
    assert not document.segments


# --- metafiles and XPS


def test_metafiles_give_their_text_and_bitmaps() -> None:
    """Text records are lines; bitmaps go to OCR; curves alone are a gap; broken records too."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((40, 40), 90).convert("RGB").save(out, "BMP")
    document = metafile.extract(Source(emf_of("图元里的字", "第二行", bitmap=out.getvalue())), Room())
    assert texts(document) == ["图元里的字", "第二行"]
    assert [p.part for p in document.pictures] == [("bitmap 1",)]
    assert document.gaps == ()
    curves = emf_of()[:100] + struct.pack("<II", 3, 8) * 60 + emf_of()[100:]
    assert {g.kind for g in metafile.extract(Source(curves), Room()).gaps} == {GapKind.NO_OCR}
    assert {g.kind for g in metafile.extract(Source(emf_of("字")[:150]), Room()).gaps} == {GapKind.CORRUPT}


def test_xps_pages_are_read_by_place() -> None:
    """Glyph runs of a page in one line, scaled; glyphs without their text are not trusted."""
    ns = "http://schemas.microsoft.com/xps/2005/06"
    page = (
        f'<FixedPage xmlns="{ns}" Width="793" Height="1122"><Canvas RenderTransform="1,0,0,1,10,0">'
        '<Glyphs OriginX="140" OriginY="100" FontRenderingEmSize="20" UnicodeString="★10年" Fill="#FF000000"/>'
        '<Glyphs OriginX="100" OriginY="100" FontRenderingEmSize="20" UnicodeString="机密" Fill="#FF000000"/></Canvas>'
        '<Glyphs OriginX="100" OriginY="200" FontRenderingEmSize="20" UnicodeString="白的字" Fill="#FFFFFFFF"/>'
        '<Glyphs OriginX="100" OriginY="300" FontRenderingEmSize="20" Indices="12;13;14"/>'
        "</FixedPage>"
    )
    raw = package({"[Content_Types].xml": "<Types/>", "FixedDocSeq.fdseq": "<a/>", "Documents/1/Pages/1.fpage": page})
    document = xps.extract(Source(raw), Room())
    assert [(s.text, s.zone) for s in document.segments if s.strip] == [
        ("机密★10年", Zone.BODY),
        ("白的字", Zone.HIDDEN),
    ]
    assert [(g.kind, g.page) for g in document.gaps] == [(GapKind.UNTRUSTED_TEXT, 1)]
