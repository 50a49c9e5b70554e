"""Which signatures a request needs: by level, regime, and who is to know.

Pure: no clock, no store. The built-in ladder is that of the regulations. A site may add steps (`House`); nothing here
takes one away.

Sources: 中心保密工作制度 articles 4 to 14; 廉租房管理服务中心保密制度 articles 11 and 13; 保守国家秘密法 (2024-05-01)
articles 21, 35, 64; its 实施条例 (2024-09-01) articles 25, 27, 29, 42.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from dlp.model import Frozen, Level, Regime, Say, evolve
from dlp.refusals import Refusal, refuse
from dlp.request import AT_ONCE_HOURS, HOUR, Circle, Request, Weight, is_at_once, is_ended, weigh
from dlp.rights import APPROVERS, CENTRE, LAW_2024, PRINT_ROOM, ROLES, RULES_2024, SIGNERS, Role, names
from dlp.site import Site


class Step(Frozen, frozen=True, kw_only=True):
    """One rung: who may sign it, how many persons, what they sign for."""

    name: str
    say: Say
    roles: tuple[Role, ...]
    persons: int = 1
    article: str = ""
    again: bool = False
    """True where somebody who signed another step may sign this one too: another question to the same authority."""
    unit: str = ""
    """Whose head signs, where a head of department does; empty: of any unit."""


class HouseStep(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step that this site adds; it stands beside the built-in ones and never in place of one."""

    name: str
    say: str
    """What is signed for, in Chinese; English in `say_en`."""
    say_en: str = ""
    roles: tuple[Role, ...]
    persons: Annotated[int, Meta(ge=1, le=5)] = 1
    unit: str = ""
    """Whose head signs, where a head of department does; empty: of any unit."""
    again: bool = False
    article: str = ""
    level_at_least: Level | None = None
    regime: tuple[Regime, ...] = ()
    """Which requests it is for; nothing named means all."""


