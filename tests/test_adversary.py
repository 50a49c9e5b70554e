"""Somebody who means harm, at the desk and at the files beneath it: what he tries comes to nothing, and is told."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from clerks import Office, closed_office, office
from dlp import approval
from dlp.account import ACCOUNTS
from dlp.approval import Case, Decision
from dlp.audit import Wrong
from dlp.cli import persons
from dlp.errors import Conflict, Denied, DlpError
from dlp.model import Action, Level, Regime, State, Verdict, evolve
from dlp.request import Recipient
from dlp.review import REVIEWS
from dlp.rights import Operation, Person, Role, same
from dlp.service import evidence
from dlp.service.cases import CASES, Asking
from dlp.service.desk import Desk
from dlp.store import EventFilter, Job, schema
from dlp.store.sqlite import SqliteStore
from staff import PASSWORD, House, hash_quickly

__all__ = ["closed_office", "office"]

ASKED = Asking(copies=2, purpose="上会", recipients=(Recipient(name="王五", unit="综合科"),))
DAY = 86_400.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, with less work for each."""
    hash_quickly(monkeypatch)


def beneath(office: House, statement: str, *values: object) -> None:
    """Change the books behind everybody's back."""
    db = sqlite3.connect(office.config.store.path)
    with db:
        assert db.execute(statement, values).rowcount == 1
    db.close()


def write_job(office: Office, job: Job) -> None:
    """Write a job into its row as if it had always been so."""
    row = schema.row(job)
    marks = ", ".join("?" for _ in row)
    beneath(office, f"INSERT OR REPLACE INTO job ({', '.join(row)}) VALUES ({marks})", *row.values())  # noqa: S608  names of our own columns


def write_case(office: Office, case: Case) -> None:
    """Write a case into its row as if it had always been so."""
    row = CASES.row(case)
    beneath(
        office,
        "UPDATE record SET version = ?, state = ?, due = ?, value = ? WHERE kind = 'case' AND id = ?",
        *(row[name] for name in ("version", "state", "due", "value", "id")),
    )


def held(office: Office, level: Level = Level.CONFIDENTIAL, regime: Regime = Regime.COMMERCIAL) -> Job:
    """Write a job that is held."""
    return office.job(State.HELD, level=level, regime=regime)


def events(office: House, kind: str, job: Job) -> int:
    """Return how many events of a kind there are of a job."""
    return len(office.store.find_events(EventFilter(kind=kind, job=job.id)))


# the tables beneath the trail


def raised(job: Job) -> Job:
    return evolve(job, state=State.HELD)


def lowered(job: Job) -> Job:
    return evolve(job, verdict=Verdict(action=Action.QUARANTINE, level=Level.SENSITIVE, regime=Regime.WORK))


def exchanged(job: Job) -> Job:
    return evolve(job, item=evolve(job.item, sha256="0" * 64))


@pytest.mark.parametrize("change", [raised, lowered, exchanged])
def test_a_job_that_was_changed_in_its_table_is_named(office: Office, change: Callable[[Job], Job]) -> None:
    """Rejected set back to held, a level made lower, the hash of another file: each is told, with its event."""
    job = office.job(State.REJECTED, level=Level.CONFIDENTIAL, regime=Regime.COMMERCIAL)
    (told,) = office.store.find_events(EventFilter(job=job.id))
    assert office.desk("aud").audit_verify().holds
    write_job(office, change(job))
    (fault,) = office.desk("aud").audit_verify().faults
    assert (fault.wrong, fault.at) == (Wrong.RECORD, told.seq)
    assert job.id in fault.say.zh
    assert str(told.seq) in fault.say.zh


def test_a_column_by_which_lists_go_is_named_too(office: Office) -> None:
    """Who hides a job from every list, and leaves the job itself alone, is told as well."""
    job = held(office)
    beneath(office, "UPDATE job SET state = 'released' WHERE id = ?", job.id)
    assert office.desk("rev").held() == ()
    assert [fault.wrong for fault in office.desk("aud").audit_verify().faults] == [Wrong.RECORD]


def test_a_job_that_was_taken_out_or_put_in_is_named(office: Office) -> None:
    """Of a job that is not there any more, and of one that nobody took in, the trail knows better."""
    job = held(office)
    write_job(office, evolve(job, id="01ZZZZZZZZZZZZZZZZZZZZZZZZ"))
    beneath(office, "DELETE FROM job WHERE id = ?", job.id)
    said = [fault.say.zh for fault in office.desk("aud").audit_verify().faults]
    assert [("移出" in one, "没有来历" in one) for one in said] == [(True, False), (False, True)]


