"""Where items come from, and how they are settled there. A source both receives a job and settles it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from dlp.errors import DlpError
from dlp.model import Frozen, Say


class Found(Frozen, frozen=True, kw_only=True):
    """A complete file that a source offers: which one, and exactly in which state it was seen."""

    source: str
    key: bytes
    """Raw name below the root of the source; opaque to all but the source."""
    shown: str
    """The name as it may be shown to people: escaped, one line, no direction tricks."""
    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


class TakeRefused(DlpError):  # noqa: N818  the word of the audit trail
    """This is not a plain file of its own and is never taken: a link, a device, a pipe, a folder of another disk."""


class ReleaseError(DlpError):
    """The release folder cannot be written; the job stays sealed and is tried again."""

    exit = 5


Offer = Callable[[Found], None]
Refuse = Callable[[Found, Say], None]


class Source(Protocol):
    """Both edges of one channel."""

    name: str
    owner: str
    target: str

    def watch(self, offer: Offer, refuse: Refuse, stop: threading.Event) -> None:
        """Offer each complete file once, until `stop`; blocks, so it runs in a thread of its own."""

    def sweep(self, refuse: Refuse) -> list[Found]:
        """Return what is complete now."""

    def retry(self, found: Found) -> None:
        """Offer this file again after a while: it could not be taken."""

    def open(self, found: Found) -> int:
        """Return an fd of exactly this file; TakeRefused for what is no plain file, FileNotFoundError if it changed."""

    def remove(self, found: Found) -> bool:
        """Remove the file if it is still exactly this one; tell whether it is gone."""

    def stage(self, key: bytes, job: str, body: int, sha256: str) -> str:
        """Put a complete copy of fd `body` beside its final name; return what tells this place from another.

        ReleaseError when that is not possible.
        """

    def publish(self, key: bytes, job: str, place: str = "", sha256: str = "") -> str | None:
        """Give the staged copy a free name and return it; None when it was published before.

        ReleaseError when the copy is missing and `place`, where it was staged, is not what is there now: a share that
        is not mounted holds no proof that anything left.
        """

    def discard(self, key: bytes, job: str) -> None:
        """Remove a staged copy, if there is one."""

    def tell(self, key: bytes, name: str, text: str, job: str) -> str | None:
        """Leave a receipt where the file was; None when this job's receipt is there already."""
