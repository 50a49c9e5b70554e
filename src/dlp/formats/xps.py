"""XPS and OpenXPS (ECMA-388): the glyph runs of pages by place, and every other part of the package."""

from __future__ import annotations

from typing import Any

from dlp.formats import Full, Source
from dlp.formats.ooxml import Walk, tree
from dlp.formats.placed import STILL, Page, Turn, times
from dlp.formats.room import Room
from dlp.formats.zipsafe import Package
from dlp.model import Document, GapKind, evolve

MEDIA = ("application/vnd.ms-xpsdocument",)

_POINTS = 72 / 96
_DEEPEST = 64  # canvases in canvases
_FONTS = (".odttf", ".ttf", ".otf", ".ttc")


def extract(source: Source, room: Room) -> Document:
    """Return all text of the document. Lines of pages have places; other segments name their block."""
    book = _Book(Package(source, room), room)
    try:
        book.run()
    except Full as full:
        book.reading.miss(full.kind, full.detail)
    return evolve(book.reading.document(MEDIA[0]), pages=book.pages)  # type: ignore[no-any-return]


class _Book(Walk):
    """A walk that reads fixed pages by place."""

    pages = 0

    def read_part(self, name: str, data: bytes) -> None:
        """Read one member: a page, or what any package has."""
        lower = name.lower()
        if lower.endswith(_FONTS):
            self._add_runs(name, data)
        elif lower.endswith(".fpage"):
            self._read_page(name, data)
        elif lower.endswith((".fdoc", ".fdseq", ".frag", ".struct", ".dict")):
            self._read_xml(name, data)
        else:
            super().read_part(name, data)

    def _read_page(self, name: str, data: bytes) -> None:
        self.room.spend_pages()
        self.pages += 1
        root = tree(data, self.room)
        width, height = (_number(root.get(key), 1000.0) * _POINTS for key in ("Width", "Height"))
        page = Page(self.pages, width, height)
        painted = self._draw(root, page, (_POINTS, 0.0, 0.0, _POINTS, 0.0, 0.0), 0)
        before = len(self.reading.segments)
        page.read(self.reading, self.path(name), painted=painted)
        if painted and len(self.reading.segments) == before:
            self.reading.note(self.room.gap(GapKind.NO_OCR, "the page shows something that is not text", self.pages))
        self._read_rest(name, root)

    def _draw(self, node: Any, page: Page, turn: Turn, depth: int) -> bool:
        if depth > _DEEPEST:
            raise Full(GapKind.TOO_DEEP, f"canvases are nested more than {_DEEPEST} deep")
        painted = False
        for child in node:
            name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
            own = times(_matrix(child.get("RenderTransform", "")), turn)
            inner = next((e for e in child if isinstance(e.tag, str) and e.tag.endswith(".RenderTransform")), None)
            if inner is not None and len(inner):
                own = times(_matrix(inner[0].get("Matrix", "")), turn)
            if name == "Glyphs":
                self._write(child, page, own)
            elif name == "Path":
                painted |= child.get("Fill") is not None or any(True for _ in child.iter("{*}ImageBrush"))
            elif name == "Canvas":
                painted |= self._draw(child, page, own, depth + 1)
        return painted

    def _write(self, thing: Any, page: Page, turn: Turn) -> None:
        text = thing.get("UnicodeString", "").removeprefix("{}")
        size = _number(thing.get("FontRenderingEmSize"), 0.0)
        x, y = _number(thing.get("OriginX"), 0.0), _number(thing.get("OriginY"), 0.0)
        indices = thing.get("Indices", "").split(";")
        if not text:
            # Glyphs without the text that they show: nobody can tell what is written there.
            if any(indices):
                why = "letters are shown whose text the file keeps back"
                self.reading.note(self.room.gap(GapKind.UNTRUSTED_TEXT, why, page.number))
            return
        points = []
        for number, letter in enumerate(text):
            points.append((x, y))
            fields = indices[number].split(",") if number < len(indices) else []
            wide = 1.0 if ord(letter) >= 0x2E80 else 0.5
            x += size * (_number(fields[1], 100 * wide) / 100 if len(fields) > 1 and fields[1] else wide)
        fill = thing.get("Fill", "")
        alpha, colour = (
            (fill[1:3], "#" + fill[3:9].lower()) if len(fill) == 9 and fill[0] == "#" else ("", fill.lower())
        )
        hidden = alpha == "00" or colour == "#ffffff" or thing.get("Opacity", "1") in ("0", "0.0")
        face = thing.get("FontUri", "").rpartition("/")[2]
        page.add(text, points, turn, size, face=face, colour=colour if len(colour) == 7 else "", hidden=hidden)

    def _read_rest(self, name: str, root: Any) -> None:
        """Feed the page without its glyph runs to the generic reader: links, names, resources."""
        collector = self.collector(name)
        for node in root.iter():
            if isinstance(node.tag, str):
                spoken = {k: v for k, v in node.attrib.items() if k not in ("UnicodeString", "Indices", "Data")}
                collector.start(node.tag, spoken)
                collector.end(node.tag)


def _number(text: str | None, other: float) -> float:
    try:
        value = float(text or "")
    except ValueError:
        return other
    return value if abs(value) < 1e6 else other


def _matrix(text: str) -> Turn:
    values = [_number(word, 0.0) for word in text.split(",")]
    return tuple(values) if len(values) == 6 else STILL  # type: ignore[return-value]
