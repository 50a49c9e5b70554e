"""Where text lies in a PDF besides its pages: every string of every object, read through pikepdf.

The walk is generic, as it is for Office parts: it does not follow a list of known places, but looks at each object
of the file, used or not, and names the place by the keys around the string. Each object is guarded on its own, so
that one broken structure costs one gap and not the rest.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import pikepdf
from lxml import etree

from dlp.model import GapKind, Zone

NESTING = 40  # arrays and dictionaries in one object
LONGEST_ARRAY = 20_000  # strings of one array that are looked at
LAYER_BYTES = 64 << 20  # what one filter of a chain may expand to
STREAM_BYTES = 256 << 20  # what one stream may expand to
CHUNK = 1 << 20

_SILENT = frozenset(
    [
        "/ID",
        "/Lang",
        "/DA",
        "/M",
        "/CreationDate",
        "/ModDate",
        "/NM",
        "/CheckSum",
        "/Panose",
        "/CharSet",
        "/FontFamily",
        "/Registry",
        "/Ordering",
        "/Cert",
        "/ByteRange",
        "/W",
        "/W2",
        "/Widths",
        "/Differences",
        "/Rect",
        "/QuadPoints",
        "/InkList",
        "/Vertices",
        "/BBox",
        "/Matrix",
        "/MediaBox",
        "/CropBox",
        "/Index",
        "/ColorSpace",
        "/CS",
        "/Lookup",
        "/Filter",
        "/DecodeParms",
        "/O",
        "/U",
        "/OE",
        "/UE",
        "/Perms",
        "/Function",
        "/Decode",
        "/Domain",
        "/Range",
        "/DestOutputProfile",
        "/LastModified",
        "/IDTree",
        "/Background",
        "/Coords",
        "/Parent",
        "/Kids",
        "/K",
    ]
)
"""Keys whose strings are numbers, keys, dates or binary, and whose values hold no others."""
_FONTS = frozenset(("/Font", "/FontDescriptor", "/Encoding", "/CMap", "/XRef", "/ObjStm", "/Halftone"))
_NOTES = frozenset(
    [
        "/Text",
        "/FreeText",
        "/Line",
        "/Square",
        "/Circle",
        "/Polygon",
        "/PolyLine",
        "/Highlight",
        "/Underline",
        "/Squiggly",
        "/StrikeOut",
        "/Stamp",
        "/Caret",
        "/Ink",
        "/Popup",
        "/FileAttachment",
        "/Redact",
        "/Watermark",
    ]
)
_ACTIONS = frozenset(("/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/GoToE", "/Rendition", "/Movie"))
_MEDIA = frozenset(("/Screen", "/Movie", "/Sound", "/RichMedia", "/3D", "/Rendition"))
_SPOKEN = frozenset(
    ["/JS", "/JavaScript", "/URI", "/Alt", "/ActualText", "/E", "/TU", "/DV", "/V", "/Opt", "/RV", "/XFA"]
)
_DATE = re.compile(r"D:\d{4}[\d+\-'Z]*")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.*:@-]{0,60}")
_PAINTS = re.compile(rb"(?<![\w/])(?:Tj|TJ|'|\"|Do|BI|sh|f\*?|F|S|s|B\*?|b\*?)(?![\w])")
_TAG = re.compile(r"<[^<>]*>")


class Spot(NamedTuple):
    """Where an annotation lies: page from 1, box left, bottom, right, top in page coordinates."""

    page: int | None = None
    box: tuple[float, float, float, float] | None = None


NOWHERE = Spot()


class Found(NamedTuple):
    """One stretch of text outside the pages; `place` is the key beside it."""

    text: str
    zone: Zone
    place: str
    spot: Spot = NOWHERE


class Trouble(NamedTuple):
    """Something that could not be read."""

    kind: GapKind
    detail: str
    page: int | None = None


class Attached(NamedTuple):
    """An embedded file. `raw` is its decoded content."""

    name: str
    raw: bytes


def unlock(raw: bytes) -> Any:
    """Open a document with the empty password; raises what pikepdf raises."""
    return pikepdf.open(io.BytesIO(raw), suppress_warnings=True)


def save(pdf: Any, out: BinaryIO, **options: Any) -> None:
    """Write a document anew without encryption; the same document gives the same bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pikepdf.PageCopyWarning)  # a field that no form knows was one before, too
        # An id by chance would need a device that the sandbox does not have.
        pdf.save(out, encryption=False, deterministic_id=True, **options)


