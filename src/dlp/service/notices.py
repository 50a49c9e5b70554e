"""Notices of a running gate: one thread reads the trail on, queues what somebody is told of, and sends it.

What is queued and how far the trail was read is one transaction: nothing is queued twice, nothing is left out. A notice
is marked as sent after a server took it: killed between the two, the gate sends it again (at least once, under the same
number). What no server takes stays queued, and is tried again ever more slowly.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from dlp.commissions import ORDERS
from dlp.config import Config
from dlp.copies import COPIES
from dlp.errors import DlpError, NotFound
from dlp.model import State, evolve
from dlp.notice import MARKS, NOTICES, QUEUED, SENT, Mark, Notice, kind_of
from dlp.service import lending, sending, trail
from dlp.service.sending import NotSentError
from dlp.store import EventFilter, Job
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore

LOG = logging.getLogger("dlp")
ACTOR = "gate"
LOOK_SECONDS = 1.0
OVERDUE_SECONDS = 600.0
COUNT_SECONDS = 86_400.0
VERIFY_SECONDS = 86_400.0
LONGEST_SECONDS = 3_600.0
BATCH = 200


class Notifier:
    """Tells people outside what happens at one gate; does nothing where the configuration names nobody."""

    def __init__(self, config: Config, store: SqliteStore) -> None:
        self._config = config
        self._store = store
        self._channels = sending.channels(config)
        self._seq = -1
        self._running = False
        self._failures: dict[str, int] = {}
        self._wait: dict[str, float] = {}
        self._overdue_at = self._count_at = self._verify_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; what happened before the very first beginning is told to nobody."""
        if self._channels:
            self._begin()
            self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Queue what happened until now, try once to send it, and end."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(self._config.notices.timeout_seconds + 5)
            self._thread = None
            self._turn()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._turn()

    def _turn(self) -> None:
        try:
            self.look()
            self.send()
        except DlpError as err:  # the books may be locked for a while: the next turn goes on from the same place
            LOG.error("notices wait: %s", err.say.en)  # noqa: TRY400  no bug

    def _begin(self) -> None:
        with self._store.change() as entry:
            mark = entry.find(MARKS, "mark")
            if mark is None:
                seq, _ = self._store.head()
                mark = entry.put(MARKS, Mark(seq=seq))
                entry.append(ACTOR, "notices-begun", "", {"channels": sorted(self._channels)})
        self._seq = mark.seq
        last = [self._store.find_events(EventFilter(kind=kind), limit=1, before=mark.seq + 1) for kind in _AT_WORK]
        started, stopped = (found[0].seq if found else 0 for found in last)
        self._running = started > stopped

    def look(self) -> None:
        """Queue notices of what the trail tells since the last look, and of what time alone brings."""
        if self._seq < 0:
            self._begin()
        found: list[Notice] = []
        last = self._seq
        for event in self._store.events(self._seq):
            job = self._job(event.job)
            kind = kind_of(event, job, running=self._running)
            self._running = {"started": True, "stopped": False}.get(event.kind, self._running)
            last = event.seq
            if kind in self._config.notices.kinds:
                at = datetime.fromisoformat(event.at).timestamp()
                found += self._to_all(f"{event.seq:012d}", kind, at=at, job=job)
            if len(found) >= BATCH:
                self._queue(found, last)
                found = []
        if found:
            self._queue(found, last)
        self._seq = last
        self._look_at_the_clock()

    def _queue(self, found: list[Notice], seq: int) -> None:
        with self._store.change() as entry:
            mark = entry.find(MARKS, "mark") or Mark(seq=0, version=0)
            if mark.seq < seq:
                entry.put(MARKS, evolve(mark, version=mark.version + 1, seq=seq))
                _put(entry, found)
        self._seq = seq

    def _look_at_the_clock(self) -> None:
        moment = time.monotonic()
        found: list[Notice] = []
        kinds = self._config.notices.kinds
        if "overdue" in kinds and moment >= self._overdue_at:
            self._overdue_at = moment + OVERDUE_SECONDS
            for copy in self._store.records(COPIES, RecordFilter(due_before=time.time())):
                state = f"{copy.number}/{copy.total}"
                found += self._to_all(
                    f"overdue-{copy.id}-{int(copy.due)}", "overdue", at=copy.due, job=self._job(copy.job), state=state
                )
            for order in self._store.records(ORDERS, RecordFilter(due_before=time.time())):
                name = f"overdue-{order.id}-{int(order.due)}"
                found += self._to_all(name, "overdue", at=order.due, job=self._job(order.job), state=order.what.value)
        if "copies-differ" in kinds and moment >= self._count_at:
            self._count_at = moment + COUNT_SECONDS
            for one in lending.reckonings(self._store):
                job = self._job(one.job)
                # Told anew each day until somebody has counted them; of what is on its way to the printer nobody can.
                if one.account.differs and job is not None and job.state is not State.RELEASING:
                    name = f"copies-{one.job}-{datetime.now(UTC):%Y%m%d}"
                    found += self._to_all(name, "copies-differ", at=time.time(), job=job)
        if "audit-broken" in kinds and moment >= self._verify_at:
            self._verify_at = moment + VERIFY_SECONDS
            seen = trail.verify(self._config, self._store)
            if not seen.holds:
                name = f"audit-{seen.broken_at or 0}-{datetime.now(UTC):%Y%m%d}"
                found += self._to_all(name, "audit-broken", at=time.time(), state=seen.faults[0].wrong.value)
        if not found:
            return
        with self._store.change() as entry:
            fresh = [one for one in found if entry.find(NOTICES, one.id) is None]
            if fresh:
                _put(entry, fresh)

    def _to_all(self, name: str, kind: str, *, at: float, job: Job | None = None, state: str = "") -> Iterator[Notice]:
        level = job.verdict.level if job is not None and job.verdict is not None else None
        for channel in self._channels:
            yield Notice(
                id=f"{name}-{kind}-{channel}",
                kind=kind,
                channel=channel,
                job=job.id if job else "",
                level=level.value if level else "",
                state=state or (job.state.value if job else ""),
                at=at,
            )

    def _job(self, id: str) -> Job | None:  # noqa: A002  the column's name
        try:
            return self._store.get(id) if id else None
        except NotFound:
            return None

    def send(self) -> None:
        """Send what is queued, oldest first; a channel that failed waits."""
        queued = self._store.records(NOTICES, RecordFilter(states=(QUEUED,)))
        for notice in sorted(queued, key=lambda one: (one.at, one.id)):
            send = self._channels.get(notice.channel)
            if send is None or time.monotonic() < self._wait.get(notice.channel, 0.0):
                continue
            try:
                send(notice)
            except NotSentError as err:
                self._failed(notice, err)
                continue
            self._failures.pop(notice.channel, None)
            with self._store.change() as entry:
                entry.put(NOTICES, evolve(notice, version=notice.version + 1, status=SENT, sent_at=entry.moment))
                entry.append(ACTOR, "notice-sent", notice.job, {"notice": notice.id})

    def _failed(self, notice: Notice, err: NotSentError) -> None:
        count = self._failures.get(notice.channel, 0) + 1
        self._failures[notice.channel] = count
        pause = min(LONGEST_SECONDS, self._config.notices.retry_seconds * 2 ** min(count - 1, 12))
        self._wait[notice.channel] = time.monotonic() + pause
        LOG.warning("%s; again in %.0f s", err.say.en, pause)
        if count == 1:  # the trail tells of an outage once
            self._store.note(actor=ACTOR, kind="notice-failed", job="", body={"channel": notice.channel})


_AT_WORK = ("started", "stopped")


def _put(entry: Entry, found: list[Notice]) -> None:
    for notice in found:
        entry.put(NOTICES, notice)
    entry.append(ACTOR, "notices", "", {"queued": len(found)})
