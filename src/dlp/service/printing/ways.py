"""Where jobs go: from a queue to the gate, and from the gate to the printer."""

from __future__ import annotations

import os
import pwd
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dlp import ipp
from dlp.config import Config, Printer
from dlp.errors import PrintingError, UsageError
from dlp.ipp import Op, Tag, client
from dlp.ipp.client import Refused, Unreachable, Where
from dlp.model import Say
from dlp.service.printing import same
from dlp.service.printing.record import Record
from dlp.service.printing.scheduler import Queue, Scheduler
from dlp.sources.printer import PDF

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Wanted(NamedTuple):
    """What `dlp print install` was asked for."""

    queue: str
    printer: str = ""
    """An address or a queue; empty: what the configuration says."""
    user: str = ""
    """Whom the gate runs as; empty: the owner of its vault."""
    model: str = ""
    """The driver for a printer that cannot say what it is (`lpinfo -m`)."""
    held: bool = False
    """Jobs wait in CUPS while their originals are screened."""


class Way(NamedTuple):
    """How cleared jobs reach the printer."""

    onward: str
    """What the configuration has to say: `ipp://...` or `cups:QUEUE`."""
    queue: str = ""
    """The locked queue; empty where the gate speaks to the printer itself."""
    device: str = ""
    """The address of the printer; empty where the locked queue is there already and knows it."""
    driver: bytes | None = None
    copied: bool = False
    """The locked queue is a copy of the one whose name people go on using, with its driver."""


def entry_of(config: Config, queue: str) -> Printer | None:
    """Return what the configuration says of the printer behind a queue."""
    return next((printer for printer in config.printers if printer.cups_queue == queue), None)


def gateway_uri(config: Config, name: str) -> str:
    """Return where the gate stands in the place of the printer that the configuration calls `name`."""
    host = config.printing.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104  read
    return f"ipp://{host}:{config.printing.port}/ipp/print/{name}"


def gate_user(config: Config, known: str = "", asked: str = "") -> str:
    """Return whom the gate runs as, to CUPS: who was named, or known from before, or the owner of the vault."""
    if asked or known:
        return asked or known
    with suppress(OSError, KeyError):
        return pwd.getpwuid(config.vault.folder.stat().st_uid).pw_name
    return pwd.getpwuid(os.geteuid()).pw_name


def find(config: Config, wanted: Wanted, cups: Scheduler, record: Record) -> Way:
    """Return the way of cleared jobs: the one that is there, or the one that has to be made."""
    queues = cups.queues()
    known = record.find(wanted.queue)
    if known is not None and wanted.printer in ("", known.asked):
        locked = known.onward.removeprefix("cups:") if known.onward.startswith("cups:") else ""
        if not locked or locked in queues:
            return Way(known.onward, locked, "" if locked else known.onward)
    entry = entry_of(config, wanted.queue)
    if not wanted.printer and entry is None:
        raise UsageError(Say("请用 --printer 写明打印机的地址或队列", "name the printer with --printer"))
    asked = wanted.printer or (entry.onward.removeprefix("cups:") if entry is not None else "")
    if ":" in asked:
        return _to_address(asked, wanted)
    return _to_queue(asked, config, wanted, cups, record)


def address_of(queue: Queue) -> str:
    """Return the whole address of a queue: CUPS tells it without the password that it may hold."""
    file = Path(os.environ.get("CUPS_SERVERROOT", "/etc/cups"), "printers.conf")
    with suppress(OSError):
        text = file.read_text(encoding="utf-8", errors="replace")
        start = re.search(rf"^<(?:Default)?Printer {re.escape(queue.name)}>$", text, re.MULTILINE)
        found = re.compile(r"^DeviceURI (\S+)", re.MULTILINE).search(text, start.end()) if start else None
        if found and re.sub(r"//[^/@]*@", "//", found[1]) == queue.device:
            return found[1]
    if queue.device.startswith("smb:"):
        raise PrintingError(
            Say(
                f"队列 {queue.name} 的地址可能含口令，读不到原文",
                f"the address of {queue.name} may hold a password, and cannot be read",
            ),
            Say("请以 root 运行，或换一个队列名", "run it as root, or use another name for the queue"),
        )
    return queue.device


