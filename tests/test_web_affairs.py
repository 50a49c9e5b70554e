"""The console's reports, incidents, withheld files, destruction, and system: what each role sees, does, is refused."""

from __future__ import annotations

import io
import re
import time
import zipfile
from pathlib import Path

import docx
import pytest
from pyrage import x25519

from clerks import Office, closed_office, office
from dlp import config
from dlp.destruction import DESTRUCTIONS, Stage
from dlp.incident import FREEZES, INCIDENTS, Step
from dlp.model import Level, Regime, State
from dlp.policy import DEFAULT_CLAUSES
from dlp.service import policy_words
from dlp.service.gate import load_packs
from dlp.service.policy_words import SAMPLES
from web_site import Browser

__all__ = ["closed_office", "office"]
EVIL = "<script>alert(1)</script>.docx"
HOUR = 3_600.0


def one_that_waits(office: Office) -> str:
    """Return the number of the one thing that waits."""
    (one,) = office.desk("sec").seconds.waiting()
    return one.id


# reports


def test_a_month_is_shown_in_numbers_and_charts(office: Office) -> None:
    """Jobs by verdict, level and unit as pictures that the server drew; another month is empty and says so."""
    for number in range(3):
        office.job(State.HELD, level=Level.SECRET, owner="<b>一号</b>", name=f"{number}.docx")
    browser = Browser(office, "rev")
    page = browser.page("/reports")
    assert page.count('<svg class="chart"') >= 3
    assert "<dt>任务</dt><dd>3</dd>" in page
    assert "&lt;b&gt;一号" in page
    assert "<b>一号" not in page
    assert "这个月没有任务" in browser.page("/reports?month=2020-01")
    assert browser.get("/reports?month=2020-13").status_code == 400
    assert "By level" in Browser(office, "lea", language="en").page("/reports")


def test_reports_are_kept_as_files_by_whoever_may(office: Office) -> None:
    """A month and an inspection; the trail tells; a leader reads and does not export."""
    browser = Browser(office, "rev")
    month = browser.post("/reports/month", month="2026-01")
    assert docx.Document(io.BytesIO(month.content)).tables
    assert "attachment" in month.headers["content-disposition"]
    words = {"since": "2026-01-01", "until": "2026-01-31", "inspectors": "甲、乙", "requirement": "整改门禁"}
    made = docx.Document(io.BytesIO(browser.post("/reports/inspection", **words).content))
    cells = [cell.text for table in made.tables for row in table.rows for cell in row.cells]
    assert "甲、乙" in cells
    assert "整改门禁" in cells
    assert office.kinds().count("report-exported") == 2
    assert browser.post("/reports/inspection", **{**words, "until": "2025-01-01"}).status_code == 400
    leader = Browser(office, "lea")
    assert "/reports/month" not in leader.page("/reports")
    assert leader.post("/reports/month", month="2026-01").status_code == 403
    assert Browser(office, "opa").get("/reports").status_code == 403


# incidents


def test_an_incident_from_its_report_to_its_end(office: Office) -> None:
    """Steps in their order, tasks, the authority, the closing by two; each in the trail."""
    op, rev, lead = Browser(office, "opa"), Browser(office, "rev"), Browser(office, "lea")
    assert op.post("/incidents", what=" ").status_code == 400
    told = op.post("/incidents", what="发现无主文件").headers["location"]
    assert "已立案" in op.page(told)
    (one,) = office.store.records(INCIDENTS)
    card = f"/incidents/{one.id}"
    assert op.get(card).status_code == 403, "whoever reports one does not read them all"
    assert re.search(r"剩 23 小时 5\d 分", rev.page("/incidents"))
    assert rev.post(f"{card}/note", text="查", step="remedy").status_code == 409, "no step is left out"
    for step in ("investigate", "remedy", "rectify"):
        assert rev.post(f"{card}/note", text="办理", step=step).status_code == 303
    assert rev.post(f"{card}/tasks", what="换锁", owner="文印室", due="2099-01-01").status_code == 303
    assert lead.post(f"{card}/close", reason="已整改").status_code == 409
    assert rev.post(f"{card}/tasks/1/done").status_code == 303
    assert rev.post(f"{card}/report", to="保密局").status_code == 403
    assert lead.post(f"{card}/report", to="保密局", receipt="1号").status_code == 303
    assert "已上报 保密局" in rev.page(card)
    number = lead.post(f"{card}/close", reason="已整改").headers["location"].partition("=")[2]
    assert rev.post(f"/waiting/{number}/confirm").status_code == 303
    assert office.store.record(INCIDENTS, one.id).step is Step.CLOSED
    assert {"incident-opened", "incident-step", "incident-task", "incident-reported", "incident-closed"} <= set(
        office.kinds()
    )


