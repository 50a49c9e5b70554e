"""What is withheld because it may not be here: listed, and given to whoever must have it, against a receipt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dlp.errors import Denied, UsageError
from dlp.model import Say, State
from dlp.rights import Operation
from dlp.service import trail
from dlp.service.acting import Acting
from dlp.service.receipt import STATES
from dlp.sources.names import shown
from dlp.store import Job
from dlp.vault import Vault

ALL = (State.WITHHELD, State.RETURNED, State.HANDED_OVER)


class Withheld:
    """What was withheld at one site, in the name of one person."""

    def __init__(self, acting: Acting, vault: Callable[[], Vault]) -> None:
        self._acting = acting
        self._store = acting.store
        self._vault = vault

    def all(self, *, every: bool = False, limit: int = 0) -> tuple[Job, ...]:
        """Return what is withheld, newest first; with `every`, also what was given away."""
        self._acting.may(Operation.JOB_LIST)
        return self._store.jobs(ALL if every else (State.WITHHELD,), limit=limit)

    def get(self, prefix: str) -> Job:
        """Return one of them: the mark, where it stands, hash and size; there is nothing else."""
        self._acting.person  # noqa: B018  whoever has not logged in is not told what there is
        job = self._store.get(prefix)
        person = self._acting.may(Operation.JOB_SHOW, job=job.id)
        trail.seen(self._store, person.id, job, "evidence")
        return job

    def hand_over(self, prefix: str, *, to: str, receipt: str, out: Path | None = None) -> Job:
        """Give a withheld file away: what is sealed goes to `out` as it is, and the copy here is destroyed.

        What was handed back needs no `out`. UsageError where a name, a receipt or that file is missing; Denied where
        it is not withheld.
        """
        if not to.strip() or not receipt.strip():
            raise UsageError(
                Say("须写明接收人和回执号", "who takes it, and the number of the receipt, are required"),
                Say("用 --to 和 --receipt 写明", "give them with --to and --receipt"),
            )
        self._acting.person  # noqa: B018  as above
        job = self._store.get(prefix)
        self._acting.may(Operation.HOLD_RETURN, job=job.id)
        if job.state is not State.WITHHELD or job.place:
            zh, en = STATES[job.state].zh, STATES[job.state].en
            raise Denied(
                Say(f"任务 {job.id} 现为“{zh}”，不能移交", f"job {job.id} is {en} and cannot be handed over"),
                Say("只有暂扣、且已退还或密封的可以移交", "only what is withheld, and sealed or handed back, can be"),
            )
        sealed = job.sealed is not None
        if sealed and out is None:
            raise UsageError(
                Say("须写明密封件写到哪里", "where the sealed file is written is required"),
                Say("用 --out 写明", "use --out"),
            )
        if sealed and out is not None:
            self._copy_out(job.id, out)
        with self._acting.demand(Operation.HOLD_RETURN, job=job.id) as entry:
            to_state = State.HANDED_OVER if sealed else State.RETURNED
            moved = entry.move(job.id, (State.WITHHELD,), to_state, {"sealed": None})
            body = {"to": to.strip(), "receipt": receipt.strip(), "sealed": sealed, "state": to_state.value}
            entry.append(self._acting.person.id, to_state.value, job.id, body)
        self._vault().destroy(job.id)
        return moved

    def _copy_out(self, job: str, out: Path) -> None:
        try:
            self._vault().copy_out(job, out)
        except OSError as err:
            name = shown(str(out).encode())
            raise UsageError(
                Say(f"写不了文件：{name}：{err.strerror}", f"cannot write {name}: {err.strerror}"),
                Say("换一个文件名，或检查文件夹和空间", "give another name, or check the folder and the space"),
            ) from err
