"""The OCR process: loads the models, shuts itself in, and reads one picture after the other.

Started by `ocr` as `python -I -c ... <folder of the package> <control fd> <pid of the daemon>`. It gets pixels and
nothing else, has no network, no files but Python's own, and may start nothing.
"""

from __future__ import annotations

import importlib
import logging
import os
import resource
import signal
import sys
import zlib
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlp import landlock, look

Pixels = npt.NDArray[np.uint8]

LARGEST = 2_340  # pixels a side: an A4 page at 200 dpi is read in one go
TILE = 1_800  # pixels a side of the pieces in which anything larger is read: memory grows with the area
TIRED = 1_350_000_000  # bytes: the engine keeps something of every new size of picture
OVERLAP = 240  # pixels: no line of text is higher
SAME_LINE = 0.5  # of the height: how far apart the middles of two pieces of one row may be
WRAP_GAP = 1.6  # line heights from one line to the next in one paragraph
_WARM = 320
_PROGRAMS = "8"
_STATM = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
"""Opened before this process gives up opening files."""


def main() -> None:
    """Serve until the daemon closes the socket."""
    control = int(sys.argv[2])
    landlock.die_with_parent(int(sys.argv[3]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    head = _exactly(control, look.HEADER.size)
    setup = look.setup_of.decode(_exactly(control, look.HEADER.unpack(head)[0]))
    try:
        engine = _load(setup)
        _shut_in(setup, int(sys.argv[3]))
        engine.read(_sample())
    except Exception as err:  # noqa: BLE001  whatever is missing must reach the daemon as a word
        _send(control, look.frame(look.Ready(why=f"{type(err).__name__} {getattr(err, 'name', '') or ''}".strip())))
        return
    _send(control, look.frame(look.Ready(engine=engine.name)))
    with suppress(EOFError, BrokenPipeError):
        while True:
            sizes = look.HEADER.unpack(_exactly(control, look.HEADER.size))
            ask = look.ask_of.decode(_exactly(control, sizes[0]))
            _send(control, look.frame(_answer(engine, ask, _exactly(control, sizes[1]))))


def _answer(engine: Engine, ask: look.Ask, packed: bytes) -> look.Said:
    count = ask.width * ask.height
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, count + 1)
        if len(raw) != count:
            return look.Said(why="the pixels are not as many as stated")
        grey = np.frombuffer(raw, dtype=np.uint8).reshape(ask.height, ask.width)
        lines = engine.line(grey) if ask.line else engine.read(grey)
    except MemoryError:
        return look.Said(why="it needs more memory than the limit")
    except Exception as err:  # noqa: BLE001  a picture that the engine fails on is one gap, not the end of reading
        return look.Said(why=type(err).__name__)
    return look.Said(lines=tuple(_ordered(lines)[: look.LINES]), tired=_size() > TIRED)


def _size() -> int:
    """Return the bytes of memory that this process holds."""
    return int(os.pread(_STATM, 256, 0).split()[1]) * os.sysconf("SC_PAGESIZE")


def _exactly(fd: int, count: int) -> bytes:
    pieces = []
    while count > 0:
        piece = os.read(fd, min(count, 1 << 20))
        if not piece:
            raise EOFError
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _send(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _shut_in(setup: look.Setup, parent: int) -> None:
    """Give up what reading pictures does not need; everything that is loaded must be loaded by now."""
    ruleset = -1
    if setup.level == "full":
        from dlp import seccomp  # noqa: PLC0415  level rlimits must work where libseccomp is missing

        ruleset = landlock.make_ruleset([*landlock.readable(), "/sys/devices/system", "/proc/meminfo", "/proc/cpuinfo"])
    if setup.uid is not None and setup.gid is not None:
        landlock.leave_network()
        os.setgroups([])
        os.setresgid(setup.gid, setup.gid, setup.gid)
        os.setresuid(setup.uid, setup.uid, setup.uid)
    landlock.die_with_parent(parent)
    landlock.give_up_privileges()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (setup.memory_bytes, setup.memory_bytes))
    if setup.level == "full":
        landlock.enter_ruleset(ruleset)
        os.close(ruleset)
        seccomp.load(os.getpid())


# --- the engine


def _forget() -> None:
    """Have OpenVINO keep few prepared programs: it makes one for each size of picture and would keep thousands."""
    from rapidocr.inference_engine.openvino import device_config  # noqa: PLC0415  as in Engine

    usual = device_config.CPUConfig.get_config

    def few(self: Any) -> dict[str, str]:
        return {**usual(self), "CPU_RUNTIME_CACHE_CAPACITY": _PROGRAMS}

    setattr(device_config.CPUConfig, "get_config", few)  # noqa: B010  its own switchboard has no switch for this


class Piece(NamedTuple):
    """One run of characters as the engine gives it; boxes are x0 y0 x1 y1 for each character."""

    text: str
    score: float
    boxes: npt.NDArray[np.float32]
    middle: tuple[float, float]
    way: tuple[float, float]
    """From the middle of the first character to that of the last."""
    height: float


class Engine:
    """rapidocr with the models of its wheel, on OpenVINO or onnxruntime."""

    def __init__(self, name: str, threads: int) -> None:
        from rapidocr import EngineType, RapidOCR  # noqa: PLC0415  takes half a second; only this process needs it

        importlib.import_module(name)
        logging.disable(logging.CRITICAL)
        if name == "openvino":
            _forget()
        kind = {"openvino": EngineType.OPENVINO, "onnxruntime": EngineType.ONNXRUNTIME}[name]
        self.name = name
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.text_score": 0.0,
                "Global.max_side_len": LARGEST,
                "Global.return_word_box": True,
                "Global.return_single_char_box": True,
                "Det.engine_type": kind,
                "Cls.engine_type": kind,
                "Rec.engine_type": kind,
                "EngineConfig.openvino.inference_num_threads": threads,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, grey: Pixels) -> list[Piece]:
        """Return every run of text in a picture."""
        high, wide = grey.shape
        if max(high, wide) <= LARGEST:
            return self._read(grey)
        found: list[Piece] = []
        for top in _starts(high):
            for left in _starts(wide):
                tile = grey[top : top + TILE, left : left + TILE]
                for piece in self._read(tile):
                    # What lies in an overlap belongs to the tile in whose inner part its middle is.
                    if _inner(piece.middle[0], left, wide) and _inner(piece.middle[1], top, high):
                        shift = np.array([left, top, left, top], dtype=np.float32)
                        middle = (piece.middle[0] + left, piece.middle[1] + top)
                        found.append(piece._replace(boxes=piece.boxes + shift, middle=middle))
        return found

    def line(self, grey: Pixels) -> list[Piece]:
        """Return what is written in a picture that shows one line and nothing else."""
        read = self._engine.recognize_txt([np.repeat(grey[:, :, None], 3, axis=2)])
        high, wide = grey.shape
        quad = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], dtype=np.float32)
        pieces = (
            _piece(text, float(score), quad, (), turned=False)
            for text, score in zip(read.txts, read.scores, strict=True)
        )
        return [piece for piece in pieces if piece is not None]

    def _read(self, grey: Pixels) -> list[Piece]:
        whole = np.repeat(grey[:, :, None], 3, axis=2)
        picture, record = self._engine.preprocess_img(whole)
        found, ways, read, crops = self._engine.run_ocr_steps(picture, record)
        if found.boxes is None:
            return []
        if read.txts is None or ways.cls_res is None:
            raise RuntimeError("lines were seen and not read")
        # A line that stands on its head was turned before it was read; the places of its letters were not turned back.
        turned = [label == "180" and score > self._engine.cfg.Cls.cls_thresh for label, score in ways.cls_res]
        turned = [turn for turn, text in zip(turned, read.txts, strict=True) if text.strip()]
        said = self._engine.build_final_output(whole, found, ways, read, crops, record)
        if said.txts is None or said.boxes is None or len(said.txts) != len(turned):
            if turned:
                raise RuntimeError("lines were read and lost")
            return []
        words = said.word_results if len(said.word_results) == len(said.txts) else ((),) * len(said.txts)
        pieces = []
        for text, score, quad, letters, turn in zip(said.txts, said.scores, said.boxes, words, turned, strict=True):
            piece = _piece(text, float(score), np.asarray(quad, dtype=np.float32), letters, turned=turn)
            if piece is not None:
                pieces.append(piece)
        return pieces


