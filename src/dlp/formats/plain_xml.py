"""XML as office programs write it by the megabyte, told by its bytes: where its tags are, and the text behind them.

A sheet of fifty thousand cells is half a million events for a parser, each a call. Here they are a few sweeps over
arrays. Only what is written plainly is taken: `None` means that a parser has to read it, never that something is left
out. Whoever asks checks every tag; text is decoded as a parser would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_CHUNK = 1 << 18  # bytes read at once: what is looked at stays in the cache of the processor
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONGEST_REFERENCE = 9  # characters after the `&`
_LARGEST = 1 << 22  # bytes: a row of all columns is smaller; what is found takes ten times as much
_BETWEEN = "\1"  # stands between texts: XML has no such character
_NAMED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)
_FIRST_PRINTED = 0x20


def _is_allowed(raw: bytes, signs: Codes) -> bool:
    """Tell whether there is no character in some bytes that XML forbids."""
    if int(signs.min(initial=_FIRST_PRINTED)) < _FIRST_PRINTED:
        low = signs[signs < _FIRST_PRINTED]
        if not ((low == ord("\t")) | (low == ord("\n")) | (low == ord("\r"))).all():
            return False
    return raw.isascii() or not (b"\xef\xbf\xbe" in raw or b"\xef\xbf\xbf" in raw)


def chunks(raw: bytes, end: bytes) -> Iterator[bytes]:
    """Divide bytes behind some of the tags `end`."""
    at = 0
    while at < len(raw):
        cut = raw.rfind(end, at, at + _CHUNK)
        if cut < 0:
            cut = raw.find(end, at + _CHUNK - len(end))
        stop = len(raw) if cut < 0 else cut + len(end)
        yield raw[at:stop]
        at = stop


def offsets(sizes: Ints) -> Ints:
    """Return where each of some stretches begins that lie one behind the other."""
    return np.cumsum(sizes) - sizes


class Tags(NamedTuple):
    """The tags of some bytes, and how many bytes of text stand behind each."""

    raw: Codes
    begin: Ints
    end: Ints
    """Where the last byte of the tag is."""
    head: npt.NDArray[np.uint64]
    """The first eight bytes of each tag, or all of it."""
    text: Ints

    def kinds(self, whole: Mapping[bytes, int], begun: Mapping[bytes, int]) -> Codes:
        """Return the number of each tag: those of `whole` are written just so, those of `begun` begin so; else 0."""
        found = np.zeros(len(self.begin), dtype=np.uint8)
        for tag, number in begun.items():
            found[(self.head & _MASKS[len(tag)]) == _word(tag)] = number
        for tag, number in whole.items():
            found[self.head == _word(tag)] = number
        return found

    def closed(self) -> Flags:
        """Tell which tags end in a slash."""
        flags: Flags = self.raw[self.end - 1] == ord("/")
        return flags

    def forms(self, which: Ints) -> list[bytes] | None:
        """Return some tags without their `>`, with 0 for each number; `None` when one of them could tell something."""
        if not which.size:
            return []
        raw = self._gather(self.begin[which], self.end[which] + 1 - self.begin[which])
        digit = raw - np.uint8(ord("0")) < 10
        two = digit[1:] & digit[:-1]
        four = two[2:] & two[:-2]
        eight = four[4:] & four[:-4]
        if (eight[3:] & eight[:-3]).any():  # eleven digits in a row, as in a telephone number
            return None
        first = np.concatenate(([True], ~two))
        return raw[first].tobytes().translate(_ZEROS).split(b">")[:-1]

    def texts(self, which: Ints) -> list[str] | None:
        """Return the text behind some tags; `None` when it is not text, or uses names of its own."""
        if not which.size:
            return []
        sizes = self.text[which] + 1
        raw = self._gather(self.end[which] + 1, sizes)
        raw[np.cumsum(sizes) - 1] = ord(_BETWEEN)
        try:
            text = raw.tobytes().decode("utf-8")
        except UnicodeDecodeError:
            return None
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if "&" in text:
            unescaped = unescape(text)
            if unescaped is None:
                return None
            text = unescaped
        return text.split(_BETWEEN)[:-1]

    def has_text(self, which: Flags) -> bool:
        """Tell whether anything but blanks stands behind some tags."""
        at = np.flatnonzero(which & (self.text > 0))
        return bool(at.size) and bool(self._gather(self.end[at] + 1, self.text[at]).tobytes().strip(b" \t\r\n"))

    def _gather(self, begin: Ints, size: Ints) -> Codes:
        return self.raw[np.repeat(begin - offsets(size), size) + np.arange(int(size.sum()))]


def tags(raw: bytes) -> Tags | None:
    """Find the tags of some bytes; `None` when there are none or too many, or `<` and `>` do not alternate."""
    if len(raw) > _LARGEST:
        return None
    padded = raw + bytes(8)
    signs = np.frombuffer(padded, dtype=np.uint8)
    if not _is_allowed(raw, signs[: len(raw)]):
        return None
    both = np.flatnonzero((signs & ~np.uint8(ord("<") ^ ord(">"))) == ord("<"))
    begin, end = both[::2], both[1::2]
    if not both.size or both.size % 2 or (signs[begin] != ord("<")).any() or (signs[end] != ord(">")).any():
        return None
    if raw[: int(begin[0])].strip(b" \t\r\n"):
        return None
    size = end - begin + 1
    words = np.ndarray(len(raw), dtype="<u8", buffer=padded, strides=(1,))
    head = words[begin].astype(np.uint64) & _MASKS[np.minimum(size, 8)]
    return Tags(signs, begin, end, head, np.append(begin[1:], len(raw)) - end - 1)


def _word(tag: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(tag, "little"))


def unescape(text: str) -> str | None:
    """Return a text with its references resolved; `None` where one is none that XML knows without a document type."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)
    begin, stop = np.flatnonzero(codes == ord("&")), np.flatnonzero(codes == ord(";"))
    number = np.searchsorted(stop, begin)
    if begin.size and int(number[-1]) >= stop.size:
        return None
    end = stop[number]
    if int((end - begin).max(initial=0)) > _LONGEST_REFERENCE:
        return None
    numeric = codes[begin + 1] == ord("#")
    values = _numbers(codes, begin[numeric] + 2, end[numeric])
    named = [_NAMED.get(text[a : b + 1]) for a, b in zip(begin[~numeric].tolist(), end[~numeric].tolist(), strict=True)]
    if values is None or None in named:
        return None
    codes[begin[numeric]] = values
    codes[begin[~numeric]] = [ord(one) for one in named if one]
    size = end - begin
    kept = np.ones(len(codes), dtype=np.bool_)
    kept[np.repeat(begin + 1 - offsets(size), size) + np.arange(int(size.sum()))] = False
    return codes[kept].astype("<u4").tobytes().decode("utf-32-le")


def _numbers(codes: Ints, begin: Ints, end: Ints) -> Ints | None:
    """Return the numbers that stand between some places, each the code of a character that XML allows."""
    size = end - begin
    if not size.size:
        return size
    if int(size.min()) < 1:
        return None
    values = np.zeros(len(size), dtype=np.int64)
    for place in range(int(size.max())):
        inside = place < size
        digit = codes[np.minimum(begin + place, end)] - ord("0")
        if (inside & ((digit < 0) | (digit > 9))).any():
            return None
        values = np.where(inside, 10 * values + digit, values)
    blank = (values == 9) | (values == 10) | (values == 13)
    allowed = (values >= _FIRST_PRINTED) & ((values < 0xD800) | (values >= 0xE000)) & (values <= 0x10FFFF)
    return values if (blank | allowed & (values != 0xFFFE) & (values != 0xFFFF)).all() else None
