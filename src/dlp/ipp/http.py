"""HTTP for printing: one event loop holds every connection, idle or slow; documents are pulled piece by piece.

The parser is h11. What is ours is the clock: a header must be whole within seconds, a body must keep coming, and the
connection that has been idle longest makes room for a new one.
"""

from __future__ import annotations

import abc
import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import h11

HEADER_SECONDS = 15.0
"""From the first byte to the end of a header, and how long a connection may be idle."""
PIECE_SECONDS = 30.0
"""How long a body may pause."""
PACE_SECONDS = 60.0
LEAST_PACE = 4_096
"""Bytes a second that a body must keep up on average after its first minute."""
_PIECE = 262_144
_LARGEST_HEADER = 32_768


class Broken(ConnectionError):  # noqa: N818  what the connection is
    """The sender broke off, sends nonsense, or is too slow."""


class Bytes:
    """The body of one request, read from its start; at its end it gives nothing."""

    def __init__(self, more: Callable[[], Awaitable[bytes]]) -> None:
        self._more = more
        self._kept = b""
        self.done = False

    async def exactly(self, size: int) -> bytes:
        """Return so many bytes; Broken when the body ends before."""
        while len(self._kept) < size:
            piece = await self._more()
            if not piece:
                self.done = True
                raise Broken("the body is cut off")
            self._kept += piece
        taken, self._kept = self._kept[:size], self._kept[size:]
        return taken

    async def some(self) -> bytes:
        """Return the next bytes; nothing when the body is whole. Broken when it was not and its sender is gone."""
        if self._kept:
            taken, self._kept = self._kept, b""
            return taken
        if self.done:
            return b""
        piece = await self._more()
        self.done = not piece
        return piece


class Request(NamedTuple):
    """One request: method, target and headers as they came, lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: Bytes


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    media: str
    body: bytes
    sent: Callable[[], None] | None = None
    """Called once the answer has left; not called when the connection was gone."""


Answering = Callable[[Request], Awaitable[Answer]]


class Plug(Protocol):
    """One connection at work."""

    idle: bool
    """Nothing is lost when it is dropped now."""

    async def serve(self) -> None:
        """Do what its client asks, until one side has enough."""


class Listener(abc.ABC):
    """Listens on one address inside a running event loop."""

    def __init__(self, *, connections: int) -> None:
        self._most = connections
        self._open: dict[Plug, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    @abc.abstractmethod
    def plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Plug:
        """Return what serves a new connection."""

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chooses for 0. OSError where that is not possible."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=_PIECE, backlog=512)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open.values()):
            task.cancel()
        await asyncio.gather(*self._open.values(), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served outside of a task")
        connection = self.plug(reader, writer)
        if len(self._open) >= self._most:
            self._make_room()
        self._open[connection] = task
        try:
            await connection.serve()
        except (Broken, ConnectionError, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
            pass  # the sender's doing, or ours when there is no room; what it was about is told where it was known
        finally:
            del self._open[connection]
            writer.close()
            with suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1.0)

    def _make_room(self) -> None:
        """Drop the connection that has been idle longest; one that is at work is never dropped."""
        idle = next((one for one in self._open if one.idle), None)
        if idle is not None:
            self._open[idle].cancel()


class Server(Listener):
    """Listens for requests."""

    def __init__(self, answering: Answering, *, connections: int) -> None:
        super().__init__(connections=connections)
        self._answering = answering

    def plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Plug:
        """Return what answers the requests of a new connection."""
        return _Connection(reader, writer, self._answering)


class _Connection:
    """One connection: requests one after another until one side has enough."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: Answering) -> None:
        self._reader, self._writer = reader, writer
        self._answering = answering
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEADER)
        self.idle = True
        plug = writer.get_extra_info("socket")
        if plug is not None:
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def serve(self) -> None:
        while True:
            self.idle = True
            try:
                async with asyncio.timeout(HEADER_SECONDS):
                    event = await self._next()
            except h11.RemoteProtocolError as err:
                await self._send(Answer(err.error_status_hint, "text/plain", b""))
                return
            self.idle = False
            if not isinstance(event, h11.Request):
                return
            body = Paced(self._piece)
            request = Request(
                event.method.decode("ascii", "replace"),
                event.target.decode("ascii", "replace"),
                {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers},
                Bytes(body.next),
            )
            answer = await self._answering(request)
            await self._send(answer)
            if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _next(self) -> h11.Request | h11.Data | h11.EndOfMessage | h11.ConnectionClosed:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_PIECE))
                continue
            if isinstance(event, h11.Request | h11.Data | h11.EndOfMessage | h11.ConnectionClosed):
                return event
            raise Broken("out of turn")

    async def _piece(self) -> bytes:
        """Return the next bytes of a body; nothing at its end, which only its sender can tell."""
        if self._http.they_are_waiting_for_100_continue:
            go_on = self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
            self._writer.write(go_on or b"")
            await self._writer.drain()
        try:
            async with asyncio.timeout(PIECE_SECONDS):
                event = await self._next()
        except (h11.RemoteProtocolError, TimeoutError) as err:
            raise Broken("the body is cut off") from err
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _send(self, answer: Answer) -> None:
        headers = [
            ("content-type", answer.media),
            ("content-length", str(len(answer.body))),
            ("cache-control", "no-cache"),
        ]
        if self._http.their_state is not h11.DONE:
            headers.append(("connection", "close"))  # what is left of its body is not read
        try:
            head = self._http.send(h11.Response(status_code=answer.status, headers=headers, reason=b"")) or b""
            data = self._http.send(h11.Data(data=answer.body)) or b""
            end = self._http.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as err:
            raise Broken("no answer is possible any more") from err
        self._writer.write(head + data + end)  # one write: an answer in pieces waits for the other side's ACK
        await self._writer.drain()
        if answer.sent is not None:
            answer.sent()


class Paced:
    """Asks for the pieces of a body as long as they come fast enough."""

    def __init__(self, more: Callable[[], Awaitable[bytes]]) -> None:
        self._more = more
        self._began: float | None = None
        self._size = 0

    async def next(self) -> bytes:
        """Return the next piece; Broken when too little has come for the time it took."""
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        elif now - self._began > PACE_SECONDS and self._size < LEAST_PACE * (now - self._began):
            raise Broken("the sender is too slow")
        piece = await self._more()
        self._size += len(piece)
        return piece
