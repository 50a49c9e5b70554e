"""Speed and truth of the readers, beside the libraries they stand on; called by `run.py`."""

from __future__ import annotations

import ctypes
import io
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pdfplumber
import pypdfium2
import pypdfium2.raw as pdfium
import python_calamine
from words import sentence

from dlp import formats
from dlp.formats.room import Room, read
from dlp.limits import Limits
from dlp.model import Document, Zone
from dlp.sandbox import Sandbox

Row = tuple[str, str, str]
RUNS = 5
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the scans that the tests draw


def timed(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median of seconds of some runs, the first left out."""
    taken = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def bare(raw: bytes) -> list[str]:
    """Read characters and loose boxes with pypdfium2 and nothing else."""
    found = []
    with pypdfium2.PdfDocument(raw) as pdf:
        box = pdfium.FS_RECTF()
        for page in pdf:
            text = page.get_textpage()
            for number in range(pdfium.FPDFText_CountChars(text.raw)):
                found.append(chr(pdfium.FPDFText_GetUnicode(text.raw, number)))
                pdfium.FPDFText_GetLooseCharBox(text.raw, number, ctypes.byref(box))
    return found


def plumbed(raw: bytes) -> list[str]:
    """Read characters with pdfplumber."""
    with pdfplumber.open(io.BytesIO(raw)) as pdf:
        return [char["text"] for page in pdf.pages for char in page.chars]


def ours(media: str, raw: bytes) -> Document:
    """Read a file with the reader of this product, without its sandbox."""
    return read(media, formats.Source(raw), Room())


def recall(truth: str, found: str) -> float:
    """Return the share of the characters of `truth` that were found."""
    known, seen = Counter("".join(truth.split())), Counter("".join(found.split()))
    return sum((known & seen).values()) / max(1, sum(known.values()))


def converted(raw: bytes, kind: str, to: str) -> bytes | None:
    """Return a file as LibreOffice writes it in another format; None where it is not installed."""
    if shutil.which("soffice") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"a.{kind}").write_bytes(raw)
        (Path(folder) / "out").mkdir()
        home = f"-env:UserInstallation=file://{folder}/home"
        call = ["soffice", home, "--headless", "--convert-to", to, "--outdir", f"{folder}/out", f"{folder}/a.{kind}"]
        subprocess.run(call, check=True, capture_output=True, timeout=180)
        return (Path(folder) / "out" / f"a.{to}").read_bytes()


def pages(name: str, raw: bytes) -> list[Row]:
    """Compare the reading of a PDF with pdfplumber and with bare pypdfium2."""
    mine, theirs = timed(lambda: ours("application/pdf", raw)), timed(lambda: bare(raw))
    slow = timed(lambda: plumbed(raw), 1)
    with pypdfium2.PdfDocument(raw) as document:
        count = len(document)
    text = "".join(s.text for s in ours("application/pdf", raw).segments)
    return [
        (f"PDF {name}, {count} pages, text and boxes (pages/s)", f"{count / mine:.0f}", ""),
        ("  against pdfplumber page.chars", f"{slow / mine:.1f}x", ">= 10x"),
        ("  against bare pypdfium2 characters and boxes", f"{theirs / mine:.2f}x", ">= 0.6x"),
        ("  recall of the characters of pypdfium2", f"{recall(''.join(bare(raw)), text):.3f}", ">= 1.000"),
        ("  recall of the characters of pdfplumber", f"{recall(''.join(plumbed(raw)), text):.3f}", ">= 1.000"),
    ]


def sheets(name: str, raw: bytes) -> Row:
    """Compare the reading of a workbook with calamine."""

    def calamine() -> None:
        made = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        for sheet in made.sheet_names:
            made.get_sheet_by_name(sheet).to_python()

    share = timed(lambda: ours(formats.XLSX, raw)) / timed(calamine)
    return (f"XLSX 10,000 x 5 {name} against bare calamine", f"{share:.1f}x", "<= 2x")


def files(pdf_of: Callable[[random.Random, int], bytes]) -> list[Row]:
    """Compare PDF, XLSX and DOCX with their libraries on the same files, and weigh the sandbox."""
    rows = pages("in a font that every reader knows", pdf_of(random.Random(1), 40))
    rng = random.Random(2)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("a")
    for number in range(10_000):
        sheet.append([sentence(rng)[:12], number, f"1380013{number:04d}", sentence(rng)[:8], number * 1.5])
    out = io.BytesIO()
    book.save(out)
    rows.append(sheets("as openpyxl writes it", out.getvalue()))
    shared = converted(out.getvalue(), "xlsx", "ods")
    shared = converted(shared, "ods", "xlsx") if shared else None
    if shared:
        rows.append(sheets("as LibreOffice writes it", shared))
    letter = docx.Document()
    for _ in range(1_000):
        letter.add_paragraph(sentence(rng))
    out = io.BytesIO()
    letter.save(out)
    raw_docx = out.getvalue()

    def naive() -> str:
        return "\n".join(p.text for p in docx.Document(io.BytesIO(raw_docx)).paragraphs)

    share = timed(lambda: ours(formats.DOCX, raw_docx)) / timed(naive)
    rows.append(("DOCX of 1,000 paragraphs against python-docx", f"{share:.2f}x", "<= 1x"))
    printed = converted(raw_docx, "docx", "pdf")
    if printed:
        rows += pages("as LibreOffice writes it", printed)
    return [*rows, *sandboxed()]


def sandboxed() -> list[Row]:
    """Return what the sandbox adds to reading a small file."""
    raw = "答复函，请查收。".encode() * 20
    fd = os.memfd_create("bench")
    os.write(fd, raw)
    with Sandbox(limits=Limits()) as sandbox:
        inside = timed(lambda: sandbox.extract(fd, name="a.txt", size=len(raw)), 50)
    os.close(fd)
    outside = timed(lambda: ours("text/plain", raw), 50)
    return [("what the sandbox adds to a file, p50 (ms)", f"{1000 * (inside - outside):.1f}", "<= 20")]


SCANS: tuple[dict[str, object], ...] = (
    {"dpi": 150},
    {"dpi": 150, "seal": True, "skew": 1.5, "blur": 0.6, "noise": 30, "mark": "机密★10年"},
    {"dpi": 200, "skew": -2.0, "mark": "绝密★长期"},
    {"dpi": 200, "seal": True},
    {"dpi": 300, "mark": "机密★启用前"},
    {"dpi": 300, "skew": 1.0, "seal": True, "mark": "秘密★6个月"},
    {"dpi": 200, "turn": 90, "mark": "机密★20年"},
    {"dpi": 200, "turn": 180, "mark": "绝密★30年"},
    {"dpi": 200, "turn": 270, "mark": "秘密★3年"},
    {"dpi": 300, "turn": 270, "noise": 20},
)


def scanned() -> list[Row]:
    """Read generated scans with the OCR process as it runs in the product."""
    import scans  # noqa: PLC0415  in the folder of the tests

    if scans.FONT is None:
        return [("OCR: no font with Chinese characters is installed", "-", "")]
    taken, recalls, worst = [], [], {}
    marks = digits = 0
    peak = 0.0
    with Sandbox(limits=Limits()) as sandbox:
        for number, options in enumerate(({"dpi": 100}, *SCANS)):
            scan = scans.jpeg(scans.page(**options))  # type: ignore[arg-type]
            raw = scan.encoded("JPEG", quality=75)
            fd = os.memfd_create("scan")
            os.write(fd, raw)
            began = time.perf_counter()
            document = sandbox.extract(fd, name="a.jpg", size=len(raw))
            seconds = time.perf_counter() - began
            os.close(fd)
            process = sandbox._ocr._process  # noqa: SLF001  its memory is what is measured
            if process is not None:
                rows = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                peak = max(peak, next(int(row.split()[1]) / 1e6 for row in rows if row.startswith("VmHWM")))
            if number == 0:
                continue  # the first one starts the process
            text = "".join(s.text for s in document.segments if s.zone is Zone.OCR).replace(" ", "")
            taken.append(seconds)
            recalls.append(recall(scan.text, text))
            turn = int(options.get("turn", 0))  # type: ignore[call-overload]
            worst[turn] = min(worst.get(turn, 1.0), recalls[-1])
            marks += scan.mark in text
            digits += scan.number in text
    return [
        ("OCR, character recall of 10 generated scans, mean", f"{statistics.mean(recalls):.3f}", ">= 0.96"),
        ("  in the worst orientation", f"{min(worst.values()):.3f}", ">= 0.93"),
        ("  marks with ★", f"{marks}/{len(SCANS)}", "all"),
        ("  identity numbers of 18 characters", f"{digits}/{len(SCANS)}", "all"),
        ("  a page, p50 (s)", f"{statistics.median(taken):.2f}", "<= 2.2"),
        ("  peak memory of its process (GB)", f"{peak:.2f}", "<= 1.8"),
    ]
