"""Named validators and masks: pure arithmetic over one normalized hit.

A validator takes the hit as the view holds it (half-width, with or without separators) and tells whether it can be
what its rule says. Provinces, real calendar dates and check digits decide; no table of counties does, because numbers
issued under an abolished county code stay valid for life.

Sources: GB 11643 (resident number, ISO 7064 MOD 11-2), GB 32100 (unified social credit code, MOD 31), GB 11714
(organization code), GS 15 (registration number, ISO 7064 MOD 11,10), ISO/IEC 7812 (Luhn), ICAO 9303 (machine-readable
zone), ISO 3779 (vehicle number), the MIIT numbering table of 2023-03 (mobile prefixes).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable
from operator import mul


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PROVINCES = _words(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
)
MAINLAND = PROVINCES - {"71", "81", "82", "83"}
PERMIT_REGIONS = frozenset({"810000", "820000", "830000"})

LAST_YEAR = 2050
"""A birth year after this is not a birth year. This floor has no clock; 2050 leaves newborns room for decades."""

_SEPARATORS = re.compile(r"[ \-\t\n]")
_COUNTRIES = _words(
    "AUS AUT BEL BGD BRA CAN CHE CHL COL CUB CZE DEU DNK EGY ESP ETH FIN FRA GBR GHA GRC HUN IDN IND IRL IRN IRQ ISL "
    "ISR ITA JOR JPN KAZ KEN KGZ KHM KOR LAO LKA LTU LUX LVA MAR MDG MEX MLT MMR MNG MYS NGA NLD NOR NPL NZL PAK PAN "
    "PER PHL POL PRK PRT ROU RUS SAU SDN SGP SRB SVK SVN SWE SYR THA TJK TKM TUN TUR TZA UGA UKR URY USA UZB VEN VNM "
    "YEM ZAF ZMB ZWE"
)
_NUMERIC_COUNTRIES = (4, 894)
"""Lowest and highest numeric country code of ISO 3166-1."""

_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Twice a digit, its own digits added: Luhn."""
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
_TWID_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
_MOBILE = re.compile(r"1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|619|7[0-35-8]|74[019]|8\d|9[0-35-9])\d*", re.ASCII)
_LANDLINE = re.compile(r"(?:\+?86[ -]?)?\(?(010|02\d|0[3-9]\d{2})\)?[ \-—]?([1-9]\d{6,7})(?:[-转]\d{1,6})?", re.ASCII)
_PLACEHOLDERS = _words(
    "无 默认 空 略 见附件 请输入 保密 同上 自设 password passwd none null nil n/a na tbd todo example changeme "
    "yourpassword required optional string true false hidden empty undefined"
)


def _digits(text: str) -> list[int]:
    """Return the values of ASCII digits."""
    return [byte - 48 for byte in text.encode()]


def _compact(raw: str) -> str:
    """Return the hit without separators, in capitals."""
    return raw if raw.isdigit() else _SEPARATORS.sub("", raw).upper()


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _real_date(year: str, month: str, day: str, first: int = 1800) -> bool:
    """Tell whether this is a day of the calendar between `first` and `LAST_YEAR`."""
    if not _is_digits(year + month + day) or not first <= int(year) <= LAST_YEAR:
        return False
    try:
        dt.date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _mod_11_2(text: str) -> bool:
    """Check an 18-character number by ISO 7064 MOD 11-2."""
    if len(text) != 18 or not _is_digits(text[:17]):
        return False
    total = sum(map(mul, _digits(text[:17]), _RESIDENT_WEIGHTS))
    return text[17] == "10X98765432"[total % 11]


def resident_id(raw: str) -> bool:
    """Check an 18-digit resident number: province, birth date, MOD 11-2 (GB 11643)."""
    text = _compact(raw)
    return text[:2] in PROVINCES and _real_date(text[6:10], text[10:12], text[12:14]) and _mod_11_2(text)


