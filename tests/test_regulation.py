"""The table of duties is whole, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from dlp import cli
from dlp.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "regulation.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| SR-")]
NAMED = sorted(set(re.findall("`([^`]+)`", "\n".join(row[3] for row in ROWS))))


def test_every_duty_is_listed_once_in_order() -> None:
    """SR-01 to SR-86, each with its duty and one of three states."""
    assert [row[0] for row in ROWS] == [f"SR-{number:02}" for number in range(1, 87)]
    for _, duty, state, where in ROWS:
        assert duty
        assert state in {"已做", "部分", "以后"}
        assert where


def test_a_state_says_what_it_must() -> None:
    """What is done or half done names where; what is half done or later names what is missing."""
    for name, _, state, where in ROWS:
        if state == "已做":
            assert "以后" not in where, name
        if state == "部分":
            assert re.search("以后|现建议|默认", where), name
        if state != "以后":
            assert "`" in where or "同 SR-" in where, name


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_exists(name: str) -> None:
    """A module, a pack, a document, a command, or a key of the configuration."""
    if name.startswith("dlp."):
        path = ROOT / "src" / Path(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file()
    elif name.startswith("dlp "):
        words = name.split()[1:]
        assert words[0] in COMMANDS
        group = cli.dlp.get_command(click.Context(cli.dlp), words[0])
        assert group is not None
        if len(words) > 1:
            assert isinstance(group, click.Group)
            assert words[1] in group.commands
    elif name.startswith("make "):
        assert f"\n{name.split()[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    elif "/" in name:
        assert (ROOT / name).is_file()
    else:
        assert f"\n{name} = " in (ROOT / "config.example.toml").read_text(encoding="utf-8")
