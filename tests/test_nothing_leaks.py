"""Twenty secrets go through the gate; afterwards not one byte string of them is outside the sealed vault."""

from __future__ import annotations

import base64
from pathlib import Path

from dlp.service import demo, faults
from makers import docx_of, xlsx_of
from sites import lay


def _check_digit(body: str) -> str:
    """Return the ISO 7064 MOD 11-2 check character of the first 17 digits of a resident id."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


def secrets() -> list[str]:
    """Return twenty made-up resident ids with valid check characters."""
    bodies = [f"11010519{80 + n:02d}0{1 + n % 9}1{n % 9}{100 + 37 * n:03d}" for n in range(20)]
    return [body + _check_digit(body) for body in bodies]


def forms(secret: str) -> list[bytes]:
    """Return the byte strings in which a secret could lie about."""
    plain = [secret.encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be"), secret[:14].encode()]
    return [*plain, base64.b64encode(secret.encode())[:20], secret.encode().hex().encode()]


def test_no_secret_outside_the_vault(tmp_path: Path) -> None:
    """State folder, log, receipts, release folder and temporary folders hold none of twenty secrets."""
    site = lay(tmp_path, extra='[log]\nlevel = "debug"\n')
    numbers = secrets()
    half = [f"姓名{n}，身份证号：{s}。" for n, s in enumerate(numbers)]
    site.put("名册.txt", "\n".join(half[:6]).encode())
    site.put(
        "名册.csv", ("姓名,身份证号\n" + "\n".join(f"张{n},{s}" for n, s in enumerate(numbers[6:10]))).encode("gb18030")
    )
    site.put("名册.docx", docx_of(*half[10:15]))
    site.put("名册.xlsx", xlsx_of([["姓名", "身份证号"], *[[f"李{n}", s] for n, s in enumerate(numbers[15:])]]))
    site.put("坏.docx", docx_of(*half[10:15])[:-40])
    site.put("带密级.txt", ("机密★10年\n" + half[0]).encode())
    demo.put(site.outbox)
    done = site.run("run", "--once")
    log = (done.stdout + done.stderr).encode()
    listing = site.run("quarantine", "list", "--json").stdout.encode()
    shown = b"".join(
        site.run("quarantine", "show", row["id"], "--json").stdout.encode() for row in site.json("quarantine", "list")
    )
    trail = site.run("audit", "export", "--json").stdout.encode()
    for number in numbers:
        for form in forms(number):
            for heap, what in ((log, "log"), (listing, "list"), (shown, "show"), (trail, "audit")):
                assert form not in heap, f"a secret is in the {what}"
            for path in _files(site.root):
                assert form not in path.read_bytes(), f"a secret is in {path.relative_to(site.root)}"


def test_a_fault_is_logged_without_its_message() -> None:
    """The message of an exception can quote a document; the log gets its kind and the code lines only."""
    try:
        int(secrets()[0] + "机密")
    except ValueError as err:
        told = faults.trace(err)
    assert told.startswith("ValueError at test_nothing_leaks.py:")
    assert secrets()[0] not in told


def _files(root: Path) -> list[Path]:
    """Every file but the original of what may not be kept, which was handed back as it came."""
    back = root / "外发-退还"
    return [p for p in root.rglob("*") if p.is_file() and back not in p.parents]
