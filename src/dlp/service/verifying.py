"""A verification of the trail that runs while everybody works on: one at a time, in a thread with its own books."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from pathlib import Path

from dlp.config import Config
from dlp.errors import DlpError
from dlp.model import Say
from dlp.rights import Operation
from dlp.service import trail
from dlp.service.acting import Acting
from dlp.service.faults import trace
from dlp.service.trail import Verification
from dlp.store.sqlite import SqliteStore

LOG = logging.getLogger("dlp")


class Verifying:
    """The verification of one site. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.began = 0.0
        """When the one that runs, or ran last, began."""
        self.took = 0.0
        self.seen: Verification | None = None
        """What the last one saw."""
        self.failed: Say | None = None
        """Why the last one did not come to its end."""

    @property
    def runs(self) -> bool:
        """Tell whether one runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, acting: Acting) -> bool:
        """Begin, in the name of somebody; False where one runs already. Denied for who may not."""
        person = acting.may(Operation.AUDIT_VERIFY)
        with self._lock:
            if self.runs:
                return False
            self.began, self.seen, self.failed = time.time(), None, None
            self._thread = threading.Thread(target=self._verify, args=(person.id,), name="verify", daemon=True)
            self._thread.start()
        return True

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; tell whether it has."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.runs

    def _verify(self, person: str) -> None:
        try:
            with closing(SqliteStore.open(Path(self._config.store.path), create=False)) as own:
                seen = trail.verify(self._config, own)
                trail.told(own, person, seen)
                self.seen = seen
        except DlpError as err:
            self.failed = err.say
        except Exception as err:  # noqa: BLE001  a bug of ours: the console goes on, and the page says so
            LOG.error("the trail could not be verified because of an internal fault: %s", trace(err))  # noqa: TRY400
            self.failed = Say("程序内部错误，日志中有原因", "an internal fault; the log says why")
        finally:
            self.took = time.time() - self.began
