"""PDF files whose pages do all that keeps a stamp from lying where it should; each a function that makes one."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pikepdf
from PIL import Image
from reportlab.lib.utils import ImageReader

import scans
from pdf_makers import A4, by_hand, changed, drawn, simple, stream, written

LINE = "BT /F1 12 Tf 72 700 Td (Kept words stay) Tj ET\n"
TEXT = "关于办公用品采购的通知\n各科室：请于本周五前报送采购清单。"
FOOT = "BT /F1 9 Tf 330 24 Td (Page 1 of 1, printed by the office, see the annex) Tj ET\n"


def page(content: str = LINE, **more: bytes) -> bytes:
    """Return one A4 page of Helvetica."""
    return by_hand(simple(content.encode("latin-1"), **more))


def with_box(**entries: Any) -> Callable[[], bytes]:
    """Return a maker of a page of text with these entries in its dictionary."""

    def change(pdf: pikepdf.Pdf) -> None:
        for key, value in entries.items():
            pdf.pages[0].obj[f"/{key}"] = value

    return lambda: changed(drawn(written(TEXT, y=600)), change)


def inherited() -> bytes:
    """Return a page that has its size, its turn and its resources from the tree above it."""
    made = simple(LINE.encode())
    made[1] = (
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] /CropBox [40 30 555 812] /Rotate 90 "
        b"/Resources << /Font << /F1 4 0 R >> >> >>"
    )
    made[2] = b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>"
    return by_hand(made)


def shared() -> bytes:
    """Return three pages that share one content and one dictionary of resources, and a form that has it too."""
    made = simple((LINE + "/X1 Do\n").encode())
    kid = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources 6 0 R >>"
    made[1] = b"<< /Type /Pages /Kids [3 0 R 8 0 R 9 0 R] /Count 3 >>"
    made[2] = kid
    resources = b"<< /Font << /F1 4 0 R >> /XObject << /X1 7 0 R >> >>"
    form = stream(b"0.5 g 72 500 100 40 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] /Resources 6 0 R")
    return by_hand([*made, resources, form, kid, kid.replace(b"[0 0 595 842]", b"[0 0 842 595] /Rotate 270")])


def hidden_layer() -> bytes:
    """Return a page whose last mark opens a layer that is off, and never closes it."""
    made = simple((LINE + "/OC /L BDC BT /F1 12 Tf 72 600 Td (Off) Tj ET\n").encode())
    made[0] = (
        b"<< /Type /Catalog /Pages 2 0 R /OCProperties << /OCGs [6 0 R] /D << /OFF [6 0 R] /Order [6 0 R] >> >> >>"
    )
    made[2] = made[2].replace(b"/Resources << ", b"/Resources << /Properties << /L 6 0 R >> ")
    return by_hand([*made, b"<< /Type /OCG /Name (off) >>"])


def noted() -> bytes:
    """Return a page with a note that shows a frame in its lower right corner, and one that shows nothing."""

    def change(pdf: pikepdf.Pdf) -> None:
        name = pikepdf.Name
        look = pdf.make_stream(
            b"1 0.8 0 rg 0 0 240 30 re f 0 G 1 1 238 28 re S",
            Type=name.XObject,
            Subtype=name.Form,
            BBox=[0, 0, 240, 30],
        )
        seen = pikepdf.Dictionary(
            Type=name.Annot, Subtype=name.Stamp, Rect=[340, 14, 580, 44], F=4, AP=pikepdf.Dictionary(N=look)
        )
        link = pikepdf.Dictionary(Type=name.Annot, Subtype=name.Link, Rect=[72, 580, 200, 620], Border=[0, 0, 0])
        pdf.pages[0].obj["/Annots"] = pdf.make_indirect(pikepdf.Array(map(pdf.make_indirect, (seen, link))))

    return changed(drawn(written(TEXT, y=600)), change)


def signed() -> bytes:
    """Return a page with a field that carries a signature (of nobody)."""

    def change(pdf: pikepdf.Pdf) -> None:
        name = pikepdf.Name
        value = pdf.make_indirect(
            pikepdf.Dictionary(
                Type=name.Sig,
                Filter=name("/Adobe.PPKLite"),
                ByteRange=[0, 10, 20, 10],
                Contents=pikepdf.String(b"\x30\x00"),
            )
        )
        field = pdf.make_indirect(
            pikepdf.Dictionary(Type=name.Annot, Subtype=name.Widget, FT=name.Sig, T="s", V=value, Rect=[0, 0, 0, 0])
        )
        pdf.pages[0].obj["/Annots"] = pikepdf.Array([field])
        pdf.Root.AcroForm = pikepdf.Dictionary(Fields=[field], SigFlags=3)

    return changed(drawn(written(TEXT)), change)


def locked() -> bytes:
    """Return a page that opens without a password and forbids everything."""
    allow = pikepdf.Permissions(print_lowres=False, print_highres=False, modify_other=False)
    return changed(drawn(written(TEXT)), lambda _: None, encryption=pikepdf.Encryption(owner="o", user="", allow=allow))


def scanned() -> bytes:
    """Return a scan that fills its page, paper that is not white and letters on it."""
    paper = scans.page(dpi=120).image.convert("L").point(lambda value: value * 235 // 255)
    return drawn(lambda sheet: sheet.drawImage(ImageReader(paper), 0, 0, *A4))


def slide() -> bytes:
    """Return a slide that is dark blue to its edges."""

    def draw(sheet: Any) -> None:
        sheet.setFillColorRGB(0.05, 0.1, 0.35)
        sheet.rect(0, 0, 842, 595, stroke=0, fill=1)
        sheet.setFillColorRGB(1, 1, 1)
        sheet.setFont("Helvetica", 30)
        sheet.drawString(90, 300, "Kept words stay")

    return drawn(draw, size=(842.0, 595.0))


def photograph() -> bytes:
    """Return a page that is a picture with something everywhere."""
    image = Image.effect_noise((300, 420), 90).convert("L")
    return drawn(lambda sheet: sheet.drawImage(ImageReader(image), 0, 0, *A4))


def group() -> bytes:
    """Return a page that is a transparency group and leaves a blend mode and an opacity behind."""
    made = simple((LINE + "/G1 gs 0.9 0.2 0.1 rg 72 300 200 200 re f\n").encode())
    made[2] = made[2].replace(
        b"/Resources << ",
        b"/Group << /S /Transparency /CS /DeviceRGB /I true /K true >> "
        b"/Resources << /ExtGState << /G1 << /BM /Multiply /ca 0.1 /CA 0.1 >> >> ",
    )
    return by_hand(made)


def pieces() -> bytes:
    """Return a page whose content is three streams, cut in the middle of what they say."""
    made = simple(b"q 0.5 0 0 0.5 100 100 cm BT /F1 24 Tf 72 700")
    made[2] = made[2].replace(b"/Contents 5 0 R", b"/Contents [5 0 R 6 0 R 7 0 R]")
    return by_hand([*made, stream(b"Td (Kept words"), stream(b"stay) Tj")])


CASES: dict[str, Callable[[], bytes]] = {
    "upright": lambda: drawn(written(TEXT)),
    "rotate 90": with_box(Rotate=90),
    "rotate 180": with_box(Rotate=180),
    "rotate 270": with_box(Rotate=270),
    "rotate -90": with_box(Rotate=-90),
    "crop": with_box(CropBox=[60, 100, 500, 700]),
    "crop and rotate": with_box(CropBox=[60, 100, 500, 700], Rotate=90),
    "crop beyond the sheet": with_box(CropBox=[-100, -100, 500, 2000], Rotate=270),
    "negative corner": with_box(MediaBox=[-300, -421, 295, 421], Rotate=180),
    "swapped corners": with_box(MediaBox=[595, 842, 0, 0]),
    "odd corner": with_box(MediaBox=[12.5, 7.25, 607.78, 849.14], Rotate=90),
    "inherited": inherited,
    "user unit": with_box(UserUnit=2),
    "trim": with_box(TrimBox=[40, 40, 555, 802]),
    "scale left behind": lambda: page("3 0 0 0.2 300 40 cm 1 0 0 RG " + LINE),
    "turn left behind": lambda: page(LINE + "0 1 -1 0 400 0 cm 0.1 0 0 0.1 0 0 cm\n"),
    "taken back too often": lambda: page("Q Q " + LINE + "Q 0.2 0 0 0.2 0 0 cm Q Q 2 0 0 2 9 9 cm\n"),
    "kept and left": lambda: page("q q 0.3 0 0 0.3 0 0 cm q " + LINE),
    "text left open": lambda: page("BT /F1 12 Tf 0.1 0 0 0.1 72 700 Tm (Kept words stay) Tj 3 Tr 900 Tz\n"),
    "path left open": lambda: page(LINE + "0 0 m 595 842 l 0 0 10 10 re W\n"),
    "clip left behind": lambda: page(LINE + "72 600 100 100 re W n\n"),
    "comment at the end": lambda: page(LINE + "% nothing"),
    "hidden layer": hidden_layer,
    "group": group,
    "pieces": pieces,
    "nothing on it": lambda: drawn(lambda _: None),
    "no content": lambda: changed(page(), lambda pdf: pdf.pages[0].obj.__delitem__("/Contents")),
    "no resources": lambda: changed(page("0 0 m 300 300 l S"), lambda pdf: pdf.pages[0].obj.__delitem__("/Resources")),
    "shared": shared,
    "notes": noted,
    "signed": signed,
    "locked": locked,
    "foot": lambda: page(LINE + FOOT),
    "scan": scanned,
    "slide": slide,
    "large": lambda: drawn(written(TEXT, x=300, y=2000, size=60), size=(2384.0, 3370.0)),
    "small": lambda: drawn(written("凭条", x=30, y=150), size=(298.0, 210.0)),
}
"""Each of them can carry a stamp."""


def many(count: int) -> bytes:
    """Return `count` pages that share one content, one font and one dictionary of resources."""
    made = simple(LINE.encode())
    first = len(made) + 1
    kids = b" ".join(b"%d 0 R" % number for number in range(first, first + count))
    made[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    kid = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R "
        b"/Resources << /Font << /F1 4 0 R >> >> >>"
    )
    return by_hand([*made, *[kid] * count])


def saved(raw: bytes) -> bytes:
    """Return a document written anew by pikepdf."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(raw)) as pdf:
        pdf.save(out)
    return out.getvalue()
