"""The audit trail: a hash chain whose events are sealed with a key that moves on, held against heads kept elsewhere.

Each event's hash covers the event and the hash before it: an edit breaks the chain from there on. Who hashes everything
anew is told by the seals (`ratchet`), which need the first key, and by checkpoints: heads that were signed and carried
away. Cutting off the end is told by both: the key is ahead, and so is the last checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec

from dlp import ratchet
from dlp.model import Frozen, Say
from dlp.ratchet import Key

GENESIS = hashlib.sha256("文印闸 wenyin-gate audit trail, version 1".encode()).hexdigest()
KEYED = "audit-key"
"""Kind of the event that begins with a new key; its body names the chain that the key began."""


class AuditEvent(Frozen, frozen=True, kw_only=True):
    """One thing that happened. `body` holds counts, rules, hashes and states: never content."""

    seq: int
    at: str
    """ISO 8601, UTC, milliseconds; for people, order is by `seq`."""
    actor: str
    kind: str
    job: str
    body: dict[str, Any]
    prev: str
    hash: str
    mac: str = ""
    """HMAC-SHA256 (hex) of `hash` under the key of this event; empty before the first key."""


class Wrong(Enum):
    """What a verification can find to be wrong."""

    CHANGED = "changed"
    MISSING = "missing"
    ORDER = "order"
    UNLINKED = "unlinked"
    FORGED = "forged"
    UNSEALED = "unsealed"
    OTHER_CHAIN = "other-chain"
    REWRITTEN = "rewritten"
    CUT = "cut"
    UNREADABLE = "unreadable"
    KEY = "key"
    CHECKPOINT = "checkpoint"
    RECORD = "record"


class Fault(Frozen, frozen=True, kw_only=True):
    """One thing that is wrong. `at` is the first bad event; 0 where what is wrong is beside the trail."""

    wrong: Wrong
    say: Say
    at: int = 0


class Report(Frozen, frozen=True, kw_only=True):
    """What a verification saw: how many events hold, the last good hash, how many seals were checked, what is wrong."""

    count: int
    head: str
    sealed: int = 0
    keyed: tuple[int, ...] = ()
    """The events that began with a new key: the first, and every one that somebody had made."""
    faults: tuple[Fault, ...] = ()

    @property
    def broken_at(self) -> int | None:
        """Return the first bad event, or where it is missing; None when everything holds."""
        return min((fault.at or self.count + 1 for fault in self.faults), default=None)


def link(*, seq: int, at: str, actor: str, kind: str, job: str, body: str, prev: str) -> str:
    """Return the SHA-256 (hex) of one event; `body` is its canonical JSON."""
    canonical = msgspec.json.encode([seq, at, actor, kind, job, body, prev])
    return hashlib.sha256(canonical).hexdigest()


def canonical(body: Any) -> str:
    """Return `body` as JSON with sorted keys: the same dictionary always gives the same text."""
    return msgspec.json.encode(body, order="sorted").decode()


def verify(
    events: Iterable[AuditEvent | None],
    *,
    heads: Mapping[int, str] | None = None,
    chains: Mapping[str, bytes | None] | None = None,
    key: Key | None = None,
) -> Report:
    """Walk the trail from its genesis to its end, or to the first event that is wrong; None is one that is unreadable.

    `heads` (sequence -> hash) were kept elsewhere and must be in it. `chains` are the chains that may begin in it, each
    with its first key where that is at hand: without `chains` any may, and without a key its seals are not checked.
    `key` is what lay in the key file when the trail ended where it does.
    """
    walk = _Walk(heads or {}, chains)
    for event in events:
        fault = walk.take(event)
        if fault is not None:
            return walk.report(fault)
    return walk.report(walk.end(key))


class _Walk:
    """Where a verification stands in the trail."""

    def __init__(self, heads: Mapping[int, str], chains: Mapping[str, bytes | None] | None) -> None:
        self._heads = heads
        self._chains = chains
        self._kept = 0  # the last kept head that was met
        self._chain = ""
        self._secret: bytes | None = None
        self._sealed = 0
        self._keyed: list[int] = []
        self.count = 0
        self.head = GENESIS

    def take(self, event: AuditEvent | None) -> Fault | None:
        """Go one event further, or say what is wrong with it."""
        seq = self.count + 1
        if event is None:
            say = Say(f"第 {seq} 条读不出", f"event {seq} cannot be read")
            return Fault(wrong=Wrong.UNREADABLE, at=seq, say=say)
        if event.seq != seq:
            return _out_of_place(event.seq, seq)
        own = link(
            seq=seq,
            at=event.at,
            actor=event.actor,
            kind=event.kind,
            job=event.job,
            body=canonical(event.body),
            prev=event.prev,
        )
        wrong = None
        if event.prev != self.head:
            say = Say(
                f"第 {seq} 条与前一条不衔接：前一条被改后重算，或其间有插入、删除",
                f"event {seq} does not follow the one before: that one was changed and hashed anew, or something was "
                "put in or taken out",
            )
            wrong = Fault(wrong=Wrong.UNLINKED, at=seq, say=say)
        elif own != event.hash:
            wrong = Fault(wrong=Wrong.CHANGED, at=seq, say=Say(f"第 {seq} 条被改动过", f"event {seq} was changed"))
        wrong = wrong or self._seal(event, seq, own) or self._kept_head(seq, own)
        if wrong is None:
            self.count, self.head = seq, own
        return wrong

    def end(self, key: Key | None) -> Fault | None:
        """Say what is wrong with where the trail ends."""
        last = max(self._heads, default=0)
        if last > self.count:
            return _cut(self.count, Say(f"留存的检查点已到第 {last} 条", f"a kept checkpoint is at {last}"))
        if key is None or not (key.begun or key.seq <= self.count):
            return None
        if key.seq > self.count + 1:
            at = key.seq - 1
            return _cut(self.count, Say(f"审计密钥已到第 {at} 条", f"the audit key is at {at}"))
        if self._secret is not None and ratchet.moved(key, self.count + 1).secret != self._secret:
            say = Say(
                "审计密钥文件中的密钥不属于此链：密钥被换过，或任务库与密钥不是一套",
                "the key in the key file does not belong to this trail: the key was exchanged, or the books were",
            )
            return Fault(wrong=Wrong.KEY, at=self.count + 1, say=say)
        return None

    def report(self, fault: Fault | None) -> Report:
        faults = () if fault is None else (fault,)
        return Report(count=self.count, head=self.head, sealed=self._sealed, keyed=tuple(self._keyed), faults=faults)

    def _seal(self, event: AuditEvent, seq: int, own: str) -> Fault | None:
        """Check the seal of an event. The key moves on with every event, whether it is at hand or not."""
        if event.kind == KEYED:
            fault = self._begin(event, seq)
            if fault is not None:
                return fault
        if (event.mac != "") != (self._chain != ""):
            say = Say(f"第 {seq} 条没有封印", f"event {seq} is not sealed")
            if event.mac:
                say = Say(f"第 {seq} 条在启用密钥之前已有封印", f"event {seq} is sealed before any key began")
            return Fault(wrong=Wrong.UNSEALED, at=seq, say=say)
        if self._secret is None:
            return None
        if ratchet.seal(self._secret, own) != event.mac:
            say = Say(
                f"第 {seq} 条的封印不符：此条系事后伪造，或链在此处被重算",
                f"the seal of event {seq} is not that of its key: it was made later, or the chain was hashed anew",
            )
            return Fault(wrong=Wrong.FORGED, at=seq, say=say)
        self._secret = ratchet.following(self._secret)
        self._sealed += 1
        return None

    def _begin(self, event: AuditEvent, seq: int) -> Fault | None:
        chain = event.body.get("chain")
        if not isinstance(chain, str) or (self._chains is not None and chain not in self._chains):
            say = Say(
                f"第 {seq} 条启用的密钥不在开链凭据中：是另一个数据库，或有人换了密钥",
                f"the key that event {seq} begins with is not in the record of keys: this is another database, or "
                "somebody put in a key of his own",
            )
            return Fault(wrong=Wrong.OTHER_CHAIN, at=seq, say=say)
        self._chain = chain
        self._secret = self._chains.get(chain) if self._chains else None
        self._keyed.append(seq)
        return None

    def _kept_head(self, seq: int, own: str) -> Fault | None:
        kept = self._heads.get(seq)
        if kept is None:
            return None
        if kept == own:
            self._kept = seq
            return None
        first = self._kept + 1
        say = Say(
            f"第 {first} 至 {seq} 条与第 {seq} 条处的检查点不符：其间有改动，链被重算，或是另一个数据库",
            f"events {first} to {seq} are not those of the checkpoint at {seq}: something among them was changed and "
            "the chain hashed anew, or this is another database",
        )
        return Fault(wrong=Wrong.REWRITTEN, at=first, say=say)


def _cut(last: int, known: Say) -> Fault:
    say = Say(
        f"审计链止于第 {last} 条，而{known.zh}：末尾被截去，或是较旧的副本",
        f"the trail ends at event {last}, and {known.en}: the end was cut off, or this is an older copy",
    )
    return Fault(wrong=Wrong.CUT, at=last + 1, say=say)


def _out_of_place(found: int, due: int) -> Fault:
    if found > due:
        many = str(due) if found == due + 1 else f"{due}-{found - 1}"
        say = Say(f"缺少第 {many} 条", f"missing: {many}")
        return Fault(wrong=Wrong.MISSING, at=due, say=say)
    say = Say(f"第 {due} 条的位置上是第 {found} 条：次序被打乱，或重复", f"event {found} stands where {due} should")
    return Fault(wrong=Wrong.ORDER, at=due, say=say)
