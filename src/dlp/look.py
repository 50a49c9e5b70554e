"""What the daemon tells its OCR process and what that answers: one frame each, msgpack, typed.

A frame is 4 bytes length of the message, 4 bytes length of what follows it (the packed pixels of a question), both big
endian. The process has seen nothing but pixels, but they are a stranger's: its answers are checked like any child's.
"""

from __future__ import annotations

import math
import struct
from array import array
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dlp.model import Frozen
from dlp.wire import Fault, WireError, decode

HEADER = struct.Struct(">II")
MESSAGE_BYTES = 16 << 20
"""Largest message: 5,000 lines of 100 characters with four numbers each are 8 MB."""
LINES = 20_000
LINE_CHARS = 2_000


class Setup(Frozen, frozen=True, kw_only=True):
    """First message to the process. `uid` None means: stay who you are."""

    level: str
    engines: tuple[str, ...]
    uid: int | None = None
    gid: int | None = None
    memory_bytes: int
    threads: int = 1


class Ready(Frozen, frozen=True, kw_only=True):
    """The process can read: which engine it runs; or, with `why`, that it cannot."""

    engine: str = ""
    why: str = ""


class Ask(Frozen, frozen=True, kw_only=True):
    """Read this picture; the pixels follow, packed."""

    width: int
    height: int
    line: bool = False
    """It shows a single line, which fills it."""


class Line(Frozen, frozen=True, kw_only=True):
    """One line that was read. `boxes` holds four float32 (x0 y0 x1 y1, pixels) for each character of the text."""

    text: Annotated[str, Meta(max_length=LINE_CHARS)]
    score: float
    boxes: bytes
    soft: bool = False
    """The line goes on with the text of the one before."""
    vertical: bool = False


class Said(Frozen, frozen=True, kw_only=True):
    """Everything that was read in one picture, in reading order; with `why`, that it could not be read."""

    lines: Annotated[tuple[Line, ...], Meta(max_length=LINES)] = ()
    why: str = ""
    tired: bool = False
    """The process has grown and is to be replaced before the next picture."""


_ready = msgspec.msgpack.Decoder(Ready)
_said = msgspec.msgpack.Decoder(Said)
setup_of = msgspec.msgpack.Decoder(Setup)
ask_of = msgspec.msgpack.Decoder(Ask)


def frame(message: Any, body: bytes = b"") -> bytes:
    """Return a message and what follows it as one frame."""
    packed = msgspec.msgpack.encode(message)
    return HEADER.pack(len(packed), len(body)) + packed + body


def read_ready(data: bytes) -> Ready:
    """Return the first answer, or WireError."""
    return decode(_ready, data)


def read_said(data: bytes) -> Said:
    """Return an answer whose numbers are finite and fit their texts, or WireError."""
    said = decode(_said, data)
    for line in said.lines:
        if len(line.boxes) != 16 * len(line.text) or not line.text:
            raise WireError(Fault.MALFORMED)
        if not math.isfinite(line.score + sum(array("f", line.boxes))):
            raise WireError(Fault.MALFORMED)
    return said
