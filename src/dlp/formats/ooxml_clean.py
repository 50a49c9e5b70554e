"""What every part of an Office package is cleaned of, and how its elements refer to other parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lxml import etree

from dlp.formats import NotRedactable
from dlp.formats.ooxml_holes import local, unwrap
from dlp.formats.ooxml_pictures import Crop

REFERENCES = (
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
)
"""Namespaces of the attributes that hold the id of a relationship, and of its type: transitional and strict."""
ANCHORS = frozenset({"twoCellAnchor", "oneCellAnchor", "absoluteAnchor", "absSizeAnchor", "relSizeAnchor"})
"""Elements that hold one thing that is drawn, and are nothing without it."""

_REFERRING = etree.XPath("//*[@*[namespace-uri() = $one or namespace-uri() = $other]]", smart_strings=False)
_DOOMED = "doomed"
_WHOLE = 100_000  # thousandths of a percent


def anywhere(names: Iterable[str]) -> list[str]:
    """Return patterns for elements of these names, whatever their namespace."""
    return [f"{{*}}{name}" for name in names]


def references(root: Any) -> list[tuple[Any, str]]:
    """Return the elements with attributes that hold the id of a relationship, and those attributes."""
    one, other = REFERENCES
    nodes = _REFERRING(root, one=one, other=other)
    return [(node, key) for node in nodes for key in node.attrib if key[1:].rpartition("}")[0] in REFERENCES]


def leave_out(root: Any, dropped: Iterable[str], unwrapped: Iterable[str]) -> None:
    """Take elements out of a tree with all that is in them, others without that, and every extension.

    lxml does that many times faster than one element after the other is taken out.
    """
    etree.strip_elements(root, *anywhere(dropped), with_tail=False)
    for node in list(root.iter("{*}extLst")):
        if not _links_a_drawing(node):
            node.tag = _DOOMED
    etree.strip_elements(root, _DOOMED, with_tail=False)
    etree.strip_tags(root, *anywhere(unwrapped))


def _links_a_drawing(node: Any) -> bool:
    """Tell whether an extension list says which drawing shows a diagram; it is left with nothing else."""
    kept = [ext for ext in node if len(ext) == 1 and local(ext[0].tag) == "dataModelExt"]
    for ext in node if kept else ():
        if ext not in kept:
            ext.tag = _DOOMED
    return bool(kept)


def choose(root: Any) -> None:
    """Leave one of several ways of saying the same: what new programs show; without that, the last resort."""
    alone = []
    for node in list(root.iter("{*}AlternateContent")):
        full = [child for child in node if len(child)]
        new = [child for child in full if local(child.tag) == "Choice" and child.get("Requires") != "v"]
        chosen = (new or [child for child in full if local(child.tag) == "Fallback"] or full)[:1]
        for child in list(node):
            if child not in chosen:
                child.tag = _DOOMED
        if not chosen:
            node.tag = _DOOMED
        elif not new:
            alone.append((node, chosen[0]))
    etree.strip_elements(root, _DOOMED, with_tail=False)
    for node, child in alone:
        unwrap(child)
        unwrap(node)


def whole(node: Any) -> Any:
    """Return what has to go with an element that became empty: an anchor without its object is none."""
    above = node.getparent()
    return above if local(above.tag) in ANCHORS else node


def crop_of(node: Any) -> Crop | None:
    """Return what a picture is cropped by, which is taken off the element; None where nothing is cut off."""
    sides = []
    for side in ("l", "t", "r", "b"):
        text = node.get(side, "0")
        try:
            value = round(1000 * float(text[:-1])) if text.endswith("%") else int(text)
        except (ValueError, OverflowError):
            raise NotRedactable("how a picture is cropped cannot be read") from None
        sides.append(max(0, min(value, _WHOLE)))
        if value > 0:
            node.attrib.pop(side, None)
    return Crop(*sides) if any(sides) else None
