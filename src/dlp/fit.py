"""What a pack must be to be published: called so that a file can be, and no weaker on marks than it was shipped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dlp import packs
from dlp.errors import Problem
from dlp.model import Say, evolve
from dlp.packs import Pack, Rule

_ID = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*")
_MAY_DIFFER = ("name", "examples", "counterexamples", "references", "mask", "redact")
"""What an edition may change of a shipped rule of marks: nothing of it decides whether a mark is seen."""


def is_id(text: str) -> bool:
    """Tell whether a pack may be called so: its id is the name of a file."""
    return len(text) <= 100 and _ID.fullmatch(text) is not None


def unnamed(pack: Pack) -> Iterator[Problem]:
    """Give the fault of a pack whose id cannot be the name of a file."""
    if not is_id(pack.id):
        say = Say(f"规则包编号不合规：{pack.id}", f"no good id of a pack: {pack.id}")
        advice = Say(
            "用小写字母、数字、点和连字符，如 site.projects", "use lower case, digits, dots, hyphens: site.projects"
        )
        yield Problem(file=pack.file, line=1, key="pack.id", say=say, advice=advice)


def weakened(shipped: Sequence[Pack], made: Pack) -> Iterator[Problem]:
    """Give every shipped rule of marks that a pack in the place of a shipped one drops, or lets see less."""
    for pack in shipped:
        if pack.id != made.id:
            continue
        now = {rule.id: rule for rule in made.rules}
        for rule in pack.rules:
            if rule.kind == "mark" and (what := _weaker(rule, now.get(rule.id))):
                yield Problem(
                    file=made.file,
                    line=packs.line_of(made, now[rule.id]) if rule.id in now else 1,
                    key=f"{made.id}.{rule.id}",
                    say=Say(f"削弱了出厂的密级标志规则：{what}", f"it weakens a shipped rule of marks: {what}"),
                    advice=Say(
                        "标志规则只可增加家族、提高严重程度和把握（依据：保守国家秘密法第二十二条）",
                        "families may be added, severity and confidence raised, nothing else",
                    ),
                )
        if made.category != pack.category and any(rule.kind == "mark" for rule in pack.rules):
            say = Say("不得更改标志规则包的类别", "the category of a pack of marks cannot be changed")
            yield Problem(file=made.file, line=1, key="pack.category", say=say)


def _weaker(old: Rule, new: Rule | None) -> str:
    """Return what makes a rule of marks weaker than it was shipped; empty where nothing does."""
    if new is None:
        return "-"
    if not set(old.families) <= set(new.families):
        return "families"
    for key in ("severity", "level", "confidence"):
        was, is_ = getattr(old, key), getattr(new, key)
        if was is not None and (is_ is None or is_ < was):
            return key
    same = {key: getattr(old, key) for key in (*_MAY_DIFFER, "families", "severity", "level", "confidence")}
    levelled = evolve(new, **same)
    fields: Sequence[str] = Rule.__struct_fields__
    return next((key for key in fields if getattr(levelled, key) != getattr(old, key)), "")
