"""Clauses over findings and gaps become one verdict.

Pure: no file, no clock. A clause names what it looks at (`when`), what happens (`action`) and the article it stands
on. Verdicts combine by `max()`; a gap is never clean, so the action for gaps cannot be set below quarantine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from fnmatch import fnmatchcase

import msgspec

from dlp import persons
from dlp.model import (
    Action,
    Finding,
    Frozen,
    Gap,
    GapKind,
    Item,
    Level,
    Reason,
    Regime,
    Say,
    Severity,
    Verdict,
    evolve,
)

STRUCTURE_SCORE = 12.0
"""Points that one table or form adds to the score of its category (domain fact sheet, `terms.json` scale)."""

PAGE = 1_000
"""Characters: two of these are about what a printed page of Chinese text holds."""

GAP_WORDS: dict[GapKind, Say] = {
    GapKind.ENCRYPTED: Say("内容已加密，无法检查", "the content is encrypted and cannot be inspected"),
    GapKind.CORRUPT: Say("文件损坏或结构异常", "the file is damaged or its structure is not what it should be"),
    GapKind.UNSUPPORTED: Say("不支持的文件类型", "the file type is not supported"),
    GapKind.TOO_BIG: Say("内容超过大小限制", "the content is larger than the limit"),
    GapKind.TOO_DEEP: Say("嵌套层数过深", "the content is nested too deeply"),
    GapKind.TOO_MANY: Say("内含条目过多", "the content has too many entries"),
    GapKind.TIMEOUT: Say("读取超时", "reading took too long"),
    GapKind.CRASHED: Say("读取程序异常中止", "the reader died"),
    GapKind.NO_OCR: Say("含未识别的图片", "pictures in it were not read"),
    GapKind.UNTRUSTED_TEXT: Say("文字层不可信", "the text layer cannot be trusted"),
    GapKind.HIT_CAP: Say("命中数量超过上限", "there were more hits than the cap"),
}


class When(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a clause looks at; every field that is set must hold. Names take `*` and `?`."""

    channel: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    regime: tuple[Regime, ...] = ()
    level_at_least: Level | None = None
    severity_at_least: Severity | None = None
    confidence_at_least: float = 0.0
    count_at_least: int = 1
    persons_at_least: int = 0
    """People that the identifiers belong to, about: see `dlp.persons`."""
    score_at_least: float = 0.0
    gap: tuple[GapKind, ...] = ()
    not_class: tuple[str, ...] = ()
    """Rules of document classes: the clause does not hold for a document of one of them."""


