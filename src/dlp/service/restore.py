"""A backup laid out again: into an empty folder, or in the place of what is here.

The order is the guarantee. All of the backup is laid out beside its places, synced, and looked at (`service.laying`);
nothing has changed until then. Into a folder, one rename makes it appear. In the place of a site, the renames are
written down first (`restoring.json`): a crash before that line leaves the old site, a crash after it leaves the new
one, because whoever opens the site next finishes them (`finish`). What was there is kept beside, under another name:
nothing is lost.

The audit key is not in a backup. What is laid down in its place says that a key has to begin; until then nothing can be
written, and the end of the trail is the one of the backup. The next start begins a new key in the trail, and the trail
tells of the restore (`origins.begin`). A state of the key that was used after the backup is never used twice.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from dlp import bundle, durable
from dlp import config as configuration
from dlp.bundle import Manifest
from dlp.config import Config
from dlp.errors import Denied, StoreError, UsageError
from dlp.model import Frozen, Say
from dlp.ratchet import Ratchet
from dlp.rights import Operation, Why, right
from dlp.service import backup, origins, proving
from dlp.service.acting import Acting
from dlp.service.certify import state_folder
from dlp.service.laying import Laying, books_key, drop, landed, make_folder, sync, unpacked
from dlp.service.proving import Given, Verified
from dlp.service.second import CHANGES, DONE, Change, Doing, Seconds
from dlp.store.entry import Entry
from dlp.store.sqlite import KEY_FILE, SqliteStore

JOURNAL = "restoring.json"
STAGE = ".restoring"
SETTINGS = ("packs-", "words/", "audit/", "backup/", bundle.CONFIG)
"""Members that belong to whoever sets the site up: what is here already is not written over."""


class Done(NamedTuple):
    """A restore that was made."""

    verified: Verified
    absent: tuple[str, ...]
    """Private keys that are neither in the backup nor here: the site cannot go on as before without them."""
    kept: tuple[Path, ...]
    """What was here before, beside its old place."""
    config: Path | None


class Head(NamedTuple):
    """Where a trail ends."""

    seq: int
    hash: str


def _note(manifest: Manifest, *, by: str, reason: str = "", second: str = "", lost: Head | None = None) -> bytes:
    """Return what the next start tells the trail about a restore."""
    body = {"backup": manifest.number, "seq": manifest.seq, "head": manifest.head, "by": by}
    body |= {key: word for key, word in (("second", second), ("why", reason)) if word}
    if lost is not None and lost.seq > manifest.seq:
        body |= {"lost": f"{manifest.seq + 1}-{lost.seq}", "lost_head": lost.hash}
    return msgspec.json.encode(body)


# into an empty folder


def restore_into(file: Path, given: Given, folder: Path) -> Done:
    """Lay a backup out as the new folder `folder`: whoever has the machine does, before anybody has an account there.

    UsageError where there is something in it; StoreError for a backup that cannot be used.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  with no `..` left in it
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            Say(f"文件夹不是空的，未恢复：{folder}", f"there is something in {folder}: nothing was restored"),
            Say(
                "另选空文件夹；覆盖现有站点用 --here（须二人）",
                "name an empty one; --here restores over a site, by two persons",
            ),
        )
    if not folder.parent.is_dir():
        raise UsageError(Say(f"没有这个文件夹：{folder.parent}", f"there is no folder {folder.parent}"))
    stage = folder.with_name(f".{folder.name}{STAGE}")
    drop(stage)
    text: list[bytes] = []

    def plan(raw: bytes, _: bundle.Contents) -> tuple[Config, Callable[[Path], Path]]:
        read = configuration.parse(raw.decode(), file=bundle.CONFIG, base=folder)
        config = landed(read, folder)
        head = "# 由备份恢复：路径已改到本文件夹之内。 Restored from a backup: its own paths are inside this folder.\n"
        text.append(raw or head.encode() if config == read else (head + configuration.toml(config)).encode())
        return config, lambda path: stage / path.relative_to(folder)

    laying = Laying(plan)
    try:
        verified, config = unpacked(file, laying, given)
        laying.put(bundle.CONFIG, folder / "config.toml", text[0])
        who = getpass.getuser()
        laying.put(origins.RESTORED, state_folder(config) / origins.RESTORED, _note(verified.manifest, by=who))
        for inner in (Path(config.vault.folder) / "q", state_folder(config)):
            make_folder(stage / inner.relative_to(folder))
        sync(stage)
        stage.rename(folder)
        durable.fsync_dir(folder.parent)
    except OSError as err:
        raise _unwritten(folder, err) from err
    finally:
        drop(stage)
    return Done(verified, _absent(config), (), folder / "config.toml")


