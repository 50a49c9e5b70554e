"""Stamps on pages: upright, seen by every reader, on nothing else, and nothing else changed."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pikepdf
import pypdfium2
import pytest
from pdfminer.high_level import extract_text
from PIL import Image

from codes import codes
from dlp import alike, imprint, pipeline, told
from dlp.engrave import engrave, missing
from dlp.errors import ConfigError
from dlp.formats import Full, NotStampable, Source, pdf, pdf_stamp
from dlp.formats.pdf_peel import Peeler
from dlp.formats.room import Room, Sought, read
from dlp.limits import Limits
from dlp.model import Box, Corner, Document, Gap, GapKind, Item, Level, Plate, Regime, Say, Stamp, evolve
from dlp.sandbox import Made, Sandbox
from dlp.service.gate import Gate
from pdf_makers import by_hand, changed, drawn, encrypted_pdf, flate_bomb, simple, written
from sites import lay
from stamp_cases import CASES, many, page, photograph, saved

JOB = "01JDXYZ0123456789ABCDEFGHJ"
MARK = imprint.stamp(
    job=JOB,
    at="2026-11-28 13:30",
    unit="示例市政务服务中心文印室",
    copies=10,
    copy=3,
    level=Level.CONFIDENTIAL,
    regime=Regime.STATE,
    term="20年",
)
DPI = 150
Picture = Any


class Copy(NamedTuple):
    """A stamped copy: its bytes, and where its stamps are."""

    raw: bytes
    boxes: tuple[Box, ...]
    covered: tuple[int, ...]


def stamped(raw: bytes, mark: Stamp = MARK) -> Copy:
    """Stamp a document in this process."""
    out = io.BytesIO()
    boxes, covered = pdf.stamp(Source(raw), engrave(mark), out, Room())
    return Copy(out.getvalue(), boxes, covered)


def looked(raw: bytes, copy: Copy, mark: Stamp = MARK) -> tuple[Document, Document]:
    """Return what is read before, and what is read of the copy with its stamps taken off."""
    before = read("application/pdf", Source(raw), Room(sought=Sought()))
    return before, read("application/pdf", Source(copy.raw), Room(sought=Sought(engrave(mark), copy.boxes)))


def by_pdfium(raw: bytes, number: int) -> Picture:
    """Draw a page by pdfium."""
    with pypdfium2.PdfDocument(raw) as document:
        return np.array(document[number].render(scale=DPI / 72, grayscale=True).to_numpy()).squeeze()


def by_program(*words: str) -> Callable[[bytes, int], Picture]:
    """Return how a page is drawn by a program; {in}, {out} and {page} stand in its words."""

    def draw(raw: bytes, number: int) -> Picture:
        if shutil.which(words[0]) is None:
            pytest.skip(f"{words[0]} is not installed")
        folder = Path(os.environ["PYTEST_TMP"])
        source, target = folder / "in.pdf", folder / "out.pgm"
        source.write_bytes(raw)
        target.unlink(missing_ok=True)
        names = {"in": str(source), "out": str(target), "stem": str(target.with_suffix("")), "page": str(number + 1)}
        subprocess.run([word.format(**names) for word in words], check=True, capture_output=True, timeout=60)
        return np.array(Image.open(target).convert("L"))

    return draw


READERS: dict[str, Callable[[bytes, int], Picture]] = {
    "pdfium": by_pdfium,
    "poppler": by_program(
        "pdftoppm", "-r", str(DPI), "-gray", "-cropbox", "-f", "{page}", "-l", "{page}", "-singlefile", "{in}", "{stem}"
    ),
    "mupdf": by_program("mutool", "draw", "-q", "-r", str(DPI), "-c", "gray", "-o", "{out}", "{in}", "{page}"),
    "ghostscript": by_program(
        *("gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-sDEVICE=pgmraw", f"-r{DPI}", "-dUseCropBox"),
        *("-dTextAlphaBits=4", "-dGraphicsAlphaBits=4", "-dFirstPage={page}", "-dLastPage={page}"),
        *("-sOutputFile={out}", "{in}"),
    ),
}
"""Four programs that have nothing in common: what a printer sees comes from one of their kind."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give programs a folder."""
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path))


