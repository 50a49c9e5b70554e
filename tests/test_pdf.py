"""The PDF reader: lines, boxes, hidden places, and what becomes of broken files."""

from __future__ import annotations

import array
import io
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp.formats import Source, pdf
from dlp.formats.pdf_lines import Glyphs, Style, build
from dlp.formats.room import Room
from dlp.limits import Limits
from dlp.model import Document, GapKind, Segment, Zone
from pdf_makers import (
    HAN,
    by_hand,
    changed,
    drawn,
    embedded,
    picture,
    revised,
    simple,
    squeezed_zeros,
    stream,
    written,
)

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def read(raw: bytes, **limits: Any) -> Document:
    """Read bytes as a PDF in a room of their own."""
    return pdf.extract(Source(raw, name="a.pdf"), Room(Limits(**limits)))


def lines(document: Document, *zones: Zone) -> list[str]:
    """The texts of all segments, or of those in some zones."""
    return [s.text for s in document.segments if s.text and (not zones or s.zone in zones)]


def kinds(document: Document) -> set[GapKind]:
    """The kinds of all gaps."""
    return {gap.kind for gap in document.gaps}


def found(document: Document, text: str) -> Segment:
    """The one segment that holds `text`."""
    hits = [s for s in document.segments if text in s.text]
    assert len(hits) == 1, (text, lines(document))
    return hits[0]


# Lines ---------------------------------------------------------------------------------------------------------


def star(sheet: Any, y: float = 760) -> None:
    """Write 绝密★长期 with the star from another font and last."""
    sheet.setFont(HAN, 16)
    sheet.drawString(72, y, "绝密")
    sheet.drawString(120, y, "长期")
    sheet.setFont("Helvetica", 10)
    sheet.drawString(72, y - 200, "Something else comes between.")
    sheet.setFont("ZapfDingbats", 16)
    sheet.drawString(104, y, "\u2605")


def test_star_of_another_font_stands_between_its_neighbours() -> None:
    """A ★ that is drawn last from another font is read where it is seen."""
    assert "绝密★长期" in lines(read(drawn(star)))


def test_star_over_a_drawn_blank_is_not_an_overprint() -> None:
    """A ★ that covers a drawn blank stays in the line."""

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 16)
        sheet.drawString(72, 700, "机密\u300010年")
        sheet.setFont("ZapfDingbats", 16)
        sheet.drawString(105, 700, "\u2605")

    assert "".join(lines(read(drawn(page)))[0].split()) == "机密★10年"


def test_two_columns_stay_apart_and_whole() -> None:
    """Lines of two columns are not joined across the gutter, and each column reads on with soft breaks."""
    left = ["左栏第一行文字写满了整个一行", "左栏第二行文字写满了整个一行", "左栏第三行文字写满了整个一行"]
    right = [line.replace("左", "右") for line in left]

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 12)
        for number in range(3):  # drawn row by row, as some producers do
            sheet.drawString(72, 700 - 18 * number, left[number])
            sheet.drawString(72 + 14 * 12 + 24, 700 - 18 * number, right[number])

    document = read(drawn(page))
    assert lines(document, Zone.BODY) == left + right
    assert [s.soft for s in document.segments[:6]] == [False, True, True, False, True, True]


def test_new_paragraph_is_not_soft() -> None:
    """A line after a short line, or one that is indented, begins something new."""

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 12)
        sheet.drawString(96, 700, "第一段的第一行文字写得满满当当一直到头")
        sheet.drawString(72, 680, "第一段的第二行短")
        sheet.drawString(96, 660, "第二段的第一行文字写得满满当当一直到头")

    assert [s.soft for s in read(drawn(page)).segments[:3]] == [False, True, False]


def test_wide_spread_label_is_one_line() -> None:
    """姓　　名 set with a gap in three rows of a form stays one line each."""

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 12)
        for number, (a, b) in enumerate(("姓名", "性别", "民族")):
            sheet.drawString(72, 700 - 30 * number, a)
            sheet.drawString(72 + 36, 700 - 30 * number, b + "：某某")

    assert lines(read(drawn(page)), Zone.BODY) == ["姓 名：某某", "性 别：某某", "民 族：某某"]


