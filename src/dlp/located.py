"""Strict decoding of TOML that people write: every fault at once, each with its key and line.

msgspec stops at the first fault and knows no lines, so the value is walked field by field beside its type, and a small
scanner finds where each key and each element stands.
"""

from __future__ import annotations

import bisect
import difflib
import math
import re
import tomllib
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import inspect

from dlp.errors import Problem
from dlp.model import Say

T = TypeVar("T")
Path = tuple[str | int, ...]

_AT = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)")
_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BASIC = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL = r"'[^'\n]*'"
_NAME = re.compile(rf"[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL}")
# A multi-line string may end in up to two quotes of its own before the three that close it.
_LONG = r'"""(?:\\.|[^\\])*?"""' + r'"{0,2}|' + r"'''.*?'''" + r"'{0,2}"
_SCALAR = re.compile(rf"{_LONG}|{_BASIC}|{_LITERAL}|[^,\]}}#\n\[{{\"'=]+", re.DOTALL)

_SYNTAX: tuple[tuple[str, str], ...] = (
    ("Invalid statement", "这一行不是合法的 TOML"),
    ("Invalid value", "值不合法（文本须加引号）"),
    ("Cannot overwrite a value", "同一个键写了两次"),
    ("Cannot declare", "同一个表写了两次"),
    ("Cannot mutate immutable namespace", "同一个表用了两种写法"),
    ("Expected '='", "键后缺少等号"),
    ("Expected newline", "一行只能写一项"),
    ("Expected ']", "表名的方括号没有闭合"),
    ("Unclosed array", "数组的方括号没有闭合，或缺少逗号"),
    ("Unclosed inline table", "花括号没有闭合，或缺少逗号"),
    ("Unterminated string", "引号没有闭合"),
    ("Illegal character", "有不允许的字符，或引号没有闭合"),
    ("Unescaped '\\'", "反斜杠须写成两个，或改用单引号"),
)


def decode(text: str, kind: type[T], file: str) -> tuple[T | None, tuple[Problem, ...]]:
    """Return the value of TOML `text` as `kind`, or None and every fault in it, sorted by line."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        return None, (_syntax(str(err), text, file),)
    except RecursionError:
        say = Say("TOML 嵌套过深，无法读取", "the TOML is nested too deeply to be read")
        return None, (Problem(file=file, line=None, key="TOML", say=say),)
    walk = _Walk(file, lines(text))
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


@lru_cache(maxsize=64)
def lines(text: str) -> dict[Path, int]:
    """Return the line (from 1) at which each table, key and array element of TOML `text` begins.

    Of text that does not parse, everything up to about the fault is returned.
    """
    scan = _Scan(text)
    try:
        scan.read()
    except (_Lost, RecursionError):
        return scan.found
    return scan.found


def line_of(where: dict[Path, int], path: Path) -> int | None:
    """Return the line of `path`, or of its nearest ancestor that has one."""
    for end in range(len(path), -1, -1):
        if path[:end] in where:
            return where[path[:end]]
    return None


def dotted(path: Path) -> str:
    """Return a key path as people write it, elements counted from 1: `folders[2].watch`."""
    return "".join(f"[{p + 1}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "-"


class _Lost(Exception):  # noqa: N818  it never leaves this module
    """The scanner met what is no TOML."""


class _Scan:
    """Walks the text once and notes where things begin; values themselves are tomllib's business."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [m.start() for m in re.finditer("\n", text)]  # TOML knows no other line end
        self._counts: dict[Path, int] = {}
        self.found: dict[Path, int] = {(): 1}

    def read(self) -> None:
        """Read every statement."""
        table: Path = ()
        while self._peek(_SPACE):
            table = self._header() if self._peek() == "[" else self._pair(table)

    def _peek(self, skip: re.Pattern[str] = _BLANK) -> str:
        """Skip blanks (with `_SPACE` also breaks and comments); return the next character, empty at the end."""
        found = skip.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, mark: str) -> None:
        if self._peek(_SPACE) != mark:
            raise _Lost
        self._at += 1

    def _line(self) -> int:
        return bisect.bisect_left(self._breaks, self._at) + 1

    def _header(self) -> Path:
        number = self._line()
        array = self._text.startswith("[[", self._at)
        self._at += 1 + array
        path: Path = ()
        names = self._key()
        for place, name in enumerate(names, 1):
            path = (*path, name)
            self.found.setdefault(path, number)
            if array and place == len(names):
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
        self.found[path] = number
        for _ in range(1 + array):
            self._take("]")
        return path

    def _pair(self, table: Path) -> Path:
        number = self._line()
        path = table
        for name in self._key():
            path = (*path, name)
            self.found.setdefault(path, number)
        self._take("=")
        self._value(path)
        return table

    def _key(self) -> list[str]:
        names = []
        while True:
            self._peek()
            found = _NAME.match(self._text, self._at)
            if not found:
                raise _Lost
            self._at = found.end()
            names.append(_unquoted(found[0]))
            if self._peek() != ".":
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        opening = self._peek()
        if opening in ("[", "{"):
            self._at += 1
            self._inside(path, "]" if opening == "[" else "}")
            return
        found = _SCALAR.match(self._text, self._at)
        if not found:
            raise _Lost
        self._at = found.end()

    def _inside(self, path: Path, closing: str) -> None:
        """Read the elements of an array or the pairs of an inline table up to its closing bracket."""
        number = 0
        while self._peek(_SPACE) != closing:
            if closing == "]":
                self.found[(*path, number)] = self._line()
                self._value((*path, number))
            else:
                self._pair(path)
            number += 1
            if self._peek(_SPACE) == ",":
                self._at += 1
            elif self._peek() != closing:
                raise _Lost
        self._at += 1


