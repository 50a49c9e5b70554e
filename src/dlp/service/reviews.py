"""Review at the desk: who works at a job, what is said of its hits, what is kept, and what its level is decided to be.

What one person may do is one transaction with its event; what needs a second person waits in `dlp.service.second`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dlp import terms
from dlp.errors import Conflict, Denied, NotFound, UsageError
from dlp.model import Level, Regime, Say, State, evolve
from dlp.review import (
    CLAIMED,
    LABELS,
    REVIEWS,
    Decided,
    Label,
    Remark,
    Review,
    Ruling,
    Tally,
    check_level,
    label_id,
    marks_of,
    tally,
)
from dlp.rights import LAW_2024, RULES_2024, Denial, Operation, Person, Role, Why, right
from dlp.service.acting import Acting, refused
from dlp.service.cases import TERMS, Ended
from dlp.service.keys import deployment_key
from dlp.service.places import open_vault
from dlp.service.receipt import STATES
from dlp.service.second import Change, Doing, Seconds
from dlp.standing import Standing, Term
from dlp.store import AuditEvent, EventFilter, Job, JobFilter
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter
from dlp.terms import Confirmation
from dlp.terms import Ruling as End

if TYPE_CHECKING:  # the scanner is loaded by who masks, labels or reads a term: a list of jobs waits for none of it
    from dlp.match import Matcher

Found = TypeVar("Found")
WAITING = (State.HELD, State.BLOCKED, State.FAILED)
"""What a reviewer works at."""
SEALED = (*WAITING, State.REJECTED, State.RETURNED, State.REDACTED)
"""What may have a sealed copy that nothing else needs."""
QUEUE = (*WAITING, State.REJECTED)
"""What a reviewer has something to do with: what waits, and what is still to be given back."""
MOST_TEXT = 2_000
"""Characters of a remark."""


class Work(NamedTuple):
    """One job on somebody's table, inside the transaction in which he does something to it."""

    entry: Entry
    job: Job
    review: Review
    person: Person
    is_new: bool

    def write(self, kind: str, body: Mapping[str, Any], **fields: Any) -> Review:
        """Write the review with other fields, and the event that tells of it."""
        made: Review = evolve(self.review, version=1 if self.is_new else self.review.version + 1, **fields)
        self.entry.put(REVIEWS, made)
        self.entry.append(self.person.id, kind, self.job.id, dict(body))
        return made


class Picked(NamedTuple):
    """Which jobs a list shows, by what people made of them."""

    claimed: bool = False
    mine: bool = False
    label: Ruling | None = None

    @property
    def asks(self) -> bool:
        """Tell whether anything is asked for."""
        return self.claimed or self.mine or self.label is not None


class Order(Enum):
    """How a queue is sorted."""

    OLDEST = "oldest"
    NEWEST = "newest"
    LEVEL = "level"
    """The highest level first, and of each the oldest."""


class Wanted(NamedTuple):
    """Which jobs a queue shows, beside what the books know of them: who works at them, and what the law keeps."""

    states: tuple[State, ...] = QUEUE
    only: JobFilter = JobFilter()
    by: str = ""
    """`claimed`, `mine`, `free`; empty: whoever."""
    kept: bool = False
    """Under legal hold."""


class Row(NamedTuple):
    """One job of a queue, and who works at it now (empty: nobody)."""

    job: Job
    claimant: str
    until: float
    kept: bool


