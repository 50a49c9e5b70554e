"""Messages (RFC 5322 and MIME), mailboxes of them, web archives (MHT), and visiting cards (RFC 6350).

Every body and attachment is read as what it is; headers are text. The whole file is also read as plain text (see
`sniff`): so a body that two mail programs would cut up differently hides nothing.
"""

from __future__ import annotations

import email
import email.header
import email.policy
import re
from email.errors import HeaderParseError
from email.message import Message
from typing import Any

from dlp.formats import Full, Source
from dlp.formats.loose import decode_base64
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Zone
from dlp.sniff import charset

MEDIA = ("message/rfc822", "text/vcard")

_FROM = re.compile(rb"(?:\A|\r?\n\r?\n)From [^\r\n]{1,300}\r?\n")
_SEALED = ("application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted", "application/pgp-encrypted")
_PHOTO = re.compile(
    rb"^(?:PHOTO|LOGO|KEY|SOUND|ATTACH)[^:\r\n]{0,300}:(?:data:[^,\r\n]{0,100},)?([A-Za-z0-9+/=]{24,})",
    re.MULTILINE | re.IGNORECASE,
)
_DEEPEST = 20  # parts in parts of one message; messages in messages count as containers


def extract(source: Source, room: Room) -> Document:
    """Return headers, bodies and attachments. `anchor` of a header is its name."""
    data = source.content()
    reading = Reading(room)
    media = MEDIA[0]
    try:
        if data.lstrip(b"\xef\xbb\xbf\r\n ").upper().startswith(b"BEGIN:"):
            media = MEDIA[1]
            _read_cards(data, reading)
        elif data.startswith(b"From ") and len(starts := list(_FROM.finditer(data))) > 1:
            ends = [found.start() for found in starts[1:]] + [len(data)]
            room.spend_entries(len(starts))
            for number, (found, end) in enumerate(zip(starts, ends, strict=True), 1):
                reading.take(room.descend(f"message {number}", data[found.end() : end]))
        else:
            _Mail(reading).read(email.message_from_bytes(data, policy=email.policy.compat32), 0)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(media)


class _Mail:
    """Reads one message into a reading."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._room = reading.room
        self._number = 0

    def read(self, message: Message[Any, Any], depth: int) -> None:
        """Read the header of a part and then its body, or the parts in it."""
        if depth > _DEEPEST:
            raise Full(GapKind.TOO_DEEP, f"parts of a message are nested more than {_DEEPEST} deep")
        self._room.spend_entries()
        self._headers(message, Zone.METADATA if depth == 0 else Zone.HIDDEN)
        kind = message.get_content_type()
        if kind in _SEALED and "signed" not in str(message.get_param("smime-type", "")):
            self._reading.miss(GapKind.ENCRYPTED, "a part of the message is encrypted")
        for text in (message.preamble, message.epilogue):
            if text and text.strip():
                self._add(_whole(text), "around", Zone.HIDDEN)
        content: Any = message.get_payload()
        if isinstance(content, list):
            for part in content:
                self.read(part, depth + 1)
            return
        raw = message.get_payload(decode=True)
        data = raw if isinstance(raw, bytes) else b""
        if not data.strip():
            if isinstance(content, str) and content.strip():
                self._reading.miss(GapKind.CORRUPT, "a part of the message cannot be unpacked")
            return
        self._number += 1
        self._room.spend_bytes(len(data))
        self._reading.take(self._room.descend(self._name(message), data))

    def _name(self, message: Message[Any, Any]) -> str:
        try:
            name = message.get_filename()
        except (ValueError, LookupError):
            name = None
        return _header(name) if name else f"part {self._number}"

    def _headers(self, message: Message[Any, Any], zone: Zone) -> None:
        for name, value in message.raw_items():
            plain = _header(value)
            # The way of a message says nothing about its content, but addresses in it are somebody's.
            self._add(plain, str(name)[:60], zone if name.lower() in _SPOKEN else Zone.HIDDEN)
        name = self._name(message)
        if not name.startswith("part "):
            self._add(name, "filename", Zone.METADATA)

    def _add(self, text: str, anchor: str, zone: Zone) -> None:
        text = text.strip()
        if text:
            self._reading.add(text, part=self._room.part, anchor=anchor, zone=zone)


_SPOKEN = frozenset(
    {"subject", "from", "to", "cc", "bcc", "reply-to", "sender", "comments", "keywords", "organization"}
)


def _header(value: Any) -> str:
    """Return the text of a header: encoded words decoded, raw bytes in whatever encoding fits them."""
    text = "" if value is None else str(value)
    try:
        pieces = email.header.decode_header(text)
    except (HeaderParseError, ValueError, LookupError):
        return _whole(text)
    found = []
    for piece, encoding in pieces:
        if isinstance(piece, str):
            found.append(_whole(piece))
            continue
        plain = None
        if encoding and encoding.lower() != "unknown-8bit":
            try:
                plain = charset.decode(piece, "gb18030" if encoding.lower() in ("gb2312", "gbk") else encoding)
            except LookupError:
                plain = None
        found.append(plain if plain is not None else _first(piece))
    return "".join(found)


def _whole(text: str) -> str:
    """Return a text whose bytes outside ASCII the mail parser has kept as lone surrogates."""
    if text.isascii():
        return text
    try:
        raw = text.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return _first(raw)


def _first(raw: bytes) -> str:
    texts = charset.readings(raw)
    return texts[0].text if texts else raw.decode("gb18030", "replace")


def _read_cards(data: bytes, reading: Reading) -> None:
    """Read what a card or calendar holds besides text, which is read as plain text: pictures and attached files."""
    unfolded = re.sub(rb"\r?\n[ \t]", b"", data)
    for number, found in enumerate(_PHOTO.finditer(unfolded), 1):
        inner = decode_base64(found[1].decode("ascii"))
        reading.room.spend_entries()
        reading.room.spend_bytes(len(inner))
        if inner:
            reading.take(reading.room.descend(f"attached {number}", inner))
    if unfolded != data:
        reading.add(_first(unfolded), part=(*reading.room.part, "~unfolded"), zone=Zone.HIDDEN)
