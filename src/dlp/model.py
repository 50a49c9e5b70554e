"""Every frozen value and enum that crosses a floor.

Values are `msgspec.Struct`s: frozen, slotted, keyword-only, tuples instead of lists. Nothing here opens a file,
reads a clock or knows a database. The raw text of a hit is a field of `Segment` only; it is never a field of a
`Finding` or of anything that is stored or shown.
"""

from __future__ import annotations

import array
from enum import Enum
from functools import total_ordering
from typing import Any

import msgspec


@total_ordering
class Ordered(Enum):
    """An enum whose members compare in the order in which they are written."""

    def __lt__(self, other: object) -> bool:
        if self.__class__ is not other.__class__:
            return NotImplemented
        members = list(self.__class__)
        return members.index(self) < members.index(other)


class Action(Ordered):
    """What happens to an item; verdicts combine by `max()`."""

    ALLOW = "allow"
    ALERT = "alert"
    REDACT = "redact"
    QUARANTINE = "quarantine"
    BLOCK = "block"


class Level(Ordered):
    """Sensitivity, lowest first. The regime (whose secret it is) is a separate field and never mixed in."""

    OPEN = "公开"
    ORDINARY = "一般"
    SENSITIVE = "敏感信息"
    SECRET = "秘密"
    CONFIDENTIAL = "机密"
    TOP_SECRET = "绝密"


class Regime(Enum):
    """Whose law protects the content: state secret, work secret, commercial, personal, exam, foreign."""

    STATE = "state"
    WORK = "work"
    COMMERCIAL = "commercial"
    PERSONAL = "personal"
    EXAM = "exam"
    FOREIGN = "foreign"


class Severity(Ordered):
    """How grave one finding is by itself."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Zone(Enum):
    """Where in a document a segment stands."""

    BODY = "body"
    HEADER = "header"
    FOOTER = "footer"
    TABLE_HEADER = "table_header"
    TEXT_BOX = "text_box"
    HIDDEN = "hidden"
    METADATA = "metadata"
    COMMENT = "comment"
    FILE_NAME = "file_name"
    OCR = "ocr"


class GapKind(Enum):
    """Why something could not be read. A gap is never clean."""

    ENCRYPTED = "encrypted"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    TOO_BIG = "too_big"
    TOO_DEEP = "too_deep"
    TOO_MANY = "too_many"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    NO_OCR = "no_ocr"
    UNTRUSTED_TEXT = "untrusted_text"
    HIT_CAP = "hit_cap"


class Mode(Enum):
    """How what is cut out of a page is removed. Formats whose text flows by itself know only one way."""

    AUTO = "auto"
    """Each cut as its kind asks for: `Cut.gap` or not."""
    KEEP = "keep"
    """Everything else keeps its place: for tables and for numbers, whose length tells nothing."""
    FIXED_GAP = "fixed-gap"
    """A gap of one width for everything, and the rest of the line behind it: the width tells nothing."""
    RASTER = "raster"
    """The page becomes a picture of itself."""


class Style(Enum):
    """What stands where something was removed."""

    BOX = "box"
    """█, five of them."""
    LABEL = "label"
    """〔已脱敏：居民身份证号〕"""
    MASK = "mask"
    """The value in part, as its kind allows: 110***********002X."""
    PSEUDONYM = "pseudonym"
    """〔居民身份证号甲〕: the same value has the same name in one document."""


class Reach(Enum):
    """How much of a table goes with a hit in it."""

    HIT = "hit"
    CELL = "cell"
    ROW = "row"


class Corner(Enum):
    """Where on a page a stamp goes first. Where something stands there, it moves along its edge, then to the other."""

    BOTTOM_RIGHT = "bottom-right"
    BOTTOM_LEFT = "bottom-left"
    TOP_RIGHT = "top-right"
    TOP_LEFT = "top-left"


class State(Enum):
    """Where a job is on its way. Only RELEASED and REDACTED mean that something left."""

    TAKING = "taking"  # noted; the source file is still in place
    STORED = "stored"  # sealed in the vault, verified; the source file may still be in place
    DECIDED = "decided"  # verdict committed; settle is under way
    RELEASING = "releasing"  # the cleared copy is complete beside its final name
    RELEASED = "released"
    REDACTED = "redacted"  # the redacted copy left; the original stays sealed
    HELD = "held"  # quarantined, waits for a reviewer
    BLOCKED = "blocked"  # refused; the sealed copy is evidence only
    REFUSED = "refused"  # never taken: link, device, socket ...
    REJECTED = "rejected"  # a reviewer said no
    RETURNED = "returned"  # the original was given back to its sender; nothing left the house
    FAILED = "failed"  # a bug of ours; stays sealed
    CANCELLED = "cancelled"  # its owner took it back before it left
    WITHHELD = "withheld"  # a state secret that this machine may not hold: nothing of it is kept that can be read here
    HANDED_OVER = "handed-over"  # what was sealed went to somebody else, against a receipt


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """What every value is: frozen and keyword-only. Subclasses repeat both words, because neither is inherited."""


class Redacting(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this site redacts."""

    mode: Mode = Mode.AUTO
    style: Style = Style.LABEL
    reach: Reach = Reach.HIT


