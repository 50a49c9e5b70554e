"""Accounts of people, their passwords, and how long somebody is logged in. Values and rules; the books keep them.

Passwords are kept as argon2id only. Whoever fails too often is locked for a while, and that survives a restart,
because it is in the books. 政务服务中心保密工作制度 2.2 asks for passwords that are changed; the split of the three
administrators is that of classified systems.
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets

import argon2

from dlp.config import PeopleSpec
from dlp.model import Frozen, Say, evolve
from dlp.rights import Operation, Person, Role
from dlp.store.record import Columns, Kind

DAY = 86_400.0
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_HASHER = argon2.PasswordHasher()
_CLASSES = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^a-zA-Z0-9]")
_EARLIER = 3
_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Account(Frozen, frozen=True, kw_only=True):
    """One account."""

    id: str
    version: int = 1
    natural: str
    """The natural person behind it, e.g. a staff number: two accounts of one person are one person."""
    name: str
    unit: str = ""
    post: str = ""
    roles: tuple[Role, ...] = ()
    active: bool = True
    until: float = 0.0
    """When it expires by itself; 0: never."""
    password: str = ""
    """argon2id; empty while none was set."""
    password_at: float = 0.0
    one_time: bool = True
    """The password was given by somebody else, and does nothing but set another one."""
    earlier: tuple[str, ...] = ()
    failed: int = 0
    locked_until: float = 0.0
    at: float

    def person(self, now: float) -> Person:
        """Return who this is for the table of rights, at this moment."""
        active = self.active and not (self.until and now >= self.until)
        return Person(
            id=self.id,
            name=self.name,
            roles=self.roles,
            unit=self.unit,
            post=self.post,
            active=active,
            natural=self.natural,
        )


class Session(Frozen, frozen=True, kw_only=True):
    """Somebody who is logged in, or a program that acts for him. Its id is a digest: no token is in the books."""

    id: str
    version: int = 1
    account: str
    at: float
    until: float
    name: str = ""
    """Of a program's token; empty: somebody logged in himself."""
    scope: tuple[Operation, ...] | None = None
    """What it reaches to, at most."""


ACCOUNTS = Kind(
    "person",
    Account,
    lambda one: Columns(state="active" if one.active else "locked", who=one.natural, due=one.until, at=one.at),
)
SESSIONS = Kind("session", Session, lambda one: Columns(who=one.account, due=one.until, at=one.at))


def hashed(password: str) -> str:
    """Return what is kept of a password."""
    return _HASHER.hash(password)


def fits(kept: str, password: str) -> bool:
    """Tell whether a password is the one that is kept; takes as long where there is none."""
    try:
        return _HASHER.verify(kept or _nobody(), password) and bool(kept)
    except argon2.exceptions.VerificationError:
        return False


@functools.cache
def _nobody() -> str:
    """Return what is tried where there is no account: a name that does not exist takes as long as one that does."""
    return _HASHER.hash("nobody has this password")


def one_time() -> str:
    """Return a new password that somebody hands over and that does nothing but set another one."""
    while True:
        made = "".join(secrets.choice(_ALPHABET) for _ in range(14))
        if sum(bool(re.search(kind, made)) for kind in _CLASSES) >= 3:
            return made


def with_password(account: Account, password: str, now: float, *, one_time: bool = False) -> Account:
    """Return an account with another password; the ones before are remembered, so that none comes back at once."""
    return evolve(  # type: ignore[no-any-return]
        account,
        version=account.version + 1,
        password=hashed(password),
        password_at=now,
        one_time=one_time,
        earlier=(*account.earlier, *([account.password] if account.password else ()))[-_EARLIER:],
        failed=0,
        locked_until=0.0,
    )


def weak(account: Account, password: str, spec: PeopleSpec) -> Say | None:
    """Return why a password is not taken; None when it is."""
    if len(password) < spec.password_length:
        return Say(f"口令至少 {spec.password_length} 位", f"a password has at least {spec.password_length} characters")
    if sum(bool(re.search(kind, password)) for kind in _CLASSES) < 3:
        return Say(
            "口令须含大写字母、小写字母、数字、符号中的三种",
            "a password has three of: capital letters, small letters, digits, signs",
        )
    if account.id.casefold() in password.casefold():
        return Say("口令中不得含账号名", "a password does not hold the name of its account")
    if any(fits(kept, password) for kept in (account.password, *account.earlier) if kept):
        return Say("不得使用最近用过的口令", "this password was used before")
    return None


def is_old(account: Account, now: float, spec: PeopleSpec) -> bool:
    """Tell whether a password has to be changed before anything else is done."""
    return account.one_time or now >= account.password_at + spec.password_days * DAY


def new_token() -> str:
    """Return the word by which a logged-in person is known: 256 random bits."""
    return secrets.token_urlsafe(32)


def session_id(token: str) -> str:
    """Return by what the books know a token."""
    return hashlib.sha256(token.encode()).hexdigest()
