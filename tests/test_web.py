"""The console's core: who gets in, what every answer carries, what nobody can do from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
from starlette.routing import Route

from dlp import config
from dlp.rights import Role
from dlp.service.people import People
from dlp.store.sqlite import SqliteStore
from dlp.web import pages
from dlp.web.leaf import WAYS
from staff import PASSWORD, House, hash_quickly
from web_site import HERE, Browser


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


def empty(root: Path) -> House:
    """Return a site where nobody has an account yet."""
    bare = House.__new__(House)
    bare.config, bare.settings, bare.given, bare._tokens = config.parse("", file="t", base=root), None, {}, {}
    bare.store = SqliteStore.open(root / "gate.db", create=True)
    bare.people = People(bare.store, bare.config.people)
    return bare


def routes() -> list[Route]:
    """Return every page of the console."""
    return [route for router in pages.ROUTERS for route in router.routes if isinstance(route, Route)]


# the door


def test_somebody_logs_in_and_out(house: House) -> None:
    """A right password opens a session; logging out ends it in the books, not only in the browser."""
    house.token("op")
    browser = Browser(house)
    assert browser.get("/jobs").headers["location"] == "/login?next=/jobs"
    answer = browser.post("/login", account="op", password=PASSWORD, next="/jobs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    token = browser.client.cookies["dlp_session"]
    assert browser.get("/jobs").status_code == 200
    assert browser.post("/logout").headers["location"] == "/login"
    browser.client.cookies.set("dlp_session", token)
    assert browser.get("/jobs").headers["location"] == "/login?next=/jobs"


def test_the_cookie_is_out_of_reach(house: House) -> None:
    """No script reads it, no other site sends it, and its value is nowhere in the books."""
    house.token("op")
    browser = Browser(house)
    cookie = browser.post("/login", account="op", password=PASSWORD).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    token = browser.client.cookies["dlp_session"]
    books = Path(house.config.store.path) if house.settings else house.store._path
    assert token.encode() not in b"".join(p.read_bytes() for p in books.parent.rglob("*") if p.is_file())


def test_a_session_is_new_at_each_log_in(house: House) -> None:
    """Whoever logs in gets a token that nobody could have planted, and the one from before is known no more."""
    house.token("op")
    browser = Browser(house)
    browser.post("/login", account="op", password=PASSWORD)
    before = browser.client.cookies["dlp_session"]
    browser.post("/login", account="op", password=PASSWORD)
    assert browser.client.cookies["dlp_session"] != before
    browser.client.cookies.clear()
    browser.client.cookies.set("dlp_session", before)
    assert browser.get("/jobs").status_code == 303


def test_logging_out_everywhere_ends_every_session(house: House) -> None:
    """On every machine at once."""
    here, there = Browser(house, "op"), Browser(house)
    there.post("/login", account="op", password=PASSWORD)
    assert there.get("/jobs").status_code == 200
    here.post("/logout", everywhere="1")
    assert there.get("/jobs").status_code == 303


def test_too_many_wrong_passwords_lock_the_account_and_a_restart_does_not_help(house: House) -> None:
    """The count is in the books: another process, with another connection, knows of it."""
    house.token("op")
    browser = Browser(house)
    for _ in range(house.config.people.lock_after):
        answer = browser.post("/login", account="op", password="wrong")
        assert answer.status_code == 403
        assert "账号或口令不对" in answer.text
    path = house.store._path
    house.store.close()
    house.store = SqliteStore.open(path, create=False)
    again = Browser(house)
    assert again.post("/login", account="op", password=PASSWORD).status_code == 403


def test_a_wrong_name_and_a_wrong_password_are_told_alike(house: House) -> None:
    """What is said does not tell whether an account exists."""
    house.token("op")
    browser = Browser(house)

    def said(account: str) -> str:
        return re.sub(rf'value="{account}"', "", browser.post("/login", account=account, password="wrong").text)

    assert said("op") == said("nobody")


def test_a_one_time_password_does_nothing_but_set_another(house: House) -> None:
    """Its owner is led to the page where it is changed, and is inside after that."""
    first = house.given["head"]
    browser = Browser(house)
    shown = browser.post("/login", account="head", password=first)
    assert "修改口令" in shown.text
    assert "dlp_session" not in browser.client.cookies
    weak = browser.post("/password", account="head", old=first, new="short", again="short")
    assert weak.status_code == 400
    differs = browser.post("/password", account="head", old=first, new=PASSWORD, again="x")
    assert "不一致" in differs.text
    assert browser.post("/password", account="head", old=first, new=PASSWORD, again=PASSWORD).status_code == 303
    assert browser.get("/jobs").status_code == 200


@pytest.mark.parametrize(
    "target", ["//evil.example/", "https://evil.example/", "/\\evil", "javascript:alert(1)", "/a?b=//c"]
)
def test_nobody_is_led_to_another_host(house: House, target: str) -> None:
    """Where to go after logging in is a path of this console, or its first page."""
    house.token("op")
    answer = Browser(house).post("/login", account="op", password=PASSWORD, next=target)
    assert answer.headers["location"] == "/"


# the first accounts


def test_the_first_link_opens_once(tmp_path: Path) -> None:
    """It makes the three administrators, shows their passwords once, and is nothing any more after that."""
    bare = empty(tmp_path)
    browser = Browser(bare, first="right-key")
    assert browser.get("/").headers["location"] == "/login?next=/"
    assert "尚未建立账号" in browser.page("/login")
    assert browser.get("/begin").status_code == 403
    assert browser.get("/begin?key=wrong").status_code == 403
    assert "使用演示人员" not in browser.page("/begin?key=right-key")
    assert browser.post("/begin/demo", key="right-key").status_code == 403, "a real site has no invented people"
    words = {
        f"{role}-{what}": f"{role[:3]}{what[:2] if what != 'account' else ''}"
        for role in ("system", "security", "auditor")
        for what in ("account", "name", "natural")
    }
    twice = browser.post("/begin", key="right-key", **{**words, "auditor-natural": words["system-natural"]})
    assert twice.status_code == 400
    assert "三个人" in twice.text
    made = browser.post("/begin", key="right-key", **words)
    shown = re.findall(r"<td><code>([^<]+)</code></td><td><code>([^<]+)</code></td>", made.text)
    assert [account for account, _ in shown] == ["sys", "sec", "aud"]
    assert browser.post("/begin", key="right-key", **words).status_code == 403
    account, password = shown[0]
    assert browser.post("/password", account=account, old=password, new=PASSWORD, again=PASSWORD).status_code == 303
    assert browser.get("/").status_code == 303
    bare.close()


def test_a_gate_that_shows_itself_has_invented_people(tmp_path: Path) -> None:
    """One for each role, each with a password of its own, made once."""
    bare = empty(tmp_path)
    browser = Browser(bare, first="key", demo=True)
    shown = browser.post("/begin/demo", key="key").text
    people = dict(re.findall(r"<td><code>([^<]+)</code></td><td><code>([^<]+)</code></td>", shown))
    assert len(people) == len(Role)
    assert len(set(people.values())) == len(Role)
    assert browser.post("/begin/demo", key="key").status_code == 403
    assert browser.post("/login", account="op", password=people["op"]).status_code == 303
    bare.close()


# what every answer carries


def test_every_answer_forbids_what_pages_never_do(house: House) -> None:
    """No foreign or inline script, no frame, no cache, no sniffing: on pages, files, refusals alike."""
    browser = Browser(house, "op")
    for path in ("/jobs", "/login", "/static/console.css", "/nowhere", "/begin", "/jobs/nowhere"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] in ("no-store", "no-cache"), path
        assert "server" not in headers


def test_no_template_needs_what_the_policy_forbids() -> None:
    """No inline script, style or handler, and nothing from another host, stands in any template."""
    folder = Path(__file__).parents[1] / "src/dlp/web/templates"
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", text), path
        assert not re.search(r"\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:", text), path
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text), path
        assert "|safe" not in text.replace(" ", ""), path


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil", "[::2]:8760"])
def test_another_name_is_refused(house: House, host: str) -> None:
    """A browser that was led here by somebody else's domain gets nothing (DNS rebinding)."""
    answer = Browser(house, "op").get("/jobs", headers={"host": host})
    assert answer.status_code in (400, 421)
    assert "任务" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8760", "127.0.0.1", "[::1]:8760", "LOCALHOST"])
