"""The clauses of a policy in words that people read, and a dry run of them on a text that is kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from dlp import trial
from dlp.errors import UsageError
from dlp.marks import lint
from dlp.model import Finding, Item, Regime, Say, Severity, Verdict
from dlp.packs import Pack
from dlp.policy import GAP_WORDS, Clause, When, decide, exempt
from dlp.rights import Operation
from dlp.service import compiled
from dlp.service.acting import Acting
from dlp.service.demo import PEOPLE
from dlp.service.gate import load_packs
from dlp.service.keys import deployment_key

MOST = 100_000
"""Characters of a text to try."""
TYPES: dict[str, Say] = {
    "classification_mark": Say("密级或内部标志", "a classification or internal mark"),
    "document_class": Say("文件类别", "a class of document"),
    "structure": Say("表格、表单", "a table or form"),
    "term": Say("敏感词", "sensitive terms"),
    "redaction_leak": Say("脱敏不彻底", "a redaction that leaks"),
    "oddity": Say("文件形式异常", "an odd form"),
}
CATEGORIES: dict[str, Say] = {
    "finance": Say("财务", "finance"),
    "personnel": Say("人事", "personnel"),
    "business": Say("经营", "business"),
    "technical": Say("技术", "technical"),
    "meeting": Say("会议", "meetings"),
    "judicial": Say("司法", "judicial"),
    "procurement": Say("招标采购", "procurement"),
    "exam": Say("考试", "exams"),
    "access": Say("门禁口令", "access"),
    "military": Say("军事", "military"),
    "secrecy": Say("保密", "secrecy"),
    "petition": Say("信访", "petitions"),
    "identity": Say("个人信息", "personal data"),
    "credential": Say("口令、密钥", "credentials"),
    "restricted": Say("限制类文件", "restricted papers"),
}
REGIMES: dict[Regime, Say] = {
    Regime.STATE: Say("国家秘密", "state secrets"),
    Regime.WORK: Say("工作秘密", "work secrets"),
    Regime.COMMERCIAL: Say("商业秘密", "commercial secrets"),
    Regime.PERSONAL: Say("个人信息", "personal data"),
    Regime.EXAM: Say("国家考试", "exams"),
    Regime.FOREIGN: Say("境外标志", "foreign marks"),
}
SEVERITIES: dict[Severity, Say] = {
    Severity.LOW: Say("低", "low"),
    Severity.MEDIUM: Say("中", "medium"),
    Severity.HIGH: Say("高", "high"),
    Severity.CRITICAL: Say("严重", "critical"),
}


class Tried(NamedTuple):
    """What the policy decides on a text. The findings are masked; nothing of it is kept."""

    verdict: Verdict
    findings: tuple[Finding, ...]


class Sample(NamedTuple):
    """A text of the house to try; every value in it is made up."""

    name: str
    say: Say
    text: str


SAMPLES: tuple[Sample, ...] = (
    Sample(
        "letter", Say("普通函件", "a plain letter"), "关于借用会议场地的答复函\n同意借用三楼多功能厅，请做好垃圾分类。"
    ),
    Sample(
        "marked",
        Say("带密级的方案", "a marked plan"),
        "机密★10年\n关于专项工作的实施方案\n各处室：现将有关事项通知如下，请按要求组织实施。",
    ),
    Sample(
        "contract",
        Say("含个人信息的合同", "a contract with personal data"),
        f"房屋租赁合同\n出租方：{PEOPLE[0][0]}，身份证号：{PEOPLE[0][1]}，银行卡号：{PEOPLE[0][2]}。",
    ),
    Sample(
        "payroll",
        Say("工资表", "a payroll"),
        "职工工资发放表\n序号\t姓名\t身份证号\t岗位工资\t实发工资\t银行卡号\n"
        + "\n".join(f"{n}\t{name}\t{number}\t5200\t6823\t{card}" for n, (name, number, card) in enumerate(PEOPLE, 1)),
    ),
)


def types(loaded: Iterable[Pack]) -> dict[str, Say]:
    """Return what each type of hit is called: by the words of this house, else as the rule that gives it."""
    named = {rule.type: Say(rule.name, rule.name) for pack in loaded for rule in pack.rules}
    return named | TYPES


def of(clause: Clause, named: Mapping[str, Say]) -> Say:
    """Return in words when a clause holds; `named` are the types of hits (see `types`)."""
    parts = tuple(_parts(clause.when, named))
    if not parts:
        return Say("任何命中", "any hit")
    return Say("，且".join(part.zh for part in parts), " and ".join(part.en for part in parts))


def _parts(when: When, named: Mapping[str, Say]) -> Iterator[Say]:
    if when.channel:
        yield Say(f"来自 {'、'.join(when.channel)}", f"from {', '.join(when.channel)}")
    if when.owner:
        yield Say(f"窗口为 {'、'.join(when.owner)}", f"of the counter {', '.join(when.owner)}")
    if when.type:
        yield _named("发现", "there is", when.type, named)
    if when.category:
        yield _named("属于", "of", when.category, CATEGORIES)
    if when.rule:
        yield Say(f"规则为 {'、'.join(when.rule)}", f"by the rule {', '.join(when.rule)}")
    if when.regime:
        zh, en = "、".join(REGIMES[one].zh for one in when.regime), ", ".join(REGIMES[one].en for one in when.regime)
        yield Say(f"类别为 {zh}", f"of the kind {en}")
    if when.level_at_least is not None:
        yield Say(f"级别不低于 {when.level_at_least.value}", f"of level {when.level_at_least.value} or above")
    if when.severity_at_least is not None:
        said = SEVERITIES[when.severity_at_least]
        yield Say(f"严重程度不低于“{said.zh}”", f"of severity {said.en} or above")
    if when.confidence_at_least:
        yield Say(
            f"可信度不低于 {when.confidence_at_least:.0%}", f"with confidence {when.confidence_at_least:.0%} or above"
        )
    if when.count_at_least > 1:
        yield Say(f"至少 {when.count_at_least} 处", f"at least {when.count_at_least} times")
    if when.persons_at_least:
        yield Say(f"约 {when.persons_at_least} 人以上", f"about {when.persons_at_least} people or more")
    if when.score_at_least:
        yield Say(f"敏感词得分不低于 {when.score_at_least:g}", f"with a score of {when.score_at_least:g} or above")
    if when.gap:
        zh, en = "、".join(GAP_WORDS[one].zh for one in when.gap), ", ".join(GAP_WORDS[one].en for one in when.gap)
        yield Say(f"有内容未能读取（{zh}）", f"something was not read ({en})")
    if when.not_class:
        yield Say(f"不是 {'、'.join(when.not_class)} 类文件", f"unless it is of the class {', '.join(when.not_class)}")


def _named(zh: str, en: str, words: tuple[str, ...], says: Mapping[str, Say]) -> Say:
    said = [says.get(word, Say(word, word)) for word in words]
    return Say(f"{zh}{'、'.join(one.zh for one in said)}", f"{en} {', '.join(one.en for one in said)}")


def dry_run(acting: Acting, text: str, *, source: str = "", owner: str = "") -> Tried:
    """Return what the policy decides on a text, by the rules of this site. Nothing of it is written anywhere."""
    acting.may(Operation.HEALTH_READ)
    if not text.strip():
        raise UsageError(
            Say("没有文字", "there is no text"), Say("粘贴一段文字或选择样例", "paste one, or choose a sample")
        )
    if len(text) > MOST:
        raise UsageError(Say(f"文字超过 {MOST} 字", f"the text has more than {MOST} characters"))
    config = acting.config
    matcher = compiled.matcher(config, load_packs(config), deployment_key(Path(config.store.path).parent))
    found, gaps = matcher.find(trial.as_document(text.replace("\r\n", "\n")))
    today = datetime.now().astimezone().date()
    findings = lint.dated(exempt(found, config.policy.exemptions, matcher.digest_of, today), today)
    item = Item(id="0" * 26, source=source or "console", path="-", name="-", owner=owner)
    return Tried(decide(item, findings, gaps, config.policy, matcher.digest), tuple(findings))
