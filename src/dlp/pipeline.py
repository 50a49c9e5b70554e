"""The product on one screen: what is seen in an item, and how a redacted copy earns its release.

`inspect` reads in the sandbox, matches and decides. `redact` removes in the sandbox, then sends the result through
`inspect` once more: a copy that is not clean is not released. `stamp` puts a mark on each page of what was cleared and
looks again that nothing else changed.
"""

from __future__ import annotations

import math
import os
import re
import time
from datetime import datetime
from typing import NamedTuple

from dlp import alike, durable, engrave, hand, odd, plan, told, values
from dlp.errors import ConfigError
from dlp.hand import Edits
from dlp.marks import lint
from dlp.match import Matcher, Stop
from dlp.model import (
    Action,
    Certificate,
    Check,
    Cut,
    Document,
    Gap,
    GapKind,
    Inspection,
    Item,
    Mode,
    Plate,
    Redacting,
    Removed,
    Say,
    Stamp,
    Timings,
    evolve,
)
from dlp.policy import Policy, decide, exempt
from dlp.sandbox import Made, Sandbox
from dlp.values import Values


class Kit(NamedTuple):
    """What a decision needs: the contained readers, the scanner, the policy, which rules may be cut, and how."""

    sandbox: Sandbox
    matcher: Matcher
    policy: Policy
    redactable: frozenset[str]
    redacting: Redacting = Redacting()


class Redaction(NamedTuple):
    """A redacted copy that was proven: an fd of its sealed bytes, what was removed, and the second inspection."""

    body: int
    certificate: Certificate
    again: Inspection


class Stamped(NamedTuple):
    """A stamped copy that says what the file before it said, and an fd of its sealed bytes.

    `covered` are pages whose stamp lies on something, from 1; none unless it was allowed to cover.
    """

    body: int
    pages: int
    covered: tuple[int, ...]


class _Failed(NamedTuple):
    """Why a copy is not released; `more_found` when something is left that nobody asked to remove.

    A picture of a page cures a text that is still there under a box. It cures nothing that another reader finds beside
    the cuts: that is there to be seen, and only the place to look for it is lost.
    """

    say: Say
    more_found: bool = False


class _Wish(NamedTuple):
    """What is to be removed: the chosen findings, their cuts, and the texts that must be nowhere afterwards."""

    chosen: tuple[int, ...]
    everything: bool
    cuts: tuple[Cut, ...]
    needles: tuple[str, ...]
    edits: Edits


def inspect(
    item: Item,
    body: int | None,
    kit: Kit,
    stop: Stop | None = None,
    *,
    spared: frozenset[tuple[str, str]] = frozenset(),
) -> Inspection:
    """Return what is seen in the bytes of fd `body`; None stands for an item above the size limit.

    The fd may be at any position; it is read from the start and left open. Where `stop` says so of the marks that were
    found so far, nothing more is read, and nothing but marks is looked for. `spared` is what a reviewer left in
    (rule, digest): it is found, and decides nothing.
    """
    began = time.perf_counter()
    if body is None:
        untrusted = Document(media="", gaps=(Gap(kind=GapKind.TOO_BIG, detail="larger than limits.file_bytes"),))
    else:
        early = (lambda so_far: stop(kit.matcher.find_marks(so_far))) if stop is not None else None
        untrusted = kit.sandbox.extract(body, name=item.name, size=os.fstat(body).st_size, stop=early)
    read = time.perf_counter()
    findings, match_gaps = kit.matcher.find(untrusted, stop)
    findings = (*findings, *odd.find(item, untrusted))
    today = datetime.now().astimezone().date()
    findings = lint.dated(exempt(findings, kit.policy.exemptions, kit.matcher.digest_of, today), today)
    findings = hand.without(findings, spared)
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


