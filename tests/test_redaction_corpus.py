"""Redaction of PDF files that nobody here made: a word of each is removed, and no reader finds it in what leaves."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from dlp.formats import Full, Source, pdf, proof
from dlp.formats.room import Room
from dlp.model import Cut, Document, Mode
from dlp.values import squeezed
from test_redaction_fuzz import apart, programs

_WORD = re.compile(r"[A-Za-z]{6,14}|[\u4e00-\u9fff]{4,8}")
_NAME = re.compile(rb"/([A-Za-z0-9_+,.-]+)|\b([A-Za-z]{5,})\b")


def structural(raw: bytes) -> str:
    """Return the words that a file is built of: its names stay, and a text like them proves nothing."""
    found = {b"".join(pair) for pair in _NAME.findall(raw)}
    with pikepdf.open(io.BytesIO(raw)) as opened:
        for thing in opened.objects:
            if isinstance(thing, pikepdf.Stream | pikepdf.Dictionary):
                found |= {str(key).encode() for key in thing.keys()}  # noqa: SIM118  pikepdf
                found |= {str(value).encode() for value in dict(thing).values() if isinstance(value, pikepdf.Name)}
    return b" ".join(found).decode("utf-8", "replace").lower()


def chosen(document: Document, raw: bytes, seed: str) -> str:
    """Return a word of the pages that is no name in the file, or nothing."""
    lines = [one.text for one in document.segments if not one.anchor and one.strip and not one.part]
    words = sorted({found[0] for line in lines[:400] for found in _WORD.finditer(line)})
    names = structural(raw)
    words = [word for word in words if word.lower() not in names]
    return random.Random(seed).choice(words) if words else ""


def outcome(raw: bytes, seed: str) -> dict[str, Any]:
    """Remove one word of a file as the pipeline does: in place, then as pictures."""
    document = pdf.extract(Source(raw), Room())
    try:
        word = chosen(document, raw, seed)
    except (pikepdf.PdfError, pikepdf.PasswordError, ValueError):
        return {"how": "not opened"}
    if not word:
        return {"how": "no word"}
    cuts = [
        Cut(part=one.part, anchor=one.anchor, start=found.start(), end=found.end(), label="x", type="word",
            boxes=(one.strip.box(*found.span()),) if one.strip else ())
        for one in document.segments for found in re.finditer(re.escape(word), one.text)
    ]  # fmt: skip
    why = []
    for mode in (Mode.AUTO, Mode.RASTER):
        out = io.BytesIO()
        try:
            removed = pdf.redact(Source(raw), cuts, out, Room(mode=mode))
        except Full as full:
            why.append(full.detail)
            continue
        new = out.getvalue()
        seen = pdf.verify(Source(new), Source(raw), cuts, Room(mode=mode))
        checks = [*proof.search(Source(new), (word,), Room()), *seen.checks]
        bad = [f"{check.name}: {check.detail}" for check in checks if check.state == "fail"]
        kept = squeezed(word) in squeezed("".join(one.text for one in seen.segments))
        if seen.gaps or bad or kept:
            why += bad or ["still read"]
            continue
        pictured = any(one.how == "raster" for one in removed)
        return {"how": "raster" if pictured else "glyphs", "copy": new.hex(), "word": word, "why": why}
    return {"how": "held", "why": why}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_file_of_the_corpus_leaves_with_its_word(
    shared: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Hundreds of strange PDF files: what leaves holds the word in no reader; most of it is text still."""
    counts: Counter[str] = Counter()
    leaks, reasons = [], []
    for path in sorted((shared / "corpus").rglob("*.pdf")):
        raw = path.read_bytes()
        made = apart(lambda raw=raw, name=path.name: outcome(raw, name))
        counts[made["how"]] += 1
        if made.get("why") or made["how"] == "died":
            reasons.append(f"{made['how']} {path.name}: {made['why']}")
        if "copy" in made:
            leaks += programs(bytes.fromhex(made["copy"]), tmp_path, made["word"])
    testable = sum(counts[how] for how in ("glyphs", "raster", "held"))
    told = [f"{dict(counts)}; text stays in {counts['glyphs']} of {testable}", *reasons]
    record_property("told", "\n  ".join(told))
    assert leaks == []
    assert counts["glyphs"] > 0.7 * testable
