"""Print jobs through the gate beside a direct queue, with a real CUPS and a real printer; called by `run.py`."""

from __future__ import annotations

import io
import random
import socketserver
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
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
        found = [*_latency(stack, shop, direct), *_throughput(stack, shop, direct), *_large(stack, shop)]
    return [*found, *_swallowed()]


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
    plain = _rate(stack, "direct", lambda: _count(direct))
    gated = _rate(stack, QUEUE, lambda: _count(shop.printer))
    return [
        (
            f"printing, {JOBS} jobs to an IPP printer: direct queue (jobs/s; CUPS waits while it is busy)",
            f"{plain:.1f}",
            "",
        ),
        ("  through the gate (jobs/s; of the direct queue)", f"{gated:.1f}", f"x{gated / plain:.2f}, >= 0.7"),
    ]


def _swallowed() -> list[Row]:
    """Return the same with a printer that takes every document at once, so that only CUPS and the gate take time."""
    with tempfile.TemporaryDirectory() as root, PrintStack() as stack:
        asked = stack.printer("asked", more=("-2",))  # both queues have the driver that it asks for
        sinks = {queue: Sink() for queue in ("direct", "out")}
        for queue, sink in sinks.items():
            stack.queue(queue, asked)
            stack.lpadmin("-p", queue, "-v", f"socket://127.0.0.1:{sink.port}/?waiteof=false")
        with Shop(Path(root), stack, printer='onward = "cups:out"'):
            rates = {queue: [] for queue in sinks}
            for _ in range(3):
                for queue, sink in sinks.items():
                    front = QUEUE if queue == "out" else queue
                    rates[queue].append(_rate(stack, front, lambda sink=sink: sink.count))
        for sink in sinks.values():
            sink.shutdown()
            sink.server_close()
    plain, gated = (statistics.median(rates[queue]) for queue in sinks)
    return [
        (f"printing, {JOBS} jobs to a printer that swallows at once: direct queue (jobs/s)", f"{plain:.1f}", ""),
        (
            "  through the gate and a locked queue (jobs/s; of the direct queue)",
            f"{gated:.1f}",
            f"x{gated / plain:.2f}",
        ),
    ]


def _rate(stack: PrintStack, queue: str, count: Callable[[], int]) -> float:
    paths = [stack.file(f"{queue}-{number}.pdf", letter(f"job {number}")) for number in range(JOBS)]
    wanted, deadline = count() + JOBS, time.perf_counter() + 120
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda path: stack.lp(queue, path), paths))
        while count() < wanted:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{wanted - count()} documents of {JOBS} did not reach the printer of {queue}")
            time.sleep(0.001)
    return JOBS / (time.perf_counter() - began)


class Sink(socketserver.ThreadingTCPServer):
    """A printer on port 9100 that takes everything at once, and counts documents."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Swallow)
        self.port = int(self.server_address[1])
        self.count = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Swallow(socketserver.BaseRequestHandler):
    server: Sink

    def handle(self) -> None:
        size = 0
        while piece := self.request.recv(65_536):
            size += len(piece)
        if size:
            with self.server.lock:
                self.server.count += 1


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
