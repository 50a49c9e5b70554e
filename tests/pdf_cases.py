"""PDF files that hold a number in all the ways that redactors are known to miss; each a function that makes one."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from fontTools.ttLib import TTFont as Program
from PIL import Image, ImageDraw, ImageFont

from pdf_makers import DEJAVU, by_hand, changed, drawn, revised, simple, stream, written
from scans import FONT

ID = "110101199003071233"
KEPT = "Kept words stay"
OTHER = "11010519491231002X"
Made = Callable[[], bytes]


def line(text: str = f"ID {ID} end", y: int = 700, *, font: str = "/F1 12 Tf", show: str = "") -> str:
    """Return one line of text as a text object."""
    return f"BT {font} 72 {y} Td {show or f'({text}) Tj'} ET\n"


def cell(x: int, text: str, y: int) -> str:
    """Return a text in a cell of a table."""
    return f"BT /F1 12 Tf {x} {y} Td ({text}) Tj ET "


def page(content: str, **more: bytes) -> bytes:
    """Return a page of Helvetica with a line that stays."""
    return by_hand(simple((line(KEPT, 600) + content).encode("latin-1"), **more))


def with_objects(content: str, resources: str, *objects: bytes, catalog: bytes = b"") -> bytes:
    """Return a page of Helvetica whose resources name further objects, numbered from 6."""
    made = simple((line(KEPT, 600) + content).encode("latin-1"))
    made[0] = b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog
    made[2] = made[2].replace(b"/Resources << ", b"/Resources << " + resources.encode() + b" ")
    return by_hand([*made, *objects])


def single_glyphs(order: list[int]) -> bytes:
    """Return a number of which each digit is shown by an operator of its own, in this order."""
    wide = 6.672
    digits = "".join(f"1 0 0 1 {72 + at * wide:.3f} 700 Tm ({ID[at]}) Tj " for at in order)
    return page(f"BT /F1 12 Tf {digits} ET")


def kerned() -> str:
    """Return a number in a TJ array with a small step after each digit."""
    chance = random.Random(7)
    return "[" + " ".join(f"({digit}) {chance.randint(-60, 60)}" for digit in f"ID {ID} end") + "] TJ"


def form(content: str, entries: str = "") -> bytes:
    """Return a form XObject."""
    return stream(
        content.encode("latin-1"),
        f"/Type /XObject /Subtype /Form /BBox [0 0 595 842] {entries}".encode(),
    )


def drawn_letters() -> bytes:
    """Return a number in a Type 3 font whose digits are bars."""
    names = [f"/d{digit}" for digit in "0123456789"]
    procs = b" ".join(b"%s %d 0 R" % (name.encode(), 7 + number) for number, name in enumerate(names))
    differences = b"[ 48 %s ]" % b" ".join(name.encode() for name in names)
    to_unicode = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
        b"1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <30> <39> <0030> endbfrange endcmap end end"
    )
    face = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 600 700] /FontMatrix [0.001 0 0 0.001 0 0] /FirstChar 48 "
        b"/LastChar 57 /Widths [ %s ] /CharProcs << %s >> /Encoding << /Type /Encoding /Differences %s >> "
        b"/Resources << >> /ToUnicode 17 0 R >>" % (b"600 " * 10, procs, differences)
    )
    glyphs = [stream(f"600 0 0 0 {50 * n + 50} 700 d1 0 0 {50 * n + 50} 700 re f".encode()) for n in range(10)]
    made = simple((line(KEPT, 600) + line(ID, font="/F2 12 Tf")).encode())
    made[2] = made[2].replace(b"/Font << ", b"/Font << /F2 6 0 R ")
    return by_hand([*made, face, *glyphs, stream(to_unicode)])


def composite(text: str, *, vertical: bool = False, lie: bool = False, unmapped: bool = False) -> bytes:
    """Return a page in DejaVu with two bytes a letter, its program in the file."""
    if not DEJAVU.exists():
        pytest.skip("DejaVu Sans is not installed (fonts-dejavu-core)")
    raw = DEJAVU.read_bytes()
    program = Program(io.BytesIO(raw), lazy=True)
    numbers = {letter: program.getGlyphID(program.getBestCmap()[ord(letter)]) for letter in set(text + KEPT)}
    widths = " ".join(
        f"{number} [{program['hmtx'].metrics[program.getGlyphName(number)][0] * 1000 // 2048}]"
        for number in sorted(set(numbers.values()))
    )
    pairs = "".join(
        f"<{number:04X}> <{ord('K' if lie else letter):04X}>\n" for letter, number in sorted(numbers.items())
    )
    to_unicode = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
        f"1 begincodespacerange <0000> <FFFF> endcodespacerange\n{len(numbers)} beginbfchar\n{pairs}endbfchar\n"
        "endcmap end end"
    )

    def hexed(words: str) -> str:
        return "<" + "".join(f"{numbers[letter]:04X}" for letter in words) + ">"

    shown = f"BT /F2 12 Tf 300 780 Td {hexed(text)} Tj ET BT /F1 12 Tf 72 600 Td ({KEPT}) Tj ET"
    made = simple(shown.encode())
    made[2] = made[2].replace(b"/Font << ", b"/Font << /F2 6 0 R ")
    mapped = "" if unmapped else "/ToUnicode 10 0 R"
    encoding = "/Identity-V" if vertical else "/Identity-H"
    return by_hand(
        [
            *made,
            f"<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+DejaVuSans /Encoding {encoding} "
            f"/DescendantFonts [7 0 R] {mapped} >>".encode(),
            (
                "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+DejaVuSans /CIDToGIDMap /Identity /DW 600 "
                "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor 8 0 R "
                f"/W [ {widths} ] >>"
            ).encode(),
            (
                b"<< /Type /FontDescriptor /FontName /ABCDEF+DejaVuSans /Flags 4 /FontBBox [-1021 -463 1793 1232] "
                b"/ItalicAngle 0 /Ascent 928 /Descent -236 /CapHeight 729 /StemV 80 /FontFile2 9 0 R >>"
            ),
            stream(raw, b"/Length1 %d" % len(raw)),
            stream(to_unicode.encode()),
        ]
    )


def noted(pdf: pikepdf.Pdf) -> None:
    """Put the number into notes, fields, titles, metadata, an attachment, a script and the structure."""
    first = pdf.pages[0]
    look = pdf.make_stream(f"BT /F1 10 Tf 2 4 Td ({ID}) Tj ET".encode())
    look.update({"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Form, "/BBox": [0, 0, 200, 20]})
    look["/Resources"] = first.obj.Resources
    stamp = {"Type": pikepdf.Name.Annot, "Rect": [72, 500, 272, 520], "Contents": pikepdf.String(ID)}
    seen = pikepdf.Dictionary(AP=pikepdf.Dictionary(N=look), Subtype=pikepdf.Name.Stamp, F=4, **stamp)
    unseen = pikepdf.Dictionary(Subtype=pikepdf.Name.Text, RC=pikepdf.String(f"<p>{ID}</p>"), **stamp)
    first.obj.Annots = pdf.make_indirect(pikepdf.Array([pdf.make_indirect(seen), pdf.make_indirect(unseen)]))
    field = pikepdf.Dictionary(FT=pikepdf.Name.Tx, T=pikepdf.String("id"), V=pikepdf.String(ID), TU=pikepdf.String(ID))
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=[pdf.make_indirect(field)])
    pdf.docinfo["/Title"] = ID
    with pdf.open_metadata() as meta:
        meta["dc:description"] = ID
    pdf.attachments["a.txt"] = pikepdf.AttachedFileSpec(pdf, ID.encode(), filename="a.txt")
    with pdf.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem(ID, 0))
    pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String(f"app.alert('{ID}')"))
    pdf.Root.StructTreeRoot = pdf.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.StructTreeRoot, Alt=pikepdf.String(ID))
    )
    first.obj.PieceInfo = pikepdf.Dictionary(X=pikepdf.Dictionary(Private=pikepdf.String(ID)))
    pdf.make_indirect(pikepdf.Dictionary(Left=pikepdf.String(ID)))


def scanned(text: str = f"身份证号 {ID}", *, kind: str = "JPEG", mode: str = "L") -> Image.Image:
    """Return a picture of a line of text, 150 dpi of half a page."""
    if not FONT.exists():
        pytest.skip("no Chinese font is installed (fonts-noto-cjk)")
    image = Image.new(mode, (1240, 600), "white" if mode != "1" else 1)
    pen = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FONT), 34)
    pen.text((150, 120), text, font=font, fill=0)
    pen.text((150, 260), "请核对后归档，以下无正文。", font=font, fill=0)
    return image


def in_picture(image: Image.Image, *, over: str = "", matrix: str = "595 0 0 288 0 500", **save: Any) -> bytes:
    """Return a page that shows a picture, with more content over it."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **save)
    space = b"/DeviceGray" if image.mode == "L" else b"/DeviceRGB"
    entries = (
        b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace %s /BitsPerComponent 8 /Filter /DCTDecode"
    )
    picture = stream(out.getvalue(), entries % (image.width, image.height, space))
    return with_objects(f"q {matrix} cm /Im0 Do Q {over}", "/XObject << /Im0 6 0 R >>", picture)


