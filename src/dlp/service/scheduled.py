"""The backups that a running gate makes by itself, in a thread of its own: jobs go on meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from dlp.config import Config
from dlp.errors import DlpError
from dlp.service import backup
from dlp.store.sqlite import SqliteStore

LOG = logging.getLogger("dlp")
ACTOR = "gate"
LOOK_SECONDS = 30.0
AGAIN_SECONDS = 600.0  # after a backup that could not be made


class Scheduled:
    """Makes a backup every so many hours, counted from the last one that lies in the folder."""

    def __init__(self, config: Config, store: SqliteStore, file: Path | None) -> None:
        self._config = config
        self._store = store
        self._file = file
        self._again = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, where the configuration asks for it."""
        if self._config.backup.every_hours and self._config.backup.folder is not None:
            self._thread = threading.Thread(target=self._run, name="backups", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End once the backup that is being made is done."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        while True:
            self.look()
            if self._stop.wait(LOOK_SECONDS):
                return

    def look(self) -> bool:
        """Make a backup if one is due; return whether one was made. What goes wrong is said, and tried again."""
        folder = Path(self._config.backup.folder or "")
        try:
            if time.monotonic() < self._again or not is_due(self._config, folder):
                return False
            made = backup.create_own(self._config, self._store, folder, file=self._file, actor=ACTOR)
            for _, path in backup.own_backups(folder)[: -self._config.backup.keep]:
                path.unlink()
        except (DlpError, OSError) as err:
            self._again = time.monotonic() + AGAIN_SECONDS
            why = err.say.en if isinstance(err, DlpError) else err.strerror
            LOG.error("no backup was made: %s", why)  # noqa: TRY400  no bug
            return False
        LOG.info("backup made: %s", made.path)
        return True


def is_due(config: Config, folder: Path, *, late: float = 1.0) -> bool:
    """Tell whether the last backup in a folder is older than it may be, `late` times over; OSError where unreadable."""
    if not folder.exists():
        return True
    own = backup.own_backups(folder)
    return not own or (datetime.now(UTC) - own[-1][0]).total_seconds() >= late * config.backup.every_hours * 3_600
