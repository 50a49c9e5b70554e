"""What the requests of one console share: the configuration, the books, who watches, and what opens the first door."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlp.config import Config
from dlp.sandbox import Sandbox
from dlp.service.desk import Desk
from dlp.service.evidence import Cache
from dlp.service.gate import sandbox_of
from dlp.service.people import People
from dlp.service.redacting import Drafts
from dlp.service.verifying import Verifying
from dlp.store.sqlite import SqliteStore


class Console:
    """One console of one site. Thread-safe: requests run in threads."""

    def __init__(
        self, config: Config, store: SqliteStore, *, first: str = "", demo: bool = False, file: Path | None = None
    ) -> None:
        self.config = config
        self.file = file
        """Where the configuration was read from: a backup takes it along."""
        self.verifying = Verifying(config)
        self.store = store
        self.demo = demo
        """A gate that shows itself: it may lay out invented people."""
        self.pages = Cache()
        """Pages that were drawn, in memory."""
        self.drafts = Drafts()
        """What reviewers prepare to cut, in memory."""
        self._first = first
        self._sandbox: Sandbox | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, config: Config, *, first: str = "", demo: bool = False, file: Path | None = None) -> Console:
        """Open the console of a site; StoreError where nothing has started there yet."""
        return cls(config, SqliteStore.open(Path(config.store.path), create=False), first=first, demo=demo, file=file)

    def desk(self, token: str) -> Desk:
        """Return the desk for whoever is known by a token; Denied for one that is known no more. Not to be closed."""
        return Desk(self.config, self.store, token)

    @property
    def people(self) -> People:
        """Return the people of the site."""
        return People(self.store, self.config.people)

    def opens(self, key: str) -> bool:
        """Tell whether a key is that of the one-time link, and nobody has gone through it yet."""
        return bool(self._first) and hmac.compare_digest(key.encode(), self._first.encode()) and not self.people.exist

    @contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        """Give the sandbox in which pages are drawn: it stays warm, so that a page costs its own time only."""
        with self._lock:
            if self._sandbox is None:
                made = sandbox_of(self.config)
                made.start()
                self._sandbox = made
            held = self._sandbox
        yield held

    def close(self) -> None:
        """Close what it has open."""
        with self._lock:
            if self._sandbox is not None:
                self._sandbox.close()
                self._sandbox = None
        self.store.close()
