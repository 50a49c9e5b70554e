"""What a copy that was let through says of itself, as text: who made it, whose level it carries, which copy it is.

复制件 carry the mark of the unit that made them and are managed as the original is (保守国家秘密法实施条例 第二十七条);
what passed a review is marked (标注). The level is quoted from the original and never given here: only a state secret
has a star, and a level of the house is called one. No hit and no file name is in it.
"""

from __future__ import annotations

import unicodedata

from dlp.model import Corner, Level, Regime, Stamp

LINE_CHARS = 32
"""Of one line, a Han character counts as one and others as half: what fits beside a QR code in a margin."""
_QUOTED = frozenset((Regime.STATE, Regime.EXAM))
"""Whose levels are the 密级 of the original."""
_OWN: dict[Regime | None, str] = {
    Regime.WORK: "工作秘密",
    Regime.COMMERCIAL: "商业秘密",
    Regime.PERSONAL: "个人信息",
    Regime.FOREIGN: "境外密级",
}
_WIDE = frozenset("WFA")


def stamp(
    *,
    job: str,
    at: str,
    unit: str,
    copies: int,
    copy: int | None = None,
    level: Level | None = None,
    regime: Regime | None = None,
    term: str = "",
    corner: Corner = Corner.BOTTOM_RIGHT,
    cover: bool = False,
) -> Stamp:
    """Return the stamp of one released copy: unit, level, number and count of copies, job and time.

    `at` is the local time as people write it. `copy` is the number of this copy (份号) where each copy is stamped on
    its own; None where one file is printed `copies` times. `level`, `regime` and `term` are those of the mark that the
    original carries, or of the verdict.
    """
    secret = level is not None and level >= Level.SECRET
    head = "复制件　视同原件管理" if secret and regime in _QUOTED else "送检放行"
    words = [_level(level, regime, term), f"复制份号 {copy:06d}" if copy is not None else "", f"共 {copies} 份"]
    lines = (*_lines([plain(unit), head]), *_lines(words), *_lines([f"任务 {plain(job)}", plain(at)]))
    return Stamp(lines=lines, code=code(job, copies=copies, copy=copy), corner=corner, cover=cover)


def code(job: str, *, copies: int, copy: int | None = None) -> str:
    """Return what the QR code says: the job, by which the books tell all else, and the copy.

    Capitals, digits and three signs only, so that the code stays coarse enough for a photocopy.
    """
    return f"DLPS1:{plain(job).upper()}:{'' if copy is None else copy}/{copies}"


def plain(text: str) -> str:
    """Return a text as one line: what is not printable is left out."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\u3000").strip()


def _level(level: Level | None, regime: Regime | None, term: str) -> str:
    if level is None or level <= Level.ORDINARY:
        return ""
    if regime in _QUOTED:
        # A mark without a term stands as it is: the star belongs to the term.
        return f"原件密级：{level.value}{'★' + plain(term) if term else ''}"
    own = _OWN.get(regime, "")
    if level is Level.SENSITIVE:
        return f"本单位分级：{own or level.value}"
    return f"本单位分级：{level.value}{f'（{own}）' if own else ''}"


def _lines(words: list[str]) -> list[str]:
    """Return words put together into as few lines as they fit; what is longer than a line is cut into several."""
    lines: list[str] = []
    for word in filter(None, words):
        joined = f"{lines[-1]}　{word}" if lines else word
        if lines and _width(joined) <= LINE_CHARS:
            lines[-1] = joined
            continue
        lines.append("")
        for letter in word:
            if _width(lines[-1] + letter) > LINE_CHARS:
                lines.append("")
            lines[-1] += letter
    return lines


def _width(text: str) -> float:
    return sum(1.0 if unicodedata.east_asian_width(letter) in _WIDE else 0.5 for letter in text)