def _absent(config: Config) -> tuple[str, ...]:
    return tuple(sorted(str(path) for path in backup.secrets_of(config).values() if not path.exists()))


# in the place of what is here


def doing() -> dict[Operation, Doing]:
    """Return what is done once a second person has confirmed it: the restore itself needs the gate to stand still."""
    return {Operation.BACKUP_RESTORE: _allow}


def _allow(entry: Entry, change: Change) -> None:
    body = {"backup": change.words["backup"], "older": bool(change.words["older"]), "reason": change.reason}
    entry.append(change.by, "restore-allowed", "", {**body, "second": change.second, "change": change.id})


def ask(acting: Acting, seconds: Seconds, file: Path, given: Given, *, older: bool, reason: str) -> Change:
    """Ask a second person to let a backup take the place of the site.

    Denied where the site has come further than the backup, unless that is what is wanted (`older`), with a reason.
    """
    acting.may(Operation.BACKUP_RESTORE)
    verified = proving.verify(file, given)
    _check_newer(acting.store, verified.manifest, older=older)
    if older and not reason.strip():
        raise UsageError(Say("必须写明理由", "a reason is required"), Say("用 --reason 写明", "give it with --reason"))
    made = verified.manifest
    words = {"backup": made.number, "seq": made.seq, "head": made.head, "older": older, "sha256": _sha256(file)}
    return seconds.ask(Operation.BACKUP_RESTORE, made.number, words, reason=reason.strip())


def _check_newer(store: SqliteStore, manifest: Manifest, *, older: bool) -> None:
    """Raise Denied where a restore would take events away that the backup does not hold."""
    here = _head(store)
    event = next(iter(store.events(manifest.seq - 1)), None)
    if here == (manifest.seq, manifest.head) or older:
        return
    same = event is not None and event.seq == manifest.seq and event.hash == manifest.head
    if here.seq < manifest.seq:
        return  # the books here end before the backup: they are what was damaged
    what = Say("备份比现有审计链旧", "the backup is older than the trail here")
    if not same:
        what = Say("备份与现有审计链不是同一条", "the backup is of another trail than the one here")
    raise Denied(
        Say(
            f"{what.zh}，未恢复：备份止于第 {manifest.seq} 条 {manifest.head}，现有链止于第 {here.seq} 条 {here.hash}",
            f"{what.en}, nothing was restored: the backup ends at event {manifest.seq} {manifest.head}, "
            f"the trail here at {here.seq} {here.hash}",
        ),
        Say(
            "改用较新的备份；确须退回的，用 --older --reason 写明理由，由二人办理，缺失的序号记入新链",
            "use a newer one; if it has to be, --older --reason WHY by two persons: the trail will name what is lost",
        ),
    )


def _head(store: SqliteStore) -> Head:
    """Return where the trail here ends, or ended as far as its key knows."""
    seq, own = store.head()
    try:
        _, key = store.key()
    except StoreError:
        key = None  # the key is damaged: the books say what they say
    if key is not None and key.begun and key.seq - 1 > seq:
        return Head(key.seq - 1, own)
    return Head(seq, own)


def restore_here(
    config: Config,
    file: Path,
    given: Given,
    *,
    token: str = "",
    change: str = "",
    settings: Path | None = None,
) -> Done:
    """Lay a backup out in the places that the configuration of this machine names; the gate stands still.

    Where there are books, only on a `change` that two persons want. Denied without one.
    """
    path = Path(config.store.path)
    with SqliteStore.hold_exclusive(path):
        roll(config)
        if not path.exists() or path.stat().st_size == 0:
            return _here(config, file, given, _Allowed(getpass.getuser()), settings)
        with closing(SqliteStore.open(path, create=False)) as store:
            allowed = _allowed(Acting.at(config, store, token), file, change)
        return _here(config, file, given, allowed, settings)


