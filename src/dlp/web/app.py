"""The application: what every request goes through, which pages there are, and how a refusal looks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from dlp.config import Config
from dlp.errors import Conflict, Denied, DlpError, NotFound, StoreError, UsageError
from dlp.model import Say
from dlp.service import speaking
from dlp.service.faults import trace
from dlp.web import api, health, pages
from dlp.web.guard import Guard
from dlp.web.leaf import leaf
from dlp.web.live import Watch
from dlp.web.site import Console
from dlp.web.visit import Stranger, ToLogIn

LOG = logging.getLogger("dlp")
API = "/api/"
STATUS: dict[type[DlpError], int] = {Denied: 403, NotFound: 404, Conflict: 409, UsageError: 400, StoreError: 503}
"""What a refusal of the service is called in HTTP; any other operator error is 500."""


class _Files(StaticFiles):
    """Files of the console itself: a browser asks each time whether one has changed."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """Return a file."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def application(console: Console, *, secure: bool = False) -> FastAPI:
    """Return the application of one console; `secure` where it is served over TLS."""
    app = FastAPI(
        title="wenyin-gate",
        version=api.VERSION,
        description=api.__doc__ or "",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        openapi_url=f"{api.V1}/openapi.json",
    )
    app.state.console = console
    app.state.secure = secure
    app.state.watch = Watch(console)
    app.add_middleware(Guard, hosts=hosts(console.config), secure=secure)
    app.mount("/static", _Files(directory=Path(__file__).parent / "static"), name="static")
    for router in pages.ROUTERS:
        app.include_router(router, include_in_schema=False)
    for router in api.ROUTERS:
        app.include_router(router, prefix=api.V1, responses=api.REFUSALS)
    app.include_router(health.router, include_in_schema=False)
    app.add_exception_handler(ToLogIn, _to_log_in)
    app.add_exception_handler(api.Unknown, _unknown)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(DlpError, _refused)
    app.add_exception_handler(HTTPException, _no_page)
    app.add_exception_handler(Exception, _fault)
    app.middleware("http")(_told)
    return app


def hosts(config: Config) -> tuple[str, ...]:
    """Return the names under which browsers may ask for the console."""
    spec = config.console
    return ("localhost", "127.0.0.1", "::1", spec.listen, *spec.hosts)


async def _told(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Answer a bug of ours without a word of what it was at work on; the log has its kind and code lines."""
    speaking.choose(Stranger(request).language)
    try:
        return await go_on(request)
    except Exception as err:  # noqa: BLE001  a bug of ours: one request fails, the console goes on
        return _fault(request, err)


def _unknown(_: Request, __: Exception) -> Response:
    say = Say("令牌缺失、过期或无效", "there is no token, or it is known no more")
    return _told_program(401, say, Say("在控制台签发令牌", "make one in the console"), {"WWW-Authenticate": "Bearer"})


def _wrong(request: Request, err: Exception) -> Response:
    """Say which words of a request are wrong, and repeat none of them."""
    faults = err.errors() if isinstance(err, RequestValidationError) else ()
    where = "; ".join(f"{'.'.join(str(step) for step in fault['loc'])}: {fault['type']}" for fault in faults)[:500]
    say = Say(f"请求有误：{where}", f"the request is wrong: {where}")
    return _answer(request, 422, say, Say("按 OpenAPI 改正", "mend it after the OpenAPI"))


def _to_log_in(request: Request, _: Exception) -> Response:
    about = Stranger(request)
    if about.is_fragment:  # a piece of a page is asked for: the whole page goes to the door
        return Response(status_code=200, headers={"HX-Redirect": "/login"})
    back = request.url.path if request.method == "GET" else "/"
    return RedirectResponse(f"/login?next={quote(back)}", 303)


def _refused(request: Request, err: Exception) -> Response:
    if not isinstance(err, DlpError):
        return _fault(request, err)
    status = next((code for kind, code in STATUS.items() if isinstance(err, kind)), 500)
    return _answer(request, status, err.say, err.hint)


def _no_page(request: Request, err: Exception) -> Response:
    status = err.status_code if isinstance(err, HTTPException) else 404
    say = Say("没有这个页面，或不能这样请求", "there is no such page, or it cannot be asked for like this")
    return _answer(request, status, say, Say("从菜单重新进入", "start again from the menu"))


def _fault(request: Request, err: Exception) -> Response:
    LOG.error("the console did not answer %s because of an internal fault: %s", request.url.path, trace(err))
    say = Say("程序内部错误，未执行", "an internal fault; nothing was done")
    return _answer(request, 500, say, Say("请联系系统管理员，日志中有原因", "call the administrator; the log says why"))


def _answer(request: Request, status: int, say: Say, hint: Say | None) -> Response:
    about = Stranger(request)
    if request.url.path.startswith(API):
        return _told_program(status, say, hint)
    name = "fault_part.html" if about.is_fragment else "fault.html"
    return leaf(about, name, status, said=say, hint=hint, number=status)


def _told_program(status: int, say: Say, hint: Say | None, headers: dict[str, str] | None = None) -> Response:
    language = speaking.language()
    words = {"error": say.to(language), "hint": hint.to(language) if hint else None}
    return JSONResponse(words, status, headers)
