"""Backups: made while the gate runs, proven without being laid out, and laid out again with the same end of trail."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest
from pyrage import x25519

from dlp import bundle, config, durable
from dlp.audit import KEYED
from dlp.bundle import Member, Part
from dlp.config import Config
from dlp.errors import StoreError, UsageError, VaultError
from dlp.model import Item, State
from dlp.service import backup, laying, notary, origins, proving, restore, signing, trail
from dlp.service.desk import Desk
from dlp.service.keys import deployment_key, new_id
from dlp.service.places import open_vault
from dlp.service.proving import Given
from dlp.store import Job
from dlp.store.sqlite import KEY_FILE, SqliteStore
from dlp.vault import read_identity
from sites import Place, lay

PICTURES = {f"扫描件{n}.png": b"\x89PNG\r\n\x1a\n" + bytes(500 + n) for n in range(3)}
"""Nobody can read them, so they are held."""
BACKUP = '[backup]\nrecipients = ["officer.key.pub"]\nfolder = "backups"\n'
STRACE = shutil.which("strace")


def site_at(root: Path, *, extra: str = "") -> Place:
    """Make a site with a pair of keys for backups."""
    root.mkdir(exist_ok=True)
    site = lay(root, sections=(BACKUP + extra,))
    backup.new_pair(root / "officer.key")
    return site


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a site with three held files, as the gate leaves it, and a backup of it."""
    root = tmp_path_factory.mktemp("template") / "site"
    site = site_at(root)
    settled = settings(site)
    with Desk.prepare(settled) as desk:
        deployment_key(site.state)
        origins.begin(settled, desk.store)
        desk.store.note(actor="gate", kind="started", job="", body={"packs": "sha256:0"})
        for name, body in PICTURES.items():
            hold(desk, name, body)
        notary.sign(settled, desk.store)
        backup.create(desk.acting, root / "one.dlpbackup", file=site.config)
    return root


def hold(desk: Desk, name: str, body: bytes) -> Job:
    """Take a file into the vault and the books, held."""
    own = new_id(time.time())
    source = durable.memory_file(name)
    durable.write_all(source, body)
    vault = open_vault(desk.config)
    sealed = vault.take(durable.freeze(source), own, keep=1 << 20)
    vault.close_to_public(own, sealed.body)
    for fd in (source, sealed.body):
        if fd is not None:
            os.close(fd)
    about = sealed.sealed
    item = Item(id=own, source="folder:外发", path=name, name=name, size=about.size, sha256=about.sha256)
    job = Job(id=own, item=item, state=State.HELD, sealed=about, created=time.time(), updated=time.time())
    return desk.store.add(job, actor="gate", kind="held", body={"state": "held"})


def start(site: Place) -> int:
    """Begin as the gate does when it starts; return how many files are held."""
    with Desk.prepare(settings(site)) as desk:
        origins.begin(settings(site), desk.store)
        desk.store.note(actor="gate", kind="started", job="", body={})
        vault = open_vault(desk.config)
        held = desk.store.jobs((State.HELD,))
        for job in held:
            os.close(vault.open(job.id, job.item.sha256))
        return len(held)


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Place:
    """Give a copy of that site."""
    shutil.copytree(template, tmp_path / "site")
    return Place.at(tmp_path / "site")


def settings(site: Place) -> Config:
    """Return the configuration of a site."""
    return config.read(site.config)


def head(site: Place) -> tuple[int, str]:
    """Return the end of the trail."""
    store = SqliteStore.open(site.state / "gate.db", create=False)
    try:
        return store.head()
    finally:
        store.close()


def given(root: Path) -> Given:
    """Return what the officer brings along."""
    return Given(read_identity(root / "officer.key"))


