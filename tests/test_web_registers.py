"""The console's registers: rows, copies picked up and given back, what is overdue, files that a browser keeps."""

from __future__ import annotations

import io
import time
from pathlib import Path
from urllib.parse import quote

import openpyxl
import pytest

from clerks import Office, closed_office, office
from dlp.copies import COPIES, CopyState
from dlp.service.registers import REGISTERS
from web_site import Browser

__all__ = ["closed_office", "office"]
EVIL = '"><script>alert(1)</script>=1+1.docx'


def test_every_register_opens_for_whoever_reads_them(office: Office) -> None:
    """Each with its columns; an unknown one is told; administrators beside the auditor see none."""
    browser = Browser(office, "opa")
    for name, register in REGISTERS.items():
        page = browser.page(f"/registers?register={name}")
        assert f"<h1>{register.title.zh}</h1>" in page
        for column in register.columns:
            assert f"<th>{column}</th>" in page
    assert browser.get("/registers?register=nowhere").status_code == 404
    assert browser.get("/registers?since=gestern").status_code == 400
    assert Browser(office, "aud").page("/registers")
    for who in ("sys", "sec"):
        assert Browser(office, who).get("/registers").status_code == 403


def test_a_copy_is_picked_up_and_given_back(office: Office) -> None:
    """By the operator; each step in its row and the trail; whoever may not is refused."""
    first, second = office.printed(to=("王某", "李某"), due=time.time() + 86_400)
    op, rev = Browser(office, "opa"), Browser(office, "rev")
    card = op.page(f"/registers/copies/{first.id}")
    assert f"/registers/copies/{first.id}/pick-up" in card
    assert f"/registers/copies/{first.id}/pick-up" not in rev.page(f"/registers/copies/{first.id}")
    assert rev.post(f"/registers/copies/{first.id}/pick-up", to="王某").status_code == 403
    refused = op.post(f"/registers/copies/{first.id}/pick-up", to="赵某")
    assert refused.status_code == 403
    assert "不在批准的去向之内" in refused.text
    assert "第七条" in refused.text
    assert op.post(f"/registers/copies/{first.id}/pick-up", to="王某").status_code == 303
    assert rev.post(f"/registers/copies/{first.id}/return", by="王某").status_code == 303
    assert op.post(f"/registers/copies/{first.id}/return", by="王某").status_code == 403, "it is back already"
    assert op.post(f"/registers/copies/{second.id}/void", reason="卡纸").status_code == 303
    assert office.store.record(COPIES, first.id).state is CopyState.RETURNED
    assert office.store.record(COPIES, second.id).state is CopyState.VOID
    assert {"copy-picked-up", "copy-returned", "copy-void"} <= set(office.kinds())
    listed = op.page("/registers/copies?state=returned")
    assert first.id in listed
    assert second.id not in listed
    assert op.get("/registers/copies?state=lost").status_code == 400
    assert op.get("/registers/copies/01NOSUCH-001").status_code == 404
    assert "核对" in op.page("/registers/reconcile")


def test_what_is_overdue_is_told(office: Office) -> None:
    """With whoever has it; what is not yet due is not there."""
    (late, *_), (soon, *_) = (
        office.printed(to=("王某",), due=time.time() + 2, name="逾期.docx"),
        office.printed(to=("李某",), due=time.time() + 86_400, name="未到.docx"),
    )
    Browser(office, "opa").post(f"/registers/copies/{late.id}/pick-up", to="王某")
    while office.store.moment() <= late.due:
        pass
    page = Browser(office, "rev").page("/registers/overdue")
    assert late.id in page
    assert "王某" in page
    assert soon.id not in page


