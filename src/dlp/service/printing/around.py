"""What else on this machine has a hand in its queues: programs that make some by themselves, and administrators."""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dlp.model import Say
from dlp.service.printing.rows import Bypass, Check, Row
from dlp.service.printing.scheduler import Queue

USUAL_SOCKETS = ("/run/cups/cups.sock", "/var/run/cups/cups.sock")
_SYSTEM_GROUPS = ("lpadmin", "sys", "root")


def found_by_itself(queues: Iterable[Queue], socket: str) -> Row:
    """Tell whether something makes queues that nobody locks: cups-browsed serves the CUPS at the usual place."""
    made = "、".join(queue.name for queue in queues if queue.device.startswith("implicitclass:"))
    if made or (socket in USUAL_SOCKETS and runs("cups-browsed")):
        say = Say(
            f"cups-browsed 会自动建立直连网络打印机的队列 {made}".rstrip(),
            f"cups-browsed makes queues to printers of the network by itself {made}".rstrip(),
        )
        do = Say("systemctl disable --now cups-browsed", "systemctl disable --now cups-browsed")
        return Bypass("", "found-by-itself", "open", say, do)
    return Bypass("", "found-by-itself", "closed", Say("没有自动建立的队列", "no queues are made by themselves"))


def administrators() -> Row:
    """Name everybody who may change queues: they are not kept out by anything here."""
    names = "、".join(sorted({name for group in _system_groups() for name in members(group)} | {"root"}))
    say = Say(f"CUPS 管理员（可更改以上各项）：{names}", f"administrators of CUPS, who may change all this: {names}")
    return Check("", "administrators", ok=True, say=say)


def runs(program: str) -> bool:
    """Tell whether a program of this name runs on this machine."""
    for entry in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if entry.read_text(encoding="utf-8", errors="replace").strip() == program:
                return True
    return False


def members(group: str) -> list[str]:
    """Return the people in a group, without the accounts of the system."""
    with suppress(KeyError):
        return [name for name in grp.getgrnam(group).gr_mem if name not in ("root", "lp", "cups")]
    return []


def _system_groups() -> tuple[str, ...]:
    file = Path(os.environ.get("CUPS_SERVERROOT", "/etc/cups"), "cups-files.conf")
    with suppress(OSError):
        text = file.read_text(encoding="utf-8", errors="replace")
        if said := re.findall(r"^SystemGroup[ \t]+(.+)$", text, re.MULTILINE):
            return tuple(said[-1].split())
    return _SYSTEM_GROUPS