def test_a_job_of_which_only_older_events_tell_is_no_fault(office: Office) -> None:
    """Books that were written before events carried digests of jobs verify as they did."""
    job = held(office)
    write_job(office, evolve(job, id="01ZZZZZZZZZZZZZZZZZZZZZZZZ"))
    office.store.note(actor="gate", kind="taking", job="01ZZZZZZZZZZZZZZZZZZZZZZZZ", body={})
    assert office.desk("aud").audit_verify().holds


def test_a_signature_that_was_written_into_the_books_lets_nothing_go(office: Office) -> None:
    """It fits its case in every way, and the trail tells of nobody who gave it."""
    job = held(office)
    case = office.desk("opa").cases.ask(job.id, ASKED)
    head = office.store.record(ACCOUNTS, "hed").person(time.time())
    binds = approval.binding(case)
    assert binds is not None
    forged = approval.sign(case, head, Decision.APPROVE, time.time(), role=Role.SECRETARIAT_HEAD, binds=binds)
    assert isinstance(forged, Case)
    write_case(office, forged)
    with pytest.raises(Denied, match="may have been changed"):
        office.desk("opa").cases.cleared(case.id, job, 1)
    assert events(office, "denied", job) == 1


def test_a_level_that_was_lowered_in_the_books_lets_nothing_go(office: Office) -> None:
    """Signed for as what the books say it is, it still does not go: the trail tells of another level."""
    job = lowered(held(office))
    write_job(office, job)
    case = office.desk("opa").cases.ask(job.id, ASKED)
    cases = office.desk("dep").cases
    cases.sign(case.id, Decision.APPROVE, cases.binding(case))
    with pytest.raises(Denied, match="may have been changed"):
        office.desk("opa").cases.cleared(case.id, job, 1)


def test_a_decision_that_was_taken_out_of_the_books_lets_nothing_go(office: Office) -> None:
    """An approval from before a decision on the level does not come to life when that is deleted."""
    job = held(office)
    case = office.approved(job)
    office.desk("cla").reviews.decide_level(job.id, Level.TOP_SECRET, Regime.COMMERCIAL, basis="目录", reason="核心")
    with pytest.raises(Denied, match="were decided on after"):
        office.desk("opa").cases.cleared(case.id, job, 1)
    beneath(office, "DELETE FROM record WHERE kind = ? AND id = ?", REVIEWS.name, job.id)
    with pytest.raises(Denied, match="may have been changed"):
        office.desk("opa").cases.cleared(case.id, job, 1)


def test_books_without_their_accounts_let_nobody_act_alone(office: Office) -> None:
    """Where the trail tells of accounts and there are none, whoever has the machine is not let in."""
    job = held(office)
    db = sqlite3.connect(office.config.store.path)
    with db:
        db.execute("DELETE FROM record WHERE kind = 'person'")
    db.close()
    desk = Desk(office.config, office.store)
    assert not desk.acting.alone
    with pytest.raises(Denied, match="log in first"):
        desk.release(job.id, reason="x")


def test_the_sealed_copy_of_another_file_goes_nowhere(office: Office, tmp_path: Path) -> None:
    """A vault object that was exchanged for another valid one is not handed out in its place."""
    one = office.job(State.HELD, level=Level.SENSITIVE, regime=Regime.WORK, content=b"one\n")
    other = office.job(State.HELD, level=Level.SENSITIVE, regime=Regime.WORK, content=b"other\n")
    sealed = Path(office.config.vault.folder) / "q"
    shutil.copy(sealed / f"{other.id}.age", sealed / f"{one.id}.age")
    out = tmp_path / "sender"
    out.mkdir()
    with pytest.raises(DlpError):
        office.desk("rev").give_back(one.id, out, reason="退回")
    assert list(out.iterdir()) == []
    assert office.store.get(one.id).state is State.HELD


# who is who


@pytest.mark.parametrize("natural", ["N-OPA", " n-opa ", "ｎ－ｏｐａ", "n - opa", "n–opa", "n-opa\u200b"])
def test_a_staff_number_in_another_spelling_is_the_same_person(office: Office, natural: str) -> None:
    """An operator does not become an approver by a second account whose number is typed in another way."""
    with pytest.raises(Denied):
        office.add("second", Role.SECRETARIAT_HEAD, natural=natural)
    assert office.store.record(ACCOUNTS, "second").roles == ()


def test_the_applicant_signs_nothing_whatever_his_number_looks_like(office: Office) -> None:
    """The person for whom it is asked is known by his number in any spelling."""
    job = held(office)
    case = office.desk("opa").cases.ask(job.id, evolve_asking(applicant="Ｎ－ＨＥＤ"))
    cases = office.desk("hed").cases
    with pytest.raises(Denied, match="is the one who asks"):
        cases.sign(case.id, Decision.APPROVE, cases.binding(case))


def evolve_asking(**fields: str) -> Asking:
    """Return what is asked for, with other fields."""
    made: Asking = evolve(ASKED, **fields)
    return made


