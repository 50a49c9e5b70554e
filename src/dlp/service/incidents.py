"""Incidents at work: opened, investigated, reported, mended, closed; files frozen; who touched a file; evidence.

The gate opens one for each file that it withholds, and for each approval that the law forbids, in the transaction that
says so: the 24 hours run from there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from dlp import checkpoint, evidence, incident, siem
from dlp.config import Config
from dlp.copies import COPIES, Copy, CopyState
from dlp.errors import Conflict, NotFound, UsageError
from dlp.incident import FREEZES, INCIDENTS, Cause, Freeze, Incident, Step
from dlp.model import Say, State, evolve
from dlp.rights import Denial, Operation, may
from dlp.service import notary, signing, trail
from dlp.service.acting import Acting
from dlp.service.certify import state_folder
from dlp.service.keys import new_id
from dlp.service.receipt import STATES
from dlp.service.second import Change, Doing
from dlp.store import AuditEvent, EventFilter, Job
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore

OPEN = tuple(step.value for step in Step if step is not Step.CLOSED)
KINDS = (
    *("incident-opened", "incident-noted", "incident-step", "incident-reported", "incident-task"),
    *("incident-task-done", "incident-closed", "incident-packaged", "frozen", "unfrozen"),
)
_SHA256 = re.compile("[0-9a-f]{64}")
SIGNED = "填报人：　　　　　　　保密员：　　　　　　　分管领导：　　　　　　　（单位盖章）　　年　　月　　日"


def keeps(entry: Entry, job: Job) -> Denial | None:
    """Return why a job goes on no list of what is destroyed: its file is frozen, and evidence."""
    say = Say(f"任务 {job.id} 的文件已冻结，不得销毁", f"the file of job {job.id} is frozen and is not destroyed")
    return incident.stays(entry, job, say)


class Custody(NamedTuple):
    """Every touch of one file, as far as the books know."""

    sha256: str
    jobs: tuple[Job, ...]
    events: tuple[AuditEvent, ...]
    """Oldest first."""
    copies: tuple[Copy, ...]

    @property
    def seen_by(self) -> tuple[str, ...]:
        """Return who was shown something of it."""
        return _once(event.actor for event in self.events if event.kind == "seen")

    @property
    def released_by(self) -> tuple[str, ...]:
        """Return who let it go."""
        return _once(event.actor for event in self.events if event.kind == "releasing")

    @property
    def out(self) -> tuple[Copy, ...]:
        """Return the copies that somebody has."""
        return tuple(copy for copy in self.copies if copy.state in (CopyState.MADE, CopyState.OUT))


class Incidents:
    """The incidents of one site, in the name of one person."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._store = acting.store

    def all(self, only: RecordFilter | None = None, *, limit: int = 0) -> tuple[Incident, ...]:
        """Return incidents, newest first."""
        self._acting.may(Operation.REPORT_READ)
        return self._store.records(INCIDENTS, only, limit=limit)

    def get(self, id: str) -> Incident:  # noqa: A002  the column's name
        """Return one incident; NotFound when there is none."""
        self._acting.may(Operation.REPORT_READ, subject=id)
        return self._store.record(INCIDENTS, id)

    def open(self, what: str, *, found: float = 0.0, target: str = "") -> Incident:
        """Open an incident; `target` is the job or the SHA-256 that it is about. UsageError without words."""
        if not what.strip():
            raise UsageError(Say("须写明经过（不得含涉密内容）", "what happened is required, without any content"))
        job, sha256 = self._target(target) if target else (None, "")
        with self._acting.demand(Operation.INCIDENT_OPEN, subject=target, job=job.id if job else "") as entry:
            at, by = entry.moment, self._acting.person.id
            made = incident.opened(
                new_id(at), Cause.PERSON, by=by, at=at, found=found, what=what, job=job, sha256=sha256
            )
            entry.put(INCIDENTS, made)
            entry.append(by, "incident-opened", made.job, {"incident": made.id, "due": _iso(made.due)})
        return made

    def note(self, id: str, text: str, *, step: Step | None = None) -> Incident:  # noqa: A002  as above
        """Add a note to an incident, or take its next step."""
        with self._acting.demand(Operation.INCIDENT_HANDLE, subject=id) as entry:
            by = self._acting.person.id
            made = incident.noted(_found(entry, id), by=by, at=entry.moment, note=text, step=step)
            kind = "incident-step" if step else "incident-noted"
            return _written(entry, made, by, kind, {"step": made.step.value})

    def report(self, id: str, *, to: str, receipt: str = "") -> Incident:  # noqa: A002  as above
        """Note that an incident was reported to the authority; this ends its 24 hours."""
        with self._acting.demand(Operation.INCIDENT_REPORT, subject=id) as entry:
            by = self._acting.person.id
            made = incident.reported(_found(entry, id), by=by, at=entry.moment, to=to, receipt=receipt)
            late = made.reported_at > made.due
            return _written(entry, made, by, "incident-reported", {"to": made.reported_to, "late": late})

    def add_task(self, id: str, what: str, *, owner: str, due: float) -> Incident:  # noqa: A002  as above
        """Add something that has to be mended."""
        with self._acting.demand(Operation.INCIDENT_HANDLE, subject=id) as entry:
            made = incident.with_task(_found(entry, id), what=what, owner=owner, due=due, now=entry.moment)
            number = len(made.tasks)
            return _written(entry, made, self._acting.person.id, "incident-task", {"task": number})

    def finish_task(self, id: str, number: int) -> Incident:  # noqa: A002  as above
        """Note that something was mended."""
        with self._acting.demand(Operation.INCIDENT_HANDLE, subject=id) as entry:
            by = self._acting.person.id
            made = incident.with_done(_found(entry, id), number, by=by, at=entry.moment)
            return _written(entry, made, by, "incident-task-done", {"task": number})

    def check_closing(self, id: str) -> None:  # noqa: A002  as above
        """Raise Conflict where an incident cannot be closed yet."""
        self._acting.may(Operation.INCIDENT_CLOSE, subject=id)
        incident.check_closing(self._store.record(INCIDENTS, id))

    def freeze(self, target: str, reason: str, *, about: str = "") -> Freeze:
        """Freeze a file, by its SHA-256 or a job of it: it leaves through no channel from now on.

        UsageError without a reason, Conflict where it is frozen.
        """
        if not reason.strip():
            raise UsageError(Say("须写明理由", "a reason is required"))
        job, sha256 = self._target(target)
        with self._acting.demand(Operation.INCIDENT_FREEZE, subject=sha256, job=job.id if job else "") as entry:
            if about:
                _found(entry, about)
            before = entry.find(FREEZES, sha256)
            if before is not None and before.active:
                raise Conflict(
                    Say(f"文件已由 {before.by} 冻结", f"{before.by} has frozen this file"),
                    Say("无须再冻结", "nothing more is needed"),
                )
            made = Freeze(
                id=sha256,
                version=before.version + 1 if before else 1,
                by=self._acting.person.id,
                at=entry.moment,
                reason=reason.strip(),
                incident=about,
            )
            entry.put(FREEZES, made)
            body = {"sha256": sha256, "incident": about}
            entry.append(made.by, "frozen", job.id if job else "", body)
        return made

    def freezes(self, *, limit: int = 0) -> tuple[Freeze, ...]:
        """Return the freezes that hold, newest first."""
        self._acting.may(Operation.INCIDENT_FREEZE)
        return self._store.records(FREEZES, RecordFilter(states=("frozen",)), limit=limit)

    def frozen(self, target: str) -> Freeze:
        """Return the freeze of a file; NotFound where it is not frozen."""
        _, sha256 = self._target(target)
        return _freeze(self._store.find(FREEZES, sha256), sha256)

    def custody(self, target: str) -> Custody:
        """Return every touch of a file: `target` is an incident, a job, or its SHA-256."""
        self._acting.may(Operation.AUDIT_READ, subject=target)
        return self._known(self._custody(target), "custody")

    def form(self, id: str) -> bytes:  # noqa: A002  as above
        """Return the report form (泄密事件报告表) of an incident as a Word file, to be looked over and signed.

        Whoever handles incidents drafts it; whoever reports them, too.
        """
        self._acting.may(
            Operation.INCIDENT_HANDLE
            if may(self._acting.person, Operation.INCIDENT_HANDLE)
            else Operation.INCIDENT_REPORT,
            subject=id,
        )
        one = self._store.record(INCIDENTS, id)
        return draft(self._acting.config, one, self._known(self._custody(id), "form"), time.time())

    def package(self, id: str) -> bytes:  # noqa: A002  as above
        """Return the signed evidence of an incident as the bytes of a zip; the trail tells that it was made."""
        config, person = self._acting.config, self._acting.may(Operation.INCIDENT_HANDLE, subject=id)
        one = self._store.record(INCIDENTS, id)
        with self._acting.demand(Operation.INCIDENT_HANDLE, subject=id) as entry:
            entry.append(person.id, "incident-packaged", one.job, {"incident": id})
        custody = self._custody(id)
        files = {
            "incident.json": _json(one),
            "files.json": _json([_facts(job) for job in custody.jobs]),
            "findings.json": _json({job.id: _findings(job) for job in custody.jobs}),
            "copies.json": _json(custody.copies),
            evidence.EVENTS: "".join(f"{siem.jsonl(event)}\n" for event in custody.events).encode(),
            evidence.CHECKPOINT: checkpoint.write(notary.sign(config, self._store)).encode() + b"\n",
        }
        key = signing.signing_key(state_folder(config))
        return evidence.pack(key, files, incident=id, unit=config.site.unit, at=_iso(time.time()), by=person.id)

    def _known(self, custody: Custody, what: str) -> Custody:
        """Record that somebody is shown what files at 机密 or above hold, before he has it."""
        for job in custody.jobs:
            trail.seen(self._store, self._acting.person.id, job, what)
        return custody

    def _custody(self, target: str) -> Custody:
        id_, job, sha256 = "", None, ""
        found = self._store.find(INCIDENTS, target)
        if found is not None:
            id_, sha256 = found.id, found.sha256
            job = self._store.get(found.job) if found.job else None
        else:
            job, sha256 = self._target(target)
        jobs = (
            tuple(one for one in self._store.each(tuple(State)) if sha256 in (one.item.sha256, one.outgoing))
            if (sha256)
            else ()
        )
        if job is not None and job.id not in {one.id for one in jobs}:
            jobs = (*jobs, job)
        events: dict[int, AuditEvent] = {}
        for one in jobs:
            events |= {event.seq: event for event in self._store.find_events(EventFilter(job=one.id))}
        for kind in KINDS:
            for event in self._store.find_events(EventFilter(kind=kind)):
                if (id_ and event.body.get("incident") == id_) or (sha256 and event.body.get("sha256") == sha256):
                    events[event.seq] = event
        copies = tuple(copy for one in jobs for copy in self._store.records(COPIES, RecordFilter(job=one.id)))
        return Custody(sha256, jobs, tuple(events[seq] for seq in sorted(events)), copies)

    def _target(self, target: str) -> tuple[Job | None, str]:
        """Return the job that is meant, and the hash of its file. NotFound when there is none."""
        if _SHA256.fullmatch(target.lower()):
            return None, target.lower()
        job = self._store.get(target)
        if not job.item.sha256:
            raise UsageError(
                Say(f"任务 {job.id} 没有密封件", f"nothing was sealed for job {job.id}"),
                Say("写文件的 SHA-256", "give the SHA-256 of the file"),
            )
        return job, job.item.sha256


