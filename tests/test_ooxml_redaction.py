"""Office files are redacted in every place in which text can lie: nothing of the number is left, the rest is.

`ooxml_makers` makes a file for each place; here each is cut as the gate cuts it, looked at byte by byte, and opened by
readers that had no part in it.
"""

from __future__ import annotations

import base64
import io
import random
import re
import shutil
import subprocess
import unicodedata
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import docx
import openpyxl
import pytest
from PIL import Image

from dlp.config import Config
from dlp.formats import DOCX, PPTX, XLSX, Full, NotRedactable, Source, ooxml_proof, proof, zipsafe
from dlp.formats import docx as word
from dlp.formats.docx_cut import Word
from dlp.formats.pptx_cut import Slides
from dlp.formats.room import Room, read, redact
from dlp.formats.xlsx_cut import Book
from dlp.model import Cut, Document, evolve
from dlp.service.gate import Gate
from makers import changed
from ooxml_makers import CT, EXCEL, KEPT, NUMBER, POINT, RELS, WORD, Link, book, doc, pic
from scans import page
from test_docx import p, run
from test_xlsx import R, S

LABEL = "〔已脱敏：居民身份证号〕"
OTHER = "11010519491231002X"
SHARED = f'<sst xmlns="{S}"><si><t>科员</t></si></sst>'
SHARED_TYPE = CT + "spreadsheetml.sharedStrings+xml"
OFFICE = {"docx": (DOCX, WORD), "xlsx": (XLSX, EXCEL), "pptx": (PPTX, POINT)}
PLACES = [(ending, name) for ending, (_, made) in OFFICE.items() for name in made]


def seen(media: str, raw: bytes) -> Document:
    """Read a file as the child does."""
    return read(media, Source(raw), Room())


def cuts(document: Document, value: str = NUMBER, label: str = LABEL) -> tuple[Cut, ...]:
    """Return a cut for every place of a value that the reader finds."""
    return tuple(
        Cut(part=s.part, anchor=s.anchor, start=found.start(), end=found.end(), label=label, type="cn_resident_id")
        for s in document.segments
        for found in re.finditer("-?".join(value), s.text)
    )


def redacted(media: str, raw: bytes, these: Sequence[Cut] | None = None) -> bytes:
    """Return the file without the number."""
    out = io.BytesIO()
    redact(media, Source(raw), cuts(seen(media, raw)) if these is None else these, out, Room())
    return out.getvalue()


def layers(raw: bytes) -> Iterator[bytes]:
    """Yield a package and every part of it unpacked, and so on for packages in it."""
    yield raw
    if raw.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from layers(archive.read(name))


def forms(value: str) -> list[bytes]:
    """Return a value in every encoding in which it may have been kept."""
    packed = [base64.b64encode(b"\0" * n + value.encode())[4:-4] for n in range(3)]
    plain = [value.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")]
    return [
        *plain,
        *packed,
        value[::-1].encode(),
        value.encode().hex().encode(),
        *(f"&#{ord(c)};".encode() * 3 for c in value[:1]),
    ]


def residue(raw: bytes, value: str = NUMBER) -> list[str]:
    """Return what is left of a value: in any layer and encoding, and of its text eight digits are enough."""
    left = []
    shards = [value[at : at + 8] for at in range(len(value) - 7)]
    for layer in layers(raw):
        left += [repr(form) for form in forms(value) if form in layer]
        text = re.sub(r"<[^>]*>", "", layer.decode("utf-8", "replace"))
        flat = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text)))
        left += [shard for shard in shards if shard in flat and not layer.startswith((b"PK", b"\x89PNG", b"\xff\xd8"))]
    return left


