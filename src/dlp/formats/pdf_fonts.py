"""Fonts of a PDF as the redactor needs them: how bytes fall into codes, and how wide each code is.

Which character a code stands for plays no part: what is removed is removed by its place, so a map that lies changes
nothing (ISO 32000-1, 9.2 to 9.7).
"""

from __future__ import annotations

import bisect
import io
from typing import Any, Protocol

import pikepdf
from pdfminer.cmapdb import CMapDB, CMapParser, FileCMap
from pdfminer.encodingdb import EncodingDB
from pdfminer.fontmetrics import FONT_METRICS
from pdfminer.psexceptions import PSException

from dlp.formats.pdf_ops import NeedsRaster, turn_of

_THOUSAND = 1_000.0
_ASCENT, _DESCENT = 0.88, -0.12  # em: where a font tells nothing that can be believed
_HIGH, _LOW = 1.6, -0.8  # em: beyond these a font's own word is not believed
_CMAP_BYTES = 4 << 20
_NO_WIDTH = "a font does not tell how wide its letters are"


class Font(Protocol):
    """How the codes of one font are read and measured; lengths in text space for size 1."""

    vertical: bool
    em: float
    """Height of a letter's square: 1, but for fonts of drawings, which have units of their own."""
    ascent: float
    descent: float

    def split(self, data: bytes) -> list[bytes]:
        """Return the codes of a string. Raises `NeedsRaster` where readers may differ."""

    def width(self, code: bytes) -> float:
        """Return how far the pen moves to the right."""

    def down(self, code: bytes) -> float:
        """Return how far the pen moves in vertical writing; negative is down."""


def load(font: Any) -> Font:
    """Return the measures of a font dictionary. Raises `NeedsRaster` for one that cannot be measured."""
    kind = str(font.get("/Subtype", ""))
    try:
        if kind == "/Type0":
            return Composite(font)
        if kind in ("/Type1", "/MMType1", "/TrueType", "/Type3"):
            return _Simple(font, kind)
    except (ValueError, TypeError, KeyError, AttributeError, pikepdf.PdfError) as err:
        raise NeedsRaster("a font is damaged") from err
    raise NeedsRaster("a font is of an unknown kind")


class _Simple:
    """One byte a code."""

    vertical = False
    em = 1.0

    def __init__(self, font: Any, kind: str) -> None:
        self._unit = 1 / _THOUSAND
        descriptor = font.get("/FontDescriptor")
        self.ascent, self.descent = _reach(descriptor)
        self._missing = float(descriptor.get("/MissingWidth", 0)) if descriptor is not None else 0.0
        self._widths: dict[bytes, float] = {}
        if kind == "/Type3":
            self._measure_drawings(font)
        widths = font.get("/Widths")
        if widths is not None:
            first = int(font.get("/FirstChar", 0))
            for place, one in enumerate(list(widths)[:256]):
                if 0 <= first + place < 256:
                    self._widths[bytes([first + place])] = float(one)
        else:
            self._take_standard(font)

    def _measure_drawings(self, font: Any) -> None:
        """Take the units of a font of drawings from its box, or from its widths where it has none."""
        matrix = turn_of(font["/FontMatrix"])
        self._unit = abs(matrix[0])
        low, high = sorted(float(font["/FontBBox"][number]) * matrix[3] for number in (1, 3))
        widest = max((abs(float(one)) for one in font.get("/Widths", ())), default=0.0) * self._unit
        if high - low < widest / 4:
            low, high = _DESCENT * widest, _ASCENT * widest
        self.em = (high - low) or 1.0
        self.ascent, self.descent = high, min(low, 0.0)

    def _take_standard(self, font: Any) -> None:
        """Take the widths of one of the fonts that every reader has (ISO 32000-1, 9.6.2.2)."""
        name = str(font.get("/BaseFont", ""))[1:]
        known = FONT_METRICS.get(name)
        if known is None:
            raise NeedsRaster(_NO_WIDTH)
        encoding = font.get("/Encoding")
        base, changes = "StandardEncoding", None
        if isinstance(encoding, pikepdf.Name):
            base = str(encoding)[1:]
        elif isinstance(encoding, pikepdf.Dictionary):
            base = str(encoding.get("/BaseEncoding", "/StandardEncoding"))[1:]
            changes = _changes(encoding.get("/Differences"))
        letters = EncodingDB.get_encoding(base, changes)
        for code in range(256):
            letter = letters.get(code)
            if letter is not None and letter in known[1]:
                self._widths[bytes([code])] = float(known[1][letter])

    def split(self, data: bytes) -> list[bytes]:
        return [data[i : i + 1] for i in range(len(data))]

    def width(self, code: bytes) -> float:
        return self._widths.get(code, self._missing) * self._unit

    def down(self, code: bytes) -> float:  # noqa: ARG002  simple fonts have no vertical writing
        return 0.0


def _changes(differences: Any) -> Any:
    from pdfminer.psparser import LIT  # noqa: PLC0415  only the few files that name their own letters need it

    if differences is None:
        return None
    return [LIT(str(one)[1:]) if isinstance(one, pikepdf.Name) else int(one) for one in differences]


