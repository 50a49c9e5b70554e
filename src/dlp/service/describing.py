"""What people write down of the file of a job, at whichever step they know it; the rules are `dlp.description`'s."""

from __future__ import annotations

from dlp.description import DESCRIPTIONS, Description, Given, describe
from dlp.errors import UsageError
from dlp.model import Say
from dlp.rights import Denial, Operation, Person
from dlp.service.acting import Acting, refused
from dlp.store.entry import Entry


class Describing:
    """What is written down of the files of one site, in the name of one person."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._store = acting.store

    def note(self, prefix: str, given: Given, *, reason: str = "") -> Description:
        """Write down what somebody knows of a file. Denied where something else stands there and no reason is given."""
        if not any(value.strip() if isinstance(value, str) else value for value in given):
            raise UsageError(
                Say("没有写明任何内容", "nothing is given"),
                Say("如 --docno 某发〔2026〕3号", "for example --docno"),
            )
        job = self._store.get(prefix).id
        with self._acting.demand(Operation.REGISTER_ENTER, job=job) as entry:
            person = self._acting.now(entry)
            made = merged(entry, job, given, person, reason=reason)
            if not isinstance(made, Denial):
                if write(entry, made):
                    entry.append(person.id, "described", job, {"version": made.version, "reason": reason.strip()})
                return made
            error = refused(entry, person, Operation.REGISTER_ENTER, made, job=job)
        raise error


def merged(entry: Entry, job: str, given: Given, person: Person, *, reason: str = "") -> Description | Denial:
    """Return what would be written down of a file now, and write nothing."""
    return describe(job, entry.find(DESCRIPTIONS, job), given, by=person.id, at=entry.moment, reason=reason)


def write(entry: Entry, made: Description) -> bool:
    """Write it down where it is new; whoever does so appends an event. Tell whether it was."""
    if made == entry.find(DESCRIPTIONS, made.id):
        return False
    entry.put(DESCRIPTIONS, made)
    return True
