"""What others wrote: the seed regulation, real office files, and files made to break readers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sites import Place


def scanned(site: Place, *paths: Path) -> tuple[list[dict[str, object]], subprocess.CompletedProcess[str]]:
    """Return the lines of `dlp scan --json PATHS` and the finished program."""
    done = site.run("scan", "--json", *map(str, paths), check=None, timeout=1500)
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done


def test_the_seed_regulation_holds_no_mark(site: Place, shared: Path) -> None:
    """A text that speaks of 绝密, 机密 and 秘密 sixty-six times is not itself marked."""
    (row,), done = scanned(site, shared / "domain" / "seed.txt")
    findings = row["findings"]
    assert isinstance(findings, list)
    assert [f for f in findings if f["type"] == "classification_mark"] == []
    assert done.returncode != 24


def test_offsets_of_a_text_are_the_hit(site: Place, tmp_path: Path) -> None:
    """`text[start:end]` of a plain-text file is the hit, in the original characters."""
    text = "前言\U00020000　联系人身份证号：１１０１０１１９９００３０７１２３３，手机13800138000。\n"
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    (row,), _ = scanned(site, path)
    findings = row["findings"]
    assert isinstance(findings, list)
    hits = {f["type"]: text[f["start"] : f["end"]] for f in findings}
    assert hits["cn_resident_id"] == "１１０１０１１９９００３０７１２３３"
    assert hits["cn_mobile"] == "13800138000"


def one_line_a_file(rows: list[dict[str, object]], folder: Path) -> None:
    """Assert that every file has exactly its own line."""
    files = sorted(str(p) for p in folder.rglob("*") if p.is_file())
    assert len(rows) == len(files)


def nothing_unread_is_clean(rows: list[dict[str, object]]) -> None:
    """Assert that no file with a gap, or without a known type, is allowed."""
    bad = [r["path"] for r in rows if r["action"] in ("allow", "alert") and (r["gaps"] or not r["media"])]
    assert not bad, bad


def test_some_office_files(site: Place, shared: Path, tmp_path: Path) -> None:
    """One in four of each kind of real office files, all of which `make test-long` goes through."""
    some = tmp_path / "some"
    for kind in sorted((shared / "corpus" / "files").iterdir()):
        for path in sorted(p for p in kind.rglob("*") if p.is_file())[::4]:
            copy = some / kind.name / path.relative_to(kind)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    assert office_files(site, some) >= 20


@pytest.mark.long
def test_office_files(site: Place, shared: Path) -> None:
    """Every real office file."""
    assert office_files(site, shared / "corpus" / "files") >= 80


def office_files(site: Place, folder: Path) -> int:
    """Assert of real office files: one line each, none blocked, none clean that was not read; return their number."""
    rows, _ = scanned(site, folder)
    one_line_a_file(rows, folder)
    nothing_unread_is_clean(rows)
    assert [r["path"] for r in rows if r["action"] == "block"] == []
    return len(rows)


@pytest.mark.long
def test_files_made_to_break_readers(site: Place, shared: Path) -> None:
    """Broken, odd and encrypted files: no crash, no hang, one line each, none clean that was not read."""
    folder = shared / "corpus" / "robust"
    rows, _ = scanned(site, folder)
    one_line_a_file(rows, folder)
    nothing_unread_is_clean(rows)
