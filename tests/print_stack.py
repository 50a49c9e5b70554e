"""A real print stack for tests: a private cupsd, a private D-Bus, and printers that keep every byte they were sent.

Nothing here touches the CUPS of the machine. Everything lies in one folder that every user may enter, ends with the
process that made it, and is ended by process id.
"""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote

PROGRAMS = ("cupsd", "lp", "lpadmin", "lpstat", "ipptool", "ippeveprinter", "dbus-daemon", "setpriv", "flock")
ROOT = os.geteuid() == 0
SECONDS = 30.0
"""How long a fact may take to come true before the test fails."""
JOB_STATES = dict(
    enumerate(("pending", "pending-held", "processing", "processing-stopped", "canceled", "aborted", "completed"), 3)
)
PDF, RASTER, URF = "application/pdf", "image/pwg-raster", "image/urf"

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_STOCK = Path("/usr/share/cups")
_STOCK_SERVER = Path("/usr/lib/cups")
_T = TypeVar("_T")


def missing() -> str | None:
    """Return why no print stack can be had on this machine; None where it can."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]
    if absent:
        return f"the print stack needs {', '.join(absent)} (`make test-tools`)"
    stock = [
        str(path) for path in (_STOCK / "cupsd.conf.default", _STOCK_SERVER / "filter/pdftopdf") if not path.exists()
    ]
    return f"the print stack needs {', '.join(stock)} (`make test-tools`)" if stock else None


def until(fact: Callable[[], _T], what: str, seconds: float = SECONDS, log: Callable[[], str] = str) -> _T:
    """Return what `fact` gives as soon as that is true; AssertionError with `what` and the log when it never is."""
    end = time.monotonic() + seconds
    while True:
        if got := fact():
            return got
        assert time.monotonic() < end, f"never: {what}\n{log()}"
        time.sleep(0.01)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on and that no outgoing connection is given."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    choice = random.SystemRandom()
    while True:
        port = choice.randrange(10_000, max(lowest, 20_000))
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Program:
    """One process in a session of its own, which ends with the process that started it."""

    def __init__(self, argv: list[str], *, env: Mapping[str, str], log: Path, dies_by: str = "KILL") -> None:
        argv = ["setpriv", "--pdeathsig", dies_by, *argv]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                argv,
                env={"PATH": _PATH, **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self.process.poll() is None

    def send(self, number: int) -> None:
        """Send a signal to it and to all of its session's first group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, kindly for some seconds where `number` is kind, and wait until it is gone."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.process.wait()


class Printed(NamedTuple):
    """One document that a printer was sent whole."""

    body: bytes
    attributes: dict[str, str]
    """Of the job, as the printer understood them: `sides`, `copies`, `job-name`, `job-originating-user-name` ..."""
    finished: bool
    """The paper is out; before that the printer still works on it."""


CAPTURE = """#!/bin/sh
# Keeps one document and its attributes; then prints for as long as the test wants.
new=$(mktemp -d "$CAPTURED/.new.XXXXXX") && ln "$1" "$new/body" && env -0 >"$new/attributes" || exit 1
kept="$CAPTURED/$(date +%s%N)"
mv "$new" "$kept" || exit 1
if [ -s "$CAPTURED.slow" ]; then sleep "$(cat "$CAPTURED.slow")"; fi
flock --shared "$CAPTURED.hold" true
: >"$kept/finished"
"""


