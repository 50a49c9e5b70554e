"""A printer behind the gate: what it says of itself, and how a cleared job reaches it exactly once."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from dlp import durable, ipp
from dlp.config import Printer, Printing
from dlp.errors import DlpError
from dlp.ipp import Attribute, Group, JobState, Message, Op, Status, Tag, client, codec
from dlp.ipp.client import Body, NotConnected, Refused, Unreachable, Where
from dlp.model import Frozen, Say
from dlp.sources import Doubt, Found, Onward, ReleaseError, Void, bag, names, receipts
from dlp.sources.cups import Cups, queue_path, queue_uri

FRESH_SECONDS = 30.0
"""How long what a printer said of itself is passed on without asking again."""
BUSY_SECONDS = 600.0
"""How long a printer may be busy with other jobs before this one is put back."""
DOWN_SECONDS = 5.0
"""How long a printer that did not answer is left in peace."""
_BUSY_LOOK_SECONDS = 0.2
_BAG = "+"  # at the end of a place: what is sent there is a bag of documents
PDF = "application/pdf"
STREAM = "application/octet-stream"
PJL = "application/vnd.hp-pjl"
UEL = b"\x1b%-12345X"
SENSED = frozenset({PJL})
"""Streams that name their own language: a printer that looks for itself knows whether it can print them."""
CARRIED = frozenset(
    {
        *("copies", "finishings", "finishings-col", "media", "media-col", "multiple-document-handling", "number-up"),
        *("orientation-requested", "output-bin", "output-mode", "overrides", "page-delivery", "page-ranges"),
        *("presentation-direction-number-up", "print-color-mode", "print-content-optimize", "print-darkness"),
        *("print-quality", "print-rendering-intent", "print-scaling", "printer-resolution", "sides"),
        *("x-image-position", "y-image-position", "job-pages-per-set", "job-finishings", "feed-orientation"),
        # of CUPS alone, for jobs that go on to a queue of CUPS
        *("PageSize", "InputSlot", "MediaType", "ColorModel", "Duplex", "OutputBin", "fit-to-page", "fitplot"),
        *("mirror", "page-border", "page-set", "outputorder", "landscape", "number-up-layout", "natural-scaling"),
        *("scaling", "position", "ppi", "cpi", "lpi", "columns", "wrap", "prettyprint", "page-top", "page-bottom"),
        *("page-left", "page-right"),
    }
)
"""Wishes of a job that reach the printer; anything else of it stays here, its title above all."""


class Ticket(Frozen, frozen=True, kw_only=True):
    """What came with a print job: the opaque key of the source. It is sealed, because a title can hold a secret."""

    title: str
    wishes: bytes = b""
    """Attributes of the job, as an encoded message."""
    cups: int = 0
    """Its number in CUPS; 0: it did not come from there."""
    formats: tuple[str, ...] = ()
    """Of each of its documents, where it has several and is sealed as a bag of them."""


def ticket_of(key: bytes) -> Ticket:
    """Return the ticket in the key of a found job."""
    return msgspec.msgpack.decode(key, type=Ticket)


def key_of(ticket: Ticket) -> bytes:
    """Return a ticket as the key of a found job."""
    return msgspec.msgpack.encode(ticket)


def wishes(attributes: tuple[Attribute, ...]) -> bytes:
    """Return the attributes of a job that are carried on, as bytes."""
    kept = tuple(one for one in attributes if one.name in CARRIED)
    return codec.encode(Message(0, 0, (Group(Tag.JOB, kept),)))


class PrinterSource(Onward):
    """One `[[printers]]` entry as a source. Thread-safe."""

    def __init__(self, spec: Printer, printing: Printing, *, state: Path, key: bytes) -> None:
        self.spec = spec
        self.name = spec.source
        self.owner = spec.owner
        self.target = spec.target or spec.cups_queue
        self.stamp = spec.stamp
        self.cups = Cups(printing.cups)
        self._key = key
        self._about = state / f"{spec.name}.ipp"
        self._lock = threading.Lock()
        self._seen: tuple[float, Group] | None = None
        self._down_until = 0.0
        self._untouched: set[str] = set()
        self._looked = False
        self._to_tell: queue.Queue[tuple[int, str] | None] = queue.Queue()
        if spec.onward.startswith("cups:"):
            out = spec.onward.removeprefix("cups:")
            self.where = Where.cups(str(printing.cups), queue_path(out), queue_uri(out))
        else:
            self.where = Where.of(spec.onward)

    # what the printer says of itself

    def answers(self) -> bool:
        """Tell whether the printer answers now."""
        try:
            self._describe()
        except (Unreachable, Refused):
            return False
        return True

    def attributes(self) -> Group | None:
        """Return what the printer says of itself: now, or when it last answered; None when it never did."""
        with self._lock:
            if self._seen is not None and time.monotonic() - self._seen[0] < FRESH_SECONDS:
                return self._seen[1]
            try:
                answer = self._describe()
            except (Unreachable, Refused):
                group = self._seen[1] if self._seen is not None else self._kept()
            else:
                group = answer.group(Tag.PRINTER)
                if self._seen is None or group != self._seen[1]:
                    self._keep(answer)
            if group is not None:
                self._seen = (time.monotonic(), group)
            return group

    def _describe(self) -> Message:
        return client.ask(
            self.where,
            Op.GET_PRINTER_ATTRIBUTES,
            ipp.texts("printer-uri", Tag.URI, self.where.uri),
            ipp.texts("requested-attributes", Tag.KEYWORD, "all", "media-col-database"),
        )

    def takes(self, media: str) -> bool:
        """Tell whether the printer takes documents of a type. What never answered is believed to take PDF."""
        about = self.attributes()
        taken = about.texts("document-format-supported") if about is not None else (PDF,)
        return media in map(str.lower, taken)

    def _kept(self) -> Group | None:
        with suppress(OSError, codec.Malformed):
            return codec.decode(self._about.read_bytes())[0].group(Tag.PRINTER)
        return None

    def _keep(self, answer: Message) -> None:
        """Keep what it said: a queue can be made, and jobs taken, while the printer is off."""
        with suppress(OSError):
            durable.replace(self._about, codec.encode(answer))

    # handing a job on

    def begin(self, key: bytes, job: str, media: str, copies: int, *, apart: bool = False) -> str:  # noqa: ARG002
        """Announce a job to the printer; see `Onward`."""
        if time.monotonic() < self._down_until:
            raise self._away()
        ticket = ticket_of(key)
        self.check_media(ticket, media)
        if (place := self._left_over(job)) is not None:
            return place
        about = (ipp.texts("job-name", Tag.NAME, job),)
        kept, counted = _wanted(ticket), ipp.integers("copies", copies)
        try:
            answer = self._ask(Op.CREATE_JOB, *about, job=(*kept, counted))
        except Refused as err:
            # What it does not know at all, it says by name; a queue that prints would leave those away too.
            kept = ipp.without(kept, err.unsupported) if err.unsupported else ()
            try:
                answer = self._ask(Op.CREATE_JOB, *about, job=(*kept, counted))
            except Refused as again:
                raise self._no(again) from again
        place = f"{self.where.uri}#{answer.group(Tag.JOB).number('job-id')}{_BAG if ticket.formats else ''}"
        self._untouched.add(place)
        return place

    def check_media(self, ticket: Ticket, media: str) -> None:
        """Return when the printer takes every document of a job; Doubt when it does not."""
        for one in ticket.formats or (media,):
            if not self.takes(one) and not (one in SENSED and self.takes(STREAM)):
                raise Doubt(
                    Say(
                        f"打印机不能直接打印此类文件（{one}），未打印；请转为 PDF 后重新送打",
                        f"the printer takes no {one}, so it was not printed: submit it as PDF",
                    )
                )

    def _left_over(self, job: str) -> str | None:
        """Return the place of a job that an earlier run announced and did not live to note; None when there is none.

        It can only be the first that is sent. A printer that takes one job at a time would be busy with it for ever.
        """
        if self._looked:
            return None
        wanted = ipp.texts("requested-attributes", Tag.KEYWORD, "job-id", "job-name", "number-of-documents")
        try:
            told = self._ask(Op.GET_JOBS, wanted)
        except Refused:
            told = None  # it does not list them
        self._looked = True
        for one in told.all(Tag.JOB) if told is not None else ():
            if one.text("job-name") == job and one.number("number-of-documents") == 0:
                place = f"{self.where.uri}#{one.number('job-id')}"
                self._untouched.add(place)
                return place
        return None

    def send(self, place: str, body: int, *, fresh: bool) -> str:
        """Send the bytes of a job that was announced; see `Onward`."""
        uri, _, tail = place.rpartition("#")
        if uri != self.where.uri:
            raise self.replaced(uri)
        number, several = int(tail.removesuffix(_BAG)), tail.endswith(_BAG)
        there = 0 if fresh else self._there(place, number)
        if there is None:
            return place
        if not several:
            self._send_document(place, number, body, last=True)
            return place
        with bag.unpack(body, there) as documents:
            for document, last in documents:
                self._send_document(place, number, document, last=last)
        return place

    def _send_document(self, place: str, number: int, body: int, *, last: bool) -> None:
        about = (
            ipp.integers("job-id", number),
            ipp.texts("document-format", Tag.MEDIA_TYPE, self._media(body)),
            ipp.flag("last-document", value=last),
        )
        untouched = place in self._untouched
        self._untouched.discard(place)
        try:
            self._ask(Op.SEND_DOCUMENT, *about, body=Body(body, os.fstat(body).st_size))
        except Refused as err:
            raise self._no(err) from err
        except ReleaseError as err:
            if untouched and isinstance(err.__cause__, NotConnected):
                self._untouched.add(place)
            raise

    def _media(self, body: int) -> str:
        """Return the type that the printer is told: what it cannot mistake, else that it must look for itself."""
        head = os.pread(body, len(UEL), 0)
        if head.startswith(b"%PDF-"):
            return PDF
        return PJL if head == UEL and self.takes(PJL) else STREAM

    def replaced(self, uri: str) -> Doubt:
        """Return what it means that a job was sent to another printer than the one of today."""
        return Doubt(unsure(f"配置中的打印机已更换（原为 {uri}）", f"the printer was {uri} when it was sent"))

    def _ask(self, op: Op, *about: Attribute, job: tuple[Attribute, ...] = (), body: Body | None = None) -> Message:
        """Ask the printer, again while it is busy; Refused where it says no, ReleaseError where it does not answer."""
        deadline = time.monotonic() + BUSY_SECONDS
        ours = (
            ipp.texts("printer-uri", Tag.URI, self.where.uri),
            ipp.texts("requesting-user-name", Tag.NAME, "wenyin-gate"),
        )
        while True:
            try:
                return client.ask(self.where, op, *ours, *about, job=job, body=body)
            except Refused as err:
                if err.status != Status.BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise self._no(err) from err
            except Unreachable as err:
                self._down_until = time.monotonic() + DOWN_SECONDS
                raise self._away() from err
            time.sleep(_BUSY_LOOK_SECONDS)  # a printer has no event for it: the standard says to ask again

    def _there(self, place: str, number: int) -> int | None:
        """Return how many documents the printer has of a job that was announced to it before; None: it has the job.

        Doubt where it cannot say.
        """
        try:
            about = self._ask(Op.GET_JOB_ATTRIBUTES, ipp.integers("job-id", number)).group(Tag.JOB)
        except Refused as err:
            if err.status != Status.NOT_FOUND:
                raise self._no(err) from err
            about = None
        state = about.number("job-state") if about is not None else 0
        if about is None or state in (JobState.CANCELED, JobState.ABORTED):
            if place in self._untouched:  # not one byte was sent
                self._untouched.discard(place)
                raise Void(*_gone(self.where.uri))
            zh, en = _FORGOTTEN if about is None else _ENDED
            raise Doubt(unsure(zh, en))
        waits = state in (JobState.PENDING, JobState.HELD) and _INCOMING & set(about.texts("job-state-reasons"))
        return about.number("number-of-documents") if waits else None

    def _away(self) -> ReleaseError:
        return ReleaseError(*_gone(self.where.uri))

    def _no(self, err: Refused) -> DlpError:
        """Return what a refusal means: to wait, or that a person must look because it will be refused again."""
        code, uri = f"0x{err.status:04x}", self.where.uri
        say = Say(f"打印机拒收任务：{uri}（{code}）", f"the printer {uri} refuses the job ({code})")
        if err.status >= Status.INTERNAL_ERROR or err.status in _MAY_CHANGE:
            hint = Say(
                "检查打印机是否停用或权限是否变化；随后自动重试",
                "see whether it is stopped or its policy changed; it is tried again by itself",
            )
            return ReleaseError(say, hint)
        return Doubt(Say(f"{say.zh}，未打印；处理后可再次放行", f"{say.en}; not printed: mend it and release it again"))

    # telling the operator

    def called(self, user: str, *, proven: bool) -> str:
        """Return how the owner of a job is shown: a name that nobody proved is marked so."""
        return user if proven else f"{names.shown(os.fsencode(user))}（未核实）"

    def remove(self, found: Found) -> bool:  # noqa: ARG002  the sender keeps its own copy until it is answered
        """Return True: a print job lies nowhere but here once it was taken."""
        return True

    def tell(self, key: bytes, name: str, text: str, job: str, brief: str = "") -> str | None:
        """Leave the receipt in the folder for it, and have CUPS say at the job why it was not printed."""
        number = ticket_of(key).cups
        if number and brief:
            self.turn_away(number, brief)
        if self.spec.receipts is None:
            return None
        self.spec.receipts.mkdir(parents=True, exist_ok=True)
        folder = durable.open_folder(self.spec.receipts, ())
        try:
            return receipts.write(folder, name, text, job, self._key)
        finally:
            os.close(folder)

    def turn_away(self, number: int, why: str) -> None:
        """Have a job of CUPS cancelled soon, with the reason, where it is still open then."""
        self._to_tell.put((number, why))

    def tellings(self) -> Iterator[tuple[int, str]]:
        """Give the jobs of CUPS that are to be turned away, and why, as they come; ends with `stop_telling`."""
        while (told := self._to_tell.get()) is not None:
            yield told

    def stop_telling(self) -> None:
        """End `tellings`."""
        self._to_tell.put(None)


_MAY_CHANGE = (Status.FORBIDDEN, Status.NOT_AUTHENTICATED, Status.NOT_AUTHORIZED, Status.NOT_POSSIBLE)
_INCOMING = frozenset({"job-incoming", "job-data-insufficient"})
"""What printers say of a job that was announced and whose document has not come."""
_FORGOTTEN = ("打印机已不记得该任务", "the printer does not remember the job any more")
_ENDED = ("打印机上的任务已取消或中止", "the printer cancelled or aborted the job")


def _gone(uri: str) -> tuple[Say, Say]:
    return (
        Say(f"打印机联系不上：{uri}", f"the printer does not answer: {uri}"),
        Say("恢复后自动打印一次；文件已密封保存", "it prints once by itself when the printer is back"),
    )


def unsure(zh: str, en: str) -> Say:
    """Return what a person reads where nobody can tell whether a job was printed."""
    return Say(
        f"{zh}，无法确认是否已打印；请到打印机核对，未打印的可再次放行",
        f"{en}, so nobody can tell whether it was printed: look at the printer, and release it again if it was not",
    )


def _wanted(ticket: Ticket) -> tuple[Attribute, ...]:
    """Return what a job asks of the printer, all but the number of copies: that one is in the books."""
    raw = ticket.wishes
    return ipp.without(codec.decode(raw)[0].group(Tag.JOB).attributes, frozenset({"copies"})) if raw else ()
