"""Old ways to print, for clients that know no better: bare streams (port 9100), and LPD (RFC 1179).

Both feed the gateway. A bare stream ends where its sender closes, so nobody can tell a whole one from one whose sender
died; LPD says how much is to come, and what is cut off is not taken. Neither proves who prints.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from dlp import durable
from dlp.config import Config
from dlp.errors import DlpError
from dlp.ipp.http import HEADER_SECONDS, PIECE_SECONDS, Broken, Bytes, Listener, Paced, Plug
from dlp.service.gateway import MOST_COPIES, UNTITLED, Gateway, Sent
from dlp.sources import lpd
from dlp.sources.lpd import Order, Wrong
from dlp.sources.printer import PrinterSource

T = TypeVar("T")
LOG = logging.getLogger("dlp")
LONGEST_LINE = 1_024
MOST_KEPT = 67_108_864
"""Bytes of data files that came before anybody knows what they are; more is refused before it comes."""
MOST_KEPT_IN_ALL = 4 * MOST_KEPT
_PIECE = 262_144
_YES, _NO = b"\0", b"\1"
Taking = Callable[[Sent], Awaitable[object]]


class Listeners:
    """Every raw port and the LPD port of a configuration; each takes jobs for a gateway that runs."""

    def __init__(self, config: Config, gateway: Gateway) -> None:
        self._config = config
        self._gateway = gateway
        self._open: list[Listener] = []

    def start(self) -> None:
        """Listen. OSError when an address is taken; its `filename` says which."""
        printing = self._config.printing
        sources = self._gateway.printers
        wanted: list[tuple[int, Listener]] = [
            (one.spec.raw_port, RawPort(self._config, one, self._gateway.take)) for one in sources if one.spec.raw_port
        ]
        if printing.lpd_port and sources:
            wanted.append((printing.lpd_port, LpdPort(self._config, sources, self._gateway)))
        for port, listener in wanted:
            try:
                self._gateway.call(listener.start(printing.listen, port))
            except OSError as err:
                raise OSError(err.errno, os.strerror(err.errno or 0), f"{printing.listen}:{port}") from err
            self._open.append(listener)

    def stop(self) -> None:
        """Stop listening, and drop every connection."""
        for listener in self._open:
            self._gateway.call(listener.stop())


class RawPort(Listener):
    """A port of one printer that takes bare print streams."""

    def __init__(self, config: Config, source: PrinterSource, take: Taking) -> None:
        super().__init__(connections=config.printing.connections)
        self._config, self._source, self._take = config, source, take

    def plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Plug:
        """Return what takes one stream."""
        return _Stream(reader, writer, self._take_from)

    async def _take_from(self, stream: _Stream, body: Bytes) -> None:
        try:
            await self._take(Sent(self._source, UNTITLED, stream.peer, 1, b"", body))
        except (DlpError, OSError) as err:
            stream.reset()  # all that a sender of bare bytes can be told
            _say(self._source, err, self._config)


class _Stream:
    """One connection to a raw port: everything up to its end is one job."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        take: Callable[[_Stream, Bytes], Awaitable[None]],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._take = take
        self.idle = True

    @property
    def peer(self) -> str:
        """Return the address of who sends: all that is known of them."""
        name = self._writer.get_extra_info("peername")
        return str(name[0]) if name else "?"

    async def serve(self) -> None:
        first = await self._piece()
        if not first:
            return  # somebody looked whether a printer is here
        self.idle = False
        rest = Paced(self._piece)

        async def pieces() -> bytes:
            nonlocal first
            taken, first = first, b""
            return taken or await rest.next()

        await self._take(self, Bytes(pieces))

    async def _piece(self) -> bytes:
        return await _within(self._reader.read(_PIECE), PIECE_SECONDS)

    def reset(self) -> None:
        """Break the connection, so that its end is no good end."""
        plug = self._writer.get_extra_info("socket")
        if plug is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class LpdPort(Listener):
    """The LPD port: each printer is a queue by its name, or by the name of the queue that people print to."""

    def __init__(self, config: Config, sources: tuple[PrinterSource, ...], gateway: Gateway) -> None:
        super().__init__(connections=config.printing.connections)
        self.config = config
        self.kept = 0
        self._gateway = gateway
        self._queues = {one.spec.cups_queue.encode(): one for one in sources}
        self._queues |= {one.spec.name.encode(): one for one in sources}

    def plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Plug:
        """Return what serves one connection."""
        return _Caller(reader, writer, self)

    def source(self, queue: bytes) -> PrinterSource | None:
        """Return the printer that a client means."""
        return self._queues.get(queue)

    async def take(self, sent: Sent) -> bool:
        """Tell whether a document was taken; why not is said in the log. Broken when its sender is gone."""
        try:
            await self._gateway.take(sent)
        except Broken:
            raise
        except (DlpError, OSError) as err:
            _say(sent.source, err, self.config)
            return False
        return True

    async def waiting(self, source: PrinterSource) -> int:
        """Return how many jobs of a printer are on their way."""
        return await self._gateway.waiting(source)


class _Kept(NamedTuple):
    """A data file that waits for the rest of its job: an unnamed memory file."""

    fd: int
    size: int


