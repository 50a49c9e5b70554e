"""Approvals at work: asked for, signed, and used to let a held job go. The rules are those of `dlp.approval`.

A release on an approval is one transaction: the case knows of its clearance, each copy has its row in the register, the
job leaves the vault, and the trail tells of all of it; or nothing of that happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dlp import approval
from dlp.account import ACCOUNTS
from dlp.approval import Binding, Case, CaseState, Decision
from dlp.copies import COPIES, Copy, copy_id
from dlp.description import DESCRIPTIONS, Description, Given
from dlp.errors import Conflict, Denied
from dlp.ladder import Step, steps, valid_seconds
from dlp.model import Frozen, Level, Say, State, evolve
from dlp.refusals import Needs, Refusal, forbid, needs
from dlp.request import AT_ONCE, HOUR, Claim, Duty, Recipient, Request, duties, weigh
from dlp.review import REVIEWS
from dlp.rights import CENTRE, RULES_2024, Denial, Operation, Person, Role, Why, same
from dlp.service import describing, incidents
from dlp.service.acting import Acting, now, refused
from dlp.service.keys import new_id
from dlp.store import Job, record
from dlp.store.entry import Entry
from dlp.store.record import Columns, Kind, RecordFilter
from dlp.terms import Confirmation

STATES: dict[CaseState, Say] = {
    CaseState.WAITING: Say("待签字", "waiting"),
    CaseState.APPROVED: Say("已批准", "approved"),
    CaseState.SPENT: Say("份数已用完", "used up"),
    CaseState.REJECTED: Say("已驳回", "rejected"),
    CaseState.EXPIRED: Say("已过期", "expired"),
}
DUTIES: dict[Duty, Say] = {
    Duty.REGISTER: Say("逐份登记", "each copy is entered in the register"),
    Duty.STAMP: Say("加盖复制件戳记，视同原件管理", "copies are stamped and kept as the original is"),
    Duty.NUMBER: Say("逐份编号", "each copy has its number"),
    Duty.RECORD_VIEWERS: Say("记录知悉人员", "who sees it is written down"),
    Duty.GIVE_BACK: Say("按期清退", "every copy comes back by the day named"),
    Duty.AT_ONCE: Say("随阅随退，当日退还", "read on the spot and given back the same day"),
    Duty.TWO_PERSONS: Say("双人在场、双人携带", "two persons are present and carry it"),
}
OPEN_SECONDS = 2 * approval.WAITING_HOURS * HOUR
"""A case that is older than this can be neither signed nor used."""


def _columns(case: Case) -> Columns:
    request = case.request
    if any(word.decision is Decision.REJECT for word in case.signatures):
        state = CaseState.REJECTED
    elif approval.pending(case) is not None:
        state = CaseState.WAITING
    elif request.copies and approval.remaining(case) <= 0:
        state = CaseState.SPENT
    else:
        state = CaseState.APPROVED
    return Columns(
        state=state.value, job=request.job, who=request.requester, due=approval.expires(case), at=request.made_at
    )


CASES = Kind("case", Case, _columns)


class Ended(Frozen, frozen=True, kw_only=True):
    """What a classification officer found out about the term of one file; `id` is the job."""

    id: str
    version: int = 1
    word: Confirmation


TERMS = Kind(
    "term",
    Ended,
    lambda one: Columns(state=one.word.ruling.value, job=one.id, who=one.word.person, at=one.word.at),
)


class Asking(Frozen, frozen=True, kw_only=True):
    """What somebody writes down when he asks for an approval."""

    copies: int
    purpose: str
    recipients: tuple[Recipient, ...]
    return_by: float | None = None
    consent_no: str = ""
    organ: str = ""
    province: str = ""
    unit: str = ""
    """Where it is not the unit of the account."""
    doc_no: str = ""
    """文号 of the file, where it is not written down yet."""
    applicant: str = ""
    """Staff number of the person for whom it is asked, where that is somebody else."""


class Outlook(NamedTuple):
    """What is ahead of whoever asks for an approval: who signs, how long it holds, what it obliges to."""

    job: Job
    level: Level | None
    steps: tuple[Step, ...]
    needs: Needs
    seconds: float
    duties: tuple[Duty, ...]
    signers: tuple[tuple[str, ...], ...]
    """For each step the names of those who can sign it here; none: somebody has to be given the role first."""
    known: Description | None
    """What is written down of the file already, and need not be said again."""
    refusal: Refusal | None
    """Why nobody may approve it here, whatever is asked."""


class Cases:
    """The approvals of one site, in the name of one person."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._store = acting.store

    def all(self, only: RecordFilter | None = None, *, limit: int = 0, after: str = "") -> tuple[Case, ...]:
        """Return cases, newest first; `after` is the last one that was read."""
        self._acting.may(Operation.APPROVAL_SHOW)
        last = self._store.record(CASES, after) if after else None
        return self._store.records(CASES, only, limit=limit, after=last)

    def get(self, id: str) -> Case:  # noqa: A002  the column's name
        """Return one case; NotFound when there is none."""
        self._acting.may(Operation.APPROVAL_SHOW)
        return self._store.record(CASES, id)

    def state(self, case: Case) -> CaseState:
        """Return where a case stands now."""
        return approval.state(case, self._store.moment())

    def ask(self, prefix: str, asking: Asking) -> Case:
        """Open the case of a held job. Denied where nobody may approve it, or where something is missing."""
        self._acting.person  # noqa: B018  whoever has not logged in is not told what there is
        found = self._store.get(prefix)
        with self._acting.demand(Operation.APPROVAL_REQUEST, job=found.id) as entry:
            person = now(entry, self._acting.person)
            job = _held(entry, found.id)
            known = _described(entry, job, asking, person)
            if isinstance(known, Denial):
                made: Case | Denial = known
            else:
                request = _request(entry, job, asking, person, known)
                made = approval.open_case(new_id(entry.moment), request, *self._rules, entry.moment)
            if isinstance(made, Case):
                if isinstance(known, Description):
                    describing.write(entry, known)
                entry.put(CASES, made)
                body = {"case": made.id, "copies": made.request.copies, "steps": [step.name for step in made.steps]}
                entry.append(person.id, "requested", job.id, body)
                return made
            error = refused(entry, person, Operation.APPROVAL_REQUEST, made, job=job.id)
            _report(entry, job, person, made)
        raise error

    def outlook(self, prefix: str, asking: Asking) -> Outlook:
        """Return what is ahead of such a request, before anybody asks; nothing is written."""
        found = self._store.get(prefix)
        site, house = self._rules
        with self._acting.demand(Operation.APPROVAL_REQUEST, job=found.id) as entry:
            job = _held(entry, found.id)
            known = entry.find(DESCRIPTIONS, job.id)
            request = _request(entry, job, asking, now(entry, self._acting.person), known)
            people = _people(entry)
        weight, ahead = weigh(request), steps(request, house)
        return Outlook(
            job=job,
            level=weight.level,
            steps=ahead,
            signers=tuple(_names(request, step, people) for step in ahead),
            needs=needs(request, weight, site),
            seconds=valid_seconds(request, house),
            duties=duties(request),
            known=known,
            refusal=forbid(request, weight, site),
        )

    def open(self) -> tuple[Case, ...]:
        """Return the cases that wait for a signature or can be used now, newest first."""
        self._acting.may(Operation.APPROVAL_SHOW)
        at = self._store.moment()
        states = (CaseState.WAITING, CaseState.APPROVED)
        only = RecordFilter(states=tuple(one.value for one in states), since=at - OPEN_SECONDS)
        return tuple(case for case in self._store.records(CASES, only) if approval.state(case, at) in states)

    def signers(self, case: Case) -> tuple[tuple[str, ...], ...]:
        """Return for each step of a case the names of those who can sign it."""
        with self._acting.demand(Operation.APPROVAL_SHOW, job=case.request.job) as entry:
            people = _people(entry)
        return tuple(_names(case.request, step, people) for step in case.steps)

    def mine(self) -> tuple[Case, ...]:
        """Return the cases that wait for the signature of whoever acts, oldest first."""
        at = self._store.moment()
        return tuple(case for case in reversed(self.open()) if _why_not(case, self._acting.person, at) is None)

    def why_not(self, case: Case) -> Denial | None:
        """Return why whoever acts cannot sign what waits now; None where his signature is waited for."""
        return _why_not(case, self._acting.person, self._store.moment())

    def names(self) -> dict[str, str]:
        """Return the name behind each account, for whoever reads an approval."""
        self._acting.may(Operation.APPROVAL_SHOW)
        return {one.id: one.name for one in self._store.records(ACCOUNTS)}

    def binding(self, case: Case, *, seen: str = "", step: str = "") -> Binding:
        """Return what the next signature binds; Conflict where no signature is waited for.

        `seen` is the digest (`Binding.request`) of what somebody was shown, `step` what he was to sign: Conflict where
        it is another now.
        """
        binds = approval.binding(case)
        if binds is not None and ((seen and seen != binds.request) or (step and step != binds.step)):
            raise Conflict(
                Say(f"审批 {case.id} 与所看的不同", f"case {case.id} is not what was shown"),
                Say("请重新查看后再签", "look at it again, then sign"),
            )
        if binds is None:
            raise Conflict(
                Say(f"审批 {case.id} 的签字已齐", f"every signature of case {case.id} is there"),
                Say("可以凭批准放行", "the job can be released on it"),
            )
        return binds

    def sign(
        self,
        id: str,  # noqa: A002  as above
        decision: Decision,
        binds: Binding,
        *,
        role: Role | None = None,
        reason: str = "",
    ) -> Case:
        """Give one word on a case, for what one was shown (`binding`). `role`: where one holds several that could."""
        self._acting.person  # noqa: B018  as above
        job = self._store.record(CASES, id).request.job
        with self._acting.demand(Operation.APPROVAL_SIGN, job=job) as entry:
            person = now(entry, self._acting.person)
            case = entry.find(CASES, id)
            assert case is not None  # noqa: S101  it was there, and no case is ever dropped
            made = approval.sign(
                case, person, decision, entry.moment, role=role or _role(case, person), binds=binds, reason=reason
            )
            if isinstance(made, Case):
                entry.put(CASES, made)
                word = made.signatures[-1]
                body = {"case": id, "step": word.binds.step, "role": word.role.value, "reason": word.reason}
                entry.append(person.id, "signed" if decision is Decision.APPROVE else "refused", job, body)
                return made
            error = refused(entry, person, Operation.APPROVAL_SIGN, made, subject=id, job=job)
        raise error

    def cleared(self, id: str, job: Job, copies: int | None) -> Clearing:  # noqa: A002  as above
        """Return what writes the clearance into the transaction that lets a job go; Denied where there is none now."""
        if copies is None:
            copies = approval.remaining(self._store.record(CASES, id))
        clearing = Clearing(self._acting, id, job, copies)
        clearing.try_now()
        return clearing

    @property
    def _rules(self) -> tuple[Any, Any]:
        return self._acting.config.site, self._acting.config.ladder


