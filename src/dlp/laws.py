"""Which edition of a law is in force: what packs cite must not be repealed. Data in `tables/laws.txt`."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple

from dlp.model import Reference, Say


class Law(NamedTuple):
    """A law or standard: the edition in force, those before it, and what replaced it as a whole."""

    edition: str
    repealed: tuple[str, ...] = ()
    successor: str = ""


def fault(reference: Reference) -> tuple[Say, Say] | None:
    """Return what is wrong with citing this and what to cite instead; None when nothing is known against it."""
    law = known().get(reference.law)
    if law is None:
        return None
    if law.successor:
        return (
            Say(f"《{reference.law}》已废止", f"{reference.law} was repealed"),
            Say(f"改引《{law.successor}》（{law.edition}）", f"cite {law.successor} ({law.edition})"),
        )
    if reference.edition and reference.edition != law.edition:
        old = reference.edition in law.repealed
        return (
            Say(
                f"《{reference.law}》{reference.edition} 版{'已废止' if old else '不是现行版本'}",
                f"the edition {reference.edition} of {reference.law} {'was repealed' if old else 'is not in force'}",
            ),
            Say(f"现行版本自 {law.edition} 施行，核对条文后改写", f"in force since {law.edition}; check the article"),
        )
    return None


def lacks_edition(reference: Reference) -> str:
    """Return the edition that a citation should name and does not; empty when there is nothing to say."""
    law = known().get(reference.law)
    return law.edition if law is not None and not law.successor and not reference.edition else ""


@cache
def known() -> dict[str, Law]:
    """Return the laws of the table by name."""
    text = (resources.files("dlp.tables") / "laws.txt").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, edition, *rest = (cell.strip() for cell in line.split("|"))
            name, _, successor = (part.strip() for part in name.partition("->"))
            found[name] = Law(edition, tuple(rest[0].split()) if rest else (), successor)
    return found
