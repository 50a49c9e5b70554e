"""A stamp on every page of a PDF: a picture in a free place of a margin, above all else, and nothing else changed.

The content of a page stays as it is, byte by byte. Before it a state is kept, behind it everything that it left open is
closed and that state taken back, so that the stamp lies where it should whatever the page did. Its own boxes and turn
decide where up is. The file is written anew, without encryption and without older revisions; a digital signature does
not hold for it any more, which a copy on paper has no use for.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import pikepdf
import pypdfium2.raw as pdfium

from dlp.formats import Full, NotStampable, Source
from dlp.formats.pdf_faces import withheld
from dlp.formats.pdf_frame import Frame, Sides
from dlp.formats.pdf_free import CLEAR, Place, find
from dlp.formats.pdf_ops import inverse
from dlp.formats.pdf_pages import frame_of, open_page
from dlp.formats.pdf_places import decrypted, save, unlock, weigh
from dlp.formats.pdf_view import grounded, inherited, sides_of, turn_of, view_of
from dlp.formats.placed import Turn
from dlp.formats.room import Room, Stamped
from dlp.model import Box, Plate

_STATES = "q Q BT ET BMC BDC EMC BX EX"
_MOST_OPEN = 10_000  # states that one page leaves open or takes back too often
_SAME = 0.01  # points: as exactly as two readers have to agree on the sides of a page
_LEAST_TRIMMED = 0.5  # of the page: a smaller trim box is a mistake


def stamp(source: Source, plate: Plate, out: BinaryIO, room: Room) -> Stamped:
    """Write the document with the stamp on each page. Raises `NotStampable` where a page cannot carry it."""
    raw, pdf = _open(source.content(), room)
    trouble = weigh(pdf)
    if trouble is not None:
        raise Full(trouble.kind, trouble.detail)
    with pdf, withheld(), _looked_at(grounded(raw)) as document:
        return _Stamping(pdf, document, plate, room, hashlib.sha256(raw).hexdigest()).run(out)


def matrix(box: Sides, frame: Frame, plate: Plate) -> Turn:
    """Return the way from the points of a plate (origin bottom left) to those of a page, for a stamp at `box`."""
    a, b, c, d, e, f = inverse(turn_of(frame))
    scale = (box[2] - box[0]) / plate.wide
    x, y = box[0], box[3]
    return (a * scale, b * scale, -c * scale, -d * scale, a * x + c * y + e, b * x + d * y + f)


def _open(raw: bytes, room: Room) -> tuple[bytes, Any]:
    try:
        return raw, unlock(raw)
    except pikepdf.PasswordError:
        plain = next(filter(None, (decrypted(raw, password) for password in room.passwords)), None)
        if plain is None:
            raise NotStampable("it needs a password") from None
        return plain, unlock(plain)
    except pikepdf.PdfError:
        raise NotStampable("its structure is damaged") from None


@contextmanager
def _looked_at(raw: bytes) -> Iterator[Any]:
    """Open the document for its looks; the bytes stay alive as long as that."""
    document = pdfium.FPDF_LoadMemDocument64(raw, len(raw), None)
    if not document:
        raise NotStampable("its structure is damaged")
    try:
        yield document
    finally:
        pdfium.FPDF_CloseDocument(document)


class _States(NamedTuple):
    """What has to stand before and behind a content so that it changes nothing outside of it."""

    before: bytes
    behind: bytes


class _Stamping:
    """One document under the stamp."""

    def __init__(self, pdf: Any, document: Any, plate: Plate, room: Room, digest: str) -> None:
        self._pdf = pdf
        self._document = document
        self._plate = plate
        self._room = room
        self._name = f"/WYS{digest[:16]}"
        """A name that no page can have: it comes from the hash of the whole file."""
        self._forms: dict[bool, Any] = {}
        self._streams: dict[bytes, Any] = {}
        self._states: dict[tuple[Any, ...], _States] = {}

    def run(self, out: BinaryIO) -> Stamped:
        """Stamp all pages and write the document."""
        try:
            pages = list(self._pdf.pages)
        except (pikepdf.PdfError, ValueError, RuntimeError):
            raise NotStampable("its page tree is damaged") from None
        if not pages or pdfium.FPDF_GetPageCount(self._document) != len(pages):
            raise NotStampable("its page tree is damaged")
        self._room.spend_pages(len(pages))
        boxes, covered = [], []
        for number, page in enumerate(pages, 1):
            self._room.check_time()
            place = self._page(page, number)
            boxes.append(Box(number, *place.sides))
            if place.covers:
                covered.append(number)
        save(self._pdf, out, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
        return Stamped(tuple(boxes), tuple(covered))

    def _page(self, page: Any, number: int) -> Place:
        with open_page(self._document, number - 1) as address:
            if not address:
                raise NotStampable("a page cannot be drawn")
            frame = frame_of(address)
            place = find(address, frame, _safe(page, frame), self._plate)
        if place is None:
            raise NotStampable("a page has no free place for a stamp")
        _settle(page, frame)
        turn = " ".join(f"{value:.5f}" for value in matrix(place.sides, frame, self._plate))
        self._add(page, boxed=place.boxed, mark=f"\nq {turn} cm {self._named(place.boxed)} Do Q\n".encode("ascii"))
        return place

    def _named(self, boxed: bool) -> str:
        return f"{self._name}{'b' if boxed else ''}"

    def _add(self, page: Any, *, boxed: bool, mark: bytes) -> None:
        """Put the stamp behind the content of a page, and itself among the resources that the page has."""
        contents = page.obj.get("/Contents")
        parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
        streams = [part for part in parts if isinstance(part, pikepdf.Stream)]
        states = self._around(streams)
        behind = states.behind + mark
        page.obj["/Contents"] = pikepdf.Array([self._stream(states.before), *streams, self._stream(behind)])
        # Other pages and forms may have the same dictionaries. One more name in them, which none of them uses, changes
        # nothing there, while a copy for each page would grow with the square of the pages.
        resources = inherited(page, "/Resources")
        if not isinstance(resources, pikepdf.Dictionary):
            resources = page.obj["/Resources"] = pikepdf.Dictionary()
        if not isinstance(resources.get("/XObject"), pikepdf.Dictionary):
            resources["/XObject"] = pikepdf.Dictionary()
        resources["/XObject"][self._named(boxed)] = self._form(boxed=boxed)

    def _stream(self, content: bytes) -> Any:
        if content not in self._streams:
            self._streams[content] = self._pdf.make_stream(content)
        return self._streams[content]

    def _around(self, streams: list[Any]) -> _States:
        key = tuple(stream.objgen for stream in streams)
        if key not in self._states:
            self._states[key] = _states(streams)
        return self._states[key]

    def _form(self, *, boxed: bool) -> Any:
        """Return the stamp as an object of the document; `boxed`: on white."""
        if boxed not in self._forms:
            plate, around = self._plate, CLEAR if boxed else 0.0
            sides = (-around, -around, plate.wide + around, plate.high + around)
            white = f"1 g {sides[0]} {sides[1]} {sides[2] - sides[0]:.4f} {sides[3] - sides[1]:.4f} re f " * boxed
            draw = f"{white}0 g q {plate.wide:.4f} 0 0 {plate.high:.4f} 0 0 cm /M Do Q"
            form = self._pdf.make_stream(draw.encode("ascii"))
            form["/Type"], form["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Form
            form["/BBox"] = [round(side, 4) for side in sides]
            form["/Resources"] = pikepdf.Dictionary(XObject=pikepdf.Dictionary(M=self._picture()))
            self._forms[boxed] = form
        return self._forms[boxed]

    def _picture(self) -> Any:
        picture = self._pdf.make_stream(b"")
        picture.write(self._plate.raw, filter=pikepdf.Name.FlateDecode)
        picture["/Type"], picture["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Image
        picture["/Width"], picture["/Height"] = self._plate.width, self._plate.height
        picture["/ImageMask"], picture["/BitsPerComponent"] = True, 1
        picture["/Decode"] = [1, 0]
        return picture


def _safe(page: Any, frame: Frame) -> Sides:
    """Return the part of a page that is left on paper: some printers go by the trim box."""
    x0, y0, x1, y1 = 0.0, 0.0, frame.width, frame.height
    trim = sides_of(page.obj.get("/TrimBox"))
    if trim is None:
        return (x0, y0, x1, y1)
    left, upper, right, lower = frame.box(trim)
    inner = (max(x0, left), max(y0, upper), min(x1, right), min(y1, lower))
    large = (inner[2] - inner[0]) > _LEAST_TRIMMED * x1 and (inner[3] - inner[1]) > _LEAST_TRIMMED * y1
    return inner if large else (x0, y0, x1, y1)


def _settle(page: Any, frame: Frame) -> None:
    """Write down how a page is shown where its own words for it can be taken in several ways."""
    said = view_of(page).frame
    alike = max(abs(one - other) for one, other in zip(said.sides, frame.sides, strict=True)) < _SAME
    turn = inherited(page, "/Rotate")
    plain = turn is None or (isinstance(turn, int) and turn % 90 == 0)
    if alike and _fits(page) and plain and said.rotation == frame.rotation:
        return
    page.obj["/MediaBox"] = page.obj["/CropBox"] = [round(side, 4) for side in frame.sides]
    page.obj["/Rotate"] = frame.rotation


def _fits(page: Any) -> bool:
    """Tell whether a page has a size, and is cut to a part of it: some programs show what lies beyond, some do not."""
    media, crop = sides_of(inherited(page, "/MediaBox")), inherited(page, "/CropBox")
    if media is None or crop is None:
        return media is not None
    inner = sides_of(crop)
    return inner is not None and all(
        sign * (one - other) >= -_SAME for sign, one, other in zip((1, 1, -1, -1), inner, media, strict=True)
    )


def _states(streams: list[Any]) -> _States:
    """Return what isolates a content: one that takes back more than it kept, or leaves text and marks open, too."""
    depth = lowest = marks = compatible = 0
    in_text = False
    for name in _operators(streams):
        if name == "q":
            depth += 1
        elif name == "Q":
            depth -= 1
            lowest = min(lowest, depth)
        elif name in ("BT", "ET"):
            in_text = name == "BT"
        elif name in ("BMC", "BDC"):
            marks += 1
        elif name == "EMC":
            marks = max(0, marks - 1)
        else:
            compatible = max(0, compatible + (1 if name == "BX" else -1))
    kept = 1 - lowest
    if max(kept, depth + kept, marks, compatible) > _MOST_OPEN:
        raise NotStampable("a page leaves too many states open")
    behind = [b"", *[b"ET"] * in_text, b"n", *[b"EMC"] * marks, *[b"EX"] * compatible, *[b"Q"] * (depth + kept)]
    return _States(b"q\n" * kept, b"\n".join(behind))


def _operators(streams: list[Any]) -> Iterator[str]:
    whole = pikepdf.Dictionary(Type=pikepdf.Name.Page, Contents=pikepdf.Array(streams))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a token that is cut off at the end is looked for when the stamp is seen
            for one in pikepdf.parse_content_stream(pikepdf.Page(whole), _STATES):
                if not isinstance(one, pikepdf.ContentStreamInlineImage):
                    yield str(one.operator)
    except (pikepdf.PdfError, ValueError, RuntimeError):
        raise NotStampable("the content of a page is damaged") from None
