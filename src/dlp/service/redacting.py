"""Redaction with a reviewer's eyes: what he adds and leaves in, a copy to look at, and only then the one that leaves.

What is being prepared is in the memory of one program alone, and so is the copy that is looked at: nothing of it is on
any disk, and it is gone when the program ends. The copy that leaves is made and proven once more.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from dlp import hand
from dlp.errors import Conflict, Denied, NotFound, UsageError
from dlp.hand import Added, Dropped, Edits
from dlp.model import Box, Certificate, Redacting, Say, State, evolve
from dlp.rights import LAW_2024, Denial, Operation, Why
from dlp.service import evidence, trail
from dlp.service.acting import Acting, refused
from dlp.service.evidence import Cache, Sheet
from dlp.service.receipt import STATES
from dlp.service.reviews import Reviews, check_claim, decided_secret
from dlp.store import Job
from dlp.store.entry import Entry

if TYPE_CHECKING:  # loaded where a copy is made
    from dlp.sandbox import Sandbox
    from dlp.service.line import Line

Lines = Callable[[Redacting | None, Any], Any]
"""Gives a line that can settle jobs, as a context."""


class Tried(NamedTuple):
    """A proven copy that nobody has let go: its certificate, unsigned, and its bytes, in memory."""

    version: int
    """Of the job."""
    edits: Edits
    how: Redacting
    certificate: Certificate
    body: bytes


class Draft(NamedTuple):
    """What one reviewer prepares for one job."""

    edits: Edits = Edits()
    tried: Tried | None = None

    def is_tried(self, job: Job) -> bool:
        """Tell whether the copy that was looked at is made of this job as it is, and of these edits."""
        return self.tried is not None and self.tried.version == job.version and self.tried.edits == self.edits


class Drafts:
    """Everything that is being prepared in one program: the latest of it, within a number and a size. Thread-safe."""

    def __init__(self, *, most: int = 40, bytes_: int = 128 << 20) -> None:
        self._most, self._bytes = most, bytes_
        self._kept: OrderedDict[tuple[str, str], Draft] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, job: str, person: str) -> Draft:
        """Return what somebody prepares; an empty one where he does not."""
        with self._lock:
            return self._kept.get((job, person), Draft())

    def put(self, job: str, person: str, draft: Draft) -> None:
        """Keep what somebody prepares; what was left alone longest goes where there is too much."""
        with self._lock:
            self._kept.pop((job, person), None)
            self._kept[job, person] = draft
            while len(self._kept) > self._most or (len(self._kept) > 1 and self._size() > self._bytes):
                self._kept.popitem(last=False)

    def drop(self, job: str) -> None:
        """Forget everything that anybody prepared for a job."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == job]:
                del self._kept[key]

    def _size(self) -> int:
        return sum(len(one.tried.body) for one in self._kept.values() if one.tried is not None)


