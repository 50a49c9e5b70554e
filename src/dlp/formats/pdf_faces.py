"""Whether pdfium takes fonts of this machine for documents that do not bring their own.

To draw a page it must. To read one it need not: codes and widths are in the file. It would measure the outline of
every character of the foreign font, twice, which takes ten times as long as all the rest, and what is read would
depend on what is installed. A document keeps the fonts that it was given, so one that is read so is not drawn.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pypdfium2.raw as pdfium

_withheld = False
_kept: list[Any] = []
"""What pdfium calls must outlive all its documents."""


@contextmanager
def withheld() -> Iterator[None]:
    """Have pdfium use its own fonts only, while the context lasts."""
    global _withheld  # noqa: PLW0603  pdfium has one font mapper a process
    before, _withheld = _withheld, True
    try:
        yield
    finally:
        _withheld = before


def _guarded(original: Any) -> Any:
    """Return a callback that does what `original` does, or says that there is no such font."""
    kind = type(original)
    call = kind(ctypes.cast(original, ctypes.c_void_p).value)  # a copy: the field is about to change

    def ask(*arguments: Any) -> Any:
        return None if _withheld else call(*arguments)

    guarded = kind(ask)
    _kept.extend((call, guarded))
    return guarded


def _install() -> None:
    info = pdfium.FPDF_GetDefaultSystemFontInfo()
    if not info:
        return  # no fonts of this machine are used at all
    _kept.append(info)
    for name in ("MapFont", "GetFont"):
        if getattr(info.contents, name):
            setattr(info.contents, name, _guarded(getattr(info.contents, name)))
    pdfium.FPDF_SetSystemFontInfo(info)


_install()
