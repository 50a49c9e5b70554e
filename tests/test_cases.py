"""Approvals at the desk: a held job leaves on the approval that its level demands, and as long as that holds."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from dlp import approval
from dlp.approval import CaseState, Decision
from dlp.copies import COPIES, CopyState
from dlp.errors import Conflict, Denied, StoreError, UsageError, VaultError
from dlp.model import State, evolve
from dlp.request import Recipient
from dlp.rights import Role
from dlp.service.cases import CASES, Asking
from dlp.store import Job
from dlp.store.record import RecordFilter
from sites import Place, lay
from staff import House, hash_quickly

SECRET = "核心商密★长期\n配方：甲乙丙\n".encode()
WORK = "工作秘密\n关于调整的通知\n".encode()
ASKED = Asking(copies=2, purpose="上会", recipients=(Recipient(name="王五", unit="综合科"),))


class Office(House):
    """A site with people, a gate that has held two files, and everybody at the desk."""

    def __init__(self, root: Path) -> None:
        self.site: Place = lay(root)
        self.site.put("配方.txt", SECRET)
        self.site.put("通知.txt", WORK)
        self.site.run("run", "--once")
        super().__init__(root, self.site.config)
        self.staff()

    def held(self, name: str = "配方.txt") -> Job:
        """Return one of the held jobs."""
        return next(job for job in self.store.jobs((State.HELD,)) if job.item.name == name)

    def approved(self, job: Job, *signers: str, asking: Asking = ASKED) -> str:
        """Ask for a job and have it signed; return the case."""
        case = self.desk("op").cases.ask(job.id, asking)
        for signer in signers or ("secr",):
            self.sign(signer, case.id)
        return case.id

    def sign(self, who: str, case: str, decision: Decision = Decision.APPROVE, reason: str = "") -> approval.Case:
        """Have somebody sign what he was shown."""
        cases = self.desk(who).cases
        return cases.sign(case, decision, cases.binding(cases.get(case)), reason=reason)

    def release(self, job: Job, case: str = "", copies: int | None = None, who: str = "op") -> Job:
        """Have somebody release a job."""
        return self.desk(who).release(job.id, reason="凭批准", case=case, copies=copies)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, with less work for each."""
    hash_quickly(monkeypatch)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Give an office with two held files."""
    made = Office(tmp_path)
    yield made
    made.close()


def test_a_whole_case(office: Office) -> None:
    """Held, asked for, signed by the head of the secretariat, released once with two numbered copies."""
    job = office.held()
    case = office.desk("op").cases.ask(job.id, ASKED)
    assert [step.name for step in case.steps] == ["secretariat"]
    with pytest.raises(Denied, match="still missing"):
        office.release(job, case.id)
    assert office.site.files(office.site.released) == []
    office.sign("secr", case.id)
    done = office.release(job, case.id)
    assert done.state is State.RELEASED
    assert (office.site.released / "配方.txt").read_bytes() == SECRET
    copies = office.store.records(COPIES, RecordFilter(job=job.id))
    assert sorted(copy.number for copy in copies) == [1, 2]
    first = copies[-1]
    assert (first.state, first.total, first.recipients, first.approved_by) == (CopyState.MADE, 2, ("王五",), ("secr",))
    assert office.desk("op").cases.state(office.store.record(CASES, case.id)) is CaseState.SPENT
    kinds = [event.kind for event in office.store.events() if event.job == job.id]
    assert kinds[-5:] == ["requested", "denied", "signed", "releasing", "released"]
    assert office.desk("aud").audit_verify().holds


def test_who_has_no_approval_gets_nothing_out(office: Office) -> None:
    """Neither without a case, nor on a case of another job, nor by a role that does not release."""
    job, other = office.held(), office.held("通知.txt")
    with pytest.raises(Denied, match="no approval"):
        office.release(job)
    case = office.approved(other, "head")
    with pytest.raises(Denied, match="has no approval of the number"):
        office.release(job, case)
    for who in ("rev", "secr", "lead", "sys", "aud", "cls"):
        with pytest.raises(Denied, match="may not"):
            office.release(other, case, who=who)
    assert office.site.files(office.site.released) == []
    assert office.release(other, case).state is State.RELEASED


def test_nobody_signs_what_he_asked_for(office: Office) -> None:
    """Not by a second account either."""
    office.add("op2", Role.LEADER, natural="n-boss")
    office.add("boss", natural="n-boss")
    job = office.held()
    case = office.desk("lead").cases.ask(job.id, ASKED)
    with pytest.raises(Denied):
        office.sign("lead", case.id)
    assert office.desk("op").cases.state(case) is CaseState.WAITING


def test_a_rejection_ends_a_case_and_not_the_job(office: Office) -> None:
    """It needs a reason; the job stays held and can be asked for anew."""
    job = office.held()
    case = office.desk("op").cases.ask(job.id, ASKED)
    with pytest.raises(Denied, match="needs its reason"):
        office.sign("secr", case.id, Decision.REJECT)
    office.sign("secr", case.id, Decision.REJECT, "用途不明")
    with pytest.raises(Denied, match="rejected"):
        office.release(job, case.id)
    assert office.store.get(job.id).state is State.HELD
    assert office.release(job, office.approved(job)).state is State.RELEASED


def test_an_approval_is_used_once(office: Office) -> None:
    """A second release finds the job gone; more copies than approved are refused before anything is opened."""
    job = office.held()
    case = office.approved(job)
    with pytest.raises(Denied, match="3 copies are asked for"):
        office.release(job, case, 3)
    office.release(job, case, 1)
    with pytest.raises(Denied, match="cannot be decided on"):
        office.release(job, case, 1)
    assert len(office.store.records(COPIES, RecordFilter(job=job.id))) == 1


def test_an_approval_expires(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its hour; a clock that is set back afterwards revives nothing."""
    job = office.held()
    case = office.approved(job)
    end, real = approval.expires(office.store.record(CASES, case)), time.time
    monkeypatch.setattr(time, "time", lambda: end + 1)
    office.forget()
    with pytest.raises(Denied, match="expired"):
        office.release(job, case)  # the refusal is in the trail, with its moment
    monkeypatch.setattr(time, "time", real)
    office.forget()
    with pytest.raises(Denied, match="expired"):
        office.release(job, case)
    assert office.site.files(office.site.released) == []


