"""How many people is this about? Persons are counted, not hits: one line may hold three numbers of one person.

Numbers of one kind tell people apart, numbers of different kinds may belong to the same ones. So the largest kind
counts: 30 identity numbers beside their 30 telephones are 30 people. The bands are those of 法释〔2017〕10号 article 5.
"""

from __future__ import annotations

from collections.abc import Iterable

from dlp.model import Finding

BANDS = (50, 500, 5_000)
"""From how many: property and whereabouts; health and transactions; any other personal data."""

PROPERTY = ("bank_card", "cn_bank_account", "cn_cvv_expiry", "cn_realestate_cert", "cn_realestate_unit", "gps")
HEALTH = ("medical_no", "cn_disability", "cn_birth_cert")

_KINDS: dict[str, str] = {
    **dict.fromkeys(
        (
            "cn_resident_id",
            "cn_resident_id_15",
            "cn_hmt_residence",
            "cn_foreign_pr_2023",
            "cn_foreign_pr_2017",
            "cn_passport",
            "mrz_td3",
            "cn_hm_exit_permit",
            "cn_hm_return_permit",
            "cn_tw_permit",
            "hkid",
            "twid",
            "cn_military_id",
        ),
        "certificate",  # a person shows one of them
    ),
    **dict.fromkeys(("bank_card", "cn_bank_account"), "account"),
}


def count(findings: Iterable[Finding]) -> int:
    """Return about how many people the identifiers among `findings` belong to; an exempt one belongs to nobody."""
    seen: dict[str, set[str]] = {}
    for found in findings:
        if not found.exempt:
            seen.setdefault(_KINDS.get(found.type, found.type), set()).add(found.digest)
    return max(map(len, seen.values()), default=0)


def band(number: int) -> int:
    """Return the highest band that `number` reaches; 0 below all."""
    return max((limit for limit in BANDS if number >= limit), default=0)
