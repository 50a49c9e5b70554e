"""Who may do what: roles, operations, and one table that joins them.

Every use case of the desk is an operation. The table `RIGHTS` is the only place that gives a role an operation, with
the article it rests on and the roles that must confirm it as a second person. Whoever holds roles that exclude one
another may do nothing at all until that is mended.

Sources: 中心保密工作制度 and the other regulations that `docs/regulation.md` traces; 保守国家秘密法实施条例
(2024-09-01) articles 14, 20, 28, 34, 42, 61. The split of the three administrators is that of classified systems.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import Enum
from itertools import combinations
from typing import NamedTuple

import msgspec

from dlp.model import Frozen, Say


class Role(Enum):
    """What somebody is at this site."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    CLASSIFIER = "classifier"
    DEPARTMENT_HEAD = "department-head"
    SECRETARIAT_HEAD = "secretariat-head"
    LEADER = "leader"
    SYSTEM = "system"
    SECURITY = "security"
    AUDITOR = "auditor"


ROLES: dict[Role, Say] = {
    Role.OPERATOR: Say("文印员", "operator"),
    Role.REVIEWER: Say("保密员", "security officer"),
    Role.CLASSIFIER: Say("定密审核员", "classification officer"),
    Role.DEPARTMENT_HEAD: Say("部门负责人", "head of department"),
    Role.SECRETARIAT_HEAD: Say("秘书处负责人", "head of the secretariat"),
    Role.LEADER: Say("分管领导", "leader in charge of secrecy"),
    Role.SYSTEM: Say("系统管理员", "system administrator"),
    Role.SECURITY: Say("安全保密管理员", "security administrator"),
    Role.AUDITOR: Say("安全审计员", "audit administrator"),
}

APPROVERS = (Role.DEPARTMENT_HEAD, Role.SECRETARIAT_HEAD, Role.LEADER)
"""Those whose word lets something out, lowest first."""
SIGNERS = (Role.REVIEWER, Role.CLASSIFIER, *APPROVERS)
"""Those who sign steps of an approval, in the order in which they sign."""
ADMINISTRATORS = (Role.SYSTEM, Role.SECURITY, Role.AUDITOR)
DESK = (Role.OPERATOR, *SIGNERS)
ANYONE = tuple(Role)


class Operation(Enum):
    """One use case of the desk."""

    JOB_LIST = "job.list"
    JOB_SHOW = "job.show"
    JOB_RELEASE = "job.release"
    HOLD_RETURN = "hold.return"

    EVIDENCE_VIEW = "evidence.view"
    REVIEW_CLAIM = "review.claim"
    REVIEW_LABEL = "review.label"
    REVIEW_COMMENT = "review.comment"
    REVIEW_REJECT = "review.reject"
    REVIEW_RETURN = "review.return"
    REVIEW_REDACT = "review.redact"
    REVIEW_HAND_OVER = "review.hand-over"
    RETENTION_SET = "retention.set"
    LEGAL_HOLD_SET = "legal-hold.set"
    LEGAL_HOLD_LIFT = "legal-hold.lift"

    LEVEL_DECIDE = "level.decide"
    TERM_CONFIRM = "term.confirm"

    APPROVAL_REQUEST = "approval.request"
    APPROVAL_SHOW = "approval.show"
    APPROVAL_SIGN = "approval.sign"

    REGISTER_READ = "register.read"
    REGISTER_EXPORT = "register.export"
    REGISTER_ENTER = "register.enter"
    REGISTER_PICK_UP = "register.pick-up"
    REGISTER_RETURN = "register.return"
    REGISTER_COUNT = "register.count"

    DESTROY_LIST = "destroy.list"
    DESTROY_APPROVE = "destroy.approve"
    DESTROY_WITNESS = "destroy.witness"
    DESTROY_ERASE = "destroy.erase"

    INCIDENT_OPEN = "incident.open"
    INCIDENT_FREEZE = "incident.freeze"
    INCIDENT_UNFREEZE = "incident.unfreeze"
    INCIDENT_HANDLE = "incident.handle"
    INCIDENT_REPORT = "incident.report"
    INCIDENT_CLOSE = "incident.close"

    AUDIT_READ = "audit.read"
    AUDIT_VERIFY = "audit.verify"
    AUDIT_EXPORT = "audit.export"
    AUDIT_CHECKPOINT = "audit.checkpoint"

    BACKUP_CREATE = "backup.create"
    BACKUP_VERIFY = "backup.verify"
    BACKUP_RESTORE = "backup.restore"

    REPORT_READ = "report.read"
    REPORT_EXPORT = "report.export"
    NOTICE_SET = "notice.set"

    PACK_STATS = "pack.stats"
    PACK_DRAFT = "pack.draft"
    PACK_PUBLISH = "pack.publish"
    POLICY_CHANGE = "policy.change"
    SETTING_CHANGE = "setting.change"
    KEY_CHANGE = "key.change"
    HEALTH_READ = "health.read"

    ACCOUNT_LIST = "account.list"
    ACCOUNT_ADD = "account.add"
    ACCOUNT_CHANGE = "account.change"
    ACCOUNT_LOCK = "account.lock"
    ACCOUNT_UNLOCK = "account.unlock"
    ROLE_CHANGE = "role.change"
    PASSWORD_RESET = "password.reset"  # noqa: S105  names an operation
    PASSWORD_CHANGE = "password.change"  # noqa: S105  names an operation
    TOKEN_MAKE = "token.make"  # noqa: S105  names an operation


