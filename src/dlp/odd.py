"""What is odd about a file besides its words: a name that says another type, scripts and actions, bad redactions.

Pure. The first two are findings of type `oddity`: by themselves recorded, never a reason to hold a file in the shipped
policy. What a redaction leaks is told by `leaks` and does hold one.
"""

from __future__ import annotations

from dlp import leaks
from dlp.model import PRINTER, Document, Finding, Item, Severity, Slice

TYPE = "oddity"
CATEGORY = "evasion"
ACTION = "/Action"
"""Anchor of the segments by which the PDF reader tells of actions."""

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_WORD = ("application/msword", _OFFICE + "wordprocessingml.document")
_EXCEL = ("application/vnd.ms-excel", _OFFICE + "spreadsheetml.sheet")
_POINT = ("application/vnd.ms-powerpoint", _OFFICE + "presentationml.presentation")
_LOCKED = "application/x-ole-encrypted"
_TEXT = "text/"
_KINDS: dict[str, tuple[str, ...]] = {
    "pdf": ("application/pdf",),
    "doc": (*_WORD[:1], "application/rtf", _LOCKED),
    "xls": (*_EXCEL[:1], _LOCKED),
    "ppt": (*_POINT[:1], _LOCKED),
    **dict.fromkeys(("docx", "docm", "dotx", "dotm"), (_WORD[1], _LOCKED)),
    **dict.fromkeys(("xlsx", "xlsm", "xltx", "xltm"), (_EXCEL[1], _LOCKED)),
    **dict.fromkeys(("pptx", "pptm", "ppsx", "potx"), (_POINT[1], _LOCKED)),
    **dict.fromkeys(("wps", "wpt"), (*_WORD, _LOCKED)),
    **dict.fromkeys(("et", "ett"), (*_EXCEL, _LOCKED)),
    **dict.fromkeys(("dps", "dpt"), (*_POINT, _LOCKED)),
    "odt": (_OPEN + "text",),
    "ods": (_OPEN + "spreadsheet",),
    "odp": (_OPEN + "presentation",),
    "ofd": ("application/ofd",),
    **dict.fromkeys(("xps", "oxps"), ("application/vnd.ms-xpsdocument",)),
    "rtf": ("application/rtf",),
    **dict.fromkeys(("html", "htm"), ("text/html",)),
    **dict.fromkeys(("eml", "mht", "mhtml", "mbox"), ("message/rfc822",)),
    "msg": ("application/vnd.ms-outlook",),
    **dict.fromkeys(("jpg", "jpeg", "jpe"), ("image/jpeg",)),
    "png": ("image/png",),
    "gif": ("image/gif",),
    "bmp": ("image/bmp",),
    "webp": ("image/webp",),
    **dict.fromkeys(("tif", "tiff"), ("image/tiff",)),
    "zip": ("application/zip",),
    "7z": ("application/x-7z-compressed",),
    "rar": ("application/vnd.rar",),
    "tar": ("application/x-tar",),
    **dict.fromkeys(("gz", "tgz"), ("application/gzip",)),
    **dict.fromkeys(("txt", "log", "md", "csv", "tsv"), (_TEXT,)),
}


def find(item: Item, untrusted: Document) -> tuple[Finding, ...]:
    """Return what is odd; `item` has the name as the operator sees it."""
    return (*_disguise(item, untrusted), *_actions(untrusted), *leaks.find(untrusted))


def _disguise(item: Item, untrusted: Document) -> tuple[Finding, ...]:
    if item.source.startswith(PRINTER):
        return ()  # the title of a print job names the document that was printed, not what came of it
    _, dot, extension = item.name.rpartition(".")
    kinds = _KINDS.get(extension.lower()) if dot else None
    if kinds is None or not untrusted.media or untrusted.media == "inode/x-empty":
        return ()
    if any(untrusted.media.startswith(kind) if kind == _TEXT else untrusted.media == kind for kind in kinds):
        return ()
    return (
        Finding(
            rule="gate.name.extension",
            pack="gate",
            type=TYPE,
            category=CATEGORY,
            name="扩展名与内容不符",
            severity=Severity.MEDIUM,
            masked=f".{extension.lower()} ≠ {untrusted.media}",
            why=(f"content:{untrusted.media}",),
        ),
    )


def _actions(untrusted: Document) -> tuple[Finding, ...]:
    found: dict[str, Finding] = {}
    for number, segment in enumerate(untrusted.segments):
        if segment.anchor != ACTION or segment.text in found:
            continue
        page = segment.strip.page if segment.strip is not None else None
        found[segment.text] = Finding(
            rule="gate.content.action",
            pack="gate",
            type=TYPE,
            category=CATEGORY,
            name="文件含脚本或动作",
            severity=Severity.MEDIUM,
            slices=(Slice(number, 0, len(segment.text)),),
            part=segment.part,
            page=page,
            zone=segment.zone,
            masked=segment.text[:40],
            why=("action",),
        )
    return tuple(found.values())
