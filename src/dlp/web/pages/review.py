"""The review desk: what waits, the evidence page by page, what a reviewer says of it, and a copy before it leaves."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import RedirectResponse

from dlp import hand, told, withhold
from dlp.certificate import Signed
from dlp.errors import DlpError, UsageError
from dlp.model import Box, Finding, Level, Mode, Reach, Redacting, Regime, Say, State, Style, evolve
from dlp.review import RULINGS, Ruling
from dlp.rights import ROLES
from dlp.service import certify, evidence
from dlp.service.evidence import Sheet
from dlp.service.receipt import STATES
from dlp.service.reviews import QUEUE, Order, Row, Wanted
from dlp.store import Job, JobFilter
from dlp.terms import Ruling as End
from dlp.web.counters import sources
from dlp.web.leaf import leaf
from dlp.web.pages.jobs import ACTIONS, next_step
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
ROWS = 50
DAY = 86_400.0
GROUPS: dict[str, tuple[Say, tuple[State, ...]]] = {
    "all": (Say("全部待办", "All"), QUEUE),
    "held": (Say("隔离", "Held"), (State.HELD,)),
    "blocked": (Say("拦截", "Blocked"), (State.BLOCKED,)),
    "rejected": (Say("待退回", "To return"), (State.REJECTED,)),
    "failed": (Say("故障", "Failed"), (State.FAILED,)),
}
"""What the queue can be narrowed to."""
ORDERS: dict[str, Say] = {
    Order.OLDEST.value: Say("等得最久的在前", "longest waiting first"),
    Order.NEWEST.value: Say("最新的在前", "newest first"),
    Order.LEVEL.value: Say("级别高的在前", "highest level first"),
}
WHO: dict[str, Say] = {
    "": Say("全部", "all"),
    "free": Say("未领取", "free"),
    "mine": Say("本人领取", "mine"),
    "claimed": Say("已领取", "claimed"),
}
REGIMES: dict[Regime, Say] = {
    Regime.STATE: Say("国家秘密", "state secret"),
    Regime.WORK: Say("工作秘密", "work secret"),
    Regime.COMMERCIAL: Say("商业秘密", "commercial secret"),
    Regime.PERSONAL: Say("个人信息", "personal data"),
    Regime.EXAM: Say("考试", "exam"),
    Regime.FOREIGN: Say("外国标志", "foreign mark"),
}
MODES: dict[Mode, Say] = {
    Mode.AUTO: Say("自动", "as each kind asks"),
    Mode.KEEP: Say("其余不动位", "the rest keeps its place"),
    Mode.FIXED_GAP: Say("等宽空档", "gaps of one width"),
    Mode.RASTER: Say("整页转图片", "pages made pictures"),
}
STYLES: dict[Style, Say] = {
    Style.BOX: Say("遮盖", "boxes"),
    Style.LABEL: Say("替换为说明", "labels"),
    Style.MASK: Say("打码", "masked values"),
    Style.PSEUDONYM: Say("替换为代号", "pseudonyms"),
}
REACHES: dict[Reach, Say] = {
    Reach.HIT: Say("只去除命中", "the hit alone"),
    Reach.CELL: Say("整个单元格", "its whole cell"),
    Reach.ROW: Say("整行", "its whole row"),
}
KINDS: dict[str, Say] = {
    "claimed": Say("领取", "claimed"),
    "unclaimed": Say("交还", "gave it back"),
    "commented": Say("批注", "commented"),
    "labelled": Say("标注命中", "labelled a hit"),
    "seen": Say("查看", "looked at it"),
    "denied": Say("被拒绝的操作", "was refused"),
    "decided": Say("作出结论", "verdict"),
    "held": Say("隔离", "held"),
    "blocked": Say("拦截", "blocked"),
    "rejected": Say("驳回", "rejected"),
    "returned": Say("退回", "gave it back to its sender"),
    "releasing": Say("准备放行", "letting it go"),
    "released": Say("放行", "released"),
    "redacted": Say("脱敏放行", "released redacted"),
    "redaction-tried": Say("脱敏预览", "made a preview"),
    "legal-hold-set": Say("依法留存", "put under legal hold"),
    "legal-hold-lifted": Say("解除留存", "lifted the hold"),
    "retention-set": Say("设定留存期", "set how long it is kept"),
    "level-decided": Say("定密审核", "decided on its level"),
    "term-confirmed": Say("期满确认", "confirmed its term"),
    "taking": Say("收件", "taking"),
    "stored": Say("密封", "sealed"),
}
"""What events of a job are called; any other is shown by its own name."""


class Asked(NamedTuple):
    """What the queue shows; each field is a word of its address."""

    group: str = "all"
    level: str = ""
    regime: str = ""
    rule: str = ""
    source: str = ""
    name: str = ""
    by: str = ""
    days: str = ""
    kept: str = ""
    order: str = Order.OLDEST.value
    after: str = ""

    def wanted(self) -> Wanted:
        """Return it as the service takes it."""
        only = JobFilter(
            level=Level(self.level) if self.level else None,
            regime=Regime(self.regime) if self.regime else None,
            rule=self.rule,
            source=self.source,
            name=self.name,
            until=time.time() - int(self.days) * DAY if self.days else float("inf"),
        )
        return Wanted(GROUPS[self.group][1], only, self.by, bool(self.kept))

    def address(self, **other: str) -> str:
        """Return the address of the same queue, with something else in it."""
        given = {key: value for key, value in {**self._asdict(), **other}.items() if value}
        return f"/review?{urlencode(given)}"


_Short = Annotated[str, Query(max_length=16)]
_Long = Annotated[str, Query(max_length=200)]


def asked(  # noqa: PLR0917  each is a word of the address
    group: _Short = "all",
    level: _Short = "",
    regime: _Short = "",
    rule: _Long = "",
    source: _Long = "",
    name: _Long = "",
    by: _Short = "",
    days: _Short = "",
    kept: _Short = "",
    order: _Short = Order.OLDEST.value,
    after: _Long = "",
) -> Asked:
    """Return what an address asks for; a word that is none is left out."""
    return Asked(
        group if group in GROUPS else "all",
        level if level in {one.value for one in Level} else "",
        regime if regime in {one.value for one in Regime} else "",
        rule.strip(),
        source,
        name.strip(),
        by if by in WHO else "",
        days if days.isascii() and days.isdigit() and len(days) < 5 else "",
        "1" if kept else "",
        order if order in ORDERS else Order.OLDEST.value,
        after,
    )


@router.get("/review")
def queue(about: Reads, what: Annotated[Asked, Depends(asked)]) -> Response:
    """Show what waits, or its rows alone where a page asks for them."""
    wanted = what.wanted()
    rows, more = about.desk.reviews.queue(wanted, order=Order(what.order), limit=ROWS, after=what.after)
    words: dict[str, Any] = {
        **_words(),
        "asked": what,
        "rows": rows,
        "more": what.address(after=more) if more else "",
        "count": about.desk.reviews.count_queue(wanted),
        "groups": GROUPS,
        "orders": ORDERS,
        "who": WHO,
        "waits": _waits,
        "sources": sources(about.config),
        "done": (),
    }
    return leaf(about, "review_rows.html" if about.is_fragment else "review.html", **words)


class Line(NamedTuple):
    """What became of one job of several."""

    job: str
    name: str
    ok: bool
    say: Say
    hint: Say | None = None


@router.post("/review/bulk")
def bulk(about: Does) -> Response:
    """Do one thing to several jobs for one reason; each has a line of its own."""
    what, reason, chosen = about.field("what"), about.field("reason", ""), about.fields("job")
    if not chosen:
        raise UsageError(
            Say("没有选中任务", "no job was chosen"), Say("勾选要办理的任务", "tick the jobs that you mean")
        )
    does: dict[str, Callable[[str], Say]] = {
        "claim": lambda id_: _claimed(about, id_),
        "unclaim": lambda id_: _unclaimed(about, id_),
        "reject": lambda id_: _rejected(about, id_, reason),
        "false": lambda id_: _all_false(about, id_, about.field("rule", ""), reason),
    }
    if what not in does:
        raise UsageError(Say("请选择要办理的事项", "choose what is to be done"))
    lines = []
    for one in dict.fromkeys(chosen):
        name = one
        try:
            name = about.desk.store.get(one).item.name
            lines.append(Line(one, name, ok=True, say=does[what](one)))
        except DlpError as err:
            lines.append(Line(one, name, ok=False, say=err.say, hint=err.hint))
    return leaf(about, "review_done.html", 200, lines=lines)


def _claimed(about: Does, id_: str) -> Say:
    until = about.desk.reviews.claim(id_).claimed_until
    clock = f"{datetime.fromtimestamp(until).astimezone():%H:%M}"
    return Say(f"已领取，至 {clock}", f"claimed until {clock}")


def _unclaimed(about: Does, id_: str) -> Say:
    about.desk.reviews.unclaim(id_)
    return Say("已交还", "given back")


def _rejected(about: Does, id_: str, reason: str) -> Say:
    return STATES[about.desk.reject(id_, reason=reason).state]


def _all_false(about: Does, id_: str, rule: str, reason: str) -> Say:
    job, count = about.desk.show(id_), 0
    for number, found in enumerate(job.findings, 1):
        if not rule or found.rule == rule:
            about.desk.reviews.label(job.id, Ruling.FALSE_ALARM, finding=number, reason=reason)
            count += 1
    return Say(f"{count} 条命中注明误报", f"{count} hits called false alarms")


# terms


@router.get("/review/terms")
def terms(about: Reads) -> Response:
    """List the jobs whose term is over by the calendar and waits for a person's word."""
    return leaf(about, "review_terms.html", **_words(), rows=tuple(about.desk.reviews.terms_over()))


