"""Word borders: both engines cut alike, and only a word that crosses an end of a term rejects it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp import words
from dlp.text import fold

SENTENCES = (
    "司机密切注意路面情况。",
    "中共党员工作会议在人民大会堂召开。",
    "发动机密封圈需要更换，取款机密码键盘已加装防窥罩。",
    "本文件为国家秘密，未经批准不得复印、摘抄！",
    "联系人：张三（手机13800138000），邮箱zhang.san@example.com",
    "2024年度预算执行情况 ABC-123 c++ 100% A&B #1",
    "㊙〇★\ue000龘龘龘齉齉齉",
    "",
    "\n\t ",
)
TRAP_MISSES = 13
"""Boundary traps that no dictionary of single words can tell (疫情报告 holds 情报): counted, so that none is added."""


def trap_rows() -> list[dict[str, object]]:
    """Return the word-border traps that nobody in this project wrote."""
    path = Path(__file__).resolve().parents[1].parent / "shared" / "domain" / "traps.json"
    if not path.is_file():
        pytest.skip("the evaluation material (../shared) is not beside this checkout")
    rows: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return rows


def kept(text: str, term: str) -> bool:
    """Tell whether `term` is kept in any of its places in `text`."""
    text, term = fold(text), fold(term)
    places = [n for n in range(len(text)) if text.startswith(term, n)]
    assert places
    return any(words.judge(text, n, n + len(term)).kept for n in places)


def test_the_fast_engine_is_installed_here() -> None:
    """The differential below compares two engines, not one with itself."""
    assert words.engine() == "rjieba"


@pytest.mark.parametrize("sentence", SENTENCES)
def test_both_engines_cut_alike(sentence: str) -> None:
    """The rjieba tokens are jieba's own, HMM off."""
    assert words.cut(sentence) == words.reference(sentence)


def test_both_engines_cut_the_traps_alike() -> None:
    """On every sentence of the trap collection the two engines agree."""
    sentences = [fold(str(row["sentence"])) for row in trap_rows()]
    assert len(sentences) > 300
    assert [s for s in sentences if words.cut(s) != words.reference(s)] == []


@settings(max_examples=1000, deadline=None)
@given(st.text(st.sampled_from("机密司切国家工作中共党员会人民政府情报名单的一是龘A1-.%+#& ，。\n"), max_size=60))
def test_both_engines_cut_random_text_alike(text: str) -> None:
    """Also on text that is no language the two engines agree, and nothing is lost."""
    assert words.cut(text) == words.reference(text)
    assert "".join(words.cut(text)) == text


@pytest.mark.parametrize(
    ("text", "term", "rival"),
    [
        ("中共党员工作", "员工", "中共党员"),
        ("司机密切注意", "机密", "司机"),
        ("发动机密封圈", "机密", "发动机"),
        ("取款机密码键盘", "机密", "取款机"),
        ("原来源代码头", "来源", "原来"),
        ("龘机密切注意", "机密", "密切注意"),
        ("司机密切注意", "机密切", "司机"),
        ("人民政府", "政府", None),
    ],
)
def test_a_word_that_crosses_an_end_rejects(text: str, term: str, rival: str | None) -> None:
    """A hit made of halves of its neighbours is no word, and the neighbour is named."""
    start = text.index(term)
    border = words.judge(text, start, start + len(term))
    assert border.kept is (rival is None)
    assert border.rival == rival
    assert border.weight == (1.0 if rival is None else 0.0)
    assert "".join(border.words) == text


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("人民政府", "政府"),  # inside one word
        ("员工名册", "员工"),
        ("本件为机密。", "机密"),
        ("机密", "机密"),
        ("x机密y", "机密"),
        ("龘机密龘", "机密"),
        ("★机密★", "机密"),
    ],
)
def test_containment_and_whole_words_are_kept(text: str, term: str) -> None:
    """A term that is a word, or lies whole inside one, is kept."""
    assert kept(text, term)


def test_terms_of_four_characters_are_never_judged() -> None:
    """Four characters in a row are no accident: kept without a look at the words."""
    text = "司机密切注意"
    for start in range(len(text) - 3):
        assert words.judge(text, start, start + 4) == words.Border(kept=True, weight=1.0, words=(), rival=None)
    assert not words.judge(text, 1, 3).kept


def test_the_traps_are_told_from_words() -> None:
    """All real words are kept, and at most the known few border traps pass."""
    rows = trap_rows()
    positive = [r for r in rows if str(r["kind"]).startswith("positive")]
    traps = [r for r in rows if r["kind"] == "boundary"]
    assert positive
    assert [r["sentence"] for r in positive if not kept(str(r["sentence"]), str(r["trapped_term"]))] == []
    passed = [r["sentence"] for r in traps if kept(str(r["sentence"]), str(r["trapped_term"]))]
    assert len(passed) <= TRAP_MISSES, passed