def test_upright_column_is_read_downward() -> None:
    """Han characters written from top to bottom make one vertical line, the ★ of another font among them."""

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 16)
        for row, char in enumerate("绝密 长期保存"):
            if char != " ":
                sheet.drawString(500, 700 - 18 * row, char)
        sheet.setFont("ZapfDingbats", 16)
        sheet.drawString(501, 700 - 36, "\u2605")

    document = read(drawn(page))
    segment = found(document, "绝密★长期保存")
    assert segment.strip is not None
    assert segment.strip.vertical
    box = segment.strip.box(2, 3)
    assert 842 - 664 - 18 < box.y0 < box.y1 < 842 - 664 + 8


def test_overprint_keeps_both_readings() -> None:
    """Text painted over other text does not mix with it."""

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 16)
        sheet.drawString(72, 700, "机密★十年以内")
        sheet.setFillColorRGB(0.98, 0.98, 0.98)
        sheet.drawString(77, 701, "春眠不觉晓处处")

    assert sorted(lines(read(drawn(page)), Zone.BODY)) == sorted(["机密★十年以内", "春眠不觉晓处处"])


def test_shadow_is_read_once() -> None:
    """A word printed twice with a small offset is one word."""

    def page(sheet: Any) -> None:
        sheet.setFont(HAN, 20)
        sheet.drawString(72, 700, "内部资料")
        sheet.drawString(73, 699.5, "内部资料")

    assert lines(read(drawn(page)), Zone.BODY) == ["内部资料"]


def test_rare_characters_are_joined() -> None:
    """The two halves of a character beyond U+FFFF become one."""
    assert "姓名𠀀𠮷" in lines(read(drawn(written("姓名𠀀𠮷"))))


def test_blank_of_the_reader_has_no_ink() -> None:
    """A blank put in for a gap has begin == end, and characters with ink do not."""

    def page(sheet: Any) -> None:
        sheet.setFont("Helvetica", 12)
        sheet.drawString(72, 700, "left")
        sheet.drawString(105, 700, "right")

    strip = read(drawn(page)).segments[0].strip
    assert strip is not None
    edges = array.array("f", strip.edges)
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    assert [a == b for a, b in pairs] == [char == " " for char in "left right"]


@settings(max_examples=150, deadline=None)
@given(st.text("机密绝★0123456789年长期aB（）", min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_drawing_order_does_not_matter(text: str, dice: random.Random) -> None:
    """However the characters of a line are shuffled when drawn, the line reads the same."""
    order = list(range(len(text)))
    dice.shuffle(order)
    boxes = np.array([[72 + 12.0 * i, 100, 84 + 12.0 * i, 112] for i in order])
    glyphs = Glyphs([text[i] for i in order], boxes, np.zeros(len(text), dtype=np.int64), [Style(size=12)])
    assert [line.text for line in build(glyphs)] == [text]


def test_nothing_is_lost_on_a_random_page() -> None:
    """Characters thrown anywhere on a page all come out, each once."""
    dice = random.Random(7)
    text = [chr(dice.randrange(0x4E00, 0x9FA5)) for _ in range(1_500)]
    corner = np.array([[dice.uniform(0, 580), dice.uniform(0, 820)] for _ in text])
    boxes = np.concatenate([corner, corner + 12], axis=1)
    kinds_of = [Style(size=12), Style(size=12, angle=90), Style(size=12, angle=45)]
    styles = np.array([dice.randrange(3) for _ in text])
    out = "".join(line.text for line in build(Glyphs(text, boxes, styles, kinds_of)))
    assert Counter(out.replace(" ", "")) == Counter(text)


# Places ---------------------------------------------------------------------------------------------------------


def ink(raw: bytes, page: int = 0) -> Any:
    """Render a page with pdfium at 4 pixels a point; return an array of RGB."""
    with pypdfium2.PdfDocument(raw) as document:
        bitmap = document[page].render(scale=4, rev_byteorder=True)
        return bitmap.to_numpy()[:, :, :3].astype(int)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, [30, 60, 500, 800]])
