"""Content streams of a PDF as checked instructions: whatever two readers could take differently is refused.

A redactor that guesses removes what it saw and leaves what another reader sees. Therefore each operator has exactly
its operands, of exactly their types (ISO 32000-1, annex A), states are nested properly, and unknown operators end the
reading: the page then becomes a picture.
"""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import pikepdf

from dlp.formats.placed import Turn

MOST_OPERATORS = 2_000_000  # of one content stream


class NeedsRaster(Exception):  # noqa: N818  a finding about the page, turned into a picture of it by its catcher
    """The page cannot be redacted as text; `detail` is a plain English clause without any of its content."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


_NUMBERS = {
    "w": 1, "J": 1, "j": 1, "M": 1, "i": 1, "cm": 6,
    "m": 2, "l": 2, "c": 6, "v": 4, "y": 4, "re": 4,
    "Tc": 1, "Tw": 1, "Tz": 1, "TL": 1, "Tr": 1, "Ts": 1, "Td": 2, "TD": 2, "Tm": 6,
    "d0": 2, "d1": 6, "G": 1, "g": 1, "RG": 3, "rg": 3, "K": 4, "k": 4,
}  # fmt: skip
_BARE = frozenset(
    ["q", "Q", "h", "S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "n", "W", "W*", "BT", "ET", "T*", "EMC", "BX", "EX"]
)
_SHAPES: dict[str, str] = {
    "d": "an", "ri": "N", "gs": "N", "Tf": "Nn", "Tj": "s", "TJ": "t", "'": "s", '"': "nns",
    "CS": "N", "cs": "N", "sh": "N", "Do": "N", "MP": "N", "DP": "Np", "BMC": "N", "BDC": "Np",
    **{name: "n" * count for name, count in _NUMBERS.items()},
    **dict.fromkeys(_BARE, ""),
}  # fmt: skip
"""Operands of each operator: n number, N name, s string, a array of numbers, t array of strings and numbers, p name or
dictionary."""
_COLOURS = frozenset(("SC", "SCN", "sc", "scn"))
_MARKED = frozenset(("BMC", "BDC", "EMC", "MP", "DP"))
_ONLY_OUTSIDE_TEXT = frozenset(
    [
        "q",
        "Q",
        "cm",
        "m",
        "l",
        "c",
        "v",
        "y",
        "re",
        "h",
        "S",
        "s",
        "f",
        "F",
        "f*",
        "B",
        "B*",
        "b",
        "b*",
        "n",
        "W",
        "W*",
        "Do",
        "sh",
        "BT",
    ]
)
_ONLY_IN_TEXT = frozenset(["Tj", "TJ", "'", '"', "Td", "TD", "Tm", "T*", "ET"])


class Op:
    """One instruction: its operator as text and its operands as pikepdf or Python values."""

    __slots__ = ("name", "operands")

    def __init__(self, name: str, operands: Any) -> None:
        self.name = name
        self.operands = operands


def parse(content: Any) -> list[Op]:
    """Return the checked instructions of a page or a form. Raises `NeedsRaster` for anything that is not by the book.

    States that are still open at the end are closed, as every reader does.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an end in the middle of something is a warning only
            raw = pikepdf.parse_content_stream(content)
    except (pikepdf.PdfError, TypeError, ValueError, UserWarning) as err:
        raise NeedsRaster("its content cannot be taken apart") from err
    if len(raw) > MOST_OPERATORS:
        raise NeedsRaster("its content has more operators than are looked at")
    ops: list[Op] = []
    depth = 0
    in_text = False
    for instruction in raw:
        if isinstance(instruction, pikepdf.ContentStreamInlineImage):
            if in_text:
                raise NeedsRaster("a picture stands inside a text object")
            ops.append(Op("BI", instruction))
            continue
        name = str(instruction.operator)
        operands = instruction.operands
        _check(name, operands)
        if name in _ONLY_OUTSIDE_TEXT and in_text:
            raise NeedsRaster("drawing or states stand inside a text object")
        if name in _ONLY_IN_TEXT and not in_text:
            raise NeedsRaster("text is shown outside of a text object")
        if name == "BT":
            in_text = True
        elif name == "ET":
            in_text = False
        elif name == "q":
            depth += 1
        elif name == "Q":
            depth -= 1
            if depth < 0:
                raise NeedsRaster("a state is taken back that was never kept")
        ops.append(Op(name, operands))
    if in_text:
        ops.append(Op("ET", ()))
    ops += [Op("Q", ())] * depth
    return ops


def _check(name: str, operands: Any) -> None:
    if name in _COLOURS:
        if not _is_colour(operands, named=name.endswith(("N", "n"))):
            raise NeedsRaster("a colour has operands that it cannot have")
        return
    shape = _SHAPES.get(name)
    if shape is None:
        raise NeedsRaster("it has an operator that no standard knows")
    if len(operands) != len(shape):
        raise NeedsRaster("an operator has not its number of operands")
    for kind, operand in zip(shape, operands, strict=True):
        if not _FITS[kind](operand):
            raise NeedsRaster("an operator has an operand of the wrong type")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _is_name(value: Any) -> bool:
    return isinstance(value, pikepdf.Name)


def _is_string(value: Any) -> bool:
    return isinstance(value, pikepdf.String)


def _is_array(value: Any) -> bool:
    return isinstance(value, pikepdf.Array)


_FITS: dict[str, Any] = {
    "n": _is_number,
    "N": _is_name,
    "s": _is_string,
    "a": lambda value: _is_array(value) and all(_is_number(one) for one in value),
    "t": lambda value: _is_array(value) and all(_is_number(one) or _is_string(one) for one in value),
    "p": lambda value: _is_name(value) or isinstance(value, pikepdf.Dictionary),
}


def _is_colour(operands: Any, *, named: bool) -> bool:
    values = list(operands)
    if named and values and _is_name(values[-1]):
        values.pop()
    return len(values) <= 32 and all(_is_number(one) for one in values)


def is_marking(op: Op) -> bool:
    """Tell whether an instruction only marks content, and paints nothing."""
    return op.name in _MARKED


def numbers(op: Op) -> list[float]:
    """Return operands that are all numbers."""
    return [float(one) for one in op.operands]


def turn_of(values: Any) -> Turn:
    """Return a matrix of six numbers. Raises `NeedsRaster` where it is none."""
    try:
        a, b, c, d, e, f = (float(one) for one in values)
    except (TypeError, ValueError) as err:
        raise NeedsRaster("a matrix is damaged") from err
    return a, b, c, d, e, f


def inverse(turn: Turn) -> Turn:
    """Return the turn that undoes `turn`. Raises `NeedsRaster` where nothing can."""
    a, b, c, d, e, f = turn
    area = a * d - b * c
    if abs(area) < 1e-12:
        raise NeedsRaster("a matrix flattens everything")
    return (d / area, -b / area, -c / area, a / area, (c * f - d * e) / area, (b * e - a * f) / area)


def put(turn: Turn, x: float, y: float) -> tuple[float, float]:
    """Return where a point comes to lie."""
    a, b, c, d, e, f = turn
    return a * x + c * y + e, b * x + d * y + f


def write(ops: list[Op]) -> bytes:
    """Return instructions as a content stream."""
    made = [
        op.operands if op.name == "BI" else pikepdf.ContentStreamInstruction(op.operands, pikepdf.Operator(op.name))
        for op in ops
    ]
    return bytes(pikepdf.unparse_content_stream(made))