@router.post("/review/terms/{id}")
def term(about: Does, id: str) -> Response:  # noqa: A002  the column's name
    """Confirm that a term ended, or until when it was extended."""
    ended = about.field("ruling") == End.ENDED.value
    ruling = End.ENDED if ended else End.EXTENDED
    about.desk.reviews.confirm_term(
        id, ruling, basis=about.field("basis", ""), until="" if ended else about.field("until", "")
    )
    return RedirectResponse("/review/terms", 303)


# one job


@router.get("/review/{id}")
def job(about: Reads, id: str, page: int = 0, hit: int = 0) -> Response:  # noqa: A002  as above
    """Show one job to whoever reviews it."""
    return leaf(about, "review_job.html", **_job_words(about, id, page, hit))


@router.get("/review/{id}/page/{number}")
def page(about: Reads, id: str, number: int, hit: int = 0, draw: int = 0) -> Response:  # noqa: A002  as above
    """Show one page of its file with each hit boxed; that it was seen is in the trail first."""
    with about.console.sandbox() as sandbox:
        sheet = evidence.sheet(about.desk.acting, id, number, sandbox=sandbox, cache=about.console.pages)
    words: dict[str, Any] = {"job": sheet.job, "sheet": _shown(sheet), "hit": hit, "draw": bool(draw)}
    return leaf(about, "review_sheet.html" if about.is_fragment else "review_page.html", **words)


