"""A real browser before a real gate: what stories are told with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright

from staff import House
from test_attended import Gate

CHROMIUM = shutil.which("chromium") or ""
AXE = Path(__file__).parents[1] / ".build/axe/package/axe.min.js"
SCREENS = Path(__file__).parents[1] / ".build/screens"
# Without the background flags Chromium asks for hosts of its maker at every start.
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)


def missing() -> str:
    """Return what this machine lacks for stories; empty where nothing is."""
    return "" if CHROMIUM else "Chromium is not installed"


def launched(playwright: Playwright) -> Browser:
    """Start Debian's Chromium."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))


class Story:
    """One person's browser at a gate, and what it shows."""

    def __init__(self, page: Page, gate: Gate, name: str) -> None:
        self.page, self.gate, self.name = page, gate, name
        self.said: list[str] = []
        self._shots = 0
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda err: self.said.append(f"error: {err}"))
        page.on("request", self._asked)
        self.foreign: list[str] = []

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.gate.at, "data:")):
            self.foreign.append(request.url)

    def go(self, path: str) -> None:
        """Open a page by its address."""
        self.page.goto(self.gate.at + path)

    def log_in(self, account: str, password: str) -> None:
        """Come in through the door, as a person does."""
        self.go("/login")
        self.page.get_by_label("账号").or_(self.page.get_by_label("Account")).fill(account)
        self.page.get_by_label("口令").or_(self.page.get_by_label("Password")).fill(password)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/login" not in url)

    def shot(self, what: str) -> Path:
        """Write what the browser shows into the build folder."""
        self._shots += 1
        SCREENS.mkdir(parents=True, exist_ok=True)
        path = SCREENS / f"{self.name}-{self._shots:02d}-{what}.png"
        self.page.screenshot(path=path)
        return path

    def check_page(self) -> None:
        """Assert that anybody can use this page, and that the browser complains of nothing."""
        assert self.said == [], self.said
        assert self.foreign == [], self.foreign
        if not AXE.is_file():
            return
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        tags = json.dumps(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"])
        found = self.page.evaluate(f"axe.run({{runOnly: {{type: 'tag', values: {tags}}}}})")
        assert not found["violations"], [
            (one["id"], one["help"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found["violations"]
        ]


@contextmanager
def story(browser: Browser, gate: Gate, name: str, *, locale: str = "zh-CN", dark: bool = False) -> Iterator[Story]:
    """Give a browser that nobody has used, at the size of an office screen."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 720}, locale=locale, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    try:
        yield Story(page, gate, name)
    finally:
        context.close()


def house_of(gate: Gate) -> House:
    """Return the people of a running gate's site."""
    return House(gate.place.root, gate.place.config)
