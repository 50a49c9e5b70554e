"""Leaks and what may be one: the clock of 24 hours, its steps and tasks, freezes, the report form, the evidence."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.responses import RedirectResponse

from dlp.errors import NotFound
from dlp.incident import CAUSES, REPORT_HOURS, STEPS, Incident, Step
from dlp.model import Say
from dlp.rights import Operation
from dlp.service.incidents import OPEN
from dlp.store.record import RecordFilter
from dlp.web.answers import kept, moment
from dlp.web.leaf import leaf
from dlp.web.pages.waiting import asked
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
ROWS = 200
SOON = 6.0
"""Hours that are left when a clock is shown as pressing."""


@router.get("/incidents")
def incidents(
    about: Reads, every: Annotated[str, Query(max_length=4)] = "", told: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """List incidents with the time that is left to report each; whoever may only report one sees where he does."""
    about.desk.acting.may(Operation.INCIDENT_OPEN)
    found: tuple[Incident, ...] = ()
    reads = about.may(Operation.REPORT_READ)
    if reads:
        found = about.desk.incidents.all(RecordFilter(states=() if every else OPEN), limit=ROWS)
    freezes = about.desk.incidents.freezes(limit=ROWS) if about.may(Operation.INCIDENT_FREEZE) else ()
    shown = sorted(found, key=lambda one: (bool(one.reported_at), one.due))
    words: dict[str, Any] = {"found": shown, "reads": reads, "every": every, "freezes": freezes, "told": told}
    return leaf(about, "incidents.html", **words, **_words())


@router.post("/incidents")
def open_(about: Does) -> Response:
    """Open an incident; its 24 hours run from when it was found."""
    found = moment(about.field("found", "")) or 0.0
    one = about.desk.incidents.open(about.field("what", ""), found=found, target=about.field("target", ""))
    if about.may(Operation.REPORT_READ):
        return _to(one)
    return RedirectResponse(f"/incidents?told={one.id}", 303)


@router.post("/incidents/freeze")
def freeze(about: Does) -> Response:
    """Freeze a file: it leaves through no channel from now on."""
    about_id = about.field("incident", "")
    about.desk.incidents.freeze(about.field("target"), about.field("reason", ""), about=about_id)
    return RedirectResponse(f"/incidents/{about_id}" if about_id else "/incidents", 303)


@router.post("/incidents/unfreeze")
def unfreeze(about: Does) -> Response:
    """Ask for a freeze to be lifted; a second person confirms it."""
    found = about.desk.incidents.frozen(about.field("target"))
    return asked(about.desk.seconds.ask(Operation.INCIDENT_UNFREEZE, found.id, {}, reason=about.field("reason")))


@router.get("/incidents/{id}")
def card(about: Reads, id: str, custody: Annotated[str, Query(max_length=4)] = "") -> Response:  # noqa: A002  as above
    """Show one incident: its clock, its steps, what has to be mended; every touch of its file where that is asked."""
    one = about.desk.incidents.get(id)
    touched = about.desk.incidents.custody(id) if custody else None
    following = list(Step)[list(Step).index(one.step) + 1] if one.step not in (Step.RECTIFY, Step.CLOSED) else None
    taken = sorted((*one.steps, *one.notes), key=lambda taken: taken.at)
    words: dict[str, Any] = {
        "one": one,
        "custody": touched,
        "following": following,
        "taken": taken,
        "closed": Step.CLOSED,
    }
    words["frozen"] = bool(one.sha256) and _is_frozen(about, one.sha256)
    return leaf(about, "incident.html", **words, **_words())


@router.post("/incidents/{id}/note")
def note(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Add a note, or take the next step."""
    word = about.field("step", "")
    step = next((one for one in Step if one.value == word), None)
    return _to(about.desk.incidents.note(id, about.field("text", ""), step=step))


@router.post("/incidents/{id}/report")
def report(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Note that it was reported to the authority; this ends its 24 hours."""
    return _to(about.desk.incidents.report(id, to=about.field("to", ""), receipt=about.field("receipt", "")))


@router.post("/incidents/{id}/tasks")
def add_task(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Add something that has to be mended."""
    due = moment(about.field("due", ""), whole_day=True) or 0.0
    return _to(about.desk.incidents.add_task(id, about.field("what", ""), owner=about.field("owner", ""), due=due))


@router.post("/incidents/{id}/tasks/{number}/done")
def finish_task(about: Does, id: str, number: int) -> Response:  # noqa: A002  as above
    """Note that something was mended."""
    return _to(about.desk.incidents.finish_task(id, number))


@router.post("/incidents/{id}/close")
def close(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for its closing; a second person confirms it."""
    about.desk.incidents.check_closing(id)
    return asked(about.desk.seconds.ask(Operation.INCIDENT_CLOSE, id, {}, reason=about.field("reason")))


@router.post("/incidents/{id}/form")
def form(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Hand the report form out, to be looked over and signed."""
    return kept(about.desk.incidents.form(id), f"泄密事件报告表-{id}.docx", "docx")


@router.post("/incidents/{id}/package")
def package(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Hand the signed evidence out; the trail tells of it."""
    return kept(about.desk.incidents.package(id), f"证据包-{id}.zip", "zip")


class Clock:
    """How much of the 24 hours is left, as it is shown."""

    def __init__(self, one: Incident, now: float) -> None:
        left = one.hours_left(now)
        self.css = "" if left is None else "late" if left < 0 else "soon" if left < SOON else ""
        hours, minutes = divmod(int(abs(left or 0.0) * 60), 60)
        if left is None:
            self.say = Say(f"已上报 {one.reported_to}", f"reported to {one.reported_to}")
        elif left < 0:
            self.say = Say(f"逾期 {hours} 小时 {minutes} 分", f"{hours} h {minutes} min late")
        else:
            self.say = Say(f"剩 {hours} 小时 {minutes} 分", f"{hours} h {minutes} min left")


def _words() -> dict[str, Any]:
    now = time.time()
    return {"clock": lambda one: Clock(one, now), "steps": STEPS, "causes": CAUSES, "hours": REPORT_HOURS}


def _is_frozen(about: Visit, sha256: str) -> bool:
    try:
        return about.desk.incidents.frozen(sha256).active
    except NotFound:
        return False


def _to(one: Incident) -> Response:
    return RedirectResponse(f"/incidents/{one.id}", 303)
