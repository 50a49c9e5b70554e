"""Forms told by their labels, and papers that are restricted by what they are."""

from __future__ import annotations

import pytest

from dlp import packs
from dlp.match import Matcher
from dlp.model import Document, Segment, Slice, Table
from dlp.trial import as_document

HEAD = '[pack]\nid = "p"\nname = "试"\nversion = "1"\ncategory = "c"\n'
RULE = """[[rules]]
id = "f"
name = "合同"
kind = "form"
type = "structure"
labels = [["甲方", "买方"], ["乙方", "卖方"], ["签订日期"], ["合同编号"]]
at_least = 3
filled = 2
within = 200
require = [0]
"""
TITLE = """[[rules]]
id = "k"
name = "纪要"
kind = "class"
type = "document_class"
pattern = "[一-龥]{0,20}党组会议纪要"
unless = ["此件公开发布"]
"""
MATCHER = Matcher(packs.load({"p.toml": HEAD + RULE + TITLE}), key=bytes(32))


def found(document: Document) -> list[tuple[str, int]]:
    """Return rule and count of every finding."""
    return [(f.rule, f.count) for f in MATCHER.find(document)[0]]


def text(*lines: str) -> Document:
    """Return a document whose lines are segments of their own, as a PDF gives them."""
    return Document(media="text/plain", segments=tuple(Segment(text=line) for line in lines))


@pytest.mark.parametrize(
    "lines",
    [
        ("甲方：某局", "乙方：某公司", "签订日期：2026年"),
        ("甲　方（盖章）：某局　　乙 方：某公司", "合同编号: HT-1"),
        ("买方", "某局", "卖方", "某公司", "合同编号", "HT-1"),
        ("甲方\t某局\t乙方\t某公司\t签订日期\t2026年",),
        ("| 甲方 | 某局 | 乙方 | 某公司 | 签订日期 | |",),
    ],
)
def test_labels_with_values_make_a_form(lines: tuple[str, ...]) -> None:
    """On lines, in cells, spaced out, under another name: three labels, two of them filled in."""
    assert found(text(*lines))[0][0] == "p.f"
    assert found(as_document("\n".join(lines)))[0][0] == "p.f"


@pytest.mark.parametrize(
    "lines",
    [
        ("甲方：", "乙方：", "签订日期："),
        ("甲方：____", "乙方：______", "签订日期：  年  月  日"[:5]),
        ("甲方应当付款，乙方应当交货，签订日期另定。",),
        ("乙方：某公司", "签订日期：2026年", "合同编号：1"),
        ("甲方：某局", "乙方：某公司"),
        ("甲方：某局", "乙方：某公司", "文" * 300, "签订日期：2026年"),
    ],
)
def test_what_is_no_filled_form_is_none(lines: tuple[str, ...]) -> None:
    """A blank form, prose, a missing group, too few labels, labels far apart."""
    assert found(text(*lines)) == []


def test_real_cells_of_a_table_are_used() -> None:
    """A label cell and the value in the next cell, each a segment of its own, as a reader of documents gives them."""
    cells = ("甲方", "某局", "乙方", "某公司", "签订日期", "2026年")
    segments = tuple(Segment(text=cell) for cell in cells)
    row = tuple(Slice(n, 0, len(cell)) for n, cell in enumerate(cells))
    document = Document(media="x", segments=segments, tables=(Table(rows=(row,)),))
    (form,) = MATCHER.find(document)[0]
    assert [(s.segment, s.start, s.end) for s in form.slices] == [(0, 0, 2), (2, 0, 2), (4, 0, 4)]
    assert form.masked == "甲方、乙方、签订日期"


def test_a_flood_of_labels_is_looked_at_once_each() -> None:
    """Two hundred thousand labels do not make the search for the window quadratic: it stops at a bounded number."""
    assert found(text("乙方：" * 200_000)) == []
    assert found(text(*["乙方："] * 50_000)) == []


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        (("某局党组会议纪要", "正文"), True),
        (("（第3期）", "某局党组会议纪要", "正文"), True),
        (("关于整理党组会议纪要的通知", "正文"), False),
        (("正文里提到某局党组会议纪要。",), False),
        (("某局党组会议纪要", "（此件公开发布）"), False),
        (("正文",) * 20 + ("某局党组会议纪要",), False),
    ],
)
def test_a_class_is_told_by_a_line_of_the_head(lines: tuple[str, ...], *, held: bool) -> None:
    """The whole line says it, near the top, and nothing says that it is public."""
    assert found(text(*lines)) == ([("p.k", 1)] if held else [])
    assert found(as_document("\n".join(lines))) == ([("p.k", 1)] if held else [])
