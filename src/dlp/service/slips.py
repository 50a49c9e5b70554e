"""Slips of paper that are kept away from the machine: a checkpoint of the audit trail, and the origin of its chain.

Their QR codes hold all that is signed or sealed: scanned into a text file, they verify as the files do.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from dlp import checkpoint, origin
from dlp.checkpoint import Checkpoint
from dlp.config import Config
from dlp.origin import Origin
from dlp.service import paper

KEEP = "经办人：　　　　　　　　保管人：　　　　　　　　（单位盖章）　　　　年　　月　　日"


def of_checkpoint(config: Config, made: Checkpoint) -> bytes:
    """Return the slip of a checkpoint as the bytes of a Word file."""
    page = paper.sheet("审计检查点", unit=config.site.unit, moment=made.at)
    rows = [
        ("单位", config.site.unit),
        ("编号", str(made.number)),
        ("事件序号", f"第 {made.seq} 条"),
        ("链尾 SHA-256", made.head),
        ("链号", made.chain or "（尚未启用封印）"),
        ("签署时间", f"{made.at.replace('T', ' ').rstrip('Z')}（UTC）"),
        ("签署密钥", f"{made.key_id}（Ed25519）"),
    ]
    paper.grid(page, rows, widths=(4.0, 12.0))
    paper.square(page, checkpoint.code(made), width=6.5)
    for text in (
        "请带离本机保管。此前的审计事件如被改动、删除或整链重算，将与本凭条不符。",
        "核验：将二维码扫成文本文件，dlp audit verify --checkpoints 文件。",
    ):
        paper.line(page, text, size=9)
    paper.line(page, KEEP)
    return paper.bytes_of(page)


def of_origin(config: Config, made: Origin) -> bytes:
    """Return the slip of an origin as the bytes of a Word file. It is sealed: whoever finds it cannot open it."""
    now = datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    page = paper.sheet("审计链开链凭据", unit=config.site.unit, moment=now)
    rows = [
        ("单位", config.site.unit),
        ("链号", made.chain),
        ("打印时间", f"{now.replace('T', ' ').rstrip('Z')}（UTC）"),
    ]
    paper.grid(page, rows, widths=(4.0, 12.0))
    paper.square(page, origin.code(made), width=9.0)
    for text in (
        "请带离本机保管。二维码内为链的首个密钥，已用保管人公钥加密，没有私钥打不开。",
        "核验：将二维码扫成文本文件，dlp audit verify --origin 文件 --identity 私钥。",
        "有了本凭据，即使本机被控制，此前的审计事件也不能被伪造而不被发现。",
    ):
        paper.line(page, text, size=9)
    paper.line(page, KEEP)
    return paper.bytes_of(page)
