"""Draws a stamp: its lines and its QR code as one picture of black and nothing.

No font is taken from the machine and none is shipped. OpenCV carries a whole Chinese one (WenQuanYi Micro Hei, Apache
License 2.0), so a stamp looks the same everywhere, and as a picture it prints the same on every printer.
"""

from __future__ import annotations

import threading
import zlib
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import segno

from dlp.errors import ConfigError
from dlp.model import Plate, Say, Stamp

DPI = 600
MOST_LINES, MOST_CHARS = 8, 80
_FACE = "uni"
_WEIGHT = 400
_LINE = 1.28  # of the size of its letters: from one line to the next
_MODULE = 9  # pixels: 0.38 mm, which a telephone reads from a photocopy
_QUIET = 2  # modules around the code; the place around the stamp is empty too
_SPACE = 0.6  # of the size: between code and lines
_BLACK = 128  # of 255

Bits = npt.NDArray[np.bool_]
_lock = threading.Lock()
"""One thread draws at a time: nothing says that the faces of OpenCV may be shared."""


def missing(text: str) -> str:
    """Return the characters of `text` that the font does not have, each once."""
    with _lock:
        return "".join(letter for letter in dict.fromkeys(text) if not letter.isascii() and not _has(letter))


@lru_cache(maxsize=16)
def engrave(stamp: Stamp) -> Plate:
    """Return the stamp as a picture. ConfigError where a character of it cannot be drawn."""
    lines = [line[:MOST_CHARS] for line in stamp.lines[:MOST_LINES]]
    unknown = missing("".join(lines))
    if unknown:
        raise ConfigError(
            Say(f"印记字体没有这些字：{unknown}", f"the font of the stamp does not have: {unknown}"),
            hint=Say("请改写 site.unit 中的生僻字", "write the rare characters of site.unit another way"),
        )
    with _lock:
        words = _words(lines, stamp.size)
    bits = _beside(_code(stamp.code), words, stamp.size) if stamp.code else words
    height, width = bits.shape
    return Plate(
        width=width,
        height=height,
        raw=zlib.compress(np.packbits(bits, axis=1).tobytes()),
        wide=width * 72 / DPI,
        high=height * 72 / DPI,
        corner=stamp.corner,
        cover=stamp.cover,
    )


def _words(lines: list[str], size: float) -> Bits:
    """Return lines of text, cut to their ink from left to right."""
    pixels = max(1, round(size * DPI / 72))
    step = round(_LINE * pixels)
    wide = 2 * pixels + max((len(line) for line in lines), default=1) * pixels * 3 // 2
    sheet = np.full((step * max(1, len(lines)), wide), 255, dtype=np.uint8)
    for number, line in enumerate(lines):
        _put(sheet, line, pixels, number * step + round(0.9 * pixels))
    bits = sheet < _BLACK
    inked = np.flatnonzero(bits.any(axis=0))
    return np.pad(bits[:, inked[0] : inked[-1] + 1], ((0, 0), (_MODULE, _MODULE))) if len(inked) else bits[:, :1]


def _code(text: str) -> Bits:
    """Return a QR code with its quiet zone."""
    modules = segno.make(text, error="m", micro=False, boost_error=False).matrix
    dots = np.pad(np.array([list(row) for row in modules], dtype=np.bool_), _QUIET)
    return np.kron(dots, np.ones((_MODULE, _MODULE), dtype=np.bool_))


def _beside(code: Bits, words: Bits, size: float) -> Bits:
    """Return a code and lines side by side, in the middle of each other."""
    space = round(_SPACE * size * DPI / 72)
    high = max(code.shape[0], words.shape[0])
    whole = np.zeros((high, code.shape[1] + space + words.shape[1]), dtype=np.bool_)
    for piece, left in ((code, 0), (words, code.shape[1] + space)):
        top = (high - piece.shape[0]) // 2
        whole[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return whole


@cache
def _opencv() -> tuple[Any, Any]:
    # Loaded with the first stamp: it takes 40 MB, and most sites print none.
    import cv2  # noqa: PLC0415

    try:
        return cv2, cv2.FontFace(_FACE)
    except (AttributeError, cv2.error) as err:
        raise ConfigError(
            Say("本机的 OpenCV 没有内置中文字体，无法加盖印记", "this OpenCV carries no Chinese font for stamps"),
            hint=Say("安装 opencv-python-headless 5.0 以上", "install opencv-python-headless 5.0 or later"),
        ) from err


def _put(sheet: npt.NDArray[np.uint8], text: str, pixels: int, base: int) -> None:
    opencv, face = _opencv()
    opencv.putText(sheet, text, (pixels, base), (0,), face, pixels, _WEIGHT)


@cache
def _has(letter: str) -> bool:
    """Tell whether the font has a character: what it does not have is drawn as a question mark."""
    if not letter.strip():
        return True
    drawn = []
    for one in (letter, "?"):
        sheet = np.full((64, 128), 255, dtype=np.uint8)
        _put(sheet, one, 40, 48)
        drawn.append(sheet)
    return not np.array_equal(drawn[0], drawn[1])
