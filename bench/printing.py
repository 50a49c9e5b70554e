"""Print jobs through the gate beside a direct queue, with a real CUPS and a real printer; called by `run.py`."""

from __future__ import annotations

import io
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from readers import Row
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from dlp.model import State
from print_stack import Printer, PrintStack, missing
from shop import QUEUE, Shop

RUNS = 15
JOBS = 50
CLIENTS = 4


def letter(text: str) -> bytes:
    """Return a PDF of one page."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out)
    sheet.drawString(72, 720, text)
    sheet.save()
    return out.getvalue()


def book(pages: int, size: int) -> bytes:
    """Return a PDF of so many pages and bytes: a line of text and a small picture of noise on each."""
    rng = random.Random(6)
    side = int((size / pages / 3) ** 0.5)
    out = io.BytesIO()
    sheet = canvas.Canvas(out, pageCompression=0)
    for page in range(pages):
        sheet.drawString(72, 720, f"page {page}")
        noise = Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side))
        sheet.drawImage(ImageReader(noise), 72, 600, 40, 40)
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def rows() -> list[Row]:
    """Return what printing through the gate costs."""
    if why := missing():
        return [(f"printing: not measured, {why}", "", "")]
    with tempfile.TemporaryDirectory() as root, PrintStack() as stack, Shop(Path(root), stack) as shop:
        direct = stack.printer("direct", more=("-2",))
        stack.queue("direct", direct)
        stack.lpadmin("-p", "direct", "-v", f"{direct.uri}?waitjob=false")  # else it waits a second
        return [*_latency(stack, shop, direct), *_throughput(stack, shop, direct), *_large(stack, shop)]


def _one(stack: PrintStack, queue: str, printer: Printer, name: str) -> float:
    before = _count(printer)
    path = stack.file(name, letter(name))
    began = time.perf_counter()
    stack.lp(queue, path)
    _until(printer, before + 1)
    return time.perf_counter() - began


def _count(printer: Printer) -> int:
    return sum(1 for _ in printer.captured.glob("[0-9]*"))


def _until(printer: Printer, count: int, seconds: float = 120.0) -> None:
    deadline = time.perf_counter() + seconds
    while _count(printer) < count:
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{_count(printer)} of {count} documents reached the printer")
        time.sleep(0.001)


def _latency(stack: PrintStack, shop: Shop, direct: Printer) -> list[Row]:
    ways = {"direct": ("direct", direct), "gate": (QUEUE, shop.printer)}
    took: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(RUNS + 2):
        for way, (queue, printer) in ways.items():
            seconds = _one(stack, queue, printer, f"{way}{number}.pdf")
            if number >= 2:
                took[way].append(1_000 * seconds)
    plain, gated = (statistics.median(took[way]) for way in ways)
    return [
        ("printing, a clean page: direct queue, p50 (ms)", f"{plain:.0f}", ""),
        ("printing, a clean page: what the gate adds, p50 (ms)", f"{gated - plain:.0f}", "<= 60"),
    ]


def _throughput(stack: PrintStack, shop: Shop, direct: Printer) -> list[Row]:
    rates = []
    for queue, printer in (("direct", direct), (QUEUE, shop.printer)):
        before = _count(printer)
        paths = [stack.file(f"{queue}-{number}.pdf", letter(f"job {number}")) for number in range(JOBS)]
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda path, queue=queue: stack.lp(queue, path), paths))
            _until(printer, before + JOBS)
        rates.append(JOBS / (time.perf_counter() - began))
    return [
        (f"printing, {JOBS} jobs: direct queue (jobs/s)", f"{rates[0]:.1f}", ""),
        ("  through the gate (jobs/s; of the direct queue)", f"{rates[1]:.1f}", f"x{rates[1] / rates[0]:.2f}, >= 0.7"),
    ]


def _large(stack: PrintStack, shop: Shop) -> list[Row]:
    content = book(500, 100_000_000)
    path = stack.file("book.pdf", content)
    before, printed = _rss(shop), _count(shop.printer)
    most = before
    stack.lp(QUEUE, path)
    while _count(shop.printer) == printed:
        most = max(most, _rss(shop))
        if any(job.state in (State.HELD, State.BLOCKED, State.FAILED) for job in shop.jobs()):
            return [("printing, 500 pages of 100 MB", "held", "printed")]
        time.sleep(0.02)
    size = f"{len(content) / 1e6:.0f} MB"
    return [(f"printing, 500 pages of {size}: memory of the gateway (MB more)", f"{most - before:.0f}", "< 50")]


def _rss(shop: Shop) -> float:
    assert shop.process is not None
    lines = Path(f"/proc/{shop.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1_000
