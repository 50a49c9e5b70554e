"""Print jobs with real parts: what CUPS is given, what the gate decides, and which bytes reach the printer."""

from __future__ import annotations

import hashlib
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlp import ipp
from dlp.ipp import JobState, Op, Status, Tag, client, codec
from dlp.ipp.client import Refused, Where
from dlp.model import State
from pdf_makers import drawn, written
from print_stack import RASTER, PrintStack, until
from shop import QUEUE, Shop

NUMBER = "110101199003077758"
CLEAN = drawn(written("A letter about a room. 会议场地答复函"))
SECRET = drawn(written("机密★10年\n关于专项工作的实施方案"))
HELD = drawn(written("工作秘密\n内部工作安排"))
PERSONAL = drawn(written(f"出租方身份证号：{NUMBER}，请核对。"))


@pytest.fixture
def shop(tmp_path: Path, stack: PrintStack) -> Iterator[Shop]:
    """A shop that is open."""
    with Shop(tmp_path, stack) as made:
        yield made


def test_a_clean_job_is_printed_as_it_was_cleared(shop: Shop) -> None:
    """The bytes at the printer are those that were judged; sides and copies come along, the title does not."""
    number = shop.lp(CLEAN, "-n", "2", "-o", "sides=two-sided-long-edge", title="张三的合同")
    (printed,) = shop.printer.wait(1)
    (job,) = shop.wait(1, State.RELEASED)
    assert hashlib.sha256(printed.body).hexdigest() == job.item.sha256 == job.outgoing
    assert printed.attributes["sides"] == "two-sided-long-edge"
    assert printed.attributes["copies"] == "2"
    assert job.item.copies == 2
    assert printed.attributes["job-name"] == job.id
    assert "张三" not in str(printed.attributes)
    assert shop.stack.wait_for(number, "completed")
    assert [event["body"]["copies"] for event in shop.events("sending")] == [2]
    assert not list((shop.site.vault / "q").iterdir())


def test_a_blocked_job_says_why(shop: Shop) -> None:
    """Nothing is printed; the reason stands at the job in CUPS and in the receipt, with page, article and number."""
    number = shop.lp(SECRET, title="方案")
    said = shop.message(number)
    (job,) = shop.wait(1, State.WITHHELD)
    assert said.startswith("拦截：发现国家秘密标志")
    for words in ("第1页", "依据：《中华人民共和国保守国家秘密法》", f"编号 {job.id}", "请联系保密员"):
        assert words in said
    shown = shop.stack.lpstat("-W", "completed", "-l", "-o", QUEUE)
    assert said in shown
    (receipt,) = shop.receipts()
    assert "已拦截" in receipt
    assert job.id in receipt
    assert shop.printer.jobs() == []


def test_a_held_job_does_not_stop_the_queue_and_prints_once_released(shop: Shop) -> None:
    """The next job is printed at once; the held one prints with its options after a reviewer's word, and only once."""
    number = shop.lp(HELD, "-n", "3", "-o", "sides=two-sided-long-edge")
    assert shop.message(number).startswith("隔离待审")
    shop.lp(CLEAN)
    assert len(shop.printer.wait(1)) == 1
    (job,) = shop.wait(1, State.HELD)
    shop.site.run("quarantine", "release", job.id, "--reason", "已核")
    first, second = shop.printer.wait(2)
    assert hashlib.sha256(second.body).hexdigest() == job.item.sha256
    assert (second.attributes["copies"], second.attributes["sides"]) == ("3", "two-sided-long-edge")
    assert first.body != second.body
    shop.wait(2, State.RELEASED)
    shop.site.run("quarantine", "release", job.id, "--reason", "已核", check=9)
    shop.end()
    shop.start()
    shop.lp(CLEAN)
    assert len(shop.printer.wait(3)) == 3


def test_a_rejected_job_never_prints(shop: Shop) -> None:
    """A reviewer's no is final."""
    shop.lp(HELD)
    (job,) = shop.wait(1, State.HELD)
    shop.site.run("quarantine", "reject", job.id, "--reason", "不得打印")
    shop.lp(CLEAN)
    assert len(shop.printer.wait(1)) == 1
    shop.site.run("quarantine", "release", job.id, "--reason", "已核", check=9)


