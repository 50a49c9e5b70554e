"""Columns that only a person can fill, copies that must add up, and counts of what lies here."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pytest

from clerks import Office, Terminal, closed_office, office
from dlp import ipp
from dlp.approval import CaseState
from dlp.commissions import What
from dlp.copies import COPIES, Copy, CopyState, Printed, copy_id
from dlp.description import DESCRIPTIONS, Given
from dlp.errors import Conflict, Denied, NotFound, StoreError, UsageError
from dlp.ipp import Attribute, Tag, Value
from dlp.model import Level, State, evolve
from dlp.request import Recipient
from dlp.rights import Operation
from dlp.service.cases import Asking
from dlp.service.describing import Describing
from dlp.service.destructions import Handed
from dlp.service.lending import Lending, Ordered
from dlp.service.register_files import export, safe
from dlp.service.registers import REGISTERS, Registers, Span
from dlp.service.stocktaking import Stocktaking, numbers
from dlp.sources import sheets
from dlp.stocktake import STOCKTAKES, Found, Line, compare

__all__ = ["closed_office", "office"]

DAY = 86_400.0


def rows(office: Office, name: str, span: Span | None = None) -> list[dict[str, str]]:
    """Return the rows of a register as the security officer sees them, by column."""
    found, given = Registers(office.acting("rev")).rows(name, span or Span())
    return [dict(zip(found.columns, row, strict=True)) for row in given]


def lending(office: Office, account: str = "opa") -> Lending:
    """Return the copies as somebody sees them."""
    return Lending(office.acting(account))


def counting(office: Office, account: str = "rev") -> Stocktaking:
    """Return the counts as somebody sees them."""
    return Stocktaking(office.acting(account))


def denied(office: Office, way: Callable[[], object], why: str) -> Denied:
    """Assert that something is refused and that the trail says so."""
    with pytest.raises(Denied) as told:
        way()
    *_, event = office.store.events()
    assert (event.kind, event.body["why"]) == ("denied", why)
    return told.value


def changed(office: Office, copy: Copy, **changes: object) -> None:
    """Write another version of a copy, as time or somebody at the books would."""
    with office.store.change() as entry:
        entry.put(COPIES, evolve(copy, version=copy.version + 1, **changes))
        entry.append("test", "changed", "", {})


def destroy(office: Office, *copies: Copy) -> str:
    """Destroy copies that came back, by everybody it takes; return the list."""
    one = office.desk("rev").destructions.draw_up([copy.id for copy in copies], [], reason="会后", method="送销").id
    office.approve(one)
    office.desk("opa").destructions.witness(one)
    office.desk("opb").destructions.witness(one)
    receipt = Handed(
        receipt="销字〔2026〕7号", carriers=("张三", "李四"), destroyer="某销毁中心", place="", at=time.time()
    )
    office.desk("rev").destructions.hand_over(one, receipt)
    asked = office.desk("rev").seconds.ask(Operation.DESTROY_ERASE, one, {})
    office.confirm("hed", asked.id)
    return one


# what is asked for, once


def test_every_column_of_the_print_register_is_filled(office: Office) -> None:
    """From the job, from whoever asked, from whoever wrote it down, and from whoever handed it out."""
    first, second = office.printed(pages=6, paper="A4", stamped=6)
    Describing(office.acting("opb")).note(first.job, Given(doc_no="某发〔2026〕3号", organ="某某厅", originals=2))
    lending(office).pick_up(first.id, "王某", printed=Printed("钱监", 2, "碎纸"))
    one, other = rows(office, "prints")
    assert (one["文号"], one["来文单位"], one["原件份数"]) == ("某发〔2026〕3号", "某某厅", "2")
    assert (one["页数"], one["纸张"], one["复印份数"], one["戳记"]) == ("6", "A4", "1", "已盖 6 页")
    assert (one["监印人"], one["废页数/处理"]) == ("钱监", "2 页，碎纸")
    assert (other["文号"], other["页数"], other["监印人"], other["废页数/处理"]) == ("某发〔2026〕3号", "6", "", "")
    left = {name for name, value in one.items() if not value}
    assert left == {"保密期限", "批准文号", "备注"}, "no term and no consent: it bears no mark of a state secret"
    lending(office).give_back(first.id, by="王某")
    listed = office.desk("rev").destructions.draw_up([first.id], [], reason="会后", method="送销")
    assert listed.pieces[0].pages == 6
    (row,) = rows(office, "destruction")
    assert (row["页数"], row["载体类型"]) == ("6", "纸质")
    assert second.paper == "A4"


def test_the_number_of_a_document_is_given_with_the_request(office: Office) -> None:
    """And is in every register from then on; a second request takes number and issuer from there."""
    job = office.job(State.HELD, level=Level.SENSITIVE, name="甲.docx")
    asking = Asking(
        copies=1, purpose="上会", recipients=(Recipient(name="王某"),), doc_no="某发〔2026〕9号", organ="某某厅"
    )
    office.desk("opa").cases.ask(job.id, asking)
    again = evolve(asking, doc_no="", organ="")
    case = office.desk("opb").cases.ask(job.id, again)
    assert case.request.organ == "某某厅"
    assert [row["文号"] for row in rows(office, "approvals")] == ["某发〔2026〕9号"] * 2
    (went,) = rows(office, "traffic")
    assert (went["文号"], went["来文单位"], went["签收人"]) == ("某发〔2026〕9号", "某某厅", "闸门自动收件")
    told = denied(
        office, lambda: office.desk("opa").cases.ask(job.id, evolve(asking, doc_no="别发〔2026〕1号")), "changed"
    )
    assert "已登记为“某发〔2026〕9号”" in told.say.zh
    assert len(rows(office, "approvals")) == 2
    assert office.desk("opa").cases.state(case) is CaseState.WAITING


def test_what_is_written_down_is_corrected_only_with_a_reason(office: Office) -> None:
    """The same again is nothing new; something else needs a reason; nothing, or what cannot be, is refused."""
    job = office.job(State.RELEASED)
    at = Describing(office.acting("opa"))
    assert at.note(job.id, Given(doc_no="A1", pages=3)).version == 1
    count = len(list(office.store.events()))
    assert at.note(job.id, Given(doc_no=" A1 ")).version == 1
    assert len(list(office.store.events())) == count, "nothing is new, and nothing is written"
    denied(office, lambda: at.note(job.id, Given(doc_no="A2")), "changed")
    assert at.note(job.id, Given(doc_no="A2"), reason="看错").version == 2
    for wrong in (Given(doc_no="x" * 201), Given(organ="a\nb"), Given(pages=-1), Given(originals=100_001)):
        denied(office, lambda wrong=wrong: at.note(job.id, wrong, reason="x"), "incomplete")
    with pytest.raises(UsageError):
        at.note(job.id, Given(doc_no=" "))
    with pytest.raises(NotFound):
        at.note("01NOTHING", Given(doc_no="A"))
    denied(office, lambda: Describing(office.acting("hed")).note(job.id, Given(doc_no="A")), "no-right")
    found = office.store.record(DESCRIPTIONS, job.id)
    assert (found.doc_no, found.pages, found.by) == ("A2", 3, "opa")
    late = evolve(found, version=2)
    with office.store.change() as entry, pytest.raises(Conflict):
        entry.put(DESCRIPTIONS, late)


def test_who_watches_the_printing_is_another_person(office: Office) -> None:
    """And spoilt pages are told with what became of them."""
    first, second = office.printed()
    at = lending(office)
    denied(office, lambda: at.pick_up(first.id, "王某", printed=Printed("opa")), "copies")
    for wrong in (Printed(spoilt=2), Printed(spoilt_how="碎纸"), Printed("钱监", -1, "碎纸")):
        denied(office, lambda wrong=wrong: at.pick_up(first.id, "王某", printed=wrong), "copies")
    assert {copy.state for copy in office.copies(first.job)} == {CopyState.MADE}
    assert at.pick_up(second.id, "王某", printed=Printed("钱监", 1, "碎纸")).spoilt == 1


def test_the_register_of_what_came_tells_who_read_it_and_when_it_came_back(office: Office) -> None:
    """Only once all of it is back; a meeting file carries its number and term from the first day."""
    first, second = office.printed(to=("王某", "李某"))
    at = lending(office)
    at.pick_up(second.id, "李某")
    at.pick_up(first.id, "王某")
    at.give_back(first.id, by="王某")
    (went,) = rows(office, "traffic")
    assert (went["传阅"], went["清退日期"], went["清退人"]) == ("李某、王某", "", "")
    lending(office, "rev").give_back(second.id, by="李某")
    (went,) = rows(office, "traffic")
    assert went["清退日期"]
    assert (went["清退人"], went["接收人"]) == ("王某、李某", "opa、rev")
    due = time.time() + DAY
    at.order(
        Ordered(
            what=What.MEETING, title="材料", client="省会", person="赵某", due=due, doc_no="会〔2026〕1号", term="1年"
        )
    )
    (row,) = rows(office, "meetings")
    assert (row["文号"], row["保密期限"]) == ("会〔2026〕1号", "1年")


@pytest.mark.parametrize(
    ("attributes", "paper"),
    [
        ((ipp.texts("media", Tag.KEYWORD, "iso_a4_210x297mm"),), "A4"),
        ((ipp.texts("media", Tag.KEYWORD, "iso_a3_297x420mm"),), "A3"),
        ((ipp.texts("media", Tag.KEYWORD, "na_letter_8.5x11in"),), "Letter"),
        ((ipp.texts("media", Tag.KEYWORD, "jis_b5_182x257mm"),), "B5"),
        ((ipp.texts("media", Tag.KEYWORD, "custom_机密方案_100x200mm"),), "100×200 mm"),
        ((ipp.texts("media", Tag.KEYWORD, "机密方案"),), ""),
        ((ipp.texts("media", Tag.KEYWORD, "x_0x0mm"),), ""),
        ((ipp.texts("PageSize", Tag.KEYWORD, "A4"),), "A4"),
        ((ipp.texts("media", Tag.KEYWORD, "iso-a5"),), "A5"),
        ((), ""),
    ],
)
def test_the_paper_is_known_by_its_size(attributes: tuple[Attribute, ...], paper: str) -> None:
    """A made-up name says nothing: it may be the title of a file."""
    assert sheets.asked(attributes) == paper


def test_the_paper_of_a_collection() -> None:
    """`media-col` says the size in hundredths of a millimetre, either side first; a range is no size."""

    def column(across: Attribute, along: Attribute) -> tuple[Attribute, ...]:
        size = Attribute("media-size", (Value(Tag.BEGIN, b"", (across, along)),))
        return (Attribute("media-col", (Value(Tag.BEGIN, b"", (size,)),)),)

    x, y = ipp.integers("x-dimension", 29_700), ipp.integers("y-dimension", 21_000)
    assert sheets.asked(column(x, y)) == "A4"
    odd = Attribute("y-dimension", (Value(Tag.RANGE, b"\0" * 8),))
    assert sheets.asked(column(x, odd)) == ""
    named = Attribute("media-size-name", (Value(Tag.KEYWORD, b"iso_a4_210x297mm"),))
    assert sheets.asked((Attribute("media-col", (Value(Tag.BEGIN, b"", (named,)),)),)) == "A4"


# approved = printed = returned + destroyed


def account(office: Office, job: str) -> tuple[tuple[int, ...], bool, tuple[int, ...]]:
    """Return approved, printed, made, out, returned, destroyed; whether they differ; and which are open."""
    (one,) = [one for one in lending(office).reconcile() if one.job == job]
    return tuple(one.account), one.account.differs, one.open


def test_fewer_were_printed_than_approved(office: Office) -> None:
    """It is told until somebody strikes what never came out; what the printer was told to print still counts."""
    copies = office.printed(copies=3)
    job = office.store.get(copies[0].job)
    assert account(office, job.id) == ((3, 3, 3, 0, 0, 0), False, (1, 2, 3))
    with office.store.change() as entry:  # as a printer that says that two came out
        item = evolve(job.item, copies=2)
        entry.db.execute("DELETE FROM job WHERE id = ?", (job.id,))
        entry.add(evolve(job, item=item))
        entry.append("test", "fewer", job.id, {})
    assert account(office, job.id)[1], "two were printed, and three have a row"
    lending(office).strike(copies[2].id, reason="卡纸")
    assert account(office, job.id) == ((3, 2, 2, 0, 0, 0), False, (1, 2))


def test_one_is_missing(office: Office) -> None:
    """What nobody brought back stays open by its number and is overdue; a count of the room names what is not there."""
    copies = office.printed(copies=3, due=time.time() + DAY)
    at = lending(office)
    at.pick_up(copies[0].id, "王某")
    at.give_back(copies[0].id, by="王某")
    out = at.pick_up(copies[1].id, "王某")
    changed(office, out, due=time.time() - 60)
    assert account(office, out.job) == ((3, 3, 1, 1, 1, 0), False, (2, 3))
    assert [one.id for one in at.overdue()] == [copies[1].id]
    made = counting(office).count([copies[0].id])
    assert made.differs
    assert {line.copy: line.found for line in made.lines} == {
        copies[0].id: Found.THERE,
        copies[1].id: Found.OVERDUE,
        copies[2].id: Found.MISSING,
    }


def test_one_is_returned_twice(office: Office) -> None:
    """The second time is refused, and nothing is counted twice."""
    first, _ = office.printed()
    at = lending(office)
    at.pick_up(first.id, "王某")
    at.give_back(first.id, by="王某")
    before = account(office, first.job)
    told = denied(office, lambda: at.give_back(first.id, by="李某"), "copies")
    assert "已清退" in told.say.zh
    assert account(office, first.job) == before == ((2, 2, 1, 0, 1, 0), False, (2,))


def test_one_is_destroyed_twice(office: Office) -> None:
    """It goes on no second list; it counts once; and lying here afterwards it is one too many."""
    first, second = office.printed()
    for copy in (first, second):
        lending(office).give_back(copy.id, by="王某")
    one = destroy(office, first)
    denied(office, lambda: office.desk("rev").destructions.draw_up([first.id], [], reason="x", method="碎纸"), "copies")
    with pytest.raises(Denied):
        office.desk("rev").destructions.check_to_erase(one)
    assert account(office, first.job) == ((2, 2, 0, 0, 1, 1), False, ())
    made = counting(office).count([first.id, second.id])
    assert [(line.copy, line.found, line.state) for line in made.lines] == [
        (first.id, Found.EXTRA, CopyState.DESTROYED),
        (second.id, Found.THERE, CopyState.RETURNED),
    ]


def test_a_spoilt_copy_is_given_back_and_destroyed_like_any_other(office: Office) -> None:
    """废页 do not change how many copies there are; a copy that is spoilt as a whole ends on a destruction list."""
    first, second = office.printed()
    at = lending(office)
    at.pick_up(first.id, "王某", printed=Printed("钱监", 3, "碎纸"))
    at.give_back(first.id, by="王某")
    assert at.give_back(second.id, by="opa").state is CopyState.RETURNED
    destroy(office, second)
    assert account(office, first.job) == ((2, 2, 0, 0, 1, 1), False, ())
    assert [row["废页数/处理"] for row in rows(office, "prints")] == ["3 页，碎纸", ""]
    assert [row["编号/份号"] for row in rows(office, "destruction")] == [f"{second.id} 2/2"]


# counts


def test_a_count_that_agrees(office: Office) -> None:
    """What is not picked up and what came back lies here; what is out, handed over or not printed yet does not."""
    copies = office.printed(copies=4, due=time.time() + DAY)
    at = lending(office)
    at.pick_up(copies[0].id, "王某")
    for copy in copies[1:3]:
        at.give_back(copy.id, by="王某")
    left = office.desk("rev").destructions.draw_up([copies[2].id], [], reason="x", method="送销").id
    job = office.job(State.HELD, level=Level.SENSITIVE)
    case = office.approved(job)
    clearing = office.desk("opa").cases.cleared(case.id, job, 2)
    office.store.move(job.id, expect=State.HELD, to=State.RELEASING, actor="opa", kind="r", body={}, beside=clearing)
    here = [copies[1].id, copies[2].id, f"{copies[3].job}-4"]
    made = counting(office).count(here, place="保密柜")
    assert (made.differs, made.number(Found.THERE), made.read, made.place) == (False, 3, 3, "保密柜")
    *_, event = office.store.events()
    assert (event.kind, event.actor, event.body["stocktake"], event.body["missing"]) == ("stocktake", "rev", made.id, 0)
    assert event.body["records"].keys() == {f"stocktake:{made.id}"}
    office.approve(left)
    receipt = Handed(receipt="1", carriers=("张三", "李四"), destroyer="某销毁中心", place="", at=time.time())
    office.desk("rev").destructions.hand_over(left, receipt)
    assert not counting(office).count([copies[1].id, copies[3].id]).differs, "what was handed over is not here"
    assert counting(office).count(here).number(Found.EXTRA) == 1
    assert len(office.store.records(STOCKTAKES)) == 3


def test_a_count_that_differs(office: Office) -> None:
    """Missing, one that is booked as out, one of another unit, one that nobody knows, one that was read in twice."""
    first, second = office.printed()
    other, _ = office.printed(name="乙.docx")
    lending(office).pick_up(first.id, "王某")
    changed(office, office.store.record(COPIES, other.id), unit="别的科")
    stranger = copy_id("01ZZZZZZZZZZZZZZZZZZZZZZZZ", 7)
    code = f"DLPS1:{other.job}:{1}/2"
    made = counting(office).count([first.id, code, code, stranger], unit="综合科")
    assert {(line.copy, line.found) for line in made.lines} == {
        (first.id, Found.EXTRA),
        (second.id, Found.MISSING),
        (other.id, Found.EXTRA),
        (other.id, Found.REPEATED),
        (copy_id(other.job, 2), Found.MISSING),
        (stranger, Found.EXTRA),
    }
    unknown = next(line for line in made.lines if line.copy == stranger)
    assert unknown == Line(copy=stranger, found=Found.EXTRA)
    assert made.differs
    *_, event = office.store.events()
    assert event.body["differs"] is True
    shown = {(row["编号"], row["清点结果"]): row for row in rows(office, "stocktakes")}
    assert shown[stranger, "多出"]["账面状态"] == "账上没有"
    assert (shown[first.id, "多出"]["账面状态"], shown[first.id, "多出"]["持有人"]) == ("借出", "王某")
    assert shown[second.id, "缺少"]["文件名称"] == "通知.docx"


def test_what_is_no_count(office: Office) -> None:
    """Words that are no numbers are not repeated and nothing is written; nobody but the security officer counts."""
    first, _ = office.printed()
    before = len(list(office.store.events()))
    for wrong in (["某某人事任免方案"], [first.id, ""], [f"{first.job}-"], ["-001"], [f"DLPS1:{first.job}:/2"]):
        with pytest.raises(UsageError) as told:
            counting(office).count(wrong)
        assert "方案" not in told.value.say.zh
    for words in ({"place": "x" * 201}, {"note": "a\nb"}, {"unit": "\x00"}):
        with pytest.raises(UsageError):
            counting(office).count([], **words)
    assert len(list(office.store.events())) == before
    assert office.store.records(STOCKTAKES) == ()
    for who in ("opa", "hed", "lea", "aud"):
        denied(office, lambda who=who: counting(office, who).count([first.id]), "no-right")


def test_numbers_are_read_from_a_file(tmp_path: Path) -> None:
    """A column by its title, else the first; UTF-8 with or without a mark, or GB18030; nothing that is no text."""
    path = tmp_path / "清点.csv"
    for raw in (
        "编号\r\nA-1\r\n\r\nA-2\r\n".encode("utf-8-sig"),
        "文件,编号\n方案,A-1\n方案,A-2\n".encode("gb18030"),
        b"A-1\nA-2",
        b"title,copy\nx,A-1\ny,A-2\n",
    ):
        path.write_bytes(raw)
        assert numbers(path) == ["A-1", "A-2"]
    path.write_bytes(b"")
    assert numbers(path) == []
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(UsageError):
        numbers(path)
    with pytest.raises(UsageError):
        numbers(tmp_path / "missing")


def test_each_copy_has_one_result_whatever_is_read() -> None:
    """Every copy that must be here is there or missing; every number that was read stands in exactly one line."""
    here = [Copy(id=f"j-{n:03d}", job="j", case="c", number=n, total=9, title="t", at=1.0) for n in range(1, 5)]
    out = Copy(id="j-009", job="j", case="c", number=9, total=9, title="t", at=1.0, state=CopyState.OUT, due=5.0)
    for mask in range(64):
        read = [copy.id for n, copy in enumerate([*here, out]) if mask >> n & 1] + ["k-001"] * (mask >> 5 & 1)
        lines = compare(here, [out], read, now=9.0)
        assert [line.copy for line in lines] == sorted({*(c.id for c in here), out.id, *read})
        assert sum(line.found is Found.MISSING for line in lines) == sum(copy.id not in read for copy in here)
        late = next(line for line in lines if line.copy == out.id)
        assert late.found is (Found.EXTRA if out.id in read else Found.OVERDUE)
    assert compare([], [out], [], now=5.0) == ()


def test_a_count_is_exported_as_a_form(office: Office, tmp_path: Path) -> None:
    """As a workbook, as a form with lines to sign, and as text; each has every line of the count."""
    first, _ = office.printed()
    counting(office).count([first.id], place="=1+1")
    for format_ in ("xlsx", "docx", "csv"):
        out = tmp_path / f"清点.{format_}"
        assert export(office.acting("rev"), "stocktakes", Span(), format=format_, out=out).rows == 2
    sheet = openpyxl.load_workbook(tmp_path / "清点.xlsx").active
    assert tuple(cell.value for cell in sheet[1]) == REGISTERS["stocktakes"].columns
    form = docx.Document(str(tmp_path / "清点.docx"))
    assert "监督人签字：" in "\n".join(paragraph.text for paragraph in form.paragraphs)
    assert "'=1+1" in (tmp_path / "清点.csv").read_text(encoding="utf-8-sig")


# no formula from anywhere

EVIL = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    " =1",
    "\u3000=1",
    "\u200b=1",
    "﹢1",
)


@pytest.mark.parametrize("text", EVIL)
def test_every_way_to_begin_a_formula(text: str) -> None:
    """Behind blanks and what is not shown, and in full width, a sign is a sign."""
    assert safe(text) == f"'{text}"


def test_no_name_title_or_unit_is_a_formula(office: Office, tmp_path: Path) -> None:
    """Job titles, requesters, holders, units, issuers, numbers: in every column of every register."""
    seen = set()
    for text in EVIL:
        first, second = office.printed(name=f"{text}.docx", to=(f"{text}某".strip(), "王某"))
        at = lending(office)
        at.pick_up(first.id, f"{text}某".strip(), printed=Printed(f"{text}监", 1, text))
        at.give_back(first.id, by=f"{text}某")
        at.strike(second.id, reason=text)
        if text.isprintable():
            Describing(office.acting("opa")).note(first.job, Given(doc_no=text, organ=text, serial=text, paper=text))
        at.order(Ordered(what=What.COMMISSION, title=text, client=text or "x", person=text, unit=f"{text}科"))
        at.order(Ordered(what=What.MEETING, title=text, client=text, person=text, due=1.0, doc_no=text, term=text))
    destroyed = [copy.id for copy in office.store.records(COPIES) if copy.state is CopyState.RETURNED]
    office.desk("rev").destructions.draw_up(destroyed, [], reason="=1", method="送销")
    counting(office).count(destroyed, place="=1", note="+1", unit="")
    for name in REGISTERS:
        out = tmp_path / f"{name}.csv"
        export(office.acting("rev"), name, Span(), format="csv", out=out)
        found = list(csv.reader(io.StringIO(out.read_bytes().decode("utf-8-sig"), newline="")))
        assert len(found) > 1, name
        for row in found[1:]:
            for cell in row:
                assert not cell.strip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "﹢")), (name, cell)
                seen |= {cell[0]} if cell.startswith("'") else set()
    assert seen == {"'"}


# at the command line


@pytest.mark.timeout(600)
def test_the_whole_way_at_the_command_line(office: Office, tmp_path: Path) -> None:
    """Asked for with its number, described, handed out, counted: twice in agreement with the books, once not."""
    site = Terminal(office.root)
    job = office.job(State.HELD, level=Level.SENSITIVE)
    words = ("--copies", "2", "--purpose", "上会", "--to", "王某", "--docno", "某发〔2026〕3号")
    site.run("opa", "quarantine", "request", job.id, *words)
    (noted,) = site.json("opa", "registers", "note", job.id, "--organ", "某某厅", "--pages", "4")
    assert (noted["doc_no"], noted["organ"], noted["pages"]) == ("某发〔2026〕3号", "某某厅", 4)
    said = site.run("opa", "registers", "note", job.id, "--docno", "别号", check=9).stderr
    assert "一次登记即可" in said
    assert (
        "given once" in site.run("opa", "registers", "note", job.id, "--docno", "别号", "--lang", "en", check=9).stderr
    )
    first, second = office.printed()
    extra = ("--supervised-by", "钱监", "--spoilt", "1", "--spoilt-how", "碎纸")
    (picked,) = site.json("opa", "registers", "pick-up", first.id, "--to", "王某", *extra)
    assert (picked["supervisor"], picked["spoilt"], picked["spoilt_how"]) == ("钱监", 1, "碎纸")
    listed = tmp_path / "清点.csv"
    listed.write_text(f"编号,位置\n{second.id},柜一\n", encoding="utf-8-sig")
    (made,) = site.json("rev", "registers", "count", "--from", str(listed), "--place", "保密室")
    assert (made["differs"], made["there"], made["place"]) == (False, 1, "保密室")
    told = site.run("rev", "registers", "count", first.id, check=StoreError.exit)
    assert "账实不符" in told.stderr
    assert "缺少" in told.stdout
    told = site.run("rev", "registers", "count", first.id, "--lang", "en", check=StoreError.exit)
    assert "does not agree with the books" in told.stderr
    site.run("opa", "registers", "count", second.id, check=9)
    site.run("rev", "registers", "count", "不是编号", check=2)
    assert len(site.json("rev", "registers", "show", "stocktakes")) == 5
    site.run("aud", "audit", "verify")
