"""Approvals: asked for, with who has to sign known beforehand; looked at, signed, printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.responses import RedirectResponse

from dlp import approval
from dlp.approval import Case, CaseState, Decision
from dlp.errors import Denied, UsageError
from dlp.model import Say
from dlp.request import Circle, Recipient, duties, weigh
from dlp.rights import Operation, names
from dlp.service.cases import DUTIES, STATES, Asking, Outlook
from dlp.store import Job, JobFilter
from dlp.web.leaf import leaf
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
ROWS = 60
MOST_RECIPIENTS = 6
MOST_COPIES = 10_000
TABS: dict[str, Say] = {
    "mine": Say("待我签字", "For me to sign"),
    "open": Say("办理中", "Open"),
    "all": Say("全部", "All"),
}
CIRCLES: dict[Circle, Say] = {
    Circle.WITHIN: Say("知悉范围内", "within the circle"),
    Circle.WIDER: Say("扩大知悉范围", "widens the circle"),
    Circle.OUTSIDE: Say("外部第三方", "a third party"),
}
TEXTS = ("purpose", "return_by", "consent_no", "organ", "province", "unit", "doc_no", "applicant")
Given = dict[str, str]


# asking


@router.get("/jobs/{id}/ask")
def ask_form(about: Reads, id: str) -> Response:  # noqa: A002  the column's name
    """Show what has to be said to ask for an approval, and who will sign it."""
    return _form(about, id, {})


@router.get("/jobs/{id}/ask/steps")
def ahead(about: Reads, id: str) -> Response:  # noqa: A002  as above
    """Show who would sign what stands in the form now."""
    given = {key: value.strip() for key, value in about.request.query_params.items()}
    return leaf(about, "ask_steps.html", **_ahead(about, about.desk.cases.outlook(id, _asking(given.get))))


@router.post("/jobs/{id}/ask")
def ask(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for the approval of a held job; what is missing is told above the form, and nothing typed is lost."""
    keys = (*TEXTS, "copies", *(_key(row, part) for row in range(MOST_RECIPIENTS) for part in _PARTS))
    given = {key: about.field(key, "") for key in keys}
    try:
        about.number("copies")
        made = about.desk.cases.ask(id, _asking(given.get))
    except (Denied, UsageError) as err:
        if not about.may(Operation.APPROVAL_REQUEST):
            raise
        return _form(about, id, given, said=err)
    return RedirectResponse(f"/cases/{made.id}", 303)


def _form(about: Visit, job: str, given: Given, *, said: Denied | UsageError | None = None) -> Response:
    outlook = about.desk.cases.outlook(job, _asking(given.get))
    words: dict[str, Any] = {
        "given": {"copies": str(outlook.job.item.copies), "unit": about.person.unit, **given},
        "said": said,
    }
    rows = tuple(range(MOST_RECIPIENTS))
    filled = max((row for row in rows if given.get(_key(row, "name"))), default=0)
    words |= {"circles": CIRCLES, "rows": rows, "filled": filled, "key": _key, "most": MOST_COPIES}
    return leaf(about, "ask.html", 400 if said else 200, **words, **_ahead(about, outlook))


