"""The verifier of redacted PDFs: a proper copy passes every layer, each planted defect fails the layer for it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader

import copies
from copies import BOX, CUT, NUMBER, SIZE, START, Y
from dlp.formats import Source
from dlp.formats.pdf_verify import verify
from dlp.formats.room import Room
from dlp.model import Document, Mode
from pdf_makers import drawn
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


def test_what_is_shown_around_a_box_is_handed_to_ocr() -> None:
    """The row of the box and its neighbours become one picture; the far end of the page does not."""
    seen = looked(copies.copy())
    assert len(seen.pictures) == 1
    assert 60 < seen.pictures[0].height < 400
    assert seen.pictures[0].page == 1


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


def test_an_object_that_nothing_reaches_is_seen() -> None:
    """What a file carries beside its pages fails the carving of its bytes."""
    with pikepdf.open(io.BytesIO(copies.copy())) as pdf:
        stray = pdf.make_indirect(pikepdf.Dictionary(Secret=NUMBER))
        pdf.trailer.Stray = stray
        out = io.BytesIO()
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    raw = out.getvalue().replace(b"/Stray", b"/SomeX").replace(b" /SomeX 3 0 R", b"")
    assert "keys" in failed(looked(raw)) or "carve" in failed(looked(raw))
