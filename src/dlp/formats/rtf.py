"""Rich Text Format (1.9.1): paragraphs, tables, headers, notes, field codes, document properties, pictures, objects.

A walk over the groups. Nothing is skipped because it is unknown: the text of a destination that this reader does not
know is read as hidden text.
"""

from __future__ import annotations

import re
from binascii import Error as HexError
from binascii import unhexlify

from dlp.formats import Full, Source
from dlp.formats.room import Reading, Room
from dlp.model import Document, GapKind, Slice, Zone
from dlp.sniff import charset
from dlp.sniff.containers import OLE

MEDIA = ("application/rtf",)

_TOKEN = re.compile(
    rb"\\(?P<word>[A-Za-z]{1,40})(?P<number>-?[0-9]{1,10})? ?|\\'(?P<hex>[0-9A-Fa-f]{2})|\\(?P<sign>[^A-Za-z'])"
    rb"|(?P<brace>[{}])|(?P<text>[^\\{}\r\n]+)|[\r\n]+|\\",
    re.DOTALL,
)
_DEEPEST = 1_000  # groups
_LOOK = 4_096  # tokens between two looks at the clock
_TABLES = frozenset({"fonttbl", "colortbl", "stylesheet", "listtable", "listoverridetable", "rsidtbl", "filetbl"})
_SILENT = frozenset({"colortbl", "rsidtbl", "themedata", "colorschememapping", "latentstyles", "generator"})
_ZONES = {
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), Zone.HEADER),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), Zone.FOOTER),
    **dict.fromkeys(("footnote", "ftnsep", "fldrslt", "listtext", "pntext", "nonesttables", "result"), Zone.BODY),
    **dict.fromkeys(("shptxt", "dptxbxtext"), Zone.TEXT_BOX),
    **dict.fromkeys(("annotation", "atnauthor", "atnid", "atrfstart", "atrfend", "atndate"), Zone.COMMENT),
    **dict.fromkeys(
        (
            *("info", "title", "subject", "author", "manager", "company", "operator", "category", "keywords"),
            *("comment", "doccomm", "hlinkbase", "userprops", "propname", "staticval", "stylesheet", "fonttbl"),
        ),
        Zone.METADATA,
    ),
    **dict.fromkeys(("fldinst", "datafield", "bkmkstart", "docvar", "xe", "tc", "v", "sn", "sv", "sp"), Zone.HIDDEN),
}
_SIGNS = {
    "tab": "\t",
    "line": "\n",
    "emdash": "—",
    "endash": "–",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "emspace": "\u2003",
    "enspace": "\u2002",
}
_BREAKS = frozenset({"par", "sect", "page", "column", "softpage"})
_CHARSETS = {
    77: "mac-roman",
    128: "cp932",
    129: "cp949",
    134: "gb18030",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    238: "cp1250",
}
_PAGES = {936: "gb18030", 950: "cp950", 932: "cp932", 949: "cp949", 65001: "utf-8", 10000: "mac-roman"}


def extract(source: Source, room: Room) -> Document:
    """Return all text. `anchor` is the number of the paragraph; what is behind the last group is read too."""
    walk = _Walk(source.content(), room)
    try:
        walk.run()
    except Full as full:
        walk.reading.miss(full.kind, full.detail)
    return walk.reading.document(MEDIA[0])


class _Group:
    """What holds inside one pair of braces."""

    __slots__ = ("font", "hidden", "name", "skip", "starred", "zone")

    def __init__(self, above: _Group | None) -> None:
        self.name: str = above.name if above else ""
        self.zone: Zone = above.zone if above else Zone.BODY
        self.hidden: bool = above.hidden if above else False
        self.font: int = above.font if above else -1
        self.skip: int = above.skip if above else 1
        self.starred = False


