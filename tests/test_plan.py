"""Findings become cuts."""

from __future__ import annotations

from dlp.model import Document, Finding, Segment, Slice, Zone
from dlp.plan import plan, touches_name, within

DOCUMENT = Document(
    media="text/plain",
    segments=(
        Segment(text="0123456789", anchor="a", part=("x",)),
        Segment(text="abcdefghij", anchor="b", part=("y",)),
        Segment(text="名.txt", zone=Zone.FILE_NAME),
    ),
)


def found(*slices: Slice, kind: str = "cn_mobile") -> Finding:
    """A finding that covers these slices."""
    return Finding(rule="r", pack="p", type=kind, category="c", name="手机号", slices=slices)


def test_a_finding_becomes_a_cut_with_a_label() -> None:
    """The cut names part, anchor and characters, and what is written instead."""
    (cut,) = plan(DOCUMENT, (found(Slice(0, 2, 5)),), (0,))
    assert (cut.part, cut.anchor, cut.start, cut.end) == (("x",), "a", 2, 5)
    assert cut.label == "〔已脱敏：手机号〕"


def test_overlapping_findings_are_one_cut() -> None:
    """Two rules on the same digits remove them once."""
    (cut,) = plan(DOCUMENT, (found(Slice(0, 2, 6)), found(Slice(0, 4, 9))), (0, 1))
    assert (cut.start, cut.end) == (2, 9)


def test_neighbours_stay_two_cuts() -> None:
    """Hits that only touch keep a label each."""
    cuts = plan(DOCUMENT, (found(Slice(0, 2, 4)), found(Slice(0, 4, 6))), (0, 1))
    assert [(c.start, c.end) for c in cuts] == [(2, 4), (4, 6)]


def test_a_hit_over_two_segments_is_labelled_once() -> None:
    """The second half of a hit is removed without a second label."""
    first, second = plan(DOCUMENT, (found(Slice(0, 8, 10), Slice(1, 0, 3)),), (0,))
    assert first.label
    assert second.label == ""


def test_only_chosen_findings_are_cut() -> None:
    """What the verdict did not name stays."""
    assert plan(DOCUMENT, (found(Slice(0, 2, 5)),), ()) == ()


def test_a_hit_in_the_file_name_is_known() -> None:
    """No redaction of the content removes what the name says."""
    assert touches_name(DOCUMENT, (found(Slice(2, 0, 1)),), (0,))
    assert not touches_name(DOCUMENT, (found(Slice(0, 0, 1)),), (0,))


def test_slices_outside_the_document_are_known() -> None:
    """The child is not trusted to speak only of characters that exist."""
    assert within(DOCUMENT, (Slice(0, 0, 10),))
    assert not within(DOCUMENT, (Slice(0, 5, 11),))
    assert not within(DOCUMENT, (Slice(3, 0, 1),))
