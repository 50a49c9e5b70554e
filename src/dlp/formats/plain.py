"""Plain text, and tables written as text (CSV, TSV): one segment is the whole decoded file.

Offsets into that segment are offsets into the text of the file, in its best reading. Other plausible readings (Big5
besides GB 18030, text hidden behind escapes) are further segments, marked by a part like `~cp950`; their characters
lie on the same bytes, so that what is found in them can be removed too.
"""

from __future__ import annotations

import codecs
import csv
import html
import io
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from dlp.formats import Full, NotRedactable, Source, csvtext, cutting
from dlp.formats.cutting import Hole
from dlp.formats.loose import decode_base64
from dlp.formats.room import Reading, Room
from dlp.model import Check, Cut, Document, GapKind, Removed, Slice, Zone
from dlp.sniff import charset
from dlp.sniff.charset import Text

MEDIA = ("text/plain", "text/csv", "text/tab-separated-values")

_WIDEST = 4  # bytes a character
_FEW = 20  # characters outside ASCII below which a doubtful reading proves nothing
_MOST_ROWS = 200_000  # of a table; the text behind them is matched all the same
_MOST_RUNS = 50_000  # that could be Base64: a hash a line in a large log


def extract(source: Source, room: Room) -> Document:
    """Return the text of a file, and its cells when it is a table. `anchor` names the encoding."""
    reading = Reading(room)
    media = MEDIA[0]
    try:
        _check_size(source, room)
        data = source.content()
        texts = charset.readings(data)
        if texts:
            media = _extract(texts, data, reading)
        else:
            _miss(data, reading)
    except Full as full:
        reading.miss(full.kind, full.detail)
    return reading.document(media)


def _check_size(source: Source, room: Room) -> None:
    if source.size > room.limits.text_chars * _WIDEST:
        raise Full(GapKind.TOO_BIG, f"it has more than {room.limits.text_chars} characters")


def warm() -> None:
    """Make the tables of everyday characters: called once, before any child is forked."""
    for encoding in ("gb18030", "cp950", "big5hkscs"):
        charset.usual(encoding)


def _extract(texts: tuple[Text, ...], data: bytes, reading: Reading) -> str:
    best = texts[0]
    reading.add(best.text, part=reading.room.part, anchor=_anchor(best))
    delimiter = csvtext.find_delimiter(best.text)
    if delimiter:
        reading.tabulate(_rows(best.text, delimiter, reading.room), part=reading.room.part)
    if best.score < charset.DOUBTFUL and sum(c > "\x7f" for c in best.text[:65_536]) >= _FEW:
        reading.miss(GapKind.UNTRUSTED_TEXT, "the text is in no encoding that gives everyday characters")
    for other in texts[1:]:
        _add_aside(reading, other.text, other.encoding, _anchor(other))
    mixed = _read_lines(data, best) if best.encoding in ("gb18030", "cp950", "big5hkscs") else ""
    _add_aside(reading, mixed, "lines", "")
    for name, hidden in _unescape(best.text):
        _add_aside(reading, hidden, name, "")
    return {",": MEDIA[1], ";": MEDIA[1], "|": MEDIA[1], "\t": MEDIA[2]}.get(delimiter or "", MEDIA[0])


def _add_aside(reading: Reading, text: str, name: str, anchor: str) -> None:
    if text and not text.isspace():
        reading.add(text, part=(*reading.room.part, f"~{name}"), anchor=anchor, zone=Zone.HIDDEN)


def _miss(data: bytes, reading: Reading) -> None:
    """Say why it is no text; what can be read line by line is matched all the same."""
    if b"\0" in data:
        reading.miss(GapKind.UNSUPPORTED, "it is binary, not text")
    else:
        reading.miss(GapKind.CORRUPT, "the text is in no encoding that fits all of it")
    _add_aside(reading, _read_lines(data, None), "lines", "")


def _anchor(text: Text) -> str:
    return f"{text.encoding}:{text.bom.hex()}"


