"""The workbench of rules: who sees it, drafts and trials, publishing by two persons, one step back, exemptions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlp import drafts
from dlp.drafts import DRAFTS, EDITIONS, IN_FORCES
from dlp.errors import Conflict
from dlp.model import State
from dlp.service import shelf
from dlp.service.gate import load_packs
from dlp.store.record import RecordFilter
from sites import Place, lay
from staff import House, hash_quickly
from test_bad_input import daemon, until
from web_site import Browser

PACK = """[pack]
id = "site.words"
name = "本单位用语"
version = "1"
category = "site"

[[rules]]
id = "falcon"
name = "猎隼工程"
kind = "pattern"
type = "project_number"
severity = "high"
level = "秘密"
pattern = '''LS-[0-9]{4}'''
edges = "alnum"
examples = ["猎隼工程编号LS-2026", "见LS-2025"]
counterexamples = ["LS-26", "ALS-2026"]
references = [{ law = "本单位保密制度" }]
"""
BAD = PACK.replace("[0-9]{4}'''", "[0-9]{4}$'''")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, with less work for each."""
    hash_quickly(monkeypatch)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Give a site with one person for each role."""
    made = House(tmp_path)
    made.staff()
    yield made
    made.close()


def begun(house: House, text: str = PACK, who: str = "rev") -> str:
    """Begin a draft and return its number."""
    return house.desk(who).workbench.begin("试验", text=text).id


def publish(house: House, text: str = PACK) -> None:
    """Publish a draft by the two persons that it takes."""
    asked = house.desk("sec").workbench.ask_to_publish(begun(house, text), "需要")
    house.desk("rev").seconds.confirm(asked.id)


# who


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/packs", {"rev", "sec", "aud"}),
        ("/packs/exemptions", {"rev", "sec", "aud"}),
        ("/packs/published", {"rev", "sec", "aud"}),
        ("/packs/try", {"rev", "sec"}),
        ("/packs/drafts", {"rev", "sec"}),
        ("/packs/replay", {"rev", "sec"}),
    ],
)
def test_each_role_sees_what_is_his(house: House, path: str, who: set[str]) -> None:
    """A page is there for whoever has its right; for anybody else it is 403, and the refusal is in the trail."""
    for account in ("op", "rev", "cls", "lead", "sys", "sec", "aud"):
        before = house.kinds().count("denied")
        answer = Browser(house, account).get(path)
        assert answer.status_code == (200 if account in who else 403), account
        assert house.kinds().count("denied") == before + (account not in who)


def test_the_auditor_is_offered_no_drafts(house: House) -> None:
    """What somebody may not do is not in his menu."""
    page = Browser(house, "aud").page("/packs")
    assert "/packs/published" in page
    assert "/packs/drafts" not in page


def test_nothing_is_changed_without_the_word_of_a_page(house: House) -> None:
    """A form that a page of the session did not send changes nothing."""
    browser, number = Browser(house, "rev"), begun(house)
    for path in ("/packs/drafts", f"/packs/drafts/{number}", f"/packs/drafts/{number}/publish", "/packs/try"):
        assert browser.post(path, csrf="0" * 64, text="x", version="1", reason="x").status_code == 403
    assert house.store.record(DRAFTS, number).text == PACK


# rules


def test_a_rule_shows_what_its_examples_come_to(house: House) -> None:
    """The page of a rule has its text, its references, and each example run through the engine."""
    page = Browser(house, "rev").page("/packs/rules/cn.marks.state")
    assert "第二十二条" in page
    assert "families = [" in page
    assert page.count("符合") >= 15
    assert "未命中" not in page
    english = Browser(house, "rev", language="en").page("/packs/rules/cn.marks.state")
    assert "Examples and counter-examples" in english
    assert Browser(house, "rev").get("/packs/rules/no.such").status_code == 404


def test_rules_are_found_by_what_stands_in_them(house: House) -> None:
    """A search goes over ids, names, terms and laws."""
    browser = Browser(house, "sec")
    assert "cn.marks" in browser.page("/packs?q=启用前")
    assert "没有符合的规则" in browser.page("/packs?q=nothing-like-it")


# drafts


def test_a_draft_is_judged_line_by_line(house: House) -> None:
    """A fault is told with its line; examples and mutants are run on what is typed, and nothing of it is saved."""
    browser, number = Browser(house, "rev"), begun(house)
    page = browser.page(f"/packs/drafts/{number}")
    assert "样例 4/4 符合" in page
    assert "变异" in page
    assert "没有条款处理" in page
    answer = browser.post(f"/packs/drafts/{number}/check", text=BAD)
    assert "第 14 行" in answer.text
    assert "锚定" in answer.text
    assert "1 处错误" in browser.post(f"/packs/drafts/{number}/check", text=PACK + "\nx = [").text
    wrong = browser.post(f"/packs/drafts/{number}/check", text=PACK.replace('"LS-26"', '"LS-2626"')).text
    assert "样例 3/4 符合" in wrong
    assert "误命中" in wrong
    assert house.store.record(DRAFTS, number).text == PACK


def test_two_people_at_one_draft(house: House) -> None:
    """Whoever saves second is told who was first, and nothing of the first is lost."""
    number = begun(house)
    first, second = Browser(house, "rev"), Browser(house, "sec")
    assert first.post(f"/packs/drafts/{number}", version="1", text=PACK + "# a", title="a").status_code == 303
    answer = second.post(f"/packs/drafts/{number}", version="1", text=PACK + "# b", title="b")
    assert answer.status_code == 409
    assert "rev" in answer.text
    assert house.store.record(DRAFTS, number).text.endswith("# a\n")
    assert [kind for kind in house.kinds() if kind.startswith("pack")] == ["pack-draft-begun", "pack-draft-saved"]


def test_what_is_hostile_is_shown_as_text(house: House) -> None:
    """Titles, texts, rule names and file names are text, whatever stands in them."""
    evil = "<script>alert(1)</script>"
    number = house.desk("rev").workbench.begin(evil, text=PACK.replace("猎隼工程", evil)).id
    browser = Browser(house, "rev")
    word = browser.csrf()
    sent = browser.client.post(
        f"/packs/drafts/{number}/try",
        data={"csrf": word},
        files={"file": (f"{evil}.txt", b"LS-2026")},
        headers={"origin": "http://127.0.0.1:8760"},
    )
    for page in (browser.page(f"/packs/drafts/{number}"), browser.page("/packs/drafts"), sent.text):
        assert "<script>alert" not in page
    assert "&lt;script&gt;" in sent.text
    assert sent.status_code == 200


# trying


def test_a_text_is_explained_and_not_kept(house: House) -> None:
    """Candidates kept and dropped, why, and the words around them; nothing of the text is in the books."""
    text = "请核对身份证号110105194912310021和11010519491231002X，以及客户名单。司机密切注意路面。"
    page = Browser(house, "rev").post("/packs/try", sample=text).text
    assert "保留" in page
    assert "排除" in page
    assert "fails check:resident_id" in page
    assert "11010519491231002X" not in page.split('id="explained"', 1)[1]
    assert "分数" in page
    held = b"".join(p.read_bytes() for p in house.store._path.parent.rglob("*") if p.is_file())
    assert "客户名单。司机".encode() not in held


def test_a_file_is_read_in_the_sandbox_and_not_kept(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An upload of any size stays in memory: no temporary file is made of it, and the draft is what it is tried on."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    seen: list[int] = []
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", lambda _self: seen.append(1))
    browser, number = Browser(house, "rev"), begun(house)
    body = "编号LS-2026。\n".encode() + "无关的文字。\n".encode() * 100_000
    sent = browser.client.post(
        f"/packs/drafts/{number}/try",
        data={"csrf": browser.csrf()},
        files={"file": ("说明.txt", body)},
        headers={"origin": "http://127.0.0.1:8760", "hx-request": "true"},
    )
    assert sent.status_code == 200
    assert "site.words.falcon" in sent.text
    assert not seen
    assert house.kinds()[-1] == "pack-draft-begun"


def test_a_state_secret_is_not_shown(house: House) -> None:
    """Where a text bears the mark of a state secret, rules are listed and nothing of the text is."""
    page = Browser(house, "rev", language="en").client.post(
        "/packs/try",
        data={"csrf": Browser(house, "rev").csrf(), "sample": "机密★20年\n关于飞鹰七号的部署，客户名单"},
        headers={"origin": "http://127.0.0.1:8760", "hx-request": "true"},
    )
    assert "the mark of a state secret" in page.text
    assert "cn.marks.state" in page.text
    assert "客户名单" not in page.text
    assert "20年" not in page.text


# publishing


def test_two_persons_publish_and_go_back(house: House) -> None:
    """The security administrator asks, another person confirms; then it holds; one step back and it does not."""
    browser, number = Browser(house, "sec"), begun(house)
    assert browser.post(f"/packs/drafts/{number}/publish", reason="新项目").headers["location"] == "/packs/published"
    assert "site.words" not in {pack.id for pack in load_packs(house.config)}
    waiting = re.findall(r"/packs/waiting/([0-9A-Z]+)/confirm", Browser(house, "rev").page("/packs/published"))
    assert len(waiting) == 1
    assert browser.post(f"/packs/waiting/{waiting[0]}/confirm").status_code == 403
    assert Browser(house, "rev").post(f"/packs/waiting/{waiting[0]}/confirm").status_code == 303
    assert "site.words" in {pack.id for pack in load_packs(house.config)}
    assert (shelf.folder(house.config) / "site.words.toml").read_text(encoding="utf-8") == PACK
    assert "本单位发布" in browser.page("/packs")

    assert browser.post("/packs/published/site.words/back", reason="误报太多").status_code == 303
    assert Browser(house, "sys").get("/packs/published").status_code == 403
    assert "/confirm" not in Browser(house, "aud").page("/packs/published")
    asked = house.desk("sec").workbench.waiting()
    house.desk("sys").seconds.confirm(asked[0].id)
    assert "site.words" not in {pack.id for pack in load_packs(house.config)}
    kinds = [kind for kind in house.kinds() if kind.startswith("pack-")]
    assert kinds == ["pack-draft-begun", "pack-published", "pack-rolled-back"]
    held = house.store.record(IN_FORCES, "site.words")
    assert (held.edition, len(held.before)) == ("", 1)
    house.desk("rev").seconds.confirm(house.desk("sec").workbench.ask_to_roll_back("site.words", "仍要").id)
    assert "site.words" in {pack.id for pack in load_packs(house.config)}


def test_a_reviewer_publishes_nothing(house: House) -> None:
    """Whoever drafts is not whoever publishes."""
    number = begun(house)
    answer = Browser(house, "rev").post(f"/packs/drafts/{number}/publish", reason="x")
    assert answer.status_code == 403
    assert house.kinds()[-1] == "denied"


def test_what_was_asked_for_is_what_is_published(house: House) -> None:
    """A draft that was changed after it was asked for is not confirmed, nor one among packs that have changed."""
    number = begun(house)
    asked = house.desk("sec").workbench.ask_to_publish(number, "需要")
    house.desk("rev").workbench.save(number, 1, PACK + "# 改")
    with pytest.raises(Conflict):
        house.desk("rev").seconds.confirm(asked.id)
    asked = house.desk("sec").workbench.ask_to_publish(number, "需要")
    publish(house, PACK.replace("site.words", "site.other"))
    with pytest.raises(Conflict):
        house.desk("rev").seconds.confirm(asked.id)
    assert house.store.find(IN_FORCES, "site.words") is None


def marks(text: str = "") -> str:
    """Return the shipped pack of marks."""
    from dlp.config import shipped_packs

    return text or (shipped_packs() / "marks.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BAD, "锚定"),
        (PACK.replace('"LS-26"', '"LS-2626"'), "反例被命中"),
        (PACK.replace('"见LS-2025"', '"见LS-25"'), "样例没有命中"),
        (PACK.replace('"site.words"', '"../../etc/words"'), "编号不合规"),
        (marks().replace('severity = "critical"', 'severity = "low"', 1), "severity"),
        (marks().replace('"ticked"]', "]", 1), "families"),
        (marks().replace('id = "state"', 'id = "other"', 1), "削弱"),
        (
            PACK.replace('law = "本单位保密制度"', 'law = "中华人民共和国保守国家秘密法", edition = "2010-10-01"'),
            "references",
        ),
    ],
)
def test_what_does_not_hold_is_refused_with_the_reason(house: House, text: str, says: str) -> None:
    """Lint, examples, counter-examples, marks: whatever fails keeps a pack from being published, and is told."""
    number = begun(house, text)
    answer = Browser(house, "sec").post(f"/packs/drafts/{number}/publish", reason="需要")
    assert answer.status_code == 422
    assert says in answer.text
    assert not house.desk("sec").workbench.waiting()


def test_marks_may_see_more(house: House) -> None:
    """Examples can be added to a shipped rule of marks."""
    number = begun(house, marks().replace('"绝密★30年",', '"绝密★30年", "绝密★20年",', 1))
    assert house.desk("sec").workbench.ask_to_publish(number, "补样例").subject == "cn.marks"


def test_the_books_are_the_truth(house: House) -> None:
    """A file that was changed or lost after a crash is laid out anew; what nobody published is taken away."""
    publish(house)
    place = shelf.folder(house.config)
    (place / "site.words.toml").unlink()
    (place / "planted.toml").write_text(PACK.replace("site.words", "site.planted"), encoding="utf-8")
    shelf.lay(house.config, house.store)
    assert sorted(path.name for path in place.glob("*.toml")) == ["site.words.toml"]
    assert len(house.store.records(EDITIONS)) == 1
    assert drafts.PUBLISHED in {one.state for one in house.store.records(DRAFTS, RecordFilter())}


# exemptions


def test_exemptions_are_read_with_owner_and_end(tmp_path: Path) -> None:
    """Who answers for one and until when is shown; its values are not."""
    extra = """
