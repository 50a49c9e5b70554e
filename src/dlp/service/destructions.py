"""Destruction at work: lists drawn up, approved, witnessed, handed over, and only then erased.

The word that a list is erased is committed first, with the end of each copy and each sealed file on it; then the sealed
bytes go. Whoever finds a file whose word was given and whose bytes are still there destroys them: the desk at once, the
gate after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple, TypeVar

from dlp import copies, vault
from dlp import destruction as rules
from dlp.account import ACCOUNTS
from dlp.config import Config
from dlp.copies import COPIES, Copy
from dlp.description import DESCRIPTIONS
from dlp.destruction import DESTROYABLE, DESTRUCTIONS, SEALED, Destruction, End, Piece, Sealed
from dlp.errors import Denied, NotFound, VaultError
from dlp.model import Say, State, evolve
from dlp.rights import CENTRE, RULES_2024, Denial, Operation, Person, Why
from dlp.service.acting import Acting, hint_of, now, refused
from dlp.service.keys import new_id
from dlp.service.lending import Lending, no_copy
from dlp.service.second import After, Change, Doing
from dlp.store import Job
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore
from dlp.vault import Vault

DAY = 86_400.0
ACTOR = "gate"
PAGE = 500
T = TypeVar("T")
Keeper = Callable[[Entry, Job], Denial | None]
"""Says why a job is kept whatever a list says (legal hold, freeze, retention); None where nothing keeps it."""


class Handed(NamedTuple):
    """What stands on the receipt of a hand-over."""

    receipt: str
    carriers: tuple[str, ...]
    destroyer: str
    place: str
    at: float


class Destructions:
    """The destruction lists of one site, in the name of one person."""

    def __init__(self, acting: Acting, objects: Callable[[], Vault], keepers: Sequence[Keeper] = ()) -> None:
        self._acting = acting
        self._store = acting.store
        self._objects = objects
        self._keepers = tuple(keepers)

    def all(self, only: RecordFilter | None = None, *, limit: int = 0) -> tuple[Destruction, ...]:
        """Return lists, newest first."""
        self._acting.may(Operation.REGISTER_READ)
        return self._store.records(DESTRUCTIONS, only, limit=limit)

    def get(self, id: str) -> Destruction:  # noqa: A002  the column's name
        """Return one list; NotFound when there is none."""
        self._acting.may(Operation.REGISTER_READ)
        return self._store.record(DESTRUCTIONS, id)

    def due(self) -> Iterator[Job]:
        """Give the jobs whose sealed file may go on a list now, oldest first: nothing keeps them any more."""
        self._acting.may(Operation.REGISTER_READ)
        objects, jobs = self._objects(), self._store.from_oldest(DESTROYABLE)
        while page := tuple(islice(jobs, PAGE)):
            with self._store.change() as entry:
                free = [job for job in page if self._no_piece(entry, job, objects, ripe=True) is None]
            yield from free

    def draw_up(self, copy_ids: Sequence[str], job_ids: Sequence[str], *, reason: str, method: str) -> Destruction:
        """Draw up a list of copies that came back and of sealed files. Denied where one of them may not go on it."""
        jobs = [self._store.get(prefix).id for prefix in job_ids]
        names = [Lending(self._acting).copy_id(word) for word in copy_ids]
        objects = self._objects()
        with self._acting.demand(Operation.DESTROY_LIST) as entry:
            person, id_ = now(entry, self._acting.person), new_id(entry.moment)
            found = self._pieces(entry, id_, names, jobs, objects)
            made = (
                found
                if isinstance(found, Denial)
                else rules.draw_up(id_, found, reason=reason, method=method, by=person, at=entry.moment)
            )
            if isinstance(made, Destruction):
                for name in names:
                    entry.put(COPIES, _sure(copies.enlist(_copy(entry, name), made.id)))
                for piece in made.pieces:
                    if not piece.copy:
                        entry.put(SEALED, Sealed(id=piece.job, list=made.id, sha256=piece.sha256, at=entry.moment))
                entry.put(DESTRUCTIONS, made)
                body = {"list": made.id, "copies": len(names), "files": len(jobs), "reason": made.reason}
                entry.append(person.id, "destruction-listed", "", body)
                return made
            error = refused(entry, person, Operation.DESTROY_LIST, made)
        raise error

    def witness(self, id: str) -> Destruction:  # noqa: A002  as above
        """Sign a list as one of its two witnesses."""
        with self._on(id, Operation.DESTROY_WITNESS, "destruction-witnessed") as at:
            at.made = rules.witness(at.one, at.person, at=at.entry.moment)
        return at.done

    def hand_over(self, id: str, handed: Handed) -> Destruction:  # noqa: A002  as above
        """Write down that a list was handed over, as its receipt says."""
        with self._on(id, Operation.REVIEW_HAND_OVER, "destruction-handed-over") as at:
            at.made = rules.hand_over(
                at.one,
                receipt=handed.receipt,
                carriers=handed.carriers,
                destroyer=handed.destroyer,
                place=handed.place,
                handed_at=handed.at,
                by=at.person.id,
                at=at.entry.moment,
            )
            at.body = {"receipt": handed.receipt.strip()}
        return at.done

    def withdraw(self, id: str, reason: str) -> Destruction:  # noqa: A002  as above
        """Take a list back before anything left: what is on it is where it was before."""
        with self._on(id, Operation.DESTROY_LIST, "destruction-withdrawn") as at:
            at.made = rules.withdraw(at.one, reason=reason)
            if isinstance(at.made, Destruction):
                for piece in at.one.pieces:
                    if piece.copy:
                        at.entry.put(COPIES, copies.unlist(_copy(at.entry, piece.copy)))
                    else:
                        at.entry.drop(SEALED, piece.job)
                at.body = {"reason": reason.strip()}
        return at.done

    def check_to_approve(self, id: str) -> None:  # noqa: A002  as above
        """Raise what would be raised at the confirmation, before anything is asked for; a refusal is in the trail."""
        self._check(id, Operation.DESTROY_APPROVE, rules.fit_to_approve)

    def check_to_erase(self, id: str) -> None:  # noqa: A002  as above
        """Raise what would be raised at the last step, in the same way."""
        self._check(id, Operation.DESTROY_ERASE, lambda one, _: rules.fit_to_erase(one))

    def _check(
        self,
        id: str,  # noqa: A002  as above
        operation: Operation,
        rule: Callable[[Destruction, Person], Denial | None],
    ) -> None:
        with self._acting.demand(operation, subject=id) as entry:
            person = now(entry, self._acting.person)
            no = rule(_list(entry, id), person)
            if no is None:
                return
            error = refused(entry, person, operation, no, subject=id)
        raise error

    def _pieces(
        self, entry: Entry, id_: str, names: Sequence[str], jobs: Sequence[str], objects: Vault
    ) -> tuple[Piece, ...] | Denial:
        found: list[Piece] = []
        for name in names:
            copy = _copy(entry, name)
            job = entry.job(copy.job)
            no = copies.enlist(copy, id_)
            kept = no if isinstance(no, Denial) else self._kept(entry, job)
            if kept is not None:
                return kept
            found.append(_piece_of_copy(entry, copy, job))
        for one in jobs:
            job = entry.job(one)
            no_piece = self._no_piece(entry, job, objects, ripe=False)
            if no_piece is not None:
                return no_piece
            found.append(_piece_of_job(job))
        return tuple(found)

    def _no_piece(self, entry: Entry, job: Job, objects: Vault, *, ripe: bool) -> Denial | None:
        """Return why the sealed file of a job goes on no list; `ripe`: also where its time has not come."""
        if job.state not in DESTROYABLE:
            return _denial(job, Say("尚未办结，不能列入", "it has not ended"), Say("先研判", "decide on it first"))
        listed = entry.find(SEALED, job.id)
        if listed is not None:
            said = Say(f"已在销毁清单 {listed.list} 上", f"it is on the destruction list {listed.list}")
            return _denial(job, said, Say("用 dlp destroy show 查看", "see `dlp destroy show`"))
        if not objects.has(job.id):
            said = Say("隔离库中没有它的密封件", "the vault holds no sealed file of it")
            return _denial(job, said, Say("核对清点", "count again"))
        days = self._acting.config.vault.block_retention_days
        if ripe and job.state is State.BLOCKED and entry.moment < job.updated + days * DAY:
            said = Say(f"留存期 {days} 天未满", f"it is kept for {days} days")
            return _denial(job, said, Say("期满后列入", "list it afterwards"))
        return self._kept(entry, job)

    def _kept(self, entry: Entry, job: Job) -> Denial | None:
        return next((no for keeper in self._keepers if (no := keeper(entry, job)) is not None), None)

    @contextmanager
    def _on(self, id: str, operation: Operation, kind: str) -> Iterator[_At]:  # noqa: A002  as above
        """Give a list to change; what comes of it is written with its event, or its refusal is."""
        with self._acting.demand(operation, subject=id) as entry:
            at = _At(entry, now(entry, self._acting.person), _list(entry, id))
            yield at
            if isinstance(at.made, Destruction):
                at.done = entry.put(DESTRUCTIONS, at.made)
                entry.append(at.person.id, kind, "", {"list": id, **at.body})
                return
            error = refused(entry, at.person, operation, at.made, subject=id)
        raise error


class _At:
    """One list inside the transaction that changes it."""

    def __init__(self, entry: Entry, person: Person, one: Destruction) -> None:
        self.entry = entry
        self.person = person
        self.one = one
        self.made: Destruction | Denial = one
        self.body: dict[str, object] = {}
        self.done = one


def doing(keepers: Sequence[Keeper] = ()) -> dict[Operation, Doing]:
    """Return what is done once a second person has confirmed it."""

    def erase(entry: Entry, change: Change) -> int:
        return _erase(entry, change, keepers)

    return {Operation.DESTROY_APPROVE: _approve, Operation.DESTROY_ERASE: erase}


def after(store: SqliteStore, objects: Callable[[], Vault]) -> dict[Operation, After]:
    """Return what is done once the word is durable: the sealed bytes go."""

    def gone(change: Change) -> None:
        try:
            finish(store, objects())
        except OSError as err:
            raise VaultError(
                Say(
                    f"销毁清单 {change.subject} 已销案，但密封件删除失败：{err.strerror}",
                    f"the list {change.subject} is erased, but a sealed file could not be removed: {err.strerror}",
                ),
                Say("闸门会再次删除；请检查隔离库的权限", "the gate tries again; check who owns the vault"),
            ) from err

    return {Operation.DESTROY_ERASE: gone}


def finish(store: SqliteStore, objects: Vault) -> int:
    """Destroy the sealed bytes of every file whose word was given; return how many. May be done again."""
    waiting = store.records(SEALED, RecordFilter(states=(End.ERASING.value,)))
    for one in waiting:
        for own in (one.id, vault.outgoing(one.id)):
            objects.destroy(own)
        with store.change() as entry:
            found = entry.find(SEALED, one.id)
            if found is None or found.end is not End.ERASING:
                continue  # another process was at it too, and told of it
            entry.put(SEALED, evolve(found, version=found.version + 1, end=End.ERASED))
            body = {"list": one.list, "sha256": one.sha256, "state": entry.job(one.id).state.value}
            entry.append(ACTOR, "destroyed", one.id, body)
    return len(waiting)


def by_clock(config: Config, store: SqliteStore) -> bool:
    """Tell whether the clock alone destroys what was blocked: only where there are no accounts to approve it."""
    return not config.people.required and store.count_records(ACCOUNTS) == 0


def _approve(entry: Entry, change: Change) -> Destruction:
    first, second = _account(entry, change.by), _account(entry, change.second)
    made = rules.approve(_list(entry, change.subject), first, second, at=entry.moment, asked_at=change.at)
    done = _sure(made, Operation.DESTROY_APPROVE)
    entry.put(DESTRUCTIONS, done)
    body = {"list": done.id, "second": change.second, "pieces": len(done.pieces)}
    entry.append(change.by, "destruction-approved", "", body)
    return done


def _erase(entry: Entry, change: Change, keepers: Sequence[Keeper]) -> int:
    """Give the word that a list is destroyed: the list, each copy and each sealed file on it, in one transaction."""
    one = _list(entry, change.subject)
    for piece in one.pieces:
        job = entry.job(piece.job)
        for keeper in keepers:
            if (no := keeper(entry, job)) is not None:
                raise _error(no, Operation.DESTROY_ERASE)
    made = rules.erase(one, by=(change.by, change.second), at=entry.moment)
    done = _sure(made, Operation.DESTROY_ERASE)
    entry.put(DESTRUCTIONS, done)
    for piece in done.pieces:
        if piece.copy:
            copy = copies.destroy(_copy(entry, piece.copy), done.id, at=done.handed_at)
            entry.put(COPIES, _sure(copy, Operation.DESTROY_ERASE))
            continue
        sealed = entry.find(SEALED, piece.job)
        if sealed is None or sealed.list != done.id or sealed.end is not End.LISTED:
            said = Say("不在这份销毁清单上", "it is not on this destruction list")
            raise _error(_denial(entry.job(piece.job), said, Say("停止办理", "stop")), Operation.DESTROY_ERASE)
        entry.put(SEALED, evolve(sealed, version=sealed.version + 1, end=End.ERASING))
    body = {"list": done.id, "second": change.second, "receipt": done.receipt, "pieces": len(done.pieces)}
    hashes = sorted({piece.sha256 for piece in done.pieces})
    entry.append(change.by, "destruction-erased", "", {**body, "sha256": hashes})
    return len(done.pieces)


def _account(entry: Entry, id: str) -> Person:  # noqa: A002  as above
    return now(entry, Person(id=id, natural=id, name=id))


def _list(entry: Entry, id: str) -> Destruction:  # noqa: A002  as above
    found = entry.find(DESTRUCTIONS, id)
    if found is None:
        raise NotFound(
            Say(f"没有销毁清单 {id}", f"there is no destruction list {id}"),
            Say("用 dlp destroy lists 查看", "see `dlp destroy lists`"),
        )
    return found


def _copy(entry: Entry, id: str) -> Copy:  # noqa: A002  as above
    found = entry.find(COPIES, id)
    if found is None:
        raise no_copy(id)
    return found


def _piece_of_copy(entry: Entry, copy: Copy, job: Job) -> Piece:
    known = entry.find(DESCRIPTIONS, copy.job)  # pages may have been counted after it was printed
    return Piece(
        copy=copy.id,
        job=copy.job,
        title=copy.title,
        number=f"{copy.number}/{copy.total}",
        level=copy.level,
        regime=copy.regime,
        pages=copy.pages or (known.pages if known else 0) or None,
        unit=copy.unit,
        sha256=job.item.sha256,
    )


def _piece_of_job(job: Job) -> Piece:
    verdict = job.verdict
    return Piece(
        job=job.id,
        title=job.item.name,
        level=verdict.level if verdict else None,
        regime=verdict.regime if verdict else None,
        pages=job.pages,
        unit=job.item.owner,
        sha256=job.item.sha256,
    )


def _sure(made: T | Denial, operation: Operation = Operation.DESTROY_LIST) -> T:
    """Return what was made; raise what refuses it, and with it the whole transaction."""
    if isinstance(made, Denial):
        raise _error(made, operation)
    return made


def _error(no: Denial, operation: Operation) -> Denied:
    return Denied(no.say, hint_of(no, operation))


def _denial(job: Job, what: Say, hint: Say) -> Denial:
    say = Say(f"任务 {job.id} 的密封件：{what.zh}", f"the sealed file of job {job.id}: {what.en}")
    return Denial(why=Why.INCOMPLETE, say=say, hint=hint, article=f"{RULES_2024}第二十八条；{CENTRE}第十一条")
