"""The origin of an audit chain: its first key, sealed to people who are not on this machine.

The gate makes a first key, seals it to public keys (age: https://age-encryption.org/v1), and keeps only the key that
moves on. Whoever has a private half opens the origin and can check every seal. What counts is the copy that was carried
away: whoever owns the machine can make another chain with another origin, but not one that fits a kept copy.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import cast

import msgspec
import pyrage
from pyrage import x25519

from dlp import ratchet
from dlp.model import Frozen

FORM = "wenyin-gate audit origin, version 1"
CODE = "DLPA1"
MOST = 1_000
"""Origins in one file: each is a key that somebody had made anew."""


class Origin(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first key of one chain, sealed."""

    form: str = FORM
    chain: str
    """Name of the chain: tells which key it is, and not the key."""
    sealed: str
    """The 32 bytes of the key as an age file, base 64."""


def make(secret: bytes, recipients: Sequence[x25519.Recipient]) -> Origin:
    """Return the origin of the chain that begins with `secret`."""
    raw = cast("bytes", pyrage.encrypt(secret, list(recipients)))
    return Origin(chain=ratchet.name(secret), sealed=base64.b64encode(raw).decode())


def opened(origin: Origin, identity: x25519.Identity) -> bytes | None:
    """Return the first key of a chain; None where this identity does not open it, or what it opens is not that key."""
    try:
        secret = cast("bytes", pyrage.decrypt(base64.b64decode(origin.sealed, validate=True), [identity]))
    except (pyrage.DecryptError, binascii.Error):
        return None
    return secret if len(secret) == ratchet.SIZE and ratchet.name(secret) == origin.chain else None


def write(origins: Sequence[Origin]) -> bytes:
    """Return a file of origins: one JSON object a line."""
    return b"".join(msgspec.json.encode(one, order="deterministic") + b"\n" for one in origins)


def read(raw: bytes) -> tuple[Origin, ...]:
    """Return the origins in a file, each as JSON or as the text of its printed code.

    ValueError when one is neither, when there is none, or when there are too many.
    """
    lines = [line.strip() for line in raw.splitlines() if line.strip()]
    if not 0 < len(lines) <= MOST:
        raise ValueError("no origins, or too many")
    return tuple(from_code(line.decode()) if line.startswith(CODE.encode()) else _read(line) for line in lines)


def code(origin: Origin) -> str:
    """Return what the printed QR code of an origin says: capitals and digits, so that it stays coarse."""
    sealed = base64.b32encode(base64.b64decode(origin.sealed)).decode().rstrip("=")
    return f"{CODE}:{origin.chain.upper()}:{sealed}"


def from_code(text: str) -> Origin:
    """Return the origin of which a printed code tells; ValueError when it is none."""
    name, chain, sealed = text.split(":")
    raw = base64.b32decode(sealed + "=" * (-len(sealed) % 8))
    if name != CODE:
        raise ValueError("no origin")
    return _checked(Origin(chain=chain.lower(), sealed=base64.b64encode(raw).decode()))


def _read(line: bytes) -> Origin:
    try:
        return _checked(msgspec.json.decode(line, type=Origin))
    except msgspec.MsgspecError:
        raise ValueError("no origin") from None


def _checked(origin: Origin) -> Origin:
    if origin.form != FORM or not re.fullmatch("[0-9a-f]{64}", origin.chain):
        raise ValueError("no origin")
    return origin
