"""Messages, mailboxes, web archives and cards: headers, bodies and attachments in every encoding of theirs."""

from __future__ import annotations

import base64
from email.message import EmailMessage

import pytest

from dlp.formats import Source
from dlp.formats.room import Room, read
from dlp.model import Document, GapKind, Zone
from dlp.sniff import EDGE_BYTES, sniff
from makers import docx_of, package


def opened(raw: bytes) -> Document:
    """Return what is read of a file by the first type that its content tells."""
    return read(sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))[0], Source(raw), Room())


def whole(document: Document) -> str:
    """Return all text."""
    return "\n".join(s.text for s in document.segments)


def letter() -> EmailMessage:
    """Return a message with two bodies and attachments, one of them a message."""
    made = EmailMessage()
    made["From"] = "张三 <zhang@example.com>"
    made["To"] = "li@example.com"
    made["Subject"] = "主题里的字"
    made["Date"] = "Tue, 24 Nov 2026 08:00:00 +0800"
    made.set_content("正文里的字\n")
    made.add_alternative("<p>网页正文里的字</p>", subtype="html")
    made.add_attachment(
        docx_of("附件里的字"), maintype="application", subtype="octet-stream", filename="名单里的字.docx"
    )
    inner = EmailMessage()
    inner["Subject"] = "内层主题里的字"
    inner.set_content("内层正文里的字", charset="gb18030", cte="base64")
    made.add_attachment(inner)
    made.add_attachment(
        package({"压缩.txt": "压缩附件里的字"}), maintype="application", subtype="zip", filename="a.zip"
    )
    return made


@pytest.mark.parametrize("place", ["主题", "正文", "网页正文", "附件", "名单", "内层主题", "内层正文", "压缩附件"])
def test_every_place_of_a_message_is_read(place: str) -> None:
    """Subject, both bodies, attachments and their names, the message in the message, the archive in it."""
    document = opened(letter().as_bytes())
    assert f"{place}里的字" in whole(document)
    assert document.gaps == ()


def test_headers_in_raw_bytes_and_odd_encodings() -> None:
    """GBK bytes in a header, encoded words in GB 2312 cut in two, a body whose charset lies."""
    word = base64.b64encode("机密".encode("gb18030")).decode()
    more = base64.b64encode("文件".encode("gb18030")).decode()
    raw = (
        b"From: a@example.com\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nTo: "
        + "李四".encode("gb18030")
        + f" <b@example.com>\r\nSubject: =?gb2312?B?{word}?=\r\n =?gb2312?B?{more}?=\r\n".encode()
        + b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + "正文里的字，用的是国标编码。".encode("gb18030")
    )
    document = opened(raw)
    assert "机密文件" in whole(document)
    assert "李四" in whole(document)
    assert "正文里的字" in whole(document)


def test_the_subject_is_metadata() -> None:
    """Headers that people read have a zone of their own."""
    zones = {s.text: s.zone for s in opened(letter().as_bytes()).segments}
    assert zones["主题里的字"] is Zone.METADATA


def test_a_mailbox_is_many_messages() -> None:
    """Each message of an mbox file is read as one."""
    one = b"From a@example.com Tue Nov 24 08:00:00 2026\n" + letter().as_bytes().replace(b"\r\n", b"\n") + b"\n"
    other = letter()
    other.replace_header("Subject", "第二封里的字")
    two = b"\nFrom b@example.com Tue Nov 24 09:00:00 2026\n" + other.as_bytes()
    document = opened(one + two)
    assert "第二封里的字" in whole(document)
    assert {s.part[0] for s in document.segments} == {"message 1", "message 2"}


def test_a_web_archive_is_read() -> None:
    """An MHT file: the page, and what it shows."""
    raw = (
        b"MIME-Version: 1.0\r\nSubject: x\r\nFrom: <Saved by Blink>\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Location: http://a/\r\n\r\n"
        + "".join(f"={b:02X}" for b in "<html><p>网页里的字</p></html>".encode()).encode()
        + b"\r\n--b--\r\n"
    )
    assert "网页里的字" in whole(opened(raw))


def test_an_encrypted_message_is_a_gap() -> None:
    """S/MIME and PGP content is said to be locked; a signature is not."""
    head = b"From: a@example.com\r\nMIME-Version: 1.0\r\nMessage-ID: <1@a>\r\nContent-Transfer-Encoding: base64\r\n"
    body = base64.b64encode(bytes(range(256)) * 4)
    locked = head + b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n" + body
    assert GapKind.ENCRYPTED in {g.kind for g in opened(locked).gaps}
    signed = head + b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n" + body
    assert GapKind.ENCRYPTED not in {g.kind for g in opened(signed).gaps}


def test_parts_nested_without_end_are_a_gap() -> None:
    """A message whose parts are nested too deep ends."""
    raw = b"From: a@example.com\r\nMIME-Version: 1.0\r\nMessage-ID: <1@a>\r\n"
    for number in range(40):
        raw += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number)
    assert GapKind.TOO_DEEP in {g.kind for g in opened(raw + b"\r\nx").gaps}


def test_cards_are_read() -> None:
    """Names and notes of a card, folded and in quoted-printable, and the picture in it."""
    photo = base64.b64encode(docx_of("照片里的字")).decode()
    folded = "\r\n ".join(photo[at : at + 72] for at in range(0, len(photo), 72))
    raw = (
        "BEGIN:VCARD\r\nVERSION:2.1\r\nFN;CHARSET=UTF-8:张三\r\n"
        "NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:=E6=9C=BA=E5=AF=86=\r\n=E4=BA=BA=E5=91=98\r\n"
        f"PHOTO;ENCODING=BASE64;TYPE=JPEG:{folded}\r\n\r\nEND:VCARD\r\n"
    ).encode()
    kinds = sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))
    assert kinds == ("text/vcard", "text/plain")
    found = "\n".join(whole(read(kind, Source(raw), Room())) for kind in kinds)
    assert "张三" in found
    assert "机密人员" in found
    assert "照片里的字" in found
