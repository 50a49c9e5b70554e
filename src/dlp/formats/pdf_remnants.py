"""What fonts still tell of characters that are gone: codes in their maps and outlines that nothing draws any more.

The contents are read by an own short reading of the operators that choose a font and show a string.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pikepdf

from dlp.formats.pdf_outlines import outlines
from dlp.formats.room import Room

_SHOWS = "q Q Tf gs Do Tj TJ ' \" BDC DP"
_MAP = re.compile(rb"(?:begin|end)bf(?:char|range)|<[0-9A-Fa-f\s]*>|\[|\]")
_MOST_CODES = 70_000
_TWO_BYTES = re.compile(r"/Identity-|.*(?:UCS2|UTF16)-")
_DEEPEST = 12  # forms in forms


class Use(NamedTuple):
    """One font of the copy and the codes that are drawn in it."""

    font: Any
    codes: set[int]


class Uses:
    """All fonts of a document, and which of their codes are shown anywhere."""

    def __init__(self, pdf: Any, room: Room) -> None:
        self._room = room
        self._uses: dict[object, Use] = {}
        self._seen: set[object] = set()
        self.spoken = False
        """True where the contents say what a reader is to read in place of what they show."""
        for page in pdf.pages:
            resources = page.obj.get("/Resources", pikepdf.Dictionary())
            self._walk(page, resources, 0)

    def tick(self) -> None:
        """Stop before the wall clock does."""
        self._room.check_time()

    def fonts(self) -> list[Use]:
        """Return every font that a page, a form or a pattern names."""
        return list(self._uses.values())

    def _walk(self, stream: Any, resources: Any, depth: int) -> None:
        self._room.check_time()
        key = _key(stream, None), _key(resources, None)
        if depth > _DEEPEST or (key in self._seen and key != (None, None)):
            return
        self._seen.add(key)
        for name, font in _items(resources, "/Font"):
            self._use(font, (key, name))
            for _, glyph in _items(font, "/CharProcs"):
                self._walk(glyph, font.get("/Resources", resources), depth + 1)
        for _, pattern in _items(resources, "/Pattern"):
            if isinstance(pattern, pikepdf.Stream):
                self._walk(pattern, pattern.get("/Resources", resources), depth + 1)
        for _, state in _items(resources, "/ExtGState"):
            mask = state.get("/SMask")
            group = mask.get("/G") if isinstance(mask, pikepdf.Dictionary) else None
            if isinstance(group, pikepdf.Stream):
                self._walk(group, group.get("/Resources", resources), depth + 1)
        self._follow(stream, resources, depth)

    def _use(self, font: Any, place: object) -> Use:
        return self._uses.setdefault(_key(font, place), Use(font, set()))

    def _follow(self, stream: Any, resources: Any, depth: int) -> None:
        stack: list[tuple[Use, Callable[[bytes], list[int]]] | None] = []
        now: tuple[Use, Callable[[bytes], list[int]]] | None = None
        place = _key(stream, None), _key(resources, None)
        for instruction in pikepdf.parse_content_stream(stream, _SHOWS):
            operator, operands = str(instruction.operator), instruction.operands
            if operator == "q":
                stack.append(now)
            elif operator == "Q":
                now = stack.pop() if stack else now
            elif operator == "Tf":
                name = str(operands[0])
                font = resources.get("/Font", {}).get(name)
                now = None if font is None else (self._use(font, (place, name)), splitter(font))
            elif operator == "gs":
                state = resources.get("/ExtGState", {}).get(str(operands[0]))
                if state is not None and "/Font" in state:
                    font = state.Font[0]
                    now = self._use(font, (place, str(operands[0]))), splitter(font)
            elif operator == "Do":
                thing = resources.get("/XObject", {}).get(str(operands[0]))
                if isinstance(thing, pikepdf.Stream) and thing.get("/Subtype") == pikepdf.Name.Form:
                    self._walk(thing, thing.get("/Resources", resources), depth + 1)
            elif operator in ("BDC", "DP"):
                about = operands[1] if len(operands) > 1 else None
                if isinstance(about, pikepdf.Dictionary) and {"/ActualText", "/Alt", "/E"} & set(about.keys()):
                    self.spoken = True
            elif now is not None:
                use, split = now
                for raw in _strings(operands):
                    use.codes.update(split(raw))


def _key(thing: Any, place: object) -> object:
    """Return the number of an object, or where it stands when it has none."""
    thing = getattr(thing, "obj", thing)
    number = thing.objgen[0] if isinstance(thing, pikepdf.Object) else 0
    return number or place


def _items(holder: Any, kind: str) -> list[tuple[str, Any]]:
    inner = holder.get(kind)
    return [(str(name), inner[name]) for name in inner.keys()] if isinstance(inner, pikepdf.Dictionary) else []  # noqa: SIM118  pikepdf


def _strings(operands: Any) -> list[bytes]:
    last = operands[-1] if len(operands) else None
    if isinstance(last, pikepdf.Array):
        return [bytes(one) for one in last if isinstance(one, pikepdf.String)]
    return [bytes(last)] if isinstance(last, pikepdf.String) else []


def splitter(font: Any) -> Callable[[bytes], list[int]]:
    """Return how the strings of a font fall into codes."""
    if font.get("/Subtype") != pikepdf.Name.Type0:
        return list
    encoding = font.get("/Encoding")
    if isinstance(encoding, pikepdf.Stream) or _TWO_BYTES.match(str(encoding)):
        return _pairs
    return _mixed


def _pairs(raw: bytes) -> list[int]:
    return [code for (code,) in struct.iter_unpack(">H", raw[: len(raw) // 2 * 2])]


def _mixed(raw: bytes) -> list[int]:
    """Split a string of one and two bytes a code, as the East Asian encodings have them."""
    codes, at = [], 0
    while at < len(raw):
        wide = raw[at] > 0x80 and at + 1 < len(raw)
        codes.append(raw[at] << 8 | raw[at + 1] if wide else raw[at])
        at += 1 + wide
    return codes


def mapped(raw: bytes) -> set[int] | None:
    """Return the codes that a ToUnicode map tells of; None when they are too many to be honest."""
    codes: set[int] = set()
    kind, row, inside = b"", list[bytes](), False
    for found in _MAP.finditer(raw):
        token = found.group()
        if token.startswith(b"b"):
            kind, row = token[5:], []
        elif token.startswith(b"e"):
            kind = b""
        elif token in (b"[", b"]"):
            inside = token == b"["
            if not inside:
                row.append(b"<>")
        elif kind and not inside:
            row.append(token)
        if len(row) == {b"bfchar": 2, b"bfrange": 3}.get(kind, -1):
            first = _code(row[0])
            last = _code(row[1]) if kind == b"bfrange" else first
            if last - first + len(codes) > _MOST_CODES:
                return None
            codes.update(range(first, last + 1))
            row = []
    return codes


def _code(token: bytes) -> int:
    digits = re.sub(rb"\s", b"", token[1:-1])
    return int(digits, 16) if digits else 0


def told(uses: Uses) -> str:
    """Return which font tells of characters that nothing shows; empty when none does."""
    programs: dict[int, _Program] = {}
    below: dict[object, set[int]] = {}  # what several fonts share is used by all of them
    for use in uses.fonts():
        for part in use.font.get("/DescendantFonts", ()):
            below.setdefault(_key(part, id(use.codes)), set()).update(use.codes)
    for use in uses.fonts():
        why = _table(use) or _wide(use, below)
        if why:
            return why
        stream, glyphs = _program(use)
        if stream is not None:
            number = stream.objgen[0] or id(stream)
            known = programs.setdefault(number, _Program(stream, set(), set()))
            known.codes.update(("code", number, code) for code in use.codes)
            if glyphs is None:
                known.glyphs.add(None)
            else:
                known.glyphs.update(glyphs)
    for program in programs.values():
        uses.tick()
        why = _drawn(program)
        if why:
            return why
    return ""


class _Program(NamedTuple):
    """A font program, the codes of all fonts that share it, and the glyphs they need; None among them: not known."""

    stream: Any
    codes: set[object]
    glyphs: set[int | None]


def _drawn(program: _Program) -> str:
    found = outlines(bytes(program.stream.read_bytes()))
    if found is None:
        return ""
    solid = found.solid - found.parts - {0}
    if found.numbered and None not in program.glyphs:
        return "a font draws characters that are not shown" if solid - program.glyphs else ""
    return "a font draws more characters than are shown" if len(solid) > len(program.codes) + found.spare else ""


def _table(use: Use) -> str:
    """Judge what the dictionaries of a font say: map, widths, names and drawings of its characters."""
    font = use.font
    to_unicode = font.get("/ToUnicode")
    if isinstance(to_unicode, pikepdf.Stream):
        codes = mapped(bytes(to_unicode.read_bytes()))
        if codes is None or codes - use.codes:
            return "a font map tells of characters that are not shown"
    first = int(font.get("/FirstChar", 0))
    if any(width and first + at not in use.codes for at, width in enumerate(font.get("/Widths", ()))):
        return "a font has widths of characters that are not shown"
    encoding = font.get("/Encoding")
    named = _differences(encoding.get("/Differences", ())) if isinstance(encoding, pikepdf.Dictionary) else {}
    if set(named) - use.codes:
        return "a font has names of characters that are not shown"
    if {name for name, _ in _items(font, "/CharProcs")} - set(named.values()):
        return "a font draws characters that are not shown"
    return ""


def _wide(use: Use, below: dict[object, set[int]]) -> str:
    """Judge the widths of a font of numbered glyphs."""
    if not str(use.font.get("/Encoding")).startswith("/Identity-"):
        return ""
    for part in use.font.get("/DescendantFonts", ()):
        told: set[int] = set()
        row = list(part.get("/W", ()))
        at = 0
        while at + 1 < len(row):
            first, second = int(row[at]), row[at + 1]
            is_list = isinstance(second, pikepdf.Array)
            last = first + len(second) - 1 if is_list else int(second)
            if last - first > _MOST_CODES:
                return "a font has widths of characters that are not shown"
            told.update(range(first, last + 1))
            at += 2 if is_list else 3
        if told - below[_key(part, id(use.codes))]:
            return "a font has widths of characters that are not shown"
    return ""


def _differences(items: Any) -> dict[int, str]:
    names: dict[int, str] = {}
    code = 0
    for item in items:
        if isinstance(item, pikepdf.Name):
            names[code] = str(item)
            code += 1
        else:
            code = int(item)
    return {code: name for code, name in names.items() if name != "/.notdef"}


def _program(use: Use) -> tuple[Any, set[int] | None]:
    """Return the program of a font, and the outlines that its codes need (None: only how many)."""
    font = use.font
    if font.get("/Subtype") == pikepdf.Name.Type0 and len(font.get("/DescendantFonts", ())):
        font = font.DescendantFonts[0]
    about = font.get("/FontDescriptor")
    keys = ("/FontFile", "/FontFile2", "/FontFile3") if isinstance(about, pikepdf.Dictionary) else ()
    program = next((about[key] for key in keys if isinstance(about.get(key), pikepdf.Stream)), None)
    straight = str(use.font.get("/Encoding")).startswith("/Identity-")
    if program is None or font.get("/Subtype") != pikepdf.Name.CIDFontType2 or not straight:
        return program, None
    places = font.get("/CIDToGIDMap")
    if not isinstance(places, pikepdf.Stream):
        return program, set(use.codes)
    table = bytes(places.read_bytes())
    numbers = np.frombuffer(table[: len(table) // 2 * 2], dtype=">u2")
    return program, {int(numbers[code]) for code in use.codes if code < len(numbers)}
