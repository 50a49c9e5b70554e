"""Bare print streams and LPD: real clients, and hostile ones; what reaches the printer went through the gate."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Self, cast

import pytest

from dlp.config import Config, Printer
from dlp.ipp import http
from dlp.model import State
from dlp.service import listeners
from dlp.service.gateway import Gateway, Sent
from dlp.sources import lpd
from dlp.sources.printer import PrinterSource
from pdf_makers import drawn, written
from print_stack import PrintStack, free_port, until
from shop import QUEUE, Shop

NUMBER = "110101199003077758"
CLEAN = drawn(written("A letter about a room. 会议场地答复函"))
SECOND = drawn(written("Another letter. 第二份"))
SECRET = drawn(written("机密★10年\n关于专项工作的实施方案"))


class Old(Shop):
    """A shop with a raw port and an LPD port."""

    def __init__(self, root: Path, stack: PrintStack, *, printing: str = "", printer: str = "") -> None:
        self.raw_port, self.lpd_port = free_port(), free_port()
        super().__init__(
            root,
            stack,
            printing=f"lpd_port = {self.lpd_port}\n{printing}",
            printer=f"raw_port = {self.raw_port}\n{printer}",
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def _listens(self) -> bool:
        if not super()._listens():
            return False
        with closing(socket.socket()) as raw, closing(socket.socket()) as line:
            ports = ((raw, self.raw_port), (line, self.lpd_port))
            return all(probe.connect_ex(("127.0.0.1", port)) == 0 for probe, port in ports)

    def raw(self, content: bytes) -> None:
        """Send bytes as a client of port 9100 does, and wait until the gate has closed."""
        with closing(self.connect(self.raw_port)) as plug:
            plug.sendall(content)
            plug.shutdown(socket.SHUT_WR)
            assert plug.recv(1) == b""

    def connect(self, port: int) -> socket.socket:
        """Return a connection to the gate."""
        return socket.create_connection(("127.0.0.1", port), timeout=60)

    def lpr(
        self, *files: tuple[bytes, bytes], lines: bytes = b"", queue: bytes = b"office", last: bool = False
    ) -> bytes:
        """Send a job by LPD, its control file first or `last`; return every answer up to the first no."""
        control = b"Hpc1\nPwang\n" + lines + b"".join(b"f%b\nU%b\n" % (name, name) for name, _ in files)
        steps = [(3, name, body) for name, body in files]
        steps.insert(len(steps) if last else 0, (2, b"cfA001pc1", control))
        with closing(Caller(self.connect(self.lpd_port))) as caller:
            told = caller.say(b"\2office\n")
            for code, name, body in steps:
                for said in (b"%c%d %b\n" % (code, len(body), name), body + b"\0"):
                    if told.strip(b"\0"):
                        return told
                    told += caller.say(said)
            return told


class Caller:
    """An LPD client on a connection."""

    def __init__(self, plug: socket.socket) -> None:
        self.plug = plug

    def say(self, words: bytes) -> bytes:
        """Send, and return the one octet of the answer; nothing where the gate has hung up."""
        try:
            self.plug.sendall(words)
            return self.plug.recv(1)
        except ConnectionError:
            return b""

    def close(self) -> None:
        """Hang up."""
        self.plug.close()


@pytest.fixture
def shop(tmp_path: Path, stack: PrintStack) -> Iterator[Old]:
    """A shop that is open."""
    with Old(tmp_path, stack) as made:
        yield made


def test_a_stream_is_screened_and_printed_as_it_came(shop: Old) -> None:
    """Clean bytes reach the printer unchanged, secret ones do not; who sent them is an address, not verified."""
    shop.raw(SECRET)
    shop.raw(CLEAN)
    (printed,) = shop.printer.wait(1)
    assert printed.body == CLEAN
    shop.wait(1, State.WITHHELD)
    (job,) = shop.wait(1, State.RELEASED)
    assert job.item.owner == "127.0.0.1（未核实）"


def wrapped(name: bytes, body: bytes) -> bytes:
    """Return a document in the words that tell a printer its language."""
    uel = b"\x1b%-12345X"
    return uel + b'@PJL SET JOBNAME="' + name + b'"\r\n@PJL ENTER LANGUAGE=PDF\r\n' + body + uel


def test_job_control_is_sent_on_as_it_came(tmp_path: Path, stack: PrintStack) -> None:
    """A wrapped PDF that is clean is printed with its wrapper; one that holds a mark, or is named so, is not."""
    able = stack.printer("able", ("application/pdf", "application/vnd.hp-pjl"))
    with Old(tmp_path, stack, printer=f'onward = "{able.uri}"') as shop:
        shop.raw(wrapped(b"a", SECRET))
        shop.raw(wrapped("绝密★长期 名单".encode("gbk"), CLEAN))
        shop.raw(wrapped(b"a", CLEAN))
        shop.wait(1, State.RELEASED)
        shop.wait(2, State.WITHHELD, State.HELD)
        assert [printed.body for printed in able.wait(1)] == [wrapped(b"a", CLEAN)]


def test_job_control_is_held_where_the_printer_does_not_take_it(shop: Old) -> None:
    """A printer that refuses the wrapper gets nothing, and the job waits for a person who is told why."""
    shop.raw(wrapped(b"a", CLEAN))
    (job,) = shop.wait(1, State.HELD)
    assert job.note is not None
    assert "拒收" in job.note.zh
    assert shop.printer.jobs() == []


def test_an_empty_connection_is_nothing(shop: Old) -> None:
    """Who only looks whether a printer is there leaves no job, on either port."""
    for port in (shop.raw_port, shop.lpd_port):
        shop.connect(port).close()
    shop.raw(b"")
    shop.raw(CLEAN)
    shop.printer.wait(1)
    assert len(shop.jobs()) == 1


def test_a_stream_that_breaks_is_not_taken(shop: Old) -> None:
    """A reset in the middle of a stream: no job of it is kept, nothing is printed, nothing stays in the vault."""
    plug = shop.connect(shop.raw_port)
    plug.sendall(CLEAN + bytes(400_000))
    until(lambda: [job for job in shop.jobs() if job.state is State.TAKING], "it is being taken", log=shop.told)
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    plug.close()
    shop.wait(1, State.REFUSED)
    assert list((shop.site.vault / "q").iterdir()) == []
    assert shop.printer.jobs() == []


@pytest.mark.parametrize("last", [False, True], ids=["control first", "data first"])
def test_lpd_jobs_are_screened(shop: Old, *, last: bool) -> None:
    """Title, user and copies of the control file count; each answer is a yes once the job is sealed."""
    title = "会议通知".encode("gbk")
    lines = b"J" + title + b"\n" + b"fdfA001pc1\n" * 2
    assert shop.lpr((b"dfA001pc1", CLEAN), lines=lines, last=last) == bytes(5)
    (printed,) = shop.printer.wait(1)
    assert (printed.body, printed.attributes["copies"]) == (CLEAN, "3")
    (job,) = shop.wait(1, State.RELEASED)
    assert (job.item.name, job.item.owner, job.item.copies) == ("会议通知", "wang（未核实）", 3)
    shop.lpr((b"dfA002pc1", SECRET), last=last)
    shop.wait(1, State.WITHHELD)
    assert len(shop.printer.jobs()) == 1


@pytest.mark.parametrize("last", [False, True], ids=["control first", "data first"])
def test_each_file_of_an_lpd_job_is_a_job(shop: Old, *, last: bool) -> None:
    """Several data files: each is screened by itself, and each clean one is printed, in order."""
    files = ((b"dfA001pc1", CLEAN), (b"dfB001pc1", SECRET), (b"dfC001pc1", SECOND))
    assert shop.lpr(*files, lines=b"Jthree\n", last=last) == bytes(9)
    assert [printed.body for printed in shop.printer.wait(2)] == [CLEAN, SECOND]
    shop.wait(2, State.RELEASED)
    shop.wait(1, State.WITHHELD)


def test_a_title_that_is_a_mark_is_seen(shop: Old) -> None:
    """A mark in the job name or the file name holds a clean document, in GBK as in UTF-8; a number in it is masked."""
    shop.lpr((b"dfA001pc1", CLEAN), lines=b"J" + "绝密★长期 名单".encode("gbk") + b"\n")
    shop.lpr((b"dfA002pc1", CLEAN), lines=b"Jletter\nN" + "绝密★长期 名单".encode() + b"\n")
    shop.lpr((b"dfA003pc1", CLEAN), lines=f"J{NUMBER} 的申请\n".encode())
    shop.wait(2, State.HELD, State.WITHHELD)
    until(lambda: len(shop.jobs()) == 3, "all three", log=shop.told)
    assert NUMBER.encode() not in (shop.site.state / "gate.db").read_bytes()
    assert NUMBER not in shop.log.read_text(encoding="utf-8")


def test_what_is_cut_off_is_not_taken(shop: Old) -> None:
    """A data file shorter or longer than announced, and a job without its last file: no yes, nothing taken."""
    control = b"Pwang\nfdfA001pc1\n"
    start = (b"\2office\n", b"\2%d cfA001pc1\n" % len(control), control + b"\0", b"\3%d dfA001pc1\n" % len(CLEAN))
    for rest in (CLEAN[:-1], CLEAN, CLEAN + b"x"):
        plug = shop.connect(shop.lpd_port)
        with closing(Caller(plug)) as caller:
            assert [caller.say(words) for words in start] == [b"\0"] * 4
            plug.sendall(rest)
            plug.shutdown(socket.SHUT_WR)
            assert plug.recv(1) in (b"", b"\1")
    with closing(Caller(shop.connect(shop.lpd_port))) as caller:
        for words in (b"\2office\n", b"\3%d dfA001pc1\n" % len(CLEAN), CLEAN + b"\0"):
            assert caller.say(words) == b"\0"
    assert shop.lpr((b"dfA002pc1", SECOND)) == bytes(5)
    assert [printed.body for printed in shop.printer.wait(1)] == [SECOND]
    assert {job.state for job in shop.jobs()} <= {State.RELEASED, State.REFUSED}


def test_an_aborted_job_is_forgotten(shop: Old) -> None:
    """The client may take back what it has sent so far, and send another job on the same connection."""
    control = b"Pwang\nfdfA001pc1\n"
    with closing(Caller(shop.connect(shop.lpd_port))) as caller:
        for words in (
            b"\2office\n",
            b"\3%d dfA001pc1\n" % len(SECOND),
            SECOND + b"\0",
            b"\1\n",
            b"\2%d cfA001pc1\n" % len(control),
            control + b"\0",
            b"\3%d dfA001pc1\n" % len(CLEAN),
            CLEAN + b"\0",
        ):
            assert caller.say(words) == b"\0"
    assert [printed.body for printed in shop.printer.wait(1)] == [CLEAN]


def test_the_ways_to_print_are_told(shop: Old) -> None:
    """At its start the gate says every address at which it takes jobs."""
    said = f"socket://127.0.0.1:{shop.raw_port}, lpd://127.0.0.1:{shop.lpd_port}/office"
    until(lambda: said in shop.log.read_text(encoding="utf-8"), "the ways to print are said", log=shop.told)


def test_the_state_of_a_queue_is_told_and_nothing_can_be_removed(shop: Old) -> None:
    """Short and long state are one line without names of jobs; a removal is refused in words; nothing else is known."""

    def ask(words: bytes) -> bytes:
        with closing(shop.connect(shop.lpd_port)) as plug:
            plug.sendall(words)
            told = b""
            while piece := plug.recv(4_096):
                told += piece
            return told

    assert ask(b"\3office\n").startswith(b"office: 0 jobs")
    assert ask(b"\4%b wang 17\n" % QUEUE.encode()).startswith(b"office: 0 jobs")
    assert b"not possible" in ask(b"\5office root 1\n")
    assert ask(b"\1office\n") == b"\0"
    for words in (b"\3nowhere\n", b"\2nowhere\n", b"\x09office\n", b"office\n", b"\n"):
        assert ask(words) == b"\1"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (b"\2" + bytes(300_000), b"\1"),
        (b"\2" + b"a" * 2_000 + b"\n", b"\1"),
        (b"\2office\n\2999999999 cfA001pc1\n", b"\0\1"),
        (b"\2office\n\2999999999999999999999 cfA001pc1\n", b"\0\1"),
        (b"\2office\n\2-5 cfA001pc1\n", b"\0\1"),
        (b"\2office\n\0025\n", b"\0\1"),
        (b"\2office\n\0030 dfA001pc1\n", b"\0\1"),
        (b"\2office\n\003125899906843000 dfA001pc1\n", b"\0\1"),
        (b"\2office\n\0025 cfA001pc1\nHello\0", b"\0\0\1"),
        (b"\2office\n\0025 cfA001pc1\nfdfA1X", b"\0\0"),
        (b"\2office\n\00210 cfA001pc1\nfdfA001pc\0\3\0035 dfB001pc1\n", b"\0\0"),
        (b"\2office\n\7 x\n", b"\0\1"),
    ],
    ids=range(12),
)
def test_hostile_words_are_refused(shop: Old, words: bytes, answer: bytes) -> None:
    """Endless lines, control files without end, sizes that no file has: a no or a closed line, and no job."""
    with closing(shop.connect(shop.lpd_port)) as plug:
        plug.sendall(words)
        plug.shutdown(socket.SHUT_WR)
        told = b""
        try:
            while piece := plug.recv(4_096):
                told += piece
        except ConnectionError:
            pass
    assert told[: len(answer)] == answer[: len(told)] or told.startswith(answer)
    assert shop.jobs() == ()
    shop.lpr((b"dfA001pc1", CLEAN))
    shop.printer.wait(1)


def test_names_cannot_trick_who_reads_them(shop: Old) -> None:
    """Controls, direction marks and folders in names are shown as such, on one line."""
    lines = b"J../../etc/\x1b[2J\xe2\x80\xae.pdf\r\nPro\tot\n"
    shop.lpr((b"dfA001pc1", CLEAN), lines=lines)
    (job,) = shop.wait(1, State.RELEASED, State.HELD)
    assert "/" not in job.item.name
    assert "\\u{001b}" in job.item.name
    assert "\\u{202e}" in job.item.name
    assert job.item.owner == "wang（未核实）"


def test_a_thousand_connections_stop_nobody(tmp_path: Path, stack: PrintStack) -> None:
    """Idle clients on both ports, more than are allowed: the next job is taken at once."""
    with Old(tmp_path, stack, printing="connections = 300") as shop, ExitStack() as held:
        for port in (shop.raw_port, shop.lpd_port):
            for _ in range(500):
                held.enter_context(closing(shop.connect(port)))
        shop.raw(CLEAN)
        assert shop.lpr((b"dfA001pc1", SECOND)) == bytes(5)
        assert sorted(printed.body for printed in shop.printer.wait(2)) == sorted((CLEAN, SECOND))


def test_slow_senders_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent or too slow is hung up on by the clock, on both ports, and nothing of theirs is a whole job."""
    monkeypatch.setattr(listeners, "PIECE_SECONDS", 0.2)
    monkeypatch.setattr(listeners, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(http, "PACE_SECONDS", 0.1)
    config = Config(printers=(Printer(name="office", onward="ipp://127.0.0.1:9/ipp/print"),))
    source = PrinterSource(config.printers[0], config.printing, state=tmp_path, key=b"key")
    whole: list[Sent] = []

    async def take(sent: Sent) -> None:
        while await sent.body.some():
            pass
        whole.append(sent)

    async def hung_up(port: int, words: bytes, drip: bytes = b"") -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words)
        dripping = asyncio.create_task(_drip(writer, drip)) if drip else None
        with suppress(ConnectionError):
            while await reader.read(100):
                pass
        if dripping is not None:
            dripping.cancel()
        writer.close()

    async def every_way() -> None:
        raw = listeners.RawPort(config, source, take)
        line = listeners.LpdPort(config, (source,), cast("Gateway", SimpleNamespace(take=take)))
        nine, five = [await one.start("127.0.0.1", 0) for one in (raw, line)]
        start = b"\2office\n\00217 cfA001pc1\nPwang\nfdfA001pc1\n\0\0039000 dfA001pc1\n"
        async with asyncio.timeout(60):
            for words, drip in ((b"", b""), (CLEAN, b""), (CLEAN, b"x")):
                await hung_up(nine, words, drip)
            for words, drip in ((b"", b""), (b"\2off", b""), (start, b""), (start, b"x"), (start[:20], b"x")):
                await hung_up(five, words, drip)
        for one in (raw, line):
            await one.stop()

    asyncio.run(every_way())
    assert whole == []