def _starts(size: int) -> list[int]:
    """Return where tiles begin that cover `size` pixels with an overlap."""
    if size <= TILE:
        return [0]
    step = TILE - OVERLAP
    return [*range(0, size - TILE, step), size - TILE]


def _inner(place: float, start: int, size: int) -> bool:
    """Tell whether a place in the tile from `start` is nearer to the middle of this tile than to that of the next."""
    starts = _starts(size)
    at = start + place
    middles = [s + min(TILE, size) / 2 for s in starts]
    return starts[int(np.argmin([abs(at - m) for m in middles]))] == start


def _piece(text: str, score: float, quad: npt.NDArray[np.float32], letters: Any, *, turned: bool) -> Piece | None:
    text = text[: look.LINE_CHARS]
    if not text.strip():
        return None
    known = [(str(letter[0]), np.asarray(letter[2], dtype=np.float32)) for letter in letters if letter[2] is not None]
    if "".join(letter for letter, _ in known) == text and all(len(letter) == 1 for letter, _ in known):
        corners = np.stack([place for _, place in known])
    else:
        corners = _spread(quad, len(text))
    if turned:
        corners = 2 * quad.mean(axis=0) - corners
    low, high = corners.min(axis=1), corners.max(axis=1)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    middles = corners.mean(axis=1)
    way = middles[-1] - middles[0] if len(text) > 1 else quad[1] - quad[0]
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    middle = quad.mean(axis=0)
    return Piece(
        text,
        score,
        boxes,
        (float(middle[0]), float(middle[1])),
        (float(way[0]), float(way[1])),
        float(min(sides[0] + sides[2], sides[1] + sides[3]) / 2),
    )


