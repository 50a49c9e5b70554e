"""The scanner: what becomes a finding, what is dropped and why, and what a finding never shows."""

from __future__ import annotations

import array
import hashlib
import hmac
import random
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp import packs, words
from dlp.context import NEAR_BONUS
from dlp.errors import PackError
from dlp.match import SAME_TERM, Candidate, Matcher
from dlp.model import Document, Finding, GapKind, Level, Regime, Segment, Severity, Slice, Strip, Table, Zone
from dlp.places import ACROSS_BREAK, STRETCH
from dlp.text import normalize
from dlp.trial import as_document, run

KEY = b"k" * 32
HEAD = '[pack]\nid = "p"\nname = "试"\nversion = "1"\ncategory = "c"\n'
SIX = 'kind = "pattern"\npattern = "[0-9]{6}"'
WORD = 'kind = "terms"\nterms = ["机密", {term = "员工", weight = 2}, "薪酬结构"]'
CARD = (
    'kind = "pattern"\npattern = "[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}"\ncheck = "luhn"\nmask = "keep:2,2"'
)
FORM = (
    'kind = "table"\ncolumns = [["姓名"], ["工资", "薪酬"], ["部门"], ["工号"]]\nat_least = 3\nrows = 2\nrequire = [1]'
)


def matcher(*rules: str, key: bytes = KEY, max_hits: int = 10_000) -> Matcher:
    """Return the scanner of one pack with these rules, called r0, r1 and so on."""
    return Matcher(packs.load({"p.toml": HEAD + _rules(*rules)}), key=key, max_hits=max_hits)


def _rules(*rules: str) -> str:
    return "".join(f'[[rules]]\nid = "r{n}"\nname = "规则{n}"\ntype = "type{n}"\n{r}\n' for n, r in enumerate(rules))


def doc(*texts: str, soft: bool = False) -> Document:
    """Return a document of these segments."""
    return Document(
        media="text/plain", segments=tuple(Segment(text=t, soft=soft and n > 0) for n, t in enumerate(texts))
    )


def found(scanner: Matcher, *texts: str, soft: bool = False) -> list[tuple[str, tuple[Slice, ...]]]:
    """Return rule and slices of every finding."""
    return [(f.rule, f.slices) for f in scanner.find(doc(*texts, soft=soft))[0]]


def hits(scanner: Matcher, text: str) -> list[str]:
    """Return the original text of every finding of one text."""
    return [text[s.start : s.end] for f in scanner.find(doc(text))[0] for s in f.slices]


def luhn_number(seed: int) -> str:
    """Return 16 digits with a right Luhn digit."""
    body = "62" + "".join(random.Random(seed).choices("0123456789", k=13))
    total = sum((d if n % 2 else (2 * d - 9 if d > 4 else 2 * d)) for n, d in enumerate(map(int, body)))
    return body + str(-total % 10)


def dropped(scanner: Matcher, text: str) -> list[Candidate]:
    """Return the candidates of a text that did not become findings."""
    return [c for c in scanner.explain(doc(text)) if not c.kept]


def test_a_wrong_check_digit_drops_and_says_so() -> None:
    """Exactly one of ten last digits is right; the others are candidates with a reason."""
    scanner, good = matcher(CARD), luhn_number(1)
    numbers = [good[:-1] + str(d) for d in range(10)]
    assert [n for n in numbers if hits(scanner, f"卡号{n}。")] == [good]
    wrong = next(n for n in numbers if n != good)
    assert [c.why for c in dropped(scanner, wrong)] == [("pattern", "fails check:luhn")]
    assert scanner.find(doc(good))[0][0].why == ("pattern", "check:luhn")


def test_a_near_word_raises_confidence() -> None:
    """A context word before or after adds its bonus; without it the hit stays as it is."""
    scanner = matcher(SIX + '\nconfidence = 0.5\nnear = {words = ["邮编"], distance = 5}')
    for text in ("邮编123456", "123456（邮编）", "郵編：１２３４５６"):
        (one,) = scanner.find(doc(text))[0]
        assert one.confidence == pytest.approx(0.5 + NEAR_BONUS)
        assert "near:邮编" in one.why
    for text in ("123456", "邮编一二三四五六123456", "邮123456编"):
        assert scanner.find(doc(text))[0][0].confidence == 0.5


