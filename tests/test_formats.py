"""All formats alike: the same words give the same level in each, passwords open what they open, oddities are told."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import docx as word
import msoffcrypto
import openpyxl
import pikepdf
import pytest

import scans
from dlp import odd
from dlp.config import Config
from dlp.formats import FORMATS, Source
from dlp.formats.room import Room, read
from dlp.limits import Limits
from dlp.model import Coverage, Document, GapKind, Item
from dlp.sandbox import Sandbox
from dlp.service import receipt
from dlp.service.gate import Gate
from dlp.sniff import EDGE_BYTES, sniff
from format_makers import doc_of, odf_of, ofd_of, ofd_page, packed, pwg_of, rtf_of, text_object
from makers import body, docx_of, package, xlsx_of
from pdf_makers import changed, drawn, text_pdf, written
from test_pptx import PARTS as SLIDES
from test_pptx import shape, slide

MARK = "秘密★5年"
LINES = (MARK, "某某市人民政府文件", "关于加强项目管理工作的通知", "各区人民政府：现将有关事项通知如下。")


def sheet(page) -> None:
    """Draw the document as GB/T 9704 has it."""
    for line, y, size in zip(LINES, (735, 660, 540, 480), (16, 30, 22, 16), strict=True):
        written(line, size=size, x=80, y=y)(page)


def letter() -> bytes:
    """Return the document as a message."""
    made = EmailMessage()
    made["From"], made["To"], made["Message-ID"] = "a@example.com", "b@example.com", "<1@example.com>"
    made["Subject"] = "关于加强项目管理工作的通知"
    made.set_content("\n".join(LINES) + "\n")
    return made.as_bytes()


def presentation() -> bytes:
    """Return the document on one slide."""
    return package({**SLIDES, "ppt/slides/slide1.xml": slide(*(shape(line) for line in LINES))})


SAME: dict[str, Callable[[], bytes]] = {
    "pdf": lambda: drawn(sheet),
    "docx": lambda: docx_of(*LINES),
    "ofd": lambda: ofd_of(ofd_page(*(text_object(line, y=35 + 25 * n) for n, line in enumerate(LINES)))),
    "pptx": presentation,
    "xlsx": lambda: xlsx_of([[line] for line in LINES]),
    "eml": letter,
    "rtf": lambda: rtf_of(*LINES),
    "doc": lambda: doc_of("\n".join(LINES)),
    "odt": lambda: odf_of("".join(f"<text:p>{line}</text:p>" for line in LINES)),
    "txt": lambda: "\n".join(LINES).encode(),
    "html": f"<html><body>{''.join(f'<p>{line}</p>' for line in LINES)}</body></html>".encode,
    "zip-in-7z": lambda: packed("7zip", {"a.zip": package({"b.docx": docx_of(*LINES)})}),
}
SCANNED: dict[str, Callable[[], bytes]] = {
    "png": lambda: scans.page(dpi=150, mark=MARK, seal=True, skew=1.0).encoded(),
    "pwg": lambda: pwg_of(scans.page(dpi=150, mark=MARK).image, dpi=150),
}


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """Give one gate with the shipped packs for all tests of this module."""
    with Gate(Config()) as made:
        yield made


@pytest.mark.parametrize("kind", [*SAME, *(pytest.param(kind, marks=scans.needs_font) for kind in SCANNED)])
def test_the_same_words_give_the_same_level(kind: str, gate: Gate, tmp_path: Path) -> None:
    """One document in every format: its mark is found, and it is blocked at its level."""
    path = tmp_path / f"notice.{kind.rpartition('-')[2]}"
    path.write_bytes((SAME | SCANNED)[kind]())
    seen = gate.scan(path)
    assert seen.verdict.level is not None
    assert (seen.verdict.action.value, seen.verdict.level.value) == ("block", "秘密")
    assert seen.gaps == ()


def test_every_format_has_a_reader() -> None:
    """Each media type names a module that can be imported and says that it reads it."""
    import importlib

    for media, module in FORMATS.items():
        assert media in importlib.import_module(module).MEDIA, media


@pytest.mark.parametrize("media", sorted(FORMATS))
def test_no_reader_raises_on_nonsense(media: str) -> None:
    """Whatever a reader is given by mistake ends as a gap or as text, never as an exception that gets out."""
    for raw in (b"", b"\0" * 600, b"PK\x03\x04" + bytes(60), bytes(range(256)) * 8, "机密★10年".encode() * 50):
        document = read(media, Source(raw), Room(Limits(wall_seconds=20)))
        assert isinstance(document, Document)


# --- passwords


def locked_docx(password: str) -> bytes:
    """Return a Word document under a password."""
    out = io.BytesIO()
    msoffcrypto.OfficeFile(io.BytesIO(docx_of("锁住的字"))).encrypt(password, out)
    return out.getvalue()


def locked_pdf(password: str) -> bytes:
    """Return a PDF under a password."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(text_pdf("锁住的字"))) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(user=password, owner="other"))
    return out.getvalue()