def justified(pdf_text: str) -> bytes:
    """Return a line with word spacing, as text set to both margins has it."""
    return page(f"BT /F1 12 Tf 3.7 Tw 72 700 Td ({pdf_text}) Tj ET")


TEXT_CASES: dict[str, Made] = {
    "01 plain": lambda: page(line()),
    "02 two bytes a letter": lambda: composite(f"ID {ID} end"),
    "03 predefined map": lambda: drawn(written(f"身份证号{ID}，请核对。\n{KEPT}")),
    "04 one glyph an operator": lambda: single_glyphs(list(range(18))),
    "05 shuffled glyphs": lambda: single_glyphs(random.Random(3).sample(range(18), 18)),
    "06 kerned": lambda: page(line(show=kerned())),
    "07 quotes": lambda: page(f"BT /F1 12 Tf 14 TL 72 714 Td (ID {ID}) ' 1 0.5 (no {OTHER}) \" ET"),
    "08 spaced, raised, stretched, skewed": lambda: page(
        f"q 1 0.1 0.2 1 0 -20 cm BT /F1 12 Tf 90 Tz 3 Ts 0.5 Tc 2 Tw 72 700 Td (ID {ID} end) Tj ET Q"
    ),
    "10 clip": lambda: page(f"q {line(show=f'7 Tr ({ID}) Tj')} Q"),
    "11 form in a form, twice": lambda: with_objects(
        "q 1 0 0 1 0 0 cm /X1 Do Q q 1 0 0 1 0 -300 cm /X1 Do Q",
        "/XObject << /X1 6 0 R >>",
        form("/X2 Do", "/Resources << /XObject << /X2 7 0 R >> >>"),
        form(line(), "/Resources << /Font << /F1 4 0 R >> >>"),
    ),
    "12 form without resources": lambda: with_objects("/X1 Do", "/XObject << /X1 6 0 R >>", form(line())),
    "15 drawn letters": drawn_letters,
    "16 vertical": lambda: composite(ID, vertical=True),
    "17 said otherwise": lambda: page(f"/Span << /ActualText ({ID}) >> BDC {line()} EMC"),
    "20 shadow": lambda: page(line() + f"BT /F1 12 Tf 72.4 699.6 Td (ID {ID} end) Tj ET"),
    "33 two in one operator": lambda: page(line(show=f"[(A {ID} b) -200 (C {OTHER} d)] TJ")),
    "34 two lines of two cells": lambda: page(
        f"{line('No 1', 714)} {cell(200, 'Number', 714)} {cell(320, 'Other', 714)} {line('Name', 700)} "
        f"{cell(200, ID[:13], 700)} {cell(200, ID[13:], 687)} {cell(320, OTHER[:13], 700)} {cell(320, OTHER[13:], 687)}"
    ),
    "34 two lines": lambda: page(
        line(f"A long line of text that ends with {ID[:10]}", 700) + line(f"{ID[10:]} go", 686)
    ),
    "35 outside the crop box": lambda: page(
        line() + f"BT /F1 12 Tf 72 830 Td ({ID}) Tj ET", page=b"/CropBox [0 0 595 800]"
    ),
    "36 layer off": lambda: with_objects(
        f"{line()} /OC /L1 BDC {line(y=650)} EMC",
        "/Properties << /L1 6 0 R >>",
        b"<< /Type /OCG /Name (x) >>",
        catalog=b"/OCProperties << /OCGs [6 0 R] /D << /OFF [6 0 R] >> >>",
    ),
    "37-43 everywhere": lambda: changed(page(line()), noted),
    "42 revisions": lambda: revised(
        revised(page(line()), line(y=650).encode()), line(KEPT, 600).encode() + line().encode()
    ),
    "44 object streams": lambda: changed(
        page(line()), lambda _: None, object_stream_mode=pikepdf.ObjectStreamMode.generate
    ),
    "45 split contents": lambda: by_hand(
        [
            *simple(b"")[:2],
            simple(b"")[2].replace(b"/Contents 5 0 R", b"/Contents [5 0 R 6 0 R]"),
            simple(b"")[3],
            stream(f"{line(KEPT, 600)} BT /F1 12 Tf 72 700 Td [(ID {ID[:9]})".encode()),
            stream(f"({ID[9:]} end)] TJ ET".encode()),
        ]
    ),
    "47 states left open": lambda: page(f"q q {line()}"),
    "48 turned": lambda: page(line(), page=b"/Rotate 90 /UserUnit 2"),
    "48 corners swapped": lambda: page(
        line().replace("72 700", "-300 -100"), page=b"/CropBox [200 300 -400 -500]"
    ).replace(b"/MediaBox [0 0 595 842]", b"/MediaBox [200 300 -400 -500]"),
    "49 locked with the empty password": lambda: changed(
        page(line()), lambda _: None, encryption=pikepdf.Encryption(user="", owner="o")
    ),
    "54 white": lambda: page(f"1 g {line()} 0 g {line(OTHER, 640)}"),
    "56 badly redacted": lambda: page(f"{line()} 0 g 70 695 160 16 re f"),
    "58 spaced digits": lambda: page(line(f"ID {' '.join(ID)} end")),
    "invisible": lambda: page(line(show=f"3 Tr ({ID}) Tj 0 Tr") + line(OTHER, 650)),
    "underlined": lambda: page(f"{line()} 87 697 m 195 697 l S"),
    "in a table": lambda: page(f"{line()} 70 690 300 20 re S 250 690 m 250 710 l S"),
    "justified": lambda: justified(f"One two {ID} three four"),
}
"""Cases that must be released: each holds the number in its text."""

