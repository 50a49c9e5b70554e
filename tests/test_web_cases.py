"""The story of one file at the counter: held, asked for, signed, released, registered; by browsers alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

import pytest

from dlp.approval import CaseState, Decision
from dlp.copies import COPIES
from dlp.model import State
from dlp.request import Recipient
from dlp.rights import Operation, right
from dlp.service.cases import Asking
from dlp.store.record import RecordFilter
from sites import Place, lay
from staff import House, hash_quickly
from web_site import Browser

HELD = "工作秘密\n关于某项工作的内部安排\n"
SECRET = "机密★10年\n关于专项工作的实施方案\n各处室：请按要求组织实施。\n"
NAME = "安排.txt"
HOSTILE = "<b onclick=x>&amp;'\".txt"
ASKED = {"copies": "2", "purpose": "会议使用", "to0-name": "王某", "to0-circle": "within", "unit": "综合科"}
EVERYBODY = ("op", "rev", "cls", "head", "secr", "lead", "sys", "sec", "aud")


class Shop:
    """A site whose gate has held files, and its people."""

    def __init__(self, place: Place, house: House) -> None:
        self.place, self.house = place, house

    def job(self, name: str = NAME, state: State = State.HELD) -> str:
        """Return the job of a file."""
        return next(job.id for job in self.house.store.jobs((state,)) if job.item.name == name)

    def asked(self, account: str = "op", *, copies: int = 2, name: str = NAME) -> str:
        """Ask for the approval of a file; return the case."""
        asking = Asking(copies=copies, purpose="会议使用", recipients=(Recipient(name="王某"),))
        return self.house.desk(account).cases.ask(self.job(name), asking).id

    def signed(self, account: str = "head", *, copies: int = 2, name: str = NAME) -> str:
        """Ask for an approval and have it signed; return the case."""
        case, cases = self.asked(copies=copies, name=name), self.house.desk(account).cases
        cases.sign(case, Decision.APPROVE, cases.binding(cases.get(case)))
        return case

    def denied(self, operation: Operation) -> int:
        """Return how often something was refused."""
        events = (event for event in self.house.store.events() if event.kind == "denied")
        return sum(event.body["operation"] == operation.value for event in events)


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a site with a held file, a hostile one, and a state secret that was handed back, before anybody is there."""
    place = lay(tmp_path_factory.mktemp("laid"))
    for name, text in ((NAME, HELD), (HOSTILE, HELD), ("方案.txt", SECRET)):
        place.put(name, text.encode())
    place.run("run", "--once", timeout=300)
    return place.root


