"""An office for tests of registers and destruction: its people, its books and vault, and jobs that have come so far."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from dlp import config
from dlp.approval import Case, Decision
from dlp.copies import COPIES, Copy
from dlp.model import Action, Item, Level, Regime, State, Verdict
from dlp.request import Recipient
from dlp.rights import Operation, Role
from dlp.service.cases import Asking
from dlp.service.keys import new_id
from dlp.service.people import People
from dlp.service.places import open_vault
from dlp.store import Job
from dlp.store.sqlite import SqliteStore
from dlp.vault import Vault
from staff import House, hash_quickly

STAFF = {
    "opa": Role.OPERATOR,
    "opb": Role.OPERATOR,
    "rev": Role.REVIEWER,
    "rev2": Role.REVIEWER,
    "cla": Role.CLASSIFIER,
    "dep": Role.DEPARTMENT_HEAD,
    "hed": Role.SECRETARIAT_HEAD,
    "lea": Role.LEADER,
}
PAPER = b"a paper that is kept sealed\n"


class Terminal(NamedTuple):
    """Where people call the program."""

    root: Path

    def run(self, who: str, *args: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `dlp ARGS` as somebody; `check` is the exit code that must come (None: any)."""
        about = {"DLP_CONFIG": str(self.root / "config.toml"), "DLP_SESSION": str(self.root / f"{who}.session")}
        done = subprocess.run(
            [sys.executable, "-m", "dlp", *args],
            cwd=self.root,
            env={**os.environ, **about},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check is not None:
            assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, who: str, *args: str) -> list[dict[str, Any]]:
        """Run `dlp ARGS --json` as somebody and return its lines."""
        return [json.loads(line) for line in self.run(who, *args, "--json").stdout.splitlines()]


SETTINGS = """[people]
session_minutes = 720
[store]
path = "state/gate.db"
[vault]
folder = "vault"
identity = "vault/identity.age-key"
work_key = "vault/work.age-key"
[audit]
syslog = ""
"""


