"""Redactions that leak are told by their kind, honest look-alikes are not; the gate holds the former."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from dlp import leaks
from dlp.formats import Source, pdf
from dlp.formats.room import Room, read
from dlp.model import Document, Finding, Segment, Severity, Strip, Zone
from leak_makers import (
    LINE,
    SECRET,
    SIZE,
    WHOLE,
    X,
    Y,
    attached,
    box,
    boxed,
    later,
    lettered,
    multiplied,
    noted,
    page,
    photograph,
    picture_of,
    scan,
    scanned,
    text,
    titled,
)
from makers import body as docx_body
from pdf_makers import DEJAVU, HAN, changed, drawn, text_pdf
from sites import Place


def told(raw: bytes) -> tuple[Finding, ...]:
    """Everything that leaks in a PDF."""
    document = pdf.extract(Source(raw, name="a.pdf"), Room())
    assert not [gap for gap in document.gaps if "redaction" in gap.detail], document.gaps
    return leaks.find(document, every=True)


def kinds(raw: bytes) -> set[str]:
    """The kinds of what leaks in a PDF, without what reportlab writes into every file."""
    return {leaks.kind_of(found) for found in told(raw)} - {"metadata"}


# Covered text --------------------------------------------------------------------------------------------------


def stroke(sheet: Any) -> None:
    """Draw one thick black line over the text."""
    sheet.setStrokeColorRGB(0, 0, 0)
    sheet.setLineWidth(24)
    sheet.line(X - 4, Y + 4, X + 460, Y + 4)


def polygon(sheet: Any) -> None:
    """Draw a shape that is no rectangle over the text."""
    shape = sheet.beginPath()
    for number, (x, y) in enumerate([(40, 680), (550, 680), (540, 740), (50, 730)]):
        (shape.lineTo if number else shape.moveTo)(x, y)
    shape.close()
    sheet.setFillColorRGB(0.2, 0.2, 0.2)
    sheet.drawPath(shape, stroke=0, fill=1)


def in_form(sheet: Any) -> None:
    """Draw the box inside a form."""
    sheet.beginForm("cover")
    box(sheet)
    sheet.endForm()
    sheet.doForm("cover")


def labelled(sheet: Any) -> None:
    """Draw the box and a label on it."""
    box(sheet)
    sheet.setFillColorRGB(1, 1, 1)
    sheet.drawString(X + 20, Y, "已涂黑 REDACTED 已涂黑 REDACTED")


def pasted(sheet: Any) -> None:
    """Paste a picture of one colour over the text."""
    sheet.drawImage(picture_of(90), *WHOLE)


COVERED = {
    "black": boxed(),
    "white": boxed((1, 1, 1)),
    "red": boxed((0.8, 0.1, 0.1)),
    "stroke": page(text, stroke),
    "polygon": page(text, polygon),
    "form": page(text, in_form),
    "label": page(text, labelled),
    "picture": page(text, pasted),
    "square": noted("Square", b"/IC [0 0 0] /C [0 0 0]"),
    "highlight": noted("Highlight", b"/C [0 0 0] /QuadPoints [70 720 300 720 70 690 300 690]"),
    "ink": noted("Ink", b"/C [0 0 0] /BS << /W 30 >> /InkList [[70 705 300 705]]"),
    "stamp": noted("Stamp", b"", look=b"0 g 70 690 230 30 re f"),
    "turned": changed(boxed(), lambda made: made.pages[0].rotate(90, relative=False)),
}


@pytest.mark.parametrize("case", COVERED)
def test_text_under_something_opaque_is_told(case: str) -> None:
    """Boxes of any colour, strokes, shapes, forms, pictures and notes over text; labels on the box do not help it."""
    assert kinds(COVERED[case]) == {"covered"}


def test_a_box_over_a_part_of_a_line_is_told_where_it_is() -> None:
    """Only the number is covered: one place, within the box, on the right page; the text itself is told nowhere."""
    start = X + pdfmetrics.stringWidth("申请人张三，身份证号", HAN, SIZE)
    over = (start, Y - 4, pdfmetrics.stringWidth(SECRET, HAN, SIZE), SIZE + 6)
    (found,) = [f for f in told(page(text, lambda sheet: box(sheet, at=over))) if leaks.kind_of(f) == "covered"]
    assert (found.page, found.count, found.severity) == (1, 1, Severity.HIGH)
    (place,) = found.boxes
    assert place.x0 == pytest.approx(start, abs=2)
    assert place.x1 == pytest.approx(start + over[2], abs=2)
    assert SECRET not in repr(found)


def glass(sheet: Any) -> None:
    """Lay a transparent box over the text."""
    sheet.setFillAlpha(0.3)
    box(sheet)
    sheet.setFillAlpha(1)


def marker(sheet: Any) -> None:
    """Lay a yellow box over the text; its graphics state names an opacity, so that a blend mode can be set."""
    sheet.setFillAlpha(0.999)
    box(sheet, (1, 1, 0.2))


def clipped(sheet: Any) -> None:
    """Draw a large black box that a clip keeps away from the text."""
    sheet.saveState()
    corner = sheet.beginPath()
    corner.rect(0, 0, 100, 100)
    sheet.clipPath(corner, stroke=0, fill=0)
    box(sheet, at=(0, 0, 595, 842))
    sheet.restoreState()


def watermark(sheet: Any) -> None:
    """Write large pale letters across the text."""
    sheet.setFillColorRGB(0.9, 0.9, 0.9)
    sheet.setFont("Helvetica-Bold", 60)
    sheet.drawString(60, Y - 20, "DRAFT COPY")


def shadow(sheet: Any) -> None:
    """Draw a panel with a drop shadow, then its text."""
    box(sheet, (0.5, 0.5, 0.5), (X + 6, Y - 30, 300, 60))
    box(sheet, (1, 1, 1), (X, Y - 24, 300, 60))
    text(sheet, "面板上的文字")


def rows(sheet: Any) -> None:
    """Draw a table whose rows alternate in colour, each shade just before its text, with a dark head."""
    for number in range(8):
        shade = (0.1, 0.2, 0.4) if number == 0 else (0.85, 0.9, 1) if number % 2 else (1, 1, 1)
        box(sheet, shade, (X, Y - 20 * number - 5, 400, 20))
        sheet.setFillColorRGB(*((1, 1, 1) if number == 0 else (0, 0, 0)))
        sheet.setFont(HAN, 11)
        sheet.drawString(X + 4, Y - 20 * number, f"第{number}行 某项目 合计 {number * 1250}")


def bars(sheet: Any) -> None:
    """Draw a chart of black bars between its labels."""
    for number in range(6):
        text(sheet, f"Item {number}", y=600 - 30 * number, font="Helvetica", size=10)
        box(sheet, at=(X + 60, 598 - 30 * number, 40 + 30 * number, 14))
        sheet.drawString(X + 110 + 30 * number, 600 - 30 * number, f"{number}%")


def slide(sheet: Any) -> None:
    """Draw a slide: a photograph as its ground, a dark bar across, and a caption."""
    sheet.drawImage(photograph(), 0, 0, 595, 842)
    box(sheet, at=(0, 300, 595, 30))
    sheet.setFillColorRGB(1, 1, 1)
    sheet.drawString(60, 500, "Annual meeting 2026")


def again(sheet: Any) -> None:
    """Write the text, paint it out and write the same once more, as forms do that are filled in."""
    text(sheet)
    box(sheet, (1, 1, 1))
    text(sheet)


HARMLESS = {
    "nothing": text_pdf(LINE),
    "highlighted": page(lambda sheet: box(sheet, (1, 1, 0)), text),
    "background": drawn(lambda sheet: (box(sheet, (1, 1, 1), (0, 0, 595, 842)), text(sheet))),
    "glass": page(text, glass),
    "multiply": multiplied(page(text, marker), "Multiply"),
    "clipped": page(text, clipped),
    "watermark": page(text, watermark),
    "shadow": page(shadow),
    "rows": page(rows),
    "bars": page(bars),
    "slide": drawn(slide),
    "again": page(again),
    "beside": page(text, lambda sheet: box(sheet, at=(X, Y - 60, 300, 20))),
    "frame": page(text, lambda sheet: sheet.rect(*WHOLE, stroke=1, fill=0)),
    "note": noted("Highlight", b"/C [1 1 0] /QuadPoints [70 720 300 720 70 690 300 690]"),
    "rings": noted("Square", b"/C [1 0 0]"),
    "scan": scanned(),
    "scan over text": scanned(under=True),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_pages_are_silent(case: str) -> None:
    """Shades, marks, watermarks, shadows, tables, charts, transparent and clipped boxes, searchable scans."""
    assert kinds(HARMLESS[case]) == set()


# Text that is not seen -----------------------------------------------------------------------------------------


def pale(sheet: Any, shade: float = 1.0) -> None:
    """Write the line in white."""
    sheet.setFillColorRGB(shade, shade, shade)
    sheet.setFont(HAN, SIZE)
    sheet.drawString(X, Y, LINE)


def unpainted(sheet: Any) -> None:
    """Write the line in no colour at all."""
    line = sheet.beginText(X, Y)
    line.setFont(HAN, SIZE)
    line.setTextRenderMode(3)
    line.textOut(LINE)
    sheet.drawText(line)


UNSEEN = {
    "white": page(pale),
    "nearly white": page(lambda sheet: pale(sheet, 0.98)),
    "black on black": page(box, text),
    "unpainted": page(unpainted),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_text_that_nobody_sees_is_told(case: str) -> None:
    """White on white, black on black, and text that is painted in no way."""
    assert kinds(UNSEEN[case]) == {"unseen"}


def test_white_text_on_a_dark_ground_is_seen() -> None:
    """A white heading on blue hides nothing, on a rectangle or on a picture."""
    assert kinds(page(lambda sheet: box(sheet, (0, 0.2, 0.5)), pale)) == set()
    assert kinds(page(lambda sheet: sheet.drawImage(picture_of(20), *WHOLE), pale)) == set()


def test_a_scan_that_was_painted_out_keeps_its_text_layer() -> None:
    """A line is blackened or whitened in the picture, and the text layer still has it."""
    assert kinds(scanned(black=True)) == {"covered"}
    assert kinds(scanned(white=True)) == {"covered"}
    assert kinds(scanned(black=True, under=True)) == {"covered"}


# Pictures ------------------------------------------------------------------------------------------------------


def test_a_box_over_a_part_of_a_scan_is_told() -> None:
    """The pixels below a black or a white box are still in the file; a box over blank paper hides nothing."""

    def over(colour: tuple[float, float, float], y: float) -> bytes:
        def paint(sheet: Any) -> None:
            sheet.drawImage(scan(), 0, 0, 595, 842)
            box(sheet, colour, (55, y, 480, 26))

        return drawn(paint)

    assert kinds(over((0, 0, 0), 842 - 335)) == {"picture"}
    assert kinds(over((1, 1, 1), 842 - 335)) == {"picture"}
    assert kinds(over((0, 0, 0), 60)) == set()


def test_a_box_over_a_part_of_a_photograph_is_told() -> None:
    """A face or a number on a picture that is smaller than the page lies below a black box."""

    def paint(sheet: Any) -> None:
        text(sheet)
        sheet.drawImage(photograph(), 100, 300, 300, 200)
        box(sheet, at=(150, 340, 120, 24))

    assert kinds(drawn(paint)) == {"picture"}


def test_a_scan_whose_pixels_are_gone_is_silent() -> None:
    """A box that is part of the picture has nothing below it."""
    assert kinds(drawn(lambda sheet: sheet.drawImage(scan(black=True), 0, 0, 595, 842))) == set()


def test_what_a_box_writes_on_itself_is_no_leak() -> None:
    """Labels in the colour of their box, and the same code over and over, tell nothing; a number does."""
    for words in (
        "REDACTED",
        "已脱敏",
        "〔已脱敏：居民身份证号〕",
        "XXXXXXXX",
        "5 U.S.C. 552a 5 U.S.C. 552a 5 U.S.C. 552a",
    ):
        assert kinds(page(box, lambda sheet, words=words: text(sheet, words))) == set()
    assert kinds(page(box, lambda sheet: text(sheet, "13800138000"))) == {"unseen"}


def test_text_of_a_thousandth_of_an_inch_is_told() -> None:
    """Text that is too small to be read is there all the same."""
    assert kinds(page(lambda sheet: text(sheet, size=0.8))) == {"unseen"}


# What the whole file keeps -------------------------------------------------------------------------------------


def test_a_mark_of_redaction_that_was_not_applied_is_told() -> None:
    """A Redact annotation in a file means that nothing was removed."""
    assert kinds(noted("Redact", b"/IC [0 0 0]")) == {"unapplied"}


def test_an_earlier_revision_with_other_words_is_told() -> None:
    """What the last revision replaced can be read; a revision that only adds hides nothing."""
    before = b"BT /F1 14 Tf 72 700 Td (Amount 4200000 dollars paid to Acme Holdings) Tj ET"
    after = b"BT /F1 14 Tf 72 700 Td (Amount [REDACTED] dollars paid to [REDACTED]) Tj ET"
    added = before + b" BT /F1 14 Tf 72 600 Td (Signed today.) Tj ET"
    longer = b"BT /F1 14 Tf 72 700 Td (The Amount 4200000 dollars paid to Acme Holdings is due) Tj ET"
    assert kinds(later(before, after)) == {"revision"}
    assert kinds(later(before, added)) == set()
    assert kinds(later(before, longer)) == set()


def test_metadata_that_repeats_what_is_covered_is_told() -> None:
    """A number or a name under a box that stands in the title again; another title repeats nothing."""
    assert kinds(titled(boxed(), Title=f"关于{SECRET}的答复")) == {"covered", "repeated"}
    assert kinds(titled(boxed(), Title="关于申请人张三的答复")) == {"covered", "repeated"}
    assert kinds(titled(boxed(), Title="关于某事项的答复")) == {"covered"}


def test_metadata_that_tells_more_than_the_pages_is_a_trace() -> None:
    """A title or an entry of its own that no page shows is told, faintly; what the pages show and programs are not."""

    def faint(**entries: str) -> set[str]:
        return {leaks.kind_of(found) for found in told(titled(text_pdf("关于某事项的答复"), **entries))}

    assert faint(Title="内部讨论稿，勿外传") == {"metadata"}
    assert faint(CaseNumber="SEALED-2026-00042") == {"metadata"}
    assert faint(Title="关于某事项的答复", Producer="Some Program 1.0", Creator="Some Program") == set()
    assert faint(Author="anonymous", Trapped="/False") == set()


def test_a_file_inside_weighs_more_beside_redactions() -> None:
    """An attachment is a trace; in a file with covered text it may be the original."""
    assert kinds(attached(text_pdf("字"))) == {"attachment"}
    assert kinds(attached(boxed())) == {"covered", "attached"}


def test_the_width_of_a_removed_word_can_be_measured() -> None:
    """A black box between two words of proportional letters; not where every letter is as wide as the others."""
    assert kinds(page(lambda sheet: lettered(sheet, "The applicant [] lives in the village"))) == {"measurable"}
    assert kinds(page(lambda sheet: lettered(sheet, "The applicant [] lives in town", widths=False))) == set()
    assert kinds(page(text, lambda sheet: box(sheet, at=(X, Y - 40, 200, 14)))) == set()


def without(raw: bytes, face: str) -> bytes:
    """Return the file without what it writes in one font, as an editor removes text; the font stays."""

    def take_out(made: Any) -> None:
        sheet = made.pages[0]
        names = {key for key, font in sheet.Resources.Font.items() if face in str(font.BaseFont)}
        kept, current = [], ""
        for operands, operator in pikepdf.parse_content_stream(sheet):
            current = str(operands[0]) if str(operator) == "Tf" else current
            if str(operator) != "Tj" or current not in names:
                kept.append((operands, operator))
        sheet.Contents = made.make_stream(pikepdf.unparse_content_stream(kept))

    return changed(raw, take_out)


def listing(raw: bytes, face: str, letters: str) -> bytes:
    """Return the file with a font map that names these letters and no others."""
    rows = b"".join(b"<%02X> <%04X>\n" % (number, ord(letter)) for number, letter in enumerate(letters, 1))
    cmap = b"begincmap\n1 begincodespacerange <00> <FF> endcodespacerange\n%d beginbfchar\n%sendbfchar\nendcmap"

    def write(made: Any) -> None:
        for font in made.pages[0].Resources.Font.values():
            if face in str(font.BaseFont):
                font.ToUnicode = made.make_stream(cmap % (len(letters), rows))

    return changed(raw, write)


def test_letters_that_only_a_font_still_lists_are_told() -> None:
    """A name was taken out of the page, and the font map names its letters; only where something was redacted."""
    if not DEJAVU.exists():
        pytest.skip("DejaVu Sans is not installed (fonts-dejavu-core)")
    pdfmetrics.registerFont(TTFont("DejaVu", str(DEJAVU)))

    def named(mark: str, letters: str = "Zorn") -> bytes:
        def paint(sheet: Any) -> None:
            text(sheet, f"The applicant is {mark}.", font="Helvetica")
            text(sheet, "Zorn", y=600, font="DejaVu")

        return without(listing(drawn(paint), "DejaVu", letters), "DejaVu")

    assert kinds(named("REDACTED")) == {"remnants"}
    assert kinds(named("a man")) == set()
    assert kinds(named("REDACTED", "Thesplicant")) == set()
    assert kinds(named("REDACTED", string.ascii_letters + string.digits)) == set()


def test_letters_outside_the_page_are_a_trace() -> None:
    """Text beside the visible part of a page is told, and holds no file."""
    raw = page(lambda sheet: text(sheet, LINE, y=-200))
    assert kinds(raw) == {"outside"}
    assert not leaks.find(pdf.extract(Source(raw, name="a.pdf"), Room()))


# The gate and the command --------------------------------------------------------------------------------------


def test_marks_of_an_unknown_kind_are_not_believed() -> None:
    """The child may say anything: a kind that is none gives no finding, and a mark holds no text."""
    bad = Segment(text="", anchor="/Leak everything", zone=Zone.HIDDEN)
    good = leaks.mark("covered", (), Strip(page=3, x0=1, y0=2, x1=3, y1=4, edges=b""))
    (found,) = leaks.find(Document(media="application/pdf", segments=(bad, good)))
    assert (found.rule, found.page, found.masked) == ("gate.redaction.covered", 3, "×1")


def test_hidden_text_of_office_files_is_a_trace() -> None:
    """A tracked deletion and hidden words are told to who asks, and hold no file; ordinary words are not told."""
    media = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    raw = docx_body(
        "<w:p><w:r><w:t>字</w:t></w:r><w:del><w:r><w:delText>删去</w:delText></w:r></w:del></w:p>"
        "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>隐藏</w:t></w:r><w:r><w:t>字</w:t></w:r></w:p>"
    )
    document = read(media, Source(raw), Room())
    (found,) = leaks.find(document, every=True)
    assert (leaks.kind_of(found), found.count) == ("hidden", 2)
    assert leaks.find(document) == ()
    assert leaks.find(read(media, Source(docx_body("<w:p><w:r><w:t>字</w:t></w:r></w:p>")), Room()), every=True) == ()


BLACK = '<w:highlight w:val="black"/>'
YELLOW = '<w:highlight w:val="yellow"/>'
SHADE = '<w:shd w:val="clear" w:fill="000000"/>'
INK = '<w:color w:val="000000"/>'
WHITE = '<w:color w:val="FFFFFF"/>'


def run(properties: str, words: str) -> str:
    """Return a run of a Word document."""
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{words}</w:t></w:r>"


def word(xml: str) -> set[str]:
    """The kinds for which a Word document with this body is held."""
    media = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    return {leaks.kind_of(found) for found in leaks.find(read(media, Source(docx_body(xml)), Room()))}


def test_words_that_are_only_painted_over_in_word_are_told() -> None:
    """Black on a black marker or shade, white on the paper."""
    assert word(f"<w:p>{run('', '申请人')}{run(BLACK, '张三')}</w:p>") == {"covered"}
    assert word(f"<w:p>{run(BLACK, '张')}{run(BLACK, '三')}</w:p>") == {"covered"}
    assert word(f"<w:p>{run(INK + SHADE, SECRET)}</w:p>") == {"covered"}
    assert word(f"<w:p>{run(WHITE, '看不见的字')}</w:p>") == {"unseen"}


def test_colours_of_honest_word_documents_are_silent() -> None:
    """White on a black marker, a yellow marker, white headings of tables and shaded paragraphs, labels."""
    assert word(f"<w:p>{run(WHITE + BLACK, '黑底白字')}</w:p>") == set()
    assert word(f"<w:p>{run(YELLOW, '重点')}</w:p>") == set()
    assert word(f"<w:tbl><w:tr><w:tc><w:p>{run(WHITE, '表头文字')}</w:p></w:tc></w:tr></w:tbl>") == set()
    shaded = '<w:pPr><w:shd w:val="clear" w:fill="1F4E79"/></w:pPr>'
    assert word(f"<w:p>{shaded}{run(WHITE, '标题文字')}</w:p>") == set()
    assert word(f"<w:p>{run(SHADE, '自动颜色')}</w:p>") == set()
    assert word(f"<w:p>{run(BLACK, 'XXXXXX')}{run(BLACK, '')}</w:p>") == set()


def scanned_row(site: Place, raw: bytes) -> dict[str, Any]:
    """The line of `dlp scan` for a PDF."""
    path = site.root / "a.pdf"
    path.write_bytes(raw)
    (row,) = site.json("scan", str(path), check=None)
    return row


def test_the_gate_holds_a_file_that_leaks(site: Place) -> None:
    """Covered text: quarantined, with the reason in plain words, the page, and nothing of what is covered."""
    row = scanned_row(site, page(lambda sheet: text(sheet, "某同志的意见从略"), box))
    assert row["action"] == "quarantine"
    (reason,) = [r for r in row["reasons"] if r["clause"] == "redaction-leaks"]
    assert "盖住的文字仍可读出" in reason["text"]
    assert "第1页" in reason["text"]
    assert "意见从略" not in str(row)


def test_the_gate_lets_honest_and_measured_files_pass(site: Place) -> None:
    """A highlighted page is allowed; a gap that can be measured is recorded and does not hold the file."""
    assert (
        scanned_row(site, page(lambda sheet: box(sheet, (1, 1, 0)), lambda s: text(s, "一般内容")))["action"] == "allow"
    )
    row = scanned_row(site, page(lambda sheet: lettered(sheet, "The applicant [] lives in the village")))
    assert row["action"] == "alert"
    assert [r["clause"] for r in row["reasons"]] == ["redaction-traces"]


def test_the_command_tells_kind_page_and_count(site: Place) -> None:
    """One line a file with `--json`; the exit code is 23 for a leak, and the text under the box is nowhere."""
    (site.root / "bad.pdf").write_bytes(boxed())
    (site.root / "good.pdf").write_bytes(titled(text_pdf(LINE)))
    bad, good = site.json("check-redaction", "bad.pdf", "good.pdf", check=23)
    (covered,) = [f for f in bad["findings"] if f["kind"] == "covered"]
    assert {"kind", "name", "severity", "count", "part", "page", "boxes"} == covered.keys()
    assert (covered["severity"], covered["page"], covered["count"]) == ("high", 1, 1)
    assert (bad["leaks"], bad["severity"]) == (True, "high")
    assert (good["leaks"], good["severity"], good["findings"]) == (False, None, [])
    assert SECRET not in str(bad)
    site.run("check-redaction", "good.pdf", check=0)


def test_the_command_speaks_both_languages(site: Place) -> None:
    """People read the kind and the page in Chinese or English, and never the text."""
    (site.root / "bad.pdf").write_bytes(boxed())
    zh = site.run("check-redaction", "--lang", "zh", "bad.pdf", check=23).stdout
    en = site.run("check-redaction", "--lang", "en", "bad.pdf", check=23).stdout
    assert "第1页 被色块、线条或图片盖住的文字仍可读出" in zh
    assert "p.1 text under a box, a line or a picture can still be read" in en
    assert SECRET not in zh + en


def test_what_cannot_be_read_is_not_called_clean(site: Place) -> None:
    """A broken file, a missing file: exit code 25, and the reason is said."""
    (site.root / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    done = site.run("check-redaction", "--lang", "en", "broken.pdf", check=25)
    assert "unreadable" in done.stdout
    assert "not read" in done.stdout
    site.run("check-redaction", "nowhere.pdf", check=25)
    site.run("check-redaction", check=2)


# What others made ----------------------------------------------------------------------------------------------

NAMED = {
    "box_over_text": "covered",
    "white_box_over_text": "covered",
    "white_on_white_text": "unseen",
    "invisible_text": "unseen",
    "unapplied_redact": "unapplied",
    "incremental_redaction": "revision",
    "metadata_leak": "metadata",
    "embedded_file": "attachment",
}


def test_eight_ways_to_leak_that_others_made(shared: Path) -> None:
    """Each of the eight files of the evaluation material is named by its kind; the clean ones are silent."""
    folder = shared / "corpus" / "redaction"
    for path in sorted(folder.glob("*.pdf")):
        found = {leaks.kind_of(one) for one in told(path.read_bytes())}
        assert found == ({NAMED[path.stem]} if path.stem in NAMED else set()), path.name


def test_office_pdfs_of_others_are_silent(shared: Path) -> None:
    """Real manuals, with listings on shades and figures, hold nothing that would keep a gate from letting them pass."""
    for path in sorted((shared / "corpus" / "files" / "pdf").glob("*.pdf")):
        document = pdf.extract(Source(path.read_bytes(), name=path.name), Room())
        assert leaks.find(document) == (), path.name
