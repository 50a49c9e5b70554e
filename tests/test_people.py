"""Accounts: what a person may do is asked at every step, by whoever he is at that moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import argon2
import pytest

from dlp import config
from dlp.account import ACCOUNTS
from dlp.errors import Conflict, Denied, DlpError, NotFound, UsageError
from dlp.model import evolve
from dlp.rights import RIGHTS, Operation, Role, right
from dlp.service import accounts
from dlp.service.acting import Acting
from dlp.service.people import People
from dlp.service.second import CHANGES, WAITING
from dlp.store.sqlite import SqliteStore
from staff import FIRST, PASSWORD, House, hash_quickly


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, with less work for each: these tests set hundreds."""
    hash_quickly(monkeypatch)


def test_passwords_are_dear_to_try() -> None:
    """What is kept is argon2id at the cost that RFC 9106 recommends where memory is scarce."""
    kept = argon2.extract_parameters(argon2.PasswordHasher().hash("x"))
    assert (kept.type, kept.memory_cost, kept.time_cost) == (argon2.Type.ID, 65_536, 3)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Give a site with its three administrators."""
    made = House(tmp_path)
    yield made
    made.store.close()


def test_without_accounts_whoever_has_the_machine_acts_alone(tmp_path: Path) -> None:
    """He looks, releases and rejects; nothing that takes two, or an approval. Where it is required, nothing at all."""
    store = SqliteStore.open(tmp_path / "gate.db", create=True)
    settings = config.parse("", file="test", base=tmp_path)
    acting = Acting.at(settings, store, "")
    acting.may(Operation.JOB_LIST)
    for operation in (Operation.ACCOUNT_ADD, Operation.APPROVAL_SIGN, Operation.DESTROY_APPROVE):
        with pytest.raises(Denied, match="accounts"):
            acting.may(operation)
    required = config.parse("[people]\nrequired = true\n", file="test", base=tmp_path)
    with pytest.raises(Denied, match="log in"):
        Acting.at(required, store, "").may(Operation.JOB_LIST)
    store.close()


def test_the_first_accounts_are_three_persons(tmp_path: Path) -> None:
    """Fewer, or two that are one, are refused; a second beginning too, until a role has nobody active any more."""
    store = SqliteStore.open(tmp_path / "gate.db", create=True)
    people = People(store, config.parse("", file="t", base=tmp_path).people)
    for wrong in (
        {Role.SYSTEM: FIRST[Role.SYSTEM]},
        {**FIRST, Role.AUDITOR: ("aud", "审计员", "s1")},
        {**FIRST, Role.AUDITOR: ("sys", "审计员", "s3")},
        {**FIRST, Role.AUDITOR: ("坏 名", "审计员", "s3")},
        {**FIRST, Role.AUDITOR: ("aud", " ", "s3")},
    ):
        with pytest.raises(UsageError):
            people.begin(wrong)
        assert not people.exist
    people.begin(FIRST)
    with pytest.raises(Denied, match="already"):
        people.begin(FIRST)
    with store.change() as entry:
        entry.put(ACCOUNTS, evolve(people.get("aud"), version=2, active=False))
        entry.append("test", "locked", "", {})
    with pytest.raises(UsageError):
        people.begin({Role.AUDITOR: ("aud", "审计员", "s9")})
    people.begin({Role.AUDITOR: ("aud2", "新审计员", "s9")})
    store.close()


def test_a_one_time_password_does_nothing_but_set_another(house: House) -> None:
    """Whoever was given one knows that nobody else uses it."""
    with pytest.raises(Denied, match="changed first"):
        house.people.log_in("sys", house.given["sys"])
    assert house.acting("sys").person.roles == (Role.SYSTEM,)


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("Short-1", "at least 10"),
        ("alllowercaseletters", "three of"),
        ("sys-Password-99", "name of its account"),
    ],
)
def test_weak_passwords_are_refused(house: House, new: str, why: str) -> None:
    """Too short, of one kind, with the name of the account."""
    with pytest.raises(UsageError, match=why):
        house.people.change_password("sys", house.given["sys"], new)


def test_a_password_is_not_used_again_at_once(house: House) -> None:
    """Neither the present one nor the three before it."""
    house.token("sys")
    with pytest.raises(UsageError, match="used before"):
        house.people.change_password("sys", PASSWORD, PASSWORD)
    house.people.change_password("sys", PASSWORD, "Another-Horse-8")
    with pytest.raises(UsageError, match="used before"):
        house.people.change_password("sys", "Another-Horse-8", PASSWORD)


def test_an_old_password_has_to_be_changed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `people.password_days` it logs nobody in."""
    house.token("sys")
    later = time.time() + 91 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Denied, match="changed first"):
        house.people.log_in("sys", PASSWORD)