def resident_id_15(raw: str) -> bool:
    """Check a 15-digit number of the first generation: province and a birth date in 19yy. It has no check digit."""
    text = _compact(raw)
    return len(text) == 15 and text[:2] in PROVINCES and _real_date("19" + text[6:8], text[8:10], text[10:12])


def resident_id_wrong(raw: str) -> bool:
    """Tell whether 18 characters could be a mistyped resident number: they fail its check but are no one digit."""
    text = _compact(raw)
    return len(text) == 18 and len(set(text)) > 2 and not resident_id(text)


def bank_card_wrong(raw: str) -> bool:
    """Tell whether digits could be a mistyped card number: right length and wrong Luhn, not one digit repeated."""
    text = _compact(raw)
    return 16 <= len(text) <= 19 and len(set(text)) > 2 and not luhn(text) and not resident_id(text)


def hmt_residence(raw: str) -> bool:
    """Check a residence permit number of Hong Kong, Macao and Taiwan residents (81, 82, 83 0000)."""
    text = _compact(raw)
    return text[:6] in PERMIT_REGIONS and _real_date(text[6:10], text[10:12], text[12:14]) and _mod_11_2(text)


def foreign_pr(raw: str) -> bool:
    """Check a permanent residence number of the 2023 issue: 9, province, numeric country, birth date, MOD 11-2."""
    text = _compact(raw)
    if len(text) != 18 or text[0] != "9" or text[1:3] not in MAINLAND or not _is_digits(text[3:6]):
        return False
    low, high = _NUMERIC_COUNTRIES
    return low <= int(text[3:6]) <= high and _real_date(text[6:10], text[10:12], text[12:14]) and _mod_11_2(text)


def foreign_pr_2017(raw: str) -> bool:
    """Check a permanent residence number of the older issue: country letters, then digits 7 to 12 a yymmdd date."""
    text = _compact(raw)
    if len(text) != 15 or text[:3] not in _COUNTRIES or not _is_digits(text[3:]):
        return False
    return any(_real_date(century + text[9:11], text[11:13], text[13:15]) for century in ("19", "20"))


def tw_permit(raw: str) -> bool:
    """Check a mainland travel permit of Taiwan residents: 8 digits that are not a date of our time."""
    text = _compact(raw)[:8]
    return len(text) == 8 and _is_digits(text) and not _real_date(text[:4], text[4:6], text[6:8], first=1900)


def school_id(raw: str) -> bool:
    """Check a national school-roll number: G, L or J before a resident number."""
    text = _compact(raw)
    return text[:1] in {"G", "L", "J"} and resident_id(text[1:])


def disability(raw: str) -> bool:
    """Check a disability certificate: resident number, kind 1-7, grade 1-4, and B with a digit when re-issued."""
    text = _compact(raw)
    tail = text[18:]
    return resident_id(text[:18]) and re.fullmatch(r"[1-7][1-4](?:B\d)?", tail, re.ASCII) is not None


def luhn(raw: str) -> bool:
    """Check digits by Luhn (ISO/IEC 7812); one digit repeated does not count."""
    text = _compact(raw)
    if not _is_digits(text) or len(set(text)) == 1:
        return False
    values = _digits(text[::-1])
    return (sum(values[0::2]) + sum(_DOUBLED[v] for v in values[1::2])) % 10 == 0


def bank_card(raw: str) -> bool:
    """Check a card number: 15 digits for 34 and 37, else 16 to 19, not a resident number, and Luhn."""
    text = _compact(raw)
    fits = len(text) == 15 if text[:2] in {"34", "37"} else 16 <= len(text) <= 19
    return fits and luhn(text) and not (resident_id(text) or iccid(text))


def iccid(raw: str) -> bool:
    """Check a SIM card number: 8986 and 19 or 20 digits. Operators do not agree on the last digit, so none is asked."""
    text = _compact(raw)
    return text[:4] == "8986" and len(text) in {19, 20} and _is_digits(text)


def imei(raw: str) -> bool:
    """Check a device number: 15 digits, Luhn, not all one digit."""
    return len(_compact(raw)) == 15 and luhn(raw)