@cache
def drawn_plate(wide: int, high: int) -> Picture:
    """Return the stamp as it should be seen: dark on light."""
    plate = engrave(MARK)
    bits = np.frombuffer(zlib.decompress(plate.raw), dtype=np.uint8).reshape(plate.height, -1)
    ink = np.unpackbits(bits, axis=1)[:, : plate.width]
    seen = Image.fromarray(255 - ink * np.uint8(255)).resize((wide, high), Image.Resampling.BOX)
    return blurred(np.asarray(seen))


def blurred(picture: Picture) -> Picture:
    """Return a picture without its last sharpness: programs differ by half a pixel."""
    return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.2)


def likeness(picture: Picture, sides: tuple[float, float, float, float]) -> float:
    """Return how alike the stamp and a part of a picture are: the best correlation within two pixels around."""
    x0, y0, x1, y1 = sides
    wide, high = round(x1 - x0), round(y1 - y0)
    plate, picture = drawn_plate(wide, high), blurred(picture)
    best = -1.0
    for down in range(-2, 3):
        for across in range(-2, 3):
            top, left = round(y0) + down, round(x0) + across
            part = picture[max(0, top) : top + high, max(0, left) : left + wide]
            if part.shape == plate.shape and part.std() > 0:
                best = max(best, float(np.corrcoef(part.ravel(), plate.ravel())[0, 1]))
    return best


def size_of(raw: bytes, number: int) -> tuple[float, float]:
    """Return the size of a page as pdfium has it: the coordinates of boxes are those of pdfium."""
    with pypdfium2.PdfDocument(raw) as document:
        return document.get_page_size(number)


OWN_MIND = {
    ("crop beyond the sheet", "poppler"): "it shows what lies beyond the sheet",
    ("taken back too often", "poppler"): "it stops at a state that was never kept",
    ("pieces", "ghostscript"): "it reads each stream by itself",
}
"""Where a program shows another page than pdfium does. The copy is written so that it shows what was inspected."""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", CASES)
def test_a_stamp_is_upright_and_alone_on_every_page(name: str, reader: str) -> None:
    """Whatever a page does, the stamp stands upright where it is said to be, and no pixel beside it changes."""
    raw = CASES[name]()
    copy = stamped(raw)
    assert copy.covered == ()
    draw = READERS[reader]
    for number, box in enumerate(copy.boxes):
        after = draw(copy.raw, number)
        wide, high = size_of(raw, number)
        x, y = after.shape[1] / wide, after.shape[0] / high
        sides = (box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y)
        assert box.x0 > 10
        assert box.y0 > 10
        assert wide - box.x1 > 10
        assert high - box.y1 > 10
        assert likeness(after, sides) > 0.85
        if (name, reader) in OWN_MIND:
            continue
        outside = draw(raw, number) != after
        around = 4 * x  # the white below a stamp on a dark page
        outside[
            max(0, int(sides[1] - around)) : int(sides[3] + around) + 1,
            max(0, int(sides[0] - around)) : int(sides[2] + around) + 1,
        ] = False
        assert outside.sum() == 0


@pytest.mark.parametrize("name", CASES)
def test_the_second_look_sees_what_the_first_saw(name: str) -> None:
    """With its stamps taken off a copy reads and looks as the file before it did, to the last place and pixel."""
    raw = CASES[name]()
    before, after = looked(raw, stamped(raw))
    assert after == before
    assert not alike.changed(before, after)
    assert before.pages
    assert [check.name for check in before.checks] == ["look"]


def texts(raw: bytes, folder: Path) -> list[str]:
    """Return the text of a document as four programs read it."""
    path = folder / "text.pdf"
    path.write_bytes(raw)
    said = [extract_text(io.BytesIO(raw))]
    with pypdfium2.PdfDocument(raw) as document:
        said.append("".join(sheet.get_textpage().get_text_range() for sheet in document))
    programs = (["pdftotext", "-layout", str(path), "-"], ["mutool", "draw", "-q", "-F", "txt", str(path)])
    return said + [
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
        for words in programs
        if shutil.which(words[0])
    ]


@pytest.mark.parametrize(
    "name",
    ["upright", "rotate 90", "crop and rotate", "inherited", "shared", "notes", "locked", "kept and left", "foot"],
)
def test_every_reader_reads_the_same_text(name: str, tmp_path: Path) -> None:
    """pdfminer, pdfium, Poppler and MuPDF read the same text before and after: a stamp is a picture, not a text."""
    raw = CASES[name]()
    assert texts(stamped(raw).raw, tmp_path) == texts(raw, tmp_path)