class Redactings:
    """What one person may do on the way to a redacted copy."""

    def __init__(self, acting: Acting, reviews: Reviews, lines: Lines) -> None:
        self._acting = acting
        self._reviews = reviews
        self._lines = lines

    def draft(self, job: Job, drafts: Drafts) -> Draft:
        """Return what this person prepares for a job."""
        return drafts.get(job.id, self._acting.person.id)

    def add(
        self, drafts: Drafts, prefix: str, *, reason: str, page: int = 0, words: str = "", box: Box | None = None
    ) -> Draft:
        """Add words, or a rectangle, to what will be cut. Nothing of it is kept but in memory."""
        return self._change(drafts, prefix, Edits(added=(Added(page=page, words=words, box=box, reason=reason),)))

    def drop(self, drafts: Drafts, prefix: str, finding: int, *, reason: str) -> Draft:
        """Leave a finding in, with every other of the same rule and value; Denied for the mark of a state secret."""
        return self._change(drafts, prefix, Edits(dropped=(Dropped(finding=finding, reason=reason),)))

    def undo(self, drafts: Drafts, prefix: str, what: str, number: int) -> Draft:
        """Take back one of the changes: the `number`th (from 1) of what was `added` or `dropped`."""
        job = self._acting.store.get(prefix)
        person = self._acting.may(Operation.REVIEW_REDACT, job=job.id)
        edits = drafts.get(job.id, person.id).edits
        rows: tuple[Any, ...] = edits.added if what == "added" else edits.dropped
        if not 1 <= number <= len(rows):
            raise NotFound(Say("没有这一项", "there is no such change"))
        left = rows[: number - 1] + rows[number:]
        made = Draft(evolve(edits, added=left) if what == "added" else evolve(edits, dropped=left))
        drafts.put(job.id, person.id, made)
        return made

    def attempt(
        self, drafts: Drafts, prefix: str, *, redacting: Redacting | None = None, sandbox: Sandbox | None = None
    ) -> Tried:
        """Make a copy to look at; Denied, with the reason, where none can be proven clean."""
        job = self._acting.store.get(prefix)
        with self._acting.demand(Operation.REVIEW_REDACT, job=job.id) as entry:
            self._expect(entry, job.id)
            edits = drafts.get(job.id, self._acting.person.id).edits
            entry.append(self._acting.person.id, "redaction-tried", job.id, edits.told())
        with self._lines(redacting, sandbox) as line:
            made = _made(line, job, edits)
        how = redacting or self._acting.config.redacting
        tried = Tried(job.version, edits, how, made[0], made[1])
        drafts.put(job.id, self._acting.person.id, Draft(edits, tried))
        return tried

    def tried(self, drafts: Drafts, prefix: str) -> Tried:
        """Return the copy that was looked at; Conflict where the job or the changes are not those it was made of."""
        job = self._acting.store.get(prefix)
        draft = self.draft(job, drafts)
        if draft.tried is None or not draft.is_tried(job):
            raise Conflict(
                Say(f"任务 {job.id} 尚无现行的脱敏预览", f"job {job.id} has no preview as it is now"),
                Say("先生成预览，核对后再放行", "make one, look at it, and release then"),
            )
        return draft.tried

    def sheet(self, drafts: Drafts, cache: Cache, prefix: str, number: int, *, sandbox: Sandbox | None = None) -> Sheet:
        """Return a page of the copy that was made to be looked at; that it was seen is in the trail first."""
        from dlp.service.gate import sandbox_of  # noqa: PLC0415  see above

        job = self._acting.store.get(prefix)
        person = self._acting.may(Operation.EVIDENCE_VIEW, job=job.id)
        tried = drafts.get(job.id, person.id).tried
        if tried is None:
            raise NotFound(
                Say(f"任务 {job.id} 没有脱敏预览", f"there is no preview of job {job.id}"),
                Say("先生成预览；程序重启后须重新生成", "make one first; it is gone when the program was started anew"),
            )
        key = (job.id, job.version, number, tried.certificate.output_sha256)
        drawn = cache.get(key)
        if drawn is None:
            body = _open(tried.body)
            try:
                with nullcontext(sandbox) if sandbox is not None else sandbox_of(self._acting.config) as warm:
                    drawn = evidence.draw(job, body, number, warm)
            finally:
                os.close(body)
            cache.put(key, drawn)
        trail.seen(self._acting.store, person.id, job, trail.PAGE, page=number)
        return evidence.as_sheet(job, number, drawn)

    def resolved(self, job: Job, edits: Edits) -> Edits | Denial:
        """Return edits with rule and value of each finding that is left in, and every reason masked.

        A no for the mark of a state secret; UsageError where something is missing.
        """
        if len(edits.added) > hand.MOST or len(edits.dropped) > hand.MOST:
            raise UsageError(Say(f"各最多 {hand.MOST} 项", f"at most {hand.MOST} of each"))
        words = [one.words for one in edits.added if one.words]
        dropped = []
        for one in edits.dropped:
            if not 1 <= one.finding <= len(job.findings):
                raise NotFound(
                    Say(f"任务 {job.id} 没有第 {one.finding} 条命中", f"job {job.id} has no finding {one.finding}")
                )
            found = job.findings[one.finding - 1]
            if hand.secret(found):
                return _no_drop(job, one.finding)
            if not found.digest:
                raise UsageError(
                    Say(
                        f"第 {one.finding} 条命中不是一处文字，不能剔除",
                        f"finding {one.finding} is no single text and is not left in",
                    )
                )
            dropped.append(evolve(one, rule=found.rule, digest=found.digest, reason=self._reason(one.reason, words)))
        added = tuple(_checked(evolve(one, reason=self._reason(one.reason, words))) for one in edits.added)
        return Edits(added=added, dropped=tuple(dropped))

    def check(self, entry: Entry, job: Job, edits: Edits) -> Edits | Denial:
        """Return edits as they are done, inside a transaction."""
        check_claim(entry, job.id, self._acting.now(entry))
        return decided_secret(entry, job) or self.resolved(job, edits)

    def _change(self, drafts: Drafts, prefix: str, new: Edits) -> Draft:
        job = self._acting.store.get(prefix)
        with self._acting.demand(Operation.REVIEW_REDACT, job=job.id) as entry:
            job = self._expect(entry, job.id)
            person = self._acting.now(entry)
            before = drafts.get(job.id, person.id).edits
            made = self.resolved(job, new)
            if not isinstance(made, Denial):
                known = {one.finding for one in before.dropped}
                more = tuple(one for one in made.dropped if one.finding not in known)
                draft = Draft(Edits(added=(*before.added, *made.added), dropped=(*before.dropped, *more)))
                if len(draft.edits.added) > hand.MOST:
                    raise UsageError(Say(f"最多 {hand.MOST} 项", f"at most {hand.MOST}"))
                drafts.put(job.id, person.id, draft)
                return draft
            error = refused(entry, person, Operation.REVIEW_REDACT, made, job=job.id)
        raise error

    def _expect(self, entry: Entry, id_: str) -> Job:
        job = entry.job(id_)
        if job.state is not State.HELD:
            state = STATES[job.state]
            raise Conflict(
                Say(f"任务 {job.id} 现为「{state.zh}」，不能脱敏", f"job {job.id} is {state.en}: it is not redacted"),
                Say("请刷新页面", "load the page again"),
            )
        check_claim(entry, job.id, self._acting.now(entry))
        return job

    def _reason(self, text: str, words: list[str]) -> str:
        if not text.strip():
            raise UsageError(Say("每一处人工增删都须写明理由", "each change by hand needs a reason"))
        for one in words:
            text = text.replace(one, "＊＊")
        return self._reviews.masked(text)


