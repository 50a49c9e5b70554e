"""Redaction of every format that has one, through the real gate: one set of facts that holds for all of them."""

from __future__ import annotations

import bz2
import csv
import email.policy
import gzip
import io
import lzma
import os
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from email import message_from_bytes
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import cv2
import libarchive
import lxml.html
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw, ImageFont, PngImagePlugin

from dlp.formats import Full, NotRedactable, Source
from dlp.formats.room import Room, read, redact
from dlp.limits import Limits
from dlp.model import Box, Cut, Gap
from dlp.sandbox import Sandbox
from dlp.service.gate import Gate
from dlp.sniff import EDGE_BYTES, sniff
from format_makers import ODF, OFD, odf_of, ofd_of, ofd_page, packed, text_object
from makers import docx_of, package
from scans import FONT
from sites import lay

ID = "110101199003071233"
OTHER = "11010519491231002X"
PHONE = "13800138000"
KEPT = "请核对后归档"
SECRETS = (ID, OTHER, PHONE)
TEXT = f"出租方身份证号：{ID}，联系电话：{PHONE}。\n承租方身份证号：{OTHER}，{KEPT}。\n"


def rows_of(delimiter: str = ",") -> str:
    """Return a table with quoted cells, doubled quotes and a cell of two lines."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["序号", "说明", "身份证号", "电话"])
    writer.writerow(["1", f'说"明,{KEPT}', ID, PHONE])
    writer.writerow(["2", f"两行\n身份证号{OTHER}", OTHER, "无"])
    return out.getvalue()


def tar_of(members: Mapping[str, bytes], mode: str = "w") -> bytes:
    """Return a tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as made:
        for name, data in members.items():
            head = tarfile.TarInfo(name)
            head.size = len(data)
            made.addfile(head, io.BytesIO(data))
    return out.getvalue()


MEMBERS = {"说明.txt": TEXT.encode(), f"名单/{ID}.csv": rows_of().encode(), "别的.txt": b"plain"}
ZIPPED = {**MEMBERS, "信.docx": docx_of(TEXT)}


def zip_texts(raw: bytes) -> str:
    """Return names and contents of a ZIP file as the standard library reads it."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        return "\n".join([*names, *(archive.read(name).decode("utf-8", "replace") for name in names)])


def tar_texts(raw: bytes) -> str:
    """Return names and contents of a tar file as the standard library reads it."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = [m for m in archive.getmembers() if m.isfile()]
        return "\n".join(
            [*archive.getnames(), *(archive.extractfile(m).read().decode("utf-8", "replace") for m in files)]
        )


def libarchive_texts(raw: bytes) -> str:
    """Return names and contents of any archive as libarchive reads it."""
    found = []
    with libarchive.memory_reader(raw) as archive:
        for entry in archive:
            found += [entry.pathname, b"".join(entry.get_blocks()).decode("utf-8", "replace")]
    return "\n".join(found)


def cells(encoding: str, delimiter: str = ",") -> Callable[[bytes], str]:
    """Return a reader of tables that also holds their shape."""

    def read(raw: bytes) -> str:
        rows = list(csv.reader(io.StringIO(raw.decode(encoding), newline=""), delimiter=delimiter, strict=True))
        assert [len(row) for row in rows] == [4, 4, 4]
        return "\n".join("|".join(row) for row in rows)

    return read


def html_of(encoding: str) -> bytes:
    """Return a page with secrets in text, attributes, links, comments, scripts, styles, character references."""
    spelled = "".join(f"&#{ord(sign)};" for sign in ID)
    return (
        f'<!DOCTYPE html><html><head><meta http-equiv="Content-Type" content="text/html; charset={encoding}">'
        f'<title>身份证号{OTHER}</title><meta name="author" content="电话{PHONE}">'
        f"<script>var phone = '{PHONE}';</script><style>p::after {{ content: '身份证号{ID}' }}</style></head>"
        f'<body onload="say({PHONE})"><!-- 身份证号{ID} -->'
        f"<p>出租方身份<b>证号：{ID[:6]}</b><i>{ID[6:]}</i>，{KEPT}。</p>"
        f'<table><tr><td>身份证号</td><td title="身份证号{OTHER}">{spelled}</td></tr></table>'
        f'<a href="tel:{PHONE}">电话{PHONE}</a><img width=1 height=1 src="https://example.com/{PHONE}.gif">'
        f"<p>A&lt;B &amp; 身份证号{OTHER}<br>第二行</p></body></html>"
    ).encode(encoding)


