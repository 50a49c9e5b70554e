"""`dlp audit`: verify and export the hash-chained trail."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import msgspec

from dlp import audit, durable
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.errors import AuditBroken, UsageError
from dlp.model import Say
from dlp.service.desk import Desk


@click.group("audit")
def command() -> None:
    """审计链：校验、导出。 The audit trail: verify, export."""


@command.command("verify")
@faces.options
@faces.json_option
def verify(config_path: Path | None, *, as_json: bool) -> None:
    """校验整条审计链；有改动即退出码 7。 Verify the whole chain; exit 7 when it was changed."""
    with Desk.open(faces.settings(config_path)) as desk:
        report = desk.audit_verify()
    if as_json:
        faces.line({"ok": report.broken_at is None, **msgspec.to_builtins(report)})
    if report.broken_at is not None:
        raise AuditBroken(
            Say(
                f"审计链在第 {report.broken_at} 条断开（之前 {report.count} 条完好）",
                f"the audit chain breaks at event {report.broken_at} ({report.faults[0].say.en})",
            ),
            Say("保留现场，报告保密员，从备份核对", "change nothing, report it, compare with a backup"),
        )
    if not as_json:
        faces.say(tr(f"审计链完好：{report.count} 条", f"the audit chain holds: {report.count} events"))
        faces.say(tr(f"链尾：{report.head}", f"head: {report.head}"))


@command.command("export")
@faces.options
@faces.json_option
@click.option("--out", type=click.Path(path_type=Path), help="写到此文件（不覆盖）。 Write to this new file.")
def export(config_path: Path | None, out: Path | None, *, as_json: bool) -> None:
    """导出全部审计事件，每行一个 JSON。 Export every event, one JSON object a line."""
    del as_json  # the trail has one form
    with Desk.open(faces.settings(config_path)) as desk:
        if out is None:
            audit.export(desk.events(), sys.stdout)
            return
        text = io.StringIO()
        count = audit.export(desk.events(), text)
    try:
        durable.write_new(out, text.getvalue().encode("utf-8"))
    except FileExistsError as err:
        raise UsageError(Say(f"文件已存在，不覆盖：{out}", f"the file exists and is not overwritten: {out}")) from err
    faces.say(tr(f"已导出 {count} 条：{out}", f"{count} events exported: {out}"))
