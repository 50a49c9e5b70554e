"""Presentations: every place in which text can lie is read."""

from __future__ import annotations

import pytest

from dlp.formats import Source, pptx
from dlp.formats.room import Room
from dlp.model import Document, GapKind, Slice, Zone
from dlp.sniff import sniff
from makers import package

A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
NS = f'xmlns:a="{A}" xmlns:p="{P}"'


def shape(text: str, extra: str = "") -> str:
    """Return a shape with one paragraph, split into two runs."""
    half = len(text) // 2
    runs = f"<a:r><a:t>{text[:half]}</a:t></a:r><a:r><a:t>{text[half:]}</a:t></a:r>"
    return f'<p:sp><p:nvSpPr><p:cNvPr id="2" name="s" {extra}/></p:nvSpPr><p:txBody><a:p>{runs}</a:p></p:txBody></p:sp>'


def cell(text: str) -> str:
    """Return a cell of a table."""
    return f"<a:tc><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"


TABLE = (
    "<p:graphicFrame><a:graphic><a:graphicData><a:tbl>"
    f"<a:tr>{cell('姓名')}{cell('实发工资')}</a:tr><a:tr>{cell('赵一')}{cell('表格里的字')}</a:tr>"
    "</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
)


def slide(*shapes: str, show: str = "") -> str:
    """Return a slide with these shapes."""
    return f"<p:sld {NS} {show}><p:cSld><p:spTree>{''.join(shapes)}</p:spTree></p:cSld></p:sld>"


PARTS: dict[str, str | bytes] = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    "ppt/presentation.xml": f"<p:presentation {NS}/>",
    "ppt/slides/slide1.xml": slide(
        shape("标题里的字"),
        shape("正文里的字"),
        f"<p:grpSp>{shape('组合里的字')}</p:grpSp>",
        shape("页外的字").replace(
            "<p:txBody>", '<p:spPr><a:xfrm><a:off x="-9999999" y="0"/></a:xfrm></p:spPr><p:txBody>'
        ),
        shape("x", 'descr="替代文字里的字"'),
        TABLE,
    ),
    "ppt/slides/slide2.xml": slide(shape("隐藏页里的字"), show='show="0"'),
    "ppt/notesSlides/notesSlide1.xml": f"<p:notes {NS}>{shape('备注里的字')}</p:notes>",
    "ppt/slideLayouts/slideLayout1.xml": f"<p:sldLayout {NS}>{shape('版式里的字')}</p:sldLayout>",
    "ppt/slideMasters/slideMaster1.xml": f"<p:sldMaster {NS}>{shape('母版里的字')}</p:sldMaster>",
    "ppt/comments/comment1.xml": f"<p:cmLst {NS}><p:cm><p:text>批注里的字</p:text></p:cm></p:cmLst>",
    "ppt/charts/chart1.xml": (
        '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:ser><c:tx><c:v>系列里的字</c:v>'
        "</c:tx><c:cat><c:pt><c:v>类别里的字</c:v></c:pt></c:cat></c:ser></c:chartSpace>"
    ),
    "ppt/diagrams/data1.xml": (
        f'<dgm:dataModel xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" xmlns:a="{A}">'
        "<dgm:pt><dgm:t><a:p><a:r><a:t>图示里的字</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:dataModel>"
    ),
    "docProps/core.xml": (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>属性里的字</dc:title></cp:coreProperties>'
    ),
}
PLACES = [
    "标题",
    "正文",
    "组合",
    "页外",
    "替代文字",
    "表格",
    "隐藏页",
    "备注",
    "版式",
    "母版",
    "批注",
    "系列",
    "类别",
    "图示",
    "属性",
]


def read(parts: dict[str, str | bytes]) -> Document:
    """Return what is read of a presentation of these parts."""
    return pptx.extract(Source(package(parts)), Room())


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_read(place: str) -> None:
    """The fifteen places of the miss table, text split over runs included; nothing is a gap."""
    document = read(PARTS)
    assert document.gaps == ()
    assert [s for s in document.segments if f"{place}里的字" in s.text or f"{place}的字" in s.text]


def test_a_presentation_is_known_by_its_content() -> None:
    """The parts tell it, not a name."""
    raw = package(PARTS)
    assert sniff(raw, raw, Source(raw)) == pptx.MEDIA


def test_tables_are_grids_and_shapes_are_boxes() -> None:
    """A cell is a slice of its own segment; a comment is a comment."""
    document = read(PARTS)
    (table,) = document.tables
    texts = [[document.segments[c.segment].text[c.start : c.end] for c in row] for row in table.rows]
    assert texts == [["姓名", "实发工资"], ["赵一", "表格里的字"]]
    assert all(isinstance(c, Slice) for row in table.rows for c in row)
    zones = {s.text: s.zone for s in document.segments}
    assert (zones["标题里的字"], zones["批注里的字"], zones["属性里的字"]) == (
        Zone.TEXT_BOX,
        Zone.COMMENT,
        Zone.METADATA,
    )


def test_pictures_and_broken_parts_are_gaps() -> None:
    """What is not read is said to be unread, part by part."""
    png = b"\x89PNG\r\n\x1a\n" + b"\0" * 9_000
    document = read({**PARTS, "ppt/media/image1.png": png, "ppt/slides/slide3.xml": "<p:sld"})
    assert {(g.kind, g.part[-1]) for g in document.gaps} == {
        (GapKind.CORRUPT, "ppt/media/image1.png"),
        (GapKind.CORRUPT, "ppt/slides/slide3.xml"),
    }
