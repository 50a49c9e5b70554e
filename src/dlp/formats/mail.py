"""Messages (RFC 5322 and MIME), mailboxes of them, web archives (MHT), and visiting cards (RFC 6350).

Every body and attachment is read as what it is; headers are text. The whole file is also read as plain text (see
`sniff`): so a body that two mail programs would cut up differently hides nothing.
"""

from __future__ import annotations

import email
import email.header
import email.policy
import re
from collections.abc import Iterator, Sequence
from email.errors import HeaderParseError
from email.message import Message
from typing import Any, BinaryIO, NamedTuple

from dlp.formats import Full, Source
from dlp.formats.loose import decode_base64
from dlp.formats.room import Reading, Room
from dlp.model import Cut, Document, GapKind, Removed, Zone
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
    """Return headers, bodies and attachments. `anchor` of a header is its name and number."""
    data = source.content()
    reading = Reading(room)
    media = MEDIA[0]
    try:
        if is_card(data):
            media = MEDIA[1]
            _read_cards(data, reading)
        elif len(letters := messages(data)) > 1:
            room.spend_entries(len(letters))
            for number, letter in enumerate(letters, 1):
                reading.take(room.descend(f"message {number}", letter))
        else:
            _Mail(reading).read(email.message_from_bytes(data, policy=email.policy.compat32))
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(media)


def messages(data: bytes) -> list[bytes]:
    """Return the messages of a mailbox (mbox), each without the line before it; a single message as it is."""
    starts = list(_FROM.finditer(data)) if data.startswith(b"From ") else []
    if len(starts) < 2:
        return [data]
    ends = [found.start() for found in starts[1:]] + [len(data)]
    return [data[found.end() : end] for found, end in zip(starts, ends, strict=True)]


def warm() -> None:
    """Load what writes messages: called once, before any child is forked."""
    from dlp.formats import mail_cut  # noqa: F401, PLC0415  it imports this module


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the message or mailbox without the cuts. A card is redacted as the text that it is."""
    from dlp.formats import mail_cut  # noqa: PLC0415  it imports this module

    return mail_cut.redact(source, cuts, out, room)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return a copy as the newer parser of Python reads it."""
    from dlp.formats import mail_cut  # noqa: PLC0415  it imports this module

    return mail_cut.verify(source, before, cuts, room)


def is_card(data: bytes) -> bool:
    """Tell whether this is a card or a calendar."""
    return data.lstrip(b"\xef\xbb\xbf\r\n ").upper().startswith(b"BEGIN:")


class Part(NamedTuple):
    """One part of a message: its headers as text with their anchors, and what it holds when it holds no parts."""

    message: Message[Any, Any]
    depth: int
    headers: tuple[tuple[str, str, str], ...]
    """Anchor, name and text of each."""
    filename: tuple[str, str]
    """Anchor and text; empty when it has none."""
    place: str
    """The name under which its content is read; empty when there is none."""
    data: bytes


def walk(message: Message[Any, Any], room: Room) -> Iterator[Part]:
    """Yield a message and the parts in it, in order. Anchors and places are the same at every walk."""
    steps = [(message, 0)]
    headers = bodies = 0
    while steps:
        part, depth = steps.pop()
        if depth > _DEEPEST:
            raise Full(GapKind.TOO_DEEP, f"parts of a message are nested more than {_DEEPEST} deep")
        room.spend_entries()
        said = []
        for name, value in part.raw_items():
            headers += 1
            said.append((f"{str(name)[:60]} {headers}", str(name), header_text(value).strip()))
        file_name = _file_name(part)
        content: Any = part.get_payload()
        place, data = "", b""
        if isinstance(content, list):
            steps += [(inner, depth + 1) for inner in reversed(content)]
        else:
            raw = part.get_payload(decode=True)
            data = raw if isinstance(raw, bytes) else b""
            if data.strip():
                bodies += 1
                place = file_name or f"part {bodies}"
        yield Part(part, depth, tuple(said), (f"filename {headers}", file_name), place, data)


def _file_name(message: Message[Any, Any]) -> str:
    try:
        name = message.get_filename()
    except (ValueError, LookupError):
        name = None
    return header_text(name) if name else ""


class _Mail:
    """Reads one message into a reading."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._room = reading.room

    def read(self, message: Message[Any, Any]) -> None:
        """Read the headers of each part and what it holds."""
        for part in walk(message, self._room):
            self._read_part(part)

    def _read_part(self, part: Part) -> None:
        message = part.message
        for anchor, name, text in part.headers:
            # The way of a message says nothing about its content, but addresses in it are somebody's.
            spoken = part.depth == 0 and name.lower() in _SPOKEN
            self._add(text, anchor, Zone.METADATA if spoken else Zone.HIDDEN)
        self._add(part.filename[1], part.filename[0], Zone.METADATA)
        if message.get_content_type() in _SEALED and "signed" not in str(message.get_param("smime-type", "")):
            self._reading.miss(GapKind.ENCRYPTED, "a part of the message is encrypted")
        for around in (message.preamble, message.epilogue):
            if around and around.strip():
                self._add(_whole(around), "around", Zone.HIDDEN)
        if part.place:
            self._room.spend_bytes(len(part.data))
            self._reading.take(self._room.descend(part.place, part.data))
        elif isinstance(content := message.get_payload(), str) and content.strip() and not part.data.strip():
            self._reading.miss(GapKind.CORRUPT, "a part of the message cannot be unpacked")

    def _add(self, text: str, anchor: str, zone: Zone) -> None:
        text = text.strip()
        if text:
            self._reading.add(text, part=self._room.part, anchor=anchor, zone=zone)


_SPOKEN = frozenset(
    {"subject", "from", "to", "cc", "bcc", "reply-to", "sender", "comments", "keywords", "organization"}
)


def header_text(value: Any) -> str:
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
