"""Frames: what goes in comes out, and nothing else is ever taken for a result."""

from __future__ import annotations

import array

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp import orders, wire
from dlp.limits import FRAME_BYTES, Limits
from dlp.model import Box, Coverage, Cut, Document, Gap, GapKind, Removed, Segment, Slice, Strip, Table, Zone
from dlp.wire import End, Fault, Head, Intake, Outlet, Rows, Tag, WireError

LIMITS = Limits()


def frames(document: Document) -> bytes:
    """Return the frames of a document as one run of bytes."""
    out = bytearray()
    Outlet(out.extend).send(document)
    return bytes(out)


def frame(tag: bytes, value: object) -> bytes:
    """Return one frame."""
    payload = value if isinstance(value, bytes) else wire.pack(value)
    return wire.HEADER.pack(len(payload), tag) + payload


def take(data: bytes, limits: Limits = LIMITS, step: int = 1 << 16) -> Document:
    """Return the document that these bytes are, fed in steps."""
    intake = Intake(limits)
    for at in range(0, len(data), step):
        intake.feed(data[at : at + step])
    return intake.document()


def fault(data: bytes, limits: Limits = LIMITS) -> Fault:
    """Return what is wrong with these bytes."""
    with pytest.raises(WireError) as caught:
        take(data, limits)
    return caught.value.fault


def edges(text: str) -> bytes:
    """Return edges for each character of `text`."""
    return array.array("f", [float(i) for i in range(2 * len(text))]).tobytes()


