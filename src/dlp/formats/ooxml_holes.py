"""Holes in the parts of an Office package: every character of a block is found again in the node that it came from.

A part is walked as a tree with the collector that read it as a stream, so what is a block here is a segment there. What
goes is told by the text of its segment, not by its number: where no block of the part reads that way any more, nothing
is written. Every other place of a value that is removed goes with it, however it is set apart there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lxml import etree

from dlp.formats import NotRedactable
from dlp.formats.cutting import Hole, filled, merged
from dlp.formats.ooxml import check_encoding
from dlp.formats.ooxml_text import SHOWN, Block, Collector, Piece
from dlp.model import Zone
from dlp.values import Values, squeezed, tells

_TEXTUAL = ("{*}p", "{*}si", "{*}is", "{*}text")  # elements that are blocks even without text: signs stand for some
SPACE = "{http://www.w3.org/XML/1998/namespace}space"


class Text(NamedTuple):
    """Where a piece of text is kept: the `text` or the `tail` of an element, or the element itself for a sign."""

    node: Any
    slot: str


def tree(data: bytes) -> Any:
    """Return the root of a part, without its XML comments and instructions. `NotRedactable` where it has no tree."""
    check_encoding(data)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
        strip_cdata=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError):
        raise NotRedactable("an XML part is nested too deep to be written anew") from None
    if root.getroottree().docinfo.doctype:
        raise NotRedactable("an XML part declares a document type")
    return root


def local(tag: Any) -> str:
    """Return the name of an element or attribute without its namespace."""
    return str(tag).rpartition("}")[2]


def beside(node: Any, name: str) -> Any:
    """Return the full name of an element in the namespace of another."""
    return etree.QName(etree.QName(node).namespace, name)


# --- reading a tree


class _Blocks:
    """Keeps every block. A `Sink`."""

    def __init__(self) -> None:
        self.found: list[Block] = []

    def block(self, block: Block) -> int | None:
        self.found.append(block)
        # Empty blocks became no segment; a cell asks only whether there was one.
        return 0 if block.text and not block.text.isspace() else None

    def table(self, rows: list[list[tuple[int | None, int]]]) -> None:
        del rows

    def doctype(self) -> None:
        raise NotRedactable("an XML part declares a document type")


def blocks_of(root: Any, *, empty: bool = False, but: str = "", collector: type[Collector] = Collector) -> list[Block]:
    """Return the blocks of a tree whose text lies in its nodes; those of attributes are not among them.

    What lies in elements of the name `but` is left out: it is read elsewhere.
    """
    if next(root.iter(*_TEXTUAL), None) is None and not "".join(root.itertext()).strip():
        return []  # style sheets and themes are the largest parts of most files
    sink = _Blocks()
    _walk(root, collector(sink), but)
    return [block for block in sink.found if (isinstance(block.pieces[0].place, Text) if block.pieces else empty)]


def block_of(node: Any) -> Block:
    """Return the text of an element as a block."""
    return Block("", local(node.tag), Zone.HIDDEN, [Piece(node.text, SHOWN, Text(node, "text"))])


def _walk(node: Any, collector: Collector, but: str) -> None:
    """Feed a tree to a collector as a parser would; without recursion, because a tree can be deep."""
    steps: list[tuple[str, Any]] = [("start", node)]
    while steps:
        step, node = steps.pop()
        if step == "end":
            collector.end(node.tag)
        elif step == "tail":
            collector.place = Text(node, "tail")
            collector.data(node.tail)
        elif not isinstance(node.tag, str):
            raise NotRedactable("an XML part uses an entity of its own")
        else:
            collector.place = Text(node, "self")
            collector.start(node.tag, dict(node.attrib))
            if but and local(node.tag) == but:
                collector.end(node.tag)
                continue
            if node.text:
                collector.place = Text(node, "text")
                collector.data(node.text)
            steps.append(("end", node))
            for child in reversed(node):
                if child.tail:
                    steps.append(("tail", child))
                steps.append(("start", child))


# --- what goes of a text


class Wanted:
    """Tells what goes of a text: what cuts name in segments that read so, and every value that is removed anywhere."""

    def __init__(self, texts: Mapping[str, Mapping[str, Sequence[Hole]]], values: Mapping[str, str]) -> None:
        """Take holes by part and text of the segment, and labels by value."""
        self._texts = texts
        self._labels = {squeezed(value): label for value, label in values.items()}
        self._values = Values(tuple(self._labels))
        self._known = list(self._labels)
        self._long = Values([value for value in self._known if tells(value, joined=True)])
        self._least = min(map(len, self._known), default=0)

    def least(self, part: str) -> int:
        """Return how many characters a text of a part must have for something of it to go."""
        return min((*map(len, self._texts.get(part, ())), self._least or 1 << 30))

    def texts(self, part: str) -> set[str]:
        """Return the texts of segments of a part that must be found."""
        return set(self._texts.get(part, ()))

    def holes(self, part: str, text: str, *, twins: bool = True) -> list[Hole]:
        """Return the holes of a text of a part, in order; without `twins` only those that cuts name."""
        named = self._texts.get(part, {}).get(text, ())
        return merged((*named, *self._twins(text)) if twins else named)

    def stay(self, texts: Iterable[str]) -> bool:
        """Tell whether a value that is removed stands in one of these texts, or a long one in all of them together."""
        if not self._least:
            return False
        flat = "|".join(map(squeezed, texts))
        return self._values.any_in(flat) or self._long.any_in(flat.replace("|", ""))

    def numbers(self) -> set[float]:
        """Return the values that are numbers, as a sheet keeps them: with fifteen digits of theirs."""
        return {float(value) for value in self._known if value.isascii() and value.isdigit()}

    def _twins(self, text: str) -> Iterable[Hole]:
        if not self._least or len(text) < self._least or not self._values.any_in(squeezed(text)):
            return
        if text.isascii():
            letters = [(sign, at) for at, sign in enumerate(text) if sign.isalnum()]
        else:
            folded = ((unicodedata.normalize("NFKC", sign), at) for at, sign in enumerate(text))
            letters = [(one, at) for signs, at in folded for one in signs if one.isalnum()]
        for place in self._values.find("".join([sign for sign, _ in letters])):
            start, end = letters[place.start][1], letters[place.end - 1][1] + 1
            yield Hole(start, end, self._labels[self._known[place.value]])


# --- cutting


class Holes:
    """Collects what is to be cut out of each node and does it at the end, from the back, so that places stay true."""

    def __init__(self) -> None:
        self._holes: dict[tuple[int, str], list[Hole]] = {}
        self._nodes: dict[int, Any] = {}

    def add(self, block: Block, holes: Iterable[Hole]) -> None:
        """Note the part of each hole that lies in each piece of a block; the label stands in the first one."""
        for hole in holes:
            label = hole.label
            at = 0
            for piece in block.pieces:
                start, end = max(hole.start - at, 0), min(hole.end - at, len(piece.text))
                if start < end:
                    place: Text = piece.place
                    self._nodes[id(place.node)] = place.node
                    self._holes.setdefault((id(place.node), place.slot), []).append(Hole(start, end, label))
                    label = ""
                at += len(piece.text)

    def apply(self) -> None:
        """Cut."""
        for (number, slot), holes in self._holes.items():
            node = self._nodes[number]
            if slot == "self":
                if node.getparent() is None:
                    raise NotRedactable("a sign to be removed stands alone")
                remove(node)
                continue
            setattr(node, slot, filled(getattr(node, slot), merged(holes)))
            if local(node.tag) in ("t", "instrText") and slot == "text" and node.tag.find("wordprocessingml") > 0:
                node.set(SPACE, "preserve")
        self._holes.clear()
        self._nodes.clear()


def remove(node: Any) -> None:
    """Take an element out, if it is still in; text that stands behind it stays."""
    parent = node.getparent()
    if parent is not None:
        _keep_tail(parent, node.getprevious(), node.tail)
        parent.remove(node)


def unwrap(node: Any) -> None:
    """Put what an element holds in its place."""
    parent = node.getparent()
    if parent is None:
        return
    _keep_tail(parent, node.getprevious(), node.text)
    children = list(node)
    if children:
        children[-1].tail = (children[-1].tail or "") + (node.tail or "") or None
    else:
        _keep_tail(parent, node.getprevious(), node.tail)
    at = parent.index(node)
    parent[at : at + 1] = children


def _keep_tail(parent: Any, before: Any, tail: str | None) -> None:
    if not tail:
        return
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
