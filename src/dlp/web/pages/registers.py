"""Registers: the rows of each, paper copies picked up and given back, what is overdue, what was commissioned."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, BinaryIO, NamedTuple

from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import RedirectResponse

from dlp.commissions import WHATS, What
from dlp.copies import STATES, Copy, CopyState
from dlp.errors import UsageError
from dlp.model import Level, Say
from dlp.service import register_files
from dlp.service.lending import Lending, Ordered, Wanted
from dlp.service.register_files import FORMATS, Format
from dlp.service.registers import REGISTERS, Registers, Span
from dlp.web.answers import kept, moment
from dlp.web.leaf import leaf
from dlp.web.visit import Does, Reads

router = APIRouter()
ROWS = 100
CHUNK = 1 << 20
_WORDS = ("job", "title", "client", "person", "papers", "original", "contract", "doc_no", "term")


class Asked(NamedTuple):
    """Which rows are wanted; each field is a word of the address."""

    register: str = "prints"
    since: str = ""
    until: str = ""
    unit: str = ""
    at: int = 0

    @property
    def span(self) -> Span:
        """Return it as registers ask for it."""
        since, until = moment(self.since), moment(self.until, whole_day=True)
        return Span(since or 0.0, float("inf") if until is None else until, self.unit)


def asked_for(
    register: Annotated[str, Query(max_length=40)] = "prints",
    since: Annotated[str, Query(max_length=32)] = "",
    until: Annotated[str, Query(max_length=32)] = "",
    unit: Annotated[str, Query(max_length=200)] = "",
    at: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Asked:
    """Return what an address asks for."""
    return Asked(register, since, until, unit.strip(), at)


@router.get("/registers")
def rows(about: Reads, asked: Annotated[Asked, Depends(asked_for)]) -> Response:
    """Show one register, oldest first, a page at a time."""
    found, given = Registers(about.desk.acting).rows(asked.register, asked.span)
    shown = list(islice(given, asked.at, asked.at + ROWS + 1))
    more = asked.at + ROWS if len(shown) > ROWS else 0
    words: dict[str, Any] = {
        "asked": asked,
        "all": REGISTERS.values(),
        "found": found,
        "rows": shown[:ROWS],
        "more": more,
    }
    return leaf(about, "registers.html", formats=FORMATS, here_now="", page=ROWS, **words)


@router.post("/registers/export")
def export(about: Does) -> Response:
    """Hand a register out as a file; that it was is in the trail before."""
    asked = Asked(about.field("register"), about.field("since", ""), about.field("until", ""), about.field("unit", ""))
    format_: Format = next((one for one in FORMATS if one == about.field("format")), "xlsx")
    done, file = register_files.handed_out(about.desk.acting, asked.register, asked.span, format=format_)
    return kept(_pieces(file), f"{REGISTERS[done.register].title.zh}.{format_}", format_)


@router.get("/registers/copies")
def copies(
    about: Reads,
    *,
    state: Annotated[str, Query(max_length=16)] = "",
    holder: Annotated[str, Query(max_length=200)] = "",
    unit: Annotated[str, Query(max_length=200)] = "",
    job: Annotated[str, Query(max_length=64)] = "",
    at: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """List paper copies."""
    wanted = Wanted(job.strip(), _state(state), holder.strip(), unit.strip())
    shown = list(islice(Lending(about.desk.acting).copies(wanted), at, at + ROWS + 1))
    more = at + ROWS if len(shown) > ROWS else 0
    words: dict[str, Any] = {
        "wanted": wanted,
        "shown": shown[:ROWS],
        "more": more,
        "states": STATES,
        "all": REGISTERS.values(),
    }
    return leaf(about, "copies.html", here_now="copies", **words)


@router.get("/registers/copies/{id}")
def copy(about: Reads, id: str) -> Response:  # noqa: A002  the column's name
    """Show one copy, and what may be written down of it now."""
    one = Lending(about.desk.acting).get(id)
    return leaf(about, "copy.html", one=one, states=STATES, made=CopyState.MADE, out=CopyState.OUT)


@router.post("/registers/copies/{id}/pick-up")
def pick_up(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Write down who picked a copy up."""
    carriers = tuple(name for name in (about.field("carrier", ""), about.field("carrier2", "")) if name)
    authority = about.field("authority", "")
    return _to(Lending(about.desk.acting).pick_up(id, about.field("to"), carriers=carriers, authority=authority))


@router.post("/registers/copies/{id}/return")
def give_back(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Write down that a copy came back."""
    return _to(Lending(about.desk.acting).give_back(id, by=about.field("by")))


@router.post("/registers/copies/{id}/void")
def strike(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Write down that a copy never came out of the printer."""
    return _to(Lending(about.desk.acting).strike(id, reason=about.field("reason")))


@router.get("/registers/overdue")
def overdue(about: Reads) -> Response:
    """List what should be back, or done, by now (催还)."""
    found = list(islice(Lending(about.desk.acting).overdue(), 10 * ROWS))
    late = [one for one in found if isinstance(one, Copy)]
    orders = [one for one in found if not isinstance(one, Copy)]
    words: dict[str, Any] = {
        "late": late,
        "orders": orders,
        "states": STATES,
        "whats": WHATS,
        "all": REGISTERS.values(),
    }
    return leaf(about, "overdue.html", here_now="overdue", **words)


@router.get("/registers/reconcile")
def reconcile(about: Reads) -> Response:
    """Count the copies of each job: approved, printed, back, destroyed, open."""
    found = sorted(Lending(about.desk.acting).reconcile(), key=lambda one: not one.account.differs)
    return leaf(about, "reconcile.html", found=found, all=REGISTERS.values(), here_now="reconcile")


@router.get("/registers/orders")
def orders(about: Reads, every: Annotated[str, Query(max_length=4)] = "") -> Response:
    """List commissions and meeting files, and take new ones in."""
    found = list(islice(Lending(about.desk.acting).orders(every=bool(every)), 10 * ROWS))
    words: dict[str, Any] = {
        "found": found,
        "every": every,
        "whats": WHATS,
        "levels": list(Level),
        "all": REGISTERS.values(),
    }
    return leaf(about, "orders.html", here_now="orders", meeting=What.MEETING, **words)


@router.post("/registers/orders")
def order(about: Does) -> Response:
    """Write down a commission to print, or a file that was brought back from a meeting."""
    level = about.field("level", "")
    ordered = Ordered(
        what=What.MEETING if about.field("what") == What.MEETING.value else What.COMMISSION,
        level=next((one for one in Level if one.value == level), None),
        quantity=about.number("quantity", 1),
        due=moment(about.field("due", ""), whole_day=True),
        **{key: about.field(key, "") for key in _WORDS},
        unit=about.field("unit", ""),
    )
    Lending(about.desk.acting).order(ordered)
    return RedirectResponse("/registers/orders", 303)


@router.post("/registers/orders/{id}/settle")
def settle(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Write down that it was delivered, or handed in."""
    words = {key: about.field(key, "") for key in ("waste", "returned")}
    Lending(about.desk.acting).settle(id, finished=about.number("finished", 0), **words)
    return RedirectResponse("/registers/orders", 303)


def _to(one: Copy) -> Response:
    return RedirectResponse(f"/registers/copies/{one.id}", 303)


def _state(word: str) -> CopyState | None:
    if not word:
        return None
    try:
        return CopyState(word)
    except ValueError as err:
        raise UsageError(Say("没有这个状态", "there is no such state")) from err


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece
