"""What a person who has a file before him writes down of it, once: its number, who issued it, what nobody can count.

The gate reads no number of a document into its books: what it reads there may be a secret. Each field is given once, at
whichever step somebody knows it; registers and approvals take it from here. What is there is corrected only with a
reason.

Source: 中心保密工作制度 article 11: what is handed out, returned and destroyed is registered by number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dlp.model import Frozen, Say, evolve
from dlp.rights import CENTRE, Denial, Why
from dlp.store.record import Columns, Kind

MOST_LETTERS = 200
MOST_COUNTED = 100_000


class Given(NamedTuple):
    """What somebody writes down now; what is left at its default he says nothing of."""

    doc_no: str = ""
    """文号, e.g. 某发〔2026〕3号."""
    organ: str = ""
    """来文单位."""
    serial: str = ""
    """份号 of the original."""
    originals: int = 0
    """原件份数."""
    pages: int = 0
    """页数 of one copy, where the gate could not count them."""
    paper: str = ""
    """纸张, where the job did not name it."""


class Description(Frozen, frozen=True, kw_only=True):
    """What is written down of the file of one job; `id` is the job. Fields as in `Given`."""

    id: str
    version: int = 1
    doc_no: str = ""
    organ: str = ""
    serial: str = ""
    originals: int = 0
    pages: int = 0
    paper: str = ""
    by: str
    at: float


DESCRIPTIONS = Kind("description", Description, lambda one: Columns(job=one.id, who=one.by, at=one.at))

NAMES: dict[str, Say] = {
    "doc_no": Say("文号", "the number of the document"),
    "organ": Say("来文单位", "who issued it"),
    "serial": Say("原件份号", "the number of the original"),
    "originals": Say("原件份数", "how many originals there are"),
    "pages": Say("页数", "pages"),
    "paper": Say("纸张", "paper"),
}


def describe(
    job: str, old: Description | None, given: Given, *, by: str, at: float, reason: str = ""
) -> Description | Denial:
    """Return what is written down of a file now: the same value where nothing is new.

    Denied where something else stands there already and no reason is given, or where a field cannot be.
    """
    words = {name: value.strip() if isinstance(value, str) else value for name, value in given._asdict().items()}
    for name, value in words.items():
        if not _fits(value):
            return _no(job, name, Say("超出范围", "is out of bounds"), Say("核对后重填", "look again"), Why.INCOMPLETE)
    held = {name: getattr(old, name) for name in words} if old is not None else {}
    fresh: dict[str, Any] = {name: value for name, value in words.items() if value and value != held.get(name)}
    for name in fresh:
        if held.get(name) and not reason.strip():
            what = Say(f"已登记为“{held[name]}”", f"is written down already: {held[name]}")
            hint = Say("一次登记即可，不必再填；确须更正时写明理由", "it is given once; give a reason to correct it")
            return _no(job, name, what, hint, Why.CHANGED)
    if old is None:
        return Description(id=job, by=by, at=at, **fresh)
    return evolve(old, version=old.version + 1, by=by, **fresh) if fresh else old


def _fits(value: str | int) -> bool:
    if isinstance(value, int):
        return 0 <= value <= MOST_COUNTED
    return len(value) <= MOST_LETTERS and value.isprintable()


def _no(job: str, name: str, what: Say, hint: Say, why: Why) -> Denial:
    field = NAMES[name]
    say = Say(f"任务 {job} 的{field.zh}：{what.zh}", f"{field.en} of job {job} {what.en}")
    return Denial(why=why, say=say, hint=hint, article=f"{CENTRE}第十一条")