class Say(msgspec.Struct, frozen=True):
    """One message for people, in Chinese and English."""

    zh: str
    en: str

    def to(self, lang: str) -> str:
        """Return the text in `lang`; anything but `en` is Chinese."""
        return self.en if lang == "en" else self.zh


PRINTER = "printer:"
"""How the names of sources begin whose items are print jobs: their names are titles, without a type."""


class Item(Frozen, frozen=True, kw_only=True):
    """One thing that is about to leave, as its source named it."""

    id: str
    """26 characters, sortable by time (ULID)."""
    source: str
    """Name of the source, e.g. `folder:outbox`."""
    path: str
    """Path shown to people: relative, escaped, any hit in it masked."""
    name: str
    """Last part of `path`."""
    media: str = ""
    """Media type by content; empty before extraction."""
    size: int = 0
    sha256: str = ""
    owner: str = ""
    target: str = ""
    copies: int = 1
    paper: str = ""
    """Size of the paper that it is to be printed on, e.g. `A4`; empty where nobody said."""
    origin: str = ""
    """How the system that it came from names it, e.g. the UUID of a print job; tells a second sending of one job."""
    received: float = 0.0
    """Seconds since the epoch, UTC; for people only, order is by id and audit sequence."""
    receipt: bytes = b""
    """Opaque to all but the source that wrote it; sealed, because a file name can hold a secret."""


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Characters `start` to `end` of segment number `segment` of a document."""

    segment: int
    start: int
    end: int


class Box(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A rectangle on a page: points, origin top left, pages from 1."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


class Strip(Frozen, frozen=True, kw_only=True):
    """How a segment (one line) lies on its page.

    `edges` holds two little-endian float32 for each character of the segment's text: begin and end along the axis,
    in points. Characters without ink (a blank that the reader put in) have begin == end.
    """

    page: int
    x0: float
    y0: float
    x1: float
    y1: float
    edges: bytes
    vertical: bool = False
    size: float = 0.0
    face: str = ""
    colour: str = ""
    """`#rrggbb`, empty when not known."""

    def box(self, start: int, end: int) -> Box:
        """Return the rectangle of characters `start` to `end` of this line."""
        edges = array.array("f", self.edges)
        span = edges[2 * start : 2 * end]
        inked = [v for i in range(0, len(span), 2) if span[i] != span[i + 1] for v in (span[i], span[i + 1])]
        if not inked:
            return Box(self.page, self.x0, self.y0, self.x1, self.y1)
        low, high = min(inked), max(inked)
        if self.vertical:
            return Box(self.page, self.x0, low, self.x1, high)
        return Box(self.page, low, self.y0, high, self.y1)


class Segment(Frozen, frozen=True, kw_only=True):
    """One run of original text: a line of a page, a paragraph, a row of a sheet, a whole text file."""

    text: str
    part: tuple[str, ...] = ()
    """Path inside containers and packages, e.g. ("附件.zip", "b.docx", "word/document.xml")."""
    anchor: str = ""
    """Opaque to all but the format that wrote it: tells its redactor where this segment lies."""
    strip: Strip | None = None
    zone: Zone = Zone.BODY
    soft: bool = False
    """True when the break before this segment is only a line wrap: words may run across it."""


class Table(Frozen, frozen=True, kw_only=True):
    """A grid of cells, each a slice of a segment; the first row may be the header."""

    part: tuple[str, ...] = ()
    rows: tuple[tuple[Slice, ...], ...] = ()


class Gap(Frozen, frozen=True, kw_only=True):
    """Something that was not read. `detail` is a plain English clause without any content of the document."""

    kind: GapKind
    part: tuple[str, ...] = ()
    detail: str = ""
    page: int | None = None


class Coverage(Frozen, frozen=True, kw_only=True):
    """How one page was read: `text`, `ocr`, `blank` or `unread`."""

    page: int
    how: str
    part: tuple[str, ...] = ()
    quality: float = 1.0
    """How sure the reading of a page by OCR is, 0..1."""


class Picture(Frozen, frozen=True, kw_only=True):
    """Something that only eyes can read: the pixels of a page or a picture, on their way to the OCR engine."""

    part: tuple[str, ...] = ()
    page: int | None = None
    width: int
    """Pixels, as `height`."""
    height: int
    raw: bytes
    scale: float = 0.0
    """Points a pixel; 0 when nothing tells how large it is shown."""
    believed: bool = True
    """False where the text of its page tells nothing about what it shows."""
    form: str = "grey"
    """`grey`: pixels, one byte each, rows from the top; `line`: the same, a single line of text; `postscript`: a
    program that draws pages. All packed by zlib."""
    says: str = ""
    """Of a `line`: what the file says is written there. The line is looked at to see whether that is true."""


class Check(Frozen, frozen=True, kw_only=True):
    """One thing that a verifier looked at in a redacted copy."""

    name: str
    """Short ASCII name: `reopened:pdfminer`, `bytes`, `ink`."""
    state: str
    """`ok`, `fail`, or `unavailable`, which is not ok: it was not looked at."""
    detail: str = ""
    """Plain English clause without any content of the document."""


class Document(Frozen, frozen=True, kw_only=True):
    """What the sandbox child read out of one item. Untrusted: it speaks only of text and places."""

    media: str
    segments: tuple[Segment, ...] = ()
    tables: tuple[Table, ...] = ()
    gaps: tuple[Gap, ...] = ()
    pages: int | None = None
    coverage: tuple[Coverage, ...] = ()
    pictures: tuple[Picture, ...] = ()
    """What is still to be read by OCR; empty once it was."""
    checks: tuple[Check, ...] = ()
    """Of the proof of a redacted copy only."""


class Reference(Frozen, frozen=True, kw_only=True):
    """A law or standard that a rule stands on."""

    law: str
    article: str = ""
    edition: str = ""
    """Date of the edition in force, e.g. `2024-05-01`."""

    @property
    def text(self) -> str:
        """Return the citation as it is printed for people."""
        return f"《{self.law}》{('（' + self.edition + '）') if self.edition else ''}{self.article}"


class Mark(Frozen, frozen=True, kw_only=True):
    """A classification mark read as an object."""

    level: Level | None
    regime: Regime | None
    term: str | None = None
    """Normalized term: `10年`, `6个月`, `长期`, `启用前`, an ISO date, or None when the mark has none."""
    issues: tuple[str, ...] = ()
    until: str = ""
    """ISO date on which its term is over, counted from the day of issue; empty while that is not known."""


class Finding(Frozen, frozen=True, kw_only=True, gc=False):
    """One thing found. The raw hit is not a field and must never become one."""

    rule: str
    pack: str
    type: str
    """An identifier id, `classification_mark`, `term`, or `structure`."""
    category: str
    name: str = ""
    """Rule name for people, e.g. 居民身份证号."""
    severity: Severity = Severity.MEDIUM
    level: Level | None = None
    regime: Regime | None = None
    confidence: float = 1.0
    weight: float = 0.0
    """Points of a term towards the score of its category."""
    count: int = 1
    """How many things this one finding stands for (rows of a table); 1 for a plain hit."""
    slices: tuple[Slice, ...] = ()
    boxes: tuple[Box, ...] = ()
    part: tuple[str, ...] = ()
    page: int | None = None
    offset: int = 0
    """Characters of the whole document before it, as far as it was read: tells what stands near to what."""
    zone: Zone = Zone.BODY
    masked: str = ""
    digest: str = ""
    """HMAC-SHA256 (deployment key) of the normalized hit, hex; tells two hits apart without telling either."""
    why: tuple[str, ...] = ()
    mark: Mark | None = None
    exempt: str = ""
    """Name of the exemption of this site that lets it pass; it is shown, and no clause counts it."""
    references: tuple[Reference, ...] = ()


class Reason(Frozen, frozen=True, kw_only=True):
    """Why an action was taken, for the operator."""

    clause: str
    say: Say
    article: str = ""
    findings: tuple[int, ...] = ()
    action: Action = Action.ALERT


class Verdict(Frozen, frozen=True, kw_only=True):
    """The decision on one item."""

    action: Action
    level: Level | None = None
    regime: Regime | None = None
    reasons: tuple[Reason, ...] = ()
    packs: str = ""
    """`sha256:...` over all loaded packs."""
    policy: str = ""
    """`sha256:...` over the policy."""
    shadowed: Action | None = None
    """In shadow mode: the action that would have been taken."""


class Timings(Frozen, frozen=True, kw_only=True):
    """Milliseconds spent in each stage."""

    extract: float = 0.0
    match: float = 0.0
    total: float = 0.0


class Inspection(Frozen, frozen=True, kw_only=True):
    """What was seen in one item."""

    item: Item
    document: Document
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    verdict: Verdict
    ms: Timings = Timings()


class Cut(Frozen, frozen=True, kw_only=True):
    """One stretch of original text to be removed: characters `start` to `end` of the segment at `anchor`."""

    part: tuple[str, ...]
    anchor: str
    start: int
    end: int
    label: str
    """What is written in its place, e.g. 〔已脱敏：居民身份证号〕. Empty where an earlier cut of its hit has it."""
    type: str
    gap: bool = False
    """True where the width of what was removed would tell something: names and words, not numbers."""
    boxes: tuple[Box, ...] = ()


class Removed(Frozen, frozen=True, kw_only=True):
    """How many places of one type were removed from one page, and how."""

    type: str
    count: int
    page: int | None = None
    how: str = "text"
    """`text`, `glyphs` of a page that stays text, `raster` of a page that became a picture, `pixels` of a picture."""
    name: str = ""
    """Name of the type for people, e.g. 居民身份证号; the packs give it, never the child."""


class Certificate(Frozen, frozen=True, kw_only=True):
    """What a redaction did, without any value that was removed."""

    input_sha256: str
    output_sha256: str
    media: str
    removed: tuple[Removed, ...]
    packs: str
    policy: str = ""
    mode: Mode = Mode.AUTO
    """What was done: `raster` too where another mode was asked for and its copy was not proven."""
    style: Style = Style.LABEL
    reach: Reach = Reach.HIT
    checks: tuple[Check, ...] = ()


class Stamp(Frozen, frozen=True, kw_only=True):
    """What is to stand on every page of a copy, and where."""

    lines: tuple[str, ...]
    code: str = ""
    """Text of the QR code beside the lines; none when empty."""
    corner: Corner = Corner.BOTTOM_RIGHT
    size: float = 7.0
    """Points of its letters."""
    cover: bool = False
    """Where no place on a page is free: put it on white over what stands there. Else such a document is not stamped."""


class Plate(Frozen, frozen=True, kw_only=True):
    """A stamp as it is put on pages: one picture of black and nothing."""

    width: int
    """Pixels, as `height`."""
    height: int
    raw: bytes
    """Rows from the top, one bit a pixel, 1 is black, each row begins a byte; packed by zlib."""
    wide: float
    """Points, as `high`: its size on a page between A6 and A3."""
    high: float
    corner: Corner = Corner.BOTTOM_RIGHT
    cover: bool = False


class Outcome(Frozen, frozen=True, kw_only=True):
    """What was done with one item."""

    item: Item
    verdict: Verdict
    state: State
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    note: Say | None = None


def evolve(value: Any, **changes: Any) -> Any:
    """Return a copy of a frozen value with some fields changed."""
    return msgspec.structs.replace(value, **changes)