def test_create_wipe_restore_gives_the_same_head_and_every_held_file(tmp_path: Path) -> None:
    """The drill of SR-67: the machine is gone, the backup and its key are not."""
    site = site_at(tmp_path / "site")
    for name, body in PICTURES.items():
        site.put(name, body)
    site.run("run", "--once", timeout=300)
    site.run("backup", "create", "--out", "one.dlpbackup")
    saved = shutil.copy(site.root / "one.dlpbackup", tmp_path / "one.dlpbackup")
    key = shutil.copy2(site.root / "officer.key", tmp_path / "officer.key")
    before, held = head(site), {row["id"]: row["sha256"] for row in site.json("quarantine", "list")}
    shutil.rmtree(site.root)
    new = tmp_path / "新机器"
    elsewhere = Place.at(tmp_path)
    (tmp_path / "config.toml").write_text("", encoding="utf-8")
    (row,) = elsewhere.json("backup", "restore", str(saved), "--identity", str(key), "--into", str(new))
    assert (row["seq"], row["head"]) == before
    assert (row["absent_here"], row["missing"], row["vanished"]) == ([], [], [])
    restored = Place.at(new)
    assert head(restored) == before
    (seen,) = restored.json("audit", "verify")
    assert (seen["ok"], seen["head"], seen["count"]) == (True, before[1], before[0])
    with Desk.open(settings(restored)) as desk:
        for own, sha256 in held.items():
            os.close(open_vault(desk.config).open(own, sha256))
    restored.run("run", "--once", timeout=300)
    for own in held:
        restored.run("quarantine", "release", own, "--reason", "已核")
    assert restored.files(restored.released) == sorted(PICTURES)
    (seen,) = restored.json("audit", "verify")
    assert seen["ok"]
    assert len(seen["keyed"]) == 2
    (event,) = [one for one in restored.json("audit", "list", "--kind", KEYED) if one["body"].get("reason")]
    assert event["body"]["reason"] == "restored"
    assert (event["body"]["seq"], event["body"]["head"], event["prev"]) == (*before, before[1])


def restore_vault(desk: Desk) -> Any:
    """Return the vault of a desk."""
    from dlp.service.places import open_vault

    return open_vault(desk.config)


def test_no_key_is_in_a_backup_in_the_plain_and_the_audit_key_not_at_all(site: Place) -> None:
    """Whoever opens the outer seal finds no private key; whoever opens the inner one finds no key of the trail."""
    officer = read_identity(site.root / "officer.key")
    raw = (site.root / "one.dlpbackup").read_bytes()
    private = {
        name: (site.root / where).read_bytes()
        for name, where in {
            "identity.age-key": "vault/identity.age-key",
            "work.age-key": "vault/work.age-key",
            "certificate.key": "state/certificate.key",
            "findings.key": "state/findings.key",
        }.items()
    }
    with Path(site.root / "plain.tar").open("wb") as out:
        out.write(pyrage.decrypt(raw, [officer]))
    inner = (site.root / "plain.tar").read_bytes()
    for secret in (*private.values(), (site.state / KEY_FILE).read_bytes()):
        assert secret.strip() not in raw
        assert secret.strip() not in inner
    with tarfile.open(site.root / "plain.tar") as tar:  # any tar reads it
        names = tar.getnames()
        sealed = tar.extractfile(bundle.KEYS)
        assert sealed is not None
        assert bundle.unlock_secrets(sealed.read(), officer) == private
    assert not [name for name in names if "audit.key" in name]
    assert sum(name.startswith(bundle.OBJECT) for name in names) == 3


def test_without_keys_they_are_named_as_missing(site: Place, tmp_path: Path) -> None:
    """They are not in it; a restore says which, the gate does not start, and does once they are put back."""
    place = site.root / "two.dlpbackup"
    (made,) = site.json("backup", "create", "--out", str(place), "--without-keys")
    assert made["secrets"] == []
    assert "work.age-key" in made["absent"]
    done = restore.restore_into(place, given(site.root), tmp_path / "new")
    names = {Path(path).name for path in done.absent}
    assert names == {"identity.age-key", "work.age-key", "certificate.key", "findings.key"}
    fresh = Place.at(tmp_path / "new")
    with pytest.raises(VaultError, match=r"work\.age-key"):
        start(fresh)
    for name in ("identity.age-key", "work.age-key"):
        shutil.copy2(site.vault / name, fresh.vault / name)
    assert start(fresh) == 3


def test_nobody_to_seal_it_to_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """A backup that anybody could read is not made."""
    (tmp_path / "site").mkdir()
    site = lay(tmp_path / "site")
    start(site)
    told = site.run("backup", "create", "--out", str(site.root / "x"), check=2)
    assert "[backup] recipients" in told.stderr
    assert "keygen" in told.stderr
    assert not (site.root / "x").exists()


