"""Nothing sealed is destroyed but on an approved, witnessed list with its receipt; and then all of it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clerks import PAPER, Office, Terminal, closed_office, office
from dlp import account
from dlp.copies import COPIES, CopyState
from dlp.destruction import DESTRUCTIONS, SEALED, End, Stage
from dlp.errors import Denied, DlpError, NotFound
from dlp.model import State
from dlp.rights import Denial, Operation, Why
from dlp.service import destructions
from dlp.service.destructions import Destructions, Handed
from dlp.service.lending import Lending
from dlp.service.line import Line
from dlp.store import Job
from dlp.store.entry import Entry

__all__ = ["closed_office", "office"]


def handed(**changes: object) -> Handed:
    """Return what stands on a receipt that lacks nothing."""
    whole = Handed(
        receipt="销字〔2026〕7号", carriers=("张三", "李四"), destroyer="市销毁中心", place="", at=time.time()
    )
    return whole._replace(**changes)


def drawn(office: Office, *jobs: Job, copies: tuple[str, ...] = ()) -> str:
    """Draw up a list by the security officer."""
    lists = office.desk("rev").destructions
    return lists.draw_up(copies, [job.id for job in jobs], reason="期满", method="送销").id


def ready(office: Office, *jobs: Job, copies: tuple[str, ...] = ()) -> str:
    """Bring a list to where it can be erased."""
    one = drawn(office, *jobs, copies=copies)
    office.approve(one)
    office.desk("opa").destructions.witness(one)
    office.desk("opb").destructions.witness(one)
    office.desk("rev").destructions.hand_over(one, handed())
    return one


def erased(office: Office, one: str) -> None:
    """Erase a list by the two that it takes."""
    asked = office.desk("rev").seconds.ask(Operation.DESTROY_ERASE, one, {})
    office.confirm("hed", asked.id)


def refuses(why: Why, way: Callable[[], object], office: Office) -> Denied:
    """Assert that something is refused, and that the trail says why."""
    with pytest.raises(Denied) as told:
        way()
    *_, event = office.store.events()
    assert (event.kind, event.body["why"]) == ("denied", why.value)
    assert told.value.hint is not None
    assert "第二十八条" in told.value.hint.zh
    return told.value


def returned(office: Office) -> str:
    """Return a copy that was picked up and given back."""
    one, _ = office.printed()
    Lending(office.acting("opa")).pick_up(one.id, "王某")
    Lending(office.acting("rev")).give_back(one.id, by="王某")
    return one.id


def test_a_list_from_the_count_to_the_erasing(office: Office) -> None:
    """Copies and sealed files stay until the last word; then bytes are gone, and hash, names and receipt stay."""
    job = office.job(State.BLOCKED, days=40)
    copy = returned(office)
    one = ready(office, job, copies=(copy,))
    assert office.vault.has(job.id)
    assert office.store.record(COPIES, copy).state is CopyState.LISTED
    erased(office, one)
    assert not office.vault.has(job.id)
    made = office.store.record(DESTRUCTIONS, one)
    assert made.stage is Stage.ERASED
    assert (made.receipt, made.carriers) == ("销字〔2026〕7号", ("张三", "李四"))
    assert {piece.sha256 for piece in made.pieces} == {job.item.sha256}
    gone = office.store.record(COPIES, copy)
    assert (gone.state, gone.list, gone.destroyed_at) == (CopyState.DESTROYED, one, made.handed_at)
    assert office.store.record(SEALED, job.id).end is End.ERASED
    *_, last = office.store.events()
    assert (last.kind, last.job, last.body["sha256"]) == ("destroyed", job.id, job.item.sha256)
    assert office.store.get(job.id).state is State.BLOCKED


def test_nothing_is_erased_before_each_step_is_done(office: Office) -> None:
    """Without approval, without receipt, with one witness: refused, and nothing is gone."""
    job = office.job(State.REJECTED)
    one = drawn(office, job)
    lists = office.desk("rev").destructions
    refuses(Why.WAITING, lambda: lists.check_to_erase(one), office)
    refuses(Why.WAITING, lambda: lists.hand_over(one, handed()), office)
    refuses(Why.WAITING, lambda: office.desk("opa").destructions.witness(one), office)
    office.approve(one)
    refuses(Why.WAITING, lambda: lists.check_to_erase(one), office)
    lists.hand_over(one, handed())
    refuses(Why.WAITING, lambda: lists.check_to_erase(one), office)
    office.desk("opa").destructions.witness(one)
    told = refuses(Why.WAITING, lambda: lists.check_to_erase(one), office)
    assert "监销人只有 1 名" in told.say.zh, "SR-31"
    asked = office.desk("rev").seconds.ask(Operation.DESTROY_ERASE, one, {})
    with pytest.raises(Denied, match="it takes two"):
        office.confirm("hed", asked.id)
    assert office.vault.has(job.id)
    assert office.store.record(SEALED, job.id).end is End.LISTED
    office.desk("opb").destructions.witness(one)
    office.confirm("hed", asked.id)
    assert not office.vault.has(job.id)


def test_witnesses_are_two_who_did_nothing_else(office: Office) -> None:
    """Not who drew it up, not who approved it, nobody twice, nor a second account of one of them."""
    one = drawn(office, office.job(State.BLOCKED))
    office.approve(one)
    for who in ("rev", "hed", "lea"):
        refuses(Why.SAME_PERSON, lambda who=who: office.desk(who).destructions.witness(one), office)
    office.desk("opa").destructions.witness(one)
    for who in ("opa", "twin"):
        refuses(Why.SAME_PERSON, lambda who=who: office.desk(who).destructions.witness(one), office)
    office.desk("rev2").destructions.witness(one)
    assert len(office.store.record(DESTRUCTIONS, one).witnesses) == 2


def test_whoever_drew_a_list_up_does_not_confirm_it(office: Office) -> None:
    """The security officer may be the second who approves, but not of a list of his own."""
    one = drawn(office, office.job(State.BLOCKED))
    asked = office.desk("hed").seconds.ask(Operation.DESTROY_APPROVE, one, {})
    with pytest.raises(Denied, match="drew it up"):
        office.confirm("rev", asked.id)
    with pytest.raises(Denied):
        office.confirm("hed", asked.id)
    assert office.store.record(DESTRUCTIONS, one).stage is Stage.DRAWN
    office.confirm("rev2", asked.id)
    assert office.store.record(DESTRUCTIONS, one).stage is Stage.APPROVED


@pytest.mark.parametrize("who", ["opa", "cla", "dep", "hed", "lea", "sys", "sec", "aud"])
def test_only_the_security_officer_draws_lists_up(office: Office, who: str) -> None:
    """Everybody else is refused, and the trail tells of it."""
    job = office.job(State.BLOCKED)
    lists = office.desk(who).destructions
    with pytest.raises(Denied):
        lists.draw_up([], [job.id], reason="期满", method="送销")
    *_, event = office.store.events()
    assert (event.kind, event.actor, event.body["operation"]) == ("denied", who, "destroy.list")
    with pytest.raises(Denied):
        office.desk(who).seconds.ask(Operation.DESTROY_ERASE, "x", {})


@pytest.mark.parametrize("state", [s for s in State if s not in destructions.DESTROYABLE])
def test_what_is_not_decided_goes_on_no_list(office: Office, state: State) -> None:
    """A held job waits for somebody; one that is on its way is not touched."""
    job = office.job(state)
    refuses(Why.INCOMPLETE, lambda: drawn(office, job), office)


def test_what_goes_on_no_list(office: Office) -> None:
    """A copy that is out, a file on another list, twice, nothing, without its sealed file, without a reason."""
    made, other = office.printed()
    refused = office.desk("rev").destructions
    job, bare = office.job(State.BLOCKED), office.job(State.REJECTED)
    office.vault.destroy(bare.id)
    with pytest.raises(Denied):
        drawn(office, copies=(made.id,))
    with pytest.raises(Denied):
        drawn(office, bare)
    with pytest.raises(Denied):
        drawn(office)
    with pytest.raises(DlpError):
        drawn(office, job, job)
    for words in ({"reason": " ", "method": "送销"}, {"reason": "期满", "method": "烧"}):
        with pytest.raises(Denied):
            refused.draw_up([], [job.id], **words)
    for name in ("nothing", f"{other.job}-099", f"{other.job}-x", "NOSUCHJOB-001"):
        with pytest.raises(NotFound):
            drawn(office, copies=(name,))
    assert office.store.count_records(DESTRUCTIONS) == 0
    assert office.store.count_records(SEALED) == 0
    first = drawn(office, job)
    told = refuses(Why.INCOMPLETE, lambda: drawn(office, job), office)
    assert first in told.say.zh


def test_a_hand_over_is_what_its_receipt_says(office: Office) -> None:
    """Two carriers, a number, who destroys it, after the approval and not in the future."""
    one = drawn(office, office.job(State.BLOCKED))
    office.approve(one)
    lists = office.desk("rev").destructions
    for wrong in (
        handed(carriers=("张三",)),
        handed(carriers=("张三", " 张三 ")),
        handed(receipt=" "),
        handed(destroyer=""),
    ):
        refuses(Why.INCOMPLETE, lambda wrong=wrong: lists.hand_over(one, wrong), office)
    for moment in (time.time() - 3_600, time.time() + 3_600, float("nan")):
        refuses(Why.CLOCK, lambda moment=moment: lists.hand_over(one, handed(at=moment)), office)
    lists.hand_over(one, handed())
    refuses(Why.WAITING, lambda: lists.hand_over(one, handed()), office)


def test_a_list_is_taken_back_before_it_leaves(office: Office) -> None:
    """What was on it is where it was, and goes on another list; one that was handed over is not taken back."""
    job, copy = office.job(State.BLOCKED), returned(office)
    one = drawn(office, job, copies=(copy,))
    lists = office.desk("rev").destructions
    refuses(Why.NO_REASON, lambda: lists.withdraw(one, " "), office)
    assert lists.withdraw(one, "数错").stage is Stage.WITHDRAWN
    assert office.store.record(COPIES, copy).state is CopyState.RETURNED
    again = ready(office, job, copies=(copy,))
    refuses(Why.WAITING, lambda: lists.withdraw(again, "反悔"), office)
    refuses(Why.WAITING, lambda: lists.withdraw(one, "再来"), office)


def test_what_is_kept_is_neither_listed_nor_erased(office: Office) -> None:
    """Whoever keeps a job (legal hold, freeze) is asked when it is listed, and again before it is erased."""
    job = office.job(State.BLOCKED)
    no = Denial(why=Why.CLOSED, say=_say(), hint=_say(), article="第二十八条")

    def keeper(_: Entry, one: Job) -> Denial | None:
        return no if one.id == job.id else None

    lists = Destructions(office.acting("rev"), lambda: office.vault, (keeper,))
    refuses(Why.CLOSED, lambda: lists.draw_up([], [job.id], reason="期满", method="送销"), office)
    assert list(lists.due()) == []
    one = ready(office, job)
    erase = destructions.doing((keeper,))[Operation.DESTROY_ERASE]
    asked = office.desk("rev").seconds.ask(Operation.DESTROY_ERASE, one, {})
    with pytest.raises(Denied), office.store.change() as entry:
        erase(entry, asked)
    assert office.store.record(DESTRUCTIONS, one).stage is Stage.HANDED


def _say() -> destructions.Say:
    return destructions.Say("依法留存", "kept")


def test_what_is_due(office: Office) -> None:
    """What was blocked once its time is over, what was rejected at once; nothing held, listed or without its file."""
    old, fresh = office.job(State.BLOCKED, days=31), office.job(State.BLOCKED, days=29)
    rejected, held = office.job(State.REJECTED), office.job(State.HELD, days=400)
    listed, bare = office.job(State.BLOCKED, days=99), office.job(State.BLOCKED, days=98)
    drawn(office, listed)
    office.vault.destroy(bare.id)
    found = [job.id for job in office.desk("opa").destructions.due()]
    assert found == [old.id, rejected.id]
    assert not {fresh.id, held.id} & set(found)


def test_with_accounts_the_clock_destroys_nothing(office: Office) -> None:
    """SR-15: evidence whose time is over stays until a list is erased; without accounts the clock ends it."""
    job = office.job(State.BLOCKED, days=400)
    tidy(office)
    assert office.vault.has(job.id)
    with office.store.change() as entry:
        for one in office.people.all():
            entry.drop(account.ACCOUNTS, one.id)
        entry.append("test", "accounts-gone", "", {})
    tidy(office)
    assert not office.vault.has(job.id)


def tidy(office: Office) -> None:
    """Let the gate look for leftovers."""
    line = Line.__new__(Line)  # it judges nothing here: no matcher, no sandbox
    line.config, line.store, line.vault = office.config, office.store, office.vault
    line.drop_leftovers()


def test_the_gate_finishes_what_a_crash_left(office: Office) -> None:
    """The word is committed and the bytes are still there: they go at the next start, and it is told once."""
    job = office.job(State.BLOCKED)
    one = ready(office, job)
    asked = office.desk("rev").seconds.ask(Operation.DESTROY_ERASE, one, {})
    seconds = office.desk("hed").seconds
    seconds._after = {}  # the crash: nothing is done after the commit
    seconds.confirm(asked.id)
    assert office.vault.has(job.id)
    assert office.store.record(SEALED, job.id).end is End.ERASING
    tidy(office)
    tidy(office)
    assert not office.vault.has(job.id)
    assert [event.kind for event in office.store.events()].count("destroyed") == 1


def test_nothing_on_a_list_is_its_content(office: Office) -> None:
    """Books hold names, hashes and numbers of what was destroyed, and nothing of what it said."""
    erased(office, ready(office, office.job(State.BLOCKED)))
    office.store.close()
    for path in office.root.rglob("*"):
        if path.is_file() and path.name != "source":
            assert PAPER.strip() not in path.read_bytes(), path


DURABLE = ("fsync", "fdatasync", "rename", "unlink", "pwrite64")
STRACE = shutil.which("strace")


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.skipif(STRACE is None, reason="strace is not installed (Debian package: strace)")
def test_killed_at_every_durable_step_of_erasing(
    closed_office: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Kill -9 wherever it hurts: bytes are gone only where the books say so, and where they say so they go."""
    template, number, job, copy = to_be_erased(closed_office, tmp_path / "template")
    plain = tmp_path / "plain"
    shutil.copytree(template, plain)
    assert killed(plain, number, ",".join(DURABLE)).returncode == 0
    ends(plain, number, job, copy, "an undisturbed run")
    seen: Counter[str] = Counter()
    for line in (plain / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.match(r"(\w+)\(", line):
            seen[found[1]] += 1
    points = [(call, at + 1) for call, times in seen.items() for at in range(times)]
    assert len(points) >= 20, seen
    record_property("told", f"killed at {len(points)} steps: {dict(seen)}")
    with ThreadPoolExecutor(2) as pool:
        for run in [pool.submit(survives, template, tmp_path, (number, job, copy), *point) for point in points]:
            run.result()


def survives(template: Path, tmp_path: Path, what: tuple[str, str, str], call: str, at: int) -> None:
    """Kill at the `at`-th system call of kind `call`; look; go on."""
    number, job, copy = what
    root = tmp_path / f"{call}-{at}"
    shutil.copytree(template, root)
    done = killed(root, number, call, "-e", f"inject={call}:signal=SIGKILL:when={at}")
    assert done.returncode in (-9, 137), f"{call} {at} was not reached: {done.returncode} {done.stderr}"
    ends(root, number, job, copy, f"{call} {at}")
    shutil.rmtree(root)


def to_be_erased(closed: Path, root: Path) -> tuple[Path, str, str, str]:
    """Return a closed office where the last confirmation of an erasing is still to come; what it is, of what."""
    shutil.copytree(closed, root)
    made = Office.reopen(root)
    job, copy = made.job(State.BLOCKED, days=40), returned(made)
    one = ready(made, job, copies=(copy,))
    asked = made.desk("rev").seconds.ask(Operation.DESTROY_ERASE, one, {})
    made.close()
    return root, asked.id, job.id, copy


def killed(root: Path, number: str, calls: str, *inject: str) -> subprocess.CompletedProcess[str]:
    """Confirm in a process of its own under strace, which kills it where `inject` says."""
    code = f"""
from pathlib import Path
from clerks import Office
made = Office.reopen(Path({str(root)!r}))
desk = made.desk("hed")
print("begin", flush=True)
desk.seconds.confirm({number!r})
"""
    watched = ["-P", str(root / "state"), "-P", str(root / "vault" / "q")]
    watched += [part for path in sorted(root.rglob("*")) if path.is_file() for part in ("-P", str(path))]
    watched += [part for name in ("gate.db-wal", "gate.db-shm") for part in ("-P", str(root / "state" / name))]
    return subprocess.run(
        [
            STRACE or "strace",
            "-o",
            str(root / "trace"),
            "-e",
            f"trace={calls}",
            *watched,
            *inject,
            sys.executable,
            "-c",
            code,
        ],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def ends(root: Path, number: str, job: str, copy: str, when: str) -> None:
    """Assert that all of it was erased or nothing, and that the next step brings it to its one end."""
    made = Office.reopen(root)
    try:
        erased_ = made.store.records(DESTRUCTIONS)[0].stage is Stage.ERASED
        assert erased_ or made.vault.has(job), f"destroyed without the word at {when}"
        state = made.store.record(COPIES, copy).state
        assert state is (CopyState.DESTROYED if erased_ else CopyState.LISTED), when
        if not erased_:
            made.confirm("hed", number)
        tidy(made)
        assert not made.vault.has(job), when
        assert made.store.record(SEALED, job).end is End.ERASED, when
        assert made.store.record(COPIES, copy).state is CopyState.DESTROYED, when
        assert [(event.kind, event.job) for event in made.store.events()].count(("destroyed", job)) == 1, when
        seen = made.desk("rev").audit_verify()
        assert seen.faults == (), when
    finally:
        made.store.close()


@pytest.mark.timeout(600)
def test_the_whole_way_at_the_command_line(office: Office) -> None:
    """From what is due to the erased file, by the commands and the people it takes."""
    job, copy = office.job(State.BLOCKED, days=40), returned(office)
    site = Terminal(office.root)
    assert [one["id"] for one in site.json("rev", "destroy", "due")] == [job.id]
    (made,) = site.json("rev", "destroy", "list", "--job", job.id, "--copy", copy, "--reason", "期满")
    one = made["list"]
    site.run("rev", "destroy", "erase", one, check=9)
    (asked,) = site.json("hed", "destroy", "approve", one)
    site.run("lea", "people", "confirm", asked["id"])
    for who in ("opa", "opb"):
        site.run(who, "destroy", "witness", one)
    site.run("rev", "destroy", "hand-over", one, "--receipt", "7号", "--carriers", "张三", "李四", "--unit", "销毁中心")
    said = site.run("rev", "destroy", "erase", one).stdout
    assert office.vault.has(job.id)
    number = re.search(r"confirm (\w+)", said)
    assert number is not None
    site.run("hed", "people", "confirm", number[1])
    assert not office.vault.has(job.id)
    (shown,) = site.json("rev", "destroy", "lists", "--stage", "erased")
    assert (shown["receipt"], [w["account"] for w in shown["witnesses"]]) == ("7号", ["opa", "opb"])
    text = site.run("rev", "destroy", "show", one).stdout
    assert "销毁中心" in text
    (first, second) = site.json("aud", "registers", "show", "destruction")
    assert {first["载体类型"], second["载体类型"]} == {"纸质", "密封电子件"}
    assert (first["押运人(2)"], first["监销人(2)"], first["审批人"]) == ("张三、李四", "opa、opb", "hed、lea")
    site.run("rev", "audit", "verify")
