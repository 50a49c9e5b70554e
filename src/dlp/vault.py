"""The sealed place: age files named by job id, written so that a crash leaves a whole object or none.

Objects in flight have two recipients: the public key, whose private half may live elsewhere, and this machine's work
key, so that a crash can be resumed. What is held is re-sealed to the public key only: whoever steals the machine
cannot read the quarantine. Plaintext exists in memory files only (age: https://age-encryption.org/v1).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, cast

import pyrage
from pyrage import x25519

from dlp import durable
from dlp.errors import UsageError, VaultError
from dlp.model import Say
from dlp.store import Sealed

PRIVATE_MARK = "AGE-SECRET-KEY-"
MOST_KEY = 4_096  # bytes: a file of keys is never larger


class Taken(NamedTuple):
    """What a take gives: the sealed copy, and an fd of its frozen plaintext (None when it is above `keep`)."""

    sealed: Sealed
    body: int | None


Pieces = Callable[[int], bytes]
"""Gives at most so many next bytes, nothing at the end; OSError when whoever sends them broke off."""


def _file(fd: int) -> Pieces:
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        piece = os.pread(fd, size, at)
        at += len(piece)
        return piece

    return read


class _Tee:
    """A reader that hashes what it gives, counts it, and keeps a copy in a memory file up to a size."""

    def __init__(self, pieces: Pieces, copy: int, keep: int) -> None:
        self._pieces, self._copy, self._keep = pieces, copy, keep
        self._digest = hashlib.sha256()
        self.size = 0
        self.unread: OSError | None = None
        self.full: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            chunk = self._pieces(durable.CHUNK if size < 0 else min(size, durable.CHUNK))
        except OSError as err:
            self.unread = err  # the age library passes on that something failed, not what
            raise
        self._digest.update(chunk)
        if self.size + len(chunk) <= self._keep:
            try:
                durable.write_all(self._copy, chunk)
            except OSError as err:
                self.full = err
                raise
        self.size += len(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _Writer:
    """A writer over a raw descriptor; a full disk surfaces as OSError at the write."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._digest = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        if self._fd >= 0:
            try:
                durable.write_all(self._fd, data)
            except OSError as err:
                self.error = err  # the age library passes on that a write failed, not why
                raise
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here."""

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class Vault:
    """One vault folder with its keys. Thread-safe: every object is handled by the one thread that runs its job."""

    def __init__(
        self,
        folder: Path,
        public: x25519.Recipient,
        work: x25519.Identity,
        identity: Path,
        outside: Sequence[x25519.Recipient] = (),
    ) -> None:
        self._objects = folder / "q"
        self._outside = tuple(outside)
        self._public = public
        self._work = work
        self._identity_path = identity

    @classmethod
    def create(cls, folder: Path, *, identity: Path, work: Path, outside: Path | None = None) -> Self:
        """Open the vault at `folder`; at first start make the folder (0700) and the keys (0600).

        A key is never made anew beside objects that the old one sealed: VaultError then, and where the private key is
        here but does not belong to the public one. `outside` is a file of public keys whose private halves are on no
        machine of this gate; VaultError where one of them opens what this machine can open.
        """
        _private_folder(folder)
        _private_folder(folder / "q")
        recipient = folder / "recipient.txt"
        used = any((folder / "q").iterdir())
        for path in (recipient, work):
            if used and not path.exists():
                raise _damaged_key(path)
        if not recipient.exists():
            if not identity.exists():
                durable.replace(identity, _line(x25519.Identity.generate()))
            durable.replace(recipient, _line(read_identity(identity).to_public()))
        if not work.exists():
            durable.replace(work, _line(x25519.Identity.generate()))
        try:
            (public,) = read_recipients(recipient)
        except ValueError as err:
            raise _damaged_key(recipient) from err
        if identity.exists() and str(read_identity(identity).to_public()) != str(public):
            raise VaultError(
                Say(f"私钥 {identity} 与公钥 {recipient} 不配对", f"{identity} does not belong to {recipient}"),
                Say("请从备份恢复配对的密钥文件", "restore the pair from a backup"),
            )
        own = read_identity(work)
        others = read_recipients(outside) if outside is not None else ()
        if {str(public), str(own.to_public())} & {str(one) for one in others}:
            raise VaultError(
                Say(f"{outside} 中有本机密钥的公钥", f"{outside} names a key that is on this machine"),
                Say("须用私钥不在本机的公钥", "name public keys whose private halves are elsewhere"),
            )
        return cls(folder, public, own, identity, others)

    @property
    def can_open(self) -> bool:
        """Tell whether the private key is on this machine."""
        return self._identity_path.is_file()

    def take(self, source: int | Pieces, id: str, *, keep: int) -> Taken:  # noqa: A002  the job's word
        """Seal all bytes of an open file, or those that somebody sends, as object `id`.

        Keeps a frozen memory copy of up to `keep` bytes. Written beside, synced, the file checked for change, renamed,
        the folder synced, then read back, decrypted and compared. VaultError when there is no room, the file changed
        or the sender broke off: the source is untouched, nothing is left.
        """
        pieces, check = _checked(source, id)
        copy = durable.memory_file(id)
        try:
            tee = _Tee(pieces, copy, keep)
            sealed_size = self._seal(tee, id, [self._public, self._work.to_public()], check)
            sealed = Sealed(id=id, sha256=tee.sha256, size=tee.size, sealed_size=sealed_size)
            self._compare(id, sealed.sha256)
        except BaseException:
            os.close(copy)
            raise
        if tee.size > keep:
            os.close(copy)
            return Taken(sealed, None)
        return Taken(sealed, durable.freeze(copy))

    def open(self, id: str, sha256: str) -> int:  # noqa: A002  the job's word
        """Return an fd of the frozen plaintext of object `id`, its hash compared with `sha256`."""
        copy = durable.memory_file(id)
        try:
            writer = _Writer(copy)
            self._decrypt(id, writer, self._identities())
        except BaseException:
            os.close(copy)
            raise
        if writer.sha256 != sha256:
            os.close(copy)
            raise _damaged(id)
        return durable.freeze(copy)

    def close_to_public(self, id: str, body: int | None) -> None:  # noqa: A002  the job's word
        """Re-seal object `id` so that only the private key opens it; `body` is its plaintext when that is at hand.

        Idempotent: an object that the work key cannot open any more is left as it is.
        """
        if body is None:
            body = self._plain_by_work_key(id)
            if body is None:
                return
            try:
                self.close_to_public(id, body)
            finally:
                os.close(body)
            return
        self._seal(_Tee(_file(body), -1, -1), id, [self._public], lambda: None)

    @property
    def has_outside(self) -> bool:
        """Tell whether there are keys outside this machine to seal to."""
        return bool(self._outside)

    def close_outside(self, id: str, body: int | None) -> None:  # noqa: A002  the job's word
        """Re-seal object `id` so that no key of this machine opens it; `body` is its plaintext when that is at hand.

        Idempotent as `close_to_public` is. VaultError where there is no key outside.
        """
        if not self._outside:
            raise VaultError(
                Say("没有配置机外公钥", "there is no key outside this machine"),
                Say("在 [vault] outside 写明", "name one in [vault] outside"),
            )
        plain = self._plain_by_work_key(id) if body is None else body
        if plain is None:
            return
        try:
            self._seal(_Tee(_file(plain), -1, -1), id, self._outside, lambda: None)
        finally:
            if body is None:
                os.close(plain)

    def copy_out(self, id: str, target: Path) -> None:  # noqa: A002  the job's word
        """Write object `id` to a new file as it is, sealed. VaultError when there is none; OSError for the target."""
        try:
            fd = os.open(self._path(id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as err:
            raise _no_object(id) from err
        try:
            durable.write_new(target, fd)
        finally:
            os.close(fd)

    def keep_outgoing(self, id: str, body: int) -> None:  # noqa: A002  the job's word
        """Seal what is to leave for job `id`, where that is not the object as it was taken, until it has left."""
        own = outgoing(id)
        self._seal(_Tee(_file(body), -1, -1), own, [self._public, self._work.to_public()], lambda: None)

    def destroy(self, id: str) -> None:  # noqa: A002  the job's word
        """Remove object `id`; nothing happens when it is gone already."""
        with suppress(FileNotFoundError):
            self._path(id).unlink()
            durable.fsync_dir(self._objects)

    def has(self, id: str) -> bool:  # noqa: A002  the job's word
        """Tell whether there is a whole object `id`."""
        return self._path(id).is_file()

    def ids(self) -> frozenset[str]:
        """Return the ids of all whole objects."""
        return frozenset(p.stem for p in self._objects.glob("*.age"))

    def drop_unfinished(self) -> int:
        """Remove what a crash left half-written; return how many. Whole objects are never touched."""
        parts = list(self._objects.glob("*.tmp"))
        for part in parts:
            part.unlink()
        if parts:
            durable.fsync_dir(self._objects)
        return len(parts)

    def lock_text(self, raw: bytes) -> bytes:
        """Return a short secret (such as a true file name) sealed to the public key and the work key."""
        return cast("bytes", pyrage.encrypt(raw, [self._public, self._work.to_public()]))

    def unlock_text(self, sealed: bytes) -> bytes:
        """Return the secret that `lock_text` sealed; VaultError when it is damaged."""
        try:
            return cast("bytes", pyrage.decrypt(sealed, [self._work]))
        except pyrage.DecryptError as err:
            raise VaultError(
                Say("密封的文件名无法打开", "a sealed file name cannot be opened"),
                Say("在途密钥可能已更换，请恢复 work.age-key", "the work key may have been replaced; restore it"),
            ) from err

    def _path(self, id: str) -> Path:  # noqa: A002  the job's word
        return self._objects / f"{id}.age"

    def _seal(self, tee: _Tee, id: str, recipients: Sequence[x25519.Recipient], check: Callable[[], None]) -> int:  # noqa: A002
        part = self._objects / f"{id}.tmp"
        writer = _Writer(-1)
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                writer = _Writer(fd)
                pyrage.encrypt_io(cast("BinaryIO", tee), cast("BinaryIO", writer), list(recipients))
                os.fsync(fd)
            finally:
                os.close(fd)
            check()
            _read_back(part, writer.sha256, id)
            part.rename(self._path(id))
            durable.fsync_dir(self._objects)
        except VaultError:
            part.unlink(missing_ok=True)
            raise
        except (OSError, pyrage.EncryptError) as err:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            if tee.unread is not None:
                raise _unread(tee.unread) from err
            raise _no_room(self._objects, writer.error or tee.full or err) from err
        return writer.size

    def _compare(self, id: str, sha256: str) -> None:  # noqa: A002  the job's word
        writer = _Writer(-1)
        try:
            self._decrypt(id, writer, [self._work])
            if writer.sha256 != sha256:
                raise _damaged(id)
        except VaultError:
            self.destroy(id)
            raise

    def _decrypt(self, id: str, writer: _Writer, identities: list[x25519.Identity]) -> None:  # noqa: A002
        try:
            with self._path(id).open("rb") as file:
                pyrage.decrypt_io(file, cast("BinaryIO", writer), identities)
        except FileNotFoundError as err:
            raise _no_object(id) from err
        except pyrage.DecryptError as err:
            if self.can_open:
                raise _damaged(id) from err
            raise VaultError(
                Say(f"本机没有打开 {id} 的私钥", f"the private key that opens {id} is not on this machine"),
                Say("请在保管私钥的机器上处理（vault.identity）", "use the machine that holds it (vault.identity)"),
            ) from err
        except OSError as err:  # the age library tells of a damaged or cut payload so, without an errno
            raise (_no_room(self._objects, writer.error) if writer.error else _damaged(id)) from err

    def _identities(self) -> list[x25519.Identity]:
        return [self._work, read_identity(self._identity_path)] if self.can_open else [self._work]

    def _plain_by_work_key(self, id: str) -> int | None:  # noqa: A002  the job's word
        copy = durable.memory_file(id)
        try:
            with self._path(id).open("rb") as file:
                pyrage.decrypt_io(file, cast("BinaryIO", _Writer(copy)), [self._work])
        except (pyrage.DecryptError, FileNotFoundError):
            os.close(copy)
            return None
        except OSError as err:
            os.close(copy)
            raise _damaged(id) from err
        except BaseException:
            os.close(copy)
            raise
        return durable.freeze(copy)


def outgoing(id: str) -> str:  # noqa: A002  the job's word
    """Return the id of the object that holds what is to leave for job `id`."""
    return f"{id}{_OUTGOING}"


def owner(id: str) -> str:  # noqa: A002  the object's
    """Return the id of the job that an object belongs to."""
    return id.removesuffix(_OUTGOING)


_OUTGOING = ".out"


def _checked(source: int | Pieces, id: str) -> tuple[Pieces, Callable[[], None]]:  # noqa: A002  the job's word
    """Return how a source is read, and what looks whether it stayed the same meanwhile."""
    if not isinstance(source, int):
        return source, lambda: None
    before = _print_of(source)
    return _file(source), lambda: _same(source, before, id)


def _print_of(fd: int) -> tuple[int, int, int, int, int]:
    about = os.fstat(fd)
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _same(fd: int, before: tuple[int, int, int, int, int], id: str) -> None:  # noqa: A002  the job's word
    if _print_of(fd) != before:
        raise VaultError(
            Say(f"取件时文件仍在变化（任务 {id}）", f"the file changed while it was taken (job {id})"),
            Say("写完后会自动重新取件", "it is taken again once it is written"),
        )


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
    except OSError as err:
        raise VaultError(
            Say(f"隔离库文件夹不可用：{folder}", f"the vault folder {folder} cannot be used"),
            Say("检查路径和权限", "check path and permissions"),
        ) from err
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise VaultError(
            Say(f"隔离库不是本用户的文件夹：{folder}", f"{folder} is not a folder of this user"),
            Say("改用本用户所有、非链接的文件夹", "use a folder that this user owns and that is no link"),
        )
    if about.st_mode & 0o077:
        folder.chmod(0o700)


def _line(key: x25519.Identity | x25519.Recipient) -> bytes:
    return f"{key}\n".encode("ascii")


def read_identity(path: Path) -> x25519.Identity:
    """Return the private key in a file of age; VaultError when it is damaged, missing, or open to others."""
    try:
        about = path.lstat()
    except OSError as err:
        raise _damaged_key(path) from err
    if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077:
        raise VaultError(
            Say(f"密钥文件权限过宽：{path}", f"others may read the key file {path}"),
            Say(f"chmod 600 {path}", f"chmod 600 {path}"),
        )
    try:
        return x25519.Identity.from_str(_keys_in(path)[0])
    except (OSError, UnicodeDecodeError, IndexError, pyrage.IdentityError) as err:
        raise _damaged_key(path) from err


def identity_in(raw: bytes) -> x25519.Identity:
    """Return the private key in the bytes of a key file of age; UsageError where there is none."""
    try:
        lines = [line.strip() for line in raw.decode("ascii").splitlines()]
        return x25519.Identity.from_str(next(line for line in lines if line and not line.startswith("#")))
    except (UnicodeDecodeError, StopIteration, pyrage.IdentityError) as err:
        raise UsageError(
            Say("这不是私钥文件", "this is no private key file"),
            Say("选择 dlp backup keygen 写出的私钥文件", "choose the one that `dlp backup keygen` wrote"),
        ) from err


def read_recipients(path: Path) -> tuple[x25519.Recipient, ...]:
    """Return the public keys in a file of age; VaultError when it holds none, or cannot be read."""
    try:
        found = tuple(x25519.Recipient.from_str(line) for line in _keys_in(path))
    except (OSError, UnicodeDecodeError, pyrage.RecipientError) as err:
        raise _damaged_key(path) from err
    if not found:
        raise _damaged_key(path)
    return found


def private_halves(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the private keys of age that lie in these folders, by their public halves; what is no key is passed by."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*")):
            try:
                if path.is_file() and path.stat().st_size <= MOST_KEY:
                    mine = (line for line in _keys_in(path) if line.startswith(PRIVATE_MARK))
                    found |= {str(x25519.Identity.from_str(line).to_public()): path for line in mine}
            except (OSError, UnicodeDecodeError, pyrage.IdentityError):
                continue  # not to be read by whoever asks, or no key
    return found


def _keys_in(path: Path) -> list[str]:
    """Return the lines of a key file that are no remarks: age writes when a key was made above it."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _damaged_key(path: Path) -> VaultError:
    return VaultError(
        Say(f"密钥文件缺失或损坏：{path}", f"the key file {path} is missing or damaged"),
        Say(
            "请从备份恢复；没有它，已密封的文件打不开",
            "restore it from a backup; sealed files cannot be opened without it",
        ),
    )


