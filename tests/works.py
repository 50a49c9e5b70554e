"""A gate's line at work in this process: real books, vault, folders and sandbox, and only the packs that are needed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlp import config
from dlp.model import Outcome
from dlp.service.gate import Gate
from dlp.service.keys import deployment_key
from dlp.service.line import Line
from dlp.service.places import channels, open_vault
from dlp.store.sqlite import SqliteStore
from sites import Place, lay

PACKS = ("cn.marks", "cn.identity")


def unused() -> list[str]:
    """Return the ids of the shipped packs that a test of marks does not need."""
    packs = (tomllib.loads(p.read_text(encoding="utf-8"))["pack"]["id"] for p in config.shipped_packs().glob("*.toml"))
    return [name for name in packs if name not in PACKS]


class Works:
    """One site whose jobs are run by the test itself."""

    def __init__(self, root: Path, gate: Gate, *, extra: str = "", site: str = "", vault: str = "") -> None:
        self.place: Place = lay(root, extra=extra)
        text = self.place.config.read_text(encoding="utf-8").replace("[vault]\n", f"[vault]\n{vault}")
        self.place.config.write_text(text.replace('qualification = "无"', site or 'qualification = "无"'), "utf-8")
        self.config = config.read(self.place.config)
        self.key = deployment_key(self.place.state)
        self._gate = gate
        self.open()

    def open(self) -> None:
        """Open books and vault, as a start does."""
        self.store = SqliteStore.open(self.config.store.path, create=True)
        self.vault = open_vault(self.config)
        self.line = Line(
            config=self.config,
            kit=self._gate.kit._replace(policy=self.config.policy),
            vault=self.vault,
            store=self.store,
            sources=channels(self.config, self.key),
        )

    def again(self) -> None:
        """Do what a start does after a crash: everything that was under way is carried on."""
        self.store.close()
        self.open()
        self.vault.drop_unfinished()
        for job in self.line.unfinished():
            self.line.finish(job)
        self.line.drop_leftovers()

    def run(self, name: str, content: bytes) -> Outcome:
        """Put a file into the outgoing folder and carry it along the line."""
        self.place.put(name, content)
        return self.sweep()[0]

    def sweep(self) -> list[Outcome]:
        """Carry along what lies in the outgoing folder."""
        (source,) = self.line.sources.values()
        found = source.sweep(lambda *_: None)  # type: ignore[union-attr]
        return [outcome for one in found if (outcome := self.line.submit(one)) is not None]

    def kinds(self) -> list[str]:
        """Return the kinds of all events, oldest first."""
        return [event.kind for event in self.store.events()]

    @property
    def back(self) -> Path:
        """Return the folder for what is handed back."""
        return self.config.folders[0].back


@contextmanager
def gate_of(root: Path) -> Iterator[Gate]:
    """Give a gate whose sandbox and scanner serve every site of a test module."""
    with Gate(config.parse(f"[packs]\ndisabled = {unused()}\n", file="test", base=root), key=bytes(32)) as gate:
        yield gate
