"""What `dlp print status` tells: what has to be so, and every way around the gate."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dlp.model import Say

State = Literal["closed", "open", "network", "unknown"]


class Check(NamedTuple):
    """Whether something that is needed is so."""

    queue: str
    what: str
    ok: bool
    say: Say
    do: Say | None = None


class Bypass(NamedTuple):
    """A way around the gate. `network`: only a rule of the network can close it. `queue` "": of the whole CUPS."""

    queue: str
    what: str
    state: State
    say: Say
    do: Say | None = None


Row = Check | Bypass
AGAIN = Say("运行 dlp print install 补齐", "run `dlp print install` again")
AS_ROOT = Say("以 root 再运行一次", "run it again as root")
