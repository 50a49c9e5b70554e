"""A backup as one file: a tar that is sealed with age to public keys, with a signed list of what is in it at its end.

The tar is written and read as a stream, in memory of a constant size. Member names are those of this program, never
paths: what is called otherwise is refused. The list (manifest) comes last, because only then every hash is known; it
is signed (Ed25519), and what it does not name, or names otherwise, is no backup.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol, cast

import msgspec
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pyrage import x25519

from dlp import signature
from dlp.model import Frozen

FORM = "wenyin-gate backup, version 1"
MANIFEST = "manifest.json"
BOOKS = "gate.db"
KEYS = "keys.age"
CONTENTS = "contents.json"
CONFIG = "config.toml"
OBJECT = "vault/"
CHUNK = 1 << 18
MOST_SMALL = 64 << 20
"""Bytes of a member that is kept in memory: everything but the books and sealed objects."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,40}(/[A-Za-z0-9][A-Za-z0-9._-]{0,60})?")
_BLOCK = tarfile.BLOCKSIZE
_HEX = {"head": 64, "public_key": 64, "key_id": 16, "signature": 128}
_UNSIGNED = ("signature",)


class Member(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a backup."""

    name: str
    size: int
    sha256: str


class Contents(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has to be known before files are laid out; it comes first, beside the configuration."""

    number: str
    titles: dict[str, str]
    """What members are called at the site, where that is not their name."""


class Manifest(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds, and of which moment."""

    form: str = FORM
    number: str
    """Of this backup; sorts by time."""
    unit: str
    made: str
    """ISO 8601, UTC, seconds."""
    version: str
    """Of the program."""
    schema: int
    """Of the books."""
    chain: str
    """Name of the audit chain in force; empty before the first key."""
    seq: int
    head: str
    """Hash of the last event that it holds."""
    packs: str
    """Digest of the packs that were in force at the last start; empty where that is not known."""
    secrets: tuple[str, ...]
    """The private keys that are in it, sealed once more."""
    absent: tuple[str, ...]
    """The private keys that are not, and without which the site cannot go on as before."""
    vanished: tuple[str, ...]
    """Jobs that ended while it was made: their sealed files are not in it, and are not needed."""
    missing: tuple[str, ...]
    """Jobs of which the vault had no sealed file although they are still open."""
    members: tuple[Member, ...]
    public_key: str
    key_id: str
    signature: str = ""


def sign(manifest: Manifest, key: Ed25519PrivateKey) -> Manifest:
    """Return a manifest with the signature of the site."""
    return msgspec.structs.replace(manifest, signature=signature.sign(_message(manifest), key))


def is_genuine(manifest: Manifest) -> bool:
    """Tell whether the key that a manifest names signed it; not whether that key is known to anybody."""
    public = bytes.fromhex(manifest.public_key)
    named = signature.key_id(public) == manifest.key_id
    return named and signature.is_genuine(_message(manifest), manifest.signature, public)


def read(raw: bytes) -> Manifest:
    """Return the manifest in `raw`; ValueError when it is none."""
    made = signature.read(raw, Manifest, lengths=_HEX)
    if made.form != FORM or made.seq < 0:
        raise ValueError("no manifest of this form")
    return made


def write(manifest: Manifest) -> bytes:
    """Return a manifest as a file."""
    return msgspec.json.encode(manifest, order="sorted")


def _message(manifest: Manifest) -> bytes:
    return signature.message(manifest, without=_UNSIGNED)


class Part(NamedTuple):
    """What goes in: a name, how many bytes, and what gives them."""

    name: str
    size: int
    pieces: Iterable[bytes]


class Torn(OSError):  # noqa: N818  names what happened
    """A file became shorter or longer while it was read."""


def pack(parts: Iterable[Part], seal: Callable[[tuple[Member, ...]], bytes]) -> Iterator[bytes]:
    """Give the bytes of a tar of all parts; `seal` makes the manifest of what was in them."""
    members: list[Member] = []
    for part in parts:
        digest, size = hashlib.sha256(), 0
        yield _header(part.name, part.size)
        for piece in part.pieces:
            digest.update(piece)
            size += len(piece)
            yield piece
        if size != part.size:
            raise Torn(f"{part.name} changed while it was read")
        yield _padding(size)
        members.append(Member(name=part.name, size=size, sha256=digest.hexdigest()))
    raw = seal(tuple(members))
    yield _header(MANIFEST, len(raw)) + raw + _padding(len(raw)) + bytes(2 * _BLOCK)


def _header(name: str, size: int) -> bytes:
    if not _NAME.fullmatch(name):
        raise ValueError("no name of a member")
    about = tarfile.TarInfo(name)
    about.size, about.mode = size, 0o600
    return about.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


class Sink(Protocol):
    """Where members go as they come out."""

    def begin(self, name: str, size: int) -> None:
        """Take the name of the next member."""

    def piece(self, data: bytes) -> None:
        """Take some of its bytes."""

    def end(self) -> None:
        """Take note that it is whole."""


class Unpacker:
    """Takes the bytes of a tar as they come (`write`), hands each member to a sink, and keeps what it saw."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._left = b""
        self._wanted = 0  # bytes of the present member that are still to come
        self._pad = 0
        self._name = ""
        self._size = 0
        self._digest = hashlib.sha256()
        self._raw = bytearray()
        self._over = False
        self._seen: list[Member] = []
        self.error: Exception | None = None

    def write(self, data: bytes) -> int:
        """Take the next bytes. ValueError for what is no backup; what the sink raises is kept in `error`."""
        try:
            self._take(memoryview(bytes(data)))
        except Exception as err:
            self.error = err  # the age library passes on that a write failed, not why
            raise OSError("refused") from err
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here that could be handed on."""

    def finish(self) -> Manifest:
        """Return the manifest once all has come; ValueError where the backup is not whole, or not what it says."""
        if self._wanted or self._pad or not self._over or self._name != MANIFEST:
            raise ValueError("the backup is cut off")
        made = read(bytes(self._raw))
        told = {one.name: (one.size, one.sha256) for one in made.members}
        if not len(told) == len(made.members) == len(self._seen) or told != {
            one.name: (one.size, one.sha256) for one in self._seen
        }:
            raise ValueError("what is in the backup is not what its list says")
        return made

    def _take(self, view: memoryview) -> None:
        while view:
            if self._wanted:
                piece, view = view[: self._wanted], view[self._wanted :]
                self._content(bytes(piece))
            elif self._pad:
                cut = min(self._pad, len(view))
                view, self._pad = view[cut:], self._pad - cut
            else:
                take = _BLOCK - len(self._left)
                self._left, view = self._left + bytes(view[:take]), view[take:]
                if len(self._left) == _BLOCK:
                    block, self._left = self._left, b""
                    self._begin(block)

    def _begin(self, block: bytes) -> None:
        if block == bytes(_BLOCK):
            self._over = True
            return
        if self._over or self._name == MANIFEST:
            raise ValueError("something follows the end")
        try:
            about = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise ValueError("no tar") from None
        if about.type != tarfile.REGTYPE or not _NAME.fullmatch(about.name) or about.size < 0:
            raise ValueError("a member that no backup has")
        if about.name == MANIFEST and about.size > MOST_SMALL:
            raise ValueError("a manifest that no backup has")
        self._name, self._size, self._wanted = about.name, about.size, about.size
        self._digest = hashlib.sha256()
        if self._name != MANIFEST:
            self._sink.begin(self._name, self._size)
        if not self._wanted:
            self._end()

    def _content(self, piece: bytes) -> None:
        self._wanted -= len(piece)
        self._digest.update(piece)
        if self._name == MANIFEST:
            self._raw += piece
        else:
            self._sink.piece(piece)
        if not self._wanted:
            self._end()

    def _end(self) -> None:
        self._pad = -self._size % _BLOCK
        if self._name == MANIFEST:
            return
        self._sink.end()
        self._seen.append(Member(name=self._name, size=self._size, sha256=self._digest.hexdigest()))


class _Pulled:
    """A reader over pieces, as the age library wants one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces))
        except StopIteration:
            return b""
        except BaseException as err:
            self.error = err  # as in `Unpacker.write`
            raise
        most = len(self._left) if size < 0 else size
        piece, self._left = self._left[:most], self._left[most:]
        return bytes(piece)


