"""The whole path with real parts: folder, vault, sandbox, packs, store, release, receipt, audit."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from dlp import config
from dlp.service.desk import channels
from dlp.sources import ReleaseError
from sites import Place, lay

LETTER = "关于借用会议场地的答复函\n经研究，同意借用三楼多功能厅。\n".encode()
MARKED = "机密★10年\n关于专项工作的实施方案\n各处室：请按要求组织实施。\n".encode()
CONTRACT = "租赁说明\n出租方身份证号：110101199003071233，请核对。\n".encode()


def test_the_demo_files_are_judged(site: Place) -> None:
    """A clean letter leaves, a marked file is blocked, a payroll sheet is held, a contract leaves redacted."""
    site.run("run", "--once", "--demo")
    assert site.files(site.released) == ["1-会议场地答复函.docx", "4-房屋租赁合同.docx"]
    assert site.jobs() == {"2-工作方案（带密级）.docx": "withheld", "3-职工工资发放表.xlsx": "held"}
    assert not [p for p in site.files(site.outbox) if not p.endswith(".拦截说明.txt")]
    site.run("audit", "verify")


def test_a_clean_file_leaves_byte_for_byte(site: Place) -> None:
    """What is allowed is released unchanged, and no copy stays behind."""
    site.put("答复函.txt", LETTER)
    site.run("run", "--once")
    assert (site.released / "答复函.txt").read_bytes() == LETTER
    assert not list(site.outbox.iterdir())
    assert not list((site.vault / "q").iterdir())


def test_a_blocked_file_leaves_a_receipt_and_nothing_else(site: Place) -> None:
    """The operator finds verdict, evidence, article and next step beside where he put the file."""
    site.put("方案.txt", MARKED)
    site.run("run", "--once")
    assert site.files(site.released) == []
    text = (site.outbox / "方案.txt.拦截说明.txt").read_text(encoding="utf-8")
    for words in ("已拦截", "机密★10年", "《中华人民共和国保守国家秘密法》", "保密员", "无国家秘密载体印制资质"):
        assert words in text


def test_a_redacted_copy_leaves_and_the_original_is_sealed(site: Place) -> None:
    """The number is gone from the released copy, the rest is there, the original waits in the vault."""
    site.put("租赁.txt", CONTRACT)
    site.run("run", "--once")
    text = (site.released / "租赁.txt").read_text(encoding="utf-8")
    assert "110101199003071233" not in text
    assert "〔已脱敏：" in text
    assert "请核对" in text
    assert len(list((site.vault / "q").iterdir())) == 1
    assert (site.outbox / "租赁.txt.拦截说明.txt").exists()


def test_a_reviewer_releases_what_was_held(site: Place) -> None:
    """A held file leaves byte for byte on a reviewer's word, once, with the reason in the audit trail."""
    content = b"\x89PNG\r\n\x1a\n" + bytes(200)
    site.put("图.png", content)
    site.run("run", "--once")
    (job,) = site.json("quarantine", "list")
    site.run("quarantine", "release", job["id"], "--reason", "经研判不涉密", "--actor", "保密员甲")
    assert (site.released / "图.png").read_bytes() == content
    site.run("quarantine", "release", job["id"], "--reason", "再来一次", check=9)
    events = site.json("audit", "export")
    assert any(e["actor"] == "保密员甲" and e["body"].get("reason") == "经研判不涉密" for e in events)
    site.run("audit", "verify")


def test_a_reviewer_rejects_what_was_held(site: Place) -> None:
    """A rejected file never leaves and stays sealed."""
    site.put("图.png", b"\x89PNG\r\n\x1a\n" + bytes(200))
    site.run("run", "--once")
    (job,) = site.json("quarantine", "list")
    site.run("quarantine", "reject", job["id"], "--reason", "确属敏感", "--actor", "保密员甲")
    site.run("quarantine", "release", job["id"], "--reason", "反悔", check=9)
    assert site.files(site.released) == []
    assert len(list((site.vault / "q").iterdir())) == 1


def test_a_blocked_file_is_never_released(site: Place) -> None:
    """Nobody releases a blocked job."""
    site.put("方案.txt", MARKED)
    site.run("run", "--once")
    (job,) = site.json("quarantine", "list")
    site.run("quarantine", "release", job["id"], "--reason", "领导要", check=9)
    assert site.files(site.released) == []