@router.get("/review/{id}/missed")
def missed_form(about: Reads, id: str) -> Response:  # noqa: A002  as above
    """Show where a missed hit is noted."""
    found = about.desk.show(id)
    return leaf(about, "review_missed.html", job=found, rules=about.desk.reviews.rules())


@router.post("/review/{id}/missed")
def missed(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Note that a rule missed something, on which page, in words that are masked."""
    where = about.field("page", "")
    reason = about.field("reason", "")
    said = f"第 {where} 页：{reason}" if where and reason else reason
    about.desk.reviews.label(id, Ruling.MISSED, rule=about.field("rule"), reason=said)
    return _back(id)


@router.post("/review/{id}/claim")
def claim(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Take a job, or give it back."""
    if about.field("to", "") == "free":
        about.desk.reviews.unclaim(id)
    else:
        about.desk.reviews.claim(id)
    return _back(id)


@router.post("/review/{id}/label")
def label(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Say of a hit, or of every hit of a rule, that it is right or a false alarm."""
    ruling = Ruling.CONFIRMED if about.field("ruling") == Ruling.CONFIRMED.value else Ruling.FALSE_ALARM
    rule, number, reason = about.field("rule", ""), about.number("finding", 0), about.field("reason", "")
    numbers = [number]
    if rule:
        numbers = [n for n, one in enumerate(about.desk.show(id).findings, 1) if one.rule == rule]
    for one in numbers:
        about.desk.reviews.label(id, ruling, finding=one, reason=reason)
    return _back(id, f"?hit={number or (numbers[0] if numbers else 0)}")


@router.post("/review/{id}/comment")
def comment(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Add a remark."""
    about.desk.reviews.comment(id, about.field("text", ""))
    return _back(id)


@router.post("/review/{id}/hold")
def hold(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Put a job under legal hold, or ask for the hold to be lifted: that waits for a second person."""
    if about.field("to", "") == "lift":
        about.desk.reviews.ask_to_lift(id, about.field("reason", ""))
        return RedirectResponse("/waiting", 303)
    about.desk.reviews.hold(id, about.field("reason", ""))
    return _back(id)


@router.post("/review/{id}/keep")
def keep(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for the sealed copy to be kept until a day; it waits for a second person."""
    about.desk.reviews.ask_to_keep(id, _day_of(about.field("until", "")))
    return RedirectResponse("/waiting", 303)


@router.post("/review/{id}/level")
def level(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Decide on a level; no mark is set by it."""
    named, whose = about.field("level", ""), about.field("regime", "")
    try:
        decided, regime = Level(named) if named else None, Regime(whose) if whose else None
    except ValueError:
        raise UsageError(Say("没有这个级别或密种", "there is no such level or regime")) from None
    about.desk.reviews.decide_level(
        id,
        decided,
        regime,
        basis=about.field("basis", ""),
        reason=about.field("reason", ""),
    )
    return _back(id)


@router.post("/review/{id}/reject")
def reject(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Reject a job: it never leaves; its sealed copy stays."""
    about.desk.reject(id, reason=about.field("reason", ""))
    return _back(id)


@router.post("/review/{id}/return")
def give_back(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Give the original back where its counter gets what is handed back: no page names a path of this machine."""
    about.desk.give_back(id, None, reason=about.field("reason", ""))
    return _back(id)


# redaction


@router.get("/review/{id}/redact")
def redacting(about: Reads, id: str, page: int = 0) -> Response:  # noqa: A002  as above
    """Show what will be cut, what is added and left in by hand, and the copy that was made to be looked at."""
    words = _job_words(about, id, page, 0)
    draft = about.desk.redactings.draft(words["job"], about.console.drafts)
    ready = draft.is_tried(words["job"])
    how = draft.tried.how if draft.tried is not None else about.config.redacting
    words |= {
        "edits": draft.edits,
        "dropped": {one.finding for one in draft.edits.dropped},
        "undroppable": {n for n, one in enumerate(words["job"].findings, 1) if hand.secret(one) or not one.digest},
        "tried": draft.tried if ready else None,
        "stale": draft.tried is not None and not ready,
        "how": how,
        "modes": MODES,
        "styles": STYLES,
        "reaches": REACHES,
        "checks": [(told.check(one), one) for one in draft.tried.certificate.checks] if draft.tried and ready else [],
        "check_states": certify.STATES,
        "sentence": certify.sentence(draft.tried.certificate) if draft.tried is not None and ready else None,
    }
    return leaf(about, "review_redact.html", **words)


@router.get("/review/{id}/redact/page/{number}")
def compared(about: Reads, id: str, number: int) -> Response:  # noqa: A002  as above
    """Show one page before and after; both looks are in the trail first."""
    desk, console = about.desk, about.console
    with console.sandbox() as sandbox:
        before = evidence.sheet(desk.acting, id, number, sandbox=sandbox, cache=console.pages)
        after = desk.redactings.sheet(console.drafts, console.pages, id, number, sandbox=sandbox)
    words: dict[str, Any] = {"job": before.job, "before": _shown(before), "after": _shown(after), "number": number}
    return leaf(about, "review_compare.html" if about.is_fragment else "review_compared.html", **words)


@router.post("/review/{id}/redact/add")
def add(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Add words, or a rectangle, to what will be cut."""
    number, words = about.number("page", 0), about.field("words", "")
    box = None
    if not words:
        x0, y0, x1, y1 = (float(about.number(side, 0)) for side in ("x0", "y0", "x1", "y1"))
        box = Box(number, min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    about.desk.redactings.add(
        about.console.drafts, id, page=number, words=words, box=box, reason=about.field("reason", "")
    )
    return _back(id, f"/redact?page={number}")


@router.post("/review/{id}/redact/drop")
def drop(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Leave a finding in."""
    about.desk.redactings.drop(about.console.drafts, id, about.number("finding"), reason=about.field("reason", ""))
    return _back(id, "/redact")


@router.post("/review/{id}/redact/undo")
def undo(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Take a change by hand back."""
    about.desk.redactings.undo(about.console.drafts, id, about.field("what"), about.number("number"))
    return _back(id, "/redact")


@router.post("/review/{id}/redact/try")
def attempt(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Make a copy to look at, in memory."""
    with about.console.sandbox() as sandbox:
        about.desk.redactings.attempt(about.console.drafts, id, redacting=_how(about), sandbox=sandbox)
    return _back(id, "/redact")


@router.post("/review/{id}/redact/release")
def release(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Let the copy go that was looked at; it is made and proven once more."""
    tried = about.desk.redactings.tried(about.console.drafts, id)
    with about.console.sandbox() as sandbox:
        done = about.desk.redact(
            id, reason=about.field("reason", ""), redacting=tried.how, edits=tried.edits, sandbox=sandbox
        )
    about.console.drafts.drop(done.id)
    return _back(id)


# inside


class Shown(NamedTuple):
    """A page for a browser: the picture inside the answer itself, so that one look is one event."""

    page: int
    data: str
    width: float
    height: float
    boxes: tuple[tuple[int, float, float, float, float, str], ...]


def _shown(sheet: Sheet) -> Shown:
    data = "data:image/png;base64," + base64.b64encode(sheet.png).decode()
    boxes = []
    for number, box in sheet.boxes:
        found = sheet.job.findings[number - 1]
        wide, high = box.x1 - box.x0, box.y1 - box.y0
        boxes.append((number, box.x0 - 2, box.y0 - 2, wide + 4, high + 4, found.name or found.rule))
    return Shown(sheet.page, data, round(sheet.width, 1), round(sheet.height, 1), tuple(boxes))


def _words() -> dict[str, Any]:
    return {"states": STATES, "actions": ACTIONS, "levels": tuple(Level), "regimes": REGIMES, "role_names": ROLES}


def _job_words(about: Visit, id_: str, page: int, hit: int) -> dict[str, Any]:
    """Return what the pages of one job say; nothing of what may not be here."""
    desk = about.desk
    found = desk.show(id_)
    review, labels = desk.reviews.get(found.id)
    secret = found.state is State.WITHHELD or withhold.forbids(found.findings, about.config.site)
    hits = () if secret else tuple(enumerate(found.findings, 1))
    by_finding = {one.finding: one for one in labels if one.finding}
    pages = sorted({box.page for _, one in hits if not one.part for box in one.boxes})
    signed: Signed | None = desk.certificate(found.id) if found.certificate else None
    return {
        **_words(),
        "job": found,
        "review": review,
        "claimant": review.claimant(time.time()) if review is not None else "",
        "labels": by_finding,
        "missed": [one for one in labels if not one.finding],
        "rulings": RULINGS,
        "secret": secret,
        "hits": hits,
        "by_rule": _by_rule(hits),
        "hit_page": _hit_page,
        "page": page or (_first_page(found, hit) or (pages[0] if pages else 1)),
        "pages": pages,
        "hit": hit,
        "next": next_step(found, secret=secret),
        "history": desk.reviews.history(found.id),
        "kinds": KINDS,
        "signed": signed,
        "waits": _waits,
    }


def _by_rule(hits: tuple[tuple[int, Finding], ...]) -> dict[str, tuple[str, int]]:
    """Return name and number of findings of each rule that found more than one."""
    counts: dict[str, tuple[str, int]] = {}
    for _, one in hits:
        counts[one.rule] = (one.name or one.rule, counts.get(one.rule, ("", 0))[1] + 1)
    return {rule: said for rule, said in counts.items() if said[1] > 1}


def _hit_page(found: Finding) -> int:
    """Return the page on which a finding is boxed; 0 for none."""
    return found.boxes[0].page if found.boxes and not found.part else 0


def _first_page(found: Job, hit: int) -> int:
    return _hit_page(found.findings[hit - 1]) if 1 <= hit <= len(found.findings) else 0


def _how(about: Does) -> Redacting:
    """Return how a copy is to be made: what was chosen, else what the site does."""
    wanted: dict[str, Any] = {}
    try:
        for name, kind in (("mode", Mode), ("style", Style), ("reach", Reach)):
            if value := about.field(name, ""):
                wanted[name] = kind(value)
    except ValueError:
        raise UsageError(Say("没有这种脱敏方式", "there is no such way to redact")) from None
    made: Redacting = evolve(about.config.redacting, **wanted)
    return made


def _day_of(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%d").astimezone().timestamp() + DAY - 1
    except ValueError:
        raise UsageError(Say("日期须写成 2026-01-31 的形式", "write the day as 2026-01-31")) from None


def _waits(row: Row | Job) -> float:
    """Return since when a job waits."""
    return row.job.created if isinstance(row, Row) else row.created


def _back(id_: str, rest: str = "") -> Response:
    return RedirectResponse(f"/review/{id_}{rest}", 303)
