"""A held file is given back to whoever sent it: its bytes into a new file of a folder, and only then its job ends.

The order is the guarantee. That it is begun is in the trail; the file is written under a name of its own, synced, and
read back; then the job is RETURNED in one transaction; then its sealed copy goes, unless it must be kept. A crash
before that transaction leaves the job held, and the next try finds the file that is there already.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlp import durable, incident
from dlp.errors import DlpError, UsageError
from dlp.model import Say, State
from dlp.review import REVIEWS
from dlp.rights import Denial, Operation, Why
from dlp.service.acting import Acting, refused
from dlp.service.places import open_vault
from dlp.service.receipt import STATES
from dlp.service.reviews import check_claim, check_free, no_copy, secret_here
from dlp.sources import names
from dlp.store import Job
from dlp.store.entry import Entry
from dlp.store.record import RecordFilter

FROM = (State.HELD, State.REJECTED)


def give_back(acting: Acting, prefix: str, folder: Path | None, reason: str) -> tuple[Job, Path]:
    """Give the original of a job back into a folder; return the job and the new file, which only its owner may read.

    Without a folder, into the one where its counter gets what is handed back ([[folders]] returns).
    Denied where it is not held, under legal hold, or a state secret that may not lie open on this machine; UsageError
    for a folder that the gate itself works with.
    """
    if not reason.strip():
        raise UsageError(Say("须写明理由", "a reason is required"), Say("用 --reason 写明", "give it with --reason"))
    acting.person  # noqa: B018  whoever has not logged in is not told what there is
    job = acting.store.get(prefix)
    target = _folder(acting, _own_folder(acting, job) if folder is None else folder)
    name = _name(job)
    with _alone_in(target) as open_folder:
        _check(acting, job, "returning", {"to": str(target)})
        vault = open_vault(acting.config)
        if not vault.has(job.id):
            raise no_copy(job.id)
        body = vault.open(job.id, job.item.sha256)
        try:
            made = _write(open_folder, target, name, body, job)
        finally:
            os.close(body)
        try:
            returned = _settle(acting, job, reason.strip(), str(target))
        except BaseException:
            # The books may say so although this was cut off behind their commit: then it is the only copy left.
            if made and acting.store.get(job.id).state is not State.RETURNED:
                os.unlink(name, dir_fd=open_folder)
                durable.fsync_dir(open_folder)
            raise
    kept = acting.store.records(REVIEWS, RecordFilter(job=job.id))
    if not any(one.stays(returned.updated) for one in kept):
        vault.destroy(job.id)
    return returned, target / os.fsdecode(name)


def _check(acting: Acting, job: Job, kind: str, body: dict[str, str]) -> None:
    """Note that it begins, where it may; nothing is opened before."""
    with acting.demand(Operation.REVIEW_RETURN, job=job.id) as entry:
        no = _refusal(acting, entry, entry.job(job.id))
        if no is None:
            entry.append(acting.person.id, kind, job.id, body)
            return
        error = refused(entry, acting.person, Operation.REVIEW_RETURN, no, job=job.id)
    raise error


def _settle(acting: Acting, job: Job, reason: str, target: str) -> Job:
    """End the job: all that was asked before is asked again inside the transaction."""
    with acting.demand(Operation.REVIEW_RETURN, job=job.id) as entry:
        no = _refusal(acting, entry, entry.job(job.id))
        if no is None:
            note = Say("原件已退回送件人", "the original was given back to its sender")
            moved = entry.move(job.id, FROM, State.RETURNED, {"note": note})
            body = {"reason": reason, "to": target, "sha256": job.item.sha256, "state": moved.state.value}
            entry.append(acting.person.id, "returned", job.id, body)
            return moved
        error = refused(entry, acting.person, Operation.REVIEW_RETURN, no, job=job.id)
    raise error


def _refusal(acting: Acting, entry: Entry, job: Job) -> Denial | None:
    if job.state not in FROM:
        return Denial(
            why=Why.CLOSED,
            say=Say(
                f"任务 {job.id} 现为「{STATES[job.state].zh}」，不能退回",
                f"job {job.id} is {STATES[job.state].en}: it cannot be given back",
            ),
            hint=Say("只有隔离或已驳回的任务可以退回", "only what is held or rejected can be"),
        )
    check_claim(entry, job.id, acting.now(entry))
    return secret_here(acting, entry, job) or check_free(entry, job.id) or _frozen(entry, job)


def _frozen(entry: Entry, job: Job) -> Denial | None:
    """Return why a file stays where it is: it is frozen, and may be all the evidence there is."""
    say = Say(f"任务 {job.id} 的文件已冻结，不得退回", f"the file of job {job.id} is frozen and is not given back")
    return incident.stays(entry, job, say)


def _own_folder(acting: Acting, job: Job) -> Path:
    """Return the private folder of the counter that a job came from; UsageError where it came from a print queue."""
    spec = next((one for one in acting.config.folders if f"folder:{one.name}" == job.item.source), None)
    if spec is None:
        raise UsageError(
            Say(
                f"任务 {job.id} 来自打印队列，没有退还文件夹", f"job {job.id} came from a print queue: it has no folder"
            ),
            Say("在本机用 dlp quarantine return 写明文件夹", "use `dlp quarantine return` on this machine"),
        )
    spec.back.mkdir(mode=0o700, parents=True, exist_ok=True)
    return spec.back


def _folder(acting: Acting, folder: Path) -> Path:
    """Return the folder; UsageError where it is none, or the gate takes from it, releases to it or lives in it."""
    try:
        target = folder.resolve(strict=True)
    except OSError as err:
        raise UsageError(Say(f"没有文件夹 {folder}", f"there is no folder {folder}")) from err
    if not target.is_dir():
        raise UsageError(Say(f"不是文件夹：{folder}", f"this is no folder: {folder}"))
    config = acting.config
    own = [Path(config.vault.folder), Path(config.store.path).parent]
    own += [path for spec in config.folders for path in (spec.watch, spec.release)]
    for path in own:
        if target.is_relative_to(path.resolve()):
            raise UsageError(
                Say(f"不能退回到闸门自用的文件夹 {path}", f"the gate itself works with {path}"),
                Say("另选送件人的文件夹", "name a folder of the sender"),
            )
    return target


def _name(job: Job) -> bytes:
    """Return the name of the new file: the job, and its name as it is shown."""
    stem, dot, end = job.item.name.rpartition(".")
    if not stem or len(end.encode()) > 16:
        stem, dot, end = job.item.name, "", ""
    tail = f"{dot}{end}".encode()
    head = f"{job.id}-{stem}".encode()
    return names.shortened(head, names.NAME_MAX - len(tail)) + tail


@contextmanager
def _alone_in(folder: Path) -> Iterator[int]:
    """Give an open folder to one return at a time: of two at one job, none takes away what the other wrote."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _write(folder: int, path: Path, name: bytes, body: int, job: Job) -> bool:
    """Write the file, synced and read back; False where an earlier try, cut off, has written it already."""
    if _is_there(folder, name, job.item.sha256):
        return False
    part = f".{job.id}.part".encode()
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    try:
        _write_part(folder, part, body, job.item.sha256)
        durable.rename_new(folder, part, name)
        durable.fsync_dir(folder)
    except OSError as err:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise DlpError(
            Say(
                f"写不了文件夹 {path}：{err.strerror}；任务 {job.id} 未退回",
                f"{path} cannot be written: {err.strerror}",
            ),
            Say("检查空间、权限和同名文件", "check space, mode, and whether the name is taken"),
        ) from err
    return True


def _write_part(folder: int, part: bytes, body: int, sha256: str) -> None:
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        durable.copy_all(body, fd)
        os.fsync(fd)
        if durable.sha256_of(fd) != sha256:
            raise OSError(0, "what was written reads otherwise")
    finally:
        os.close(fd)


def _is_there(folder: int, name: bytes, sha256: str) -> bool:
    """Tell whether the file is there, whole; another one of its name is left alone, and the name counts as taken."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return False
    except OSError:
        return False  # a link or a folder: writing beside it tells that the name is taken
    try:
        about = os.fstat(fd)
        if about.st_uid != os.geteuid() or about.st_mode & 0o077 or durable.sha256_of(fd) != sha256:
            return False
        os.fsync(fd)  # the try that wrote it may have been cut off before the folder was synced
    finally:
        os.close(fd)
    durable.fsync_dir(folder)
    return True
