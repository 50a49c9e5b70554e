"""Who people are: the first accounts, logging in and out, and one's own password."""

from __future__ import annotations

import time
from collections.abc import Mapping

from dlp import account as accounts
from dlp.account import ACCOUNTS, NAME, SESSIONS, Account, Session
from dlp.config import PeopleSpec
from dlp.errors import Denied, NotFound, UsageError
from dlp.model import Say, evolve
from dlp.rights import ADMINISTRATORS, ROLES, Person, Role, same
from dlp.store import EventFilter
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter
from dlp.store.sqlite import SqliteStore

SETUP = "setup"
"""Who makes the first accounts: whoever owns the state folder, before there is anybody."""


BEGUN = "accounts-begun"


class MustChange(Denied):
    """Somebody proved who he is with a password that does nothing any more but set another one."""


class People:
    """The people of one site."""

    def __init__(self, store: SqliteStore, spec: PeopleSpec) -> None:
        self._store = store
        self._spec = spec

    @property
    def exist(self) -> bool:
        """Tell whether there are accounts; from the first one on, everything at the desk is done by somebody."""
        if self._store.count_records(ACCOUNTS) > 0:
            return True
        # Taken out of the books behind everybody's back, they are missing; nobody acts alone because of that.
        return bool(self._store.find_events(EventFilter(kind=BEGUN), limit=1))

    def all(self) -> tuple[Account, ...]:
        """Return every account, newest first."""
        return self._store.records(ACCOUNTS)

    def get(self, id: str) -> Account:  # noqa: A002  the column's name
        """Return one account; NotFound when there is none."""
        return self._store.record(ACCOUNTS, id)

    # the first ones

    def begin(self, named: Mapping[Role, tuple[str, str, str]]) -> dict[str, str]:
        """Make the three administrators, each with account, name and staff number; return their one-time passwords.

        Later on, only for those of the three roles that nobody active holds any more. Denied for any other; UsageError
        where a name does not fit or two of them are one person.
        """
        given = {account: accounts.one_time() for account, _, _ in named.values()}
        with self._store.change() as entry:
            missing = self._missing(entry)
            if set(named) != missing:
                if not missing:
                    raise Denied(
                        Say("三员账号已建立", "there are the three administrators already"),
                        Say("由系统管理员新建账号", "the system administrator adds accounts"),
                    )
                raise UsageError(
                    Say(
                        f"须同时建立：{'、'.join(ROLES[role].zh for role in ADMINISTRATORS if role in missing)}",
                        f"made together: {', '.join(ROLES[role].en for role in ADMINISTRATORS if role in missing)}",
                    )
                )
            known = entry.records(ACCOUNTS)
            taken = {same(one.natural) for one in known} | {one.id for one in known}
            persons = [word for account, _, natural in named.values() for word in {account, same(natural)}]
            if len(set(persons)) != len(persons) or taken & set(persons):
                raise UsageError(
                    Say("三员须是三个人、三个账号，此前没有账号", "three persons with three accounts, and none before")
                )
            for role, (id_, name, natural) in named.items():
                entry.put(ACCOUNTS, new(id_, name, natural, roles=(role,), password=given[id_]))
            entry.append(SETUP, BEGUN, "", {"accounts": sorted(given)})
        return given

    @staticmethod
    def _missing(entry: Entry) -> set[Role]:
        now = entry.moment
        active = (one for one in entry.records(ACCOUNTS) if one.person(now).active)
        return set(ADMINISTRATORS) - {role for one in active for role in one.roles}

    # logging in and out

    def log_in(self, id: str, password: str) -> str:  # noqa: A002  as above
        """Return a token by which somebody is known for a while; Denied, with the same words for every reason.

        MustChange where the password is right and does nothing but set another one.

        Wrong passwords are counted in the books; after too many in a row nothing is tried any more for a while.
        """
        with self._store.change() as entry:
            now = entry.moment
            account, good = _proven(entry, id, password, now)
            if account is None or not good:
                error = self._failed(entry, account, now)
            elif not account.person(now).active:
                error = _inactive(account)
            elif accounts.is_old(account, now, self._spec):
                error = MustChange(
                    Say(f"账号 {id} 的口令须先更改", f"the password of {id} has to be changed first"),
                    Say("用 dlp passwd 更改", "change it with `dlp passwd`"),
                )
            else:
                return self._logged_in(entry, account, now)
        raise error

    def who(self, token: str) -> Person:
        """Return who is known by a token; Denied where it is not known, has expired, or its account may do nothing."""
        now, wall = self._store.moment(), time.time()
        try:
            session = self._store.record(SESSIONS, accounts.session_id(token))
            account = self.get(session.account)
        except NotFound:
            raise _logged_out() from None
        # By the clock and by the trail: a clock that was set back keeps nobody logged in, and gives nobody more time.
        if not session.at <= wall or now >= session.until:
            raise _logged_out()
        person = account.person(now)
        if not person.active:
            raise _inactive(account)
        return evolve(person, scope=session.scope)  # type: ignore[no-any-return]

    def log_out(self, token: str) -> None:
        """End what was begun by logging in; nothing happens where it has ended."""
        with self._store.change() as entry:
            session = entry.find(SESSIONS, accounts.session_id(token))
            if session is not None:
                entry.drop(SESSIONS, session.id)
                entry.append(session.account, "logged-out", "", {})

    def log_out_everywhere(self, token: str) -> None:
        """End every session of whoever is known by a token; nothing happens where it has ended."""
        with self._store.change() as entry:
            session = entry.find(SESSIONS, accounts.session_id(token))
            if session is not None:
                end_sessions(entry, session.account)
                entry.append(session.account, "logged-out-everywhere", "", {})

    def change_password(self, id: str, old: str, new: str) -> None:  # noqa: A002  as above
        """Set one's own password; every session of the account ends. Denied for a wrong old one."""
        with self._store.change() as entry:
            now = entry.moment
            account, good = _proven(entry, id, old, now)
            if account is None or not good:
                error = self._failed(entry, account, now)
            elif not account.person(now).active:
                error = _inactive(account)
            elif (weak := accounts.weak(account, new, self._spec)) is not None:
                raise UsageError(weak)
            else:
                entry.put(ACCOUNTS, accounts.with_password(account, new, now))
                end_sessions(entry, id)
                entry.append(id, "password-changed", "", {})
                return
        raise error

    def _failed(self, entry: Entry, account: Account | None, now: float) -> Denied:
        if account is not None and now >= account.locked_until:
            count = account.failed + 1
            over = count >= self._spec.lock_after
            entry.put(
                ACCOUNTS,
                evolve(
                    account,
                    version=account.version + 1,
                    failed=0 if over else count,
                    locked_until=now + 60.0 * self._spec.lock_minutes if over else 0.0,
                ),
            )
            entry.append(account.id, "locked-out" if over else "log-in-failed", "", {})
        return Denied(
            Say("账号或口令不对，或账号已锁定", "wrong account or password, or the account is locked"),
            Say(
                f"连续 {self._spec.lock_after} 次错误锁定 {self._spec.lock_minutes} 分钟",
                f"{self._spec.lock_after} wrong ones in a row lock it for {self._spec.lock_minutes} minutes",
            ),
        )

    def _logged_in(self, entry: Entry, account: Account, now: float) -> str:
        token = accounts.new_token()
        until, wall = now + 60.0 * self._spec.session_minutes, time.time()
        for old in _sessions(entry, account.id):
            if not old.at <= wall or now >= old.until:
                entry.drop(SESSIONS, old.id)
        entry.put(SESSIONS, Session(id=accounts.session_id(token), account=account.id, at=wall, until=until))
        if account.failed:
            entry.put(ACCOUNTS, evolve(account, version=account.version + 1, failed=0))
        entry.append(account.id, "logged-in", "", {})
        return token


