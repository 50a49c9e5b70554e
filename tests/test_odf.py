"""OpenDocument: paragraphs, tables, headers, notes, changes; packages and flat files; what is locked is a gap."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dlp.formats import Source
from dlp.formats.room import Room, read
from dlp.model import Document, GapKind, Zone
from dlp.sniff import EDGE_BYTES, sniff
from format_makers import ODF, odf_of
from makers import docx_of, xlsx_of

BODY = (
    "<text:tracked-changes><text:changed-region><text:deletion><text:p>删去的字</text:p></text:deletion>"
    "</text:changed-region></text:tracked-changes>"
    "<text:h>标题里的字</text:h><text:p>机<text:span>密</text:span><text:a>★</text:a>10<text:s/>年</text:p>"
    "<text:p>甲<text:tab/>乙<text:line-break/>丙<office:annotation><dc:creator>作者里的字</dc:creator>"
    "<text:p>批注里的字</text:p></office:annotation></text:p>"
    "<draw:frame><draw:text-box><text:p>文本框里的字</text:p></draw:text-box></draw:frame>"
    "<text:p><text:note><text:note-body><text:p>脚注里的字</text:p></text:note-body></text:note></text:p>"
    '<table:table table:name="表名里的字"><table:table-row><table:table-cell><text:p>姓名</text:p></table:table-cell>'
    '<table:table-cell table:number-columns-repeated="2"/><table:table-cell><text:p>身份证号</text:p></table:table-cell>'
    "</table:table-row><table:table-row><table:table-cell><text:p>张三</text:p></table:table-cell>"
    '<table:table-cell table:number-columns-repeated="2"/><table:table-cell office:value="110101199003073070">'
    "<text:p>1.1E+17</text:p></table:table-cell></table:table-row></table:table>"
)
STYLES = (
    f"<office:document-styles {ODF}><office:master-styles><style:master-page>"
    "<style:header><text:p>页眉里的字</text:p></style:header><style:footer><text:p>页脚里的字</text:p></style:footer>"
    "</style:master-page></office:master-styles></office:document-styles>"
)
META = f"<office:document-meta {ODF}><office:meta><dc:title>属性里的字</dc:title></office:meta></office:document-meta>"
PARTS = {"styles.xml": STYLES, "meta.xml": META, "Object 1/content.xml": "<a>对象里的字</a>"}


def opened(raw: bytes) -> Document:
    """Return what is read of a file by the first type that its content tells."""
    source = Source(raw)
    return read(sniff(raw[:EDGE_BYTES], raw[-EDGE_BYTES:], source)[0], source, Room())


def zones(document: Document) -> dict[str, Zone]:
    """Return the zone of every text."""
    return {s.text: s.zone for s in document.segments}


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("标题里的字", Zone.BODY),
        ("机密★10 年", Zone.BODY),
        ("甲\t乙\n丙", Zone.BODY),
        ("批注里的字", Zone.COMMENT),
        ("作者里的字", Zone.COMMENT),
        ("文本框里的字", Zone.TEXT_BOX),
        ("脚注里的字", Zone.BODY),
        ("删去的字", Zone.HIDDEN),
        ("表名里的字", Zone.HIDDEN),
        ("页眉里的字", Zone.HEADER),
        ("页脚里的字", Zone.FOOTER),
        ("属性里的字", Zone.METADATA),
        ("对象里的字", Zone.HIDDEN),
        ("110101199003073070", Zone.HIDDEN),
    ],
)
def test_every_place_has_its_zone(text: str, zone: Zone) -> None:
    """Every place where text lies in a package is read, and its zone is told."""
    assert zones(opened(odf_of(BODY, parts=PARTS)))[text] is zone


def test_tables_are_grids() -> None:
    """Empty cells that are written once for many keep the columns in line."""
    document = opened(odf_of(BODY))
    (table,) = document.tables
    rows = [[document.segments[c.segment].text[c.start : c.end] for c in row] for row in table.rows]
    assert rows == [["姓名", "", "", "身份证号"], ["张三", "", "", "1.1E+17"]]


def test_a_flat_file_is_read_alike() -> None:
    """The same document as one XML file; what lies in it as Base64 is unpacked."""
    import base64

    inner = base64.b64encode(docx_of("对象里的字")).decode()
    raw = (
        f"<?xml version='1.0'?><office:document {ODF}><office:body><office:text>{BODY}<draw:object><office:binary-data>"
        f"{inner}</office:binary-data></draw:object></office:text></office:body></office:document>"
    ).encode()
    found = zones(opened(raw))
    assert found["机密★10 年"] in (Zone.BODY, Zone.HIDDEN)
    assert "对象里的字" in found


def test_an_encrypted_package_is_a_gap() -> None:
    """A manifest that speaks of encryption, and content that is not to be read."""
    manifest = f"<manifest:manifest {ODF}><manifest:file-entry><manifest:encryption-data/></manifest:file-entry></manifest:manifest>"
    document = opened(odf_of("", parts={"META-INF/manifest.xml": manifest}))
    assert GapKind.ENCRYPTED in {g.kind for g in document.gaps}


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice (soffice) is not installed")
@pytest.mark.parametrize("kind", ["odt", "fodt", "doc", "rtf", "ods", "fods", "xls"])
def test_files_that_an_office_program_wrote(kind: str, tmp_path: Path) -> None:
    """A letter and a sheet, written by LibreOffice in each of its formats, keep their words and cells."""
    sheet = kind in ("ods", "fods", "xls")
    start = tmp_path / ("a.xlsx" if sheet else "a.docx")
    rows = [["姓名", "身份证号"], ["张三", "11010119900307301X"], ["李四", "110101199003073070"]]
    start.write_bytes(xlsx_of(rows, "工资表") if sheet else docx_of("机密★10年", "身份证号11010119900307301X", "𠮷字"))
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    subprocess.run(
        ["soffice", profile, "--headless", "--convert-to", kind, "--outdir", str(tmp_path), str(start)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    document = opened((tmp_path / f"a.{kind}").read_bytes())
    texts = [s.text for s in document.segments]
    if sheet:
        cells = {
            document.segments[c.segment].text[c.start : c.end] for t in document.tables for row in t.rows for c in row
        }
        assert {cell for row in rows for cell in row} <= cells
    else:
        assert {"机密★10年", "身份证号11010119900307301X", "𠮷字"} <= set(texts)
    assert {g.kind for g in document.gaps} <= {GapKind.UNSUPPORTED}