class Right(NamedTuple):
    """Who may do one thing, on what ground, and who must confirm it as a second person (nobody: one is enough)."""

    operation: Operation
    say: Say
    roles: tuple[Role, ...]
    article: str
    second: tuple[Role, ...] = ()


CENTRE = "《中心保密工作制度》"
SERVICE = "《政务服务中心保密工作制度》"
LEADERS_DUTY = "《行政服务中心保密工作职责》"
PRINT_ROOM = "《文印中心保密规章制度》"
LAW_2024 = "《中华人民共和国保守国家秘密法》（2024-05-01）"
RULES_2024 = "《中华人民共和国保守国家秘密法实施条例》（2024-09-01）"
THREE = "三员分立（涉密信息系统管理）"
OWN = "本产品规则"

_O, _R, _C = Role.OPERATOR, Role.REVIEWER, Role.CLASSIFIER
_D, _S, _L = APPROVERS
_SYS, _SEC, _AUD = ADMINISTRATORS
_OP = Operation

RIGHTS: tuple[Right, ...] = (
    Right(_OP.JOB_LIST, Say("查看任务列表", "list jobs"), DESK, f"{CENTRE}第四条"),
    Right(_OP.JOB_SHOW, Say("查看任务结论（遮盖后）", "show a job, masked"), DESK, f"{CENTRE}第四条"),
    Right(_OP.JOB_RELEASE, Say("凭批准放行", "release on an approval"), (_O,), f"{PRINT_ROOM}五；保密员不放行"),
    Right(_OP.HOLD_RETURN, Say("退还不留存件", "hand back what is not kept"), (_R,), f"{LAW_2024}第三十一条第三项"),
    Right(_OP.EVIDENCE_VIEW, Say("查看证据", "view evidence"), SIGNERS, f"{RULES_2024}第二十条"),
    Right(_OP.REVIEW_CLAIM, Say("领取研判", "claim for review"), (_R,), f"{PRINT_ROOM}五"),
    Right(_OP.REVIEW_LABEL, Say("确认命中或误报", "confirm hits or call them false"), (_R,), f"{PRINT_ROOM}五"),
    Right(_OP.REVIEW_COMMENT, Say("批注", "comment"), DESK, f"{PRINT_ROOM}五"),
    Right(_OP.REVIEW_REJECT, Say("驳回", "reject"), (_R, *APPROVERS), f"{PRINT_ROOM}五"),
    Right(_OP.REVIEW_RETURN, Say("退回送件人", "return to sender"), (_R,), f"{PRINT_ROOM}五"),
    Right(_OP.REVIEW_REDACT, Say("脱敏后放行", "redact and release"), (_R,), f"{PRINT_ROOM}七"),
    Right(_OP.REVIEW_HAND_OVER, Say("移交销毁", "hand over for destruction"), (_R,), f"{CENTRE}第十一条"),
    Right(_OP.RETENTION_SET, Say("设定留存期", "set how long it is kept"), (_R,), f"{SERVICE}三", (_S, _L)),
    Right(_OP.LEGAL_HOLD_SET, Say("依法留存", "put under legal hold"), (_R, _L), f"{RULES_2024}第五十九条"),
    Right(_OP.LEGAL_HOLD_LIFT, Say("解除留存", "lift a legal hold"), (_S, _L), f"{RULES_2024}第五十九条", (_R,)),
    Right(_OP.LEVEL_DECIDE, Say("定密审核", "decide on a level"), (_C,), f"{CENTRE}第八条；{RULES_2024}第十四条"),
    Right(_OP.TERM_CONFIRM, Say("期满确认", "confirm the end of a term"), (_C,), f"{RULES_2024}第十九条"),
    Right(_OP.APPROVAL_REQUEST, Say("送审", "ask for approval"), DESK, f"{CENTRE}第十条"),
    Right(_OP.APPROVAL_SHOW, Say("查看审批单", "see approvals"), DESK, f"{CENTRE}第十条"),
    Right(_OP.APPROVAL_SIGN, Say("审批签字", "sign an approval"), SIGNERS, f"{CENTRE}第十条"),
    Right(_OP.REGISTER_READ, Say("查看登记簿", "read registers"), (*DESK, _AUD), f"{CENTRE}第十一条"),
    Right(_OP.REGISTER_EXPORT, Say("导出登记簿", "export registers"), (_R, _S, _AUD), f"{PRINT_ROOM}二"),
    Right(
        _OP.REGISTER_ENTER, Say("登记承印、会议文件", "enter an order"), (_O, _R), f"{PRINT_ROOM}二；{CENTRE}第十二条"
    ),
    Right(_OP.REGISTER_PICK_UP, Say("登记领取", "record a pick-up"), (_O,), f"{CENTRE}第七条"),
    Right(_OP.REGISTER_RETURN, Say("登记清退", "record a return"), (_O, _R), f"{CENTRE}第十一条"),
    Right(_OP.REGISTER_COUNT, Say("清点", "count what lies here"), (_R,), f"{CENTRE}第十一条"),
    Right(_OP.DESTROY_LIST, Say("编制销毁清单", "draw up a destruction list"), (_R,), f"{CENTRE}第十一条"),
    Right(_OP.DESTROY_APPROVE, Say("批准销毁", "approve a destruction"), (_S,), f"{RULES_2024}第二十八条", (_L, _R)),
    Right(_OP.DESTROY_WITNESS, Say("监销签字", "witness a destruction"), DESK, f"{RULES_2024}第二十八条"),
    Right(_OP.DESTROY_ERASE, Say("凭回执删除密封件", "erase on a receipt"), (_R,), f"{RULES_2024}第二十八条", (_S, _L)),
    Right(_OP.INCIDENT_OPEN, Say("报告泄密事件", "report an incident"), ANYONE, f"{RULES_2024}第六十一条"),
    Right(_OP.INCIDENT_FREEZE, Say("冻结", "freeze a file"), (*DESK, _SEC), f"{RULES_2024}第六十一条"),
    Right(_OP.INCIDENT_UNFREEZE, Say("解除冻结", "lift a freeze"), (_S, _L), f"{RULES_2024}第六十一条", (_R,)),
    Right(_OP.INCIDENT_HANDLE, Say("核查处置", "investigate and remedy"), (_R,), f"{SERVICE}三"),
    Right(_OP.INCIDENT_REPORT, Say("上报泄密事件", "report to the authority"), (_S, _L), f"{RULES_2024}第六十一条"),
    Right(_OP.INCIDENT_CLOSE, Say("结案", "close an incident"), (_L,), f"{LEADERS_DUTY}二", (_R,)),
    Right(_OP.AUDIT_READ, Say("查询审计", "read the audit trail"), (_R, _AUD), f"{RULES_2024}第三十四条"),
    Right(_OP.AUDIT_VERIFY, Say("校验审计链", "verify the audit chain"), (_R, *ADMINISTRATORS), THREE),
    Right(_OP.AUDIT_EXPORT, Say("导出审计", "export the audit trail"), (_AUD,), THREE),
    Right(_OP.AUDIT_CHECKPOINT, Say("签发检查点", "issue a checkpoint"), (_AUD,), THREE),
    Right(_OP.BACKUP_CREATE, Say("备份", "make a backup"), (_SYS,), f"{SERVICE}3.3"),
    Right(_OP.BACKUP_VERIFY, Say("校验备份", "verify a backup"), (_SYS, _AUD), f"{SERVICE}3.3"),
    Right(_OP.BACKUP_RESTORE, Say("恢复备份", "restore a backup"), (_SYS,), f"{SERVICE}3.3", (_SEC,)),
    Right(_OP.REPORT_READ, Say("查看报告", "read reports"), (_R, *APPROVERS, _AUD), f"{LEADERS_DUTY}二"),
    Right(_OP.REPORT_EXPORT, Say("导出检查报告", "export inspection reports"), (_R, _S, _AUD), f"{SERVICE}六"),
    Right(_OP.NOTICE_SET, Say("设置通知", "set up notices"), (_SYS,), OWN, (_SEC,)),
    Right(_OP.PACK_STATS, Say("规则命中统计", "statistics of rules"), (_R, _SEC, _AUD), OWN),
    Right(_OP.PACK_DRAFT, Say("起草规则", "draft rules"), (_R, _SEC), OWN),
    Right(_OP.PACK_PUBLISH, Say("发布规则包", "publish packs"), (_SEC,), f"{THREE}；{SERVICE}三", (_R, _SYS)),
    Right(_OP.POLICY_CHANGE, Say("修改策略与审批梯次", "change policy and ladder"), (_SEC,), THREE, (_S, _L)),
    Right(_OP.SETTING_CHANGE, Say("修改系统设置", "change settings"), (_SYS,), THREE, (_SEC,)),
    Right(_OP.KEY_CHANGE, Say("更换密钥", "change keys"), (_SYS,), f"{SERVICE}2.2", (_SEC,)),
    Right(_OP.HEALTH_READ, Say("系统体检", "see the health of the system"), ADMINISTRATORS, THREE),
    Right(_OP.ACCOUNT_LIST, Say("查看账号", "list accounts"), ADMINISTRATORS, THREE),
    Right(_OP.ACCOUNT_ADD, Say("新建账号", "add an account"), (_SYS,), THREE, (_SEC,)),
    Right(_OP.ACCOUNT_CHANGE, Say("修改账号", "change an account"), (_SYS,), THREE, (_SEC,)),
    # Taking away cannot wait for a second person; giving back can.
    Right(_OP.ACCOUNT_LOCK, Say("停用账号", "lock an account"), (_SYS, _SEC), f"{RULES_2024}第五十三条"),
    Right(_OP.ACCOUNT_UNLOCK, Say("恢复账号", "unlock an account"), (_SEC,), THREE, (_SYS,)),
    Right(_OP.ROLE_CHANGE, Say("授予或收回角色", "give or take a role"), (_SEC,), THREE, (_SYS,)),
    Right(_OP.PASSWORD_RESET, Say("重置口令", "reset a password"), (_SYS,), THREE, (_SEC,)),
    Right(_OP.PASSWORD_CHANGE, Say("修改本人口令", "change one's own password"), ANYONE, f"{SERVICE}2.2"),
    Right(_OP.TOKEN_MAKE, Say("签发程序令牌", "make a token for a program"), ANYONE, OWN),
)
"""The matrix role x operation. Whatever is not here, nobody may do."""

