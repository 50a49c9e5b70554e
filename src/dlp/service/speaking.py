"""In which language something is told: of this request, of this command, else of the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CHOSEN: ContextVar[str] = ContextVar("language", default="")


def language() -> str:
    """Return `zh` or `en`: what was chosen, else the locale; Chinese where the locale says nothing."""
    if chosen := _CHOSEN.get():
        return chosen
    named = next((value for key in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(key))), "")
    name = re.split(r"[_.@]", named)[0].lower()
    return "zh" if name in ("", "c", "posix", "zh") else "en"


def choose(language: str) -> None:
    """Choose for all that follows in this process or request."""
    _CHOSEN.set(language)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Choose for what is done inside."""
    token = _CHOSEN.set(language)
    try:
        yield
    finally:
        _CHOSEN.reset(token)
