"""`dlp logout`: be known no more."""

from __future__ import annotations

from pathlib import Path

import click

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.service.desk import Desk
from dlp.service.people import People


@click.command("logout")
@faces.options
def command(config_path: Path | None) -> None:
    """退出登录。 Log out."""
    if token := persons.token():
        with Desk.open(faces.settings(config_path)) as desk:
            People(desk.store, desk.config.people).log_out(token)
        persons.keep("")
    faces.say(tr("已退出", "logged out"))
