"""Where items come from, and how they are settled there. A source both receives a job and settles it."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from dlp.errors import DlpError
from dlp.model import Frozen, Say


class Found(Frozen, frozen=True, kw_only=True):
    """A complete file that a source offers: which one, and exactly in which state it was seen."""

    source: str
    key: bytes
    """Raw name below the root of the source; opaque to all but the source."""
    shown: str
    """The name as it may be shown to people: escaped, one line, no direction tricks."""
    dev: int = 0
    ino: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0


class Arrival(NamedTuple):
    """A job that somebody sends, piece by piece."""

    found: Found
    pieces: Callable[[int], bytes]
    """Gives at most so many next bytes, nothing at the end; OSError when the sender broke off."""
    owner: str
    copies: int = 1
    origin: str = ""
    """As `Item.origin`."""
    paper: str = ""
    """As `Item.paper`."""


class TakeRefused(DlpError):  # noqa: N818  the word of the audit trail
    """This is not a plain file of its own and is never taken: a link, a device, a pipe, a folder of another disk."""


class ReleaseError(DlpError):
    """The release folder cannot be written; the job stays sealed and is tried again."""

    exit = 5


class Void(ReleaseError):  # noqa: N818  what the place is
    """The place where a job was announced is gone, and not one byte was sent there: it must be announced anew."""


class Doubt(DlpError):  # noqa: N818  what is left is a question
    """Nobody can tell whether a job left: it is held for a person, and never sent a second time by itself."""


class TakenBack(DlpError):  # noqa: N818  what its owner did
    """A job is gone from where it waited before it left: its owner took it back. `who` says where that was done."""

    def __init__(self, who: str) -> None:
        super().__init__(Say(f"任务已在 {who} 中取消", f"the job was cancelled in {who}"))
        self.who = who


Offer = Callable[[Found], None]
Refuse = Callable[[Found, Say], None]


class Source(Protocol):
    """One channel: what every one of them can do."""

    name: str
    owner: str
    target: str

    def remove(self, found: Found) -> bool:
        """Remove what was found if it is still exactly this one; tell whether it is gone."""

    def tell(self, key: bytes, name: str, text: str, job: str, brief: str = "") -> str | None:
        """Leave a receipt where the operator looks; None when this job's receipt is there already.

        `brief` says the same in one line, for places that have no room for more.
        """


class Onward(abc.ABC):
    """A channel whose cleared jobs are handed to somebody else's queue, such as a printer's, one after another.

    It is a source too. Sending has two steps, so that a crash between them neither loses a job nor sends it twice.
    """

    name: str
    owner: str
    target: str
    stamp: Literal["none", "text", "qr"] = "none"
    """What is put on each page that leaves here."""

    @abc.abstractmethod
    def begin(self, key: bytes, job: str, media: str, copies: int, *, apart: bool = False) -> str:
        """Announce a job and return its place there; nothing leaves yet. ReleaseError when that is not possible.

        `apart`: what leaves is a copy of its own, and not what was taken as it was taken.
        """

    @abc.abstractmethod
    def send(self, place: str, body: int, *, fresh: bool) -> str:
        """Send the bytes of fd `body` to a place and return its name, once, however often it is called.

        ReleaseError when that is not possible now; TakenBack when its owner does not want it any more; Doubt when
        nobody can tell whether it was done. `fresh`: nothing was sent there yet.
        """

    @abc.abstractmethod
    def remove(self, found: Found) -> bool:
        """Remove what was found; see `Source`."""

    @abc.abstractmethod
    def tell(self, key: bytes, name: str, text: str, job: str, brief: str = "") -> str | None:
        """Leave a receipt; see `Source`."""


class Files(Source, Protocol):
    """A channel of files that lie in a folder: both edges of it."""

    def watch(self, offer: Offer, refuse: Refuse, stop: threading.Event) -> None:
        """Offer each complete file once, until `stop`; blocks, so it runs in a thread of its own."""

    def sweep(self, refuse: Refuse) -> list[Found]:
        """Return what is complete now."""

    def retry(self, found: Found) -> None:
        """Offer this file again after a while: it could not be taken."""

    def open(self, found: Found) -> int:
        """Return an fd of exactly this file; TakeRefused for what is no plain file, FileNotFoundError if it changed."""

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

    def is_staged(self, key: bytes, job: str) -> bool:
        """Tell whether there is a staged copy that has not got its name yet."""

    def lay_back(self, key: bytes, job: str, body: int, sha256: str) -> str:
        """Put a complete copy of fd `body` beside its place in the private folder; return what tells that folder.

        ReleaseError when that is not possible.
        """

    def hand_back(self, job: str, key: bytes, place: str) -> str | None:
        """Give what was laid back its name, so that its owner finds it; None when that was done before.

        ReleaseError when the folder is not the one where it was laid.
        """
