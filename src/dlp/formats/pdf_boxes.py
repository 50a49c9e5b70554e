"""What a redacted page draws last: its boxes, read back from the copy by code that did not write them.

The verifier's own reading. A page of a copy has as contents one stream, or two: that of the page and that of its
boxes, which knows nothing but filled rectangles and labels. Whatever else stands there is a trouble.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pikepdf

from dlp.formats.pdf_frame import Sides

LABEL_FONT = "/WYG"
_TOKEN = re.compile(rb"\((?:[^()\\]|\\.)*\)|<[0-9A-Fa-f\s]*>|/[^\s()<>\[\]{}/%]+|[^\s()<>\[\]{}/%]+|\S", re.DOTALL)
_BEGIN = re.compile(rb"\s*q\s+0\s+g\s")
_OUTSIDE = {b"q": 0, b"Q": 0, b"g": 1, b"rg": 3, b"f": 0, b"BT": 0}
_INSIDE = frozenset(
    (b"ET", b"Tf", b"Tj", b"TJ", b"Td", b"TD", b"Tm", b"T*", b"Tr", b"Tz", b"Tc", b"Tw", b"Ts", b"TL", b"g", b"rg")
)
_NUMBER = re.compile(rb"[-+]?(?:\d{1,9}(?:\.\d{0,12})?|\.\d{1,12})")


class Drawn(NamedTuple):
    """The boxes of one page; `trouble` says in which way it is not built as a redacted page is."""

    boxes: tuple[Sides, ...] = ()
    trouble: str = ""


def drawn(page: Any) -> Drawn:
    """Return the boxes that a page of a copy draws over itself; none where it has one stream of contents."""
    contents = page.get("/Contents")
    if not isinstance(contents, pikepdf.Array) or len(contents) == 0:
        return Drawn()
    last = bytes(contents[-1].read_bytes())
    if not _BEGIN.match(last):
        return Drawn()
    if len(contents) != 2:
        return Drawn(trouble="the contents of a page with boxes are not two streams")
    return _read(last)


def _read(raw: bytes) -> Drawn:
    boxes: list[Sides] = []
    waiting: list[Sides] = []
    operands: list[bytes] = []
    depth, text = 0, False
    for found in _TOKEN.finditer(raw):
        token = found.group()
        if not _is_operator(token):
            operands.append(token)
            continue
        if not _known(token, operands, text=text):
            return Drawn(trouble="the boxes of a page are drawn by other operators than they may be")
        if token == b"re":
            waiting.append(_sides(operands))
        elif token == b"f":
            boxes += waiting
            waiting = []
        text = token == b"BT" or (text and token != b"ET")
        depth += {b"q": 1, b"Q": -1}.get(token, 0)
        operands = []
    if depth or text or waiting or operands:
        return Drawn(trouble="the boxes of a page are not drawn to their end")
    return Drawn(tuple(boxes))


def _is_operator(token: bytes) -> bool:
    return token[:1].isalpha() or token in (b"'", b'"', b"T*")


def _known(token: bytes, operands: list[bytes], *, text: bool) -> bool:
    """Tell whether an operator may stand there: a rectangle, a colour, a label in the font of labels."""
    if text:
        return token in _INSIDE and (token != b"Tf" or operands[:1] == [LABEL_FONT.encode()])
    if token == b"re":
        return len(operands) == 4 and _finite(operands)
    return token in _OUTSIDE and len(operands) == _OUTSIDE[token]


def _finite(operands: list[bytes]) -> bool:
    return all(map(_NUMBER.fullmatch, operands))


def _sides(operands: list[bytes]) -> Sides:
    x, y, wide, high = map(float, operands)
    return min(x, x + wide), min(y, y + high), max(x, x + wide), max(y, y + high)


def is_picture(page: Any) -> bool:
    """Tell whether a page is one picture and nothing else but its boxes."""
    resources = page.get("/Resources", pikepdf.Dictionary())
    fonts = resources.get("/Font", pikepdf.Dictionary())
    things = resources.get("/XObject", pikepdf.Dictionary())
    if set(fonts.keys()) - {LABEL_FONT} or len(things) != 1:
        return False
    contents = page.get("/Contents")
    first = contents[0] if isinstance(contents, pikepdf.Array) and len(contents) else contents
    if not isinstance(first, pikepdf.Stream) or any(one.get("/Subtype") != "/Image" for one in things.values()):
        return False
    operators = [str(one.operator) for one in pikepdf.parse_content_stream(first)]
    return operators.count("Do") == 1 and set(operators) <= {"q", "cm", "Do", "Q"}