def _rows(text: str, delimiter: str, room: Room) -> Iterator[tuple[Slice, ...]]:
    for number, row in enumerate(csvtext.scan(text, delimiter)):
        if number >= _MOST_ROWS:
            return
        if number % 1024 == 0:
            room.check_time()
        yield tuple(Slice(0, start, end) for start, end in row)


# --- further readings


def _read_lines(data: bytes, best: Text | None) -> str:
    """Return the lines that are more plausible in another encoding than that of the whole, each in its own."""
    found = []
    lines = re.findall(rb"[^\r\n]+", data)
    known = re.findall(r"[^\r\n]+", best.text) if best is not None else []
    usual = charset.usual(best.encoding) if best is not None and len(known) == len(lines) else frozenset()
    for number, line in enumerate(lines):
        if line.isascii():
            if best is None:
                found.append(line.decode("ascii"))
            continue
        if usual and usual.issuperset(known[number]):
            continue  # nothing in it speaks for another encoding
        readings = charset.readings(line)
        if readings and (best is None or (readings[0].encoding != best.encoding and readings[0].score >= 0.9)):
            found.append(readings[0].text)
    return "\n".join(found)


_UNICODE = re.compile(r"\\[uU]\+?\{?([0-9A-Fa-f]{4,6})\}?|\\x([0-9A-Fa-f]{2})")
_QUOTED = re.compile(r"(?:=[0-9A-F]{2}(?:=\r?\n)?){2,}")
_ESCAPES: tuple[tuple[str, re.Pattern[str], Callable[[str], str]], ...] = (
    ("entities", re.compile(r"&#x?[0-9A-Fa-f]{2,6};|&[a-z]{2,8};"), html.unescape),
    ("percent", re.compile(r"(?:%[0-9A-Fa-f]{2}){2}"), lambda text: _first(_unquote(text))),
    ("escapes", re.compile(r"\\[uU]\+?[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}"), lambda text: _UNICODE.sub(_point, text)),
    ("quoted-printable", re.compile(r"(?:=[0-9A-F]{2}){2}"), lambda text: _first(_unquote_printable(text))),
    # A word like ENCODING=BASE64 spoils the reading of the whole: runs by themselves are read as well.
    ("quoted-runs", re.compile(r"(?:=[0-9A-F]{2}){2}"), lambda text: _QUOTED.sub(_unquote_run, text)),
    ("hz", re.compile(r"~\{(?:[!-~]{2})+~\}"), lambda text: charset.decode(text.encode("ascii", "ignore"), "hz") or ""),
    ("utf-7", re.compile(r"\+[A-Za-z0-9+/]{3,}-"), lambda text: _utf7(text)),  # noqa: PLW0108  defined below
    (
        "iso-2022",
        re.compile(r"\x1b\$"),
        lambda text: charset.decode(text.encode("ascii", "ignore"), "iso2022_jp_2") or "",
    ),
)


def _unescape(text: str) -> Iterator[tuple[str, str]]:
    """Yield what the text says when its escapes are resolved, for every kind of escape that is in it."""
    for name, pattern, resolve in _ESCAPES:
        if pattern.search(text):
            plain = resolve(text)
            if plain != text:
                yield name, plain
    runs = re.findall(r"[A-Za-z0-9+/]{24,}={0,2}", text)
    if len(runs) > _MOST_RUNS:
        raise Full(GapKind.TOO_MANY, f"it holds more than {_MOST_RUNS} runs that could be Base64")
    hidden = "\n".join(filter(None, (_first(decode_base64(run)) for run in runs)))
    if hidden:
        yield "base64", hidden