class Printer:
    """A real IPP printer (`ippeveprinter`) on a port of its own. It takes one job at a time and is busy meanwhile."""

    def __init__(
        self, stack: PrintStack, name: str, formats: tuple[str, ...], port: int, more: tuple[str, ...]
    ) -> None:
        self.name, self.formats, self.port = name, formats, port
        self._stack, self._more = stack, more
        self.captured = stack.root / f"printer-{name}"
        self.spool = stack.root / f"printer-{name}.spool"
        for folder in (self.captured, self.spool):
            folder.mkdir()
        self._hold = (self.captured.with_name(f"{self.captured.name}.hold")).open("w")
        self._slow = self.captured.with_name(f"{self.captured.name}.slow")
        self._program: Program | None = None
        self.start()

    @property
    def uri(self) -> str:
        """Return its address."""
        return f"ipp://127.0.0.1:{self.port}/ipp/print"

    @property
    def program(self) -> Program:
        """Return its process."""
        assert self._program is not None
        return self._program

    def start(self) -> None:
        """Switch it on, on the same port as before, and wait until it answers."""
        argv = ["ippeveprinter", "-r", "off", "-n", "localhost", "-p", str(self.port), "-d", str(self.spool)]
        argv += ["-c", str(self._stack.capture), "-f", ",".join(self.formats), *self._more, self.name]
        env = {"DBUS_SYSTEM_BUS_ADDRESS": self._stack.bus, "CAPTURED": str(self.captured), "LANG": "C.UTF-8"}
        for _ in range(3):  # at times it finds no DNS-SD at its start, although nothing asks for that
            self._program = Program(argv, env=env, log=self._stack.root / f"printer-{self.name}.log")
            until(lambda: _answers(self.port) or not self.program.alive, f"printer {self.name} answers", log=self.log)
            if self.program.alive or "DNS-SD" not in self.log():
                break
        if not self.program.alive:
            self._hold.close()
        assert self.program.alive, f"printer {self.name} did not start\n{self.log()}"

    def kill(self) -> None:
        """Cut its power: SIGKILL, whatever it was doing."""
        self.program.end(signal.SIGKILL)

    def restart(self) -> None:
        """Cut its power and switch it on again."""
        self.kill()
        self.start()

    def hold(self) -> None:
        """Make it take the next document and not finish: from then on it answers that it is busy."""
        fcntl.flock(self._hold, fcntl.LOCK_EX)

    def go_on(self) -> None:
        """Let it finish what it holds."""
        fcntl.flock(self._hold, fcntl.LOCK_UN)

    def slow(self, seconds: float) -> None:
        """Make each document from now on take so long; 0 makes it quick again."""
        self._slow.write_text(str(seconds) if seconds else "")

    def freeze(self) -> None:
        """Make it neither answer nor refuse: connections are taken by the system and nothing comes."""
        self.program.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        self.program.send(signal.SIGCONT)

    def jobs(self) -> list[Printed]:
        """Return every document that reached it whole, in order, since it was made: restarts do not forget."""
        return [_printed(folder) for folder in sorted(self.captured.glob("[0-9]*"))]

    def wait(self, count: int, *, finished: bool = True, seconds: float = SECONDS) -> list[Printed]:
        """Wait until `count` documents have reached it (and are finished), and return all of them."""

        def enough() -> tuple[list[Printed], ...]:
            found = self.jobs()
            return (found,) if sum(job.finished or not finished for job in found) >= count else ()

        return until(enough, f"{count} documents at {self.name}", seconds, self._stack.log)[0]

    def log(self) -> str:
        """Return the end of what it said."""
        return _tail(self._stack.root / f"printer-{self.name}.log")

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._hold.close()