def test_places_where_no_backup_goes(site: Place) -> None:
    """A watched folder would feed it to the gate; no file is written over; a folder has to be there."""
    with Desk.open(settings(site)) as desk:
        for wrong in (
            site.outbox,
            site.outbox / "x",
            site.released,
            site.root / "one.dlpbackup",
            site.root / "无" / "x",
        ):
            with pytest.raises(UsageError):
                backup.create(desk.acting, wrong, file=site.config)
    assert head(site) == head(site)
    assert not [name for name in site.files(site.root) if name.endswith(".part")]


def test_a_disk_that_cannot_be_written_is_told_in_the_trail(site: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trail told that a backup begins; it tells that none was made. Nothing is left."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with Desk.open(settings(site)) as desk, pytest.raises(StoreError, match="No space"):
        backup.create(desk.acting, site.root / "x", file=site.config)
    monkeypatch.undo()
    assert site.json("audit", "list", "--kind", "backup-failed")[0]["body"]["why"] == "No space left on device"
    assert not (site.root / "x").exists()
    assert not list(site.root.glob(".wenyin-gate-*"))
    assert not (site.state / backup.SNAPSHOT).exists()


def test_verify_names_what_is_wrong(site: Place) -> None:
    """Another key, a flipped byte anywhere, a cut, a stranger's signature: each is refused."""
    path, officer = site.root / "one.dlpbackup", site.root / "officer.key"
    (seen,) = site.json("backup", "verify", str(path), "--identity", str(officer))
    assert (seen["ok"], seen["known"]) == (True, True)
    raw = path.read_bytes()
    bad = site.root / "bad.dlpbackup"
    for at in (300, len(raw) // 3, len(raw) // 2, len(raw) - 10):
        bad.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(StoreError, match="cannot be opened"):
            proving.verify(bad, given(site.root))
    for cut in (0, 100, len(raw) // 2, len(raw) - 1):
        bad.write_bytes(raw[:cut])
        with pytest.raises(StoreError):
            proving.verify(bad, given(site.root))
    with pytest.raises(StoreError, match="cannot be opened"):
        proving.verify(path, Given(x25519.Identity.generate()))
    with pytest.raises(StoreError, match="not known here"):
        proving.verify(path, Given(read_identity(officer), (bytes(32),)))
    told = site.run("backup", "verify", str(bad), "--identity", str(officer), check=5)
    assert "bad.dlpbackup" in told.stderr


def forged(site: Place, path: Path, change: Any) -> Path:
    """Return a backup sealed to the officer, whose members went through `change`; signed anew with the site's key."""
    with _opened(site, path) as tar:
        members = {one.name: _content(tar, one) for one in tar.getmembers()}
    manifest = bundle.read(members.pop(bundle.MANIFEST))
    key = signing.signing_key(site.state)
    members = change(members)

    def seal(told: tuple[Member, ...]) -> bytes:
        made = msgspec.structs.replace(manifest, members=told)
        return bundle.write(bundle.sign(made, key))

    out = site.root / "forged.dlpbackup"
    parts = (Part(name, len(raw), (raw,)) for name, raw in members.items())
    with out.open("wb") as file:
        bundle.seal(bundle.pack(parts, seal), file, [read_identity(site.root / "officer.key").to_public()])
    return out


def _opened(site: Place, path: Path) -> tarfile.TarFile:
    plain = site.root / "plain.tar"
    plain.write_bytes(pyrage.decrypt(path.read_bytes(), [read_identity(site.root / "officer.key")]))
    return tarfile.open(plain)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def test_books_that_were_changed_are_no_backup_even_signed(site: Place) -> None:
    """An event that was edited, a trail that was cut, books that are damaged: what is signed is held against them."""

    def edited(sql: str) -> Any:
        def change(members: dict[str, bytes]) -> dict[str, bytes]:
            scratch = site.root / "scratch.db"
            scratch.write_bytes(members[bundle.BOOKS])
            db = sqlite3.connect(scratch)
            for trigger in ("event_is_never_updated", "event_is_never_deleted"):
                db.execute(f"DROP TRIGGER {trigger}")
            db.execute(sql)
            db.commit()
            db.close()
            return {**members, bundle.BOOKS: scratch.read_bytes()}

        return change

    path = site.root / "one.dlpbackup"
    with pytest.raises(StoreError, match="event 2 was changed"):
        proving.verify(forged(site, path, edited("UPDATE event SET actor = 'x' WHERE seq = 2")), given(site.root))
    cut = "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)"
    with pytest.raises(StoreError, match="does not end where"):
        proving.verify(forged(site, path, edited(cut)), given(site.root))

    def torn(members: dict[str, bytes]) -> dict[str, bytes]:
        raw = members[bundle.BOOKS]
        return {**members, bundle.BOOKS: raw[:4096] + bytes(4096) + raw[8192:]}

    with pytest.raises(StoreError):
        proving.verify(forged(site, path, torn), given(site.root))

    def none(members: dict[str, bytes]) -> dict[str, bytes]:
        return {name: raw for name, raw in members.items() if name != bundle.BOOKS}

    with pytest.raises(StoreError, match="no books"):
        proving.verify(forged(site, path, none), given(site.root))
    with pytest.raises(StoreError):
        restore.restore_into(forged(site, path, none), given(site.root), site.root / "new")
    assert not (site.root / "new").exists()
    assert not list(site.root.glob(".new*"))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "vault/../../x", "a/b/c", "X", "vault/.x", ""])
def test_a_member_that_wants_to_be_elsewhere_is_refused(name: str) -> None:
    """Names are those of the program; nothing of a backup is ever a path."""
    with pytest.raises(ValueError, match="no name"):
        list(bundle.pack((Part(name, 0, ()),), lambda _: b""))
    about = tarfile.TarInfo(name or "./")
    taker = bundle.Unpacker(proving._Looking(Path("/nonexistent")))
    with pytest.raises(OSError, match="refused"):
        taker.write(about.tobuf())
    assert isinstance(taker.error, ValueError)


def test_links_and_what_follows_the_end_are_refused() -> None:
    """A tar of this program has plain files and ends once."""
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE):
        about = tarfile.TarInfo("config.toml")
        about.type = kind
        taker = bundle.Unpacker(proving._Looking(Path("/nonexistent")))
        with pytest.raises(OSError, match="refused"):
            taker.write(about.tobuf())
    taker = bundle.Unpacker(proving._Looking(Path("/nonexistent")))
    taker.write(bytes(1024))
    with pytest.raises(OSError, match="refused"):
        taker.write(tarfile.TarInfo("config.toml").tobuf())
    with pytest.raises(ValueError, match="cut off"):
        taker.finish()


