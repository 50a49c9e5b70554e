"""Rule packs: every fault is found, with its file, line and key; the digest tells content from place."""

from __future__ import annotations

import pytest

from dlp import match, packs
from dlp.errors import PackError, Problem
from dlp.model import Say

HEAD = '[pack]\nid = "t"\nname = "试"\nversion = "1"\ncategory = "c"\n'  # lines 1-5
GOOD = HEAD + '[[rules]]\nid = "r"\nname = "名"\nkind = "pattern"\ntype = "t"\npattern = "[0-9]{6}"\n'  # 6-11
TERMS = '[[rules]]\nid = "w"\nname = "词"\nkind = "terms"\ntype = "term"\n'


def faults(*texts: str) -> tuple[Problem, ...]:
    """Return what is wrong with these files."""
    with pytest.raises(PackError) as caught:
        packs.load({f"{n}.toml": text for n, text in enumerate(texts)})
    return caught.value.problems


def places(*texts: str) -> list[tuple[str, int | None, str]]:
    """Return file, line and key of every fault."""
    return [(p.file, p.line, p.key) for p in faults(*texts)]


def test_a_good_pack_loads_with_its_usual_values() -> None:
    """What the author leaves out has a safe value."""
    (pack,) = packs.load({"a.toml": GOOD + TERMS + 'terms = ["机密", {term = "绝密级", weight = 9}]\n'})
    number, word = pack.rules
    assert (pack.id, pack.file, pack.full_id(number)) == ("t", "a.toml", "t.r")
    assert (number.edges, number.mask, number.cuts) == ("alnum", "keep:1,1", True)
    assert [(t.term, t.weight) for t in word.all_terms()] == [("机密", 5), ("绝密级", 9)]
    assert not word.cuts


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (HEAD + '[[rules]\nid = "r"\n', 6, "TOML", "TOML"),
        (HEAD + 'name = "again"\n', 6, "TOML", "TOML"),
        (GOOD + "patern = 1\n", 12, "rules[1].patern", "no such key"),
        (GOOD + 'near = {words = ["x"], distanc = 3}\n', 12, "rules[1].near.distanc", "no such key"),
        (GOOD + "check = 5\n", 12, "rules[1].check", "must be"),
        (GOOD + 'confidence = "high"\n', 12, "rules[1].confidence", "must be"),
        (GOOD + "confidence = 1.5\n", 12, "rules[1].confidence", ""),
        (GOOD + 'severity = "grave"\n', 12, "rules[1].severity", ""),
        (GOOD + 'edges = "all"\n', 12, "rules[1].edges", ""),
        (GOOD + 'examples = ["a",\n  7]\n', 13, "rules[1].examples[2]", "must be"),
        (GOOD + 'near = {words = ["x"], distance = 0}\n', 12, "rules[1].near.distance", ""),
        (GOOD + 'check = "lhun"\n', 12, "rules[1] r.check", "no check lhun"),
        (GOOD + 'mask = "keep:x"\n', 12, "rules[1] r.mask", "no mask"),
        (GOOD.replace("[0-9]{6}", "(?<!a)[0-9]"), 11, "rules[1] r.pattern", "refused"),
        (GOOD.replace("[0-9]{6}", "(?=a)[0-9]"), 11, "rules[1] r.pattern", "refused"),
        (GOOD.replace("[0-9]{6}", "(a)\\\\1"), 11, "rules[1] r.pattern", "refused"),
        (GOOD.replace("[0-9]{6}", "(a"), 11, "rules[1] r.pattern", "refused"),
        (GOOD.replace("[0-9]{6}", ""), 11, "rules[1] r.pattern", "empty"),
        (GOOD.replace("[0-9]{6}", "[0-9]*"), 11, "rules[1] r.pattern", "empty"),
        (GOOD + '[[rules]]\nid = "r"\nname = "x"\nkind = "mark"\ntype = "m"\n', 13, "rules[2] r.id", "taken"),
        (HEAD + TERMS, 6, "rules[1] w.terms", "no terms"),
        (HEAD + TERMS + 'terms = [\n  "机密",\n  "密",\n]\n', 13, "rules[1] w.terms", "too short"),
        (HEAD + TERMS + 'terms = ["密\u200b"]\n', 11, "rules[1] w.terms", "too short"),
        (HEAD + TERMS + 'terms = [{term = "机密", weight = 0}]\n', 11, "rules[1].terms[1].weight", ""),
        (HEAD + '[[rules]]\nid = "r"\nname = "x"\nkind = "mark"\ntype = "m"\nfamilies = ["no"]\n', 11, "", "family no"),
        (HEAD + '[[rules]]\nid = "r"\nname = "x"\nkind = "table"\ntype = "m"\ncolumns = [["a"]]\n', 11, "", "columns"),
        (HEAD + '[[rules]]\nid = "r"\nname = "x"\nkind = "regex"\ntype = "m"\n', 9, "rules[1].kind", ""),
        (HEAD + '[[rules]]\nid = "r"\nkind = "mark"\ntype = "m"\n', 6, "rules[1]", "name is missing"),
        ('[[rules]]\nid = "r"\nname = "x"\nkind = "mark"\ntype = "m"\n', 1, "-", "pack is missing"),
    ],
)
def test_a_fault_is_located(text: str, line: int, key: str, words: str) -> None:
    """One fault gives one problem, with file, line, key and what is wrong in both languages."""
    (fault,) = faults(text)
    assert (fault.file, fault.line) == ("0.toml", line)
    assert key in fault.key
    assert words in fault.say.en
    assert fault.say.zh
    assert fault.text("en").startswith(f"0.toml:{line}: ")


