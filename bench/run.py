"""Speed of the gate as a whole: `make bench`. The real program, real folders, every fsync; medians, machine named."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import audit
import console
import docx
import printing
import readers
import redaction
import scanner
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas
from words import sentence

SETTLE = 0.2
WIDTH = 86  # of what is measured


def text_docx(rng: random.Random, pages: int) -> bytes:
    """Return a DOCX of `pages` pages of 22 lines."""
    made = docx.Document()
    for _ in range(pages * 22):
        made.add_paragraph(sentence(rng))
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def text_pdf(rng: random.Random, pages: int) -> bytes:
    """Return a PDF of `pages` pages of 22 lines in a CJK font that every reader knows."""
    with contextlib.suppress(KeyError):
        pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    out = io.BytesIO()
    made = canvas.Canvas(out)
    for _ in range(pages):
        made.setFont("STSong-Light", 11)
        for line in range(22):
            made.drawString(72, 760 - 28 * line, sentence(rng))
        made.showPage()
    made.save()
    return out.getvalue()


class Running:
    """A gate of its own in a temporary folder, started as a user starts it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.outbox, self.released = root / "外发", root / "已放行"
        self.outbox.mkdir()
        self.released.mkdir()
        (root / "config.toml").write_text(
            f'[[folders]]\nname = "外发"\nwatch = "外发"\nrelease = "已放行"\nsettle_seconds = {SETTLE}\n'
            '[vault]\nfolder = "vault"\nidentity = "vault/identity.age-key"\nwork_key = "vault/work.age-key"\n'
            '[store]\npath = "state/gate.db"\n',
            encoding="utf-8",
        )
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dlp", "run"],
            cwd=root,
            env={**os.environ, "DLP_CONFIG": str(root / "config.toml")},
            stdout=(root / "out").open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.drop("first.txt", "答复函。".encode())
        wait((self.released / "first.txt").exists, 30)
        self.first = time.perf_counter() - began

    def drop(self, name: str, content: bytes) -> float:
        """Move a finished file into the outgoing folder; return the moment."""
        part = self.root / f"{name}.writing"
        part.write_bytes(content)
        moment = time.perf_counter()
        part.rename(self.outbox / name)
        return moment

    def family(self) -> list[int]:
        """Return the pids of the gate and everything it started."""
        pids, found = [self.process.pid], []
        while pids:
            pid = pids.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pids += [int(c) for c in (task / "children").read_text().split()]
        return found

    def rss(self) -> float:
        """Return MB of resident memory of the family; shared pages are counted once (PSS)."""
        total = 0
        for pid in self.family():
            with contextlib.suppress(OSError):
                rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += next(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
        return total / 1024

    def cpu(self) -> float:
        """Return the processor seconds that the family has used."""
        ticks = 0
        for pid in self.family():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Stop the gate and wait for it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def wait(done: Callable[[], bool], seconds: float) -> None:
    """Wait until `done`; TimeoutError after `seconds`."""
    until = time.perf_counter() + seconds
    while not done():
        if time.perf_counter() > until:
            raise TimeoutError(f"not done after {seconds} s")
        time.sleep(0.002)


@contextlib.contextmanager
def gate() -> Iterator[Running]:
    """Give a running gate and clean up after it."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
        running = Running(Path(folder))
        try:
            yield running
        finally:
            running.close()


def latency(running: Running, name: str, make: Callable[[random.Random], bytes], runs: int) -> tuple[float, int]:
    """Return the median of milliseconds from drop to release beyond the settle time, and the size of the last file."""
    taken, size = [], 0
    for number in range(runs + 2):
        content = make(random.Random(number))
        size = len(content)
        file = f"{number}-{name}"
        began = running.drop(file, content)
        wait(lambda file=file: (running.released / file).exists(), 20)  # type: ignore[misc]
        taken.append(1000 * (time.perf_counter() - began - SETTLE))
    return statistics.median(taken[2:]), size


def flood(running: Running | console.Site, files: int) -> float:
    """Return files a second, drop to settled, for `files` mixed files of 10-100 KB dropped at once."""
    rng = random.Random(7)
    heap = running.root / "heap"
    heap.mkdir()
    kinds = [text_docx(rng, 3), text_pdf(rng, 4), ("\n".join(sentence(rng) for _ in range(300))).encode(), b""]
    rows = "\n".join(f"{n},{sentence(rng)}" for n in range(400))
    kinds[3] = ("序号,事由\n" + rows).encode("gb18030")
    for number in range(files):
        kind = ("docx", "pdf", "txt", "csv")[number % 4]
        content = kinds[number % 4] + (b"" if number % 4 < 2 else f"\n{number}".encode())
        (heap / f"{number}.{kind}").write_bytes(content)
    before = len(os.listdir(running.released))
    began = time.perf_counter()
    for name in os.listdir(heap):
        (heap / name).rename(running.outbox / name)
    wait(lambda: not any(not n.endswith(".txt.拦截说明.txt") for n in os.listdir(running.outbox)), 300)
    wait(lambda: len([n for n in os.listdir(running.released) if not n.startswith(".dlp-")]) - before >= files, 120)
    return files / (time.perf_counter() - began)


def main() -> None:
    """Run every measurement and print one table."""
    model = next(
        (r.split(":")[1].strip() for r in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in r), "?"
    )
    machine = f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    print(f"# {machine}", flush=True)
    starts = []
    for _ in range(3):
        with gate() as running:
            starts.append(running.first - SETTLE)
    tell([("start to first release, beyond settle (s)", f"{statistics.median(starts):.2f}", "<= 3")])
    with gate() as running:
        for name, make in (("docx", text_docx), ("pdf", text_pdf)):
            median, size = latency(running, f"a.{name}", lambda rng, make=make: make(rng, 10), 15)  # type: ignore[misc]
            tell([(f"warm verdict, 10-page {name} of {size // 1000} KB, p50 (ms)", f"{median:.0f}", "<= 250")])
        before, began = running.cpu(), time.perf_counter()
        time.sleep(20)
        idle = 100 * (running.cpu() - before) / (time.perf_counter() - began)
        tell([("idle processor, all processes (%)", f"{idle:.2f}", "< 1")])
        tell([("1,000 mixed files at once (files/s)", f"{flood(running, 1000):.1f}", ">= 40")])
        tell([("memory of all processes after that (MB, PSS)", f"{running.rss():.0f}", "<= 500")])
    tell(audit.all_rows())
    tell(readers.files(text_pdf))
    tell(readers.scanned())
    tell(redaction.pages())
    tell(printing.rows())
    tell(scanner.texts())
    tell(console.rows())


def tell(rows: list[readers.Row]) -> None:
    """Print what one measurement gave, at once: the next one may fail, and takes minutes."""
    for name, value, target in rows:
        print(f"{name:<{WIDTH}}  {value:>8}  {target}", flush=True)


if __name__ == "__main__":
    shutil.rmtree(Path(tempfile.gettempdir()) / "gate-bench", ignore_errors=True)
    main()
