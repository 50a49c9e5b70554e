"""Reports: counted from the books in one pass, and a Word file whose charts Office and LibreOffice draw."""

from __future__ import annotations

import io
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import docx
import openpyxl
import pytest
from lxml import etree

from dlp import config, tally
from dlp.commissions import ORDERS, Order, What
from dlp.config import Config
from dlp.copies import COPIES, Copy
from dlp.errors import Denied, UsageError
from dlp.model import Action, Finding, Item, Level, State, Verdict
from dlp.rights import Person, Role
from dlp.service import reports
from dlp.service.acting import Acting
from dlp.service.keys import new_id
from dlp.service.reports import Inspection
from dlp.store import Job
from dlp.store.sqlite import SqliteStore
from sites import Place, lay

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
SAID = Inspection(scope="文印中心", inspectors=("张三",), requirement="逐件核对", deadline="2026-12-31", again="次月")


class Books:
    """Books of a site, where things happen."""

    def __init__(self, root: Path) -> None:
        lay(root)
        self.config: Config = config.read(root / "config.toml")
        self.store = SqliteStore.open(self.config.store.path, create=True)
        self.acting = Acting.at(self.config, self.store, "")

    def job(
        self, action: Action, state: State, *, owner: str = "一号窗口", level: Level | None = None, rules: int = 1
    ) -> Job:
        """Write a job that ended somehow."""
        now = time.time()
        own = new_id(now)
        item = Item(id=own, source="folder:外发", path="p", name="p", size=1, sha256="0" * 64, owner=owner)
        found = tuple(Finding(rule=f"cn.rule-{n}", pack="p", type="t", category="identity") for n in range(rules))
        made = Job(
            id=own,
            item=item,
            state=state,
            verdict=Verdict(action=action, level=level),
            findings=found,
            created=now,
            updated=now,
        )
        return self.store.add(made, actor="gate", kind=state.value, body={"state": state.value})


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """Give books with a month in them."""
    made = Books(tmp_path)
    yield made
    made.store.close()


def span() -> tuple[float, float]:
    """Return the present month."""
    return reports.month(None)


def test_a_month_is_counted(books: Books) -> None:
    """Jobs by action, unit, level and rule; how long people took; who was refused; what is overdue; labels."""
    for _ in range(3):
        books.job(Action.ALLOW, State.RELEASED, rules=0)
    books.job(Action.BLOCK, State.BLOCKED, owner="二号窗口", level=Level.SECRET)
    held = [books.job(Action.QUARANTINE, State.HELD, level=Level.CONFIDENTIAL, rules=2) for _ in range(2)]
    books.store.move(held[0].id, expect=State.HELD, to=State.REJECTED, actor="bmy", kind="rejected", body={})
    for actor in ("czy", "czy", "bmy"):
        books.store.note(actor=actor, kind="denied", job="", body={"why": "no-right"})
    now = time.time()
    with books.store.change() as entry:
        for number, ruling in enumerate((tally.CONFIRMED, tally.CONFIRMED, tally.CONFIRMED, tally.FALSE_ALARM)):
            entry.put(tally.LABELS, tally.Label(id=f"l{number}", rule="cn.rule-0", ruling=ruling, at=now))
        for number, due in ((1, now - 60), (2, now + 86_400), (3, 0.0)):
            copy = Copy(id=f"c-{number}", job=held[0].id, case="k", number=number, total=3, title="t", at=now, due=due)
            entry.put(COPIES, copy)
        for name, due, done in (("o-1", now - 60, 0.0), ("o-2", now - 60, now), ("o-3", now + 86_400, 0.0)):
            entry.put(ORDERS, Order(id=name, what=What.MEETING, title="t", by="opa", at=now, due=due, done_at=done))
        entry.append("x", "labelled", "", {})
    seen = reports.count(books.acting, *span())
    assert seen.jobs == 6
    assert seen.actions == {"allow": 3, "block": 1, "quarantine": 2}
    assert [(one.name, one.jobs, one.stopped) for one in seen.units] == [("一号窗口", 5, 2), ("二号窗口", 1, 1)]
    assert {one.name: one.jobs for one in seen.levels} == {"公开": 3, "秘密": 1, "机密": 2}
    assert [(one.rule, one.jobs) for one in seen.rules] == [("cn.rule-0", 3), ("cn.rule-1", 2)]
    assert (seen.rules[0].precision, seen.false_rate, seen.labelled) == (0.75, 0.25, 4)
    assert [(one.person, one.denied) for one in seen.people] == [("czy", 2), ("bmy", 1)]
    assert seen.overdue == ("c-1",)
    assert seen.overdue_orders == ("o-1",)
    assert seen.decided == 1
    assert seen.median_seconds is not None
    assert 0 <= seen.median_seconds < 60


def test_another_month_is_empty(books: Books) -> None:
    """What happened in one month is in no other; what was held before is counted from when it came."""
    books.job(Action.QUARANTINE, State.HELD)
    seen = reports.count(books.acting, *reports.month("2020-02"))
    assert (seen.jobs, seen.rules, seen.median_seconds, seen.false_rate) == (0, (), None, None)
    since, until = reports.month("2020-02")
    assert datetime.fromtimestamp(until).astimezone().month == 3
    assert 27 < (until - since) / 86_400 < 30
    for wrong in ("2020", "2020-13", "二月", "2020-2", "0000-01"):
        with pytest.raises(UsageError):
            reports.month(wrong)


