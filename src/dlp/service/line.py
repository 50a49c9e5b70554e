"""The line that every job runs along: taken, sealed, inspected, decided, settled. A crash at any step resumes here.

The order is the guarantee. The file is sealed and read back before it is removed from where the operator put it; the
verdict is committed before anything leaves; what leaves is a copy of the sealed, hashed bytes that were inspected.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from dlp import certificate, durable, imprint, incident, pipeline, vault, withhold
from dlp.config import Config
from dlp.errors import Conflict, Denied, DlpError, StoreError, VaultError
from dlp.hand import Edits
from dlp.incident import INCIDENTS, Cause, Freeze, Incident, Stopped
from dlp.model import Action, Certificate, Finding, Inspection, Item, Outcome, Say, State, Verdict, evolve
from dlp.pipeline import Kit, Redaction, Stamped
from dlp.review import REVIEWS
from dlp.service import certify, destructions, receipt
from dlp.service.keys import new_id
from dlp.sources import Arrival, Doubt, Files, Found, Onward, TakenBack, TakeRefused, Void
from dlp.store import Job
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter
from dlp.store.sqlite import Beside, SqliteStore
from dlp.vault import Pieces, Vault

ACTOR = "gate"
TURNED_AWAY = (
    *(State.HELD, State.BLOCKED, State.FAILED, State.REJECTED, State.REDACTED),
    *(State.WITHHELD, State.RETURNED, State.HANDED_OVER),
)
"""Where a job came from, it is told that it did not leave, or not as it came."""
DONE = (State.RELEASED, State.REFUSED, State.CANCELLED, State.RETURNED)
"""A job here needs its sealed copy no more."""
GONE = (State.WITHHELD, State.HANDED_OVER)
"""A job here needs its sealed copy only where the books say that there is one."""
STOPPING = "!"
"""In the stead of the place of a folder's job whose staged copy is taken back."""
LEAVING = (State.DECIDED, State.HELD, State.RELEASING)
"""A job here may need the copy that is to leave."""


class _Said(NamedTuple):
    """The word that lets something leave: the hash of what leaves, who says so, what audit trail and job say more."""

    sha256: str
    actor: str = ACTOR
    body: Mapping[str, Any] = MappingProxyType({})
    beside: Beside | None = None
    """Writes the approval that it stands on, in the same transaction."""
    fields: Mapping[str, Any] = MappingProxyType({})


Channel = Files | Onward