def decrypted(raw: bytes, password: str) -> bytes | None:
    """Return the document without its encryption, or None when this is not its password."""
    out = io.BytesIO()
    try:
        with pikepdf.open(io.BytesIO(raw), password=password, suppress_warnings=True) as pdf:
            save(pdf, out)
    except (pikepdf.PasswordError, pikepdf.PdfError):
        return None
    return out.getvalue()


def weigh(pdf: Any) -> Trouble | None:
    """Return a trouble when a stream expands beyond all reason, before anything else touches it.

    Only streams that can be a bomb are measured: large ones, and those with several filters in a row.
    """
    for thing in _objects(pdf):
        try:
            if not isinstance(thing, pikepdf.Stream) or thing.get("/Subtype") == "/Image":
                continue
            filters = _filters(thing)
            if "/FlateDecode" not in filters and "/Fl" not in filters:
                continue
            packed = len(filters) > 1 or int(thing.get("/Length", 0)) > STREAM_BYTES // 1_100
            if packed and _is_bomb(bytes(thing.read_raw_bytes()), filters):
                return Trouble(GapKind.TOO_BIG, "a stream expands beyond the limit")
        except (pikepdf.PdfError, ValueError, TypeError, zlib.error):
            continue  # whatever cannot be read here is met and told again by the walk or by the page
    return None


def _filters(stream: Any) -> list[str]:
    filters = stream.get("/Filter")
    if filters is None:
        return []
    return [str(f) for f in filters] if isinstance(filters, pikepdf.Array) else [str(filters)]


def _is_bomb(raw: bytes, filters: list[str]) -> bool:
    """Expand Flate layers without keeping more than one layer's limit."""
    for number, name in enumerate(filters):
        if name not in ("/FlateDecode", "/Fl"):
            return False  # other filters expand little, or decode pictures
        last = number == len(filters) - 1
        limit = STREAM_BYTES if last else LAYER_BYTES
        engine, kept, total, feed = zlib.decompressobj(), bytearray(), 0, raw
        while feed and not engine.eof:
            piece = engine.decompress(feed, CHUNK)
            feed = engine.unconsumed_tail
            total += len(piece)
            if total > limit:
                return True
            if not last:
                kept += piece
            if not piece and not feed:
                break
        raw = bytes(kept)
    return False


def _objects(pdf: Any) -> Iterator[Any]:
    """Yield every object of the file, skipping those that cannot be parsed."""
    try:
        things = pdf.objects  # asked once: each asking lists the whole file anew
        count = len(things)
    except (pikepdf.PdfError, ValueError, RuntimeError):
        return
    for number in range(count):
        try:
            yield things[number]
        except (pikepdf.PdfError, ValueError, IndexError, RuntimeError):
            continue


