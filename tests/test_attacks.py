"""Attacks on readers, numbered as the list of hostile inputs numbers them, each through the real sandbox.

Whatever happens to the child, the answer is a verdict: nothing that was not read is clean, and the sandbox reads the
next file.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from dlp.config import Config
from dlp.limits import Limits
from dlp.model import Action, Document, GapKind
from dlp.sandbox import Sandbox
from dlp.service.gate import Gate
from format_makers import ofd_of, ofd_page, packed, text_object
from makers import body, changed, docx_of, entity_bomb, package, zip_bomb
from pdf_makers import by_hand, encrypted_pdf, flate_bomb, simple, stream, text_pdf
from pdf_makers import changed as pdf_changed
from test_image import bomb, noise, saved

LIMITS = Limits(wall_seconds=10.0, cpu_seconds=9)
ANY: frozenset[GapKind | None] = frozenset(GapKind)
MAY = ANY | {None}
"""Read in full, or a gap: either is right."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Give one sandbox for all tests of this module."""
    with Sandbox(limits=LIMITS) as made:
        yield made


def read(sandbox: Sandbox, raw: bytes) -> Document:
    """Return what the sandbox reads of a file."""
    fd = os.memfd_create("attack")
    try:
        os.write(fd, raw)
        return sandbox.extract(fd, name="a", size=len(raw))
    finally:
        os.close(fd)


def nested(depth: int) -> bytes:
    """Return archives in archives."""
    raw = b"x"
    for number in range(depth):
        raw = package({f"{number}.zip" if number else "a.txt": raw})
    return raw


def patched(raw: bytes, place: bytes, offset: int, value: bytes) -> bytes:
    """Return a file with some bytes behind the first (or, from the end, last) occurrence of a mark changed."""
    at = raw.index(place) + offset
    return raw[:at] + value + raw[at + len(value) :]


def symlink_zip() -> bytes:
    """Return an archive with a symbolic link."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        made.writestr(info, "/etc/passwd")
    return out.getvalue()


def names_zip(name: str) -> bytes:
    """Return an archive with one member of an odd name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(name.replace("\0", "Q"), "字")
    return out.getvalue().replace(b"Q", b"\0") if "\0" in name else out.getvalue()


def many_entries(count: int) -> bytes:
    """Return an archive with many empty members."""
    return package({f"{number}.txt": b"" for number in range(count)})


XML = '<?xml version="1.0" encoding="{}"?>'
W_DOC = "word/document.xml"


def docx_with(xml: str | bytes) -> bytes:
    """Return a Word document whose main part is this XML."""
    return changed(docx_of(), {W_DOC: xml})


def doctype(inside: str) -> bytes:
    """Return a Word document whose main part declares a type."""
    return docx_with(f"<!DOCTYPE w:document [{inside}]><w:document xmlns:w='urn:w'><w:p>&x;</w:p></w:document>")


def filtered(filters: str, data: bytes) -> bytes:
    """Return a PDF whose page content goes through these filters."""
    objects = simple(b"")
    for number, content in enumerate(objects):
        if b"stream" in content:
            objects[number] = stream(data, f"/Filter {filters}".encode())
    return by_hand(objects)


def deep_flate(levels: int) -> tuple[str, bytes]:
    """Return a filter chain of many Flate levels and data for it."""
    data = b"BT /F1 12 Tf 72 700 Td (deep) Tj ET"
    for _ in range(levels):
        data = zlib.compress(data)
    return "[" + "/FlateDecode " * levels + "]", data


def page_of(entries: bytes) -> bytes:
    """Return a PDF whose page has these entries instead of its media box."""
    return by_hand(simple(b"BT /F1 12 Tf 72 700 Td (text) Tj ET", page=entries))


