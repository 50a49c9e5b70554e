"""Which signatures a request needs, and what nobody may approve: each rule with its article."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp import laws
from dlp.config import Config
from dlp.ladder import BUILT_IN, House, HouseStep, Step, faults, route, valid_seconds
from dlp.model import Level, Reference, Regime, evolve
from dlp.refusals import Refusal
from dlp.request import AT_ONCE, Circle, Claim, Duty, Recipient, Request, duties
from dlp.rights import RIGHTS, SIGNERS, Role, Why
from dlp.service.gate import load_packs
from dlp.site import Site
from dlp.terms import Confirmation, Ruling
from offices import CLASSIFIER, GRADE_A, GRADE_B, HOUR, NO_HOUSE, OTHER_SHA, PLAIN, SHA, START, request

O, G, M = Level.OPEN, Level.ORDINARY, Level.SENSITIVE  # noqa: E741  公开 一般 敏感信息
S, C, T = Level.SECRET, Level.CONFIDENTIAL, Level.TOP_SECRET


def steps(asked: Request, site: Site = GRADE_A, house: House = NO_HOUSE) -> tuple[Step, ...]:
    """Return the steps of a request that can be approved."""
    found = route(asked, site, house)
    assert not isinstance(found, Refusal), found
    return found


def names(asked: Request, site: Site = GRADE_A, house: House = NO_HOUSE) -> list[str]:
    """Return the names of its steps in order."""
    return [step.name for step in steps(asked, site, house)]


def refused(asked: Request, site: Site = GRADE_A) -> Refusal:
    """Return why a request cannot be approved; in both languages, with what to do and the article."""
    found = route(asked, site, NO_HOUSE)
    assert isinstance(found, Refusal), found
    assert asked.job in found.say.zh
    assert asked.job in found.say.en
    assert found.hint.zh
    assert found.hint.en
    assert found.article
    return found


@pytest.mark.parametrize(
    ("regime", "level", "expected"),
    [
        # 中心保密工作制度 第十条: 秘密 registered and signed; 机密 the head of the secretariat; 绝密 the leader
        (Regime.STATE, S, ["signature"]),
        (Regime.STATE, C, ["secretariat"]),
        (Regime.STATE, T, ["co-signature", "leader"]),
        # what nobody named a level for is the gravest, and what is too low for a state secret is 秘密
        (Regime.STATE, None, ["co-signature", "leader"]),
        (Regime.STATE, M, ["signature"]),
        (Regime.STATE, O, ["signature"]),
        # before it is used an exam paper is a state secret; a list of candidates is none
        (Regime.EXAM, S, ["signature"]),
        (Regime.EXAM, C, ["secretariat"]),
        (Regime.EXAM, T, ["co-signature", "leader"]),
        (Regime.EXAM, None, ["co-signature", "leader"]),
        (Regime.EXAM, M, ["department"]),
        # 工作秘密: 保密法 第六十四条; papers of the province and above come as 机密 (第七条)
        (Regime.WORK, None, ["department"]),
        (Regime.WORK, M, ["department"]),
        (Regime.WORK, S, ["signature"]),
        (Regime.WORK, C, ["secretariat"]),
        (Regime.WORK, T, ["co-signature", "leader"]),
        # the unit's own secrets: 廉租房管理服务中心保密制度 第十一条, minutes and personnel files 第十三、十四条
        (Regime.COMMERCIAL, None, ["own-secret"]),
        (Regime.COMMERCIAL, M, ["department"]),
        (Regime.COMMERCIAL, S, ["own-secret"]),
        (Regime.COMMERCIAL, C, ["secretariat"]),
        (Regime.COMMERCIAL, T, ["co-signature", "leader"]),
        (Regime.FOREIGN, None, ["own-secret"]),
        (Regime.FOREIGN, M, ["department"]),
        (Regime.FOREIGN, S, ["own-secret"]),
        (Regime.FOREIGN, C, ["secretariat"]),
        (Regime.FOREIGN, T, ["co-signature", "leader"]),
        (Regime.PERSONAL, None, ["department"]),
        (Regime.PERSONAL, G, ["review"]),
        (Regime.PERSONAL, M, ["department"]),
        (Regime.PERSONAL, S, ["own-secret"]),
        # held without a mark: the security officer looks at it; a level without an owner is classified first
        (None, None, ["review"]),
        (None, O, ["review"]),
        (None, G, ["review"]),
        (None, M, ["department"]),
        (None, S, ["classify", "own-secret"]),
        (None, C, ["classify", "secretariat"]),
        (None, T, ["classify", "co-signature", "leader"]),
    ],
)
def test_the_ladder(regime: Regime | None, level: Level | None, expected: list[str]) -> None:
    """Level and regime give the steps, and each names roles that sign and the article it stands on."""
    found = steps(request(level, regime))
    assert [step.name for step in found] == expected
    for step in found:
        assert set(step.roles) <= set(SIGNERS)
        assert step.persons == 1
        assert step.article
        assert step.say.zh
        assert step.say.en


def test_the_roles_of_each_level() -> None:
    """A signature for 机密 is none for 绝密 (SR-12, SR-13)."""
    assert [s.roles for s in steps(request(C, Regime.STATE))] == [(Role.SECRETARIAT_HEAD,)]
    assert [s.roles for s in steps(request(T, Regime.STATE))] == [
        (Role.SECRETARIAT_HEAD, Role.LEADER),
        (Role.LEADER,),
    ]
    (one,) = steps(request(S, Regime.STATE))
    assert one.roles == (Role.DEPARTMENT_HEAD, Role.SECRETARIAT_HEAD, Role.LEADER)
    assert one.unit == "一处"


@pytest.mark.parametrize("level", [S, C, T, None])
@pytest.mark.parametrize("copies", [0, 1])
@pytest.mark.parametrize("regime", [Regime.STATE, Regime.EXAM])
def test_without_the_qualification_a_state_secret_is_refused_and_reported(
    level: Level | None, copies: int, regime: Regime
) -> None:
    """实施条例 第二十七条第一项、第四十八条: no manager may release it, whatever the machine is."""
    site = Site(unit="某某中心", system="绝密")
    found = refused(request(level, regime, copies=copies), site)
    assert (found.why, found.report) == (Why.UNQUALIFIED, True)
    assert "第二十七条" in found.article
    assert "报告" in found.hint.zh


def test_what_is_no_state_secret_needs_no_qualification() -> None:
    """A plain site approves work, commercial and personal matters."""
    for regime in (None, Regime.WORK, Regime.COMMERCIAL, Regime.PERSONAL, Regime.FOREIGN):
        assert names(request(M, regime), PLAIN) == ["department"]
    assert names(request(M, Regime.EXAM), PLAIN) == ["department"]


@pytest.mark.parametrize(
    ("level", "province", "why"),
    [
        (T, "浙江省", Why.OUT_OF_SCOPE),
        (None, "浙江省", Why.OUT_OF_SCOPE),
        (C, "江苏省", Why.OUT_OF_SCOPE),
        (S, "江苏", Why.OUT_OF_SCOPE),
        (S, "", Why.INCOMPLETE),
        (S, " ", Why.INCOMPLETE),
    ],
)
def test_grade_b_refuses_top_secret_and_other_provinces(level: Level | None, province: str, why: Why) -> None:
    """印制资质管理办法: 乙级 takes 机密 and 秘密 of its own province; an unknown province is no yes."""
    found = refused(request(level, Regime.STATE, province=province), GRADE_B)
    assert (found.why, found.report) == (why, why is Why.OUT_OF_SCOPE)
    assert "印制资质管理办法" in found.article


def test_grade_b_takes_its_own_province_and_grade_a_all() -> None:
    """浙江 and 浙江省 are the same; autonomous regions and cities too; 甲级 works in the whole country."""
    assert names(request(C, Regime.STATE, province="浙江"), GRADE_B) == ["secretariat"]
    for own, theirs in (("广西", "广西壮族自治区"), ("北京市", "北京"), ("新疆维吾尔自治区", "新疆")):
        site = Site(qualification="乙级", province=own, system="机密")
        assert names(request(S, Regime.STATE, province=theirs), site) == ["signature"]
    assert names(request(T, Regime.STATE, province="江苏省")) == ["co-signature", "leader"]
    nameless = Site(qualification="乙级", system="机密")
    assert refused(request(S, Regime.STATE), nameless).why is Why.INCOMPLETE


@pytest.mark.parametrize(
    ("system", "level", "held"),
    [
        ("非涉密", S, False),
        ("秘密", S, True),
        ("秘密", C, False),
        ("机密", C, True),
        ("机密", T, False),
        ("绝密", T, True),
    ],
)
def test_a_machine_holds_no_state_secret_above_its_level(system: Any, level: Level, held: bool) -> None:
    """保密法 第三十一条第三项、实施条例 第三十二条: a licence to print makes no classified machine."""
    site = Site(qualification="甲级", system=system)
    asked = request(level, Regime.STATE)
    if held:
        assert steps(asked, site)
    else:
        found = refused(asked, site)
        assert (found.why, found.report) == (Why.SYSTEM, True)


@pytest.mark.parametrize("missing", ["consent_no", "organ"])
@pytest.mark.parametrize("level", [S, C, T])
def test_copies_need_the_consent_of_the_issuing_organ(missing: str, level: Level) -> None:
    """中心保密工作制度 第九条, 实施条例 第二十九条第四项: its name and its consent; reading needs none."""
    found = refused(request(level, Regime.STATE, copies=1, **{missing: " "}))
    assert (found.why, found.report) == (Why.CONSENT, False)
    assert "第九条" in found.article
    assert steps(request(level, Regime.STATE, copies=0, **{missing: ""}))
    assert steps(request(level, Regime.COMMERCIAL, **{missing: ""}))


def test_papers_of_the_province_and_above_are_copied_with_consent_and_given_back_at_once() -> None:
    """中心保密工作制度 第七条, marked or not."""
    for kind in AT_ONCE:
        asked = request(C, Regime.WORK, classes=(kind,))
        assert names(asked) == ["secretariat"]
        assert Duty.AT_ONCE in duties(asked)
        assert valid_seconds(asked, NO_HOUSE) == 24 * HOUR
        assert refused(request(C, Regime.WORK, classes=(kind,), consent_no="")).why is Why.CONSENT
        assert refused(request(C, Regime.WORK, classes=(kind,), return_by=START + 25 * HOUR)).why is Why.RETURN
        assert names(request(C, Regime.WORK, classes=(kind,), copies=0, return_by=None)) == ["secretariat"]


def test_the_classes_that_are_given_back_at_once_exist() -> None:
    """The ladder names rules of the shipped packs."""
    rules = {f"{pack.id}.{rule.id}" for pack in load_packs(Config()) for rule in pack.rules}
    assert set(AT_ONCE) - {"telegram"} <= rules


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ((Claim(level=C, by="原发文单位"),), ["classify", "secretariat"]),
        ((Claim(level=S), Claim(level=T)), ["classify", "co-signature", "leader"]),
        ((Claim(level=M),), ["classify", "signature"]),
        ((Claim(level=S, regime=Regime.STATE),), ["signature"]),
        ((Claim(level=S, regime=Regime.COMMERCIAL),), ["classify", "signature"]),
    ],
)
def test_where_opinions_differ_the_highest_level_counts(claims: tuple[Claim, ...], expected: list[str]) -> None:
    """实施条例 第二十六条: until it is decided, the measures are those of the highest level claimed."""
    assert names(request(S, Regime.STATE, claims=claims)) == expected


def test_one_claim_of_a_state_secret_makes_it_one() -> None:
    """Whether it is one at all is in dispute (保密法 第二十五条): a site without qualification refuses and reports."""
    asked = request(M, Regime.COMMERCIAL, claims=(Claim(level=S, regime=Regime.STATE, by="保密员"),))
    assert names(asked) == ["classify", "signature"]
    nameless = request(M, Regime.COMMERCIAL, claims=(Claim(regime=Regime.STATE, by="保密员"),))
    assert names(nameless) == ["classify", "co-signature", "leader"]
    assert names(request(None, Regime.EXAM, claims=(Claim(level=O),))) == ["co-signature", "leader"]
    assert refused(asked, PLAIN).why is Why.UNQUALIFIED


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"job": ""}, Why.INCOMPLETE),
        ({"requester": " "}, Why.INCOMPLETE),
        ({"natural": ""}, Why.INCOMPLETE),
        ({"unit": ""}, Why.INCOMPLETE),
        ({"sha256": ""}, Why.INCOMPLETE),
        ({"sha256": "AB" * 32}, Why.INCOMPLETE),
        ({"copies": -1}, Why.INCOMPLETE),
        ({"made_at": float("nan")}, Why.INCOMPLETE),
        ({"made_at": float("inf")}, Why.INCOMPLETE),
        ({"made_at": -1.0}, Why.INCOMPLETE),
        ({"purpose": "  "}, Why.INCOMPLETE),
        ({"recipients": ()}, Why.INCOMPLETE),
        ({"recipients": (Recipient(name=" "),)}, Why.INCOMPLETE),
        ({"return_by": None}, Why.RETURN),
        ({"return_by": START}, Why.RETURN),
        ({"return_by": float("nan")}, Why.RETURN),
        ({"return_by": float("inf")}, Why.RETURN),
        ({"recipients": (Recipient(name="某公司", circle=Circle.OUTSIDE, agreement="1号"),)}, Why.THIRD_PARTY),
    ],
)
def test_what_a_request_for_a_state_secret_must_say(changes: dict[str, Any], why: Why) -> None:
    """Purpose (SR-37), recipients (SR-05), unit (SR-02), return (SR-14), and no third party at all."""
    made = request(C, Regime.STATE, **changes)
    found = route(made, GRADE_A, NO_HOUSE)
    assert isinstance(found, Refusal)
    assert (found.why, found.report) == (why, False)


def test_when_copies_must_come_back() -> None:
    """Copies of state and work secrets have a day of return; reading, and a customer's own papers, have none."""
    for regime, level in ((Regime.STATE, S), (Regime.EXAM, S), (Regime.WORK, S), (Regime.WORK, C)):
        assert refused(request(level, regime, return_by=None)).why is Why.RETURN
        assert steps(request(level, regime, return_by=None, copies=0))
    for regime in (None, Regime.COMMERCIAL, Regime.PERSONAL, Regime.FOREIGN):
        assert steps(request(M, regime, return_by=None))
    assert steps(request(C, Regime.STATE, return_by=START + 500 * HOUR))
    assert refused(request(T, Regime.STATE, return_by=START + 25 * HOUR)).why is Why.RETURN


