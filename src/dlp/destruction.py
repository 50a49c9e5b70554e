"""A destruction list: what is on it, who counted, approved and witnessed it, and the receipt of who destroyed it.

Drawn up -> approved by two persons -> handed over against a receipt, witnessed by two more -> erased: only then are
sealed bytes destroyed and copies called destroyed. Pure: a list and a moment in, a new list or a `Denial` out.

Sources: 保守国家秘密法实施条例 (2024-09-01) article 28; 中心保密工作制度 article 11: no department and no single
person destroys anything.
"""

from __future__ import annotations

from enum import Enum

from dlp.model import Frozen, Level, Regime, Say, State, evolve
from dlp.rights import CENTRE, RULES_2024, Denial, Person, Why
from dlp.store.record import Columns, Kind

WITNESSES = 2
"""监销人: different natural persons."""
CARRIERS = 2
"""押运人."""
METHODS = ("送销", "碎纸", "消磁")
DESTROYABLE = (State.BLOCKED, State.REJECTED, State.REDACTED, State.FAILED)
"""A job here has ended and its sealed copy is kept; of a held one somebody still has to decide."""
_ARTICLE = f"{RULES_2024}第二十八条；{CENTRE}第十一条"


class Stage(Enum):
    """Where a list is."""

    DRAWN = "drawn"
    APPROVED = "approved"
    HANDED = "handed-over"
    ERASED = "erased"
    WITHDRAWN = "withdrawn"


STAGES: dict[Stage, Say] = {
    Stage.DRAWN: Say("待批准", "waits for its approval"),
    Stage.APPROVED: Say("已批准，待送销", "approved, to be handed over"),
    Stage.HANDED: Say("已送销，待销案", "handed over, to be erased"),
    Stage.ERASED: Say("已销毁", "destroyed"),
    Stage.WITHDRAWN: Say("已撤回", "withdrawn"),
}


class Piece(Frozen, frozen=True, kw_only=True):
    """One thing on a list: a paper copy, or the sealed file of a job. Its hash stays when it is gone."""

    copy: str = ""
    """Id of the paper copy; empty for the sealed file."""
    job: str
    title: str
    """As it is shown: any hit in it masked."""
    number: str = ""
    """份号, e.g. `2/3`."""
    level: Level | None = None
    regime: Regime | None = None
    pages: int | None = None
    unit: str = ""
    sha256: str
    """Of the file."""

    @property
    def carrier(self) -> Say:
        """Return what kind of thing it is."""
        return Say("纸质", "paper") if self.copy else Say("密封电子件", "sealed file")


class Witness(Frozen, frozen=True, kw_only=True):
    """One who saw that it was destroyed."""

    person: str
    natural: str
    name: str
    at: float


class Destruction(Frozen, frozen=True, kw_only=True):
    """One list. Moments are seconds since the epoch, 0 for what has not been."""

    id: str
    version: int = 1
    stage: Stage = Stage.DRAWN
    pieces: tuple[Piece, ...]
    reason: str
    method: str
    drawn_by: str
    drawn_name: str
    drawn_natural: str
    at: float
    approved_by: tuple[Witness, ...] = ()
    """The two who approved it, each with his moment."""
    witnesses: tuple[Witness, ...] = ()
    receipt: str = ""
    carriers: tuple[str, ...] = ()
    destroyer: str = ""
    """销毁单位."""
    place: str = ""
    handed_by: str = ""
    handed_at: float = 0.0
    """When it was handed over, as the receipt says."""
    erased_by: tuple[str, ...] = ()
    erased_at: float = 0.0
    note: str = ""
    """Why it was withdrawn."""


DESTRUCTIONS = Kind("destruction", Destruction, lambda one: Columns(state=one.stage.value, who=one.drawn_by, at=one.at))


class End(Enum):
    """How far the sealed file of a job is towards its end."""

    LISTED = "listed"
    ERASING = "erasing"
    """The word was given; whoever finds its bytes destroys them."""
    ERASED = "erased"


