"""`dlp check-redaction`: does a file that somebody else redacted still tell what was taken out?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from dlp import leaks
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.cli.scan import CODES, UNREADABLE, walk
from dlp.model import Action, Finding, Inspection, Say, Severity
from dlp.service import records
from dlp.service.gate import Gate

LEAKS = CODES[Action.QUARANTINE]
GRADES = {
    Severity.HIGH: (Say("可读出", "readable"), "bold red"),
    Severity.MEDIUM: (Say("可推测", "can be guessed"), "yellow"),
    Severity.LOW: (Say("有痕迹", "traces"), "cyan"),
}


@click.command("check-redaction")
@faces.options
@faces.json_option
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(config_path: Path | None, paths: tuple[Path, ...], *, as_json: bool) -> int:
    """检查他人涂黑、遮盖的文件是否还能读出原文。

    Tell whether covered, hidden or removed text of a redacted file can still be read or measured. Kinds, pages and
    counts are shown, never the text. Exit code: 0 no leak, 23 a leak, 25 something could not be read.
    """
    gravest = 0
    with Gate(faces.settings(config_path)) as gate:
        for seen in gate.scan_each(walk(paths)):
            found = leaks.find(seen.document, every=True)
            gravest = max(gravest, LEAKS if found else UNREADABLE if seen.gaps else 0)
            if as_json:
                faces.line(_record(seen, found))
            else:
                _show(seen, found)
    return gravest


def _record(seen: Inspection, found: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        "path": seen.item.path,
        "sha256": seen.item.sha256,
        "size": seen.item.size,
        "media": seen.document.media,
        "pages": seen.document.pages,
        "leaks": bool(found),
        "severity": max(one.severity for one in found).value if found else None,
        "findings": [_finding(one) for one in found],
        "gaps": [records.gap(missed) for missed in seen.gaps],
    }


def _finding(found: Finding) -> dict[str, Any]:
    whole = records.finding(found)
    kind = leaks.kind_of(found)
    return {
        "kind": kind,
        "name": leaks.KINDS[kind].say.to(faces.language()),
        **{key: whole[key] for key in ("severity", "count", "part", "page", "boxes")},
    }


def _show(seen: Inspection, found: tuple[Finding, ...]) -> None:
    """Print what one file leaks, gravest first, and what of it was not read."""
    grade = GRADES[max(one.severity for one in found)] if found else (Say("未发现", "no leak"), "green")
    if seen.gaps and not found:
        grade = Say("未能读取", "unreadable"), "magenta"
    head = Text(grade[0].to(faces.language()), style=grade[1])
    head.append(f"  {seen.item.path}", style="bold")
    faces.console().print(head, soft_wrap=True)
    for one in found:
        page = tr(f"第{one.page}页 ", f"p.{one.page} ") if one.page else ""
        part = f"{'/'.join(one.part)} " if one.part else ""
        say = leaks.KINDS[leaks.kind_of(one)].say.to(faces.language())
        mark = GRADES[one.severity][0].to(faces.language())
        faces.say(f"    - {part}{page}{say}  ×{one.count}" + tr(f"（{mark}）", f" ({mark})"))
    for missed in seen.gaps:
        where = tr(f"第{missed.page}页 ", f"p.{missed.page} ") if missed.page else ""
        faces.say(tr("    ! 未读：", "    ! not read: ") + f"{where}{missed.detail}")
