"""State secrets that may not be here: nothing of them is kept that could be read, and nothing of them is lost."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import docx
import pyrage
import pytest
from PIL import Image, ImageDraw
from pyrage import x25519

from dlp import config, incident, pipeline, withhold
from dlp.errors import ConfigError, Denied, UsageError, VaultError
from dlp.incident import INCIDENTS, Cause
from dlp.model import Action, Document, Finding, Item, Level, Regime, Segment, State, evolve
from dlp.ocr import STOPPED
from dlp.policy import Policy, decide
from dlp.service.acting import Acting
from dlp.service.desk import Desk
from dlp.service.doctor import examine
from dlp.service.gate import Gate
from dlp.service.places import open_vault
from dlp.service.withheld import Withheld
from dlp.site import Site
from dlp.sources import ReleaseError
from sites import Place
from works import Works, gate_of, unused

SECRET_WORDS = ("玄鸟计划", "第七号阵地", "13812345678")
TEXT = "机密★10年\n关于玄鸟计划的实施方案\n第七号阵地联系人电话：13812345678，身份证号：110101199003071233。\n"
SYSTEMS = ("非涉密", "秘密", "机密", "绝密")
LEVELS = (Level.SECRET, Level.CONFIDENTIAL, Level.TOP_SECRET)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Give one sandbox and scanner for all tests of this file."""
    with gate_of(tmp_path_factory.mktemp("gate")) as made:
        yield made


def outside(root: Path) -> tuple[str, x25519.Identity]:
    """Lay a public key whose private half is nowhere on this machine; return the configuration that names it."""
    key = x25519.Identity.generate()
    (root / "outside.txt").write_text(f"# the security office\n{key.to_public()}\n", encoding="ascii")
    return 'outside = "outside.txt"\n', key


def sealing(root: Path, gate: Gate) -> tuple[Works, x25519.Identity]:
    """Give a site that seals what it may not hold to a key elsewhere, and the private half of that key."""
    line, key = outside(root)
    return Works(root, gate, site='qualification = "无"\nwithhold = "seal"', vault=line), key


def leaks(root: Path, *spared: Path) -> list[str]:
    """Return every file under a folder that holds one of the words, in any of the forms that text is written in."""
    found: list[str] = []
    for path in root.rglob("*"):
        if not path.is_file() or any(spare in (path, *path.parents) for spare in spared):
            continue
        raw = path.read_bytes()
        forms = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
        there = (word for word in SECRET_WORDS if any(word.encode(form) in raw for form in forms))
        found += [f"{word} in {path.relative_to(root)}" for word in there]
    return found


def with_picture(*paragraphs: str) -> bytes:
    """Return a Word file with a picture that only eyes can read."""
    page = docx.Document()
    for text in paragraphs:
        page.add_paragraph(text)
    picture = Image.new("L", (900, 300), 255)
    ImageDraw.Draw(picture).text((20, 20), "PICTURE TEXT 12345", fill=0)
    kept = io.BytesIO()
    picture.save(kept, "PNG")
    page.add_picture(kept)
    out = io.BytesIO()
    page.save(out)
    return out.getvalue()


def expected(level: Level, system: str, qualification: str) -> State:
    """Return what the law says of a mark: the table that the code is held against, written in another way."""
    may_hold = {"非涉密": 0, "秘密": 1, "机密": 2, "绝密": 3}[system]
    may_print = {"无": 0, "乙级": 2, "甲级": 3}[qualification]
    needed = {Level.SECRET: 1, Level.CONFIDENTIAL: 2, Level.TOP_SECRET: 3}[level]
    return State.HELD if needed <= min(may_hold, may_print) else State.WITHHELD


@pytest.mark.parametrize(("system", "qualification"), list(product(SYSTEMS, ("无", "乙级", "甲级"))))
def test_every_level_at_every_site(tmp_path: Path, gate: Gate, system: str, qualification: str) -> None:
    """Held for the ladder where machine and unit may have it; withheld, with an incident, everywhere else."""
    works = Works(tmp_path, gate, site=f'qualification = "{qualification}"\nprovince = "浙江"\nsystem = "{system}"')
    for level in LEVELS:
        done = works.run(f"{level.value}.txt", f"{level.value}★10年\n关于玄鸟计划的方案\n各处室：请办理。\n".encode())
        due = expected(level, system, qualification)
        assert done.state is due, (level, system, qualification)
        assert done.verdict.level is level
        assert done.verdict.action is (Action.QUARANTINE if due is State.HELD else Action.BLOCK)
        opened = [one for one in works.store.records(INCIDENTS) if one.job == done.item.id]
        assert len(opened) == (due is State.WITHHELD)
    works.store.close()


