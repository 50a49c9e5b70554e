"""The board and the card: what they say of a job, and what they never show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dlp.model import Finding, Say, State
from dlp.service.receipt import pages
from dlp.web.pages.jobs import _hits
from sites import Place, lay
from staff import House, hash_quickly
from web_site import Browser

HELD = "工作秘密\n关于某项工作的内部安排\n"
SECRET = "机密★10年\n关于专项工作的实施方案\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, House]]:
    """Give a site with a file of each kind."""
    place = lay(tmp_path_factory.mktemp("board"))
    for name, text in (("通知.txt", "下周一开会。\n"), ("安排.txt", HELD), ("方案.txt", SECRET)):
        place.put(name, text.encode())
    place.run("run", "--once", timeout=300)
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        house = House(place.root, place.config)
        house.staff()
        yield place, house
        house.close()


def test_the_board_says_where_a_job_is_from_by_name(shop: tuple[Place, House]) -> None:
    """The counter's name stands there, and never the word that the books have for a source."""
    page = Browser(shop[1], "op").page("/jobs")
    assert "<td>一号窗口</td>" in page
    assert "<td>folder:" not in page
    assert '<option value="folder:外发">一号窗口 · 外发</option>' in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("group=all", {"通知.txt", "安排.txt", "方案.txt"}),
        ("group=stopped", {"安排.txt", "方案.txt"}),
        ("group=gone", {"通知.txt"}),
        ("group=ready", set()),
        ("group=all&name=安排", {"安排.txt"}),
        ("group=all&today=1&source=folder:外发", {"通知.txt", "安排.txt", "方案.txt"}),
        ("group=all&source=folder:别处", set()),
        ("group=nonsense", {"通知.txt", "安排.txt", "方案.txt"}),
    ],
)
def test_the_board_is_narrowed(shop: tuple[Place, House], query: str, names: set[str]) -> None:
    """By state, counter, name and day; what matches nothing says how to see all again."""
    page = Browser(shop[1], "op").page(f"/jobs?{query}")
    assert {name for name in ("通知.txt", "安排.txt", "方案.txt") if f">{name}<" in page} == names
    assert names or 'class="empty"' in page


def test_a_live_board_asks_for_its_rows_alone(shop: tuple[Place, House]) -> None:
    """Rows come without the page, and stay on the page of the list that was open."""
    first = shop[1].store.jobs()[0].id
    rows = Browser(shop[1], "op").get(f"/jobs?before={first}", headers={"hx-request": "true"}).text
    assert "<html" not in rows
    assert f'name="before" value="{first}"' in rows
    assert f'data-job="{first}"' not in rows


def test_the_board_shouts_at_nobody_unasked(shop: tuple[Place, House]) -> None:
    """Sound and strong colour are off until chosen, in this browser alone; the rows are no live region."""
    browser = Browser(shop[1], "op")
    page = browser.page("/jobs")
    assert "data-sound" not in page
    assert 'class="strong"' not in page
    assert "aria-live" not in page
    assert page.count('role="status"') == 1
    browser.post("/jobs/board", loud=["sound", "colour"])
    page = browser.page("/jobs")
    assert " data-sound" in page
    assert 'class="strong"' in page
    assert " data-sound" not in Browser(shop[1], "op").page("/jobs")
    browser.post("/jobs/board")
    assert 'class="strong"' not in browser.page("/jobs")


def test_a_card_tells_all_that_is_needed(shop: tuple[Place, House]) -> None:
    """The verdict, its reason and article, the masked hits, the next step, and the receipt to print."""
    job = next(one.id for one in shop[1].store.jobs((State.HELD,)))
    page = Browser(shop[1], "op").page(f"/jobs/{job}")
    for word in ("隔离待研判", "依据", "下一步", "送审", f"/jobs/{job}/receipt", "一号窗口"):
        assert word in page
    assert f"/review/{job}" not in page, "an operator has no right to the evidence"
    assert f"/review/{job}" in Browser(shop[1], "rev").page(f"/jobs/{job}")
    receipt = Browser(shop[1], "op").page(f"/jobs/{job}/receipt")
    assert "文印闸 拦截说明" in receipt
    assert "data-print" in receipt


def test_a_card_of_a_state_secret_shows_nothing_of_it(shop: tuple[Place, House]) -> None:
    """No hit, no sheet, no way to its pages for anybody: the reason why stands there."""
    job = next(one.id for one in shop[1].store.jobs((State.WITHHELD,)))
    for account in ("op", "rev", "lead"):
        page = Browser(shop[1], account).page(f"/jobs/{job}")
        assert "本机不留存、不显示" in page
        assert "<svg" not in page.partition("<main")[2]
        assert f"/review/{job}" not in page
        assert f"/jobs/{job}/ask" not in page


def test_a_released_job_has_no_receipt(shop: tuple[Place, House]) -> None:
    """What left as it came was told of to nobody."""
    job = next(one.id for one in shop[1].store.jobs((State.RELEASED,)))
    assert Browser(shop[1], "op").get(f"/jobs/{job}/receipt").status_code == 404
    assert "打印说明" not in Browser(shop[1], "op").page(f"/jobs/{job}")


def test_hits_that_are_the_same_are_one_row() -> None:
    """One rule with one masked value is a row with its count; marks come first, then tables, identifiers, terms."""

    def one(rule: str, type_: str, masked: str, page: int) -> Finding:
        return Finding(rule=rule, pack="p", type=type_, category="c", masked=masked, page=page)

    found = (
        one("term", "term", "内部", 1),
        one("id", "cn.id", "1101**", 2),
        one("id", "cn.id", "1101**", 1),
        one("id", "cn.id", "3101**", 1),
        one("mark", "classification_mark", "工作秘密", 1),
    )
    rows = [(hit.found.rule, hit.numbers, hit.times, hit.pages) for hit in _hits(found)]
    assert rows == [
        ("mark", (5,), 1, (1,)),
        ("id", (2, 3), 2, (1, 2)),
        ("id", (4,), 1, (1,)),
        ("term", (1,), 1, (1,)),
    ]


def test_pages_are_counted_as_they_are_told() -> None:
    """The number of pages is that of the sentence; what has none has none."""
    assert pages(Say("共 12 页：按文字读取 12 页", "12 pages: 12 read as text")) == 12
    assert pages(None) == 0
