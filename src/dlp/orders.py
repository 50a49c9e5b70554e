"""What the daemon tells its zygote and a child, and what the zygote reports back: one message each, msgpack, typed."""

from __future__ import annotations

import msgspec

from dlp.limits import Limits
from dlp.model import Box, Cut, Frozen, Mode, Plate
from dlp.wire import decode


class Setup(Frozen, frozen=True, kw_only=True):
    """First message to the zygote: what every child of it gets. `uid` None means: stay who you are."""

    level: str
    limits: Limits
    uid: int | None = None
    gid: int | None = None
    extra: tuple[str, ...] = ()
    passwords: tuple[str, ...] = ()


class Order(Frozen, frozen=True, kw_only=True, tag="order"):
    """Start one child; the message carries its descriptors: source, task, result and, for a copy, output."""

    id: int


class Kill(Frozen, frozen=True, kw_only=True, tag="kill"):
    """End the child of order `id` and everything in its process group."""

    id: int


class Ready(Frozen, frozen=True, kw_only=True, tag="ready"):
    """The zygote is warm: its process id and the seconds of processor time that took."""

    pid: int
    seconds: float


class Refusal(Frozen, frozen=True, kw_only=True, tag="refusal"):
    """The zygote cannot work; `what` is one word for what is missing, `why` an exception class name or errno name."""

    what: str
    why: str = ""


class Exit(Frozen, frozen=True, kw_only=True, tag="exit"):
    """The child of order `id` is gone: by `signal` (0: none) or with exit code `code`."""

    id: int
    code: int = 0
    signal: int = 0


EXIT_CAGE, EXIT_MEMORY, EXIT_BUG, EXIT_RESULT, EXIT_FORK = 71, 72, 73, 74, 75
"""Exit codes of a child: not shut in, out of memory, a bug, a result that does not fit, never made."""


class Task(Frozen, frozen=True, kw_only=True):
    """What a child is to do with its source: extract, redact, verify, stamp, look, show, or prove (its own walls)."""

    what: str
    name: str
    size: int
    drawn: bool = False
    """Its fonts lie: every page is to be drawn and read as a scan."""
    media: str = ""
    cuts: tuple[Cut, ...] = ()
    mode: Mode = Mode.AUTO
    plate: Plate | None = None
    """Of a stamping: what goes on each page. Of a look at the stamped copy: what is to be found there, at `boxes`."""
    boxes: tuple[Box, ...] = ()
    page: int = 0
    """Which one is to be shown, from 1."""
    needles: tuple[str, ...] = ()
    """Of a verification: the texts that must be nowhere in the copy. They never leave the memory of this machine."""


Command = Order | Kill
Report = Ready | Refusal | Exit

_setup = msgspec.msgpack.Decoder(Setup)
_command: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_report: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)
_task = msgspec.msgpack.Decoder(Task)


def read_setup(data: bytes) -> Setup:
    """Return the first message to a zygote, or WireError."""
    return decode(_setup, data)


def read_command(data: bytes) -> Command:
    """Return a message to the zygote, or WireError."""
    return decode(_command, data)


def read_report(data: bytes) -> Report:
    """Return a message of the zygote, or WireError."""
    return decode(_report, data)


def read_task(data: bytes) -> Task:
    """Return the task of a child, or WireError."""
    return decode(_task, data)
