"""Registers: copies picked up, given back and counted, and the printed forms as views of them."""

from __future__ import annotations

import csv
import io
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pytest

from clerks import Office, Terminal, closed_office, office
from dlp.commissions import What
from dlp.copies import COPIES, Copy, CopyState, copy_id
from dlp.errors import Conflict, Denied, NotFound, StoreError, UsageError
from dlp.model import Level, State, evolve
from dlp.rights import Operation, Role, right
from dlp.service import register_files
from dlp.service.lending import Lending, Ordered, Wanted
from dlp.service.register_files import FORMATS, export, safe
from dlp.service.registers import REGISTERS, Registers, Span, day

__all__ = ["closed_office", "office"]

DAY = 86_400.0
FORMS = Path(__file__).resolve().parents[1].parent / "shared" / "domain" / "README.md"
EVIL = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "a\n=1+1", "＝1+1", '=HYPERLINK("http://x/","y")', "{=1}")


def rows(office: Office, name: str, span: Span | None = None) -> list[dict[str, str]]:
    """Return the rows of a register as the security officer sees them, by column."""
    found, given = Registers(office.acting("rev")).rows(name, span or Span())
    return [dict(zip(found.columns, row, strict=True)) for row in given]


def lending(office: Office, account: str = "opa") -> Lending:
    """Return the copies as somebody sees them."""
    return Lending(office.acting(account))


def denied(office: Office, way: Callable[[], object], why: str = "copies") -> Denied:
    """Assert that something is refused and that the trail says so."""
    with pytest.raises(Denied) as told:
        way()
    *_, event = office.store.events()
    assert (event.kind, event.body["why"]) == ("denied", why)
    return told.value


def test_a_copy_is_picked_up_and_given_back(office: Office) -> None:
    """Both stand in its row and in the trail, with who did it at the desk; the registers show it."""
    first, second = office.printed(due=time.time() + 2 * DAY, to=("王某", "李某"))
    picked = lending(office).pick_up(first.id, "王某")
    assert (picked.state, picked.holder, picked.handed_by) == (CopyState.OUT, "王某", "opa")
    back = lending(office, "rev").give_back(first.id, by="王某")
    assert (back.state, back.returned_by, back.received_by) == (CopyState.RETURNED, "王某", "rev")
    kinds = [(e.kind, e.job, e.body.get("copy")) for e in office.store.events() if e.kind.startswith("copy-")]
    assert kinds == [("copy-picked-up", first.job, first.id), ("copy-returned", first.job, first.id)]
    (loan,) = rows(office, "loans")
    assert (loan["借阅人"], loan["目的"], loan["实际归还"]) == ("王某", "会议使用", day(back.returned_at))
    one, other = rows(office, "returns")
    assert (one["清退人"], one["接收人"], one["状态"]) == ("王某", "rev", "已清退")
    assert (other["编号"], other["清退日期"], other["状态"]) == (second.id, "", "待领取")
    printed = rows(office, "prints")
    assert [row["份号"] for row in printed] == ["1/2", "2/2"]
    assert (printed[0]["申请人"], printed[0]["审批人"], printed[0]["去向(知悉范围)"]) == ("opa", "dep", "王某、李某")
    assert printed[0]["领取人签字"].startswith("王某 ")
    assert (printed[0]["文号"], printed[0]["监印人"], printed[1]["领取人签字"]) == ("", "", ""), "left for a pen"


