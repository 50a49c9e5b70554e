"""The audit trail as a whole: whatever is done to books, keys, checkpoints and origins, what is told and where."""

# ruff: noqa: S608  the statements are made here
from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import docx
import numpy as np
import pytest
from pyrage import x25519

import sites
from codes import codes
from dlp import audit, checkpoint, config, origin, ratchet, siem
from dlp.audit import GENESIS, KEYED, Wrong
from dlp.config import Config
from dlp.errors import Denied, StoreError, UsageError
from dlp.model import Action, Item, Level, State, Verdict, evolve
from dlp.service import notary, origins, trail
from dlp.service.desk import Desk
from dlp.service.notary import Notary
from dlp.service.trail import Evidence
from dlp.store import EventFilter, Job
from dlp.store.sqlite import KEY_FILE, SqliteStore
from sites import Place
from test_line import CONTRACT, MARKED

EVENTS = 33
"""Events of the trail that is harmed: a first key, notes, and checkpoints at 10, 20 and 30."""
OTHER = bytes(32)


class Laid(NamedTuple):
    """A site on disk, and what was carried away from it."""

    root: Path
    config: Config

    @classmethod
    def at(cls, root: Path) -> Laid:
        """Return the site at `root`."""
        text = '[vault]\nfolder = "vault"\n[store]\npath = "state/gate.db"\n[audit]\nsyslog = ""\n'
        text += 'recipients = ["officer.pub"]\n'
        return cls(root, config.parse(text, file="x", base=root))

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.root / "state"

    @property
    def books(self) -> Path:
        """The database."""
        return self.state / "gate.db"

    @property
    def key(self) -> Path:
        """The key that moves on."""
        return self.state / KEY_FILE

    @property
    def points(self) -> Path:
        """The file of checkpoints."""
        return self.state / "checkpoints.jsonl"

    def open(self) -> SqliteStore:
        """Open the books."""
        return SqliteStore.open(self.books, create=False)

    def verify(self, eyes: str = "officer") -> trail.Verification:
        """Verify: `blind` with what the machine has, `officer` with the private key, `kept` with all that was kept."""
        kept = self.root / "kept"
        given = {
            "blind": Evidence(),
            "officer": Evidence(identity=self.root / "officer.key"),
            "kept": Evidence(
                origin=kept / "audit.origin",
                identity=self.root / "officer.key",
                checkpoints=kept / "checkpoints.jsonl",
                key=kept / "certificate.pub",
            ),
        }[eyes]
        store = self.open()
        try:
            return trail.verify(self.config, store, given)
        finally:
            store.close()

    def told(self, eyes: str = "officer") -> list[tuple[str, int]]:
        """Return what a verification says is wrong, and at which event."""
        return [(fault.wrong.value, fault.at) for fault in self.verify(eyes).faults]

    def sql(self, *statements: str) -> None:
        """Change the books behind everybody's back."""
        db = sqlite3.connect(self.books, isolation_level=None)
        for trigger in ("event_is_never_updated", "event_is_never_deleted"):
            db.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement in statements:
            db.execute(statement)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()


def lay(root: Path, *, name: str = "甲") -> Laid:
    """Make a site with a trail of EVENTS events and three checkpoints, all of it copied away at the end."""
    root.mkdir()
    person = x25519.Identity.generate()
    (root / "officer.pub").write_text(f"# officer\n{person.to_public()}\n")
    (root / "officer.key").write_text(f"# created: today\n{person}\n")
    (root / "officer.key").chmod(0o600)
    site = Laid.at(root)
    store = SqliteStore.open(site.books, create=True)
    assert origins.begin(site.config, store) is not None
    for seq in range(2, EVENTS + 1):
        if seq in (11, 21, 31):
            notary.sign(site.config, store)
            continue
        store.note(actor=f"{name}{seq % 3}", kind="released", job=f"JOB{seq}", body={"n": seq, "reason": "可以"})
    store.close()
    shutil.copytree(site.state, root / "kept")
    return site


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the site that each test gets a copy of, and one of somebody else beside it."""
    root = tmp_path_factory.mktemp("trail")
    lay(root / "own")
    lay(root / "other", name="乙")
    return root


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Laid:
    """Give a copy of the site."""
    shutil.copytree(template / "own", tmp_path / "own")
    return Laid.at(tmp_path / "own")


def rehash(site: Laid, start: int, *, secret: bytes | None = None, strip: bool = False) -> None:
    """Hash every event from `start` on anew, and seal it with a key at hand, as one who owns the machine could."""
    db = sqlite3.connect(site.books, isolation_level=None)
    rows = db.execute(
        "SELECT seq, at, actor, kind, job, body FROM event WHERE seq >= ? ORDER BY seq", (start,)
    ).fetchall()
    before = db.execute("SELECT hash FROM event WHERE seq < ? ORDER BY seq DESC LIMIT 1", (start,)).fetchone()
    prev = before[0] if before else GENESIS
    key = ratchet.Key(start, secret or bytes(32))
    for seq, at, actor, kind, job, body in rows:
        own = audit.link(seq=seq, at=at, actor=actor, kind=kind, job=job, body=body, prev=prev)
        db.execute("UPDATE event SET prev = ?, hash = ? WHERE seq = ?", (prev, own, seq))
        if secret:
            db.execute("UPDATE event SET mac = ? WHERE seq = ?", (ratchet.seal(key.secret, own), seq))
            key = ratchet.moved(key, seq + 1)
        prev = own
    if strip:
        db.execute("UPDATE event SET mac = ''")
    db.close()


def test_an_untouched_trail_holds(site: Laid, template: Path) -> None:
    """Every event, every seal, every checkpoint, whoever looks; without the private key the seals are not looked at."""
    for eyes, sealed in (("blind", 0), ("officer", EVENTS), ("kept", EVENTS)):
        seen = site.verify(eyes)
        assert (seen.holds, seen.broken_at) == (True, None)
        assert (seen.report.count, seen.report.sealed, seen.report.keyed) == (EVENTS, sealed, (1,))
        assert [made.seq for made in seen.checkpoints] == [10, 20, 30]
        assert [made.number for made in seen.checkpoints] == [1, 2, 3]
    assert site.verify("blind").opened == 0
    assert Laid.at(template / "other").told() == []


FIELDS = {
    "at": "'2001-01-01T00:00:00.000+00:00'",
    "actor": "'贼'",
    "kind": "'seen'",
    "job": "'JOB1'",
    "body": "'{\"n\":99}'",
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seq", [2, 10, 15, EVENTS])
def test_a_changed_field_is_told(site: Laid, field: str, seq: int) -> None:
    """Who edits time, person, kind, job or body of an event is told at that event, without any key."""
    site.sql(f"UPDATE event SET {field} = {FIELDS[field]} WHERE seq = {seq}")
    for eyes in ("blind", "officer", "kept"):
        assert site.told(eyes) == [("changed", seq)]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("seq", [2, 15, EVENTS])
def test_a_changed_field_with_its_hash_made_new_is_told(site: Laid, field: str, seq: int) -> None:
    """Who hashes the edited event anew is told by its seal, at that event; without the key by the next event's link."""
    site.sql(f"UPDATE event SET {field} = {FIELDS[field]} WHERE seq = {seq}")
    db = sqlite3.connect(site.books)
    row = db.execute("SELECT seq, at, actor, kind, job, body, prev FROM event WHERE seq = ?", (seq,)).fetchone()
    names = ("seq", "at", "actor", "kind", "job", "body", "prev")
    site.sql(f"UPDATE event SET hash = '{audit.link(**dict(zip(names, row, strict=True)))}' WHERE seq = {seq}")
    db.close()
    assert site.told("officer") == site.told("kept") == [("forged", seq)]
    assert site.told("blind") == ([("unlinked", seq + 1)] if seq < EVENTS else [])


