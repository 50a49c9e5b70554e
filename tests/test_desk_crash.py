"""kill -9 at every durable step of what people do at the desk: nothing lost, doubled, or let go without its approval.

The real command is stopped by strace at its n-th durable system call and killed there. Then it is given once more, as a
person would, and must come to the same end as an undisturbed one; or be told that it was done already.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from dlp import approval, config
from dlp.approval import Decision
from dlp.copies import COPIES
from dlp.model import State
from dlp.request import Recipient
from dlp.service.cases import CASES, Asking
from dlp.service.desk import Desk
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore
from sites import Place, lay
from staff import House, hash_quickly
from works import unused

STRACE = shutil.which("strace")
pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed (Debian package: strace)"),
    pytest.mark.timeout(3_600),
]
DURABLE = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,pwrite64"
SECRET = "核心商密★长期\n配方：甲乙丙\n".encode()
ASKED = Asking(copies=2, purpose="上会", recipients=(Recipient(name="王五"),))


class Deed(NamedTuple):
    """One thing that somebody does: how far the case is before, who does it, with which command."""

    before: str
    who: str
    words: tuple[str, ...]
    done: Callable[[Place], bool]
    again: tuple[int, ...] = (0,)
    """Exit codes of the same command given once more after it was killed: 9 or 5 where it was done already."""


def _cases(site: Place) -> tuple[approval.Case, ...]:
    with _books(site) as store:
        return store.records(CASES)


class _books:  # noqa: N801  used as a function
    def __init__(self, site: Place) -> None:
        self._store = SqliteStore.open(site.state / "gate.db", create=False)

    def __enter__(self) -> SqliteStore:
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()


def _state(site: Place, state: State) -> bool:
    with _books(site) as store:
        return [job.state for job in store.jobs()] == [state]


REQUEST = ("quarantine", "request", "JOB", "--copies", "2", "--purpose", "上会", "--to", "王五")
RELEASE = ("quarantine", "release", "JOB", "--reason", "凭批准")
DEEDS: dict[str, Deed] = {
    "request": Deed("held", "op", REQUEST, lambda site: len(_cases(site)) >= 1),
    "approve": Deed(
        "asked", "secr", ("quarantine", "approve", "CASE"), lambda site: len(_cases(site)[0].signatures) == 1, (0, 5)
    ),
    "refuse": Deed(
        "asked",
        "secr",
        ("quarantine", "refuse", "CASE", "--reason", "用途不明"),
        lambda site: _cases(site)[0].signatures[0].decision is Decision.REJECT,
        (0, 5, 9),
    ),
    "release": Deed("approved", "op", RELEASE, lambda site: _state(site, State.RELEASED), (0, 9)),
    "reject": Deed(
        "held",
        "rev",
        ("quarantine", "reject", "JOB", "--reason", "不得外发"),
        lambda site: _state(site, State.REJECTED),
        (0, 9),
    ),
    "ask for a role": Deed(
        "held", "sec", ("people", "roles", "rev", "classifier"), lambda site: _count(site, "change") >= 1
    ),
    "lock an account": Deed(
        "held", "sec", ("people", "lock", "rev", "--reason", "离职"), lambda site: "account-locked" in _kinds(site)
    ),
}


def _count(site: Place, kind: str) -> int:
    with _books(site) as store:
        return int(store._db.execute("SELECT count(*) FROM record WHERE kind = ?", (kind,)).fetchone()[0])


def _kinds(site: Place) -> list[str]:
    with _books(site) as store:
        return [event.kind for event in store.events()]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make a site whose case is as far as each deed needs it; each kill gets a copy."""
    root = tmp_path_factory.mktemp("desk") / "site"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        # The steps of a deed do not depend on how much is looked for: only the pack that the file needs is loaded.
        site = lay(root, extra=f"[people]\nsession_minutes = 720\n[packs]\ndisabled = {json.dumps(unused())}\n")
        site.put("配方.txt", SECRET)
        site.run("run", "--once")
        house = House(root, site.config)
        house.staff()
        for who in ("op", "secr", "rev", "sec"):
            (root / f"{who}.session").write_text(house.token(who))
        (job,) = house.store.jobs((State.HELD,))
        found = {}
        for name in ("held", "asked", "approved"):
            if name == "asked":
                house.desk("op").cases.ask(job.id, ASKED)
            elif name == "approved":
                cases = house.desk("secr").cases
                cases.sign(cases.all()[0].id, Decision.APPROVE, cases.binding(cases.all()[0]))
            house.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            found[name] = root.with_name(name)
            shutil.copytree(root, found[name])
        house.close()
    return found


