"""Audit events for other systems: each line is one event, holds to its format, and nothing in it can break out."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp import audit, siem
from dlp.audit import AuditEvent
from dlp.model import Level, evolve

DECIDED = {
    "action": "quarantine",
    "level": "机密",
    "clauses": ["state-secret-marks"],
    "rules": {"cn.marks.state": 2},
    "packs": "sha256:" + "a" * 64,
    "policy": "sha256:" + "b" * 64,
    "state": "decided",
}
EVENTS = {
    "started": {"packs": "p", "policy": "q", "shadow": False},
    "stopped": {},
    "denied": {"operation": "destroy.erase", "subject": "01J", "change": "01K", "why": "conflict"},
    "reloaded": {"packs": "p"},
    "reload-refused": {"why": "bad"},
    "taking": {"source": "folder:外发", "path": "甲/乙.docx", "size": 10},
    "sealed": {"sha256": "c" * 64, "size": 10, "state": "stored"},
    "decided": DECIDED,
    "releasing": {"sha256": "c" * 64, "reason": "可以", "state": "releasing"},
    "released": {"name": "乙.docx", "state": "released"},
    "redacted": {"name": "乙.docx", "state": "redacted"},
    "held": {"state": "held"},
    "blocked": {"evidence": True, "state": "blocked"},
    "rejected": {"reason": "不可", "state": "rejected"},
    "refused": {"path": "x", "zh": "链接", "en": "a link"},
    "retake": {"state": "refused"},
    "failed": {"why": "KeyError at x", "state": "failed"},
    "missing": {"state": "held"},
    "destroyed": {"state": "released"},
    "receipt-failed": {"why": "EACCES"},
    "no-source": {"source": "x"},
    "seen": {"what": "evidence", "level": "机密", "state": "held"},
    "audit-key": {"chain": "d" * 64},
    "checkpoint": {"number": 1, "seq": 3, "digest": "e" * 64},
    "checkpoint-failed": {"why": "no space"},
    "announced": {"place": "7", "copies": 2, "state": "releasing"},
    "announced-anew": {"place": "", "copies": 2, "state": "releasing"},
    "doubt": {"place": "7", "state": "held"},
    "cancel-asked": {"state": "decided"},
    "cancelled": {"state": "cancelled"},
    "double": {"of": "01J", "state": "refused"},
    "escaped": {"cups": 7},
    "withheld": {"way": "return", "incident": "01J", "due": "2026-01-02T03:04:05+00:00", "state": "withheld"},
    "handed-back": {"name": "01J 乙.docx", "state": "withheld"},
    "stopped-release": {"place": "7", "state": "held"},
    "stopping": {"place": "!", "copies": 1, "state": "releasing"},
    "backup": {"file": "a.dlpbackup", "seq": 3},
    "backup-failed": {"why": "no space"},
    "notice-failed": {"why": "refused"},
    "something-new": {"x": 1},
}
"""Every kind of event that the gate writes, with a body as it writes it, and one that nobody has thought of yet."""


WRITERS = ("note", "move", "add", "begin")


def event(kind: str, body: dict[str, Any], **fields: Any) -> AuditEvent:
    """Make one event."""
    plain = AuditEvent(
        seq=7,
        at="2026-01-02T03:04:05.678+00:00",
        actor="gate",
        kind=kind,
        job="01JABCDEFGHJKMNPQRSTVWXYZ0",
        body=body,
        prev="1" * 64,
        hash="2" * 64,
        mac="3" * 64,
    )
    return evolve(plain, **fields)


def every() -> list[AuditEvent]:
    """Give an event of each kind, by the gate and by a person, with a job and without, for each action of a verdict."""
    plain = [event(kind, body) for kind, body in EVENTS.items()]
    actions = ("allow", "alert", "redact", "quarantine", "block")
    plain += [event("decided", {**DECIDED, "action": one, "level": None}) for one in actions]
    plain += [event("decided", {**DECIDED, "level": level.value}) for level in Level]
    return [evolve(e, actor=actor, job=job) for e in plain for actor in ("gate", "张三") for job in (e.job, "")]


def test_no_kind_of_event_is_forgotten() -> None:
    """Every kind that the code writes out stands in the table above."""
    written = set()
    for path in (Path(siem.__file__).parent / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITERS:
                written |= {
                    k.value.value for k in node.keywords if k.arg == "kind" and isinstance(k.value, ast.Constant)
                }
    assert len(written) > 15
    assert written - EVENTS.keys() == set()


# --- OCSF ----------------------------------------------------------------------------------------------------------


@cache
def schema() -> dict[str, Any]:
    """Read the published schema, reduced to the classes and objects that are used."""
    return dict(json.loads(Path(__file__).with_name("ocsf_schema.json").read_text(encoding="utf-8")))


PLAIN = {"string_t": str, "integer_t": int, "long_t": int, "boolean_t": bool}


def faults(value: dict[str, Any], form: dict[str, Any], path: str) -> list[str]:
    """Return everything in which a value does not hold to its class or object."""
    known = form["attributes"]
    found = [f"{path}.{name} is required" for name, one in known.items()
             if one["requirement"] == "required" and name not in value]  # fmt: skip
    wanted = form.get("constraints", {}).get("at_least_one")
    if wanted and not set(wanted) & value.keys():
        found.append(f"{path} has none of {wanted}")
    for name, one in value.items():
        where = f"{path}.{name}"
        if name not in known:
            found.append(f"{where} is not in the schema")
            continue
        due = known[name]
        if bool(due.get("array")) != isinstance(one, list):
            found.append(f"{where}: an array or not")
            continue
        for single in one if isinstance(one, list) else [one]:
            found += single_faults(single, due, where)
    return found


def single_faults(value: Any, due: dict[str, Any], where: str) -> list[str]:
    """Return what is wrong with one value of an attribute."""
    kind = due["type"]
    if "enum" in due and value not in due["enum"]:
        return [f"{where}: {value} is not of its enum"]
    if kind in PLAIN:
        return [] if type(value) is PLAIN[kind] else [f"{where} must be {kind}"]
    if not isinstance(value, dict):
        return [f"{where} must be an object"]
    return faults(value, schema()["objects"][kind], where) if kind in schema()["objects"] else []


@pytest.mark.parametrize("one", every(), ids=lambda e: f"{e.kind}-{e.actor}-{bool(e.job)}-{e.body.get('action')}")
def test_every_kind_of_event_holds_to_the_published_schema(one: AuditEvent) -> None:
    """Class, required attributes, enums, types, and no attribute that the schema does not know."""
    made = json.loads(siem.ocsf(one))
    form = schema()["classes"][str(made["class_uid"])]
    assert faults(made, form, form["name"]) == []
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
    assert made["category_uid"] == made["class_uid"] // 1000
    assert made["time"] == datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC).timestamp() * 1000
    assert made["metadata"]["version"] == "1.8.0"
    assert made["unmapped"]["body"] == one.body


def test_the_check_of_the_schema_sees_faults() -> None:
    """A missing attribute, a wrong type, an unknown name, a value outside its enum, an object without what it needs."""
    form = schema()["classes"]["6003"]
    good = siem.as_ocsf(event("seen", EVENTS["seen"], actor="张三"))
    assert faults(good, form, "") == []
    for harm in (
        {k: v for k, v in good.items() if k != "api"},
        {**good, "time": "now"},
        {**good, "colour": "red"},
        {**good, "severity_id": 7},
        {**good, "class_uid": 2006},
        {**good, "actor": {}},
        {**good, "resources": {}},
        {**good, "metadata": {"version": "1.8.0"}},
    ):
        assert faults(harm, form, "") != []


@pytest.mark.parametrize(
    ("kind", "body", "due"),
    [
        ("decided", DECIDED, (2006, 1)),
        ("decided", {**DECIDED, "action": "allow"}, (6003, 3)),
        ("held", {}, (2006, 2)),
        ("blocked", {}, (2006, 2)),
        ("rejected", {}, (2006, 3)),
        ("redacted", {}, (2006, 3)),
        ("escaped", {"cups": 7}, (2006, 1)),
        ("started", {}, (6002, 3)),
        ("stopped", {}, (6002, 4)),
        ("seen", EVENTS["seen"], (6003, 2)),
        ("destroyed", {}, (6003, 4)),
        ("something-new", {}, (6003, 99)),
    ],
)
def test_events_come_in_the_class_that_they_are(kind: str, body: dict[str, Any], due: tuple[int, int]) -> None:
    """Verdicts are findings, start and stop are of the application, what people and the gate do are calls."""
    made = siem.as_ocsf(event(kind, body))
    assert (made["class_uid"], made["activity_id"]) == due


def test_levels_are_named_as_the_schema_does() -> None:
    """State secrets have numbers of the schema; other levels go by their own name."""

    def of(level: str | None) -> dict[str, Any]:
        return dict(siem.as_ocsf(event("decided", {**DECIDED, "level": level}))["data_security"])  # fmt: skip

    assert [of(one)["confidentiality_id"] for one in ("公开", "秘密", "机密", "绝密", None)] == [1, 2, 3, 4, 0]
    assert (of("敏感信息")["confidentiality_id"], of("敏感信息")["confidentiality"]) == (99, "敏感信息")


# --- CEF -----------------------------------------------------------------------------------------------------------

HEAD = re.compile(r"CEF:0\|((?:[^|\\]|\\[|\\])*)" + r"\|((?:[^|\\]|\\[|\\])*)" * 5 + r"\|(.*)", re.DOTALL)


def parse(line: str) -> tuple[list[str], dict[str, str]]:
    """Read a line of CEF as its specification says: seven fields, then keys and values with escapes."""
    found = HEAD.fullmatch(line)
    assert found is not None, line
    head = [re.sub(r"\\([|\\])", r"\1", one) for one in found.groups()[:6]]
    values: dict[str, str] = {}
    pieces = re.split(r"(?:^| )([A-Za-z0-9]+)(?<!\\)=", found[7])
    assert pieces[0] == ""
    for key, raw in zip(pieces[1::2], pieces[2::2], strict=True):
        assert key not in values, f"{key} twice in {line}"
        assert not re.search(r"(?<!\\)(?:\\\\)*=", raw), raw
        values[key] = re.sub(r"\\([=\\nr])", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), raw)
    return head, values


@pytest.mark.parametrize("one", every(), ids=lambda e: f"{e.kind}-{e.actor}-{bool(e.job)}-{e.body.get('action')}")
def test_every_kind_of_event_is_a_line_of_cef(one: AuditEvent) -> None:
    """Head and keys come back, with time, person, job and body."""
    head, values = parse(siem.cef(one))
    assert head[:2] == ["wenyin-gate", "wenyin-gate"]
    assert head[3:5] == [one.kind, one.kind]
    assert 0 <= int(head[5]) <= 10
    assert values["rt"] == "1767323045678"
    assert values["suser"] == one.actor
    assert values["externalId"] == "7"
    labels = {values[f"cs{n}Label"]: values[f"cs{n}"] for n in range(1, 7) if f"cs{n}" in values}
    assert labels.get("job", "") == one.job
    assert labels["hash"] == one.hash
    assert json.loads(labels["body"]) == one.body


# --- nothing breaks out --------------------------------------------------------------------------------------------

SIGNS = "\r\n\t\v\f\x00\x1b\x85\u2028\u2029\u202e|=\\'\"@+-, "
NASTY = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(SIGNS))


@given(NASTY, NASTY, NASTY, NASTY, st.dictionaries(NASTY, NASTY, max_size=3))
def test_no_value_breaks_out_of_its_line(kind: str, actor: str, job: str, at: str, more: dict[str, str]) -> None:
    """Whatever stands in an event, each format gives one line that reads back to it, and no hidden characters."""
    body = {**more, "action": actor, "reason": job, "path": kind, "level": at}
    one = event(kind, body, actor=actor, job=job, at=at)
    for write in siem.FORMATS.values():
        line = write(one)
        assert len(line.splitlines()) == 1
        assert not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", line)
        assert line[0] not in "=+-@\t\r"
    assert json.loads(siem.jsonl(one)) == json.loads(json.dumps({f: getattr(one, f) for f in one.__struct_fields__}))
    assert json.loads(siem.ocsf(one))["unmapped"]["body"] == body
    head, values = parse(siem.cef(one))
    assert head[3] == shown(kind)
    assert values.get("suser", "") == shown(actor).strip(" ") or values["suser"].strip(" ") == shown(actor).strip(" ")


def shown(text: str) -> str:
    """Spell hidden characters out, and take the sting out of a formula."""
    plain = siem._UNSEEN.sub(lambda m: f"<U+{ord(m[0]):04X}>", text)
    return f"'{plain}" if plain[:1] in ("=", "+", "-", "@") else plain


@pytest.mark.parametrize("value", ['=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(A1)"])
def test_no_value_is_a_formula(value: str) -> None:
    """Where a line of CEF is cut into cells at its signs, no cell begins as a formula."""
    line = siem.cef(event(value, {"path": value, "reason": value}, actor=value, job=value))
    for cell in re.split(r"[|]|(?<!\\)=| (?=[A-Za-z0-9]+=)", line):
        assert cell[:1] not in ("=", "+", "-", "@"), cell


def test_an_export_as_json_lines_verifies() -> None:
    """Keys are in one order, and what is read back is the same chain."""
    prev, events = audit.GENESIS, []
    for seq in range(1, 6):
        body = {"z": "\u2028", "a": [1, {"b": None}], "文": "件\u202e"}
        fields = {"seq": seq, "at": "2026", "actor": "a\u0085", "kind": "k", "job": "j"}
        own = audit.link(**fields, body=audit.canonical(body), prev=prev)
        events.append(AuditEvent(**fields, body=body, prev=prev, hash=own))
        prev = own
    rows = [json.loads(siem.jsonl(one)) for one in events]
    assert [list(row) for row in rows] == [["seq", "at", "actor", "kind", "job", "body", "prev", "hash", "mac"]] * 5
    assert list(rows[0]["body"]) == sorted(rows[0]["body"])
    assert audit.verify(AuditEvent(**row) for row in rows).faults == ()


def test_an_event_that_was_tampered_with_is_exported_still() -> None:
    """A time that is none, a body of other types: an export does not stop where the trail is bad."""
    odd = event("decided", {"action": 5, "level": ["x"], "policy": 0}, at="yesterday")
    assert json.loads(siem.ocsf(odd))["time"] == 0
    assert parse(siem.cef(odd))[1]["rt"] == "0"
    assert json.loads(siem.jsonl(evolve(odd, at=5)))["at"] == 5
    assert json.loads(siem.ocsf(evolve(odd, at=5)))["time"] == 0
    assert parse(siem.cef(evolve(odd, at=5, kind=5, actor=5, job=5, hash=5)))[1]["suser"] == "5"
