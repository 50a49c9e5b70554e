"""Review at the desk: one job, one reviewer; what is given back, kept, decided; and what each of it leaves behind."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlp import config
from dlp.approval import Decision
from dlp.errors import Conflict, Denied, NotFound, StoreError, UsageError
from dlp.model import Level, Regime, State
from dlp.request import weigh
from dlp.review import LABELS, REVIEWS, Ruling, wilson
from dlp.rights import Operation, Role, right
from dlp.service import evidence
from dlp.service.cases import TERMS
from dlp.service.desk import Desk, _reviewing
from dlp.service.reviews import Picked
from dlp.store import Job
from dlp.terms import Ruling as End
from pdf_makers import drawn, written
from sites import Place, lay
from staff import House, hash_quickly
from test_cases import ASKED, SECRET, WORK

DAY = 86_400.0
TWO_MARKS = "核心商密★长期\n普通商密★3年\n配方：甲乙丙\n".encode()
OLD = "秘密★5年\n关于某项工作的通知\n各处室：\n现将有关事项通知如下。\n某某局\n2003年5月1日\n".encode()
MARKED = "机密★10年\n关于专项工作的实施方案\n各处室：请按要求组织实施。\n".encode()
DOUBTFUL = "机密 2024 项目总结\n各处室：请办理。\n".encode()
"""May bear a mark; it is not sure, so nothing is withheld."""
BROKEN = b"%PDF-1.7\n" + bytes(200)
NUMBER = "110101199003071233"


def people(count: int) -> bytes:
    """Give a list of invented people with valid numbers: so many that it is held, and nothing else in it is."""
    rng, lines = random.Random(7), []
    for number in range(count):
        seventeen = f"110101{rng.randint(1960, 1999)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{number:03d}"
        weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
        check = "10X98765432"[sum(int(d) * w for d, w in zip(seventeen, weights, strict=True)) % 11]
        lines.append(f"第{number + 1}行 证件号码：{seventeen}{check}")
    return ("报名情况\n" + "\n".join(lines) + "\n").encode()


def pdf_of(*numbers: str) -> bytes:
    """Give a PDF of two pages: a mark that holds it on the first, numbers on the second."""
    second = [written(f"编号 {number}", y=600 - 60 * place) for place, number in enumerate(numbers)]

    def page(canvas: Any) -> None:
        for one in second:
            one(canvas)

    return drawn(written("工作秘密"), page)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Give a ZIP of some files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


FILES: dict[str, bytes] = {
    "配方.txt": SECRET,
    "通知.txt": WORK,
    "两标.txt": TWO_MARKS,
    "名单.txt": people(60),
    "附件.pdf": pdf_of(NUMBER, "310104198512154565"),
    "旧文.txt": OLD,
    "方案.txt": MARKED,
    "坏件.pdf": BROKEN,
    "疑似.zip": zipped({"疑似.txt": DOUBTFUL, "坏件.pdf": BROKEN}),
}
BLOCKING = '[policy]\ngaps = "block"\n'
"""A house that turns away what cannot be read whole, and keeps it as evidence."""
WITHHELD = ("旧文.txt", "方案.txt")
CLEARED = 'qualification = "甲级"\nsystem = "机密"'


def held_at(root: Path, files: Mapping[str, bytes], *, profile: str = "") -> Place:
    """Lay out a site whose gate has held or turned away some files."""
    site = lay(root, extra=BLOCKING)
    if profile:
        text = site.config.read_text(encoding="utf-8").replace('qualification = "无"', profile)
        site.config.write_text(text, encoding="utf-8")
    for name, content in files.items():
        site.put(name, content)
    site.run("run", "--once", timeout=600)
    assert site.jobs().keys() == files.keys()
    return site


class Bureau(House):
    """A site with people, a gate that has held some files, and everybody at the desk."""

    site: Place

    @classmethod
    def laid(cls, root: Path, files: Mapping[str, bytes] = FILES, *, profile: str = "") -> Bureau:
        """Lay out the site, have its gate hold the files, and log everybody in; `profile`: what it may have, print."""
        site = held_at(root, files, profile=profile)
        made = cls(root, site.config)
        made.site = site
        made.staff()
        made.add("rev2", Role.REVIEWER)
        for who in ("rev", "rev2", "cls", "head", "secr", "lead", "op", "sec", "sys", "aud"):
            made.token(who)
        return made

    def copied(self, root: Path) -> Bureau:
        """Return the same site and people at another place."""
        shutil.copytree(self.site.root, root)
        made = Bureau.__new__(Bureau)
        made.site = Place.at(root)
        made.settings = made.site.config
        made._take_over(made._opened(self))
        return made

    def _opened(self, other: Bureau) -> House:
        from dlp.store.sqlite import SqliteStore

        found = House.__new__(House)
        found.settings, found.given, found._tokens = self.site.config, {}, dict(other._tokens)
        found.store = SqliteStore.open(Path(config.read(self.site.config).store.path), create=False)
        return found

    def held(self, name: str = "配方.txt") -> Job:
        """Return one of the jobs that were held, blocked or withheld."""
        waiting = (State.HELD, State.BLOCKED, State.WITHHELD)
        return next(job for job in self.store.jobs(waiting) if job.item.name == name)

    def both(self, first: str, second: str, ask: Callable[[Desk], str]) -> None:
        """Have one ask for something and another confirm it."""
        change = ask(self.desk(first))
        self.desk(second).seconds.confirm(change)

    def sealed(self, job: Job) -> bool:
        """Tell whether the sealed copy of a job is there."""
        return (self.site.vault / "q" / f"{job.id}.age").exists()

    def trail(self, job: Job) -> list[str]:
        """Return the kinds of the events of a job."""
        return [event.kind for event in self.store.events() if event.job == job.id]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, with less work for each."""
    hash_quickly(monkeypatch)


