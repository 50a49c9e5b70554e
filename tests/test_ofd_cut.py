"""OFD redaction: what stays keeps its place, what went is nowhere, and widths tell nothing."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Sequence
from typing import Any

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from dlp.formats import Full, NotRedactable, Source, ofd
from dlp.formats.placed import times
from dlp.formats.room import Room
from dlp.model import Box, Cut, Document, Mode
from format_makers import OFD, ofd_of, ofd_page, text_object

LABEL = "〔已脱敏：某〕"
LETTERS = [chr(code) for code in range(0x4E00, 0x4E80)]


def read(raw: bytes) -> Document:
    """Return what is read of an OFD file."""
    return ofd.extract(Source(raw), Room())


def cut(document: Document, text: str, *, gap: bool = False, label: str = LABEL) -> list[Cut]:
    """Return the cuts of every place of a text."""
    found = []
    for segment in document.segments:
        at = segment.text.find(text)
        if at >= 0:
            boxes = (segment.strip.box(at, at + len(text)),) if segment.strip else ()
            found.append(
                Cut(
                    part=segment.part,
                    anchor=segment.anchor,
                    start=at,
                    end=at + len(text),
                    label=label,
                    type="t",
                    gap=gap,
                    boxes=boxes,
                )
            )
    assert found, text
    return found


def redacted(raw: bytes, cuts: Sequence[Cut], mode: Mode = Mode.AUTO) -> bytes:
    """Return the file without the cuts."""
    out = io.BytesIO()
    ofd.redact(Source(raw), cuts, out, Room(mode=mode))
    checks = ofd.verify(Source(out.getvalue()), Source(raw), cuts, Room()).checks
    assert {check.state for check in checks} == {"ok"}
    return out.getvalue()


def page(raw: bytes, number: int = 0) -> Any:
    """Return the root of a page of a copy."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return etree.fromstring(archive.read(f"Doc_0/Pages/Page_{number}/Content.xml"))


def spots(root: Any) -> dict[str, tuple[float, float, str]]:
    """Return where each character of a page stands, in millimetres, and the glyph that it names; labels left out."""
    found = {}
    for thing in root.iter(f"{{{OFD}}}TextObject"):
        turn = ofd.own_turn(thing)
        glyphs: dict[int, str] = {}
        for change in thing.iter(f"{{{OFD}}}CGTransform"):
            first = int(change.get("CodePosition"))
            glyphs |= {first + n: glyph for n, glyph in enumerate("".join(change.itertext()).split())}
        for code in ofd.codes_of(thing):
            for number, (letter, (x, y)) in enumerate(zip(code.text, code.points, strict=True)):
                if letter in LETTERS or letter.isascii():
                    at = times((1, 0, 0, 1, x, y), turn)
                    found[letter] = (at[4], at[5], glyphs.get(number, ""))
    return found


@st.composite
def deltas(draw: st.DrawFn, count: int) -> str:
    """Give a list of distances with runs."""
    words = []
    left = count
    while left > 0:
        value = draw(st.sampled_from(["5", "5.25", "6.125", "5.6"]))
        run = draw(st.integers(1, left))
        words.append(f"g {run} {value}" if draw(st.booleans()) else " ".join([value] * run))
        left -= run
    return " ".join(words)


