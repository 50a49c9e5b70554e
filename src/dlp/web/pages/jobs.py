"""The board of the operators: what is on its way, what was stopped and why, and what to do next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from dlp import withhold
from dlp.model import Action, Finding, Say, State
from dlp.service.receipt import STATES
from dlp.store import Job, JobFilter
from dlp.web.leaf import leaf
from dlp.web.live import Watch
from dlp.web.visit import Reads, Visit

router = APIRouter()
ROWS = 60
GROUPS: dict[str, tuple[Say, tuple[State, ...]]] = {
    "all": (Say("全部", "All"), ()),
    "stopped": (
        Say("已暂扣", "Stopped"),
        (State.HELD, State.BLOCKED, State.FAILED, State.WITHHELD, State.REJECTED),
    ),
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

    def only(self) -> JobFilter:
        """Return it as the books ask for it."""
        since = 0.0
        if self.today:
            since = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        return JobFilter(source=self.source, name=self.name, since=since)


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
    found = about.desk.jobs(states, only=asked.only(), limit=ROWS + 1, before=asked.before)
    words: dict[str, Any] = {
        "asked": asked,
        "rows": found[:ROWS],
        "more": found[ROWS - 1].id if len(found) > ROWS else "",
        "groups": GROUPS,
        "states": STATES,
        "actions": ACTIONS,
        "sources": _sources(about),
    }
    return leaf(about, "jobs_rows.html" if about.is_fragment else "jobs.html", **words)


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


def words_of(about: Visit, job: Job) -> dict[str, Any]:
    """Return what a card says of a job; nothing of what may not be here."""
    secret = withhold.forbids(job.findings, about.config.site)
    found = () if secret else job.findings
    return {
        "job": job,
        "states": STATES,
        "actions": ACTIONS,
        "secret": secret,
        "found": tuple(enumerate(found, 1)),
        "sheets": tuple(_sheets(found)),
        "next": next_step(job, secret=secret),
    }


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


def next_step(job: Job, *, secret: bool) -> Say:
    """Return what whoever stands at the counter does now."""
    if job.state is State.WITHHELD or secret:
        return Say(
            "不得在本机留存或打印：请告知送件人持原件联系保密员",
            "it may not be kept or printed here: the sender takes his original to the security officer",
        )
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


def _sources(about: Visit) -> tuple[tuple[str, str], ...]:
    config = about.config
    folders = ((f"folder:{one.name}", one.owner or one.name) for one in config.folders)
    return (*folders, *((one.source, one.owner or one.name) for one in config.printers))