@pytest.mark.parametrize(("ending", "name"), PLACES)
def test_every_place_is_clean(ending: str, name: str) -> None:
    """Wherever the number lies, nothing of it is left, the text around it is, and other readers open the copy."""
    media, made = OFFICE[ending]
    raw = made[name]
    before = seen(media, raw)
    wish = cuts(before)
    assert wish, "the reader does not find it"
    new = redacted(media, raw, wish)
    assert residue(new) == []
    after = seen(media, new)
    assert after.gaps == ()
    assert any(KEPT in segment.text for segment in after.segments)
    checks = [*proof.search(Source(new), (NUMBER,), Room()), *opened(ending, new, raw).checks]
    assert [check for check in checks if check.state != "ok"] == []


def opened(ending: str, new: bytes, raw: bytes) -> Document:
    """Open a copy with the library of its kind and return what its verifier says."""
    module = __import__(f"dlp.formats.{ending}", fromlist=["verify"])
    if ending == "docx":
        assert KEPT in "".join(paragraph.text for paragraph in docx.Document(io.BytesIO(new)).paragraphs)
    elif ending == "xlsx":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a style sheet of nothing but what is tested
            loaded = openpyxl.load_workbook(io.BytesIO(new))
        assert loaded.worksheets[0]["A1"].value == KEPT
    return module.verify(Source(new), Source(raw), (), Room())


# --- the gate


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """One gate for all files of this module."""
    with Gate(Config()) as made:
        yield made


def released(gate: Gate, raw: bytes, ending: str, folder: Path) -> bytes:
    """Return the copy that the gate proves and writes; NotProven where it does not."""
    src, dst = folder / f"a.{ending}", folder / f"b.{ending}"
    src.write_bytes(raw)
    dst.unlink(missing_ok=True)
    certificate = gate.redact(src, dst)
    assert [check for check in certificate.checks if check.state != "ok"] == []
    assert {check.name for check in certificate.checks} >= {"bytes", "reopened:expat", "parts", "history", "detector"}
    assert sum(removed.count for removed in certificate.removed) > 0
    return dst.read_bytes()


SOME = [("docx", "over three runs"), ("docx", "workbook of a chart"), ("xlsx", "shared string"), ("pptx", "notes")]


@pytest.mark.parametrize(("ending", "name"), SOME)
def test_the_gate_releases_a_proven_copy(ending: str, name: str, gate: Gate, tmp_path: Path) -> None:
    """A file with a number in it leaves redacted: scanner, sandbox, proof and second inspection agree."""
    new = released(gate, OFFICE[ending][1][name], ending, tmp_path)
    assert residue(new) == []
    assert LABEL in "".join(segment.text for segment in seen(OFFICE[ending][0], new).segments)


@pytest.mark.long
@pytest.mark.parametrize(("ending", "name"), PLACES)
def test_the_gate_releases_every_place(ending: str, name: str, gate: Gate, tmp_path: Path) -> None:
    """Whatever place the number lies in, the reader finds it and the copy without it is proven and released."""
    assert residue(released(gate, OFFICE[ending][1][name], ending, tmp_path)) == []


@pytest.mark.long
def test_a_picture_of_a_number_is_painted_over(gate: Gate, tmp_path: Path) -> None:
    """What only OCR reads in a picture of a document is boxed in its pixels; the copy is read by OCR once more."""
    scan = page(number=NUMBER, dpi=150).encoded()
    raw = doc(pic("rIdX"), Link("word/document.xml", "rIdX", "image", "word/media/x.png", scan))
    released(gate, raw, "docx", tmp_path)


# --- what stays, and what does not


def texts(media: str, raw: bytes) -> list[str]:
    """Return all texts that are read in a file."""
    return [segment.text for segment in seen(media, raw).segments]


def test_runs_keep_their_form_and_neighbours() -> None:
    """A number over three runs leaves what stands around it in the runs, with their form, and one label."""
    bold = "<w:r><w:rPr><w:b/></w:rPr><w:t>{}</w:t></w:r>"
    raw = doc(p(run("前 " + NUMBER[:6]) + bold.format(NUMBER[6:12]) + bold.format(NUMBER[12:] + " 后")))
    paragraph = docx.Document(io.BytesIO(redacted(DOCX, raw))).paragraphs[1]
    assert [r.text for r in paragraph.runs] == [f"前 {LABEL}", "", " 后"]
    assert [bool(r.bold) for r in paragraph.runs] == [False, True, True]


