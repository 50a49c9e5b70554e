"""Registers as files: a workbook, a printable form, or comma-separated values. No text in them is ever a formula.

Workbooks and CSV are written row by row in constant memory. The file is written beside its place, its hash goes into
the audit trail, and only then it gets its name.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

import xlsxwriter

from dlp import durable
from dlp.errors import UsageError
from dlp.model import Say
from dlp.rights import Operation
from dlp.service import paper
from dlp.service.acting import Acting
from dlp.service.certify import state_folder
from dlp.service.files import write_all
from dlp.service.registers import Register, Registers, Row, Span, day
from dlp.sources.names import shown

Format = Literal["xlsx", "docx", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
MOST_IN_FORM = 5_000
"""Rows of a printable form; more is a workbook."""
ROWS_OF_SHEET = 1_000_000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_SIGNS = frozenset("=+-@")
NARROW, WIDE = 11, 28
"""Widths of columns, in characters."""


class Exported(NamedTuple):
    """What was written."""

    register: str
    rows: int
    sha256: str


def export(acting: Acting, name: str, span: Span, *, format: Format, out: Path) -> Exported:  # noqa: A002
    """Write a register to a new file. UsageError where it cannot be, or a form would be too long; never overwrites."""
    try:
        # Beside its place: what a crash leaves is where the register was to go anyway, and for this user alone.
        with _written(acting, name, span, format, out.absolute().parent) as (done, fd):
            write_all([(out, fd)])
    except OSError as err:
        where = shown(os.fsencode(out))
        raise UsageError(
            Say(f"写不了文件：{where}：{err.strerror}", f"cannot write {where}: {err.strerror}"),
            Say("检查文件夹和空间", "check the folder and the space"),
        ) from err
    return done


def handed_out(acting: Acting, name: str, span: Span, *, format: Format) -> tuple[Exported, BinaryIO]:  # noqa: A002
    """Return a register as an open file without a name: it is gone when it is closed. Errors as for `export`."""
    folder = state_folder(acting.config)  # as private as the books that it was made from
    try:
        with _written(acting, name, span, format, folder) as (done, fd):
            return done, os.fdopen(os.dup(fd), "rb")
    except OSError as err:
        raise UsageError(
            Say(f"登记簿未能导出：{err.strerror}", f"the register could not be exported: {err.strerror}"),
            Say("检查任务库所在磁盘的空间", "check the space of the disk that has the books"),
        ) from err


@contextmanager
def _written(
    acting: Acting,
    name: str,
    span: Span,
    form: Format,
    folder: Path,
) -> Iterator[tuple[Exported, int]]:
    """Give what was written, and an fd of it at its beginning; its hash is in the trail before anybody has it."""
    acting.may(Operation.REGISTER_EXPORT, subject=name)
    found, rows = Registers(acting).rows(name, span)
    counted = _Counted(rows)
    about = _About(acting.config.site.unit, _period(span))
    with tempfile.TemporaryDirectory(prefix=".dlp-", dir=folder) as scratch:
        part = Path(scratch, "register")
        _WRITERS[form](part, found, counted, about)
        fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = Exported(found.name, counted.count, durable.sha256_of(fd))
            os.lseek(fd, 0, os.SEEK_SET)
            body = {"register": done.register, "format": form, "rows": done.rows, "sha256": done.sha256}
            with acting.demand(Operation.REGISTER_EXPORT, subject=name) as entry:
                entry.append(acting.person.id, "register-exported", "", body)
            yield done, fd
        finally:
            os.close(fd)


def safe(text: str) -> str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula.

    Blanks and what is not shown do not count: some programs leave them out before they look. Full-width and small
    forms of the signs are the signs.
    """
    shown_ = next((letter for letter in text if letter.isprintable() and not letter.isspace()), "")
    return f"'{text}" if text.startswith(FORMULA) or unicodedata.normalize("NFKC", shown_) in _SIGNS else text


class _About(NamedTuple):
    unit: str
    period: str


