"""Jobs that wait in CUPS: originals are screened, what is cleared is released there, and nobody else lets them go."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import Self

import pytest

import ooxml_makers
import scans
from dlp import config, durable, ipp
from dlp.ipp import Group, JobState, Op, Tag, client
from dlp.ipp.client import Where
from dlp.model import State
from dlp.sources import bag
from dlp.sources.held import Escaped, HeldSource
from pdf_makers import drawn, written
from print_stack import ROOT, PrintStack, until
from scans import needs_font
from shop import QUEUE, Shop

NUMBER = "110101199003077758"
CLEAN = drawn(written("A letter about a room. 会议场地答复函"))
SECOND = drawn(written("Another letter. 第二份"))
SECRET = drawn(written("机密★10年\n关于专项工作的实施方案"))
WORK = drawn(written("工作秘密\n内部工作安排"))
PERSONAL = drawn(written(f"出租方身份证号：{NUMBER}，请核对。"))
LOCKED = """<Policy wenyin>
  <Limit Get-Jobs Get-Job-Attributes Get-Printer-Attributes CUPS-Get-Printers CUPS-Get-Default CUPS-Get-PPD>
    Order deny,allow
  </Limit>
  <Limit Cancel-Job>
    AuthType Basic
    Require user @OWNER @SYSTEM
    Order deny,allow
  </Limit>
  <Limit All>
    AuthType Basic
    Require user @SYSTEM
    Order deny,allow
  </Limit>
</Policy>
<Policy wenyin-held>
  <Limit Release-Job Hold-Job Restart-Job Reprocess-Job Resume-Job Promote-Job Set-Job-Attributes CUPS-Move-Job>
    AuthType Basic
    Require user @SYSTEM
    Order deny,allow
  </Limit>
  <Limit Send-Document Send-URI Cancel-Job CUPS-Get-Document>
    Require user @OWNER @SYSTEM
    Order deny,allow
  </Limit>
  <Limit Pause-Printer Resume-Printer CUPS-Add-Modify-Printer CUPS-Accept-Jobs>
    AuthType Basic
    Require user @SYSTEM
    Order deny,allow
  </Limit>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""


