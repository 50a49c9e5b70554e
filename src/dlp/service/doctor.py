"""What this machine and this configuration lack, said before a file is lost on it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from dlp import draw, match, ocr, sandbox, signature, words
from dlp.config import Config
from dlp.errors import DlpError, _LocatedError
from dlp.model import Frozen, Say
from dlp.notice import NOTICES, QUEUED
from dlp.ratchet import Ratchet
from dlp.service import backup, certify, incidents, origins, scheduled, sending, signing
from dlp.service.gate import load_packs
from dlp.sources.printer import PrinterSource
from dlp.store.record import RecordFilter
from dlp.store.sqlite import KEY_FILE, SqliteStore
from dlp.vault import private_halves, read_recipients

LATE_NOTICE = 3_600.0  # seconds
LEAST_FREE = 1 << 30  # bytes: room for a day's quarantine of a small shop


class Check(Frozen, frozen=True, kw_only=True):
    """One thing looked at: its name, whether it is as it should be, and what was seen."""

    name: str
    ok: bool
    say: Say
    exit: int = 3
    """The exit code that a failed check gives (see errors)."""


def examine(config: Config) -> tuple[Check, ...]:
    """Return every check, failed or not; nothing is changed by looking."""
    return tuple(check for look in LOOKS for check in look(config))


def _python(_: Config) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check(name="python", ok=sys.version_info >= (3, 11), say=Say(f"Python {version}", f"Python {version}"))


def _sandbox(config: Config) -> Iterator[Check]:
    missing = sandbox.probe(config.sandbox.user)
    for lack in missing:
        yield Check(name=f"sandbox.{lack.name}", ok=config.sandbox.level == "rlimits", say=lack.say, exit=8)
    if not missing:
        yield Check(
            name="sandbox", ok=True, say=Say("Landlock、seccomp、降权均可用", "Landlock, seccomp, user drop work")
        )


def _eyes(_: Config) -> Iterator[Check]:
    engines = [name for name in ocr.ENGINES if importlib.util.find_spec(name) is not None]
    found = ", ".join(engines)
    lack = Say("没有 OCR 引擎：扫描件一律隔离", "there is no OCR engine: every scan is held")
    yield Check(name="ocr", ok=bool(engines), say=Say(f"引擎 {found}", f"engine {found}") if engines else lack)
    path = draw.program()
    none = Say("未安装 Ghostscript：PostScript 一律隔离", "Ghostscript is not installed: PostScript is held")
    yield Check(name="postscript", ok=True, say=Say(path, path) if path else none)


def _packs(config: Config) -> Iterator[Check]:
    try:
        loaded = load_packs(config)
        matcher = match.Matcher(loaded, key=bytes(32))
    except DlpError as err:
        faults = err.problems if isinstance(err, _LocatedError) else ()
        yield Check(name="packs", ok=False, say=err.say, exit=4)
        for fault in faults:
            yield Check(name="packs", ok=False, say=Say(fault.text("zh"), fault.text("en")), exit=4)
        return
    rules = sum(len(p.rules) for p in loaded)
    text = Say(f"{len(loaded)} 个规则包，{rules} 条规则", f"{len(loaded)} packs, {rules} rules")
    yield Check(
        name="packs", ok=True, say=Say(f"{text.zh}（{matcher.digest[:19]}）", f"{text.en} ({matcher.digest[:19]})")
    )


def _exemptions(config: Config) -> Iterator[Check]:
    today = datetime.now().astimezone().date()
    for one in config.policy.exemptions:
        ended = one.expires < today
        word = Say("已过期，不再生效", "has ended and no longer holds") if ended else Say("有效", "holds")
        say = Say(
            f"{one.owner}：{one.reason}，至 {one.expires}，{word.zh}", f"{one.owner}: until {one.expires}, {word.en}"
        )
        yield Check(name=f"exemption {one.name}", ok=not ended, say=say)


def _borders(_: Config) -> Iterator[Check]:
    name = words.engine()
    yield Check(name="words", ok=True, say=Say(f"词边界引擎：{name}", f"word borders by {name}"))


def _folders(config: Config) -> Iterator[Check]:
    for spec in config.folders:
        for folder in (Path(spec.watch), Path(spec.release)):
            ok = not folder.exists() or os.access(folder, os.R_OK | os.W_OK | os.X_OK)
            state = Say("可用", "usable") if folder.exists() else Say("启动时创建", "made at start")
            say = state if ok else Say("不可读写", "cannot be read or written")
            yield Check(name=f"folder {spec.name}", ok=ok, say=Say(f"{folder}：{say.zh}", f"{folder}: {say.en}"))


def _printers(config: Config) -> Iterator[Check]:
    if not config.printers:
        return
    socket = config.printing.cups
    say = Say(f"CUPS 在 {socket}", f"CUPS is at {socket}")
    none = Say(
        f"没有 CUPS（{socket}）：拦截原因不能显示在队列里",
        f"no CUPS at {socket}: a queue cannot show why a job was blocked",
    )
    yield Check(name="cups", ok=socket.exists(), say=say if socket.exists() else none)
    for spec in config.printers:
        source = PrinterSource(spec, config.printing, state=Path(config.store.path).parent / "printers", key=b"")
        there = source.answers()
        word = Say("应答正常", "it answers") if there else Say("没有应答：任务会等待", "it does not answer: jobs wait")
        yield Check(
            name=f"printer {spec.name}", ok=there, say=Say(f"{spec.onward}：{word.zh}", f"{spec.onward}: {word.en}")
        )


def _vault(config: Config) -> Iterator[Check]:
    identity = Path(config.vault.identity)
    folder = Path(config.vault.folder)
    if not (folder / "recipient.txt").exists():
        yield Check(name="vault", ok=True, say=Say("首次启动时创建", "made at first start"))
    elif identity.exists():
        yield Check(
            name="vault", ok=True, say=Say("私钥在本机：可在本机研判放行", "the private key is on this machine")
        )
    else:
        yield Check(name="vault", ok=True, say=Say("私钥不在本机：本机不能打开隔离件", "the private key is elsewhere"))


def _withheld(config: Config) -> Iterator[Check]:
    outside = config.vault.outside
    if config.site.withhold == "seal" and outside is not None:
        try:
            count = len(read_recipients(outside))
            own = Path(config.vault.folder) / "recipient.txt"
            ours = {str(one) for one in read_recipients(own)} if own.exists() else set()
            mixed = bool(ours & {str(one) for one in read_recipients(outside)})
        except DlpError as err:
            yield Check(name="withheld", ok=False, say=err.say, exit=6)
            return
        say = Say(f"密封给机外公钥 {count} 个", f"sealed to {count} keys elsewhere")
        bad = Say(f"{outside} 中有本机密钥的公钥", f"{outside} names a key that is on this machine")
        yield Check(name="withheld", ok=not mixed, say=bad if mixed else say, exit=6)
        return
    for spec in config.folders:
        there = next(p for p in (spec.back, *spec.back.parents) if p.exists())
        ok = os.access(there, os.W_OK | os.X_OK) and there.is_dir()
        state = Say("退还，不留存", "handed back, nothing is kept")
        lack = Say("退还文件夹建不了：暂扣的文件退不回去", "it cannot be made: what is withheld cannot be handed back")
        say = state if ok else lack
        yield Check(name=f"withheld {spec.name}", ok=ok, say=Say(f"{spec.back}：{say.zh}", f"{spec.back}: {say.en}"))


def _incidents(config: Config) -> Iterator[Check]:
    path = Path(config.store.path)
    if not SqliteStore.is_current(path):
        return
    try:
        store = SqliteStore.open(path, create=False)
        try:
            late, unmended, count = incidents.late(store, time.time())
        finally:
            store.close()
    except DlpError as err:
        yield Check(name="incidents", ok=False, say=err.say, exit=err.exit)
        return
    say = Say(f"未结案 {count} 起", f"{count} open")
    if late or unmended:
        first = (*late, *unmended)[0].id
        say = Say(
            f"{say.zh}：逾期未报告 {len(late)} 起，整改逾期 {len(unmended)} 起（如 {first}）",
            f"{say.en}: {len(late)} not reported within 24 hours, {len(unmended)} not mended in time (such as {first})",
        )
    yield Check(name="incidents", ok=not (late or unmended), say=say, exit=9)


def _certificates(config: Config) -> Iterator[Check]:
    folder = certify.state_folder(config)
    if not (folder / signing.PRIVATE).exists():
        none = Say("首次签发脱敏处理证明时创建", "made when the first certificate of redaction is issued")
        yield Check(name="certificates", ok=True, say=none)
        return
    try:
        own = signature.key_id(signing.signing_key(folder, make=False).public_key().public_bytes_raw())
        known = len(signing.public_keys(folder / signing.PUBLIC))
    except DlpError as err:
        yield Check(name="certificates", ok=False, say=err.say, exit=err.exit)
        return
    say = Say(f"签署密钥 {own}，认可的公钥 {known} 个", f"signed with key {own}, {known} public keys known")
    yield Check(name="certificates", ok=True, say=say)


def _trail(config: Config) -> Iterator[Check]:
    path = origins.file_of(config)
    if not path.exists():
        none = Say("首次启动时启用封印", "sealed from the first start on")
        yield Check(name="audit", ok=True, say=none)
        return
    try:
        begun = origins.kept(path)
        with Ratchet(path.with_name(KEY_FILE)).held() as held:
            there = held.read() is not None
    except DlpError as err:
        yield Check(name="audit", ok=False, say=err.say, exit=err.exit)
        return
    say = Say(f"链号 {begun[-1].chain[:16]}，封印已启用", f"chain {begun[-1].chain[:16]}, sealed")
    if not config.audit.recipients and Path(config.vault.identity).exists():
        say = Say(
            f"{say.zh}；打开凭据的私钥在本机，防不了控制本机的人，宜移走或另设 [audit] recipients",
            f"{say.en}; the private key is here, and so for whoever owns this machine: move it, or set recipients",
        )
    yield Check(name="audit", ok=there, say=say if there else Say("审计密钥是空的", "the audit key is empty"), exit=5)


def _backups(config: Config) -> Iterator[Check]:
    spec = config.backup
    if not spec.every_hours or spec.folder is None:
        none = Say("没有定时备份（[backup] every_hours）", "the gate makes no backups by itself ([backup] every_hours)")
        yield Check(name="backup", ok=True, say=none)
        return
    folder = Path(spec.folder)
    try:
        backup.recipients(config)
        late = scheduled.is_due(config, folder, late=2.0)
        own = backup.own_backups(folder) if folder.exists() else []
    except DlpError as err:
        yield Check(name="backup", ok=False, say=err.say, exit=err.exit)
        return
    except OSError as err:
        why = os.strerror(err.errno or 0)
        say = Say(f"备份文件夹读不了：{folder}（{why}）", f"the folder of backups cannot be read: {folder} ({why})")
        yield Check(name="backup", ok=False, say=say, exit=5)
        return
    last = f"{own[-1][0]:%Y-%m-%dT%H:%M:%SZ}" if own else "-"
    if not own:  # a new site has none until its gate runs
        yield Check(
            name="backup",
            ok=not Path(config.store.path).exists(),
            say=Say("还没有任何备份", "there is no backup yet"),
            exit=5,
        )
        return
    say = Say(f"{len(own)} 份，最近 {last}", f"{len(own)}, the last of {last}")
    old = Say(f"最近一份 {last}，已超期：请看日志", f"the last one is of {last}, too old: see the log")
    yield Check(name="backup", ok=not late, say=old if late else say, exit=5)


def _backup_keys(config: Config) -> Iterator[Check]:
    """Look for private keys where keys of this site lie: no look at a whole disk finds all of them."""
    if not config.backup.recipients:
        return
    files = [*config.backup.recipients, config.vault.identity, config.vault.work_key, config.store.path]
    folders = {Path(path).parent.absolute() for path in files} | {Path(config.vault.folder).absolute()}
    if config.backup.folder is not None:
        folders.add(Path(config.backup.folder).absolute())
    try:
        named = {str(one) for path in config.backup.recipients for one in read_recipients(Path(path))}
    except DlpError as err:
        yield Check(name="backup key", ok=False, say=err.say, exit=err.exit)
        return
    here = [path for public, path in private_halves(sorted(folders)).items() if public in named]
    if not here:
        none = Say(f"备份公钥 {len(named)} 个，未见私钥在本机", f"{len(named)} public keys, no private half seen here")
        yield Check(name="backup key", ok=True, say=none)
    for path in here:
        say = Say(
            f"备份的私钥在本机：{path}；机器损毁则备份打不开，控制本机者可读备份。请移到机外保管，本机不留",
            f"the private key of the backups is here: {path}. Lost with the machine, no backup opens; whoever owns "
            "the machine reads them all. Carry it away, and leave none here",
        )
        yield Check(name="backup key", ok=False, say=say)


def _notices(config: Config) -> Iterator[Check]:
    ways = len(sending.channels(config))
    if not ways:
        yield Check(name="notices", ok=True, say=Say("未配置，不外连", "none are set up; nothing connects anywhere"))
        return
    waiting = 0
    if Path(config.store.path).exists():
        try:
            with closing(SqliteStore.open(Path(config.store.path), create=False)) as store:
                only = RecordFilter(states=(QUEUED,), until=time.time() - LATE_NOTICE)
                waiting = store.count_records(NOTICES, only)
        except DlpError as err:
            yield Check(name="notices", ok=False, say=err.say, exit=err.exit)
            return
    say = Say(f"{ways} 个去向", f"{ways} places")
    late = Say(f"{waiting} 条超过一小时未发出，见 dlp notices list", f"{waiting} unsent for more than an hour")
    yield Check(name="notices", ok=not waiting, say=late if waiting else say, exit=5)


def _space(config: Config) -> Iterator[Check]:
    for name, folder, code in (("vault", Path(config.vault.folder), 6), ("store", Path(config.store.path).parent, 5)):
        there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(there).free
        size = f"{free / (1 << 30):.1f} GiB"
        yield Check(name=f"space {name}", ok=free >= LEAST_FREE, say=Say(f"可用 {size}", f"{size} free"), exit=code)


LOOKS: tuple[Callable[[Config], Iterator[Check]], ...] = (
    _python,
    _sandbox,
    _eyes,
    _packs,
    _exemptions,
    _borders,
    _folders,
    _printers,
    _vault,
    _withheld,
    _incidents,
    _certificates,
    _trail,
    _backups,
    _backup_keys,
    _notices,
    _space,
)
