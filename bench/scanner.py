"""Speed of the scanner alone: one core, text in memory, its peers beside it in the same run."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import peers
from words import sentence

from dlp import config as configuration
from dlp import located
from dlp.match import Matcher
from dlp.model import Document, Segment, evolve
from dlp.packs import Pack, Rule
from dlp.service import compiled
from dlp.service.gate import load_packs
from dlp.service.keys import deployment_key
from dlp.text import fold

RUNS = 5
"""Texts that are read for one figure, each another one: nothing that a cache kept from one helps with the next."""


def texts() -> list[tuple[str, str, str]]:
    """Measure the scanner alone, beside its peers: one core, text in memory, about three hits a kilobyte."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    folder = Path(tempfile.mkdtemp(prefix="gate-bench"))
    config = configuration.Config()
    config = evolve(config, store=evolve(config.store, path=folder / "state" / "gate.db"))
    key = deployment_key(folder / "state")
    rows = []
    for name, target in (("compile of all packs (s)", "<= 2"), ("cached start, packs and scanner (s)", "<= 0.2")):
        fold.cache_clear()  # what another process would not have either
        located.lines.cache_clear()
        began = time.perf_counter()
        loaded = load_packs(config)
        matcher = compiled.matcher(config, loaded, key)
        rows.append((name, f"{time.perf_counter() - began:.2f}", target))
    shutil.rmtree(folder)
    rng = random.Random(3)
    plain = [[sentence(rng) for _ in range(9_000)] for _ in range(RUNS)]
    mixed = ["\n".join(with_hits(rng, line, loaded) for line in lines) for lines in plain]
    rows.append(("text in memory, no hit (MB/s)", f"{speed(matcher, *map(chr(10).join, plain)):.0f}", ""))
    ours = speed(matcher, *mixed)
    density = len(matcher.find(document(mixed[0]))[0]) / len(mixed[0].encode()) * 1000
    rows.append((f"text in memory, {density:.1f} findings a KB (MB/s)", f"{ours:.0f}", ">= 40"))
    rows.append(("20,000 terms and 50 patterns, 1 hit a KB (MB/s)", f"{many_terms(rng, plain):.0f}", ">= 25"))
    rows += beside(ours, mixed[0], loaded)
    paces = sorted(speed(matcher, text) for text in adversaries())
    median = statistics.median(paces)
    rows.append((f"worst of {len(paces)} adversarial inputs (MB/s)", f"{paces[0]:.1f}", ""))
    rows.append(("its time a byte against the median of them", f"{median / paces[0]:.1f}x", "<= 3x"))
    return rows


def with_hits(rng: random.Random, line: str, loaded: Sequence[Pack]) -> str:
    """Return a line with hits put in: six in seven are terms, one is a number of a person.

    A long term holds shorter ones, so that 2.3 of them a kilobyte give about three findings.
    """
    terms = [term.term for pack in loaded for rule in pack.rules for term in rule.all_terms()]
    count = len(line.encode()) * 2.3 / 1000
    for _ in range(int(count) + (rng.random() < count % 1)):
        number = f"，电话139{rng.randrange(10**8):08d}，" if rng.random() < 0.5 else f"，身份证号{resident(rng)}，"
        hit = number if rng.random() < 1 / 7 else f"，{rng.choice(terms)}，"
        at = rng.randrange(len(line))
        line = line[:at] + hit + line[at:]
    return line


def resident(rng: random.Random) -> str:
    """Return a made-up resident number with a right check digit."""
    day = f"{rng.randrange(1950, 2010)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    body = f"110101{day}{rng.randrange(1000):03d}"
    total = sum(int(c) * w for c, w in zip(body, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    return body + "10X98765432"[total % 11]


def many_terms(rng: random.Random, plain: Sequence[Sequence[str]]) -> float:
    """Return MB/s with a pack of 20,000 terms and 50 patterns, about one hit a kilobyte."""
    han = [chr(rng.randrange(0x4E00, 0x9FA0)) for _ in range(3_000)]
    terms = sorted({"".join(rng.choices(han, k=rng.randrange(4, 9))) for _ in range(20_000)})
    rules = [Rule(id="t", name="t", kind="terms", type="term", terms=tuple(terms))]
    rules += [
        Rule(id=f"p{n}", name="p", kind="pattern", type="p", pattern=f"[A-Z]{{2}}{n:02d}-[0-9]{{4,{6 + n % 5}}}")
        for n in range(50)
    ]
    pack = Pack(id="b", name="b", version="1", category="c", description="", rules=tuple(rules))
    hits = [rng.choice(terms) if n % 5 else f"AB{n % 50:02d}-12345" for n in range(9_000)]
    texts = ("\n".join(line + hits[n] * (n % 9 == 0) for n, line in enumerate(lines)) for lines in plain)
    return speed(Matcher([pack], key=bytes(32)), *texts)


def beside(ours: float, text: str, loaded: Sequence[Pack]) -> list[tuple[str, str, str]]:
    """Measure the peers on a part of the same text, in the same run, on the same core."""
    if peers.missing():
        return [(f"peers: {peers.missing()}", "-", "")]
    part = text[:60_000]
    rows = []
    for mode in ("presidio-same", "jionlp"):
        with peers.Peer(mode, loaded) as peer:
            taken = []
            for _ in range(3):
                peer.search(part)
                taken.append(peer.seconds)
        theirs = len(part.encode()) / 1e6 / statistics.median(taken)
        rows.append((f"the same text, {mode} (MB/s)", f"{theirs:.2f}", ""))
        rows.append((f"this product against {mode}", f"{ours / theirs:.0f}x", ">= 50x" * (mode == "presidio-same")))
    return rows


def adversaries() -> list[str]:
    """Return inputs that were made to be slow: floods of hits, of near hits, of what is removed or folded."""
    return [
        "密" * 300_000,
        "机密" * 150_000,
        "1" * 900_000,
        "1 " * 400_000,
        "1\n" * 400_000,
        "零" * 300_000,
        "O0" * 300_000,
        "a@" * 400_000,
        "1101011990030712" * 40_000,
        "110101199003071234\n" * 40_000,
        "1101011990\n03071233\n" * 30_000,
        "6222-0200-0000-0000-" * 30_000,
        "电话13800138000，" * 40_000,
        "密码：abcd1234 " * 30_000,
        "密级：机密★10年\n" * 30_000,
        "（机密）" * 60_000,
        "甲方：\n" * 90_000,
        "机\u200b密\u200b" * 100_000,
        " 身" * 200_000,
        "工资" * 150_000,
        "http://a.b/?token=abcd1234&" * 20_000,
        "a.b@c.d.e.com," * 40_000,
    ]


def document(text: str) -> Document:
    """Return a text as a document."""
    return Document(media="text/plain", segments=(Segment(text=text),))


def speed(matcher: Matcher, *texts: str) -> float:
    """Return the median over texts, each read once, of MB of UTF-8 a second of processor time."""
    paces = []
    for text in texts:
        began = time.process_time()
        matcher.find(document(text))
        paces.append(len(text.encode()) / 1e6 / (time.process_time() - began))
    return statistics.median(paces)