def test_a_long_run_without_breaks_is_judged_by_its_neighbourhood() -> None:
    """In 200,000 characters without a break only `REACH` on each side are looked at, with the same result."""
    filler = "中共党员工作会议" * 12_500
    text = filler + "司机密切" + filler
    start = text.index("机密")
    border = words.judge(text, start, start + 2)
    assert len(text) > 200_000
    assert (border.kept, border.rival) == (False, "司机")
    assert len("".join(border.words)) <= 2 * words.REACH + 2
    for unknown in ("龘" * 200_000, "a" * 200_000, "9" * 200_000):
        assert words.judge(unknown, 100_000, 100_002).rival in {None, unknown[: 2 * words.REACH + 2]}


@pytest.mark.parametrize("engine", ["cut", "reference"])
def test_nothing_is_written_to_the_shared_temporary_folder(tmp_path: Path, engine: str) -> None:
    """A predictable cache file there could be planted by any user; none is written or read."""
    code = f"from dlp import words; print(len(words.{engine}('司机密切注意')))"
    about = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=about, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
    assert list(tmp_path.iterdir()) == []


def test_a_private_cache_folder_is_used_when_it_is_given(tmp_path: Path) -> None:
    """With a folder of our own the cache goes there, and the shared folder stays empty."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    code = f"from dlp import words; words.use_cache_folder({str(own)!r}); print(words.reference('机密'))"
    about = {**os.environ, "TMPDIR": str(shared), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=about, capture_output=True, text=True, check=True)
    assert list(shared.iterdir()) == []
    assert [p.name for p in own.iterdir()] == ["jieba.cache"]
    assert own.stat().st_mode & 0o077 == 0


def test_an_open_cache_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that others can write to is not used as a cache."""
    monkeypatch.setattr(words, "_CACHE", [])
    tmp_path.chmod(0o777)
    words.use_cache_folder(str(tmp_path))
    assert words._CACHE == []


@pytest.fixture(name="site")
def _site() -> Iterator[None]:
    """Whatever words a test adds are gone after it."""
    yield
    words.use(())


@pytest.mark.parametrize(
    ("text", "term", "rival"),
    [
        ("今年的知名单品销量大增", "名单", "知名"),
        ("订立合同时", "合同", "同时"),
        ("公布名单如下", "名单", None),
        ("关于人事任免的通知", "人事", None),
    ],
)
def test_a_border_that_was_nearly_lost_counts_half(text: str, term: str, rival: str | None) -> None:
    """Where a crossing word comes within two of log-odds the hit is kept, weak, and the word is named."""
    start = text.index(term)
    border = words.judge(text, start, start + len(term))
    assert border.kept
    assert (border.rival, border.weight) == (rival, 1.0 if rival is None else 0.5)


@pytest.mark.usefixtures("site")
def test_words_of_the_site_move_borders_in_both_engines() -> None:
    """A name that the dictionary lacks makes its neighbour's hit a straddle; both engines cut alike."""
    text = "星机密锁厂的来函"
    start = text.index("机密")
    assert words.judge(text, start, start + 2).kept
    words.use([("密锁厂", 5_000), ("星机", 5_000)])
    assert not words.judge(text, start, start + 2).kept
    assert words.cut(text) == words.reference(text) == ("星机", "密锁厂", "的", "来函")
    words.use(())
    assert words.judge(text, start, start + 2).kept


@pytest.mark.usefixtures("site")
def test_a_word_of_the_site_never_becomes_rarer() -> None:
    """人民政府 with a frequency of 1 stays one word."""
    words.use([("人民政府", 1), ("机密", 1)])
    assert words.cut("人民政府的机密") == words.reference("人民政府的机密") == ("人民政府", "的", "机密")


def test_the_lines_of_a_word_list() -> None:
    """A word, a word and its frequency, comments; anything else is a bad line with its number."""
    taken, bad = words.read(["星机", "密锁厂 500", "# 说明", "", "天河二号 # 项目", "一", "甲 乙", "星 机 3", "a b!"])
    assert taken == [("星机", words.SITE_COUNT), ("密锁厂", 500), ("天河二号", words.SITE_COUNT)]
    assert bad == [6, 7, 8, 9]


def test_a_container_is_found_only_around_the_hit() -> None:
    """The longer word must hold the whole hit at its place."""
    text = "路面采用密级配沥青，密级为秘密"
    assert words.covering(text, 4, 6, ("密级配",)) == "密级配"
    assert words.covering(text, 10, 12, ("密级配",)) is None
    assert words.covering(text, 4, 6, ()) is None