class Clearing:
    """Uses an approval: for this job, so many copies, inside the transaction that lets it go."""

    def __init__(self, acting: Acting, case: str, job: Job, copies: int) -> None:
        self._acting = acting
        self._case = case
        self._job = job
        self.copies = copies

    def try_now(self) -> None:
        """Raise what would be raised then, before anything is opened; a refusal is in the trail."""
        with self._acting.demand(Operation.JOB_RELEASE, job=self._job.id) as entry:
            made = self._clear(entry)
            if not isinstance(made, Denial):
                return
            person = self._acting.person
            error = refused(entry, person, Operation.JOB_RELEASE, made, subject=self._case, job=self._job.id)
            _report(entry, self._job, person, made)
        raise error

    def __call__(self, entry: Entry) -> Mapping[str, Any]:
        """Write case and copies; Denied where right or approval do not hold any more."""
        person = self._acting.now(entry)
        made = self._acting.denial(entry, Operation.JOB_RELEASE) or self._clear(entry)
        if isinstance(made, Denial):
            raise Denied(made.say, made.hint)
        entry.put(CASES, made.case)
        given = made.clearance
        known = entry.find(DESCRIPTIONS, self._job.id)
        first = _copy(made.case, self._job, person, entry.moment, known)
        # A job of which nobody could tell whether it left may be let go again: no number is given twice.
        done = max((one.number for one in entry.records(COPIES, RecordFilter(job=self._job.id))), default=0)
        for number in range(done + 1, done + given.copies + 1):
            entry.put(COPIES, evolve(first, id=copy_id(self._job.id, number), number=number))
        return {"case": given.case, "clearance": given.number, "copies": given.copies, "signatures": given.signatures}

    def _clear(self, entry: Entry) -> approval.Cleared | Denial:
        case = entry.find(CASES, self._case)
        if case is None or case.request.job != self._job.id:
            return Denial(
                why=Why.OTHER_FILE,
                say=Say(
                    f"任务 {self._job.id} 没有编号为 {self._case} 的审批",
                    f"job {self._job.id} has no approval of the number {self._case}",
                ),
                hint=Say("先送审，再凭批准放行", "ask for an approval first"),
                article=f"{CENTRE}第十条",
            )
        changed = _changed_beneath(entry, case)
        if changed is not None:
            return changed
        if self.copies == 0 and case.request.copies == 0:
            return Denial(
                why=Why.COPIES,
                say=Say(f"审批 {case.id} 只准阅读，不准放行", f"case {case.id} is to read it here: nothing leaves"),
                hint=Say("需要份数时重新送审", "ask anew for copies"),
                article=f"{CENTRE}第十条",
            )
        if _asked_before(entry, case):
            return Denial(
                why=Why.CHANGED,
                say=Say(
                    f"审批 {case.id} 送审之后，任务 {self._job.id} 的密级或期限另有认定",
                    f"level or term of job {self._job.id} were decided on after case {case.id} was asked for",
                ),
                hint=Say("请重新送审", "ask for it anew"),
                article=f"{RULES_2024}第十四条",
            )
        config = self._acting.config
        return approval.clear(
            case, self._job.item.sha256, self.copies, entry.moment, site=config.site, house=config.ladder
        )


