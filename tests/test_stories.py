"""Whole stories in a real browser: each role does its work at a running gate, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from browser import house_of, launched, missing, story
from dlp.model import State
from sites import lay
from staff import PASSWORD, House, hash_quickly
from test_attended import Gate, free_port, until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")

NOTICE = "下周一上午九点在三楼会议室开会。\n"
WORK = "工作秘密\n关于某项工作的内部安排\n各处室：请按要求组织实施。\n"
SECRET = "机密★10年\n关于专项工作的实施方案\n各处室：请按要求组织实施。\n"
HOSTILE = "<img src=x onerror=alert(1)>&amp;'\".txt"


class Shop:
    """A gate at work with people and some files."""

    def __init__(self, gate: Gate, house: House) -> None:
        self.gate, self.house = gate, house
        for account in ("op", "rev", "cls", "head", "secr", "lead", "sys", "sec", "aud"):
            house.token(account)

    def put(self, name: str, text: str) -> str:
        """Put a file into the outgoing folder; return its job once it is settled."""
        before = {job.id for job in self.house.store.jobs()}
        self.gate.place.put(name, text.encode())
        settled = (State.TAKING, State.STORED, State.DECIDED, State.RELEASING)

        def find() -> str:
            new = [job for job in self.house.store.jobs() if job.id not in before and job.state not in settled]
            return new[0].id if new else ""

        return str(until(find))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Give a gate at work, with one person for each role, and a file of each kind."""
    port = free_port()
    gate = Gate(lay(tmp_path_factory.mktemp("shop"), port=port), port)
    try:
        gate.answers()
        with pytest.MonkeyPatch.context() as patch:
            hash_quickly(patch)
            house = house_of(gate)
            house.staff()
            made = Shop(gate, house)
            yield made
            house.close()
    finally:
        gate.process.kill()
        gate.process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give Debian's Chromium."""
    with sync_playwright() as playwright:
        made = launched(playwright)
        yield made
        made.close()


@pytest.mark.parametrize(("locale", "dark"), [("zh-CN", False), ("en-US", True)])
def test_the_door_is_for_everybody(shop: Shop, browser: Browser, locale: str, dark: bool) -> None:
    """In both languages, light and dark; a wrong password is told in words, and the name stays."""
    with story(browser, shop.gate, f"door-{locale}", locale=locale, dark=dark) as told:
        told.go("/login")
        told.check_page()
        told.page.locator("[name=account]").fill("op")
        told.page.locator("[name=password]").fill("wrong")
        told.page.keyboard.press("Enter")
        expect(told.page.get_by_role("alert")).to_contain_text("口令不对" if locale == "zh-CN" else "wrong account")
        expect(told.page.locator("[name=account]")).to_have_value("op")
        told.said.clear()  # the browser notes that the answer was 403
        told.check_page()
        told.shot("wrong")


def test_an_operator_sees_at_a_glance_why(shop: Shop, browser: Browser) -> None:
    """A file that is put in appears by itself, with its verdict; its card says why, the article, and what to do."""
    with story(browser, shop.gate, "operator") as told:
        told.log_in("op", PASSWORD)
        page = told.page
        told.check_page()
        shop.put("通知.txt", NOTICE)
        expect(page.get_by_role("row").filter(has_text="通知.txt")).to_contain_text("已放行")
        held = shop.put("安排.txt", WORK)
        row = page.get_by_role("row").filter(has_text="安排.txt")
        expect(row).to_contain_text("隔离")
        told.shot("board")
        told.check_page()
        row.click()
        page.wait_for_url(f"**/jobs/{held}")
        expect(page.get_by_text("下一步")).to_be_visible()
        expect(page.get_by_text("依据").first).to_be_visible()
        told.shot("card")
        told.check_page()
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.wait_for_url("**/jobs")


def test_a_state_secret_shows_nothing_of_itself(shop: Shop, browser: Browser) -> None:
    """The card says that it may not be here, and why; neither picture nor text of it is in the page."""
    job = shop.put("方案.txt", SECRET)
    with story(browser, shop.gate, "secret") as told:
        told.log_in("op", PASSWORD)
        told.go(f"/jobs/{job}")
        expect(told.page.get_by_text("本机不留存、不显示")).to_be_visible()
        assert "专项工作的实施方案" not in told.page.content()
        assert told.page.locator("main img, main svg").count() == 0
        told.shot("card")
        told.check_page()


def test_a_hostile_name_is_text(shop: Shop, browser: Browser) -> None:
    """A file whose name is markup is shown by its name; nothing of it runs."""
    shop.put(HOSTILE, WORK)
    with story(browser, shop.gate, "hostile") as told:
        told.log_in("op", PASSWORD)
        expect(told.page.get_by_role("link", name=HOSTILE)).to_be_visible()
        told.page.get_by_role("link", name=HOSTILE).click()
        expect(told.page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        told.check_page()
