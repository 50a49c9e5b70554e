"""What comes out of a child: frames.

A frame is 4 bytes length of the payload (big endian), 1 byte tag, and the payload (msgpack, strictly typed; never
pickle). The last frame is an end mark that counts what went before it. Anything short, extra or malformed is a
`WireError`; the taker keeps running totals, so a flood is cut off while it runs and not after it was stored.

The bytes come from a process that may have been taken over by the document it reads: beside the types, `Intake`
checks that slices lie inside their segments, that strips fit their text, and that clauses for people are short,
plain ASCII.
"""

from __future__ import annotations

import array
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from dlp.limits import FRAME_BYTES, Limits
from dlp.model import (
    Box,
    Check,
    Coverage,
    Document,
    Frozen,
    Gap,
    GapKind,
    Picture,
    Removed,
    Segment,
    Slice,
    Table,
    evolve,
)

T = TypeVar("T")

HEADER = struct.Struct(">Ic")
PIECE_BYTES = 512 * 1024
"""A text or a row of edges longer than this travels in pieces before its segment."""
PARTS = 64
PART_CHARS = 4_096
DETAIL_CHARS = 200


class Fault(Enum):
    """What is wrong with a stream of frames."""

    SHORT = "short"  # ended without the end mark
    EXTRA = "extra"  # went on after the end mark
    MALFORMED = "malformed"  # not a frame, not this type, or a value that cannot be
    BIG_FRAME = "big_frame"  # one frame above the limit
    FLOOD = "flood"  # more bytes, segments, cells or characters than one document may have


class WireError(Exception):
    """A stream of frames cannot be used; `fault` says why. Carries nothing of what was in it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


_encoder = msgspec.msgpack.Encoder()


def pack(value: Any) -> bytes:
    """Return one message or task as bytes; lone surrogates in its texts become U+FFFD."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_mend(msgspec.to_builtins(value, builtin_types=(bytes,))))