def _changed_beneath(entry: Entry, case: Case) -> Denial | None:
    """Return what an approval stands on and is not as the trail told of it; None where all of it is.

    Whoever may write the books could write a signature, a lower level, or take a decision out of them; none of that
    lets a file go.
    """
    job = case.request.job
    for kind, id_ in ((CASES.name, case.id), (record.JOB, job), (REVIEWS.name, job), (TERMS.name, job)):
        if not entry.is_told(kind, id_, job):
            return Denial(
                why=Why.BROKEN,
                say=Say(
                    f"任务 {job} 的审批 {case.id}：{record.name(kind, id_)} 与审计链所载不符，可能被改动",
                    f"approval {case.id} of job {job}: {record.name(kind, id_)} is not what the audit trail tells of "
                    "it, and may have been changed",
                ),
                hint=Say("停止办理，请安全审计员校验审计链", "stop, and have the audit chain verified"),
                article=f"{CENTRE}第十条",
            )
    return None


def _held(entry: Entry, id: str) -> Job:  # noqa: A002  the column's name
    """Return a job that can be asked for."""
    job = entry.job(id)
    if job.state is not State.HELD:
        raise Denied(
            Say(f"任务 {job.id} 不在隔离中，不能送审", f"job {job.id} is not held: nothing can be asked for"),
            Say("只有隔离中的任务可以送审", "only held jobs can be asked for"),
        )
    return job


