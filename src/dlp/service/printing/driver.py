"""The PPD file of a queue: one document a job, and the choices that people had made before. Pure.

The files are bytes: old ones are in many encodings, and only ASCII lines are looked at.
"""

from __future__ import annotations

import re

_SINGLE = b"*cupsSingleFile: true"
_HEAD = re.compile(rb"^\*PPD-Adobe:[^\n]*\n")
_SAID = re.compile(rb"^\*cupsSingleFile:[ \t]*(\S+)[^\n]*$", re.MULTILINE)
_FILTER = re.compile(rb"^\*cupsFilter2?:[ \t]*\"([^\"]*)\"", re.MULTILINE)
_DEFAULT = re.compile(rb"^\*Default(\w+):[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE)


def is_single(ppd: bytes) -> bool:
    """Tell whether CUPS sends each file of a job by itself: joined, a reader of PDF would see only the last one."""
    said = _SAID.search(ppd)
    return said is not None and said[1].lower().strip(b'"') == b"true"


def with_single(ppd: bytes) -> bytes:
    """Return the driver with one document a job."""
    if is_single(ppd):
        return ppd
    plain = _SAID.sub(b"", ppd)
    head = _HEAD.match(plain)
    at = head.end() if head else 0
    return plain[:at] + _SINGLE + b"\n" + plain[at:]


def carry(old: bytes, new: bytes) -> bytes:
    """Return the new driver with the default choices of the old one, where it knows the same choice."""
    chosen = dict(_DEFAULT.findall(old))

    def keep(found: re.Match[bytes]) -> bytes:
        name, choice = found[1], chosen.get(found[1])
        known = choice and re.search(rb"^\*%s[ \t]+%s[/:]" % (re.escape(name), re.escape(choice)), new, re.MULTILINE)
        return b"*Default%s: %s" % (name, choice) if known else found[0]

    return _DEFAULT.sub(keep, new)


def sends_pdf(ppd: bytes) -> bool:
    """Tell whether a queue with this driver sends PDF, and no pixels made of it."""
    kinds = {found.split()[1] for found in _FILTER.findall(ppd) if len(found.split()) > 1}
    return kinds == {b"application/pdf"}