class Line:
    """One gate's line. Thread-safe: several threads submit at once; each job is run by one of them."""

    def __init__(
        self,
        *,
        config: Config,
        kit: Kit,
        vault: Vault,
        store: SqliteStore,
        sources: Mapping[str, Channel],
    ) -> None:
        self.config = config
        self.kit = kit
        self.vault = vault
        self.store = store
        self.sources = sources
        self.cleared: Callable[[str], None] = lambda _: None
        """Hears of each source whose job may leave now, where somebody else sends it."""
        self._in_hand: set[str] = set()

    def in_hand(self, job: str) -> bool:
        """Tell whether a thread is at work on a job: reading a long scan takes minutes."""
        return job in self._in_hand

    def submit(self, found: Found) -> Outcome | None:
        """Take, inspect and settle one found file; None when it vanished or changed before it was sealed.

        OSError and VaultError mean that nothing was taken: the file is untouched and may be offered again.
        """
        source = self._files(found.source)
        try:
            fd = source.open(found)
        except TakeRefused as err:
            self.refuse(found, err.say)
            return None
        except FileNotFoundError:
            return None
        try:
            about = Item(id="", source=found.source, path="", name="", owner=source.owner, target=source.target)
            job, body = self._take(found, fd, about)
        finally:
            os.close(fd)
        source.remove(found)
        return self._run(job, body)

    def receive(self, arrival: Arrival) -> tuple[Job, int | None]:
        """Seal a job that somebody sends; return it, and its plaintext for `run`, which closes that.

        VaultError means that nothing was taken: the sender still has it.
        """
        channel = self.sources[arrival.found.source]
        about = Item(
            id="",
            source=arrival.found.source,
            path="",
            name="",
            owner=arrival.owner or channel.owner,
            target=channel.target,
            copies=arrival.copies,
            paper=arrival.paper,
            origin=arrival.origin,
        )
        return self._take(arrival.found, arrival.pieces, about)

    def run(self, job: Job, body: int | None) -> Outcome:
        """Inspect and settle a job that was received."""
        return self._run(job, body)

    def drop_double(self, job: Job, body: int | None, first: str) -> None:
        """Drop a job that its sender sent a second time, because the answer to the first did not reach it."""
        if body is not None:
            os.close(body)
        note = Say(f"与任务 {first} 是同一次送检，不重复处理", f"it was sent a second time and is job {first}")
        self.store.move(
            job.id, expect=State.STORED, to=State.REFUSED, actor=ACTOR, kind="double", body={"of": first}, note=note
        )
        self.vault.destroy(job.id)

    def cancel(self, job: str, who: str) -> bool:
        """Take a job back on its owner's word; False when it is too late. What it holds is still found and told."""
        for expected in (State.STORED, State.DECIDED, State.RELEASING):
            with suppress(StoreError):
                asked = self.store.move(
                    job, expect=expected, to=expected, actor=ACTOR, kind="cancel-asked", body={}, cancelled=who
                )
                return not asked.place
        return False

    def refuse(self, found: Found, say: Say) -> None:
        """Record something that is never taken: a link, a device, a pipe; it stays where it is."""
        self.store.note(
            actor=ACTOR,
            kind="refused",
            job="",
            body={"source": found.source, "path": self._shown(found), "zh": say.zh, "en": say.en},
        )

    def fail(self, job: Job, why: str) -> None:
        """Set a job aside that a bug of ours stops: sealed for the reviewer, told to the operator, never released.

        `why` is kind and code lines of the fault. A job that is being taken or released is left as it is.
        """
        if job.state not in (State.STORED, State.DECIDED):
            return
        note = Say(
            "程序内部错误：文件已密封，未放行；请联系管理员",
            "an internal fault: the file is sealed and was not released; call the administrator",
        )
        if self.vault.has_outside and withhold.forbids(job.findings, self.config.site):
            self.vault.close_outside(job.id, None)
        else:
            self.vault.close_to_public(job.id, None)
        source = self.sources.get(job.item.source)
        if source is not None:
            seen = receipt.seen_of(job, job.verdict or Verdict(action=Action.QUARANTINE))
            try:
                self._tell(job, source, seen, Action.QUARANTINE, note)
            except msgspec.DecodeError:
                self.store.note(actor=ACTOR, kind="receipt-failed", job=job.id, body={"why": "unreadable place"})
        self.store.move(
            job.id, expect=job.state, to=State.FAILED, actor=ACTOR, kind="failed", body={"why": why}, note=note
        )

    def finish(self, job: Job) -> Outcome | None:
        """Carry one unfinished job on from its last committed state."""
        source = self.sources.get(job.item.source)
        if job.state is State.TAKING:
            # The commit that says "sealed" never came, so the source file is still in place and will be offered again.
            self.vault.destroy(job.id)
            note = Say(
                "取件中断，文件原样保留，将重新取件", "taking was cut off; the file is in place and is taken anew"
            )
            self.store.move(
                job.id, expect=State.TAKING, to=State.REFUSED, actor=ACTOR, kind="retake", body={}, note=note
            )
            return None
        if source is None:
            self.store.note(actor=ACTOR, kind="no-source", job=job.id, body={"source": job.item.source})
            return None
        if job.state is State.RELEASING:
            return self._send(job, source) if isinstance(source, Onward) else self._publish(job, source)
        if job.state is State.WITHHELD:
            return self._hand_back(job, source)
        if job.state is State.DECIDED and job.verdict is not None and job.verdict.action >= Action.QUARANTINE:
            # The sealed copy may already be closed to this machine; the committed verdict needs no second look.
            return self._enforce(job, receipt.seen_of(job, job.verdict), None)
        if job.state is State.STORED:
            source.remove(self._found(job.item))
        body = self.vault.open(job.id, job.item.sha256) if job.item.size <= self.config.limits.file_bytes else None
        return self._run(job, body)

    def release_held(self, job: Job, *, actor: str, reason: str, copies: int = 0, beside: Beside | None = None) -> Job:
        """Release a held job; needs the private key of the vault on this machine.

        `beside` writes the approval into the transaction that lets it go, and so many `copies` go then (0: as many as
        were asked for). What it raises leaves the job held.
        """
        source = self.sources[job.item.source]
        proven = bool(job.certificate)  # a proven copy that could not be handed on: it leaves, not its original
        body = self._outgoing(job) if proven else self.vault.open(job.id, job.item.sha256)
        if copies:
            job = evolve(job, item=evolve(job.item, copies=copies))  # the stamp tells how many there are
        said = _Said(
            sha256=job.outgoing if proven else job.item.sha256,
            actor=actor,
            body={"reason": reason, "redacted": proven},
            beside=beside,
            fields={"item": job.item} if copies else {},
        )
        staged = self._let_go(job, source, body, said, stamp=not proven)
        if not isinstance(source, Onward):
            self._publish(staged, source, actor=actor)
        return self.store.get(job.id)

    def _files(self, name: str) -> Files:
        source = self.sources[name]
        if isinstance(source, Onward):
            raise TypeError(f"{name} is no folder")
        return source

    def unfinished(self) -> tuple[Job, ...]:
        """Return the jobs that are still on their way: also back to where they came from."""
        return (*self.store.unfinished(), *self.store.on_their_way_back())

    def repeat(self, job: Job) -> None:
        """Tell once more what was decided on a job that did not leave as it came: it may not have been heard."""
        source = self.sources.get(job.item.source)
        if source is not None and job.verdict is not None:
            said = {**dict.fromkeys((State.BLOCKED, *GONE), Action.BLOCK), State.REDACTED: Action.REDACT}
            self._tell(job, source, receipt.seen_of(job, job.verdict), said.get(job.state, Action.QUARANTINE), job.note)

    def _take(self, found: Found, source: int | Pieces, about: Item) -> tuple[Job, int | None]:
        now = time.time()
        shown = self._shown(found)
        item: Item = evolve(
            about,
            id=new_id(now),
            path=shown,
            name=shown.rsplit("/", 1)[-1],
            size=found.size,
            received=now,
            receipt=self.vault.lock_text(msgspec.json.encode(found)),
        )
        job = Job(id=item.id, item=item, state=State.TAKING, created=now, updated=now)
        self.store.add(job, actor=ACTOR, kind="taking", body={"source": item.source, "path": shown, "size": item.size})
        try:
            taken = self.vault.take(source, item.id, keep=self.config.limits.file_bytes)
        except (VaultError, OSError) as err:
            note = (
                err.say if isinstance(err, DlpError) else Say("取件失败，文件原样保留", "taking failed; file in place")
            )
            self.store.move(
                item.id, expect=State.TAKING, to=State.REFUSED, actor=ACTOR, kind="retake", body={}, note=note
            )
            raise
        item = evolve(item, sha256=taken.sealed.sha256, size=taken.sealed.size)
        job = self.store.move(
            item.id,
            expect=State.TAKING,
            to=State.STORED,
            actor=ACTOR,
            kind="sealed",
            body={"sha256": item.sha256, "size": item.size},
            item=item,
            sealed=taken.sealed,
        )
        return job, taken.body

    def _run(self, job: Job, body: int | None) -> Outcome:
        self._in_hand.add(job.id)
        try:
            seen = self._judge(job, body)
            job = self.store.move(
                job.id,
                expect=(State.STORED, State.DECIDED),
                to=State.DECIDED,
                actor=ACTOR,
                kind="decided",
                body=_decision(seen),
                item=seen.item,
                verdict=seen.verdict,
                findings=seen.findings,
                gaps=seen.gaps,
                coverage=receipt.coverage(seen.document),
                pages=seen.document.pages,
            )
            return self._enforce(job, seen, body)
        finally:
            self._in_hand.discard(job.id)
            if body is not None:
                os.close(body)

    def _judge(self, job: Job, body: int | None) -> Inspection:
        """Return what is seen in a job, and what is to be done with it at this site and now.

        What may not be here at all is read no further than its mark, and nothing else of it is kept.
        """
        site, shadow = self.config.site, self.config.policy.shadow

        def stop(found: Sequence[Finding]) -> bool:
            return withhold.forbids(found, site)

        seen = pipeline.inspect(job.item, body, self.kit, None if shadow else stop)
        if not shadow and withhold.forbids(seen.findings, site):
            seen = withhold.kept(seen)
        elif not shadow:
            seen = evolve(seen, verdict=withhold.lowered(seen.verdict, seen.findings, site))
        freeze = incident.frozen(self.store, job.item.sha256)
        return seen if freeze is None else evolve(seen, verdict=incident.blocked(seen.verdict, freeze))

    def _enforce(self, job: Job, seen: Inspection, body: int | None) -> Outcome:
        source = self.sources[job.item.source]
        action = seen.verdict.action
        if body is not None and action <= Action.ALERT:
            return self._release(job, source, seen, body, _Said(sha256=job.item.sha256))
        if body is not None and action is Action.REDACT:
            made = pipeline.redact(seen, body, self.kit)
            if not isinstance(made, Say):
                try:
                    return self._release_redacted(job, source, made, seen)
                finally:
                    os.close(made.body)
            return self._hold(job, source, seen, body, made)
        if action is Action.BLOCK and withhold.forbids(seen.findings, self.config.site):
            return self._withhold(job, source, seen, body)
        if action is Action.BLOCK:
            return self._block(job, source, seen, body)
        return self._hold(job, source, seen, body, None)

    def _release(self, job: Job, source: Channel, seen: Inspection, body: int, said: _Said) -> Outcome:
        if job.cancelled:
            return self._call_off(job, State.DECIDED)
        if _wants_stamp(source):
            made = self._stamped(job, body)
            if isinstance(made, Say):
                return self._hold(job, source, seen, None, made)
            try:
                return self._release_as(job, source, seen, made.body, _with_stamp(said, made))
            finally:
                os.close(made.body)
        return self._release_as(job, source, seen, body, said)

    def _release_as(self, job: Job, source: Channel, seen: Inspection, body: int, said: _Said) -> Outcome:
        try:
            job = self._stage(job, source, body, said)
        except Stopped as err:
            # Its own bytes are what is kept: `body` may be a redacted copy.
            frozen = evolve(seen, verdict=incident.blocked(seen.verdict, err.freeze))
            return self._block(job, source, frozen, None)
        except DlpError as err:
            self._tell(job, source, seen, Action.ALLOW, err.say)
            raise
        return _outcome(job) if isinstance(source, Onward) else self._publish(job, source)

    def _release_redacted(self, job: Job, source: Channel, made: Redaction, seen: Inspection) -> Outcome:
        """Release a proven copy; its certificate is committed with the word that lets it leave.

        The receipt goes first, so that the operator always has it. It says nothing that another run would say in
        another way, such as the time: after a crash it must be the same one.
        """
        note, said = self._certified(job, made)
        self._tell(job, source, seen, Action.REDACT, note)
        return self._release(job, source, seen, made.body, said)

    def _certified(self, job: Job, made: Redaction, edits: Edits | None = None) -> tuple[Say, _Said]:
        """Return what is said of a proven copy, and the word that lets it leave with its certificate."""
        done = certify.sentence(made.certificate)
        by_hand = edits.say() if edits is not None else None
        if by_hand is not None:
            done = Say(f"{done.zh}；{by_hand.zh}", f"{done.en}; {by_hand.en}")
        note = Say(f"已脱敏放行：{done.zh}；原件已封存", f"released after redaction: {done.en}; the original is sealed")
        signed = certify.issue(self.config, made.certificate, job=job.id)
        return note, _Said(
            sha256=made.certificate.output_sha256,
            body={"certificate": certificate.digest(signed), "removed": _counts(made.certificate)},
            fields={"certificate": certificate.write(signed), "note": note},
        )

    def try_held(self, job: Job, edits: Edits) -> Redaction:
        """Return a proven redacted copy of a held job; nothing is committed, and nothing of it is on any disk.

        Denied where there is none. Needs the private key.
        """
        body = self.vault.open(job.id, job.item.sha256)
        try:
            return _earned(job, pipeline.inspect(job.item, body, self.kit), body, self.kit, edits)
        finally:
            os.close(body)

    def redact_held(self, job: Job, *, actor: str, reason: str, beside: Beside, edits: Edits | None = None) -> Job:
        """Release a proven redacted copy of a held job; its original stays sealed. Needs the private key.

        Everything that a rule finds and that can be cut is cut. The copy must then earn what any file must: read again,
        nothing may be left that would hold it. Denied where it does not; the job stays held. `beside` looks once more,
        in the transaction that lets it go, whether this may still be done. `edits` are what a reviewer changes by hand.
        """
        edits = edits or Edits()
        source = self.sources[job.item.source]
        if job.cancelled:
            raise _not_redacted(job, Say(f"已由 {job.cancelled} 取消", f"{job.cancelled} took it back"))
        if job.certificate:
            raise _not_redacted(job, Say("已有脱敏件，未能送出", "there is a redacted copy that could not be sent on"))
        body = self.vault.open(job.id, job.item.sha256)
        try:
            seen = pipeline.inspect(job.item, body, self.kit)
            made = _earned(job, seen, body, self.kit, edits)
        finally:
            os.close(body)
        try:
            note, said = self._certified(job, made, edits)
        except BaseException:
            os.close(made.body)
            raise
        said = said._replace(actor=actor, body={**said.body, "reason": reason, **edits.told()}, beside=beside)
        staged = self._let_go(job, source, made.body, said)
        # Only now: were it told before and then cut off, the operator would wait for a copy that stays held.
        self._tell(staged, source, seen, Action.REDACT, note)
        if not isinstance(source, Onward):
            self._publish(staged, source, actor=actor)
        return self.store.get(job.id)

    def _let_go(self, job: Job, source: Channel, body: int, said: _Said, *, stamp: bool = True) -> Job:
        """Stage what somebody lets go, with its stamp where that is wanted; closes `body`. Denied without a stamp."""
        try:
            if stamp and _wants_stamp(source):
                made = self._stamped(job, body)
                if isinstance(made, Say):
                    raise Denied(made)
                os.close(body)
                body, said = made.body, _with_stamp(said, made)
            return self._stage(job, source, body, said)
        finally:
            os.close(body)

    def _stamped(self, job: Job, body: int) -> Stamped | Say:
        """Return a copy with the stamp that this site wants on pages that leave here, or why there is none."""
        verdict = job.verdict or Verdict(action=Action.ALLOW)
        marks = [found.mark for found in job.findings if found.mark is not None and found.mark.level is verdict.level]
        spec = self.sources[job.item.source]
        mark = imprint.stamp(
            job=job.id,
            at=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            unit=self.config.site.unit,
            copies=job.item.copies,
            level=verdict.level,
            regime=verdict.regime,
            term=next((one.term for one in marks if one.term), "") if marks else "",
        )
        plain = isinstance(spec, Onward) and spec.stamp == "text"
        return pipeline.stamp(job.item, body, self.kit, evolve(mark, code="") if plain else mark)

    def _stage(self, job: Job, source: Channel, body: int, said: _Said) -> Job:
        place = ""
        if isinstance(source, Onward):
            if job.state is State.HELD or said.sha256 != job.item.sha256:
                self.vault.keep_outgoing(job.id, body)
        else:
            key = self._found(job.item).key
            source.discard(key, job.id)
            place = source.stage(key, job.id, body, said.sha256)
        try:
            staged = self.store.move(
                job.id,
                expect=(State.DECIDED, State.HELD),
                to=State.RELEASING,
                actor=said.actor,
                kind="releasing",
                body={"sha256": said.sha256, **said.body},
                outgoing=said.sha256,
                stamped=said.body.get("stamped", 0),
                place=place,
                beside=_unless_frozen(said.beside, job.item.sha256, said.sha256),
                **said.fields,
            )
        except (Denied, Conflict):  # what it stood on does not hold any more: nothing was committed
            if isinstance(source, Onward):
                self.vault.destroy(vault.outgoing(job.id))
            else:
                source.discard(self._found(job.item).key, job.id)
            raise
        if isinstance(source, Onward):
            self.cleared(job.item.source)
        return staged

    def _publish(self, job: Job, source: Files, *, actor: str = ACTOR) -> Outcome:
        key = self._found(job.item).key
        freeze = incident.frozen(self.store, job.item.sha256, job.outgoing)
        if freeze is not None and job.place != STOPPING and source.is_staged(key, job.id):
            # Noted first: what is discarded and not held yet must not be taken for what was published.
            job = self._placed(job, STOPPING, "stopping")
        if job.place == STOPPING:
            source.discard(key, job.id)
            return self._stop(job, Stopped(freeze).say if freeze is not None else STOPPED)
        name = source.publish(key, job.id, job.place, job.outgoing)
        return self._left(job, name, actor)

    def _send(self, job: Job, source: Onward) -> Outcome:
        """Hand a cleared job on. Its place there is committed before its bytes go, so that a crash can be resumed."""
        if job.cancelled and not job.place:
            return self._call_off(job, State.RELEASING)
        freeze = incident.frozen(self.store, job.item.sha256, job.outgoing)
        if freeze is not None:
            return self._stop(job, _frozen_unsure(freeze) if job.place else Stopped(freeze).say)
        try:
            if fresh := not job.place:
                key = self._found(job.item).key
                apart = vault.outgoing(job.id) in self.vault.ids()
                place = source.begin(key, job.id, job.item.media, job.item.copies, apart=apart)
                job = self._placed(job, place, "sending")
            body = self._outgoing(job)
            try:
                name = source.send(job.place, body, fresh=fresh)
            finally:
                os.close(body)
        except Stopped as err:
            return self._stop(job, err.say)
        except Void:
            self._placed(job, "", "announced-anew")
            raise
        except TakenBack as err:
            return self._call_off(evolve(job, cancelled=err.who), State.RELEASING)
        except Doubt as err:
            return self._doubt(job, err.say)
        return self._left(job, name, ACTOR)

    def _placed(self, job: Job, place: str, kind: str) -> Job:
        return self.store.move(
            job.id,
            expect=State.RELEASING,
            to=State.RELEASING,
            actor=ACTOR,
            kind=kind,
            body={"place": place or job.place, "copies": job.item.copies},
            beside=_unless_frozen(None, job.item.sha256, job.outgoing) if kind == "sending" else None,
            place=place,
        )

    def _doubt(self, job: Job, say: Say) -> Outcome:
        """Hold a job of which nobody can tell whether it left: a person looks, and it is never sent twice by itself."""
        return self._take_back(job, say, "doubt")

    def _stop(self, job: Job, say: Say) -> Outcome:
        """Hold a cleared job whose file was frozen before it left."""
        return self._take_back(job, say, "stopped-release")

    def _take_back(self, job: Job, say: Say, kind: str) -> Outcome:
        if isinstance(self.sources.get(job.item.source), Onward):
            own = self._outgoing(job)
            try:
                self.vault.close_to_public(job.id, own if job.outgoing == job.item.sha256 else None)
            finally:
                os.close(own)
        else:
            self.vault.close_to_public(job.id, None)
            job = evolve(job, certificate=b"")  # its copy is gone from where it was staged
        job = self.store.move(
            job.id,
            expect=State.RELEASING,
            to=State.HELD,
            actor=ACTOR,
            kind=kind,
            body={"place": job.place},
            note=say,
            place="",
            certificate=job.certificate,
        )
        if not job.certificate:
            self.vault.destroy(vault.outgoing(job.id))
        return _outcome(job)

    def _outgoing(self, job: Job) -> int:
        """Return an fd of what is to leave, its hash compared with the one that was cleared."""
        own = vault.outgoing(job.id)
        return self.vault.open(own if own in self.vault.ids() else job.id, job.outgoing)

    def _call_off(self, job: Job, state: State) -> Outcome:
        """End a job that its owner took back before it left."""
        note = Say(f"已由 {job.cancelled} 取消，未放行", f"{job.cancelled} took it back; it did not leave")
        job = self.store.move(
            job.id, expect=state, to=State.CANCELLED, actor=ACTOR, kind="cancelled", body={}, note=note
        )
        self._destroy(job.id)
        return _outcome(job)

    def _destroy(self, job: str) -> None:
        """Destroy the sealed copies of a job that is done; its original stays where somebody said that it must."""
        self.vault.destroy(vault.outgoing(job))
        if not any(review.stays(time.time()) for review in self.store.records(REVIEWS, RecordFilter(job=job))):
            self.vault.destroy(job)

    def _left(self, job: Job, name: str | None, actor: str) -> Outcome:
        redacted = bool(job.certificate)
        to = State.REDACTED if redacted else State.RELEASED
        body: dict[str, Any] = {"name": self.kit.matcher.mask(name) if name else "(already published)"}
        if redacted:
            self.vault.close_to_public(job.id, None)
        job = self.store.move(job.id, expect=State.RELEASING, to=to, actor=actor, kind=to.value, body=body)
        if to is State.RELEASED:
            self._destroy(job.id)
        elif isinstance(self.sources.get(job.item.source), Onward):
            self.vault.destroy(vault.outgoing(job.id))
        return _outcome(job)

    def _hold(self, job: Job, source: Channel, seen: Inspection, body: int | None, note: Say | None) -> Outcome:
        self.vault.close_to_public(job.id, body)
        self._tell(job, source, seen, Action.QUARANTINE, note)
        job = self.store.move(job.id, expect=State.DECIDED, to=State.HELD, actor=ACTOR, kind="held", body={}, note=note)
        return _outcome(job)

    def _block(self, job: Job, source: Channel, seen: Inspection, body: int | None) -> Outcome:
        frozen = incident.frozen(self.store, job.item.sha256) is not None
        # With accounts nothing goes without a list (SR-15): what was not kept could be on none.
        listed = not destructions.by_clock(self.config, self.store)
        keep = frozen or listed or self.config.vault.block_retention_days > 0
        if keep:
            self.vault.close_to_public(job.id, body)
        self._tell(job, source, seen, Action.BLOCK, None)
        job = self.store.move(
            job.id,
            expect=State.DECIDED,
            to=State.BLOCKED,
            actor=ACTOR,
            kind="blocked",
            body={"evidence": keep, "frozen": frozen},
            verdict=seen.verdict,
        )
        if not keep:
            self.vault.destroy(job.id)
        return _outcome(job)

    def _withhold(self, job: Job, source: Channel, seen: Inspection, body: int | None) -> Outcome:
        """Keep nothing of a state secret that this machine could read: sealed to a key elsewhere, or handed back.

        The incident, with its clock of 24 hours, is in the transaction that says so.
        """
        fields: dict[str, Any] = {"verdict": seen.verdict}
        if self.config.site.withhold == "seal":
            self.vault.close_outside(job.id, body)
            way, note = "seal", SEALED_OUTSIDE
        elif isinstance(source, Onward):
            way, note = "drop", NOT_KEPT
            fields["sealed"] = None
        else:
            way, note = "return", HANDED_BACK
            fields["place"] = self._lay_back(job, source, body)
        self._tell(job, source, seen, Action.BLOCK, note)
        job = self.store.move(
            job.id,
            expect=State.DECIDED,
            to=State.WITHHELD,
            actor=ACTOR,
            kind="withheld",
            body={"way": way},
            beside=_Opening(job, seen.verdict),
            note=note,
            **fields,
        )
        if way == "drop":
            self._destroy(job.id)
        return self._hand_back(job, source) if job.place else _outcome(job)

    def _lay_back(self, job: Job, source: Files, body: int | None) -> str:
        own = self.vault.open(job.id, job.item.sha256) if body is None else body
        try:
            return source.lay_back(self._found(job.item).key, job.id, own, job.item.sha256)
        finally:
            if body is None:
                os.close(own)

    def _hand_back(self, job: Job, source: Channel) -> Outcome:
        """Put a withheld file where its owner finds it, then destroy the sealed copy."""
        if isinstance(source, Onward):
            raise TypeError(f"{job.item.source} is no folder")
        name = source.hand_back(job.id, self._found(job.item).key, job.place)
        job = self.store.move(
            job.id,
            expect=State.WITHHELD,
            to=State.WITHHELD,
            actor=ACTOR,
            kind="handed-back",
            body={"name": self.kit.matcher.mask(name) if name else "(already there)"},
            place="",
            sealed=None,
        )
        self._destroy(job.id)
        return _outcome(job)

    def _tell(self, job: Job, source: Channel, seen: Inspection, action: Action, note: Say | None) -> None:
        # What may not be here is withheld, and told of so, whoever tells of it and when.
        withheld = action is Action.BLOCK and withhold.forbids(seen.findings, self.config.site)
        text = receipt.write(seen, action, note, self.config.site, read=job.coverage, withheld=withheld)
        try:
            # What is only late is not turned away where it came from.
            brief = receipt.brief(seen, action, note, self.config.site) if action > Action.ALERT else ""
            source.tell(self._found(job.item).key, job.item.name, text, job.id, brief)
        except (OSError, DlpError) as err:
            # The verdict stands without its receipt: the job is held, listed and audited.
            why = err.say.en if isinstance(err, DlpError) else err.__class__.__name__
            self.store.note(actor=ACTOR, kind="receipt-failed", job=job.id, body={"why": why})

    def drop_leftovers(self) -> None:
        """Destroy sealed copies whose job ended without needing them; a crash can come before the destruction.

        Where there are accounts, what was blocked is destroyed on an erased list alone, and never by the clock.
        """
        destructions.finish(self.store, self.vault)
        limit = time.time() - self.config.vault.block_retention_days * 86_400
        clock = destructions.by_clock(self.config, self.store)
        sealed = tuple(self.vault.ids())
        standing = self.store.standing(vault.owner(own) for own in sealed)
        for own, (job, state, since) in zip(sealed, standing, strict=True):
            if own != job:
                if state not in LEAVING:
                    self.vault.destroy(own)
            elif state in DONE or state in GONE or (clock and state is State.BLOCKED and since <= limit):
                # In one transaction: whoever puts it under legal hold meanwhile is told that it is gone.
                with self.store.change() as entry:
                    if _is_spent(entry, job, state):
                        self.vault.destroy(job)
                        entry.append(ACTOR, "destroyed", job, {"state": state.value})

    def _found(self, item: Item) -> Found:
        return msgspec.json.decode(self.vault.unlock_text(item.receipt), type=Found)

    def _shown(self, found: Found) -> str:
        return self.kit.matcher.mask(found.shown)