def test_without_retention_a_blocked_file_is_destroyed(tmp_path: Path) -> None:
    """A site that keeps no evidence keeps no sealed copy of what was blocked."""
    site = lay(tmp_path)
    text = site.config.read_text(encoding="utf-8").replace("[vault]", "[vault]\nblock_retention_days = 0")
    site.config.write_text(text, encoding="utf-8")
    site.put("方案.txt", MARKED)
    site.run("run", "--once")
    assert site.jobs() == {"方案.txt": "withheld"}
    assert not list((site.vault / "q").iterdir())


@pytest.mark.parametrize(
    ("key", "code"), [("state/audit.key", 5), ("vault/work.age-key", 6), ("vault/recipient.txt", 6)]
)
def test_a_key_that_is_missing_stops_the_start_and_loses_nothing(site: Place, key: str, code: int) -> None:
    """Nothing is taken and no key is made in its stead; laid back, the gate goes on with what lies there."""
    site.put("通报.txt", "内部资料 注意保存\n关于近期工作的通报\n".encode())
    site.run("run", "--once")
    held = sorted((site.vault / "q").iterdir())
    site.put("函.txt", LETTER)
    aside = (site.root / key).rename(site.root / "aside")
    told = site.run("run", "--once", check=code)
    assert key.rsplit("/", 1)[-1] in told.stderr
    assert not (site.root / key).exists()
    assert (site.outbox / "函.txt").read_bytes() == LETTER
    assert sorted((site.vault / "q").iterdir()) == held
    aside.rename(site.root / key)
    site.run("run", "--once")
    assert (site.released / "函.txt").read_bytes() == LETTER
    assert site.jobs() == {"通报.txt": "held"}
    site.run("audit", "verify")


def test_a_name_that_is_taken_gets_a_number(site: Place) -> None:
    """Nothing in the release folder is ever overwritten."""
    (site.released / "a.txt").write_bytes(b"old")
    site.put("a.txt", LETTER)
    site.run("run", "--once")
    assert (site.released / "a.txt").read_bytes() == b"old"
    assert (site.released / "a (2).txt").read_bytes() == LETTER


def test_sub_folders_keep_their_path(site: Place) -> None:
    """A file in a sub-folder is released into the same sub-folder."""
    (site.outbox / "二处" / "三月").mkdir(parents=True)
    (site.outbox / "二处" / "三月" / "函.txt").write_bytes(LETTER)
    site.run("run", "--once")
    assert site.files(site.released) == ["二处/三月/函.txt"]


def test_links_pipes_and_hard_links_are_refused_and_audited(site: Place) -> None:
    """What is not a plain file is left alone, shown, and in the audit trail."""
    secret = site.root / "secret.txt"
    secret.write_bytes(LETTER)
    (site.outbox / "link.txt").symlink_to(secret)
    (site.outbox / "hard.txt").hardlink_to(secret)
    os.mkfifo(site.outbox / "pipe")
    site.run("run", "--once")
    assert site.files(site.released) == []
    assert {p.name for p in site.outbox.iterdir()} == {"link.txt", "hard.txt", "pipe"}
    refused = [e for e in site.json("audit", "export") if e["kind"] == "refused"]
    assert {e["body"]["path"] for e in refused} == {"link.txt", "hard.txt", "pipe"}


def test_shadow_mode_records_and_allows(tmp_path: Path) -> None:
    """In shadow mode the marked file leaves and the audit trail says that it would have been blocked."""
    site = lay(tmp_path, extra="[policy]\nshadow = true\n")
    site.put("方案.txt", MARKED)
    site.run("run", "--once")
    assert (site.released / "方案.txt").read_bytes() == MARKED
    decided = [e for e in site.json("audit", "export") if e["kind"] == "decided"]
    assert decided[0]["body"]["shadowed"] == "block"