def _unquoted(name: str) -> str:
    if name[0] == "'":
        return name[1:-1]
    if name[0] != '"':
        return name
    try:
        return str(tomllib.loads(f"k = {name}")["k"])
    except tomllib.TOMLDecodeError as err:
        raise _Lost from err


def _syntax(message: str, text: str, file: str) -> Problem:
    at = _AT.search(message)
    line, column = (int(at[1]), at[2]) if at and at[1] else (text.rstrip().count("\n") + 1, "")
    short = _AT.sub("", message).strip()
    zh = next((words for start, words in _SYNTAX if short.startswith(start)), short)
    place = Say(f"（第 {column} 列）" if column else "", f" (column {column})" if column else "")
    say = Say(f"TOML 语法错误：{zh}{place.zh}", f"TOML syntax: {short}{place.en}")
    return Problem(file=file, line=line, key="TOML", say=say)


class _Walk:
    """Walks a value beside its type; each leaf is converted alone, so that one fault does not hide another."""

    def __init__(self, file: str, where: dict[Path, int]) -> None:
        self._file = file
        self._where = where
        self.faults: list[Problem] = []

    def check(self, value: Any, kind: Any, path: Path) -> None:
        """Check one value of any type."""
        shape = _member(kind if isinstance(kind, inspect.Type) else inspect.type_info(kind), value)
        if isinstance(shape, inspect.StructType) and isinstance(value, dict):
            self._check_struct(value, shape, path)
        elif isinstance(shape, inspect.DictType) and isinstance(value, dict):
            for key, inner in value.items():
                self.check(inner, shape.value_type, (*path, key))
        elif isinstance(shape, inspect.VarTupleType | inspect.ListType) and isinstance(value, list):
            for number, inner in enumerate(value):
                self.check(inner, shape.item_type, (*path, number))
        else:
            self._check_leaf(value, shape, path)

    def _check_struct(self, value: dict[str, Any], shape: inspect.StructType, path: Path) -> None:
        fields = {field.encode_name: field for field in shape.fields}
        before = len(self.faults)
        for key, inner in value.items():
            if key in fields:
                self.check(inner, fields[key].type, (*path, key))
            else:
                self._add(Say("没有这个设置项", "there is no such key"), (*path, key), _nearest(key, list(fields)))
        for name, field in fields.items():
            if field.required and name not in value:
                self._add(Say(f"缺少 {name}", f"{name} is missing"), path)
        if len(self.faults) == before:
            try:
                convert(value, shape.cls)
            except msgspec.ValidationError as err:
                self.add_error(err, path, tuple(fields))

    def _check_leaf(self, value: Any, shape: inspect.Type, path: Path) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            # TOML writes inf and nan; a limit without end is no limit.
            self._add(Say("应为有限的数字", "must be a finite number"), path)
            return
        try:
            convert(value, _python_type(shape))
        except msgspec.ValidationError as err:
            words = _wanted(shape)
            if words is None:
                self.add_error(err, path)
                return
            got = _got(value)
            self._add(Say(f"应为{words.zh}，现为{got.zh}", f"must be {words.en}, is {got.en}"), path)

    def add_error(self, err: msgspec.ValidationError, path: Path, fields: tuple[str, ...] = ()) -> None:
        """Add what a whole value says of itself; a message that begins with a field's name speaks of that field."""
        text = str(err).partition(" - at `")[0]
        first = text.split(" ", 1)[0]
        self._add(Say(f"值不合要求：{text}", text), (*path, first) if first in fields else path)

    def _add(self, say: Say, path: Path, advice: Say | None = None) -> None:
        line = line_of(self._where, path)
        self.faults.append(Problem(file=self._file, line=line, key=dotted(path), say=say, advice=advice))


def _nearest(key: str, known: list[str]) -> Say:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return Say(f"是否想写 {close[0]}", f"did you mean {close[0]}?")
    return Say(f"可用：{'、'.join(known)}", f"known keys: {', '.join(known)}")