def _asked_before(entry: Entry, case: Case) -> bool:
    """Tell whether level or term of the file were decided on after the case was opened: it was signed for another."""
    job = case.request.job
    review, ended = entry.find(REVIEWS, job), entry.find(TERMS, job)
    decided = review.decided.at if review is not None and review.decided is not None else 0.0
    return max(decided, ended.word.at if ended is not None else 0.0) >= case.request.made_at


def _report(entry: Entry, job: Job, person: Person, made: Denial) -> None:
    """Open the incident of what the law forbids and has to be reported; its 24 hours run from now."""
    if isinstance(made, Refusal) and made.report:
        opened = incidents.open_refused(entry, job, person.id, made.say)
        entry.append(person.id, "must-report", job.id, {"why": made.why.value, **opened})


def _described(entry: Entry, job: Job, asking: Asking, person: Person) -> Description | Denial | None:
    """Return what is written down of the file once it is asked for; None where nobody has said anything of it."""
    old = entry.find(DESCRIPTIONS, job.id)
    # Who issued it may be another here than in the register: a copy of a copy. What was registered stays.
    given = Given(doc_no=asking.doc_no, organ="" if old is not None and old.organ else asking.organ)
    if old is None and not any(word.strip() for word in (given.doc_no, given.organ)):
        return None
    return describing.merged(entry, job.id, given, person)


