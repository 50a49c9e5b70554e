"""Sheets and shared texts of workbooks as spreadsheet programs write them: rows of cells of one value each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from dlp.formats import Full, plain_xml
from dlp.formats.ooxml import check_encoding
from dlp.formats.plain_xml import Codes, Flags, Ints, Tags

NUMBER, SHARED, TEXT = 0, 1, 2
"""What the value of a cell is."""

_BOM = b"\xef\xbb\xbf"
_END, _ROW, _NO_ROW, _ROW_END, _CELL, _NO_CELL, _CELL_END = range(1, 8)
_VALUE, _NO_VALUE, _VALUE_END, _INLINE, _INLINE_END = range(8, 13)
_T, _NO_T, _T_END, _FORMULA, _NO_FORMULA, _FORMULA_END = range(13, 19)
_ITEM, _NO_ITEM, _ITEM_END, _RUBY = range(19, 23)

_T_TAGS = {b"<t>": _T, b"</t>": _T_END, b"<t/>": _NO_T}
_SHEET_TAGS = {
    b"</row>": _ROW_END,
    b"<row>": _ROW,
    b"</c>": _CELL_END,
    b"<v>": _VALUE,
    b"</v>": _VALUE_END,
    b"<v/>": _NO_VALUE,
    b"<v />": _NO_VALUE,
    b"<is>": _INLINE,
    b"</is>": _INLINE_END,
    b"<f>": _FORMULA,
    b"</f>": _FORMULA_END,
    **_T_TAGS,
}
_SHEET_STARTS = {b"<row ": _ROW, b"<c ": _CELL, b"<f ": _FORMULA, b"<t ": _T}
_ITEM_TAGS = {b"<si>": _ITEM, b"</si>": _ITEM_END, b"<si/>": _NO_ITEM, b"<si />": _NO_ITEM, **_T_TAGS}
_ITEM_STARTS = {b"<t ": _T, b"<phoneti": _RUBY}


def _any_of(*kinds: int) -> Flags:
    """Return a table that tells whether a kind is one of these."""
    return np.isin(np.arange(_RUBY + 1), kinds)


_IN_ROW = _any_of(_CELL, _NO_CELL, _ROW_END)
_BETWEEN_ROWS = _any_of(_ROW, _NO_ROW, _END)
_BETWEEN_ITEMS = _any_of(_ITEM, _NO_ITEM, _END)
_LOOSE = _any_of(_ROW, _NO_ROW, _ROW_END, _NO_CELL, _CELL_END)
"""Behind these stand blanks, if anything."""
_TOLD = _any_of(_VALUE, _T, _FORMULA)
"""Behind these stands what is read."""

_CELL_FORM = re.compile(rb'<c r="([A-Z]{1,3})0"(?: s="0")?(?: t="([a-zA-Z]{1,9})")? ?/?')
_ROW_FORM = re.compile(
    rb"<row(?: (?:r|spans|s|customFormat|ht|hidden|customHeight|outlineLevel|collapsed|thickTop|thickBot|ph"
    rb'|[a-z0]{1,8}:dyDescent)="[A-Za-z0:.]{0,20}")* ?/?'
)
_FORMULA_FORM = re.compile(rb'<f(?: [a-z0-9]{1,4}="[A-Za-z0-9:$]{0,30}")*/?')
_T_FORM = re.compile(rb'<t(?: xml:space="preserve")?')
_RUBY_FORM = re.compile(rb'<phoneticPr(?: fontId="0"| type="[A-Za-z]{1,20}"| alignment="[A-Za-z]{1,20}")*/')
_ROOT = re.compile(rb"<worksheet[ >]")
_STRINGS = re.compile(rb"((?:<\?xml[^<>]*\?>)?\s*<sst [^<>]*[^<>/]>)(.*)(</sst>\s*)", re.DOTALL)


class Cells(NamedTuple):
    """Cells with a value, in order: in which row, in which column (from 0), of what kind, and their text."""

    rows: Ints
    columns: Ints
    kinds: Codes
    texts: list[str]
    formulas: list[str]


class Sheet(NamedTuple):
    """A sheet: what stands around its rows, as a part of its own, and its cells, some rows at a time."""

    around: bytes
    cells: list[Cells]


def read_sheet(data: bytes, tick: Callable[[], None]) -> Sheet | None:
    """Return a sheet; `None` when it is written otherwise. `tick` is called now and then."""
    start = data.removeprefix(_BOM)
    first, last = start.find(b"<sheetData>"), start.rfind(b"</sheetData>")
    if not 0 < first < last or start.count(b"<sheetData") != 1 or not start.startswith((b"<?xml", b"<worksheet")):
        return None
    around = start[:first] + b"<sheetData/>" + start[last + len(b"</sheetData>") :]
    if not _is_ours(data) or not _ROOT.search(around[:2048]) or b"<!" in around:
        return None
    cells: list[Cells] = []
    for raw in plain_xml.chunks(start[first + len(b"<sheetData>") : last], b"</row>"):
        tick()
        if raw.strip(b" \t\r\n"):
            found = _cells(raw)
            if found is None:
                return None
            cells.append(found)
    return Sheet(around, cells)


def read_strings(data: bytes, tick: Callable[[], None]) -> tuple[bytes, list[str]] | None:
    """Return the part of the shared texts without them, and them; `None` when they are written otherwise."""
    whole = _STRINGS.fullmatch(data.removeprefix(_BOM))
    if whole is None or not _is_ours(data):
        return None
    found: list[str] = []
    for raw in plain_xml.chunks(whole[2], b"</si>"):
        tick()
        if raw.strip(b" \t\r\n"):
            items = _items(raw)
            if items is None:
                return None
            found += items
    return whole[1] + whole[3], found


def _is_ours(data: bytes) -> bool:
    try:
        check_encoding(data)
    except Full:
        return False
    return True


# --- sheets


def _cells(raw: bytes) -> Cells | None:
    """Read some rows. Each tag must follow one that it may follow, so that none stands where it is not looked for."""
    tags = plain_xml.tags(raw)
    if tags is None:
        return None
    kinds = tags.kinds(_SHEET_TAGS, _SHEET_STARTS)
    closed = tags.closed()
    for kind in (_ROW, _CELL, _FORMULA):
        kinds[(kinds == kind) & closed] = kind + 1
    cell = np.flatnonzero(kinds == _CELL)
    steps = np.append(kinds, [_END] * 8).astype(np.uint8)
    formula, value, after = _walk(steps, cell)
    held = (value > 0) & (np.append(tags.text, [0] * 8)[value] > 0)
    if not _in_order(steps, cell, after) or not _are_written_plainly(tags, kinds):
        return None
    known = _known(tags, cell)
    texts = tags.texts(value[held])
    formulas = tags.texts(formula)
    if known is None or texts is None or formulas is None:
        return None
    columns, sorts = known
    sorts = np.where((steps[np.maximum(value, 0)] == _T) & (sorts == SHARED), TEXT, sorts)[held].astype(np.uint8)
    rows = np.searchsorted(np.flatnonzero((kinds == _ROW) | (kinds == _NO_ROW)), cell[held])
    return Cells(rows, columns[held], sorts, texts, formulas)


def _walk(steps: Codes, cell: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the tags before the formulas, before the value of each cell (0 for none), and at the end of each.

    A cell whose parts do not follow one another ends at tag 0, which is none of its kind.
    """
    at = cell + 1
    formula = at[steps[at] == _FORMULA]
    at = at + np.where(steps[at] == _FORMULA, np.where(steps[at + 1] == _FORMULA_END, 2, 8), steps[at] == _NO_FORMULA)
    at = np.minimum(at, len(steps) - 8)
    value = np.where(steps[at] == _VALUE, at, np.where(steps[at] == _INLINE, at + 1, 0))
    valued = (steps[at] == _VALUE) & (steps[at + 1] == _VALUE_END)
    inline = (steps[at] == _INLINE) & (steps[at + 1] == _T) & (steps[at + 2] == _T_END) & (steps[at + 3] == _INLINE_END)
    at = at + 2 * valued + 4 * inline + (steps[at] == _NO_VALUE)
    return formula, value, np.where(steps[at] == _CELL_END, at, 0)


