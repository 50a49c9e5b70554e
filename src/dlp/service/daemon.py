"""The running gate: watchers offer, a bounded queue holds, workers carry each file along the line."""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dlp import config as configuration
from dlp.config import Config
from dlp.errors import DlpError, StoreError
from dlp.model import Outcome, Say, State
from dlp.service import origins, restore, shelf
from dlp.service.attended import Attended
from dlp.service.faults import trace
from dlp.service.gate import Gate, threads
from dlp.service.gateway import Gateway
from dlp.service.keys import deployment_key
from dlp.service.line import ACTOR, Line
from dlp.service.listeners import Listeners
from dlp.service.notary import Notary
from dlp.service.notices import Notifier
from dlp.service.places import channels, open_vault
from dlp.service.scheduled import Scheduled
from dlp.service.waiting import Collector
from dlp.sources import Files, Found, Onward, ReleaseError
from dlp.sources.held import HeldSource
from dlp.sources.printer import PrinterSource
from dlp.store import Job
from dlp.store.sqlite import SqliteStore
from dlp.vault import owner

LOG = logging.getLogger("dlp")
WAITING = 1_000  # found files that may wait; beyond it the watchers wait, and the files are safe where they are
TIDY_SECONDS = 3_600.0  # between looks for evidence whose retention has ended
RETRY_SECONDS = 5.0  # after a full disk or an unwritable release folder: whoever has mended it stands there and waits


class _Shelf:
    """Which published packs the gate has taken, or has refused: it looks again when others hold."""

    def __init__(self, stamp: str) -> None:
        self.stamp = stamp


class Running(NamedTuple):
    """What the daemon shares between its threads."""

    gate: Gate
    line: Line
    store: SqliteStore
    waiting: queue.Queue[Found | None]
    stop: threading.Event
    report: Callable[[Outcome], None]
    notary: Notary
    shelf: _Shelf

    @property
    def folders(self) -> tuple[Files, ...]:
        """Return the sources whose files are looked for."""
        return tuple(source for source in self.line.sources.values() if not isinstance(source, Onward))


