"""Speed and size of redaction, beside making pictures of pages and beside PyMuPDF; called by `run.py`."""

from __future__ import annotations

import io
import json
import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import peers
import pypdfium2
from readers import Row, timed
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen import canvas

from dlp.formats import Source, pdf, proof
from dlp.formats.room import Room
from dlp.model import Cut, Mode

ID = "110101199003071233"
RUNS = 7
DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


def dense() -> bytes:
    """Return an A4 page of 2,100 Chinese characters, ten numbers among them."""
    rng = random.Random(1)
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 1_500)]
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=(595, 842))
    for row in range(50):
        sheet.setFont("STSong-Light", 11)
        words = "".join(rng.choices(letters, k=42))
        sheet.drawString(60, 800 - row * 15, words[:15] + ID + words[24:] if row % 5 == 0 else words)
    sheet.save()
    return out.getvalue()


def latin() -> bytes:
    """Return an A4 page of 3,000 letters in a font that comes with the file."""
    rng = random.Random(2)
    pdfmetrics.registerFont(TTFont("DejaVu", str(DEJAVU)))
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pagesize=(595, 842))
    for row in range(50):
        sheet.setFont("DejaVu", 9)
        words = " ".join("".join(rng.choices("abcdefghijklmnopqrst", k=6)) for _ in range(9))
        sheet.drawString(60, 800 - row * 15, f"{words} {ID}" if row % 5 == 0 else words)
    sheet.save()
    return out.getvalue()


def cuts_of(raw: bytes) -> list[Cut]:
    """Return a cut for each number."""
    found = []
    for one in pdf.extract(Source(raw), Room()).segments:
        at = one.text.find(ID)
        if at >= 0 and one.strip is not None:
            box = one.strip.box(at, at + len(ID))
            found.append(Cut(part=(), anchor="", start=at, end=at + 18, label="x", type="id", boxes=(box,)))
    return found


def drawn(raw: bytes) -> bytes:
    """Make a picture of a page at 200 dpi, as JPEG: what a redactor that knows only pixels does."""
    with pypdfium2.PdfDocument(raw) as document:
        out = io.BytesIO()
        document[0].render(scale=200 / 72, rev_byteorder=True).to_pil().convert("RGB").save(out, "JPEG", quality=85)
        return out.getvalue()


def peer(raw: bytes) -> tuple[float, int] | None:
    """Return the seconds and bytes that PyMuPDF needs for the same; None where it is not installed."""
    if peers.missing():
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.pdf"
        file.write_bytes(raw)
        script = str(Path(peers.__file__).with_name("mupdf.py"))
        done = subprocess.run([str(peers.PYTHON), script, str(file), ID], capture_output=True, check=False, text=True)
    if done.returncode:
        return None
    told = json.loads(done.stdout)
    return told["seconds"], told["bytes"]


def pages() -> list[Row]:
    """Measure one dense page and one in an embedded font."""
    rows: list[Row] = []
    for name, make in (("dense Chinese page", dense), ("page in an embedded font", latin)):
        raw = make()
        rows += _page(name, raw, cuts_of(raw))
    return rows


def _page(name: str, raw: bytes, cuts: list[Cut]) -> list[Row]:
    copies: dict[Mode, bytes] = {}

    def redact(mode: Mode) -> Callable[[], object]:
        def work() -> None:
            out = io.BytesIO()
            pdf.redact(Source(raw), cuts, out, Room(mode=mode))
            copies[mode] = out.getvalue()

        return work

    picture = timed(lambda: drawn(raw), RUNS)
    keep, gap = timed(redact(Mode.KEEP), RUNS), timed(redact(Mode.FIXED_GAP), RUNS)
    proven = timed(lambda: _prove(copies[Mode.KEEP], raw, cuts), RUNS)
    rows = [
        (f"redact, {name}: in place (ms; of its picture)", f"{1000 * keep:.0f}", f"x{keep / picture:.2f}, <= 1.2"),
        (f"redact, {name}: laid anew (ms; of its picture)", f"{1000 * gap:.0f}", f"x{gap / picture:.2f}"),
        (f"redact, {name}: proof without OCR (ms a page)", f"{1000 * proven:.0f}", "<= 500"),
    ]
    other = peer(raw)
    if other is None:
        return [*rows, (f"redact, {name}: PyMuPDF", "missing", peers.missing() or "it failed")]
    size = len(copies[Mode.KEEP])
    return [
        *rows,
        (f"redact, {name}: bytes; of PyMuPDF's", f"{size}", f"x{size / other[1]:.2f}, <= 1.3"),
        (f"redact, {name}: PyMuPDF, which leaves maps and outlines (ms)", f"{1000 * other[0]:.0f}", ""),
    ]


def _prove(copy: bytes, raw: bytes, cuts: list[Cut]) -> None:
    proof.search(Source(copy), (ID,), Room(mode=Mode.KEEP))
    seen = pdf.verify(Source(copy), Source(raw), cuts, Room(mode=Mode.KEEP))
    assert not [check for check in seen.checks if check.state == "fail"]
