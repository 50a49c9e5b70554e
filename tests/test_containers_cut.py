"""Archives, messages, tables and pages: what is peculiar to the redaction of each, and what is refused."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from dlp.errors import NotProven
from dlp.formats import Full, NotRedactable, Source, archive, csvtext, html, mail, odf, ofd, plain
from dlp.formats.cutting import Hole, filled
from dlp.formats.room import Room, read, redact
from dlp.model import Box, Cut, Redacting, Style
from dlp.service.gate import Gate
from dlp.sniff import EDGE_BYTES, sniff
from format_makers import odf_of, packed
from makers import package
from sites import lay

ID = "110101199003071233"
OTHER = "11010519491231002X"
TEXT = f"身份证号：{ID}，请核对。\n"
LABEL = "〔已脱敏〕"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Give one real gate for all files."""
    with Gate.from_config(lay(tmp_path_factory.mktemp("site")).config) as made:
        yield made


def released(gate: Gate, raw: bytes, name: str, folder: Path, style: Style = Style.LABEL) -> bytes:
    """Return what the gate writes for a file."""
    (folder / f"in-{name}").write_bytes(raw)
    gate.redact(folder / f"in-{name}", folder / f"out-{name}", how=Redacting(style=style))
    return (folder / f"out-{name}").read_bytes()


def kinds(raw: bytes) -> tuple[str, ...]:
    """Return what some bytes can be taken for."""
    return sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))


def cuts_of(raw: bytes, *secrets: str, label: str = LABEL) -> list[Cut]:
    """Return cuts of every place at which these are read, in every reading."""
    return [
        Cut(part=s.part, anchor=s.anchor, start=at, end=at + len(secret), label=label, type="t")
        for kind in kinds(raw)
        for s in read(kind, Source(raw), Room()).segments
        for secret in secrets
        for at in range(len(s.text))
        if s.text.startswith(secret, at)
    ]


def without(raw: bytes, *secrets: str, label: str = LABEL) -> bytes:
    """Return a file without these."""
    out = io.BytesIO()
    redact(kinds(raw)[0], Source(raw), cuts_of(raw, *secrets, label=label), out, Room())
    return out.getvalue()


def failed(module: Any, new: bytes, old: bytes, cuts: Sequence[Cut] = ()) -> set[str]:
    """Return the checks that a copy fails."""
    return {
        check.name for check in module.verify(Source(new), Source(old), cuts, Room()).checks if check.state == "fail"
    }


# --- archives


def names(raw: bytes) -> list[str]:
    """Return the names of the members of a ZIP file."""
    return zipfile.ZipFile(io.BytesIO(raw)).namelist()


def test_hits_in_names_become_labels_that_are_names() -> None:
    """Of files and of folders; no label makes a path, and two members that had the same label differ."""
    raw = package({f"{ID}/{ID}.txt": "a", f"{ID}/b.txt": "b", f"{OTHER}/b.txt": "c", "d.txt": "d"})
    new = without(raw, ID, OTHER, label="〔a/b:c*〕")
    assert names(new) == ["〔a_b_c_〕/〔a_b_c_〕.txt", "〔a_b_c_〕/b.txt", "〔a_b_c_〕/b (2).txt", "d.txt"]
    assert [zipfile.ZipFile(io.BytesIO(new)).read(name) for name in names(new)] == [b"a", b"b", b"c", b"d"]


def test_a_hit_over_two_names_goes_from_both() -> None:
    """A number that a line break between names cuts in two leaves its label in the first."""
    raw = package({f"a{ID[:9]}": "a", f"{ID[9:]}b": "b"})
    (whole,) = [s for s in archive.extract(Source(raw), Room()).segments if s.anchor == "names"]
    one = Cut(part=(), anchor="names", start=1, end=len(whole.text) - 1, label="x", type="t")
    out = io.BytesIO()
    archive.redact(Source(raw), [one], out, Room())
    assert names(out.getvalue()) == ["ax", "b"]


