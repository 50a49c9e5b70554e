"""The workbench of rules: drafts, trials on a text or a file that is never kept, publishing by two persons, replay.

A draft is tried with the engine that would run it. It is published by one person and confirmed by another one, and the
text that was confirmed is the text that was tried: its digest stands in the request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from dlp import config as configuration
from dlp import drafts, durable, fit, located, match, mutate, packs, policy, replay, trial, withhold, words
from dlp.config import Config
from dlp.drafts import DRAFTS, EDITIONS, IN_FORCES, Draft, Edition, InForce
from dlp.errors import Conflict, NotFound, PackError, Problem, UsageError
from dlp.match import Candidate, Matcher
from dlp.model import Document, Finding, Frozen, Gap, Item, Say, Verdict, Zone, evolve
from dlp.mutate import Score
from dlp.packs import Pack, Rule
from dlp.policy import Exemption, Policy
from dlp.replay import Replayed
from dlp.review import LABELS
from dlp.rights import Operation
from dlp.sandbox import Sandbox
from dlp.service import compiled, shelf
from dlp.service.acting import Acting
from dlp.service.gate import load_packs
from dlp.service.keys import deployment_key, new_id
from dlp.service.publishing import closed, open_draft
from dlp.service.second import Change, Seconds
from dlp.sources.names import shown
from dlp.store import JobFilter
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore
from dlp.trial import Tried

FILE = "draft.toml"
MOST_TEXT = 200_000
"""Characters of a pasted text."""
MOST_JOBS = 20_000
"""Jobs that one replay weighs: the newest ones. It says how many it has seen."""
LONGEST_SPAN = 366
SOON_DAYS = 30
"""An exemption that ends within so many days is about to."""
_KEPT_MATCHERS = 3


class Judged(NamedTuple):
    """What a draft is worth as it stands: what keeps it from being used, advice, examples, kill rates."""

    pack: Pack | None
    faults: tuple[Problem, ...]
    advice: tuple[Problem, ...] = ()
    tried: tuple[tuple[Rule, tuple[Tried, ...]], ...] = ()
    scores: tuple[Score, ...] = ()

    @property
    def failed(self) -> int:
        """Return how many examples do not come out."""
        return sum(not one.holds for _, many in self.tried for one in many)

    @property
    def examples(self) -> int:
        """Return how many examples there are."""
        return sum(len(many) for _, many in self.tried)

    @property
    def kill_rate(self) -> float | None:
        """Return the share of mutants that come out right; None where there are none."""
        total = sum(one.total for one in self.scores)
        return sum(one.right for one in self.scores) / total if total else None


class Points(NamedTuple):
    """Points of one category in one zone of a document, and how many distinct terms made them."""

    category: str
    zone: Zone
    points: float
    terms: int


class Explained(NamedTuple):
    """What the engine makes of a text or a file."""

    candidates: tuple[Candidate, ...]
    points: tuple[Points, ...]
    totals: tuple[tuple[str, float], ...]
    """Points of each category as the policy counts them: its fullest two pages."""
    verdict: Verdict
    gaps: tuple[Gap, ...]
    secret: bool
    """It bears the mark of a state secret that may not be here: nothing of its text is told."""


class Listed(NamedTuple):
    """One rule as a list shows it."""

    pack: Pack
    rule: Rule

    @property
    def id(self) -> str:
        """Return its full id."""
        return self.pack.full_id(self.rule)


class Shown(NamedTuple):
    """One rule with its text and what its examples come to."""

    pack: Pack
    rule: Rule
    text: str
    line: int
    tried: tuple[Tried, ...]


class Standing(NamedTuple):
    """One exemption and how long it holds."""

    exemption: Exemption
    days: int
    """Until it ends; negative: it has ended."""

    @property
    def is_soon(self) -> bool:
        """Tell whether it is about to end."""
        return 0 <= self.days <= SOON_DAYS


class _PolicyFile(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Policy = Policy()


class Workbench:
    """The workbench of one site, in the name of one person."""

    def __init__(self, acting: Acting, seconds: Seconds) -> None:
        self._acting = acting
        self._config: Config = acting.config
        self._seconds = seconds
        self._store: SqliteStore = acting.store

    # looking

    def packs(self) -> tuple[Pack, ...]:
        """Return the packs that hold at this site."""
        self._acting.may(Operation.PACK_STATS)
        return load_packs(self._config)

    def rules(self, wanted: str = "") -> tuple[Listed, ...]:
        """Return the rules that hold; `wanted` stands in their id, name, type, level, terms or references."""
        asked = wanted.strip().casefold()
        every = (Listed(pack, rule) for pack in self.packs() for rule in pack.rules)
        return tuple(one for one in every if not asked or asked in _searched(one))

    def rule(self, full_id: str) -> Shown:
        """Return one rule, its text, and its examples run through the engine as it runs here."""
        found = next((one for one in self.rules() if one.id == full_id), None)
        if found is None:
            raise NotFound(
                Say(f"没有这条规则：{shown(full_id.encode())}", f"there is no such rule: {shown(full_id.encode())}"),
                Say("用 dlp packs list --rules 查看", "see `dlp packs list --rules`"),
            )
        text, line = _text_of(found.pack, found.rule)
        return Shown(found.pack, found.rule, text, line, tuple(trial.tried(self._matcher(), found.id, found.rule)))

    def exemptions(self) -> tuple[Standing, ...]:
        """Return the exemptions of the policy, those that end first before the others."""
        self._acting.may(Operation.PACK_STATS)
        today = _today()
        standing = (Standing(one, (one.expires - today).days) for one in self._config.policy.exemptions)
        return tuple(sorted(standing, key=lambda one: one.days))

    # drafts

    def drafts(self) -> tuple[Draft, ...]:
        """Return the drafts that are being written, newest first."""
        self._acting.may(Operation.PACK_DRAFT)
        return self._store.records(DRAFTS, RecordFilter(states=(drafts.OPEN,)))

    def draft(self, id: str) -> Draft:  # noqa: A002  the column's name
        """Return one draft; NotFound when there is none."""
        self._acting.may(Operation.PACK_DRAFT)
        return self._store.record(DRAFTS, id)

    def begin(self, title: str, *, pack: str = "", text: str = "") -> Draft:
        """Begin a draft: of a pack that holds, or with a text of one's own."""
        self._acting.may(Operation.PACK_DRAFT)
        if pack:
            held = next((one for one in load_packs(self._config) if one.id == pack), None)
            if held is None:
                raise NotFound(Say(f"没有这个规则包：{pack}", f"there is no such pack: {pack}"))
            text = text or Path(held.file).read_text(encoding="utf-8")
        _check_text(text)
        moment = time.time()
        with self._acting.demand(Operation.PACK_DRAFT) as entry:
            who = self._acting.now(entry).id
            made = Draft(
                id=new_id(moment), pack=pack, title=_title(title, pack), text=text, by=who, at=moment, updated=moment
            )
            entry.put(DRAFTS, made)
            entry.append(who, "pack-draft-begun", "", {"draft": made.id, "pack": pack})
        return made

    def save(self, id: str, version: int, text: str, *, title: str = "") -> Draft:  # noqa: A002  as above
        """Write a draft anew; Conflict where somebody else has written it since `version`."""
        _check_text(text)
        with self._acting.demand(Operation.PACK_DRAFT) as entry:
            draft = open_draft(entry, id)
            who = self._acting.now(entry).id
            if draft.version != version:
                raise Conflict(
                    Say(
                        f"草稿已由 {draft.by} 改到第 {draft.version} 版，本次未保存",
                        f"{draft.by} has changed the draft to version {draft.version}; this was not saved",
                    ),
                    Say("复制您的改动，重新打开草稿后再改", "copy your change, open the draft again, and repeat it"),
                )
            if draft.text == text and (not title.strip() or title.strip() == draft.title):
                return draft
            made: Draft = evolve(
                draft,
                version=version + 1,
                text=text,
                title=_title(title or draft.title, draft.pack),
                by=who,
                updated=entry.moment,
            )
            entry.put(DRAFTS, made)
            body = {"draft": made.id, "version": made.version, "digest": drafts.digest(text)}
            entry.append(who, "pack-draft-saved", "", body)
        return made

    def drop(self, id: str, reason: str) -> Draft:  # noqa: A002  as above
        """Give a draft up."""
        if not reason.strip():
            raise UsageError(Say("须写明理由", "a reason is required"))
        with self._acting.demand(Operation.PACK_DRAFT) as entry:
            draft = open_draft(entry, id)
            made: Draft = evolve(draft, version=draft.version + 1, state=drafts.DROPPED, updated=entry.moment)
            entry.put(DRAFTS, made)
            who = self._acting.now(entry).id
            entry.append(who, "pack-draft-dropped", "", {"draft": id, "reason": reason.strip()})
        return made

    # trying

    def judge(self, text: str) -> Judged:
        """Say what a text is worth as a pack: lint, its examples and counter-examples, its mutants, by itself."""
        self._acting.may(Operation.PACK_DRAFT)
        made = _pack_of(text)
        if not isinstance(made, Pack):
            return Judged(None, made)
        faults = (*fit.unnamed(made), *packs.outdated((made,)), *fit.weakened(_shipped(), made))
        try:
            matcher = _kept((made,), bytes(32), self._config)
        except PackError as err:
            return Judged(made, (*faults, *err.problems), packs.lint((made,)))
        advice = (*_idle(made, self._config.policy), *packs.lint((made,)))
        tried = tuple((rule, tuple(trial.tried(matcher, made.full_id(rule), rule))) for rule in made.rules)
        return Judged(made, faults, advice, tried, mutate.run((made,)))

    def explain_text(self, text: str, *, draft: str | None = None) -> Explained:
        """Say what the packs that hold, or a draft among them, make of a text. Nothing of it is kept."""
        self._acting.may(Operation.PACK_DRAFT)
        if len(text) > MOST_TEXT:
            raise UsageError(
                Say(f"文字太长，最多 {MOST_TEXT} 字", f"the text has more than {MOST_TEXT} characters"),
                Say("保存为文件后上传", "put it into a file and upload that"),
            )
        return self._explain(trial.as_document(text), draft)

    def explain_file(self, fd: int, name: str, size: int, sandbox: Sandbox, *, draft: str | None = None) -> Explained:
        """Say what they make of the file in a memory file. It is read in the sandbox, and nothing of it is kept."""
        self._acting.may(Operation.PACK_DRAFT)
        if size > self._config.limits.file_bytes:
            raise UsageError(Say("文件超过 limits.file_bytes 的上限", "the file is larger than limits.file_bytes"))
        return self._explain(sandbox.extract(fd, name=name, size=size), draft, name)

    def _explain(self, document: Document, draft: str | None, name: str = "") -> Explained:
        matcher = self._matcher() if draft is None else self._with(draft)
        findings, more = matcher.find(document)
        findings = policy.exempt(findings, self._config.policy.exemptions, matcher.digest_of, _today())
        gaps = document.gaps + more
        moment = time.time()
        item = Item(id=new_id(moment), source="trial", path=name, name=name, received=moment)
        verdict = policy.decide(item, findings, gaps, self._config.policy, matcher.digest)
        secret = withhold.forbids(findings, self._config.site)
        told = matcher.explain(document)
        if secret:
            told = tuple(evolve(one, masked="", words=(), slices=()) for one in told)
            verdict = evolve(verdict, reasons=tuple(evolve(one, say=withhold.WITHHELD) for one in verdict.reasons[:1]))
        return Explained(told, _points(findings), _totals(findings), verdict, gaps, secret)

    # publishing

    def ask_to_publish(self, id: str, reason: str) -> Change:  # noqa: A002  as above
        """Ask for a draft to be published; PackError with every fault where it must not be."""
        self._acting.may(Operation.PACK_PUBLISH)
        if not reason.strip():
            raise UsageError(Say("须写明理由", "a reason is required"))
        draft = self._store.record(DRAFTS, id)
        against = shelf.stamp(self._store)
        made = self._fit(draft)
        words = {
            "draft": id,
            "version": draft.version,
            "digest": drafts.digest(draft.text),
            "against": against,
        }
        return self._seconds.ask(Operation.PACK_PUBLISH, made.id, words, reason=reason.strip())

    def ask_to_roll_back(self, pack: str, reason: str, *, to: str | None = None) -> Change:
        """Ask for an edition that held before to hold again: the last one, or `to` (empty: the configured pack)."""
        self._acting.may(Operation.PACK_PUBLISH)
        if not reason.strip():
            raise UsageError(Say("须写明理由", "a reason is required"))
        held = self._store.find(IN_FORCES, pack)
        if held is None or not held.before or (to is not None and to not in held.before):
            raise NotFound(
                Say(f"规则包 {pack} 没有可退回的版本", f"there is nothing to which {pack} could be rolled back"),
                Say("用 dlp packs published 查看", "see `dlp packs published`"),
            )
        words = {"back-to": held.before[0] if to is None else to, "version": held.version}
        return self._seconds.ask(Operation.PACK_PUBLISH, pack, words, reason=reason.strip())

    def waiting(self) -> tuple[Change, ...]:
        """Return the publications that wait for a second person."""
        self._acting.may(Operation.PACK_STATS)
        return tuple(one for one in self._seconds.waiting() if one.operation is Operation.PACK_PUBLISH)

    def in_force(self) -> tuple[InForce, ...]:
        """Return of which packs an edition of this site holds or held."""
        self._acting.may(Operation.PACK_STATS)
        return self._store.records(IN_FORCES)

    def edition(self, id: str) -> Edition:  # noqa: A002  as above
        """Return one published edition."""
        self._acting.may(Operation.PACK_STATS)
        return self._store.record(EDITIONS, id)

    def compare(self, text: str) -> tuple[tuple[str, Say], ...]:
        """Return which rules of a draft differ from those that hold: full id, and how."""
        self._acting.may(Operation.PACK_DRAFT)
        made = _pack_of(text)
        if not isinstance(made, Pack):
            return ()
        held = next((one for one in load_packs(self._config) if one.id == made.id), None)
        was = {held.full_id(rule): rule for rule in held.rules} if held else {}
        is_ = {made.full_id(rule): rule for rule in made.rules}
        added = ((name, Say("新增", "new")) for name in is_ if name not in was)
        changed = ((name, Say("修改", "changed")) for name, rule in is_.items() if name in was and was[name] != rule)
        removed = ((name, Say("删除", "removed")) for name in was if name not in is_)
        return (*added, *changed, *removed)

    # what would change

    def replay(self, *, draft: str | None = None, policy_text: str = "", days: int = 30) -> Replayed:
        """Weigh the findings of the last days under a draft (its id) or another policy (TOML); no text is needed."""
        self._acting.may(Operation.PACK_DRAFT)
        if not 1 <= days <= LONGEST_SPAN:
            raise UsageError(Say(f"天数须在 1 至 {LONGEST_SPAN} 之间", f"days must be from 1 to {LONGEST_SPAN}"))
        old = load_packs(self._config)
        new = self._packs_with(self._store.record(DRAFTS, draft).text) if draft else old
        asked = _policy_of(policy_text) if policy_text.strip() else self._config.policy
        key = self._key()

        def digest(kind: str, value: str) -> str:
            return match.digest_of(key, kind, value)

        def exempting(rules: Policy) -> replay.Exempts:
            if rules.exemptions == self._config.policy.exemptions:
                return lambda findings, _job: findings
            return lambda findings, job: policy.exempt(
                tuple(evolve(one, exempt="") for one in findings), rules.exemptions, digest, _day(job.created)
            )

        since = time.time() - 86_400.0 * days
        found = self._store.each(only=JobFilter(since=since))
        return replay.replay(
            (job for job, _ in zip(found, range(MOST_JOBS), strict=False)),
            self._store.records(LABELS),
            rules=replay.Rules(old, new, digest),
            policies=(self._config.policy, asked),
            exempts=(lambda findings, _job: findings, exempting(asked)),
        )

    # inside

    def _fit(self, draft: Draft) -> Pack:
        """Return the pack of a draft that may be published; PackError with every fault of any other."""
        if draft.state != drafts.OPEN:
            raise closed(draft.id)
        made = _pack_of(draft.text)
        if not isinstance(made, Pack):
            raise _unfit(made)
        problems = [*fit.unnamed(made), *packs.outdated((made,)), *fit.weakened(_shipped(), made)]
        if not made.rules:
            say = Say("规则包里没有规则", "there is no rule in the pack")
            problems.append(Problem(file=FILE, line=1, key="rules", say=say))
        if not problems:
            joined = self._packs_with(draft.text)
            matcher = _kept(joined, self._key(), self._config)
            marks = tuple(pack for pack in joined if any(rule.kind == "mark" for rule in pack.rules))
            problems += trial.failures(matcher, tuple({pack.id: pack for pack in (made, *marks)}.values()))
        if problems:
            raise _unfit(tuple(problems))
        held = next((one for one in load_packs(self._config) if one.id == made.id), None)
        if held is not None and held.digest == made.digest:
            raise UsageError(Say("与现行版本没有差别，无需发布", "it does not differ from what holds"))
        return made

    def _key(self) -> bytes:
        return deployment_key(Path(self._config.store.path).parent)

    def _matcher(self) -> Matcher:
        loaded = load_packs(self._config)
        return _kept(loaded, self._key(), self._config, lambda: compiled.matcher(self._config, loaded, self._key()))

    def _with(self, text: str) -> Matcher:
        return _kept(self._packs_with(text), self._key(), self._config)

    def _packs_with(self, text: str) -> tuple[Pack, ...]:
        """Return the packs that would hold with this text among them."""
        made = _pack_of(text)
        if not isinstance(made, Pack):
            raise _unfit(made)
        joined = packs.over(load_packs(self._config), (made,))
        return tuple(pack for pack in joined if pack.id not in self._config.packs.disabled)