def test_wrong_passwords_lock_an_account_for_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fifth in a row; the right one does nothing then, in this process or the next; later it does."""
    house.token("sys")
    for _ in range(5):
        with pytest.raises(Denied, match="wrong account or password"):
            house.people.log_in("sys", "wrong")
    other = People(SqliteStore.open(house.store._path, create=False), house.config.people)
    before = len(house.kinds())
    for _ in range(3):
        with pytest.raises(Denied, match="wrong account or password"):
            other.log_in("sys", PASSWORD)
    assert len(house.kinds()) == before, "what is tried on a locked account fills no trail"
    assert house.kinds()[-5:] == ["log-in-failed"] * 4 + ["locked-out"]
    later = time.time() + 31 * 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert other.log_in("sys", PASSWORD)


def test_who_does_not_exist_is_told_the_same(house: House) -> None:
    """The words for a wrong name are those for a wrong password; nothing is written."""
    before = len(house.kinds())
    said = set()
    for name in ("nobody", "../x", "sys\n", ""):
        with pytest.raises(Denied) as told:
            house.people.log_in(name, "x")
        said.add(told.value.say.en)
    assert said == {"wrong account or password, or the account is locked"}
    assert len(house.kinds()) == before


def test_a_session_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """By time, by logging out, by a new password, with its account; a clock that is set back keeps nobody in."""
    token = house.token("sys")
    start = time.time()
    for moment in (start + 31 * 60, start - 60):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda moment=moment: moment)
            with pytest.raises(Denied, match="nobody is logged in"):
                house.people.who(token)
    assert house.people.who(token).id == "sys"
    house.people.log_out(token)
    with pytest.raises(Denied, match="nobody is logged in"):
        house.people.who(token)
    token = house.people.log_in("sys", PASSWORD)
    house.people.change_password("sys", PASSWORD, "Another-Horse-8")
    with pytest.raises(Denied, match="nobody is logged in"):
        house.people.who(token)
    with pytest.raises(Denied, match="nobody is logged in"):
        house.people.who("guessed")


def test_no_password_or_token_is_in_the_books(house: House, tmp_path: Path) -> None:
    """What lies on the disk opens no account."""
    token = house.token("sys")
    house.store.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for secret in (token, PASSWORD):
        assert secret.encode() not in raw


def test_an_account_takes_two_persons(house: House) -> None:
    """One asks, another of the other role confirms; until then there is none."""
    words = {"name": "张三", "natural": "1001", "unit": "综合科"}
    asked = house.seconds("sys").ask(Operation.ACCOUNT_ADD, "zhang", words)
    with pytest.raises(NotFound):
        house.people.get("zhang")
    for other in ("sys", "aud"):
        with pytest.raises(Denied):
            house.seconds(other).confirm(asked.id)
    _, password = house.seconds("sec").confirm(asked.id)
    made = house.people.get("zhang")
    assert (made.name, made.unit, made.roles, made.one_time) == ("张三", "综合科", (), True)
    house.people.change_password("zhang", password, PASSWORD)
    with pytest.raises(Conflict, match="was done"):
        house.seconds("sec").confirm(asked.id)


def test_what_nobody_confirms_lapses(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `people.confirm_hours` it is asked anew."""
    asked = house.seconds("sec").ask(Operation.ROLE_CHANGE, "sys", {"roles": []})
    late, later = house.seconds("sys"), time.time() + 73 * 3_600
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Conflict):
        late.confirm(asked.id)
    assert late.waiting() == ()


def test_who_asked_or_could_confirm_turns_it_down(house: House) -> None:
    """With a reason; a stranger does not."""
    for who in ("sec", "sys"):
        asked = house.seconds("sec").ask(Operation.ROLE_CHANGE, "aud", {"roles": ["auditor"]})
        with pytest.raises(UsageError):
            house.seconds(who).turn_down(asked.id, " ")
        with pytest.raises(Denied):
            house.seconds("aud").turn_down(asked.id, "不需要")
        assert house.seconds(who).turn_down(asked.id, "不需要").state == "turned-down"
        with pytest.raises(Conflict):
            house.seconds("sys").confirm(asked.id)


