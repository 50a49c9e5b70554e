"""OCR with the real engine in its real sandbox: scans in every state are read, and what was not is a gap."""

from __future__ import annotations

import io
import os
import signal
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

import scans
from dlp import look, ocr
from dlp.limits import Limits
from dlp.model import Coverage, Document, GapKind, Picture, Segment, Strip, Zone
from dlp.ocr import Ocr
from dlp.sandbox import Sandbox
from dlp.wire import WireError
from format_makers import pwg_of
from scans import needs_font

pytestmark = needs_font


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Give one sandbox with one OCR process for all tests of this module."""
    with Sandbox(limits=Limits()) as made:
        yield made


def read(sandbox: Sandbox, raw: bytes, name: str = "a") -> Document:
    """Return what the sandbox and its OCR process read of a file."""
    fd = os.memfd_create("scan")
    try:
        os.write(fd, raw)
        return sandbox.extract(fd, name=name, size=len(raw))
    finally:
        os.close(fd)


def said(document: Document) -> str:
    """Return all text that was read by OCR, without blanks."""
    return "".join("".join(s.text.split()) for s in document.segments if s.zone is Zone.OCR)


def recall(truth: str, found: str) -> float:
    """Return the share of the characters of `truth` that were found, each as often as it stands there."""
    known, seen = Counter("".join(truth.split())), Counter(found)
    return sum((known & seen).values()) / sum(known.values())


@pytest.mark.parametrize(
    "options",
    [
        {"dpi": 150, "seal": True, "skew": 1.5, "blur": 0.5, "noise": 25},
        {"dpi": 200, "skew": -2.0, "mark": "机密★10年"},
        {"turn": 90, "mark": "绝密★长期"},
        {"turn": 180},
        {"turn": 270, "mark": "机密★启用前"},
        {"vertical": True},
    ],
    ids=str,
)
def test_scans_are_read(sandbox: Sandbox, options: dict[str, object]) -> None:
    """150 to 200 dpi, skewed, sealed, on every side, vertical: the words, the mark with its star, the number."""
    scan = scans.jpeg(scans.page(**options))
    document = read(sandbox, scan.encoded("JPEG", quality=80))
    assert document.gaps == ()
    assert [(c.how, c.quality > 0.9) for c in document.coverage] == [("ocr", True)]
    found = said(document)
    assert scan.mark in found
    if not options.get("vertical"):
        assert scan.number in found
        assert recall(scan.text, found) >= 0.96


def test_lines_lie_on_the_page_in_reading_order(sandbox: Sandbox) -> None:
    """Every character has its place in points; lines that go on are soft; the mark is at the top."""
    scan = scans.page(dpi=200)
    segments = [s for s in read(sandbox, scan.encoded()).segments if s.zone is Zone.OCR]
    mark = segments[0]
    assert mark.text == scan.mark
    assert mark.strip is not None
    assert 70 < mark.strip.x0 < 90
    assert 95 < mark.strip.y0 < mark.strip.y1 < 130
    assert len(mark.strip.edges) == 8 * len(mark.text)
    star = mark.strip.box(2, 3)
    assert mark.strip.x0 < star.x0 < star.x1 < mark.strip.x1
    body = [s for s in segments if s.strip is not None and 330 < s.strip.y0 < 560]
    assert sum(s.soft for s in body) >= len(body) - 2


def test_a_turned_page_has_its_letters_where_they_are(sandbox: Sandbox) -> None:
    """On a page that stands on its head the first letter of a line is on the right."""
    scan = scans.page(turn=180)
    segments = [s for s in read(sandbox, scan.encoded()).segments if s.zone is Zone.OCR]
    mark = next(s for s in segments if s.text == scan.mark)
    assert mark is segments[0]
    assert mark.strip is not None
    assert mark.strip.box(0, 1).x0 > mark.strip.box(4, 5).x0


def test_a_scanned_pdf_is_read_page_by_page(sandbox: Sandbox) -> None:
    """Each page of a PDF of pictures is read on its own page, and said so."""
    pages = [scans.page(dpi=150, mark=mark).image for mark in ("秘密★5年", "机密★10年")]
    out = io.BytesIO()
    pages[0].save(out, "PDF", resolution=150, save_all=True, append_images=pages[1:])
    document = read(sandbox, out.getvalue())
    assert [(c.page, c.how) for c in document.coverage] == [(1, "ocr"), (2, "ocr")]
    marks = {s.text: s.strip.page for s in document.segments if s.strip is not None and "★" in s.text}
    assert marks == {"秘密★5年": 1, "机密★10年": 2}
    assert document.pictures == ()


def test_print_rasters_are_read(sandbox: Sandbox) -> None:
    """A page of a print stream is read like a scan."""
    scan = scans.page(dpi=150)
    assert scan.mark in said(read(sandbox, pwg_of(scan.image, dpi=150)))


def test_small_print_and_white_on_black(sandbox: Sandbox) -> None:
    """6 point letters at 300 dpi, inverted pages."""
    assert scans.FONT is not None
    for colours in ((255, 0), (0, 255)):
        image = Image.new("L", (1200, 400), colours[0])
        font = ImageFont.truetype(str(scans.FONT), 25, index=2)
        ImageDraw.Draw(image).text((40, 100), "身份证号11010119900307301X请核对", font=font, fill=colours[1])
        out = io.BytesIO()
        image.save(out, "PNG")
        assert "11010119900307301X" in said(read(sandbox, out.getvalue()))


def test_large_pages_are_read_in_pieces(sandbox: Sandbox) -> None:
    """A poster whose letters are small for its size: every line once, those on the seams too."""
    assert scans.FONT is not None
    image = Image.new("L", (6400, 3000), 255)
    font = ImageFont.truetype(str(scans.FONT), 60, index=2)
    lines = [f"第{row}行内部资料编号{1000 + row}" for row in range(12)]
    for row, line in enumerate(lines):
        ImageDraw.Draw(image).text((100 + 480 * row, 100 + 230 * row), line, font=font, fill=0)
    out = io.BytesIO()
    image.save(out, "PNG")
    found = Counter(s.text for s in read(sandbox, out.getvalue()).segments if s.zone is Zone.OCR)
    whole = "".join(found)
    assert all(str(1000 + row) in whole for row in range(12))
    assert sum(text.count("内部资料") * n for text, n in found.items()) == 12


def test_what_a_page_says_itself_is_not_said_twice(sandbox: Sandbox) -> None:
    """A scan with a text layer under it: the layer stands, and OCR adds only what it lacks."""
    from reportlab.lib.utils import ImageReader

    from pdf_makers import HAN, drawn

    scan = scans.page(dpi=150)

    def sheet(page) -> None:
        page.drawImage(ImageReader(scan.image), 0, 0, 595, 842)
        text = page.beginText(79, 842 - 113)
        text.setFont(HAN, 16)
        text.setTextRenderMode(3)
        text.textLine(scan.mark)
        page.drawText(text)

    document = read(sandbox, drawn(sheet))
    assert sum(s.text == scan.mark for s in document.segments) == 1
    assert any("某某市人民政府文件" in s.text for s in document.segments if s.zone is Zone.OCR)
    assert document.gaps == ()


def test_a_text_layer_that_lies_is_told(sandbox: Sandbox) -> None:
    """The page shows one thing and says another: what it shows is read, and the page is not trusted."""
    from reportlab.lib.utils import ImageReader

    from pdf_makers import HAN, drawn

    scan = scans.page(dpi=150)

    def sheet(page) -> None:
        page.drawImage(ImageReader(scan.image), 0, 0, 595, 842)
        text = page.beginText(79, 842 - 345)
        text.setFont(HAN, 16)
        text.setTextRenderMode(3)
        for _ in range(8):
            text.textLine("今天天气很好我们去公园看花喝茶听戏放风筝捉蜻蜓")
            text.moveCursor(0, 9)
        page.drawText(text)

    document = read(sandbox, drawn(sheet))
    assert scan.mark in said(document)
    assert (GapKind.UNTRUSTED_TEXT, 1) in {(g.kind, g.page) for g in document.gaps}


def test_a_font_map_is_held_against_what_it_shows(sandbox: Sandbox) -> None:
    """An honest font costs a look and nothing more; where a map lies, every page is read as a scan."""
    from pdf_makers import embedded

    honest = read(sandbox, embedded("plain words of a letter"))
    assert honest.gaps == ()
    assert honest.pictures == ()
    assert [c.how for c in honest.coverage] == ["text", "text"]
    lying = read(sandbox, embedded("plain words of a letter", lie=True))
    assert said(lying) == 2 * "plainwordsofaletter"
    assert [c.how for c in lying.coverage] == ["ocr", "ocr"]
    assert lying.gaps == ()


def test_a_true_line_is_looked_at_once(engine: Ocr, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same line of the same font in the next file costs nothing; a lie is never believed."""
    seen: list[Picture] = []
    honest = ocr._Process.read

    def counted(self: ocr._Process, one: Picture, seconds: float) -> look.Said:
        seen.append(one)
        return honest(self, one, seconds)

    monkeypatch.setattr(ocr._Process, "read", counted)
    image = Image.new("L", (400, 60), 255)
    assert scans.FONT is not None
    ImageDraw.Draw(image).text((10, 5), "关于会议的通知", font=ImageFont.truetype(str(scans.FONT), 40, index=2), fill=0)
    for says, looks in (("关于会议的通知", 1), ("今天天气很好啊", 2)):
        seen.clear()
        one = Document(media="application/pdf", pictures=(picture(image, form="line", says=says),))
        for _ in range(2):
            document = engine.read(one)
        assert len(seen) == looks
        assert bool(document.gaps) == (looks == 2)