class Office(House):
    """A site with everybody it takes, in one process."""

    def __init__(self, root: Path) -> None:
        settings = root / "config.toml"
        settings.write_text(SETTINGS, encoding="utf-8")
        super().__init__(root, settings)
        for who, role in STAFF.items():
            self.add(who, role)
        self.add("twin", Role.CLASSIFIER, natural="n-opa")
        self.vault: Vault = open_vault(self.config)
        for who in (*STAFF, "twin", "sys", "sec", "aud"):
            (root / f"{who}.session").write_text(f"{self.token(who)}\n", encoding="ascii")

    @classmethod
    def reopen(cls, root: Path) -> Self:
        """Open an office that was closed, or that died; everybody is still logged in."""
        made = cls.__new__(cls)
        made.settings = root / "config.toml"
        made.config = config.read(made.settings)
        made.store = SqliteStore.open(root / "state" / "gate.db", create=False)
        made.people = People(made.store, made.config.people)
        made.given = {}
        made._tokens = {path.stem: path.read_text(encoding="ascii").strip() for path in root.glob("*.session")}
        made.vault = open_vault(made.config)
        return made

    def confirm(self, account: str, number: str) -> None:
        """Confirm as the second person."""
        self.desk(account).seconds.confirm(number)

    def job(
        self,
        state: State,
        *,
        name: str = "通知.docx",
        level: Level | None = None,
        regime: Regime | None = None,
        days: float = 0.0,
        copies: int = 1,
        content: bytes = PAPER,
        owner: str = "一号窗口",
        pages: int | None = None,
        paper: str = "",
    ) -> Job:
        """Write a job that has come so far, `days` ago, with its sealed file in the vault."""
        moment = time.time() - days * 86_400
        id_ = new_id(moment)
        source = self.root / "source"
        source.write_bytes(content)
        fd = os.open(source, os.O_RDONLY)
        try:
            taken = self.vault.take(fd, id_, keep=1 << 20)
        finally:
            os.close(fd)
        if taken.body is not None:
            os.close(taken.body)
        item = Item(
            id=id_,
            source="folder:外发",
            path=name,
            name=name,
            size=taken.sealed.size,
            sha256=taken.sealed.sha256,
            owner=owner,
            target="已放行",
            copies=copies,
            paper=paper,
            received=moment,
        )
        verdict = Verdict(action=Action.QUARANTINE, level=level, regime=regime)
        job = Job(
            id=id_,
            item=item,
            state=state,
            verdict=verdict,
            pages=pages,
            sealed=taken.sealed,
            created=moment,
            updated=moment,
        )
        return self.store.add(job, actor="test", kind="taking", body={})

    @property
    def root(self) -> Path:
        """Return where everything lies."""
        return Path(self.config.store.path).parent.parent

    def approved(self, job: Job, *, copies: int = 2, due: float | None = None, to: tuple[str, ...] = ("王某",)) -> Case:
        """Ask for copies of a held job, and have it signed by everybody it takes."""
        asking = Asking(
            copies=copies,
            purpose="会议使用",
            recipients=tuple(Recipient(name=name) for name in to),
            return_by=due,
            unit="综合科",
        )
        case = self.desk("opa").cases.ask(job.id, asking)
        signers = {role: account for account, role in STAFF.items()}
        for step in case.steps:
            cases = self.desk(signers[step.roles[0]]).cases
            case = cases.sign(case.id, Decision.APPROVE, cases.binding(case), reason="同意")
        return case

    def printed(
        self,
        *,
        copies: int = 2,
        due: float | None = None,
        to: tuple[str, ...] = ("王某",),
        name: str = "通知.docx",
        level: Level | None = Level.SENSITIVE,
        pages: int | None = None,
        paper: str = "",
        stamped: int = 0,
    ) -> tuple[Copy, ...]:
        """Let a held job go on its approval, and say that it left; return its copies."""
        regime = Regime.WORK if level else None
        job = self.job(State.HELD, name=name, level=level, regime=regime, pages=pages, paper=paper)
        case = self.approved(job, copies=copies, due=due, to=to)
        clearing = self.desk("opa").cases.cleared(case.id, job, copies)
        self.store.move(
            job.id,
            expect=State.HELD,
            to=State.RELEASING,
            actor="opa",
            kind="releasing",
            body={},
            beside=clearing,
            stamped=stamped,
        )
        item = self.store.get(job.id).item
        self.store.move(
            job.id,
            expect=State.RELEASING,
            to=State.RELEASED,
            actor="gate",
            kind="released",
            body={},
            item=type(item)(**{**{f: getattr(item, f) for f in item.__struct_fields__}, "copies": copies}),
        )
        return self.copies(job.id)

    def copies(self, job: str) -> tuple[Copy, ...]:
        """Return the copies of a job by number."""
        found = [copy for copy in self.store.records(COPIES) if copy.job == job]
        return tuple(sorted(found, key=lambda copy: copy.number))

    def approve(self, list_id: str) -> None:
        """Approve a destruction list by the two that it takes."""
        asked = self.desk("hed").seconds.ask(Operation.DESTROY_APPROVE, list_id, {})
        self.confirm("lea", asked.id)


@pytest.fixture(scope="session")
def closed_office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an office with everybody it takes, closed, to be copied: it takes long to employ them."""
    with pytest.MonkeyPatch.context() as patch:
        # Hashed as always, with less work for each.
        hash_quickly(patch)
        made = Office(tmp_path_factory.mktemp("office"))
        made.close()
        return made.root


@pytest.fixture
def office(closed_office: Path, tmp_path: Path) -> Iterator[Office]:
    """Give an office with everybody it takes."""
    shutil.copytree(closed_office, tmp_path / "office")
    made = Office.reopen(tmp_path / "office")
    yield made
    made.store.close()
