"""The characters of an open PDF page with their boxes and styles, as pdfium tells them.

A page is read in a few sweeps: all codes at once, then one call a character for its object, its box and whether it is
mapped, made by `map` over bindings without declared types, which is three times as fast as a loop over typed ones.
What a whole text object shares (font, size, colour, direction) is asked once.
"""

from __future__ import annotations

import ctypes
import math
from collections import deque
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import pypdfium2.raw as pdfium

from dlp.formats.pdf_frame import MAX_COORDINATE, Frame
from dlp.formats.pdf_glyphs import Flags, Floats, Glyphs, Ints, Style, are_wide, trust

TINY = 1.5  # points: text smaller than this is not meant for people
STROKE = 1  # text render mode: outline only
INVISIBLE = (3, 7)  # text render modes that paint nothing
HIGHER = 0.12  # em: so much further up does a Chinese character reach than the Latin font that pdfium brings
HYPHEN, BLANK, UNKNOWN = 0x2D, 0x20, 0xFFFD
_LONG = 6  # characters between blanks: where they are fewer, as in English, asking for each is as fast
_AT_ONCE = 4_096  # characters; pages rarely have more
_END_HYPHEN = 2  # what pdfium writes for a hyphen at the end of a line


def _call(name: str, result: Any) -> Any:
    """Return a C function of pdfium; addresses are handed to it as `c_void_p` or `byref`, numbers as they are."""
    address = ctypes.cast(getattr(pdfium, name), ctypes.c_void_p).value
    return ctypes.PYFUNCTYPE(result)(address or 0)


_int, _size_t = ctypes.c_int, ctypes.c_size_t
_count = _call("FPDFText_CountChars", _int)
_text = _call("FPDFText_GetText", _int)
_unicode = _call("FPDFText_GetUnicode", ctypes.c_uint)
_object = _call("FPDFText_GetTextObject", _size_t)
_loose = _call("FPDFText_GetLooseCharBox", _int)
_tight = _call("FPDFText_GetCharBox", _int)
_unmapped = _call("FPDFText_HasUnicodeMapError", _int)
_hyphen = _call("FPDFText_IsHyphen", _int)
_matrix = _call("FPDFText_GetMatrix", _int)
_size = _call("FPDFText_GetFontSize", ctypes.c_double)
_fill = _call("FPDFText_GetFillColor", _int)
_stroke = _call("FPDFText_GetStrokeColor", _int)
_mode = _call("FPDFTextObj_GetTextRenderMode", _int)
_font = _call("FPDFTextObj_GetFont", _size_t)
_embedded = _call("FPDFFont_GetIsEmbedded", _int)
_face = _call("FPDFFont_GetBaseFontName", _size_t)


class Characters(NamedTuple):
    """What was read of a page; `odd` and `letters` count characters."""

    glyphs: Glyphs
    letters: int
    odd: int
    embedded: frozenset[str]
    """Faces whose letters come with the file."""
    borrowed: bool
    """Some letters do not come with the file."""


def characters(address: int, frame: Frame, thin: dict[int, int], *, dressed: bool) -> Characters:
    """Read every drawn character of a text page; those that pdfium made up (blanks, line ends) are left out.

    `dressed` tells that its document has all its fonts: pdfium then knows how far the ink of each character reaches.
    """
    page = ctypes.c_void_p(address)
    count = max(0, _count(page))
    codes = _codes(page, count)
    owners = _owners(page, codes)
    at = np.flatnonzero(owners)
    codes = codes[at]
    boxes = _ROOM.boxes(page, at.tolist())
    second = _join_pairs(codes, boxes, at)
    if second.size:
        at, codes, boxes = np.delete(at, second), np.delete(codes, second), np.delete(boxes, second, axis=0)
    owners = owners[at]
    codes = _signs(page, codes, at)
    text = list(codes.astype("<u4").tobytes().decode("utf-32-le"))
    _mend(page, at, boxes)
    styles = _Styles(page, frame, thin)
    glyphs = Glyphs(text, frame.boxes(boxes), styles.of(owners, at), styles.kinds)
    glyphs.objects = owners.tolist()
    if styles.foreign and not dressed:
        _raise(glyphs, are_wide(codes) & np.isin(glyphs.styles, list(styles.foreign)))
    _hide_outside(glyphs, frame)
    lost = np.fromiter(map(_unmapped, repeat(page), at.tolist()), dtype=np.int64, count=at.size) == 1
    return Characters(glyphs, *trust(text, lost), frozenset(styles.embedded), bool(styles.foreign))


def _codes(page: Any, count: int) -> Ints:
    """Return the code of every character, as `FPDFText_GetUnicode` does.

    The whole text in one piece has them too, unless something is left out of it: then it is shorter, or, where
    another character takes two units, not plain.
    """
    room = (ctypes.c_ushort * (count + 1))()
    if count and _text(page, 0, count, room) == count + 1:
        codes: Ints = np.frombuffer(memoryview(room), dtype=np.uint16)[:count].astype(np.int64)
        plain = (codes >= BLANK) & ((codes < 0xD800) | (codes >= 0xE000)) & (codes < 0xFFFE)
        if (plain | (codes == 10) | (codes == 13)).all():
            return codes
    return np.fromiter(map(_unicode, repeat(page), range(count)), dtype=np.int64, count=count)


