"""Leaks and what may be one: a case with a clock of 24 hours, its steps, its mending, and files that are frozen.

Pure rules over records. Whoever finds a leak, or what may be one, reports it to the authority within 24 hours
(保守国家秘密法实施条例 2024-09-01 article 61); then it is investigated, remedied, and what allowed it is mended, before
a second person agrees that it is closed. A frozen file leaves through no channel while it is frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from dlp.errors import Conflict, Denied, UsageError
from dlp.model import Action, Frozen, Level, Reason, Regime, Say, Verdict, evolve
from dlp.rights import RULES_2024, Denial, Why
from dlp.store import Job
from dlp.store.record import Columns, Kind

HOUR = 3_600.0
REPORT_HOURS = 24
ARTICLE = f"{RULES_2024}第六十一条"
GATE = "gate"


class Step(Enum):
    """How far an incident is; written in the order in which they follow."""

    REPORT = "report"
    INVESTIGATE = "investigate"
    REMEDY = "remedy"
    RECTIFY = "rectify"
    CLOSED = "closed"


STEPS: dict[Step, Say] = {
    Step.REPORT: Say("报告", "reported"),
    Step.INVESTIGATE: Say("核查", "investigated"),
    Step.REMEDY: Say("处置", "remedied"),
    Step.RECTIFY: Say("整改", "being mended"),
    Step.CLOSED: Say("结案", "closed"),
}


class Cause(Enum):
    """What made somebody open it."""

    WITHHELD = "withheld"
    REFUSED = "refused"
    PERSON = "person"


CAUSES: dict[Cause, Say] = {
    Cause.WITHHELD: Say("暂扣：国家秘密出现在不得存储处理的设备上", "withheld: a state secret where it may not be"),
    Cause.REFUSED: Say("送审被拒：依法不得承印、处理", "an approval that the law forbids was asked for"),
    Cause.PERSON: Say("人员报告", "reported by a person"),
}


class Taken(Frozen, frozen=True, kw_only=True):
    """A step that somebody took."""

    step: Step
    by: str
    at: float
    note: str = ""


class Task(Frozen, frozen=True, kw_only=True):
    """Something that has to be mended (整改), by whom and when."""

    number: int
    what: str
    owner: str
    due: float
    done_at: float = 0.0
    done_by: str = ""


class Incident(Frozen, frozen=True, kw_only=True):
    """One incident. What people write here never holds the content of a file."""

    id: str
    version: int = 1
    cause: Cause
    step: Step = Step.REPORT
    by: str
    """The account that opened it, or the gate."""
    at: float
    found: float
    """When it was found: from here the 24 hours run."""
    what: str = ""
    job: str = ""
    sha256: str = ""
    title: str = ""
    """Of the file, as it is shown: any hit in it masked."""
    level: Level | None = None
    regime: Regime | None = None
    steps: tuple[Taken, ...] = ()
    notes: tuple[Taken, ...] = ()
    tasks: tuple[Task, ...] = ()
    reported_at: float = 0.0
    """When it was reported to the authority; 0: not yet."""
    reported_by: str = ""
    reported_to: str = ""
    receipt: str = ""
    """Number under which the authority took it."""
    second: str = ""
    """Who agreed that it is closed."""

    @property
    def due(self) -> float:
        """Return when it has to be reported at the latest."""
        return self.found + REPORT_HOURS * HOUR

    def hours_left(self, now: float) -> float | None:
        """Return how many hours are left to report it, below 0 where it is late; None where it was reported."""
        return None if self.reported_at else (self.due - now) / HOUR


def _next_due(one: Incident) -> float:
    if one.step is Step.CLOSED:
        return 0.0
    open_tasks = [task.due for task in one.tasks if not task.done_at]
    return min([*open_tasks, *([] if one.reported_at else [one.due])], default=0.0)


INCIDENTS = Kind(
    "incident",
    Incident,
    lambda one: Columns(state=one.step.value, job=one.job, who=one.by, due=_next_due(one), at=one.at),
)


class Freeze(Frozen, frozen=True, kw_only=True):
    """A file that may leave through no channel; `id` is the SHA-256 of its bytes."""

    id: str
    version: int = 1
    active: bool = True
    by: str
    at: float
    reason: str
    incident: str = ""
    lifted_by: str = ""
    second: str = ""
    lifted_at: float = 0.0


FREEZES = Kind(
    "frozen",
    Freeze,
    lambda one: Columns(state="frozen" if one.active else "lifted", job="", who=one.by, at=one.at),
)


class Stopped(Denied):
    """A file is frozen: it does not leave, whoever cleared it."""

    def __init__(self, freeze: Freeze) -> None:
        super().__init__(
            Say(f"文件已冻结，不得放行：{freeze.id[:16]}", f"the file is frozen and does not leave: {freeze.id[:16]}"),
            Say(
                f"由 {freeze.by} 冻结；解除冻结后方可办理（依据：{ARTICLE}）",
                f"frozen by {freeze.by}; the freeze has to be lifted first (basis: {ARTICLE})",
            ),
        )
        self.freeze = freeze


class _Finds(Protocol):
    def find(self, kind: Kind[Freeze], id: str) -> Freeze | None:  # noqa: A002  the column's name
        """Return a record, or None."""


def frozen(books: _Finds, *hashes: str) -> Freeze | None:
    """Return the freeze that stops a file of one of these hashes; None where it may go."""
    for sha256 in dict.fromkeys(hashes):
        found = books.find(FREEZES, sha256) if sha256 else None
        if found is not None and found.active:
            return found
    return None


def stays(books: _Finds, job: Job, say: Say) -> Denial | None:
    """Return, in words that say what is not done to it, why a job's file stays: it is frozen, and evidence."""
    freeze = frozen(books, job.item.sha256)
    if freeze is None:
        return None
    stopped = Stopped(freeze)
    return Denial(why=Why.CLOSED, say=say, hint=stopped.hint or stopped.say, article=ARTICLE)