def test_a_shared_text_is_cut_in_one_cell_alone() -> None:
    """Where only one of two cells with the same text is cut, the other keeps it: a row goes, its words do not."""
    shared = Link("xl/workbook.xml", "rIdS", "sharedStrings", "xl/sharedStrings.xml", SHARED, SHARED_TYPE)
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c><c r="B{n}"><v>{n}</v></c></row>' for n in (2, 3))
    raw = book(cells, "", shared)
    (first,) = (s for s in seen(XLSX, raw).segments if s.text == "科员\t2")
    cut = Cut(part=first.part, anchor=first.anchor, start=0, end=2, label="〔一〕", type="x")
    loaded = openpyxl.load_workbook(io.BytesIO(redacted(XLSX, raw, (cut,)))).worksheets[0]
    assert [[cell.value for cell in line] for line in loaded.iter_rows(min_row=2)] == [["〔一〕", 2], ["科员", 3]]


def test_a_number_becomes_a_text() -> None:
    """A mobile number that is stored as a float becomes a label in a cell of text; its formula goes with it."""
    raw = book('<row r="2"><c r="A2"><v>1.38001380E10</v></c><c r="B2"><f>A2+0</f><v>13800138000</v></c></row>')
    new = redacted(XLSX, raw, cuts(seen(XLSX, raw), "13800138000", "〔手机号〕"))
    loaded = openpyxl.load_workbook(io.BytesIO(new)).worksheets[0]
    assert [cell.value for cell in loaded[2]] == ["〔手机号〕", "〔手机号〕"]
    assert residue(new, "13800138000") == []


def test_a_sheet_keeps_one_name_everywhere() -> None:
    """A sheet that is named by a number has the same new name in its print area and in charts."""
    new = redacted(XLSX, EXCEL["print area"])
    loaded = openpyxl.load_workbook(io.BytesIO(new)).worksheets[0]
    assert loaded.title == LABEL
    assert LABEL in loaded.print_area


def test_sheets_with_two_numbers_have_two_names() -> None:
    """Two sheets named by numbers of one kind do not get the same name."""
    sheets = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="rId1"/>' for n, name in ((1, NUMBER), (2, OTHER)))
    main = f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets>{sheets}</sheets></workbook>'
    raw = book(more={"xl/workbook.xml": main})
    document = seen(XLSX, raw)
    new = redacted(XLSX, raw, (*cuts(document), *cuts(document, OTHER)))
    with zipfile.ZipFile(io.BytesIO(new)) as archive:
        names = re.findall('<sheet name="([^"]*)"', archive.read("xl/workbook.xml").decode())
    assert names == [LABEL, f"{LABEL}2"]


def test_a_table_that_is_cut_in_its_head_becomes_cells() -> None:
    """A table whose column is named by a number stays as cells: Excel would repair one whose names disagree."""
    loaded = openpyxl.load_workbook(io.BytesIO(redacted(XLSX, EXCEL["table column"]))).worksheets[0]
    assert not loaded.tables
    assert loaded["A2"].value == LABEL


def test_changes_are_taken_in_and_comments_left_out() -> None:
    """What was inserted is text, what was deleted is not, and nobody can tell that it was otherwise."""
    ins, gone = f'<w:ins w:id="1" w:author="甲">{run("新的字")}</w:ins>', "<w:r><w:delText>旧的字</w:delText></w:r>"
    raw = doc(p(f'{ins}<w:del w:id="2" w:author="甲">{gone}</w:del>' + run(NUMBER)))
    new = redacted(DOCX, raw)
    assert f"新的字{LABEL}" in texts(DOCX, new)
    assert not [text for text in texts(DOCX, new) if "旧的字" in text or text == "甲"]


