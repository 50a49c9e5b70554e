"""Values that are signed (Ed25519): one flat JSON object, read strictly, signed over its canonical bytes.

The canonical bytes are UTF-8 with keys sorted, no blanks between tokens, no number but integers, and without the fields
that are not signed. Two readers cannot take what was read here differently.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dlp import audit

T = TypeVar("T", bound=msgspec.Struct)


def key_id(public: bytes) -> str:
    """Return the name of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def read(raw: bytes, kind: type[T], *, lengths: Mapping[str, int]) -> T:
    """Return the value in `raw`; ValueError, quoting nothing, for anything that two readers could take differently.

    Keys that stand twice, unknown or missing keys, and numbers that are no integers are refused; how the text is
    indented does not matter. `lengths` are the fields that are hex digits, and how many.
    """
    try:
        plain = json.loads(raw.decode(), object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse)
        value = msgspec.convert(plain, kind)
        same = audit.canonical(plain) == audit.canonical(msgspec.to_builtins(value))
    except (ValueError, RecursionError, OverflowError, msgspec.MsgspecError):
        raise ValueError("not a value of this form") from None
    if not same or any(not re.fullmatch(f"[0-9a-f]{{{size}}}", getattr(value, name)) for name, size in lengths.items()):
        raise ValueError("not a value of this form")
    return value


def message(value: msgspec.Struct, *, without: tuple[str, ...]) -> bytes:
    """Return what is signed of a value: all of its fields but some."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return audit.canonical({name: one for name, one in plain.items() if name not in without}).encode()


def sign(signed: bytes, key: Ed25519PrivateKey) -> str:
    """Return the signature of `signed`, hex."""
    return key.sign(signed).hex()


def is_genuine(signed: bytes, signature: str, public: bytes) -> bool:
    """Tell whether the holder of a key signed `signed`; not whether that key is known to anybody."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature), signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _refuse(_: str) -> NoReturn:
    raise ValueError("a number that is no integer")
