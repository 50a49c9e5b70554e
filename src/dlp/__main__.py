"""`python -m dlp` is the command `dlp`."""

from __future__ import annotations

from dlp.cli import main

if __name__ == "__main__":
    main()
