"""Speed of the console: lists over a million jobs, page pictures, fifty boards at once; called by `run.py`."""

from __future__ import annotations

import io
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import audit
import httpx2 as httpx
from readers import Row
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

from dlp import config
from dlp.model import State, evolve
from dlp.service import demo
from dlp.store import schema
from dlp.store.sqlite import SqliteStore

JOBS, HELD = 1_000_000, 10_000
ASKED = 60
BOARDS = 50
PAGES = 10


class Site:
    """A site with people, a gate, and its console."""

    def __init__(self, root: Path, *, port: int | None = None) -> None:
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1]) if port is None else port
        self.outbox, self.released = root / "外发", root / "已放行"
        self.outbox.mkdir()
        self.released.mkdir()
        self.config = root / "config.toml"
        self.config.write_text(
            '[[folders]]\nname = "外发"\nwatch = "外发"\nrelease = "已放行"\nsettle_seconds = 0.2\n'
            '[vault]\nfolder = "vault"\nidentity = "vault/identity.age-key"\nwork_key = "vault/work.age-key"\n'
            f'[store]\npath = "state/gate.db"\n[console]\nport = {self.port}\n',
            encoding="utf-8",
        )
        self.at = f"http://127.0.0.1:{self.port}"
        self.passwords: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the gate until its console answers."""
        command = [sys.executable, "-m", "dlp", "run", "--config", str(self.config)]
        with (self.root / "out").open("ab") as out:
            process = subprocess.Popen(command, cwd=self.root, stdout=out, stderr=out)
        try:
            if self.port:
                until(self.answers)
            else:
                until(
                    lambda: (
                        (self.root / "state/gate.db").exists() and b"dlp quarantine" in (self.root / "out").read_bytes()
                    )
                )
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.at}/healthz", timeout=60).status_code == 200
        except httpx.TransportError:
            return False

    def people(self) -> None:
        """Lay out invented people."""
        with self.store() as store:
            self.passwords = {account: password for _, account, _, password in demo.people(store)}

    @contextmanager
    def store(self) -> Iterator[SqliteStore]:
        """Give the books."""
        opened = SqliteStore.open(Path(config.read(self.config).store.path), create=False)
        try:
            yield opened
        finally:
            opened.close()

    def browser(self, account: str) -> httpx.Client:
        """Return somebody's browser, logged in."""
        client = httpx.Client(base_url=self.at, timeout=120)
        word = re.search(r'"X-CSRF": "([0-9a-f]{64})"', client.get("/login").text)
        assert word
        given = {"csrf": word[1], "account": account, "password": self.passwords[account]}
        assert client.post("/login", data=given).status_code == 303
        return client


