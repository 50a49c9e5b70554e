"""The certificate of a redaction as the commands hand it out: the signed file, and its page for the printer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say
from dlp.service.certify import Papers


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--certificate`, `--certificate-page` and `--closed`, handed on together as `paper`."""

    @functools.wraps(command)
    def call(*args: Any, certificate: Path | None, page: Path | None, closed: bool, **others: Any) -> Any:
        return command(*args, paper=Papers(certificate, page, closed), **others)

    kind = click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option("--closed", is_flag=True, help="证明不含原件摘要，可交外单位。 Tell no hash of the original."),
        click.option("--certificate-page", "page", type=kind, help="可打印的证明（DOCX）。 Its page for the printer."),
        click.option("--certificate", type=kind, help="签名的脱敏处理证明（JSON）。 Where the certificate goes."),
    ):
        call = option(call)
    return call


def check(paper: Papers, *others: Path) -> None:
    """Refuse names that are taken or stand twice, and a page without the certificate that it speaks of: UsageError."""
    if paper.certificate is None and (paper.page is not None or paper.closed):
        raise UsageError(
            Say("须先有签名的证明", "there is no certificate that this could be of"),
            Say("同时给出 --certificate", "give --certificate too"),
        )
    paths = [path for path in (*others, paper.certificate, paper.page) if path is not None]
    for number, path in enumerate(paths):
        if path.exists() or path.is_symlink() or path in paths[:number]:
            raise UsageError(
                Say(f"文件已存在，不覆盖：{path}", f"the file exists and is not overwritten: {path}"),
                Say("换一个文件名", "give another name"),
            )


def tell(paper: Papers) -> None:
    """Say where the certificate is, and whether it may be given away."""
    if paper.certificate is None:
        return
    faces.say(tr(f"  证明：{paper.certificate}", f"  certificate: {paper.certificate}"))
    if not paper.closed:
        faces.say(
            tr(
                "  此证明含原件摘要，只供本单位留存（短文本可由摘要试出）；交外单位的用 --closed 生成",
                "  it tells the hash of the original, from which a short text can be guessed: keep it; "
                "what is given away is made with --closed",
            )
        )
