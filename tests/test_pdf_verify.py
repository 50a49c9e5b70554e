"""The verifier of redacted PDFs: a proper copy passes every layer, each planted defect fails the layer for it."""

from __future__ import annotations

import ast
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader

import copies
from copies import BOX, CUT, NUMBER, SIZE, START, Y
from dlp.formats import Source, pdf_verify
from dlp.formats.pdf_outlines import outlines
from dlp.formats.pdf_verify import verify
from dlp.formats.room import Room
from dlp.limits import Limits
from dlp.model import Document, Mode, evolve
from pdf_makers import changed, drawn, revised
from scans import needs_font


def looked(raw: bytes, before: bytes | None = None, *, mode: Mode = Mode.AUTO, cuts: Any = (CUT,)) -> Document:
    """Return what the verifier says of a copy."""
    return verify(Source(raw), Source(copies.before() if before is None else before), cuts, Room(mode=mode))


def failed(document: Document) -> set[str]:
    """Return the names of the layers that failed; one that was not looked at counts as well."""
    return {check.name for check in document.checks if check.state != "ok"}


def test_a_proper_copy_passes_every_layer() -> None:
    """Nothing is wrong with a copy that was made as it should be, and every layer was looked at."""
    seen = looked(copies.copy())
    assert failed(seen) == set()
    assert not seen.gaps
    assert {check.name for check in seen.checks} >= {
        *("reopened:pikepdf", "reopened:pdfium", "reopened:pdfminer", "pages", "carve", "keys", "fonts"),
        *("boxes", "covered", "ink", "places", "fidelity"),
    }


@needs_font
def test_what_is_shown_around_a_box_is_handed_to_ocr() -> None:
    """The row of the box and the next become one picture, no character cut in two; the rest of the page does not."""
    (picture,) = looked(copies.copy()).pictures
    grey = np.frombuffer(zlib.decompress(picture.raw), dtype=np.uint8).reshape(picture.height, picture.width)
    assert picture.page == 1
    ink = np.flatnonzero((grey < 128).any(axis=1))
    assert 60 < ink[-1] - ink[0] < 180
    assert (grey[:, :20] == 255).all()
    assert (grey[:, -20:] == 255).all()


def test_each_reader_gives_its_text() -> None:
    """All orders are read: pdfminer in three and pdfium in its own: each of the four has the lines of the page."""
    texts = [segment.text for segment in looked(copies.copy()).segments]
    assert len(texts) == 4
    assert all("双方应当遵守本合同的约定" in text for text in texts)


def under(sheet: Any) -> None:
    """Draw the number where its box is, as a path: ink without text."""
    path = sheet.beginPath()
    for step in range(18):
        path.moveTo(START + 5 * step + 2, Y)
        path.lineTo(START + 5 * step + 4, Y + 8)
    sheet.drawPath(path)


def hidden(sheet: Any) -> None:
    """Write the number invisibly below its box."""
    text = sheet.beginText(START, Y)
    text.setFont("Helvetica", SIZE)
    text.setTextRenderMode(3)
    text.textOut(NUMBER)
    sheet.drawText(text)


def image(sheet: Any) -> None:
    """Put a picture below the box."""
    shown = Image.new("L", (80, 24), 255)
    ImageDraw.Draw(shown).text((4, 4), NUMBER[:10], fill=0)
    sheet.drawImage(ImageReader(shown), BOX[0], BOX[1], width=40, height=12)