# --- what goes wrong


def picture(image: Image.Image, **more: object) -> Picture:
    """Return an image as the sandbox hands it over."""
    grey = image.convert("L")
    return Picture(width=grey.width, height=grey.height, raw=zlib.compress(grey.tobytes()), page=1, scale=0.48, **more)


@pytest.fixture(scope="module")
def engine() -> Iterator[Ocr]:
    """Give an OCR side of its own, without a change of user, to all tests: loading the models takes seconds."""
    made = Ocr(Limits())
    yield made
    made.close()


def blank(**more: object) -> Document:
    """Return a document of one page that is still to be read."""
    pictures = (picture(Image.effect_noise((60, 60), 90)),)
    return Document(media="image/png", coverage=(Coverage(page=1, how="ocr"),), pictures=pictures, **more)


def test_without_an_engine_a_page_is_unread() -> None:
    """Where no engine can be loaded every picture is a gap, and its page unread."""
    bare = Ocr(Limits(), engines=("no_such_engine",))
    document = bare.read(blank())
    assert [(g.kind, g.page) for g in document.gaps] == [(GapKind.NO_OCR, 1)]
    assert [c.how for c in document.coverage] == ["unread"]
    assert document.pictures == ()
    bare.close()


def test_the_second_engine_stands_in() -> None:
    """Onnxruntime reads the same mark."""
    second = Ocr(Limits(), engines=("no_such_engine", "onnxruntime"))
    scan = scans.page(dpi=150)
    document = second.read(Document(media="image/png", pictures=(picture(scan.image),)))
    second.close()
    assert scan.mark in "".join(s.text for s in document.segments)