def test_a_required_near_word_drops_what_stands_alone() -> None:
    """Without the word there is no finding, but a candidate."""
    scanner = matcher(SIX + '\nnear = {words = ["Code"], distance = 5, required = true}')
    assert hits(scanner, "CODE:123456") == ["123456"]
    assert hits(scanner, "654321") == []
    assert [c.why[-1] for c in dropped(scanner, "654321")] == ["no context word"]


def test_a_not_near_word_drops() -> None:
    """A word that tells the look-alike drops the hit, also where a near word stands."""
    scanner = matcher(SIX + '\nnear = {words = ["编码"]}\nnot_near = {words = ["订单"], distance = 6}')
    assert hits(scanner, "订单123456编码") == []
    assert hits(scanner, "订单已于昨日送达123456") == ["123456"]
    assert [c.why[-1] for c in dropped(scanner, "订单123456")] == ["not_near:订单"]


def test_a_column_header_is_context() -> None:
    """In a table the word above the column counts as near, however far away it stands."""
    scanner = matcher(SIX + '\nnear = {words = ["邮编"], distance = 3, required = true}')
    rows = "\n".join(f"某人{n}\t{100_000 + n}\t{200_000 + n}" for n in range(20))
    text = f"姓名\t邮编\t单号\n{rows}"
    findings, _ = scanner.find(as_document(text))
    got = [text[s.start : s.end] for f in findings for s in f.slices]
    assert got == [str(100_000 + n) for n in range(20)]


@pytest.mark.parametrize(
    ("edges", "fires"),
    [
        ("alnum", {"码123456号", "123456", "(123456)", "-123456-", "１２３４５６号"}),
        ("digits", {"码123456号", "123456", "(123456)", "-123456-", "１２３４５６号", "a123456", "123456b"}),
        ("letters", {"码123456号", "123456", "(123456)", "-123456-", "１２３４５６号", "1234567"}),
        (
            "none",
            {"码123456号", "123456", "(123456)", "-123456-", "１２３４５６号", "a123456", "123456b", "1234567"},
        ),
    ],
)
def test_edges_say_what_may_stand_beside(edges: str, fires: set[str]) -> None:
    """Han characters never belong to a number; letters and digits do, as the rule says."""
    scanner = matcher(SIX + f'\nedges = "{edges}"')
    texts = ["码123456号", "123456", "(123456)", "-123456-", "１２３４５６号", "a123456", "123456b", "1234567"]
    assert {t for t in texts if hits(scanner, t)} == fires


def test_a_shorter_hit_is_found_where_the_longest_has_no_free_edge() -> None:
    """An optional tail that runs into more digits does not hide the number before it."""
    scanner = matcher('kind = "pattern"\npattern = "[0-9]{6}(?:-[0-9]{2})?"')
    assert hits(scanner, "123456-78") == ["123456-78"]
    assert hits(scanner, "123456-789") == ["123456"]


def test_digits_after_a_card_number_do_not_hide_it() -> None:
    """An amount, a day or a year beside a number is not taken for a part of it."""
    scanner = matcher(
        'kind = "pattern"\ncheck = "luhn"\npattern = "[0-9]{4}[ -]?(?:[0-9]{4}[ -]?){2}[0-9]{4}(?:[ -]?[0-9]{1,3})?"'
    )
    number = luhn_number(8)
    spaced = " ".join(re.findall("....", number))
    for card in (number, spaced, spaced.replace(" ", "-")):
        for text in (f"{card} 12月", f"{card} 500.00元", f"2024 {card} 1", f"2024-{card}-7", f"1111 2222 {card}"):
            assert card in hits(scanner, text), text
    assert hits(scanner, f"{number}12") == []


def test_numbers_side_by_side_are_all_found() -> None:
    """One shared separator between two hits hides neither of them."""
    scanner = matcher(SIX)
    assert hits(scanner, "123456 234567,345678\n456789") == ["123456", "234567", "345678", "456789"]


