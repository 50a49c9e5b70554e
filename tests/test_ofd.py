"""OFD: pages are read as they are shown, and nothing else in the package is left out."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from dlp.formats import Source, ofd
from dlp.formats.room import Room
from dlp.model import Document, GapKind, Zone
from format_makers import OFD, ofd_of, ofd_page, text_object


def read(raw: bytes) -> Document:
    """Return what is read of an OFD file."""
    return ofd.extract(Source(raw), Room())


def lines(document: Document) -> list[str]:
    """Return the lines that lie on pages."""
    return [s.text for s in document.segments if s.strip is not None]


def png() -> bytes:
    """Return a picture that is not blank."""
    out = io.BytesIO()
    Image.effect_noise((120, 60), 90).save(out, "PNG")
    return out.getvalue()


ANNOT = (
    f'<ofd:PageAnnot xmlns:ofd="{OFD}"><ofd:Annot ID="5" Type="Stamp"><ofd:Remark>注释备注里的字</ofd:Remark>'
    f'<ofd:Appearance Boundary="20 20 100 40">{text_object("注释外观里的字", x=0, y=0)}</ofd:Appearance></ofd:Annot>'
    "</ofd:PageAnnot>"
)
PARTS: dict[str, str | bytes] = {
    "Doc_0/Tpls/T0.xml": ofd_page(text_object("模板里的字", y=10)),
    "Doc_0/Tpls/T1.xml": ofd_page(text_object("备用模板里的字", y=10)),
    "Doc_0/Annots/Annotations.xml": (
        f'<ofd:Annotations xmlns:ofd="{OFD}"><ofd:Page PageID="10"><ofd:FileLoc>A0.xml</ofd:FileLoc></ofd:Page>'
        "</ofd:Annotations>"
    ),
    "Doc_0/Annots/A0.xml": ANNOT,
    "Doc_0/Attachs/附件里的名.txt": "附件里的字",
    "Doc_0/Tags/CustomTag.xml": f'<ofd:CustomTags xmlns:ofd="{OFD}"><ofd:Value>自定义里的字</ofd:Value></ofd:CustomTags>',
    "Doc_0/Signs/Sign_0/Signature.xml": (
        f'<ofd:Signature xmlns:ofd="{OFD}"><ofd:Provider ProviderName="签名提供者里的字"/></ofd:Signature>'
    ),
    "Doc_0/Signs/Sign_0/Seal.esl": b"\x30\x82\x01\x00" + "印章名称里的字".encode() + b"\x04\x20" + png() + b"\x30\x00",
    "Doc_0/Res/font.ttf": b"\0\1\0\0" + bytes(64),
}
COMMON = '<ofd:TemplatePage ID="7" BaseLoc="Tpls/T0.xml"/><ofd:TemplatePage ID="8" BaseLoc="Tpls/T1.xml"/>'
TAIL = (
    "<ofd:Annotations>Annots/Annotations.xml</ofd:Annotations><ofd:Outlines>"
    '<ofd:OutlineElem Title="大纲里的字"/></ofd:Outlines>'
)
PLACES = [
    *("正文", "模板", "备用模板", "注释外观", "注释备注", "附件", "自定义", "签名提供者", "印章名称", "题名", "大纲"),
]


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_read(place: str) -> None:
    """Pages, templates used or not, annotations, attachments, custom data, signatures, seals, outlines, properties."""
    document = read(ofd_of(ofd_page(text_object("正文里的字"), template="7"), parts=PARTS, common=COMMON, tail=TAIL))
    assert any(f"{place}里的字" in s.text for s in document.segments)


def test_the_picture_of_a_seal_goes_to_ocr() -> None:
    """A seal is a picture inside signed data; nothing of the whole is left unread."""
    document = read(ofd_of(ofd_page(text_object("正文")), parts=PARTS, common=COMMON, tail=TAIL))
    assert [p.part for p in document.pictures] == [("Doc_0/Signs/Sign_0/Seal.esl #1",)]
    assert document.gaps == ()


def test_a_page_is_put_together() -> None:
    """Template and annotation lie on the page that shows them, in points, once."""
    document = read(ofd_of(ofd_page(text_object("正文里的字"), template="7"), parts=PARTS, common=COMMON, tail=TAIL))
    found = {s.text: s for s in document.segments if s.strip is not None}
    assert set(found) == {"模板里的字", "正文里的字", "注释外观里的字"}
    strip = found["正文里的字"].strip
    assert strip is not None
    assert (strip.page, round(strip.x0), strip.size) == (1, 71, 15.87)
    assert 85 < strip.y0 < strip.y1 < 103
    assert sum(s.text == "正文里的字" for s in document.segments) == 1


def test_text_split_over_codes_and_objects_is_one_line() -> None:
    """A mark whose characters are text objects of their own, drawn in any order, is read as one line."""
    letters = list(enumerate("机密★10年"))
    split = [text_object(letter, x=25 + 6 * n) for n, letter in reversed(letters)]
    assert lines(read(ofd_of(ofd_page(*split)))) == ["机密★10年"]
    codes = '<ofd:TextCode X="0" Y="5" DeltaX="5.6">机密</ofd:TextCode><ofd:TextCode X="11.2" Y="5" DeltaX="g 4 5.6">★10年</ofd:TextCode>'
    joined = f'<ofd:TextObject Boundary="25 30 90 8" Font="1" Size="5.6">{codes}</ofd:TextObject>'
    assert lines(read(ofd_of(ofd_page(joined)))) == ["机密★10年"]


def test_transformed_text_lies_where_it_is_shown() -> None:
    """CTM scales and turns: size and direction are those on the page."""
    scaled = text_object("放大的字", size=1, more='CTM="6 0 0 6 0 0"', code='DeltaX="g 3 1"')
    turned = text_object("转过的字", more='CTM="0 1 -1 0 20 0"', x=100)
    document = read(ofd_of(ofd_page(scaled, turned)))
    strips = {s.text: s.strip for s in document.segments if s.strip is not None}
    assert strips["放大的字"] is not None
    assert round(strips["放大的字"].size, 1) == 17.0
    assert strips["转过的字"] is not None
    assert strips["转过的字"].vertical


@pytest.mark.parametrize("more", ['Visible="false"', 'Alpha="0"'])
def test_invisible_text_is_hidden(more: str) -> None:
    """Text that is not shown is read and said to be hidden."""
    document = read(ofd_of(ofd_page(text_object("看不见的字", more=more))))
    assert [s.zone for s in document.segments if s.text == "看不见的字"] == [Zone.HIDDEN]


def test_text_beside_the_page_is_hidden() -> None:
    """Text outside of the physical box is read and said to be hidden."""
    document = read(ofd_of(ofd_page(text_object("页外的字", x=400))))
    assert [s.zone for s in document.segments if s.text == "页外的字"] == [Zone.HIDDEN]


def test_what_cannot_be_read_is_a_gap() -> None:
    """Letters drawn as curves, encryption, missing pages, no pages, broken XML."""
    curves = '<ofd:PathObject Boundary="0 0 9 9" Fill="true"><ofd:AbbreviatedData>M 0 0 L 9 9</ofd:AbbreviatedData></ofd:PathObject>'
    document = read(ofd_of(ofd_page(curves)))
    assert [(g.kind, g.page) for g in document.gaps] == [(GapKind.NO_OCR, 1)]
    assert [c.how for c in document.coverage] == ["unread"]
    locked = read(ofd_of(ofd_page(text_object("字")), parts={"Encryptions.xml": "<a/>"}))
    assert GapKind.ENCRYPTED in {g.kind for g in locked.gaps}
    assert GapKind.CORRUPT in {g.kind for g in read(ofd_of()).gaps}
    assert GapKind.CORRUPT in {g.kind for g in read(ofd_of("<broken")).gaps}
    bomb = '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'
    assert GapKind.CORRUPT in {g.kind for g in read(ofd_of(ofd_page(), parts={"Doc_0/a.xml": bomb})).gaps}


def test_blocks_nested_too_deep_end() -> None:
    """A page of blocks in blocks ends as a gap."""
    deep = "<ofd:PageBlock>" * 60 + text_object("深") + "</ofd:PageBlock>" * 60
    assert GapKind.TOO_DEEP in {g.kind for g in read(ofd_of(ofd_page(deep))).gaps}


def test_real_files_are_read(shared) -> None:
    """The OFD files of other projects give text on every page that has some."""
    for path in sorted((shared / "corpus/files/ofd").glob("*.ofd")):
        document = read(path.read_bytes())
        assert document.coverage, path.name
        assert all(c.how in ("text", "blank") for c in document.coverage if not c.part), path.name
        assert lines(document), path.name
