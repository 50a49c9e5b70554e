"""Printers that lose jobs, and stamps on what is printed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pypdfium2
import pytest

from codes import codes
from dlp import ipp
from dlp.ipp import Op, Status, Tag, codec
from dlp.ipp.http import Answer, Broken, Request
from dlp.model import State
from dlp.service import front
from pdf_makers import drawn, written
from print_stack import PrintStack
from shop import Shop
from test_http import serving
from test_print_jobs import CLEAN, HELD, NUMBER, PERSONAL


class Forgetful:
    """A printer that takes a job's number, breaks off in the middle of its document, and then knows nothing of it."""

    def __init__(self) -> None:
        self.forgets = True
        self.printed: list[bytes] = []

    async def answer(self, request: Request) -> Answer:
        """Answer as a printer does, as far as the gate asks."""
        steps = codec.read()
        need = next(steps)
        try:
            while True:
                need = steps.send(await request.body.exactly(need))
        except StopIteration as done:
            message: ipp.Message = done.value
        status, groups = Status.OK, []
        match message.code:
            case Op.GET_PRINTER_ATTRIBUTES:
                groups.append(front.printer(None, "ipp://printer/ipp/print", "printer", (), 0))
            case Op.CREATE_JOB:
                groups.append(ipp.Group(Tag.JOB, (ipp.integers("job-id", 4),)))
            case Op.SEND_DOCUMENT if self.forgets:
                raise Broken("the plug was pulled")
            case Op.SEND_DOCUMENT:
                pieces = []
                while piece := await request.body.some():
                    pieces.append(piece)
                self.printed.append(b"".join(pieces))
            case _:
                status = Status.NOT_FOUND
        return Answer(200, ipp.MEDIA, codec.encode(ipp.Message(status, message.id, (ipp.operation(), *groups))))


@contextmanager
def forgetful(root: Path, stack: PrintStack, *, more: str = "") -> Iterator[tuple[Shop, Forgetful]]:
    """A shop whose printer forgets."""
    printer = Forgetful()
    with (
        serving(printer.answer) as port,
        Shop(root, stack, printer=f'onward = "ipp://127.0.0.1:{port}/ipp/print"\n{more}') as shop,
    ):
        yield shop, printer


def test_a_job_that_a_printer_lost_is_held_for_a_person(tmp_path: Path, stack: PrintStack) -> None:
    """Nobody can tell whether it was printed: it is not sent again by itself; a person's word prints it once."""
    with forgetful(tmp_path, stack) as (shop, printer):
        shop.lp(CLEAN)
        (job,) = shop.wait(1, State.HELD)
        assert job.note is not None
        assert "无法确认是否已打印" in job.note.zh
        printer.forgets = False
        shop.site.run("quarantine", "release", job.id, "--reason", "已到打印机核对，未打印")
        shop.wait(1, State.RELEASED)
        assert [hashlib.sha256(one).hexdigest() for one in printer.printed] == [job.item.sha256]


def test_a_redacted_copy_in_doubt_stays_the_one_that_leaves(tmp_path: Path, stack: PrintStack) -> None:
    """The word of a person lets the proven copy out, never its original."""
    with forgetful(tmp_path, stack) as (shop, printer):
        shop.lp(PERSONAL)
        (job,) = shop.wait(1, State.HELD)
        printer.forgets = False
        shop.site.run("quarantine", "release", job.id, "--reason", "未打印")
        shop.wait(1, State.REDACTED)
        (printed,) = printer.printed
        assert hashlib.sha256(printed).hexdigest() == job.outgoing != job.item.sha256
        assert NUMBER.encode() not in printed


def codes_of(raw: bytes) -> list[str]:
    """Return what the QR codes on the pages of a PDF say."""
    found = []
    with pypdfium2.PdfDocument(raw) as document:
        for page in document:
            pixels = np.array(page.render(scale=4).to_pil().convert("L"))
            found += codes(pixels)
    return found


@pytest.mark.parametrize("held", [False, True], ids=["cleared", "released"])
def test_what_is_printed_has_its_stamp(tmp_path: Path, stack: PrintStack, held: bool) -> None:
    """Each page tells its job; the sealed hash is that of the stamped copy, and nothing stays in the vault."""
    with Shop(tmp_path, stack, printer='stamp = "qr"') as shop:
        shop.lp(HELD if held else drawn(written("page one"), written("page two")), "-n", "2")
        if held:
            (job,) = shop.wait(1, State.HELD)
            shop.site.run("quarantine", "release", job.id, "--reason", "已核")
        (printed,) = shop.printer.wait(1, seconds=60)
        (job,) = shop.wait(1, State.RELEASED)
        assert hashlib.sha256(printed.body).hexdigest() == job.outgoing != job.item.sha256
        assert codes_of(printed.body) == [f"DLPS1:{job.id}:/2"] * (1 if held else 2)
        assert [event["body"]["stamped"] for event in shop.events("releasing")] == [1 if held else 2]
        assert not list((shop.site.vault / "q").iterdir())


def test_what_cannot_be_stamped_waits(tmp_path: Path, stack: PrintStack) -> None:
    """A text is no PDF: where each page must have its stamp, it is held and says so."""
    with Shop(tmp_path, stack, printer='stamp = "text"') as shop:
        body = io.BytesIO("答复函\n".encode()).getvalue()
        shop.ask(Op.PRINT_JOB, body=body)
        (job,) = shop.wait(1, State.HELD)
        assert job.note is not None
        assert shop.printer.jobs() == []
