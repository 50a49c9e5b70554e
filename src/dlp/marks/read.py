"""Read candidates out of the text: which words they are, of which family, and what level and term they state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from re import Match, Pattern

from dlp.marks import signs, term
from dlp.marks.place import Ground, Side
from dlp.marks.signs import Sign
from dlp.model import Level, Regime

MOST_LEVELS = 20_000
"""Level words read in one text: beyond it the text is a flood, and is reported as one."""
_LEVEL_FAMILIES = frozenset(
    {"state_star", "label_value", "own_line", "title_prefix", "ticked", "exam", "business_secret", "work_secret"}
)


def candidates(ground: Ground, wanted: frozenset[str]) -> Iterator[Sign]:
    """Yield the candidates of the wanted families; bounded work for each word found."""
    if wanted & (_LEVEL_FAMILIES | {"trad_tw_hk"}):
        yield from (sign for sign in _levels(ground) if sign.family in wanted)
    if "label_value" in wanted:
        yield from _labelled(ground)
    if "own_line" in wanted or "trad_tw_hk" in wanted:
        yield from (s for s in _special(ground) if s.family in wanted)
    if "business_secret" in wanted:
        yield from _commercial(ground)
    if "work_secret" in wanted:
        yield from _work(ground)
    if "internal" in wanted:
        yield from _internal(ground)
    if "telegram" in wanted:
        yield from _telegram(ground)
    if "english" in wanted:
        yield from _english(ground)


def _near(
    pattern: Pattern[str], ground: Ground, seeds: tuple[str, ...], before: int, after: int
) -> Iterator[Match[str]]:
    return signs.around(pattern, ground.text, seeds, before, after, ground.present)


def _levels(ground: Ground) -> list[Sign]:
    """Return all candidates with a level word; read once for all rules."""
    if ground.levels is None:
        near = signs.around(signs.LEVEL, ground.text, ("密",), 2, 0, frozenset({"密"}))
        read = (_level(ground, found) for found in near)
        ground.levels = list(islice((sign for sign in read if sign is not None), MOST_LEVELS))
    return ground.levels


def _level(ground: Ground, found: Match[str]) -> Sign | None:
    """Read one of the three level words; None when it plainly is part of running text."""
    text, start, end = ground.text, found.start(), found.end()
    low, high = ground.line(start)
    if end > high:
        # the word runs over a line break: a stamp set upright, or two lines of prose that only meet
        high = ground.line(end - 1)[1]
        if (start != low or end != high) and not signs.STARRED.match(text, end, min(high, end + 6)):
            return None
    owner = signs.OWNED.search(text, max(low, start - 2), start)
    if owner and owner[0] not in {"国家", "军事", "个人"}:
        return _owned(ground, start, end, owner[0])
    level = signs.LEVELS[text[start].translate(signs.FOLDED)]
    raised = signs.RAISED.search(text, max(low, start - 2), start)
    if raised and level is Level.CONFIDENTIAL:
        top = Level.TOP_SECRET if raised[0] == "绝对" else Level.CONFIDENTIAL
        label = signs.LABEL.search(text[max(0, raised.start() - 32) : raised.start()]) is not None
        points, why = (5, "label") if label else (2, "raised")
        return Sign(raised.start(), end, "trad_tw_hk", top, Regime.FOREIGN, None, points, (why,), labelled=label)
    exam = signs.EXAM.match(text, end, min(high, end + 24))
    if exam:
        points, why = (6, "star") if exam[1] == signs.STAR else (5, "exam-term")
        return Sign(start, exam.end(), "exam", level, Regime.EXAM, exam[2], points, (why,), starred=True)
    starred = _starred(text, start, end, min(high, end + 32), level)
    if starred:
        return starred
    if low < start and end < high and _is_within_prose(text, start, end):
        return None
    return _worded(ground, start, end, level, is_noun=owner is not None)


def _is_within_prose(text: str, start: int, end: int) -> bool:
    """Tell quickly whether Han characters touch both sides, and what follows is no usual suffix."""
    before, after = text[start - 1], text[end]
    return "一" <= before <= "龥" and "一" <= after <= "龥" and after not in "级件文资材"


def _starred(text: str, start: int, end: int, bound: int, level: Level) -> Sign | None:
    """Read level, star and term. A smudged star needs a plain term behind it."""
    found = signs.STARRED.match(text, end, bound)
    if found is None:
        return None
    star, raw = found[1] == signs.STAR, found[2] or ""
    if not star and not term.is_plain(raw):
        return None
    last = found.end() if raw else found.end(1)
    points, why = (6, "star") if star else (4, "star-like")
    return Sign(start, last, "state_star", level, Regime.STATE, term.normalize(raw), points, (why,), starred=True)


def _worded(ground: Ground, start: int, end: int, level: Level, *, is_noun: bool) -> Sign:
    """Read a level without a star: behind a label, ticked in a form, or standing by itself."""
    text = ground.text
    window = text[max(0, start - 32) : start]
    label = signs.LABEL.search(window)
    if label is None:
        cell = signs.LABEL_CELL.search(window)
        if cell and (cell.start() == 0 or window[cell.start() - 1] in "\n\t|"):
            label = cell if ground.stand(start, end).alone else None
    ahead = signs.TERM_AHEAD.match(text, end, end + 48)
    stated = term.normalize(ahead[1]) if ahead else None
    if label:
        return Sign(start, end, "label_value", level, Regime.STATE, stated, 5, ("label",), labelled=True)
    if _is_ticked(text, start, end):
        return Sign(start, end, "ticked", level, Regime.STATE, stated, 5, ("ticked",), labelled=True)
    last = _suffix(text, end, ground.line(end - 1)[1])
    points, why = (-4, ("noun",)) if is_noun else (0, ())
    stand = ground.stand(start, last)
    prefix = stand.bracketed and stand.left == Side.EDGE and stand.right < Side.WIDE
    family = "title_prefix" if prefix else "own_line"
    return Sign(start, last, family, level, Regime.STATE, stated, points, why, word=(start, end))


def _is_ticked(text: str, start: int, end: int) -> bool:
    """Tell whether a tick stands before the level, or behind it and not before the next choice."""
    before = text[max(0, start - 3) : start].rstrip()[-1:]
    if before:
        if before in signs.TICKS:
            return True
        if before in signs.EMPTY_BOXES:
            return False
    after = text[end : end + 6].lstrip()
    return after[:1] in tuple(signs.TICKS) and not ("一" <= after[1:].lstrip()[:1] <= "龥")


def _owned(ground: Ground, start: int, end: int, owner: str) -> Sign:
    """Read a secret that belongs to somebody: 商业秘密, 公司机密, 工作秘密, with or without grade and term."""
    text = ground.text
    first, low = start - len(owner), ground.line(start)[0]
    level = signs.LEVELS[text[start].translate(signs.FOLDED)]
    if owner == "工作":
        office = signs.OFFICE.search(text, max(low, first - 2), first)
        begin = office.start() if office else first
        return _with_term(ground, Sign(begin, end, "work_secret", Level.SENSITIVE, Regime.WORK), graded=False)
    graded = signs.GRADED.search(text, max(low, first - 2), first)
    if graded:
        level = Level.CONFIDENTIAL if graded[0] == "核心" else Level.SECRET
        first = graded.start()
    elif owner != "公司":
        level = Level.SENSITIVE
    return _with_term(ground, Sign(first, end, "business_secret", level, Regime.COMMERCIAL), graded=bool(graded))


def _with_term(ground: Ground, base: Sign, *, graded: bool) -> Sign:
    """Read what follows an owned secret: a star (improper there), a term, a caution, or nothing.

    A term that touches an ungraded word is prose (商业秘密3年内不得…) and does not count.
    """
    text, last = ground.text, base.end
    bound = min(ground.line(last - 1)[1], last + 32)
    points, why, stated, star = 0, "", None, False
    found = signs.TERMED.match(text, last, bound)
    if found and (found[1] or graded) and (found[1].strip() or term.is_plain(found[2])):
        points, why, last = 5, "term", found.end()
        star, stated = signs.STAR in found[1], term.normalize(found[2])
    elif text[last : min(bound, last + 4)].lstrip()[:1] == signs.STAR:
        points, why, last, star = 5, "star", text.index(signs.STAR, last) + 1, True
    reasons = (why,) if why else ()
    caution = signs.CAUTIONED.match(text, last, bound)
    if caution:
        points, reasons, last = points + 2, (*reasons, "caution"), caution.end()
    elif not why:
        last = _suffix(text, last, bound)
    return base._replace(end=last, term=stated, points=points, why=reasons, starred=bool(why), misused=star)


def _suffix(text: str, end: int, bound: int) -> int:
    """Return where 级, 件, 文件, 资料 or 材料 ends, when no further word follows on the line."""
    found = signs.SUFFIX.match(text, end, min(bound, end + 4))
    last = found.end() if found else end
    return end if last < bound and "一" <= text[last] <= "龥" else last


def _commercial(ground: Ground) -> Iterator[Sign]:
    """Yield 核心商密, 普通商密 and 商密 (中央企业商业秘密保护暂行规定: owner, grade, term)."""
    for found in _near(signs.COMMERCIAL, ground, signs.COMMERCIAL_SEEDS, 2, 16):
        grade = found[0][:2]
        level = {"核心": Level.CONFIDENTIAL, "普通": Level.SECRET}.get(grade, Level.SENSITIVE)
        graded = grade != "商密"
        base = Sign(*found.span(), "business_secret", level, Regime.COMMERCIAL)
        sign = _with_term(ground, base, graded=graded)
        yield sign if graded else sign._replace(word=(found.start(), found.start() + 2))


def _work(ground: Ground) -> Iterator[Sign]:
    """Yield the second form of the work-secret mark: 内部事项 注意保管."""
    for found in signs.WORK.finditer(ground.text):
        yield Sign(*found.span(), "work_secret", Level.SENSITIVE, Regime.WORK, points=2, why=("form",))


def _internal(ground: Ground) -> Iterator[Sign]:
    """Yield phrases for internal use that stand free on both sides; several in a row are one hit."""
    for found in signs.INTERNAL.finditer(ground.text):
        stand = ground.stand(*found.span())
        closed = stand.right > Side.TIGHT or ground.text[found.end() : found.end() + 1] in set(",;。!】])）")
        opened = stand.left > Side.TIGHT or ground.text[found.start() - 1 : found.start()] in set("【[((")
        if not (stand.bracketed or (opened and closed)):
            continue
        several = len(signs.INTERNAL_ONE.findall(found[0])) > 1
        star = signs.STAR in found[0]
        points, why = (2, ("phrases",)) if several else (0, ())
        yield Sign(*found.span(), "internal", Level.SENSITIVE, Regime.WORK, None, points, why, misused=star)


def _telegram(ground: Ground) -> Iterator[Sign]:
    """Yield telegram heads and fields. Cipher telegrams count as 机密 at least, clear ones as sensitive."""
    near = _near(signs.TELEGRAM_FIELD, ground, signs.TELEGRAM_SEEDS, 16, 32)
    fields = {m[0]: m.span() for m in _first(near)}
    heads = list(_first(_near(signs.TELEGRAM_HEAD, ground, signs.HEAD_SEEDS, 8, 8)))
    together = len(fields) + len({m[0] for m in heads}) > 1
    for found in heads:
        head = _is_head(ground, *found.span())
        points = (3 if head else 0) + (3 if together and head else 0)
        why = (*(("head",) if head else ()), *(("fields",) if together and head else ()))
        yield _telegraphed(found.start(), found.end(), found[0], points, why, head=head)
    for raw, (start, end) in fields.items():
        alone = ground.stand(start, end).alone
        points = (3 if together else 0) - (2 if alone else 0)
        yield _telegraphed(start, end, raw, points, ("fields",) if together else (), head=False)


def _telegraphed(start: int, end: int, raw: str, points: int, why: tuple[str, ...], *, head: bool) -> Sign:
    cipher = signs.SECRET_TELEGRAM.search(raw) is not None
    level, regime = (Level.CONFIDENTIAL, Regime.STATE) if cipher else (Level.SENSITIVE, Regime.WORK)
    return Sign(start, end, "telegram", level, regime, None, points, why, labelled=head)


def _first(found: Iterator[Match[str]], most: int = 200) -> Iterator[Match[str]]:
    """Return the first `most`: a text about telegrams says the word often, a telegram says it at its head."""
    return (m for m, _ in zip(found, range(most), strict=False))


def _is_head(ground: Ground, start: int, end: int) -> bool:
    """Tell whether the phrase ends a short line, behind nothing but the name of its sender."""
    stand = ground.stand(start, end)
    if stand.right == Side.TIGHT or stand.quoted:
        return False
    low = ground.line(start)[0]
    sender = ground.text[low:start] if start - low <= 24 else ","
    return not any(c in sender for c in '、,;。:《“"的和')


def _english(ground: Ground) -> Iterator[Sign]:
    """Yield English markings; lower case is a word, capitals in a sentence are one too."""
    for found in _near(signs.ENGLISH, ground, signs.ENGLISH_SEEDS, 40, 64):
        start, end = found.span()
        stand = ground.stand(start, end)
        word, why, points = found["word"], "", 0
        level: Level = Level.SENSITIVE
        if found["tlp"]:
            points, why = 5, "tlp"
        elif found["portion"]:
            level = signs.PORTION_LEVELS.get(found["portion"].partition("/")[0], Level.SENSITIVE)
            points, why = 3, "portion"
        elif found["control"]:
            points, why = 2, "control"
        else:
            key = word.removeprefix("COSMIC ").replace("-", " ").upper()
            level = signs.ENGLISH_LEVELS.get(key, Level.SENSITIVE)
            points, why = (5, "caveat") if found["caveat"] or found["nato"] else (0, "")
            if word[:2] != word[:2].upper() and not stand.alone:
                continue
        label = signs.LABEL.search(ground.text[max(0, start - 32) : start]) is not None
        if label:
            points, why = points + 5, "label"
        elif points == 0 and not (stand.free or stand.bracketed):
            continue
        yield Sign(
            start,
            end,
            "english",
            level,
            Regime.FOREIGN,
            None,
            points,
            (why,) if why else (),
            labelled=label or points >= 5,
        )


def _special(ground: Ground) -> Iterator[Sign]:
    """Yield the circled 秘 (U+3299) and the restricted-access stamp of Hong Kong."""
    for found in _near(signs.SPECIAL, ground, signs.SPECIAL_SEEDS, 0, 4):
        start, end = found.span()
        if found[0] == "㊙":
            stated = signs.TERMED.match(ground.text, end, end + 32)
            raw = stated[2] if stated and term.is_plain(stated[2]) else ""
            last = stated.end() if stated and raw else end
            yield Sign(
                start, last, "own_line", Level.SECRET, Regime.STATE, term.normalize(raw), 4, ("circled",), bool(raw)
            )
        else:
            yield Sign(start, end, "trad_tw_hk", Level.SENSITIVE, Regime.FOREIGN, points=2, why=("restricted",))


def _labelled(ground: Ground) -> Iterator[Sign]:
    """Yield labels whose value is below the three levels: 密级：内部."""
    for found in _near(signs.LABELLED, ground, signs.LABELLED_SEEDS, 4, 40):
        yield Sign(*found.span(1), "label_value", Level.SENSITIVE, Regime.WORK, None, 5, ("label",), labelled=True)