class Sealed(Frozen, frozen=True, kw_only=True):
    """The sealed file of a job that stands on a list; `id` is the job."""

    id: str
    version: int = 1
    list: str
    sha256: str
    end: End = End.LISTED
    at: float


SEALED = Kind("destroyed-file", Sealed, lambda one: Columns(state=one.end.value, job=one.id, who=one.list, at=one.at))


def draw_up(
    id: str,  # noqa: A002  the field's name
    pieces: tuple[Piece, ...],
    *,
    reason: str,
    method: str,
    by: Person,
    at: float,
) -> Destruction | Denial:
    """Return a new list; nothing on it twice, with a reason and one of `METHODS`."""
    names = [piece.copy or piece.job for piece in pieces]
    if not pieces or len(set(names)) != len(names):
        return _no(
            id,
            Say("没有列入任何载体，或重复列入", "nothing is on it, or something twice"),
            Say("核对清点", "count again"),
        )
    if not reason.strip() or method not in METHODS:
        said = Say("须写明销毁原因和方式", "it needs a reason and a method")
        return _no(id, said, Say(f"方式：{'、'.join(METHODS)}", f"methods: {', '.join(METHODS)}"))
    return Destruction(
        id=id,
        pieces=pieces,
        reason=reason.strip(),
        method=method,
        drawn_by=by.id,
        drawn_name=by.name,
        drawn_natural=by.natural,
        at=at,
    )


def fit_to_approve(one: Destruction, person: Person) -> Denial | None:
    """Return why somebody may not be one of the two who approve a list: not open, or he drew it up."""
    return _not_in(one, Stage.DRAWN) or _drew(one, person)


def approve(one: Destruction, first: Person, second: Person, *, at: float, asked_at: float) -> Destruction | Denial:
    """Return a list that two persons approved, neither of whom drew it up."""
    no = fit_to_approve(one, first) or fit_to_approve(one, second)
    if no is not None:
        return no
    if first.natural == second.natural:
        return _no(one.id, Say("批准须两人", "two persons approve it"), Say("请另一人确认", "ask another person"))
    signed = tuple(
        Witness(person=who.id, natural=who.natural, name=who.name, at=moment)
        for who, moment in ((first, asked_at), (second, at))
    )
    return _next(one, stage=Stage.APPROVED, approved_by=signed)


def witness(one: Destruction, person: Person, *, at: float) -> Destruction | Denial:
    """Return a list with one witness more: neither who drew it up, nor who approved it, nor the same person twice."""
    no = _not_in(one, Stage.APPROVED, Stage.HANDED) or _drew(one, person)
    if no is not None:
        return no
    if person.natural in {word.natural for word in one.approved_by}:
        said = Say(f"{person.name} 批准了这份清单，不得监销", f"{person.name} approved it and is no witness")
        return _no(one.id, said, Say("由未经手的人监销", "somebody else witnesses"), why=Why.SAME_PERSON)
    if person.natural in {word.natural for word in one.witnesses}:
        said = Say(f"{person.name} 已监销签字，须由第二人", f"{person.name} has witnessed it; it takes a second person")
        return _no(one.id, said, Say("由另一人监销", "another person witnesses"), why=Why.SAME_PERSON)
    word = Witness(person=person.id, natural=person.natural, name=person.name, at=at)
    return _next(one, witnesses=(*one.witnesses, word))


