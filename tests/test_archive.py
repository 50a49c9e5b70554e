"""ZIP archives: members are read as what they are, and what cannot be unpacked is said to be unread."""

from __future__ import annotations

import io
import zipfile

from dlp.formats import Source, archive
from dlp.formats.room import Room
from dlp.limits import Limits
from dlp.model import Document, GapKind, Zone
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
    """A picture, an unknown file, a bomb, an archive too deep, a broken archive."""
    kinds = {g.kind for g in read(package({"a.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "b.txt": "字"})).gaps}
    assert kinds == {GapKind.UNSUPPORTED}
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