def test_a_cropped_picture_has_no_more_than_is_shown() -> None:
    """The pixels that a crop hides are gone, and the crop with them; the same picture elsewhere is whole."""
    out = io.BytesIO()
    image = Image.new("RGB", (100, 50), "white")
    image.paste("black", (0, 0, 50, 50))
    image.save(out, "PNG")
    link = Link("word/document.xml", "rIdX", "image", "word/media/x.png", out.getvalue())
    raw = doc(p(run(NUMBER)) + pic("rIdX", '<a:srcRect l="50000"/>') + pic("rIdX"), link)
    with zipfile.ZipFile(io.BytesIO(redacted(DOCX, raw))) as archive:
        assert "srcRect" not in archive.read("word/document.xml").decode()
        made = [Image.open(io.BytesIO(archive.read(n))) for n in archive.namelist() if n.endswith(".png")]
    assert sorted((m.size, m.convert("L").getextrema()) for m in made) == [
        ((50, 50), (255, 255)),
        ((100, 50), (0, 255)),
    ]


def test_notes_lead_back_to_their_slide() -> None:
    """PowerPoint would repair notes without it."""
    with zipfile.ZipFile(io.BytesIO(redacted(PPTX, POINT["notes"]))) as archive:
        assert b"slides/slide1.xml" in archive.read("ppt/notesSlides/_rels/notesSlide1.xml.rels")


def test_both_lists_of_parts_say_the_same() -> None:
    """What the redactor keeps is what the second look allows; the two are written apart."""
    kept = {kind for copy in (Word, Book, Slides) for kind in (*copy.PARTS.values(), *copy.MAINS.values()) if kind}
    assert [kind for kind in kept if not ooxml_proof._ALLOWED.fullmatch(kind)] == []


def test_what_is_not_on_the_list_stays_behind() -> None:
    """Macros, controls, OLE objects and templates are in no copy, and nothing refers to them."""
    kinds = ("vbaProject", "control", "oleObject", "attachedTemplate", "webSettings", "keyMapCustomizations")
    links = [Link("word/document.xml", f"rIdX{n}", kind, f"word/{kind}.bin", b"x" * 40) for n, kind in enumerate(kinds)]
    raw = doc(p(run(NUMBER)) + p('<w:r><w:object><o:OLEObject r:id="rIdX2"/></w:object></w:r>'), *links)
    with zipfile.ZipFile(io.BytesIO(redacted(DOCX, raw))) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".bin")]
        assert "OLEObject" not in archive.read("word/document.xml").decode()


def test_a_number_over_two_paragraphs_has_one_label() -> None:
    """What a hit over two segments takes is gone from both, and only the first says so."""
    raw = doc(p(run("前" + NUMBER[:9])) + p(run(NUMBER[9:] + "后")))
    halves = (NUMBER[:9], NUMBER[9:])
    places = [(s, s.text.index(half)) for half in halves for s in seen(DOCX, raw).segments if half in s.text]
    both = [
        Cut(part=s.part, anchor=s.anchor, start=at, end=at + 9, label=label, type="x")
        for (s, at), label in zip(places, (LABEL, ""), strict=True)
    ]
    shown = [x.text for x in docx.Document(io.BytesIO(redacted(DOCX, raw, both))).paragraphs]
    assert shown[1:] == [f"前{LABEL}", "后"]


def test_a_value_that_is_set_apart_otherwise_goes_too() -> None:
    """The same number with blanks in it, which no cut names, is cut where it stands."""
    raw = doc(p(run(NUMBER)) + p(run(f"{NUMBER[:6]} {NUMBER[6:14]} {NUMBER[14:]}")))
    assert residue(redacted(DOCX, raw)) == []