def open_refused(entry: Entry, job: Job, by: str, why: Say) -> Mapping[str, Any]:
    """Open the incident of an approval that the law forbids, where its job has none; return what the event says."""
    if any(one.step is not Step.CLOSED for one in entry.records(INCIDENTS, RecordFilter(job=job.id))):
        return {}
    at = entry.moment
    made = incident.opened(new_id(at), Cause.REFUSED, by=by, at=at, what=why.zh, job=job)
    entry.put(INCIDENTS, made)
    return {"incident": made.id, "due": _iso(made.due)}


def late(store: SqliteStore, now: float) -> tuple[tuple[Incident, ...], tuple[Incident, ...], int]:
    """Return what should have been reported, what should have been mended, and how many incidents are open."""
    still = store.records(INCIDENTS, RecordFilter(states=OPEN))
    return (*incident.overdue(still, now), len(still))


def doing() -> dict[Operation, Doing]:
    """Return what is done once a second person has confirmed it."""
    return {Operation.INCIDENT_CLOSE: _close, Operation.INCIDENT_UNFREEZE: _unfreeze}


def _close(entry: Entry, change: Change) -> Incident:
    one = _found(entry, change.subject)
    made = incident.closed(one, by=change.by, second=change.second, at=entry.moment, note=change.reason)
    return _written(entry, made, change.by, "incident-closed", {"second": change.second})