def looping_tree() -> bytes:
    """Return a PDF whose page tree holds itself."""
    raw = text_pdf("字")

    def loop(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Pages.Kids.append(pdf.Root.Pages)

    return pdf_changed(raw, loop)


def lying_count() -> bytes:
    """Return a PDF that promises a million pages."""
    return by_hand(simple(b"BT /F1 12 Tf (text) Tj ET", pages=b"/Count 1000000"))


def prev_loop() -> bytes:
    """Return a PDF whose cross-reference table names itself as the one before."""
    raw = text_pdf("字")
    at = raw.rindex(b"startxref") + 10
    start = int(raw[at:].split()[0])
    return raw.replace(b"trailer\n<<", b"trailer\n<< /Prev %d " % start)


def forms_in_rings() -> bytes:
    """Return a PDF whose form draws itself."""
    objects = simple(b"/X Do", page=b"/Resources << /XObject << /X 6 0 R >> >>")
    objects.append(
        stream(b"/X Do", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>")
    )
    return by_hand(objects)


def deep_array() -> bytes:
    """Return a PDF with arrays nested a hundred thousand deep."""
    objects = simple(b"BT /F1 12 Tf (text) Tj ET")
    objects.append(b"[" * 100_000 + b"]" * 100_000)
    return by_hand(objects)


def wide_map() -> bytes:
    """Return a PDF whose font map has ranges over everything."""
    objects = simple(b"BT /F1 12 Tf 72 700 Td (text) Tj ET")
    objects[3] = objects[3].replace(b"/Encoding", b"/ToUnicode 6 0 R /Encoding")
    cmap = b"begincmap 1 begincodespacerange <00> <FFFFFFFF> endcodespacerange 9 beginbfrange " + (
        b"<00000000> <FFFFFFFF> <0000> " * 9
    )
    objects.append(stream(cmap + b"endbfrange endcmap"))
    return by_hand(objects)


def scripted(kind: str) -> bytes:
    """Return a PDF with XFA, a script or a program to start."""

    def add(pdf: pikepdf.Pdf) -> None:
        if kind == "XFA":
            pdf.Root.AcroForm = pikepdf.Dictionary(XFA=pdf.make_stream("<xdp>表单里的字</xdp>".encode()), Fields=[])
        else:
            pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name("/" + kind), JS="var a='脚本里的字'", F="cmd")

    return pdf_changed(text_pdf("字"), add)


def exif_preview() -> bytes:
    """Return a photograph whose preview shows something else."""
    exif = Image.Exif()
    exif[0x010E] = "a description"
    raw = saved(noise(), "JPEG", exif=exif)
    return raw[:2] + raw[2:]


HEALTHY = "健康的字"
CASES: dict[str, tuple[Callable[[], bytes], frozenset[GapKind | None]]] = {
    "1 zip of 4 GB of zeros": (zip_bomb, frozenset({GapKind.TOO_BIG})),
    "2 zip nested 20 deep": (lambda: nested(20), frozenset({GapKind.TOO_DEEP})),
    "5 names that differ in case only": (
        lambda: package({"a.txt": "字", "A.TXT": "字"}),
        frozenset({GapKind.CORRUPT}),
    ),
    "6 two names for one member": (
        lambda: patched(package({"aaaa.txt": "字"}), b"aaaa.txt", 0, b"bbbb.txt"),
        frozenset({GapKind.CORRUPT}),
    ),
    "7 a check sum that lies": (
        lambda: patched(package({"a.txt": "字" * 50}), b"PK\x03\x04", 14, b"\1\2\3\4"),
        frozenset({GapKind.CORRUPT}),
    ),
    "8 bytes before an archive": (lambda: b"MZ junk" + package({"a.txt": "字"}), ANY),
    "8 an archive behind a PDF": (lambda: text_pdf("字") + package({"a.txt": HEALTHY}), ANY),
    "9 a name that leads out": (lambda: names_zip("../../etc/x"), frozenset({GapKind.CORRUPT})),
    "9 an absolute name": (lambda: names_zip("/etc/x"), frozenset({GapKind.CORRUPT})),
    "9 a name with backslashes": (lambda: names_zip("a\\..\\b"), frozenset({GapKind.CORRUPT})),
    "9 a name with a drive": (lambda: names_zip("C:x"), frozenset({GapKind.CORRUPT})),
    "9 a name with NUL": (lambda: names_zip("a\0b"), frozenset({GapKind.CORRUPT})),
    "10 a link in an archive": (symlink_zip, frozenset({GapKind.CORRUPT})),
    "11 a hundred thousand entries": (lambda: many_entries(20_000), frozenset({GapKind.TOO_MANY})),
    "13 gz bomb": (lambda: gzip.compress(bytes(700_000_000), 9), frozenset({GapKind.TOO_BIG, GapKind.TIMEOUT})),
    "13 bz2 bomb": (lambda: bz2.compress(bytes(700_000_000)), frozenset({GapKind.TOO_BIG, GapKind.TIMEOUT})),
    "13 xz bomb": (lambda: lzma.compress(bytes(700_000_000), preset=0), frozenset({GapKind.TOO_BIG, GapKind.TIMEOUT})),
    "13 a part of many volumes": (lambda: package({"a": "字"})[:60], ANY),
    "14 billion laughs": (entity_bomb, frozenset({GapKind.CORRUPT})),
    "15 quadratic blow-up": (
        lambda: doctype(f'<!ENTITY x "{"y" * 50_000}">' + "").replace(b"&x;", b"&x;" * 20_000),
        ANY,
    ),
    "16 an entity that names a file": (
        lambda: doctype('<!ENTITY x SYSTEM "file:///etc/passwd">'),
        frozenset({GapKind.CORRUPT}),
    ),
    "16 an entity that names an address": (
        lambda: doctype('<!ENTITY x SYSTEM "http://127.0.0.1/x">'),
        frozenset({GapKind.CORRUPT}),
    ),
    "17 an external type": (
        lambda: docx_with('<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>'),
        frozenset({GapKind.CORRUPT}),
    ),
    "17 a type in OFD": (
        lambda: ofd_of(ofd_page(text_object("字")), parts={"Doc_0/x.xml": "<!DOCTYPE a []><a/>"}),
        frozenset({GapKind.CORRUPT}),
    ),
    "18 elements 100,000 deep": (lambda: docx_with("<a>" * 100_000 + "</a>" * 100_000), MAY),
    "19 a million attributes": (
        lambda: docx_with("<a " + " ".join(f'b{n}="c"' for n in range(1_000_000)) + "/>"),
        MAY,
    ),
    "20 UTF-7": (lambda: docx_with(XML.format("utf-7") + "<a>+Zno-</a>"), frozenset({GapKind.CORRUPT})),
    "20 EBCDIC": (lambda: docx_with((XML.format("cp037") + "<a>b</a>").encode("cp037")), ANY),
    "21 Flate bomb of 2 GB": (flate_bomb, frozenset({GapKind.TOO_BIG})),
    "22 ten Flate levels": (lambda: filtered(*deep_flate(10)), MAY),
    "23 a predictor of 2^30 columns": (
        lambda: filtered(
            "/FlateDecode /DecodeParms << /Predictor 12 /Columns 1073741824 >>", zlib.compress(b"\2" * 99)
        ),
        MAY,
    ),
    "25 a page tree that holds itself": (looping_tree, MAY),
    "25 a million promised pages": (lying_count, ANY),
    "26 a table that names itself": (prev_loop, MAY),
    "27 a form that draws itself": (forms_in_rings, MAY),
    "29 a header in the middle": (lambda: b"junk \0\1\2" * 300 + text_pdf("字"), ANY),
    "30 arrays 100,000 deep": (deep_array, MAY),
    "31 a map over everything": (wide_map, MAY),
    "33 a PDF under a password": (encrypted_pdf, frozenset({GapKind.ENCRYPTED})),
    "37 a page of 10^9 points": (lambda: page_of(b"/MediaBox [0 0 1000000000 1000000000]"), MAY),
    "37 a page of no size": (lambda: page_of(b"/MediaBox [0 0 0 0]"), MAY),
    "38 a PNG of 60,000 x 60,000": (lambda: bomb(60_000, 60_000), frozenset({GapKind.TOO_BIG})),
    "40 a GIF of many frames": (
        lambda: saved(noise(8, 8), "GIF", save_all=True, append_images=[noise(8, 8) for _ in range(6_000)]),
        ANY,
    ),
    "41 HEIC, AVIF, PSD": (lambda: b"\0\0\0\x18ftypheic" + bytes(200), frozenset({GapKind.UNSUPPORTED})),
    "41 an SVG with an entity": (
        lambda: b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        frozenset({GapKind.CORRUPT}),
    ),
    "43 a JPEG cut off": (lambda: saved(noise(300, 300), "JPEG")[:-900], frozenset({GapKind.CORRUPT})),
    "45 a bomb in a PNG chunk": (
        lambda: bomb(8, 8)[:33] + _chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(300_000_000), 9)) + bomb(8, 8)[33:],
        MAY,
    ),
    "74 macros": (
        lambda: changed(docx_of("字"), {"word/vbaProject.bin": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)}),
        ANY,
    ),
}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("name", CASES)
def test_an_attack_costs_nothing_but_its_own_verdict(name: str, sandbox: Sandbox) -> None:
    """The gap that the list demands, within the limits, and the next file is read."""
    make, wanted = CASES[name]
    began = time.monotonic()
    document = read(sandbox, make())
    kinds = {gap.kind for gap in document.gaps}
    assert kinds & wanted or (None in wanted and not kinds)
    assert time.monotonic() - began < 60
    assert any(s.text == HEALTHY for s in read(sandbox, HEALTHY.encode()).segments)


