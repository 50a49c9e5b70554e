"""Archives that two programs would read differently are refused, each for its reason."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from dlp.formats import Full, Source, zipsafe
from dlp.formats.room import Room
from dlp.limits import Limits
from dlp.model import GapKind
from makers import package, zip_bomb

GOOD = package({"a.txt": b"hello" * 100, "dir/b.txt": "文件".encode()})


def opened(raw: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    """Open and read every member."""
    room = Room(limits)
    archive = zipsafe.Package(Source(raw), room)
    return {name: archive.read(name) for name in archive.members}


def kind(raw: bytes, limits: Limits | None = None) -> GapKind:
    """Return why it is refused."""
    with pytest.raises(Full) as caught:
        opened(raw, limits)
    return caught.value.kind


def patched(raw: bytes, at: int, new: bytes) -> bytes:
    """Return the bytes with some replaced."""
    return raw[:at] + new + raw[at + len(new) :]


def test_an_honest_archive_is_read() -> None:
    """Names and contents come out as they were put in."""
    assert opened(GOOD) == {"a.txt": b"hello" * 100, "dir/b.txt": "文件".encode()}


def test_what_zipfile_writes_while_streaming_is_read() -> None:
    """Sizes behind the data instead of before it are allowed."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    out = Pipe()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"x" * 99)
    assert opened(out.getvalue()) == {"a.txt": b"x" * 99}


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "C:/a", "a\\b", "a\nb", "a//b", "rtl\u202egpj.exe", "./a"])
def test_names_that_lead_out_or_astray_are_refused(name: str) -> None:
    """A member's name is a path inside the archive, shown as it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("x")
        entry.filename = name
        archive.writestr(entry, b"x")
    assert kind(out.getvalue()) is GapKind.CORRUPT


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a.txt", "A.TXT", "ａ.txt", "a.txt "])
def test_two_members_of_one_name_are_refused(second: str) -> None:
    """Programs disagree which of the two counts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"1")
        archive.writestr(second, b"2")
    assert kind(out.getvalue()) is GapKind.CORRUPT


def test_bytes_before_behind_and_between_are_refused() -> None:
    """Every byte belongs to a member, the directory or the end record."""
    assert kind(b"MZ" + GOOD) is GapKind.CORRUPT
    assert kind(GOOD + b"x") is GapKind.CORRUPT
    at = GOOD.index(b"PK\x01\x02")
    assert kind(GOOD[:at] + b"hidden" + GOOD[at:]) is GapKind.CORRUPT


def test_headers_that_differ_are_refused() -> None:
    """The local header and the directory say the same of a member."""
    assert kind(patched(GOOD, 14, b"\0\0\0\0")) is GapKind.CORRUPT  # check sum
    assert kind(patched(GOOD, 30, b"b")) is GapKind.CORRUPT  # name
    assert kind(patched(GOOD, 8, struct.pack("<H", 0))) is GapKind.CORRUPT  # method


def test_overlapping_members_are_refused() -> None:
    """Two members that share bytes are the trick of quadratic bombs."""
    directory = GOOD.index(b"PK\x01\x02")
    second = GOOD.index(b"PK\x01\x02", directory + 4)
    assert kind(patched(GOOD, second + 42, struct.pack("<I", 0))) is GapKind.CORRUPT


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(share: float) -> None:
    """A part of an archive is none."""
    assert kind(GOOD[: int(len(GOOD) * share)]) is GapKind.CORRUPT


def test_a_member_with_a_password_is_said() -> None:
    """An encrypted member is a gap of its own kind."""
    directory = GOOD.index(b"PK\x01\x02")
    raw = patched(patched(GOOD, 6, b"\1\0"), directory + 8, b"\1\0")
    assert kind(raw) is GapKind.ENCRYPTED


def test_bombs_are_refused_before_they_unpack() -> None:
    """The stated size is believed when it is too large, and held to when it is too small."""
    assert kind(zip_bomb()) is GapKind.TOO_BIG
    small = package({"a": bytes(1000)})
    directory = small.index(b"PK\x01\x02")
    lying = patched(patched(small, 22, struct.pack("<I", 10)), directory + 24, struct.pack("<I", 10))
    assert kind(lying) is GapKind.CORRUPT


def test_too_many_members_are_refused() -> None:
    """The limit of members holds before any is read."""
    assert kind(GOOD, Limits(entries=1)) is GapKind.TOO_MANY


def test_comments_and_extra_fields_are_kept_for_matching() -> None:
    """Bytes that belong to no member can hold text; they are handed over, not dropped."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = b"hidden words"
        archive.writestr("a", b"x")
    archive_ = zipsafe.Package(Source(out.getvalue()), Room())
    assert b"hidden words" in b"".join(archive_.loose)


def test_what_is_written_is_read_again() -> None:
    """The writer makes archives that the strict reader takes, with nothing besides the members."""
    out = io.BytesIO()
    zipsafe.write(out, [("a", b"1"), ("b/c", b"2" * 999)])
    package_ = zipsafe.Package(Source(out.getvalue()), Room())
    assert {name: package_.read(name) for name in package_.members} == {"a": b"1", "b/c": b"2" * 999}
    assert package_.loose == []
