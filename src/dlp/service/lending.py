"""Paper copies and what operators write down once: picked up, given back, overdue, and whether the numbers agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dlp import copies
from dlp.approval import Case
from dlp.commissions import ORDERS, Order, What
from dlp.copies import AS_IT_SHOULD, COPIES, Account, Copy, CopyState, Printed
from dlp.errors import NotFound, StoreError, UsageError
from dlp.model import Frozen, Level, Say, State, evolve
from dlp.rights import CENTRE, Denial, Operation, Person, Why
from dlp.service.acting import Acting, refused
from dlp.service.cases import CASES
from dlp.service.keys import new_id
from dlp.store import Job
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore

LEFT = (State.RELEASED, State.REDACTED)
"""The copies of a job here came out of the printer."""
ABROAD = (CopyState.MADE, CopyState.OUT)
MOST_QUANTITY = 10_000_000


class Wanted(NamedTuple):
    """Which copies are wanted; what is left at its default is not asked for."""

    job: str = ""
    state: CopyState | None = None
    holder: str = ""
    unit: str = ""
    overdue: bool = False


class Ordered(Frozen, frozen=True, kw_only=True):
    """What an operator writes down of a commission to print, or of a file brought back from a meeting."""

    what: What
    job: str = ""
    title: str = ""
    client: str = ""
    person: str = ""
    papers: str = ""
    quantity: int = 1
    original: str = ""
    contract: str = ""
    doc_no: str = ""
    term: str = ""
    level: Level | None = None
    unit: str = ""
    due: float | None = None


class Reckoning(NamedTuple):
    """The copies of one job, counted."""

    job: str
    account: Account
    open: tuple[int, ...]
    """份号 of the copies that are neither back nor destroyed."""


class Lending:
    """The copies of one site, in the name of one person."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._store = acting.store

    def copies(self, wanted: Wanted | None = None) -> Iterator[Copy]:
        """Give copies, oldest first."""
        self._acting.may(Operation.REGISTER_READ)
        wanted = wanted or Wanted()
        job = self._store.get(wanted.job).id if wanted.job else ""
        only = RecordFilter(
            job=job,
            states=(wanted.state.value,) if wanted.state else (),
            due_before=self._store.moment() if wanted.overdue else 0.0,
        )
        for copy in self._store.records_from_oldest(COPIES, only):
            if wanted.holder in ("", copy.holder) and wanted.unit in ("", copy.unit):
                yield copy

    def pick_up(
        self,
        id: str,  # noqa: A002  the column's name
        to: str,
        *,
        carriers: tuple[str, ...] = (),
        authority: str = "",
        printed: Printed = AS_IT_SHOULD,
    ) -> Copy:
        """Write down who picked a copy up. Denied for whom it was not approved for, or before it was printed."""
        with self._on(id, Operation.REGISTER_PICK_UP, "copy-picked-up") as at:
            job = at.entry.job(at.one.job)
            if job.state in LEFT:
                at.made = copies.hand_out(
                    at.one,
                    to.strip(),
                    by=at.person,
                    at=at.entry.moment,
                    carriers=carriers,
                    authority=authority,
                    printed=printed,
                )
            else:
                at.made = _no(at.one, Say("尚未印出", "it is not printed"), Say("印出后再领取", "wait for it"))
        return at.done

    def give_back(self, id: str, *, by: str) -> Copy:  # noqa: A002  the column's name
        """Write down that a copy came back, and who brought it."""
        _name(by)
        with self._on(id, Operation.REGISTER_RETURN, "copy-returned") as at:
            at.made = copies.give_back(at.one, by=by.strip(), received_by=at.person.id, at=at.entry.moment)
        return at.done

    def strike(self, id: str, *, reason: str) -> Copy:  # noqa: A002  as above
        """Write down that a copy which was cleared never came out of the printer."""
        if not reason.strip():
            raise UsageError(Say("须写明理由", "a reason is required"))
        with self._on(id, Operation.REGISTER_RETURN, "copy-void") as at:
            at.made = copies.strike(at.one, reason=reason)
            at.body = {"reason": reason.strip()}
        return at.done

    def overdue(self) -> Iterator[Copy | Order]:
        """Give the copies that should be back and the orders that should be done, by kind, oldest first."""
        self._acting.may(Operation.REGISTER_READ)
        only = RecordFilter(due_before=self._store.moment())
        yield from self._store.records_from_oldest(COPIES, only)
        yield from self._store.records_from_oldest(ORDERS, only)

    def orders(self, *, every: bool = False) -> Iterator[Order]:
        """Give the orders that are not done yet, oldest first; with `every`, the others too."""
        self._acting.may(Operation.REGISTER_READ)
        yield from self._store.records_from_oldest(ORDERS, RecordFilter(states=() if every else ("open",)))

    def get(self, word: str) -> Copy:
        """Return one copy by its number; NotFound when there is none."""
        self._acting.may(Operation.REGISTER_READ)
        found = self._store.find(COPIES, self.copy_id(word))
        if found is None:
            raise no_copy(word)
        return found

    def reconcile(self) -> Iterator[Reckoning]:
        """Give for each job that was let go on an approval: copies approved, printed, back, destroyed and open."""
        self._acting.may(Operation.REGISTER_READ)
        yield from reckonings(self._store)

    def order(self, ordered: Ordered) -> Order:
        """Write down a commission or a meeting file. UsageError where something is missing."""
        job = self._store.get(ordered.job) if ordered.job else None
        title = ordered.title.strip() or (job.item.name if job else "")
        if not title:
            raise UsageError(Say("须写明名称或任务", "a title or a job is required"))
        if not ordered.client.strip() or (ordered.what is What.MEETING and not ordered.person.strip()):
            raise UsageError(Say("须写明单位和经手人", "who it is for, and who brought it, are required"))
        if not 1 <= ordered.quantity <= MOST_QUANTITY:
            raise UsageError(Say(f"数量须在 1 至 {MOST_QUANTITY} 之间", f"between 1 and {MOST_QUANTITY} of them"))
        if ordered.what is What.MEETING and ordered.due is None:
            raise UsageError(Say("须写明送交期限", "the day by which it is handed in is required"))
        with self._acting.demand(Operation.REGISTER_ENTER, job=job.id if job else "") as entry:
            person = self._acting.now(entry)
            made = Order(
                id=new_id(entry.moment),
                what=ordered.what,
                job=job.id if job else "",
                title=title,
                client=ordered.client.strip(),
                person=ordered.person.strip(),
                papers=ordered.papers.strip(),
                quantity=ordered.quantity,
                original=ordered.original.strip(),
                contract=ordered.contract.strip(),
                doc_no=ordered.doc_no.strip(),
                term=ordered.term.strip(),
                level=ordered.level,
                unit=ordered.unit.strip() or person.unit,
                due=ordered.due or 0.0,
                by=person.id,
                at=entry.moment,
            )
            entry.put(ORDERS, made)
            entry.append(person.id, "order-entered", made.job, {"order": made.id, "what": made.what.value})
        return made

    def settle(self, id: str, *, finished: int = 0, waste: str = "", returned: str = "") -> Order:  # noqa: A002
        """Write down that a commission was delivered, or a meeting file handed in. Conflict where it was before."""
        with self._acting.demand(Operation.REGISTER_ENTER, subject=id) as entry:
            one, person = entry.find(ORDERS, id), self._acting.now(entry)
            if one is None:
                raise NotFound(
                    Say(f"没有这条登记：{id}", f"there is no such order: {id}"),
                    Say("用 dlp registers show commissions 查看", "see `dlp registers show commissions`"),
                )
            if one.done_at:
                raise StoreError(Say(f"登记 {id} 已办结", f"the order {id} is done already"))
            made: Order = evolve(
                one,
                version=one.version + 1,
                finished=finished,
                waste=waste.strip(),
                returned=returned.strip(),
                done_at=entry.moment,
                done_by=person.id,
            )
            entry.put(ORDERS, made)
            entry.append(person.id, "order-settled", made.job, {"order": id})
        return made

    def copy_id(self, word: str) -> str:
        """Return the whole id of a copy; its job may be given by a unique beginning, as everywhere."""
        job, dash, number = word.rpartition("-")
        if not dash or not number.isascii() or not number.isdigit():
            raise no_copy(word)
        return copies.copy_id(self._store.get(job).id, int(number))

    @contextmanager
    def _on(self, word: str, operation: Operation, kind: str) -> Iterator[_At]:
        """Give a copy to change; what comes of it is written with its event, or its refusal is."""
        id_ = self.copy_id(word)
        with self._acting.demand(operation, subject=id_) as entry:
            one = entry.find(COPIES, id_)
            if one is None:
                raise no_copy(id_)
            at = _At(entry, self._acting.now(entry), one)
            yield at
            if isinstance(at.made, Copy):
                at.done = entry.put(COPIES, at.made)
                entry.append(at.person.id, kind, one.job, {"copy": id_, **at.body})
                return
            error = refused(entry, at.person, operation, at.made, subject=id_, job=one.job)
        raise error


