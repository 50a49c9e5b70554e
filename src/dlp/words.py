"""Word borders by jieba's dictionary: a hit is a word here, or two halves of its neighbours.

`司机密切` holds 机密 as characters, not as a word. Only a true straddle is rejected: a token that crosses an end of the
term without holding the whole term. Containment (政府 in 人民政府) is kept, unless the container is two words that meet
inside the term (金融|资产 holds 融资 as characters only). HMM is off: it is quadratic on runs of
unknown characters, and it glues unknown neighbours together. rjieba gives the same tokens as jieba, faster.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

WEAK = 2.0
"""Log-odds up to which a word that could cross the border leaves the hit half its weight (domain fact sheet, 3.2)."""
NEAR = 5
"""Characters on each side over which two paths are compared; beyond them they take the same words."""
REACH = 12
"""Characters looked at on each side; agreement with the whole text is 100 % from 10 on (measured on 44,939 hits)."""

SITE_COUNT, MOST_COUNT = 300, 100_000
"""Frequency of a site's word that gives none, and the highest one; the dictionary's commonest has 884,000."""
_FAR = 6.0
"""Log-odds beyond which a rarer word cannot win a border, whatever stands around it."""
_TOTAL = math.log(60_101_967)  # occurrences that jieba's dictionary counts
_SITE_WORD = re.compile(r"[\u4e00-\u9fffA-Za-z0-9]{2,32}")
_SITE: list[tuple[str, int]] = []
_BLOCK = re.compile(r"[\u4E00-\u9FD5a-zA-Z0-9+#&._%\-]+")  # what jieba itself takes as one piece
_LOADING = threading.Lock()
_CACHE: list[str] = []


class Border(NamedTuple):
    """A judgement on one hit: kept or not, how much it counts, the words around it, and the word that crosses it."""

    kept: bool
    weight: float
    words: tuple[str, ...]
    rival: str | None


def engine() -> str:
    """Return which engine cuts the words: `rjieba`, or `jieba` where rjieba is missing."""
    return "rjieba" if _fast() is not None else "jieba"


def use_cache_folder(path: str) -> None:
    """Let jieba keep its own cache in `path`, a private folder (0700). Without this it keeps none.

    jieba would otherwise load a predictable name from the shared temporary folder, which any local user can plant.
    """
    folder = Path(path)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if about.st_uid == os.geteuid() and not about.st_mode & 0o077:
        _CACHE[:] = [str(folder)]


def judge(text: str, start: int, end: int) -> Border:
    """Judge the term at `text[start:end]`; terms of four characters and more are always kept."""
    if end - start >= 4:
        return Border(True, 1.0, (), None)
    low = max(0, start - REACH)
    return _judge(text[low : end + REACH], start - low, end - low)


def _judge(text: str, start: int, end: int) -> Border:
    """Judge a term in its neighbourhood."""
    low, high = _block(text, start, end)
    words = cut(text[low:high])
    place = low
    for word in words:
        after = place + len(word)
        crosses = place < start < after or place < end < after
        if place <= start and end <= after:
            if len(word) > end - start and _meets_inside(word, start - place, end - place):
                return Border(False, 0.0, words, word)
        elif crosses and not _compound(word, place, start, end):
            return Border(False, 0.0, words, word)
        place = after
    rival = _weak_rival(text, start, end, low, high)
    return Border(True, 0.5 if rival else 1.0, words, rival)


def covering(text: str, start: int, end: int, containers: Sequence[str]) -> str | None:
    """Return the first of `containers` that stands in `text` around the hit, or None."""
    for word in containers:
        at = text.find(word, max(0, end - len(word)), start + len(word))
        if 0 <= at <= start and end <= at + len(word):
            return word
    return None


def read(lines: Sequence[str]) -> tuple[list[tuple[str, int]], list[int]]:
    """Return the words in the lines of a site's list with their frequencies, and the numbers (from 1) of bad lines.

    A line is a word and, after a blank, its frequency or nothing; # begins a comment.
    """
    taken: list[tuple[str, int]] = []
    bad = []
    for number, line in enumerate(lines, 1):
        word, _, count = line.partition("#")[0].strip().partition(" ")
        count = count.strip()
        if _SITE_WORD.fullmatch(word) and (not count or (count.isascii() and count.isdigit())):
            taken.append((word, min(int(count or SITE_COUNT), MOST_COUNT)))
        elif word:
            bad.append(number)
    return taken, bad


def use(site: Sequence[tuple[str, int]]) -> None:
    """Add the words of a site to both engines, for the whole process, in place of those that were added before.

    A word never becomes rarer than the dictionary has it.
    """
    if tuple(site) != site_words():
        _SITE[:] = site
        for cached in (_rapid, _jieba, cut, _log):
            cached.cache_clear()


def site_words() -> tuple[tuple[str, int], ...]:
    """Return the words of the site that are in use."""
    return tuple(_SITE)


def _weak_rival(text: str, start: int, end: int, low: int, high: int) -> str | None:
    """Return the word that nearly won a border of a hit from it, or None when none came near.

    Two paths are compared by the frequencies of their words: the best with borders at both ends of the term, and the
    best with a word that crosses one. Only where such a word is not much rarer than the term is that worth doing.
    """
    own = _log(text[start:end])
    bar = own - _FAR if own is not None else -1e9
    rivals = []
    for before, after in _crossing(end - start):
        i, j = start + before, start + after
        if low <= i and j <= high:
            log = _log(text[i:j])
            if log is not None and log > bar:
                rivals.append((i, j, log))
    if not rivals:
        return None
    low, high = max(low, start - NEAR), min(high, end + NEAR)
    ahead, behind, inside = _paths(text[low:high], start - low, end - low)
    with_borders = ahead[start - low] + inside + behind[end - low]
    odds, i, j = max((ahead[i - low] + log + behind[j - low], i, j) for i, j, log in rivals if low <= i and j <= high)
    return text[i:j] if with_borders - odds <= WEAK else None


@cache
def _crossing(size: int) -> tuple[tuple[int, int], ...]:
    """Return where words of two to four characters lie that cross one border of a term of `size` characters."""
    return tuple(
        (i, j) for i in range(-3, size) for j in range(max(i + 2, 1), i + 5) if (i < 0 < j < size) or (0 < i < size < j)
    )


def _paths(window: str, start: int, end: int) -> tuple[list[float], list[float], float]:
    """Return the log-likelihood of the best words up to each place, from each place on, and of the term itself."""
    size = len(window)
    ahead, behind = [0.0] + [-1e9] * size, [-1e9] * size + [0.0]
    steps = []
    for begin in range(size):
        for stop in range(begin + 1, min(begin + 4, size) + 1):
            log = _log(window[begin:stop])
            if log is None and stop == begin + 1:
                log = -_TOTAL
            if log is not None:
                steps.append((begin, stop, log))
                ahead[stop] = max(ahead[stop], ahead[begin] + log)
    for begin, stop, log in reversed(steps):
        behind[begin] = max(behind[begin], behind[stop] + log)
    inside = [0.0] + [-1e9] * (end - start)
    for begin, stop, log in steps:
        if start <= begin and stop <= end:
            inside[stop - start] = max(inside[stop - start], inside[begin - start] + log)
    return ahead, behind, inside[-1]


@lru_cache(maxsize=65_536)
def _log(word: str) -> float | None:
    """Return the log-likelihood of a word of the dictionary; None when it is none."""
    fast = _rapid()
    if fast is not None:
        # what is suggested for a word that is in the dictionary is its own frequency
        return math.log(max(1, fast.suggest_freq(word))) - _TOTAL if fast.has_word(word) else None
    count = _jieba().FREQ.get(word, 0)
    return math.log(count) - _TOTAL if count else None


def _meets_inside(word: str, start: int, end: int) -> bool:
    """Tell whether a container is made of two words that meet inside the term: 干部|队伍 around 部队."""
    return any(_both_words(word, middle) for middle in range(max(2, start + 1), min(end, len(word) - 1)))


def _both_words(word: str, middle: int) -> bool:
    halves = word[:middle], word[middle:]
    return all(len(half) >= 2 and cut(half) == (half,) for half in halves)


def _compound(word: str, place: int, start: int, end: int) -> bool:
    """Tell whether a crossing word is made of two words that meet where the term begins or ends: 财务预算 before 表.

    Then the term is no accident of neighbours, as 工资 in 职工|资格 is.
    """
    return _both_words(word, (start if place < start else end) - place)


@lru_cache(maxsize=8192)
def cut(block: str) -> tuple[str, ...]:
    """Return the words of a short text, HMM off."""
    fast = _rapid()
    return tuple(fast.cut(block, False)) if fast is not None else reference(block)


def reference(block: str) -> tuple[str, ...]:
    """Return the words of a text by jieba itself; what `cut` must equal."""
    return tuple(_jieba().cut(block, HMM=False))


def _block(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the bounds of jieba's own block around a hit."""
    before = _BLOCK.match(text[:start][::-1])
    after = _BLOCK.match(text, end)
    return start - (before.end() if before else 0), after.end() if after else end


