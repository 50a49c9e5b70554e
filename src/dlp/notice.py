"""Notices: which events somebody outside is told of, and what a notice says: numbers, level, state, never content."""

from __future__ import annotations

from dlp.audit import KEYED, AuditEvent
from dlp.model import Frozen, Regime, Say
from dlp.store import Job
from dlp.store.record import Columns, Kind

QUEUED, SENT = "queued", "sent"
MAIL = "mail"

KINDS: dict[str, Say] = {
    "held": Say("文件已隔离，待研判", "a file is held and waits for review"),
    "blocked": Say("文件已拦截", "a file was blocked"),
    "must-report": Say("须在 24 小时内上报", "this has to be reported within 24 hours"),
    "overdue": Say("逾期未清退、未办结", "a copy or an order is overdue"),
    "copies-differ": Say("份数不符，须逐份清点", "copies do not add up, and have to be counted"),
    "gate-stopped": Say("闸门已停止", "the gate has stopped"),
    "audit-broken": Say("审计链异常", "something is wrong with the audit trail"),
    "approval-waiting": Say("有审批待签", "an approval waits to be signed"),
    "confirm-waiting": Say("有事项待第二人确认", "something waits for a second person"),
    "test": Say("测试通知", "a test"),
}
DO: dict[str, str] = {
    "held": "dlp quarantine show {job}",
    "blocked": "dlp quarantine show {job}",
    "must-report": "dlp quarantine show {job}",
    "overdue": "dlp registers overdue",
    "copies-differ": "dlp registers reconcile",
    "gate-stopped": "dlp doctor; dlp run",
    "audit-broken": "dlp audit verify",
    "approval-waiting": "dlp quarantine show {job}",
    "confirm-waiting": "dlp people waiting",
    "test": "dlp notices list",
}
_PLAIN = {
    "held": "held",
    "blocked": "blocked",
    "must-report": "must-report",
    "incident-opened": "must-report",
    "withheld": "must-report",  # its incident is opened with it, in the same event
    "stopped": "gate-stopped",
    "checkpoint-failed": "audit-broken",
    "missing": "audit-broken",
    "requested": "approval-waiting",
    "asked": "confirm-waiting",
}


class Notice(Frozen, frozen=True, kw_only=True):
    """One notice on its way to one place."""

    id: str
    version: int = 1
    kind: str
    channel: str
    """`mail`, or a name of a webhook that tells nothing of its address."""
    job: str = ""
    level: str = ""
    state: str = ""
    at: float
    """When it happened."""
    status: str = QUEUED
    sent_at: float = 0.0


class Mark(Frozen, frozen=True, kw_only=True):
    """How far the trail was read for notices."""

    id: str = "mark"
    version: int = 1
    seq: int


NOTICES = Kind("notice", Notice, lambda one: Columns(state=one.status, job=one.job, who=one.channel, at=one.at))
MARKS = Kind("notice-mark", Mark, lambda _: Columns())


def kind_of(event: AuditEvent, job: Job | None, *, running: bool) -> str:
    """Return of which kind the notice of an event is; empty: none. `running`: the trail says that a gate was at work.

    A gate that starts while it was at work has stopped without a word.
    """
    if event.kind == "started":
        return "gate-stopped" if running else ""
    if event.kind == "stocktake":
        return "copies-differ" if event.body.get("differs") else ""
    if event.kind == KEYED:
        return "audit-broken" if event.body.get("reason") else ""
    kind = _PLAIN.get(event.kind, "")
    secret = job is not None and job.verdict is not None and job.verdict.regime in (Regime.STATE, Regime.EXAM)
    return "must-report" if kind == "blocked" and secret else kind


def words(notice: Notice, unit: str, moment: str, language: str) -> list[tuple[str, str]]:
    """Return what a notice says, as rows."""
    zh = language != "en"
    rows = [
        ("单位" if zh else "Unit", unit),
        ("事项" if zh else "What", KINDS[notice.kind].to(language)),
        ("任务" if zh else "Job", notice.job),
        ("级别" if zh else "Level", notice.level),
        ("状态" if zh else "State", notice.state),
        ("时间" if zh else "When", moment),
        ("办理" if zh else "Do", DO[notice.kind].format(job=notice.job).strip()),
        ("编号" if zh else "Number", notice.id),
    ]
    return [(name, value) for name, value in rows if value]
