"""cupsd.conf is read as CUPS reads it, and what is put into it comes out again byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.service.printing import conf
from dlp.service.printing.conf import Opened

STOCK = """LogLevel warn
Listen /run/cups/cups.sock
DefaultAuthType Basic
<Location />
  Order allow,deny
</Location>
# Set the default printer/job policies...
<Policy default>
  JobPrivateAccess default
  <Limit Create-Job Print-Job Print-URI Validate-Job>
    Order deny,allow
  </Limit>
  <Limit Send-Document Hold-Job Release-Job Set-Job-Attributes CUPS-Move-Job>
    Require user @OWNER @SYSTEM
    Order deny,allow
  </Limit>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
<Policy authenticated>
  JobPrivateAccess default
  <Limit Create-Job Print-Job>
    AuthType Default
    Order deny,allow
  </Limit>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""
LINES = st.sampled_from(
    [
        *STOCK.splitlines(),
        "  # comment 注释",
        "",
        "\tDefaultPolicy authenticated",
        "<Policy x>",
        "</Policy>",
        "  </Limit>",
    ]
)


@pytest.mark.parametrize("user", ["root", "wenyin"])
@pytest.mark.parametrize(
    "text", [STOCK, STOCK.rstrip("\n"), "", "Port 631", STOCK.replace("<Policy default>", "<POLICY Default >")]
)
def test_what_is_put_in_comes_out(text: str, user: str) -> None:
    """Locking and stripping gives the same text, with or without a last line end or any policy at all."""
    locked = conf.lock(text, user, [Opened("default"), Opened("authenticated", held=True)])
    assert locked != text
    assert conf.strip(locked) == text


@given(st.lists(LINES, max_size=40), st.booleans())
def test_any_text_comes_back(lines: list[str], ending: bool) -> None:
    """Whatever an administrator has written, it is there again, and locking twice is locking once."""
    text = "\n".join(lines) + ("\n" if ending else "")
    locked = conf.lock(text, "wenyin", [Opened("default")])
    assert conf.strip(locked) == text
    assert conf.lock(locked, "wenyin", [Opened("default")]) == locked


def test_changes_of_an_administrator_stay() -> None:
    """What is written between our blocks after the installation is kept by the removal."""
    locked = conf.lock(STOCK, "root").replace("LogLevel warn", "LogLevel debug") + "MaxJobs 7\n"
    assert conf.strip(locked) == STOCK.replace("LogLevel warn", "LogLevel debug") + "MaxJobs 7\n"


def test_markers_without_their_partner_are_seen() -> None:
    """A marker line that was deleted makes the text one that nobody may change by program; nothing is cut out."""
    locked = conf.lock(STOCK, "root")
    half = locked.replace("# <<< wenyin-gate\n", "", 1)
    assert conf.is_damaged(half)
    assert "LogLevel warn" in conf.strip(half)
    assert not conf.is_damaged(locked)
    assert not conf.is_damaged(STOCK)


@pytest.mark.parametrize("text", [STOCK, "", "DefaultPolicy authenticated\n" + STOCK, "DefaultAuthType None\n" + STOCK])
def test_the_locked_policy_is_tight(text: str) -> None:
    """Only the gate and administrators may do what brings a document out, and only when they prove who they are."""
    locked = conf.lock(text, "wenyin")
    assert conf.is_locked(locked, "wenyin", "wenyin") == ()
    assert conf.is_locked(locked, "WENYIN", "wenyin") == ()
    assert conf.forbids_local_queues(locked)
    assert not conf.forbids_local_queues(text)


def test_stock_policies_are_open() -> None:
    """What CUPS comes with lets everybody print, and owners move and release."""
    for policy in ("default", "authenticated", "no-such"):
        assert {"print-job", "create-job", "cups-move-job"} <= set(conf.is_locked(STOCK, policy, "wenyin"))


@pytest.mark.parametrize(
    ("limit", "tight"),
    [
        ("AuthType Basic\nRequire user wenyin @SYSTEM", True),
        ("AuthType Default\nRequire user wenyin", True),
        ("AuthType Basic\nRequire user wenyin\nRequire user @SYSTEM", True),
        ("Require user wenyin @SYSTEM", False),
        ("AuthType None\nRequire user wenyin @SYSTEM", False),
        ("AuthType Basic\nRequire user wenyin @OWNER", False),
        ("AuthType Basic\nRequire user wenyin\nRequire user alice", False),
        ("AuthType Basic\nRequire valid-user", False),
        ("AuthType Basic\nRequire group staff", False),
        ("AuthType Basic\nRequire user wenyin\nSatisfy any", False),
        ("AuthType Basic", False),
        ("", False),
    ],
)
def test_a_limit_is_judged(limit: str, tight: bool) -> None:
    """A name that is only claimed, an owner, a group, or nobody at all: each lets somebody else in."""
    text = f"<Policy p>\n  <Limit All>\n    {limit}\n    Order deny,allow\n  </Limit>\n</Policy>\n"
    assert (conf.is_locked(text, "p", "wenyin") == ()) is tight