def test_who_may_not_pick_a_copy_up(office: Office) -> None:
    """Nobody it was not approved for, no proxy without authority, nobody twice; and not before it is printed."""
    first, second = office.printed()
    at = lending(office)
    denied(office, lambda: at.pick_up(first.id, "赵某"))
    denied(office, lambda: at.pick_up(first.id, "王某", carriers=("赵某",)))
    at.pick_up(first.id, "王某", carriers=("赵某",), authority="授权书3号")
    denied(office, lambda: at.pick_up(first.id, "王某"))
    at.give_back(first.id, by="赵某")
    denied(office, lambda: at.give_back(first.id, by="赵某"))
    denied(office, lambda: lending(office, "rev").pick_up(second.id, "王某"), "no-right")
    denied(office, lambda: lending(office, "lea").give_back(second.id, by="王某"), "no-right")
    with pytest.raises(UsageError):
        at.give_back(second.id, by=" ")
    job = office.job(State.HELD, level=Level.SENSITIVE)
    case = office.approved(job)
    clearing = office.desk("opa").cases.cleared(case.id, job, 2)
    office.store.move(job.id, expect=State.HELD, to=State.RELEASING, actor="opa", kind="r", body={}, beside=clearing)
    told = denied(office, lambda: at.pick_up(copy_id(job.id, 1), "王某"))
    assert "尚未印出" in told.say.zh
    for name in ("x", f"{job.id}-009", f"{job.id}-"):
        with pytest.raises(NotFound):
            at.pick_up(name, "王某")


def test_a_copy_is_named_by_a_unique_beginning(office: Office) -> None:
    """As jobs are everywhere; the number may be short."""
    _, second = office.printed()
    assert lending(office).pick_up(f"{second.job[:20]}-2", "王某").id == second.id


def test_what_is_overdue(office: Office) -> None:
    """Copies that are out too long, and orders and meeting files that are not done; nothing that is."""
    late = office.printed(due=time.time() + 30 * DAY)
    with office.store.change() as entry:
        for copy in late:
            entry.put(COPIES, evolve(copy, version=copy.version + 1, due=time.time() - 60))
        entry.append("test", "due", "", {})
    office.printed(due=time.time() + 30 * DAY)
    at = lending(office)
    at.give_back(late[0].id, by="王某")
    old = at.order(meeting(due=time.time() - DAY))
    done = at.order(meeting(due=time.time() - DAY))
    at.order(meeting(due=time.time() + DAY))
    at.settle(done.id)
    assert [one.id for one in at.overdue()] == [late[1].id, old.id]
    assert [one.id for one in at.copies(Wanted(overdue=True))] == [late[1].id]


def meeting(**changes: Any) -> Ordered:
    """Return a file brought back from a meeting (SR-16) that lacks nothing."""
    fields = {"title": "全省会议材料", "client": "省某会议", "person": "赵某", "due": time.time() + DAY}
    return Ordered(what=What.MEETING, **{**fields, **changes})


def test_copies_are_found_by_who_has_them(office: Office) -> None:
    """SR-50: what somebody still has; by unit, job and state too."""
    first, second = office.printed()
    other, _ = office.printed(to=("李某",))
    at = lending(office)
    at.pick_up(first.id, "王某")
    at.pick_up(other.id, "李某")
    assert [one.id for one in at.copies(Wanted(holder="王某"))] == [first.id]
    assert [one.id for one in at.copies(Wanted(job=first.job[:22]))] == [first.id, second.id]
    assert {one.id for one in at.copies(Wanted(state=CopyState.OUT))} == {first.id, other.id}
    assert len(list(at.copies(Wanted(unit="综合科")))) == 4
    assert list(at.copies(Wanted(unit="别的科"))) == []


def test_copies_are_reconciled(office: Office) -> None:
    """Approved = printed = back + destroyed + open; SR-82: which numbers are still open."""
    copies = office.printed(copies=5)
    at = lending(office)
    for copy in copies[:3]:
        at.give_back(copy.id, by="王某")
    (one,) = at.reconcile()
    assert one.account[:6] == (5, 5, 2, 0, 3, 0)
    assert (one.open, one.account.differs) == ((4, 5), False)


def test_what_does_not_add_up_is_told(office: Office) -> None:
    """A row that is missing, one too many, one that no approval knows of, and a job that was let go twice."""
    copies = office.printed(copies=3)
    with office.store.change() as entry:
        entry.drop(COPIES, copies[0].id)
        entry.append("test", "gone", "", {})
    assert [one.account.differs for one in lending(office).reconcile()] == [True]
    stray = office.job(State.RELEASED)
    with office.store.change() as entry:
        entry.put(COPIES, evolve(copies[0], id=copy_id(stray.id, 1), job=stray.id, version=1))
        entry.append("test", "stray", "", {})
    assert [one.job for one in lending(office).reconcile() if one.account.differs] == [copies[0].job, stray.id]


