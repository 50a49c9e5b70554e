"""What an ordinary user is really allowed, asked as one: only root can, and nothing is printed or made by it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from urllib.parse import quote

from dlp import ipp
from dlp.ipp import Group, Message, Op, Status, Tag, client
from dlp.ipp.client import Refused, Unreachable, Where

NOBODY = "nobody"
_DENIED = (Status.FORBIDDEN, Status.NOT_AUTHENTICATED, Status.NOT_AUTHORIZED)


def may_print(socket: str, queue: str, *, is_class: bool) -> bool | None:
    """Tell whether an ordinary user may send jobs to a queue; None where this process cannot ask as one."""
    uri = f"ipp://localhost/{'classes' if is_class else 'printers'}/{quote(queue)}"
    message = _question(Op.VALIDATE_JOB, ipp.texts("printer-uri", Tag.URI, uri))
    return _allowed(lambda: client.call(Where.cups(socket), message).code)


def may_make_queues(socket: str) -> bool | None:
    """Tell whether an ordinary user may make a queue; None as above. The question lacks what a queue needs."""
    message = _question(Op.CUPS_CREATE_LOCAL_PRINTER, ipp.texts("printer-uri", Tag.URI, "ipp://localhost/"))
    return _allowed(lambda: client.call(Where.cups(socket), message).code)


def _question(op: Op, *attributes: ipp.Attribute) -> Message:
    name = ipp.texts("printer-name", Tag.NAME, "wenyin-probe")
    more = (Group(Tag.PRINTER, (name,)),) if op is Op.CUPS_CREATE_LOCAL_PRINTER else ()
    return Message(op, 1, (ipp.operation(*attributes), *more))


def _allowed(ask: Callable[[], int]) -> bool | None:
    status = _as_nobody(ask) if os.geteuid() == 0 else None
    return None if status is None else status not in _DENIED


def _as_nobody(ask: Callable[[], int]) -> int | None:
    """Return the status that a child gets who is nobody; None where it gets none."""
    who = pwd.getpwnam(NOBODY)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.setgroups([])
            os.setgid(who.pw_gid)
            os.setuid(who.pw_uid)
            os.write(writing, _status(ask).to_bytes(2, "big"))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        raw = answer.read(2)
    os.waitpid(child, 0)
    return int.from_bytes(raw, "big") if len(raw) == 2 and raw != _NONE else None


_NONE = b"\xff\xff"


def _status(ask: Callable[[], int]) -> int:
    try:
        return ask()
    except Refused as err:
        return err.status
    except Unreachable:
        return int.from_bytes(_NONE, "big")