def until(done: object, seconds: float = 120.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def marked(pages: int) -> bytes:
    """Return a PDF that is held: a mark of the unit, numbers on each page."""
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    out = io.BytesIO()
    made = canvas.Canvas(out)
    for number in range(pages):
        made.setFont("STSong-Light", 12)
        made.drawString(72, 780, "工作秘密" if not number else f"第 {number + 1} 页")
        for line in range(22):
            made.drawString(72, 740 - 28 * line, f"第{line + 1}条 本办法由综合处负责解释，自印发之日起施行。")
        made.showPage()
    made.save()
    return out.getvalue()


def fill(site: Site) -> None:
    """Fill the books with a million jobs, ten thousand of them held."""
    rng = random.Random(11)
    with site.store() as store:
        for start in range(0, JOBS, audit.BATCH):
            with store.change() as entry:  # many in one commit: only to fill
                rows = []
                for number in range(start, min(start + audit.BATCH, JOBS)):
                    job = audit.held(rng, number)
                    rows.append(schema.row(job if number >= JOBS - HELD else evolve(job, state=State.RELEASED)))
                entry.db.executemany(schema.ADD_JOB, rows)


def p95(client: httpx.Client, *paths: str) -> float:
    """Return the 95th percentile of the milliseconds in which pages are answered, asked in turn."""
    taken = []
    for number in range(ASKED):
        path = paths[number % len(paths)]
        began = time.perf_counter()
        answer = client.get(path)
        taken.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, (path, answer.status_code)
    return statistics.quantiles(taken, n=20)[-1]


def lists(site: Site, held: str) -> list[Row]:
    """Return how long lists, searches and pictures take."""
    operator, reviewer = site.browser("op"), site.browser("rev")
    words = [f"name={word}{number}" for word in ("工资表", "合同", "没有这样的") for number in (7, 77, 777)]
    size = f"{JOBS:,} jobs, {HELD:,} held: "
    rows = [
        (
            size + "board, p95 (ms)",
            f"{p95(operator, '/jobs', '/jobs?group=stopped', '/jobs?group=gone'):.0f}",
            "<= 200",
        ),
        (size + "review list, p95 (ms)", f"{p95(reviewer, '/review'):.0f}", "<= 200"),
        (
            size + "search on the board, p95 (ms)",
            f"{p95(operator, *(f'/jobs?{word}' for word in words)):.0f}",
            "<= 400",
        ),
        (size + "search in review, p95 (ms)", f"{p95(reviewer, *(f'/review?{word}' for word in words)):.0f}", "<= 400"),
    ]
    pictures = []
    for page in range(1, PAGES + 1):
        began = time.perf_counter()
        answer = reviewer.get(f"/review/{held}/page/{page}", headers={"hx-request": "true"})
        pictures.append(1000 * (time.perf_counter() - began))
        assert "data:image/png" in answer.text, answer.status_code
    again = p95(reviewer, f"/review/{held}/page/1")
    biggest = max(
        len(one.get(path).content)
        for one, path in ((operator, "/jobs"), (reviewer, "/review"), (reviewer, f"/review/{held}"))
    )
    files = sum(
        len(operator.get(f"/static/{name}").content)
        for name in ("console.css", "console.js", "htmx.min.js", "htmx-sse.min.js")
    )
    return [
        *rows,
        (f"first picture of a {PAGES}-page PDF, sandbox started with it (ms)", f"{pictures[0]:.0f}", "<= 700"),
        ("a picture of its other pages, p50 (ms)", f"{statistics.median(pictures[1:]):.0f}", ""),
        ("a picture that was drawn before, p95 (ms)", f"{again:.0f}", "<= 100"),
        ("largest page with all its files, no pictures (KB)", f"{(biggest + files) / 1000:.0f}", "<= 150"),
    ]


def boards(site: Site) -> Row:
    """Return how long a verdict takes to stand on the last of fifty boards, from its commit."""
    clients = [site.browser("op") for _ in range(BOARDS)]
    name, shown, ready = "五十块看板.txt", [0.0] * BOARDS, threading.Barrier(BOARDS + 1)

    def watch(number: int) -> None:
        client = clients[number]
        with client.stream("GET", "/jobs/live", timeout=120) as stream:
            lines, begun = stream.iter_lines(), False
            for line in lines:
                if not line.startswith("event: changed"):
                    continue
                if not begun:
                    begun = True
                    ready.wait()
                    continue
                text = client.get("/jobs", headers={"hx-request": "true"}).text
                if name in text and "已放行" in text.split(name)[1][:900]:
                    shown[number] = time.time()
                    return

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(BOARDS)]
    for thread in threads:
        thread.start()
    ready.wait()
    part = site.root / "writing"
    part.write_text("下周一上午九点开会。\n")
    part.rename(site.root / "外发" / name)
    for thread in threads:
        thread.join(120)
    with site.store() as store:
        settled = store.jobs((State.RELEASED,), limit=1)[0].updated
    return f"{BOARDS} boards: a verdict on the last one, after its commit (s)", f"{max(shown) - settled:.2f}", "<= 1"


def cost(files: int = 1_000) -> Row:
    """Return what is left of the pace of the gate with a console that somebody watches, of that without one."""
    from run import flood  # noqa: PLC0415  it calls this module

    paces = []
    for port in (0, None):
        with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
            site = Site(Path(folder), port=port)
            with site.running():
                stop, watching = threading.Event(), None
                if site.port:
                    site.people()
                    watching = threading.Thread(target=_watch, args=(site.browser("op"), stop))
                    watching.start()
                paces.append(flood(site, files))
                stop.set()
            if watching is not None:
                watching.join()
    return (
        "1,000 mixed files with a board open, of the pace without a console",
        f"{paces[1] / paces[0]:.2f}x",
        ">= 0.95x",
    )


def _watch(client: httpx.Client, stop: threading.Event) -> None:
    """Be a live board until the gate ends."""
    try:
        with client.stream("GET", "/jobs/live", timeout=60) as stream:
            for line in stream.iter_lines():
                if stop.is_set():
                    return
                if line.startswith("event: changed"):
                    client.get("/jobs", headers={"hx-request": "true"})
    except httpx.TransportError:
        return


def rows() -> list[Row]:
    """Return every measurement of the console."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-", dir="/var/tmp") as folder:  # a real disk
        site = Site(Path(folder))
        with site.running():
            part = site.root / "writing"
            part.write_bytes(marked(PAGES))
            part.rename(site.root / "外发/办法.pdf")

            def find() -> bool:
                with site.store() as store:
                    return bool(store.jobs((State.HELD,)))

            until(find)
            with site.store() as store:
                held = store.jobs((State.HELD,))[0].id
            site.people()
            last = boards(site)
        fill(site)
        command = [sys.executable, "-m", "dlp", "console", "--config", str(site.config)]
        with (site.root / "out").open("ab") as out:
            alone = subprocess.Popen(command, cwd=site.root, stdout=out, stderr=out)
        try:
            until(site.answers)
            return [*lists(site, held), last, cost()]
        finally:
            alone.terminate()
            alone.wait(30)


if __name__ == "__main__":
    for what, value, target in rows():
        print(f"{what:<86}  {value:>8}  {target}", flush=True)
