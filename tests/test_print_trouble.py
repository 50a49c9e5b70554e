"""Print jobs when something is in the way: printers, queues, disks, people; what is in no byte that leaves."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import resource
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from dlp import ipp
from dlp.ipp import Attribute, Op, Status, Tag, Value, client, codec
from dlp.ipp.client import Refused, Where
from dlp.model import State
from dlp.store import Job
from pdf_makers import drawn, written
from print_stack import PrintStack, until
from shop import GATE, QUEUE, Shop
from test_print_jobs import CLEAN, HELD, NUMBER, SECRET


@pytest.fixture
def shop(tmp_path: Path, stack: PrintStack) -> Iterator[Shop]:
    """A shop that is open."""
    with Shop(tmp_path, stack) as made:
        yield made


def letter(text: str) -> bytes:
    """Return a harmless page."""
    return drawn(written(f"letter {text}"))


def photo(side: int) -> bytes:
    """Return a page of text with a small picture of noise, which no filter makes smaller."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out)
    sheet.drawString(72, 720, "A letter about a room.")
    sheet.drawImage(ImageReader(Image.frombytes("RGB", (side, side), os.urandom(3 * side * side))), 72, 600, 40, 40)
    sheet.save()
    return out.getvalue()


def hashes(shop: Shop) -> Counter[str]:
    """Return how often each document is out of the printer, by its hash."""
    return Counter(hashlib.sha256(one.body).hexdigest() for one in shop.printer.jobs())


def once(*jobs: Job) -> Counter[str]:
    """Return what `hashes` is when each of these was printed once."""
    return Counter(job.outgoing for job in jobs)


def test_wishes_reach_the_printer(shop: Shop) -> None:
    """Paper, sides, pages, colour, staples, quality: as asked for; what is no wish for paper stays here."""
    where = Where.of(f"ipp://127.0.0.1:{shop.port}/ipp/print/office")
    wishes = (
        ipp.texts("media", Tag.KEYWORD, "iso_a4_210x297mm"),
        ipp.texts("sides", Tag.KEYWORD, "two-sided-short-edge"),
        ipp.texts("print-color-mode", Tag.KEYWORD, "monochrome"),
        ipp.integers("print-quality", 5, tag=Tag.ENUM),
        ipp.integers("finishings", 3, tag=Tag.ENUM),
        Attribute("page-ranges", (Value(Tag.RANGE, (1).to_bytes(4, "big") + (1).to_bytes(4, "big")),)),
        ipp.integers("copies", 4),
        ipp.texts("job-sheets", Tag.KEYWORD, "secret-cover"),
    )
    name = (ipp.texts("printer-uri", Tag.URI, where.uri), ipp.texts("job-name", Tag.NAME, "张三"))
    made = client.ask(where, Op.CREATE_JOB, *name, job=wishes).group(Tag.JOB).number("job-id")
    shop.ask(Op.SEND_DOCUMENT, ipp.integers("job-id", made), ipp.flag("last-document", value=True), body=CLEAN)
    (printed,) = shop.printer.wait(1)
    wanted = {
        "media": "iso_a4_210x297mm",
        "sides": "two-sided-short-edge",
        "print-color-mode": "monochrome",
        "print-quality": "high",
        "finishings": "none",
        "page-ranges": "1-1",
        "copies": "4",
    }
    assert {key: printed.attributes.get(key) for key in wanted} == wanted
    assert "secret-cover" not in str(printed.attributes)
    assert "张三" not in str(printed.attributes)
    (job,) = shop.wait(1, State.RELEASED)
    assert (job.item.paper, job.pages) == ("A4", 1), "as the registers name them"


def test_in_shadow_everything_prints_and_is_noted(tmp_path: Path, stack: PrintStack) -> None:
    """A site that tries the gate out: the secret job prints, and the books tell what would have been."""
    with Shop(tmp_path, stack, extra="[policy]\nshadow = true\n") as shop:
        number = shop.lp(SECRET)
        shop.printer.wait(1)
        stack.wait_for(number, "completed")
        (job,) = shop.wait(1, State.RELEASED)
        assert hashes(shop) == once(job)
        assert [event["body"]["shadowed"] for event in shop.events("decided")] == ["block"]


