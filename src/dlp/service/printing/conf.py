"""The text of cupsd.conf: what is put into it, taken out again byte by byte, and what it allows. Pure.

What is put in are whole lines between marker comments, so that taking them out gives back the text as it was, with
whatever an administrator has changed since.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LOCKED = "wenyin"
"""The policy of a queue that only the gate may use."""
OPEN = "wenyin-"
"""A queue that people print to has the policy of this beginning and the name of the policy that it had before."""
HELD = "wenyin-held-"
"""The same for a queue whose jobs wait in CUPS until they are screened."""

_AT_ONCE = "DirtyCleanInterval 0\n"
"""CUPS writes down jobs, queues and their locks at once, not within half a minute: a power cut forgets none of them."""
_KEPT = "PreserveJobFiles 600\n"
"""Long enough to have a job sent again that the gate was receiving when it was cut off; by itself CUPS leaves what was
printed or cancelled on the disk for a day."""
_LONGEST_KEPT = 3_600
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_START = "# >>> wenyin-gate 文印闸：由 dlp print install 写入，dlp print remove 去除；请勿手改 / do not edit"
_END = "# <<< wenyin-gate"
_MARKED = re.compile(
    r"^[ \t]*# >>> wenyin-gate[^\n]*\n(?:(?![ \t]*# >>> wenyin-gate).*\n)*?[ \t]*# <<< wenyin-gate[^\n]*\n",
    re.MULTILINE,
)
_PRINTING = (
    "Create-Job Print-Job Print-URI Validate-Job Send-Document Send-URI Close-Job Hold-Job Release-Job Restart-Job "
    "Set-Job-Attributes CUPS-Move-Job CUPS-Get-Document CUPS-Authenticate-Job"
)
_LOOKING = (
    "Get-Jobs Get-Job-Attributes Get-Printer-Attributes Get-Printer-Supported-Values CUPS-Get-Printers "
    "CUPS-Get-Classes CUPS-Get-Default CUPS-Get-PPD CUPS-Get-PPDs"
)
LETTING = (
    *("create-job", "print-job", "print-uri", "validate-job", "send-document", "send-uri", "release-job"),
    *("restart-job", "reprocess-job", "resume-job", "set-job-attributes", "cups-move-job", "cups-get-document"),
    *("resume-printer", "cups-accept-jobs", "cups-add-modify-printer", "cups-add-modify-class"),
)
"""Operations by which a document could reach a printer, or be read, past the gate."""
_RELEASING = "Release-Job Hold-Job Restart-Job Reprocess-Job Resume-Job Promote-Job Set-Job-Attributes CUPS-Move-Job"
_STOCK = """<Policy default>
  <Limit Create-Job Print-Job Print-URI Validate-Job>
    Order deny,allow
  </Limit>
  <Limit Send-Document Send-URI Hold-Job Release-Job Restart-Job Purge-Jobs Set-Job-Attributes Create-Job-Subscription \
Renew-Subscription Cancel-Subscription Get-Notifications Reprocess-Job Cancel-Current-Job Suspend-Current-Job \
Resume-Job Cancel-My-Jobs Close-Job CUPS-Move-Job CUPS-Get-Document Cancel-Job CUPS-Authenticate-Job>
    Require user @OWNER @SYSTEM
    Order deny,allow
  </Limit>
  <Limit Pause-Printer Resume-Printer Enable-Printer Disable-Printer Pause-Printer-After-Current-Job Hold-New-Jobs \
Release-Held-New-Jobs Deactivate-Printer Activate-Printer Restart-Printer Shutdown-Printer Startup-Printer Promote-Job \
Schedule-Job-After Cancel-Jobs CUPS-Accept-Jobs CUPS-Reject-Jobs CUPS-Add-Modify-Printer CUPS-Delete-Printer \
CUPS-Add-Modify-Class CUPS-Delete-Class CUPS-Set-Default CUPS-Get-Devices>
    AuthType Default
    Require user @SYSTEM
    Order deny,allow
  </Limit>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""
"""What CUPS does where its configuration names no policy, written out so that something can be added to it."""


class Opened(NamedTuple):
    """A queue that people print to: which policy it had, and whether its jobs wait in CUPS."""

    policy: str
    held: bool = False

    @property
    def name(self) -> str:
        """Return the name of the policy that it has behind the gate."""
        return f"{HELD if self.held else OPEN}{self.policy}"