@cache
def _own_words() -> tuple[tuple[str, int], ...]:
    """Return the words that are added to the dictionary, with their frequencies."""
    lines = (Path(__file__).parent / "tables" / "words.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return tuple((word, int(count)) for word, count in pairs)


@cache
def _fast():  # type: ignore[no-untyped-def]  # noqa: ANN202  rjieba has no types
    """Return the module rjieba, or None where it is missing."""
    try:
        import rjieba  # noqa: PLC0415  unpacks its dictionary for 0.2 s: only who judges a border waits for that
    except ImportError:  # no wheel for this platform: the reference serves, at a tenth of the speed
        return None
    return rjieba


@cache
def _rapid():  # type: ignore[no-untyped-def]  # noqa: ANN202  rjieba has no types
    """Return rjieba's tokenizer with our words, or None where rjieba is missing."""
    fast = _fast()
    if fast is None:
        return None
    with _LOADING:
        tokenizer = fast.Jieba()
        for word, count in (*_own_words(), *_SITE):
            known = tokenizer.suggest_freq(word) if tokenizer.has_word(word) else 0
            tokenizer.add_word(word, max(count, known), None)
        return tokenizer


@lru_cache(maxsize=1)
def _jieba():  # type: ignore[no-untyped-def]  # noqa: ANN202  jieba has no types
    """Return a tokenizer of our own with jieba's dictionary, loaded without the shared temporary folder."""
    with warnings.catch_warnings():
        # Its source has escapes that newer Pythons warn of when they compile it for the first time.
        warnings.simplefilter("ignore")
        import jieba  # noqa: PLC0415  half a second and 60 MB that only the reference needs

    with _LOADING:
        jieba.setLogLevel(logging.WARNING)
        tokenizer = jieba.Tokenizer()
        if _CACHE:
            tokenizer.tmp_dir = _CACHE[0]
            tokenizer.initialize()
        else:
            with tokenizer.get_dict_file() as file:
                tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(file)
            tokenizer.initialized = True
        for word, count in (*_own_words(), *_SITE):
            tokenizer.add_word(word, max(count, tokenizer.FREQ.get(word, 0)))
        return tokenizer
