"""Fonts that come with an OFD document, with nothing in them but what its pages still show.

A font that was made for one document tells by its alphabet which characters stood in it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from fontTools.ttLib import TTFont

from dlp.formats import NotRedactable, ofd
from dlp.formats.ofd import local, named
from dlp.formats.pdf_programs import Kept, sfnt

_STARTS = (b"\0\1\0\0", b"true", b"OTTO", b"ttcf")


class Used:
    """Characters and glyphs that the text objects of a document name, by the ID of their font."""

    def __init__(self) -> None:
        self._letters: dict[str, set[str]] = {}
        self._glyphs: dict[str, set[int]] = {}

    def see(self, root: Any) -> None:
        """Note what the text objects at and below a node show."""
        for thing in named(root, "TextObject"):
            face = thing.get("Font", "")
            for child in thing.iter():
                if local(child) == "TextCode":
                    self._letters.setdefault(face, set()).update(ofd.text_in(child))
                elif local(child) == "Glyphs":
                    numbers = ofd.text_in(child).split()
                    self._glyphs.setdefault(face, set()).update(int(one) for one in numbers if one.isdecimal())

    def pruned(self, raw: bytes, faces: Iterable[str]) -> bytes:
        """Return a font file with what these fonts show of it. `NotRedactable` where it cannot be taken apart."""
        if not raw.startswith(_STARTS[:3]):
            raise NotRedactable("a font of the document is of a kind that is not pruned here")
        letters: set[str] = set()
        glyphs: set[int] = set()
        for face in faces:
            letters |= self._letters.get(face, set())
            glyphs |= self._glyphs.get(face, set())
        try:
            font = TTFont(io.BytesIO(raw), lazy=True)
            known = font.getBestCmap() or {}
            glyphs |= {font.getGlyphID(known[ord(letter)]) for letter in letters if ord(letter) in known}
            return sfnt(raw, Kept(cids=frozenset({0} | glyphs), letters=frozenset(letters)))
        except Exception:  # noqa: BLE001  the library raises errors of its own for each table; all mean that it is damaged
            raise NotRedactable("a font of the document cannot be pruned") from None