def _owners(page: Any, codes: Ints) -> Ints:
    """Return the address of the text object of each character; 0 for those that pdfium made up.

    The characters of one object stand together, unless some of the text runs from right to left, and what is made up
    between them is blank. So where both ends of a stretch without blanks belong to one object, all of it does.
    """
    inked = codes > BLANK
    edges = np.flatnonzero(np.diff(inked, prepend=False, append=False))
    begins, lasts = edges[::2], edges[1::2] - 1
    turned = (codes >= 0x590) & (codes < 0x900) | (codes >= 0x200B) & (codes < 0x2070)
    turned |= (codes >= 0xD800) & (codes < 0xF900) | (codes >= 0xFB00) & (codes < 0xFF00) | (codes >= 0x10000)
    owners = np.zeros(len(codes), dtype=np.int64)
    known = np.zeros(len(codes), dtype=np.bool_)
    if not turned.any() and len(begins) * _LONG < len(codes):
        first, last = _asked(page, begins), _asked(page, lasts)
        sizes = np.where((first == last) & (first > 0), lasts - begins + 1, 0)
        known[np.repeat(begins - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))] = True
        owners[known] = np.repeat(first, sizes)
    owners[~known] = _asked(page, np.flatnonzero(~known))
    return owners


def _asked(page: Any, at: Ints) -> Ints:
    return np.fromiter(map(_object, repeat(page), at.tolist()), dtype=np.int64, count=at.size)


class _Room:
    """Room for the boxes of some characters; the addresses of its places are made once and used again."""

    def __init__(self) -> None:
        self._floats = (ctypes.c_float * (4 * _AT_ONCE))()
        self._places = [ctypes.byref(self._floats, 16 * place) for place in range(_AT_ONCE)]

    def boxes(self, page: Any, at: list[int]) -> Floats:
        """Return left, bottom, right, top of the characters at some places."""
        boxes = np.empty((len(at), 4), dtype=np.float64)
        raw = np.frombuffer(memoryview(self._floats), dtype=np.float32).reshape(-1, 4)
        for begin in range(0, len(at), _AT_ONCE):
            some = at[begin : begin + _AT_ONCE]
            raw[: len(some)] = 0
            deque(map(_loose, repeat(page), some, self._places), maxlen=0)
            boxes[begin : begin + len(some)] = raw[: len(some), [0, 3, 2, 1]]  # FS_RECTF: left, top, right, bottom
        return boxes


_ROOM = _Room()


def _join_pairs(codes: Ints, boxes: Floats, at: Ints) -> Ints:
    """Make one character of each pair of UTF-16 units; return the places of the second ones."""
    high, low = (codes >= 0xD800) & (codes < 0xDC00), (codes >= 0xDC00) & (codes < 0xE000)
    second = np.flatnonzero(high[:-1] & low[1:] & (np.diff(at) == 1)) + 1
    first = second - 1
    codes[first] = 0x10000 + ((codes[first] - 0xD800) << 10) + codes[second] - 0xDC00
    boxes[first, :2] = np.minimum(boxes[first, :2], boxes[second, :2])
    boxes[first, 2:] = np.maximum(boxes[first, 2:], boxes[second, 2:])
    return second


def _signs(page: Any, codes: Ints, at: Ints) -> Ints:
    """Return the characters for what pdfium says; what is no character at all becomes U+FFFD."""
    signs = np.where((codes == 9) | (codes == 10) | (codes == 13), BLANK, codes)
    for i in np.flatnonzero(signs == _END_HYPHEN).tolist():
        if _hyphen(page, int(at[i])):
            signs[i] = HYPHEN
    broken = (signs < BLANK) | ((signs >= 0xD800) & (signs < 0xE000)) | (signs > 0x10FFFF)
    signs[broken | (signs == 0xFFFE) | (signs == 0xFFFF)] = UNKNOWN
    return signs


def _mend(page: Any, places: Ints, raw: Floats) -> None:
    """Where the font has no height or the character no width, take the box of the ink."""
    flat = (raw[:, 2] - raw[:, 0] < 0.01) | (raw[:, 3] - raw[:, 1] < 0.01)
    sides = (ctypes.c_double * 4)()  # left, right, bottom, top
    slots = [ctypes.byref(sides, offset) for offset in range(0, 32, 8)]
    for i in np.flatnonzero(flat).tolist():
        if _tight(page, int(places[i]), *slots):
            left, right, bottom, top = sides
            raw[i] = (min(raw[i, 0], left), min(raw[i, 1], bottom), max(raw[i, 2], right), max(raw[i, 3], top))