_BY_OPERATION = {right.operation: right for right in RIGHTS}


class Exclusion(NamedTuple):
    """Two groups of roles that one person never holds together, and why."""

    these: tuple[Role, ...]
    those: tuple[Role, ...]
    say: Say
    article: str


EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(
        ADMINISTRATORS,
        ADMINISTRATORS,
        Say("三员必须分立，互相制约", "the three administrators check one another"),
        THREE,
    ),
    Exclusion(
        ADMINISTRATORS,
        APPROVERS,
        Say("管账号和规则的人不得审批", "whoever manages accounts and rules approves nothing"),
        f"{THREE}；{CENTRE}第四条",
    ),
    Exclusion(
        ADMINISTRATORS,
        (Role.OPERATOR, Role.REVIEWER, Role.CLASSIFIER),
        Say("管账号和规则的人不得经办、研判或定密", "whoever manages accounts and rules handles no file"),
        THREE,
    ),
    Exclusion(
        (Role.REVIEWER,),
        APPROVERS,
        Say("保密员监督检查，不审批所监督的事项", "the security officer watches over approvals and gives none"),
        "《行政服务中心保密制度》保密员职责",
    ),
    Exclusion(
        (Role.OPERATOR,),
        (Role.REVIEWER, *APPROVERS),
        Say("经办人不得研判或审批自己经办的文件", "whoever handles files neither reviews nor approves them"),
        f"{CENTRE}第十条",
    ),
)