def swap(one: int, other: int) -> tuple[str, ...]:
    """Give the statements that put two events in each other's place."""
    return (
        f"UPDATE event SET seq = -1 WHERE seq = {one}",
        f"UPDATE event SET seq = {one} WHERE seq = {other}",
        f"UPDATE event SET seq = {other} WHERE seq = -1",
    )


COPY = "INSERT INTO event SELECT {new}, at, actor, kind, job, body, prev, hash, mac FROM event WHERE seq = {seq}"
MAKE_ROOM = ("UPDATE event SET seq = -seq - 1 WHERE seq >= 15", "UPDATE event SET seq = -seq WHERE seq < 0")
CLOSE_UP = ("UPDATE event SET seq = -seq + 1 WHERE seq > 15", "UPDATE event SET seq = -seq WHERE seq < 0")
IN_THE_BOOKS: dict[str, tuple[tuple[str, ...], tuple[str, int]]] = {
    "an event removed": (("DELETE FROM event WHERE seq = 15",), ("missing", 15)),
    "several events removed": (("DELETE FROM event WHERE seq BETWEEN 15 AND 19",), ("missing", 15)),
    "an event removed, the rest renumbered": (("DELETE FROM event WHERE seq = 15", *CLOSE_UP), ("unlinked", 15)),
    "the first event removed": (("DELETE FROM event WHERE seq = 1",), ("missing", 1)),
    "an event put in": ((*MAKE_ROOM, COPY.format(new=15, seq=7)), ("unlinked", 15)),
    "an event put in before the first": ((COPY.format(new=0, seq=7),), ("order", 1)),
    "an event appended": ((COPY.format(new=EVENTS + 1, seq=7),), ("unlinked", EVENTS + 1)),
    "two events swapped": (swap(15, 16), ("unlinked", 15)),
    "a seal changed": (("UPDATE event SET mac = hash WHERE seq = 15",), ("forged", 15)),
    "a seal removed": (("UPDATE event SET mac = '' WHERE seq = 15",), ("unsealed", 15)),
    "every seal removed": (("UPDATE event SET mac = ''",), ("unsealed", 1)),
    "a body written in another way": (("UPDATE event SET body = ' ' || body WHERE seq = 15",), ("changed", 15)),
    "a key of the body written twice": (
        ("""UPDATE event SET body = '{"n":1,' || substr(body, 2) WHERE seq = 15""",),
        ("changed", 15),
    ),
    "a body that is no JSON": (("UPDATE event SET body = '{' WHERE seq = 15",), ("changed", 15)),
    "a body deep as a well": (
        ("UPDATE event SET body = replace(hex(zeroblob(100000)), '00', '[') WHERE seq = 15",),
        ("changed", 15),
    ),
    "a number for a text": (("UPDATE event SET actor = 5 WHERE seq = 15",), ("changed", 15)),
    "bytes that are no text": (("UPDATE event SET actor = CAST(x'ff41' AS TEXT) WHERE seq = 15",), ("changed", 15)),
    "everything removed": (("DELETE FROM event",), ("cut", 1)),
    "the end cut off": (("DELETE FROM event WHERE seq > 31",), ("cut", 32)),
    "the last event cut off": ((f"DELETE FROM event WHERE seq = {EVENTS}",), ("cut", EVENTS)),
}


@pytest.mark.parametrize("harm", IN_THE_BOOKS)
def test_whatever_is_done_to_the_books_is_told(site: Laid, harm: str) -> None:
    """Each way of changing the rows is named, with the first event that is bad, and the exit code is 7."""
    statements, due = IN_THE_BOOKS[harm]
    site.sql(*statements)
    assert site.told("officer") == [due]
    assert site.told("kept") == [due]
    blind = site.told("blind")
    assert blind == ([] if harm == "a seal changed" else [due])