@pytest.mark.parametrize("ending", OFFICE)
def test_nothing_is_left_of_who_wrote_it(ending: str) -> None:
    """Properties are empty, ids of sessions are gone, and every time in the package is the same."""
    media, made = OFFICE[ending]
    new = redacted(media, next(iter(made.values())))
    with zipfile.ZipFile(io.BytesIO(new)) as archive:
        assert re.search(rb"<cp:coreProperties[^>]*/>\s*$", archive.read("docProps/core.xml"))
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(("ending", "name"), [("docx", "word/document.xml"), ("xlsx", "xl/workbook.xml")])
def test_a_document_type_is_refused(ending: str, name: str) -> None:
    """A part with a document type is never written, cut or not."""
    media, made = OFFICE[ending]
    raw = next(iter(made.values()))
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        xml = archive.read(name).decode()
    root = re.sub(r"^<\?xml[^>]*>\s*", "", xml)
    with pytest.raises(Full):
        redacted(media, changed(raw, {name: f'<!DOCTYPE x [<!ENTITY a "b">]>{root}'}), ())


def test_a_cut_that_is_no_longer_there_writes_nothing() -> None:
    """A cut whose part, place or length is not what is read now is refused."""
    raw = WORD["body"]
    (cut,) = cuts(seen(DOCX, raw))
    for change in ({"part": ("word/other.xml",)}, {"anchor": "999v"}, {"end": 999}, {"part": ()}):
        with pytest.raises(NotRedactable):
            redacted(DOCX, raw, (evolve(cut, **change),))


def test_a_package_without_a_main_part_is_refused() -> None:
    """Where nothing says what the document is, nothing is written."""
    with pytest.raises(NotRedactable):
        redacted(DOCX, changed(WORD["body"], {"_rels/.rels": f'<Relationships xmlns="{RELS}"/>'}), ())


@pytest.mark.parametrize("ending", OFFICE)
def test_broken_files_never_give_a_copy_with_the_number(ending: str) -> None:
    """Parts with bytes changed at random are refused, or their copies hold nothing of what was read."""
    media, made = OFFICE[ending]
    dice = random.Random(7)
    refused = 0
    for name in dice.choices(list(made), k=60):
        raw = broken(made[name], dice)
        document = seen(media, raw)
        try:
            new = redacted(media, raw, cuts(document))
        except Full:
            refused += 1
            continue
        assert not [text for text in texts(media, new) if NUMBER in text], name
    assert refused < 60


