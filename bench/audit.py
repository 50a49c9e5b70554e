"""Speed of the books: appending to a long trail, verifying it, and lists over many held jobs; called by `run.py`."""

from __future__ import annotations

import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from readers import Row

from dlp import audit, ratchet
from dlp.audit import KEYED
from dlp.model import Action, Item, Level, Reason, Say, State, Verdict
from dlp.store import EventFilter, Job, JobFilter, schema
from dlp.store.sqlite import SqliteStore

EVENTS = 1_000_000
JOBS = 100_000
BATCH = 5_000  # events or jobs in one transaction while the books are filled; what is measured is one in each
ASKED = 60
BODY = {
    "action": "quarantine",
    "level": "敏感信息",
    "clauses": ["personnel-tables"],
    "rules": {"cn.personnel.pay-sheet": 1, "cn.identity.resident-id": 12},
    "packs": "sha256:" + "a" * 64,
    "policy": "sha256:" + "b" * 64,
}
WORDS = ("工资表", "合同", "会议纪要", "方案", "通知", "图纸", "报告", "预算")
OWNERS = tuple(f"{number} 号窗口" for number in range(20))
SOURCES = ("folder:外发", "folder:打印", "ipp:一层")


def name(number: int) -> str:
    """Return the id of job `number`."""
    return f"01J{number:023d}"


def books(folder: Path) -> tuple[SqliteStore, bytes]:
    """Return new books whose trail is sealed, and the first key."""
    store, secret = SqliteStore.open(folder / "gate.db", create=True), secrets.token_bytes(32)
    body = {"chain": ratchet.name(secret)}
    store.begin(secret, actor="gate", kind=KEYED, body=body, first=lambda _: None)
    return store, secret


def append(store: SqliteStore, number: int) -> None:
    """Append one event in a transaction of its own, as the gate does."""
    store.note(actor="gate", kind="decided", job=name(number), body=BODY)


