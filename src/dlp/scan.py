"""Two hyperscan databases, of fixed words and of patterns; they read a text and say where hits may be.

Terms are bytes, found by their end. Patterns are framed by what may not touch them and found from their leftmost
beginning to each of their ends. Words are only asked whether they occur. hyperscan is an automaton: its time is
linear in the text whatever a pattern says. Apart the two are a quarter faster than as one: words alone run at 1,300
MB/s, and beside them the patterns lose a third of their pace.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from typing import NamedTuple

import hyperscan
import numpy as np
from numpy.typing import NDArray

_UTF8, _PREFILTER = hyperscan.HS_FLAG_UTF8, hyperscan.HS_FLAG_PREFILTER
_SPANS, _ONCE, _ANY_CASE = hyperscan.HS_FLAG_SOM_LEFTMOST, hyperscan.HS_FLAG_SINGLEMATCH, hyperscan.HS_FLAG_CASELESS

OUTSIDE: dict[str, tuple[str, frozenset[int]]] = {
    "alnum": ("[^0-9A-Za-z]", frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    "digits": ("[^0-9]", frozenset(b"0123456789")),
    "letters": ("[^A-Za-z]", frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    "none": ("", frozenset()),
}
"""What must stand on both sides of a hit, as a class, and the bytes that must not."""

_BEHIND_LABEL = r"[ (:|\t]"  # what can stand behind a label; whether it is one is looked at later
_LONG_REPEAT = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|\{([0-9]+),([0-9]+)\}", re.DOTALL)
_LONG = 32
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]|[()|]", re.DOTALL)
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+\)|\\Q")
_NOTHING = rb"\xff\xfe\xff\xfe"  # stands in no UTF-8: what a database without expressions looks for


class Expression(NamedTuple):
    """A pattern as the database takes it."""

    pattern: str
    edges: str


def as_label(word: str) -> str:
    """Return how `Raw.present` says that a word occurs as a label, before a colon or the border of a cell."""
    return f"{word}:"


class Refused(Exception):  # noqa: N818  it never leaves the scanner
    """hyperscan does not take pattern number `args[0]`; `args[1]` is its reason."""


class _Built(NamedTuple):
    """One expression as hyperscan takes it; several may have the number of one pattern."""

    number: int
    expression: bytes
    flags: int


class Raw(NamedTuple):
    """What one reading found, all offsets in bytes of the text."""

    terms: NDArray[np.int64]
    """Number of the term of each hit, ascending."""
    ends: NDArray[np.int64]
    """Where that hit ends; ascending for one term."""
    spans: dict[int, list[tuple[int, int]]]
    """Number of a pattern -> its hits, each with its end; begin is -1 where only RE2 can tell."""
    present: frozenset[str]
    """Words that occur."""
    flood: bool
    """There were more hits than may be counted; the rest was not read."""


class Scanner:
    """The compiled databases. Thread-safe: each thread has its own scratch."""

    def __init__(
        self,
        terms: Sequence[str],
        patterns: Sequence[Expression],
        words: Sequence[str],
        labels: Sequence[str] = (),
        compiled: Callable[[bytes], bytes] = lambda _digest: b"",
    ) -> None:
        """Compile, or take what `compiled` has for this digest: what `dump` returned for the very same sequences."""
        self._terms, self._patterns = len(terms), len(patterns)
        self._words = (*words, *map(as_label, labels))
        self._exact = [_loosened(p.pattern) == p.pattern for p in patterns]
        self._framed = tuple(bool(OUTSIDE[p.edges][0]) for p in patterns)
        self._local = threading.local()
        once = _ONCE | _UTF8 | _ANY_CASE
        fixed = [(_literal(term), 0) for term in terms]
        fixed += [(re.escape(word).encode(), once) for word in words]
        fixed += [((re.escape(label) + _BEHIND_LABEL).encode(), once) for label in labels]
        literals = [_Built(number, *one) for number, one in enumerate(fixed)]
        built = [
            _Built(number, framed, _UTF8 | (_SPANS if self._exact[number] else 0))
            for number, expression in enumerate(patterns)
            for framed in _framed(expression)
        ]
        self.digest = _digest([*literals, *built])
        taken = self._take(compiled(self.digest))
        self.is_new = taken is None
        """Whether it was compiled just now."""
        self._databases = taken or (_database(literals), self._compile(built))

    def dump(self) -> bytes:
        """Return the compiled databases; they are valid for the same `digest` only."""
        literals, patterns = (bytes(hyperscan.dumpb(database)) for database in self._databases)
        return bytes(self._exact) + len(literals).to_bytes(8, "big") + literals + patterns

    def _take(self, compiled: bytes) -> tuple[hyperscan.Database, hyperscan.Database] | None:
        if len(compiled) <= self._patterns:
            return None
        rest = compiled[self._patterns :]
        middle = 8 + int.from_bytes(rest[:8], "big")
        try:
            literals = hyperscan.loadb(rest[8:middle], hyperscan.HS_MODE_BLOCK)
            patterns = hyperscan.loadb(rest[middle:], hyperscan.HS_MODE_BLOCK)
        except hyperscan.HyperscanError:
            return None  # it was made on another processor
        self._exact = [bool(one) for one in compiled[: self._patterns]]
        return literals, patterns

    def scan(self, utf8: bytes, most: int) -> Raw:
        """Read a text; stop as a flood after `most` hits."""
        # A line break on both sides spares every pattern the question whether the text begins or ends here.
        framed = b"\n" + utf8 + b"\n"
        numbers, ends = list[int](), list[int]()
        flood = self._read(0, framed, _note_ends(numbers, ends, most))
        spans: dict[int, list[tuple[int, int]]] = {}
        found: list[tuple[int, int, int]] = []
        flood |= self._read(1, framed, _note_spans(found, most))
        for number, start, end in found:
            spans.setdefault(number, []).append(self._unframed(utf8, number, start - 1, end - 1))
        which = np.array(numbers, dtype=np.int64)
        order = np.argsort(which, kind="stable")
        which, until = which[order], np.array(ends, dtype=np.int64)[order] - 1
        first = int(np.searchsorted(which, self._terms))
        present = frozenset(self._words[n - self._terms] for n in which[first:].tolist())
        return Raw(which[:first], until[:first], spans, present, flood)

    def _read(self, place: int, framed: bytes, note: Callable[[int, int, int, int, object], bool]) -> bool:
        """Let one of the databases read a text; tell whether it was stopped."""
        scratches = getattr(self._local, "scratches", None)
        if scratches is None:
            scratches = self._local.scratches = [hyperscan.Scratch(database) for database in self._databases]
        try:
            self._databases[place].scan(framed, match_event_handler=note, scratch=scratches[place])
        except hyperscan.ScanTerminated:
            return True
        return False

    def _unframed(self, utf8: bytes, number: int, start: int, end: int) -> tuple[int, int]:
        """Return the hit without the characters that frame it; both are whole characters of the text."""
        if self._framed[number]:
            end -= 1
            while 0 < end < len(utf8) and utf8[end] & 0xC0 == 0x80:
                end -= 1
            start += 1
            while 0 < start < len(utf8) and utf8[start] & 0xC0 == 0x80:
                start += 1
        return (start if self._exact[number] else -1), min(end, len(utf8))

    def _compile(self, built: list[_Built]) -> hyperscan.Database:
        try:
            return _database(built)
        except hyperscan.HyperscanError:
            # One of them is too much; which one is found by trying each, and a large one is taken as a prefilter.
            taken = [one._replace(flags=_flags(one)) for one in built]
            for one in taken:
                self._exact[one.number] &= bool(one.flags & _SPANS)
            return _database(taken)


def _note_ends(numbers: list[int], ends: list[int], most: int) -> Callable[[int, int, int, int, object], bool]:
    """Return what hyperscan calls for each term or word; bound methods, for it is called a hundred thousand times."""
    add_number, add_end = numbers.append, ends.append

    def note(number: int, _start: int, end: int, _flags: int, _context: object) -> bool:
        add_number(number)
        add_end(end)
        return len(ends) >= most

    return note


def _note_spans(found: list[tuple[int, int, int]], most: int) -> Callable[[int, int, int, int, object], bool]:
    """Return what hyperscan calls for each pattern."""
    add = found.append

    def note(number: int, start: int, end: int, _flags: int, _context: object) -> bool:
        add((number, start, end))
        return len(found) >= most

    return note


def _literal(term: str) -> bytes:
    return "".join(f"\\x{b:02x}" for b in term.encode()).encode()


def _framed(expression: Expression) -> list[bytes]:
    """Return a pattern with its edges, each branch by itself: together they compile longer and can run slower."""
    outside = OUTSIDE[expression.edges][0]
    return [f"{outside}(?:{core}){outside}".encode() for core in _branches(_loosened(expression.pattern))]


def _branches(pattern: str) -> list[str]:
    """Return the alternatives of a pattern that lie in no group; one that sets flags is left whole."""
    if _FLAGS.search(pattern):
        return [pattern]
    cuts, depth = [-1], 0
    for token in _TOKEN.finditer(pattern):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if token[0] == "|" and depth == 0:
            cuts.append(token.start())
    return [pattern[low + 1 : high] for low, high in pairwise([*cuts, len(pattern)])]


def _digest(built: Sequence[_Built]) -> bytes:
    whole = hashlib.sha256(version("hyperscan").encode())
    for one in built:
        whole.update(b"\0%d %d\0%b" % (one.number, one.flags, one.expression))
    return whole.digest()


def _database(built: Sequence[_Built]) -> hyperscan.Database:
    built = built or [_Built(0, _NOTHING, 0)]
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[one.expression for one in built],
        ids=[one.number for one in built],
        elements=len(built),
        flags=[one.flags for one in built],
    )
    return database


def _loosened(pattern: str) -> str:
    """Return a pattern that matches at least as much and compiles much faster: long repeats without their upper end.

    The scanner then only says where a hit may end; `exact` looks at the place with the pattern as it was written.
    """

    def loosen(found: re.Match[str]) -> str:
        return f"{{{found[1]},}}" if found[2] and int(found[2]) > _LONG else found[0]

    return _LONG_REPEAT.sub(loosen, pattern)


def _flags(built: _Built) -> int:
    """Return the flags under which hyperscan takes a pattern: as asked, without its beginning, or as a prefilter."""
    for flags in (built.flags, built.flags & ~_SPANS, _UTF8 | _PREFILTER):
        try:
            _database([built._replace(flags=flags)])
        except hyperscan.HyperscanError as err:
            refused = err
        else:
            return flags
    raise Refused(built.number, str(refused))
