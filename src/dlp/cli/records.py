"""Values as JSON objects: the machine contract of the command line. Keys are stable; new ones may be added."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from dlp.cli.faces import language
from dlp.model import Finding, Gap, Inspection, Mark, Outcome, Reason, Verdict
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
    }
    if whole:
        row["findings"] = [finding(found) for found in held.findings]
        row["gaps"] = [gap(missed) for missed in held.gaps]
        row["certificate"] = json.loads(held.certificate) if held.certificate else None
    return row


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
