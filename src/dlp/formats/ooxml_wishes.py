"""What cuts of an Office file ask for, told by texts: the parts with cuts are read once more, by the reader itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dlp.formats import NotRedactable
from dlp.formats.cutting import Hole
from dlp.formats.ooxml import Members
from dlp.formats.ooxml_holes import Wanted
from dlp.formats.room import BOXED, BOXES, Room
from dlp.model import Cut, Document
from dlp.values import squeezed, tells

Read = Callable[[Members, Room], Document]

_XML = (".xml", ".rels", ".vml")
_DROPPED = "#="
"""Ends of the anchors of what never leaves: XML comments, and data that is packed into an element."""
_BETWEEN = frozenset({"names", "loose"})
"""Anchors of what lies in no part: names are written anew, bytes between the members are left out."""
_MOST_ALIKE = 64  # texts whose place is written in the same way: all of them are cut
_LEAST = 6  # letters and digits of a value that is looked for beyond the places in which it was found


class _Some:
    """A package in which only some members can be seen."""

    def __init__(self, package: Members, names: frozenset[str]) -> None:
        self.loose: list[bytes] = []
        self.members: dict[str, Any] = {name: member for name, member in package.members.items() if name in names}
        self._package = package

    def read(self, name: str) -> bytes:
        return self._package.read(name)


def wanted(package: Members, cuts: Sequence[Cut], room: Room, read: Read, always: frozenset[str]) -> Wanted:
    """Return what the cuts of the XML parts take out. `NotRedactable` where one of them is not where it was read.

    `always` names the parts without which the others cannot be read.
    """
    own = [cut for cut in cuts if _in_xml(cut, package)]
    names = frozenset(cut.part[0] for cut in own)
    if not own:
        return Wanted({}, {})
    document = read(_Some(package, names | always), room)
    return _Wishes(document, len(room.part)).run(own)


def _in_xml(cut: Cut, package: Members) -> bool:
    if not cut.part:
        if cut.anchor in _BETWEEN:
            return False
        raise NotRedactable("what is to be removed is not where it was read")
    if cut.part[0] not in package.members:
        raise NotRedactable("what is to be removed is not where it was read")
    return len(cut.part) == 1 and cut.part[0].lower().endswith(_XML)


class _Wishes:
    def __init__(self, document: Document, above: int) -> None:
        self._document = document
        self._above = above
        self._found: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for segment in document.segments:
            self._found.setdefault((segment.part[above:], segment.anchor), []).append(segment.text)
        self._texts: dict[str, dict[str, list[Hole]]] = {}
        self._boxes: dict[tuple[str, ...], list[list[tuple[int, int]]]] = {}

    def run(self, cuts: Sequence[Cut]) -> Wanted:
        values: dict[str, str] = {}
        raw = label = ""
        # A hit over several segments is cut in pieces, of which the first has the label.
        for cut in cuts:
            text = self._place(cut)
            if cut.label:
                values[raw] = label
                raw, label = text, cut.label
            else:
                raw += text
        values[raw] = label
        whole = all(cut.label for cut in cuts)
        return Wanted(self._texts, {value: said for value, said in values.items() if _looked_for(value, whole=whole)})

    def _place(self, cut: Cut) -> str:
        """Note a cut and return the text that it removes, "" where its place is one of several."""
        texts = self._found.get((cut.part, cut.anchor), [])
        texts = [text for text in texts if 0 <= cut.start <= cut.end <= len(text)]
        if not texts:
            raise NotRedactable("what is to be removed is not where it was read")
        if len(texts) > _MOST_ALIKE:
            raise NotRedactable("too many texts are told by the same place")
        if cut.anchor.startswith(BOXES):
            self._place_boxes(cut)
        elif not cut.anchor.endswith(tuple(_DROPPED)):
            if cut.anchor.endswith("<"):
                raise NotRedactable("what is to be removed is the name of an element")
            for text in texts:
                self._note(cut.part[0], text, Hole(cut.start, cut.end, cut.label))
        return texts[0][cut.start : cut.end] if len(texts) == 1 else ""

    def _note(self, part: str, text: str, hole: Hole) -> None:
        self._texts.setdefault(part, {}).setdefault(text, []).append(hole)

    def _place_boxes(self, cut: Cut) -> None:
        """Note a cut in a text that was written one character a cell: each lies in a segment of its own."""
        if cut.part not in self._boxes:
            self._boxes[cut.part] = list(self._runs(cut.part))
        runs, number = self._boxes[cut.part], int(cut.anchor.removeprefix(BOXES))
        if number >= len(runs) or cut.end > len(runs[number]):
            raise NotRedactable("what is to be removed is not where it was read")
        label = cut.label
        for segment, at in runs[number][cut.start : cut.end]:
            self._note(cut.part[0], self._document.segments[segment].text, Hole(at, at + 1, label))
            label = ""

    def _runs(self, part: tuple[str, ...]) -> Iterator[list[tuple[int, int]]]:
        """Yield the segments and places of the letters of each such text of a part, in the order of the reader."""
        for table in self._document.tables:
            for row in table.rows if table.part[self._above :] == part else ():
                if len(row) < BOXED:
                    continue
                run: list[tuple[int, int]] = []
                for cell in (*row, None):
                    text = self._document.segments[cell.segment].text[cell.start : cell.end] if cell is not None else ""
                    if cell is not None and len(text.strip()) == 1:
                        run.append((cell.segment, cell.start + len(text) - len(text.lstrip())))
                        continue
                    if len(run) >= BOXED:
                        yield run
                    run = []


def _looked_for(value: str, *, whole: bool) -> bool:
    """Tell whether a value is looked for wherever it may stand: numbers and the like, and longer texts.

    Names and words are told by the reader, which finds each place of theirs; short ones stand everywhere by chance.
    """
    flat = squeezed(value)
    return tells(flat, joined=True) or (whole and flat.isascii() and len(flat) >= _LEAST)