def made_once(factory: pytest.TempPathFactory, files: Mapping[str, bytes], *, profile: str = "") -> Bureau:
    """Give a site that is made once for all tests; each gets a copy."""
    root = factory.mktemp("bureau") / "site"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        made = Bureau.laid(root, files, profile=profile)
    made.close()
    return made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Bureau:
    """Give a site that may hold no state secret, as most may not."""
    return made_once(tmp_path_factory, FILES)


@pytest.fixture(scope="module")
def cleared_template(tmp_path_factory: pytest.TempPathFactory) -> Bureau:
    """Give a site that may hold and print state secrets up to 机密."""
    return made_once(tmp_path_factory, {name: FILES[name] for name in WITHHELD}, profile=CLEARED)


@pytest.fixture
def bureau(template: Bureau, tmp_path: Path) -> Iterator[Bureau]:
    """Give a site of one's own with several held files."""
    made = template.copied(tmp_path / "site")
    yield made
    made.close()


@pytest.fixture
def cleared(cleared_template: Bureau, tmp_path: Path) -> Iterator[Bureau]:
    """Give a site of one's own with two held state secrets: the term of one is over."""
    made = cleared_template.copied(tmp_path / "cleared")
    yield made
    made.close()


# claims


def test_a_claim_is_one_reviewers(bureau: Bureau) -> None:
    """The other one is told who has it, and can neither label, return, redact nor reject; an approver's no can."""
    job = bureau.held()
    bureau.desk("rev").reviews.claim(job.id)
    other = bureau.desk("rev2")
    for does in (
        lambda: other.reviews.claim(job.id),
        lambda: other.reviews.label(job.id, Ruling.CONFIRMED, finding=1),
        lambda: other.give_back(job.id, bureau.site.root, reason="x"),
        lambda: other.reject(job.id, reason="x"),
        lambda: other.reviews.unclaim(job.id),
    ):
        with pytest.raises(Conflict, match="rev has claimed"):
            does()
    assert bureau.desk("rev2").reviews.ids(Picked(claimed=True)) == (job.id,)
    assert bureau.desk("rev2").reviews.ids(Picked(mine=True)) == ()
    assert bureau.desk("rev").reviews.ids(Picked(mine=True)) == (job.id,)
    bureau.desk("rev").reviews.claim(job.id)
    assert bureau.desk("secr").reject(job.id, reason="不同意").state is State.REJECTED