def uscc(raw: str) -> bool:
    """Check a unified social credit code: alphabet, region, MOD 31 (GB 32100).

    An 18-digit number that reads as province and birth date is a person's, whatever its last digit says.
    """
    text = _compact(raw)
    if len(text) != 18 or any(c not in _USCC for c in text):
        return False
    if text[2:4] not in PROVINCES and text[2:8] != "100000":
        return False
    if _is_digits(text[:17]) and text[:2] in PROVINCES and _real_date(text[6:10], text[10:12], text[12:14], 1900):
        return False
    total = sum(_USCC.index(c) * w for c, w in zip(text, _USCC_WEIGHTS, strict=False))
    return _USCC[-total % 31] == text[17]


def orgcode(raw: str) -> bool:
    """Check a 9-character organization code (GB 11714)."""
    text = _compact(raw)
    if re.fullmatch(r"[0-9A-Z]{8}[0-9X]", text) is None:
        return False
    total = sum(int(c, 36) * w for c, w in zip(text, (3, 7, 9, 10, 5, 8, 4, 2), strict=False))
    return "0X987654321"[total % 11] == text[8]


def regno15(raw: str) -> bool:
    """Check a 15-digit business registration number by ISO 7064 MOD 11,10 (GS 15)."""
    text = _compact(raw)
    if len(text) != 15 or not _is_digits(text) or (text[:2] not in PROVINCES and text[:6] != "100000"):
        return False
    product = 10
    for digit in text[:14]:
        total = (product + int(digit)) % 10 or 10
        product = total * 2 % 11
    return (product + int(text[14])) % 10 == 1


def taxno_old(raw: str) -> bool:
    """Check an old taxpayer number: region and organization code (15, 17), or a resident number and two digits."""
    text = _compact(raw)
    if len(text) == 20:
        return resident_id(text[:18]) and _is_digits(text[18:])
    return len(text) in {15, 17} and text[:2] in PROVINCES and orgcode(text[6:15])


def mobile(raw: str) -> bool:
    """Check a mobile number: 11 digits after the country code, prefix in the MIIT table of 2023-03."""
    text = _compact(raw).lstrip("+")
    if len(text) > 11:
        text = text.removeprefix("00").removeprefix("86")
    return len(text) == 11 and _is_digits(text) and _MOBILE.fullmatch(text) is not None


def landline(raw: str) -> bool:
    """Check a fixed line: 8 digits after 010 and 02x, 7 or 8 after 0xxx; an extension may follow `-` or 转."""
    found = _LANDLINE.fullmatch(raw)
    if found is None:
        return False
    area, number = found[1], found[2]
    return len(number) == 8 if len(area) == 3 else len(number) in {7, 8}


def phone_e164(raw: str) -> bool:
    """Check an international number: a plus, a country other than China, 8 to 15 digits (ITU-T E.164)."""
    digits = re.sub(r"\D", "", raw)
    return 8 <= len(digits) <= 15 and not digits.startswith("86") and len(set(digits)) > 2


def plate(raw: str) -> bool:
    """Check a number plate: after its province and letter at least one digit, and not a paper size such as A4."""
    text = re.sub(r"[·. ]", "", raw)
    return len(text) >= 7 and sum(c.isdigit() for c in text) >= 2