def blocked(verdict: Verdict, freeze: Freeze) -> Verdict:
    """Return a verdict on a frozen file."""
    say = Stopped(freeze).say
    reason = Reason(clause="frozen", say=say, article=ARTICLE, action=Action.BLOCK)
    return evolve(verdict, action=Action.BLOCK, reasons=(reason, *verdict.reasons))  # type: ignore[no-any-return]


def opened(
    id: str,  # noqa: A002  the column's name
    cause: Cause,
    *,
    by: str,
    at: float,
    found: float = 0.0,
    what: str = "",
    job: Job | None = None,
    sha256: str = "",
) -> Incident:
    """Return a new incident. UsageError where it would have been found later than now."""
    found = found or at
    if found > at:
        raise UsageError(
            Say("发现时间晚于现在", "it cannot have been found later than now"),
            Say("写明实际的发现时间", "give the moment when it was found"),
        )
    verdict = job.verdict if job is not None else None
    return Incident(
        id=id,
        cause=cause,
        by=by,
        at=at,
        found=found,
        what=what.strip(),
        job=job.id if job is not None else "",
        sha256=job.item.sha256 if job is not None else sha256,
        title=job.item.name if job is not None else "",
        level=verdict.level if verdict else None,
        regime=verdict.regime if verdict else None,
        steps=(Taken(step=Step.REPORT, by=by, at=at),),
    )


def noted(one: Incident, *, by: str, at: float, note: str, step: Step | None = None) -> Incident:
    """Return an incident with a note, or one step further. UsageError without words, Conflict out of order.

    It is closed by `closed` only.
    """
    _check_open(one)
    if not note.strip():
        raise UsageError(Say("须写明内容", "words are required"))
    if step is None:
        made = Taken(step=one.step, by=by, at=at, note=note.strip())
        return _changed(one, notes=(*one.notes, made))
    order = list(Step)
    if step is Step.CLOSED or order.index(step) != order.index(one.step) + 1:
        following = order[order.index(one.step) + 1]
        raise Conflict(
            Say(
                f"事件 {one.id} 现为“{STEPS[one.step].zh}”，下一步是“{STEPS[following].zh}”",
                f"incident {one.id} is {STEPS[one.step].en}; what follows is {STEPS[following].en}",
            ),
            Say("按 报告、核查、处置、整改、结案 的顺序办理", "go through the steps in their order"),
        )
    return _changed(one, step=step, steps=(*one.steps, Taken(step=step, by=by, at=at, note=note.strip())))