def test_boxes_hold_the_ink(turn: int, crop: list[int] | None) -> None:
    """Rendered, the red word lies inside the box of its characters and nothing black does, at any /Rotate."""

    def page(sheet: Any) -> None:
        sheet.setFont("Helvetica", 14)
        sheet.drawString(72, 700, "before ")
        sheet.setFillColorRGB(1, 0, 0)
        sheet.drawString(72 + 50, 700, "NEEDLE")
        sheet.setFillColorRGB(0, 0, 0)
        sheet.drawString(72 + 112, 700, " after")
        sheet.drawString(72, 650, "another line of text")

    def rotate(file: pikepdf.Pdf) -> None:
        file.pages[0].Rotate = turn
        if crop:
            file.pages[0].CropBox = crop

    raw = changed(drawn(page), rotate)
    segment = found(read(raw), "NEEDLE")
    assert segment.strip is not None
    assert segment.strip.vertical is (turn in (90, 270))
    at = segment.text.index("NEEDLE")
    box = segment.strip.box(at, at + 6)
    shown = ink(raw)
    red = (shown[:, :, 0] > 200) & (shown[:, :, 1] < 120)
    black = shown.max(axis=2) < 100
    rows, columns = np.nonzero(red)
    assert rows.size > 200
    assert box.x0 * 4 - 1.5 <= columns.min()
    assert columns.max() <= box.x1 * 4 + 1.5
    assert box.y0 * 4 - 1.5 <= rows.min()
    assert rows.max() <= box.y1 * 4 + 1.5
    inside = black[int(box.y0 * 4) : int(box.y1 * 4) + 1, int(box.x0 * 4) : int(box.x1 * 4) + 1]
    assert not inside.any()


def test_all_ink_lies_in_some_box() -> None:
    """No pixel of a page of text lies outside the boxes of its lines; slanted and upright text included."""

    def page(sheet: Any) -> None:
        for number, (face, size) in enumerate([("Helvetica", 9), ("Times-Italic", 24), ("Courier-Bold", 12)]):
            sheet.setFont(face, size)
            sheet.drawString(60, 780 - 60 * number, "Quick brown fox (jumps) gyq, 0123456789")
        for angle in (30, 45, 90, 200):
            sheet.saveState()
            sheet.translate(300, 350)
            sheet.rotate(angle)
            sheet.drawString(40, 0, f"turned by {angle} degrees")
            sheet.restoreState()

    raw = drawn(page)
    dark = ink(raw).min(axis=2) < 128
    assert dark.any()
    document = read(raw)
    for segment in document.segments:
        if segment.strip is not None:
            s = segment.strip
            area = np.s_[max(0, int(s.y0 * 4) - 2) : int(s.y1 * 4) + 3, max(0, int(s.x0 * 4) - 2) : int(s.x1 * 4) + 3]
            assert dark[area].any()
            dark[area] = False
    assert not dark.any()
    assert {f"turned by {angle} degrees" for angle in (30, 45, 90, 200)} <= set(lines(document, Zone.BODY))


def test_style_of_a_line() -> None:
    """Size, face and colour of a line are told."""

    def page(sheet: Any) -> None:
        sheet.setFont("Times-Bold", 22)
        sheet.setFillColorRGB(1, 0, 0)
        sheet.drawString(72, 700, "Red head")

    strip = found(read(drawn(page)), "Red head").strip
    assert strip is not None
    assert (strip.size, strip.face, strip.colour, strip.page) == (22.0, "Times-Bold", "#ff0000", 1)


def test_header_and_footer() -> None:
    """Small or repeated lines in the outer margins are header and footer; a large single one is body."""

    def page(number: int) -> Any:
        def paint(sheet: Any) -> None:
            sheet.setFont(HAN, 14)
            sheet.drawString(72, 815, "某某单位内部刊物" if number else "只有一次的大字标题")
            for row in range(5):
                sheet.drawString(72, 600 - 20 * row, "正文" * 12)
            sheet.setFont(HAN, 8)
            sheet.drawString(290, 30, f"第 {number + 1} 页")

        return paint

    document = read(drawn(*(page(n) for n in range(3))))
    assert lines(document, Zone.HEADER) == ["某某单位内部刊物"] * 2
    assert len(lines(document, Zone.FOOTER)) == 3
    assert "只有一次的大字标题" in lines(document, Zone.BODY)


# Hidden text and other places -----------------------------------------------------------------------------------


def test_hidden_text_is_read_and_told() -> None:
    """Invisible, white, tiny and off-page text is read, in the zone HIDDEN."""

    def page(sheet: Any) -> None:
        sheet.setFont("Helvetica", 12)
        sheet.drawString(72, 700, "visible")
        text = sheet.beginText(72, 650)
        text.setTextRenderMode(3)
        text.textLine("render mode three")
        sheet.drawText(text)
        text = sheet.beginText(72, 600)
        text.setTextRenderMode(0)
        sheet.drawText(text)
        sheet.drawString(-300, 500, "beside the page")
        sheet.setFont("Helvetica", 1)
        sheet.drawString(72, 550, "one point")
        sheet.setFont("Helvetica", 12)
        sheet.setFillColorRGB(1, 1, 1)
        sheet.drawString(72, 450, "white")

    document = read(drawn(page))
    assert lines(document, Zone.BODY) == ["visible"]
    assert set(lines(document, Zone.HIDDEN)) == {"render mode three", "beside the page", "one point", "white"}


