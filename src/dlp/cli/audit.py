"""`dlp audit`: begin, verify, sign, list and export the trail."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from dlp import checkpoint as form
from dlp import durable, origin, siem
from dlp.audit import AuditEvent
from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import AuditBroken, UsageError
from dlp.model import Say
from dlp.rights import Operation
from dlp.service import origins, records, trail
from dlp.service.desk import Desk
from dlp.service.files import write_all
from dlp.service.trail import Evidence, Verification
from dlp.store import EventFilter

PAGE = 100  # events that a list for people shows
FILE = click.Path(path_type=Path, dir_okay=False)
CAN_BE_READ = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group("audit")
def command() -> None:
    """审计链：开链、校验、检查点、查询、导出。 The audit trail: begin, verify, sign, list, export."""


@command.command("init")
@faces.options
@faces.json_option
@click.option("--renew", is_flag=True, help="密钥丢失或损坏后重新开链（记入审计）。 Begin anew after the key was lost.")
@click.option("--reason", default="", help="重新开链的理由。 Why; it is kept in the trail.")
@click.option("--out", type=FILE, help="开链凭据的副本写到此文件。 Write a copy of the origins to this new file.")
@click.option("--slip", type=FILE, help="可打印的开链凭据（DOCX）。 The origin on paper, as a Word file.")
def init(
    config_path: Path | None, out: Path | None, slip: Path | None, reason: str, *, renew: bool, as_json: bool
) -> None:
    """启用审计链的封印（首次启动时自动进行），并取出开链凭据交保管人。

    Seal the trail from now on (the first start does it too) and hand out its origin, to be kept off this machine.
    """
    config = faces.settings(config_path)
    if renew and not reason.strip():
        raise UsageError(Say("必须写明理由", "a reason is required"), Say("用 --reason 写明", "give it with --reason"))
    with Desk.prepare(config, persons.token()) as desk:
        if renew:
            who = desk.acting.may(Operation.AUDIT_CHECKPOINT)
            origins.renew(config, desk.store, actor=who.id, reason=reason)
        else:
            origins.begin(config, desk.store)
        begun = origins.kept(origins.file_of(config))
    made: list[tuple[Path, bytes | int]] = [(out, origin.write(begun))] if out else []
    if slip:
        from dlp.service import slips  # noqa: PLC0415  a tenth of a second that only a page is worth

        made.append((slip, slips.of_origin(config, begun[-1])))
    write_all(made)
    if as_json:
        faces.lines(msgspec.to_builtins(one) for one in begun)
        return
    faces.say(tr(f"链号：{begun[-1].chain}", f"chain: {begun[-1].chain}"))
    faces.say(tr(f"开链凭据：{origins.file_of(config)}", f"origin: {origins.file_of(config)}"))
    faces.say(
        tr(
            "  请把凭据的副本（--out 或 --slip）交保管人带离本机；校验时与链号核对",
            "  carry a copy of it (--out or --slip) away from this machine, and compare the chain when you verify",
        )
    )


@command.command("verify")
@faces.options
@faces.json_option
@click.option(
    "--checkpoints",
    type=CAN_BE_READ,
    help="带离本机的检查点（JSONL 或扫码文字）。 Checkpoints that were kept elsewhere.",
)
@click.option("--origin", type=CAN_BE_READ, help="带离本机的开链凭据。 The copy of the origin that was kept elsewhere.")
@click.option("--identity", type=CAN_BE_READ, help="打开凭据的私钥（默认隔离库私钥）。 The private key that opens it.")
@click.option(
    "--key", type=CAN_BE_READ, help="只认此文件中的公钥（默认本单位的）。 Believe these signers of checkpoints only."
)
@click.option(
    "--trail", "exported", type=CAN_BE_READ, help="校验导出的 JSONL，而非本机任务库。 Verify an export instead."
)
def verify(config_path: Path | None, exported: Path | None, *, as_json: bool, **given: Path | None) -> None:
    """校验整条审计链；有改动即退出码 7。

    Verify the whole trail: its hashes, the seals (where a private key opens the origin), the checkpoints and the key
    file. Exit code 7 names the first bad event.
    """
    config = faces.settings(config_path)
    evidence = Evidence(**given)
    if exported is not None:
        seen = trail.verify(config, exported, evidence)
    else:
        with Desk.open(config, persons.token()) as desk:
            seen = desk.audit_verify(evidence)
    if as_json:
        faces.line(records.verification(seen))
    if not seen.holds:
        raise _broken(seen)
    if not as_json:
        _show(seen)


def _broken(seen: Verification) -> AuditBroken:
    zh = [one.say.zh for one in seen.faults]
    en = [one.say.en for one in seen.faults]
    good = seen.report.count
    return AuditBroken(
        Say(
            f"审计链校验不通过（前 {good} 条完好）：" + "；".join(zh),
            f"the audit trail does not hold ({good} events before that do): " + "; ".join(en),
        ),
        Say("保留现场，报告保密员，从备份核对", "change nothing, report it, compare with a backup"),
    )


def _show(seen: Verification) -> None:
    report = seen.report
    faces.say(tr(f"审计链完好：{report.count} 条", f"the audit trail holds: {report.count} events"))
    if not report.keyed:
        seals = tr("没有（尚未启用，见 dlp audit init）", "none yet (see `dlp audit init`)")
    elif report.sealed:
        seals = tr(f"{report.sealed} 条相符", f"{report.sealed} hold")
        if seen.here:
            seals += tr(
                "（私钥在本机，防不了控制本机的人）", " (the private key is here, and so for whoever owns this machine)"
            )
    else:
        seals = tr(
            "未核：此处没有打开凭据的私钥（用 --identity，或导出后在保管私钥处核）",
            "not looked at: no private key here opens the origin (--identity, or export and verify where it is)",
        )
    faces.say(tr(f"封印：{seals}", f"seals: {seals}"))
    last = max(seen.checkpoints, key=lambda made: made.seq, default=None)
    until = tr(f"，至第 {last.seq} 条（{last.at}）", f", up to event {last.seq} ({last.at})") if last else ""
    faces.say(tr(f"检查点：{len(seen.checkpoints)} 个相符{until}", f"checkpoints: {len(seen.checkpoints)} hold{until}"))
    if len(report.keyed) > 1:
        at = ", ".join(map(str, report.keyed[1:]))
        faces.say(
            tr(f"曾重新开链：第 {at} 条，请核对其理由", f"a key was begun anew at event {at}: look at the reason")
        )
    faces.say(tr(f"链尾：{report.head}", f"head: {report.head}"))


@command.command("checkpoint")
@faces.options
@faces.json_option
@click.option(
    "--slip", type=FILE, help="可打印的检查点凭条（DOCX，含二维码）。 The checkpoint on paper, with a QR code."
)
def checkpoint(config_path: Path | None, slip: Path | None, *, as_json: bool) -> None:
    """签署链尾，写入检查点文件和系统日志；凭条可打印留存。

    Sign the head of the trail now, for the checkpoint file, the system log, and paper.
    """
    config = faces.settings(config_path)
    with Desk.open(config, persons.token()) as desk:
        made = desk.checkpoint()
    if slip:
        from dlp.service import slips  # noqa: PLC0415  see above

        write_all([(slip, slips.of_checkpoint(config, made))])
    if as_json:
        faces.line(msgspec.to_builtins(made))
        return
    faces.say(tr(f"检查点 {made.number} 号：第 {made.seq} 条", f"checkpoint {made.number}: event {made.seq}"))
    faces.say(form.write(made))


@command.command("list")
@faces.options
@faces.json_option
@click.option("--actor", default="", help="只列此人。 Only what this person did.")
@click.option("--file", "file", default="", help="任务编号，或文件名中的文字。 Id of a job, or text of a file's name.")
@click.option("--kind", default="", help="只列此类，如 released、seen。 Only this kind.")
@faces.time_options
@click.option("--limit", type=click.IntRange(min=0), help="最多列几条（默认 100，--json 全部）。 At most so many.")
def list_(
    config_path: Path | None,
    file: str,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    *,
    as_json: bool,
    **words: str,
) -> None:
    """查询审计事件，新的在前。 List audit events, newest first: by person, file, kind and time."""
    only = EventFilter(since=_stamp(since), until=_stamp(until), **words)
    with persons.desk(config_path) as desk:
        most = limit if limit is not None else 0 if as_json else PAGE
        found = desk.found_events(only, file=file, limit=most)
        if as_json:
            faces.lines(msgspec.to_builtins(event) for event in found)
            return
        rows = [_row(event) for event in found]
    titles = (
        tr("序号", "seq"),
        tr("时间", "time"),
        tr("人", "person"),
        tr("事项", "kind"),
        tr("任务", "job"),
        tr("内容", "what"),
    )
    faces.table(titles, rows)


def _stamp(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else ""


def _row(event: AuditEvent) -> tuple[str, ...]:
    words = ", ".join(f"{name}={_short(value)}" for name, value in event.body.items())
    return str(event.seq), event.at[:19], event.actor, event.kind, event.job, words


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 40 else f"{text[:39]}…"


@command.command("export")
@faces.options
@faces.json_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(sorted(siem.FORMATS)),
    default="jsonl",
    help="格式，默认 jsonl（可校验）。 jsonl can be verified; cef and ocsf are for other systems.",
)
@click.option("--out", type=FILE, help="写到此文件（不覆盖）。 Write to this new file.")
def export(config_path: Path | None, out: Path | None, kind: str, *, as_json: bool) -> None:
    """导出全部审计事件，每行一条。 Export every event, one a line."""
    del as_json  # a line is what it is
    write = siem.FORMATS[kind]
    with persons.desk(config_path) as desk:
        lines = map(write, desk.events())
        if out is None:
            for line in lines:
                sys.stdout.write(line + "\n")
            return
        count = _write_lines(out, lines)
    faces.say(tr(f"已导出 {count} 条：{out}", f"{count} events exported: {out}"))


def _write_lines(out: Path, lines: Iterable[str]) -> int:
    count = itertools.count()
    try:
        durable.write_new(out, (f"{line}\n".encode() for line, _ in zip(lines, count, strict=False)))
    except FileExistsError as err:
        raise UsageError(Say(f"文件已存在，不覆盖：{out}", f"the file exists and is not overwritten: {out}")) from err
    return next(count)