def run(
    config: Config,
    *,
    once: bool,
    report: Callable[[Outcome], None],
    ready: Callable[[str], None] = lambda _: None,
    reread: Path | None = None,
    demo: bool = False,
) -> int:
    """Run the gate until SIGTERM or SIGINT; with `once`, handle what is there and return.

    `report` hears of every settled job, `ready` once files are taken: it is given the key of the link behind which the
    first accounts are made, or nothing where there are some. SIGHUP reads the configuration at `reread`
    again: a bad one is refused and the last good one stays. Returns the exit code 0.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # a writer came while a watcher asked for a lease: not our matter
    threading.excepthook = _end_of_thread
    state = Path(config.store.path).parent
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with SqliteStore.hold_exclusive(Path(config.store.path)):
        restore.roll(config)
        running = _start(config, report)
        notices, backups = Notifier(config, running.store), Scheduled(config, running.store, reread)
        console = Attended(config, running.store, reread, demo=demo)
        try:
            notices.start()
            running.line.vault.drop_unfinished()  # first: a half-written object is in the way of its job
            for job in running.line.unfinished():
                if not _is_leaving(running, job):
                    _carry_on(running, job)
            running.line.drop_leftovers()
            if once:
                _sweep_once(running)
            else:
                backups.start()
                _serve(running, ready, reread, console)
        finally:
            console.stop()
            backups.stop()
            running.gate.close()
            running.store.note(actor=ACTOR, kind="stopped", job="", body={})
            running.notary.look(now=True)
            notices.stop()
            running.store.close()
    return 0


def _start(config: Config, report: Callable[[Outcome], None]) -> Running:
    key = deployment_key(Path(config.store.path).parent)
    for spec in config.folders:
        for folder in (spec.watch, spec.release):
            Path(folder).mkdir(parents=True, exist_ok=True)
    store = SqliteStore.open(Path(config.store.path), create=True)
    laid = _Shelf(shelf.lay(config, store))  # whatever a crash left there: the books say what holds
    gate = Gate(config, key=key)
    kit = gate.kit
    line = Line(
        config=config,
        kit=kit,
        vault=open_vault(config),
        store=store,
        sources=channels(config, key),
    )
    origins.begin(config, store)
    _check_objects(line, store)
    _tell_missing(line, store)
    if config.sandbox.level == "rlimits":
        LOG.warning("sandbox.level is rlimits: hostile files are read without Landlock and seccomp")
    if config.policy.shadow:
        LOG.warning("policy.shadow is on: everything is recorded and nothing is held back")
    store.note(
        actor=ACTOR,
        kind="started",
        job="",
        body={"packs": kit.matcher.digest, "policy": config.policy.digest, "shadow": config.policy.shadow},
    )
    notary = Notary(config, store)
    notary.look()
    return Running(gate, line, store, queue.Queue(WAITING), threading.Event(), report, notary, laid)


def _check_objects(line: Line, store: SqliteStore) -> None:
    """Refuse to start over sealed objects that no job explains: something happened that a person must look at."""
    owners = {owner(own) for own in line.vault.ids()}
    unknown = sorted(job for job, state, _ in store.standing(owners) if state is None)
    if unknown:
        raise StoreError(
            Say(
                f"隔离库中有 {len(unknown)} 个文件没有对应任务（如 {unknown[0]}）",
                f"the vault holds {len(unknown)} objects that no job explains (such as {unknown[0]})",
            ),
            Say(
                "未删除任何文件；请恢复任务库的备份，或把这些文件移出隔离库后再启动",
                "nothing was deleted; restore the job store from its backup, or move these objects out and start again",
            ),
        )


def _tell_missing(line: Line, store: SqliteStore) -> None:
    """Say which sealed originals are gone although their jobs still need them; the gate itself can go on."""
    sealed = line.vault.ids()
    for state in (State.HELD, State.REJECTED, State.REDACTED):
        for job in store.ids((state,)):
            if job not in sealed:
                LOG.error("the sealed file of job %s is missing from the vault", job)
                store.note(actor=ACTOR, kind="missing", job=job, body={"state": state.value})
    for withheld in store.jobs((State.WITHHELD,)):
        if withheld.sealed is not None and withheld.id not in sealed:
            LOG.error("the sealed file of job %s is missing from the vault", withheld.id)
            store.note(actor=ACTOR, kind="missing", job=withheld.id, body={"state": withheld.state.value})


def _sweep_once(running: Running) -> None:
    for source in running.folders:
        refuse = running.line.refuse
        for found in source.sweep(refuse):
            _submit(running, found)


def _serve(running: Running, ready: Callable[[str], None], reread: Path | None, console: Attended) -> None:
    hup = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: running.stop.set())
        signal.signal(signal.SIGINT, lambda *_: running.stop.set())
        signal.signal(signal.SIGHUP, lambda *_: hup.set())
    count = threads(running.gate.config)
    workers = [threading.Thread(target=_work, args=(running,), name=f"worker-{n}") for n in range(count)]
    watchers = [
        threading.Thread(
            target=source.watch,
            args=(_offer(running), running.line.refuse, running.stop),
            name=f"watch-{source.name}",
            daemon=True,
        )
        for source in running.folders
    ]
    printing = _printing(running)
    for thread in (*workers, *watchers):
        thread.start()
    console.look()
    ready(console.first)
    retry_at = time.monotonic() + RETRY_SECONDS
    tidy_at = time.monotonic() + TIDY_SECONDS
    while not running.stop.wait(0.5):
        if hup.is_set():
            hup.clear()
            _reload(running, reread)
            console.renew()
        _take_published(running)
        running.notary.look()
        console.look()
        if any(not w.is_alive() for w in watchers) or (printing is not None and not printing.is_well):
            LOG.critical("a watcher of folders or queues died; stopping so that the service manager starts it again")
            running.stop.set()
        if time.monotonic() >= retry_at:
            _retry(running)
            retry_at = time.monotonic() + RETRY_SECONDS
        if time.monotonic() >= tidy_at:
            running.line.drop_leftovers()
            tidy_at = time.monotonic() + TIDY_SECONDS
    if printing is not None:
        printing.stop()
    for _ in workers:
        running.waiting.put(None)
    for thread in workers:
        thread.join()
    for thread in watchers:
        thread.join(5)


class _Printing:
    """All that runs for printers: the gateway, the listeners beside it, and who looks for jobs that wait in CUPS."""

    def __init__(self, config: Config, line: Line, report: Callable[[Outcome], None]) -> None:
        printers = {name: one for name, one in line.sources.items() if isinstance(one, PrinterSource)}
        self._gateway = Gateway(config, line, printers, report)
        self._listeners = Listeners(config, self._gateway)
        held = (one for one in printers.values() if isinstance(one, HeldSource))
        self._collectors = [Collector(config, line, one, self._gateway) for one in held]
        line.cleared = self._gateway.cleared

    def start(self) -> None:
        """Take and send jobs. OSError where an address is taken; its `filename` may say which."""
        self._gateway.start()
        self._listeners.start()
        for one in self._collectors:
            one.start()

    def stop(self) -> None:
        """Take no more, and finish what is at work."""
        for one in self._collectors:
            one.stop()
        self._listeners.stop()
        self._gateway.stop()

    @property
    def is_well(self) -> bool:
        """Tell whether every thread is alive."""
        return self._gateway.is_well and all(one.is_well for one in self._collectors)


def _printing(running: Running) -> _Printing | None:
    """Start what printers need where there are any; StoreError names an address that is taken."""
    config = running.gate.config
    if not config.printers:
        return None
    made = _Printing(config, running.line, running.report)
    try:
        made.start()
    except OSError as err:
        at = err.filename or f"{config.printing.listen}:{config.printing.port}"
        why = os.strerror(err.errno or 0)
        raise StoreError(
            Say(f"打印网关无法监听 {at}（{why}）", f"the print gateway cannot listen on {at} ({why})"),
            Say("改用其他端口，或停止占用它的程序", "use another port, or stop what holds this one"),
        ) from err
    return made


def _offer(running: Running) -> Callable[[Found], None]:
    def offer(found: Found) -> None:
        while not running.stop.is_set():
            try:
                running.waiting.put(found, timeout=0.5)
            except queue.Full:
                continue
            return

    return offer


def _work(running: Running) -> None:
    while (found := running.waiting.get()) is not None:
        if running.stop.is_set():
            continue  # the file is untouched; the next start finds it
        _submit(running, found)


def _submit(running: Running, found: Found) -> None:
    """Carry one file along the line; whatever goes wrong is said, and the next file is handled."""
    try:
        outcome = running.line.submit(found)
    except ReleaseError as err:
        # It is sealed and in the books; `_retry` carries it on. Offering it again would take it twice.
        LOG.error("%s: %s", found.source, err.say.to(running.gate.config.site.language))  # noqa: TRY400  no bug
    except DlpError as err:
        LOG.error("%s: %s", found.source, err.say.to(running.gate.config.site.language))  # noqa: TRY400  no bug
        _again(running, found)
    except OSError as err:
        LOG.error("%s: %s (%s)", found.source, err.__class__.__name__, os.strerror(err.errno or 0))  # noqa: TRY400
        _again(running, found)
    except Exception as err:  # noqa: BLE001  a bug of ours: the file stays where it is or sealed, the next is handled
        LOG.error("%s: a file was not handled because of an internal fault: %s", found.source, trace(err))  # noqa: TRY400
    else:
        if outcome is not None:
            running.report(outcome)


def _is_leaving(running: Running, job: Job) -> bool:
    """Tell whether a job is with the thread that sends what is cleared for its printer."""
    return job.state is State.RELEASING and isinstance(running.line.sources.get(job.item.source), Onward)


def _again(running: Running, found: Found) -> None:
    for source in running.folders:
        if source.name == found.source:
            source.retry(found)


def _end_of_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "?"
    LOG.critical("%s ended: %s", name, trace(args.exc_value) if args.exc_value is not None else args.exc_type.__name__)


def _retry(running: Running) -> None:
    """Finish jobs that stood still because a folder was unwritable or a disk full."""
    stale = time.time() - RETRY_SECONDS
    for job in running.line.unfinished():
        if job.updated > stale or running.line.in_hand(job.id):
            continue
        if _is_leaving(running, job):
            continue
        _carry_on(running, job)


def _carry_on(running: Running, job: Job) -> None:
    """Carry one unfinished job on; what stops it now is said, and a bug sets it aside instead of stopping the gate."""
    try:
        outcome = running.line.finish(job)
    except (DlpError, OSError) as err:
        why = err.say.to(running.gate.config.site.language) if isinstance(err, DlpError) else str(err.errno)
        LOG.warning("job %s still waits: %s", job.id, why)
    except Exception as err:  # noqa: BLE001  a bug of ours: the same job would stop every start
        LOG.error("job %s is set aside because of an internal fault: %s", job.id, trace(err))  # noqa: TRY400
        running.line.fail(job, trace(err))
    else:
        if outcome is not None:
            running.report(outcome)


def _take_published(running: Running) -> None:
    """Take what was published or rolled back since the last look."""
    if shelf.stamp(running.store) == running.shelf.stamp:
        return
    config = running.gate.config
    try:
        running.shelf.stamp = shelf.lay(config, running.store)
    except OSError as err:
        LOG.error("published packs cannot be laid out, the last good ones stay: %s", os.strerror(err.errno or 0))  # noqa: TRY400  no bug
        return
    _reload(running, config)


def _reload(running: Running, reread: Path | Config | None) -> None:
    """Take a changed configuration; packs, policy, limits and site words change, folders and vault need a restart."""
    try:
        config = reread if isinstance(reread, Config) else configuration.read(reread)
        running.gate.reload(config)
    except DlpError as err:
        LOG.error("configuration not reloaded, the last good one stays: %s", err.say.en)  # noqa: TRY400  no bug
        running.store.note(actor=ACTOR, kind="reload-refused", job="", body={"why": err.say.en})
        return
    running.line.config = config
    running.line.kit = running.gate.kit
    running.store.note(
        actor=ACTOR,
        kind="reloaded",
        job="",
        body={"packs": running.line.kit.matcher.digest, "policy": config.policy.digest},
    )
