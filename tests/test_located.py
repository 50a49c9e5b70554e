"""TOML that people write: every fault at once, each with its key and the line it stands on."""

from __future__ import annotations

import tomllib
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from dlp import located
from dlp.model import Frozen


class Colour(Enum):
    """An enum as a setting."""

    RED = "red"
    BLUE = "blue"


class Part(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of an array."""

    name: str
    size: Annotated[int, Meta(ge=1, le=9)] = 1
    places: tuple[Path, ...] = ()


class Limits(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A struct that judges itself."""

    low: int = 0
    high: float = 9.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


class Whole(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document with every kind of field."""

    colour: Colour = Colour.RED
    on: bool = True
    note: str | None = None
    part: tuple[Part, ...] = ()
    limits: Limits = Limits()
    words: dict[str, int] = msgspec.field(default_factory=dict)


def faults(text: str) -> list[tuple[int | None, str]]:
    """Return line and key of every fault."""
    value, problems = located.decode(text, Whole, "x.toml")
    assert (value is None) == bool(problems)
    assert all(p.file == "x.toml" and p.say.zh and p.say.en for p in problems)
    return [(p.line, p.key) for p in problems]


TREE = '''# a comment with [brackets] and key = "value"
top = 1
a.b.c = 2      # dotted key
"quoted.key" = 3

[table]
one = """
not = a key
[nor.a.table]
"""
two = 4
three = \'\'\'
also = not a key'\'\'\'
[table.inner]
x = { y = 5, z = { w = [6, 7] } }

[[row]]
n = 1
  [row.sub]
  deep = true
[[row]]
n = 2
many = [
  "a",  # first
  # nothing here

  "b]", "c",
  { k = 1 },
]
[[row.leaf]]
[[row.leaf]]
v = 1979-05-27T07:32:00Z
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a", "b", "c"), 3),
        (("a", "b"), 3),
        (("quoted.key",), 4),
        (("table",), 6),
        (("table", "one"), 7),
        (("table", "two"), 11),
        (("table", "three"), 12),
        (("table", "inner"), 14),
        (("table", "inner", "x", "y"), 15),
        (("table", "inner", "x", "z", "w", 1), 15),
        (("row", 0), 17),
        (("row", 0, "sub", "deep"), 20),
        (("row", 1), 21),
        (("row", 1, "n"), 22),
        (("row", 1, "many"), 23),
        (("row", 1, "many", 0), 24),
        (("row", 1, "many", 1), 27),
        (("row", 1, "many", 2), 27),
        (("row", 1, "many", 3, "k"), 28),
        (("row", 1, "leaf", 0), 30),
        (("row", 1, "leaf", 1, "v"), 32),
    ],
)
def test_every_key_is_found_on_its_line(path: located.Path, line: int) -> None:
    """Dotted keys, tables, arrays of tables, inline tables and long arrays; text inside strings is no key."""
    tomllib.loads(TREE)
    assert located.lines(TREE)[path] == line


def test_nothing_is_found_that_is_not_there() -> None:
    """What stands in strings and comments is not taken for a key."""
    known = located.lines(TREE)
    assert not {("not",), ("nor",), ("also",), ("table", "not"), ("table", "also"), ("key",)} & known.keys()


def test_windows_line_ends_count_once() -> None:
    """A file from a Windows editor has the same line numbers."""
    assert located.lines(TREE.replace("\n", "\r\n")) == located.lines(TREE)


def test_an_odd_line_separator_in_a_value_is_no_new_line() -> None:
    """Only a line feed ends a line of TOML; an editor counts U+2028 and U+0085 no line either."""
    assert located.lines('a = "x\u2028\u0085y"\nb = 1\n')[("b",)] == 2


def test_a_path_without_a_line_has_that_of_its_table() -> None:
    """A missing key is told at the table that lacks it, an unknown one at the top of the file."""
    where = located.lines("[a]\n[a.b]\nc = 1\n")
    assert located.line_of(where, ("a", "b", "gone", 3)) == 2
    assert located.line_of(where, ("z",)) == 1


LEAVES = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.sampled_from(['"a"', "'#]'", '"""\nk = 1\n"""', "'''\n[x]'''", "[\n1,\n]", "{}"]),
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), LEAVES, max_size=8))
def test_each_line_begins_with_its_key(values: dict[str, Any]) -> None:
    """Whatever the values, the line that is told is the line on which the key is written."""
    text = "".join(f"{k} = {str(v).lower() if isinstance(v, bool) else v}\n" for k, v in values.items())
    rows = text.split("\n")
    where = located.lines(text)
    assert {p[0] for p in where if p} == set(values)
    for key in values:
        assert rows[where[(key,)] - 1].startswith(f"{key} = ")


def test_a_good_document_has_its_values() -> None:
    """Enums, unions, paths, nested tables and arrays come as their types."""
    text = 'colour = "blue"\nnote = "n"\nwords = { a = 1 }\n[[part]]\nname = "p"\nplaces = ["x"]\n[limits]\nhigh = 3\n'
    value, problems = located.decode(text, Whole, "x.toml")
    assert problems == ()
    assert value == Whole(
        colour=Colour.BLUE,
        note="n",
        words={"a": 1},
        part=(Part(name="p", places=(Path("x"),)),),
        limits=Limits(high=3.0),
    )


def test_every_fault_is_told_at_once_in_the_order_of_lines() -> None:
    """Wrong types, wrong values, unknown and missing keys, at any depth, in one go."""
    text = """colour = "green"
on = "yes"
unknown = 1
[[part]]
name = "ok"
size = 10
[[part]]
size = true
places = ["a", 3,
  ""]
[limits]
high = inf
hihg = 3
[words]
a = "one"
"""
    assert faults(text) == [
        (1, "colour"),
        (2, "on"),
        (3, "unknown"),
        (6, "part[1].size"),
        (7, "part[2]"),
        (8, "part[2].size"),
        (9, "part[2].places[2]"),
        (10, "part[2].places[3]"),
        (12, "limits.high"),
        (13, "limits.hihg"),
        (15, "words.a"),
    ]


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
    """A slip of the pen is answered with the key that was meant, otherwise with all of them."""
    _, (near,) = located.decode("[limits]\nhihg = 3\n", Whole, "x.toml")
    assert near.text("en") == "x.toml:2: limits.hihg: there is no such key (did you mean high?)"
    _, (far,) = located.decode("[limits]\nqqqq = 3\n", Whole, "x.toml")
    assert far.advice is not None
    assert "low, high" in far.advice.en


def test_what_is_wanted_and_what_stands_there_are_told() -> None:
    """The message names the values that would do; a long text is not repeated."""
    _, (enum,) = located.decode('colour = "green"', Whole, "x.toml")
    assert enum.say.en == 'must be one of red, blue, is text "green"'
    _, (size,) = located.decode('part = [{ name = "a", size = 10 }]', Whole, "x.toml")
    assert size.key == "part[1].size"
    assert "10" in size.say.en
    assert "9" in size.say.en
    _, (long,) = located.decode(f'on = "{"x" * 500}"', Whole, "x.toml")
    assert "xxx" not in long.say.en


def test_a_struct_that_judges_itself_is_told_at_its_field() -> None:
    """What `__post_init__` says is told at the field it begins with, and not when a field is wrong already."""
    assert faults("[limits]\nhigh = 1\nlow = 2\n") == [(3, "limits.low")]
    assert faults('[limits]\nhigh = "x"\nlow = 2\n') == [(2, "limits.high")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = \n", 2),
        ("a = 1\na = 2\n", 2),
        ("[t\n", 1),
        ('a = 1\nb = "open\n', 2),
        ("a = [1,\n2\n", 2),
        ("a = 1 b = 2\n", 1),
        ('a = "\\q"\n', 1),
        ("a = {\n", 1),
    ],
)
def test_a_syntax_error_is_told_with_its_line(text: str, line: int) -> None:
    """Text that is no TOML is one fault, at the line where it stops making sense."""
    value, problems = located.decode(text, Whole, "x.toml")
    assert value is None
    assert [(p.key, p.line) for p in problems] == [("TOML", line)]
    assert "语法" in problems[0].say.zh


def test_nesting_without_end_is_a_fault_and_no_crash() -> None:
    """Ten thousand open brackets end in a message."""
    value, problems = located.decode("a = " + "[" * 10_000 + "]" * 10_000, Whole, "x.toml")
    assert value is None
    assert [p.key for p in problems] == ["TOML"]


@given(st.text(alphabet="ab=[]{}\",'\n #.1\\", max_size=60))
def test_no_text_makes_the_line_finder_fail(text: str) -> None:
    """Of any text some lines are found, none of them beyond its end, and every fault has a message."""
    last = text.count("\n") + 1
    assert all(1 <= n <= last for n in located.lines(text).values())
    _, problems = located.decode(text, Whole, "x.toml")
    assert all(p.line is None or 1 <= p.line <= last for p in problems)


@given(st.text(alphabet="ab=[]{}\",'\n #.1\\", max_size=60))
def test_every_key_of_a_document_has_a_line(text: str) -> None:
    """Where the text is TOML, the line finder and the parser agree on which keys there are."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert _paths(raw, ()) <= located.lines(text).keys()


def _paths(value: Any, path: located.Path) -> set[located.Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(_paths(v, (*path, k)) for k, v in inner))