def test_a_term_across_a_soft_break_is_one_hit_with_two_slices() -> None:
    """A wrapped word is found in both of its lines, with less confidence; a hard break separates."""
    scanner = matcher(WORD + "\nconfidence = 0.9")
    assert found(scanner, "本件机", "密。", soft=True) == [("p.r0", (Slice(0, 2, 3), Slice(1, 0, 1)))]
    (one,) = scanner.find(doc("本件机", "密。", soft=True))[0]
    assert one.confidence == pytest.approx(0.9 * ACROSS_BREAK, abs=0.001)
    assert "across-break" in one.why
    assert found(scanner, "本件机", "密。") == []


def test_hidden_characters_inside_a_hit_are_inside_its_slice() -> None:
    """A redaction of the slice takes the zero-width characters with it."""
    text = "件12\u200b34\u206056号"
    assert hits(matcher(SIX), text) == ["12\u200b34\u206056"]
    assert hits(matcher(WORD), "本件 机\u200b 密 。") == ["机\u200b 密"]


def test_a_term_is_dropped_where_it_straddles_words() -> None:
    """A hit made of two neighbours is told as a candidate, with the word that crosses it."""
    scanner = matcher(WORD)
    assert hits(scanner, "司机密切注意") == []
    (one,) = dropped(scanner, "司机密切注意")
    assert one.why == ("term", "border:司机")
    assert one.words == ("司机", "密切注意")
    assert hits(scanner, "中共党员工作，员工名册") == ["员工"]
    free = matcher('kind = "terms"\nterms = [{term = "机密", boundary = "none"}]')
    assert hits(free, "司机密切注意") == ["机密"]


def test_terms_carry_their_weight() -> None:
    """The weight of the term that stands there is the weight of the finding."""
    findings, _ = matcher(WORD).find(doc("本段是正文，" * 9 + "员工的薪酬结构"))
    assert [(f.masked, f.weight) for f in findings] == [("员工", 2), ("薪酬结构", 5)]


def test_a_term_weighs_more_in_a_title_a_header_and_beside_its_field() -> None:
    """Twice in a short first line, one and a half times in the first row of a table, 1.3 times near a context word."""
    body = "。" * 50
    scanner = matcher(WORD + '\nnear = {words = ["人数"], distance = 9}')
    for text, weight in (
        (f"员工情况\n{body}", 4),
        (f"{body}员工", 2),
        (f"{body}员工人数", 2.6),
        (f"{body}\n员工\t部门\n甲\t乙", 3),
        (f"{body}\n甲\t乙\n员工\t部门", 2),
    ):
        findings, _ = scanner.find(as_document(text))
        assert [f.weight for f in findings] == [weight], text


def test_one_term_is_reported_a_limited_number_of_times() -> None:
    """A word that stands everywhere does not flood the report."""
    findings, gaps = matcher(WORD).find(doc("薪酬结构。" * (SAME_TERM + 30)))
    assert (len(findings), gaps) == (SAME_TERM, ())


def test_a_term_is_reported_once_in_each_later_stretch() -> None:
    """Words spent early do not hide what stands together on a later page."""
    text = "薪酬结构。" * SAME_TERM + "。" * (4 * STRETCH) + "薪酬结构和员工。" + "薪酬结构。" * 9
    findings, _ = matcher(WORD).find(doc(text))
    late = [f.masked for f in findings if f.offset > 2 * STRETCH]
    assert late == ["薪酬结构", "员工"]


def test_a_long_book_of_terms_is_no_flood_and_keeps_its_fullest_page() -> None:
    """Of more places of terms than may be told, those of the fullest pages stay, and nothing is a gap."""
    names = [f"薪酬{a}{b}" for a in "甲乙丙丁戊己庚辛" for b in "子丑寅卯辰巳"]
    rule = f'kind = "terms"\nterms = [{", ".join(chr(34) + n + chr(34) for n in names)}]'
    sparse = "".join(f"{names[n % 40]}。" + "。" * 200 for n in range(300))
    scanner = matcher(rule, max_hits=200)
    findings, gaps = scanner.find(doc(sparse + "。" * 2 * STRETCH + "，".join(names) + "。" * 2 * STRETCH + sparse))
    assert (len(findings), gaps) == (100, ())
    full = {f.masked for f in findings if 62_000 < f.offset < 66_000}
    assert full == set(names)


