"""The door: logging in and out, one's own password, language and theme."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from dlp.errors import Denied, UsageError
from dlp.model import Say
from dlp.service.people import MustChange
from dlp.web.leaf import leaf, ways
from dlp.web.visit import COOKIE, LANGUAGE, THEME, Asks, Does, Reads, ToLogIn, form_of, visit

router = APIRouter()
_INSIDE = re.compile(r"/(?!/)[A-Za-z0-9/_.-]*")
"""Where a browser may be sent after logging in: a path of this console, and never another host."""
YEAR = 365 * 86_400


@router.get("/")
def home(about: Reads) -> Response:
    """Lead to the first page that whoever asks has a use for."""
    open_ways = ways(about)
    return RedirectResponse(open_ways[0].to if open_ways else "/password", 303)


@router.get("/login")
def show(about: Asks, next: str = "/") -> Response:  # noqa: A002  the word that browsers know
    """Show the door; who is inside already is led on."""
    if about.token:
        try:
            visit(about.request)
        except ToLogIn:
            pass
        else:
            return RedirectResponse("/", 303)
    return leaf(about, "login.html", next=_inside(next), said=None, named="", empty=not about.console.people.exist)


@router.post("/login")
def log_in(about: Asks, form: Annotated[dict[str, Any], Depends(form_of)]) -> Response:
    """Log somebody in, with a new session; the one that the browser had before ends."""
    named, password = str(form.get("account", "")).strip(), str(form.get("password", ""))
    target, people = _inside(str(form.get("next", "/"))), about.console.people
    try:
        token = people.log_in(named, password)
    except MustChange as err:
        return leaf(about, "password.html", named=named, said=err.say, forced=True)
    except Denied as err:
        return leaf(about, "login.html", 403, next=target, said=err, named=named, empty=not people.exist)
    if about.token:
        people.log_out(about.token)
    return _keep(about, RedirectResponse(target, 303), token)


@router.post("/logout")
def log_out(about: Does) -> Response:
    """End this session, or every session of the account."""
    if about.field("everywhere", ""):
        about.console.people.log_out_everywhere(about.token)
    else:
        about.console.people.log_out(about.token)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/")
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@router.get("/password")
def own_password(about: Reads) -> Response:
    """Show where one's own password is changed."""
    return leaf(about, "password.html", named=about.person.id, said=None, forced=False)


@router.post("/password")
def change_password(about: Asks, form: Annotated[dict[str, Any], Depends(form_of)]) -> Response:
    """Change one's own password; every session ends, and a new one begins."""
    named = str(form.get("account", "")).strip()
    old, new, again = (str(form.get(key, "")) for key in ("old", "new", "again"))
    people = about.console.people
    said = Say("两次输入的新口令不一致", "the new password was typed in two ways") if new != again else None
    if said is None:
        try:
            people.change_password(named, old, new)
        except (Denied, UsageError) as err:
            said = err.say
    if said is not None:
        return leaf(about, "password.html", 400, named=named, said=said, forced=not about.token)
    return _keep(about, RedirectResponse("/", 303), people.log_in(named, new))


@router.post("/language")
def language(about: Asks, form: Annotated[dict[str, Any], Depends(form_of)]) -> Response:
    """Choose the language of the console in this browser."""
    chosen = "en" if form.get("to") == "en" else "zh"
    return choose(about, LANGUAGE, chosen, _inside(str(form.get("next", "/"))))


@router.post("/theme")
def theme(about: Asks, form: Annotated[dict[str, Any], Depends(form_of)]) -> Response:
    """Choose light or dark in this browser."""
    chosen = str(form.get("to", ""))
    return choose(about, THEME, chosen if chosen in ("light", "dark") else "auto", _inside(str(form.get("next", "/"))))


def choose(about: Asks, name: str, value: str, target: str) -> Response:
    """Keep a choice in this browser, and lead on."""
    answer = RedirectResponse(target, 303)
    _cookie(about, answer, name, value, YEAR)
    return answer


def _keep(about: Asks, answer: Response, token: str) -> Response:
    _cookie(about, answer, COOKIE, token, 60 * about.config.people.session_minutes)
    return answer


def _cookie(about: Asks, answer: Response, name: str, value: str, seconds: int) -> None:
    secure = bool(about.request.app.state.secure)
    answer.set_cookie(name, value, max_age=seconds, path="/", samesite="strict", httponly=True, secure=secure)


def _inside(path: str) -> str:
    return path if _INSIDE.fullmatch(path) and len(path) <= 200 else "/"