def test_only_the_mark_is_kept(tmp_path: Path, gate: Gate) -> None:
    """The books hold mark, place, hash and size; other findings and every word of the text are nowhere."""
    works = Works(tmp_path, gate)
    done = works.run("方案.txt", TEXT.encode())
    job = works.store.get(done.item.id)
    assert job.state is State.WITHHELD
    assert [found.masked for found in job.findings] == ["机密★10年"]
    assert {found.type for found in job.findings} == {"classification_mark"}
    assert all(not (f.slices or f.boxes or f.digest or f.why) for f in job.findings)
    assert job.gaps == ()
    assert job.item.sha256
    assert job.item.size == len(TEXT.encode())
    assert [reason.clause for reason in job.verdict.reasons if job.verdict] == [withhold.CLAUSE]  # type: ignore[union-attr]
    assert leaks(works.place.root, works.back) == []
    receipt = (works.place.outbox / "方案.txt.拦截说明.txt").read_text(encoding="utf-8")
    for words in ("暂扣", "机密★10年", "第三十一条第三项", "退还", done.item.id):
        assert words in receipt
    assert works.kinds()[-2:] == ["withheld", "handed-back"]
    works.store.close()


def test_it_is_handed_back_in_one_place(tmp_path: Path, gate: Gate) -> None:
    """By default the file lies byte for byte in a private folder, and nowhere else; no sealed copy is left."""
    works = Works(tmp_path, gate)
    done = works.run("方案.txt", TEXT.encode())
    (given,) = works.back.iterdir()
    assert given.name == f"{done.item.id} 方案.txt"
    assert given.read_bytes() == TEXT.encode()
    assert stat.S_IMODE(works.back.stat().st_mode) == 0o700
    assert stat.S_IMODE(given.stat().st_mode) == 0o600
    assert not list((works.place.vault / "q").iterdir())
    assert works.place.files(works.place.released) == []
    assert works.store.get(done.item.id).sealed is None
    assert works.sweep() == [], "it is not taken again"
    works.store.close()


def test_sealed_to_a_key_elsewhere_no_key_here_opens_it(tmp_path: Path, gate: Gate) -> None:
    """Neither the private key of the vault nor the work key, each tried by itself; the one elsewhere does."""
    works, key = sealing(tmp_path, gate)
    done = works.run("方案.txt", TEXT.encode())
    assert done.state is State.WITHHELD
    assert not works.back.exists()
    (sealed,) = (works.place.vault / "q").iterdir()
    raw = sealed.read_bytes()
    keys = [p for p in tmp_path.rglob("*") if p.is_file() and b"AGE-SECRET-KEY" in p.read_bytes()]
    assert {p.name for p in keys} == {"identity.age-key", "work.age-key"}
    for path in keys:
        own = x25519.Identity.from_str(path.read_text(encoding="ascii").strip())
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(raw, [own])
    assert pyrage.decrypt(raw, [key]) == TEXT.encode()
    with pytest.raises(VaultError):
        works.vault.open(done.item.id, done.item.sha256)
    assert leaks(tmp_path) == []
    works.again()
    assert sealed.exists(), "what is withheld and sealed is no leftover"
    works.store.close()


