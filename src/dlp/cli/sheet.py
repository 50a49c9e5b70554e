"""What is said of one job to whoever looks at it: the same rows, whether it is held or withheld."""

from __future__ import annotations

from dlp import certificate
from dlp.cli import faces
from dlp.cli.faces import tr
from dlp.service import records
from dlp.service.receipt import STATES
from dlp.store import Job


def show(job: Job) -> None:
    """Print the rows of a job."""
    item, lang = job.item, faces.language()
    rows = [
        (tr("编号", "job"), job.id),
        (tr("文件", "file"), item.path),
        (tr("状态", "state"), STATES[job.state].to(lang)),
        (tr("来源", "source"), f"{item.source} {item.owner}".strip()),
        (tr("收到", "received"), records.moment(job.created)),
        (tr("大小", "size"), f"{item.size:,} B"),
        (tr("类型", "media"), item.media or "-"),
        ("SHA-256", item.sha256 or "-"),
    ]
    if job.coverage is not None:
        rows.append((tr("读取", "read"), job.coverage.to(lang)))
    if job.note is not None:
        rows.append((tr("说明", "note"), job.note.to(lang)))
    if job.certificate:
        rows.append((tr("证明编号", "certificate"), certificate.digest(certificate.read(job.certificate))))
    for name, value in rows:
        faces.say(f"{name}{tr('：', ': ')}{value}")