def test_a_job_of_two_files_hides_none(shop: Shop) -> None:
    """`lp secret.pdf clean.pdf`: however CUPS joins them, the secret one does not come out."""
    secret, clean = shop.stack.file("s.pdf", SECRET), shop.stack.file("c.pdf", CLEAN)
    number = shop.stack.lp(QUEUE, secret, clean)
    shop.stack.wait_for(number, "canceled", "completed")
    assert shop.wait(1, State.HELD, State.WITHHELD)
    last = shop.lp(letter("last"))
    shop.stack.wait_for(last, "completed")
    released = shop.wait(1, State.RELEASED)
    shop.printer.wait(len(released))
    assert hashes(shop) == once(*released)
    assert not any("机密".encode("utf-16-be") in one.body for one in shop.printer.jobs())


@pytest.mark.parametrize("raw", [b"RaS2" + bytes(3_000), b"UNIRAST\0" + bytes(900), bytes(range(256)) * 8])
def test_a_stream_that_nobody_can_read_waits(shop: Shop, raw: bytes) -> None:
    """Pixels in a printer's own form and unknown bytes are held; and what the printer cannot take is never sent."""
    shop.ask(Op.PRINT_JOB, body=raw)
    (job,) = shop.wait(1, State.HELD)
    shop.site.run("quarantine", "release", job.id, "--reason", "已核")
    until(lambda: shop.jobs()[0].note is not None, "it is held again", log=shop.told)
    (job,) = shop.wait(1, State.HELD)
    assert "未打印" in (job.note.zh if job.note else "")
    assert shop.printer.jobs() == []


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("会议纪要 第3号".encode(), "会议纪要 第3号"),
        ("会议纪要".encode("gbk"), None),
        ("a\x1b[31m\r\nX-Evil: 1\x00\u202eb".encode(), None),
        (b"../../etc/passwd", None),
        (b"", None),
        (b"x" * 900, None),
    ],
)
def test_titles_of_every_kind(shop: Shop, raw: bytes, shown: str | None) -> None:
    """A title is shown on one line without tricks, goes to no printer, and hinders no job."""
    title = Attribute("job-name", (Value(Tag.NAME, raw),))
    shop.ask(Op.PRINT_JOB, title, body=CLEAN)
    (printed,) = shop.printer.wait(1)
    (job,) = shop.wait(1, State.RELEASED)
    assert job.item.path.isprintable()
    assert "/" not in job.item.path
    assert shown is None or job.item.path == shown
    assert printed.attributes["job-name"] == job.id


def test_two_people_with_one_title_at_once(shop: Shop) -> None:
    """The same title, twice the same content: each of four jobs is a job of its own."""
    contents = [letter("one"), letter("one"), letter("two"), letter("three")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: shop.lp(contents[n], name=f"{n}.pdf", title="合同"), range(4)))
    jobs = shop.wait(4, State.RELEASED)
    shop.printer.wait(4)
    assert hashes(shop) == once(*jobs)
    assert len({job.item.origin for job in jobs}) == 4


def test_a_busy_printer_gets_one_after_another(shop: Shop) -> None:
    """It takes one job at a time; what is cleared meanwhile waits in the gate, in order, and CUPS is not kept."""
    shop.printer.hold()
    numbers = [shop.lp(letter(str(n))) for n in range(3)]
    for number in numbers:
        shop.stack.wait_for(number, "completed")
    shop.printer.wait(1, finished=False)
    assert len(shop.printer.jobs()) == 1
    shop.printer.go_on()
    printed = shop.printer.wait(3)
    jobs = shop.wait(3, State.RELEASED)
    assert [hashlib.sha256(one.body).hexdigest() for one in printed] == [job.outgoing for job in jobs]


def test_a_printer_that_hangs_prints_once_when_it_wakes(shop: Shop) -> None:
    """It takes connections and says nothing: the job waits, and comes once."""
    shop.printer.freeze()
    number = shop.lp(CLEAN)
    shop.stack.wait_for(number, "completed")
    (job,) = shop.wait(1, State.RELEASING)
    shop.printer.thaw()
    shop.wait(1, State.RELEASED)
    shop.lp(letter("last"))
    shop.printer.wait(2)
    assert hashes(shop)[job.outgoing] == 1


