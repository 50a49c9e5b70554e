"""The console as a child of the gate: another process, so that no fault and no load of it is the gate's.

It ends when the gate ends, because it reads a pipe that only the gate holds. Where it dies, it is started again, later
each time; the gate never waits for it and never stops because of it.
"""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from dlp.config import Config
from dlp.service.people import People
from dlp.store.sqlite import SqliteStore

LOG = logging.getLogger("dlp")
FIRST_WAIT, LONGEST_WAIT = 2.0, 300.0
GRACE = 5.0


class Attended:
    """The console of one gate."""

    def __init__(self, config: Config, store: SqliteStore, file: Path | None, *, demo: bool) -> None:
        self._command = [sys.executable, "-m", "dlp", "console", "--attached"]
        if file is not None:
            self._command += ["--config", str(file)]
        self._wanted = config.console.port != 0
        self._store = store
        self._spec = config.people
        self._demo = demo
        self._first = secrets.token_urlsafe(24)
        self._child: subprocess.Popen[str] | None = None
        self._renewing = False
        self._at = 0.0
        self._wait = FIRST_WAIT

    @property
    def first(self) -> str:
        """Return the key of the link that makes the first accounts; empty where there are some."""
        return "" if People(self._store, self._spec).exist else self._first

    def look(self) -> None:
        """Start it where it does not run and its time has come. Called again and again by the gate."""
        if not self._wanted or (self._child is not None and self._child.poll() is None):
            return
        now = time.monotonic()
        if self._child is not None and not self._renewing:
            LOG.error("the console ended (exit %s); it is started again in %.0f s", self._child.returncode, self._wait)
            self._at = now + self._wait
            self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._child, self._renewing = None, False
        if now < self._at:
            return
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, text=True)
        assert self._child.stdin is not None  # noqa: S101  it was asked for
        with suppress(OSError):  # it died at once: the next look says so
            self._child.stdin.write(json.dumps({"first": self._first, "demo": self._demo}) + "\n")
            self._child.stdin.flush()

    def renew(self) -> None:
        """End it so that the next look starts it with what the configuration says now."""
        if self._child is not None and self._child.stdin is not None:
            self._renewing = True
            with suppress(OSError):
                self._child.stdin.close()

    def stop(self) -> None:
        """End it."""
        child, self._child = self._child, None
        self._wanted = False
        if child is None or child.stdin is None:
            return
        try:
            child.stdin.close()
            child.wait(GRACE)
        except (OSError, subprocess.TimeoutExpired):
            child.kill()
            child.wait()
