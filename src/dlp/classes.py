"""What kind of document is it? Told from its title, the lines of its head and its articles.

A regulation about budgets names every word of a budget: its class is a finding like any other, it is shown, and a
clause of the policy may say that words alone do not hold such a document back. A paper of a ministry or the minutes of
a party group are held because of what they are, marked or not. Marks and identifiers always count.
"""

from __future__ import annotations

import re
from functools import lru_cache

import re2

from dlp import packs
from dlp.packs import Rule
from dlp.text import View, fold, top_lines

HEAD = 300
"""Characters at the top in which a title is looked for; above it may stand a number, an issuer, a note of changes."""
LONGEST_LINE = 80
HEAD_LINES = 12
"""Lines with text at the top of which one is that of a red head or a title."""
_ARTICLE = re.compile("第 ?[一二三四五六七八九十百零〇0-9]{1,6} ?条")


def class_in(view: View, rule: Rule) -> tuple[int, int] | None:
    """Return where the title of a document of this class stands (view offsets), or None when it is none.

    A title holds one of the rule's words, or a line of the head is wholly what the rule's pattern says; and at least
    `articles` numbered articles follow; and none of the words in `unless` occurs.
    """
    found = _titled(view, rule) if rule.title else _headed(view, rule)
    if found is None or any(word in view.text for word in _folded(rule.unless)):
        return None
    articles = sum(1 for _ in zip(_ARTICLE.finditer(view.text), range(rule.articles), strict=False))
    return found if articles >= rule.articles else None


def _titled(view: View, rule: Rule) -> tuple[int, int] | None:
    places = ((view.text.find(word, 0, HEAD), word) for word in _folded(rule.title))
    at, word = min(((at, word) for at, word in places if at >= 0), default=(-1, ""))
    return (at, at + len(word)) if word else None


def _headed(view: View, rule: Rule) -> tuple[int, int] | None:
    head = "\n".join(line for line in top_lines(view, HEAD_LINES) if len(line) <= LONGEST_LINE)
    found = _line_pattern(rule.pattern).search(head.encode())
    if found is None:
        return None
    line = found.group().decode().partition("\n")[0]  # a class such as [^a] may run on into the next line
    at = view.text.index(line)
    return at, at + len(line)


@lru_cache(maxsize=64)
def _line_pattern(pattern: str) -> re2._Regexp:
    """Return a pattern that a whole line of several must answer to."""
    return packs.compile_pattern(f"(?m)^(?:{pattern})$")


@lru_cache(maxsize=64)
def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a title as they stand in a view; a handful of rules is asked for every document."""
    return tuple(map(fold, words))