def _is_spent(entry: Entry, id: str, state: State) -> bool:  # noqa: A002  the column's name
    """Tell whether nobody needs the sealed copy of a job any more: held by law or frozen, it is evidence."""
    review, job = entry.find(REVIEWS, id), entry.job(id)
    if review is not None and review.stays(entry.moment):
        return False
    if state in GONE:
        return job.sealed is None
    return state is not State.BLOCKED or incident.frozen(entry, job.item.sha256) is None


SEALED_OUTSIDE = Say(
    "已停止读取；文件已密封给机外公钥，本机不能打开",
    "reading stopped; the file is sealed to a key elsewhere, and this machine cannot open it",
)
HANDED_BACK = Say(
    "已停止读取，未留存；原件退还到退还文件夹，由保密员交还送件人",
    "reading stopped and nothing is kept; the file is in the folder for what is handed back, with the security officer",
)
STOPPED = Say("放行前文件被冻结，未放行", "the file was frozen before it left, and did not leave")
NOT_KEPT = Say("已停止读取，任务已取消，未留存", "reading stopped, the job is cancelled and nothing of it is kept")


class _Opening:
    """Opens the incident of a withheld job in the transaction that says so."""

    def __init__(self, job: Job, verdict: Verdict) -> None:
        self._job: Job = evolve(job, verdict=verdict)

    def __call__(self, entry: Entry) -> Mapping[str, Any]:
        """Write the incident; return what the event says of it."""
        at = entry.moment
        made: Incident = incident.opened(new_id(at), Cause.WITHHELD, by=ACTOR, at=at, job=self._job)
        entry.put(INCIDENTS, made)
        return {"incident": made.id, "due": datetime.fromtimestamp(made.due, UTC).isoformat(timespec="seconds")}


