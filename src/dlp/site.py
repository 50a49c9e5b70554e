"""What a site may do: its qualification to print state secrets, its province, the level of its system.

Sources: 保守国家秘密法 (2024-05-01) article 31 (3); 实施条例 (2024-09-01) articles 27 (1), 32, 48; 国家秘密载体印制
资质管理办法 (2021-03-01): 甲级 all levels in the whole country, 乙级 机密 and 秘密 inside its own province.
"""

from __future__ import annotations

from typing import Literal

from dlp.model import Frozen, Level

Qualification = Literal["无", "乙级", "甲级"]
System = Literal["非涉密", "秘密", "机密", "绝密"]
Withhold = Literal["return", "seal"]


class Site(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The unit that runs this gate."""

    unit: str = "（未填写单位名称）"
    qualification: Qualification = "无"
    """国家秘密载体印制资质; a unit without one refuses every state-secret job (实施条例 2024-09-01 第二十七条)."""
    province: str = ""
    system: System = "非涉密"
    """涉密信息系统等级 of this machine: the highest state secret that may be stored and processed here."""
    language: Literal["zh", "en"] = "zh"
    withhold: Withhold = "return"
    """What becomes of a state secret that may not be here: `return` hands it back and keeps nothing, `seal` keeps it
    sealed to a key that is not on this machine ([vault] outside)."""

    def holds(self, level: Level) -> bool:
        """Tell whether a state secret of `level` may be on this machine at all."""
        return self.system != "非涉密" and level <= Level(self.system)

    def prints(self, level: Level) -> bool:
        """Tell whether this unit is qualified to print a state secret of `level`, wherever it comes from."""
        return self.qualification == "甲级" or (self.qualification == "乙级" and level < Level.TOP_SECRET)
