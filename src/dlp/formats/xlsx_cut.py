"""Excel workbooks without their cuts: values and formulas of the sheets, without anything that keeps copies of them.

A cell that is cut holds its text itself from then on, so what other cells share stays theirs; a shared text that no
cell uses any more is emptied. A formula goes where it, or its result, is cut: other results stay as they were computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple

from lxml import etree

from dlp.formats import NotRedactable, Source, zipsafe
from dlp.formats.cutting import Hole, filled
from dlp.formats.ooxml import relations, rels_name
from dlp.formats.ooxml_clean import ANCHORS, REFERENCES
from dlp.formats.ooxml_cut import DRAWING_PARTS, Copy, Key, Part, write_copy
from dlp.formats.ooxml_holes import SPACE, Holes, beside, block_of, blocks_of, local, remove, tree
from dlp.formats.ooxml_text import Block
from dlp.formats.ooxml_wishes import Read
from dlp.formats.ooxml_write import Link
from dlp.formats.room import Room
from dlp.model import Cut, Removed

_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml."
_MACROS = "application/vnd.ms-excel."
_MAIN = "xl/workbook.xml"
_LONGEST_NAME = 31  # characters of the name of a sheet
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\']")
_OUTSIDE = re.compile(r"\[[0-9]+\]")  # a formula that looks into another workbook
_ROW = re.compile(r"[A-Z]{0,3}([0-9]+)")
_FORMULAS = frozenset({"formula", "formula1", "formula2", "f", "definedName", "calculatedColumnFormula"})
_RULES = frozenset({"cfRule", "dataValidation"})


class _Cell(NamedTuple):
    node: Any
    text: str
    inline: bool = False
    """True where the text stands in the cell itself."""


class Book(Copy):
    """A workbook on its way to a copy without its cuts."""

    HOME = "xl/"
    MAINS = {  # noqa: RUF012  it is declared in the class above
        _SHEET + "sheet.main+xml": _SHEET + "sheet.main+xml",
        _SHEET + "template.main+xml": _SHEET + "template.main+xml",
        _MACROS + "sheet.macroEnabled.main+xml": _SHEET + "sheet.main+xml",
        _MACROS + "template.macroEnabled.main+xml": _SHEET + "template.main+xml",
    }
    PARTS = {  # noqa: RUF012  as above
        **DRAWING_PARTS,
        **{name: f"{_SHEET}{name}+xml" for name in ("worksheet", "chartsheet", "sharedStrings", "styles", "table")},
        "drawing": "application/vnd.openxmlformats-officedocument.drawing+xml",
    }
    IMPLIED = frozenset({"diagramDrawing", "sharedStrings", "styles", "theme"})
    DROPPED = frozenset(
        {
            *("fileSharing", "fileVersion", "fileRecoveryPr", "webPublishing", "webPublishObjects", "webPublishItems"),
            *("customWorkbookViews", "customSheetViews", "scenarios", "protectedRanges", "customProperties", "oleSize"),
            *("cellWatches", "smartTags", "smartTagPr", "smartTagTypes", "oleObjects", "controls", "legacyDrawing"),
            *("legacyDrawingHF", "drawingHF", "functionGroups", "absPath", "workbookProtection", "sheetProtection"),
            "xmlColumnPr",
        }
    )
    LISTS = frozenset(
        {
            *("externalReferences", "pivotCaches", "tableParts", "hyperlinks", "dataValidations", "definedNames"),
            *("conditionalFormatting", "filterColumn", "filters"),
        }
    )

    def __init__(
        self, package: zipsafe.Package, cuts: Sequence[Cut], room: Room, read: Read, number: Callable[[str], str]
    ) -> None:
        """Take a package as any; `number` tells how the reader shows a number that is stored."""
        super().__init__(package, cuts, room, read)
        self._number = number
        self._numbers = self.wanted.numbers()
        self._shared = self._read_shared()
        self._sheets: set[str] = set()
        self._cut_tables: set[str] = set()
        self._cut_rows: dict[str, set[int]] = {}
        self._cut_shared: dict[Any, set[str]] = {}

    def needed(self, package: zipsafe.Package) -> frozenset[str]:
        """Return the parts with the shared texts, and those that lead to them."""
        return frozenset({_MAIN, rels_name(_MAIN), *self._shared_parts(package)}) & package.members.keys()

    def _shared_parts(self, package: zipsafe.Package) -> list[str]:
        folded = {name.lower(): name for name in package.members}
        main = folded.get(_MAIN, "")
        named = [r.target for r in relations(package, main, self.room) if r.kind.endswith("/sharedStrings")]
        return [folded[name.lower()] for name in (*named, "xl/sharedStrings.xml") if name.lower() in folded]

    def _read_shared(self) -> list[str]:
        parts = self._shared_parts(self.package)
        if not parts:
            return []
        blocks = blocks_of(tree(self.package.read(parts[0])), empty=True)
        return [block.text for block in blocks if block.tag == "si" and block.anchor.endswith("v")]

    def link(self, part: Part) -> None:
        """Lead to the shared texts where nothing but their usual name did: the reader took them from there."""
        super().link(part)
        if part.kind == "officeDocument" and not any(
            link.kind.endswith("/sharedStrings") for link in part.links.values()
        ):
            for name in self._shared_parts(self.package)[:1]:
                shared = self.take(Key(name), "sharedStrings", self.PARTS["sharedStrings"])
                part.links["rIdTexts1"] = Link(f"{REFERENCES[0]}/sharedStrings", shared)

    # --- cells

    def cut_texts(self, part: Part, blocks: Callable[[], list[Block]]) -> set[str]:
        """Cut cells first, row by row as they were read; then the other texts of a part."""
        if part.kind != "worksheet":
            return super().cut_texts(part, blocks)
        rest = blocks_of(part.root, but="sheetData")
        if any(not _blank(text) for data in part.root.iter("{*}sheetData") for text in _between(data)):
            raise NotRedactable("text stands between the rows of a sheet")
        found: set[str] = set()
        for row in part.root.iter("{*}row"):
            cells, others = _read_row(row)
            rest += others
            found |= self._cut_row(part, [self._shown(cell) for cell in cells])
        self.room.check_time()
        return found | super().cut_texts(part, lambda: rest)

    def _shown(self, cell: _Cell) -> _Cell:
        """Return a cell with the text that the reader shows for it."""
        kind, text = cell.node.get("t", "n"), cell.text
        if kind == "s" and not cell.inline:
            number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else len(self._shared)
            text = self._shared[number] if number < len(self._shared) else ""
        return cell._replace(text=self._number(text) if kind == "n" else text)

    def _cut_row(self, part: Part, cells: Sequence[_Cell]) -> set[str]:
        cells = [cell for cell in cells if cell.text]
        whole = "\t".join([cell.text for cell in cells])
        holes = self.wanted.holes(part.name, whole)
        if not holes and not self._numbers:
            return set()
        at = 0
        for cell in cells:
            end = at + len(cell.text)
            own = [Hole(max(hole.start - at, 0), min(hole.end, end) - at, hole.label) for hole in holes]
            own = [hole for hole in own if hole.start < hole.end] or self._same_number(cell)
            if own:
                self._cut_cell(part, cell, own)
            at = end + 1
        return {whole}

    def _same_number(self, cell: _Cell) -> list[Hole]:
        """Return a hole for a number that is a removed value as far as a sheet keeps it."""
        if cell.node.get("t", "n") != "n" or not self._numbers:
            return []
        try:
            same = float(cell.text) in self._numbers
        except ValueError:
            return []
        return [Hole(0, len(cell.text), "")] if same else []

    def _cut_cell(self, part: Part, cell: _Cell, holes: Sequence[Hole]) -> None:
        """Let a cell hold its own text, without the holes, and no formula that would give it back."""
        node = cell.node
        found = _ROW.fullmatch(node.get("r", ""))
        self._cut_rows.setdefault(part.name, set()).add(int(found[1]) if found else 1)
        for child in list(node):
            if local(child.tag) == "f":
                self._drop_formula(part.root, child)
            else:
                remove(child)
        for key in ("cm", "vm", "ph"):
            node.attrib.pop(key, None)
        node.set("t", "inlineStr")
        text = etree.SubElement(etree.SubElement(node, beside(node, "is")), beside(node, "t"))
        text.text = filled(cell.text, holes)
        text.set(SPACE, "preserve")

    def _drop_formula(self, root: Any, formula: Any) -> None:
        """Take a formula out of its cell; those that are told by it follow at the end."""
        if formula.get("t") == "shared":
            self._cut_shared.setdefault(root, set()).add(formula.get("si", ""))
        remove(formula)

    # --- what is no cell

    def cut_block(self, part: Part, block: Block, holes: Sequence[Hole], cutting: Holes) -> None:
        """Take out formulas whole: one with a label in it is none."""
        node = block.pieces[0].place.node
        name = local(node.tag)
        self._cut_tables |= {part.name} if part.kind == "table" else set()
        if part.kind == "worksheet" and name == "f":
            self._drop_formula(part.root, node)
        elif name in _FORMULAS and (rule := _above(node, _RULES)) is not None:
            remove(rule)
        elif name in _FORMULAS:
            text = node.text or ""
            named = [hole._replace(label=_NOT_IN_NAMES.sub("_", hole.label)) for hole in holes]
            node.text = filled(text, named) if all(_quoted(text, hole) for hole in holes) else "#REF!"
        elif (point := _above(node, {"pt"})) is not None and _above(point, {"numCache", "numLit"}) is not None:
            remove(point)
        else:
            super().cut_block(part, block, holes, cutting)

    def cut_attribute(self, part: Part, node: Any, key: str, holes: Sequence[Hole]) -> None:
        """Keep names valid, and take out what is nothing without the value that goes."""
        tag, name = local(node.tag), local(key)
        self._cut_tables |= {part.name} if part.kind == "table" else set()
        if (tag, name) == ("sheet", "name"):
            node.set(key, self._sheet_name(filled(node.get(key), holes)))
        elif name == "formatCode":
            node.set(key, "General")
        elif tag == "definedName" or (tag == "hyperlink" and name == "location"):
            remove(node)
        elif tag in ("filter", "customFilter"):
            column = _above(node, {"filterColumn"})
            remove(node if column is None else column)
        else:
            super().cut_attribute(part, node, key, holes)

    def _sheet_name(self, text: str) -> str:
        stem = _NOT_IN_NAMES.sub("_", text)[: _LONGEST_NAME - 3]
        name, number = stem, 1
        while name in self._sheets:
            number += 1
            name = f"{stem}{number}"
        self._sheets.add(name)
        return name

    def clean(self, part: Part) -> None:
        """Take out what speaks of parts that stay behind: other workbooks, metadata of cells, slicers."""
        if part.kind == "officeDocument":
            for node in list(part.root.iter("{*}AlternateContent")):
                remove(node)
        for node in list(part.root.iter("{*}f", "{*}definedName")):
            if node.text and _OUTSIDE.search(node.text):
                if local(node.tag) == "f" and part.kind == "worksheet":
                    self._drop_formula(part.root, node)
                else:
                    node.text = "#REF!"
        if part.kind == "worksheet":
            for cell in part.root.iter("{*}c"):
                for key in ("cm", "vm"):
                    cell.attrib.pop(key, None)
        for node in list(part.root.iter("{*}graphicData")):
            if "slicer" in node.get("uri", ""):
                anchor = _above(node, ANCHORS)
                remove(node if anchor is None else anchor)
        if part.kind == "table":
            for node in part.root.iter():
                for key in ("tableType", "connectionId", "queryTableFieldId"):
                    node.attrib.pop(key, None)

    def dangling(self, node: Any, key: str) -> None:
        """Refuse sheets of kinds that are not written: the places of the others would no longer be true."""
        if local(node.tag) == "sheet":
            raise NotRedactable("it has sheets of macros or dialogs")
        super().dangling(node, key)

    # --- the whole

    def finish(self) -> None:
        """Let tables go that were cut in their names or heads, and empty the shared texts that no cell uses."""
        sheets = [part for part in self.parts.values() if part.kind == "worksheet"]
        gone = [self._drop_tables(sheet) for sheet in sheets]
        if any(gone):
            self.parts = {key: part for key, part in self.parts.items() if part.name not in self._cut_tables}
            for sheet in sheets:
                for formula in [node for node in sheet.root.iter("{*}f") if "[" in (node.text or "")]:
                    self._drop_formula(sheet.root, formula)
        for root, shared in self._cut_shared.items():
            for formula in [node for node in root.iter("{*}f") if node.get("si") in shared]:
                remove(formula)
        used = {
            (cell.findtext("{*}v") or "").strip()
            for sheet in sheets
            for cell in sheet.root.iter("{*}c")
            if cell.get("t") == "s"
        }
        for part in self.parts.values():
            if part.kind == "sharedStrings":
                _empty_unused(part.root, used)

    def _drop_tables(self, sheet: Part) -> bool:
        """Take out the tables of a sheet that were cut; their cells stay."""
        dropped = False
        for ident, link in list(sheet.links.items()):
            if not link.kind.endswith("/table"):
                continue
            root = link.target.root
            first = _ROW.search(root.get("ref", "A1").partition(":")[0])
            head = int(first[1]) if first and root.get("headerRowCount", "1") != "0" else 0
            if link.target.name in self._cut_tables or head in self._cut_rows.get(sheet.name, ()):
                self._cut_tables.add(link.target.name)
                del sheet.links[ident]
                for node in [node for node in sheet.root.iter("{*}tablePart") if ident in node.attrib.values()]:
                    remove(node)
                dropped = True
        self.tidy(sheet)
        return dropped


def _read_row(row: Any) -> tuple[list[_Cell], list[Block]]:
    """Return the cells of a row and the texts in it that are no values of cells."""
    nodes = list(row.iter("{*}c"))
    cells = [_plain_cell(node) for node in nodes]
    if _blank(row.text) and len(nodes) == len(row) and all(cells):
        formulas = [node for cell in nodes for node in cell if node.text and local(node.tag) == "f"]
        return [cell for cell in cells if cell], [block_of(node) for node in formulas]
    values: dict[Any, _Cell] = {}
    rest = []
    for block in blocks_of(row):
        cell = next((node for node in block.pieces[0].place.node.iterancestors("{*}c")), None)
        if cell is not None and (block.tag == "v" or (block.tag == "is" and block.anchor.endswith("v"))):
            before = values.get(cell, _Cell(cell, ""))
            values[cell] = _Cell(cell, before.text + block.text, before.inline or block.tag == "is")
        else:
            rest.append(block)
    return [values[node] for node in nodes if node in values], rest


def _plain_cell(node: Any) -> _Cell | None:
    """Return a cell that holds nothing but one value, and perhaps a formula; None for any other."""
    text, inline = "", False
    if not _blank(node.text) or not _blank(node.tail):
        return None
    for child in node:
        name, value = local(child.tag), child
        if name == "is" and len(child) == 1 and _blank(child.text) and local(child[0].tag) == "t":
            value, inline = child[0], True
        elif name not in ("v", "f"):
            return None
        if len(value) or not _blank(value.tail) or not _blank(child.tail) or (name != "f" and text):
            return None
        text = text if name == "f" else value.text or ""
    return _Cell(node, text, inline)


def _between(node: Any) -> list[str | None]:
    return [node.text, *(child.tail for child in node)]


def _blank(text: str | None) -> bool:
    return not text or text.isspace()


def _above(node: Any, names: frozenset[str] | set[str]) -> Any:
    return next((above for above in node.iterancestors() if local(above.tag) in names), None)


def _quoted(text: str, hole: Hole) -> bool:
    """Tell whether a hole lies in a quoted text or name of a formula, where a label can stand."""
    return any(text[: hole.start].count(sign) % 2 and sign not in text[hole.start : hole.end] for sign in "\"'")


def _empty_unused(root: Any, used: set[str]) -> None:
    for number, item in enumerate(root.iter("{*}si")):
        if str(number) not in used:
            for child in list(item):
                item.remove(child)
            item.text = None
            etree.SubElement(item, beside(item, "t"))


def redact(
    source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room, *, read: Read, number: Callable[[str], str]
) -> tuple[Removed, ...]:
    """Write the workbook without the cuts; `read` is its reader, `number` how it shows a stored number."""
    return write_copy(Book(zipsafe.Package(source, room), cuts, room, read, number), out)
