"""File names are bytes: shown without tricks, numbered within 255 bytes, half-written ones known by their name."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.sources import names

LONG = ("长" * 83 + "ab.txt").encode()  # 255 bytes
NAMES = st.binary(min_size=1, max_size=255).filter(lambda b: b"/" not in b and b"\0" not in b)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("合同 a.txt".encode(), "合同 a.txt"),
        (b"a\nb\t.txt", "a\\u{000a}b\\u{0009}.txt"),
        (b"\xff\xfea", "\\xff\\xfea"),
        ("\u202egpj.exe".encode(), "\\u{202e}gpj.exe"),
        ("a\u200b\u2066b".encode(), "a\\u{200b}\\u{2066}b"),
        (b"\x1b[2Jx", "\\u{001b}[2Jx"),
        ("\ue000\u2028".encode(), "\\u{e000}\\u{2028}"),
        ("é".encode(), "é"),
        ("e\u0301".encode(), "e\u0301"),
        ("子/文.txt".encode(), "子/文.txt"),
    ],
)
def test_a_name_is_shown_without_tricks(raw: bytes, shown: str) -> None:
    """Controls, direction marks, invisible characters and bytes that are no UTF-8 are written out."""
    assert names.shown(raw) == shown


@given(st.binary(max_size=255))
def test_what_is_shown_is_one_printable_line(raw: bytes) -> None:
    """No byte string makes a second line, a control or text that cannot be encoded."""
    text = names.shown(raw)
    assert text.encode().decode() == text
    assert len(text.splitlines()) <= 1
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)


@pytest.mark.parametrize(
    "name",
    [
        "a.docx.part",
        "a.TMP",
        "a.crdownload",
        "a.download",
        "a.filepart",
        "a.partial",
        ".a.txt.swp",
        "~$合同.docx",
        ".~lock.合同.odt#",
        ".goutputstream-X1",
        ".dlp-01J.part",
        ".#a.txt",
        "~WRD0001.docx",
        "~wrl3.doc",
    ],
)
def test_a_half_written_name_is_known(name: str) -> None:
    """The names that browsers, copy programs and office programs use while they write, in any case of letters."""
    assert names.unfinished(name.encode())


@pytest.mark.parametrize(
    "name", ["a.docx", "part.txt", "tmp", "a.part.docx", "$~a.docx", "partial", "~a.txt", ".hidden"]
)
def test_an_ordinary_name_is_not_waited_for(name: str) -> None:
    """Only the end or the start that programs write counts, not the word somewhere in the name."""
    assert not names.unfinished(name.encode())


@pytest.mark.parametrize(
    ("name", "second", "third"),
    [
        ("a.txt", "a (2).txt", "a (3).txt"),
        ("a", "a (2)", "a (3)"),
        (".bashrc", ".bashrc (2)", ".bashrc (3)"),
        ("a.tar.gz", "a.tar (2).gz", "a.tar (3).gz"),
        ("a.一个很长的结尾", "a.一个很长的结尾 (2)", "a.一个很长的结尾 (3)"),
        ("a (2).txt", "a (2) (2).txt", "a (2) (3).txt"),
    ],
)
def test_a_taken_name_is_numbered_before_its_ending(name: str, second: str, third: str) -> None:
    """The ending stays, so that the file still opens with the same program."""
    got = list(islice(names.numbered(name.encode()), 3))
    assert got == [name.encode(), second.encode(), third.encode()]


def test_a_numbered_name_of_255_bytes_keeps_its_ending_and_whole_characters(tmp_path: Path) -> None:
    """The stem is shortened between characters, and the file system accepts what comes out."""
    assert len(LONG) == 255
    for number, name in enumerate(islice(names.numbered(LONG), 12), 1):
        assert len(name) <= 255
        assert name.endswith(b".txt" if number == 1 else f" ({number}).txt".encode())
        assert "\ufffd" not in name.decode()
        (tmp_path / os.fsdecode(name)).touch(exist_ok=False)


@given(NAMES)
def test_numbered_names_are_names_and_differ(name: bytes) -> None:
    """Whatever the bytes, each numbered name fits into 255 bytes, is not empty and is new."""
    got = list(islice(names.numbered(name), 20))
    assert got[0] == name
    assert len(set(got)) == 20
    assert all(0 < len(n) <= 255 and b"/" not in n and b"\0" not in n for n in got)


def test_a_name_is_shortened_between_characters() -> None:
    """No character is cut in half; bytes that are no UTF-8 at all are cut where the limit is."""
    assert names.shortened("文件".encode(), 6) == "文件".encode()
    assert names.shortened("文件".encode(), 5) == "文".encode()
    assert names.shortened(b"\xff" * 9, 4) == b"\xff" * 4


def test_a_path_is_split_into_folders_and_name() -> None:
    """Folders come as a tuple, empty for a file at the top."""
    assert names.parts(b"a.txt") == ((), b"a.txt")
    assert names.parts("甲/乙/a\n.txt".encode()) == (("甲".encode(), "乙".encode()), b"a\n.txt")