def older(site: Laid, *files: Path) -> Callable[[], None]:
    """Keep copies of files as they are now; return what puts them back after the site has gone on."""
    kept = {file: file.read_bytes() for file in files}
    store = site.open()
    for n in range(5):
        store.note(actor="甲", kind="released", job="", body={"n": n})
    notary.sign(site.config, store)
    store.close()
    for file in site.state.iterdir():
        if file.name in ("checkpoints.jsonl", "audit.origin"):
            shutil.copy(file, site.root / "kept" / file.name)

    def back() -> None:
        for extra in site.state.glob("gate.db-*"):
            extra.unlink()
        for file, raw in kept.items():
            file.write_bytes(raw)

    return back


def test_an_older_copy_of_the_books_is_told(site: Laid) -> None:
    """Books rolled back are behind their key, and behind the checkpoints: without any private key."""
    back = older(site, site.books)
    assert site.told() == []
    back()
    for eyes in ("blind", "officer", "kept"):
        assert site.told(eyes) == [("cut", EVENTS + 1)]


def test_an_older_copy_of_books_and_key_is_told_by_checkpoints(site: Laid) -> None:
    """Who rolls the key back too is told by the checkpoint file of the machine, and by the one that was kept."""
    back = older(site, site.books, site.key)
    back()
    for eyes in ("blind", "officer", "kept"):
        assert site.told(eyes) == [("cut", EVENTS + 1)]


def test_an_older_copy_of_everything_is_told_by_a_kept_checkpoint_only(site: Laid) -> None:
    """A whole state folder of last week holds in itself: a checkpoint that was carried away is what tells."""
    back = older(site, *site.state.iterdir())
    back()
    assert site.told("blind") == []
    assert site.told("officer") == []
    assert site.told("kept") == [("cut", EVENTS + 1)]


def test_a_tail_cut_with_a_key_made_up_is_told(site: Laid) -> None:
    """Who cuts the end and writes a key of the right number is told by whoever has the first key."""
    site.sql("DELETE FROM event WHERE seq > 31")
    with ratchet.Ratchet(site.key).held() as held:
        held.write(ratchet.Key(32, OTHER))
    assert site.told("blind") == []
    assert site.told("officer") == [("key", 32)]
    assert site.told("kept") == [("key", 32)]


def test_a_tail_cut_with_its_key_removed_is_told(site: Laid) -> None:
    """Who cuts the end and removes the key is told: a trail with seals has a key."""
    site.sql("DELETE FROM event WHERE seq > 31")
    site.key.unlink()
    assert site.told("blind") == site.told("officer") == [("key", 0)]


def test_a_chain_hashed_anew_is_told(site: Laid) -> None:
    """A change covered by hashing everything after it anew: by the seal at the event, or between two checkpoints."""
    site.sql("UPDATE event SET actor = '贼' WHERE seq = 15")
    rehash(site, 15)
    assert site.told("officer") == site.told("kept") == [("forged", 15)]
    assert site.told("blind") == [("rewritten", 11)]


def test_a_chain_hashed_and_sealed_anew_with_the_key_of_today_is_told(site: Laid) -> None:
    """Who took the machine has the key of the next event only: it makes no seal of an earlier one."""
    site.sql("UPDATE event SET actor = '贼' WHERE seq = 32")
    with ratchet.Ratchet(site.key).held() as held:
        key = held.read()
    assert key is not None
    rehash(site, 32, secret=key.secret)
    assert site.told("officer") == site.told("kept") == [("forged", 32)]
    assert site.told("blind") == []  # the last checkpoint is at 30: the machine by itself cannot know


def test_a_trail_made_anew_from_its_first_event_is_told(site: Laid) -> None:
    """Another first key, another origin, every seal made anew: whoever kept the origin or a checkpoint is told."""
    person = x25519.Identity.from_str((site.root / "officer.key").read_text().split("\n")[1])
    made = origin.make(OTHER, [person.to_public()])
    site.sql(f"""UPDATE event SET body = '{{"chain":"{made.chain}"}}' WHERE seq = 1""")
    rehash(site, 1, secret=OTHER)
    with ratchet.Ratchet(site.key).held() as held:
        held.write(ratchet.moved(ratchet.Key(1, OTHER), EVENTS + 1))
    assert site.told("officer") == [("other-chain", 1)]
    (site.state / "audit.origin").write_bytes(origin.write([made]))
    assert site.told("officer") == [("rewritten", 1)]  # its own checkpoints tell
    site.points.unlink()
    assert site.told("officer") == [("checkpoint", 0)] * 3  # the forged trail itself tells of three that are gone
    assert site.told("kept") == [("other-chain", 1)]


def test_a_trail_without_seals_in_place_of_a_sealed_one_is_told(site: Laid) -> None:
    """Who makes the trail a plain chain is told by origin and checkpoints."""
    site.sql("UPDATE event SET kind = 'started' WHERE seq = 1")
    rehash(site, 1, strip=True)
    assert site.told("blind") == [("rewritten", 1)]
    site.points.unlink()
    assert ("unsealed", 1) in site.told("blind")
    site.key.unlink()
    assert ("unsealed", 1) in site.told("blind")
    assert site.told("kept") == [("rewritten", 1), ("key", 0)]


@pytest.mark.parametrize("eyes", ["blind", "officer", "kept"])
def test_the_books_of_another_site_are_told(site: Laid, template: Path, eyes: str) -> None:
    """A database that holds in itself, but is not this one, is told at its first event."""
    shutil.copy(template / "other" / "state" / "gate.db", site.books)
    assert site.told(eyes) == [("other-chain", 1)]


def test_the_whole_state_of_another_site_is_told_by_what_was_kept(site: Laid, template: Path) -> None:
    """Books, key, origin and checkpoints of another site hold together; the kept origin tells."""
    shutil.rmtree(site.state)
    shutil.copytree(template / "other" / "state", site.state)
    assert site.told("blind") == []
    assert site.told("kept") == [("other-chain", 1)]


