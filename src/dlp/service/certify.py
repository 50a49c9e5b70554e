"""Certificates of this site: issued with its key, and held against a file offline."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from dlp import __version__, certificate, durable, told
from dlp.certificate import NotACertificate, Signed
from dlp.config import Config
from dlp.errors import NotFound
from dlp.model import Certificate, Check, Frozen, Mode, Removed, Say
from dlp.service import signing
from dlp.service.files import opened

LIBRARIES = (
    "fonttools",
    "google-re2",
    "hyperscan",
    "lxml",
    "numpy",
    "olefile",
    "pdfminer.six",
    "pdfplumber",
    "pikepdf",
    "pillow",
    "pypdfium2",
    "rapidocr",
)
"""What reads, matches, writes and proves; the same for every file, because a package holds files of any type."""

HOW: dict[str, Say] = {
    "text": Say("删除文字", "text removed"),
    "glyphs": Say("删除字形", "glyphs removed"),
    "raster": Say("整页转图片", "page made a picture"),
    "pixels": Say("涂黑像素", "pixels painted over"),
}
STATES: dict[str, Say] = {
    "ok": Say("通过", "ok"),
    "fail": Say("未通过", "failed"),
    "unavailable": Say("未能进行", "not looked at"),
}


class Answer(Frozen, frozen=True, kw_only=True):
    """One thing that a verification looked at: `certificate`, `signature`, `key`, `proof` or `file`."""

    name: str
    ok: bool
    say: Say


class Verification(Frozen, frozen=True, kw_only=True):
    """What a certificate is worth for a file. `signed` is None where there is no certificate in what was given."""

    answers: tuple[Answer, ...]
    signed: Signed | None = None

    @property
    def holds(self) -> bool:
        """Tell whether everything holds."""
        return self.signed is not None and all(answer.ok for answer in self.answers)


class Papers(NamedTuple):
    """Which papers of a redaction are wanted, and where: none, the certificate, or the certificate and its page."""

    certificate: Path | None = None
    page: Path | None = None
    closed: bool = False
    """To be given away: without the hash of the file before redaction."""


def issue(config: Config, made: Certificate, *, job: str = "") -> Signed:
    """Return the signed certificate of a redaction; the key of the site is made when there is none."""
    key = signing.signing_key(state_folder(config))
    issued = datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return certificate.sign(made, key, issued=issued, unit=config.site.unit, job=job, software=_software())


def lay_out(signed: Signed, wanted: Papers) -> list[tuple[Path, bytes]]:
    """Return which papers are written where."""
    from dlp.service import certificate_page  # noqa: PLC0415  a tenth of a second that only a page is worth

    if wanted.closed:
        signed = certificate.closed(signed)
    made = [] if wanted.certificate is None else [(wanted.certificate, certificate.write(signed))]
    return made if wanted.page is None else [*made, (wanted.page, certificate_page.draw(signed))]


def state_folder(config: Config) -> Path:
    """Return the folder of the books and of the keys of this site."""
    return Path(config.store.path).parent


def verify(config: Config, file: Path, named: Path, key: Path | None = None) -> Verification:
    """Hold the certificate in `named` against a file; `key` is a file of public keys to believe in place of the site's.

    NotFound when there is no such file; UsageError or StoreError for a file that cannot be read.
    """
    with opened(named) as (fd, _):
        raw = os.pread(fd, certificate.LARGEST + 1, 0)
    try:
        signed = certificate.read(raw)
    except NotACertificate:
        say = Say(
            "不是脱敏处理证明，或内容已被改动：格式不符", "this is no certificate of redaction, or it was altered: form"
        )
        return Verification(answers=(Answer(name="certificate", ok=False, say=say),))
    answers = (_signature(signed), _key(config, signed, key), _proof(signed), _file(file, signed))
    return Verification(answers=answers, signed=signed)


def _signature(signed: Signed) -> Answer:
    ok = certificate.is_genuine(signed)
    good = Say("签名相符，证明未被改动", "the signature holds: the certificate is unaltered")
    bad = Say(
        "签名不符：证明被改动过，或不是由所写密钥签署",
        "the signature does not hold: the certificate was altered, or its key did not sign it",
    )
    return Answer(name="signature", ok=ok, say=good if ok else bad)


def _key(config: Config, signed: Signed, named: Path | None) -> Answer:
    path = named if named is not None else state_folder(config) / signing.PUBLIC
    if named is not None and not named.is_file():
        raise NotFound(Say(f"没有这个公钥文件：{named}", f"there is no key file {named}"))
    known = signing.public_keys(path) if path.is_file() else ()
    if bytes.fromhex(signed.public_key) in known:
        say = Say(f"由本单位认可的密钥签署（{signed.key_id}）", f"signed with a key known here ({signed.key_id})")
        return Answer(name="key", ok=True, say=say)
    say = Say(
        f"本单位不认识签署密钥 {signed.key_id}：证明自带的公钥不能作为依据，请向签发单位索取公钥文件，用 --key 指明",
        f"the key {signed.key_id} is not known here, and the one inside a certificate proves nothing: "
        "get the key file from who issued it and name it with --key",
    )
    return Answer(name="key", ok=False, say=say)


def _proof(signed: Signed) -> Answer:
    said = proven(signed.checks)
    states = {check.state for check in signed.checks}
    if "ok" not in states or states - {"ok", "unavailable"}:
        say = Say("证明所载验证未通过", "the checks that the certificate tells of did not pass")
        return Answer(name="proof", ok=False, say=say)
    return Answer(name="proof", ok=True, say=Say(f"证明所载：{said.zh}", f"as the certificate tells: {said.en}"))


def _file(file: Path, signed: Signed) -> Answer:
    with opened(file) as (fd, _):
        actual = durable.sha256_of(fd)
    if actual == signed.output_sha256:
        say = Say("文件就是证明所指的脱敏件", "the file is the redacted copy that the certificate tells of")
    elif actual == signed.input_sha256:
        say = Say("这是脱敏前的原件，不是脱敏件", "this is the file before redaction, not the redacted copy")
    else:
        say = Say(
            "文件不是证明所指的脱敏件：内容已改变，或是另一个文件",
            "the file is not the redacted copy: it was changed, or is another file",
        )
    return Answer(name="file", ok=actual == signed.output_sha256, say=say)


def sentence(made: Certificate) -> Say:
    """Return what was done to a file in one sentence: what was removed, and how well it was proven."""
    what, said = removed(made.removed), proven(made.checks)
    way = Say("（整页转为图片）", " (pages made pictures)") if made.mode is Mode.RASTER else Say("", "")
    return Say(f"{what.zh}{way.zh}；{said.zh}", f"{what.en}{way.en}; {said.en}")


def removed(rows: Iterable[Removed]) -> Say:
    """Return how many places of each type were removed."""
    totals: dict[tuple[str, str], int] = {}
    for one in rows:
        totals[(one.name or one.type, one.type)] = totals.get((one.name or one.type, one.type), 0) + one.count
    if not totals:
        return Say("没有需要去除的内容", "there was nothing to remove")
    zh = "、".join(f"{count} 处{name}" for (name, _), count in totals.items())
    en = ", ".join(f"{count}x {kind}" for (_, kind), count in totals.items())
    return Say(zh, en)


def proven(checks: Iterable[Check]) -> Say:
    """Return by how many checks a copy was proven, and which could not be made."""
    checks = tuple(checks)
    good = sum(check.state == "ok" for check in checks)
    missing = [told.check(check) for check in checks if check.state == "unavailable"]
    zh, en = f"经 {good} 项验证通过", f"proven by {good} checks"
    if missing:
        zh += f"，{len(missing)} 项未能进行（{'、'.join(say.zh for say in missing)}）"
        en += f", {len(missing)} not looked at ({', '.join(say.en for say in missing)})"
    return Say(zh, en)


def how(word: str) -> Say:
    """Return what people call the way in which something was removed."""
    return HOW.get(word, Say(word, word))


def _software() -> dict[str, str]:
    found = {"wenyin-gate": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
