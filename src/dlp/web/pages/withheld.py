"""What is withheld because it may not be here: the mark, its place, hash and size; who took it, and the receipt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.responses import RedirectResponse

from dlp.service.receipt import STATES
from dlp.web.leaf import leaf
from dlp.web.visit import Does, Reads

router = APIRouter()
ROWS = 500


@router.get("/withheld")
def withheld(about: Reads, every: Annotated[str, Query(max_length=4)] = "") -> Response:
    """List what is withheld."""
    found = about.desk.withheld.all(every=bool(every), limit=ROWS)
    return leaf(about, "withheld.html", found=found, every=every, states=STATES)


@router.get("/withheld/{id}")
def card(about: Reads, id: str) -> Response:  # noqa: A002  the column's name
    """Show all that is kept of one."""
    return leaf(about, "withheld_one.html", job=about.desk.withheld.get(id), states=STATES)


@router.post("/withheld/{id}/hand-over")
def hand_over(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Write down who took it, against a receipt. What is sealed leaves this machine by the command only."""
    about.desk.withheld.hand_over(id, to=about.field("to", ""), receipt=about.field("receipt", ""))
    return RedirectResponse("/withheld?every=1", 303)