@pytest.mark.parametrize("make", [locked_docx, locked_pdf])
def test_listed_passwords_are_tried(make: Callable[[str], bytes]) -> None:
    """Without the password the file is a gap; with it on the list it is read."""
    raw = make("kouling-2026")
    kind = sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))[0]
    closed = read(kind, Source(raw), Room(passwords=("wrong",)))
    assert {g.kind for g in closed.gaps} == {GapKind.ENCRYPTED}
    assert not any("锁住的字" in s.text for s in closed.segments)
    opened = read(kind, Source(raw), Room(passwords=("wrong", "kouling-2026")))
    assert any("锁住的字" in s.text for s in opened.segments)
    assert GapKind.ENCRYPTED not in {g.kind for g in opened.gaps}


def test_passwords_reach_the_child() -> None:
    """The list goes through the sandbox to the reader."""
    raw = locked_pdf("kouling-2026")
    fd = os.memfd_create("locked")
    os.write(fd, raw)
    with Sandbox(limits=Limits(), passwords=("kouling-2026",)) as sandbox:
        document = sandbox.extract(fd, name="a.pdf", size=len(raw))
    os.close(fd)
    assert any("锁住的字" in s.text for s in document.segments)


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice (soffice) is not installed")
def test_a_presentation_that_an_office_program_wrote(tmp_path: Path) -> None:
    """PPT of LibreOffice: the words of its slides."""
    ns = 'xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"'
    kind = "application/vnd.oasis.opendocument.presentation"
    files = f'<m:file-entry m:full-path="/" m:media-type="{kind}"/><m:file-entry m:full-path="content.xml" m:media-type="text/xml"/>'
    page = '<draw:page draw:name="p"><draw:frame><draw:text-box><text:p>幻灯片里的字</text:p></draw:text-box></draw:frame></draw:page>'
    manifest = {"META-INF/manifest.xml": f"<m:manifest {ns}>{files}</m:manifest>"}
    (tmp_path / "a.odp").write_bytes(odf_of(page, kind="presentation", parts=manifest))
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = [
        "soffice",
        profile,
        "--headless",
        "--convert-to",
        "ppt",
        "--outdir",
        str(tmp_path),
        str(tmp_path / "a.odp"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    raw = (tmp_path / "a.ppt").read_bytes()
    kind = sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))[0]
    assert kind == "application/vnd.ms-powerpoint"
    document = read(kind, Source(raw), Room())
    assert any("幻灯片里的字" in s.text for s in document.segments)
    assert not document.gaps


# --- oddities and coverage


def oddities(name: str, raw: bytes) -> list[str]:
    """Return the names of what is odd about a file."""
    kind = sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))[0]
    document = read(kind, Source(raw), Room())
    item = Item(id="1", source="scan", path=name, name=name)
    return [found.rule for found in odd.find(item, document)]


def test_a_name_that_says_another_type_is_a_finding() -> None:
    """A Word document called .jpg, a PDF called .txt; honest names, unknown and missing extensions are none."""
    assert oddities("a.jpg", docx_of("字")) == ["gate.name.extension"]
    assert oddities("a.TXT", text_pdf("字")) == ["gate.name.extension"]
    for name, raw in (
        ("a.docx", docx_of("字")),
        ("a.wps", docx_of("字")),
        ("a.wps", doc_of("字")),
        ("a", docx_of("字")),
    ):
        assert oddities(name, raw) == []
    assert oddities("a.dat", b"words") == []


def test_scripts_and_actions_are_findings() -> None:
    """JavaScript and Launch in a PDF are told once each."""

    def add(pdf: pikepdf.Pdf) -> None:
        pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")
        launch = pikepdf.Dictionary(S=pikepdf.Name.Launch, F="cmd.exe")
        pdf.pages[0].AA = pikepdf.Dictionary(O=launch, C=launch)

    assert oddities("a.pdf", changed(text_pdf("字"), add)) == ["gate.content.action"] * 2


def test_coverage_is_told_in_one_sentence() -> None:
    """Pages by how they were read, in both languages; nothing for a file without pages."""
    pages = [Coverage(page=1, how="text"), Coverage(page=2, how="ocr", quality=0.913), Coverage(page=3, how="unread")]
    say = receipt.coverage(Document(media="application/pdf", coverage=tuple(pages)))
    assert say is not None
    assert say.zh == "共 3 页：按文字读取 1 页，图像识别 1 页，未读 1 页（识别把握 91% 以上）"
    assert say.en == "3 pages: 1 read as text, 1 read by OCR, 1 not read (recognized with 91% or more)"
    assert receipt.coverage(Document(media="text/plain")) is None


def test_dimension_of_a_sheet_is_not_believed() -> None:
    """A sheet that says it ends at D7 is read to its last row."""
    book = openpyxl.Workbook()
    for row in range(1, 21):
        book.active.append([f"行{row}"])
    out = io.BytesIO()
    book.save(out)
    import zipfile

    from makers import changed as repacked

    with zipfile.ZipFile(io.BytesIO(out.getvalue())) as made:
        xml = made.read("xl/worksheets/sheet1.xml").decode()
    raw = repacked(out.getvalue(), {"xl/worksheets/sheet1.xml": xml.replace('ref="A1:A20"', 'ref="A1:A2"')})
    kind = sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))[0]
    assert any(s.text == "行20" for s in read(kind, Source(raw), Room()).segments)


def test_word_files_reopen_elsewhere() -> None:
    """The builder of these tests writes what python-docx opens: the tests speak of real files."""
    assert word.Document(io.BytesIO(body("<w:p><w:r><w:t>字</w:t></w:r></w:p>"))).paragraphs[0].text == "字"
