"""`dlp print install`, `status` and `remove` against a real CUPS, a real gate and real printers.

Each way around the gate is tried by another user and seen to fail; what the gate cannot close, `status` names.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counters import CLEAN, SECRET, Counter, entry, gate, printed
from print_stack import ROOT, PrintStack, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")
as_root = pytest.mark.skipif(not ROOT, reason="only root can act as another user")
SOMEBODY = "games"
GATE_USER = "www-data"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    """Keep one CUPS, two printers and one gate for all tests of this file."""
    with PrintStack(tcp=True) as stack:
        shop = Counter(stack, tmp_path_factory.mktemp("shop"))
        office = shop.office.uri
        shop.entries |= {
            "office": entry("office", office),
            "counter": entry("counter", office, "一号窗口"),
            "drum": entry("drum", "cups:drum-out"),
            "behind": entry("behind", "cups:usb"),
            "hp": entry("hp", "cups:hp-out"),
            "laser": entry("laser", "cups:laser-out"),
        }
        with shop.place.config.open("a", encoding="utf-8") as config:
            config.write("".join(shop.entries.values()))
        with gate(shop):
            yield shop


@pytest.fixture
def shop(house: Counter) -> Iterator[Counter]:
    """Give the shop with a CUPS that has no queues and the configuration of the distribution."""
    house.know("office")
    yield house
    for printer in (house.office, house.drum):
        printer.go_on()
    house.clear()


def install(shop: Counter, queue: str = "office", printer: str = "", *more: str) -> list[str]:
    """Install a queue and return what was changed."""
    named = ("--printer", printer or shop.office.uri)
    return [step["text"] for step in shop.steps("install", "--queue", queue, *named, *more) if step["changed"]]


def old_queues(shop: Counter) -> None:
    """Make what a shop has before: a queue that is the default, with options of its own, and a class with it."""
    stack = shop.stack
    stack.queue("old", shop.office, "-D", "文印室 一号机", "-L", "三楼", "-o", "sides-default=two-sided-long-edge")
    stack.lpadmin("-p", "old", "-o", "media=A4", "-o", "number-up-default=2", "-u", "deny:nobody")
    stack.lpadmin("-p", "old", "-o", "printer-error-policy=stop-printer")
    stack.lpadmin("-p", "old", "-c", "both")
    stack.run("cupsaccept", "both")
    stack.run("cupsenable", "both")
    stack.lpadmin("-d", "old")


def test_install_changes_once_and_remove_gives_back(shop: Counter) -> None:
    """A second run changes nothing and says so; a removal gives back queues, states, options, drivers, cupsd.conf."""
    old_queues(shop)
    before = shop.seen()
    assert len(install(shop)) == 4  # cupsd.conf, office, old, both
    assert install(shop) == []
    assert "没有需要更改的" in shop.dlp("install", "--queue", "office", "--printer", shop.office.uri).stdout
    assert "nothing had to be changed" in shop.dlp("install", "--queue", "office", "--lang", "en").stdout
    after = shop.seen()
    assert after["old"] != before["old"]
    assert after["conf"] != before["conf"]
    kept = ("printer-info", "printer-location", "sides-default", "number-up-default", "requesting-user-name-denied")
    assert [after["old"][name] for name in kept] == [before["old"][name] for name in kept]
    assert after["old.ppd"] == before["old.ppd"]
    assert "system default destination: old" in after["lpstat"]
    shop.dlp("remove", "--queue", "office")
    assert shop.seen() == before
    assert not (shop.place.state / "printing.json").exists()
    shop.dlp("remove", "--queue", "office", check=10)


def test_what_is_closed_is_told_where_people_look(shop: Counter) -> None:
    """A queue that takes no more jobs says which one does, and the default queue is named."""
    old_queues(shop)
    changed = "\n".join(install(shop))
    assert "old 通向同一打印机，不再接受作业；它是默认队列，请改默认：lpadmin -d office" in changed
    assert "由文印闸接管，请打印到 office" in shop.stack.lpstat("-a", "old")


def test_a_clean_job_prints_and_a_secret_one_does_not(shop: Counter) -> None:
    """What people print to the new queue passes the gate, and only what is cleared reaches the printer."""
    install(shop)
    stack, before = shop.stack, printed(shop.office)
    number = stack.lp("office", stack.file("b.pdf", SECRET))
    assert "机密" in stack.wait_for(number, "canceled")["job-printer-state-message"]
    stack.wait_for(stack.lp("office", stack.file("a.pdf", CLEAN)), "completed")
    shop.office.wait(before + 1)
    assert printed(shop.office) == before + 1


def secret_is_stopped(shop: Counter, number: int, before: int) -> None:
    """Check that a job with a mark was cancelled and that no paper came out."""
    shop.stack.wait_for(number, "canceled")
    assert printed(shop.office) == before


@as_root
class TestWaysAround:
    """Each bypass, tried by somebody who is no administrator."""

    def test_owner_lets_a_held_job_go(self, shop: Counter) -> None:
        """A job that its owner holds and lets go comes to the gate."""
        install(shop)
        stack, before = shop.stack, printed(shop.office)
        number = stack.lp("office", stack.file("b.pdf", SECRET), user=SOMEBODY, options=("-H", "indefinite"))
        stack.run("lp", "-i", str(number), "-H", "resume", user=SOMEBODY)
        secret_is_stopped(shop, number, before)
        assert shop.ways()["office", "owner-release"] == "closed"

    @pytest.mark.parametrize(
        "options", [("-H", "immediate"), ("-o", "raw"), ("-o", "document-format=application/octet-stream")]
    )
    def test_options_that_push_a_job_through(self, shop: Counter, options: tuple[str, ...]) -> None:
        """At once, or untouched by any filter: the bytes come to the gate all the same."""
        install(shop)
        before = printed(shop.office)
        number = shop.stack.lp("office", shop.stack.file("b.pdf", SECRET), user=SOMEBODY, options=options)
        secret_is_stopped(shop, number, before)
        ways = shop.ways()
        assert (ways["office", "hold-immediate"], ways["office", "raw"]) == ("closed", "closed")

    @pytest.mark.parametrize("files", [(SECRET, CLEAN), (CLEAN, SECRET)])
    def test_a_secret_between_other_files(self, shop: Counter, files: tuple[bytes, ...]) -> None:
        """Each file of a job is screened by itself, wherever it stands: the one with a mark does not come out."""
        install(shop)
        before = printed(shop.office)
        paths = [shop.stack.file(f"{n}.pdf", raw) for n, raw in enumerate(files)]
        number = shop.stack.lp("office", *paths, user=SOMEBODY)
        shop.stack.wait_for(number, "canceled", "completed", "aborted")
        shop.office.wait(before + (files[0] is CLEAN))
        assert printed(shop.office) == before + (files[0] is CLEAN)  # what comes after a secret one is not sent at all
        assert shop.ways()["office", "multi-file"] == "closed"

    def test_moving_a_job_to_another_queue(self, shop: Counter) -> None:
        """A job moved to a queue that refuses jobs would print; the policy of that queue forbids it."""
        old_queues(shop)
        install(shop)
        stack, before = shop.stack, printed(shop.office)
        number = stack.lp("office", stack.file("b.pdf", SECRET), user=SOMEBODY, options=("-H", "indefinite"))
        for target in ("old", "both"):
            moved = stack.lpmove(str(number), target, user=SOMEBODY, check=False)
            assert moved.returncode != 0, target
            assert "Forbidden" in moved.stderr
        moved = stack.lpmove("office", "old", user=SOMEBODY, check=False)
        assert moved.returncode != 0
        stack.run("lp", "-i", str(number), "-H", "resume", user=SOMEBODY)
        secret_is_stopped(shop, number, before)
        assert shop.ways()["office", "move"] == "closed"

    def test_other_queues_and_classes(self, shop: Counter) -> None:
        """No queue and no class to the same printer takes a job, whatever name is given, over socket or TCP."""
        old_queues(shop)
        install(shop)
        stack, file, before = shop.stack, str(shop.stack.file("b.pdf", SECRET)), printed(shop.office)
        for queue in ("old", "both"):
            for who in ((), ("-U", "root"), ("-h", f"127.0.0.1:{stack.port}", "-U", "root")):
                tried = stack.run("lp", *who, "-d", queue, file, user=SOMEBODY, check=False)
                assert tried.returncode != 0, (queue, who)
                assert tried.stderr.split()[1] in ("Forbidden", "Unauthorized"), tried.stderr
            for program in ("cupsaccept", "cupsenable"):
                assert stack.run(program, queue, user=SOMEBODY, check=False).returncode != 0
        assert printed(shop.office) == before
        assert shop.ways()["office", "direct-queue"] == "closed"

    def test_a_queue_of_ones_own(self, shop: Counter) -> None:
        """Before, anybody makes a queue straight to the printer; afterwards nobody does."""
        make = ("ATTR uri printer-uri ipp://localhost/", "GROUP printer-attributes-tag", "ATTR name printer-name mine")
        uri = f"ATTR uri device-uri {shop.office.uri}"
        operation = "CUPS-Create-Local-Printer"
        assert shop.stack.ask(operation, *make, uri, user=SOMEBODY)
        install(shop)
        again = [line.replace("mine", "mine2") for line in make]
        assert shop.stack.ask(operation, *again, uri, user=SOMEBODY, check=False) == []
        assert "mine2" not in shop.stack.lpstat("-e")
        ways = shop.ways()
        assert ways["", "local-printer"] == "closed"
        assert ways["office", "direct-queue"] == "closed"  # "mine" was closed like any other
        assert shop.stack.run("lp", "-d", "mine", "/etc/hostname", user=SOMEBODY, check=False).returncode != 0

    def test_a_leave_that_was_written_before(self, shop: Counter) -> None:
        """Where a configuration lets users make queues in so many words, ours still goes before."""
        leave = "  <Limit CUPS-Create-Local-Printer>\n    Order deny,allow\n  </Limit>\n"
        shop.stack.conf = shop.stack.conf.replace("<Policy default>\n", f"<Policy default>\n{leave}")
        before = shop.stack.conf
        install(shop)
        assert shop.ways()["", "local-printer"] == "closed"
        shop.dlp("remove", "--queue", "office")
        assert shop.stack.conf == before

    def test_the_locked_queue(self, shop: Counter) -> None:
        """Nobody but the gate sends to the queue behind it, moves, lets go, prints again or changes what is there."""
        shop.know("drum")
        install(shop, "drum", shop.drum.uri)
        stack, before = shop.stack, printed(shop.drum)
        file = stack.file("a.pdf", CLEAN)
        assert stack.run("lp", "-d", "drum-out", str(file), user=SOMEBODY, check=False).returncode != 0
        mine = stack.lp("drum", file, user=SOMEBODY, options=("-H", "indefinite"))
        assert stack.lpmove(str(mine), "drum-out", user=SOMEBODY, check=False).returncode != 0
        stack.cancel(str(mine), user=SOMEBODY)
        held = stack.lp("drum-out", file, options=("-H", "indefinite"))
        for tried in (
            ("lp", "-i", str(held), "-H", "resume"),
            ("lp", "-i", str(held), "-o", "copies=9"),
            ("lpmove", str(held), "drum"),
            ("cancel", str(held)),
        ):
            assert stack.run(*tried, user=SOMEBODY, check=False).returncode != 0, tried
        stack.run("lp", "-i", str(held), "-H", "resume")
        stack.wait_for(held, "completed")
        again = stack.run("lp", "-i", str(held), "-H", "restart", user=SOMEBODY, check=False)
        assert again.returncode != 0
        assert len(shop.drum.wait(before + 1)) == before + 1

    def test_a_gate_that_is_no_administrator(self, shop: Counter) -> None:
        """The user of the gate may do with jobs of the two queues what the gate has to do, and set up nothing."""
        shop.know("drum")
        install(shop, "drum", shop.drum.uri, "--user", GATE_USER)
        stack, file = shop.stack, shop.stack.file("a.pdf", CLEAN)
        held = stack.lp("drum", file, user=SOMEBODY, options=("-H", "indefinite", "-t", "题目"))
        assert stack.job(held, user=GATE_USER)["job-name"] == "题目"
        assert "job-name" not in stack.job(held, user="news")
        assert stack.run("lp", "-i", str(held), "-o", "copies=2", user="news", check=False).returncode != 0
        stack.run("lp", "-i", str(held), "-o", "copies=2", user=GATE_USER)
        stack.cancel(str(held), user=GATE_USER)
        waiting = stack.lp("drum-out", file, user=GATE_USER, options=("-H", "indefinite"))
        stack.run("lp", "-i", str(waiting), "-H", "resume", user=GATE_USER)
        stack.wait_for(waiting, "completed")
        assert stack.run("lp", "-d", "drum-out", str(file), user="news", check=False).returncode != 0
        for queue in ("drum", "drum-out"):
            open_again = ("-p", queue, "-o", "printer-op-policy=default")
            assert stack.lpadmin(*open_again, user=GATE_USER, check=False).returncode != 0
        assert set(shop.ways().values()) == {"closed", "network"}
        assert install(shop, "drum", shop.drum.uri) == []  # whom the gate runs as is remembered


def test_a_printer_of_pixels_is_behind_a_locked_queue(shop: Counter) -> None:
    """The gate is sent PDF and CUPS makes pixels of what was cleared; a secret page does not reach the drum."""
    shop.know("drum")
    before = shop.seen()
    assert "drum-out" in "\n".join(install(shop, "drum", shop.drum.uri))
    assert install(shop, "drum", shop.drum.uri) == []
    stack, count = shop.stack, printed(shop.drum)
    stack.wait_for(stack.lp("drum", stack.file("b.pdf", SECRET)), "canceled")
    stack.wait_for(stack.lp("drum", stack.file("a.pdf", CLEAN)), "completed")
    (last,) = shop.drum.wait(count + 1)[count:]
    assert last.body.startswith((b"RaS2", b"UNIRAST"))
    shop.rest()
    assert shop.ways()["drum", "raster"] == "closed"
    shop.dlp("remove", "--queue", "drum")
    assert shop.seen() == before


def test_a_printer_that_cannot_say_what_it_is(shop: Counter) -> None:
    """A bare port with a driver that is named: CUPS makes PostScript of what was cleared, and all comes back."""
    shop.know("laser")
    before = shop.seen()
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"socket://127.0.0.1:{server.getsockname()[1]}"
        args = ("laser", uri, "--model", "drv:///sample.drv/generic.ppd")
        install(shop, *args)
        assert install(shop, *args) == []
        assert shop.status()["laser", "network"]["text"].count(uri.removeprefix("socket://"))
        number = shop.stack.lp("laser", shop.stack.file("a.pdf", CLEAN))
        server.settimeout(60)
        taken, _ = server.accept()
        with taken:
            sent = b"".join(iter(lambda: taken.recv(65_536), b""))
    assert sent.startswith((b"%!PS", b"\x1b%-12345X"))
    shop.stack.wait_for(number, "completed")
    shop.rest()
    shop.dlp("remove", "--queue", "laser")
    assert shop.seen() == before


def test_a_queue_that_is_there_goes_behind_the_gate(shop: Counter) -> None:
    """`--printer QUEUE`: the queue keeps its driver and options, only the gate may use it, and it is given back."""
    shop.stack.queue("usb", shop.office, "-o", "media=A4", "-D", "老打印机")
    shop.know("behind")
    before = shop.seen()
    install(shop, "behind", "usb")
    assert install(shop, "behind", "usb") == []
    assert shop.seen()["usb.ppd"] == before["usb.ppd"]
    count = printed(shop.office)
    shop.stack.lp("behind", shop.stack.file("a.pdf", CLEAN))
    shop.office.wait(count + 1)
    shop.rest()
    shop.dlp("remove", "--queue", "behind")
    assert shop.seen() == before


def test_people_keep_the_name_of_their_queue(shop: Counter) -> None:
    """`--queue hp --printer hp`: a copy goes behind the gate, the name leads through it, choices stay."""
    shop.stack.queue("hp", shop.office, "-D", "财务科", "-o", "number-up-default=2")
    shop.stack.lpadmin("-p", "hp", "-o", "PageSize=A4", "-o", "Duplex=DuplexNoTumble")
    shop.know("hp")
    before = shop.seen()
    install(shop, "hp", "hp")
    assert install(shop, "hp", "hp") == []
    during = shop.seen()
    assert during["hp-out"]["device-uri"] == shop.office.uri
    assert during["hp-out.ppd"] == before["hp.ppd"]
    assert during["hp"]["printer-info"] == "财务科"
    assert during["hp"]["number-up-default"] == 2
    assert "number-up-default" not in during["hp-out"] or during["hp-out"]["number-up-default"] == 1
    for line in (b"*DefaultPageSize: A4", b"*DefaultDuplex: DuplexNoTumble"):
        assert line in before["hp.ppd"]
        assert line in during["hp.ppd"]
    count = printed(shop.office)
    shop.stack.lp("hp", shop.stack.file("a.pdf", CLEAN))
    shop.office.wait(count + 1)
    shop.rest()
    shop.dlp("remove", "--queue", "hp")
    assert shop.seen() == before


def test_a_queue_that_went_straight_is_turned(shop: Counter) -> None:
    """A queue of the wanted name that led to the printer leads through the gate, and later to the printer again."""
    shop.stack.queue("office", shop.office, "-L", "一楼", "-o", "printer-error-policy=abort-job")
    shop.stack.run("cupsdisable", "-r", "缺纸", "office")
    before = shop.seen()
    install(shop)
    assert shop.status()["office", "queue"]["ok"]
    shop.dlp("remove", "--queue", "office")
    assert shop.seen() == before


def test_two_queues_to_one_printer(shop: Counter) -> None:
    """Closed ways stay closed until the last queue is removed; a Chinese name is a name like any other."""
    old_queues(shop)
    shop.know("office", "counter")
    before = shop.seen()
    install(shop)
    install(shop, "一号窗口")
    count = printed(shop.office)
    shop.stack.lp("一号窗口", shop.stack.file("a.pdf", CLEAN))
    shop.office.wait(count + 1)
    shop.rest()
    shop.dlp("remove", "--queue", "office")
    shop.know("counter")
    ways = shop.ways()
    assert ways["一号窗口", "direct-queue"] == "closed"
    assert ways["", "local-printer"] == "closed"
    shop.dlp("remove", "--queue", "一号窗口")
    assert shop.seen() == before


def test_a_job_that_prints_meanwhile_is_left_alone(shop: Counter) -> None:
    """CUPS reads its new configuration while a job is printing, and that job comes out once."""
    shop.stack.queue("old", shop.office)
    count = printed(shop.office)
    shop.office.hold()
    number = shop.stack.lp("old", shop.stack.file("a.pdf", CLEAN))
    shop.office.wait(count + 1, finished=False)
    told = "\n".join(install(shop))
    assert "其中 1 个作业此前已接受，不经闸门" in told
    shop.office.go_on()
    shop.stack.wait_for(number, "completed")
    assert printed(shop.office) == count + 1


def test_a_queue_with_jobs_is_not_deleted(shop: Counter) -> None:
    """A removal that would lose a waiting job stops before it changes anything, and says which job."""
    install(shop)
    during = shop.seen()
    number = shop.stack.lp("office", shop.stack.file("a.pdf", CLEAN), options=("-H", "indefinite"))
    stopped = shop.dlp("remove", "--queue", "office", check=11)
    assert str(number) in stopped.stderr
    assert shop.seen()["conf"] == during["conf"]
    shop.stack.cancel(str(number))
    shop.dlp("remove", "--queue", "office")


@pytest.fixture
def waiting(house: Counter, tmp_path: Path) -> Iterator[Counter]:
    """Give a shop on the same CUPS whose jobs wait there to be screened."""
    yield Counter(house.stack, tmp_path, held=entry("in", "cups:usb", mode="held"))
    house.clear()


@as_root
def test_jobs_that_wait_for_the_gate(waiting: Counter) -> None:
    """In held mode no owner lets go, moves or changes a job, and `lp -H immediate` waits too; all comes back."""
    stack = waiting.stack
    stack.queue("usb", waiting.office)
    before, count = waiting.seen(), printed(waiting.office)
    assert install(waiting, "in", "usb", "--held")
    assert install(waiting, "in", "usb") == []
    file = stack.file("b.pdf", SECRET)
    first = stack.lp("in", file, user=SOMEBODY)
    second = stack.lp("in", file, user=SOMEBODY, options=("-H", "immediate"))
    assert stack.job(first)["job-state"] == "pending-held"
    assert stack.job(second)["job-state"] == "pending"
    for number in (first, second):
        for tried in (
            ("lp", "-i", str(number), "-H", "resume"),
            ("lp", "-i", str(number), "-o", "copies=9"),
            ("lpmove", str(number), "usb"),
        ):
            assert stack.run(*tried, user=SOMEBODY, check=False).returncode != 0, tried
    assert stack.run("cupsenable", "in", user=SOMEBODY, check=False).returncode != 0
    assert stack.lpmove("in", "usb", user=SOMEBODY, check=False).returncode != 0
    assert {state for (queue, _), state in waiting.ways().items() if queue == "in"} == {"closed", "network"}
    stack.cancel(str(first), user=SOMEBODY)
    stack.cancel(str(second), user=SOMEBODY)
    assert printed(waiting.office) == count
    waiting.dlp("remove", "--queue", "in")
    assert waiting.seen() == before


@as_root
def test_a_gate_that_is_no_administrator_takes_waiting_jobs(waiting: Counter) -> None:
    """Its user may hold, move, read, let go and explain what others have printed; those others may not."""
    stack = waiting.stack
    stack.queue("usb", waiting.office)
    install(waiting, "in", "usb", "--held", "--user", GATE_USER)
    job = stack.lp("in", stack.file("a.pdf", CLEAN), user=SOMEBODY, options=("-H", "immediate", "-t", "题目"))
    for tried in (("lp", "-i", str(job), "-H", "indefinite"), ("lpmove", str(job), "usb")):
        assert stack.run(*tried, user="news", check=False).returncode != 0, tried
        stack.run(*tried, user=GATE_USER)
    assert stack.job(job, user=GATE_USER)["job-name"] == "题目"
    assert "job-name" not in stack.job(job, user="news")
    named = ("ATTR uri printer-uri ipp://localhost/printers/usb", f"ATTR integer job-id {job}")
    document = (*named, "ATTR integer document-number 1")
    assert stack.ask("CUPS-Get-Document", *document, user="news", check=False) == []
    stack.ask("CUPS-Get-Document", *document, user=GATE_USER)
    count = printed(waiting.office)
    assert stack.run("lp", "-i", str(job), "-H", "resume", user=SOMEBODY, check=False).returncode != 0
    stack.run("lp", "-i", str(job), "-H", "resume", user=GATE_USER)
    assert len(waiting.office.wait(count + 1)) == count + 1


def test_the_gate_takes_what_waits(waiting: Counter) -> None:
    """With the real gate: the original of a waiting job decides; a clean text is printed, a secret one is cancelled."""
    stack = waiting.stack
    stack.queue("usb", waiting.office)
    install(waiting, "in", "usb", "--held")
    count = printed(waiting.office)
    with gate(waiting):
        bad = stack.lp("in", stack.file("b.txt", "机密★10年\n关于某项工作的方案\n".encode()))
        assert "机密" in stack.wait_for(bad, "canceled")["job-printer-state-message"]
        good = stack.lp("in", stack.file("a.txt", b"A letter about a room.\n"), options=("-H", "immediate"))
        stack.wait_for(good, "completed")
    assert len(waiting.office.wait(count + 1)) == count + 1


def loosen_policy(shop: Counter) -> None:
    """Give the locked queue the policy that it had."""
    shop.stack.lpadmin("-p", "old", "-o", "printer-op-policy=default")


def loosen_class(shop: Counter) -> None:
    """Put the locked queue into a new class."""
    shop.stack.lpadmin("-p", "old", "-c", "late")
    shop.stack.run("cupsaccept", "late")
    shop.stack.run("cupsenable", "late")


def loosen_queue(shop: Counter) -> None:
    """Make one more queue to the printer."""
    shop.stack.queue("late", shop.office)


def loosen_text(shop: Counter) -> None:
    """Put back the text of cupsd.conf."""
    shop.stack.conf = shop.conf


def loosen_limit(shop: Counter) -> None:
    """Let users make queues again, by hand, inside our block."""
    shop.stack.conf = shop.stack.conf.replace("<Limit CUPS-Create-Local-Printer>", "<Limit CUPS-Get-Devices>", 1)


def loosen_driver(shop: Counter) -> None:
    """Have CUPS write the driver anew, without the line that keeps files apart."""
    shop.stack.lpadmin("-p", "office", "-m", "everywhere")


def loosen_device(shop: Counter) -> None:
    """Turn the queue straight to the printer."""
    shop.stack.lpadmin("-p", "office", "-v", shop.office.uri)


def loosen_state(shop: Counter) -> None:
    """Stop the queue."""
    shop.stack.run("cupsdisable", "office")


@pytest.mark.parametrize(
    ("loosen", "what"),
    [
        (loosen_policy, [("office", "move"), ("office", "direct-queue")]),
        (loosen_class, [("office", "move"), ("office", "direct-queue")]),
        (loosen_queue, [("office", "move"), ("office", "direct-queue")]),
        (loosen_text, [("", "policy"), ("", "local-printer"), ("office", "move")]),
        (loosen_limit, [("", "policy"), ("", "local-printer")]),
        (loosen_driver, [("office", "multi-file")]),
        (
            loosen_device,
            [("office", "queue"), ("office", "raw"), ("office", "multi-file"), ("office", "owner-release")],
        ),
        (loosen_state, [("office", "queue")]),
    ],
)
def test_what_comes_loose_is_seen_and_mended(
    shop: Counter, loosen: Callable[[Counter], None], what: list[tuple[str, str]]
) -> None:
    """`status` finds what somebody undid since, says what to do, and the same command mends it."""
    old_queues(shop)
    install(shop)
    assert set(shop.ways().values()) == {"closed", "network"}
    loosen(shop)
    rows = shop.status(check=11)
    for key in what:
        row = rows[key]
        assert row["state"] == "open" if row["kind"] == "bypass" else not row["ok"], key
        assert row["do"]
    assert install(shop)
    assert set(shop.ways().values()) == {"closed", "network"}


def test_other_printers_are_named(shop: Counter) -> None:
    """A queue to a printer that is not behind the gate is told with its address; the address of ours, as well."""
    install(shop)
    shop.stack.queue("free", shop.drum)
    rows = shop.status(check=11)
    assert shop.drum.uri in rows["", "other-printers"]["text"]
    network = rows["office", "network"]
    assert network["state"] == "network"
    assert f"127.0.0.1:{shop.office.port}" in network["text"]
    assert "docs/printing.md" in network["do"]


def no_right(shop: Counter) -> None:
    """Let nobody read or write cupsd.conf over the socket, root neither."""
    conf = shop.stack.conf.replace(
        "<Location /admin/conf>", "<Location /admin/conf>\n  Require user nobody-of-this-name"
    )
    shop.stack.conf = conf.replace("  Require user @SYSTEM\n  Order", "  Order", 1)


def test_what_cannot_be_looked_at_is_not_closed(shop: Counter) -> None:
    """Without a look at cupsd.conf nothing is closed but what root could try as somebody else."""
    old_queues(shop)
    install(shop)
    no_right(shop)
    rows = shop.status(check=11)
    assert not rows["", "policy"]["ok"]
    tried = "closed" if ROOT else "unknown"
    assert rows["", "local-printer"]["state"] == tried
    assert rows["office", "direct-queue"]["state"] == tried
    assert rows["office", "move"]["state"] == "unknown"


def test_a_waiting_queue_that_cannot_be_looked_at(waiting: Counter) -> None:
    """Whether owners can let their jobs go stands in cupsd.conf: unseen, it is unknown."""
    waiting.stack.queue("usb", waiting.office)
    install(waiting, "in", "usb", "--held")
    assert waiting.ways()["in", "owner-release"] == "closed"
    no_right(waiting)
    assert waiting.ways(check=11)["in", "owner-release"] == "unknown"


def test_a_silent_gate_is_seen(shop: Counter, tmp_path: Path) -> None:
    """No gateway: `install` says so and leaves every other way open, `status` says so too."""
    other = Counter(shop.stack, tmp_path, office=entry("office", shop.office.uri))
    shop.stack.queue("old", shop.office)
    stopped = other.dlp("install", "--queue", "office", "--printer", shop.office.uri, check=11)
    assert "dlp run" in stopped.stderr
    assert "old accepting requests" in shop.stack.lpstat("-a")
    assert not other.status(check=11)["office", "gateway"]["ok"]
    other.dlp("remove", "--queue", "office")


def test_the_configuration_comes_first(shop: Counter, tmp_path: Path) -> None:
    """Without its entry the lines to add are printed, ready to paste, and for a direct printer nothing is changed."""
    other = Counter(shop.stack, tmp_path)
    before = shop.seen()
    told = other.dlp("install", "--queue", "office", "--printer", shop.office.uri, check=3)
    assert entry("office", shop.office.uri).strip() in told.stdout
    assert shop.seen() == before
    told = other.dlp("install", "--queue", "三楼", "--printer", shop.drum.uri, check=3)
    assert entry("printer-1", "cups:三楼-out", "三楼").strip() in told.stdout
    assert "三楼-out" in shop.stack.lpstat("-v")
    other.dlp("remove", "--queue", "三楼")
    assert shop.seen() == before


def test_an_entry_that_says_something_else(shop: Counter) -> None:
    """A configuration that sends elsewhere is an error with the lines that would fit."""
    shop.stack.queue("usb", shop.office)
    told = shop.dlp("install", "--queue", "office", "--printer", "usb", check=3)
    assert 'onward = "cups:usb"' in told.stderr


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--queue", "a b", "--printer", "ipp://127.0.0.1/"), 2, "a b"),
        (("--queue", "new"), 2, "--printer"),
        (("--queue", "new", "--printer", "no-such-queue"), 10, "no-such-queue"),
        (("--queue", "new", "--printer", "socket://192.0.2.1:9100"), 2, "--model"),
        (("--queue", "new", "--printer", "ipp://127.0.0.1:9/ipp/print"), 11, "ipp://127.0.0.1:9/ipp/print"),
        (("--queue", "new", "--printer", "both"), 2, "both"),
        (("--queue", "both", "--printer", "old"), 2, "both"),
        (("--queue", "new", "--printer", "old", "--user", "no-such-user"), 10, "no-such-user"),
        (("--queue", "new", "--printer", "old", "--user", "x\nRequire valid-user"), 2, ""),
    ],
)
def test_words_that_do_not_fit(shop: Counter, args: tuple[str, ...], code: int, said: str) -> None:
    """A sentence, an exit code, and nothing changed."""
    old_queues(shop)
    before = shop.seen()
    assert said in shop.dlp("install", *args, check=code).stderr
    assert shop.seen() == before


def test_a_printer_that_leads_to_the_gate_is_none(shop: Counter) -> None:
    """A queue through the gate cannot be the printer behind it: that would be a loop."""
    install(shop)
    assert "office" in shop.dlp("install", "--queue", "new", "--printer", "office", check=2).stderr


def test_a_cups_that_is_not_there(shop: Counter, tmp_path: Path) -> None:
    """No CUPS: one sentence with the socket, exit 11, for each command."""
    other = Counter(shop.stack, tmp_path, office=entry("office", shop.office.uri))
    text = other.known.read_text(encoding="utf-8")
    other.known.write_text(text.replace("cups.sock", "no.sock"), encoding="utf-8")
    for args in (("install", "--queue", "office", "--printer", shop.office.uri), ("status",)):
        done = other.dlp(*args, check=11)
        assert "no.sock" in done.stderr + done.stdout


def test_a_cups_of_long_ago(shop: Counter, tmp_path: Path) -> None:
    """A server that calls itself CUPS/1.7 is too old, and that is said before anything is asked of it."""
    asked: list[bytes] = []
    path = tmp_path / "old.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            taken, _ = server.accept()
            with taken:
                asked.append(taken.recv(65_536))
                taken.sendall(b"HTTP/1.1 200 OK\r\nServer: CUPS/1.7 IPP/2.1\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        other = Counter(shop.stack, tmp_path, office=entry("office", shop.office.uri))
        text = other.known.read_text(encoding="utf-8")
        other.known.write_text(text.replace(str(shop.stack.socket), str(path)), encoding="utf-8")
        done = other.dlp("install", "--queue", "office", "--printer", shop.office.uri, check=11)
        thread.join(10)
    assert "CUPS/1.7" in done.stderr
    assert [line.split(b" ")[0] for line in asked] == [b"GET"]


def test_no_right_to_change_cups(shop: Counter) -> None:
    """A CUPS that does not let this user change it: exit 9, what to do, nothing changed."""
    no_right(shop)
    before = shop.seen()
    done = shop.dlp("install", "--queue", "office", "--printer", shop.office.uri, check=9)
    assert "lpadmin" in done.stderr
    assert shop.seen() == before


def test_markers_that_were_torn(shop: Counter) -> None:
    """A cupsd.conf in which nobody can tell what is ours is not changed: exit 11, and what to do."""
    install(shop)
    shop.stack.conf = shop.stack.conf.replace("# <<< wenyin-gate\n", "", 1)
    before = shop.stack.conf
    for args in (("install", "--queue", "office"), ("remove", "--queue", "office")):
        assert "wenyin-gate" in shop.dlp(*args, check=11).stderr
    assert shop.stack.conf == before


def test_a_record_that_cannot_be_read(shop: Counter) -> None:
    """How the queues were is known only there: damaged, nothing is changed."""
    install(shop)
    (shop.place.state / "printing.json").write_text("{", encoding="utf-8")
    for command in ("install", "remove"):
        assert "printing.json" in shop.dlp(command, "--queue", "office", check=5).stderr


def test_a_record_that_was_lost(shop: Counter) -> None:
    """Without it the queues are still led, locked and let go; what nobody knows any more stays closed."""
    old_queues(shop)
    install(shop)
    (shop.place.state / "printing.json").unlink()
    shop.status(check=11)
    install(shop)
    assert set(shop.ways().values()) == {"closed", "network"}
    shop.dlp("remove", "--queue", "office")
    assert shop.stack.conf == shop.conf
    assert "old not accepting requests" in shop.stack.lpstat("-a")
    assert {shop.stack.queue_attributes(name)["printer-op-policy"] for name in ("old", "office")} == {"default"}


def test_a_power_cut_opens_nothing(tmp_path: Path) -> None:
    """CUPS by itself forgets what was changed in the last half minute; after the installation it forgets no lock."""
    with PrintStack() as stack:
        stack.conf = stack.conf.replace("DirtyCleanInterval 0\n", "")
        counter = Counter(stack, tmp_path, office=entry("office", stack.printer("office").uri))
        stack.queue("old", counter.office)
        with gate(counter):
            install(counter)
            stack.restart()
            assert set(counter.ways().values()) == {"closed", "network"}


def killed_at(shop: Counter, number: int, *args: str) -> bool:
    """Run `dlp print ARGS` and kill it at its n-th connection to CUPS or a printer; return whether it lived."""
    trace = [
        "strace",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        "trace=connect",
        "-e",
        f"inject=connect:signal=SIGKILL:when={number}",
    ]
    argv = [*trace, sys.executable, "-m", "dlp", "print", *args]
    done = subprocess.run(argv, cwd=shop.place.root, env=shop.env, capture_output=True, timeout=120, check=False)
    assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
    return done.returncode == 0


STEPS = [step if step in (3, 9, 15, 21) else pytest.param(step, marks=pytest.mark.long) for step in range(1, 27)]
"""An installation asks some thirty questions, a removal some fifteen."""


@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_killed(shop: Counter, step: int) -> None:
    """Killed at any question to CUPS, a second run ends the work; a removal that is killed gives back all as well."""
    old_queues(shop)
    before = shop.seen()
    assert not killed_at(shop, step, "install", "--queue", "office", "--printer", shop.office.uri)
    install(shop)
    assert set(shop.ways().values()) == {"closed", "network"}
    if not killed_at(shop, step, "remove", "--queue", "office"):
        shop.dlp("remove", "--queue", "office", check=None)  # 10 where the first one had come to its end
    assert shop.seen() == before
