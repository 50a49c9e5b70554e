"""A printer whose jobs wait in CUPS, as they came, while they are screened: two queues, the second one locked.

People print to a stopped queue whose jobs are held. A job is moved to the locked queue first: from then on its owner
can add, change and release nothing. What is cleared is released there, after its documents were compared with what was
sealed; what is held or redacted prints from the vault, and the job in CUPS is cancelled with a message that says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dlp import durable, ipp
from dlp.ipp import Group, JobState, Op, Tag, client
from dlp.ipp.client import Refused
from dlp.model import Say
from dlp.sources import Arrival, Doubt, Found, TakenBack, bag, names, sheets
from dlp.sources.cups import Ours, queue_uri
from dlp.sources.printer import PrinterSource, Ticket, key_of, ticket_of, unsure, wishes

_RELEASE = "!"  # between queue and job in a place where a job is released, not sent
_CHUNK = 262_144


class Escaped(OSError):  # noqa: N818  what the job did
    """A job was not held any more after it was moved: it may have been printed without a verdict."""


class Waiting(NamedTuple):
    """A job in one of the two queues."""

    ours: Ours
    queue: str


class HeldSource(PrinterSource):
    """One `[[printers]]` entry with mode "held". Thread-safe."""

    @property
    def out(self) -> str:
        """Return the name of the locked queue."""
        return self.spec.onward.removeprefix("cups:")

    def waiting(self) -> tuple[Waiting, ...]:
        """Return the jobs in both queues; one that is being moved may come twice. OSError where CUPS is away."""
        queues = (self.spec.cups_queue, self.out)
        return tuple(Waiting(ours, queue) for queue in queues for ours in self.cups.open_jobs(queue))

    def arrival(self, waiting: Waiting) -> Arrival | None:
        """Bring a job to where its owner has no power over it, and return it; None when it is gone.

        OSError where CUPS does not answer or does not let us. Escaped: it got away.
        """
        number = waiting.ours.id
        if waiting.queue != self.out and not self._move(waiting.ours):
            return None
        about = self._known(number)
        if about is None or about.number("job-state") in (JobState.CANCELED, JobState.ABORTED):
            return None
        if about.number("job-state") != JobState.HELD or not _is_in(about, self.out):
            raise Escaped(f"job {number} of CUPS is not held in {self.out}")
        count = about.number("number-of-documents")
        formats = tuple(self._format(number, one + 1) for one in range(count)) if count > 1 else ()
        title = about.text("job-name")
        ticket = Ticket(title=title, wishes=wishes(about.attributes), cups=number, formats=formats)
        return Arrival(
            found=Found(source=self.name, key=key_of(ticket), shown=names.shown(title.replace("/", "∕").encode())),
            pieces=_reader(self._documents(number, formats)),
            owner=self.called(about.text("job-originating-user-name"), proven=self.spec.trusts_user),
            copies=about.number("copies", 1),
            paper=sheets.asked(about.attributes),
            origin=waiting.ours.uuid,
        )

    def begin(self, key: bytes, job: str, media: str, copies: int, *, apart: bool = False) -> str:
        """Return the place of the job in CUPS, or announce the copy that is printed in its stead; see `Onward`."""
        ticket = ticket_of(key)
        if apart and ticket.cups:
            self.turn_away(ticket.cups, "由文印闸另行打印 / printed by the gate itself")
        if apart or not ticket.cups:
            return super().begin(key, job, media, copies, apart=apart)
        self.check_media(ticket, media)
        about = self._known(ticket.cups)
        if about is not None and (about.number("copies", 1) != copies or wishes(about.attributes) != ticket.wishes):
            raise Doubt(_changed())
        formats = "+".join(ticket.formats)
        return f"{self.where.uri}{_RELEASE}{ticket.cups}{_RELEASE}{formats}"

    def send(self, place: str, body: int, *, fresh: bool) -> str:
        """Release the job in CUPS, or send what is printed in its stead; see `Onward`."""
        uri, mark, tail = place.partition(_RELEASE)
        if not mark:
            return super().send(place, body, fresh=fresh)
        if uri != self.where.uri:
            raise self.replaced(uri)
        number, _, formats = tail.partition(_RELEASE)
        self._release(int(number), tuple(formats.split("+")) if formats else (), body, fresh=fresh)
        return place

    def _release(self, number: int, formats: tuple[str, ...], body: int, *, fresh: bool) -> None:
        about = self._known(number)
        state = about.number("job-state") if about is not None else 0
        if about is None or state in (JobState.CANCELED, JobState.ABORTED):
            if fresh or (about is not None and not _was_printing(about)):
                raise TakenBack("CUPS")
            raise Doubt(unsure("CUPS 中的任务已取消或已不在", "the job in CUPS was cancelled or is gone"))
        if state != JobState.HELD:
            return  # released before a crash
        if self._sha256(number, formats) != durable.sha256_of(body):
            raise Doubt(_changed())
        try:
            self._ask(Op.RELEASE_JOB, ipp.integers("job-id", number))
        except Refused as err:
            raise self._no(err) from err

    # what lies in CUPS

    def _known(self, number: int) -> Group | None:
        try:
            return self._ask(Op.GET_JOB_ATTRIBUTES, ipp.integers("job-id", number)).group(Tag.JOB)
        except Refused as err:
            if err.status == ipp.Status.NOT_FOUND:
                return None
            raise

    def _move(self, ours: Ours) -> bool:
        """Hold a job and move it to the locked queue; False when it is gone.

        In this order, because a job that is not held prints where it is moved to.
        """
        there = ipp.texts("job-printer-uri", Tag.URI, queue_uri(self.out))
        always = ipp.texts("job-hold-until", Tag.KEYWORD, "indefinite")
        named = (
            ipp.texts("printer-uri", Tag.URI, queue_uri(self.spec.cups_queue)),
            ipp.integers("job-id", ours.id),
        )
        try:
            if ours.state != JobState.HELD:
                self.cups.ask(Op.HOLD_JOB, *named, always)
            self.cups.ask(Op.CUPS_MOVE_JOB, *named, job=(there,))
        except Refused as err:
            if err.status in (ipp.Status.NOT_FOUND, ipp.Status.NOT_POSSIBLE):
                return False
            raise
        return True

    def _documents(self, number: int, formats: tuple[str, ...]) -> Iterator[bytes]:
        """Give the bytes of a job: its document as it is, or all of them in a bag."""
        if not formats:
            return self._document(number, 1)
        return bag.pack((media, self._document(number, one)) for one, media in enumerate(formats, 1))

    def _document(self, number: int, document: int) -> Iterator[bytes]:
        with client.document(self.where, *self._named(number, document)) as (_, read):
            while piece := read(_CHUNK):
                yield piece

    def _format(self, number: int, document: int) -> str:
        with client.document(self.where, *self._named(number, document)) as (answer, _):
            return answer.group(Tag.JOB).text("document-format")

    def _named(self, number: int, document: int) -> tuple[ipp.Attribute, ...]:
        return (
            ipp.texts("printer-uri", Tag.URI, self.where.uri),
            ipp.integers("job-id", number),
            ipp.integers("document-number", document),
        )

    def _sha256(self, number: int, formats: tuple[str, ...]) -> str:
        digest = hashlib.sha256()
        for piece in self._documents(number, formats):
            digest.update(piece)
        return digest.hexdigest()


def _reader(pieces: Iterator[bytes]) -> Callable[[int], bytes]:
    kept = b""

    def read(size: int) -> bytes:
        nonlocal kept
        if not kept:
            kept = next(filter(None, pieces), b"")  # an empty piece is not the end
        taken, kept = kept[:size], kept[size:]
        return taken

    return read


def _is_in(about: Group, queue: str) -> bool:
    return about.text("job-printer-uri").rpartition("/")[2] == queue


def _was_printing(about: Group) -> bool:
    found = about.get("time-at-processing")
    return found is not None and found.values[0].tag == Tag.INTEGER


def _changed() -> Say:
    return Say(
        "CUPS 中的任务与检查过的不一致，未打印；核实后可再次放行，届时打印检查过的内容",
        "the job in CUPS is not what was screened and was not printed; released again, what was screened is printed",
    )
