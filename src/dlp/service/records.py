"""Values as JSON objects: the machine contract of commands and programs. Keys are stable; new ones may be added."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from dlp import approval
from dlp.account import Account, Session
from dlp.approval import Case, CaseState
from dlp.commissions import Order
from dlp.copies import Copy
from dlp.description import NAMES, Description
from dlp.destruction import Destruction, Witness
from dlp.incident import Incident, Taken
from dlp.ladder import Step
from dlp.model import Finding, Gap, Inspection, Mark, Outcome, Reason, Verdict
from dlp.request import duties, weigh
from dlp.review import Label, Review
from dlp.service.second import Change
from dlp.service.speaking import language
from dlp.service.trail import Verification
from dlp.stocktake import Found, Stocktake
from dlp.store import Job


def inspection(seen: Inspection) -> dict[str, Any]:
    """Return one line of `dlp scan --json`."""
    verdict = seen.verdict
    return {
        "path": seen.item.path,
        "sha256": seen.item.sha256,
        "size": seen.item.size,
        "media": seen.document.media,
        "pages": seen.document.pages,
        **_verdict(verdict),
        "findings": [finding(found) for found in seen.findings],
        "gaps": [gap(missed) for missed in seen.gaps],
        "coverage": [
            {"part": list(page.part), "page": page.page, "how": page.how, "quality": round(page.quality, 3)}
            for page in seen.document.coverage
        ],
        "packs": verdict.packs,
        "ms": {
            "extract": round(seen.ms.extract, 1),
            "match": round(seen.ms.match, 1),
            "total": round(seen.ms.total, 1),
        },
    }


def finding(found: Finding) -> dict[str, Any]:
    """Return a finding. Offsets are characters of the segment that holds the hit, in the original text."""
    first = found.slices[0] if found.slices else None
    row: dict[str, Any] = {
        "rule": found.rule,
        "pack": found.pack,
        "name": found.name,
        "type": found.type,
        "category": found.category,
        "severity": found.severity.value,
        "level": found.level.value if found.level else None,
        "regime": found.regime.value if found.regime else None,
        "confidence": round(found.confidence, 3),
        "count": found.count,
        "masked": found.masked,
        "start": first.start if first else None,
        "end": first.end if first else None,
        "part": list(found.part),
        "zone": found.zone.value,
        "page": found.page,
        "boxes": [
            {"page": b.page, **{key: round(getattr(b, key), 1) for key in ("x0", "y0", "x1", "y1")}}
            for b in found.boxes
        ],
        "why": list(found.why),
        "references": [reference.text for reference in found.references],
    }
    if found.exempt:
        row["exempt"] = found.exempt
    if found.mark is not None:
        row["mark"] = _mark(found.mark)
    return row


def gap(missed: Gap) -> dict[str, Any]:
    """Return a gap."""
    return {"part": list(missed.part), "kind": missed.kind.value, "detail": missed.detail, "page": missed.page}


def reason(given: Reason) -> dict[str, Any]:
    """Return a reason in the chosen language."""
    return {
        "clause": given.clause,
        "text": given.say.to(language()),
        "article": given.article,
        "findings": list(given.findings),
        "action": given.action.value,
    }


def job(held: Job, *, whole: bool) -> dict[str, Any]:
    """Return a job of the desk; `whole` adds findings and gaps."""
    item = held.item
    row: dict[str, Any] = {
        "id": held.id,
        "name": item.name,
        "path": item.path,
        "state": held.state.value,
        **(_verdict(held.verdict) if held.verdict else {"action": None, "level": None, "regime": None, "reasons": []}),
        "source": item.source,
        "owner": item.owner,
        "size": item.size,
        "sha256": item.sha256,
        "media": item.media,
        "received": moment(held.created),
        "updated": moment(held.updated),
        "note": held.note.to(language()) if held.note else None,
        "coverage": held.coverage.to(language()) if held.coverage else None,
    }
    if whole:
        row["findings"] = [finding(found) for found in held.findings]
        row["gaps"] = [gap(missed) for missed in held.gaps]
        row["certificate"] = json.loads(held.certificate) if held.certificate else None
    return row


def account(one: Account) -> dict[str, Any]:
    """Return an account; nothing of its password."""
    return {
        "account": one.id,
        "name": one.name,
        "number": one.natural,
        "unit": one.unit,
        "post": one.post,
        "roles": [role.value for role in one.roles],
        "active": one.active,
        "until": moment(one.until) if one.until else None,
        "locked_until": moment(one.locked_until) if one.locked_until else None,
        "made": moment(one.at),
    }


def token(one: Session) -> dict[str, Any]:
    """Return a program's token as the books know it; nothing of the token itself."""
    return {
        "id": one.id,
        "name": one.name,
        "account": one.account,
        "scope": [scope.value for scope in one.scope or ()],
        "made": moment(one.at),
        "until": moment(one.until),
    }


