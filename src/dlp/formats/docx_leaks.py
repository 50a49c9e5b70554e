"""Words of a Word document that somebody only painted over: in the colour of their marker, or white on the paper.

Only what the run itself says is judged. What a style, a table or a shape may paint is left alone: white words on a
dark cell are a heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dlp import leaks
from dlp.formats.ooxml import parse
from dlp.formats.room import Room

LEAST_LETTERS = 2
DARK = 60  # of 255
LIGHT = 0xF0  # of 255, every channel
MOST = 100  # places of one kind in one part
_PARTS = re.compile(r"word/(?:document|header\d*|footer\d*|footnotes|endnotes|comments)\.xml")
_SIGNS = re.compile(rb':highlight [^>]*"black"|:color [^>]*="[Ff]{2}|:shd [^>]*="[0-3].[0-3].[0-3]."')
_AROUND = frozenset(("tc", "txbxContent"))


def find(name: str, data: bytes, room: Room) -> Iterator[str]:
    """Give the kind of each leak in part `name`; the part has been read before, so it is well-formed."""
    if _PARTS.fullmatch(name) and _SIGNS.search(data):
        runs = _Runs()
        parse(data, runs, room)
        yield from runs.found[:MOST]


class _Runs:
    """Target of a parser: what each run says of its own colours."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._stack: list[str] = []
        self._around = 0
        self._ground = False
        self._paragraph: dict[str, str] = {}
        self._run: dict[str, str] = {}
        self._hidden: dict[str, list[str]] = {}

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        values = {key.rpartition("}")[2]: value for key, value in attrib.items()}
        if name in _AROUND:
            self._around += 1
        elif name == "background":
            self._ground = True
        elif name == "p":
            self._paragraph, self._hidden = {}, {}
        elif name == "r":
            self._run = {}
        elif self._stack[-1:] == ["rPr"] and self._stack[-2:-1] == ["r"]:
            self._run[name] = values.get("fill" if name == "shd" else "val", "")
        elif self._stack[-1:] == ["pPr"]:
            self._paragraph[name] = values.get("fill" if name == "shd" else "val", "")
        self._stack.append(name)

    def end(self, _tag: str) -> None:
        name = self._stack.pop()
        if name in _AROUND:
            self._around -= 1
        elif name == "p":
            for kind, pieces in self._hidden.items():
                text = "".join(pieces)
                if sum(map(str.isalnum, text)) >= LEAST_LETTERS and not leaks.says_nothing(text):
                    self.found.append(kind)
            self._hidden = {}

    def data(self, text: str) -> None:
        if self._stack[-2:] == ["r", "t"]:
            kind = self._kind()
            if kind:
                self._hidden.setdefault(kind, []).append(text)

    def _kind(self) -> str:
        run = self._run
        if "rStyle" in run:
            return ""
        own, shade = run.get("color", "auto"), run.get("shd", "auto")
        if run.get("highlight") == "black":
            return "covered" if own == "auto" or _light(own) < DARK else ""
        if shade != "auto" and run.get("highlight", "none") == "none":
            return "covered" if own != "auto" and max(_light(own), _light(shade)) < DARK else ""
        plain = "highlight" not in run and not (self._paragraph.keys() & {"shd", "pStyle"})
        alone = not self._around and not self._ground
        return "unseen" if plain and alone and own != "auto" and _light(own) >= LIGHT else ""

    def comment(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


def _light(colour: str) -> float:
    """Return how light `RRGGBB` is, 0..255; that of a middle grey where it is none."""
    try:
        red, green, blue = bytes.fromhex(colour)
    except ValueError:
        return 128.0
    return 0.299 * red + 0.587 * green + 0.114 * blue
