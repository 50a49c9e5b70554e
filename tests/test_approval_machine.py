"""No sequence of calls ever yields a clearance without the signatures that its level demands.

A machine of random calls plays a whole office against the ladder: people sign in and out of turn, on forged papers,
lose their roles, have second accounts, set the clock back, ask for more copies or another file. What may come out is
judged by an oracle that knows nothing of the code under test: a plain table, the facts that the machine made true, and
counting.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any, ClassVar, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from dlp.approval import Binding, Case, Clearance, Cleared, Decision, binding, clear, open_case, pending, sign
from dlp.ladder import House, HouseStep
from dlp.model import Level, Regime, evolve
from dlp.request import Circle, Claim, Recipient, Request
from dlp.rights import Denial, Person, Role, Why
from dlp.site import Site
from offices import GRADE_A, GRADE_B, HOUR, OTHER_SHA, PLAIN, SHA, START, request

OPERATOR, REVIEWER, CLASSIFIER = Role.OPERATOR, Role.REVIEWER, Role.CLASSIFIER
HEAD, SECRETARY, LEADER = Role.DEPARTMENT_HEAD, Role.SECRETARIAT_HEAD, Role.LEADER

# account, roles, natural person, unit: some people have two accounts, and one account has two roles that clash
STAFF: tuple[tuple[str, tuple[Role, ...], str, str], ...] = (
    ("clerk", (OPERATOR,), "zhao", "一处"),
    ("clerk-2", (HEAD,), "zhao", "一处"),
    ("officer", (REVIEWER,), "qian", "保密办"),
    ("classifier", (CLASSIFIER,), "sun", "秘书处"),
    ("head", (HEAD,), "li", "一处"),
    ("head-of-two", (HEAD,), "zhou", "二处"),
    ("secretary", (SECRETARY,), "wu", "秘书处"),
    ("secretary-2", (LEADER,), "wu", "秘书处"),
    ("chief", (LEADER,), "zheng", "领导"),
    ("vice", (LEADER, SECRETARY), "wang", "领导"),
    ("root", (Role.SYSTEM, LEADER), "feng", "信息科"),
)
CLASHING = {"root"}
RANK = {Level.OPEN: 0, Level.ORDINARY: 1, Level.SENSITIVE: 2, Level.SECRET: 3, Level.CONFIDENTIAL: 4}
RANK[Level.TOP_SECRET] = 5
HOURS = {3: 168, 4: 72, 5: 24}
SYSTEMS = {"非涉密": 0, "秘密": 3, "机密": 4, "绝密": 5}
UNNAMED = {Regime.STATE: 5, Regime.EXAM: 5, Regime.COMMERCIAL: 3, Regime.FOREIGN: 3, Regime.WORK: 2, Regime.PERSONAL: 2}


EDITS: tuple[dict[str, Any], ...] = (
    {"steps": ()},
    {"signatures": ()},
    {"steps": (), "signatures": (), "version": 1},
    {"valid_seconds": 1e9},
    {"version": 99},
    {"id": "01OTHER"},
)
"""What somebody who can write the books would change of a case."""


class Word(NamedTuple):
    """A signature as the machine knows that it came about."""

    natural: str
    role: Role
    unit: str
    at: float
    yes: bool


def level_of(asked: Request) -> tuple[int, bool]:
    """The oracle's own reading of level and regime: rank 0 to 5, and whether it must be held a state secret."""
    opinions = [(asked.level, asked.regime), *((c.level, c.regime) for c in asked.claims)]
    owners = [regime for _, regime in opinions if regime is not None]
    rank = 0
    for level, regime in opinions:
        if level is not None:
            rank = max(rank, RANK[level])
        elif regime is not None:
            rank = max(rank, UNNAMED[regime])
    state = Regime.STATE in owners or (Regime.EXAM in owners and rank >= 3)
    return (max(rank, 3) if state else rank), state