@pytest.mark.parametrize("name", ["upright", "rotate 90", "rotate 180", "crop and rotate", "scan", "slide", "small"])
def test_the_code_is_read(name: str) -> None:
    """The QR code of a printed page tells job and copy, at the resolution of a photocopy."""
    copy = stamped(CASES[name]())
    picture = READERS["poppler"](copy.raw, 0)
    box, (wide, high) = copy.boxes[0], size_of(copy.raw, 0)
    x, y = picture.shape[1] / wide, picture.shape[0] / high
    part = picture[int(box.y0 * y) - 8 : int(box.y1 * y) + 8, int(box.x0 * x) - 8 : int(box.x1 * x) + 8]
    assert codes(part) == [f"DLPS1:{JOB}:3/10"]


def test_a_stamp_goes_where_nothing_is() -> None:
    """Its corner comes first; where something stands there it moves along the edge, then to the other edge."""
    high = 842
    corners = {corner: stamped(CASES["upright"](), evolve(MARK, corner=corner)).boxes[0] for corner in Corner}
    assert corners[Corner.BOTTOM_RIGHT].y1 > high - 20
    assert corners[Corner.BOTTOM_RIGHT].x1 > 575
    assert corners[Corner.BOTTOM_LEFT].x0 < 20
    assert corners[Corner.TOP_LEFT].y0 < 20
    assert corners[Corner.TOP_RIGHT].x1 > 575
    moved = stamped(CASES["foot"]()).boxes[0]
    assert moved.x1 < 330
    assert moved.y1 > high - 20
    full = page("".join(f"BT /F1 9 Tf 20 {y} Td ({'w' * 85}) Tj ET\n" for y in range(10, 160, 10)))
    assert stamped(full).boxes[0].y1 < 100
    # White letters on white paper are text: whoever reads the copy must find them.
    unseen = page("1 g " + "".join(f"BT /F1 9 Tf 20 {y} Td ({'w' * 85}) Tj ET\n" for y in range(10, 160, 10)))
    assert stamped(unseen).boxes[0].y1 < 100
    trimmed = stamped(CASES["trim"]()).boxes[0]
    assert trimmed.x1 < 555 - 13
    assert trimmed.y1 < 802 - 13
    narrow = stamped(drawn(written("凭条", x=30, y=150), size=(230.0, 300.0))).boxes[0]
    assert 0.7 * engrave(MARK).wide < narrow.x1 - narrow.x0 < engrave(MARK).wide


def test_what_is_full_is_covered_only_on_demand() -> None:
    """A page without a free place is not stamped; a stamp that may cover goes on white, and the page is named."""
    raw = photograph()
    with pytest.raises(NotStampable, match="no free place"):
        stamped(raw)
    mark = evolve(MARK, cover=True)
    copy = stamped(raw, mark)
    assert copy.covered == (1,)
    assert not alike.changed(*looked(raw, copy, mark))


@pytest.mark.parametrize(
    ("content", "before", "behind"),
    [
        (b"0 0 m 9 9 l S", b"q\n", b"\nn\nQ"),
        (b"q q BT (a) Tj", b"q\n", b"\nET\nn\nQ\nQ\nQ"),
        (b"Q Q q", b"q\nq\nq\n", b"\nn\nQ\nQ"),
        (b"/A BMC /B BDC EMC BX 0 0 9 9 re W", b"q\n", b"\nn\nEMC\nEX\nQ"),
        (b"(q q) Tj % q\nBI /W 1 /H 1 /BPC 8 /CS /G ID q EI EMC EX", b"q\n", b"\nn\nQ"),
    ],
)
def test_what_a_content_leaves_open_is_closed(content: bytes, before: bytes, behind: bytes) -> None:
    """Text, path, marks and states are closed in this order; what only looks like an operator is none."""
    with pikepdf.new() as document:
        assert pdf_stamp._states([document.make_stream(content)]) == (before, behind)


def test_nothing_of_the_file_is_lost_but_its_lock() -> None:
    """Notes, fields and links stay; the copy needs no password and forbids nothing."""
    for name in ("notes", "signed", "locked"):
        raw = CASES[name]()
        with pikepdf.open(io.BytesIO(stamped(raw).raw)) as copy, pikepdf.open(io.BytesIO(raw)) as before:
            assert not copy.is_encrypted
            assert len(copy.pages[0].obj.get("/Annots", ())) == len(before.pages[0].obj.get("/Annots", ()))
            assert ("/AcroForm" in copy.Root) == ("/AcroForm" in before.Root)


