"""Font programs (TrueType, CFF, Type 1) with the outlines of the letters that are still shown, and no others."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from fontTools.agl import toUnicode
from fontTools.cffLib import CFFFontSet
from fontTools.misc import eexec
from fontTools.misc.psCharStrings import T2CharString
from fontTools.ttLib import TTFont, TTLibError
from fontTools.ttLib.tables._g_l_y_f import Glyph

from dlp.formats.pdf_ops import NeedsRaster

logging.getLogger("fontTools").setLevel(logging.CRITICAL)  # it quotes names of the font

_TOLD = ("name", "GSUB", "GPOS", "GDEF", "kern", "DSIG", "FFTM", "meta", "hdmx", "LTSH", "VDMX", "PCLT", "BASE", "JSTF")
_LOST = "a font program cannot be pruned"
_CHARSTRING_KEY, _EEXEC_KEY = 4330, 55665
_ENTRY = re.compile(rb"/(\S+)\s+(\d+)\s+(?:RD|-\|)\s")
_BUILT_IN = re.compile(rb"dup\s+(\d+)\s*/(\S+)\s+put")
_EMPTY = b"\x8b\x8b\x0d\x0e"  # 0 0 hsbw endchar
_USUAL_SCALE = [0.001, 0, 0, 0.001, 0, 0]
_SEAC = b"\x0c\x06"


class Kept(NamedTuple):
    """What of a font program is still shown: by number of glyph, by code, and by name of letter."""

    cids: frozenset[int] = frozenset()
    codes: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    """Names that the PDF itself gives to its codes."""
    letters: frozenset[str] = frozenset()
    """Characters that a standard encoding gives to its codes."""

    def with_(self, other: Self) -> Kept:
        """Return what two fonts need of one program."""
        return Kept(
            self.cids | other.cids, self.codes | other.codes, self.names | other.names, self.letters | other.letters
        )


def prune(about: Any, key: str, kept: Kept) -> None:
    """Replace the program of a font descriptor. Raises `NeedsRaster` where that cannot be done."""
    stream = about[key]
    raw = bytes(stream.read_bytes())
    try:
        if key == "/FontFile":
            new = _type1(raw, kept)
            about[key].write(new[0])
            about[key]["/Length1"], about[key]["/Length2"], about[key]["/Length3"] = new[1]
            return
        if key == "/FontFile2" or raw[:4] in (b"\0\1\0\0", b"true", b"OTTO", b"ttcf"):
            made = sfnt(raw, kept)
        else:
            made = _bare(raw, kept)
    except (TTLibError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, EOFError) as err:
        raise NeedsRaster(_LOST) from err
    except Exception as err:  # the library raises errors of its own for each table; all mean that it is damaged
        raise NeedsRaster(_LOST) from err
    stream.write(made)
    if key == "/FontFile2":
        stream["/Length1"] = len(made)


def sfnt(raw: bytes, kept: Kept) -> bytes:
    """Return a TrueType or OpenType font with what is kept of it; the library's errors mean that it is damaged."""
    font = TTFont(io.BytesIO(raw), lazy=True, recalcBBoxes=False, recalcTimestamp=False)
    order = font.getGlyphOrder()
    if "glyf" in font:
        keep = _glyphs(font, kept, order)
        table = font["glyf"]
        keep = _with_parts(table, keep, order)
        for number, name in enumerate(order):
            if number not in keep:
                table.glyphs[name] = Glyph()
        _measures(font, keep, order)
    elif "CFF " in font:
        _outlines(font["CFF "].cff, kept)
    else:
        raise NeedsRaster(_LOST)
    for name in _TOLD:
        if name in font:
            del font[name]
    if "post" in font:
        font["post"].formatType = 3.0
    out = io.BytesIO()
    font.save(out, reorderTables=False)
    return out.getvalue()


