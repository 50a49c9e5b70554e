"""The console as the gate's child: it begins and ends with it, comes back, and never takes the gate with it."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from sites import Place, lay


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gate:
    """A gate at work, with its console."""

    def __init__(self, place: Place, port: int, *args: str) -> None:
        self.place, self.at = place, f"http://127.0.0.1:{port}"
        self.log = place.root / "gate.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dlp", "run", "--lang", "en", *args],
                cwd=place.root,
                env={**os.environ, "DLP_CONFIG": str(place.config), "TMPDIR": str(place.scratch())},
                stdout=out,
                stderr=out,
            )

    def said(self, pattern: str) -> str:
        """Wait until the gate has said something; return it."""
        return until(lambda: (found := re.search(pattern, self.log.read_text())) and found[0])

    def answers(self) -> int:
        """Wait until the console answers; return its status."""

        def ask() -> int:
            with suppress(httpx.TransportError):
                return httpx.get(f"{self.at}/login", timeout=5).status_code
            return 0

        return until(ask)

    def console(self) -> int:
        """Return the process of the console."""

        def find() -> int:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            for child in children:
                with suppress(OSError):
                    if b"\0console\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return int(child)
            return 0

        return until(find)

    def stop(self) -> int:
        """Stop the gate."""
        self.process.terminate()
        return self.process.wait(60)


def until(ask: Callable[[], object], seconds: float = 90.0) -> object:
    """Return the first answer that is one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise AssertionError("it never came")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Give a gate with a console."""
    port = free_port()
    made = Gate(lay(tmp_path, port=port), port)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_it_begins_and_ends_with_the_gate(gate: Gate) -> None:
    """`dlp run` says where it is, and how the first accounts are made; stopping the gate stops it."""
    link = str(gate.said(r"http://\S+/begin\?key=\S+"))
    assert gate.answers() == 200
    assert httpx.get(link).status_code == 200
    assert httpx.get(link[:-1] + ("A" if link[-1] != "A" else "B")).status_code == 403
    child = gate.console()
    assert gate.stop() == 0
    assert not is_alive(child)
    with pytest.raises(httpx.TransportError):
        httpx.get(gate.at)


def test_a_killed_gate_takes_it_along(gate: Gate) -> None:
    """No console is left over a gate that is gone."""
    gate.answers()
    child = gate.console()
    gate.process.kill()
    gate.process.wait()
    until(lambda: not is_alive(child))


def test_a_killed_console_comes_back_and_the_gate_goes_on(gate: Gate) -> None:
    """A file that is put in meanwhile is screened, and the console answers again."""
    gate.answers()
    child = gate.console()
    os.kill(child, signal.SIGKILL)
    gate.place.put("通知.txt", "下周一上午九点开会。\n".encode())
    until(lambda: gate.place.files(gate.place.released))
    assert str(gate.said(r"the console ended"))
    assert gate.answers() == 200
    assert gate.console() != child
    assert gate.stop() == 0


def test_a_changed_configuration_reaches_it(gate: Gate) -> None:
    """SIGHUP gives the gate its new words, and the console too; nobody calls that a fault."""
    gate.answers()
    before = gate.console()
    gate.place.config.write_text(gate.place.config.read_text().replace("测试文印中心", "新的文印中心"))
    gate.process.send_signal(signal.SIGHUP)

    def renewed() -> bool:
        with suppress(httpx.TransportError):
            return "新的文印中心" in httpx.get(f"{gate.at}/login", timeout=5).text
        return False

    until(renewed)
    assert gate.console() != before
    assert "the console ended" not in gate.log.read_text()
    assert gate.stop() == 0


def test_a_port_that_is_taken_stops_no_file(tmp_path: Path) -> None:
    """The gate says so and screens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        gate = Gate(lay(tmp_path, port=port), port)
        try:
            assert gate.said(r"the console cannot listen|控制台无法监听")
            gate.place.put("通知.txt", "下周一上午九点开会。\n".encode())
            until(lambda: gate.place.files(gate.place.released))
            assert gate.stop() == 0
        finally:
            gate.process.kill()
            gate.process.wait()


def test_bound_wider_it_speaks_tls_only(tmp_path: Path) -> None:
    """With a certificate that it makes for itself; plain HTTP gets nothing, and the cookie is for TLS alone."""
    port = free_port()
    place = lay(tmp_path, port=port)
    text = place.config.read_text().replace(f"port = {port}\n", f'port = {port}\nlisten = "0.0.0.0"\n')
    place.config.write_text(text)
    gate = Gate(place, port)
    try:
        gate.said(r"https://127\.0\.0\.1:\d+/begin")

        def ask() -> httpx.Response | None:
            with suppress(httpx.TransportError):
                own = ssl.create_default_context(cafile=str(place.state / "console.crt"))
                return httpx.get(f"https://127.0.0.1:{port}/login", verify=own)
            return None

        answer = until(lambda: (place.state / "console.crt").exists() and ask())
        assert isinstance(answer, httpx.Response)
        assert answer.status_code == 200
        assert "max-age" in answer.headers["strict-transport-security"]
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/login")
        assert (place.state / "console.key").stat().st_mode & 0o077 == 0
        assert gate.stop() == 0
    finally:
        gate.process.kill()
        gate.process.wait()