def letter_of() -> bytes:
    """Return a message with secrets in every place that is carried over, and in some that are not."""
    made = EmailMessage()
    made["Received"] = f"from a.example.com by b.example.com for <{PHONE}@example.com>; Tue, 24 Nov 2026 08:00:00 +0800"
    made["DKIM-Signature"] = "v=1; a=rsa-sha256; d=example.com; b=QUJD"
    made["X-Mailer"] = f"mailer {PHONE}"
    made["From"] = "某处 <office@example.com>"
    made["To"] = f"某人 <{PHONE}@example.com>, li@example.com"
    made["Subject"] = f"关于身份证号{ID}的函，{KEPT}"
    made["Date"] = "Tue, 24 Nov 2026 08:00:00 +0800"
    made.set_content(TEXT, charset="gb18030", cte="base64")
    made.add_alternative(html_of("utf-8").decode(), subtype="html")
    made.add_attachment(rows_of().encode(), maintype="text", subtype="csv", filename=f"表{OTHER}.csv")
    made.add_attachment(package({"内.txt": TEXT}), maintype="application", subtype="zip", filename="a.zip")
    inner = EmailMessage()
    inner["Subject"] = f"转发：身份证号{OTHER}"
    inner.set_content("plain words\n")
    made.add_attachment(inner)
    return made.as_bytes()


def mail_texts(raw: bytes) -> str:
    """Return headers, names and bodies of a message as the newer parser reads it."""
    found = []
    for part in message_from_bytes(raw, policy=email.policy.default).walk():
        found += [f"{name}: {value}" for name, value in part.items()]
        if part.get_content_maintype() == "text":
            found.append(part.get_content())
        elif part.get_content_type() == "application/zip":
            found.append(zip_texts(part.get_content()))
    return "\n".join(found)


def mailbox_texts(raw: bytes) -> str:
    """Return the text of all messages of a mailbox as the standard library cuts it up."""
    pieces = re.split(rb"(?m)^From .*\n", raw)[1:]
    assert len(pieces) == 2
    return "\n".join(mail_texts(piece.replace(b"\n", b"\r\n")) for piece in pieces)


MAILBOX = b"".join(b"From a@example.com Tue Nov 24 08:00:00 2026\n" + letter_of() + b"\n\n" for _ in range(2))


def drawn(lines: Sequence[str], mode: str = "RGB") -> Image.Image:
    """Return a picture of some lines of text."""
    made = Image.new("RGB", (1000, 60 + 90 * len(lines)), (250, 250, 246))
    pen = ImageDraw.Draw(made)
    for number, line in enumerate(lines):
        pen.text((40, 40 + 90 * number), line, font=ImageFont.truetype(str(FONT), 40, index=2), fill=(20, 20, 20))
    return made.convert(mode)


LINES = (f"出租方身份证号：{ID}，", "请核对后归档。", f"承租方身份证号：{OTHER}。")


def picture_of(kind: str) -> bytes:
    """Return a picture with secrets in its pixels, between them, and behind its end."""
    if FONT is None:
        return b""
    first = drawn(LINES[2:] if kind in ("BMP", "WEBP") else LINES)
    other = drawn((f"担保人身份证号：{ID}。", "", ""))
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = f"ID {ID}"
    options: dict[str, Any] = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("Title", f"身份证号{OTHER}")
        options["pnginfo"] = chunks
        first = first.quantize(16)
    elif kind == "JPEG":
        exif[ExifTags.Base.Orientation] = 6
        first = first.rotate(90, expand=True)
        options |= {"quality": 85, "dpi": (150, 150), "comment": f"电话{PHONE}".encode()}
    elif kind == "TIFF":
        options |= {"save_all": True, "append_images": [other, first], "compression": "tiff_lzw"}
    elif kind == "GIF":
        options |= {"save_all": True, "append_images": [other], "duration": 400, "comment": f"电话{PHONE}".encode()}
    elif kind == "WEBP":
        options["lossless"] = True
    out = io.BytesIO()
    first.save(out, kind, **options)
    return out.getvalue() + (f"\n联系电话：{PHONE}，此后无正文。\n".encode() if kind in ("PNG", "GIF") else b"")