def test_a_job_in_doubt_is_let_go_again_with_other_numbers(office: Office) -> None:
    """No 份号 is given twice; what never came out is struck, and then the numbers agree again."""
    job = office.job(State.HELD, level=Level.SENSITIVE)
    for _ in range(2):
        case = office.approved(job)
        clearing = office.desk("opa").cases.cleared(case.id, job, 2)
        office.store.move(
            job.id, expect=State.HELD, to=State.RELEASING, actor="opa", kind="r", body={}, beside=clearing
        )
        office.store.move(job.id, expect=State.RELEASING, to=State.HELD, actor="gate", kind="doubt", body={})
    assert [copy.number for copy in office.copies(job.id)] == [1, 2, 3, 4]
    at = lending(office)
    assert [one.account.differs for one in at.reconcile()] == [True]
    with pytest.raises(UsageError):
        at.strike(copy_id(job.id, 1), reason="")
    at.strike(copy_id(job.id, 1), reason="卡纸")
    denied(office, lambda: at.strike(copy_id(job.id, 1), reason="卡纸"))
    assert [row["备注"] for row in rows(office, "prints")] == ["未印出：卡纸", *["未确认印出"] * 3]


def test_orders_are_written_down_once(office: Office) -> None:
    """A commission and a meeting file stand in their registers from then on, until they are settled, once."""
    job = office.job(State.RELEASED, name="宣传册.pdf")
    at = lending(office)
    made = at.order(
        Ordered(what=What.COMMISSION, job=job.id, client="某局", person="钱某", papers="工作证 尾号0042", quantity=500)
    )
    (row,) = rows(office, "commissions")
    assert (row["委印单位"], row["印刷品名称"], row["数量"], row["状态"]) == ("某局", "宣传册.pdf", "500", "在办")
    at.settle(made.id, finished=498, waste="2 份碎纸", returned="原稿已交还")
    (row,) = rows(office, "commissions")
    assert (row["成品数"], row["废次品处理"], row["状态"]) == ("498", "2 份碎纸", "已交付")
    with pytest.raises(StoreError, match="done already"):
        at.settle(made.id)
    with pytest.raises(NotFound):
        at.settle("nothing")
    at.order(meeting(level=Level.SECRET, quantity=3))
    (row,) = rows(office, "meetings")
    assert (row["标题"], row["密级"], row["份数"], row["状态"]) == ("全省会议材料", "秘密", "3", "未送交")
    for wrong in (
        meeting(title=" "),
        meeting(client=""),
        meeting(person=""),
        meeting(due=None),
        meeting(quantity=0),
        Ordered(what=What.COMMISSION, title="x"),
    ):
        with pytest.raises(UsageError):
            at.order(wrong)
    with pytest.raises(Denied):
        lending(office, "hed").order(meeting())


def test_two_at_one_copy(office: Office) -> None:
    """Of two who write the same version one wins; the other is told, and nothing of his is written."""
    first, _ = office.printed()
    lending(office).pick_up(first.id, "王某")
    late = evolve(first, version=first.version + 1, holder="李某")
    with office.store.change() as entry, pytest.raises(Conflict):
        entry.put(COPIES, late)
    assert office.store.record(COPIES, first.id).holder == "王某"