def test_outside_the_crop_box_is_hidden() -> None:
    """Text that the crop box cuts away is read as hidden."""

    def crop(file: pikepdf.Pdf) -> None:
        file.pages[0].CropBox = [0, 0, 595, 600]

    document = read(changed(drawn(written("上面的字", y=700), written("别的")), crop))
    assert found(document, "上面的字").zone is Zone.HIDDEN


def test_actual_text_does_not_replace_what_is_shown() -> None:
    """ActualText says something harmless; both what is shown and what is said are read."""
    content = b"/Span << /ActualText (harmless words) >> BDC BT /F1 12 Tf 72 700 Td (TOP SECRET) Tj ET EMC"
    document = read(by_hand(simple(content)))
    assert "TOP SECRET" in lines(document, Zone.BODY)
    assert "harmless words" in lines(document, Zone.HIDDEN)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "packed"])
def test_a_note_does_not_take_inherited_fonts_away(compressed: bool) -> None:
    """A page that has its fonts from the tree above it, and a note, is read like one without the note."""

    def change(file: pikepdf.Pdf) -> None:
        name, make = pikepdf.Name, pikepdf.Dictionary
        page = file.pages[0].obj
        file.Root.Pages.Resources = page.Resources
        del page.Resources
        look = file.make_stream(b"0 0 9 9 re S", Type=name.XObject, Subtype=name.Form, BBox=[0, 0, 10, 10])
        note = make(Type=name.Annot, Subtype=name.Square, Rect=[9, 9, 19, 19], AP=make(N=look))
        page.Annots = [file.make_indirect(note)]

    mode = pikepdf.ObjectStreamMode.generate if compressed else pikepdf.ObjectStreamMode.disable
    raw = changed(drawn(written("身份证号 11010519491231002X\n机密★20年")), change, object_stream_mode=mode)
    with pikepdf.open(io.BytesIO(raw), inherit_page_attributes=False) as file:
        assert "/Resources" not in file.Root.Pages.Kids[0]
    document = read(raw)
    assert lines(document, Zone.BODY) == ["身份证号 11010519491231002X", "机密★20年"]
    assert document.gaps == ()


def test_what_has_no_structure_is_not_read_whole(shared: Path) -> None:
    """What pdfium opens and pikepdf does not has places beside its pages that nobody reads: a gap says so."""
    document = read((shared / "corpus/robust/pdfjs/issue18986.pdf").read_bytes())
    assert document.pages == 1
    assert "its structure is damaged" in " ".join(gap.detail for gap in document.gaps)


def decorated(file: pikepdf.Pdf) -> None:
    """Fill every place besides the page."""
    name, make = pikepdf.Name, pikepdf.Dictionary
    page = file.pages[0]
    look = file.make_stream(b"BT /F1 12 Tf 5 5 Td (STAMPED) Tj ET", Type=name.XObject, Subtype=name.Form)
    look.BBox = [0, 0, 200, 30]
    look.Resources = make(Font=make(F1=make(Type=name.Font, Subtype=name.Type1, BaseFont=name.Helvetica)))
    stamp = make(Type=name.Annot, Subtype=name.Stamp, Rect=[100, 100, 300, 130], F=4, AP=make(N=look))
    note = make(Type=name.Annot, Subtype=name.Text, Rect=[400, 400, 420, 420], Contents="批注里的话", T="张三的批注")
    field = make(Type=name.Annot, Subtype=name.Widget, FT=name.Tx, Rect=[50, 50, 90, 60], T="f1", V="表单里填的值")
    field = file.make_indirect(field)
    page.obj.Annots = pikepdf.Array([file.make_indirect(stamp), file.make_indirect(note), field])
    file.Root.AcroForm = make(Fields=[field])
    file.Root.OpenAction = make(S=name.JavaScript, JS="app.alert('脚本里的字')")
    script = make(S=name.JavaScript, JS=file.make_stream("第二段脚本".encode()))
    file.Root.Names = make(JavaScript=make(Names=["a", script]))
    with file.open_metadata() as meta:
        meta["dc:description"] = "元数据里的说明"
    file.docinfo["/Title"] = "属性里的标题"
    file.docinfo["/Subject"] = pikepdf.String("没有编码标记的主题".encode("gb18030"))
    with file.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("书签里的字", 0))
    file.attachments["附件.txt"] = pikepdf.AttachedFileSpec(file, "附件里的正文".encode(), filename="附件.txt")