def pillow_texts(raw: bytes) -> str:
    """Return what Pillow reads of a picture besides its pixels, all of which it must decode."""
    with Image.open(io.BytesIO(raw)) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            picture.load()
            assert sorted(picture.size) in ([330, 1000], [150, 1000])
        assert not picture.getexif().get(ExifTags.Base.ImageDescription)
        return repr(picture.info)


def opencv_texts(raw: bytes) -> str:
    """Hold that OpenCV reads a picture."""
    good, frames = cv2.imdecodemulti(np.frombuffer(raw, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert good
    assert all(frame.std() > 10 for frame in frames)
    return ""


def ofd_file() -> bytes:
    """Return an OFD document with secrets on pages, in templates, annotations, properties, files and pictures."""
    picture = io.BytesIO()
    if FONT is not None:
        drawn(LINES[2:]).save(picture, "PNG")
    parts: dict[str, str | bytes] = {
        "Doc_0/Tpls/T0.xml": ofd_page(text_object(f"模板身份证号{OTHER}", y=10)),
        "Doc_0/Annots/Annotations.xml": (
            f'<ofd:Annotations xmlns:ofd="{OFD}"><ofd:Page PageID="10"><ofd:FileLoc>A0.xml</ofd:FileLoc></ofd:Page>'
            "</ofd:Annotations>"
        ),
        "Doc_0/Annots/A0.xml": (
            f'<ofd:PageAnnot xmlns:ofd="{OFD}"><ofd:Annot ID="5" Type="Stamp" Creator="{PHONE}">'
            f'<ofd:Remark>身份证号{ID}</ofd:Remark><ofd:Appearance Boundary="20 220 170 40">'
            f"{text_object(f'注释身份证号{ID}留字', x=0, y=0)}</ofd:Appearance></ofd:Annot></ofd:PageAnnot>"
        ),
        "Doc_0/Attachs/Attachments.xml": (
            f'<ofd:Attachments xmlns:ofd="{OFD}"><ofd:Attachment ID="60" Name="附件一"><ofd:FileLoc>a.txt</ofd:FileLoc>'
            '</ofd:Attachment><ofd:Attachment ID="61" Name="附件二"><ofd:FileLoc>b.7z</ofd:FileLoc></ofd:Attachment>'
            "</ofd:Attachments>"
        ),
        "Doc_0/Attachs/a.txt": TEXT.replace(KEPT, "附件里留下的字"),
        f"Doc_0/Attachs/{ID}.txt": TEXT,
        "Doc_0/Attachs/b.7z": packed("7zip", {"b.txt": TEXT.encode()}),
        "Doc_0/Tags/CustomTag.xml": f'<ofd:CustomTags xmlns:ofd="{OFD}"><ofd:Value>{ID}</ofd:Value></ofd:CustomTags>',
        "Doc_0/Signs/Sign_0/Signature.xml": f'<ofd:Signature xmlns:ofd="{OFD}"><ofd:A>{PHONE}</ofd:A></ofd:Signature>',
        "Doc_0/PublicRes.xml": (
            f'<ofd:Res xmlns:ofd="{OFD}" BaseLoc="Res"><ofd:Fonts><ofd:Font ID="1" FontName="宋体"/></ofd:Fonts>'
            '<ofd:MultiMedias><ofd:MultiMedia ID="3" Type="Image"><ofd:MediaFile>a.png</ofd:MediaFile></ofd:MultiMedia>'
            "</ofd:MultiMedias></ofd:Res>"
        ),
        "Doc_0/Res/a.png": picture.getvalue(),
    }
    common = '<ofd:PublicRes>PublicRes.xml</ofd:PublicRes><ofd:TemplatePage ID="7" BaseLoc="Tpls/T0.xml"/>'
    tail = (
        f'<ofd:Annotations>Annots/Annotations.xml</ofd:Annotations><ofd:Outlines><ofd:OutlineElem Title="{PHONE}"/>'
        "</ofd:Outlines><ofd:Attachments>Attachs/Attachments.xml</ofd:Attachments>"
    )
    image = '<ofd:ImageObject ID="20" Boundary="20 120 100 20" ResourceID="3"/>'
    pages = (
        ofd_page(text_object(f"身份证号{ID}，电话{PHONE}", size=3.5), text_object(KEPT, y=60), image, template="7"),
        ofd_page(*(text_object(letter, x=20 + 3 * n, y=80) for n, letter in reversed(list(enumerate(f"号码{ID}完"))))),
    )
    return ofd_of(*pages, parts=parts, common=common, tail=tail)


def etree_texts(raw: bytes) -> str:
    """Return the text of all XML parts of a package, each in drawing order, as expat reads it."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        parts = [archive.read(name) for name in archive.namelist() if name.endswith(".xml")]
    return "\n".join("".join(ET.fromstring(part).itertext()) for part in parts)  # noqa: S314  our own copy


def html_texts(encoding: str) -> Callable[[bytes], str]:
    """Return a reader of pages by the parser of the standard library, which sees attributes and comments too."""

    def read(raw: bytes) -> str:
        found: list[str] = []
        look = HTMLParser()
        look.handle_data = found.append  # type: ignore[method-assign]
        look.handle_comment = found.append  # type: ignore[method-assign]
        look.handle_starttag = lambda tag, attrs: found.extend(f"{tag} {value}" for _, value in attrs)  # type: ignore[method-assign]
        look.feed(raw.decode(encoding))
        assert not any(said.startswith("script") for said in found)
        return "".join(found)

    return read


def lxml_texts(raw: bytes) -> str:
    """Return the text of a page as lxml reads it from its bytes, by the encoding that it declares."""
    return "".join(lxml.html.document_fromstring(raw).itertext())


def odf_file() -> bytes:
    """Return an OpenDocument text with secrets in spans, cells, values, notes, changes, properties and objects."""
    body = (
        f"<text:tracked-changes><text:changed-region><text:deletion><text:p>身份证号{ID}</text:p></text:deletion>"
        f"</text:changed-region></text:tracked-changes><text:h>身份证号<text:span>{ID[:7]}</text:span>{ID[7:]}说明</text:h>"
        f"<text:p>{KEPT}<office:annotation><text:p>电话{PHONE}</text:p></office:annotation></text:p><table:table "
        f'table:name="电话{PHONE}"><table:table-row><table:table-cell><text:p>身份证号</text:p></table:table-cell>'
        f'<table:table-cell office:value-type="float" office:value="{ID}"><text:p>{ID}</text:p></table:table-cell>'
        '</table:table-row></table:table><draw:frame><draw:object xmlns:xlink="http://www.w3.org/1999/xlink" '
        'xlink:href="./Object 1"/></draw:frame>'
    )
    inner = (
        f"<office:document-content {ODF}><office:body><office:chart><text:p>身份证号{OTHER}图</text:p></office:chart>"
    )
    return odf_of(
        body,
        parts={
            "Object 1/content.xml": f"{inner}</office:body></office:document-content>",
            "Object 2/content.xml": f"<a>{OTHER}</a>",
            "meta.xml": f"<office:document-meta {ODF}><office:meta><dc:title>{PHONE}</dc:title></office:meta>"
            "</office:document-meta>",
            "settings.xml": f"<a>身份证号{OTHER}</a>",
        },
    )


class Case(NamedTuple):
    """A file with secrets in it, and readers that had no part in its redaction."""

    name: str
    raw: bytes
    readers: tuple[Callable[[bytes], str], ...]
    kept: tuple[str, ...] = (KEPT,)


def text_of(encoding: str) -> Callable[[bytes], str]:
    """Return a reader of plain text."""
    return lambda raw: raw.decode(encoding)


CASES = {
    case.name: case
    for case in (
        Case("utf8.txt", TEXT.encode(), (text_of("utf-8"),)),
        Case("gb.txt", TEXT.encode("gb18030"), (text_of("gb18030"),)),
        Case("utf16.txt", TEXT.encode("utf-16"), (text_of("utf-16"),)),
        Case("table.csv", rows_of().encode("utf-8-sig"), (cells("utf-8-sig"),)),
        Case("gb.csv", rows_of().encode("gb18030"), (cells("gb18030"),)),
        Case("table.tsv", rows_of("\t").encode(), (cells("utf-8", "\t"),)),
        Case("a.zip", package(ZIPPED), (zip_texts, libarchive_texts), (KEPT, "别的.txt", "plain")),
        Case("a.tar", tar_of(MEMBERS), (tar_texts, libarchive_texts), (KEPT, "别的.txt", "plain")),
        Case("a.tar.gz", tar_of(MEMBERS, "w:gz"), (tar_texts, libarchive_texts)),
        Case("a.txt.gz", gzip.compress(TEXT.encode()), (lambda raw: gzip.decompress(raw).decode(),)),
        Case("a.txt.bz2", bz2.compress(TEXT.encode()), (lambda raw: bz2.decompress(raw).decode(),)),
        Case("a.tar.xz", tar_of(MEMBERS, "w:xz"), (tar_texts, libarchive_texts)),
        Case("deep.zip", package({"内/a.zip": package({"b.zip": package({"c.txt": TEXT})})}), (zip_texts,), ()),
        Case("a.html", html_of("utf-8"), (html_texts("utf-8"), lxml_texts), (KEPT, "A<B & ", "第二行")),
        Case("gbk.html", html_of("gb18030"), (html_texts("gb18030"), lxml_texts), (KEPT, "A<B & ", "第二行")),
        Case("a.odt", odf_file(), (etree_texts, zip_texts), (KEPT, "说明", "图")),
        Case("a.eml", letter_of(), (mail_texts,), (KEPT, "某处", "某人", "plain words")),
        Case("a.mbox", MAILBOX, (mailbox_texts,)),
        Case("b.txt.xz", lzma.compress(TEXT.encode()), (lambda raw: lzma.decompress(raw).decode(),)),
    )
}


if FONT is not None:
    CASES["a.ofd"] = Case("a.ofd", ofd_file(), (zip_texts, libarchive_texts), (KEPT, "模板", "留字", "附件里留下的字"))
    for kind in ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP"):
        name = f"a.{kind.lower()}"
        CASES[name] = Case(name, picture_of(kind), (pillow_texts, opencv_texts), ())


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Give one real gate for all files."""
    site = lay(tmp_path_factory.mktemp("site"))
    with Gate.from_config(site.config) as made:
        yield made


def redacted(gate: Gate, raw: bytes, name: str, folder: Path) -> bytes:
    """Return what the gate writes for a file."""
    source, target = folder / f"in-{name}", folder / f"out-{name}"
    source.write_bytes(raw)
    gate.redact(source, target)
    return target.read_bytes()


def opened(raw: bytes) -> list[bytes]:
    """Return some bytes and everything that is packed in them, to any depth."""
    found = [raw]
    kinds = kinds_of(raw)
    if not any("zip" in kind or "office" in kind or "tar" in kind or kind.endswith(("x-xz", "ofd")) for kind in kinds):
        return found
    with libarchive.memory_reader(raw, "raw" if kinds[0].endswith(("gzip", "bzip2", "xz")) else "all") as archive:
        for entry in archive:
            found += opened(b"".join(entry.get_blocks()))
    return found


def kinds_of(raw: bytes) -> tuple[str, ...]:
    """Return what some bytes can be taken for."""
    return sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], Source(raw))