def decode(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    """Return the value of a payload, strictly typed, or WireError."""
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The message of the decoder quotes what it read; the fault alone crosses.
        raise WireError(Fault.MALFORMED) from None


class Head(Frozen, frozen=True, kw_only=True):
    """First frame of a result."""

    media: Annotated[str, Meta(max_length=127)]
    pages: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None


class Rows(Frozen, frozen=True, kw_only=True):
    """Some rows of a table; with `more`, the next frame goes on with the same table."""

    table: Table
    more: bool = False


class Done(Frozen, frozen=True, kw_only=True):
    """Last frame of a copy: bytes written to the output; what was removed, or where stamps are and what they cover."""

    size: Annotated[int, Meta(ge=0)]
    removed: tuple[Removed, ...] = ()
    boxes: tuple[Box, ...] = ()
    covered: tuple[int, ...] = ()


class End(Frozen, frozen=True, kw_only=True):
    """The end mark: what the frames before it held."""

    frames: int
    segments: int = 0
    tables: int = 0
    gaps: int = 0


class Tag:
    """One byte before each payload."""

    HEAD = b"H"
    TEXT = b"x"
    EDGES = b"e"
    SEGMENTS = b"S"
    TABLES = b"T"
    GAPS = b"G"
    COVERAGE = b"C"
    PIXELS = b"p"
    PICTURE = b"P"
    CHECKS = b"V"
    DONE = b"R"
    END = b"Z"


class Outlet:
    """Writes one result as frames; `write` takes bytes and returns when all of them are out."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._frames = 0
        self._counts = {"segments": 0, "tables": 0, "gaps": 0}

    def send(self, document: Document) -> None:
        """Write the whole document and the end mark. WireError when a single row or name is above a frame."""
        self._frame(Tag.HEAD, _encoder.encode(Head(media=document.media[:127], pages=document.pages)))
        self._batch(Tag.SEGMENTS, "segments", self._segments(document.segments))
        self._batch(Tag.TABLES, "tables", _rows(document.tables))
        self._batch(Tag.GAPS, "gaps", map(pack, document.gaps))
        self._batch(Tag.COVERAGE, "", map(pack, document.coverage))
        for picture in document.pictures:
            for piece in _pieces(picture.raw):
                self._frame(Tag.PIXELS, _encoder.encode(piece))
            self._frame(Tag.PICTURE, pack(evolve(picture, raw=b"")))
        self._batch(Tag.CHECKS, "", map(pack, document.checks))
        self._end()

    def done(self, done: Done) -> None:
        """Write the result of a redaction or a stamping and the end mark."""
        self._frame(Tag.DONE, pack(done))
        self._end()

    def _end(self) -> None:
        self._frame(Tag.END, _encoder.encode(End(frames=self._frames, **self._counts)))

    def _frame(self, tag: bytes, payload: bytes) -> None:
        if len(payload) > FRAME_BYTES:
            raise WireError(Fault.BIG_FRAME)
        self._write(HEADER.pack(len(payload), tag) + payload)
        self._frames += 1

    def _segments(self, segments: Iterable[Segment]) -> Iterator[bytes]:
        for segment in segments:
            packed = pack(segment)
            if len(packed) <= PIECE_BYTES:
                yield packed
                continue
            yield b""  # what was gathered goes out first: the pieces belong to the segment that follows them
            raw = _plain(segment.text).encode()
            bare = segment if segment.strip is None else evolve(segment, strip=evolve(segment.strip, edges=b""))
            for piece in _pieces(raw):
                self._frame(Tag.TEXT, _encoder.encode(piece))
            for piece in _pieces(segment.strip.edges if segment.strip else b""):
                self._frame(Tag.EDGES, _encoder.encode(piece))
            yield pack(evolve(bare, text=""))

    def _batch(self, tag: bytes, count: str, packed: Iterator[bytes]) -> None:
        """Gather packed values into arrays of about PIECE_BYTES; an empty value means: send what there is."""
        gathered: list[bytes] = []
        size = 0

        def flush() -> None:
            nonlocal size
            if gathered:
                self._frame(tag, b"\xdd" + len(gathered).to_bytes(4, "big") + b"".join(gathered))
            gathered.clear()
            size = 0

        for value in packed:
            if not value or size + len(value) > PIECE_BYTES:
                flush()
            if value:
                gathered.append(value)
                size += len(value)
                if count:
                    self._counts[count] += 1
        flush()


def _pieces(raw: bytes) -> Iterator[bytes]:
    return (raw[at : at + PIECE_BYTES] for at in range(0, len(raw), PIECE_BYTES))


def _rows(tables: Iterable[Table]) -> Iterator[bytes]:
    """Cut each table into runs of at most about 20,000 cells (16 bytes each at most)."""
    for table in tables:
        runs: list[list[tuple[Slice, ...]]] = [[]]
        cells = 0
        for row in table.rows:
            if cells + len(row) > 20_000 and runs[-1]:
                runs.append([])
                cells = 0
            runs[-1].append(row)
            cells += len(row) + 1
        for number, run in enumerate(runs, 1):
            yield pack(Rows(table=Table(part=table.part, rows=tuple(run)), more=number < len(runs)))


def _plain(text: str) -> str:
    """Return `text` with lone surrogates as U+FFFD: one character for one, so every offset stays."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, dict):
        return {_mend(k): _mend(v) for k, v in value.items()}
    return [_mend(v) for v in value] if isinstance(value, list | tuple) else value


_head = msgspec.msgpack.Decoder(Head)
_bytes = msgspec.msgpack.Decoder(bytes)
_segments = msgspec.msgpack.Decoder(tuple[Segment, ...])
_tables = msgspec.msgpack.Decoder(tuple[Rows, ...])
_gaps = msgspec.msgpack.Decoder(tuple[Gap, ...])
_coverage = msgspec.msgpack.Decoder(tuple[Coverage, ...])
_picture = msgspec.msgpack.Decoder(Picture)
_checks = msgspec.msgpack.Decoder(tuple[Check, ...])
_done = msgspec.msgpack.Decoder(Done)
_end = msgspec.msgpack.Decoder(End)

_MEDIA = re.compile(r"(?:[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*)?", re.ASCII)
_CHECK = re.compile(r"[a-z][a-z0-9:._+-]{0,63}", re.ASCII)
_STATES = frozenset({"ok", "fail", "unavailable"})
_HOW = frozenset({"text", "ocr", "blank", "unread"})
_NOT_PLAIN = re.compile(r"[^ -~]")


class Intake:
    """Takes the bytes of one result as they come; raises WireError at the first thing that is wrong."""

    def __init__(self, limits: Limits) -> None:
        self.ended = False
        self._limits = limits
        self._buffer = bytearray()
        self._bytes = self._frames = self._chars = self._cells = 0
        self._untrusted_head: Head | None = None
        self._untrusted_segments: list[Segment] = []
        self._untrusted_tables: list[Table] = []
        self._untrusted_gaps: list[Gap] = []
        self._untrusted_coverage: list[Coverage] = []
        self._untrusted_pictures: list[Picture] = []
        self._untrusted_checks: list[Check] = []
        self._pixels = bytearray()
        self._packed = 0
        self._untrusted_done: Done | None = None
        self._runs = 0
        self._more = False
        self._rows: list[tuple[Slice, ...]] = []
        self._text = bytearray()
        self._edges = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._bytes += len(data)
        if self._bytes > self._limits.result_bytes:
            raise WireError(Fault.FLOOD)
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= HEADER.size:
            if self.ended:
                raise WireError(Fault.EXTRA)
            size, tag = HEADER.unpack_from(self._buffer, at)
            if size > FRAME_BYTES:
                raise WireError(Fault.BIG_FRAME)
            if len(self._buffer) - at < HEADER.size + size:
                break
            at += HEADER.size
            self._take(tag, bytes(self._buffer[at : at + size]))
            self._frames += 1
            at += size
        del self._buffer[:at]
        if self.ended and self._buffer:
            raise WireError(Fault.EXTRA)

    def document(self) -> Document:
        """Return what was read; WireError when the result is not whole or places in it do not exist."""
        if not self.ended:
            raise WireError(Fault.SHORT)
        if self._untrusted_head is None or self._untrusted_done is not None:
            raise WireError(Fault.MALFORMED)
        self._check_tables()
        return Document(
            media=self._untrusted_head.media,
            pages=self._untrusted_head.pages,
            segments=tuple(self._untrusted_segments),
            tables=tuple(self._untrusted_tables),
            gaps=tuple(self._untrusted_gaps),
            coverage=tuple(self._untrusted_coverage),
            pictures=tuple(self._untrusted_pictures),
            checks=tuple(self._untrusted_checks),
        )

    def outcome(self) -> Done | Gap:
        """Return how a redaction or a stamping ended: what was written, or the gap that stopped it."""
        if not self.ended:
            raise WireError(Fault.SHORT)
        if self._untrusted_gaps and self._untrusted_done is None:
            return self._untrusted_gaps[0]
        if self._untrusted_done is None or self._untrusted_segments or self._untrusted_gaps:
            raise WireError(Fault.MALFORMED)
        return self._untrusted_done

    def _take(self, tag: bytes, payload: bytes) -> None:
        if (self._frames == 0) != (tag in (Tag.HEAD, Tag.DONE)):
            raise WireError(Fault.MALFORMED)
        if (self._text or self._edges) and tag not in (Tag.TEXT, Tag.EDGES, Tag.SEGMENTS):
            raise WireError(Fault.MALFORMED)
        if self._pixels and tag not in (Tag.PIXELS, Tag.PICTURE):
            raise WireError(Fault.MALFORMED)
        if self._more and tag != Tag.TABLES:
            raise WireError(Fault.MALFORMED)
        take = _TAKES.get(tag)
        if take is None:
            raise WireError(Fault.MALFORMED)
        take(self, payload)

    def _take_head(self, payload: bytes) -> None:
        self._untrusted_head = decode(_head, payload)
        if not _MEDIA.fullmatch(self._untrusted_head.media):
            raise WireError(Fault.MALFORMED)

    def _take_text(self, payload: bytes) -> None:
        self._text += decode(_bytes, payload)

    def _take_edges(self, payload: bytes) -> None:
        self._edges += decode(_bytes, payload)

    def _take_segments(self, payload: bytes) -> None:
        untrusted = decode(_segments, payload)
        if self._text or self._edges:
            untrusted = (self._join(untrusted), *untrusted[1:])
        for segment in untrusted:
            self._chars += len(segment.text)
            _check_part(segment.part)
            if segment.strip is not None:
                _check_strip(segment)
        self._untrusted_segments += untrusted
        if self._chars > self._limits.text_chars or len(self._untrusted_segments) > self._limits.segments:
            raise WireError(Fault.FLOOD)

    def _join(self, untrusted: tuple[Segment, ...]) -> Segment:
        """Give the first segment the text and edges that came in pieces before it."""
        if not untrusted or untrusted[0].text:
            raise WireError(Fault.MALFORMED)
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            raise WireError(Fault.MALFORMED) from None
        segment: Segment = evolve(untrusted[0], text=text)
        if self._edges:
            if segment.strip is None or segment.strip.edges:
                raise WireError(Fault.MALFORMED)
            segment = evolve(segment, strip=evolve(segment.strip, edges=bytes(self._edges)))
        self._text.clear()
        self._edges.clear()
        return segment

    def _take_tables(self, payload: bytes) -> None:
        for rows in decode(_tables, payload):
            self._runs += 1
            self._cells += sum(map(len, rows.table.rows)) + len(rows.table.rows) + 1
            if self._cells > self._limits.cells:
                raise WireError(Fault.FLOOD)
            _check_part(rows.table.part)
            self._rows += rows.table.rows
            self._more = rows.more
            if not rows.more:
                self._untrusted_tables.append(Table(part=rows.table.part, rows=tuple(self._rows)))
                self._rows.clear()

    def _take_gaps(self, payload: bytes) -> None:
        for gap in decode(_gaps, payload):
            _check_part(gap.part)
            detail = _NOT_PLAIN.sub("?", gap.detail[:DETAIL_CHARS])
            self._untrusted_gaps.append(evolve(gap, detail=detail))
        self._check_count(self._untrusted_gaps)

    def _take_coverage(self, payload: bytes) -> None:
        untrusted = decode(_coverage, payload)
        for page in untrusted:
            _check_part(page.part)
            if page.how not in _HOW:
                raise WireError(Fault.MALFORMED)
        self._untrusted_coverage += untrusted
        self._check_count(self._untrusted_coverage)

    def _take_pixels(self, payload: bytes) -> None:
        piece = decode(_bytes, payload)
        self._packed += len(piece)
        if self._packed > self._limits.picture_bytes:
            raise WireError(Fault.FLOOD)
        self._pixels += piece

    def _take_picture(self, payload: bytes) -> None:
        untrusted = decode(_picture, payload)
        _check_part(untrusted.part)
        pixels = untrusted.width * untrusted.height if min(untrusted.width, untrusted.height) > 0 else 0
        known = untrusted.form in ("grey", "line", "postscript")
        if untrusted.raw or not known or not 0 < pixels <= self._limits.picture_pixels:
            raise WireError(Fault.MALFORMED)
        if not math.isfinite(untrusted.scale) or (untrusted.page is not None and untrusted.page < 1):
            raise WireError(Fault.MALFORMED)
        self._untrusted_pictures.append(evolve(untrusted, raw=bytes(self._pixels)))
        self._pixels.clear()
        self._check_count(self._untrusted_pictures)

    def _take_checks(self, payload: bytes) -> None:
        for check in decode(_checks, payload):
            if not _CHECK.fullmatch(check.name) or check.state not in _STATES:
                raise WireError(Fault.MALFORMED)
            detail = _NOT_PLAIN.sub("?", check.detail[:DETAIL_CHARS])
            self._untrusted_checks.append(evolve(check, detail=detail))
        self._check_count(self._untrusted_checks)

    def _take_done(self, payload: bytes) -> None:
        self._untrusted_done = decode(_done, payload)

    def _take_end(self, payload: bytes) -> None:
        end = decode(_end, payload)
        seen = (self._frames, len(self._untrusted_segments), self._runs, len(self._untrusted_gaps))
        if (end.frames, end.segments, end.tables, end.gaps) != seen:
            raise WireError(Fault.MALFORMED)
        self.ended = True

    def _check_count(self, untrusted: list[Any]) -> None:
        if len(untrusted) > self._limits.segments:
            raise WireError(Fault.FLOOD)

    def _check_tables(self) -> None:
        lengths = [len(segment.text) for segment in self._untrusted_segments]
        for table in self._untrusted_tables:
            for row in table.rows:
                for cell in row:
                    if not 0 <= cell.segment < len(lengths) or not 0 <= cell.start <= cell.end <= lengths[cell.segment]:
                        raise WireError(Fault.MALFORMED)


_TAKES: dict[bytes, Callable[[Intake, bytes], None]] = {
    Tag.HEAD: Intake._take_head,  # noqa: SLF001  the table of a class beside the class
    Tag.TEXT: Intake._take_text,  # noqa: SLF001
    Tag.EDGES: Intake._take_edges,  # noqa: SLF001
    Tag.SEGMENTS: Intake._take_segments,  # noqa: SLF001
    Tag.TABLES: Intake._take_tables,  # noqa: SLF001
    Tag.GAPS: Intake._take_gaps,  # noqa: SLF001
    Tag.COVERAGE: Intake._take_coverage,  # noqa: SLF001
    Tag.PIXELS: Intake._take_pixels,  # noqa: SLF001
    Tag.PICTURE: Intake._take_picture,  # noqa: SLF001
    Tag.CHECKS: Intake._take_checks,  # noqa: SLF001
    Tag.DONE: Intake._take_done,  # noqa: SLF001
    Tag.END: Intake._take_end,  # noqa: SLF001
}

WORDS: dict[Fault, Gap] = {
    Fault.SHORT: Gap(kind=GapKind.CRASHED, detail="the reader ended without a complete result"),
    Fault.EXTRA: Gap(kind=GapKind.CRASHED, detail="the reader went on after its end mark"),
    Fault.MALFORMED: Gap(kind=GapKind.CRASHED, detail="the reader gave a malformed result"),
    Fault.BIG_FRAME: Gap(kind=GapKind.CRASHED, detail="the reader gave a frame above the limit"),
    Fault.FLOOD: Gap(kind=GapKind.TOO_BIG, detail="the reader gave more than one document may hold"),
}
"""The gap that stands for each fault."""


def _check_part(part: tuple[str, ...]) -> None:
    if part and (len(part) > PARTS or max(map(len, part)) > PART_CHARS):
        raise WireError(Fault.MALFORMED)


def _check_strip(segment: Segment) -> None:
    strip = segment.strip
    if strip is None or len(strip.edges) not in (0, 8 * len(segment.text)) or strip.page < 1:
        raise WireError(Fault.MALFORMED)
    total = strip.x0 + strip.y0 + strip.x1 + strip.y1 + strip.size + sum(array.array("f", strip.edges))
    if not math.isfinite(total):
        raise WireError(Fault.MALFORMED)