def test_another_printer_in_the_configuration(tmp_path: Path, stack: PrintStack) -> None:
    """What was not announced yet goes to the new one; what may lie in the old one is held for a person."""
    shop = Shop(tmp_path, stack)
    shop.program = (str(Path(__file__).with_name("killed.py")), "after", "sending")
    new = stack.printer("new")
    with shop:
        shop.lp(CLEAN)
        until(lambda: shop.process is not None and shop.process.poll() is not None, "killed", log=shop.told)
        text = shop.site.config.read_text(encoding="utf-8")
        shop.site.config.write_text(text.replace(shop.printer.uri, new.uri), encoding="utf-8")
        shop.program = GATE
        shop.start()
        (held,) = shop.wait(1, State.HELD)
        assert held.note is not None
        assert "已更换" in held.note.zh
        assert not held.place
        shop.site.run("quarantine", "release", held.id, "--reason", "已到打印机核对")
        new.wait(1)
        shop.wait(1, State.RELEASED)
        shop.site.run("audit", "verify")
    assert len(new.jobs()) == 1
    assert shop.printer.jobs() == []


def test_a_queue_that_forbids_it_makes_jobs_wait(tmp_path: Path, stack: PrintStack) -> None:
    """A locked queue refuses the gate: the job waits and says so, and prints once when it may."""
    drum = stack.printer("drum")
    stack.conf = (
        stack.conf
        + "<Policy shut>\n<Limit Create-Job Send-Document>\nAuthType Default\nRequire user nobody\n</Limit>\n"
        + "<Limit All>\nOrder deny,allow\n</Limit>\n</Policy>\n"
    )
    stack.queue("out", drum)
    stack.lpadmin("-p", "out", "-o", "printer-op-policy=shut")
    with Shop(tmp_path, stack, printer='onward = "cups:out"') as shop:
        number = shop.lp(CLEAN)
        stack.wait_for(number, "completed")
        shop.wait(1, State.RELEASING)
        until(lambda: "打印机拒收任务" in shop.told(), "it says so", log=shop.told)
        assert drum.jobs() == []
        stack.lpadmin("-p", "out", "-o", "printer-op-policy=default")
        shop.wait(1, State.RELEASED)
        drum.wait(1)
        shop.lp(letter("last"))
        assert len(drum.wait(2)) == 2


@pytest.mark.parametrize("options", [("-o", "raw"), ()], ids=["raw", "filtered"])
@pytest.mark.long
def test_no_room_to_seal_keeps_the_job_in_cups(shop: Shop, options: tuple[str, ...]) -> None:
    """Nothing is taken and nothing is lost: CUPS tries again, and it prints once when there is room."""
    assert shop.process is not None
    pid = shop.process.pid
    large = photo(700)
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (400_000, before[1]))
    number = shop.stack.lp(QUEUE, shop.stack.file("large.pdf", large), options=options)
    until(lambda: any(job.state is State.REFUSED for job in shop.jobs()), "not taken", seconds=60, log=shop.told)
    assert shop.stack.job(number)["job-state"] not in ("completed", "canceled", "aborted")
    assert not any(job.state is not State.REFUSED for job in shop.jobs())
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    shop.stack.wait_for(number, "completed", seconds=120)
    shop.wait(1, State.RELEASED)
    last = shop.lp(letter("last"))
    shop.stack.wait_for(last, "completed", seconds=120)
    jobs = shop.wait(2, State.RELEASED)
    shop.printer.wait(2)
    assert hashes(shop) == once(*jobs)


def test_a_killed_cupsd_costs_no_job(shop: Shop) -> None:
    """SIGKILL of the scheduler while the gate reads: one paper, whatever it remembers afterwards."""
    scan = drawn(*(written("page") for _ in range(60)))
    number = shop.lp(scan)
    until(lambda: any(job.state is State.STORED for job in shop.jobs()), "the job is sealed", log=shop.told)
    shop.stack.restart()
    shop.stack.wait_for(number, "completed", seconds=120)
    shop.printer.wait(1, seconds=60)
    last = shop.lp(letter("last"))
    shop.stack.wait_for(last, "completed", seconds=120)
    shop.printer.wait(2, seconds=60)
    assert len(shop.printer.jobs()) == 2
    shop.stack.ask("Restart-Job", f"ATTR uri job-uri ipp://localhost/jobs/{last}")  # somebody wants it once more
    shop.printer.wait(3, seconds=60)
    shop.wait(3, State.RELEASED)
    shop.site.run("audit", "verify")