def test_the_redacted_copy_is_what_is_printed(shop: Shop) -> None:
    """The number is in no byte and no text of what reaches the printer; the original stays sealed."""
    shop.lp(PERSONAL)
    (printed,) = shop.printer.wait(1, seconds=90)
    (job,) = shop.wait(1, State.REDACTED)
    assert hashlib.sha256(printed.body).hexdigest() == job.outgoing != job.item.sha256
    assert NUMBER.encode() not in printed.body
    copy = shop.site.root / "copy.pdf"
    copy.write_bytes(printed.body)
    (told,) = shop.site.json("scan", str(copy), "--exit-zero")
    assert [found for found in told["findings"] if found["type"] == "cn_resident_id"] == []
    assert [path.stem for path in (shop.site.vault / "q").iterdir()] == [job.id]


def test_a_title_is_screened_and_stays_here(shop: Shop) -> None:
    """A mark in the title alone holds the job; a number in it is masked wherever it is shown."""
    shop.lp(CLEAN, title="绝密★长期 名单")
    (job,) = shop.wait(1, State.HELD, State.WITHHELD)
    shop.lp(CLEAN, title=f"{NUMBER} 的申请")
    until(lambda: len(shop.jobs()) == 2, "the second job", log=shop.told)
    assert NUMBER not in (shop.site.state / "gate.db").read_bytes().decode("latin-1")
    assert NUMBER not in shop.log.read_text(encoding="utf-8")
    assert job.item.source == "printer:office"


def test_a_printer_that_is_off_gets_its_jobs_once_it_is_on(shop: Shop) -> None:
    """Jobs for a dead printer are taken, wait in order, and print once each when it is back, also after a crash."""
    shop.lp(CLEAN)
    shop.printer.wait(1)
    shop.printer.kill()
    shop.lp(drawn(written("second")))
    shop.lp(drawn(written("third")))
    second, third = shop.wait(2, State.RELEASING)
    shop.end(signal.SIGKILL)
    shop.start()
    shop.printer.start()
    printed = shop.printer.wait(3)
    shop.wait(3, State.RELEASED)
    hashes = [hashlib.sha256(one.body).hexdigest() for one in printed]
    assert hashes[1:] == [second.item.sha256, third.item.sha256]
    shop.site.run("audit", "verify")


def test_a_crash_while_a_job_is_read_prints_it_once(shop: Shop) -> None:
    """Killed before CUPS has an answer: CUPS sends again, and one paper comes."""
    scan = drawn(*(written("page") for _ in range(60)))
    number = shop.lp(scan)
    until(lambda: any(job.state is State.STORED for job in shop.jobs()), "the job is sealed", log=shop.told)
    shop.end(signal.SIGKILL)
    shop.start()
    printed = shop.printer.wait(1, seconds=90)
    shop.stack.wait_for(number, "completed", seconds=120)
    shop.lp(CLEAN)
    assert len(shop.printer.wait(len(printed) + 1)) == 2
    states = [job.state for job in shop.jobs()]
    assert states.count(State.RELEASED) == 2
    assert set(states) <= {State.RELEASED, State.REFUSED}
    shop.site.run("audit", "verify")


def test_a_job_that_its_owner_takes_back_is_not_printed(shop: Shop) -> None:
    """Cancelled while the printer is off: nothing is printed when it is back, and the sealed copy is gone."""
    shop.printer.kill()
    shop.lp(CLEAN)
    (job,) = shop.wait(1, State.RELEASING)
    (open_job,) = shop.ask(Op.GET_JOBS).all(Tag.JOB)
    shop.ask(Op.CANCEL_JOB, ipp.integers("job-id", open_job.number("job-id")))
    shop.printer.start()
    shop.lp(CLEAN)
    shop.wait(1, State.RELEASED)
    assert len(shop.printer.wait(1)) == 1
    assert {one.id: one.state for one in shop.jobs()}[job.id] is State.CANCELLED
    assert not list((shop.site.vault / "q").iterdir())


