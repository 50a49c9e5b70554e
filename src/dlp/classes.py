"""What kind of document is it? Told from its title and its articles, so that a regulation is not taken for a secret.

A regulation about budgets names every word of a budget. Its class is a finding like any other: it is shown, and a
clause of the policy may say that words alone do not hold such a document back. Marks and identifiers always count.
"""

from __future__ import annotations

import re
from functools import lru_cache

from dlp.packs import Rule
from dlp.text import View, fold

HEAD = 300
"""Characters at the top in which a title is looked for; above it may stand a number, an issuer, a note of changes."""
_ARTICLE = re.compile("第 ?[一二三四五六七八九十百零〇0-9]{1,6} ?条")


def class_in(view: View, rule: Rule) -> tuple[int, int] | None:
    """Return where the title of a document of this class stands (view offsets), or None when it is none.

    The title holds one of the rule's words, and at least `articles` numbered articles follow.
    """
    places = ((view.text.find(word, 0, HEAD), word) for word in _folded(rule.title))
    found = min(((at, word) for at, word in places if at >= 0), default=None)
    if found is None:
        return None
    if (
        rule.articles
        and sum(1 for _ in zip(_ARTICLE.finditer(view.text), range(rule.articles), strict=False)) < rule.articles
    ):
        return None
    return found[0], found[0] + len(found[1])


@lru_cache(maxsize=64)
def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a title as they stand in a view; a handful of rules is asked for every document."""
    return tuple(map(fold, words))