def test_every_register_has_the_columns_of_its_form() -> None:
    """The words of the printed forms, in their order; what this house adds stands behind them."""
    if not FORMS.exists():
        pytest.skip("the domain facts are not beside this checkout")
    forms = dict(
        re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+\|$", FORMS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    named = {
        "prints": "涉密文件打印/复印登记簿",
        "loans": "文件借阅登记表",
        "traffic": "收文登记/清退登记",
        "returns": "收文登记/清退登记",
        "meetings": "收文登记/清退登记",
        "destruction": "销毁清单(审批表)",
        "commissions": "承印登记簿",
        "approvals": "复制审批单",
    }
    assert {*named, "stocktakes"} == set(REGISTERS), "of a count there is no form to follow"
    for name, form in named.items():
        due = re.split("[;；]", forms[form])[0].split()
        assert list(REGISTERS[name].columns[: len(due)]) == due, name


def test_the_other_registers(office: Office) -> None:
    """What came and went, approvals with the words of each who signed, and a span of time or a unit."""
    office.printed(name="甲.docx")
    office.job(State.BLOCKED, name="乙.docx", days=10, owner="二号窗口")
    went = {row["标题"]: row for row in rows(office, "traffic")}
    assert went["甲.docx"]["去向"] == "已放行"
    assert (went["乙.docx"]["发出时间"], went["乙.docx"]["结果"]) == ("", "已拦截")
    (case,) = rows(office, "approvals")
    assert case["部门负责人意见"].startswith("同意 同意 dep ")
    assert (case["文件名称"], case["复制份数"], case["已放行份数"]) == ("甲.docx", "2", "2")
    recent = rows(office, "traffic", Span(since=time.time() - DAY))
    assert [row["标题"] for row in recent] == ["甲.docx"]
    assert [row["标题"] for row in rows(office, "traffic", Span(unit="二号窗口"))] == ["乙.docx"]
    with pytest.raises(UsageError):
        rows(office, "traffic", Span(since=2.0, until=1.0))
    with pytest.raises(NotFound):
        rows(office, "nothing")
    assert rows(office, "收发登记簿") == rows(office, "traffic")


def test_who_may_read_and_export(office: Office, tmp_path: Path) -> None:
    """As the table of rights says, for each role; an export is in the trail with its hash before it is there."""
    office.printed()
    for who, role in {"sys": Role.SYSTEM, "sec": Role.SECURITY, "aud": Role.AUDITOR, "opa": Role.OPERATOR}.items():
        out = tmp_path / f"{who}.csv"
        if role in right(Operation.REGISTER_EXPORT).roles:
            done = export(office.acting(who), "prints", Span(), format="csv", out=out)
            *_, event = office.store.events()
            assert (event.kind, event.actor, event.body["sha256"]) == ("register-exported", who, done.sha256)
        else:
            denied(
                office,
                lambda who=who, out=out: export(office.acting(who), "prints", Span(), format="csv", out=out),
                "no-right",
            )
            assert not out.exists()
        if role not in right(Operation.REGISTER_READ).roles:
            denied(office, lambda who=who: Registers(office.acting(who)).rows("prints", Span()), "no-right")


@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_is_whole_or_not_there(office: Office, tmp_path: Path, format_: register_files.Format) -> None:
    """Nothing is overwritten, nothing half-written stays, and a folder that is not there is told."""
    office.printed()
    out = tmp_path / f"册.{format_}"
    out.write_bytes(b"mine")
    for wrong in (out, tmp_path / "missing" / "x"):
        with pytest.raises(UsageError):
            export(office.acting("rev"), "prints", Span(), format=format_, out=wrong)
    assert out.read_bytes() == b"mine"
    out.unlink()
    done = export(office.acting("rev"), "prints", Span(), format=format_, out=out)
    assert done.rows == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".dlp-")] == []


def evil(office: Office) -> int:
    """Write orders whose every text is a formula; return how many."""
    at = lending(office)
    for text in EVIL:
        at.order(
            Ordered(what=What.COMMISSION, title=f"x{text}", client=f"a{text}", person=text, papers=text, contract=text)
        )
    with office.store.change() as entry:
        for one in entry.records(_orders()):
            entry.put(_orders(), evolve(one, version=2, person=f"{one.contract}", waste=EVIL[4], original=EVIL[6]))
        entry.append("test", "raw", "", {})
    return len(EVIL)


