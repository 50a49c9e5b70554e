"""A page of a held file as it looks, with each hit boxed and numbered: drawn on demand, and kept on no disk.

The sealed file is opened in memory and drawn in a sandbox child, out of which only pixels come; boxes are drawn here,
from what the books say. What the page shows is not masked: each look is in the trail before anybody has it.
"""

from __future__ import annotations

import io
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from dlp.errors import Denied
from dlp.model import Box, Gap, GapKind, Picture, Say, State
from dlp.rights import Operation
from dlp.sandbox import Sandbox
from dlp.service import trail
from dlp.service.acting import Acting, refused
from dlp.service.gate import sandbox_of
from dlp.service.places import open_vault
from dlp.service.reviews import no_copy, secret_here
from dlp.store import Job

RED = (208, 0, 0)
_LINE = 3  # pixels
_LETTER = 26  # pixels, of the numbers
_MARGIN = 2  # pixels between a hit and its box
_WHY: dict[GapKind, Say] = {
    GapKind.ENCRYPTED: Say("文件加密", "it is encrypted"),
    GapKind.CORRUPT: Say("文件损坏", "it is damaged"),
    GapKind.UNSUPPORTED: Say("没有这一页，或此类文件画不出页面", "there is no such page, or its type cannot be drawn"),
    GapKind.TOO_BIG: Say("超出资源上限", "it takes more than a limit allows"),
    GapKind.TIMEOUT: Say("超时", "it takes too long"),
    GapKind.NO_OCR: Say("未安装 Ghostscript", "Ghostscript is not installed"),
}


class Shown(NamedTuple):
    """One page: a PNG, and the numbers of the findings (from 1) that are boxed on it."""

    job: Job
    page: int
    png: bytes
    boxed: tuple[int, ...]


class Sheet(NamedTuple):
    """A page without boxes: a PNG, its size in points, and where each finding (from 1) lies on it, in points."""

    job: Job
    page: int
    png: bytes
    width: float
    height: float
    boxes: tuple[tuple[int, Box], ...] = ()


class Drawn(NamedTuple):
    """The pixels of one page, packed, as they came out of the sandbox; and the same as a PNG."""

    picture: Picture
    png: bytes


