"""The audit trail: how it stands, whether it holds, what happened; a checkpoint on paper; all of it as a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import RedirectResponse

from dlp import siem
from dlp.errors import NotFound
from dlp.rights import Operation
from dlp.service import slips
from dlp.service.people import People
from dlp.store import AuditEvent, EventFilter
from dlp.web.answers import kept, moment
from dlp.web.leaf import leaf
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
ROWS = 100
RECORDS = "records"
"""Digests of what an event wrote: for the verification, not for people; exports have them."""
LINES = 500
"""Events of an export that are sent at once."""


class Asked(NamedTuple):
    """Which events are wanted; each field is a word of the address."""

    actor: str = ""
    file: str = ""
    kind: str = ""
    since: str = ""
    until: str = ""
    before: int = 0

    def only(self) -> EventFilter:
        """Return it as the trail asks for it."""
        since, until = moment(self.since), moment(self.until, whole_day=True)
        return EventFilter(actor=self.actor, kind=self.kind, since=_stamp(since), until=_stamp(until))


def asked_for(
    *,
    actor: Annotated[str, Query(max_length=64)] = "",
    file: Annotated[str, Query(max_length=200)] = "",
    kind: Annotated[str, Query(max_length=40)] = "",
    since: Annotated[str, Query(max_length=32)] = "",
    until: Annotated[str, Query(max_length=32)] = "",
    before: Annotated[int, Query(ge=0, le=1 << 62)] = 0,
) -> Asked:
    """Return what an address asks for."""
    return Asked(actor.strip(), file.strip(), kind.strip(), since, until, before)


@router.get("/audit")
def audit(about: Reads, asked: Annotated[Asked, Depends(asked_for)]) -> Response:
    """Show how the trail stands, and the events that are wanted."""
    words: dict[str, Any] = {"asked": asked, "rows": None, "more": 0, "nothing": None, "names": {}}
    if about.may(Operation.AUDIT_READ):
        words |= _found(about, asked)
    return leaf(about, "audit.html", formats=sorted(siem.FORMATS), **_state(about), **words)


@router.get("/audit/state")
def state(about: Reads) -> Response:
    """Show how the trail stands alone: a page asks again while a verification runs."""
    return leaf(about, "audit_state.html", **_state(about))


@router.post("/audit/verify")
def verify(about: Does) -> Response:
    """Begin to verify the whole trail; others work on meanwhile."""
    about.console.verifying.start(about.desk.acting)
    return leaf(about, "audit_state.html", **_state(about)) if about.is_fragment else RedirectResponse("/audit", 303)


@router.post("/audit/checkpoint")
def checkpoint(about: Does) -> Response:
    """Sign the head of the trail, and hand the slip out that is kept off this machine."""
    made = about.desk.checkpoint()
    return kept(slips.of_checkpoint(about.config, made), f"审计检查点-{made.number}.docx", "docx")


@router.post("/audit/export")
def export(about: Does) -> Response:
    """Hand every event out, one a line."""
    kind = about.field("format", "jsonl")
    kind = kind if kind in siem.FORMATS else "jsonl"
    end = "log" if kind == "cef" else "jsonl"
    return kept(_lines(about.desk.events(), kind), f"审计-{kind}-{datetime.now().astimezone():%Y%m%d}.{end}", kind)


def _lines(events: Iterator[AuditEvent], kind: str) -> Iterator[bytes]:
    write, lines = siem.FORMATS[kind], []
    for event in events:
        lines.append(write(event))
        if len(lines) == LINES:
            yield ("\n".join(lines) + "\n").encode()
            lines = []
    if lines:
        yield ("\n".join(lines) + "\n").encode()


def _state(about: Visit) -> dict[str, Any]:
    return {"chain": about.desk.chain(), "run": about.console.verifying}


def _found(about: Visit, asked: Asked) -> dict[str, Any]:
    nothing = None
    try:
        found = list(about.desk.found_events(asked.only(), file=asked.file, limit=ROWS + 1, before=asked.before))
    except NotFound as err:
        found, nothing = [], err.say
    rows = [(event, _words(event)) for event in found[:ROWS]]
    more = found[ROWS - 1].seq if len(found) > ROWS else 0
    names = {one.id: one.name for one in People(about.desk.store, about.config.people).all()}
    return {"rows": rows, "more": more, "nothing": nothing, "names": names}


def _words(event: AuditEvent) -> str:
    return "，".join(f"{name}={_short(value)}" for name, value in event.body.items() if name != RECORDS)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"


def _stamp(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds is not None else ""
