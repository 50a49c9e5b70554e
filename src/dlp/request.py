"""What somebody asks for, what it weighs, and what whoever carries it out owes.

A request never changes: signatures bind all of it. Its level is the one that the review confirmed; where opinions
differ, the highest counts until the matter is decided (实施条例 article 26), and where nobody knows,
the worst of the regime.

Sources: 中心保密工作制度 articles 7 and 11; 保守国家秘密法实施条例 (2024-09-01) articles 20, 26, 27 (5), 29.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from dlp.model import Frozen, Level, Regime
from dlp.terms import Confirmation, Ruling

HOUR = 3_600.0
"""Seconds, as every moment and span here."""

AT_ONCE = ("cn.restricted.central-issuer", "cn.restricted.province-issuer", "cn.restricted.army-issuer", "telegram")
"""What is read on the spot and given back (随阅随退) whatever its level: 中心保密工作制度 article 7."""

AT_ONCE_HOURS = 24

UNKNOWN: dict[Regime, Level] = {
    Regime.STATE: Level.TOP_SECRET,
    Regime.EXAM: Level.TOP_SECRET,
    Regime.COMMERCIAL: Level.SECRET,
    Regime.FOREIGN: Level.SECRET,
    Regime.WORK: Level.SENSITIVE,
    Regime.PERSONAL: Level.SENSITIVE,
}
"""What a regime weighs where nobody named a level; without a regime, nothing."""


class Circle(Enum):
    """Where a recipient stands to the circle of those who may know (知悉范围)."""

    WITHIN = "within"
    WIDER = "wider"
    """Not named yet, but of this unit or another organ: the circle has to be widened."""
    OUTSIDE = "outside"
    """A third party: a customer, a partner, the public."""


class Recipient(Frozen, frozen=True, kw_only=True):
    """One who is to get a copy or to see the file."""

    name: str
    unit: str = ""
    circle: Circle = Circle.WITHIN
    agreement: str = ""
    """Number of the non-disclosure agreement of a third party."""


class Claim(Frozen, frozen=True, kw_only=True):
    """One opinion on a level, where opinions differ."""

    level: Level | None = None
    regime: Regime | None = None
    by: str = ""


class Request(Frozen, frozen=True, kw_only=True):
    """What somebody asks for. Everything that a signature binds is in it, so it never changes: ask anew instead."""

    job: str
    sha256: str
    """Of the sealed file, 64 hexadecimal digits."""
    level: Level | None
    """As the review confirmed it; None where there is no mark."""
    regime: Regime | None
    claims: tuple[Claim, ...] = ()
    """Other opinions; the highest counts while the matter is open."""
    classes: tuple[str, ...] = ()
    """Rules of document classes that were found, and `telegram`: some are read and given back at once."""
    ended: Confirmation | None = None
    """The confirmed end of the term of its mark."""
    copies: int
    """How many leave; 0 is to read it here (借阅), and nothing leaves."""
    purpose: str
    recipients: tuple[Recipient, ...]
    return_by: float | None = None
    """When every copy must be back."""
    consent_no: str = ""
    """Number under which the issuing organ agreed to the copies."""
    organ: str = ""
    province: str = ""
    """Of the issuing organ."""
    requester: str
    """Account."""
    natural: str
    """The natural person behind that account."""
    unit: str
    """处, 科 or 窗口 of the requester: its own head signs for it."""
    applicant: str = ""
    """The natural person for whom it is asked, where that is another one; he signs nothing either."""
    made_at: float


class Duty(Enum):
    """What whoever carries out an approval owes."""

    REGISTER = "register"
    """登记: an entry in the register of copies."""
    STAMP = "stamp"
    """复制件戳记, and the copy is kept as the original is."""
    NUMBER = "number"
    """份号: each copy has its own number."""
    RECORD_VIEWERS = "record-viewers"
    """知悉记录: who saw it is written down, reviewers too."""
    GIVE_BACK = "give-back"
    """清退: every copy comes back by the day named."""
    AT_ONCE = "at-once"
    """随阅随退: read in the place named and given back the same day."""
    TWO_PERSONS = "two-persons"
    """双人: two persons are present, and two carry it."""


class Weight(NamedTuple):
    """What a request weighs once every opinion is heard."""

    level: Level | None
    regimes: frozenset[Regime]
    state: bool
    """A state secret, or held to be one until the contrary is certain."""
    disputed: bool


def weigh(request: Request) -> Weight:
    """Return level and regime of a request after every claim: the highest counts, and an unknown one counts highest."""
    claims = (Claim(level=request.level, regime=request.regime), *request.claims)
    regimes = frozenset(c.regime for c in claims if c.regime is not None)
    named = {c.level for c in claims if c.level is not None}
    disputed = len(named) > 1 or len(regimes) > 1
    # Each opinion for itself: a low level that somebody names says nothing of the one that another left open.
    left_open = {UNKNOWN[c.regime] for c in claims if c.level is None and c.regime is not None}
    level = max(named | left_open, default=None)
    if is_ended(request):
        left = regimes - {Regime.STATE, Regime.EXAM}
        return Weight(level if left else None, left, state=False, disputed=disputed)
    exam = Regime.EXAM in regimes and level is not None and level >= Level.SECRET
    state = Regime.STATE in regimes or exam
    if state:
        level = max(level or Level.TOP_SECRET, Level.SECRET)
    return Weight(level, regimes, state=state, disputed=disputed)


def duties(request: Request) -> tuple[Duty, ...]:
    """Return what whoever prints, hands out or shows the file owes."""
    weight = weigh(request)
    level = weight.level
    owed = [Duty.REGISTER]
    if weight.state and request.copies:
        owed += [Duty.STAMP, Duty.NUMBER]
    if level is not None and level >= Level.CONFIDENTIAL:
        owed.append(Duty.RECORD_VIEWERS)
    if request.return_by is not None:
        owed.append(Duty.GIVE_BACK)
    if is_at_once(request, weight):
        owed.append(Duty.AT_ONCE)
    if level is Level.TOP_SECRET:
        owed.append(Duty.TWO_PERSONS)
    return tuple(owed)


def is_ended(request: Request) -> bool:
    """Tell whether a person has confirmed that the term of its mark is over, and nobody claims that it is not."""
    word = request.ended
    if word is None or word.ruling is not Ruling.ENDED or not speaks_of(word, request):
        return False
    return not any(claim.regime in (Regime.STATE, Regime.EXAM) for claim in request.claims)


def speaks_of(word: Confirmation, request: Request) -> bool:
    """Tell whether a confirmation is about the file that is asked for."""
    return (word.job, word.sha256) == (request.job, request.sha256)


def is_at_once(request: Request, weight: Weight) -> bool:
    """Tell whether it is read on the spot and given back the same day."""
    return (weight.state and weight.level is Level.TOP_SECRET) or any(c in AT_ONCE for c in request.classes)
