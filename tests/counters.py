"""The counter of a print shop, for tests: queues of one CUPS, and the commands that set them up and look at them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from pdf_makers import drawn, written
from print_stack import Printer, PrintStack, free_port, until
from sites import Place, lay

CLEAN = drawn(written("关于召开例会的通知\n请各科室按时参加。"))
SECRET = drawn(written("机密★10年\n关于某项工作的方案"))


class Counter:
    """One site on a CUPS with two printers. `office` takes PDF, `drum` only pixels.

    The gate serves every printer of `entries`; what the commands are told of is what a test names with `know`.
    """

    def __init__(self, stack: PrintStack, root: Path, **entries: str) -> None:
        self.stack = stack
        self.office = stack.printers.get("office") or stack.printer("office", more=("-2",))
        self.drum = stack.printers.get("drum") or stack.printer("drum", formats=("image/pwg-raster", "image/urf"))
        self.port = free_port()
        listen = f'[printing]\ncups = "{stack.socket}"\nport = {self.port}\n'
        self.entries = entries
        self.place: Place = lay(root, extra=listen, sections=list(entries.values()))
        self.known = root / "known.toml"
        self.conf = stack.conf
        self.know(*entries)

    def know(self, *names: str) -> None:
        """Give the commands a configuration with these printers only."""
        text = self.place.config.read_text(encoding="utf-8").partition("\n[[printers]]")[0]
        self.known.write_text("\n".join([text, *(self.entries[name] for name in names)]), encoding="utf-8")

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of the commands in this shop."""
        server = str(self.stack.root / "etc")
        return {**os.environ, "CUPS_SERVERROOT": server, "DLP_CONFIG": str(self.known), "LANG": "C.UTF-8"}

    def dlp(self, *args: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `dlp print ARGS`; `check` is the exit code that must come."""
        argv = [sys.executable, "-m", "dlp", "print", *args]
        done = subprocess.run(
            argv, cwd=self.place.root, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        if check is not None:
            assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.stack.log()}"
        return done

    def steps(self, *args: str) -> list[dict[str, Any]]:
        """Run `dlp print ARGS --json` and return its lines."""
        return [json.loads(line) for line in self.dlp(*args, "--json").stdout.splitlines()]

    def status(self, check: int | None = 0) -> dict[tuple[str, str], dict[str, Any]]:
        """Return every line of `dlp print status --json` by queue and what it is about."""
        rows = [json.loads(line) for line in self.dlp("status", "--json", check=check).stdout.splitlines()]
        return {(row["queue"] or "", row["what"]): row for row in rows}

    def ways(self, check: int | None = 0) -> dict[tuple[str, str], str]:
        """Return the state of every way around the gate."""
        return {key: row["state"] for key, row in self.status(check).items() if row["kind"] == "bypass"}

    def seen(self) -> dict[str, Any]:
        """Return everything that a person or a program can see of queues: texts, states, options, drivers, defaults."""
        shown = self.stack.run("lpstat", "-t", check=False).stdout  # it fails where there are no queues
        told: dict[str, Any] = {"lpstat": without_times(shown), "conf": self.stack.conf}
        for name in re.findall(r"^device for (\S+):", shown, re.MULTILINE):
            about = self.stack.queue_attributes(name)
            told[name] = {key: value for key, value in about.items() if key not in VOLATILE}
            ppd = self.stack.root / "etc/ppd" / f"{name}.ppd"
            told[f"{name}.ppd"] = ppd.read_bytes() if ppd.exists() else None
        return told

    def rest(self) -> None:
        """Wait until CUPS has closed its books on every job."""
        until(lambda: not self.stack.lpstat("-o"), "no job is open", log=self.stack.log)

    def clear(self) -> None:
        """Take away what a test has left, so that the next one finds an empty CUPS."""
        self.stack.run("cancel", "-a", check=False)
        for line in self.stack.run("lpstat", "-v", check=False).stdout.splitlines():
            self.stack.run("lpadmin", "-x", line.removeprefix("device for ").partition(":")[0], check=False)
        if self.stack.conf != self.conf:
            self.stack.conf = self.conf
        (self.place.state / "printing.json").unlink(missing_ok=True)


VOLATILE = {
    *("printer-config-change-date-time", "printer-config-change-time", "printer-current-time", "printer-up-time"),
    *("printer-state-change-date-time", "printer-state-change-time", "printer-id", "marker-change-time"),
    *("printer-uuid", "printer-strings-uri"),
}


def without_times(text: str) -> str:
    """Return what lpstat says without the moments of the last change."""
    return re.sub(r" since .*?( -)?$", "", text, flags=re.MULTILINE)


@contextmanager
def gate(shop: Counter) -> Iterator[None]:
    """Run the real gate of a shop until the block ends."""
    with (shop.place.root / "log").open("wb") as log:
        argv = [
            "setpriv",
            "--pdeathsig",
            "TERM",
            sys.executable,
            "-m",
            "dlp",
            "run",
            "--config",
            str(shop.place.config),
        ]
        process = subprocess.Popen(argv, cwd=shop.place.root, env=shop.env, stdout=log, stderr=log)
    try:
        until(lambda: listens(shop.port) or process.poll() is not None, "the gate listens", seconds=60)
        assert process.poll() is None, (shop.place.root / "log").read_text(encoding="utf-8", errors="replace")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def listens(port: int) -> bool:
    """Tell whether somebody takes connections at a port of this machine."""
    with closing(socket.socket()) as probe, suppress(OSError):
        probe.connect(("127.0.0.1", port))
        return True
    return False


def entry(name: str, onward: str, queue: str = "", **more: str) -> str:
    """Return the lines of one printer in the configuration."""
    rows = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    return f'\n[[printers]]\nname = "{name}"\nonward = "{onward}"\nqueue = "{queue or name}"\n{rows}'


def printed(printer: Printer) -> int:
    """Return how many documents a printer has been sent so far."""
    return len(printer.jobs())
