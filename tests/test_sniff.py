"""The type of a file is told by its bytes, and a file that is two things is read as both."""

from __future__ import annotations

import pytest

from dlp.formats import DOCX, XLSX, Source
from dlp.sniff import EDGE_BYTES, sniff
from makers import docx_of, encrypted_docx, package, xlsx_of
from pdf_makers import text_pdf


def kinds(raw: bytes) -> tuple[str, ...]:
    """Return the types of some bytes."""
    return sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw, name="misleading.jpg"))


@pytest.mark.parametrize(
    ("raw", "media"),
    [
        (lambda: docx_of("x"), DOCX),
        (lambda: xlsx_of([["x"]]), XLSX),
        (lambda: text_pdf("x"), "application/pdf"),
        (encrypted_docx, "application/x-ole-encrypted"),
        (lambda: package({"a.txt": b"x"}), "application/zip"),
        (lambda: b"\x89PNG\r\n\x1a\n" + bytes(40), "image/png"),
        (lambda: b"<!DOCTYPE html><html><body>x</body></html>", "text/html"),
        (lambda: "关于借用会议场地的答复函".encode("gb18030"), "text/plain"),
        (lambda: package({"OFD.xml": b"<x/>", "Doc_0/Document.xml": b"<x/>"}), "application/ofd"),
    ],
    ids=["docx", "xlsx", "pdf", "encrypted", "zip", "png", "html", "gb18030", "ofd"],
)
def test_the_bytes_tell(raw: object, media: str) -> None:
    """Names and extensions are not asked."""
    assert callable(raw)
    assert kinds(raw())[0] == media


def test_a_file_that_is_two_things_is_both() -> None:
    """A PDF with an archive behind it, and one behind a picture, are read as each."""
    both = kinds(text_pdf("x") + package({"a.txt": b"secret"}))
    assert {"application/pdf", "application/zip"} <= set(both)
    assert {"image/png", "application/zip"} <= set(kinds(b"\x89PNG\r\n\x1a\n" + bytes(40) + package({"a": b"x"})))


def test_what_stands_before_a_pdf_is_not_forgotten() -> None:
    """Text before the header leaves with the file; no reader of PDF shows it."""
    assert len(kinds("机密★10年\n".encode() + text_pdf("x"))) == 2


@pytest.mark.parametrize("raw", [bytes(range(128, 256)) * 50, b"\0\1\2\3" * 100])
def test_unknown_bytes_have_no_type(raw: bytes) -> None:
    """What nobody knows is not guessed."""
    assert kinds(raw) == ()
