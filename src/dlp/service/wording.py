"""What waits for a second person, in words: what happens when it is confirmed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dlp.model import Say
from dlp.rights import ROLES, Operation, Role, right
from dlp.service.second import Change

_FIELDS: dict[str, Say] = {
    "name": Say("姓名", "name"),
    "natural": Say("工号", "staff number"),
    "unit": Say("部门", "unit"),
    "post": Say("职务", "post"),
    "until": Say("到期", "expires"),
}


def of(change: Change) -> Say:
    """Return in words what is done when a change is confirmed; nothing of it is ever a password or content."""
    says = _SAYS.get(change.operation)
    if says is None:
        row = right(change.operation)
        return Say(f"{row.say.zh}：{change.subject}", f"{row.say.en}: {change.subject}")
    return says(change.subject, change.words)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d}"


def _fields(words: dict[str, Any]) -> Say:
    zh, en = [], []
    for key, said in _FIELDS.items():
        if key in words and (words[key] or key != "until"):
            value = _day(float(words[key]) - 1) if key == "until" else str(words[key]) or "—"
            zh.append(f"{said.zh} {value}")
            en.append(f"{said.en} {value}")
        elif key in words:
            zh.append("不设到期日")
            en.append("it never expires")
    return Say("，".join(zh), ", ".join(en))


def _added(subject: str, words: dict[str, Any]) -> Say:
    said = _fields({key: value for key, value in words.items() if value})
    return Say(
        f"新建账号 {subject}：{said.zh}；给出一次性口令，角色另行授予",
        f"add the account {subject}: {said.en}; its one-time password is shown, roles are given separately",
    )


def _changed(subject: str, words: dict[str, Any]) -> Say:
    said = _fields(words)
    return Say(f"把账号 {subject} 改为：{said.zh}", f"change the account {subject}: {said.en}")


def _roles(subject: str, words: dict[str, Any]) -> Say:
    roles = [ROLES[Role(word)] for word in words["roles"]]
    if not roles:
        return Say(f"收回账号 {subject} 的全部角色", f"take every role of the account {subject} away")
    zh, en = "、".join(role.zh for role in roles), ", ".join(role.en for role in roles)
    return Say(f"账号 {subject} 的全部角色改为：{zh}", f"the roles of the account {subject} become: {en}")


def _kept(subject: str, words: dict[str, Any]) -> Say:
    until = _day(float(words["until"]))
    return Say(f"任务 {subject} 的密封件留存至 {until}", f"the sealed file of job {subject} is kept until {until}")


def _restored(subject: str, words: dict[str, Any]) -> Say:
    zh = "，退回到比现有审计链更早的状态" if words.get("older") else ""
    en = ", which gives up what came since" if words.get("older") else ""
    return Say(
        f"允许用备份 {subject} 恢复本机{zh}（停止闸门后执行）",
        f"let the backup {subject} take the place of what is here{en} (done while the gate stands still)",
    )


_SAYS: dict[Operation, Callable[[str, dict[str, Any]], Say]] = {
    Operation.ACCOUNT_ADD: _added,
    Operation.ACCOUNT_CHANGE: _changed,
    Operation.ACCOUNT_UNLOCK: lambda one, _: Say(
        f"恢复账号 {one}，本人可以重新登录", f"give the account {one} back: its owner can log in again"
    ),
    Operation.ROLE_CHANGE: _roles,
    Operation.PASSWORD_RESET: lambda one, _: Say(
        f"重置账号 {one} 的口令，结束其所有登录，给出一次性口令",
        f"reset the password of {one}: every session of it ends, and a one-time password is shown",
    ),
    Operation.RETENTION_SET: _kept,
    Operation.LEGAL_HOLD_LIFT: lambda one, _: Say(
        f"解除任务 {one} 的依法留存，此后可列入销毁", f"lift the legal hold of job {one}: it may then be destroyed"
    ),
    Operation.DESTROY_APPROVE: lambda one, _: Say(
        f"批准销毁清单 {one}，可以送销", f"approve the destruction list {one}: it may be handed over"
    ),
    Operation.DESTROY_ERASE: lambda one, _: Say(
        f"凭回执销案：立即删除销毁清单 {one} 上的全部密封件，不能恢复",
        f"erase at once every sealed file on the list {one}; they cannot be brought back",
    ),
    Operation.INCIDENT_UNFREEZE: lambda one, _: Say(
        f"解除文件 {one[:16]}… 的冻结，此后可凭批准放行", f"lift the freeze of the file {one[:16]}…: it may leave again"
    ),
    Operation.INCIDENT_CLOSE: lambda one, _: Say(f"事件 {one} 结案", f"close the incident {one}"),
    Operation.BACKUP_RESTORE: _restored,
}