@pytest.mark.parametrize(
    ("harm", "due"),
    [
        (lambda f, other: f.unlink(), [("checkpoint", 0)] * 3),
        (lambda f, other: f.write_bytes(b""), [("checkpoint", 0)] * 3),
        (lambda f, other: f.write_bytes(b"".join(f.read_bytes().splitlines(keepends=True)[:2])), [("checkpoint", 0)]),
        (lambda f, other: f.write_bytes(b"".join(f.read_bytes().splitlines(keepends=True)[1:])), [("checkpoint", 0)]),
        (lambda f, other: f.write_bytes(f.read_bytes().replace(b'"number":2', b'"number":7')), [("checkpoint", 0)] * 2),
        (lambda f, other: f.write_bytes(f.read_bytes().replace(b'"seq":20', b'"seq":19')), [("checkpoint", 0)] * 2),
        (lambda f, other: f.write_bytes(other.read_bytes()), [("checkpoint", 0)] * 6),
        (lambda f, other: f.write_bytes(f.read_bytes() + b"words\n"), [("checkpoint", 0)]),
        (lambda f, other: f.write_bytes(f.read_bytes()[:-9]), [("checkpoint", 0)] * 2),
    ],
    ids=[
        "removed",
        "emptied",
        "cut",
        "the first line removed",
        "a number changed",
        "a sequence changed",
        "of another site",
        "a line added",
        "half a line removed",
    ],
)
def test_whatever_is_done_to_the_checkpoint_file_is_told(
    site: Laid, template: Path, harm: Callable[[Path, Path], object], due: list[tuple[str, int]]
) -> None:
    """Lines that are gone are named by the trail, changed ones by their signature, foreign ones by their key."""
    harm(site.points, template / "other" / "state" / "checkpoints.jsonl")
    assert site.told("blind") == site.told("officer") == due
    assert site.told("kept") == []


def test_checkpoints_signed_for_another_past_are_told(site: Laid) -> None:
    """Who has the signing key too, and signs the forged trail: the kept checkpoints say otherwise."""
    site.sql("UPDATE event SET actor = '贼' WHERE seq = 15", "DELETE FROM event WHERE seq > 30")
    rehash(site, 15)
    with ratchet.Ratchet(site.key).held() as held:
        held.write(ratchet.Key(31, OTHER))
    site.points.unlink()
    store = site.open()
    notary.sign(site.config, store)
    store.close()
    told = site.told("blind")
    assert told == [("checkpoint", 0)] * 2  # the trail tells of the ones at 10 and 20
    assert site.told("kept") == [("forged", 15)]
    kept = Evidence(checkpoints=site.root / "kept" / "checkpoints.jsonl")
    store = site.open()
    assert [(f.wrong.value, f.at) for f in trail.verify(site.config, store, kept).faults] == [("rewritten", 11)]
    store.close()


def test_two_signed_heads_for_one_place_are_told(site: Laid) -> None:
    """A file with two genuine checkpoints of one event says that there were two pasts."""
    key = notary.signing.signing_key(site.state)
    twin = checkpoint.make(key, number=9, chain="", seq=20, head="ab" * 32, at="2026-01-01T00:00:00Z")
    site.points.write_text(checkpoint.write(twin) + "\n" + site.points.read_text())
    assert site.told() == [("checkpoint", 20)]


@pytest.mark.parametrize(
    ("harm", "due"),
    [
        (lambda s, t: shutil.copy(t / "other/state/audit.key", s.key), ("key", EVENTS + 1)),
        (lambda s, t: s.key.write_bytes(b""), ("key", 0)),
        (lambda s, t: s.key.write_bytes(b"x" * 64), ("key", 0)),
        (lambda s, t: shutil.copy(t / "other/state/audit.origin", s.state / "audit.origin"), ("other-chain", 1)),
    ],
    ids=["another site's key", "an empty key", "a damaged key", "another site's origin"],
)
def test_whatever_is_done_to_key_and_origin_is_told(
    site: Laid, template: Path, harm: Callable[[Laid, Path], object], due: tuple[str, int]
) -> None:
    """The key file has to be the successor of the first key, and the origin that of the chain."""
    harm(site, template)
    assert site.told("officer") == [due]


def test_events_sealed_by_a_foreign_key_are_told_where_they_begin(site: Laid, template: Path) -> None:
    """A gate that went on with an exchanged key sealed what its officer cannot confirm, from that event on."""
    shutil.copy(template / "other" / "state" / KEY_FILE, site.key)
    store = site.open()
    store.note(actor="甲", kind="released", job="", body={})
    store.close()
    assert site.told("officer") == [("forged", EVENTS + 1)]


# --- keys that are lost --------------------------------------------------------------------------------------------


def test_a_lost_key_is_renewed_and_the_trail_tells_who_and_why(site: Laid) -> None:
    """After a renewal everything verifies, both origins are kept, and the trail names person and reason."""
    site.key.unlink()
    store = site.open()
    with pytest.raises(StoreError, match="gone"):
        store.note(actor="甲", kind="released", job="", body={})
    origins.renew(site.config, store, actor="张三", reason="硬盘损坏")
    store.note(actor="甲", kind="released", job="", body={})
    (event,) = store.find_events(EventFilter(kind=KEYED), limit=1)
    store.close()
    assert (event.seq, event.actor, event.body["reason"]) == (EVENTS + 1, "张三", "硬盘损坏")
    seen = site.verify("officer")
    assert (seen.faults, seen.report.sealed, seen.report.keyed) == ((), EVENTS + 2, (1, EVENTS + 1))
    assert site.told("kept") == [("other-chain", EVENTS + 1)]  # the copy that was kept does not know of it


def test_books_restored_from_an_older_copy_tell_what_is_lost(site: Laid) -> None:
    """With the key ahead the gate stands still; the renewal notes which events there were."""
    back = older(site, site.books)
    back()
    store = site.open()
    with pytest.raises(StoreError, match="older than their key"):
        store.note(actor="甲", kind="released", job="", body={})
    origins.renew(site.config, store, actor="张三", reason="从备份恢复")
    (event,) = store.find_events(EventFilter(kind=KEYED), limit=1)
    store.close()
    assert event.body["lost"] == f"{EVENTS + 1}-{EVENTS + 6}"
    assert site.told("kept")[0] == ("other-chain", EVENTS + 1)


