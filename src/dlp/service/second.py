"""What needs a second person: asked for by one, done when another one confirms it, in one transaction.

One mechanism for accounts, roles, retention, destruction, incidents: an operation whose row in the table of rights
names a second person is a `Change` that waits. Both rights are looked at again at the moment of the confirmation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dlp.account import ACCOUNTS
from dlp.errors import Conflict, Denied, DlpError, NotFound, UsageError
from dlp.model import Frozen, Say, evolve
from dlp.rights import Denial, Operation, Person, check_second, right
from dlp.service.acting import Acting, now, refused
from dlp.service.keys import new_id
from dlp.store.entry import Entry
from dlp.store.record import Columns, Kind, RecordFilter

WAITING, DONE, TURNED_DOWN = "waiting", "done", "turned-down"


class Change(Frozen, frozen=True, kw_only=True):
    """Something that one person asked for and another one has to confirm."""

    id: str
    version: int = 1
    operation: Operation
    subject: str
    """What it is done to: an account, a job, a list, an incident."""
    words: dict[str, Any]
    """What the operation needs to know; never a password, never content."""
    reason: str = ""
    by: str
    state: str = WAITING
    second: str = ""
    at: float
    until: float


CHANGES = Kind(
    "change", Change, lambda one: Columns(state=one.state, job=one.subject, who=one.by, due=one.until, at=one.at)
)
_REFUSALS: dict[type[DlpError], str] = {
    Denied: "denied",
    Conflict: "conflict",
    NotFound: "not-found",
    UsageError: "usage",
}
"""How a refusal of what was confirmed is called in the trail; its sentence may name a file, and is not written."""
Doing = Callable[[Entry, Change], Any]
"""Does what was confirmed, inside the transaction, and appends its own event; returns what there is to tell."""
After = Callable[[Change], None]
"""Does what may only be done once that is durable. A crash can come before it: it is work that is found again."""


class Seconds:
    """Everything that waits for a second person at one site."""

    def __init__(
        self, acting: Acting, *doing: Mapping[Operation, Doing], after: Mapping[Operation, After] | None = None
    ) -> None:
        self._acting = acting
        self._after = after or {}
        self._doing = {operation: does for one in doing for operation, does in one.items()}

    def ask(self, operation: Operation, subject: str, words: dict[str, Any], *, reason: str = "") -> Change:
        """Note what somebody wants done; Denied when he may not. It waits for its second person."""
        if operation not in self._doing or not right(operation).second:
            raise ValueError(f"{operation} needs no second person")
        with self._acting.demand(operation, subject=subject) as entry:
            moment = entry.moment
            change = Change(
                id=new_id(moment),
                operation=operation,
                subject=subject,
                words=words,
                reason=reason,
                by=self._acting.person.id,
                at=moment,
                until=moment + self._acting.config.people.confirm_hours * 3_600,
            )
            entry.put(CHANGES, change)
            body = {"operation": operation.value, "subject": subject, "change": change.id}
            entry.append(change.by, "asked", "", body)
        return change

    def waiting(self) -> tuple[Change, ...]:
        """Return what waits for a second person, newest first."""
        self._acting.person  # noqa: B018  somebody has to be logged in
        moment = self._acting.store.moment()
        found = self._acting.store.records(CHANGES, RecordFilter(states=(WAITING,)))
        return tuple(one for one in found if one.until > moment)

    def get(self, id: str) -> Change:  # noqa: A002  the column's name
        """Return one of them; NotFound when there is none."""
        self._acting.person  # noqa: B018  as above
        return self._acting.store.record(CHANGES, id)

    def standing(self, change: Change) -> Denial | None:
        """Return why whoever acts is not the second person of what waits; None where he may confirm it.

        For what is offered to him; it is asked again when he does.
        """
        first = self._acting.store.find(ACCOUNTS, change.by)
        if first is None:
            return check_second(change.operation, _nobody(change), self._acting.person)
        return check_second(change.operation, first.person(self._acting.store.moment()), self._acting.person)

    def confirm(self, id: str) -> tuple[Change, Any]:  # noqa: A002  as above
        """Do what was asked for, on the word of a second person; return it and what there is to tell.

        Where it cannot be done, nothing of it is, it still waits, and the trail tells of the refusal.
        """
        person = self._acting.person
        done: Change | None = None
        try:
            with self._acting.store.change() as entry:
                change = _waiting(entry, id)
                no = check_second(change.operation, _first(entry, change), now(entry, person))
                if no is None:
                    done = evolve(change, version=change.version + 1, state=DONE, second=person.id)
                    entry.put(CHANGES, done)
                    told = self._doing[change.operation](entry, done)
                else:
                    error = refused(entry, person, change.operation, no, subject=change.subject)
        except tuple(_REFUSALS) as err:
            if done is not None:
                self._note(done, err)
            raise
        if done is None:
            raise error
        if after := self._after.get(done.operation):
            after(done)
        return done, told

    def _note(self, change: Change, err: DlpError) -> None:
        """Note that what was confirmed could not be done: a transaction of its own, for its own was taken back."""
        why = next(word for kind, word in _REFUSALS.items() if isinstance(err, kind))
        body = {"operation": change.operation.value, "subject": change.subject, "change": change.id, "why": why}
        self._acting.store.note(actor=change.second, kind="denied", job="", body=body)

    def turn_down(self, id: str, reason: str) -> Change:  # noqa: A002  as above
        """Turn down what waits: whoever could confirm it does, or whoever asked for it."""
        if not reason.strip():
            raise UsageError(Say("须写明理由", "a reason is required"))
        person = self._acting.person
        with self._acting.store.change() as entry:
            change = _waiting(entry, id)
            no = check_second(change.operation, _first(entry, change), now(entry, person))
            if no is None or change.by == person.id:
                turned: Change = evolve(change, version=change.version + 1, state=TURNED_DOWN, second=person.id)
                entry.put(CHANGES, turned)
                body = {"operation": change.operation.value, "subject": change.subject, "reason": reason.strip()}
                entry.append(person.id, "turned-down", "", {**body, "change": change.id})
                return turned
            error = refused(entry, person, change.operation, no, subject=change.subject)
        raise error


def _first(entry: Entry, change: Change) -> Person:
    """Return who asked, as his account is now."""
    return now(entry, _nobody(change))


def _nobody(change: Change) -> Person:
    return Person(id=change.by, natural=change.by, name=change.by, active=False)


def _waiting(entry: Entry, id: str) -> Change:  # noqa: A002  as above
    change = entry.find(CHANGES, id)
    if change is None:
        raise NotFound(
            Say(f"没有待确认的事项 {id}", f"nothing of this number waits: {id}"),
            Say("用 dlp people waiting 查看", "see `dlp people waiting`"),
        )
    if change.state != WAITING or entry.moment >= change.until:
        raise Conflict(
            Say(f"事项 {id} 已办结、撤回或过期", f"{id} was done, turned down, or has lapsed"),
            Say("需要时重新提出", "ask for it anew if it is still needed"),
        )
    return change
