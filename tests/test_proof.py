"""What every redacted copy must pass: the removed texts are nowhere in its bytes, however written or packed."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import time
import zlib
from collections.abc import Callable, Sequence

import pikepdf
import pytest

from dlp.formats import Source, needles, proof
from dlp.formats.proof import search
from dlp.formats.room import Full, Room
from dlp.limits import Limits
from makers import docx_of, ole_of, package
from pdf_makers import by_hand, changed, simple, stream, text_pdf

NUMBER = "11010519491231002X"
OTHER = "110105194912310021"
NAME = "欧阳修文"
PROSE = b"The parties agree to the following terms of the contract. " * 5


def told(raw: bytes, removed: Sequence[str] = (NUMBER,), room: Room | None = None) -> str:
    """Return what the proof says: the detail of a failure, empty where the bytes are clean."""
    check = search(Source(raw), removed, room or Room())[0]
    assert check.name == "bytes"
    assert (check.state == "fail") == bool(check.detail)
    return check.detail


def each(form: str, text: str = NUMBER) -> bytes:
    """Write every character in a form: `{0}` is the character, `{1}` its number."""
    return "".join(form.format(letter, ord(letter)) for letter in text).encode()


WRITTEN = {
    "as it is": NUMBER.encode(),
    "small x": NUMBER.lower().encode(),
    "utf-16-le": NUMBER.encode("utf-16-le"),
    "utf-16-be": NUMBER.encode("utf-16-be"),
    "full width": NUMBER.translate({code: code + 0xFEE0 for code in range(33, 127)}).encode(),
    "decimal references": each("&#{1};"),
    "hexadecimal references": each("&#x{1:x};"),
    "between tags": each("<w:t>{0}</w:t>"),
    "zero width": each("{0}\u200b"),
    "blanks": each("{0} "),
    "dashes": b"110105-19491231-002X",
    "hex": NUMBER.encode().hex().encode(),
    "HEX of utf-16": NUMBER.encode("utf-16-be").hex().upper().encode(),
    "percent": each("%{1:02X}"),
    "quoted printable": each("={1:02X}"),
    "octal": each("\\{1:03o}"),
    "\\x": each("\\x{1:02x}"),
    "\\'": each("\\'{1:02x}"),
    "backwards": NUMBER[::-1].encode(),
    "base64": base64.b64encode(b" " + NUMBER.encode()),
    "base64, one on": base64.b64encode(b"  " + NUMBER.encode()),
    "base64, two on": base64.b64encode(b"   " + NUMBER.encode()),
    "base64 in lines": base64.encodebytes(PROSE + NUMBER.encode()),
    "base64 of utf-16": base64.b64encode(NUMBER.encode("utf-16-le")),
    "its end": NUMBER[-9:].encode(),
    "less its begin": NUMBER[4:].encode(),
    "less its end": NUMBER[:14].encode(),
}


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("packing", ["open", "zip in zip", "docx", "zlib"])
def test_a_number_is_found_however_it_is_written(form: str, packing: str) -> None:
    """Each way of writing a removed number is seen, in the open and inside of containers."""
    raw = PROSE + WRITTEN[form] + b" " + PROSE
    pack: dict[str, Callable[[bytes], bytes]] = {
        "open": lambda data: data,
        "zip in zip": lambda data: package({"a.zip": package({"b.txt": data})}),
        "docx": lambda data: package({"word/document.xml": b"<w:document>" + data + b"</w:document>"}),
        "zlib": lambda data: b"stream\n" + zlib.compress(data) + b"\nendstream",
    }
    assert told(pack[packing](raw))
    assert not told(pack[packing](PROSE + PROSE))


@pytest.mark.parametrize(
    "raw",
    [
        *(NAME.encode(encoding) for encoding in ("utf-8", "gb18030", "utf-16-le", "utf-16-be")),
        "歐陽修文".encode("big5"),
        each("&#{1};", NAME),
        each("\\u{1:04x}", NAME),
        "".join(f"\\u{code - 65536 if code > 32767 else code}?" for code in map(ord, NAME)).encode(),
        "".join(f"\\'{code:02x}" for code in NAME.encode("gb18030")).encode(),
        "".join(f"%{code:02X}" for code in NAME.encode()).encode(),
        each("<b>{0}</b>", NAME),
        each("{0}　", NAME),
        NAME[::-1].encode(),
        base64.b64encode(NAME.encode("gb18030")),
    ],
)
def test_a_name_is_found_however_it_is_written(raw: bytes) -> None:
    """Chinese has more encodings and escapes than digits have; all are seen."""
    assert told(PROSE + raw + PROSE, (NAME, "歐陽修文"))


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda raw: PROSE + gzip.compress(raw) + PROSE,
        lambda raw: b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(package({"a": raw})),
        lambda raw: ole_of({"WordDocument": b"x" * 505 + raw}),
        lambda raw: package({"word/embeddings/1.bin": ole_of({"Ole10Native": b"x" * 505 + raw})}),
        lambda raw: by_hand([*simple(b""), stream(raw.hex().encode() + b">", b"/Filter /ASCIIHexDecode")]),
        lambda raw: by_hand([*simple(b""), stream(base64.a85encode(raw) + b"~>", b"/Filter /ASCII85Decode")]),
        lambda raw: by_hand([*simple(b""), b"<< /Title (%s) >>" % raw.replace(b"1", b"\\061")]),
        lambda raw: by_hand([*simple(b""), b"<< /A#31%s 1 >>" % raw[1:].replace(b" ", b"")]),
        lambda raw: text_pdf("合同") + b"\n% " + raw,
    ],
)
def test_a_number_is_found_however_it_is_packed(pack: Callable[[bytes], bytes]) -> None:
    """Containers, packed streams and objects are opened, whatever else surrounds them."""
    assert told(pack(NUMBER.encode()))
    assert not told(pack(b"1 copy of it"))


def test_objects_of_a_pdf_are_read_where_they_are_packed_together() -> None:
    """A string in an object stream, which the bytes do not show, is found."""
    raw = changed(
        text_pdf("合同"),
        lambda pdf: pdf.docinfo.__setitem__("/Title", f"档案 {NUMBER}"),
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
    )
    assert NUMBER.encode() not in raw
    assert told(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"110105",  # the code of a region
        b"19491231",  # a day
        b"11010519491231"[:10],  # region and year: every neighbour of the same age has these
        b"born 1949-12-31 in 110105",
        b"no. 202412310021 of this year",  # a day and a count, as the end of a number has them
        b"0000110105 00000 n \n0000194912 00000 n \n0000310023 00000 n \n",
    ],
)
def test_what_many_people_share_is_no_leak(raw: bytes) -> None:
    """The code of a region, a date, and a table of numbers are left alone."""
    assert not told(PROSE + raw + PROSE, (NUMBER, OTHER))


def test_a_short_number_is_one_only_by_itself() -> None:
    """Seven digits inside of longer ones or behind a point are chance; by themselves they are what was removed."""
    assert not told(b"0008501234 00000 n 3.8501234 m", ("8501234",))
    assert told(b"tel. 8501234, at noon", ("8501234",))


def test_numbers_that_come_about_where_cells_meet_are_no_leak() -> None:
    """A telephone number with blanks in it is found; the digits of two cells side by side are not one."""
    phone = "13800138000"
    assert told("<p>电话：138 0013-8000，找张三</p>".encode(), (phone,))
    assert not told(b"<row><c><v>77138001</v></c><c><v>3800045</v></c></row>", (phone,))


def test_two_characters_are_told_only_among_text() -> None:
    """The four bytes of a name of two characters stand in packed data by chance."""
    name = "张三"
    packed = zlib.compress(bytes(range(256)) * 3, 9)[:60]
    assert not told(packed + name.encode("utf-16-le") + packed, (name,))
    assert told("\0".join("申请人：").encode("utf-16-le") + name.encode("utf-16-le"), (name,))


def test_honest_files_are_clean() -> None:
    """Documents of every day give no alarm for texts that they do not hold."""
    removed = (NUMBER, NAME, "张三", "13800138000", "6222021234567890123", "8501234")
    assert not told(docx_of("双方应当遵守本合同的约定。", "电话：010-12345678"), removed)
    assert not told(text_pdf("双方应当遵守本合同的约定。" * 20), removed)


def test_nothing_is_quoted() -> None:
    """What is said of a leak holds nothing of it."""
    detail = told(PROSE + NUMBER.encode())
    assert not any(NUMBER[at : at + 4] in detail for at in range(15))


def test_no_needle_is_no_leak() -> None:
    """A redaction that removed nothing long enough to tell has nothing to look for."""
    assert not told(PROSE, ())


def test_what_does_not_fit_is_not_called_clean() -> None:
    """A bomb inside of a copy, and containers without end, stop the search instead of being skipped."""
    bomb = zlib.compress(bytes(8 << 20))
    with pytest.raises(Full):
        told(bomb, room=Room(Limits(expanded_bytes=1 << 20)))
    nested = PROSE
    for _ in range(12):
        nested = gzip.compress(nested)
    with pytest.raises(Full):
        told(nested)


@pytest.mark.parametrize("place", [0, 990, 1_990, 5_000])
def test_large_bytes_are_looked_at_in_pieces_that_overlap(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is found wherever it stands, also across the end of a piece."""
    monkeypatch.setattr(proof, "_WINDOW", 1_000)
    monkeypatch.setattr(proof, "_OVERLAP", 100)
    raw = (PROSE * 30)[:place] + each("{0}-") + PROSE
    assert told(raw)
    assert not told(PROSE * 30)


def test_too_many_needles_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not every form of every needle is looked for, that is told; the texts themselves still are."""
    monkeypatch.setattr(needles, "MOST", 200)
    numbers = [str(110105194912310000 + 7919 * number) for number in range(100)]
    checks = search(Source(PROSE + numbers[-1].encode()), numbers, Room())
    assert checks[0].state == "fail"
    assert [check.state for check in checks[1:]] == ["unavailable"]


def test_a_search_is_linear() -> None:
    """Twice the bytes take about twice the time, also where every place looks like the begin of something."""

    def seconds(raw: bytes) -> float:
        began = time.perf_counter()
        told(raw)
        return time.perf_counter() - began

    for hostile in (b"PK\x03\x04", b"x\x9c", b"<", b"\\061", b"UEsDB", b"\x1f\x8b\x08", b"stream\n", b"&#49"):
        once = min(seconds(hostile * 20_000) for _ in range(2))
        assert seconds(hostile * 80_000) < 12 * once + 0.5