def test_sealing_needs_a_key_elsewhere(tmp_path: Path, gate: Gate) -> None:
    """Without one the configuration is refused; a file that is missing, or names a key of this machine, stops it."""
    with pytest.raises(ConfigError, match="faults"):
        config.parse('[site]\nwithhold = "seal"\n', file="t", base=tmp_path)
    works = Works(tmp_path, gate)
    works.store.close()
    text = works.place.config.read_text(encoding="utf-8")
    text = text.replace('qualification = "无"', 'qualification = "无"\nwithhold = "seal"')
    text = text.replace("[vault]\n", '[vault]\noutside = "outside.txt"\n')
    works.place.config.write_text(text, encoding="utf-8")
    settings = config.read(works.place.config)
    with pytest.raises(VaultError):
        open_vault(settings)
    assert [c.ok for c in examine(settings) if c.name == "withheld"] == [False]
    shutil.copy(works.place.vault / "recipient.txt", tmp_path / "outside.txt")
    with pytest.raises(VaultError, match="on this machine"):
        open_vault(settings)
    assert [c.ok for c in examine(settings) if c.name == "withheld"] == [False]
    outside(tmp_path)
    open_vault(settings)
    assert [c.ok for c in examine(settings) if c.name == "withheld"] == [True]


@pytest.mark.parametrize("folder", ["外发", "外发/内", "已放行", "."])
def test_returns_must_not_overlap(tmp_path: Path, folder: str) -> None:
    """A folder for what is handed back that is watched or released to is refused."""
    text = f'[[folders]]\nname = "a"\nwatch = "外发"\nrelease = "已放行"\nreturns = "{folder}"\n'
    with pytest.raises(ConfigError) as told:
        config.parse(text, file="t", base=tmp_path)
    assert any(problem.key == "folders[1].returns" for problem in told.value.problems)


def test_a_folder_that_is_no_use_loses_nothing(tmp_path: Path, gate: Gate) -> None:
    """While the file cannot be handed back it stays sealed; once the folder is there, it is handed back."""
    works = Works(tmp_path, gate)
    works.back.write_bytes(b"in the way")
    with pytest.raises(ReleaseError):
        works.run("方案.txt", TEXT.encode())
    (job,) = works.store.jobs()
    assert job.state is State.DECIDED
    assert len(list((works.place.vault / "q").iterdir())) == 1
    works.back.unlink()
    works.again()
    assert works.store.get(job.id).state is State.WITHHELD
    (given,) = works.back.iterdir()
    assert given.read_bytes() == TEXT.encode()
    works.store.close()


def test_a_pack_of_the_site_cannot_loosen_it(tmp_path: Path, gate: Gate) -> None:
    """The statute stands above the policy: a clause that lets marks pass does not; shadow mode alone looks only."""
    loose = '[[policy.clauses]]\nname = "loose"\naction = "alert"\nwhen = { type = ["classification_mark"] }\n'
    works = Works(tmp_path, gate, extra=loose)
    assert works.run("方案.txt", TEXT.encode()).state is State.WITHHELD
    works.store.close()


def test_doubtful_and_other_marks_are_held_as_before(gate: Gate) -> None:
    """What may be no mark, and what is no state secret, is for people to look at."""
    mark = Finding(rule="m", pack="p", type="classification_mark", category="c", level=Level.CONFIDENTIAL)
    bare = Site()
    sure = [
        (Regime.STATE, 0.8, True),
        (Regime.STATE, 0.79, False),
        (Regime.EXAM, 0.9, True),
        (Regime.WORK, 0.9, False),
        (Regime.COMMERCIAL, 1.0, False),
    ]
    for regime, confidence, due in sure:
        found = evolve(mark, regime=regime, confidence=confidence)
        assert withhold.forbids([found], bare) is due, (regime, confidence)
    document = Document(media="text/plain", segments=(Segment(text="内部资料 注意保存\n"),))
    assert not withhold.forbids(gate.kit.matcher.find_marks(document), bare)


def test_a_house_clause_on_other_ground_still_blocks() -> None:
    """Where a state secret may be here, only what rests on the statute is lowered."""
    site = Site(system="绝密", qualification="甲级")
    mark = Finding(
        rule="m", pack="p", type="classification_mark", category="c", regime=Regime.STATE, level=Level.SECRET
    )

    item = Item(id="1", source="s", path="p", name="n")
    default = decide(item, [mark], (), Policy(), "packs")
    assert default.action is Action.BLOCK
    assert withhold.lowered(default, [mark], site).action is Action.QUARANTINE
    house = decide(item, [mark], (), _with_article("《本单位规定》"), "packs")
    assert withhold.lowered(house, [mark], site).action is Action.BLOCK