def test_a_killed_engine_costs_one_picture(engine: Ocr) -> None:
    """SIGKILL while it reads: that page is a gap, the next one is read by a new process."""
    scan = scans.page(dpi=150)
    engine.read(blank())
    assert engine._process is not None
    pid = engine._process.pid
    os.kill(pid, signal.SIGKILL)
    document = engine.read(Document(media="image/png", pictures=(picture(scan.image),)))
    assert [g.kind for g in document.gaps] == [GapKind.CRASHED]
    document = engine.read(Document(media="image/png", pictures=(picture(scan.image),)))
    assert document.gaps == ()
    assert engine._process is not None
    assert engine._process.pid != pid


def test_a_stopped_engine_ends_at_the_limit() -> None:
    """A process that answers no more is ended at the limit of a page; the budget of an item holds over pages."""
    slow = Ocr(Limits(ocr_page_seconds=1.0, ocr_seconds=2.0))
    try:
        slow.read(blank())
        assert slow._process is not None
        os.kill(slow._process.pid, signal.SIGSTOP)
        document = slow.read(blank())
        assert [g.kind for g in document.gaps] == [GapKind.TIMEOUT]
        assert slow._process is None
    finally:
        slow.close()


def test_pixels_that_lie_about_their_number_are_a_gap(engine: Ocr) -> None:
    """More or fewer pixels than stated, or none at all: the process says so and goes on."""
    for raw in (zlib.compress(bytes(99)), zlib.compress(bytes(1_000_000)), b"nonsense"):
        document = engine.read(Document(media="image/png", pictures=(Picture(width=30, height=30, raw=raw, page=1),)))
        assert [g.kind for g in document.gaps] == [GapKind.CRASHED]
    assert engine.read(blank()).gaps == ()


