"""The validators tell numbers from look-alikes, and masks never show what they hide."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp import checks

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "domain" / "identifiers.json"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)

NAMES = {
    "cn_resident_id": "resident_id",
    "cn_resident_id_15": "resident_id_15",
    "cn_hmt_residence": "hmt_residence",
    "cn_foreign_pr_2023": "foreign_pr",
    "cn_foreign_pr_2017": "foreign_pr_2017",
    "cn_tw_permit": "tw_permit",
    "mrz_td3": "mrz_td3",
    "cn_uscc": "uscc",
    "cn_orgcode": "orgcode",
    "cn_regno15": "regno15",
    "cn_taxno_old": "taxno_old",
    "bank_card": "bank_card",
    "cn_mobile": "mobile",
    "cn_landline": "landline",
    "cn_plate": "plate",
    "vin": "vin",
    "email": "email",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "mac": "mac",
    "imei": "imei",
    "iccid": "iccid",
    "gps": "gps",
    "einvoice20": "einvoice20",
    "cn_school_id": "school_id",
    "cn_disability": "disability",
    "hkid": "hkid",
    "twid": "twid",
    "password_field": "password_value",
}
# What these identifiers refuse by their pattern, the check alone cannot see.
BY_PATTERN = {"1234567812345670", "京I12345", "龙A12345"}


def identifiers() -> list[dict[str, Any]]:
    """The identifiers of the domain expert that have a validator here; empty where the file is absent."""
    if not SHARED.exists():
        return []
    rows = json.loads(SHARED.read_text(encoding="utf-8"))["identifiers"]
    return [row for row in rows if row["id"] in NAMES]


def half_width(text: str) -> str:
    """Brackets as the normalized view holds them."""
    return text.translate(str.maketrans("（）：", "():"))


def resident(region: str, born: str, serial: str) -> str:
    """A synthetic resident number with the right check character."""
    body = region + born + serial
    total = sum(int(c) * w for c, w in zip(body, WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


@pytest.mark.skipif(not SHARED.exists(), reason="the domain expert's identifiers lie beside a checkout, not in it")
def test_every_valid_value_of_the_expert_passes_and_every_invalid_one_fails() -> None:
    """identifiers.json: valid values satisfy the validator, invalid ones do not."""
    for row in identifiers():
        check = checks.CHECKS[NAMES[row["id"]]]
        assert [v for v in row["valid"] if not check(half_width(v))] == [], row["id"]
        assert [v for v in row["invalid"] if check(half_width(v)) and v not in BY_PATTERN] == [], row["id"]


def test_abolished_county_codes_stay_valid() -> None:
    """440524 was abolished long ago; the number issued under it is its holder's for life."""
    assert checks.resident_id("440524188001010014")


def test_separators_do_not_matter() -> None:
    """A number in groups is the same number."""
    assert checks.resident_id("110105 19491231 002X")
    assert checks.resident_id("110105-19491231-002x")
    assert checks.bank_card("6217 0061 5649 8502 945")
    assert checks.mobile("+86 139-1234-5678")


@given(
    st.sampled_from(sorted(checks.MAINLAND)),
    st.dates(
        min_value=dt.date(1900, 1, 1),
        max_value=dt.date(2026, 12, 31),
    ),
    st.integers(0, 999),
    st.integers(0, 9),
)
def test_a_resident_number_passes_with_its_own_check_character_only(
    province: str, born: Any, serial: int, other: int
) -> None:
    """Of the eleven check characters exactly one is right."""
    number = resident(f"{province}0101", born.strftime("%Y%m%d"), f"{serial:03}")
    assert checks.resident_id(number)
    wrong = number[:-1] + str(other)
    assert checks.resident_id(wrong) == (wrong == number)


def test_a_day_that_never_was_is_no_birth_date() -> None:
    """30 February, month 13 and a year to come are refused whatever the check character says."""
    for born in ("19900230", "19901301", "20990101"):
        assert not checks.resident_id(resident("110101", born, "123"))


