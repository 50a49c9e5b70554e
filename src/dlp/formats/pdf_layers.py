"""Layers of a PDF (optional content, ISO 32000-1, 8.11): which of them are switched off."""

from __future__ import annotations

from typing import Any

import pikepdf

from dlp.formats.pdf_ops import NeedsRaster


class Layers:
    """The layers of one document as its default configuration shows them."""

    def __init__(self, pdf: Any) -> None:
        self._off: set[tuple[int, int]] = set()
        properties = pdf.Root.get("/OCProperties")
        if not isinstance(properties, pikepdf.Dictionary):
            return
        usual = properties.get("/D", pikepdf.Dictionary())
        if str(usual.get("/BaseState", "/ON")) == "/OFF":
            self._off |= {one.objgen for one in properties.get("/OCGs", ())}
        self._off |= {one.objgen for one in usual.get("/OFF", ())}
        self._off -= {one.objgen for one in usual.get("/ON", ())}
        for usage in usual.get("/AS", ()):
            if str(usage.get("/Event", "")) == "/View":
                self._off |= {one.objgen for one in usage.get("/OCGs", ()) if _is_unseen(one)}

    @property
    def some_off(self) -> bool:
        """Tell whether any layer is switched off."""
        return bool(self._off)

    def is_off(self, layer: Any) -> bool:
        """Tell whether content of this layer, or of this choice among layers, is not shown."""
        if not isinstance(layer, pikepdf.Dictionary):
            return False
        if str(layer.get("/Type", "")) != "/OCMD":
            return layer.objgen in self._off
        if "/VE" in layer:
            raise NeedsRaster("it shows layers by a rule that is not followed")
        members = layer.get("/OCGs", ())
        states = [self.is_off(one) for one in (members if isinstance(members, pikepdf.Array) else [members])]
        if not states:
            return False
        policy = str(layer.get("/P", "/AnyOn"))
        shown = {
            "/AllOn": not any(states),
            "/AnyOff": any(states),
            "/AllOff": all(states),
        }.get(policy, not all(states))
        return not shown


def _is_unseen(layer: Any) -> bool:
    view = layer.get("/Usage", pikepdf.Dictionary()).get("/View", pikepdf.Dictionary())
    return str(view.get("/ViewState", "/ON")) == "/OFF"
