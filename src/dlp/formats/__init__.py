"""The formats: the only code that parses hostile bytes. They run in the sandbox child and nowhere else.

A format is a module with `MEDIA`, the media types it reads, and `extract(source, room) -> Document`; one that can also
take text out has `redact(source, cuts, out, room) -> tuple[Removed, ...]`, and one that can prove more of a redacted
copy than that its texts are gone has `verify(source, before, cuts, room) -> Document`, with readers that had no part
in the redaction; one whose pages can carry a stamp has `stamp(source, plate, out, room) -> Stamped`. What it cannot
read is a `Gap`; where reading cannot go on at all it raises `Full`, which `room.read` turns into one. `FORMATS` is
written by hand; whatever else is installed on the machine is never run.
"""

from __future__ import annotations

import io
import os
from typing import Any

from dlp.model import GapKind

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_OPEN = "application/vnd.oasis.opendocument."

FORMATS: dict[str, str] = {
    "text/plain": "dlp.formats.plain",
    "text/csv": "dlp.formats.plain",
    "text/tab-separated-values": "dlp.formats.plain",
    "text/html": "dlp.formats.html",
    "text/vcard": "dlp.formats.mail",
    "message/rfc822": "dlp.formats.mail",
    "application/rtf": "dlp.formats.rtf",
    "application/xml": "dlp.formats.flatxml",
    "image/svg+xml": "dlp.formats.flatxml",
    "application/pdf": "dlp.formats.pdf",
    DOCX: "dlp.formats.docx",
    XLSX: "dlp.formats.xlsx",
    PPTX: "dlp.formats.pptx",
    "application/ofd": "dlp.formats.ofd",
    "application/vnd.ms-xpsdocument": "dlp.formats.xps",
    **{
        _OPEN + kind + form: "dlp.formats.odf"
        for kind in ("text", "spreadsheet", "presentation", "graphics", "chart", "formula", "image")
        for form in ("", "-template", "-master")
    },
    "application/msword": "dlp.formats.doc",
    "application/vnd.ms-excel": "dlp.formats.xls",
    "application/vnd.ms-powerpoint": "dlp.formats.ppt",
    "application/vnd.ms-outlook": "dlp.formats.msg",
    "application/x-ole-storage": "dlp.formats.ole",
    "application/x-ole-encrypted": "dlp.formats.ooxml",
    "image/png": "dlp.formats.image",
    "image/jpeg": "dlp.formats.image",
    "image/gif": "dlp.formats.image",
    "image/bmp": "dlp.formats.image",
    "image/tiff": "dlp.formats.image",
    "image/webp": "dlp.formats.image",
    "image/jp2": "dlp.formats.image",
    "image/vnd.microsoft.icon": "dlp.formats.image",
    "image/emf": "dlp.formats.metafile",
    "image/wmf": "dlp.formats.metafile",
    "image/pwg-raster": "dlp.formats.raster",
    "image/urf": "dlp.formats.raster",
    "application/vnd.cups-raster": "dlp.formats.raster",
    "application/postscript": "dlp.formats.prints",
    "application/vnd.hp-pjl": "dlp.formats.prints",
    "application/zip": "dlp.formats.archive",
    "application/gzip": "dlp.formats.archive",
    "application/x-bzip2": "dlp.formats.archive",
    "application/x-xz": "dlp.formats.archive",
    "application/zstd": "dlp.formats.archive",
    "application/x-compress": "dlp.formats.archive",
    "application/x-lz4": "dlp.formats.archive",
    "application/x-lzip": "dlp.formats.archive",
    "application/x-7z-compressed": "dlp.formats.archive",
    "application/vnd.rar": "dlp.formats.archive",
    "application/x-tar": "dlp.formats.archive",
    "application/vnd.ms-cab-compressed": "dlp.formats.archive",
    "application/x-iso9660-image": "dlp.formats.archive",
    "application/x-cpio": "dlp.formats.archive",
    "application/x-lzh-compressed": "dlp.formats.archive",
    "application/x-archive": "dlp.formats.archive",
}
"""Media type -> module that reads it."""


class Full(Exception):  # noqa: N818  a state of the budget, turned into a Gap by its catcher
    """A limit is reached, or a reader must stop; `kind` and `detail` become the gap and quote nothing."""

    def __init__(self, kind: GapKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class NotRedactable(Full):
    """A cut lies where this format cannot take text out. Nothing may be released then."""

    def __init__(self, detail: str) -> None:
        super().__init__(GapKind.UNSUPPORTED, detail)


class NotStampable(Full):
    """This document cannot carry a stamp on each of its pages. Where one is asked for, nothing may be released then."""

    def __init__(self, detail: str) -> None:
        super().__init__(GapKind.UNSUPPORTED, detail)


class NotShowable(Full):
    """A page cannot be drawn here."""

    def __init__(self, detail: str) -> None:
        super().__init__(GapKind.UNSUPPORTED, detail)


class Source(io.RawIOBase):
    """The bytes of one item: read-only and seekable, over a descriptor or over bytes that lay in a container.

    `name` is the file name, untrusted and for nothing but messages; `size` is in bytes. Reads go through `pread`, so
    the position of the descriptor is never shared. The descriptor is not closed.
    """

    name: str
    size: int

    def __init__(self, content: int | bytes, *, name: str = "", size: int | None = None) -> None:
        super().__init__()
        self._content = content
        self._at = 0
        self.name = name
        if isinstance(content, int):
            self.size = os.fstat(content).st_size if size is None else size
        else:
            self.size = len(content)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end, and return where that is."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("negative seek position")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Return the position in bytes from the start."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read up to `len(buffer)` bytes at the position and return how many."""
        view = memoryview(buffer).cast("B")
        data = self.peek(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        """Return all bytes from the position to the end."""
        data = self.peek(self._at, self.size - self._at)
        self._at += len(data)
        return data

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`; the position stays where it is."""
        length = max(0, min(length, self.size - offset))
        if not isinstance(self._content, int):
            return self._content[offset : offset + length]
        data = b""
        while len(data) < length and (more := os.pread(self._content, length - len(data), offset + len(data))):
            data = data + more if data else more
        return data

    def content(self) -> bytes:
        """Return all bytes; the caller has compared `size` with its limit."""
        return self._content if isinstance(self._content, bytes) else self.peek(0, self.size)