def _unfit(problems: Sequence[Problem]) -> PackError:
    return PackError(
        Say(f"不能发布：有 {len(problems)} 处问题", f"it cannot be published: {len(problems)} faults"),
        tuple(problems),
        Say("逐条改正后重新保存、提出", "mend each, save it, and ask again"),
    )


def _pack_of(text: str) -> Pack | tuple[Problem, ...]:
    try:
        return packs.load({FILE: text})[0]
    except PackError as err:
        return err.problems


def _idle(pack: Pack, rules: Policy) -> Iterator[Problem]:
    """Give every rule whose hits no clause of the policy looks at: it would find and nothing would come of it."""
    for rule in pack.rules:
        found = Finding(
            rule=pack.full_id(rule),
            pack=pack.id,
            type=rule.type,
            category=pack.category,
            severity=rule.severity,
            level=rule.level,
            regime=rule.regime,
            confidence=rule.confidence,
            weight=1_000.0 if rule.kind == "terms" else 0.0,
            count=rule.rows,
        )
        item = Item(id="", source="trial", path="", name="")
        decided = policy.decide(item, (found,), (), evolve(rules, shadow=False), "")
        if not decided.reasons and decided.shadowed is None and rule.kind not in ("mark", "class"):
            yield Problem(
                file=FILE,
                line=packs.line_of(pack, rule),
                key=pack.full_id(rule),
                say=Say("现行策略没有条款处理它的命中：只记录，不暂扣", "no clause of the policy acts on its hits"),
                advice=Say(
                    "改用策略所列的 category、type，或由系统管理员在 [[policy.clauses]] 增加条款",
                    "use a category and type that a clause names, or have a clause added to [[policy.clauses]]",
                ),
            )


