"""What `dlp check-redaction` names in files of bad and good redactions, beside x-ray. Prints Markdown.

`python bench/redaction_leaks.py [FOLDER...]`; without one, the redactions of the evaluation material.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import peers

import dlp
from dlp import leaks

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "corpus" / "redaction"
PEER = Path(os.environ.get("XRAY_PYTHON") or peers.PYTHON)


def ours(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Return for each file the kinds for which a gate holds it, and all that the command names."""
    rows = []
    with dlp.Gate.from_config(None) as gate:
        for seen in gate.scan_each(files):
            found = leaks.find(seen.document, every=True)
            kinds = ", ".join(f"{leaks.kind_of(f)}{f' p.{f.page}' if f.page else ''} x{f.count}" for f in found)
            held = any(reason.clause == "redaction-leaks" for reason in seen.verdict.reasons)
            rows.append((kinds or ("unread" if seen.gaps else "-"), "held" if held else ""))
    return rows


def theirs(files: Iterable[Path]) -> list[str]:
    """Return what x-ray finds in each file, or that it is not there."""
    names = [str(path) for path in files]
    script = Path(__file__).with_name("peers") / "redactions.py"
    if not PEER.exists():
        return ["peer missing"] * len(names)
    done = subprocess.run(
        [str(PEER), str(script)], input="\n".join(names) + "\n", capture_output=True, text=True, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(names):
        return ["peer missing"] * len(names)
    return [", ".join(f"p.{page} x{count}" for page, count in answer.items()) or "-" for answer in answers]


def main() -> None:
    """Print one row a file, and the time that each took for all of them."""
    folders = [Path(name) for name in sys.argv[1:]] or [SHARED]
    files = [path for folder in folders for path in sorted(folder.rglob("*.pdf"))]
    began = time.perf_counter()
    left = ours(files)
    middle = time.perf_counter()
    right = theirs(files)
    ended = time.perf_counter()
    print("| file | dlp check-redaction | gate | x-ray |\n|---|---|---|---|")
    for path, (kinds, held), other in zip(files, left, right, strict=True):
        print(f"| {path.name} | {kinds} | {held} | {other} |")
    print(f"\n{len(files)} files: {middle - began:.1f} s with start and the whole scan, x-ray {ended - middle:.1f} s")


if __name__ == "__main__":
    main()
