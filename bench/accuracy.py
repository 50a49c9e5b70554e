"""Precision, recall and false alarms, measured on material that others wrote: `make accuracy`.

Prints Markdown. Nothing here knows a single file or sentence of the material; the only table is the one that maps the
names of types in other projects' labels to ours.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import peers

import dlp
from dlp.checks import CHECKS
from dlp.match import Matcher
from dlp.model import Action, Document, Finding, Item, Segment
from dlp.packs import Pack, Rule
from dlp.policy import decide
from dlp.text import fold

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
CARE = 0.8  # confidence from which a mark is a MARK and not a likely one; the default policy blocks from here

TYPES = {
    "ID_CARD": {"cn_resident_id", "cn_resident_id_15"},
    "MOBILE": {"cn_mobile", "cn_landline", "phone_e164"},
    "BANK_CARD": {"bank_card"},
    "EMAIL": {"email"},
    "PLATE": {"cn_plate"},
    "USCC": {"cn_uscc"},
    "PASSPORT": {"cn_passport"},
    "QQ": {"qq_wechat"},
    "WECHAT": {"qq_wechat"},
    "IP": {"ipv4", "ipv6"},
    "MAC_ADDRESS": {"mac"},
    "IMEI": {"imei"},
    "GITHUB_TOKEN": {"api_key"},
    "OPENAI_API_KEY": {"api_key"},
    "ANTHROPIC_API_KEY": {"api_key"},
    "AWS_ACCESS_KEY": {"api_key"},
    "SSH_PRIVATE_KEY": {"private_key"},
    "JWT": {"api_key"},
    "URL_TOKEN": {"url_token"},
}
"""Types of the labels that are identifiers of this product's scope, and what they are called here."""


CUES = {"state_star_template", "negation", "form_options", "declass", "urgency", "copy_no"}
"""Families that raise or lower the score of a mark and are none by themselves."""
FOREIGN = re.compile("_(?:en|de|uk|in|ja|ko|br|us)_")


class Score(NamedTuple):
    """Exact spans: right, missed, and found without a label."""

    right: int
    missed: int
    wrong: int

    @property
    def recall(self) -> float:
        """Return the share of labels that were found exactly."""
        return self.right / max(1, self.right + self.missed)

    @property
    def precision(self) -> float:
        """Return the share of findings that have a label."""
        return self.right / max(1, self.right + self.wrong)


