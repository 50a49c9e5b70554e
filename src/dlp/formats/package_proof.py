"""What is looked at in a redacted package, by the ZIP and XML readers of Python, which did not write it."""

from __future__ import annotations

import io
import re
import zipfile
from xml.etree import ElementTree as ET

from dlp.formats import Source
from dlp.formats.picture_proof import metadata
from dlp.formats.room import Reading, Room
from dlp.model import Check, Document
from dlp.sniff import magic


def look(media: str, source: Source, members: re.Pattern[str], left_behind: frozenset[str], room: Room) -> Document:
    """Return the texts of a copy in drawing order, and whether it holds nothing but what it may.

    `members` are the names that a copy may have, `left_behind` the elements that it may not.
    """
    reading = Reading(room)
    left: set[str] = set()
    bad_picture = False
    with zipfile.ZipFile(io.BytesIO(source.content())) as archive:
        names = archive.namelist()
        plain = not archive.comment and not any(one.extra or one.comment for one in archive.infolist())
        known = plain and all(map(members.fullmatch, names))
        for name in names:
            room.spend_entries()
            data = archive.read(name)
            room.spend_bytes(len(data))
            if name.endswith(".xml"):
                left |= _read_part(data, reading)
            elif (magic.by_start(data) or "").startswith("image/"):
                bad_picture |= metadata(data).state == "fail"
    reading.checks += (
        _check("members", "the package holds a member that is not known", bad=not known),
        _check("left-behind", "something is there that is not taken along", bad=bool(left & left_behind)),
        _check("pictures", "a picture holds something besides its pixels", bad=bad_picture),
    )
    return reading.document(media)


def _check(name: str, detail: str, *, bad: bool) -> Check:
    return Check(name=name, state="fail" if bad else "ok", detail=detail if bad else "")


def _read_part(data: bytes, reading: Reading) -> set[str]:
    """Read the texts of a part, each by itself and all together; return the names of its elements."""
    texts: list[str] = []
    found: set[str] = set()
    root = ET.fromstring(data)  # noqa: S314  our own copy; expat refuses what grows
    for node in root.iter():
        found.add(node.tag.rpartition("}")[2])
        texts += [text for text in (node.text, node.tail, *node.attrib.values()) if text and not text.isspace()]
    if texts:
        reading.add("\n".join(texts), part=reading.room.part)
        reading.add("".join(root.itertext()), part=reading.room.part)
    return found