def _construct(kind: type, value: Any) -> Any:
    """Build what msgspec does not know itself (paths) from text that is not empty and holds no NUL."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("not a path")
    return kind(value)


_FITS: dict[type, tuple[type[inspect.Type], ...]] = {
    dict: (inspect.StructType, inspect.DictType),
    list: (inspect.VarTupleType, inspect.ListType),
    bool: (inspect.BoolType,),
    int: (inspect.IntType, inspect.FloatType),
    float: (inspect.FloatType,),
    str: (inspect.StrType, inspect.EnumType, inspect.LiteralType, inspect.CustomType),
}


def _member(shape: inspect.Type, value: Any) -> inspect.Type:
    """Return the member of a union that a value of this kind is meant for; any other type is returned as it is."""
    if not isinstance(shape, inspect.UnionType):
        return shape
    members = [t for t in shape.types if not isinstance(t, inspect.NoneType)]
    fitting = [t for t in members if isinstance(t, _FITS.get(type(value), ()))]
    if fitting:
        return fitting[0]
    return members[0] if len(members) == 1 else inspect.UnionType(tuple(members))


def _python_type(shape: inspect.Type) -> Any:
    """Return the type that one leaf is converted to; Any for what only the whole struct can judge."""
    if isinstance(shape, inspect.BoolType):
        return bool
    if isinstance(shape, inspect.StrType):
        limits = {name: getattr(shape, name) for name in ("min_length", "max_length", "pattern")}
        limits = {name: value for name, value in limits.items() if value is not None}
        return Annotated[str, msgspec.Meta(**limits)] if limits else str
    if isinstance(shape, inspect.EnumType | inspect.StructType | inspect.CustomType):
        return shape.cls
    if isinstance(shape, inspect.IntType | inspect.FloatType):
        base = int if isinstance(shape, inspect.IntType) else float
        bounds = _bounds(shape)
        return Annotated[base, msgspec.Meta(**bounds)] if bounds else base
    if isinstance(shape, inspect.LiteralType):
        return Literal[shape.values]
    if isinstance(shape, inspect.VarTupleType | inspect.ListType):
        return list[Any]
    if isinstance(shape, inspect.DictType):
        return dict[str, Any]
    if isinstance(shape, inspect.UnionType):
        union = _python_type(shape.types[0])
        for member in shape.types[1:]:
            union |= _python_type(member)
        return union
    return Any


def _bounds(shape: inspect.IntType | inspect.FloatType) -> dict[str, Any]:
    return {name: getattr(shape, name) for name in ("gt", "ge", "lt", "le") if getattr(shape, name) is not None}


def _wanted(shape: inspect.Type) -> Say | None:
    """Return what a value of this type must be; None where only the type's own message can say it."""
    if isinstance(shape, inspect.IntType | inspect.FloatType):
        signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
        tail = "".join(f" {signs[name]} {bound:g}" for name, bound in _bounds(shape).items())
        whole = isinstance(shape, inspect.IntType)
        return Say(("整数" if whole else "数字") + tail, ("a whole number" if whole else "a number") + tail)
    if isinstance(shape, inspect.StrType) and (shape.pattern or shape.max_length or shape.min_length):
        size = f"{shape.min_length or 0}–{shape.max_length or '∞'}"
        form = (
            Say(f"，符合 {shape.pattern}", f" that fits {shape.pattern}")
            if shape.pattern
            else Say(f"，{size} 个字符", f" of {size} characters")
        )
        return Say(f"文本{form.zh}", f"text{form.en}")
    if isinstance(shape, inspect.EnumType | inspect.LiteralType):
        values = [str(m.value) for m in _members(shape)] if isinstance(shape, inspect.EnumType) else shape.values
        names = [str(v) for v in values]
        return Say(f" {'、'.join(names)} 之一", f"one of {', '.join(names)}")
    if isinstance(shape, inspect.UnionType):
        each = [w for w in map(_wanted, shape.types) if w is not None]
        return Say("或".join(w.zh for w in each), " or ".join(w.en for w in each))
    return next((say for kind, say in _WORDS if isinstance(shape, kind)), None)


def _members(shape: inspect.EnumType) -> list[Enum]:
    return list(shape.cls)


_WORDS: tuple[tuple[type[inspect.Type], Say], ...] = (
    (inspect.BoolType, Say(" true 或 false", "true or false")),
    (inspect.StrType, Say("文本（加引号）", "text (in quotes)")),
    (inspect.CustomType, Say("路径文本（不能为空）", "a path (not empty)")),
    (inspect.VarTupleType, Say("数组 […]", "an array [...]")),
    (inspect.ListType, Say("数组 […]", "an array [...]")),
    (inspect.StructType, Say("表", "a table")),
    (inspect.DictType, Say("表", "a table")),
)


def _got(value: Any) -> Say:
    """Return what stands there instead; long text is not repeated."""
    if isinstance(value, bool):
        return Say(f" {str(value).lower()}", str(value).lower())
    if isinstance(value, int | float):
        return Say(f" {value}", str(value))
    if isinstance(value, str):
        return Say(f"文本“{value}”", f'text "{value}"') if len(value) <= 30 else Say("一段文本", "text")
    if isinstance(value, list):
        return Say("数组", "an array")
    return Say("表", "a table") if isinstance(value, dict) else Say("日期或时间", "a date or time")