def _point(found: re.Match[str]) -> str:
    code = int(found[1][:4] if found[1] else found[2], 16)
    rest = found[1][4:] if found[1] and "{" not in found[0] else ""
    return (chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd") + rest


def _unquote(text: str) -> bytes:
    return urllib.parse.unquote_to_bytes(text)


def _unquote_printable(text: str) -> bytes:
    import quopri  # noqa: PLC0415  rarely needed

    return quopri.decodestring(text.encode("utf-8"))


def _unquote_run(found: re.Match[str]) -> str:
    return _first(_unquote_printable(found[0])) or found[0]


def _first(data: bytes) -> str:
    texts = charset.readings(data) if data else ()
    return texts[0].text if texts else ""


def _utf7(text: str) -> str:
    return re.sub(r"\+[A-Za-z0-9+/]{3,}-", lambda m: charset.decode(m[0].encode("ascii"), "utf-7") or m[0], text)


# --- redaction

Edges = np.ndarray[tuple[int], np.dtype[np.int64]]


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the text without the cuts, in its own encoding. Raises `NotRedactable` for a cut it cannot place.

    A cut in another reading than the best removes the bytes its characters were read from. In a table the signs that
    set cells apart stay where they are.
    """
    room.check_time()
    data = source.content()
    texts = {_anchor(text): text for text in charset.readings(data)}
    if not texts:
        raise NotRedactable("the text can no longer be read")
    best = next(iter(texts.values()))
    body = data[len(best.bom) :]
    known = _edges(body, best)
    holes = cutting.merged(_holes(cuts, texts, body, best, known))
    delimiter = csvtext.find_delimiter(best.text)
    if delimiter:
        holes = cutting.merged(csvtext.within_cells(best.text, delimiter, holes))
    out.write(best.bom)
    out.writelines(_without(body, holes, known, best.encoding))
    return cutting.counted(cuts)


def _holes(cuts: Sequence[Cut], texts: dict[str, Text], body: bytes, best: Text, known: Edges) -> Iterator[Hole]:
    """Yield what each cut removes, grown to whole characters of the best reading."""
    edges = {_anchor(best): known}
    for cut in cuts:
        text = texts.get(cut.anchor)
        if text is None or text.bom != best.bom:
            raise NotRedactable("what is to be removed is written in escapes or in another encoding")
        if cut.anchor not in edges:
            edges[cut.anchor] = _edges(body, text)
        at = edges[cut.anchor]
        if not 0 <= cut.start <= cut.end < len(at):
            raise NotRedactable("a cut lies outside of the text")
        first = np.searchsorted(known, at[cut.start], side="right") - 1
        yield Hole(int(first), int(np.searchsorted(known, at[cut.end], side="left")), cut.label)


def _edges(body: bytes, text: Text) -> Edges:
    """Return where each character of a reading begins in the bytes, and where the last one ends."""
    lengths = charset.lengths(body, text)
    if len(lengths) != len(text.text):
        raise NotRedactable("the characters of the text do not fit its bytes one by one")
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def _without(body: bytes, holes: Iterable[Hole], edges: Edges, encoding: str) -> Iterator[bytes]:
    at = 0
    for hole in holes:
        yield body[at : int(edges[hole.start])]
        yield hole.label.encode(encoding, "replace")
        at = int(edges[hole.end])
    yield body[at:]


# --- proof


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return a copy as the decoders and the csv module of Python read it; a table must have kept its cells."""
    del cuts
    reading = Reading(room)
    text, old = _decoded(source.content()), _decoded(before.content())
    if text is None or old is None:
        reading.checks.append(Check(name="reopened:codec", state="fail", detail="the copy is in no usual encoding"))
        return reading.document(MEDIA[0])
    reading.add(text, part=room.part)
    reading.checks.append(Check(name="reopened:codec", state="ok"))
    delimiter = csvtext.find_delimiter(old)
    if delimiter:
        same = _widths(text, delimiter, room) == _widths(old, delimiter, room)
        detail = "" if same else "the copy has other rows or cells than the file"
        reading.checks.append(Check(name="cells", state="ok" if same else "fail", detail=detail))
    return reading.document(MEDIA[0])


def _decoded(data: bytes) -> str | None:
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030", "big5hkscs", "utf-16-le", "utf-16-be"):
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return None


def _widths(text: str, delimiter: str, room: Room) -> list[int]:
    """Return how many cells each row has."""
    csv.field_size_limit(max(len(text), 1))
    widths = []
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        widths.append(len(row))
        if len(widths) % 1024 == 0:
            room.check_time()
    return widths
