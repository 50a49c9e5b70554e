"""`dlp packs draft`, `rollback`, `replay` and so on: drafts, publishing by two persons, what would change."""

from __future__ import annotations

from pathlib import Path

import click

from dlp.cli import faces, persons
from dlp.cli.faces import tr
from dlp.drafts import Draft
from dlp.errors import UsageError
from dlp.model import Say
from dlp.replay import Moved, Replayed
from dlp.service.second import Change

reason_option = click.option("--reason", required=True, help="理由。 Why.")


@click.group("draft")
def draft() -> None:
    """草稿：起草、修改、放弃、提出发布。 Drafts of packs: begin, change, give up, ask for publication."""


@draft.command("list")
@persons.asking
def list_(config_path: Path | None, *, as_json: bool) -> None:
    """列出草稿。 List the drafts."""
    with persons.desk(config_path) as desk:
        found = desk.workbench.drafts()
    if as_json:
        faces.lines(_line(one) for one in found)
        return
    titles = (
        tr("编号", "number"),
        tr("备注", "what for"),
        tr("规则包", "pack"),
        tr("版", "version"),
        tr("修改人", "by"),
    )
    faces.table(titles, ((one.id, one.title, one.pack or "-", str(one.version), one.by) for one in found))


@draft.command("begin")
@persons.asking
@click.option("--pack", default="", help="从现行的哪个规则包。 Of which pack that holds.")
@click.option("--title", default="", help="备注。 What for.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
def begin(config_path: Path | None, pack: str, title: str, file: Path | None, *, as_json: bool) -> None:
    """新建草稿：从现行规则包，或从一个文件。 Begin a draft: of a pack that holds, or of a file."""
    if not pack and file is None:
        raise UsageError(Say("请给出 --pack 或一个文件", "give --pack or a file"))
    with persons.desk(config_path) as desk:
        made = desk.workbench.begin(title, pack=pack, text=_read(file) if file else "")
    _told(made, tr("已新建草稿", "begun"), as_json=as_json)


@draft.command("show")
@persons.asking
@click.argument("number")
def show(config_path: Path | None, number: str, *, as_json: bool) -> None:
    """输出草稿全文。 Print the text of a draft."""
    with persons.desk(config_path) as desk:
        found = desk.workbench.draft(number)
    if as_json:
        faces.line({**_line(found), "text": found.text})
    else:
        click.echo(found.text, nl=False)


@draft.command("save")
@persons.asking
@click.option("--version", "version", type=int, required=True, help="所改的是第几版。 The version that was changed.")
@click.argument("number")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def save(config_path: Path | None, version: int, number: str, file: Path, *, as_json: bool) -> None:
    """用文件改写草稿；他人已改时不写。 Write a draft anew; not where somebody else has changed it."""
    with persons.desk(config_path) as desk:
        made = desk.workbench.save(number, version, _read(file))
    _told(made, tr(f"已保存为第 {made.version} 版", f"saved as version {made.version}"), as_json=as_json)


@draft.command("drop")
@persons.asking
@reason_option
@click.argument("number")
def drop(config_path: Path | None, number: str, reason: str, *, as_json: bool) -> None:
    """放弃草稿。 Give a draft up."""
    with persons.desk(config_path) as desk:
        made = desk.workbench.drop(number, reason)
    _told(made, tr("已放弃", "given up"), as_json=as_json)


@draft.command("publish")
@persons.asking
@reason_option
@click.argument("number")
def publish(config_path: Path | None, number: str, reason: str, *, as_json: bool) -> None:
    """提出发布；格式、样例、反例、标志规则须全部通过，由第二人确认后生效。

    Ask for a draft to be published: everything about it must hold, and a second person confirms.
    """
    with persons.desk(config_path) as desk:
        asked = desk.workbench.ask_to_publish(number, reason)
    _asked(asked, as_json=as_json)


@click.command("rollback")
@persons.asking
@reason_option
@click.option("--to", help="退回到哪个版本（默认前一个；空串为配置中的）。 Which edition; the last one by default.")
@click.argument("pack")
def roll_back(config_path: Path | None, pack: str, to: str | None, reason: str, *, as_json: bool) -> None:
    """一步退回到前一版本；由第二人确认后生效。 Go back to what held before; a second person confirms."""
    with persons.desk(config_path) as desk:
        asked = desk.workbench.ask_to_roll_back(pack, reason, to=to)
    _asked(asked, as_json=as_json)


@click.command("published")
@persons.asking
def published(config_path: Path | None, *, as_json: bool) -> None:
    """列出本单位发布过的规则包和可退回的版本。 List what was published here, and to what one can go back."""
    with persons.desk(config_path) as desk:
        found = desk.workbench.in_force()
    if as_json:
        faces.lines({"pack": one.id, "edition": one.edition, "before": list(one.before)} for one in found)
        return
    configured = tr("（配置中的）", "(configured)")
    titles = (tr("规则包", "pack"), tr("现行版本", "edition"), tr("可退回到", "before"))
    rows = ((one.id, one.edition or configured, " ".join(id_ or configured for id_ in one.before)) for one in found)
    faces.table(titles, rows)


@click.command("replay")
@persons.asking
@click.option("--draft", "draft_", help="草稿编号。 A draft.")
@click.option(
    "--policy", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="[policy] 的 TOML。 Another policy."
)
@click.option("--days", type=int, default=30, show_default=True, help="最近几天。 The last days.")
def replay(config_path: Path | None, draft_: str | None, policy: Path | None, days: int, *, as_json: bool) -> None:
    """变化预估：用不含文字的命中记录，计算草稿或新策略会改变多少结论。

    What would change: the findings of the last days, weighed again under a draft or another policy; no text is needed.
    """
    if draft_ is None and policy is None:
        raise UsageError(Say("请给出 --draft 或 --policy", "give --draft or --policy"))
    with persons.desk(config_path) as desk:
        found = desk.workbench.replay(draft=draft_, policy_text=_read(policy) if policy else "", days=days)
    if as_json:
        faces.line(_replayed(found))
        return
    zh = f"{found.jobs} 个任务：新增隔离 +{len(found.held)}，不再隔离 -{len(found.freed)}"
    en = f"{found.jobs} jobs: +{len(found.held)} held, -{len(found.freed)} held"
    lost, of = found.marks
    faces.say(tr(f"{zh}，已确认标志 {of} 个中丢失 {lost} 个", f"{en}, {lost} of {of} confirmed marks lost"))
    for one in (*found.held, *found.freed):
        faces.say(f"{one.job}  {one.before.value} -> {one.after.value}")
    for blind in found.blind:
        faces.say(f"{tr('不能判断', 'cannot be judged')}: {blind.rule} {blind.key} {blind.say.to(faces.language())}")


@click.command("exemptions")
@persons.asking
def exemptions(config_path: Path | None, *, as_json: bool) -> None:
    """列出例外：责任人和到期日。 List the exemptions: who answers for each, and until when."""
    with persons.desk(config_path) as desk:
        found = desk.workbench.exemptions()
    if as_json:
        faces.lines(
            {
                "name": one.exemption.name,
                "rules": list(one.exemption.rule),
                "values": len(one.exemption.values),
                "owner": one.exemption.owner,
                "expires": one.exemption.expires.isoformat(),
                "days": one.days,
            }
            for one in found
        )
        return
    titles = (tr("名称", "name"), tr("规则", "rules"), tr("责任人", "owner"), tr("到期", "ends"), tr("天", "days"))
    faces.table(
        titles,
        (
            (
                one.exemption.name,
                " ".join(one.exemption.rule),
                one.exemption.owner,
                one.exemption.expires.isoformat(),
                str(one.days),
            )
            for one in found
        ),
    )


COMMANDS = (draft, roll_back, published, replay, exemptions)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(Say(f"读不了文件（须为 UTF-8）：{path}", f"cannot be read as UTF-8: {path}")) from err


def _line(one: Draft) -> dict[str, object]:
    return {
        "id": one.id,
        "version": one.version,
        "pack": one.pack,
        "title": one.title,
        "by": one.by,
        "state": one.state,
    }


def _told(one: Draft, what: str, *, as_json: bool) -> None:
    if as_json:
        faces.line(_line(one))
    else:
        faces.say(f"{one.id}  {one.title}  {what}")


def _asked(one: Change, *, as_json: bool) -> None:
    if as_json:
        faces.line({"id": one.id, "pack": one.subject, "state": one.state})
    else:
        faces.say(f"{one.subject}  {tr('等待第二人确认', 'waits for a second person')}：dlp people confirm {one.id}")


def _replayed(found: Replayed) -> dict[str, object]:
    def moved(many: tuple[Moved, ...]) -> list[dict[str, str]]:
        return [{"job": one.job, "before": one.before.value, "after": one.after.value} for one in many]

    return {
        "jobs": found.jobs,
        "held": moved(found.held),
        "freed": moved(found.freed),
        "others": moved(found.others),
        "marks_lost": list(found.marks),
        "confirmed_lost": list(found.confirmed),
        "false_alarms_gone": list(found.false_alarms),
        "cannot_be_judged": [{"rule": b.rule, "key": b.key, "why": b.say.to(faces.language())} for b in found.blind],
    }
