"""`dlp print status`: whether the queues lead through the gate, and every known way around it.

Nothing is believed because it was once installed: what CUPS has, what cupsd.conf says, and, as root, what an ordinary
user is really answered. What could not be looked at is `unknown`, never closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dlp.config import Config, Printer
from dlp.errors import Denied, DlpError, PrintingError
from dlp.model import Say
from dlp.service.printing import around, conf, driver, probe, record, same, ways
from dlp.service.printing.conf import Opened
from dlp.service.printing.install import check_gateway, front_policy, is_front, is_waiting
from dlp.service.printing.record import Installed
from dlp.service.printing.rows import AGAIN, AS_ROOT, Bypass, Check, Row
from dlp.service.printing.scheduler import Queue, Scheduler
from dlp.service.printing.ways import Way


def examine(config: Config) -> tuple[Row, ...]:
    """Look at CUPS, the gateway and every queue that is configured or installed."""
    return tuple(_Look(config).rows())


def is_tight(rows: tuple[Row, ...]) -> bool:
    """Tell whether everything works and no way is open but those that only the network can close."""
    return all(row.ok if isinstance(row, Check) else row.state in ("closed", "network") for row in rows)


UNSEEN = "?"
"""Who may do what cannot be looked at."""
UNMOVED = "? cups-move-job"
"""An ordinary user was told not to print there; whether he may move a job there cannot be looked at."""


class _Look:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.socket = str(config.printing.cups)
        self.cups = Scheduler(config.printing.cups)
        self.record = record.read(record.path_in(config.store.path.parent))
        self.user = ways.gate_user(config, self.record.user)
        self.queues: dict[str, Queue] = {}
        self.text: str | None = None

    def rows(self) -> Iterator[Row]:
        names = dict.fromkeys(
            (*(one.queue for one in self.record.installed), *(one.cups_queue for one in self.config.printers))
        )
        try:
            version = self.cups.check()
            self.queues = self.cups.queues()
        except DlpError as err:
            yield Check("", "cups", ok=False, say=err.say, do=err.hint)
            return
        yield Check("", "cups", ok=True, say=Say(f"{version} 在运行", f"{version} runs"))
        yield from self._conf()
        if not names:
            say = Say("没有经过闸门的打印队列", "no print queue leads through the gate")
            do = Say(
                "dlp print install --queue 队列 --printer 打印机", "dlp print install --queue NAME --printer PRINTER"
            )
            yield Check("", "queues", ok=False, say=say, do=do)
        ours: set[str] = set()
        for name in names:
            way = self._way(name)
            ours |= {name, way.queue, *(queue.name for queue in self._others(way))}
            yield from self._queue(name, way)
        yield self._local_queues()
        yield from self._elsewhere(ours)
        yield around.found_by_itself(self.queues.values(), self.socket)
        yield around.administrators()

    def _conf(self) -> Iterator[Row]:
        try:
            self.text = self.cups.conf()
        except Denied as err:
            yield Check("", "policy", ok=False, say=err.say, do=err.hint)
            return
        if self.record.installed:
            same_text = self.text == conf.lock(
                self.text, self.user, [Opened(one.base, one.held) for one in self.record.installed]
            )
            say = Say("cupsd.conf 的策略与安装时一致", "the policies in cupsd.conf are those of the gate")
            bad = Say(
                "cupsd.conf 中闸门的策略缺失或被改动", "policies of the gate in cupsd.conf are missing or changed"
            )
            do = None if same_text else AGAIN
            yield Check("", "policy", ok=same_text, say=say if same_text else bad, do=do)
            at_once = conf.saves_at_once(self.text)
            say = Say("CUPS 随时把作业和队列落盘", "CUPS saves jobs and queues at once")
            bad = Say(
                "CUPS 延迟落盘（DirtyCleanInterval），断电会丢作业，并丢失对队列的锁定",
                "CUPS saves late (DirtyCleanInterval): a power cut forgets jobs, and the locks of queues",
            )
            do = None if at_once else Say("删去 cupsd.conf 中的 DirtyCleanInterval", "take DirtyCleanInterval out")
            yield Check("", "saving", ok=at_once, say=say if at_once else bad, do=do)
            kept = conf.keeps_documents(self.text)
            say = Say(
                "CUPS 只短时间保留已送出的文档，闸门中断时可以重送",
                "CUPS keeps documents for a short while, and can send one again where the gate was cut off",
            )
            bad = Say(
                "CUPS 不保留文档（闸门中断时正在接收的作业会丢失），或保留超过 1 小时（PreserveJobFiles）",
                "CUPS keeps no documents (a job that the gate was receiving when it was cut off is lost), or keeps "
                "them for more than an hour (PreserveJobFiles)",
            )
            do = None if kept else Say("cupsd.conf 改为 PreserveJobFiles 600", "PreserveJobFiles 600 in cupsd.conf")
            yield Check("", "keeping", ok=kept, say=say if kept else bad, do=do)

    # one queue

    def _queue(self, name: str, way: Way) -> Iterator[Row]:
        entry = ways.entry_of(self.config, name)
        installed = self.record.find(name)
        held = entry.mode == "held" if entry is not None else installed is not None and installed.held
        yield from self._entry(name, entry, installed)
        leads = self._leads(name, entry, held=held)
        if entry is not None and not held:
            yield self._gateway(name, entry)
        yield leads
        if way.queue:
            yield self._onward(name, way)
        if entry is not None and entry.trusts_user:
            yield self._names(name)
        yield from self._owner(name, way, leads, held=held)
        yield from self._past(name, way)
        yield from self._documents(name, leads, held=held)
        yield self._network(name, way)

    def _way(self, name: str) -> Way:
        entry, installed = ways.entry_of(self.config, name), self.record.find(name)
        onward = entry.onward if entry is not None else installed.onward if installed is not None else ""
        locked = onward.removeprefix("cups:") if onward.startswith("cups:") else ""
        return Way(onward, locked, "" if locked else onward)

    def _entry(self, name: str, entry: Printer | None, installed: Installed | None) -> Iterator[Row]:
        if entry is None:
            say = Say(
                f"config.toml 没有队列 {name} 的 [[printers]]", f"config.toml has no [[printers]] for queue {name}"
            )
            yield Check(name, "configuration", ok=False, say=say, do=AGAIN)
        elif installed is None:
            say = Say(f"队列 {name} 还没有安装", f"queue {name} is not installed")
            yield Check(name, "configuration", ok=False, say=say, do=AGAIN)
        elif installed.onward != entry.onward:
            say = Say(
                f"config.toml 的 onward 是 {entry.onward}，安装时是 {installed.onward}",
                f"onward in config.toml is {entry.onward}; installed was {installed.onward}",
            )
            yield Check(name, "configuration", ok=False, say=say, do=AGAIN)

    def _gateway(self, name: str, entry: Printer) -> Row:
        uri = ways.gateway_uri(self.config, entry.name)
        try:
            check_gateway(uri)
        except PrintingError as err:
            return Check(name, "gateway", ok=False, say=err.say, do=err.hint)
        return Check(name, "gateway", ok=True, say=Say(f"打印网关在应答：{uri}", f"the print gateway answers: {uri}"))

    def _leads(self, name: str, entry: Printer | None, *, held: bool) -> Check:
        queue = self.queues.get(name)
        if queue is None:
            return Check(name, "queue", ok=False, say=Say(f"没有队列 {name}", f"there is no queue {name}"), do=AGAIN)
        installed = self.record.find(name)
        base = installed.base if installed is not None else "default"
        policy = front_policy(Opened(base, held), self.user)
        uri = ways.gateway_uri(self.config, entry.name if entry is not None else name)
        if is_waiting(queue, policy) if held else is_front(queue, uri, policy):
            return Check(
                name, "queue", ok=True, say=Say(f"队列 {name} 经过闸门", f"queue {name} leads through the gate")
            )
        say = Say(
            f"队列 {name} 不经过闸门或已停用：{queue.device} {queue.said}".rstrip(),
            f"queue {name} does not lead through the gate, or is off: {queue.device} {queue.said}".rstrip(),
        )
        return Check(name, "queue", ok=False, say=say, do=AGAIN)

    def _onward(self, name: str, way: Way) -> Row:
        queue = self.queues.get(way.queue)
        if queue is None:
            say = Say(f"没有放行用的队列 {way.queue}", f"queue {way.queue}, for what is cleared, is not there")
            return Check(name, "onward", ok=False, say=say, do=AGAIN)
        ok = queue.accepting and not queue.stopped
        good = Say(f"放行队列 {way.queue} 可用", f"queue {way.queue}, for what is cleared, works")
        bad = Say(f"放行队列 {way.queue} 停用：{queue.said}", f"queue {way.queue} is off: {queue.said}")
        do = None if ok else Say(f"cupsenable {way.queue}；cupsaccept {way.queue}", "cupsenable and cupsaccept it")
        return Check(name, "onward", ok=ok, say=good if ok else bad, do=do)

    def _names(self, name: str) -> Row:
        policy = self.queues[name].policy if name in self.queues else "default"
        limits = conf.policies(self.text or "").get(policy.lower(), ())
        asked = [conf.rule(limits, operation) for operation in ("create-job", "print-job")]
        ok = all(limit is not None and limit.proven for limit in asked)
        good = Say(f"队列 {name} 核实用户身份", f"queue {name} has users prove who they are")
        bad = Say(
            f"trusts_user 为真，但队列 {name} 不核实身份", f"trusts_user is set, but queue {name} believes any name"
        )
        do = Say(
            f"lpadmin -p {name} -o printer-op-policy=authenticated 后重新安装，或删去 trusts_user",
            f"lpadmin -p {name} -o printer-op-policy=authenticated and install again, or drop trusts_user",
        )
        return Check(name, "user-names", ok=ok, say=good if ok else bad, do=None if ok else do)

    # ways around it: what the owner of a job could do

    def _owner(self, name: str, way: Way, leads: Check, *, held: bool) -> Iterator[Row]:
        loose = self._loose([way.queue]) if way.queue else {}
        if held and leads.ok:
            policy = self.queues[name].policy
            some = (UNSEEN,) if self.text is None else conf.holds(self.text, policy, self.user)
            loose |= {name: some} if some else {}
        told = (
            Say(
                "作业停在队列中等待检查，普通用户放不出去", "jobs wait in a stopped queue, and users cannot let them go"
            )
            if held
            else Say("放开的作业仍然先到闸门", "a job that is let go comes to the gate first")
        )
        yield self._bypass(name, "owner-release", leads, loose, told)
        said = (
            Say("lp -H immediate 的作业也停在队列中", "jobs of lp -H immediate wait in the stopped queue too")
            if held
            else Say("lp -H immediate 的作业也先到闸门", "jobs of lp -H immediate come to the gate first")
        )
        yield self._bypass(name, "hold-immediate", leads, {}, said)

    def _past(self, name: str, way: Way) -> Iterator[Row]:
        """Look at every queue and class that leads to the same printer."""
        there = [queue.name for queue in self._others(way)] + ([way.queue] if way.queue in self.queues else [])
        listed = "、".join(there)
        told = Say(
            f"{listed} 只有闸门和管理员可用" if there else "没有其他队列通向该打印机",
            f"{', '.join(there)}: only for the gate and administrators"
            if there
            else "no other queue leads to the printer",
        )
        loose = self._loose(there)
        printing = {queue: some for queue, some in loose.items() if {UNSEEN, "print-job", "create-job"} & {*some}}
        yield self._bypass(name, "move", None, loose, told)
        yield self._bypass(name, "direct-queue", None, printing, told)

    def _loose(self, names: list[str]) -> dict[str, tuple[str, ...]]:
        """Return the queues that let somebody else in, and by which operations, or that this cannot be known."""
        found: dict[str, tuple[str, ...]] = {}
        for name in names:
            queue = self.queues.get(name)
            if queue is None:
                continue
            operations = (UNSEEN,) if self.text is None else conf.is_locked(self.text, queue.policy, self.user)
            asked = probe.may_print(self.socket, name, is_class=queue.is_class)
            if asked and "print-job" not in operations:
                operations = (*operations, "print-job")
            if asked is False and operations == (UNSEEN,):
                operations = (UNMOVED,)
            if operations:
                found[name] = operations
        return found

    def _others(self, way: Way) -> list[Queue]:
        ours = {name for one in self.record.installed for name in (one.queue, one.onward.removeprefix("cups:"))}
        ours |= {printer.cups_queue for printer in self.config.printers} | {way.queue}
        return ways.others(self.queues, way, ours) if way.onward else []

    # ways around it: what a document could be

    def _documents(self, name: str, leads: Check, *, held: bool) -> Iterator[Row]:
        ppd = None if held else self.cups.driver(name)
        files = Say("每个文件单独检查", "each file is screened by itself")
        joined = {name: ("cupsSingleFile",)} if leads.ok and not held and not driver.is_single(ppd or b"") else {}
        yield self._bypass(name, "multi-file", leads, joined, files)
        raw = Say("-o raw 的原始数据也先到闸门，读不了即扣留", "bytes of -o raw come to the gate too: not read is held")
        yield self._bypass(name, "raw", leads, {}, raw)
        pixels = {name: ("no PDF",)} if leads.ok and not held and not driver.sends_pdf(ppd or b"") else {}
        told = Say(
            "闸门收到的是原件" if held else "送闸门的总是 PDF，检查之后才转成光栅",
            "the gate reads the original" if held else "the gate is sent PDF; pixels are made of it afterwards",
        )
        yield self._bypass(name, "raster", leads, pixels, told)

    def _bypass(
        self, name: str, what: str, leads: Check | None, loose: Mapping[str, tuple[str, ...]], closed: Say
    ) -> Bypass:
        if leads is not None and not leads.ok:
            return Bypass(name, what, "open", leads.say, AGAIN)
        if not loose:
            return Bypass(name, what, "closed", closed)
        listed = "；".join(f"{queue}: {', '.join(operations)}" for queue, operations in loose.items())
        if {operation for operations in loose.values() for operation in operations} <= {UNSEEN, UNMOVED}:
            say = Say(f"无权查看，未能确认：{'、'.join(loose)}", f"cannot be looked at: {', '.join(loose)}")
            return Bypass(name, what, "unknown", say, AS_ROOT)
        return Bypass(name, what, "open", Say(f"可绕过：{listed}", f"open: {listed}"), AGAIN)

    def _network(self, name: str, way: Way) -> Row:
        """Name the address at which a client could print past this machine: nothing in CUPS can close it."""
        behind = self.queues.get(way.queue)
        device = behind.device if behind is not None else way.device
        reached = same.reached(device)
        if reached is not None:
            host, port = reached
            say = Say(
                f"直接连接 {host}:{port} 可绕过本机打印（打印机可能还开着 9100、515、631、443 端口）",
                f"whoever connects to {host}:{port} prints past this machine (9100, 515, 631, 443 may be open too)",
            )
            who = "lp" if way.queue else self.user  # CUPS sends as lp, the gate as itself
            do = Say(
                f"打印机或交换机只允许本机访问 {host}，本机只允许用户 {who} 连接；规则见 docs/printing.md",
                f"let only this machine reach {host}, and here only the user {who}; rules: docs/printing.md",
            )
            return Bypass(name, "network", "network", say, do)
        members = around.members("lp")
        if not members:
            return Bypass(
                name, "network", "closed", Say(f"打印机不在网络上：{device}", f"the printer is on no network: {device}")
            )
        say = Say(f"组 lp 的成员可直接写设备：{'、'.join(members)}", f"members of group lp may write to it: {members}")
        return Bypass(name, "network", "open", say, Say("把他们移出组 lp", "take them out of group lp"))

    # ways around it: of the whole CUPS

    def _local_queues(self) -> Row:
        asked = probe.may_make_queues(self.socket)
        closed = conf.forbids_local_queues(self.text) if self.text is not None else None
        if asked or (asked is None and closed is False) or (asked is False and closed is False):
            say = Say("普通用户可以自建队列直连打印机", "users may make queues of their own, straight to a printer")
            return Bypass("", "local-printer", "open", say, AGAIN)
        if asked is None and closed is None:
            return Bypass("", "local-printer", "unknown", Say("无权查看，未能确认", "cannot be looked at"), AS_ROOT)
        return Bypass("", "local-printer", "closed", Say("普通用户不能自建队列", "users make no queues of their own"))

    def _elsewhere(self, ours: set[str]) -> Iterator[Row]:
        here = ways.gateway_uri(self.config, "")
        free = [queue for queue in self.queues.values() if queue.name not in ours and not queue.is_class]
        free = [queue for queue in free if not queue.device.startswith(here)]
        said = "、".join(f"{queue.name}（{queue.device}）" for queue in free)
        if free:
            yield Bypass(
                "",
                "other-printers",
                "open",
                Say(f"还有不经闸门的打印机：{said}", f"printers that are not behind the gate: {said}"),
                Say("逐个用 dlp print install 接入，或删除", "install the gate before each, or delete them"),
            )