def test_places_besides_the_pages() -> None:
    """Annotations and their appearance, fields, scripts, properties, XMP, outline and attachments are read."""
    document = read(changed(drawn(written("正文")), decorated))
    zones = {s.text: s.zone for s in document.segments}
    assert zones["STAMPED"] is Zone.BODY
    assert zones["批注里的话"] is Zone.COMMENT
    assert zones["表单里填的值"] is Zone.HIDDEN
    assert zones["app.alert('脚本里的字')"] is Zone.HIDDEN
    assert zones["第二段脚本"] is Zone.HIDDEN
    assert zones["属性里的标题"] is Zone.METADATA
    assert zones["没有编码标记的主题"] is Zone.METADATA
    assert zones["元数据里的说明"] is Zone.METADATA
    assert zones["书签里的字"] is Zone.METADATA
    inner = found(document, "附件里的正文")
    assert inner.part == ("附件.txt",)
    assert not document.gaps


def test_an_annotation_knows_its_page_and_box() -> None:
    """A comment's box is that of its annotation on the page."""
    strip = found(read(changed(drawn(written("正文")), decorated)), "批注里的话").strip
    assert strip is not None
    box = strip.box(0, 2)
    assert (box.page, round(box.x0), round(box.y0), round(box.x1), round(box.y1)) == (1, 400, 422, 420, 442)


def test_one_broken_place_does_not_hide_the_others() -> None:
    """An XMP stream that does not decode is a gap; the outline behind it is still read."""

    def spoil(file: pikepdf.Pdf) -> None:
        decorated(file)
        broken = pikepdf.Stream(file, b"")
        broken.write(b"no deflate at all", filter=pikepdf.Name.FlateDecode)
        broken.Type, broken.Subtype = pikepdf.Name.Metadata, pikepdf.Name.XML
        file.pages[0].obj.Metadata = broken

    document = read(changed(drawn(written("正文")), spoil))
    assert GapKind.CORRUPT in kinds(document)
    assert {"正文", "书签里的字", "附件里的正文"} <= set(lines(document))


def test_text_in_a_fill_pattern_is_a_gap() -> None:
    """The cell of a tiling pattern that draws text is not read and not called clean."""
    objects = simple(b"/Pattern cs /P1 scn 0 0 595 842 re f BT /F1 12 Tf 72 700 Td (hello) Tj ET")
    objects[2] = objects[2].replace(b"/Font <<", b"/Pattern << /P1 6 0 R >> /Font <<")
    cell = b"/PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 90 20] /XStep 90 /YStep 20 "
    cell += b"/Resources << /Font << /F1 4 0 R >> >>"
    objects.append(stream(b"BT /F1 12 Tf 0 5 Td (pattern) Tj ET", cell))
    assert GapKind.NO_OCR in kinds(read(by_hand(objects)))


# Pictures, blanks, coverage ---------------------------------------------------------------------------------------


def test_coverage_of_pages() -> None:
    """A page of text is `text`, an empty one `blank`, a picture goes to OCR as it is shown."""

    def rules(sheet: Any) -> None:
        sheet.line(72, 780, 520, 780)
        sheet.rect(72, 100, 400, 600)

    document = read(
        drawn(
            written("有字的一页"),
            lambda _: None,
            lambda sheet: sheet.drawImage(picture(), 50, 50, 500, 700),
            rules,
        )
    )
    assert [(c.page, c.how) for c in document.coverage] == [(1, "text"), (2, "blank"), (3, "ocr"), (4, "blank")]
    assert document.gaps == ()
    (shown,) = document.pictures
    assert (shown.page, shown.width, shown.height, round(shown.scale, 2)) == (3, 1653, 2339, 0.36)
    assert document.pages == 4


@pytest.mark.parametrize(("width", "pictures"), [(100, 0), (400, 1)])
def test_a_large_picture_beside_text_goes_to_ocr(width: int, pictures: int) -> None:
    """A page with a picture over more than 15 % of it is looked at even where there is text; a logo is not."""

    def page(sheet: Any) -> None:
        written("图文并茂")(sheet)
        sheet.drawImage(picture(), 50, 50, width, width)

    document = read(drawn(page))
    assert [p.page for p in document.pictures] == [1] * pictures
    assert document.gaps == ()


