"""Whether two documents say the same: what was read before a stamp was put on, and after it was taken off again."""

from __future__ import annotations

from dlp.model import Document, Segment


def changed(before: Document, after: Document) -> bool:
    """Tell whether the pages of `after` say or show anything else than those of `before`, or hide more.

    What pages show is the same to the last character, place, pixel and gap. Beside the pages `after` may say less, for
    a file that was written anew has no older revisions; it may not say more. The check is the look of all pages: a
    document without one that is ok was not looked at, and counts as changed.
    """
    return (
        [check.state for check in after.checks] != ["ok"]
        or (before.media, before.pages, before.checks) != (after.media, after.pages, after.checks)
        or (before.tables, before.coverage, before.pictures) != (after.tables, after.coverage, after.pictures)
        or not set(after.gaps) <= set(before.gaps)
        or _shown(before) != _shown(after)
        or not _beside(after) <= _beside(before)
    )


def _shown(document: Document) -> list[Segment]:
    return [segment for segment in document.segments if segment.strip is not None and not segment.anchor]


def _beside(document: Document) -> set[tuple[tuple[str, ...], str]]:
    # Which of two places that say the same is met first hangs on the order in which a file was written.
    return {(one.part, one.text) for one in document.segments if one.strip is None or one.anchor}
