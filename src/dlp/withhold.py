"""State secrets that may not be where they are: when reading stops, and what little is kept of them then.

A machine may not store or process what is above the level of its system (保守国家秘密法 2024-05-01 article 31 (3)),
and a unit may not print what it is not qualified for (实施条例 2024-09-01 article 27 (1)). This stands above every
policy: no clause lets such a file be kept to be decided on. Of it remain hash, size, the mark, its place, time, source
and owner. Where the site may hold and print it, it is held, and the ladder decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from dlp.model import Action, Document, Finding, Inspection, Level, Reason, Regime, Say, Verdict, evolve
from dlp.policy import STATE_ARTICLE, summary
from dlp.site import Site

SURE = 0.8
"""A mark below this may be none: it is held and looked at, like everything that is in doubt."""
MOST_MARKS = 20
CLAUSE = "state-marks"
WITHHELD = Say(
    "发现国家秘密标志，本机不得存储、处理：已停止读取并暂扣",
    "A state-secret mark was found; this machine may not store or process it: reading stopped and it is withheld",
)
ALLOWED_HERE = Say(
    "国家秘密文件，须按审批权限批准后方可办理",
    "A state secret; nothing is done with it without the approvals of its level",
)


def is_sure(found: Finding) -> bool:
    """Tell whether a finding is the genuine mark of a state secret; that of an exam before its day is one too."""
    if found.type != "classification_mark" or found.confidence < SURE:
        return False
    exam = found.regime is Regime.EXAM and (found.level or Level.TOP_SECRET) >= Level.SECRET
    return found.regime is Regime.STATE or exam


def may_be_kept(level: Level | None, site: Site) -> bool:
    """Tell whether a state secret may be here to be decided on; one of unknown level is held to be 绝密."""
    asked = max(level or Level.TOP_SECRET, Level.SECRET)
    return site.holds(asked) and site.prints(asked)


def forbids(findings: Sequence[Finding], site: Site) -> bool:
    """Tell whether one of these is the sure mark of a state secret that may not be here."""
    return any(is_sure(found) and not may_be_kept(found.level, site) for found in findings)


def kept(seen: Inspection) -> Inspection:
    """Return all that is kept of an inspection of what may not be here: its marks, and where they are."""
    marks = tuple(_bare(found) for found in seen.findings if is_sure(found))[:MOST_MARKS]
    gravest = max(marks, key=lambda found: found.level or Level.TOP_SECRET)
    zh, en = summary(marks)
    reason = Reason(
        clause=CLAUSE,
        say=Say(f"{WITHHELD.zh}：{zh}", f"{WITHHELD.en}: {en}"),
        article=STATE_ARTICLE,
        findings=tuple(range(len(marks))),
        action=Action.BLOCK,
    )
    verdict = evolve(
        seen.verdict, action=Action.BLOCK, level=gravest.level, regime=gravest.regime, reasons=(reason,), shadowed=None
    )
    document = Document(media=seen.document.media)
    return Inspection(item=seen.item, document=document, findings=marks, gaps=(), verdict=verdict)


def lowered(verdict: Verdict, findings: Sequence[Finding], site: Site) -> Verdict:
    """Return a verdict where the statute is no reason to block: the site may hold and print what was found.

    Only what rests on that article is lowered; a clause of the house that blocks on another ground stands.
    """
    reasons = tuple(_lowered(reason, findings, site) for reason in verdict.reasons)
    if reasons == verdict.reasons:
        return verdict
    action = max(reason.action for reason in reasons)
    return evolve(verdict, action=action, reasons=reasons)  # type: ignore[no-any-return]


def _lowered(reason: Reason, findings: Sequence[Finding], site: Site) -> Reason:
    named = [findings[number] for number in reason.findings]
    statutory = reason.action is Action.BLOCK and reason.article == STATE_ARTICLE and bool(named)
    if not statutory or not all(is_sure(found) and may_be_kept(found.level, site) for found in named):
        return reason
    zh, en = summary(named)
    say = Say(f"{ALLOWED_HERE.zh}：{zh}", f"{ALLOWED_HERE.en}: {en}")
    return evolve(reason, action=Action.QUARANTINE, say=say)  # type: ignore[no-any-return]


def _bare(found: Finding) -> Finding:
    """Return the finding of a mark without anything that tells of the text around it."""
    return evolve(found, slices=(), boxes=(), offset=0, digest="", why=())  # type: ignore[no-any-return]