def vin(raw: str) -> bool:
    """Check a vehicle number: 17 of the allowed characters, letters and digits mixed, check digit at place 9."""
    text = _compact(raw)
    if len(text) != 17 or any(c not in _VIN_VALUES and not _is_digits(c) for c in text):
        return False
    if text.isdigit() or text.isalpha():
        return False
    total = sum((_VIN_VALUES.get(c) or int(c)) * w for c, w in zip(text, _VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == text[8]


def mrz_td3(raw: str) -> bool:
    """Check the second line of a passport's machine-readable zone: four digits by 7-3-1 (ICAO 9303)."""
    if len(raw) != 44:
        return False
    spans = ((raw[:9], raw[9]), (raw[13:19], raw[19]), (raw[21:27], raw[27]), (raw[28:42], raw[42]))
    whole = raw[:10] + raw[13:20] + raw[21:43]
    return all(_sum_731(text) == ("0" if c == "<" else c) for text, c in spans) and _sum_731(whole) == raw[43]


def _sum_731(text: str) -> str:
    values = (0 if c == "<" else int(c, 36) for c in text)
    return str(sum(v * (7, 3, 1)[i % 3] for i, v in enumerate(values)) % 10)


def hkid(raw: str) -> bool:
    """Check a Hong Kong identity card: weights 9 to 1, MOD 11, a missing first letter counts 36."""
    text = re.sub(r"[() ]", "", raw).upper().rjust(9)
    if re.fullmatch(r"[A-Z ][A-Z][0-9]{6}[0-9A]", text) is None:
        return False
    values = [36 if c == " " else int(c, 36) for c in text]
    return sum(v * w for v, w in zip(values, range(9, 0, -1), strict=True)) % 11 == 0


def twid(raw: str) -> bool:
    """Check a Taiwan identity number: letter code, weights 1 9 8 7 6 5 4 3 2 1 1, MOD 10."""
    text = _compact(raw)
    if re.fullmatch(r"[A-Z][1289][0-9]{8}", text) is None:
        return False
    code = _TWID_LETTERS.index(text[0]) + 10
    digits = (code // 10, code % 10, *(int(c) for c in text[1:]))
    return sum(d * w for d, w in zip(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True)) % 10 == 0


def email(raw: str) -> bool:
    """Check an address: no picture name such as logo@2x.png, no empty label, no dot at an end of the local part."""
    local, _, domain = raw.rpartition("@")
    ending = domain.rpartition(".")[2].lower()
    if ending in {"png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "ttf", "woff"}:
        return False
    return bool(local) and not local.startswith(".") and not local.endswith(".") and ".." not in raw and "." in domain


def ipv4(raw: str) -> bool:
    """Check an address that can belong to a machine: not 0.x, loopback, broadcast, not a version (1.2.0.1)."""
    raw = re.split("[:/]", raw, maxsplit=1)[0]  # a port or the length of a prefix may follow
    try:
        address = ipaddress.IPv4Address(raw)
    except ValueError:
        return False
    if address.is_loopback or address.is_multicast or address.is_unspecified or raw.startswith(("0.", "255.")):
        return False
    return any(len(part) > 1 for part in raw.split("."))


def ipv6(raw: str) -> bool:
    """Check an address: three groups or `::`, and not a time of day such as 12:30:45."""
    try:
        address = ipaddress.IPv6Address(raw)
    except ValueError:
        return False
    groups = [g for g in raw.split(":") if g]
    return not address.is_unspecified and not address.is_loopback and any(len(g) > 2 for g in groups)


def mac(raw: str) -> bool:
    """Check a network card address: one kind of separator throughout, not all zeros or ones."""
    digits = re.sub(r"[:-]", "", raw).upper()
    same = len({c for c in raw if c in ":-"}) == 1
    return same and len(digits) == 12 and digits not in {"0" * 12, "F" * 12}


def gps(raw: str) -> bool:
    """Check a pair of degrees inside China's bounds (longitude 73-135, latitude 3-53), or degrees and minutes."""
    numbers = [float(n) for n in re.findall(r"\d{1,3}\.\d{4,12}", raw, re.ASCII)]
    if len(numbers) != 2:
        return "°" in raw and ("′" in raw or "'" in raw)
    low, high = sorted(numbers)
    return 3 <= low <= 53.6 and 73 <= high <= 135.1


def einvoice20(raw: str) -> bool:
    """Check a fully digital invoice number: 20 digits, year 21 or later, province; not a disability certificate."""
    text = _compact(raw)
    return len(text) == 20 and int(text[:2]) >= 21 and text[2:4] in MAINLAND and not disability(text)


def entropy(raw: str) -> bool:
    """Tell whether a token looks random: 16 characters or more with at least 3.0 bits each."""
    text = raw.strip("\"' ")
    if len(text) < 16:
        return False
    shares = [n / len(text) for n in Counter(text).values()]
    return -sum(p * math.log2(p) for p in shares) >= 3.0


def secret_value(raw: str) -> bool:
    """Tell whether what is assigned to a key looks random: entropy, digits among letters, no placeholder."""
    text = raw.strip("\"' ").lower()
    digits, letters = sum(c.isdigit() for c in text), sum(c.isalpha() for c in text)
    holders = ("your", "example", "xxxx", "placeholder", "changeme", "test_", "insert")
    return entropy(text) and digits >= 2 and letters >= 2 and not any(word in text for word in holders)


def password_value(raw: str) -> bool:
    """Tell whether the value behind a password label is a value: no placeholder, stars, blanks, or Chinese prose.

    Takes the value alone or the whole field (`密码: Abc@12345`).
    """
    value: str = re.split(r"[:=]", raw, maxsplit=1)[-1] if re.match(r"[^:=]{2,16}[:=]", raw) else raw
    value = value.strip("\"'`<>[](){} ")
    if len(value) < 4 or value.lower() in _PLACEHOLDERS or len(set(value)) < 3:
        return False
    if value.startswith(("${", "{{", "%(", "os.", "getenv", "env.", "***", "...", "http://", "https://")):
        return False
    return sum(c.isascii() for c in value) * 2 > len(value)


CHECKS: dict[str, Callable[[str], bool]] = {
    "resident_id": resident_id,
    "resident_id_wrong": resident_id_wrong,
    "resident_id_15": resident_id_15,
    "hmt_residence": hmt_residence,
    "foreign_pr": foreign_pr,
    "foreign_pr_2017": foreign_pr_2017,
    "tw_permit": tw_permit,
    "school_id": school_id,
    "disability": disability,
    "luhn": luhn,
    "bank_card": bank_card,
    "bank_card_wrong": bank_card_wrong,
    "iccid": iccid,
    "imei": imei,
    "uscc": uscc,
    "orgcode": orgcode,
    "regno15": regno15,
    "taxno_old": taxno_old,
    "mobile": mobile,
    "landline": landline,
    "plate": plate,
    "vin": vin,
    "mrz_td3": mrz_td3,
    "phone_e164": phone_e164,
    "hkid": hkid,
    "twid": twid,
    "email": email,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "mac": mac,
    "gps": gps,
    "einvoice20": einvoice20,
    "entropy": entropy,
    "secret_value": secret_value,
    "password_value": password_value,
}

_KEEP = re.compile(r"keep:(\d{1,2}),(\d{1,2})", re.ASCII)


def is_mask(rule_mask: str) -> bool:
    """Tell whether this is a mask that `mask` knows: `keep:3,4`, `whole`, `digits` or `email`."""
    return rule_mask in {"whole", "digits", "email"} or _KEEP.fullmatch(rule_mask) is not None


def mask(rule_mask: str, raw: str) -> str:
    """Return `raw` as it may be shown to people.

    `keep:A,B` shows the first A and the last B letters or digits and keeps separators; a value no longer than A + B
    is hidden whole. `digits` hides digits only, `email` the local part but its first character, `whole` everything,
    its length included. An unknown mask hides everything.
    """
    found = _KEEP.fullmatch(rule_mask)
    if found:
        return _keep(raw, int(found[1]), int(found[2]))
    if rule_mask == "digits":
        return re.sub(r"\d", "*", raw)
    if rule_mask == "email":
        local, at, domain = raw.rpartition("@")
        return f"{local[:1]}***{at}{domain}" if at else "******"
    return "******"


def _keep(raw: str, first: int, last: int) -> str:
    if raw.isalnum() and len(raw) > first + last:
        return raw[:first] + "*" * (len(raw) - first - last) + raw[len(raw) - last :]
    places = [i for i, c in enumerate(raw) if c.isalnum()]
    hidden = places[first : len(places) - last] if len(places) > first + last else places
    shown = list(raw)
    for place in hidden:
        shown[place] = "*"
    return "".join(shown)
