"""Plain text and CSV: every plausible reading is matched, and a cut leaves every other byte as it was."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp.formats import NotRedactable, Source, csvtext, plain
from dlp.formats.room import Room
from dlp.formats.room import read as read_as
from dlp.limits import Limits
from dlp.model import Cut, Document, GapKind
from dlp.text import traditional

NUMBER = "110101199003071233"
PROSE = "关于借用会议场地的答复函，经研究同意借用三楼多功能厅举办便民服务活动。"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5")


def read(raw: bytes, limits: Limits | None = None) -> Document:
    """Read a text as the child does."""
    return read_as("text/plain", Source(raw), Room(limits))


def cut(document: Document, start: int, end: int, label: str = "〔去〕") -> Cut:
    """Return a cut in the best reading."""
    first = document.segments[0]
    return Cut(part=first.part, anchor=first.anchor, start=start, end=end, label=label, type="t")


def redacted(raw: bytes, *cuts: Cut) -> bytes:
    """Return the text without the cuts."""
    out = io.BytesIO()
    plain.redact(Source(raw), cuts, out, Room())
    return out.getvalue()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read(encoding: str) -> None:
    """The best reading is what was written, without the byte order mark; nothing is missing."""
    text = traditional(PROSE + "号码") if encoding == "big5" else PROSE
    document = read(f"{text}\n{NUMBER}\n".encode(encoding))
    assert document.segments[0].text.startswith(text)
    assert NUMBER in document.segments[0].text
    assert not document.gaps


def test_four_byte_characters_of_gb18030() -> None:
    """Rare characters outside GBK are read as one character each."""
    text = PROSE + "㐀䶮𠀀"
    assert read(text.encode("gb18030")).segments[0].text == text


def test_ambiguous_bytes_are_read_in_every_plausible_way() -> None:
    """A few bytes that are Chinese in two encodings give a segment for each."""
    texts = {segment.text for segment in read("机密".encode("gb18030")).segments}
    assert "机密" in texts
    texts = {segment.text for segment in read("機密文件".encode("big5")).segments}
    assert "機密文件" in texts


def test_lines_in_another_encoding_are_read() -> None:
    """A file that was put together from two has its foreign lines read too."""
    raw = "\n".join([PROSE] * 5).encode("gb18030") + b"\n" + "身份证号码如下请核对".encode()
    assert any("身份证号码如下" in segment.text for segment in read(raw).segments)


@pytest.mark.parametrize("raw", [bytes(range(256)) * 9, b"text\0\1\2\3" * 50, b"\x89PNG\r\n" + bytes(90)])
def test_binary_is_a_gap(raw: bytes) -> None:
    """Bytes that are no text are never clean."""
    assert {gap.kind for gap in read(raw).gaps} <= {GapKind.UNSUPPORTED, GapKind.CORRUPT, GapKind.UNTRUSTED_TEXT}
    assert read(raw).gaps


@pytest.mark.parametrize(
    "hidden",
    [
        "".join(f"&#{ord(c)};" for c in NUMBER),
        "".join(f"%{b:02X}" for b in NUMBER.encode()),
        "".join(f"\\u{ord(c):04x}" for c in NUMBER),
        "".join(f"={b:02X}" for b in NUMBER.encode()),
        "MTEwMTAxMTk5MDAzMDcxMjMz",
    ],
)
def test_escapes_are_resolved(hidden: str) -> None:
    """Entities, percent signs, backslash escapes, quoted-printable and Base64 are matched as what they say."""
    assert any(NUMBER in segment.text for segment in read(f"前{hidden}后".encode()).segments)


def test_too_much_text_is_a_gap() -> None:
    """A file above the limit of characters is not read in part and called clean."""
    assert {g.kind for g in read(b"a" * 5000, Limits(text_chars=1000)).gaps} == {GapKind.TOO_BIG}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_cut_leaves_every_other_byte(encoding: str) -> None:
    """The number is gone in its own encoding; what stands before and behind it is byte for byte the same."""
    before, after = traditional(PROSE + "号"), traditional("，请核对\r\n")
    raw = (before + NUMBER + after).encode(encoding)
    document = read(raw)
    new = redacted(raw, cut(document, len(before), len(before) + len(NUMBER), label="[x]"))
    assert new == (before + "[x]" + after).encode(encoding)


def test_a_cut_in_what_escapes_say_is_refused() -> None:
    """Where the bytes of a hit cannot be told, nothing is written."""
    document = read(f"前{''.join(f'%{b:02X}' for b in NUMBER.encode())}后".encode())
    hidden = next(s for s in document.segments if NUMBER in s.text)
    bad = Cut(part=hidden.part, anchor=hidden.anchor, start=1, end=19, label="x", type="t")
    with pytest.raises(NotRedactable):
        redacted(b"x", bad)


def test_a_cut_outside_of_the_text_is_refused() -> None:
    """A cut that does not fit what is read now is refused."""
    document = read("短".encode())
    with pytest.raises(NotRedactable):
        redacted("短".encode(), cut(document, 0, 9))


HAN = st.text(
    st.sampled_from("经研究同意借用会议场地的答复函文件号码请核对张三李四，。12345abc \n"), min_size=30, max_size=200
)


@settings(max_examples=400, deadline=None)
@given(HAN, st.sampled_from(["utf-8", "utf-16", "utf-16-be", "gb18030"]), st.data())
def test_any_cuts_of_any_text(text: str, encoding: str, data: st.DataObject) -> None:
    """What is written is the text with its cuts replaced, whatever they are."""
    text = PROSE + text
    raw = text.encode(encoding)
    document = read(raw)
    if document.segments[0].text != text:
        return  # another reading is the likelier one; its cuts are tested by their own
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=8)))
    spans = list(zip(places[::2], places[1::2], strict=False))
    wanted, at = "", 0
    for start, end in spans:
        wanted, at = wanted + text[at:start] + "〔去〕", end
    new = redacted(raw, *(cut(document, start, end) for start, end in spans))
    assert new == (wanted + text[at:]).encode(encoding)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_cells_of_a_table(delimiter: str) -> None:
    """Rows and cells have the places of their contents, quotes left out."""
    text = f'姓名{delimiter}备注\n张三{delimiter}"甲{delimiter}乙"\n李四{delimiter}"引""号"\n'
    document = read(text.encode())
    (grid,) = document.tables
    cells = [[text[c.start : c.end] for c in row] for row in grid.rows]
    assert cells == [["姓名", "备注"], ["张三", f"甲{delimiter}乙"], ["李四", '引""号']]


def test_a_stray_quote_swallows_nothing() -> None:
    """A quote that is never closed belongs to its cell; the rows behind it stay rows."""
    rows = list(csvtext.scan('a,"b\nc,d\ne,f\n', ","))
    assert len(rows) == 3


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('ab",;\n\r\t甲'), max_size=80))
def test_cells_never_overlap_and_never_leave_the_text(text: str) -> None:
    """Whatever the quotes do, cells stand in order inside the text."""
    at = 0
    for row in csvtext.scan(text, ","):
        for start, end in row:
            assert at <= start <= end <= len(text)
            at = end
