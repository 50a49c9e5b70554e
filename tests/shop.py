"""A print shop for tests: a real CUPS, a real printer, and the gate between them as the real program."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from dlp import ipp
from dlp.ipp import Tag, client
from dlp.ipp.client import Body, Where
from dlp.model import State
from dlp.store import Job
from dlp.store.sqlite import SqliteStore
from print_stack import Printer, PrintStack, free_port, until
from sites import Place, lay

ONWARD = "office"
QUEUE = "people"
GATE = ("-m", "dlp", "run")


class Shop:
    """One queue that people print to, the gate behind it, and the printer behind the gate."""

    def __init__(
        self, root: Path, stack: PrintStack, *, printing: str = "", printer: str = "", extra: str = ""
    ) -> None:
        self.stack = stack
        self.program: tuple[str, ...] = GATE
        """What is started as the gate."""
        self.printer: Printer = stack.printer(ONWARD, more=("-2",))
        self.port = free_port()
        onward = "" if "onward" in printer else f'onward = "{self.printer.uri}"\n'
        self.site: Place = lay(
            root,
            extra=f"""
[printing]
port = {self.port}
cups = "{stack.socket}"
{printing}
[[printers]]
name = "office"
queue = "{QUEUE}"
receipts = "说明"
{onward}{printer}
{extra}
""",
        )
        self.log = root / "gate.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.stack.queue(QUEUE, f"ipp://127.0.0.1:{self.port}/ipp/print/office?waitjob=false")
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)

    def start(self) -> None:
        """Start the gate and wait until it takes jobs."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program],
                cwd=self.site.root,
                env={**os.environ, "DLP_CONFIG": str(self.site.config), "TMPDIR": str(self.site.scratch())},
                stdout=log,
                stderr=log,
            )
        until(self._listens, "the gate takes print jobs", seconds=90, log=self.told)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.told()
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the gate and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def told(self) -> str:
        """Return the end of what the gate said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3_000:] + self.stack.log()[-2_000:]

    def lp(self, content: bytes, *options: str, name: str = "a.pdf", title: str = "") -> int:
        """Print a document to the queue that people use; return the number of its job in CUPS."""
        titled = ("-t", title) if title else ()
        return self.stack.lp(QUEUE, self.stack.file(name, content), options=(*titled, *options))

    def ask(self, op: int, *attributes: ipp.Attribute, body: bytes | None = None, user: str = "root") -> ipp.Message:
        """Ask the gate past CUPS, and return its answer; Refused where it says no."""
        where = Where.of(f"ipp://127.0.0.1:{self.port}/ipp/print/office")
        ours = (ipp.texts("printer-uri", Tag.URI, where.uri), ipp.texts("requesting-user-name", Tag.NAME, user))
        if body is None:
            return client.ask(where, op, *ours, *attributes)
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.flush()
            return client.ask(where, op, *ours, *attributes, body=Body(file.fileno(), len(body)))

    def jobs(self) -> tuple[Job, ...]:
        """Return every job of the gate, oldest first."""
        with closing(SqliteStore.open(self.site.state / "gate.db", create=False)) as store:
            return store.jobs()[::-1]

    def wait(self, count: int, *states: State) -> list[Job]:
        """Wait until so many jobs are in one of these states, and return them."""

        def there() -> list[Job]:
            found = [job for job in self.jobs() if job.state in states]
            return found if len(found) >= count else []

        return until(there, f"{count} jobs are {[state.value for state in states]}", seconds=60, log=self.told)

    def message(self, number: int) -> str:
        """Wait until a job of CUPS is cancelled, and return what is said there why."""
        job = self.stack.wait_for(number, "canceled")
        return str(job.get("job-printer-state-message", ""))

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the audit events of one kind."""
        return [event for event in self.site.json("audit", "export") if event["kind"] == kind]

    def receipts(self) -> list[str]:
        """Return the texts of the receipts."""
        folder = self.site.root / "说明"
        return [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())] if folder.is_dir() else []
