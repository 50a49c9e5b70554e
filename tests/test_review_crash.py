"""kill -9 at every durable step of giving a file back and of releasing it redacted: nothing lost, nothing doubled.

The real command is stopped by strace at its n-th durable system call and killed there. Then it is given once more, as a
person would, the gate is started again, and the end must be that of an undisturbed run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlp import config
from dlp.model import State
from dlp.service import trail
from dlp.store import Job
from dlp.store.sqlite import SqliteStore
from sites import Place
from staff import hash_quickly
from test_reviews import Bureau, people

STRACE = shutil.which("strace")
pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed (Debian package: strace)"),
    pytest.mark.timeout(3_600),
]
DURABLE = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,pwrite64"
LIST = people(60)
WORDS = {
    "return": ("return", "JOB", "--to", "送件人", "--reason", "退回"),
    "redact": ("redact", "JOB", "--reason", "只需名次"),
}
END = {"return": State.RETURNED, "redact": State.REDACTED}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a site with one held file and a reviewer who is logged in; each kill gets a copy."""
    root = tmp_path_factory.mktemp("review") / "site"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        made = Bureau.laid(root, {"名单.txt": LIST}, extra="[people]\nsession_minutes = 720\n")
    (root / "送件人").mkdir()
    (root / "rev.session").write_text(made.token("rev"), encoding="ascii")
    made.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
    return root


def books(site: Place) -> SqliteStore:
    """Open the books of a site."""
    return SqliteStore.open(site.state / "gate.db", create=False)


def job_of(site: Place) -> Job:
    """Return the one job of a site."""
    store = books(site)
    try:
        (job,) = store.jobs()
        return job
    finally:
        store.close()


def give(site: Place, deed: str, *trace: str) -> subprocess.CompletedProcess[str]:
    """Give the command, under strace where `trace` says so."""
    words = [job_of(site).id if word == "JOB" else word for word in WORDS[deed]]
    before = [STRACE or "strace", "-o", str(site.root / "trace"), "-e", f"trace={DURABLE}", *trace] if trace else []
    return subprocess.run(
        [*before, sys.executable, "-m", "dlp", "quarantine", *words],
        cwd=site.root,
        env={
            **os.environ,
            "DLP_CONFIG": str(site.config),
            "DLP_SESSION": str(site.root / "rev.session"),
            "TMPDIR": str(site.scratch()),
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def holds(site: Place, deed: str, where: str) -> None:
    """Assert what is true at every moment: the bytes are somewhere, and no number is where it may not be."""
    job = job_of(site)
    sealed = (site.vault / "q" / f"{job.id}.age").exists()
    given = [path.read_bytes() for path in (site.root / "送件人").iterdir() if not path.name.startswith(".")]
    assert given in ([], [LIST]), f"a torn file at {where}"
    assert sealed or (job.state is State.RETURNED and given == [LIST]), f"lost at {where}"
    if deed == "redact":
        assert sealed, f"the original is lost at {where}"
    for path in (path for path in site.released.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not any(line[-18:] in text for line in LIST.decode().splitlines()[1:]), f"leaked at {where}"
        assert path.name.startswith(".dlp-") or job.state in (State.RELEASING, State.REDACTED), f"let go at {where}"


def ends(site: Place, deed: str, where: str) -> None:
    """Assert the one right end."""
    job, released = job_of(site), site.files(site.released)
    given = [path.name for path in (site.root / "送件人").iterdir()]
    assert job.state is END[deed], where
    assert given == ([f"{job.id}-名单.txt"] if deed == "return" else []), where
    assert released == (["名单.txt"] if deed == "redact" else []), where
    assert (site.vault / "q" / f"{job.id}.age").exists() is (deed == "redact"), where
    assert not [path for path in site.scratch().rglob("*") if path.is_file()], where
    store = books(site)
    try:
        assert trail.verify(config.read(site.config), store).faults == (), where
        kinds = [event.kind for event in store.events() if event.job == job.id]
    finally:
        store.close()
    assert kinds.count(END[deed].value) == 1, where


def survives(template: Path, root: Path, deed: str, call: str, number: int) -> bool:
    """Kill at the `number`-th call of a kind, and go on as people would; False where it was not reached."""
    where = f"{call} {number}"
    shutil.copytree(template, root)
    site = Place.at(root)
    killed = give(site, deed, "-e", f"inject={call}:signal=SIGKILL:when={number}")
    reached = killed.returncode in (-9, 137)
    holds(site, deed, where)
    again = give(site, deed)
    assert again.returncode in (0, 9), f"{where}: {again.stderr}"
    holds(site, deed, where)
    site.run("run", "--once", timeout=900)
    ends(site, deed, where)
    shutil.rmtree(root)
    return reached


def matrix(template: Path, tmp_path: Path, deed: str, *, one_in: int = 1) -> int:
    """Kill at each durable call of an undisturbed run, or at one in so many; return how many there were."""
    shutil.copytree(template, tmp_path / "plain")
    site = Place.at(tmp_path / "plain")
    plain = give(site, deed, "-e", "signal=none")
    assert plain.returncode == 0, plain.stderr
    ends(site, deed, "an undisturbed run")
    seen: dict[str, int] = {}
    points = []
    for line in (site.root / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.match(r"(\w+)\(", line):
            seen[found[1]] = seen.get(found[1], 0) + 1
            points.append((found[1], seen[found[1]]))
    chosen = points[one_in // 2 :: one_in]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(survives, template, tmp_path / f"{c}-{n}", deed, c, n) for c, n in chosen]
        reached = sum(run.result() for run in runs)
    assert reached >= 0.9 * len(chosen)
    return len(points)


@pytest.mark.long
@pytest.mark.parametrize("deed", list(WORDS))
def test_killed_at_some_durable_steps(template: Path, tmp_path: Path, deed: str) -> None:
    """One in nine of the points of the whole matrix."""
    assert matrix(template, tmp_path, deed, one_in=9) >= 8


@pytest.mark.long
@pytest.mark.parametrize("deed", list(WORDS))
def test_killed_at_every_durable_step(template: Path, tmp_path: Path, deed: str) -> None:
    """Wherever it dies, the file is held and sealed, or has come to its end; given again, it comes there."""
    assert matrix(template, tmp_path, deed) >= 8