def _orders() -> Any:
    from dlp.commissions import ORDERS

    return ORDERS


def test_no_text_is_a_formula_in_a_workbook(office: Office, tmp_path: Path) -> None:
    """Read back with another library: every cell is a text, no formula, no link; head frozen, printable, numbered."""
    count = evil(office)
    out = tmp_path / "册.xlsx"
    export(office.acting("rev"), "commissions", Span(), format="xlsx", out=out)
    sheet = openpyxl.load_workbook(out).active
    assert sheet.max_row == count + 1
    cells = [cell for row in sheet.iter_rows(min_row=2) for cell in row if cell.value is not None]
    assert cells
    assert {cell.data_type for cell in cells} == {"s"} or {cell.data_type for cell in cells} == {"inlineStr"}
    assert all(cell.hyperlink is None for cell in cells)
    assert "=1+1" in {cell.value for cell in cells}
    assert tuple(cell.value for cell in sheet[1]) == REGISTERS["commissions"].columns
    assert (sheet.freeze_panes, sheet.page_setup.orientation, sheet.print_title_rows) == ("A2", "landscape", "$1:$1")
    assert "&P" in sheet.oddFooter.center.text.replace("Page", "P") or "&" in sheet.oddFooter.center.text


def test_no_text_is_a_formula_in_csv(office: Office, tmp_path: Path) -> None:
    """Every cell that a spreadsheet would work out begins with an apostrophe; Excel sees that it is UTF-8."""
    count = evil(office)
    out = tmp_path / "册.csv"
    export(office.acting("rev"), "commissions", Span(), format="csv", out=out)
    raw = out.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    found = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    assert len(found) == count + 1
    assert all(len(row) == len(REGISTERS["commissions"].columns) for row in found)
    for row in found[1:]:
        for cell in row:
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "＝")), cell
            assert "\n" not in cell
            assert "\r" not in cell
            assert "\t" not in cell
    assert "'=1+1" in {cell for row in found for cell in row}


@pytest.mark.parametrize("text", EVIL)
def test_what_begins_a_formula_gets_an_apostrophe(text: str) -> None:
    """And nothing else does."""
    assert safe(text) == (text if text[0] in "a{" else f"'{text}")
    assert safe("普通") == "普通"


def test_a_form_is_printed_and_signed(office: Office, tmp_path: Path) -> None:
    """Across the page, its head on every page, numbered, with a line for each who signs."""
    evil(office)
    out = tmp_path / "册.docx"
    export(office.acting("rev"), "commissions", Span(), format="docx", out=out)
    form = docx.Document(str(out))
    (table,) = form.tables
    assert [cell.text for cell in table.rows[0].cells] == list(REGISTERS["commissions"].columns)
    assert len(table.rows) == len(EVIL) + 1
    assert form.sections[0].page_width > form.sections[0].page_height
    xml = table._tbl.xml
    assert xml.count("<w:tblHeader/>") == 1
    text = "\n".join(paragraph.text for paragraph in form.paragraphs)
    for who in REGISTERS["commissions"].signs:
        assert f"{who}签字：" in text
    assert "NUMPAGES" in form.sections[0].footer._element.xml


