"""The certificate of a redaction: signed, verified offline, printed; there before its copy is, and without a value."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import docx
import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfgen import canvas

from codes import codes
from dlp import certificate, config
from dlp.certificate import NotACertificate
from dlp.errors import StoreError
from dlp.model import Certificate, Check, Mode, Removed
from dlp.pipeline import _removed, _Wish
from dlp.service import certificate_page, certify, paper, signing
from dlp.service.desk import Desk
from makers import docx_of
from sites import Place, lay
from test_nothing_leaks import forms

NUMBER, OTHER = "110101199003071233", "11010519491231002X"
TEXT = f"租赁说明\n出租方身份证号：{NUMBER}，承租方身份证号：{OTHER}，请核对。\n".encode()
STRACE, OPENSSL = shutil.which("strace"), shutil.which("openssl")


class Made(NamedTuple):
    """A site that redacted one file, and what it gave."""

    site: Place
    source: Path
    copy: Path
    signed: Path
    page: Path

    @property
    def plain(self) -> dict[str, Any]:
        """The certificate as any reader of JSON sees it."""
        return dict(json.loads(self.signed.read_text(encoding="utf-8")))


@pytest.fixture(scope="module", params=["txt", "docx"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A file redacted by the command, with its certificate and page."""
    root = tmp_path_factory.mktemp(request.param)
    site = lay(root)
    it = Made(site, root / f"in.{request.param}", root / f"out.{request.param}", root / "c.json", root / "c.docx")
    it.source.write_bytes(TEXT if request.param == "txt" else docx_of(*TEXT.decode().splitlines()))
    done = site.run("redact", *map(str, it[1:3]), "--certificate", str(it.signed), "--certificate-page", str(it.page))
    assert NUMBER not in done.stdout + done.stderr
    assert "去除 居民身份证号 2 处" in done.stdout
    assert re.search(r"经 [0-9]+ 项验证通过", done.stdout)
    return it


def verdicts(site: Place, file: Path, signed: Path, *args: str, check: int) -> dict[str, bool]:
    """What `dlp verify` says of each thing that it looks at."""
    (row,) = site.json("verify", str(file), "--certificate", str(signed), *args, check=check)
    assert row["ok"] == (check == 0)
    return {one["name"]: one["ok"] for one in row["checks"]}


def test_it_tells_what_was_done(made: Made) -> None:
    """Both hashes, type, packs, policy, mode, checks with their states, versions, time and key are there."""
    plain = made.plain
    assert plain["input_sha256"] == hashlib.sha256(made.source.read_bytes()).hexdigest()
    assert plain["output_sha256"] == hashlib.sha256(made.copy.read_bytes()).hexdigest()
    (removed,) = plain["removed"]
    assert (removed["type"], removed["name"], removed["count"]) == ("cn_resident_id", "居民身份证号", 2)
    assert plain["checks"]
    assert {check["state"] for check in plain["checks"]} <= {"ok", "unavailable"}
    assert plain["packs"].startswith("sha256:")
    assert plain["policy"].startswith("sha256:")
    assert plain["mode"] == "auto"
    assert plain["unit"] == "测试文印中心"
    assert {"wenyin-gate", "python", "lxml", "hyperscan"} <= plain["software"].keys()
    assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", plain["issued"])


def test_it_holds_for_its_copy(made: Made) -> None:
    """The copy and its certificate hold where the key is known; nothing but the files and the key is needed."""
    assert verdicts(made.site, made.copy, made.signed, check=0) == dict.fromkeys(
        ("signature", "key", "proof", "file"), True
    )
    told = made.site.run("verify", str(made.copy), "--certificate", str(made.signed)).stdout
    assert "结论：成立" in told
    assert "测试文印中心" in told


