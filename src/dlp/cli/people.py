"""`dlp people`: accounts, roles, and what waits for a second person. `dlp login`, `logout`, `passwd`: oneself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dlp.account import Account
from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say
from dlp.rights import ROLES, Operation, Role, right
from dlp.service import accounts, records, wording
from dlp.service.desk import Desk
from dlp.service.people import People
from dlp.service.second import Change


@click.group("people")
def command() -> None:
    """人员：账号、角色、须第二人确认的事项。 People: accounts, roles, and what waits for a second person."""


@command.command("begin")
@faces.options
@faces.json_option
@click.option("--system", required=True, metavar="ACCOUNT:NAME:NUMBER", help="系统管理员。 The system administrator.")
@click.option("--security", required=True, metavar="ACCOUNT:NAME:NUMBER", help="安全保密管理员。 The security one.")
@click.option("--auditor", required=True, metavar="ACCOUNT:NAME:NUMBER", help="安全审计员。 The audit one.")
def begin(config_path: Path | None, *, as_json: bool, **named: str) -> None:
    """建立三员账号，给出各自的一次性口令（只显示一次）。

    Make the three administrators; their one-time passwords are shown once. From then on everything at the desk is done
    by somebody who has logged in.
    """
    wanted = {Role(word): _three(value) for word, value in named.items() if value}
    with Desk.prepare(faces.settings(config_path)) as desk:
        given = People(desk.store, desk.config.people).begin(wanted)
    for role, (account, name, _) in wanted.items():
        _tell_password(account, given[account], f"{ROLES[role].to(faces.language())} {name}", as_json=as_json)


@command.command("list")
@faces.options
@faces.json_option
def list_(config_path: Path | None, *, as_json: bool) -> None:
    """列出账号。 List accounts."""
    with persons.desk(config_path) as desk:
        desk.acting.may(Operation.ACCOUNT_LIST)
        found = People(desk.store, desk.config.people).all()
    if as_json:
        faces.lines(records.account(one) for one in found)
        return
    titles = (
        *(tr("账号", "account"), tr("姓名", "name"), tr("工号", "number"), tr("部门", "unit"), tr("角色", "roles")),
        *(tr("状态", "state"), tr("到期", "expires")),
    )
    faces.table(titles, (_row(one) for one in found))


def _row(one: Account) -> tuple[str, ...]:
    lang = faces.language()
    roles = "、".join(ROLES[role].to(lang) for role in one.roles) or "-"
    state = tr("有效", "active") if one.active else tr("停用", "locked")
    until = records.moment(one.until) if one.until else "-"
    return one.id, one.name, one.natural, one.unit or "-", roles, state, until


@command.command("add")
@persons.asking
@click.argument("account")
@click.option("--name", required=True, help="姓名。 Name.")
@click.option(
    "--number", "natural", required=True, help="工号（同一人的几个账号工号相同）。 Staff number of the person."
)
@click.option("--unit", default="", help="处、科或窗口。 Department or counter.")
@click.option("--post", default="", help="职务。 Post.")
@click.option("--until", callback=faces.day, help="账号到期日。 The account expires on this day.")
def add(config_path: Path | None, account: str, until: float | None, *, as_json: bool, **words: str) -> None:
    """新建账号；由安全保密管理员确认后生效，并给出一次性口令。 Add an account; confirmed by a second person."""
    accounts.check_new(account, words)
    _ask(config_path, Operation.ACCOUNT_ADD, account, {**words, "until": until or 0.0}, as_json=as_json)


@command.command("change")
@persons.asking
@click.argument("account")
@click.option("--name", help="姓名。 Name.")
@click.option("--unit", help="处、科或窗口。 Department or counter.")
@click.option("--post", help="职务。 Post.")
@click.option("--until", callback=faces.day, help="账号到期日。 The account expires on this day.")
def change(config_path: Path | None, account: str, *, as_json: bool, **words: Any) -> None:
    """修改账号；须第二人确认。 Change an account; confirmed by a second person."""
    given = {key: value for key, value in words.items() if value is not None}
    if not given:
        raise UsageError(Say("没有写明修改什么", "nothing to change was named"))
    _ask(config_path, Operation.ACCOUNT_CHANGE, account, given, as_json=as_json)


@command.command("roles")
@persons.asking
@click.argument("account")
@click.argument("roles", nargs=-1)
def roles(config_path: Path | None, account: str, roles: tuple[str, ...], *, as_json: bool) -> None:
    """设定账号的全部角色（不写即收回）；须第二人确认。 Set all roles of an account; confirmed by a second person."""
    words = {"roles": [role.value for role in accounts.roles_of(roles)]}
    _ask(config_path, Operation.ROLE_CHANGE, account, words, as_json=as_json)


@command.command("lock")
@persons.asking
@click.argument("account")
@click.option("--reason", required=True, help="理由，写入审计。 Why; kept in the audit trail.")
def lock(config_path: Path | None, account: str, reason: str, *, as_json: bool) -> None:
    """立即停用账号。 Stop an account at once."""
    with persons.desk(config_path) as desk:
        locked = accounts.lock(desk.acting, account, reason)
    if as_json:
        faces.line(records.account(locked))
    else:
        faces.say(tr(f"账号 {account} 已停用", f"the account {account} is locked"))


@command.command("unlock")
@persons.asking
@click.argument("account")
def unlock(config_path: Path | None, account: str, *, as_json: bool) -> None:
    """恢复账号；须第二人确认。 Give an account back; confirmed by a second person."""
    _ask(config_path, Operation.ACCOUNT_UNLOCK, account, {}, as_json=as_json)


@command.command("reset")
@persons.asking
@click.argument("account")
def reset(config_path: Path | None, account: str, *, as_json: bool) -> None:
    """重置口令；须第二人确认，并给出一次性口令。 Reset a password; confirmed by a second person."""
    _ask(config_path, Operation.PASSWORD_RESET, account, {}, as_json=as_json)


@command.command("waiting")
@persons.asking
def waiting(config_path: Path | None, *, as_json: bool) -> None:
    """列出等待第二人确认的事项。 List what waits for a second person."""
    with persons.desk(config_path) as desk:
        found = desk.seconds.waiting()
    if as_json:
        faces.lines(records.change(one) for one in found)
        return
    titles = (tr("编号", "number"), tr("事项", "what"), tr("对象", "of"), tr("提出人", "by"), tr("内容", "content"))
    faces.table(
        titles, ((one.id, _what(one), one.subject, one.by, wording.of(one).to(faces.language())) for one in found)
    )


@command.command("confirm")
@persons.asking
@click.argument("number")
def confirm(config_path: Path | None, number: str, *, as_json: bool) -> None:
    """作为第二人确认一项，确认后立即执行。 Confirm as the second person; it is done at once."""
    with persons.desk(config_path) as desk:
        done, told = desk.seconds.confirm(number)
    if isinstance(told, str) and done.operation in (Operation.ACCOUNT_ADD, Operation.PASSWORD_RESET):
        _tell_password(done.subject, told, _what(done), as_json=as_json)
    else:
        _told(done, tr("已执行", "done"), as_json=as_json)


@command.command("refuse")
@persons.asking
@click.argument("number")
@click.option("--reason", required=True, help="理由。 Why.")
def refuse(config_path: Path | None, number: str, reason: str, *, as_json: bool) -> None:
    """不予确认，或撤回自己提出的一项。 Turn down what waits, or take back what one asked for."""
    with persons.desk(config_path) as desk:
        _told(desk.seconds.turn_down(number, reason), tr("已撤销", "turned down"), as_json=as_json)


def _ask(config_path: Path | None, operation: Operation, subject: str, words: dict[str, Any], *, as_json: bool) -> None:
    with persons.desk(config_path) as desk:
        asked = desk.seconds.ask(operation, subject, words)
    who = "、".join(ROLES[role].to(faces.language()) for role in right(operation).second)
    _told(
        asked,
        tr(f"等待{who}确认：dlp people confirm {asked.id}", f"waits for {who}: dlp people confirm {asked.id}"),
        as_json=as_json,
    )


def _told(one: Change, what: str, *, as_json: bool) -> None:
    if as_json:
        faces.line(records.change(one))
    else:
        faces.say(f"{_what(one)} {one.subject}  {what}")


def _what(one: Change) -> str:
    return right(one.operation).say.to(faces.language())


def _tell_password(account: str, password: str, who: str, *, as_json: bool) -> None:
    if as_json:
        faces.line({"account": account, "password": password})
    else:
        faces.say(f"{who}  {account}  {tr('一次性口令：', 'one-time password: ')}{password}")


def _three(value: str) -> tuple[str, str, str]:
    parts = value.split(":")
    if len(parts) != 3 or not all(part.strip() for part in parts):
        raise UsageError(Say(f"应为 账号:姓名:工号 —— {value}", f"must be ACCOUNT:NAME:NUMBER: {value}"))
    return parts[0], parts[1], parts[2]
