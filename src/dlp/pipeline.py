"""The product on one screen: what is seen in an item, and how a redacted copy earns its release.

`inspect` reads in the sandbox, matches and decides. `redact` removes in the sandbox, then sends the result through
`inspect` once more: a copy that is not clean is not released.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import NamedTuple

from dlp import durable, odd, plan
from dlp.marks import lint
from dlp.match import Matcher
from dlp.model import (
    Action,
    Certificate,
    Document,
    Gap,
    GapKind,
    Inspection,
    Item,
    Removed,
    Say,
    Timings,
    evolve,
)
from dlp.policy import Policy, decide, exempt
from dlp.sandbox import Sandbox


class Kit(NamedTuple):
    """What a decision needs: the contained readers, the scanner, the policy, and which rules may be cut."""

    sandbox: Sandbox
    matcher: Matcher
    policy: Policy
    redactable: frozenset[str]


class Redaction(NamedTuple):
    """A redacted copy that was proven: an fd of its sealed bytes, what was removed, and the second inspection."""

    body: int
    certificate: Certificate
    again: Inspection


def inspect(item: Item, body: int | None, kit: Kit) -> Inspection:
    """Return what is seen in the bytes of fd `body`; None stands for an item above the size limit.

    The fd may be at any position; it is read from the start and left open.
    """
    began = time.perf_counter()
    if body is None:
        untrusted = Document(media="", gaps=(Gap(kind=GapKind.TOO_BIG, detail="larger than limits.file_bytes"),))
    else:
        untrusted = kit.sandbox.extract(body, name=item.name, size=os.fstat(body).st_size)
    read = time.perf_counter()
    findings, match_gaps = kit.matcher.find(untrusted)
    findings = (*findings, *odd.find(item, untrusted))
    today = datetime.now().astimezone().date()
    findings = lint.dated(exempt(findings, kit.policy.exemptions, kit.matcher.digest_of, today), today)
    matched = time.perf_counter()
    gaps = untrusted.gaps + match_gaps
    verdict = decide(item, findings, gaps, kit.policy, kit.matcher.digest)
    ms = Timings(
        extract=1000 * (read - began),
        match=1000 * (matched - read),
        total=1000 * (time.perf_counter() - began),
    )
    seen = evolve(item, media=untrusted.media)
    return Inspection(item=seen, document=untrusted, findings=findings, gaps=gaps, verdict=verdict, ms=ms)


def redact(seen: Inspection, body: int, kit: Kit, *, everything: bool = False) -> Redaction | Say:
    """Return a proven redacted copy of what was seen in fd `body`, or the reason why there is none.

    Cut is what a redact reason of the verdict names, and then the copy must earn its release by a second verdict.
    With `everything`, each hit of a rule that may be cut is removed and none may be left; what else the copy holds
    (a mark, say) is for the gate to judge when the copy leaves.
    """
    chosen = _chosen(seen, kit, everything=everything)
    if seen.gaps:
        return Say(
            "有内容未能读取，不能证明已脱敏干净", "something could not be read, so a clean copy cannot be proven"
        )
    if plan.touches_name(seen.document, seen.findings, chosen):
        return Say(
            "文件名中含敏感信息，请改名后重新送检", "the file name itself holds a hit: rename the file and submit again"
        )
    cuts = plan.plan(seen.document, seen.findings, chosen)
    made = kit.sandbox.redact(body, name=seen.item.name, media=seen.item.media, cuts=cuts)
    if isinstance(made, Gap):
        return Say(
            f"此类文件暂不能脱敏（{made.detail}）",
            f"this file cannot be redacted ({made.detail})",
        )
    again = inspect(seen.item, made, kit)
    left = _chosen(again, kit, everything=everything)
    if again.gaps or left or (not everything and again.verdict.action >= Action.REDACT):
        os.close(made)
        return Say("脱敏后复检未通过", "the redacted copy did not pass the second inspection")
    return Redaction(made, _certificate(seen, body, made, chosen, kit), again)


def _chosen(seen: Inspection, kit: Kit, *, everything: bool) -> tuple[int, ...]:
    if everything:
        named = set(range(len(seen.findings)))
    else:
        named = {i for r in seen.verdict.reasons if r.action is Action.REDACT for i in r.findings}
    return tuple(i for i in sorted(named) if seen.findings[i].rule in kit.redactable)


def _certificate(seen: Inspection, body: int, made: int, chosen: tuple[int, ...], kit: Kit) -> Certificate:
    counts: dict[str, int] = {}
    for number in chosen:
        kind = seen.findings[number].type
        counts[kind] = counts.get(kind, 0) + 1
    return Certificate(
        input_sha256=durable.sha256_of(body),
        output_sha256=durable.sha256_of(made),
        media=seen.item.media,
        removed=tuple(Removed(type=kind, count=counts[kind]) for kind in sorted(counts)),
        packs=kit.matcher.digest,
        checks=("reopened", "inspected-again"),
    )