def test_a_default_that_asks_nobody_is_no_proof() -> None:
    """AuthType Default is worth what DefaultAuthType says."""
    text = "DefaultAuthType None\n<Policy p>\n<Limit All>\nAuthType Default\nRequire user wenyin\n</Limit>\n</Policy>\n"
    assert conf.is_locked(text, "p", "wenyin")
    assert conf.is_locked(text.replace("None", "Basic", 1), "p", "wenyin") == ()


def test_one_open_operation_is_named() -> None:
    """A policy that is tight but for one operation is not tight, and the operation is told."""
    text = conf.lock(STOCK, "wenyin").replace(
        "<Policy wenyin>\n", "<Policy wenyin>\n<Limit CUPS-Move-Job>\nOrder deny,allow\n</Limit>\n"
    )
    assert conf.is_locked(text, "wenyin", "wenyin") == ("cups-move-job",)


def test_the_gate_may_do_what_owners_may() -> None:
    """The policy of the queue that people use is the one it had, plus the user of the gate."""
    locked = conf.lock(STOCK, "wenyin", [Opened("default")])
    made = conf.policies(locked)["wenyin-default"]
    release = conf.rule(made, "release-job")
    assert release is not None
    assert release.users == ("@owner", "@system", "wenyin")
    printing = conf.rule(made, "print-job")
    assert printing is not None
    assert printing.users == ()
    assert "JobPrivateAccess @OWNER @SYSTEM wenyin" in locked
    assert conf.holds(locked, "wenyin-default", "wenyin")


def test_a_waiting_queue_leaves_its_jobs_to_the_gate() -> None:
    """In held mode owners neither release nor change nor move what waits to be screened."""
    for user in ("root", "wenyin"):
        locked = conf.lock(STOCK, user, [Opened("default", held=True)])
        assert conf.holds(locked, "wenyin-held-default", user) == ()
    assert conf.holds(STOCK, "default", "wenyin")


def test_an_administrator_needs_no_policy_of_its_own() -> None:
    """Where the gate is root, the queue that people use keeps the policy that it had."""
    assert "wenyin-default" not in conf.policies(conf.lock(STOCK, "root", [Opened("default")]))


def test_what_happens_is_saved_at_once() -> None:
    """CUPS saves late by itself; ours makes it save at once, and leaves what an administrator has said."""
    assert not conf.saves_at_once(STOCK)
    assert conf.saves_at_once(conf.lock(STOCK, "root"))
    said = conf.lock("DirtyCleanInterval 5\n" + STOCK, "root")
    assert "DirtyCleanInterval 0" not in said
    assert not conf.saves_at_once(said)


def test_documents_are_kept_for_a_while() -> None:
    """Long enough to send one again, and not for the day that is CUPS' own; an administrator's word is left."""
    assert not conf.keeps_documents(STOCK)
    assert conf.keeps_documents(conf.lock(STOCK, "root"))
    said = conf.lock("PreserveJobFiles Yes\n" + STOCK, "root")
    assert "PreserveJobFiles 600" not in said


@pytest.mark.parametrize(
    ("value", "good"),
    [("No", False), ("0", False), ("Yes", False), ("1d", False), ("3601", False), ("10M", True), ("1h", True)],
)
def test_how_long_documents_are_kept(value: str, good: bool) -> None:
    """Nothing loses a job when the gate is cut off; a day leaves what was stopped lying about."""
    assert conf.keeps_documents(f"PreserveJobFiles {value}\n") is good


@pytest.mark.parametrize(
    ("policy", "base"),
    [("default", "default"), ("wenyin", "default"), ("wenyin-default", "default"), ("wenyin-held-mine", "mine")],
)
def test_the_policy_before_ours(policy: str, base: str) -> None:
    """Where nothing was written down, the name of our policy tells which one a queue had."""
    assert conf.base_of(policy) == base


def test_the_text_that_cups_comes_with() -> None:
    """The file of the distribution is read whole: three policies, all of them open."""
    path = Path("/usr/share/cups/cupsd.conf.default")
    if not path.exists():
        pytest.skip("CUPS is not installed (`make test-tools`)")
    text = path.read_text(encoding="utf-8")
    assert set(conf.policies(text)) == {"default", "authenticated", "kerberos"}
    assert conf.strip(conf.lock(text, "wenyin", [Opened("default")])) == text
