"""A site for tests: configuration, folders, and a gate run as the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where the parts of a test site are."""

    root: Path
    config: Path
    outbox: Path
    released: Path
    vault: Path
    state: Path

    @classmethod
    def at(cls, root: Path) -> Place:
        """Return the place of a site that lies at `root`."""
        return cls(root, root / "config.toml", root / "外发", root / "已放行", root / "vault", root / "state")

    def run(self, *args: str, check: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `dlp ARGS` of this site as a program; `check` is the exit code that must come (None: any)."""
        done = subprocess.run(
            [sys.executable, "-m", "dlp", *args],
            cwd=self.root,
            env={**os.environ, "DLP_CONFIG": str(self.config), "TMPDIR": str(self.scratch())},
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 120),
            check=False,
            **options,
        )
        if check is not None:
            assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def scratch(self) -> Path:
        """Return a folder for temporary files of the gate alone, so that a test can look into it."""
        folder = self.root / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def json(self, *args: str, check: int | None = 0) -> list[dict[str, Any]]:
        """Run `dlp ARGS --json` and return its lines."""
        return [json.loads(line) for line in self.run(*args, "--json", check=check).stdout.splitlines()]

    def jobs(self) -> dict[str, str]:
        """Return file name -> state of every job that is held or blocked."""
        return {row["name"]: row["state"] for row in self.json("quarantine", "list")}

    def put(self, name: str | bytes, content: bytes) -> Path:
        """Put a finished file into the outgoing folder: written elsewhere, moved in."""
        part = self.root / "writing.part"
        part.write_bytes(content)
        target = Path(os.fsdecode(os.fsencode(self.outbox) + b"/" + os.fsencode(name)))
        part.rename(target)
        return target

    def files(self, folder: Path) -> list[str]:
        """Return the relative paths of all files below `folder`."""
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def lay(root: Path, *, extra: str = "", sections: Sequence[str] = (), port: int = 0) -> Place:
    """Write a configuration with one folder below `root`; `extra` is more TOML, `port` the console's (0: none)."""
    place = Place.at(root)
    place.outbox.mkdir()
    place.released.mkdir()
    text = f"""
[site]
unit = "测试文印中心"
qualification = "无"

[[folders]]
name = "外发"
watch = "外发"
release = "已放行"
settle_seconds = 0.2
owner = "一号窗口"

[vault]
folder = "vault"
identity = "vault/identity.age-key"
work_key = "vault/work.age-key"

[store]
path = "state/gate.db"

[console]
port = {port}
{extra}
"""
    if "[audit]" not in text + "".join(sections):
        text += '[audit]\nsyslog = ""\n'  # a test says nothing to the log of the machine
    place.config.write_text(text + "\n".join(sections), encoding="utf-8")
    return place
