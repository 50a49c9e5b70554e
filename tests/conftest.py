"""Shared fixtures: a site of its own for each test, and the evaluation material where it is present."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from print_stack import PrintStack, missing
from sites import Place, lay

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have counted: a worker has no terminal of its own."""
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(f"{report.nodeid}: {value}")


@pytest.fixture(autouse=True)
def _own_limit_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back the limit of Pillow after each test: a reader sets it for its process, here that of all tests."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def site(tmp_path: Path) -> Place:
    """Lay out a site with one watched folder in a temporary place."""
    return lay(tmp_path)


@pytest.fixture
def stack() -> Iterator[PrintStack]:
    """Start a CUPS of its own for one test, and end it with everything that belongs to it."""
    if why := missing():
        pytest.skip(why)
    with PrintStack() as made:
        yield made


@pytest.fixture
def shared() -> Path:
    """Give the folder of evaluation material that nobody in this project wrote."""
    if not SHARED.is_dir():
        pytest.skip("the evaluation material (../shared) is not beside this checkout")
    return SHARED