_SHIPPED: list[tuple[Pack, ...]] = []


def _shipped() -> tuple[Pack, ...]:
    """Return the packs of this installation; they do not change while it runs."""
    if not _SHIPPED:
        files = sorted(configuration.shipped_packs().glob("*.toml"))
        _SHIPPED.append(packs.load({str(path): path.read_text(encoding="utf-8") for path in files}))
    return _SHIPPED[0]


_MATCHERS: dict[tuple[str, bytes, int], Matcher] = {}
_LOCK = threading.Lock()


def _kept(loaded: Sequence[Pack], key: bytes, config: Config, make: Callable[[], Matcher] | None = None) -> Matcher:
    """Return the scanner of these packs; the last few are kept, because an author tries the same again and again."""
    name = packs.digest(loaded, words.site_words()), key, config.limits.hits
    with _LOCK:
        found = _MATCHERS.pop(name, None)
        if found is None:
            found = make() if make else Matcher(loaded, key=key, max_hits=config.limits.hits)
        _MATCHERS[name] = found
        while len(_MATCHERS) > _KEPT_MATCHERS:
            del _MATCHERS[next(iter(_MATCHERS))]
    return found


def _check_text(text: str) -> None:
    if len(text) > drafts.LONGEST:
        raise UsageError(Say(f"草稿最多 {drafts.LONGEST} 字", f"a draft has at most {drafts.LONGEST} characters"))