def fill(store: SqliteStore, count: int) -> None:
    """Append many events, by the same code but for the number of commits."""
    for start in range(0, count, BATCH):
        with store.change() as entry:  # many in one commit: only to fill
            for number in range(start, min(start + BATCH, count)):
                actor = "gate" if number % 50 else OWNERS[number % 20]
                entry.append(actor, ("taking", "sealed", "decided", "held")[number % 4], name(number // 4), BODY)


def trail(folder: Path, events: int = EVENTS) -> list[Row]:
    """Return how fast a long trail takes events beside a new one, and how fast it is verified and asked."""
    for part in ("long", "new"):
        (folder / part).mkdir()
    long, secret = books(folder / "long")
    new, _ = books(folder / "new")
    fill(long, events - 1_001)
    first, last = [], []
    for number in range(1_000):  # in turn: what else the machine does meets both
        for store, taken in ((new, first), (long, last)):
            began = time.perf_counter()
            append(store, number)
            taken.append(time.perf_counter() - began)
    began = time.perf_counter()
    report = audit.verify(long.events(), chains={ratchet.name(secret): secret})
    pace = report.count / (time.perf_counter() - began)
    assert not report.faults
    asked = (
        EventFilter(actor=OWNERS[3]),
        EventFilter(kind="held"),
        EventFilter(actor=OWNERS[3], kind="held"),
        EventFilter(actor="gate", kind=KEYED),
        EventFilter(job=name(events // 8)),
        EventFilter(since="2000-01-01", until="2100-01-01", actor=OWNERS[5]),
    )
    worst = max(p95(lambda only=only: long.find_events(only, limit=100)) for only in asked)  # type: ignore[misc]
    size = f"{events:,} events: "
    rows = [
        (size + "1,000 more against the first 1,000", f"{sum(last) / sum(first):.2f}x", "<= 1.5x"),
        (size + "one of them, commit and key, p50 (ms)", f"{1000 * statistics.median(last):.2f}", ""),
        (size + "verified with seals (events/s)", f"{pace:,.0f}", ">= 20000"),
        (size + "100 by person, kind or job, worst p95 (ms)", f"{worst:.1f}", "<= 100"),
    ]
    long.close()
    new.close()
    return rows


def p95(ask: Callable[[], object]) -> float:
    """Return the 95th percentile of the milliseconds that a question takes."""
    taken = []
    for _ in range(ASKED):
        began = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.quantiles(taken, n=20)[-1]


def held(rng: random.Random, number: int) -> Job:
    """Return a held job of everyday size."""
    shown = f"{rng.choice(WORDS)}{rng.randrange(10_000)}.docx"
    item = Item(
        id=name(number),
        source=rng.choice(SOURCES),
        path=f"{rng.randrange(30)}/{shown}",
        name=shown,
        media="application/pdf",
        sha256="c" * 64,
        size=50_000,
        owner=rng.choice(OWNERS),
        receipt=rng.randbytes(500),
    )
    reasons = tuple(Reason(clause="c", say=Say("发现工资表：12 人", "a pay sheet"), article="第八条") for _ in range(3))
    verdict = Verdict(action=Action.QUARANTINE, level=rng.choice(list(Level)), reasons=reasons, packs="a" * 71)
    moment = 1.7e9 + number
    return Job(id=item.id, item=item, state=State.HELD, verdict=verdict, created=moment, updated=moment)


def lists(folder: Path, jobs: int = JOBS) -> list[Row]:
    """Return how long a page of held jobs takes, for every filter, the rarest too."""
    rng = random.Random(11)
    folder.mkdir()
    store, _ = books(folder)
    for start in range(0, jobs, BATCH):
        with store.change() as entry:  # many in one commit: only to fill
            rows = (schema.row(held(rng, number)) for number in range(start, min(start + BATCH, jobs)))
            entry.db.executemany(schema.ADD_JOB, rows)
    filters = {
        "newest": JobFilter(),
        "level": JobFilter(level=Level.CONFIDENTIAL),
        "source and owner": JobFilter(source=SOURCES[1], owner=OWNERS[7]),
        "an hour long ago": JobFilter(since=1.7e9, until=1.7e9 + 3_600),
        "text of the name": JobFilter(name="工资表77"),
        "text that is nowhere": JobFilter(name="没有这样的文件"),
        "all of them": JobFilter(level=Level.SECRET, source=SOURCES[0], owner=OWNERS[1], since=1.7e9, name="图纸1"),
    }
    shown, counted = {}, {}
    waiting = (State.HELD, State.BLOCKED, State.FAILED)
    for what, only in filters.items():
        shown[what] = p95(lambda only=only: store.jobs(waiting, only=only, limit=100))  # type: ignore[misc]
        counted[what] = p95(lambda only=only: store.count(waiting, only=only))  # type: ignore[misc]
    deep = p95(lambda: store.jobs(waiting, limit=100, before=name(jobs // 10)))
    slowest = max(shown, key=lambda what: shown[what])
    size = f"{jobs:,} held jobs: "
    began = time.perf_counter()
    unknown = sum(state is None for _, state, _ in store.standing(name(number) for number in range(jobs)))
    assert unknown == 0
    stood = time.perf_counter() - began
    rows = [
        (size + "newest 100, p95 (ms)", f"{shown['newest']:.1f}", "<= 100"),
        (size + "100 from far below, p95 (ms)", f"{deep:.1f}", "<= 100"),
        (size + f"slowest filter ({slowest}), p95 (ms)", f"{shown[slowest]:.1f}", "<= 100"),
        (size + "counting them, slowest filter, p95 (ms)", f"{max(counted.values()):.1f}", "<= 100"),
        (size + "how each sealed copy stands, at start (s)", f"{stood:.2f}", ""),
    ]
    store.close()
    return rows


def all_rows() -> list[Row]:
    """Return every measurement of the books."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-", dir="/var/tmp") as folder:  # a real disk
        return trail(Path(folder)) + lists(Path(folder) / "jobs")


if __name__ == "__main__":
    for what, value, target in all_rows():
        print(f"{what:<70}  {value:>8}  {target}")