class Cache:
    """Pages that were drawn, in memory alone: the latest ones, within a number and a size. Thread-safe."""

    def __init__(self, *, most: int = 64, bytes_: int = 64 << 20) -> None:
        self._most, self._bytes = most, bytes_
        self._kept: OrderedDict[tuple[str, int, int, str], Drawn] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int, int, str]) -> Drawn | None:
        """Return a page; None where it is not here."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: tuple[str, int, int, str], drawn: Drawn) -> None:
        """Keep a page; the ones that nobody asked for lately go."""
        with self._lock:
            self._drop(key)
            self._kept[key] = drawn
            self._size += _weight(drawn)
            while self._kept and (len(self._kept) > self._most or self._size > self._bytes):
                self._drop(next(iter(self._kept)))

    def __len__(self) -> int:
        return len(self._kept)

    def _drop(self, key: tuple[str, int, int, str]) -> None:
        gone = self._kept.pop(key, None)
        self._size -= _weight(gone) if gone is not None else 0


def _weight(drawn: Drawn) -> int:
    return len(drawn.picture.raw) + len(drawn.png)


def page(
    acting: Acting, prefix: str, number: int, *, sandbox: Sandbox | None = None, cache: Cache | None = None
) -> Shown:
    """Return one page (from 1) of a job; Denied where it cannot be drawn, VaultError without the private key.

    That it was seen is in the trail before this returns, at any level. A `sandbox` that is warm saves its start.
    """
    job, drawn = _look(acting, prefix, number, sandbox, cache)
    boxes = tuple(_boxes(job, number))
    png = _png(drawn.picture, boxes)
    return Shown(job, number, png, tuple(dict.fromkeys(finding for finding, _ in boxes)))


def sheet(
    acting: Acting, prefix: str, number: int, *, sandbox: Sandbox | None = None, cache: Cache | None = None
) -> Sheet:
    """Return the same without boxes in the picture, and where they lie; each look is in the trail, from memory too."""
    job, drawn = _look(acting, prefix, number, sandbox, cache)
    return as_sheet(job, number, drawn, tuple(_boxes(job, number)))


def as_sheet(job: Job, number: int, drawn: Drawn, boxes: tuple[tuple[int, Box], ...] = ()) -> Sheet:
    """Return a drawn page with its size in points."""
    scale = drawn.picture.scale or 1.0
    return Sheet(job, number, drawn.png, drawn.picture.width * scale, drawn.picture.height * scale, boxes)


def draw(job: Job, body: int, number: int, sandbox: Sandbox) -> Drawn:
    """Return a page of the bytes of fd `body`; Denied where it cannot be drawn."""
    picture = sandbox.show(body, name=job.item.name, media=job.item.media, page=number)
    if isinstance(picture, Gap):
        raise _not_drawn(job, number, picture)
    return Drawn(picture, _png(picture, ()))


def _look(acting: Acting, prefix: str, number: int, sandbox: Sandbox | None, cache: Cache | None) -> tuple[Job, Drawn]:
    acting.person  # noqa: B018  whoever has not logged in is not told what there is
    job = acting.store.get(prefix)
    person = acting.may(Operation.EVIDENCE_VIEW, job=job.id)
    _check(acting, job)
    vault = open_vault(acting.config)
    if not vault.has(job.id):
        raise no_copy(job.id)
    key = (job.id, job.version, number, job.item.sha256)
    drawn = cache.get(key) if cache is not None else None
    if drawn is None:
        body = vault.open(job.id, job.item.sha256)
        try:
            with nullcontext(sandbox) if sandbox is not None else sandbox_of(acting.config) as warm:
                drawn = draw(job, body, number, warm)
        finally:
            os.close(body)
        if cache is not None:
            cache.put(key, drawn)
    trail.seen(acting.store, person.id, job, trail.PAGE, page=number)
    return job, drawn


def _check(acting: Acting, job: Job) -> None:
    """Raise Denied, noted, for a file that was blocked as a state secret which this machine may not show."""
    if job.state is not State.BLOCKED:  # what is held is only likely to be one, and has to be looked at
        return
    with acting.demand(Operation.EVIDENCE_VIEW, job=job.id) as entry:
        no = secret_here(acting, entry, job)
        if no is None:
            return
        error = refused(entry, acting.person, Operation.EVIDENCE_VIEW, no, job=job.id)
    raise error


def _boxes(job: Job, page: int) -> Iterator[tuple[int, Box]]:
    """Give where hits lie on a page of the file itself; what lies in a file inside of it is on no page of this one."""
    for number, found in enumerate(job.findings, 1):
        if not found.part:
            yield from ((number, box) for box in found.boxes if box.page == page)


def _png(picture: Picture, boxes: tuple[tuple[int, Box], ...]) -> bytes:
    size = picture.width * picture.height
    raw = zlib.decompressobj().decompress(picture.raw, size + 1)
    if len(raw) != size or picture.form != "grey":
        raise Denied(Say("画页程序所报与要求不符", "the drawing is not what it says it is"))
    image = Image.frombytes("L", (picture.width, picture.height), raw)
    if not boxes:
        return _packed(image)
    image = image.convert("RGB")
    pen, face = ImageDraw.Draw(image), ImageFont.load_default(_LETTER)
    scale = 1 / picture.scale if picture.scale else 1.0
    for number, box in boxes:
        x0, y0, x1, y1 = (round(side * scale) for side in (box.x0, box.y0, box.x1, box.y1))
        out = _MARGIN + _LINE
        pen.rectangle((x0 - out, y0 - out, x1 + out, y1 + out), outline=RED, width=_LINE)
        pen.text((x0 - out, max(0, y0 - out - _LETTER - 6)), str(number), fill=RED, font=face)
    return _packed(image)


def _packed(image: Image.Image) -> bytes:
    made = io.BytesIO()
    image.save(made, "PNG", compress_level=3)
    return made.getvalue()


def _not_drawn(job: Job, number: int, gap: Gap) -> Denied:
    why = _WHY.get(gap.kind, Say("画页程序中止", "the drawing ended"))
    return Denied(
        Say(f"任务 {job.id} 第 {number} 页画不出来：{why.zh}", f"page {number} of job {job.id} is not drawn: {why.en}"),
        Say("可用 dlp quarantine show 查看遮盖后的命中", "see its masked hits with `dlp quarantine show`"),
    )
