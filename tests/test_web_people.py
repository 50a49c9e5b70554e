"""The console's people, and what waits for a second person: who sees it, who may say so, what is shown once."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from clerks import Office, closed_office, office
from dlp.account import ACCOUNTS
from dlp.model import State
from dlp.rights import Operation, Role, right
from dlp.service import wording
from dlp.service.desk import KEEPERS, Desk
from dlp.service.second import Change
from web_site import Browser

__all__ = ["closed_office", "office"]
EVIL = '"><img src=x onerror=alert(1)>'


def waits(office: Office) -> str:
    """Return the number of the one thing that waits."""
    (one,) = office.desk("sec").seconds.waiting()
    return one.id


def test_an_account_is_added_by_two_and_its_password_is_shown_once(office: Office) -> None:
    """The first asks, the second confirms and sees the password; no page shows it again; the events are there."""
    first, second = Browser(office, "sys"), Browser(office, "sec")
    answer = first.post("/people", account="xin", name="新某", natural="n-xin", unit="综合科", until="2099-12-31")
    number = waits(office)
    assert answer.headers["location"] == f"/waiting?told={number}"
    told = first.page(answer.headers["location"])
    assert "等待第二人确认" in told
    assert "安全保密管理员" in told
    assert f"/waiting/{number}/confirm" not in told, "who asked does not confirm"
    page = second.page("/waiting")
    assert "新建账号 xin：姓名 新某，工号 n-xin，部门 综合科，到期 2099-12-31" in page
    shown = second.post(f"/waiting/{number}/confirm")
    assert shown.status_code == 200
    found = re.search(r'<code class="once">([^<]+)</code>', shown.text)
    assert found
    office.people.change_password("xin", found[1], "Correct-Horse-8")
    for browser in (first, second):
        for path in ("/waiting", f"/waiting?told={number}", "/people", "/people/xin"):
            assert found[1] not in browser.page(path)
    assert second.post(f"/waiting/{number}/confirm").status_code == 409, "it is done once"
    assert {"asked", "account-added"} <= set(office.kinds())
    assert Browser(office, "aud").page("/people").count("新某") == 1


def test_who_asked_cannot_confirm_and_the_trail_has_it(office: Office) -> None:
    """Not even with the address at hand; a role that is no second person neither."""
    Browser(office, "sys").post("/people", account="xin", name="新某", natural="n-xin")
    number = waits(office)
    for who in ("sys", "opa", "aud"):
        answer = Browser(office, who).post(f"/waiting/{number}/confirm")
        assert answer.status_code == 403, who
        *_, event = office.store.events()
        assert (event.kind, event.actor, event.body["operation"]) == ("denied", who, "account.add")
    assert office.store.find(ACCOUNTS, "xin") is None


def test_what_waits_is_turned_down_or_taken_back_with_a_reason(office: Office) -> None:
    """By the second person, or by whoever asked; without a reason nothing happens; twice is told."""
    Browser(office, "sys").post("/people", account="xin", name="新某", natural="n-xin")
    number = waits(office)
    second = Browser(office, "sec")
    assert second.post(f"/waiting/{number}/refuse", reason="").status_code == 400
    assert second.post(f"/waiting/{number}/refuse", reason="工号不对").status_code == 303
    assert "不予确认或撤回" in second.page(f"/waiting?told={number}")
    again = Browser(office, "sys").post(f"/waiting/{number}/refuse", reason="撤回")
    assert again.status_code == 409
    assert "已办结、撤回或过期" in again.text


def test_roles_that_exclude_one_another_are_refused_with_the_article(office: Office) -> None:
    """At the confirmation, with the rule; roles that go together are given."""
    first, second = Browser(office, "sec"), Browser(office, "sys")
    first.client.post("/people/rev/roles", data={"csrf": first.csrf(), "role": ["reviewer", "operator"]})
    answer = second.post(f"/waiting/{waits(office)}/confirm")
    assert answer.status_code == 403
    assert "经办人不得研判或审批" in answer.text
    second.post(f"/waiting/{waits(office)}/refuse", reason="不相容")
    first.post("/people/opb/roles", role="operator")
    number = waits(office)
    assert "账号 opb 的全部角色改为：" in second.page("/waiting")
    assert second.post(f"/waiting/{number}/confirm").status_code == 303
    assert office.people.get("opb").roles == (Role.OPERATOR,)


def test_an_account_is_stopped_at_once_and_given_back_by_two(office: Office) -> None:
    """Whoever was logged in with it is out with his next click."""
    victim, sec = Browser(office, "opa"), Browser(office, "sec")
    assert victim.get("/jobs").status_code == 200
    assert sec.post("/people/opa/lock").status_code == 400, "a reason is required"
    assert sec.post("/people/opa/lock", reason="离岗").status_code == 303
    assert victim.get("/jobs").status_code == 303
    assert "停用" in sec.page("/people/opa")
    assert sec.post("/people/opa/unlock").status_code == 303
    assert Browser(office, "sys").post(f"/waiting/{waits(office)}/confirm").status_code == 303
    assert office.people.get("opa").active


def test_a_change_names_only_what_changes(office: Office) -> None:
    """What is the same is not asked for; nothing at all is told."""
    sys = Browser(office, "sys")
    one = office.people.get("opa")
    same = {"name": one.name, "unit": one.unit, "post": one.post, "until": ""}
    assert "没有改动" in sys.post("/people/opa/change", **same).text
    sys.post("/people/opa/change", **{**same, "unit": "二号窗口"})
    (asked,) = office.desk("sec").seconds.waiting()
    assert asked.words == {"unit": "二号窗口"}
    assert sys.post("/people/nobody/change", name="x").status_code == 404


@pytest.mark.parametrize("who", ["opa", "rev", "cla", "dep", "lea"])
def test_the_desk_sees_no_accounts_and_changes_none(office: Office, who: str) -> None:
    """Each way is refused, and the refusal is in the trail."""
    browser = Browser(office, who)
    for path in ("/people", "/people/opa"):
        assert browser.get(path).status_code == 403
    for path in ("change", "roles", "unlock", "reset", "lock"):
        answer = browser.post(f"/people/opa/{path}", reason="x", name="x")
        assert answer.status_code == 403, path
        *_, event = office.store.events()
        assert (event.kind, event.actor) == ("denied", who)
    assert browser.post("/people", account="xin", name="x", natural="y").status_code == 403
    assert browser.page("/waiting")


def test_a_change_of_another_page_is_refused(office: Office) -> None:
    """No word of this session: nothing is asked for."""
    assert Browser(office, "sys").post("/people", csrf="", account="xin", name="x", natural="y").status_code == 403
    assert office.desk("sec").seconds.waiting() == ()


def test_names_with_markup_are_shown_as_text(office: Office) -> None:
    """Of people and of reasons."""
    Browser(office, "sys").post("/people", account="xin", name=EVIL, natural="n-xin", unit=EVIL)
    sec = Browser(office, "sec")
    page = sec.page("/waiting")
    assert EVIL not in page
    assert "&lt;img src=x" in page
    sec.post(f"/waiting/{waits(office)}/confirm")
    for path in ("/people", "/people/xin"):
        assert EVIL not in sec.page(path)


def test_both_languages(office: Office) -> None:
    """The pages and the words of what waits."""
    Browser(office, "sys").post("/people/opa/reset")
    page = Browser(office, "sec", language="en").page("/waiting")
    assert "<h1>To confirm" in page
    assert "reset the password of opa" in page
    assert "Confirm and do it" in page
    assert "Add an account" in Browser(office, "sys", language="en").page("/people")


def test_each_thing_that_can_wait_has_words(office: Office) -> None:
    """None is shown as a list of keys."""
    desk: Desk = office.desk("sec")
    words = {"name": "甲", "natural": "1", "until": time.time(), "roles": ["operator"], "backup": "x", "older": True}
    assert KEEPERS
    for operation in desk.seconds._doing:
        change = Change(id="1", operation=operation, subject="abc", words=words, by="x", at=0.0, until=0.0)
        said = wording.of(change)
        assert "abc" in said.zh
        assert "abc" in said.en
        assert said.zh != right(operation).say.zh


def test_a_sealed_file_that_is_kept_longer_waits_with_its_day(office: Office) -> None:
    """What is shown is what will be done."""
    job = office.job(State.BLOCKED)
    office.desk("rev").seconds.ask(Operation.RETENTION_SET, job.id, {"until": 4_102_358_400.0})
    page = Browser(office, "lea").page("/waiting")
    assert f"任务 {job.id} 的密封件留存至 2099-12-31" in page or "2100-01-0" in page
    assert f'href="/jobs/{job.id}"' in page


def test_nothing_of_it_is_in_the_source() -> None:
    """The pages have no rights and no books of their own."""
    folder = Path(__file__).parents[1] / "src/dlp/web/pages"
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "sqlite" not in text, path
        assert "store.change(" not in text, path
