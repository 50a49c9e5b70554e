"""The print stack of the tests is real: real CUPS, real printers, and what they say is what happened."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

import print_stack
from print_stack import PDF, RASTER, ROOT, URF, PrintStack, missing, until

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def page(text: str = "hello") -> bytes:
    """Return a PDF of one page."""
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(100, 700, text)
    canvas.save()
    return out.getvalue()


def belonging(folder: Path) -> list[int]:
    """Return the processes that have this folder in their command line or environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in told:
            found.append(int(entry.name))
    return found


def test_a_document_reaches_the_printer(stack: PrintStack) -> None:
    """What lp sends comes out of the printer once, with title and options."""
    office = stack.printer(more=("-2",))
    stack.queue("office", office)
    number = stack.lp(
        "office", stack.file("a.pdf", page()), options=("-t", "会议 通知", "-o", "sides=two-sided-long-edge")
    )
    (printed,) = office.wait(1)
    assert printed.body.startswith(b"%PDF-")
    assert printed.attributes["job-name"] == "会议 通知"
    assert printed.attributes["sides"] == "two-sided-long-edge"
    assert stack.wait_for(number, "completed")["job-name"] == "会议 通知"
    assert office.jobs() == [printed]


def test_raw_bytes_are_kept_as_they_came(stack: PrintStack) -> None:
    """A document that no filter touches is captured byte by byte."""
    office = stack.printer()
    stack.queue("office", office)
    content = page() + bytes(range(256)) * 2_000
    stack.lp("office", stack.file("a.pdf", content), options=("-o", "raw"))
    assert [job.body for job in office.wait(1)] == [content]


def test_a_raster_printer_is_sent_raster(stack: PrintStack) -> None:
    """A printer that takes only raster is sent what CUPS makes of a PDF."""
    drum = stack.printer("drum", formats=(RASTER, URF))
    stack.queue("drum", drum)
    stack.lp("drum", stack.file("a.pdf", page()))
    (printed,) = drum.wait(1)
    assert printed.body.startswith((b"RaS2", b"UNIRAST"))


def test_a_busy_printer_takes_nothing_more(stack: PrintStack) -> None:
    """While it holds one document, the next waits in CUPS; then both are out, each once."""
    office = stack.printer()
    stack.queue("office", office)
    office.hold()
    first = stack.lp("office", stack.file("a.pdf", page("one")))
    office.wait(1, finished=False)
    second = stack.lp("office", stack.file("b.pdf", page("two")))
    assert [job.finished for job in office.jobs()] == [False]
    assert stack.job(second)["job-state"] in ("pending", "processing")
    office.go_on()
    assert len(office.wait(2)) == 2
    stack.wait_for(first, "completed")
    stack.wait_for(second, "completed")
    assert len(office.jobs()) == 2


def test_a_printer_without_power_comes_back(stack: PrintStack) -> None:
    """A job for a dead printer waits, and prints once when it is back at its old address."""
    office = stack.printer()
    stack.queue("office", office)
    stack.wait_for(stack.lp("office", stack.file("a.pdf", page("one"))), "completed")
    office.kill()
    assert not office.program.alive
    number = stack.lp("office", stack.file("b.pdf", page("two")))
    until(lambda: "unavailable" in str(stack.job(number).get("job-printer-state-message")), "CUPS misses the printer")
    office.start()
    stack.wait_for(number, "completed", seconds=90)
    assert len(office.wait(2)) == 2


def test_a_killed_cupsd_keeps_its_queues_and_jobs(stack: PrintStack) -> None:
    """SIGKILL and a new start: the queue is there, and so is the held job."""
    stack.queue("office", stack.printer())
    number = stack.lp("office", stack.file("a.pdf", page()), options=("-H", "indefinite"))
    until((stack.root / "cache/job.cache").exists, "CUPS has written down its jobs")
    stack.restart()
    assert "device for office" in stack.lpstat("-v")
    assert stack.job(number)["job-state"] == "pending-held"


def test_a_new_configuration_holds_at_once(stack: PrintStack) -> None:
    """When the setter returns, cupsd answers by the new text."""
    stack.queue("office", stack.printer())
    stack.conf = stack.conf.replace(
        "<Limit Create-Job Print-Job Print-URI Validate-Job>",
        "<Limit Create-Job Print-Job Print-URI Validate-Job>\n    Require user nobody-of-this-name",
        1,
    )
    done = stack.run("lp", "-d", "office", str(stack.file("a.pdf", page())), check=False)
    assert done.returncode != 0


@pytest.mark.skipif(not ROOT, reason="only root can act as another user")
def test_another_user_is_another_user(stack: PrintStack) -> None:
    """A job of another user carries that name, and that user is no administrator."""
    stack.queue("office", stack.printer())
    number = stack.lp("office", stack.file("a.pdf", page()), user="games", options=("-H", "indefinite"))
    assert stack.job(number)["job-originating-user-name"] == "games"
    assert stack.lpadmin("-x", "office", user="games", check=False).returncode != 0
    assert stack.cancel(str(number), user="news", check=False).returncode != 0
    stack.cancel(str(number), user="games")
    stack.wait_for(number, "canceled")


def test_two_stacks_know_nothing_of_each_other(stack: PrintStack) -> None:
    """Each has its own queues, printers and ports."""
    with PrintStack(tcp=True) as other:
        stack.queue("one", stack.printer())
        other.queue("two", other.printer())
        assert "two" not in stack.lpstat("-v")
        assert "one" not in other.lpstat("-v")
        assert (
            "two"
            in subprocess.run(
                ["lpstat", "-h", f"127.0.0.1:{other.port}", "-v"],
                capture_output=True,
                text=True,
                check=True,
                env=other.env(),
            ).stdout
        )


@pytest.fixture
def killed() -> Iterator[subprocess.Popen[str]]:
    """Give a process that has a stack up and says where."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from print_stack import PrintStack\n"
        "s = PrintStack(); s.queue('office', s.printer())\n"
        "print(s.root, flush=True); sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", code, str(Path(__file__).parent)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_nothing_outlives_a_killed_test_run(killed: subprocess.Popen[str]) -> None:
    """SIGKILL of whoever started a stack ends cupsd, printers and the D-Bus by themselves."""
    assert killed.stdout is not None
    root = Path(killed.stdout.readline().strip())
    assert len(belonging(root)) >= 3
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    until(lambda: not belonging(root), "all processes of the stack are gone")
    shutil.rmtree(root)


def test_a_closed_stack_leaves_nothing() -> None:
    """No process, no folder; not even the backend of a cupsd that was killed while it sent."""
    with PrintStack() as stack:
        office = stack.printer()
        stack.queue("office", office)
        office.hold()
        stack.lp("office", stack.file("a.pdf", page()))
        office.wait(1, finished=False)
        stack.kill()
    assert belonging(stack.root) == []
    assert not stack.root.exists()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for a skip names each program."""
    monkeypatch.setattr(print_stack, "_PATH", "/nowhere")
    assert "cupsd, lp, lpadmin" in (missing() or "")


def test_formats_are_what_the_printer_says(stack: PrintStack) -> None:
    """A printer advertises the formats that it was given."""
    office = stack.printer(formats=(PDF, "image/jpeg"))
    stack.queue("office", office)
    driver = (stack.root / "etc/ppd/office.ppd").read_text(encoding="utf-8", errors="replace")
    assert "application/pdf" in driver
