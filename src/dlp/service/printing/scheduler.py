"""CUPS, as whoever sets up its queues sees it: what it has, and the changes that are asked of it.

Everything goes over its socket file, where CUPS believes who asks: root, or a member of its system group.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from dlp import durable, ipp
from dlp.errors import Denied, NotFound, PrintingError
from dlp.ipp import Attribute, Group, JobState, Message, Op, Status, Tag, client
from dlp.ipp.client import Body, Refused, Unreachable, Where
from dlp.model import Say

OLDEST = (2, 2)
"""The first CUPS with queues that are made from what a printer says of itself, and that knows local queues."""
CONF = "/admin/conf/cupsd.conf"
NOWHERE = "file:///dev/null"
STOPPED = 5
IDLE = 3
ANSWER_SECONDS = 40.0
"""How long CUPS may take to come back with a new configuration: it lets its clients finish for 30 s."""
DRIVER_SECONDS = 30.0
"""How long CUPS may take to ask a printer what it is and to write the driver."""
_LOOK_SECONDS = 0.05
_CLASS = 0x0001
_WANTED = (
    *("printer-name", "device-uri", "printer-type", "member-names", "printer-op-policy", "printer-error-policy"),
    *("printer-is-accepting-jobs", "printer-state", "printer-state-message", "printer-is-shared"),
    *("job-hold-until-default", "printer-op-policy-supported", "queued-job-count"),
)
_OPEN = (JobState.PENDING, JobState.HELD, JobState.PROCESSING, JobState.STOPPED)
_T = TypeVar("_T")


class Queue(NamedTuple):
    """A queue or class of CUPS."""

    name: str
    device: str
    is_class: bool
    members: tuple[str, ...]
    policy: str
    error_policy: str
    accepting: bool
    stopped: bool
    said: str
    hold: str


class Scheduler:
    """One CUPS."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._where = Where.cups(str(socket))
        self._admin = Where.cups(str(socket), "/admin/")

    def check(self) -> str:
        """Return its name and version; PrintingError where it does not run or is too old."""
        with self._reached():
            said = client.page(self._where, "/").server
        found = re.search(r"CUPS/(\d+)\.(\d+)", said)
        if found and (int(found[1]), int(found[2])) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise PrintingError(
                Say(f"CUPS 版本太旧：{found[0]}，需要 {oldest} 以上", f"{found[0]} is too old: {oldest} is needed"),
                Say("请先升级 CUPS", "upgrade CUPS first"),
            )
        return found[0] if found else said or "CUPS"

    # what it has

    def queues(self) -> dict[str, Queue]:
        """Return every queue and class by name."""
        wanted = ipp.texts("requested-attributes", Tag.KEYWORD, *_WANTED)
        with self._reached():
            try:
                answer = client.ask(self._where, Op.CUPS_GET_PRINTERS, wanted)
            except Refused as err:
                if err.status == Status.NOT_FOUND:
                    return {}
                raise
        return {queue.name: queue for queue in map(_queue, answer.all(Tag.PRINTER))}

    def queue(self, name: str) -> Queue:
        """Return one queue or class; NotFound."""
        found = self.queues().get(name)
        if found is None:
            raise NotFound(Say(f"CUPS 没有队列 {name}", f"CUPS has no queue {name}"))
        return found

    def driver(self, name: str) -> bytes | None:
        """Return the PPD file of a queue; None for one that sends everything as it comes."""
        with self._reached():
            page = client.page(self._where, f"/printers/{quote(name)}.ppd")
        return page.raw if page.status == 200 and page.raw.startswith(b"*PPD-Adobe") else None

    def open_jobs(self, name: str) -> tuple[int, ...]:
        """Return the numbers of the jobs of a queue or class that are not finished."""
        kind = "classes" if self.queue(name).is_class else "printers"
        with self._reached():
            answer = client.ask(
                self._where,
                Op.GET_JOBS,
                ipp.texts("printer-uri", Tag.URI, f"ipp://localhost/{kind}/{quote(name)}"),
                ipp.texts("which-jobs", Tag.KEYWORD, "not-completed"),
                ipp.texts("requested-attributes", Tag.KEYWORD, "job-id", "job-state"),
            )
        jobs = answer.all(Tag.JOB)
        return tuple(sorted(job.number("job-id") for job in jobs if job.number("job-state") in _OPEN))

    def conf(self) -> str:
        """Return the text of cupsd.conf; Denied where this user may not read it."""
        with self._reached():
            page = client.page(self._admin, CONF)
        if page.status != 200:
            raise _denied(page.status)
        return page.raw.decode("utf-8", "surrogateescape")

    # what is changed

    def put_conf(self, text: str) -> None:
        """Replace the text of cupsd.conf, and wait until CUPS answers by it. CUPS keeps the old one as cupsd.conf.O.

        Jobs that are printing go on. CUPS hears nobody while it reads, so the next answer comes from the new text.
        """
        raw = text.encode("utf-8", "surrogateescape")
        with self._reached():
            page = client.page(self._admin, CONF, put=raw)
        if page.status not in (200, 201, 204):
            raise _denied(page.status)
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                if client.page(self._admin, CONF).raw == raw:
                    return
            except Unreachable:
                pass  # between the old socket and the new one
            if time.monotonic() > end:
                raise PrintingError(
                    Say("CUPS 没有按新的 cupsd.conf 恢复应答", "CUPS did not come back with the new cupsd.conf"),
                    Say(
                        "查看 CUPS 的 error_log；原文在同一文件夹的 cupsd.conf.O，改回后重新启动 CUPS",
                        "see its error_log; the text before lies beside it as cupsd.conf.O: put it back, restart CUPS",
                    ),
                )
            time.sleep(_LOOK_SECONDS)  # a restart has no event to wait for

    def change(self, name: str, *attributes: Attribute, driver: bytes | None = None, is_class: bool = False) -> None:
        """Make a queue, or change what is named of it; `driver` becomes its PPD file."""
        kind, op = ("classes", Op.CUPS_ADD_MODIFY_CLASS) if is_class else ("printers", Op.CUPS_ADD_MODIFY_PRINTER)
        self._ask(op, f"ipp://localhost/{kind}/{quote(name)}", name, attributes, driver)

    def delete(self, name: str) -> None:
        """Delete a queue, and with it the jobs that it still has."""
        self._ask(Op.CUPS_DELETE_PRINTER, f"ipp://localhost/printers/{quote(name)}", name)

    def default(self) -> str:
        """Return the name of the default queue; empty where there is none."""
        with self._reached():
            try:
                answer = client.ask(self._where, Op.CUPS_GET_DEFAULT)
            except Refused as err:
                if err.status == Status.NOT_FOUND:
                    return ""
                raise
        return answer.group(Tag.PRINTER).text("printer-name")

    def describe(self, name: str, uri: str, query: str, *attributes: Attribute) -> bytes:
        """Make or change a queue to a printer from what the printer says of itself; return its new driver.

        `query` is put behind the address afterwards: CUPS would ask the printer with it. PrintingError when the
        printer does not answer, or is of no kind that CUPS can make a driver for.
        """
        device = ipp.texts("device-uri", Tag.URI, uri)
        plain = ipp.texts("ppd-name", Tag.NAME, "raw")  # so that the new driver is seen to come
        self.change(name, device, plain, *attributes)
        self.change(name, device, ipp.texts("ppd-name", Tag.NAME, "everywhere"))
        driver = _wait(lambda: self.driver(name), DRIVER_SECONDS)
        if driver is None:
            raise PrintingError(
                Say(
                    f"CUPS 未能为 {uri} 生成驱动（队列 {name}）", f"CUPS could make no driver for {uri} (queue {name})"
                ),
                Say(
                    "确认该打印机或网关在应答，再运行一次", "see that the printer or the gateway answers; run it again"
                ),
            )
        self.change(name, ipp.texts("device-uri", Tag.URI, f"{uri}?{query}"))
        return driver

    def _ask(
        self, op: Op, uri: str, name: str, attributes: tuple[Attribute, ...] = (), driver: bytes | None = None
    ) -> None:
        groups = [ipp.operation(ipp.texts("printer-uri", Tag.URI, uri))]
        if attributes:
            groups.append(Group(Tag.PRINTER, attributes))
        with self._reached(name), _body(driver) as body:
            client.told(client.call(self._admin, Message(op, 1, tuple(groups)), body))

    @contextmanager
    def _reached(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except Unreachable as err:
            raise PrintingError(
                Say(f"CUPS 没有应答：{self.socket}（{err}）", f"CUPS does not answer: {self.socket} ({err})"),
                Say("启动 CUPS（systemctl start cups），或改正 printing.cups", "start CUPS, or mend printing.cups"),
            ) from err
        except Refused as err:
            if err.status in (Status.FORBIDDEN, Status.NOT_AUTHENTICATED, Status.NOT_AUTHORIZED):
                raise _denied(err.status) from err
            raise PrintingError(
                Say(f"CUPS 拒绝了对队列 {name} 的操作（{err}）", f"CUPS refused what was asked of queue {name} ({err})")
            ) from err


def _wait(fact: Callable[[], _T | None], seconds: float) -> _T | None:
    """Return what comes within so many seconds; None when nothing does."""
    end = time.monotonic() + seconds
    while (found := fact()) is None and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)  # CUPS has no event for this
    return found


@contextmanager
def _body(raw: bytes | None) -> Iterator[Body | None]:
    if raw is None:
        yield None
        return
    fd = durable.memory_file("driver")
    try:
        durable.write_all(fd, raw)
        yield Body(fd, len(raw))
    finally:
        os.close(fd)


def _denied(status: int) -> Denied:
    return Denied(
        Say(f"当前用户无权更改 CUPS（{status}）", f"this user may not change CUPS ({status})"),
        Say(
            "请以 root 或 CUPS 管理组（lpadmin）成员运行", "run it as root or as a member of the system group (lpadmin)"
        ),
    )


def _queue(group: Group) -> Queue:
    return Queue(
        name=group.text("printer-name"),
        device=group.text("device-uri"),
        is_class=bool(group.number("printer-type") & _CLASS),
        members=group.texts("member-names"),
        policy=group.text("printer-op-policy", "default"),
        error_policy=group.text("printer-error-policy"),
        accepting=group.flag("printer-is-accepting-jobs"),
        stopped=group.number("printer-state") == STOPPED,
        said=group.text("printer-state-message"),
        hold=group.text("job-hold-until-default", "no-hold"),
    )
