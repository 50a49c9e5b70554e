"""What a bug of ours says: where it happened, and nothing of what it happened with."""

from __future__ import annotations

import traceback
from pathlib import Path


def trace(err: BaseException) -> str:
    """Return kind and code lines of a fault without its message, which can quote a document or a file name."""
    frames = traceback.extract_tb(err.__traceback__)
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(err).__name__} at {where}"