def _glyphs(font: Any, kept: Kept, order: list[str]) -> set[int]:
    """Return the numbers of the glyphs that are shown, and drop all else from the maps of the program."""
    numbers = {name: number for number, name in enumerate(order)}
    keep = {0} | {cid for cid in kept.cids if cid < len(order)}
    letters = {ord(one) for one in kept.letters if len(one) == 1}
    letters |= {ord(one) for name in kept.names for one in toUnicode(name)[:1]}
    wanted = kept.codes | {code + high for code in kept.codes for high in (0xF000, 0xF100, 0xF200)} | letters
    keep |= {numbers[name] for name in kept.names if name in numbers}
    keep |= {int(name[1:]) for name in kept.names if re.fullmatch(r"g\d{1,5}", name) and int(name[1:]) < len(order)}
    if "cmap" in font:
        for table in font["cmap"].tables:
            mapped = getattr(table, "cmap", None)
            if mapped is None:
                continue
            table.cmap = {code: name for code, name in mapped.items() if code in wanted}
            if kept.codes or kept.names:
                keep |= {numbers[name] for name in table.cmap.values() if name in numbers}
    elif kept.codes:
        keep |= {code for code in kept.codes if code < len(order)}
    return keep


def _with_parts(table: Any, keep: set[int], order: list[str]) -> set[int]:
    """Return the glyphs together with those that they are made of."""
    numbers = {name: number for number, name in enumerate(order)}
    todo = list(keep)
    while todo:
        glyph = table[order[todo.pop()]]
        if glyph.isComposite():
            for part in glyph.components:
                number = numbers[part.glyphName]
                if number not in keep:
                    keep.add(number)
                    todo.append(number)
    return keep


def _measures(font: Any, keep: set[int], order: list[str]) -> None:
    for name in ("hmtx", "vmtx"):
        if name in font:
            metrics = font[name].metrics
            for number, glyph in enumerate(order):
                if number not in keep and glyph in metrics:
                    metrics[glyph] = (0, 0)


def _bare(raw: bytes, kept: Kept) -> bytes:
    fonts = CFFFontSet()
    around = TTFont(recalcBBoxes=False)  # the library wants to know in what the program lies
    fonts.decompile(io.BytesIO(raw), around)
    _outlines(fonts, kept)
    out = io.BytesIO()
    fonts.compile(out, around, isCFF2=False)
    return out.getvalue()


def _outlines(fonts: Any, kept: Kept) -> None:
    """Empty every outline of a CFF program that is not shown."""
    top = fonts[fonts.fontNames[0]]
    strings = top.CharStrings
    order = fonts[fonts.fontNames[0]].charset
    _join_scales(top)
    if kept.cids:
        by_cid = hasattr(top, "ROS")
        keep = {n for i, n in enumerate(order) if (int(n[3:]) if by_cid and n[3:].isdigit() else i) in kept.cids}
    else:
        built_in = top.Encoding if isinstance(top.Encoding, list) else _standard()
        keep = set(kept.names) | {built_in[code] for code in kept.codes if code < len(built_in)}
        keep |= {name for name in order if toUnicode(name) in kept.letters and kept.letters}
    for name in order:
        if name not in keep and name != ".notdef":
            old = strings[name]
            strings[name] = T2CharString(program=["endchar"], private=old.private, globalSubrs=old.globalSubrs)


def _join_scales(top: Any) -> None:
    """Put the scale of a CID program into its parts: the library does not write the usual one, and readers differ."""
    if top.rawDict.get("FontMatrix") != _USUAL_SCALE:
        return
    for part in getattr(top, "FDArray", ()):
        own = part.rawDict.get("FontMatrix")
        if own is not None:
            part.FontMatrix = [value / 1_000 for value in own[:4]] + own[4:]


def _standard() -> list[str]:
    from fontTools.encodings.StandardEncoding import StandardEncoding  # noqa: PLC0415  few programs need it

    return list(StandardEncoding)