def _unfreeze(entry: Entry, change: Change) -> Freeze:
    before = _freeze(entry.find(FREEZES, change.subject), change.subject)
    made: Freeze = evolve(
        before,
        version=before.version + 1,
        active=False,
        lifted_by=change.by,
        second=change.second,
        lifted_at=entry.moment,
    )
    entry.put(FREEZES, made)
    body = {"sha256": made.id, "second": change.second, "incident": made.incident}
    entry.append(change.by, "unfrozen", "", body)
    return made


def _freeze(found: Freeze | None, sha256: str) -> Freeze:
    if found is None or not found.active:
        raise NotFound(Say(f"文件没有冻结：{sha256[:16]}", f"this file is not frozen: {sha256[:16]}"))
    return found


def _found(entry: Entry, id: str) -> Incident:  # noqa: A002  as above
    one = entry.find(INCIDENTS, id)
    if one is None:
        raise NotFound(Say(f"没有事件 {id}", f"there is no incident {id}"))
    return one


def _written(entry: Entry, made: Incident, by: str, kind: str, body: dict[str, Any]) -> Incident:
    entry.put(INCIDENTS, made)
    entry.append(by, kind, made.job, {"incident": made.id, **body})
    return made


# the report form


def draft(config: Config, one: Incident, custody: Custody, now: float) -> bytes:
    """Return the report form of an incident: what the books know; nothing of the content of a file."""
    from dlp.service import paper  # noqa: PLC0415  the library that writes Word files is loaded where one is written

    page = paper.sheet("泄密事件报告表", unit=config.site.unit, moment=_iso(now))
    paper.grid(page, tuple(_form(config, one, custody)), widths=(4.0, 12.0))
    paper.line(page, "", size=9)
    paper.line(
        page, f"依据：{incident.ARTICLE}。本表由文印闸按台账生成，须核对、补充后签字；不得填写涉密内容。", size=9
    )
    paper.line(page, SIGNED)
    return paper.bytes_of(page)