def _checked(one: Added) -> Added:
    """Return what is added; UsageError where it is nothing, or two things."""
    if bool(one.words.strip()) == (one.box is not None):
        raise UsageError(Say("填写文字，或在页面上框选（二选一）", "give words or draw a rectangle, one of them"))
    if len(one.words) > hand.MOST_WORDS:
        raise UsageError(Say(f"文字最多 {hand.MOST_WORDS} 字", f"at most {hand.MOST_WORDS} characters"))
    box = one.box
    if box is not None:
        sides = (box.x0, box.y0, box.x1, box.y1)
        if box.page < 1 or not all(-1e5 < side < 1e5 for side in sides):
            raise UsageError(Say("框选的位置不对", "the rectangle is nowhere on a page"))
        if box.x1 - box.x0 < hand.SMALLEST or box.y1 - box.y0 < hand.SMALLEST:
            raise UsageError(Say("框选的范围太小", "the rectangle is too small"))
        return evolve(one, page=box.page)  # type: ignore[no-any-return]
    return evolve(one, words=one.words.strip())  # type: ignore[no-any-return]


def _no_drop(job: Job, number: int) -> Denial:
    return Denial(
        why=Why.TERM,
        say=Say(
            f"任务 {job.id} 第 {number} 条命中是国家秘密标志，不得剔除",
            f"finding {number} of job {job.id} is the mark of a state secret and is never left out",
        ),
        hint=Say("认为是误报的，注明误报并送审", "where it is a false alarm, say so and ask for approval"),
        article=f"{LAW_2024}第二十二条",
    )


def _made(line: Line, job: Job, edits: Edits) -> tuple[Certificate, bytes]:
    made = line.try_held(job, edits)
    try:
        size = os.fstat(made.body).st_size
        return made.certificate, os.pread(made.body, size, 0)
    finally:
        os.close(made.body)


def _open(body: bytes) -> int:
    """Return an fd of bytes that lies in memory alone."""
    fd = os.memfd_create("dlp-preview", os.MFD_CLOEXEC)
    left = memoryview(body)
    while left:
        left = left[os.write(fd, left) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def beside(acting: Acting, redactings: Redactings, job: Job, edits: Edits) -> Callable[[Entry], Mapping[str, Any]]:
    """Return what is looked at once more in the transaction that lets a copy go."""

    def again(entry: Entry) -> Mapping[str, Any]:
        denial = acting.denial(entry, Operation.REVIEW_REDACT)
        if denial is None:
            made = redactings.check(entry, job, edits)
            denial = made if isinstance(made, Denial) else None
        if denial is not None:
            raise Denied(denial.say, denial.hint)
        return {}

    return again
