"""Pages: templates that escape everything by themselves, and what each of them may use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import jinja2
from starlette.responses import HTMLResponse

from dlp.model import Say
from dlp.rights import ROLES, Operation
from dlp.web.counters import counter
from dlp.web.visit import Stranger, Visit


class Way(NamedTuple):
    """One entry of the menu: where it leads, what it is called, and a right without which it leads nowhere."""

    to: str
    say: Say
    needs: tuple[Operation, ...]


WAYS = (
    Way("/jobs", Say("任务", "Jobs"), (Operation.JOB_LIST,)),
    Way("/review", Say("研判", "Review"), (Operation.EVIDENCE_VIEW,)),
    Way("/cases", Say("审批", "Approvals"), (Operation.APPROVAL_SHOW,)),
    Way("/registers", Say("登记簿", "Registers"), (Operation.REGISTER_READ,)),
    Way("/destroy", Say("销毁", "Destruction"), (Operation.DESTROY_LIST, Operation.DESTROY_WITNESS)),
    Way("/incidents", Say("泄密事件", "Incidents"), (Operation.INCIDENT_OPEN,)),
    Way("/packs", Say("规则", "Rules"), (Operation.PACK_STATS, Operation.PACK_DRAFT)),
    Way("/audit", Say("审计", "Audit"), (Operation.AUDIT_READ, Operation.AUDIT_VERIFY)),
    Way("/reports", Say("报告", "Reports"), (Operation.REPORT_READ,)),
    Way("/waiting", Say("待确认", "To confirm"), (Operation.PASSWORD_CHANGE,)),
    Way("/people", Say("人员", "People"), (Operation.ACCOUNT_LIST,)),
    Way("/system", Say("系统", "System"), (Operation.HEALTH_READ,)),
)
"""The menu, in the order in which it is shown."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("dlp.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def leaf(about: Stranger, name: str, /, status: int = 200, **words: Any) -> HTMLResponse:
    """Return a page made from a template. What it is given is shown as text, whatever stands in it."""
    return HTMLResponse(text(about, name, **words), status)


def text(about: Stranger, name: str, /, **words: Any) -> str:
    """Return what a template makes."""
    return _TEMPLATES.get_template(name).render(**_common(about), **words)


def ways(about: Visit) -> tuple[Way, ...]:
    """Return the entries of the menu that lead somewhere for whoever asks."""
    return tuple(way for way in WAYS if any(about.may(operation) for operation in way.needs))


def _common(about: Stranger) -> Mapping[str, Any]:
    language = about.language
    return {
        "about": about,
        "lang": language,
        "t": about.tr,
        "say": lambda said: said.to(language) if said is not None else "",
        "day": _day,
        "moment": _moment,
        "local": _local,
        "ago": lambda at: _ago(at, language),
        "roles": lambda given: "、".join(ROLES[role].to(language) for role in given),
        "ways": ways(about) if isinstance(about, Visit) else (),
        "op": Operation,
        "counter": counter(about.config),
        "site": about.config.site,
        "csrf": about.csrf,
        "here": about.request.url.path,
    }


def _moment(at: float) -> str:
    """Return a moment in the time zone of this machine, to the second; a dash for none."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}" if at else "—"


def _local(stamp: str) -> str:
    """Return the moment of an event in the time zone of this machine; as it is where it is none any more."""
    try:
        return f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return stamp


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d}" if at else "—"


def _ago(at: float, language: str) -> str:
    seconds = max(0, int(time.time() - at))
    for size, zh, en in ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= size:
            return f"{seconds // size} {zh}" if language == "zh" else f"{seconds // size} {en}"
    return f"{seconds} 秒" if language == "zh" else f"{seconds} s"
