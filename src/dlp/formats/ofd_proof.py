"""What a redacted OFD document may hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dlp.formats import Source, package_proof
from dlp.formats.room import Room
from dlp.model import Cut, Document

_MEMBERS = re.compile(
    r"OFD\.xml|Doc_\d+/(?:Document\.xml|Res_(?:\d+|labels)\.xml|Res/file\d+\.[a-z]{3,4}"
    r"|(?:Pages/Page|Tpls/Tpl)_\d+/Content\.xml|Annots/(?:Annotations|Annot_\d+)\.xml|Attachs/(?:Attachments\.xml|file\d+(?:\.[a-z]{1,5})?))"
)
_LEFT_BEHIND = frozenset(
    (  # noqa: SIM905  names without blanks; a list of quoted ones is three times as long
        "Title Author Subject Abstract Keywords Creator CustomDatas Signatures Versions CustomTags "
        "Extensions Permissions Remark Parameters URI Sound Movie GotoA"
    ).split()
)


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return the texts of a copy in drawing order, and whether it holds nothing but what it may."""
    del before, cuts
    return package_proof.look("application/ofd", source, _MEMBERS, _LEFT_BEHIND, room)
