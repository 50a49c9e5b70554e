"""How the term of a state secret stands on a day: values alone, and who shows them loads no reader of marks.

`dlp.marks.lint` computes them.
"""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import NamedTuple

from dlp.model import Say


class Standing(Enum):
    """How a term stands on a day."""

    NONE = "none"
    """No state-secret mark, so the law gives it no term."""
    LONG = "long"
    EVENT = "event"
    UNKNOWN = "unknown"
    RUNNING = "running"
    OVER = "over"
    """期满待确认: over by the calendar, and a person must confirm it."""


class Term(NamedTuple):
    """How a term stands, the day on which it ends where that is known, and what is said of it."""

    standing: Standing
    until: date | None
    say: Say
