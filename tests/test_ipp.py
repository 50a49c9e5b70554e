"""IPP as bytes: what is read is what was written, and nothing that anybody sends makes it hang."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlp import ipp
from dlp.ipp import Attribute, Group, Message, Op, Tag, Value, codec

PLAIN = [tag for tag in Tag if tag > 0x0F and tag not in (Tag.BEGIN, Tag.ENDED, Tag.MEMBER)]
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12)
plain = st.tuples(st.sampled_from(PLAIN), st.binary(max_size=40)).map(lambda both: Value(*both))
values = st.recursive(
    plain,
    lambda inner: st.builds(
        lambda members: Value(Tag.BEGIN, b"", tuple(members)),
        st.lists(st.builds(Attribute, names, st.lists(inner, min_size=1, max_size=3).map(tuple)), max_size=3),
    ),
    max_leaves=8,
)
attributes = st.builds(Attribute, names, st.lists(values, min_size=1, max_size=4).map(tuple))
groups = st.builds(
    Group, st.sampled_from([Tag.OPERATION, Tag.JOB, Tag.PRINTER]), st.lists(attributes, max_size=5).map(tuple)
)
messages = st.builds(
    Message,
    st.integers(-0x8000, 0x7FFF).map(lambda code: code & 0xFFFF),
    st.integers(-(2**31), 2**31 - 1),
    st.lists(groups, max_size=4).map(tuple),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
)


@given(messages, st.binary(max_size=30))
@settings(max_examples=150, deadline=None)
def test_what_is_read_is_what_was_written(message: Message, document: bytes) -> None:
    """Every kind of value, collections in collections, and the document behind the message."""
    assert codec.decode(codec.encode(message) + document) == (message, document)


@given(st.binary(max_size=400))
@settings(max_examples=250, deadline=None)
def test_any_bytes_are_a_message_or_none(raw: bytes) -> None:
    """Whatever comes, it is read or refused; nothing else is raised."""
    _read_or_refuse(raw)


@given(messages, st.data())
@settings(max_examples=150, deadline=None)
def test_a_broken_message_is_read_or_refused(message: Message, data: st.DataObject) -> None:
    """Bytes of a message changed, taken out or doubled."""
    raw = bytearray(codec.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["set", "cut", "double"])):
            case "set":
                raw[at] = data.draw(st.integers(0, 255))
            case "cut":
                del raw[at : at + data.draw(st.integers(1, 6))]
            case _:
                raw[at:at] = raw[at : at + 8]
        if not raw:
            break
    _read_or_refuse(bytes(raw))


@pytest.mark.long
@given(st.binary(max_size=5_000))
@settings(max_examples=20_000, deadline=None)
def test_any_bytes_are_a_message_or_none_at_length(raw: bytes) -> None:
    """The same for longer, behind a head that is right."""
    _read_or_refuse(struct.pack(">BBHi", 2, 0, Op.PRINT_JOB, 1) + raw)


HEAD = struct.pack(">BBHi", 2, 0, Op.PRINT_JOB, 1)


def value(tag: int, name: bytes, raw: bytes) -> bytes:
    """Return one value as bytes."""
    return struct.pack(">Bh", tag, len(name)) + name + struct.pack(">h", len(raw)) + raw


NESTED = b"".join(value(Tag.MEMBER, b"", b"m") + value(Tag.BEGIN, b"", b"") for _ in range(20))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "cut off"),
        (HEAD[:7], "cut off"),
        (HEAD, "cut off"),
        (HEAD + b"\x01", "cut off"),
        (HEAD + b"\x01" + value(Tag.TEXT, b"a", b"abc")[:-1], "cut off"),
        (HEAD + value(Tag.TEXT, b"a", b"abc") + b"\x03", "outside of a group"),
        (HEAD + b"\x00\x03", "outside of a group"),
        (HEAD + b"\x01" + value(Tag.TEXT, b"", b"abc") + b"\x03", "no name"),
        (HEAD + b"\x01" + struct.pack(">Bh", Tag.TEXT, -1) + b"\x03", "negative"),
        (HEAD + b"\x01" + value(Tag.TEXT, b"a", b"")[:-2] + b"\xff\xff\x03", "negative"),
        (HEAD + b"\x01" + value(Tag.ENDED, b"a", b"") + b"\x03", "did not begin"),
        (HEAD + b"\x01" + value(Tag.BEGIN, b"a", b"") + value(Tag.TEXT, b"", b"x") + b"\x03", "than members"),
        (HEAD + b"\x01" + value(Tag.BEGIN, b"a", b"") + b"\x03", "cut off"),
        (HEAD + b"\x01" + value(Tag.BEGIN, b"a", b"") + b"\x01\x00\x00\x00\x00\x03", "than members"),
        (HEAD + b"\x01" + value(Tag.BEGIN, b"a", b"") + value(Tag.MEMBER, b"x", b"m"), "name of its own"),
        (HEAD + b"\x01" + value(Tag.BEGIN, b"a", b"") + NESTED, "too deep"),
        (HEAD + b"\x01" + value(Tag.TEXT, b"a", b"x" * 32_000) * 40, "too large"),
        (HEAD + b"\x01" + value(Tag.NO_VALUE, b"a", b"") + value(Tag.NO_VALUE, b"", b"") * 30_000, "more values"),
    ],
)
def test_what_is_no_message_is_refused(raw: bytes, why: str) -> None:
    """Cut off, lengths that are none, values out of place, too large, too deep, endless: told in a clause."""
    with pytest.raises(codec.Malformed, match=why):
        codec.decode(raw)


def test_values_are_made_and_understood() -> None:
    """Numbers, words and flags as attributes, and back; text is cut between characters."""
    group = Group(
        Tag.JOB,
        (
            ipp.integers("copies", 3),
            ipp.integers("job-state", -1, tag=Tag.ENUM),
            ipp.flag("last-document", value=True),
            ipp.texts("job-name", Tag.NAME, "会议" * 600),
            ipp.texts("reasons", Tag.KEYWORD, "a", "b"),
            Attribute("said", (Value(Tag.NAME_IN_LANGUAGE, b"\x00\x02zh\x00\x06" + "合同".encode()),)),
        ),
    )
    assert (group.number("copies"), group.number("job-state"), group.number("none", 7)) == (3, -1, 7)
    assert group.flag("last-document")
    assert not group.flag("none")
    assert group.text("job-name") == "会议" * 170 + "会"
    assert group.texts("reasons") == ("a", "b")
    assert group.text("said") == "合同"
    assert ipp.without(group.attributes, frozenset({"copies", "said"})) == group.attributes[1:5]


def _read_or_refuse(raw: bytes) -> None:
    try:
        message, rest = codec.decode(raw)
    except codec.Malformed:
        return
    assert codec.decode(codec.encode(message))[0] == message
    assert raw.endswith(rest)
