"""The vault: what is taken is sealed, whole, and opened by the right keys only."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyrage import x25519

from dlp.errors import VaultError
from dlp.vault import Pieces, Taken, Vault, outgoing, owner

ID = "01J0000000000000000000000A"
KEEP = 1 << 20
SECRET = b"\xe6\x9c\xba\xe5\xaf\x86 the plaintext that must not be found again "

FULL_DISK = """
import os, resource, sys
from pathlib import Path
from dlp.errors import VaultError
from dlp.vault import Vault

root, keep = Path(sys.argv[1]), int(sys.argv[2])
vault = Vault.create(root / "vault", identity=root / "identity.age-key", work=root / "work.age-key")
fd = os.open(root / "source", os.O_RDONLY)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    vault.take(fd, sys.argv[3], keep=keep)
except VaultError as err:
    print(err.say.en)
    sys.exit(7)
"""


def open_vault(root: Path) -> Vault:
    """Open the vault of this test; its keys lie beside it."""
    return Vault.create(root / "vault", identity=root / "identity.age-key", work=root / "work.age-key")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Give a new vault."""
    return open_vault(tmp_path)


@contextmanager
def source(root: Path, content: bytes) -> Iterator[int]:
    """Give an fd of a new source file."""
    path = root / "source"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def take(vault: Vault, root: Path, content: bytes, *, keep: int = KEEP) -> Taken:
    """Take a file with this content as object ID; the kept copy is closed by the caller."""
    with source(root, content) as fd:
        return vault.take(fd, ID, keep=keep)


def seal(vault: Vault, root: Path, content: bytes) -> str:
    """Take a file and close the kept copy; return the plaintext's SHA-256."""
    taken = take(vault, root, content)
    if taken.body is not None:
        os.close(taken.body)
    return taken.sealed.sha256


def content_of(fd: int) -> bytes:
    """Read all of a descriptor and close it."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


def object_of(root: Path) -> Path:
    """Give the path of the sealed object ID."""
    return root / "vault" / "q" / f"{ID}.age"


def left(root: Path) -> list[str]:
    """Give the names in the folder of objects."""
    return sorted(p.name for p in (root / "vault" / "q").iterdir())


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, (1 << 20) - 1, 1 << 20, (2 << 20) + 17])
def test_what_was_taken_opens_as_it_was(vault: Vault, tmp_path: Path, size: int) -> None:
    """Sizes around age's 64 KiB chunk and our own 1 MiB come back byte for byte, with true hash and sizes."""
    content = os.urandom(size)
    taken = take(vault, tmp_path, content, keep=4 << 20)
    assert taken.sealed.id == ID
    assert taken.sealed.sha256 == hashlib.sha256(content).hexdigest()
    assert taken.sealed.size == size
    assert taken.sealed.sealed_size == object_of(tmp_path).stat().st_size
    assert taken.body is not None
    assert content_of(taken.body) == content
    assert content_of(vault.open(ID, taken.sealed.sha256)) == content
    assert vault.ids() == {ID}


def test_the_object_is_age_and_shows_no_plaintext(vault: Vault, tmp_path: Path) -> None:
    """No file of the vault folder holds a recognisable piece of what was taken; the object is an age file."""
    seal(vault, tmp_path, SECRET * 5000)
    assert object_of(tmp_path).read_bytes().startswith(b"age-encryption.org/v1\n")
    for path in (tmp_path / "vault").rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert not any(SECRET[i : i + 12] in raw for i in range(len(SECRET) - 12)), path.name
    assert left(tmp_path) == [f"{ID}.age"]


def test_equal_files_are_sealed_differently(vault: Vault, tmp_path: Path) -> None:
    """The sealed bytes do not tell whether the same file came twice."""
    with source(tmp_path, SECRET) as fd:
        for name in ("A", "B"):
            vault.take(fd, name, keep=0)
    first, second = (p.read_bytes() for p in sorted((tmp_path / "vault" / "q").iterdir()))
    assert first != second


