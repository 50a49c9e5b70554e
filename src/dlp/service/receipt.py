"""What the operator reads when a file did not leave as it came: verdict, evidence, article, next step."""

from __future__ import annotations

import re

from dlp import withhold
from dlp.model import Action, Document, Inspection, Outcome, Reason, Regime, Say, State, Verdict
from dlp.refusals import UNQUALIFIED
from dlp.site import Site
from dlp.store import Job

TITLES: dict[Action, Say] = {
    Action.ALLOW: Say("未能放行", "Not released"),
    Action.ALERT: Say("未能放行", "Not released"),
    Action.REDACT: Say("已脱敏放行", "Released after redaction"),
    Action.QUARANTINE: Say("已隔离，等待研判", "Quarantined, waits for review"),
    Action.BLOCK: Say("已拦截", "Blocked"),
}

WITHHELD = Say("已拦截并暂扣", "Blocked and withheld")

NEXT: dict[Action, Say] = {
    Action.ALLOW: Say(
        "文件已密封保存，系统将自动重试；如仍未放行，请联系系统管理员。",
        "The file is sealed and will be tried again; if it still does not leave, call the administrator.",
    ),
    Action.REDACT: Say(
        "放行的是脱敏件；原件已密封保存。如需原件或《脱敏处理证明》，请把编号告诉保密员。",
        "What left is the redacted copy; the original is sealed. For the original, or the certificate of redaction, "
        "give the job number to the security officer.",
    ),
    Action.QUARANTINE: Say(
        "请联系保密员研判；放行、退回或脱敏由保密员决定。请勿改名或改格式重复送检。",
        "Ask the security officer to review it. Do not rename or convert the file to submit it again.",
    ),
    Action.BLOCK: Say(
        "请立即联系保密员，按保密规定处置原始载体；不得改名、拍照或用其他途径外发。",
        "Call the security officer at once and handle the original as the rules say; do not send it another way.",
    ),
}
NEXT[Action.ALERT] = NEXT[Action.ALLOW]

HOW: dict[str, Say] = {
    "text": Say("按文字读取", "read as text"),
    "ocr": Say("图像识别", "read by OCR"),
    "blank": Say("空白", "blank"),
    "unread": Say("未读", "not read"),
}
"""How a page was read -> what people call it."""

MOST_SHOWN = 20  # lines of evidence on one receipt; `dlp quarantine show` has all

STATES: dict[State, Say] = {
    State.TAKING: Say("取件中", "being taken"),
    State.STORED: Say("已密封", "sealed"),
    State.DECIDED: Say("已判定", "decided"),
    State.RELEASING: Say("放行中", "being released"),
    State.RELEASED: Say("已放行", "released"),
    State.REDACTED: Say("已脱敏放行", "released after redaction"),
    State.HELD: Say("隔离待研判", "held for review"),
    State.BLOCKED: Say("已拦截", "blocked"),
    State.REFUSED: Say("未取件", "not taken"),
    State.REJECTED: Say("已驳回", "rejected"),
    State.RETURNED: Say("已退回", "returned to sender"),
    State.FAILED: Say("处理失败（已密封）", "failed (sealed)"),
    State.CANCELLED: Say("已取消", "cancelled"),
    State.WITHHELD: Say("已暂扣", "withheld"),
    State.HANDED_OVER: Say("已移交", "handed over"),
}


def write(
    seen: Inspection, action: Action, note: Say | None, site: Site, *, read: Say | None = None, withheld: bool = False
) -> str:
    """Return the text of the receipt in the operators' language; it holds masked evidence only.

    `read` says what was read and how (`coverage`), where the document is not at hand any more.
    """
    lang = site.language
    zh = lang != "en"
    rows = [
        "文印闸 拦截说明" if zh else "wenyin-gate receipt",
        "",
        _row("结果" if zh else "Result", (WITHHELD if withheld else TITLES[action]).to(lang), zh=zh),
        _row("文件" if zh else "File", seen.item.path, zh=zh),
        _row("编号" if zh else "Job", seen.item.id, zh=zh),
    ]
    if seen.verdict.level is not None:
        rows.append(_row("级别" if zh else "Level", seen.verdict.level.value, zh=zh))
    read = read or coverage(seen.document)
    if read is not None:
        rows.append(_row("读取" if zh else "Read", read.to(lang), zh=zh))
    if note is not None:
        rows.append(_row("说明" if zh else "Note", note.to(lang), zh=zh))
    rows += ["", "原因：" if zh else "Why:"]
    rows += _reasons(seen.verdict.reasons, lang)
    rows += _evidence(seen, lang)
    rows += ["", "下一步：" if zh else "What to do:", f"  {NEXT[action].to(lang)}"]
    if action is Action.BLOCK and seen.verdict.regime is Regime.STATE and site.qualification == "无":
        rows.append(f"  {UNQUALIFIED.to(lang)}")
    rows += ["", _row("规则包" if zh else "Packs", seen.verdict.packs[:19], zh=zh)]
    return "\n".join(rows) + "\n"


def seen_of(job: Job, verdict: Verdict) -> Inspection:
    """Return the committed part of an inspection: enough to settle and to tell, without any text of the document."""
    document = Document(media=job.item.media)
    return Inspection(item=job.item, document=document, findings=job.findings, gaps=job.gaps, verdict=verdict)


