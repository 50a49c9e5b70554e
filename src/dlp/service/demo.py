"""Four files as they pass over the counter of a print shop, for a first look at the gate. Every value is made up."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import docx
from docx.shared import Pt

from dlp import account as accounts
from dlp.errors import Conflict
from dlp.model import Say, evolve
from dlp.rights import ROLES, Role
from dlp.service.people import SETUP, new
from dlp.store.sqlite import SqliteStore

# Valid check digits, invented people: region and date of birth are arbitrary, the numbers belong to nobody known.
PEOPLE = (
    ("赵一鸣", "110101199003071233", "6200000000000005"),
    ("钱二宁", "310104198512154565", "6200000000000013"),
    ("孙三立", "440305200102287898", "6200000000000021"),
    ("李思远", "510107197811010248", "6200000000000039"),
    ("周五福", "330106201210203158", "6200000000000047"),
    ("吴六合", "440524188001010014", "6200000000000054"),
)


def put(folder: Path) -> tuple[str, ...]:
    """Write the demo files that are not there yet into `folder`; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "1-会议场地答复函.docx": _letter(),
        "2-工作方案（带密级）.docx": _marked(),
        "3-职工工资发放表.xlsx": _payroll(),
        "4-房屋租赁合同.docx": _contract(),
    }
    for name, content in files.items():
        part = folder / f"{name}.part"
        part.write_bytes(content)
        part.rename(folder / name)
    return tuple(files)


def _letter() -> bytes:
    return _document(
        "关于借用会议场地的答复函",
        (
            "市民之家服务中心：",
            "你单位来函收悉。经研究，同意借用三楼多功能厅举办便民服务宣传活动，时间为下周三上午九点。",
            "请活动结束后恢复场地原状，并做好垃圾分类。",
            "特此函复。",
        ),
    )


def _marked() -> bytes:
    return _document(
        "关于专项工作的实施方案",
        ("各处室：", "现将有关事项通知如下，请按要求组织实施。", "一、总体安排。二、任务分工。三、有关要求。"),
        first="机密★10年",
    )


def _contract() -> bytes:
    lessor, tenant = PEOPLE[0], PEOPLE[1]
    return _document(
        "房屋租赁合同",
        (
            f"出租方（甲方）：{lessor[0]}，身份证号：{lessor[1]}",
            f"承租方（乙方）：{tenant[0]}，身份证号：{tenant[1]}",
            "甲、乙双方经协商一致，订立本合同，共同遵守。",
            "第一条 房屋坐落于建设路十二号，建筑面积九十平方米，用途为居住。",
            "第二条 租赁期限一年，每月租金三千元，按季支付。",
            f"第三条 租金汇入甲方银行卡，卡号：{lessor[2]}。",
            "甲方（签字）：　　　　　　乙方（签字）：",
        ),
    )


def _payroll() -> bytes:
    head = ("序号", "姓名", "身份证号", "岗位工资", "绩效工资", "公积金", "个税", "实发工资", "银行卡号")
    rows = [
        (str(n), name, number, "5200", str(2600 + 130 * n), "936", str(41 + 7 * n), str(6823 + 123 * n), card)
        for n, (name, number, card) in enumerate(PEOPLE, 1)
    ]
    return _workbook("工资发放表", (("职工工资发放表",), head, *rows))


def _document(title: str, paragraphs: Iterable[str], first: str = "") -> bytes:
    made = docx.Document()
    if first:
        run = made.add_paragraph().add_run(first)
        run.bold, run.font.size = True, Pt(16)
    made.add_heading(title, level=1)
    for text in paragraphs:
        made.add_paragraph(text)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def _workbook(name: str, rows: Sequence[Sequence[str]]) -> bytes:
    """Return the smallest workbook that Office opens: one sheet of inline strings."""
    cells = "".join(
        f'<row r="{y}">'
        + "".join(
            f'<c r="{chr(65 + x)}{y}" t="inlineStr"><is><t>{escape(text)}</t></is></c>' for x, text in enumerate(row)
        )
        + "</row>"
        for y, row in enumerate(rows, 1)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    sheet_type = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{sheet_type}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{sheet_type}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        f'<sheet name="{escape(name)}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package_file:
        for part, xml in parts.items():
            package_file.writestr(part, '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>' + xml)
    return out.getvalue()


CAST: tuple[tuple[str, str, str, tuple[Role, ...]], ...] = (
    ("op", "文小印", "业务处", (Role.OPERATOR,)),
    ("rev", "保小密", "保密办", (Role.REVIEWER,)),
    ("cls", "定小密", "保密办", (Role.CLASSIFIER,)),
    ("head", "部小门", "业务处", (Role.DEPARTMENT_HEAD,)),
    ("secr", "秘小书", "秘书处", (Role.SECRETARIAT_HEAD,)),
    ("lead", "管小领", "分管领导", (Role.LEADER,)),
    ("sys", "系小统", "信息中心", (Role.SYSTEM,)),
    ("sec", "安小全", "信息中心", (Role.SECURITY,)),
    ("aud", "审小计", "审计处", (Role.AUDITOR,)),
)
"""Invented people, one for each role."""


def people(store: SqliteStore) -> list[tuple[Say, str, str, str]]:
    """Lay out the invented people at a site that has nobody; return role, account, name and password of each.

    For a gate that shows itself: on a real site each account is added by two persons. Conflict where there is somebody.
    """
    rows, made = [], []
    for id_, name, unit, roles in CAST:
        password = accounts.one_time()
        fresh = new(id_, name, f"demo-{id_}", password="", unit=unit, roles=roles)
        made.append(accounts.with_password(fresh, password, fresh.at))
        rows.append((ROLES[roles[0]], id_, name, password))
    with store.change() as entry:
        if entry.records(accounts.ACCOUNTS):
            raise Conflict(Say("已有账号，不能再布置演示人员", "there are accounts already"))
        for one in made:
            entry.put(accounts.ACCOUNTS, evolve(one, version=1))
        entry.append(SETUP, "accounts-begun", "", {"accounts": sorted(one.id for one in made), "demo": True})
    return rows