def _type1(raw: bytes, kept: Kept) -> tuple[bytes, tuple[int, int, int]]:
    """Return a Type 1 program with emptied outlines, and the lengths of its three pieces."""
    at = raw.find(b"eexec")
    if at < 0:
        raise NeedsRaster(_LOST)
    start = at + 5
    while raw[start : start + 1] in (b"\r", b"\n", b" ", b"\t"):
        start += 1
    zeros = re.search(rb"(?:0[\s]*){300,}\s*cleartomark", raw[start:])
    end = start + zeros.start() if zeros else len(raw)
    locked = raw[start:end]
    if re.fullmatch(rb"[0-9A-Fa-f\s]{8}", locked[:8]):
        locked = bytes.fromhex(locked.decode("ascii", "ignore"))
    plain, _ = eexec.decrypt(locked, _EEXEC_KEY)
    skip = int(found[1]) if (found := re.search(rb"/lenIV\s+(\d+)", plain)) else 4
    keep = {name.encode("latin-1") for name in kept.names}
    keep |= {name for code, name in _BUILT_IN.findall(raw[:at]) if int(code) in kept.codes}
    if b"StandardEncoding def" in raw[:at]:
        keep |= {name.encode("latin-1") for code, name in enumerate(_standard()) if code in kept.codes}
    made = _emptied(plain, keep, kept, skip)
    packed, _ = eexec.encrypt(made, _EEXEC_KEY)
    head, tail = raw[:start], raw[end:]
    return head + packed + tail, (len(head), len(packed), len(tail))


def _emptied(plain: bytes, keep: set[bytes], kept: Kept, skip: int) -> bytes:
    begin = plain.find(b"/CharStrings")
    if begin < 0:
        raise NeedsRaster(_LOST)
    outlines = dict(_charstrings(plain, begin))
    keep = keep | {name for name in outlines if toUnicode(name.decode("latin-1")) in kept.letters}
    keep |= _parts_of(keep, outlines, skip)
    pieces = [plain[:begin]]
    at = begin
    empty, _ = eexec.encrypt(bytes(skip) + _EMPTY, _CHARSTRING_KEY)
    while found := _ENTRY.search(plain, at):
        name, size, start = found[1], int(found[2]), found.end()
        if name in keep or name == b".notdef":
            pieces.append(plain[at : start + size])
        else:
            between = plain[at:start].replace(found[2] + b" ", str(len(empty)).encode() + b" ")
            pieces += [between, empty]
        at = start + size
    return b"".join([*pieces, plain[at:]])


def _charstrings(plain: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the locked outline of each letter."""
    while found := _ENTRY.search(plain, at):
        start = found.end()
        at = start + int(found[2])
        yield found[1], plain[start:at]


def _parts_of(names: set[bytes], outlines: dict[bytes, bytes], skip: int) -> set[bytes]:
    """Return the letters that letters with an accent are put together of."""
    parts: set[bytes] = set()
    for name in names & outlines.keys():
        for number in _accent(eexec.decrypt(outlines[name], _CHARSTRING_KEY)[0][skip:]):
            parts.add(_standard()[number].encode("latin-1"))
    return parts


def _accent(code: bytes) -> list[int]:
    """Return the two characters that a charstring puts together (seac), as it numbers them; none when it draws."""
    numbers: list[int] = []
    at = 0
    while at < len(code):
        byte = code[at]
        if byte >= 32:
            size = 1 if byte < 247 else 2 if byte < 255 else 5
            numbers.append(_number(code[at : at + size]))
            at += size
        elif code[at : at + 2] == _SEAC:
            return [number for number in numbers[-2:] if 0 <= number < 256]
        else:
            numbers = []
            at += 2 if byte == 12 else 1
    return []


def _number(code: bytes) -> int:
    """Return a number of a charstring (Adobe Type 1 Font Format, 6.2)."""
    if code[0] < 247:
        return code[0] - 139
    if len(code) < 2:
        return 0
    if code[0] < 251:
        return (code[0] - 247) * 256 + code[1] + 108
    return -(code[0] - 251) * 256 - code[1] - 108 if code[0] < 255 else int.from_bytes(code[1:], "big", signed=True)