def change(one: Change) -> dict[str, Any]:
    """Return what waits for a second person, or waited."""
    return {
        "id": one.id,
        "operation": one.operation.value,
        "subject": one.subject,
        "words": one.words,
        "reason": one.reason,
        "by": one.by,
        "second": one.second or None,
        "state": one.state,
        "at": moment(one.at),
        "until": moment(one.until),
    }


def review(one: Review) -> dict[str, Any]:
    """Return what people made of a job."""
    hold, made = one.legal_hold, one.decided
    return {
        "id": one.id,
        "version": one.version,
        "claimed_by": one.claimed_by or None,
        "claimed_until": moment(one.claimed_until) if one.claimed_until else None,
        "legal_hold": {"by": hold.by, "at": moment(hold.at), "reason": hold.text} if hold else None,
        "keep_until": moment(one.keep_until) if one.keep_until else None,
        "decided": {
            "level": made.level.value if made.level else None,
            "regime": made.regime.value if made.regime else None,
            "basis": made.basis,
            "reason": made.reason,
            "by": made.by,
            "at": moment(made.at),
        }
        if made
        else None,
        "remarks": [{"by": said.by, "at": moment(said.at), "text": said.text} for said in one.remarks],
    }


def label(one: Label) -> dict[str, Any]:
    """Return what a reviewer said of a hit; nothing of the hit itself."""
    return {
        "job": one.job,
        "finding": one.finding or None,
        "rule": one.rule,
        "packs": one.packs,
        "ruling": one.ruling.value,
        "reason": one.reason,
        "by": one.by,
        "at": moment(one.at),
    }


def case(one: Case, now: CaseState) -> dict[str, Any]:
    """Return an approval as it stands now."""
    asked, weight, binds = one.request, weigh(one.request), approval.binding(one)
    return {
        "case": one.id,
        "job": asked.job,
        "sha256": asked.sha256,
        "state": now.value,
        "version": one.version,
        "level": weight.level.value if weight.level else None,
        "copies": asked.copies,
        "left": approval.remaining(one),
        "purpose": asked.purpose,
        "recipients": [msgspec.to_builtins(recipient) for recipient in asked.recipients],
        "return_by": moment(asked.return_by) if asked.return_by else None,
        "consent_no": asked.consent_no,
        "organ": asked.organ,
        "requester": asked.requester,
        "unit": asked.unit,
        "made": moment(asked.made_at),
        "until": moment(approval.expires(one)),
        "duties": [duty.value for duty in duties(asked)],
        "binding": binds.request if binds else None,
        "steps": [_step(one, step) for step in one.steps],
        "cleared": [{"number": given.number, "copies": given.copies, "at": moment(given.at)} for given in one.cleared],
    }


def incident(one: Incident, now: float) -> dict[str, Any]:
    """Return an incident as it stands now."""
    left = one.hours_left(now)
    return {
        "incident": one.id,
        "step": one.step.value,
        "cause": one.cause.value,
        "by": one.by,
        "at": moment(one.at),
        "found": moment(one.found),
        "report_by": moment(one.due),
        "hours_left": round(left, 2) if left is not None else None,
        "reported": moment(one.reported_at) if one.reported_at else None,
        "reported_to": one.reported_to or None,
        "receipt": one.receipt or None,
        "level": one.level.value if one.level else None,
        "job": one.job or None,
        "sha256": one.sha256 or None,
        "name": one.title or None,
        "what": one.what,
        "steps": [_taken(taken) for taken in one.steps],
        "notes": [_taken(taken) for taken in one.notes],
        "tasks": [
            {
                "number": task.number,
                "what": task.what,
                "owner": task.owner,
                "due": moment(task.due),
                "done": moment(task.done_at) if task.done_at else None,
                "done_by": task.done_by or None,
            }
            for task in one.tasks
        ],
        "version": one.version,
    }


def _taken(taken: Taken) -> dict[str, Any]:
    return {"step": taken.step.value, "by": taken.by, "at": moment(taken.at), "note": taken.note}


def _step(one: Case, step: Step) -> dict[str, Any]:
    signed = [word for word in one.signatures if word.binds.step == step.name]
    return {
        "step": step.name,
        "text": step.say.to(language()),
        "roles": [role.value for role in step.roles],
        "persons": step.persons,
        "article": step.article,
        "signed": [
            {
                "account": word.person,
                "name": word.name,
                "role": word.role.value,
                "decision": word.decision.value,
                "reason": word.reason,
                "at": moment(word.at),
            }
            for word in signed
        ],
    }


