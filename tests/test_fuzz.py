"""Fuzz: every reader is given broken files, in its real child; it gives text, gaps, or both, and never dies of a bug.

`fuzz_corpus/` keeps what earlier runs have found, one file each; they are read in every run. The long run makes new
ones from a seed that it prints.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from dlp import orders
from dlp.limits import Limits
from dlp.model import Document, GapKind
from dlp.sandbox import Sandbox
from format_makers import (
    doc_of,
    emf_of,
    flat_opc,
    odf_of,
    ofd_of,
    ofd_page,
    packed,
    pwg_of,
    rtf_of,
    spreadsheet_2003,
    text_object,
    urf_of,
)
from makers import W, docx_of, ole_of, package, xlsx_of
from pdf_makers import text_pdf
from test_image import noise, saved

KEPT = Path(__file__).parent / "fuzz_corpus"
LIMITS = Limits(wall_seconds=20.0, cpu_seconds=15)
ROUNDS = 120  # of each reader in the long run


def mail() -> bytes:
    """Return a message with an attachment."""
    made = EmailMessage()
    made["From"], made["Subject"], made["Message-ID"] = "a@example.com", "主题", "<1@example.com>"
    made.set_content("正文")
    made.add_attachment(docx_of("附件"), maintype="application", subtype="octet-stream", filename="a.docx")
    return made.as_bytes()


SEEDS: dict[str, Callable[[], bytes]] = {
    "pdf": lambda: text_pdf("机密★10年"),
    "docx": lambda: docx_of("机密★10年"),
    "xlsx": lambda: xlsx_of([["姓名", "身份证号"], ["张三", "11010119900307301X"]]),
    "ofd": lambda: ofd_of(ofd_page(text_object("机密★10年"))),
    "odt": lambda: odf_of("<text:p>机密</text:p>"),
    "doc": lambda: doc_of("机密★10年", header="页眉"),
    "rtf": lambda: rtf_of("机密★10年", "第二段"),
    "msg": lambda: ole_of({"__substg1.0_1000001F": "正文".encode("utf-16-le"), "__substg1.0_10090102": bytes(64)}),
    "ole": lambda: ole_of({"CONTENTS": bytes(range(256)) * 20}),
    "eml": mail,
    "html": "<html><body><table><tr><td>机密</td></tr></table></body></html>".encode,
    "xml": lambda: spreadsheet_2003([["机密", "★10年"]]),
    "flat": lambda: flat_opc(
        {"word/document.xml": f'<w:document xmlns:w="{W}"><w:p><w:r><w:t>机</w:t></w:r></w:p></w:document>'}
    ),
    "emf": lambda: emf_of("机密★10年"),
    "png": lambda: saved(noise(), "PNG"),
    "jpeg": lambda: saved(noise(), "JPEG"),
    "tiff": lambda: saved(noise(), "TIFF", compression="tiff_lzw"),
    "gif": lambda: saved(noise(), "GIF"),
    "webp": lambda: saved(noise(), "WEBP"),
    "bmp": lambda: saved(noise(), "BMP"),
    "jp2": lambda: saved(noise(), "JPEG2000"),
    "pwg": lambda: pwg_of(noise(64, 32)),
    "urf": lambda: urf_of(noise(64, 32)),
    "zip": lambda: package({"a.txt": "机密", "b.docx": docx_of("字")}),
    "7z": lambda: packed("7zip", {"a.txt": "机密".encode() * 50}),
    "tar": lambda: packed("pax", {"a.txt": "机密".encode()}),
    "iso": lambda: packed("iso9660", {"a.txt": "机密".encode()}),
    "gz": lambda: packed("pax", {"a.txt": "机密".encode()}, filter_name="gzip"),
    "zst": lambda: packed("pax", {"a.txt": "机密".encode()}, filter_name="zstd"),
    "pjl": lambda: b"\x1b%-12345X@PJL ENTER LANGUAGE=PDF\r\n" + text_pdf("机密") + b"\x1b%-12345X",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Give one sandbox for all tests of this module."""
    with Sandbox(limits=LIMITS) as made:
        yield made


def read(sandbox: Sandbox, raw: bytes) -> Document:
    """Return what the child makes of a file; pictures are not read, the engine has its own tests."""
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, raw)
        return sandbox._read(fd, orders.Task(what="extract", name="a", size=len(raw)))
    finally:
        os.close(fd)


def broken(raw: bytes, dice: random.Random) -> bytes:
    """Return a file with some of its bytes changed, lost, doubled or swapped."""
    data = bytearray(raw)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        at = dice.randrange(len(data))
        length = min(dice.choice((1, 2, 4, 8, 64)), len(data) - at)
        match dice.randrange(7):
            case 0:
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                data[at : at + length] = dice.randbytes(length)
            case 2:
                data[at : at + length] = b"\xff" * length
            case 3:
                data[at : at + length] = bytes(length)
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = data[at : at + length] * dice.choice((1, 3, 50))
            case _:
                del data[at:]
    return bytes(data)


def holds(document: Document) -> bool:
    """Tell whether a reader did what it must: no bug of ours, no death, no endless reading."""
    return not any(gap.kind in (GapKind.CRASHED, GapKind.TIMEOUT) for gap in document.gaps)


def test_kept_finds_are_read(sandbox: Sandbox) -> None:
    """What earlier runs found stays mended."""
    for path in sorted(KEPT.glob("*.bin")):
        assert holds(read(sandbox, path.read_bytes())), path.name


def test_seeds_are_what_they_should_be(sandbox: Sandbox) -> None:
    """An unbroken file of each kind is read without a gap of a crash: the fuzz starts from real files."""
    for name, make in SEEDS.items():
        assert holds(read(sandbox, make())), name


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SEEDS)
def test_broken_files_end_as_gaps(name: str, sandbox: Sandbox) -> None:
    """Many broken files of each kind; a find is written down beside the others and told with its seed."""
    seed = int(os.environ.get("FUZZ_SEED", "20261124"))
    dice = random.Random(f"{seed} {name}")
    raw = SEEDS[name]()
    for number in range(ROUNDS):
        bad = broken(raw, dice)
        document = read(sandbox, bad)
        if not holds(document):
            KEPT.mkdir(exist_ok=True)
            (KEPT / f"{name}-{seed}-{number}.bin").write_bytes(bad)
            pytest.fail(
                f"{name} round {number} of seed {seed}: {[g for g in document.gaps if g.kind is GapKind.CRASHED]}"
            )
