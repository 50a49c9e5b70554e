"""What a child says in ASCII is told to people in their words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dlp import told
from dlp.model import Check, Gap, GapKind

FORMATS = Path(__file__).resolve().parents[1] / "src" / "dlp" / "formats"


def clauses(kind: str) -> list[str]:
    """Every clause with which a format refuses a redaction or a stamp, as it is written in its code."""
    found = set()
    for path in FORMATS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == kind
            if named and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    return sorted(found)


def test_every_refusal_has_chinese_words() -> None:
    """A clause of a redactor has a sentence in `told.CLAUSES`: an operator does not read English."""
    assert len(clauses("NotRedactable")) > 40
    assert [clause for clause in clauses("NotRedactable") if clause not in told.CLAUSES] == []
    assert len(clauses("NotStampable")) > 6
    assert [clause for clause in clauses("NotStampable") if clause not in told.UNSTAMPED] == []


@pytest.mark.parametrize(
    ("gap", "zh", "en"),
    [
        (
            Gap(kind=GapKind.UNSUPPORTED, detail="it carries a digital signature"),
            "含数字签名，改动后签名失效",
            "it cannot be redacted: it carries a digital signature",
        ),
        (
            Gap(kind=GapKind.UNSUPPORTED, detail="there is no redaction for application/msword"),
            "此类文件暂不能脱敏：application/msword",
            "it cannot be redacted: there is no redaction for application/msword",
        ),
        (
            Gap(kind=GapKind.UNSUPPORTED, detail="a new clause"),
            "其中有内容无法安全去除（a new clause）",
            "it cannot be redacted: a new clause",
        ),
        (
            Gap(kind=GapKind.TIMEOUT, detail="longer than limits.wall_seconds"),
            "脱敏超时（longer than limits.wall_seconds）",
            "redacting it took too long (longer than limits.wall_seconds)",
        ),
    ],
)
def test_a_refusal_is_told(gap: Gap, zh: str, en: str) -> None:
    """Why there is no copy is one sentence; what is not known is shown as it is."""
    assert told.stopped(gap).zh == zh
    assert told.stopped(gap).en == en


def test_what_cannot_be_stamped_is_told() -> None:
    """Why there is no stamped copy is one sentence that says that nothing was released."""
    gap = Gap(kind=GapKind.UNSUPPORTED, detail="a page has no free place for a stamp")
    assert told.unstamped(gap).zh == "无法加盖印记，未放行：有页面的页边没有空白处"
    gap = Gap(kind=GapKind.UNSUPPORTED, detail="there is no stamping for application/msword")
    assert told.unstamped(gap).zh == "无法加盖印记，未放行：只有 PDF 能加盖，此为 application/msword"
    assert "it cannot be stamped and was not released: " in told.unstamped(gap).en


def test_a_check_is_told() -> None:
    """A check has a name for people, with the reader that made it; an unknown one keeps its own."""
    assert told.check(Check(name="reopened:pdfminer", state="ok")).zh == "另一程序能打开（pdfminer）"
    assert told.check(Check(name="bytes:rest", state="unavailable")).zh == "字节中查无脱敏内容（其余部分）"
    assert told.check(Check(name="new-one", state="ok")).to("zh") == "new-one"
    bad = told.failed(Check(name="ink", state="fail", detail="there is ink"))
    assert (bad.zh, bad.en) == ("未满足“遮盖处无残留笔画”：there is ink", "ink: there is ink")
