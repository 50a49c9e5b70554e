"""A peer as a detector of spans: reads JSON lines on standard input, answers JSON lines. Runs in `.venv-peers`.

First line: `{"mode": ..., "rules": [...], "terms": [...], "checks": path}`. Then `{"text": ...}` gives
`{"spans": [[start, end, type], ...], "seconds": ...}`. Modes: `presidio` (its own recognizers), `presidio-same` (the
patterns, context words, check digits and terms of the packs that are handed over), `jionlp` (its extractors).
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

Spans = list[tuple[int, int, str]]
EDGES = {"alnum": "[0-9A-Za-z]", "digits": "[0-9]", "letters": "[A-Za-z]", "none": ""}
PRESIDIO = {
    "CREDIT_CARD": "bank_card",
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ipv4",
    "PHONE_NUMBER": "cn_mobile",
    "MAC_ADDRESS": "mac",
}
"""What presidio's own recognizers are called here."""


def presidio(order: dict[str, Any], *, same: bool) -> Callable[[str], Spans]:
    """Return presidio's analyzer over a blank Chinese pipeline, which needs no download."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine(models=[{"lang_code": "zh", "model_name": "blank"}])
    engine.nlp = {"zh": spacy.blank("zh")}
    registry = RecognizerRegistry(supported_languages=["zh"])
    if same:
        for recognizer in _recognizers(order):
            registry.add_recognizer(recognizer)
    else:
        registry.load_predefined_recognizers(languages=["zh"])
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["zh"])

    def search(text: str) -> Spans:
        found = analyzer.analyze(text=text, language="zh", score_threshold=0.4)
        return [(r.start, r.end, r.entity_type if same else PRESIDIO.get(r.entity_type, r.entity_type)) for r in found]

    return search


def _recognizers(order: dict[str, Any]) -> Iterator[Any]:
    from presidio_analyzer import Pattern, PatternRecognizer

    spec = importlib.util.spec_from_file_location("checks", order["checks"])
    checks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checks)

    class Checked(PatternRecognizer):
        """A recognizer whose hits must pass a check, where the pack names one."""

        check: Callable[[str], bool] | None = None

        def validate_result(self, pattern_text: str) -> bool | None:
            return self.check(pattern_text) if self.check is not None else None

    for number, rule in enumerate(order["rules"]):
        edge = EDGES[rule["edges"]]
        framed = f"(?<!{edge})(?:{rule['pattern']})(?!{edge})" if edge else rule["pattern"]
        recognizer = Checked(
            supported_entity=rule["type"],
            patterns=[Pattern(f"p{number}", framed, 0.3 if rule["required"] else 0.6)],
            context=rule["near"] or None,
            supported_language="zh",
            name=f"r{number}",
        )
        recognizer.check = checks.CHECKS.get(rule["check"])
        yield recognizer
    for start in range(0, len(order["terms"]), 200):
        words = sorted(order["terms"][start : start + 200], key=len, reverse=True)
        pattern = Pattern(f"t{start}", "|".join(map(re.escape, words)), 0.6)
        yield PatternRecognizer("term", patterns=[pattern], supported_language="zh", name=f"t{start}")


def jionlp(_order: dict[str, Any]) -> Callable[[str], Spans]:
    """Return jionlp's extractors of identifiers."""
    import jionlp as jio

    extractors = (
        (jio.extract_id_card, "cn_resident_id"),
        (jio.extract_phone_number, "cn_mobile"),
        (jio.extract_email, "email"),
        (jio.extract_motor_vehicle_licence_plate, "cn_plate"),
        (jio.extract_ip_address, "ipv4"),
        (jio.extract_qq, "qq_wechat"),
        (jio.extract_wechat_id, "qq_wechat"),
    )

    def search(text: str) -> Spans:
        return [(*hit["offset"], kind) for extract, kind in extractors for hit in extract(text, detail=True)]

    return search


def main() -> None:
    """Answer until standard input ends."""
    order = json.loads(sys.stdin.readline())
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a peer prints is no answer
    mode = order["mode"]
    search = jionlp(order) if mode == "jionlp" else presidio(order, same=mode == "presidio-same")
    for line in sys.stdin:
        began = time.process_time()
        spans = search(json.loads(line)["text"])
        answer = {"spans": spans, "seconds": time.process_time() - began}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
