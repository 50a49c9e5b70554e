"""What can go wrong for an operator, and the exit code that says so.

Three fates, and only one of them lives here. A *bug* is an ordinary exception: a traceback and exit 1.
A *bad document* is a `model.Gap`: a value, never raised. An *operator error* is a `DlpError`: something a person
can mend, so it carries what happened and what to do, in both languages.
"""

from __future__ import annotations

from typing import ClassVar

from dlp.model import Say


class DlpError(Exception):
    """An operator or administrator can mend this; `say` tells what happened, `hint` what to do."""

    exit: ClassVar[int] = 1

    def __init__(self, say: Say, hint: Say | None = None) -> None:
        super().__init__(say.en)
        self.say = say
        self.hint = hint


class UsageError(DlpError):
    """The command was called with words that do not fit."""

    exit = 2


class Problem:
    """One located fault in a file that a person wrote (configuration or pack)."""

    __slots__ = ("advice", "file", "key", "line", "say")

    def __init__(self, *, file: str, line: int | None, key: str, say: Say, advice: Say | None = None) -> None:
        self.file = file
        self.line = line
        self.key = key
        self.say = say
        self.advice = advice

    def text(self, lang: str) -> str:
        """Return `file:line: key: message (advice)` in `lang`."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        tail = f"（{self.advice.to(lang)}）" if self.advice and lang == "zh" else ""
        if self.advice and lang != "zh":
            tail = f" ({self.advice.to(lang)})"
        return f"{where}: {self.key}: {self.say.to(lang)}{tail}"


class _LocatedError(DlpError):
    """Carries every problem found, so that one run reports them all."""

    def __init__(self, say: Say, problems: tuple[Problem, ...] = (), hint: Say | None = None) -> None:
        super().__init__(say, hint)
        self.problems = problems


class ConfigError(_LocatedError):
    """The configuration cannot be used; every fault is listed with its key and line."""

    exit = 3


class PackError(_LocatedError):
    """A rule pack cannot be used; every fault is listed with its rule and line."""

    exit = 4


class StoreError(DlpError):
    """The job store cannot be opened or written."""

    exit = 5


class Conflict(StoreError):  # noqa: N818  what two people at one record have
    """Somebody else changed it since it was read; nothing was written."""


class VaultError(DlpError):
    """The vault cannot seal, open or find an object."""

    exit = 6


class AuditBroken(DlpError):  # noqa: N818  a broken trail is a state, not an error of the caller
    """The audit chain does not verify: a row was changed, removed or reordered."""

    exit = 7


class SandboxUnavailable(DlpError):  # noqa: N818  names the state that the doctor reports
    """The machine cannot contain hostile files at the level the configuration asks for."""

    exit = 8


class Denied(DlpError):  # noqa: N818  the word the desk uses
    """This person may not do this."""

    exit = 9


class NotFound(DlpError):  # noqa: N818  the word the desk uses
    """No such job, item, rule or file."""

    exit = 10


class PrintingError(DlpError):
    """CUPS, the gateway or a printer is not as printing through the gate needs it."""

    exit = 11


class NotProven(DlpError):  # noqa: N818  names the outcome
    """A redacted copy could not be made or did not pass its second inspection; nothing was written."""

    exit = 23
