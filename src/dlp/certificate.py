"""A certificate of redaction: what was done to a file, signed with the key of the site that did it.

One flat JSON object. What is signed (Ed25519) are its canonical bytes: UTF-8, keys sorted, no blanks between tokens, no
number but integers, and without the three fields of `_UNSIGNED`. The public key in a certificate tells which key to ask
for, and is no reason to believe it: whoever makes a certificate can put any key there.

A plain hash of the file before redaction would undo the redaction: whoever has the copy knows everything but the number
that was removed, and can try all numbers. So what is signed is a seal of that hash with a random salt. Hash and salt
stand beside it in the certificate that the site keeps; the one that it gives away is closed, without both.
"""

from __future__ import annotations

import hashlib
import re
import secrets

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dlp import signature
from dlp.model import Certificate

FORM = "wenyin-gate redaction certificate, version 1"
LARGEST = 4 << 20
"""Bytes of a certificate that is read: ten thousand pages with a row each are a quarter of it."""
_HEX = {"key_id": 16, "public_key": 64, "signature": 128, "output_sha256": 64, "input_seal": 64}
_UNSIGNED = ("input_sha256", "input_salt", "signature")


class Signed(Certificate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate with who signed it, when, and with what software the copy was made and proven."""

    form: str = FORM
    issued: str
    """ISO 8601, UTC, seconds; by the clock of the machine that signed."""
    unit: str
    job: str = ""
    """Number of the job at the gate; empty for a file that was redacted by hand."""
    software: dict[str, str]
    """Name -> version of this product and of the libraries that read, wrote and proved the copy."""
    input_seal: str
    """SHA-256 over salt and hash of the file before redaction."""
    input_salt: str = ""
    """32 random bytes, hex; empty, as `input_sha256`, in a closed certificate."""
    key_id: str
    public_key: str
    """32 bytes, hex."""
    signature: str = ""
    """64 bytes, hex."""


class NotACertificate(ValueError):  # noqa: N818  what the bytes are
    """These bytes are no certificate of this form. Quotes nothing of them."""


def sign(
    made: Certificate, key: Ed25519PrivateKey, *, issued: str, unit: str, job: str, software: dict[str, str]
) -> Signed:
    """Return the signed certificate of a redaction."""
    public = key.public_key().public_bytes_raw()
    salt = secrets.token_bytes(32)
    bare = Signed(
        **msgspec.structs.asdict(made),
        issued=issued,
        unit=unit,
        job=job,
        software=software,
        input_seal=_seal(salt, bytes.fromhex(made.input_sha256)),
        input_salt=salt.hex(),
        key_id=signature.key_id(public),
        public_key=public.hex(),
    )
    return msgspec.structs.replace(bare, signature=signature.sign(_signed_bytes(bare), key))


def closed(signed: Signed) -> Signed:
    """Return the certificate as it may be given away: it still holds, and tells nothing of the original."""
    return msgspec.structs.replace(signed, input_sha256="", input_salt="")


def write(signed: Signed) -> bytes:
    """Return a certificate as it is kept and handed out."""
    return msgspec.json.format(msgspec.json.encode(signed, order="sorted"), indent=1) + b"\n"


def digest(signed: Signed) -> str:
    """Return the SHA-256 of what is signed: the same for a closed certificate, and however it is indented."""
    return hashlib.sha256(_signed_bytes(signed)).hexdigest()


def read(raw: bytes) -> Signed:
    """Return the certificate in `raw`; NotACertificate for anything that two readers could take differently.

    Keys that stand twice, unknown or missing keys, and numbers that are no integers are refused; how the text is
    indented does not matter. Whether the signature holds is for `is_genuine`.
    """
    if len(raw) > LARGEST:
        raise NotACertificate
    try:
        signed = signature.read(raw, Signed, lengths=_HEX)
    except ValueError:
        raise NotACertificate from None
    if signed.form != FORM:
        raise NotACertificate
    return signed


def is_genuine(signed: Signed) -> bool:
    """Tell whether a certificate is what the holder of its own key signed; not whether that key is known to anybody."""
    public = bytes.fromhex(signed.public_key)
    if signed.key_id != signature.key_id(public) or not _is_open_or_closed(signed):
        return False
    return signature.is_genuine(_signed_bytes(signed), signed.signature, public)


def _is_open_or_closed(signed: Signed) -> bool:
    """Tell whether the hash of the input is the sealed one, or is not told at all."""
    opening = (signed.input_salt, signed.input_sha256)
    if opening == ("", ""):
        return True
    if not all(re.fullmatch("[0-9a-f]{64}", half) for half in opening):
        return False
    return _seal(*map(bytes.fromhex, opening)) == signed.input_seal


def _seal(salt: bytes, sha256: bytes) -> str:
    return hashlib.sha256(salt + sha256).hexdigest()


def _signed_bytes(signed: Signed) -> bytes:
    return signature.message(signed, without=_UNSIGNED)
