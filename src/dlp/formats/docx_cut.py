"""Word documents without their cuts: the text of today, with nothing of its history and of who wrote it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, BinaryIO

from lxml import etree

from dlp.formats import Source, zipsafe
from dlp.formats.cutting import Hole, filled
from dlp.formats.ooxml_cut import DRAWING_PARTS, Copy, Part, write_copy
from dlp.formats.ooxml_holes import beside, local, remove
from dlp.formats.ooxml_wishes import Read
from dlp.formats.room import Room
from dlp.model import Cut, Removed

_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml."
_MACROS = "application/vnd.ms-word."
_SETTINGS = frozenset(
    {
        "autoHyphenation",
        "bordersDoNotSurroundFooter",
        "bordersDoNotSurroundHeader",
        "characterSpacingControl",
        "clrSchemeMapping",
        "compat",
        "consecutiveHyphenLimit",
        "decimalSymbol",
        "defaultTabStop",
        "displayBackgroundShape",
        "displayHorizontalDrawingGridEvery",
        "displayVerticalDrawingGridEvery",
        "doNotHyphenateCaps",
        "drawingGridHorizontalSpacing",
        "drawingGridVerticalSpacing",
        "endnotePr",
        "evenAndOddHeaders",
        "footnotePr",
        "gutterAtTop",
        "hyphenationZone",
        "listSeparator",
        "mathPr",
        "mirrorMargins",
        "noLineBreaksAfter",
        "noLineBreaksBefore",
        "printTwoOnOne",
        "themeFontLang",
        "zoom",
    }
)
"""What of the settings says how the text looks, and nothing else."""
_NOTED = frozenset({"rPr", "pPr", "trPr", "tcPr", "numPr", "sectPr", "tblPr", "ctrlPr"})
"""Properties in which an insertion or a deletion is a mark, not a piece of text."""
_STYLE_NAMES = frozenset(
    {"basedOn", "link", "linkedStyle", "next", "numStyleLink", "pStyle", "rStyle", "styleLink", "tblStyle"}
)
_TRACES = re.compile(r"rsid[A-Za-z]*|paraId|textId|author|date|initials|dateUtc")
_LOST = "〔嵌入的文档已移除〕"


class Word(Copy):
    """A Word document on its way to a copy without its cuts."""

    HOME = "word/"
    MAINS = {  # noqa: RUF012  it is declared in the class above
        _WORD + "document.main+xml": _WORD + "document.main+xml",
        _WORD + "template.main+xml": _WORD + "template.main+xml",
        _MACROS + "document.macroEnabled.main+xml": _WORD + "document.main+xml",
        _MACROS + "template.macroEnabledTemplate.main+xml": _WORD + "template.main+xml",
    }
    PARTS = {  # noqa: RUF012  as above
        **DRAWING_PARTS,
        **{
            name: f"{_WORD}{name}+xml"
            for name in ("header", "footer", "footnotes", "endnotes", "styles", "numbering", "settings", "fontTable")
        },
        "aFChunk": "",
    }
    IMPLIED = frozenset(
        {"diagramDrawing", "endnotes", "fontTable", "footnotes", "numbering", "settings", "styles", "theme"}
    )
    DROPPED = frozenset(
        {
            *("del", "moveFrom", "delText", "delInstrText", "rPrChange", "pPrChange", "sectPrChange", "tblPrChange"),
            *(
                "tblPrExChange",
                "tcPrChange",
                "trPrChange",
                "tblGridChange",
                "numberingChange",
                "cellIns",
                "cellDel",
                "cellMerge",
            ),
            *("moveFromRangeStart", "moveFromRangeEnd", "moveToRangeStart", "moveToRangeEnd"),
            *("customXmlInsRangeStart", "customXmlInsRangeEnd", "customXmlDelRangeStart", "customXmlDelRangeEnd"),
            *("customXmlMoveFromRangeStart", "customXmlMoveFromRangeEnd"),
            *("customXmlMoveToRangeStart", "customXmlMoveToRangeEnd"),
            *("commentRangeStart", "commentRangeEnd", "commentReference", "annotationRef", "permStart", "permEnd"),
            *(
                "dataBinding",
                "placeholder",
                "fldData",
                "binData",
                "proofErr",
                "proofState",
                "smartTagPr",
                "customXmlPr",
            ),
            *("embedRegular", "embedBold", "embedItalic", "embedBoldItalic", "control", "subDoc"),
            *("contentPart", "recipientData", "ocx", "hdrShapeDefaults", "movie", "rsid"),
        }
    )
    UNWRAPPED = frozenset({"ins", "moveTo", "customXml", "smartTag"})
    LISTS = frozenset({"hyperlink"})

    def __init__(self, package: zipsafe.Package, cuts: Sequence[Cut], room: Room, read: Read) -> None:
        super().__init__(package, cuts, room, read)
        self._names: dict[str, str] = {}
        self._styles: Counter[str] = Counter()

    def cut_attribute(self, part: Part, node: Any, key: str, holes: Sequence[Hole]) -> None:
        """Give names by which elements refer to each other new ones, the same wherever they stand."""
        tag, name = local(node.tag), local(key)
        refers = (tag, name) in (("bookmarkStart", "name"), ("hyperlink", "anchor"), ("style", "styleId"))
        if refers or (name == "val" and tag in _STYLE_NAMES):
            node.set(key, self._names.setdefault(node.get(key), f"cut{len(self._names) + 1}"))
        elif name == "val" and tag == "name" and local(node.getparent().tag) == "style":
            text = filled(node.get(key), holes)
            self._styles[text] += 1
            node.set(key, text if self._styles[text] == 1 else f"{text} {self._styles[text]}")
        else:
            super().cut_attribute(part, node, key, holes)

    def clean(self, part: Part) -> None:
        """Leave the text as it is shown today: changes taken in, marks of persons and sessions off."""
        if part.kind == "settings":
            for node in list(part.root):
                if local(node.tag) not in _SETTINGS:
                    remove(node)
        keys = {key for node in part.root.iter() for key in node.attrib}
        etree.strip_attributes(part.root, *[key for key in keys if _TRACES.fullmatch(local(key))])

    def dangling(self, node: Any, key: str) -> None:
        """Keep the text of a link whose address stays behind, and say where a document was."""
        name = local(node.tag)
        if name == "hyperlink":
            del node.attrib[key]
        elif name == "altChunk":
            paragraph = etree.Element(beside(node, "p"))
            etree.SubElement(etree.SubElement(paragraph, beside(node, "r")), beside(node, "t")).text = _LOST
            paragraph.tail = node.tail
            node.getparent().replace(node, paragraph)
        else:
            super().dangling(node, key)

    def _cut(self, part: Part) -> None:
        super()._cut(part)
        _take_in_rows(part.root)


def _take_in_rows(root: Any) -> None:
    """Take deleted rows out, and the marks of what was inserted or deleted off the properties that hold them."""
    for node in list(root.iter("{*}del", "{*}ins", "{*}cellDel")):
        above = node.getparent()
        if above is None:
            continue
        name, holder = local(node.tag), local(above.tag)
        row = holder == "trPr" and name == "del"
        if row or (name == "cellDel" and holder == "tcPr" and len(above.getparent().getparent().findall("{*}tc")) > 1):
            remove(above.getparent())
        elif holder in _NOTED and name == "ins":
            remove(node)


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room, read: Read) -> tuple[Removed, ...]:
    """Write the document without the cuts; `read` is its reader."""
    return write_copy(Word(zipsafe.Package(source, room), cuts, room, read), out)