@st.composite
def pages(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Give a page of lines of characters, none twice, and the characters of each line."""
    letters = list(LETTERS)
    random.Random(draw(st.integers(0, 99))).shuffle(letters)
    objects, lines = [], []
    for row in range(draw(st.integers(1, 3))):
        count = draw(st.integers(2, 14))
        text, letters = "".join(letters[:count]), letters[count:]
        more = draw(st.sampled_from(["", 'CTM="1.5 0 0 1.5 2 3"', 'CTM="1 0 0 1 0 0"']))
        glyphs = ""
        if draw(st.booleans()):
            start = draw(st.integers(0, count - 1))
            size = draw(st.integers(1, count - start))
            named = " ".join(str(100 + n) for n in range(size))
            glyphs = (
                f'<ofd:CGTransform CodePosition="{start}" CodeCount="{size}" GlyphCount="{size}">'
                f"<ofd:Glyphs>{named}</ofd:Glyphs></ofd:CGTransform>"
            )
        code = f'<ofd:TextCode X="1" Y="5" DeltaX="{draw(deltas(count - 1))}">{text}</ofd:TextCode>'
        objects.append(
            f'<ofd:TextObject ID="{row + 30}" Boundary="20 {30 + 40 * row} 150 9" Font="1" Size="5" {more}>'
            f"{glyphs}{code}</ofd:TextObject>"
        )
        lines.append(text)
    return ofd_page(*objects), lines


@settings(max_examples=40, deadline=None)
@given(made=pages(), data=st.data())
def test_what_stays_keeps_its_place_and_its_glyph(made: tuple[str, list[str]], data: st.DataObject) -> None:
    """Any stretch of any line, with `g` runs, transforms and matrices: nothing else moves, nothing of it is left."""
    content, lines = made
    raw = ofd_of(content)
    before = spots(etree.fromstring(content))
    line = data.draw(st.sampled_from(lines))
    start = data.draw(st.integers(0, len(line) - 1))
    gone = line[start : data.draw(st.integers(start + 1, len(line)))]
    after = spots(page(redacted(raw, cut(read(raw), gone), Mode.KEEP)))
    assert not set(gone) & after.keys()
    assert after.keys() == before.keys() - set(gone)
    for letter, (x, y, glyph) in after.items():
        assert abs(x - before[letter][0]) < 0.01
        assert abs(y - before[letter][1]) < 0.01
        assert glyph == before[letter][2]


@pytest.mark.parametrize("apart", [False, True])
def test_the_width_of_a_name_tells_nothing(apart: bool) -> None:
    """Names of two, three and four characters, in one object or several: the copies are alike to the last digit."""
    seen = set()
    for name in ("张三", "李小四", "欧阳修远"):
        text = f"申请人{name}于今日提交"
        if apart:
            middle = 20 + 5.6 * (3 + len(name))
            objects = [text_object(f"申请人{name}", x=20), text_object("于今日提交", x=middle)]
        else:
            objects = [text_object(text, x=20)]
        raw = ofd_of(ofd_page(*objects, text_object("另一行从同处开始并且更长一些", x=20, y=50)))
        root = page(redacted(raw, cut(read(raw), name, gap=True)))
        for node in root.iter():
            node.attrib.pop("ID", None)
        seen.add(etree.tostring(root))
        assert name not in "".join(root.itertext())
    assert len(seen) == 1


def test_a_box_covers_the_hole_and_says_what_was_there() -> None:
    """A black box lies over the removed stretch, with its label in white, and no number of an object is there twice."""
    raw = ofd_of(ofd_page(text_object("身份证号110101199003071233止", size=4)))
    copy = redacted(raw, cut(read(raw), "110101199003071233"))
    root = page(copy)
    (box,) = root.iter(f"{{{OFD}}}PathObject")
    left, _, wide, _ = map(float, box.get("Boundary").split())
    assert abs(left - (25 + 4 * 4)) < 0.01
    assert abs(wide - (17 * 4 + 2)) < 0.01
    assert LABEL in {segment.text for segment in read(copy).segments}
    numbers = [node.get("ID") for node in root.iter() if node.get("ID")]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("anchor", "box"),
    [
        ("", Box(1, 500.0, 700.0, 520.0, 720.0)),
        ("", Box(9, 70.0, 85.0, 90.0, 99.0)),
        ("3@", None),
    ],
    ids=["in an empty place", "on a page that is not there", "in a part of a page that is no text"],
)
def test_what_is_not_where_it_was_read_is_refused(anchor: str, box: Box | None) -> None:
    """Nothing is written where a cut finds nothing to take out."""
    raw = ofd_of(ofd_page(text_object("正文里的字")))
    bad = Cut(
        part=("Doc_0/Pages/P0/Content.xml",),
        anchor=anchor,
        start=0,
        end=1,
        label="x",
        type="t",
        boxes=(box,) if box else (),
    )
    out = io.BytesIO()
    with pytest.raises(NotRedactable):
        ofd.redact(Source(raw), [bad], out, Room())
    assert out.getvalue() == b""


def test_several_characters_drawn_as_one_are_refused() -> None:
    """A ligature in the object that is cut into: positions cannot be told, so nothing is written."""
    joined = (
        '<ofd:TextObject ID="9" Boundary="25 30 90 8" Font="1" Size="5"><ofd:CGTransform CodePosition="1" '
        'CodeCount="2" GlyphCount="1"><ofd:Glyphs>7</ofd:Glyphs></ofd:CGTransform>'
        '<ofd:TextCode X="0" Y="5" DeltaX="g 4 5">甲乙丙丁戊</ofd:TextCode></ofd:TextObject>'
    )
    raw = ofd_of(ofd_page(joined))
    with pytest.raises(NotRedactable):
        ofd.redact(Source(raw), cut(read(raw), "丁"), io.BytesIO(), Room())


def test_broken_packages_are_refused() -> None:
    """Cut off anywhere, or locked: a reason, no other error."""
    raw = ofd_of(ofd_page(text_object("正文里的字")))
    cuts = cut(read(raw), "里的")
    for end in range(0, len(raw), 97):
        with pytest.raises(Full):
            ofd.redact(Source(raw[:end]), cuts, io.BytesIO(), Room())
    locked = ofd_of(ofd_page(text_object("正文里的字")), parts={"Encryptions.xml": "<a/>"})
    with pytest.raises(Full):
        ofd.redact(Source(locked), cuts, io.BytesIO(), Room())


def font_of(letters: str) -> bytes:
    """Return a TrueType font that has these letters."""
    names = [".notdef", *(f"g{ord(letter)}" for letter in letters)]
    pen = TTGlyphPen(None)
    for corner in ((0, 0), (0, 500), (500, 500), (500, 0)):
        (pen.moveTo if corner == (0, 0) else pen.lineTo)(corner)
    pen.closePath()
    glyph = pen.glyph()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder(names)
    made.setupCharacterMap({ord(letter): f"g{ord(letter)}" for letter in letters})
    made.setupGlyf(dict.fromkeys(names, glyph))
    made.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "甲乙丙"})
    made.setupOS2()
    made.setupPost()
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_a_font_of_the_document_forgets_what_was_removed() -> None:
    """Its map and its outlines keep what the pages still show and not one letter more."""
    text = "甲乙丙丁"
    resources = (
        f'<ofd:Res xmlns:ofd="{OFD}" BaseLoc="Res"><ofd:Fonts><ofd:Font ID="1" FontName="乙">'
        "<ofd:FontFile>f.ttf</ofd:FontFile></ofd:Font></ofd:Fonts></ofd:Res>"
    )
    parts = {"Doc_0/PublicRes.xml": resources, "Doc_0/Res/f.ttf": font_of(text)}
    common = "<ofd:PublicRes>PublicRes.xml</ofd:PublicRes>"
    raw = ofd_of(ofd_page(text_object(text)), parts=parts, common=common)
    with zipfile.ZipFile(io.BytesIO(redacted(raw, cut(read(raw), "丙")))) as archive:
        font = TTFont(io.BytesIO(archive.read("Doc_0/Res/file0.ttf")))
    assert sorted(font.getBestCmap()) == sorted(map(ord, "甲乙丁"))
    outlines = [font["glyf"][name].numberOfContours for name in font.getGlyphOrder()]
    assert outlines == [1, 1, 1, 0, 1]


def test_real_files_are_redacted(shared: Any) -> None:
    """Files of other programs: a stretch of a line goes, everything else of the text stays."""
    done = 0
    for path in sorted((shared / "corpus/files/ofd").glob("*.ofd")):
        raw = path.read_bytes()
        document = read(raw)
        lines = [segment for segment in document.segments if segment.strip is not None and len(segment.text) > 5]
        if document.gaps or not lines:
            continue
        text = lines[len(lines) // 2].text[2:4]
        if any(name.endswith(".jb2") for name in zipfile.ZipFile(path).namelist()):
            continue  # a picture that is not written here
        copy = redacted(raw, cut(document, text), Mode.KEEP)
        again = read(copy)
        assert again.gaps == ()
        known = [segment.text for segment in again.segments]
        assert all(any(text not in line.text or line.text != other for other in known) for line in lines)
        kept = [line.text for line in lines if text not in line.text]
        assert not [line for line in kept if line not in known], path.name
        done += 1
    assert done >= 5