def test_a_misspelt_key_has_advice() -> None:
    """The nearest known key is named."""
    (fault,) = faults(GOOD + "patern = 1\n")
    assert fault.advice is not None
    assert "pattern" in fault.advice.en


def test_all_faults_are_told_at_once() -> None:
    """One run reports the faults of every file and every rule."""
    wrong_values = GOOD.replace('"t"', '"a"', 1).replace("[0-9]{6}", "(a") + 'check = "no"\nmask = "no"\n' + TERMS
    wrong_types = GOOD + 'nonsense = 1\nconfidence = "x"\n[[rules]]\nid = 7\n'
    found = places(wrong_values, wrong_types, "= =\n")
    assert {(f, n) for f, n, _ in found if f == "0.toml"} == {
        ("0.toml", 11),
        ("0.toml", 12),
        ("0.toml", 13),
        ("0.toml", 14),
    }
    assert {n for f, n, _ in found if f == "1.toml"} == {12, 13, 14, 15}
    assert ("2.toml", 1, "TOML") in found


def test_a_pack_id_that_is_taken_is_located() -> None:
    """Two packs with one id would mix their rules."""
    assert places(GOOD, "# a comment\n" + GOOD) == [("1.toml", 3, "pack.id")]


def test_the_digest_is_of_the_content() -> None:
    """File names and order of files do not matter; any change of a rule does."""
    other = GOOD.replace('"t"', '"u"', 1)
    one = packs.load({"a.toml": GOOD, "b.toml": other})
    two = packs.load({"z.toml": other, "y.toml": GOOD})
    assert packs.digest(one) == packs.digest(two)
    assert packs.digest(one).startswith("sha256:")
    assert len(packs.digest(one)) == len("sha256:") + 64
    seen = {packs.digest(one), packs.digest(one[:1]), packs.digest(())}
    for old, new in (("{6}", "{7}"), ('"1"', '"2"'), ('"名"', '"别名"'), ('type = "t"', 'type = "s"')):
        assert old in GOOD
        seen.add(packs.digest(packs.load({"a.toml": GOOD.replace(old, new), "b.toml": other})))
    assert len(seen) == 7


def test_comments_and_layout_do_not_change_the_digest() -> None:
    """The digest is of what is decoded, not of the bytes of the file."""
    noted = packs.load({"a.toml": "# note\n\n" + GOOD.replace(" = ", "=")})
    assert packs.digest(noted) == packs.digest(packs.load({"a.toml": GOOD}))


def test_the_digest_knows_the_order_of_rules_as_content() -> None:
    """A rule that is added changes the digest."""
    more = GOOD + TERMS + 'terms = ["机密"]\n'
    assert packs.digest(packs.load({"a": more})) != packs.digest(packs.load({"a": GOOD}))


def test_lint_advises_without_refusing() -> None:
    """A rule without examples, counterexamples and reference loads, and each lack is told."""
    loaded = packs.load({"a.toml": GOOD})
    assert [p.say.en for p in packs.lint(loaded)] == [
        "fewer than two examples",
        "no counterexample",
        "no reference to a law or standard",
    ]
    assert {(p.file, p.key) for p in packs.lint(loaded)} == {("a.toml", "t.r")}
    full = GOOD + 'examples = ["a", "b"]\ncounterexamples = ["c"]\nreferences = [{law = "l"}]\n'
    assert packs.lint(packs.load({"a.toml": full})) == ()


