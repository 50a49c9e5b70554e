"""A finished backup, looked at: its signature, every file in it, the books, and the trail up to the head it names."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pyrage import x25519

from dlp import audit, bundle, origin
from dlp.audit import Report
from dlp.bundle import Manifest
from dlp.config import Config
from dlp.errors import StoreError, UsageError
from dlp.model import Frozen, Say
from dlp.service import signing
from dlp.service.certify import state_folder
from dlp.store.sqlite import SqliteStore

ORIGIN = "state/audit.origin"


class Given(NamedTuple):
    """What somebody who opens a backup brings along."""

    identity: x25519.Identity
    known: Sequence[bytes] | None = None
    """Public keys that may have signed it; None where there are none to hold it against."""


class Verified(Frozen, frozen=True, kw_only=True):
    """A backup that holds: what it is, how its trail stands, and whether its signer is known here."""

    manifest: Manifest
    report: Report
    known: bool | None
    """None where there is nothing to hold the signer against."""


class _Looking:
    """Takes members as they come: the books into a file, small ones into memory, sealed files nowhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._books: BinaryIO | None = None
        self._name = ""
        self.small: dict[str, bytes] = {}
        self._raw: bytearray | None = None

    @property
    def books(self) -> Path:
        return self._folder / bundle.BOOKS

    def begin(self, name: str, size: int) -> None:
        self._name, self._raw = name, None
        if name == bundle.BOOKS:
            self._books = self.books.open("wb")
        elif not name.startswith(bundle.OBJECT):
            if size > bundle.MOST_SMALL:
                raise ValueError("a member is larger than any that a backup has")
            self._raw = bytearray()

    def piece(self, data: bytes) -> None:
        if self._raw is not None:
            self._raw += data
        elif self._name == bundle.BOOKS and self._books is not None:
            self._books.write(data)

    def end(self) -> None:
        if self._raw is not None:
            self.small[self._name] = bytes(self._raw)
        elif self._name == bundle.BOOKS and self._books is not None:
            self._books.close()
            self._books = None


def verify(file: Path, given: Given) -> Verified:
    """Look at all of a backup without laying it out. StoreError says what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="wenyin-gate-") as scratch:
        looking = _Looking(Path(scratch))
        manifest = opened(file, looking, given.identity)
        return judge(file, manifest, looking.books, looking.small.get(ORIGIN, b""), given)


def opened(file: Path, sink: bundle.Sink, identity: x25519.Identity) -> Manifest:
    """Hand the members of a backup to `sink` and return its manifest; StoreError where it is none, or damaged."""
    try:
        with file.open("rb") as raw:
            manifest = bundle.unseal(raw, sink, identity)
    except FileNotFoundError as err:
        raise UsageError(Say(f"没有这个文件：{file}", f"there is no file {file}")) from err
    except ValueError as err:
        raise bad(file, Say("打不开：私钥不对、文件损坏，或不是备份", str(err))) from err
    except OSError as err:
        why = err.strerror or type(err).__name__
        raise bad(file, Say(f"读写失败（{why}）", f"reading it or writing failed ({why})")) from err
    if not bundle.is_genuine(manifest):
        raise bad(file, Say("清单签名不符", "the signature of its list does not hold"))
    return manifest


def judge(
    file: Path,
    manifest: Manifest,
    books: Path,
    origins: bytes,
    given: Given,
) -> Verified:
    """Say whether books that came out of a backup are whole, and their trail ends where the manifest says."""
    signer = None if given.known is None else bytes.fromhex(manifest.public_key) in given.known
    if signer is False:
        raise bad(
            file,
            Say(
                f"签署密钥 {manifest.key_id} 不是本单位的",
                f"the key {manifest.key_id} that signed it is not known here",
            ),
        )
    if not books.exists():
        raise bad(file, Say("其中没有任务库", "there are no books in it"))
    chains = _chains(origins, given.identity)
    try:
        db = sqlite3.connect(books, isolation_level=None)
        try:
            told = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        finally:
            db.close()
        if told != "ok":
            raise bad(file, Say("任务库已损坏", "the books in it are damaged"))
        store = SqliteStore.open(books, create=False)
        try:
            head = store.head()
            report = audit.verify(store.events(), chains=chains)
        finally:
            store.close()
    except sqlite3.Error as err:
        raise bad(file, Say("任务库已损坏", "the books in it are damaged")) from err
    if report.faults:
        raise bad(file, report.faults[0].say)
    if head != (manifest.seq, manifest.head) or (report.count, report.head) != head:
        raise bad(file, Say("审计链尾与清单不符", "the trail does not end where its list says"))
    return Verified(manifest=manifest, report=report, known=signer)


def _chains(raw: bytes, identity: x25519.Identity) -> dict[str, bytes | None] | None:
    """Return the chains that may be in the trail, with their first keys where this identity opens them."""
    if not raw:
        return None
    try:
        return {one.chain: origin.opened(one, identity) for one in origin.read(raw)}
    except ValueError:
        return None  # a damaged origin opens nothing; the hashes are looked at all the same


def bad(file: Path, why: Say) -> StoreError:
    """Return the error for a backup that cannot be used."""
    return StoreError(
        Say(f"备份不可用：{file}：{why.zh}", f"the backup {file} cannot be used: {why.en}"),
        Say("改用另一份备份；没有改动任何文件", "use another one; nothing was changed"),
    )


def known_keys(config: Config, named: Path | None) -> tuple[bytes, ...] | None:
    """Return who may have signed a backup: the keys in a named file, or the site's; None where there are none."""
    path = named if named is not None else state_folder(config) / signing.PUBLIC
    if named is None and not path.is_file():
        return None
    return signing.public_keys(path)