def test_a_wider_circle_needs_the_leader() -> None:
    """中心保密工作制度 第六条, 保密法 第二十一条: nobody widens the circle by himself; the leader may sign both."""
    wider = (Recipient(name="王某"), Recipient(name="李某", circle=Circle.WIDER))
    assert names(request(S, Regime.STATE, recipients=wider)) == ["signature", "widen"]
    assert names(request(T, Regime.STATE, recipients=wider)) == ["co-signature", "leader", "widen"]
    assert names(request(C, Regime.COMMERCIAL, recipients=wider)) == ["secretariat", "widen"]
    assert names(request(M, Regime.WORK, recipients=wider)) == ["department"]
    (widen,) = (s for s in steps(request(S, Regime.STATE, recipients=wider)) if s.name == "widen")
    assert (widen.roles, widen.again) == ((Role.LEADER,), True)


def test_a_third_party_needs_an_agreement_and_for_secrets_the_leader() -> None:
    """SR-21, SR-40: no agreement, no share; SR-81: secrets are provided outside by the management only."""
    bare = (Recipient(name="某公司", circle=Circle.OUTSIDE),)
    bound = (Recipient(name="某公司", circle=Circle.OUTSIDE, agreement="保协〔2026〕7号"),)
    for regime in (Regime.COMMERCIAL, Regime.PERSONAL, Regime.WORK, Regime.FOREIGN):
        assert refused(request(M, regime, recipients=bare)).why is Why.THIRD_PARTY
        assert names(request(M, regime, recipients=bound)) == ["department"]
    assert names(request(C, Regime.COMMERCIAL, recipients=bound)) == ["secretariat", "provide"]
    assert names(request(None, None, recipients=bare)) == ["review"]