class _Counted:
    """Gives rows, each text on one line, and counts them."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _plain(text: str) -> str:
    """Return a text without what breaks a line or controls something."""
    return "".join(letter if letter.isprintable() or letter == "\u3000" else " " for letter in text)


def _csv(part: Path, register: Register, rows: _Counted, about: _About) -> None:
    del about
    with part.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(register.columns)
        # What begins a formula is looked for before and after controls become blanks: a TAB at the front is one.
        writer.writerows([safe(_plain(safe(cell))) for cell in row] for row in rows)


def _xlsx(part: Path, register: Register, rows: _Counted, about: _About) -> None:
    options = {
        "constant_memory": True,
        "tmpdir": str(part.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(str(part), options) as book:
        book.set_properties({"title": register.title.zh, "company": _plain(about.unit)[:200]})
        styles = book.add_format({"bold": True, "border": 1, "text_wrap": True, "align": "center", "valign": "vcenter"})
        cell = book.add_format({"border": 1, "text_wrap": True, "valign": "top"})
        sheet, line = None, 0
        for row in rows:
            if sheet is None or line > ROWS_OF_SHEET:
                sheet, line = _sheet(book, register, about, styles), 1
            for column, text in enumerate(row):
                sheet.write_string(line, column, _plain(text)[:32_767], cell)
            line += 1
        if sheet is None:
            _sheet(book, register, about, styles)


def _sheet(book: Any, register: Register, about: _About, head: Any) -> Any:
    count = len(book.worksheets())
    sheet = book.add_worksheet(register.title.zh[:25] + (f" {count + 1}" if count else ""))
    for number, title in enumerate(register.columns):
        sheet.set_column(number, number, WIDE if title in register.wide else NARROW)
    for number, title in enumerate(register.columns):
        sheet.write_string(0, number, title, head)
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    sheet.set_landscape()
    sheet.set_paper(8 if len(register.columns) > 14 else 9)  # A3, A4
    sheet.fit_to_pages(1, 0)
    sheet.set_margins(left=0.4, right=0.4, top=0.7, bottom=0.7)
    unit = _plain(about.unit)[:60].replace("&", "&&")
    sheet.set_header(f"&L{unit}&C{register.title.zh}&R{about.period}")
    sheet.set_footer("&C第 &P 页 共 &N 页")
    return sheet


def _docx(part: Path, register: Register, rows: _Counted, about: _About) -> None:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    columns = len(register.columns)
    page = paper.sheet(register.title.zh, unit=about.unit, moment=moment, broad="A3" if columns > 14 else "A4")
    paper.line(
        page, f"单位：{about.unit}　　期间：{about.period}　　制表：{day(datetime.now(UTC).timestamp())}", size=9
    )
    shares = [2.0 if title in register.wide else 1.0 for title in register.columns]
    paper.ledger(page, register.columns, _few(rows), shares=shares)
    paper.line(page, "")
    paper.line(page, "　　　".join(f"{who}签字：＿＿＿＿＿＿" for who in register.signs))
    paper.line(page, "（单位盖章）　　　　　　年　　月　　日")
    out = io.BytesIO()
    page.save(out)
    part.write_bytes(out.getvalue())


def _few(rows: _Counted) -> Iterator[Row]:
    for row in rows:
        if rows.count > MOST_IN_FORM:
            raise UsageError(
                Say(f"超过 {MOST_IN_FORM} 行，不宜打印成表", f"more than {MOST_IN_FORM} rows are no printed form"),
                Say("用 --since、--until、--unit 缩小范围，或导出 xlsx", "narrow it down, or export a workbook"),
            )
        yield row


def _period(span: Span) -> str:
    last = day(span.until) if span.until < float("inf") else "今"
    return f"{day(span.since) or '始'} 至 {last}"


_WRITERS: dict[Format, Callable[[Path, Register, _Counted, _About], None]] = {"xlsx": _xlsx, "docx": _docx, "csv": _csv}
