"""The house has floors: a module imports only from floors below it, or from earlier names on its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "dlp"

# Lowest floor first; within a floor, earlier names first. A package stands for everything in it.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("model", "errors"),
    (
        "located",
        "tables",
        "digits",
        "text",
        "zones",
        "checks",
        "wrapped",
        "words",
        "standing",
        "marks",
        "site",
        "rights",
        "terms",
        "request",
        "refusals",
        "ladder",
        "approval",
        "laws",
        "packs",
        "fit",
        "classes",
        "forms",
        "scan",
        "context",
        "exact",
        "places",
        "match",
        "trial",
        "mutate",
        "leaks",
        "odd",
        "persons",
        "policy",
        "withhold",
        "values",
        "hand",
        "plan",
        "told",
        "imprint",
        "alike",
    ),
    (
        "durable",
        "limits",
        "config",
        "wire",
        "sniff",
        "formats",
        "landlock",
        "seccomp",
        "orders",
        "child",
        "worker",
        "keeper",
        "draw",
        "press",
        "look",
        "eyes",
        "ocr",
        "engrave",
        "sandbox",
        "ratchet",
        "audit",
        "siem",
        "signature",
        "certificate",
        "checkpoint",
        "origin",
        "store",
        "account",
        "copies",
        "incident",
        "evidence",
        "destruction",
        "commissions",
        "description",
        "stocktake",
        "review",
        "drafts",
        "replay",
        "tally",
        "notice",
        "vault",
        "bundle",
        "ipp",
        "sources",
    ),
    ("pipeline",),
    ("service",),
    ("web", "cli"),
)
ORDER = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}


def modules() -> list[Path]:
    """Every module of the package but its front door and `python -m dlp`."""
    return [p for p in sorted(SRC.rglob("*.py")) if p.relative_to(SRC).as_posix() not in {"__init__.py", "__main__.py"}]


def place_of(dotted: str) -> str:
    """The first name below `dlp`, which stands for the whole package of that name."""
    return dotted.split(".")[1]


def imports(path: Path) -> set[str]:
    """Every `dlp.<name>` that a module imports, at its top or inside a function, type-checking only or not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {place_of(a.name) for a in node.names if a.name.startswith("dlp.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "dlp":
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dlp."):
            found.add(place_of(node.module or ""))
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(SRC).as_posix())
def test_a_module_imports_only_from_below(path: Path) -> None:
    """No import goes up a floor, or to a later name of the same floor."""
    own = path.relative_to(SRC).parts[0].removesuffix(".py")
    assert own in ORDER, f"{own} stands on no floor: give it a place in FLOORS"
    for name in imports(path) - {own, "__version__"}:
        assert name in ORDER, f"{path.name} imports dlp.{name}, which stands on no floor"
        assert ORDER[name] < ORDER[own], f"{own} (floor {ORDER[own]}) imports {name} (floor {ORDER[name]})"


def test_pure_floors_touch_nothing_outside() -> None:
    """The floor of thought has no file, no clock, no network, no database."""
    outside = {
        "os",
        "pathlib",
        "time",
        "datetime",
        "socket",
        "sqlite3",
        "subprocess",
        "shutil",
        "tempfile",
        "threading",
    }
    allowed = {
        # jieba wants a folder for its own cache; local state of the scanner is kept for each thread
        "words": {"os", "threading", "pathlib", "tempfile"},
        "scan": {"threading"},
        # a birth date is compared with the calendar
        "checks": {"datetime"},
        "marks": {"datetime"},
        # an exemption ends on a day, which is handed in, and so does the term of a mark
        "policy": {"datetime"},
        "terms": {"datetime"},
        "standing": {"datetime"},
        # the tables are data that lies beside the code
        "text": {"pathlib"},
    }
    for path in modules():
        own = path.relative_to(SRC).parts[0].removesuffix(".py")
        if ORDER[own][0] > 1:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not (names & outside) - allowed.get(own, set()), f"{own} reaches outside: {names & outside}"
