"""HTTP of the print gateway: whole requests are answered, slow and broken senders cost nothing but their connection."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from dlp.ipp import http
from dlp.ipp.http import Answer, Broken, Request, Server

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


class Seen:
    """What a server that echoes was asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.began = threading.Semaphore(0)
        self.broken = threading.Semaphore(0)
        self.sent = 0

    async def answer(self, request: Request) -> Answer:
        """Read the whole body and send it back."""
        pieces = []
        try:
            while piece := await request.body.some():
                pieces.append(piece)
                self.began.release()
        except Broken:
            self.broken.release()
            raise
        self.bodies.append(b"".join(pieces))
        return Answer(200, "text/plain", b"".join(pieces)[:100], self._left)

    def _left(self) -> None:
        self.sent += 1


@contextmanager
def serving(answering: Callable[[Request], object], *, connections: int = 50) -> Iterator[int]:
    """Run a server in a thread of its own; give its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = Server(answering, connections=connections)  # type: ignore[arg-type]
    try:
        yield asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def seen() -> Seen:
    """What the server of this test was asked."""
    return Seen()


@pytest.fixture
def port(seen: Seen) -> Iterator[int]:
    """The port of a server that echoes."""
    with serving(seen.answer) as made:
        yield made


def connected(port: int) -> socket.socket:
    """Return a connection to the server."""
    return socket.create_connection(("127.0.0.1", port), 10)


def talk(port: int, *pieces: bytes) -> bytes:
    """Send bytes, then nothing more; return all that comes back."""
    with connected(port) as plug:
        try:
            for piece in pieces:
                plug.sendall(piece)
            plug.shutdown(socket.SHUT_WR)
        except OSError as err:  # it may have heard enough, and hung up
            if err.errno not in {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}:
                raise
        return everything(plug)


def everything(plug: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    got = b""
    with suppress(ConnectionResetError):
        while piece := plug.recv(65_536):
            got += piece
    return got


def test_a_body_of_a_known_length_is_read(port: int, seen: Seen) -> None:
    """The answer comes in one piece, and it is known that it left."""
    got = talk(port, HEAD + b"Content-Length: 5\r\n\r\nhello")
    assert got.startswith(b"HTTP/1.1 200")
    assert got.endswith(b"hello")
    assert seen.bodies == [b"hello"]
    assert seen.sent == 1


def test_a_body_in_chunks_is_read(port: int, seen: Seen) -> None:
    """Chunks of any size, cut anywhere on the wire."""
    raw = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    assert talk(port, *(raw[at : at + 7] for at in range(0, len(raw), 7))).endswith(b"abcde")
    assert seen.bodies == [b"abcde"]


def test_who_asks_whether_to_go_on_is_told(port: int) -> None:
    """`Expect: 100-continue` is answered before the body comes."""
    with connected(port) as plug:
        plug.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert plug.recv(100).startswith(b"HTTP/1.1 100")
        plug.sendall(b"ok")
        plug.shutdown(socket.SHUT_WR)
        assert everything(plug).endswith(b"ok")


def test_requests_follow_one_another_on_one_connection(port: int, seen: Seen) -> None:
    """A client keeps its connection, and may send the next request before it has the answer."""
    one = HEAD + b"Content-Length: 1\r\n\r\n"
    got = talk(port, one + b"a" + one + b"b")
    assert got.count(b"HTTP/1.1 200") == 2
    assert seen.bodies == [b"a", b"b"]


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Content-Length: 10\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    ],
)
def test_a_body_that_is_cut_off_is_no_body(port: int, seen: Seen, raw: bytes) -> None:
    """Shorter than it says, chunks without an end, chunks that are none: never taken for whole."""
    assert b" 200 " not in talk(port, raw)
    assert seen.bodies == []
    assert seen.broken.acquire(timeout=10)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        HEAD + b"X: " + b"a" * 400_000 + b"\r\n\r\n",
        b"GET " + b"/" * 400_000,
    ],
)
def test_nonsense_is_turned_away(port: int, seen: Seen, raw: bytes) -> None:
    """What is no request is told so, and the server goes on."""
    assert b" 200 " not in talk(port, raw)
    assert seen.bodies == []
    assert talk(port, HEAD + b"Content-Length: 2\r\n\r\nok").endswith(b"ok")


def test_a_header_that_never_ends_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header must be whole within seconds, however steadily it comes."""
    monkeypatch.setattr(http, "HEADER_SECONDS", 0.3)
    with connected(port) as plug:
        plug.settimeout(10)
        plug.sendall(HEAD)
        assert everything(plug) == b""


def test_a_body_that_pauses_too_long_is_cut_off(port: int, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """So must a body keep coming."""
    monkeypatch.setattr(http, "PIECE_SECONDS", 0.3)
    with connected(port) as plug:
        plug.sendall(HEAD + b"Content-Length: 9\r\n\r\nhello")
        assert everything(plug) == b""
    assert seen.broken.acquire(timeout=10)


def test_a_body_that_dribbles_is_cut_off(port: int, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender who keeps a connection with a byte now and then is told apart from a slow line by its pace."""
    monkeypatch.setattr(http, "PACE_SECONDS", 0.2)
    began = time.monotonic()
    with connected(port) as plug, suppress(ConnectionError):
        plug.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        while time.monotonic() - began < 20:
            plug.sendall(b"x")
            if seen.broken.acquire(timeout=0.02):
                break
    assert time.monotonic() - began < 20
    assert seen.bodies == []


def test_idle_connections_make_room(seen: Seen) -> None:
    """A thousand that say nothing keep nobody out: the one that has been idle longest is dropped."""
    with serving(seen.answer, connections=20) as port:
        idle = [connected(port) for _ in range(1_000)]
        try:
            for number in range(5):
                body = b"%d" % number
                assert talk(port, HEAD + b"Content-Length: 1\r\n\r\n" + body).endswith(body)
        finally:
            for plug in idle:
                plug.close()


def test_a_connection_at_work_is_never_dropped(seen: Seen) -> None:
    """However many come: whoever is sending a body may finish."""
    with serving(seen.answer, connections=8) as port, closing(connected(port)) as plug:
        plug.sendall(HEAD + b"Content-Length: 4\r\n\r\nha")
        assert seen.began.acquire(timeout=10)
        others = [connected(port) for _ in range(100)]
        try:
            plug.sendall(b"lf")
            plug.shutdown(socket.SHUT_WR)
            assert everything(plug).endswith(b"half")
        finally:
            for other in others:
                other.close()


def test_an_answer_before_the_body_ends_the_connection() -> None:
    """What is left of a body that nobody wants is not read as the next request."""

    async def refuse(_: Request) -> Answer:
        return Answer(415, "text/plain", b"")

    with serving(refuse) as port:
        got = talk(port, HEAD + b"Content-Length: 60\r\n\r\n" + HEAD)
    assert got.count(b"HTTP/1.1") == 1
    assert b"connection: close" in got.lower()