def test_text_turned_into_curves_goes_to_ocr() -> None:
    """A page that paints curves and no text is not blank."""

    def page(sheet: Any) -> None:
        path = sheet.beginPath()
        path.moveTo(72, 700)
        for number in range(100):
            path.curveTo(80 + number, 720, 90 + number, 680, 100 + number, 700)
        sheet.drawPath(path, fill=1)

    document = read(drawn(page))
    assert [p.page for p in document.pictures] == [1]
    assert document.coverage[0].how == "ocr"


def test_fonts_without_a_map_are_not_trusted() -> None:
    """Text whose codes mean private-use characters is read, and its page as it is shown, too."""
    objects = simple(b"BT /F1 12 Tf 72 700 Td (abcabcabc) Tj ET")
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
        b"1 begincodespacerange <00> <FF> endcodespacerange\n1 beginbfrange <61> <63> <E001> endbfrange\n"
        b"endcmap end end"
    )
    objects[3] = objects[3].replace(b"/Encoding", b"/ToUnicode 6 0 R /Encoding")
    objects.append(stream(cmap))
    document = read(by_hand(objects))
    assert [(p.page, p.believed) for p in document.pictures] == [(1, False)]
    assert kinds(document) == set()


def test_one_line_of_each_font_is_looked_at() -> None:
    """A font that comes with the file is probed once, with what it says; fonts of the machine need no proof."""
    document = read(embedded("plain words of a letter"))
    assert [(p.page, p.form, p.says) for p in document.pictures] == [(1, "line", "plain words of a letter")]
    assert 300 < document.pictures[0].width < 700
    assert 20 < document.pictures[0].height < 80
    assert read(drawn(written("plain words", font="Helvetica"), written("中文一页"))).pictures == ()


# Revisions and envelopes ------------------------------------------------------------------------------------------


def test_older_revision_is_read_as_hidden() -> None:
    """What an incremental update took off the page is still read."""
    first = by_hand(simple(b"BT /F1 12 Tf 72 700 Td (amount is 4200000) Tj 0 -20 Td (kept) Tj ET"))
    document = read(revised(first, b"BT /F1 12 Tf 72 700 Td (amount is gone) Tj 0 -20 Td (kept) Tj ET"))
    assert lines(document, Zone.BODY) == ["amount is gone", "kept"]
    assert lines(document, Zone.HIDDEN) == ["amount is 4200000"]


def test_a_linearized_file_has_no_older_revision() -> None:
    """The first end mark of a file made for the web is not read as a revision."""
    raw = changed(drawn(*(written(f"第{n}页") for n in range(5))), lambda _: None, linearize=True)
    assert raw.count(b"%%EOF") == 2
    document = read(raw)
    assert not lines(document, Zone.HIDDEN)
    assert not document.gaps


def test_two_documents_in_one_stream_are_a_gap() -> None:
    """A second document with its own header is no revision of the first."""
    first = by_hand(simple(b"BT /F1 12 Tf 72 700 Td (first) Tj ET"))
    second = by_hand(simple(b"BT /F1 12 Tf 72 700 Td (second) Tj ET"))
    document = read(first + second)
    assert "several documents in one stream" in {g.detail for g in document.gaps}


def test_a_pdf_attached_without_compression_is_no_second_document() -> None:
    """The header of an attached PDF belongs to the attachment, which is read on its own."""

    def attach(file: pikepdf.Pdf) -> None:
        inner = drawn(written("里面的那份"))
        file.attachments["b.pdf"] = pikepdf.AttachedFileSpec(file, inner, filename="b.pdf")

    raw = changed(drawn(written("外面的")), attach, compress_streams=False)
    document = read(raw)
    assert raw.count(b"%PDF-") == 2
    assert found(document, "里面的那份").part == ("b.pdf",)
    assert not document.gaps


def test_bytes_after_the_end_are_not_ignored() -> None:
    """Text behind the end mark is read or told, never passed over."""
    document = read(by_hand(simple(b"BT /F1 12 Tf 72 700 Td (first) Tj ET")) + "藏在末尾的字，没有人看".encode() * 3)
    assert document.gaps or any("藏在末尾" in s.text for s in document.segments)


