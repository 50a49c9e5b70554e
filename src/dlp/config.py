"""The configuration of one site: typed, with defaults that run, every fault reported at once with key and line.

Paths in a file are relative to that file. Without a file the embedded defaults hold, relative to the working directory.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from dlp import ladder, located
from dlp.errors import ConfigError, Problem
from dlp.ladder import House
from dlp.limits import Limits
from dlp.model import Frozen, Redacting, Say, evolve
from dlp.policy import Clause, Policy
from dlp.site import Site

Watcher = Literal["auto", "inotify", "poll"]
SandboxLevel = Literal["full", "rlimits"]
LogLevel = Literal["debug", "info", "warning", "error"]
Positive = Annotated[float, Meta(gt=0)]


class Folder(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One outgoing folder: where files are put, and where cleared ones are released."""

    name: str
    watch: Path
    release: Path
    returns: Path | None = None
    """Private folder where a state secret is handed back that may not be kept; else `WATCH-退还` beside `watch`."""
    owner: str = ""
    target: str = ""
    settle_seconds: Positive = 1.0
    watcher: Watcher = "auto"
    poll_seconds: Positive = 1.0
    sweep_seconds: Positive = 30.0

    @property
    def back(self) -> Path:
        """Return the folder where files are handed back."""
        return self.returns or self.watch.with_name(f"{self.watch.name}-退还")


Address = Annotated[str, Meta(min_length=1, max_length=255)]
Slug = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]


