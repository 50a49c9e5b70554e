"""One approval: who signed which step of it, whether it holds, and the clearance it gives.

Pure and total: a value and a moment in, a new value or a `Denial` out. A signature binds the whole request, its steps
and how long they hold, and with them file hash and number of copies. `clear` believes nothing that it is given: it
goes through every signature again and asks the ladder of today, so a row that was edited, a qualification that was
lost, or a step that was added since gives no clearance.

The clock may be set back: nothing is signed or cleared at a moment before the last signature.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from dlp.ladder import House, Step, route, valid_seconds
from dlp.model import Frozen, Say, evolve
from dlp.refusals import Refusal
from dlp.request import HOUR, Duty, Request, duties
from dlp.rights import CENTRE, Denial, Operation, Person, Role, Why, check, names, same
from dlp.site import Site

WAITING_HOURS = 720
"""How long a request waits for its first signature."""


class Decision(Enum):
    """What somebody says to a step."""

    APPROVE = "approve"
    REJECT = "reject"


class Binding(Frozen, frozen=True, kw_only=True):
    """What a signature is good for: this file, this many copies, this step of this case, and nothing else."""

    sha256: str
    copies: int
    step: str
    case: str
    request: str
    """`sha256:...` over the whole request, its steps, and how long they hold."""


class Signature(Frozen, frozen=True, kw_only=True):
    """One word of one person."""

    person: str
    """Account."""
    natural: str
    name: str
    unit: str
    role: Role
    """The role in which it was given; the person held it at that moment."""
    decision: Decision
    reason: str = ""
    at: float
    binds: Binding


class Clearance(Frozen, frozen=True, kw_only=True):
    """What may be done on an approval: so many copies of this file until then. It is used once."""

    case: str
    job: str
    sha256: str
    copies: int
    """0: it may be read here, and nothing leaves."""
    number: int
    """Of this clearance within its case, from 1."""
    at: float
    expires: float
    signatures: str
    """`sha256:...` over the signatures it stands on."""
    duties: tuple[Duty, ...] = ()


class Case(Frozen, frozen=True, kw_only=True):
    """A request on its way up the ladder."""

    id: str
    request: Request
    steps: tuple[Step, ...]
    valid_seconds: float
    """How long it holds, counted from the first signature."""
    signatures: tuple[Signature, ...] = ()
    cleared: tuple[Clearance, ...] = ()
    version: int = 1


class CaseState(Enum):
    """Where a case stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    SPENT = "spent"
    """Every copy was cleared."""
    REJECTED = "rejected"
    EXPIRED = "expired"


class Cleared(NamedTuple):
    """A clearance and the case that knows of it; both are written in one transaction, or neither."""

    case: Case
    clearance: Clearance


def open_case(
    id: str,  # noqa: A002  the field's name
    request: Request,
    site: Site,
    house: House,
    now: float,
) -> Case | Denial:
    """Return the case of a request with the steps it needs, or why there can be none (`Refusal`)."""
    steps = route(request, site, house)
    if isinstance(steps, Refusal):
        return steps
    case = Case(id=id, request=request, steps=steps, valid_seconds=valid_seconds(request, house))
    return _set_back(case, now) or case


def pending(case: Case) -> Step | None:
    """Return the step that waits for a signature; None when every step has its own."""
    return next((step for step in case.steps if len(_approvals(case, step)) < step.persons), None)


def binding(case: Case) -> Binding | None:
    """Return what the next signature binds: hand it to whoever is to sign, and back with his word."""
    step = pending(case)
    if step is None:
        return None
    whole = (case.id, case.request, case.steps, case.valid_seconds)
    return Binding(
        sha256=case.request.sha256,
        copies=case.request.copies,
        step=step.name,
        case=case.id,
        request=_digest(whole),
    )


def expires(case: Case) -> float:
    """Return the moment from which a case is worth nothing: counted from its first signature, never past the return."""
    end = case.request.made_at + WAITING_HOURS * HOUR
    if case.signatures:
        end = case.signatures[0].at + case.valid_seconds
    return end if case.request.return_by is None else min(end, case.request.return_by)