def test_an_edited_audit_row_is_found(site: Place) -> None:
    """Whoever changes one row of the trail is seen: exit 7."""
    site.put("答复函.txt", LETTER)
    site.run("run", "--once")
    with sqlite3.connect(site.state / "gate.db") as db:
        names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            db.execute(f'DROP TRIGGER "{name}"')
        table = next(r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'") if "event" in r[0])
        db.execute(f"UPDATE {table} SET actor = 'nobody' WHERE seq = 2")  # noqa: S608  the name comes from the schema
    db.close()
    site.run("audit", "verify", check=7)


def test_an_unexplained_vault_object_stops_the_start(site: Place) -> None:
    """An object that no job explains is neither deleted nor ignored."""
    site.put("图.png", b"\x89PNG\r\n\x1a\n" + bytes(200))
    site.run("run", "--once")
    (sealed,) = (site.vault / "q").iterdir()
    stranger = sealed.with_name("0" * 26 + sealed.suffix)
    stranger.write_bytes(sealed.read_bytes())
    site.run("run", "--once", check=5)
    assert stranger.exists()


def test_a_name_that_holds_a_number_is_masked_everywhere(site: Place) -> None:
    """An ID number in a file name is not written to the store, a log, a receipt or its name."""
    number = "110101199003071233"
    site.put(f"{number}.png", b"\x89PNG\r\n\x1a\n" + bytes(200))
    done = site.run("run", "--once")
    (job,) = site.json("quarantine", "list")
    assert number not in done.stdout + done.stderr + job["name"]
    for folder in (site.state, site.outbox, site.vault):
        for path in folder.rglob("*"):
            assert number not in path.name
            assert not path.is_file() or number.encode() not in path.read_bytes()


@pytest.mark.parametrize("name", [b"line\nbreak.txt", b"bad-\xff\xfe.txt", "rtl\u202etxt.exe".encode(), b"-rf.txt"])
def test_odd_names_survive(site: Place, name: bytes) -> None:
    """Names are bytes: a newline, invalid UTF-8, an RTL override or a leading dash leaves under the same name."""
    site.put(name, LETTER)
    site.run("run", "--once")
    assert os.listdir(os.fsencode(site.released)) == [name]


def test_an_unmounted_release_share_loses_nothing(site: Place) -> None:
    """A crash after staging, then an empty folder where the share was: nothing counts as published until it is back."""
    (source,) = channels(config.read(site.config), bytes(32)).values()
    job, digest = "01" * 13, hashlib.sha256(LETTER).hexdigest()
    fd = os.memfd_create("body")
    os.write(fd, LETTER)
    place = source.stage(b"b.txt", job, fd, digest)
    away = site.root / "away"
    site.released.rename(away)
    site.released.mkdir()
    with pytest.raises(ReleaseError):
        source.publish(b"b.txt", job, place, digest)
    site.released.rmdir()
    away.rename(site.released)
    assert source.publish(b"b.txt", job, place, digest) == "b.txt"
    assert source.publish(b"b.txt", job, place, digest) is None
    moved = shutil.copytree(site.released, site.root / "copy")
    shutil.rmtree(site.released)
    moved.rename(site.released)
    assert source.publish(b"b.txt", job, place, digest) is None, "its hash is the proof"
    os.close(fd)


def test_a_watched_share_that_is_away_is_waited_for(site: Place) -> None:
    """A sealed file is not released while nobody can tell whether its original is gone: it would be taken twice."""
    site.put("b.txt", LETTER)
    (source,) = channels(config.read(site.config), bytes(32)).values()
    (found,) = source.sweep(lambda *_: None)
    away = site.root / "away"
    site.outbox.rename(away)
    with pytest.raises(ReleaseError):
        source.remove(found)
    away.rename(site.outbox)
    assert source.remove(found) is True
    assert not (site.outbox / "b.txt").exists()


def test_an_exempt_value_passes_until_its_day(tmp_path: Path) -> None:
    """The unit's own number is shown as exempt and leaves; after the last day, and for marks, nothing is exempt."""
    text = "联系人身份证号：110101199003071233\n".encode()
    extra = """
[[policy.exemptions]]
name = "样例号码"
rule = ["cn.identity.*", "cn.marks.*"]
values = ["110101 19900307 1233", "机密★10年"]
owner = "综合科"
reason = "培训用的样例"
expires = {day}
"""
    site = lay(tmp_path, extra=extra.format(day="2999-12-31"))
    site.put("a.txt", text)
    site.put("b.txt", MARKED)
    site.run("run", "--once")
    assert (site.released / "a.txt").read_bytes() == text
    assert site.jobs() == {"b.txt": "withheld"}
    decided = [e["body"] for e in site.json("audit", "export") if e["kind"] == "decided"]
    assert [body["exempt"] for body in decided] == [["样例号码"], []]
    site.config.write_text(site.config.read_text(encoding="utf-8").replace("2999", "2001"), encoding="utf-8")
    site.put("c.txt", text)
    site.run("run", "--once")
    assert b"110101199003071233" not in (site.released / "c.txt").read_bytes()
    (bad,) = (row["name"] for row in site.json("doctor", check=3) if not row["ok"])
    assert bad == "exemption 样例号码"
    shown = site.run("config", "show").stdout
    (site.root / "again.toml").write_text(shown, encoding="utf-8")
    assert site.run("config", "show", "--config", str(site.root / "again.toml")).stdout == shown
