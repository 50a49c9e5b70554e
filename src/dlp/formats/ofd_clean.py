"""Parts of an OFD package with nothing but drawings in them, and new ones beside them."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from dlp.formats.ofd import local, named

_ELSEWHERE = frozenset({"URI", "Sound", "Movie", "GotoA"})  # actions that lead out of the document, or play
_UNKNOWN = frozenset({"Extensions", "CustomDatas", "CustomTags", "Remark", "Parameters"})
_NOTE_KEPT = frozenset({"ID", "Type", "Subtype", "Visible", "Print", "NoZoom", "NoRotate", "ReadOnly"})
_NOBODY = {"Creator": "-", "LastModDate": "1980-01-01"}  # an annotation must have them
_ENDING = re.compile(r"\.[A-Za-z]{1,5}$")


def ending(path: str) -> str:
    """Return the ending of a name, when it is one that says nothing else."""
    found = _ENDING.search(path)
    return found[0].lower() if found else ""


def looks(root: Any) -> Any:
    """Return a part of annotations with nothing but what they look like."""
    for note in named(root, "Annot"):
        for child in [child for child in note if local(child) != "Appearance"]:
            note.remove(child)
        keep_attributes(note, _NOTE_KEPT)
        for key, value in _NOBODY.items():
            note.set(key, value)
    return cleaned(root)


def keep_attributes(node: Any, kept: frozenset[str]) -> None:
    """Take all other attributes off an element."""
    for key in [key for key in node.attrib if key not in kept]:
        del node.attrib[key]


def cleaned(root: Any) -> Any:
    """Return a tree without what is no drawing: other vocabularies, names, loose text, ways out of the document."""
    space = etree.QName(root).namespace
    for node in list(root.iter()):
        foreign = not isinstance(node.tag, str) or etree.QName(node).namespace != space
        leads_out = local(node) == "Action" and any(local(child) in _ELSEWHERE for child in node)
        if node is not root and (foreign or leads_out or local(node) in _UNKNOWN):
            drop(node)
            continue
        node.attrib.pop("Name", None) if local(node) != "Bookmark" else None
        if len(node):
            node.text = None
        node.tail = None
    for actions in named(root, "Actions"):
        if not len(actions) and actions is not root:
            drop(actions)
    return root


def drop(node: Any) -> None:
    """Take an element out of its tree, and the loose text behind it."""
    parent = node.getparent()
    if parent is not None:
        node.tail = None
        parent.remove(node)


def below(parent: Any, name: str) -> Any:
    """Return a new last child in the vocabulary of its parent."""
    return etree.SubElement(parent, tag(parent, name))


def tag(beside: Any, name: str) -> str:
    """Return a name in the vocabulary of another element."""
    space = etree.QName(beside).namespace
    return f"{{{space}}}{name}" if space else name


def serialized(root: Any) -> bytes:
    """Return a part as bytes."""
    etree.cleanup_namespaces(root)
    written: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written
