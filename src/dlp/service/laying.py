"""A backup laid out beside its places: where each member goes, and the look at all of it before anything changes.

Members are written and synced as they come, to where the caller's plan puts them; what the books and their trail say is
judged once they lie there (`service.proving`). The private keys of the site come last. The audit key is in no backup:
what is laid down in its place says that a key has to begin.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from pyrage import x25519

from dlp import bundle, durable, ratchet
from dlp.config import Config
from dlp.errors import ConfigError, DlpError
from dlp.model import Say, evolve
from dlp.ratchet import Key, Ratchet
from dlp.service import backup, proving
from dlp.service.certify import state_folder
from dlp.service.proving import Given, Verified
from dlp.store.sqlite import KEY_FILE


def landed(config: Config, root: Path) -> Config:
    """Return a configuration whose own places are all inside `root`; what lay elsewhere gets a place there."""

    def at(path: Path, other: str) -> Path:
        path = Path(path)
        return path if root in path.parents else root / other

    def each(paths: Sequence[Path], other: str, end: str = "") -> tuple[Path, ...]:
        return tuple(at(path, f"{other}-{n}{end}") for n, path in enumerate(paths))

    vault, audit = config.vault, config.audit
    return evolve(  # type: ignore[no-any-return]
        config,
        store=evolve(config.store, path=at(config.store.path, "state/gate.db")),
        vault=evolve(
            vault,
            folder=at(vault.folder, "quarantine"),
            identity=at(vault.identity, "quarantine/identity.age-key"),
            work_key=at(vault.work_key, "quarantine/work.age-key"),
        ),
        audit=evolve(
            audit,
            checkpoints=at(audit.checkpoints, "state/checkpoints.jsonl"),
            recipients=each(audit.recipients, "audit-recipient", ".txt"),
        ),
        backup=evolve(config.backup, recipients=each(config.backup.recipients, "backup-recipient", ".txt")),
        packs=evolve(
            config.packs,
            folders=each(config.packs.folders, "packs"),
            words=each(config.packs.words, "words", ".txt"),
        ),
        sandbox=evolve(config.sandbox, passwords=each(config.sandbox.passwords, "passwords", ".txt")),
    )


def place_of(config: Config, name: str, titles: dict[str, str], number: str) -> Path:
    """Return where a member goes at a site of this configuration."""
    state = state_folder(config)
    if name == bundle.BOOKS:
        return Path(config.store.path)
    if name.startswith(bundle.OBJECT):
        return Path(config.vault.folder) / "q" / name.removeprefix(bundle.OBJECT)
    known = backup.public_of(config) | backup.settings_of(config)
    if name in known:
        return known[name]
    group, _, index = name.partition("/")
    title = Path(titles.get(name, index)).name
    if group.startswith("packs-") and title not in ("", ".", ".."):
        n = int(group.removeprefix("packs-"))
        folders = config.packs.folders
        return (Path(folders[n]) if n < len(folders) else state / f"{group}.backup-{number}") / title
    # The configuration of the backup, and what only that names: for whoever sets the site up to look at.
    return state / f"{group}{f'-{index}' if index else ''}.backup-{number}"


class Laying:
    """Lays members out as they come: `stage` says where, given the final place."""

    def __init__(self, plan: Callable[[bytes, bundle.Contents], tuple[Config, Callable[[Path], Path]]]) -> None:
        self._plan = plan
        self._stage: Callable[[Path], Path] = lambda path: path
        self._file: BinaryIO | None = None
        self._name = ""
        self._raw = bytearray()
        self.config: Config | None = None
        self.contents: bundle.Contents | None = None
        self.small: dict[str, bytes] = {}
        self.laid: dict[str, tuple[Path, Path]] = {}
        """Member -> where it lies, where it goes."""

    def begin(self, name: str, size: int) -> None:
        """Begin a member."""
        self._name, self._raw = name, bytearray()
        early = name in (bundle.CONFIG, bundle.CONTENTS)
        if not early and (self.config is None or self.contents is None):
            raise ValueError("the configuration does not come first")
        if early or name == bundle.KEYS:
            if size > bundle.MOST_SMALL:
                raise ValueError("a member is larger than any that a backup has")
            return
        assert self.config is not None  # noqa: S101  seen above
        assert self.contents is not None  # noqa: S101  seen above
        place = place_of(self.config, name, self.contents.titles, self.contents.number)
        self._open(name, place)

    def _open(self, name: str, place: Path) -> None:
        path = self._stage(place)
        make_folder(path.parent)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(fd, "wb")
        self.laid[name] = (path, place)

    def piece(self, data: bytes) -> None:
        """Take the next bytes of it."""
        if self._file is not None:
            self._file.write(data)
        if self._file is None or self._name == "state/audit.origin":
            self._raw += data

    def end(self) -> None:
        """End it: it is durable then, but for its name."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        self.small[self._name] = bytes(self._raw)
        if self._name == bundle.CONTENTS:
            self.contents = msgspec.json.decode(self._raw, type=bundle.Contents)
            self.config, self._stage = self._plan(self.small.get(bundle.CONFIG, b""), self.contents)

    def put(self, name: str, place: Path, raw: bytes) -> None:
        """Lay out what is no member as it came: a key, a note, the configuration."""
        self._open(name, place)
        self._name = name
        self.piece(raw)
        self.end()

    def lay_key(self, place: Path, *, seq: int, sealed: bool) -> None:
        """Lay down that a key has to begin: nothing is written to this trail before one does."""
        path = self._stage(place)
        key = Ratchet(path)
        key.lay()
        if sealed:
            with key.held() as held:
                held.write(Key(seq + 1, secrets.token_bytes(ratchet.SIZE), begun=False))
        self.laid[KEY_FILE] = (path, place)

    def close(self) -> None:
        """Close what was cut off."""
        if self._file is not None:
            self._file.close()


