"""What operators write down once: a commission to print (承印), and a file brought back from a meeting (会议文件).

Registers are views of these records and of jobs, cases and copies.

Sources: 印刷业管理条例 article 5 (a printing house registers what it prints for whom); 中心保密工作制度 article 12.
"""

from __future__ import annotations

from enum import Enum

from dlp.model import Frozen, Level, Say
from dlp.store.record import Columns, Kind


class What(Enum):
    """What was written down."""

    COMMISSION = "commission"
    MEETING = "meeting"


WHATS: dict[What, Say] = {What.COMMISSION: Say("承印", "commission"), What.MEETING: Say("会议文件", "meeting file")}


class Order(Frozen, frozen=True, kw_only=True):
    """One of them. Moments are seconds since the epoch, 0 for what has not been."""

    id: str
    version: int = 1
    what: What
    job: str = ""
    title: str
    client: str = ""
    """委印单位; of a meeting file who held the meeting."""
    person: str = ""
    """委印人; of a meeting file who brought it back."""
    papers: str = ""
    """证件 that the client showed, as it is written on the form; never a whole identity number."""
    quantity: int = 1
    original: str = ""
    doc_no: str = ""
    """文号 of a meeting file."""
    term: str = ""
    """保密期限, as the file says it."""
    contract: str = ""
    """合同, 委托书 or 准印证."""
    level: Level | None = None
    unit: str = ""
    due: float = 0.0
    """交付日期; of a meeting file the day by which it is handed in."""
    by: str
    at: float
    finished: int = 0
    """成品数."""
    waste: str = ""
    """废次品处理."""
    returned: str = ""
    """原稿、底片交还: to whom, or how many."""
    done_at: float = 0.0
    done_by: str = ""


ORDERS = Kind(
    "order",
    Order,
    lambda one: Columns(
        state="done" if one.done_at else "open",
        job=one.job,
        who=one.unit,
        due=0.0 if one.done_at else one.due,
        at=one.at,
    ),
)
