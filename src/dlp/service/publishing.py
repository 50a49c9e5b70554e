"""Publishing packs by two persons: what is done in the books once the second one has confirmed, and what after it.

It loads no scanner: every desk knows what it may confirm.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from dlp import drafts
from dlp.config import Config
from dlp.drafts import DRAFTS, EDITIONS, IN_FORCES, Draft, Edition, InForce
from dlp.errors import Conflict, NotFound
from dlp.model import Say, evolve
from dlp.rights import Operation
from dlp.service import shelf
from dlp.service.keys import new_id
from dlp.service.second import After, Change, Doing
from dlp.store.entry import Entry
from dlp.store.sqlite import SqliteStore

LOG = logging.getLogger("dlp")


def doing() -> dict[Operation, Doing]:
    """Return what is done once a second person has confirmed it."""
    return {Operation.PACK_PUBLISH: _publish}


def after(config: Config, store: SqliteStore) -> Mapping[Operation, After]:
    """Return what is done when that is durable; a gate that runs does it too, and so does its next start."""
    return {Operation.PACK_PUBLISH: lambda _change: _lay(config, store)}


def _lay(config: Config, store: SqliteStore) -> None:
    try:
        shelf.lay(config, store)
    except OSError as err:  # it holds by the books: the gate lays it out, now or at its next start
        LOG.error("published packs were not laid out here: %s", os.strerror(err.errno or 0))  # noqa: TRY400  no bug


def _publish(entry: Entry, change: Change) -> InForce:
    """Let another edition of a pack hold: a draft, or one that held before."""
    held = entry.find(IN_FORCES, change.subject)
    present, before = (held.edition, held.before) if held else ("", ())
    if "draft" in change.words:
        kind = "pack-published"
        edition, body = _edition_of(entry, change)
    else:
        kind = "pack-rolled-back"
        edition, body = str(change.words["back-to"]), {"edition": str(change.words["back-to"])}
        if held is None or held.version != change.words["version"]:
            raise _moved_on(change.subject)
    others = tuple(one for one in before if one not in (edition, present))
    made = InForce(
        id=change.subject,
        version=held.version + 1 if held else 1,
        edition=edition,
        before=(present, *others)[: drafts.KEPT],
        at=entry.moment,
    )
    entry.put(IN_FORCES, made)
    entry.append(change.by, kind, "", {"pack": made.id, "second": change.second, "reason": change.reason, **body})
    return made


def _edition_of(entry: Entry, change: Change) -> tuple[str, dict[str, str]]:
    """Write the edition that a draft becomes; Conflict where the draft or the packs are not those that were tried."""
    draft = open_draft(entry, str(change.words["draft"]))
    if draft.version != change.words["version"] or drafts.digest(draft.text) != change.words["digest"]:
        raise Conflict(
            Say("草稿在提出之后又被修改，不能确认", "the draft was changed after this was asked for"),
            Say("请提出人重新提出发布", "it has to be asked for anew"),
        )
    if drafts.stamp(entry.records(IN_FORCES)) != change.words["against"]:
        raise _moved_on(change.subject)
    made = Edition(
        id=new_id(entry.moment),
        pack=change.subject,
        text=draft.text,
        by=change.by,
        second=change.second,
        reason=change.reason,
        at=entry.moment,
    )
    entry.put(EDITIONS, made)
    entry.put(DRAFTS, evolve(draft, version=draft.version + 1, state=drafts.PUBLISHED, updated=entry.moment))
    return made.id, {"edition": made.id, "draft": draft.id, "digest": drafts.digest(draft.text)}


def open_draft(entry: Entry, id: str) -> Draft:  # noqa: A002  the column's name
    """Return a draft that is being written; Conflict where it was published or given up."""
    draft = entry.find(DRAFTS, id)
    if draft is None:
        raise NotFound(Say(f"没有这份草稿：{id}", f"there is no such draft: {id}"))
    if draft.state != drafts.OPEN:
        raise closed(id)
    return draft


def closed(id: str) -> Conflict:  # noqa: A002  as above
    """Return the error that nobody writes at a draft any more."""
    return Conflict(
        Say(f"草稿 {id} 已发布或放弃", f"draft {id} was published or given up"),
        Say("从现行规则包另起草稿", "begin another one from the pack that holds"),
    )


def _moved_on(pack: str) -> Conflict:
    return Conflict(
        Say(f"提出之后又有规则包发布或退回，{pack} 须重新试跑", f"packs changed since: {pack} has to be tried anew"),
        Say("请提出人重新提出", "it has to be asked for anew"),
    )
