"""The receipt in one line, as a print queue shows it."""

from __future__ import annotations

import pytest

from dlp.config import Site
from dlp.model import Action, Document, Finding, Inspection, Item, Reason, Say, Verdict
from dlp.service import receipt

ID = "01J0000000000000000000000A"
ARTICLE = "《中华人民共和国保守国家秘密法》（2024-05-01）第三十一条第三项"


def seen(*reasons: Reason, pages: tuple[int, ...] = ()) -> Inspection:
    """Return what was seen in a job: a finding on each of these pages, and why it was not printed."""
    findings = tuple(Finding(rule="r", pack="p", type="term", category="c", page=page) for page in pages)
    item = Item(id=ID, source="printer:a", path="方案", name="方案")
    verdict = Verdict(action=Action.BLOCK, reasons=reasons)
    return Inspection(item=item, document=Document(media=""), findings=findings, gaps=(), verdict=verdict)


def why(text: str = "发现国家秘密标志", *, findings: tuple[int, ...] = ()) -> Reason:
    """Return one reason with its article."""
    return Reason(clause="c", say=Say(text, text), article=ARTICLE, findings=findings)


def test_it_tells_what_where_why_and_whom_to_ask() -> None:
    """Verdict, reason, pages, article, number of the job, and what to do, in one line."""
    line = receipt.brief(seen(why(findings=(0, 1)), pages=(3, 1)), Action.BLOCK, None, Site())
    assert line == f"拦截：发现国家秘密标志（第1、3页）；依据：{ARTICLE}；编号 {ID}；请联系保密员"


def test_it_speaks_english_where_the_site_does() -> None:
    """The same in English."""
    line = receipt.brief(seen(why("a mark", findings=(0,)), pages=(2,)), Action.QUARANTINE, None, Site(language="en"))
    assert line.startswith("Held for review; it prints by itself once released: a mark (p. 2); basis: ")
    assert line.endswith(f"job {ID}; ask the security officer")


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("length", [1, 300, 3_000])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_it_fits_a_print_queue(count: int, length: int, language: str) -> None:
    """However much there is to say, it has at most 1,023 bytes, no cut character, and ends with whom to ask."""
    said = tuple(why("密" * length) for _ in range(count))
    line = receipt.brief(seen(*said), Action.QUARANTINE, Say("说明", "note"), Site(language=language))
    assert len(line.encode()) <= 1_023
    assert "\ufffd" not in line
    assert ID in line
    assert "\n" not in line
    assert line.endswith("请联系保密员" if language == "zh" else "ask the security officer")


def test_many_pages_are_not_listed() -> None:
    """Three pages are named, and that there are more."""
    line = receipt.brief(seen(why(findings=tuple(range(9))), pages=tuple(range(1, 10))), Action.BLOCK, None, Site())
    assert "（第1、2、3页等）" in line