def formats(uri: str) -> tuple[str, ...]:
    """Return the document formats that a printer takes; PrintingError where it does not answer."""
    try:
        where = Where.of(uri)
        asked = ipp.texts("requested-attributes", Tag.KEYWORD, "document-format-supported")
        answer = client.ask(where, Op.GET_PRINTER_ATTRIBUTES, ipp.texts("printer-uri", Tag.URI, uri), asked)
    except ValueError as err:
        raise UsageError(Say(f"不是打印机地址：{uri}", f"no address of a printer: {uri}")) from err
    except (Unreachable, Refused) as err:
        raise PrintingError(
            Say(f"打印机没有应答：{uri}（{err}）", f"the printer does not answer: {uri} ({err})"),
            Say("打开打印机，检查地址和路径后再运行", "switch it on, look at address and path, and run this again"),
        ) from err
    return answer.group(Tag.PRINTER).texts("document-format-supported")


def others(queues: dict[str, Queue], way: Way, ours: set[str]) -> list[Queue]:
    """Return the queues that lead to the same printer past the gate, and the classes that hold one.

    A class asks its own policy, never that of its members: it would let anybody into a locked queue.
    """
    behind = queues.get(way.queue)
    printer = same.marks(behind.device if behind is not None else way.device)
    there = {name: queue for name, queue in queues.items() if not queue.is_class and same.marks(queue.device) & printer}
    found = [queue for name, queue in there.items() if name not in ours]
    closed = set(there)
    while more := [
        q for q in queues.values() if q.is_class and q.name not in closed and closed.intersection(q.members)
    ]:
        found += more
        closed |= {queue.name for queue in more}
    return found


def toml(config: Config, wanted: Wanted, way: Way) -> str:
    """Return the lines that the configuration needs."""
    taken = {printer.name for printer in config.printers}
    free = (f"printer-{number}" for number in range(1, len(taken) + 2))
    name = wanted.queue if _SLUG.fullmatch(wanted.queue) else next(name for name in free if name not in taken)
    rows = ["[[printers]]", f'name = "{name}"', f'onward = "{way.onward}"', f'queue = "{wanted.queue}"']
    return "\n".join([*rows, *(['mode = "held"'] if wanted.held else [])])


def _to_address(uri: str, wanted: Wanted) -> Way:
    out = f"{wanted.queue}-out"
    if uri.startswith("ipp://"):
        if PDF in formats(uri) and not wanted.held:
            return Way(uri, device=uri)
    elif not uri.startswith("ipps://") and not wanted.model:
        raise UsageError(
            Say(f"{uri} 不会报告自己的型号", f"{uri} does not say what it is"),
            Say(
                "用 --model 写明驱动（lpinfo -m 列出），或先建好该打印机的队列，再用 --printer 队列名",
                "name a driver with --model (`lpinfo -m`), or make its queue first and give that to --printer",
            ),
        )
    return Way(f"cups:{out}", out, uri)


def _to_queue(name: str, config: Config, wanted: Wanted, cups: Scheduler, record: Record) -> Way:
    queue = cups.queue(name)
    if queue.is_class:
        raise UsageError(Say(f"{name} 是打印机组，不是打印机", f"{name} is a class, not a printer"))
    if name != wanted.queue and not _leads_here(queue, config):
        return Way(f"cups:{name}", name)
    out = f"{wanted.queue}-out"
    was = record.was(name)
    if name == wanted.queue and was is not None and was.existed:
        return Way(f"cups:{out}", out, was.device, was.driver, copied=True)
    if _leads_here(queue, config):
        raise UsageError(Say(f"队列 {name} 本身就通向闸门", f"queue {name} leads to the gate itself"))
    return Way(f"cups:{out}", out, address_of(queue), cups.driver(name), copied=True)


def _leads_here(queue: Queue, config: Config) -> bool:
    return queue.device.startswith(gateway_uri(config, ""))
