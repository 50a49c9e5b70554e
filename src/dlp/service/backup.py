"""Backups of one site: made while the gate runs, sealed to people, and proven good without being laid out.

A backup is the books as they were at one moment, and every sealed file that they need then. Objects in the vault are
whole files that nobody changes, so they are read after the books: one that has gone meanwhile belonged to a job that
ended, which is told. Private keys are sealed once more inside. The key that seals the audit trail is never in it: who
had an old one could forge what came after (`service.restore` begins a new one).
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec
from pyrage import x25519

from dlp import __version__, bundle, checkpoint, durable, signature
from dlp.audit import KEYED
from dlp.bundle import Manifest, Member, Part
from dlp.config import Config
from dlp.errors import DlpError, StoreError, UsageError, VaultError
from dlp.model import Say, State
from dlp.rights import Operation
from dlp.service import origins, signing
from dlp.service.acting import Acting
from dlp.service.certify import state_folder
from dlp.service.keys import new_id
from dlp.store import EventFilter, schema
from dlp.store.sqlite import SqliteStore
from dlp.vault import owner, read_recipients

SUFFIX = ".dlpbackup"
OWN = re.compile(r"wenyin-gate-(\d{8}T\d{6})Z-[0-9A-Z]{26}\.dlpbackup")
"""Names that the gate gives to its backups."""
NEED_OBJECT = (State.STORED, State.DECIDED, State.RELEASING, State.HELD, State.REDACTED)
"""Of jobs in these states there is a sealed file."""
LOCK, SNAPSHOT = "backup.lock", "backup.tmp"


class Made(NamedTuple):
    """A backup that was written."""

    path: Path
    size: int
    manifest: Manifest


def secrets_of(config: Config) -> dict[str, Path]:
    """Return the private keys of a site by the name that they have in a backup; the audit key is not among them."""
    state = state_folder(config)
    found = {
        "identity.age-key": Path(config.vault.identity),
        "work.age-key": Path(config.vault.work_key),
        "certificate.key": state / signing.PRIVATE,
        "findings.key": state / "findings.key",
    }
    return found | {f"passwords-{n}": Path(path) for n, path in enumerate(config.sandbox.passwords)}


def settings_of(config: Config) -> dict[str, Path]:
    """Return the files that the configuration names, by the name of their member; of packs see `packs_of`."""
    lists = {"words": config.packs.words, "audit": config.audit.recipients, "backup": config.backup.recipients}
    return {f"{name}/{n}": Path(path) for name, paths in lists.items() for n, path in enumerate(paths)}


def public_of(config: Config) -> dict[str, Path]:
    """Return what the site keeps beside its books and may be known to anybody, by the name of the member."""
    state = state_folder(config)
    return {
        "state/audit.origin": origins.file_of(config),
        "state/certificate.pub": state / signing.PUBLIC,
        "state/checkpoints.jsonl": Path(config.audit.checkpoints),
        "state/recipient.txt": Path(config.vault.folder) / "recipient.txt",
    }


def create(acting: Acting, out: Path, *, file: Path | None, with_keys: bool = True) -> Made:
    """Write a backup of the site to the new file `out`, or into that folder. Denied where it may not be.

    `file` is the configuration as it was read. UsageError where there is nobody to seal it to, or no place for it.
    """
    config = acting.config
    to = recipients(config)
    acting.may(Operation.BACKUP_CREATE)
    path, number = _free(config, out), new_id(time.time())
    path = path / _name(number) if path.is_dir() else path
    with acting.demand(Operation.BACKUP_CREATE) as entry:
        body = {"backup": number, "name": path.name, "keys": with_keys, "recipients": len(to)}
        entry.append(acting.person.id, "backup", "", body)
    return _written(acting.store, config, path, number, to, file=file, with_keys=with_keys, actor=acting.person.id)


def create_own(config: Config, store: SqliteStore, folder: Path, *, file: Path | None, actor: str) -> Made:
    """Write the backup that the gate makes by itself."""
    to, number = recipients(config), new_id(time.time())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise _unwritten(folder, err) from err
    path = folder / _name(number)
    body = {"backup": number, "name": path.name, "keys": True, "recipients": len(to)}
    store.note(actor=actor, kind="backup", job="", body=body)
    return _written(store, config, path, number, to, file=file, with_keys=True, actor=actor)


def recipients(config: Config) -> list[x25519.Recipient]:
    """Return to whom backups are sealed; UsageError where nobody is named."""
    found = [one for path in config.backup.recipients for one in read_recipients(Path(path))]
    if not found:
        raise UsageError(
            Say("没有写明备份用谁的公钥加密，未备份", "nobody is named to whom a backup is sealed; none was made"),
            Say(
                "用 dlp backup keygen --out 私钥文件 生成一对，私钥带离本机，公钥文件写入 [backup] recipients",
                "make a pair with `dlp backup keygen --out FILE`, carry the private half away, and name the public "
                "file in [backup] recipients",
            ),
        )
    return found


def _name(number: str) -> str:
    return f"wenyin-gate-{datetime.now(UTC):%Y%m%dT%H%M%S}Z-{number}{SUFFIX}"


def _free(config: Config, out: Path) -> Path:
    """Return where a backup may be written: a folder, or a new file. UsageError for any other."""
    if out.exists() and not out.is_dir():
        raise UsageError(Say(f"文件已存在，不覆盖：{out}", f"the file exists and is not overwritten: {out}"))
    if not out.is_dir() and not out.parent.is_dir():
        raise UsageError(Say(f"没有这个文件夹：{out.parent}", f"there is no folder {out.parent}"))
    real = out.resolve()
    for spec in config.folders:
        for folder in (Path(spec.watch).resolve(), Path(spec.release).resolve()):
            if real == folder or folder in real.parents:
                raise UsageError(
                    Say(f"不能把备份写入外发或放行文件夹：{out}", f"a backup does not go into a watched folder: {out}"),
                    Say("另选文件夹", "name another folder"),
                )
    return out


def _written(
    store: SqliteStore,
    config: Config,
    path: Path,
    number: str,
    to: Sequence[x25519.Recipient],
    *,
    file: Path | None,
    with_keys: bool,
    actor: str,
) -> Made:
    """Write what the trail has told of; where that fails, the trail tells of that too."""
    try:
        with _alone(config), _snapshot(config) as books:
            packing = _Packing(config, store, books, number, to, file=file, with_keys=with_keys)
            size = _write(path, packing.pieces(), to)
            return Made(path, size, cast("Manifest", packing.manifest))
    except (DlpError, OSError, sqlite3.Error) as err:
        why = err.say.en if isinstance(err, DlpError) else getattr(err, "strerror", None) or type(err).__name__
        with suppress(DlpError):  # the books may be what fails; that is raised below
            store.note(actor=actor, kind="backup-failed", job="", body={"backup": number, "why": why})
        raise err if isinstance(err, DlpError) else _unwritten(path, err) from err


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """Let one backup be made at a time; what an earlier one left half-done is removed."""
    state = state_folder(config)
    fd = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise StoreError(
                Say("另一个备份正在进行", "another backup is being made"),
                Say("等它完成后再试", "wait until it is done"),
            ) from err
        for left in state.glob(f"{SNAPSHOT}*"):
            left.unlink()
        yield
    finally:
        os.close(fd)


@contextmanager
def _snapshot(config: Config) -> Iterator[Path]:
    """Give a copy of the books as they are at one moment; the gate goes on meanwhile."""
    path = Path(config.store.path)
    copy = path.with_name(SNAPSHOT)
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60, isolation_level=None)
        try:
            db.execute("VACUUM INTO ?", (str(copy),))
        finally:
            db.close()
        yield copy
    finally:
        for left in path.parent.glob(f"{SNAPSHOT}*"):
            left.unlink(missing_ok=True)


def _write(path: Path, pieces: Iterator[bytes], to: Sequence[x25519.Recipient]) -> int:
    """Write a file that is whole or not there; return its size."""
    for left in path.parent.glob(".wenyin-gate-*.part"):
        _drop_left(left)

    def write(fd: int) -> None:
        with os.fdopen(fd, "wb", closefd=False) as out:
            bundle.seal(pieces, out, to)

    part = f".wenyin-gate-{os.getpid()}-{new_id(time.time())}.part"
    return durable.make_new(path, write, part=part, mode=0o600)


def _drop_left(part: Path) -> None:
    """Remove what a backup that was cut off left, unless somebody is writing it."""
    with suppress(OSError):
        fd = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()
        finally:
            os.close(fd)


class _Packing:
    """What goes into one backup, in the order in which it is read."""

    def __init__(
        self,
        config: Config,
        store: SqliteStore,
        books: Path,
        number: str,
        to: Sequence[x25519.Recipient],
        *,
        file: Path | None,
        with_keys: bool,
    ) -> None:
        self._config = config
        self._store = store
        self._books = books
        self._number = number
        self._to = to
        self._file = file
        self._with_keys = with_keys
        self._key = signing.signing_key(state_folder(config))
        self._vanished: list[str] = []
        self._missing: list[str] = []
        self._secrets: tuple[str, ...] = ()
        self._absent: tuple[str, ...] = ()
        self.manifest: Manifest | None = None
        copy = SqliteStore.open(books, create=False)
        try:
            self._seq, self._head = copy.head()
            keyed = copy.find_events(EventFilter(kind=KEYED), limit=1)
            started = copy.find_events(EventFilter(kind="started"), limit=1)
            self._chain = str(keyed[0].body.get("chain", "")) if keyed else ""
            self._packs = str(started[0].body.get("packs", "")) if started else ""
            self._known = set(copy.ids())
            self._needing = set(copy.ids(NEED_OBJECT))
        finally:
            copy.close()

    def pieces(self) -> Iterator[bytes]:
        """Give the bytes of the tar."""
        return bundle.pack(self._parts(), self._seal)

    def _parts(self) -> Iterator[Part]:
        text = b"" if self._file is None else self._file.read_bytes()
        yield _small(bundle.CONFIG, text)
        packs = {
            f"packs-{n}/{k}": path
            for n, folder in enumerate(self._config.packs.folders)
            for k, path in enumerate(sorted(Path(folder).glob("*.toml")))
        }
        contents = bundle.Contents(number=self._number, titles={name: path.name for name, path in packs.items()})
        yield _small(bundle.CONTENTS, msgspec.json.encode(contents))
        yield from _file(bundle.BOOKS, self._books)
        for name, path in (packs | settings_of(self._config)).items():
            yield from _file(name, path)
        for name, path in public_of(self._config).items():
            if path.exists():
                raw = path.read_bytes()
                yield _small(name, self._until(raw) if name.endswith("checkpoints.jsonl") else raw)
        yield from self._keys()
        yield from self._objects()

    def _until(self, raw: bytes) -> bytes:
        """Return the checkpoints of what is in this backup: later ones would say that its end was cut off."""
        kept = []
        for line in raw.splitlines(keepends=True):
            try:
                made = checkpoint.read(line)
            except ValueError:
                continue  # whatever it is, it proves nothing
            if made.seq <= self._seq:
                kept.append(line)
        return b"".join(kept)

    def _keys(self) -> Iterator[Part]:
        there = {name: path for name, path in secrets_of(self._config).items() if path.exists()}
        taken = there if self._with_keys else {}
        self._secrets = tuple(sorted(taken))
        self._absent = tuple(sorted(set(secrets_of(self._config)) - set(taken)))
        if taken:
            secrets = {name: path.read_bytes() for name, path in taken.items()}
            yield _small(bundle.KEYS, bundle.lock_secrets(secrets, self._to))

    def _objects(self) -> Iterator[Part]:
        folder = Path(self._config.vault.folder) / "q"
        seen: set[str] = set()
        for path in sorted(folder.glob("*.age")):
            job = owner(path.stem)
            if job not in self._known:
                continue  # it came after the books were read
            try:
                parts = tuple(_file(f"{bundle.OBJECT}{path.name}", path))
            except FileNotFoundError:
                continue
            yield from parts
            seen.add(path.stem)
        for job in sorted(self._needing - seen):
            _, state, _ = next(self._store.standing((job,)))
            (self._missing if state in NEED_OBJECT else self._vanished).append(job)

    def _seal(self, members: tuple[Member, ...]) -> bytes:
        public = self._key.public_key().public_bytes_raw()
        bare = Manifest(
            number=self._number,
            unit=self._config.site.unit,
            made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            version=__version__,
            schema=schema.VERSION,
            chain=self._chain,
            seq=self._seq,
            head=self._head,
            packs=self._packs,
            secrets=self._secrets,
            absent=self._absent,
            vanished=tuple(self._vanished),
            missing=tuple(self._missing),
            members=members,
            public_key=public.hex(),
            key_id=signature.key_id(public),
        )
        self.manifest = bundle.sign(bare, self._key)
        return bundle.write(self.manifest)


def _small(name: str, raw: bytes) -> Part:
    return Part(name, len(raw), (raw,) if raw else ())


def _file(name: str, path: Path) -> Iterator[Part]:
    """Give a file as it is now: who replaces it meanwhile does not change what is read."""
    file = path.open("rb")
    return iter((Part(name, os.fstat(file.fileno()).st_size, _read(file)),))


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(bundle.CHUNK):
            yield piece


def _unwritten(path: Path, err: Exception) -> StoreError:
    why = getattr(err, "strerror", None) or str(err) or type(err).__name__
    return StoreError(
        Say(f"备份未写成：{path}（{why}）", f"no backup was written to {path} ({why})"),
        Say("检查磁盘空间、权限和网络共享后重试；原有备份未动", "check space, mode and share; older backups are whole"),
    )


def own_backups(folder: Path) -> list[tuple[datetime, Path]]:
    """Return the gate's own backups in a folder, oldest first; OSError where it cannot be read."""
    matches = ((OWN.fullmatch(path.name), path) for path in folder.iterdir())
    named = ((match[1], path) for match, path in matches if match)
    return sorted((datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC), path) for stamp, path in named)


def new_pair(out: Path) -> Path:
    """Write a new private key to the new file `out`, and its public half beside it; return where that is."""
    pair = x25519.Identity.generate()
    public = out.with_name(f"{out.name}.pub")
    for path, text in ((public, str(pair.to_public())), (out, str(pair))):
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as err:
            why = os.strerror(err.errno or 0)
            raise VaultError(Say(f"写不了密钥文件 {path}（{why}）", f"cannot write {path} ({why})")) from err
        try:
            durable.write_all(fd, f"{text}\n".encode())
            os.fsync(fd)
        finally:
            os.close(fd)
    durable.fsync_dir(out.resolve().parent)
    return public
