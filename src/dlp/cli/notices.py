"""`dlp notices`: what waits to be sent, and a test. Who is told of what is set in the configuration ([notices])."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say
from dlp.notice import KINDS, NOTICES, QUEUED, Notice
from dlp.rights import Operation
from dlp.service import records, sending
from dlp.store.record import RecordFilter


@click.group("notices")
def command() -> None:
    """通知：查看队列、测试。 Notices: see the queue, send a test."""


@command.command("list")
@persons.asking
@click.option("--all", "everything", is_flag=True, help="含已发出的。 Those that were sent too.")
def list_(config_path: Path | None, *, as_json: bool, everything: bool) -> None:
    """列出待发的通知。 List what waits to be sent."""
    with persons.desk(config_path) as desk:
        desk.acting.may(Operation.HEALTH_READ)
        found = desk.store.records(NOTICES, RecordFilter(states=() if everything else (QUEUED,)))
    if as_json:
        faces.lines(msgspec.to_builtins(one) for one in found)
        return
    titles = (tr("时间", "time"), tr("事项", "what"), tr("任务", "job"), tr("去向", "to"), tr("状态", "state"))
    said = (
        (records.moment(one.at), KINDS[one.kind].to(faces.language()), one.job, one.channel, one.status)
        for one in found
    )
    faces.table(titles, said)


@command.command("test")
@persons.asking
def test(config_path: Path | None, *, as_json: bool) -> None:
    """立即向每个去向发一条测试通知。 Send a test to every place now."""
    with persons.desk(config_path) as desk:
        desk.acting.may(Operation.HEALTH_READ)
        ways = sending.channels(desk.config)
        if not ways:
            raise UsageError(
                Say("没有配置通知去向，不外连", "nobody is named to send notices to; nothing connects anywhere"),
                Say("在配置 [notices] 写明 host 或 webhooks", "set host or webhooks in [notices]"),
            )
        now = time.time()
        for channel, send in ways.items():
            send(Notice(id=f"test-{int(now)}-{channel}", kind="test", channel=channel, at=now))
            if as_json:
                faces.line({"channel": channel, "sent": True})
            else:
                faces.say(tr(f"已发出：{channel}", f"sent: {channel}"))