def reported(one: Incident, *, by: str, at: float, to: str, receipt: str) -> Incident:
    """Return an incident that was reported to the authority. Conflict where it was before."""
    _check_open(one)
    if one.reported_at:
        raise Conflict(
            Say(f"事件 {one.id} 已上报 {one.reported_to}", f"incident {one.id} was reported to {one.reported_to}"),
            Say("补充情况用 note 记录", "add what is new as a note"),
        )
    if not to.strip():
        raise UsageError(Say("须写明上报机关", "the authority is required"))
    return _changed(one, reported_at=at, reported_by=by, reported_to=to.strip(), receipt=receipt.strip())


def with_task(one: Incident, *, what: str, owner: str, due: float, now: float) -> Incident:
    """Return an incident with one more thing to mend. UsageError where it lacks words, owner, or a day to come."""
    _check_open(one)
    if not what.strip() or not owner.strip():
        raise UsageError(Say("整改须写明事项和责任人", "what is to be mended, and by whom, is required"))
    if due <= now:
        raise UsageError(Say("整改期限须在今后", "it must be due on a day to come"))
    made = Task(number=len(one.tasks) + 1, what=what.strip(), owner=owner.strip(), due=due)
    return _changed(one, tasks=(*one.tasks, made))


def with_done(one: Incident, number: int, *, by: str, at: float) -> Incident:
    """Return an incident where one thing was mended. UsageError for no such number, Conflict for a second time."""
    _check_open(one)
    if not 1 <= number <= len(one.tasks):
        raise UsageError(Say(f"没有第 {number} 项整改", f"there is no task {number}"))
    task = one.tasks[number - 1]
    if task.done_at:
        raise Conflict(Say(f"第 {number} 项整改已完成", f"task {number} was done"))
    done = evolve(task, done_at=at, done_by=by)
    return _changed(one, tasks=(*one.tasks[: number - 1], done, *one.tasks[number:]))


def check_closing(one: Incident) -> None:
    """Raise Conflict where an incident cannot be closed yet: not reported, steps missing, or something unmended."""
    _check_open(one)
    left = [task.number for task in one.tasks if not task.done_at]
    if not one.reported_at:
        why = Say("尚未上报", "it has not been reported to the authority")
    elif one.step is not Step.RECTIFY:
        why = Say(f"现为“{STEPS[one.step].zh}”，未到整改", f"it is {STEPS[one.step].en}, and nothing was mended yet")
    elif left:
        numbers = "、".join(map(str, left))
        why = Say(f"整改第 {numbers} 项未完成", f"tasks not done: {', '.join(map(str, left))}")
    else:
        return
    raise Conflict(
        Say(f"事件 {one.id} 不能结案：{why.zh}", f"incident {one.id} cannot be closed: {why.en}"),
        Say("办结后再结案", "finish that first"),
    )


def closed(one: Incident, *, by: str, second: str, at: float, note: str) -> Incident:
    """Return a closed incident; Conflict as `check_closing`."""
    check_closing(one)
    done = Taken(step=Step.CLOSED, by=by, at=at, note=note.strip())
    return _changed(one, step=Step.CLOSED, steps=(*one.steps, done), second=second)


def overdue(incidents: Iterable[Incident], now: float) -> tuple[tuple[Incident, ...], tuple[Incident, ...]]:
    """Return those that should have been reported, and those with something that should have been mended."""
    still = [one for one in incidents if one.step is not Step.CLOSED]
    late = tuple(one for one in still if not one.reported_at and now >= one.due)
    unmended = tuple(one for one in still if any(not task.done_at and now >= task.due for task in one.tasks))
    return late, unmended


def _changed(one: Incident, **fields: object) -> Incident:
    return evolve(one, version=one.version + 1, **fields)  # type: ignore[no-any-return]


def _check_open(one: Incident) -> None:
    if one.step is Step.CLOSED:
        raise Conflict(
            Say(f"事件 {one.id} 已结案", f"incident {one.id} is closed"),
            Say("需要时另立事件", "open another one if there is something new"),
        )