def hand_over(
    one: Destruction,
    *,
    receipt: str,
    carriers: tuple[str, ...],
    destroyer: str,
    place: str,
    handed_at: float,
    by: str,
    at: float,
) -> Destruction | Denial:
    """Return a list that left: with the number of the receipt, two carriers, and who destroys it."""
    no = _not_in(one, Stage.APPROVED)
    if no is not None:
        return no
    names = tuple(dict.fromkeys(name.strip() for name in carriers if name.strip()))
    if len(names) < CARRIERS:
        said = Say("押运须二人以上", "two persons carry it")
        return _no(one.id, said, Say("写明两名押运人", "name both"), why=Why.INCOMPLETE)
    if not receipt.strip() or not destroyer.strip():
        said = Say("须写明回执号和销毁单位", "it needs the number of the receipt and who destroys it")
        return _no(one.id, said, Say("按回执填写", "as the receipt says"), why=Why.INCOMPLETE)
    approved_at = max(word.at for word in one.approved_by)
    if not approved_at <= handed_at <= at:
        said = Say("送销时间须在批准之后、现在之前", "it was handed over after its approval and before now")
        return _no(one.id, said, Say("按回执填写时间", "give the time of the receipt"), why=Why.CLOCK)
    return _next(
        one,
        stage=Stage.HANDED,
        receipt=receipt.strip(),
        carriers=names,
        destroyer=destroyer.strip(),
        place=place.strip(),
        handed_by=by,
        handed_at=handed_at,
    )


def fit_to_erase(one: Destruction) -> Denial | None:
    """Return why a list cannot be erased now: not approved, no receipt, or fewer than two witnesses."""
    no = _not_in(one, Stage.HANDED)
    if no is not None:
        return no
    if len({word.natural for word in one.approved_by}) < 2:
        return _no(
            one.id, Say("没有两人批准", "two persons did not approve it"), Say("停止办理", "stop"), why=Why.BROKEN
        )
    if len({word.natural for word in one.witnesses}) < WITNESSES:
        said = Say(f"监销人只有 {len(one.witnesses)} 名，须二人", f"{len(one.witnesses)} witnesses, and it takes two")
        return _no(one.id, said, Say("用 dlp destroy witness 签字", "sign with `dlp destroy witness`"), why=Why.WAITING)
    return None


def erase(one: Destruction, *, by: tuple[str, ...], at: float) -> Destruction | Denial:
    """Return a list whose end is certain: what is on it may be destroyed here."""
    no = fit_to_erase(one)
    return no if no is not None else _next(one, stage=Stage.ERASED, erased_by=by, erased_at=at)


def withdraw(one: Destruction, *, reason: str) -> Destruction | Denial:
    """Return a list that was taken back before anything left."""
    no = _not_in(one, Stage.DRAWN, Stage.APPROVED)
    if no is not None:
        return no
    if not reason.strip():
        return _no(
            one.id, Say("须写明撤回理由", "a reason is required"), Say("写明理由", "give one"), why=Why.NO_REASON
        )
    return _next(one, stage=Stage.WITHDRAWN, note=reason.strip())


def _next(one: Destruction, **changes: object) -> Destruction:
    return evolve(one, version=one.version + 1, **changes)  # type: ignore[no-any-return]


def _not_in(one: Destruction, *wanted: Stage) -> Denial | None:
    if one.stage in wanted:
        return None
    due = "或".join(STAGES[stage].zh for stage in wanted), " or ".join(STAGES[stage].en for stage in wanted)
    state = STAGES[one.stage]
    said = Say(
        f"现为“{state.zh}”，此事只在“{due[0]}”时办理", f"it {_is(state.en)}; this is done while it {_is(due[1])}"
    )
    return _no(one.id, said, Say("用 dlp destroy show 查看", "see `dlp destroy show`"), why=Why.WAITING)


def _is(state: str) -> str:
    return state if state.startswith("waits") else f"is {state}"


def _drew(one: Destruction, person: Person) -> Denial | None:
    if person.natural != one.drawn_natural:
        return None
    said = Say(
        f"{person.name} 编制了这份清单，不得自己批准或监销",
        f"{person.name} drew it up and neither approves nor witnesses it",
    )
    return _no(one.id, said, Say("由他人办理", "to be done by somebody else"), why=Why.SAME_PERSON)


def _no(id: str, what: Say, hint: Say, *, why: Why = Why.INCOMPLETE) -> Denial:  # noqa: A002  as above
    say = Say(f"销毁清单 {id}：{what.zh}", f"destruction list {id}: {what.en}")
    return Denial(why=why, say=say, hint=hint, article=_ARTICLE)
