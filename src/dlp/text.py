"""One normalized view of a document, with an exact map back to the original characters.

Folding is one character to one (full width, compatibility forms, radicals, traditional Han); removal (zero width,
direction controls, blanks between Han characters) keeps an index. So every hit in the view has exact offsets in the
original, and nothing is ever searched for a second time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from dlp import digits
from dlp.model import Segment, Slice

Ints = NDArray[np.int32]
Units = NDArray[np.uint16]

LONGEST_BLANK = 8
"""Blanks between two Han characters up to this many are removed: `机 密`, `机　　密`; more are a gap in a layout."""

_STAND_IN = "\ue000"  # for characters beyond the BMP, so that one code point stays one unit
_BEYOND = re.compile("[\U00010000-\U0010ffff]")
_ALL_HAN = re.compile("[\u4e00-\u9fff]+")
_SPACE, _TAB, _NEWLINE, _HARD = 0x20, 0x09, 0x0A, 0xE001
_KEPT = {0x3299}  # ㊙ is a mark of its own; NFKC would make it an ordinary 秘
_DASHES = (*range(0x2010, 0x2014), 0x2212, 0xFE58, 0xFE63, 0xFF0D)
_REMOVED = (
    *range(0x09),
    *range(0x0E, 0x20),
    0x7F,
    *range(0x80, 0xA0),
    0xAD,
    *range(0x300, 0x370),
    0x61C,
    *range(0x115F, 0x1161),
    *range(0x17B4, 0x17B6),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0x20D0, 0x2100),
    0x3164,
    *range(0xD800, 0xE000),
    *range(0xFE00, 0xFE10),
    *range(0xFE20, 0xFE30),
    0xFEFF,
    0xFFA0,
    *range(0xFFF0, 0xFFFC),
)


@dataclass(frozen=True, slots=True)
class View:
    """The normalized text of a document and the way back."""

    text: str
    utf8: bytes
    """The same in UTF-8: what the scanner reads."""
    index: Ints
    """View character -> character of the joined original (segments with one line break between)."""
    starts: Ints
    """Where each segment begins in the joined original."""
    breaks: Ints
    """View offsets at which an original line or segment begins, ascending."""
    segments: tuple[Segment, ...]

    def characters(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the view characters at byte offsets of `utf8`, each the beginning of one or the end of the text."""
        if len(self.utf8) == len(self.text):
            return places
        # bytes that continue a character are 0x80 to 0xBF: as signed numbers, less than -64
        firsts = np.flatnonzero(np.frombuffer(self.utf8, np.int8) >= -64)
        return np.searchsorted(firsts, places)


@cache
def _fold_table() -> Units:
    """Return the table of 65,536 units: what each folds to, itself where nothing."""
    table = np.arange(65_536, dtype=np.uint16)
    for code in range(0xA0, 0x10000):
        if 0xAC00 <= code <= 0xF8FF or 0x4E00 <= code <= 0x9FFF or code in _KEPT:
            continue
        folded = unicodedata.normalize("NFKC", chr(code))
        if len(folded) == 1 and ord(folded) < 0x10000:
            table[code] = ord(folded)
    for name in ("radicals.txt", "simplified.txt", "lookalikes.txt"):
        pairs = _pairs(name)
        for place in range(0, len(pairs), 2):
            table[ord(pairs[place])] = ord(pairs[place + 1])
    simple = table.copy()
    table = simple[table]  # a compatibility form of a traditional character folds twice
    for code in (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000, 0x0D, 0x85):
        table[code] = _SPACE
    for code in (0x0B, 0x0C, 0x2028, 0x2029):
        table[code] = _NEWLINE
    for code in _DASHES:
        table[code] = ord("-")
    return table


@cache
def _kept_table() -> NDArray[np.bool_]:
    table = np.ones(65_536, dtype=np.bool_)
    table[[c for c in _REMOVED if c != 0x85]] = False
    return table


@cache
def _han_table() -> NDArray[np.bool_]:
    """Return which folded units are Han characters, or marks that stand among them (★ 〇 ㊙)."""
    table = np.zeros(65_536, dtype=np.bool_)
    table[0x3400:0x4DC0] = True
    table[0x4E00:0xA000] = True
    table[0xF900:0xFB00] = True
    table[[0x3007, 0x2605, 0x2606, 0x3299]] = True
    return table


@cache
def _han_folds() -> dict[int, int]:
    table = _fold_table()
    changed = np.flatnonzero(table[0x4E00:0xA000] != np.arange(0x4E00, 0xA000)) + 0x4E00
    return {int(code): int(table[code]) for code in changed}


@cache
def _pairs(name: str) -> str:
    """Return the characters of one table: what folds and what it folds to, in turn."""
    text = (resources.files("dlp.tables") / name).read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines() if not line.startswith("#"))


@cache
def _unfold_table() -> dict[int, str]:
    pairs = _pairs("simplified.txt")
    return {ord(to): of for of, to in reversed(list(zip(pairs[::2], pairs[1::2], strict=True)))}