class PrintStack:
    """A private CUPS with as many private printers as a test asks for.

    As root it can act as any other user of the machine; as a plain user everything is done as that user, who is then
    a member of the system group of this CUPS.
    """

    def __init__(self, *, tcp: bool = False, conf: str | None = None) -> None:
        """`tcp` opens a port of the loopback too; `conf` replaces the text of cupsd.conf made from the stock one."""
        self.root = Path(tempfile.mkdtemp(prefix="dlp-print-"))
        self.root.chmod(0o755)
        self.socket = self.root / "cups.sock"
        self.port = free_port() if tcp else None
        self.conf_path = self.root / "etc/cupsd.conf"
        self.bus = f"unix:path={self.root}/bus.sock"
        self.capture = self.root / "capture.sh"
        self.server_bin = self.root / "lib"
        self.printers: dict[str, Printer] = {}
        self._cupsd: Program | None = None
        self._bus: Program | None = None
        try:
            self._lay(conf if conf is not None else self.stock_conf())
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything, and remove the folder."""
        for printer in self.printers.values():
            printer.close()
        for program, number in ((self._cupsd, signal.SIGTERM), (self._bus, signal.SIGKILL)):
            if program is not None:
                program.end(number)
        self._end_orphans()
        shutil.rmtree(self.root, ignore_errors=True)

    # What lies where

    def stock_conf(self) -> str:
        """Return the cupsd.conf of the distribution, listening only here and finding no printers by itself."""
        lines = (_STOCK / "cupsd.conf.default").read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(("Listen ", "Browsing ", "BrowseLocal", "LogLevel "))]
        listen = [f"Listen {self.socket}"] + ([f"Listen 127.0.0.1:{self.port}"] if self.port else [])
        # What happened is on the disk at once, not after half a minute: tests kill it.
        own = ["Browsing No", "LogLevel debug", "DirtyCleanInterval 0"]
        return "\n".join([*listen, *own, *kept]) + "\n"

    def _lay(self, conf: str) -> None:
        for name in ("etc", "lib", "share", "state", "log", "cache", "spool", "spool/tmp"):
            (self.root / name).mkdir()
        for part in ("backend", "filter", "daemon", "driver", "notifier", "cgi-bin", "monitor"):
            (self.server_bin / part).mkdir()
            for program in (_STOCK_SERVER / part).glob("*"):
                (self.server_bin / part / program.name).symlink_to(program)
        for entry in _STOCK.iterdir():
            (self.root / "share" / entry.name).symlink_to(entry)
        (self.root / "share/mime").unlink()
        shutil.copytree(_STOCK / "mime", self.root / "share/mime")
        (self.root / "etc/cups-files.conf").write_text(self._files_conf(), encoding="utf-8")
        self.conf_path.write_text(conf, encoding="utf-8")
        self.conf_path.chmod(0o640)
        self.capture.write_text(CAPTURE)
        self.capture.chmod(0o755)
        (self.root / "bus.conf").write_text(
            f"<busconfig><listen>{self.bus}</listen><auth>EXTERNAL</auth><policy context='default'><allow user='*'/>"
            "<allow own='*'/><allow send_type='method_call'/><allow receive_sender='*'/></policy></busconfig>"
        )

    def _files_conf(self) -> str:
        group = "root lpadmin" if ROOT else grp.getgrgid(os.getegid()).gr_name
        r = self.root
        return (
            f"SystemGroup {group}\nServerRoot {r}/etc\nServerBin {r}/lib\nDataDir {r}/share\nStateDir {r}/state\n"
            f"DocumentRoot {r}/share/doc-root\nCacheDir {r}/cache\nRequestRoot {r}/spool\nTempDir {r}/spool/tmp\n"
            f"AccessLog {r}/log/access_log\nErrorLog {r}/log/error_log\nPageLog {r}/log/page_log\nFileDevice Yes\n"
        )

    # The scheduler

    @property
    def cupsd(self) -> Program:
        """Return the process of the scheduler."""
        assert self._cupsd is not None
        return self._cupsd

    def start(self) -> None:
        """Start cupsd, and wait until it answers."""
        argv = ["cupsd", "-f", "-c", str(self.conf_path), "-s", str(self.root / "etc/cups-files.conf")]
        # TERM lets it end its filters and backends, so that nothing is left when a test run is killed.
        self._cupsd = Program(argv, env={"LANG": "C.UTF-8"}, log=self.root / "log/cupsd.out", dies_by="TERM")
        until(lambda: self._listens() or not self.cupsd.alive, "cupsd answers", log=self.log)
        assert self.cupsd.alive, f"cupsd did not start\n{self.log()}"

    def kill(self) -> None:
        """Kill cupsd with SIGKILL. Its backends live on, as they do in a shop."""
        self.cupsd.end(signal.SIGKILL)

    def stop(self) -> None:
        """End cupsd as the system does."""
        self.cupsd.end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill cupsd and start it again."""
        self.kill()
        self.start()

    @property
    def conf(self) -> str:
        """Return the text of cupsd.conf."""
        return self.conf_path.read_text(encoding="utf-8")

    @conf.setter
    def conf(self, text: str) -> None:
        """Replace the text of cupsd.conf, have it read, and wait until it holds."""
        before = self.socket.stat().st_mtime_ns
        self.conf_path.write_text(text, encoding="utf-8")
        self.cupsd.send(signal.SIGHUP)
        self.wait_for_reload(before)

    def wait_for_reload(self, before: int) -> None:
        """Wait until cupsd listens anew after `before`, the time of its socket (`st_mtime_ns`) when it was told to."""

        def anew() -> bool:
            assert self.cupsd.alive, f"cupsd did not like its configuration\n{self.log()}"
            with suppress(FileNotFoundError):
                return self.socket.stat().st_mtime_ns != before and self._listens()
            return False

        until(anew, "cupsd has read its configuration again", log=self.log)

    def _listens(self) -> bool:
        with closing(socket.socket(socket.AF_UNIX)) as probe, suppress(OSError):
            probe.connect(str(self.socket))
            return True
        return False

    def log(self) -> str:
        """Return the end of what cupsd said."""
        return _tail(self.root / "log/cupsd.out") + _tail(self.root / "log/error_log")

    # Printers

    def printer(
        self, name: str = "office", formats: tuple[str, ...] = (PDF,), *, port: int = 0, more: tuple[str, ...] = ()
    ) -> Printer:
        """Switch on one more printer that takes these formats; `more` are further options of ippeveprinter."""
        if self._bus is None:
            self._bus = Program(
                ["dbus-daemon", "--nofork", "--nopidfile", "--config-file", str(self.root / "bus.conf")],
                env={},
                log=self.root / "log/bus.out",
            )
            until((self.root / "bus.sock").exists, "the D-Bus is there")
        made = Printer(self, name, formats, port or free_port(), more)
        self.printers[name] = made
        return made

    def queue(self, name: str, printer: Printer | str, *options: str) -> None:
        """Make a queue to a printer or an address with the driver that CUPS writes for it, and wait until it prints."""
        uri = printer if isinstance(printer, str) else printer.uri
        self.lpadmin("-p", name, "-E", "-v", uri, "-m", "everywhere", *options)
        until((self.root / f"etc/ppd/{name}.ppd").exists, f"the driver of {name}", log=self.log)

    def file(self, name: str, content: bytes) -> Path:
        """Write a file that every user may read, and return its path."""
        path = self.root / name
        path.write_bytes(content)
        path.chmod(0o644)
        return path

    # What people do

    def run(self, *argv: str, user: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a client program of this CUPS; `user` (root only) is who does it. The exit code must be 0 for `check`."""
        done = subprocess.run(
            [*as_user(user), *argv], env=self.env(user), capture_output=True, text=True, timeout=60, check=False
        )
        if check:
            assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr}\n{self.log()}"
        return done

    def env(self, user: str | None = None) -> dict[str, str]:
        """Return the environment in which programs of this user speak to this CUPS."""
        name = user or pwd.getpwuid(os.geteuid()).pw_name
        return {
            "CUPS_SERVER": str(self.socket),
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "PATH": _PATH,
            "USER": name,
        }

    def lp(self, queue: str, *files: Path | str, user: str | None = None, options: tuple[str, ...] = ()) -> int:
        """Print files and return the number of the job."""
        done = self.run("lp", "-d", queue, *options, *map(str, files), user=user)
        return int(done.stdout.split("request id is ")[1].split()[0].rpartition("-")[2])

    def lpstat(self, *args: str, user: str | None = None) -> str:
        """Return what lpstat says."""
        return self.run("lpstat", *args, user=user).stdout

    def lpadmin(self, *args: str, user: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Set up a queue."""
        return self.run("lpadmin", *args, user=user, check=check)

    def lpmove(self, *args: str, user: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Move a job, or all jobs of a queue."""
        return self.run("lpmove", *args, user=user, check=check)

    def cancel(self, *args: str, user: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Cancel jobs."""
        return self.run("cancel", *args, user=user, check=check)

    # What is so

    def job(self, number: int, user: str | None = None) -> dict[str, Any]:
        """Return the attributes of a job, told by ipptool; `job-state` is a keyword."""
        told = self.ask("Get-Job-Attributes", f"ATTR uri job-uri ipp://localhost/jobs/{number}", user=user)[0]
        return told | {"job-state": JOB_STATES[told["job-state"]]}

    def queue_attributes(self, name: str) -> dict[str, Any]:
        """Return the attributes of a queue, told by ipptool."""
        uri = f"ipp://localhost/printers/{name}"
        return self.ask("Get-Printer-Attributes", f"ATTR uri printer-uri {uri}", path=f"/printers/{name}")[0]

    def ask(
        self, operation: str, *lines: str, path: str = "/", user: str | None = None, check: bool = True
    ) -> list[dict[str, Any]]:
        """Ask this CUPS one IPP operation with ipptool; return each group of attributes in its answer but the first."""
        name = user or pwd.getpwuid(os.geteuid()).pw_name
        text = (
            f'{{ NAME "x" OPERATION {operation} GROUP operation-attributes-tag ATTR charset attributes-charset utf-8\n'
            f"ATTR naturalLanguage attributes-natural-language en\n{chr(10).join(lines)}\n"
            f"ATTR name requesting-user-name {name}\n}}\n"
        )
        with tempfile.NamedTemporaryFile("w", suffix=".test", dir=self.root) as file:
            file.write(text)
            file.flush()
            Path(file.name).chmod(0o644)
            uri = f"ipp://{quote(str(self.socket), safe='')}{path}"
            done = self.run("ipptool", "-j", uri, file.name, user=user, check=False)
        if check:
            assert done.returncode == 0, f"{operation}: {done.stdout}{done.stderr}"
        # Attributes without a value are written without one, which is no JSON.
        told = re.sub(r'^ {8}("[^"]+")(,?)$', r"\1: null\2", done.stdout, flags=re.MULTILINE)
        groups = json.loads(told) if told.strip() else []
        return [group for group in groups if "attributes-charset" not in group]

    def wait_for(self, number: int, *states: str, seconds: float = SECONDS) -> dict[str, Any]:
        """Wait until a job is in one of these states (`completed`, `pending-held` ...); return its attributes."""

        def there() -> dict[str, Any]:
            found = self.job(number)
            return found if found["job-state"] in states else {}

        return until(there, f"job {number} is {' or '.join(states)}", seconds, self.log)

    def _end_orphans(self) -> None:
        """End what a killed cupsd or printer left behind: processes that have the folder of this stack at hand."""
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                if os.fsencode(self.root) in told and int(entry.name) != os.getpid():
                    os.kill(int(entry.name), signal.SIGKILL)


def as_user(user: str | None) -> tuple[str, ...]:
    """Return what goes before a command so that this user runs it; nothing for who one is already."""
    if user is None or user == pwd.getpwuid(os.geteuid()).pw_name:
        return ()
    assert ROOT, "only root can act as somebody else"
    who = pwd.getpwnam(user)
    return ("setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups")


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe, suppress(OSError):
        probe.connect(("127.0.0.1", port))
        return True
    return False


def _printed(folder: Path) -> Printed:
    told = (folder / "attributes").read_bytes().decode("utf-8", "replace").split("\0")
    pairs = (line.partition("=") for line in told)
    attributes = {name[4:].lower().replace("_", "-"): value for name, _, value in pairs if name.startswith("IPP_")}
    return Printed((folder / "body").read_bytes(), attributes, (folder / "finished").exists())


def _tail(path: Path, size: int = 4_000) -> str:
    return path.read_text(encoding="utf-8", errors="replace")[-size:] if path.exists() else ""
