"""`dlp packs`: check, test, list and explain the rule packs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from rich.text import Text

from dlp import drafts, durable, fit, mutate, packs, trial
from dlp.cli import faces, persons, workbench
from dlp.cli.faces import tr
from dlp.config import Packs
from dlp.errors import PackError, Problem, UsageError
from dlp.match import Candidate
from dlp.model import Say, evolve
from dlp.review import Tally
from dlp.service.gate import Gate, compare_packs, load_packs

folder_argument = click.argument(
    "folder", required=False, type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="[FOLDER]"
)


def _loaded(config_path: Path | None, folder: Path | None) -> tuple[packs.Pack, ...]:
    """Return the packs of a folder, or those of the configuration."""
    config = faces.settings(config_path)
    if folder is None:
        return load_packs(config)
    return load_packs(evolve(config, packs=Packs(folders=(folder,))), published=False)


@click.group("packs")
def command() -> None:
    """规则包：检查、自测、列出、解释。 Rule packs: check, test, list, explain."""


@command.command("check")
@faces.options
@faces.json_option
@folder_argument
def check(config_path: Path | None, folder: Path | None, *, as_json: bool) -> None:
    """检查规则包的格式和规范，一次报告全部问题。 Check form and manners; every fault is told at once."""
    loaded = _loaded(config_path, folder)
    advice, errors = packs.lint(loaded), packs.outdated(loaded)
    if as_json:
        faces.lines(_problem(p) for p in (*errors, *advice))
    else:
        for problem in advice:
            faces.say(problem.text(faces.language()))
    if errors:
        raise PackError(
            Say(f"{len(errors)} 处依据已废止", f"{len(errors)} citations are out of force"),
            errors,
            Say("按提示改引现行版本", "cite what is in force"),
        )
    if as_json:
        return
    rules = sum(len(p.rules) for p in loaded)
    faces.say(
        tr(
            f"{len(loaded)} 个规则包、{rules} 条规则可用，{len(advice)} 条建议",
            f"{len(loaded)} packs with {rules} rules are usable, {len(advice)} pieces of advice",
        )
    )


@command.command("test")
@faces.options
@faces.json_option
@folder_argument
def test(config_path: Path | None, folder: Path | None, *, as_json: bool) -> None:
    """用真实引擎跑每条规则的样例和反例。 Run every example and counterexample through the real engine."""
    loaded = _loaded(config_path, folder)
    problems = trial.run(loaded)
    if as_json:
        faces.lines(_problem(p) for p in problems)
    count = sum(len(r.examples) + len(r.counterexamples) for p in loaded for r in p.rules)
    if problems:
        raise PackError(
            Say(f"{count} 个样例中有 {len(problems)} 个不符", f"{len(problems)} of {count} examples do not hold"),
            problems,
            Say("改正样例或规则", "mend the example or the rule"),
        )
    if not as_json:
        faces.say(tr(f"{count} 个样例和反例全部符合", f"all {count} examples and counterexamples hold"))


@command.command("list")
@faces.options
@faces.json_option
@click.option("--rules", is_flag=True, help="列出每条规则。 List every rule.")
@folder_argument
def list_(config_path: Path | None, folder: Path | None, *, as_json: bool, rules: bool) -> None:
    """列出规则包。 List the packs."""
    loaded = _loaded(config_path, folder)
    if as_json:
        faces.lines(_line(pack, rules=rules) for pack in loaded)
    elif rules:
        titles = (tr("规则", "rule"), tr("名称", "name"), tr("种类", "kind"), tr("级别", "level"), tr("依据", "basis"))
        faces.table(
            titles,
            (
                (
                    pack.full_id(rule),
                    rule.name,
                    rule.kind,
                    rule.level.value if rule.level else "-",
                    "；".join(r.text for r in rule.references[:1]) or "-",
                )
                for pack in loaded
                for rule in pack.rules
            ),
        )
    else:
        titles = (
            tr("规则包", "pack"),
            tr("名称", "name"),
            tr("版本", "version"),
            tr("规则", "rules"),
            tr("摘要", "digest"),
        )
        faces.table(titles, ((p.id, p.name, p.version, str(len(p.rules)), p.digest[:19]) for p in loaded))


@command.command("explain")
@faces.options
@faces.json_option
@click.option("--text", help="要解释的文字。 The text to explain.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
def explain(config_path: Path | None, text: str | None, path: Path | None, *, as_json: bool) -> None:
    """逐一说明候选：保留还是排除、为什么、分词结果。

    Show every candidate in a text or a file: kept or dropped, why, and the words around it.
    """
    if (text is None) == (path is None):
        raise UsageError(Say("请给出 --text 或一个文件，二者择一", "give either --text or a file"))
    with Gate(faces.settings(config_path)) as gate:
        found = gate.explain_text(text) if text is not None else gate.explain_file(path or "")
    if as_json:
        faces.lines(_candidate(one) for one in found)
        return
    if not found:
        faces.say(tr("没有任何候选", "there is no candidate"))
        return
    titles = (
        tr("规则", "rule"),
        tr("命中", "hit"),
        tr("结果", "result"),
        tr("把握", "sure"),
        tr("原因", "why"),
        tr("分词", "words"),
    )
    faces.table(
        titles,
        (
            (
                one.rule,
                one.masked,
                Text(tr("保留", "kept"), style="green") if one.kept else Text(tr("排除", "dropped"), style="dim"),
                f"{one.confidence:.2f}",
                " ".join(one.why),
                "/".join(one.words),
            )
            for one in found
        ),
    )


@command.command("mutate")
@faces.options
@faces.json_option
@folder_argument
def mutate_(config_path: Path | None, folder: Path | None, *, as_json: bool) -> None:
    """变异测试：伪装写法必须命中，错一位不得命中；给出每条规则的得分。

    Test the rules with disguises and near misses of their own examples; the kill rate of each rule.
    """
    scores = mutate.run(_loaded(config_path, folder))
    if as_json:
        faces.lines({"rule": s.rule, "right": s.right, "total": s.total, "missed": dict(s.missed)} for s in scores)
        return
    weak = [s for s in scores if s.right < s.total]
    if weak:
        titles = (tr("规则", "rule"), tr("得分", "rate"), tr("未通过", "missed"))
        rows = sorted(weak, key=lambda s: s.rate)
        faces.table(titles, ((s.rule, f"{s.rate:.0%}", " ".join(f"{h}×{n}" for h, n in s.missed)) for s in rows))
    right, total = sum(s.right for s in scores), sum(s.total for s in scores)
    share = right / max(1, total)
    faces.say(
        tr(f"{total} 个变异样例，{right} 个符合（{share:.1%}）", f"{right} of {total} mutants hold ({share:.1%})")
    )
    poor = [s.rule for s in weak if s.rate < LEAST_OF_A_RULE]
    if poor or share < LEAST_OF_ALL:
        raise PackError(
            Say(
                f"未达标：总体须 {LEAST_OF_ALL:.0%}，每条须 {LEAST_OF_A_RULE:.0%}：{'、'.join(poor)}",
                f"too low: {LEAST_OF_ALL:.0%} of all and {LEAST_OF_A_RULE:.0%} of each rule: {', '.join(poor)}",
            ),
            hint=Say("用 dlp packs explain 查看未通过的样例", "look at what was missed with `dlp packs explain`"),
        )


@command.command("diff")
@faces.options
@faces.json_option
@click.option(
    "--corpus", type=click.Path(path_type=Path, file_okay=False, exists=True), help="比对判定的文件夹。 Files."
)
@click.argument("old", type=click.Path(path_type=Path, file_okay=False))
@click.argument("new", type=click.Path(path_type=Path, file_okay=False))
def diff(config_path: Path | None, old: Path, new: Path, corpus: Path | None, *, as_json: bool) -> None:
    """比较两个规则包文件夹：哪些规则变了，哪些文件的判定会变。

    Compare two pack folders: which rules differ and, with --corpus, which verdicts change.
    """
    changes = compare_packs(faces.settings(config_path), old, new, corpus)
    if as_json:
        faces.lines({"what": c.what, "old": c.old, "new": c.new} for c in changes)
        return
    rows = [(c.what, c.old or "-", c.new or "-") for c in changes]
    if rows:
        faces.table((tr("项目", "what"), tr("原", "old"), tr("新", "new")), rows)
    else:
        faces.say(tr("没有差别", "no difference"))


@command.command("new")
@faces.options
@click.argument("pack_id", metavar="ID")
@click.argument("path", type=click.Path(path_type=Path))
def new(config_path: Path | None, pack_id: str, path: Path) -> None:
    """写出一个新规则包的样板（不覆盖）。 Write a template of a new pack; nothing is overwritten."""
    del config_path
    if not fit.is_id(pack_id):
        raise UsageError(
            Say(f"规则包编号不合规：{pack_id}", f"no good id of a pack: {pack_id}"),
            Say(
                "用小写字母、数字、点和连字符，如 site.projects", "use lower case, digits, dots, hyphens: site.projects"
            ),
        )
    try:
        durable.write_new(path, drafts.TEMPLATE.format(id=pack_id).encode("utf-8"))
    except FileExistsError as err:
        raise UsageError(Say(f"文件已存在，不覆盖：{path}", f"the file exists and is not overwritten: {path}")) from err
    faces.say(tr(f"已写出 {path}", f"{path} written"))


@command.command("stats")
@faces.options
@faces.json_option
@faces.time_options
def stats(config_path: Path | None, since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """按研判标注统计每条规则的准确率（威尔逊区间）。 Precision of each rule, from what reviewers said of its hits."""
    with persons.desk(config_path) as desk:
        found = desk.reviews.stats(
            since=since.timestamp() if since else 0.0, until=until.timestamp() if until else float("inf")
        )
    if as_json:
        faces.lines(_tally(one) for one in found)
        return
    titles = (
        *(tr("规则", "rule"), tr("命中", "hits"), tr("确认", "confirmed"), tr("误报", "false alarms")),
        *(tr("漏报", "missed"), tr("准确率", "precision"), tr("95% 区间", "95% interval")),
    )
    faces.table(titles, (_shares(one) for one in found))


def _tally(one: Tally) -> dict[str, object]:
    low, high = one.interval
    return {
        "rule": one.rule,
        "hits": one.hits,
        "confirmed": one.confirmed,
        "false_alarms": one.false_alarms,
        "missed": one.missed,
        "precision": None if one.precision is None else round(one.precision, 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }


def _shares(one: Tally) -> tuple[str, ...]:
    low, high = one.interval
    share, between = ("-", "-") if one.precision is None else (f"{one.precision:.0%}", f"{low:.0%}–{high:.0%}")
    counts = (one.hits, one.confirmed, one.false_alarms, one.missed)
    return (one.rule, *map(str, counts), share, between)


@command.command("schema")
@faces.options
def schema(config_path: Path | None) -> None:
    """输出规则包的 JSON Schema，供编辑器使用。 Print the JSON Schema of a pack, for editors."""
    del config_path
    faces.line(packs.schema())


for _each in workbench.COMMANDS:
    command.add_command(_each)

LEAST_OF_ALL, LEAST_OF_A_RULE = 0.95, 0.80
"""Shares of mutants that must come out right before a pack is fit for use."""


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "text": problem.say.to(faces.language()),
        "advice": problem.advice.to(faces.language()) if problem.advice else None,
    }


def _line(pack: packs.Pack, *, rules: bool) -> dict[str, object]:
    line: dict[str, object] = {
        "id": pack.id,
        "name": pack.name,
        "version": pack.version,
        "category": pack.category,
        "rules": len(pack.rules),
        "digest": pack.digest,
    }
    if rules:
        line["rules"] = [
            {"id": pack.full_id(r), "name": r.name, "kind": r.kind, "type": r.type, "severity": r.severity.value}
            for r in pack.rules
        ]
    return line


def _candidate(one: Candidate) -> dict[str, object]:
    first = one.slices[0] if one.slices else None
    return {
        "rule": one.rule,
        "name": one.name,
        "masked": one.masked,
        "start": first.start if first else None,
        "end": first.end if first else None,
        "kept": one.kept,
        "confidence": round(one.confidence, 3),
        "why": list(one.why),
        "words": list(one.words),
    }