@pytest.fixture
def shop(laid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Give such a site of its own to each test, with its people."""
    hash_quickly(monkeypatch)
    place = Place.at(shutil.copytree(laid, tmp_path / "site"))
    house = House(place.root, place.config)
    house.staff()
    yield Shop(place, house)
    house.close()


def words_of(page: str) -> dict[str, str]:
    """Return the hidden words of the form in which somebody signs."""
    return {key: unescape(value) for key, value in re.findall(r'name="(seen|step)" value="([^"]*)"', page)}


def test_the_whole_story_in_browsers(shop: Shop) -> None:
    """Held, asked for by the operator, signed by the head, released by the operator, and in the register."""
    job = shop.job()
    op, head = Browser(shop.house, "op"), Browser(shop.house, "head")
    card = op.page(f"/jobs/{job}")
    assert f'href="/jobs/{job}/ask"' in card
    assert "凭批准放行" not in card
    form = op.page(f"/jobs/{job}/ask")
    assert "部门负责人批准" in form, "the steps are said beforehand"
    assert "head、secr、lead" in form, "and who can sign them"
    case = op.post(f"/jobs/{job}/ask", **ASKED).headers["location"]
    assert "等待部门负责人" in op.page(case)
    assert "审批中" in op.page("/jobs")
    mine = head.page("/cases")
    assert f'href="{case}"' in mine
    words = words_of(head.page(case))
    assert head.post(f"{case}/sign", decision="approve", reason="同意", **words).headers["location"] == case
    assert "同意" in op.page(f"{case}/form")
    assert "可放行" in op.page("/jobs?group=ready")
    card = op.page(f"/jobs/{job}")
    assert "已批准，可放行 2 份" in card
    answer = op.post(f"/jobs/{job}/release", case=case.rpartition("/")[2], copies="2", reason="凭批准放行")
    assert answer.headers["location"] == f"/jobs/{job}"
    assert (shop.place.released / NAME).read_text() == HELD
    assert "已放行" in op.page(f"/jobs/{job}")
    assert len(shop.house.store.records(COPIES, RecordFilter(job=job))) == 2
    assert "份数已用完" in op.page(case)


@pytest.mark.parametrize("account", EVERYBODY)
def test_each_role_sees_and_does_what_the_matrix_says(shop: Shop, account: str) -> None:
    """Pages and changes answer by the table of rights; each refusal of a change is in the trail."""
    job, case = shop.job(), shop.asked("rev")
    browser, roles = Browser(shop.house, account), set(shop.house.people.get(account).roles)
    sign = {"seen": "x", "step": "department"}
    ways = [
        ("get", "/jobs", Operation.JOB_LIST, {}),
        ("get", f"/jobs/{job}", Operation.JOB_SHOW, {}),
        ("get", f"/jobs/{job}/receipt", Operation.JOB_SHOW, {}),
        ("get", f"/jobs/{job}/ask", Operation.APPROVAL_REQUEST, {}),
        ("get", f"/jobs/{job}/ask/steps", Operation.APPROVAL_REQUEST, {}),
        ("get", "/cases", Operation.APPROVAL_SHOW, {}),
        ("get", "/cases?tab=all", Operation.APPROVAL_SHOW, {}),
        ("get", f"/cases/{case}", Operation.APPROVAL_SHOW, {}),
        ("get", f"/cases/{case}/form", Operation.APPROVAL_SHOW, {}),
        ("post", f"/jobs/{job}/ask", Operation.APPROVAL_REQUEST, ASKED),
        ("post", f"/jobs/{job}/release", Operation.JOB_RELEASE, {"case": case, "reason": "放行"}),
    ]
    for method, path, operation, fields in ways:
        may, before = bool(roles & set(right(operation).roles)), shop.denied(operation)
        answer = getattr(browser, method)(path, **fields)
        assert answer.status_code < 500, (path, answer.text[-500:])
        if not may:
            assert answer.status_code == 403, path
            assert shop.denied(operation) == before + 1, f"{path}: the refusal is in the trail"
        elif not path.endswith("/release"):
            assert answer.status_code in (200, 303), (path, answer.text[-500:])
    assert browser.post(f"/cases/{case}/sign", decision="approve", **sign).status_code in (403, 409)
    assert shop.house.store.get(job).state is State.HELD


def test_nothing_is_done_without_the_word_of_the_page(shop: Shop) -> None:
    """A form of another site asks for nothing, signs nothing and releases nothing."""
    job, case = shop.job(), shop.signed()
    browser = Browser(shop.house, "op")
    for path in (f"/jobs/{job}/ask", f"/jobs/{job}/release", f"/jobs/{job}/hand-over", "/jobs/board"):
        assert browser.post(path, csrf="0" * 64, case=case, reason="x", **ASKED).status_code == 403
    assert Browser(shop.house, "head").post(f"/cases/{case}/sign", csrf="", decision="approve").status_code == 403
    assert shop.house.store.get(job).state is State.HELD
    assert len(shop.house.desk("op").cases.all()) == 1


def test_what_is_missing_is_told_and_nothing_typed_is_lost(shop: Shop) -> None:
    """A third party without an agreement is refused, with the article; the form stands as it was filled in."""
    job, browser = shop.job(), Browser(shop.house, "op")
    answer = browser.post(f"/jobs/{job}/ask", **{**ASKED, "to0-circle": "outside", "purpose": "<i>样稿</i>"})
    assert answer.status_code == 400
    assert "第三方没有保密协议编号" in answer.text
    assert 'value="&lt;i&gt;样稿&lt;/i&gt;"' in answer.text
    assert re.search(r'value="outside" selected', answer.text)
    assert browser.post(f"/jobs/{job}/ask", **{**ASKED, "copies": "-1"}).status_code == 400
    assert not shop.house.desk("op").cases.all()


def test_who_signs_follows_the_form(shop: Shop) -> None:
    """The steps ahead are those of what is typed: another unit has no head here, and that is said."""
    job, browser = shop.job(), Browser(shop.house, "op")
    assert "head、secr、lead" in browser.page(f"/jobs/{job}/ask/steps?unit=综合科&copies=1")
    elsewhere = browser.page(f"/jobs/{job}/ask/steps?unit=别处&copies=1")
    assert "secr、lead" in elsewhere
    assert "head、" not in elsewhere


def test_a_state_secret_is_asked_for_by_nobody(shop: Shop) -> None:
    """What was handed back shows no way to approve it; its card notes who took it, and that ends it."""
    job = shop.job("方案.txt", State.WITHHELD)
    op, rev = Browser(shop.house, "op"), Browser(shop.house, "rev")
    assert "/ask" not in op.page(f"/jobs/{job}")
    assert op.get(f"/jobs/{job}/ask").status_code == 403
    assert op.post(f"/jobs/{job}/hand-over", to="王某", receipt="1号").status_code == 403
    assert "登记退还" in rev.page(f"/jobs/{job}")
    assert rev.post(f"/jobs/{job}/hand-over", to="", receipt="1号").status_code == 400
    assert rev.post(f"/jobs/{job}/hand-over", to="王某", receipt="1号").status_code == 303
    assert shop.house.store.get(job).state is State.RETURNED
    assert (
        "机密★10年" not in op.page(f"/jobs/{job}/receipt")
        if op.get(f"/jobs/{job}/receipt").status_code == 200
        else True
    )


def test_two_who_sign_at_once_are_told(shop: Shop) -> None:
    """The one who comes second signs nothing that he was not shown, and reads why."""
    case = shop.asked()
    head, lead = Browser(shop.house, "head"), Browser(shop.house, "lead")
    words = words_of(lead.page(f"/cases/{case}"))
    assert (
        head.post(f"/cases/{case}/sign", decision="approve", **words_of(head.page(f"/cases/{case}"))).status_code == 303
    )
    answer = lead.post(f"/cases/{case}/sign", decision="approve", **words)
    assert answer.status_code == 409
    assert "签字已齐" in answer.text
    fresh = shop.asked(name=HOSTILE)
    other = lead.post(f"/cases/{fresh}/sign", decision="approve", **words)
    assert other.status_code == 409
    assert "与所看的不同" in other.text


def test_a_refusal_needs_its_reason_and_ends_the_case(shop: Shop) -> None:
    """Without a reason it is no refusal; with one the case ends and the file stays held."""
    case, head = shop.asked(), Browser(shop.house, "head")
    words = words_of(head.page(f"/cases/{case}"))
    assert head.post(f"/cases/{case}/sign", decision="reject", **words).status_code == 403
    assert head.post(f"/cases/{case}/sign", decision="reject", reason="份数过多", **words).status_code == 303
    page = Browser(shop.house, "op").page(f"/cases/{case}")
    assert "份数过多" in page
    assert "文件仍隔离" in page
    assert shop.house.store.get(shop.job()).state is State.HELD


def test_the_list_puts_first_what_waits_for_me(shop: Shop) -> None:
    """Whoever can sign opens his own; who cannot, what is open; who asked himself signs nothing of it."""
    case = shop.asked()
    assert case in Browser(shop.house, "head").page("/cases")
    assert 'href="/cases?tab=open" aria-current="page"' in Browser(shop.house, "op").page("/cases")
    own = shop.asked("secr", name=HOSTILE)
    assert own not in Browser(shop.house, "secr").page("/cases?tab=mine")
    assert own in Browser(shop.house, "secr").page("/cases?tab=all")
    assert "没有等您签字的审批" in Browser(shop.house, "op").page("/cases?tab=mine")


def test_fewer_copies_leave_the_rest_for_later(shop: Shop) -> None:
    """No more than was approved leaves; what is asked beyond it is refused with the number that is left."""
    case, job, op = shop.signed(), shop.job(), Browser(shop.house, "op")
    answer = op.post(f"/jobs/{job}/release", case=case, copies="3", reason="放行")
    assert answer.status_code == 403
    assert "批准的还剩 2 份" in answer.text
    assert shop.house.store.get(job).state is State.HELD


def test_reading_here_is_no_release(shop: Shop) -> None:
    """An approval of no copies offers no button to release."""
    case = shop.signed(copies=0)
    assert shop.house.desk("op").cases.state(shop.house.desk("op").cases.get(case)) is CaseState.APPROVED
    assert "凭批准放行" not in Browser(shop.house, "op").page(f"/jobs/{shop.job()}")
    assert "只准在本处阅读" in Browser(shop.house, "op").page(f"/cases/{case}")


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{job}", "/jobs/{job}/ask", "/jobs/{job}/receipt", "/cases?tab=all"])
def test_a_hostile_name_is_text_everywhere(shop: Shop, path: str) -> None:
    """A file whose name is markup is shown by its name, in both languages."""
    shop.asked(name=HOSTILE)
    for language in ("zh", "en"):
        page = Browser(shop.house, "op", language=language).page(path.replace("{job}", shop.job(HOSTILE)))
        assert HOSTILE not in page
        assert escape(HOSTILE, quote=False)[:12] in page


def test_english_is_whole(shop: Shop) -> None:
    """What pages say by themselves is English where that is asked for."""
    case = shop.asked()
    for path, word in (
        (f"/jobs/{shop.job()}", "Ask for approval"),
        (f"/jobs/{shop.job()}/ask", "Who will sign"),
        ("/cases?tab=open", "Waits for"),
        (f"/cases/{case}", "What is asked"),
        (f"/cases/{case}/form", "Signatures"),
    ):
        assert word in Browser(shop.house, "head", language="en").page(path)


def test_the_commands_say_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who would sign, and what waits for me, are told at the command line as in the browser; nothing is asked for."""

    def told(account: str, *args: str) -> str:
        session = shop.place.root / f"{account}.session"
        session.write_text(shop.house.token(account), encoding="ascii")
        monkeypatch.setenv("DLP_SESSION", str(session))
        return shop.place.run("quarantine", *args).stdout

    job = shop.job()
    assert "head、secr、lead" in told(
        "op", "request", job, "--copies", "1", "--purpose", "会议", "--to", "王某", "--ahead"
    )
    assert not shop.house.desk("op").cases.all()
    case = shop.asked()
    assert case in told("head", "cases", "--mine")
    assert case not in told("op", "cases", "--mine")
