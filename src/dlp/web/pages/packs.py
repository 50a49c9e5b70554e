"""The workbench of rules: what holds and how well it does, drafts and their trials, publishing, what would change."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.datastructures import UploadFile
from starlette.responses import PlainTextResponse, RedirectResponse

from dlp.drafts import TEMPLATE, Draft, Edition
from dlp.errors import PackError, Problem, UsageError
from dlp.model import Action, Level, Say, Severity, Zone
from dlp.replay import Replayed
from dlp.rights import Operation, right
from dlp.service.workbench import MOST_JOBS, MOST_TEXT, Explained, memory_file
from dlp.web.leaf import leaf
from dlp.web.pages.jobs import ACTIONS
from dlp.web.visit import Change, Does, Reads, Visit

router = APIRouter()
MOST_ROWS = 200
"""Jobs that a list of a replay names, and candidates that an explanation shows."""
SEVERITIES: dict[Severity, Say] = {
    Severity.LOW: Say("低", "low"),
    Severity.MEDIUM: Say("中", "medium"),
    Severity.HIGH: Say("高", "high"),
    Severity.CRITICAL: Say("严重", "critical"),
}
ZONES: dict[Zone, Say] = {
    Zone.BODY: Say("正文", "body"),
    Zone.HEADER: Say("页眉", "header"),
    Zone.FOOTER: Say("页脚", "footer"),
    Zone.TABLE_HEADER: Say("表头", "table header"),
    Zone.TEXT_BOX: Say("文本框", "text box"),
    Zone.HIDDEN: Say("隐藏内容", "hidden"),
    Zone.METADATA: Say("文档属性", "metadata"),
    Zone.COMMENT: Say("批注", "comment"),
    Zone.FILE_NAME: Say("文件名", "file name"),
    Zone.OCR: Say("图片文字", "read from pictures"),
}
KINDS: dict[str, Say] = {
    "pattern": Say("号码、格式", "pattern"),
    "terms": Say("词表", "terms"),
    "mark": Say("密级标志", "mark"),
    "table": Say("表格", "table"),
    "form": Say("表单", "form"),
    "class": Say("文件种类", "class of papers"),
}


# what holds


@router.get("/packs")
def listed(about: Reads, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """List the packs and their rules, each with its precision from labels."""
    stats = {one.rule: one for one in about.desk.reviews.stats(hits_too=False)}
    found = about.desk.workbench.rules(q)
    edited = {one.id for one in about.desk.workbench.in_force() if one.edition}
    by_pack: dict[str, list[Any]] = {}
    for one in found:
        by_pack.setdefault(one.pack.id, []).append(one)
    name = "packs_rows.html" if about.is_fragment else "packs.html"
    return leaf(
        about,
        name,
        q=q,
        packs=sorted(((many[0].pack, many) for many in by_pack.values()), key=lambda one: one[0].id not in edited),
        stats=stats,
        edited=edited,
        count=len(found),
        **_words(),
    )


@router.get("/packs/rules/{full_id}")
def rule(about: Reads, full_id: str) -> Response:
    """Show one rule: its text, its examples run through the engine, what it rests on, how it does."""
    shown = about.desk.workbench.rule(full_id)
    stats = next((one for one in about.desk.reviews.stats(hits_too=False) if one.rule == full_id), None)
    return leaf(about, "packs_rule.html", shown=shown, full_id=full_id, stats=stats, **_words())


@router.get("/packs/try")
def trying(about: Reads) -> Response:
    """Show where a text or a file is tried on the rules that hold."""
    about.desk.acting.may(Operation.PACK_DRAFT)
    return leaf(about, "packs_try.html", sample="", explained=None, **_words())


@router.post("/packs/try")
def tried(about: Does) -> Response:
    """Try a text or a file on the rules that hold; nothing of it is kept."""
    explained = _explain(about, None)
    name = "packs_explained.html" if about.is_fragment else "packs_try.html"
    return leaf(about, name, sample=about.field("sample", ""), explained=explained, **_words())


@router.get("/packs/exemptions")
def exemptions(about: Reads) -> Response:
    """List what somebody answers for, and until when."""
    return leaf(about, "packs_exemptions.html", standing=about.desk.workbench.exemptions())


# drafts


@router.get("/packs/drafts")
def drafts(about: Reads) -> Response:
    """List the drafts, and show where one is begun."""
    bench = about.desk.workbench
    asked = {str(one.words.get("draft", "")): one for one in bench.waiting()}
    return leaf(about, "packs_drafts.html", drafts=bench.drafts(), asked=asked, packs=bench.packs())


@router.post("/packs/drafts")
def begin(about: Does) -> Response:
    """Begin a draft of a pack that holds, or of a new one."""
    pack = about.field("pack", "")
    text = "" if pack else TEMPLATE.format(id="site.rules")
    made = about.desk.workbench.begin(about.field("title", ""), pack=pack, text=text)
    return RedirectResponse(f"/packs/drafts/{made.id}", 303)


@router.get("/packs/drafts/{id}")
def draft(about: Reads, id: str) -> Response:  # noqa: A002  the column's name
    """Show a draft: its text, what is wrong with it, its examples, its mutants, and where it is tried."""
    return _draft(about, about.desk.workbench.draft(id))


@router.post("/packs/drafts/{id}")
def save(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Save a draft as it was typed."""
    text = _text(about)
    about.desk.workbench.save(id, about.number("version"), text, title=about.field("title", ""))
    return RedirectResponse(f"/packs/drafts/{id}", 303)


