"""Bytes of IPP messages (RFC 8010 section 3). Reading is bounded: a header is small, whatever its lengths say."""

from __future__ import annotations

import struct
from collections.abc import Generator

from dlp.ipp import Attribute, Group, Message, Tag, Value

MOST_BYTES = 1_048_576  # of a header; a printer that lists every paper size takes some 100,000
MOST_VALUES = 20_000
DEEPEST = 8  # collections in collections; the protocol itself needs three
_DELIMITERS = range(0x10)
_NO_GROUP = (0x00, Tag.END)
_ENDLESS = "more values than any message needs"

Wanted = Generator[int, bytes, Message]
"""Yields how many bytes it needs next, is sent exactly so many, and returns the message."""


class Malformed(ValueError):  # noqa: N818  what the sender did
    """These bytes are no IPP message. The text is a plain clause without any of the bytes."""


def read() -> Wanted:
    """Read one message header from whoever sends bytes; what follows it is the document."""
    head = yield 8
    major, minor, code, number = struct.unpack(">BBHi", head)
    bounds = _Bounds()
    groups: list[Group] = []
    tag = (yield 1)[0]
    while tag != Tag.END:
        if tag not in _DELIMITERS or tag in _NO_GROUP:
            raise Malformed("a value stands outside of a group")
        attributes, after = yield from _attributes(bounds)
        groups.append(Group(tag, attributes))
        tag = after
    return Message(code, number, tuple(groups), (major, minor))


def decode(raw: bytes) -> tuple[Message, bytes]:
    """Return the message at the start of `raw`, and the bytes behind it; Malformed when there is none."""
    steps, at = read(), 0
    try:
        need = next(steps)
        while True:
            if at + need > len(raw):
                raise Malformed("the message is cut off")
            at += need
            need = steps.send(raw[at - need : at])
    except StopIteration as done:
        return done.value, raw[at:]


def encode(message: Message) -> bytes:
    """Return the bytes of a message header."""
    out = bytearray(struct.pack(">BBHi", *message.version, message.code, message.id))
    for group in message.groups:
        out.append(group.tag)
        for attribute in group.attributes:
            _write(out, attribute.name.encode(), attribute.values)
    out.append(Tag.END)
    return bytes(out)


class _Bounds:
    """What a header may still take."""

    def __init__(self) -> None:
        self.left = MOST_BYTES
        self.values = MOST_VALUES

    def spend(self, size: int) -> int:
        self.left -= size
        if self.left < 0:
            raise Malformed("the header is too large")
        return size

    def spend_value(self) -> None:
        self.values -= 1
        if self.values < 0:
            raise Malformed(_ENDLESS)


def _attributes(bounds: _Bounds) -> Generator[int, bytes, tuple[tuple[Attribute, ...], int]]:
    """Read attributes up to the next delimiter, and return that too."""
    found: list[Attribute] = []
    values: list[Value] = []
    name = ""
    while True:
        tag = (yield bounds.spend(1))[0]
        if tag in _DELIMITERS:
            break
        bounds.spend_value()
        own = yield from _short(bounds)
        if own:
            if values:
                found.append(Attribute(name, tuple(values)))
            name, values = own.decode("utf-8", "replace"), []
        elif not values:
            raise Malformed("a value has no name")
        raw = yield from _short(bounds)
        if tag == Tag.BEGIN:
            members = yield from _members(bounds, 1)
            values.append(Value(tag, b"", members))
        elif tag in (Tag.ENDED, Tag.MEMBER):
            raise Malformed("a collection ends that did not begin")
        else:
            values.append(Value(tag, raw))
    if values:
        found.append(Attribute(name, tuple(values)))
    return tuple(found), tag


def _members(bounds: _Bounds, depth: int) -> Generator[int, bytes, tuple[Attribute, ...]]:
    """Read the members of a collection up to its end."""
    if depth > DEEPEST:
        raise Malformed("collections are nested too deep")
    found: list[Attribute] = []
    name, values = "", list[Value]()
    while True:
        tag = (yield bounds.spend(1))[0]
        bounds.spend_value()
        if (yield from _short(bounds)):
            raise Malformed("a value inside a collection has a name of its own")
        raw = yield from _short(bounds)
        if tag in (Tag.MEMBER, Tag.ENDED):
            if name:
                found.append(Attribute(name, tuple(values)))
            if tag == Tag.ENDED:
                return tuple(found)
            name, values = raw.decode("utf-8", "replace"), []
        elif tag in _DELIMITERS or not name:
            raise Malformed("a collection holds something else than members")
        elif tag == Tag.BEGIN:
            members = yield from _members(bounds, depth + 1)
            values.append(Value(tag, b"", members))
        else:
            values.append(Value(tag, raw))


def _short(bounds: _Bounds) -> Generator[int, bytes, bytes]:
    """Read two bytes of length and so many bytes."""
    (size,) = struct.unpack(">h", (yield bounds.spend(2)))
    if size < 0:
        raise Malformed("a length is negative")
    return (yield bounds.spend(size)) if size else b""


def _write(out: bytearray, name: bytes, values: tuple[Value, ...]) -> None:
    for number, value in enumerate(values):
        first = b"" if number else name
        out += struct.pack(">Bh", value.tag, len(first)) + first
        out += struct.pack(">h", len(value.raw)) + value.raw
        if value.tag == Tag.BEGIN:
            for member in value.members:
                raw = member.name.encode()
                out += struct.pack(">Bhh", Tag.MEMBER, 0, len(raw)) + raw
                _write(out, b"", member.values)
            out += struct.pack(">Bhh", Tag.ENDED, 0, 0)