def confirmed(ruling: Ruling = Ruling.ENDED, **changes: Any) -> Confirmation:
    """Return the word of the classification officer about the term of the file that is asked for."""
    fields: dict[str, Any] = {
        "job": "01JOB",
        "sha256": SHA,
        "ruling": ruling,
        "basis": "某厅电话答复",
        "person": CLASSIFIER.id,
        "natural": CLASSIFIER.natural,
        "at": START - HOUR,
    }
    return Confirmation(**{**fields, **changes})


def test_a_term_that_is_confirmed_to_be_over_is_still_reviewed() -> None:
    """保密法 第三十五条: declassified is not public; two persons look at it, and no qualification is needed."""
    assert names(request(C, Regime.STATE, ended=confirmed()), PLAIN) == ["review", "declassified"]
    assert names(request(C, Regime.STATE, ended=confirmed(), return_by=None, consent_no=""), PLAIN)
    both = request(C, Regime.STATE, ended=confirmed(), claims=(Claim(level=C, regime=Regime.COMMERCIAL),))
    assert names(both, PLAIN) == ["review", "declassified", "secretariat"]


@pytest.mark.parametrize(
    ("word", "claims", "why"),
    [
        (confirmed(Ruling.EXTENDED), (), Why.UNQUALIFIED),
        (confirmed(), (Claim(regime=Regime.STATE),), Why.UNQUALIFIED),
        (confirmed(), (Claim(regime=Regime.EXAM, level=S),), Why.UNQUALIFIED),
        (confirmed(sha256=OTHER_SHA), (), Why.UNQUALIFIED),
        (confirmed(job="01XXX"), (), Why.UNQUALIFIED),
    ],
)
def test_what_ends_no_term(word: Confirmation, claims: tuple[Claim, ...], why: Why) -> None:
    """An extension, a claim that it is still secret, and the word about another file leave it a state secret."""
    assert refused(request(C, Regime.STATE, ended=word, claims=claims), PLAIN).why is why