def white_note(pdf_: pikepdf.Pdf) -> None:
    """Put a white note over the lower margin: it cannot be seen, and it hides what is put below it."""
    name = pikepdf.Name
    look = pdf_.make_stream(b"1 g 0 0 595 90 re f", Type=name.XObject, Subtype=name.Form, BBox=[0, 0, 595, 90])
    note = pikepdf.Dictionary(
        Type=name.Annot, Subtype=name.Stamp, Rect=[0, 0, 595, 90], F=4, AP=pikepdf.Dictionary(N=look)
    )
    pdf_.pages[0].obj["/Annots"] = pikepdf.Array([pdf_.make_indirect(note)])


def test_a_stamp_that_is_hidden_is_noticed() -> None:
    """A note on top of the stamp leaves paper without a stamp: the second look does not let it go."""
    raw = changed(CASES["upright"](), white_note)
    before, after = looked(raw, stamped(raw))
    assert alike.changed(before, after)
    assert "the stamp is not to be seen on a page" in {gap.detail for gap in after.gaps}


def more_text(pdf_: pikepdf.Pdf) -> None:
    """Write one more line on a page."""
    contents = pdf_.pages[0].obj.Contents
    contents.append(pdf_.make_stream(b"BT /F1 12 Tf 100 500 Td (More) Tj ET"))


def no_stamp(pdf_: pikepdf.Pdf) -> None:
    """Take the stamp off a page."""
    del pdf_.pages[0].obj.Contents[-1]


def moved_stamp(pdf_: pikepdf.Pdf) -> None:
    """Move a stamp by a centimetre."""
    contents = pdf_.pages[0].obj.Contents
    contents[-1] = pdf_.make_stream(contents[-1].read_bytes().replace(b" cm ", b" cm 1 0 0 1 0 30 cm "))


def more_lines(pdf_: pikepdf.Pdf) -> None:
    """Draw a line across a page."""
    contents = pdf_.pages[0].obj.Contents
    contents.append(pdf_.make_stream(b"5 w 100 300 m 300 500 l S"))


def two_stamps(pdf_: pikepdf.Pdf) -> None:
    """Stamp a page twice in one place."""
    contents = pdf_.pages[0].obj.Contents
    contents.append(pdf_.make_stream(contents[-1].read_bytes().split(b"Q\n")[-2] + b"Q\n"))


def another_stamp(pdf_: pikepdf.Pdf) -> None:
    """Put another picture where the stamp is."""
    resources = pdf_.pages[0].resources.XObject
    form = next(resources[name] for name in resources.keys() if name.startswith("/WYS"))  # noqa: SIM118
    picture = form.Resources.XObject.M
    size = len(picture.read_bytes())
    picture.write(random.Random(3).randbytes(size))


def one_page_less(pdf_: pikepdf.Pdf) -> None:
    """Leave a page out."""
    del pdf_.pages[-1]


def a_title(pdf_: pikepdf.Pdf) -> None:
    """Say something beside the pages."""
    pdf_.docinfo["/Title"] = "not there before"


@pytest.mark.parametrize(
    "change",
    [more_text, no_stamp, moved_stamp, another_stamp, more_lines, two_stamps, one_page_less, a_title],
    ids=lambda change: change.__name__,
)
def test_a_copy_that_is_more_than_stamped_is_noticed(change: Callable[[pikepdf.Pdf], None]) -> None:
    """Whatever a stamping did beside its work, in text, in lines, in pages, beside the pages: it is not let go."""
    raw = CASES["shared"]()
    copy = stamped(raw)
    assert not alike.changed(*looked(raw, copy))
    bad = copy._replace(raw=changed(copy.raw, change))
    assert alike.changed(*looked(raw, bad))


def test_pages_that_were_not_looked_at_are_noticed() -> None:
    """A document that no look saw whole counts as changed, also where nothing else differs."""
    raw = CASES["upright"]()
    before, after = looked(raw, stamped(raw))
    for checks in ((), tuple(evolve(check, state="fail") for check in after.checks), after.checks * 2):
        assert alike.changed(evolve(before, checks=checks), evolve(after, checks=checks))
    peeler = Peeler(Sought(), lambda *_: None)
    assert peeler.check(0).state == "fail"
    assert peeler.check(None).state == "fail"
    assert peeler.check(1).state == "fail"