def edited(key: str, value: Any) -> Callable[[pikepdf.Pdf], None]:
    """Return a change that puts a key into the catalog."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.Root[key] = value

    return change


def annotated(pdf: pikepdf.Pdf) -> None:
    """Add a note whose contents are the number."""
    note = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Text, Rect=[0, 0, 9, 9], Contents=NUMBER)
    pdf.pages[0].obj.Annots = pikepdf.Array([pdf.make_indirect(note)])


def spoken(pdf: pikepdf.Pdf) -> None:
    """Say the number in place of what is shown."""
    content = pdf.pages[0].obj.Contents[0]
    content.write(b"/Span << /ActualText (%s) >> BDC EMC\n" % NUMBER.encode() + content.read_bytes())


def described(pdf: pikepdf.Pdf) -> None:
    """Put the number into the document information."""
    pdf.docinfo["/Subject"] = NUMBER


@pytest.mark.parametrize(
    ("layer", "raw"),
    [
        ("ink", lambda: copies.copy(under)),
        ("ink", lambda: copies.copy(image)),
        ("places", lambda: copies.copy(hidden)),
        ("fidelity", lambda: copies.copy(shift=3)),
        ("fidelity", lambda: copies.copy(lambda sheet: sheet.drawString(100, 100, "new"))),
        ("covered", lambda: copies.copy(boxes=b"")),
        ("covered", lambda: copies.copy(boxes=b"q 0 g %f %f 40 13 re f Q" % BOX[:2])),
        ("boxes", lambda: copies.copy(boxes=copies.BOXES[:-1] + b"/Im0 Do Q")),
        ("boxes", lambda: copies.copy(boxes=copies.BOXES[:-1] + b"BT /F1 9 Tf (x) Tj ET Q")),
        ("boxes", lambda: copies.copy(boxes=copies.BOXES[:-1])),
        ("keys", lambda: copies.copy(change=edited("/Lang2", pikepdf.String(NUMBER)))),
        ("keys", lambda: copies.copy(change=edited("/Outlines", pikepdf.Dictionary()))),
        ("keys", lambda: copies.copy(change=lambda pdf: edited("/Metadata", pdf.make_stream(NUMBER.encode()))(pdf))),
        ("keys", lambda: copies.copy(change=annotated)),
        ("keys", lambda: copies.copy(change=spoken)),
        ("keys", lambda: copies.copy(change=described)),
        ("pages", lambda: drawn(copies.letter, copies.letter)),
        ("carve", lambda: copies.copy() + NUMBER.encode()),
        ("carve", lambda: b"\n" + copies.copy()),
    ],
)
@needs_font
def test_a_planted_defect_fails_its_layer(layer: str, raw: Callable[[], bytes]) -> None:
    """Each way in which a copy can go wrong is seen by the layer that is there for it."""
    assert layer in failed(looked(raw()))


def lettered(more: str = "") -> bytes:
    """Return a page in a font that comes with it; of `more` the outlines are there, but nothing shows them."""

    def page(sheet: Any) -> None:
        sheet.setFont(copies.embedded_font(), SIZE)
        sheet.drawString(72, 600, "contract no. 7")
        sheet.drawString(72, 580, more)

    def change(pdf: pikepdf.Pdf) -> None:
        content = pdf.pages[0].obj.Contents
        shows = content.read_bytes().split(b"BT ")
        content.write(b"BT ".join(shows[:-1]) + b"\nQ")

    return copies.finished(drawn(page), boxes=b"", change=change)


SHOWN = (*range(1, 9), 32)
"""Codes that the page above shows."""


def mapped(raw: bytes, codes: str, *, keep: str = "") -> bytes:
    """Give the font that comes with a file a map of these codes (none: no map), and what else belongs to them alone.

    `keep` is a key of the font that tells more.
    """

    def change(pdf: pikepdf.Pdf) -> None:
        for thing in pdf.objects:
            if isinstance(thing, pikepdf.Dictionary) and "/ToUnicode" in thing:
                thing.ToUnicode = pdf.make_stream(b"1 beginbfchar %s endbfchar" % codes.encode())
                if not codes:
                    del thing["/ToUnicode"]
                first = int(thing.FirstChar)
                if keep != "/Widths":
                    widths = enumerate(thing.Widths, first)
                    thing.Widths = pikepdf.Array([width if code in SHOWN else 0 for code, width in widths])
                if keep == "/Encoding":
                    names = pikepdf.Array([10, pikepdf.Name("/uni5F20")])
                    thing.Encoding = pikepdf.Dictionary(Type=pikepdf.Name.Encoding, Differences=names)

    return changed(raw, change, deterministic_id=True)


@pytest.mark.parametrize(
    ("more", "codes", "keep", "is_left"),
    [
        ("", "", "", False),
        ("", "<01> <0063> <20> <0020>", "", False),
        ("X91%", "", "", True),
        ("", "", "/Widths", True),
        ("", "", "/Encoding", True),
        ("", "<01> <0063> <0A> <0058>", "", True),
        ("", "<0A> <0058> endbfchar 1 beginbfrange <09> <0A> [<0031> <0032>]", "", True),
        ("", "<01> <0063> endbfchar 1 beginbfrange <0000> <FFFFFFFF> <0000>", "", True),
    ],
)
def test_what_a_font_keeps_of_removed_characters_is_seen(more: str, codes: str, keep: str, is_left: bool) -> None:
    """Codes in its map, widths, names, and outlines in its program of characters that no page shows any more."""
    raw = mapped(lettered(more), codes, keep=keep)
    assert ("fonts" in failed(looked(raw, raw, cuts=()))) == is_left


def compact(letters: int) -> bytes:
    """Return a CFF program with this many outlines beside an empty one and a blank."""
    names = [".notdef", "space", *(f"g{number}" for number in range(letters))]
    build = FontBuilder(1000, isTTF=False)
    build.setupGlyphOrder(names)
    pens = {name: T2CharStringPen(500, None) for name in names}
    for name in names[2:]:
        pens[name].moveTo((0, 0))
        for corner in ((400, 7), (400, 700), (33, 650)):
            pens[name].lineTo(corner)
        pens[name].closePath()
    build.setupCFF("Made", {}, {name: pen.getCharString() for name, pen in pens.items()}, {})
    out = io.BytesIO()
    build.font["CFF "].cff.compile(out, build.font, isCFF2=False)
    return out.getvalue()


def encrypted(plain: bytes) -> bytes:
    """Encrypt the private part of a Type 1 program."""
    key, out = 55_665, bytearray()
    for code in b"1234" + plain:
        out.append(code ^ key >> 8)
        key = (out[-1] + key) * 52_845 + 22_719 & 0xFFFF
    return bytes(out)


def test_outlines_of_every_kind_of_program_are_counted() -> None:
    """CFF and Type 1 programs tell how many characters they draw; what is none of these tells nothing."""
    assert [len(outlines(compact(count)).solid) for count in (1, 5)] == [1, 5]
    glyph = b"/a 40 RD " + bytes(40) + b" ND\n"
    empty = b"/b 9 RD " + bytes(9) + b" ND\n"
    program = b"%!PS-AdobeFont-1.0\ncurrentfile eexec\n" + encrypted(b"/CharStrings 3 dict\n" + glyph + empty + glyph)
    assert len(outlines(program).solid) == 2
    assert outlines(b"nothing of the kind") is None


def appended(raw: bytes, body: bytes) -> bytes:
    """Write an object behind the others, which the table does not know, and keep the table right."""
    table = raw.rindex(b"\nxref\n") + 1
    moved = raw[:table] + body + raw[table:]
    return moved.replace(b"startxref\n%d\n" % table, b"startxref\n%d\n" % (table + len(body)))


def lengthened(pdf: pikepdf.Pdf) -> None:
    """Hide bytes behind the end of the packed contents."""
    content = pdf.pages[0].obj.Contents[0]
    content.write(zlib.compress(content.read_bytes()) + NUMBER.encode(), filter=pikepdf.Name.FlateDecode)


@pytest.mark.parametrize(
    "raw",
    [
        lambda: appended(copies.copy(), b"99 0 obj\n(%s)\nendobj\n\n" % NUMBER.encode()),
        lambda: appended(copies.copy(), b"% " + NUMBER.encode() + b"\n"),
        lambda: appended(copies.copy(), zlib.compress(NUMBER.encode())),
        lambda: revised(copies.copy(), b"BT ET"),
        lambda: copies.copy(change=lengthened),
    ],
)
def test_bytes_beside_the_objects_are_seen(raw: Callable[[], bytes]) -> None:
    """An object that nothing reaches, a comment, packed data, a second revision, and a tail behind packed data."""
    assert "carve" in failed(looked(raw()))


def test_a_box_over_a_gap_lets_its_row_move() -> None:
    """Where the width tells something, the rest of the row may stand elsewhere; where it does not, it may not."""
    moved = copies.copy(shift=30, boxes=copies.BOXES)
    assert "fidelity" in failed(looked(moved))
    assert not failed(looked(moved, cuts=(evolve(CUT, gap=True),)))
    assert not failed(looked(moved, mode=Mode.FIXED_GAP))
    assert "fidelity" in failed(looked(moved, cuts=(evolve(CUT, gap=True),), mode=Mode.KEEP))


def ruled(sheet: Any) -> None:
    """Draw the thinnest of lines, as tables have them."""
    sheet.setLineWidth(0.1)
    for line in range(12):
        sheet.line(72, 60 + 15 * line, 500, 60 + 15 * line)


def pictured(*, open_: bool = False, text: bool = False, lost: bool = False) -> bytes:
    """Return a copy whose page is a picture of itself: with its number painted over, or not; with a line `lost`."""
    page = pypdfium2.PdfDocument(copies.before(ruled))[0]
    image = page.render(scale=200 / 72).to_pil().convert("L")
    if not open_:
        scale = 200 / 72
        sides = (BOX[0], copies.A4[1] - BOX[3], BOX[2], copies.A4[1] - BOX[1])
        ImageDraw.Draw(image).rectangle([round(side * scale) for side in sides], fill=0)

    if lost:
        ImageDraw.Draw(image).rectangle([100, 560, 1600, 620], fill=255)

    def draw(sheet: Any) -> None:
        sheet.drawImage(ImageReader(image), 0, 0, *copies.A4)
        if text:
            hidden(sheet)

    return copies.finished(drawn(draw), boxes=b"", change=None if text else bare)


def bare(pdf: pikepdf.Pdf) -> None:
    """Leave nothing on a page but its picture."""
    (name,) = pdf.pages[0].obj.Resources.XObject.keys()
    wide, high = copies.A4
    pdf.pages[0].obj.Contents = pdf.make_stream(f"q {wide} 0 0 {high} 0 0 cm {name} Do Q".encode())
    pdf.pages[0].obj.Resources = pikepdf.Dictionary(XObject=pdf.pages[0].obj.Resources.XObject)


@needs_font
def test_a_page_that_became_a_picture_is_judged_by_its_pixels() -> None:
    """Painted over it passes; with the number in the open, text left below, or a line of it lost, it does not."""
    before = copies.before(ruled)
    proper = looked(pictured(), before, mode=Mode.RASTER)
    assert not failed(proper)
    assert proper.pictures
    assert "covered" in failed(looked(pictured(open_=True), before, mode=Mode.RASTER))
    assert "covered" in failed(looked(pictured(text=True), before, mode=Mode.RASTER))
    assert failed(looked(pictured(lost=True), before, mode=Mode.RASTER)) == {"fidelity"}


def test_a_picture_that_is_asked_for_must_be_one() -> None:
    """A page of text where a picture of it was asked for fails."""
    assert "covered" in failed(looked(copies.copy(), mode=Mode.RASTER))


def test_what_was_read_goes_to_the_scanner() -> None:
    """A number that is still there is in the texts, also where its digits are drawn from right to left."""

    def backwards(sheet: Any) -> None:
        sheet.setFont("Helvetica", SIZE)
        for place in reversed(range(18)):
            sheet.drawString(100 + 8 * place, 100, NUMBER[place])

    texts = [segment.text for segment in looked(copies.copy(backwards)).segments]
    assert sum(NUMBER in "".join(text.split()) for text in texts) >= 2


@pytest.mark.parametrize("angle", [0, 90, 180, 270, 30])
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_number_is_one_word_whatever_way_it_runs(angle: int, turned: int) -> None:
    """Text that runs upwards or at an angle, on a page that is turned, is read without breaks inside of numbers."""

    def page(sheet: Any) -> None:
        sheet.saveState()
        sheet.translate(300, 400)
        sheet.rotate(angle)
        sheet.setFont("Helvetica", SIZE)
        sheet.drawString(0, 0, f"no. {NUMBER} of it")
        sheet.restoreState()

    raw = copies.finished(drawn(page), boxes=b"", change=lambda pdf: pdf.pages[0].rotate(turned, relative=False))
    texts = [segment.text for segment in looked(raw, raw, cuts=()).segments]
    assert sum(f" {NUMBER} " in text for text in texts) >= 2


def test_columns_are_read_one_by_one() -> None:
    """A number that goes on in the next line of its column is together in one of the readings."""

    def columns(sheet: Any) -> None:
        sheet.setFont("Helvetica", SIZE)
        for line, (left, right) in enumerate((("ID 1101051949", "other text"), ("1231002X", "more of it"))):
            sheet.drawString(72, 200 - 15 * line, left)
            sheet.drawString(300, 200 - 15 * line, right)

    texts = ["".join(segment.text.split()) for segment in looked(copies.copy(columns)).segments]
    assert any(NUMBER in text for text in texts)


def test_nothing_of_the_document_is_told() -> None:
    """What the checks say quotes nothing, whatever the keys and names of the copy are."""
    seen = looked(copies.copy(change=edited("/X" + NUMBER, pikepdf.String(NUMBER))))
    assert failed(seen) >= {"keys"}
    assert not any(NUMBER in check.detail or NUMBER in check.name for check in seen.checks)


def test_what_does_not_open_fails() -> None:
    """Bytes that no reader opens are not proven, and the reason is one of the checks."""
    seen = looked(b"%PDF-1.7\nnothing")
    assert failed(seen)


def test_a_missing_page_is_seen() -> None:
    """A copy with fewer pages than its file fails, and so does one with more."""
    two = drawn(lambda sheet: copies.letter(sheet, number=NUMBER), copies.letter)
    assert "pages" in failed(looked(copies.copy(), two))


def test_objects_may_be_packed_together() -> None:
    """A copy with object streams and a packed table is as proper as one without."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(copies.copy())) as pdf:
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
    assert b"/ObjStm" in out.getvalue()
    assert not failed(looked(out.getvalue()))


