"""kill -9 at every durable system call of take, release and settle: nothing lost, nothing doubled, nothing leaked.

strace stops the real program at its N-th real system call of a kind and kills it there. There is no test switch in the
product. After each kill the gate is started again and must bring the job to the same end as an undisturbed run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlp import certificate, config
from dlp.service import signing
from dlp.service.desk import Desk
from sites import Place, lay
from test_line import CONTRACT, LETTER, MARKED

STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed (Debian package: strace)")

DURABLE = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat"
EVERY = DURABLE + ",pwrite64,write,ftruncate,sendto"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(500)
JOBS = {"allow": LETTER, "block": MARKED, "redact": CONTRACT, "quarantine": PICTURE}


def traced(site: Place, calls: str, *inject: str) -> subprocess.CompletedProcess[str]:
    """Run `dlp run --once` under strace; only the main thread is traced, and that is the one that settles jobs."""
    log = site.root / "trace"
    return subprocess.run(
        [
            STRACE or "strace",
            "-o",
            str(log),
            "-e",
            f"trace={calls}",
            *inject,
            sys.executable,
            "-m",
            "dlp",
            "run",
            "--once",
        ],
        cwd=site.root,
        env={**os.environ, "DLP_CONFIG": str(site.config)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a site whose keys and store were made by an earlier run; each kill gets a copy of it."""
    root = tmp_path_factory.mktemp("template") / "site"
    root.mkdir()
    packs = (
        tomllib.loads(path.read_text(encoding="utf-8"))["pack"]["id"] for path in config.shipped_packs().glob("*.toml")
    )
    # The steps of a job do not depend on how much is looked for; the two packs that these files need start fastest.
    unused = [name for name in packs if name not in ("cn.marks", "cn.identity")]
    site = lay(root, extra=f"[packs]\ndisabled = {json.dumps(unused)}\n")
    site.run("run", "--once")
    signing.signing_key(site.state)  # kills while it is made are in test_certificate
    return root


def prepared(template: Path, root: Path, verdict: str) -> Place:
    """Copy the template and put one file in."""
    shutil.copytree(template, root)
    site = Place.at(root)
    site.put(f"{verdict}.txt", JOBS[verdict])
    return site


def ends(site: Place, verdict: str) -> None:
    """Assert that the job came to its one right end."""
    name = f"{verdict}.txt"
    out = site.files(site.released)
    sealed = list((site.vault / "q").iterdir())
    assert not (site.outbox / name).exists(), "the source file was left behind"
    if verdict == "allow":
        assert out == [name], out
        assert (site.released / name).read_bytes() == LETTER
        assert sealed == []
    elif verdict == "redact":
        assert out == [name], out
        assert b"110101199003071233" not in (site.released / name).read_bytes()
        assert len(sealed) == 1
        assert is_certified(site)
    else:
        assert out == [], out
        given = site.files(site.outbox.with_name("外发-退还")) if verdict == "block" else []
        assert (len(sealed), len(given)) == ((0, 1) if verdict == "block" else (1, 0))
        with Desk.open(config.read(site.config)) as desk:
            assert [(job.item.name, job.state.value) for job in desk.held()] == [
                (name, "withheld" if verdict == "block" else "held")
            ]
    if verdict != "allow":
        receipts = [p for p in site.files(site.outbox) if p.endswith(".拦截说明.txt")]
        assert len(receipts) == 1, receipts
    with Desk.open(config.read(site.config)) as desk:
        seen = desk.audit_verify()
    assert seen.faults == ()
    assert seen.report.sealed == seen.report.count
    assert seen.checkpoints


def is_certified(site: Place) -> bool:
    """Tell whether the books hold the certificate of exactly the copy that lies in the release folder."""
    with Desk.open(config.read(site.config)) as desk:
        (job,) = (job for job in desk.store.jobs() if job.certificate)
        signed = desk.certificate(job.id)
    sha256 = hashlib.sha256((site.released / "redact.txt").read_bytes()).hexdigest()
    return certificate.is_genuine(signed) and signed.output_sha256 == sha256


def survives(template: Path, root: Path, verdict: str, call: str, number: int, *, only: str = "") -> bool:
    """Kill at the `number`-th system call of kind `call` (on the file `only` of the state); let the gate run again.

    False where there was no such call this time: how often a busy machine makes the gate look again is not fixed.
    """
    site = prepared(template, root, verdict)
    path = ("-P", str(site.state / only)) if only else ()
    killed = traced(site, call, *path, "-e", f"inject={call}:signal=SIGKILL:when={number}")
    if killed.returncode == 0:
        ends(site, verdict)
        return False
    assert killed.returncode in (-9, 137), f"{call} {number}: {killed.returncode} {killed.stderr}"
    for path in site.released.iterdir():
        whole = path.name.startswith(".dlp-") or verdict in ("allow", "redact")
        assert whole, f"{path.name} leaked at {call} {number}"
        assert verdict != "redact" or b"110101199003071233" not in path.read_bytes()
        assert path.name != "redact.txt" or is_certified(site), f"it left without its certificate at {call} {number}"
    site.run("run", "--once")
    try:
        ends(site, verdict)
    except AssertionError as err:
        raise AssertionError(f"after kill at {call} {number}: {err}") from err
    shutil.rmtree(root)
    return True