[[policy.exemptions]]
name = "总机"
rule = ["cn.identity.*"]
values = ["01066001234"]
owner = "办公室"
reason = "公开电话"
expires = 2020-01-31
"""
    place = lay(tmp_path, sections=(extra,))
    house = House(tmp_path, place.config)
    page = Browser(house, "aud").page("/packs/exemptions")
    assert "办公室" in page
    assert "2020-01-31" in page
    assert "已到期" in page
    assert "01066001234" not in page
    house.close()


# the gate

HOLDS = PACK.replace('category = "site"', 'category = "credential"')


def published_at(place: Place, house: House, *, laid: bool = True) -> None:
    """Publish at a site; without `laid`, whoever confirms dies after it is in the books and before it is laid out."""
    asked = house.desk("sec").workbench.ask_to_publish(begun(house, HOLDS), "需要")
    desk = house.desk("rev")
    if not laid:
        desk.seconds._after = {}
    desk.seconds.confirm(asked.id)
    assert (place.state / "packs" / "site.words.toml").exists() == laid


def test_the_running_gate_takes_it_and_lets_it_go(tmp_path: Path) -> None:
    """A published rule holds the next file; once it is rolled back, the next one leaves. Nobody restarts anything."""
    place = lay(tmp_path)
    house = House(tmp_path, place.config)
    house.staff()
    with daemon(place):
        place.put("一.txt", "编号LS-2026".encode())
        until(lambda: "一.txt" in place.files(place.released), "the first file leaves", 240)
        published_at(place, house)
        until(lambda: house.kinds().count("reloaded") == 1, "the gate takes what was published", 240)
        place.put("二.txt", "编号LS-2026".encode())
        until(lambda: State.HELD in {job.state for job in house.store.jobs()}, "the second is held", 240)
        house.desk("rev").seconds.confirm(house.desk("sec").workbench.ask_to_roll_back("site.words", "误报").id)
        until(lambda: house.kinds().count("reloaded") == 2, "the gate takes what was rolled back", 240)
        place.put("三.txt", "编号LS-2026".encode())
        until(lambda: "三.txt" in place.files(place.released), "the third leaves", 240)
    assert place.files(place.released) == ["一.txt", "三.txt"]
    house.close()


def test_a_death_between_the_books_and_the_folder_is_made_good(tmp_path: Path) -> None:
    """What is confirmed holds after the next start, though whoever confirmed it died before it was laid out."""
    place = lay(tmp_path)
    house = House(tmp_path, place.config)
    house.staff()
    published_at(place, house, laid=False)
    house.token("rev")
    place.put("二.txt", "编号LS-2026".encode())
    place.run("run", "--once", timeout=600)
    assert place.files(place.released) == []
    assert (place.state / "packs" / "site.words.toml").read_text(encoding="utf-8") == HOLDS
    house.close()


def test_the_commands_are_the_same(tmp_path: Path) -> None:
    """Drafts, requests, replay: what pages do, commands do, for whoever has the right."""
    place = lay(tmp_path)
    house = House(tmp_path, place.config)
    house.staff()
    (tmp_path / "p.toml").write_text(HOLDS, encoding="utf-8")

    def run(who: str, *args: str, check: int = 0) -> list[dict[str, object]]:
        (tmp_path / "session").write_text(house.token(who), encoding="ascii")
        env = {**os.environ, "DLP_CONFIG": str(place.config), "DLP_SESSION": str(tmp_path / "session")}
        argv = [sys.executable, "-m", "dlp", *args, "--json"]
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == check, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    number = str(run("rev", "packs", "draft", "begin", "--title", "a", "p.toml")[0]["id"])
    assert run("rev", "packs", "replay", "--draft", number)[0]["jobs"] == 0
    run("rev", "packs", "draft", "publish", number, "--reason", "x", check=9)
    change = str(run("sec", "packs", "draft", "publish", number, "--reason", "x")[0]["id"])
    run("sec", "people", "confirm", change, check=9)
    run("rev", "people", "confirm", change)
    assert run("sec", "packs", "published")[0]["pack"] == "site.words"
    house.close()