texts = st.text(max_size=40)
parts = st.lists(texts, max_size=3).map(tuple)
strips = st.builds(
    Strip,
    page=st.integers(1, 9),
    x0=st.floats(0, 9),
    y0=st.floats(0, 9),
    x1=st.floats(0, 9),
    y1=st.floats(0, 9),
    edges=st.just(b""),
    vertical=st.booleans(),
    face=texts,
)
segments = st.builds(
    lambda text, part, anchor, strip, zone, soft: Segment(
        text=text,
        part=part,
        anchor=anchor,
        zone=zone,
        soft=soft,
        strip=strip and msgspec.structs.replace(strip, edges=edges(text)),
    ),
    texts,
    parts,
    texts,
    st.none() | strips,
    st.sampled_from(Zone),
    st.booleans(),
)
details = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
gaps = st.builds(Gap, kind=st.sampled_from(GapKind), part=parts, detail=details, page=st.none() | st.integers(1, 9))
pages = st.builds(Coverage, page=st.integers(1, 9), how=st.sampled_from(["text", "ocr", "blank", "unread"]), part=parts)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Draw a document whose tables name cells that exist."""
    lines = draw(st.lists(segments, max_size=8).map(tuple))
    cells = st.sampled_from([Slice(n, 0, len(s.text)) for n, s in enumerate(lines)] or [None])
    rows = st.lists(st.lists(cells, max_size=4 if lines else 0).map(tuple), max_size=4).map(tuple)
    return Document(
        media=draw(st.sampled_from(["", "text/plain", "application/vnd.openxmlformats-officedocument.x+xml"])),
        segments=lines,
        tables=draw(st.lists(st.builds(Table, part=parts, rows=rows), max_size=3).map(tuple)),
        gaps=draw(st.lists(gaps, max_size=3).map(tuple)),
        pages=draw(st.none() | st.integers(0, 5000)),
        coverage=draw(st.lists(pages, max_size=3).map(tuple)),
    )


@settings(max_examples=200, deadline=None)
@given(documents(), st.integers(1, 400))
def test_round_trip(document: Document, step: int) -> None:
    """A document comes out as it went in, however its bytes are cut on the way."""
    assert take(frames(document), step=step) == document


@settings(max_examples=100, deadline=None)
@given(documents(), st.data())
def test_no_part_of_a_result_is_a_result(document: Document, data: st.DataObject) -> None:
    """Cut off anywhere, a result is short: never a document with less in it."""
    whole = frames(document)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert fault(whole[:cut]) is Fault.SHORT


@settings(max_examples=300, deadline=None)
@given(documents(), st.data())
def test_changed_bytes_never_break_the_parent(document: Document, data: st.DataObject) -> None:
    """A flipped, dropped or inserted byte ends as a document or a WireError, never as another exception."""
    raw = bytearray(frames(document))
    at = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "drop", "insert"]))
    if how == "flip":
        raw[at] ^= data.draw(st.integers(1, 255))
    elif how == "drop":
        del raw[at]
    else:
        raw.insert(at, data.draw(st.integers(0, 255)))
    try:
        take(bytes(raw))
    except WireError:
        return


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_never_a_result(noise: bytes) -> None:
    """Random bytes are a WireError."""
    with pytest.raises(WireError):
        take(noise)


def test_large_values_travel_in_pieces() -> None:
    """A text of millions of characters, its edges, and a table of 200,000 cells stay under the frame limit."""
    text = "长文本𠀀x" * 400_000
    strip = Strip(page=1, x0=0, y0=0, x1=1, y1=1, edges=edges(text))
    rows = tuple((Slice(0, n, n + 1), Slice(1, 0, 1)) for n in range(100_000))
    document = Document(
        media="text/plain",
        segments=(Segment(text="before"), Segment(text=text, strip=strip), Segment(text=text), Segment(text="after")),
        tables=(Table(rows=rows[:10]), Table(rows=rows, part=("a",)), Table(rows=rows[:10])),
    )
    short = msgspec.structs.replace(
        document, segments=(Segment(text="x" * 100_001), *document.segments[1:]), tables=document.tables
    )
    whole = frames(short)
    assert take(whole, step=FRAME_BYTES) == short
    at = 0
    while at < len(whole):
        size, _ = wire.HEADER.unpack_from(whole, at)
        assert size <= FRAME_BYTES
        at += wire.HEADER.size + size


def test_a_name_above_a_frame_is_refused_by_the_sender() -> None:
    """What cannot be cut (an anchor of two megabytes) is a WireError in the child, not a broken stream."""
    with pytest.raises(WireError) as caught:
        frames(Document(media="", segments=(Segment(text="", anchor="a" * (2 << 20)),)))
    assert caught.value.fault is Fault.BIG_FRAME


HEAD = frame(Tag.HEAD, Head(media="text/plain"))
LINE = frame(Tag.SEGMENTS, (Segment(text="a"),))


def end(frames_: int, **counts: int) -> bytes:
    """Return an end mark."""
    return frame(Tag.END, End(frames=frames_, **counts))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Fault.SHORT),
        (HEAD, Fault.SHORT),
        (HEAD + LINE, Fault.SHORT),
        (HEAD + end(1)[:-1], Fault.SHORT),
        (HEAD + end(1) + b"\0", Fault.EXTRA),
        (HEAD + end(1) + HEAD + end(1), Fault.EXTRA),
        (HEAD + end(2), Fault.MALFORMED),
        (HEAD + LINE + end(2), Fault.MALFORMED),
        (HEAD + LINE + end(2, segments=2), Fault.MALFORMED),
        (LINE + HEAD, Fault.MALFORMED),
        (HEAD + HEAD, Fault.MALFORMED),
        (end(0), Fault.MALFORMED),
        (HEAD + frame(b"?", b""), Fault.MALFORMED),
        (HEAD + frame(Tag.SEGMENTS, b"\xc1"), Fault.MALFORMED),
        (HEAD + frame(Tag.SEGMENTS, ({"text": 1},)), Fault.MALFORMED),
        (HEAD + frame(Tag.SEGMENTS, ({"text": "a", "zone": "elsewhere"},)), Fault.MALFORMED),
        (HEAD + frame(Tag.SEGMENTS, b"\x91\x81\xa4text\xa1\xff"), Fault.MALFORMED),
        (HEAD + frame(Tag.SEGMENTS, b"\x91" * 100_000), Fault.MALFORMED),
        (HEAD + frame(Tag.SEGMENTS, (Segment(text="", part=("x",) * 65),)), Fault.MALFORMED),
        (HEAD + frame(Tag.SEGMENTS, (Segment(text="", part=("x" * 4097,)),)), Fault.MALFORMED),
        (HEAD + frame(Tag.TEXT, b"\xc4\x01a") + end(2), Fault.MALFORMED),
        (HEAD + frame(Tag.TEXT, b"\xc4\x01a") + LINE, Fault.MALFORMED),
        (HEAD + frame(Tag.TEXT, b"\xc4\x01\xff") + frame(Tag.SEGMENTS, (Segment(text=""),)), Fault.MALFORMED),
        (HEAD + frame(Tag.EDGES, b"\xc4\x01a") + frame(Tag.SEGMENTS, (Segment(text=""),)), Fault.MALFORMED),
        (HEAD + frame(Tag.TABLES, (Rows(table=Table(), more=True),)) + end(2, tables=1), Fault.MALFORMED),
        (HEAD + frame(Tag.COVERAGE, (Coverage(page=1, how="magic"),)), Fault.MALFORMED),
        (frame(Tag.HEAD, Head(media="no type")), Fault.MALFORMED),
        (frame(Tag.HEAD, Head(media="a/b", pages=-1)), Fault.MALFORMED),
        (frame(Tag.DONE, wire.Done(size=1)) + end(1), Fault.MALFORMED),
        (b"\xff\xff\xff\xffH", Fault.BIG_FRAME),
        ((FRAME_BYTES + 1).to_bytes(4, "big") + b"H", Fault.BIG_FRAME),
    ],
)
def test_what_is_refused(data: bytes, expected: Fault) -> None:
    """Each way in which a stream can be wrong has its fault."""
    assert fault(data) is expected


@pytest.mark.parametrize(
    "table",
    [
        Table(rows=((Slice(1, 0, 0),),)),
        Table(rows=((Slice(-1, 0, 0),),)),
        Table(rows=((Slice(0, 0, 2),),)),
        Table(rows=((Slice(0, 1, 0),),)),
        Table(rows=((Slice(0, -1, 1),),)),
    ],
)
def test_cells_must_exist(table: Table) -> None:
    """A cell outside its segment is malformed."""
    assert fault(frames(Document(media="", segments=(Segment(text="a"),), tables=(table,)))) is Fault.MALFORMED


@pytest.mark.parametrize(
    "strip",
    [
        Strip(page=1, x0=0, y0=0, x1=0, y1=0, edges=bytes(8)),
        Strip(page=0, x0=0, y0=0, x1=0, y1=0, edges=b""),
        Strip(page=1, x0=float("nan"), y0=0, x1=0, y1=0, edges=b""),
        Strip(page=1, x0=0, y0=0, x1=float("inf"), y1=0, edges=b""),
        Strip(page=1, x0=0, y0=0, x1=0, y1=0, edges=array.array("f", [0, 1, 2, float("nan")]).tobytes()),
    ],
)
def test_strips_must_fit(strip: Strip) -> None:
    """A strip has two edges for each character or none, lies on a page, and has finite places."""
    assert fault(frames(Document(media="", segments=(Segment(text="ab", strip=strip),)))) is Fault.MALFORMED


def test_totals_are_held_while_it_runs() -> None:
    """Bytes, characters, segments and cells above the limits are a flood before the end is reached."""
    three = (Segment(text="abc"),) * 3
    many = Document(media="", segments=three, tables=(Table(rows=((Slice(0, 0, 1),) * 5,)),))
    data = frames(many)
    for limits in (Limits(result_bytes=40), Limits(text_chars=8), Limits(segments=2), Limits(cells=5)):
        assert fault(data, limits) is Fault.FLOOD
    assert take(data, Limits(text_chars=9, segments=3, cells=8)) == many


def test_a_clause_is_made_plain() -> None:
    """The clause of a gap comes out short and in plain ASCII, whatever a child put into it."""
    untrusted = Document(media="", gaps=(Gap(kind=GapKind.CORRUPT, detail="x\n\x1b[31m密码" + "y" * 999),))
    (gap,) = take(frames(untrusted)).gaps
    assert gap.detail == ("x??[31m??" + "y" * 999)[:200]


def test_outcome_of_a_redaction() -> None:
    """A redaction ends with what was written or with the gap that stopped it, never with both."""
    out = bytearray()
    Outlet(out.extend).done(wire.Done(size=5, removed=(Removed(type="mobile", count=2),)))
    intake = Intake(LIMITS)
    intake.feed(bytes(out))
    assert intake.outcome() == wire.Done(size=5, removed=(Removed(type="mobile", count=2),))
    gap = Gap(kind=GapKind.UNSUPPORTED, detail="no")
    intake = Intake(LIMITS)
    intake.feed(frames(Document(media="", gaps=(gap,))))
    assert intake.outcome() == gap
    for wrong in (HEAD + end(1), HEAD + LINE + end(2, segments=1)):
        intake = Intake(LIMITS)
        intake.feed(wrong)
        with pytest.raises(WireError):
            intake.outcome()


def test_messages_round_trip() -> None:
    """Setup, commands, reports and tasks come out as they went in; one is never taken for another."""
    box = Box(1, 0.0, 0.0, 1.0, 1.0)
    cut = Cut(part=("a",), anchor="x", start=0, end=1, label="█", type="t", boxes=(box,))
    setup = orders.Setup(level="full", limits=Limits(pages=7), uid=65534, gid=65534)
    task = orders.Task(what="redact", name="n", size=1, media="text/plain", cuts=(cut,))
    assert orders.read_setup(wire.pack(setup)) == setup
    assert orders.read_task(wire.pack(task)) == task
    for command in (orders.Order(id=1), orders.Kill(id=1)):
        assert orders.read_command(wire.pack(command)) == command
    for report in (orders.Ready(pid=1, seconds=0.5), orders.Refusal(what="a"), orders.Exit(id=1, signal=9)):
        assert orders.read_report(wire.pack(report)) == report
    for read, message in ((orders.read_command, orders.Exit(id=1)), (orders.read_report, orders.Kill(id=1))):
        with pytest.raises(WireError):
            read(wire.pack(message))


def test_lone_surrogates_become_one_character_each() -> None:
    """Text without UTF-8 bytes crosses as U+FFFD, one for one; edges and other fields stay as they were."""
    text = "a\ud800b"
    strip = Strip(page=1, x0=0, y0=0, x1=1, y1=1, edges=edges(text))
    (segment,) = take(frames(Document(media="", segments=(Segment(text=text, strip=strip, anchor="k"),)))).segments
    assert segment == Segment(text="a\ufffdb", strip=strip, anchor="k")
    long = Segment(text=text * 300_000)
    assert take(frames(Document(media="", segments=(long,)))).segments[0].text == "a\ufffdb" * 300_000


def test_limits_refuse_zero() -> None:
    """A limit of nothing, or an unknown one, is not a limit."""
    for wrong in ({"pages": 0}, {"wall_seconds": 0}, {"memory_bytes": -1}, {"no_such_limit": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Limits)