@pytest.mark.parametrize(("kind", "text"), [("XFA", "表单里的字"), ("JavaScript", "脚本里的字")])
def test_34_forms_and_scripts_are_text(kind: str, text: str, sandbox: Sandbox) -> None:
    """34: what XFA and scripts say is read."""
    assert any(text in s.text for s in read(sandbox, scripted(kind)).segments)


def test_28_blank_pages_end() -> None:
    """28: more pages than the limit end as a gap."""
    many = [b"/Count 300 /Kids [" + b" ".join(b"3 0 R" for _ in range(300)) + b"]"]
    with Sandbox(limits=Limits(pages=100)) as sandbox:
        assert GapKind.TOO_MANY in {g.kind for g in read(sandbox, by_hand(simple(b"", pages=many[0]))).gaps}


def test_42_44_what_hides_in_a_picture_is_read(sandbox: Sandbox) -> None:
    """42, 44: a description in EXIF, an archive behind the end."""
    raw = exif_preview() + package({"a.txt": "后面的字"})
    whole = "\n".join(s.text for s in read(sandbox, raw).segments)
    assert "a description" in whole
    assert "后面的字" in whole


# --- evasions: 66 to 77


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """Give one gate with the shipped packs."""
    with Gate(Config()) as made:
        yield made