class Reviews:
    """The reviews of one site, in the name of one person."""

    def __init__(self, acting: Acting, seconds: Seconds) -> None:
        self._acting = acting
        self._seconds = seconds
        self._store = acting.store

    @cached_property
    def matcher(self) -> Matcher:
        """Return the scanner of this site: it masks what people write."""
        from dlp.service import compiled  # noqa: PLC0415  see above
        from dlp.service.gate import load_packs  # noqa: PLC0415

        config = self._acting.config
        return compiled.matcher(config, load_packs(config), deployment_key(Path(config.store.path).parent))

    # looking

    def get(self, job: str) -> tuple[Review | None, tuple[Label, ...]]:
        """Return the review of a job and its labels, oldest first."""
        self._acting.may(Operation.JOB_SHOW, job=job)
        found = self._store.records(REVIEWS, RecordFilter(job=job))
        return (found[0] if found else None), self._store.records(LABELS, RecordFilter(job=job))[::-1]

    def ids(self, picked: Picked) -> tuple[str, ...] | None:
        """Return the jobs that fit what people made of them; None where nothing is asked for."""
        if not picked.asks:
            return None
        self._acting.may(Operation.JOB_LIST)
        found: set[str] | None = None
        if picked.claimed or picked.mine:
            moment = time.time()
            only = RecordFilter(states=(CLAIMED,), who=self._acting.person.id if picked.mine else "")
            found = {one.id for one in self._store.records(REVIEWS, only) if one.claimant(moment)}
        if picked.label is not None:
            labels = self._store.records(LABELS, RecordFilter(states=(picked.label.value,)))
            labelled = {one.job for one in labels}
            found = labelled if found is None else found & labelled
        return tuple(sorted(found or ()))

    def queue(
        self, wanted: Wanted, *, order: Order = Order.OLDEST, limit: int = 60, after: str = ""
    ) -> tuple[tuple[Row, ...], str]:
        """Return one page of the queue, and where the next one begins (empty: this is the last)."""
        self._acting.may(Operation.EVIDENCE_VIEW)
        only = self._narrowed(wanted)
        found = list(islice(self._in_order(wanted.states, only, order, after, limit + 1), limit + 1))
        more = _key(found[limit - 1], order) if len(found) > limit else ""
        moment = time.time()
        return tuple(self._row(job, moment) for job in found[:limit]), more

    def count_queue(self, wanted: Wanted) -> int:
        """Return how many jobs there are in it."""
        self._acting.may(Operation.EVIDENCE_VIEW)
        return self._store.count(wanted.states, only=self._narrowed(wanted))

    def _narrowed(self, wanted: Wanted) -> JobFilter:
        only = wanted.only
        if wanted.kept:
            kept = {one.id for one in self._store.records(REVIEWS) if one.legal_hold is not None}
            only = evolve(only, ids=tuple(sorted(kept if only.ids is None else kept & set(only.ids))))
        if wanted.by in ("claimed", "mine"):
            theirs = self.ids(Picked(claimed=True, mine=wanted.by == "mine")) or ()
            only = evolve(only, ids=theirs if only.ids is None else tuple(sorted(set(theirs) & set(only.ids))))
        elif wanted.by == "free":
            only = evolve(only, without=self.ids(Picked(claimed=True)) or ())
        return only

    def _in_order(
        self, states: tuple[State, ...], only: JobFilter, order: Order, after: str, page: int
    ) -> Iterator[Job]:
        if order is Order.NEWEST:
            yield from self._store.jobs(states, only=only, limit=page, before=after)
        elif order is Order.OLDEST or only.level is not None:
            yield from self._store.from_oldest(states, only=only, after=after.rpartition(":")[2], page=page)
        else:
            begin, _, last = after.rpartition(":")
            levels = [*(level.value for level in reversed(Level)), ""]
            for name in levels[levels.index(begin) if last and begin in levels else 0 :]:
                narrowed = evolve(only, level=Level(name) if name else None, unlevelled=not name)
                since = last if name == begin else ""
                yield from self._store.from_oldest(states, only=narrowed, after=since, page=page)

    def _row(self, job: Job, moment: float) -> Row:
        review = self._store.find(REVIEWS, job.id)
        if review is None:
            return Row(job, "", 0.0, kept=False)
        return Row(job, review.claimant(moment), review.claimed_until, kept=review.legal_hold is not None)

    def rules(self) -> tuple[tuple[str, str], ...]:
        """Return full id and name of every rule of this site."""
        from dlp.service.gate import load_packs  # noqa: PLC0415  see above

        self._acting.may(Operation.EVIDENCE_VIEW)
        return tuple((pack.full_id(one), one.name) for pack in load_packs(self._acting.config) for one in pack.rules)

    def history(self, job: str, *, limit: int = 60) -> tuple[AuditEvent, ...]:
        """Return what was done to a job, newest first, for whoever may read evidence: kinds and people, no content."""
        self._acting.may(Operation.EVIDENCE_VIEW, job=job)
        return self._store.find_events(EventFilter(job=job), limit=limit)

    # one person

    def claim(self, prefix: str) -> Review:
        """Take a job to review it; Conflict where somebody else has it. One's own claim is prolonged."""
        spec = self._acting.config.people

        def does(work: Work) -> Review:
            _expect(work.job, WAITING)
            check_claim(work.entry, work.job.id, work.person)
            until = work.entry.moment + 60.0 * spec.claim_minutes
            body = {"until": _iso(until)}
            return work.write("claimed", body, claimed_by=work.person.id, claimed_until=until)

        return self._do(Operation.REVIEW_CLAIM, prefix, does)

    def unclaim(self, prefix: str) -> Review:
        """Give a job back that one has taken; Conflict where one has not."""

        def does(work: Work) -> Review:
            if work.review.claimed_by != work.person.id:
                check_claim(work.entry, work.job.id, work.person)
                raise Conflict(
                    Say(f"任务 {work.job.id} 未由本人领取", f"you have not claimed job {work.job.id}"),
                    Say("用 dlp quarantine list --mine 查看", "see `dlp quarantine list --mine`"),
                )
            return work.write("unclaimed", {}, claimed_by="", claimed_until=0.0)

        return self._do(Operation.REVIEW_CLAIM, prefix, does)

    def comment(self, prefix: str, text: str) -> Review:
        """Add a remark; what a rule finds in it is masked before it is kept."""
        said = self.masked(text)

        def does(work: Work) -> Review:
            remark = Remark(by=work.person.id, at=work.entry.moment, text=said)
            return work.write("commented", {"characters": len(said)}, remarks=(*work.review.remarks, remark))

        return self._do(Operation.REVIEW_COMMENT, prefix, does)

    def label(self, prefix: str, ruling: Ruling, *, finding: int = 0, rule: str = "", reason: str = "") -> Label:
        """Say of a finding (from 1) that it is right or false, or of a rule that it missed something."""
        from dlp.service.gate import load_packs  # noqa: PLC0415  see above

        said = self.masked(reason) if reason.strip() else ""
        if (ruling is Ruling.MISSED) == bool(finding) or (ruling is Ruling.MISSED) != bool(rule):
            raise UsageError(
                Say(
                    "确认、误报须写明命中序号；漏报须写明规则", "a ruling names a finding; what was missed names a rule"
                ),
                Say("--finding N，或 --missed --rule 规则", "--finding N, or --missed --rule RULE"),
            )
        if ruling is not Ruling.CONFIRMED and not said:
            raise UsageError(Say("误报、漏报须写明理由", "a reason is required"), Say("用 --reason 写明", "--reason"))
        if rule and rule not in {pack.full_id(one) for pack in load_packs(self._acting.config) for one in pack.rules}:
            raise NotFound(
                Say(f"没有这条规则：{rule}", f"there is no such rule: {rule}"),
                Say("用 dlp packs list 查看", "see `dlp packs list`"),
            )

        def does(work: Work) -> Label:
            job = work.job
            if job.verdict is None:
                raise Conflict(Say(f"任务 {job.id} 尚无结论", f"job {job.id} has no verdict yet"))
            if finding > len(job.findings):
                raise NotFound(
                    Say(
                        f"任务 {job.id} 没有第 {finding} 条命中（共 {len(job.findings)} 条）",
                        f"job {job.id} has {len(job.findings)} findings and no number {finding}",
                    ),
                    Say("用 dlp quarantine show 查看序号", "see the numbers with `dlp quarantine show`"),
                )
            check_claim(work.entry, job.id, work.person)
            found = job.findings[finding - 1] if finding else None
            named = found.rule if found else rule
            id_ = label_id(job.id, finding, named)
            before = work.entry.find(LABELS, id_)
            made = Label(
                id=id_,
                version=before.version + 1 if before else 1,
                job=job.id,
                rule=named,
                packs=job.verdict.packs,
                finding=finding,
                count=found.count if found else 1,
                ruling=ruling,
                reason=said,
                by=work.person.id,
                at=work.entry.moment,
            )
            work.entry.put(LABELS, made)
            body = {"finding": finding, "rule": named, "ruling": ruling.value, "packs": made.packs}
            work.entry.append(work.person.id, "labelled", job.id, body)
            return made

        return self._do(Operation.REVIEW_LABEL, prefix, does)

    def hold(self, prefix: str, reason: str) -> Review:
        """Put a job under legal hold: its sealed copy is not destroyed, given back or listed until it is lifted."""
        said = self.masked(reason)

        def does(work: Work) -> Review:
            self._expect_sealed(work.job)
            if work.review.legal_hold is not None:
                raise Conflict(Say(f"任务 {work.job.id} 已依法留存", f"job {work.job.id} is under legal hold already"))
            remark = Remark(by=work.person.id, at=work.entry.moment, text=said)
            return work.write("legal-hold-set", {"reason": said}, legal_hold=remark)

        return self._do(Operation.LEGAL_HOLD_SET, prefix, does)

    def decide_level(
        self, prefix: str, level: Level | None, regime: Regime | None, *, basis: str, reason: str
    ) -> Review:
        """Decide on the level of a file. It sets no mark on it; approvals that were asked for before count no more."""
        if not basis.strip() or not reason.strip():
            raise UsageError(Say("须写明依据和理由", "basis and reason are required"))
        if (level is None) != (regime is None):
            raise UsageError(Say("级别和密种须同时写明，或都不写", "level and regime are named together, or neither"))
        said = self.masked(reason)

        def does(work: Work) -> Review | Denial:
            _expect(work.job, (*WAITING, State.REJECTED))
            marks = marks_of(work.job, work.entry.records(LABELS, RecordFilter(job=work.job.id)))
            no = check_level(work.job, marks, level, regime)
            if no is not None:
                return no
            decided = Decided(
                level=level,
                regime=regime,
                basis=basis.strip(),
                reason=said,
                by=work.person.id,
                at=work.entry.moment,
            )
            body = {
                "level": level.value if level else None,
                "regime": regime.value if regime else None,
                "basis": decided.basis,
                "reason": said,
            }
            return work.write("level-decided", body, decided=decided)

        return self._do(Operation.LEVEL_DECIDE, prefix, does)

    # terms

    def terms_over(self) -> Iterator[tuple[Job, Term]]:
        """Give the jobs that wait and whose term is over by the calendar, and of which nobody has found out yet."""
        self._acting.may(Operation.TERM_CONFIRM)
        moment = time.time()
        for job in self._store.each((State.HELD, State.BLOCKED)):
            term = term_of(job, moment)
            if term is None or term.standing is not Standing.OVER:
                continue
            known = self._store.records(TERMS, RecordFilter(job=job.id))
            if not known or _has_passed(known[0], moment):
                yield job, term

    def confirm_term(self, prefix: str, ruling: End, *, basis: str, until: str = "") -> Confirmation:
        """Say that the term of a file ended, or until when it was extended; Denied where it is not over."""

        def does(work: Work) -> Confirmation | Denial:
            term = term_of(work.job, work.entry.moment)
            word = terms.confirm(
                term or Term(Standing.NONE, None, Say("没有国家秘密标志", "it has no mark of a state secret")),
                ruling,
                signer=work.person,
                job=work.job.id,
                sha256=work.job.item.sha256,
                basis=basis,
                today=_day(work.entry.moment),
                now=work.entry.moment,
                until=until,
            )
            if isinstance(word, Denial):
                return word
            before = work.entry.find(TERMS, work.job.id)
            version = before.version + 1 if before else 1
            work.entry.put(TERMS, Ended(id=work.job.id, version=version, word=word))
            body = {"ruling": word.ruling.value, "until": word.until, "basis": word.basis}
            work.entry.append(work.person.id, "term-confirmed", work.job.id, body)
            return word

        return self._do(Operation.TERM_CONFIRM, prefix, does)

    # two persons

    def ask_to_lift(self, prefix: str, reason: str) -> Change:
        """Ask for a legal hold to be lifted; it waits for its second person."""
        if not reason.strip():
            raise UsageError(Say("须写明理由", "a reason is required"))
        said, job = self.masked(reason), self._store.get(prefix)
        found = self._store.records(REVIEWS, RecordFilter(job=job.id))
        if not found or found[0].legal_hold is None:
            raise _not_held(job.id)
        return self._seconds.ask(Operation.LEGAL_HOLD_LIFT, job.id, {"reason": said}, reason=said)

    def ask_to_keep(self, prefix: str, until: float) -> Change:
        """Ask for the sealed copy of a job to be kept until a moment; it waits for its second person."""
        if until <= time.time():
            raise UsageError(Say("留存期须在今天之后", "the day must be one to come"))
        self._acting.person  # noqa: B018  as above
        job = self._store.get(prefix)
        self._expect_sealed(job)
        return self._seconds.ask(Operation.RETENTION_SET, job.id, {"until": until})

    # counting

    def stats(self, *, since: float = 0.0, until: float = float("inf"), hits_too: bool = True) -> tuple[Tally, ...]:
        """Return of each rule how often it hit in the jobs of a span, and what reviewers said of it in that span.

        Without `hits_too` only what was said is counted: no job is read.
        """
        self._acting.may(Operation.PACK_STATS)
        hits: dict[str, int] = {}
        for job in self._store.each(only=JobFilter(since=since, until=until)) if hits_too else ():
            for found in job.findings:
                hits[found.rule] = hits.get(found.rule, 0) + 1
        return tally(self._store.records(LABELS, RecordFilter(since=since, until=until)), hits)

    # inside

    def _do(self, operation: Operation, prefix: str, does: Callable[[Work], Found | Denial]) -> Found:
        """Do something to a job in one transaction; a refusal of the rules is noted in it instead, and raised after."""
        self._acting.person  # noqa: B018  as above
        found = self._store.get(prefix)
        with self._acting.demand(operation, job=found.id) as entry:
            person = self._acting.now(entry)
            review = entry.find(REVIEWS, found.id)
            work = Work(
                entry=entry,
                job=entry.job(found.id),
                review=review or Review(id=found.id, at=entry.moment),
                person=person,
                is_new=review is None,
            )
            made = does(work)
            if not isinstance(made, Denial):
                return made
            error = refused(entry, person, operation, made, job=found.id)
        raise error

    def masked(self, text: str) -> str:
        """Return what somebody wrote with every hit in it masked; UsageError where it is empty or too long."""
        self._acting.person  # noqa: B018  whoever has not logged in is not told what there is
        if not text.strip():
            raise UsageError(Say("内容为空", "there is nothing in it"))
        if len(text) > MOST_TEXT:
            raise UsageError(Say(f"最多 {MOST_TEXT} 字", f"at most {MOST_TEXT} characters"))
        return self.matcher.mask(text.strip())

    def _expect_sealed(self, job: Job) -> None:
        _expect(job, SEALED)
        if not open_vault(self._acting.config).has(job.id):
            raise no_copy(job.id)


