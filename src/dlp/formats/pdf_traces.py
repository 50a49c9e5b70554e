"""What a whole PDF leaks beside its pages: marks that were never applied, earlier revisions, metadata, fonts, files."""

from __future__ import annotations

import ctypes
import re
import string
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pikepdf
import pypdfium2.raw as pdfium
from lxml import etree

from dlp import leaks
from dlp.formats.pdf_leaks import FEW, Leak, look, noted
from dlp.formats.pdf_pages import Frame, Seen, _read
from dlp.formats.room import Room
from dlp.model import GapKind, Segment, Strip, Zone

GRAM = 4  # characters that are looked for together
CHANGED = GRAM + 1  # windows that are gone: a single new character, or a line that breaks elsewhere, costs fewer
MOST_VALUES, LONGEST_VALUE, MOST_TOKENS = 20, 1_000, 30  # of the metadata: values, characters and words of one
NOTES = 2_000  # annotations of a page that are looked at
_DRAWN = frozenset(
    ["/Square", "/Circle", "/Highlight", "/Ink", "/Polygon", "/Line", "/PolyLine", "/FreeText", "/Stamp"]
)
_OWN = frozenset(["/Producer", "/Creator", "/CreationDate", "/ModDate", "/Trapped", "/SourceModified", "/ID"])
_TECHNICAL = re.compile(r"/(?:PTEX\.|GTS_|AAPL:|KSO|ICV|WPS|PDFVersion|PXC|rgid|_|XPress|ICNAppN)", re.IGNORECASE)
_NOBODY = frozenset(["anonymous", "(anonymous)", "unspecified", "untitled", "unknown", "user", "admin"])
_XMP = ("dc:title", "dc:creator", "dc:description", "dc:subject", "pdf:Keywords")
_WORDS = re.compile(r"[0-9A-Za-z]+|[\u3400-\u9fff]")
_TOKENS = re.compile(r"[0-9a-z]+|[\u3400-\u9fff]+")
_BETWEEN = re.compile(r"(?<=[\u3400-\u9fff])\s+(?=[\u3400-\u9fff])")
_SIGN = re.compile(r"█{2,}|\bREDACTED\b|已脱敏|已涂黑")
_SIGNS = frozenset(["covered", "picture", "measurable", "unapplied"])
_SUBSET = re.compile(r"/[A-Z]{6}\+")
_ALPHABET = frozenset(string.ascii_letters + string.digits)
_HEX = re.compile(rb"<([0-9A-Fa-f\s]*)>")
_BROKEN = (
    pikepdf.PdfError,
    etree.LxmlError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    OverflowError,
    UnicodeError,
    NotImplementedError,
)
_DETAIL = "what a redaction may have left could not be looked for"