def test_a_number_of_another_province_code_is_refused() -> None:
    """99, 00 and 10 are no provinces."""
    for region in ("990101", "000101", "100101"):
        assert not checks.resident_id(resident(region, "19900307", "123"))


def test_a_persons_number_is_never_a_company_code_or_a_card() -> None:
    """An 18-digit span with province and birth date is not a credit code or bank card, whatever its sums say."""
    source = random.Random(20261123)
    for _ in range(2000):
        serial = f"{source.randrange(1000):03}"
        region = source.choice(("110101", "310104", "510107"))
        number = resident(region, f"19{source.randrange(60, 99)}0307", serial)
        assert not checks.uscc(number)
        assert not checks.bank_card(number)


def test_one_digit_repeated_is_no_card() -> None:
    """16 times the same digit can satisfy Luhn and is still filler."""
    assert not checks.bank_card("0" * 16)
    assert not checks.imei("0" * 15)


def test_prefixes_of_the_numbering_table() -> None:
    """The MIIT table of 2023-03: assigned prefixes pass, unassigned ones fail."""
    good = ("130", "149", "153", "162", "167", "178", "189", "190", "199")
    bad = ("120", "144", "154", "160", "163", "168", "179", "194")
    assert all(checks.mobile(p + "12345678") for p in good)
    assert not any(checks.mobile(p + "12345678") for p in bad)
    assert checks.mobile("16191234567")
    assert not checks.mobile("17421234567")


def test_placeholders_are_no_passwords() -> None:
    """A form's hint, stars, a variable and Chinese prose are not a password."""
    for value in ("******", "xxxx", "请输入", "password", "${DB_PASSWORD}", "由各单位自行设置", "无"):
        assert not checks.password_value(value), value
        assert not checks.password_value(f"密码: {value}"), value
    assert checks.password_value("Abc@12345")
    assert checks.password_value("password=Tr0ub4dor&3")


def test_random_tokens_have_entropy_and_words_have_not() -> None:
    """A token of 16 mixed characters counts as random; a repeated or short one does not."""
    assert checks.entropy("aZ3kP9qLx7Rt2WvB")
    assert not checks.entropy("aaaaaaaaaaaaaaaa")
    assert not checks.entropy("short")


def test_masks_keep_the_ends_and_the_separators() -> None:
    """`keep:3,4` shows three and four; grouping stays readable; the middle is gone."""
    assert checks.mask("keep:3,4", "11010519491231002X") == "110***********002X"
    assert checks.mask("keep:6,4", "6217 0061 5649 8502 945") == "6217 00** **** ***2 945"
    assert checks.mask("email", "zhang.san@example.com") == "z***@example.com"
    assert checks.mask("digits", "军字第2001988号") == "军字第*******号"
    assert checks.mask("whole", "Abc@12345") == "******"


def test_a_short_value_is_hidden_whole() -> None:
    """When the ends would be everything, nothing is shown; an unknown mask hides everything too."""
    assert checks.mask("keep:3,4", "1234567") == "*******"
    assert checks.mask("surprise", "secret") == "******"
    assert not checks.is_mask("surprise")


@given(st.text(min_size=9, max_size=40), st.integers(0, 4), st.integers(0, 4))
def test_a_mask_never_shows_more_than_it_keeps(raw: str, first: int, last: int) -> None:
    """Of the letters and digits at most first + last survive."""
    shown = checks.mask(f"keep:{first},{last}", raw)
    assert len(shown) == len(raw)
    assert sum(c.isalnum() for c in shown) <= first + last


@given(st.text(max_size=60), st.sampled_from(sorted(checks.CHECKS)))
def test_no_validator_ever_raises(raw: str, name: str) -> None:
    """Any text is either valid or not; a validator is no place for an exception."""
    assert checks.CHECKS[name](raw) in {True, False}