def test_a_flood_still_tells_its_mark() -> None:
    """Thousands of numbers before a mark do not push it out of what is told."""
    mark = 'kind = "mark"\nfamilies = ["state_star"]'
    findings, gaps = matcher(SIX, mark, max_hits=50).find(doc("123456 " * 500 + "\n机密★10年"))
    assert gaps[0].kind is GapKind.HIT_CAP
    assert len(findings) == 50
    assert [f.masked for f in findings if f.mark] == ["机密★10年"]


@pytest.mark.parametrize(
    "pattern",
    ["[0-9]{6}", "[A-Z]?[0-9]{4,6}", "[0-9]{3}(?:[ -]?[0-9]{3}){1,2}", "第[0-9]{1,40}号", "[一-龥]{2}[0-9]{2,4}[)）]?"],
)
@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="0123456789AZ -号第密级)\n。", max_size=60))
def test_hits_are_what_a_search_by_itself_finds(pattern: str, text: str) -> None:
    """Where hyperscan says the span, it is the leftmost longest one with free edges; nothing is lost at either end."""
    view = normalize(doc(text).segments).text
    free = re.compile(f"(?<![0-9A-Za-z])(?:{pattern})(?![0-9A-Za-z])")
    wanted, place = [], 0
    while found := free.search(view, place):
        start = found.start()
        place = max(end for end in range(found.end(), len(view) + 1) if _is_free(pattern, view, start, end))
        wanted.append((start, place - start))
    scanner = _scanner_of(pattern)
    assert [(f.offset, len(f.masked)) for f in scanner.find(doc(text))[0]] == wanted


@cache
def _scanner_of(pattern: str) -> Matcher:
    return matcher(f'kind = "pattern"\npattern = \'{pattern}\'\nmask = "keep:99,0"')


def _is_free(pattern: str, view: str, start: int, end: int) -> bool:
    touched = end < len(view) and view[end].isascii() and view[end].isalnum()
    return not touched and re.fullmatch(pattern, view[start:end]) is not None


def test_a_compiled_scanner_is_taken_for_the_same_packs_only() -> None:
    """What `dump` returned finds the same; another set of packs has another digest."""
    first = matcher(SIX, WORD)
    blob, asked = first.scanner.dump(), []

    def kept(digest: bytes) -> bytes:
        asked.append(digest)
        return blob if digest == first.scanner.digest else b""

    again = Matcher(packs.load({"p.toml": HEAD + _rules(SIX, WORD)}), key=KEY, compiled=kept)
    assert not again.scanner.is_new
    assert again.find(doc("机密 123456")) == first.find(doc("机密 123456"))
    assert Matcher(packs.load({"p.toml": HEAD + _rules(SIX)}), key=KEY, compiled=kept).scanner.is_new
    assert len(set(asked)) == 2


def test_one_stretch_of_text_is_one_identifier() -> None:
    """The surest rule wins, then the longest; the loser is told with its reason."""
    low = 'kind = "pattern"\npattern = "[0-9]{16}"\nconfidence = 0.4'
    part = 'kind = "pattern"\npattern = "[0-9]{6}"\nedges = "none"\nconfidence = 0.3'
    scanner, number = matcher(low, CARD, part), luhn_number(2)
    assert found(scanner, number) == [("p.r1", (Slice(0, 0, 16),))]
    lost = dropped(scanner, number)
    assert {c.rule for c in lost} == {"p.r0", "p.r2"}
    assert {c.why[-1] for c in lost} == {"overlaps a more specific hit"}
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert found(scanner, wrong) == [("p.r0", (Slice(0, 0, 16),))]


def test_the_longer_of_two_equally_sure_hits_wins() -> None:
    """With equal confidence the longer hit covers the shorter one."""
    short = 'kind = "pattern"\npattern = "[0-9]{4}"\nedges = "none"'
    assert found(matcher(short, SIX), "123456") == [("p.r1", (Slice(0, 0, 6),))]


def test_terms_do_not_compete_with_identifiers() -> None:
    """A word inside a number's stretch is still counted."""
    field = 'kind = "pattern"\npattern = "机密[0-9]{3}"'
    assert [r for r, _ in found(matcher(field, WORD), "机密123")] == ["p.r0", "p.r1"]