def remaining(case: Case) -> int:
    """Return how many copies are approved and not cleared yet."""
    return case.request.copies - sum(clearance.copies for clearance in case.cleared)


def state(case: Case, now: float) -> CaseState:
    """Return where a case stands at a moment; the caller answers for that moment, `sign` and `clear` look at it."""
    if any(s.decision is Decision.REJECT for s in case.signatures):
        return CaseState.REJECTED
    if pending(case) is None and case.request.copies and remaining(case) <= 0:
        return CaseState.SPENT
    if now >= expires(case):
        return CaseState.EXPIRED
    return CaseState.WAITING if pending(case) is not None else CaseState.APPROVED


def fits(step: Step, person: Person) -> bool:
    """Tell whether somebody holds a role in which he signs a step."""
    own = step.unit in ("", person.unit)
    return any(role in step.roles and (own or role is not Role.DEPARTMENT_HEAD) for role in person.roles)


def sign(
    case: Case,
    signer: Person,
    decision: Decision,
    now: float,
    *,
    role: Role,
    binds: Binding,
    reason: str = "",
) -> Case | Denial:
    """Return the case with one word more, or why this person cannot give it now.

    `signer` is the account as it is at this moment: a role that was taken away does not count. `binds` is what he was
    shown (`binding`).
    """
    step = pending(case)
    refused = _over(case, now, CaseState.WAITING) or _set_back(case, now) or check(signer, Operation.APPROVAL_SIGN)
    if refused is not None:
        return refused
    if step is None:  # a case without a step is no case; `_over` has said so
        return _broken(case)
    refused = _no_role(case, step, signer, role) or _same(case, step, signer) or _unbound(case, binds)
    if refused is not None:
        return refused
    if decision is Decision.REJECT and not reason.strip():
        return _no(
            Why.NO_REASON,
            case,
            Say("驳回没有写明理由", "a rejection needs its reason"),
            Say("写明理由", "give the reason"),
        )
    word = Signature(
        person=signer.id,
        natural=signer.natural,
        name=signer.name,
        unit=signer.unit,
        role=role,
        decision=decision,
        reason=reason.strip(),
        at=now,
        binds=binds,
    )
    return evolve(case, signatures=(*case.signatures, word), version=case.version + 1)  # type: ignore[no-any-return]


def clear(case: Case, sha256: str, copies: int, now: float, *, site: Site, house: House) -> Cleared | Denial:
    """Return the clearance for so many copies of a file, and the case that knows of it; or why there is none.

    Write the case and what is done on the clearance in one transaction, under the case's version: a clearance that is
    not written is one that can be given twice.
    """
    refused = _unsound(case) or _over(case, now, CaseState.APPROVED) or _set_back(case, now)
    refused = refused or _outdated(case, site, house)
    if refused is not None:
        return refused
    if sha256 != case.request.sha256:
        return _other_file(case)
    left = remaining(case)
    fits = copies == 0 if case.request.copies == 0 else 0 < copies <= left
    if not fits:
        return _no(
            Why.COPIES,
            case,
            Say(
                f"要求 {copies} 份，批准的还剩 {left} 份", f"{copies} copies are asked for, {left} of the approved left"
            ),
            Say("需要更多份数时重新送审", "ask anew for more copies"),
            f"{CENTRE}第九条",
        )
    end = min(expires(case), case.signatures[0].at + valid_seconds(case.request, house))
    if now >= end:
        return _expired(case)
    clearance = Clearance(
        case=case.id,
        job=case.request.job,
        sha256=sha256,
        copies=copies,
        number=len(case.cleared) + 1,
        at=now,
        expires=end,
        signatures=_digest(case.signatures),
        duties=duties(case.request),
    )
    return Cleared(evolve(case, cleared=(*case.cleared, clearance), version=case.version + 1), clearance)