def test_an_altered_copy_and_the_original_fail(made: Made, tmp_path: Path) -> None:
    """One more byte, and the file is another; the original is named as what it is."""
    longer = tmp_path / "longer"
    longer.write_bytes(made.copy.read_bytes() + b" ")
    assert [name for name, ok in verdicts(made.site, longer, made.signed, check=23).items() if not ok] == ["file"]
    told = made.site.run("verify", str(made.source), "--certificate", str(made.signed), check=23).stdout
    assert "这是脱敏前的原件" in told
    assert "结论：不成立" in told


def test_a_key_that_is_not_known_is_no_proof(made: Made, tmp_path: Path) -> None:
    """The key inside a certificate is not believed: the same facts signed by another hold nowhere but at his place."""
    plain = made.plain
    facts = {field.name: plain[field.name] for field in msgspec.structs.fields(Certificate)}
    forged = certificate.sign(
        msgspec.convert(facts, Certificate),
        Ed25519PrivateKey.generate(),
        issued=plain["issued"],
        unit=plain["unit"],
        job="",
        software=plain["software"],
    )
    path = tmp_path / "forged.json"
    path.write_bytes(certificate.write(forged))
    looked = verdicts(made.site, made.copy, path, check=23)
    assert [name for name, ok in looked.items() if not ok] == ["key"]
    assert "--key" in made.site.run("verify", str(made.copy), "--certificate", str(path), check=23).stdout

    (tmp_path / "other").mkdir()
    other = lay(tmp_path / "other")
    assert verdicts(other, made.copy, made.signed, check=23)["key"] is False
    assert not other.state.exists(), "a verification leaves no trace"
    key = made.site.state / signing.PUBLIC
    assert verdicts(other, made.copy, made.signed, "--key", str(key), check=0)["key"] is True
    other.run("verify", str(made.copy), "--certificate", str(made.signed), "--key", str(path), check=5)
    other.run("verify", str(made.copy), "--certificate", str(made.signed), "--key", str(tmp_path / "none"), check=10)


def holds(raw: bytes) -> bool:
    """Tell whether bytes are a certificate that its key signed."""
    try:
        return certificate.is_genuine(certificate.read(raw))
    except NotACertificate:
        return False


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, one in inner for way in ((*path, key), *places(one, (*path, key)))]


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """A copy of a JSON value with another value at `path`; DROP takes it out."""
    copy = json.loads(json.dumps(value))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if new is DROP:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return copy


DROP = object()
ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=80),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def test_every_field_is_bound(made: Made) -> None:
    """Whatever single value is changed a little, made empty or taken out, the certificate does not hold."""
    plain = made.plain
    assert holds(json.dumps(plain).encode())
    assert len(places(plain)) > 40
    for path in places(plain):
        old = plain
        for key in path:
            old = old[key]  # type: ignore[index]
        near = old + 1 if isinstance(old, int) else old + "0" if isinstance(old, str) else 1 if old is None else []
        for new in (near, "", None, DROP):
            if new is not old and new != old:
                assert not holds(json.dumps(changed(plain, path, new)).encode()), (path, new)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_other_value_fails(made: Made, data: st.DataObject) -> None:
    """Any value in any place, and any key more in any object, makes it another certificate."""
    plain = made.plain
    path = data.draw(st.sampled_from(places(plain)))
    new = data.draw(ANY)
    other = changed(plain, path, new)
    if data.draw(st.booleans()):
        at = data.draw(st.sampled_from([way for way in ((), *places(plain)) if isinstance(look(plain, way), dict)]))
        name = data.draw(st.text(max_size=5))
        if name not in look(plain, at):
            other = changed(plain, (*at, name), new)
    if json.dumps(other, sort_keys=True) != json.dumps(plain, sort_keys=True):
        assert not holds(json.dumps(other).encode())