def test_a_file_that_needed_a_password_is_compared_all_the_same() -> None:
    """The file before is opened by one of the listed passwords; without them nothing is proven."""
    locked = changed(copies.before(), lambda _: None, encryption=pikepdf.Encryption(user="u", owner="o"))
    room = Room(passwords=("x", "u"))
    assert not failed(verify(Source(copies.copy()), Source(locked), (CUT,), room))
    assert "reopened:before" in failed(looked(copies.copy(), locked))


def test_a_verification_that_runs_out_of_room_proves_nothing() -> None:
    """Time and characters that are used up are gaps, and a gap is not a pass."""
    for limits in (Limits(wall_seconds=0.001), Limits(text_chars=10)):
        assert verify(Source(copies.copy()), Source(copies.before()), (CUT,), Room(limits)).gaps


def test_the_verifier_shares_no_code_with_the_redactor() -> None:
    """What judges a copy imports nothing of what made it: it reads by itself, down to the boxes."""
    folder = Path(pdf_verify.__file__).parent
    todo, seen = ["pdf_verify"], set[str]()
    while todo:
        name = todo.pop()
        seen.add(name)
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dlp.formats"):
                named = [alias.name for alias in node.names] if node.module == "dlp.formats" else []
                inner = (node.module or "").removeprefix("dlp.formats").lstrip(".")
                todo += [one for one in (inner, *named) if (folder / f"{one}.py").exists() and one not in seen]
    makers = ("cut", "ops", "fonts", "rebuild", "raster", "prune", "programs", "rewrite", "shows", "scene", "gaps")
    assert "pdf_readings" in seen
    assert not seen & {f"pdf_{name}" for name in makers}