def is_lawful(asked: Request, site: Site) -> bool:
    """The oracle's statutory rules: may this be approved at this site by anybody?"""
    rank, state = level_of(asked)
    strangers = [r for r in asked.recipients if r.circle is Circle.OUTSIDE]
    if any(not r.agreement for r in strangers) and (asked.regime or any(c.regime for c in asked.claims)):
        return False
    if not state:
        return True
    if site.qualification == "无" or SYSTEMS[site.system] < rank:
        return False
    if site.qualification == "乙级" and (rank == 5 or asked.province != "浙江省"):
        return False
    return not strangers and (asked.copies == 0 or bool(asked.consent_no and asked.organ))


def demands(asked: Request, steps: int) -> list[set[Role]]:
    """The oracle's ladder: one set of roles for each person that must have said yes, all of them different people."""
    rank, state = level_of(asked)
    owners = {r for r in (asked.regime, *(c.regime for c in asked.claims)) if r is not None}
    opinions = {level for level in (asked.level, *(c.level for c in asked.claims)) if level is not None}
    heads = {HEAD, SECRETARY, LEADER}
    needed = {0: [{REVIEWER}], 1: [{REVIEWER}], 2: [heads], 3: [heads], 4: [{SECRETARY}]}
    needed[5] = [{SECRETARY, LEADER}, {LEADER}]
    found = list(needed[rank])
    if rank == 3 and not state and owners != {Regime.WORK}:
        found = [{SECRETARY}]
    if len(owners) > 1 or len(opinions) > 1 or (rank >= 3 and not owners):
        found.append({CLASSIFIER})
    return found + [{LEADER} for _ in range(steps)]


def filled(words: list[Word], needs: list[set[Role]]) -> bool:
    """Tell whether different people said yes in roles that fill every need."""
    if len({w.natural for w in words}) < len(needs):
        return False
    for chosen in permutations(words, len(needs)):
        fits = all(w.role in need for w, need in zip(chosen, needs, strict=True))
        if fits and len({w.natural for w in chosen}) == len(needs):
            return True
    return False