def test_a_title_of_a_pack_never_leaves_its_folder(site: Place) -> None:
    """Titles are names of files, whatever somebody wrote there."""
    where = laying.place_of(settings(site), "packs-0/0", {"packs-0/0": "../../etc/passwd"}, "N")
    assert where == site.state / "packs-0.backup-N" / "passwd"


def test_packs_words_and_paths_from_elsewhere_land_inside(site: Place, tmp_path: Path) -> None:
    """What the configuration names outside its folder gets a place inside the new one, and the gate runs there."""
    packs = tmp_path / "包"
    shutil.copytree(config.shipped_packs(), packs)
    (tmp_path / "words.txt").write_text("文印闸 5\n", encoding="utf-8")
    text = site.config.read_text(encoding="utf-8")
    text += f'[packs]\nfolders = ["{packs}"]\nwords = ["{tmp_path}/words.txt"]\n'
    site.config.write_text(text, encoding="utf-8")
    place = site.root / "two.dlpbackup"
    site.run("backup", "create", "--out", str(place))
    done = restore.restore_into(place, given(site.root), tmp_path / "new")
    assert done.absent == ()
    fresh = Place.at(tmp_path / "new")
    shutil.rmtree(packs)
    (tmp_path / "words.txt").unlink()
    settled = settings(fresh)
    assert settled.packs.folders == (fresh.root / "packs-0",)
    assert settled.packs.words[0].read_text(encoding="utf-8") == "文印闸 5\n"
    assert start(fresh) == 3


