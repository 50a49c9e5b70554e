"""The interface for programs: what a token reaches, what it never does, and that no request brings it down."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from starlette.testclient import TestClient

from dlp.account import SESSIONS
from dlp.errors import Denied, UsageError
from dlp.model import State, evolve
from dlp.rights import Operation, right
from dlp.service.tokens import Tokens
from dlp.web import api
from dlp.web.app import application
from dlp.web.site import Console
from sites import lay
from staff import PASSWORD, House, hash_quickly
from test_cases import ASKED
from web_site import HERE, Browser

OPENAPI = Path(__file__).parents[1] / "docs/openapi.json"
REACH = {
    ("GET", "/me"): None,
    ("GET", "/jobs"): Operation.JOB_LIST,
    ("GET", "/jobs/{id}"): Operation.JOB_SHOW,
    ("POST", "/jobs/{id}/claim"): Operation.REVIEW_CLAIM,
    ("POST", "/jobs/{id}/unclaim"): Operation.REVIEW_CLAIM,
    ("POST", "/jobs/{id}/comment"): Operation.REVIEW_COMMENT,
    ("POST", "/jobs/{id}/label"): Operation.REVIEW_LABEL,
    ("POST", "/jobs/{id}/reject"): Operation.REVIEW_REJECT,
    ("POST", "/jobs/{id}/redact"): Operation.REVIEW_REDACT,
    ("POST", "/jobs/{id}/release"): Operation.JOB_RELEASE,
    ("POST", "/jobs/{id}/request"): Operation.APPROVAL_REQUEST,
    ("GET", "/cases"): Operation.APPROVAL_SHOW,
    ("GET", "/cases/{id}"): Operation.APPROVAL_SHOW,
    ("POST", "/cases/{id}/sign"): Operation.APPROVAL_SIGN,
    ("GET", "/waiting"): None,
    ("POST", "/waiting/{id}/turn-down"): None,
    ("GET", "/registers"): Operation.REGISTER_READ,
    ("GET", "/registers/{name}"): Operation.REGISTER_READ,
    ("GET", "/incidents"): Operation.REPORT_READ,
    ("GET", "/audit/events"): Operation.AUDIT_READ,
    ("GET", "/audit/verify"): Operation.AUDIT_VERIFY,
}
"""What each way asks of whoever it is called for."""
BODIES: dict[str, dict[str, Any]] = {
    "comment": {"text": "已看"},
    "label": {"ruling": "confirmed", "finding": 1},
    "reject": {"reason": "不符"},
    "redact": {"reason": "脱敏"},
    "release": {"reason": "放行"},
    "request": {"copies": 1, "purpose": "办事", "recipients": [{"name": "甲"}]},
    "sign": {"decision": "approve"},
    "turn-down": {"reason": "不办"},
}
HELD = "工作秘密\n关于某项工作的内部安排\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Give a site whose gate has held a file, with one person for each role."""
    site = lay(tmp_path_factory.mktemp("api"))
    site.put("安排.txt", HELD.encode())
    site.run("run", "--once", timeout=300)
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        made = House(site.root, site.config)
        made.staff()
        held = made.store.jobs((State.HELD,))[0]
        made.desk("op").cases.ask(held.id, ASKED)
        yield made
        made.close()


