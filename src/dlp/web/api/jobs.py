"""Jobs: what is on its way, why it was stopped, and what is decided on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from dlp.model import Level, State
from dlp.review import Ruling
from dlp.service import records
from dlp.store import JobFilter
from dlp.web.api.caller import Body, Caller, Id, Reason, Row, Word, Words

router = APIRouter(prefix="/jobs", tags=["jobs"])


class Labelling(Body):
    """What a reviewer says of a hit."""

    ruling: Ruling
    finding: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Its number from 1; 0: of the whole job or of `rule`."""
    rule: Word = ""
    reason: Word = ""


class Releasing(Body):
    """On which approval a job is released, and with how many copies."""

    reason: Words
    case: Word = ""
    """Empty: the only one that there is."""
    copies: Annotated[int, Field(ge=1, le=10_000)] | None = None


class Saying(Body):
    """What is said of a job."""

    text: Words


@router.get("")
def list_(
    caller: Caller,
    *,
    state: Annotated[list[State] | None, Query(max_length=15)] = None,
    level: Level | None = None,
    source: Annotated[str, Query(max_length=200)] = "",
    owner: Annotated[str, Query(max_length=200)] = "",
    name: Annotated[str, Query(max_length=200)] = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str, Query(max_length=64)] = "",
) -> list[Row]:
    """Return jobs, newest first; `before` is the id below which to go on."""
    only = JobFilter(
        level=level,
        source=source,
        owner=owner,
        name=name,
        since=since.timestamp() if since else 0.0,
        until=until.timestamp() if until else float("inf"),
    )
    found = caller.jobs(tuple(state or ()), only=only, limit=limit, before=before)
    return [records.job(one, whole=False) for one in found]


@router.get("/{id}")
def one(caller: Caller, id: Id) -> Row:  # noqa: A002  the column's name
    """Return one job with its findings, masked."""
    return records.job(caller.show(id), whole=True)


@router.post("/{id}/claim")
def claim(caller: Caller, id: Id) -> Row:  # noqa: A002  as above
    """Claim a job for review."""
    return records.review(caller.reviews.claim(id))


@router.post("/{id}/unclaim")
def unclaim(caller: Caller, id: Id) -> Row:  # noqa: A002  as above
    """Give a claimed job back."""
    return records.review(caller.reviews.unclaim(id))


@router.post("/{id}/comment")
def comment(caller: Caller, id: Id, said: Saying) -> Row:  # noqa: A002  as above
    """Say something of a job."""
    return records.review(caller.reviews.comment(id, said.text))


@router.post("/{id}/label")
def label(caller: Caller, id: Id, given: Labelling) -> Row:  # noqa: A002  as above
    """Confirm a hit, call it false, or say that one was missed."""
    made = caller.reviews.label(id, given.ruling, finding=given.finding, rule=given.rule, reason=given.reason)
    return records.label(made)


@router.post("/{id}/reject")
def reject(caller: Caller, id: Id, why: Reason) -> Row:  # noqa: A002  as above
    """Reject a held job: it never leaves."""
    return records.job(caller.reject(id, reason=why.reason), whole=False)


@router.post("/{id}/redact")
def redact(caller: Caller, id: Id, why: Reason) -> Row:  # noqa: A002  as above
    """Release a proven redacted copy of a held job."""
    return records.job(caller.redact(id, reason=why.reason), whole=False)


@router.post("/{id}/release")
def release(caller: Caller, id: Id, how: Releasing) -> Row:  # noqa: A002  as above
    """Release a held job on an approval."""
    return records.job(caller.release(id, reason=how.reason, case=how.case, copies=how.copies), whole=False)