def look(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at a path."""
    for key in path:
        value = value[key]
    return value


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_byte_can_change_what_it_says(made: Made, data: st.DataObject) -> None:
    """A changed byte is refused, or is a blank between tokens and says the same."""
    raw = bytearray(made.signed.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    if holds(bytes(raw)):
        assert json.loads(raw) == made.plain


def test_a_key_that_stands_twice_is_refused(made: Made) -> None:
    """Two readers could take different ones; a number that is no integer, and the depth of a well, are refused too."""
    raw = made.signed.read_text(encoding="utf-8")
    for text in (
        raw.replace('"unit"', '"unit": "另一单位", "unit"', 1),
        raw.replace('"count": 2', '"count": 2.0', 1),
        raw.replace('"count": 2', '"count": 2' + "0" * 5000, 1),
        raw.replace('"count": 2', '"count": ' + "[" * 100_000, 1),
        raw.replace('"unit": "', '"unit": "\\ud800', 1),
        "[]",
        "",
        "﻿" + raw,
    ):
        assert text != raw
        assert not holds(text.encode())
    assert holds(json.dumps(json.loads(raw), indent=4, ensure_ascii=True).encode()), "other blanks say the same"


def test_what_is_no_certificate_is_said_to_be_none(made: Made, tmp_path: Path) -> None:
    """Exit 25 for bytes that are no certificate, 10 for a file that is not there, 2 for one that cannot be read."""
    assert verdicts(made.site, made.copy, made.copy, check=25) == {"certificate": False}
    cut = tmp_path / "cut.json"
    cut.write_bytes(made.signed.read_bytes()[:-200])
    assert verdicts(made.site, made.copy, cut, check=25) == {"certificate": False}
    made.site.run("verify", str(made.copy), "--certificate", str(tmp_path / "none"), check=10)
    made.site.run("verify", str(tmp_path / "none"), "--certificate", str(made.signed), check=10)
    made.site.run("verify", str(tmp_path), "--certificate", str(made.signed), check=2)
    os.mkfifo(tmp_path / "pipe")
    made.site.run("verify", str(tmp_path / "pipe"), "--certificate", str(made.signed), check=2)


def test_failed_checks_are_not_a_proof() -> None:
    """A certificate that tells of a failed check, or of none that passed, does not hold; what was not done is named."""
    bare = Certificate(input_sha256="0" * 64, output_sha256="0" * 64, media="text/plain", removed=(), packs="")
    for states, good in (
        (("ok", "unavailable"), True),
        (("ok", "fail"), False),
        (("unavailable",), False),
        ((), False),
    ):
        checks = tuple(Check(name=f"reopened:{n}", state=state) for n, state in enumerate(states))
        signed = certificate.sign(
            msgspec.structs.replace(bare, checks=checks),
            Ed25519PrivateKey.generate(),
            issued="2026-01-01T00:00:00Z",
            unit="",
            job="",
            software={},
        )
        assert certify._proof(signed).ok is good
    said = certify.proven((Check(name="bytes", state="ok"), Check(name="ocr", state="unavailable")))
    assert said.zh == "经 1 项验证通过，1 项未能进行（图像识别复检）"
    assert said.en == "proven by 1 checks, 1 not looked at (read again by OCR)"


def test_the_value_is_nowhere(made: Made) -> None:
    """No form of a removed number is in the certificate, the parts of the page, or the state folder."""
    page = zipfile.ZipFile(made.page)
    heaps = {"certificate": made.signed.read_bytes(), **{name: page.read(name) for name in page.namelist()}}
    heaps |= {str(path): path.read_bytes() for path in made.site.state.rglob("*") if path.is_file()}
    for number in (NUMBER, OTHER):
        for form in forms(number):
            for name, heap in heaps.items():
                assert form not in heap, f"a number is in {name}"


def test_the_page_says_the_same(made: Made) -> None:
    """The printed page opens, tells the facts in Chinese, and its QR code names copy and certificate."""
    page = docx.Document(str(made.page))
    cells = [cell.text for table in page.tables for row in table.rows for cell in row.cells]
    plain = made.plain
    for fact in ("测试文印中心", plain["output_sha256"], plain["packs"], plain["policy"], "居民身份证号", "通过"):
        assert fact in cells
    assert page.paragraphs[0].text == "脱敏处理证明"
    assert page.paragraphs[-1].text.startswith("经办人：\u3000"), "room to sign"
    digest = certificate.digest(certificate.read(made.signed.read_bytes()))
    assert any(digest in paragraph.text for paragraph in page.paragraphs)
    (picture,) = (part.blob for part in page.part.related_parts.values() if part.content_type == "image/png")
    pixels = cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    (said,) = codes(pixels)
    assert said == certificate_page.code(plain["output_sha256"], digest)
    assert said.split(":")[1:] == [plain["output_sha256"].upper(), digest.upper()]


def test_a_closed_certificate_tells_nothing_of_the_original(site: Place, tmp_path: Path) -> None:
    """Whoever holds the copy could try all numbers against a hash of the original; closed, there is nothing to try."""
    source, copy, signed, page = (tmp_path / name for name in ("a.txt", "b.txt", "c.json", "c.docx"))
    source.write_bytes(TEXT)
    told = site.run(
        "redact", str(source), str(copy), "--certificate", str(signed), "--certificate-page", str(page), "--closed"
    )
    assert "原件摘要" not in told.stdout
    plain = json.loads(signed.read_text(encoding="utf-8"))
    assert (plain["input_sha256"], plain["input_salt"]) == ("", "")
    hashes = (hashlib.sha256(TEXT).digest(), hashlib.sha256(TEXT).hexdigest().encode())
    paper = zipfile.ZipFile(page)
    for heap in (signed.read_bytes(), *map(paper.read, paper.namelist())):
        assert not any(value in heap for value in hashes)
    assert verdicts(site, copy, signed, check=0)["signature"] is True
    plain |= {"input_sha256": hashes[1].decode(), "input_salt": "0" * 64}
    assert not holds(json.dumps(plain).encode()), "a hash beside a closed certificate is not the sealed one"


def test_closing_keeps_number_and_signature(made: Made) -> None:
    """The certificate that is kept and the one that is given away are the same one: one number, one signature."""
    whole = certificate.read(made.signed.read_bytes())
    closed = certificate.closed(whole)
    assert holds(certificate.write(closed))
    assert certificate.digest(closed) == certificate.digest(whole)


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_openssl_agrees(made: Made, tmp_path: Path) -> None:
    """What is signed can be made by any JSON library and verified by OpenSSL with the key file of the site."""
    plain = made.plain
    signature = bytes.fromhex(plain.pop("signature"))
    del plain["input_sha256"], plain["input_salt"]
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    (tmp_path / "text").write_bytes(text.encode())
    (tmp_path / "signature").write_bytes(signature)
    done = subprocess.run(
        [
            OPENSSL or "openssl",
            *("pkeyutl", "-verify", "-pubin", "-inkey", str(made.site.state / signing.PUBLIC), "-rawin"),
            *("-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "signature")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(text.encode()).hexdigest() == certificate.digest(certificate.read(made.signed.read_bytes()))


def test_the_key_is_private_and_can_be_changed(tmp_path: Path) -> None:
    """0600 in a folder of its own; others may not read it; a new key leaves the old certificates valid."""
    folder = tmp_path / "state"
    first = signing.signing_key(folder)
    path = folder / signing.PRIVATE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert signing.signing_key(folder).private_bytes_raw() == first.private_bytes_raw()
    path.chmod(0o640)
    with pytest.raises(StoreError):
        signing.signing_key(folder)
    path.unlink()
    second = signing.signing_key(folder)
    both = [key.public_key().public_bytes_raw() for key in (first, second)]
    assert list(signing.public_keys(folder / signing.PUBLIC)) == both
    path.write_bytes(b"nothing")
    with pytest.raises(StoreError):
        signing.signing_key(folder)
    with pytest.raises(StoreError):
        signing.public_keys(path)
    assert sorted(p.name for p in folder.iterdir()) == [signing.PRIVATE, signing.PUBLIC]


def test_doctor_tells_the_key(made: Made) -> None:
    """The doctor names the key that signs, and a key that others may read."""
    (row,) = (row for row in made.site.json("doctor", check=None) if row["name"] == "certificates")
    assert row["ok"]
    assert made.plain["key_id"] in row["text"]
    path = made.site.state / signing.PRIVATE
    path.chmod(0o644)
    try:
        (row,) = (row for row in made.site.json("doctor", check=None) if row["name"] == "certificates")
        assert not row["ok"]
    finally:
        path.chmod(0o600)


def test_the_gate_keeps_the_certificate_with_the_job(site: Place, tmp_path: Path) -> None:
    """A copy that left has its certificate in the books, its number in the audit trail, and the operator his words."""
    site.put("租赁.txt", TEXT)
    log = site.run("run", "--once").stdout
    (row,) = site.json("quarantine", "list", "--state", "redacted")
    for words in ("已脱敏放行：2 处居民身份证号", "项验证通过", "原件已封存"):
        assert words in row["note"]
        assert words in log
        assert words in (site.outbox / "租赁.txt.拦截说明.txt").read_text(encoding="utf-8")
    signed, page = tmp_path / "c.json", tmp_path / "c.docx"
    site.run("quarantine", "show", row["id"], "--certificate", str(signed), "--certificate-page", str(page), "--closed")
    assert verdicts(site, site.released / "租赁.txt", signed, check=0)["key"] is True
    plain = json.loads(signed.read_text(encoding="utf-8"))
    assert plain["job"] == row["id"]
    (whole,) = site.json("quarantine", "show", row["id"])
    assert whole["certificate"]["input_sha256"] == hashlib.sha256(TEXT).hexdigest()
    digest = certificate.digest(certificate.read(signed.read_bytes()))
    (event,) = (one for one in site.json("audit", "export") if one["kind"] == "releasing")
    assert event["body"]["certificate"] == digest
    assert event["body"]["removed"] == {"cn_resident_id": 2}
    assert docx.Document(str(page)).paragraphs[0].text == "脱敏处理证明"
    heaps = [path.read_bytes() for path in site.state.rglob("*") if path.is_file()]
    heaps.append(site.run("audit", "export").stdout.encode())
    assert not any(form in heap for heap in heaps for number in (NUMBER, OTHER) for form in forms(number))


def test_only_redacted_jobs_have_one(site: Place, tmp_path: Path) -> None:
    """A blocked job has no certificate to hand out: exit 10, and no file."""
    site.put("方案.txt", "机密★10年\n关于专项工作的实施方案\n".encode())
    site.run("run", "--once")
    ((_, job),) = [(row["name"], row["id"]) for row in site.json("quarantine", "list")]
    site.run("quarantine", "show", job, "--certificate", str(tmp_path / "c.json"), check=10)
    assert not (tmp_path / "c.json").exists()


def test_names_are_checked_before_anything_is_done(site: Place, tmp_path: Path) -> None:
    """A taken name, one name twice, a page without its certificate, a folder that is not there: exit 2, nothing new."""
    source, copy, signed = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.json"
    source.write_bytes(TEXT)
    for args in (
        (str(copy), "--certificate", str(source)),
        (str(copy), "--certificate", str(copy)),
        (str(copy), "--certificate-page", str(signed)),
        (str(copy), "--closed"),
    ):
        site.run("redact", str(source), *args, check=2)
    site.run("redact", str(source), str(tmp_path / "none" / "b.txt"), "--certificate", str(signed), check=2)
    assert not copy.exists()
    assert source.read_bytes() == TEXT
    assert not signed.exists(), "a certificate of a copy that is not there"


def test_a_redaction_is_made_as_asked(site: Place, tmp_path: Path) -> None:
    """Style and reach of one call hold for its copy and stand in its certificate; the site's own stay as they are."""
    source = tmp_path / "a.csv"
    source.write_text(f"姓名,身份证号\n赵一鸣,{NUMBER}\n钱二宁,{OTHER}\n", encoding="utf-8")
    for name, args, kept, gone in (
        ("box", ("--style", "box"), "█████", "赵甲"),
        ("row", ("--reach", "row"), "〔已脱敏：", "赵一鸣"),
        ("name", ("--style", "pseudonym", "--mode", "keep"), "〔居民身份证号乙〕", "〔居民身份证号丙〕"),
    ):
        copy, signed = tmp_path / f"{name}.csv", tmp_path / f"{name}.json"
        (row,) = site.json("redact", str(source), str(copy), *args, "--certificate", str(signed))
        text = copy.read_text(encoding="utf-8")
        assert kept in text
        assert gone not in text
        plain = json.loads(signed.read_text(encoding="utf-8"))
        asked = dict(zip((arg.lstrip("-") for arg in args[::2]), args[1::2], strict=True))
        assert {key: plain[key] for key in asked} == asked
        assert row["output_sha256"] == plain["output_sha256"]
    told = site.run("redact", "--mode", "raster", str(source), str(tmp_path / "r.csv"), check=23, timeout=60)
    assert "没有可转为图片的页面" in told.stderr
    english = site.run("redact", "--lang", "en", str(source), str(tmp_path / "e.csv")).stdout
    assert "removed cn_resident_id 2x (text removed)" in english


def test_pages_become_pictures_where_that_is_asked(site: Place, tmp_path: Path) -> None:
    """A page redacted as text and as a picture: the certificate and the words for people tell which, and where."""
    source = tmp_path / "a.pdf"
    drawn = canvas.Canvas(str(source))
    for text in ("Nothing here", f"ID number: {NUMBER}."):
        drawn.drawString(72, 720, text)
        drawn.showPage()
    drawn.save()
    for mode, way in (("keep", "删除字形"), ("raster", "整页转图片")):
        copy, signed = tmp_path / f"{mode}.pdf", tmp_path / f"{mode}.json"
        said = site.run("redact", "--mode", mode, str(source), str(copy), "--certificate", str(signed)).stdout
        assert f"去除 居民身份证号 1 处（{way}）：第 2 页 1 处" in said
        assert NUMBER not in said
        assert json.loads(signed.read_text(encoding="utf-8"))["mode"] == mode
        assert verdicts(site, copy, signed, check=0)["file"] is True


def test_words_of_a_child_are_not_signed_unasked() -> None:
    """A child that its document took over cannot put what it read into a certificate: types are those of the cuts."""
    from dlp.hand import Edits
    from dlp.model import Action, Cut, Document, Finding, Inspection, Item, Verdict

    found = Finding(rule="r", pack="p", type="cn_resident_id", category="identity", name="居民身份证号")
    item = Item(id="", source="", path="", name="")
    seen = Inspection(
        item=item, document=Document(media=""), findings=(found,), gaps=(), verdict=Verdict(action=Action.REDACT)
    )
    cut = Cut(part=(), anchor="", start=0, end=1, label="x", type=found.type)
    wish = _Wish((0,), everything=True, cuts=(cut,), needles=(), edits=Edits())
    good = Removed(type=found.type, count=1)
    assert _removed(seen, (good,), wish) == (msgspec.structs.replace(good, name="居民身份证号"),)
    for bad in (
        Removed(type=NUMBER, count=1),
        Removed(type=found.type, count=2),
        Removed(type=found.type, count=0),
        Removed(type=found.type, count=1, page=0),
        Removed(type=found.type, count=1, how=NUMBER),
    ):
        assert _removed(seen, (good, bad), wish) is None
    named = Removed(type=found.type, count=1, name=NUMBER)
    (told,) = _removed(seen, (named,), wish) or ()
    assert told.name == "居民身份证号"


def test_pages_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What was removed is told by type, way and page; a raster that nobody asked for is said to be one."""
    from dlp.cli import redact
    from dlp.model import Redacting

    rows = tuple(
        Removed(type="cn_resident_id", name="居民身份证号", page=page, count=page, how="raster") for page in (1, 3)
    )
    assert redact._rows(rows) == ["  去除 居民身份证号 4 处（整页转图片）：第 1 页 1 处、第 3 页 3 处"]
    bare = Certificate(
        input_sha256="", output_sha256="", media="application/pdf", removed=rows, packs="", mode=Mode.RASTER
    )
    redact._show(bare, Path("out.pdf"), Redacting())
    assert "已改为整页转图片" in capsys.readouterr().out
    redact._show(bare, Path("out.pdf"), Redacting(mode=Mode.RASTER))
    assert "已改为整页转图片" not in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.skipif(STRACE is None, reason="strace is not installed (Debian package: strace)")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("made", ["txt"], indirect=True)
def test_killed_at_any_step_there_is_no_copy_without_certificate(made: Made, tmp_path: Path) -> None:
    """SIGKILL at each rename, link and fsync of `dlp redact`: where the copy is, its certificate and page are."""
    calls = "fsync,renameat2,rename,link,linkat"

    def run(root: Path, *inject: str) -> int:
        shutil.copytree(made.site.root, root, ignore=lambda *_: ["tmp", "state", "out.txt", "c.json", "c.docx"])
        done = subprocess.run(
            [
                *(STRACE or "strace", "-o", str(root / "trace"), "-e", f"trace={calls}", *inject),
                *(sys.executable, "-m", "dlp", "redact", "in.txt", "out.txt"),
                *("--certificate", "c.json", "--certificate-page", "c.docx"),
            ],
            cwd=root,
            env={**os.environ, "DLP_CONFIG": str(root / "config.toml")},
            capture_output=True,
            check=False,
        )
        return done.returncode

    assert run(tmp_path / "plain") == 0
    seen: dict[str, int] = {}
    for line in (tmp_path / "plain" / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.match(r"(\w+)\(", line):
            seen[found[1]] = seen.get(found[1], 0) + 1
    assert seen["renameat2"] == 3
    points = [(call, number) for call in seen for number in range(1, seen[call] + 1)]
    left = []
    for call, number in points:
        root = tmp_path / f"{call}-{number}"
        assert run(root, "-e", f"inject={call}:signal=SIGKILL:when={number}") in (-9, 137)
        copy = root / "out.txt"
        if copy.exists():
            left.append((call, number))
            assert (root / "c.docx").exists()
            report = certify.verify(config.read(root / "config.toml"), copy, root / "c.json")
            assert report.holds, (call, number)
        assert NUMBER.encode() not in b"".join(p.read_bytes() for p in root.glob("out*"))
    assert left, "no kill came after the copy was there"


def test_a_job_before_its_certificate_is_read_as_before(site: Place) -> None:
    """Books that an older version wrote have jobs without certificates; they are listed as ever."""
    site.put("答复函.txt", "关于借用会议场地的答复函\n".encode())
    site.run("run", "--once")
    with Desk.open(config.read(site.config)) as desk:
        (job,) = desk.store.jobs()
        raw = msgspec.msgpack.decode(msgspec.msgpack.encode(job))
        del raw["certificate"]
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(raw), type=type(job)) == job


def test_the_qr_code_is_coarse_enough_for_a_copier() -> None:
    """Half the size, blurred and noisy, it is still read."""
    text = certificate_page.code("ab" * 32, "cd" * 32)
    image = cv2.imdecode(np.frombuffer(paper.qr(text), dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    small = cv2.GaussianBlur(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), (3, 3), 0)
    noise = np.random.default_rng(1).normal(0, 20, small.shape)
    assert codes(np.clip(small + noise, 0, 255).astype(np.uint8)) == [text]
    assert BytesIO(paper.qr(text)).read(4) == b"\x89PNG"
