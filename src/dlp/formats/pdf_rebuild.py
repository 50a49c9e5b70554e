"""A new PDF from pages whose content is known: only what its pages need is taken along, key by key.

Everything else a PDF can carry (annotations, fields, outlines, names, actions, metadata, attachments, structure,
layers, thumbnails, older revisions, objects that nothing uses) is left behind because nothing takes it along.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pikepdf

from dlp.formats.pdf_ops import NeedsRaster

_DEEP = 60


def _keys(names: str) -> frozenset[str]:
    return frozenset("/" + name for name in names.split())


_ALLOWED: dict[str, frozenset[str]] = {
    "image": _keys(
        "Type Subtype Width Height ColorSpace BitsPerComponent Decode ImageMask Mask SMask SMaskInData Interpolate "
        "Intent Matte Length Filter DecodeParms"
    ),
    "form": _keys("Type Subtype FormType BBox Matrix Resources Group Length Filter DecodeParms"),
    "group": _keys("Type S CS I K"),
    "font": _keys(
        "Type Subtype BaseFont FirstChar LastChar Widths FontDescriptor Encoding ToUnicode DescendantFonts "
        "CIDSystemInfo W W2 DW DW2 CIDToGIDMap FontBBox FontMatrix CharProcs Resources"
    ),
    "descriptor": _keys(
        "Type FontName Flags FontBBox ItalicAngle Ascent Descent Leading CapHeight XHeight StemV StemH AvgWidth "
        "MaxWidth MissingWidth FontFile FontFile2 FontFile3"
    ),
    "program": _keys("Subtype Length1 Length2 Length3 Length Filter DecodeParms"),
    "encoding": _keys("Type BaseEncoding Differences"),
    "cmap": _keys("Type CMapName CIDSystemInfo WMode UseCMap Length Filter DecodeParms"),
    "states": _keys("Type LW LC LJ ML D RI OP op OPM Font BG BG2 UCR UCR2 TR TR2 HT FL SM SA BM SMask CA ca AIS TK"),
    "softmask": _keys("Type S G BC TR"),
    "pattern": _keys(
        "Type PatternType PaintType TilingType BBox XStep YStep Resources Matrix Shading ExtGState Length Filter "
        "DecodeParms"
    ),
}
"""Keys that a page needs, for each kind of object."""
_KINDS = ("/Font", "/XObject", "/ExtGState", "/ColorSpace", "/Pattern", "/Shading")
_INNER = {
    ("font", "/FontDescriptor"): "descriptor",
    ("font", "/DescendantFonts"): "font",
    ("font", "/Encoding"): "encoding",
    ("font", "/ToUnicode"): "cmap",
    ("descriptor", "/FontFile"): "program",
    ("descriptor", "/FontFile2"): "program",
    ("descriptor", "/FontFile3"): "program",
    ("form", "/Group"): "group",
    ("image", "/SMask"): "image",
    ("image", "/Mask"): "image",
    ("states", "/SMask"): "softmask",
    ("softmask", "/G"): "form",
    ("pattern", "/ExtGState"): "states",
}
_FOREIGN = _keys(
    "Metadata PieceInfo StructParent StructParents OC AF Alternates OPI LastModified Name Thumb Lang ActualText Alt E "
    "Measure PtData ID Annots AA A"
)
"""Keys that no object of any other kind (a colour space, a function, a shading) needs."""
_NAME = re.compile(rb"/([^\x00-\x20()<>\[\]{}/%]*)")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")


class Page(NamedTuple):
    """One page of the new document: its content, what it uses, and the boxes on top of it."""

    content: bytes
    resources: Any
    boxes: bytes = b""


def names_in(content: bytes) -> set[str]:
    """Return every name that stands in a content stream: all resources that it can use, and some more."""
    return {
        "/" + _ESCAPE.sub(lambda one: bytes([int(one[1], 16)]), name).decode("utf-8", "replace")
        for name in _NAME.findall(content)
    }


def only(resources: Any, names: set[tuple[str, str]]) -> Any:
    """Return resources with nothing but what is used, by kind and name."""
    kept = pikepdf.Dictionary()
    for kind, name in sorted(names):
        table = resources.get(kind) if resources is not None else None
        if table is not None and name in table:
            if kind not in kept:
                kept[kind] = pikepdf.Dictionary()
            kept[kind][name] = table[name]
    return kept


def mentioned(resources: Any, content: bytes, tick: Callable[[], None], depth: int = 0) -> set[tuple[str, str]]:
    """Return what a content that was not taken apart can use, and so its forms without resources of their own."""
    tick()
    names = names_in(content)
    found: set[tuple[str, str]] = set()
    for kind in _KINDS:
        table = resources.get(kind) if resources is not None else None
        if not isinstance(table, pikepdf.Dictionary):
            continue
        for name in set(table.keys()) & names:
            found.add((kind, name))
            thing = table[name]
            if kind == "/XObject" and str(thing.get("/Subtype", "")) == "/Form" and "/Resources" not in thing:
                if depth > _DEEP:
                    raise NeedsRaster("forms are nested too deep")
                found |= mentioned(resources, bytes(thing.read_bytes()), tick, depth + 1)
    return found


class Cleaner:
    """Strips objects of a document, in place, of all that a page does not need."""

    def __init__(self, pdf: Any, tick: Callable[[], None]) -> None:
        self._pdf = pdf
        self._done: set[tuple[int, int]] = set()
        self._tick = tick

    def resources(self, resources: Any, depth: int = 0) -> None:
        """Strip everything that these resources hold."""
        if depth > _DEEP:
            raise NeedsRaster("resources are nested too deep")
        for key in list(resources.keys()):
            if key not in _KINDS:
                del resources[key]
                continue
            table = resources[key]
            for name in list(table.keys()):
                self._entry(key, table[name], depth)

    def _entry(self, kind: str, thing: Any, depth: int) -> None:
        if kind == "/XObject":
            self._strip(thing, "form" if str(thing.get("/Subtype", "")) == "/Form" else "image", depth)
        elif kind == "/Font":
            self._strip(thing, "font", depth)
        elif kind == "/ExtGState":
            self._strip(thing, "states", depth)
        elif kind == "/Pattern":
            self._strip(thing, "pattern", depth)
        else:
            self._strip(thing, "", depth)

    def _strip(self, thing: Any, kind: str, depth: int) -> None:
        if depth > _DEEP:
            raise NeedsRaster("its objects are nested too deep")
        if isinstance(thing, pikepdf.Array):
            for one in thing:
                if isinstance(one, pikepdf.Object):
                    self._strip(one, kind, depth + 1)
            return
        if not isinstance(thing, pikepdf.Dictionary | pikepdf.Stream):
            return
        if thing.is_indirect:
            if thing.objgen in self._done:
                return
            self._done.add(thing.objgen)
        self._tick()
        kind = "cmap" if kind == "encoding" and isinstance(thing, pikepdf.Stream) else kind
        allowed = _ALLOWED.get(kind)
        for key in list(thing.keys()):
            if key not in allowed if allowed is not None else key in _FOREIGN:
                if key != "/Length":
                    del thing[key]
                continue
            value = thing[key]
            if key == "/Resources":
                self._own_resources(thing, value, depth)
            elif key == "/CharProcs":
                for name in list(value.keys()):
                    self._strip(value[name], "form", depth + 1)
            elif isinstance(value, pikepdf.Object):
                self._strip(value, _INNER.get((kind, key), ""), depth + 1)
        if kind == "image":
            _strip_jpeg(self._pdf, thing, self._tick)

    def _own_resources(self, thing: Any, resources: Any, depth: int) -> None:
        """Strip the resources of a form, a pattern or a font of drawings, down to what it mentions."""
        if isinstance(thing, pikepdf.Stream):
            names = mentioned(resources, bytes(thing.read_bytes()), self._tick)
            resources = only(resources, names)
            thing["/Resources"] = resources
        self.resources(resources, depth + 1)


def _strip_jpeg(pdf: Any, image: Any, tick: Callable[[], None]) -> None:
    """Take everything out of a JPEG picture that is not needed to decode it: thumbnails, places, comments."""
    filters = image.get("/Filter")
    names = [str(one) for one in filters] if isinstance(filters, pikepdf.Array) else [str(filters)]
    if "/DCTDecode" not in names:
        return
    if names[-1] != "/DCTDecode":
        raise NeedsRaster("a photo is packed in an unusual way")
    raw = bytes(image.read_raw_bytes())
    parms = image.get("/DecodeParms")
    if len(names) > 1:
        raw = _unpacked(pdf, raw, names[:-1], tick)
        parms = parms[len(names) - 1] if isinstance(parms, pikepdf.Array) and len(parms) == len(names) else None
    elif isinstance(parms, pikepdf.Array):
        parms = parms[0] if len(parms) else None
    kept = parms if isinstance(parms, pikepdf.Dictionary) else None
    image.write(bare_jpeg(raw), filter=pikepdf.Name.DCTDecode, decode_parms=kept)


def _unpacked(pdf: Any, raw: bytes, names: list[str], tick: Callable[[], None]) -> bytes:
    """Return a photo without the filters that were put around it."""
    tick()
    outer = pdf.make_stream(raw)
    outer["/Filter"] = pikepdf.Array([pikepdf.Name(name) for name in names])
    return bytes(outer.read_bytes())


def bare_jpeg(raw: bytes) -> bytes:
    """Return a JPEG without its APP1 to APP13, APP15 and comment segments and without what follows its end.

    APP14 tells how colours are stored and stays, without what may follow it. Raises `NeedsRaster` for a damaged one.
    """
    if raw[:2] != b"\xff\xd8":
        raise NeedsRaster("a photo is damaged")
    kept = [b"\xff\xd8"]
    at = 2
    while True:
        if at + 4 > len(raw) or raw[at] != 0xFF:
            raise NeedsRaster("a photo is damaged")
        marker = raw[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        size = int.from_bytes(raw[at + 2 : at + 4], "big")
        whole = raw[at : at + 2 + size]
        if marker == 0xDA:
            return b"".join(kept) + _scans(raw, at)
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or (marker == 0xEE and whole[4:9] == b"Adobe"):
            kept.append(b"\xff\xee\x00\x0e" + whole[4:16] if marker == 0xEE else whole)
        at += 2 + size


def _scans(raw: bytes, at: int) -> bytes:
    """Return the scans of a JPEG from `at` to its end mark, without segments that tell something between them."""
    kept = []
    while True:
        size = int.from_bytes(raw[at + 2 : at + 4], "big")
        marker = raw[at + 1]
        end = at + 2 + size
        if marker == 0xDA:
            while True:
                end = raw.find(b"\xff", end)
                if end < 0 or end + 1 >= len(raw):
                    kept.append(raw[at:] if end < 0 else raw[at:end])
                    return b"".join(kept) + b"\xff\xd9"
                if raw[end + 1] == 0 or 0xD0 <= raw[end + 1] <= 0xD7:
                    end += 2
                    continue
                if raw[end + 1] == 0xFF:
                    end += 1
                    continue
                break
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(raw[at:end])
        at = end
        if raw[at : at + 2] == b"\xff\xd9" or at + 4 > len(raw):
            return b"".join(kept) + b"\xff\xd9"
