"""What every request passes before anything of it is read: whose name it was sent to, how large it is, how slow.

A page of the console loads nothing but what the console serves, runs no script that stands in a page, is framed by
nobody and is kept by no browser. A request that names another host than this one was led here by somebody else's
domain (DNS rebinding), and is refused. OWASP ASVS 5.0, V3 and V4.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 64 << 20
"""Bytes of one request: an uploaded file to try a rule on."""
BODY_SECONDS = 60.0
"""From the first to the last byte of a body."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_YEAR = "max-age=31536000"


class Guard:
    """ASGI middleware. `hosts` are the names that browsers may use, without a port."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], secure: bool) -> None:
        self._app = app
        self._hosts = frozenset(host.casefold().strip("[]") for host in hosts)
        self._headers = {**HEADERS, "Strict-Transport-Security": _YEAR} if secure else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        refusal = self._refusal(Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        body = _Body(receive)
        try:
            await self._app(scope, body.receive, guarded)
        except _Refused as err:
            if not err.begun:
                await PlainTextResponse(err.text, err.status)(scope, receive, guarded)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        if _name(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("此地址不是本机控制台 / this is not the name of this console\n", 421)
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_BODY:
            return PlainTextResponse("内容过大 / too large\n", 413)
        return None


class _Refused(Exception):  # noqa: N818  an answer, not a fault
    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text, self.status, self.begun = text, status, False


class _Body:
    """Counts what comes of a body, and how long it takes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = MOST_BODY
        self._whole = False
        self._until = time.monotonic() + BODY_SECONDS

    async def receive(self) -> Message:
        if self._whole:  # what follows is that the client has gone
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
        except TimeoutError:
            raise _Refused("上传太慢 / too slow\n", 408) from None
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise _Refused("内容过大 / too large\n", 413)
            self._whole = not message.get("more_body", False)
        return message


def _name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].casefold()
    return host.rpartition(":")[0].casefold() if host.count(":") == 1 else host.casefold()
