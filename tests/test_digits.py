"""Numbers in disguise come out as digits; what is no long number stays as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.match import Matcher
from dlp.model import Document, Segment, Slice
from dlp.packs import load
from dlp.text import fold, normalize, slices

ID = "110101199003071233"
PACK = """[pack]
id = "p"
name = "试"
version = "1"
category = "identity"
[[rules]]
id = "r"
name = "身份证"
kind = "pattern"
type = "t"
pattern = "[0-9]{17}[0-9X]"
check = "resident_id"
[[rules]]
id = "m"
name = "手机"
kind = "pattern"
type = "m"
pattern = "1[0-9]{10}"
check = "mobile"
near = { words = ["手机"], distance = 20 }
"""
MATCHER = Matcher(load({"p.toml": PACK}), key=bytes(32))
HAN = str.maketrans("0123456789", "零一二三四五六七八九")


def found(*texts: str, soft: bool = False) -> list[tuple[Slice, ...]]:
    """Return the slices of what is found in segments with these texts."""
    segments = tuple(Segment(text=t, soft=soft and n > 0) for n, t in enumerate(texts))
    return [f.slices for f in MATCHER.find(Document(media="text/plain", segments=segments))[0]]


@pytest.mark.parametrize(
    "written",
    [
        " ".join(ID),
        ".".join(ID),
        "-".join(ID),
        "_".join(ID),
        "　".join(ID),
        ID.translate(HAN),
        " ".join(ID.translate(HAN)),
        ID.replace("0", "O"),
        ID.replace("0", "o").replace("1", "l"),
        ID.replace("1", "I"),
        ID.replace("0", "О"),
        "".join(f"{d}\u200b" for d in ID),
    ],
)
def test_a_disguised_number_is_found_where_it_stands(written: str) -> None:
    """Spaced out, in Han digits or with letters for digits: one finding, from its first to its last character."""
    (pieces,) = found(f"编号{written}号")
    assert pieces == (Slice(0, 2, 2 + len(written.rstrip("\u200b"))),)


@pytest.mark.parametrize(
    "text",
    [
        "二〇二六年",
        "1 2 3 4 5 6 7 8",
        "IO 1 Oil l0",
        "v1.2.3.4.5",
        "hello world",
        "12 34 56 78 90 12 34 56",
        "零一二三四五六七八",
        "91440300I922038216",
    ],
)
def test_short_runs_stay_as_they_are(text: str) -> None:
    """Years, versions, columns of flags and words are not taken for a number of a person."""
    assert normalize([Segment(text=f"x{text}x")]).text == "x" + fold(text) + "x"


@given(
    st.lists(st.sampled_from(["0", "O", "o", "零", "〇", "1", "l", "一", "7", "七", " ", ".", "x", "年"]), max_size=60)
)
def test_the_map_back_stays_exact(parts: list[str]) -> None:
    """Whatever is spelled out or left out, each view character leads to one original character of the same meaning."""
    text = "".join(parts)
    view = normalize([Segment(text=text)])
    same = {"O": "0", "o": "0", "零": "0", "〇": "0", "l": "1", "一": "1", "七": "7"}
    for place, char in enumerate(view.text):
        (piece,) = slices(view, place, place + 1)
        assert char in {text[piece.start], same.get(text[piece.start])}


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("cut", [1, 6, 10, 14, 17])
def test_a_number_cut_by_a_line_break_is_found(cut: int, *, soft: bool) -> None:
    """The hit has both pieces; it is told that a break lies in it."""
    first, second = f"身份证号{ID[:cut]}", f"{ID[cut:]}，住址略"
    assert found(first, second, soft=soft) == [(Slice(0, 4, 4 + cut), Slice(1, 0, 18 - cut))]
    assert found(f"{first}\n{second}") == [(Slice(0, 4, 23),)]
    assert found(f"{first}\t{second}") == [(Slice(0, 4, 23),)]


def test_numbers_one_below_the_other_stay_apart() -> None:
    """A column of numbers is not one number; two halves count only with proof or with a word beside them."""
    assert found("13800138000\n13900139000\n13700137000") == [(Slice(0, n, n + 11),) for n in (0, 12, 24)]
    assert found("1380013\n8000") == []
    assert found("手机1380013\n8000") == [(Slice(0, 2, 14),)]
    assert found("1703123456\n7") == []


def test_explain_shows_a_number_that_was_cut() -> None:
    """What is reported is also shown to the one who tunes the packs."""
    document = Document(media="text/plain", segments=(Segment(text=f"身份证号{ID[:9]}\n{ID[9:]}"),))
    kept = [one for one in MATCHER.explain(document) if one.kept]
    assert [one.why[-1] for one in kept] == ["cut-in-two"]