def _key(job: Job, order: Order) -> str:
    """Return where a queue goes on behind a job."""
    level = job.verdict.level if job.verdict else None
    return f"{level.value if level else ''}:{job.id}" if order is Order.LEVEL else job.id


def doing() -> dict[Operation, Doing]:
    """Return what is done once a second person has confirmed it."""
    return {Operation.LEGAL_HOLD_LIFT: _lift, Operation.RETENTION_SET: _keep}


def _lift(entry: Entry, change: Change) -> None:
    review = entry.find(REVIEWS, change.subject)
    if review is None or review.legal_hold is None:
        raise _not_held(change.subject)
    entry.put(REVIEWS, evolve(review, version=review.version + 1, legal_hold=None))
    body = {"reason": change.words["reason"], "second": change.second}
    entry.append(change.by, "legal-hold-lifted", change.subject, body)


def _keep(entry: Entry, change: Change) -> None:
    job, until = entry.job(change.subject), float(change.words["until"])
    _expect(job, SEALED)
    before = entry.find(REVIEWS, job.id)
    review = before or Review(id=job.id, at=entry.moment)
    entry.put(REVIEWS, evolve(review, version=review.version + 1 if before else 1, keep_until=until))
    entry.append(change.by, "retention-set", job.id, {"until": _iso(until), "second": change.second})