class House(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a site adds to the ladder."""

    valid_hours: Annotated[int, Meta(ge=0, le=720)] = 0
    """How long an approval holds at most; 0: as the level says. It shortens only."""
    steps: tuple[HouseStep, ...] = ()


REVIEW = Step(
    name="review",
    say=Say("保密审查", "security review"),
    roles=(Role.REVIEWER,),
    article=f"{PRINT_ROOM}五",
)
CLASSIFY = Step(
    name="classify",
    say=Say("定密审核：是谁的秘密、什么级别", "classification: whose secret it is, and of which level"),
    roles=(Role.CLASSIFIER,),
    article=f"{CENTRE}第八条；{RULES_2024}第二十五条",
)
DEPARTMENT = Step(
    name="department",
    say=Say("部门负责人批准", "approval by the head of department"),
    roles=APPROVERS,
    article=f"{CENTRE}第四条",
)
SIGNATURE = Step(
    name="signature",
    say=Say("秘密级：登记签字", "秘密: entered in the register and signed"),
    roles=APPROVERS,
    article=f"{CENTRE}第十条；{RULES_2024}第二十七条第五项",
)
SECRETARIAT = Step(
    name="secretariat",
    say=Say("秘书处负责人批准", "approval by the head of the secretariat"),
    roles=(Role.SECRETARIAT_HEAD,),
    article=f"{CENTRE}第十条",
)
OWN_SECRET = Step(
    name="own-secret",
    say=Say("秘书处负责人批准（本单位秘密）", "approval by the head of the secretariat (a secret of this unit)"),
    roles=(Role.SECRETARIAT_HEAD,),
    article=f"{CENTRE}第十三条、第十四条；《廉租房管理服务中心保密制度》第十一条",
)
CO_SIGNATURE = Step(
    name="co-signature",
    say=Say("绝密级会签：第二人", "绝密: the second person's signature"),
    roles=(Role.SECRETARIAT_HEAD, Role.LEADER),
    article=f"{RULES_2024}第二十九条",
)
LEADER = Step(
    name="leader",
    say=Say("分管领导批准", "approval by the leader in charge"),
    roles=(Role.LEADER,),
    article=f"{CENTRE}第十条",
)
WIDEN = Step(
    name="widen",
    say=Say("扩大知悉范围", "to widen the circle of those who may know"),
    roles=(Role.LEADER,),
    article=f"{CENTRE}第六条；{LAW_2024}第二十一条",
    again=True,
)
PROVIDE = Step(
    name="provide",
    say=Say("对外提供", "to provide it to a third party"),
    roles=(Role.LEADER,),
    article="《廉租房管理服务中心保密制度》第十三条",
    again=True,
)
DECLASSIFIED = Step(
    name="declassified",
    say=Say("已确认期满：提供前保密审查", "its term is confirmed to be over: review before it is given out"),
    roles=(Role.SECRETARIAT_HEAD,),
    article=f"{LAW_2024}第三十五条；{RULES_2024}第四十二条",
    again=True,
)
BUILT_IN = (
    REVIEW,
    CLASSIFY,
    DEPARTMENT,
    SIGNATURE,
    SECRETARIAT,
    OWN_SECRET,
    CO_SIGNATURE,
    LEADER,
    WIDEN,
    PROVIDE,
    DECLASSIFIED,
)

LADDER: dict[Level, tuple[Step, ...]] = {
    Level.SENSITIVE: (DEPARTMENT,),
    Level.SECRET: (SIGNATURE,),
    Level.CONFIDENTIAL: (SECRETARIAT,),
    Level.TOP_SECRET: (CO_SIGNATURE, LEADER),
}
"""The ladder of the regulations. Below 敏感信息 the security officer's review is enough."""

OWNED = frozenset({Regime.COMMERCIAL, Regime.FOREIGN, Regime.PERSONAL})
"""Regimes whose secrets nobody but their owner's management lets out: 秘密 goes to the secretariat as 机密 does."""

VALID_HOURS: dict[Level, int] = {Level.TOP_SECRET: 24, Level.CONFIDENTIAL: 72, Level.SECRET: 168}
MOST_VALID_HOURS = 720
"""How long an approval holds at most; of the product, the law names no number."""


def route(request: Request, site: Site, house: House) -> tuple[Step, ...] | Refusal:
    """Return the steps that a request needs, in the order in which they are signed, or why nobody may approve it."""
    refused = refuse(request, weigh(request), site)
    return steps(request, house) if refused is None else refused


def steps(request: Request, house: House) -> tuple[Step, ...]:
    """Return the steps alone, whatever the request still lacks: for whoever is about to ask."""
    weight = weigh(request)
    added = (_added(number, step) for number, step in enumerate(house.steps) if _is_for(step, weight))
    return tuple(sorted((*dict.fromkeys(_own(request, weight)), *added), key=_rank))


def valid_seconds(request: Request, house: House) -> float:
    """Return how long an approval of a request holds, counted from its first signature."""
    weight = weigh(request)
    hours = VALID_HOURS.get(weight.level, MOST_VALID_HOURS) if weight.level is not None else MOST_VALID_HOURS
    if is_at_once(request, weight):
        hours = min(hours, AT_ONCE_HOURS)
    if house.valid_hours:
        hours = min(hours, house.valid_hours)
    return hours * HOUR


def faults(house: House) -> Iterator[tuple[tuple[str | int, ...], Say]]:
    """Give every house step that is none, would stand in place of a built-in one, or could never be signed."""
    built_in = {step.name for step in BUILT_IN}
    taken: set[str] = set()
    for number, step in enumerate(house.steps):
        at = ("steps", number)
        if step.name in built_in:
            yield (
                (*at, "name"),
                Say(f"“{step.name}”是内置环节，只可增加，不可取代", f"{step.name} is built in: steps are only added"),
            )
        elif not step.name.strip() or step.name in taken:
            yield (*at, "name"), Say(f"名称为空或重复：{step.name}", f"empty or taken: {step.name}")
        taken.add(step.name)
        if not step.say.strip():
            yield (*at, "say"), Say("没有写明签什么", "what is signed for is missing")
        strangers = [role for role in step.roles if role not in SIGNERS]
        if not step.roles or strangers:
            who = "、".join(ROLES[role].zh for role in strangers)
            yield (
                (*at, "roles"),
                Say(
                    f"只有{names(SIGNERS).zh}可以签字：{who or '未写角色'}",
                    f"only these sign: {names(SIGNERS).en}",
                ),
            )
        elif len(set(step.roles)) != len(step.roles):
            yield (*at, "roles"), Say("角色重复", "a role is named twice")


def _own(request: Request, weight: Weight) -> Iterator[Step]:
    """Give the steps that the regulations ask for."""
    level, regimes, state, disputed = weight
    secret = level is not None and level >= Level.SECRET
    if is_ended(request):
        yield from (REVIEW, DECLASSIFIED)
    elif disputed or (secret and not regimes):
        yield CLASSIFY
    if level is None or level < Level.SENSITIVE:
        yield REVIEW
    elif level is Level.SECRET and not state and (not regimes or regimes & OWNED):
        yield OWN_SECRET
    else:
        yield from (evolve(step, unit=request.unit) for step in LADDER[level])
    circles = {recipient.circle for recipient in request.recipients}
    if secret and Circle.WIDER in circles:
        yield WIDEN
    if secret and Circle.OUTSIDE in circles:
        yield PROVIDE


def _added(number: int, step: HouseStep) -> Step:
    # Numbered as well: names decide whose signature a step has, and no two may be the same, whatever was configured.
    return Step(
        name=f"house-{number + 1}:{step.name}",
        say=Say(step.say, step.say_en or step.say),
        roles=step.roles,
        persons=step.persons,
        article=step.article,
        again=step.again,
        unit=step.unit,
    )


def _is_for(step: HouseStep, weight: Weight) -> bool:
    if step.regime and not weight.regimes.intersection(step.regime):
        return False
    return step.level_at_least is None or (weight.level is not None and weight.level >= step.level_at_least)


def _rank(step: Step) -> int:
    """Return the place of a step: by the lowest of its roles, and last where nobody could sign it."""
    return min((SIGNERS.index(role) for role in step.roles if role in SIGNERS), default=len(SIGNERS))
