"""`dlp console`: the console by itself, beside a gate that runs, or as that gate's own child."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from pathlib import Path

import click

from dlp import config as configuration
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.errors import UsageError
from dlp.model import Say


@click.command("console")
@faces.options
@click.option("--attached", is_flag=True, hidden=True, help="a gate started it, and speaks through standard input")
def command(config_path: Path | None, *, attached: bool) -> None:
    """网页控制台（随 dlp run 自动启动；此命令单独启动）。 The web console; `dlp run` starts it by itself."""
    from dlp.web.serve import Server  # noqa: PLC0415  the web is loaded where it is served
    from dlp.web.site import Console  # noqa: PLC0415  as above

    file = config_path or configuration.find()
    config = configuration.read(file)
    if not config.console.port:
        raise UsageError(Say("控制台已关闭（[console] port = 0）", "the console is off ([console] port = 0)"))
    if not attached:
        first = secrets.token_urlsafe(24)
        console = Console.open(config, first=first, file=file)
        server = Server(console)
        _greet(config.console.address, "" if console.people.exist else first)
        server.run()
        return
    said = json.loads(sys.stdin.readline())
    server = Server(Console.open(config, first=said["first"], demo=said["demo"], file=file))
    stop = threading.Event()
    threading.Thread(target=_until_it_goes, args=(stop,), name="console-parent", daemon=True).start()
    server.run(stop)


def _until_it_goes(stop: threading.Event) -> None:
    sys.stdin.read()  # the gate never says more: this ends with the gate
    stop.set()


def _greet(at: str, first: str) -> None:
    faces.say(tr(f"控制台：{at}", f"console: {at}"))
    if first:
        faces.say(
            tr(f"建立账号（链接只用一次）：{at}/begin?key={first}", f"make accounts, once: {at}/begin?key={first}")
        )
