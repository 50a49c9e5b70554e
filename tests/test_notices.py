"""Notices: queued once for each event, sent at least once, retried, never lost, and without content."""

from __future__ import annotations

import http.server
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dlp import config
from dlp.commissions import ORDERS, Order, What
from dlp.copies import COPIES, Copy
from dlp.errors import ConfigError
from dlp.model import Action, Item, Level, Regime, State, Verdict
from dlp.notice import MARKS, NOTICES, QUEUED, SENT, Notice
from dlp.service import notices, sending, trail
from dlp.service.gate import Gate
from dlp.service.keys import new_id
from dlp.service.notices import Notifier
from dlp.service.sending import NotSentError
from dlp.store import Job
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore
from sites import lay
from works import Works, gate_of

SECRET_NAME = "张三的身份证.docx"


class Hook:
    """A real HTTP server that takes notices, and says what it is told to say."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answers: list[int] = []
        hook = self

        class Answering(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.answers.pop(0) if hook.answers else 204
                if status < 300:
                    hook.got.append(msgspec.json.decode(body))
                    hook.keys.append(self.headers["Idempotency-Key"])
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=s3cret"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()


class Post:
    """A real SMTP server: as much of RFC 5321 and 3207 as a client needs."""

    def __init__(self, cert: Path | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[str] = []
        self.down = False
        post = self

        class Talking(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 post ESMTP")
                secure = False
                while line := self.rfile.readline().decode().strip():
                    word = line.split()[0].upper()
                    if post.down:
                        self._say("421 closing")
                        return
                    if word == "EHLO":
                        more = ["250-AUTH PLAIN"] if secure or cert is None else ["250-STARTTLS"]
                        self._say("250-post", *more, "250 SMTPUTF8")
                    elif word == "STARTTLS" and cert is not None:
                        self._say("220 go")
                        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                        context.load_cert_chain(cert)
                        try:
                            self.connection = context.wrap_socket(self.connection, server_side=True)
                        except OSError:
                            return
                        self.rfile = cast("Any", self.connection.makefile("rb"))
                        self.wfile = cast("Any", self.connection.makefile("wb", 0))
                        secure = True
                    elif word == "AUTH":
                        post.logins.append(line)
                        self._say("235 ok")
                    elif word == "DATA":
                        self._say("354 go")
                        raw = b""
                        while (piece := self.rfile.readline()) != b".\r\n":
                            raw += piece
                        post.mails.append(cast("EmailMessage", message_from_bytes(raw, policy=policy.default)))
                        self._say("250 taken")
                    else:
                        self._say("221 bye" if word == "QUIT" else "250 ok")
                        if word == "QUIT":
                            return

            def finish(self) -> None:
                self.rfile.close()
                self.wfile.close()
                self.connection.close()

            def _say(self, *lines: str) -> None:
                self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Talking)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Give one sandbox and scanner."""
    with gate_of(tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Hook]:
    """Give an HTTP server."""
    made = Hook()
    yield made
    made.close()


class Site:
    """Books, and who tells people of them."""

    def __init__(self, root: Path, text: str) -> None:
        (root / "config.toml").unlink(missing_ok=True)
        for name in ("外发", "已放行"):
            if (root / name).exists():
                (root / name).rmdir()
        lay(root, sections=(f"[notices]\nretry_seconds = 0.001\n{text}\n",))
        self.config = config.read(root / "config.toml")
        self.store = SqliteStore.open(self.config.store.path, create=True)
        self.notifier = Notifier(self.config, self.store)

    def job(self, state: State, *, regime: Regime | None = None) -> Job:
        """Let a job end somehow."""
        own = new_id(time.time())
        item = Item(id=own, source="folder:外发", path=SECRET_NAME, name=SECRET_NAME, size=1, sha256="0" * 64)
        verdict = Verdict(action=Action.BLOCK, level=Level.SECRET, regime=regime)
        made = Job(id=own, item=item, state=state, verdict=verdict, created=time.time(), updated=time.time())
        return self.store.add(made, actor="gate", kind=state.value, body={"state": state.value})

    def turn(self) -> None:
        """Let the thread's turn happen now."""
        self.notifier.look()
        self.notifier.send()

    def count(self, status: str) -> int:
        """Return how many notices are queued, or sent."""
        return self.store.count_records(NOTICES, RecordFilter(states=(status,)))


@pytest.fixture
def site(tmp_path: Path, hook: Hook) -> Iterator[Site]:
    """Give a site that tells a webhook."""
    made = Site(tmp_path, f'webhooks = ["{hook.url}"]')
    made.notifier.look()
    yield made
    made.store.close()