def test_a_key_that_fits_is_not_renewed(site: Laid) -> None:
    """Nobody changes the key without need; a second beginning is no beginning."""
    store = site.open()
    before = site.key.read_bytes(), tuple(store.events())
    with pytest.raises(Denied, match="nothing to renew"):
        origins.renew(site.config, store, actor="a", reason="b")
    assert origins.begin(site.config, store) is None
    assert (site.key.read_bytes(), tuple(store.events())) == before
    store.close()


def test_an_origin_opens_for_its_officer_only(site: Laid, template: Path) -> None:
    """Another identity checks no seal, and nothing of the key lies in the origin."""
    (own,) = origins.kept(site.state / "audit.origin")
    text = (template / "other" / "officer.key").read_text().split("\n")[1]
    assert origin.opened(own, x25519.Identity.from_str(text)) is None
    secret = origin.opened(own, x25519.Identity.from_str((site.root / "officer.key").read_text().split("\n")[1]))
    assert secret is not None
    assert ratchet.name(secret) == own.chain
    store = site.open()
    seen = trail.verify(site.config, store, Evidence(identity=template / "other" / "officer.key"))
    store.close()
    assert (seen.holds, seen.opened, seen.report.sealed) == (True, 0, 0)


def test_a_printed_origin_verifies(site: Laid, tmp_path: Path) -> None:
    """The text of its QR code is read like the file; anything else is refused."""
    (own,) = origins.kept(site.state / "audit.origin")
    scanned = tmp_path / "scan.txt"
    scanned.write_text(f"\r\n{origin.code(own)}\r\n")
    assert origins.kept(scanned) == (own,)
    assert origin.code(own) == origin.code(own).upper()
    assert len(origin.code(own)) < 1_000
    for text in ("", "DLPA1:AB:CD", "DLPA1:", "{}", "x", '{"form":"?","chain":"' + own.chain + '","sealed":""}'):
        scanned.write_text(text)
        with pytest.raises(StoreError, match="origins"):
            origins.kept(scanned)


def test_a_bad_recipient_stops_the_beginning(tmp_path: Path) -> None:
    """Without a public key to seal it to there is no first key, and no event says there is."""
    site = lay(tmp_path / "own")
    for file in (site.books, site.key, site.state / "audit.origin"):
        file.unlink()
    (site.root / "officer.pub").write_text("# nobody\n")
    store = SqliteStore.open(site.books, create=True)
    with pytest.raises(Exception, match="officer"):
        origins.begin(site.config, store)
    assert store.head()[0] == 0
    assert not (site.state / "audit.origin").exists()
    store.close()


# --- checkpoints ---------------------------------------------------------------------------------------------------


def test_checkpoints_are_signed_every_so_many_events(site: Laid, monkeypatch: pytest.MonkeyPatch) -> None:
    """One at the start, then one for each hundred events; none while nothing happens."""
    settings = evolve(site.config, audit=evolve(site.config.audit, checkpoint_events=100))
    store = site.open()
    clerk = Notary(settings, store)
    clerk.look()
    assert len(site.points.read_text().splitlines()) == 4
    for _ in range(5):
        clerk.look()
        clerk.look(now=True)
    assert len(site.points.read_text().splitlines()) == 4
    for _ in range(350):
        store.note(actor="甲", kind="released", job="", body={})
        clerk.look()
    assert len(site.points.read_text().splitlines()) == 7
    clerk.look(now=True)
    assert len(site.points.read_text().splitlines()) == 8
    store.close()
    assert site.told() == []