def _title(title: str, pack: str) -> str:
    return (title.strip() or pack or "—")[:100]


def _policy_of(text: str) -> Policy:
    made, problems = located.decode(text, _PolicyFile, "policy.toml")
    if made is None:
        raise PackError(Say(f"策略有 {len(problems)} 处问题", f"{len(problems)} faults in the policy"), problems)
    return made.policy


def _searched(one: Listed) -> str:
    rule = one.rule
    cited = (reference.text for reference in rule.references)
    terms = (term.term for term in rule.all_terms())
    level = rule.level.value if rule.level else ""
    return "\n".join((one.id, rule.name, rule.type, rule.kind, level, one.pack.name, *cited, *terms)).casefold()


def _text_of(pack: Pack, rule: Rule) -> tuple[str, int]:
    """Return the TOML of one rule and the line at which it begins."""
    number = next(n for n, each in enumerate(pack.rules) if each is rule)
    lines = Path(pack.file).read_text(encoding="utf-8").splitlines()
    begin = pack.lines[number]
    end = pack.lines[number + 1] - 1 if number + 1 < len(pack.lines) else len(lines)
    return "\n".join(lines[begin - 1 : end]).strip(), begin


def _points(findings: Sequence[Finding]) -> tuple[Points, ...]:
    best: dict[tuple[str, Zone], dict[str, float]] = {}
    for found in findings:
        if found.weight:
            terms = best.setdefault((found.category, found.zone), {})
            terms[found.digest] = max(terms.get(found.digest, 0.0), found.weight * found.confidence)
    rows = (Points(category, zone, round(sum(t.values()), 1), len(t)) for (category, zone), t in best.items())
    return tuple(sorted(rows, key=lambda row: -row.points))


def _totals(findings: Sequence[Finding]) -> tuple[tuple[str, float], ...]:
    categories = sorted({found.category for found in findings if found.weight or found.type == "structure"})
    totals = ((name, policy.score(f for f in findings if f.category == name)) for name in categories)
    return tuple((name, round(points, 1)) for name, points in sorted(totals, key=lambda one: -one[1]))


def _today() -> date:
    return datetime.now().astimezone().date()


def _day(moment: float) -> date:
    return datetime.fromtimestamp(moment).astimezone().date()


def memory_file(body: bytes | memoryview) -> int:
    """Return a sealed memory file of an upload; the caller closes it."""
    fd = durable.memory_file("upload")
    durable.write_all(fd, body)
    return durable.freeze(fd)
