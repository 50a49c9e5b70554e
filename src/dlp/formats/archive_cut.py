"""Archives written anew, in kind: members without their cuts, hits in their names, and nothing that lay between them.

ZIP, tar, and files packed by gzip, bzip2 and xz. A member that nothing is cut from keeps its bytes; one that cannot
be redacted keeps the whole archive back. Comments, owners and extra fields of an archive are not carried over.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import unicodedata
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import libarchive
import libarchive.exception

from dlp.formats import NotRedactable, Source, archive, zipsafe
from dlp.formats.cutting import Hole, by_member, counted, filled, holes_in, summed
from dlp.formats.room import Room, redact_member
from dlp.model import Cut, Removed

_PACKERS = {
    "application/gzip": lambda data: gzip.compress(data, 9, mtime=0),
    "application/x-bzip2": bz2.compress,
    "application/x-xz": lzma.compress,
}
_TAR = "application/x-tar"
_COMMENTS = "(comments)"
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')  # what one of the usual systems refuses
_NEVER_NAMES = frozenset({"", ".", ".."})


def redact(media: str, source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the archive without the cuts. `NotRedactable` where its kind or a member of it cannot be written."""
    if media == "application/zip":
        return _redact_zip(source, cuts, out, room)
    if media == _TAR:
        return _redact_tar(source, cuts, out, room)
    if media in _PACKERS:
        return _redact_packed(media, source, cuts, out, room)
    raise NotRedactable("archives of its kind are not written here")


def _redact_zip(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    package = zipsafe.Package(source, room)
    names = list(package.members)
    files = {name for name in names if not name.endswith("/")}
    gone = {_COMMENTS} - files if package.loose else set()
    _check(cuts, files | gone)
    removed = [*counted(cut for cut in cuts if not cut.part or cut.part[0] in gone)]

    inside = by_member(cuts)

    def members() -> Iterator[tuple[str, bytes]]:
        for name, new in zip(names, _renamed(names, cuts), strict=True):
            if name not in files:
                yield new, b""
                continue
            data, taken = redact_member(name, package.read(name), inside.get(name, ()), room)
            removed.extend(taken)
            yield new, data

    zipsafe.write(out, members())
    return summed(removed)


def _check(cuts: Sequence[Cut], places: set[str]) -> None:
    """Refuse a cut that lies in nothing that is written or left out knowingly."""
    for cut in cuts:
        if cut.part[0] not in places if cut.part else cut.anchor != "names":
            raise NotRedactable("what is to be removed is not where it was read")


# --- names


def _renamed(names: Sequence[str], cuts: Sequence[Cut]) -> list[str]:
    """Return the names of all members without the cuts that lie in the text of all names, one a line."""
    holes = holes_in("\n".join(names), (cut for cut in cuts if not cut.part))
    if not holes:
        return list(names)
    taken: set[str] = set()
    made = []
    at = next_hole = 0
    for name in names:
        mine = []
        end = at + len(name)
        while next_hole < len(holes) and holes[next_hole].start < end:
            hole = holes[next_hole]
            mine.append(Hole(max(hole.start - at, 0), min(hole.end, end) - at, hole.label))
            if hole.end > end:  # it goes on in the next name, without its label
                holes[next_hole] = Hole(end + 1, hole.end, "")
                break
            next_hole += 1
        made.append(_unlike(_name(name, [hole for hole in mine if hole.start < hole.end]), taken))
        at = end + 1
    return made


def _name(name: str, holes: Sequence[Hole]) -> str:
    """Return a name with labels in it, which must not make a path or an invalid name of it."""
    if not holes:
        return name
    new = filled(name, (hole._replace(label=_NOT_IN_NAMES.sub("_", hole.label)) for hole in holes))
    folder = "/" if name.endswith("/") else ""
    return "/".join("_" if part in _NEVER_NAMES else part for part in new.removesuffix("/").split("/")) + folder


def _unlike(name: str, taken: set[str]) -> str:
    """Return a name that no member before it has, as strict readers compare names."""
    stem, dot, ending = name.rpartition(".") if "." in name.rpartition("/")[2] else (name.removesuffix("/"), "", "")
    folder = "/" if name.endswith("/") else ""
    new, number = name, 1
    while (key := unicodedata.normalize("NFKC", new).casefold().rstrip("/. ")) in taken:
        number += 1
        new = f"{stem} ({number}){dot}{ending}{folder}"
    taken.add(key)
    return new


# --- tar


class Entry(NamedTuple):
    """One member of a tar file; `kind` as the format has it."""

    name: str
    kind: bytes
    link: str
    mode: int
    data: bytes


def _redact_tar(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    found = list(entries(source.content(), room))
    names = [entry.name for entry in found]
    files = {entry.name for entry in found if entry.kind == tarfile.REGTYPE}
    if len(set(names)) != len(names):
        raise NotRedactable("two members have the same name")
    _check(cuts, files)
    removed = [*counted(cut for cut in cuts if not cut.part)]
    inside = by_member(cuts)
    new_names = dict(zip(names, _renamed(names, cuts), strict=True))
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as made:
        for entry in found:
            data = entry.data
            if entry.name in files:
                data, taken = redact_member(entry.name, data, inside.get(entry.name, ()), room)
                removed.extend(taken)
            head = tarfile.TarInfo(new_names[entry.name])
            head.type, head.mode, head.size = entry.kind, entry.mode & 0o777, len(data)
            head.linkname = new_names.get(entry.link, entry.link)
            made.addfile(head, io.BytesIO(data))
    return summed(removed)


def entries(data: bytes, room: Room) -> Iterator[Entry]:
    """Yield the members as they were read; what is neither a file, a folder nor a link is refused."""
    try:
        with libarchive.memory_reader(data, "tar", "none") as found:
            for number, entry in enumerate(found, 1):
                room.spend_entries()
                name = archive.text_of(entry.pathname) or f"member {number}"
                link = archive.text_of(entry.linkpath) if entry.issym or entry.islnk else ""
                if link:
                    kind = tarfile.SYMTYPE if entry.issym else tarfile.LNKTYPE
                elif entry.isfile or entry.isdir:
                    kind = tarfile.REGTYPE if entry.isfile else tarfile.DIRTYPE
                else:
                    raise NotRedactable("a member is a device or a pipe")
                content = archive.content_of(entry, room) if kind == tarfile.REGTYPE else b""
                if content is None:
                    raise NotRedactable("a member cannot be unpacked")
                yield Entry(name, kind, link, entry.mode, content)
    except libarchive.exception.ArchiveError:
        raise NotRedactable("the archive is broken or cut off") from None


# --- packed files


def _redact_packed(media: str, source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    name = archive.source_name(media)
    if not all(cut.part[0] == name if cut.part else cut.anchor == "gzip" for cut in cuts):
        raise NotRedactable("what is to be removed is not where it was read")
    inner, whole = archive.unpacked(source.content(), media, room)
    if not whole:
        raise NotRedactable("the packed data is broken or cut off")
    data, removed = redact_member(name, inner, cuts, room)
    out.write(_PACKERS[media](data))
    return summed((*removed, *counted(cut for cut in cuts if not cut.part)))
