"""The Internet Printing Protocol (RFC 8010, RFC 8011), as far as a gate in front of a printer needs it.

Values keep their bytes as they came: what a real printer says of itself is passed on without loss, and what nobody
asks for is never interpreted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

PORT = 631
MEDIA = "application/ipp"


class Tag(IntEnum):
    """Delimiters of groups and syntaxes of values (RFC 8010 section 3.5)."""

    OPERATION = 0x01
    JOB = 0x02
    END = 0x03
    PRINTER = 0x04
    UNSUPPORTED = 0x05
    UNKNOWN = 0x12
    NO_VALUE = 0x13
    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    OCTETS = 0x30
    DATE = 0x31
    RESOLUTION = 0x32
    RANGE = 0x33
    BEGIN = 0x34
    TEXT_IN_LANGUAGE = 0x35
    NAME_IN_LANGUAGE = 0x36
    ENDED = 0x37
    TEXT = 0x41
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    SCHEME = 0x46
    CHARSET = 0x47
    LANGUAGE = 0x48
    MEDIA_TYPE = 0x49
    MEMBER = 0x4A


class Op(IntEnum):
    """Operations that are asked for or answered here."""

    PRINT_JOB = 0x0002
    VALIDATE_JOB = 0x0004
    CREATE_JOB = 0x0005
    SEND_DOCUMENT = 0x0006
    CANCEL_JOB = 0x0008
    GET_JOB_ATTRIBUTES = 0x0009
    GET_JOBS = 0x000A
    GET_PRINTER_ATTRIBUTES = 0x000B
    HOLD_JOB = 0x000C
    RELEASE_JOB = 0x000D
    RESTART_JOB = 0x000E
    SET_JOB_ATTRIBUTES = 0x0014
    CANCEL_MY_JOBS = 0x0039
    CLOSE_JOB = 0x003B
    IDENTIFY_PRINTER = 0x003C
    CUPS_GET_DEFAULT = 0x4001
    CUPS_GET_PRINTERS = 0x4002
    CUPS_ADD_MODIFY_PRINTER = 0x4003
    CUPS_DELETE_PRINTER = 0x4004
    CUPS_ADD_MODIFY_CLASS = 0x4006
    CUPS_ACCEPT_JOBS = 0x4008
    CUPS_REJECT_JOBS = 0x4009
    CUPS_MOVE_JOB = 0x400D
    CUPS_GET_DOCUMENT = 0x4027
    CUPS_CREATE_LOCAL_PRINTER = 0x4028


class Status(IntEnum):
    """Answers that are given or told apart here."""

    OK = 0x0000
    OK_IGNORED = 0x0001
    BAD_REQUEST = 0x0400
    FORBIDDEN = 0x0401
    NOT_AUTHENTICATED = 0x0402
    NOT_AUTHORIZED = 0x0403
    NOT_POSSIBLE = 0x0404
    TIMEOUT = 0x0405
    NOT_FOUND = 0x0406
    TOO_LARGE = 0x0408
    VALUE_TOO_LONG = 0x0409
    FORMAT_NOT_SUPPORTED = 0x040A
    ATTRIBUTES_NOT_SUPPORTED = 0x040B
    CHARSET_NOT_SUPPORTED = 0x040D
    COMPRESSION_NOT_SUPPORTED = 0x040F
    ACCOUNT_AUTHORIZATION_FAILED = 0x041C
    HELD_BY_CUPS = 0x049F
    """A CUPS backend that is answered so makes its job wait: `cups-error-account-authorization-failed` of old."""
    INTERNAL_ERROR = 0x0500
    OPERATION_NOT_SUPPORTED = 0x0501
    SERVICE_UNAVAILABLE = 0x0502
    VERSION_NOT_SUPPORTED = 0x0503
    NOT_ACCEPTING_JOBS = 0x0506
    BUSY = 0x0507
    MULTIPLE_DOCUMENTS_NOT_SUPPORTED = 0x0509


class JobState(IntEnum):
    """RFC 8011 section 5.3.7."""

    PENDING = 3
    HELD = 4
    PROCESSING = 5
    STOPPED = 6
    CANCELED = 7
    ABORTED = 8
    COMPLETED = 9


class Value(NamedTuple):
    """One value of an attribute: its syntax and its bytes; a collection has members instead."""

    tag: int
    raw: bytes = b""
    members: tuple[Attribute, ...] = ()

    @property
    def number(self) -> int:
        """Return an integer or enum; 0 where the bytes are none."""
        return int.from_bytes(self.raw, "big", signed=True) if len(self.raw) == 4 else 0

    @property
    def text(self) -> str:
        """Return text, name, keyword, URI ... as characters; bytes that are no UTF-8 become question marks."""
        raw = self.raw
        if self.tag in (Tag.TEXT_IN_LANGUAGE, Tag.NAME_IN_LANGUAGE):
            skip = 2 + int.from_bytes(raw[:2], "big") + 2
            raw = raw[skip:]
        return raw.decode("utf-8", "replace")


class Attribute(NamedTuple):
    """A named attribute with one value or several."""

    name: str
    values: tuple[Value, ...]


class Group(NamedTuple):
    """Attributes that belong together, by the tag that opens them."""

    tag: int
    attributes: tuple[Attribute, ...] = ()

    def get(self, name: str) -> Attribute | None:
        """Return the attribute of this name; the first one where a sender repeats it."""
        return next((one for one in self.attributes if one.name == name), None)

    def text(self, name: str, default: str = "") -> str:
        """Return the first value of a textual attribute."""
        found = self.get(name)
        return found.values[0].text if found else default

    def number(self, name: str, default: int = 0) -> int:
        """Return the first value of a numeric attribute."""
        found = self.get(name)
        return found.values[0].number if found else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean attribute."""
        found = self.get(name)
        return found.values[0].raw == b"\x01" if found else default

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a textual attribute."""
        found = self.get(name)
        return tuple(value.text for value in found.values) if found else ()


class Message(NamedTuple):
    """A request or an answer, without the document that may follow it."""

    code: int
    """An operation or a status."""
    id: int
    groups: tuple[Group, ...] = ()
    version: tuple[int, int] = (2, 0)

    def group(self, tag: int) -> Group:
        """Return the first group of a kind; an empty one where there is none."""
        return next((one for one in self.groups if one.tag == tag), Group(tag))

    def all(self, tag: int) -> Iterator[Group]:
        """Give every group of a kind: one for each job or printer."""
        return (one for one in self.groups if one.tag == tag)


def integers(name: str, *numbers: int, tag: Tag = Tag.INTEGER) -> Attribute:
    """Return an attribute of integers or enums."""
    return Attribute(name, tuple(Value(tag, number.to_bytes(4, "big", signed=True)) for number in numbers))


def flag(name: str, *, value: bool) -> Attribute:
    """Return a boolean attribute."""
    return Attribute(name, (Value(Tag.BOOLEAN, b"\x01" if value else b"\x00"),))


def texts(name: str, tag: Tag, *said: str, limit: int = 1023) -> Attribute:
    """Return an attribute of characters, each value cut to `limit` bytes without cutting a character."""
    return Attribute(name, tuple(Value(tag, one.encode()[:limit].decode("utf-8", "ignore").encode()) for one in said))


def operation(*more: Attribute) -> Group:
    """Return the group that opens every request and answer."""
    return Group(
        Tag.OPERATION,
        (
            texts("attributes-charset", Tag.CHARSET, "utf-8"),
            texts("attributes-natural-language", Tag.LANGUAGE, "en"),
            *more,
        ),
    )


def without(attributes: Iterable[Attribute], names: frozenset[str]) -> tuple[Attribute, ...]:
    """Return the attributes whose names are not among these."""
    return tuple(one for one in attributes if one.name not in names)
