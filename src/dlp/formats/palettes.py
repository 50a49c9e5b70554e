"""Colours of pictures: palettes with nothing but what is shown, and the ink of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

WHITE = 255
_INK: dict[str, Any] = {"1": 0, "L": 0, "LA": (0, 255), "RGB": (0, 0, 0), "RGBA": (0, 0, 0, 255)}
_INK |= {"CMYK": (0, 0, 0, 255), "I;16": 0, "I;16B": 0}


def inked(frame: Any) -> tuple[Any, Any]:
    """Return a frame that has black, or the darkest there is, and what that is called in its mode."""
    if frame.mode in ("I", "F"):
        return frame, frame.getextrema()[0]
    if frame.mode != "P":
        return frame, _INK[frame.mode]
    colours = _colours(frame)
    if len(colours) < 256:
        colours = np.concatenate((colours, [(0, 0, 0, WHITE)]))
        frame = _with_palette(frame, colours)
    darkness = colours[:, :3].sum(axis=1) + np.where(colours[:, 3] == WHITE, 0, 10_000)
    return frame, int(darkness.argmin())


def cleared(frame: Any) -> Any:
    """Return a frame whose fully clear pixels have no colour: what was drawn there is not carried over."""
    if frame.mode not in ("LA", "RGBA"):
        return frame
    opacity = frame.getchannel("A")
    if opacity.getextrema()[0] > 0:
        return frame
    blank = Image.new(frame.mode, frame.size)
    blank.paste(frame, mask=opacity.point(lambda value: WHITE if value else 0))
    return blank


def compact(frame: Any) -> Any:
    """Return a frame with a palette of those colours alone that its pixels have; the clear ones become one."""
    frame.apply_transparency()
    given = np.asarray(frame.getpalette("RGBA"), dtype=np.int64).reshape(-1, 4)
    colours = np.full((256, 4), (0, 0, 0, WHITE), dtype=np.int64)
    colours[: len(given)] = given
    colours[colours[:, 3] == 0] = 0
    used = [number for number, count in enumerate(frame.histogram()[:256]) if count]
    kept, places = np.unique(colours[used], axis=0, return_inverse=True)
    table = [0] * 256
    for number, place in zip(used, places.ravel().tolist(), strict=True):
        table[number] = place
    return _with_palette(frame.point(table), kept)


def _with_palette(frame: Any, colours: Any) -> Any:
    frame.putpalette(colours[:, :3].astype(np.uint8).tobytes())
    frame.info = {"transparency": bytes(colours[:, 3].tolist())} if (colours[:, 3] < WHITE).any() else {}
    return frame


def _colours(frame: Any) -> Any:
    """Return the palette of a frame that `_compact` made."""
    count = len(frame.getpalette("RGB")) // 3
    opacity = frame.info.get("transparency", b"").ljust(count, b"\xff")
    plain = np.asarray(frame.getpalette("RGB"), dtype=np.int64).reshape(-1, 3)
    return np.concatenate((plain, np.frombuffer(opacity[:count], dtype=np.uint8).reshape(-1, 1)), axis=1)


def exact(frame: Any) -> Any:
    """Return colours as a frame with a palette: the very same where there are at most 256."""
    few = frame.getcolors(256)
    if few is None:
        return compact(frame.quantize(256, Image.Quantize.FASTOCTREE))
    table = np.array(sorted(colour for _, colour in few), dtype=np.int64)
    table[table[:, 3] < WHITE // 2] = 0
    table[table[:, 3] >= WHITE // 2, 3] = WHITE
    keys = np.asarray(frame).astype(np.uint32) @ np.array([1 << 24, 1 << 16, 1 << 8, 1], dtype=np.uint32)
    order = np.unique(keys)
    places = np.searchsorted(order, keys).astype(np.uint8)
    made = Image.frombytes("P", frame.size, places.tobytes())
    return compact(_with_palette(made, table))
