"""The console of a test site: the real application over real books, asked as a browser would ask."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
from starlette.testclient import TestClient

from dlp.web.app import application
from dlp.web.site import Console
from staff import House

HERE = "http://127.0.0.1:8760"


class Browser:
    """Somebody's browser. `account` is logged in with the session that the house gives him; empty: nobody is."""

    def __init__(
        self, house: House, account: str = "", *, language: str = "zh", app: Any = None, **console: Any
    ) -> None:
        self.app = app or application(Console(house.config, house.store, **console))
        self.client = TestClient(
            self.app,
            base_url=HERE,
            follow_redirects=False,
            headers={"accept-language": language},
            raise_server_exceptions=False,
        )
        if account:
            self.client.cookies.set("dlp_session", house.token(account))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask for a page."""
        return self.client.get(path, **options)

    def page(self, path: str) -> str:
        """Return a page that must be there."""
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-800:])
        return answer.text

    def csrf(self, path: str = "/login") -> str:
        """Return the word that pages of this session send with a change."""
        text = self.client.get(path, follow_redirects=True).text
        found = re.search(r'"X-CSRF": "([0-9a-f]{64})"', text)
        assert found, text[:500]
        return found[1]

    def post(self, path: str, /, *, csrf: str | None = None, files: Any = None, **fields: Any) -> httpx.Response:
        """Send a form, as a page of this session does."""
        word = self.csrf() if csrf is None else csrf
        return self.client.post(path, data={"csrf": word, **fields}, files=files, headers={"origin": HERE})