def check_claim(entry: Entry, job: str, person: Person) -> None:
    """Raise Conflict where another reviewer works at a job; an approver's no waits for nobody."""
    review = entry.find(REVIEWS, job)
    who = review.claimant(entry.moment) if review else ""
    if review is None or who in ("", person.id) or (person.roles and Role.REVIEWER not in person.roles):
        return
    until = datetime.fromtimestamp(review.claimed_until).astimezone().strftime("%H:%M")
    raise Conflict(
        Say(f"任务 {job} 已由 {who} 领取（至 {until}）", f"{who} has claimed job {job} until {until}"),
        Say("请与其联系，或等领取到期", "talk to him, or wait until the claim lapses"),
    )


def check_free(entry: Entry, job: str) -> Denial | None:
    """Return why the sealed copy of a job may not be given away or destroyed: it is under legal hold."""
    review = entry.find(REVIEWS, job)
    if review is None or review.legal_hold is None:
        return None
    return Denial(
        why=Why.CLOSED,
        say=Say(f"任务 {job} 已依法留存，不得退回或销毁", f"job {job} is under legal hold: it stays where it is"),
        hint=Say(f"先解除留存：dlp quarantine lift {job}", f"lift it first: dlp quarantine lift {job}"),
        article=f"{RULES_2024}第五十九条",
    )


