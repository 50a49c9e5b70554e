"""What is asked of the CUPS beside this gate: whose job it is sending, and to say why a job was not printed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from dlp import ipp
from dlp.ipp import JobState, Op, Tag, client
from dlp.ipp.client import Refused, Unreachable, Where

HELD_SECONDS = 30.0
"""How long CUPS may take to note that its job was not accepted."""
_LOOK_SECONDS = 0.05
_KEPT = 4
"""Looks in a row that must find what was said still there."""
_OPEN = (JobState.PENDING, JobState.HELD, JobState.PROCESSING, JobState.STOPPED)
_WANTED = (
    "job-id",
    "job-uuid",
    "job-state",
    "job-name",
    "job-originating-user-name",
    "job-originating-host-name",
    "number-of-documents",
    "time-at-completed",
)


class Ours(NamedTuple):
    """A job as CUPS knows it."""

    id: int
    uuid: str
    state: int
    title: str
    user: str
    host: str
    documents: int
    ended: int
    """When it was finished; it stays where somebody has it printed again. 0: never yet."""


class Cups:
    """CUPS behind its socket file."""

    def __init__(self, socket: Path) -> None:
        self._where = Where.cups(str(socket))
        self._socket = socket

    @property
    def is_there(self) -> bool:
        """Tell whether there is a socket; whether somebody listens there is seen at the first question."""
        return self._socket.exists()

    def ask(self, op: Op, *about: ipp.Attribute, job: tuple[ipp.Attribute, ...] = ()) -> ipp.Message:
        """Return the answer to one operation; Refused where it is no success, Unreachable where there is none."""
        return client.ask(self._where, op, *about, job=job)

    def open_jobs(self, queue: str) -> tuple[Ours, ...]:
        """Return the jobs of a queue that are not finished, oldest first. OSError where CUPS does not answer."""
        answer = client.ask(
            self._where,
            Op.GET_JOBS,
            ipp.texts("printer-uri", Tag.URI, queue_uri(queue)),
            ipp.texts("which-jobs", Tag.KEYWORD, "not-completed"),
            ipp.texts("requested-attributes", Tag.KEYWORD, *_WANTED),
        )
        return tuple(sorted((_job(group) for group in answer.all(Tag.JOB)), key=lambda job: job.id))

    def sending(self, queue: str) -> Ours | None:
        """Return the one job of a queue that its backend is at; None where that is not known."""
        if not self.is_there:
            return None
        try:
            jobs = [job for job in self.open_jobs(queue) if job.state == JobState.PROCESSING]
        except (Unreachable, Refused):
            return None
        return jobs[0] if len(jobs) == 1 else None

    def turn_away(self, job: int, why: str) -> bool:
        """Say at a job why it was not printed, and cancel it; False where it is not there any more.

        The backend was answered that the job must wait, so CUPS holds it; before it does, it would overwrite what is
        said. OSError where CUPS does not answer.
        """
        deadline = time.monotonic() + HELD_SECONDS
        target = (ipp.texts("printer-uri", Tag.URI, "ipp://localhost/"), ipp.integers("job-id", job))
        said = ipp.texts("job-printer-state-message", Tag.TEXT, why)
        kept = 0
        while kept < _KEPT:
            about = self._about(job)
            state = about.number("job-state")
            if state not in _OPEN or time.monotonic() > deadline:
                return False
            if state == JobState.HELD and about.text("job-printer-state-message") == said.values[0].text:
                kept += 1  # once CUPS has closed its books on the backend, nothing overwrites it any more
            elif state == JobState.HELD:
                kept = 0
                client.ask(self._where, Op.SET_JOB_ATTRIBUTES, *target, job=(said,))
            time.sleep(_LOOK_SECONDS)  # CUPS has no event that a waiting reader would get in time
        client.ask(self._where, Op.CANCEL_JOB, *target)
        return True

    def send_again(self, job: int, uuid: str) -> bool:
        """Have CUPS send a job again that it believes to have sent; False where it does not believe so.

        Its backend takes a connection that ends before the answer for success, so what the gate had in hand when it
        was killed counts as printed there. OSError where CUPS does not answer or has not kept the document.
        """
        about = self._about(job, "job-uuid")
        if about.number("job-state") != JobState.COMPLETED or about.text("job-uuid") != uuid:
            return False
        client.ask(self._where, Op.RESTART_JOB, ipp.texts("job-uri", Tag.URI, f"ipp://localhost/jobs/{job}"))
        return True

    def _about(self, job: int, *more: str) -> ipp.Group:
        try:
            answer = client.ask(
                self._where,
                Op.GET_JOB_ATTRIBUTES,
                ipp.texts("job-uri", Tag.URI, f"ipp://localhost/jobs/{job}"),
                ipp.texts("requested-attributes", Tag.KEYWORD, "job-state", "job-printer-state-message", *more),
            )
        except Refused:
            return ipp.Group(Tag.JOB)
        return answer.group(Tag.JOB)


def queue_path(queue: str) -> str:
    """Return the path under which CUPS serves a queue of its own, whatever its name."""
    return f"/printers/{quote(queue, safe='')}"


def queue_uri(queue: str) -> str:
    """Return the name by which CUPS knows a queue of its own."""
    return f"ipp://localhost{queue_path(queue)}"


def _job(group: ipp.Group) -> Ours:
    return Ours(
        id=group.number("job-id"),
        uuid=group.text("job-uuid"),
        state=group.number("job-state"),
        title=group.text("job-name"),
        user=group.text("job-originating-user-name"),
        host=group.text("job-originating-host-name"),
        documents=group.number("number-of-documents"),
        ended=group.number("time-at-completed"),
    )
