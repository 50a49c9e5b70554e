"""`dlp print install`: a queue that leads through the gate, and every other way to its printer closed.

Each step looks first and changes only what is not so yet; how it was is written down before. Other ways are closed
after the new queue stands, so that a run that stops in between never leaves people without a printer.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Iterator
from typing import NamedTuple

from dlp import ipp
from dlp.config import Config
from dlp.errors import ConfigError, NotFound, PrintingError, UsageError
from dlp.ipp import Attribute, Tag
from dlp.model import Say, evolve
from dlp.service.printing import conf, driver, record, ways
from dlp.service.printing.conf import Opened
from dlp.service.printing.record import Before, Installed
from dlp.service.printing.scheduler import IDLE, NOWHERE, STOPPED, Queue, Scheduler
from dlp.service.printing.ways import Wanted, Way
from dlp.sources.printer import PDF

QUERY = "waitjob=false"
"""The backend does not wait for the paper: what was taken is in the vault, or with the printer."""
RETRY = "retry-job"
_QUEUE = re.compile(r"[^\s/#?'\"\x00-\x20\x7f]{1,127}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")


class Step(NamedTuple):
    """One thing that was looked at, and whether it had to be changed."""

    changed: bool
    say: Say
    todo: bool = False
    """Somebody else has to do it, and then call again."""


def install(config: Config, wanted: Wanted) -> Iterator[Step]:
    """Do what is not done yet, and tell each step; the last is a `todo` where the configuration has to be written."""
    _check_words(wanted)
    entry = ways.entry_of(config, wanted.queue)
    held = wanted.held or (entry is not None and entry.mode == "held")
    return _Installation(config, wanted._replace(held=held)).steps()


class _Installation:
    def __init__(self, config: Config, wanted: Wanted) -> None:
        self.config = config
        self.wanted = wanted
        self.name = wanted.queue
        self.cups = Scheduler(config.printing.cups)
        self.path = record.path_in(config.store.path.parent)
        self.record = record.read(self.path)
        self.user = ways.gate_user(config, self.record.user, wanted.user)

    def steps(self) -> Iterator[Step]:
        version = self.cups.check()
        text = self.cups.conf()
        yield Step(changed=False, say=Say(f"{version} 在运行，可以更改", f"{version} runs and may be changed"))
        if conf.is_damaged(text):
            raise damaged()
        front = self.cups.queues().get(self.name)
        if front is not None and front.is_class:
            raise UsageError(Say(f"{self.name} 是打印机组，不能用作队列", f"{self.name} is a class, not a queue"))
        way = ways.find(self.config, self.wanted, self.cups, self.record)
        todo = self._configuration(way)
        if todo is None or way.queue:  # the gate asks the locked queue what the printer can, so that comes first
            yield self._allow(text, way)
        if way.queue:
            yield from self._lock(way)
        if todo is not None:
            yield todo
            return
        yield self._lead_here()
        yield from self._close(way)

    # the policies

    def _allow(self, text: str, way: Way) -> Step:
        known = self.record.find(self.name)
        installed = Installed(
            queue=self.name,
            asked=self.wanted.printer or (known.asked if known is not None else way.onward.removeprefix("cups:")),
            onward=way.onward,
            locked=known.locked if known is not None else (),
            base=self._base(),
            held=self.wanted.held,
        )
        kept = self.record.conf or conf.strip(text).encode("utf-8", "surrogateescape")
        self._write(evolve(self.record, user=self.user, conf=kept).installing(installed))
        locked = conf.lock(text, self.user, [Opened(one.base, one.held) for one in self.record.installed])
        if locked == text:
            return Step(changed=False, say=Say("cupsd.conf 已有闸门的策略", "cupsd.conf has the policies of the gate"))
        self.cups.put_conf(locked)
        return Step(
            changed=True,
            say=Say(
                f"cupsd.conf：加入策略 {conf.LOCKED}（只有 {self.user} 和管理员可用），普通用户不能自建队列，"
                "作业和队列随时落盘；原文保存为 cupsd.conf.O",
                f"cupsd.conf: policy {conf.LOCKED} (only {self.user} and administrators), users make no queues, "
                "jobs and queues are saved at once; the text before is cupsd.conf.O",
            ),
        )

    def _base(self) -> str:
        """Return the policy that the queue itself had before us."""
        if (was := self.record.was(self.name)) is not None:
            return was.policy
        queue = self.cups.queues().get(self.name)
        return conf.base_of(queue.policy) if queue is not None else "default"

    # the locked queue behind the gate

    def _lock(self, way: Way) -> Iterator[Step]:
        if way.queue not in self.cups.queues():
            self._make(way)
            say = Say(f"已建队列 {way.queue}，通向打印机", f"made queue {way.queue}, which leads to the printer")
            yield Step(changed=True, say=say)
        queue = self.cups.queue(way.queue)
        ready = queue.policy == conf.LOCKED and queue.error_policy == RETRY and queue.accepting and not queue.stopped
        self._remember(queue)
        if not ready:
            self.cups.change(way.queue, *policy_of(conf.LOCKED), *_WORKING)
        self._note(way.queue)
        say = Say(
            f"队列 {way.queue} 只有闸门（{self.user}）和管理员可用",
            f"queue {way.queue} is for the gate ({self.user}) and administrators only",
        )
        yield Step(changed=not ready, say=say)

    def _make(self, way: Way) -> None:
        self._remember_new(way.queue)
        locked = policy_of(conf.LOCKED)  # from its first moment on
        device = ipp.texts("device-uri", Tag.URI, way.device)
        if way.copied:
            plain = () if way.driver else (ipp.texts("ppd-name", Tag.NAME, "raw"),)
            self.cups.change(way.queue, device, *locked, *plain, driver=way.driver)
        elif self.wanted.model:
            self.cups.change(way.queue, device, *locked, ipp.texts("ppd-name", Tag.NAME, self.wanted.model))
        else:
            self.cups.describe(way.queue, way.device, QUERY, *locked)

    # what the configuration has to say

    def _configuration(self, way: Way) -> Step | None:
        entry = ways.entry_of(self.config, self.name)
        text = ways.toml(self.config, self.wanted, way)
        if entry is None:
            say = Say(
                f"请把下面几行加入 config.toml，重新启动 dlp run，再运行一次本命令：\n{text}",
                f"add these lines to config.toml, start `dlp run` again, then run this command once more:\n{text}",
            )
            return Step(changed=False, say=say, todo=True)
        if entry.onward != way.onward or (entry.mode == "held") != self.wanted.held:
            raise ConfigError(
                Say(
                    f"[[printers]] {entry.name} 的 onward 或 mode 与此不符，应为：\n{text}",
                    f"[[printers]] {entry.name} says another onward or mode; it should be:\n{text}",
                ),
                hint=Say("改正 config.toml 后再运行一次", "mend config.toml and run this again"),
            )
        return None

    # the queue that people print to

    def _lead_here(self) -> Step:
        queue = self.cups.queues().get(self.name)
        if queue is None:
            self._remember_new(self.name)
        else:
            self._remember(queue._replace(device=ways.address_of(queue)))
        changed = self._hold(queue) if self.wanted.held else self._send(queue)
        say = Say(f"队列 {self.name} 的作业都经过闸门", f"all jobs of queue {self.name} go through the gate")
        return Step(changed=changed, say=say)

    def _send(self, queue: Queue | None) -> bool:
        """Make the queue one that sends PDF to the gate, a file a job; return whether something had to be done."""
        entry = ways.entry_of(self.config, self.name)
        assert entry is not None  # noqa: S101  told before
        uri = ways.gateway_uri(self.config, entry.name)
        check_gateway(uri)
        policy = front_policy(Opened(self._base()), self.user)
        now = self.cups.driver(self.name) if queue is not None else None
        right = queue is not None and is_front(queue, uri, policy)
        if right and now is not None and driver.is_single(now):
            return False
        if not right or now is None:
            now = self.cups.describe(self.name, uri, QUERY)
        was = self.record.was(self.name)
        if was is not None and was.driver is not None:
            now = driver.carry(was.driver, now)
        self.cups.change(self.name, driver=driver.with_single(now))
        self.cups.change(self.name, *policy_of(policy), *_WORKING)
        return True

    def _hold(self, queue: Queue | None) -> bool:
        """Make the queue one in which every job waits as it came, and which leads nowhere by itself."""
        policy = front_policy(Opened(self._base(), held=True), self.user)
        if queue is not None and is_waiting(queue, policy) and self.cups.driver(self.name) is None:
            return False
        self.cups.change(
            self.name,
            ipp.texts("device-uri", Tag.URI, NOWHERE),
            ipp.texts("ppd-name", Tag.NAME, "raw"),
            ipp.texts("job-hold-until-default", Tag.KEYWORD, "indefinite"),
            *policy_of(policy),
            ipp.flag("printer-is-accepting-jobs", value=True),
            ipp.integers("printer-state", STOPPED, tag=Tag.ENUM),
            ipp.texts("printer-state-message", Tag.TEXT, "作业先经文印闸检查 / jobs are screened first"),
        )
        return True

    # every other way

    def _close(self, way: Way) -> Iterator[Step]:
        ours = {name for one in self.record.installed for name in (one.queue, one.onward.removeprefix("cups:"))}
        default = self.cups.default()
        for queue in ways.others(self.cups.queues(), way, ours):
            jobs = self.cups.open_jobs(queue.name)
            shut = queue.policy == conf.LOCKED and not queue.accepting
            self._remember(queue)
            if not shut:
                self.cups.change(queue.name, *shut_for(queue, self.name), is_class=queue.is_class)
            self._note(queue.name)
            yield Step(changed=not shut, say=_closed(queue.name, self.name, jobs, is_default=queue.name == default))

    # what was

    def _remember(self, queue: Queue) -> None:
        ppd = None if queue.is_class else self.cups.driver(queue.name)
        self._write(self.record.remembering(record.of(queue, ppd)))

    def _remember_new(self, name: str) -> None:
        self._write(self.record.remembering(Before(queue=name, existed=False)))

    def _note(self, name: str) -> None:
        """Note that the way over this queue was closed for the one that is being installed."""
        one = self.record.find(self.name)
        assert one is not None  # noqa: S101  written with the policies
        if name not in one.locked:
            self._write(self.record.installing(evolve(one, locked=(*one.locked, name))))

    def _write(self, new: record.Record) -> None:
        if new != self.record:
            record.write(self.path, new)
            self.record = new


_WORKING = (
    ipp.texts("printer-error-policy", Tag.NAME, RETRY),
    ipp.flag("printer-is-accepting-jobs", value=True),
    ipp.integers("printer-state", IDLE, tag=Tag.ENUM),
)


def policy_of(name: str) -> tuple[Attribute, ...]:
    """Return the attribute that gives a queue a policy."""
    return (ipp.texts("printer-op-policy", Tag.NAME, name),)


def front_policy(opened: Opened, user: str) -> str:
    """Return the policy of the queue that people print to: its own, where the gate is an administrator anyway."""
    return opened.policy if user == "root" and not opened.held else opened.name


def is_front(queue: Queue, uri: str, policy: str) -> bool:
    """Tell whether a queue sends to the gate and works."""
    return (
        (queue.device, queue.policy, queue.error_policy) == (f"{uri}?{QUERY}", policy, RETRY)
        and queue.accepting
        and not queue.stopped
    )


def is_waiting(queue: Queue, policy: str) -> bool:
    """Tell whether every job waits in a queue for the gate."""
    return (
        (queue.device, queue.policy, queue.hold) == (NOWHERE, policy, "indefinite")
        and queue.accepting
        and queue.stopped
    )


def shut_for(queue: Queue, front: str) -> tuple[Attribute, ...]:
    """Return what closes a queue: to refuse jobs is not enough, because a job that is moved there would still print."""
    why = f"由文印闸接管，请打印到 {front} / behind the gate: print to {front}"
    return (
        *policy_of(conf.LOCKED),
        ipp.flag("printer-is-accepting-jobs", value=False),
        *(() if queue.stopped else (ipp.texts("printer-state-message", Tag.TEXT, why),)),
    )


def check_gateway(uri: str) -> None:
    """Return when the gate answers in the place of a printer; PrintingError when it does not."""
    try:
        why = "" if PDF in ways.formats(uri) else "no PDF"
    except PrintingError as err:
        why = err.say.en
    if why:
        raise PrintingError(
            Say(f"打印网关没有应答：{uri}", f"the print gateway does not answer: {uri} ({why})"),
            Say("启动 dlp run，再运行一次", "start `dlp run`, then run this again"),
        )


def damaged() -> PrintingError:
    """Return the error of a cupsd.conf in which nobody can tell any more what is ours."""
    return PrintingError(
        Say("cupsd.conf 中闸门的标记行不成对", "the marker lines of the gate in cupsd.conf do not belong together"),
        Say(
            "手工删去 >>> wenyin-gate 与 <<< wenyin-gate 之间的内容和标记后再运行",
            "take out by hand what stands between >>> wenyin-gate and <<< wenyin-gate, and the markers; run it again",
        ),
    )


def _closed(name: str, front: str, jobs: tuple[int, ...], *, is_default: bool) -> Say:
    zh, en = f"{name} 通向同一打印机，不再接受作业", f"{name} leads to the same printer and takes no more jobs"
    if jobs:
        zh += f"；其中 {len(jobs)} 个作业此前已接受，不经闸门"
        en += f"; {len(jobs)} jobs in it were taken before and do not pass the gate"
    if is_default:
        zh += f"；它是默认队列，请改默认：lpadmin -d {front}"
        en += f"; it is the default queue: change that with lpadmin -d {front}"
    return Say(zh, en)


def _check_words(wanted: Wanted) -> None:
    if not _QUEUE.fullmatch(wanted.queue):
        raise UsageError(Say(f"队列名不可用：{wanted.queue}", f"this cannot be the name of a queue: {wanted.queue}"))
    if wanted.user and not _USER.fullmatch(wanted.user):
        raise UsageError(Say(f"用户名不可用：{wanted.user}", f"this cannot be a user: {wanted.user}"))
    if wanted.user:
        try:
            pwd.getpwnam(wanted.user)
        except KeyError as err:
            raise NotFound(Say(f"没有用户 {wanted.user}", f"there is no user {wanted.user}")) from err
