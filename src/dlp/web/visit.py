"""Who asks: one request of somebody, with his desk, his language, and the proof that his own page sent it.

The session is the one of `dlp.service.people`: the browser has its token in a cookie that no script can read and that
no other site can have sent, the books have its digest. Whatever changes something carries a second word, made from the
token, which only a page of the console knows.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser

from dlp.account import Account
from dlp.config import Config
from dlp.errors import Denied, UsageError
from dlp.model import Say
from dlp.rights import Operation, Person, may
from dlp.service.desk import Desk
from dlp.service.people import People
from dlp.web.guard import MOST_BODY
from dlp.web.site import Console

COOKIE = "dlp_session"
LANGUAGE = "dlp_lang"
THEME = "dlp_theme"
MultiPartParser.spool_max_size = MOST_BODY
"""An uploaded file stays in memory, however large it may be: nothing of it is written to a disk."""


class ToLogIn(Exception):  # noqa: N818  an answer, not a fault
    """Nobody has logged in: the browser is sent to the door."""


class Stranger:
    """A request of nobody in particular: the door, the first accounts, files of the console itself."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.console: Console = request.app.state.console

    @property
    def config(self) -> Config:
        """Return the configuration of the site."""
        return self.console.config

    @property
    def language(self) -> str:
        """Return `zh` or `en`: what was chosen, else what the browser asks for, else Chinese."""
        chosen = self.request.cookies.get(LANGUAGE, "")
        if chosen in ("zh", "en"):
            return chosen
        asked = self.request.headers.get("accept-language", "").casefold()
        return "en" if asked.startswith("en") else "zh"

    @property
    def theme(self) -> str:
        """Return `light`, `dark`, or nothing where the browser decides."""
        chosen = self.request.cookies.get(THEME, "")
        return chosen if chosen in ("light", "dark") else ""

    @property
    def token(self) -> str:
        """Return the token of the session."""
        return self.request.cookies.get(COOKIE, "")

    @property
    def csrf(self) -> str:
        """Return the word that a page of this session sends with whatever changes something."""
        return hmac.new(self.token.encode(), b"csrf", hashlib.sha256).hexdigest()

    @property
    def is_fragment(self) -> bool:
        """Tell whether htmx asks for a piece of a page."""
        return self.request.headers.get("hx-request") == "true"

    def tr(self, zh: str, en: str) -> str:
        """Return the words in the language of the visitor."""
        return zh if self.language == "zh" else en


class Visit(Stranger):
    """A request of somebody who has logged in."""

    def __init__(self, request: Request, desk: Desk) -> None:
        super().__init__(request)
        self.desk = desk

    @property
    def person(self) -> Person:
        """Return who asks."""
        return self.desk.acting.person

    @property
    def account(self) -> Account:
        """Return the account of who asks."""
        return People(self.desk.store, self.config.people).get(self.person.id)

    def may(self, operation: Operation) -> bool:
        """Tell whether to offer something; the service asks again when it is done."""
        return may(self.person, operation)


class Change(Visit):
    """A request that changes something, sent by a page of this session; `form` is what stands in it."""

    def __init__(self, request: Request, desk: Desk, form: Mapping[str, Any]) -> None:
        super().__init__(request, desk)
        self._form = form

    def field(self, name: str, default: str | None = None) -> str:
        """Return one field, without blanks around it; UsageError where it is missing and there is no default."""
        value = self._form.get(name)
        text = value.strip() if isinstance(value, str) else ""
        if text or default is not None:
            return text or default or ""
        raise UsageError(Say(f"缺少一项：{name}", f"a field is missing: {name}"))

    def fields(self, name: str) -> tuple[str, ...]:
        """Return every value of a field that may stand there several times."""
        many = getattr(self._form, "getlist", None)
        return tuple(value for value in (many(name) if many else ()) if isinstance(value, str) and value)

    def number(self, name: str, default: int | None = None) -> int:
        """Return one field as a whole number; UsageError where it is none."""
        text = self.field(name, "" if default is not None else None)
        if not text and default is not None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise UsageError(Say(f"{name} 须为数字", f"{name} must be a number"))
        return int(text)

    def file(self, name: str) -> UploadFile:
        """Return an uploaded file; UsageError where there is none."""
        value = self._form.get(name)
        if not isinstance(value, UploadFile):
            raise UsageError(Say("没有选择文件", "no file was chosen"))
        return value


def stranger(request: Request) -> Stranger:
    """Return a request of whoever."""
    return Stranger(request)


def visit(request: Request) -> Visit:
    """Return a request of somebody who has logged in; `ToLogIn` for everybody else."""
    return Visit(request, _desk(request))


async def form_of(request: Request) -> AsyncIterator[Mapping[str, Any]]:
    """Give the form of a request that a page of this console sent, closed after it; Denied for any other."""
    async with request.form(max_files=4, max_fields=500, max_part_size=1 << 20) as given:
        check_own(request, given)
        yield given


def change(request: Request, form: Annotated[Mapping[str, Any], Depends(form_of)]) -> Change:
    """Return a request that changes something."""
    return Change(request, _desk(request), form)


def check_own(request: Request, form: Mapping[str, Any]) -> None:
    """Raise Denied where something else than a page of this session sent it."""
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    given = request.headers.get("x-csrf") or form.get("csrf") or ""
    own = Stranger(request).csrf
    if foreign or not isinstance(given, str) or not hmac.compare_digest(given.encode(), own.encode()):
        raise Denied(
            Say("请求不是从本控制台的页面发出的，未执行", "a page of this console did not send this; nothing was done"),
            Say("请刷新页面后重试", "load the page again and try once more"),
        )


def _desk(request: Request) -> Desk:
    about = Stranger(request)
    if not about.token:
        raise ToLogIn
    try:
        desk = about.console.desk(about.token)
        desk.acting.person  # noqa: B018  where there are no accounts yet, nobody acts over the web
    except Denied:
        raise ToLogIn from None
    if desk.acting.alone:
        raise ToLogIn
    return desk


Asks = Annotated[Stranger, Depends(stranger)]
Reads = Annotated[Visit, Depends(visit)]
Does = Annotated[Change, Depends(change)]
