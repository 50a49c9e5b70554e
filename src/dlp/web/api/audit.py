"""The audit trail, for reading and verifying."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from dlp.rights import Operation
from dlp.service import records, trail
from dlp.store import EventFilter
from dlp.web.api.caller import Caller, Row

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get("/events")
def events(
    caller: Caller,
    *,
    actor: Annotated[str, Query(max_length=64)] = "",
    kind: Annotated[str, Query(max_length=64)] = "",
    job: Annotated[str, Query(max_length=64)] = "",
    since: Annotated[str, Query(max_length=40)] = "",
    until: Annotated[str, Query(max_length=40)] = "",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> list[Row]:
    """Return events, newest first; times as ISO 8601, UTC."""
    caller.acting.may(Operation.AUDIT_READ)
    only = EventFilter(actor=actor, kind=kind, job=job, since=since, until=until)
    found = trail.find(caller.store, only, limit=limit)
    return [msgspec.to_builtins(one) for one in islice(found, limit)]


@router.get("/verify")
def verify(caller: Caller) -> Row:
    """Return whether the whole trail holds, and the first event that does not."""
    return records.verification(caller.audit_verify())