class Walk:
    """One pass over a document. Results gather in `found`, `troubles` and `attached`."""

    def __init__(self, pdf: Any, *, pages: int, tick: Callable[[], None]) -> None:
        self.found: list[Found] = []
        self.troubles: list[Trouble] = []
        self.attached: list[Attached] = []
        self._pdf = pdf
        self._tick = tick
        self._pages = pages
        self._where: dict[tuple[int, int], Spot] = {}
        self._done: set[tuple[int, int]] = set()
        self._told: set[str] = set()

    def run(self) -> None:
        """Read the annotations page by page, then everything else."""
        self._guard(self._locate, "the page tree is damaged")
        self._guard(lambda: self._trailer(self._pdf.trailer), "the trailer is damaged")
        for number, thing in enumerate(_objects(self._pdf)):
            if number % 256 == 0:
                self._tick()
            self._guard(partial(self._root, thing), "an object is damaged")

    def _guard(self, step: Callable[[], None], detail: str, page: int | None = None) -> None:
        try:
            step()
        except (
            pikepdf.PdfError,
            etree.LxmlError,
            zlib.error,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            RuntimeError,
            OverflowError,
            UnicodeError,
            NotImplementedError,
        ):
            trouble = Trouble(GapKind.CORRUPT, detail, page)
            if trouble not in self.troubles:
                self.troubles.append(trouble)

    def _locate(self) -> None:
        """Note on which page each annotation lies, and whether the content of each page is whole."""
        for number, page in enumerate(self._pdf.pages, 1):
            if number > self._pages:
                return
            if number % 64 == 0:
                self._tick()
            self._guard(partial(self._annotations, page, number), "annotations are damaged", number)
            self._guard(partial(_proof, page), "the page content is damaged", number)

    def _annotations(self, page: Any, number: int) -> None:
        annotations = page.obj.get("/Annots")
        if not isinstance(annotations, pikepdf.Array):
            return
        for note in annotations:
            if not isinstance(note, pikepdf.Dictionary):
                continue
            spot = Spot(number, _sides(note.get("/Rect")))
            if note.is_indirect:
                self._where[note.objgen] = spot
            else:
                self._dictionary(note, 0, spot)

    def _trailer(self, trailer: Any) -> None:
        for key in trailer.keys():  # noqa: SIM118  a pikepdf dictionary does not iterate over its keys alone
            value = trailer.get(key)
            if key not in _SILENT and isinstance(value, pikepdf.Object) and not value.is_indirect:
                self._value(key, value, pikepdf.Dictionary(), 0, NOWHERE)

    def _root(self, thing: Any) -> None:
        if not isinstance(thing, pikepdf.Object):
            return  # a number or a truth value
        spot = self._where.get(thing.objgen, NOWHERE)
        if isinstance(thing, pikepdf.Stream):
            self._stream(thing)
        if isinstance(thing, pikepdf.Dictionary | pikepdf.Stream):
            self._dictionary(thing, 0, spot)
        elif isinstance(thing, pikepdf.Array):
            self._array("", thing, pikepdf.Dictionary(), 0, spot)
        elif isinstance(thing, pikepdf.String):
            self._string("", thing, pikepdf.Dictionary(), spot)

    def _dictionary(self, thing: Any, depth: int, spot: Spot) -> None:
        kind = str(thing.get("/Type", ""))
        if kind in _FONTS or depth > NESTING:
            return
        if str(thing.get("/Subtype", "")) in _MEDIA and "/Rect" in thing:
            self._tell(GapKind.UNSUPPORTED, "an annotation plays media that is not read", spot.page)
        if "/EF" in thing:
            self._guard(lambda: self._embedded(thing), "an embedded file is damaged", spot.page)
        if "/PatternType" in thing:
            self._pattern(thing)
        mask = thing.get("/SMask")
        if isinstance(mask, pikepdf.Dictionary) and not isinstance(mask, pikepdf.Stream):
            self._mask(mask)
        action = thing.get("/S")
        if isinstance(action, pikepdf.Name) and str(action) in _ACTIONS:
            self._emit(str(action)[1:], Zone.HIDDEN, "/Action", spot)
        signed = "/ByteRange" in thing
        for key in thing.keys():  # noqa: SIM118  see above
            if key in _SILENT or (signed and key == "/Contents"):
                continue
            self._value(key, thing.get(key), thing, depth, spot)

    def _value(self, key: str, value: Any, parent: Any, depth: int, spot: Spot) -> None:
        if isinstance(value, pikepdf.String):
            self._string(key, value, parent, spot)
        elif isinstance(value, pikepdf.Stream):
            if key in ("/JS", "/RC", "/RV", "/V", "/DV", "/XFA"):
                self._text_stream(key, value, spot)
        elif isinstance(value, pikepdf.Array):
            if not value.is_indirect or key == "/XFA":
                self._array(key, value, parent, depth + 1, spot)
        elif isinstance(value, pikepdf.Dictionary) and not value.is_indirect:
            self._dictionary(value, depth + 1, spot)

    def _array(self, key: str, array: Any, parent: Any, depth: int, spot: Spot) -> None:
        if depth > NESTING or _is_indexed(array):
            return
        if len(array) > LONGEST_ARRAY:
            self._tell(GapKind.TOO_MANY, "a list is longer than the limit", spot.page)
        for number, value in enumerate(array):
            if number >= LONGEST_ARRAY:
                return
            if isinstance(value, int | float) or value is None:
                continue
            self._value(key, value, parent, depth, spot)

    def _string(self, key: str, value: Any, parent: Any, spot: Spot) -> None:
        subtype = str(parent.get("/Subtype", ""))
        zone = Zone.METADATA
        if subtype in _NOTES and "/Rect" in parent:
            zone = Zone.COMMENT
        elif key in _SPOKEN or "/FT" in parent or subtype in ("/Widget", "/Link"):
            zone = Zone.HIDDEN
        for text in _decode(bytes(value)):
            if key in ("/Names", "/D", "/Dests") and _LABEL.fullmatch(text):
                continue  # names of places in the file
            self._emit(text, zone, key, spot)

    def _emit(self, text: str, zone: Zone, key: str, spot: Spot = NOWHERE) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\0 \n\t")
        if len(text) > 1 and text not in self._told and not _DATE.fullmatch(text):
            self._told.add(text)
            self.found.append(Found(text, zone, key, spot))

    def _text_stream(self, key: str, stream: Any, spot: Spot) -> None:
        self._done.add(stream.objgen)
        raw = bytes(stream.read_bytes())
        for text in _prose(raw) if key in ("/XFA", "/RC", "/RV") else _decode(raw):
            self._emit(text, Zone.COMMENT if key == "/RC" else Zone.HIDDEN, key, spot)

    def _stream(self, stream: Any) -> None:
        kind, subtype = str(stream.get("/Type", "")), str(stream.get("/Subtype", ""))
        if stream.objgen in self._done:
            return
        if kind == "/Metadata" or subtype == "/XML":
            for text in _prose(bytes(stream.read_bytes())):
                self._emit(text, Zone.METADATA, "/Metadata")
        elif kind == "/EmbeddedFile":
            self._done.add(stream.objgen)
            self.attached.append(Attached("", bytes(stream.read_bytes())))
        elif subtype == "/Form":
            self._guard(lambda: _whole(stream), "the content of a form is damaged")

    def _embedded(self, spec: Any) -> None:
        """Read the file of a file specification under the best name it has."""
        name = next((t for k in ("/UF", "/F", "/Desc") if k in spec for t in _decode(bytes(spec[k]))), "")
        for key in spec.EF.keys():  # noqa: SIM118  see above
            stream = spec.EF[key]
            if not isinstance(stream, pikepdf.Stream):
                raise TypeError(key)
            known = next((i for i, a in enumerate(self.attached) if not a.name), None)
            if stream.objgen not in self._done:
                self._done.add(stream.objgen)
                self.attached.append(Attached(name, bytes(stream.read_bytes())))
            elif known is not None and name and self.attached[known].raw == bytes(stream.read_bytes()):
                self.attached[known] = Attached(name, self.attached[known].raw)

    def _pattern(self, pattern: Any) -> None:
        """Tell of text and pictures in the cell of a tiling pattern, which no text layer shows."""
        resources = pattern.get("/Resources")
        if pattern.get("/PatternType") != 1 or not isinstance(resources, pikepdf.Dictionary):
            return
        pixels = 0
        for thing in (resources.get("/XObject") or pikepdf.Dictionary()).values():
            pixels += int(thing.get("/Width", 100)) * int(thing.get("/Height", 100))
        if pixels > 4_096 or len(resources.get("/Font") or ()):
            self._tell(GapKind.NO_OCR, "a fill pattern holds text or pictures")

    def _mask(self, mask: Any) -> None:
        group = mask.get("/G")
        resources = group.get("/Resources") if isinstance(group, pikepdf.Stream) else None
        if isinstance(resources, pikepdf.Dictionary) and len(resources.get("/Font") or ()):
            self._tell(GapKind.NO_OCR, "a transparency mask holds text")

    def _tell(self, kind: GapKind, detail: str, page: int | None = None) -> None:
        trouble = Trouble(kind, detail, page)
        if trouble not in self.troubles:
            self.troubles.append(trouble)