class _Walk:
    """Goes through the tokens once."""

    def __init__(self, data: bytes, room: Room) -> None:
        self._data = data
        self._room = room
        self.reading = Reading(room)
        self._groups = [_Group(None)]
        self._page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._bytes = bytearray()
        self._leave = 0
        self._lines: dict[Zone, list[tuple[str, bool]]] = {}
        self._hex: list[bytes] = []
        self._raw = b""
        self._count = 0
        self._objects = 0
        self._first: int | None = None
        self._row: list[tuple[int | None, int]] = []
        self._table: list[list[tuple[int | None, int]]] = []
        self._gridded = False

    def run(self) -> None:
        """Read everything."""
        at = 0
        number = 0
        while found := _TOKEN.match(self._data, at):
            at = found.end()
            number += 1
            if number % _LOOK == 0:
                self._room.check_time()
            if word := found["word"]:
                at = self._word(word.decode("ascii"), found["number"], at)
            elif code := found["hex"]:
                self._byte(unhexlify(code))
            elif sign := found["sign"]:
                self._sign(sign)
            elif brace := found["brace"]:
                self._open() if brace == b"{" else self._close()
                if len(self._groups) == 1 and brace == b"}":
                    break
            elif text := found["text"]:
                self._text_bytes(text)
        self._flush_bytes()
        for zone in tuple(self._lines):
            self._break(zone)
        self._end_table()
        if len(self._groups) > 1:
            self.reading.miss(GapKind.CORRUPT, "the end of the file is missing")
        rest = self._data[at:].lstrip(b"\0 \r\n\t")
        if len(rest.rstrip(b"\0 \r\n\t")) > 16:
            self.reading.take(self._room.descend("after the end", rest))

    # --- groups

    def _open(self) -> None:
        self._flush_bytes()
        if len(self._groups) >= _DEEPEST:
            raise Full(GapKind.TOO_DEEP, f"groups are nested more than {_DEEPEST} deep")
        self._groups.append(_Group(self._groups[-1]))

    def _close(self) -> None:
        self._flush_bytes()
        if len(self._groups) == 1:
            return
        group = self._groups.pop()
        above = self._groups[-1]
        if group.name != above.name:
            if group.name in ("pict", "objdata"):
                self._unpack(group.name)
            elif group.zone is not Zone.BODY or above.zone is not Zone.BODY:
                self._break(group.zone)

    def _unpack(self, name: str) -> None:
        digits = re.sub(rb"[^0-9A-Fa-f]", b"", b"".join(self._hex))
        self._hex.clear()
        try:
            data = self._raw or unhexlify(digits[: len(digits) // 2 * 2])
        except HexError:
            data = b""
        self._raw = b""
        if not data:
            return
        self._objects += 1
        self._room.spend_entries()
        self._room.spend_bytes(len(data))
        if name == "objdata":
            # An OLE 1 header stands before the storage ([MS-OLEDS] 2.2.4).
            at = data.find(OLE)
            if at > 0:
                data = data[at:]
        self.reading.take(self._room.descend(f"object {self._objects}", data))

    # --- words

    def _word(self, word: str, number: bytes | None, at: int) -> int:
        value = int(number) if number else 0
        group = self._groups[-1]
        if word != "u":
            self._flush_bytes()
        if word == "bin":
            if group.name in ("pict", "objdata"):
                self._raw += self._data[at : at + max(value, 0)]
            return at + max(value, 0)
        if self._leave and word != "u":
            self._leave -= 1
            return at
        if word == "u":
            self._flush_bytes()
            self._say(chr(value & 0xFFFF))
            self._leave = group.skip
        elif word == "uc":
            group.skip = min(max(value, 0), 16)
        elif word == "ansicpg":
            self._page = _PAGES.get(value, f"cp{value}")
        elif word == "f":
            group.font = value
        elif word == "fcharset" and "fonttbl" in (group.name, self._groups[-2].name if len(self._groups) > 1 else ""):
            if value in _CHARSETS:
                self._fonts[group.font] = _CHARSETS[value]
        elif word in ("v", "deleted"):
            group.hidden = number is None or value != 0
        elif word == "plain":
            group.hidden = False
        elif word in _SIGNS:
            self._say(_SIGNS[word])
        elif word in _BREAKS:
            self._break(group.zone)
        elif word in ("cell", "nestcell"):
            self._cell()
        elif word in ("row", "nestrow"):
            self._end_row()
        elif word == "intbl":
            self._gridded = True
        elif word == "pard":
            self._gridded = False
        else:
            self._begin(word, group)
        return at

    def _begin(self, word: str, group: _Group) -> None:
        """Enter a destination: a known one, or any behind the sign for one that may be left out."""
        if word in ("pict", "objdata"):
            group.name = word
            self._hex.clear()
        elif word in _SILENT:
            group.name = word
        elif word in _ZONES:
            group.name, group.zone = word, _ZONES[word]
        elif word in ("shpinst", "shppict", "nonshppict", "object", "upr", "ud", "do", "field", "objclass", "objname"):
            group.name = word
        elif group.starred:
            group.name, group.zone = word, Zone.HIDDEN
        group.starred = False

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self._groups[-1].starred = True
        elif self._leave:
            self._leave -= 1
        elif sign in (b"\\", b"{", b"}"):
            self._flush_bytes()
            self._say(sign.decode("ascii"))
        elif sign in (b"~", b"_", b"-"):
            self._flush_bytes()
            self._say({b"~": "\xa0", b"_": "-"}.get(sign, ""))
        elif sign in (b"\r", b"\n"):
            self._flush_bytes()
            self._break(self._groups[-1].zone)

    # --- text

    def _byte(self, raw: bytes) -> None:
        if self._leave:
            self._leave -= 1
        else:
            self._bytes += raw

    def _text_bytes(self, raw: bytes) -> None:
        name = self._groups[-1].name
        if name in ("pict", "objdata"):
            self._hex.append(raw)
            return
        if self._leave:
            gone = min(self._leave, len(raw))
            self._leave -= gone
            raw = raw[gone:]
        # A lead byte may stand as an escape and its trail byte as itself.
        self._bytes += raw

    def _flush_bytes(self) -> None:
        if not self._bytes:
            return
        raw, self._bytes = bytes(self._bytes), bytearray()
        if raw.isascii():
            self._say(raw.decode("ascii"))
            return
        pages = (self._fonts.get(self._groups[-1].font, self._page), self._page, "gb18030")
        for page in pages:
            try:
                text = charset.decode(raw, page)
            except LookupError:
                continue
            if text is not None:
                self._say(text)
                return
        self.reading.miss(GapKind.UNTRUSTED_TEXT, "characters do not fit the encoding that the file states")
        self._say(raw.decode("gb18030", "replace"))

    def _say(self, text: str) -> None:
        group = self._groups[-1]
        if group.name in _SILENT or group.name in ("pict", "objdata"):
            return
        if group.name in _TABLES and text.strip("; ") == "":
            self._break(group.zone)
            return
        self._lines.setdefault(group.zone, []).append((text, group.hidden))

    def _break(self, zone: Zone) -> None:
        """End a paragraph of a zone: as it is shown, and with what is hidden in it where there is any."""
        pieces = self._lines.pop(zone, [])
        if zone is Zone.BODY and not self._gridded:
            self._end_table()
        shown = _whole("".join(text for text, hidden in pieces if not hidden))
        number = self._add(shown, zone)
        if self._first is None and zone is Zone.BODY:
            self._first = number
        if any(hidden for _, hidden in pieces):
            self._add(_whole("".join(text for text, _ in pieces)), Zone.HIDDEN)

    def _add(self, text: str, zone: Zone) -> int | None:
        if not text or text.isspace():
            return None
        self._count += 1
        return self.reading.add(text, part=self._room.part, anchor=str(self._count), zone=zone)

    # --- tables

    def _cell(self) -> None:
        self._gridded = True
        self._break(Zone.BODY)
        number, self._first = self._first, None
        self._row.append((number, 1))

    def _end_row(self) -> None:
        self._gridded = True
        self._break(Zone.BODY)
        self._first = None
        if self._row:
            self._table.append(self._row)
        self._row = []

    def _end_table(self) -> None:
        rows, self._table = self._table, []
        self._first = None
        if rows:
            self.reading.tabulate((_slices(row, self.reading) for row in rows), part=self._room.part)


def _slices(row: list[tuple[int | None, int]], reading: Reading) -> tuple[Slice, ...]:
    known = next((number for number, _ in row if number is not None), None)
    if known is None:
        return ()
    return tuple(
        Slice(known, 0, 0) if number is None else Slice(number, 0, len(reading.segments[number].text))
        for number, _ in row
    )


def _whole(text: str) -> str:
    """Join the halves of characters that were written as two escapes."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