class Printing(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway that stands before the printers, and the CUPS beside it."""

    listen: Address = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8631
    """Of the gateway; 0 lets the system choose."""
    cups: Path = Path("/run/cups/cups.sock")
    """The socket file of CUPS: it is told why a job was not printed, and asked whose job it is."""
    lpd_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """Of the LPD listener, for clients that speak nothing newer; 0: none."""
    connections: Annotated[int, Meta(ge=8, le=20_000)] = 1_500
    answer_seconds: Positive = 20.0
    """How long a client waits for the verdict; after that its job is accepted and decided later."""


class Printer(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One printer behind the gate."""

    name: Slug
    onward: Address
    """Where cleared jobs go: `ipp://host/ipp/print`, or `cups:QUEUE` for a locked queue of CUPS."""
    queue: Annotated[str, Meta(max_length=127)] = ""
    """The queue that people print to; empty: `name`."""
    mode: Literal["gateway", "held"] = "gateway"
    """gateway: CUPS converts to PDF and sends it here; held: the job waits in CUPS while its original is screened."""
    owner: str = ""
    target: str = ""
    trusts_user: bool = False
    """The queue demands that people prove who they are; without that a user name is shown as not verified."""
    receipts: Path | None = None
    """A folder for the full explanations of what was not printed."""
    stamp: Literal["none", "text", "qr"] = "none"
    """What is printed at the edge of each page to tell the copy."""
    raw_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """A port that takes bare print streams (port 9100 of old); 0: none."""

    @property
    def source(self) -> str:
        """Return the name of this printer as a source of jobs."""
        return f"printer:{self.name}"

    @property
    def cups_queue(self) -> str:
        """Return the queue that people print to."""
        return self.queue or self.name


class Packs(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where rule packs are; none named means the shipped ones."""

    folders: tuple[Path, ...] = ()
    disabled: tuple[str, ...] = ()
    words: tuple[Path, ...] = ()
    """Files of words of this site, one a line: they keep a term from being seen where two words meet."""


class SandboxSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hostile files are contained."""

    level: SandboxLevel = "full"
    user: str = "nobody"
    children: Annotated[int, Meta(ge=0, le=64)] = 0
    """Files read at once; 0 means one for each processor."""
    passwords: tuple[Path, ...] = ()
    """Files of passwords, one a line, that are tried on encrypted documents."""


class VaultSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where sealed copies and keys are."""

    folder: Path = Path("quarantine")
    identity: Path = Path("quarantine/identity.age-key")
    work_key: Path = Path("quarantine/work.age-key")
    block_retention_days: Annotated[int, Meta(ge=0)] = 30
    """How long the sealed copy of a blocked file stays as evidence; 0 keeps none where there are no accounts.

    With accounts it is kept whatever is set, and nothing goes by the clock: afterwards it may go on a destruction list.
    """
    outside: Path | None = None
    """A file of age public keys whose private halves are on no machine of this gate: for `site.withhold = "seal"`."""


class StoreSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the books are."""

    path: Path = Path("state/gate.db")


class AuditSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the audit trail is sealed, and how often its head is signed and sent out of reach."""

    recipients: tuple[Path, ...] = ()
    """Files of age public keys that open the origin of the chain; none named means the public key of the vault."""
    checkpoint_events: Annotated[int, Meta(ge=1)] = 1_000
    checkpoint_minutes: Positive = 60.0
    checkpoints: Path = Path("state/checkpoints.jsonl")
    syslog: str = "/dev/log"
    """Socket of the system log that gets each checkpoint too; empty for none."""


class PeopleSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How accounts are kept. `required`: nothing at the desk is done without one, even before the first is made."""

    required: bool = False
    password_days: Annotated[int, Meta(ge=1, le=365)] = 90
    password_length: Annotated[int, Meta(ge=8, le=64)] = 10
    lock_after: Annotated[int, Meta(ge=2, le=10)] = 5
    """Wrong passwords in a row."""
    lock_minutes: Annotated[int, Meta(ge=1, le=1_440)] = 30
    session_minutes: Annotated[int, Meta(ge=1, le=720)] = 30
    confirm_hours: Annotated[int, Meta(ge=1, le=720)] = 72
    """How long something waits for its second person."""
    claim_minutes: Annotated[int, Meta(ge=1, le=1_440)] = 120
    """How long a job is one reviewer's once he has claimed it."""


class BackupSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where backups go, to whom they are sealed, and how often the gate makes one by itself."""

    folder: Path | None = None
    """For the backups that the gate makes; best on another machine."""
    recipients: tuple[Path, ...] = ()
    """Files of age public keys: whoever has a private half opens a backup. That half is kept off this machine."""
    every_hours: Annotated[float, Meta(ge=0)] = 0.0
    """0: the gate makes none by itself."""
    keep: Annotated[int, Meta(ge=1, le=10_000)] = 14
    """How many of its own backups the gate leaves in the folder."""


NoticeKind = Literal[
    "held",
    "blocked",
    "overdue",
    "copies-differ",
    "must-report",
    "gate-stopped",
    "audit-broken",
    "approval-waiting",
    "confirm-waiting",
]
NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)


class NoticesSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of what, outside this machine. Without a host and a URL nothing is sent anywhere."""

    kinds: tuple[NoticeKind, ...] = NOTICE_KINDS
    host: str = ""
    """Of the mail server; empty: no mail."""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    from_: Annotated[str, Meta(max_length=254)] = msgspec.field(default="", name="from")
    to: tuple[str, ...] = ()
    user: str = ""
    password_file: Path | None = None
    """The first line of it; 0600."""
    webhooks: tuple[str, ...] = ()
    ca_file: Path | None = None
    """Authorities of this site (PEM) that servers may show; none named: those that the system knows."""
    timeout_seconds: Positive = 20.0
    retry_seconds: Positive = 30.0
    """After the first failure; it doubles up to an hour."""


class ConsoleSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the console is served. Bound to more than this machine, it speaks TLS only."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 8760
    """0: no console."""
    listen: Address = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    """Names under which browsers know this machine, beside its address and localhost; any other is refused."""
    certificate: Path | None = None
    """PEM, with the chain; none named, and bound wider: one that the gate signs itself lies beside the store."""
    key: Path | None = None

    @property
    def is_secure(self) -> bool:
        """Tell whether it is served over TLS: where it has a certificate, or is bound to more than this machine."""
        if self.certificate is not None:
            return True
        try:
            return not ipaddress.ip_address(self.listen).is_loopback
        except ValueError:
            return self.listen != "localhost"

    @property
    def address(self) -> str:
        """Return where a browser on this machine finds it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen, self.listen)  # noqa: S104  compared, not bound
        return f"{'https' if self.is_secure else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"


class Log(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the gate says on standard error; never content."""

    level: LogLevel = "info"


_ONWARD = re.compile(
    r"ipp://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[!-~]*)?|ipp://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?(/[!-~]*)?|cups:[!-~]+"
)
_MAILBOX = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,189}")
_WEBHOOK = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?")
MOST_PASSWORDS = 100
DEFAULT_FOLDERS = (Folder(name="外发", watch=Path("demo/外发"), release=Path("demo/已放行")),)


class Config(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a gate needs to know."""

    site: Site = Site()
    people: PeopleSpec = PeopleSpec()
    folders: tuple[Folder, ...] = DEFAULT_FOLDERS
    printing: Printing = Printing()
    printers: tuple[Printer, ...] = ()
    packs: Packs = Packs()
    policy: Policy = Policy()
    ladder: House = House()
    redacting: Redacting = Redacting()
    limits: Limits = Limits()
    sandbox: SandboxSpec = SandboxSpec()
    vault: VaultSpec = VaultSpec()
    store: StoreSpec = StoreSpec()
    audit: AuditSpec = AuditSpec()
    backup: BackupSpec = BackupSpec()
    notices: NoticesSpec = NoticesSpec()
    console: ConsoleSpec = ConsoleSpec()
    log: Log = Log()


def find() -> Path | None:
    """Return the configuration file that holds without `--config`: $DLP_CONFIG, ./config.toml, or None."""
    if named := os.environ.get("DLP_CONFIG"):
        return Path(named)
    here = Path("config.toml")
    return here if here.is_file() else None


def read(path: Path | None) -> Config:
    """Return the configuration at `path`, or the embedded defaults for None. ConfigError with every fault."""
    if path is None:
        return parse("", file="(内置默认 embedded defaults)", base=Path.cwd())
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        why = err.strerror if isinstance(err, OSError) else "not UTF-8"
        raise ConfigError(
            Say(f"读不了配置文件 {path}：{why}", f"cannot read the configuration {path}: {why}"),
            hint=Say("用 dlp config init 生成一份", "make one with `dlp config init`"),
        ) from err
    return parse(text, file=str(path), base=path.resolve().parent)


def parse(text: str, *, file: str, base: Path) -> Config:
    """Return the configuration in TOML `text`; ConfigError carries every fault with its key and line."""
    raw, problems = located.decode(text, Config, file)
    config = _anchored(raw if raw is not None else _what_fits(text), base)
    where = located.lines(text)
    problems += (*_impossible(config, file, where), *_impossible_printers(config, file, where))
    problems += tuple(_impossible_sending(config, file, where))
    problems += tuple(_fault(("ladder", *key), s.zh, s.en, file, where) for key, s in ladder.faults(config.ladder))
    if not problems:
        return config
    problems = tuple(sorted(problems, key=lambda p: p.line or 0))
    raise ConfigError(
        Say(f"配置有 {len(problems)} 处问题：{file}", f"{len(problems)} faults in the configuration {file}"),
        problems,
        Say("逐条改正后用 dlp config check 检查", "mend each and check with `dlp config check`"),
    )


def _what_fits(text: str) -> Config:
    """Return the sections that decode by themselves, so that impossible paths are told beside wrong types."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return Config()
    sections: dict[str, Any] = {}
    for field in msgspec.structs.fields(Config):
        if field.name in raw:
            with suppress(msgspec.ValidationError):  # its faults are told already
                sections[field.name] = located.convert(raw[field.name], field.type)
    return Config(**sections)


def passwords(config: Config) -> tuple[str, ...]:
    """Return the passwords that are tried on encrypted documents. ConfigError names a file that cannot be read."""
    found: list[str] = []
    for path in config.sandbox.passwords:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            why = err.strerror if isinstance(err, OSError) else "not UTF-8"
            raise ConfigError(
                Say(f"读不了密码表 {path}：{why}", f"cannot read the list of passwords {path}: {why}"),
                hint=Say("改正 [sandbox] passwords 或文件权限", "mend [sandbox] passwords or the mode of the file"),
            ) from err
        found += [line for line in lines if line]
    if len(found) > MOST_PASSWORDS:
        raise ConfigError(
            Say(f"密码表超过 {MOST_PASSWORDS} 条", f"more than {MOST_PASSWORDS} passwords are listed"),
            hint=Say("逐个尝试会拖慢每个加密文件；请删减", "each is tried on each encrypted file; list fewer"),
        )
    return tuple(dict.fromkeys(found))


def shipped_packs() -> Path:
    """Return the folder of the packs that come with this installation: in the wheel, or beside the sources."""
    inside = Path(__file__).parent / "patterns"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "patterns"


def _anchored(config: Config, base: Path) -> Config:
    """Make every path absolute; they are relative to the file that names them."""

    def at(path: Path) -> Path:
        return Path(os.path.normpath(base / path))

    return evolve(  # type: ignore[no-any-return]
        config,
        folders=tuple(
            evolve(f, watch=at(f.watch), release=at(f.release), returns=at(f.returns) if f.returns else None)
            for f in config.folders
        ),
        printers=tuple(evolve(p, receipts=at(p.receipts)) if p.receipts else p for p in config.printers),
        packs=evolve(
            config.packs,
            folders=tuple(at(p) for p in config.packs.folders),
            words=tuple(at(p) for p in config.packs.words),
        ),
        sandbox=evolve(config.sandbox, passwords=tuple(at(p) for p in config.sandbox.passwords)),
        vault=evolve(
            config.vault,
            folder=at(config.vault.folder),
            identity=at(config.vault.identity),
            work_key=at(config.vault.work_key),
            outside=at(config.vault.outside) if config.vault.outside else None,
        ),
        store=evolve(config.store, path=at(config.store.path)),
        audit=evolve(
            config.audit,
            recipients=tuple(at(p) for p in config.audit.recipients),
            checkpoints=at(config.audit.checkpoints),
        ),
        backup=evolve(
            config.backup,
            folder=at(config.backup.folder) if config.backup.folder else None,
            recipients=tuple(at(p) for p in config.backup.recipients),
        ),
        notices=evolve(
            config.notices,
            password_file=at(config.notices.password_file) if config.notices.password_file else None,
            ca_file=at(config.notices.ca_file) if config.notices.ca_file else None,
        ),
        console=evolve(
            config.console,
            certificate=at(config.console.certificate) if config.console.certificate else None,
            key=at(config.console.key) if config.console.key else None,
        ),
    )


def _impossible(config: Config, file: str, where: dict[located.Path, int]) -> Iterator[Problem]:
    """Give every path that would make a loop, leak, or feed the gate to itself."""
    watched = [(n, folder, folder.watch.resolve()) for n, folder in enumerate(config.folders)]

    def fault(key: located.Path, zh: str, en: str) -> Problem:
        return _fault(key, zh, en, file, where)

    if config.site.withhold == "seal" and config.vault.outside is None:
        zh = "withhold 为 seal 时须在 [vault] outside 写明机外公钥：本机不得留有能打开的副本"
        yield fault(("site", "withhold"), zh, "to seal what is withheld, [vault] outside must name keys elsewhere")
    names: set[str] = set()
    for number, folder, watch in watched:
        if folder.name in names or not folder.name.strip():
            yield fault(("folders", number, "name"), f"名称为空或重复：{folder.name}", f"empty or taken: {folder.name}")
        names.add(folder.name)
        for other, _, root in watched:
            if other < number and _overlap(watch, root):
                yield fault(
                    ("folders", number, "watch"),
                    f"与第 {other + 1} 个外发文件夹重叠：{watch}",
                    f"overlaps with folder {other + 1}: {watch}",
                )
            if _overlap(folder.release.resolve(), root):
                yield fault(
                    ("folders", number, "release"),
                    f"放行文件夹与被监视的文件夹重叠，会形成循环：{folder.release}",
                    f"the release folder overlaps with a watched folder, which makes a loop: {folder.release}",
                )
            spots = (root, config.folders[other].release.resolve())
            # Where it was not named, it lies beside `watch`: what overlaps with that is told above.
            own = [spot for spot in spots if folder.returns is not None or not _overlap(watch, spot)]
            if any(_overlap(folder.back.resolve(), spot) for spot in own):
                yield fault(
                    ("folders", number, "returns"),
                    f"退还文件夹与被监视或放行的文件夹重叠：{folder.back}",
                    f"the folder for what is handed back overlaps with a watched or a release folder: {folder.back}",
                )
        for key, zh, en, path in _own_places(config):
            if _overlap(path, watch):
                yield fault(
                    key,
                    f"{zh}与被监视的文件夹重叠：{path} / {watch}",
                    f"{en} overlaps with a watched folder: {path} / {watch}",
                )
            if _inside(path, folder.release.resolve()):
                yield fault(key, f"{zh}在放行文件夹之内：{path}", f"{en} lies inside a release folder: {path}")


def _fault(key: located.Path, zh: str, en: str, file: str, where: dict[located.Path, int]) -> Problem:
    dotted = "".join(f"[{k + 1}]" if isinstance(k, int) else f".{k}" for k in key).lstrip(".")
    return Problem(file=file, line=located.line_of(where, key), key=dotted, say=Say(zh, en))


def _impossible_printers(config: Config, file: str, where: dict[located.Path, int]) -> Iterator[Problem]:
    """Give every printer that would be mistaken for another, print to itself, or listen where another does."""

    def fault(key: located.Path, zh: str, en: str) -> Problem:
        return _fault(key, zh, en, file, where)

    taken: dict[int, str] = {config.printing.port: "printing.port"} if config.printing.port else {}
    if config.printing.lpd_port:
        taken.setdefault(config.printing.lpd_port, "printing.lpd_port")
    names, queues = set[str](), set[str]()
    for number, printer in enumerate(config.printers):
        key: located.Path = ("printers", number)
        if printer.name in names:
            yield fault((*key, "name"), f"打印机名重复：{printer.name}", f"taken: {printer.name}")
        if printer.cups_queue in queues:
            yield fault((*key, "queue"), f"队列重复：{printer.cups_queue}", f"taken: {printer.cups_queue}")
        names.add(printer.name)
        queues.add(printer.cups_queue)
        if printer.onward == f"cups:{printer.cups_queue}":
            yield fault((*key, "onward"), "放行到自己的队列会形成循环", "sending on to its own queue makes a loop")
        elif not _ONWARD.fullmatch(printer.onward):
            yield fault(
                (*key, "onward"),
                f"应为 ipp://主机/路径 或 cups:队列：{printer.onward}",
                f"must be ipp://host/path or cups:QUEUE: {printer.onward}",
            )
        if printer.mode == "held" and not printer.onward.startswith("cups:"):
            yield fault((*key, "onward"), "held 模式只能放行到 cups:队列", "in held mode it must be cups:QUEUE")
        if printer.stamp != "none" and config.site.unit == Site().unit:
            yield fault(
                (*key, "stamp"), "加盖的内容含单位名称，请先填写 site.unit", "a stamp names the unit: set site.unit"
            )
        if printer.raw_port in taken:
            yield fault((*key, "raw_port"), f"端口已被占用：{taken[printer.raw_port]}", f"taken: {printer.raw_port}")
        if printer.raw_port:
            taken[printer.raw_port] = f"printers.{number}.raw_port"


def _impossible_sending(config: Config, file: str, where: dict[located.Path, int]) -> Iterator[Problem]:
    """Give what keeps backups and notices from ever being made: told now, and not at the first one."""

    def fault(key: located.Path, zh: str, en: str) -> Problem:
        return _fault(key, zh, en, file, where)

    backup, notices = config.backup, config.notices
    if backup.every_hours and backup.folder is None:
        yield fault(("backup", "every_hours"), "定时备份须写明 backup.folder", "name backup.folder too")
    if backup.every_hours and not backup.recipients:
        yield fault(
            ("backup", "every_hours"),
            "定时备份须写明 backup.recipients（保管人的 age 公钥文件）",
            "name backup.recipients too: files of age public keys",
        )
    if notices.host and not (notices.from_ and notices.to):
        yield fault(("notices", "host"), "发邮件须写明 notices.from 和 notices.to", "name notices.from and notices.to")
    for key, values in (("from", (notices.from_,) if notices.from_ else ()), ("to", notices.to)):
        for value in values:
            if not _MAILBOX.fullmatch(value):
                yield fault(("notices", key), f"不是邮箱地址：{value}", f"no mail address: {value}")
    if bool(notices.user) != bool(notices.password_file):
        yield fault(("notices", "user"), "user 与 password_file 须同时写明", "user and password_file go together")
    if notices.user and notices.tls == "none":
        yield fault(("notices", "tls"), "不加密的连接不得发送口令", "a password is not sent over a plain connection")
    for number, url in enumerate(notices.webhooks):
        if not _WEBHOOK.fullmatch(url):
            yield fault(
                ("notices", "webhooks", number), f"应为 https://主机/路径：{url}", f"must be https://host/path: {url}"
            )


def _own_places(config: Config) -> Iterator[tuple[located.Path, str, str, Path]]:
    yield ("vault", "folder"), "隔离库", "the vault", config.vault.folder.resolve()
    yield ("vault", "identity"), "私钥", "the private key", config.vault.identity.resolve()
    yield ("vault", "work_key"), "在途密钥", "the work key", config.vault.work_key.resolve()
    if config.vault.outside is not None:
        yield ("vault", "outside"), "机外公钥", "the keys outside", config.vault.outside.resolve()
    yield ("store", "path"), "任务库", "the job store", config.store.path.resolve().parent
    yield ("audit", "checkpoints"), "检查点文件", "the checkpoint file", config.audit.checkpoints.resolve()
    for number, path in enumerate(config.audit.recipients):
        yield ("audit", "recipients", number), "审计公钥", "an audit recipient", path.resolve()
    if config.backup.folder:
        yield ("backup", "folder"), "备份文件夹", "the folder of backups", config.backup.folder.resolve()
    for number, path in enumerate(config.backup.recipients):
        yield ("backup", "recipients", number), "备份公钥", "a recipient of backups", path.resolve()
    if config.notices.password_file:
        yield ("notices", "password_file"), "口令文件", "a password file", config.notices.password_file.resolve()
    yield ("folders",), "程序", "the program", Path(__file__).resolve().parent
    for number, folder in enumerate(config.packs.folders or (shipped_packs(),)):
        key: located.Path = ("packs", "folders", number) if config.packs.folders else ("packs",)
        yield key, "规则包", "a pack folder", folder.resolve()
    for number, path in enumerate(config.packs.words):
        yield ("packs", "words", number), "词表", "a word list", path.resolve()
    for number, path in enumerate(config.sandbox.passwords):
        yield ("sandbox", "passwords", number), "密码表", "a list of passwords", path.resolve()


def _inside(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def _overlap(one: Path, other: Path) -> bool:
    return _inside(one, other) or _inside(other, one)


def plain(config: Config) -> dict[str, Any]:
    """Return the effective configuration as plain values, paths as text."""
    return msgspec.to_builtins(config, enc_hook=str)  # type: ignore[no-any-return]


TABLES = ("clauses", "exemptions", "steps")
"""Keys of sections that are arrays of tables of their own."""

HEAD = """# 文印闸配置示例。复制为 config.toml 后按需修改；删去的项按此处所示的默认值。
# wenyin-gate: copy to config.toml and change what you need; what is left out has the value shown here.
# 路径相对于本文件所在文件夹。Paths are relative to the folder of this file.
# 检查：dlp config check    Check it with: dlp config check
"""
NOTES: dict[str, tuple[str, ...]] = {
    "site": (
        "本单位 This unit. qualification: 国家秘密载体印制资质 无 | 乙级 | 甲级; language: zh | en",
        "system: 本机涉密信息系统等级 非涉密 | 秘密 | 机密 | 绝密；非涉密机上的国家秘密一律拒绝并报告",
        "system: the highest state secret that this machine may hold by law; others are refused and reported.",
        "withhold: 不得在本机留存的国家秘密 return 退还且不留存 | seal 密封给机外公钥（[vault] outside）",
        "withhold: what may not be kept here is handed back (return), or sealed to a key elsewhere (seal).",
    ),
    "folders": (
        "外发文件夹，可写多个 [[folders]]。watch: 放入处；release: 放行处；watcher: auto | inotify | poll",
        "Outgoing folders, as many as you like. A network share is polled by itself (auto).",
        "returns: 不得留存的国家秘密退还到此（默认为 watch 旁的“-退还”文件夹）。Where such files are handed back.",
    ),
    "printing": (
        "打印闸门。port: IPP 网关端口；cups: CUPS 的套接字；answer_seconds: 判定超过此秒数则先收下任务，判定后再处理",
        "The print gateway: where it listens, the CUPS beside it, and how long a client waits for a verdict.",
    ),
    "printers": (
        "打印机，可写多个 [[printers]]；用 dlp print install 建立队列。mode: gateway | held；stamp: none | text | qr",
        "Printers behind the gate; `dlp print install` makes their queues. Such as:",
        "[[printers]]",
        'name = "office"',
        'onward = "ipp://192.168.1.20/ipp/print"',
        'queue = "office"',
    ),
    "console": (
        "网页控制台。port: 0 为关闭；listen: 默认只在本机；绑定其他地址时一律用 TLS（certificate、key 或自签名证书）",
        "The console. Bound wider than this machine it speaks TLS only. hosts: names that browsers may use for it.",
    ),
    "packs": (
        "规则包文件夹，空表示随程序提供的规则包。None named: the shipped packs. disabled: pack ids",
        "words: 本单位词表文件，每行“词 [频率]”，防止两词相接处误命中。Word lists of the site: a word a line.",
    ),
    "policy": (
        "shadow: 影子模式（只判定和记录，不拦截）。gaps: 未能读取时 quarantine | block（不可更宽松）",
        "shadow: decide and record only. gaps: what happens to what could not be read; nothing milder is accepted.",
    ),
    "policy.clauses": (
        "策略条款，写出任意一条即取代全部默认条款。action: allow | alert | redact | quarantine | block",
        "Clauses; writing any replaces all of these defaults.",
    ),
    "policy.exemptions": (
        "豁免：某些规则的某些值在期限内放过（标志除外），必须写明责任人、理由和期限。",
        "Exemptions: values of some rules pass until a day (never a mark); owner and reason are required. Such as:",
        "[[policy.exemptions]]",
        'name = "服务热线"',
        'rule = ["cn.identity.mobile", "cn.identity.landline"]',
        'values = ["0755-26012345"]',
        'owner = "综合科"',
        'reason = "对外公开的电话"',
        "expires = 2027-12-31",
    ),
    "people": (
        "人员账号：dlp people begin 建立三员之后，研判、审批、登记、审计都须登录。required: 尚无账号时也须登录",
        "Accounts: once the first are made (`dlp people begin`), everything at the desk is done by who has logged in.",
    ),
    "ladder": (
        "审批梯次：制度和法规规定的环节内置，不可减少，只可用 [[ladder.steps]] 增加。valid_hours: 批准最多有效几小时",
        "The built-in ladder is that of the regulations; a site adds steps and takes none away. Such as:",
        "[[ladder.steps]]",
        'name = "财务会签"',
        'say = "财务科会签"',
        'roles = ["department-head"]',
        'unit = "财务科"',
        'level_at_least = "机密"',
        'regime = ["commercial"]',
    ),
    "redacting": (
        "脱敏。mode: auto | keep | fixed-gap | raster；style: label | box | mask | pseudonym；reach: hit | cell | row",
        "fixed-gap hides the width of names, raster makes pictures of pages; reach: what of a table goes with a hit.",
    ),
    "limits": ("单个文件的上限；达到上限即为未读，隔离。A limit that is reached is a gap, and a gap is held.",),
    "sandbox": (
        "level: full 需要 Landlock 与 seccomp；rlimits 只有资源上限，须手工写明。children 0: 每个处理器一个",
        "level full needs Landlock and seccomp; rlimits gives both up and must be written by hand.",
        "passwords: 密码表文件，每行一个，用于尝试打开加密文件。Files of passwords tried on encrypted documents.",
    ),
    "vault": (
        "隔离库与密钥。identity 是私钥，可放在别的机器上。block_retention_days 0：没有账号时不留存拦截件；",
        "有账号时一律留存，期满（0 即随时）可列入销毁清单，只凭清单销毁，不自毁。",
        "identity is the private key, best on another machine. 0 days: without accounts nothing blocked is kept;",
        "with accounts it always is, may go on a destruction list after so many days, and ends on a list alone.",
    ),
    "store": ("任务库与审计链。Jobs and the audit chain.",),
    "audit": (
        "审计链的封印与检查点。recipients: 保管人的 age 公钥文件，空表示用隔离库公钥；checkpoints 宜放在别的机器上",
        "recipients open the origin of the chain: best a key that is on no machine of this site, or the vault's.",
        "A checkpoint is signed every so many events or minutes, whichever comes first. syslog: a socket, or empty.",
    ),
    "backup": (
        "备份：dlp backup。folder: 定时备份放入处；recipients: 保管人的 age 公钥文件（须写明）；every_hours 0: 不定时",
        "Backups are sealed to these public keys; the private halves are kept off this machine. keep: scheduled ones.",
    ),
    "notices": (
        "通知：邮件和 webhook，只含编号、级别、状态；不填 host 和 webhooks 即不外连。tls: starttls | tls | none",
        "Notices by mail and webhook, without content. By default there is none, and nothing connects anywhere.",
        'Such as: host = "mail.example.gov.cn", from = "gate@example.gov.cn", to = ["bmy@example.gov.cn"]',
    ),
    "log": ("debug | info | warning | error",),
}


def example() -> str:
    """Return the commented TOML of the real defaults: the text of `config.example.toml`."""
    return HEAD + toml(Config())


def toml(config: Config) -> str:
    """Return a configuration as commented TOML that reads back to the same values."""
    rows: list[str] = []
    for name, value in plain(config).items():
        tables = value if isinstance(value, list | tuple) else [value]
        rows += ["", *(f"# {note}" for note in NOTES.get(name, ()))]
        for table in tables:
            rows.append(f"[[{name}]]" if isinstance(value, list | tuple) else f"[{name}]")
            said = {key: inner for key, inner in table.items() if inner is not None}
            rows += [f"{key} = {_toml(inner)}" for key, inner in said.items() if key not in TABLES]
            for step in table.get("steps", ()):
                rows.append("[[ladder.steps]]")
                rows += [f"{key} = {_toml(inner)}" for key, inner in step.items() if inner is not None]
            if "clauses" in table:
                rows += ["", *(f"# {note}" for note in NOTES["policy.clauses"])]
                rows += _clauses(table["clauses"])
                rows += ["", *(f"# {note}" for note in NOTES["policy.exemptions"])]
            for exemption in table.get("exemptions", ()):
                rows += ["[[policy.exemptions]]", *(f"{key} = {_toml(inner)}" for key, inner in exemption.items())]
    return "\n".join(rows) + "\n"


def _clauses(clauses: list[dict[str, Any]]) -> list[str]:
    """Return the clauses as TOML; what stands at its default is left out, so that each can be read at a glance."""
    plain_clause = msgspec.to_builtins(Clause(name="", action=Policy().gaps))
    rows: list[str] = []
    for clause in clauses:
        rows.append("[[policy.clauses]]")
        for key, value in clause.items():
            if key == "when":
                kept = {k: v for k, v in value.items() if v != plain_clause["when"][k]}
                rows.append("when = { " + ", ".join(f"{k} = {_toml(v)}" for k, v in kept.items()) + " }")
            elif key in ("name", "action") or value != plain_clause[key]:
                rows.append(f"{key} = {_toml(value)}")
        rows.append("")
    return rows[:-1]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    # JSON escapes what TOML wants escaped, all but DEL.
    return msgspec.json.encode(str(value)).decode().replace("\x7f", "\\u007f")