def test_what_is_asked_wrongly_is_refused(shop: Shop) -> None:
    """Unknown operations, versions, printers, jobs, formats, counts, a second document: each with its own answer."""
    where = Where.of(f"ipp://127.0.0.1:{shop.port}/ipp/print/office")
    who = ipp.texts("requesting-user-name", Tag.NAME, "root")

    def status(op: int, *more: ipp.Attribute, job: tuple[ipp.Attribute, ...] = (), path: str = "office") -> int:
        groups = [ipp.operation(who, *more), *((ipp.Group(Tag.JOB, job),) if job else ())]
        place = where._replace(path=f"/ipp/print/{path}")
        return client.call(place, ipp.Message(op, 7, tuple(groups))).code

    assert status(0x4FFF) == Status.OPERATION_NOT_SUPPORTED
    assert status(Op.GET_PRINTER_ATTRIBUTES, path="other") == Status.NOT_FOUND
    assert status(Op.GET_JOB_ATTRIBUTES, ipp.integers("job-id", 5)) == Status.NOT_FOUND
    assert status(Op.SEND_DOCUMENT, ipp.integers("job-id", 5)) == Status.NOT_FOUND
    assert status(Op.CANCEL_JOB, ipp.integers("job-id", -1)) == Status.NOT_FOUND
    picture = ipp.texts("document-format", Tag.MEDIA_TYPE, "image/urf")
    assert status(Op.VALIDATE_JOB, picture) == Status.FORMAT_NOT_SUPPORTED
    packed = ipp.texts("compression", Tag.KEYWORD, "gzip")
    assert status(Op.CREATE_JOB, packed) == Status.COMPRESSION_NOT_SUPPORTED
    assert status(Op.CREATE_JOB, job=(ipp.integers("copies", 0),)) == Status.ATTRIBUTES_NOT_SUPPORTED
    assert status(Op.CREATE_JOB, job=(ipp.integers("copies", 10_000),)) == Status.ATTRIBUTES_NOT_SUPPORTED
    bare = client.call(where, ipp.Message(Op.GET_JOBS, 9, ()))
    assert (bare.code, bare.id) == (Status.BAD_REQUEST, 9)
    old = client.call(where, ipp.Message(Op.GET_JOBS, 9, (ipp.operation(who),), version=(9, 0)))
    assert old.code == Status.VERSION_NOT_SUPPORTED
    made = shop.ask(Op.CREATE_JOB).group(Tag.JOB).number("job-id")
    sent = (ipp.integers("job-id", made), ipp.flag("last-document", value=True))
    shop.ask(Op.SEND_DOCUMENT, *sent, body=CLEAN)
    with pytest.raises(Refused) as again:
        shop.ask(Op.SEND_DOCUMENT, *sent, body=SECRET)
    assert again.value.status == Status.MULTIPLE_DOCUMENTS_NOT_SUPPORTED
    with pytest.raises(Refused) as stranger:
        shop.ask(Op.CANCEL_JOB, ipp.integers("job-id", made), user="mallory")
    assert stranger.value.status == Status.NOT_AUTHORIZED
    assert len(shop.printer.wait(1)) == 1
    assert len(shop.jobs()) == 1


def test_who_comes_past_cups_is_screened_too(shop: Shop) -> None:
    """A program that speaks to the gate itself: held and blocked as any other, its name shown as not verified."""
    with pytest.raises(Refused) as refused:
        shop.ask(Op.PRINT_JOB, ipp.texts("job-name", Tag.NAME, "x"), body=SECRET, user="局长")
    assert refused.value.status == Status.FORBIDDEN
    held = shop.ask(Op.PRINT_JOB, body=HELD).group(Tag.JOB)
    assert held.number("job-state") == JobState.HELD
    assert "隔离" in held.text("job-state-message")
    blocked, waiting = shop.jobs()
    assert (blocked.state, waiting.state) == (State.WITHHELD, State.HELD)
    assert blocked.item.owner == "局长（未核实）"
    assert shop.printer.jobs() == []


