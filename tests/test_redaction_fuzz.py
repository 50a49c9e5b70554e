"""Fuzz of PDF redaction: of thousands of broken files, none is released in which any reader still finds the number.

Each file is redacted and proven in a process of its own, as the sandbox does it, but without OCR; what leaves is then
read by four readers. Some of those whose pages became pictures go through the whole gate, OCR and all.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from pdfminer.high_level import extract_text

from dlp import pipeline
from dlp.formats import Full, Source, pdf, proof
from dlp.formats.room import Room
from dlp.model import Cut, Item, Mode
from dlp.service.gate import Gate
from dlp.values import squeezed
from pdf_cases import ID, TEXT_CASES
from sites import lay

MUTANTS = int(os.environ.get("DLP_FUZZ", "2000"))
SEED = int(os.environ.get("DLP_FUZZ_SEED", "20261125"))
LOOKED_AT = 24  # pictures of pages that OCR reads: seconds each
_TOKENS = b"Tj TJ ET BT q Q cm Td Tm Do /F1 0 -1 1e9 [ ] < > ( ) << >> stream endstream /Length T* ' Tz".split()


def mutant(raw: bytes, chance: random.Random) -> bytes:
    """Return a file with some bytes, tokens or numbers changed."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        way = chance.randrange(5)
        if way == 0:
            data[at] = chance.randrange(256)
        elif way == 1:
            del data[at : at + chance.randint(1, 8)]
        elif way == 2:
            data[at:at] = b" " + chance.choice(_TOKENS) + b" "
        elif way == 3:
            data[at:at] = data[at : at + chance.randint(1, 40)]
        else:
            numbers = list(re.finditer(rb"\d+", data))
            found = chance.choice(numbers)
            data[found.start() : found.end()] = str(
                chance.choice([0, 1, 7, 65_535, -3, int(found[0][:6]) + 1])
            ).encode()
    return bytes(data)


def cuts_of(raw: bytes) -> list[Cut]:
    """Return a cut for each place in which the reader finds the number."""
    cuts = []
    for one in pdf.extract(Source(raw), Room()).segments:
        loose = r"[\s ]*".join(ID)
        for found in re.finditer(loose, one.text):
            boxes = (one.strip.box(*found.span()),) if one.strip else ()
            start, end = found.span()
            cuts.append(Cut(part=one.part, anchor=one.anchor, start=start, end=end, label="x", type="id", boxes=boxes))
    return cuts


def outcome(raw: bytes) -> dict[str, Any]:
    """Redact as the pipeline does: in place, then as pictures, and hold what is not proven."""
    cuts = cuts_of(raw)
    if not cuts:
        return {"how": "not read"}
    for mode in (Mode.AUTO, Mode.RASTER):
        out = io.BytesIO()
        try:
            removed = pdf.redact(Source(raw), cuts, out, Room(mode=mode))
        except Full:
            continue
        new = out.getvalue()
        seen = pdf.verify(Source(new), Source(raw), cuts, Room(mode=mode))
        again = pdf.extract(Source(new), Room())
        checks = [*proof.search(Source(new), (ID,), Room()), *seen.checks]
        text = squeezed("".join(one.text for one in (*seen.segments, *again.segments)))
        if seen.gaps or again.gaps or ID in text or any(check.state == "fail" for check in checks):
            continue
        pictured = any(one.how == "raster" for one in removed)
        return {"how": "raster" if pictured else "glyphs", "copy": new.hex(), "read": readers(new)}
    return {"how": "held"}


def readers(raw: bytes) -> list[str]:
    """Return the names of the readers that find the number in a file."""
    found = []
    with pypdfium2.PdfDocument(raw) as document:
        text = "".join(page.get_textpage().get_text_range() for page in document)
    if ID in squeezed(text):
        found.append("pdfium")
    if ID in squeezed(extract_text(io.BytesIO(raw))):
        found.append("pdfminer")
    return found


def apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a function gives in a process of its own; one that dies there holds its file."""
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 21))
        signal.alarm(60)
        try:
            made = work()
        except BaseException as err:  # noqa: BLE001  a bug in a reader holds the file, as it does in the sandbox
            made = {"how": "died", "why": type(err).__name__}
        os.close(near)
        with os.fdopen(far, "wb") as pipe:
            pipe.write(json.dumps(made).encode())
        os._exit(0)
    os.close(far)
    with os.fdopen(near, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return json.loads(data) if data else {"how": "died", "why": "signal"}


def programs(raw: bytes, folder: Path, text: str = ID) -> list[str]:
    """Return the names of the programs that find a text in a file."""
    (folder / "copy.pdf").write_bytes(raw)
    found = []
    for call in (["pdftotext", "copy.pdf", "-"], ["mutool", "draw", "-q", "-F", "text", "-o", "-", "copy.pdf"]):
        done = subprocess.run(call, cwd=folder, capture_output=True, check=False, timeout=60)
        if squeezed(text) in squeezed(done.stdout.decode("utf-8", "replace")):
            found.append(call[0])
    return found


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_broken_file_leaves_with_what_was_removed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Two thousand broken files of twenty kinds: no reader finds the number in one that is released."""
    for tool in ("pdftotext", "mutool"):
        if not any((Path(folder) / tool).exists() for folder in os.environ["PATH"].split(":")):
            pytest.skip(f"{tool} is not installed")
    chance = random.Random(SEED)
    kinds = sorted(TEXT_CASES)[:20]
    files = {name: TEXT_CASES[name]() for name in kinds}
    counts: Counter[str] = Counter()
    pictures: list[bytes] = []
    leaks: list[str] = []
    for number in range(MUTANTS):
        name = kinds[number % len(kinds)]
        raw = mutant(files[name], chance)
        made = apart(lambda raw=raw: outcome(raw))
        counts[made["how"]] += 1
        if "copy" not in made:
            continue
        copy = bytes.fromhex(made["copy"])
        found = [*made["read"], *programs(copy, tmp_path)]
        if found:
            leaks.append(f"mutant {number} of {name}: {found}")
        if made["how"] == "raster":
            pictures.append(raw)
    (tmp_path / "site").mkdir()
    with Gate.from_config(lay(tmp_path / "site").config) as gate:
        for raw in pictures[:: max(1, len(pictures) // LOOKED_AT)]:
            leaks += [f"OCR of {len(raw)} bytes" for text in _released(raw, gate.kit) if ID in squeezed(text)]
    record_property("told", f"seed {SEED}, {MUTANTS} mutants: {dict(counts)}")
    assert leaks == []
    assert counts["glyphs"] > MUTANTS // 10


def _released(raw: bytes, kit: pipeline.Kit) -> list[str]:
    """Return what OCR reads in the copy of a file that the whole gate lets out; nothing when it holds it."""
    body = os.memfd_create("file")
    try:
        os.write(body, raw)
        seen = pipeline.inspect(Item(id="0" * 26, source="fuzz", path="a.pdf", name="a.pdf"), body, kit)
        made = pipeline.redact(seen, body, kit, everything=True)
        if not isinstance(made, pipeline.Redaction):
            return []
        if not made.certificate.removed:  # broken so that the number is none any more: nobody asked to remove it
            os.close(made.body)
            return []
        try:
            size = os.fstat(made.body).st_size
            return [one.text for one in kit.sandbox.extract(made.body, name="a.pdf", size=size).segments]
        finally:
            os.close(made.body)
    finally:
        os.close(body)