def broken(raw: bytes, dice: random.Random) -> bytes:
    """Return a package with a few bytes of one of its parts changed, doubled or left out."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    data = members[dice.choice([name for name in members if name.endswith((".xml", ".rels"))])]
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data))
        size = dice.randint(1, 30)
        data[at : at + size] = dice.choice((b"", bytes(data[at : at + size]) * 2, b"<w:p>", b"&#49;", b'"'))
    out = io.BytesIO()
    zipsafe.write(out, ((name, bytes(data)) for name, data in members.items()))
    return out.getvalue()


# --- the second look


def sabotaged(name: str, new: bytes) -> bytes:
    """Return a copy with one thing in it that must not be there."""
    with zipfile.ZipFile(io.BytesIO(new)) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    document, types = members["word/document.xml"].decode(), members["[Content_Types].xml"].decode()
    if name == "behind":
        return new + b"x"
    if name == "before":
        return b"x" + new
    if name == "deletion":
        members["word/document.xml"] = document.replace("</w:p>", "<w:del/></w:p>", 1).encode()
    if name == "session":
        members["word/document.xml"] = document.replace("<w:p>", '<w:p w:rsidR="00AA00AA">', 1).encode()
    if name == "XML comment":
        members["word/document.xml"] = document.replace("</w:p>", "<!-- x --></w:p>", 1).encode()
    if name == "unlisted part":
        members["customXml/item1.xml"] = b"<a/>"
    if name == "unlisted type":
        members["[Content_Types].xml"] = types.replace(
            "wordprocessingml.settings", "wordprocessingml.comments"
        ).encode()
    if name == "loose end":
        del members["word/settings.xml"]
    out = io.BytesIO()
    zipsafe.write(out, members.items())
    return out.getvalue()


SABOTAGE = {
    "behind": "parts",
    "before": "parts",
    "deletion": "history",
    "session": "history",
    "XML comment": "parts",
    "unlisted part": "parts",
    "unlisted type": "parts",
    "loose end": "parts",
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_the_second_look_sees_what_must_not_be_there(name: str) -> None:
    """Each thing that may not be in a copy fails the check that is for it, and a copy without any passes."""
    raw = WORD["body"]
    new = redacted(DOCX, raw)
    assert {check.state for check in word.verify(Source(new), Source(raw), (), Room()).checks} == {"ok"}
    checks = word.verify(Source(sabotaged(name, new)), Source(raw), (), Room()).checks
    assert SABOTAGE[name] in {check.name for check in checks if check.state == "fail"}


def test_the_second_look_reads_every_string() -> None:
    """Text over runs, cells, attributes and addresses are read by parsers that the redactor does not use."""
    for ending, name in (("docx", "over three runs"), ("docx", "alt text"), ("xlsx", "shared string in runs")):
        with zipfile.ZipFile(io.BytesIO(OFFICE[ending][1][name])) as archive:
            out = io.BytesIO()
            zipsafe.write(out, ((member, archive.read(member)) for member in archive.namelist()))
        document = ooxml_proof.verify(Source(out.getvalue()), Room())
        assert any(NUMBER in segment.text for segment in document.segments), name


# --- other programs


def test_copies_open_in_python_pptx() -> None:
    """Slides, notes, tables and charts of a copy are there for a library that no part of the product uses."""
    pptx = pytest.importorskip("pptx")
    for name, raw in POINT.items():
        slides = pptx.Presentation(io.BytesIO(redacted(PPTX, raw))).slides
        assert any(KEPT in s.text_frame.text for slide in slides for s in slide.shapes if s.has_text_frame), name


def shown(files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """Return the text of the pages that LibreOffice makes of files."""
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    home = f"-env:UserInstallation=file://{folder}/home"
    command = ["soffice", home, "--headless", "--convert-to", "pdf", "--outdir", str(folder / "out"), *files]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=280)
    found = {}
    for name in files:
        page = (folder / "out" / name).with_suffix(".pdf")
        assert page.exists(), f"{name} does not open"
        found[name] = subprocess.run(["pdftotext", str(page), "-"], check=True, capture_output=True, text=True).stdout
    return found


needs_office = pytest.mark.skipif(
    not (shutil.which("soffice") and shutil.which("pdftotext")), reason="LibreOffice or Poppler is not installed"
)


def opened_by_office(places: Sequence[tuple[str, str]], folder: Path) -> None:
    """Assert that copies of these places open in LibreOffice and show what stays, and nothing of the number."""
    files = {}
    for number, (ending, name) in enumerate(places):
        media, made = OFFICE[ending]
        files[f"{number:03}.{ending}"] = redacted(media, made[name])
    for name, text in shown(files, folder).items():
        flat = "".join(text.split())
        assert KEPT in flat, places[int(name[:3])]
        assert NUMBER[6:] not in flat


@needs_office
def test_copies_open_in_libreoffice(tmp_path: Path) -> None:
    """Copies of the three kinds open and show what stays: charts, tables, diagrams and headers among it."""
    opened_by_office([*SOME, ("docx", "header"), ("docx", "diagram"), ("xlsx", "chart text cache")], tmp_path)


@pytest.mark.long
@needs_office
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ending", OFFICE)
def test_every_copy_opens_in_libreoffice(ending: str, tmp_path: Path) -> None:
    """The copies of all places open and show what stays."""
    opened_by_office([place for place in PLACES if place[0] == ending], tmp_path)
