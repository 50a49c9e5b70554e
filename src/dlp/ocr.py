"""Pictures become text: the daemon's side of the one OCR process.

`Ocr.read` takes a document with pictures and returns it without: what was read is segments with places, what was not
is a gap on its page. The process starts with the first picture and goes after a while without any; items take turns
picture by picture, so that a long scan does not keep a short one waiting.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import unicodedata
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlp import look
from dlp.keeper import ENVIRONMENT
from dlp.limits import Limits
from dlp.model import Coverage, Document, Gap, GapKind, Picture, Segment, Strip, Zone, evolve
from dlp.press import Press
from dlp.wire import WireError

_BOOT = "import sys; a = sys.argv[1]; a in sys.path or sys.path.insert(0, a); from dlp.eyes import main; main()"
_FRUGAL = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "8388608"}
"""What is freed goes back to the system: the engine's blocks are large and of ever different sizes."""
_PYTHON = ("-I", "-B", "-X", "utf8")
IDLE_SECONDS = 300.0
"""Without a picture for so long the process goes: it holds about a gigabyte."""
ENGINES = ("openvino", "onnxruntime")
SURE = 0.75
"""Below this mean confidence a page counts as not read."""
_WORD = re.compile(r"[A-Za-z]{1,40}", re.ASCII)
DOUBT = 0.5
"""A line below this is doubtful; where they are more than DOUBTFUL_SHARE of the text the page counts as not read."""
DOUBTFUL_SHARE = 0.15
FEW = 4
"""Characters: fewer in a whole picture are what the texture of a photograph looks like."""
ALIKE = 0.7
"""Share of the characters of a line that the text layer below it must hold for the line to be the same."""
BELIEVED = 10_000
"""Lines whose font map was seen to be true: a form that comes again costs nothing."""
TELLING = 4
"""Letters that a line must show before its font map can be said to lie."""
LIE = "a font shows other characters than it says"
LIES = 8
"""Characters seen on a page where its text says something else entirely: from here on the text is not believed."""


Stop = Callable[[Document], bool]
"""Tells of what was read so far whether nothing more may be read."""
STOPPED = "reading stopped at a state-secret mark"


class _Turns:
    """A lock that is given in the order in which it was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, hold it, and pass it on."""
        mine = threading.Event()
        with self._lock:
            if self._taken:
                self._waiting.append(mine)
            else:
                self._taken = True
                mine.set()
        mine.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._taken = False