def test_the_word_about_another_file_is_told() -> None:
    """Where the site could approve it, the mix-up is the reason."""
    assert refused(request(C, Regime.STATE, ended=confirmed(sha256=OTHER_SHA))).why is Why.OTHER_FILE


@pytest.mark.parametrize(
    ("level", "regime", "copies", "expected"),
    [
        (S, Regime.STATE, 2, {Duty.REGISTER, Duty.STAMP, Duty.NUMBER, Duty.GIVE_BACK}),
        (C, Regime.STATE, 2, {Duty.REGISTER, Duty.STAMP, Duty.NUMBER, Duty.GIVE_BACK, Duty.RECORD_VIEWERS}),
        (T, Regime.STATE, 2, set(Duty)),
        (T, Regime.STATE, 0, set(Duty) - {Duty.STAMP, Duty.NUMBER}),
        (C, Regime.COMMERCIAL, 2, {Duty.REGISTER, Duty.GIVE_BACK, Duty.RECORD_VIEWERS}),
        (None, None, 2, {Duty.REGISTER, Duty.GIVE_BACK}),
    ],
)
def test_what_is_owed(level: Level | None, regime: Regime | None, copies: int, expected: set[Duty]) -> None:
    """实施条例 第二十条, 第二十七条第五项, 第二十九条: viewers, stamps, two persons; 第十一条: 随阅随退 and return."""
    assert set(duties(request(level, regime, copies=copies))) == expected