class _Allowed(NamedTuple):
    """Who wants a site to be restored, and where its trail ends now."""

    by: str
    second: str = ""
    reason: str = ""
    lost: Head | None = None


def _allowed(acting: Acting, file: Path, id: str) -> _Allowed:  # noqa: A002  the column's name
    """Return on whose word the site is restored; the trail that is to be put aside tells of it. Denied if nobody's."""
    operation = Operation.BACKUP_RESTORE
    with acting.demand(operation, subject=id) as entry:
        change = entry.find(CHANGES, id) if id else None
        if change is None or not _holds(change, file, entry.moment):
            body = {"operation": operation.value, "subject": id, "why": Why.NO_RIGHT.value}
            entry.append(acting.person.id, "denied", "", body)
            change = None
        else:
            body = {"backup": change.words["backup"], "change": change.id, "second": change.second}
            entry.append(acting.person.id, "restoring", "", body)
    if change is None:
        raise Denied(
            Say(
                "覆盖现有站点的恢复须二人办理，此文件没有有效的确认",
                "two persons restore over a site: nobody confirmed this file, or it has lapsed",
            ),
            Say(
                "先运行 dlp backup restore 文件 --here，由安全保密管理员确认后带 --change 再运行"
                f"（依据：{right(operation).article}）",
                "run `dlp backup restore FILE --here`, have it confirmed, and run it again with --change",
            ),
        )
    return _Allowed(change.by, change.second, change.reason, _head(acting.store))


def _holds(change: Change, file: Path, moment: float) -> bool:
    """Tell whether a second person let this very file take the place of the site, and not too long ago."""
    done = change.operation is Operation.BACKUP_RESTORE and change.state == DONE
    return done and moment < change.until and change.words["sha256"] == _sha256(file)


def _here(config: Config, file: Path, given: Given, allowed: _Allowed, settings: Path | None) -> Done:
    for stage in _stages(config):
        drop(stage)
    found = settings is None or not settings.exists()

    def plan(_: bytes, __: bundle.Contents) -> tuple[Config, Callable[[Path], Path]]:
        return config, lambda place: _staged(config, place)

    laying = Laying(plan)
    try:
        verified, _ = unpacked(file, laying, given)
        manifest = verified.manifest
        note = _note(manifest, by=allowed.by, second=allowed.second, reason=allowed.reason, lost=allowed.lost)
        laying.put(origins.RESTORED, state_folder(config) / origins.RESTORED, note)
        text = laying.small.get(bundle.CONFIG, b"")
        if text and settings is not None and found:
            laying.put(bundle.CONFIG, settings, text)
        elif text and (settings is None or settings.read_bytes() != text):
            place = state_folder(config) / f"config.backup-{manifest.number}.toml"
            laying.put(bundle.CONFIG, place, text)
        moves = tuple(_moves(config, laying, manifest))
        for stage in _stages(config):
            if stage.exists():
                sync(stage)
        durable.replace(_journal(config), msgspec.json.encode(moves))
    except OSError as err:
        raise _unwritten(state_folder(config), err) from err
    finally:
        if not _journal(config).exists():
            for stage in _stages(config):
                drop(stage)
    roll(config)
    kept = tuple(Path(move.aside) for move in moves if move.aside and Path(move.aside).exists())
    return Done(verified, _absent(config), kept, None)


class _Move(Frozen, frozen=True, kw_only=True):
    """One rename, written down so that it can be done again: `come` to `to`, and what was there to `aside`."""

    come: str
    """Empty: nothing comes."""
    to: str
    aside: str
    """Empty: what is there stays, and what came is left."""