def test_own_names_are_served(house: House, host: str) -> None:
    """This machine by each of its names."""
    assert Browser(house, "op").get("/jobs", headers={"host": host}).status_code == 200


def test_a_change_needs_a_page_of_this_session(house: House) -> None:
    """Without its word, with another session's, or from another origin, nothing is done."""
    browser, other = Browser(house, "op"), Browser(house, "rev")
    assert browser.post("/logout", csrf="").status_code == 403
    assert browser.post("/logout", csrf=other.csrf()).status_code == 403
    word = browser.csrf()
    foreign = browser.client.post("/logout", data={"csrf": word}, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert browser.get("/jobs").status_code == 200, "still logged in"


def test_every_change_is_protected(house: House) -> None:
    """Each handler that is not a reading one asks for that word: found by asking them all without it."""
    browser = Browser(house, "op")
    asked = 0
    for route in routes():
        for method in set(route.methods or ()) - {"GET", "HEAD", "OPTIONS"}:
            path = re.sub(r"\{[^}]*\}", "1", route.path)
            answer = browser.client.request(method, path, data={"csrf": "0" * 64})
            assert answer.status_code == 403, (method, path, answer.status_code)
            asked += 1
    assert asked >= 6


def test_too_much_is_refused_before_it_is_read(house: House) -> None:
    """A body that says it is too large, and one that lies about it."""
    browser = Browser(house, "op")
    assert browser.client.post("/logout", content=b"x", headers={"content-length": str(1 << 40)}).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(80):
            yield b"a" * (1 << 20)

    answer = browser.client.post(
        "/logout", content=endless(), headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code in (400, 413)


def test_a_fault_of_ours_tells_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The page has no trace and no value; the log has the kind and the lines of code, and no value either."""
    from dlp.service.desk import Desk

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("110101199003071233")

    monkeypatch.setattr(Desk, "jobs", broken)
    answer = Browser(house, "op").get("/jobs")
    assert answer.status_code == 500
    assert "程序内部错误" in answer.text
    assert "RuntimeError" not in answer.text
    assert "110101199003071233" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


# who sees what


@pytest.mark.parametrize("role", ["op", "rev", "cls", "head", "secr", "lead", "sys", "sec", "aud"])
def test_the_menu_leads_only_where_somebody_may_go(house: House, role: str) -> None:
    """Every entry that is shown opens; every other entry is refused with its reason."""
    browser = Browser(house, role)
    shown = set(re.findall(r'<a href="(/[a-z]+)"', browser.page("/password")))
    built = {route.path for route in routes()}
    for way in WAYS:
        if way.to not in built:
            continue
        status = browser.client.get(way.to).status_code
        assert status == (200 if way.to in shown else 403), (role, way.to, status)


def test_the_language_is_each_browsers_own(house: House) -> None:
    """Chinese or English by the browser, until one is chosen."""
    assert "<h1>Jobs</h1>" in Browser(house, "op", language="en-US").page("/jobs")
    browser = Browser(house, "op", language="fr")
    assert "<h1>任务</h1>" in browser.page("/jobs")
    browser.post("/language", to="en", next="/jobs")
    assert "<h1>Jobs</h1>" in browser.page("/jobs")


def test_a_part_of_a_page_that_nobody_may_see_leads_to_the_door(house: House) -> None:
    """A board whose session has ended does not fill with the door: the whole page goes there."""
    answer = Browser(house).get("/jobs", headers={"hx-request": "true"})
    assert answer.headers["hx-redirect"] == "/login"


def test_what_a_stranger_types_is_shown_as_text(house: House) -> None:
    """A name with markup in it comes back escaped."""
    evil = '"><script>alert(1)</script>'
    answer = Browser(house).post("/login", account=evil, password="x", next=evil)
    assert evil not in answer.text
    assert escape(evil).replace("&quot;", "&#34;") in answer.text


def test_what_this_is_served_from_is_in_the_package() -> None:
    """Every file that a page loads comes from the package: nothing is fetched."""
    base = (Path(__file__).parents[1] / "src/dlp/web/templates/base.html").read_text(encoding="utf-8")
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', base):
        assert (Path(__file__).parents[1] / f"src/dlp/web{path}").is_file(), path
    assert HERE.startswith("http://127.0.0.1")