def test_half_a_document_is_nothing(shop: Shop) -> None:
    """A sender who breaks off has sent nothing: the job is not taken, and the next one is."""
    head = codec.encode(ipp.Message(Op.PRINT_JOB, 1, (ipp.operation(),)))
    said = f"POST /ipp/print/office HTTP/1.1\r\nHost: x\r\nContent-Type: {ipp.MEDIA}\r\nContent-Length: 90000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shop.port)) as plug:
        plug.sendall(said.encode() + head + CLEAN)
    shop.lp(CLEAN)
    assert len(shop.printer.wait(1)) == 1
    assert [job.state for job in shop.jobs() if job.state is not State.REFUSED] == [State.RELEASED]


def test_two_documents_in_one_stream_are_held(shop: Shop) -> None:
    """One PDF behind another: a reader sees one, a printer may print both."""
    shop.ask(Op.PRINT_JOB, body=CLEAN + drawn(written("the other one")))
    (job,) = shop.jobs()
    assert job.state is State.HELD
    assert shop.printer.jobs() == []


def test_a_queue_of_cups_can_be_the_printer(tmp_path: Path, stack: PrintStack) -> None:
    """What is cleared goes on to a second queue, which converts for a printer that takes only raster."""
    drum = stack.printer("drum", formats=(RASTER,))
    stack.queue("out", drum)
    with Shop(tmp_path, stack, printer='onward = "cups:out"') as shop:
        number = shop.lp(CLEAN, "-n", "1")
        (printed,) = drum.wait(1, seconds=60)
        assert printed.body.startswith(b"RaS2")
        shop.wait(1, State.RELEASED)
        stack.wait_for(number, "completed")
        blocked = shop.lp(SECRET)
        assert shop.message(blocked).startswith("拦截")
        assert len(drum.jobs()) == 1


def test_plain_text_is_read_or_held(shop: Shop) -> None:
    """CUPS makes pages of it in fonts that tell no characters: what is in it is seen by eye, or it waits."""
    number = shop.stack.lp(QUEUE, shop.stack.file("a.txt", b"SECRET ID 110101199003077758\n" * 20))
    (job,) = shop.wait(1, State.HELD, State.WITHHELD, State.REDACTED)
    assert job.findings or job.gaps
    for one in shop.printer.jobs():
        assert hashlib.sha256(one.body).hexdigest() == job.outgoing != job.item.sha256
    assert shop.stack.job(number)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_jobs_of_eight_people_end_as_decided(shop: Shop) -> None:
    """Mixed verdicts at once: each is printed, held or blocked exactly as decided, and none twice."""
    kinds = ("clean", "secret", "held")
    texts = {"clean": "letter {}", "secret": "机密★10年\n第{}号方案", "held": "工作秘密\n第{}号安排"}

    def person(who: int) -> list[tuple[str, bytes]]:
        sent = []
        for number in range(25):
            kind = kinds[(who + number) % 3]
            content = drawn(written(texts[kind].format(f"{who}-{number}")))
            if kind == "secret":
                with pytest.raises(Refused):
                    shop.ask(Op.PRINT_JOB, body=content)
            else:
                shop.ask(Op.PRINT_JOB, body=content)
            sent.append((kind, content))
        return sent

    with ThreadPoolExecutor(8) as pool:
        sent = [one for each in pool.map(person, range(8)) for one in each]
    wanted = Counter(kind for kind, _ in sent)
    printed = shop.printer.wait(wanted["clean"], seconds=300)
    shop.wait(wanted["clean"], State.RELEASED)
    states = Counter(job.state for job in shop.jobs())
    assert states == {
        State.RELEASED: wanted["clean"],
        State.WITHHELD: wanted["secret"],
        State.HELD: wanted["held"],
    }
    clean = Counter(hashlib.sha256(content).hexdigest() for kind, content in sent if kind == "clean")
    assert Counter(hashlib.sha256(one.body).hexdigest() for one in printed) == clean
    assert len(shop.printer.jobs()) == wanted["clean"]
    shop.site.run("audit", "verify")