def _approvals(case: Case, step: Step) -> tuple[Signature, ...]:
    return tuple(s for s in case.signatures if s.binds.step == step.name and s.decision is Decision.APPROVE)


def _last(case: Case) -> float:
    """Return the moment of the last thing that was done with a case."""
    return max(case.request.made_at, *(s.at for s in case.signatures), *(c.at for c in case.cleared), 0.0)


def _digest(value: Any) -> str:
    return "sha256:" + hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _over(case: Case, now: float, wanted: CaseState) -> Denial | None:
    """Return why a case does not stand as it must; None when it does."""
    found = state(case, now)
    if found is wanted:
        return None
    if found is CaseState.EXPIRED:
        return _expired(case)
    if found is CaseState.REJECTED:
        return _no(
            Why.REJECTED,
            case,
            Say("已被驳回", "it was rejected"),
            Say("需要时重新送审", "ask anew if it is still needed"),
        )
    if found is CaseState.WAITING:
        missing = [s for s in case.steps if len(_approvals(case, s)) < s.persons]
        zh = "、".join(f"{s.say.zh}（{names(s.roles).zh}）" for s in missing)
        en = ", ".join(f"{s.say.en} ({names(s.roles).en})" for s in missing)
        said = Say(f"还缺：{zh}", f"still missing: {en}")
        return _no(Why.WAITING, case, said, Say("等待签字", "wait for the signatures"), missing[0].article)
    return _no(
        Why.CLOSED,
        case,
        Say("签字已齐或份数已用完", "its signatures are complete, or its copies are used up"),
        Say("需要时重新送审", "ask anew if more is needed"),
    )


def _set_back(case: Case, now: float) -> Denial | None:
    # Written so that a moment that is no number is refused too.
    if now >= _last(case):
        return None
    return _no(
        Why.CLOCK,
        case,
        Say(
            "系统时间早于上一次签字，时钟可能被拨回",
            "the clock is behind the last signature; it may have been set back",
        ),
        Say("请系统管理员校准时间", "ask the system administrator to set the clock right"),
    )


def _no_role(case: Case, step: Step, signer: Person, role: Role) -> Denial | None:
    """Return why somebody does not sign this step in this role; None when he does."""
    if role in signer.roles and role in step.roles:
        if role is not Role.DEPARTMENT_HEAD or step.unit in ("", signer.unit):
            return None
        said = Say(f"{signer.id} 不是“{step.unit}”的负责人", f"{signer.id} is not the head of the unit {step.unit}")
    else:
        said = Say(
            f"{signer.id} 不能以此角色签“{step.say.zh}”", f"{signer.id} does not sign in this role: {step.say.en}"
        )
    who = names(step.roles)
    return _no(Why.NO_ROLE, case, said, Say(f"须由{who.zh}签字", f"to be signed by {who.en}"), step.article)


def _same(case: Case, step: Step, signer: Person) -> Denial | None:
    """Return why a person may not be one more pair of eyes; None when he is."""
    request = case.request
    if signer.id == request.requester or signer.natural in (same(request.natural), same(request.applicant)):
        return _no(
            Why.REQUESTER,
            case,
            Say(
                f"{signer.id} 是申请人本人，不得自己审批", f"{signer.id} is the one who asks and approves nothing of it"
            ),
            Say(f"须由另一位{names(step.roles).zh}签字", f"another {names(step.roles).en} must sign"),
            f"{CENTRE}第十条",
        )
    if any(signer.natural == same(s.natural) and _counts(case, step, s) for s in case.signatures):
        return _no(
            Why.SAME_PERSON,
            case,
            Say(f"{signer.id} 已签过本次审批的另一环节", f"{signer.id} has signed another step of this case"),
            Say("须由另一人签字", "another person must sign"),
            step.article,
        )
    return None


def _counts(case: Case, step: Step, earlier: Signature) -> bool:
    """Tell whether an earlier signature keeps the same person from this step."""
    if earlier.binds.step == step.name:
        return True
    other = next((s for s in case.steps if s.name == earlier.binds.step), None)
    return not (step.again or (other is not None and other.again))


