"""Bad files and bad luck: each is said clearly, held or left untouched, and the next file is handled."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dlp import config
from dlp.model import Item, State
from dlp.service.keys import new_id
from dlp.service.places import open_vault
from dlp.store import Job
from dlp.store.sqlite import SqliteStore
from makers import docx_of, encrypted_docx, entity_bomb, zip_bomb
from pdf_makers import encrypted_pdf, flate_bomb, text_pdf
from sites import Place, lay
from test_line import LETTER


def png(width: int, height: int) -> bytes:
    """Return a 1-bit PNG of any size in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(width // 8 + 2)
    body = b"".join(packer.compress(row) for _ in range(min(height, 2000))) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


BAD: dict[str, Callable[[], bytes]] = {
    "截断.docx": lambda: docx_of("第一段", "第二段")[:-60],
    "截断.pdf": lambda: text_pdf("第一页")[:-200],
    "炸弹.pdf": flate_bomb,
    "炸弹.zip": zip_bomb,
    "实体.docx": entity_bomb,
    "巨图.png": lambda: png(60_000, 60_000),
    "加密.pdf": encrypted_pdf,
    "加密.docx": encrypted_docx,
    "随机.bin": lambda: bytes(range(256)) * 40,
}


def test_bad_files_are_held_and_the_next_is_handled(site: Place) -> None:
    """Broken, encrypted and exploding files are held with a reason; a clean letter behind them leaves."""
    for name, make in BAD.items():
        site.put(name, make())
    site.put("zz-答复函.txt", LETTER)
    began = time.monotonic()
    site.run("run", "--once", timeout=280)
    assert time.monotonic() - began < 240
    assert site.files(site.released) == ["zz-答复函.txt"]
    assert site.jobs() == dict.fromkeys(BAD, "held")
    for name in BAD:
        assert "未能读取" in (site.outbox / f"{name}.拦截说明.txt").read_text(encoding="utf-8")
    site.run("audit", "verify")


def test_an_empty_file_leaves(site: Place) -> None:
    """There is nothing in an empty file to hold back, and nothing unread."""
    site.put("空.txt", b"")
    site.run("run", "--once")
    assert site.files(site.released) == ["空.txt"]


@contextmanager
def daemon(site: Place, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run `dlp run` until the block ends; it must then stop cleanly on SIGTERM."""
    log = (site.root / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "dlp", "run"],
        cwd=site.root,
        env={**os.environ, "DLP_CONFIG": str(site.config)},
        stdout=log,
        stderr=subprocess.STDOUT,
        **options,  # type: ignore[call-overload]
    )
    try:
        yield process
        assert process.poll() is None, (site.root / "log").read_text(encoding="utf-8", errors="replace")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        log.close()


def until(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a fact; fail with its name."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)  # looks again; the assertion above is the end, not the length of this pause


def test_the_daemon_releases_and_stops(site: Place) -> None:
    """A running gate releases what is dropped and stops cleanly on SIGTERM."""
    with daemon(site):
        site.put("a.txt", LETTER)
        until((site.released / "a.txt").exists, "a.txt released")
        assert (site.released / "a.txt").read_bytes() == LETTER


def test_a_broken_reload_keeps_the_last_good_configuration(site: Place) -> None:
    """A configuration that breaks at SIGHUP is refused, said, audited; the gate goes on."""
    with daemon(site) as process:
        site.put("a.txt", LETTER)
        until((site.released / "a.txt").exists, "a.txt released")
        good = site.config.read_text(encoding="utf-8")
        site.config.write_text(good + "\n[nonsense]\nx = 1\n", encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        log = site.root / "log"
        until(lambda: "not reloaded" in log.read_text(encoding="utf-8", errors="replace"), "the refusal is logged")
        site.put("b.txt", LETTER)
        until((site.released / "b.txt").exists, "b.txt released")
        site.config.write_text(good, encoding="utf-8")
    assert "reload-refused" in {e["kind"] for e in site.json("audit", "export")}


def test_an_unwritable_release_folder_holds_the_file_until_it_is_mended(site: Place) -> None:
    """The file stays sealed, the operator is told, and it leaves once the folder is back."""
    site.released.rmdir()
    site.released.write_bytes(b"a file where the folder should be")
    site.run("run", "--once", check=None)
    site.released.unlink()
    site.released.mkdir()
    site.put("a.txt", LETTER)
    with daemon(site):
        until((site.released / "a.txt").exists, "a.txt released")
        away = site.root / "away"
        site.released.rename(away)
        site.released.write_bytes(b"")
        site.put("b.txt", LETTER)
        receipt = site.outbox / "b.txt.拦截说明.txt"
        until(receipt.exists, "the operator is told")
        assert "未能放行" in receipt.read_text(encoding="utf-8")
        site.released.unlink()
        away.rename(site.released)
        until((site.released / "b.txt").exists, "b.txt released after the folder is back")
        assert (site.released / "b.txt").read_bytes() == LETTER


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_vault_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    """With no room in the vault nothing is taken; the file is untouched and is taken once there is room."""
    vault = tmp_path / "vault"
    vault.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(vault)], check=True)
    try:
        site = lay(tmp_path)
        big = LETTER + "请恢复场地原状。\n".encode() * 25_000
        with daemon(site):
            site.put("big.txt", big)
            log = site.root / "log"
            until(lambda: "big" in _trail(site) or "外发" in log.read_text(encoding="utf-8"), "the full disk is said")
            assert (site.outbox / "big.txt").read_bytes() == big
            assert not (site.released / "big.txt").exists()
            subprocess.run(["mount", "-o", "remount,size=16m", str(vault)], check=True)
            until((site.released / "big.txt").exists, "taken once there is room", 90)
            assert (site.released / "big.txt").read_bytes() == big
    finally:
        subprocess.run(["umount", "-l", str(vault)], check=True)


def _trail(site: Place) -> str:
    return site.run("audit", "export", "--json", check=None).stdout


def test_a_file_replaced_after_it_was_found_is_judged_as_it_is(site: Place) -> None:
    """Whoever swaps a clean file for a marked one in time gets the marked one judged, never released."""
    with daemon(site):
        for number in range(30):
            name = f"{number}.txt"
            site.put(name, LETTER)
            (site.root / "swap").write_bytes("机密★10年\n方案\n".encode())
            (site.root / "swap").rename(site.outbox / name)
        until(lambda: not [p for p in site.files(site.outbox) if "拦截说明" not in p], "all settled")
        marked = [p for p in site.released.iterdir() if b"\xe6\x9c\xba\xe5\xaf\x86" in p.read_bytes()]
        assert not marked


def test_a_file_deleted_after_it_was_found_is_forgotten(site: Place) -> None:
    """A file that vanishes before it is sealed leaves no half of a job and no object."""
    with daemon(site):
        for number in range(20):
            site.put(f"{number}.txt", LETTER).unlink()
        site.put("last.txt", LETTER)
        until((site.released / "last.txt").exists, "the last one released")
    assert not list((site.vault / "q").iterdir())
    site.run("audit", "verify")


def test_a_job_that_a_bug_stops_is_set_aside(site: Place) -> None:
    """A job whose books nobody can read does not stop the start: it stays sealed, is shown, and the next is handled."""
    site.run("run", "--once")
    settings = config.read(site.config)
    vault, now = open_vault(settings), time.time()
    item = Item(id=new_id(now), source="folder:外发", path="a.txt", name="a.txt", receipt=vault.lock_text(b"no JSON"))
    fd = os.memfd_create("a")
    os.write(fd, LETTER)
    taken = vault.take(fd, item.id, keep=0)
    os.close(fd)
    store = SqliteStore.open(settings.store.path, create=False)
    store.add(Job(id=item.id, item=item, state=State.TAKING, created=now, updated=now), actor="t", kind="t", body={})
    store.move(item.id, expect=State.TAKING, to=State.STORED, actor="t", kind="t", body={}, sealed=taken.sealed)
    store.close()
    site.put("b.txt", LETTER)
    done = site.run("run", "--once")
    assert "internal fault" in done.stderr
    assert site.jobs() == {"a.txt": "failed"}
    assert site.files(site.released) == ["b.txt"]
    assert (site.vault / "q" / f"{item.id}.age").exists()
    site.run("quarantine", "release", item.id, "--reason", "x", check=9)
    site.run("audit", "verify")