def reckonings(store: SqliteStore) -> Iterator[Reckoning]:
    """Give for each job that was let go on an approval its copies, counted; and for each that no approval knows of."""
    seen: set[str] = set()
    for case in store.records_from_oldest(CASES):
        if case.cleared and case.request.job not in seen:
            seen.add(case.request.job)
            yield _reckon(store, case.request.job)
    for copy in store.records_from_oldest(COPIES):
        if copy.job not in seen:  # no case knows of it: that does not agree with anything
            seen.add(copy.job)
            yield _reckon(store, copy.job)


def _reckon(store: SqliteStore, job: str) -> Reckoning:
    only = RecordFilter(job=job)
    seen = _reckoned(job, store.get(job), store.records(CASES, only), store.records(COPIES, only))
    if seen.account.differs:  # something may have moved between the rows: once more, in one moment
        with store.change() as entry:
            seen = _reckoned(job, entry.job(job), entry.records(CASES, only), entry.records(COPIES, only))
    return seen


def _reckoned(job: str, about: Job, cases: Iterable[Case], found: Iterable[Copy]) -> Reckoning:
    found = tuple(found)
    approved = sum(given.copies for case in cases for given in case.cleared)
    printed = about.item.copies if about.state in LEFT else 0
    left = sorted(copy.number for copy in found if copy.state in ABROAD)
    return Reckoning(job, copies.count(found, approved=approved, printed=printed), tuple(left))


class _At:
    """One copy inside the transaction that changes it."""

    def __init__(self, entry: Entry, person: Person, one: Copy) -> None:
        self.entry = entry
        self.person = person
        self.one = one
        self.made: Copy | Denial = one
        self.body: dict[str, object] = {}
        self.done = one


def no_copy(id: str) -> NotFound:  # noqa: A002  as above
    """Return the error that there is no such copy."""
    return NotFound(
        Say(f"没有这一份：{id}", f"there is no such copy: {id}"),
        Say("份的编号形如 任务编号-001；用 dlp registers copies 查看", "JOB-001; see `dlp registers copies`"),
    )


def _name(text: str) -> None:
    if not text.strip():
        raise UsageError(Say("须写明姓名", "a name is required"))


def _no(copy: Copy, what: Say, hint: Say) -> Denial:
    say = Say(f"任务 {copy.job} 第 {copy.number} 份：{what.zh}", f"copy {copy.number} of job {copy.job}: {what.en}")
    return Denial(why=Why.COPIES, say=say, hint=hint, article=f"{CENTRE}第七条")
