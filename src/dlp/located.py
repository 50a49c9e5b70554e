"""Strict decoding of TOML that people write: every fault at once, each with its key and line.

msgspec stops at the first fault and knows no lines, so the value is walked field by field beside its type, and a small
scanner finds where each key stands.
"""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from dlp.errors import Problem
from dlp.model import Say

T = TypeVar("T")
Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_AT = re.compile(r"\(at (?:line (\d+)|end of document)")


def decode(text: str, kind: type[T], file: str) -> tuple[T | None, tuple[Problem, ...]]:
    """Return the value of TOML `text` as `kind`, or None and every fault in it."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        return None, (_syntax(str(err), text, file),)
    where = lines(text)
    walk = _Walk(file, where)
    walk.check(raw, kind, ())
    if not walk.faults:
        try:
            return convert(raw, kind), ()
        except msgspec.ValidationError as err:
            walk.add_error(err, ())
    return None, tuple(sorted(walk.faults, key=lambda p: p.line or 0))


def convert(raw: Any, kind: Any) -> Any:
    """Return plain TOML values as `kind`; msgspec.ValidationError at the first fault."""
    return msgspec.convert(raw, kind, dec_hook=_construct)


def lines(text: str) -> dict[Path, int]:
    """Return the line (from 1) at which each table and key of TOML `text` begins; text that parses is expected."""
    found: dict[Path, int] = {(): 1}
    counts: dict[Path, int] = {}
    table: Path = ()
    quote, depth = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not quote and depth == 0:
            if header := _HEADER.match(line):
                table = _table(_names(header[2]), counts, array=header[1] == "[[")
                for end in range(1, len(table) + 1):
                    found.setdefault(table[:end], number)
                continue
            if key := _KEY.match(line):
                path = table + _names(key[1])
                for end in range(len(table) + 1, len(path) + 1):
                    found.setdefault(path[:end], number)
                line = line[key.end() :]  # noqa: PLW2901  what is left is the value
        quote, depth = _open_at_end(line, quote, depth)
    return found


def line_of(where: dict[Path, int], path: Path) -> int | None:
    """Return the line of `path`, or of its nearest ancestor that has one."""
    for end in range(len(path), -1, -1):
        if path[:end] in where:
            return where[path[:end]]
    return None


def _names(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted))


def _table(names: Path, counts: dict[Path, int], *, array: bool) -> Path:
    """Return the path of a table header; arrays of tables get the number of their last element."""
    path: Path = ()
    for place, name in enumerate(names):
        path = (*path, name)
        if array and place == len(names) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _open_at_end(line: str, quote: str, depth: int) -> tuple[str, int]:
    """Tell whether a multi-line string or array is still open after `line`."""
    place = 0
    while place < len(line):
        if quote:
            end = line.find(quote, place)
            if end < 0:
                return (quote, depth) if len(quote) == 3 else ("", depth)
            if quote in ('"', '"""') and _escaped(line, end):
                place = end + 1
                continue
            place, quote = end + len(quote), ""
            continue
        char = line[place]
        if char == "#":
            break
        if char in "\"'":
            quote = char * 3 if line.startswith(char * 3, place) else char
            place += len(quote)
            continue
        depth += (char in "[{") - (char in "]}")
        place += 1
    return (quote if len(quote) == 3 else ""), depth


def _escaped(line: str, end: int) -> bool:
    return (len(line[:end]) - len(line[:end].rstrip("\\"))) % 2 == 1


def _syntax(message: str, text: str, file: str) -> Problem:
    at = _AT.search(message)
    line = int(at[1]) if at and at[1] else text.count("\n") + 1
    short = _AT.split(message)[0].strip()
    return Problem(file=file, line=line, key="TOML", say=Say(f"TOML 语法错误：{short}", f"TOML syntax: {short}"))


class _Walk:
    """Walks a value beside its type; each leaf is converted alone, so that one fault does not hide another."""

    def __init__(self, file: str, where: dict[Path, int]) -> None:
        self._file = file
        self._where = where
        self.faults: list[Problem] = []

    def check(self, value: Any, kind: Any, path: Path) -> None:
        """Check one value of any type."""
        shape = kind if isinstance(kind, msgspec.inspect.Type) else msgspec.inspect.type_info(kind)
        if isinstance(shape, msgspec.inspect.UnionType):
            shape = next((t for t in shape.types if not isinstance(t, msgspec.inspect.NoneType)), shape)
        if isinstance(shape, msgspec.inspect.StructType) and isinstance(value, dict):
            self._check_struct(value, shape, path)
        elif isinstance(shape, msgspec.inspect.VarTupleType | msgspec.inspect.ListType) and isinstance(value, list):
            for number, inner in enumerate(value):
                self.check(inner, shape.item_type, (*path, number))
        else:
            self._check_leaf(value, shape, path)

    def _check_struct(self, value: dict[str, Any], shape: msgspec.inspect.StructType, path: Path) -> None:
        fields = {field.encode_name: field for field in shape.fields}
        before = len(self.faults)
        for key, inner in value.items():
            if key in fields:
                self.check(inner, fields[key].type, (*path, key))
                continue
            advice = Say(f"可用：{'、'.join(fields)}", f"known keys: {', '.join(fields)}")
            self._add(Say("没有这个设置项", "there is no such key"), (*path, key), advice)
        for name, field in fields.items():
            if field.required and name not in value:
                self._add(Say(f"缺少 {name}", f"{name} is missing"), path)
        if len(self.faults) == before:
            try:
                convert(value, shape.cls)
            except msgspec.ValidationError as err:
                self.add_error(err, path)

    def _check_leaf(self, value: Any, shape: msgspec.inspect.Type, path: Path) -> None:
        wanted = _python_type(shape)
        if wanted is None:
            return  # the conversion of the whole struct looks at it
        try:
            convert(value, wanted)
        except msgspec.ValidationError as err:
            self.add_error(err, path)

    def add_error(self, err: msgspec.ValidationError, path: Path) -> None:
        """Turn msgspec's message into a located fault; its own `$.a.b` path goes behind ours."""
        text, _, inner = str(err).partition(" - at `")
        more = _names(inner.strip("`$").lstrip(".")) if inner else ()
        self._add(Say(f"值不合要求：{text}", text), (*path, *more))

    def _add(self, say: Say, path: Path, advice: Say | None = None) -> None:
        key = "".join(f"[{p + 1}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
        line = line_of(self._where, path)
        self.faults.append(Problem(file=self._file, line=line, key=key or "-", say=say, advice=advice))


def _construct(kind: type, value: Any) -> Any:
    """Build what msgspec does not know itself (paths) from a string."""
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return kind(value)


def _python_type(shape: msgspec.inspect.Type) -> Any:
    if isinstance(shape, msgspec.inspect.BoolType):
        return bool
    if isinstance(shape, msgspec.inspect.StrType):
        return str
    if isinstance(shape, msgspec.inspect.EnumType | msgspec.inspect.StructType | msgspec.inspect.CustomType):
        return shape.cls
    if isinstance(shape, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        bounds = {name: getattr(shape, name) for name in ("gt", "ge", "lt", "le") if getattr(shape, name) is not None}
        base = int if isinstance(shape, msgspec.inspect.IntType) else float
        return Annotated[base, msgspec.Meta(**bounds)] if bounds else base
    if isinstance(shape, msgspec.inspect.LiteralType):
        return Literal[shape.values]
    if isinstance(shape, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        return list[Any]
    return None
