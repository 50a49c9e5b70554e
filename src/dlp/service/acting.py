"""Who acts: every use case of the desk asks here first, and a refusal is in the trail like everything else.

Rights are looked at inside the transaction, with the account as it is at that moment: a role that was taken away while
somebody was reading counts no more.

Before the first account is made, whoever may read the books of the gate on this machine acts alone: he may look,
release what was held, and reject. Nothing that needs a second person or an approval is done then.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from dlp.account import ACCOUNTS
from dlp.config import Config
from dlp.errors import Denied
from dlp.model import Say, evolve
from dlp.rights import Denial, Operation, Person, check, right
from dlp.service.people import People
from dlp.store.entry import Entry
from dlp.store.sqlite import SqliteStore

_NEEDS_ACCOUNTS = frozenset(
    {
        Operation.APPROVAL_REQUEST,
        Operation.APPROVAL_SIGN,
        Operation.LEVEL_DECIDE,
        Operation.TERM_CONFIRM,
        Operation.LEGAL_HOLD_SET,  # whoever is alone could not lift it
        Operation.DESTROY_LIST,
        Operation.DESTROY_WITNESS,
        Operation.ACCOUNT_LOCK,
        Operation.PASSWORD_CHANGE,
        Operation.TOKEN_MAKE,
    }
)


class Acting:
    """One person at one site."""

    def __init__(self, config: Config, store: SqliteStore, person: Person | None, *, alone: bool) -> None:
        self.config = config
        self.store = store
        self.alone = alone
        """There are no accounts: whoever has this machine acts, and is known by the name that he has there."""
        self._person = person

    @classmethod
    def at(cls, config: Config, store: SqliteStore, token: str) -> Self:
        """Return who is known by a token; without one, nobody, or whoever has this machine where nobody has an account.

        Denied for a token that is known no more.
        """
        people = People(store, config.people)
        if not people.exist and not config.people.required:
            return cls(config, store, _whoever(), alone=True)
        return cls(config, store, people.who(token) if token else None, alone=False)

    @property
    def person(self) -> Person:
        """Return who acts; Denied where nobody has logged in."""
        if self._person is None:
            raise Denied(
                Say("须先登录", "somebody has to log in first"),
                Say("用 dlp login 账号 登录", "log in: `dlp login ACCOUNT`"),
            )
        return self._person

    @contextmanager
    def demand(self, operation: Operation, *, subject: str = "", job: str = "") -> Iterator[Entry]:
        """Give a transaction where this may be done; Denied, and noted, where it may not."""
        if self.alone:
            self._check_alone(operation)
            with self.store.change() as entry:
                yield entry
            return
        with self.store.change() as entry:
            denial = self.denial(entry, operation)
            if denial is None:
                yield entry
                return
            error = refused(entry, self.person, operation, denial, subject=subject, job=job)
        raise error

    def may(self, operation: Operation, *, subject: str = "", job: str = "") -> Person:
        """Return who acts where this may be done, for what changes nothing; Denied, and noted, where it may not."""
        if self.alone:
            self._check_alone(operation)
            return self.person
        person = self.person
        if check(person, operation) is None:
            return person
        with self.demand(operation, subject=subject, job=job):
            return person  # it was given to him a moment ago

    def now(self, entry: Entry) -> Person:
        """Return who acts as his account is now; where there are no accounts, as he is known on this machine."""
        return self.person if self.alone else now(entry, self.person)

    def denial(self, entry: Entry, operation: Operation) -> Denial | None:
        """Return why this may not be done now, for what asks once more inside the transaction that does it."""
        return None if self.alone else check(now(entry, self.person), operation)

    def _check_alone(self, operation: Operation) -> None:
        if operation in _NEEDS_ACCOUNTS or right(operation).second:
            raise Denied(
                Say(f"“{right(operation).say.zh}”须先建立账号", f"to {right(operation).say.en} there must be accounts"),
                Say("用 dlp people begin 建立三员账号", "make the first accounts with `dlp people begin`"),
            )


def now(entry: Entry, person: Person) -> Person:
    """Return somebody as his account is now; one whose account is gone may do nothing."""
    account = entry.find(ACCOUNTS, person.id)
    if account is None:
        return evolve(person, active=False)  # type: ignore[no-any-return]
    return evolve(account.person(entry.moment), scope=person.scope)  # type: ignore[no-any-return]


def refused(
    entry: Entry, person: Person, operation: Operation, denial: Denial, *, subject: str = "", job: str = ""
) -> Denied:
    """Note a refusal in a transaction that does nothing else; return the error to raise after it."""
    body = {"operation": operation.value, "subject": subject, "why": denial.why.value}
    entry.append(person.id, "denied", job, body)
    return Denied(denial.say, hint_of(denial, operation))


def hint_of(denial: Denial, operation: Operation) -> Say:
    """Return what to do about a refusal, with the article that it rests on."""
    article = denial.article or right(operation).article
    return Say(f"{denial.hint.zh}（依据：{article}）", f"{denial.hint.en} (basis: {article})")


def _whoever() -> Person:
    return Person(id=getpass.getuser(), name=getpass.getuser(), natural=f"os:{os.geteuid()}")
