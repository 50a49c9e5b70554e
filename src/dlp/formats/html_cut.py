"""Web pages written anew: their text without its cuts, and nothing that is no part of what they show.

The page is parsed to a tree and walked with the reader of pages itself, so each character of a segment is found again
in the node it came from. Scripts, comments, what is embedded, handlers, and pictures of one pixel stay behind; pictures
in the page itself are redacted as pictures. The page keeps its encoding, and declares it.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote, unquote

from lxml import etree

from dlp.formats import NotRedactable, Source, html, pixels
from dlp.formats.cutting import Hole, counted, filled, merged, summed
from dlp.formats.html import DATA, LINKS, Page, Pieces, Value
from dlp.formats.loose import decode_base64
from dlp.formats.room import Reading, Room, redact_member
from dlp.model import Check, Cut, Document, Removed
from dlp.sniff import magic

_DROPPED = frozenset("script noscript template iframe object embed applet frame frameset base".split())  # noqa: SIM905
_KEPT_ENCODINGS = {"utf-8": "utf-8", "gb18030": "gb18030", "big5": "big5", "cp950": "big5"}
_PIXEL = re.compile(r"\s*[01](?:px)?\s*")
_OUTSIDE = re.compile(r"\s*(?:https?:|ftp:)?//", re.IGNORECASE)
_SCRIPT = re.compile(r"\s*(?:javascript|vbscript):", re.IGNORECASE)
_DATA = re.compile(r"\s*data:", re.IGNORECASE)
_PICTURE = "image/"


def redact(source: Source, cuts: Sequence[Cut], out: BinaryIO, room: Room) -> tuple[Removed, ...]:
    """Write the page without the cuts. `NotRedactable` where one lies in another reading of it, or is not found."""
    raw = source.content()
    texts = html.decoded(raw)
    if not texts or not magic.markup(texts[0][0])[1]:
        raise NotRedactable("it is a text with marks in it, not a page")
    text, encoding = texts[0]
    own = [cut for cut in cuts if not cut.part]
    packed = html.packed_files(text)
    names = {f"data {number}": one for number, one in enumerate(packed, 1)}
    if not all(cut.part[0] in names for cut in cuts if cut.part):
        raise NotRedactable("what is to be removed is not where it was read")
    files, removed = _files(names, cuts, room)
    try:
        root = html.parse(text, etree.HTMLParser(no_network=True, huge_tree=False), room)
    except etree.LxmlError:
        raise NotRedactable("the page is nested too deep, or is none") from None
    if root is None or not root.getroottree().docinfo.doctype.isascii():
        raise NotRedactable("the page is empty, or its document type says something")
    try:
        _cut(root, text, own, room)
        _clean(root, files)
    except ValueError:
        raise NotRedactable("the page has names or signs that cannot be written anew") from None
    out.write(_written(root, encoding))
    return summed((*counted(own), *removed))


def _files(names: dict[str, str], cuts: Sequence[Cut], room: Room) -> tuple[dict[str, str], list[Removed]]:
    """Return what takes the place of each file that stands in the page; only pictures have a place in a page."""
    files: dict[str, str] = {}
    removed: list[Removed] = []
    for name, packed in names.items():
        data = decode_base64(unquote(packed))
        if not (magic.by_start(data) or "").startswith(_PICTURE):
            continue
        if any(cut.part[:1] == (name,) for cut in cuts):
            data, taken = redact_member(name, data, cuts, room)
            removed += taken
        else:
            data = pixels.clean_picture(data, room)
        files[packed] = quote(base64.b64encode(data).decode("ascii"), safe="+/=")
    return files, removed


# --- finding


class _Place(NamedTuple):
    """Where a piece of text is kept: the `text` or the `tail` of an element."""

    node: Any
    slot: str


class _Found(Page):
    """The reader of pages, remembering of what the wanted segments are made."""

    def __init__(self, reading: Reading, wanted: frozenset[str]) -> None:
        super().__init__(reading, reading.room.part, hidden=False)
        self._wanted = wanted
        self.pieces: dict[str, Pieces] = {}

    def note(self, anchor: str, pieces: Pieces) -> None:
        """Keep the pieces of a segment that is wanted."""
        if anchor in self._wanted:
            self.pieces[anchor] = list(pieces)


def _cut(root: Any, source: str, cuts: Sequence[Cut], room: Room) -> None:
    """Cut. The tree must say what the parser said while it read; where the two differ, no place is sure."""
    told = Reading(Room(room.limits))
    html.walk(source, told)
    known = {segment.anchor: segment.text for segment in told.segments}
    reading = Reading(Room(room.limits))
    page = _Found(reading, frozenset(cut.anchor for cut in cuts))
    for node in reversed(list(root.itersiblings(preceding=True))):
        _walk(node, page)
    _walk(root, page)
    for node in root.itersiblings():
        _walk(node, page)
    page.close()
    holes: dict[tuple[int, str], list[Hole]] = {}
    nodes: dict[int, Any] = {}
    values: dict[str, list[Hole] | None] = {}
    for cut in cuts:
        pieces = page.pieces.get(cut.anchor)
        whole = "".join(text for text, _ in pieces or ())
        text = whole.strip()
        if pieces is None or text != known.get(cut.anchor) or not 0 <= cut.start <= cut.end <= len(text):
            raise NotRedactable("what is to be removed is not where it was read")
        shift = len(whole) - len(whole.lstrip())
        for place, hole in _spread(pieces, Hole(cut.start + shift, cut.end + shift, cut.label)):
            if isinstance(place, _Place):
                nodes[id(place.node)] = place.node
                holes.setdefault((id(place.node), place.slot), []).append(hole)
            elif isinstance(place, Value):
                inside = values.setdefault(place.value, [])
                if inside is not None and place.whole:
                    inside.append(hole)
                else:
                    values[place.value] = None
    for (number, slot), found in holes.items():
        setattr(nodes[number], slot, filled(getattr(nodes[number], slot), merged(found)))
    _cut_values(root, values)


def _spread(pieces: Pieces, hole: Hole) -> list[tuple[Any, Hole]]:
    """Return the part of a hole that lies in each piece; the label stands in the first one that is kept anywhere."""
    found = []
    at, label = 0, hole.label
    for text, place in pieces:
        start, end = max(hole.start - at, 0), min(hole.end - at, len(text))
        if start < end and place is not None:
            found.append((place, Hole(start, end, label)))
            label = ""
        at += len(text)
    return found


def _cut_values(root: Any, values: dict[str, list[Hole] | None]) -> None:
    """Cut into attributes by their value; an address that was cut into leads nowhere, so it goes."""
    if not values:
        return
    for node in root.iter(etree.Element):
        for name, value in node.attrib.items():
            if value not in values:
                continue
            holes = values[value]
            if holes is None or name in LINKS:
                del node.attrib[name]
            else:
                node.set(name, filled(value, merged(holes)))


def _walk(root: Any, page: Page) -> None:
    """Feed a tree to the reader as the parser would; without recursion, because a tree can be deep."""
    steps: list[tuple[str, Any]] = [("start", root)]
    while steps:
        step, node = steps.pop()
        if step == "end":
            page.end(node.tag)
        elif step == "tail":
            page.place = _Place(node, "tail")
            page.data(node.tail)
        elif node.tag is etree.Comment:
            page.comment(node.text or "")
        elif node.tag is etree.PI:
            page.pi(node.target, node.text)
        elif isinstance(node.tag, str):
            page.start(node.tag, dict(node.attrib))
            if node.text:
                page.place = _Place(node, "text")
                page.data(node.text)
            steps.append(("end", node))
            for child in reversed(node):
                if child.tail:
                    steps.append(("tail", child))
                steps.append(("start", child))


# --- writing


def _clean(root: Any, files: dict[str, str]) -> None:
    """Take out what is no part of what the page shows."""
    etree.strip_elements(root, etree.Comment, etree.ProcessingInstruction, *_DROPPED, with_tail=False)
    for node in list(root.iter(etree.Element)):
        if _is_trap(node):
            _drop(node)
            continue
        for name, value in list(node.attrib.items()):
            unread = _DATA.match(value) and not DATA.search(value)
            if name.startswith("on") or name == "srcdoc" or _SCRIPT.match(value) or unread:
                del node.attrib[name]
            elif "data:" in value.lower():
                node.set(name, DATA.sub(lambda found: _refilled(found, files), value))
        if node.tag == "style" and node.text:
            node.text = DATA.sub(lambda found: _refilled(found, files), node.text)


def _is_trap(node: Any) -> bool:
    """Tell whether an element is a picture of one pixel from outside, or sends the reader elsewhere."""
    if node.tag == "meta":
        return "http-equiv" in node.attrib or "charset" in node.attrib
    sides = (node.get("width"), node.get("height"))
    small = any(side is not None and _PIXEL.fullmatch(side) for side in sides)
    return bool(node.tag == "img" and small and _OUTSIDE.match(node.get("src", "")))


def _refilled(found: re.Match[str], files: dict[str, str]) -> str:
    """Return a picture as data again; any other file becomes empty."""
    new = files.get(found[1])
    return "data:," if new is None else found[0][: found.start(1) - found.start()] + new


def _drop(node: Any) -> None:
    parent = node.getparent()
    if parent is None:
        raise NotRedactable("the page is nothing but one element that is not taken along")
    if node.tail:
        before = node.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + node.tail
        else:
            parent.text = (parent.text or "") + node.tail
    parent.remove(node)


def _written(root: Any, encoding: str) -> bytes:
    encoding = encoding if encoding in _KEPT_ENCODINGS else "utf-8"
    head = root.find("head")
    if head is None:
        head = etree.Element("head")
        root.insert(0, head)
    head.insert(0, etree.Element("meta", charset=_KEPT_ENCODINGS[encoding]))
    text: str = etree.tostring(root, method="html", encoding="unicode", with_tail=False)
    return b"<!DOCTYPE html>\n" + text.encode(codecs.lookup(encoding).name, "xmlcharrefreplace") + b"\n"


# --- proof


def verify(source: Source, before: Source, cuts: Sequence[Cut], room: Room) -> Document:
    """Return the text of a copy as the parser of Python reads it, and whether anything in it could still act."""
    del before, cuts
    reading = Reading(room)
    text = html.decoded(source.content())[0][0]
    look = _Look()
    look.feed(text)
    look.close()
    room.check_time()
    for said in (*look.texts, "".join(look.texts)):
        if said and not said.isspace():
            reading.add(said, part=room.part)
    state = "fail" if look.acts else "ok"
    reading.checks.append(Check(name="still", state=state, detail="the page can act" if look.acts else ""))
    return reading.document(html.MEDIA[0])


class _Look(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.acts = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.acts |= tag in _DROPPED
        for name, value in attrs:
            self.acts |= name.startswith("on") or bool(_SCRIPT.match(value or ""))
            if value and not DATA.search(value):
                self.texts.append(value)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        del data
        self.acts = True
