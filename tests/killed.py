"""`dlp run` that kills itself with SIGKILL before or after one named step: `python killed.py before|after STEP`.

A step is a commit of the books by its kind (`sealed`, `releasing` ...), a question to the printer or CUPS by its
operation (`SEND_DOCUMENT` ...), or `answer`: the answer to whoever sent a document. The product knows nothing of it.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any

from dlp.ipp import Message, Op, client, http
from dlp.store.sqlite import SqliteStore

WHEN, STEP = sys.argv[1:]


def reach(when: str, step: str) -> None:
    """Die here when this is the place."""
    if (when, step) == (WHEN, STEP):
        os.kill(os.getpid(), signal.SIGKILL)


def watch(name: str) -> None:
    """Watch the commits that one method of the books makes."""
    plain: Callable[..., Any] = getattr(SqliteStore, name)

    def watched(self: SqliteStore, *args: Any, kind: str, **fields: Any) -> Any:
        reach("before", kind)
        made = plain(self, *args, kind=kind, **fields)
        reach("after", kind)
        return made

    setattr(SqliteStore, name, watched)


def watch_questions() -> None:
    """Watch what is asked of printers and of CUPS."""
    plain = client.call

    def watched(where: client.Where, message: Message, body: client.Body | None = None) -> Message:
        name = Op(message.code).name
        reach("before", name)
        answer = plain(where, message, body)
        reach("after", name)
        return answer

    client.call = watched


def watch_answers() -> None:
    """Watch the answers to whoever sent a document."""
    plain = http._Connection._send

    async def watched(self: http._Connection, answer: http.Answer) -> None:
        if answer.sent is None:
            return await plain(self, answer)
        reach("before", "answer")
        await plain(self, answer._replace(sent=None))
        reach("after", "answer")
        answer.sent()
        return None

    http._Connection._send = watched  # type: ignore[method-assign]


if __name__ == "__main__":
    watch("add")
    watch("move")
    watch_questions()
    watch_answers()
    sys.argv = ["dlp", "run"]
    runpy.run_module("dlp", run_name="__main__", alter_sys=True)
