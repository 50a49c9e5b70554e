"""What nobody may approve, whoever signs: what the law forbids at this site, and requests that lack something.

The statutory rules stand above the ladder and are not configured. A state secret that is where it may not be is
refused and reported: the 24 hours of 实施条例 (2024-09-01) article 61 run from the moment it is found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from dlp.model import Level, Reference, Regime, Say
from dlp.request import AT_ONCE, AT_ONCE_HOURS, HOUR, Circle, Request, Weight, is_at_once, speaks_of
from dlp.rights import CENTRE, LAW_2024, OWN, RULES_2024, Denial, Why
from dlp.site import Site

PRINTING = Reference(law="国家秘密载体印制资质管理办法", edition="2021-03-01").text

UNQUALIFIED = Say(
    f"本单位无国家秘密载体印制资质：不得承印、复制该文件，须按规定报告（{RULES_2024}第二十七条第一项、第四十八条）。",
    "This unit has no qualification to print state secrets: the job must be refused and reported "
    "(Implementing Regulations, 2024-09-01, articles 27 (1) and 48).",
)
REPORTED = Say(
    "停止处理，交保密员，并在 24 小时内报告保密行政管理部门；任何人不得批准",
    "stop, hand it to the security officer, report to the authority within 24 hours; nobody may approve it",
)
MEND = Say("补齐后重新送审", "complete the request and ask again")

_SHA256 = re.compile("[0-9a-f]{64}")
_SUFFIX = re.compile("(?:(?:壮族|回族|维吾尔)?自治区|特别行政区|省|市)$")


class Refusal(Denial, frozen=True, kw_only=True):
    """A request that nobody may approve."""

    report: bool = False
    """True where a state secret is where it may not be: the 24 hours of 实施条例 article 61 run."""


class Needs(NamedTuple):
    """What a request has to name, beside what it is for and who gets it."""

    consent: bool
    """The issuing organ, and the number under which it agreed to copies."""
    province: bool
    """Of the issuing organ: whether it lies inside of what this unit may take on."""
    back: bool
    """When every copy must be back."""
    at_once: bool
    """Read on the spot: the copies are back within a day."""


def needs(request: Request, weight: Weight, site: Site) -> Needs:
    """Return what a request has to name, so that whoever asks is told beforehand."""
    borrowed = weight.state or any(c in AT_ONCE for c in request.classes)
    work = Regime.WORK in weight.regimes and weight.level is not None and weight.level >= Level.SECRET
    at_once, leaves = is_at_once(request, weight), bool(request.copies)
    return Needs(
        consent=borrowed and leaves,
        province=weight.state and site.qualification == "乙级",
        back=leaves and (weight.state or work or at_once),
        at_once=at_once,
    )


def forbid(request: Request, weight: Weight, site: Site) -> Refusal | None:
    """Return why nobody may approve a file at this site, whatever the request says; None where the ladder decides."""
    return next(_statutory(request, weight, site), None)


def refuse(request: Request, weight: Weight, site: Site) -> Refusal | None:
    """Return why nobody may approve a request at this site; None when the ladder decides. The gravest comes first."""
    return forbid(request, weight, site) or next(_incomplete(request, weight, site), None)


def _statutory(request: Request, weight: Weight, site: Site) -> Iterator[Refusal]:
    """Give what the law forbids whoever signs: a state secret that may not be made, or be, where it is."""
    level = weight.level
    if not weight.state or level is None:
        return
    job = request.job
    if site.qualification == "无":
        yield _refusal(
            Why.UNQUALIFIED,
            Say(f"任务 {job} 是国家秘密。{UNQUALIFIED.zh}", f"Job {job} is a state secret. {UNQUALIFIED.en}"),
            f"{RULES_2024}第二十七条第一项、第四十八条",
            report=True,
        )
    if site.qualification == "乙级" and level is Level.TOP_SECRET:
        yield _refusal(
            Why.OUT_OF_SCOPE,
            Say(
                f"任务 {job} 是绝密级：乙级资质不得承接绝密级业务",
                f"job {job} is 绝密, which a unit of grade B may not take on",
            ),
            f"{PRINTING}；{RULES_2024}第四十八条",
            report=True,
        )
    if site.qualification == "乙级" and _differ(request.province, site.province):
        yield _refusal(
            Why.OUT_OF_SCOPE,
            Say(
                f"任务 {job} 来自{request.province}：乙级资质只承接{site.province}行政区域内的业务",
                f"job {job} comes from {request.province}; a unit of grade B works inside {site.province} only",
            ),
            f"{PRINTING}；{RULES_2024}第四十八条",
            report=True,
        )
    if not site.holds(level):
        yield _refusal(
            Why.SYSTEM,
            Say(
                f"任务 {job} 是{level.value}级国家秘密，本机为{site.system}系统，不得存储、处理",
                f"job {job} is a state secret of level {level.value}, and this machine ({site.system}) may not hold it",
            ),
            f"{LAW_2024}第三十一条第三项；{RULES_2024}第三十二条",
            report=True,
        )


def _incomplete(request: Request, weight: Weight, site: Site) -> Iterator[Refusal]:
    """Give what is missing in a request, so that nobody could say yes to it."""
    job = request.job

    def lacking(why: Why, zh: str, en: str, article: str) -> Refusal:
        return _refusal(why, Say(f"任务 {job} 不能送审：{zh}", f"job {job} cannot be asked for: {en}"), article)

    if not all(text.strip() for text in (job, request.requester, request.natural)):
        yield lacking(Why.INCOMPLETE, "没有任务编号或申请人", "no job or no requester", f"{CENTRE}第十条")
    if not request.unit.strip():
        yield lacking(Why.INCOMPLETE, "没有写明处或窗口", "the unit that asks is missing", f"{CENTRE}第四条")
    if not _SHA256.fullmatch(request.sha256):
        yield lacking(Why.INCOMPLETE, "没有密封件摘要", "the hash of the sealed file is missing", OWN)
    if not (math.isfinite(request.made_at) and request.made_at >= 0 and request.copies >= 0):
        yield lacking(Why.INCOMPLETE, "份数或时间不合理", "copies or time make no sense", OWN)
    if not request.purpose.strip():
        yield lacking(Why.INCOMPLETE, "没有写明用途", "its purpose is missing", "《研发中心保密管理制度》3.2")
    if not request.recipients or not all(r.name.strip() for r in request.recipients):
        yield lacking(Why.INCOMPLETE, "没有写明去向", "who gets it is missing", f"{CENTRE}第六条")
    if request.ended is not None and not speaks_of(request.ended, request):
        yield lacking(Why.OTHER_FILE, "期满确认说的是另一个文件", "its confirmed term is that of another file", OWN)
    needed = needs(request, weight, site)
    if needed.province and not (request.province.strip() and site.province.strip()):
        zh = "没有写明原发文单位或本单位所在省份，无法判断是否属于业务范围"
        en = "the province of the issuing organ or of this site is missing, so the scope cannot be told"
        yield lacking(Why.INCOMPLETE, zh, en, PRINTING)
    if needed.consent and not (request.consent_no.strip() and request.organ.strip()):
        zh = "没有原发文单位名称和同意复制的文号"
        en = "the issuing organ and the number of its consent to copies are missing"
        yield lacking(Why.CONSENT, zh, en, f"{CENTRE}第九条；{LAW_2024}第二十六条；{RULES_2024}第二十九条第四项")
    for missing in _return(request, needed):
        yield lacking(Why.RETURN, missing.zh, missing.en, f"{CENTRE}第十一条；{RULES_2024}第二十七条第九项")
    outside = [r for r in request.recipients if r.circle is Circle.OUTSIDE]
    if weight.state and outside:
        zh, en = "国家秘密不得提供给知悉范围以外的第三方", "a state secret is not given to a third party"
        yield lacking(Why.THIRD_PARTY, zh, en, f"{LAW_2024}第二十一条、第二十八条第二项")
    if weight.regimes and any(not r.agreement.strip() for r in outside):
        zh, en = "第三方没有保密协议编号", "a third party has no non-disclosure agreement"
        yield lacking(Why.THIRD_PARTY, zh, en, "《研发中心保密管理制度》5.1；《文印中心保密规章制度》七")


def _return(request: Request, needed: Needs) -> Iterator[Say]:
    """Give what is wrong with the day by which the copies come back."""
    due, made = request.return_by, request.made_at
    if due is None:
        if needed.back:
            yield Say("没有写明清退时间", "the day by which the copies come back is missing")
    elif not (math.isfinite(due) and due > made):
        yield Say("清退时间早于申请时间", "the copies would have to be back before they were asked for")
    elif needed.at_once and due > made + AT_ONCE_HOURS * HOUR:
        yield Say("须随阅随退，当日退还", "it is read at once and given back the same day")


def _differ(one: str, other: str) -> bool:
    """Tell whether two provinces are known and not the same; 浙江 and 浙江省 are."""
    return bool(one.strip() and other.strip()) and _bare(one) != _bare(other)


def _bare(province: str) -> str:
    return _SUFFIX.sub("", province.strip())


def _refusal(why: Why, say: Say, article: str, *, report: bool = False) -> Refusal:
    return Refusal(why=why, say=say, hint=REPORTED if report else MEND, article=article, report=report)