def test_masked_shows_no_raw_hit() -> None:
    """Neither a finding nor a candidate shows the value, with separators or without."""
    scanner, number = matcher(CARD), luhn_number(3)
    spaced = " ".join(re.findall("....", number))
    for text in (f"卡{number}。", f"卡{spaced}。", f"卡{number[:-1]}{(int(number[-1]) + 1) % 10}"):
        findings, _ = scanner.find(doc(text))
        shown = repr(findings) + repr(scanner.explain(doc(text)))
        assert not re.search(r"\d{4}[ -]?\d", re.sub(r"digest='\w+'", "", shown))
    (one,) = scanner.find(doc(spaced))[0]
    assert one.masked == f"{number[:2]}** **** **** **{number[-2:]}"


def test_mask_hides_identifiers_in_a_file_name() -> None:
    """In a name a number stands alone, so no context is asked for; words stay."""
    scanner = matcher(SIX + '\nmask = "keep:1,1"\nnear = {words = ["邮编"], required = true}', WORD)
    assert scanner.mask("机密 123456 与６５４３２１.docx") == "机密 1****6 与6****1.docx"
    assert scanner.mask("无.docx") == "无.docx"


def test_the_digest_is_keyed_and_knows_the_value_only() -> None:
    """The same value with other separators has the same digest; another key or type has another."""
    number = luhn_number(4)
    forms = (number, " ".join(re.findall("....", number)), "-".join(re.findall("....", number)))
    digests = {matcher(CARD).find(doc(text))[0][0].digest for text in forms}
    assert digests == {hmac.new(KEY, f"type0\0{number}".encode(), hashlib.sha256).hexdigest()}
    assert matcher(CARD, key=b"x" * 32).find(doc(number))[0][0].digest not in digests
    assert matcher(SIX, CARD).find(doc(number))[0][0].digest not in digests
    assert matcher(CARD).find(doc(luhn_number(5)))[0][0].digest not in digests


def test_more_hits_than_the_cap_are_a_gap() -> None:
    """What is not counted is told: a full list never looks like a whole one."""
    scanner = matcher(SIX, max_hits=10)
    text = " ".join(str(100_000 + n) for n in range(11))
    findings, gaps = scanner.find(doc(text))
    assert (len(findings), [g.kind for g in gaps]) == (10, [GapKind.HIT_CAP])
    findings, gaps = scanner.find(doc(text[:-7]))
    assert (len(findings), gaps) == (10, ())


def test_a_flood_of_candidates_is_a_gap_even_without_a_hit() -> None:
    """Where the scanner had to stop, the rest was not read, and that is never clean."""
    scanner = matcher(CARD, max_hits=1)
    wrong = luhn_number(6)[:-1] + str((int(luhn_number(6)[-1]) + 1) % 10)
    findings, gaps = scanner.find(doc(f"{wrong}\n" * 500))
    assert findings == ()
    assert [g.kind for g in gaps] == [GapKind.HIT_CAP]


def test_a_finding_carries_what_its_rule_and_segment_say() -> None:
    """Severity, level, regime and references come from the rule; part, page, zone and box from the segment."""
    more = '\nseverity = "high"\nlevel = "敏感信息"\nregime = "personal"'
    more += '\nreferences = [{law = "某法", article = "第一条"}]'
    edges = array.array("f", [v for n in range(8) for v in (10.0 * n, 10.0 * n + 10)]).tobytes()
    strip = Strip(page=3, x0=0, y0=5, x1=80, y1=15, edges=edges)
    segment = Segment(text="号123456。", part=("a.zip", "b.pdf"), strip=strip, zone=Zone.FOOTER)
    (one,) = matcher(SIX + more).find(Document(media="application/pdf", segments=(segment,)))[0]
    assert (one.severity, one.level, one.regime) == (Severity.HIGH, Level.SENSITIVE, Regime.PERSONAL)
    assert [r.text for r in one.references] == ["《某法》第一条"]
    assert (one.part, one.page, one.zone) == (("a.zip", "b.pdf"), 3, Zone.FOOTER)
    assert [(b.page, b.x0, b.x1) for b in one.boxes] == [(3, 10.0, 70.0)]
    assert (one.pack, one.category, one.type, one.name) == ("p", "c", "type0", "规则0")