def test_nothing_connects_anywhere_unless_somebody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is silence: no thread, no record, no connection."""

    def connect(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    made = Site(tmp_path, "")
    made.notifier.start()
    made.job(State.HELD)
    made.notifier.stop()
    assert made.count(QUEUED) == made.count(SENT) == 0
    assert [event.kind for event in made.store.events()] == ["held"]
    made.store.close()


def test_what_happens_is_told_once_and_without_content(site: Site, hook: Hook) -> None:
    """Number, level and state; no name of a file. Looked at again and again, it is told once."""
    held = site.job(State.HELD)
    blocked = site.job(State.BLOCKED, regime=Regime.STATE)
    plain = site.job(State.BLOCKED)
    for _ in range(3):
        site.turn()
    assert [(one["kind"], one["job"]) for one in hook.got] == [
        ("held", held.id),
        ("must-report", blocked.id),
        ("blocked", plain.id),
    ]
    assert (hook.got[0]["level"], hook.got[0]["state"]) == ("秘密", "held")
    assert f"dlp quarantine show {held.id}" in hook.got[0]["text"]
    assert "张三" not in str(hook.got)
    assert len(set(hook.keys)) == 3
    assert (site.count(QUEUED), site.count(SENT)) == (0, 3)
    assert "s3cret" not in str(list(site.store.events()))


def test_what_was_before_the_first_beginning_is_told_to_nobody(tmp_path: Path, hook: Hook) -> None:
    """Whoever sets up notices is not buried under the past."""
    made = Site(tmp_path, f'webhooks = ["{hook.url}"]')
    for _ in range(3):
        made.job(State.HELD)
    made.turn()
    made.job(State.HELD)
    made.turn()
    assert len(hook.got) == 1
    made.store.close()


def test_a_notifier_that_was_killed_goes_on_where_it_was(site: Site, hook: Hook) -> None:
    """Killed before it queued, after it queued, and after it sent: nothing is lost, what is doubled has one number."""
    first = site.job(State.HELD)
    site.notifier = Notifier(site.config, site.store)  # killed before it looked
    site.notifier.look()
    second = site.job(State.HELD)
    site.notifier = Notifier(site.config, site.store)  # killed after it queued
    site.turn()
    assert [one["job"] for one in hook.got] == [first.id, second.id]
    third = site.job(State.HELD)
    site.notifier.look()
    (queued,) = site.store.records(NOTICES, RecordFilter(states=(QUEUED,)))
    sending.channels(site.config)[queued.channel](queued)  # killed after it sent, before it noted that
    site.notifier = Notifier(site.config, site.store)
    site.turn()
    assert [one["job"] for one in hook.got][2:] == [third.id, third.id]
    assert hook.keys[2] == hook.keys[3]
    assert site.count(QUEUED) == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from dlp import config
from dlp.service.notices import Notifier
from dlp.store.entry import Entry
from dlp.store.sqlite import SqliteStore

left = 0


def stepping(step):
    def around(*args):
        reach()
        made = step(*args)
        reach()
        return made
    return around


def reach():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


settings = config.read(Path(sys.argv[1]))
Entry.finish = stepping(Entry.finish)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        left = int(line)
        notifier = Notifier(settings, SqliteStore.open(settings.store.path, create=False))
        notifier._channels = {name: stepping(send) for name, send in notifier._channels.items()}
        notifier.look()
        notifier.send()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_around_every_commit_and_every_sending(site: Site, hook: Hook) -> None:
    """With kill -9: each notice arrives, at most the one in hand twice and under one number, and the trail holds."""
    points, twice = 0, 0
    command = [sys.executable, "-c", KILLED, str(site.config.store.path.parents[1] / "config.toml")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as mortal:
        assert mortal.stdin is not None
        assert mortal.stdout is not None
        while True:
            jobs = [site.job(State.HELD) for _ in range(2)]
            before = len(hook.got)
            mortal.stdin.write(f"{points + 1}\n")
            end = int(mortal.stdout.readline())
            site.notifier = Notifier(site.config, site.store)
            site.turn()
            site.turn()
            told = Counter(one["job"] for one in hook.got[before:])
            assert set(told) == {job.id for job in jobs}, points
            assert told.total() - len(told) <= 1, points
            twice += told.total() - len(told)
            assert len(set(hook.keys[before:])) == len(told), points
            assert site.count(QUEUED) == 0
            if end == 0:
                assert told.total() == len(jobs)
                break
            assert end == -signal.SIGKILL
            points += 1
        mortal.stdin.close()
    assert points == 12  # the beginning, the queueing, and of two notices sending and noting: before and after each
    assert twice == 4  # of each notice: killed once it was sent, and before that was committed
    assert trail.verify(site.config, site.store).holds


def test_a_title_with_hits_goes_nowhere(tmp_path: Path, hook: Hook, gate: Gate) -> None:
    """A name that holds secrets, through the whole gate: no part of it in a notice, in the queue or in the trail."""
    post = Post()
    settings = f"""
