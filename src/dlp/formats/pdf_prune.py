"""Fonts of a redacted PDF without the letters that stand only in what was removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlp.formats.room import Room


class Fonts:
    """Which codes of which font were removed, and which are still used."""

    def __init__(self) -> None:
        self._lost: dict[Any, set[bytes]] = {}

    def lose(self, face: Any, codes: Sequence[bytes]) -> None:
        """Note codes of a font that were removed somewhere."""
        self._lost.setdefault(face.objgen, set()).update(codes)

    def use(self, content: bytes, resources: Any) -> None:
        """Note what a content still shows."""

    def prune(self, room: Room) -> None:
        """Take out of each font what only removed texts needed."""