@pytest.mark.parametrize(("level", "hours"), [(T, 24), (C, 72), (S, 168), (M, 720), (None, 720)])
def test_how_long_an_approval_holds(level: Level | None, hours: int) -> None:
    """The higher, the shorter; a house makes it shorter and never longer."""
    asked = request(level, Regime.COMMERCIAL if level else None)
    assert valid_seconds(asked, NO_HOUSE) == hours * HOUR
    assert valid_seconds(asked, House(valid_hours=12)) == 12 * HOUR
    assert valid_seconds(asked, House(valid_hours=700)) == min(hours, 700) * HOUR


FINANCE = HouseStep(name="财务", say="财务科会签", roles=(Role.DEPARTMENT_HEAD,), unit="财务科", level_at_least=C)


def test_a_house_adds_steps_where_they_belong() -> None:
    """By level and regime, in the order of those who sign; the built-in ones all stay."""
    assert names(request(S, Regime.COMMERCIAL), house=House(steps=(FINANCE,))) == ["own-secret"]
    assert names(request(C, Regime.COMMERCIAL), house=House(steps=(FINANCE,))) == ["house-1:财务", "secretariat"]
    for_exams = HouseStep(name="考务", say="考务处", roles=(Role.LEADER,), regime=(Regime.EXAM,), persons=2)
    both = House(steps=(FINANCE, for_exams))
    assert names(request(C, Regime.STATE), house=both) == ["house-1:财务", "secretariat"]
    found = steps(request(C, Regime.EXAM), house=both)
    assert [(s.name, s.persons) for s in found] == [("house-1:财务", 1), ("secretariat", 1), ("house-2:考务", 2)]


