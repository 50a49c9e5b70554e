"""Characters with places: what all that reads pages hands to `pdf_lines`, and whether their codes are believed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ODD_SHARE = 0.02  # of the letters of a page: above it the font maps are not believed
_BLANK = np.array([chr(code).isspace() for code in range(0x3002)], dtype=np.bool_)  # none comes after U+3000


class Style(NamedTuple):
    """What all characters of one text object share. `angle` is degrees clockwise on the page as it is shown."""

    angle: int = 0
    size: float = 0.0
    face: str = ""
    colour: str = ""
    hidden: bool = False


class Glyphs:
    """The characters of one page in drawing order; boxes in points, origin top left, x0 y0 x1 y1."""

    __slots__ = ("blank", "boxes", "codes", "kinds", "objects", "single", "styles", "text")

    def __init__(self, text: list[str], boxes: Floats, styles: Ints, kinds: list[Style]) -> None:
        self.text = text
        self.codes = codes_of(text)
        """The code point of the first character of each text; mostly there is no second one."""
        self.blank = blanks(text, self.codes)
        self.objects: list[int | None] = []
        """The object of the page that each character belongs to; good only while that page is open."""
        self.boxes = boxes
        self.styles = styles
        self.single = sum(map(len, text)) == len(text)
        self.kinds = kinds


def is_wide(char: str) -> bool:
    """Return True for Han characters, kana, full-width forms and the like."""
    code = ord(char[0])
    return 0x2E80 <= code <= 0xA4CF or 0xAC00 <= code <= 0xD7A3 or 0xF900 <= code <= 0xFAFF or code >= 0xFF00


def are_wide(codes: Ints) -> Flags:
    """Tell which codes are those of characters that `is_wide` tells."""
    flags: Flags = (codes >= 0x2E80) & (codes <= 0xA4CF)
    for low, high in ((0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFF00, 0x10FFFF)):
        flags |= (codes >= low) & (codes <= high)
    return flags


def codes_of(text: list[str]) -> Ints:
    """Return the code point of the first character of each text."""
    joined = "".join(text)
    if len(joined) != len(text):
        joined = "".join([one[0] for one in text])
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)


def blanks(text: list[str], codes: Ints) -> Flags:
    """Tell which texts, whose first characters these are, are blank; a few may be of several characters."""
    flags: Flags = _BLANK[np.minimum(codes, len(_BLANK) - 1)]
    for i in np.flatnonzero(flags).tolist():
        flags[i] = text[i].isspace()
    return flags


def trust(text: list[str], unmapped: Flags) -> tuple[int, int]:
    """Count letters, and those among them that no honest font map gives.

    These are U+FFFD, private use, controls, and what the reader itself calls unmapped (pdfium then shows glyph
    numbers as if they were characters). A single one between others is a bullet of a symbol font; two in a row are
    text.
    """
    codes = codes_of(text)
    inked = ~blanks(text, codes)
    codes, unmapped = codes[inked], unmapped[inked]
    if not codes.size:
        return 0, 0
    odd = (codes == 0xFFFD) | ((codes >= 0xE000) & (codes <= 0xF8FF)) | (codes >= 0xF0000)
    odd |= (codes < 32) | ((codes >= 0x7F) & (codes <= 0x9F)) | ((codes >= 0xD800) & (codes <= 0xDFFF))
    odd |= unmapped
    beside = np.zeros(codes.size, dtype=np.bool_)
    beside[1:] |= odd[:-1]
    beside[:-1] |= odd[1:]
    paired = int((odd & beside).sum())
    total = int(odd.sum())
    return int(codes.size), total if total > 0.2 * codes.size else paired