def test_a_form_has_so_many_rows_and_no_more(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody prints ten thousand rows: it says what to do instead, and leaves nothing."""
    monkeypatch.setattr(register_files, "MOST_IN_FORM", 3)
    evil(office)
    out = tmp_path / "册.docx"
    with pytest.raises(UsageError, match="no printed form"):
        export(office.acting("rev"), "commissions", Span(), format="docx", out=out)
    assert list(tmp_path.glob("*.docx")) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("format_", ["xlsx", "csv"])
def test_a_hundred_thousand_rows_in_bounded_memory(tmp_path: Path, format_: str) -> None:
    """An export of 100,000 rows needs hardly more memory than one of 1,000."""
    peaks = []
    for count in (1_000, 100_000):
        root = tmp_path / str(count)
        root.mkdir()
        filled(root, count)
        code = EXPORT.format(root=str(root), format=format_, out=str(root / f"out.{format_}"))
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
            cwd=Path(__file__).parent,
        )
        rows_, peak = done.stdout.split()
        assert int(rows_) == count
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 40_000, f"KiB: {peaks}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


EXPORT = """
import resource
from pathlib import Path
from dlp import config
from dlp.service.acting import Acting
from dlp.service.register_files import export
from dlp.service.registers import Span
from dlp.store.sqlite import SqliteStore
root = Path({root!r})
settings = config.parse("", file="t", base=root)
acting = Acting.at(settings, SqliteStore.open(root / "gate.db", create=False), "")
done = export(acting, "prints", Span(), format={format!r}, out=Path({out!r}))
print(done.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def filled(root: Path, count: int) -> None:
    """Write books with so many copies, in a few transactions."""
    from dlp.store.sqlite import SqliteStore

    store = SqliteStore.open(root / "gate.db", create=True)
    for start in range(0, count, 5_000):
        with store.change() as entry:
            for number in range(start, min(start + 5_000, count)):
                job = f"{number:026d}"
                copy = Copy(
                    id=copy_id(job, 1),
                    job=job,
                    case="c",
                    number=1,
                    total=1,
                    title=f"第{number}号.docx",
                    at=1.0 + number,
                )
                entry.db.execute(
                    "INSERT INTO record (kind, id, version, state, job, who, due, at, value) "
                    "VALUES (:kind, :id, :version, :state, :job, :who, :due, :at, :value)",
                    COPIES.row(copy),
                )
            entry.append("test", "filled", "", {})
    store.close()


@pytest.mark.timeout(600)
def test_the_whole_way_at_the_command_line(office: Office, tmp_path: Path) -> None:
    """Picked up, given back, counted, listed and exported by commands, in both languages."""
    first, second = office.printed(copies=2, due=time.time() + DAY)
    site = Terminal(office.root)
    (picked,) = site.json("opa", "registers", "pick-up", first.id, "--to", "王某")
    assert (picked["state"], picked["holder"]) == ("out", "王某")
    assert "王某" in site.run("opa", "registers", "copies", "--holder", "王某").stdout
    assert "不在批准的去向" in site.run("opa", "registers", "pick-up", second.id, "--to", "赵某", check=9).stderr
    said = site.run("opa", "registers", "pick-up", second.id, "--to", "赵某", "--lang", "en", check=9).stderr
    assert "not among those it was approved for" in said
    site.run("opa", "registers", "return", first.id, "--by", "王某")
    (counted,) = site.json("opa", "registers", "reconcile")
    assert (counted["approved"], counted["printed"], counted["returned"], counted["open"]) == (2, 2, 1, [2])
    (row, _) = site.json("rev", "registers", "show", "prints")
    assert row["份号"] == "1/2"
    assert len(site.json("rev", "registers", "list")) == len(REGISTERS)
    out = tmp_path / "册.xlsx"
    site.run("rev", "registers", "export", "--register", "prints", "--format", "xlsx", "--out", str(out))
    assert openpyxl.load_workbook(out).active.max_row == 3
    site.run("opa", "registers", "export", "--register", "prints", "--format", "csv", "--out", str(out), check=9)
    (order,) = site.json("opa", "registers", "order", first.job[:20], "--client", "某局", "--quantity", "5")
    assert order["title"] == "通知.docx"
    (taken,) = site.json(
        "opa", "registers", "intake", "--title", "材料", "--meeting", "省会", "--by", "赵某", "--due", "2020-01-01"
    )
    assert [one["order"] for one in site.json("opa", "registers", "overdue")] == [taken["order"]]
    site.run("opa", "registers", "settle", taken["order"])
    assert "没有逾期" in site.run("opa", "registers", "overdue").stdout
    site.run("opa", "registers", "void", second.id, "--reason", "卡纸")
    assert "份数不符" in site.run("opa", "registers", "reconcile", check=5).stderr