class _Failed(Exception):  # noqa: N818  a state of one picture, turned into a Gap by its catcher
    """A picture could not be read; `gap` says why."""

    def __init__(self, kind: GapKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class _Process:
    """One running OCR process."""

    def __init__(self, setup: look.Setup, seconds: float) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        package = str(Path(__file__).resolve().parents[1])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *_PYTHON, "-c", _BOOT, package, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=ENVIRONMENT | _FRUGAL,
                cwd="/",
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.used = time.monotonic()
        try:
            ready = look.read_ready(self._ask(look.frame(setup), time.monotonic() + seconds))
        except (OSError, WireError, _Failed):
            self.close()
            raise _Failed(GapKind.NO_OCR, "the OCR engine could not be started") from None
        if ready.why:
            self.close()
            raise _Failed(GapKind.NO_OCR, "the OCR engine could not be started")
        self.engine = ready.engine

    def read(self, picture: Picture, seconds: float) -> look.Said:
        """Return what is read in a picture. Raises `_Failed`; the process is of no use any more then."""
        self.used = time.monotonic()
        ask = look.Ask(width=picture.width, height=picture.height, line=picture.form == "line")
        try:
            said = look.read_said(self._ask(look.frame(ask, picture.raw), self.used + seconds))
        except WireError:
            raise _Failed(GapKind.CRASHED, "the OCR engine gave a malformed answer") from None
        except OSError:
            raise _Failed(GapKind.CRASHED, "the OCR engine died") from None
        self.used = time.monotonic()
        return said

    def close(self) -> None:
        """End the process and wait for it."""
        self._socket.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _ask(self, question: bytes, until: float) -> bytes:
        self._socket.setblocking(False)
        view = memoryview(question)
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        while view:
            self._wait(poll, until)
            with suppress(BlockingIOError):
                view = view[self._socket.send(view) :]
        poll.modify(self._socket, select.POLLIN)
        size, more = look.HEADER.unpack(self._take(poll, look.HEADER.size, until))
        if size > look.MESSAGE_BYTES or more:
            raise _Failed(GapKind.CRASHED, "the OCR engine gave a malformed answer")
        return self._take(poll, size, until)

    def _wait(self, poll: select.poll, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(1000 * left):
            raise _Failed(GapKind.TIMEOUT, "reading a picture takes longer than limits.ocr_page_seconds")

    def _take(self, poll: select.poll, count: int, until: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._wait(poll, until)
            try:
                piece = self._socket.recv(min(count - len(data), 1 << 20))
            except BlockingIOError:
                continue
            if not piece:
                raise _Failed(GapKind.CRASHED, "the OCR engine died")
            data += piece
        return bytes(data)


class Ocr:
    """Reads pictures. Thread-safe; one picture at a time, items in turn."""

    def __init__(
        self,
        limits: Limits,
        *,
        level: str = "full",
        user: tuple[int, int] | None = None,
        engines: tuple[str, ...] = ENGINES,
    ) -> None:
        uid, gid = user or (None, None)
        self._limits = limits
        self._setup = look.Setup(
            level=level,
            engines=engines,
            uid=uid,
            gid=gid,
            memory_bytes=limits.ocr_memory_bytes,
        )
        self._press = Press(limits, level=level, user=user)
        self._turns = _Turns()
        self._believed: dict[bytes, None] = {}
        self._process: _Process | None = None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def close(self) -> None:
        """End the process; a picture under way becomes a gap."""
        with self._lock:
            process, self._process = self._process, None
            if self._timer is not None:
                self._timer.cancel()
        if process is not None:
            process.close()

    def read(self, untrusted: Document, stop: Stop | None = None) -> Document:
        """Return the document with its pictures read; without pictures, the document itself.

        Where `stop` says of its text, or of what one picture says, that nothing more may be read, nothing more is.
        """
        if not untrusted.pictures:
            return untrusted
        if stop is not None and stop(untrusted):
            return _stopped(untrusted)
        until = time.monotonic() + self._limits.ocr_seconds
        page = _Pages(untrusted)
        seen: dict[bytes, look.Said | _Failed] = {}  # a logo on every page is read once; gone with the item
        for picture in self._drawn(untrusted, page):
            about = f"{picture.form} {picture.width} {picture.height} {picture.says} "
            key = hashlib.sha256(about.encode() + picture.raw).digest()
            if key in self._believed:
                continue
            if key not in seen:
                seen[key] = self._look(picture, until)
            if picture.form == "line":
                if page.check(picture, seen[key]):
                    self._believe(key)
            else:
                page.add(picture, seen[key], self._limits)
                fresh = page.fresh()
                if stop is not None and fresh and stop(Document(media=untrusted.media, segments=fresh)):
                    return _stopped(page.document())
        return page.document()

    def drawn(self, picture: Picture, page: int) -> Picture | Gap:
        """Return one page (from 1) of a program that draws pages."""
        for number, drawn in enumerate(self._press.draw(picture), 1):
            if isinstance(drawn, Gap) or number == page:
                return drawn
        return Gap(kind=GapKind.UNSUPPORTED, detail="there is no such page")

    def _drawn(self, untrusted: Document, page: _Pages) -> Iterator[Picture]:
        """Yield the pictures of a document, programs drawn page by page."""
        for picture in untrusted.pictures:
            if picture.form != "postscript":
                yield picture
                continue
            for drawn in self._press.draw(picture):
                if isinstance(drawn, Gap):
                    page.miss(drawn)
                else:
                    yield drawn

    def _look(self, picture: Picture, until: float) -> look.Said | _Failed:
        try:
            with self._turns.turn():
                left = until - time.monotonic()
                if left <= 0:
                    return _Failed(GapKind.TIMEOUT, "reading its pictures takes longer than limits.ocr_seconds")
                return self._ask(picture, min(left, self._limits.ocr_page_seconds))
        except _Failed as failed:
            return failed

    def _ask(self, picture: Picture, seconds: float) -> look.Said:
        with self._lock:
            if self._process is None:
                self._process = _Process(self._setup, self._limits.start_seconds)
            process = self._process
        try:
            said = process.read(picture, seconds)
        except _Failed:
            self._drop(process)
            raise
        if said.tired or said.why:
            self._drop(process)
        else:
            self._rest()
        if said.why:
            why = f" ({said.why})" if _WORD.fullmatch(said.why) else ""
            raise _Failed(GapKind.CRASHED, f"the OCR engine failed on a picture{why}")
        return said

    def _believe(self, key: bytes) -> None:
        """Keep in mind that this very line is true; hashes only, and not for ever."""
        with self._lock:
            self._believed[key] = None
            if len(self._believed) > BELIEVED:
                self._believed.pop(next(iter(self._believed)))

    def _drop(self, process: _Process) -> None:
        with self._lock:
            if self._process is process:
                self._process = None
        process.close()

    def _rest(self) -> None:
        """Let the process go when nobody asks it for a while."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(IDLE_SECONDS, self._let_go)
            self._timer.daemon = True
            self._timer.start()

    def _let_go(self) -> None:
        with self._turns.turn(), self._lock:
            process = self._process
            if process is None or time.monotonic() - process.used < IDLE_SECONDS:
                return
            self._process = None
        process.close()


def _stopped(untrusted: Document) -> Document:
    """Return a document of which nothing more is read: what it has left unread is never clean."""
    gap = Gap(kind=GapKind.NO_OCR, detail=STOPPED)
    coverage = tuple(evolve(page, how="unread") if page.how == "ocr" else page for page in untrusted.coverage)
    return evolve(untrusted, pictures=(), gaps=(*untrusted.gaps, gap), coverage=coverage)  # type: ignore[no-any-return]


class _Pages:
    """Puts together what a document says by itself and what was seen in its pictures."""

    def __init__(self, untrusted: Document) -> None:
        self._untrusted = untrusted
        self._segments: list[Segment] = []
        self._asked = 0
        self._gaps: dict[Gap, None] = {}
        self._quality: dict[tuple[tuple[str, ...], int | None], float] = {}
        self._unread: set[tuple[tuple[str, ...], int | None]] = set()
        self._texts: dict[tuple[tuple[str, ...], int], list[Segment]] = {}
        self._chars = 0
        for segment in untrusted.segments:
            if segment.strip is not None:
                self._texts.setdefault((segment.part, segment.strip.page), []).append(segment)

    def fresh(self) -> tuple[Segment, ...]:
        """Return what was read in pictures since this was asked last."""
        first, self._asked = self._asked, len(self._segments)
        return tuple(self._segments[first:])

    def add(self, picture: Picture, said: look.Said | _Failed, limits: Limits) -> None:
        """Add what was read in one picture, or the reason why nothing was."""
        place = picture.part, picture.page
        if isinstance(said, _Failed):
            self._miss(place, said.kind, said.detail)
            return
        total = sum(len(line.text) for line in said.lines)
        sure = sum(len(line.text) * line.score for line in said.lines) / total if total else 1.0
        doubtful = sum(len(line.text) for line in said.lines if line.score < DOUBT)
        unsure = total >= FEW and (sure < SURE or doubtful > DOUBTFUL_SHARE * total)
        self._quality[place] = min(self._quality.get(place, 1.0), sure)
        if unsure:
            self._miss(place, GapKind.NO_OCR, f"the picture was read with doubt (quality {round(100 * sure)} %)")
        self._chars += total
        if self._chars > limits.text_chars:
            self._miss(place, GapKind.TOO_BIG, f"its pictures hold more than {limits.text_chars} characters")
            return
        beside = self._texts.get((picture.part, picture.page or 1), []) if picture.believed else []
        lies = 0
        dropped = True
        for line in said.lines:
            segment = _segment(line, picture)
            alike, said_there = _compare(segment, beside)
            if alike >= ALIKE:
                dropped = True
                continue
            if said_there and alike < 1 - ALIKE and line.score > SURE:
                lies += len(line.text)
            self._segments.append(evolve(segment, soft=segment.soft and not dropped))
            dropped = False
        if lies > LIES:
            self._miss(place, GapKind.UNTRUSTED_TEXT, "the page shows other text than it says")

    def check(self, picture: Picture, said: look.Said | _Failed) -> bool:
        """Compare what a line shows with what it says; a lie makes its page untrusted. True when it is true."""
        place = picture.part, picture.page
        if isinstance(said, _Failed):
            self._miss(place, said.kind, said.detail)
            return False
        shown = _letters("".join(line.text for line in said.lines))
        score = min((line.score for line in said.lines), default=0.0)
        total = sum(shown.values())
        if total < TELLING or score < SURE:
            return False  # a symbol, or letters that the engine does not know: nothing is proven either way
        share = sum((shown & _letters(picture.says)).values()) / total
        if share < 1 - ALIKE:
            self._miss(place, GapKind.UNTRUSTED_TEXT, LIE)
        return share >= ALIKE

    def document(self) -> Document:
        """Return the whole."""
        done = self._untrusted
        coverage = tuple(self._cover(page) for page in done.coverage)
        known = {(page.part, page.page) for page in done.coverage}
        for (part, number), quality in self._quality.items():
            if number is not None and (part, number) not in known:
                how = "unread" if (part, number) in self._unread else "ocr"
                coverage += (Coverage(page=number, how=how, part=part, quality=quality),)
        whole: Document = evolve(
            done,
            segments=(*done.segments, *self._segments),
            gaps=tuple(dict.fromkeys((*done.gaps, *self._gaps))),
            coverage=coverage,
            pictures=(),
        )
        return whole

    def _cover(self, page: Coverage) -> Coverage:
        place = page.part, page.page
        if place in self._unread:
            bad: Coverage = evolve(page, how="unread" if page.how == "ocr" else page.how)
            return bad
        if page.how == "ocr" and place in self._quality:
            good: Coverage = evolve(page, quality=self._quality[place])
            return good
        return page

    def miss(self, gap: Gap) -> None:
        """Add the reason why something was not even drawn."""
        self._gaps[gap] = None

    def _miss(self, place: tuple[tuple[str, ...], int | None], kind: GapKind, detail: str) -> None:
        self._unread.add(place)
        self._gaps[Gap(kind=kind, part=place[0], detail=detail, page=place[1])] = None


def _segment(line: look.Line, picture: Picture) -> Segment:
    """Return a line as a segment that lies on its page, in points."""
    scale = picture.scale or 0.48
    boxes = array("f", line.boxes)
    x0, y0, x1, y1 = (scale * pick(boxes[side::4]) for side, pick in ((0, min), (1, min), (2, max), (3, max)))
    first, last = (1, 3) if line.vertical else (0, 2)
    edges = array("f")
    for at in range(0, len(boxes), 4):
        edges.append(scale * boxes[at + first])
        edges.append(scale * boxes[at + last])
    low, high = (0, 2) if line.vertical else (1, 3)
    across = sorted(boxes[at + high] - boxes[at + low] for at in range(0, len(boxes), 4))
    size = scale * across[len(across) // 2]
    strip = Strip(
        page=picture.page or 1,
        x0=x0,
        y0=y0,
        x1=x1,
        y1=y1,
        edges=edges.tobytes(),
        vertical=line.vertical,
        size=round(0.78 * size, 2),  # the engine's boxes stand off from the letters
    )
    return Segment(text=line.text, part=picture.part, anchor="ocr", strip=strip, zone=Zone.OCR, soft=line.soft)


def _compare(segment: Segment, beside: list[Segment]) -> tuple[float, bool]:
    """Return the share of a line's characters that the text at its place holds, and whether there is text."""
    here = segment.strip
    if here is None or not beside:
        return 0.0, False
    said = []
    for other in beside:
        there = other.strip
        if there is None:
            continue
        wide = min(here.x1, there.x1) - max(here.x0, there.x0)
        high = min(here.y1, there.y1) - max(here.y0, there.y0)
        if wide > 0 and high > 0.25 * min(here.y1 - here.y0, there.y1 - there.y0):
            said.append(other.text)
    letters = _letters(segment.text)
    if not letters:
        return (1.0 if said else 0.0), False
    known = _letters("".join(said))
    share = sum((letters & known).values()) / sum(letters.values())
    return share, sum(map(len, said)) >= 4


def _letters(text: str) -> Counter[str]:
    """Count the letters and digits of a text, forms and case folded: engine and file may write them differently."""
    return Counter(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum())
