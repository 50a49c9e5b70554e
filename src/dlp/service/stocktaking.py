"""清点 at work: the numbers that were read in are held against the books in one moment, and the count is kept.

A count that differs is told outside like every alarm: its event says so, and `service.notices` reads it.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from dlp import stocktake
from dlp.copies import COPIES, Copy, CopyState, copy_id
from dlp.destruction import DESTRUCTIONS, Stage
from dlp.errors import NotFound, UsageError
from dlp.model import Say
from dlp.rights import Operation
from dlp.service.acting import Acting
from dlp.service.keys import new_id
from dlp.service.lending import LEFT
from dlp.sources.names import shown
from dlp.stocktake import STOCKTAKES, Found, Stocktake
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter

MOST_READ = 100_000
MOST_BYTES = 8 * 1024 * 1024
HEADS = ("编号", "copy")
LONGEST = 200
ABOUT = (CopyState.MADE, CopyState.OUT, CopyState.RETURNED, CopyState.LISTED)
"""Where a copy is that is not done with."""
_NUMBER = re.compile(r"([0-9A-Z]{6,26})-([0-9]{1,6})\Z", re.ASCII)
_CODE = re.compile(r"DLPS1:([0-9A-Z]{6,26}):([0-9]{1,6})/[0-9]{1,6}\Z", re.ASCII)


class Stocktaking:
    """The counts of one site, in the name of one person."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._store = acting.store

    def count(self, read: Sequence[str], *, unit: str = "", place: str = "", note: str = "") -> Stocktake:
        """Write down what lies here, copy by copy, and return how it stands to the books.

        `read` are numbers of copies, as on paper or as the code of a stamp gives them. UsageError for a word that is
        no number: what it says is not repeated, it may be the title of a file.
        """
        unit, place, note = (text.strip() for text in (unit, place, note))
        if any(len(text) > LONGEST or not text.isprintable() for text in (unit, place, note)):
            raise UsageError(Say(f"部门、地点、备注不超过 {LONGEST} 字", f"unit, place and note: {LONGEST} letters"))
        if len(read) > MOST_READ:
            raise UsageError(Say(f"一次清点不超过 {MOST_READ} 份", f"at most {MOST_READ} copies at once"))
        names = [self._name(word, place_) for place_, word in enumerate(read, 1)]
        with self._acting.demand(Operation.REGISTER_COUNT) as entry:
            person = self._acting.now(entry)
            here, others = _sorted_out(entry, names, lambda copy: unit in ("", copy.unit))
            made = Stocktake(
                id=new_id(entry.moment),
                by=person.id,
                unit=unit,
                place=place,
                note=note,
                at=entry.moment,
                read=len(names),
                lines=stocktake.compare(here, others, names, now=entry.moment),
            )
            entry.put(STOCKTAKES, made)
            counted = {found.value: made.number(found) for found in Found}
            entry.append(person.id, "stocktake", "", {"stocktake": made.id, "differs": made.differs, **counted})
        return made

    def _name(self, word: str, place: int) -> str:
        """Return the whole number of a copy; as it is written where the books know no such job."""
        plain = word.strip().upper()
        found = _NUMBER.match(plain) or _CODE.match(plain)
        if found is None:
            raise UsageError(
                Say(f"第 {place} 个不是份的编号，未清点", f"number {place} is no copy number; nothing was counted"),
                Say("编号形如 任务编号-001，或扫描戳记的二维码", "JOB-001, or the code of a stamp"),
            )
        try:
            job = self._store.get(found[1]).id
        except NotFound:
            job = found[1]
        return copy_id(job, int(found[2]))


def numbers(path: Path) -> list[str]:
    """Return the numbers in a file, one a line: of the column 编号 or `copy` where there is one, else the first."""
    where = shown(os.fsencode(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as err:
        raise UsageError(Say(f"读不了文件：{where}：{err.strerror}", f"cannot read {where}: {err.strerror}")) from err
    text = _text(raw) if len(raw) <= MOST_BYTES else None
    if text is None:
        raise UsageError(
            Say(f"不是清点用的 CSV 或文本：{where}", f"this is no list of copies: {where}"),
            Say("用 UTF-8 或 GB18030，每行一份，不超过 8 MB", "UTF-8 or GB18030, one copy a line, at most 8 MB"),
        )
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(cell.strip() for cell in row)]
    except csv.Error as err:
        raise UsageError(Say(f"CSV 有误：{where}", f"this CSV is broken: {where}")) from err
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = next((head.index(name) for name in HEADS if name in head), None)
    if column is None:
        return [row[0] for row in rows]
    return [row[column] if column < len(row) else "" for row in rows[1:]]


def _text(raw: bytes) -> str | None:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _sorted_out(entry: Entry, names: Sequence[str], wanted: Callable[[Copy], bool]) -> tuple[list[Copy], list[Copy]]:
    """Return the copies that must be here, and every other one that a count could tell of."""
    open_ = entry.records(COPIES, RecordFilter(states=tuple(state.value for state in ABOUT)))
    gone = {one.id for one in entry.records(DESTRUCTIONS, RecordFilter(states=(Stage.HANDED.value,)))}
    made = {copy.job for copy in open_ if copy.state is CopyState.MADE}
    printed = {job for job in made if entry.job(job).state in LEFT}
    asked, seen = set(names), set[str]()
    here: list[Copy] = []
    others: list[Copy] = []
    for copy in open_:
        seen.add(copy.id)
        is_here = (
            copy.state is CopyState.RETURNED
            or (copy.state is CopyState.MADE and copy.job in printed)
            or (copy.state is CopyState.LISTED and copy.list not in gone)
        )
        if wanted(copy):
            (here if is_here else others).append(copy)
        elif copy.id in asked:
            others.append(copy)
    ended = (entry.find(COPIES, name) for name in dict.fromkeys(names) if name not in seen)
    others += [one for one in ended if one is not None]
    return here, others
