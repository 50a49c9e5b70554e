"""Who calls: a program with a token, and the desk in the name of the person that it acts for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, StringConstraints

from dlp.errors import Denied
from dlp.service.desk import Desk
from dlp.web.site import Console

_BEARER = HTTPBearer(auto_error=False, description="A token made with `dlp tokens make` or in the console.")
Row = dict[str, Any]
"""One object as `--json` prints it."""
Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._:-]{1,64}$")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class Unknown(Exception):  # noqa: N818  an answer, not a fault
    """No token, or one that is known no more."""


class Body(BaseModel):
    """What a program sends; a word that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid")


class Refusal(BaseModel):
    """Why something was not done, and what to do."""

    error: str
    hint: str | None = None


class Reason(Body):
    """Why something is done; it stands in the audit trail."""

    reason: Words


def desk(request: Request, _: Annotated[object, Depends(_BEARER)]) -> Desk:
    """Return the desk of whom a program acts for."""
    console: Console = request.app.state.console
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.casefold() != "bearer" or not token.strip():
        raise Unknown
    try:
        found = console.desk(token.strip())
        if found.acting.alone or found.acting.person.scope is None:
            raise Unknown  # somebody's own session is for his browser
    except Denied:
        raise Unknown from None
    return found


Caller = Annotated[Desk, Depends(desk)]