class Clause(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of the house: when this is seen, that is done."""

    name: str
    action: Action
    when: When = When()
    say: str = ""
    """What the operator reads before the evidence, in Chinese; English in `say_en`."""
    say_en: str = ""
    article: str = ""
    suggests: bool = False
    """Where the document bears no mark, say that it may want one, and which level the rules suggest."""
    shadow: bool = False
    """Decide and record, but do not act on this clause."""


class Exemption(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values that somebody answers for until a date: the unit's own telephone numbers, a name that is a brand."""

    name: str
    rule: tuple[str, ...]
    """Rules it holds for; names take `*` and `?`. A classification mark is never exempt."""
    values: tuple[str, ...]
    owner: str
    """Who answers for it."""
    reason: str
    expires: date

    def __post_init__(self) -> None:
        for field in ("name", "rule", "values", "owner", "reason"):
            if not getattr(self, field):
                raise ValueError(f"an exemption needs its {field}")


STATE_ARTICLE = "《中华人民共和国保守国家秘密法》（2024-05-01）第三十一条第三项"
BULK_ARTICLE = "法释〔2017〕10号第五条第一款"
PERSONAL_ARTICLE = "《中华人民共和国个人信息保护法》（2021-11-01）第二十八条"

HELD_CATEGORIES = (
    "finance",
    "personnel",
    "business",
    "technical",
    "meeting",
    "judicial",
    "procurement",
    "exam",
    "access",
    "military",
    "secrecy",
    "petition",
)
"""Categories of which much talk holds a document back; contracts, citizens and health come with identifiers."""

DEFAULT_CLAUSES: tuple[Clause, ...] = (
    Clause(
        name="state-marks",
        action=Action.BLOCK,
        when=When(type=("classification_mark",), regime=(Regime.STATE, Regime.EXAM), confidence_at_least=0.8),
        say="发现国家秘密标志，本机不得处理、打印或外发",
        say_en="A state-secret mark was found; this machine must not process, print or send it",
        article=STATE_ARTICLE,
    ),
    Clause(
        name="other-marks",
        action=Action.QUARANTINE,
        when=When(type=("classification_mark",)),
        say="发现密级或内部标志（含疑似），须由保密员研判",
        say_en="A classification or internal mark (or a likely one) was found; security staff must review it",
    ),
    Clause(
        name="credentials",
        action=Action.QUARANTINE,
        when=When(category=("credential",), severity_at_least=Severity.HIGH),
        say="发现口令、密钥等凭据",
        say_en="Passwords, keys or tokens were found",
    ),
    Clause(
        name="restricted",
        action=Action.QUARANTINE,
        when=When(type=("document_class",), category=("restricted",)),
        say="此类文件没有密级标志也须先审批",
        say_en="Papers of this kind need approval even without a mark",
        suggests=True,
    ),
    Clause(
        name="tables",
        action=Action.QUARANTINE,
        when=When(type=("structure",)),
        say="发现敏感表格",
        say_en="A sensitive table or form was found",
        suggests=True,
    ),
    Clause(
        name="personal-5000",
        action=Action.QUARANTINE,
        when=When(category=("identity",), persons_at_least=5_000),
        say="批量个人信息，达到 5,000 条档",
        say_en="Personal data in bulk, the band of 5,000",
        article=f"{BULK_ARTICLE}第五项",
    ),
    Clause(
        name="health-500",
        action=Action.QUARANTINE,
        when=When(type=persons.HEALTH, persons_at_least=500),
        say="批量健康生理信息，达到 500 条档",
        say_en="Health data in bulk, the band of 500",
        article=f"{BULK_ARTICLE}第四项",
    ),
    Clause(
        name="property-50",
        action=Action.QUARANTINE,
        when=When(type=persons.PROPERTY, persons_at_least=50),
        say="批量财产、行踪信息，达到 50 条档",
        say_en="Data on property or whereabouts in bulk, the band of 50",
        article=f"{BULK_ARTICLE}第三项",
    ),
    Clause(
        name="personal-bulk",
        action=Action.QUARANTINE,
        when=When(category=("identity",), severity_at_least=Severity.MEDIUM, persons_at_least=50),
        say="批量个人信息（50 人以上），须由保密员审核",
        say_en="Personal data of 50 people or more; security staff must review it",
        article=BULK_ARTICLE,
    ),
    Clause(
        name="personal",
        action=Action.REDACT,
        when=When(category=("identity",), severity_at_least=Severity.HIGH),
        say="发现个人敏感信息，放行前须脱敏",
        say_en="Sensitive personal data was found; it is redacted before release",
        article=PERSONAL_ARTICLE,
    ),
    Clause(
        name="terms-strong",
        action=Action.QUARANTINE,
        when=When(type=("term",), category=HELD_CATEGORIES, score_at_least=30.0, not_class=("cn.document.*",)),
        say="内容涉及不公开的事项",
        say_en="The content is about matters that are not public",
        article="《中心保密工作制度》",
        suggests=True,
    ),
    Clause(
        name="terms",
        action=Action.ALERT,
        when=When(type=("term",), score_at_least=18.0),
        say="内容含较多敏感词，已记录",
        say_en="The content holds many sensitive terms; this was recorded",
    ),
    Clause(
        name="contacts",
        action=Action.ALERT,
        when=When(category=("identity",), severity_at_least=Severity.MEDIUM),
        say="含联系方式等个人信息，已记录",
        say_en="The content holds contact or other personal data; this was recorded",
        article=PERSONAL_ARTICLE,
    ),
    Clause(
        name="redaction-leaks",
        action=Action.QUARANTINE,
        when=When(type=("redaction_leak",), severity_at_least=Severity.HIGH),
        say="涂黑、遮盖或删去的内容仍可读出",
        say_en="What was blacked out, covered or removed can still be read",
    ),
    Clause(
        name="redaction-traces",
        action=Action.ALERT,
        when=When(type=("redaction_leak",)),
        say="涂黑处留有可供推测的痕迹，已记录",
        say_en="A redaction left traces from which it can be guessed; this was recorded",
    ),
    Clause(
        name="oddities",
        action=Action.ALERT,
        when=When(type=("oddity",)),
        say="文件形式异常，已记录",
        say_en="The form of the file is odd; this was recorded",
    ),
)


class Policy(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The clauses of a site, the action for gaps, and shadow mode for the whole site."""

    shadow: bool = False
    gaps: Action = Action.QUARANTINE
    clauses: tuple[Clause, ...] = DEFAULT_CLAUSES
    exemptions: tuple[Exemption, ...] = ()

    def __post_init__(self) -> None:
        if self.gaps < Action.QUARANTINE:
            raise ValueError("gaps must be quarantine or block: what could not be read is never clean")

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>` over the whole policy."""
        return "sha256:" + hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


DEFAULT = Policy()


def decide(
    item: Item,
    findings: Sequence[Finding],
    gaps: Sequence[Gap],
    policy: Policy,
    packs: str,
) -> Verdict:
    """Return the verdict on one item: the gravest action of all clauses that hold and of its gaps."""
    reasons: list[Reason] = []
    shadowed: list[Action] = []
    for clause in policy.clauses:
        if not _speaks_of(clause.when, item):
            continue
        reason = _weigh(clause, findings, gaps)
        if reason is None:
            continue
        if clause.shadow:
            shadowed.append(clause.action)
        else:
            reasons.append(reason)
    if gaps:
        reasons.append(_gap_reason(gaps, policy.gaps))
    reasons = _without_echoes(reasons)
    action = max((r.action for r in reasons), default=Action.ALLOW)
    level, regime = _gravest(findings, reasons)
    if policy.shadow and action is not Action.ALLOW:
        shadowed.append(action)
        action = Action.ALLOW
    over = max(shadowed, default=None)
    return Verdict(
        action=action,
        level=level,
        regime=regime,
        reasons=tuple(reasons),
        packs=packs,
        policy=policy.digest,
        shadowed=over if over is not None and over > action else None,
    )


def exempt(
    findings: Sequence[Finding], exemptions: Sequence[Exemption], digest: Callable[[str, str], str], today: date
) -> tuple[Finding, ...]:
    """Return the findings, those marked that an exemption lets pass today; `digest` is that of a type and a value."""
    valid = [one for one in exemptions if one.expires >= today]
    if not valid:
        return tuple(findings)
    known: dict[tuple[str, str], frozenset[str]] = {}
    told: list[Finding] = []
    for found in findings:
        name = ""
        for one in valid:
            key = (one.name, found.type)
            if found.type == "classification_mark" or not _named(found.rule, one.rule):
                continue
            if key not in known:
                known[key] = frozenset(digest(found.type, value) for value in one.values)
            if found.digest in known[key]:
                name = one.name
        told.append(evolve(found, exempt=name, why=(*found.why, f"exempt:{name}")) if name else found)
    return tuple(told)


def score(findings: Iterable[Finding]) -> float:
    """Return the points of the fullest stretch of `2 * PAGE` characters, each distinct term once at its best.

    A novel has every word somewhere; a paper about budgets has many on one page.
    """
    pages: dict[int, dict[tuple[str, str], float]] = {}
    tables = 0.0
    for found in findings:
        if found.type == "structure":
            tables += STRUCTURE_SCORE
        elif found.weight:
            key = (found.category, found.digest)
            page = found.offset // PAGE
            for best in (pages.setdefault(page, {}), pages.setdefault(page + 1, {})):
                best[key] = max(best.get(key, 0.0), found.weight * found.confidence)
    return tables + max((sum(best.values()) for best in pages.values()), default=0.0)


def _speaks_of(when: When, item: Item) -> bool:
    return _named(item.source, when.channel) and _named(item.owner, when.owner)


def _named(value: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(value, p) for p in patterns)


def _weigh(clause: Clause, findings: Sequence[Finding], gaps: Sequence[Gap]) -> Reason | None:
    """Return the reason that this clause gives, or None when it does not hold."""
    when = clause.when
    if when.gap:
        seen = [g for g in gaps if g.kind in when.gap]
        return _gap_reason(seen, clause.action, clause.name) if seen else None
    if when.not_class and any(f.type == "document_class" and _named(f.rule, when.not_class) for f in findings):
        return None
    hits = [i for i, found in enumerate(findings) if _fits(when, found)]
    if not hits:
        return None
    chosen = [findings[i] for i in hits]
    people = persons.count(chosen) if when.persons_at_least else 0
    if count(chosen) < when.count_at_least or people < when.persons_at_least:
        return None
    if when.score_at_least:
        best = max({f.category for f in chosen}, key=lambda c: score(f for f in chosen if f.category == c))
        hits = [i for i in hits if findings[i].category == best]
        chosen = [findings[i] for i in hits]
        if score(chosen) < when.score_at_least:
            return None
    zh, en = summary(chosen)
    head = Say(clause.say or clause.name, clause.say_en or clause.name)
    if people:
        head = Say(f"{head.zh}，约 {people} 人", f"{head.en}, about {people} people")
    tail = _suggestion(chosen, findings) if clause.suggests else Say("", "")
    return Reason(
        clause=clause.name,
        say=Say(f"{head.zh}：{zh}{tail.zh}", f"{head.en}: {en}{tail.en}"),
        article=clause.article or _articles(chosen),
        findings=tuple(hits),
        action=clause.action,
    )


def _suggestion(chosen: Sequence[Finding], findings: Sequence[Finding]) -> Say:
    """Return what to say of a document that talks like a secret and bears no mark; the software never sets one."""
    marked = any(f.type == "classification_mark" for f in findings)
    level = max((f.level for f in chosen if f.level is not None), default=None)
    if marked or level is None or level < Level.SECRET:
        return Say("", "")
    return Say(
        f"。疑似应标未标：文件上没有密级标志，按内容建议“{level.value}”（本单位密级，不是国家秘密），请定密审核员确认",
        f". It may lack its mark: the content suggests {level.value} (a level of this unit, no state secret); "
        "a classification officer must confirm",
    )


def _fits(when: When, found: Finding) -> bool:
    return (
        not found.exempt
        and _named(found.category, when.category)
        and _named(found.type, when.type)
        and _named(found.rule, when.rule)
        and (not when.regime or found.regime in when.regime)
        and (when.level_at_least is None or (found.level is not None and found.level >= when.level_at_least))
        and (when.severity_at_least is None or found.severity >= when.severity_at_least)
        and found.confidence >= when.confidence_at_least
    )


def count(findings: Iterable[Finding]) -> int:
    """Return how many distinct things were found; a table counts its rows, the same number twice counts once."""
    seen: dict[tuple[str, str], int] = {}
    for number, found in enumerate(findings):
        key = (found.type, found.digest or str(number))
        seen[key] = max(seen.get(key, 0), found.count)
    return sum(seen.values())


def summary(findings: Sequence[Finding]) -> tuple[str, str]:
    """Return the evidence in one Chinese and one English clause: names, counts, first masked value, first page."""
    groups: dict[str, list[Finding]] = {}
    for found in findings:
        groups.setdefault(found.name or found.rule, []).append(found)
    zh, en = [], []
    for name, group in list(groups.items())[:6]:
        first = group[0]
        issues = "，".join(dict.fromkeys(issue for f in group if f.mark is not None for issue in f.mark.issues))
        inner = "；".join(word for word in (first.masked, issues) if word)
        shown = f"（{inner}）" if inner else ""
        page = f"第{first.page}页" if first.page else ""
        unit = ("栏", "fields") if first.why[:1] == ("form",) else ("行", "rows")
        rows = f"{first.count} {unit[0]}" if first.type == "structure" else f"{len(group)} 处"
        zh.append(f"{page}{name} {rows}{shown}")
        places = f"{first.count} {unit[1]}" if first.type == "structure" else f"{len(group)}x"
        en.append(f"{name} {places}{f' ({first.masked})' if first.masked else ''}{f' p.{first.page}' if page else ''}")
    if len(groups) > 6:
        zh.append(f"等 {len(groups)} 类")
        en.append(f"and {len(groups) - 6} more kinds")
    return "；".join(zh), "; ".join(en)


def _articles(findings: Sequence[Finding]) -> str:
    return "；".join(dict.fromkeys(ref.text for f in findings for ref in f.references[:1]))


def _gap_reason(gaps: Sequence[Gap], action: Action, clause: str = "gaps") -> Reason:
    kinds: dict[GapKind, Gap] = {}
    for gap in gaps:
        kinds.setdefault(gap.kind, gap)
    zh = "；".join(GAP_WORDS[k].zh + _place(g, "zh") for k, g in kinds.items())
    en = "; ".join(GAP_WORDS[k].en + _place(g, "en") for k, g in kinds.items())
    return Reason(
        clause=clause,
        say=Say(f"有内容未能读取，不能视为无密：{zh}", f"Something could not be read, so it is not clean: {en}"),
        article="未读不放行（本单位策略）",
        action=action,
    )


def _place(gap: Gap, lang: str) -> str:
    page = (f"第{gap.page}页" if lang == "zh" else f"page {gap.page}") if gap.page else ""
    part = " / ".join(gap.part[:3])
    inner = " ".join(x for x in (page, part) if x)
    return f"（{inner}）" if inner and lang == "zh" else (f" ({inner})" if inner else "")


def _without_echoes(reasons: list[Reason]) -> list[Reason]:
    """Drop a milder reason whose findings were all named by a graver one."""
    ordered = sorted(reasons, key=lambda r: r.action, reverse=True)
    told: set[int] = set()
    kept = []
    for reason in ordered:
        if reason.findings and told.issuperset(reason.findings):
            continue
        told.update(reason.findings)
        kept.append(reason)
    return kept


def _gravest(findings: Sequence[Finding], reasons: Sequence[Reason]) -> tuple[Level | None, Regime | None]:
    # A word alone does not give a document its level; words that hold it back do.
    named = [
        findings[i] for r in reasons for i in r.findings if findings[i].type != "term" or r.action >= Action.QUARANTINE
    ]
    levelled = [f for f in named if f.level is not None]
    if not levelled:
        return None, None
    best = max(levelled, key=lambda f: (f.level, f.confidence))
    return best.level, best.regime
