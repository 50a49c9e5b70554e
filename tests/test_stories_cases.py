"""A file's story in a real browser, by keyboard: asked for, signed, released; and a board that keeps its place."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from browser import missing, story
from staff import PASSWORD
from test_stories import WORK, Shop, browser, shop  # noqa: F401  fixtures of theirs

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


def test_a_file_goes_from_held_to_registered_by_keyboard(shop: Shop, browser: Browser) -> None:  # noqa: F811
    """The operator asks, the head signs, the operator's board says that it can go, and he releases it."""
    job = shop.put("送审件.txt", WORK)
    with story(browser, shop.gate, "approval-op") as op, story(browser, shop.gate, "approval-head") as head:
        op.log_in("op", PASSWORD)
        op.go(f"/jobs/{job}")
        op.page.keyboard.press("a")
        op.page.wait_for_url("**/ask")
        expect(op.page.get_by_label("用途")).to_be_focused()
        op.page.keyboard.type("会议使用")
        expect(op.page.locator("#steps")).to_contain_text("head")
        op.check_page()
        op.page.get_by_label("范围").first.select_option(label="外部第三方")
        op.page.locator("[name=to0-name]").fill("王某")
        op.page.keyboard.press("Enter")
        expect(op.page.get_by_role("alert")).to_contain_text("第三方没有保密协议编号")
        expect(op.page.get_by_label("用途")).to_have_value("会议使用")
        op.said.clear()  # the browser notes that the answer was 400
        op.shot("missing")
        op.check_page()
        op.page.get_by_label("范围").first.select_option(label="知悉范围内")
        op.page.locator("[name=to0-name]").press("Enter")
        op.page.wait_for_url("**/cases/*")
        op.check_page()
        op.go("/jobs?name=送审件")
        row = op.page.get_by_role("row").filter(has_text="送审件")
        expect(row).to_contain_text("审批中")
        op.page.keyboard.press("j")
        expect(row.get_by_role("link")).to_be_focused()

        head.log_in("head", PASSWORD)
        head.go("/cases")
        head.check_page()
        head.page.keyboard.press("j")
        head.page.keyboard.press("Enter")
        head.page.wait_for_url("**/cases/*")
        head.check_page()
        head.shot("to-sign")
        head.page.on("dialog", lambda asked: asked.accept())
        head.page.keyboard.press("a")
        expect(head.page.get_by_text("已批准").first).to_be_visible()
        head.check_page()

        expect(row).to_contain_text("可放行")
        expect(row.get_by_role("link")).to_be_focused()  # rows were renewed, and the hand is where it was
        op.check_page()
        op.page.keyboard.press("Enter")
        op.page.wait_for_url(f"**/jobs/{job}")
        op.shot("cleared")
        op.check_page()
        op.page.on("dialog", lambda asked: asked.accept())
        op.page.keyboard.press("r")
        expect(op.page.get_by_text("已登记 1 份")).to_be_visible()
        op.check_page()
        op.page.keyboard.press("?")
        expect(op.page.locator("#keys")).to_be_visible()


def test_what_is_new_is_told_once_and_the_page_stays(shop: Shop, browser: Browser) -> None:  # noqa: F811
    """A file that comes in renews the rows, tells of itself in one sentence, and moves nothing."""
    for number in range(3):
        shop.put(f"旧件{number}.txt", WORK)
    with story(browser, shop.gate, "board", locale="en-US", dark=True) as told:
        told.page.set_viewport_size({"width": 820, "height": 240})
        told.log_in("op", PASSWORD)
        told.go("/jobs?name=件")
        told.page.evaluate("window.scrollTo(0, 120)")
        at = told.page.evaluate("window.scrollY")
        shop.put("新件.txt", WORK)
        expect(told.page.get_by_role("link", name="新件.txt")).to_be_attached()
        expect(told.page.locator("#told")).to_contain_text("1 stopped")
        assert told.page.evaluate("window.scrollY") == at
        told.check_page()
        told.page.get_by_label("strong colours").check()
        expect(told.page.locator("#rows.strong")).to_be_visible()
        told.check_page()