def _with_article(article: str) -> Policy:
    first = Policy().clauses[0]
    return Policy(clauses=(evolve(first, article=article),))


def test_reading_stops_at_the_mark(gate: Gate) -> None:
    """No picture is read once the text bears the mark; what is left unread is never clean."""
    read: list[int] = []
    site = Site()

    def stop(found: object) -> bool:
        read.append(1)
        return withhold.forbids(found, site)  # type: ignore[arg-type]

    content = with_picture("机密★10年", "关于玄鸟计划的方案", "电话：13812345678")
    fd = os.memfd_create("x")
    os.write(fd, content)
    item = Item(id="1", source="s", path="a.docx", name="a.docx")
    seen = pipeline.inspect(item, fd, gate.kit, stop)
    os.close(fd)
    assert {found.type for found in seen.findings if found.type != "oddity"} == {"classification_mark"}
    assert any(gap.detail == STOPPED for gap in seen.gaps)
    assert not any(page.how == "ocr" for page in seen.document.coverage)
    assert withhold.kept(seen).document == Document(media=seen.document.media)


def test_hand_over_of_what_was_handed_back(tmp_path: Path, gate: Gate) -> None:
    """Who took it, and the receipt, are in the trail; a second time is refused, and so is no receipt."""
    works = Works(tmp_path, gate)
    done = works.run("方案.txt", TEXT.encode())
    desk = Withheld(Acting.at(works.config, works.store, ""), lambda: works.vault)
    assert [job.id for job in desk.all()] == [done.item.id]
    for to, receipt in (("", "1"), ("王五", " ")):
        with pytest.raises(UsageError):
            desk.hand_over(done.item.id, to=to, receipt=receipt)
    assert desk.hand_over(done.item.id, to="王五", receipt="回执1号").state is State.RETURNED
    with pytest.raises(Denied):
        desk.hand_over(done.item.id, to="王五", receipt="回执2号")
    assert desk.all() == ()
    assert [job.state for job in desk.all(every=True)] == [State.RETURNED]
    *_, event = works.store.events()
    assert (event.kind, event.body["to"], event.body["receipt"]) == ("returned", "王五", "回执1号")
    works.store.close()


def test_hand_over_of_what_is_sealed(tmp_path: Path, gate: Gate) -> None:
    """The sealed file goes out as it is, and no copy stays; without a place for it nothing is done."""
    works, key = sealing(tmp_path, gate)
    done = works.run("方案.txt", TEXT.encode())
    desk = Withheld(Acting.at(works.config, works.store, ""), lambda: works.vault)
    with pytest.raises(UsageError, match="where the sealed file"):
        desk.hand_over(done.item.id, to="保密局", receipt="9")
    with pytest.raises(UsageError, match="cannot write"):
        desk.hand_over(done.item.id, to="保密局", receipt="9", out=tmp_path / "no" / "x.age")
    out = tmp_path / "x.age"
    assert desk.hand_over(done.item.id, to="保密局", receipt="9", out=out).state is State.HANDED_OVER
    assert pyrage.decrypt(out.read_bytes(), [key]) == TEXT.encode()
    assert not list((works.place.vault / "q").iterdir())
    works.again()
    assert works.store.get(done.item.id).state is State.HANDED_OVER
    works.store.close()


STEPS: dict[str, tuple[str, ...]] = {
    "return": ("lay_back", "tell", "hand_back"),
    "seal": ("close_outside", "tell"),
}


class Dies(BaseException):
    """The process ends here."""


