"""What people ask of the audit trail: does it hold, what happened, and who saw what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dlp import audit, checkpoint, origin
from dlp.audit import AuditEvent, Fault, Report, Wrong
from dlp.checkpoint import Checkpoint
from dlp.config import Config
from dlp.errors import DlpError, NotFound, StoreError, UsageError
from dlp.model import Frozen, Level, Say
from dlp.origin import Origin
from dlp.ratchet import Key
from dlp.request import UNKNOWN
from dlp.review import REVIEWS
from dlp.service import notary, origins, signing
from dlp.service.certify import state_folder
from dlp.store import EventFilter, Job, JobFilter, record
from dlp.store.sqlite import SqliteStore
from dlp.vault import read_identity

MOST_FILES = 200
"""Jobs whose name holds a text of which the events are listed; the newest ones."""
SEEN_FROM = Level.CONFIDENTIAL
"""Knowing of this level and above is recorded."""
PAGE = "page"
VERIFIED = "audit-verified"


class Evidence(NamedTuple):
    """What a verification is given beside the trail; what is not named is what this machine keeps."""

    origin: Path | None = None
    identity: Path | None = None
    checkpoints: Path | None = None
    key: Path | None = None
    """Public keys that sign checkpoints."""


class Verification(Frozen, frozen=True, kw_only=True):
    """What a verification saw. `report` is of the trail itself."""

    report: Report
    faults: tuple[Fault, ...]
    """All that is wrong, of the trail first."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """The genuine ones, as they stand in their file."""
    chains: int = 0
    """Origins that were at hand."""
    opened: int = 0
    """Origins that the private key at hand opened."""
    here: bool = False
    """The private key lies on this machine: seals show nothing about whoever owns it."""

    @property
    def holds(self) -> bool:
        """Tell whether nothing is wrong with what could be looked at."""
        return not self.faults

    @property
    def broken_at(self) -> int | None:
        """Return the first bad event; None where none is, which does not say that everything beside the trail holds."""
        return self.report.broken_at


def verify(config: Config, books: SqliteStore | Path, given: Evidence | None = None) -> Verification:
    """Verify the whole trail against all that is at hand.

    `books` may be an export (JSONL): then it is verified where the private key is, which is not on the gate.
    UsageError for a named file that is not there; StoreError for keys that cannot be read.
    """
    given = given or Evidence()
    kept = _checkpoints(config, given)
    faults = [*kept.faults]
    begun, chains = _chains(config, given)
    key, events = (None, _exported(books)) if isinstance(books, Path) else _trail(books, faults)
    noted: dict[int, str] = {}
    written = _Told({}, set())
    heads = {made.seq: made.head for made in kept.good}
    report = audit.verify(_noting(events, noted, written), heads=heads, chains=chains, key=key)
    if not report.faults:
        faults += _beside(report, begun, key)
        if given.checkpoints is None and not isinstance(books, Path):
            faults += _lost(_checkpoints(config, given).good, noted)  # read anew: a gate at work signs meanwhile
        faults += _double(kept.good)
        if not isinstance(books, Path):
            faults += _records(books, report.count, written)
    return Verification(
        report=report,
        faults=(*report.faults, *faults),
        checkpoints=kept.good,
        chains=len(begun),
        opened=sum(secret is not None for secret in (chains or {}).values()),
        here=given.identity is None and not isinstance(books, Path),
    )


def seen(store: SqliteStore, person: str, job: Job, what: str, *, page: int = 0) -> bool:
    """Record that a person was shown something of a job at 机密 or above; return whether that had to be.

    To be called before it is shown. `what` is a word of the program (`evidence`, `page`, `original`), never content.
    A page shows the hits themselves: that it was shown is recorded at any level.
    """
    if not re.fullmatch("[a-z][a-z-]{0,30}", what):
        raise ValueError("what was seen is a word of the program")
    level = _counting(store, job)
    if (level is None or level < SEEN_FROM) and what != PAGE:
        return False
    body: dict[str, Any] = {"what": what, "level": level.value if level else None, "state": job.state.value}
    if page:
        body["page"] = page
    store.note(actor=person, kind="seen", job=job.id, body=body)
    return True


def _counting(store: SqliteStore, job: Job) -> Level | None:
    """Return the highest level that anybody names of a job: the gate, any of its marks, or whoever decided on it.

    A state secret of which nobody knows the level counts as the worst of its regime.
    """
    verdict, review = job.verdict, store.find(REVIEWS, job.id)
    named = [(verdict.level, verdict.regime)] if verdict else []
    named += [(one.mark.level, one.mark.regime) for one in job.findings if one.mark is not None]
    if review is not None and review.decided is not None:
        named.append((review.decided.level, review.decided.regime))
    levels = (level or (UNKNOWN.get(regime) if regime else None) for level, regime in named)
    return max((level for level in levels if level is not None), default=None)


class Chain(NamedTuple):
    """Where the trail stands; None for what has not been."""

    length: int
    head: str
    last: AuditEvent | None
    checkpoint: AuditEvent | None
    verified: AuditEvent | None


def chain(store: SqliteStore) -> Chain:
    """Return where the trail stands, by its own last words."""
    seq, head = store.head()
    newest = {kind: store.find_events(EventFilter(kind=kind), limit=1) for kind in ("", notary.KIND, VERIFIED)}
    last, signed, verified = (found[0] if found else None for found in newest.values())
    return Chain(seq, head, last, signed, verified)


def told(store: SqliteStore, person: str, seen: Verification) -> None:
    """Note who verified the trail, and what came of it."""
    body = {"ok": seen.holds, "count": seen.report.count, "faults": len(seen.faults), "broken_at": seen.broken_at}
    store.note(actor=person, kind=VERIFIED, job="", body=body)


def find(
    store: SqliteStore, only: EventFilter, *, file: str = "", limit: int = 0, before: int = 0
) -> Iterator[AuditEvent]:
    """Give the events that are wanted, newest first, as many as `limit` (0: all), below the sequence `before`.

    `file` is the id of a job, a beginning of it, or text of a file's name; NotFound when there is no such job.
    """
    if not file:
        yield from _pages(store, only, limit, before)
        return
    jobs = _jobs(store, file)
    found = [event for job in jobs for event in _pages(store, msgspec.structs.replace(only, job=job), limit, before)]
    found.sort(key=lambda event: event.seq, reverse=True)
    yield from found[: limit or None]


def _pages(store: SqliteStore, only: EventFilter, limit: int, before: int) -> Iterator[AuditEvent]:
    left = limit
    while page := store.find_events(only, limit=min(left, 500) if limit else 500, before=before):
        yield from page
        before, left = page[-1].seq, left - len(page)
        if limit and left <= 0:
            return


def _jobs(store: SqliteStore, file: str) -> tuple[str, ...]:
    try:
        return (store.get(file).id,)
    except NotFound:
        found = store.jobs(only=JobFilter(name=file), limit=MOST_FILES)
    if not found:
        raise NotFound(
            Say(f"没有这个任务或文件：{file}", f"no such job or file: {file}"),
            Say("写任务编号，或文件名中的文字", "give the id of a job, or text of a file's name"),
        )
    return tuple(job.id for job in found)


def _checkpoints(config: Config, given: Evidence) -> notary.Kept:
    path = given.checkpoints or Path(config.audit.checkpoints)
    if not path.exists():
        if given.checkpoints is not None:
            raise _no_file(path)
        return notary.Kept((), ())
    public = given.key or state_folder(config) / signing.PUBLIC
    if given.key is not None and not public.is_file():
        raise _no_file(public)
    try:
        return notary.read(path, signing.public_keys(public) if public.is_file() else ())
    except OSError as err:
        raise StoreError(
            Say(f"读不了检查点文件：{path}", f"the checkpoint file cannot be read: {path}"),
            Say("检查权限", "check its mode"),
        ) from err


def _chains(config: Config, given: Evidence) -> tuple[tuple[Origin, ...], dict[str, bytes | None] | None]:
    """Return the origins at hand, and the chains that may be in the trail with their first keys; None: any may."""
    path = given.origin or origins.file_of(config)
    if not path.exists():
        if given.origin is not None:
            raise _no_file(path)
        return (), None
    begun = origins.kept(path)
    named = given.identity or Path(config.vault.identity)
    if not named.exists():
        if given.identity is not None:
            raise _no_file(named)
        return begun, {one.chain: None for one in begun}
    identity = read_identity(named)
    return begun, {one.chain: origin.opened(one, identity) for one in begun}


def _trail(store: SqliteStore, faults: list[Fault]) -> tuple[Key | None, Iterable[AuditEvent]]:
    """Return the key file as it is when the trail ends, and the events up to there."""
    try:
        (last, _, mac), key = store.key()
    except StoreError as err:
        faults.append(Fault(wrong=Wrong.KEY, say=err.say))
        return None, _until(store, store.head()[0])
    if key is None and mac:
        say = Say("审计密钥文件是空的，而链已启用密钥", "the key file is empty, and the trail has a key")
        faults.append(Fault(wrong=Wrong.KEY, say=say))
    return key, _until(store, last)


def _until(store: SqliteStore, last: int) -> Iterator[AuditEvent]:
    for event in store.events():
        if event.seq > last:
            return
        yield event


def _exported(path: Path) -> Iterator[AuditEvent | None]:
    """Give the events of an export; None for a line that is none."""
    decoder = msgspec.json.Decoder(AuditEvent)
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    yield decoder.decode(line)
                except (msgspec.MsgspecError, RecursionError):
                    yield None
    except OSError as err:
        raise _no_file(path) from err


def _noting(events: Iterable[AuditEvent | None], noted: dict[int, str], written: _Told) -> Iterator[AuditEvent | None]:
    """Give the events on, and keep of which checkpoints they tell, and of which records."""
    for event in events:
        if event is not None and event.kind == notary.KIND:
            number, digest = notary.numbers_of(event)
            noted[number] = digest
        if event is not None:
            _note_records(event, written)
        yield event


class _Told(NamedTuple):
    """What the trail tells of the tables: the digest of each row, with the event that last told of it."""

    rows: dict[str, tuple[str, int]]
    jobs: set[str]
    """Names of jobs of which there are events: books of an earlier form tell no digests of them."""


def _note_records(event: AuditEvent, written: _Told) -> None:
    if event.job:
        written.jobs.add(record.name(record.JOB, event.job))
    told = event.body.get("records")
    if isinstance(told, dict):
        written.rows.update((name, (digest, event.seq)) for name, digest in told.items())


def _records(store: SqliteStore, verified: int, written: _Told) -> Iterator[Fault]:
    """Give the records and jobs that are not as the trail last told of them: changed, taken out, or put in.

    Each with the event that last told of it: from there on it is not what it was.
    """
    head, there = store.digests()
    for event in store.events(after=verified):  # a gate or a desk at work wrote meanwhile
        if event.seq > head:
            break
        _note_records(event, written)
    for name in sorted(written.rows.keys() | there.keys()):
        due, at = written.rows.get(name, ("", 0))
        if due == there.get(name, "") or (not at and name in written.jobs):
            continue
        if name not in there:
            say = Say(
                f"记录 {name} 被移出任务库（第 {at} 条所载）",
                f"the record {name}, of which event {at} tells, was taken out of the books",
            )
        elif not due:
            say = Say(f"记录 {name} 在审计链中没有来历", f"the trail tells of no record {name}")
        else:
            say = Say(
                f"记录 {name} 与审计链第 {at} 条所载不符",
                f"the record {name} is not what event {at} of the trail tells of it",
            )
        yield Fault(wrong=Wrong.RECORD, at=at, say=say)


def _beside(report: Report, begun: Sequence[Origin], key: Key | None) -> Iterator[Fault]:
    """Give what is wrong with a trail that holds in itself, and tells of no key."""
    if report.keyed or not begun or (key is not None and not key.begun):
        return
    say = Say(
        "链中没有任何密钥启用，而开链凭据存在：封印被整个去掉，或是另一个数据库",
        "no key begins in the trail, and there is an origin: all seals were stripped, or this is another database",
    )
    yield Fault(wrong=Wrong.UNSEALED, at=1, say=say)


def _lost(good: Sequence[Checkpoint], noted: dict[int, str]) -> Iterator[Fault]:
    """Give the checkpoints of which the trail tells and that are not in their file."""
    there = {checkpoint.digest(made) for made in good}
    for number, digest in sorted(noted.items()):
        if digest not in there:
            say = Say(
                f"检查点文件中没有第 {number} 号检查点：文件被删改、替换，或换成较旧的副本",
                f"checkpoint {number} is not in the checkpoint file: that was changed, exchanged, or is an older copy",
            )
            yield Fault(wrong=Wrong.CHECKPOINT, say=say)


def _double(good: Sequence[Checkpoint]) -> Iterator[Fault]:
    """Give the places for which there are two different signed heads: the trail had two pasts."""
    heads: dict[int, str] = {}
    for made in good:
        if heads.setdefault(made.seq, made.head) != made.head:
            say = Say(
                f"第 {made.seq} 条处有两个不同的检查点：链曾被换过",
                f"there are two different checkpoints at event {made.seq}: the trail was exchanged",
            )
            yield Fault(wrong=Wrong.CHECKPOINT, at=made.seq, say=say)


def _no_file(path: Path) -> DlpError:
    return UsageError(
        Say(f"没有这个文件，或读不了：{path}", f"there is no such file, or it cannot be read: {path}"),
        Say("检查路径和权限", "check path and mode"),
    )