def rows(name: str) -> Iterator[dict[str, Any]]:
    """Give the objects of one NDJSON file."""
    for line in (SHARED / "corpus" / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def facts(name: str) -> Any:
    """Return one of the domain's data files."""
    return json.loads((SHARED / "domain" / name).read_text(encoding="utf-8"))


def find(matcher: Matcher, text: str) -> tuple[Finding, ...]:
    """Return what the real engine finds in a text."""
    return matcher.find(Document(media="text/plain", segments=(Segment(text=text),)))[0]


def spans(found: Iterable[Finding], types: set[str]) -> set[tuple[int, int]]:
    """Return the spans of findings of some types."""
    return {(f.slices[0].start, f.slices[-1].end) for f in found if f.type in types and f.slices}


def argus(search: Callable[[str], Iterable[tuple[int, int, str]]]) -> tuple[dict[str, Score], list[str]]:
    """Score type by type. A label wants its exact span; `expect_type_present` wants the type anywhere in the row.

    Most rows label only what they are about, so a finding is wrong only where the row says so: in a row that labels
    this type elsewhere, that expects it to be absent, or that says there is nothing in it. Foreign telephone numbers
    (rows of other languages) are out of scope.
    """
    right, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    told = []
    for row in rows("text/argus_zh.jsonl"):
        if FOREIGN.search(row["id"]):
            continue
        found = list(search(row["text"]))
        nothing = not row["labels"] and not any(key.startswith("expect") for key in row) and "无PII" in str(row["note"])
        for kind, ours in TYPES.items():
            wanted = {(x["start"], x["end"]) for x in row["labels"] if x["type"] == kind}
            got = {(start, end) for start, end, name in found if name in ours}
            hits, misses = len(wanted & got), len(wanted - got)
            if row.get("expect_type_present") == kind:
                hits, misses = hits + bool(got), misses + (not got)
            judged = bool(wanted) or nothing or row.get("expect_type_absent") == kind
            free = got - wanted if judged else set()
            right[kind] += hits
            missed[kind] += misses
            wrong[kind] += len(free)
            if misses or free:
                told.append(f"{row['id']} {kind} missed {misses} wrong {len(free)}: {row['text'][:70]!r}")
    return {k: Score(right[k], missed[k], wrong[k]) for k in TYPES}, told


def r0() -> Callable[[str], Iterable[tuple[int, int, str]]]:
    """Return the plainest detector: the regular expression of each identifier and its check digit."""
    compiled = [(one["id"], re.compile(one["regex"])) for one in facts("identifiers.json")["identifiers"]]
    names = {"cn_resident_id": "resident_id", "bank_card": "bank_card", "cn_uscc": "uscc", "imei": "imei"}

    def search(text: str) -> Iterator[tuple[int, int, str]]:
        for kind, pattern in compiled:
            check = CHECKS.get(names.get(kind, ""))
            for hit in pattern.finditer(text):
                if check is None or check(hit[0]):
                    yield hit.start(), hit.end(), kind

    return search


def ours(matcher: Matcher) -> Callable[[str], Iterable[tuple[int, int, str]]]:
    """Return this product as a detector of spans."""

    def search(text: str) -> Iterator[tuple[int, int, str]]:
        for f in find(matcher, text):
            if f.slices:
                yield f.slices[0].start, f.slices[-1].end, f.type

    return search


def table(title: str, scores: dict[str, Score]) -> None:
    """Print one table of scores and its total."""
    print(f"\n### {title}\n\n| type | labels | recall | precision |\n|---|---|---|---|")
    for kind, score in scores.items():
        if score.right + score.missed + score.wrong:
            print(f"| {kind} | {score.right + score.missed} | {score.recall:.3f} | {score.precision:.3f} |")
    total = Score(*(sum(s[n] for s in scores.values()) for n in range(3)))
    print(f"| **all** | {total.right + total.missed} | **{total.recall:.3f}** | **{total.precision:.3f}** |")


def beside(scores: dict[str, Score], rivals: dict[str, dict[str, Score]]) -> None:
    """Print recall and precision of every detector side by side, type by type."""
    print(f"\n### side by side (recall / precision)\n\n| type | labels | this product | {' | '.join(rivals)} |")
    print("|---" * (3 + len(rivals)) + "|")
    columns = [scores, *rivals.values()]
    for kind, score in scores.items():
        if any(sum(column[kind]) for column in columns):
            cells = (f"{c[kind].recall:.2f} / {c[kind].precision:.2f}" for c in columns)
            print(f"| {kind} | {score.right + score.missed} | {' | '.join(cells)} |")
    totals = [Score(*(sum(s[n] for s in column.values()) for n in range(3))) for column in columns]
    print(
        f"| **all** | {totals[0].right + totals[0].missed} | "
        f"{' | '.join(f'**{t.recall:.3f} / {t.precision:.3f}**' for t in totals)} |"
    )


def identifiers(matcher: Matcher) -> None:
    """Every valid value glued to Han text on both sides, every invalid one silent under its own type."""
    print("\n## Identifiers\n\n| id | valid found | invalid silent |\n|---|---|---|")
    for one in facts("identifiers.json")["identifiers"]:
        kind, name = one["id"], one["name"]
        context = next(iter(one.get("context_zh") or one.get("context") or [name]), name)
        good, bad = one.get("valid", []), one.get("invalid", [])
        hits = [v for v in good if any(f.type == kind for f in find(matcher, f"{context}为{v}的人"))]
        fired = [v for v in bad if any(f.type == kind and f.confidence > 0.5 for f in find(matcher, f"的{v}为"))]
        mark = "" if len(hits) == len(good) and not fired else "  ←"
        print(f"| {kind} | {len(hits)}/{len(good)} | {len(bad) - len(fired)}/{len(bad)} |{mark}")


def marks(matcher: Matcher) -> None:
    """Positives of every family found, negatives silent."""
    missed, fired, count = [], [], Counter[str]()
    for family in facts("marks.json")["families"]:
        if family["id"] in CUES:
            continue
        for text in family["positive_examples"]:
            count["positives"] += 1
            if not any(f.type == "classification_mark" for f in find(matcher, text)):
                missed.append((family["id"], text))
        for text in family["negative_examples"]:
            count["negatives"] += 1
            if any(f.type == "classification_mark" and f.confidence >= CARE for f in find(matcher, text)):
                fired.append((family["id"], text))
    print(
        f"\n## Marks\n\npositives found {count['positives'] - len(missed)}/{count['positives']}, "
        f"negatives silent {count['negatives'] - len(fired)}/{count['negatives']}"
    )
    for kind, text in missed:
        print(f"- missed {kind}: {text[:60]!r}")
    for kind, text in fired:
        print(f"- fired {kind}: {text[:60]!r}")


def traps(gate: dlp.Gate) -> None:
    """Word-border traps through the real engine: does the trapped term fire at its place?

    A term that no shipped pack holds is put into a pack of its own, so that every row is judged.
    """
    rows_ = facts("traps.json")["rows"]
    shipped = {t.term for p in gate.packs for r in p.rules for t in r.all_terms()}
    others = sorted({row["trapped_term"] for row in rows_} - shipped)
    rule = Rule(id="terms", name="terms", kind="terms", type="term", terms=tuple(others))
    extra = Pack(id="bench", name="bench", version="1", category="bench", description="", rules=(rule,))
    matcher = Matcher([*gate.packs, extra], key=bytes(32))
    seen, fired, weak, own = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for row in rows_:
        text, term = row["sentence"], row["trapped_term"]
        label = "positive" if row["should_match"] else row["kind"].partition(":")[0]
        found = find(matcher, text)
        if label == "semantic":
            hits = [f for f in found if f.type == "classification_mark" and f.confidence >= CARE]
        else:
            hits = [f for f in found if f.type in ("term", "classification_mark") and term in fold(f.masked)]
        seen[label] += 1
        fired[label] += bool(hits)
        weak[label] += bool(hits) and all(any(w.startswith("weak") for w in f.why) for f in hits)
        own[label] += bool(hits) and term in shipped
    print("\n## Word borders (traps.json)\n")
    for label in seen:
        print(
            f"- {label}: {fired[label]} of {seen[label]} fire ({100 * fired[label] / seen[label]:.1f} %), "
            f"{weak[label]} of them only with half their weight; {own[label]} are terms of a shipped pack"
        )


def secrets(matcher: Matcher) -> None:
    """Keys and tokens of other projects' tests: does a row with a secret hold it, does a row without stay silent?

    Their negatives are local to one of their rules: another rule may rightly fire on them.
    """
    print("\n## Secrets: rows of gitleaks and detect-secrets\n")
    print("| set | with a secret, found | without, silent |\n|---|---|---|")
    for name in ("secrets/gitleaks_tps_fps.jsonl", "secrets/detect_secrets.jsonl"):
        good = [row for row in rows(name) if row["labels"]]
        bad = [row for row in rows(name) if not row["labels"]]
        held = sum(any(f.category == "credential" for f in find(matcher, row["text"])) for row in good)
        quiet = sum(not any(f.category == "credential" for f in find(matcher, row["text"])) for row in bad)
        print(f"| {name} | {held}/{len(good)} | {quiet}/{len(bad)} |")


def _shares(found: Counter[str], megabytes: float) -> str:
    return ", ".join(f"{pack.removeprefix('cn.')} {count / megabytes:.0f}" for pack, count in found.most_common(15))


def negatives(matcher: Matcher, gate: dlp.Gate) -> None:
    """False alarms a MB on texts in which there is nothing to find."""
    print(
        "\n## Negatives\n\n| folder | MB | marks | identifiers a MB | files above alert | rules | terms a MB |\n"
        "|---|---|---|---|---|---|---|"
    )
    base = SHARED / "corpus" / "negatives"
    for name in ("laws", "novels", "numbers", "thucnews_titles.txt"):
        files = sorted(p for p in (base / name).rglob("*") if p.is_file()) if (base / name).is_dir() else [base / name]
        size, found, above = 0, Counter[str](), 0
        sure, words = 0, Counter[str]()
        for path in files:
            text = path.read_text(encoding="utf-8", errors="replace")
            size += len(text.encode())
            hits, gaps = matcher.find(Document(media="text/plain", segments=(Segment(text=text),)))
            found.update(f.rule for f in hits if f.type not in ("term", "structure", "document_class"))
            words.update(f.pack for f in hits if f.type == "term")
            sure += sum(f.type == "classification_mark" and f.confidence >= CARE for f in hits)
            item = Item(id="0", source="s", path="p", name="n")
            verdict = decide(item, hits, gaps, gate.config.policy, matcher.digest)
            above += verdict.action > Action.ALERT
        megabytes = size / 1e6
        ids = sum(n for rule, n in found.items() if not rule.startswith("cn.marks"))
        print(
            f"| {name} | {megabytes:.1f} | {sure} | {ids / megabytes:.2f} | {above}/{len(files)} | "
            f"{dict(found.most_common(8))} | "
            f"{_shares(words, megabytes)} |"
        )


def main() -> None:
    """Measure everything."""
    if not SHARED.is_dir():
        sys.exit("the evaluation material (../shared) is not beside this checkout")
    with dlp.Gate.from_config() as gate:
        matcher = Matcher(gate.packs, key=bytes(32))
        print("## argus_zh: exact spans")
        scores, told = argus(ours(matcher))
        table("this product", scores)
        rivals = {"R0": argus(r0())[0]}
        if peers.missing():
            print(f"\nNo peers beside it: {peers.missing()}.")
        else:
            for mode in peers.MODES:
                with peers.Peer(mode, gate.packs) as peer:
                    rivals[mode] = argus(peer.search)[0]
        beside(scores, rivals)
        if "-v" in sys.argv:
            print("\n".join(told))
        identifiers(matcher)
        marks(matcher)
        traps(gate)
        secrets(matcher)
        negatives(matcher, gate)


if __name__ == "__main__":
    main()
