"""The printer that queues see: takes jobs over IPP, has each screened, and sends what is cleared to the real printer.

A job is sealed in the vault before it is answered, so whoever sent it may forget it. One event loop holds every
connection; jobs are sealed and inspected by threads; each printer has one thread that sends cleared jobs in order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from dlp import ipp
from dlp.config import Config
from dlp.errors import DlpError
from dlp.ipp import Group, JobState, Message, Op, Status, Tag, codec, http
from dlp.ipp.client import Refused
from dlp.ipp.http import Answer, Broken, Bytes, Request
from dlp.model import Action, Outcome, State
from dlp.service import front, receipt
from dlp.service.faults import trace
from dlp.service.gate import threads
from dlp.service.line import TURNED_AWAY, Line
from dlp.sources import Arrival, Found, ReleaseError, names, sheets
from dlp.sources.cups import Ours
from dlp.sources.printer import PDF, STREAM, PrinterSource, Ticket, key_of, wishes
from dlp.store import Job

K = TypeVar("K")
V = TypeVar("V")
LOG = logging.getLogger("dlp")
FIRST_BYTES = 262_144
"""Of a document that are here before a thread is given to it: a slow sender of a small job holds nobody up."""
SEALING = 16
"""Jobs that are sealed at once."""
BODIES = 64
"""Documents that are read at once; what else is sent waits in its connection."""
MOST_JOBS = 10_000
"""Jobs that a client may still ask about."""
MOST_COPIES = 9_999
UNTITLED = "（无标题）"
BUSY_SECONDS = 5.0
"""How long whoever sends is kept waiting when a job cannot be sealed now, such as on a full disk."""
LOOK_SECONDS = 2.0
"""Between looks for jobs that somebody else cleared, such as a reviewer."""
DOUBLE_SECONDS = 86_400.0
"""How long after a crash a job may still be sent a second time by whoever got no answer."""


class _Sheet:
    """A job as its client knows it."""

    def __init__(self, number: int, source: PrinterSource, operation: Group, attributes: Group) -> None:
        self.number = number
        self.source = source
        self.title = operation.text("job-name", UNTITLED)
        self.user = operation.text("requesting-user-name", "anonymous")
        self.copies = attributes.number("copies", 1)
        self.wishes = wishes(attributes.attributes)
        self.paper = sheets.asked(attributes.attributes)
        self.ours: Ours | None = None
        self.job = ""
        self.state = JobState.PENDING
        self.said = ""


class Sent(NamedTuple):
    """A document on its way in, whatever the protocol: for which printer, what is known of it, and its bytes."""

    source: PrinterSource
    title: str
    user: str
    copies: int
    wishes: bytes
    body: Bytes
    ours: Ours | None = None
    """The job of the CUPS beside this gate that it is."""
    paper: str = ""
    """As `Item.paper`."""


class Known(NamedTuple):
    """A job that was taken, and what will be its outcome; None for one that an earlier run settled."""

    job: Job
    settled: asyncio.Future[Outcome | None] | None


class _Reply(NamedTuple):
    status: int
    groups: tuple[Group, ...] = ()
    said: str = ""
    sent: Callable[[], None] | None = None


class Gateway:
    """Listens for jobs of every configured printer."""

    def __init__(
        self, config: Config, line: Line, sources: Mapping[str, PrinterSource], report: Callable[[Outcome], None]
    ) -> None:
        self.config = config
        self._line = line
        self._sources = {source.spec.name: source for source in sources.values()}
        self._report = report
        self._loop = asyncio.new_event_loop()
        self._server = http.Server(self._answer, connections=config.printing.connections)
        self._sealing = ThreadPoolExecutor(SEALING, thread_name_prefix="seal")
        self._settling = ThreadPoolExecutor(threads(config), thread_name_prefix="print")
        self._asking = ThreadPoolExecutor(4, thread_name_prefix="ask")
        self._bodies = asyncio.Semaphore(BODIES)
        self._sheets: OrderedDict[int, _Sheet] = OrderedDict()
        self._number = int(time.time()) & 0x3FFFFFFF  # beyond every number that an earlier run gave
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._unsure: dict[tuple[str, str], str] = {}
        self._expected = Path(config.store.path).parent / "expected"
        self._wake = {source.name: threading.Event() for source in sources.values()}
        self._waits: dict[str, str] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port = 0

    def start(self) -> int:
        """Listen and send; return the port. OSError when the address is taken."""
        ports = 1 + sum(bool(one.spec.raw_port) for one in self.printers) + bool(self.config.printing.lpd_port)
        _allow_connections(self.config.printing.connections * ports)
        self._remember()
        self._expected.mkdir(mode=0o700, exist_ok=True)
        missed = sorted(self._expected.iterdir())
        loop = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        loop.start()
        printing = self.config.printing
        self.port = self.call(self._server.start(printing.listen, printing.port))
        for source in self._sources.values():
            self._threads += [
                threading.Thread(target=self._keep_sending, args=(source,), name=f"send-{source.spec.name}"),
                threading.Thread(target=self._keep_telling, args=(source,), name=f"tell-{source.spec.name}"),
            ]
        for thread in self._threads:
            thread.start()
        self._threads.append(loop)
        self._asking.submit(self._ask_again, missed)
        for source in self._sources.values():
            if source.spec.mode == "gateway":
                self._asking.submit(self._tell_again, source)
        return self.port

    def call(self, work: Coroutine[Any, Any, V]) -> V:
        """Return what a coroutine gives that runs in the loop of all connections."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """Stop listening, finish what is at work, and leave the rest as it is committed."""
        self.call(self._server.stop())
        for pool in (self._sealing, self._settling, self._asking):
            pool.shutdown(wait=True, cancel_futures=True)
        self._stop.set()
        for source in self._sources.values():
            self._wake[source.name].set()
            source.stop_telling()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(30)

    @property
    def printers(self) -> tuple[PrinterSource, ...]:
        """Return every printer that jobs are taken for."""
        return tuple(self._sources.values())

    async def waiting(self, source: PrinterSource) -> int:
        """Return how many jobs of a printer are on their way to it."""
        jobs = await self._loop.run_in_executor(self._asking, self._line.store.unfinished)
        return sum(job.item.source == source.name for job in jobs)

    @property
    def is_well(self) -> bool:
        """Tell whether every thread that it needs is alive."""
        return all(thread.is_alive() for thread in self._threads)

    def cleared(self, source: str) -> None:
        """Hear that a job of a source may leave."""
        if (wake := self._wake.get(source)) is not None:
            wake.set()

    # taking

    async def take(self, sent: Sent) -> Known:
        """Seal a document and begin to settle it. VaultError, Broken: nothing was taken."""
        origin = sent.ours.uuid if sent.ours is not None else ""
        async with self._bodies:
            first = await _first(sent.body)
            arrival = Arrival(
                found=Found(
                    source=sent.source.name,
                    key=key_of(Ticket(title=sent.title, wishes=sent.wishes, cups=sent.ours.id if sent.ours else 0)),
                    shown=names.shown(os.fsencode(sent.title.replace("/", "∕"))),
                ),
                pieces=self._pieces(first, sent.body),
                owner=self._owner(sent),
                copies=sent.copies,
                origin=origin,
                paper=sent.paper,
            )
            job, plain = await self._loop.run_in_executor(self._sealing, self._line.receive, arrival)
        key = (sent.source.name, origin)
        if sent.ours is not None and (known := self._first_sending(key, sent.ours)) is not None:
            await self._loop.run_in_executor(self._sealing, self._line.drop_double, job, plain, known.job.id)
            return known
        settled = self._loop.run_in_executor(self._settling, self.settle, job, plain)
        if origin:
            _keep(self._known, key, Known(job, settled))
        return Known(job, settled)

    @staticmethod
    def _owner(sent: Sent) -> str:
        proven = sent.ours is not None and sent.source.spec.trusts_user
        return sent.source.called(sent.ours.user if proven and sent.ours else sent.user, proven=proven)

    def _first_sending(self, key: tuple[str, str], ours: Ours) -> Known | None:
        """Return the job that this one is, sent again because CUPS does not know that it was taken; None for a new one.

        The bytes tell nothing: a filter that runs again writes other ones. A job that was finished before is one that
        somebody has printed again.
        """
        if ours.ended:
            return None
        known = self._known.get(key)
        if known is None and (earlier := self._unsure.get(key)) is not None:
            known = Known(self._line.store.get(earlier), None)
        return known

    def _remember(self) -> None:
        """Note the jobs of an earlier run that may come a second time."""
        since = time.time() - DOUBLE_SECONDS
        for job in self._line.store.jobs(limit=MOST_JOBS):
            if job.created < since:
                break
            if job.item.origin and job.state is not State.REFUSED:
                self._unsure.setdefault((job.item.source, job.item.origin), job.id)

    def _expect(self, sheet: _Sheet) -> None:
        """Note a job of CUPS before its document comes; it stays noted until the answer has left.

        CUPS believes that a job is printed when the connection ends before the answer. The note survives the process,
        and more is not needed: after a loss of power CUPS sends by itself.
        """
        if sheet.ours is not None:
            with suppress(OSError):  # a full disk: the document will be refused
                self._note(sheet).write_text(f"{sheet.ours.id} {sheet.ours.uuid}", encoding="utf-8")

    def _note(self, sheet: _Sheet) -> Path:
        return self._expected / f"{sheet.number}.{sheet.source.spec.name}"

    def _ask_again(self, missed: Iterable[Path]) -> None:
        """Have CUPS send again what an earlier run had in hand and had not sealed."""
        jobs = self._line.store.jobs(limit=MOST_JOBS)
        taken = {job.item.origin for job in jobs if job.state is not State.REFUSED}
        for path in missed:
            source = self._sources.get(path.name.partition(".")[2])
            number, _, origin = path.read_text(encoding="utf-8").partition(" ")
            if source is not None and number.isdecimal() and origin not in taken:
                self._ask_for(source, int(number), origin)
            path.unlink()

    def _tell_again(self, source: PrinterSource) -> None:
        """Have CUPS told of jobs that it still has and that were turned away: an earlier run died before it could."""
        while not self._stop.is_set() and source.cups.is_there:
            try:
                there = {ours.uuid for ours in source.cups.open_jobs(source.spec.cups_queue)}
            except Refused:
                return
            except OSError:
                self._stop.wait(LOOK_SECONDS)  # CUPS is not there yet
                continue
            for job in self._line.store.jobs(TURNED_AWAY, limit=MOST_JOBS) if there else ():
                ours = job.item.source == source.name and job.item.origin in there
                if ours and not job.certificate:
                    self._line.repeat(job)
            return

    def _ask_soon(self, sheet: _Sheet) -> None:
        """Have CUPS send again what came to an end too early, once it believes that it was taken."""
        if sheet.ours is not None and not self._stop.wait(2 * LOOK_SECONDS) and (note := self._note(sheet)).exists():
            self._ask_again((note,))

    def _ask_for(self, source: PrinterSource, number: int, origin: str) -> None:
        queue = source.spec.cups_queue
        while not self._stop.is_set():
            try:
                if source.cups.send_again(number, origin):
                    LOG.warning("job %d of queue %s was cut off and is sent again", number, queue)
            except Refused:
                LOG.error("job %d of queue %s was cut off and CUPS cannot send it again: print it anew", number, queue)  # noqa: TRY400  no bug
            except OSError:
                self._stop.wait(LOOK_SECONDS)  # CUPS is not there yet
                continue
            return

    def _pieces(self, first: bytes, body: Bytes) -> Callable[[int], bytes]:
        """Return how a thread reads a body: what is here already, then what the event loop gets."""
        kept = first

        def read(size: int) -> bytes:
            nonlocal kept
            if not kept:
                waiting = asyncio.run_coroutine_threadsafe(body.some(), self._loop)
                kept = waiting.result(http.PIECE_SECONDS + 5)
            taken, kept = kept[:size], kept[size:]
            return taken

        return read

    def settle(self, job: Job, plain: int | None) -> Outcome | None:
        """Inspect and settle a job that was received; what goes wrong is said."""
        try:
            outcome = self._line.run(job, plain)
        except DlpError as err:
            LOG.error("%s: %s", job.item.source, err.say.to(self.config.site.language))  # noqa: TRY400  no bug
            return None
        except Exception as err:  # noqa: BLE001  a bug of ours: the job stays sealed and is set aside at the next look
            LOG.error("job %s was not handled because of an internal fault: %s", job.id, trace(err))  # noqa: TRY400
            return None
        if outcome.state is not State.RELEASING:
            self._report(outcome)
        return outcome

    # sending and telling

    def _keep_sending(self, source: PrinterSource) -> None:
        wake = self._wake[source.name]
        while not self._stop.is_set():
            wake.clear()
            if not self._send_all(source):
                self._stop.wait(LOOK_SECONDS)
            wake.wait(LOOK_SECONDS)

    def _send_all(self, source: PrinterSource) -> bool:
        """Send what is cleared for one printer, oldest first; False when it cannot be sent now."""
        for job in self._line.store.jobs(states=(State.RELEASING,))[::-1]:
            if self._stop.is_set():
                return True
            if job.item.source != source.name:
                continue
            try:
                outcome = self._line.finish(job)
            except ReleaseError as err:
                said = err.say.to(self.config.site.language)
                if self._waits.get(source.name) != said:
                    LOG.warning("job %s and what comes after it wait: %s", job.id, said)
                self._waits[source.name] = said
                return False
            except (DlpError, OSError) as err:
                why = (
                    err.say.to(self.config.site.language) if isinstance(err, DlpError) else os.strerror(err.errno or 0)
                )
                LOG.error("job %s cannot be sent: %s", job.id, why)  # noqa: TRY400  no bug
                continue
            except Exception as err:  # noqa: BLE001  a bug of ours: the job stays sealed, the next one is sent
                LOG.error("job %s cannot be sent because of an internal fault: %s", job.id, trace(err))  # noqa: TRY400
                continue
            self._waits.pop(source.name, None)
            if outcome is not None:
                self._report(outcome)
        return True

    def _keep_telling(self, source: PrinterSource) -> None:
        for told in source.tellings():
            try:
                source.cups.turn_away(*told)
            except OSError as err:
                LOG.warning("CUPS was not told why its job %d was not printed: %s", told[0], err)

    # answering

    async def _answer(self, request: Request) -> Answer:
        if request.method == "GET":
            return Answer(200, "text/plain; charset=utf-8", "文印闸打印网关 wenyin-gate\n".encode())
        if request.method != "POST" or request.headers.get("content-type", "").split(";")[0] != ipp.MEDIA:
            return Answer(415 if request.method == "POST" else 405, "text/plain", b"")
        number = 0
        try:
            message = await _head(request.body)
            number = message.id
            reply = await self._reply(message, request)
        except codec.Malformed as err:
            reply = _Reply(Status.BAD_REQUEST, said=str(err))
        except Broken:
            raise
        except (DlpError, OSError) as err:  # without an answer CUPS would believe that all is well
            said = err.say.to(self.config.site.language) if isinstance(err, DlpError) else os.strerror(err.errno or 0)
            LOG.error("a question of a print queue is not answered now: %s", said)  # noqa: TRY400  no bug
            reply = _Reply(Status.BUSY, said=said)
        except Exception as err:  # noqa: BLE001  a bug of ours: nothing was taken, or it is sealed
            LOG.error("a question of a print queue met an internal fault: %s", trace(err))  # noqa: TRY400
            reply = _Reply(Status.INTERNAL_ERROR)
        message_of = (ipp.texts("status-message", Tag.TEXT, reply.said, limit=255),) if reply.said else ()
        body = codec.encode(Message(reply.status, number, (ipp.operation(*message_of), *reply.groups)))
        return Answer(200, ipp.MEDIA, body, reply.sent)

    async def _reply(self, message: Message, request: Request) -> _Reply:
        if message.version[0] not in (1, 2):
            return _Reply(Status.VERSION_NOT_SUPPORTED)
        first = message.groups[0] if message.groups else Group(Tag.END)
        if first.tag != Tag.OPERATION or not first.text("attributes-charset"):
            return _Reply(Status.BAD_REQUEST, said="the operation attributes are missing")
        if first.text("attributes-charset").lower() not in ("utf-8", "us-ascii"):
            return _Reply(Status.CHARSET_NOT_SUPPORTED)
        source = self._source(request.target)
        if source is None:
            return _Reply(Status.NOT_FOUND, said="there is no such printer here")
        answering = _ANSWERS.get(message.code)
        if answering is None:
            return _Reply(Status.OPERATION_NOT_SUPPORTED)
        return await answering(self, message, source, request)

    def _source(self, target: str) -> PrinterSource | None:
        path = urlsplit(target).path.rstrip("/")
        head, _, name = path.rpartition("/")
        if head.startswith("/ipp/print/") and name.isdecimal():  # the name of a job
            name = head.rpartition("/")[2]
        return self._sources.get(name) if path.startswith("/ipp/print/") else None

    def _uri(self, source: PrinterSource, request: Request) -> str:
        host = request.headers.get("host", "") or f"{self.config.printing.listen}:{self.port}"
        return f"ipp://{host}/ipp/print/{source.spec.name}"

    async def _about_printer(self, message: Message, source: PrinterSource, request: Request) -> _Reply:
        real = await self._loop.run_in_executor(self._asking, source.attributes)
        asked = message.group(Tag.OPERATION).texts("requested-attributes")
        open_states = (JobState.PENDING, JobState.PROCESSING)
        queued = sum(sheet.source is source and sheet.state in open_states for sheet in self._sheets.values())
        return _Reply(Status.OK, (front.printer(real, self._uri(source, request), source.spec.name, asked, queued),))

    async def _validate(self, message: Message, source: PrinterSource, request: Request) -> _Reply:  # noqa: ARG002
        return _Reply(_why_not(message))

    async def _create(self, message: Message, source: PrinterSource, request: Request) -> _Reply:
        if (why := _why_not(message)) != Status.OK:
            return _Reply(why)
        sheet = self._sheet(message, source)
        sheet.ours = await self._ours(sheet)
        self._expect(sheet)
        return _Reply(Status.OK, (self._about(sheet, request),))

    async def _ours(self, sheet: _Sheet) -> Ours | None:
        """Return the job of CUPS that this one is; None when it came past CUPS, maybe while CUPS sends another one."""
        source = sheet.source
        ours = await self._loop.run_in_executor(self._asking, source.cups.sending, source.spec.cups_queue)
        return ours if ours is not None and (ours.title, ours.user) == (sheet.title, sheet.user) else None

    async def _print(self, message: Message, source: PrinterSource, request: Request) -> _Reply:
        if (why := _why_not(message)) != Status.OK:
            return _Reply(why)
        return await self._document(self._sheet(message, source), request)

    async def _send(self, message: Message, source: PrinterSource, request: Request) -> _Reply:
        sheet = self._found(message, source)
        if sheet is None:
            return _Reply(Status.NOT_FOUND)
        if (why := _why_not(message)) != Status.OK:
            return _Reply(why)
        if sheet.job or sheet.state != JobState.PENDING:
            return _Reply(Status.MULTIPLE_DOCUMENTS_NOT_SUPPORTED, said="one document for each job")
        return await self._document(sheet, request)

    async def _document(self, sheet: _Sheet, request: Request) -> _Reply:
        """Take the document of a job, and answer once it is known what becomes of it, or that it takes longer."""
        sheet.state = JobState.PROCESSING
        source = sheet.source
        if sheet.ours is None:
            sheet.ours = await self._ours(sheet)
        ours = sheet.ours
        try:
            known = await self.take(
                Sent(source, sheet.title, sheet.user, sheet.copies, sheet.wishes, request.body, ours, sheet.paper)
            )
        except (DlpError, OSError) as err:
            if isinstance(err, Broken):
                sheet.state = JobState.ABORTED
                self._asking.submit(self._ask_soon, sheet)
                raise
            sheet.state = JobState.PENDING  # what is aborted here, CUPS would give up
            sheet.said = err.say.to(self.config.site.language) if isinstance(err, DlpError) else ""
            await asyncio.sleep(BUSY_SECONDS)  # CUPS asks again at once
            return _Reply(Status.BUSY, (self._about(sheet, request),), sheet.said)
        job, settled = known
        sheet.job = job.id
        outcome = None
        if settled is not None:
            done, _ = await asyncio.wait({settled}, timeout=self.config.printing.answer_seconds)
            outcome = settled.result() if done else None
        elif (job := self._line.store.get(job.id)).verdict is not None:
            outcome = Outcome(item=job.item, verdict=job.verdict, state=job.state, findings=job.findings, note=job.note)
            if job.state in (State.HELD, State.BLOCKED, State.WITHHELD):
                await self._loop.run_in_executor(self._asking, self._line.repeat, job)
        return self._verdict(sheet, outcome, ours, request)

    def _verdict(self, sheet: _Sheet, outcome: Outcome | None, ours: Ours | None, request: Request) -> _Reply:
        """Return the answer for one outcome. A job that is not printed makes CUPS wait, so that it can be told why."""

        def answered() -> None:
            self._note(sheet).unlink(missing_ok=True)

        status = Status.OK
        if outcome is not None:
            sheet.state = front.STATES[outcome.state]
            if outcome.state in (State.HELD, State.BLOCKED, State.WITHHELD, State.FAILED):
                refused = outcome.state in (State.BLOCKED, State.WITHHELD)
                action = Action.BLOCK if refused else Action.QUARANTINE
                sheet.said = receipt.brief(outcome, action, outcome.note, self.config.site)
                if ours is not None:
                    status = Status.HELD_BY_CUPS
                elif outcome.state is not State.HELD:
                    status = Status.FORBIDDEN
        return _Reply(status, (self._about(sheet, request),), sheet.said, answered)

    async def _jobs(self, message: Message, source: PrinterSource, request: Request) -> _Reply:
        operation = message.group(Tag.OPERATION)
        finished = operation.text("which-jobs", "not-completed") == "completed"
        limit = operation.number("limit", MOST_JOBS)
        asked = operation.texts("requested-attributes") or ("job-id", "job-uri")
        wanted = [
            sheet
            for sheet in self._sheets.values()
            if sheet.source is source and (self._now(sheet) >= JobState.CANCELED) == finished
        ]
        return _Reply(Status.OK, tuple(self._about(sheet, request, asked) for sheet in wanted[: max(1, limit)]))

    async def _about_job(self, message: Message, source: PrinterSource, request: Request) -> _Reply:
        sheet = self._found(message, source)
        if sheet is None:
            return _Reply(Status.NOT_FOUND)
        asked = message.group(Tag.OPERATION).texts("requested-attributes")
        return _Reply(Status.OK, (self._about(sheet, request, asked),))

    async def _cancel(self, message: Message, source: PrinterSource, request: Request) -> _Reply:  # noqa: ARG002
        sheet = self._found(message, source)
        if sheet is None:
            return _Reply(Status.NOT_FOUND)
        who = message.group(Tag.OPERATION).text("requesting-user-name", "anonymous")
        if who != sheet.user:
            return _Reply(Status.NOT_AUTHORIZED)
        if not sheet.job:
            sheet.state = JobState.CANCELED
            return _Reply(Status.OK)
        shown = names.shown(os.fsencode(who))
        taken_back = await self._loop.run_in_executor(self._asking, self._line.cancel, sheet.job, shown)
        return _Reply(Status.OK if taken_back else Status.NOT_POSSIBLE)

    async def _close(self, message: Message, source: PrinterSource, request: Request) -> _Reply:  # noqa: ARG002
        return _Reply(Status.OK if self._found(message, source) is not None else Status.NOT_FOUND)

    def _sheet(self, message: Message, source: PrinterSource) -> _Sheet:
        self._number += 1
        sheet = _Sheet(self._number, source, message.group(Tag.OPERATION), message.group(Tag.JOB))
        _keep(self._sheets, sheet.number, sheet)
        return sheet

    def _found(self, message: Message, source: PrinterSource) -> _Sheet | None:
        operation = message.group(Tag.OPERATION)
        number = operation.number("job-id")
        last = operation.text("job-uri").rpartition("/")[2]
        if not number and last.isdecimal() and len(last) < 11:
            number = int(last)
        sheet = self._sheets.get(number)
        return sheet if sheet is not None and sheet.source is source else None

    def _now(self, sheet: _Sheet) -> JobState:
        """Return where a job is now; what was released later is seen here."""
        if sheet.job and sheet.state < JobState.CANCELED:
            sheet.state = front.STATES[self._line.store.get(sheet.job).state]
        return sheet.state

    def _about(self, sheet: _Sheet, request: Request, asked: tuple[str, ...] = ()) -> Group:
        return front.job(sheet.number, self._uri(sheet.source, request), self._now(sheet), sheet.said, asked)


_Answering = Callable[[Gateway, Message, PrinterSource, Request], Awaitable[_Reply]]
_ANSWERS: dict[int, _Answering] = {
    Op.PRINT_JOB: Gateway._print,  # noqa: SLF001  its own table
    Op.VALIDATE_JOB: Gateway._validate,  # noqa: SLF001
    Op.CREATE_JOB: Gateway._create,  # noqa: SLF001
    Op.SEND_DOCUMENT: Gateway._send,  # noqa: SLF001
    Op.CANCEL_JOB: Gateway._cancel,  # noqa: SLF001
    Op.GET_JOB_ATTRIBUTES: Gateway._about_job,  # noqa: SLF001
    Op.GET_JOBS: Gateway._jobs,  # noqa: SLF001
    Op.GET_PRINTER_ATTRIBUTES: Gateway._about_printer,  # noqa: SLF001
    Op.CLOSE_JOB: Gateway._close,  # noqa: SLF001
}


def _keep(known: OrderedDict[K, V], key: K, value: V) -> None:
    """Note something, and forget what was noted longest ago where that is too much."""
    known[key] = value
    while len(known) > MOST_JOBS:
        known.popitem(last=False)


def _why_not(message: Message) -> int:
    """Return why a job cannot be taken as it is asked for, or OK."""
    operation = message.group(Tag.OPERATION)
    if operation.text("document-format", STREAM).lower() not in (PDF, STREAM):
        return Status.FORMAT_NOT_SUPPORTED
    if operation.text("compression", "none") != "none":
        return Status.COMPRESSION_NOT_SUPPORTED
    if not 1 <= message.group(Tag.JOB).number("copies", 1) <= MOST_COPIES:
        return Status.ATTRIBUTES_NOT_SUPPORTED
    return Status.OK


async def _head(body: Bytes) -> Message:
    steps = codec.read()
    need = next(steps)
    try:
        while True:
            need = steps.send(await body.exactly(need))
    except StopIteration as done:
        message: Message = done.value
        return message
    except Broken as err:
        raise codec.Malformed("the message is cut off") from err


async def _first(body: Bytes) -> bytes:
    """Return the first bytes of a document; Broken when there is none."""
    pieces: list[bytes] = []
    while sum(map(len, pieces)) < FIRST_BYTES and (piece := await body.some()):
        pieces.append(piece)
    if not pieces:
        raise Broken("no document")
    return b"".join(pieces)


def _allow_connections(count: int) -> None:
    """Let this process have a file for each connection, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 1_024
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard >= 0 else wanted, hard))