levels = st.sampled_from([None, *Level])
regimes = st.sampled_from([None, *Regime])
claims = st.lists(st.builds(Claim, level=levels, regime=regimes), max_size=2).map(tuple)
circles = st.lists(st.sampled_from(list(Circle)), min_size=1, max_size=3)
house_steps = st.builds(
    HouseStep,
    name=st.sampled_from(["a", "b", "leader", ""]),
    say=st.just("x"),
    roles=st.lists(st.sampled_from(list(Role)), max_size=3).map(tuple),
    persons=st.integers(-1, 3),
    level_at_least=levels,
    regime=st.lists(st.sampled_from(list(Regime)), max_size=2).map(tuple),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests of every kind, most of them complete."""
    people = tuple(Recipient(name="王", circle=c, agreement=draw(st.sampled_from(["", "1"]))) for c in draw(circles))
    return request(
        draw(levels),
        draw(regimes),
        claims=draw(claims),
        recipients=people,
        copies=draw(st.integers(0, 3)),
        ended=draw(st.sampled_from([None, None, confirmed(), confirmed(Ruling.EXTENDED)])),
        classes=draw(st.sampled_from([(), AT_ONCE[:1]])),
    )


sites = st.builds(
    Site,
    qualification=st.sampled_from(["无", "乙级", "甲级"]),
    province=st.sampled_from(["浙江", "江苏"]),
    system=st.sampled_from(["非涉密", "秘密", "机密", "绝密"]),
)


@given(requests(), sites, st.lists(house_steps, max_size=3).map(tuple))
def test_no_house_takes_a_step_away(asked: Request, site: Site, added: tuple[HouseStep, ...]) -> None:
    """Whatever is configured, valid or not: refusals stay, steps stay in order, names differ, and none is empty."""
    plain = route(asked, site, NO_HOUSE)
    housed = route(asked, site, House(steps=added))
    if isinstance(plain, Refusal):
        assert housed == plain
        return
    assert not isinstance(housed, Refusal)
    assert plain
    assert [s for s in housed if not s.name.startswith("house-")] == list(plain)
    assert len({s.name for s in housed}) == len(housed)


@given(requests(), sites, claims)
def test_one_more_claim_never_undoes_a_report(asked: Request, site: Site, more: tuple[Claim, ...]) -> None:
    """What is refused and reported stays so when somebody adds an opinion."""
    before = route(asked, site, NO_HOUSE)
    after = route(evolve(asked, claims=(*asked.claims, *more)), site, NO_HOUSE)
    if isinstance(before, Refusal) and before.report:
        assert isinstance(after, Refusal)
        assert after.report


def problems(house: House) -> Iterator[tuple[str, str]]:
    """Give key and Chinese text of every fault."""
    for key, say in faults(house):
        assert say.en
        yield ".".join(map(str, key)), say.zh


def test_a_weaker_ladder_is_a_list_of_problems() -> None:
    """A step that would replace a built-in one, that only others could sign, or that is none, is told with its key."""
    bad = House(
        steps=(
            HouseStep(name="leader", say="x", roles=(Role.REVIEWER,)),
            HouseStep(name="甲", say=" ", roles=()),
            HouseStep(name="甲", say="x", roles=(Role.OPERATOR, Role.SYSTEM)),
            HouseStep(name="乙", say="x", roles=(Role.LEADER, Role.LEADER)),
        )
    )
    told = list(problems(bad))
    assert [key for key, _ in told] == [
        "steps.0.name",
        "steps.1.say",
        "steps.1.roles",
        "steps.2.name",
        "steps.2.roles",
        "steps.3.roles",
    ]
    assert "不可取代" in told[0][1]
    assert "文印员、系统管理员" in told[4][1]
    assert not list(problems(House(steps=(FINANCE,))))


def test_every_citation_is_of_an_edition_in_force() -> None:
    """No step, right or refusal rests on a repealed law."""
    texts = [step.article for step in BUILT_IN] + [row.article for row in RIGHTS]
    texts.append(refused(request(T, Regime.STATE), GRADE_B).article)
    cited = {(law, edition) for text in texts for law, edition in re.findall("《([^》]+)》（([0-9-]+)）", text)}
    assert len(cited) == 3
    for law, edition in cited:
        assert law in laws.known()
        assert laws.fault(Reference(law=law, edition=edition)) is None