# Locked and broken files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [3, 4, 6])
def test_passwords(strength: int) -> None:
    """A user password is a gap ENCRYPTED; an owner password alone does not stop the reader."""
    raw = drawn(written("加密的内容"))

    def keep(_: pikepdf.Pdf) -> None:
        return

    both = {"R": strength, "aes": strength > 3, "metadata": strength > 3}
    locked = changed(raw, keep, encryption=pikepdf.Encryption(owner="o", user="u", **both))
    opened = changed(raw, keep, encryption=pikepdf.Encryption(owner="o", user="", **both))
    assert kinds(read(locked)) == {GapKind.ENCRYPTED}
    assert not read(locked).segments
    document = read(opened)
    assert "加密的内容" in lines(document)
    assert not document.gaps


def test_second_reader_opens_what_pdfium_does_not() -> None:
    """Without its header pdfium refuses a file; the second reader still gives the text with boxes."""
    raw = by_hand(simple(b"BT /F1 12 Tf 72 700 Td (no header here) Tj ET")).replace(b"%PDF-1.7", b"%XYZ-1.7")
    segment = found(read(raw), "no header here")
    assert segment.strip is not None
    assert 60 < segment.strip.x0 < 80


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.97])
def test_truncated_file_is_never_clean(share: float) -> None:
    """A file that is cut anywhere gives a gap."""
    raw = drawn(*(written(f"第{n}页的文字") for n in range(6)))
    assert read(raw[: int(len(raw) * share)]).gaps


