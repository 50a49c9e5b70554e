"""Accounts and roles: looked at by the administrators; changed by two of them; stopped by one, at once."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import RedirectResponse

from dlp.account import Account
from dlp.errors import UsageError
from dlp.model import Say
from dlp.rights import EXCLUSIONS, ROLES, Operation, right
from dlp.rights import names as roles_said
from dlp.service import accounts
from dlp.service.people import People
from dlp.web.answers import moment
from dlp.web.leaf import leaf
from dlp.web.pages.waiting import asked
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
ACTIVE, LOCKED = Say("有效", "active"), Say("停用", "locked")
EXPIRED, FAILED = Say("到期", "expired"), Say("口令错误过多，暂锁", "locked for a while: too many wrong passwords")


@router.get("/people")
def everybody(about: Reads) -> Response:
    """List the accounts."""
    about.desk.acting.may(Operation.ACCOUNT_LIST)
    found = _people(about).all()
    return leaf(about, "people.html", found=[(one, _state(one)) for one in found], given={})


@router.get("/people/{id}")
def card(about: Reads, id: str) -> Response:  # noqa: A002  the column's name
    """Show one account, and what may be done with it."""
    about.desk.acting.may(Operation.ACCOUNT_LIST, subject=id)
    one = _people(about).get(id)
    waits = [change for change in about.desk.seconds.waiting() if change.subject == one.id]
    second = {operation: roles_said(right(operation).second) for operation in accounts.doing()}
    return leaf(
        about,
        "person.html",
        one=one,
        state=_state(one),
        every_role=ROLES,
        waits=waits,
        second=second,
        exclusions=EXCLUSIONS,
    )


@router.post("/people")
def add(about: Does) -> Response:
    """Ask for a new account."""
    id_ = about.field("account")
    words: dict[str, Any] = {key: about.field(key, "") for key in ("name", "natural", "unit", "post")}
    accounts.check_new(id_, words)
    words["until"] = moment(about.field("until", ""), whole_day=True) or 0.0
    return asked(about.desk.seconds.ask(Operation.ACCOUNT_ADD, id_, words))


@router.post("/people/{id}/change")
def change(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for other words about an account."""
    one = _one(about, Operation.ACCOUNT_CHANGE, id)
    words: dict[str, Any] = {key: about.field(key, "") for key in ("name", "unit", "post")}
    words["until"] = moment(about.field("until", ""), whole_day=True) or 0.0
    given = {key: value for key, value in words.items() if value != getattr(one, key)}
    if not given:
        raise UsageError(Say("没有改动任何一项", "nothing was changed"), Say("修改后再提交", "change something first"))
    if not words["name"]:
        raise UsageError(Say("须写明姓名", "a name is required"))
    return asked(about.desk.seconds.ask(Operation.ACCOUNT_CHANGE, id, given))


@router.post("/people/{id}/roles")
def roles(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for other roles."""
    _one(about, Operation.ROLE_CHANGE, id)
    words = {"roles": [role.value for role in accounts.roles_of(about.fields("role"))]}
    return asked(about.desk.seconds.ask(Operation.ROLE_CHANGE, id, words))


@router.post("/people/{id}/unlock")
def unlock(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for an account to be given back."""
    _one(about, Operation.ACCOUNT_UNLOCK, id)
    return asked(about.desk.seconds.ask(Operation.ACCOUNT_UNLOCK, id, {}))


@router.post("/people/{id}/reset")
def reset(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for a new one-time password."""
    _one(about, Operation.PASSWORD_RESET, id)
    return asked(about.desk.seconds.ask(Operation.PASSWORD_RESET, id, {}))


@router.post("/people/{id}/lock")
def lock(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Stop an account at once."""
    accounts.lock(about.desk.acting, id, about.field("reason"))
    return RedirectResponse(f"/people/{id}", 303)


def _one(about: Visit, operation: Operation, id: str) -> Account:  # noqa: A002  as above
    about.desk.acting.may(operation, subject=id)
    return _people(about).get(id)


def _people(about: Visit) -> People:
    return People(about.desk.store, about.config.people)


def _state(one: Account) -> Say:
    now = time.time()
    if not one.active:
        return LOCKED
    if one.until and now >= one.until:
        return EXPIRED
    return FAILED if now < one.locked_until else ACTIVE
