"""`dlp redact`: a proven redacted copy of one file."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import click
import msgspec

from dlp.cli import faces, papers
from dlp.cli.faces import tr
from dlp.model import Certificate, Mode, Reach, Redacting, Removed, Style
from dlp.service import certify
from dlp.service.certify import Papers
from dlp.service.gate import Gate

MOST_PAGES = 8
"""Pages told of one type; --json gives all."""


def _of(kind: type[Enum]) -> click.Choice[str]:
    return click.Choice([one.value for one in kind])


@click.command("redact")
@faces.options
@faces.json_option
@click.option(
    "--mode", type=_of(Mode), help="脱敏方式（默认按配置）。 How to redact; the configuration says by itself."
)
@click.option("--style", type=_of(Style), help="替换成什么（默认按配置）。 What stands in place of what was removed.")
@click.option("--reach", type=_of(Reach), help="表格中去除多少（默认按配置）。 How much of a table goes with a hit.")
@papers.options
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
def command(
    config_path: Path | None,
    source: Path,
    target: Path,
    *,
    mode: str | None,
    style: str | None,
    reach: str | None,
    paper: Papers,
    as_json: bool,
) -> None:
    """把 IN 的敏感内容去掉后写到 OUT；复检不通过就不写。

    Write a copy of IN without its identifiers to OUT, which must not exist. Exits 0 only when the copy was proven
    clean by readers that had no part in making it; else 23, and nothing is written.
    """
    papers.check(paper, target)
    config = faces.settings(config_path)
    usual = config.redacting
    how = Redacting(
        mode=Mode(mode) if mode else usual.mode,
        style=Style(style) if style else usual.style,
        reach=Reach(reach) if reach else usual.reach,
    )
    with Gate(config) as gate:
        made = gate.redact(source, target, how=how if mode or style or reach else None, papers=paper)
    if as_json:
        faces.line(msgspec.to_builtins(made))
    else:
        _show(made, target, how)
        papers.tell(paper)


def _show(made: Certificate, target: Path, how: Redacting) -> None:
    """Say what was removed, where and how, and how well that was proven: never the value."""
    faces.say(tr(f"已脱敏：{target}", f"redacted: {target}"))
    if made.mode is Mode.RASTER and how.mode is not Mode.RASTER:
        faces.say(
            tr(
                "  直接去除未能证明干净，已改为整页转图片",
                "  taking it out of the pages could not be proven clean: the pages became pictures",
            )
        )
    for row in _rows(made.removed):
        faces.say(row)
    if not made.removed:
        faces.say(f"  {certify.removed(()).to(faces.language())}")
    faces.say(f"  {certify.proven(made.checks).to(faces.language())}")


def _rows(removed: tuple[Removed, ...]) -> list[str]:
    """Return one line for each type and way: how many places, and on which pages."""
    totals: dict[tuple[str, str], int] = {}
    pages: dict[tuple[str, str], dict[int, int]] = {}
    for one in removed:
        key = (tr(one.name or one.type, one.type), certify.how(one.how).to(faces.language()))
        totals[key] = totals.get(key, 0) + one.count
        if one.page is not None:
            counts = pages.setdefault(key, {})
            counts[one.page] = counts.get(one.page, 0) + one.count
    return [
        tr(f"  去除 {name} {count} 处（{way}）", f"  removed {name} {count}x ({way})")
        + _pages(pages.get((name, way), {}))
        for (name, way), count in totals.items()
    ]


def _pages(counts: dict[int, int]) -> str:
    shown = [tr(f"第 {page} 页 {count} 处", f"p.{page} {count}x") for page, count in sorted(counts.items())]
    if not shown:
        return ""
    more = tr(f" 等 {len(shown)} 页", f" and more: {len(shown)} pages") if len(shown) > MOST_PAGES else ""
    return tr("：", ": ") + tr("、", ", ").join(shown[:MOST_PAGES]) + more
