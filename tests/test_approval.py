"""One approval from request to clearance: who may sign what, what a signature is good for, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dlp.approval import (
    Binding,
    Case,
    CaseState,
    Cleared,
    Decision,
    Signature,
    binding,
    clear,
    expires,
    open_case,
    pending,
    remaining,
    sign,
    state,
)
from dlp.ladder import House, HouseStep, Step
from dlp.model import Level, Regime, Say, evolve
from dlp.request import Circle, Duty, Recipient, Request
from dlp.rights import Denial, Person, Role, Why
from dlp.site import Site
from offices import (
    CHIEF,
    CLASSIFIER,
    CLERK,
    GRADE_A,
    HEAD,
    HOUR,
    NO_HOUSE,
    OFFICER,
    OTHER_SHA,
    PLAIN,
    SECRETARY,
    SHA,
    START,
    person,
    request,
)

NOW = START + HOUR
CONFIDENTIAL = request(Level.CONFIDENTIAL, Regime.STATE)
TOP = request(Level.TOP_SECRET, Regime.STATE)
SENSITIVE = request(Level.SENSITIVE, Regime.WORK)


def opened(asked: Request, site: Site = GRADE_A, house: House = NO_HOUSE) -> Case:
    """Return the case of a request that can be approved."""
    case = open_case("01CASE", asked, site, house, START)
    assert isinstance(case, Case), case
    return case


def attempt(
    case: Case, signer: Person, now: float = NOW, decision: Decision = Decision.APPROVE, **changes: Any
) -> Case | Denial:
    """Let somebody sign in his first role what is pending, or what `changes` say."""
    due = binding(case)
    fields: dict[str, Any] = {"role": signer.roles[0] if signer.roles else Role.LEADER, "binds": due, "reason": ""}
    return sign(case, signer, decision, now, **{**fields, **changes})


def signed(case: Case, *signers: Person, now: float = NOW) -> Case:
    """Let these sign one after the other, a second apart."""
    for number, signer in enumerate(signers):
        result = attempt(case, signer, now + number)
        assert isinstance(result, Case), result
        case = result
    return case


def denied(result: object, why: Why) -> Denial:
    """Return a denial, which must name job and case in both languages and say what to do."""
    assert isinstance(result, Denial), result
    assert result.why is why, result
    for text in (result.say.zh, result.say.en):
        assert "01JOB" in text
        assert "01CASE" in text
    assert result.hint.zh
    assert result.hint.en
    return result


def cleared(case: Case, copies: int = 2, now: float = NOW + 10, site: Site = GRADE_A) -> Cleared:
    """Return the clearance of an approved case."""
    result = clear(case, SHA, copies, now, site=site, house=NO_HOUSE)
    assert isinstance(result, Cleared), result
    return result


def test_a_case_from_request_to_clearance() -> None:
    """机密: the head of the secretariat signs, two copies are cleared, and the clearance says all that is owed."""
    case = opened(CONFIDENTIAL)
    assert state(case, NOW) is CaseState.WAITING
    case = signed(case, SECRETARY)
    assert (state(case, NOW), case.version, pending(case), binding(case)) == (CaseState.APPROVED, 2, None, None)
    case, clearance = cleared(case)
    assert (clearance.job, clearance.sha256, clearance.copies, clearance.number) == ("01JOB", SHA, 2, 1)
    assert clearance.expires == START + 20 * HOUR
    assert clearance.signatures.startswith("sha256:")
    assert Duty.RECORD_VIEWERS in clearance.duties
    assert (state(case, NOW), case.version, remaining(case)) == (CaseState.SPENT, 3, 0)
    word = case.signatures[0]
    assert (word.name, word.role, word.natural, word.at) == ("secretary", Role.SECRETARIAT_HEAD, "n-secretary", NOW)


@pytest.mark.parametrize(
    ("asked", "wrong", "signers"),
    [
        (SENSITIVE, (CLERK, OFFICER, CLASSIFIER), (HEAD,)),
        (SENSITIVE, (), (SECRETARY,)),
        (request(Level.SECRET, Regime.STATE), (CLERK, OFFICER), (HEAD,)),
        (CONFIDENTIAL, (CLERK, OFFICER, HEAD, CHIEF), (SECRETARY,)),
        (TOP, (CLERK, OFFICER, HEAD), (SECRETARY, CHIEF)),
        (TOP, (), (CHIEF, person("vice", Role.LEADER))),
        (request(None, None), (CLERK, HEAD, CHIEF), (OFFICER,)),
        (request(Level.SECRET, None), (OFFICER, HEAD), (CLASSIFIER, SECRETARY)),
    ],
)
def test_who_signs_each_level(asked: Request, wrong: tuple[Person, ...], signers: tuple[Person, ...]) -> None:
    """No clearance before the last signature, none by those whose level it is not, one after it."""
    case = opened(asked)
    for stranger in wrong:
        assert isinstance(attempt(case, stranger), Denial)
    for number, signer in enumerate(signers):
        denied(clear(case, SHA, 2, NOW + number, site=GRADE_A, house=NO_HOUSE), Why.WAITING)
        case = signed(case, signer, now=NOW + number)
    assert cleared(case).clearance.copies == 2


def test_the_head_of_another_department_does_not_sign() -> None:
    """业务谁主管，保密谁负责 (中心保密工作制度 第四条): the head of the unit that asks does."""
    other = person("other", Role.DEPARTMENT_HEAD, unit="二处")
    for asked in (SENSITIVE, request(Level.SECRET, Regime.STATE)):
        assert "一处" in denied(attempt(opened(asked), other), Why.NO_ROLE).say.zh
    house = House(steps=(HouseStep(name="财务", say="会签", roles=(Role.DEPARTMENT_HEAD,), unit="财务科"),))
    case = signed(opened(SENSITIVE, house=house), HEAD)
    denied(attempt(case, other, NOW + 1), Why.NO_ROLE)
    accountant = person("accountant", Role.DEPARTMENT_HEAD, unit="财务科")
    assert pending(signed(case, accountant, now=NOW + 1)) is None


def test_nobody_approves_his_own_request() -> None:
    """Not himself, not through a second account of his, not through somebody who asks for him (SR-12)."""
    asked = evolve(SENSITIVE, requester=HEAD.id, natural=HEAD.natural)
    denied(attempt(opened(asked), HEAD), Why.REQUESTER)
    twin = person("head-2", Role.SECRETARIAT_HEAD, natural=HEAD.natural)
    denied(attempt(opened(asked), twin), Why.REQUESTER)
    for_him = evolve(SENSITIVE, applicant=HEAD.natural)
    denied(attempt(opened(for_him), HEAD), Why.REQUESTER)
    denied(attempt(opened(for_him), HEAD, decision=Decision.REJECT, reason="x"), Why.REQUESTER)
    renamed = evolve(HEAD, natural="somebody-else")
    denied(attempt(opened(asked), renamed), Why.REQUESTER)
    assert signed(opened(asked), SECRETARY)


def test_four_eyes_are_those_of_two_people() -> None:
    """绝密 is signed by two natural persons: one account cannot sign twice, nor can two accounts of one person."""
    case = signed(opened(TOP), CHIEF)
    denied(attempt(case, CHIEF, NOW + 1), Why.SAME_PERSON)
    twin = person("chief-2", Role.LEADER, natural=CHIEF.natural)
    denied(attempt(case, twin, NOW + 1), Why.SAME_PERSON)
    assert signed(case, person("vice", Role.LEADER), now=NOW + 1)


def test_a_step_of_two_persons_takes_two() -> None:
    """A house step of two persons is not signed twice by one."""
    house = House(steps=(HouseStep(name="双人", say="双人复核", roles=(Role.REVIEWER,), persons=2),))
    case = open_case("01CASE", SENSITIVE, GRADE_A, house, START)
    assert isinstance(case, Case)
    case = signed(case, OFFICER)
    denied(attempt(case, OFFICER, NOW + 1), Why.SAME_PERSON)
    denied(attempt(case, person("x", Role.REVIEWER, natural=OFFICER.natural), NOW + 1), Why.SAME_PERSON)
    case = signed(case, person("officer-2", Role.REVIEWER), now=NOW + 1)
    case = signed(case, HEAD, now=NOW + 2)
    assert isinstance(clear(case, SHA, 2, NOW + 3, site=GRADE_A, house=house), Cleared)


def test_the_same_leader_answers_another_question() -> None:
    """Widening the circle is a step that says so: the leader who released it may sign that too."""
    wider = (Recipient(name="李某", circle=Circle.WIDER),)
    case = opened(evolve(TOP, recipients=wider))
    assert [s.name for s in case.steps] == ["co-signature", "leader", "widen"]
    case = signed(case, SECRETARY, CHIEF, CHIEF)
    assert cleared(case)
    twice = opened(evolve(request(Level.SECRET, Regime.STATE), recipients=wider))
    assert cleared(signed(twice, CHIEF, CHIEF))


def test_a_step_that_anybody_may_sign_again_counts_for_no_other() -> None:
    """Signing it keeps nobody from his own step, before or after; but its two persons are two."""
    steps = (HouseStep(name="知会", say="知会", roles=(Role.SECRETARIAT_HEAD, Role.LEADER), persons=2, again=True),)
    case = opened(evolve(TOP, copies=0, return_by=None), house=House(steps=steps))
    assert [s.name for s in case.steps] == ["co-signature", "house-1:知会", "leader"]
    case = signed(case, SECRETARY, SECRETARY)
    denied(attempt(case, SECRETARY, NOW + 2), Why.SAME_PERSON)
    case = signed(case, CHIEF, CHIEF, now=NOW + 2)
    assert pending(case) is None


def test_steps_are_signed_in_their_order() -> None:
    """The leader does not sign before the second person of 绝密 has, when he was shown the wrong step."""
    case = opened(TOP)
    due = binding(case)
    assert due is not None
    denied(attempt(case, CHIEF, binds=evolve(due, step="leader")), Why.STEP)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sha256": OTHER_SHA}, Why.OTHER_FILE),
        ({"copies": 3}, Why.COPIES),
        ({"step": "leader"}, Why.STEP),
        ({"case": "01OTHER"}, Why.CHANGED),
        ({"request": "sha256:0"}, Why.CHANGED),
    ],
)
def test_a_signature_binds_file_copies_step_case_and_request(change: dict[str, Any], why: Why) -> None:
    """What somebody was shown is what he signs; anything else is not a signature of this."""
    case = opened(CONFIDENTIAL)
    due = binding(case)
    assert due is not None
    denied(attempt(case, SECRETARY, binds=evolve(due, **change)), why)


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "其他"},
        {"recipients": (Recipient(name="赵某"),)},
        {"return_by": START + 30 * HOUR},
        {"consent_no": "另一文号"},
        {"level": Level.SECRET},
    ],
)
def test_a_signature_for_one_request_is_none_for_another(change: dict[str, Any]) -> None:
    """Purpose, recipients, return and consent are bound with it (the issue, part 2)."""
    shown = binding(opened(CONFIDENTIAL))
    other = opened(evolve(CONFIDENTIAL, **change))
    assert isinstance(attempt(other, SECRETARY, binds=shown), Denial)


def test_an_approval_is_for_its_file_only() -> None:
    """Replayed on another file it gives nothing."""
    case = signed(opened(CONFIDENTIAL), SECRETARY)
    denied(clear(case, OTHER_SHA, 1, NOW + 1, site=GRADE_A, house=NO_HOUSE), Why.OTHER_FILE)


@pytest.mark.parametrize("copies", [0, -1, 3, 10**9])
def test_not_more_copies_than_approved(copies: int) -> None:
    """Nor none, nor fewer than none."""
    case = signed(opened(CONFIDENTIAL), SECRETARY)
    denied(clear(case, SHA, copies, NOW + 1, site=GRADE_A, house=NO_HOUSE), Why.COPIES)


def test_copies_may_be_cleared_in_parts_and_never_twice() -> None:
    """One of two now, one later, then the case is spent."""
    case = signed(opened(CONFIDENTIAL), SECRETARY)
    case, first = cleared(case, 1)
    assert (first.number, remaining(case), state(case, NOW + 10)) == (1, 1, CaseState.APPROVED)
    denied(clear(case, SHA, 2, NOW + 11, site=GRADE_A, house=NO_HOUSE), Why.COPIES)
    case, second = cleared(case, 1, now=NOW + 12)
    assert second.number == 2
    denied(clear(case, SHA, 1, NOW + 13, site=GRADE_A, house=NO_HOUSE), Why.CLOSED)


def test_reading_gives_no_copy() -> None:
    """借阅: a request for no copies is cleared for none, as often as it is read while it holds."""
    case = signed(opened(evolve(CONFIDENTIAL, copies=0)), SECRETARY)
    denied(clear(case, SHA, 1, NOW + 1, site=GRADE_A, house=NO_HOUSE), Why.COPIES)
    case, first = cleared(case, 0)
    case, second = cleared(case, 0, now=NOW + 20)
    assert (first.copies, second.number) == (0, 2)


def test_an_approval_expires() -> None:
    """机密 holds 72 hours from its first signature, and never past the day of return."""
    far = evolve(CONFIDENTIAL, return_by=START + 500 * HOUR)
    case = signed(opened(far), SECRETARY)
    assert expires(case) == NOW + 72 * HOUR
    assert cleared(case, now=NOW + 72 * HOUR - 1)
    denied(clear(case, SHA, 2, NOW + 72 * HOUR, site=GRADE_A, house=NO_HOUSE), Why.EXPIRED)
    assert state(case, NOW + 72 * HOUR) is CaseState.EXPIRED
    near = signed(opened(CONFIDENTIAL), SECRETARY)
    denied(clear(near, SHA, 2, START + 20 * HOUR, site=GRADE_A, house=NO_HOUSE), Why.EXPIRED)


def test_signatures_that_come_too_late_do_not_add_up() -> None:
    """绝密 is signed by both within a day of the first; a request that nobody signs ends after thirty."""
    case = signed(opened(evolve(TOP, copies=0, return_by=None)), SECRETARY)
    assert expires(signed(case, CHIEF, now=NOW + 20 * HOUR)) == NOW + 24 * HOUR
    denied(attempt(case, CHIEF, NOW + 24 * HOUR), Why.EXPIRED)
    lazy = opened(evolve(SENSITIVE, return_by=None))
    assert state(lazy, START + 720 * HOUR - 1) is CaseState.WAITING
    denied(attempt(lazy, HEAD, START + 720 * HOUR), Why.EXPIRED)


def test_a_house_that_became_stricter_counts_for_open_cases() -> None:
    """Validity cut after the signature, a step added, a qualification or a system lost: no clearance."""
    case = signed(opened(CONFIDENTIAL), SECRETARY)
    short = House(valid_hours=1)
    denied(clear(case, SHA, 2, NOW + HOUR, site=GRADE_A, house=short), Why.EXPIRED)
    added = House(steps=(HouseStep(name="x", say="x", roles=(Role.LEADER,)),))
    denied(clear(case, SHA, 2, NOW + 1, site=GRADE_A, house=added), Why.RULES)
    lost = clear(case, SHA, 2, NOW + 1, site=PLAIN, house=NO_HOUSE)
    assert isinstance(lost, Denial)
    assert lost.why is Why.UNQUALIFIED
    unplugged = clear(case, SHA, 2, NOW + 1, site=evolve(GRADE_A, system="秘密"), house=NO_HOUSE)
    assert isinstance(unplugged, Denial)
    assert unplugged.why is Why.SYSTEM


def test_a_house_that_became_laxer_changes_no_open_case() -> None:
    """A case keeps the steps it was opened with."""
    house = House(steps=(HouseStep(name="x", say="x", roles=(Role.LEADER,)),))
    case = signed(opened(CONFIDENTIAL, house=house), SECRETARY)
    denied(clear(case, SHA, 2, NOW + 1, site=GRADE_A, house=NO_HOUSE), Why.WAITING)
    assert cleared(signed(case, CHIEF, now=NOW + 1))


@pytest.mark.parametrize("now", [NOW - 1, START, 0.0, -1.0, float("nan")])
def test_a_clock_that_was_set_back_signs_and_clears_nothing(now: float) -> None:
    """Neither before the last signature, nor before the last clearance, nor at a moment that is none."""
    case = signed(opened(TOP), SECRETARY)
    denied(attempt(case, CHIEF, now), Why.CLOCK)
    whole = signed(case, CHIEF, now=NOW + 2)
    denied(clear(whole, SHA, 1, now, site=GRADE_A, house=NO_HOUSE), Why.CLOCK)
    part, _ = cleared(whole, 1, now=NOW + 100)
    denied(clear(part, SHA, 1, NOW + 99, site=GRADE_A, house=NO_HOUSE), Why.CLOCK)


def test_a_request_from_the_future_is_not_opened() -> None:
    """The clock was set back between asking and opening."""
    denied(open_case("01CASE", CONFIDENTIAL, GRADE_A, NO_HOUSE, START - 1), Why.CLOCK)


def test_a_moment_without_end_is_expired() -> None:
    """Infinity is later than anything."""
    case = signed(opened(CONFIDENTIAL), SECRETARY)
    denied(clear(case, SHA, 1, float("inf"), site=GRADE_A, house=NO_HOUSE), Why.EXPIRED)


def test_a_rejection_ends_the_case_and_needs_its_reason() -> None:
    """Nobody signs after it, and nothing is cleared."""
    case = opened(TOP)
    denied(attempt(case, SECRETARY, decision=Decision.REJECT, reason="  "), Why.NO_REASON)
    rejected = attempt(case, SECRETARY, decision=Decision.REJECT, reason="范围过大")
    assert isinstance(rejected, Case)
    assert state(rejected, NOW) is CaseState.REJECTED
    assert pending(rejected) == case.steps[0]
    assert state(rejected, NOW + 10_000 * HOUR) is CaseState.REJECTED
    denied(attempt(rejected, CHIEF, NOW + 1), Why.REJECTED)
    denied(clear(rejected, SHA, 1, NOW + 1, site=GRADE_A, house=NO_HOUSE), Why.REJECTED)
    second = attempt(signed(case, SECRETARY), CHIEF, NOW + 1, Decision.REJECT, reason="不同意")
    assert isinstance(second, Case)
    denied(clear(second, SHA, 1, NOW + 2, site=GRADE_A, house=NO_HOUSE), Why.REJECTED)


@pytest.mark.parametrize(
    ("signer", "why"),
    [
        (evolve(SECRETARY, active=False), Why.INACTIVE),
        (evolve(SECRETARY, roles=()), Why.NO_RIGHT),
        (evolve(SECRETARY, roles=(Role.OPERATOR,)), Why.NO_RIGHT),
        (evolve(SECRETARY, roles=(Role.CLASSIFIER,)), Why.NO_ROLE),
        (evolve(SECRETARY, roles=(Role.SECRETARIAT_HEAD, Role.SECURITY)), Why.CONFLICT),
        (evolve(SECRETARY, roles=(Role.SECRETARIAT_HEAD, Role.REVIEWER)), Why.CONFLICT),
    ],
)
def test_a_role_that_is_gone_before_the_signature_does_not_count(signer: Person, why: Why) -> None:
    """The account as it is now decides, not what it was when the page was opened."""
    result = attempt(opened(CONFIDENTIAL), signer, role=Role.SECRETARIAT_HEAD)
    assert isinstance(result, Denial)
    assert result.why is why


def test_a_role_that_is_gone_after_the_signature_counts() -> None:
    """What was signed in office stays signed; the case knows nothing of later accounts."""
    assert cleared(signed(opened(CONFIDENTIAL), SECRETARY))


def test_a_role_that_one_has_is_not_the_role_that_is_asked_for() -> None:
    """Signing in a role that the step does not take is refused, whatever else one is."""
    both = person("both", Role.DEPARTMENT_HEAD, Role.SECRETARIAT_HEAD)
    case = opened(CONFIDENTIAL)
    denied(attempt(case, both, role=Role.DEPARTMENT_HEAD), Why.NO_ROLE)
    assert isinstance(attempt(case, both, role=Role.SECRETARIAT_HEAD), Case)


def test_nothing_is_signed_when_all_is_signed() -> None:
    """A surplus signature is told, not kept."""
    case = signed(opened(CONFIDENTIAL), SECRETARY)
    shown = binding(opened(CONFIDENTIAL))
    denied(attempt(case, person("late", Role.SECRETARIAT_HEAD), NOW + 1, binds=shown), Why.CLOSED)


def test_what_is_missing_is_told() -> None:
    """The requester reads which steps still wait, and for whom."""
    told = denied(clear(opened(TOP), SHA, 1, NOW, site=GRADE_A, house=NO_HOUSE), Why.WAITING)
    assert "绝密级会签：第二人（秘书处负责人或分管领导）、分管领导批准（分管领导）" in told.say.zh
    assert "head of the secretariat or leader in charge of secrecy" in told.say.en


def word_of(case: Case, /, **changes: Any) -> Case:
    """Return the case with its last signature altered, as an edited row would have it."""
    return evolve(case, signatures=(*case.signatures[:-1], evolve(case.signatures[-1], **changes)))  # type: ignore[no-any-return]


def binds_of(case: Case, /, **changes: Any) -> Case:
    """Return the case with what its last signature binds altered."""
    return word_of(case, binds=evolve(case.signatures[-1].binds, **changes))


ANYBODY = Step(name="leader", say=Say("谁都行", "anybody"), roles=(Role.LEADER, Role.REVIEWER))
EDITS: list[tuple[str, Callable[[Case], Case]]] = [
    ("a copy more", lambda c: evolve(c, request=evolve(c.request, copies=9))),
    ("another file", lambda c: evolve(c, request=evolve(c.request, sha256=OTHER_SHA))),
    ("another purpose", lambda c: evolve(c, request=evolve(c.request, purpose="x"))),
    ("a lower level", lambda c: evolve(c, request=evolve(c.request, level=Level.SECRET))),
    ("a later return", lambda c: evolve(c, request=evolve(c.request, return_by=START + 23 * HOUR))),
    ("no step", lambda c: evolve(c, steps=())),
    ("no step and no signature", lambda c: evolve(c, steps=(), signatures=(), version=1)),
    ("one step less", lambda c: evolve(c, steps=c.steps[1:])),
    ("a milder step", lambda c: evolve(c, steps=(c.steps[0], ANYBODY))),
    ("a step that nobody signs", lambda c: evolve(c, steps=(*c.steps, evolve(ANYBODY, name="x", persons=0)))),
    ("longer validity", lambda c: evolve(c, valid_seconds=c.valid_seconds * 10)),
    ("one signature less", lambda c: evolve(c, signatures=c.signatures[:1], version=2)),
    ("a signature twice", lambda c: evolve(c, signatures=(c.signatures[0], c.signatures[0]))),
    ("signatures swapped", lambda c: evolve(c, signatures=c.signatures[::-1])),
    ("another role", lambda c: word_of(c, role=Role.REVIEWER)),
    ("the requester's signature", lambda c: word_of(c, natural=CLERK.natural)),
    ("the same natural person", lambda c: word_of(c, natural=SECRETARY.natural)),
    ("a signature before the first", lambda c: word_of(c, at=NOW - 1)),
    ("a signature after the end", lambda c: word_of(c, at=NOW + 25 * HOUR)),
    ("bound to another file", lambda c: binds_of(c, sha256=OTHER_SHA)),
    ("bound to other copies", lambda c: binds_of(c, copies=1)),
    ("bound to another case", lambda c: binds_of(c, case="01OTHER")),
    ("another id", lambda c: evolve(c, id="01OTHER")),
    ("another version", lambda c: evolve(c, version=7)),
]


@pytest.mark.parametrize("edit", [e for _, e in EDITS], ids=[name for name, _ in EDITS])
def test_an_edited_record_gives_no_clearance(edit: Callable[[Case], Case]) -> None:
    """Each signature is gone through again, and the ladder is asked again; nothing is believed."""
    case = signed(opened(TOP), SECRETARY, CHIEF)
    assert cleared(case)
    edited = edit(case)
    assert edited != case
    for sha256 in (SHA, OTHER_SHA):
        assert isinstance(clear(edited, sha256, 1, NOW + 10, site=GRADE_A, house=NO_HOUSE), Denial)


@pytest.mark.parametrize(
    "change", [{"copies": -1}, {"number": 2}, {"sha256": OTHER_SHA}, {"job": "x"}, {"case": "x"}, {"at": 0.0}]
)
def test_an_edited_clearance_is_seen(change: dict[str, Any]) -> None:
    """Copies that were given cannot be counted away."""
    case, first = cleared(signed(opened(CONFIDENTIAL), SECRETARY), 1)
    edited = evolve(case, cleared=(evolve(first, **change),))
    denied(clear(edited, SHA, 1, NOW + 20, site=GRADE_A, house=NO_HOUSE), Why.BROKEN)
    denied(clear(evolve(case, cleared=()), SHA, 1, NOW + 20, site=GRADE_A, house=NO_HOUSE), Why.BROKEN)


def test_everything_goes_through_the_books_and_back() -> None:
    """Cases, signatures, clearances and denials are the same after JSON and MessagePack."""
    case, clearance = cleared(signed(opened(TOP), SECRETARY, CHIEF), 1)
    refused = clear(case, OTHER_SHA, 1, NOW + 20, site=GRADE_A, house=NO_HOUSE)
    for value, kind in ((case, Case), (clearance, type(clearance)), (refused, Denial), (case.signatures[0], Signature)):
        assert msgspec.json.decode(msgspec.json.encode(value), type=kind) == value
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind) == value
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(case), type=Case)
    assert isinstance(clear(stored, SHA, 1, NOW + 20, site=GRADE_A, house=NO_HOUSE), Cleared)
    due = binding(opened(TOP))
    assert msgspec.json.decode(msgspec.json.encode(due), type=Binding) == due
