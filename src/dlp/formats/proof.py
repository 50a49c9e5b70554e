"""What every redacted copy must pass, whatever its type: the removed texts are nowhere in its bytes."""

from __future__ import annotations

from collections.abc import Sequence

from dlp.formats import Source
from dlp.formats.room import Room
from dlp.model import Check

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5")


def search(source: Source, needles: Sequence[str], room: Room) -> tuple[Check, ...]:
    """Return the check that none of `needles` is in the bytes of the copy, in any usual encoding."""
    room.check_time()
    data = source.content()
    for needle in needles:
        for encoding in ENCODINGS:
            try:
                raw = needle.encode(encoding)
            except UnicodeEncodeError:
                continue
            if raw in data:
                return (Check(name="bytes", state="fail", detail=f"a removed text is there in {encoding}"),)
    return (Check(name="bytes", state="ok"),)
