"""The system: what it lacks, its folders and queues, its policy in words with a dry run, its limits, its backups."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Response
from starlette.responses import RedirectResponse

from dlp import __version__
from dlp.errors import DlpError, NotFound, UsageError
from dlp.model import Say
from dlp.packs import Pack
from dlp.rights import Operation
from dlp.service import backup, policy_words, proving
from dlp.service.gate import load_packs
from dlp.service.policy_words import SAMPLES
from dlp.service.printing.rows import Check
from dlp.vault import identity_in
from dlp.web.leaf import leaf
from dlp.web.pages.jobs import ACTIONS
from dlp.web.visit import Does, Reads, Visit

router = APIRouter()
MOST_KEY = 64 << 10
STATES: dict[str, Say] = {
    "closed": Say("已封闭", "closed"),
    "open": Say("可绕过", "open"),
    "network": Say("须网络规则封闭", "needs a rule of the network"),
    "unknown": Say("未能查看", "unknown"),
}
LIMITS: dict[str, Say] = {
    "file_bytes": Say("单个文件（字节）", "one file (bytes)"),
    "expanded_bytes": Say("展开后（字节）", "unpacked (bytes)"),
    "ratio": Say("压缩比", "expanded : packed"),
    "depth": Say("嵌套层数", "containers in containers"),
    "entries": Say("内含条目", "members of containers"),
    "pages": Say("页数", "pages"),
    "text_chars": Say("文字（字）", "characters of text"),
    "pixels": Say("全部图片像素", "pixels of all pictures"),
    "picture_pixels": Say("单张图片像素", "pixels of one picture"),
    "picture_bytes": Say("图片字节", "bytes of pictures"),
    "ocr_page_seconds": Say("识别一页（秒）", "OCR of one page (s)"),
    "ocr_seconds": Say("识别合计（秒）", "OCR of one item (s)"),
    "ocr_memory_bytes": Say("识别内存（字节）", "memory of the OCR (bytes)"),
    "wall_seconds": Say("读取时间（秒）", "reading (s)"),
    "cpu_seconds": Say("处理器时间（秒）", "processor time (s)"),
    "memory_bytes": Say("读取内存（字节）", "memory of a reader (bytes)"),
    "hits": Say("命中上限", "most hits"),
}


class Kept(NamedTuple):
    """A backup in the folder for them."""

    name: str
    at: float
    size: int


@router.get("/system")
def system(about: Reads, told: Annotated[str, Query(max_length=120)] = "") -> Response:
    """Show version, packs, folders, printers, limits and backups; the checks follow by themselves."""
    about.desk.acting.may(Operation.HEALTH_READ)
    config = about.config
    limits = [(LIMITS.get(key, Say(key, key)), value) for key, value in msgspec.structs.asdict(config.limits).items()]
    words: dict[str, Any] = {"version": __version__, "limits": limits, "backups": _backups(about), "told": told}
    words |= {"packs": [(one.id, one.name, one.version, len(one.rules)) for one in _loaded(about)]}
    words |= {"folders": [(one, *_folder(one)) for one in config.folders]}
    return leaf(about, "system.html", printers=config.printers, spec=config.backup, **words)


@router.get("/system/checks")
def checks(about: Reads) -> Response:
    """Show what this machine and this configuration lack, and how the queues stand."""
    found = sorted(about.desk.health(), key=lambda one: one.ok)
    try:
        queues, lack = about.desk.queues(), None
    except DlpError as err:
        queues, lack = (), err
    rows = [(row, isinstance(row, Check)) for row in queues]
    name = "checks_part.html" if about.is_fragment else "checks.html"
    return leaf(about, name, found=found, queues=rows, lack=lack, states=STATES)


@router.get("/system/policy")
def policy(about: Reads) -> Response:
    """Show the clauses in words, and where a text is tried on them."""
    about.desk.acting.may(Operation.HEALTH_READ)
    return leaf(about, "policy.html", **_policy(about), tried=None, text="")


@router.post("/system/policy")
def dry_run(about: Does) -> Response:
    """Try a text on the policy: which clause decides, and why. It is kept nowhere."""
    sample = next((one for one in SAMPLES if one.name == about.field("sample", "")), None)
    text = sample.text if sample else about.field("text", "")
    tried = policy_words.dry_run(about.desk.acting, text, owner=about.field("owner", ""))
    return leaf(about, "policy.html", **_policy(about), tried=tried, text=text)


@router.post("/system/backup")
def create(about: Does) -> Response:
    """Make a backup in the folder for them, while everybody works on."""
    folder = about.config.backup.folder
    about.desk.acting.may(Operation.BACKUP_CREATE)
    if folder is None:
        raise UsageError(
            Say("没有写明备份到哪里", "where the backup goes was not named"),
            Say("在配置 [backup] folder 写明", "set [backup] folder in the configuration"),
        )
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    made = backup.create(about.desk.acting, Path(folder), file=about.console.file, with_keys=True)
    return RedirectResponse(f"/system?told={made.path.name}", 303)


@router.post("/system/backup/verify")
def verify(about: Does) -> Response:
    """Look at all of a backup with the private key that somebody brought along; it is kept nowhere."""
    about.desk.acting.may(Operation.BACKUP_VERIFY)
    name = about.field("name")
    found = next((one for one in _backups(about) if one.name == name), None)
    folder = about.config.backup.folder
    if found is None or folder is None:
        raise NotFound(Say("没有这份备份", "there is no such backup"), Say("刷新页面", "load the page again"))
    identity = identity_in(about.file("identity").file.read(MOST_KEY))
    seen = proving.verify(Path(folder) / name, proving.Given(identity, proving.known_keys(about.config, None)))
    return leaf(about, "backup_seen.html", name=name, seen=seen)


def _policy(about: Visit) -> dict[str, Any]:
    named = policy_words.types(_loaded(about))
    clauses = [(one, policy_words.of(one, named)) for one in about.config.policy.clauses]
    today = datetime.now().astimezone().date()
    counters = {*(one.owner for one in about.config.folders), *(one.owner for one in about.config.printers)}
    owners = sorted(counters - {""})
    words = {"clauses": clauses, "policy": about.config.policy, "actions": ACTIONS, "samples": SAMPLES}
    return {**words, "today": today, "owners": owners}


def _loaded(about: Visit) -> tuple[Pack, ...]:
    try:
        return load_packs(about.config)
    except DlpError:
        return ()  # the checks say what is wrong with them


def _folder(spec: Any) -> tuple[bool, str]:
    """Return whether a folder can be used, and how much room there is."""
    path = Path(spec.watch)
    there = path.is_dir() and Path(spec.release).is_dir()
    free = f"{shutil.disk_usage(path).free / (1 << 30):.1f} GiB" if there else "—"
    return there, free


def _backups(about: Visit) -> list[Kept]:
    folder = about.config.backup.folder
    if folder is None or not Path(folder).is_dir():
        return []
    try:
        own = backup.own_backups(Path(folder))
        return [Kept(path.name, at.timestamp(), path.stat().st_size) for at, path in reversed(own)]
    except OSError:
        return []  # the checks below say why
