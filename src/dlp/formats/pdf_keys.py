"""The bytes and the keys of a redacted PDF: nothing lies beside its objects, and no object has a place to hide text.

The copy is a file that was written whole by one program, so its bytes must be exactly header, objects, table, end.
Every object must be reached from the trailer, and no dictionary may have a key under which PDF keeps text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

import pikepdf

from dlp.formats.room import Room

_HEADER = re.compile(rb"%PDF-\d\.\d\n%[\x80-\xff]{4}\n")
_OBJECT = re.compile(rb"(\d{1,10}) 0 obj\n")
_TABLE = re.compile(rb"xref\n0 \d{1,10}\n(?:\d{10} \d{5} [fn] ?\r?\n)+trailer ")
_END = re.compile(rb"startxref\n\d{1,12}\n%%EOF\n")
_LENGTH = re.compile(rb"/Length (\d{1,12})(?![\d ])|/Length (\d{1,12}) (?!\d+ R)")
_JPEG_END = b"\xff\xd9"

ROOT = frozenset(("/Type", "/Pages", "/Version", "/Lang", "/PageLayout", "/PageMode", "/ViewerPreferences"))
PAGE = frozenset(
    (
        *("/Type", "/Parent", "/MediaBox", "/CropBox", "/BleedBox", "/TrimBox", "/ArtBox", "/Rotate", "/UserUnit"),
        *("/Resources", "/Contents", "/Group", "/Tabs", "/Annots"),
    )
)
TRAILER = frozenset(("/Root", "/Size", "/ID", "/Type", "/W", "/Index", "/Length", "/Filter", "/DecodeParms", "/Info"))
INFO = frozenset(("/Producer",))
LINK = frozenset(
    (*("/Type", "/Subtype", "/Rect", "/Border", "/BS", "/C", "/F", "/H", "/QuadPoints", "/P", "/A", "/Dest"),)
)
FORBIDDEN = frozenset(
    (
        *("/Metadata", "/PieceInfo", "/Thumb", "/AF", "/AA", "/JS", "/JavaScript", "/EF", "/OpenAction", "/Names"),
        *("/StructTreeRoot", "/OCProperties", "/OCGs", "/AcroForm", "/Outlines", "/Perms", "/DSS", "/Collection"),
        *("/SpiderInfo", "/XFA", "/ActualText", "/Alt", "/RichMediaContent", "/LastModified", "/Threads", "/Dests"),
        *("/Legal", "/Requirements", "/PageLabels", "/OPI", "/Alternates", "/Prev", "/XRefStm", "/Encrypt"),
    )
)
_NAMED = frozenset(
    (
        *("/Font", "/XObject", "/ExtGState", "/ColorSpace", "/Pattern", "/Shading", "/Properties", "/CharProcs"),
        *("/Colorants", "/D", "/N"),
    )
)
"""Dictionaries whose keys are names that the producer made up."""


def carve(raw: bytes, pdf: Any, room: Room) -> str:
    """Return in which way the bytes of a copy are more than its objects; empty when they are not."""
    head = _HEADER.match(raw)
    if head is None:
        return "it does not begin with the header of its kind"
    if raw.count(b"%%EOF") != 1 and _ends(raw, pdf) != 1:
        return "it has more or less than one end"
    at = head.end()
    known = reached(pdf)
    while (begin := _OBJECT.match(raw, at)) is not None:
        room.check_time()
        after, kind = _object_end(raw, begin.end())
        if after < 0:
            return "an object has no end, or more bytes than it states"
        if kind not in ("/XRef", "/ObjStm") and int(begin.group(1)) not in known:
            return "an object is not reached from the trailer"
        at = after
    return _tail(raw, at, pdf, known)


def _ends(raw: bytes, pdf: Any) -> int:
    """Count end marks outside of streams, where compressed bytes may look like one."""
    inside = 0
    for thing in pdf.objects:
        if isinstance(thing, pikepdf.Stream):
            inside += bytes(thing.read_raw_bytes()).count(b"%%EOF")
    return raw.count(b"%%EOF") - inside


def _object_end(raw: bytes, at: int) -> tuple[int, str]:
    """Return where the object ends that begins at `at`, -1 when it does not, and its type where it is a stream."""
    close = raw.find(b"\nendobj\n", at)
    opened = raw.find(b"\nstream\n", at, close if close >= 0 else len(raw))
    if opened < 0:
        return (close + 8 + (raw[close + 8 : close + 9] == b"\n"), "") if close >= 0 else (-1, "")
    about = raw[at:opened]
    length = re.search(rb"/Length (\d{1,12})(?! \d+ R)", about)
    if length is None:
        return -1, ""
    end = opened + 8 + int(length.group(1))
    tail = re.compile(rb"\n?endstream\nendobj\n\n?").match(raw, end)
    kind = re.search(rb"/Type (/XRef|/ObjStm)\b", about)
    return (tail.end() if tail else -1), (kind.group(1).decode() if kind else "")


def _tail(raw: bytes, at: int, pdf: Any, known: set[int]) -> str:
    """Judge what stands behind the last object, and whether the table names objects that nobody reaches."""
    table = _TABLE.match(raw, at)
    if table is not None:
        at = raw.find(b"\nstartxref\n", table.end()) + 1
    end = _END.match(raw, at) if at > 0 else None
    if end is None or end.end() != len(raw):
        return "there are bytes beside its objects, or behind its end"
    for thing in pdf.objects:
        number = thing.objgen[0]
        if number not in known and not _of_table(thing):
            return "an object is not reached from the trailer"
    return ""


def _of_table(thing: Any) -> bool:
    return thing is None or (isinstance(thing, pikepdf.Stream) and str(thing.get("/Type")) in ("/XRef", "/ObjStm"))


def reached(pdf: Any) -> set[int]:
    """Return the numbers of all objects that are reached from the trailer."""
    return {number for number, _, _ in walk(pdf) if number}


def walk(pdf: Any) -> Iterator[tuple[int, str, Any]]:
    """Yield each object below the trailer once: its number (0 when it has none), the key it lies under, itself."""
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("/Trailer", pdf.trailer)]
    while todo:
        key, thing = todo.pop()
        if not isinstance(thing, pikepdf.Object):
            continue
        number = thing.objgen[0]
        if number:
            if number in seen:
                continue
            seen.add(number)
        yield number, key, thing
        if isinstance(thing, pikepdf.Array):
            todo += [(key, one) for one in thing if isinstance(one, pikepdf.Object)]
        elif isinstance(thing, (pikepdf.Dictionary, pikepdf.Stream)):
            todo += [(name, thing.get(name)) for name in thing.keys()]  # noqa: SIM118  a stream has no iterator


def behind(pdf: Any) -> str:
    """Return whether a stream holds more than its filter reads: bytes behind the end of packed data or a picture."""
    for thing in pdf.objects:
        if not isinstance(thing, pikepdf.Stream):
            continue
        filters = thing.get("/Filter")
        first = filters[0] if isinstance(filters, pikepdf.Array) and len(filters) else filters
        raw = bytes(thing.read_raw_bytes())
        if first == pikepdf.Name.FlateDecode and _more_than_packed(raw):
            return "there are bytes behind packed data"
        if first == pikepdf.Name.DCTDecode and not raw.rstrip(b"\0\r\n").endswith(_JPEG_END):
            return "there are bytes behind a picture"
    return ""


def _more_than_packed(raw: bytes) -> bool:
    engine = zlib.decompressobj()
    feed = raw
    try:
        while feed and not engine.eof:
            engine.decompress(feed, 1 << 16)
            feed = engine.unconsumed_tail
    except zlib.error:
        return True
    return len(engine.unused_data.strip(b"\r\n")) > 0


def keys(pdf: Any) -> str:
    """Return which kind of place for text outside of the pages a copy still has; empty when it has none."""
    if bad := set(map(str, pdf.trailer.keys())) - TRAILER:
        return f"the trailer has {_named(bad)}"
    if bad := set(map(str, pdf.trailer.get("/Info", pikepdf.Dictionary()).keys())) - INFO:
        return f"the document information has {_named(bad)}"
    if bad := set(map(str, pdf.Root.keys())) - ROOT:
        return f"the catalog has {_named(bad)}"
    for page in pdf.pages:
        if bad := set(map(str, page.obj.keys())) - PAGE:
            return f"a page has {_named(bad)}"
        for note in page.obj.get("/Annots", ()):
            if note.get("/Subtype") != pikepdf.Name.Link or set(map(str, note.keys())) - LINK:
                return "a page has annotations with contents"
    return _deeper(pdf)


def _named(names: set[str]) -> str:
    """Return one of the forbidden keys where it is a known one; others could quote the document."""
    known = sorted(names & FORBIDDEN)
    return known[0] if known else "a key that it may not have"


def _deeper(pdf: Any) -> str:
    for _, key, thing in walk(pdf):
        if not isinstance(thing, (pikepdf.Dictionary, pikepdf.Stream)) or key in _NAMED or key == "/Trailer":
            continue
        names = set(map(str, thing.keys()))
        if bad := names & FORBIDDEN:
            return f"an object has {min(bad)}"
        if str(thing.get("/Type")) in ("/EmbeddedFile", "/Filespec", "/Metadata", "/OCG", "/OCMD", "/Sig"):
            return "an object is of a kind that holds text beside the pages"
    return ""
