"""Print streams that are programs: PostScript and EPS are drawn elsewhere and read by OCR; PJL is unwrapped.

The text in a PostScript stream is numbers of glyphs, not characters: nothing but its picture tells what it says.
"""

from __future__ import annotations

import re
import struct
import zlib

from dlp.formats import Full, Source
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Picture, Zone
from dlp.sniff import charset

MEDIA = ("application/postscript", "application/vnd.hp-pjl")

_UEL = b"\x1b%-12345X"
_ENTER = re.compile(rb"@PJL\s+ENTER\s+LANGUAGE\s*=\s*([A-Za-z0-9-]{1,40})[^\n]{0,80}\r?\n", re.IGNORECASE)
_LANGUAGES = (b"POSTSCRIPT", b"PDF", b"URF", b"PWGRASTER", b"AUTO")
_EPS = b"\xc5\xd0\xd3\xc6"
_MOST_JOBS = 64
_COMMENT = re.compile(rb"^%%?[A-Za-z]{2,30}:[ \t]*([^\r\n]{2,500})", re.MULTILINE)
_MOST_COMMENTS = 2_000


def extract(source: Source, room: Room) -> Document:
    """Return the stream as something to be drawn, and the words in its comments and job control."""
    raw = source.content()
    reading = Reading(room)
    media = MEDIA[1] if raw.startswith(_UEL) else MEDIA[0]
    try:
        if media == MEDIA[1]:
            _read_jobs(raw, reading)
        else:
            _read_program(raw, reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(media)


def _read_program(raw: bytes, reading: Reading) -> None:
    room = reading.room
    if raw.startswith(_EPS) and len(raw) >= 30:
        start, size, *previews = struct.unpack_from("<6I", raw, 4)
        for at, length in zip(previews[::2], previews[1::2], strict=True):
            if length:
                reading.take(room.descend("preview", raw[at : at + length]))
        raw = raw[start : start + size]
    raw = raw.lstrip(b"\x04")
    for number, found in enumerate(_COMMENT.finditer(raw)):
        if number >= _MOST_COMMENTS:
            break
        texts = charset.readings(found[1])
        if texts and texts[0].text.strip():
            reading.add(texts[0].text.strip(), part=room.part, anchor="comment", zone=Zone.METADATA)
    packed = zlib.compress(raw, 1)
    room.spend_packed(len(packed))
    reading.pictures.append(Picture(part=room.part, width=1, height=1, raw=packed, form="postscript"))


def _read_jobs(raw: bytes, reading: Reading) -> None:
    """Read every job between two resets: the lines of job control, then what it carries, as what it is."""
    jobs = [job for job in raw.split(_UEL) if job.strip()]
    if len(jobs) > _MOST_JOBS:
        raise Full(GapKind.TOO_MANY, f"the print stream holds more than {_MOST_JOBS} jobs")
    room = reading.room
    for number, job in enumerate(jobs, 1):
        room.spend_entries()
        found = _ENTER.search(job[:65_536])
        head = job[: found.start()] if found else job[:65_536] if job.startswith(b"@PJL") else b""
        body = job[found.end() :] if found else b"" if job.startswith(b"@PJL") else job
        for line in head.splitlines():
            texts = charset.readings(line.strip())
            if texts and len(texts[0].text) > 4:
                reading.add(texts[0].text, part=room.part, anchor="pjl", zone=Zone.METADATA)
        if not body.strip():
            if not found and not head.isascii():
                reading.miss(GapKind.UNSUPPORTED, "job control that is not understood")
            continue
        if found and found[1].upper() not in _LANGUAGES:
            reading.miss(GapKind.UNSUPPORTED, "the print job is in a language that is not read")
            continue
        reading.take(room.descend(f"job {number}", body))
