"""Classification marks are found, read and told from ordinary words by how and where they stand."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dlp import marks
from dlp.marks import term
from dlp.model import Document, Level, Regime, Segment, Slice, Strip, Table, Zone
from dlp.text import normalize

DOMAIN = Path(__file__).resolve().parents[1].parent / "shared" / "domain"
needs_domain = pytest.mark.skipif(not DOMAIN.exists(), reason="the domain facts lie beside a checkout, not in it")

# Families that only raise or lower the score of others.
CUES = {"urgency", "copy_no", "declass", "negation", "form_options", "state_star_template"}


class Families(NamedTuple):
    """The part of a rule that marks read."""

    families: tuple[str, ...] = ()


def find(*texts: str | Segment, families: tuple[str, ...] = (), tables: tuple[Table, ...] = ()) -> list[marks.Hit]:
    """All hits in a document of these paragraphs."""
    segments = tuple(t if isinstance(t, Segment) else Segment(text=t) for t in texts)
    document = Document(media="text/plain", segments=segments, tables=tables)
    return list(marks.find(normalize(segments), Families(families), document))


def seen(*texts: str | Segment) -> list[marks.Hit]:
    """The hits that a person would be shown: marks and suspects."""
    return [hit for hit in find(*texts) if hit.status != "mention"]


def example(text: str) -> Segment:
    """An example of the fact sheet as it would stand: a name with an ending is a file name."""
    return Segment(text=text, zone=Zone.FILE_NAME if text.endswith((".docx", ".xlsx")) else Zone.BODY)


def families() -> list[dict[str, Any]]:
    """The families of the domain expert; empty where the file is absent."""
    path = DOMAIN / "marks.json"
    return json.loads(path.read_text(encoding="utf-8"))["families"] if path.exists() else []


def traps() -> list[dict[str, Any]]:
    """The word-border traps of the domain expert; empty where the file is absent."""
    path = DOMAIN / "traps.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


@needs_domain
@pytest.mark.parametrize("family", families(), ids=lambda f: f["id"])
def test_the_experts_examples_are_found_and_the_counterexamples_are_not(family: dict[str, Any]) -> None:
    """marks.json: positives are at least suspects, negatives at most mentions; cue families alone give no mark."""
    for text in family["positive_examples"]:
        hits = seen(example(text))
        if family["id"] in CUES:
            assert not [h for h in hits if h.status == "MARK"], (text, hits)
        else:
            assert hits, text
    for text in family["negative_examples"]:
        if family["id"] in CUES:
            continue  # the opposite of a cue may well be a mark: 机密★20年 is none of the negations
        assert seen(example(text)) == [], text


@needs_domain
def test_every_boundary_and_meaning_trap_is_silent() -> None:
    """traps.json: 302 word-border traps and 34 sentences that only speak of secrets give neither mark nor suspect."""
    rows = [r for r in traps() if not r["kind"].startswith("positive")]
    assert len(rows) > 300
    loud = {r["sentence"]: [h.why for h in seen(r["sentence"])] for r in rows if seen(r["sentence"])}
    assert loud == {}


@needs_domain
def test_every_mark_among_the_traps_is_a_mark() -> None:
    """traps.json: positive:mark rows are marks, not just suspects."""
    rows = [r for r in traps() if r["kind"].startswith("positive:mark")]
    assert rows
    assert [r["sentence"] for r in rows if "MARK" not in {h.status for h in find(r["sentence"])}] == []


@needs_domain
def test_the_seed_regulations_give_no_mark_and_no_suspect() -> None:
    """seed.txt says 绝密 6, 机密 18, 秘密 42 times and is no secret."""
    assert seen((DOMAIN / "seed.txt").read_text(encoding="utf-8")) == []


@needs_domain
def test_levels_and_terms_of_the_expiry_cases() -> None:
    """marks.json expiry_cases: level, normalized term and issue are read as the expert reads them."""
    cases = json.loads((DOMAIN / "marks.json").read_text(encoding="utf-8"))["expiry_cases"]
    for case in cases:
        (hit,) = seen(case["mark"])
        assert hit.mark.term == case["term"], case
        if case["level"] in {level.value for level in Level}:
            assert hit.mark.level is Level(case["level"])
        assert (term.TOO_LONG in hit.mark.issues) == ("异常" in case["status_on_2026_11_23"])
        assert (term.MISUSED in hit.mark.issues) == ("标志使用不当" in case["status_on_2026_11_23"])


def test_a_letterhead_in_the_standard_form_is_a_mark() -> None:
    """Copy number, level with star and term, urgency, issuer: GB/T 9704-2012."""
    (hit,) = seen("000123", "机密★20年", "特急", "中共某某市委办公室文件", "关于印发保密管理办法的通知")
    assert (hit.status, hit.mark.level, hit.mark.term) == ("MARK", Level.CONFIDENTIAL, "20年")
    assert "star" in hit.why
    assert hit.confidence >= 0.9


def test_the_older_form_with_a_spread_level_is_a_mark() -> None:
    """机　密 at the top of a page (GB/T 9704-1999), without star or term: a mark whose term is missing."""
    (hit,) = seen("机　密", "某某县人民政府文件")
    assert hit.status == "MARK"
    assert hit.mark.issues == (term.NO_TERM,)


def test_a_mark_line_joined_with_the_next_one_is_still_alone() -> None:
    """The view drops the break between two Han lines; the mark keeps its line all the same."""
    (hit,) = seen("关于某事项的通知\n机密\n关于人员调整的方案如下，请各处认真研究。")
    assert hit.status == "MARK"


def test_two_lines_of_prose_that_meet_are_no_level() -> None:
    """打印机 / 密码 meet at a line break as 机密; that is no word and no mark."""
    assert seen("请不要把文件留在打印机\n密码由管理员设置。") == []


def test_a_level_set_upright_in_a_stamp_is_found() -> None:
    """A text box with one character a line reads 机 / 密."""
    hits = seen(Segment(text="机\n密", zone=Zone.TEXT_BOX))
    assert [h.status for h in hits] == ["MARK"]


def test_header_zone_and_metadata_raise_a_bare_level() -> None:
    """机密 alone deep in the body is a suspect; in the header part or the properties it is a mark."""
    body = [f"第{n}段普通文字内容。" for n in range(1, 9)]
    assert [h.status for h in seen(*body, "机密", *body)] == ["SUSPECT"]
    assert [h.status for h in seen(*body, Segment(text="机密", zone=Zone.HEADER))] == ["MARK"]
    assert [h.status for h in seen(*body, Segment(text="密级：机密", zone=Zone.METADATA))] == ["MARK"]


def test_file_names_carry_marks_in_brackets_and_suspects_between_underscores() -> None:
    """【机密】…docx is a mark, 2024_机密_….docx a suspect, 机密文件管理办法.docx a word."""
    named = {
        "【机密】关于人员调整的方案.docx": ["MARK"],
        "2024_机密_方案.docx": ["SUSPECT"],
        "机密文件管理办法.docx": [],
        "关于机密文件管理的通知.docx": [],
    }
    for name, expected in named.items():
        assert [h.status for h in seen(Segment(text=name, zone=Zone.FILE_NAME))] == expected, name


def strip(page: int, y0: float, *, size: float = 16.0, face: str = "SimHei", colour: str = "#000000") -> Strip:
    """A line on a page at height `y0`."""
    return Strip(page=page, x0=80, y0=y0, x1=200, y1=y0 + 16, edges=b"", size=size, face=face, colour=colour)


def test_place_face_and_colour_on_the_page_count() -> None:
    """High on page 1, black face of 16 pt, red: each adds; low on page 3 they do not."""
    high = Segment(text="机密", strip=strip(1, 110, colour="#ff0000"))
    low = Segment(text="机密", strip=strip(3, 600, face="FangSong"))
    (first,), (second,) = seen(high), seen(low)
    assert first.status == "MARK"
    assert {"first-lines+2", "face+1", "red+1"} <= set(first.why)
    assert second.status == "SUSPECT"


def test_a_running_header_of_a_page_layout_is_recognised_by_repetition() -> None:
    """The same short line at the same height on several pages counts as a header."""
    pages = [Segment(text="内部资料", strip=strip(n, 40, face="", size=9)) for n in range(2, 5)]
    hits = seen(*pages)
    assert [h.status for h in hits] == ["MARK"] * 3
    assert all("header+3" in h.why for h in hits)


def test_a_label_in_its_own_cell_marks_the_next_cell() -> None:
    """密级 | 机密 as two cells of a cover table."""
    hits = seen("密级", "机密", "份数", "12")
    assert [(h.status, h.mark.level) for h in hits] == [("MARK", Level.CONFIDENTIAL)]


def test_a_cell_of_a_row_stands_alone() -> None:
    """In a register row the level has its cell to itself, although other cells touch it."""
    row = Segment(text="关于某事的通知机密12")
    cells = (Slice(0, 0, 7), Slice(0, 7, 9), Slice(0, 9, 11))
    table = Table(rows=(cells,))
    hits = [h for h in find(row, tables=(table,)) if h.status != "mention"]
    assert hits
    assert "alone+3" in hits[0].why


def test_a_negation_never_cancels_a_star() -> None:
    """此件公开发布 beside 机密★20年 does not make it public; a declassification note makes it a suspect."""
    assert [h.status for h in seen("机密★20年", "（此件公开发布）")] == ["MARK"]
    (hit,) = seen("机密★20年", "已解密")
    assert (hit.status, hit.why[-1].startswith("declassified")) == ("SUSPECT", True)


def test_an_exam_paper_is_its_own_regime() -> None:
    """绝密★启用前 belongs to the exam regime and needs no legal maximum."""
    (hit,) = seen("绝密★启用前　　　　　　　　　　2026年模拟考试", "语文")
    assert (hit.status, hit.mark.regime, hit.mark.term, hit.mark.issues) == ("MARK", Regime.EXAM, "启用前", ())


def test_a_star_on_a_work_or_commercial_secret_is_misuse() -> None:
    """The star is for state secrets only (保守国家秘密法, article 22)."""
    for text, regime in (("工作秘密★3年", Regime.WORK), ("核心商密★长期", Regime.COMMERCIAL)):
        (hit,) = [h for h in seen(text) if h.mark.regime is regime]
        assert hit.mark.issues == (term.MISUSED,)


def test_a_legal_internal_publication_is_a_mention_only() -> None:
    """内部资料 with a printing permit is a class of publication, not a leak."""
    assert seen("内部资料　免费交流", "准印证号：省内资准字第0001号") == []


def test_a_rule_gets_only_its_families() -> None:
    """A rule that names families hears of no other."""
    both = ("机密★20年", "内部资料　注意保存")
    assert {h.mark.regime for h in find(*both, families=("internal",))} == {Regime.WORK}
    assert {h.mark.regime for h in find(*both, families=("state_star",))} == {Regime.STATE}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("10年", "10年"),
        ("十年", "10年"),
        ("二十年", "20年"),
        ("一百二十天", "120日"),
        ("6个月", "6个月"),
        ("6 月", "6个月"),
        ("永久", "长期"),
        ("启用前", "启用前"),
        ("2027年12月31日", "2027-12-31"),
        ("2027 年 3 月", "2027-03"),
        ("2027-3-1", "2027-03-01"),
        ("会议开始前", "会议开始前"),
        ("", None),
    ],
)
def test_terms_are_normalized(raw: str, expected: str | None) -> None:
    """One writing for each term."""
    assert term.normalize(raw) == expected


def test_terms_above_the_legal_maximum_are_anomalies() -> None:
    """30, 20 and 10 years are the longest; months count too; 长期 is no number."""
    assert term.faults(Level.SECRET, "20年") == (term.TOO_LONG,)
    assert term.faults(Level.SECRET, "121个月") == (term.TOO_LONG,)
    assert term.faults(Level.TOP_SECRET, "30年") == ()
    assert term.faults(Level.CONFIDENTIAL, "长期") == ()
    assert term.faults(Level.CONFIDENTIAL, None) == (term.NO_TERM,)


@pytest.mark.parametrize(
    "piece",
    [
        "机密",
        "机密 ",
        "机密,",
        "机密\n",
        "秘密★10年 ",
        "CONFIDENTIAL\n",
        "内部资料 ",
        "密级:",
        "密码电报。",
        "国电",
        "(",
        "\n",
    ],
)
def test_a_flood_takes_linear_time_and_is_never_silent_about_marks(piece: str) -> None:
    """400,000 characters of the same word are done in seconds, and a mark behind them is not lost."""
    text = piece * (400_000 // len(piece)) + "\n\n绝密★30年\n"
    began = time.perf_counter()
    hits = seen(text)
    assert time.perf_counter() - began < 20
    assert hits
    assert "flood" in hits[-1].why or any(h.mark.level is Level.TOP_SECRET for h in hits)


def test_hits_lie_inside_the_text() -> None:
    """Offsets are those of the view and cover the mark, without label or brackets."""
    segments = (Segment(text="文件密级： 机　密 ★ 10 年（样稿）"),)
    view = normalize(segments)
    hits = list(marks.find(view, Families(), Document(media="text/plain", segments=segments)))
    assert [view.text[h.start : h.end].replace(" ", "") for h in hits] == ["机密★10年"]