def _is_indexed(array: Any) -> bool:
    """Return True for `[/Indexed base high <colours>]`, whose string is no text."""
    return len(array) == 4 and str(array[0]) in ("/Indexed", "/I")


def _sides(rect: Any) -> tuple[float, float, float, float] | None:
    try:
        a, b, c, d = (float(v) for v in rect)
    except (TypeError, ValueError):
        return None
    return min(a, c), min(b, d), max(a, c), max(b, d)


def _proof(page: Any) -> None:
    """Raise when a content stream of the page cannot be decoded to its end."""
    contents = page.obj.get("/Contents")
    for stream in contents if isinstance(contents, pikepdf.Array) else [contents]:
        if isinstance(stream, pikepdf.Stream):
            _whole(stream)


def _whole(stream: Any) -> None:
    """Decode a stream; raise where its data is broken or ends early.

    qpdf is silent when Flate data ends early, therefore that filter is checked here.
    """
    filters = _filters(stream)
    if filters not in (["/FlateDecode"], ["/Fl"]):
        stream.read_bytes()
        return
    engine, feed = zlib.decompressobj(), bytes(stream.read_raw_bytes())
    while feed and not engine.eof:
        engine.decompress(feed, CHUNK)
        feed = engine.unconsumed_tail
    if not engine.eof:
        raise ValueError("the data ends early")


