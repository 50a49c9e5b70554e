"""Of the token itself."""

from __future__ import annotations

from fastapi import APIRouter

from dlp.service import records
from dlp.service.people import People
from dlp.web.api.caller import Caller, Row

router = APIRouter(tags=["own"])


@router.get("/me")
def me(caller: Caller) -> Row:
    """Return whom the token acts for, and how far it reaches."""
    person = caller.acting.person
    scope = [one.value for one in person.scope or ()]
    about = People(caller.store, caller.config.people).get(person.id)
    return {**records.account(about), "scope": scope}