class Composite:
    """Codes of one to four bytes that stand for numbers of glyphs (CID)."""

    em = 1.0

    def __init__(self, font: Any) -> None:
        below = font["/DescendantFonts"][0]
        self.ascent, self.descent = _reach(below.get("/FontDescriptor"))
        encoding = font["/Encoding"]
        self._wide = False
        self._tree: Any = None
        if isinstance(encoding, pikepdf.Stream):
            self._read_map(encoding)
        else:
            name = str(encoding)[1:]
            self.vertical = name.endswith("V")
            if name in ("Identity-H", "Identity-V"):
                self._wide = True
            else:
                self._tree = _listed(name)
        self._default = float(below.get("/DW", _THOUSAND))
        self._widths, self._ranges = spans(below.get("/W"), 1)
        usual = below.get("/DW2")
        self._default_down = float(usual[1]) if usual is not None else -_THOUSAND
        self._downs, self._down_ranges = spans(below.get("/W2"), 3) if self.vertical else ({}, [])
        self._known: dict[bytes, float] = {}

    def _read_map(self, stream: Any) -> None:
        raw = bytes(stream.read_bytes())
        if len(raw) > _CMAP_BYTES:
            raise NeedsRaster("a map of a font is too large")
        if raw.count(b"begincodespacerange") != 1:
            raise NeedsRaster("a map of a font does not tell how long its codes are")
        found = FileCMap()
        try:
            CMapParser(found, io.BytesIO(raw)).run()
        except PSException as err:
            raise NeedsRaster("a map of a font is damaged") from err
        base = stream.get("/UseCMap")
        if base is not None or b"usecmap" in raw:
            raise NeedsRaster("a map of a font is built on another one")
        self.vertical = int(stream.get("/WMode", 0)) == 1
        self._tree = found.code2cid

    def split(self, data: bytes) -> list[bytes]:
        """Return the codes of a string. Raises `NeedsRaster` where readers may differ."""
        if self._wide:
            if len(data) % 2:
                raise NeedsRaster("a text ends in the middle of a code")
            return [data[i : i + 2] for i in range(0, len(data), 2)]
        codes = []
        start = 0
        while start < len(data):
            end = self._end(data, start)
            codes.append(data[start:end])
            start = end
        return codes

    def _end(self, data: bytes, start: int) -> int:
        node = self._tree
        for end in range(start, min(start + 4, len(data))):
            node = node.get(data[end])
            if node is None:
                break
            if isinstance(node, int):
                return end + 1
        raise NeedsRaster("a text has a code that its font does not know")

    def cid(self, code: bytes) -> int:
        """Return the number of the glyph of a code."""
        if self._wide:
            return int.from_bytes(code, "big")
        node = self._tree
        for byte in code:
            node = node[byte]
        return int(node)

    def width(self, code: bytes) -> float:
        """Return how far the pen moves to the right."""
        known = self._known.get(code)
        if known is None:
            cid = self.cid(code)
            found = self._widths.get(cid) or in_ranges(self._ranges, cid)
            known = self._known[code] = (found[0] if found else self._default) / _THOUSAND
        return known

    def down(self, code: bytes) -> float:
        """Return how far the pen moves in vertical writing; negative is down."""
        cid = self.cid(code)
        found = self._downs.get(cid) or in_ranges(self._down_ranges, cid)
        return (found[0] if found else self._default_down) / _THOUSAND


def _listed(name: str) -> Any:
    try:
        found: Any = CMapDB.get_cmap(name)
        tree = found.code2cid  # the table itself: readers that miss a code go on differently
    except (CMapDB.CMapNotFound, AttributeError, OSError, ValueError) as err:
        raise NeedsRaster("a font uses a map that is not known") from err
    return tree


_Span = tuple[int, int, tuple[float, ...]]


def spans(table: Any, each: int) -> tuple[dict[int, tuple[float, ...]], list[_Span]]:
    """Return the widths of single glyphs and of ranges of them, from /W (one number each) or /W2 (three)."""
    singles: dict[int, tuple[float, ...]] = {}
    ranges: list[_Span] = []
    values = list(table) if table is not None else []
    at = 0
    while at + 1 < len(values):
        first = int(values[at])
        if isinstance(values[at + 1], pikepdf.Array):
            flat = [float(one) for one in values[at + 1]]
            for place in range(len(flat) // each):
                singles[first + place] = tuple(flat[each * place : each * place + each])
            at += 2
            continue
        if at + 1 + each >= len(values):
            raise NeedsRaster(_NO_WIDTH)
        ranges.append((first, int(values[at + 1]), tuple(float(one) for one in values[at + 2 : at + 2 + each])))
        at += 2 + each
    ranges.sort(key=lambda one: one[0])
    return singles, ranges


def in_ranges(ranges: list[_Span], cid: int) -> tuple[float, ...] | None:
    """Return what a table of ranges says of one glyph."""
    at = bisect.bisect_right(ranges, cid, key=lambda one: one[0]) - 1
    return ranges[at][2] if at >= 0 and cid <= ranges[at][1] else None


def _reach(descriptor: Any) -> tuple[float, float]:
    """Return how far letters reach above and below their line, in em."""
    if descriptor is None:
        return _ASCENT, _DESCENT
    high = float(descriptor.get("/Ascent", 0)) / _THOUSAND
    low = float(descriptor.get("/Descent", 0)) / _THOUSAND
    return (high if 0.3 < high < _HIGH else _ASCENT), (low if _LOW < low < 0 else _DESCENT)
