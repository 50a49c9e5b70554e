"""One's own tokens for programs: made, seen once, ended."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.responses import RedirectResponse

from dlp.rights import RIGHTS, Operation
from dlp.service.tokens import MOST_DAYS, Tokens, operations
from dlp.web.leaf import leaf
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
NEVER = (Operation.TOKEN_MAKE, Operation.PASSWORD_CHANGE)


@router.get("/tokens")
def show(about: Reads) -> Response:
    """Show one's tokens, and what a new one could reach to."""
    return _page(about, token="")


@router.post("/tokens")
def make(about: Does) -> Response:
    """Make a token; it stands on this one page and nowhere else."""
    scope = operations(about.fields("scope"))
    _, token = Tokens(about.desk.acting).make(about.field("name"), scope, about.number("days", 90))
    return _page(about, token=token)


@router.post("/tokens/end")
def end(about: Does) -> Response:
    """End a token."""
    Tokens(about.desk.acting).end(about.field("id"))
    return RedirectResponse("/tokens", 303)


def _page(about: Visit, *, token: str) -> Response:
    own = set(about.person.roles)
    reach = [row for row in RIGHTS if row.operation not in NEVER and own & {*row.roles, *row.second}]
    found = Tokens(about.desk.acting).all()
    rights = {row.operation: row for row in RIGHTS}
    return leaf(about, "tokens.html", found=found, reach=reach, token=token, most=MOST_DAYS, rights=rights)
