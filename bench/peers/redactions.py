"""x-ray as a peer of `dlp check-redaction`: reads paths on standard input, answers one JSON line each: pages that leak.

Runs in `.venv-peers`. It stands on PyMuPDF, whose licence keeps it out of the product.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path


def main() -> None:
    """Answer until standard input ends."""
    import xray  # noqa: PLC0415  it is there in the environment of the peers only

    for line in sys.stdin:
        try:
            found = asyncio.run(xray.inspect(Path(line.rstrip("\n")).read_bytes()))
            answer = {str(page): len(boxes) for page, boxes in found.items()}
        except Exception as err:  # noqa: BLE001  a file that breaks a peer is a row, not an end
            answer = {"error": type(err).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
