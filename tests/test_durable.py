"""The file-system steps: nothing overwritten, nothing half there, no link followed."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlp import durable

FULL_DISK = """
import os, resource, sys
from pathlib import Path
from dlp import durable

body = os.open(sys.argv[1], os.O_RDONLY)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    durable.write_new(Path(sys.argv[2]), body)
except OSError as err:
    sys.exit(err.errno)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """Give an fd of the temporary folder."""
    fd = durable.open_folder(tmp_path)
    yield fd
    os.close(fd)


@pytest.fixture
def body() -> Iterator[int]:
    """Give a frozen memory file that holds `new`."""
    fd = durable.memory_file("body")
    durable.write_all(fd, b"new")
    yield durable.freeze(fd)
    os.close(fd)


def names(root: Path) -> list[str]:
    """Give the names in a folder."""
    return sorted(p.name for p in root.iterdir())


@pytest.mark.parametrize("size", [0, 1, durable.CHUNK - 1, durable.CHUNK, durable.CHUNK + 1, 3 * durable.CHUNK + 7])
def test_hash_and_copy_are_of_all_bytes(tmp_path: Path, size: int) -> None:
    """Both begin at the start whatever the position, do not move it, and agree with hashlib."""
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    want = hashlib.sha256(content).hexdigest()
    with (tmp_path / "a").open("rb", buffering=0) as source, (tmp_path / "b").open("wb", buffering=0) as target:
        source.seek(size // 2)
        assert durable.sha256_of(source.fileno()) == want
        assert durable.copy_all(source.fileno(), target.fileno()) == want
        assert source.tell() == size // 2
    assert (tmp_path / "b").read_bytes() == content


def test_all_is_written_to_a_target_that_takes_little_at_a_time() -> None:
    """A pipe takes a part of what is given; write_all goes on until all of it went."""
    content = os.urandom(1 << 18)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        durable.write_all(child.stdin.fileno(), memoryview(content))
        child.stdin.close()
        assert child.stdout.read().strip() == hashlib.sha256(content).hexdigest()


def test_a_full_device_is_told() -> None:
    """The error of the device comes out as it is."""
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError) as caught:
            durable.write_all(fd, b"x")
    finally:
        os.close(fd)
    assert caught.value.errno == errno.ENOSPC


def test_a_new_file_is_whole(tmp_path: Path, body: int) -> None:
    """The file holds all bytes from the start of the body; nothing else is left beside it."""
    os.lseek(body, 2, os.SEEK_SET)
    durable.write_new(tmp_path / "副本.txt", body)
    assert (tmp_path / "副本.txt").read_bytes() == b"new"
    assert names(tmp_path) == ["副本.txt"]


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_write_new_never_overwrites(tmp_path: Path, body: int, kind: str) -> None:
    """Whatever holds the name already stays as it is, and no part is left."""
    out = tmp_path / "out"
    out.mkdir()
    target, victim = out / "a", tmp_path / "victim"
    if kind == "file":
        target.write_bytes(b"old")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(victim)
        if kind == "link":
            victim.write_bytes(b"old")
    before = target.lstat()
    with pytest.raises(FileExistsError):
        durable.write_new(target, body)
    assert target.lstat() == before
    assert names(out) == ["a"]
    assert victim.exists() is (kind == "link")
    assert kind != "link" or victim.read_bytes() == b"old"


def test_a_full_disk_leaves_no_part(tmp_path: Path) -> None:
    """When the bytes do not fit, neither the file nor its part is there afterwards."""
    (tmp_path / "source").write_bytes(bytes(400_000))
    (tmp_path / "out").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "source"), str(tmp_path / "out" / "a")], check=False
    )
    assert run.returncode == errno.EFBIG
    assert names(tmp_path / "out") == []


def test_a_missing_folder_is_told(tmp_path: Path, body: int) -> None:
    """No folder is made on the way."""
    with pytest.raises(FileNotFoundError):
        durable.write_new(tmp_path / "none" / "a", body)
    assert names(tmp_path) == []


def test_the_longest_name_can_be_written(tmp_path: Path, body: int) -> None:
    """A name of 255 bytes, the most a file system takes, has room for its part."""
    name = "件" * 83 + ".txtxx"
    assert len(name.encode()) == 255
    durable.write_new(tmp_path / name, body)
    assert names(tmp_path) == [name]


