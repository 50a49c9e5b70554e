"""The board of the operators: what is on its way, what was stopped and why, and what to do next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import RedirectResponse, StreamingResponse

from dlp import approval, withhold
from dlp.approval import Case, CaseState
from dlp.model import Action, Finding, Say, State
from dlp.rights import Operation, names
from dlp.service import cases
from dlp.service.receipt import STATES, pages
from dlp.store import Job, JobFilter
from dlp.store.record import RecordFilter
from dlp.web.counters import sources
from dlp.web.leaf import leaf
from dlp.web.live import Watch
from dlp.web.pages.door import choose
from dlp.web.visit import BOARD, Does, Reads, Visit

router = APIRouter()
ROWS = 60
MOST_GROUPS = 12
"""Rows of hits that stand on a card at once; the rest is folded below them."""
GROUPS: dict[str, tuple[Say, tuple[State, ...]]] = {
    "all": (Say("全部", "All"), ()),
    "stopped": (
        Say("已暂扣", "Stopped"),
        (State.HELD, State.BLOCKED, State.FAILED, State.WITHHELD, State.REJECTED),
    ),
    "ready": (Say("可放行", "Cleared"), (State.HELD,)),
    "way": (Say("处理中", "On its way"), (State.TAKING, State.STORED, State.DECIDED, State.RELEASING)),
    "gone": (Say("已放行", "Released"), (State.RELEASED, State.REDACTED)),
    "ended": (Say("已了结", "Ended"), (State.RETURNED, State.HANDED_OVER, State.CANCELLED, State.REFUSED)),
}
"""What the board can be narrowed to."""
ACTIONS: dict[Action, Say] = {
    Action.ALLOW: Say("放行", "allow"),
    Action.ALERT: Say("提示", "alert"),
    Action.REDACT: Say("脱敏", "redact"),
    Action.QUARANTINE: Say("隔离", "hold"),
    Action.BLOCK: Say("拦截", "block"),
}


class Wanted(NamedTuple):
    """What the board shows; each field is a word of its address."""

    group: str = "all"
    source: str = ""
    name: str = ""
    today: str = ""
    before: str = ""

    def only(self, ids: tuple[str, ...] | None = None) -> JobFilter:
        """Return it as the books ask for it; `ids` where only these are meant."""
        since = 0.0
        if self.today:
            since = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        return JobFilter(source=self.source, name=self.name, since=since, ids=ids)


def wanted(
    group: Annotated[str, Query(max_length=16)] = "all",
    source: Annotated[str, Query(max_length=200)] = "",
    name: Annotated[str, Query(max_length=200)] = "",
    today: Annotated[str, Query(max_length=8)] = "",
    before: Annotated[str, Query(max_length=64)] = "",
) -> Wanted:
    """Return what an address asks for; a group that is none is all of them."""
    return Wanted(group if group in GROUPS else "all", source, name.strip(), today, before)


@router.get("/jobs")
def board(about: Reads, asked: Annotated[Wanted, Depends(wanted)]) -> Response:
    """Show the board, or its rows alone where a live board asks for them."""
    states = GROUPS[asked.group][1]
    # Read once, and by nobody who may not see approvals: a job that can go stands out on the board.
    known = {case.request.job: case for case in _open(about)}
    ready = tuple(job for job, case in known.items() if approval.pending(case) is None)
    only = asked.only(ready if asked.group == "ready" else None)
    found = about.desk.jobs(states, only=only, limit=ROWS + 1, before=asked.before)
    words: dict[str, Any] = {
        "asked": asked,
        "rows": found[:ROWS],
        "more": found[ROWS - 1].id if len(found) > ROWS else "",
        "groups": GROUPS,
        "states": STATES,
        "actions": ACTIONS,
        "sources": sources(about.config),
        "pages": pages,
        "stopped": GROUPS["stopped"][1],
        "ready": ready,
        "asking": tuple(job for job in known if job not in ready),
    }
    return leaf(about, "jobs_rows.html" if about.is_fragment else "jobs.html", **words)


@router.post("/jobs/board")
def loud(about: Does) -> Response:
    """Choose in this browser whether the board is heard, and whether its rows are coloured strongly."""
    return choose(about, BOARD, "-".join(about.fields("loud")), "/jobs")


@router.get("/jobs/live")
async def live(request: Request, about: Reads) -> Response:
    """Tell a board, for as long as it is open, that there is something new."""
    watch: Watch = request.app.state.watch
    source: AsyncIterator[bytes] = watch.heads(about.token)
    return StreamingResponse(source, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/jobs/{id}")
def card(about: Reads, id: str) -> Response:  # noqa: A002  the column's name
    """Show one job: its verdict in a sentence, where each hit lies, the article, and what to do next."""
    job = about.desk.show(id)
    return leaf(about, "job.html", **words_of(about, job))


@router.get("/jobs/{id}/receipt")
def receipt(about: Reads, id: str) -> Response:  # noqa: A002  as above
    """Show what the sender is told, to be printed and handed to him."""
    job, text = about.desk.receipt(id)
    return leaf(about, "job_receipt.html", job=job, text=text)


@router.post("/jobs/{id}/release")
def release(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Release a held job on its approval; each copy has its row in the register then."""
    copies = about.number("copies", 0) or None
    job = about.desk.release(id, reason=about.field("reason"), case=about.field("case"), copies=copies)
    return RedirectResponse(f"/jobs/{job.id}", 303)