def _read_back(path: Path, sha256: str, id: str) -> None:  # noqa: A002  the job's word
    """Compare what the disk holds with what was written; the object it will replace is still whole."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if durable.sha256_of(fd) != sha256:
            raise _damaged(id)
    finally:
        os.close(fd)


def _unread(err: Exception) -> VaultError:
    why = getattr(err, "strerror", None) or type(err).__name__
    return VaultError(
        Say(f"原文件读取失败：{why}；文件原样保留", f"reading the file failed: {why}; it stays where it is"),
        Say("请检查存放该文件的磁盘或网络共享", "check the disk or network share that holds it"),
    )


def _no_object(id: str) -> VaultError:  # noqa: A002  the job's word
    return VaultError(
        Say(f"隔离库中没有 {id}", f"there is no object {id} in the vault"),
        Say("它可能已被销毁；请查审计记录", "it may have been destroyed; see the audit trail"),
    )


def _damaged(id: str) -> VaultError:  # noqa: A002  the job's word
    return VaultError(
        Say(f"密封件校验不符：{id}", f"the sealed object {id} is not what was sealed"),
        Say("文件未放行；请检查磁盘并从备份恢复", "nothing was released; check the disk and restore a backup"),
    )


def _no_room(folder: Path, err: Exception) -> VaultError:
    code = getattr(err, "errno", None)
    full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    what = Say("隔离库已满", "the vault is full") if full else Say("隔离库写入失败", "the vault cannot be written")
    return VaultError(
        Say(f"{what.zh}：{folder}；文件原样保留", f"{what.en}: {folder}; the file stays where it is"),
        Say("请清理或扩充磁盘，随后会自动重试", "make room on the disk; it is tried again by itself"),
    )