class Held(Shop):
    """A shop where jobs wait in CUPS, and what is cleared goes on through a locked queue."""

    def __init__(self, root: Path, stack: PrintStack, *, cups: str = "") -> None:
        super().__init__(root, stack, printer='mode = "held"\nonward = "cups:out"\n')
        stack.conf = LOCKED + stack.conf
        stack.queue("out", self.printer, "-o", "printer-op-policy=wenyin")
        stack.lpadmin("-p", QUEUE, "-E", "-v", "file:///dev/null", "-o", "job-hold-until-default=indefinite")
        stack.lpadmin("-p", QUEUE, "-o", "printer-op-policy=wenyin-held")
        stack.run("cupsdisable", "-r", "screening", QUEUE)
        if cups:
            text = self.site.config.read_text(encoding="utf-8")
            self.site.config.write_text(text.replace(str(stack.socket), cups), encoding="utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def print(self, *documents: tuple[str, bytes], options: tuple[str, ...] = (), user: str | None = None) -> int:
        """Print documents as one job, and return its number in CUPS."""
        files = [self.stack.file(name, content) for name, content in documents]
        return self.stack.lp(QUEUE, *files, options=options, user=user)

    def in_cups(self, queue: str, which: str = "not-completed") -> list[Group]:
        """Return the open or finished jobs of a queue."""
        about = (
            ipp.texts("printer-uri", Tag.URI, f"ipp://localhost/printers/{queue}"),
            ipp.texts("which-jobs", Tag.KEYWORD, which),
            ipp.texts("requested-attributes", Tag.KEYWORD, "job-name", "number-of-documents"),
        )
        answer = client.ask(Where.cups(str(self.stack.socket)), Op.GET_JOBS, *about)
        return list(answer.all(Tag.JOB))

    def is_settled(self) -> bool:
        """Tell whether no document waits in CUPS; a job that was only announced before a crash ends there by itself."""
        waiting = (*self.in_cups(QUEUE), *self.in_cups("out"))
        return not any(one.number("number-of-documents") for one in waiting)

    def printed_text(self, number: int = 0) -> str:
        """Return the text of what reached the printer."""
        path = self.site.root / "printed.pdf"
        path.write_bytes(self.printer.jobs()[number].body)
        return self.stack.run("pdftotext", str(path), "-").stdout


@pytest.fixture
def shop(tmp_path: Path, stack: PrintStack) -> Iterator[Held]:
    """A shop that is open."""
    with Held(tmp_path, stack) as made:
        yield made


def sha256(content: bytes) -> str:
    """Return what the books call this content."""
    return hashlib.sha256(content).hexdigest()


def png(mark: str = "") -> bytes:
    """Return a scanned page."""
    out = BytesIO()
    (scans.page(mark=mark) if mark else scans.page()).image.save(out, "PNG")
    return out.getvalue()


def word(text: str) -> bytes:
    """Return a Word document that says this."""
    return ooxml_makers.doc(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")


def test_a_clean_job_is_released_as_it_waited(shop: Held) -> None:
    """Its original was sealed and judged; options, owner and title stay those of the job in CUPS; it prints once."""
    number = shop.print(("a.pdf", CLEAN), options=("-n", "2", "-o", "sides=two-sided-long-edge"))
    (printed,) = shop.printer.wait(1)
    (job,) = shop.wait(1, State.RELEASED)
    assert job.item.sha256 == job.outgoing == sha256(CLEAN)
    assert job.item.copies == 2
    assert (printed.attributes["copies"], printed.attributes["sides"]) == ("2", "two-sided-long-edge")
    assert "A letter about a room" in shop.printed_text()
    assert shop.stack.wait_for(number, "completed")["job-printer-uri"].endswith("/out")
    assert list((shop.site.vault / "q").iterdir()) == []
    assert f"cups:{QUEUE} → cups:out" in shop.log.read_text(encoding="utf-8")


def test_a_plain_text_is_read_as_it_was_written(shop: Held) -> None:
    """The driver's PDF of a text has no readable characters; here the text itself is judged, and prints."""
    shop.print(("a.txt", "会议通知 a plain letter\n".encode()))
    shop.printer.wait(1)
    (job,) = shop.wait(1, State.RELEASED)
    assert job.item.media == "text/plain"
    number = shop.print(("b.txt", "机密★10年\n关于专项工作的实施方案\n".encode()))
    assert shop.message(number).startswith("拦截")
    assert len(shop.printer.jobs()) == 1


def test_a_word_document_is_read_as_it_was_written(shop: Held) -> None:
    """A mark in it blocks; a clean one is held where CUPS cannot print it, and its owner is told to send PDF."""
    number = shop.print(("a.docx", word("机密★10年 实施方案")))
    assert shop.message(number).startswith("拦截")
    number = shop.print(("b.docx", word("会议通知")))
    assert "请转为 PDF" in shop.message(number)
    shop.wait(1, State.HELD)
    assert shop.printer.jobs() == []


@needs_font
def test_a_picture_is_read(shop: Held) -> None:
    """A scanned page with a mark is blocked by what OCR reads on it."""
    number = shop.print(("a.png", png("机密★10年")))
    assert shop.message(number).startswith("拦截")
    assert shop.printer.jobs() == []


def test_a_blocked_job_says_why(shop: Held) -> None:
    """The reason stands at the cancelled job in CUPS, and in the receipt."""
    number = shop.print(("a.pdf", SECRET))
    said = shop.message(number)
    (job,) = shop.wait(1, State.WITHHELD)
    assert said.startswith("拦截：发现国家秘密标志")
    assert f"编号 {job.id}" in said
    assert said in shop.stack.lpstat("-W", "completed", "-l", "-o", "out")
    assert len(shop.receipts()) == 1
    assert shop.printer.jobs() == []


def test_a_held_job_prints_from_the_vault_once_released(shop: Held) -> None:
    """The job in CUPS is cancelled with its reason; after a reviewer's word it prints once, with its options."""
    options = ("-n", "3", "-o", "sides=two-sided-long-edge", "-o", "page-ranges=1")
    number = shop.print(("a.pdf", WORK), options=options)
    assert shop.message(number).startswith("隔离待审")
    shop.print(("b.pdf", CLEAN))
    shop.printer.wait(1)
    (job,) = shop.wait(1, State.HELD)
    shop.site.run("quarantine", "release", job.id, "--reason", "已核")
    _, second = shop.printer.wait(2)
    assert (second.attributes["copies"], second.attributes["sides"]) == ("3", "two-sided-long-edge")
    assert "内部工作安排" in shop.printed_text(1)
    shop.wait(2, State.RELEASED)
    shop.end()
    shop.start()
    shop.print(("c.pdf", SECOND))
    assert len(shop.printer.wait(3)) == 3


def test_the_redacted_copy_is_what_is_printed(shop: Held) -> None:
    """The original is cancelled in CUPS with a message, the proven copy prints with the options of the job."""
    number = shop.print(("a.pdf", PERSONAL), options=("-n", "2"))
    assert shop.message(number).startswith("已脱敏打印")
    (printed,) = shop.printer.wait(1, seconds=90)
    (job,) = shop.wait(1, State.REDACTED)
    assert job.outgoing != job.item.sha256 == sha256(PERSONAL)
    assert printed.attributes["copies"] == "2"
    assert NUMBER not in shop.printed_text()
    assert NUMBER.encode() not in printed.body


def test_every_document_of_a_job_is_read(shop: Held) -> None:
    """Several documents are one job: clean ones print together, one mark in any of them blocks all."""
    clean = (("a.pdf", CLEAN), ("b.txt", b"a note\n"), ("c.pdf", SECOND))
    shop.print(*clean, options=("-n", "2"))
    shop.wait(1, State.RELEASED)
    shop.printer.wait(1)
    number = shop.print(("a.pdf", SECRET), ("b.txt", b"a note\n"), ("c.pdf", CLEAN))
    assert shop.message(number).startswith("拦截")
    shop.wait(1, State.WITHHELD)
    number = shop.print(("a.txt", b"a note\n"), ("b.txt", "工作秘密\n内部工作安排\n".encode()))
    assert shop.message(number).startswith("隔离待审")
    (job,) = shop.wait(1, State.HELD)
    before = len(shop.printer.jobs())
    shop.site.run("quarantine", "release", job.id, "--reason", "已核")
    shop.wait(2, State.RELEASED)
    until(shop.is_settled, "all is printed", log=shop.told)
    shop.printer.wait(before + 1)
    (out,) = (one for one in shop.in_cups("out", "completed") if one.text("job-name") == job.id)
    assert out.number("number-of-documents") == 2


def test_a_job_for_at_once_waits_all_the_same(shop: Held) -> None:
    """`lp -H immediate` makes a job that is not held: it is held, moved and judged like any other."""
    number = shop.print(("a.pdf", SECRET), options=("-H", "immediate"))
    assert shop.message(number).startswith("拦截")
    shop.print(("b.pdf", CLEAN), options=("-H", "immediate"))
    shop.printer.wait(1)
    shop.wait(1, State.RELEASED)
    assert len(shop.printer.jobs()) == 1


@pytest.mark.skipif(not ROOT, reason="only root can act as another user")
def test_an_owner_lets_nothing_go(shop: Held) -> None:
    """While the gate is away and while it is there: release, move, change, append and cupsenable print nothing."""
    stack = shop.stack
    stack.queue("direct", shop.printer, "-o", "printer-op-policy=wenyin")
    shop.end()
    number = shop.print(("a.pdf", SECRET), user="nobody")

    def tries() -> None:
        for argv in (
            ("lp", "-i", str(number), "-H", "resume"),
            ("lp", "-i", str(number), "-H", "immediate"),
            ("lp", "-i", str(number), "-n", "9"),
            ("lpmove", str(number), "out"),
            ("lpmove", str(number), "direct"),
            ("cupsenable", QUEUE),
            ("lp", "-d", "out", str(stack.root / "a.pdf")),
        ):
            assert stack.run(*argv, user="nobody", check=False).returncode != 0, argv

    tries()
    assert stack.job(number)["job-state"] == "pending-held"
    shop.start()
    assert shop.message(number).startswith("拦截")
    tries()
    assert shop.printer.jobs() == []
    number = shop.print(("b.pdf", CLEAN), user="nobody")
    (printed,) = shop.printer.wait(1)
    assert printed.attributes["job-originating-user-name"] == "nobody"


def test_what_its_owner_takes_back_is_not_printed(shop: Held) -> None:
    """Cancelled while it is judged: nothing is printed, the sealed copy is destroyed."""
    number = shop.print(("a.pdf", drawn(*(written("page") for _ in range(80)))))
    until(lambda: any(job.state is State.STORED for job in shop.jobs()), "it is being read", log=shop.told)
    shop.stack.cancel(str(number))
    shop.wait(1, State.CANCELLED)
    shop.print(("b.pdf", CLEAN))
    shop.printer.wait(1)
    shop.wait(1, State.RELEASED)
    assert len(shop.printer.jobs()) == 1
    assert list((shop.site.vault / "q").iterdir()) == []


def test_a_title_is_screened(shop: Held) -> None:
    """A mark in the title alone stops the job, and a number in it stands nowhere in the books."""
    number = shop.print(("a.pdf", CLEAN), options=("-t", "绝密★长期 名单"))
    shop.message(number)
    shop.print(("b.pdf", CLEAN), options=("-t", f"{NUMBER} 的申请"))
    until(lambda: len(shop.jobs()) == 2, "the second job", log=shop.told)
    assert shop.printer.jobs() == [] or len(shop.printer.jobs()) == 1
    assert NUMBER.encode() not in (shop.site.state / "gate.db").read_bytes()
    assert NUMBER not in shop.log.read_text(encoding="utf-8")


def test_cups_that_is_away_is_asked_again(shop: Held) -> None:
    """CUPS killed and back: what waited is taken then, once."""
    shop.stack.kill()
    shop.stack.start()
    shop.print(("a.pdf", CLEAN))
    shop.printer.wait(1)
    (job,) = shop.wait(1, State.RELEASED)
    assert job.item.sha256 == sha256(CLEAN)
    assert shop.process is not None
    assert shop.process.poll() is None
    assert len(shop.printer.jobs()) == 1


class Between:
    """A way to CUPS that kills the gate at one question: before it is asked, or when CUPS has done it."""

    def __init__(self, path: Path, cups: Path) -> None:
        self.path, self._cups = path, cups
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(64)
        self.when: tuple[int, str, int] | None = None
        self.shop: Shop | None = None
        self.struck = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let nobody through any more."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                plug, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(plug,), daemon=True).start()

    def _pass(self, plug: socket.socket) -> None:
        with closing(plug), closing(socket.socket(socket.AF_UNIX)) as cups, suppress(OSError):
            cups.connect(str(self._cups))
            head = b""
            while b"\r\n\r\n" not in head or len(head.partition(b"\r\n\r\n")[2]) < 4:
                piece = plug.recv(65_536)
                if not piece:
                    return
                head += piece
            code = int.from_bytes(head.partition(b"\r\n\r\n")[2][2:4], "big")
            if self._is_now(code, "before"):
                self._strike()
                return
            cups.sendall(head)
            threading.Thread(target=_pump, args=(plug, cups), daemon=True).start()
            first = cups.recv(65_536)
            if self._is_now(code, "after"):
                self._strike()
                return
            plug.sendall(first)
            _pump(cups, plug)

    def _is_now(self, code: int, when: str) -> bool:
        with self._lock:
            if self.when is None or self.when[:2] != (code, when):
                return False
            number = self.when[2] - 1
            self.when = (code, when, number) if number else None
            return not number

    def _strike(self) -> None:
        assert self.shop is not None
        assert self.shop.process is not None
        self.shop.process.kill()
        self.struck.set()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := one.recv(65_536):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)


ALLOWED, BLOCKED, QUARANTINED, REDACTED = "a.pdf", "b.pdf", "c.pdf", "d.pdf"
STEPS = [
    *((ALLOWED, op, when, 1) for op in (Op.HOLD_JOB, Op.CUPS_MOVE_JOB, Op.RELEASE_JOB) for when in ("before", "after")),
    *((ALLOWED, Op.CUPS_GET_DOCUMENT, when, number) for when in ("before", "after") for number in (1, 2)),
    *((BLOCKED, op, when, 1) for op in (Op.SET_JOB_ATTRIBUTES, Op.CANCEL_JOB) for when in ("before", "after")),
    *(
        (REDACTED, op, when, 1)
        for op in (Op.CREATE_JOB, Op.SEND_DOCUMENT, Op.CANCEL_JOB)
        for when in ("before", "after")
    ),
    *((QUARANTINED, op, when, 1) for op in (Op.CREATE_JOB, Op.SEND_DOCUMENT) for when in ("before", "after")),
]


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_crash_at_any_step_prints_once(tmp_path: Path, stack: PrintStack, step: tuple[str, Op, str, int]) -> None:
    """Kill -9 before each question to CUPS and when CUPS has done it: started again, the job has its one right end."""
    kind, op, when, number = step
    content = {ALLOWED: CLEAN, BLOCKED: SECRET, QUARANTINED: WORK, REDACTED: PERSONAL}[kind]
    between = Between(stack.root / "between.sock", stack.socket)
    with closing(between), Held(tmp_path, stack, cups=str(between.path)) as shop:
        between.shop = shop
        if kind == QUARANTINED:
            shop.print((kind, content))
            (held,) = shop.wait(1, State.HELD)
            until(shop.is_settled, "it is cancelled in CUPS", log=shop.told)
            between.when = (op, when, number)
            shop.site.run("quarantine", "release", held.id, "--reason", "已核")
        else:
            between.when = (op, when, number)
            shop.print((kind, content), options=("-H", "immediate"))
        assert between.struck.wait(60), shop.told()
        assert shop.process is not None
        shop.process.wait(30)
        shop.start()
        end = {ALLOWED: State.RELEASED, BLOCKED: State.WITHHELD, QUARANTINED: State.RELEASED, REDACTED: State.REDACTED}
        shop.wait(1, end[kind])
        until(shop.is_settled, "no document waits in CUPS", log=shop.told)
        shop.print(("z.pdf", SECOND))
        count = 0 if kind == BLOCKED else 1
        assert len(shop.printer.wait(count + 1)) == count + 1
        shop.wait(2 if end[kind] is State.RELEASED else 1, State.RELEASED)
        assert len(shop.printer.jobs()) == count + 1
        states = [job.state for job in shop.jobs() if job.state is not State.REFUSED]
        assert len(states) == 2
        shop.site.run("audit", "verify")


def test_what_was_changed_in_cups_is_not_released(tmp_path: Path, stack: PrintStack) -> None:
    """Other bytes in the spool than those that were judged: held, and released again it prints what was judged."""
    between = Between(stack.root / "between.sock", stack.socket)
    with closing(between), Held(tmp_path, stack, cups=str(between.path)) as shop:
        between.shop, between.when = shop, (Op.RELEASE_JOB, "before", 1)
        number = shop.print(("a.pdf", CLEAN))
        assert between.struck.wait(60), shop.told()
        assert shop.process is not None
        shop.process.wait(30)
        (stack.root / f"spool/d{number:05}-001").write_bytes(SECRET)
        shop.start()
        assert "不一致" in shop.message(number)
        (job,) = shop.wait(1, State.HELD)
        assert shop.printer.jobs() == []
        shop.site.run("quarantine", "release", job.id, "--reason", "已核")
        shop.printer.wait(1)
        assert "A letter about a room" in shop.printed_text()
        shop.wait(1, State.RELEASED)


def test_a_job_that_gets_away_is_noticed(shop: Held) -> None:
    """Where a policy lets a job be released before it is moved, it prints unread, and that is said aloud."""
    shop.end()
    number = shop.print(("a.pdf", CLEAN), options=("-H", "immediate"))
    settings = config.read(shop.site.config)
    source = HeldSource(settings.printers[0], settings.printing, state=shop.site.state, key=b"key")
    (waiting,) = source.waiting()
    assert waiting.ours.id == number
    with pytest.raises(Escaped):
        source.arrival(waiting._replace(ours=waiting.ours._replace(state=JobState.HELD)))


def test_a_bag_is_the_same_bytes_each_time() -> None:
    """Several documents become one zip whose hash depends on nothing else; every document comes out as it went in."""
    documents = [("application/pdf", CLEAN), ("text/plain", b""), ("odd", bytes(600_000))]

    def packed() -> bytes:
        return b"".join(bag.pack((media, iter([raw])) for media, raw in documents))

    first = packed()
    assert packed() == first
    with zipfile.ZipFile(BytesIO(first)) as opened:
        assert opened.namelist() == ["000.txt", "001.pdf", "002.txt", "003"]
        assert opened.testzip() is None
    fd = os.memfd_create("bag")
    durable.write_all(fd, first)
    with bag.unpack(fd, 1) as rest:
        found = [(os.pread(one, 700_000, 0), last) for one, last in rest]
    os.close(fd)
    assert found == [(b"", False), (bytes(600_000), True)]
