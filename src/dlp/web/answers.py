"""What pages share beside templates: files that a browser keeps, and moments that a form gives."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from dlp.errors import UsageError
from dlp.model import Say

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MEDIA = {
    "docx": DOCX,
    "xlsx": XLSX,
    "csv": "text/csv; charset=utf-8",
    "zip": "application/zip",
    "jsonl": "application/x-ndjson",
    "cef": "text/plain; charset=utf-8",
    "ocsf": "application/x-ndjson",
}
_BAD = frozenset('/\\:*?"<>|;%')


def kept(body: bytes | Iterable[bytes], name: str, kind: str) -> Response:
    """Return a file that the browser keeps and never shows, under a name that no system takes for anything else."""
    headers = {"Content-Disposition": disposition(name)}
    if isinstance(body, bytes):
        return Response(body, media_type=MEDIA[kind], headers=headers)
    return StreamingResponse(body, media_type=MEDIA[kind], headers=headers)


def disposition(name: str) -> str:
    """Return the header that names an attachment (RFC 6266): in ASCII for old browsers, whole for all others."""
    clean = "".join("_" if letter in _BAD or not letter.isprintable() else letter for letter in name).strip(". ")
    clean = clean[:120] or "file"
    plain = "".join(letter if letter.isascii() else "_" for letter in clean)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def moment(text: str, *, whole_day: bool = False) -> float | None:
    """Return a day or moment of the clock on the wall as seconds; nothing for no text. UsageError where it is none.

    With `whole_day`, a day without a time means its end.
    """
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        days = 1 if whole_day and len(text.strip()) == len("2026-01-31") else 0
        return (found + timedelta(days=days)).astimezone().timestamp()
    except (ValueError, OverflowError) as err:
        raise UsageError(
            Say("不是日期或时间", "this is no day or time"), Say("如 2026-01-31", "such as 2026-01-31")
        ) from err
