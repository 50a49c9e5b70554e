"""What people do with held jobs: look, release, reject; and what they ask of the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from dlp import certificate, pipeline
from dlp.certificate import Signed
from dlp.config import Config
from dlp.errors import Denied, NotFound, StoreError, UsageError
from dlp.model import Say, State
from dlp.service import compiled, trail
from dlp.service.gate import load_packs, redactable, sandbox_of
from dlp.service.keys import deployment_key
from dlp.service.line import Channel, Line
from dlp.service.receipt import STATES
from dlp.service.trail import Evidence, Verification
from dlp.sources.folder import FolderSource
from dlp.sources.held import HeldSource
from dlp.sources.printer import PrinterSource
from dlp.store import AuditEvent, Job, JobFilter
from dlp.store.sqlite import SqliteStore
from dlp.vault import Vault


class Desk:
    """The desk of one site. Works beside a running daemon: every change is one checked transaction."""

    def __init__(self, config: Config, store: SqliteStore) -> None:
        self.config = config
        self.store = store

    @classmethod
    def open(cls, config: Config) -> Self:
        """Open the store of `config`; StoreError when there is none yet or it cannot be read."""
        return cls(config, SqliteStore.open(Path(config.store.path), create=False))

    @classmethod
    def prepare(cls, config: Config) -> Self:
        """Open the store of `config`, and make store and keys where nothing has started yet."""
        path = Path(config.store.path)
        try:
            with SqliteStore.hold_exclusive(path):
                open_vault(config)
                return cls(config, SqliteStore.open(path, create=True))
        except StoreError:  # a gate has it: then everything is there; whatever else it was is told again
            return cls.open(config)

    def held(
        self, state: State | None = None, *, only: JobFilter | None = None, limit: int = 0, before: str = ""
    ) -> tuple[Job, ...]:
        """Return the jobs in `state`, newest first; None means what waits in the vault: held, blocked, failed.

        `limit` 0 means all; `before` is the id below which to go on.
        """
        return self.store.jobs(_waiting(state), only=only, limit=limit, before=before)

    def each_held(
        self, state: State | None = None, *, only: JobFilter | None = None, before: str = ""
    ) -> Iterator[Job]:
        """Give the same jobs, read a page at a time."""
        return self.store.each(_waiting(state), only=only, before=before)

    def count_held(self, state: State | None = None, *, only: JobFilter | None = None) -> int:
        """Return how many there are."""
        return self.store.count(_waiting(state), only=only)

    def show(self, prefix: str, *, person: str) -> Job:
        """Return one job by its id or a unique beginning of it; NotFound when there is none.

        That the person was shown what a job at 机密 or above holds is in the trail before it is returned.
        """
        job = self.store.get(prefix)
        trail.seen(self.store, person, job, "evidence")
        return job

    def release(self, prefix: str, *, actor: str, reason: str) -> Job:
        """Release a held job into its release folder; Denied when it is not held, VaultError without the key."""
        job = self._held(prefix, reason)
        with _reviewing(self.config, self.store) as line:
            return line.release_held(job, actor=actor, reason=reason)

    def reject(self, prefix: str, *, actor: str, reason: str) -> Job:
        """Reject a held job: it never leaves; the sealed copy stays until it is handed over for destruction."""
        job = self._held(prefix, reason)
        return self.store.move(
            job.id, expect=State.HELD, to=State.REJECTED, actor=actor, kind="rejected", body={"reason": reason}
        )

    def certificate(self, prefix: str) -> Signed:
        """Return the signed certificate of a redacted job; NotFound for any other job."""
        job = self.store.get(prefix)
        if not job.certificate:
            raise NotFound(
                Say(f"任务 {job.id} 没有脱敏处理证明", f"job {job.id} has no certificate of redaction"),
                Say("只有已脱敏放行的任务才有", "only jobs that were released after redaction have one"),
            )
        return certificate.read(job.certificate)

    def audit_verify(self, given: Evidence | None = None) -> Verification:
        """Return whether the whole trail holds, and what is wrong if it does not."""
        return trail.verify(self.config, self.store, given)

    def events(self) -> Iterator[AuditEvent]:
        """Return every audit event, oldest first."""
        return self.store.events()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _held(self, prefix: str, reason: str) -> Job:
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


def _waiting(state: State | None) -> tuple[State, ...]:
    return (state,) if state else (State.HELD, State.BLOCKED, State.FAILED)


class _reviewing:  # noqa: N801  used as a function
    """Gives a line that can settle jobs: it opens the vault and stamps pages, but judges no document."""

    def __init__(self, config: Config, store: SqliteStore) -> None:
        self._config = config
        self._store = store

    def __enter__(self) -> Line:
        config = self._config
        key = deployment_key(Path(config.store.path).parent)
        loaded = load_packs(config)
        self._sandbox = sandbox_of(config)
        if any(printer.stamp != "none" for printer in config.printers):
            self._sandbox.start()
        matcher = compiled.matcher(config, loaded, key)
        kit = pipeline.Kit(self._sandbox, matcher, config.policy, redactable(loaded), config.redacting)
        return Line(
            config=config,
            kit=kit,
            vault=open_vault(config),
            store=self._store,
            sources=channels(config, key),
        )

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()


def open_vault(config: Config) -> Vault:
    """Return the vault of `config`, made at first start."""
    vault = config.vault
    return Vault.create(Path(vault.folder), identity=Path(vault.identity), work=Path(vault.work_key))


def channels(config: Config, key: bytes) -> dict[str, Channel]:
    """Return the configured folders and printers as sources, by source name."""
    state = Path(config.store.path).parent / "printers"
    found: list[Channel] = [FolderSource(spec, key=key) for spec in config.folders]
    for spec in config.printers:
        kind = HeldSource if spec.mode == "held" else PrinterSource
        found.append(kind(spec, config.printing, state=state, key=key))
    return {source.name: source for source in found}
