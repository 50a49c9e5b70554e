"""The certificate on paper: 《脱敏处理证明》 as a Word file, the same facts as in the signed one, with a QR code.

The page proves nothing by itself: its QR code tells which signed certificate and which file it speaks of.
"""

from __future__ import annotations

import io
from datetime import datetime
from itertools import islice
from typing import Any

import docx
import segno
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.shared import Cm, Pt

from dlp import certificate, told
from dlp.certificate import Signed
from dlp.model import Mode, Reach, Style
from dlp.service import certify

TITLE = "脱敏处理证明"
MOST_ROWS = 200
"""Rows of what was removed that are printed; the signed certificate has all."""
MODES: dict[Mode, str] = {
    Mode.AUTO: "按内容种类",
    Mode.KEEP: "原位去除，其余不动",
    Mode.FIXED_GAP: "等宽留空",
    Mode.RASTER: "整页转为图片",
}
STYLES: dict[Style, str] = {
    Style.BOX: "色块",
    Style.LABEL: "文字标注",
    Style.MASK: "部分遮盖",
    Style.PSEUDONYM: "代称",
}
REACHES: dict[Reach, str] = {Reach.HIT: "命中内容", Reach.CELL: "整个单元格", Reach.ROW: "整行"}


def code(output_sha256: str, digest: str) -> str:
    """Return what the QR code says: the redacted copy and its signed certificate, both by SHA-256.

    Capitals and digits only, so that the code stays coarse enough for a photocopy.
    """
    return f"DLP1:{output_sha256.upper()}:{digest.upper()}"


def draw(signed: Signed) -> bytes:
    """Return the page of a certificate as the bytes of a Word file."""
    digest = certificate.digest(signed)
    page = docx.Document()
    _set_up(page, signed)
    _line(page, TITLE, size=22, bold=True, centred=True)
    _line(page, f"编号：{digest[:16].upper()}", size=10.5, centred=True)
    _grid(page, _facts(signed), widths=(4.0, 12.0))
    _line(page, "去除内容", bold=True)
    _grid(page, [("类型", "页", "处数", "方式"), *_removed(signed)], widths=(7.0, 2.0, 2.0, 5.0), head=True)
    _line(page, "验证情况", bold=True)
    _grid(page, [("验证项目", "结果"), *_checks(signed)], widths=(12.0, 4.0), head=True)
    _line(page, "核验", bold=True)
    page.add_picture(io.BytesIO(_qr(code(signed.output_sha256, digest))), width=Cm(4.2))
    for text in _how_to_check(signed, digest):
        _line(page, text, size=9)
    _line(page, "经办人：　　　　　　　　复核人：　　　　　　　　（单位盖章）　　　　年　　月　　日")
    out = io.BytesIO()
    page.save(out)
    return out.getvalue()


def _facts(signed: Signed) -> list[tuple[str, ...]]:
    rows = [
        ("处理单位", signed.unit),
        ("签发时间", f"{signed.issued.replace('T', ' ').rstrip('Z')}（UTC）"),
        ("任务编号", signed.job or "（命令行处理）"),
        ("文件类型", signed.media),
        ("原件 SHA-256", signed.input_sha256),
        ("原件封存摘要", signed.input_seal),
        ("脱敏件 SHA-256", signed.output_sha256),
        ("脱敏方式", f"{MODES[signed.mode]}；替换为{STYLES[signed.style]}；范围为{REACHES[signed.reach]}"),
        ("规则包版本", signed.packs),
        ("策略版本", signed.policy),
    ]
    return [row for row in rows if row[1]]


def _removed(signed: Signed) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (one.name or one.type, str(one.page or "—"), str(one.count), certify.how(one.how).zh)
        for one in islice(signed.removed, MOST_ROWS)
    ]
    if len(signed.removed) > MOST_ROWS:
        rows.append((f"（另有 {len(signed.removed) - MOST_ROWS} 行，见电子证明）", "", "", ""))
    return rows or [("没有需要去除的内容", "—", "0", "—")]


def _checks(signed: Signed) -> list[tuple[str, ...]]:
    return [(told.check(check).zh, certify.STATES[check.state].zh) for check in signed.checks]


def _how_to_check(signed: Signed, digest: str) -> list[str]:
    software = "，".join(f"{name} {version}" for name, version in sorted(signed.software.items()))
    return [
        f"电子证明编号：{digest}",
        f"签署密钥：{signed.key_id}（Ed25519）",
        "核验命令：dlp verify 脱敏件 --certificate 证明.json（不联网）。二维码内为脱敏件的 SHA-256 和电子证明编号。",
        "本页为打印件，以电子证明的签名为准；本页不含任何被去除的内容。",
        f"软件：{software}",
    ]


def _qr(text: str) -> bytes:
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="png", scale=8, border=4)
    return out.getvalue()


def _set_up(page: Any, signed: Signed) -> None:
    section = page.sections[0]
    section.page_width, section.page_height = Cm(21.0), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.5)
    section.top_margin = section.bottom_margin = Cm(2.2)
    font = page.styles["Normal"].font
    font.name, font.size = "Times New Roman", Pt(10.5)
    # Word takes the face of Han characters from an attribute of its own.
    page.styles["Normal"].element.rPr.rFonts.set(qn("w:eastAsia"), "宋体")
    about = page.core_properties
    moment = datetime.strptime(signed.issued, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007  the library wants naive UTC
    about.author, about.title, about.comments = _printable(signed.unit)[:200], TITLE, ""
    about.created = about.modified = moment


def _line(page: Any, text: str, *, size: float = 10.5, bold: bool = False, centred: bool = False) -> None:
    paragraph = page.add_paragraph()
    run = paragraph.add_run(_printable(text))
    run.bold, run.font.size = bold, Pt(size)
    paragraph.paragraph_format.space_after = Pt(3)
    if bold and not centred:
        paragraph.paragraph_format.keep_with_next = True
    if centred:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER


def _grid(page: Any, rows: list[tuple[str, ...]], *, widths: tuple[float, ...], head: bool = False) -> None:
    table = page.add_table(rows=0, cols=len(widths), style="Table Grid")
    table.autofit = False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Cm(width)
    for number, row in enumerate(rows):
        cells = table.add_row().cells
        for cell, text, width in zip(cells, row, widths, strict=True):
            cell.width = Cm(width)
            run = cell.paragraphs[0].add_run(_printable(text))
            run.font.size, run.bold = Pt(9), head and number == 0


def _printable(text: str) -> str:
    """Return a text without what XML cannot hold: the name of a unit may hold anything."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\u3000")
