"""The normalized view: what folds, what is removed, and that every view character leads back to its original."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlp import digits
from dlp.model import Segment, Slice
from dlp.text import LONGEST_BLANK, View, fold, line, normalize, slices

HOSTILE = (
    "机密文件国家工作",  # Han
    "國機學體臺灣檔號",  # traditional
    "０１９ＡＺａｚ：（）＠",  # full width
    "⼯⽂⼈⺠⽇",  # Kangxi and other radicals
    "㊙㊣①②ⅠⅡ℡㎏ﬁ",  # enclosed and compatibility
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202e\u2066\u2069",  # invisible
    "\u0300\u0301\u20dd\ufe0f\ufe20",  # combining
    "\ud800\udbff\udc00\udfff",  # lone surrogates
    "\U00020000\U0001f600\U0001d7ce\U0001d400\U000e0100\U000e0041\U0002f800",  # astral
    " \u3000\u00a0\u2003\t",  # blanks
    "\n\r\u2028\u2029\u0085\x0b\x0c",  # breaks
    "0123456789abcXYZ-.,@",
    "\x00\x07\x1b\x7f\ufff9\ufffd\uffff\ue000\ue001",
)
CHARACTERS = st.sampled_from("".join(HOSTILE)) | st.characters()
HEAVY = st.sampled_from("机密国家 國　\n0" + "\u200b\u3000\u00a0")
TEXTS = st.text(CHARACTERS, max_size=24) | st.text(HEAVY, max_size=40)
SEGMENTS = st.lists(st.builds(Segment, text=TEXTS, soft=st.booleans()), max_size=6)
BLANKS = {" ", "\n"}


def view_of(*texts: str, soft: bool = False) -> View:
    """Return the view of segments with these texts."""
    return normalize([Segment(text=t, soft=soft and n > 0) for n, t in enumerate(texts)])


def spelled(char: str) -> str:
    """Return the digit that a character stands for inside a long number."""
    unit = np.array([ord(fold(char) or " ") & 0xFFFF], dtype=np.uint16)
    return chr(int(digits._values()[unit][0]))


def joined_of(view: View) -> str:
    """Return the joined original that `index` speaks of."""
    return "\n".join(s.text for s in view.segments)


@settings(max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SEGMENTS)
def test_every_view_character_leads_back_to_the_original_it_stands_for(segments: list[Segment]) -> None:
    """One view character is one original character that folds to it, or the break between two segments."""
    view = normalize(segments)
    joined = joined_of(view)
    borders = {int(s) - 1 for s in view.starts[1:]}
    assert len(view.text) == len(view.index)
    assert view.utf8.decode() == view.text
    assert all(a < b for a, b in zip(view.index.tolist(), view.index.tolist()[1:], strict=False))
    for place, (char, origin) in enumerate(zip(view.text, view.index.tolist(), strict=True)):
        found = slices(view, place, place + 1)
        if origin in borders:
            assert (char, found) == ("\n", ())
            continue
        (piece,) = found
        assert piece.end - piece.start == 1
        original = segments[piece.segment].text[piece.start : piece.end]
        assert original == joined[origin]
        assert char in {fold(original), spelled(original)}


@settings(max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SEGMENTS, st.data())
def test_every_slice_is_inside_its_segment_and_in_order(segments: list[Segment], data: st.DataObject) -> None:
    """Slices of any span lie in their segments, one each, ascending, and a wider span never covers less."""
    view = normalize(segments)
    size = len(view.text)
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    part, whole = slices(view, start, end), slices(view, 0, size)
    for found in (part, whole):
        assert [p.segment for p in found] == sorted({p.segment for p in found})
        assert all(0 <= p.start < p.end <= len(segments[p.segment].text) for p in found)
    wide = {p.segment: p for p in whole}
    assert all(wide[p.segment].start <= p.start and p.end <= wide[p.segment].end for p in part)
    covered = {int(view.starts[p.segment]) + c for p in part for c in range(p.start, p.end)}
    borders = {int(s) - 1 for s in view.starts[1:]}
    assert {int(o) for o in view.index[start:end]} - borders <= covered


@settings(max_examples=2500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SEGMENTS)
def test_only_invisible_characters_and_blanks_between_han_are_dropped(segments: list[Segment]) -> None:
    """What the view lacks folds to nothing by itself, or is a blank between two characters that are no digits."""
    view = normalize(segments)
    joined = joined_of(view)
    at = {int(origin): place for place, origin in enumerate(view.index)}
    hard = {int(s) - 1 for s, segment in zip(view.starts[1:], segments[1:], strict=True) if not segment.soft}
    assert hard <= at.keys()
    before = -1
    for origin, char in enumerate(joined):
        if origin in at:
            before = at[origin]
        elif fold(char):
            assert fold(char) in BLANKS
            assert 0 <= before < len(view.text) - 1
            assert not (view.text[before] + view.text[before + 1]).isascii()


@settings(max_examples=500, deadline=None)
@given(SEGMENTS)
def test_lines_cover_the_view_without_overlap(segments: list[Segment]) -> None:
    """Every view offset has one line; lines neither overlap nor hold an ordinary segment break."""
    view = normalize(segments)
    breaks = view.breaks.tolist()
    assert breaks == sorted(set(breaks))
    assert all(0 <= b < max(1, len(view.text)) for b in breaks)
    last = 0
    for begin, end in sorted({line(view, offset) for offset in range(len(view.text))}):
        assert last <= begin <= end <= len(view.text)
        assert "\n" not in view.text[begin:end]
        last = end


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_folding_again_changes_nothing_visible(text: str) -> None:
    """A view folded again is the same view once its private stand-ins and long gaps are left aside."""
    once = fold(text)
    assert fold(once) == once


@pytest.mark.parametrize(
    ("original", "seen"),
    [
        ("１１０１０５", "110105"),
        ("ＡＢｃ＠ｑｑ．ｃｏｍ", "ABc@qq.com"),
        ("⼯作", "工作"),
        ("⼈⺠", "人民"),
        ("國家機密", "国家机密"),
        ("㊙", "㊙"),
        ("①②⑨", "129"),
        ("机 密", "机密"),
        ("机　　密", "机密"),
        ("机\u00a0密", "机密"),
        ("机" + " " * LONGEST_BLANK + "密", "机密"),
        ("机" + " " * (LONGEST_BLANK + 1) + "密", "机" + " " * (LONGEST_BLANK + 1) + "密"),
        ("秘密 ★ 10年", "秘密★ 10年"),
        ("机\u200b\u2060\ufeff密", "机密"),
        ("机\u0301密\ufe0f", "机密"),
        ("\u202e机密\u202c", "机密"),
        ("机\ud800密", "机密"),
        ("138\u00ad0013", "1380013"),
        ("机\n密", "机密"),
        ("机\r\n密", "机密"),
        ("机\u2028密", "机密"),
        ("机\t密", "机\t密"),
        ("1 2", "1 2"),
        ("１　２", "1 2"),
        ("1\n2", "1\n2"),
        ("1\x0c2", "1\n2"),
        ("1\x0b2", "1\n2"),
        ("张 3", "张 3"),
        ("a b", "a b"),
        ("a—b", "a—b"),
        ("a－b", "a-b"),
        ("a−b", "a-b"),
        ("𝟏𝟑𝟖", "138"),
        ("𠀀", "\ue000"),
        ("", ""),
    ],
)
def test_known_foldings(original: str, seen: str) -> None:
    """Each known form is seen as its plain one."""
    assert fold(original) == seen


@pytest.mark.parametrize("code", [*range(0xFF01, 0xFF5F)])
def test_full_width_ascii_is_ascii(code: int) -> None:
    """The whole full-width block folds to ASCII, by its fixed distance."""
    assert fold(chr(code)) == chr(code - 0xFEE0)


@pytest.mark.parametrize("code", [*range(0x2F00, 0x2FD6)])
def test_kangxi_radicals_are_the_characters_they_look_like(code: int) -> None:
    """Every Kangxi radical is the simplified form of what Unicode says it stands for."""
    assert fold(chr(code)) == fold(unicodedata.normalize("NFKC", chr(code)))


IGNORABLE = (0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0x200B, 0x2010))
IGNORABLE += (*range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x3164, *range(0xFE00, 0xFE10), 0xFEFF, 0xFFA0)
IGNORABLE += (*range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0))


@pytest.mark.parametrize("code", IGNORABLE)
def test_what_unicode_calls_ignorable_hides_nothing(code: int) -> None:
    """No Default_Ignorable_Code_Point of Unicode (DerivedCoreProperties) can split a word or a number."""
    assert fold(f"机{chr(code)}密1{chr(code)}2") == "机密12"


def test_a_hard_break_between_segments_stays_and_a_soft_one_goes() -> None:
    """Two paragraphs are never one word; two lines of one paragraph are."""
    assert view_of("机", "密").text == "机\n密"
    assert view_of("机", "密", soft=True).text == "机密"
    assert view_of("机 ", " 密", soft=True).text == "机密"
    assert view_of("机 ", " 密").text == "机 \n 密"
    assert view_of("138", "0013", soft=True).text == "138\n0013"


def test_a_hit_across_a_soft_break_has_one_slice_for_each_segment() -> None:
    """A word on two lines is cut out of both."""
    view = view_of("这是机", "密文件", soft=True)
    start = view.text.index("机密")
    assert slices(view, start, start + 2) == (Slice(0, 2, 3), Slice(1, 0, 1))


def test_removed_characters_between_are_covered() -> None:
    """A redaction of the hit also takes the invisible characters and blanks inside it."""
    view = view_of("甲机\u200b  密乙")
    start = view.text.index("机密")
    assert slices(view, start, start + 2) == (Slice(0, 1, 6),)


def test_empty_segments_keep_their_places() -> None:
    """Segments without text shift nothing."""
    view = view_of("", "甲", "", "", "乙", "")
    start = view.text.index("乙")
    assert slices(view, start, start + 1) == (Slice(4, 0, 1),)
    assert normalize(()).text == ""
    assert slices(normalize(()), 0, 1) == ()


@pytest.mark.parametrize("span", [(-1, 1), (1, 1), (2, 1), (0, 99)])
def test_a_span_outside_the_view_has_no_slices(span: tuple[int, int]) -> None:
    """Nonsense offsets give nothing, not the wrong text."""
    assert slices(view_of("机密"), *span) == ()


def test_line_is_the_original_line() -> None:
    """A line wrapped between Han characters is still its own line, though the word runs on."""
    view = view_of("绝密\n★启用前", "第二段")
    assert view.text == "绝密★启用前\n第二段"
    lines = [view.text[b:e] for b, e in (line(view, view.text.index(c)) for c in "绝启第")]
    assert lines == ["绝密", "★启用前", "第二段"]


@pytest.mark.parametrize("mark", ["\n", "\r\n", "\x0b", "\x0c", "\u2028", "\u2029"])
def test_every_line_break_begins_a_line(mark: str) -> None:
    """A page break or a Unicode line separator ends a line just as a line feed does."""
    view = view_of(f"abc{mark}def")
    assert line(view, view.text.index("d")) == (len(view.text) - 3, len(view.text))
