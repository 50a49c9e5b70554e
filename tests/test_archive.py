"""Archives: members are read as what they are, and what cannot be unpacked is said to be unread."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dlp.formats import Source, archive
from dlp.formats.room import Room
from dlp.formats.room import read as read_as
from dlp.limits import Limits
from dlp.model import Document, GapKind, Zone
from dlp.sniff import EDGE_BYTES, sniff
from format_makers import packed
from makers import docx_of, package, zip_bomb


def read(raw: bytes, limits: Limits | None = None) -> Document:
    """Return what is read of an archive."""
    return archive.extract(Source(raw), Room(limits))


def texts(document: Document) -> dict[tuple[str, ...], str]:
    """Return the text of each part."""
    return {s.part: s.text for s in document.segments}


def test_members_are_read_with_their_path() -> None:
    """Text, documents and archives in archives, under Chinese names in either encoding."""
    inner = package({"深/层.txt": "最里面的字"})
    raw = package({"a.txt": "第一份", "附件/b.docx": docx_of("第二份"), "c.zip": inner, "空/": b""})
    document = read(raw)
    assert document.gaps == ()
    found = texts(document)
    assert found["a.txt",] == "第一份"
    assert found["附件/b.docx", "word/document.xml"] == "第二份"
    assert found["c.zip", "深/层.txt"] == "最里面的字"


def test_names_of_members_are_text() -> None:
    """A mark in a name is seen, in UTF-8 and in GB 18030 without the flag."""
    name = "机密_名单.txt"
    raw = name.encode("gb18030")
    plain = package({"a" * len(raw): "字"}).replace(b"a" * len(raw), raw)
    for made in (package({name: "字"}), plain):
        names = [s for s in read(made).segments if s.anchor == "names"]
        assert [(s.text, s.zone) for s in names] == [(name, Zone.METADATA)]


def test_comments_of_the_archive_are_read() -> None:
    """A comment leaves with the archive, so it is text."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.txt", "字")
        made.comment = "密级：机密".encode()
    assert any("密级：机密" in s.text for s in read(out.getvalue()).segments)


def test_what_cannot_be_unpacked_is_a_gap() -> None:
    """A broken picture, an unknown file, a bomb, an archive too deep, a broken archive."""
    kinds = {g.kind for g in read(package({"a.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "b.txt": "字"})).gaps}
    assert kinds == {GapKind.CORRUPT}
    assert {g.kind for g in read(package({"b.bin": bytes(range(256)) * 9})).gaps} == {GapKind.UNSUPPORTED}
    assert {g.kind for g in read(zip_bomb()).gaps} == {GapKind.TOO_BIG}
    nested = b"x"
    for number in range(9):
        nested = package({f"{number}.zip" if number else "a.txt": nested})
    assert {g.kind for g in read(nested).gaps} == {GapKind.TOO_DEEP}
    assert {g.kind for g in read(package({"a.txt": "字"})[:-4]).gaps} == {GapKind.CORRUPT}


def test_a_budget_is_one_for_all_members() -> None:
    """Many members that each fit do not fit together."""
    many = package({f"{n}.txt": "字" * 1000 for n in range(20)})
    assert {g.kind for g in read(many, Limits(expanded_bytes=20_000)).gaps} == {GapKind.TOO_BIG}


MEMBERS = {"a.txt": "里面的字".encode(), "夹/b.docx": docx_of("文件里的字")}


@pytest.mark.parametrize(
    ("kind", "options"),
    [("7zip", {}), ("pax", {}), ("gnutar", {}), ("cpio", {}), ("iso9660", {"options": "joliet"}), ("ustar", {})],
)
def test_archives_of_every_kind_are_read(kind: str, options: dict[str, str]) -> None:
    """Members are read as what they are; their names are text."""
    members = (
        MEMBERS if kind not in ("ustar", "iso9660") else {"a.txt": MEMBERS["a.txt"], "b.docx": MEMBERS["夹/b.docx"]}
    )
    document = opened(packed(kind, members, **options))
    found = texts(document)
    assert any("里面的字" in text for text in found.values())
    assert any("文件里的字" in text for text in found.values())
    assert document.gaps == ()
    assert [s.zone for s in document.segments if s.anchor == "names"] == [Zone.METADATA]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_packed_files_are_read(pack: Callable[[bytes], bytes]) -> None:
    """A packed text, and a packed archive with one more archive in it."""
    assert "里面的字" in texts(opened(pack("里面的字".encode()))).popitem()[1]
    inner = packed("pax", {"c.zip": package({"d.txt": "最里面的字"})})
    document = opened(pack(inner))
    assert "最里面的字" in texts(document).values()
    assert document.gaps == ()


@pytest.mark.parametrize("name", ["zstd", "lz4", "compress", "lzip"])
def test_packed_files_of_libarchive_are_read(name: str) -> None:
    """What Python cannot unpack by itself."""
    if name == "lz4" and shutil.which("lz4") is None:
        pytest.skip("the libarchive of this machine packs lz4 through the program lz4, which is not installed")
    raw = packed("pax", {"a.txt": "里面的字".encode()}, filter_name=name)
    assert "里面的字" in texts(opened(raw)).values()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_bombs_and_broken_streams_end_as_gaps(pack: Callable[[bytes], bytes]) -> None:
    """A stream that unpacks to far more than it is, one that is cut off, one with something behind it."""
    bomb = pack(bytes(60_000_000))
    assert {g.kind for g in opened(bomb, Limits(expanded_bytes=50_000_000)).gaps} == {GapKind.TOO_BIG}
    whole = pack(bytes(range(256)) * 40)
    assert GapKind.CORRUPT in {g.kind for g in opened(whole[:-20]).gaps}


def test_links_in_archives_lead_nowhere() -> None:
    """A link is text that says where it leads; nothing is followed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            entry = tarfile.TarInfo(f"link{kind!r}")
            entry.type, entry.linkname = kind, "/etc/passwd"
            made.addfile(entry)
    document = opened(out.getvalue())
    assert "/etc/passwd" in texts(document).values()
    assert not any("root:" in s.text for s in document.segments)


@pytest.mark.skipif(shutil.which("7z") is None, reason="7z is not installed (p7zip-full)")
@pytest.mark.parametrize("kind", ["7z", "7z-names", "zip", "zip-aes"])
def test_locked_archives_are_gaps(kind: str, tmp_path: Path) -> None:
    """An archive under a password is said to be locked; a ZIP whose password is listed is read."""
    (tmp_path / "a.txt").write_text("锁住的字", encoding="utf-8")
    flags = {"7z": [], "7z-names": ["-mhe=on"], "zip": ["-tzip"], "zip-aes": ["-tzip", "-mem=AES256"]}[kind]
    path = tmp_path / f"a.{kind[:3]}"
    subprocess.run(
        ["7z", "a", *flags, "-pkouling123", str(path), str(tmp_path / "a.txt")], check=True, capture_output=True
    )
    document = opened(path.read_bytes())
    assert {g.kind for g in document.gaps} == {GapKind.ENCRYPTED}
    assert "锁住的字" not in texts(document).values()
    if kind.startswith("zip"):
        document = opened(path.read_bytes(), passwords=("wrong", "kouling123"))
        assert "锁住的字" in texts(document).values()
        assert document.gaps == ()


def opened(raw: bytes, limits: Limits | None = None, passwords: tuple[str, ...] = ()) -> Document:
    """Return what is read of a file by the first type that its content tells."""
    kind = sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))[0]
    return read_as(kind, Source(raw), Room(limits, passwords=passwords))
