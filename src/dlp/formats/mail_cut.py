"""Messages written anew: headers that people read, bodies and attachments without their cuts, and nothing else.

The way of a message (Received, X- fields), its signatures, which a change breaks, and what stands around its parts are
not carried over. Bodies that were changed are UTF-8; headers are encoded words (RFC 2047).
"""

from __future__ import annotations

import email
import email.policy
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from email import encoders
from email.errors import MessageError
from email.generator import BytesGenerator
from email.header import Header
from email.message import Message
from email.utils import formataddr, getaddresses
from typing import Any, BinaryIO

from dlp.formats import NotRedactable, Source, mail, plain
from dlp.formats.cutting import by_member, counted, filled, holes_in, summed
from dlp.formats.room import Reading, Room, redact_member, verify_member
from dlp.model import Check, Cut, Document, Removed
from dlp.sniff import charset

_ADDRESSES = frozenset({"from", "to", "cc", "bcc", "reply-to", "sender"})
_WORDS = frozenset({"subject", "comments", "keywords", "organization", "content-description"})
_EXACT = frozenset(
    (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
        "date message-id in-reply-to references mime-version content-id content-location content-language importance "
        "priority x-priority"
    ).split()
)
"""Kept as they are, or not at all."""
_PARAMETERS = ("charset", "type", "format", "delsp", "method")
_TOKEN = re.compile(r"[A-Za-z0-9_.+/-]{1,60}")
_SIGNATURES = ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")
_NOBODY = "removed@invalid"  # RFC 2606: an address that is nobody's
_POLICY = email.policy.compat32.clone(linesep="\r\n")
_PLAIN = re.compile(rb"[\t\r\n\x20-\x7e]*")
_LONGEST_LINE = 998  # bytes (RFC 5322)
_BORDER = "=_part"
_LIKE_ADDRESS = re.compile(r"[^\s@<>(),;:\\\"*]+(?:@[^\s@<>(),;:\\\"*]+)?")
_WRITTEN = _ADDRESSES | _WORDS | _EXACT | {"content-type", "content-transfer-encoding", "content-disposition"}


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the message, or each message of a mailbox, without the cuts."""
    data = source.content()
    if mail.is_card(data):
        raise NotRedactable("cards are redacted as text")
    letters = mail.messages(data)
    if len(letters) == 1:
        return _Letter(email.message_from_bytes(data, policy=email.policy.compat32), cuts, room).write(out)
    names = [f"message {number}" for number in range(1, len(letters) + 1)]
    if not all(cut.part and cut.part[0] in names for cut in cuts):
        raise NotRedactable("what is to be removed is not where it was read")
    removed: list[Removed] = []
    inside = by_member(cuts)
    for name, letter in zip(names, letters, strict=True):
        body, taken = redact_member(name, letter, inside.get(name, ()), room)
        removed += taken
        out.write(b"From - Thu Jan  1 00:00:00 1970\n" + body.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n\n")
    return summed(removed)


class _Letter:
    """One message on its way to a new one."""

    def __init__(self, message: Message[Any, Any], cuts: Sequence[Cut], room: Room) -> None:
        self._message = message
        self._cuts = cuts
        self._room = room
        self._removed: list[Removed] = [*counted(cut for cut in cuts if not cut.part)]
        self._parts = {id(part.message): part for part in mail.walk(message, room)}
        self._inside = by_member(cuts)
        self._by_anchor: dict[str, list[Cut]] = {}
        for cut in cuts:
            if not cut.part:
                self._by_anchor.setdefault(cut.anchor, []).append(cut)
        self._borders = 0

    def write(self, out: BinaryIO) -> tuple[Removed, ...]:
        """Write the new message."""
        self._check()
        try:
            new = self._anew(self._message)
            BytesGenerator(out, mangle_from_=False, policy=_POLICY).flatten(new)
        except (MessageError, UnicodeError, LookupError, ValueError):
            raise NotRedactable("a part of the message cannot be written anew") from None
        return summed(self._removed)

    def _check(self) -> None:
        """Refuse cuts in what is not there, or is there twice."""
        places = Counter(part.place for part in self._parts.values() if part.place)
        anchors = {anchor for part in self._parts.values() for anchor, _, _ in part.headers}
        anchors |= {part.filename[0] for part in self._parts.values()} | {"around"}
        for cut in self._cuts:
            if places[cut.part[0]] != 1 if cut.part else cut.anchor not in anchors:
                raise NotRedactable("what is to be removed is not where it was read")

    def _anew(self, message: Message[Any, Any]) -> Message[Any, Any]:
        part = self._parts[id(message)]
        new: Message[Any, Any] = Message(policy=_POLICY)
        for anchor, name, text in part.headers:
            self._head(new, name, text, anchor)
        content: Any = message.get_payload()
        if isinstance(content, list):
            self._contain(new, message, content)
        elif message.get_content_maintype() == "multipart":
            raise NotRedactable("a part of the message is broken")
        else:
            self._fill(new, part)
        return new

    def _cut(self, text: str, anchor: str) -> str:
        return filled(text, holes_in(text, self._by_anchor.get(anchor, ())))

    def _head(self, new: Message[Any, Any], name: str, text: str, anchor: str) -> None:
        """Add a header, if it is one that is carried over."""
        said = self._cut(text, anchor)
        lower = name.lower()
        if not said or not _TOKEN.fullmatch(name):
            return
        said = " ".join(said.split())
        if lower in _WORDS:
            new[name] = said if said.isascii() else Header(said, "utf-8", header_name=name)
        elif lower in _ADDRESSES:
            new[name] = ", ".join(_address(*pair) for pair in getaddresses([said]) if any(pair))
        elif lower in _EXACT and said.isascii() and anchor not in self._by_anchor:
            new[name] = said

    def _contain(self, new: Message[Any, Any], message: Message[Any, Any], content: list[Any]) -> None:
        """Add the parts of a part; a signature over them is not true any more."""
        kind = message.get_content_type()
        if kind.startswith("multipart/"):
            self._borders += 1
            kind = "multipart/mixed" if kind == "multipart/signed" else kind
            new.add_header("Content-Type", kind, boundary=f"{_BORDER}_{self._borders}_", **_parameters(message))
        else:
            new["Content-Type"] = kind
        self._dispose(new, message)
        new.set_payload([self._anew(inner) for inner in content if inner.get_content_type() not in _SIGNATURES])

    def _dispose(self, new: Message[Any, Any], message: Message[Any, Any]) -> None:
        """Say how a part is shown, and what its file is called."""
        anchor, text = self._parts[id(message)].filename
        shown = message.get_content_disposition()
        name = " ".join(self._cut(text, anchor).split())
        if shown in ("inline", "attachment") or name:
            given = {"filename": name if name.isascii() else ("utf-8", "", name)} if name else {}
            new.add_header("Content-Disposition", "inline" if shown == "inline" else "attachment", **given)

    def _fill(self, new: Message[Any, Any], part: mail.Part) -> None:
        """Add what a part holds."""
        kind = part.message.get_content_type()
        data, removed = redact_member(part.place, part.data, self._inside.get(part.place, ()), self._room)
        self._removed += removed
        given = _parameters(part.message)
        if kind.startswith("text/") and data != part.data:
            texts = charset.readings(data)
            if not texts:
                raise NotRedactable("the text of a part can no longer be read")
            # A file keeps its encoding; a body need not, and UTF-8 has every sign of a label.
            given["charset"] = texts[0].encoding if part.filename[1] else "utf-8"
            data = data if part.filename[1] else texts[0].text.encode()
        new.add_header("Content-Type", kind, **given)
        self._dispose(new, part.message)
        if _goes_as_it_is(data):
            new["Content-Transfer-Encoding"] = "7bit"
            new.set_payload(data.decode("ascii"))
        else:
            new.set_payload(data)
            encoders.encode_base64(new)


def _parameters(message: Message[Any, Any]) -> dict[str, str]:
    """Return the parameters of a type that say how to read it; others can say anything."""
    found: dict[str, str] = {}
    for name in _PARAMETERS:
        value = message.get_param(name)
        if isinstance(value, str) and _TOKEN.fullmatch(value):
            found[name] = value
    return found


def _address(name: str, address: str) -> str:
    """Return one address of a header; one that was cut into is nobody's any more, and shown as a name."""
    if not address.isascii() or not _LIKE_ADDRESS.fullmatch(address):
        name, address = " ".join(filter(None, (name, address))), _NOBODY
    return formataddr((name, address), "utf-8")


