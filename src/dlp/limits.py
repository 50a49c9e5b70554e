"""How much one file may cost. Every limit is enforced by the child that reads and again by the parent that receives."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from dlp.model import Frozen

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]

FRAME_BYTES = 1 << 20
"""Largest payload of one frame. Small, because it bounds what one frame can become in the parent's memory before
the running totals are looked at: 1 MiB of one-byte slices is about 100 MB of objects, 256 MiB would be 25 GB."""
NAME_BYTES = 16_384
"""Longest file name that is handed to a child (paths end at 4,096 bytes; escapes make them longer)."""
LINGER_SECONDS = 2.0
"""How long a child may live on after its end mark. Leaving takes it less than a millisecond."""
GRACE_SECONDS = 5.0
"""How long the zygote may take to report a killed child before it is held to be broken itself."""


class Limits(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The budget of one item. What lies above a limit is a gap (and is held), never read in part and called clean."""

    file_bytes: Count = 268_435_456
    """256 MiB: larger than any office document we met, and it still fits into memory beside its text."""
    expanded_bytes: Count = 536_870_912
    """512 MiB over all layers of a container: the largest honest workbook of the corpus unpacks to a tenth of it."""
    ratio: Count = 200
    """Expanded : packed. Office XML reaches 20-60; a bomb starts at 1,000 (Deflate ends at 1,032)."""
    depth: Count = 6
    """Containers in containers: mail -> zip -> docx -> embedded xlsx is 4. A quine archive never ends."""
    entries: Count = 10_000
    """Members of all containers together; 100,000 empty entries cost seconds and hold nothing."""
    pages: Count = 5_000
    """A bound book has 1,500."""
    text_chars: Count = 20_000_000
    """Forty novels. The view and its map take about 10 bytes a character in the daemon."""
    pixels: Count = 2_000_000_000
    """Of all pictures together: 200 scanned A4 pages at 300 dpi are 1,740 million."""
    picture_pixels: Count = 120_000_000
    """Of one picture: an A2 drawing at 600 dpi is 140 million, and its decoder needs 4 bytes for each."""
    picture_bytes: Count = 134_217_728
    """128 MiB of packed pixels on their way to the OCR engine: 150 noisy A4 pages."""
    ocr_page_seconds: Seconds = 30.0
    """One page takes 1 to 2 s on one processor."""
    ocr_seconds: Seconds = 300.0
    """For all pictures of one item: 150 to 300 pages."""
    ocr_memory_bytes: Count = 3_221_225_472
    """3 GiB of data for the one OCR process; a picture of the largest size takes about 1.5."""
    wall_seconds: Seconds = 60.0
    """Sleeping and waiting do not count as processor time, so a wall clock is needed beside it."""
    cpu_seconds: Count = 40
    """Processor time (RLIMIT_CPU counts whole seconds); a 1,500-page PDF takes about 10."""
    memory_bytes: Count = 1_610_612_736
    """1.5 GiB of address space: RLIMIT_AS counts shared libraries too (the warm reader alone maps 0.3 GiB)."""
    result_bytes: Count = 268_435_456
    """256 MiB of frames: 20 million characters with two edges each are 220 MB."""
    output_bytes: Count = 536_870_912
    """Largest redacted copy: twice the largest input."""
    hits: Count = 10_000
    """Findings of one document; beyond it the document is held anyway."""
    segments: Count = 1_000_000
    """Segments of one document: bounds the objects that seven bytes each could become in the parent."""
    cells: Count = 4_000_000
    """Cells of all tables, for the same reason."""
    start_seconds: Seconds = 180.0
    """How long the readers, or the OCR engine, may take to start. That is 0.6 s of processor time and 3 s on a cold
    disk; but beside two busy processes one of the lowest priority gets a seventieth of a processor, and then it is a
    minute. Whoever cannot start says so at once, so that only one that hangs is waited for so long."""
    open_files: Count = 64
    """Descriptors of a child: it gets four and its libraries open a few files of their own."""
    tasks: Count = 512
    """Threads and processes of the child's user (RLIMIT_NPROC): readers need none, a thread bomb needs thousands."""
    stack_bytes: Count = 16_777_216
    """16 MiB: twice the usual, for deep but honest XML; endless recursion ends there."""