def test_taking_back_before_and_after(shop: Shop) -> None:
    """Before its document came a job is gone at once; once it is printed it is too late, and that is said."""
    made = ipp.integers("job-id", shop.ask(Op.CREATE_JOB).group(Tag.JOB).number("job-id"))
    shop.ask(Op.CANCEL_JOB, made)
    with pytest.raises(Refused):
        shop.ask(Op.SEND_DOCUMENT, made, ipp.flag("last-document", value=True), body=CLEAN)
    printed = ipp.integers("job-id", shop.ask(Op.PRINT_JOB, body=CLEAN).group(Tag.JOB).number("job-id"))
    shop.printer.wait(1)
    shop.wait(1, State.RELEASED)
    with pytest.raises(Refused) as late:
        shop.ask(Op.CANCEL_JOB, printed)
    assert late.value.status == Status.NOT_POSSIBLE
    held = ipp.integers("job-id", shop.ask(Op.PRINT_JOB, body=HELD).group(Tag.JOB).number("job-id"))
    with pytest.raises(Refused) as kept:
        shop.ask(Op.CANCEL_JOB, held)
    assert kept.value.status == Status.NOT_POSSIBLE
    assert shop.wait(1, State.HELD)
    assert len(shop.printer.jobs()) == 1


def test_taking_back_in_cups_while_it_is_read(shop: Shop) -> None:
    """Either it was in time and nothing prints, or it was too late and one paper comes; the books say which."""
    number = shop.lp(drawn(*(written("page") for _ in range(60))))
    until(lambda: any(job.state is State.STORED for job in shop.jobs()), "the job is sealed", log=shop.told)
    shop.stack.cancel(str(number))
    job, *_ = shop.wait(1, State.CANCELLED, State.RELEASED)
    last = shop.lp(letter("last"))
    shop.stack.wait_for(last, "completed", seconds=60)
    count = 2 if job.state is State.RELEASED else 1
    shop.printer.wait(count)
    assert len(shop.printer.jobs()) == count


def test_a_thousand_who_say_nothing_hinder_nobody(shop: Shop) -> None:
    """Idle connections cost the printing nothing."""
    with ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(socket.create_connection(("127.0.0.1", shop.port), 10))
        number = shop.lp(CLEAN)
        shop.stack.wait_for(number, "completed")
        shop.printer.wait(1)
        blocked = shop.lp(SECRET)
        assert shop.message(blocked).startswith("拦截")


def test_a_page_in_a_browser_can_do_nothing(shop: Shop) -> None:
    """GET tells no more than a name; no origin is allowed anything; a form is no print job."""

    def said(method: str, media: str = "", body: bytes = b"") -> http.client.HTTPResponse:
        headers = {"Origin": "http://evil.example", **({"Content-Type": media} if media else {})}
        with closing(http.client.HTTPConnection("127.0.0.1", shop.port, timeout=10)) as connection:
            connection.request(method, "/ipp/print/office", body=body or None, headers=headers)
            with connection.getresponse() as answer:
                answer.read()
                return answer

    raw = codec.encode(ipp.Message(Op.PRINT_JOB, 1, (ipp.operation(),))) + CLEAN
    assert said("GET").status == 200
    assert said("OPTIONS").status == 405
    assert said("PUT", ipp.MEDIA, raw).status == 405
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert said("POST", media, raw).status == 415
    for method in ("GET", "OPTIONS"):
        assert not [name for name, _ in said(method).getheaders() if name.lower().startswith("access-control")]
    assert shop.jobs() == ()


def test_what_a_printer_says_is_kept_to_the_byte(stack: PrintStack) -> None:
    """Read and written again, the answer of a real printer is the same bytes."""
    printer = stack.printer("office")
    asked = ipp.Message(
        Op.GET_PRINTER_ATTRIBUTES,
        5,
        (
            ipp.operation(
                ipp.texts("printer-uri", Tag.URI, printer.uri),
                ipp.texts("requested-attributes", Tag.KEYWORD, "all", "media-col-database"),
            ),
        ),
    )
    with closing(http.client.HTTPConnection("127.0.0.1", printer.port, timeout=10)) as connection:
        connection.request("POST", "/ipp/print", body=codec.encode(asked), headers={"Content-Type": ipp.MEDIA})
        raw = connection.getresponse().read()
    message, rest = codec.decode(raw)
    assert rest == b""
    assert len(raw) > 5_000
    assert codec.encode(message) == raw


def test_numbers_in_a_title_are_in_no_file(shop: Shop) -> None:
    """A number as the title of a blocked job: in no log, row, receipt or temporary file, and CUPS is told it masked."""
    number = shop.lp(SECRET, title=f"{NUMBER} 的材料")
    said = shop.message(number)
    shop.wait(1, State.WITHHELD)
    assert NUMBER not in said
    told = subprocess.run(
        ["grep", "-rl", "--", NUMBER, str(shop.site.root)], capture_output=True, text=True, check=False
    )
    assert told.stdout == ""