def test_what_was_signed_is_what_was_shown(office: Office) -> None:
    """Of two who sign at once one wins; the other has seen what is not there any more, and is told."""
    job = office.held()
    case = office.desk("op").cases.ask(job.id, ASKED)
    seen = office.desk("secr").cases.binding(case)
    office.add("secr2", Role.SECRETARIAT_HEAD)
    office.desk("secr2").cases.sign(case.id, Decision.APPROVE, seen)
    with pytest.raises((Denied, Conflict)):
        office.desk("secr").cases.sign(case.id, Decision.APPROVE, seen)
    with pytest.raises(Conflict, match="every signature"):
        office.desk("secr").cases.binding(office.store.record(CASES, case.id))


@pytest.mark.parametrize(
    ("asking", "why"),
    [
        (evolve(ASKED, purpose=" "), "purpose"),
        (evolve(ASKED, recipients=()), "who gets it"),
        (evolve(ASKED, return_by=1.0), "before they were asked for"),
    ],
)
def test_a_request_that_lacks_something_is_refused(office: Office, asking: Asking, why: str) -> None:
    """Said at once, and in the trail."""
    with pytest.raises(Denied, match=why):
        office.desk("op").cases.ask(office.held().id, asking)
    assert office.kinds()[-1] == "denied"
    assert office.store.records(CASES) == ()


def test_only_held_jobs_are_asked_for(office: Office) -> None:
    """What was rejected or has left is not."""
    job = office.held()
    office.desk("rev").reject(job.id, reason="不得外发")
    with pytest.raises(Denied, match="not held"):
        office.desk("op").cases.ask(job.id, ASKED)


def test_one_who_loses_his_role_before_he_signs(office: Office) -> None:
    """Counts as he is, not as he was when he looked."""
    job = office.held()
    case = office.desk("op").cases.ask(job.id, ASKED)
    secretary = office.desk("secr")
    binds = secretary.cases.binding(case)
    office.roles("secr", Role.CLASSIFIER)
    with pytest.raises(Denied):
        secretary.cases.sign(case.id, Decision.APPROVE, binds)


def test_an_approval_that_was_edited_in_the_books_gives_nothing(office: Office) -> None:
    """More copies written into the row, a signature copied from another case: refused, and the trail names the row."""
    job, other = office.held(), office.held("通知.txt")
    case, signed = office.desk("op").cases.ask(job.id, ASKED), office.approved(other, "head")
    stolen = office.store.record(CASES, signed).signatures
    for forged in (
        evolve(case, signatures=stolen, version=2),
        evolve(office.store.record(CASES, signed), id=case.id, version=2),
    ):
        office.store._db.execute(
            "UPDATE record SET value = ? WHERE kind = 'case' AND id = ?", (msgspec.msgpack.encode(forged), case.id)
        )
        with pytest.raises(Denied):
            office.release(job, case.id)
    seen = office.desk("aud").audit_verify()
    assert not seen.holds
    assert any(f"case:{case.id}" in fault.say.en for fault in seen.faults)