def _goes_as_it_is(data: bytes) -> bool:
    """Tell whether a body needs no encoding: short lines of ASCII, none of which means something to a mail program."""
    if not _PLAIN.fullmatch(data) or b"From " in data or f"--{_BORDER}".encode() in data:
        return False
    return all(len(line) <= _LONGEST_LINE for line in data.splitlines())


# --- proof


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return a copy as the newer parser of Python reads it; only headers that are carried over may be there."""
    if mail.is_card(source.content()):
        return plain.verify(source, before, cuts, room)
    reading = Reading(room)
    letters, old = mail.messages(source.content()), mail.messages(before.content())
    reading.checks.append(_check("messages", "the copy has more or fewer messages", good=len(letters) == len(old)))
    inside = by_member(cuts)
    for number, (letter, was) in enumerate(zip(letters, old, strict=False), 1):
        name = f"message {number}"
        if len(letters) == 1:
            _look(letter, was, inside, reading)
        elif (found := verify_member(name, letter, was, inside.get(name, ()), room)) is not None:
            reading.take(found)
    return reading.document(mail.MEDIA[0])


def _look(letter: bytes, was: bytes, inside: dict[str, list[Cut]], reading: Reading) -> None:
    message: Any = email.message_from_bytes(letter, policy=email.policy.default)
    parts = list(message.walk())
    for part in parts:
        reading.room.spend_entries()
        for text in _spoken(part):
            reading.add(text, part=reading.room.part)
    names = {name.lower() for part in parts for name in part}
    reading.checks.append(_check("headers", "a header is there that is not carried over", good=names <= _WRITTEN))
    bodies = [data for part in parts if (data := part.get_payload(decode=True)) and data.strip()]
    known = [
        part
        for part in mail.walk(email.message_from_bytes(was, policy=email.policy.compat32), reading.room)
        if part.place and part.message.get_content_type() not in _SIGNATURES
    ]
    good = len(bodies) == len(known)
    reading.checks.append(_check("parts", "the copy has more or fewer parts", good=good))
    for data, part in zip(bodies, known, strict=False):
        found = verify_member(part.place, data, part.data, inside.get(part.place, ()), reading.room)
        if found is not None:
            reading.take(found)


def _check(name: str, detail: str, *, good: bool) -> Check:
    return Check(name=name, state="ok" if good else "fail", detail="" if good else detail)


def _spoken(part: Any) -> Iterator[str]:
    yield from (text for value in part.values() if (text := str(value).strip()))
    name = part.get_filename()
    if name:
        yield str(name)
    if part.get_content_maintype() == "text":
        try:
            yield str(part.get_content())
        except (LookupError, UnicodeError):
            yield part.get_payload(decode=True).decode("utf-8", "replace")
