"""A made-up office for tests: its people, and requests that lack nothing."""

from __future__ import annotations

from typing import Any

from dlp.ladder import House
from dlp.model import Level, Regime
from dlp.request import Recipient, Request
from dlp.rights import Person, Role
from dlp.site import Site

SHA = "ab" * 32
OTHER_SHA = "cd" * 32
START = 1_700_000_000.0
HOUR = 3_600.0
GRADE_A = Site(unit="某某中心", qualification="甲级", province="浙江", system="绝密")
GRADE_B = Site(unit="某某中心", qualification="乙级", province="浙江", system="绝密")
PLAIN = Site(unit="某某中心")
NO_HOUSE = House()


def person(name: str, *roles: Role, natural: str = "", unit: str = "一处", active: bool = True) -> Person:
    """Return an account; the natural person behind it is one of its own unless another is named."""
    return Person(id=name, name=name, roles=roles, unit=unit, active=active, natural=natural or f"n-{name}")


CLERK = person("clerk", Role.OPERATOR)
OFFICER = person("officer", Role.REVIEWER)
CLASSIFIER = person("classifier", Role.CLASSIFIER)
HEAD = person("head", Role.DEPARTMENT_HEAD)
SECRETARY = person("secretary", Role.SECRETARIAT_HEAD, unit="秘书处")
CHIEF = person("chief", Role.LEADER, unit="中心领导")


def request(level: Level | None, regime: Regime | None, **changes: Any) -> Request:
    """Return a request of the clerk for two copies that lacks nothing; `changes` are the fields a test is about."""
    fields: dict[str, Any] = {
        "job": "01JOB",
        "sha256": SHA,
        "level": level,
        "regime": regime,
        "copies": 2,
        "purpose": "会议使用",
        "recipients": (Recipient(name="王某"),),
        "return_by": START + 20 * HOUR,
        "consent_no": "某发〔2026〕3号",
        "organ": "某某厅",
        "province": "浙江省",
        "requester": CLERK.id,
        "natural": CLERK.natural,
        "unit": "一处",
        "made_at": START,
    }
    return Request(**{**fields, **changes})