@router.post("/packs/drafts/{id}/check")
def check(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Judge a draft as it is being typed; nothing is saved."""
    bench = about.desk.workbench
    kept = bench.draft(id)
    text = _text(about) or kept.text
    if not about.is_fragment:
        return _draft(about, kept, text=text)
    return leaf(about, "packs_judged.html", judged=bench.judge(text), differences=bench.compare(text), **_words())


@router.post("/packs/drafts/{id}/try")
def try_draft(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Try a text or a file on the packs that would hold with this draft; nothing of it is kept."""
    kept = about.desk.workbench.draft(id)
    text = _text(about) or kept.text
    faults: tuple[Problem, ...] = ()
    explained: Explained | None = None
    try:
        explained = _explain(about, text)
    except PackError as err:
        faults = err.problems
    if about.is_fragment:
        return leaf(about, "packs_explained.html", explained=explained, **{**_words(), "faults": faults})
    return _draft(about, kept, text=text, sample=about.field("sample", ""), explained=explained)


@router.post("/packs/drafts/{id}/drop")
def drop(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Give a draft up."""
    about.desk.workbench.drop(id, about.field("reason", ""))
    return RedirectResponse("/packs/drafts", 303)


@router.post("/packs/drafts/{id}/publish")
def publish(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Ask for a draft to be published; where it must not be, say every reason."""
    bench = about.desk.workbench
    try:
        bench.ask_to_publish(id, about.field("reason", ""))
    except PackError as err:
        return _draft(about, bench.draft(id), status=422, refused=err)
    return RedirectResponse("/packs/published", 303)


@router.get("/packs/drafts/{id}/text")
def download(about: Reads, id: str) -> Response:  # noqa: A002  as above
    """Give the text of a draft as a file."""
    kept = about.desk.workbench.draft(id)
    return PlainTextResponse(kept.text, headers=_attached(f"{kept.id}.toml"))


# publishing


@router.get("/packs/published")
def published(about: Reads) -> Response:
    """Show what was published at this site, what waits for a second person, and to what one can go back."""
    bench = about.desk.workbench
    held = [
        (one, _edition(about, one.edition), [(old, _edition(about, old)) for old in one.before])
        for one in bench.in_force()
    ]
    titles = {one.id: one.title for one in bench.drafts()} if about.may(Operation.PACK_DRAFT) else {}
    may_confirm = any(role in right(Operation.PACK_PUBLISH).second for role in about.person.roles)
    words: dict[str, Any] = {"held": held, "waiting": bench.waiting(), "titles": titles, "may_confirm": may_confirm}
    return leaf(about, "packs_published.html", **words)


@router.post("/packs/published/{pack}/back")
def roll_back(about: Does, pack: str) -> Response:
    """Ask for an edition that held before to hold again."""
    to = about.field("to", "")
    wanted = None if to == "" else ("" if to == "configured" else to)
    about.desk.workbench.ask_to_roll_back(pack, about.field("reason", ""), to=wanted)
    return RedirectResponse("/packs/published", 303)


@router.post("/packs/waiting/{id}/confirm")
def confirm(about: Does, id: str) -> Response:  # noqa: A002  the column's name
    """Confirm a publication as its second person; it holds at once."""
    about.desk.seconds.confirm(id)
    return RedirectResponse("/packs/published", 303)


@router.post("/packs/waiting/{id}/refuse")
def refuse(about: Does, id: str) -> Response:  # noqa: A002  as above
    """Turn a publication down, or take back what one asked for."""
    about.desk.seconds.turn_down(id, about.field("reason", ""))
    return RedirectResponse("/packs/published", 303)


@router.get("/packs/editions/{id}/text")
def edition(about: Reads, id: str) -> Response:  # noqa: A002  as above
    """Give the text of a published edition as a file."""
    found = about.desk.workbench.edition(id)
    return PlainTextResponse(found.text, headers=_attached(f"{found.pack}-{found.id}.toml"))


# what would change


@router.get("/packs/replay")
def replaying(about: Reads, draft: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Show where a draft or a policy is weighed against what was screened."""
    return leaf(about, "packs_replay.html", **_replay_words(about, draft, "", 30), replayed=None, refused=None)


@router.post("/packs/replay")
def replayed(about: Does) -> Response:
    """Weigh what was screened in the last days under a draft or another policy."""
    chosen, text, days = about.field("draft", ""), about.field("policy", ""), about.number("days", 30)
    words = _replay_words(about, chosen, text, days)
    result: Replayed | None = None
    refused: PackError | None = None
    if not chosen and not text.strip():
        raise UsageError(
            Say("请选择一份草稿，或写明一份策略", "choose a draft, or give a policy"),
            Say("两者也可同时给出", "both can be given together"),
        )
    try:
        result = about.desk.workbench.replay(draft=chosen or None, policy_text=text, days=days)
    except PackError as err:
        refused = err
    words |= {"replayed": result, "refused": refused}
    if about.is_fragment:
        return leaf(about, "packs_replayed.html", **words)
    return leaf(about, "packs_replay.html", 422 if refused else 200, **words)


# inside


def _edition(about: Visit, id: str) -> Edition | None:  # noqa: A002  the column's name
    """Return an edition; None for what the configuration names."""
    return about.desk.workbench.edition(id) if id else None


def _replay_words(about: Visit, chosen: str, text: str, days: int) -> dict[str, Any]:
    return {
        "drafts": about.desk.workbench.drafts(),
        "chosen": chosen,
        "policy_text": text,
        "days": days,
        "actions": ACTIONS,
        "most": MOST_JOBS,
        "most_rows": MOST_ROWS,
        "may_show": about.may(Operation.JOB_SHOW),
    }


def _draft(
    about: Visit,
    kept: Draft,
    *,
    status: int = 200,
    text: str | None = None,
    sample: str = "",
    explained: Explained | None = None,
    refused: PackError | None = None,
) -> Response:
    bench = about.desk.workbench
    shown = kept.text if text is None else text
    waiting = next((one for one in bench.waiting() if one.words.get("draft") == kept.id), None)
    return leaf(
        about,
        "packs_draft.html",
        status,
        draft=kept,
        text=shown,
        judged=bench.judge(shown),
        differences=bench.compare(shown),
        sample=sample,
        explained=explained,
        refused=refused,
        waiting=waiting,
        **_words(),
    )


def _explain(about: Change, draft: str | None) -> Explained:
    """Explain what was pasted, or the file that was sent: read from memory, in the sandbox, and forgotten."""
    bench, sample = about.desk.workbench, about.field("sample", "")
    file = _sent(about)
    if file is None:
        if not sample:
            raise UsageError(
                Say("没有文字也没有文件", "there is neither a text nor a file"),
                Say("粘贴一段文字，或选择一个文件", "paste a text or choose a file"),
            )
        return bench.explain_text(sample, draft=draft)
    body = file.file.read()
    fd = memory_file(body)
    try:
        with about.console.sandbox() as sandbox:
            return bench.explain_file(fd, file.filename or "file", len(body), sandbox, draft=draft)
    finally:
        os.close(fd)


def _sent(about: Change) -> UploadFile | None:
    try:
        file = about.file("file")
    except UsageError:
        return None
    return file if file.filename else None


def _text(about: Change) -> str:
    """Return the text of a draft with the line ends that files have; browsers send others."""
    text = about.field("text", "").replace("\r\n", "\n").replace("\r", "\n")
    return f"{text}\n" if text else ""


def _attached(name: str) -> dict[str, str]:
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)
    return {"Content-Disposition": f'attachment; filename="{safe}"'}


def _words() -> dict[str, Any]:
    return {
        "severities": SEVERITIES,
        "zones": ZONES,
        "kinds": KINDS,
        "actions": ACTIONS,
        "levels": Level,
        "most_text": MOST_TEXT,
        "most_rows": MOST_ROWS,
        "faults": tuple[Problem, ...](),
        "held_from": Action.QUARANTINE,
    }
