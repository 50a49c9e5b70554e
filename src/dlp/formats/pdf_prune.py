"""Fonts of a redacted PDF with nothing in them but what its pages still show.

A font that is made for one document tells which letters stood in it: by its map to Unicode, its widths, its names of
letters and its outlines. What only a removed text needed would be a gap in the alphabet that everybody can read, so
each font keeps what is used and not one letter more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import pikepdf
from pdfminer.encodingdb import EncodingDB

from dlp.formats import pdf_fonts, pdf_programs
from dlp.formats.pdf_ops import NeedsRaster
from dlp.formats.pdf_shows import NESTING, Shared, key_of

_SHOWS = "q Q Tf gs Do Tj TJ ' \""
_MAP_TOKEN = re.compile(rb"(?:begin|end)bf(?:char|range)|<[0-9A-Fa-f\s]*>|\[|\]")
_MOST_CODES = 70_000
_BLOCK = 100  # entries of one block of a map


class Fonts:
    """All fonts of the pages that are taken along, and the codes that these pages show."""

    def __init__(self, pdf: Any, shared: Shared) -> None:
        self._pdf = pdf
        self._shared = shared
        self._faces: dict[Any, Any] = {}
        self._codes: dict[Any, set[bytes]] = {}
        self._done: set[tuple[int, int]] = set()

    def use(self, content: bytes, resources: Any) -> None:
        """Note what a page shows. Raises `NeedsRaster` for text that cannot be taken apart."""
        self._scan(self._pdf.make_stream(content), resources, None, 0)

    def _scan(self, stream: Any, resources: Any, face: Any, depth: int) -> None:
        self._shared.tick()
        if depth > NESTING:
            raise NeedsRaster("forms are nested too deep")
        kept: list[Any] = []
        try:
            for one in pikepdf.parse_content_stream(stream, _SHOWS):
                name, operands = str(one.operator), one.operands
                if name == "q":
                    kept.append(face)
                elif name == "Q":
                    face = kept.pop() if kept else face
                elif name == "Tf":
                    face = resources["/Font"][str(operands[0])]
                elif name == "gs":
                    state = resources["/ExtGState"][str(operands[0])]
                    face = state["/Font"][0] if "/Font" in state else face
                elif name == "Do":
                    self._form(resources["/XObject"][str(operands[0])], resources, face, depth)
                else:
                    self._show(face, operands)
            self._inner(resources, depth)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, pikepdf.PdfError) as err:
            raise NeedsRaster("its text cannot be taken apart") from err

    def _form(self, thing: Any, resources: Any, face: Any, depth: int) -> None:
        if str(thing.get("/Subtype", "")) == "/Form" and self._is_new(thing):
            self._scan(thing, thing.get("/Resources", resources), face, depth + 1)

    def _is_new(self, thing: Any) -> bool:
        if thing.objgen in self._done:
            return False
        self._done.add(thing.objgen)
        return True

    def _inner(self, resources: Any, depth: int) -> None:
        """Look into patterns, masks and drawn letters."""
        for pattern in _values(resources, "/Pattern"):
            if isinstance(pattern, pikepdf.Stream) and self._is_new(pattern):
                self._scan(pattern, pattern.get("/Resources", resources), None, depth + 1)
        for state in _values(resources, "/ExtGState"):
            mask = state.get("/SMask")
            group = mask.get("/G") if isinstance(mask, pikepdf.Dictionary) else None
            if group is not None and self._is_new(group):
                self._scan(group, group.get("/Resources", resources), None, depth + 1)
        for face in _values(resources, "/Font"):
            known = key_of(face) in self._codes
            self._note(face)
            for drawing in () if known else _values(face, "/CharProcs"):
                if self._is_new(drawing):
                    self._scan(drawing, face.get("/Resources", resources), None, depth + 1)

    def _note(self, face: Any) -> set[bytes]:
        key = key_of(face)
        self._faces.setdefault(key, face)
        return self._codes.setdefault(key, set())

    def _show(self, face: Any, operands: Any) -> None:
        last = operands[-1]
        strings = last if isinstance(last, pikepdf.Array) else [last]
        if face is None:
            raise NeedsRaster("text is shown without a font")
        codes, font = self._note(face), self._shared.font(face)
        for one in strings:
            if isinstance(one, pikepdf.String):
                codes.update(font.split(bytes(one)))

    def prune(self) -> None:
        """Take out of each font what no page shows. Raises `NeedsRaster` for a font that cannot be pruned."""
        programs: dict[object, _Program] = {}
        below: dict[object, tuple[Any, set[int]]] = {}
        try:
            for key, face in self._faces.items():
                self._shared.tick()
                codes = self._codes[key]
                if isinstance(face.get("/ToUnicode"), pikepdf.Stream):
                    made = _unicode_map(bytes(face["/ToUnicode"].read_bytes()), codes)
                    face["/ToUnicode"] = self._pdf.make_stream(made)
                if str(face.get("/Subtype", "")) == "/Type0":
                    part = face["/DescendantFonts"][0]
                    below.setdefault(key_of(part), (part, set()))[1].update(self._cids(face, codes))
                else:
                    _add(programs, face, _simple(face, codes))
            for part, cids in below.values():
                _add(programs, part, self._composite(part, cids))
            for program in programs.values():
                self._shared.tick()
                pdf_programs.prune(program.about, program.key, program.kept)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, pikepdf.PdfError) as err:
            raise NeedsRaster("a font cannot be pruned") from err

    def _cids(self, face: Any, codes: set[bytes]) -> set[int]:
        font = self._shared.font(face)
        return {font.cid(code) for code in codes} if isinstance(font, pdf_fonts.Composite) else set()

    def _composite(self, part: Any, cids: set[int]) -> pdf_programs.Kept:
        """Prune the widths of a font of numbered glyphs, which several fonts may share."""
        if "/W" in part:
            part["/W"] = _widths(part["/W"], cids, 1)
        if "/W2" in part:
            part["/W2"] = _widths(part["/W2"], cids, 3)
        places = part.get("/CIDToGIDMap")
        if not isinstance(places, pikepdf.Stream):
            return pdf_programs.Kept(cids=frozenset(cids))
        table = bytes(places.read_bytes())
        pruned = bytearray(len(table))
        for cid in cids:
            pruned[2 * cid : 2 * cid + 2] = table[2 * cid : 2 * cid + 2]
        part["/CIDToGIDMap"] = self._pdf.make_stream(bytes(pruned[: len(table)]))
        glyphs = {int.from_bytes(table[2 * cid : 2 * cid + 2], "big") for cid in cids}
        return pdf_programs.Kept(cids=frozenset(glyphs))


class _Program(NamedTuple):
    """A font program: the descriptor and the key that it lies under, and what is kept of it."""

    about: Any
    key: str
    kept: pdf_programs.Kept


def _add(programs: dict[object, _Program], font: Any, kept: pdf_programs.Kept) -> None:
    about = font.get("/FontDescriptor")
    for key in ("/FontFile", "/FontFile2", "/FontFile3"):
        if about is not None and isinstance(about.get(key), pikepdf.Stream):
            old = programs.get(key_of(about[key]))
            programs[key_of(about[key])] = _Program(about, key, kept if old is None else old.kept.with_(kept))


def _values(holder: Any, key: str) -> Iterable[Any]:
    table = holder.get(key) if holder is not None else None
    return [table[name] for name in table.keys()] if isinstance(table, pikepdf.Dictionary) else []  # noqa: SIM118  pikepdf


def _simple(face: Any, codes: set[bytes]) -> pdf_programs.Kept:
    """Prune widths and names of a font of one byte a code, and return what its program has to keep."""
    used = {code[0] for code in codes}
    first = int(face.get("/FirstChar", 0))
    if "/Widths" in face:
        widths = list(face["/Widths"])
        face["/Widths"] = pikepdf.Array([w if first + i in used else 0 for i, w in enumerate(widths)])
    encoding = face.get("/Encoding")
    base: str | None = str(encoding)[1:] if isinstance(encoding, pikepdf.Name) else None
    names: dict[int, str] = {}
    if isinstance(encoding, pikepdf.Dictionary):
        base = str(encoding["/BaseEncoding"])[1:] if "/BaseEncoding" in encoding else None
        names = {code: name for code, name in _differences(encoding.get("/Differences", ())).items() if code in used}
        items = [item for code, name in sorted(names.items()) for item in (code, pikepdf.Name("/" + name))]
        own = pikepdf.Dictionary(Type=pikepdf.Name.Encoding, Differences=items)
        if base:
            own["/BaseEncoding"] = encoding["/BaseEncoding"]
        face["/Encoding"] = own
    drawings = face.get("/CharProcs")
    if isinstance(drawings, pikepdf.Dictionary):
        kept = pikepdf.Dictionary()
        for name in {"/" + name for name in names.values()} & set(drawings.keys()):
            kept[name] = drawings[name]
        face["/CharProcs"] = kept
    standard = EncodingDB.encodings.get(base or "", {})
    letters = {code: str(standard[code]) for code in used if code in standard}
    return pdf_programs.Kept(
        codes=frozenset(used), names=frozenset(names.values()), letters=frozenset(letters.values())
    )


def _differences(items: Any) -> dict[int, str]:
    names: dict[int, str] = {}
    code = 0
    for item in items:
        if isinstance(item, pikepdf.Name):
            names[code] = str(item)[1:]
            code += 1
        else:
            code = int(item)
    return names


def _widths(table: Any, cids: set[int], each: int) -> Any:
    """Return /W or /W2 with the entries of these glyphs only."""
    singles, ranges = pdf_fonts.spans(table, each)
    kept: list[Any] = []
    for cid in sorted(cids):
        found = singles.get(cid) or pdf_fonts.in_ranges(ranges, cid)
        if found:
            kept += [cid, pikepdf.Array([_whole(one) for one in found])]
    return pikepdf.Array(kept)


def _whole(number: float) -> Any:
    return int(number) if number == int(number) else round(number, 4)


def _unicode_map(raw: bytes, codes: set[bytes]) -> bytes:
    """Return a map to Unicode of these codes only."""
    known = _entries(raw, {int.from_bytes(code, "big") for code in codes})
    size = max((len(code) for code in codes), default=2)
    lines = [
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
        "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
        f"1 begincodespacerange <{'00' * size}> <{'FF' * size}> endcodespacerange",
    ]
    entries = [
        f"<{code.hex().upper()}> <{known[int.from_bytes(code, 'big')]}>"
        for code in sorted(codes)
        if int.from_bytes(code, "big") in known
    ]
    for start in range(0, len(entries), _BLOCK):
        block = entries[start : start + _BLOCK]
        lines += [f"{len(block)} beginbfchar", *block, "endbfchar"]
    return "\n".join([*lines, "endcmap end end"]).encode("ascii")


def _entries(raw: bytes, wanted: set[int]) -> dict[int, str]:
    """Return what a map says of the wanted codes, as hexadecimal UTF-16."""
    known: dict[int, str] = {}
    row: list[Any] = []
    inner: list[bytes] | None = None
    need = 0
    for match in _MAP_TOKEN.finditer(raw):
        token = match.group()
        if token[:1] in (b"b", b"e"):
            need, row, inner = {b"beginbfchar": 2, b"beginbfrange": 3}.get(token, 0), [], None
        elif token == b"[":
            inner = []
        elif token == b"]":
            row.append(inner or [])
            inner = None
        elif inner is not None:
            inner.append(token)
        elif need:
            row.append(token)
        if need and len(row) == need:
            _take(row, wanted, known)
            row = []
    return known


def _take(row: list[Any], wanted: set[int], known: dict[int, str]) -> None:
    first = _number(row[0])
    if len(row) == 2:
        if first in wanted and isinstance(row[1], bytes):
            known[first] = _digits(row[1])
        return
    last = _number(row[1])
    if last - first > _MOST_CODES:
        raise NeedsRaster("a map of a font is too large")
    for code in [code for code in range(first, last + 1) if code in wanted]:
        if isinstance(row[2], list):
            if code - first < len(row[2]):
                known[code] = _digits(row[2][code - first])
            continue
        digits = _digits(row[2])
        if len(digits) >= 4:  # the last UTF-16 unit counts on
            end = (int(digits[-4:], 16) + code - first) & 0xFFFF
            known[code] = f"{digits[:-4]}{end:04X}"


def _number(token: bytes) -> int:
    return int(_digits(token) or "0", 16)


def _digits(token: bytes) -> str:
    digits = re.sub(rb"\s", b"", token[1:-1]).decode("ascii").upper()
    return digits if len(digits) % 2 == 0 else digits + "0"