def make_folder(path: Path) -> None:
    """Make a private folder, with those above it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def unpacked(file: Path, laying: Laying, given: Given) -> tuple[Verified, Config]:
    """Lay all of a backup out beside its places, and look at it. StoreError or AuditBroken where it cannot be used."""
    try:
        manifest = proving.opened(file, laying, given.identity)
    except (msgspec.MsgspecError, FileExistsError, ConfigError) as err:
        why = err.say if isinstance(err, DlpError) else Say("内容不合格式", "it holds what no backup has")
        raise proving.bad(file, why) from err
    finally:
        laying.close()
    config = laying.config
    if config is None or laying.contents is None or bundle.BOOKS not in laying.laid:
        raise proving.bad(file, Say("其中没有任务库", "there are no books in it"))
    books = laying.laid[bundle.BOOKS][0]
    verified = proving.judge(file, manifest, books, laying.small.get(proving.ORIGIN, b""), given)
    for name, raw in _secrets(file, laying, given.identity).items():
        place = backup.secrets_of(config).get(name)
        if place is not None:
            laying.put(name, place, raw)
    laying.lay_key(books_key(config), seq=manifest.seq, sealed=verified.report.keyed != ())
    return verified, config


def _secrets(file: Path, laying: Laying, identity: x25519.Identity) -> dict[str, bytes]:
    sealed = laying.small.get(bundle.KEYS)
    try:
        return bundle.unlock_secrets(sealed, identity) if sealed else {}
    except ValueError as err:
        raise proving.bad(file, Say("其中的密钥打不开", str(err))) from err


def books_key(config: Config) -> Path:
    """Return where the key of the audit trail lies."""
    return Path(config.store.path).with_name(KEY_FILE)


def sync(folder: Path) -> None:
    """Make the names in a folder and in all below it durable; the files were synced as they were written."""
    for inner, _, _ in os.walk(folder, topdown=False):
        durable.fsync_dir(Path(inner))


def drop(stage: Path) -> None:
    """Remove a folder where something was laid out, if it is there."""
    if stage.exists():
        shutil.rmtree(stage)