def keeps(entry: Entry, job: Job) -> Denial | None:
    """Return why a job goes on no list of what is destroyed: it is held by law, or its retention has not ended."""
    review = entry.find(REVIEWS, job.id)
    if review is not None and entry.moment < review.keep_until:
        until = datetime.fromtimestamp(review.keep_until).astimezone().strftime("%Y-%m-%d")
        return Denial(
            why=Why.CLOSED,
            say=Say(f"任务 {job.id} 的留存期到 {until}", f"job {job.id} is kept until {until}"),
            hint=Say("期满后再列入销毁清单", "put it on a list after that day"),
            article=right(Operation.RETENTION_SET).article,
        )
    return check_free(entry, job.id)


def decided_secret(entry: Entry, job: Job) -> Denial | None:
    """Return why a job does not leave redacted: it was decided to be 秘密 or above, whatever can be cut out of it.

    Rules find marks and numbers; what a classification officer decided on is in the words themselves.
    """
    review = entry.find(REVIEWS, job.id)
    decided = review.decided if review is not None else None
    if decided is None or decided.regime is None:
        return None
    level = decided.level
    if decided.regime not in (Regime.STATE, Regime.EXAM) and (level is None or level < Level.SECRET):
        return None
    said = level.value if level else "国家秘密"
    return Denial(
        why=Why.CHANGED,
        say=Say(
            f"任务 {job.id} 已定为{said}，不得脱敏后放行",
            f"job {job.id} was decided to be {said}: it does not leave redacted",
        ),
        hint=Say("送审，凭批准放行", "ask for approval, and release it on that"),
        article=f"{RULES_2024}第十四条",
    )