def test_a_ladder_that_grew_asks_for_more(office: Office, tmp_path: Path) -> None:
    """A step that the site added after the request was made is still asked for."""
    job = office.held()
    case = office.approved(job)
    text = office.site.config.read_text(encoding="utf-8")
    office.site.config.write_text(
        text + '[[ladder.steps]]\nname = "财务"\nsay = "财务会签"\nroles = ["leader"]\n', encoding="utf-8"
    )
    with House.reopened(office) as later, pytest.raises(Denied, match="more is asked for"):
        later.desk("op").release(job.id, reason="凭批准", case=case)
    assert office.site.files(office.site.released) == []


def test_a_file_that_was_flipped_in_the_vault_does_not_leave(office: Office) -> None:
    """The approval is for these bytes; what lies there in their place is told, and the approval is not used up."""
    job = office.held()
    case = office.approved(job)
    sealed = office.site.vault / "q" / f"{job.id}.age"
    raw = bytearray(sealed.read_bytes())
    raw[-5] ^= 1
    sealed.write_bytes(bytes(raw))
    with pytest.raises(VaultError):
        office.release(job, case)
    sealed.unlink()
    with pytest.raises(VaultError):
        office.release(job, case)
    assert office.store.record(CASES, case).cleared == ()
    assert office.store.get(job.id).state is State.HELD


def test_books_that_cannot_be_written_let_nothing_go(office: Office) -> None:
    """Locked by somebody else, or read-only: told, nothing released, the approval still there."""
    job = office.held()
    case = office.approved(job)
    office.desk("op")
    office.store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="SQLITE_READONLY"):
        office.release(job, case)
    office.store._db.execute("PRAGMA query_only = OFF")
    office.store._db.execute("PRAGMA busy_timeout = 1")  # nobody lets go: it is told now as it is after half a minute
    with closing(sqlite3.connect(office.config.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="SQLITE_BUSY"):
            office.release(job, case)
        other.execute("ROLLBACK")
    assert office.store.get(job.id).state is State.HELD
    assert office.store.record(CASES, case).cleared == ()
    assert office.site.files(office.site.released) == []
    assert office.release(job, case).state is State.RELEASED


def test_several_approvals_have_to_be_named(office: Office) -> None:
    """Where two could be meant, none is taken."""
    job = office.held()
    first, _ = office.approved(job), office.approved(job)
    with pytest.raises(UsageError, match="2 approvals"):
        office.release(job)
    assert office.release(job, first).state is State.RELEASED


def test_the_commands_tell_a_whole_case(office: Office) -> None:
    """Each in his own session: ask, look, sign with what was seen, release; what may not be done exits with 9."""
    sessions = {who: {"DLP_SESSION": str(office.site.root / f"{who}.session")} for who in ("op", "secr", "rev")}
    for who, env in sessions.items():
        office.token(who)
        assert run(office, env, "login", who, "--password-file", "-", said="Correct-Horse-7\n").returncode == 0
    job = office.held()
    asked = ("quarantine", "request", job.id, "--copies", "1", "--purpose", "上会", "--to", "王五:综合科", "--json")
    (case,) = rows(run(office, sessions["op"], *asked))
    assert (case["state"], case["copies"], case["left"]) == ("waiting", 1, 1)
    assert run(office, sessions["op"], "quarantine", "approve", case["case"]).returncode == 9
    (shown,) = rows(run(office, sessions["secr"], "quarantine", "case", case["case"], "--json"))
    wrong = run(office, sessions["secr"], "quarantine", "approve", case["case"], "--seen", "sha256:0")
    assert wrong.returncode == 5
    good = run(office, sessions["secr"], "quarantine", "approve", case["case"], "--seen", shown["binding"], "--json")
    assert rows(good)[0]["state"] == "approved"
    assert run(office, sessions["rev"], "quarantine", "release", job.id, "--reason", "x").returncode == 9
    assert run(office, {"DLP_SESSION": "/nonexistent"}, "quarantine", "list").returncode == 9
    done = run(office, sessions["op"], "quarantine", "release", job.id, "--reason", "凭批准", "--json")
    assert rows(done)[0]["state"] == "released"
    assert (office.site.released / "配方.txt").read_bytes() == SECRET
    assert (
        "已登录" in run(office, sessions["op"], "login", "op", "--password-file", "-", said="Correct-Horse-7\n").stdout
    )
    assert run(office, sessions["op"], "logout").returncode == 0
    assert run(office, sessions["op"], "quarantine", "list").returncode == 9


def run(office: Office, env: dict[str, str], *args: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of the site in the session of one person."""
    return subprocess.run(
        [sys.executable, "-m", "dlp", *args],
        cwd=office.site.root,
        env={**os.environ, "DLP_CONFIG": str(office.site.config), "TMPDIR": str(office.site.scratch()), **env},
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    """Return the lines of JSON that a command wrote."""
    assert done.returncode == 0, done.stderr
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]
