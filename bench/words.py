"""Plain Chinese office prose in which there is nothing to find."""

from __future__ import annotations

import random

WORDS = "经研究同意借用三楼多功能厅举办便民服务宣传活动时间为下周三上午请结束后恢复场地原状并做好垃圾分类特此函复"


def sentence(rng: random.Random) -> str:
    """Return one line of plain Chinese office prose."""
    return "".join(rng.choice(WORDS) for _ in range(38)) + "。"
