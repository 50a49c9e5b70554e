"""`dlp verify`: a certificate of redaction held against a file, offline."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from dlp.certificate import digest
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.service import certify
from dlp.service.certify import Verification

HOLDS_NOT, UNREADABLE = 23, 25


@click.command("verify")
@faces.options
@faces.json_option
@click.option(
    "--certificate",
    "named",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="脱敏处理证明。 The signed certificate.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="只认此文件中的公钥（默认本单位的 certificate.pub）。 Believe the public keys in this file only.",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def command(config_path: Path | None, file: Path, named: Path, key: Path | None, *, as_json: bool) -> int:
    """核验脱敏件和它的证明，不联网。

    Hold a redacted copy against its certificate. Exit code: 0 everything holds; 23 something does not (the file or the
    certificate was changed, or the key that signed is not known here); 25 what was given is no certificate.
    """
    seen = certify.verify(faces.settings(config_path), file, named, key)
    if as_json:
        faces.line(_record(seen))
    else:
        _show(seen)
    if seen.signed is None:
        return UNREADABLE
    return 0 if seen.holds else HOLDS_NOT


def _record(seen: Verification) -> dict[str, object]:
    signed, lang = seen.signed, faces.language()
    return {
        "ok": seen.holds,
        "certificate": digest(signed) if signed else None,
        "key": signed.key_id if signed else None,
        "issued": signed.issued if signed else None,
        "unit": signed.unit if signed else None,
        "checks": [{"name": one.name, "ok": one.ok, "text": one.say.to(lang)} for one in seen.answers],
    }


def _show(seen: Verification) -> None:
    lang = faces.language()
    for answer in seen.answers:
        row = Text("✓ ", style="green") if answer.ok else Text("✗ ", style="bold red")
        faces.console().print(row.append(answer.say.to(lang), style="default"), soft_wrap=True)
    signed = seen.signed
    if signed is not None and all(one.ok for one in seen.answers if one.name in ("signature", "key")):
        faces.say(tr(f"  签发：{signed.unit}，{signed.issued}", f"  issued by {signed.unit}, {signed.issued}"))
        faces.say(f"  {tr('去除：', 'removed: ')}{certify.removed(signed.removed).to(lang)}")
    faces.say(tr("结论：成立", "verdict: it holds") if seen.holds else tr("结论：不成立", "verdict: it does not hold"))
