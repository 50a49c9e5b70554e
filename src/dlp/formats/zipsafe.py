"""A strict reader of ZIP files: what two programs could read differently is refused, not guessed.

Every byte of the file must belong to exactly one thing: local headers with their data, one after the other from the
first byte on, the central directory, the end record. Both descriptions of a member must agree, and its content must
have the size and the check sum that they state. (APPNOTE.TXT 6.3.10 names the fields.)
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple, NoReturn

from dlp.formats import Full, Source
from dlp.formats.room import Room
from dlp.model import GapKind

_LOCAL, _CENTRAL, _END, _DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x07\x08"
_END64, _LOCATOR = b"PK\x06\x06", b"PK\x06\x07"
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000  # by password, strongly, central directory too
_HAS_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_STORED, _DEFLATED, _AES = 0, 8, 99
_MOST_DIRECTORY = 32 << 20  # bytes: 10,000 members with names and extra fields of 3 kB each
_LONGEST_NAME = 1_024  # bytes
_BAD_NAME = re.compile("[\0-\x1f\x7f\\\\\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|^/|^[A-Za-z]:|//")
_KNOWN_EXTRAS = {0x9901, 0x0001, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xCAFE, 0xD935}
_LONG_EXTRA = 36  # bytes: the three times of NTFS
_PADDING = 0xA220


class Member(NamedTuple):
    """One member as both of its headers describe it. `start` is where its data begins; sizes in bytes."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    start: int


class Package:
    """A ZIP file that passed every check of its outside; the content of a member is checked when it is read.

    `loose` are bytes that belong to no member: comments and extra fields that nobody needs but that can hold text.
    """

    __slots__ = ("_room", "_source", "loose", "members")

    def __init__(self, source: Source, room: Room) -> None:
        self._source = source
        self._room = room
        self.loose: list[bytes] = []
        self.members: dict[str, Member] = {}
        _Opening(source, room, self).run()

    def read(self, name: str) -> bytes:
        """Return the content of a member. Raises `Full` with the reason when it cannot be had in full."""
        member = self.members[name]
        if member.flags & _ENCRYPTED or member.method == _AES:
            raise Full(GapKind.ENCRYPTED, "it needs a password")
        if member.method not in (_STORED, _DEFLATED):
            raise Full(GapKind.UNSUPPORTED, f"it is packed with method {member.method}")
        self._room.check_ratio(member.packed, member.size)
        self._room.spend_bytes(member.size)
        self._room.check_time()
        raw = self._source.peek(member.start, member.packed)
        data = raw if member.method == _STORED else _inflate(raw, member.size)
        if len(data) != member.size or zlib.crc32(data) != member.crc:
            _refuse("the content of a member is not what its header states")
        return data


def _refuse(why: str) -> NoReturn:
    raise Full(GapKind.CORRUPT, why)


def _inflate(raw: bytes, size: int) -> bytes:
    """Unpack at most one byte more than stated: a bomb never gets room."""
    unpacker = zlib.decompressobj(-15)
    try:
        data = unpacker.decompress(raw, size + 1)
    except zlib.error:
        _refuse("the packed data of a member is broken")
    if len(data) > size or not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
        _refuse("the packed data of a member is longer or shorter than its header states")
    return data


class _End(NamedTuple):
    entries: int
    length: int
    offset: int
    at: int
    """Where the end records begin: the directory must reach up to here."""