def matrix(template: Path, tmp_path: Path, verdict: str, calls: str, *, one_in: int = 1) -> int:
    """Kill at each of the calls that an undisturbed run makes, or at one in so many; return how many there were."""
    site = prepared(template, tmp_path / "plain", verdict)
    plain = traced(site, calls)
    assert plain.returncode == 0, plain.stderr
    ends(site, verdict)
    seen: dict[str, int] = {}
    points = []
    for line in (site.root / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.match(r"(\w+)\(", line):
            call = found[1]
            seen[call] = seen.get(call, 0) + 1
            points.append((call, seen[call]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [
            pool.submit(survives, template, tmp_path / f"{call}-{number}", verdict, call, number)
            for call, number in points[one_in // 2 :: one_in]
        ]
        reached = sum(run.result() for run in runs)
    assert reached >= 0.9 * len(runs), f"only {reached} of {len(runs)} points were reached"
    return len(points)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("verdict", list(JOBS))
def test_killed_at_some_durable_steps(template: Path, tmp_path: Path, verdict: str) -> None:
    """One in six of the points of the whole matrix, which `make test-long` goes through."""
    assert matrix(template, tmp_path, verdict, DURABLE, one_in=6) >= 8


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("verdict", list(JOBS))
def test_killed_at_every_durable_step(template: Path, tmp_path: Path, verdict: str) -> None:
    """Whatever fsync, rename or unlink the gate dies at, the job comes to its one right end."""
    assert matrix(template, tmp_path, verdict, DURABLE) >= 8


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_every_move_of_the_audit_key(template: Path, tmp_path: Path) -> None:
    """Each event is committed before its key is written: whichever write of the key file never comes, all is sealed."""
    site = prepared(template, tmp_path / "plain", "redact")
    plain = traced(site, "pwrite64", "-P", str(site.state / "audit.key"))
    assert plain.returncode == 0, plain.stderr
    moves = (site.root / "trace").read_text(encoding="utf-8", errors="replace").count("pwrite64(")
    assert moves >= 8
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [
            pool.submit(survives, template, tmp_path / str(n), "redact", "pwrite64", n, only="audit.key")
            for n in range(1, moves + 1)
        ]
        assert sum(run.result() for run in runs) >= moves - 1


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("verdict", list(JOBS))
def test_killed_at_every_write(template: Path, tmp_path: Path, verdict: str) -> None:
    """The same at every single write of the store, the vault and the release folder."""
    assert matrix(template, tmp_path, verdict, EVERY) >= 30


def test_sync_comes_before_rename_before_unlink(template: Path, tmp_path: Path) -> None:
    """SIGKILL cannot show a missing fsync, so the order of the system calls is read from the trace."""
    site = prepared(template, tmp_path / "site", "allow")
    done = traced(site, "openat,fsync,fdatasync,rename,renameat2,unlink,unlinkat", "-y")
    assert done.returncode == 0, done.stderr
    lines = (site.root / "trace").read_text(encoding="utf-8", errors="replace").splitlines()

    def first(pattern: str, after: int = 0) -> int:
        for number in range(after, len(lines)):
            if re.search(pattern, lines[number]):
                return number
        raise AssertionError(f"no line {pattern} after {after}:\n" + "\n".join(lines[after:]))

    sealed = first(r"fsync\(.*/vault/q/[0-9A-Z]{26}.*tmp")
    renamed = first(r"rename.*/?[0-9A-Z]{26}\.tmp.*[0-9A-Z]{26}\.age", sealed)
    folder = first(r"fsync\(.*/vault/q>", renamed)
    stored = first(r"f(data)?sync\(.*gate\.db-wal", folder)
    removed = first(r"unlink.*allow\.txt", stored)
    first(r"fsync\(.*/外发>|fsync\(.*\\345\\244\\226\\345\\217\\221>", removed)
    staged = first(r"fsync\(.*\.dlp-", removed)
    releasing = first(r"f(data)?sync\(.*gate\.db-wal", staged)
    published = first(r"rename.*\.dlp-.*allow\.txt", releasing)
    synced = first(r"fsync\(.*(已放行|\\345\\267\\262)", published)
    settled = first(r"f(data)?sync\(.*gate\.db-wal", synced)
    first(r"unlink.*[0-9A-Z]{26}\.age", settled)
