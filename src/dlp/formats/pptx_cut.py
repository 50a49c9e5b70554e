"""Presentations without their cuts: what slides, notes, layouts and masters show, without films, comments and tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from dlp.formats import Source, zipsafe
from dlp.formats.ooxml_cut import DRAWING_PARTS, Copy, Part, write_copy
from dlp.formats.ooxml_holes import local, remove
from dlp.formats.ooxml_wishes import Read
from dlp.formats.room import Room
from dlp.model import Cut, Removed

_POINT = "application/vnd.openxmlformats-officedocument.presentationml."
_MACROS = "application/vnd.ms-powerpoint."
_FILMS = frozenset({"videoFile", "audioFile", "wavAudioFile", "quickTimeFile", "audioCd", "video", "audio"})


class Slides(Copy):
    """A presentation on its way to a copy without its cuts."""

    HOME = "ppt/"
    MAINS = {  # noqa: RUF012  it is declared in the class above
        **{
            f"{_POINT}{kind}.main+xml": f"{_POINT}{kind}.main+xml" for kind in ("presentation", "slideshow", "template")
        },
        **{
            f"{_MACROS}{kind}.macroEnabled.main+xml": f"{_POINT}{kind}.main+xml"
            for kind in ("presentation", "slideshow", "template")
        },
    }
    PARTS = {  # noqa: RUF012  as above
        **DRAWING_PARTS,
        **{
            name: f"{_POINT}{name}+xml"
            for name in ("slide", "slideLayout", "slideMaster", "notesSlide", "notesMaster", "handoutMaster")
        },
        "tableStyles": _POINT + "tableStyles+xml",
    }
    IMPLIED = frozenset(
        {
            *("diagramDrawing", "slideLayout", "slideMaster", "notesMaster", "notesSlide", "tableStyles", "theme"),
            *("themeOverride", "chartUserShapes"),
        }
    )
    DROPPED = frozenset(
        {
            *("custDataLst", "embeddedFontLst", "modifyVerifier", "smartTags", "contentPart", "controls", "photoAlbum"),
            *("videoFile", "audioFile", "wavAudioFile", "quickTimeFile", "audioCd", "snd", "sndAc", "sectionLst"),
        }
    )
    LISTS = frozenset({"custShowLst"})

    def clean(self, part: Part) -> None:
        """Take the timing off a slide whose films stay behind: it speaks of them."""
        for timing in list(part.root.iter("{*}timing")):
            if any(local(node.tag) in _FILMS for node in timing.iter()):
                remove(timing)

    def implied(self, part: Part, kind: str) -> bool:
        """Tell the same; notes lead back to their slide."""
        return super().implied(part, kind) or (part.kind == "notesSlide" and kind == "slide")

    def dangling(self, node: Any, key: str) -> None:
        """Leave the picture of an embedded object that stays behind."""
        if local(node.tag) != "oleObj":
            super().dangling(node, key)
            return
        frame = next((above for above in node.iterancestors() if local(above.tag) == "graphicFrame"), node)
        shown = next((child for child in node if local(child.tag) == "pic"), None)
        if shown is None:
            remove(frame)
        else:
            shown.tail = frame.tail
            frame.getparent().replace(frame, shown)


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room, read: Read) -> tuple[Removed, ...]:
    """Write the presentation without the cuts; `read` is its reader."""
    return write_copy(Slides(zipsafe.Package(source, room), cuts, room, read), out)
