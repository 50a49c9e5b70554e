"""`dlp doctor`: what this machine and this configuration lack."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.service.doctor import examine


@click.command("doctor")
@faces.options
@faces.json_option
def command(config_path: Path | None, *, as_json: bool) -> int:
    """体检：沙箱、规则包、文件夹、隔离库、空间。 Look at sandbox, packs, folders, vault and space.

    Exit code: 0, or that of the first thing that is missing (8 sandbox, 4 packs, 3 folders, 6 vault, 5 store).
    """
    checks = examine(faces.settings(config_path))
    if as_json:
        faces.lines({"name": c.name, "ok": c.ok, "text": c.say.to(faces.language())} for c in checks)
    else:
        titles = ("", tr("项目", "what"), tr("情况", "state"))
        good, bad = Text("✓", style="green"), Text("✗", style="bold red")
        faces.table(titles, ((good if c.ok else bad, c.name, c.say.to(faces.language())) for c in checks))
    return next((c.exit for c in checks if not c.ok), 0)