class _Caller:
    """One connection to the LPD port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: LpdPort) -> None:
        self._reader, self._writer, self._port = reader, writer, port
        self._order: Order | None = None
        self._kept: dict[bytes, _Kept] = {}
        self.idle = True

    async def serve(self) -> None:
        try:
            await self._serve()
        except Wrong:
            await self._answer(_NO)
        except EOFError:
            return  # somebody looked whether a printer is here
        finally:
            self._forget()

    async def _serve(self) -> None:
        code, rest = await self._line()
        queue, _, _ = rest.partition(b" ")
        source = self._port.source(queue)
        if source is None:
            raise Wrong("there is no such queue")
        if code == 2:
            await self._answer(_YES)
            await self._receive(source)
        elif code in (3, 4):
            count = await self._port.waiting(source)
            await self._answer(f"{source.spec.name}: {count} jobs wait 等待中\n".encode())
        elif code == 5:
            await self._answer("not possible here: ask the security officer 此处不能删除任务，请联系保密员\n".encode())
        else:
            await self._answer(_YES if code == 1 else _NO)

    async def _receive(self, source: PrinterSource) -> None:
        while True:
            self.idle = self._order is None and not self._kept
            try:
                code, rest = await self._line()
            except EOFError:
                return
            self.idle = False
            if code == 1:
                self._forget()
                await self._answer(_YES)
                continue
            if code not in (2, 3):
                raise Wrong("no command of this protocol")
            size, name = lpd.size_and_name(rest)
            if not await (self._control(size) if code == 2 else self._data(source, size, name)):
                raise Wrong("it was not taken")
            if self._is_whole() and not await self._take_all(source):
                raise Wrong("it was not taken")
            await self._answer(_YES)

    async def _control(self, size: int) -> bool:
        if self._order is not None or not 0 < size <= lpd.MOST_CONTROL:
            return False
        await self._answer(_YES)
        body = self._file(size)
        pieces = []
        while piece := await body.some():
            pieces.append(piece)
        self._order = lpd.order(b"".join(pieces))
        return self._kept.keys() <= {part.file for part in self._order.parts}

    async def _data(self, source: PrinterSource, size: int, name: bytes) -> bool:
        """Take a data file: on its way into the vault where all is known of it, else into memory."""
        parts = self._order.parts if self._order is not None else ()
        if size <= 0 or name in self._kept or (parts and name not in {part.file for part in parts}):
            return False
        if len(parts) == 1:
            await self._answer(_YES)
            taken = await self._take(source, self._file(size))
            self._order = None
            return taken
        if len(self._kept) >= lpd.MOST_FILES or not self._has_room(size):
            LOG.warning("%s: a job of several files is too large for LPD and was refused", source.name)
            return False
        await self._answer(_YES)
        await self._keep(name, size)
        return True

    def _has_room(self, size: int) -> bool:
        own = sum(kept.size for kept in self._kept.values())
        return own + size <= MOST_KEPT and self._port.kept + size <= MOST_KEPT_IN_ALL

    async def _keep(self, name: bytes, size: int) -> None:
        fd = durable.memory_file("lpd")
        self._kept[name] = _Kept(fd, size)
        self._port.kept += size
        body = self._file(size)
        while piece := await body.some():
            durable.write_all(fd, piece)

    def _forget(self) -> None:
        for kept in self._kept.values():
            self._port.kept -= kept.size
            os.close(kept.fd)
        self._kept.clear()
        self._order = None

    def _is_whole(self) -> bool:
        return self._order is not None and all(part.file in self._kept for part in self._order.parts)

    async def _take_all(self, source: PrinterSource) -> bool:
        """Take every file of a job that is here whole."""
        order = self._order
        if order is None:
            return False
        try:
            for number, part in enumerate(order.parts):
                if not await self._take(source, _bytes_of(self._kept[part.file]), number):
                    return False
        finally:
            self._forget()
        return True

    async def _take(self, source: PrinterSource, body: Bytes, number: int = 0) -> bool:
        order = self._order
        if order is None:
            return False
        part = order.parts[number]
        if part.copies > MOST_COPIES:
            return False
        user = order.user or str((self._writer.get_extra_info("peername") or "?")[0])
        return await self._port.take(Sent(source, part.title or UNTITLED, user, part.copies, b"", body))

    # bytes

    async def _line(self) -> tuple[int, bytes]:
        """Return code and operands of the next line; EOFError where the client has said all it wanted."""
        try:
            line = await _within(self._reader.readuntil(b"\n"), HEADER_SECONDS)
        except asyncio.IncompleteReadError as err:
            if err.partial:
                raise Broken("a line is cut off") from err
            raise EOFError from err
        except asyncio.LimitOverrunError as err:
            raise Wrong("a line without an end") from err
        if len(line) > LONGEST_LINE:
            raise Wrong("a line that is too long")
        return line[0], line[1:-1].rstrip(b"\r")

    def _file(self, size: int) -> Bytes:
        """Return the body of a file that was announced: so many bytes, and a zero behind them."""
        left = size

        async def more() -> bytes:
            nonlocal left
            if left == 0:
                if await self._some(1) != b"\0":
                    raise Broken("a file is longer than was said")
                left = -1
            if left < 0:
                return b""
            piece = await self._some(min(left, _PIECE))
            if not piece:
                raise Broken("a file is cut off")
            left -= len(piece)
            return piece

        return Bytes(Paced(more).next)

    async def _some(self, size: int) -> bytes:
        return await _within(self._reader.read(size), PIECE_SECONDS)

    async def _answer(self, said: bytes) -> None:
        self._writer.write(said)
        await _within(self._writer.drain(), PIECE_SECONDS)


async def _within(work: Awaitable[T], seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as err:
        raise Broken("nothing comes") from err


def _bytes_of(kept: _Kept) -> Bytes:
    at = 0

    async def more() -> bytes:
        nonlocal at
        piece = os.pread(kept.fd, _PIECE, at)
        at += len(piece)
        return piece

    return Bytes(more)


def _say(source: PrinterSource, err: Exception, config: Config) -> None:
    why = err.say.to(config.site.language) if isinstance(err, DlpError) else type(err).__name__
    LOG.error("%s: a job was not taken: %s", source.name, why)
