"""Signs the head of the audit trail on a schedule and sends it out of reach: a file, and the log of the system."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from dlp import checkpoint, durable
from dlp.audit import KEYED, Fault, Wrong
from dlp.checkpoint import Checkpoint
from dlp.config import Config
from dlp.errors import DlpError
from dlp.model import Say
from dlp.service import signing
from dlp.service.certify import state_folder
from dlp.store import AuditEvent, EventFilter
from dlp.store.sqlite import SqliteStore

LOG = logging.getLogger("dlp")
KIND = "checkpoint"
ACTOR = "gate"
PRIORITY = 10 * 8 + 5  # authpriv, notice
AGAIN_SECONDS = 60.0  # after a checkpoint that could not be written
MOST = 64 << 20  # bytes of a checkpoint file that is read: a hundred thousand checkpoints
_TAIL = 8_192


class Notary:
    """Signs checkpoints for a running gate: every so many events, and every so many minutes while anything happens."""

    def __init__(self, config: Config, store: SqliteStore) -> None:
        self._config = config
        self._store = store
        self._seq = 0
        self._due = time.monotonic()
        self._failed = False

    def look(self, *, now: bool = False) -> None:
        """Sign a checkpoint if one is due, or `now` if anything happened since the last one.

        What goes wrong is said, noted once, and tried again: the gate goes on.
        """
        moment = time.monotonic()
        try:
            seq, _ = self._store.head()
            if seq <= self._seq or not (now or self._is_due(seq, moment)):
                return
            made = sign(self._config, self._store)
        except (DlpError, OSError) as err:
            self._tell(err)
            self._failed, self._due = True, moment + AGAIN_SECONDS
            return
        self._failed = False
        self._seq = made.seq + 1  # the event that tells of it is nothing new
        self._due = moment + 60 * self._config.audit.checkpoint_minutes

    def _is_due(self, seq: int, moment: float) -> bool:
        if moment >= self._due:
            return True
        return not self._failed and seq - self._seq >= self._config.audit.checkpoint_events

    def _tell(self, err: DlpError | OSError) -> None:
        why = err.say.en if isinstance(err, DlpError) else os.strerror(err.errno or 0)
        LOG.error("no checkpoint of the audit trail could be written: %s", why)
        if self._failed:
            return
        with suppress(DlpError):  # the books themselves may be what fails, and whoever needs them next is told
            self._store.note(actor=ACTOR, kind="checkpoint-failed", job="", body={"why": why})


def sign(config: Config, store: SqliteStore) -> Checkpoint:
    """Sign the head of the trail, write it to the file and the system log, and note it in the trail.

    OSError or StoreError where the file cannot be written. A system log that is not there is only said.
    """
    key = signing.signing_key(state_folder(config))
    path = Path(config.audit.checkpoints)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        _drop_torn_line(fd)
        seq, head = store.head()
        told = store.find_events(EventFilter(kind=KIND), limit=1)
        keyed = store.find_events(EventFilter(kind=KEYED), limit=1, before=seq + 1)
        made = checkpoint.make(
            key,
            number=1 + max(_last_number(fd), *(numbers_of(event)[0] for event in told), 0),
            chain=str(keyed[0].body.get("chain", "")) if keyed else "",
            seq=seq,
            head=head,
            at=datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        line = checkpoint.write(made)
        durable.write_all(fd, line.encode() + b"\n")
        os.fsync(fd)
        durable.fsync_dir(path.parent)
    finally:
        os.close(fd)
    if config.audit.syslog:
        _send(config.audit.syslog, line)
    body = {"number": made.number, "seq": seq, "digest": checkpoint.digest(made)}
    store.note(actor=ACTOR, kind=KIND, job="", body=body)
    return made


def numbers_of(event: AuditEvent) -> tuple[int, str]:
    """Return number and digest of the checkpoint of which an event tells; 0 where the event was changed."""
    number, digest = event.body.get("number"), event.body.get("digest")
    return (number, digest) if isinstance(number, int) and isinstance(digest, str) else (0, "")


class Kept(NamedTuple):
    """What a file of checkpoints says: the good ones, and what is wrong with others."""

    good: tuple[Checkpoint, ...]
    faults: tuple[Fault, ...]


def read(path: Path, known: Sequence[bytes]) -> Kept:
    """Return the checkpoints in a file that one of the known public keys signed. OSError where it cannot be read."""
    with path.open("rb") as file:
        raw = file.read(MOST + 1)
    good: list[Checkpoint] = []
    faults: list[Fault] = []
    if len(raw) > MOST:
        faults.append(_fault(f"检查点文件过大：{path}", f"the checkpoint file is too large: {path}"))
    for number, line in enumerate(raw[:MOST].splitlines(), 1):
        if not line.strip():
            continue
        try:
            made = checkpoint.read(line)
        except ValueError:
            faults.append(_fault(f"{path} 第 {number} 行不是检查点", f"line {number} of {path} is no checkpoint"))
            continue
        if checkpoint.is_genuine(made, known):
            good.append(made)
            continue
        faults.append(
            _fault(
                f"{path} 第 {number} 行的签名不符，或签署密钥 {made.key_id} 不是本单位的",
                f"line {number} of {path}: the signature does not hold, or key {made.key_id} is not known here",
            )
        )
    return Kept(tuple(good), tuple(faults))


def _fault(zh: str, en: str) -> Fault:
    return Fault(wrong=Wrong.CHECKPOINT, say=Say(zh, en))


def _drop_torn_line(fd: int) -> None:
    """Cut off a last line without an end: a power cut left it, and nobody was told of it."""
    size = os.fstat(fd).st_size
    tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(fd, size - len(tail) + tail.rfind(b"\n") + 1)


def _last_number(fd: int) -> int:
    size = os.fstat(fd).st_size
    lines = os.pread(fd, _TAIL, max(0, size - _TAIL)).splitlines()
    try:
        return checkpoint.read(lines[-1]).number if lines else 0
    except ValueError:
        return 0  # the trail knows the number too


def _send(address: str, line: str) -> None:
    """Send a line to the system log of this machine (RFC 3164 as local daemons write it)."""
    text = f"<{PRIORITY}>{time.strftime('%b %e %H:%M:%S')} dlp[{os.getpid()}]: audit checkpoint {line}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as log:
            log.settimeout(1)
            log.connect(address)
            log.send(text.encode())
    except FileNotFoundError:
        LOG.info("there is no system log at %s", address)
    except OSError as err:
        LOG.warning("the system log %s took no checkpoint: %s", address, err.strerror)
