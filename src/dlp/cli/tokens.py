"""`dlp tokens`: what programs show to the interface for programs."""

from __future__ import annotations

from pathlib import Path

import click

from dlp.account import Session
from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.service import records
from dlp.service.tokens import MOST_DAYS, Tokens, operations


@click.group("tokens")
def command() -> None:
    """程序令牌：签发、查看、注销。 Tokens for programs: make, list, end."""


@command.command("make")
@persons.asking
@click.argument("name")
@click.option(
    "--scope", multiple=True, required=True, metavar="OPERATION", help="可办事项，可重复，如 job.list。 What it may do."
)
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=90, show_default=True, help="有效天数。 For so long."
)
def make(config_path: Path | None, name: str, scope: tuple[str, ...], days: int, *, as_json: bool) -> None:
    """签发一个令牌，只显示一次。 Make a token; it is shown once."""
    with persons.desk(config_path) as desk:
        made, token = Tokens(desk.acting).make(name, operations(scope), days)
    if as_json:
        faces.line({**records.token(made), "token": token})
        return
    faces.say(tr(f"令牌（只显示这一次）：{token}", f"the token, shown once: {token}"))
    until = records.moment(made.until)
    faces.say(
        tr(f"有效至 {until}；请求头 Authorization: Bearer …", f"until {until}; send it as Authorization: Bearer …")
    )


@command.command("list")
@persons.asking
def list_(config_path: Path | None, *, as_json: bool) -> None:
    """列出本人的令牌。 List one's own tokens."""
    with persons.desk(config_path) as desk:
        found = Tokens(desk.acting).all()
    if as_json:
        faces.lines(records.token(one) for one in found)
        return
    titles = (tr("编号", "number"), tr("名称", "name"), tr("范围", "scope"), tr("有效至", "until"))
    faces.table(titles, (_row(one) for one in found))


@command.command("end")
@persons.asking
@click.argument("number")
def end(config_path: Path | None, number: str, *, as_json: bool) -> None:
    """注销一个令牌。 End a token."""
    with persons.desk(config_path) as desk:
        Tokens(desk.acting).end(number)
    if as_json:
        faces.line({"id": number, "ended": True})
    else:
        faces.say(tr("令牌已注销", "the token is ended"))


def _row(one: Session) -> tuple[str, ...]:
    return one.id, one.name, " ".join(scope.value for scope in one.scope or ()), records.moment(one.until)