def sheet(header: str, rows: int, cells: str = "甲\t1\t乙\t2") -> Document:
    """Return a table with this header and so many rows."""
    return as_document("\n".join([header, *[cells] * rows]))


def test_a_table_with_enough_columns_and_rows_is_one_finding() -> None:
    """The header answers to the rule, the rows are counted, the slices are the header's cells."""
    scanner = matcher(FORM)
    document = sheet("姓名\t薪酬\t部门\t备注", 7)
    (one,), _ = scanner.find(document)
    assert (one.rule, one.count, one.masked) == ("p.r0", 7, "姓名、薪酬、部门")
    assert [document.segments[s.segment].text[s.start : s.end] for s in one.slices] == ["姓名", "薪酬", "部门"]
    assert [c.kept for c in scanner.explain(document)] == [True]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (sheet("姓名\t薪酬\t备注\t日期", 7), "too few columns"),
        (sheet("姓名\t工号\t部门\t备注", 7), "the required column is missing"),
        (sheet("姓名\t薪酬\t部门\t备注", 1), "too few rows"),
        (sheet("姓名\t薪酬\t部门\t备注", 7, "\t\t\t"), "a blank form"),
        (doc("姓名 薪酬 部门 工号\n甲 1 乙 2\n丙 3 丁 4"), "prose, no table"),
    ],
)
def test_a_table_that_does_not_answer_is_none(document: Document, why: str) -> None:
    """Fewer columns or rows, a required one missing, an empty form or prose: nothing is found."""
    assert matcher(FORM).find(document)[0] == (), why


def test_a_table_of_cells_in_many_segments_is_read() -> None:
    """Cells may be segments of their own, as in a workbook or a Word table."""
    words = ["姓名", "工资", "部门", "甲", "1", "乙", "丙", "2", "丁"]
    rows = tuple(tuple(Slice(r * 3 + c, 0, len(words[r * 3 + c])) for c in range(3)) for r in range(3))
    document = Document(media="x", segments=tuple(Segment(text=w) for w in words), tables=(Table(rows=rows),))
    (one,), _ = matcher(FORM).find(document)
    assert one.slices == (Slice(0, 0, 2), Slice(1, 0, 2), Slice(2, 0, 2))
    assert one.count == 2


def everything() -> Matcher:
    """Return a scanner with rules of each kind that can overlap."""
    return matcher(CARD, SIX + '\nedges = "none"\nconfidence = 0.3', WORD, FORM, 'kind = "mark"')


def test_a_mark_is_found_and_a_mention_is_only_told() -> None:
    """Prose about marked papers is a candidate with its status; the mark itself is a finding with level and term."""
    scanner = matcher('kind = "mark"')
    (one,) = scanner.find(doc("机密★10年", "关于某事的报告"))[0]
    assert one.mark is not None
    assert (one.level, one.regime, one.mark.term) == (Level.CONFIDENTIAL, Regime.STATE, "10年")
    prose = "携带秘密文件出境须经批准。"
    assert scanner.find(doc(prose))[0] == ()
    told = scanner.explain(doc(prose))
    assert [c.kept for c in told] == [False] * len(told)
    assert all(c.why[0] == "mention" for c in told)


def test_a_failed_number_is_told_once() -> None:
    """Every start inside it is tried, but the list of candidates names the longest only."""
    assert len(dropped(matcher(CARD), "1111 1111 1111 1112 1111")) == 1


def test_the_order_is_the_order_of_the_document() -> None:
    """Findings stand as their places stand, whatever rule found them, and every run gives the same."""
    number = luhn_number(7)
    document = doc(f"员工 {number}", "机密★10年", f"654321 薪酬结构 {number}")
    first = everything().find(document)
    starts = [(f.slices[0].segment, f.slices[0].start) for f in first[0]]
    assert starts == sorted(starts)
    assert len(starts) >= 5
    for _ in range(3):
        assert everything().find(document) == first
        assert everything().explain(document) == everything().explain(document)