def draws(pdf: Any, number: int, *, but: bool = False) -> bool:
    """Return True when page `number` (from 0) has operators that paint, or content that cannot be read.

    With `but`, the last one is the stamp and does not count.
    """
    try:
        contents = pdf.pages[number].obj.get("/Contents")
        streams = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
        raw = b"\n".join(bytes(s.read_bytes()) for s in streams if isinstance(s, pikepdf.Stream))
    except (pikepdf.PdfError, ValueError, IndexError, TypeError, RuntimeError, AttributeError):
        return True
    return sum(1 for _ in islice(_PAINTS.finditer(raw), 2)) > but


def headers_in_attachments(pdf: Any) -> int:
    """Count `%PDF-` in the raw bytes of embedded files: these belong to files that are read on their own."""
    count = 0
    for thing in _objects(pdf):
        try:
            if not isinstance(thing, pikepdf.Dictionary | pikepdf.Stream):
                continue
            if isinstance(thing, pikepdf.Stream) and thing.get("/Type") == "/EmbeddedFile":
                count += bytes(thing.read_raw_bytes()).count(b"%PDF-")
        except (pikepdf.PdfError, ValueError, TypeError):
            continue
    return count


def _decode(raw: bytes) -> list[str]:
    """Return the readings of a PDF string: the one by the standard, and GB18030 where a Chinese producer forgot it."""
    if raw.startswith((b"\xfe\xff", b"\xff\xfe")):
        return [raw.decode("utf-16", "replace")]
    if raw.startswith(b"\xef\xbb\xbf"):
        return [raw[3:].decode("utf-8", "replace")]
    if raw.isascii():
        return [raw.decode("ascii")]
    try:
        return [raw.decode("utf-8")]
    except UnicodeDecodeError:
        readings = [str(pikepdf.String(raw))]
    try:
        readings.append(raw.decode("gb18030"))
    except UnicodeDecodeError:
        return readings
    return readings


def _prose(raw: bytes) -> list[str]:
    """Return the text and the attribute values of an XML stream, one entry an element; broken XML loses its tags."""
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=False)
        root = etree.fromstring(raw.strip(b"\0 \r\n\t"), parser)
    except (etree.XMLSyntaxError, ValueError):
        coding = "utf-16" if raw.startswith((b"\xfe\xff", b"\xff\xfe")) else "utf-8"
        return [_TAG.sub(" ", raw.decode(coding, "replace"))]
    out = []
    for element in root.iter():
        out += [t.strip() for t in (element.text, element.tail) if t and t.strip()]
        if isinstance(element.tag, str):
            out += [v for v in element.attrib.values() if v.strip() and not v.startswith(("http://", "uuid:", "xmp."))]
    return out
