"""What is live: one thread looks whether the books have changed, and every open board hears of it at once.

What is sent is a number and nothing else. A board then asks for its own rows, in its own language, with its own
filters and by its own rights: nothing is rendered for somebody who may not see it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from dlp.errors import DlpError
from dlp.web.site import Console

LOOK_SECONDS = 0.25
BEAT_SECONDS = 15.0
"""Between signs of life, without which a proxy or a browser gives a silent stream up."""
AGAIN_SECONDS = 10.0
"""Between looks whether whoever watches is still logged in."""


class Watch:
    """The head of the books of one site, looked at once for all who watch. Lives in the event loop."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._head = -1
        self._changed = asyncio.Condition()
        self._watching = 0
        self._looking: asyncio.Task[None] | None = None

    async def heads(self, token: str) -> AsyncIterator[bytes]:
        """Give an event each time the books have changed, until the session ends or the browser goes."""
        self._watching += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield b"retry: 2000\n\n"
            known, beat, asked = -1, time.monotonic(), time.monotonic()
            while True:
                if self._head != known:
                    known = self._head
                    yield f"event: changed\ndata: {known}\n\n".encode()
                    beat = time.monotonic()
                async with self._changed:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), 1.0)
                now = time.monotonic()
                if now - asked >= AGAIN_SECONDS:
                    asked = now
                    if not await run_in_threadpool(self._is_known, token):
                        yield b"event: ended\ndata: 0\n\n"
                        return
                if now - beat >= BEAT_SECONDS:
                    beat = now
                    yield b": \n\n"
        finally:
            self._watching -= 1

    def _is_known(self, token: str) -> bool:
        try:
            self._console.people.who(token)
        except DlpError:
            return False
        return True

    async def _look(self) -> None:
        while self._watching:
            with suppress(DlpError):  # the books are busy or gone for a moment: the next look tells
                head = (await run_in_threadpool(self._console.store.head))[0]
                if head != self._head:
                    async with self._changed:
                        self._head = head
                        self._changed.notify_all()
            await asyncio.sleep(LOOK_SECONDS)