def command(site: Place, deed: Deed, *trace: str) -> subprocess.CompletedProcess[str]:
    """Give the command of a deed, under strace where `trace` says so."""
    with _books(site) as store:
        (job,) = store.jobs()
        cases = store.records(CASES)
    named = {"JOB": job.id, "CASE": cases[-1].id if cases else ""}
    words = [named.get(word, word) for word in deed.words]
    return subprocess.run(
        [*trace, sys.executable, "-m", "dlp", *words],
        cwd=site.root,
        env={
            **os.environ,
            "DLP_CONFIG": str(site.config),
            "DLP_SESSION": str(site.root / f"{deed.who}.session"),
            "TMPDIR": str(site.scratch()),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def sound(site: Place) -> None:
    """Assert what always holds: nothing left without an approval, the file is in one place, the trail is whole."""
    out = [path for path in site.files(site.released) if not path.startswith(".dlp-")]
    with _books(site) as store:
        (job,) = store.jobs()
        copies = store.records(COPIES, RecordFilter(job=job.id))
        cleared = [given for case in store.records(CASES) for given in case.cleared]
    sealed = (site.vault / "q" / f"{job.id}.age").exists()
    if out:
        assert out == ["配方.txt"]
        assert (site.released / "配方.txt").read_bytes() == SECRET
        assert cleared, "it left without an approval"
    else:
        assert sealed, "the file is nowhere"
    assert sum(given.copies for given in cleared) == len(copies) <= 2
    assert bool(cleared) == (job.state in (State.RELEASING, State.RELEASED))
    with Desk.open(config.read(site.config), token=(site.root / "sec.session").read_text(encoding="ascii")) as desk:
        seen = desk.audit_verify()
    assert seen.holds, seen.faults


def survives(template: Path, root: Path, deed: Deed, call: str, number: int) -> None:
    """Kill a deed at a call; the site is sound; done once more it has its one end."""
    shutil.copytree(template, root)
    site = Place.at(root)
    where = f"{call} {number}"
    assert STRACE is not None
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    dead = command(site, deed, STRACE, "-o", os.devnull, "-e", f"trace={call}", "-e", inject)
    assert dead.returncode in (-9, 137), f"{where} was not reached: {dead.returncode} {dead.stderr}"
    sound(site)
    again = command(site, deed)
    site.run("run", "--once")  # the gate goes on with what was let go
    assert deed.done(site), f"{where}: {again.returncode} {again.stderr}"
    assert again.returncode in deed.again, f"{where}: {again.returncode} {again.stderr}"
    sound(site)
    shutil.rmtree(root)


@pytest.mark.long
@pytest.mark.parametrize("name", list(DEEDS))
def test_killed_at_every_durable_step(templates: dict[str, Path], tmp_path: Path, name: str) -> None:
    """Whatever sync, rename, unlink or write of the books a command dies at."""
    assert matrix(templates, tmp_path, DEEDS[name]) >= 4


def test_killed_at_some_steps_of_a_release(templates: dict[str, Path], tmp_path: Path) -> None:
    """One in twenty of the points of the one deed that lets something go."""
    assert matrix(templates, tmp_path, DEEDS["release"], one_in=20) >= 8


def matrix(templates: dict[str, Path], tmp_path: Path, deed: Deed, *, one_in: int = 1) -> int:
    """Kill at each durable call that an undisturbed deed makes, or at one in so many; return how many there were."""
    template = templates[deed.before]
    shutil.copytree(template, tmp_path / "plain")
    site = Place.at(tmp_path / "plain")
    assert STRACE is not None
    log = site.root / "trace"
    plain = command(site, deed, STRACE, "-o", str(log), "-e", f"trace={DURABLE}")
    assert plain.returncode == 0, plain.stderr
    site.run("run", "--once")
    assert deed.done(site)
    sound(site)
    seen: dict[str, int] = {}
    points = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.match(r"(\w+)\(", line):
            seen[found[1]] = seen.get(found[1], 0) + 1
            points.append((found[1], seen[found[1]]))
    chosen = points[one_in // 2 :: one_in]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [
            pool.submit(survives, template, tmp_path / f"{call}-{number}", deed, call, number)
            for call, number in chosen
        ]
        for run in runs:
            run.result()
    return len(points)
