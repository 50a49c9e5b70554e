"""Tokens for programs: each acts for one person, reaches no further than it says, and ends on its day.

A token is a session with a name and a scope. It ends with every other session of its account: when the account is
locked, when its password is changed or reset, when its owner logs out everywhere.
"""

from __future__ import annotations

import time

from dlp import account as accounts
from dlp.account import DAY, SESSIONS, Session
from dlp.errors import Denied, NotFound, UsageError
from dlp.model import Say
from dlp.rights import Operation, right
from dlp.service.acting import Acting
from dlp.store.record import RecordFilter

MOST_DAYS = 365
MOST = 50
"""Of one account."""


class Tokens:
    """The tokens of one person."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting

    def all(self) -> tuple[Session, ...]:
        """Return one's own tokens that have not ended, newest first; what they are is nowhere."""
        person = self._acting.may(Operation.TOKEN_MAKE)
        found = self._acting.store.records(SESSIONS, RecordFilter(who=person.id))
        return tuple(one for one in found if one.name and one.until > time.time())

    def make(self, name: str, scope: tuple[Operation, ...], days: int) -> tuple[Session, str]:
        """Make a token; return what the books keep of it, and the token, which is shown once.

        UsageError without a name, for a scope that is empty or wider than one's own rights, or for too many days.
        Denied for a token that would make tokens.
        """
        name = name.strip()
        _check(name, scope, days)
        with self._acting.demand(Operation.TOKEN_MAKE, subject=name) as entry:
            person = self._acting.now(entry)
            if person.scope is not None:
                raise Denied(
                    Say("令牌不能签发令牌", "a token makes no tokens"), Say("请本人登录签发", "log in and make it")
                )
            beyond = [one for one in scope if not set(right(one).roles + right(one).second) & set(person.roles)]
            if beyond:
                row = right(beyond[0])
                raise UsageError(
                    Say(f"本人无权“{row.say.zh}”，令牌也不能有", f"you may not {row.say.en}, nor may your token"),
                    Say("从范围中去掉它", "leave it out of the scope"),
                )
            if sum(1 for one in entry.records(SESSIONS, RecordFilter(who=person.id)) if one.name) >= MOST:
                raise UsageError(Say(f"令牌不得超过 {MOST} 个", f"there are {MOST} tokens already"))
            token, now = accounts.new_token(), time.time()
            made = Session(
                id=accounts.session_id(token),
                account=person.id,
                at=now,
                until=now + days * DAY,
                name=name,
                scope=tuple(dict.fromkeys(scope)),
            )
            entry.put(SESSIONS, made)
            words = [one.value for one in made.scope or ()]
            entry.append(person.id, "token-made", "", {"name": name, "scope": words, "days": days})
        return made, token

    def end(self, id: str) -> None:  # noqa: A002  the column's name
        """End one of one's own tokens; NotFound for any other."""
        with self._acting.demand(Operation.TOKEN_MAKE) as entry:
            found = entry.find(SESSIONS, id)
            if found is None or not found.name or found.account != self._acting.person.id:
                raise NotFound(Say("没有这个令牌", "there is no such token"))
            entry.drop(SESSIONS, id)
            entry.append(self._acting.person.id, "token-ended", "", {"name": found.name})


def operations(words: tuple[str, ...]) -> tuple[Operation, ...]:
    """Return a scope by its words (`job.list`); UsageError for one that is none."""
    known = {one.value: one for one in Operation}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise UsageError(
            Say(f"没有这个操作：{unknown[0][:60]}", f"no such operation: {unknown[0][:60]}"),
            Say("如 job.list、job.show、register.read", "such as job.list, job.show, register.read"),
        )
    return tuple(known[word] for word in words)


def _check(name: str, scope: tuple[Operation, ...], days: int) -> None:
    if not name or len(name) > 60:
        raise UsageError(Say("令牌须有名称，最多 60 字", "a token has a name of at most 60 characters"))
    if not scope:
        raise UsageError(Say("须写明令牌的范围", "a token has a scope"))
    if not 1 <= days <= MOST_DAYS:
        raise UsageError(Say(f"有效期 1 至 {MOST_DAYS} 天", f"it holds for 1 to {MOST_DAYS} days"))
    own = {Operation.TOKEN_MAKE, Operation.PASSWORD_CHANGE}
    if own & set(scope):
        raise UsageError(Say("令牌不能签发令牌或修改口令", "a token neither makes tokens nor changes passwords"))
