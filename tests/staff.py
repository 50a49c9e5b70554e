"""The people of a test site: accounts made by the two persons that it takes, each logged in as himself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import argon2
import pytest

from dlp import account, config
from dlp.config import Config
from dlp.rights import Operation, Role
from dlp.service import accounts
from dlp.service.acting import Acting
from dlp.service.desk import Desk
from dlp.service.people import People
from dlp.service.second import Seconds
from dlp.store.sqlite import SqliteStore

FIRST = {
    Role.SYSTEM: ("sys", "系统员", "s1"),
    Role.SECURITY: ("sec", "保密管理", "s2"),
    Role.AUDITOR: ("aud", "审计员", "s3"),
}
PASSWORD = "Correct-Horse-7"


def hash_quickly(patch: pytest.MonkeyPatch) -> None:
    """Have passwords hashed as always, with less work for each: tests set hundreds of them."""
    patch.setattr(account, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


class House:
    """The people of a site, and who is logged in as whom. `settings`: of a site that is laid out already."""

    def __init__(self, root: Path, settings: Path | None = None) -> None:
        self.settings = settings
        self.config: Config = config.read(settings) if settings else config.parse("", file="test", base=root)
        path = Path(self.config.store.path) if settings else root / "gate.db"
        self.store = SqliteStore.open(path, create=True)
        self.people = People(self.store, self.config.people)
        self.given = self.people.begin(FIRST)
        self._tokens: dict[str, str] = {}

    def token(self, account: str) -> str:
        """Log an account in, once; its one-time password is changed first."""
        if account not in self._tokens:
            if account in self.given:
                self.people.change_password(account, self.given.pop(account), PASSWORD)
            self._tokens[account] = self.people.log_in(account, PASSWORD)
        return self._tokens[account]

    def acting(self, account: str) -> Acting:
        """Return somebody at work."""
        return Acting.at(self.config, self.store, self.token(account))

    def desk(self, account: str) -> Desk:
        """Return the desk as somebody has it before him."""
        return Desk(self.config, self.store, self.token(account))

    def seconds(self, account: str) -> Seconds:
        """Return what waits for a second person, as somebody sees it."""
        return Seconds(self.acting(account), accounts.doing())

    def add(self, account: str, *roles: Role, natural: str = "", unit: str = "综合科") -> None:
        """Add an account by the two persons that it takes."""
        words = {"name": account, "natural": natural or f"n-{account}", "unit": unit}
        asked = self.seconds("sys").ask(Operation.ACCOUNT_ADD, account, words)
        _, self.given[account] = self.seconds("sec").confirm(asked.id)
        if roles:
            self.roles(account, *roles)

    def roles(self, account: str, *roles: Role) -> None:
        """Give roles, by the two persons that it takes."""
        asked = self.seconds("sec").ask(Operation.ROLE_CHANGE, account, {"roles": [role.value for role in roles]})
        self.seconds("sys").confirm(asked.id)

    def staff(self) -> None:
        """Add one person for each role of the desk, and a second operator who is the same person as the head."""
        self.add("op", Role.OPERATOR)
        self.add("rev", Role.REVIEWER)
        self.add("cls", Role.CLASSIFIER)
        self.add("head", Role.DEPARTMENT_HEAD)
        self.add("secr", Role.SECRETARIAT_HEAD)
        self.add("lead", Role.LEADER)

    def kinds(self) -> list[str]:
        """Return the kinds of all events."""
        return [event.kind for event in self.store.events()]

    def forget(self) -> None:
        """Have everybody log in anew: the clock was moved."""
        self._tokens.clear()

    @classmethod
    @contextmanager
    def reopened(cls, other: House) -> Iterator[House]:
        """Give the same people after the configuration was read again."""
        made = cls.__new__(cls)
        House._take_over(made, other)
        yield made

    def _take_over(self, other: House) -> None:
        assert other.settings is not None
        self.config, self.settings = config.read(other.settings), other.settings
        self.store, self.given = other.store, other.given
        self.people = People(self.store, self.config.people)
        self._tokens = other._tokens

    def close(self) -> None:
        """Close the books."""
        self.store.close()