def test_a_late_one_is_red_and_first(office: Office) -> None:
    """The one that should have been reported stands before the others."""
    desk = office.desk("rev").incidents
    fresh, late = desk.open("甲"), desk.open("乙", found=time.time() - 26 * HOUR)
    page = Browser(office, "rev").page("/incidents")
    assert page.index(f"/incidents/{late.id}") < page.index(f"/incidents/{fresh.id}")
    assert re.search(r'class="clock late">逾期 2 小时', page)
    assert "2 h 0 min late" in Browser(office, "rev", language="en").page(f"/incidents/{late.id}")


def test_form_and_evidence_are_kept_as_files(office: Office) -> None:
    """By those who handle or report; the auditor reads and takes neither."""
    one = office.desk("rev").incidents.open("丙", target=office.job(State.BLOCKED, name=EVIL).id)
    rev, card = Browser(office, "rev"), f"/incidents/{one.id}"
    assert "<script>alert" not in rev.page(card)
    assert "全部经手" in rev.page(card)
    assert "<td>incident-opened</td>" in rev.page(f"{card}?custody=1")
    assert Browser(office, "lea").get(f"{card}?custody=1").status_code == 403
    assert docx.Document(io.BytesIO(rev.post(f"{card}/form").content)).tables
    assert "incident.json" in zipfile.ZipFile(io.BytesIO(rev.post(f"{card}/package").content)).namelist()
    assert "incident-packaged" in office.kinds()
    auditor = Browser(office, "aud")
    assert f"{card}/form" not in auditor.page(card)
    assert auditor.post(f"{card}/form").status_code == 403
    assert auditor.post(f"{card}/package").status_code == 403


def test_a_file_is_frozen_at_once_and_thawed_by_two(office: Office) -> None:
    """Twice is told; whoever lifts it needs the security officer."""
    job = office.job(State.HELD)
    op, lead = Browser(office, "opa"), Browser(office, "lea")
    assert op.post("/incidents/freeze", target=job.id, reason="疑似泄密").status_code == 303
    assert op.post("/incidents/freeze", target=job.id, reason="再次").status_code == 409
    assert job.item.sha256[:16] in op.page("/incidents")
    assert op.post("/incidents/unfreeze", target=job.id, reason="查清").status_code == 403
    assert lead.post("/incidents/unfreeze", target=job.id, reason="查清").status_code == 303
    assert Browser(office, "rev").post(f"/waiting/{one_that_waits(office)}/confirm").status_code == 303
    assert not office.store.record(FREEZES, job.item.sha256).active


# withheld


def test_what_is_withheld_is_handed_over_on_a_receipt(office: Office) -> None:
    """Only mark, hash and size are shown; without a receipt nothing happens; what is sealed needs the command."""
    job = office.job(State.WITHHELD, name=EVIL, level=Level.SECRET, regime=Regime.STATE)
    rev = Browser(office, "rev")
    page = rev.page("/withheld")
    assert "<script>alert" not in page
    card = rev.page(f"/withheld/{job.id}")
    assert "dlp withheld hand-over" in card, "its bytes are sealed here"
    assert rev.post(f"/withheld/{job.id}/hand-over", to="", receipt="").status_code == 400
    assert rev.post(f"/withheld/{job.id}/hand-over", to="保密局", receipt="1").status_code == 400
    assert office.vault.has(job.id)
    assert Browser(office, "opa").post(f"/withheld/{job.id}/hand-over", to="x", receipt="y").status_code == 403
    assert Browser(office, "sys").get("/withheld").status_code == 403


# destruction


def test_a_list_from_the_count_to_the_erasing(office: Office) -> None:
    """Drawn up, approved by two, witnessed by two, handed over, erased by two; then the bytes are gone."""
    job = office.job(State.BLOCKED, days=40, name=EVIL)
    rev = Browser(office, "rev")
    page = rev.page("/destroy")
    assert job.id in page
    assert "<script>alert" not in page
    assert rev.post("/destroy", reason="", job=job.id).status_code in (400, 403)
    card = rev.post("/destroy", reason="期满", method="送销", job=job.id).headers["location"]
    assert "待批准" in rev.page(card)
    assert rev.post(f"{card}/approve").status_code == 403
    assert Browser(office, "hed").post(f"{card}/approve").status_code == 303
    assert Browser(office, "lea").post(f"/waiting/{one_that_waits(office)}/confirm").status_code == 303
    assert Browser(office, "opa").post(f"{card}/witness").status_code == 303
    assert Browser(office, "opa").post(f"{card}/witness").status_code == 403, "two, not one twice"
    assert Browser(office, "opb").post(f"{card}/witness").status_code == 303
    handed = {"receipt": "7号", "carrier": "张三", "carrier2": "李四", "destroyer": "销毁中心"}
    assert rev.post(f"{card}/hand-over", **{**handed, "carrier2": ""}).status_code == 403
    assert rev.post(f"{card}/hand-over", **handed).status_code == 303
    assert rev.post(f"{card}/erase").status_code == 303
    assert office.vault.has(job.id)
    assert Browser(office, "hed").post(f"/waiting/{one_that_waits(office)}/confirm").status_code == 303
    assert not office.vault.has(job.id)
    assert office.store.record(DESTRUCTIONS, card.rpartition("/")[2]).stage is Stage.ERASED
    assert "7号" in rev.page(card)
    assert "Destruction list" in Browser(office, "hed", language="en").page(card)


