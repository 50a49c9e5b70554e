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
@click.option("--everywhere", is_flag=True, help="本账号在各处的登录全部退出。 Wherever this account is logged in.")
def command(config_path: Path | None, *, everywhere: bool) -> None:
    """退出登录。 Log out."""
    if token := persons.token():
        with Desk.open(faces.settings(config_path)) as desk:
            people = People(desk.store, desk.config.people)
            (people.log_out_everywhere if everywhere else people.log_out)(token)
        persons.keep("")
    faces.say(tr("已退出", "logged out"))
