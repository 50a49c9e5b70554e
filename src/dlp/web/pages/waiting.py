"""What waits for a second person: what happens when it is confirmed, in words; and who may say so."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import APIRouter, Response
from starlette.responses import RedirectResponse

from dlp.errors import NotFound
from dlp.model import Say
from dlp.rights import Denial, Operation, right
from dlp.rights import names as roles_said
from dlp.service import wording
from dlp.service.people import People
from dlp.service.second import DONE, TURNED_DOWN, WAITING, Change
from dlp.web.leaf import leaf
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
PASSWORDS = (Operation.ACCOUNT_ADD, Operation.PASSWORD_RESET)
"""What these tell is a one-time password: it is shown once, and to whoever confirmed it."""
LEADS: dict[Operation, str] = {
    Operation.DESTROY_APPROVE: "/destroy/",
    Operation.DESTROY_ERASE: "/destroy/",
    Operation.INCIDENT_CLOSE: "/incidents/",
    Operation.RETENTION_SET: "/jobs/",
    Operation.LEGAL_HOLD_LIFT: "/jobs/",
}
"""Where what it is about can be looked at."""
STATES: dict[str, Say] = {
    WAITING: Say("已提出，等待第二人确认", "asked for; it waits for a second person"),
    DONE: Say("已确认并执行", "confirmed and done"),
    TURNED_DOWN: Say("已不予确认或撤回", "turned down or taken back"),
}


class Shown(NamedTuple):
    """One of them as it is shown to whoever looks."""

    change: Change
    what: Say
    words: Say
    by: str
    confirms: Say
    """The roles that confirm it."""
    no: Denial | None
    """Why whoever looks does not confirm it."""
    own: bool
    to: str


@router.get("/waiting")
def waiting(about: Reads, told: str = "") -> Response:
    """Show what waits: first what whoever looks may confirm."""
    about.desk.acting.may(Operation.PASSWORD_CHANGE)
    names = {one.id: one.name for one in People(about.desk.store, about.config.people).all()}
    shown = sorted((_shown(about, one, names) for one in about.desk.seconds.waiting()), key=lambda one: bool(one.no))
    return leaf(about, "waiting.html", shown=shown, told=_told(about, told), states=STATES)


@router.post("/waiting/{id}/confirm")
def confirm(about: Does, id: str) -> Response:  # noqa: A002  the column's name
    """Do what was asked for, on the word of a second person."""
    done, told = about.desk.seconds.confirm(id)
    if isinstance(told, str) and done.operation in PASSWORDS:
        return leaf(about, "one_time.html", change=done, what=right(done.operation).say, password=told)
    return RedirectResponse(f"/waiting?told={done.id}", 303)


@router.post("/waiting/{id}/refuse")
def refuse(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Turn down what waits, or take back what one asked for."""
    turned = about.desk.seconds.turn_down(id, about.field("reason", ""))
    return RedirectResponse(f"/waiting?told={turned.id}", 303)


def asked(change: Change) -> Response:
    """Lead to what waits, where it is said that this was asked for."""
    return RedirectResponse(f"/waiting?told={change.id}", 303)


def _shown(about: Visit, one: Change, names: dict[str, str]) -> Shown:
    row = right(one.operation)
    return Shown(
        change=one,
        what=row.say,
        words=wording.of(one),
        by=names.get(one.by, one.by),
        confirms=roles_said(row.second),
        no=about.desk.seconds.standing(one),
        own=one.by == about.person.id,
        to=f"{LEADS[one.operation]}{one.subject}" if one.operation in LEADS else "",
    )


def _told(about: Visit, id: str) -> tuple[Change, Say, Say] | None:  # noqa: A002  as above
    if not id:
        return None
    try:
        one = about.desk.seconds.get(id)
    except NotFound:
        return None
    return one, STATES[one.state], roles_said(right(one.operation).second)