def seal(pieces: Iterator[bytes], out: BinaryIO, recipients: Sequence[x25519.Recipient]) -> None:
    """Write `pieces` to `out`, sealed. What the pieces raise is raised; OSError where `out` cannot be written."""
    source = _Pulled(pieces)
    try:
        pyrage.encrypt_io(cast("BinaryIO", source), out, list(recipients))
    except (pyrage.EncryptError, OSError) as err:
        if source.error is not None:
            raise source.error from err
        raise err if isinstance(err, OSError) else OSError(str(err)) from err


def unseal(file: BinaryIO, sink: Sink, identity: x25519.Identity) -> Manifest:
    """Open a backup, hand its members to `sink`, and return its manifest.

    ValueError where it is no backup, damaged, cut off, or sealed to somebody else; what the sink raises is raised.
    """
    taker = Unpacker(sink)
    try:
        pyrage.decrypt_io(file, cast("BinaryIO", taker), [identity])
    except (pyrage.DecryptError, OSError) as err:
        if taker.error is not None:
            raise taker.error from err
        raise ValueError("it cannot be opened with this key, or is damaged") from err
    return taker.finish()


def lock_secrets(secrets: dict[str, bytes], recipients: Sequence[x25519.Recipient]) -> bytes:
    """Return private keys, sealed: they are never in a backup as they are, even behind its own seal."""
    return cast("bytes", pyrage.encrypt(msgspec.msgpack.encode(secrets), list(recipients)))


def unlock_secrets(sealed: bytes, identity: x25519.Identity) -> dict[str, bytes]:
    """Return the private keys in a backup; ValueError where they cannot be opened."""
    try:
        raw = cast("bytes", pyrage.decrypt(sealed, [identity]))
        return msgspec.msgpack.decode(raw, type=dict[str, bytes])
    except (pyrage.DecryptError, msgspec.MsgspecError):
        raise ValueError("the keys in the backup cannot be opened") from None