def test_into_a_folder_with_something_in_it_is_refused(site: Place, tmp_path: Path) -> None:
    """Nothing is written over, and nothing is left beside."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="something"):
        restore.restore_into(site.root / "one.dlpbackup", given(site.root), tmp_path / "full")
    (tmp_path / "empty").mkdir()
    restore.restore_into(site.root / "one.dlpbackup", given(site.root), tmp_path / "empty")
    assert (tmp_path / "empty" / "state" / "gate.db").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_nothing_is_written_after_a_restore_before_a_new_key_begins(site: Place, tmp_path: Path) -> None:
    """The old state of the key is not there to be used again; the new one has another chain."""
    restore.restore_into(site.root / "one.dlpbackup", given(site.root), tmp_path / "new")
    settled = settings(Place.at(tmp_path / "new"))
    with Desk.open(settled) as desk:
        with pytest.raises(StoreError, match="key is gone") as refused:
            desk.store.note(actor="x", kind="x", job="", body={})
        assert refused.value.hint is not None
        assert "after a restore" in refused.value.hint.en
        chain = origins.begin(settled, desk.store)
        assert chain is not None
        old = origins.kept(site.state / "audit.origin")[-1]
        assert chain.chain != old.chain
        assert origins.begin(settled, desk.store) is None
        desk.store.note(actor="x", kind="x", job="", body={})
        assert trail.verify(settled, desk.store).holds
        assert not (settled.store.path.parent / origins.RESTORED).exists()


def test_a_crash_after_the_new_key_began_begins_no_other(site: Place, tmp_path: Path) -> None:
    """The note of the restore is dropped after the event; left there by a crash, it does nothing twice."""
    restore.restore_into(site.root / "one.dlpbackup", given(site.root), tmp_path / "new")
    settled = settings(Place.at(tmp_path / "new"))
    note = settled.store.path.parent / origins.RESTORED
    text = note.read_bytes()
    with Desk.open(settled) as desk:
        origins.begin(settled, desk.store)
        note.write_bytes(text)
        seq = desk.store.head()
        assert origins.begin(settled, desk.store) is None
        assert desk.store.head() == seq
    assert not note.exists()


# over a living site


FIRST = {"system": "sys:系统员:s1", "security": "sec:保密管理:s2", "auditor": "aud:审计员:s3"}
PASSWORD = "Correct-Horse-7"


class People_:  # noqa: N801
    """The three administrators of a site, each with a session file of his own."""

    def __init__(self, site: Place) -> None:
        self.site = site
        args = [word for role, value in FIRST.items() for word in (f"--{role}", value)]
        for row in site.json("people", "begin", *args):
            account, given = row["account"], row["password"]
            new = site.root / f"{account}.pw"
            old = site.root / f"{account}.old"
            old.write_text(given, encoding="utf-8")
            new.write_text(PASSWORD, encoding="utf-8")
            site.run("passwd", account, "--password-file", str(old), "--new-file", str(new))

    def run(self, account: str, *args: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command as somebody."""
        os.environ["DLP_SESSION"] = str(self.site.root / f"{account}.session")
        try:
            if not (self.site.root / f"{account}.session").exists():
                self.site.run("login", account, "--password-file", str(self.site.root / f"{account}.pw"))
            return self.site.run(*args, check=check)
        finally:
            del os.environ["DLP_SESSION"]

    def json(self, account: str, *args: str) -> dict[str, Any]:
        """Run a command as somebody, and read its one line."""
        return msgspec.json.decode(self.run(account, *args, "--json").stdout)  # type: ignore[no-any-return]


@pytest.fixture
def people(site: Place) -> People_:
    """Give the administrators of a site."""
    return People_(site)