class Limit(NamedTuple):
    """Who may do some operations: no `users` means everybody; `proven` that a name alone is not believed."""

    operations: tuple[str, ...]
    proven: bool
    users: tuple[str, ...]


def strip(text: str) -> str:
    """Return the text without anything that was put into it."""
    return _MARKED.sub("", text)


def is_damaged(text: str) -> bool:
    """Tell whether marker comments are left that do not belong together: then nobody knows what is ours."""
    return "wenyin-gate" in strip(text)


def lock(text: str, user: str, opened: Iterable[Opened] = ()) -> str:
    """Return the text with the policies of the gate, whose user is `user`, and without leave to make local queues."""
    plain = strip(text)
    name = _default_name(plain)
    opened = sorted(set(opened))
    whole = _no_local_queues() + _reading(opened, user)
    own = [line for line in (_AT_ONCE, _KEPT) if not _value(plain, line.split()[0], "")]
    policies = [_block([*own, _locked(user)])]
    where = _opening(plain, name)
    if where is None:
        head = _block([_STOCK.replace("<Policy default>\n", f"<Policy {name}>\n{whole}")])
        source = _STOCK + plain
    else:
        head = ""
        source = plain
        plain = plain[: where.end()] + _block([whole], "  ") + plain[where.end() :]
    made = (_derived(source, one, user) for one in opened)
    return "".join([*policies, *(_block([one]) for one in made if one), head, plain])


def policies(text: str) -> dict[str, tuple[Limit, ...]]:
    """Return every policy that a text defines, by its name in small letters."""
    basic = _value(text, "DefaultAuthType", "basic").lower() != "none"
    found: dict[str, list[Limit]] = {}
    for name, body in _policies(text):
        found.setdefault(name.lower(), []).extend(_limits(body, basic=basic))
    return {name: tuple(limits) for name, limits in found.items()}


def rule(limits: tuple[Limit, ...], operation: str) -> Limit | None:
    """Return what a policy says of one operation; None where it says nothing."""
    for wanted in (operation, "all"):
        if found := next((limit for limit in limits if wanted in limit.operations), None):
            return found
    return None


def is_locked(text: str, policy: str, user: str) -> tuple[str, ...]:
    """Return the operations that a policy leaves to others than `user` and administrators; nothing when it is tight."""
    limits = policies(text).get(policy.lower())
    return LETTING if limits is None else tuple(op for op in LETTING if not _only(rule(limits, op), user))


def forbids_local_queues(text: str) -> bool:
    """Tell whether only administrators may make queues of their own (CUPS-Create-Local-Printer)."""
    limits = policies(text).get(_default_name(text).lower())
    return limits is not None and _only(rule(limits, "cups-create-local-printer"), "root")


def saves_at_once(text: str) -> bool:
    """Tell whether CUPS writes down what happens when it happens."""
    return _value(text, "DirtyCleanInterval", "30") in ("0", "0s")


def keeps_documents(text: str) -> bool:
    """Tell whether CUPS keeps a document that it has sent long enough to send it again, and no longer than an hour."""
    said = re.fullmatch(r"(\d+)([smhdw]?)", _value(text, "PreserveJobFiles", "1d").lower())
    return said is not None and 0 < int(said[1]) * _UNITS[said[2]] <= _LONGEST_KEPT


def base_of(policy: str) -> str:
    """Return the policy that a queue had before it was given one of ours."""
    if policy == LOCKED:
        return "default"
    return policy.removeprefix(HELD).removeprefix(OPEN) or "default"


def holds(text: str, policy: str, user: str) -> tuple[str, ...]:
    """Return the operations by which the owner of a waiting job could let it go or change it; nothing: tight."""
    limits = policies(text).get(policy.lower(), ())
    return tuple(op for op in _RELEASING.lower().split() if not _only(rule(limits, op), user))


def _only(limit: Limit | None, user: str) -> bool:
    allowed = {user.lower(), "@system", "root"}
    return limit is not None and limit.proven and bool(limit.users) and allowed.issuperset(limit.users)