def test_damaged_content_is_a_gap() -> None:
    """A content stream whose Deflate data ends early gives a gap on its page."""

    def cut(file: pikepdf.Pdf) -> None:
        contents = file.pages[0].Contents
        raw = contents.read_raw_bytes()
        contents.write(raw[: len(raw) // 2], filter=pikepdf.Name.FlateDecode)

    raw = changed(drawn(written("一行一行又一行\n" * 30)), lambda _: None, compress_streams=True)
    document = read(changed(raw, cut, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none))
    assert GapKind.CORRUPT in kinds(document)


def test_deflate_in_deflate_bomb_is_too_big() -> None:
    """300 MiB under two layers of Deflate is refused before a reader expands it."""
    packed = squeezed_zeros(300 << 20)
    assert len(packed) < 100_000
    raw = by_hand(simple(packed, entries=b"/Filter [/FlateDecode /FlateDecode]"))
    assert kinds(read(raw)) == {GapKind.TOO_BIG}


def test_single_deflate_bomb_is_too_big() -> None:
    """The same in one layer, without looking at what it expands to."""
    import zlib

    raw = by_hand(simple(zlib.decompress(squeezed_zeros(300 << 20)), entries=b"/Filter /FlateDecode"))
    assert kinds(read(raw)) == {GapKind.TOO_BIG}


HELLO = b"BT /F1 12 Tf 72 700 Td (hello) Tj ET"


def hostile() -> dict[str, bytes]:
    """Structures that loop, lie or nest."""
    deep = simple(HELLO)
    deep[0] = b"<< /Type /Catalog /Pages 2 0 R /X " + b"[" * 100_000 + b"]" * 100_000 + b" >>"
    loop = simple(HELLO)
    loop[1] = b"<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 2 >>"
    forms = simple(b"/A Do BT /F1 12 Tf 72 700 Td (hello) Tj ET")
    forms[2] = forms[2].replace(b"/Font <<", b"/XObject << /A 6 0 R >> /Font <<")
    inner = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /A %d 0 R >> >>"
    forms += [stream(b"/A Do", inner % 7), stream(b"/A Do", inner % 6)]
    notes = simple(HELLO, page=b"/Annots [6 0 R 6 0 R null 17 (text) [6 0 R]]")
    notes.append(b"<< /Type /Annot /Subtype /Text /Rect [1 (x) /y null] /Contents 12 /Parent 6 0 R /Kids [6 0 R] >>")
    outline = simple(HELLO)
    outline[0] = b"<< /Type /Catalog /Pages 2 0 R /Outlines 6 0 R >>"
    outline.append(b"<< /First 6 0 R /Last 6 0 R /Next 6 0 R /Title (a round one) >>")
    return {
        "count lies high": by_hand(simple(HELLO, pages=b"/Count 100000")),
        "count lies low": by_hand(simple(HELLO, pages=b"/Count -5")),
        "kids hold their parent": by_hand(loop),
        "previous table is itself": by_hand(simple(HELLO), trailer=b"/Prev 15"),
        "deep arrays": by_hand(deep),
        "forms draw each other": by_hand(forms),
        "odd annotations": by_hand(notes),
        "outline in a circle": by_hand(outline),
        "media box without numbers": by_hand(simple(HELLO, page=b"/MediaBox [nan nan inf 0]")),
        "huge media box": by_hand(simple(HELLO, page=b"/MediaBox [-1e30 -1e30 1e30 1e30]")),
        "empty media box": by_hand(simple(HELLO, page=b"/MediaBox [0 0 0 0] /Rotate 45")),
        "far away text": by_hand(simple(b"BT /F1 1e9 Tf 1e20 1e20 Td (far) Tj ET " + HELLO)),
        "no pages": by_hand([b"<< /Type /Catalog >>"]),
        "empty": b"",
        "only a header": b"%PDF-1.7\n",
        "zeros": bytes(5_000),
    }


@pytest.mark.parametrize("name", sorted(hostile()))
def test_hostile_structure_ends_in_a_value(name: str) -> None:
    """Loops, lies and nonsense neither hang nor raise; what is not read is a gap."""
    document = read(hostile()[name])
    assert document.media == "application/pdf"
    assert document.gaps or any("hello" in s.text for s in document.segments)
    for segment in document.segments:
        if segment.strip is not None:
            box = segment.strip.box(0, 1)
            assert all(np.isfinite([box.x0, box.y0, box.x1, box.y1]))


def test_a_full_room_keeps_what_was_read() -> None:
    """At the page limit the reading ends with a gap, and the pages before it are there."""
    document = read(drawn(*(written(f"第{n}页") for n in range(6))), pages=4)
    assert kinds(document) == {GapKind.TOO_MANY}
    assert len(lines(document, Zone.BODY)) == 4


def test_a_hundred_thousand_pages_end_at_the_limit() -> None:
    """A tree that shows one page 100,000 times costs no more than the page limit."""
    objects = simple(HELLO, pages=b"/Count 100000")
    objects[1] = b"<< /Type /Pages /Count 100000 /Kids [" + b"3 0 R " * 100_000 + b"] >>"
    document = read(by_hand(objects), pages=200)
    assert document.gaps
    assert len(document.coverage) <= 200


# The corpus -------------------------------------------------------------------------------------------------------


def corpus(*folders: str) -> list[Path]:
    """PDF files of the shared corpus, or a skip where it is absent."""
    files = sorted(p for folder in folders for p in (SHARED / "corpus" / folder).rglob("*.pdf"))
    if not files:
        pytest.skip("../shared/corpus is not beside this checkout")
    return files


def test_robust_corpus_never_raises_and_never_stays_silent() -> None:
    """Each odd file gives text, a gap, or pages that are known to be blank."""
    for path in corpus("robust", "redaction"):
        document = read(path.read_bytes())
        assert document.gaps or document.pages, path.name
        own = [c for c in document.coverage if not c.part]
        assert document.gaps or len(own) == document.pages, path.name


def test_chinese_corpus_is_read() -> None:
    """Honest Chinese documents give text on nearly every page."""
    for path in corpus("files/pdf"):
        document = read(path.read_bytes())
        ways = Counter(c.how for c in document.coverage)
        assert ways["text"] >= 0.9 * sum(ways.values()), path.name
        han = sum("\u4e00" <= char <= "\u9fff" for s in document.segments for char in s.text)
        assert han > 500, path.name


def test_known_leaks_of_others_are_seen() -> None:
    """What a bad redaction left behind is read: under boxes, invisible, in properties, in an older revision."""
    wanted = {
        "box_over_text.pdf": "",
        "invisible_text.pdf": "Robert Paulson",
        "white_on_white_text.pdf": "Maria Vargas",
        "incremental_redaction.pdf": "4200000",
        "metadata_leak.pdf": "SEALED-2026-00042",
        "unapplied_redact.pdf": "Sarah Connor",
    }
    files = {p.name: p for p in corpus("redaction")}
    for name, text in wanted.items():
        document = read(files[name].read_bytes())
        assert any(text in s.text for s in document.segments), name


def test_io_of_a_descriptor(tmp_path: Path) -> None:
    """A file is read through its descriptor just as bytes are."""
    path = tmp_path / "a.pdf"
    path.write_bytes(drawn(written("从描述符读")))
    with path.open("rb") as file:
        assert "从描述符读" in lines(pdf.extract(Source(file.fileno(), name="a.pdf"), Room()))
