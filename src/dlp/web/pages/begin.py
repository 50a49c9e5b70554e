"""The first accounts, behind a link that opens once; and invented people, at a gate that shows itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from dlp.errors import Denied, UsageError
from dlp.model import Say
from dlp.rights import ADMINISTRATORS, ROLES, Role
from dlp.service import demo
from dlp.web.leaf import leaf
from dlp.web.visit import Asks, form_of

router = APIRouter()


@router.get("/begin")
def show(about: Asks, key: str = "") -> Response:
    """Show the form for the three administrators."""
    _check(about, key)
    return leaf(about, "begin.html", key=key, said=None, given={}, roles_of=_roles(), demo=about.console.demo)


@router.post("/begin")
def begin(about: Asks, form: Annotated[dict[str, Any], Depends(form_of)]) -> Response:
    """Make the three administrators; their one-time passwords are shown once."""
    key = str(form.get("key", ""))
    _check(about, key)
    named = {
        role: (_word(form, role, "account"), _word(form, role, "name"), _word(form, role, "natural"))
        for role in ADMINISTRATORS
    }
    try:
        passwords = about.console.people.begin(named)
    except UsageError as err:
        return leaf(
            about, "begin.html", 400, key=key, said=err, given=named, roles_of=_roles(), demo=about.console.demo
        )
    rows = [(ROLES[role], account, name, passwords[account]) for role, (account, name, _) in named.items()]
    return leaf(about, "begun.html", rows=rows, one_time=True)


@router.post("/begin/demo")
def begin_demo(about: Asks, form: Annotated[dict[str, Any], Depends(form_of)]) -> Response:
    """Lay out invented people with every role, at a gate that was started to show itself and nowhere else."""
    _check(about, str(form.get("key", "")))
    if not about.console.demo:
        raise Denied(Say("只有演示模式可以使用演示人员", "only a gate that shows itself has invented people"))
    rows = demo.people(about.console.store)
    return leaf(about, "begun.html", rows=rows, one_time=False)


def _word(form: dict[str, Any], role: Role, what: str) -> str:
    return str(form.get(f"{role.value}-{what}", "")).strip()


def _roles() -> tuple[tuple[str, Say], ...]:
    return tuple((role.value, ROLES[role]) for role in ADMINISTRATORS)


def _check(about: Asks, key: str) -> None:
    if not about.console.opens(key):
        raise Denied(
            Say("此链接已用过或不对", "this link was used, or it is not the right one"),
            Say(
                "账号已建立时请直接登录；否则重新启动文印闸，用新链接",
                "log in where there are accounts; else start the gate anew and use the new link",
            ),
        )
