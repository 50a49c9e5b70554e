"""Who may do what: the whole matrix, the roles that exclude one another, and the second person."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from dlp.rights import (
    ADMINISTRATORS,
    APPROVERS,
    EXCLUSIONS,
    RIGHTS,
    ROLES,
    Denial,
    Operation,
    Person,
    Role,
    Why,
    check,
    check_second,
    conflicts,
    held,
    may,
    right,
)
from offices import person

LETTERS = dict(zip("ORCDSLyea", Role, strict=True))
# O 文印员 R 保密员 C 定密审核员 D 部门负责人 S 秘书处负责人 L 分管领导 y 系统管理员 e 安全保密管理员 a 安全审计员;
# then who confirms as a second person.
MATRIX = """
job.list             O R C D S L . . .   -
job.show             O R C D S L . . .   -
job.release          O . . . . . . . .   -
hold.return          . R . . . . . . .   -
evidence.view        . R C D S L . . .   -
review.claim         . R . . . . . . .   -
review.label         . R . . . . . . .   -
review.comment       O R C D S L . . .   -
review.reject        . R . D S L . . .   -
review.return        . R . . . . . . .   -
review.redact        . R . . . . . . .   -
review.hand-over     . R . . . . . . .   -
retention.set        . R . . . . . . .   S L
legal-hold.set       . R . . . L . . .   -
legal-hold.lift      . . . . S L . . .   R
level.decide         . . C . . . . . .   -
term.confirm         . . C . . . . . .   -
approval.request     O R C D S L . . .   -
approval.show        O R C D S L . . .   -
approval.sign        . R C D S L . . .   -
register.read        O R C D S L . . a   -
register.export      . R . . S . . . a   -
register.enter       O R . . . . . . .   -
register.pick-up     O . . . . . . . .   -
register.return      O R . . . . . . .   -
register.count       . R . . . . . . .   -
destroy.list         . R . . . . . . .   -
destroy.approve      . . . . S . . . .   R L
destroy.witness      O R C D S L . . .   -
destroy.erase        . R . . . . . . .   S L
incident.open        O R C D S L y e a   -
incident.freeze      O R C D S L . e .   -
incident.unfreeze    . . . . S L . . .   R
incident.handle      . R . . . . . . .   -
incident.report      . . . . S L . . .   -
incident.close       . . . . . L . . .   R
audit.read           . R . . . . . . a   -
audit.verify         . R . . . . y e a   -
audit.export         . . . . . . . . a   -
audit.checkpoint     . . . . . . . . a   -
backup.create        . . . . . . y . .   -
backup.verify        . . . . . . y . a   -
backup.restore       . . . . . . y . .   e
report.read          . R . D S L . . a   -
report.export        . R . . S . . . a   -
notice.set           . . . . . . y . .   e
pack.stats           . R . . . . . e a   -
pack.draft           . R . . . . . e .   -
pack.publish         . . . . . . . e .   R y
policy.change        . . . . . . . e .   S L
setting.change       . . . . . . y . .   e
key.change           . . . . . . y . .   e
health.read          . . . . . . y e a   -
account.list         . . . . . . y e a   -
account.add          . . . . . . y . .   e
account.change       . . . . . . y . .   e
account.lock         . . . . . . y e .   -
account.unlock       . . . . . . . e .   y
role.change          . . . . . . . e .   y
password.reset       . . . . . . y . .   e
password.change      O R C D S L y e a   -
token.make           O R C D S L y e a   -
"""


def rows() -> list[tuple[Operation, frozenset[Role], frozenset[Role]]]:
    """Read the table above: operation, who may, who confirms."""
    read = []
    for line in MATRIX.strip().splitlines():
        name, grid, second = re.split(r" {2,}", line)
        roles = [LETTERS[c] for c in grid.split() if c != "."]
        seconds = [LETTERS[c] for c in second.split() if c != "-"]
        read.append((Operation(name), frozenset(roles), frozenset(seconds)))
    return read


DOUBLE = [row for row in rows() if row[2]]


def test_every_operation_has_one_row_with_names_and_an_article() -> None:
    """No operation is without a right, none has two, and each can be explained to a person."""
    assert sorted(o.value for o, _, _ in rows()) == sorted(o.value for o in Operation)
    assert sorted(r.operation.value for r in RIGHTS) == sorted(o.value for o in Operation)
    assert set(ROLES) == set(Role)
    for row in RIGHTS:
        assert row.say.zh
        assert row.say.en
        assert row.article
        assert row.roles


@pytest.mark.parametrize(("operation", "roles", "seconds"), rows(), ids=[o.value for o, _, _ in rows()])
def test_the_matrix(operation: Operation, roles: frozenset[Role], seconds: frozenset[Role]) -> None:
    """Each role alone may do exactly what its column says, and confirm exactly what the last column says."""
    assert frozenset(right(operation).second) == seconds
    for role in Role:
        assert may(person("one", role), operation) == (role in roles), role
    assert not may(person("nobody"), operation)


def test_a_no_says_why_what_to_do_and_the_article() -> None:
    """A person who may not is told who may."""
    denial = check(person("one", Role.OPERATOR), Operation.AUDIT_EXPORT)
    assert denial is not None
    assert (denial.why, denial.hint.zh) == (Why.NO_RIGHT, "由安全审计员办理")
    assert "one" in denial.say.zh
    assert "one" in denial.say.en
    assert denial.article


def test_a_locked_account_may_do_nothing() -> None:
    """Not even change its own password."""
    for operation in Operation:
        denial = check(person("gone", *APPROVERS, active=False), operation)
        assert denial is not None
        assert denial.why is Why.INACTIVE


# Pairs that one person may hold; every other pair of two roles excludes itself.
TOGETHER = {
    frozenset({Role.OPERATOR, Role.CLASSIFIER}),
    frozenset({Role.REVIEWER, Role.CLASSIFIER}),
    *(frozenset({Role.CLASSIFIER, approver}) for approver in APPROVERS),
    *(frozenset(pair) for pair in combinations(APPROVERS, 2)),
}


@pytest.mark.parametrize(("one", "other"), list(combinations(Role, 2)))
def test_which_roles_exclude_one_another(one: Role, other: Role) -> None:
    """The three administrators, an administrator and any desk role, watcher and watched, doer and approver."""
    found = conflicts((one, other))
    assert bool(found) == (frozenset({one, other}) not in TOGETHER)
    for clash in found:
        assert {clash.these[0], clash.those[0]} == {one, other}
        assert clash.say.zh
        assert clash.say.en
        assert clash.article


def test_no_account_holds_two_administrators_and_an_account_that_does_is_stopped() -> None:
    """Roles that exclude one another do not add up: together they give nothing at all."""
    for one, other in combinations(ADMINISTRATORS, 2):
        both = person("both", one, other)
        for operation in Operation:
            denial = check(both, operation)
            assert denial is not None
            assert denial.why is Why.CONFLICT


def test_exclusions_are_seen_over_all_accounts_of_a_person() -> None:
    """Two accounts of one natural person are asked about together; locked ones and others do not count."""
    people = [
        person("a", Role.SYSTEM, natural="zhao"),
        person("b", Role.AUDITOR, natural="zhao"),
        person("c", Role.SECURITY, natural="zhao", active=False),
        person("d", Role.LEADER, natural="qian"),
    ]
    assert held(people, "zhao") == {Role.SYSTEM, Role.AUDITOR}
    assert conflicts(held(people, "zhao"))
    assert not conflicts(held(people, "qian"))


@pytest.mark.parametrize(("operation", "roles", "seconds"), DOUBLE, ids=[o.value for o, _, _ in DOUBLE])
def test_the_second_person(operation: Operation, roles: frozenset[Role], seconds: frozenset[Role]) -> None:
    """Another natural person with a confirming role; not the same one, not a stranger, not a locked account."""
    first = person("first", min(roles, key=list(Role).index))
    for role in seconds:
        assert check_second(operation, first, person("second", role)) is None
        twin = check_second(operation, first, person("second", role, natural=first.natural))
        assert twin is not None
        assert twin.why is Why.SAME_PERSON
        locked = check_second(operation, first, person("second", role, active=False))
        assert locked is not None
        assert locked.why is Why.INACTIVE
        assert check_second(operation, person("x"), person("second", role)) is not None
    for role in set(Role) - seconds:
        stranger = check_second(operation, first, person("second", role))
        assert isinstance(stranger, Denial)


def test_what_must_have_a_second_person() -> None:
    """Accounts, roles, packs, policy, keys, restore, erasure, and whatever undoes a protection."""
    needed = {o.value for o, _, seconds in rows() if seconds}
    assert needed == {
        "retention.set",
        "legal-hold.lift",
        "destroy.approve",
        "destroy.erase",
        "incident.unfreeze",
        "incident.close",
        "backup.restore",
        "notice.set",
        "pack.publish",
        "policy.change",
        "setting.change",
        "key.change",
        "account.add",
        "account.change",
        "account.unlock",
        "role.change",
        "password.reset",
    }
    assert check_second(Operation.AUDIT_EXPORT, person("a", Role.AUDITOR), person("b")) is None


def test_the_security_officer_releases_nothing() -> None:
    """SR-34: who watches neither lets go nor approves, and nobody who may release signs approvals."""
    officer = person("officer", Role.REVIEWER)
    assert not may(officer, Operation.JOB_RELEASE)
    releasing = {r for r in Role if may(person("x", r), Operation.JOB_RELEASE)}
    signing = {r for r in Role if may(person("x", r), Operation.APPROVAL_SIGN)} - {Role.CLASSIFIER}
    for one in releasing:
        for other in signing:
            assert conflicts((one, other))


def test_administrators_touch_no_file() -> None:
    """Whoever manages accounts and rules sees no evidence, signs nothing, releases nothing, opens no register."""
    touching = [o for o in Operation if o.value.startswith(("job.", "evidence.", "review.", "approval.", "destroy."))]
    for role in ADMINISTRATORS:
        for operation in touching:
            assert not may(person("x", role), operation)


@pytest.mark.parametrize(("id", "natural"), [("", "n"), ("  ", "n"), ("a", ""), ("a", " ")])
def test_a_person_without_an_identity_is_none(id: str, natural: str) -> None:  # noqa: A002  the field's name
    """Two accounts without a natural person would be one person, or none."""
    with pytest.raises(ValueError, match="natural person"):
        Person(id=id, name="x", natural=natural)


def test_exclusions_carry_their_reasons() -> None:
    """Each rule tells people in both languages why."""
    assert all(rule.say.zh and rule.say.en and rule.article for rule in EXCLUSIONS)
