"""Registers, incidents and destruction lists, for reading."""

from __future__ import annotations

import time
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from dlp.service import records
from dlp.service.registers import Registers, Span
from dlp.service.speaking import language
from dlp.web.api.caller import Caller, Id, Row

router = APIRouter(tags=["registers"])


@router.get("/registers")
def registers(caller: Caller) -> list[Row]:
    """Return which registers there are, and their columns."""
    return [
        {"name": one.name, "title": one.title.to(language()), "columns": list(one.columns)}
        for one in Registers(caller.acting).all()
    ]


@router.get("/registers/{name}")
def rows(
    caller: Caller,
    name: Id,
    *,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    unit: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=5_000)] = 500,
    skip: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[Row]:
    """Return rows of one register, column by column."""
    span = Span(since.timestamp() if since else 0.0, until.timestamp() if until else float("inf"), unit)
    register, found = Registers(caller.acting).rows(name, span)
    return [dict(zip(register.columns, row, strict=False)) for row in islice(found, skip, skip + limit)]


@router.get("/incidents")
def incidents(caller: Caller, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> list[Row]:
    """Return incidents, newest first."""
    return [records.incident(one, time.time()) for one in caller.incidents.all(limit=limit)]
