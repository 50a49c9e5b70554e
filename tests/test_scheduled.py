"""The backups that a gate makes by itself: when they are due, which stay, and who hears that one failed."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dlp import config
from dlp.errors import ConfigError
from dlp.service import backup, doctor, origins, proving
from dlp.service.desk import Desk
from dlp.service.proving import Given
from dlp.service.scheduled import Scheduled
from dlp.store.sqlite import SqliteStore
from dlp.vault import read_identity
from sites import Place, lay


@pytest.fixture
def site(tmp_path: Path) -> Place:
    """Make a site that wants a backup every hour, and keeps two."""
    text = '[backup]\nfolder = "backups"\nrecipients = ["officer.key.pub"]\nevery_hours = 1\nkeep = 2\n'
    made = lay(tmp_path, sections=(text,))
    backup.new_pair(tmp_path / "officer.key")
    settled = config.read(made.config)
    with Desk.prepare(settled) as desk:
        origins.begin(settled, desk.store)
    return made


def old(folder: Path, hours: float) -> Path:
    """Put the name of a backup into a folder that is so old."""
    folder.mkdir(exist_ok=True)
    stamp = datetime.now(UTC) - timedelta(hours=hours)
    path = folder / f"wenyin-gate-{stamp:%Y%m%dT%H%M%S}Z-{'0' * 26}.dlpbackup"
    path.write_bytes(b"")
    return path


def told(site: Place) -> doctor.Check:
    """Return what the doctor says of backups."""
    (check,) = doctor._backups(config.read(site.config))
    return check


def test_a_backup_is_made_when_one_is_due_and_old_ones_go(site: Place) -> None:
    """Counted from the last one that lies there; the gate removes its own alone, after a new one is made."""
    settled, folder = config.read(site.config), site.root / "backups"
    store = SqliteStore.open(settled.store.path, create=False)
    gate = Scheduled(settled, store, site.config)
    young = old(folder, 0.5)
    assert not gate.look()
    young.unlink()
    older = [old(folder, hours) for hours in (5, 4, 3)]
    (folder / "由人保存.dlpbackup").write_bytes(b"")
    assert not told(site).ok
    assert gate.look()
    assert not gate.look()
    assert [path.exists() for path in older] == [False, False, True]
    assert (folder / "由人保存.dlpbackup").exists()
    last = backup.own_backups(folder)[-1][1]
    seen = proving.verify(last, Given(read_identity(site.root / "officer.key")))
    assert seen.manifest.seq == store.head()[0]
    assert told(site).ok
    store.close()


def test_one_that_fails_is_in_the_log_the_trail_and_the_doctor(site: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The gate goes on; no older backup is touched."""
    settled, folder = config.read(site.config), site.root / "backups"
    kept = [old(folder, hours) for hours in (9, 8, 7)]
    (site.root / "officer.key.pub").write_text("no key", encoding="utf-8")
    store = SqliteStore.open(settled.store.path, create=False)
    gate = Scheduled(settled, store, site.config)
    assert not gate.look()
    assert "no backup was made" in caplog.text
    assert all(path.exists() for path in kept)
    assert not told(site).ok
    shutil.copy(site.vault / "recipient.txt", site.root / "officer.key.pub")
    assert not gate.look()  # not again at once
    store.close()


def keys_here(site: Place) -> doctor.Check:
    """Return what the doctor says of the private halves of the keys of backups."""
    (check,) = doctor._backup_keys(config.read(site.config))
    return check


def test_the_private_half_of_a_backup_on_this_machine_is_told(site: Place) -> None:
    """Wherever keys of the site lie, under whatever name, and also where it is the key of the vault; not elsewhere."""
    away = site.root / "away"
    away.mkdir()
    made = site.root / "officer.key"
    for name in ("officer.key", "renamed", "vault/officer", "state/officer", "backups/officer"):
        path = site.root / name
        path.parent.mkdir(exist_ok=True)
        made = made.rename(path)
        check = keys_here(site)
        assert not check.ok
        assert str(path) in check.say.zh
        assert str(path) in check.say.en
        assert check.say.zh != check.say.en
    assert doctor._backup_keys in doctor.LOOKS
    made.rename(away / "officer.key")  # a folder that is carried away
    assert keys_here(site).ok
    shutil.copy(site.vault / "recipient.txt", site.root / "officer.key.pub")
    assert str(site.vault / "identity.age-key") in keys_here(site).say.en
    (site.root / "officer.key.pub").write_text("no key", encoding="utf-8")
    assert not keys_here(site).ok


def test_hours_without_a_folder_or_anybody_to_seal_to_are_refused(tmp_path: Path) -> None:
    """Told when the configuration is read, with the key."""
    with pytest.raises(ConfigError) as told:
        config.parse("[backup]\nevery_hours = 1\n", file="x", base=tmp_path)
    said = " ".join(problem.text("en") for problem in told.value.problems)
    assert "backup.folder" in said
    assert "backup.recipients" in said