def cuts_of(raw: bytes) -> list[Cut]:
    """Return cuts of all secrets that are read in a file, without the packs; of a picture, one box in its middle."""
    cuts = []
    for kind in kinds_of(raw):
        document = read(kind, Source(raw), Room())
        for segment in document.segments:
            for secret in SECRETS:
                for found in re.finditer(secret, segment.text):
                    boxes = (segment.strip.box(*found.span()),) if segment.strip else ()
                    cuts.append(cut_at(segment.part, segment.anchor, *found.span(), boxes=boxes))
        if document.pictures and not document.pictures[0].part:
            cuts.append(cut_at((), "ocr", 0, 9, boxes=(Box(1, 60.0, 60.0, 90.0, 80.0),)))
    return cuts


def cut_at(part: tuple[str, ...], anchor: str, start: int, end: int, boxes: tuple[Box, ...] = ()) -> Cut:
    """Return a cut."""
    return Cut(part=part, anchor=anchor, start=start, end=end, label="〔已脱敏〕", type="t", boxes=boxes)


def taken_out(raw: bytes, cuts: Sequence[Cut]) -> bytes:
    """Return a file without cuts, as the child of the sandbox writes it."""
    out = io.BytesIO()
    redact(kinds_of(raw)[0], Source(raw), cuts, out, Room())
    return out.getvalue()


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Give one file after the other."""
    return CASES[request.param]


class TestEveryFormat:
    """What every format owes."""

    def test_no_secret_is_left_and_the_rest_is(self, case: Case, gate: Gate, tmp_path: Path) -> None:
        """The copy is released, holds no secret in any byte or reading, and keeps the rest."""
        new = redacted(gate, case.raw, case.name, tmp_path)
        for piece in opened(new):
            for secret in SECRETS:
                for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                    assert secret.encode(encoding) not in piece
        texts = [reader(new) for reader in case.readers]
        if not kinds_of(new)[0].startswith("image/"):  # the gate has had its eyes on it already, which takes seconds
            seen = gate.scan(tmp_path / f"out-{case.name}")
            assert seen.gaps == ()
            texts.append("\n".join(segment.text for segment in seen.document.segments))
        for text in texts:
            assert not [secret for secret in SECRETS if secret in text]
            assert not [kept for kept in case.kept if kept not in text]

    def test_the_same_file_gives_the_same_copy(self, case: Case) -> None:
        """Nothing of the hour or of chance is in a copy."""
        cuts = cuts_of(case.raw)
        assert cuts
        assert taken_out(case.raw, cuts) == taken_out(case.raw, cuts)

    def test_broken_files_are_refused(self, case: Case) -> None:
        """A file that is cut off anywhere gives a reason or a copy, never another error; half a copy is none."""
        cuts = cuts_of(case.raw)
        for share in (0.0, 0.1, 0.5, 0.9, 0.99):
            raw = case.raw[: int(share * len(case.raw))]
            if not kinds_of(raw):
                continue
            try:
                with warnings.catch_warnings(action="ignore", category=UserWarning):  # Pillow warns before it fails
                    new = taken_out(raw, cuts)
            except Full:
                continue
            assert not [secret for secret in SECRETS if secret.encode() in new]

    def test_cuts_that_lie_nowhere_are_refused(self, case: Case) -> None:
        """What is to be removed from a place that is not there keeps the whole file back."""
        with pytest.raises(NotRedactable):
            taken_out(case.raw, [cut_at(("nowhere", "at all"), "17", 0, 3)])

    def test_a_full_disk_leaves_nothing(self, case: Case, narrow: Sandbox) -> None:
        """Where the copy does not fit, there is a reason and no copy."""
        fd = os.memfd_create("source")
        try:
            os.write(fd, case.raw)
            made = narrow.redact(fd, name=case.name, media=kinds_of(case.raw)[0], cuts=tuple(cuts_of(case.raw)))
        finally:
            os.close(fd)
        assert isinstance(made, Gap)


@pytest.fixture(scope="module")
def narrow() -> Iterator[Sandbox]:
    """Give a sandbox whose children may write next to nothing."""
    with Sandbox(limits=Limits(output_bytes=16)) as made:
        yield made
