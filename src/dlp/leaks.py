"""What a redaction left behind: covered, hidden or removed text that can still be read or measured.

Pure. The reader of a format says so with segments that have no text of their own: their anchor names the kind, their
strip tells where. Kinds are graded: what can be read is HIGH and holds a file, what can be measured or hints at it is
MEDIUM, and what only tells more than the pages show is LOW and is of interest to `dlp check-redaction` alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from dlp.model import Box, Document, Finding, Say, Segment, Severity, Strip, Zone

TYPE = "redaction_leak"
CATEGORY = "redaction"
_ANCHOR = "/Leak "
_LEAST_PERIOD = 4  # letters that come again and again
_OFFICE = ("application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.")


_LABEL = re.compile(
    r"(?:(?:redact|privilege|exempt|seal|withheld|remove)(?:ed|ion|d)?|confidential|已脱敏.{1,12}|(?:已|此处)?(?:脱敏|涂黑|隐去|删除|遮盖|略)){1,4}"
)


class Kind(NamedTuple):
    """One way in which a redaction leaks."""

    severity: Severity
    say: Say


KINDS: dict[str, Kind] = {
    "covered": Kind(
        Severity.HIGH,
        Say("被色块、线条或图片盖住的文字仍可读出", "text under a box, a line or a picture can still be read"),
    ),
    "picture": Kind(
        Severity.HIGH,
        Say("色块只是盖在图片上，下面的图像仍在", "a box lies over a picture, whose pixels are still there"),
    ),
    "unseen": Kind(
        Severity.HIGH,
        Say("看不见的文字（与底同色或不显示）仍可读出", "text that nobody sees is there: in the colour of its ground"),
    ),
    "unapplied": Kind(
        Severity.HIGH,
        Say("涂黑批注没有应用，内容并未删除", "a redaction was marked and never applied: nothing is removed"),
    ),
    "revision": Kind(
        Severity.HIGH,
        Say("旧版本里还有最后一版已删去的文字", "an earlier revision in the file holds text that the last one has not"),
    ),
    "repeated": Kind(
        Severity.HIGH,
        Say("盖住的文字在元数据、书签或批注里又出现", "covered text is repeated in metadata, bookmarks or notes"),
    ),
    "attached": Kind(
        Severity.HIGH,
        Say("已涂黑的文件里还带着附件", "a file with redactions carries another file inside"),
    ),
    "measurable": Kind(
        Severity.MEDIUM,
        Say("涂黑处的宽度与所删文字相同，可据以推测", "a gap is as wide as the word that was removed"),
    ),
    "remnants": Kind(
        Severity.MEDIUM,
        Say("字体中还留着页面上已没有的字", "a font still lists letters that no page shows"),
    ),
    "outside": Kind(
        Severity.LOW,
        Say("页面可见范围之外有文字", "there is text outside the visible part of a page"),
    ),
    "metadata": Kind(
        Severity.LOW,
        Say("元数据写有页面上没有的内容", "the metadata tells what the pages do not show"),
    ),
    "attachment": Kind(
        Severity.LOW,
        Say("文件里带有附件", "the file carries another file inside"),
    ),
    "hidden": Kind(
        Severity.LOW,
        Say("隐藏的文字或修订中已删除的文字仍在", "hidden text, or text deleted under tracked changes, is still there"),
    ),
}  # fmt: skip
"""Every kind by its name, gravest first."""


def mark(kind: str, part: tuple[str, ...], strip: Strip | None = None) -> Segment:
    """Return the segment by which a reader says that it saw this; it holds nothing of the document."""
    return Segment(text="", part=part, anchor=_ANCHOR + kind, strip=strip, zone=Zone.HIDDEN)


def find(untrusted: Document, *, every: bool = False) -> tuple[Finding, ...]:
    """Return one finding for each kind and page; with `every` also those that are of no interest to a gate."""
    marks: dict[tuple[str, tuple[str, ...], int | None], list[Segment]] = {}
    for segment in untrusted.segments:
        kind = _kind(segment, untrusted.media)
        if kind and (every or KINDS[kind].severity > Severity.LOW):
            page = segment.strip.page if segment.strip is not None else None
            marks.setdefault((kind, segment.part, page), []).append(segment)
    order = list(KINDS)
    return tuple(_finding(*key, seen) for key, seen in sorted(marks.items(), key=lambda one: order.index(one[0][0])))


def says_nothing(text: str) -> bool:
    """Tell whether a text under a box is only its label, or the same over and over, as programs write it into boxes."""
    flat = "".join(char for char in text.lower() if char.isalnum())
    if set(flat) <= {"x"} or _LABEL.fullmatch(flat):
        return True
    period = flat.find(flat[:_LEAST_PERIOD], _LEAST_PERIOD)
    return 0 < period <= len(flat) // 2 and flat.startswith(flat[period:])


def kind_of(found: Finding) -> str:
    """Return the name of the kind of a leak."""
    return found.rule.rpartition(".")[2]


def _kind(segment: Segment, media: str) -> str:
    if segment.anchor.startswith(_ANCHOR):
        kind = segment.anchor.removeprefix(_ANCHOR)
        return kind if kind in KINDS else ""
    if segment.zone is Zone.HIDDEN and segment.text.strip() and media.startswith(_OFFICE):
        # The readers of these formats end the anchor of a paragraph as it was, or with what is hidden, so.
        return "hidden" if segment.anchor[-1:] in ("h", "o") and segment.anchor[:-1].isdecimal() else ""
    return ""


def _finding(kind: str, part: tuple[str, ...], page: int | None, seen: Iterable[Segment]) -> Finding:
    marks = tuple(seen)
    strips = [one.strip for one in marks if one.strip is not None and one.strip.x1 > one.strip.x0]
    return Finding(
        rule=f"gate.redaction.{kind}",
        pack="gate",
        type=TYPE,
        category=CATEGORY,
        name=KINDS[kind].say.zh,
        severity=KINDS[kind].severity,
        count=len(marks),
        boxes=tuple(Box(s.page, s.x0, s.y0, s.x1, s.y1) for s in strips),
        part=part,
        page=page,
        zone=Zone.HIDDEN,
        masked=f"×{len(marks)}",
        why=(f"leak:{kind}",),
    )
