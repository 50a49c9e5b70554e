"""The console's audit page: how the chain stands, a verification beside the work, search, slips, exports."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from clerks import Office, closed_office, office
from dlp.audit import AuditEvent
from dlp.model import State
from web_site import Browser

__all__ = ["closed_office", "office"]


def verified(browser: Browser) -> str:
    """Have the chain verified, and return what the page says of it."""
    assert browser.post("/audit/verify").status_code == 303
    assert browser.app.state.console.verifying.wait(60)
    return browser.page("/audit/state")


def test_the_chain_is_verified_and_the_trail_tells_who_looked(office: Office) -> None:
    """By whoever may; the result stays when the page is opened anew, and in another console."""
    browser = Browser(office, "aud")
    assert "还没有校验过" in browser.page("/audit")
    assert "审计链完好" in verified(browser)
    *_, event = office.store.events()
    assert (event.kind, event.actor, event.body["ok"]) == ("audit-verified", "aud", True)
    assert "完好" in Browser(office, "sys").page("/audit")


def test_a_changed_event_is_found(office: Office) -> None:
    """The page names the first bad event and what to do; the chain says so afterwards."""
    with sqlite3.connect(office.config.store.path) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE event SET actor = 'nobody' WHERE seq = 3")
    page = verified(Browser(office, "aud"))
    assert "校验不通过" in page
    assert "保留现场" in page
    assert "不通过" in Browser(office, "sec").page("/audit")


def test_only_one_runs_at_a_time(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second click while one runs begins no other; the page says that it runs and asks again by itself."""
    import threading

    from dlp.service import trail, verifying

    go, real, begun = threading.Event(), trail.verify, []

    def slow(*given: Any) -> Any:
        begun.append(1)
        assert go.wait(60)
        return real(*given)

    monkeypatch.setattr(verifying.trail, "verify", slow)
    browser = Browser(office, "aud")
    browser.post("/audit/verify")
    page = browser.post("/audit/verify") and browser.page("/audit/state")
    assert "正在校验" in page
    assert 'hx-trigger="every 1s"' in page
    assert Browser(office, "opa", app=browser.app).get("/jobs").status_code == 200
    go.set()
    assert browser.app.state.console.verifying.wait(60)
    assert begun == [1]


def test_events_are_found_by_person_file_kind_and_time(office: Office) -> None:
    """Newest first, a page at a time."""
    first, _ = office.printed(name="通知甲.docx")
    browser = Browser(office, "rev")
    assert "<td>copy-picked-up</td>" not in browser.page("/audit")
    Browser(office, "opa").post(f"/registers/copies/{first.id}/pick-up", to="王某")
    assert "<td>copy-picked-up</td>" in browser.page("/audit?actor=opa")
    assert "<td>copy-picked-up</td>" not in browser.page("/audit?actor=rev")
    assert "<td>copy-picked-up</td>" in browser.page("/audit?file=通知甲")
    assert "没有这个任务或文件" in browser.page("/audit?file=nowhere")
    assert "<td>copy-picked-up</td>" in browser.page("/audit?kind=copy-picked-up")
    assert "没有符合条件的事件" in browser.page("/audit?kind=copy-picked-up&until=2020-01-01")
    assert browser.get("/audit?since=x").status_code == 400


def test_a_long_trail_comes_in_pages(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next page begins below the last event of this one."""
    from dlp.web.pages import audit

    monkeypatch.setattr(audit, "ROWS", 3)
    browser = Browser(office, "rev")
    seq, _ = office.store.head()
    page = browser.page("/audit")
    assert f"before={seq - 2}" in page
    assert f'<td class="num">{seq - 3}</td>' in browser.page(f"/audit?before={seq - 2}")


@pytest.mark.parametrize("who", ["sys", "sec"])
def test_administrators_see_the_state_and_not_the_events(office: Office, who: str) -> None:
    """They verify; they neither search nor export nor sign."""
    browser = Browser(office, who)
    page = browser.page("/audit")
    assert "校验审计链" in page
    assert 'name="actor"' not in page
    for path in ("/audit/checkpoint", "/audit/export"):
        assert path not in page
        assert browser.post(path, format="jsonl").status_code == 403


@pytest.mark.parametrize("who", ["opa", "cla", "hed"])
def test_others_see_nothing_of_it(office: Office, who: str) -> None:
    """Refused, and the refusal is in the trail."""
    browser = Browser(office, who)
    for path in ("/audit", "/audit/state"):
        assert browser.get(path).status_code == 403
    assert browser.post("/audit/verify").status_code == 403
    *_, event = office.store.events()
    assert (event.kind, event.actor, event.body["operation"]) == ("denied", who, "audit.verify")


def test_a_checkpoint_is_signed_and_kept_on_paper(office: Office) -> None:
    """A Word file as an attachment; its event is in the trail, and the page tells of it."""
    browser = Browser(office, "aud")
    answer = browser.post("/audit/checkpoint")
    assert answer.content[:2] == b"PK"
    assert "attachment" in answer.headers["content-disposition"]
    assert office.kinds()[-1] == "checkpoint"
    assert "至第" in browser.page("/audit")


@pytest.mark.parametrize("form", ["jsonl", "cef", "ocsf"])
def test_the_trail_is_exported_whole(office: Office, form: str) -> None:
    """One event a line, all of them, in order."""
    answer = Browser(office, "aud").post("/audit/export", format=form)
    lines = answer.text.splitlines()
    assert len(lines) == office.store.head()[0]
    if form == "jsonl":
        events = [json.loads(line) for line in lines]
        assert [event["seq"] for event in events] == list(range(1, len(lines) + 1))
        assert set(AuditEvent.__struct_fields__) <= set(events[0])


def test_nothing_in_a_trail_is_markup(office: Office) -> None:
    """A reason or name that somebody wrote is shown as text, in both languages."""
    office.job(State.BLOCKED, name="<b>x</b>.docx")
    office.store.note(actor="opa", kind="test", job="", body={"reason": "<script>alert(1)</script>"})
    for language in ("zh", "en"):
        page = Browser(office, "rev", language=language).page("/audit")
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def test_the_pages_stay_small(office: Office) -> None:
    """Well below what a page may weigh."""
    assert len(Browser(office, "rev").page("/audit").encode()) < 150_000
    assert Path(office.config.store.path).exists()