def test_comments_owners_and_header_names_are_not_carried_over() -> None:
    """A comment of a ZIP file, the owner in a tar file, the name in the header of a gzip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.txt", TEXT)
        made.comment = f"身份证号{OTHER}".encode()
    new = without(out.getvalue(), ID, OTHER)
    assert zipfile.ZipFile(io.BytesIO(new)).comment == b""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made_tar:
        head = tarfile.TarInfo("a.txt")
        head.size, head.uname, head.mtime = len(TEXT.encode()), "zhangsan", 1_700_000_000
        made_tar.addfile(head, io.BytesIO(TEXT.encode()))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a.txt"
        made_tar.addfile(link)
    with tarfile.open(fileobj=io.BytesIO(without(out.getvalue(), ID))) as again:
        assert [(m.name, m.uname, m.mtime, m.linkname) for m in again] == [
            ("a.txt", "", 0, ""),
            ("link", "", 0, "a.txt"),
        ]
    out = io.BytesIO()
    with gzip.GzipFile(filename=f"{OTHER}.txt", mode="wb", fileobj=out) as made_gzip:
        made_gzip.write(TEXT.encode())
    raw = out.getvalue()
    assert OTHER in "".join(s.text for s in archive.extract(Source(raw), Room()).segments)
    new = without(raw, ID, OTHER)
    assert OTHER.encode() not in new
    assert gzip.decompress(new).decode() == TEXT.replace(ID, LABEL)


def test_untouched_members_keep_their_bytes() -> None:
    """What nothing is cut from is copied, whatever it is."""
    blob = bytes(range(256)) * 9
    new = without(package({"a.txt": TEXT, "b.bin": blob, "空/": b""}), ID)
    made = zipfile.ZipFile(io.BytesIO(new))
    assert made.namelist() == ["a.txt", "b.bin", "空/"]
    assert made.read("b.bin") == blob


def zip_locked() -> bytes:
    """Return a ZIP file one of whose members says that it is encrypted."""
    raw = bytearray(package({"a.txt": TEXT, "b.txt": "x"}))
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 8] |= 1
    raw[raw.rindex(b"PK\x03\x04") + 6] |= 1
    return bytes(raw)


@pytest.mark.parametrize(
    "make",
    [
        lambda: packed("7zip", {"a.txt": TEXT.encode()}),
        lambda: packed("cpio", {"a.txt": TEXT.encode()}),
        lambda: package({"a.7z": packed("7zip", {"a.txt": TEXT.encode()}), "b.txt": TEXT}),
        zip_locked,
        lambda: package({"a.txt": TEXT})[:-9],
        lambda: packed("pax", {"a.txt": TEXT.encode()})[:700],
    ],
    ids=["7z", "cpio", "7z in zip", "locked", "cut off", "tar cut off"],
)
def test_archives_that_cannot_be_written_are_refused(make: Callable[[], bytes]) -> None:
    """A kind that is not written, a member that cannot be, a lock, a stump: a reason for the whole."""
    raw = make()
    cuts = cuts_of(raw, ID) or [Cut(part=("a.txt",), anchor="utf-8:", start=0, end=1, label="x", type="t")]
    with pytest.raises(Full):
        redact(kinds(raw)[0], Source(raw), cuts, io.BytesIO(), Room())


def test_a_refusal_writes_nothing(gate: Gate, tmp_path: Path) -> None:
    """The gate says why, and there is no file."""
    with pytest.raises(NotProven):
        released(gate, packed("7zip", {"a.txt": TEXT.encode()}), "a.7z", tmp_path)
    assert not (tmp_path / "out-a.7z").exists()


def test_the_proof_of_archives_sees_what_is_wrong() -> None:
    """A member too many, one that differs, a member whose own proof fails."""
    raw = package({"a.csv": f"a,b\n1,{ID}\n2,x\n", "b.txt": "b"})
    cuts = cuts_of(raw, ID)
    good = without(raw, ID)
    assert failed(archive, good, raw, cuts) == set()
    assert failed(archive, package({"a.csv": "a,b\n1,y\n2,x\n", "b.txt": "b", "c": "c"}), raw, cuts) == {"members"}
    assert failed(archive, package({"a.csv": "a,b\n1,y\n2,x\n", "b.txt": "other"}), raw, cuts) == {"untouched"}
    assert failed(archive, package({"a.csv": "a,b\n1y\n2,x\n", "b.txt": "b"}), raw, cuts) == {"cells"}
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        raw = pack(TEXT.encode())
        assert failed(archive, without(raw, ID), raw, cuts_of(raw, ID)) == set()
        assert failed(archive, b"junk", raw, cuts_of(raw, ID)) == {"members"}


# --- tables


@pytest.mark.parametrize(
    ("text", "hole", "wanted"),
    [
        ("a,b\n1,23\n", (2, 7), "a,x\n,3\n"),
        ('a,b\n"1,2",3\n', (5, 8), 'a,b\n"x",3\n'),
        ('a,b\n"p""q",3\n', (5, 7), 'a,b\n"xq",3\n'),
        ('a,b\n"p""q",3\n', (7, 9), 'a,b\n"px",3\n'),
        ('a,b\n"""q""",3\n', (4, 9), 'a,b\n"x",3\n'),
        ('a,b\n"1\n2",3\n', (4, 11), 'a,b\n"x",\n'),
    ],
    ids=["over cells", "in quotes", "first quote of two", "second quote of two", "quotes only", "over lines and cells"],
)
def test_holes_in_tables_leave_rows_and_cells(text: str, hole: tuple[int, int], wanted: str) -> None:
    """Delimiters, line breaks and quotes around a cell stay; doubled quotes go together."""
    new = filled(text, csvtext.within_cells(text, ",", [Hole(*hole, "x")]))
    assert new == wanted
    widths = [[len(row) for row in csv.reader(io.StringIO(one, newline=""), strict=True)] for one in (text, new)]
    assert widths[0] == widths[1]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_a_label_is_never_a_delimiter(delimiter: str) -> None:
    """A label with quotes, line breaks and the delimiter of the table is one cell all the same."""
    raw = f"编号{delimiter}身份证号\n1{delimiter}{ID}\n2{delimiter}无\n".encode()
    new = without(raw, ID, label=f'a{delimiter}b"c\nd').decode()
    assert [len(row) for row in csv.reader(io.StringIO(new), delimiter=delimiter, strict=True)] == [2, 2, 2]
    assert ID not in new


def test_the_proof_of_tables_sees_lost_cells() -> None:
    """A copy with another number of cells or rows, and one in no encoding, are not proven."""
    raw = f"a,b\n1,{ID}\n2,x\n".encode()
    assert failed(plain, b"a,b\n1,y\n2,x\n", raw) == set()
    assert failed(plain, b"a,b\n1,y,z\n2,x\n", raw) == {"cells"}
    assert failed(plain, b"a,b\n1,y\n", raw) == {"cells"}
    assert failed(plain, b"\x81\x20\xff", raw) == {"reopened:codec"}


# --- messages


def letter(**headers: str) -> EmailMessage:
    """Return a message."""
    made = EmailMessage()
    for name, value in {"From": "a <a@example.com>", "Message-ID": "<1@example.com>", **headers}.items():
        made[name.replace("_", "-")] = value
    made.set_content("正文\n")
    return made


def test_addresses_that_are_cut_into_are_nobodys() -> None:
    """The name beside it stays, other addresses too; nothing is a reply to somebody by chance."""
    raw = letter(To=f"张三 <{ID}@example.com>, b <b@example.com>").as_bytes()
    made = message_from_bytes(without(raw, ID), policy=policy.default)
    assert [(one.display_name, one.addr_spec) for one in made["To"].addresses] == [
        (f"张三 {LABEL}@example.com", "removed@invalid"),
        ("b", "b@example.com"),
    ]


def test_what_only_machines_read_is_not_carried_over() -> None:
    """Ways, signatures, and identifiers that were cut into."""
    made = letter(Received=f"by {ID}", X_Note=ID, DKIM_Signature="v=1", References=f"<{ID}@example.com>", Subject=ID)
    new = message_from_bytes(without(made.as_bytes(), ID), policy=policy.default)
    assert {name.lower() for name in new.keys()} == {  # noqa: SIM118  a message is no mapping
        *("from", "message-id", "subject", "mime-version", "content-type", "content-transfer-encoding"),
    }
    assert new["Subject"] == LABEL


def test_a_signed_message_is_not_signed_any_more() -> None:
    """The signature would be broken: it goes, and the type with it."""
    body = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + TEXT
    raw = (
        "From: a@example.com\r\nMIME-Version: 1.0\r\nMessage-ID: <1@a>\r\n"
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n'
        f"--b\r\n{body}\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nMIIB\r\n--b--\r\n"
    ).encode()
    made = message_from_bytes(without(raw, ID), policy=policy.default)
    assert made.get_content_type() == "multipart/mixed"
    assert [part.get_content() for part in made.iter_parts()] == [TEXT.replace(ID, LABEL)]


def test_attachments_keep_type_name_and_encoding() -> None:
    """A file in GB 18030 stays in it, a BOM stays, and what is untouched is the same bytes."""
    made = letter()
    made.add_attachment(TEXT.encode("gb18030"), maintype="text", subtype="plain", filename="一.txt")
    made.add_attachment(TEXT.encode("utf-8-sig"), maintype="text", subtype="plain", filename="二.txt")
    made.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream", filename="三.bin")
    new = message_from_bytes(without(made.as_bytes(), ID), policy=policy.default)
    files = {part.get_filename(): part.get_payload(decode=True) for part in new.iter_attachments()}
    label = TEXT.replace(ID, LABEL)
    assert files == {
        "一.txt": label.encode("gb18030"),
        "二.txt": label.encode("utf-8-sig"),
        "三.bin": bytes(range(256)),
    }


def test_two_attachments_of_one_name_are_refused() -> None:
    """Which of them was read cannot be told."""
    made = letter()
    for text in (TEXT, "other"):
        made.add_attachment(text.encode(), maintype="text", subtype="plain", filename="a.txt")
    with pytest.raises(NotRedactable):
        without(made.as_bytes(), ID)


def test_the_proof_of_messages_sees_what_is_wrong() -> None:
    """A header of machines, a part too few."""
    made = letter(Subject=f"号{ID}")
    made.add_attachment(TEXT.encode(), maintype="text", subtype="plain", filename="a.txt")
    raw = made.as_bytes()
    good = without(raw, ID)
    assert failed(mail, good, raw, cuts_of(raw, ID)) == set()
    assert failed(mail, b"X-Note: x\r\n" + good, raw) == {"headers"}
    assert failed(mail, without(letter(Subject=f"号{ID}").as_bytes(), ID), raw) == {"parts"}


# --- several readings


def test_a_card_is_redacted_as_text(gate: Gate, tmp_path: Path) -> None:
    """A card is read as a card and as text; the text is what is written."""
    raw = f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:某人\r\nNOTE:身份证号{ID}\r\nEND:VCARD\r\n".encode()
    new = released(gate, raw, "a.vcf", tmp_path)
    assert new.startswith(b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:" + "某人".encode() + b"\r\nNOTE:")
    assert ID.encode() not in new


def test_a_text_with_tags_is_redacted_as_text(gate: Gate, tmp_path: Path) -> None:
    """A note that looks a little like a page stays the note that it is."""
    raw = f"第一行 <b>粗</b>\n身份证号：{ID}\n2 < 3\n".encode()
    assert len(kinds(raw)) == 2
    new = released(gate, raw, "a.txt", tmp_path, Style.BOX)
    assert new.decode() == raw.decode().replace(ID, "█████")


def test_what_only_another_reading_shows_is_refused() -> None:
    """A number cut up by tags in a text that is no page: the text cannot tell where it lies, so nothing is written."""
    raw = f"第一行 <b>粗</b>\n身份证号：{ID[:6]}<b></b>{ID[6:]} {OTHER}\n".encode()
    with pytest.raises(NotRedactable):
        without(raw, ID, OTHER)


# --- pages


def test_the_proof_of_pages_sees_what_could_act() -> None:
    """Scripts, handlers, comments and addresses that are programs."""
    raw = f"<html><body><p>身份证号{ID}</p></body></html>".encode()
    good = without(raw, ID)
    assert failed(html, good, raw) == set()
    for bad in ("<script>x</script>", '<p onclick="x">', "<!-- x -->", '<a href="javascript:x">', "<iframe></iframe>"):
        assert failed(html, good.replace(b"</p>", bad.encode() + b"</p>"), raw) == {"still"}, bad


def test_a_page_keeps_its_structure_and_declares_its_encoding() -> None:
    """Tables, attributes, entities; what is not in the encoding is a reference; a page in UTF-16 becomes UTF-8."""
    head = '<html><head><meta charset="gbk"></head>'
    page = f'{head}<body><table><tr><td title="&amp;">1&lt;2😀{ID}</td></tr></table></body></html>'
    for encoding, declared in (("gb18030", "gb18030"), ("utf-16", "utf-8")):
        new = without(page.encode(encoding), ID)
        assert f'<meta charset="{declared}">'.encode() in new
        assert f'<table><tr><td title="&amp;">1&lt;2😀{LABEL}</td></tr></table>' in new.decode(declared)


def test_a_picture_in_a_page_is_redacted_as_a_picture() -> None:
    """One that was cut into gets its box, another loses what it says besides its pixels, any other file goes."""
    out = io.BytesIO()
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Title", OTHER)
    Image.linear_gradient("L").point(lambda value: 255 - value // 2).save(out, "PNG", pnginfo=chunks)
    picture, file = base64.b64encode(out.getvalue()).decode(), base64.b64encode(b"some other file, longer").decode()
    page = (
        f'<html><body><img src="data:image/png;base64,{picture}"><a href="data:text/plain;base64,{file}">{ID}</a>'
        '<a href="data:text/plain,short">x</a></body></html>'
    ).encode()
    box = Cut(part=("data 1",), anchor="ocr", start=0, end=1, label="x", type="t", boxes=(Box(1, 20, 20, 60, 40),))
    for cuts in ([box], []):
        out = io.BytesIO()
        html.redact(Source(page), [*cuts_of(page, ID), *cuts], out, Room())
        new = out.getvalue().decode()
        found = re.search(r"base64,([^\"]+)", new)
        assert found
        raw = base64.b64decode(found[1])
        assert OTHER.encode() not in raw
        with Image.open(io.BytesIO(raw)) as made:
            assert (made.getpixel((60, 60)) == 0) == bool(cuts)
        assert file not in new
        assert new.count("data:") == 2
        assert "<a>x</a>" in new


def test_a_page_with_signs_that_cannot_be_written_is_refused() -> None:
    """What is no character of XML, in the very text that is cut: a reason, no other error."""
    raw = f"<html><body><p>{ID}\uffff</p></body></html>".encode()
    cut = Cut(part=(), anchor="1", start=0, end=len(ID), label="x", type="t")
    with pytest.raises(NotRedactable):
        html.redact(Source(raw), [cut], io.BytesIO(), Room())


def test_a_web_archive_is_redacted_part_by_part() -> None:
    """An MHT file: the page in it loses its hit, the place that it came from stays."""
    raw = (
        "From: <Saved by a browser>\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/related; type="text/html"; boundary=b\r\n\r\n--b\r\n'
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-Location: http://a/\r\n\r\n"
        f"<html><body><p>身份证号{ID}</p></body></html>\r\n--b--\r\n"
    ).encode()
    made = message_from_bytes(without(raw, ID), policy=policy.default)
    assert (made.get_content_type(), made.get_param("type")) == ("multipart/related", "text/html")
    (page,) = made.iter_parts()
    assert page["Content-Location"] == "http://a/"
    assert f"<p>身份证号{LABEL}</p>" in page.get_content()


# --- packages


def test_the_proof_of_packages_sees_what_is_wrong() -> None:
    """A member that is not known, an element that is not taken along, a picture that says something."""
    odt = odf_of(f"<text:p>身份证号{ID}</text:p>", parts={"settings.xml": "<a/>"})
    good = without(odt, ID)
    assert failed(odf, good, odt) == set()
    assert failed(odf, odt, odt) == {"members"}
    assert failed(odf, odf_of("<office:annotation><text:p>x</text:p></office:annotation>"), odt) == {"left-behind"}
    out = io.BytesIO()
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Title", OTHER)
    Image.new("L", (9, 9)).save(out, "PNG", pnginfo=chunks)
    assert failed(odf, odf_of("", parts={"Pictures/file0.png": out.getvalue()}), odt) == {"pictures"}
    assert failed(ofd, package({"OFD.xml": "<a><Signatures/></a>", "x": "y"}), odt) == {"members", "left-behind"}


def test_values_of_cells_go_with_what_they_show() -> None:
    """A number that is cut from a cell leaves neither value nor type; other cells keep theirs."""
    cell = '<table:table-cell office:value-type="float" office:value="{0}"><text:p>{0}</text:p></table:table-cell>'
    odt = odf_of(f"<table:table><table:table-row>{cell.format(ID)}{cell.format(12345)}</table:table-row></table:table>")
    content = zipfile.ZipFile(io.BytesIO(without(odt, ID))).read("content.xml").decode()
    assert ID not in content
    assert 'office:value="12345"' in content
    assert content.count('office:value-type="string"') == 1


def test_the_type_of_a_document_is_its_first_unpacked_member() -> None:
    """Programs tell an OpenDocument package by the bytes of `mimetype`: it is first and not packed."""
    made = zipfile.ZipFile(io.BytesIO(without(odf_of(f"<text:p>{ID}</text:p>"), ID)))
    assert (made.infolist()[0].filename, made.infolist()[0].compress_type) == ("mimetype", zipfile.ZIP_STORED)