def _in_order(steps: Codes, cell: Ints, after: Ints) -> bool:
    """Tell whether rows hold cells, and cells what was found in them, and nothing else stands anywhere."""
    if steps[0] not in (_ROW, _NO_ROW) or not after.all():
        return False
    if cell.size and (after <= cell).any():
        return False
    inside = np.concatenate([after, np.flatnonzero((steps == _ROW) | (steps == _NO_CELL))]) + 1
    outside = np.flatnonzero((steps == _ROW_END) | (steps == _NO_ROW)) + 1
    return bool(_IN_ROW[steps[inside]].all()) and bool(_BETWEEN_ROWS[steps[outside]].all())


def _are_written_plainly(tags: Tags, kinds: Codes) -> bool:
    """Tell whether rows, formulas and texts have no attribute that says something, and text stands in values only."""
    loose = _LOOSE[kinds]
    return (
        not tags.text[~loose & ~_TOLD[kinds]].any()
        and not tags.has_text(loose)
        and _match(tags, (kinds == _ROW) | (kinds == _NO_ROW), _ROW_FORM)
        and _match(tags, (kinds == _FORMULA) | (kinds == _NO_FORMULA), _FORMULA_FORM)
        and _match(tags, (kinds == _NO_CELL), _CELL_FORM)
        and _match(tags, kinds == _T, _T_FORM)
    )


