"""Peers measured beside this product: each runs in a process of its own, in `.venv-peers`, and is never part of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from dlp import checks
from dlp.packs import Pack

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
MODES = ("presidio", "presidio-same", "jionlp")


def missing() -> str:
    """Return why there are no peers, or nothing."""
    return "" if PYTHON.exists() else "the peers are not installed: `make peers` needs a package index"


class Peer:
    """One peer as a detector of spans. Use as a context manager."""

    def __init__(self, mode: str, packs: Sequence[Pack]) -> None:
        self._process = subprocess.Popen(
            [str(PYTHON), str(Path(__file__).with_name("serve.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self.seconds = 0.0
        """Processor time of the last search."""
        self._tell(_order(mode, packs))

    def search(self, text: str) -> list[tuple[int, int, str]]:
        """Return begin, end and type of everything that it finds."""
        self._tell({"text": text})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a peer ended before it answered")
        answer = json.loads(line)
        self.seconds = answer["seconds"]
        return [(start, end, kind) for start, end, kind in answer["spans"]]

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def _order(mode: str, packs: Sequence[Pack]) -> dict[str, Any]:
    rules = [rule for pack in packs for rule in pack.rules]
    return {
        "mode": mode,
        "checks": checks.__file__,
        "rules": [
            {
                "type": rule.type,
                "pattern": rule.pattern,
                "edges": rule.edges,
                "check": rule.check,
                "near": list(rule.near.words) if rule.near else [],
                "required": bool(rule.near and rule.near.required),
            }
            for rule in rules
            if rule.kind == "pattern"
        ],
        "terms": sorted({term.term for rule in rules for term in rule.all_terms()}),
    }