def test_a_claim_is_given_back_or_lapses(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever has it, or after `people.claim_minutes`."""
    job = bureau.held()
    with pytest.raises(Conflict, match="you have not claimed"):
        bureau.desk("rev").reviews.unclaim(job.id)
    bureau.desk("rev").reviews.claim(job.id)
    bureau.desk("rev").reviews.unclaim(job.id)
    bureau.desk("rev2").reviews.claim(job.id)
    rev = bureau.desk("rev")
    late = time.time() + 121 * 60
    monkeypatch.setattr(time, "time", lambda: late)
    assert rev.reviews.claim(job.id).claimed_by == "rev"


CLAIM = """
import sys
from pathlib import Path
from dlp import config
from dlp.errors import Conflict
from dlp.service.desk import Desk
with Desk.open(config.read(Path(sys.argv[1])), token=sys.argv[2]) as desk:
    print("ready", flush=True)
    sys.stdin.read(1)
    try:
        print(desk.reviews.claim(sys.argv[3]).claimed_by)
    except Conflict as err:
        print(err.say.en)
"""


def test_of_two_processes_one_claims(bureau: Bureau) -> None:
    """Both want the same job at once: one has it, and the other one is told who."""
    job = bureau.held()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(bureau.site.config), bureau.token(who), job.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("rev", "rev2")
    ]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("x")
        one.stdin.flush()
    said = [one.communicate(timeout=60)[0].strip() for one in both]
    winner = bureau.store.record(REVIEWS, job.id).claimed_by
    assert said.count(winner) == 1
    assert any(f"{winner} has claimed job {job.id}" in one for one in said)
    assert bureau.trail(job).count("claimed") == 1


def test_each_of_it_is_a_right_of_its_role(bureau: Bureau) -> None:
    """Whoever has another role is refused, and the trail tells of it; nothing changes."""
    job = bureau.held()
    ways: dict[Operation, Callable[[Desk], object]] = {
        Operation.REVIEW_CLAIM: lambda desk: desk.reviews.claim(job.id),
        Operation.REVIEW_COMMENT: lambda desk: desk.reviews.comment(job.id, "看过"),
        Operation.REVIEW_LABEL: lambda desk: desk.reviews.label(job.id, Ruling.CONFIRMED, finding=1),
        Operation.REVIEW_RETURN: lambda desk: desk.give_back(job.id, bureau.site.root, reason="x"),
        Operation.REVIEW_REDACT: lambda desk: desk.redact(job.id, reason="x"),
        Operation.LEGAL_HOLD_SET: lambda desk: desk.reviews.hold(job.id, "x"),
        Operation.RETENTION_SET: lambda desk: desk.reviews.ask_to_keep(job.id, time.time() + DAY),
        Operation.LEVEL_DECIDE: lambda desk: desk.reviews.decide_level(job.id, None, None, basis="x", reason="x"),
        Operation.TERM_CONFIRM: lambda desk: desk.reviews.confirm_term(job.id, End.ENDED, basis="x"),
        Operation.EVIDENCE_VIEW: lambda desk: evidence.page(desk.acting, job.id, 1),
        Operation.PACK_STATS: lambda desk: desk.reviews.stats(),
    }
    accounts = {
        "op": Role.OPERATOR,
        "rev": Role.REVIEWER,
        "cls": Role.CLASSIFIER,
        "secr": Role.SECRETARIAT_HEAD,
        "lead": Role.LEADER,
        "sys": Role.SYSTEM,
        "sec": Role.SECURITY,
        "aud": Role.AUDITOR,
    }
    before = bureau.store.get(job.id)
    for operation, way in ways.items():
        for who, role in accounts.items():
            if role in right(operation).roles:
                continue
            with pytest.raises(Denied, match="may not"):
                way(bureau.desk(who))
            *_, event = bureau.store.events()
            assert (event.kind, event.actor, event.body["operation"]) == ("denied", who, operation.value)
    assert bureau.store.get(job.id) == before
    assert not bureau.store.records(REVIEWS)


# remarks and labels


def test_what_people_write_is_masked(bureau: Bureau) -> None:
    """A number in a remark or a reason is nowhere in the books."""
    job = bureau.held()
    bureau.desk("op").reviews.comment(job.id, f"送件人证件 {NUMBER}")
    bureau.desk("rev").reviews.label(job.id, Ruling.FALSE_ALARM, finding=1, reason=f"是 {NUMBER}")
    bureau.desk("rev").reviews.hold(job.id, f"涉 {NUMBER}")
    assert "110***********1233" in bureau.store.record(REVIEWS, job.id).remarks[0].text
    bureau.store.close()
    assert NUMBER.encode() not in b"".join(path.read_bytes() for path in bureau.site.state.rglob("*") if path.is_file())
    bureau.store = bureau._opened(bureau).store


def test_labels_tell_the_rule_and_the_packs(bureau: Bureau) -> None:
    """One for each finding; saying it anew is a new version; what was missed names a rule."""
    job, desk = bureau.held(), bureau.desk("rev").reviews
    made = desk.label(job.id, Ruling.CONFIRMED, finding=1)
    assert job.verdict is not None
    assert (made.rule, made.packs, made.version) == (job.findings[0].rule, job.verdict.packs, 1)
    again = desk.label(job.id, Ruling.FALSE_ALARM, finding=1, reason="样表")
    assert (again.id, again.version, again.ruling) == (made.id, 2, Ruling.FALSE_ALARM)
    missed = desk.label(job.id, Ruling.MISSED, rule="cn.identity.mobile", reason="扫描件中的手机号")
    assert missed.finding == 0
    assert bureau.desk("rev").reviews.ids(Picked(label=Ruling.FALSE_ALARM)) == (job.id,)
    assert bureau.desk("rev").reviews.ids(Picked(label=Ruling.CONFIRMED)) == ()
    assert len(bureau.store.records(LABELS)) == 2
    assert bureau.desk("aud").audit_verify().holds


def test_a_label_that_names_nothing_is_refused(bureau: Bureau) -> None:
    """No such finding, no such rule, no reason, or both at once."""
    job, desk = bureau.held(), bureau.desk("rev").reviews
    with pytest.raises(NotFound, match="no number 99"):
        desk.label(job.id, Ruling.CONFIRMED, finding=99)
    with pytest.raises(NotFound, match="no such rule"):
        desk.label(job.id, Ruling.MISSED, rule="cn.no.such", reason="x")
    for wrong in (
        lambda: desk.label(job.id, Ruling.FALSE_ALARM, finding=1),
        lambda: desk.label(job.id, Ruling.MISSED, finding=1, rule="cn.identity.mobile", reason="x"),
        lambda: desk.label(job.id, Ruling.CONFIRMED),
        lambda: desk.comment(job.id, "  "),
        lambda: desk.comment(job.id, "字" * 2_001),
    ):
        with pytest.raises(UsageError):
            wrong()
    assert not bureau.store.records(LABELS)


def test_precision_is_counted_from_labels(bureau: Bureau) -> None:
    """Confirmed over confirmed and false, with its interval; hits are those of the jobs; a span leaves out the rest."""
    job, desk = bureau.held("名单.txt"), bureau.desk("rev").reviews
    rule = "cn.identity.resident-id"
    numbers = [number for number, found in enumerate(job.findings, 1) if found.rule == rule]
    for number in numbers[:8]:
        desk.label(job.id, Ruling.CONFIRMED, finding=number)
    for number in numbers[8:10]:
        desk.label(job.id, Ruling.FALSE_ALARM, finding=number, reason="编号不是证件")
    desk.label(job.id, Ruling.MISSED, rule=rule, reason="旧证")
    (one,) = (tally for tally in bureau.desk("sec").reviews.stats() if tally.rule == rule)
    found = sum(f.rule == rule for held in bureau.store.jobs() for f in held.findings)
    assert (one.hits, one.confirmed, one.false_alarms, one.missed) == (found, 8, 2, 1)
    assert one.precision == pytest.approx(0.8)
    assert one.interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert all(t.hits == t.confirmed == 0 for t in bureau.desk("sec").reviews.stats(until=1.0))


@pytest.mark.parametrize(
    ("good", "all_", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (8, 10, 0.4902, 0.9433), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_wilsons(good: int, all_: int, low: float, high: float) -> None:
    """Against published values; for none, one and all it stays between 0 and 1."""
    assert wilson(good, all_) == pytest.approx((low, high), abs=1e-4)


# legal hold and retention


def test_a_legal_hold_stops_what_ends_a_file(bureau: Bureau) -> None:
    """It is not given back; lifting it takes two persons of two roles; then it is."""
    job, folder = bureau.held(), bureau.site.root / "送件人"
    folder.mkdir()
    bureau.desk("lead").reviews.hold(job.id, "配合调查")
    with pytest.raises(Conflict, match="already"):
        bureau.desk("rev").reviews.hold(job.id, "再次")
    with pytest.raises(Denied, match="under legal hold"):
        bureau.desk("rev").give_back(job.id, folder, reason="退回")
    assert list(folder.iterdir()) == []
    change = bureau.desk("secr").reviews.ask_to_lift(job.id, "调查结束").id
    for who in ("secr", "lead", "op", "cls"):
        with pytest.raises(Denied):
            bureau.desk(who).seconds.confirm(change)
    with pytest.raises(Denied, match="under legal hold"):
        bureau.desk("rev").give_back(job.id, folder, reason="退回")
    bureau.desk("rev").seconds.confirm(change)
    assert bureau.desk("rev").give_back(job.id, folder, reason="退回")[0].state is State.RETURNED
    with pytest.raises(Conflict, match="under no legal hold"):
        bureau.desk("secr").reviews.ask_to_lift(job.id, "调查结束")


def test_what_is_kept_stays_sealed(bureau: Bureau) -> None:
    """A copy under legal hold outlives its release, and one with a day outlives its return, also after a restart."""
    job, other = bureau.held("通知.txt"), bureau.held("两标.txt")
    bureau.desk("rev").reviews.hold(job.id, "配合调查")
    case = bureau.desk("op").cases.ask(job.id, ASKED).id
    head = bureau.desk("head").cases
    head.sign(case, approve(), head.binding(head.get(case)))
    assert bureau.desk("op").release(job.id, reason="凭批准", case=case).state is State.RELEASED
    assert bureau.sealed(job)
    bureau.both("rev", "secr", lambda desk: desk.reviews.ask_to_keep(other.id, time.time() + 30 * DAY).id)
    folder = bureau.site.root / "送件人"
    folder.mkdir()
    bureau.desk("rev").give_back(other.id, folder, reason="退回")
    assert bureau.sealed(other)
    bureau.site.run("run", "--once")
    assert bureau.sealed(job)
    assert bureau.sealed(other)
    assert bureau.desk("aud").audit_verify().holds


def test_evidence_outlives_its_days_under_legal_hold(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    """SR-15: with accounts no clock destroys what was blocked; a list may take it, but not what is under legal hold."""
    old, other = bureau.held("坏件.pdf"), bureau.held("疑似.zip")
    assert (old.state, other.state) == (State.BLOCKED, State.BLOCKED)
    bureau.desk("rev").reviews.hold(old.id, "配合调查")
    later = time.time() + 31 * DAY
    monkeypatch.setattr(time, "time", lambda: later)
    with _reviewing(bureau.config, bureau.store) as line:
        line.drop_leftovers()
    bureau.forget()
    assert bureau.sealed(old)
    assert bureau.sealed(other)
    assert "destroyed" not in bureau.kinds()
    listing = bureau.desk("rev").destructions
    with pytest.raises(Denied, match="under legal hold"):
        listing.draw_up((), (old.id,), reason="期满", method="碎纸")
    drawn_up = listing.draw_up((), (other.id,), reason="期满", method="碎纸")
    assert [piece.job for piece in drawn_up.pieces] == [other.id]
    assert bureau.sealed(other), "a list that was drawn up is not erased yet"


def test_without_accounts_evidence_goes_by_its_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was blocked is destroyed after `vault.block_retention_days`; nobody is there who could hold it by law."""
    site = held_at(tmp_path, {"坏件.pdf": BROKEN, "配方.txt": SECRET})
    with Desk.open(config.read(site.config)) as desk:
        jobs = {job.item.name: job for job in desk.held()}
        sealed = {name: site.vault / "q" / f"{job.id}.age" for name, job in jobs.items()}
        with pytest.raises(Denied):
            desk.reviews.hold(jobs["坏件.pdf"].id, "配合调查")
        for days, left in ((29, True), (31, False)):
            now = jobs["坏件.pdf"].updated + days * DAY
            monkeypatch.setattr(time, "time", lambda now=now: now)
            with _reviewing(desk.config, desk.store) as line:
                line.drop_leftovers()
            assert sealed["坏件.pdf"].exists() is left, days
        assert sealed["配方.txt"].exists(), "what is held waits for a person"
        *_, event = desk.store.events()
        assert (event.kind, event.job) == ("destroyed", jobs["坏件.pdf"].id)
        assert desk.store.get(event.job).state is State.BLOCKED
        assert desk.audit_verify().holds


def approve() -> Any:
    """Return the word of an approval."""
    return Decision.APPROVE


def test_a_day_of_retention_is_one_to_come(bureau: Bureau) -> None:
    """And the job has a sealed copy, and somebody else confirms it."""
    job = bureau.held()
    with pytest.raises(UsageError, match="one to come"):
        bureau.desk("rev").reviews.ask_to_keep(job.id, time.time() - 1)
    change = bureau.desk("rev").reviews.ask_to_keep(job.id, time.time() + DAY).id
    with pytest.raises(Denied):
        bureau.desk("rev2").seconds.confirm(change)
    (bureau.site.vault / "q" / f"{job.id}.age").unlink()
    with pytest.raises(NotFound, match="no sealed copy"):
        bureau.desk("rev").reviews.ask_to_keep(job.id, time.time() + DAY)
    with pytest.raises(NotFound, match="no sealed copy"):
        bureau.desk("rev").reviews.hold(job.id, "x")


# given back


def test_the_sender_gets_his_file(bureau: Bureau) -> None:
    """Byte for byte, into a new file of his folder that nobody else may read; the sealed copy goes after it."""
    job, folder = bureau.held(), bureau.site.root / "送件人"
    folder.mkdir()
    done, made = bureau.desk("rev").give_back(job.id, folder, reason="格式不对")
    assert done.state is State.RETURNED
    assert made.read_bytes() == SECRET
    assert made.name == f"{job.id}-配方.txt"
    assert made.stat().st_mode & 0o777 == 0o600
    assert not bureau.sealed(job)
    assert [path.name for path in folder.iterdir()] == [made.name]
    assert bureau.trail(job)[-2:] == ["returning", "returned"]
    *_, event = bureau.store.events()
    assert event.body["sha256"] == hashlib.sha256(SECRET).hexdigest()
    with pytest.raises(Denied, match="cannot be given back"):
        bureau.desk("rev").give_back(job.id, folder, reason="再来")
    bureau.site.run("run", "--once")
    assert bureau.desk("aud").audit_verify().holds


def test_what_was_rejected_is_given_back_too(bureau: Bureau) -> None:
    """And what was released is not."""
    job, folder = bureau.held(), bureau.site.root / "送件人"
    folder.mkdir()
    bureau.desk("secr").reject(job.id, reason="不同意")
    assert bureau.desk("rev").give_back(job.id, folder, reason="退回")[0].state is State.RETURNED


def test_a_folder_of_the_gate_takes_nothing_back(bureau: Bureau) -> None:
    """What came back there would be taken anew, or look released; nor a folder that is not there, or a file."""
    job, site = bureau.held(), bureau.site
    for wrong in (site.outbox, site.released, site.vault, site.vault / "q", site.state, site.root / "无", site.config):
        with pytest.raises(UsageError):
            bureau.desk("rev").give_back(job.id, wrong, reason="退回")
    with pytest.raises(UsageError, match="reason"):
        bureau.desk("rev").give_back(job.id, site.root, reason=" ")
    assert bureau.store.get(job.id).state is State.HELD


def test_a_name_that_is_taken_is_not_overwritten(bureau: Bureau) -> None:
    """By another file or a link: the job stays held; by the whole file of an earlier try: it is done."""
    job, folder = bureau.held(), bureau.site.root / "送件人"
    folder.mkdir()
    path = folder / f"{job.id}-配方.txt"
    path.write_bytes(b"another")
    with pytest.raises(Exception, match="cannot be written"):
        bureau.desk("rev").give_back(job.id, folder, reason="退回")
    assert path.read_bytes() == b"another"
    assert [one.name for one in folder.iterdir()] == [path.name]
    path.unlink()
    path.symlink_to(bureau.site.root / "elsewhere")
    with pytest.raises(Exception, match="cannot be written"):
        bureau.desk("rev").give_back(job.id, folder, reason="退回")
    assert not (bureau.site.root / "elsewhere").exists()
    path.unlink()
    path.write_bytes(SECRET)
    path.chmod(0o600)
    assert bureau.desk("rev").give_back(job.id, folder, reason="退回")[0].state is State.RETURNED
    assert path.read_bytes() == SECRET


def test_of_two_that_give_back_one_does(bureau: Bureau) -> None:
    """At once, into one folder: one file, one event, and the other one is told."""
    job, folder = bureau.held(), bureau.site.root / "送件人"
    folder.mkdir()
    gate, told = threading.Barrier(2), list[str]()

    def work(desk: Desk) -> None:
        gate.wait(30)
        try:
            told.append(desk.give_back(job.id, folder, reason="退回")[0].state.value)
        except (Denied, StoreError) as err:
            told.append(type(err).__name__)

    both = [threading.Thread(target=work, args=(bureau.desk(who),)) for who in ("rev", "rev2")]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert sorted(told) == ["Denied", "returned"]
    assert [path.read_bytes() for path in folder.iterdir()] == [SECRET]
    assert bureau.trail(job).count("returned") == 1


# redacted


def test_a_held_file_leaves_redacted(bureau: Bureau) -> None:
    """A proven copy, with its certificate and receipt, as the line does; the original stays sealed."""
    job = bureau.held("名单.txt")
    done = bureau.desk("rev").redact(job.id, reason="只需名次")
    assert done.state is State.REDACTED
    text = (bureau.site.released / "名单.txt").read_text(encoding="utf-8")
    assert "〔已脱敏：" in text
    for line in FILES["名单.txt"].decode().splitlines()[1:]:
        assert line[-18:] not in text
    assert bureau.sealed(job)
    assert bureau.desk("rev").certificate(job.id).input_sha256 == job.item.sha256
    receipts = [path for path in bureau.site.files(bureau.site.outbox) if path.startswith("名单.txt")]
    told = [(bureau.site.outbox / path).read_text(encoding="utf-8") for path in receipts]
    assert sorted("已脱敏放行" in text for text in told) == [False, True]
    assert bureau.trail(job)[-2:] == ["releasing", "redacted"]
    assert bureau.desk("aud").audit_verify().holds


def test_what_redaction_does_not_cure_stays_held(bureau: Bureau) -> None:
    """A file with a mark, whose hit nobody may cut; nothing leaves, and nothing is said to have left."""
    job = bureau.held("通知.txt")
    before = bureau.site.files(bureau.site.outbox)
    with pytest.raises(Denied, match="cannot be released redacted"):
        bureau.desk("rev").redact(job.id, reason="试试")
    assert bureau.store.get(job.id).state is State.HELD
    assert bureau.site.files(bureau.site.released) == []
    assert bureau.site.files(bureau.site.outbox) == before
    bureau.desk("rev2").reviews.claim(bureau.held("名单.txt").id)
    with pytest.raises(Conflict, match="rev2 has claimed"):
        bureau.desk("rev").redact(bureau.held("名单.txt").id, reason="抢先")
    assert bureau.site.files(bureau.site.released) == []


# level and term


def test_a_decided_level_counts_and_no_mark_is_changed(bureau: Bureau) -> None:
    """Marks that differ: the highest counts until it is decided; then what was decided; nothing below the lowest."""
    job = bureau.held("两标.txt")
    before = weigh(bureau.desk("op").cases.ask(job.id, ASKED).request)
    assert (before.level, before.disputed) == (Level.CONFIDENTIAL, True)
    decide = bureau.desk("cls").reviews.decide_level
    with pytest.raises(Denied, match="nothing lower"):
        decide(job.id, Level.ORDINARY, Regime.COMMERCIAL, basis="清单第3项", reason="x")
    with pytest.raises(Denied, match="cannot be decided otherwise"):
        decide(job.id, Level.SECRET, Regime.PERSONAL, basis="清单第3项", reason="x")
    with pytest.raises(UsageError, match="basis"):
        decide(job.id, Level.SECRET, Regime.COMMERCIAL, basis=" ", reason="x")
    decide(job.id, Level.SECRET, Regime.COMMERCIAL, basis="清单第3项", reason="首行为样式")
    after = weigh(bureau.desk("op").cases.ask(job.id, ASKED).request)
    assert (after.level, after.disputed) == (Level.SECRET, False)
    assert bureau.store.get(job.id).findings == job.findings


def test_a_mark_that_stands_alone_is_not_lowered(bureau: Bureau) -> None:
    """By nobody here, unless a reviewer called it a false alarm first: two persons of two roles."""
    job = bureau.held("通知.txt")
    decide = bureau.desk("cls").reviews.decide_level
    with pytest.raises(Denied, match="nothing lower"):
        decide(job.id, None, None, basis="清单", reason="引用")
    number = next(n for n, found in enumerate(job.findings, 1) if found.mark is not None)
    bureau.desk("rev").reviews.label(job.id, Ruling.FALSE_ALARM, finding=number, reason="引用他文")
    assert decide(job.id, None, None, basis="清单", reason="引用").decided is not None


def test_an_approval_before_a_decision_lets_nothing_go(bureau: Bureau) -> None:
    """What was signed for another level is asked for anew."""
    job = bureau.held("通知.txt")
    case = bureau.desk("op").cases.ask(job.id, ASKED).id
    head = bureau.desk("head").cases
    head.sign(case, approve(), head.binding(head.get(case)))
    bureau.desk("cls").reviews.decide_level(job.id, Level.SECRET, Regime.WORK, basis="清单第9项", reason="含未公开事项")
    with pytest.raises(Denied, match="decided on after"):
        bureau.desk("op").release(job.id, reason="凭批准", case=case)
    assert bureau.site.files(bureau.site.released) == []
    assert bureau.store.get(job.id).state is State.HELD


def test_a_term_ends_with_a_persons_word(cleared: Bureau) -> None:
    """What is over by the calendar waits in a list; an extension takes it off until that runs out; neither lets go."""
    job, running = cleared.held("旧文.txt"), cleared.held("方案.txt")
    desk = cleared.desk("cls").reviews
    assert [(one.id, str(term.until)) for one, term in desk.terms_over()] == [(job.id, "2008-05-01")]
    with pytest.raises(Denied, match="cannot be confirmed"):
        desk.confirm_term(running.id, End.ENDED, basis="电话核实")
    with pytest.raises(Denied, match="no basis"):
        desk.confirm_term(job.id, End.ENDED, basis=" ")
    with pytest.raises(Denied, match="missing or past"):
        desk.confirm_term(job.id, End.EXTENDED, basis="延期通知", until="2009-01-01")
    assert len(list(desk.terms_over())) == 1
    desk.confirm_term(job.id, End.EXTENDED, basis="延期通知3号", until="2099-01-01")
    assert list(desk.terms_over()) == []
    word = desk.confirm_term(job.id, End.ENDED, basis="原定密单位2026年1月函")
    assert (word.ruling, word.sha256, word.person) == (End.ENDED, job.item.sha256, "cls")
    assert cleared.store.record(TERMS, job.id).version == 2
    assert cleared.store.get(job.id).state is State.HELD
    with pytest.raises(Denied, match="no approval"):
        cleared.desk("op").release(job.id, reason="期满")
    assert cleared.site.files(cleared.site.released) == []
    assert cleared.desk("aud").audit_verify().holds


def test_what_is_withheld_waits_for_no_word_about_its_term(bureau: Bureau) -> None:
    """Where it may not be, its term is nobody's business here: it is in no list, and a word about it frees nothing."""
    job = bureau.held("旧文.txt")
    assert job.state is State.WITHHELD
    desk = bureau.desk("cls").reviews
    assert list(desk.terms_over()) == []
    desk.confirm_term(job.id, End.ENDED, basis="原定密单位函")
    assert bureau.store.get(job.id).state is State.WITHHELD
    with pytest.raises(Denied, match="cannot be decided on"):
        bureau.desk("op").release(job.id, reason="期满")
    assert bureau.site.files(bureau.site.released) == []


def test_a_state_secret_is_not_opened_here(bureau: Bureau) -> None:
    """What is withheld or blocked is not given back by this way, nor shown: its sender has the original."""
    rev = bureau.desk("rev")
    job = bureau.held("旧文.txt")
    with pytest.raises(Denied, match="cannot be given back"):
        rev.give_back(job.id, bureau.site.root, reason="退回")
    with pytest.raises(NotFound, match="no sealed copy"):
        evidence.page(rev.acting, job.id, 1)
    assert not bureau.sealed(job)
    doubtful = bureau.held("疑似.zip")
    assert doubtful.verdict is not None
    assert (doubtful.state, doubtful.verdict.regime) == (State.BLOCKED, Regime.STATE)
    with pytest.raises(Denied, match="cannot be given back"):
        rev.give_back(doubtful.id, bureau.site.root, reason="退回")
    with pytest.raises(Denied, match="not opened on this machine"):
        evidence.page(rev.acting, doubtful.id, 1)
    assert bureau.trail(doubtful)[-1] == "denied"
    held = bureau.held("通知.txt")
    bureau.desk("cls").reviews.decide_level(held.id, Level.SECRET, Regime.STATE, basis="清单", reason="实为国家秘密")
    with pytest.raises(Denied, match="not opened on this machine"):
        bureau.desk("rev").give_back(held.id, bureau.site.root, reason="退回")
    assert bureau.trail(held)[-1] == "denied"


def test_where_it_may_be_a_state_secret_is_given_back(cleared: Bureau) -> None:
    """On a machine of its level: byte for byte, into a private file; above that level it is refused here too."""
    job, folder = cleared.held("旧文.txt"), cleared.site.root / "送件人"
    folder.mkdir()
    done, made = cleared.desk("rev").give_back(job.id, folder, reason="退回")
    assert (done.state, made.read_bytes()) == (State.RETURNED, OLD)
    assert made.stat().st_mode & 0o777 == 0o600
    above = cleared.held("方案.txt")
    cleared.desk("cls").reviews.decide_level(
        above.id, Level.TOP_SECRET, Regime.STATE, basis="清单", reason="附件为绝密"
    )
    with pytest.raises(Denied, match="not opened on this machine"):
        cleared.desk("rev").give_back(above.id, folder, reason="退回")
    assert [path.name for path in folder.iterdir()] == [made.name]


# at the command line


As = Callable[[Bureau, str], Place]


@pytest.fixture
def as_(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> As:
    """Give the command line of a site as somebody who is logged in has it."""

    def sit_down(bureau: Bureau, who: str) -> Place:
        session = tmp_path / f"session-{who}"
        session.write_text(bureau.token(who), encoding="ascii")
        monkeypatch.setenv("DLP_SESSION", str(session))
        return bureau.site

    return sit_down


def test_the_whole_of_it_at_the_command_line(bureau: Bureau, as_: As) -> None:
    """Claim, comment, label, filters, hold, bulk rejection with a line each, and what `show` and `stats` tell."""
    job, notice, two = bureau.held(), bureau.held("通知.txt"), bureau.held("两标.txt")
    (claimed,) = as_(bureau, "rev").json("quarantine", "claim", job.id)
    assert claimed["claimed_by"] == "rev"
    told = as_(bureau, "rev2").run("quarantine", "claim", job.id, "--lang", "zh", check=5)
    assert "已由 rev 领取" in told.stderr
    as_(bureau, "rev").run("quarantine", "comment", job.id, "--text", "联系过送件人")
    as_(bureau, "rev").run("quarantine", "label", job.id, "--finding", "1", "--confirm")
    assert [row["id"] for row in as_(bureau, "rev").json("quarantine", "list", "--mine")] == [job.id]
    assert [
        row["id"] for row in as_(bureau, "rev2").json("quarantine", "list", "--claimed", "--label", "confirmed")
    ] == [job.id]
    assert as_(bureau, "rev2").json("quarantine", "list", "--mine") == []
    assert as_(bureau, "rev2").json("quarantine", "list", "--older-than", "1") == []
    assert len(as_(bureau, "rev2").json("quarantine", "list", "--older-than", "0")) == len(FILES)
    (shown,) = as_(bureau, "rev").json("quarantine", "show", job.id)
    assert shown["review"]["remarks"][0]["text"] == "联系过送件人"
    assert shown["labels"][0]["ruling"] == "confirmed"
    assert "联系过送件人" in as_(bureau, "rev").run("quarantine", "show", job.id, "--lang", "zh").stdout
    stats = {row["rule"]: row for row in as_(bureau, "sec").json("packs", "stats")}
    assert stats[job.findings[0].rule]["precision"] == 1.0
    assert "95%" in as_(bureau, "sec").run("packs", "stats").stdout
    as_(bureau, "rev").run("quarantine", "hold", two.id, "--reason", "配合调查")
    day = (datetime.now(UTC) + timedelta(days=40)).strftime("%Y-%m-%d")
    (change,) = as_(bureau, "rev").json("quarantine", "keep", two.id, "--until", day)
    as_(bureau, "secr").run("people", "confirm", change["id"])
    (change,) = as_(bureau, "lead").json("quarantine", "lift", two.id, "--reason", "结束")
    as_(bureau, "rev").run("people", "confirm", change["id"])
    as_(bureau, "cls").run(
        "quarantine", "level", two.id, "--level", "秘密", "--regime", "commercial", "--basis", "清单", "--reason", "x"
    )
    rows = as_(bureau, "rev2").json(
        "quarantine", "reject", notice.id, job.id, "NOSUCH", two.id, "--reason", "不同意", check=5
    )
    assert [row["state"] for row in rows] == ["rejected", None, None, "rejected"]
    assert "rev" in rows[1]["error"]
    out = bureau.site.root / "退回"
    out.mkdir()
    (row,) = as_(bureau, "rev").json("quarantine", "return", notice.id, "--to", str(out), "--reason", "退回")
    assert Path(row["file"]).read_bytes() == WORK
    as_(bureau, "rev").run("quarantine", "unclaim", job.id)
    as_(bureau, "rev").run("quarantine", "label", job.id, "--finding", "1", check=2)
    as_(bureau, "cls").run("quarantine", "term", job.id, "--basis", "x", check=2)
    assert as_(bureau, "cls").json("quarantine", "terms") == [], "what is withheld waits for no word about its term"
    as_(bureau, "cls").run("quarantine", "term", job.id, "--ended", "--basis", "电话核实", check=9)
    as_(bureau, "aud").run("audit", "verify")


def test_terms_at_the_command_line(cleared: Bureau, as_: As) -> None:
    """A term that is over is listed until a word is given; one that is not over, and no word, are refused."""
    (over,) = as_(cleared, "cls").json("quarantine", "terms")
    assert (over["path"], over["until"]) == ("旧文.txt", "2008-05-01")
    as_(cleared, "cls").run("quarantine", "term", over["id"], "--basis", "x", check=2)
    as_(cleared, "cls").run("quarantine", "term", cleared.held("方案.txt").id, "--ended", "--basis", "x", check=9)
    as_(cleared, "cls").run("quarantine", "term", over["id"], "--extended", "2099-01-01", "--basis", "延期通知")
    assert as_(cleared, "cls").json("quarantine", "terms") == []
    as_(cleared, "aud").run("audit", "verify")


# pages


def red(png: bytes) -> Any:
    """Return where a picture is red."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return (pixels[:, :, 0] > 150) & (pixels[:, :, 1] < 60) & (pixels[:, :, 2] < 60)


def test_a_page_shows_each_hit_in_its_box(bureau: Bureau) -> None:
    """Red stands around where the books say that the hit lies, and nowhere else but at its number; ink is inside."""
    job = bureau.held("附件.pdf")
    shown = evidence.page(bureau.desk("rev").acting, job.id, 2)
    boxes = [(n, box) for n, found in enumerate(job.findings, 1) for box in found.boxes if box.page == 2]
    assert len(boxes) >= 2
    assert shown.boxed == tuple(dict.fromkeys(number for number, _ in boxes))
    mask, image = red(shown.png), np.asarray(Image.open(io.BytesIO(shown.png)).convert("RGB")).astype(int)
    scale = image.shape[0] / 841.89
    left = mask.copy()
    for _, box in boxes:
        x0, y0, x1, y1 = (round(side * scale) for side in (box.x0, box.y0, box.x1, box.y1))
        for edge in (mask[y0 - 8 : y0, x0:x1], mask[y1 : y1 + 8, x0:x1]):
            assert edge.any(axis=0).all(), "the line above or below a hit is broken"
        for edge in (mask[y0:y1, x0 - 8 : x0], mask[y0:y1, x1 : x1 + 8]):
            assert edge.any(axis=1).all()
        assert not mask[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].any(), "a box covers what it shows"
        assert (image[y0:y1, x0:x1].max(axis=2) < 100).any(), "there is no ink in the box"
        left[max(0, y0 - 45) : y1 + 10, max(0, x0 - 10) : x1 + 10] = False
    assert not left.any()
    assert evidence.page(bureau.desk("rev").acting, job.id, 1).png != shown.png


def test_each_look_at_a_page_is_recorded(bureau: Bureau) -> None:
    """At any level, with its number, before anybody has it; what could not be drawn was not seen."""
    job = bureau.held("附件.pdf")
    with pytest.raises(Denied, match="is not drawn"):
        evidence.page(bureau.desk("rev").acting, job.id, 3)
    assert "seen" not in bureau.trail(job)
    evidence.page(bureau.desk("cls").acting, job.id, 2)
    *_, event = bureau.store.events()
    assert (event.kind, event.actor, event.job) == ("seen", "cls", job.id)
    assert (event.body["what"], event.body["page"]) == ("page", 2)
    scratch = bureau.site.scratch()
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


def test_what_has_no_pages_or_no_copy_is_not_drawn(bureau: Bureau, tmp_path: Path) -> None:
    """A text file, a job whose sealed copy is gone, and without the private key: told, and not recorded as seen."""
    rev = bureau.desk("rev").acting
    with pytest.raises(Denied, match="cannot be drawn"):
        evidence.page(rev, bureau.held("名单.txt").id, 1)
    job = bureau.held("附件.pdf")
    key = bureau.site.vault / "identity.age-key"
    key.rename(tmp_path / "away")
    with pytest.raises(Exception, match="private key"):
        evidence.page(rev, job.id, 1)
    (tmp_path / "away").rename(key)
    (bureau.site.vault / "q" / f"{job.id}.age").unlink()
    with pytest.raises(NotFound, match="no sealed copy"):
        evidence.page(rev, job.id, 1)
    assert not [event for event in bureau.store.events() if event.kind == "seen"]


def test_a_page_at_the_command_line(bureau: Bureau, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PNG that only its owner may read, never over another file."""
    session = tmp_path / "session"
    session.write_text(bureau.token("rev"), encoding="ascii")
    monkeypatch.setenv("DLP_SESSION", str(session))
    job, out = bureau.held("附件.pdf"), tmp_path / "页.png"
    (row,) = bureau.site.json("quarantine", "page", job.id, "--page", "2", "--out", str(out))
    assert row["boxed"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_bytes().startswith(b"\x89PNG")
    bureau.site.run("quarantine", "page", job.id, "--page", "2", "--out", str(out), check=2)
    assert not [path for path in bureau.site.scratch().rglob("*") if path.is_file()]