def test_keys_and_folders_belong_to_one_user(vault: Vault, tmp_path: Path) -> None:
    """Keys and objects are 0600, folders 0700."""
    seal(vault, tmp_path, SECRET)
    for name in ("identity.age-key", "work.age-key", "vault/recipient.txt", f"vault/q/{ID}.age"):
        assert (tmp_path / name).stat().st_mode & 0o7777 == 0o600, name
    for name in ("vault", "vault/q"):
        assert (tmp_path / name).stat().st_mode & 0o7777 == 0o700, name


def test_a_wide_vault_folder_is_narrowed(tmp_path: Path) -> None:
    """A folder that others could enter is 0700 after the start."""
    (tmp_path / "vault").mkdir(mode=0o755)
    (tmp_path / "vault").chmod(0o777)
    open_vault(tmp_path)
    assert (tmp_path / "vault").stat().st_mode & 0o7777 == 0o700


def test_a_linked_vault_folder_is_refused(tmp_path: Path) -> None:
    """A vault folder that is a link leads nobody elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "vault").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultError):
        open_vault(tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_second_start_keeps_the_keys(vault: Vault, tmp_path: Path) -> None:
    """Keys are made once; a vault opened again opens what the first one sealed."""
    sha256 = seal(vault, tmp_path, SECRET)
    keys = [(tmp_path / n).read_bytes() for n in ("identity.age-key", "work.age-key", "vault/recipient.txt")]
    assert content_of(open_vault(tmp_path).open(ID, sha256)) == SECRET
    assert keys == [(tmp_path / n).read_bytes() for n in ("identity.age-key", "work.age-key", "vault/recipient.txt")]


def test_a_file_that_changes_while_it_is_taken_is_left_alone(vault: Vault, tmp_path: Path) -> None:
    """A writer that goes on writing during the take makes a VaultError, and nothing is left in the vault."""
    stop, begun = threading.Event(), threading.Event()

    def scribble(path: Path) -> None:
        with path.open("r+b", buffering=0) as file:
            while not stop.is_set():
                os.pwrite(file.fileno(), os.urandom(1), 0)
                begun.set()

    with source(tmp_path, bytes(24 << 20)) as fd:
        writer = threading.Thread(target=scribble, args=(tmp_path / "source",))
        writer.start()
        try:
            assert begun.wait(30)
            with pytest.raises(VaultError, match="changed"):
                vault.take(fd, ID, keep=KEEP)
        finally:
            stop.set()
            writer.join()
    assert left(tmp_path) == []
    assert (tmp_path / "source").stat().st_size == 24 << 20


@pytest.mark.parametrize("keep", [0, 1 << 20])
def test_a_full_disk_leaves_nothing(vault: Vault, tmp_path: Path, keep: int) -> None:
    """When the object (or the memory copy) cannot grow, the take says so, nothing is left, the source is whole."""
    content = os.urandom(400_000)
    (tmp_path / "source").write_bytes(content)
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), str(keep), ID], capture_output=True, text=True, check=False
    )
    assert run.returncode == 7, run.stderr
    assert "full" in run.stdout
    assert left(tmp_path) == []
    assert (tmp_path / "source").read_bytes() == content


def test_a_full_disk_keeps_the_sealed_object(vault: Vault, tmp_path: Path) -> None:
    """When there is no room to re-seal an object, the one that was sealed first stays and opens."""
    content = os.urandom(400_000)
    sha256 = seal(vault, tmp_path, content)
    code = FULL_DISK.replace("vault.take(fd, sys.argv[3], keep=keep)", "vault.close_to_public(sys.argv[3], fd)")
    assert code != FULL_DISK
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "0", ID], capture_output=True, text=True, check=False
    )
    assert run.returncode == 7, run.stderr
    assert left(tmp_path) == [f"{ID}.age"]
    assert content_of(vault.open(ID, sha256)) == content


@pytest.mark.parametrize("place", [30, 5000])
def test_a_disk_that_lies_is_found_at_the_take(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """The object is read back: a byte that the disk changed fails the take, and the bad object is not left."""
    sync = os.fsync

    def lie(fd: int) -> None:
        sync(fd)
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".tmp":
            os.pwrite(fd, b"\x00\xff", place)

    monkeypatch.setattr(os, "fsync", lie)
    with pytest.raises(VaultError, match="not what was sealed"):
        seal(vault, tmp_path, os.urandom(20_000))
    assert left(tmp_path) == []


def test_in_flight_the_work_key_is_enough(vault: Vault, tmp_path: Path) -> None:
    """A crash is resumed on a machine that holds no private key."""
    sha256 = seal(vault, tmp_path, SECRET)
    (tmp_path / "identity.age-key").unlink()
    assert not vault.can_open
    assert content_of(vault.open(ID, sha256)) == SECRET


@pytest.mark.parametrize("at_hand", [True, False], ids=["body", "no body"])
def test_what_is_held_opens_with_the_private_key_only(vault: Vault, tmp_path: Path, at_hand: bool) -> None:
    """After close_to_public the work key is worth nothing; the private key still opens."""
    taken = take(vault, tmp_path, SECRET)
    assert taken.body is not None
    vault.close_to_public(ID, taken.body if at_hand else None)
    os.close(taken.body)
    assert content_of(vault.open(ID, taken.sealed.sha256)) == SECRET
    (tmp_path / "identity.age-key").rename(tmp_path / "safe")
    with pytest.raises(VaultError, match="not on this machine"):
        vault.open(ID, taken.sealed.sha256)
    (tmp_path / "safe").rename(tmp_path / "identity.age-key")
    assert content_of(vault.open(ID, taken.sealed.sha256)) == SECRET
    assert left(tmp_path) == [f"{ID}.age"]


def test_closing_twice_changes_nothing(vault: Vault, tmp_path: Path) -> None:
    """The second close_to_public leaves the object as it is, byte for byte."""
    seal(vault, tmp_path, SECRET)
    vault.close_to_public(ID, None)
    closed = object_of(tmp_path).read_bytes()
    vault.close_to_public(ID, None)
    assert object_of(tmp_path).read_bytes() == closed


def test_a_vault_can_live_with_the_public_key_alone(tmp_path: Path) -> None:
    """With recipient.txt laid down before, no private key is ever made on this machine."""
    private = x25519.Identity.generate()
    (tmp_path / "vault").mkdir(mode=0o700)
    (tmp_path / "vault" / "recipient.txt").write_text(f"{private.to_public()}\n")
    vault = open_vault(tmp_path)
    sha256 = seal(vault, tmp_path, SECRET)
    vault.close_to_public(ID, None)
    assert not (tmp_path / "identity.age-key").exists()
    with pytest.raises(VaultError):
        vault.open(ID, sha256)
    (tmp_path / "identity.age-key").touch(0o600)
    (tmp_path / "identity.age-key").write_text(str(private))
    assert content_of(vault.open(ID, sha256)) == SECRET


def test_a_stranger_opens_nothing(vault: Vault, tmp_path: Path) -> None:
    """Keys of another vault do not open the object, and it does not pass for absent."""
    sha256 = seal(vault, tmp_path, SECRET)
    (tmp_path / "other").mkdir()
    other = open_vault(tmp_path / "other")
    object_of(tmp_path).rename(object_of(tmp_path / "other"))
    with pytest.raises(VaultError):
        other.open(ID, sha256)


def test_destroy_is_idempotent(vault: Vault, tmp_path: Path) -> None:
    """What is destroyed is gone, does not open, and may be destroyed again."""
    sha256 = seal(vault, tmp_path, SECRET)
    vault.destroy(ID)
    vault.destroy(ID)
    assert vault.ids() == frozenset()
    assert left(tmp_path) == []
    with pytest.raises(VaultError, match="no object"):
        vault.open(ID, sha256)


@pytest.mark.parametrize(("size", "kept"), [(999, True), (1000, True), (1001, False), (3 << 20, False)])
def test_a_copy_is_kept_up_to_the_size_asked_for(vault: Vault, tmp_path: Path, size: int, kept: bool) -> None:
    """`keep` is the last size that stays in memory; above it the object still opens."""
    content = os.urandom(size)
    taken = take(vault, tmp_path, content, keep=1000)
    assert (taken.body is not None) is kept
    if taken.body is not None:
        os.close(taken.body)
    assert content_of(vault.open(ID, taken.sealed.sha256)) == content


@pytest.mark.parametrize("way", ["take", "open"])
def test_plaintext_in_memory_cannot_be_changed(vault: Vault, tmp_path: Path, way: str) -> None:
    """The kernel refuses to write, grow or shrink the plaintext, and to take the seals off."""
    taken = take(vault, tmp_path, SECRET)
    assert taken.body is not None
    body = taken.body
    if way == "open":
        os.close(body)
        body = vault.open(ID, taken.sealed.sha256)
    try:
        for change in (
            lambda: os.pwrite(body, b"x", 0),
            lambda: os.ftruncate(body, 1),
            lambda: os.ftruncate(body, 1 << 16),
            lambda: fcntl.fcntl(body, fcntl.F_ADD_SEALS, 0),
        ):
            with pytest.raises(PermissionError):
                change()
        assert os.pread(body, 1 << 16, 0) == SECRET
    finally:
        os.close(body)


@pytest.mark.parametrize("place", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("damage", ["flip", "cut", "append", "empty"])
def test_a_damaged_object_is_refused(vault: Vault, tmp_path: Path, damage: str, place: float) -> None:
    """A flipped bit, a cut or added bytes anywhere is a VaultError, never other content and never a bare OSError."""
    sha256 = seal(vault, tmp_path, os.urandom(200_000))
    raw = bytearray(object_of(tmp_path).read_bytes())
    at = int(len(raw) * place)
    if damage == "flip":
        raw[at] ^= 1
    else:
        raw = {"cut": raw[:at], "append": raw + raw[at : at + 9], "empty": bytearray()}[damage]
    object_of(tmp_path).write_bytes(raw)
    with pytest.raises(VaultError, match="not what was sealed"):
        vault.open(ID, sha256)
    assert object_of(tmp_path).read_bytes() == raw


def test_a_damaged_object_is_not_sealed_again(vault: Vault, tmp_path: Path) -> None:
    """Re-sealing refuses a damaged payload instead of sealing a part of it."""
    seal(vault, tmp_path, os.urandom(200_000))
    raw = object_of(tmp_path).read_bytes()[:-100]
    object_of(tmp_path).write_bytes(raw)
    with pytest.raises(VaultError, match="not what was sealed"):
        vault.close_to_public(ID, None)
    assert object_of(tmp_path).read_bytes() == raw


def test_another_whole_object_in_its_place_is_refused(vault: Vault, tmp_path: Path) -> None:
    """An object that opens but holds something else than the books say does not pass."""
    sha256 = seal(vault, tmp_path, SECRET)
    seal(vault, tmp_path, b"something else")
    with pytest.raises(VaultError, match="not what was sealed"):
        vault.open(ID, sha256)


@pytest.mark.parametrize("key", ["identity.age-key", "work.age-key"])
@pytest.mark.parametrize("fault", ["link", "group", "others", "garbage", "empty", "folder", "fifo"])
def test_a_bad_key_file_is_refused(vault: Vault, tmp_path: Path, key: str, fault: str) -> None:
    """A key that is a link, no file, readable by others, or no key is a VaultError, not a silent new key."""
    sha256 = seal(vault, tmp_path, SECRET)
    path = tmp_path / key
    if fault in ("group", "others"):
        path.chmod(0o640 if fault == "group" else 0o604)
    elif fault in ("garbage", "empty"):
        path.write_text("no key 密钥" if fault == "garbage" else "", encoding="utf-8")
    else:
        path.rename(tmp_path / "moved")
        if fault == "link":
            path.symlink_to(tmp_path / "moved")
        elif fault == "folder":
            path.mkdir()
        else:
            os.mkfifo(path, 0o600)
    if key == "work.age-key":
        with pytest.raises(VaultError):
            open_vault(tmp_path)
    elif fault in ("folder", "fifo"):
        assert not vault.can_open
    else:
        with pytest.raises(VaultError):
            vault.open(ID, sha256)


def test_a_damaged_public_key_is_refused(vault: Vault, tmp_path: Path) -> None:
    """Nothing is sealed to a recipient that cannot be read."""
    for text in ("", "age1nonsense", "公钥"):
        (tmp_path / "vault" / "recipient.txt").write_text(text, encoding="utf-8")
        with pytest.raises(VaultError):
            open_vault(tmp_path)


def test_a_short_secret_is_locked_and_unlocked(vault: Vault) -> None:
    """A true file name comes back, shows nothing in between, and a damaged one is refused."""
    raw = "绝密★关于某事的通知.docx".encode()
    sealed = vault.lock_text(raw)
    assert raw not in sealed
    assert vault.unlock_text(sealed) == raw
    assert vault.unlock_text(vault.lock_text(b"")) == b""
    for damaged in (sealed[:-1], sealed[:40], b"", sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(VaultError):
            vault.unlock_text(damaged)


def test_what_a_crash_left_is_dropped(vault: Vault, tmp_path: Path) -> None:
    """Half-written objects go, whole ones stay, and a take of the same id goes through afterwards."""
    sha256 = seal(vault, tmp_path, SECRET)
    for name in (f"{ID}.tmp", "other.tmp"):
        (tmp_path / "vault" / "q" / name).write_bytes(b"half")
    assert vault.ids() == {ID}
    assert vault.drop_unfinished() == 2
    assert vault.drop_unfinished() == 0
    assert content_of(vault.open(ID, sha256)) == SECRET
    assert seal(vault, tmp_path, SECRET) == sha256


def test_a_link_in_the_place_of_the_part_is_not_followed(vault: Vault, tmp_path: Path) -> None:
    """A link where the half-written object goes is not written through."""
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "vault" / "q" / f"{ID}.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(VaultError):
        seal(vault, tmp_path, SECRET)
    assert (tmp_path / "victim").read_bytes() == b"mine"


def sent(content: bytes, *, piece: int = 10_000, breaks: bool = False) -> Pieces:
    """Return bytes as a sender gives them, who may break off at the end instead of ending."""
    left = io.BytesIO(content)

    def read(size: int) -> bytes:
        taken = left.read(min(size, piece))
        if not taken and breaks:
            raise ConnectionResetError("the sender is gone")
        return taken

    return read


@pytest.mark.parametrize("size", [0, 1, 9_999, 10_000, 65_536, 300_001])
def test_what_somebody_sends_is_sealed_piece_by_piece(vault: Vault, size: int) -> None:
    """Bytes that come in pieces open as they were sent, with their hash and size."""
    content = os.urandom(size)
    taken = vault.take(sent(content), ID, keep=KEEP)
    assert (taken.sealed.sha256, taken.sealed.size) == (hashlib.sha256(content).hexdigest(), size)
    fd = vault.open(ID, taken.sealed.sha256)
    assert os.pread(fd, size + 1, 0) == content
    os.close(fd)
    assert taken.body is not None
    os.close(taken.body)


def test_a_sender_who_breaks_off_leaves_nothing(vault: Vault, tmp_path: Path) -> None:
    """Half a document is no document: nothing is kept, and it is told."""
    with pytest.raises(VaultError):
        vault.take(sent(SECRET * 500, breaks=True), ID, keep=KEEP)
    assert list((tmp_path / "vault" / "q").iterdir()) == []


def test_what_is_to_leave_has_an_object_of_its_own(vault: Vault, tmp_path: Path) -> None:
    """The copy that leaves is sealed beside its original, belongs to the same job, and opens by its own hash."""
    seal(vault, tmp_path, SECRET)
    copy = b"a copy without the secret"
    with source(tmp_path, copy) as fd:
        vault.keep_outgoing(ID, fd)
    assert vault.ids() == {ID, outgoing(ID)}
    assert {owner(one) for one in vault.ids()} == {ID}
    fd = vault.open(outgoing(ID), hashlib.sha256(copy).hexdigest())
    assert os.pread(fd, 100, 0) == copy
    os.close(fd)
    with pytest.raises(VaultError):
        vault.open(outgoing(ID), hashlib.sha256(SECRET).hexdigest())


def test_no_descriptor_is_left_open(vault: Vault, tmp_path: Path) -> None:
    """Success and failure both close what they opened."""
    sha256 = seal(vault, tmp_path, SECRET)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        seal(vault, tmp_path, SECRET)
        os.close(vault.open(ID, sha256))
        with pytest.raises(VaultError):
            vault.open(ID, "0" * 64)
        with pytest.raises(VaultError):
            vault.open("nothing", sha256)
        vault.close_to_public(ID, None)
        vault.close_to_public(ID, None)
    assert len(os.listdir("/proc/self/fd")) == before
