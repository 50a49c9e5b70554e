"""Rule packs: TOML that administrators write, decoded strictly, every fault located and with advice.

Pure: the text of the files is handed in. Patterns are RE2 syntax over the normalized view, without look-around; what
may not stand beside a hit is said by `edges`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
import re2
from msgspec import Meta

from dlp import laws, located, marks
from dlp.checks import CHECKS, is_mask
from dlp.errors import PackError, Problem
from dlp.model import Frozen, Level, Reference, Regime, Say, Severity
from dlp.text import fold

Kind = Literal["pattern", "terms", "mark", "table", "form", "class"]
Edges = Literal["alnum", "digits", "letters", "none"]
Share = Annotated[float, Meta(ge=0, le=1)]
_MASKS = "keep:1,1 / digits / email / whole"
LARGEST = 4_000_000
"""Bytes of one pack file: 100,000 terms with their weights; the shipped packs together have a tenth of it."""
MOST_TERMS = 100_000
"""Terms of all packs together: compiled in about five seconds and kept."""
LONGEST_TERM = 100
WIDEST = 256
"""Characters that one hit may have; longer secrets are known by their beginning."""


class Near(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Context: words within `distance` characters before or after a hit, or in the header of its column."""

    words: tuple[str, ...]
    distance: Annotated[int, Meta(ge=1, le=200)] = 20
    required: bool = False