def copy(one: Copy) -> dict[str, Any]:
    """Return one paper copy."""
    return {
        "copy": one.id,
        "job": one.job,
        "case": one.case,
        "number": one.number,
        "total": one.total,
        "title": one.title,
        "pages": one.pages,
        "paper": one.paper or None,
        "level": one.level.value if one.level else None,
        "state": one.state.value,
        "recipients": list(one.recipients),
        "unit": one.unit,
        "holder": one.holder or None,
        "carriers": list(one.carriers),
        "authority": one.authority or None,
        "made": moment(one.at),
        "due": _moment(one.due),
        "handed": _moment(one.handed_at),
        "handed_by": one.handed_by or None,
        "supervisor": one.supervisor or None,
        "spoilt": one.spoilt,
        "spoilt_how": one.spoilt_how or None,
        "returned": _moment(one.returned_at),
        "returned_by": one.returned_by or None,
        "received_by": one.received_by or None,
        "list": one.list or None,
        "destroyed": _moment(one.destroyed_at),
    }


def description(one: Description) -> dict[str, Any]:
    """Return what is written down of a file."""
    return {
        "job": one.id,
        "version": one.version,
        **{name: getattr(one, name) or None for name in NAMES},
        "by": one.by,
        "at": moment(one.at),
    }


def stocktake(one: Stocktake) -> dict[str, Any]:
    """Return a count and every line of it."""
    return {
        "stocktake": one.id,
        "by": one.by,
        "at": moment(one.at),
        "unit": one.unit or None,
        "place": one.place or None,
        "note": one.note or None,
        "read": one.read,
        "differs": one.differs,
        **{found.value: one.number(found) for found in Found},
        "lines": [
            {
                "copy": line.copy,
                "found": line.found.value,
                "state": line.state.value if line.state else None,
                "holder": line.holder or None,
                "due": _moment(line.due),
            }
            for line in one.lines
        ],
    }


def order(one: Order) -> dict[str, Any]:
    """Return what an operator wrote down: a commission to print, or a meeting file."""
    return {
        "order": one.id,
        "what": one.what.value,
        "job": one.job or None,
        "title": one.title,
        "client": one.client,
        "person": one.person,
        "quantity": one.quantity,
        "contract": one.contract,
        "doc_no": one.doc_no or None,
        "term": one.term or None,
        "level": one.level.value if one.level else None,
        "unit": one.unit,
        "due": _moment(one.due),
        "by": one.by,
        "at": moment(one.at),
        "finished": one.finished,
        "waste": one.waste,
        "returned": one.returned,
        "done": _moment(one.done_at),
        "done_by": one.done_by or None,
    }


def destruction(one: Destruction) -> dict[str, Any]:
    """Return a destruction list."""
    return {
        "list": one.id,
        "stage": one.stage.value,
        "version": one.version,
        "reason": one.reason,
        "method": one.method,
        "drawn_by": one.drawn_by,
        "at": moment(one.at),
        "approved_by": [_witness(word) for word in one.approved_by],
        "witnesses": [_witness(word) for word in one.witnesses],
        "receipt": one.receipt or None,
        "carriers": list(one.carriers),
        "destroyer": one.destroyer or None,
        "place": one.place or None,
        "handed": _moment(one.handed_at),
        "erased": _moment(one.erased_at),
        "pieces": [
            {
                "copy": piece.copy or None,
                "job": piece.job,
                "title": piece.title,
                "number": piece.number or None,
                "level": piece.level.value if piece.level else None,
                "sha256": piece.sha256,
            }
            for piece in one.pieces
        ],
    }


def _witness(word: Witness) -> dict[str, Any]:
    return {"account": word.person, "name": word.name, "at": moment(word.at)}


def outcome(done: Outcome) -> dict[str, Any]:
    """Return a settled job as the running gate tells it."""
    return {
        "id": done.item.id,
        "name": done.item.name,
        "path": done.item.path,
        "source": done.item.source,
        "state": done.state.value,
        **_verdict(done.verdict),
        "note": done.note.to(language()) if done.note else None,
    }


def moment(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(seconds: float) -> str | None:
    return moment(seconds) if seconds else None


def _verdict(verdict: Verdict) -> dict[str, Any]:
    row = {
        "action": verdict.action.value,
        "level": verdict.level.value if verdict.level else None,
        "regime": verdict.regime.value if verdict.regime else None,
        "reasons": [reason(given) for given in verdict.reasons],
    }
    if verdict.shadowed is not None:
        row["shadowed"] = verdict.shadowed.value
    return row


def _mark(mark: Mark) -> dict[str, Any]:
    return {
        "level": mark.level.value if mark.level else None,
        "regime": mark.regime.value if mark.regime else None,
        "term": mark.term,
        "issues": list(mark.issues),
    }


def verification(seen: Verification) -> dict[str, Any]:
    """Return what a verification of the trail saw."""
    report, lang = seen.report, language()
    return {
        "ok": seen.holds,
        "count": report.count,
        "head": report.head,
        "broken_at": seen.broken_at,
        "sealed": report.sealed,
        "keyed": list(report.keyed),
        "checkpoints": len(seen.checkpoints),
        "faults": [{"wrong": one.wrong.value, "at": one.at or None, "text": one.say.to(lang)} for one in seen.faults],
    }