def test_a_number_of_nothing_that_can_be_seen_is_none(office: Office) -> None:
    """An account whose number is blank in every form belongs to nobody, and is not made."""
    assert same(" \u200b\u3000") == ""
    with pytest.raises(DlpError, match="staff number"):
        office.add("nobody", natural="\u200b\u3000")
    with pytest.raises(ValueError, match="natural person"):
        Person(id="a", name="a", natural="\u200b")


def test_an_account_that_comes_to_life_again_is_looked_at(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles given while another account of the person had expired do not stand beside those of it later."""
    now = time.time()
    office.add("old", Role.REVIEWER, natural="p7")
    office.add("new", natural="p7")
    asked = office.seconds("sys").ask(Operation.ACCOUNT_CHANGE, "old", {"until": now + 1_000})
    office.confirm("sec", asked.id)
    monkeypatch.setattr(time, "time", lambda: now + 2_000)
    office.roles("new", Role.SECRETARIAT_HEAD)
    asked = office.seconds("sys").ask(Operation.ACCOUNT_CHANGE, "old", {"until": now + DAY})
    with pytest.raises(Denied, match="cannot be both"):
        office.confirm("sec", asked.id)


# the clock


def set_back(office: Office, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let so many days go by until something is noted, and set the clock back to where it was."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * DAY)
    office.store.note(actor="gate", kind="tick", job="", body={})
    monkeypatch.setattr(time, "time", lambda: now + 1)


def test_a_clock_that_was_set_back_keeps_nobody_logged_in(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that had ended does not begin again."""
    token = office.token("opa")
    set_back(office, monkeypatch, 10)
    with pytest.raises(Denied, match="has expired"):
        office.people.who(token)


def test_a_clock_that_was_set_back_revives_no_account(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that had expired does nothing, whoever is still at work with it."""
    asked = office.seconds("sys").ask(Operation.ACCOUNT_CHANGE, "opa", {"until": time.time() + 1_000})
    office.confirm("sec", asked.id)
    desk, job = office.desk("opa"), held(office)
    set_back(office, monkeypatch, 1)
    with pytest.raises(Denied, match="locked or has expired"):
        desk.cases.ask(job.id, ASKED)


def test_a_clock_that_was_set_back_revives_nothing_that_waits(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody confirmed in time is not confirmed later."""
    asked = office.seconds("sys").ask(Operation.ACCOUNT_CHANGE, "opa", {"post": "组长"})
    seconds = office.seconds("sec")
    set_back(office, monkeypatch, 30)
    assert seconds.waiting() == ()
    with pytest.raises(Conflict, match="lapsed"):
        seconds.confirm(asked.id)


# what is decided counts


def test_knowing_of_what_was_decided_to_be_confidential_is_recorded(office: Office) -> None:
    """The level that a classification officer decided on counts, and so does a state secret of no known level."""
    job = office.job(State.HELD, level=Level.SENSITIVE, regime=Regime.WORK)
    office.desk("rev").show(job.id)
    assert events(office, "seen", job) == 0
    office.desk("cla").reviews.decide_level(
        job.id, Level.CONFIDENTIAL, Regime.COMMERCIAL, basis="目录第3项", reason="核心内容"
    )
    office.desk("rev").show(job.id)
    assert events(office, "seen", job) == 1
    unknown = office.job(State.HELD, regime=None, level=None)
    write_job(office, evolve(unknown, verdict=Verdict(action=Action.QUARANTINE, regime=Regime.STATE)))
    office.desk("rev").show(unknown.id)
    assert events(office, "seen", unknown) == 1


def test_whoever_follows_a_confidential_file_through_the_trail_is_recorded(office: Office) -> None:
    """The custody of a file and the form of its incident tell what it is: who had them is known."""
    job = held(office)
    office.desk("rev").incidents.custody(job.id)
    assert events(office, "seen", job) == 1
    opened = office.desk("rev").incidents.open("怀疑泄露", target=job.id)
    office.desk("rev").incidents.form(opened.id)
    assert events(office, "seen", job) == 2


def test_redaction_is_no_way_round_a_decided_level(office: Office) -> None:
    """What was decided to be 机密 leaves on an approval, whatever can be cut out of it; the refusal is in the trail."""
    job = office.job(State.HELD, level=Level.SENSITIVE, regime=Regime.PERSONAL)
    office.desk("cla").reviews.decide_level(
        job.id, Level.CONFIDENTIAL, Regime.COMMERCIAL, basis="目录第3项", reason="核心内容"
    )
    with pytest.raises(Denied, match="does not leave redacted"):
        office.desk("rev").redact(job.id, reason="脱敏")
    assert events(office, "denied", job) == 1
    assert office.store.get(job.id).state is State.HELD


def test_a_frozen_file_is_not_given_back(office: Office, tmp_path: Path) -> None:
    """What may be evidence stays: given back, its sealed copy would be gone."""
    job = office.job(State.HELD, level=Level.SENSITIVE, regime=Regime.WORK)
    office.desk("rev").incidents.freeze(job.id, "核查")
    out = tmp_path / "sender"
    out.mkdir()
    with pytest.raises(Denied, match="is frozen"):
        office.desk("rev").give_back(job.id, out, reason="退回")
    assert list(out.iterdir()) == []
    assert office.vault.has(job.id)


@pytest.mark.parametrize(
    ("level", "regime"),
    [(Level.SECRET, Regime.COMMERCIAL), (Level.CONFIDENTIAL, Regime.STATE), (None, Regime.STATE), (None, Regime.EXAM)],
)
def test_without_accounts_nothing_leaves_that_an_approval_lets_go(
    office: Office, tmp_path: Path, level: Level | None, regime: Regime
) -> None:
    """Whoever has the machine does not release 秘密 and above on a reason alone: nobody is there to approve of it."""
    with closing(SqliteStore.open(tmp_path / "alone.db", create=True)) as store:
        job = office.job(State.HELD)
        store.add(
            evolve(job, verdict=Verdict(action=Action.QUARANTINE, level=level, regime=regime)),
            actor="test",
            kind="taking",
            body={},
        )
        desk = Desk(office.config, store)
        assert desk.acting.alone
        with pytest.raises(Denied, match="without accounts nobody approves of it"):
            desk.release(job.id, reason="x")
        assert store.get(job.id).state is State.HELD


# nobody in particular


def test_whoever_has_not_logged_in_is_told_nothing(office: Office, tmp_path: Path) -> None:
    """Not even whether there is such a job, or how it stands: every way gives the same answer."""
    desk, job = Desk(office.config, office.store), held(office)
    ways: tuple[Callable[[str], object], ...] = (
        lambda id_: desk.release(id_, reason="x"),
        lambda id_: desk.reject(id_, reason="x"),
        lambda id_: desk.redact(id_, reason="x"),
        lambda id_: desk.give_back(id_, tmp_path, reason="x"),
        desk.show,
        desk.certificate,
        lambda id_: desk.held(),
        lambda id_: desk.seconds.waiting(),
        desk.seconds.get,
        desk.reviews.claim,
        lambda id_: desk.reviews.comment(id_, "x"),
        lambda id_: desk.reviews.ask_to_lift(id_, "x"),
        lambda id_: desk.reviews.ask_to_keep(id_, time.time() + DAY),
        lambda id_: desk.cases.ask(id_, ASKED),
        lambda id_: evidence.page(desk.acting, id_, 1),
        desk.withheld.get,
        lambda id_: desk.withheld.hand_over(id_, to="x", receipt="x"),
    )
    for way in ways:
        for id_ in (job.id, "01ZZZZZZZZZZZZZZZZZZZZZZZZ"):
            with pytest.raises(Denied, match="somebody has to log in first"):
                way(id_)


def test_a_session_file_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others cannot read by which word somebody is known, whatever the umask."""
    monkeypatch.setenv("DLP_SESSION", str(tmp_path / "session"))
    before = os.umask(0)
    try:
        persons.keep("a token")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "session").stat().st_mode) == 0o600


def test_one_logs_out_everywhere(office: Office) -> None:
    """Every session of the account ends, and nobody else's."""
    office.people.change_password("opa", PASSWORD, "Other-Horse-8")
    here, there = (office.people.log_in("opa", "Other-Horse-8") for _ in range(2))
    other = office.token("rev")
    office.people.log_out_everywhere(here)
    for token in (here, there):
        with pytest.raises(Denied, match="has expired"):
            office.people.who(token)
    assert office.people.who(other).id == "rev"


# nothing of it lies about


def test_no_password_token_or_content_is_anywhere_in_the_site(office: Office) -> None:
    """After a whole case, no file of the site holds a word of what was sealed, a password, or a token."""
    needle = "独角兽计划第七号附件"
    job = office.job(State.HELD, level=Level.CONFIDENTIAL, regime=Regime.COMMERCIAL, content=needle.encode() * 40)
    case = office.approved(job)
    office.desk("opa").cases.cleared(case.id, job, 1)
    office.desk("rev").show(job.id)
    office.add("late", Role.OPERATOR)
    tokens = [office.token(who) for who in ("opa", "rev", "late")]
    words = [needle.encode(), needle.encode("gb18030"), PASSWORD.encode(), *(token.encode() for token in tokens)]
    found = [
        path.relative_to(office.root).as_posix()
        for path in office.root.rglob("*")
        if path.is_file() and path.suffix != ".session" and path.name != "source"
        if any(word in path.read_bytes() for word in words)
    ]
    assert found == []
