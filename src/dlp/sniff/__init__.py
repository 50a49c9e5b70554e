"""What kind of file is this? By content only: names and extensions lie.

A file can be more than one thing at once (a PDF with a ZIP archive behind it opens as either), so all types that the
bytes can be taken for are returned. The reader reads it as each of them.
"""

from __future__ import annotations

import re
from typing import Protocol

from dlp.sniff import charset, containers, magic

EDGE_BYTES = 65_536
"""How much of the begin and the end `sniff` is given."""

_OOXML = "application/vnd.openxmlformats-officedocument."
_PACKAGES = (
    ("word/", _OOXML + "wordprocessingml.document"),
    ("xl/workbook.bin", "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    ("xl/", _OOXML + "spreadsheetml.sheet"),
    ("ppt/", _OOXML + "presentationml.presentation"),
    ("visio/", "application/vnd.ms-visio.drawing"),
)
_STREAMS = (
    ("encryptedpackage", "application/x-ole-encrypted"),
    ("worddocument", "application/msword"),
    ("workbook", "application/vnd.ms-excel"),
    ("book", "application/vnd.ms-excel"),
    ("powerpoint document", "application/vnd.ms-powerpoint"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
    ("visiodocument", "application/vnd.visio"),
)
_PDF_WINDOW = 1024  # the header may stand anywhere in here (PDF 1.7 annex H, note 13)


class Bytes(Protocol):
    """What is asked of a source: its size, and a look at any place."""

    size: int

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`."""
        ...


def sniff(head: bytes, tail: bytes, source: Bytes) -> tuple[str, ...]:
    """Return all media types the bytes can be taken for, best first; () when none is known.

    `head` and `tail` are the first and last `EDGE_BYTES` (or all) of `source`.
    """
    start = head.removeprefix(b"\xef\xbb\xbf")
    found = [*_pdf(start, tail), *_by_magic(start), *_zip(head, source)]
    # Behind a picture or a PDF nothing is looked for as text: what is not theirs is their reader's business.
    if not found:
        found += _as_text(head, whole=len(head) == source.size)
    return tuple(dict.fromkeys(found))


def _pdf(start: bytes, tail: bytes) -> list[str]:
    at = start.find(b"%PDF")
    ended = b"startxref" in tail or b"%%EOF" in tail
    if at < 0 and not (ended and b" obj" in start):
        return []
    if start[: max(at, 0)].strip(b"\0\t\n\f\r ") == b"" and at >= 0:
        return ["application/pdf"]
    plain = charset.is_text(start)
    if plain and not ended:
        return []  # a text that speaks of PDF files
    # What stands before the header leaves with the file, and no reader of PDF shows it.
    other = "text/plain" if plain else magic.by_start(start[: max(at, 0)]) or "application/octet-stream"
    return ["application/pdf", other] if 0 <= at < _PDF_WINDOW else [other, "application/pdf"]


def _by_magic(start: bytes) -> list[str]:
    if start.startswith(containers.OLE):
        return []
    media = magic.by_start(start)
    if media is None:
        return []
    return [media]


def _zip(head: bytes, source: Bytes) -> list[str]:
    if head.startswith(containers.OLE):
        return _ole(source)
    names = containers.zip_names(source.peek, source.size)
    if names is None:
        return ["application/zip"] if re.match(rb"PK(?:\x03\x04|00PK\x03\x04|\x05\x06|\x07\x08)", head) else []
    kinds = []
    if "[content_types].xml" in names:
        kinds = [media for prefix, media in _PACKAGES if any(name.startswith(prefix) for name in names)]
        kinds = [k for k in kinds if not (k.endswith("spreadsheetml.sheet") and "xl/workbook.bin" in names)]
        if any(name.endswith((".fdseq", ".fpage")) for name in names):
            kinds.append("application/vnd.ms-xpsdocument")
    if "ofd.xml" in names:
        kinds.append("application/ofd")
    if "mimetype" in names and "content.xml" in names:
        kinds.append(_open_document(head))
    if "mimetype" in names and "meta-inf/container.xml" in names:
        kinds.append("application/epub+zip")
    return kinds or ["application/zip"]


def _open_document(head: bytes) -> str:
    kind = re.match(rb"PK\x03\x04.{26}mimetype(application/vnd\.oasis\.opendocument\.[a-z-]+)", head, re.DOTALL)
    return kind[1].decode("ascii") if kind else "application/vnd.oasis.opendocument.text"


def _ole(source: Bytes) -> list[str]:
    names = containers.ole_names(source.peek)
    kinds = [media for name, media in _STREAMS if name in names]
    return list(dict.fromkeys(kinds)) or ["application/x-ole-storage"]


def _as_text(head: bytes, *, whole: bool) -> list[str]:
    readings = charset.readings(head, whole=whole)
    if not readings:
        return []
    text = readings[0].text
    if magic.is_mail(text):
        return ["message/rfc822", "text/plain"]
    if magic.is_card(text):
        return ["text/vcard", "text/plain"]
    media, sure = magic.markup(text)
    if not media:
        return ["text/plain"]
    if media in ("text/html", "image/svg+xml") and sure:
        return [media]
    return [media, "text/plain"] if sure else ["text/plain", media]