def _unbound(case: Case, binds: Binding) -> Denial | None:
    """Return what a signature was given for instead of this; None when it is for this."""
    due = binding(case)
    if due is None or binds.sha256 != due.sha256:
        return _other_file(case)
    if binds.copies != due.copies:
        said = Say(
            f"签的是 {binds.copies} 份，申请的是 {due.copies} 份", f"signed for {binds.copies} copies of {due.copies}"
        )
        return _no(Why.COPIES, case, said, Say("按申请的份数重新签字", "sign again for the copies asked for"))
    if binds.case == due.case and binds.step != due.step:
        said = Say("签的是另一环节", "signed for another step")
        return _no(Why.STEP, case, said, Say("刷新后按顺序签字", "reload and sign in order"))
    if binds != due:
        said = Say("签的是另一份申请，或申请已变动", "signed for another request, or this one was changed")
        return _no(Why.CHANGED, case, said, Say("刷新后重新签字", "reload and sign again"))
    return None


def _unsound(case: Case) -> Denial | None:
    """Go through every signature again, as if each were given now; return what does not hold."""
    bare: Case = evolve(case, signatures=(), cleared=())
    for word in case.signatures:
        step = pending(bare)
        shown = Person(id=word.person, name=word.name, roles=(word.role,), unit=word.unit, natural=word.natural)
        if step is None or state(bare, word.at) is not CaseState.WAITING or _set_back(bare, word.at):
            return _broken(case)
        if _no_role(bare, step, shown, word.role) or _same(bare, step, shown) or _unbound(bare, word.binds):
            return _broken(case)
        bare = evolve(bare, signatures=(*bare.signatures, word))
    due = (case.id, case.request.job, case.request.sha256)
    for number, given in enumerate(case.cleared, 1):
        same = (given.case, given.job, given.sha256) == due and given.number == number
        if not same or given.copies < 0 or _set_back(bare, given.at):
            return _broken(case)
        bare = evolve(bare, cleared=(*bare.cleared, given))
    return None if case.version == 1 + len(case.signatures) + len(case.cleared) else _broken(case)


def _outdated(case: Case, site: Site, house: House) -> Denial | None:
    """Return why the ladder of today asks for more than the case has; None when it does not."""
    steps = route(case.request, site, house)
    if isinstance(steps, Refusal):
        return steps
    if {_demand(step) for step in steps} <= {_demand(step) for step in case.steps}:
        return None
    return _no(
        Why.RULES,
        case,
        Say("送审之后审批要求提高了", "more is asked for since this was requested"),
        Say("重新送审", "ask anew"),
    )


def _demand(step: Step) -> tuple[str, frozenset[Role], int, bool, str]:
    """Return what a step asks for, without its words: those may be mended while cases are open."""
    return step.name, frozenset(step.roles), step.persons, step.again, step.unit


def _other_file(case: Case) -> Denial:
    return _no(
        Why.OTHER_FILE,
        case,
        Say("与批准的不是同一文件（摘要不符）", "this is not the file that was approved: its hash differs"),
        Say("对该文件单独送审", "ask for this file by itself"),
        f"{CENTRE}第九条",
    )


def _expired(case: Case) -> Denial:
    said = Say("批准已过有效期", "the approval has expired")
    return _no(Why.EXPIRED, case, said, Say("重新送审", "ask anew"))


def _broken(case: Case) -> Denial:
    return _no(
        Why.BROKEN,
        case,
        Say("审批记录自相矛盾，可能被改动", "its record contradicts itself and may have been changed"),
        Say("停止办理，请安全审计员校验审计链", "stop, and have the audit chain verified"),
    )


def _no(why: Why, case: Case, what: Say, hint: Say, article: str = "") -> Denial:
    job = case.request.job
    say = Say(f"任务 {job} 的审批 {case.id}：{what.zh}", f"approval {case.id} of job {job}: {what.en}")
    return Denial(why=why, say=say, hint=hint, article=article)
