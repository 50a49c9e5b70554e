"""One question to a printer or to CUPS and its answer, over TCP or a socket file."""

from __future__ import annotations

import errno
import http.client
import os
import pwd
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from dlp import ipp
from dlp.ipp import Attribute, Message, Tag, codec

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
_CHUNK = 262_144
_LARGEST_PAGE = 8_388_608
_numbers = count(1)
_LINE = frozenset({errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET})


class Unreachable(OSError):  # noqa: N818  what the other side is
    """Nobody answers there, or not in IPP."""


class NotConnected(Unreachable):
    """Nobody takes the connection: not one byte was sent."""


class Refused(OSError):  # noqa: N818  what the other side did
    """The other side says no. `status` is its word for it."""

    def __init__(self, status: int, unsupported: frozenset[str] = frozenset()) -> None:
        super().__init__(f"IPP status 0x{status:04x}")
        self.status = status
        self.unsupported = unsupported
        """Names of the attributes that it does not take, where it tells."""


class Where(NamedTuple):
    """A place that speaks IPP: a host and port or a socket file, the path there, and its full name."""

    uri: str
    host: str = ""
    port: int = ipp.PORT
    socket: str = ""
    path: str = "/"

    @classmethod
    def of(cls, uri: str) -> Self:
        """Return the place that `ipp://host:port/path` names; ValueError for any other address."""
        parts = urlsplit(uri)
        if parts.scheme not in ("ipp", "http") or not parts.hostname:
            raise ValueError("no ipp:// address")
        port = parts.port or (ipp.PORT if parts.scheme == "ipp" else 80)
        return cls(uri=uri, host=parts.hostname, port=port, path=parts.path or "/")

    @classmethod
    def cups(cls, socket: str, path: str = "/", uri: str = "ipp://localhost/") -> Self:
        """Return CUPS behind its socket file, where it believes who asks."""
        return cls(uri=uri, socket=socket, path=path)


class Body(NamedTuple):
    """A document that follows a question: an open file and its size in bytes."""

    fd: int
    size: int


def ask(
    where: Where, op: int, *attributes: Attribute, job: tuple[Attribute, ...] = (), body: Body | None = None
) -> Message:
    """Return the answer to one operation; Refused where it is no success, Unreachable where there is none."""
    groups = [ipp.operation(*attributes)]
    if job:
        groups.append(ipp.Group(Tag.JOB, job))
    return told(call(where, Message(op, next(_numbers) & 0x7FFFFFFF, tuple(groups)), body))


def told(answer: Message) -> Message:
    """Return a successful answer as it is; Refused for any other."""
    if answer.code >= 0x0100:
        raise Refused(answer.code, frozenset(one.name for one in answer.group(Tag.UNSUPPORTED).attributes))
    return answer


def call(where: Where, message: Message, body: Body | None = None) -> Message:
    """Send a message, with a document behind it, and return the answer; Unreachable where there is none."""
    with _sent(where, message, body) as answer:
        raw = answer.read(codec.MOST_BYTES + 1)
    try:
        return codec.decode(raw)[0]
    except codec.Malformed as err:
        raise Unreachable(f"the answer is no IPP: {err}") from err


@contextmanager
def document(where: Where, *attributes: Attribute) -> Iterator[tuple[Message, Callable[[int], bytes]]]:
    """Ask CUPS for a document of a job; give the answer and a function that reads the document piece by piece."""
    message = Message(ipp.Op.CUPS_GET_DOCUMENT, next(_numbers) & 0x7FFFFFFF, (ipp.operation(*attributes),))
    with _sent(where, message, None) as answer:
        steps = codec.read()
        try:
            need = next(steps)
            while True:
                piece = answer.read(need)
                if len(piece) < need:
                    raise Unreachable("the answer is cut off")
                need = steps.send(piece)
        except StopIteration as done:
            head: Message = done.value
        except codec.Malformed as err:
            raise Unreachable(f"the answer is no IPP: {err}") from err

        def more(size: int) -> bytes:
            piece = answer.read(size)
            if not piece and answer.length:
                raise Unreachable("the document is cut off")
            return piece

        yield told(head), more


class Page(NamedTuple):
    """What a server gave for a path: its HTTP status, the name it gives itself, and the bytes."""

    status: int
    server: str
    raw: bytes


def page(where: Where, path: str, *, put: bytes | None = None) -> Page:
    """Return what lies at a path of this server, or what it says to bytes put there; Unreachable where nobody is."""
    with _connected(where) as connection:
        connection.request("GET" if put is None else "PUT", path, body=put, headers=_name(where))
        answer = connection.getresponse()
        return Page(answer.status, answer.headers.get("Server", ""), answer.read(_LARGEST_PAGE))


@contextmanager
def _sent(where: Where, message: Message, body: Body | None) -> Iterator[http.client.HTTPResponse]:
    head = codec.encode(message)
    size = len(head) + (body.size if body else 0)
    headers = {"Content-Type": ipp.MEDIA, "Content-Length": str(size), **_name(where)}
    with _connected(where) as connection:
        connection.request("POST", where.path, body=_pieces(head, body), headers=headers)
        answer = connection.getresponse()
        if answer.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise Refused(ipp.Status.FORBIDDEN)
        if answer.status != http.client.OK:
            raise Unreachable(f"HTTP {answer.status}")
        yield answer


@contextmanager
def _connected(where: Where) -> Iterator[_Connection]:
    """Give a connection that is made; every way in which it fails is the same error."""
    with closing(_Connection(where)) as connection:
        try:
            connection.connect()
        except OSError as err:
            raise NotConnected(os.strerror(err.errno) if err.errno else type(err).__name__) from err
        try:
            yield connection
        except http.client.HTTPException as err:
            raise Unreachable(type(err).__name__) from err
        except OSError as err:
            line = isinstance(err, ConnectionError | TimeoutError | socket.gaierror) or err.errno in _LINE
            if isinstance(err, Unreachable) or not line:  # a document that cannot be read is no fault of the line
                raise
            raise Unreachable(os.strerror(err.errno) if err.errno else type(err).__name__) from err


def _pieces(head: bytes, body: Body | None) -> Iterator[bytes]:
    yield head
    at = 0
    while body is not None and at < body.size:
        piece = os.pread(body.fd, _CHUNK, at)
        if not piece:
            raise Unreachable("the document is shorter than it was")
        at += len(piece)
        yield piece


def _name(where: Where) -> dict[str, str]:
    """Return who asks: CUPS believes the owner of the process at the other end of its socket file."""
    return {"Authorization": f"PeerCred {pwd.getpwuid(os.geteuid()).pw_name}"} if where.socket else {}


class _Connection(http.client.HTTPConnection):
    """A connection that is made within seconds, and may go through a socket file."""

    def __init__(self, where: Where) -> None:
        host = where.host or "localhost"
        super().__init__(f"[{host}]" if ":" in host else host, where.port, timeout=CONNECT_SECONDS)
        self._where = where

    def connect(self) -> None:
        if self._where.socket:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            self.sock.settimeout(CONNECT_SECONDS)
            self.sock.connect(self._where.socket)
        else:
            super().connect()
        self.sock.settimeout(ANSWER_SECONDS)