def again(job: Job, site: Site) -> str:
    """Return the receipt of a job that did not leave as it came, as its sender has it; empty for any other job."""
    if job.verdict is None:
        return ""
    action = _TOLD.get(job.state)
    if action is None:
        return ""
    withheld = action is Action.BLOCK and withhold.forbids(job.findings, site)
    return write(seen_of(job, job.verdict), action, job.note, site, read=job.coverage, withheld=withheld)


_TOLD: dict[State, Action] = {
    State.HELD: Action.QUARANTINE,
    State.BLOCKED: Action.BLOCK,
    State.WITHHELD: Action.BLOCK,
    State.REDACTED: Action.REDACT,
}
"""What the receipt of a job says became of it; once a person has decided on it, it says nothing that still holds."""


def brief(seen: Inspection | Outcome, action: Action, note: Say | None, site: Site) -> str:
    """Return the receipt in one line of at most 900 bytes, as a print queue shows it."""
    lang = site.language
    zh = lang != "en"
    title = _BRIEF[action].to(lang)
    whys = []
    for reason in seen.verdict.reasons:
        said_already = _PAGE.search(reason.say.to(lang)) is not None
        pages = [] if said_already else sorted({page for i in reason.findings if (page := seen.findings[i].page)})
        where = _on_pages(pages, zh=zh) if pages else ""
        basis = (f"；依据：{reason.article}" if zh else f"; basis: {reason.article}") if reason.article else ""
        whys.append(f"{reason.say.to(lang)}{where}{basis}")
    if note is not None:
        whys.append(note.to(lang))
    end = f"编号 {seen.item.id}；请联系保密员" if zh else f"job {seen.item.id}; ask the security officer"
    said = ""
    for why in whys:
        longer = f"{said}{'；' if zh else '; '}{why}" if said else why
        if len(longer.encode()) > _BRIEF_BYTES:
            break
        said = longer
    said = said or _cut((whys or [""])[0], _BRIEF_BYTES)
    return f"{title}：{said}；{end}" if zh else f"{title}: {said}; {end}"


_BRIEF: dict[Action, Say] = {
    Action.ALLOW: Say("未打印", "Not printed"),
    Action.ALERT: Say("未打印", "Not printed"),
    Action.REDACT: Say("已脱敏打印", "Printed after redaction"),
    Action.QUARANTINE: Say(
        "隔离待审，放行后自动打印，请勿重复提交", "Held for review; it prints by itself once released"
    ),
    Action.BLOCK: Say("拦截", "Blocked"),
}
_PAGE = re.compile(r"第\d+页|\bp\. ?\d")
_BRIEF_BYTES = 760


def _on_pages(pages: list[int], *, zh: bool) -> str:
    few, more = ("、" if zh else ", ").join(map(str, pages[:3])), len(pages) > 3
    return f"（第{few}页{'等' if more else ''}）" if zh else f" (p. {few}{' ...' if more else ''})"


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")


def coverage(document: Document) -> Say | None:
    """Return how the pages were read, in one sentence; None for a document without pages."""
    counts: dict[str, int] = {}
    for page in document.coverage:
        counts[page.how] = counts.get(page.how, 0) + 1
    if not counts:
        return None
    names = {how: HOW[how] for how in HOW if how in counts}
    sure = min((page.quality for page in document.coverage if page.how == "ocr"), default=None)
    zh = "，".join(f"{say.zh} {counts[how]} 页" for how, say in names.items())
    en = ", ".join(f"{counts[how]} {say.en}" for how, say in names.items())
    if sure is not None:
        zh, en = f"{zh}（识别把握 {sure:.0%} 以上）", f"{en} (recognized with {sure:.0%} or more)"
    total = sum(counts.values())
    return Say(f"共 {total} 页：{zh}", f"{total} pages: {en}")


def pages(said: Say | None) -> int:
    """Return how many pages there are, as `coverage` says it; 0 for a document without pages."""
    found = re.match(r"共 (\d+) 页", said.zh) if said else None
    return int(found[1]) if found else 0


def _row(name: str, value: str, *, zh: bool) -> str:
    return f"{name}：{value}" if zh else f"{name}: {value}"


def _reasons(reasons: tuple[Reason, ...], lang: str) -> list[str]:
    rows = []
    for number, reason in enumerate(reasons, 1):
        rows.append(f"  {number}. {reason.say.to(lang)}")
        if reason.article:
            rows.append(f"     依据：{reason.article}" if lang != "en" else f"     Basis: {reason.article}")
    return rows


def _evidence(seen: Inspection, lang: str) -> list[str]:
    named = [i for r in seen.verdict.reasons for i in r.findings]
    if not named:
        return []
    rows = ["", "命中位置（已遮盖）：" if lang != "en" else "Where (masked):"]
    lines: dict[str, int] = {}
    for number in dict.fromkeys(named):
        found = seen.findings[number]
        page = (f"第{found.page}页 " if lang != "en" else f"p.{found.page} ") if found.page else ""
        line = f"  - {page}{found.name or found.rule}  {found.masked}"
        lines[line] = lines.get(line, 0) + 1
    rows += [line if times == 1 else f"{line}  ×{times}" for line, times in list(lines.items())[:MOST_SHOWN]]
    if len(lines) > MOST_SHOWN:
        rows.append(f"  … 共 {len(lines)} 种" if lang != "en" else f"  ... {len(lines)} in all")
    return rows
