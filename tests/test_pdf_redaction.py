"""Redaction of PDF files: every way in which redactors fail, looked at by readers that had no part in it."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pikepdf
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlp import pipeline, plan
from dlp.formats import NotRedactable, Source, pdf, pdf_gaps, proof
from dlp.formats.pdf_cut import _merged
from dlp.formats.pdf_gaps import Around, Letter
from dlp.formats.pdf_rebuild import bare_jpeg
from dlp.formats.room import Full, Room
from dlp.model import Box, Cut, Item, Mode, Redacting, Removed, Say
from dlp.service.gate import Gate
from dlp.values import squeezed
from pdf_cases import ID, KEPT, OTHER, REFUSED_CASES, TEXT_CASES, in_picture, line, page, scanned, with_objects
from pdf_makers import DEJAVU, by_hand, changed, drawn, encrypted_pdf, simple, stream, written
from sites import lay


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pipeline.Kit]:
    """Give the parts of one real gate."""
    with Gate.from_config(lay(tmp_path_factory.mktemp("site")).config) as gate:
        yield gate.kit


class Copy(NamedTuple):
    """A redacted copy: its bytes, what was removed, and what its verifier and the detector have against it."""

    raw: bytes
    removed: tuple[Removed, ...]
    against: list[str]


def redacted(raw: bytes, kit: pipeline.Kit, mode: Mode = Mode.AUTO) -> Copy:
    """Redact with the real detector, and prove with everything but OCR; all in this process."""
    document = pdf.extract(Source(raw), Room())
    findings, _ = kit.matcher.find(document)
    chosen = [number for number, found in enumerate(findings) if found.rule in kit.redactable]
    assert chosen, "the case holds nothing that is found"
    cuts = plan.plan(document, findings, chosen, Redacting(mode=mode))
    return proven(raw, cuts, plan.needles(document, findings, chosen), kit, mode)


def proven(raw: bytes, cuts: Sequence[Cut], needles: Sequence[str], kit: pipeline.Kit, mode: Mode) -> Copy:
    """Make a copy and say everything that speaks against it."""
    out = io.BytesIO()
    removed = pdf.redact(Source(raw), cuts, out, Room(mode=mode))
    new = out.getvalue()
    seen = pdf.verify(Source(new), Source(raw), cuts, Room(mode=mode))
    checks = [*proof.search(Source(new), tuple(needles), Room()), *seen.checks]
    against = [f"{check.name}: {check.detail}" for check in checks if check.state == "fail"]
    for document in (seen, pdf.extract(Source(new), Room())):
        against += [gap.detail for gap in document.gaps]
        against += [found.rule for found in kit.matcher.find(document)[0] if found.rule in kit.redactable]
        text = squeezed("".join(segment.text for segment in document.segments))
        against += ["a needle is read" for needle in needles if squeezed(needle) in text]
    return Copy(new, removed, against)


def others(raw: bytes, folder: Path) -> str:
    """Return what programs read in a file that are no part of this product, without any blanks."""
    (folder / "copy.pdf").write_bytes(raw)
    tools = (["pdftotext", "-raw"], ["pdftotext", "-layout"], ["mutool", "draw", "-q", "-F", "text", "-o", "-"])
    texts = []
    for tool in tools:
        if shutil.which(tool[0]):
            call = [*tool, "copy.pdf", *(["-"] if tool[0] == "pdftotext" else [])]
            texts.append(
                subprocess.run(call, cwd=folder, capture_output=True, check=False).stdout.decode("utf-8", "replace")
            )
    return "".join("".join(texts).split())


def texts(raw: bytes) -> str:
    """Return the text of all pages as pdfium reads it, without any blanks."""
    with pypdfium2.PdfDocument(raw) as document:
        return "".join("".join(page.get_textpage().get_text_range() for page in document).split())


@pytest.mark.parametrize("name", sorted(TEXT_CASES))
def test_text_is_taken_out_and_the_rest_stays_text(name: str, kit: pipeline.Kit, tmp_path: Path) -> None:
    """The copy passes its proof, no other program reads the number, and what was not removed is still text."""
    copy = redacted(TEXT_CASES[name](), kit)
    assert copy.against == []
    assert {one.how for one in copy.removed} <= {"glyphs", "text"}
    for read in (texts(copy.raw), others(copy.raw, tmp_path)):
        assert ID not in read
        assert OTHER not in read
    assert "".join(KEPT.split()) in texts(copy.raw)


@pytest.mark.parametrize("name", sorted(REFUSED_CASES))
def test_content_that_readers_take_differently_becomes_a_picture(name: str, kit: pipeline.Kit, tmp_path: Path) -> None:
    """A page that cannot be followed to its last glyph has no text any more, in no reader."""
    copy = redacted(REFUSED_CASES[name](), kit)
    assert {one.how for one in copy.removed} == {"raster"}
    assert texts(copy.raw) == ""
    assert ID not in others(copy.raw, tmp_path)


@pytest.mark.parametrize("name", ["01 plain", "03 predefined map", "07 quotes", "37-43 everywhere", "48 turned"])
def test_a_page_can_be_made_a_picture_on_demand(name: str, kit: pipeline.Kit) -> None:
    """In raster mode no page has text, every page has its size, and the boxes are black."""
    raw = TEXT_CASES[name]()
    copy = redacted(raw, kit, Mode.RASTER)
    assert copy.against == []
    assert texts(copy.raw) == ""
    with pypdfium2.PdfDocument(raw) as before, pypdfium2.PdfDocument(copy.raw) as after:
        assert len(before) == len(after)
        for number in range(len(before)):
            assert before.get_page_size(number) == pytest.approx(after.get_page_size(number), abs=0.01)


def looked_through(raw: bytes, kit: pipeline.Kit) -> pipeline.Redaction | Say:
    """Send a file through the real pipeline: sandbox, OCR, verifier."""
    body = os.memfd_create("case")
    try:
        os.write(body, raw)
        seen = pipeline.inspect(Item(id="0" * 26, source="test", path="a.pdf", name="a.pdf"), body, kit)
        return pipeline.redact(seen, body, kit, everything=True)
    finally:
        os.close(body)


def content(made: pipeline.Redaction) -> bytes:
    """Return the bytes of a copy, and let go of it."""
    raw = os.pread(made.body, os.fstat(made.body).st_size, 0)
    os.close(made.body)
    return raw


@pytest.mark.parametrize("name", ["03 predefined map", "37-43 everywhere"])
def test_a_copy_passes_the_whole_gate(name: str, kit: pipeline.Kit) -> None:
    """Sandbox, second inspection, verifier and OCR let the copy out, with a certificate that tells of it."""
    made = looked_through(TEXT_CASES[name](), kit)
    assert isinstance(made, pipeline.Redaction)
    names = {check.name for check in made.certificate.checks}
    assert {"bytes", "carve", "keys", "fonts", "ink", "places", "fidelity", "detector"} <= names
    assert all(check.state != "fail" for check in made.certificate.checks)
    assert ID not in texts(content(made))


def test_a_scan_with_a_text_layer_loses_both(kit: pipeline.Kit) -> None:
    """Of a scan that can be searched, the pixels of a number go, and the invisible text over them."""
    layer = f"BT 3 Tr /F1 14 Tf 72 720 Td (ID {ID}) Tj ET"
    made = looked_through(in_picture(scanned(), over=layer), kit)
    assert isinstance(made, pipeline.Redaction), made
    assert {one.how for one in made.certificate.removed} == {"glyphs"}
    raw = content(made)
    assert ID not in texts(raw)
    with pypdfium2.PdfDocument(raw) as document:
        grey = document[0].render(scale=2, grayscale=True).to_numpy()
    assert (grey < 60).mean() > 0.002


def test_a_map_that_lies_does_not_save_a_text(kit: pipeline.Kit) -> None:
    """A font whose map says K for every letter is read by OCR; what it shows leaves as pixels, or not at all."""
    from pdf_cases import composite

    made = looked_through(composite(f"ID {ID} end", lie=True), kit)
    if isinstance(made, pipeline.Redaction):
        with pypdfium2.PdfDocument(content(made)) as document:
            grey = document[0].render(scale=2, grayscale=True).to_numpy()
        assert (grey[110:122, 660:880] < 10).all()


# pictures


def boxed(x0: float, y0: float, x1: float, y1: float, number: int = 1) -> Cut:
    """Return a cut of what OCR read in a rectangle of a page."""
    return Cut(part=(), anchor="ocr", start=0, end=18, label="x", type="id", boxes=(Box(number, x0, y0, x1, y1),))


def stored(image: Image.Image, entries: str, data: bytes, *more: bytes) -> bytes:
    """Return a page that shows a picture as big as half of it; its data as they are."""
    head = f"/Type /XObject /Subtype /Image /Width {image.width} /Height {image.height} {entries}"
    return with_objects(
        "q 595 0 0 288 0 500 cm /Im0 Do Q", "/XObject << /Im0 6 0 R >>", stream(data, head.encode()), *more
    )


def compressed(kind: str) -> tuple[Image.Image, bytes]:
    """Return a picture and a page that shows it in one of the ways that PDF stores pictures."""
    grey = scanned()
    out = io.BytesIO()
    if kind == "flate":
        return grey, stored(grey, "/ColorSpace /DeviceGray /BitsPerComponent 8", grey.tobytes())
    if kind == "bits":
        bits = grey.convert("1")
        return bits, stored(bits, "/ColorSpace /DeviceGray /BitsPerComponent 1", bits.tobytes())
    if kind == "indexed":
        flat = grey.point(lambda value: 0 if value < 128 else 1)
        return grey, stored(
            flat, "/ColorSpace [/Indexed /DeviceRGB 1 <000000FFFFFF>] /BitsPerComponent 8", flat.tobytes()
        )
    if kind == "mask":
        shape = Image.eval(grey, lambda value: 255 - value)
        head = b"/Type /XObject /Subtype /Image /Width 1240 /Height 600 /ColorSpace /DeviceGray /BitsPerComponent 8"
        soft = stream(shape.tobytes(), head)
        black = Image.new("L", grey.size, 0)
        return grey, stored(black, "/ColorSpace /DeviceGray /BitsPerComponent 8 /SMask 7 0 R", black.tobytes(), soft)
    if kind == "jpx":
        grey.save(out, "JPEG2000")
        return grey, stored(grey, "/ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /JPXDecode", out.getvalue())
    if kind == "fax":
        grey.convert("1").save(out, "TIFF", compression="group4", strip_size=1 << 20)
        with Image.open(out) as fax:
            start, size = fax.tag_v2[273][0], fax.tag_v2[279][0]
        data = out.getvalue()[start : start + size]
        parms = "/DecodeParms << /K -1 /Columns 1240 /Rows 600 /BlackIs1 false >> /Filter /CCITTFaxDecode"
        return grey, stored(grey, f"/ColorSpace /DeviceGray /BitsPerComponent 1 {parms}", data)
    return grey, in_picture(grey)


def shown(raw: bytes) -> Any:
    """Return the first page as grey pixels, two a point, without its boxes."""
    with pikepdf.open(io.BytesIO(raw)) as pdf_, pypdfium2.PdfDocument(_saved_without_boxes(pdf_)) as document:
        return document[0].render(scale=2, grayscale=True).to_numpy().astype(int)


def _saved_without_boxes(opened: pikepdf.Pdf) -> bytes:
    first = opened.pages[0]
    if isinstance(first.Contents, pikepdf.Array):
        first.Contents = first.Contents[0]
    out = io.BytesIO()
    opened.save(out)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "flate", "bits", "indexed", "mask", "jpx", "fax"])
def test_pixels_under_a_box_are_gone(kind: str) -> None:
    """Under the box the picture shows nothing, and around it what it showed before."""
    _, raw = compressed(kind)
    out = io.BytesIO()
    cut = boxed(60, 100, 330, 140)
    pdf.redact(Source(raw), [cut], out, Room(mode=Mode.KEEP))
    before, after = shown(raw), shown(out.getvalue())
    under = np.s_[204:276, 124:656]
    assert np.ptp(before[under]) > 100, "the case shows nothing there"
    assert np.ptp(after[under]) <= 12
    rest = np.ones_like(before, dtype=bool)
    rest[196:284, 116:664] = False
    assert (np.abs(before - after)[rest] > 48).mean() < 0.001


def test_a_picture_that_stays_on_another_page_stays_whole() -> None:
    """The same picture on two pages is wiped on the page of the cut only."""
    raw = changed(in_picture(scanned()), lambda pdf_: pdf_.pages.append(pdf_.pages[0]))
    out = io.BytesIO()
    pdf.redact(Source(raw), [boxed(60, 100, 330, 140)], out, Room(mode=Mode.KEEP))
    with pypdfium2.PdfDocument(out.getvalue()) as document:
        first, second = (page_.render(scale=2, grayscale=True).to_numpy() for page_ in document)
    assert np.ptp(second[204:276, 124:656]) > 100
    assert (first[210:270, 130:640] < 10).all()


def test_a_picture_inside_the_content_makes_the_page_a_picture() -> None:
    """An inline image under a box, with an end mark in its data, is never half removed."""
    data = bytes(range(200)) + b" EI " + bytes(196)
    inline = b"q 400 0 0 100 72 680 cm BI /W 20 /H 20 /CS /G /BPC 8 ID " + data + b" EI Q "
    out = io.BytesIO()
    (removed,) = pdf.redact(Source(by_hand(simple(inline))), [boxed(80, 80, 200, 120)], out, Room(mode=Mode.KEEP))
    assert removed.how == "raster"
    with pypdfium2.PdfDocument(out.getvalue()) as document:
        assert (document[0].render(scale=2, grayscale=True).to_numpy()[170:230, 170:390] < 10).all()


def test_thumbnails_and_places_of_photos_are_left_behind() -> None:
    """A photo that stays loses its EXIF data: it can show what the photo itself no longer does."""
    exif = Image.Exif()
    exif[0x010E] = f"ID {ID}"
    raw = in_picture(scanned("abc"), over=line(), exif=exif)
    assert ID.encode() in raw
    out = io.BytesIO()
    pdf.redact(Source(raw), [], out, Room())
    with pikepdf.open(io.BytesIO(out.getvalue())) as made:
        assert ID.encode() not in made.pages[0].Resources.XObject.Im0.read_raw_bytes()
        assert made.pages[0].Resources.XObject.Im0.read_raw_bytes()[:2] == b"\xff\xd8"


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(1, 60), st.floats(99, 101)), max_size=12))
@settings(max_examples=100, deadline=None)
def test_boxes_that_are_put_together_cover_what_they_covered(places: list[tuple[float, float, float]]) -> None:
    """However boxes of one line are merged, each of them lies in one that is drawn."""
    boxes = [(x, y, x + wide, y + 10.0) for x, wide, y in places]
    merged = list(_merged(boxes))
    for x0, y0, x1, y1 in boxes:
        assert any(one[0] <= x0 and one[1] <= y0 and one[2] >= x1 and one[3] >= y1 for one in merged)


@given(st.binary(max_size=60), st.sampled_from([0xE1, 0xED, 0xFE]))
@settings(max_examples=60, deadline=None)
def test_a_bare_photo_shows_the_same(data: bytes, marker: int) -> None:
    """Segments that tell something go, whatever they hold; the pixels stay the same."""
    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "JPEG", quality=80)
    raw = out.getvalue()
    dressed = raw[:2] + bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data + raw[2:] + data
    bare = bare_jpeg(dressed)
    assert len(bare) <= len(raw)
    with Image.open(io.BytesIO(bare)) as one, Image.open(io.BytesIO(raw)) as other:
        assert one.tobytes() == other.tobytes()


# widths

NAMES = [
    f"{given_} {family}"
    for given_ in ("Li", "Wei", "Ming", "Guangzhong", "Xiaoming", "Jun", "Zhengxiong", "Yi")
    for family in ("Wang", "Ouyang", "Li", "Zhuang", "Xi")
]
"""Forty names between 20 and 110 points wide."""


def named(name: str, layout: str) -> bytes:
    """Return a page with a name on one line: at the left, centred, at the right, or set to both margins."""

    def draw(sheet: Any) -> None:
        sheet.setFont("Helvetica", 12)
        sheet.drawString(72, 760, "A paragraph begins here and runs to the right margin of the text")
        whole = f"Applicant: {name} lives in Berlin since May"
        wide = sheet.stringWidth(whole, "Helvetica", 12)
        if layout == "left":
            sheet.drawString(72, 700, whole)
        elif layout == "centred":
            sheet.drawCentredString(297.5, 700, whole)
        elif layout == "right":
            sheet.drawRightString(523, 700, whole)
        else:
            text = sheet.beginText(72, 700)
            text.setWordSpace((451 - wide) / whole.count(" "))
            text.textOut(whole)
            text.setWordSpace(0)
            sheet.drawText(text)
        sheet.setFont("Helvetica", 12)
        sheet.drawRightString(523, 640, "This line ends at the right margin")

    return drawn(draw)


def name_cut(raw: bytes, name: str) -> Cut:
    """Return the cut of a name, as a name asks to be cut."""
    for segment in pdf.extract(Source(raw), Room()).segments:
        at = segment.text.find(name)
        if at >= 0 and segment.strip is not None:
            box = segment.strip.box(at, at + len(name))
            return Cut(part=(), anchor="", start=at, end=at + len(name), label="x", type="name", gap=True, boxes=(box,))
    raise AssertionError(name)


def nameless(name: str, layout: str, mode: Mode) -> bytes:
    """Return the copy of a page without its name."""
    raw = named(name, layout)
    out = io.BytesIO()
    pdf.redact(Source(raw), [name_cut(raw, name)], out, Room(mode=mode))
    return out.getvalue()


@pytest.mark.parametrize("layout", ["left", "centred", "right", "justified"])
def test_a_gap_tells_nothing_of_what_stood_in_it(layout: str) -> None:
    """Pages that differ in a name become the same bytes: no measuring finds what is not there."""
    assert len({nameless(name, layout, Mode.AUTO) for name in NAMES}) == 1
    assert len({nameless(name, layout, Mode.FIXED_GAP) for name in NAMES[:4]}) == 1


@pytest.mark.parametrize("layout", ["left", "justified"])
def test_pixels_tell_no_width_either(layout: str) -> None:
    """Pictures of pages that differ in a name are the same bytes."""
    assert len({nameless(name, layout, Mode.RASTER) for name in NAMES[:6]}) == 1


def test_keeping_the_place_tells_the_width() -> None:
    """What the other mode is for: where everything keeps its place, the width of a name can be measured."""
    assert len({nameless(name, "left", Mode.KEEP) for name in NAMES}) > 20


@given(
    st.lists(
        st.tuples(st.floats(2, 14), st.sampled_from([0.0, 0.4, 3.4, 60.0]), st.booleans()), min_size=2, max_size=30
    )
)
@settings(max_examples=100, deadline=None)
def test_a_line_laid_anew_depends_on_no_hole(glyphs: list[tuple[float, float, bool]]) -> None:
    """Any line: glyphs keep their order and do not meet, holes have one width, and a wider word changes nothing."""

    def laid(extra: float) -> pdf_gaps.Laid | None:
        letters, pen = [], 72.0
        for number, (wide, gap, gone) in enumerate(glyphs):
            pen += gap
            end = pen + wide + (extra if gone else 0)
            letters.append(Letter(pen, end, 12.0, gone, False, number))
            pen = end
        return pdf_gaps.lay(letters, Around(begins=(72.0,), width=4_000.0))

    first = laid(0.0)
    assert first is not None
    ends = [(one.x, one.x + glyphs[one.owner][0] * one.stretch) for one in first.letters] + list(first.holes)
    ordered = sorted(ends)
    assert all(right[0] >= left[1] - 0.01 for left, right in pairwise(ordered))
    if not any(gap == 60.0 for _, gap, _ in glyphs[1:]):
        assert len({round(x1 - x0, 6) for x0, x1 in first.holes}) <= 1
        assert laid(5.0) == first


# what stays


def test_chinese_text_stays_selectable() -> None:
    """On a dense page every character that was not removed can still be selected."""
    rows = [chr(0x4E00 + 7 * number) * 1 for number in range(900)]
    body = "\n".join("".join(rows[start : start + 30]) for start in range(0, 900, 30))
    raw = drawn(written(body.replace(rows[45], ID, 1), size=9, y=800))
    out = io.BytesIO()
    cut = name_cut(raw, ID)
    pdf.redact(Source(raw), [cut], out, Room(mode=Mode.KEEP))
    before, after = texts(raw), texts(out.getvalue())
    assert before.replace(ID, "") == after


def test_a_neighbour_is_kept_whole() -> None:
    """Glyphs beside a box stay, those inside go: never half of one."""
    raw = page(line("abcdefghij"))
    out = io.BytesIO()
    pdf.redact(Source(raw), [name_cut(raw, "def")], out, Room(mode=Mode.KEEP))
    assert re.sub("Keptwordsstay", "", texts(out.getvalue())) == "abcghij"


def test_fonts_keep_no_letter_that_is_gone(kit: pipeline.Kit) -> None:
    """The letters of a name that stand nowhere else are in no map, no width and no outline of the copy."""
    from fontTools.ttLib import TTFont

    from pdf_cases import composite

    if not DEJAVU.exists():
        pytest.skip("DejaVu Sans is not installed (fonts-dejavu-core)")
    raw = composite("Q7 abc")
    out = io.BytesIO()
    pdf.redact(Source(raw), [name_cut(raw, "Q7")], out, Room(mode=Mode.KEEP))
    with pikepdf.open(io.BytesIO(out.getvalue())) as made:
        font = made.pages[0].Resources.Font.F2
        assert b"<0051>" not in font.ToUnicode.read_bytes()
        assert b"<0061>" in font.ToUnicode.read_bytes()
        program = TTFont(io.BytesIO(font.DescendantFonts[0].FontDescriptor.FontFile2.read_bytes()))
    inked = {name for name in program.getGlyphOrder() if program["glyf"][name].numberOfContours}
    assert len(inked) <= 5
    assert "name" not in program


def test_many_cuts_of_one_page_are_one_pass(kit: pipeline.Kit) -> None:
    """Two thousand hits on a page are all gone, and the words between them are not."""
    rows = [f"{'x' * 3} {number:04d} " * 10 for number in range(200)]
    raw = page("".join(line(row, 800 - 4 * number, font="/F1 3 Tf") for number, row in enumerate(rows)))
    document = pdf.extract(Source(raw), Room())
    cuts = [
        Cut(part=(), anchor=one.anchor, start=found.start(), end=found.end(), label="x", type="t",
            boxes=(one.strip.box(*found.span()),))
        for one in document.segments if one.strip for found in re.finditer(r"\d{4}", one.text)
    ]  # fmt: skip
    assert len(cuts) == 2_000
    out = io.BytesIO()
    pdf.redact(Source(raw), cuts, out, Room(mode=Mode.KEEP))
    assert not re.search(r"\d", texts(out.getvalue()))
    assert texts(out.getvalue()).count("xxx") == 2_000


def test_the_same_file_becomes_the_same_copy(kit: pipeline.Kit) -> None:
    """Nothing of time or chance is in a copy."""
    raw = TEXT_CASES["03 predefined map"]()
    assert redacted(raw, kit).raw == redacted(raw, kit).raw


# what is refused


def signed(pdf_: pikepdf.Pdf) -> None:
    """Put a signature into a document."""
    field = pikepdf.Dictionary(FT=pikepdf.Name.Sig, T=pikepdf.String("s"), V=pikepdf.Dictionary(Type=pikepdf.Name.Sig))
    pdf_.Root.AcroForm = pikepdf.Dictionary(Fields=[pdf_.make_indirect(field)], SigFlags=3)


def dynamic(pdf_: pikepdf.Pdf) -> None:
    """Make a document whose pages a form program draws."""
    pdf_.Root.AcroForm = pikepdf.Dictionary(Fields=[], XFA=pdf_.make_stream(b"<xdp/>"))
    pdf_.Root.NeedsRendering = True


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (changed(page(line()), signed), "signature"),
        (changed(page(line()), dynamic), "form program"),
        (encrypted_pdf(), "password"),
        (b"%PDF-1.7\n" + b"\0" * 400, "damaged"),
    ],
)
def test_what_cannot_be_sure_is_refused_with_a_reason(raw: bytes, why: str) -> None:
    """Signed, dynamic, locked and damaged files give a reason and no byte."""
    out = io.BytesIO()
    with pytest.raises(NotRedactable, match=why):
        pdf.redact(Source(raw), [boxed(70, 130, 200, 145)], out, Room())
    assert out.getvalue() == b""


def test_a_listed_password_opens_a_file_for_redaction(kit: pipeline.Kit) -> None:
    """The copy of a locked file is an open one: its reader has the password no longer."""
    raw = changed(page(line()), lambda _: None, encryption=pikepdf.Encryption(user="geheim", owner="o"))
    out = io.BytesIO()
    plain = page(line())
    pdf.redact(Source(raw), [name_cut(plain, ID)], out, Room(passwords=("no", "geheim")))
    assert ID not in texts(out.getvalue())


def test_a_cut_without_a_box_is_refused() -> None:
    """Text that nobody knows the place of is not removed by guessing."""
    cut = Cut(part=(), anchor="", start=0, end=3, label="x", type="t")
    with pytest.raises(NotRedactable, match="where"):
        pdf.redact(Source(page(line())), [cut], io.BytesIO(), Room())


def test_a_cut_where_nothing_is_makes_a_picture() -> None:
    """A text that is not where it was read is painted over, and the page has no text then."""
    out = io.BytesIO()
    cut = Cut(part=(), anchor="", start=0, end=3, label="x", type="t", boxes=(Box(1, 300, 300, 340, 312),))
    (removed,) = pdf.redact(Source(page(line())), [cut], out, Room())
    assert removed.how == "raster"
    assert texts(out.getvalue()) == ""


def test_a_document_of_too_many_pages_is_a_reason() -> None:
    """The limit of pages holds for redaction too."""
    from dlp.limits import Limits

    raw = drawn(*[written("x", font="Helvetica")] * 6)
    with pytest.raises(Full):
        pdf.redact(Source(raw), [], io.BytesIO(), Room(Limits(pages=5)))