def redact(
    seen: Inspection, body: int, kit: Kit, *, everything: bool = False, edits: Edits | None = None
) -> Redaction | Say:
    """Return a proven redacted copy of what was seen in fd `body`, or the reason why there is none.

    Cut is what a redact reason of the verdict names, and then the copy must earn its release by a second verdict.
    With `everything`, each hit of a rule that may be cut is removed and none may be left; what else the copy holds
    (a mark, say) is for the gate to judge when the copy leaves.

    A copy that is not proven is made once more from pixels, where its format can do that. `edits` are what a reviewer
    adds to what is cut and leaves in: what he leaves in may be left in the copy, and nothing else may.
    """
    edits = edits or Edits()
    if edits.added or edits.dropped:
        more = hand.found(seen.document, seen.item, edits.added)
        if isinstance(more, Say):
            return more
        seen = evolve(seen, findings=(*hand.without(seen.findings, edits.spared), *more))
        kit = kit._replace(redactable=kit.redactable | {hand.RULE})
    chosen = _chosen(seen, kit, everything=everything)
    if seen.gaps:
        return Say(
            "有内容未能读取，不能证明已脱敏干净", "something could not be read, so a clean copy cannot be proven"
        )
    if plan.touches_name(seen.document, seen.findings, chosen):
        return Say(
            "文件名中含敏感信息，请改名后重新送检", "the file name itself holds a hit: rename the file and submit again"
        )
    cuts = plan.plan(seen.document, seen.findings, chosen, kit.redacting)
    wish = _Wish(chosen, everything, cuts, plan.needles(seen.document, seen.findings, chosen), edits)
    pictured = seen.item.media in RASTERS
    made = _attempt(seen, body, kit, wish, Mode.AUTO if pictured and _wants_pictures(kit) else kit.redacting.mode)
    if isinstance(made, Redaction) and pictured and _wants_pictures(kit):
        os.close(made.body)  # its text was read once more in every order, which nobody can do with pixels
    elif isinstance(made, Redaction):
        return made
    elif made.more_found or not pictured:
        return made.say
    raster = _attempt(seen, body, kit, wish, Mode.RASTER)
    if isinstance(raster, Redaction):
        return raster
    if isinstance(made, Redaction):
        return raster.say
    return Say(f"{made.say.zh}；转为图片后：{raster.say.zh}", f"{made.say.en}; as pictures: {raster.say.en}")


def stamp(item: Item, body: int, kit: Kit, mark: Stamp) -> Stamped | Say:
    """Return a copy of the cleared bytes of fd `body` with a stamp on each page, or the reason why there is none.

    The copy is read once more with each stamp taken off: what it says then, and how its pages look, must be what `body`
    said, so that nothing is found in it that was not judged and the stamp itself is no finding. Where this cannot be
    shown there is no copy, and what was to be released with a stamp is not released.
    """
    try:
        plate = engrave.engrave(mark)
        made = kit.sandbox.stamp(body, name=item.name, media=item.media, stamp=mark)
    except ConfigError as err:
        return err.say
    if isinstance(made, Gap):
        return told.unstamped(made)
    proven = False
    try:
        boxes = made.untrusted_boxes
        before = kit.sandbox.look(body, name=item.name, media=item.media)
        after = kit.sandbox.look(made.body, name=item.name, media=item.media, plate=plate, boxes=boxes)
        if not _fit(made, plate, before.pages):
            return Say("加盖印记的程序所报与要求不符", "the stamping tells of what it was not asked for")
        changed = alike.changed(before, after)
        if not changed and after != before:
            # Less may be left of what no page shows, such as an earlier revision. It must not make anything look worse.
            known = {(found.rule, found.digest) for found in kit.matcher.find(before)[0]}
            found, gaps = kit.matcher.find(after)
            changed = bool(gaps) or any((one.rule, one.digest) not in known for one in found)
        if changed:
            return Say("加盖印记后复检与原件不一致", "read again, the stamped copy is not what it was before")
        proven = True
        return Stamped(made.body, len(boxes), made.untrusted_covered)
    finally:
        if not proven:
            os.close(made.body)


def _fit(made: Made, plate: Plate, pages: int | None) -> bool:
    """Tell whether a child says of each page that one stamp of a sensible size was put on it."""
    boxes = made.untrusted_boxes
    shape = plate.high / plate.wide
    return (
        pages == len(boxes)
        and [box.page for box in boxes] == list(range(1, len(boxes) + 1))
        and all(
            box.x1 - box.x0 >= LEAST_STAMP * plate.wide
            and math.isclose((box.y1 - box.y0), (box.x1 - box.x0) * shape, rel_tol=0.01)
            for box in boxes
        )
        and set(made.untrusted_covered) <= ({box.page for box in boxes} if plate.cover else set())
    )


def _wants_pictures(kit: Kit) -> bool:
    return kit.redacting.mode is Mode.RASTER


RASTERS = frozenset({"application/pdf"})
"""Types whose pages can be redacted as pictures of themselves."""
LEAST_STAMP = 0.7
"""Of its size: a smaller stamp is not read."""
MOST_NAMES = 3
"""Names of rules of one type that a certificate gives."""
_HOW = re.compile(r"[a-z][a-z-]{0,31}", re.ASCII)


