"""Destruction: what is due, a list of it, two who approve, two who witness, the receipt; only then it is erased."""

from __future__ import annotations

import time
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.responses import RedirectResponse

from dlp.copies import CopyState
from dlp.destruction import METHODS, STAGES, WITNESSES, Destruction, Stage
from dlp.rights import Operation, right
from dlp.rights import names as roles_said
from dlp.service.destructions import Handed
from dlp.service.lending import Lending, Wanted
from dlp.service.receipt import STATES
from dlp.store.record import RecordFilter
from dlp.web.answers import moment
from dlp.web.leaf import leaf
from dlp.web.pages.waiting import asked
from dlp.web.visit import Does, Reads

router = APIRouter()
DUE = 300
"""Sealed files and copies of each that are offered at once for a new list."""
ROWS = 100


@router.get("/destroy")
def lists(about: Reads, every: Annotated[str, Query(max_length=4)] = "") -> Response:
    """Show the lists, and for whoever draws them up what may go on a new one."""
    about.desk.acting.may(Operation.DESTROY_WITNESS)
    stages = () if every else (Stage.DRAWN.value, Stage.APPROVED.value, Stage.HANDED.value)
    found = about.desk.destructions.all(RecordFilter(states=stages), limit=ROWS)
    draws = about.may(Operation.DESTROY_LIST)
    due = list(islice(about.desk.destructions.due(), DUE)) if draws else []
    back = list(islice(Lending(about.desk.acting).copies(Wanted(state=CopyState.RETURNED)), DUE)) if draws else []
    words: dict[str, Any] = {"found": found, "every": every, "due": due, "back": back, "methods": METHODS, "most": DUE}
    return leaf(about, "destroy.html", stages=STAGES, states=STATES, needed=WITNESSES, **words)


@router.post("/destroy")
def draw_up(about: Does) -> Response:
    """Draw a list up of what was chosen."""
    words = {"reason": about.field("reason", ""), "method": about.field("method", METHODS[0])}
    return _to(about.desk.destructions.draw_up(about.fields("copy"), about.fields("job"), **words))


@router.get("/destroy/{id}")
def card(about: Reads, id: str) -> Response:  # noqa: A002  the column's name
    """Show one list as it is printed and signed, and what is its next step."""
    one = about.desk.destructions.get(id)
    waits = [change for change in about.desk.seconds.waiting() if change.subject == one.id]
    second = roles_said(right(Operation.DESTROY_APPROVE).second)
    erases = roles_said(right(Operation.DESTROY_ERASE).second)
    words: dict[str, Any] = {
        "one": one,
        "waits": waits,
        "second": second,
        "erases": erases,
        "stage": Stage,
        "needed": WITNESSES,
    }
    return leaf(about, "destruction.html", stages=STAGES, **words)


@router.post("/destroy/{id}/approve")
def approve(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for a list to be approved: a second person confirms it."""
    about.desk.destructions.check_to_approve(id)
    return asked(about.desk.seconds.ask(Operation.DESTROY_APPROVE, id, {}))


@router.post("/destroy/{id}/witness")
def witness(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Sign as one of its two witnesses."""
    return _to(about.desk.destructions.witness(id))


@router.post("/destroy/{id}/hand-over")
def hand_over(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Write down the hand-over as its receipt says it."""
    at = moment(about.field("at", ""))
    handed = Handed(
        receipt=about.field("receipt", ""),
        carriers=(about.field("carrier", ""), about.field("carrier2", "")),
        destroyer=about.field("destroyer", ""),
        place=about.field("place", ""),
        at=time.time() if at is None else at,
    )
    return _to(about.desk.destructions.hand_over(id, handed))


@router.post("/destroy/{id}/erase")
def erase(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for the sealed files of a list to be erased on its receipt: a second person confirms it."""
    about.desk.destructions.check_to_erase(id)
    return asked(about.desk.seconds.ask(Operation.DESTROY_ERASE, id, {}))


@router.post("/destroy/{id}/withdraw")
def withdraw(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Take a list back before anything left."""
    return _to(about.desk.destructions.withdraw(id, about.field("reason", "")))


def _to(one: Destruction) -> Response:
    return RedirectResponse(f"/destroy/{one.id}", 303)
