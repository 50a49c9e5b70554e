"""A checkpoint: sequence and hash of the last event, signed, to be carried out of reach of this machine.

What was written before a checkpoint that somebody kept cannot be changed without a word, whoever owns the machine now.
It is a line of JSON in a file, the same line in the system log, and a QR code on paper: any of the three verifies.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dlp import signature
from dlp.model import Frozen

FORM = "wenyin-gate audit checkpoint, version 1"
CODE = "DLPC1"
_UNSIGNED = ("signature",)
_HEX = {"head": 64, "key_id": 16, "signature": 128}


class Checkpoint(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signed head of the trail."""

    form: str = FORM
    number: int
    """Counts up for the site: the trail tells of each."""
    chain: str
    """Name of the chain in force; empty before the first key."""
    seq: int
    head: str
    at: str
    """ISO 8601, UTC, seconds; by the clock of the machine that signed."""
    key_id: str
    signature: str = ""


def make(key: Ed25519PrivateKey, *, number: int, chain: str, seq: int, head: str, at: str) -> Checkpoint:
    """Return a signed checkpoint."""
    name = signature.key_id(key.public_key().public_bytes_raw())
    bare = Checkpoint(number=number, chain=chain, seq=seq, head=head, at=at, key_id=name)
    return msgspec.structs.replace(bare, signature=signature.sign(_message(bare), key))


def digest(made: Checkpoint) -> str:
    """Return the SHA-256 (hex) of what is signed."""
    return hashlib.sha256(_message(made)).hexdigest()


def write(made: Checkpoint) -> str:
    """Return a checkpoint as one line of ASCII JSON without a line break."""
    return msgspec.json.encode(made, order="sorted").decode()


def read(line: bytes) -> Checkpoint:
    """Return the checkpoint in a line: its JSON, as in the system log with words before it, or the text of its code.

    ValueError when it is none. Whether its signature holds is for `is_genuine`.
    """
    if found := re.search(rb"DLPC1:[0-9A-Z:]+", line):
        return _from_code(found[0].decode())
    start = line.find(b"{")
    made = signature.read(line[max(start, 0) :], Checkpoint, lengths=_HEX)
    return _checked(made)


def is_genuine(made: Checkpoint, known: Iterable[bytes]) -> bool:
    """Tell whether one of the known public keys signed a checkpoint."""
    keys = (key for key in known if signature.key_id(key) == made.key_id)
    return any(signature.is_genuine(_message(made), made.signature, key) for key in keys)


def code(made: Checkpoint) -> str:
    """Return what the printed QR code says: the whole checkpoint, in capitals and digits, so that it stays coarse."""
    moment = re.sub("[-:]", "", made.at)
    words = (CODE, str(made.number), made.chain, str(made.seq), made.head, moment, made.key_id, made.signature)
    return ":".join(words).upper()


def _from_code(text: str) -> Checkpoint:
    _, number, chain, seq, head, moment, key, signed = text.lower().split(":")
    at = re.sub(r"(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)z", r"\1-\2-\3T\4:\5:\6Z", moment)
    plain = Checkpoint(number=int(number), chain=chain, seq=int(seq), head=head, at=at, key_id=key, signature=signed)
    return _checked(signature.read(write(plain).encode(), Checkpoint, lengths=_HEX))


def _checked(made: Checkpoint) -> Checkpoint:
    chain = re.fullmatch("([0-9a-f]{64})?", made.chain)
    moment = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made.at)
    if made.form != FORM or not chain or not moment or made.seq < 0:
        raise ValueError("no checkpoint")
    return made


def _message(made: Checkpoint) -> bytes:
    return signature.message(made, without=_UNSIGNED)