NUMBER = "11010119900307301X"
HIDDEN: dict[str, bytes] = {
    "68 GB 18030": f"身份证号：{NUMBER}，请核对。".encode("gb18030"),
    "68 Big5": f"身分證號：{NUMBER}，請核對。".encode("big5"),
    "68 UTF-16 without a mark": f"身份证号：{NUMBER}，请核对。".encode("utf-16-le"),
    "68 UTF-7": f"身份证号：{NUMBER}".encode("utf-7"),
    "68 HZ": f"身份证号：{NUMBER}".encode("hz"),
    "68 Base64": base64.b64encode(f"身份证号：{NUMBER}，请核对。".encode()),
    "68 percent": "".join(f"%{b:02X}" for b in f"身份证号：{NUMBER}".encode()).encode(),
    "68 entities": "".join(f"&#{ord(c)};" for c in f"身份证号：{NUMBER}").encode(),
    "69 full width": "身份证号：１１０１０１１９９００３０７３０１Ｘ".encode(),
    "69 zero width": ("身份证号：" + "\u200b".join(NUMBER)).encode(),
    "69 spaces": ("身份证号：" + " ".join(NUMBER)).encode(),
    "69 Han digits": "身份证号：一一〇一〇一一九九〇〇三〇七三〇一X".encode(),
    "70 one character a cell": docx_of(),
    "72 white in Word": body(
        f'<w:p><w:r><w:rPr><w:color w:val="FFFFFF"/><w:sz w:val="2"/></w:rPr><w:t>身份证号：{NUMBER}</w:t></w:r></w:p>'
    ),
    "72 vanished in Word": body(f"<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>身份证号：{NUMBER}</w:t></w:r></w:p>"),
    "75 a mail merge source": changed(
        docx_of("字"),
        {
            "word/settings.xml": f'<w:settings xmlns:w="{"http://schemas.openxmlformats.org/wordprocessingml/2006/main"}"><w:mailMerge><w:query w:val="id={NUMBER}"/></w:mailMerge></w:settings>'
        },
    ),
    "12 an archive in an archive": packed("7zip", {"a.zip": package({"b.txt": f"身份证号：{NUMBER}"})}),
}
HIDDEN["70 one character a cell"] = body(
    "<w:tbl><w:tr>"
    + "".join(f"<w:tc><w:p><w:r><w:t>{c}</w:t></w:r></w:p></w:tc>" for c in f"号码{NUMBER}")
    + "</w:tr></w:tbl>"
)


@pytest.mark.parametrize("name", HIDDEN)
def test_evasions_are_seen(name: str, gate: Gate, tmp_path: Path) -> None:
    """A number in disguise is found, or the file is held; it never leaves as clean."""
    path = tmp_path / "a.bin"
    path.write_bytes(HIDDEN[name])
    seen = gate.scan(path)
    found = {f.type for f in seen.findings}
    assert "cn_resident_id" in found or seen.verdict.action >= Action.QUARANTINE, (found, seen.gaps)


def test_77_encrypted_content_is_held(gate: Gate, tmp_path: Path) -> None:
    """77: what needs a password is quarantined whatever else is known of it."""
    path = tmp_path / "a.pdf"
    path.write_bytes(encrypted_pdf())
    assert gate.scan(path).verdict.action is Action.QUARANTINE


def test_66_67_patterns_cannot_backtrack(gate: Gate) -> None:
    """66, 67: long lines of what makes careless patterns slow are matched in linear time."""
    began = time.monotonic()
    for text in ("a" * 3_000_000 + "!", "=" * 1_000_000, "1" * 2_000_000, "身份证" * 300_000):
        gate.scan_text(text)
    assert time.monotonic() - began < 60