def test_over_a_living_site_it_takes_two_and_the_older_one_is_named(site: Place, people: People_) -> None:
    """An older backup is refused with both heads; with a reason and a second person it is done, and told."""
    key, path = str(site.root / "officer.key"), site.root / "now.dlpbackup"
    people.run("sys", "backup", "create", "--out", str(path))
    old = (people.json("sys", "backup", "verify", str(path), "--identity", key)["seq"], "")
    with Desk.prepare(settings(site)) as desk:
        hold(desk, "后来.png", bytes(900))
    now = head(site)
    words = ("backup", "restore", str(path), "--here", "--identity", key)
    told = people.run("sys", *words, check=9)
    manifest = proving.verify(path, given(site.root)).manifest
    for word in (manifest.head, str(manifest.seq), head_before(site, told)):
        assert word in told.stderr
    assert head(site) == now
    assert len(list((site.vault / "q").glob("*.age"))) == len(PICTURES) + 1
    people.run("aud", *words, "--older", "--reason", "演练", check=9)
    people.run("sys", *words, "--older", check=2)
    asked = people.json("sys", *words, "--older", "--reason", "演练")
    people.run("sys", *words, "--change", asked["id"], check=9)  # nobody confirmed it
    people.run("sys", "people", "confirm", asked["id"], check=9)  # not the same person
    people.run("sec", "people", "confirm", asked["id"])
    other = site.root / "one.dlpbackup"
    people.run("sys", "backup", "restore", str(other), "--here", "--identity", key, "--change", asked["id"], check=9)
    row = people.json("sys", *words, "--change", asked["id"])
    assert row["seq"] == old[0]
    assert head(site) == (manifest.seq, manifest.head)
    assert not list(site.root.rglob(".restoring"))
    kept = {Path(one).name.split(".before-")[0] for one in row["kept"]}
    assert {"gate.db", "audit.key", "q"} <= kept
    assert any(now[0] <= end for end in [len(list(_events(Path(one)))) for one in row["kept"] if "gate.db" in one])
    start(site)
    store = SqliteStore.open(site.state / "gate.db", create=False)
    event = [one for one in store.events() if one.kind == KEYED][-1]
    store.close()
    assert event.body["lost"].startswith(f"{manifest.seq + 1}-")
    assert event.body["why"] == "演练"
    assert (event.body["by"], event.body["second"]) == ("sys", "sec")
    assert trail_holds(site)


def head_before(site: Place, told: subprocess.CompletedProcess[str]) -> str:
    """Return the head of the living trail as the refusal named it; it is one that the trail has."""
    found = re.findall("[0-9a-f]{64}", told.stderr)
    store = SqliteStore.open(site.state / "gate.db", create=False)
    hashes = {event.hash for event in store.events()}
    store.close()
    assert set(found) <= hashes
    assert len(set(found)) == 2
    return found[1]


def _events(path: Path) -> Iterator[int]:
    db = sqlite3.connect(path)
    try:
        yield from (row[0] for row in db.execute("SELECT seq FROM event"))
    finally:
        db.close()


def trail_holds(site: Place) -> bool:
    """Tell whether the trail of a site holds."""
    store = SqliteStore.open(site.state / "gate.db", create=False)
    try:
        seen = trail.verify(settings(site), store)
        assert seen.holds, [fault.say.en for fault in seen.faults]
        return seen.report.sealed > 0
    finally:
        store.close()


def test_without_accounts_nobody_restores_over_a_site(site: Place) -> None:
    """It takes two persons, and there is nobody yet."""
    words = ("backup", "restore", str(site.root / "one.dlpbackup"), "--here", "--identity")
    before = head(site)
    site.run(*words, str(site.root / "officer.key"), check=9)
    site.run(*words, str(site.root / "officer.key"), "--change", "X", check=9)
    assert head(site) == before


def test_here_where_the_books_are_gone(site: Place) -> None:
    """The disk of the state was lost: the backup goes to the places that the configuration names."""
    before = head(site)
    shutil.rmtree(site.state)
    site.run(
        "backup", "restore", str(site.root / "one.dlpbackup"), "--here", "--identity", str(site.root / "officer.key")
    )
    assert head(site) == before
    assert start(site) == 3
    assert trail_holds(site)


