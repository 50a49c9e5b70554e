"""Incidents: the clock of 24 hours, two persons where two are due, freezes that hold, evidence that verifies."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docx
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dlp import evidence, incident
from dlp.cli import dlp
from dlp.copies import COPIES, Copy, CopyState, copy_id
from dlp.errors import Conflict, Denied, NotFound, UsageError
from dlp.incident import FREEZES, INCIDENTS, Cause, Incident, Step
from dlp.model import Action, Level, State, evolve
from dlp.request import Recipient
from dlp.rights import Operation, Role, right
from dlp.service import accounts, incidents, signing, trail
from dlp.service.acting import Acting
from dlp.service.cases import Asking, Cases
from dlp.service.doctor import examine
from dlp.service.gate import Gate
from dlp.service.incidents import Incidents
from dlp.service.people import People
from dlp.service.second import Seconds
from dlp.site import Site
from dlp.sources import Arrival, Found, Onward, ReleaseError
from dlp.store.sqlite import SqliteStore
from staff import FIRST, House, hash_quickly
from test_withheld import SECRET_WORDS, TEXT, Dies
from works import Works, gate_of

LETTER = "关于借用会议场地的答复函\n同意借用三楼多功能厅。\n".encode()
CONTRACT = "租赁说明\n出租方身份证号：110101199003071233，请核对。\n".encode()
HOUR = 3_600.0


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Give one sandbox and scanner for all tests of this file."""
    with gate_of(tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, with less work for each."""
    hash_quickly(monkeypatch)


@pytest.fixture
def works(tmp_path: Path, gate: Gate) -> Iterator[Works]:
    """Give a site whose jobs are run by the test."""
    made = Works(tmp_path, gate)
    yield made
    made.store.close()


class Office(House):
    """The people of a site at work."""

    def __init__(self, works: Works) -> None:
        self.settings, self.config = works.place.config, works.config
        self.store: SqliteStore = works.store
        self.people = People(self.store, self.config.people)
        self.given = self.people.begin(FIRST)
        self._tokens = {}
        self.add("bao", Role.REVIEWER)
        self.add("ling", Role.LEADER)
        self.add("wen", Role.OPERATOR)

    def seconds(self, account: str) -> Seconds:
        """Return what waits for a second person, as somebody sees it."""
        return Seconds(self.acting(account), accounts.doing(), incidents.doing())

    def incidents(self, account: str) -> Incidents:
        """Return the incidents, as somebody sees them."""
        return Incidents(self.acting(account))


@pytest.fixture
def office(works: Works) -> Office:
    """Give a site with its people."""
    return Office(works)


def alone(works: Works) -> Incidents:
    """Return the incidents of a site where there are no accounts."""
    return Incidents(Acting.at(works.config, works.store, ""))


# --- the clock and the steps ---------------------------------------------------------------------------------------


def test_the_clock_runs_from_when_it_was_found(works: Works) -> None:
    """24 hours from the discovery, not from the entry; late ones are told by list and doctor; not in the future."""
    now = time.time()
    desk = alone(works)
    one = desk.open("U 盘遗失", found=now - 23 * HOUR)
    left = one.hours_left(now)
    assert left == pytest.approx(1.0, abs=0.01)
    assert (one.cause, one.step, one.due) == (Cause.PERSON, Step.REPORT, one.found + 24 * HOUR)
    assert [c.ok for c in examine(works.config) if c.name == "incidents"] == [True]
    late = desk.open("文件外泄", found=now - 25 * HOUR)
    assert (late.hours_left(now) or 0.0) < 0
    assert incidents.late(works.store, now) == ((late,), (), 2)
    (check,) = (c for c in examine(works.config) if c.name == "incidents")
    assert not check.ok
    assert late.id in check.say.zh
    for bad in (lambda: desk.open("x", found=now + 60), lambda: desk.open("  ")):
        with pytest.raises(UsageError):
            bad()
    with pytest.raises(NotFound):
        desk.open("x", target="01NOSUCHJOB")


def test_steps_follow_one_another(office: Office) -> None:
    """报告, 核查, 处置, 整改, 结案: none is left out, each with who and when."""
    desk = office.incidents("bao")
    one = desk.open("发现涉密文件送印")
    for wrong in (Step.REMEDY, Step.RECTIFY, Step.CLOSED, Step.REPORT):
        with pytest.raises(Conflict):
            desk.note(one.id, "跳步", step=wrong)
    for step in (Step.INVESTIGATE, Step.REMEDY, Step.RECTIFY):
        one = desk.note(one.id, f"{step.value} 完成", step=step)
        assert (one.step, one.steps[-1].by) == (step, "bao")
    with pytest.raises(UsageError):
        desk.note(one.id, " ")
    one = desk.note(one.id, "已谈话")
    assert [taken.step for taken in one.steps] == [Step.REPORT, Step.INVESTIGATE, Step.REMEDY, Step.RECTIFY]
    assert [taken.note for taken in one.notes] == ["已谈话"]
    assert office.kinds()[-4:] == ["incident-step"] * 3 + ["incident-noted"]


def brought_to_close(office: Office) -> Incident:
    """Return an incident that may be closed."""
    desk = office.incidents("bao")
    one = desk.open("发现涉密文件送印")
    for step in (Step.INVESTIGATE, Step.REMEDY, Step.RECTIFY):
        desk.note(one.id, "完成", step=step)
    desk.add_task(one.id, "培训", owner="综合科", due=time.time() + 86_400)
    desk.finish_task(one.id, 1)
    return office.incidents("ling").report(one.id, to="市保密局", receipt="2026-1")


def test_closing_takes_two_persons_and_all_that_went_before(office: Office) -> None:
    """Not before it was reported, investigated, and mended; the leader asks, the security officer confirms."""
    desk, leader = office.incidents("bao"), office.incidents("ling")
    one = desk.open("发现涉密文件送印")
    with pytest.raises(Conflict, match="not been reported"):
        leader.check_closing(one.id)
    leader.report(one.id, to="市保密局", receipt="2026-1")
    with pytest.raises(Conflict):
        leader.report(one.id, to="市保密局")
    with pytest.raises(Conflict, match="nothing was mended"):
        leader.check_closing(one.id)
    for step in (Step.INVESTIGATE, Step.REMEDY, Step.RECTIFY):
        desk.note(one.id, "完成", step=step)
    desk.add_task(one.id, "培训", owner="综合科", due=time.time() + 86_400)
    with pytest.raises(Conflict, match="tasks not done: 1"):
        leader.check_closing(one.id)
    asked = office.seconds("ling").ask(Operation.INCIDENT_CLOSE, one.id, {}, reason="已整改")
    with pytest.raises(Conflict, match="tasks not done"):
        office.seconds("bao").confirm(asked.id)
    desk.finish_task(one.id, 1)
    for wrong in (0, 2):
        with pytest.raises(UsageError):
            desk.finish_task(one.id, wrong)
    with pytest.raises(Conflict):
        desk.finish_task(one.id, 1)
    for other in ("ling", "wen", "sec"):
        with pytest.raises(Denied):
            office.seconds(other).confirm(asked.id)
    office.seconds("bao").confirm(asked.id)
    closed = leader.get(one.id)
    assert (closed.step, closed.second, closed.steps[-1].by) == (Step.CLOSED, "bao", "ling")
    with pytest.raises(Conflict, match="is closed"):
        desk.note(one.id, "再记")


def test_tasks_have_an_owner_and_a_day_to_come(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them none is made; one that is late is told."""
    desk = office.incidents("bao")
    one = desk.open("发现涉密文件送印")
    now = time.time()
    for what, owner, due in (("", "甲", now + 60), ("培训", " ", now + 60), ("培训", "甲", now - 1)):
        with pytest.raises(UsageError):
            desk.add_task(one.id, what, owner=owner, due=due)
    desk.add_task(one.id, "培训", owner="甲", due=now + 3_600)
    office.incidents("ling").report(one.id, to="市保密局")
    assert incidents.late(office.store, now)[1] == ()
    assert [late.id for late in incidents.late(office.store, now + 3_601)[1]] == [one.id]


def test_every_role_may_do_what_its_row_says(office: Office) -> None:
    """Each method of the desk, in every role, against the table of rights."""
    one = office.incidents("bao").open("发现涉密文件送印")
    sha = iter(f"{number:064x}" for number in range(1, 100))
    ways: Mapping[Operation, Callable[[Incidents], object]] = {
        Operation.INCIDENT_OPEN: lambda desk: desk.open("x"),
        Operation.INCIDENT_HANDLE: lambda desk: desk.note(one.id, "x"),
        Operation.INCIDENT_FREEZE: lambda desk: desk.freeze(next(sha), "x"),
        Operation.INCIDENT_REPORT: lambda desk: desk.report(desk.open("x").id, to="市保密局"),
        Operation.INCIDENT_CLOSE: lambda desk: _closing(desk, one.id),
        Operation.AUDIT_READ: lambda desk: desk.custody(one.id),
        Operation.REPORT_READ: lambda desk: desk.get(one.id),
    }
    for role in Role:
        account = f"r-{role.value}"
        office.add(account, role)
        for operation, way in ways.items():
            due = role in right(operation).roles
            try:
                way(office.incidents(account))
                may = True
            except Denied:
                may = False
            assert may is due, (role, operation)
        handles = role in (*right(Operation.INCIDENT_HANDLE).roles, *right(Operation.INCIDENT_REPORT).roles)
        try:
            assert office.incidents(account).form(one.id).startswith(b"PK")
            assert handles, role
        except Denied:
            assert not handles, role


def _closing(desk: Incidents, id_: str) -> None:
    try:
        desk.check_closing(id_)
    except Conflict:
        return


# --- freezing ------------------------------------------------------------------------------------------------------


def test_a_frozen_file_is_blocked_wherever_it_comes(works: Works) -> None:
    """By the hash of its bytes, at once, with the article; kept as evidence; another file goes its way."""
    first = works.run("a.txt", LETTER)
    assert first.state is State.RELEASED
    alone(works).freeze(first.item.id, "可能外泄")
    again = works.run("b.txt", LETTER)
    assert (again.state, again.verdict.action) == (State.BLOCKED, Action.BLOCK)
    assert again.verdict.reasons[0].clause == "frozen"
    assert "第六十一条" in again.verdict.reasons[0].article
    assert len(list((works.place.vault / "q").iterdir())) == 1
    assert works.run("c.txt", LETTER + b"x").state is State.RELEASED
    assert works.place.files(works.place.released) == ["a.txt", "c.txt"]
    with pytest.raises(Conflict):
        alone(works).freeze(first.item.sha256, "再冻结")


def test_what_is_frozen_is_kept_beyond_its_retention(tmp_path: Path, gate: Gate) -> None:
    """A site that keeps no evidence keeps this; once the freeze is lifted it goes as all others do."""
    works = Works(tmp_path, gate, vault="block_retention_days = 0\n")
    sha = alone(works).freeze("0" * 63 + "1", "x").id
    assert incident.frozen(works.store, sha) is not None
    first = works.run("a.txt", LETTER)
    frozen = alone(works).freeze(first.item.id, "可能外泄")
    again = works.run("b.txt", LETTER)
    works.line.drop_leftovers()
    assert [p.stem for p in (works.place.vault / "q").iterdir()] == [again.item.id]
    with works.store.change() as entry:
        entry.put(FREEZES, evolve(frozen, version=2, active=False))
        entry.append("test", "unfrozen", "", {})
    works.line.drop_leftovers()
    assert not list((works.place.vault / "q").iterdir())
    works.store.close()


BLOCKING = """
[[policy.clauses]]
name = "identity"
action = "block"
when = { type = ["cn_resident_id"] }
say = "身份证号不得外发"
"""


@pytest.mark.parametrize("days", [0, 30])
def test_with_accounts_what_is_blocked_is_kept_until_a_list_is_erased(tmp_path: Path, gate: Gate, days: int) -> None:
    """SR-15: 0 days keep nothing where nobody has an account; with accounts evidence is kept, and outlasts a start."""
    works = Works(tmp_path, gate, vault=f"block_retention_days = {days}\n", extra=BLOCKING)
    q = works.place.vault / "q"
    alone_ = works.run("a.txt", CONTRACT)
    assert alone_.state is State.BLOCKED
    assert [path.stem for path in q.iterdir()] == ([alone_.item.id] if days else [])
    People(works.store, works.config.people).begin(FIRST)
    kept = works.run("b.txt", CONTRACT)
    assert kept.state is State.BLOCKED
    works.again()
    assert kept.item.id in [path.stem for path in q.iterdir()]
    event = [event for event in works.store.events() if event.kind == "blocked"][-1]
    assert (event.job, event.body["evidence"]) == (kept.item.id, True)
    works.store.close()


def freeze_when(works: Works, sha256: str, kind: str) -> Callable[..., object]:
    """Return a `move` that has the file frozen right after an event of a kind was committed."""
    whole = works.store.move

    def move(*args: object, **words: object) -> object:
        done = whole(*args, **words)  # type: ignore[arg-type]
        if words["kind"] == kind:
            alone(works).freeze(sha256, "可能外泄")
        return done

    return move


@pytest.mark.parametrize("content", [LETTER, CONTRACT], ids=["as it is", "redacted"])
@pytest.mark.parametrize(("kind", "end"), [("decided", State.BLOCKED), ("releasing", State.HELD)])
def test_a_freeze_stops_a_release_that_is_under_way(
    works: Works, monkeypatch: pytest.MonkeyPatch, content: bytes, kind: str, end: State
) -> None:
    """After the verdict, and after the word that lets it leave: nothing is in the release folder, nothing is lost."""
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(works.store, "move", freeze_when(works, sha256, kind))
    done = works.run("a.txt", content)
    assert done.state is end
    assert works.place.files(works.place.released) == []
    job = works.store.get(done.item.id)
    assert (job.state, job.certificate) == (end, b"")
    assert len(list((works.place.vault / "q").iterdir())) == 1


def test_ended_while_it_is_stopped_it_is_held(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the word that it is stopped and its end: never taken for what was published."""
    whole = freeze_when(works, hashlib.sha256(LETTER).hexdigest(), "releasing")

    def move(*args: object, **words: object) -> object:
        if words["kind"] == "stopped-release":
            raise Dies
        return whole(*args, **words)

    with monkeypatch.context() as patch:
        patch.setattr(works.store, "move", move)
        with pytest.raises(Dies):
            works.run("a.txt", LETTER)
    works.again()
    (job,) = works.store.jobs()
    assert (job.state, job.place) == (State.HELD, "")
    assert works.place.files(works.place.released) == []


def test_what_has_left_is_not_called_stopped(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash after the file got its name, then a freeze: the books say that it left."""
    (source,) = works.line.sources.values()
    publish = source.publish  # type: ignore[union-attr]

    def dies(*args: object) -> None:
        publish(*args)  # type: ignore[arg-type]
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr(source, "publish", dies)
        with pytest.raises(Dies):
            works.run("a.txt", LETTER)
    (job,) = works.store.jobs()
    alone(works).freeze(job.id, "可能外泄")
    works.again()
    assert works.store.get(job.id).state is State.RELEASED
    assert works.place.files(works.place.released) == ["a.txt"]


def test_a_held_job_is_not_released_while_it_is_frozen(works: Works) -> None:
    """A reviewer's release is refused, the job stays held; once the freeze is lifted it leaves."""
    done = works.run("图.png", b"\x89PNG\r\n\x1a\n" + bytes(200))
    frozen = alone(works).freeze(done.item.id, "可能外泄")
    job = works.store.get(done.item.id)
    with pytest.raises(Denied, match="frozen"):
        works.line.release_held(job, actor="a", reason="r")
    assert works.store.get(job.id).state is State.HELD
    assert works.place.files(works.place.released) == []
    with works.store.change() as entry:
        entry.put(FREEZES, evolve(frozen, version=2, active=False))
        entry.append("test", "unfrozen", "", {})
    assert works.line.release_held(job, actor="a", reason="r").state is State.RELEASED


def test_a_freeze_is_lifted_by_two_persons(office: Office) -> None:
    """The leader asks, the security officer confirms; until then it holds, and a stranger lifts nothing."""
    sha = "ab" * 32
    office.incidents("wen").freeze(sha, "可能外泄")
    for other in ("bao", "wen", "sec"):
        with pytest.raises(Denied):
            office.seconds(other).ask(Operation.INCIDENT_UNFREEZE, sha, {})
    asked = office.seconds("ling").ask(Operation.INCIDENT_UNFREEZE, sha, {}, reason="已查清")
    assert incident.frozen(office.store, sha) is not None
    with pytest.raises(Denied):
        office.seconds("ling").confirm(asked.id)
    office.seconds("bao").confirm(asked.id)
    assert incident.frozen(office.store, sha) is None
    with pytest.raises(NotFound):
        office.incidents("bao").frozen(sha)
    assert office.incidents("bao").freeze(sha, "又有疑点").version == 3
    with pytest.raises(UsageError):
        office.incidents("bao").freeze("cd" * 32, " ")


class Hand(Onward):
    """A channel onward that a test works by hand: what was announced and sent there is remembered."""

    def __init__(self) -> None:
        self.name, self.owner, self.target = "printer:test", "一号窗口", ""
        self.away = False
        self.during: Callable[[], object] = lambda: None
        self.sent: list[str] = []
        self.told: list[str] = []

    def begin(self, key: bytes, job: str, media: str, copies: int, *, apart: bool = False) -> str:
        """Announce."""
        if self.away:
            raise ReleaseError(*(_AWAY,) * 2)
        self.during()
        return f"place {job}"

    def send(self, place: str, body: int, *, fresh: bool) -> str:
        """Send."""
        self.sent.append(place)
        return place

    def remove(self, found: Found) -> bool:
        """Remove."""
        return True

    def tell(self, key: bytes, name: str, text: str, job: str, brief: str = "") -> str | None:
        """Tell."""
        self.told.append(text)
        return job


_AWAY = incident.STEPS[Step.REPORT]


def arrive(works: Works, hand: Hand, content: bytes) -> str:
    """Carry a job of a queue along the line; return its id."""
    works.line.sources = {hand.name: hand}
    left = [content]
    found = Found(source=hand.name, key=b"k", shown="文件.txt")
    job, body = works.line.receive(Arrival(found, lambda _: left.pop() if left else b"", "张三"))
    works.line.run(job, body)
    return job.id


@pytest.mark.parametrize("moment", ["while the printer is away", "while it is announced"])
def test_a_freeze_stops_a_print_job_that_waits(works: Works, moment: str) -> None:
    """Cleared and not sent yet: it is held, and not one byte goes to the printer."""
    hand = Hand()
    job = arrive(works, hand, LETTER)
    if moment == "while the printer is away":
        hand.away = True
        with pytest.raises(ReleaseError):
            works.line.finish(works.store.get(job))
        alone(works).freeze(job, "可能外泄")
        hand.away = False
    else:
        hand.during = lambda: alone(works).freeze(job, "可能外泄")
    works.line.finish(works.store.get(job))
    stopped = works.store.get(job)
    assert stopped.state is State.HELD
    assert stopped.note is not None
    assert "冻结" in stopped.note.zh
    assert hand.sent == []


def test_a_print_job_that_may_not_be_here_leaves_nothing(works: Works) -> None:
    """A queue has no folder to hand back to: the job is turned away with the reason, and nothing of it is kept."""
    hand = Hand()
    job = arrive(works, hand, TEXT.encode())
    kept = works.store.get(job)
    assert (kept.state, kept.sealed) == (State.WITHHELD, None)
    assert not list((works.place.vault / "q").iterdir())
    assert not works.back.exists()
    assert "未留存" in hand.told[0]
    assert not any(word in hand.told[0] for word in SECRET_WORDS)
    assert hand.sent == []


# --- what the gate opens, and who touched a file -------------------------------------------------------------------


def test_what_the_law_forbids_opens_an_incident_once(tmp_path: Path, gate: Gate) -> None:
    """What nobody may approve at this site is refused, and the clock runs; asking again opens no second one."""
    site = 'qualification = "甲级"\nsystem = "绝密"'
    works = Works(tmp_path, gate, site=site)
    office = Office(works)
    done = works.run("方案.txt", TEXT.encode())
    assert done.state is State.HELD
    bare = evolve(works.config, site=Site())
    cases = Cases(Acting.at(bare, works.store, office.token("wen")))
    asking = Asking(copies=1, purpose="办理", recipients=(Recipient(name="李四"),))
    for _ in range(2):
        with pytest.raises(Denied):
            cases.ask(done.item.id, asking)
    (one,) = works.store.records(INCIDENTS)
    assert (one.cause, one.job, one.by, one.level) == (Cause.REFUSED, done.item.id, "wen", Level.CONFIDENTIAL)
    works.store.close()


def touched(works: Works, office: Office) -> str:
    """Bring about a file that was withheld, seen, frozen, and of which a copy is out; return its incident."""
    done = works.run("方案.txt", TEXT.encode())
    trail.seen(works.store, "bao", works.store.get(done.item.id), "evidence")
    with works.store.change() as entry:
        copy = Copy(
            id=copy_id(done.item.id, 1),
            job=done.item.id,
            case="c",
            number=1,
            total=1,
            title="方案.txt",
            at=entry.moment,
            state=CopyState.OUT,
            holder="李四",
        )
        entry.put(COPIES, copy)
        entry.append("wen", "picked-up", done.item.id, {})
    office.incidents("wen").freeze(done.item.id, "可能外泄")
    works.run("又一份.txt", TEXT.encode())
    one = next(one for one in works.store.records(INCIDENTS) if one.job == done.item.id)
    return one.id


def test_the_timeline_holds_every_touch(works: Works, office: Office) -> None:
    """Both jobs of the file, who saw it, who has a copy; the same by incident, by job and by hash, oldest first."""
    one = office.incidents("bao").get(touched(works, office))
    others = [office.incidents("bao").custody(other) for other in (one.job, one.sha256)]
    found = office.incidents("bao").custody(one.id)
    assert len(found.jobs) == 2
    assert found.seen_by == ("bao",)
    assert [copy.holder for copy in found.out] == ["李四"]
    kinds = [event.kind for event in found.events]
    assert kinds.count("withheld") == 2
    assert {"taking", "sealed", "decided", "handed-back", "seen", "picked-up", "frozen"} <= set(kinds)
    assert [event.seq for event in found.events] == sorted({event.seq for event in found.events})
    for other in others:
        assert {event.seq for event in other.events} <= {event.seq for event in found.events}
    with pytest.raises(Denied):
        office.incidents("wen").custody(one.id)


def test_the_report_form_holds_no_content(works: Works, office: Office) -> None:
    """Every column of the form, the deadline, the mark; not one word of the file; lines for signatures."""
    one = touched(works, office)
    raw = office.incidents("bao").form(one)
    page = docx.Document(io.BytesIO(raw))
    rows = {row.cells[0].text: row.cells[1].text for table in page.tables for row in table.rows}
    for column in (
        "发现时间",
        "报告时间",
        "单位",
        "载体/内容概述",
        "密级",
        "数量",
        "经过",
        "知悉人员",
        "已采取措施",
        "责任人",
        "后续",
    ):
        assert any(name.startswith(column) for name in rows), column
    assert "机密★10年" in rows["密级"]
    assert "李四" in rows["知悉人员"]
    assert "bao" in rows["知悉人员"]
    assert "停止读取，暂扣" in rows["已采取措施"]
    assert "冻结文件" in rows["已采取措施"]
    text = "\n".join([*rows.values(), *(p.text for p in page.paragraphs)])
    assert not any(word in text for word in SECRET_WORDS)
    assert "分管领导：" in text


def test_the_package_verifies_and_tells_of_tampering(works: Works, office: Office) -> None:
    """As it was made, it holds; each file changed, missing or added is named, and so are another key and no package."""
    one = touched(works, office)
    raw = office.incidents("bao").package(one)
    known = signing.public_keys(works.place.state / signing.PUBLIC)
    assert all(answer.ok for answer in evidence.verify(raw, known))
    assert not any(word.encode() in raw for word in SECRET_WORDS)
    files = unpacked(raw)
    for body in files.values():
        assert not any(word.encode() in body for word in SECRET_WORDS)
    for name in files:
        assert bad(files | {name: files[name][:-3] + b"x}\n"}, known), name
        assert bad({key: body for key, body in files.items() if key != name}, known), name
    assert "added.txt" in bad(files | {"added.txt": b"x"}, known)
    assert bad(files, ()) == ["key"]
    events = files[evidence.EVENTS].splitlines(keepends=True)
    shorter = {**files, evidence.EVENTS: b"".join(events[1:])}
    assert bad(shorter, known) == [evidence.EVENTS]
    for junk in (b"", b"PK", raw[:-30], raw[: len(raw) // 2]):
        assert [answer.name for answer in evidence.verify(junk, known) if not answer.ok] == ["package"]


def test_who_signs_anew_is_another_one(works: Works, office: Office) -> None:
    """A list written anew with another key holds in itself, and is told: that key is not known here."""
    one = touched(works, office)
    files = unpacked(office.incidents("bao").package(one))
    known = signing.public_keys(works.place.state / signing.PUBLIC)
    files.pop(evidence.MANIFEST)
    forged = evidence.pack(Ed25519PrivateKey.generate(), files, incident=one, unit="x", at="y", by="z")
    assert [answer.name for answer in evidence.verify(forged, known) if not answer.ok] == ["key", "checkpoint"]


def unpacked(raw: bytes) -> dict[str, bytes]:
    """Return the files of a package."""
    with zipfile.ZipFile(io.BytesIO(raw)) as package:
        return {name: package.read(name) for name in package.namelist()}


def bad(files: Mapping[str, bytes], known: tuple[bytes, ...]) -> list[str]:
    """Return what does not hold of a package of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, body in files.items():
            made.writestr(name, body)
    return [answer.name for answer in evidence.verify(out.getvalue(), known) if not answer.ok]


# --- the commands --------------------------------------------------------------------------------------------------


def test_the_commands(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """A withheld file from its list to its package, as an operator of a site without accounts sees it."""
    done = works.run("方案.txt", TEXT.encode())
    monkeypatch.setenv("DLP_CONFIG", str(works.place.config))
    monkeypatch.setenv("DLP_SESSION", str(works.place.root / "session"))
    root = works.place.root

    def call(*words: str) -> list[dict[str, object]]:
        told = CliRunner().invoke(dlp, [*words, "--json"], catch_exceptions=False)
        assert told.exit_code == 0, told.output
        return [json.loads(line) for line in told.output.splitlines()]

    def says(*words: str) -> str:
        return CliRunner().invoke(dlp, [*words, "--lang", "zh"], catch_exceptions=False).output

    (row,) = call("withheld", "list")
    assert (row["state"], row["name"]) == ("withheld", "方案.txt")
    assert "机密★10年" in says("withheld", "show", done.item.id)
    (one,) = call("incident", "list")
    assert (one["cause"], one["job"]) == ("withheld", done.item.id)
    assert 23.9 < float(str(one["hours_left"])) <= 24
    assert "剩 2" in says("incident", "list")
    number = str(one["incident"])
    call("incident", "note", number, "--text", "已核查", "--step", "核查")
    call("incident", "tasks", number, "--add", "培训", "--owner", "综合科", "--due", "2999-01-01")
    (task,) = call("incident", "tasks", number, "--done", "1")
    assert task["done"]
    call("incident", "freeze", done.item.id, "--reason", "可能外泄", "--incident", number)
    form, package = root / "报告表.docx", root / "证据.zip"
    (told,) = call("incident", "report", number, "--to", "市保密局", "--receipt", "7", "--out", str(form))
    assert told["hours_left"] is None
    assert form.read_bytes().startswith(b"PK")
    assert "核查" in says("incident", "show", number)
    *events, summary = call("incident", "timeline", number)
    assert summary["jobs"] == [done.item.id]
    assert "frozen" in {event["what"] for event in events}
    call("incident", "package", number, "--out", str(package))
    assert all(answer["ok"] for answer in call("incident", "verify", str(package)))
    (given,) = call("withheld", "hand-over", done.item.id, "--to", "王五", "--receipt", "9")
    assert given["state"] == "returned"
    with pytest.raises(Denied, match="accounts"):
        call("incident", "close", number, "--reason", "已整改")
    with pytest.raises(UsageError):
        call("incident", "note", number, "--text", "x", "--step", "跳")
