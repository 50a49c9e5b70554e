"""Print streams that are programs: drawn by Ghostscript in a sandbox of its own, and read by OCR."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import scans
from dlp import draw, press
from dlp.formats import Source, prints
from dlp.formats.room import Room
from dlp.limits import Limits
from dlp.model import Document, Gap, GapKind, Picture, Zone
from dlp.press import Press
from dlp.sandbox import Sandbox
from pdf_makers import text_pdf
from scans import needs_font

needs_gs = pytest.mark.skipif(not draw.program(), reason="Ghostscript is not installed")

HELLO = b"%!PS-Adobe-3.0\n%%Title: a title 11010119900307301X\n/Helvetica 40 selectfont 72 700 moveto (Hello) show showpage\n"


def press_of(limits: Limits | None = None) -> Press:
    """Return a press; as root it draws as nobody."""
    user = (65_534, 65_534) if os.geteuid() == 0 else None
    return Press(limits or Limits(), level="full", user=user)


def drawn(program: bytes, limits: Limits | None = None) -> list[Picture | Gap]:
    """Return the pages of a program."""
    picture = Picture(part=("a.ps",), width=1, height=1, raw=zlib.compress(program), form="postscript")
    return list(press_of(limits).draw(picture))


@needs_gs
def test_pages_are_drawn() -> None:
    """Each page is a picture with its number and part; without a stated size an A4 page is cut out."""
    pages = drawn(HELLO * 3)
    assert [(p.page, p.part) for p in pages if isinstance(p, Picture)] == [(n, ("a.ps",)) for n in (1, 2, 3)]
    first = pages[0]
    assert isinstance(first, Picture)
    assert (first.width, first.height) == (1653, 2339)
    assert min(zlib.decompress(first.raw)) < 50


@needs_gs
def test_nothing_beyond_the_page_is_cut_off() -> None:
    """What is drawn beyond A4, and a bounding box larger than any paper, is on the picture."""
    (wide,) = drawn(b"%!PS\n/Helvetica 40 selectfont 700 1000 moveto (Hi) show showpage\n")
    assert isinstance(wide, Picture)
    assert wide.height > 2339
    (large,) = drawn(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 3000 2000\n/Helvetica 90 selectfont 2700 1800 moveto (Hi) show\nshowpage\n"
    )
    assert isinstance(large, Picture)
    assert min(zlib.decompress(large.raw)) < 50


@needs_gs
@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (b"%!PS\n{ } loop\n", GapKind.TIMEOUT),
        (b"%!PS\n(/etc/passwd) (r) file 100 string readstring pop show showpage\n", GapKind.CORRUPT),
        (b"%!PS\n(%pipe%id) (r) file pop showpage\n", GapKind.CORRUPT),
        (b"%!PS\n(/tmp/leak) (w) file (x) writestring showpage\n", GapKind.CORRUPT),
        (b"%!PS\nthis is no program\n", GapKind.CORRUPT),
        (b"%!PS\n<< /PageSize [9000 9000] >> setpagedevice showpage\n", GapKind.TOO_BIG),
        (b"%!PS\n0 1 100000000 { pop 1000000 string } for\n", None),
        (b"%!PS\n", GapKind.CORRUPT),
        (HELLO[:60], GapKind.CORRUPT),
    ],
    ids=range(9),
)
def test_hostile_programs_are_gaps(program: bytes, kind: GapKind | None) -> None:
    """Endless loops, files, pipes, writes, giant pages, memory: each ends as a gap within its limits."""
    pages = drawn(program, Limits(wall_seconds=8.0, cpu_seconds=5, picture_pixels=30_000_000))
    gaps = [page for page in pages if isinstance(page, Gap)]
    assert gaps
    assert kind is None or gaps[-1].kind in (kind, GapKind.CORRUPT)
    assert not Path("/tmp/leak").exists()  # noqa: S108  the very place that must not come to be


@needs_gs
def test_what_a_program_prints_is_no_page() -> None:
    """Text on standard output does not come between the pages."""
    pages = drawn(b"%!PS\n(P5 1 1 255 x) print flush " + HELLO)
    assert [type(page) for page in pages] == [Picture]


def test_without_ghostscript_it_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ghostscript is not installed the stream is unread, and the reason is told."""
    monkeypatch.setattr(press.draw, "PROGRAMS", ())
    (gap,) = drawn(HELLO)
    assert isinstance(gap, Gap)
    assert "Ghostscript" in gap.detail


def read(raw: bytes) -> Document:
    """Return what the child makes of a stream."""
    return prints.extract(Source(raw), Room())


def test_comments_of_a_program_are_metadata() -> None:
    """The title that a driver writes is text."""
    document = read(HELLO)
    assert ("a title 11010119900307301X", Zone.METADATA) in {(s.text, s.zone) for s in document.segments}
    assert [p.form for p in document.pictures] == ["postscript"]


def test_job_control_is_unwrapped() -> None:
    """Every job between two resets is read as what it carries; its name in GBK is text; PCL is a gap."""
    uel = b"\x1b%-12345X"
    pdf = text_pdf("机密★10年")
    raw = (
        uel + b'@PJL SET JOBNAME="' + "机密名单".encode("gbk") + b'"\r\n@PJL ENTER LANGUAGE = PDF\r\n' + pdf + uel
        + b"@PJL ENTER LANGUAGE=POSTSCRIPT\r\n" + HELLO + b"\x04" + uel
    )  # fmt: skip
    document = read(raw)
    whole = "\n".join(s.text for s in document.segments)
    assert "机密名单" in whole
    assert "机密★10年" in whole
    assert [p.part for p in document.pictures] == [("job 2",)]
    assert document.gaps == ()
    for language, body in ((b"PCL", b"\x1bE\x1b&l0O"), (b"PCLXL", b") HP-PCL XL;2;0"), (b"ZJS", bytes(99))):
        odd = read(uel + b"@PJL ENTER LANGUAGE=" + language + b"\r\n" + body + uel)
        assert {g.kind for g in odd.gaps} == {GapKind.UNSUPPORTED}
    naked = read(uel + b"\x1bE\x1b&l0Otext" + uel)
    assert {g.kind for g in naked.gaps} == {GapKind.UNSUPPORTED}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Give one sandbox for all tests of this module."""
    with Sandbox(limits=Limits()) as made:
        yield made


@needs_gs
@needs_font
def test_a_printed_page_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    """A PostScript job with a page that shows a mark: the mark is read, the page counted."""
    scan = scans.page(dpi=100)
    path = tmp_path / "a.ps"
    scan.image.save(path, "EPS")
    body = path.read_bytes().replace(b"%%BoundingBox: 0 0 827 1169", b"%%BoundingBox: 0 0 595 842")
    body = body.replace(b"gsave\n", b"gsave 0.7195 0.7195 scale\n", 1)
    raw = b"\x1b%-12345X@PJL ENTER LANGUAGE=POSTSCRIPT\r\n" + body + b"\x1b%-12345X"
    fd = os.memfd_create("job")
    os.write(fd, raw)
    document = sandbox.extract(fd, name="a.prn", size=len(raw))
    os.close(fd)
    assert scan.mark in "".join(s.text for s in document.segments if s.zone is Zone.OCR)
    assert [(c.page, c.how) for c in document.coverage] == [(1, "ocr")]
    assert document.gaps == ()
