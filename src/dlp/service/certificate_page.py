"""The certificate on paper: 《脱敏处理证明》 as a Word file, the same facts as in the signed one, with a QR code.

The page proves nothing by itself: its QR code tells which signed certificate and which file it speaks of.
"""

from __future__ import annotations

from itertools import islice

from dlp import certificate, told
from dlp.certificate import Signed
from dlp.model import Mode, Reach, Style
from dlp.service import certify, paper

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
    page = paper.sheet(TITLE, unit=signed.unit, moment=signed.issued)
    paper.line(page, f"编号：{digest[:16].upper()}", size=10.5, centred=True)
    paper.grid(page, _facts(signed), widths=(4.0, 12.0))
    paper.line(page, "去除内容", bold=True)
    paper.grid(page, [("类型", "页", "处数", "方式"), *_removed(signed)], widths=(7.0, 2.0, 2.0, 5.0), head=True)
    paper.line(page, "验证情况", bold=True)
    paper.grid(page, [("验证项目", "结果"), *_checks(signed)], widths=(12.0, 4.0), head=True)
    paper.line(page, "核验", bold=True)
    paper.square(page, code(signed.output_sha256, digest))
    for text in _how_to_check(signed, digest):
        paper.line(page, text, size=9)
    paper.line(page, "经办人：　　　　　　　　复核人：　　　　　　　　（单位盖章）　　　　年　　月　　日")
    return paper.bytes_of(page)


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