def test_one_scanner_serves_many_threads() -> None:
    """Each thread has its own scratch; results do not mix."""
    scanner = everything()
    documents = [doc(f"员工{n} {luhn_number(n)} 机密") for n in range(40)]
    alone = [scanner.find(d) for d in documents]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(scanner.find, documents)) == alone


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.builds(
            Segment,
            text=st.text(st.sampled_from("机密员工司薪酬结构★0123456789 -\n\u200b\ud800😀"), max_size=60),
            soft=st.booleans(),
        ),
        max_size=4,
    )
)
def test_every_finding_lies_in_its_text_and_none_overlaps(segments: list[Segment]) -> None:
    """On any text: slices are inside, identifiers do not overlap, and explain keeps what find returns."""
    scanner = SCANNER
    document = Document(media="text/plain", segments=tuple(segments))
    findings, _ = scanner.find(document)
    taken: set[tuple[int, int]] = set()
    for one in findings:
        assert one.slices
        assert all(0 <= s.start < s.end <= len(segments[s.segment].text) for s in one.slices)
        if one.type in {"type0", "type1"}:
            cells = {(s.segment, c) for s in one.slices for c in range(s.start, s.end)}
            assert not cells & taken
            taken |= cells
    told = [(c.rule, c.slices) for c in scanner.explain(document) if c.kept]
    assert {_key(f) for f in findings if f.type != "type4"} <= set(told)


def _key(one: Finding) -> tuple[str, tuple[Slice, ...]]:
    return one.rule, one.slices


SCANNER = everything()


def test_a_scanner_without_rules_finds_nothing() -> None:
    """No packs, no findings, no fault."""
    assert Matcher((), key=KEY).find(doc("机密 123456")) == ((), ())
    assert matcher(SIX).find(Document(media="x")) == ((), ())


def test_a_pattern_that_the_scanner_refuses_is_a_located_pack_error() -> None:
    """What RE2 takes and hyperscan does not is told with the rule, not as a crash."""
    with pytest.raises(PackError) as caught:
        matcher('kind = "pattern"\npattern = "(?U)a+[0-9]{3}"')
    (fault,) = caught.value.problems
    assert (fault.file, fault.key) == ("p.toml", "p.r0.pattern")


def test_test_reports_every_example_that_does_not_come_out() -> None:
    """The packs' own examples run through the real engine."""
    rule = '[[rules]]\nid = "r"\nname = "n"\ntype = "t"\n' + SIX
    loaded = packs.load({"p.toml": HEAD + rule + '\nexamples = ["123456", "12345"]\ncounterexamples = ["1", "654321"]'})
    told = [(p.file, p.key, p.say.en) for p in run(loaded)]
    assert told == [
        ("p.toml", "p.r '12345'", "the example does not fire"),
        ("p.toml", "p.r '654321'", "the counterexample fires"),
    ]


def test_a_container_decides_over_the_borders() -> None:
    """In `inside` a term is meant though its borders say no; in `not_inside` it never is."""
    rule = 'kind = "terms"\nterms = [{{term = "密级", {0} = ["密级配"]}}]'
    assert hits(matcher(rule.format("not_inside")), "密级配沥青的密级") == ["密级"]
    assert len(hits(matcher(rule.format("inside")), "密级配沥青的密级")) == 2
    gone = dropped(matcher(rule.format("not_inside")), "密级配沥青")
    assert [c.why for c in gone] == [("term", "not_inside:密级配")]
    meant = matcher('kind = "terms"\nterms = [{term = "密切", inside = ["机密切"]}]')
    assert hits(meant, "司机密切") == ["密切"]
    with pytest.raises(PackError) as caught:
        matcher('kind = "terms"\nterms = [{term = "密级", inside = ["绝密件"]}]')
    assert [p.key for p in caught.value.problems] == ["rules[1] r0.terms"]


def test_words_of_the_site_are_part_of_the_digest() -> None:
    """The same packs with other words of the site may judge otherwise, so their digest differs."""
    plain = matcher(WORD).digest
    words.use([("星机", 500)])
    try:
        assert matcher(WORD).digest != plain
    finally:
        words.use(())
    assert matcher(WORD).digest == plain