def secret_here(acting: Acting, entry: Entry, job: Job) -> Denial | None:
    """Return why a file may not lie open on this machine: a state secret above what its system may hold.

    What a classification officer decided counts, else what the gate found.
    """
    review, verdict = entry.find(REVIEWS, job.id), job.verdict
    decided = review.decided if review is not None else None
    level, regime = (decided.level, decided.regime) if decided else (None, None)
    if decided is None and verdict is not None:
        level, regime = verdict.level, verdict.regime
    if regime not in (Regime.STATE, Regime.EXAM) or (level or Level.SECRET) < Level.SECRET:
        return None
    level = level or Level.SECRET
    if acting.config.site.holds(level):
        return None
    return Denial(
        why=Why.SYSTEM,
        say=Say(
            f"任务 {job.id} 疑为国家秘密（{level.value}），不得在本机解封",
            f"job {job.id} may be a state secret ({level.value}): it is not opened on this machine",
        ),
        hint=Say("原始载体由送件人按保密规定处置", "its sender has the original and handles it by the rules"),
        article=f"{LAW_2024}第三十一条第三项",
    )


def term_of(job: Job, moment: float) -> Term | None:
    """Return how the term of a job's marks stands: over only where each of them is; None without such a mark."""
    from dlp.marks.lint import status  # noqa: PLC0415  see above

    today = _day(moment)
    found = [status(one.mark, None, today) for one in job.findings if one.mark is not None]
    stated = [term for term in found if term.standing is not Standing.NONE]
    late = (Standing.OVER, Standing.EVENT)
    return next((term for term in stated if term.standing not in late), stated[0] if stated else None)


def no_copy(job: str) -> NotFound:
    """Return the error that a job has no sealed copy."""
    return NotFound(
        Say(f"任务 {job} 没有密封件", f"job {job} has no sealed copy"),
        Say("已放行、已销毁或不留存的任务没有密封件", "what has left, was destroyed or is not retained has none"),
    )


def _expect(job: Job, states: tuple[State, ...]) -> None:
    if job.state not in states:
        raise Denied(
            Say(
                f"任务 {job.id} 现为「{STATES[job.state].zh}」，不能这样办理",
                f"job {job.id} is {STATES[job.state].en}: this cannot be done to it",
            ),
            Say(
                f"须为：{'、'.join(STATES[state].zh for state in states)}",
                f"it must be: {', '.join(STATES[state].en for state in states)}",
            ),
        )


def _not_held(job: str) -> Conflict:
    return Conflict(Say(f"任务 {job} 未依法留存", f"job {job} is under no legal hold"))


def _has_passed(ended: Ended, moment: float) -> bool:
    """Tell whether an extension has run out too."""
    word = ended.word
    return word.ruling is End.EXTENDED and date.fromisoformat(word.until) <= _day(moment)


def _day(moment: float) -> date:
    return datetime.fromtimestamp(moment).astimezone().date()


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
