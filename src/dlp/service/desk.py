"""What people do with held jobs: look, release, reject; and what they ask of the audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dlp import certificate
from dlp.approval import CaseState
from dlp.certificate import Signed
from dlp.checkpoint import Checkpoint
from dlp.config import Config
from dlp.errors import Denied, NotFound, StoreError, UsageError
from dlp.hand import Edits
from dlp.model import Level, Redacting, Regime, Say, State, evolve
from dlp.rights import CENTRE, Denial, Operation, right
from dlp.service import (
    accounts,
    destructions,
    incidents,
    notary,
    publishing,
    receipt,
    restore,
    returning,
    reviews,
    trail,
)
from dlp.service import redacting as redacting_
from dlp.service.acting import Acting, refused
from dlp.service.cases import CASES, Cases
from dlp.service.destructions import Destructions, Keeper
from dlp.service.incidents import Incidents
from dlp.service.keys import deployment_key
from dlp.service.places import channels, open_vault
from dlp.service.receipt import STATES
from dlp.service.redacting import Redactings
from dlp.service.reviews import Reviews
from dlp.service.second import Seconds
from dlp.service.trail import Evidence, Verification
from dlp.service.withheld import Withheld
from dlp.store import AuditEvent, EventFilter, Job, JobFilter
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore
from dlp.vault import Vault

if TYPE_CHECKING:  # what judges and settles files is loaded where that is done: nobody waits for it who looks at a list
    from dlp.sandbox import Sandbox
    from dlp.service.doctor import Check
    from dlp.service.line import Line
    from dlp.service.printing.rows import Row
    from dlp.service.workbench import Workbench

KEEPERS: tuple[Keeper, ...] = (reviews.keeps, incidents.keeps)
"""What keeps a job from every destruction list: the law, a retention that somebody set, a freeze."""


class Desk:
    """The desk of one site. Works beside a running daemon: every change is one checked transaction."""

    def __init__(self, config: Config, store: SqliteStore, token: str = "") -> None:
        self.config = config
        self.store = store
        self.acting = Acting.at(config, store, token)
        self.seconds = Seconds(
            self.acting,
            accounts.doing(),
            incidents.doing(),
            restore.doing(),
            reviews.doing(),
            destructions.doing(KEEPERS),
            publishing.doing(),
            after={**destructions.after(store, self._vault), **publishing.after(config, store)},
        )
        self.cases = Cases(self.acting)
        self.incidents = Incidents(self.acting)
        self.withheld = Withheld(self.acting, self._vault)
        self.destructions = Destructions(self.acting, self._vault, KEEPERS)
        self.reviews = Reviews(self.acting, self.seconds)
        self.redactings = Redactings(self.acting, self.reviews, self._line)

    @cached_property
    def workbench(self) -> Workbench:
        """Return the workbench of rules; it loads the scanner."""
        from dlp.service.workbench import Workbench  # noqa: PLC0415  see above

        return Workbench(self.acting, self.seconds)

    @classmethod
    def open(cls, config: Config, token: str = "") -> Self:
        """Open the desk of a site for whoever is known by `token` (`People.log_in`).

        StoreError when there is no store yet or it cannot be read; Denied for a token that is known no more.
        """
        restore.finish(config)
        store = SqliteStore.open(Path(config.store.path), create=False)
        try:
            return cls(config, store, token)
        except BaseException:
            store.close()
            raise

    @classmethod
    def prepare(cls, config: Config, token: str = "") -> Self:
        """Open it, and make store and keys where nothing has started yet."""
        path = Path(config.store.path)
        try:
            with SqliteStore.hold_exclusive(path):
                restore.roll(config)
                open_vault(config)
                return cls(config, SqliteStore.open(path, create=True), token)
        except StoreError:  # a gate has it: then everything is there; whatever else it was is told again
            return cls.open(config, token)

    def held(
        self, state: State | None = None, *, only: JobFilter | None = None, limit: int = 0, before: str = ""
    ) -> tuple[Job, ...]:
        """Return the jobs in `state`, newest first; None means what waits in the vault: held, blocked, failed.

        `limit` 0 means all; `before` is the id below which to go on.
        """
        self.acting.may(Operation.JOB_LIST)
        return self.store.jobs(_waiting(state), only=only, limit=limit, before=before)

    def each_held(
        self, state: State | None = None, *, only: JobFilter | None = None, before: str = ""
    ) -> Iterator[Job]:
        """Give the same jobs, read a page at a time."""
        self.acting.may(Operation.JOB_LIST)
        return self.store.each(_waiting(state), only=only, before=before)

    def count_held(self, state: State | None = None, *, only: JobFilter | None = None) -> int:
        """Return how many there are."""
        self.acting.may(Operation.JOB_LIST)
        return self.store.count(_waiting(state), only=only)

    def jobs(
        self, states: Sequence[State] = (), *, only: JobFilter | None = None, limit: int = 0, before: str = ""
    ) -> tuple[Job, ...]:
        """Return jobs in any of `states` (none: whichever), newest first, whether they left or not."""
        self.acting.may(Operation.JOB_LIST)
        return self.store.jobs(states, only=only, limit=limit, before=before)

    def show(self, prefix: str) -> Job:
        """Return one job by its id or a unique beginning of it; NotFound when there is none.

        That somebody was shown what a job at 机密 or above holds is in the trail before it is returned.
        """
        self.acting.person  # noqa: B018  whoever has not logged in is not told what there is
        job = self.store.get(prefix)
        person = self.acting.may(Operation.JOB_SHOW, job=job.id)
        trail.seen(self.store, person.id, job, "evidence")
        return job

    def receipt(self, prefix: str) -> tuple[Job, str]:
        """Return one job and what its sender is told of it; NotFound where it is not stopped and nothing is."""
        job = self.show(prefix)
        text = receipt.again(job, self.config.site)
        if text:
            return job, text
        raise NotFound(
            Say(f"任务 {job.id} 没有拦截说明", f"job {job.id} has no receipt"),
            Say("只有暂扣、拦截或脱敏放行的任务才有", "only what was held, blocked or redacted has one"),
        )

    def release(self, prefix: str, *, reason: str, case: str = "", copies: int | None = None, actor: str = "") -> Job:
        """Release a held job: on the approval `case`, with so many of its copies (all that are left of it).

        Denied when it is not held, or not on an approval that holds for it; VaultError without the private key. Where
        there are no accounts yet, whoever has this machine releases on a reason alone, as `actor`.
        """
        job = self._held(prefix, reason)
        if self.acting.alone:
            person = self.acting.may(Operation.JOB_RELEASE, job=job.id)
            _check_alone(job)
            with _reviewing(self.config, self.store) as line:
                return line.release_held(job, actor=actor or person.id, reason=reason)
        clearing = self.cases.cleared(case or self._only_case(job), job, copies)
        with _reviewing(self.config, self.store) as line:
            return line.release_held(
                job, actor=self.acting.person.id, reason=reason, copies=clearing.copies, beside=clearing
            )

    def reject(self, prefix: str, *, reason: str, actor: str = "") -> Job:
        """Reject a held job: it never leaves; the sealed copy stays until it is handed over for destruction."""
        job = self._held(prefix, reason)
        with self.acting.demand(Operation.REVIEW_REJECT, job=job.id) as entry:
            reviews.check_claim(entry, job.id, self.acting.person)
            rejected = entry.move(job.id, (State.HELD,), State.REJECTED, {})
            who = actor if actor and self.acting.alone else self.acting.person.id
            entry.append(who, "rejected", job.id, {"reason": reason, "state": rejected.state.value})
        return rejected

    def _vault(self) -> Vault:
        return open_vault(self.config)

    def give_back(self, prefix: str, folder: Path | None, *, reason: str) -> tuple[Job, Path]:
        """Give the original of a held or rejected job back to its sender; return the job and the new file.

        Without a folder, where its counter gets what is handed back.
        """
        return returning.give_back(self.acting, prefix, folder, reason)

    def redact(
        self,
        prefix: str,
        *,
        reason: str,
        redacting: Redacting | None = None,
        edits: Edits | None = None,
        sandbox: Sandbox | None = None,
    ) -> Job:
        """Release a proven redacted copy of a held job; its original stays sealed. Denied where none can be proven.

        `edits` are what the reviewer adds to what is cut, and what he leaves in; each for a reason, which the event
        that lets the copy go holds.
        """
        job = self._held(prefix, reason)
        person = self.acting.person
        error: Denied | None = None
        with self.acting.demand(Operation.REVIEW_REDACT, job=job.id) as first:
            made = self.redactings.check(first, job, edits or Edits())
            if isinstance(made, Denial):
                error = refused(first, person, Operation.REVIEW_REDACT, made, job=job.id)
        if error is not None:
            raise error
        assert not isinstance(made, Denial)  # noqa: S101  it was raised above
        beside = redacting_.beside(self.acting, self.redactings, job, made)
        with self._line(redacting, sandbox) as line:
            return line.redact_held(job, actor=person.id, reason=reason, beside=beside, edits=made)

    def _line(self, redacting: Redacting | None = None, sandbox: Sandbox | None = None) -> _reviewing:
        config = evolve(self.config, redacting=redacting) if redacting else self.config
        return _reviewing(config, self.store, sandbox)

    def _only_case(self, job: Job) -> str:
        """Return the one approval of a job that can be used; Denied where there is none or several."""
        ready = self.store.records(CASES, RecordFilter(job=job.id, states=(CaseState.APPROVED.value,)))
        if len(ready) == 1:
            return ready[0].id
        if ready:
            raise UsageError(
                Say(f"任务 {job.id} 有 {len(ready)} 个批准", f"job {job.id} has {len(ready)} approvals"),
                Say("用 --case 写明凭哪一个", "name one with --case"),
            )
        raise Denied(
            Say(f"任务 {job.id} 没有批准，不能放行", f"job {job.id} has no approval and is not released"),
            Say(
                f"用 dlp quarantine request {job.id} 送审（依据：{right(Operation.JOB_RELEASE).article}）",
                f"ask for one with `dlp quarantine request {job.id}`",
            ),
        )

    def certificate(self, prefix: str) -> Signed:
        """Return the signed certificate of a redacted job; NotFound for any other job."""
        self.acting.person  # noqa: B018  as above
        job = self.store.get(prefix)
        person = self.acting.may(Operation.JOB_SHOW, job=job.id)
        trail.seen(self.store, person.id, job, "certificate")
        if not job.certificate:
            raise NotFound(
                Say(f"任务 {job.id} 没有脱敏处理证明", f"job {job.id} has no certificate of redaction"),
                Say("只有已脱敏放行的任务才有", "only jobs that were released after redaction have one"),
            )
        return certificate.read(job.certificate)

    def audit_verify(self, given: Evidence | None = None) -> Verification:
        """Return whether the whole trail holds, and what is wrong if it does not; the trail tells who looked."""
        person = self.acting.may(Operation.AUDIT_VERIFY)
        seen = trail.verify(self.config, self.store, given)
        if not self.acting.alone:
            trail.told(self.store, person.id, seen)
        return seen

    def chain(self) -> trail.Chain:
        """Return where the trail stands: its last event, its last checkpoint, and when it was last verified."""
        self.acting.may(Operation.AUDIT_VERIFY)
        return trail.chain(self.store)

    def checkpoint(self) -> Checkpoint:
        """Sign the head of the trail now."""
        self.acting.may(Operation.AUDIT_CHECKPOINT)
        return notary.sign(self.config, self.store)

    def found_events(
        self, only: EventFilter, *, file: str = "", limit: int = 0, before: int = 0
    ) -> Iterator[AuditEvent]:
        """Give the events that are wanted, newest first (see `trail.find`)."""
        self.acting.may(Operation.AUDIT_READ)
        return trail.find(self.store, only, file=file, limit=limit, before=before)

    def events(self) -> Iterator[AuditEvent]:
        """Return every audit event, oldest first."""
        self.acting.may(Operation.AUDIT_EXPORT)
        return self.store.events()

    def health(self) -> tuple[Check, ...]:
        """Return every check of this machine and this configuration."""
        from dlp.service.doctor import examine  # noqa: PLC0415  it loads every reader

        self.acting.may(Operation.HEALTH_READ)
        return examine(self.config)

    def queues(self) -> tuple[Row, ...]:
        """Return how the print queues stand, and every way around the gate; nothing where there are no printers."""
        from dlp.service.printing import status  # noqa: PLC0415  as above

        self.acting.may(Operation.HEALTH_READ)
        return status.examine(self.config) if self.config.printers else ()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _held(self, prefix: str, reason: str) -> Job:
        self.acting.person  # noqa: B018  whoever has not logged in is not told what there is
        if not reason.strip():
            raise UsageError(
                Say("必须写明理由", "a reason is required"), Say("用 --reason 写明", "give it with --reason")
            )
        job = self.store.get(prefix)
        if job.state is not State.HELD:
            raise Denied(
                Say(
                    f"任务 {job.id} 现为「{STATES[job.state].zh}」，不能研判",
                    f"job {job.id} is {STATES[job.state].en}: it cannot be decided on",
                ),
                Say(
                    "只有隔离中的任务可以放行或驳回；已拦截的不得放行",
                    "only held jobs can be; a blocked job is never released",
                ),
            )
        return job


def _check_alone(job: Job) -> None:
    """Raise Denied for what only an approval lets go, 秘密 and above: there are no accounts to approve of anything."""
    verdict = job.verdict
    level, regime = (verdict.level, verdict.regime) if verdict else (None, None)
    state = regime in (Regime.STATE, Regime.EXAM)
    if not state and (level is None or level < Level.SECRET):
        return
    raise Denied(
        Say(
            f"任务 {job.id} 为{level.value if level else '国家秘密'}，须经审批，尚无账号时不得放行",
            f"job {job.id} is {level.value if level else 'a state secret'}: without accounts nobody approves of it",
        ),
        Say(
            f"用 dlp people begin 建立账号后送审（依据：{CENTRE}第十条）",
            f"make accounts with `dlp people begin`, then ask for approval (basis: {CENTRE}第十条)",
        ),
    )


def _waiting(state: State | None) -> tuple[State, ...]:
    return (state,) if state else (State.HELD, State.BLOCKED, State.FAILED, State.WITHHELD)


class _reviewing:  # noqa: N801  used as a function
    """Gives a line that can settle jobs: it opens the vault and stamps pages, but judges no document."""

    def __init__(self, config: Config, store: SqliteStore, warm: Sandbox | None = None) -> None:
        self._config = config
        self._store = store
        self._warm = warm

    def __enter__(self) -> Line:
        from dlp.pipeline import Kit  # noqa: PLC0415  see above
        from dlp.service import compiled  # noqa: PLC0415
        from dlp.service.gate import load_packs, redactable, sandbox_of  # noqa: PLC0415
        from dlp.service.line import Line  # noqa: PLC0415

        config = self._config
        key = deployment_key(Path(config.store.path).parent)
        loaded = load_packs(config)
        self._sandbox = self._warm or sandbox_of(config)
        if self._warm is None and any(printer.stamp != "none" for printer in config.printers):
            self._sandbox.start()
        matcher = compiled.matcher(config, loaded, key)
        kit = Kit(self._sandbox, matcher, config.policy, redactable(loaded), config.redacting)
        return Line(
            config=config,
            kit=kit,
            vault=open_vault(config),
            store=self._store,
            sources=channels(config, key),
        )

    def __exit__(self, *_: object) -> None:
        if self._warm is None:
            self._sandbox.close()