class Lookout:
    """Watches a document while it is read, and tells at its end what leaks."""

    def __init__(self, room: Room, gap: Callable[[GapKind, str, int | None], None]) -> None:
        self._room = room
        self._gap = gap
        self._found: dict[int, list[Leak]] = {}
        self._frames: dict[int, Frame] = {}
        self._raw = b""

    def watch(self, number: int, page: int, raw: bytes, seen: Seen) -> None:
        """Look at page `number` (from 0), which is open at address `page`."""
        self._raw = raw
        self._frames[number + 1] = seen.frame
        self._guard(number + 1, lambda: look(page, seen))

    def tell(self, structure: Any, segments: Sequence[Segment]) -> list[Segment]:
        """Return the marks of everything that leaks; `structure` is the document as pikepdf opened it, or None."""
        pages = [s for s in segments if s.strip is not None and not s.anchor]
        self._guard(0, lambda: _revisions(segments, pages))
        if structure is not None:
            self._notes(structure)
            shown = "\n".join(s.text for s in pages)
            redacted = _SIGN.search(shown) is not None or any(leak.kind in _SIGNS for leak in self._all())
            self._guard(0, lambda: _metadata(structure, shown))
            self._guard(0, lambda: _attachments(structure, redacted=redacted))
            self._guard(0, lambda: _remnants(structure, set(shown)) if redacted else ())
        self._guard(0, lambda: _repeated(segments, [leak.text for leak in self._all() if leak.kind == "covered"]))
        return list(self._marks())

    def _guard(self, page: int, step: Callable[[], Iterable[Leak]]) -> None:
        try:
            found = list(step())
        except _BROKEN:
            self._gap(GapKind.CORRUPT, _DETAIL, page or None)
        else:
            self._found.setdefault(page, []).extend(found)

    def _all(self) -> Iterator[Leak]:
        for found in self._found.values():
            yield from found

    def _notes(self, structure: Any) -> None:
        """Look for marks of redaction that were never applied, and for notes that only a viewer draws."""
        try:
            count = len(structure.pages)
        except _BROKEN:
            return  # the walk over the places beside the pages meets the same page tree and says so
        for number in range(1, count + 1):
            if number in self._frames:
                self._room.check_time()
                self._guard(number, partial(self._notes_of, structure, number))

    def _notes_of(self, structure: Any, number: int) -> Iterator[Leak]:
        bare = []
        for kind, rect, drawn in _annotations(structure, number):
            if kind == "/Redact":
                yield Leak("unapplied", self._frames[number].box(rect))
            elif not drawn:
                bare.append(rect)
        if bare:
            yield from _under_notes(self._raw, number, bare)

    def _marks(self) -> Iterator[Segment]:
        for page, found in sorted(self._found.items()):
            counts: dict[str, int] = {}
            for leak in found:
                counts[leak.kind] = counts.get(leak.kind, 0) + 1
                if counts[leak.kind] > FEW:
                    continue
                strip = None
                if page:
                    x0, y0, x1, y1 = leak.box or (0.0, 0.0, 0.0, 0.0)
                    strip = Strip(page=page, x0=x0, y0=y0, x1=x1, y1=y1, edges=b"")
                self._room.spend_segments()
                yield leaks.mark(leak.kind, self._room.part, strip)


def _annotations(structure: Any, number: int) -> Iterator[tuple[str, Any, bool]]:
    """Give kind, rectangle and whether it brings its own drawing, of each annotation of page `number` (from 1)."""
    notes = structure.pages[number - 1].obj.get("/Annots")
    for note in list(notes)[:NOTES] if isinstance(notes, pikepdf.Array) else ():
        if not isinstance(note, pikepdf.Dictionary):
            continue
        kind = str(note.get("/Subtype", ""))
        if kind == "/Redact" or kind in _DRAWN:
            a, b, c, d = (float(v) for v in note.Rect)
            drawn = isinstance(note.get("/AP"), pikepdf.Dictionary) and "/N" in note.AP
            yield kind, (min(a, c), min(b, d), max(a, c), max(b, d)), drawn


def _under_notes(raw: bytes, number: int, rects: list[Any]) -> Iterator[Leak]:
    """Look below notes without a drawing of their own: on a fresh copy, because they vanish when notes are merged."""
    document = pdfium.FPDF_LoadMemDocument64(raw, len(raw), None)
    page = pdfium.FPDF_LoadPage(document, number - 1) if document else None
    try:
        if page:
            address = ctypes.cast(page, ctypes.c_void_p).value or 0
            seen = _read(address)
            if seen is not None:
                boxes = seen.frame.boxes(np.array(rects, dtype=np.float64))
                yield from noted(address, seen, boxes)
    finally:
        if page:
            pdfium.FPDF_ClosePage(page)
        if document:
            pdfium.FPDF_CloseDocument(document)


# --- earlier revisions


def _revisions(segments: Sequence[Segment], pages: Iterable[Segment]) -> Iterator[Leak]:
    """Tell of lines that an earlier revision has and whose words the last one has nowhere."""
    gone = [_squeezed(s.text) for s in segments if s.anchor.startswith("revision ")]
    gone = [line for line in dict.fromkeys(gone) if sum(map(str.isalnum, line)) >= 2]
    if not gone:
        return
    wanted = {gram for line in gone for gram in _grams(line)}
    shown = "".join(_squeezed(s.text) for s in pages)
    left = {shown[i : i + size] for size in {len(g) for g in wanted} for i in range(len(shown) - size + 1)} & wanted
    for line in gone:
        grams = [gram for gram in _grams(line) if gram not in left]
        whole = len(grams) == max(1, len(line) - GRAM + 1)
        if (whole or len(grams) >= CHANGED) and sum(any(map(str.isalnum, gram)) for gram in grams) > 0:
            yield Leak("revision")


