"""Approvals: asked for, looked at, signed; and what waits for a second person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from dlp.approval import Decision
from dlp.request import Circle, Recipient
from dlp.rights import Role
from dlp.service import records
from dlp.service.cases import Asking
from dlp.store.record import RecordFilter
from dlp.web.api.caller import Body, Caller, Id, Reason, Row, Word, Words

router = APIRouter(tags=["approvals"])


class To(Body):
    """Somebody who is to get the file."""

    name: Words
    unit: Word = ""
    circle: Circle = Circle.WITHIN
    agreement: Word = ""


class Request(Body):
    """What is asked for."""

    copies: Annotated[int, Field(ge=0, le=10_000)]
    purpose: Words
    recipients: Annotated[list[To], Field(min_length=1, max_length=500)]
    return_by: AwareDatetime | None = None
    consent_no: Word = ""
    organ: Word = ""
    doc_no: Word = ""
    province: Word = ""
    unit: Word = ""
    applicant: Word = ""


class Word_(Body):  # noqa: N801  a word on a case
    """One word on a case, for exactly what was shown."""

    decision: Decision
    reason: Word = ""
    role: Role | None = None


@router.post("/jobs/{id}/request")
def ask(caller: Caller, id: Id, asked: Request) -> Row:  # noqa: A002  the column's name
    """Ask for the approval of a held job."""
    words = asked.model_dump(exclude={"recipients", "return_by"})
    made = caller.cases.ask(
        id,
        Asking(
            recipients=tuple(Recipient(**one.model_dump()) for one in asked.recipients),
            return_by=asked.return_by.timestamp() if asked.return_by else None,
            **words,
        ),
    )
    return records.case(made, caller.cases.state(made))


@router.get("/cases")
def list_(
    caller: Caller,
    job: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[Row]:
    """Return approvals, newest first."""
    found = caller.cases.all(RecordFilter(job=job), limit=limit)
    return [records.case(one, caller.cases.state(one)) for one in found]


@router.get("/cases/{id}")
def one(caller: Caller, id: Id) -> Row:  # noqa: A002  as above
    """Return one approval."""
    found = caller.cases.get(id)
    return records.case(found, caller.cases.state(found))


@router.post("/cases/{id}/sign")
def sign(caller: Caller, id: Id, word: Word_) -> Row:  # noqa: A002  as above
    """Approve or refuse the next step of an approval."""
    found = caller.cases.get(id)
    made = caller.cases.sign(id, word.decision, caller.cases.binding(found), role=word.role, reason=word.reason)
    return records.case(made, caller.cases.state(made))


@router.get("/waiting")
def waiting(caller: Caller) -> list[Row]:
    """Return what waits for a second person."""
    return [records.change(one) for one in caller.seconds.waiting()]


@router.post("/waiting/{id}/turn-down")
def turn_down(caller: Caller, id: Id, why: Reason) -> Row:  # noqa: A002  as above
    """Turn down what waits for a second person."""
    return records.change(caller.seconds.turn_down(id, why.reason))