class Office(RuleBasedStateMachine):
    """Random calls on one request; counts what came out over all runs."""

    outcomes: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.people = {a: Person(id=a, name=a, roles=r, natural=n, unit=u) for a, r, n, u in STAFF}
        self.now = START
        self.latest = START
        self.case: Case | None = None
        self.words: list[Word] = []
        self.given: list[Clearance] = []
        self.house = House()
        self.site = GRADE_A
        self.added = 0
        self.asked = request(None, None)

    @initialize(
        level=st.sampled_from([None, *Level]),
        regime=st.sampled_from([None, Regime.STATE, Regime.STATE, Regime.STATE, *Regime]),
        copies=st.integers(0, 3),
        requester=st.sampled_from(["clerk", "head", "secretary", "chief"]),
        applicant=st.sampled_from(["", "", "zheng", "li"]),
        site=st.sampled_from([GRADE_A, GRADE_A, GRADE_A, GRADE_B, PLAIN, evolve(GRADE_A, system="机密")]),
        claim=st.sampled_from([None, None, None, Claim(level=Level.TOP_SECRET), Claim(regime=Regime.STATE)]),
        circle=st.sampled_from([Circle.WITHIN, Circle.WITHIN, Circle.WIDER, Circle.OUTSIDE]),
        agreement=st.sampled_from(["", "1号"]),
        lacking=st.sampled_from([{}, {}, {}, {"consent_no": ""}, {"province": "江苏省"}, {"purpose": ""}]),
        housed=st.booleans(),
    )
    def ask(  # noqa: PLR0917  hypothesis names them all
        self,
        level: Level | None,
        regime: Regime | None,
        copies: int,
        requester: str,
        applicant: str,
        site: Site,
        claim: Claim | None,
        circle: Circle,
        agreement: str,
        lacking: dict[str, Any],
        *,
        housed: bool,
    ) -> None:
        """Open a case, or be refused one: never where the law allows none."""
        fields: dict[str, Any] = {
            "copies": copies,
            "requester": requester,
            "applicant": applicant,
            "natural": self.people[requester].natural,
            "claims": (claim,) if claim else (),
            "recipients": (Recipient(name="王某", circle=circle, agreement=agreement),),
            **lacking,
        }
        self.asked, self.site = request(level, regime, **fields), site
        if housed:
            self.house = House(steps=(HouseStep(name="加签0", say="加签", roles=(LEADER,)),))
            self.added = 1
        found = open_case("01CASE", self.asked, site, self.house, self.now)
        if isinstance(found, Case):
            assert is_lawful(self.asked, site)
            assert self.asked.purpose
            self.case = found
            self.count("opened")
        else:
            self.count("refused")

    def count(self, what: str) -> None:
        """Remember that something happened at all, so that a machine that never gets anywhere is seen."""
        self.outcomes[what] = self.outcomes.get(what, 0) + 1

    def opened(self) -> bool:
        """Tell whether there is a case."""
        return self.case is not None

    def sign_as(self, who: str, role: Role, binds: Binding, decision: Decision, *, true: bool) -> None:
        """Call `sign`; what is accepted must be the true word of one who may give it now."""
        assert self.case is not None
        person, asked = self.people[who], self.asked
        answer = sign(self.case, person, decision, self.now, role=role, binds=binds, reason="理由")
        if isinstance(answer, Denial):
            self.count(f"denied:{answer.why.value}")
            return
        assert true, "a forged paper was accepted"
        assert person.active
        assert role in person.roles
        assert who not in CLASHING
        assert person.natural not in (asked.natural, asked.applicant)
        assert who != asked.requester
        assert self.now >= self.latest
        assert all(w.yes for w in self.words), "signed after a rejection"
        self.words.append(Word(person.natural, role, person.unit, self.now, decision is Decision.APPROVE))
        self.latest = self.now
        self.case = answer
        self.count("signed")

    @precondition(opened)
    @rule(who=st.sampled_from([a for a, *_ in STAFF]), data=st.data())
    def sign_something(self, who: str, data: st.DataObject) -> None:
        """Anybody signs what is pending, in one of his roles or in any."""
        assert self.case is not None
        due = binding(self.case)
        if due is None:
            return
        own = self.people[who].roles
        role = data.draw(st.sampled_from([*own, *own, *own, *Role]))
        decision = data.draw(st.sampled_from([Decision.APPROVE] * 12 + [Decision.REJECT]))
        self.sign_as(who, role, due, decision, true=True)

    @precondition(opened)
    @rule(data=st.data(), times=st.integers(1, 6), way=st.sampled_from(["wise", "wise", "any", "rogue", "stranger"]))
    def go_up_the_ladder(self, data: st.DataObject, times: int, way: str) -> None:
        """Those whose step it is sign one after the other at the right time, and what came of it is asked for.

        The wise leave out those who may not: whoever it is for, who has signed, who holds roles that clash, who was
        locked. The rogue take those first; the strangers are those whose step it is not.
        """
        self.now = max(self.now, self.latest)
        for _ in range(times):
            assert self.case is not None
            step, due = pending(self.case), binding(self.case)
            fit = [p for p in self.people.values() if step and set(step.roles) & set(p.roles)]
            spent = {self.asked.natural, self.asked.applicant, *(w.natural for w in self.words)}
            good = [p for p in fit if p.active and p.natural not in spent and p.id not in CLASHING]
            if way == "wise":
                fit = good
            elif way == "rogue":
                fit = [p for p in fit if p not in good] or good
            elif way == "stranger":
                fit = [p for p in self.people.values() if p.roles and p not in fit]
            if due is None or step is None or not fit:
                break
            person = data.draw(st.sampled_from(fit))
            role = data.draw(st.sampled_from([r for r in person.roles if r in step.roles] or list(person.roles)))
            self.sign_as(person.id, role, due, Decision.APPROVE, true=True)
        self.tempt()
        self.clear_what_is_left()

    def tempt(self) -> None:
        """Ask for everything that an approval is not good for, as it stands; the oracle says no to all of it."""
        assert self.case is not None
        left = self.asked.copies - sum(c.copies for c in self.given)
        for copies in (left + 1, -1):
            assert isinstance(self.cleared(self.case, copies=copies), Denial)
        assert isinstance(self.cleared(self.case, copies=left, sha256=OTHER_SHA), Denial)
        assert isinstance(self.cleared(self.case, copies=left, now=self.latest - 1), Denial)
        assert isinstance(self.cleared(self.case, copies=left, now=START + 721 * HOUR), Denial)
        assert isinstance(self.cleared(self.case, copies=left, site=PLAIN), Denial) or not level_of(self.asked)[1]
        for change in EDITS:
            edited = evolve(self.case, **change)
            if edited != self.case:
                assert isinstance(self.cleared(edited, copies=left), Denial), change

    def cleared(self, case: Case, **changes: Any) -> Cleared | Denial:
        """Call `clear` with what is true now, and with these changes."""
        fields = {"sha256": SHA, "copies": 1, "now": self.now, "site": self.site, "house": self.house, **changes}
        return clear(case, **fields)

    @precondition(opened)
    @rule(
        who=st.sampled_from(["head", "secretary", "chief", "vice"]),
        change=st.sampled_from(
            [
                {"sha256": OTHER_SHA},
                {"copies": 7},
                {"step": "review"},
                {"step": "leader"},
                {"case": "01OTHER"},
                {"request": "sha256:0"},
            ]
        ),
    )
    def sign_a_forged_paper(self, who: str, change: dict[str, Any]) -> None:
        """What was shown is not what is asked for."""
        assert self.case is not None
        due = binding(self.case)
        if due is None or evolve(due, **change) == due:
            return
        role = next(roles[0] for name, roles, *_ in STAFF if name == who)
        self.sign_as(who, role, evolve(due, **change), Decision.APPROVE, true=False)

    @rule(hours=st.sampled_from([0.0, 0.001, 0.5, 1.0, 5.0, 30.0, 80.0, -0.01, -1.0, -100.0]))
    def turn_the_clock(self, hours: float) -> None:
        """Time goes by, or somebody sets the clock back."""
        self.now += hours * HOUR

    @rule(
        who=st.sampled_from([a for a, *_ in STAFF if a not in CLASHING]), what=st.sampled_from(["lock", "take", "give"])
    )
    def change_an_account(self, who: str, what: str) -> None:
        """An account is locked, somebody loses office, or is put back into it."""
        own = next(roles for name, roles, *_ in STAFF if name == who)
        changes: dict[str, dict[str, Any]] = {
            "lock": {"active": False},
            "take": {"roles": ()},
            "give": {"active": True, "roles": own},
        }
        self.people[who] = evolve(self.people[who], **changes[what])

    @rule(what=st.sampled_from([PLAIN, GRADE_B, GRADE_A, GRADE_A, "step"]))
    def change_the_rules(self, what: Site | str) -> None:
        """The unit loses or gains its qualification, or the house asks for one leader more, of open cases too."""
        if isinstance(what, Site):
            self.site = what
        elif self.added < 2:
            self.added += 1
            steps = tuple(HouseStep(name=f"加签{n}", say="加签", roles=(LEADER,)) for n in range(self.added))
            self.house = House(steps=steps)

    @precondition(opened)
    @rule()
    def through_the_books(self) -> None:
        """The case is written and read back."""
        self.case = msgspec.msgpack.decode(msgspec.msgpack.encode(self.case), type=Case)

    @precondition(opened)
    @rule(sha256=st.sampled_from([SHA, SHA, SHA, SHA, OTHER_SHA]), copies=st.integers(-1, 4))
    def clear_it(self, sha256: str, copies: int) -> None:
        """Ask for a clearance of the case as it is."""
        assert self.case is not None
        self.judge(self.cleared(self.case, sha256=sha256, copies=copies), sha256, copies)

    def clear_what_is_left(self) -> None:
        """Ask for what the request is for."""
        assert self.case is not None
        left = self.asked.copies - sum(c.copies for c in self.given)
        self.judge(self.cleared(self.case, copies=left), SHA, left)

    @precondition(opened)
    @rule(copies=st.integers(1, 9), level=st.sampled_from([None, Level.OPEN, Level.SENSITIVE]))
    def clear_an_edited_request(self, copies: int, level: Level | None) -> None:
        """More copies or a lower level written over what was signed."""
        assert self.case is not None
        other = evolve(self.asked, copies=copies, level=level, claims=(), regime=None)
        if other != self.asked and self.words:
            edited = evolve(self.case, request=other)
            assert isinstance(self.cleared(edited), Denial)

    def judge(self, answer: Cleared | Denial, sha256: str, copies: int) -> None:
        """Whatever was cleared, the oracle must have said yes to."""
        if isinstance(answer, Denial):
            self.count(f"denied:{answer.why.value}")
            return
        asked, clearance = self.asked, answer.clearance
        assert sha256 == asked.sha256 == clearance.sha256
        assert clearance.copies == copies
        assert is_lawful(asked, self.site)
        assert all(w.yes for w in self.words)
        assert filled(self.words, demands(asked, self.added)), (self.words, demands(asked, self.added))
        if level_of(asked)[0] >= 3 and any(r.circle is not Circle.WITHIN for r in asked.recipients):
            assert any(w.role is LEADER for w in self.words)
        assert all(w.natural != asked.natural for w in self.words)
        own = [w for w in self.words if w.role is HEAD]
        assert all(w.unit == asked.unit for w in own)
        rank = level_of(asked)[0]
        first = min(w.at for w in self.words)
        assert self.now >= max(w.at for w in self.words)
        assert self.now < first + HOURS.get(rank, 720) * HOUR
        assert asked.return_by is None or self.now < asked.return_by
        assert clearance.expires <= first + HOURS.get(rank, 720) * HOUR
        self.given.append(clearance)
        assert sum(c.copies for c in self.given) <= asked.copies
        assert clearance.number == len(self.given)
        self.latest = self.now
        self.case = answer.case
        self.count("cleared")
        self.count(f"cleared:{'state' if level_of(asked)[1] else 'other'}:{rank}")