def _grams(line: str) -> Iterator[str]:
    size = min(GRAM, len(line))
    return (line[i : i + size] for i in range(len(line) - size + 1))


def _squeezed(text: str) -> str:
    return "".join(text.split())


# --- metadata


def _repeated(segments: Iterable[Segment], covered: Sequence[str]) -> Iterator[Leak]:
    """Tell of strings outside the pages that repeat what is covered on them."""
    telling = {word for text in covered for word in _telling(text)}
    if not telling:
        return
    for segment in segments:
        if segment.anchor.startswith("/") and segment.zone in (Zone.METADATA, Zone.COMMENT, Zone.HIDDEN):
            words = _words(segment.text)
            runs = ("".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1))
            if any(run in telling for run in runs):
                yield Leak("repeated")


def _telling(text: str) -> Iterator[str]:
    """Give what of a covered text says something by itself: numbers, three Han characters, two words in a row."""
    words = _words(text)
    for i, word in enumerate(words):
        if len(word) >= GRAM and any(map(str.isdigit, word)):
            yield word
        pair = words[i : i + 2]
        if len(pair) == 2 and min(map(len, pair)) > 2:
            yield "".join(pair)
        han = words[i : i + 3]
        if len(han) == 3 and max(map(len, han)) == 1:
            yield "".join(han)
    if len(words) == 2 and max(map(len, words)) == 1:
        yield "".join(words)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(text)]


def _metadata(structure: Any, shown: str) -> Iterator[Leak]:
    """Tell of what the metadata says about the document and its pages do not."""
    values = [str(v) for k, v in structure.docinfo.items() if k not in _OWN and not _TECHNICAL.match(str(k))]
    if "/Metadata" in structure.Root:
        with warnings.catch_warnings(action="ignore"):
            xmp = structure.open_metadata()  # to be read only: as a context it would write
            for key in _XMP:
                value = xmp.get(key)
                values += [value] if isinstance(value, str) else [str(one) for one in value or ()]
    flat = _squeezed(shown).lower() if values else ""
    for value in dict.fromkeys(value.strip()[:LONGEST_VALUE] for value in values[:MOST_VALUES]):
        tokens = list(_tokens(value))[:MOST_TOKENS]
        told = sum(len(token) for token in tokens if token in flat)
        if value.lower() not in _NOBODY and sum(map(len, tokens)) > 1 and 2 * told < sum(map(len, tokens)):
            yield Leak("metadata")


def _tokens(text: str) -> Iterator[str]:
    """Give the Latin words and numbers of a text, and every two Han characters that follow one another."""
    for word in _TOKENS.findall(_BETWEEN.sub("", text.lower())):
        if word.isascii() or len(word) == 1:
            yield word
        else:
            yield from (word[i : i + 2] for i in range(len(word) - 1))


def _attachments(structure: Any, *, redacted: bool) -> Iterator[Leak]:
    count = len(structure.attachments)
    yield from [Leak("attached" if redacted else "attachment")] * count


# --- fonts


def _remnants(structure: Any, shown: set[str]) -> Iterator[Leak]:
    """Tell of fonts, cut down to what a file uses, whose maps still list letters that no page shows."""
    for thing in structure.objects:
        if not isinstance(thing, pikepdf.Dictionary) or thing.get("/Type") != "/Font":
            continue
        tables = thing.get("/ToUnicode")
        if not isinstance(tables, pikepdf.Stream) or not _SUBSET.match(str(thing.get("/BaseFont", ""))):
            continue
        listed = {char for char in _listed(bytes(tables.read_bytes())) if char.isalnum()}
        if listed >= _ALPHABET:
            listed -= _ALPHABET  # some programs list it whole, used or not
        if listed - shown:
            yield Leak("remnants")


def _listed(cmap: bytes) -> Iterator[str]:
    """Give the characters that single entries of a font map name; ranges say little about what was used."""
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", cmap, re.DOTALL):
        for value in _HEX.findall(block)[1::2]:
            yield from bytes.fromhex(value.decode()).decode("utf-16-be", "replace")