class Term(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word or phrase with its weight (1-10) and whether its borders are judged."""

    term: str
    weight: Annotated[float, Meta(gt=0, le=10)] = 5
    boundary: Literal["straddle", "none", ""] = ""
    """Empty: `straddle` for 2-3 characters, `none` from 4 on."""
    inside: tuple[str, ...] = ()
    """Longer words in which it is meant, whatever the borders say."""
    not_inside: tuple[str, ...] = ()
    """Longer words in which it is never meant: 密级配 is asphalt."""


class Rule(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to find."""

    id: str
    name: str
    kind: Kind
    type: str
    severity: Severity = Severity.MEDIUM
    level: Level | None = None
    regime: Regime | None = None
    confidence: Share = 0.9
    pattern: str = ""
    tail: str = ""
    """What may follow a hit and belongs to it, of any length: the body of a key whose beginning is the pattern."""
    edges: Edges = "alnum"
    check: str = ""
    mask: str = "keep:1,1"
    near: Near | None = None
    not_near: Near | None = None
    redact: bool | None = None
    terms: tuple[Term | str, ...] = ()
    families: tuple[str, ...] = ()
    columns: tuple[tuple[str, ...], ...] = ()
    at_least: Annotated[int, Meta(ge=2)] = 3
    rows: Annotated[int, Meta(ge=1)] = 5
    require: tuple[int, ...] = ()
    labels: tuple[tuple[str, ...], ...] = ()
    """Labels of a form, each group one thing under several names: 甲方, 发包人."""
    within: Annotated[int, Meta(ge=20, le=20_000)] = 1_500
    """Characters in which the labels of a form stand together."""
    filled: Annotated[int, Meta(ge=0)] = 2
    """Labels that have a value; a blank form is nobody's."""
    title: tuple[str, ...] = ()
    """Words of which one stands at the top of a document of this class."""
    articles: Annotated[int, Meta(ge=0, le=200)] = 0
    """Numbered articles that a document of this class has at least."""
    unless: tuple[str, ...] = ()
    """Words that a document of this class does not hold: 此件公开发布."""
    examples: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def cuts(self) -> bool:
        """Tell whether a redaction removes the hits of this rule: patterns, unless the pack says otherwise."""
        return self.kind == "pattern" if self.redact is None else self.redact

    def all_terms(self) -> tuple[Term, ...]:
        """Return the terms with weights; a bare string has the usual weight."""
        return tuple(Term(term=t) if isinstance(t, str) else t for t in self.terms)


class Head(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pack says of itself."""

    id: str
    name: str
    version: str
    category: str
    description: str = ""


class _Say(Protocol):
    """Makes a problem of one rule: the key at fault, what is wrong in both languages, what to do, which element."""

    def __call__(self, key: str, zh: str, en: str, advice: Say | None = None, *, item: int = 0) -> Problem: ...


class _File(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pack: Head
    rules: tuple[Rule, ...] = ()


class Pack(Frozen, frozen=True, kw_only=True):
    """One loaded pack."""

    id: str
    name: str
    version: str
    category: str
    description: str
    rules: tuple[Rule, ...]
    file: str = ""
    lines: tuple[int, ...] = ()
    """Line (from 1) at which each rule begins in its file."""

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>` of the pack's content; the place of its file and its lines do not matter."""
        content = msgspec.json.encode(msgspec.structs.replace(self, file="", lines=()), order="deterministic")
        return "sha256:" + hashlib.sha256(content).hexdigest()

    def full_id(self, rule: Rule) -> str:
        """Return the rule's id with the pack's before it."""
        return f"{self.id}.{rule.id}"


def line_of(pack: Pack, rule: Rule) -> int | None:
    """Return the line at which a rule begins in the file of its pack; None for a pack that came from no file."""
    return next((line for each, line in zip(pack.rules, pack.lines, strict=False) if each is rule), None)


def digest(packs: Sequence[Pack], words: Sequence[tuple[str, int]] = ()) -> str:
    """Return `sha256:<hex>` over all packs, whatever their order, and the words of the site, which move borders."""
    whole = "\n".join([*sorted(pack.digest for pack in packs), *(f"{word} {count}" for word, count in words)])
    return "sha256:" + hashlib.sha256(whole.encode()).hexdigest()


def load(texts: Mapping[str, str]) -> tuple[Pack, ...]:
    """Return the packs in `texts` (file name -> TOML); PackError carries every fault of every file."""
    loaded: list[Pack] = []
    problems: list[Problem] = []
    for file, text in texts.items():
        if len(text.encode()) > LARGEST:
            problems.append(_too_large(file, len(text.encode())))
            continue
        decoded, faults = located.decode(text, _File, file)
        problems += faults
        if decoded is None:
            continue
        where = located.lines(text)
        problems += _faults(decoded, file, where)
        head = decoded.pack
        if any(p.id == head.id for p in loaded):
            line = located.line_of(where, ("pack", "id"))
            problems.append(
                _say(file, line, "pack.id", f"规则包编号重复：{head.id}", f"this pack id is taken: {head.id}")
            )
        loaded.append(
            Pack(
                id=head.id,
                name=head.name,
                version=head.version,
                category=head.category,
                description=head.description,
                rules=decoded.rules,
                file=file,
                lines=tuple(located.line_of(where, ("rules", n)) or 1 for n in range(len(decoded.rules))),
            )
        )
    problems += _too_many(loaded)
    if problems:
        raise PackError(
            Say(f"规则包有 {len(problems)} 处问题", f"{len(problems)} faults in the packs"),
            tuple(problems),
            Say("逐条改正后用 dlp packs check 检查", "mend each and check with `dlp packs check`"),
        )
    return tuple(loaded)


def over(base: Sequence[Pack], above: Sequence[Pack]) -> tuple[Pack, ...]:
    """Return `base` with the packs of `above` in the place of those of the same id, or behind them all.

    PackError where all of them together have too many terms.
    """
    replaced = {pack.id: pack for pack in above}
    known = {pack.id for pack in base}
    joined = (*(replaced.get(pack.id, pack) for pack in base), *(pack for pack in above if pack.id not in known))
    problems = tuple(_too_many(joined))
    if problems:
        raise PackError(Say("全部规则包的词太多", "all packs together have too many terms"), problems)
    return joined


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a pack file, for editors that know TOML schemas."""
    return msgspec.json.schema(_File)


def lint(packs: Sequence[Pack]) -> tuple[Problem, ...]:
    """Return advice on packs that load: what a careful author would add."""
    return tuple(problem for pack in packs for rule in pack.rules for problem in _advice(pack, rule))


def outdated(packs: Sequence[Pack]) -> tuple[Problem, ...]:
    """Return every citation of a law or an edition that is repealed; such a pack runs, but nobody may rely on it."""
    return tuple(
        Problem(
            file=pack.file,
            line=line_of(pack, rule),
            key=f"{pack.full_id(rule)}.references[{number}]",
            say=fault[0],
            advice=fault[1],
        )
        for pack in packs
        for rule in pack.rules
        for number, reference in enumerate(rule.references, 1)
        if (fault := laws.fault(reference)) is not None
    )


def _too_large(file: str, size: int) -> Problem:
    zh, en = f"规则包太大：{size} 字节，上限 {LARGEST}", f"the pack is too large: {size} bytes of at most {LARGEST}"
    return _say(file, 1, "-", zh, en, Say("拆成几个文件，或只留需要的词", "split it, or keep the words you need"))


def _too_many(loaded: Sequence[Pack]) -> Iterator[Problem]:
    """Give the rule with which the terms of all packs become too many."""
    count = 0
    for pack in loaded:
        for rule in pack.rules:
            count += len(rule.terms)
            if count > MOST_TERMS:
                zh, en = f"词太多：共 {count}，上限 {MOST_TERMS}", f"too many terms: {count} of at most {MOST_TERMS}"
                advice = Say("词表应是敏感词，不是词典", "a list of sensitive terms is no dictionary")
                yield _say(pack.file, line_of(pack, rule), f"{pack.full_id(rule)}.terms", zh, en, advice)
                return


_ESCAPED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_ANCHOR = re.compile(r"[\^$]")


def compile_pattern(pattern: str) -> re2._Regexp:
    """Return the pattern compiled by RE2 for UTF-8 bytes, leftmost-longest; re2.error when it is refused."""
    options = re2.Options()
    options.longest_match = True
    options.never_capture = True
    options.log_errors = False
    return re2.compile(pattern.encode(), options)


def width(pattern: str) -> int:
    """Return how many characters a hit of `pattern` can have, at most `WIDEST`."""
    try:
        longest = re._parser.parse(pattern).getwidth()[1]  # type: ignore[attr-defined]  # noqa: SLF001  no public door
    except (re.error, OverflowError, RecursionError):
        return WIDEST  # RE2 knows a construct that `re` does not
    return min(WIDEST, int(longest))


def _faults(file: _File, name: str, where: dict[located.Path, int]) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, rule in enumerate(file.rules):

        def say(key: str, zh: str, en: str, advice: Say | None = None, *, item: int = 0, at: int = number) -> Problem:
            line = located.line_of(where, ("rules", at, key, item))
            return _say(name, line, f"rules[{at + 1}] {file.rules[at].id}.{key}", zh, en, advice)

        if rule.id in seen:
            yield say("id", f"规则编号重复：{rule.id}", f"this rule id is taken: {rule.id}")
        seen.add(rule.id)
        if rule.check and rule.check not in CHECKS:
            known = ", ".join(sorted(CHECKS))
            yield say(
                "check", f"没有校验 {rule.check}", f"no check {rule.check}", Say(f"可用：{known}", f"known: {known}")
            )
        yield from _kind_faults(rule, say)


def _kind_faults(rule: Rule, say: _Say) -> Iterator[Problem]:
    if not is_mask(rule.mask):
        yield say("mask", f"没有掩码 {rule.mask}", f"no mask {rule.mask}", Say(_MASKS, _MASKS))
    if rule.kind == "pattern" or (rule.kind == "class" and rule.pattern):
        for key, written in (("pattern", rule.pattern), ("tail", rule.tail)):
            try:
                empty = compile_pattern(written).fullmatch(b"") is not None
            except re2.error as err:
                why = err.args[0].decode("utf-8", "replace") if isinstance(err.args[0], bytes) else str(err.args[0])
                advice = Say("不支持环视与反向引用；两侧限制用 edges", "no look-around or back references; use `edges`")
                yield say(key, f"正则不能用：{why}", f"the pattern is refused: {why}", advice)
            else:
                if empty and key == "pattern":
                    yield say(key, "正则为空，或会命中空文本", "the pattern is empty or matches an empty text")
                if rule.kind == "pattern" and _ANCHOR.search(_ESCAPED.sub("", written)):
                    zh, en = "不能用 ^ $ 锚定：命中可在任何位置", "no ^ or $: a hit may stand anywhere"
                    advice = Say(
                        "两侧限制用 edges；文首的一行用 kind = class", "use `edges`, or a class for a line of a head"
                    )
                    yield say(key, zh, en, advice)
    if rule.kind == "terms":
        if not rule.terms:
            yield say("terms", "没有词", "there are no terms")
        for number, term in enumerate(rule.all_terms()):
            if len(fold(term.term).strip()) < 2:
                advice = Say("单字到处都是，请写成词", "one character stands everywhere; write a word")
                yield say("terms", f"词太短：{term.term}", f"the term is too short: {term.term}", advice, item=number)
            if len(term.term) > LONGEST_TERM:
                zh, en = f"词太长：{len(term.term)} 字", f"the term is too long: {len(term.term)} characters"
                advice = Say(
                    f"上限 {LONGEST_TERM} 字，取其中有区别的一段", f"at most {LONGEST_TERM}; take a telling part"
                )
                yield say("terms", zh, en, advice, item=number)
            for longer in (*term.inside, *term.not_inside):
                if fold(term.term) not in fold(longer):
                    zh, en = f"{longer} 里没有 {term.term}", f"{longer} does not hold {term.term}"
                    yield say("terms", zh, en, item=number)
    if rule.kind == "mark":
        for family in sorted(set(rule.families) - marks.FAMILIES):
            known = ", ".join(sorted(marks.FAMILIES))
            yield say("families", f"没有标志家族 {family}", f"no mark family {family}", Say(known, known))
    if rule.kind == "class" and not (rule.title or rule.pattern):
        yield say("title", "没有标题用语", "there are no words of a title")
    for kind, key, groups in (("table", "columns", rule.columns), ("form", "labels", rule.labels)):
        if rule.kind == kind and (len(groups) < rule.at_least or any(not 0 <= r < len(groups) for r in rule.require)):
            zh = f"{key} 的组数少于 at_least，或 require 超出"
            yield say(key, zh, f"fewer groups of {key} than at_least, or require beyond them")


def _advice(pack: Pack, rule: Rule) -> Iterator[Problem]:
    where, line = f"{pack.id}.{rule.id}", line_of(pack, rule)
    if len(rule.examples) < 2:
        advice = Say("写两个必须命中的例句，号码须合成", "write two sentences that must fire, with made-up numbers")
        yield _say(pack.file, line, where, "样例少于 2 个", "fewer than two examples", advice)
    if not rule.counterexamples:
        advice = Say("写一个相似而不得命中的例句", "write a sentence that looks alike and must not fire")
        yield _say(pack.file, line, where, "没有反例", "no counterexample", advice)
    if not rule.references:
        advice = Say("references 写明依据：法律、条、版本", "name the law, the article and the edition in references")
        yield _say(pack.file, line, where, "没有依据", "no reference to a law or standard", advice)
    for reference in rule.references:
        edition = laws.lacks_edition(reference)
        if edition:
            advice = Say(f'核对后写 edition = "{edition}"', f'check the article and write edition = "{edition}"')
            yield _say(pack.file, line, where, f"《{reference.law}》未写版本", f"{reference.law}: no edition", advice)


def _say(file: str, line: int | None, key: str, zh: str, en: str, advice: Say | None = None) -> Problem:  # noqa: PLR0917
    return Problem(file=file, line=line, key=key, say=Say(zh, en), advice=advice)
