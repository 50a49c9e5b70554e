"""`dlp login`: be known at this terminal for a while."""

from __future__ import annotations

from pathlib import Path

import click

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.service.desk import Desk
from dlp.service.people import People


@click.command("login")
@faces.options
@click.argument("account")
@persons.password_option
def command(config_path: Path | None, account: str, password_file: str | None) -> None:
    """以账号登录；到时自动失效（people.session_minutes）。 Log in; it ends by itself after a while."""
    given = persons.password(tr("口令", "password"), password_file)
    with Desk.open(faces.settings(config_path)) as desk:
        people = People(desk.store, desk.config.people)
        persons.keep(people.log_in(account, given))
        who = people.get(account)
    faces.say(tr(f"已登录：{who.name}（{account}）", f"logged in: {who.name} ({account})"))