@pytest.mark.parametrize("way", ["into", "here"])
def test_a_backup_of_an_earlier_form_of_the_books_is_brought_up(site: Place, way: str) -> None:
    """What the version before wrote verifies, and is restored as the form of today: same head, same files, no more."""

    def third(members: dict[str, bytes]) -> dict[str, bytes]:
        scratch = site.root / "scratch.db"
        scratch.write_bytes(members[bundle.BOOKS])
        db = sqlite3.connect(scratch)
        db.executescript("DROP INDEX job_on_its_way_back; ALTER TABLE job DROP COLUMN place; PRAGMA user_version = 3;")
        db.close()
        raw = scratch.read_bytes()
        scratch.unlink()
        return {**members, bundle.BOOKS: raw}

    path = forged(site, site.root / "one.dlpbackup", third)
    made = proving.verify(path, given(site.root)).manifest
    target = site
    if way == "into":
        target = Place.at(site.root / "new")
        restore.restore_into(path, given(site.root), target.root)
    else:
        shutil.rmtree(site.state)
        site.state.mkdir(mode=0o700)
        restore.restore_here(settings(site), path, given(site.root))
    assert SqliteStore.is_current(target.state / "gate.db")
    assert head(target) == (made.seq, made.head)
    assert start(target) == 3
    assert trail_holds(target)
    assert not list(target.root.rglob(".restoring"))


def test_a_running_gate_keeps_its_site(site: Place) -> None:
    """The gate holds the books: a restore over them waits until it stands still."""
    shutil.copytree(site.root, site.root.with_name("other"))
    with SqliteStore.hold_exclusive(site.state / "gate.db"), pytest.raises(StoreError, match="another gate"):
        restore.restore_here(settings(site), site.root / "one.dlpbackup", given(site.root))


def test_who_has_the_old_books_open_writes_to_them_no_more(site: Place) -> None:
    """A desk that was open while the books were exchanged is refused: nothing is written where nobody reads it."""
    desk = Desk.open(settings(site))
    moved = site.state.with_name("gone")
    for name in ("gate.db", KEY_FILE):
        moved.mkdir(exist_ok=True)
        (site.state / name).rename(moved / name)
    restore.restore_here(settings(site), site.root / "one.dlpbackup", given(site.root))
    with pytest.raises(StoreError):
        desk.store.note(actor="x", kind="x", job="", body={})
    desk.close()


# while the gate runs


def test_a_backup_while_jobs_come_and_go(site: Place, tmp_path: Path) -> None:
    """The books are of one moment; each file that they need is there, or is told to have ended meanwhile."""
    over = threading.Event()

    def work() -> None:
        with Desk.open(settings(site)) as desk:
            for n in range(2_000):
                if over.is_set():
                    return
                job = hold(desk, f"{n}.png", bytes(2_000 + n))
                if n % 2:
                    desk.reject(job.id, reason="不予放行")
                    (site.vault / "q" / f"{job.id}.age").unlink()

    gate = threading.Thread(target=work)
    gate.start()
    try:
        with Desk.open(settings(site)) as desk:
            for n in range(5):
                manifest = backup.create(desk.acting, tmp_path / f"{n}.dlpbackup", file=site.config).manifest
                assert manifest.missing == ()
    finally:
        over.set()
        gate.join(60)
    for n in (0, 4):
        done = restore.restore_into(tmp_path / f"{n}.dlpbackup", given(site.root), tmp_path / f"new{n}")
        fresh = Place.at(tmp_path / f"new{n}")
        with Desk.open(settings(fresh)) as desk:
            held = desk.store.jobs((State.HELD,))
            for job in held:
                if job.id not in done.verified.manifest.vanished:
                    os.close(open_vault(desk.config).open(job.id, job.item.sha256))
        assert len(held) >= 3
        assert trail_holds(fresh)


def test_a_file_that_ended_meanwhile_is_told_and_one_that_is_missing_too(site: Place, tmp_path: Path) -> None:
    """A job that was rejected and erased between the books and its file is no error; one without a file is named."""
    with Desk.open(settings(site)) as desk:
        first, second, _ = desk.store.jobs((State.HELD,))
        plain = backup._Packing._parts

        def meanwhile(self: backup._Packing) -> Iterator[Part]:
            desk.reject(first.id, reason="不予放行")
            (site.vault / "q" / f"{first.id}.age").unlink()
            yield from plain(self)

        (site.vault / "q" / f"{second.id}.age").unlink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backup._Packing, "_parts", meanwhile)
            made = backup.create(desk.acting, tmp_path / "x", file=site.config).manifest
    assert made.vanished == (first.id,)
    assert made.missing == (second.id,)
    assert proving.verify(tmp_path / "x", given(site.root)).manifest == made


# kill -9