@router.post("/jobs/{id}/hand-over")
def hand_over(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Note who took a file that was handed back; what is sealed is written out at the machine itself."""
    job = about.desk.withheld.hand_over(id, to=about.field("to", ""), receipt=about.field("receipt", ""))
    return RedirectResponse(f"/jobs/{job.id}", 303)


def words_of(about: Visit, job: Job) -> dict[str, Any]:
    """Return what a card says of a job; nothing of what may not be here."""
    secret = withhold.forbids(job.findings, about.config.site)
    found = () if secret else job.findings
    mine = tuple(about.desk.cases.all(RecordFilter(job=job.id), limit=10)) if _sees(about) else ()
    stand = tuple((case, about.desk.cases.state(case)) for case in mine)
    held = job.state is State.HELD and not secret
    ready = tuple(case for case, now in stand if held and now is CaseState.APPROVED and case.request.copies)
    waiting = tuple(case for case, now in stand if held and now is CaseState.WAITING)
    return {
        "job": job,
        "states": STATES,
        "actions": ACTIONS,
        "secret": secret,
        "found": found,
        "hits": tuple(_hits(found)),
        "most": MOST_GROUPS,
        "sheets": tuple(_sheets(found)),
        "cases": stand,
        "case_states": cases.STATES,
        "ready": ready if about.may(Operation.JOB_RELEASE) else (),
        "left": approval.remaining,
        "registered": sum(done.copies for case in mine for done in case.cleared),
        "may_ask": held and about.may(Operation.APPROVAL_REQUEST),
        "main_ask": not (ready or waiting),
        "handed_back": job.state is State.WITHHELD and not job.place and job.sealed is None,
        "has_receipt": job.state in (State.HELD, State.BLOCKED, State.WITHHELD, State.REDACTED),
        "page_count": pages(job.coverage),
        "next": next_step(job, secret=secret, ready=ready, waiting=waiting),
    }


class Hit(NamedTuple):
    """What was found the same way several times: one row of a card."""

    found: Finding
    numbers: tuple[int, ...]
    """Of the findings, from 1, as they stand in the boxes."""
    times: int
    pages: tuple[int, ...]


def _hits(found: Iterable[Finding]) -> Iterator[Hit]:
    """Give hits of one rule with one masked value as one; marks first, then tables, identifiers, terms."""
    same: dict[tuple[str, str, tuple[str, ...]], list[tuple[int, Finding]]] = {}
    for number, one in enumerate(found, 1):
        same.setdefault((one.rule, one.masked, one.part), []).append((number, one))
    rows = sorted(same.values(), key=lambda row: (_grave(row[0][1]), row[0][0]))
    for row in rows:
        where = sorted({one.page for _, one in row if one.page})
        yield Hit(row[0][1], tuple(number for number, _ in row), sum(one.count for _, one in row), tuple(where))


def _grave(one: Finding) -> int:
    """Return how early a hit stands on a card."""
    if one.exempt:
        return 9
    return {"classification_mark": 0, "structure": 1, "term": 3}.get(one.type, 2)


class Sheet(NamedTuple):
    """A page as an empty sheet with numbered boxes on it: where the hits lie, and nothing of what they say."""

    page: int
    width: float
    height: float
    boxes: tuple[tuple[int, float, float, float, float], ...]


def _sheets(found: tuple[Finding, ...]) -> Iterator[Sheet]:
    """Give each page of the file itself that has a hit on it, A4 or larger, in points."""
    by_page: dict[int, list[tuple[int, float, float, float, float]]] = {}
    for number, one in enumerate(found, 1):
        for box in one.boxes if not one.part else ():
            by_page.setdefault(box.page, []).append((number, box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0))
    for page, boxes in sorted(by_page.items())[:20]:
        width = max(595.0, *(x + w for _, x, _, w, _ in boxes))
        height = max(842.0, *(y + h for _, _, y, _, h in boxes))
        yield Sheet(page, width, height, tuple(boxes))


def next_step(job: Job, *, secret: bool, ready: tuple[Case, ...] = (), waiting: tuple[Case, ...] = ()) -> Say:
    """Return what whoever stands at the counter does now."""
    if job.state is State.WITHHELD or secret:
        return Say(
            "不得在本机留存或打印：请告知送件人持原件联系保密员",
            "it may not be kept or printed here: the sender takes his original to the security officer",
        )
    if ready:
        left = approval.remaining(ready[0])
        return Say(f"已批准，可放行 {left} 份：由文印员凭批准放行", f"approved: an operator may release {left} copies")
    step = approval.pending(waiting[0]) if waiting else None
    if step is not None:
        who = names(step.roles)
        return Say(f"审批中：等待{who.zh}签“{step.say.zh}”", f"in approval: it waits for {who.en}: {step.say.en}")
    return _NEXT.get(job.state, Say("正在检查，请稍候", "it is being screened: wait a moment"))


_NEXT: dict[State, Say] = {
    State.RELEASED: Say("已放行，无需处理", "it was released: nothing to do"),
    State.REDACTED: Say("脱敏件已放行；原件仍密封", "the redacted copy was released; its original stays sealed"),
    State.HELD: Say("可送审；或请保密员研判、脱敏、退回", "ask for approval; or have it reviewed, redacted, returned"),
    State.BLOCKED: Say("不得放行：请告知送件人，联系保密员", "it is not released: tell its sender, call the officer"),
    State.FAILED: Say("程序故障，文件已密封：请联系系统管理员", "a fault; the file is sealed: call the administrator"),
    State.REJECTED: Say("已驳回：由保密员退回送件人或移交销毁", "rejected: returned or destroyed by the officer"),
    State.RETURNED: Say("已退回送件人", "it was given back to its sender"),
    State.HANDED_OVER: Say("已移交", "it was handed over"),
    State.CANCELLED: Say("送件人已取消", "its sender took it back"),
    State.REFUSED: Say("未取件，文件原样保留", "it was not taken, and is where it was"),
}


def _sees(about: Visit) -> bool:
    return about.may(Operation.APPROVAL_SHOW)


def _open(about: Visit) -> tuple[Case, ...]:
    """Return the approvals that are open, each of its own job; one that can be used stands before one that waits."""
    found = about.desk.cases.open() if _sees(about) else ()
    return tuple(sorted(found, key=lambda case: approval.pending(case) is None))
