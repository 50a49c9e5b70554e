"""`dlp print remove`: every queue as it was, and cupsd.conf byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

from dlp import ipp
from dlp.config import Config
from dlp.errors import NotFound, PrintingError
from dlp.ipp import Attribute, Tag
from dlp.model import Say
from dlp.service.printing import conf, record
from dlp.service.printing.conf import Opened
from dlp.service.printing.install import Step, damaged, policy_of
from dlp.service.printing.record import Before
from dlp.service.printing.scheduler import IDLE, STOPPED, Scheduler


def remove(config: Config, queue: str) -> Iterator[Step]:
    """Give back what was changed for a queue, and tell each step. NotFound where nothing was."""
    return _Removal(config, queue).steps()


class _Removal:
    def __init__(self, config: Config, queue: str) -> None:
        self.config = config
        self.name = queue
        self.cups = Scheduler(config.printing.cups)
        self.path = record.path_in(config.store.path.parent)
        self.record = record.read(self.path)
        found = self.record.find(queue)
        if found is None:
            raise NotFound(
                Say(f"没有为队列 {queue} 做过安装", f"nothing was installed for queue {queue}"),
                Say("dlp print status 列出已安装的队列", "`dlp print status` lists what is installed"),
            )
        self.installed = found
        rest = self.record.removing(queue)
        self.kept = {name for one in rest.installed for name in (one.queue, *one.locked)}
        self.given = [name for name in dict.fromkeys((queue, *found.locked)) if name not in self.kept]

    def steps(self) -> Iterator[Step]:
        self.cups.check()
        text = self.cups.conf()
        if conf.is_damaged(text):
            raise damaged()
        self._check_jobs()
        for name in self.given:
            yield self._give_back(name)
        rest = self.record.removing(self.name)
        opened = [Opened(one.base, one.held) for one in rest.installed]
        after = conf.lock(text, rest.user, opened) if rest.installed else conf.strip(text)
        if after != text:
            self.cups.put_conf(after)
        record.write(self.path, rest)
        yield Step(changed=after != text, say=_told(rest, after))
        if any(printer.cups_queue == self.name for printer in self.config.printers):
            say = Say("config.toml 中的 [[printers]] 可以删去了", "its [[printers]] in config.toml can go now")
            yield Step(changed=False, say=say)

    def _check_jobs(self) -> None:
        """Stop before anything is changed where a queue would be deleted with jobs in it."""
        queues = self.cups.queues()
        for name in self.given:
            was = self.record.was(name)
            if was is not None and not was.existed and name in queues and (jobs := self.cups.open_jobs(name)):
                said = ", ".join(map(str, jobs[:10]))
                raise PrintingError(
                    Say(f"队列 {name} 还有作业未完成：{said}", f"queue {name} has unfinished jobs: {said}"),
                    Say(
                        "等它们完成，或先取消（cancel），再运行", "wait until they are done, or cancel them, then again"
                    ),
                )

    def _give_back(self, name: str) -> Step:
        was = self.record.was(name)
        there = name in self.cups.queues()
        if was is None or (not was.existed and not there):
            return Step(changed=False, say=Say(f"队列 {name} 没有改动过", f"queue {name} was not changed"))
        if was.existed and not there:
            say = Say(f"队列 {name} 已被他人删除，不再恢复", f"queue {name} was deleted by somebody else and stays so")
        elif was.existed:
            self._restore(was)
            say = Say(f"队列 {name} 已恢复原状", f"queue {name} is as it was")
        else:
            self.cups.delete(name)
            say = Say(f"已删除安装时建立的队列 {name}", f"queue {name}, which was made for the gate, is deleted")
        self.record = self.record.forgetting(name)
        record.write(self.path, self.record)
        return Step(changed=there, say=say)

    def _restore(self, was: Before) -> None:
        states = (
            *policy_of(was.policy),
            ipp.flag("printer-is-accepting-jobs", value=was.accepting),
            ipp.integers("printer-state", STOPPED if was.stopped else IDLE, tag=Tag.ENUM),
            ipp.texts("printer-state-message", Tag.TEXT, was.said),
        )
        if was.is_class:
            self.cups.change(was.queue, *states, is_class=True)
            return
        changes: list[Attribute] = []
        if was.error_policy:
            changes.append(ipp.texts("printer-error-policy", Tag.NAME, was.error_policy))
        if was.queue == self.name:
            changes.append(ipp.texts("device-uri", Tag.URI, was.device))
            changes.append(ipp.texts("job-hold-until-default", Tag.KEYWORD, was.hold))
            if was.driver is None:
                changes.append(ipp.texts("ppd-name", Tag.NAME, "raw"))
            else:
                self.cups.change(was.queue, driver=was.driver)
        self.cups.change(was.queue, *changes, *states)


def _told(rest: record.Record, after: str) -> Say:
    if rest.installed:
        return Say("cupsd.conf 的策略留给其余队列", "cupsd.conf keeps the policies for the other queues")
    if after.encode("utf-8", "surrogateescape") == rest.conf:
        return Say("cupsd.conf 已恢复为安装前的原文", "cupsd.conf is what it was before, byte by byte")
    return Say(
        "cupsd.conf 已去除闸门的策略，保留此后的其他改动",
        "cupsd.conf is without the policies of the gate; other changes since then stay",
    )