def _proven(entry: Entry, id: str, password: str, now: float) -> tuple[Account | None, bool]:  # noqa: A002  as above
    """Return an account, and whether this is its password and it is not locked; takes as long where there is none."""
    account = entry.find(ACCOUNTS, id) if NAME.fullmatch(id) else None
    fits = accounts.fits(account.password if account else "", password)
    return account, fits and account is not None and now >= account.locked_until


def end_sessions(entry: Entry, account: str) -> None:
    """Log an account out everywhere."""
    for session in _sessions(entry, account):
        entry.drop(SESSIONS, session.id)


def _sessions(entry: Entry, account: str) -> tuple[Session, ...]:
    return entry.records(SESSIONS, RecordFilter(who=account))


def new(
    id: str,  # noqa: A002  the column's name
    name: str,
    natural: str,
    *,
    password: str,
    unit: str = "",
    post: str = "",
    roles: tuple[Role, ...] = (),
    until: float = 0.0,
) -> Account:
    """Return a new account with a one-time password. UsageError where it would have no name or belong to nobody."""
    if not NAME.fullmatch(id):
        raise UsageError(
            Say(f"账号名不可用：{id}", f"this cannot be the name of an account: {id}"),
            Say("小写字母、数字、. _ -，最多 32 位", "small letters, digits, . _ -, at most 32"),
        )
    if not name.strip() or not same(natural):
        raise UsageError(Say("须写明姓名和工号", "a name and a staff number are required"))
    now = time.time()
    return Account(
        id=id,
        natural=natural.strip(),
        name=name.strip(),
        unit=unit,
        post=post,
        roles=roles,
        until=until,
        password=accounts.hashed(password) if password else "",
        password_at=now,
        at=now,
    )


def _inactive(account: Account) -> Denied:
    return Denied(
        Say(f"账号 {account.id} 已停用或过期", f"the account {account.id} is locked or has expired"),
        Say("请安全保密管理员恢复账号", "ask the security administrator to unlock it"),
    )


def _logged_out() -> Denied:
    return Denied(
        Say("尚未登录，或登录已过期", "nobody is logged in, or it has expired"),
        Say("用 dlp login 登录", "log in with `dlp login`"),
    )