def test_a_list_is_taken_back(office: Office) -> None:
    """By whoever draws lists up, with a reason; what was on it may go on another one."""
    job = office.job(State.BLOCKED, days=40)
    rev = Browser(office, "rev")
    card = rev.post("/destroy", reason="期满", job=job.id).headers["location"]
    assert job.id not in rev.page("/destroy")
    assert Browser(office, "opa").post(f"{card}/withdraw", reason="x").status_code == 403
    assert rev.post(f"{card}/withdraw", reason="清点有误").status_code == 303
    assert job.id in rev.page("/destroy")


@pytest.mark.parametrize("who", ["sys", "sec", "aud"])
def test_administrators_destroy_nothing(office: Office, who: str) -> None:
    """Neither list nor page; each refusal is in the trail."""
    browser = Browser(office, who)
    assert browser.get("/destroy").status_code == 403
    assert browser.post("/destroy", reason="x", job="01").status_code in (403, 404)
    assert browser.post("/destroy/1/approve").status_code == 403
    *_, event = office.store.events()
    assert (event.kind, event.actor) == ("denied", who)


# the system


def test_the_policy_is_shown_in_words(office: Office) -> None:
    """Each clause has some, in both languages, without a name of the program."""
    page = Browser(office, "sec").page("/system/policy")
    english = Browser(office, "sec", language="en").page("/system/policy")
    named = policy_words.types(load_packs(office.config))
    for clause in DEFAULT_CLAUSES:
        said = policy_words.of(clause, named)
        assert said.zh in page
        assert said.en in english
        assert "_" not in said.zh
    assert "发现密级或内部标志" in page


def test_a_dry_run_tells_which_clause_decides_and_keeps_nothing(office: Office) -> None:
    """By a sample or a text; masked; no event, no file, no job."""
    browser = Browser(office, "sec")
    before, files = office.kinds(), {path for path in office.root.rglob("*") if path.is_file()}
    expected = {"letter": "没有一条成立", "marked": "state-marks", "contract": "personal", "payroll": "tables"}
    for sample in SAMPLES:
        assert expected[sample.name] in browser.post("/system/policy", sample=sample.name).text
    shown = browser.post("/system/policy", text="身份证号：110101199003071233").text
    assert "110***********1233" in shown
    assert browser.post("/system/policy", text="").status_code == 400
    assert browser.post("/system/policy", text="字" * 100_001).status_code in (400, 413)
    assert office.kinds() == before
    assert office.store.jobs() == ()
    new = {path for path in office.root.rglob("*") if path.is_file()} - files
    assert all("scanner" in path.name or "findings" in path.name for path in new), new


def test_health_is_for_administrators(office: Office) -> None:
    """Overview, checks and policy; everybody else is refused."""
    browser = Browser(office, "sys")
    assert "规则包" in browser.page("/system")
    assert "python" in browser.page("/system/checks")
    for who in ("opa", "rev", "lea"):
        for path in ("/system", "/system/checks", "/system/policy"):
            assert Browser(office, who).get(path).status_code == 403
        assert Browser(office, who).post("/system/policy", text="x").status_code == 403


def test_a_backup_is_made_and_verified(office: Office) -> None:
    """By the system administrator; the private key comes with the request and stays nowhere."""
    key = x25519.Identity.generate()
    root: Path = office.root
    (root / "officer.txt").write_text(f"{key.to_public()}\n", encoding="ascii")
    assert office.settings is not None
    more = '[backup]\nfolder = "backups"\nrecipients = ["officer.txt"]\n'
    office.settings.write_text(office.settings.read_text(encoding="utf-8") + more, encoding="utf-8")
    office.config = config.read(office.settings)
    browser = Browser(office, "sys", file=office.settings)
    name = browser.post("/system/backup").headers["location"].partition("=")[2]
    assert name in browser.page("/system")
    assert Browser(office, "sec").post("/system/backup").status_code == 403
    files = {"identity": ("key.txt", f"# made\n{key}\n".encode())}
    seen = browser.post("/system/backup/verify", name=name, files=files)
    assert "备份完好" in seen.text
    assert str(key) not in seen.text
    wrong = {"identity": ("key.txt", str(x25519.Identity.generate()).encode())}
    assert browser.post("/system/backup/verify", name=name, files=wrong).status_code == 503
    assert browser.post("/system/backup/verify", name="../config.toml", files=files).status_code == 404
    assert str(key) not in "".join(str(event.body) for event in office.store.events())