def _unless_frozen(beside: Beside | None, *hashes: str) -> Beside:
    """Return what is written beside a release; it raises `Stopped` where the file is frozen by then."""

    def write(entry: Entry) -> Mapping[str, Any]:
        freeze = incident.frozen(entry, *hashes)
        if freeze is not None:
            raise Stopped(freeze)
        return beside(entry) if beside is not None else {}

    return write


def _frozen_unsure(freeze: Freeze) -> Say:
    stopped = Stopped(freeze).say
    return Say(
        f"{stopped.zh}；冻结时任务已送往打印机，请到打印机核对是否已打印",
        f"{stopped.en}; it was on its way to the printer then: look there whether it was printed",
    )


def _earned(job: Job, seen: Inspection, body: int, kit: Kit, edits: Edits) -> Redaction:
    """Return a redacted copy that may leave as any file may; Denied, with the reason, where there is none."""
    if seen.verdict.action is Action.BLOCK:
        why = seen.verdict.reasons[0].say if seen.verdict.reasons else Say("应拦截", "it is to be blocked")
        raise _not_redacted(job, why)
    made = pipeline.redact(seen, body, kit, everything=True, edits=edits)
    if isinstance(made, Say):
        raise _not_redacted(job, made)
    verdict = made.again.verdict
    if not made.certificate.removed or verdict.action > Action.ALERT:
        os.close(made.body)
        left = verdict.reasons[0].say if verdict.reasons else Say("没有可脱敏的内容", "there is nothing to redact")
        raise _not_redacted(job, left)
    return made