CALLS = "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,pwrite64,mkdir"


def traced(site: Place, args: list[str], *inject: str) -> subprocess.CompletedProcess[str]:
    """Run `dlp ARGS` under strace."""
    line = [STRACE or "strace", "-f", "-o", str(site.root.parent / "trace"), "-e", f"trace={CALLS}", *inject]
    return subprocess.run(
        [*line, sys.executable, "-m", "dlp", *args],
        cwd=site.root,
        env={**os.environ, "DLP_CONFIG": str(site.config), "TMPDIR": str(site.root.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def steps(site: Place) -> list[tuple[str, int]]:
    """Return each call of the last run with its number among those of its name."""
    counts: dict[str, int] = {}
    found = []
    for line in (site.root.parent / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
        if match := re.match(r"\d+\s+([a-z0-9_]+)\(", line):
            name = match[1]
            counts[name] = counts.get(name, 0) + 1
            found.append((name, counts[name]))
    return found


def every(found: list[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """Return about so many of the steps, spread over all of them, and the last ones, where everything is decided."""
    stride = max(1, -(-len(found) // most))
    return [step for n, step in enumerate(found) if n % stride == 0 or n >= len(found) - 3]


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_kill_at_every_step_of_a_backup(template: Path, tmp_path: Path) -> None:
    """There is a whole backup or none, the site goes on, and the next backup is made and leaves nothing of this one."""
    origin = Place.at(tmp_path / "0" / "site")
    shutil.copytree(template, origin.root)
    assert traced(origin, ["backup", "create", "--out", "new.dlpbackup"]).returncode == 0
    for number, (call, n) in enumerate(every(steps(origin), 60), 1):
        site = Place.at(tmp_path / str(number) / "site")
        shutil.copytree(template, site.root)
        done = traced(site, ["backup", "create", "--out", "new.dlpbackup"], "-e", f"inject={call}:signal=KILL:when={n}")
        assert done.returncode != 0, (call, n)
        if (site.root / "new.dlpbackup").exists():
            proving.verify(site.root / "new.dlpbackup", given(site.root))
            (site.root / "new.dlpbackup").unlink()
        assert trail_holds(site), (call, n)
        site.run("backup", "create", "--out", "new.dlpbackup")
        left = [name for name in site.files(site.root) if name.endswith(".part") or "backup.tmp" in name]
        assert not left, (call, n)
        shutil.rmtree(tmp_path / str(number))


@pytest.mark.long
@pytest.mark.timeout(2_400)
@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("way", ["into", "here"])
def test_kill_at_every_step_of_a_restore(template: Path, tmp_path: Path, way: str) -> None:
    """The old state is there, or the new one; never half of each. Done once more, it is the new one."""
    key = "officer.key"
    words = ["backup", "restore", "one.dlpbackup", "--identity", key]
    words += ["--into", "new"] if way == "into" else ["--here"]
    laid = tmp_path / "laid" / "site"
    shutil.copytree(template, laid)
    before = head(Place.at(laid))
    if way == "here":  # the books were lost, and the rest of the site was not
        for name in ("gate.db", KEY_FILE):
            (laid / "state" / name).unlink()
    origin = Place.at(tmp_path / "0" / "site")
    shutil.copytree(laid, origin.root)
    assert traced(origin, words).returncode == 0
    ends = set()
    for number, (call, n) in enumerate(every(steps(origin), 60), 1):
        site = Place.at(tmp_path / str(number) / "site")
        shutil.copytree(laid, site.root)
        done = traced(site, words, "-e", f"inject={call}:signal=KILL:when={n}")
        assert done.returncode != 0, (call, n)
        target = Place.at(site.root / "new") if way == "into" else site
        if way == "here" and restore.is_pending(settings(site)):
            restore.finish(settings(site))
        there = (target.state / "gate.db").exists()
        ends.add(there)
        if there:
            assert head(target) == before, (call, n)
            assert len(list((target.vault / "q").glob("*.age"))) == 3, (call, n)
        else:
            site.run(*words)
            assert head(target) == before, (call, n)
        assert start(target) == 3, (call, n)
        assert trail_holds(target), (call, n)
        shutil.rmtree(tmp_path / str(number))
    assert ends == {True, False}