class Person(Frozen, frozen=True, kw_only=True):
    """One account, and the person behind it."""

    id: str
    """Of the account."""
    name: str
    roles: tuple[Role, ...] = ()
    unit: str = ""
    """处, 科 or 窗口."""
    post: str = ""
    active: bool = True
    """False when locked, expired or gone."""
    natural: str
    """Id of the natural person: two accounts of one person are one person wherever two are asked for."""
    scope: tuple[Operation, ...] | None = None
    """What he may do here at most, of all that his roles give him: a program acts by a narrow token. None: all."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "natural", same(self.natural))
        if not self.id.strip() or not self.natural.strip():
            raise ValueError("a person needs the id of the account and of the natural person behind it")


def same(natural: str) -> str:
    """Return the id of a natural person in the one form in which two are compared.

    Whoever types a staff number with full-width signs, spaces or small letters names nobody else by it.
    """
    shown = unicodedata.normalize("NFKC", natural).casefold()
    kinds = ((sign, unicodedata.category(sign)) for sign in shown)
    plain = "".join("-" if kind == "Pd" else sign for sign, kind in kinds if kind[0] not in "CZ")
    return unicodedata.normalize("NFKC", plain)


class Why(Enum):
    """Why something was refused; stable words for tests, logs and the console."""

    INACTIVE = "inactive"
    CONFLICT = "conflict"
    NO_RIGHT = "no-right"
    NO_ROLE = "no-role"
    REQUESTER = "requester"
    SAME_PERSON = "same-person"
    NO_REASON = "no-reason"
    OTHER_FILE = "other-file"
    COPIES = "copies"
    STEP = "step"
    CHANGED = "changed"
    CLOCK = "clock"
    EXPIRED = "expired"
    REJECTED = "rejected"
    WAITING = "waiting"
    CLOSED = "closed"
    RULES = "rules"
    BROKEN = "broken"
    TERM = "term"
    INCOMPLETE = "incomplete"
    UNQUALIFIED = "unqualified"
    OUT_OF_SCOPE = "out-of-scope"
    SYSTEM = "system"
    CONSENT = "consent"
    THIRD_PARTY = "third-party"
    RETURN = "return"


class Denial(Frozen, frozen=True, kw_only=True):
    """A no, with its reason, what to do, and the article; the desk turns it into `Denied`."""

    why: Why
    say: Say
    hint: Say
    article: str = ""


def right(operation: Operation) -> Right:
    """Return the row of the matrix for one operation."""
    return _BY_OPERATION[operation]


def may(person: Person, operation: Operation) -> bool:
    """Tell whether a person may do something; where a second person is asked for, this is about the first."""
    return check(person, operation) is None


def check(person: Person, operation: Operation) -> Denial | None:
    """Return why a person may not do something; None when he may."""
    row = _BY_OPERATION[operation]
    return _unfit(person) or _lacks(person, row, row.roles) or _outside(person, row)


def check_second(operation: Operation, first: Person, second: Person) -> Denial | None:
    """Return why a second person cannot confirm what a first one began; None when it is confirmed.

    An operation that asks for one person only needs no second; whoever is named then is not looked at.
    """
    row = _BY_OPERATION[operation]
    if not row.second:
        return check(first, operation)
    if first.natural == second.natural:
        return Denial(
            why=Why.SAME_PERSON,
            say=Say(
                f"“{row.say.zh}”须由第二人确认：{first.id} 与 {second.id} 是同一人",
                f"a second person must confirm “{row.say.en}”: {first.id} and {second.id} are the same person",
            ),
            hint=Say(f"请{names(row.second).zh}确认", f"ask {names(row.second).en} to confirm"),
            article=row.article,
        )
    return check(first, operation) or _unfit(second) or _lacks(second, row, row.second) or _outside(second, row)


def conflicts(roles: Iterable[Role]) -> tuple[Exclusion, ...]:
    """Return every exclusion that a set of roles breaks, each narrowed to the two roles that clash.

    Ask it about the roles of all accounts of a natural person (`held`), not about one account alone.
    """
    pairs = combinations(sorted(set(roles), key=list(Role).index), 2)
    return tuple(
        rule._replace(these=(one,), those=(other,))
        for one, other in pairs
        for rule in EXCLUSIONS
        if (one in rule.these and other in rule.those) or (other in rule.these and one in rule.those)
    )


def held(people: Iterable[Person], natural: str) -> frozenset[Role]:
    """Return the roles that a natural person holds over all active accounts."""
    one = same(natural)
    return frozenset(role for person in people if person.active and person.natural == one for role in person.roles)


def _unfit(person: Person) -> Denial | None:
    if not person.active:
        return Denial(
            why=Why.INACTIVE,
            say=Say(f"账号 {person.id} 已停用或过期", f"the account {person.id} is locked or has expired"),
            hint=Say("请安全保密管理员恢复账号", "ask the security administrator to unlock it"),
        )
    clash = conflicts(person.roles)
    if clash:
        first = clash[0]
        one, other = ROLES[first.these[0]], ROLES[first.those[0]]
        return Denial(
            why=Why.CONFLICT,
            say=Say(
                f"账号 {person.id} 兼有“{one.zh}”和“{other.zh}”：{first.say.zh}",
                f"the account {person.id} is both {one.en} and {other.en}: {first.say.en}",
            ),
            hint=Say(
                "收回其中一个角色之前不能办理任何事项", "take one of the roles away; until then it may do nothing"
            ),
            article=first.article,
        )
    return None


def _lacks(person: Person, row: Right, roles: tuple[Role, ...]) -> Denial | None:
    if any(role in roles for role in person.roles):
        return None
    who = names(roles)
    return Denial(
        why=Why.NO_RIGHT,
        say=Say(
            f"账号 {person.id} 无权“{row.say.zh}”",
            f"the account {person.id} may not {row.say.en}",
        ),
        hint=Say(f"由{who.zh}办理", f"to be done by {who.en}"),
        article=row.article,
    )


def _outside(person: Person, row: Right) -> Denial | None:
    if person.scope is None or row.operation in person.scope:
        return None
    return Denial(
        why=Why.NO_RIGHT,
        say=Say(f"此令牌不含“{row.say.zh}”", f"this token does not reach so far as to {row.say.en}"),
        hint=Say("由本人登录办理，或另发令牌", "log in oneself, or make another token"),
        article=OWN,
    )


def names(roles: Iterable[Role]) -> Say:
    """Return roles as people read them: one or another."""
    said = [ROLES[role] for role in roles]
    return Say("或".join(s.zh for s in said), " or ".join(s.en for s in said))
