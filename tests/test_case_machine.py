"""No sequence of calls at the desk lets a job go without the approvals that its level demands.

The same office as in `test_approval_machine`, now through the service and the books: accounts, roles that are taken
away, cases of several jobs, released by anybody who tries. The oracle is that of the machine of the pure rules.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dlp import config
from dlp.account import ACCOUNTS, Account
from dlp.approval import Case, Decision
from dlp.copies import COPIES
from dlp.errors import Conflict, Denied, NotFound, StoreError
from dlp.model import Action, Item, Level, Regime, State, Verdict, evolve
from dlp.request import Circle, Recipient
from dlp.rights import Role
from dlp.service.acting import Acting
from dlp.service.cases import CASES, Asking, Cases
from dlp.store import Job
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore
from test_approval_machine import CLASHING, STAFF, Word, demands, filled, is_lawful, level_of, play

SITE = '[site]\nqualification = "甲级"\nprovince = "浙江"\nsystem = "绝密"\n'
LEVELS: tuple[tuple[Level | None, Regime | None], ...] = (
    (None, None),
    (Level.SENSITIVE, Regime.WORK),
    (Level.SECRET, Regime.STATE),
    (Level.CONFIDENTIAL, Regime.COMMERCIAL),
    (Level.TOP_SECRET, Regime.STATE),
)


class Desks(RuleBasedStateMachine):
    """Random people do random things with five held jobs."""

    outcomes: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="desks-"))
        self.config = config.parse(SITE, file="test", base=self.root)
        self.store = SqliteStore.open(self.root / "gate.db", create=True)
        self.store._db.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug here
        self.words: dict[str, list[Word]] = {}
        self.jobs = [f"01J{number:023d}" for number in range(len(LEVELS))]
        self.gone: dict[str, str] = {}

    @initialize()
    def open_the_office(self) -> None:
        """Make accounts and held jobs."""
        with self.store.change() as entry:
            for name, roles, natural, unit in STAFF:
                entry.put(ACCOUNTS, Account(id=name, natural=natural, name=name, unit=unit, roles=roles, at=1.0))
            for number, (job, (level, regime)) in enumerate(zip(self.jobs, LEVELS, strict=True)):
                item = Item(id=job, source="folder:外发", path="a.txt", name="a.txt", sha256=f"{number}" * 64)
                verdict = Verdict(action=Action.QUARANTINE, level=level, regime=regime)
                entry.add(Job(id=job, item=item, state=State.HELD, verdict=verdict))
            entry.append("test", "opened", "", {})

    def teardown(self) -> None:
        """Close the books."""
        self.store.close()
        shutil.rmtree(self.root)

    def count(self, what: str) -> None:
        """Remember that something happened at all."""
        self.outcomes[what] = self.outcomes.get(what, 0) + 1

    def desk(self, who: str) -> Cases:
        """Return the desk of one account, as it is now."""
        account = self.store.record(ACCOUNTS, who)
        return Cases(Acting(self.config, self.store, account.person(2.0), alone=False))

    def cases(self) -> tuple[Case, ...]:
        """Return every case."""
        return self.store.records(CASES)

    @rule(
        who=st.sampled_from([name for name, *_ in STAFF]),
        job=st.integers(0, len(LEVELS) - 1),
        copies=st.integers(0, 2),
        circle=st.sampled_from([Circle.WITHIN, Circle.WITHIN, Circle.WITHIN, Circle.WIDER]),
        lacking=st.sampled_from([{}, {}, {}, {}, {"purpose": ""}, {"consent_no": ""}, {"applicant": "wu"}]),
    )
    def ask(self, who: str, job: int, copies: int, circle: Circle, lacking: dict[str, Any]) -> None:
        """Somebody asks for a job."""
        words: dict[str, Any] = {
            "copies": copies,
            "purpose": "会议使用",
            "recipients": (Recipient(name="王某", circle=circle),),
            "return_by": 4e9 if LEVELS[job][0] is not Level.TOP_SECRET else None,
            "consent_no": "某发〔2026〕3号",
            "organ": "某某厅",
            "province": "浙江省",
        }
        soon = self.store.moment() + 3_600
        try:
            made = self.desk(who).ask(self.jobs[job], Asking(**{**words, "return_by": soon, **lacking}))
        except Denied:
            self.count("refused")
            return
        assert is_lawful(made.request, self.config.site)
        self.words[made.id] = []
        self.count("asked")

    @rule(who=st.sampled_from([name for name, *_ in STAFF]), pick=st.integers(0, 50), no=st.integers(0, 12))
    def sign(self, who: str, pick: int, no: int) -> None:
        """Somebody signs what is there."""
        found = self.cases()
        if found:
            self._sign(who, found[pick % len(found)], Decision.REJECT if no == 0 else Decision.APPROVE)

    @rule(pick=st.integers(0, 50), order=st.permutations([name for name, *_ in STAFF]))
    def everybody_signs(self, pick: int, order: list[str]) -> None:
        """All of them try, one after another, and then one releases."""
        found = self.cases()
        if not found:
            return
        case = found[pick % len(found)]
        for who in order:
            self._sign(who, case, Decision.APPROVE)
        self._release("clerk", case, case.request.copies or 1)

    def _sign(self, who: str, case: Case, decision: Decision) -> None:
        desk = self.desk(who)
        try:
            binds = desk.binding(self.store.record(CASES, case.id))
            made = desk.sign(case.id, decision, binds, reason="理由")
        except (Denied, Conflict):
            self.count("not signed")
            return
        account, word = self.store.record(ACCOUNTS, who), made.signatures[-1]
        assert account.active
        assert word.role in account.roles
        assert who not in CLASHING
        assert account.natural not in (made.request.natural, made.request.applicant)
        self.words[case.id].append(
            Word(account.natural, word.role, account.unit, word.at, decision is Decision.APPROVE)
        )
        self.count("signed")

    @rule(who=st.sampled_from([name for name, *_ in STAFF]), pick=st.integers(0, 50), copies=st.integers(-1, 3))
    def release(self, who: str, pick: int, copies: int) -> None:
        """Somebody releases on a case."""
        found = self.cases()
        if found:
            self._release(who, found[pick % len(found)], copies)

    @rule(pick=st.integers(0, 50), other=st.integers(0, len(LEVELS) - 1))
    def release_another_job(self, pick: int, other: int) -> None:
        """The case of one job is shown for another."""
        found = self.cases()
        if found and found[pick % len(found)].request.job != self.jobs[other]:
            case = found[pick % len(found)]
            job = self.store.get(self.jobs[other])
            with pytest.raises(Denied):
                self.desk("clerk").cleared(case.id, job, 1)

    def _release(self, who: str, case: Case, copies: int) -> None:
        """Do what the line does with a clearance: in one transaction with the move."""
        job = self.store.get(case.request.job)
        try:
            clearing = self.desk(who).cleared(case.id, job, copies)
            self.store.move(
                job.id,
                expect=State.HELD,
                to=State.RELEASING,
                actor=who,
                kind="releasing",
                body={},
                beside=clearing,
            )
        except (Denied, Conflict, NotFound):
            self.count("not released")
            return
        except StoreError:  # another case let it go before
            assert job.id in self.gone
            self.count("gone before")
            return
        asked, words = case.request, self.words[case.id]
        account = self.store.record(ACCOUNTS, who)
        assert Role.OPERATOR in account.roles
        assert account.active
        assert job.id not in self.gone
        assert is_lawful(asked, self.config.site)
        assert all(word.yes for word in words)
        assert filled(words, demands(asked, 0)), (words, demands(asked, 0))
        assert 0 < copies <= asked.copies
        assert len(self.store.records(COPIES, RecordFilter(job=job.id))) == copies
        self.gone[job.id] = case.id
        self.count("released")
        self.count(f"released:{level_of(asked)[0]}")

    @rule(
        who=st.sampled_from([name for name, *_ in STAFF if name not in CLASHING]),
        what=st.sampled_from(["lock", "take", "give", "give"]),
    )
    def change_an_account(self, who: str, what: str) -> None:
        """An account is locked, somebody loses office, or is put back into it."""
        own = next(roles for name, roles, *_ in STAFF if name == who)
        changes: dict[str, dict[str, Any]] = {
            "lock": {"active": False},
            "take": {"roles": ()},
            "give": {"active": True, "roles": own},
        }
        account = self.store.record(ACCOUNTS, who)
        with self.store.change() as entry:
            entry.put(ACCOUNTS, evolve(account, version=account.version + 1, **changes[what]))
            entry.append("test", "changed", "", {})


def test_no_sequence_of_calls_lets_a_job_go(record_property: Any) -> None:
    """Twenty offices, always the same: whatever left had its signatures, and something did leave."""
    outcomes = play(Desks, 20, derandomize=True)
    record_property("told", ", ".join(f"{k} {v}" for k, v in sorted(outcomes.items())))
    assert outcomes["released"] >= 1
    assert outcomes["not released"] >= 1


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_sequence_of_calls_lets_a_job_go_at_length(record_property: Any) -> None:
    """Six hundred offices; every level left at least once, and every level was refused."""
    outcomes = play(Desks, 600)
    record_property("told", ", ".join(f"{k} {v}" for k, v in sorted(outcomes.items())))
    assert {f"released:{rank}" for rank in (0, 2, 3, 4, 5)} <= outcomes.keys()