def test_rename_takes_a_free_name_only(tmp_path: Path, folder: int) -> None:
    """A free name is taken; a taken one (a dangling link too) is not, and both files stay."""
    (tmp_path / "a").write_bytes(b"a")
    durable.rename_new(folder, b"a", b"b")
    assert names(tmp_path) == ["b"]
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "link").symlink_to("nowhere")
    for taken in (b"b", b"link"):
        with pytest.raises(FileExistsError):
            durable.rename_new(folder, b"a", taken)
    assert names(tmp_path) == ["a", "b", "link"]
    assert (tmp_path / "b").read_bytes() == b"a"
    with pytest.raises(FileNotFoundError):
        durable.rename_new(folder, b"none", b"c")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_rename_does_without_the_kernel_call(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """On a share that knows no RENAME_NOREPLACE, nor even hard links, the promise is the same."""

    class OldKernel:
        def renameat2(self, *_: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(durable, "_LIBC", OldKernel())
    if not links:
        monkeypatch.setattr(os, "link", no_link)
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        durable.rename_new(folder, b"a", b"taken")
    assert (tmp_path / "taken").read_bytes() == b"old"
    durable.rename_new(folder, b"a", b"b")
    assert names(tmp_path) == ["b", "taken"]
    assert (tmp_path / "b").read_bytes() == b"a"


def test_a_folder_is_synced_by_path_or_descriptor(tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways sync that very folder and leave no descriptor; a link or a file is refused."""
    synced = []
    sync = os.fsync

    def watch(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(os, "fsync", watch)
    before = len(os.listdir("/proc/self/fd"))
    durable.fsync_dir(tmp_path)
    durable.fsync_dir(folder)
    assert synced == [tmp_path.stat().st_ino] * 2
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for wrong in ("link", "file", "none"):
        with pytest.raises(OSError):
            durable.fsync_dir(tmp_path / wrong)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_bytes_are_synced_before_the_name(tmp_path: Path, body: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the file, while its final name is still free; then the folder, once the name is there."""
    seen = []
    sync = os.fsync

    def watch(fd: int) -> None:
        seen.append((Path(f"/proc/self/fd/{fd}").is_dir(), (tmp_path / "a").exists()))
        sync(fd)

    monkeypatch.setattr(os, "fsync", watch)
    durable.write_new(tmp_path / "a", body)
    assert seen == [(False, False), (True, True)]


def test_folders_are_made_and_opened(tmp_path: Path) -> None:
    """Missing folders are made on request only; names are bytes, any bytes."""
    parts = ("甲".encode(), b"\xff\xfe", b"c")
    with pytest.raises(FileNotFoundError):
        durable.open_folder(tmp_path, parts)
    for _ in range(2):
        fd = durable.open_folder(tmp_path, parts, make=True)
        assert os.fstat(fd).st_ino == tmp_path.joinpath(*map(os.fsdecode, parts)).stat().st_ino
        os.close(fd)


@pytest.mark.parametrize("make", [True, False])
def test_no_link_is_followed_on_the_way(tmp_path: Path, make: bool) -> None:
    """A link as any component is refused, nothing is made behind it, no descriptor is left."""
    (tmp_path / "away").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "away")
    before = len(os.listdir("/proc/self/fd"))
    for parts in ((b"link",), (b"link", b"inner")):
        with pytest.raises(OSError) as caught:
            durable.open_folder(tmp_path / "root", parts, make=make)
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert names(tmp_path / "away") == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_frozen_memory_file_stays_as_it_is(body: int) -> None:
    """Nobody can write to it, also not through a second opening of it; reading begins at its start."""
    assert os.read(body, 9) == b"new"
    again = os.open(f"/proc/self/fd/{body}", os.O_RDWR)
    try:
        for fd in (body, again):
            with pytest.raises(PermissionError):
                os.pwrite(fd, b"x", 0)
            with pytest.raises(PermissionError):
                os.ftruncate(fd, 0)
    finally:
        os.close(again)


def test_two_readers_do_not_move_each_other(body: int) -> None:
    """Each reader has its own position, cannot write, and closing it leaves the descriptor open."""
    with durable.reader(body) as one, durable.reader(body) as two:
        assert one.read(2) == b"ne"
        assert two.read() == b"new"
        assert one.read() == b"w"
        assert not one.writable()
    assert os.pread(body, 9, 0) == b"new"


def test_descriptors_do_not_reach_a_child(tmp_path: Path, body: int, folder: int) -> None:
    """Memory files, folders and readers are closed when another program is started."""
    with durable.reader(body) as one:
        for fd in (body, folder, one.fileno()):
            assert not os.get_inheritable(fd)
