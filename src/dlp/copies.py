"""One paper copy of a file, from the printer to where it ends: picked up, given back, destroyed.

Each copy that an approval lets go has its own number (份号) and its own row; registers are views of these rows. How
many were approved, printed, given back and destroyed is counted from them, never typed.

Sources: 保守国家秘密法实施条例 (2024-09-01) articles 27 (5), 28 and 29; 中心保密工作制度 articles 7, 10 and 11;
文印中心保密规章制度.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from dlp.model import Frozen, Level, Regime, Say, evolve
from dlp.rights import CENTRE, PRINT_ROOM, RULES_2024, Denial, Person, Why
from dlp.store.record import Columns, Kind

MOST_SPOILT = 100_000


class CopyState(Enum):
    """Where a copy is."""

    MADE = "made"
    """Printed, and not picked up."""
    OUT = "out"
    RETURNED = "returned"
    LISTED = "listed"
    """On a list of what is to be destroyed."""
    DESTROYED = "destroyed"
    VOID = "void"
    """Cleared, and never came out of the printer; somebody looked."""


STATES: dict[CopyState, Say] = {
    CopyState.MADE: Say("待领取", "to be picked up"),
    CopyState.OUT: Say("借出", "out"),
    CopyState.RETURNED: Say("已清退", "given back"),
    CopyState.LISTED: Say("待销毁", "to be destroyed"),
    CopyState.DESTROYED: Say("已销毁", "destroyed"),
    CopyState.VOID: Say("未印出", "never printed"),
}


class Copy(Frozen, frozen=True, kw_only=True):
    """One copy. Moments are seconds since the epoch, 0 for what has not been."""

    id: str
    version: int = 1
    job: str
    case: str
    number: int
    """份号, from 1."""
    total: int
    title: str
    """As it is shown: any hit in it masked."""
    pages: int | None = None
    level: Level | None = None
    regime: Regime | None = None
    term: str = ""
    organ: str = ""
    consent_no: str = ""
    purpose: str = ""
    recipients: tuple[str, ...] = ()
    unit: str = ""
    requester: str = ""
    approved_by: tuple[str, ...] = ()
    operator: str = ""
    at: float
    due: float = 0.0
    """When it must be back."""
    state: CopyState = CopyState.MADE
    holder: str = ""
    """Who has it, or had it last."""
    carriers: tuple[str, ...] = ()
    """Who picked it up in his place, or as the second person."""
    authority: str = ""
    """What a proxy showed."""
    handed_at: float = 0.0
    handed_by: str = ""
    supervisor: str = ""
    """监印人: who watched over the printing, and is not the operator."""
    spoilt: int = 0
    """废页数: pages that came out spoilt beside this copy."""
    spoilt_how: str = ""
    """What became of them."""
    paper: str = ""
    """纸张, as the job asked for it."""
    returned_at: float = 0.0
    returned_by: str = ""
    received_by: str = ""
    list: str = ""
    """Of the destruction that it went into."""
    destroyed_at: float = 0.0
    note: str = ""
    """Why it is void."""


COPIES = Kind(
    "copy",
    Copy,
    lambda one: Columns(
        state=one.state.value,
        job=one.job,
        who=one.holder or one.unit,
        due=one.due if one.state in (CopyState.MADE, CopyState.OUT) else 0.0,
        at=one.at,
    ),
)


class Printed(NamedTuple):
    """What whoever hands a copy out knows of its printing; fields as in `Copy`."""

    supervisor: str = ""
    spoilt: int = 0
    spoilt_how: str = ""


AS_IT_SHOULD = Printed()
"""Nobody watched, nothing was spoilt."""


def copy_id(job: str, number: int) -> str:
    """Return what a copy is called: the job and the number of the copy."""
    return f"{job}-{number:03d}"


def hand_out(
    copy: Copy,
    holder: str,
    *,
    by: Person,
    at: float,
    carriers: tuple[str, ...] = (),
    authority: str = "",
    printed: Printed = AS_IT_SHOULD,
) -> Copy | Denial:
    """Return a copy that was picked up by one of those it was made for, or by a proxy who showed on what authority.

    绝密 is carried by two persons (实施条例 article 29). Whoever watched over the printing is not who printed; of
    spoilt pages it is said what became of them.
    """
    if copy.state is not CopyState.MADE:
        return _not_there(copy, Say("不是待领取", "it does not wait to be picked up"))
    if holder not in copy.recipients:
        return _denial(
            copy,
            Say(f"{holder} 不在批准的去向之内", f"{holder} is not among those it was approved for"),
            Say(f"只能交给：{'、'.join(copy.recipients)}", f"it goes to: {', '.join(copy.recipients)}"),
            f"{CENTRE}第七条",
        )
    if carriers and not authority.strip():
        return _denial(
            copy,
            Say("代领没有写明专人授权", "a proxy has to show on what authority he comes"),
            Say("写明授权凭据", "name what he showed"),
            f"{CENTRE}第七条",
        )
    if copy.level is Level.TOP_SECRET and len({*carriers, holder}) < 2:
        return _denial(
            copy,
            Say("绝密件须二人以上取送", "two persons carry a copy of this level"),
            Say("写明同行的第二人", "name the second person"),
            f"{RULES_2024}第二十九条第二项",
        )
    supervisor, how = printed.supervisor.strip(), printed.spoilt_how.strip()
    if supervisor and supervisor in (by.id, by.name):
        return _denial(
            copy,
            Say(f"监印人 {supervisor} 就是文印员", f"{supervisor} printed it and does not watch over it"),
            Say("监印须另一人", "another person watches over the printing"),
            f"{PRINT_ROOM}五",
        )
    if not 0 <= printed.spoilt <= MOST_SPOILT or bool(printed.spoilt) != bool(how):
        return _denial(
            copy,
            Say("废页数与处理须一并写明", "how many pages were spoilt and what became of them go together"),
            Say("如：废页 2 页，碎纸", "e.g. 2 pages, shredded"),
            f"{PRINT_ROOM}五",
        )
    return evolve(  # type: ignore[no-any-return]
        copy,
        version=copy.version + 1,
        state=CopyState.OUT,
        holder=holder,
        carriers=carriers,
        authority=authority.strip(),
        handed_at=at,
        handed_by=by.id,
        supervisor=supervisor,
        spoilt=printed.spoilt,
        spoilt_how=how,
    )


def strike(copy: Copy, *, reason: str) -> Copy | Denial:
    """Return a copy that was cleared and never printed, as somebody found who looked. It counts no more."""
    if copy.state is not CopyState.MADE:
        return _not_there(copy, Say("不是待领取", "it does not wait to be picked up"))
    return evolve(copy, version=copy.version + 1, state=CopyState.VOID, note=reason.strip())  # type: ignore[no-any-return]


def enlist(copy: Copy, to: str) -> Copy | Denial:
    """Return a copy that was put on the destruction list `to`; only what came back is."""
    if copy.state is not CopyState.RETURNED:
        return _not_there(copy, Say("尚未清退，不能列入销毁清单", "it was not given back and goes on no list"))
    return evolve(copy, version=copy.version + 1, state=CopyState.LISTED, list=to)  # type: ignore[no-any-return]


def unlist(copy: Copy) -> Copy:
    """Return a copy whose destruction list was taken back."""
    return evolve(copy, version=copy.version + 1, state=CopyState.RETURNED, list="")  # type: ignore[no-any-return]


def destroy(copy: Copy, to: str, *, at: float) -> Copy | Denial:
    """Return a copy that was destroyed with the list `to`, which it must stand on."""
    if copy.state is not CopyState.LISTED or copy.list != to:
        return _not_there(copy, Say("不在这份销毁清单上", "it is not on this destruction list"))
    return evolve(copy, version=copy.version + 1, state=CopyState.DESTROYED, destroyed_at=at)  # type: ignore[no-any-return]


def give_back(copy: Copy, *, by: str, received_by: str, at: float) -> Copy | Denial:
    """Return a copy that came back, or that nobody ever picked up."""
    if copy.state not in (CopyState.MADE, CopyState.OUT):
        return _not_there(copy, Say("不在外", "it is not out"))
    return evolve(  # type: ignore[no-any-return]
        copy,
        version=copy.version + 1,
        state=CopyState.RETURNED,
        returned_at=at,
        returned_by=by,
        received_by=received_by,
    )


class Account(NamedTuple):
    """How many copies of a job are where; `approved` and `printed` come from elsewhere."""

    approved: int
    printed: int
    made: int
    out: int
    returned: int
    """Given back, and not destroyed since."""
    destroyed: int

    @property
    def open(self) -> int:
        """Return how many copies are neither back nor destroyed."""
        return self.printed - self.returned - self.destroyed

    @property
    def differs(self) -> bool:
        """Tell whether the numbers contradict one another: more printed than approved, or rows that do not add up."""
        there = self.made + self.out + self.returned + self.destroyed
        return self.printed > self.approved or there != self.printed


def count(copies: Iterable[Copy], *, approved: int, printed: int) -> Account:
    """Count the copies of one job."""
    states = [copy.state for copy in copies]
    return Account(
        approved=approved,
        printed=printed,
        made=states.count(CopyState.MADE),
        out=states.count(CopyState.OUT),
        returned=states.count(CopyState.RETURNED) + states.count(CopyState.LISTED),
        destroyed=states.count(CopyState.DESTROYED),
    )


def _not_there(copy: Copy, what: Say) -> Denial:
    state = STATES[copy.state]
    return _denial(
        copy,
        Say(f"{what.zh}（现为“{state.zh}”）", f"{what.en} (it is {state.en})"),
        Say("用 dlp registers copies 查看", "see `dlp registers copies`"),
        f"{CENTRE}第十一条",
    )


def _denial(copy: Copy, what: Say, hint: Say, article: str) -> Denial:
    say = Say(f"任务 {copy.job} 第 {copy.number} 份：{what.zh}", f"copy {copy.number} of job {copy.job}: {what.en}")
    return Denial(why=Why.COPIES, say=say, hint=hint, article=article)