def test_the_same_picture_is_read_once(engine: Ocr, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logo on every page costs one reading, and every page has it."""
    seen: list[Picture] = []
    honest = ocr._Process.read

    def counted(self: ocr._Process, one: Picture, seconds: float) -> look.Said:
        seen.append(one)
        return honest(self, one, seconds)

    monkeypatch.setattr(ocr._Process, "read", counted)
    scan = scans.page(dpi=100)
    pictures = tuple(Picture(width=p.width, height=p.height, raw=p.raw, page=n, scale=0.7) for n, p in
                     enumerate([picture(scan.image)] * 3, 1))  # fmt: skip
    document = engine.read(Document(media="application/pdf", pictures=pictures))
    assert len(seen) == 1
    assert {s.strip.page for s in document.segments if s.strip} == {1, 2, 3}


def test_items_take_turns(engine: Ocr) -> None:
    """Turns are given in the order in which they were asked for, a picture at a time."""
    turns = ocr._Turns()
    order: list[str] = []
    inside = threading.Event()
    waiting = [threading.Event() for _ in range(3)]

    def take(name: str, number: int) -> None:
        waiting[number].set()
        with turns.turn():
            order.append(name)

    with turns.turn():
        threads = []
        for number, name in enumerate("abc"):
            thread = threading.Thread(target=take, args=(name, number))
            thread.start()
            waiting[number].wait()
            while len(turns._waiting) <= number:
                inside.wait(0.001)
            threads.append(thread)
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c"]


@pytest.mark.parametrize(
    "line",
    [
        look.Line(text="ab", score=1.0, boxes=bytes(16)),
        look.Line(text="a", score=float("nan"), boxes=bytes(16)),
        look.Line(text="a", score=1.0, boxes=b"\0\0\xc0\x7f" * 4),
        look.Line(text="", score=1.0, boxes=b""),
    ],
)
def test_answers_that_cannot_be_are_refused(line: look.Line) -> None:
    """Boxes that do not fit the text, numbers that are none: nothing of such an answer is taken."""
    import msgspec

    with pytest.raises(WireError):
        look.read_said(msgspec.msgpack.encode(look.Said(lines=(line,))))


def test_doubt_is_told(engine: Ocr) -> None:
    """A page read with doubt is a gap with its quality; a few doubtful characters in a photograph are none."""
    boxes = bytes(16 * 20)
    doubtful = look.Said(lines=(look.Line(text="模" * 20, score=0.4, boxes=boxes),))
    few = look.Said(lines=(look.Line(text="模" * 2, score=0.4, boxes=bytes(32)),))
    for answer, kinds in ((doubtful, [GapKind.NO_OCR]), (few, [])):
        page = ocr._Pages(blank())
        page.add(blank().pictures[0], answer, Limits())
        document = page.document()
        assert [g.kind for g in document.gaps] == kinds
        assert "模" in "".join(s.text for s in document.segments)


def test_text_below_a_line_is_compared_by_place() -> None:
    """A line is dropped only when the text at its very place holds its characters."""
    strip = Strip(page=1, x0=0, y0=0, x1=100, y1=20, edges=bytes(8 * 4))
    line = look.Line(text="机密文件", score=1.0, boxes=b"".join(
        __import__("struct").pack("<4f", 25 * n, 0, 25 * n + 25, 20) for n in range(4)))  # fmt: skip
    segment = ocr._segment(line, Picture(width=100, height=100, raw=b"", page=1, scale=1.0))
    same = Segment(text="机密文件", strip=strip)
    elsewhere = Segment(text="机密文件", strip=Strip(page=1, x0=0, y0=50, x1=100, y1=70, edges=bytes(32)))
    assert ocr._compare(segment, [same])[0] == 1.0
    assert ocr._compare(segment, [elsewhere])[0] == 0.0


def test_nothing_of_the_process_is_left(tmp_path: Path) -> None:
    """Closing ends the process for good."""
    made = Ocr(Limits())
    made.read(blank())
    assert made._process is not None
    pid = made._process.pid
    made.close()
    assert not Path(f"/proc/{pid}").exists()
