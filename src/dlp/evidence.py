"""A package of evidence: facts, masked findings, custody events, a checkpoint; one signed list of hashes over all.

It is a plain zip. Whoever gets it verifies it offline: the list is signed (Ed25519), each file has the hash that it
says, each event hashes to what the trail chained, and nothing was added. It holds no content of any file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dlp import audit, checkpoint, signature
from dlp.audit import AuditEvent
from dlp.model import Frozen, Say

FORM = "wenyin-gate evidence package, version 1"
MANIFEST, EVENTS, CHECKPOINT = "manifest.json", "events.jsonl", "checkpoint.json"
MOST = 256 << 20
"""Bytes of all files of a package that is read."""
_UNSIGNED = ("signature",)
_HEX = {"key_id": 16, "public_key": 64, "signature": 128}


class Manifest(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a package says it holds."""

    form: str = FORM
    incident: str
    unit: str
    at: str
    """ISO 8601, UTC, seconds."""
    by: str
    key_id: str
    public_key: str
    files: dict[str, str]
    """Name -> SHA-256 (hex)."""
    signature: str = ""


class Answer(NamedTuple):
    """One thing that a verification looked at."""

    name: str
    ok: bool
    say: Say


def pack(key: Ed25519PrivateKey, files: Mapping[str, bytes], *, incident: str, unit: str, at: str, by: str) -> bytes:
    """Return a signed package of these files."""
    public = key.public_key().public_bytes_raw()
    bare = Manifest(
        incident=incident,
        unit=unit,
        at=at,
        by=by,
        key_id=signature.key_id(public),
        public_key=public.hex(),
        files={name: hashlib.sha256(body).hexdigest() for name, body in sorted(files.items())},
    )
    signed = msgspec.structs.replace(bare, signature=signature.sign(_message(bare), key))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, body in ((MANIFEST, msgspec.json.encode(signed, order="sorted")), *sorted(files.items())):
            about = zipfile.ZipInfo(name)
            about.external_attr = 0o600 << 16
            made.writestr(about, body, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def verify(raw: bytes, known: Iterable[bytes]) -> tuple[Answer, ...]:
    """Return what holds of a package and what does not; `known` are public keys that are believed."""
    try:
        files = _files(raw)
        manifest = signature.read(files.pop(MANIFEST, b""), Manifest, lengths=_HEX)
    except (ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
        say = Say("不是证据包，或已损坏", "this is no package of evidence, or it is damaged")
        return (Answer("package", ok=False, say=say),)
    return tuple(_answers(manifest, files, tuple(known)))


def _answers(manifest: Manifest, files: Mapping[str, bytes], known: tuple[bytes, ...]) -> Iterator[Answer]:
    public = bytes.fromhex(manifest.public_key)
    genuine = (
        manifest.form == FORM
        and signature.key_id(public) == manifest.key_id
        and signature.is_genuine(_message(manifest), manifest.signature, public)
    )
    yield _answer(
        "signature", genuine, ("签名有效", "the signature holds"), ("签名不符", "the signature does not hold")
    )
    yield _answer(
        "key",
        public in known,
        (f"签署密钥 {manifest.key_id} 为本单位所有", f"signed with the known key {manifest.key_id}"),
        (f"签署密钥 {manifest.key_id} 不在认可之列", f"the key {manifest.key_id} is not among the known ones"),
    )
    for name in sorted({*manifest.files, *files}):
        yield _file(name, manifest.files.get(name), files.get(name))
    bad = next(_bad_events(files.get(EVENTS, b"")), 0)
    yield _answer(
        "events",
        not bad,
        ("审计事件与其哈希一致", "each event hashes to what was chained"),
        (f"第 {bad} 行审计事件与其哈希不符", f"the event in line {bad} does not hash to what was chained"),
    )
    yield _answer(
        "checkpoint",
        _holds(files.get(CHECKPOINT, b""), public),
        ("检查点签名有效", "the checkpoint is genuine"),
        ("检查点缺失或签名不符", "the checkpoint is missing or not genuine"),
    )


def _file(name: str, listed: str | None, body: bytes | None) -> Answer:
    if listed is None:
        return Answer(name, ok=False, say=Say("清单之外的文件", "it is not in the list: somebody added it"))
    if body is None:
        return Answer(name, ok=False, say=Say("缺失", "it is missing"))
    same = hashlib.sha256(body).hexdigest() == listed
    return _answer(name, same, ("与清单一致", "as listed"), ("与清单不符，已被改动", "it was changed"))


def _bad_events(raw: bytes) -> Iterator[int]:
    """Give the number of each line that is no event, or not the one that was chained."""
    decoder, last = msgspec.json.Decoder(AuditEvent), None
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            event = decoder.decode(line)
        except (msgspec.MsgspecError, RecursionError):
            yield number
            continue
        own = audit.link(
            seq=event.seq,
            at=event.at,
            actor=event.actor,
            kind=event.kind,
            job=event.job,
            body=audit.canonical(event.body),
            prev=event.prev,
        )
        follows = last is None or event.seq > last.seq
        chained = last is None or event.seq != last.seq + 1 or event.prev == last.hash
        if own != event.hash or not (follows and chained):
            yield number
        last = event


def _holds(line: bytes, public: bytes) -> bool:
    try:
        return checkpoint.is_genuine(checkpoint.read(line), (public,))
    except ValueError:
        return False


def _files(raw: bytes) -> dict[str, bytes]:
    """Return the files of a zip by name; ValueError where a name stands twice or they are too large."""
    found: dict[str, bytes] = {}
    left = MOST
    with zipfile.ZipFile(io.BytesIO(raw)) as package:
        for about in package.infolist():
            with package.open(about) as file:
                body = file.read(left + 1)
            left -= len(body)
            if left < 0 or about.filename in found:
                raise ValueError("not a package")
            found[about.filename] = body
    return found


def _answer(name: str, ok: bool, good: tuple[str, str], bad: tuple[str, str]) -> Answer:
    return Answer(name, ok=ok, say=Say(*(good if ok else bad)))


def _message(manifest: Manifest) -> bytes:
    return signature.message(manifest, without=_UNSIGNED)