def _raise(glyphs: Glyphs, which: Flags) -> None:
    """Give characters of a Chinese font that is not here the height of one: what stands in for it is a Latin font."""
    angles = np.array([kind.angle for kind in glyphs.kinds])[glyphs.styles]
    more = HIGHER * np.array([kind.size for kind in glyphs.kinds])[glyphs.styles]
    for side, sign, straight in ((1, -1, 0), (2, 1, 90), (3, 1, 180), (0, -1, 270)):
        on = which & ((angles == straight) | (angles % 90 != 0))
        glyphs.boxes[on, side] += sign * more[on]


def _hide_outside(glyphs: Glyphs, frame: Frame) -> None:
    """Mark what lies outside the visible part of the page as hidden."""
    if not glyphs.text:
        return
    mid_x = (glyphs.boxes[:, 0] + glyphs.boxes[:, 2]) / 2
    mid_y = (glyphs.boxes[:, 1] + glyphs.boxes[:, 3]) / 2
    outside = (mid_x < 0) | (mid_y < 0) | (mid_x > frame.width) | (mid_y > frame.height)
    for kind in set(glyphs.styles[outside].tolist()):
        glyphs.kinds.append(glyphs.kinds[kind]._replace(hidden=True))
        glyphs.styles[outside & (glyphs.styles == kind)] = len(glyphs.kinds) - 1


class _Styles:
    """Style of each text object, asked once an object; equal styles share one number."""

    def __init__(self, page: Any, frame: Frame, thin: dict[int, int]) -> None:
        self.kinds: list[Style] = []
        self.embedded: set[str] = set()
        self.foreign: set[int] = set()
        """Numbers of styles whose font does not come with the file."""
        self._thin = thin
        self._page = page
        self._frame = frame
        self._numbers: dict[int, int] = {}
        self._alike: dict[tuple[Any, ...], int] = {}
        self._equal: dict[Style, int] = {}
        self._faces: dict[int, str] = {}
        self._own: set[int] = set()
        self._six = (ctypes.c_float * 6)()
        self._four = (ctypes.c_uint * 4)()
        self._turn = ctypes.byref(self._six)
        self._colour = [ctypes.byref(self._four, offset) for offset in range(0, 16, 4)]

    def of(self, owners: Ints, at: Ints) -> Ints:
        """Return the number of the style of each character, whose objects and places these are."""
        if not at.size:
            return np.zeros(0, dtype=np.int64)
        begins = np.concatenate(([0], np.flatnonzero(owners[1:] != owners[:-1]) + 1))
        numbers = list(map(self._number, owners[begins].tolist(), at[begins].tolist()))
        return np.repeat(np.array(numbers, dtype=np.int64), np.diff(np.append(begins, at.size)))

    def _number(self, thing: int, place: int) -> int:
        """Return the number of the style of text object `thing`, one of whose characters is at `place`."""
        if thing not in self._numbers:
            raw = self._ask(thing, place)
            if raw not in self._alike:
                style = self._style(*raw)
                number = self._alike[raw] = self._equal.setdefault(style, len(self.kinds))
                if number == len(self.kinds):
                    self.kinds.append(style)
                if raw[0] not in self._own:
                    self.foreign.add(number)
            self._numbers[thing] = self._alike[raw]
        return self._numbers[thing]

    def _ask(self, thing: int, place: int) -> tuple[Any, ...]:
        """Return font, size, matrix, mode and colour of a text object as pdfium has them."""
        owner = ctypes.c_void_p(thing)
        if not _matrix(self._page, place, self._turn):
            self._six[:] = [1, 0, 0, 1, 0, 0]
        mode = self._thin[thing] if thing in self._thin else _mode(owner)
        ask = _stroke if mode == STROKE else _fill
        colour = tuple(self._four) if ask(self._page, place, *self._colour) else None
        return _font(owner), _size(self._page, place), tuple(self._six[:4]), mode, colour

    def _style(
        self, font: int, nominal: float, turn: tuple[float, ...], mode: int, colour: tuple[int, ...] | None
    ) -> Style:
        sign = -1 if nominal < 0 else 1
        size = abs(nominal) * math.hypot(turn[2], turn[3])
        size = round(size, 2) if math.isfinite(size) and size < MAX_COORDINATE else 0.0
        shown, alpha = "", 255
        if colour is not None:
            red, green, blue, alpha = colour
            shown = f"#{red & 255:02x}{green & 255:02x}{blue & 255:02x}"
        hidden = mode in INVISIBLE or shown == "#ffffff" or alpha == 0 or size < TINY
        return Style(self._frame.angle(turn[0] * sign, turn[1] * sign), size, self._name(font), shown, hidden)

    def _name(self, address: int) -> str:
        if not address:
            return ""
        if address not in self._faces:
            font = ctypes.c_void_p(address)
            room = ctypes.create_string_buffer(128)
            length = _face(font, room, _size_t(128))
            raw = room.raw[: max(0, min(length, 128) - 1)]
            self._faces[address] = "".join(c for c in raw.decode("utf-8", "replace") if c.isprintable())
            if _embedded(font) == 1:
                self.embedded.add(self._faces[address])
                self._own.add(address)
        return self._faces[address]