def dying(function: Callable[..., object], *, after: bool) -> Callable[..., object]:
    """Return a function at which the process ends, before or after its work."""

    def at(*args: object, **words: object) -> object:
        if after:
            function(*args, **words)
        raise Dies

    return at


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("way", "step"), [(way, step) for way, steps in STEPS.items() for step in (*steps, "move")])
def test_ended_at_any_step_it_comes_to_one_end(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, way: str, step: str, *, after: bool
) -> None:
    """Before and after each step of withholding: afterwards the file is in one place, told once, with one incident."""
    works = sealing(tmp_path, gate)[0] if way == "seal" else Works(tmp_path, gate)
    works.place.put("方案.txt", TEXT.encode())
    (source,) = works.line.sources.values()
    holder = {"close_outside": works.vault, "move": works.store}.get(step, source)
    with monkeypatch.context() as patch:
        if step == "move":
            whole = works.store.move
            end = dying(whole, after=after)
            patch.setattr(holder, step, lambda *a, **w: (end if w["kind"] == "withheld" else whole)(*a, **w))
        else:
            patch.setattr(holder, step, dying(getattr(holder, step), after=after))
        with pytest.raises(Dies):
            works.sweep()
    assert leaks(tmp_path, works.back) == []
    works.again()
    (job,) = works.store.jobs()
    assert (job.state, job.place) == (State.WITHHELD, "")
    assert len(works.store.records(INCIDENTS)) == 1
    assert len([p for p in works.place.files(works.place.outbox) if "拦截说明" in p]) == 1
    sealed = list((works.place.vault / "q").iterdir())
    given = works.place.files(works.back) if works.back.exists() else []
    assert (len(sealed), len(given)) == ((1, 0) if way == "seal" else (0, 1))
    assert leaks(tmp_path, works.back) == []
    works.store.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian package: strace)")
@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", ["return", "seal"])
@pytest.mark.parametrize(("calls", "least"), [("fsync,fdatasync", 8), ("rename,renameat2", 2), ("unlink,unlinkat", 1)])
def test_killed_at_every_durable_step(tmp_path: Path, gate: Gate, way: str, calls: str, least: int) -> None:
    """At each sync, rename and removal of the real program, kill -9: no word anywhere, the file in one place."""
    first = tmp_path / "template"
    first.mkdir()
    works = sealing(first, gate)[0] if way == "seal" else Works(first, gate)
    works.store.close()
    with works.place.config.open("a", encoding="utf-8") as file:
        file.write(f"\n[packs]\ndisabled = {unused()}\n")
    works.place.run("run", "--once")
    count = 0
    for call in calls.split(","):
        for number in range(1, 200):
            root = tmp_path / f"{call}-{number}"
            shutil.copytree(first, root)
            if not survives(Place.at(root), way, call, number):
                break
            count += 1
            shutil.rmtree(root)
    assert count >= least


def survives(place: Place, way: str, call: str, number: int) -> bool:
    """Kill the gate at one system call and let it run again; False where it was not reached."""
    place.put("方案.txt", TEXT.encode())
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    strace = ("strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject)
    done = subprocess.run(
        [*strace, sys.executable, "-m", "dlp", "run", "--once"],
        cwd=place.root,
        env={**os.environ, "DLP_CONFIG": str(place.config), "TMPDIR": str(place.scratch())},
        capture_output=True,
        timeout=300,
        check=False,
    )
    back = place.root / "外发-退还"
    assert leaks(place.root, back, place.outbox / "方案.txt") == []
    if done.returncode == 0:
        return False
    place.run("run", "--once", timeout=300)
    assert leaks(place.root, back) == []
    given = place.files(back) if back.exists() else []
    sealed = list((place.vault / "q").iterdir())
    assert (len(sealed), len(given)) == ((1, 0) if way == "seal" else (0, 1)), (call, number)
    with Desk.open(config.read(place.config)) as desk:
        assert [(job.item.name, job.state) for job in desk.held()] == [("方案.txt", State.WITHHELD)]
        assert [one.cause for one in desk.incidents.all()] == [Cause.WITHHELD]
        assert desk.audit_verify().faults == ()
    assert len([name for name in place.files(place.outbox) if "拦截说明" in name]) == 1
    return True


def test_the_incident_begins_with_it(tmp_path: Path, gate: Gate) -> None:
    """Its 24 hours run from the moment when the gate found it; the event that tells of the one tells of the other."""
    works = Works(tmp_path, gate)
    done = works.run("方案.txt", TEXT.encode())
    (one,) = works.store.records(INCIDENTS)
    assert (one.cause, one.job, one.sha256, one.level) == (
        Cause.WITHHELD,
        done.item.id,
        done.item.sha256,
        Level.CONFIDENTIAL,
    )
    assert one.due == one.found + 24 * 3_600
    (told,) = (event for event in works.store.events() if event.kind == "withheld")
    assert told.body["incident"] == one.id
    assert one.step is incident.Step.REPORT
    works.store.close()