def _attempt(seen: Inspection, body: int, kit: Kit, wish: _Wish, mode: Mode) -> Redaction | _Failed:
    """Make a copy in one way and try to prove it; the fd of a copy that is not proven is closed."""
    name, media = seen.item.name, seen.item.media
    made = kit.sandbox.redact(body, name=name, media=media, cuts=wish.cuts, mode=mode)
    if isinstance(made, Gap):
        return _Failed(told.stopped(made))
    proven = False
    try:
        again = inspect(seen.item, made.body, kit, spared=wish.edits.spared)
        checks, more_found = _prove(seen, (body, made.body), kit, wish, mode)
        bad = [check for check in checks if check.state == "fail"]
        left = _chosen(again, kit, everything=wish.everything)
        removed = _removed(seen, made.untrusted_removed, wish)
        if removed is None:
            return _Failed(Say("脱敏程序所报与要求不符", "the redactor tells of what it was not asked for"))
        if again.gaps or left or (not wish.everything and again.verdict.action >= Action.REDACT):
            say = Say("脱敏后复检未通过", "the redacted copy did not pass the second inspection")
            return _Failed(say, more_found)
        if bad:
            why = told.failed(bad[0])
            say = Say(f"脱敏件验证未通过（{why.zh}）", f"the redacted copy was not proven clean ({why.en})")
            return _Failed(say, more_found)
        proven = True
        certificate = Certificate(
            input_sha256=durable.sha256_of(body),
            output_sha256=durable.sha256_of(made.body),
            media=media,
            removed=removed,
            packs=kit.matcher.digest,
            policy=seen.verdict.policy,
            mode=mode,
            style=kit.redacting.style,
            reach=kit.redacting.reach,
            checks=checks,
        )
        return Redaction(made.body, certificate, again)
    finally:
        if not proven:
            os.close(made.body)


def _prove(
    seen: Inspection, bodies: tuple[int, int], kit: Kit, wish: _Wish, mode: Mode
) -> tuple[tuple[Check, ...], bool]:
    """Return what the verifier looked at in a copy: its own checks, and the scanner over what its readers read.

    True beside it when the scanner finds something there that was never to be removed.
    """
    before, body = bodies
    untrusted = kit.sandbox.verify(
        body,
        before,
        name=seen.item.name,
        media=seen.item.media,
        cuts=wish.cuts,
        needles=wish.needles,
        mode=mode,
    )
    if untrusted.gaps:
        return (Check(name="verifier", state="fail", detail=untrusted.gaps[0].detail),), False
    findings, gaps = kit.matcher.find(untrusted)
    findings = hand.without(findings, wish.edits.spared)
    rules = {seen.findings[number].rule for number in wish.chosen}
    left = [found for found in findings if found.rule in rules & kit.redactable and not found.exempt]
    known = {seen.findings[number].digest for number in wish.chosen}
    kept = _kept(untrusted, wish.needles)
    detector = Check(name="detector", state="ok")
    if left or kept or gaps:
        detector = Check(name="detector", state="fail", detail="another reader still finds what was removed")
    checks = (*untrusted.checks, detector, Check(name="inspected-again", state="ok"))
    if wish.edits.dropped:
        detail = f"a reviewer left {len(wish.edits.dropped)} in, each for a reason that the audit trail has"
        checks = (*checks, Check(name="kept-by-hand", state="unavailable", detail=detail))
    return checks, any(found.digest not in known for found in left)


def _removed(seen: Inspection, untrusted: tuple[Removed, ...], wish: _Wish) -> tuple[Removed, ...] | None:
    """Return what a child says that it removed, with the names of the packs; None where that cannot be.

    What is signed later holds these words, and a child that its document took over could put anything into them.
    """
    types = {cut.type for cut in wish.cuts}
    names: dict[str, dict[str, None]] = {}
    for number in wish.chosen:
        found = seen.findings[number]
        names.setdefault(found.type, {})[found.name or found.type] = None
    for one in untrusted:
        placed = one.page is None or one.page > 0
        if one.type not in types or not _HOW.fullmatch(one.how) or not placed or not 0 < one.count <= len(wish.cuts):
            return None
    return tuple(evolve(one, name="、".join(list(names.get(one.type, ()))[:MOST_NAMES])) for one in untrusted)


def _chosen(seen: Inspection, kit: Kit, *, everything: bool) -> tuple[int, ...]:
    if everything:
        named = set(range(len(seen.findings)))
    else:
        named = {i for r in seen.verdict.reasons if r.action is Action.REDACT for i in r.findings}
    return tuple(
        i for i in sorted(named) if seen.findings[i].rule in kit.redactable and seen.findings[i].exempt != hand.KEPT
    )


def _kept(untrusted: Document, needles: tuple[str, ...]) -> bool:
    """Tell whether a removed text is still read: in one segment, or in the text of all of them together."""
    flat = [values.squeezed(needle) for needle in needles]
    texts = [values.squeezed(segment.text) for segment in untrusted.segments]
    alone = Values([needle for needle in flat if values.tells(needle)])
    joined = Values([needle for needle in flat if values.tells(needle, joined=True)])
    return any(map(alone.any_in, texts)) or joined.any_in("".join(texts))