def _form(config: Config, one: Incident, custody: Custody) -> Iterator[tuple[str, str]]:
    marks = _once(f.masked for job in custody.jobs for f in job.findings if f.mark is not None)
    level = one.level.value if one.level else "待定"
    yield "事件编号", one.id
    yield "发现时间", _local(one.found)
    due = f"（未报告，最迟 {_local(one.due)}）"
    told = f"{_local(one.reported_at)}，{one.reported_to} {one.receipt}".strip()
    yield "报告时间（24小时内）", told if one.reported_at else due
    yield "单位", config.site.unit
    yield "载体/内容概述（不含涉密内容）", _carrier(one, custody)
    yield "密级", f"{level}（标志：{'、'.join(marks)}）" if marks else level
    yield "数量", f"文件 {max(1, len(custody.jobs))} 件，复制件 {len(custody.copies)} 份"
    yield "经过", _story(one, custody)
    yield "知悉人员", "、".join(_knowing(one, custody)) or "待核查"
    yield "已采取措施", "；".join(_measures(custody)) or "待填"
    yield "责任人", "、".join(_once(job.item.owner for job in custody.jobs if job.item.owner)) or "待核查"
    tasks = (
        f"{t.number}. {t.what}（{t.owner}，{_local(t.due)}前{'，已完成' if t.done_at else ''}）" for t in one.tasks
    )
    yield "后续", "\n".join(tasks) or "待填"


def _carrier(one: Incident, custody: Custody) -> str:
    size = next((f"，{job.item.size:,} 字节" for job in custody.jobs), "")
    name = one.title or "（未指明文件）"
    return f"电子文件：{name}{size}；SHA-256 {one.sha256 or '—'}"


def _story(one: Incident, custody: Custody) -> str:
    rows = [f"{_local(one.at)} {one.by} 立案：{incident.CAUSES[one.cause].zh}。{one.what}".rstrip()]
    rows += [
        f"{_local(job.created)} 由 {job.item.source} {job.item.owner} 送检，任务 {job.id}，{STATES[job.state].zh}"
        for job in custody.jobs
    ]
    rows += [f"{_local(done.at)} {done.by} {incident.STEPS[done.step].zh}：{done.note}" for done in one.steps[1:]]
    rows += [f"{_local(done.at)} {done.by} 记录：{done.note}" for done in one.notes]
    return "\n".join(rows)


def _knowing(one: Incident, custody: Custody) -> tuple[str, ...]:
    holders = (copy.holder for copy in custody.copies if copy.holder)
    owners = (job.item.owner for job in custody.jobs if job.item.owner)
    people = (one.by,) if one.by != incident.GATE else ()
    return _once((*owners, *custody.seen_by, *holders, *people))


def _measures(custody: Custody) -> Iterator[str]:
    for event in custody.events:
        said = _MEASURES.get(event.kind)
        if said is not None:
            yield f"{_local(_seconds(event.at))} {said}"


_MEASURES = {
    "withheld": "停止读取，暂扣",
    "handed-back": "原件退还，本机未留存",
    "blocked": "拦截",
    "stopped-release": "停止放行",
    "frozen": "冻结文件",
    "unfrozen": "解除冻结",
    "handed-over": "移交",
}


def _facts(job: Job) -> dict[str, Any]:
    """Return what a job is: nothing of its content."""
    item = job.item
    return {
        "job": job.id,
        "name": item.name,
        "source": item.source,
        "owner": item.owner,
        "size": item.size,
        "sha256": item.sha256,
        "outgoing": job.outgoing,
        "state": job.state.value,
        "received": _iso(job.created),
        "updated": _iso(job.updated),
        "verdict": msgspec.to_builtins(job.verdict),
    }


def _findings(job: Job) -> list[dict[str, Any]]:
    """Return what was found in a job, masked."""
    return [
        {
            "rule": found.rule,
            "name": found.name,
            "level": found.level.value if found.level else None,
            "masked": found.masked,
            "part": list(found.part),
            "page": found.page,
        }
        for found in job.findings
    ]


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1)


def _once(words: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