def _request(entry: Entry, job: Job, asking: Asking, person: Person, known: Description | None) -> Request:
    """Return what is asked for: what the gate found of the file, and what somebody wrote down."""
    verdict, review = job.verdict, entry.find(REVIEWS, job.id)
    level, regime = (verdict.level, verdict.regime) if verdict else (None, None)
    own, ended = (level, regime), entry.find(TERMS, job.id)
    marks = {(found.mark.level, found.mark.regime) for found in job.findings if found.mark is not None} - {own}
    if review is not None and review.decided is not None:
        level, regime, marks = review.decided.level, review.decided.regime, set()  # what was in dispute is settled
    claims = tuple(Claim(level=one, regime=other, by="标志") for one, other in sorted(marks, key=str))
    classes = tuple(sorted({found.rule for found in job.findings if found.rule in AT_ONCE or found.type in AT_ONCE}))
    return Request(
        job=job.id,
        sha256=job.item.sha256,
        level=level,
        regime=regime,
        claims=claims,
        classes=classes,
        ended=ended.word if ended else None,
        copies=asking.copies,
        purpose=asking.purpose.strip(),
        recipients=asking.recipients,
        return_by=asking.return_by,
        consent_no=asking.consent_no.strip(),
        organ=asking.organ.strip() or (known.organ if known else ""),
        province=asking.province.strip(),
        requester=person.id,
        natural=person.natural,
        unit=asking.unit.strip() or person.unit,
        applicant=asking.applicant.strip(),
        made_at=entry.moment,
    )


def _role(case: Case, person: Person) -> Role:
    """Return the one role in which somebody can sign what waits; where several could, the lowest that is asked for."""
    step = approval.pending(case)
    fitting = [role for role in (step.roles if step else ()) if role in person.roles]
    return fitting[0] if fitting else next(iter(person.roles), Role.OPERATOR)


def _why_not(case: Case, person: Person, moment: float) -> Denial | None:
    binds = approval.binding(case)
    if binds is None:
        return Denial(
            why=Why.CLOSED,
            say=Say(f"审批 {case.id} 的签字已齐", f"every signature of case {case.id} is there"),
            hint=Say("可以凭批准放行", "the job can be released on it"),
        )
    made = approval.sign(case, person, Decision.APPROVE, moment, role=_role(case, person), binds=binds)
    return made if isinstance(made, Denial) else None


def _people(entry: Entry) -> tuple[Person, ...]:
    return tuple(one.person(entry.moment) for one in entry.records(ACCOUNTS))


def _names(request: Request, step: Step, people: tuple[Person, ...]) -> tuple[str, ...]:
    """Return the names of those who can sign a step, lowest role first; whoever asks is not one of them."""
    own = (same(request.natural), same(request.applicant))
    able = [one for one in people if one.active and one.natural not in own and approval.fits(step, one)]
    able.sort(key=lambda one: (min(step.roles.index(role) for role in one.roles if role in step.roles), one.name))
    return tuple(one.name for one in able)


def _copy(case: Case, job: Job, operator: Person, at: float, known: Description | None) -> Copy:
    """Return the first copy of what is let go."""
    request = case.request
    mark = next((f.mark for f in job.findings if f.mark is not None and f.mark.level is request.level), None)
    return Copy(
        id=copy_id(job.id, 1),
        job=job.id,
        case=case.id,
        number=1,
        total=case.cleared[-1].copies,
        title=job.item.name,
        pages=job.pages or (known.pages if known else 0) or None,
        paper=job.item.paper or (known.paper if known else ""),
        level=weigh(request).level,
        regime=request.regime,
        term=(mark.term or "") if mark else "",
        organ=request.organ,
        consent_no=request.consent_no,
        purpose=request.purpose,
        recipients=tuple(recipient.name for recipient in request.recipients),
        unit=request.unit,
        requester=request.requester,
        approved_by=tuple(word.name for word in case.signatures),
        operator=operator.id,
        at=at,
        due=request.return_by or 0.0,
    )