def traditional(text: str) -> str:
    """Return `text` in traditional characters, one for one: what `normalize` folds back. For tests of packs."""
    return text.translate(_unfold_table())


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Return `text` as it would stand in a view by itself; for terms and context words of packs."""
    if _ALL_HAN.fullmatch(text):  # nothing to remove, and no array is worth its making for a word
        return text.translate(_han_folds())
    return normalize((Segment(text=text),)).text


def normalize(segments: Sequence[Segment]) -> View:
    """Return the view of `segments`, in their order. Linear in the length of the text."""
    segments = tuple(segments)
    joined = "\n".join(s.text for s in segments)
    lengths = np.fromiter((len(s.text) + 1 for s in segments), dtype=np.int64, count=len(segments))
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int32) if segments else np.zeros(0, np.int32)
    wide = joined.encode("utf-16-le", "surrogatepass")
    if len(wide) != 2 * len(joined):  # there are characters beyond the BMP
        wide = _BEYOND.sub(_stand_in, joined).encode("utf-16-le", "surrogatepass")
    raw = np.frombuffer(wide, dtype=np.uint16)
    units = np.take(_fold_table(), raw)
    newlines = np.flatnonzero(units == _NEWLINE) + 1
    hard = starts[1:][[not s.soft for s in segments[1:]]] - 1 if len(segments) > 1 else np.zeros(0, np.int32)
    units[hard] = _HARD
    kept = np.take(_kept_table(), raw)
    index = np.flatnonzero(kept).astype(np.int32) if not kept.all() else np.arange(len(raw), dtype=np.int32)
    units = units[index] if len(index) < len(raw) else units
    for left_out in (_gaps, digits.unmask):  # Han digits may have had blanks between them
        gaps = left_out(units)
        if len(gaps):
            keep = np.ones(len(units), dtype=np.bool_)
            keep[gaps] = False
            units, index = units[keep], index[keep]
    units[units == _HARD] = _NEWLINE
    text = units.tobytes().decode("utf-16-le")
    lines = np.sort(np.concatenate((starts, newlines)), kind="stable")
    breaks = np.searchsorted(index, lines).astype(np.int32)
    breaks = breaks[np.diff(breaks, prepend=-1) > 0]
    return View(text, text.encode(), index, starts, breaks[breaks < max(1, len(text))], segments)


def slices(view: View, start: int, end: int) -> tuple[Slice, ...]:
    """Return the original characters that view characters `start` to `end` stand for, one slice a segment.

    Removed characters between the first and the last one are covered.
    """
    if not 0 <= start < end <= len(view.index):
        return ()
    first, last = int(view.index[start]), int(view.index[end - 1])
    number = int(np.searchsorted(view.starts, first, side="right")) - 1
    found = []
    while number < len(view.segments) and int(view.starts[number]) <= last:
        begin = int(view.starts[number])
        low, high = max(0, first - begin), min(len(view.segments[number].text), last + 1 - begin)
        if low < high:
            found.append(Slice(number, low, high))
        number += 1
    return tuple(found)


def top_lines(view: View, most: int) -> list[str]:
    """Return the first `most` original lines that hold text, stripped.

    The view has no breaks between Han characters; where lines began is known beside it.
    """
    return _stripped(view, [*view.breaks[: 4 * most + 1].tolist(), len(view.text)], most)


def end_lines(view: View, most: int) -> list[str]:
    """Return the last `most` original lines that hold text, stripped, last first."""
    return _stripped(view, [len(view.text), *view.breaks[-4 * most :][::-1].tolist()], most)


def _stripped(view: View, bounds: list[int], most: int) -> list[str]:
    found = (view.text[min(pair) : max(pair)].strip() for pair in pairwise(bounds))
    return list(islice((text for text in found if text), most))


def line(view: View, offset: int) -> tuple[int, int]:
    """Return where the original line that holds view character `offset` begins and ends, without its break."""
    place = int(np.searchsorted(view.breaks, offset, side="right"))
    begin = int(view.breaks[place - 1]) if place else 0
    end = int(view.breaks[place]) if place < len(view.breaks) else len(view.text)
    while end > begin and view.text[end - 1] == "\n":
        end -= 1
    return begin, end


def _stand_in(found: re.Match[str]) -> str:
    """Fold one character beyond the BMP: styled letters and digits to plain ones, variation selectors to nothing."""
    char = found[0]
    if 0xE0000 <= ord(char) <= 0xE0FFF:
        return "\u200b"
    folded = unicodedata.normalize("NFKC", char)
    return folded if len(folded) == 1 and folded <= "\uffff" else _STAND_IN


def _gaps(units: Units) -> NDArray[np.int64]:
    """Return the places that are left out: short runs of blanks and soft breaks between two Han characters."""
    blanks = np.flatnonzero((units == _SPACE) | (units == _NEWLINE))
    if not len(blanks):
        return blanks
    fresh = np.flatnonzero(np.diff(blanks, prepend=-2) > 1)  # where in `blanks` each run begins
    lengths = np.diff(fresh, append=len(blanks))
    begins = blanks[fresh]
    ends = begins + lengths
    inner = (begins > 0) & (ends < len(units)) & (lengths <= LONGEST_BLANK)
    han = _han_table()
    inner[inner] = han[units[begins[inner] - 1]] & han[units[ends[inner]]]
    return blanks[np.repeat(inner, lengths)]