def _ahead(about: Visit, outlook: Outlook) -> dict[str, Any]:
    return {
        "job": outlook.job,
        "level": outlook.level,
        "ahead": tuple(zip(outlook.steps, outlook.signers, strict=True)),
        "needs": outlook.needs,
        "hours": int(outlook.seconds // 3_600),
        "owed": tuple(DUTIES[duty] for duty in outlook.duties),
        "known": outlook.known,
        "refusal": outlook.refusal,
        "names": names,
        "own": about.person.name,
    }


_PARTS = ("name", "unit", "circle", "agreement")


def _key(row: int, part: str) -> str:
    return f"to{row}-{part}"


def _asking(get: Callable[[str, str], str]) -> Asking:
    """Return what stands in a form; what is missing there, the service tells."""
    copies = get("copies", "1")
    return Asking(
        copies=min(int(copies), MOST_COPIES) if copies.isascii() and copies.isdigit() and len(copies) < 9 else 1,
        purpose=get("purpose", ""),
        recipients=tuple(_recipients(get)),
        return_by=_end_of(get("return_by", "")),
        consent_no=get("consent_no", ""),
        organ=get("organ", ""),
        province=get("province", ""),
        unit=get("unit", ""),
        doc_no=get("doc_no", ""),
        applicant=get("applicant", ""),
    )


def _recipients(get: Callable[[str, str], str]) -> Iterable[Recipient]:
    for row in range(MOST_RECIPIENTS):
        name, unit, circle, agreement = (get(_key(row, part), "") for part in _PARTS)
        known = Circle(circle) if circle in {one.value for one in Circle} else Circle.WITHIN
        if name or (not row and known is not Circle.WITHIN):  # what is chosen before a name counts for who signs
            yield Recipient(name=name, unit=unit, circle=known, agreement=agreement)


def _end_of(day: str) -> float | None:
    """Return the last second of a day that a browser sends; None where it is none."""
    try:
        return datetime.strptime(day, "%Y-%m-%d").astimezone().replace(hour=23, minute=59, second=59).timestamp()
    except ValueError:
        return None


# looking and signing


@router.get("/cases")
def list_(
    about: Reads,
    tab: Annotated[str, Query(max_length=8)] = "",
    before: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show the approvals: first those that wait for whoever asks."""
    desk = about.desk.cases
    mine = desk.mine()
    tab = tab if tab in TABS else ("mine" if mine else "open")
    found = mine if tab == "mine" else desk.open()
    if tab == "all":
        found = desk.all(limit=ROWS + 1, after=before)
    shown = found[:ROWS]
    words: dict[str, Any] = {
        "tabs": TABS,
        "tab": tab,
        "waits": len(mine),
        "rows": tuple((case, desk.state(case)) for case in shown),
        "more": shown[-1].id if tab == "all" and len(found) > ROWS else "",
        "over": len(found) - ROWS if tab != "all" else 0,
        "files": _files(about, shown),
        "called": desk.names(),
        **_words(),
    }
    return leaf(about, "cases.html", **words)


@router.get("/cases/{id}")
def case(about: Reads, id: str) -> Response:  # noqa: A002  as above
    """Show one approval: what is asked, each step with who signed it, and what is missing."""
    return leaf(about, "case.html", **_case(about, about.desk.cases.get(id)))


@router.get("/cases/{id}/form")
def form(about: Reads, id: str) -> Response:  # noqa: A002  as above
    """Show one approval as a form to be printed and filed."""
    return leaf(about, "case_form.html", printed=time.time(), **_case(about, about.desk.cases.get(id)))


@router.post("/cases/{id}/sign")
def sign(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Give one word on an approval, for exactly what was shown."""
    decision = Decision.REJECT if about.field("decision") == Decision.REJECT.value else Decision.APPROVE
    found = about.desk.cases.get(id)
    binds = about.desk.cases.binding(found, seen=about.field("seen"), step=about.field("step"))
    about.desk.cases.sign(id, decision, binds, reason=about.field("reason", ""))
    return RedirectResponse(f"/cases/{id}", 303)


def _case(about: Visit, found: Case) -> dict[str, Any]:
    desk = about.desk.cases
    now, no = desk.state(found), desk.why_not(found)
    step, binds = approval.pending(found), approval.binding(found)
    words = {one.name: tuple(word for word in found.signatures if word.binds.step == one.name) for one in found.steps}
    return {
        "case": found,
        "now": now,
        "steps": tuple((one, words[one.name], who) for one, who in zip(found.steps, desk.signers(found), strict=True)),
        "pending": step if now is CaseState.WAITING else None,
        "binds": binds,
        "signs": no is None,
        "no": no if now is CaseState.WAITING and about.may(Operation.APPROVAL_SIGN) else None,
        "file": _files(about, (found,)).get(found.request.job),
        "called": desk.names(),
        "circles": CIRCLES,
        "owed": tuple(DUTIES[duty] for duty in duties(found.request)),
        "releases": now is CaseState.APPROVED and bool(found.request.copies) and about.may(Operation.JOB_RELEASE),
        "rejects": Decision.REJECT,
        **_words(),
    }


def _words() -> dict[str, Any]:
    return {
        "states": STATES,
        "names": names,
        "pending_of": approval.pending,
        "until": approval.expires,
        "left": approval.remaining,
        "level_of": lambda found: weigh(found.request).level,
        "waiting": CaseState.WAITING,
    }


def _files(about: Visit, found: Iterable[Case]) -> dict[str, Job]:
    """Return the job of each approval, for the name of its file."""
    ids = tuple(dict.fromkeys(one.request.job for one in found))
    return {job.id: job for job in about.desk.jobs(only=JobFilter(ids=ids))} if ids else {}