async def _drip(writer: asyncio.StreamWriter, drip: bytes) -> None:
    while True:
        writer.write(drip)
        await asyncio.sleep(0.05)  # the very slowness that is tested


def test_clients_of_cups_print_through_both_ports(shop: Old) -> None:
    """The stock backends for port 9100 and LPD: screened, printed once, a secret never."""
    stack = shop.stack
    for name, uri in (
        ("nine", f"socket://127.0.0.1:{shop.raw_port}"),
        ("line", f"lpd://127.0.0.1:{shop.lpd_port}/office?reserve=none"),
    ):
        stack.lpadmin("-p", name, "-E", "-v", uri)
        number = stack.lp(name, stack.file("a.pdf", CLEAN), options=("-o", "raw", "-t", "letter"))
        stack.wait_for(number, "completed")
        number = stack.lp(name, stack.file("b.pdf", SECRET), options=("-o", "raw"))
        stack.wait_for(number, "completed")
    assert [printed.body for printed in shop.printer.wait(2)] == [CLEAN, CLEAN]
    shop.wait(2, State.WITHHELD)
    assert len(shop.printer.jobs()) == 2


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("机密名单".encode("gbk"), "机密名单"),
        ("机密名单".encode(), "机密名单"),
        ("会议".encode("gbk"), "会议"),
        ("关于工作的通知".encode("gbk")[:-1], "关于工作的通"),
        (b"letter", "letter"),
        (b"", ""),
        (b"\x00\xff\x01\xfe", "\x00\\xff\x01\\xfe"),
    ],
    ids=range(7),
)
def test_names_are_read_in_both_encodings(raw: bytes, said: str) -> None:
    """GBK and UTF-8, also cut off in a character; what is no text is shown byte by byte."""
    assert lpd.text(raw) == said


def test_a_control_file_names_files_in_order() -> None:
    """Copies are counted, a file name belongs to the file before it, both names of a file are kept."""
    order = lpd.order(b"Hh\nPw\nJjob\nfdfA\nfdfA\nUdfA\nNone.pdf\nldfB\nNtwo.pdf\n")
    assert order.user == "w"
    assert [(part.file, part.title, part.copies) for part in order.parts] == [
        (b"dfA", "job（one.pdf）", 2),
        (b"dfB", "job（two.pdf）", 1),
    ]
    with pytest.raises(lpd.Wrong):
        lpd.order(b"Hh\nPw\nJjob\n")
    with pytest.raises(lpd.Wrong):
        lpd.order(b"".join(b"fdf%d\n" % number for number in range(51)))
