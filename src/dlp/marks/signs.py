"""What a mark can be made of: the words of each family, what may stand beside them, and what each means.

All patterns are bounded and read the normalized text (traditional folded, spaces between Han characters removed).
The families are those of the domain fact sheet, section 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dlp.marks.term import TERM
from dlp.model import Level, Regime

LEVELS = {"绝": Level.TOP_SECRET, "机": Level.CONFIDENTIAL, "秘": Level.SECRET}
FOLDED = str.maketrans("絕絶機祕", "绝绝机秘")

STAR = "★"
SMUDGED = "☆✩✭✮✯✰⭐✪✦*※女+·•・"
"""What scanners and typists make of the star; counts only with a plain term behind it."""

OPENING = "【[((<《〔「『{"
CLOSING = "】]))>》〕」』}"
QUOTES = ("“\"‘'《「『", "”\"’'》」』")
EMPTY_BOXES = "□☐○◯〇▢"
TICKS = "☑☒■✓✔√◉●"

LEVEL = re.compile("[绝絕絶机機秘祕]\n?密")
"""The three levels; one line break inside, as in a stamp or a text box set upright."""

STARRED = re.compile(f"级? {{0,4}}([{STAR}{re.escape(SMUDGED)}]) {{0,4}}({TERM})?")
EXAM = re.compile(f"级? {{0,4}}([{STAR}{re.escape(SMUDGED)}])? {{0,4}}(启用前|考试(?:结束|开始)前|开考前|使用前)")
SUFFIX = re.compile("级?(?:文件|资料|材料|件)?")
LABEL = re.compile(
    "(?:密级程度|密级|密别|密等(?:及解密条件或保密期限)?|(?:秘密|保密|机密|涉密|安全)等级|"
    "[Cc]lassification|CLASSIFICATION|SecurityLevel|Security Level|Sensitivity)"
    r"(?:\([^()]{0,12}\))? {0,4}[:|=\t] {0,4}[\[【(\"“]? {0,2}$"
)
LABEL_CELL = re.compile(
    r"(?:密级程度|密级|密别|(?:秘密|保密|机密|涉密)等级)(?:\([^()]{0,12}\))? {0,4}[:|]? {0,4}[\n\t] {0,4}$"
)
"""A label in its own cell; the value is the next cell."""
TERM_AHEAD = re.compile(f"[^:]{{0,12}}保密期限 {{0,4}}[:|\t] {{0,4}}({TERM})")
OWNED = re.compile("(?:商业|企业|公司|技术|工作|国家|军事|个人)$")
GRADED = re.compile("(?:核心|普通)$")
OFFICE = re.compile("(?:警务|检察|审判|法院|监察|税务|海关)$")
RAISED = re.compile("(?:绝对|极|高度)$")
JOINED_AFTER = re.compile(
    r"[】\])]?级?(?:[、/,|]|或者?|和|与|及|以及) {0,2}(?:[“\"(])?"
    "(?:绝密|机密|秘密|内部|非密|公开|无|敏感|商业秘密|工作秘密|个人隐私|一般)"
)
JOINED_BEFORE = re.compile(
    '(?:绝密|机密|秘密|内部|公开|非密|敏感)级?(?:[”")])?(?:[、/,|]|或者?|和|与|及|以及) {0,2}[“"(]?(?:国家|商业|工作)?$'
)
NEGATED = re.compile("(?:非|不|无|未|已解密|不含|假)[^、。;:,\n]{0,3}$")
TEMPLATE = re.compile(
    '(?:例如|比如|譬如|如|样式|示例|标注为?|标明为?|形式为?|形式是|字样|格式为?)[^。;\n]{0,3}[:“"「『《(]{0,2} {0,2}$'
)
PROSE_BEFORE = re.compile(
    "(?:的|须|应|应当|不得|分为|划为|泄露|保守|涉及|属于|定为|确定为|列为|[是为和及与或将把对]|标有|借阅|严守|窃取)$"
)
PROSE_AFTER = re.compile("(?:的|须|应|不得|三级|[是为和及与或属由等]|包括|泄露|一般)")
RULES_TITLE = re.compile("制度|办法|规定|条例|细则|规范|守则|须知|保密法|教程|讲义|试题解析")
ARTICLE = re.compile("第[一二三四五六七八九十百0-9]{1,5}条")
COPY_NUMBER = re.compile(r"(?:No\.?|№|份号:?)? {0,4}[0-9]{6}")
URGENCY = re.compile("特 {0,2}急|加 {0,2}急|特提|平急|急件|最速件|速件")
DECLASSIFIED = re.compile(
    "已解密|予以解密|解除密级|密级变更|原密级|(?:变更|降|调整)为 {0,2}(?:绝密|机密|秘密|非密|公开)"
)

CAUTION = "(?:注意保[存管密]|不得外[传泄]|严禁外传|请勿外传|妥善保管)"
CAUTIONED = re.compile(f" {{0,4}}[,;]? {{0,4}}{CAUTION}")
TERMED = re.compile(f"( {{0,4}}[{STAR}{re.escape(SMUDGED)}] {{0,4}}| {{1,4}}|)({TERM})")
COMMERCIAL = re.compile("(?:核心|普通)?商密(?: {0,2}(?:[一二三123]级|[A-C]级?))?")
WORK = re.compile("内部事项 {0,4},? {0,4}注意保管")

_INTERNAL = (
    "(?:仅供内部(?:参考|使用|交流|传阅|学习)|限内部(?:使用|传阅)|"
    "内部(?:资料|文件|材料|刊物|发行|使用|传阅|掌握|参考|交流|事项|文稿)|"
    f"内部(?= {{0,4}}[,★]? {{0,4}}{CAUTION})|"
    "注意保[存密]|不得外[传泄]|严禁外传|请勿外传|注意保管|妥善保管(?= {0,4},? {0,4}不得遗失)|"
    "不得(?:翻印|复印|复制|转载|抄录|遗失)|严禁(?:复制|复印|翻印|拍照)|禁止(?:复制|拍照|转发)|"
    "会后(?:收回|退回|清退)|阅后(?:收回|退回|即焚|销毁|清退)|"
    "此件不(?:公开|登网|上网)|不予公开|依申请公开|不宜公开|限制传播)"
)
INTERNAL = re.compile(f"{_INTERNAL}(?: {{0,4}}[,;、★]? {{0,4}}{_INTERNAL}){{0,4}}")
INTERNAL_ONE = re.compile(_INTERNAL)
PUBLICATION = re.compile("准印证|免费交流|内部资料性出版物|内资准字")
"""内部资料 is also a legal class of publication with a printing permit (印刷业管理条例 article 20)."""

TELEGRAM_HEAD = re.compile("密码电报|密传(?:发电|电报)|内部(?:传真)?(?:明电|电报)|明传电报|传真电报|机要(?:电报|传真)")
TELEGRAM_FIELD = re.compile(
    "签批 {0,4}盖章|发电(?:单位|机关|等级)|等级 {0,4}:? {0,4}(?:特提|特急|加急|平急)|译传号|"
    "[×xX某]机 {0,4}[0-9]{0,6} {0,4}号|"
    r"[一-龥]{1,8}[发明密机传]电[〔\[(][0-9]{4}[〕\])] {0,2}[0-9]{1,5}号"
)
TELEGRAM_SEEDS = ("签批", "发电", "等级", "译传号", "电〔", "电[", "电(", "×机", "x机", "X机", "某机")
"""One of these is in every field of a telegram."""
HEAD_SEEDS = ("电报", "明电", "密传发电", "机要传真")
"""One of these is in every head of a telegram."""
SECRET_TELEGRAM = re.compile("密码电报|密传|机要|密电|机电|译传|[×xX某]机")

ENGLISH = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?P<nato>NATO )?(?P<word>(?:COSMIC )?TOP[ -]SECRET|SECRET|STRICTLY CONFIDENTIAL|COMPANY CONFIDENTIAL|"
    r"(?:PRIVATE|PRIVILEGED) (?:&|AND) CONFIDENTIAL|CONFIDENTIAL|RESTRICTED|OFFICIAL[ -]SENSITIVE|CUI|FOUO|"
    r"FOR OFFICIAL USE ONLY|INTERNAL USE ONLY|COMMERCIAL[ -]IN[ -]CONFIDENCE|PROPRIETARY(?: INFORMATION)?|"
    r"(?:NOT FOR|DO NOT) DISTRIBUT(?:ION|E)|EYES ONLY|"
    r"Strictly Confidential|Company Confidential|Internal Use Only|Top Secret|Confidential)"
    r"(?P<caveat>//[A-Z][A-Z0-9 ,/\-]{1,40})?|"
    r"(?P<control>NOFORN|ORCON|REL TO [A-Z]{2,4})|"
    r"TLP {0,4}: {0,4}(?P<tlp>RED|AMBER\+STRICT|AMBER|GREEN)|"
    r"(?P<portion>(?<=\()(?:TS|S|C|U)//[A-Z/ ]{0,24}(?=\))))(?![A-Za-z0-9])"
)
ENGLISH_LEVELS = {"TOP SECRET": Level.TOP_SECRET, "SECRET": Level.CONFIDENTIAL, "CONFIDENTIAL": Level.SECRET}
PORTION_LEVELS = {"TS": Level.TOP_SECRET, "S": Level.CONFIDENTIAL, "C": Level.SECRET}

ENGLISH_SEEDS = (
    "SECRET", "CONFIDENTIAL", "RESTRICTED", "SENSITIVE", "CUI", "FOUO", "USE ONLY", "CONFIDENCE", "PROPRIETARY",
    "DISTRIBUT", "EYES ONLY", "Confidential", "Use Only", "Secret", "NOFORN", "ORCON", "REL TO", "TLP", "(TS//", "(S//",
    "(C//", "(U//",
)  # fmt: skip
"""One of these is in every English marking."""

SPECIAL = re.compile("㊙|限阅文件|限閱文件")
LABELLED = re.compile(
    "(?:密级程度|密级|密别|密等(?:及解密条件或保密期限)?|(?:秘密|保密|机密|涉密)等级) {0,4}[:|] {0,4}"
    "(内部|敏感|受控|限阅|密(?![一-龥级]))"
)


COMMERCIAL_SEEDS = ("商密",)
SPECIAL_SEEDS = ("㊙", "限阅文件", "限閱文件")
LABELLED_SEEDS = ("密级", "密别", "密等", "等级")
SEEDS = frozenset({*ENGLISH_SEEDS, *TELEGRAM_SEEDS, *HEAD_SEEDS, *COMMERCIAL_SEEDS, *SPECIAL_SEEDS, *LABELLED_SEEDS})
"""Fixed words that a scanner can look for on its way: a text without them is spared the patterns that need them."""


def around(  # noqa: PLR0917  a pattern, a text and how to look
    pattern: re.Pattern[str],
    text: str,
    seeds: tuple[str, ...],
    before: int,
    after: int,
    present: frozenset[str] = SEEDS,
) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern that holds one of `seeds`, looking only near those that are `present`.

    A match begins at most `before` characters ahead of a seed and ends at most `after` behind it. Most texts hold no
    seed at all, and finding a fixed word is an order of magnitude faster than trying a pattern everywhere.
    """
    spots = []
    for seed in seeds:
        if seed not in present:
            continue
        at = text.find(seed)
        while at >= 0:
            spots.append((at, at + len(seed)))
            at = text.find(seed, at + len(seed))
    low = high = 0
    for start, end in sorted(spots):
        if start - before > high:
            yield from pattern.finditer(text, low, high)
            low = start - before
        high = min(len(text), max(high, end + after))
    yield from pattern.finditer(text, low, high)


class Sign(NamedTuple):
    """A candidate: where it is, which family it belongs to, what it would mean, and what already speaks for it."""

    start: int
    end: int
    family: str
    level: Level | None
    regime: Regime
    term: str | None = None
    points: int = 0
    why: tuple[str, ...] = ()
    starred: bool = False
    labelled: bool = False
    misused: bool = False
    word: tuple[int, int] | None = None
    """The word whose borders jieba is to judge, or None when the form itself is proof enough."""