def looping() -> bytes:
    """Return a page tree that bites its tail."""
    made = simple(b"")
    made[1] = b"<< /Type /Pages /Kids [3 0 R 2 0 R] /Count 2 >>"
    return by_hand(made)


def promising() -> bytes:
    """Return a document that promises a thousand pages and has one."""
    made = simple(b"")
    made[1] = b"<< /Type /Pages /Kids [3 0 R] /Count 1000 >>"
    return by_hand(made)


def pageless() -> bytes:
    """Return a document without a page."""
    made = simple(b"")
    made[1] = b"<< /Type /Pages /Kids [] /Count 0 >>"
    return by_hand(made)


def kidless() -> bytes:
    """Return a page tree of things that are no pages."""
    made = simple(b"")
    made[1] = b"<< /Type /Pages /Kids [7 0 R null (x)] /Count 3 >>"
    return by_hand(made)


def too_open() -> bytes:
    """Return a page that keeps states without an end."""
    return page("q " * 20_000)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "password": encrypted_pdf,
    "loop": looping,
    "promise": promising,
    "no page": pageless,
    "cut off": lambda: CASES["scan"]()[:4000],
    "states": too_open,
    "bomb": flate_bomb,
    "no kid": kidless,
    "tiny": lambda: drawn(written("小"), size=(60.0, 40.0)),
    "thread": lambda: drawn(lambda _: None, size=(200_000.0, 100.0)),
}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Give a full sandbox."""
    with Sandbox(limits=Limits()) as made:
        yield made


def memfd(raw: bytes) -> int:
    """Return a descriptor of a file that holds `raw`."""
    fd = os.memfd_create("test")
    os.write(fd, raw)
    return fd


def bytes_of(fd: int) -> bytes:
    """Return the bytes of a descriptor, and close it."""
    raw = os.pread(fd, os.fstat(fd).st_size, 0)
    os.close(fd)
    return raw


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_give_a_gap(name: str, box: Sandbox) -> None:
    """What cannot be stamped on each page comes back as a gap, whatever is wrong with it."""
    fd = memfd(HOSTILE[name]())
    try:
        made = box.stamp(fd, name="a.pdf", media="application/pdf", stamp=MARK)
    finally:
        os.close(fd)
    assert isinstance(made, Gap)
    assert made.kind is (GapKind.TOO_BIG if name == "bomb" else GapKind.UNSUPPORTED)


def test_only_pdf_is_stamped(box: Sandbox) -> None:
    """Other types give a gap, also where they are called PDF."""
    for media, raw in (("text/plain", b"hello"), ("application/pdf", b"hello"), ("image/png", b"\x89PNG\r\n\x1a\n")):
        fd = memfd(raw)
        made = box.stamp(fd, name="a", media=media, stamp=MARK)
        os.close(fd)
        assert isinstance(made, Gap)


def test_five_thousand_pages(box: Sandbox) -> None:
    """The largest document that is read is stamped too, within the limits of a child, and grows by a line a page."""
    raw = many(5_000)
    fd = memfd(raw)
    made = box.stamp(fd, name="a.pdf", media="application/pdf", stamp=MARK)
    os.close(fd)
    assert isinstance(made, Made)
    copy = bytes_of(made.body)
    assert len(made.untrusted_boxes) == 5_000
    assert len(copy) < len(saved(raw)) + 5_000 * 200 + 40_000
    with pypdfium2.PdfDocument(copy) as document:
        assert len(document) == 5_000


def test_the_sandbox_takes_a_second_look(box: Sandbox) -> None:
    """The look of a real child is the look of this process, with and without stamps."""
    raw = CASES["rotate 90"]()
    before = memfd(raw)
    made = box.stamp(before, name="a.pdf", media="application/pdf", stamp=MARK)
    assert isinstance(made, Made)
    first = box.look(before, name="a.pdf", media="application/pdf")
    second = box.look(made.body, name="a.pdf", media="application/pdf", plate=engrave(MARK), boxes=made.untrusted_boxes)
    assert first == second
    assert first.checks[0].name == "look"
    unlooked = box.look(made.body, name="a.pdf", media="application/pdf")
    assert alike.changed(first, unlooked)
    os.close(before)
    os.close(made.body)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pipeline.Kit]:
    """Give the parts of one real gate."""
    with Gate.from_config(lay(tmp_path_factory.mktemp("site")).config) as gate:
        yield gate.kit


def item(media: str = "application/pdf") -> Item:
    """Return an item of this type."""
    return Item(id=JOB, source="test", path="a.pdf", name="a.pdf", media=media)


@pytest.mark.parametrize("name", ["upright", "scan", "foot", "slide", "nothing on it"])
def test_the_pipeline_gives_a_sealed_copy(name: str, kit: pipeline.Kit) -> None:
    """A cleared file comes back stamped, in a file that nobody can change, and with the findings that it had."""
    raw = CASES[name]()
    body = memfd(raw)
    made = pipeline.stamp(item(), body, kit, MARK)
    assert isinstance(made, pipeline.Stamped)
    assert (made.pages, made.covered) == (1, ())
    with pytest.raises(PermissionError):
        os.write(made.body, b"x")
    os.close(body)
    os.close(made.body)


def test_the_level_in_a_stamp_is_no_finding(kit: pipeline.Kit) -> None:
    """A page of text has the findings that it had: the 机密 of the stamp is not read as a mark of the document."""
    raw = drawn(written("通知\n联系人张某，身份证号11010119900307301X。"))
    body = memfd(raw)
    made = pipeline.stamp(item(), body, kit, MARK)
    assert isinstance(made, pipeline.Stamped)
    seen = [pipeline.inspect(item(), fd, kit) for fd in (body, made.body)]
    found = [{(one.rule, one.digest, one.page) for one in inspection.findings} for inspection in seen]
    assert found[0] == found[1]
    assert found[0]
    assert seen[0].verdict.action is seen[1].verdict.action
    os.close(body)
    os.close(made.body)


def test_an_older_revision_goes_and_does_no_harm(kit: pipeline.Kit) -> None:
    """A copy has no history: less is found in it, and it is let go."""
    raw = CASES["upright"]()
    with io.BytesIO() as out:
        with pikepdf.open(io.BytesIO(raw)) as document:
            document.docinfo["/Title"] = "第二版"
            document.save(out)
        second = out.getvalue()
    before, after = looked(second, stamped(second))
    assert not alike.changed(before, after)
    told_more = evolve(before, segments=(*before.segments, before.segments[-1]))
    assert not alike.changed(told_more, after)


@pytest.mark.parametrize(
    ("raw", "media", "why"),
    [
        (photograph, "application/pdf", "页边没有空白处"),
        (lambda: b"hello", "text/plain", "只有 PDF 能加盖"),
        (lambda: changed(CASES["upright"](), white_note), "application/pdf", "复检与原件不一致"),
        (encrypted_pdf, "application/pdf", "需要口令"),
    ],
    ids=["full", "no pdf", "hidden", "locked"],
)
def test_what_cannot_be_stamped_is_not_released(
    raw: Callable[[], bytes], media: str, why: str, kit: pipeline.Kit
) -> None:
    """There is a reason in place of a copy, and no descriptor is left open."""
    body = memfd(raw())
    before = len(os.listdir("/proc/self/fd"))
    made = pipeline.stamp(item(media), body, kit, MARK)
    assert isinstance(made, Say)
    assert why in made.zh
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(body)


def test_a_stamp_that_cannot_be_drawn_is_told(kit: pipeline.Kit) -> None:
    """A character that the font lacks is named, and nothing is released."""
    mark = evolve(MARK, lines=("文印室𠮷",))
    assert missing("文印室𠮷") == "𠮷"
    with pytest.raises(ConfigError):
        engrave(mark)
    body = memfd(CASES["upright"]())
    made = pipeline.stamp(item(), body, kit, mark)
    os.close(body)
    assert isinstance(made, Say)
    assert "𠮷" in made.zh


@pytest.mark.parametrize(
    "told_boxes",
    [
        (),
        (Box(1, 0, 0, 221.0, 31.2),) * 2,
        (Box(2, 0, 0, 221.0, 31.2),),
        (Box(1, 0, 0, 22.1, 3.12),),
        (Box(1, 0, 0, 500.0, 31.2),),
        (Box(1, 0, 0, float("nan"), 31.2),),
    ],
)
def test_what_a_child_says_of_places_is_checked(told_boxes: tuple[Box, ...]) -> None:
    """A stamping that tells of other pages, sizes or shapes than it was asked for is not believed."""
    plate = engrave(MARK)
    good = (Box(1, 100.0, 800.0, 100.0 + plate.wide, 800.0 + plate.high),)
    assert pipeline._fit(Made(0, untrusted_boxes=good), plate, 1)
    assert not pipeline._fit(Made(0, untrusted_boxes=good), plate, 2)
    assert not pipeline._fit(Made(0, untrusted_boxes=good, untrusted_covered=(1,)), plate, 1)
    assert pipeline._fit(Made(0, untrusted_boxes=good, untrusted_covered=(1,)), evolve(plate, cover=True), 1)
    assert not pipeline._fit(Made(0, untrusted_boxes=told_boxes), plate, 1)


def lines(**changes: Any) -> tuple[str, ...]:
    """Return the lines of a stamp."""
    facts: dict[str, Any] = {"job": JOB, "at": "2026-11-28 13:30", "unit": "某局文印室", "copies": 2}
    return imprint.stamp(**{**facts, **changes}).lines


def test_a_stamp_quotes_the_level_and_gives_none() -> None:
    """Only a state secret has its mark quoted, with the star; a level of the house is called one."""
    state = lines(level=Level.SECRET, regime=Regime.STATE, term="10年", copy=1)
    assert state == (
        "某局文印室　复制件　视同原件管理",
        "原件密级：秘密★10年　复制份号 000001　共 2 份",
        f"任务 {JOB}　2026-11-28 13:30",
    )
    assert "原件密级：绝密★启用前" in lines(level=Level.TOP_SECRET, regime=Regime.EXAM, term="启用前")[1]
    assert lines(level=Level.CONFIDENTIAL, regime=Regime.STATE)[1] == "原件密级：机密　共 2 份"
    house = lines(level=Level.SECRET, regime=Regime.COMMERCIAL, term="5年")
    assert house[:2] == ("某局文印室　送检放行", "本单位分级：秘密（商业秘密）　共 2 份")
    assert lines(level=Level.SENSITIVE, regime=Regime.WORK)[1] == "本单位分级：工作秘密　共 2 份"
    assert lines(level=Level.SENSITIVE)[1] == "本单位分级：敏感信息　共 2 份"
    assert lines(level=Level.ORDINARY)[1] == "共 2 份"
    assert "★" not in "".join(lines() + house)


def test_a_long_name_is_cut_into_lines() -> None:
    """No line is longer than its place, whatever a unit is called; what is not printable is left out."""
    unit = "新疆维吾尔自治区伊犁哈萨克自治州人力资源和社会保障局政务服务中心文印室第一窗口"
    made = lines(unit=f"{unit}\n\u202e\x00")
    assert "".join(made).startswith(f"{unit}　送检放行")
    assert max(map(imprint._width, made)) <= imprint.LINE_CHARS
    assert "".join(made).replace("\u3000", "").isprintable()


def test_a_plate_is_the_same_every_time() -> None:
    """A stamp is drawn from its words alone, at the resolution of a printer."""
    plate = engrave(MARK)
    assert plate == engrave.__wrapped__(MARK)
    assert plate.width * 72 / plate.wide == pytest.approx(600)
    assert len(zlib.decompress(plate.raw)) == plate.height * ((plate.width + 7) // 8)
    assert plate.wide < 240
    assert plate.high < 36


def test_told_words_cover_what_a_sandbox_says() -> None:
    """A gap of the sandbox itself is told too, as it is."""
    say = told.unstamped(Gap(kind=GapKind.TIMEOUT, detail="longer than limits.wall_seconds"))
    assert say.zh == "无法加盖印记，未放行：longer than limits.wall_seconds"


def test_a_full_budget_is_a_gap() -> None:
    """More pages than the limit are not stamped in part."""
    with pytest.raises(Full) as full:
        pdf.stamp(Source(many(11)), engrave(MARK), io.BytesIO(), Room(Limits(pages=10)))
    assert full.value.kind is GapKind.TOO_MANY


def test_a_plate_is_a_value() -> None:
    """A plate crosses to the child as it is."""
    assert isinstance(engrave(MARK), Plate)