def _block(parts: Iterable[str], indent: str = "") -> str:
    return f"{indent}{_START}\n{''.join(parts)}{indent}{_END}\n"


def _locked(user: str) -> str:
    who = "@SYSTEM" if user == "root" else f"{user} @SYSTEM"
    return (
        f"<Policy {LOCKED}>\n"
        f"  JobPrivateAccess @OWNER {who}\n  JobPrivateValues default\n"
        "  SubscriptionPrivateAccess default\n  SubscriptionPrivateValues default\n"
        f"  <Limit {_LOOKING}>\n    Order deny,allow\n  </Limit>\n"
        f"{_limit('Cancel-Job', f'@OWNER {who}')}{_limit(_PRINTING, who)}{_limit('All', '@SYSTEM')}</Policy>\n"
    )


def _no_local_queues() -> str:
    return _limit("CUPS-Create-Local-Printer", "@SYSTEM")


def _reading(opened: Iterable[Opened], user: str) -> str:
    """Let the gate read what waits: CUPS asks its default policy who may read a document, not that of the queue."""
    if user == "root" or not any(one.held for one in opened):
        return ""
    return _limit("CUPS-Get-Document", f"@OWNER @SYSTEM {user}")


def _limit(operations: str, who: str) -> str:
    # AuthType Basic: with Default, a site whose default is none would believe any name that a client gives itself.
    return f"  <Limit {operations}>\n    AuthType Basic\n    Require user {who}\n    Order deny,allow\n  </Limit>\n"


def _derived(text: str, opened: Opened, user: str) -> str:
    """Return a policy like the one that a queue had, in which the gate may do what the owner of a job may."""
    body = next((body for name, body in _policies(text) if name.lower() == opened.policy.lower()), None)
    if body is None or (user == "root" and not opened.held):
        return ""
    if user != "root":
        body = re.sub(r"^([ \t]*Require\s+user\s.*@OWNER\b.*?)[ \t]*$", rf"\1 {user}", body, flags=_LINES)
        private = rf"\1@OWNER @SYSTEM {user}"
        body = re.sub(r"^([ \t]*JobPrivateAccess[ \t]+)default[ \t]*$", private, body, flags=_LINES)
    who = "@SYSTEM" if user == "root" else f"{user} @SYSTEM"
    first = _limit(_RELEASING, who) if opened.held else ""
    return f"<Policy {opened.name}>\n{first}{body}</Policy>\n"


_LINES = re.MULTILINE | re.IGNORECASE
_POLICY = re.compile(r"^[ \t]*<Policy[ \t]+([^>\s]+)[ \t]*>[^\n]*\n", _LINES)
_POLICY_END = re.compile(r"^[ \t]*</Policy>", _LINES)
_LIMIT = re.compile(r"^[ \t]*<Limit[ \t]+([^>]+)>[^\n]*\n(.*?)^[ \t]*</Limit>", _LINES | re.DOTALL)


def _default_name(text: str) -> str:
    return _value(text, "DefaultPolicy", "default")


def _value(text: str, directive: str, default: str) -> str:
    said = re.findall(rf"^[ \t]*{directive}[ \t]+([^\s#]+)", text, _LINES)
    return str(said[-1]) if said else default


def _opening(text: str, name: str) -> re.Match[str] | None:
    return next((found for found in _POLICY.finditer(text) if found[1].lower() == name.lower()), None)


def _policies(text: str) -> Iterator[tuple[str, str]]:
    for start in _POLICY.finditer(text):
        end = _POLICY_END.search(text, start.end())
        yield start[1], text[start.end() : end.start() if end else len(text)]


def _limits(body: str, *, basic: bool) -> Iterator[Limit]:
    for operations, inside in _LIMIT.findall(body):
        lines = [words for line in inside.splitlines() if (words := line.split("#")[0].split())]
        said = {words[0].lower(): [word.lower() for word in words[1:]] for words in lines}
        auth = "".join(said.get("authtype", ["none"]))
        proven = auth != "none" and (auth != "default" or basic) and said.get("satisfy") != ["any"]
        required = [words[1:] for words in lines if words[0].lower() == "require" and len(words) > 1]
        users = [name.lower() for words in required for name in (words[1:] if words[0].lower() == "user" else words)]
        yield Limit(tuple(operations.lower().split()), proven, tuple(users))