@pytest.mark.parametrize(
    ("pattern", "characters"), [("[0-9]{6}", 6), ("ab?c", 3), ("a+", 256), ("(?:ab|cde)f", 4), (r"\pN{3}", 256)]
)
def test_width_bounds_a_hit(pattern: str, characters: int) -> None:
    """The width is the longest hit, or the cap where none can be told."""
    assert packs.width(pattern) == characters


def test_patterns_are_leftmost_longest() -> None:
    """The longer alternative wins, whatever the order in which they are written."""
    found = packs.compile_pattern("ab|abc").search(b"xabc")
    assert found.span() == (1, 4)


def test_a_repealed_law_is_an_error_and_a_missing_edition_is_advice() -> None:
    """The edition in force is named; a law that was replaced as a whole names its successor."""
    reference = 'examples = ["a1", "b2"]\ncounterexamples = ["c"]\nreferences = [{{law = "{}"{}}}]\n'
    for law, edition, errors, advice in (
        ("中华人民共和国保守国家秘密法", "2010-10-01", "was repealed", ""),
        ("中华人民共和国保守国家秘密法", "2019-01-01", "is not in force", ""),
        ("中华人民共和国合同法", "", "中华人民共和国合同法 was repealed", ""),
        ("中华人民共和国保守国家秘密法", "2024-05-01", "", ""),
        ("中华人民共和国保守国家秘密法", "", "", "no edition"),
        ("本单位制度", "", "", ""),
    ):
        text = GOOD + reference.format(law, f', edition = "{edition}"' if edition else "")
        loaded = packs.load({"0.toml": text})
        for found, words in ((packs.outdated(loaded), errors), (packs.lint(loaded), advice)):
            assert [words in p.say.en for p in found] == [True] * bool(words), (law, edition, found)
            assert all(p.line == 6 and p.advice is not None for p in found)
    successor = packs.outdated(packs.load({"0.toml": GOOD + reference.format("中华人民共和国合同法", "")}))
    assert "民法典" in (successor[0].advice or Say("", "")).zh


def test_every_piece_of_advice_has_a_line_and_says_what_to_do() -> None:
    """A rule without examples, counterexamples and references gets three, at the line where it begins."""
    found = packs.lint(packs.load({"0.toml": GOOD}))
    assert [(p.line, p.advice is not None) for p in found] == [(6, True)] * 3


@pytest.mark.parametrize("pattern", ["^[0-9]{6}", "[0-9]{6}$", "(?m)^a[0-9]"])
def test_an_anchor_is_refused_with_advice(pattern: str) -> None:
    """A view has no fixed beginning or end; a class of characters and an escaped sign are no anchors."""
    (fault,) = faults(GOOD.replace("[0-9]{6}", pattern))
    assert "edges" in (fault.advice or Say("", "")).en
    for fine in (r"\\$[0-9]{6}", "[^0-9]a", "[$^]b"):
        assert packs.load({"0.toml": GOOD.replace("[0-9]{6}", fine)})


def test_a_huge_list_is_refused_before_it_is_compiled() -> None:
    """Ten megabytes of terms, too many terms and a term as long as a page are told with their place and advice."""
    ten = GOOD + "# " + "机密" * 1_700_000
    (fault,) = faults(ten)
    assert (fault.line, fault.advice is not None) == (1, True)
    assert "too large" in fault.say.en
    words = ", ".join(f'"机密{n}"' for n in range(packs.MOST_TERMS + 1))
    (fault,) = faults(HEAD + TERMS + f"terms = [{words}]\n")
    assert (fault.line, "too many terms" in fault.say.en) == (6, True)
    (fault,) = faults(HEAD + TERMS + f'terms = ["机密", "{"密" * 101}"]\n')
    assert "too long" in fault.say.en


def test_what_only_the_scanner_refuses_is_located_too() -> None:
    """A pattern that RE2 takes and hyperscan does not is told with its line and advice."""
    pattern = r"[0-9]\\C[0-9]"  # \\C is one byte, which only RE2 knows in UTF-8
    with pytest.raises(PackError) as caught:
        match.Matcher(packs.load({"0.toml": GOOD.replace("[0-9]{6}", pattern)}), key=bytes(32))
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.advice is not None) == ("0.toml", 6, True)