[notices]
webhooks = ["{hook.url}"]
host = "127.0.0.1"
port = {post.port}
tls = "none"
from = "gate@example.cn"
to = ["sec@example.cn"]
"""
    works = Works(tmp_path, gate, extra=settings)
    notifier = Notifier(works.config, works.store)
    notifier.look()
    text = "工作秘密\n身份证号：110101199003071233\n"
    held = works.run("张三身份证110101199003071233电话13812345678.txt", text.encode())
    withheld = works.run("机密★10年 玄鸟计划13812345678.txt", "机密★10年\n关于玄鸟计划的方案\n".encode())
    assert (held.state, withheld.state) == (State.HELD, State.WITHHELD)
    notifier.look()
    notifier.send()
    assert {one["job"] for one in hook.got} == {held.item.id, withheld.item.id}
    assert len(post.mails) == len(hook.got)
    queue = [works.store.records(NOTICES), [e for e in works.store.events() if e.kind.startswith("notice")]]
    mails = [[*mail.items(), mail.get_content()] for mail in post.mails]
    for said in (hook.got, hook.keys, mails, queue):
        for word in ("张三", "110101199003071233", "199003", "13812345678", "玄鸟", ".txt"):
            assert word not in str(said), word
    works.store.close()
    post.close()


def test_what_no_server_takes_is_tried_again(site: Site, hook: Hook) -> None:
    """An error, a redirect and a refusal are no success; the trail tells of the outage once; then it arrives."""
    hook.answers = [500, 302, 404]
    held = site.job(State.HELD)
    site.turn()
    site.job(State.HELD)
    until = time.monotonic() + 20
    while site.count(QUEUED) and time.monotonic() < until:
        site.turn()
    assert [one["job"] for one in hook.got][:1] == [held.id]
    assert len(hook.got) == 2
    kinds = [event.kind for event in site.store.events()]
    assert kinds.count("notice-failed") == 1
    assert kinds.count("notice-sent") == 2


def test_pauses_grow_to_an_hour(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead server is not asked every second."""
    moment = 1_000.0
    monkeypatch.setattr(notices.time, "monotonic", lambda: moment)
    notice = Notice(id="x", kind="held", channel="c", at=0.0)
    spec = msgspec.structs.replace(site.config.notices, retry_seconds=30.0)
    site.notifier._config = msgspec.structs.replace(site.config, notices=spec)
    pauses = []
    for _ in range(10):
        site.notifier._failed(notice, sending._unsent("c", "x"))
        pauses.append(site.notifier._wait["c"] - moment)
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_overdue_copies_and_dead_gates_are_told(site: Site, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that should be back is told once; so is a gate that stopped, and one that died without a word."""
    monkeypatch.setattr(notices, "OVERDUE_SECONDS", 0.0)
    site.notifier = Notifier(site.config, site.store)
    job = site.job(State.RELEASED)
    now = time.time()
    with site.store.change() as entry:
        for number, due in ((1, now - 60), (2, now + 86_400)):
            copy = Copy(id=f"c-{number}", job=job.id, case="k", number=number, total=2, title="t", at=now, due=due)
            entry.put(COPIES, copy)
        entry.append("x", "printed", "", {})
    site.turn()
    site.turn()
    # No approval knows of these copies: that is told as well, after what was due earlier, and once a day.
    assert [(one["kind"], one["state"]) for one in hook.got] == [("overdue", "1/2"), ("copies-differ", "released")]
    hook.got.clear()
    with site.store.change() as entry:
        late = Order(id="o-1", what=What.MEETING, title="某某方案", client="省会", by="x", at=now, due=now - 30)
        entry.put(ORDERS, late)
        entry.append("x", "ordered", "", {})
        entry.append("x", "stocktake", "", {"stocktake": "s-1", "differs": False})
        entry.append("x", "stocktake", "", {"stocktake": "s-2", "differs": True})
    site.turn()
    site.turn()
    told = [(one["kind"], one["state"]) for one in hook.got]
    assert told == [("overdue", "meeting"), ("copies-differ", None)]
    assert "方案" not in str(hook.got)
    hook.got.clear()
    for kind in ("started", "stopped", "started", "started"):
        site.store.note(actor="gate", kind=kind, job="", body={})
        site.turn()
    assert [one["kind"] for one in hook.got] == ["gate-stopped", "gate-stopped"]


def test_a_broken_trail_is_told(site: Site, hook: Hook) -> None:
    """The thread verifies the trail each day, and tells what is wrong with it."""
    site.job(State.HELD)
    for trigger in ("event_is_never_updated", "event_is_never_deleted"):
        site.store._db.execute(f"DROP TRIGGER {trigger}")
    site.store._db.execute("UPDATE event SET actor = 'nobody' WHERE seq = 1")
    site.notifier = Notifier(site.config, site.store)
    site.turn()
    assert "audit-broken" in [one["kind"] for one in hook.got]


def test_only_the_kinds_that_are_wanted(tmp_path: Path, hook: Hook) -> None:
    """The rest is not even queued."""
    made = Site(tmp_path, f'webhooks = ["{hook.url}"]\nkinds = ["confirm-waiting"]')
    made.turn()
    made.job(State.HELD)
    made.store.note(actor="sys", kind="asked", job="", body={})
    made.turn()
    assert [one["kind"] for one in hook.got] == ["confirm-waiting"]
    made.store.close()


def certificate(folder: Path, name: str) -> Path:
    """Make a key and a certificate that only itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


def mail(port: int, more: str = "") -> str:
    """Return a configuration that sends mail."""
    return f'host = "localhost"\nport = {port}\nfrom = "gate@example.test"\nto = ["bmy@example.test"]\n{more}'


def test_mail_over_tls_with_a_password_and_again_after_an_outage(tmp_path: Path) -> None:
    """The server proves who it is before it is told anything; one that is down gets the mail later, once."""
    cert = certificate(tmp_path, "localhost")
    post = Post(cert)
    password = tmp_path / "pw"
    password.write_text("Correct-Horse-7\n", encoding="utf-8")
    password.chmod(0o600)
    more = f'user = "gate"\npassword_file = "{password}"\nca_file = "{cert}"'
    made = Site(tmp_path, mail(post.port, more))
    made.turn()
    post.down = True
    held = made.job(State.HELD)
    made.turn()
    assert (made.count(QUEUED), post.mails) == (1, [])
    post.down = False
    until = time.monotonic() + 20
    while made.count(QUEUED) and time.monotonic() < until:
        made.turn()
    (got,) = post.mails
    assert (got["From"], got["To"]) == ("gate@example.test", "bmy@example.test")
    assert held.id in got["Subject"]
    assert "文件已隔离" in got.get_content()
    assert "张三" not in str(got)
    assert post.logins
    password.chmod(0o644)
    made.job(State.HELD)
    made.turn()
    assert made.count(QUEUED) == 1
    made.store.close()
    post.close()


def test_a_server_that_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    """A certificate that is not trusted, or of another name, ends it before a word is said; so does none at all."""
    for cert, more in (
        (certificate(tmp_path, "localhost"), ""),
        (other := certificate(tmp_path, "elsewhere"), f'ca_file = "{other}"'),
        (None, ""),
    ):
        post = Post(cert)
        root = tmp_path / f"{post.port}"
        root.mkdir()
        made = Site(root, mail(post.port, more))
        with pytest.raises(NotSentError):
            sending.channels(made.config)["mail"](Notice(id="x", kind="held", channel="mail", at=0.0))
        assert post.mails == []
        made.store.close()
        post.close()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('host = "h"', "notices.host"),
        ('host = "h"\nfrom = "a b"\nto = ["x@y"]', "notices.from"),
        ('host = "h"\nfrom = "a@b"\nto = ["x@y\\r\\nBcc: z@w"]', "notices.to"),
        ('user = "u"', "notices.user"),
        ('host = "h"\nfrom = "a@b"\nto = ["x@y"]\nuser = "u"\npassword_file = "p"\ntls = "none"', "notices.tls"),
        ('webhooks = ["ftp://x/y"]', "notices.webhooks"),
        ('webhooks = ["https://user:pw@host/"]', "notices.webhooks"),
        ('kinds = ["all"]', "notices.kinds"),
    ],
)
def test_settings_that_could_never_work_are_told_at_once(text: str, key: str, tmp_path: Path) -> None:
    """With key and line, and not at the first notice."""
    with pytest.raises(ConfigError) as told:
        config.parse(f"[notices]\n{text}\n", file="x", base=tmp_path)
    assert key in " ".join(problem.key for problem in told.value.problems)


def test_the_thread_tells_and_ends(site: Site, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started and stopped as the gate does it: what happened last is told before it ends."""
    monkeypatch.setattr(notices, "LOOK_SECONDS", 0.01)
    site.notifier.start()
    site.job(State.HELD)
    site.store.note(actor="gate", kind="stopped", job="", body={})
    site.notifier.stop()
    assert [one["kind"] for one in hook.got] == ["held", "gate-stopped"]
    assert site.store.record(MARKS, "mark").seq >= 2