def test_the_median_and_the_slow_end() -> None:
    """Nearest rank: of 20 values the 10th and the 19th."""
    values = [float(n) for n in range(1, 21)]
    assert (tally._at(values, 0.5), tally._at(values, 0.95)) == (10.0, 19.0)
    assert (tally._at([7.0], 0.95), tally._at([], 0.5)) == (7.0, None)


def test_many_units_become_one_bar() -> None:
    """A chart of a hundred bars tells nobody anything; the smallest are one."""
    rows = tuple(tally.Group(name=str(n), jobs=100 - n, stopped=1) for n in range(100))
    few = tally.most(rows, 12)
    assert (len(few), few[-1].name, few[-1].stopped) == (12, "其他", 89)
    assert sum(one.jobs for one in few) == sum(one.jobs for one in rows)


def test_the_inspection_report_has_its_columns_and_native_charts(books: Books) -> None:
    """The columns are those of the form; each chart is a chart part with the workbook that it was drawn from."""
    books.job(Action.BLOCK, State.BLOCKED, level=Level.SECRET)
    books.job(Action.ALLOW, State.RELEASED)
    seen = reports.count(books.acting, *span())
    raw = reports.inspection_paper(books.acting, seen, SAID)
    page = docx.Document(io.BytesIO(raw))
    words = {cell.text for table in page.tables for row in table.rows for cell in row.cells}
    assert {
        "范围",
        "时间",
        "人员",
        "抽查数",
        "编号",
        "位置",
        "密级",
        "规则",
        "证据",
        "整改要求",
        "期限",
        "复查",
    } <= words
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        charts = [name for name in file.namelist() if name.startswith("word/charts/chart")]
        assert len([name for name in charts if name.endswith(".xml")]) == 4
        root = etree.fromstring(file.read("word/charts/chart1.xml"))
        assert [one.text for one in root.iter(f"{C}v")][:2] == ["放行", "一号窗口"]
        assert root.find(f"{C}externalData") is not None
        book = openpyxl.load_workbook(io.BytesIO(file.read("word/embeddings/chart1.xlsx")))
        assert [[cell.value for cell in row] for row in book.active.rows] == [
            [None, "放行", "隔离、拦截"],
            ["一号窗口", 1, 1],
        ]
    kinds = [event.kind for event in books.store.events()]
    assert kinds.count("report-exported") == 1


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_draws_the_charts(books: Books, tmp_path: Path) -> None:
    """Converted by LibreOffice, the pages carry ink where the charts are: the same pages without charts carry less."""
    for n in range(5):
        books.job(Action.BLOCK, State.BLOCKED, level=Level.SECRET, owner=f"窗口{n}")
    seen = reports.count(books.acting, *span())
    (tmp_path / "r.docx").write_bytes(reports.month_paper(books.acting, seen))
    subprocess.run(
        ["soffice", f"-env:UserInstallation=file://{tmp_path}/lo", "--headless", "--convert-to", "pdf", "r.docx"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=200,
    )
    text = subprocess.run(["pdftotext", "r.pdf", "-"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    for n in range(5):  # names of units stand nowhere but in the chart
        assert f"窗口{n}" in text.replace(" ", "")  # LibreOffice sets a blank between Han and digits
    assert text.count("cn.rule-0") >= 2  # in the table, and at its bar


def test_an_owner_that_xml_cannot_hold_breaks_no_chart(books: Books) -> None:
    """The name of a unit comes from outside."""
    books.job(Action.ALLOW, State.RELEASED, owner="<&\x0b\x00窗口>")
    seen = reports.count(books.acting, *span())
    raw = reports.month_paper(books.acting, seen)
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        text = etree.fromstring(file.read("word/charts/chart1.xml"))
    assert "<&窗口>" in [one.text for one in text.iter(f"{C}v")]


def test_who_may_read_and_who_may_write_reports(books: Books) -> None:
    """Heads read them; an operator does not; exporting is for the security officer, the secretariat and the auditor."""
    person = Person(id="czy", name="czy", natural="n", roles=(Role.OPERATOR,))
    acting = Acting(books.config, books.store, person, alone=False)
    with pytest.raises(Denied):
        reports.count(acting, *span())
    seen = reports.count(books.acting, *span())
    with pytest.raises(Denied):
        reports.month_paper(acting, seen)
    assert [event.kind for event in books.store.events()] == ["denied", "denied"]


def test_the_commands(books: Books, tmp_path: Path) -> None:
    """A month as JSON and as a file that is not written over."""
    books.job(Action.BLOCK, State.BLOCKED)
    site = Place.at(tmp_path)
    (row,) = site.json("report", "month")
    assert (row["jobs"], row["actions"]) == (1, {"block": 1})
    site.run("report", "inspection", "--inspector", "张三", "--out", "检查.docx")
    assert (tmp_path / "检查.docx").exists()
    site.run("report", "month", "--out", "检查.docx", check=2)
    assert "一号窗口" in site.run("report", "month").stdout
