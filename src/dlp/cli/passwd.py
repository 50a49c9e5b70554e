"""`dlp passwd`: set one's own password."""

from __future__ import annotations

from pathlib import Path

import click

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.service.desk import Desk
from dlp.service.people import People


@click.command("passwd")
@faces.options
@click.argument("account")
@persons.password_option
@click.option("--new-file", metavar="FILE", help="从文件读新口令。 Read the new password from a file.")
def command(config_path: Path | None, account: str, password_file: str | None, new_file: str | None) -> None:
    """更改本人口令，其他登录随之失效。 Set one's own password; every session ends."""
    old = persons.password(tr("现口令", "present password"), password_file)
    new = persons.password(tr("新口令", "new password"), new_file, twice=True)
    with Desk.open(faces.settings(config_path)) as desk:
        People(desk.store, desk.config.people).change_password(account, old, new)
    faces.say(tr("口令已更改，请重新登录", "the password is changed; log in again"))
