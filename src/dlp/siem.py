"""Audit events as other systems read them: JSON lines, CEF (ArcSight) and OCSF 1.8.0, one event a line.

No value can end its line, begin another, or be read as a formula where a line is pasted into a sheet. JSON lines can be
verified again; CEF and OCSF are for looking at, and carry sequence and hash so that each can be found in the trail.
OCSF: verdicts are Data Security Findings (2006), start and stop Application Lifecycle (6002), the rest is API Activity
(6003).
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from dlp import __version__
from dlp.audit import AuditEvent

OCSF_VERSION = "1.8.0"
PRODUCT = {"name": "文印闸 wenyin-gate", "vendor_name": "wenyin-gate", "version": __version__}
FINDING, LIFECYCLE, API = 2006, 6002, 6003
OTHER = 99
_FINDINGS = {
    "decided": 1,
    "escaped": 1,
    "held": 2,
    "doubt": 2,
    "blocked": 2,
    "withheld": 2,
    "failed": 2,
    "redacted": 3,
    "rejected": 3,
}
"""Kind of event -> activity of a finding: create, update, close."""
_REVIEW = {
    "decided": 1,
    "escaped": 1,
    "held": 2,
    "doubt": 2,
    "failed": 2,
    "blocked": 4,
    "withheld": 2,
    "redacted": 4,
    "rejected": 4,
}
"""Kind of event -> where its finding stands: new, in progress, resolved."""
_LIFECYCLES = {"started": 3, "stopped": 4, "reloaded": 8, "reload-refused": 8}
_CALLS = {
    "taking": 1,
    "audit-key": 1,
    "checkpoint": 1,
    "seen": 2,
    "sealed": 3,
    "decided": 3,
    "announced": 3,
    "announced-anew": 3,
    "releasing": 3,
    "released": 3,
    "stopping": 3,
    "stopped-release": 3,
    "handed-back": 3,
    "cancel-asked": 3,
    "cancelled": 3,
    "double": 3,
    "destroyed": 4,
}
"""Kind of event -> activity of a call: create, read, update, delete."""
_FAILURES = frozenset(
    {
        *("refused", "retake", "reload-refused", "receipt-failed", "no-source", "missing"),
        *("checkpoint-failed", "backup-failed", "notice-failed"),
    }
)
_SEVERITIES = {
    "blocked": 4,
    "withheld": 5,
    "stopped-release": 4,
    "held": 3,
    "doubt": 3,
    "failed": 4,
    "missing": 5,
    "escaped": 5,
    "audit-key": 3,
    "checkpoint-failed": 3,
    "refused": 2,
    "receipt-failed": 2,
    "reload-refused": 2,
    "seen": 2,
}
_BY_ACTION = {"alert": 2, "redact": 3, "quarantine": 3, "block": 4}
_CEF_SEVERITIES = {1: 1, 2: 3, 3: 5, 4: 8, 5: 10}
_CONFIDENTIALITY = {"公开": 1, "秘密": 2, "机密": 3, "绝密": 4}
"""Level -> Not Confidential, Confidential, Secret, Top Secret; others go by their own name."""
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
"""Characters that break a line somewhere, or that a reader does not see."""


def jsonl(event: AuditEvent) -> str:
    """Return an event as one JSON object; read back, it verifies."""
    return _json(event)


def cef(event: AuditEvent) -> str:
    """Return an event in the Common Event Format, version 0."""
    severity = str(_CEF_SEVERITIES[_severity(event)])
    head = ("wenyin-gate", "wenyin-gate", __version__, event.kind, event.kind, severity)
    body = event.body
    fields = {
        "rt": str(_milliseconds(event.at)),
        "externalId": str(event.seq),
        "suser": event.actor,
        "dvchost": _host(),
        "act": body.get("action"),
        "outcome": body.get("state"),
        "fname": body.get("path"),
        "fsize": body.get("size"),
        "fileHash": body.get("sha256"),
        "reason": body.get("reason"),
    }
    own = {"job": event.job, "level": body.get("level"), "hash": event.hash, "body": _json(body)}
    for number, (label, one) in enumerate(own.items(), 1):
        if one:
            fields |= {f"cs{number}Label": label, f"cs{number}": str(one)}
    extension = " ".join(f"{name}={_value(str(one))}" for name, one in fields.items() if one not in (None, ""))
    return f"CEF:0|{'|'.join(_word(str(one)) for one in head)}|{extension}"


def ocsf(event: AuditEvent) -> str:
    """Return an event as one OCSF object."""
    return _json(as_ocsf(event))


def as_ocsf(event: AuditEvent) -> dict[str, Any]:
    """Return an event as the values of its OCSF class."""
    kind, action = event.kind, event.body.get("action")
    if kind in _FINDINGS and not (kind == "decided" and action == "allow"):
        return {**_common(event, FINDING, _FINDINGS[kind]), **_finding(event)}
    if kind in _LIFECYCLES:
        return {**_common(event, LIFECYCLE, _LIFECYCLES[kind]), "app": PRODUCT, "status_id": _outcome(kind)}
    call = {
        "api": {"operation": kind, "service": {"name": PRODUCT["name"]}},
        "actor": _actor(event.actor),
        "src_endpoint": {"name": _host(), "hostname": _host()},
        "resources": [{"uid": event.job, "type": "job"}] if event.job else [],
        "status_id": _outcome(kind),
    }
    return {**_common(event, API, _CALLS.get(kind, OTHER)), **call}


def _common(event: AuditEvent, kind: int, activity: int) -> dict[str, Any]:
    """Return what every class asks for."""
    return {
        "class_uid": kind,
        "category_uid": kind // 1000,
        "activity_id": activity,
        **({"activity_name": event.kind} if activity == OTHER else {}),
        "type_uid": kind * 100 + activity,
        "time": _milliseconds(event.at),
        "severity_id": _severity(event),
        "message": event.kind,
        "metadata": {
            "version": OCSF_VERSION,
            "product": PRODUCT,
            "uid": event.hash,
            "sequence": event.seq,
            "event_code": event.kind,
            "log_name": "audit",
            "original_time": event.at,
        },
        "unmapped": {"job": event.job, "body": event.body, "prev": event.prev, "mac": event.mac},
    }


def _finding(event: AuditEvent) -> dict[str, Any]:
    level, policy = event.body.get("level"), event.body.get("policy")
    named = _CONFIDENTIALITY.get(level, OTHER) if isinstance(level, str) else 0
    secrecy: dict[str, Any] = {
        "confidentiality_id": named,
        "detection_system_id": 2,  # a DLP gateway
        "data_lifecycle_state_id": 2,  # in transit
        "policy": {"uid": policy if isinstance(policy, str) and policy else "unknown"},
    }
    if named == OTHER:
        secrecy["confidentiality"] = level
    return {
        "finding_info": {"uid": event.job or str(event.seq), "title": event.kind},
        "data_security": secrecy,
        "actor": _actor(event.actor),
        "status_id": _REVIEW[event.kind],
        "is_alert": _FINDINGS[event.kind] == 1,
    }


def _actor(name: str) -> dict[str, Any]:
    return {"app_name": PRODUCT["name"]} if name == "gate" else {"user": {"name": name}}


def _outcome(kind: str) -> int:
    return 2 if kind in _FAILURES else 1


def _severity(event: AuditEvent) -> int:
    if event.kind == "decided":
        return _BY_ACTION.get(str(event.body.get("action")), 1)
    return _SEVERITIES.get(event.kind, 1)


def _milliseconds(at: str) -> int:
    """Return a time as milliseconds since the epoch; 0 for what is none any more: an export does not judge."""
    try:
        return round(datetime.fromisoformat(at).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        return 0


@functools.cache
def _host() -> str:
    return platform.node() or "localhost"


def _json(value: Any) -> str:
    text = msgspec.json.encode(value, order="deterministic").decode()
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _word(text: str) -> str:
    """Return a field of the head of a CEF line."""
    return _shown(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    """Return a value of the extension of a CEF line."""
    return _shown(text).replace("\\", "\\\\").replace("=", "\\=")


def _shown(text: str) -> str:
    """Return a text whose odd characters are spelled out, and that no sheet takes for a formula."""
    plain = _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)
    return f"'{plain}" if plain[:1] in ("=", "+", "-", "@") else plain


FORMATS: dict[str, Callable[[AuditEvent], str]] = {"jsonl": jsonl, "cef": cef, "ocsf": ocsf}