def test_one_person_never_holds_roles_that_exclude_one_another(house: House) -> None:
    """Over all accounts: a second account of the same person does not help, and neither does unlocking an old one."""
    house.add("zhang", Role.OPERATOR, natural="1001")
    house.add("zhang2", natural="1001")
    with pytest.raises(Denied, match="cannot be both"):
        house.roles("zhang2", Role.REVIEWER)
    with pytest.raises(Denied, match="cannot be both"):
        house.roles("sys", Role.SYSTEM, Role.SECURITY)
    accounts.lock(house.acting("sec"), "zhang", "离职")
    house.roles("zhang2", Role.REVIEWER)
    asked = house.seconds("sec").ask(Operation.ACCOUNT_UNLOCK, "zhang", {})
    with pytest.raises(Denied, match="cannot be both"):
        house.seconds("sys").confirm(asked.id)


def test_a_role_that_is_taken_away_counts_no_more(house: House) -> None:
    """Also for somebody who logged in before: rights are looked at in the books, at each step."""
    house.add("li", Role.REVIEWER)
    reviewer = house.acting("li")
    with reviewer.demand(Operation.REVIEW_CLAIM):
        pass
    house.roles("li", Role.OPERATOR)
    with pytest.raises(Denied, match="may not"), reviewer.demand(Operation.REVIEW_CLAIM):
        pass
    accounts.lock(house.acting("sys"), "li", "离职")
    with pytest.raises(Denied), reviewer.demand(Operation.JOB_LIST):
        pass
    with pytest.raises(Denied):
        house.people.who(house.token("li"))


def test_an_account_expires(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its day it may do nothing (脱密期, end of a secondment)."""
    house.add("li", Role.REVIEWER)
    asked = house.seconds("sys").ask(Operation.ACCOUNT_CHANGE, "li", {"until": time.time() + 3_600})
    house.seconds("sec").confirm(asked.id)
    assert house.acting("li").person.active
    later = time.time() + 3_601
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Denied, match="expired"):
        house.people.log_in("li", PASSWORD)


def test_a_refusal_is_in_the_trail(house: House) -> None:
    """Who tried what, and why not."""
    with pytest.raises(Denied), house.acting("aud").demand(Operation.ACCOUNT_ADD, subject="x"):
        pass
    *_, event = house.store.events()
    assert (event.kind, event.actor) == ("denied", "aud")
    assert event.body == {"operation": "account.add", "subject": "x", "why": "no-right"}


def test_what_cannot_be_done_when_it_is_confirmed_is_in_the_trail(house: House) -> None:
    """The account was added meanwhile, or a role excludes another one: nothing is written but the refusal, by name."""
    words = {"name": "李四密语", "natural": "n-li", "unit": "综合科"}
    first, late = (house.seconds("sys").ask(Operation.ACCOUNT_ADD, "li", words) for _ in range(2))
    house.seconds("sec").confirm(first.id)
    roles = house.seconds("sec").ask(Operation.ROLE_CHANGE, "li", {"roles": ["auditor", "operator"]})
    for change, second, error, why in ((late, "sec", Conflict, "conflict"), (roles, "sys", Denied, "denied")):
        records, head = house.store.digests()[1], house.store.head()[0]
        with pytest.raises(error):
            house.seconds(second).confirm(change.id)
        (event,) = house.store.events(head)
        assert (event.kind, event.actor, event.job) == ("denied", second, "")
        assert event.body == {
            "operation": change.operation.value,
            "subject": "li",
            "change": change.id,
            "why": why,
        }
        assert house.store.digests()[1] == records
        assert house.store.record(CHANGES, change.id).state == WAITING
    assert "李四密语" not in str([event.body for event in house.store.events()])


def roles_of_the_matrix() -> Iterator[tuple[Role, Operation]]:
    """Give every cell of the table of rights."""
    yield from product(Role, Operation)


def test_every_cell_of_the_matrix(house: House) -> None:
    """Each role may do through the service exactly what its row says: asked through `demand` and `may` alike."""
    for role in Role:
        account = f"r-{role.value}"
        house.add(account, role)
        acting = house.acting(account)
        for row in RIGHTS:
            due = role in row.roles
            ways: tuple[Callable[[], object], ...] = (
                lambda acting=acting, row=row: acting.may(row.operation),
                lambda acting=acting, row=row: acting.demand(row.operation).__enter__(),
            )
            assert allowed(ways[0]) is due, (role, row.operation)
            if not due:
                assert not allowed(ways[1]), (role, row.operation)
    assert {row.operation for row in RIGHTS} == set(Operation)
    assert right(Operation.JOB_RELEASE).roles == (Role.OPERATOR,), "SR-34: 保密员 releases nothing"


def allowed(way: Callable[[], object]) -> bool:
    """Tell whether something is not refused."""
    try:
        way()
    except Denied:
        return False
    except DlpError as err:
        raise AssertionError(err.say.en) from err
    return True