REFUSED_CASES: dict[str, Made] = {
    "13 pattern": lambda: with_objects(
        f"/Pattern cs /P1 scn 72 690 300 30 re f {line()}",
        "/Pattern << /P1 6 0 R >>",
        stream(
            f"BT /F1 10 Tf 0 5 Td ({ID}) Tj ET".encode(),
            b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 200 20] /XStep 200 /YStep 20 "
            b"/Resources << /Font << /F1 4 0 R >> >>",
        ),
    ),
    "14 soft mask": lambda: with_objects(
        f"/G1 gs {line()}",
        "/ExtGState << /G1 << /Type /ExtGState /SMask << /S /Luminosity /G 6 0 R >> >> >>",
        form(f"1 g {line()}", "/Group << /S /Transparency /CS /DeviceGray >> /Resources << /Font << /F1 4 0 R >> >>"),
    ),
    "46 lies about operands": lambda: page(f"BT /F1 12 Tf 300 300 72 700 Td (ID {ID} end) Tj ET"),
    "46 unknown operator": lambda: page(f"BX 1 2 foo EX {line()}"),
    "47 text in a text": lambda: page(f"BT BT /F1 12 Tf 72 700 Td (ID {ID} end) Tj ET ET"),
}
"""Cases that no content can be trusted in: pages become pictures, or the file is held."""