def _not_redacted(job: Job, why: Say) -> Denied:
    return Denied(
        Say(f"任务 {job.id} 不能脱敏后放行：{why.zh}", f"job {job.id} cannot be released redacted: {why.en}"),
        Say("仍隔离；可送审、退回或驳回", "it stays held: ask for approval, return it, or reject it"),
    )


def _wants_stamp(source: Channel) -> bool:
    return isinstance(source, Onward) and source.stamp != "none"


def _with_stamp(said: _Said, made: Stamped) -> _Said:
    """Return the word for what leaves with a stamp on each page."""
    body = {**said.body, "stamped": made.pages, "covered": len(made.covered)}
    return said._replace(sha256=durable.sha256_of(made.body), body=body)


def _decision(seen: Inspection) -> dict[str, Any]:
    """Return what the audit trail says about a verdict: rules and counts, never content."""
    rules: dict[str, int] = {}
    for found in seen.findings:
        rules[found.rule] = rules.get(found.rule, 0) + 1
    verdict = seen.verdict
    return {
        "action": verdict.action.value,
        "level": verdict.level.value if verdict.level else None,
        "clauses": [r.clause for r in verdict.reasons],
        "rules": rules,
        "exempt": sorted({found.exempt for found in seen.findings if found.exempt}),
        "gaps": [g.kind.value for g in seen.gaps],
        "pages": dict(Counter(page.how for page in seen.document.coverage)),
        "packs": verdict.packs,
        "policy": verdict.policy,
        "shadowed": verdict.shadowed.value if verdict.shadowed else None,
    }


def _counts(made: Certificate) -> dict[str, int]:
    """Return how many places of each type were removed: for the audit trail."""
    counts: Counter[str] = Counter()
    for one in made.removed:
        counts[one.type] += one.count
    return dict(counts)


def _outcome(job: Job) -> Outcome:
    verdict = job.verdict
    if verdict is None:
        raise VaultError(Say(f"任务 {job.id} 没有判定", f"job {job.id} has no verdict"))
    return Outcome(item=job.item, verdict=verdict, state=job.state, findings=job.findings, gaps=job.gaps, note=job.note)