def _spread(quad: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """Divide a line evenly among its characters, along its longer side."""
    first, second, third, fourth = quad
    if np.linalg.norm(second - first) < np.linalg.norm(fourth - first):
        first, second, third, fourth = second, third, fourth, first
    steps = np.linspace(0, 1, count + 1, dtype=np.float32)[:, None]
    above, below = first + steps * (second - first), fourth + steps * (third - fourth)
    return np.stack([above[:-1], above[1:], below[1:], below[:-1]], axis=1)


def _ordered(pieces: list[Piece]) -> list[look.Line]:
    """Return the pieces in reading order: along the direction in which most of the text of the page runs."""
    if not pieces:
        return []
    angle = _angle(pieces)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middles = np.array([piece.middle for piece in pieces]) @ turn.T
    heights = np.array([max(piece.height, 1.0) for piece in pieces])
    spans = np.array([_span(piece, turn) for piece in pieces])
    order = sorted(range(len(pieces)), key=lambda n: float(middles[n, 1]))
    rows: list[list[int]] = []
    for number in order:
        row = rows[-1] if rows else []
        reach = SAME_LINE * min(heights[number], heights[row[0]]) if row else 0.0
        if row and abs(middles[number, 1] - np.mean(middles[row, 1])) < reach:
            row.append(number)
        else:
            rows.append([number])
    lines: list[look.Line] = []
    above: int | None = None
    for row in rows:
        row.sort(key=lambda n: float(middles[n, 0]))
        for number in row:
            piece = pieces[number]
            soft = above is not None and len(row) == 1 and _continues(number, above, middles, heights, spans)
            lines.append(
                look.Line(
                    text=piece.text,
                    score=max(0.0, min(1.0, piece.score)),
                    boxes=piece.boxes.tobytes(),
                    soft=soft,
                    vertical=abs(piece.way[1]) > abs(piece.way[0]),
                )
            )
        above = row[0] if len(row) == 1 else None
    return lines


def _angle(pieces: list[Piece]) -> float:
    """Return the direction of the text in radians: the median of the longer lines, around the main one of four."""
    ways = np.array([piece.way for piece in pieces])
    lengths = np.hypot(ways[:, 0], ways[:, 1])
    angles = np.arctan2(ways[:, 1], ways[:, 0])
    quarters = np.round(angles / (np.pi / 2)).astype(int) % 4
    votes = np.bincount(quarters, weights=lengths + 1e-6, minlength=4)
    main = int(votes.argmax())
    kept = (quarters == main) & (lengths >= np.median(lengths[quarters == main]))
    apart = (angles[kept] - main * np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    return float(main * np.pi / 2 + np.median(apart))


def _span(piece: Piece, turn: npt.NDArray[np.float64]) -> tuple[float, float]:
    corners = np.concatenate([piece.boxes[:, :2], piece.boxes[:, 2:]]) @ turn.T
    return float(corners[:, 0].min()), float(corners[:, 0].max())


def _continues(this: int, above: int, middles: Any, heights: Any, spans: Any) -> bool:
    """Tell whether a line goes on with the paragraph of the one above: as high, near, and the one above is full."""
    size = (heights[this] + heights[above]) / 2
    alike = 0.75 < heights[this] / heights[above] < 1.33
    near = middles[this, 1] - middles[above, 1] < (1 + WRAP_GAP) * size
    below = spans[this, 0] < spans[above, 0] + 3 * size
    full = spans[above, 1] > spans[this, 1] - 2 * size
    return bool(alike and near and below and full)


# --- start


def _sample() -> Pixels:
    """Return a small picture with letters: reading it loads all that reading any other will need."""
    import cv2  # noqa: PLC0415  loaded by the engine

    picture = np.full((_WARM, _WARM), 255, dtype=np.uint8)
    cv2.putText(picture, "DLP 2026", (20, 160), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 0, 3)
    return picture


def _load(setup: look.Setup) -> Engine:
    failed: Exception = ImportError("no engine is named")
    for name in setup.engines:
        try:
            engine = Engine(name, setup.threads)
            engine.read(_sample())
        except Exception as err:  # noqa: BLE001  the second choice stands in for whatever ails the first
            failed = err
        else:
            return engine
    raise failed