def _moves(config: Config, laying: Laying, manifest: Manifest) -> Iterator[_Move]:
    mark = f".before-{manifest.number}"

    def aside(path: Path) -> str:
        free = (f"{path}{mark}", *(f"{path}{mark}-{n}" for n in range(1, 1_000)))
        return next(one for one in free if not Path(one).exists())

    for end in ("-wal", "-shm"):  # of the books that go: they would be taken for those of the ones that come
        beside = f"{config.store.path}{end}"
        yield _Move(come="", to=beside, aside=aside(Path(beside)))
    objects = Path(config.vault.folder) / "q"
    make_folder(_staged(config, objects))
    yield _Move(come=str(_staged(config, objects)), to=str(objects), aside=aside(objects))
    for name, (path, place) in laying.laid.items():
        if name.startswith(bundle.OBJECT):
            continue
        if name.startswith(SETTINGS):
            if not place.exists():
                yield _Move(come=str(path), to=str(place), aside=f"{place}{mark}")
            elif place.read_bytes() != path.read_bytes():
                yield _Move(come=str(path), to=f"{place}.backup-{manifest.number}", aside=aside(place))
            continue
        own = name in (bundle.BOOKS, KEY_FILE, origins.RESTORED)
        if own or not place.exists() or place.read_bytes() != path.read_bytes():
            yield _Move(come=str(path), to=str(place), aside=aside(place))


def _journal(config: Config) -> Path:
    return state_folder(config) / JOURNAL


def _staged(config: Config, place: Path) -> Path:
    """Return where something lies before it goes to its place: on the same file system."""
    objects = Path(config.vault.folder) / "q"
    if objects in place.parents:
        return objects.parent / STAGE / "q" / place.relative_to(objects)
    return place.parent / STAGE / place.name


def _stages(config: Config) -> set[Path]:
    """Return every folder where something may lie before it goes to its place."""
    places = (
        *(Path(config.store.path), Path(config.vault.folder) / "q"),
        *backup.public_of(config).values(),
        *backup.settings_of(config).values(),
        *backup.secrets_of(config).values(),
        *(Path(folder) / "pack" for folder in config.packs.folders),
    )
    return {place.parent / STAGE for place in places}


def is_pending(config: Config) -> bool:
    """Tell whether a restore was cut off after it had been decided."""
    return _journal(config).exists()


def finish(config: Config) -> None:
    """Finish a restore that was cut off; StoreError where somebody is at it, or holds the site."""
    if is_pending(config):
        with SqliteStore.hold_exclusive(Path(config.store.path)):
            roll(config)


def roll(config: Config) -> None:
    """Do all renames that were written down, as far as they are not done; whoever calls this holds the site."""
    journal = _journal(config)
    try:
        moves = msgspec.json.decode(journal.read_bytes(), type=tuple[_Move, ...])
    except FileNotFoundError:
        return
    except msgspec.MsgspecError as err:
        raise StoreError(
            Say(f"恢复进度文件损坏：{journal}", f"the record of a restore is damaged: {journal}"),
            Say("保留现场，重新从备份恢复到空文件夹", "leave all as it is; restore into an empty folder"),
        ) from err
    try:
        with _nobody_writes(config):
            for move in moves:
                _move(move)
        journal.unlink()
        durable.fsync_dir(journal.parent)
    except OSError as err:
        why = err.strerror or type(err).__name__
        raise StoreError(
            Say(f"恢复尚未完成（{why}），两套文件都在", f"the restore is not finished ({why}); both sides are there"),
            Say("检查磁盘和权限；再次运行任何 dlp 命令即继续", "check disk and modes; the next command goes on"),
        ) from err
    for stage in _stages(config):
        drop(stage)


def _move(move: _Move) -> None:
    come, to = Path(move.come), Path(move.to)
    if (move.come == "" or come.exists()) and to.exists():
        to.rename(move.aside)
    if move.come and come.exists():
        make_folder(to.parent)
        come.rename(to)
        durable.fsync_dir(come.parent)
    if to.parent.exists():
        durable.fsync_dir(to.parent)


@contextmanager
def _nobody_writes(config: Config) -> Iterator[None]:
    """Hold the audit key that goes: a command that has the old books open cannot write to them any more."""
    with ExitStack() as stack:
        if books_key(config).exists():
            stack.enter_context(Ratchet(books_key(config)).held())
        yield


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as raw:
            return durable.sha256_of(raw.fileno())
    except OSError as err:
        raise UsageError(Say(f"读不了这个文件：{file}", f"the file cannot be read: {file}")) from err


def _unwritten(where: Path, err: OSError) -> StoreError:
    why = err.strerror or type(err).__name__
    return StoreError(
        Say(f"恢复未完成：{where}（{why}）；现有文件未动", f"nothing was restored to {where} ({why})"),
        Say("检查磁盘空间和权限后重试", "check space and modes, and try again"),
    )