class Program:
    """A program with a token of somebody's."""

    def __init__(self, house: House, account: str, *scope: Operation, token: str = "") -> None:
        self.token = token or Tokens(house.acting(account)).make("程序", scope, 30)[1]
        self.client = TestClient(
            application(Console(house.config, house.store)), base_url=HERE, raise_server_exceptions=False
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Call a way of version 1."""
        return self.client.request(
            method, f"{api.V1}{path}", headers={"authorization": f"Bearer {self.token}"}, **options
        )


def test_what_is_checked_in_is_what_is_served(house: House) -> None:
    """`docs/openapi.json` is the interface as it is; make it anew with the command that this says."""
    served = application(Console(house.config, house.store)).openapi()
    text = json.dumps(served, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    how = "python -c 'from dlp.web import schema; schema.write()' > docs/openapi.json"
    assert OPENAPI.read_text(encoding="utf-8") == text, how
    ways = {(method.upper(), path.removeprefix(api.V1)) for path, of in served["paths"].items() for method in of}
    assert ways == set(REACH), "each way stands in the table of this test"


@pytest.mark.parametrize("account", ["op", "rev", "cls", "head", "secr", "lead", "sys", "sec", "aud"])
def test_a_program_may_what_its_person_may(house: House, account: str) -> None:
    """Every way with every role: refused where the matrix of rights refuses, and the refusal is in the trail."""
    from dlp.rights import RIGHTS

    roles = set(house.people.get(account).roles)
    own = [row.operation for row in RIGHTS if roles & {*row.roles, *row.second}]
    own = [one for one in own if one not in (Operation.TOKEN_MAKE, Operation.PASSWORD_CHANGE)]
    program = Program(house, account, *own)
    job, case = house.store.jobs((State.HELD,))[0].id, house.desk("head").cases.all()[0].id
    for (method, path), operation in REACH.items():
        if path.endswith(("/release", "/redact", "/reject")):
            continue  # it could be done here: tried where nothing else needs the job
        before = house.store.head()[0]
        where = path.replace("{id}", case if path.startswith("/cases") else job).replace("{name}", "printed")
        answer = program.call(
            method, where, **({"json": BODIES.get(path.rsplit("/", 1)[1], {})} if method == "POST" else {})
        )
        allowed = operation is None or bool(roles & set(right(operation).roles))
        assert answer.status_code < 500, (method, path, answer.text)
        if not allowed:
            assert answer.status_code == 403, (method, path, answer.text)
            assert house.store.head()[0] > before, f"{path}: the refusal is in the trail"
        else:
            assert "无权" not in answer.text, (method, path, answer.text)


def test_a_token_reaches_no_further_than_it_says(house: House) -> None:
    """What its owner may do and it may not is refused, reading or changing."""
    program = Program(house, "rev", Operation.JOB_LIST)
    job = house.store.jobs((State.HELD,))[0].id
    assert program.call("GET", "/jobs").status_code == 200
    for method, path, body in (
        ("GET", f"/jobs/{job}", None),
        ("POST", f"/jobs/{job}/claim", None),
        ("POST", f"/jobs/{job}/reject", {"reason": "不符"}),
        ("GET", "/audit/events", None),
    ):
        answer = program.call(method, path, json=body)
        assert answer.status_code == 403, path
        assert "令牌不含" in answer.json()["error"]
    assert house.store.get(job).state is State.HELD


def test_a_token_ends(house: House) -> None:
    """On its day, by its owner's word, and with every session of its account."""
    program = Program(house, "cls", Operation.JOB_LIST)
    assert program.call("GET", "/jobs").status_code == 200
    tokens = Tokens(house.acting("cls"))
    tokens.end(tokens.all()[0].id)
    assert program.call("GET", "/jobs").status_code == 401
    other = Program(house, "cls", Operation.JOB_LIST)
    with house.store.change() as entry:
        kept = next(one for one in entry.records(SESSIONS) if one.account == "cls" and one.name)
        entry.put(SESSIONS, evolve(kept, version=kept.version + 1, until=time.time() - 1))
        entry.append("test", "token-made", "", {})
    assert other.call("GET", "/jobs").status_code == 401
    third = Program(house, "cls", Operation.JOB_LIST)
    house.people.change_password("cls", PASSWORD, PASSWORD + "x")
    assert third.call("GET", "/jobs").status_code == 401
    house.people.change_password("cls", PASSWORD + "x", "Another-Horse-8")
    house._tokens["cls"] = house.people.log_in("cls", "Another-Horse-8")


@pytest.mark.parametrize(
    ("scope", "days", "name"),
    [
        ((Operation.ACCOUNT_ADD,), 30, "越权"),
        ((Operation.TOKEN_MAKE,), 30, "生令牌"),
        ((), 30, "空"),
        ((Operation.JOB_LIST,), 0, "短"),
        ((Operation.JOB_LIST,), 366, "长"),
        ((Operation.JOB_LIST,), 30, " "),
    ],
)
def test_a_token_that_says_too_much_is_not_made(
    house: House, scope: tuple[Operation, ...], days: int, name: str
) -> None:
    """No wider than its owner's rights, with a name, a scope and an end; and it makes no tokens itself."""
    with pytest.raises(UsageError):
        Tokens(house.acting("op")).make(name, scope, days)


def test_a_token_makes_no_token(house: House) -> None:
    """Whoever has one cannot widen it."""
    _, token = Tokens(house.acting("op")).make("一", (Operation.JOB_LIST,), 1)
    with pytest.raises(Denied):
        Tokens(Console(house.config, house.store).desk(token).acting).make("二", (Operation.JOB_LIST,), 1)


def test_only_a_token_counts(house: House) -> None:
    """No cookie, no session of a browser, no word at all: 401, and nothing of why."""
    browser = Browser(house, "op")
    assert browser.get(f"{api.V1}/jobs").status_code == 401
    session = Program(house, "op", token=house.token("op"))
    for program in (session, Program(house, "op", token="x" * 43)):
        answer = program.call("GET", "/jobs")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_token_itself_is_nowhere(house: House) -> None:
    """Not in the books, not in the trail, not in what is listed."""
    _, token = Tokens(house.acting("aud")).make("看", (Operation.AUDIT_READ,), 1)
    state = Path(house.config.store.path).parent
    assert token.encode() not in b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert token not in Browser(house, "aud").page("/tokens")


def test_the_page_shows_a_token_once(house: House) -> None:
    """Made in the browser, it calls the interface; the next page has it no more; ended, it calls nothing."""
    browser = Browser(house, "lead")
    page = browser.post("/tokens", name="统计", days="7", scope=["report.read", "job.list"]).text
    token = page.split("<p><code>")[1].split("</code>")[0]
    program = Program(house, "lead", token=token)
    assert program.call("GET", "/jobs").status_code == 200
    assert program.call("GET", "/me").json()["scope"] == ["report.read", "job.list"]
    assert token not in browser.page("/tokens")
    found = Tokens(house.acting("lead")).all()[0]
    assert Browser(house, "op").post("/tokens/end", id=found.id).status_code == 404, "not one's own"
    browser.post("/tokens/end", id=found.id)
    assert program.call("GET", "/jobs").status_code == 401


def test_health_and_metrics(house: House) -> None:
    """Health is for whoever asks and says yes or no; metrics need the right, and hold numbers only."""
    program = Program(house, "sys", Operation.HEALTH_READ)
    bare = TestClient(program.client.app, base_url=HERE)
    assert bare.get("/healthz").json() == {"ok": True}
    assert bare.get("/metrics").status_code == 401
    told = program.client.get("/metrics", headers={"authorization": f"Bearer {program.token}"}).text
    assert 'dlp_jobs{state="held"}' in told
    assert "dlp_job_seconds" in told
    assert "安排" not in told
    assert "窗口" not in told


def test_a_wrong_request_is_told_without_its_words(house: House) -> None:
    """A refused body is named by its fields; nothing that was sent comes back."""
    program = Program(house, "rev", Operation.REVIEW_REJECT)
    answer = program.call("POST", "/jobs/x/reject", json={"reason": "", "secret": "110101199003071233"})
    assert answer.status_code == 422
    assert "body.secret" in answer.text
    assert "110101199003071233" not in answer.text


@pytest.mark.parametrize("many", [12, pytest.param(400, marks=pytest.mark.long)])
def test_no_request_brings_it_down(house: House, many: int) -> None:
    """Everything that the OpenAPI allows, and much that it does not: each is answered, none with a fault of ours."""
    from dlp.rights import RIGHTS

    roles = set(house.people.get("rev").roles)
    own = [row.operation for row in RIGHTS if roles & {*row.roles, *row.second}]
    keep = [one for one in own if one.value.split(".")[0] not in ("token", "password")]
    program = Program(house, "rev", *keep)
    schema = schemathesis.openapi.from_asgi(f"{api.V1}/openapi.json", program.client.app, headers={"host": "127.0.0.1"})
    tried: list[int] = []

    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=many,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @_given(operation)
        def ask(case: Any) -> None:
            answer = case.call(headers={"authorization": f"Bearer {program.token}", "host": "127.0.0.1"})
            tried.append(answer.status_code)
            case.validate_response(answer, checks=[schemathesis.checks.not_a_server_error, _documented])

        ask()
    assert len(tried) >= many * len(REACH) // 2


def _given(operation: Any) -> Any:
    from hypothesis import given

    return given(case=operation.as_strategy())


def _documented(_: Any, response: Any, case: Any) -> None:
    known = {int(code) for code in case.operation.definition.raw["responses"] if code.isdigit()}
    assert response.status_code in known | {405, 421}, response.status_code
