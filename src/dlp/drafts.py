"""Rule packs in the making and in force: drafts, the editions that two persons published, and which of them holds.

The books are the truth: an edition is written once and never changed, and one small record for each pack says which
edition holds and which held before. What lies in the folder of the gate is laid out from these records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from dlp.model import Frozen
from dlp.store.record import Columns, Kind

OPEN, PUBLISHED, DROPPED = "open", "published", "dropped"
IN_FORCE, WITHDRAWN = "in-force", "withdrawn"
LONGEST = 1_000_000
"""Characters of a draft: what a person can still read and a browser still edit."""
KEPT = 10
"""Editions of one pack to which it can be rolled back."""


class Draft(Frozen, frozen=True, kw_only=True):
    """A pack that somebody is writing. Nothing uses it until it is published."""

    id: str
    version: int = 1
    pack: str
    """Id of the pack that it is begun from; empty for a new one."""
    title: str
    text: str
    by: str
    """Who wrote this version."""
    state: str = OPEN
    at: float
    updated: float


class Edition(Frozen, frozen=True, kw_only=True):
    """One published text of a pack; never changed."""

    id: str
    version: int = 1
    pack: str
    text: str
    by: str
    second: str
    reason: str
    at: float


class InForce(Frozen, frozen=True, kw_only=True):
    """Which edition of a pack holds; `id` is the pack's. An empty edition: what the configuration names holds."""

    id: str
    version: int = 1
    edition: str
    before: tuple[str, ...] = ()
    """What held before it, newest first."""
    at: float


DRAFTS = Kind("pack-draft", Draft, lambda one: Columns(state=one.state, who=one.by, at=one.at))
EDITIONS = Kind("pack-edition", Edition, lambda one: Columns(state=one.pack, who=one.by, at=one.at))
IN_FORCES = Kind("pack-in-force", InForce, lambda one: Columns(state=IN_FORCE if one.edition else WITHDRAWN, at=one.at))


def digest(text: str) -> str:
    """Return what a request to publish says of a text: `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def stamp(held: Iterable[InForce]) -> str:
    """Return a word that changes whenever anything is published or rolled back."""
    whole = "\n".join(sorted(f"{one.id} {one.version} {one.edition}" for one in held))
    return f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"


TEMPLATE = """# 规则包样板：改好后运行 dlp packs check 和 dlp packs test。
# A template: change it, then run `dlp packs check` and `dlp packs test`.

[pack]
id = "{id}"
name = "本单位项目"
version = "1"
category = "site"
description = "本单位自定义的项目代号和编号"

[[rules]]
id = "words"
name = "项目用语"
kind = "terms"
type = "term"
severity = "medium"
level = "敏感信息"
terms = [{{ term = "示例工程代号", weight = 9 }}, {{ term = "示例项目", weight = 6 }}]
examples = ["关于示例工程代号的说明", "附件：示例项目"]
counterexamples = ["示例工作已完成", "无关内容"]
references = [{{ law = "本单位保密制度" }}]

[[rules]]
id = "number"
name = "项目编号"
kind = "pattern"
type = "project_number"
severity = "medium"
level = "敏感信息"
pattern = '''XM-[0-9]{{4}}-[0-9]{{3}}'''
edges = "alnum"
mask = "keep:3,0"
examples = ["项目编号XM-2026-001", "见XM-2025-017号"]
counterexamples = ["XM-26-1", "AXM-2026-001"]
references = [{{ law = "本单位保密制度" }}]
"""
"""What a new pack begins with; `id` is put in."""
