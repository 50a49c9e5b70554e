"""Draws PostScript pages for the OCR engine: the daemon's side of the drawing process.

Nothing in a PostScript stream tells which characters it shows (its text comes out as glyph numbers), so it is drawn.
The program is as hostile as any file: it runs in Ghostscript's own safe mode, inside a sandbox of its own.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlp import draw
from dlp.keeper import ENVIRONMENT
from dlp.limits import Limits
from dlp.model import Gap, GapKind, Picture, evolve

_BOOT = "import sys; a = sys.argv[1]; a in sys.path or sys.path.insert(0, a); from dlp.draw import main; main()"
_MEMORY = 1 << 30  # bytes of address space: a page of A2 at 200 dpi and the fonts of a book fit
DPI = 200
_A4, _A3 = (595, 842), (842, 1191)  # points
_LARGEST = 1_700  # points a side: larger pages are drawn with fewer dots an inch
_WIDEST = 14_400  # points: what a PDF page may be at most
_PAPER = 250  # grey: what is this light is not printed on
_BOX = re.compile(rb"^%%BoundingBox:\s*-?\d{1,5}\s+-?\d{1,5}\s+(\d{1,5})\s+(\d{1,5})", re.MULTILINE)
_SIZE = re.compile(rb"/PageSize\s{0,20}\[\s{0,20}(\d{1,9}(?:\.\d{0,9})?)\s{1,20}(\d{1,9}(?:\.\d{0,9})?)")
_EDGE = 65_536  # bytes at begin and end in which comments about the whole stand
_HEAD = 256  # bytes: the head of a page and its comment


class Press:
    """Turns one program into pictures of its pages. Thread-safe; every program gets a process of its own."""

    def __init__(self, limits: Limits, *, level: str, user: tuple[int, int] | None) -> None:
        self._limits = limits
        self._level = level
        self._uid, self._gid = user or (0, 0)

    def draw(self, picture: Picture) -> Iterator[Picture | Gap]:
        """Yield the pages; a Gap in their place tells why there are no (more) pages."""
        if not draw.program():
            yield _gap(picture, GapKind.NO_OCR, "Ghostscript is not installed: PostScript cannot be read")
            return
        unpacker = zlib.decompressobj()
        program = unpacker.decompress(picture.raw, self._limits.file_bytes)
        if unpacker.unconsumed_tail:
            yield _gap(picture, GapKind.TOO_BIG, "larger than limits.file_bytes")
            return
        if any(float(w) * float(h) * (DPI / 72) ** 2 > self._limits.picture_pixels for w, h in _SIZE.findall(program)):
            # Ghostscript without the memory for such a page draws a smaller one and says nothing.
            yield _gap(picture, GapKind.TOO_BIG, "its pages have more pixels than the limit")
            return
        yield from self._run(picture, program)

    def _run(self, picture: Picture, program: bytes) -> Iterator[Picture | Gap]:
        package = str(Path(__file__).resolve().parents[1])
        width, height = _canvas(program)
        dpi = max(72, min(DPI, DPI * _LARGEST // max(width, height)))
        rights = (os.getpid(), self._uid, self._gid, self._level, self._limits.cpu_seconds, _MEMORY)
        words = (package, *rights, width, height, dpi)
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        until = time.monotonic() + self._limits.wall_seconds
        feeder = threading.Thread(target=_feed, args=(process, program), daemon=True)
        feeder.start()
        pages = 0
        try:
            for page in _pages(process, until, self._limits, dpi):
                pages += 1
                yield evolve(page, part=picture.part, page=pages)
            if process.wait(max(0.1, until - time.monotonic())) != 0:
                yield _gap(picture, GapKind.CORRUPT, "Ghostscript could not draw all of it")
            elif not pages:
                yield _gap(picture, GapKind.CORRUPT, "it draws no page")
        except (TimeoutError, subprocess.TimeoutExpired):
            yield _gap(picture, GapKind.TIMEOUT, "longer than limits.wall_seconds")
        except OverflowError:
            yield _gap(picture, GapKind.TOO_BIG, "its pages have more pixels than the limit")
        except ValueError:
            yield _gap(picture, GapKind.CORRUPT, "Ghostscript could not draw all of it")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            feeder.join()
            if process.stdout is not None:
                process.stdout.close()


def _gap(picture: Picture, kind: GapKind, detail: str) -> Gap:
    return Gap(kind=kind, part=picture.part, detail=detail)


def _feed(process: subprocess.Popen[bytes], program: bytes) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError, OSError):
            process.stdin.write(program)
        with suppress(BrokenPipeError, OSError):
            process.stdin.close()


def _pages(process: subprocess.Popen[bytes], until: float, limits: Limits, dpi: int) -> Iterator[Picture]:
    """Yield the grey pages of a stream of PGM pictures (`P5`, comments, width, height, 255, pixels)."""
    buffer = bytearray()
    total = 0
    while True:
        while (head := _head(buffer)) is None:
            if len(buffer) > _HEAD:
                raise ValueError
            if not _more(process, buffer, until):
                if buffer:
                    raise ValueError
                return
        width, height, start = head
        total += width * height
        if width * height > limits.picture_pixels or total > limits.pixels:
            raise OverflowError
        while len(buffer) < start + width * height:
            if not _more(process, buffer, until):
                raise ValueError
        pixels = bytes(buffer[start : start + width * height])
        del buffer[: start + width * height]
        page = _trim(np.frombuffer(pixels, dtype=np.uint8).reshape(height, width), dpi)
        packed = zlib.compress(page.tobytes(), 1)
        yield Picture(width=page.shape[1], height=page.shape[0], raw=packed, scale=72 / dpi)


def _canvas(program: bytes) -> tuple[int, int]:
    """Return the size in points of a page whose program states none: A3, or what its bounding box needs."""
    width, height = _A3
    for found in _BOX.finditer(program[:_EDGE] + b"\n" + program[-_EDGE:]):
        width, height = max(width, int(found[1])), max(height, int(found[2]))
    return min(width, _WIDEST), min(height, _WIDEST)


def _trim(page: npt.NDArray[np.uint8], dpi: int) -> npt.NDArray[np.uint8]:
    """Return the A4 page in the corner of a larger one where there is nothing outside of it."""
    wide, high = (round(side * dpi / 72) for side in _A4)
    if page.shape[0] <= high or page.shape[1] <= wide:
        return page
    outside = min(int(page[: page.shape[0] - high].min()), int(page[:, wide:].min()))
    return page[page.shape[0] - high :, :wide] if outside >= _PAPER else page


def _head(buffer: bytearray) -> tuple[int, int, int] | None:
    """Return width, height and where the pixels begin; None when the head is not whole yet."""
    words: list[bytes] = []
    at = 0
    while len(words) < 4:
        end = buffer.find(b"\n", at)
        if end < 0:
            return None
        line = bytes(buffer[at:end])
        at = end + 1
        if not line.startswith(b"#"):
            words += line.split()
    if words[0] != b"P5" or words[3] != b"255" or not all(word.isdigit() and len(word) < 7 for word in words[1:3]):
        raise ValueError
    width, height = int(words[1]), int(words[2])
    if not width or not height:
        raise ValueError
    return width, height, at


def _more(process: subprocess.Popen[bytes], buffer: bytearray, until: float) -> bool:
    """Read what has come; False at the end of the stream. Raises TimeoutError when it takes too long."""
    if process.stdout is None:
        return False
    left = until - time.monotonic()
    ready, _, _ = select.select([process.stdout], [], [], max(0.0, left))
    if left <= 0 or not ready:
        raise TimeoutError
    data = os.read(process.stdout.fileno(), 1 << 20)
    buffer += data
    return bool(data)