def test_orders_are_entered_and_settled(office: Office) -> None:
    """A commission and a meeting file; what is missing is told; twice is told."""
    op = Browser(office, "opa")
    assert op.post("/registers/orders", what="commission", title="年报").status_code == 400
    words = {"title": "年报", "client": "某局", "quantity": "200", "due": "2099-01-01"}
    assert op.post("/registers/orders", what="commission", **words).status_code == 303
    meeting = {"title": "会议材料", "client": "某会", "person": "王某", "due": "2099-01-01", "level": "秘密"}
    assert op.post("/registers/orders", what="meeting", **meeting).status_code == 303
    page = op.page("/registers/orders")
    assert "年报" in page
    assert "会议材料" in page
    from dlp.commissions import ORDERS

    number = next(one.id for one in office.store.records(ORDERS) if one.title == "年报")
    assert op.post(f"/registers/orders/{number}/settle", finished="198", waste="碎纸").status_code == 303
    assert op.post(f"/registers/orders/{number}/settle").status_code == 503
    assert "年报" not in op.page("/registers/orders")
    assert "年报" in op.page("/registers/orders?every=1")
    assert "碎纸" in op.page("/registers?register=commissions")
    assert Browser(office, "hed").post("/registers/orders", what="commission", **words).status_code == 403


@pytest.mark.parametrize("form", ["xlsx", "docx", "csv"])
def test_a_register_is_kept_as_a_file(office: Office, form: str) -> None:
    """As an attachment, its hash in the trail before; nothing of it stays on the disk; no text is a formula."""
    office.printed(name=EVIL)
    rev = Browser(office, "rev")
    answer = rev.post("/registers/export", register="prints", format=form)
    assert answer.status_code == 200
    said = answer.headers["content-disposition"]
    assert said.startswith("attachment; filename=")
    assert quote(f"{REGISTERS['prints'].title.zh}.{form}") in said
    *_, event = office.store.events()
    assert (event.kind, event.body["format"], event.body["rows"]) == ("register-exported", form, 2)
    import hashlib

    assert event.body["sha256"] == hashlib.sha256(answer.content).hexdigest()
    state = Path(office.config.store.path).parent
    assert not list(state.glob(".dlp-*"))
    if form == "xlsx":
        sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
        assert sheet is not None
        assert sheet["C2"].data_type == "s"


def test_whoever_may_not_export_is_refused(office: Office) -> None:
    """No button, and no file; the refusal is in the trail; without the page's word neither."""
    browser = Browser(office, "opa")
    assert "/registers/export" not in browser.page("/registers")
    assert browser.post("/registers/export", register="prints", format="csv").status_code == 403
    *_, event = office.store.events()
    assert (event.kind, event.body["operation"]) == ("denied", "register.export")
    assert Browser(office, "rev").post("/registers/export", csrf="", register="prints", format="csv").status_code == 403


def test_file_names_with_markup_are_shown_as_text(office: Office) -> None:
    """In rows, lists, and on the card of a copy."""
    first, _ = office.printed(name=EVIL)
    browser = Browser(office, "rev")
    for path in ("/registers?register=prints", "/registers?register=traffic", "/registers/copies"):
        page = browser.page(path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in browser.page(f"/registers/copies/{first.id}")


def test_pages_in_english(office: Office) -> None:
    """Titles, filters and states."""
    first, _ = office.printed()
    browser = Browser(office, "opa", language="en")
    assert "<h1>copies that were printed</h1>" in browser.page("/registers")
    assert "Picked up" in browser.page(f"/registers/copies/{first.id}")
    assert "Nothing is overdue." in browser.page("/registers/overdue")


def test_a_long_register_comes_in_pages(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page at a time, the next by its place."""
    from dlp.web.pages import registers

    monkeypatch.setattr(registers, "ROWS", 2)
    office.printed(copies=5)
    browser = Browser(office, "rev")
    page = browser.page("/registers?register=prints")
    assert "<td>2/5</td>" in page
    assert "<td>3/5</td>" not in page
    assert "at=2" in page
    assert "<td>5/5</td>" in browser.page("/registers?register=prints&at=4")