def _match(tags: Tags, which: Flags, form: re.Pattern[bytes]) -> bool:
    forms = tags.forms(np.flatnonzero(which))
    return forms is not None and all(map(form.fullmatch, set(forms)))


def _known(tags: Tags, cell: Ints) -> tuple[Ints, Codes] | None:
    """Return column and kind of each cell, as its tag tells them."""
    forms = tags.forms(cell)
    if forms is None:
        return None
    numbers: dict[bytes, int] = {}
    columns, kinds = [0], [NUMBER]
    for form in set(forms):
        found = _CELL_FORM.fullmatch(form)
        if found is None:
            return None
        numbers[form] = len(columns)
        columns.append(column(found[1].decode()))
        kinds.append({None: NUMBER, b"n": NUMBER, b"s": SHARED}.get(found[2], TEXT))
    at = np.fromiter(map(numbers.__getitem__, forms), dtype=np.int64, count=len(forms))
    return np.array(columns, dtype=np.int64)[at], np.array(kinds, dtype=np.uint8)[at]


def column(letters: str) -> int:
    """Return the number of a column, from 0: that of AA is 26."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1


# --- shared texts


def _items(raw: bytes) -> list[str] | None:
    """Read some shared texts of one run each; those of several runs, or with ruby, are for the parser."""
    tags = plain_xml.tags(raw)
    if tags is None:
        return None
    kinds = tags.kinds(_ITEM_TAGS, _ITEM_STARTS)
    steps = np.append(kinds, [_END] * 8).astype(np.uint8)
    item = np.flatnonzero(kinds == _ITEM)
    at = item + 1
    value = np.where(steps[at] == _T, at, 0)
    at = at + np.where((steps[at] == _T) & (steps[at + 1] == _T_END), 2, steps[at] == _NO_T)
    at = at + (steps[at] == _RUBY)
    if steps[0] not in (_ITEM, _NO_ITEM) or (steps[at] != _ITEM_END).any():
        return None
    after = np.concatenate([at, np.flatnonzero(steps == _NO_ITEM)]) + 1
    loose = (kinds == _ITEM_END) | (kinds == _NO_ITEM)
    if not _BETWEEN_ITEMS[steps[after]].all() or tags.has_text(loose):
        return None
    if tags.text[~loose & (kinds != _T)].any():
        return None
    if not _match(tags, kinds == _T, _T_FORM) or not _match(tags, kinds == _RUBY, _RUBY_FORM):
        return None
    texts = tags.texts(value[value > 0])
    if texts is None:
        return None
    places = np.searchsorted(np.flatnonzero((kinds == _ITEM) | (kinds == _NO_ITEM)), item[value > 0])
    return list(_spread(places, texts, int((kinds == _ITEM).sum() + (kinds == _NO_ITEM).sum())))


def _spread(places: Ints, texts: list[str], count: int) -> Iterator[str]:
    """Give each text at its place, and nothing elsewhere."""
    if count == len(texts):
        return iter(texts)
    found = [""] * count
    for place, text in zip(places.tolist(), texts, strict=True):
        found[place] = text
    return iter(found)
