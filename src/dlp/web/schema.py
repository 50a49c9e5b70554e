"""The OpenAPI of the interface for programs, as it is checked in."""

from __future__ import annotations

import json
import sys
from typing import cast

from dlp.config import Config
from dlp.store.sqlite import SqliteStore
from dlp.web.app import application
from dlp.web.site import Console


def text() -> str:
    """Return it as JSON, the same for every site."""
    console = Console(Config(), cast("SqliteStore", None))  # no request is answered: nothing is read
    return json.dumps(application(console).openapi(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def write() -> None:
    """Write it to standard output."""
    sys.stdout.write(text())