class _Opening:
    """The checks of the outside, in the order in which a reader meets the records: from the end."""

    def __init__(self, source: Source, room: Room, package: Package) -> None:
        self._peek = source.peek
        self._size = source.size
        self._room = room
        self._package = package
        self._folded: set[str] = set()

    def run(self) -> None:
        """Fill the package with its members or raise `Full`."""
        end = self._find_end()
        if end.entries > self._room.limits.entries or end.length > _MOST_DIRECTORY:
            raise Full(GapKind.TOO_MANY, f"it has more than {self._room.limits.entries} members")
        self._room.spend_entries(end.entries)
        if end.offset + end.length != end.at:
            _refuse("there are bytes between the directory and its end record, or before the archive")
        directory = self._peek(end.offset, end.length)
        spans: list[tuple[int, int, Member]] = []
        at = 0
        for _ in range(end.entries):
            member, offset, at = self._read_central(directory, at)
            spans.append((offset, *self._read_local(member, offset)))
        if at != len(directory):
            _refuse("the directory holds more or fewer members than it states")
        self._check_spans(spans, end.offset)
        self._package.members = {member.name: member for _, _, member in spans}

    def _find_end(self) -> _End:
        start = max(0, self._size - 22 - 65_535)
        tail = self._peek(start, self._size - start)
        at = tail.rfind(_END)
        if at < 0 or len(tail) - at < 22:
            _refuse("the archive has no end record: it is cut off or broken")
        disk, first, here, entries, length, offset, comment = struct.unpack_from("<4H2IH", tail, at + 4)
        if at + 22 + comment != len(tail):
            _refuse("there are bytes behind the archive")
        if comment:
            if _END in tail[at + 4 :]:
                _refuse("the archive has two end records")
            self._package.loose.append(tail[at + 22 :])
        if disk or first or here != entries:
            _refuse("the archive is one of several volumes")
        if 0xFFFFFFFF in (length, offset) or entries == 0xFFFF or tail[max(0, at - 20) : at].startswith(_LOCATOR):
            return self._find_end64(start + at)
        return _End(entries, length, offset, start + at)

    def _find_end64(self, end: int) -> _End:
        locator = self._peek(max(0, end - 20), 20)
        if end < 76 or not locator.startswith(_LOCATOR):
            _refuse("the archive has no end record for its size")
        disk, at, disks = struct.unpack_from("<IQI", locator, 4)
        record = self._peek(at, 56)
        if at + 56 + 20 != end or disk or disks != 1 or not record.startswith(_END64):
            _refuse("the large end record of the archive is not where it should be")
        size, _, first, second, here, entries, length, offset = struct.unpack_from("<QI2I4Q", record, 4)
        if size != 44 or first or second or here != entries:
            _refuse("the large end record of the archive is not as it should be")
        return _End(entries, length, offset, at)

    def _read_central(self, directory: bytes, at: int) -> tuple[Member, int, int]:
        if directory[at : at + 4] != _CENTRAL or at + 46 > len(directory):
            _refuse("the directory holds something that is no member")
        flags, method, _, crc, packed, size, name_length, extra_length, comment_length, disk, _, outer, offset = (
            struct.unpack_from("<2HI3I5H2I", directory, at + 8)
        )
        ends = at + 46 + name_length + extra_length + comment_length
        if ends > len(directory) or disk not in (0, 0xFFFF):
            _refuse("a member of the directory reaches beyond it")
        raw = directory[at + 46 : at + 46 + name_length]
        extra = directory[at + 46 + name_length : ends - comment_length]
        size, packed, offset = self._widen(extra, size, packed, offset)
        if comment_length:
            self._package.loose.append(directory[ends - comment_length : ends])
        name = self._check_name(raw, flags)
        kind = stat.S_IFMT(outer >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            _refuse("a member is a link or a device")
        if name.endswith("/") and size:
            _refuse("a folder has content")
        if method == _STORED and packed != size and not flags & _ENCRYPTED:
            _refuse("a member that is not packed has two sizes")
        return Member(name, method, flags, crc, packed, size, 0), offset, ends

    def _widen(self, extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
        """Read the extra fields; one of them holds what does not fit into 32 bits."""
        values = [size, packed, offset]
        for kind, data in self._extras(extra):
            if kind == 0x0001:
                wide = [v for (v,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8])]
                for number, value in enumerate(values):
                    if value == 0xFFFFFFFF and wide:
                        values[number] = wide.pop(0)
        if 0xFFFFFFFF in values:
            _refuse("a size of a member is missing")
        return values[0], values[1], values[2]

    def _extras(self, extra: bytes) -> Iterable[tuple[int, bytes]]:
        at = 0
        while at + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, at)
            data = extra[at + 4 : at + 4 + length]
            # Office pads with a field of its own, which begins with its mark and two numbers.
            hidden = data[4:].strip(b"\0") if kind == _PADDING else data
            if hidden and (kind not in _KNOWN_EXTRAS or len(data) > _LONG_EXTRA):
                self._package.loose.append(hidden)
            yield kind, data
            at += 4 + length
        if extra[at:].strip(b"\0"):
            self._package.loose.append(extra[at:])

    def _check_name(self, raw: bytes, flags: int) -> str:
        name = _decode_name(raw, utf8=bool(flags & _UTF8))
        parts = name.split("/")
        if not raw or len(raw) > _LONGEST_NAME or _BAD_NAME.search(name) or ".." in parts or "." in parts:
            _refuse("a member has a name that is a path out of the archive or that shows otherwise than it is")
        folded = unicodedata.normalize("NFKC", name).casefold().rstrip("/. ")
        if folded in self._folded:
            _refuse("two members have the same name")
        self._folded.add(folded)
        return name

    def _read_local(self, member: Member, offset: int) -> tuple[int, Member]:
        """Return where the member ends and the member with its place; the local header must say the same."""
        head = self._peek(offset, 30)
        if len(head) < 30 or not head.startswith(_LOCAL):
            _refuse("a member is not where the directory says")
        flags, method, _, crc, packed, size, name_length, extra_length = struct.unpack_from("<2HI3I2H", head, 6)
        rest = self._peek(offset + 30, name_length + extra_length)
        start = offset + 30 + name_length + extra_length
        if _decode_name(rest[:name_length], utf8=bool(flags & _UTF8)) != member.name:
            _refuse("a member has two names")
        if method != member.method or (flags ^ member.flags) & _ENCRYPTED:
            _refuse("the two headers of a member differ")
        for kind, data in self._extras(rest[name_length:]):
            if kind == 0x0001 and len(data) >= 16 and 0xFFFFFFFF in (size, packed):
                size, packed = struct.unpack_from("<2Q", data)
        end = start + member.packed
        if flags & _HAS_DESCRIPTOR:
            if any(given not in (0, true) for given, true in _pairs(crc, packed, size, member)):
                _refuse("the two headers of a member differ")
            end += self._descriptor(end, member)
        elif any(given != true for given, true in _pairs(crc, packed, size, member)):
            _refuse("the two headers of a member differ")
        return end, member._replace(start=start)

    def _descriptor(self, at: int, member: Member) -> int:
        """Return the length of the record that repeats check sum and sizes behind the data."""
        data = self._peek(at, 24)
        forms = ("<III", "<IQQ") if max(member.packed, member.size) <= 0xFFFFFFFF else ("<IQQ",)
        for mark in (_DESCRIPTOR, b""):
            for form in forms:
                record = mark + struct.pack(form, member.crc, member.packed, member.size)
                if data.startswith(record):
                    return len(record)
        return _refuse("the record behind a member differs from its header")

    def _check_spans(self, spans: list[tuple[int, int, Member]], directory: int) -> None:
        at = 0
        for start, end, _ in sorted(spans, key=lambda span: span[0]):
            if start != at:
                _refuse("members overlap, or there are bytes between them")
            at = end
        if at != directory:
            _refuse("there are bytes between the members and the directory")


def _pairs(crc: int, packed: int, size: int, member: Member) -> tuple[tuple[int, int], ...]:
    return (crc, member.crc), (packed, member.packed), (size, member.size)


def _decode_name(raw: bytes, *, utf8: bool) -> str:
    """Names without the UTF-8 flag are in whatever the machine used: here UTF-8 or GB 18030 before code page 437."""
    for encoding in ("utf-8",) if utf8 else ("utf-8", "gb18030", "cp437"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return _refuse("the name of a member is not in the encoding it states")


def write(out: BinaryIO, members: Iterable[tuple[str, bytes]], *, stored: frozenset[str] = frozenset()) -> None:
    """Write a fresh archive: these members in this order, one fixed date, no comments, no extra fields.

    Those that are named in `stored` are not packed: some formats tell their type by the bytes of the first.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            entry.create_system = 0
            archive.writestr(entry, data)
