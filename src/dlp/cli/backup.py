"""`dlp backup`: make, verify and restore backups; and the pair of keys that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dlp import config as configuration
from dlp.bundle import Manifest
from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say
from dlp.rights import ROLES, Operation, right
from dlp.service import backup, proving, records, restore, signing
from dlp.service.desk import Desk
from dlp.service.proving import Given, Verified
from dlp.service.restore import Done
from dlp.vault import read_identity

FILE = click.Path(path_type=Path)
THERE = click.Path(path_type=Path, dir_okay=False, exists=True)
identity_option = click.option(
    "--identity", required=True, type=THERE, help="打开备份的私钥文件。 The private key that opens it."
)
key_option = click.option(
    "--key", type=THERE, help="只认此文件中的签署公钥（certificate.pub）。 Believe these signers only."
)


@click.group("backup")
def command() -> None:
    """备份：生成、校验、恢复。 Backups: make, verify, restore."""


@command.command("keygen")
@faces.options
@click.option("--out", required=True, type=FILE, help="私钥写到此新文件，公钥写到同名 .pub。 The new key files.")
def keygen(config_path: Path | None, out: Path) -> None:
    """生成备份用的密钥对：私钥带离本机，公钥写入 [backup] recipients。 Make the pair of keys for backups."""
    del config_path
    public = backup.new_pair(out)
    faces.say(tr(f"公钥（写入 [backup] recipients）：{public}", f"public, for [backup] recipients: {public}"))
    faces.say(
        tr(
            f"私钥（请带离本机，丢失则备份打不开）：{out}",
            f"private, to be carried away: {out}",
        )
    )


@command.command("create")
@persons.asking
@click.option("--out", type=FILE, help="新文件或文件夹（默认 [backup] folder）。 A new file, or a folder.")
@click.option("--without-keys", is_flag=True, help="不含私钥。 Leave the private keys out.")
def create(config_path: Path | None, out: Path | None, *, without_keys: bool, as_json: bool) -> None:
    """生成一份备份（闸门可以继续运行）。 Make a backup while the gate runs."""
    file = config_path or configuration.find()
    with persons.desk(config_path) as desk:
        place = out or desk.config.backup.folder
        if place is None:
            raise UsageError(
                Say("没有写明备份到哪里", "where the backup goes was not named"),
                Say("用 --out，或配置 [backup] folder", "use --out, or set [backup] folder"),
            )
        made = backup.create(desk.acting, Path(place), file=file, with_keys=not without_keys)
    manifest = made.manifest
    if as_json:
        faces.line({"path": str(made.path), "size": made.size, **_record(manifest)})
        return
    faces.say(tr(f"已备份：{made.path}（{made.size} 字节）", f"backup made: {made.path} ({made.size} bytes)"))
    _show(manifest)


@command.command("verify")
@persons.asking
@click.argument("file", type=THERE)
@identity_option
@key_option
def verify(config_path: Path | None, file: Path, identity: Path, key: Path | None, *, as_json: bool) -> None:
    """校验一份备份：签名、每个文件、任务库、审计链；不改动任何文件。 Verify a backup; nothing is changed."""
    config = faces.settings(config_path)
    if Path(config.store.path).exists():
        with Desk.open(config, persons.token()) as desk:
            desk.acting.may(Operation.BACKUP_VERIFY)
    seen = proving.verify(file, Given(read_identity(identity), proving.known_keys(config, key)))
    if as_json:
        faces.line({"ok": True, "known": seen.known, "events": seen.report.count, **_record(seen.manifest)})
        return
    faces.say(tr("备份完好", "the backup holds"))
    _show(seen.manifest)
    _signer(seen)


@command.command("restore")
@persons.asking
@click.argument("file", type=THERE)
@identity_option
@key_option
@click.option("--into", type=FILE, help="恢复到空文件夹。 Restore into an empty folder.")
@click.option("--here", is_flag=True, help="恢复到本机配置所指之处。 Restore in the place of the site here.")
@click.option("--older", is_flag=True, help="退回比现有审计链旧的备份（须 --reason）。 Give up what came since.")
@click.option("--reason", default="", help="理由，写入审计。 Why; kept in the trail.")
@click.option("--change", default="", metavar="NUMBER", help="第二人已确认的事项编号。 What a second person confirmed.")
def restore_(
    config_path: Path | None,
    file: Path,
    into: Path | None,
    *,
    identity: Path,
    key: Path | None,
    reason: str,
    change: str,
    here: bool,
    older: bool,
    as_json: bool,
) -> None:
    """恢复一份备份。覆盖现有站点须二人：先提出，确认后停止闸门，带 --change 再运行。

    Restore a backup: into an empty folder, or over the site here by two persons (ask, have it confirmed, stop the gate,
    run it again with --change).
    """
    if (into is None) != here:
        raise UsageError(
            Say("须写明恢复到哪里", "where to restore was not named"),
            Say("--into 空文件夹，或 --here", "--into an empty folder, or --here"),
        )
    private = read_identity(identity)
    if into is not None:
        known = signing.public_keys(key) if key else None
        _done(restore.restore_into(file, Given(private, known), into), as_json=as_json)
        return
    named = config_path or configuration.find()
    config = configuration.read(named)
    restore.finish(config)
    given = Given(private, proving.known_keys(config, key))
    if not change and Path(config.store.path).exists():
        with persons.desk(config_path) as desk:
            asked = restore.ask(desk.acting, desk.seconds, file, given, older=older, reason=reason)
        if as_json:
            faces.line(records.change(asked))
            return
        who = "、".join(ROLES[role].to(faces.language()) for role in right(Operation.BACKUP_RESTORE).second)
        faces.say(
            tr(
                f"等待{who}确认：dlp people confirm {asked.id}；确认后停止闸门，带 --change {asked.id} 再运行",
                f"waits for {who}: dlp people confirm {asked.id}; then stop the gate and add --change {asked.id}",
            )
        )
        return
    made = restore.restore_here(config, file, given, token=persons.token(), change=change, settings=named)
    _done(made, as_json=as_json)


def _done(made: Done, *, as_json: bool) -> None:
    manifest = made.verified.manifest
    kept = [str(path) for path in made.kept]
    if as_json:
        more = {"absent_here": list(made.absent), "kept": kept, "config": str(made.config) if made.config else None}
        faces.line({**_record(manifest), "known": made.verified.known, **more})
        return
    faces.say(tr("已恢复，链尾与备份一致", "restored; the trail ends as in the backup"))
    _show(manifest)
    _signer(made.verified)
    for path in made.absent:
        faces.say(tr(f"缺少私钥：{path}（请从保管处放回）", f"a private key is not here: {path}; put it back"))
    for path in kept:
        faces.say(tr(f"原有的保留在：{path}", f"what was here is kept at: {path}"))
    run = f"DLP_CONFIG={made.config} dlp run" if made.config else "dlp run"
    faces.say(
        tr(
            f"下一步：{run}（启用新的审计密钥，并记入审计）",
            f"next: {run} (a new audit key begins; the trail tells)",
        )
    )


def _record(manifest: Manifest) -> dict[str, Any]:
    return {
        "number": manifest.number,
        "made": manifest.made,
        "unit": manifest.unit,
        "version": manifest.version,
        "seq": manifest.seq,
        "head": manifest.head,
        "chain": manifest.chain or None,
        "objects": sum(one.name.startswith("vault/") for one in manifest.members),
        "secrets": list(manifest.secrets),
        "absent": list(manifest.absent),
        "vanished": list(manifest.vanished),
        "missing": list(manifest.missing),
        "key_id": manifest.key_id,
    }


def _show(manifest: Manifest) -> None:
    row = _record(manifest)
    faces.say(tr(f"编号：{row['number']}（{row['made']}）", f"number: {row['number']} ({row['made']})"))
    faces.say(tr(f"链尾：第 {row['seq']} 条 {row['head']}", f"head: event {row['seq']} {row['head']}"))
    faces.say(tr(f"密封件：{row['objects']} 个", f"sealed files: {row['objects']}"))
    secrets = "、".join(row["secrets"]) or tr("无", "none")
    faces.say(tr(f"私钥（再次加密）：{secrets}", f"private keys, sealed once more: {secrets}"))
    if row["absent"]:
        lack = "、".join(row["absent"])
        faces.say(tr(f"不含：{lack}（另行保管）", f"not in it: {lack} (keep them elsewhere)"))
    if row["vanished"]:
        jobs = "、".join(row["vanished"])
        faces.say(tr(f"备份期间已办结：{jobs}", f"ended while it was made: {jobs}"))
    if row["missing"]:
        jobs = "、".join(row["missing"])
        faces.say(tr(f"隔离库中缺密封件，请查：{jobs}", f"no sealed file in the vault, look into it: {jobs}"))


def _signer(seen: Verified) -> None:
    key = seen.manifest.key_id
    if seen.known:
        faces.say(tr(f"由本单位的密钥签署（{key}）", f"signed with a key known here ({key})"))
    else:
        faces.say(
            tr(
                f"签署密钥 {key}：请与留存的 certificate.pub 核对，或用 --key 指明",
                f"signed with key {key}: compare it with the certificate.pub that you kept, or name that with --key",
            )
        )