def test_checkpoints_are_signed_every_so_many_minutes(site: Laid, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is over, one event is enough for the next checkpoint."""
    clock = [1_000.0]
    monkeypatch.setattr(notary.time, "monotonic", lambda: clock[0])
    store = site.open()
    clerk = Notary(site.config, store)
    clerk.look()
    store.note(actor="甲", kind="released", job="", body={})
    clock[0] += 3_599
    clerk.look()
    assert len(site.points.read_text().splitlines()) == 4
    clock[0] += 2
    clerk.look()
    assert len(site.points.read_text().splitlines()) == 5
    store.close()


def test_a_checkpoint_that_cannot_be_written_is_told_once(site: Laid, caplog: pytest.LogCaptureFixture) -> None:
    """A folder in its place: the gate goes on, the trail tells, and when it can be written again it is."""
    site.points.rename(site.root / "away")
    site.points.mkdir()
    store = site.open()
    clerk = Notary(site.config, store)
    for _ in range(3):
        clerk.look(now=True)
    assert "no checkpoint" in caplog.text
    assert [e.kind for e in store.find_events(EventFilter(kind="checkpoint-failed"))] == ["checkpoint-failed"]
    site.points.rmdir()
    (site.root / "away").rename(site.points)
    clerk.look(now=True)
    store.close()
    assert len(site.points.read_text().splitlines()) == 4
    assert site.told() == []


def test_a_torn_last_line_is_replaced(site: Laid) -> None:
    """What a power cut left of a line is dropped before the next one; whole lines stay."""
    whole = site.points.read_bytes()
    site.points.write_bytes(whole + b'{"at":"2026')
    store = site.open()
    made = notary.sign(site.config, store)
    store.close()
    assert made.number == 4
    assert site.points.read_bytes() == whole + checkpoint.write(made).encode() + b"\n"
    assert site.told() == []


def test_a_checkpoint_goes_to_the_system_log(site: Laid, tmp_path: Path) -> None:
    """The socket of the log gets the signed line, and a line that was copied from there verifies."""
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(path)
        log.settimeout(10)
        store = site.open()
        made = notary.sign(evolve(site.config, audit=evolve(site.config.audit, syslog=path)), store)
        store.close()
        line = log.recv(10_000)
    assert line.startswith(b"<85>")
    assert b"\n" not in line
    assert line.isascii()
    assert len(line) < 1_024
    assert checkpoint.read(line) == made


def test_a_log_that_is_not_there_stops_nothing(site: Laid, tmp_path: Path) -> None:
    """A missing socket, or one that nobody reads, leaves the checkpoint in its file."""
    store = site.open()
    for address in (str(tmp_path / "nowhere"), str(site.books), "\0"):
        notary.sign(evolve(site.config, audit=evolve(site.config.audit, syslog=address)), store)
    store.close()
    assert len(site.points.read_text().splitlines()) == 6


def test_a_printed_checkpoint_verifies(site: Laid, tmp_path: Path) -> None:
    """The text of its QR code is the whole signed checkpoint."""
    made = site.verify().checkpoints[1]
    text = checkpoint.code(made)
    assert text == text.upper()
    assert len(text) < 500
    assert checkpoint.read(text.encode()) == made
    scanned = tmp_path / "scan.txt"
    scanned.write_text(text + "\n")
    store = site.open()
    seen = trail.verify(site.config, store, Evidence(checkpoints=scanned))
    assert (seen.holds, seen.checkpoints) == (True, (made,))
    store.close()
    site.sql("UPDATE event SET actor = '贼' WHERE seq = 15")
    rehash(site, 15)
    store = site.open()
    (fault,) = trail.verify(site.config, store, Evidence(checkpoints=scanned)).faults
    assert (fault.wrong, fault.at) == (Wrong.REWRITTEN, 1)
    store.close()


def test_a_changed_letter_of_a_printed_checkpoint_is_refused(site: Laid) -> None:
    """Whatever letter differs, it is no checkpoint, or not a genuine one."""
    made = site.verify("blind").checkpoints[1]
    text = checkpoint.code(made)
    known = notary.signing.public_keys(site.state / "certificate.pub")
    assert checkpoint.is_genuine(made, known)
    for place, letter in enumerate(text):
        for other in "0A:" if letter == "1" else "1A:":
            if other == letter:
                continue
            try:
                read = checkpoint.read((text[:place] + other + text[place + 1 :]).encode())
            except ValueError:
                continue
            assert not checkpoint.is_genuine(read, known), place


def test_two_signers_at_once_do_not_mix_lines(site: Laid) -> None:
    """The gate and a person may sign at the same time: each line is whole, and each is in the trail."""
    stores = [site.open() for _ in range(3)]
    threads = [
        threading.Thread(target=lambda s=s: [notary.sign(site.config, s) for _ in range(10)])  # type: ignore[misc]
        for s in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    seen = site.verify()
    assert seen.holds
    assert [made.number for made in seen.checkpoints] == list(range(1, 34))


def test_a_signer_waits_for_another_one(site: Laid) -> None:
    """While one holds the checkpoint file no other reads its last number: the kernel shows that it waits."""
    store = site.open()
    before = site.points.read_bytes()
    waiting = threading.Thread(target=notary.sign, args=(site.config, store))
    with site.points.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting.start()
        entry = re.compile(rf"-> FLOCK .*:{site.points.stat().st_ino} ")
        while waiting.is_alive() and not entry.search(Path("/proc/locks").read_text()):
            pass
        assert waiting.is_alive()
        assert site.points.read_bytes() == before
    waiting.join()
    store.close()
    assert len(site.points.read_bytes().splitlines()) == 4


def test_a_trail_holds_while_it_is_written_and_signed(site: Laid) -> None:
    """Who verifies beside a gate at work is told of nothing that only came meanwhile."""
    store, looks = site.open(), 0

    def work() -> None:
        n = 0
        while n < 20 or looks < 4:  # on a machine that does much else a look takes longer than all of it
            store.note(actor="甲", kind="released", job="", body={"n": n})
            notary.sign(site.config, store)
            n += 1

    working = threading.Thread(target=work)
    working.start()
    while working.is_alive():
        assert site.told() == []
        looks += 1
    working.join()
    store.close()
    assert looks > 3, "it was looked at while it was at work"
    assert site.told() == []


# --- where the private key is --------------------------------------------------------------------------------------


def test_an_export_is_verified_where_the_private_key_is(site: Laid, tmp_path: Path) -> None:
    """With an export and what was kept, and nothing else of the gate, another machine verifies every seal."""
    exported = tmp_path / "trail.jsonl"
    store = site.open()
    exported.write_text("".join(siem.jsonl(event) + "\n" for event in store.events()))
    store.close()
    elsewhere = config.parse("", file="x", base=tmp_path / "elsewhere")
    kept = site.root / "kept"
    given = Evidence(
        origin=kept / "audit.origin",
        identity=site.root / "officer.key",
        checkpoints=kept / "checkpoints.jsonl",
        key=kept / "certificate.pub",
    )
    seen = trail.verify(elsewhere, exported, given)
    assert (seen.holds, seen.report.count, seen.report.sealed, seen.here) == (True, EVENTS, EVENTS, False)
    lines = exported.read_text().splitlines(keepends=True)
    for text, due in (
        ("".join(lines[:14] + lines[15:]), ("missing", 15)),
        ("".join(lines[:14]) + "no event\n" + "".join(lines[15:]), ("unreadable", 15)),
        ("".join(lines[:14]) + lines[14].replace("可以", "不可") + "".join(lines[15:]), ("changed", 15)),
        ("".join(lines[:14]) + lines[15] + lines[14] + "".join(lines[16:]), ("missing", 15)),
        ("".join(lines[:14]) + lines[13] + "".join(lines[14:]), ("order", 15)),
        ("".join(lines[:25]), ("cut", 26)),
    ):
        exported.write_text(text)
        assert [(f.wrong.value, f.at) for f in trail.verify(elsewhere, exported, given).faults] == [due]


@pytest.mark.parametrize("name", ["origin", "identity", "checkpoints", "key"])
def test_evidence_that_is_not_there_is_told(site: Laid, name: str) -> None:
    """A named file that is missing is never taken for a verification without it."""
    store = site.open()
    with pytest.raises(UsageError, match="no such file"):
        trail.verify(site.config, store, Evidence(**{name: site.root / "nowhere"}))
    store.close()


# --- who saw what --------------------------------------------------------------------------------------------------


def job_at(level: Level | None) -> Job:
    """Give a held job of a level."""
    item = Item(id="01J", source="s", path="p", name="n")
    return Job(id="01J", item=item, state=State.HELD, verdict=Verdict(action=Action.QUARANTINE, level=level))


@pytest.mark.parametrize("level", [None, *Level], ids=lambda level: level.value if level else "none")
def test_knowing_of_a_confidential_job_is_recorded(site: Laid, level: Level | None) -> None:
    """机密 and 绝密: person, job, what was shown, level. Below that nothing is written."""
    store = site.open()
    before = store.head()[0]
    recorded = trail.seen(store, "张三", job_at(level), "evidence")
    assert recorded == (level in (Level.CONFIDENTIAL, Level.TOP_SECRET))
    if recorded:
        (event,) = store.events(before)
        assert (event.actor, event.kind, event.job) == ("张三", "seen", "01J")
        assert event.body == {"what": "evidence", "level": level.value if level else "", "state": "held"}
    else:
        assert store.head()[0] == before
    store.close()


def test_what_was_seen_is_a_word_of_the_program(site: Laid) -> None:
    """No content can get into the trail that way."""
    store = site.open()
    for what in ("", "身份证 110101199003071233", "a b", "x" * 40):
        with pytest.raises(ValueError, match="word"):
            trail.seen(store, "a", job_at(Level.SECRET), what)
    store.close()


def test_nothing_is_shown_that_cannot_be_recorded(site: Laid) -> None:
    """Without its key the trail takes no event, and so nobody is shown a confidential job."""
    site.key.unlink()
    store = site.open()
    with pytest.raises(StoreError):
        trail.seen(store, "a", job_at(Level.TOP_SECRET), "page")
    store.close()


# --- the commands --------------------------------------------------------------------------------------------------


@pytest.fixture
def gate(site: Laid) -> Place:
    """Give the site as the commands see it."""
    (site.root / "config.toml").write_text(
        '[store]\npath = "state/gate.db"\n[audit]\nsyslog = ""\nrecipients = ["officer.pub"]\n'
        '[vault]\nfolder = "vault"\nidentity = "vault/identity.age-key"\nwork_key = "vault/work.age-key"\n'
    )
    return Place.at(site.root)


def test_the_commands_name_what_is_wrong_and_exit_with_7(gate: Place, site: Laid) -> None:
    """Holding is 0; anything else is 7, with the first bad event in both languages and in JSON."""
    identity = str(site.root / "officer.key")
    assert "33 条相符" in gate.run("audit", "verify", "--identity", identity).stdout
    assert "未核" in gate.run("audit", "verify").stdout
    (row,) = gate.json("audit", "verify", "--identity", identity)
    assert (row["ok"], row["count"], row["sealed"], row["checkpoints"], row["faults"]) == (True, 33, 33, 3, [])
    site.sql("UPDATE event SET actor = '贼' WHERE seq = 15")
    done = gate.run("audit", "verify", check=7)
    assert "第 15 条被改动过" in done.stderr
    assert "前 14 条完好" in done.stderr
    assert "event 15 was changed" in gate.run("audit", "verify", "--lang", "en", check=7).stderr
    (row,) = gate.json("audit", "verify", check=7)
    assert (row["ok"], row["broken_at"]) == (False, 15)
    assert row["faults"] == [{"wrong": "changed", "at": 15, "text": "第 15 条被改动过"}]


def scan(path: Path) -> str:
    """Read the QR code of a slip."""
    parts = docx.Document(str(path)).part.related_parts.values()
    (picture,) = (part.blob for part in parts if part.content_type == "image/png")
    pixels = cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    (said,) = codes(pixels)
    return said


def test_checkpoints_and_origins_on_paper_verify_after_a_scan(gate: Place, site: Laid, tmp_path: Path) -> None:
    """The QR codes of both slips, read from the printed pages, are evidence that `verify` takes."""
    slips = site.root / "c.docx", site.root / "o.docx"
    (made,) = gate.json("audit", "checkpoint", "--slip", str(slips[0]))
    gate.run("audit", "init", "--slip", str(slips[1]), "--out", str(site.root / "o.jsonl"))
    assert (site.root / "o.jsonl").read_bytes() == (site.state / "audit.origin").read_bytes()
    for slip, name in zip(slips, ("c.txt", "o.txt"), strict=True):
        (site.root / name).write_text(scan(slip))
    words = ["--checkpoints", str(site.root / "c.txt"), "--origin", str(site.root / "o.txt")]
    identity = ["--identity", str(site.root / "officer.key")]
    (row,) = gate.json("audit", "verify", *words, *identity)
    assert (row["ok"], row["checkpoints"], row["sealed"]) == (True, 1, row["count"])
    assert made["seq"] == 33
    gate.run("audit", "checkpoint", "--slip", str(slips[0]), check=2)


def test_the_trail_is_listed_by_person_file_kind_and_time(gate: Place, site: Laid) -> None:
    """Each filter gives its events, newest first, for people and as JSON; no such file is told."""
    rows = gate.json("audit", "list", "--actor", "甲1", "--kind", "released")
    assert [r["seq"] for r in rows] == sorted((r["seq"] for r in rows), reverse=True)
    assert {(r["actor"], r["kind"]) for r in rows} == {("甲1", "released")}
    assert gate.json("audit", "list", "--until", "2001-01-01") == []
    assert len(gate.json("audit", "list", "--since", "2001-01-01")) == EVENTS
    assert len(gate.json("audit", "list", "--limit", "5")) == 5
    assert "甲1" in gate.run("audit", "list", "--limit", "9").stdout
    gate.run("audit", "list", "--file", "nothing", check=10)
    gate.run("audit", "list", "--since", "gestern", check=2)
    store = site.open()
    for number, name in ((1, "工资表.xlsx"), (2, "工资汇总.xlsx"), (3, "通知.docx")):
        item = Item(id=f"01J{number:023d}", source="s", path=name, name=name)
        store.add(Job(id=item.id, item=item, state=State.TAKING), actor="gate", kind="taking", body={})
    store.close()
    assert {r["job"][-1] for r in gate.json("audit", "list", "--file", "工资")} == {"1", "2"}
    assert [r["job"][-1] for r in gate.json("audit", "list", "--file", f"01J{3:023d}")] == ["3"]


def test_a_trail_can_begin_before_the_first_start(tmp_path: Path) -> None:
    """`audit init` on a new site makes key and origin; the first start and a second init go on with them."""
    place = sites.lay(tmp_path, extra='[audit]\nsyslog = ""\n')
    (first,) = place.json("audit", "init")
    place.run("run", "--once")
    assert place.json("audit", "init") == [first]
    (row,) = place.json("audit", "verify")
    assert (row["ok"], row["keyed"], row["sealed"]) == (True, [1], row["count"])


def test_a_site_of_the_first_form_goes_on(tmp_path: Path) -> None:
    """Books that version 0.1 wrote are brought up by the start: old events stay as they were, new ones are sealed."""
    place = sites.lay(tmp_path)
    place.state.mkdir()
    shutil.copy(Path(__file__).with_name("books_v1.db"), place.state / "gate.db")
    place.put("方案.txt", MARKED)
    place.run("run", "--once")
    (row,) = place.json("audit", "verify")
    assert (row["ok"], row["keyed"], row["sealed"]) == (True, [59], row["count"] - 58)
    listed = place.json("quarantine", "list", "--level", "机密", "--name", "方案")
    assert [row["name"] for row in listed] == ["方案.txt"] * 2


@pytest.mark.long
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian package: strace)")
@pytest.mark.timeout(900)
def test_killed_at_every_durable_step_of_the_beginning(tmp_path: Path) -> None:
    """Wherever the first `audit init` dies, the next one ends with one key, its origin, and a trail that verifies."""
    calls = "fsync,fdatasync,rename,link"

    def strace(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "dlp", "audit", "init"]
        return subprocess.run(
            ["strace", "-o", str(place.root / "trace"), "-e", f"trace={calls}", *words, *program],
            cwd=place.root,
            env={**os.environ, "DLP_CONFIG": str(place.config)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def site_at(name: str) -> Place:
        (tmp_path / name).mkdir()
        return sites.lay(tmp_path / name)

    plain = site_at("plain")
    assert strace(plain).returncode == 0
    seen: Counter[str] = Counter(re.findall(r"^(\w+)\(", (plain.root / "trace").read_text(), re.MULTILINE))
    assert sum(seen.values()) >= 12
    for call, count in seen.items():
        for number in range(1, count + 1):
            place = site_at(f"{call}-{number}")
            dead = strace(place, "-e", f"inject={call}:signal=SIGKILL:when={number}")
            assert dead.returncode in (-9, 137), (call, number, dead.stderr)
            settings = config.read(place.config)
            with Desk.prepare(settings) as desk:
                origins.begin(settings, desk.store)
                (begun,) = origins.kept(origins.file_of(settings))
                (event,) = desk.events()
                report = desk.audit_verify().report
            assert (report.faults, report.keyed, report.sealed) == ((), (1,), 1), (call, number)
            assert event.body["chain"] == begun.chain


def test_the_key_is_renewed_by_command_with_a_reason(gate: Place, site: Laid) -> None:
    """Without a reason, or without need, it is refused."""
    gate.run("audit", "init", "--renew", check=2)
    gate.run("audit", "init", "--renew", "--reason", "x", check=9)
    site.key.unlink()
    gate.run("audit", "verify", check=7)
    gate.run("audit", "init", "--renew", "--reason", "硬盘损坏")
    done = gate.run("audit", "verify", "--identity", str(site.root / "officer.key"))
    assert f"第 {EVENTS + 1} 条" in done.stdout
    (row,) = gate.json("audit", "list", "--kind", KEYED, "--limit", "1")
    assert row["body"]["reason"] == "硬盘损坏"


def test_a_gate_seals_signs_and_records_by_itself(tmp_path: Path) -> None:
    """A first run makes key, origin and checkpoints; every event has its seal; who was shown a 机密 job is recorded."""
    place = sites.lay(tmp_path, extra='[audit]\nsyslog = ""\ncheckpoint_events = 5\n')
    for name, content in (("方案.txt", MARKED), ("合同.txt", CONTRACT)):
        place.put(name, content)
    place.run("run", "--once")
    (row,) = place.json("audit", "verify")
    assert row["ok"]
    assert row["sealed"] == row["count"]
    assert row["checkpoints"] >= 2
    assert "私钥在本机" in place.run("audit", "verify").stdout
    assert {
        p.name: p.stat().st_mode & 0o777 for p in place.state.iterdir() if "audit" in p.name or "check" in p.name
    } == {
        "audit.key": 0o600,
        "audit.origin": 0o600,
        "checkpoints.jsonl": 0o600,
    }
    for row in place.json("quarantine", "list"):
        place.run("quarantine", "show", row["id"])
    seen = place.json("audit", "list", "--kind", "seen")
    assert [(r["body"]["level"], r["body"]["what"]) for r in seen] == [("机密", "evidence")]
    assert place.json("quarantine", "list", "--level", "机密", "--name", "方案") != []
    assert place.json("quarantine", "list", "--level", "秘密") == []
    (place.state / KEY_FILE).unlink()
    done = place.run("run", "--once", check=5)
    assert "审计密钥不见了" in done.stderr
