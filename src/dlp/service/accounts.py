"""Accounts and roles: added, changed and given back by two persons; taken away by one, at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dlp import account as kept
from dlp.account import ACCOUNTS, Account
from dlp.errors import Conflict, Denied, NotFound, UsageError
from dlp.model import Say, evolve
from dlp.rights import ROLES, Operation, Role, conflicts, held
from dlp.service import people
from dlp.service.acting import Acting
from dlp.service.second import Change, Doing
from dlp.store.entry import Entry


def lock(acting: Acting, id: str, reason: str) -> Account:  # noqa: A002  the column's name
    """Stop an account at once, and every session of it."""
    with acting.demand(Operation.ACCOUNT_LOCK, subject=id) as entry:
        account = _account(entry, id)
        locked: Account = evolve(account, version=account.version + 1, active=False)
        entry.put(ACCOUNTS, locked)
        people.end_sessions(entry, id)
        entry.append(acting.person.id, "account-locked", "", {"account": id, "reason": reason})
    return locked


def roles_of(words: Iterable[str]) -> tuple[Role, ...]:
    """Return roles by their words (`operator`) or their Chinese names (`文印员`); UsageError for one that is none."""
    by_name = {say.zh: role for role, say in ROLES.items()} | {role.value: role for role in Role}
    words = tuple(words)
    unknown = [word for word in words if word not in by_name]
    if unknown:
        known = "、".join(say.zh for say in ROLES.values())
        raise UsageError(
            Say(f"没有这个角色：{unknown[0]}", f"no such role: {unknown[0]}"),
            Say(f"角色：{known}", f"roles: {', '.join(role.value for role in Role)}"),
        )
    return tuple(dict.fromkeys(by_name[word] for word in words))


def check_new(id: str, words: Mapping[str, Any]) -> None:  # noqa: A002  as above
    """Raise UsageError where a new account would have no name or belong to nobody."""
    people.new(id, str(words.get("name", "")), str(words.get("natural", "")), password="")


def doing() -> dict[Operation, Doing]:
    """Return what is done once a second person has confirmed it."""
    return {
        Operation.ACCOUNT_ADD: _add,
        Operation.ACCOUNT_CHANGE: _change,
        Operation.ACCOUNT_UNLOCK: _unlock,
        Operation.ROLE_CHANGE: _roles,
        Operation.PASSWORD_RESET: _reset,
    }


def _add(entry: Entry, change: Change) -> str:
    words, password = change.words, kept.one_time()
    made = people.new(
        change.subject,
        words["name"],
        words["natural"],
        unit=words.get("unit", ""),
        post=words.get("post", ""),
        until=float(words.get("until", 0.0)),
        password=password,
    )
    if entry.find(ACCOUNTS, made.id) is not None:
        raise Conflict(Say(f"账号 {made.id} 已存在", f"the account {made.id} is there already"))
    entry.put(ACCOUNTS, made)
    entry.append(change.by, "account-added", "", {"account": made.id, "second": change.second})
    return password


def _change(entry: Entry, change: Change) -> None:
    account = _account(entry, change.subject)
    fields = {key: change.words[key] for key in ("name", "unit", "post", "until") if key in change.words}
    changed: Account = evolve(account, version=account.version + 1, **fields)
    _check_roles(entry, changed)  # an account that had expired may come to life again
    entry.put(ACCOUNTS, changed)
    body = {"account": account.id, "fields": sorted(fields), "second": change.second}
    entry.append(change.by, "account-changed", "", body)


def _unlock(entry: Entry, change: Change) -> None:
    account = _account(entry, change.subject)
    unlocked = evolve(account, version=account.version + 1, active=True, failed=0, locked_until=0.0)
    _check_roles(entry, unlocked)
    entry.put(ACCOUNTS, unlocked)
    entry.append(change.by, "account-unlocked", "", {"account": account.id, "second": change.second})


def _roles(entry: Entry, change: Change) -> None:
    account = _account(entry, change.subject)
    roles = tuple(Role(word) for word in change.words["roles"])
    changed = evolve(account, version=account.version + 1, roles=roles)
    _check_roles(entry, changed)
    entry.put(ACCOUNTS, changed)
    body = {"account": account.id, "roles": [role.value for role in roles], "second": change.second}
    entry.append(change.by, "roles-changed", "", body)


def _reset(entry: Entry, change: Change) -> str:
    account = _account(entry, change.subject)
    password = kept.one_time()
    entry.put(ACCOUNTS, kept.with_password(account, password, entry.moment, one_time=True))
    people.end_sessions(entry, account.id)
    entry.append(change.by, "password-reset", "", {"account": account.id, "second": change.second})
    return password


def _check_roles(entry: Entry, account: Account) -> None:
    """Raise Denied where a person would hold, over all accounts, roles that exclude one another."""
    now = entry.moment
    others = [one.person(now) for one in entry.records(ACCOUNTS) if one.id != account.id]
    clash = conflicts(held([*others, account.person(now)], account.natural))
    if clash:
        first = clash[0]
        one, other = ROLES[first.these[0]], ROLES[first.those[0]]
        raise Denied(
            Say(
                f"{account.name}（{account.natural}）不能兼“{one.zh}”和“{other.zh}”：{first.say.zh}",
                f"{account.name} ({account.natural}) cannot be both {one.en} and {other.en}: {first.say.en}",
            ),
            Say(f"依据：{first.article}", f"basis: {first.article}"),
        )


def _account(entry: Entry, id: str) -> Account:  # noqa: A002  as above
    account = entry.find(ACCOUNTS, id)
    if account is None:
        raise NotFound(Say(f"没有账号 {id}", f"there is no account {id}"))
    return account