def play(machine: Any, examples: int, *, derandomize: bool = False) -> dict[str, int]:
    """Run a machine and return what came out how often; `derandomize` plays the same games each time."""
    machine.outcomes.clear()
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=quiet,
            derandomize=derandomize,
        ),
    )
    return dict(machine.outcomes)


def test_no_sequence_of_calls_clears_without_the_signatures(record_property: Any) -> None:
    """A hundred offices, always the same: every clearance had its signatures, and there were some to judge."""
    outcomes = play(Office, 100, derandomize=True)
    record_property("told", ", ".join(f"{k} {v}" for k, v in sorted(outcomes.items())))
    assert outcomes["cleared"] >= 1
    assert outcomes["signed"] >= 1


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_no_sequence_of_calls_clears_without_the_signatures_at_length(record_property: Any) -> None:
    """Two thousand offices: every level of state secret was cleared, and every kind of refusal was met."""
    outcomes = play(Office, 2_000)
    record_property("told", ", ".join(f"{k} {v}" for k, v in sorted(outcomes.items())))
    for rank in (3, 4, 5):
        assert outcomes[f"cleared:state:{rank}"] >= 5
    for why in (Why.CLOCK, Why.COPIES, Why.EXPIRED, Why.INACTIVE, Why.CONFLICT, Why.NO_RIGHT, Why.NO_ROLE):
        assert outcomes[f"denied:{why.value}"] >= 5, why
    for why in (Why.OTHER_FILE, Why.REJECTED, Why.REQUESTER, Why.RULES, Why.SAME_PERSON, Why.WAITING, Why.UNQUALIFIED):
        assert outcomes[f"denied:{why.value}"] >= 5, why
