"""The key that signs certificates, and the public keys that this site believes: PEM, in its state folder.

They can be used with other tools: the private key is PKCS 8, 0600; public ones are SubjectPublicKeyInfo.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dlp import durable
from dlp.errors import StoreError
from dlp.model import Say
from dlp.service import keys

PRIVATE, PUBLIC = "certificate.key", "certificate.pub"
_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----")


def signing_key(folder: Path, *, make: bool = True) -> Ed25519PrivateKey:
    """Return the key that signs the certificates of this site, made in `folder` when it is first needed.

    Its public half is added to the public keys of the site. To change the key, move the private one away: the public
    ones stay, so that older certificates hold. Without `make` nothing is written. StoreError when others may read it,
    or it is damaged or missing.
    """
    path = folder / PRIVATE
    if not (make or path.exists()):
        raise keys.damaged(path)
    text = keys.kept(path, _new_private)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise StoreError(
            Say(f"密钥文件权限过宽：{path}", f"others may read the key file {path}"),
            Say(f"chmod 600 {path}", f"chmod 600 {path}"),
        )
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise keys.damaged(path) from err
    if not isinstance(key, Ed25519PrivateKey):
        raise keys.damaged(path)
    if make:
        _add_public(folder / PUBLIC, key.public_key())
    return key


def public_keys(path: Path) -> tuple[bytes, ...]:
    """Return the Ed25519 keys (32 bytes each) in a PEM file; StoreError when it holds none or cannot be read."""
    try:
        blocks = _BLOCK.findall(path.read_bytes())
        found = [serialization.load_pem_public_key(block) for block in blocks]
    except (OSError, ValueError, UnsupportedAlgorithm) as err:
        raise keys.damaged(path) from err
    known = [key.public_bytes_raw() for key in found if isinstance(key, Ed25519PublicKey)]
    if not known or len(known) != len(found):
        raise keys.damaged(path)
    return tuple(known)


def _new_private() -> bytes:
    plain = serialization.NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
    )


def _add_public(path: Path, key: Ed25519PublicKey) -> None:
    kept = path.read_bytes() if path.exists() else b""
    if kept and key.public_bytes_raw() in public_keys(path):
        return
    text = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    part = keys.part_of(path, kept + text)
    part.rename(path)
    durable.fsync_dir(path.parent)
