"""Jobs that wait in CUPS: found by looking, taken once each, and told there what became of them."""

from __future__ import annotations

import logging
import os
import pwd
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from dlp.config import Config
from dlp.errors import DlpError
from dlp.ipp import JobState
from dlp.model import State
from dlp.service.faults import trace
from dlp.service.gate import threads
from dlp.service.gateway import Gateway
from dlp.service.line import ACTOR, Line
from dlp.sources.cups import HELD_SECONDS
from dlp.sources.held import Escaped, HeldSource, Waiting
from dlp.store import JobFilter

LOG = logging.getLogger("dlp")
LOOK_SECONDS = 0.2
"""Between looks: CUPS has no event that a reader would get in time."""
SETTLE_SECONDS = 0.5
"""How long a job must have stood still: CUPS does not say whether its owner will send one more document."""
AGAIN_SECONDS = 5.0
"""After a job could not be taken, or CUPS did not answer."""
_TURNED_AWAY = (State.HELD, State.BLOCKED, State.FAILED, State.REJECTED, State.RETURNED, State.REDACTED)


class Collector:
    """Looks at both queues of one printer with mode "held"."""

    def __init__(self, config: Config, line: Line, source: HeldSource, gateway: Gateway) -> None:
        self._config, self._line, self._source, self._gateway = config, line, source, gateway
        self._user = pwd.getpwuid(os.geteuid()).pw_name
        self._taking = ThreadPoolExecutor(threads(config), thread_name_prefix="take")
        self._books: dict[str, str] = {}
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._seen: dict[str, tuple[int, float]] = {}
        self._said = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name=f"look-{source.spec.name}")

    def start(self) -> None:
        """Begin to look."""
        for job in self._line.store.each(only=JobFilter(source=self._source.name)):
            if job.item.origin and job.state is not State.REFUSED:
                self._books.setdefault(job.item.origin, job.id)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, and finish what is at work."""
        self._stop.set()
        self._thread.join(30)
        self._taking.shutdown(wait=True, cancel_futures=True)

    @property
    def is_well(self) -> bool:
        """Tell whether it still looks."""
        return self._thread.is_alive()

    def _keep_looking(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._source.waiting()
            except OSError as err:
                said = f"{self._source.name}: CUPS does not tell which jobs wait: {err}"
                if said != self._said:
                    LOG.warning(said)
                self._said = said
                self._stop.wait(AGAIN_SECONDS)
                continue
            self._said = ""
            for waiting in found:
                self._weigh(waiting)
            self._forget({waiting.ours.uuid for waiting in found})
            self._stop.wait(LOOK_SECONDS)

    def _weigh(self, waiting: Waiting) -> None:
        """Decide on one job that CUPS has: new, on its way, or settled and not yet told so."""
        key, now = waiting.ours.uuid, time.monotonic()
        if key in self._busy or now < self._not_before.get(key, 0.0):
            return
        job = self._line.store.get(self._books[key]) if key in self._books else None
        if job is not None and job.state is not State.REFUSED:
            if job.state in _TURNED_AWAY and waiting.ours.state == JobState.HELD:
                self._not_before[key] = now + HELD_SECONDS
                self._line.repeat(job)
            return
        if not self._is_for_us(waiting) or not self._stands_still(waiting, now):
            return
        self._busy.add(key)
        self._taking.submit(self._take, waiting)

    def _is_for_us(self, waiting: Waiting) -> bool:
        ours = waiting.ours
        if waiting.queue != self._source.out:
            return ours.state in (JobState.PENDING, JobState.HELD)
        own = ours.user == self._user and self._line.store.has(ours.title)
        return ours.state == JobState.HELD and not own

    def _stands_still(self, waiting: Waiting, now: float) -> bool:
        key, count = waiting.ours.uuid, waiting.ours.documents
        if self._seen.get(key, (0, 0.0))[0] != count:
            self._seen[key] = (count, now)
        return count > 0 and now - self._seen[key][1] >= SETTLE_SECONDS

    def _take(self, waiting: Waiting) -> None:
        source, key = self._source, waiting.ours.uuid
        try:
            arrival = source.arrival(waiting)
            if arrival is not None:
                job, plain = self._line.receive(arrival)
                self._books[key] = job.id
                self._gateway.settle(job, plain)
        except Escaped as err:
            LOG.critical("%s: %s; see its policy with `dlp print status`", source.name, err)
            self._line.store.note(actor=ACTOR, kind="escaped", job="", body={"cups": waiting.ours.id})
        except (DlpError, OSError) as err:
            why = err.say.to(self._config.site.language) if isinstance(err, DlpError) else str(err)
            LOG.error("%s: job %d of CUPS was not taken: %s", source.name, waiting.ours.id, why)  # noqa: TRY400
        except Exception as err:  # noqa: BLE001  a bug of ours: the job stays held in CUPS or sealed, others go on
            LOG.error("%s: a job was not taken because of an internal fault: %s", source.name, trace(err))  # noqa: TRY400
        finally:
            self._not_before[key] = time.monotonic() + AGAIN_SECONDS
            self._busy.discard(key)

    def _forget(self, there: set[str]) -> None:
        """Forget jobs that CUPS has not any more; the store knows them."""
        for known in (self._books, self._seen, self._not_before):
            for key in known.keys() - there - self._busy:
                known.pop(key, None)
